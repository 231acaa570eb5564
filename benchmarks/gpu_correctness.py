"""What must be right on a GPU before anything is timed there: each check returns what it found, and ``passed``.

Every check runs on the CPU too, where both sides are the same code, so that is known to execute.
"""

from __future__ import annotations

import contextlib
import copy
import gc
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from memsweep.base.devices import set_up_gpu
from memsweep.data.datasets import prepare
from memsweep.data.randomness import Draws
from memsweep.jobs import concurrency
from memsweep.jobs.packs import train_pack
from memsweep.jobs.workshop import Way, Workshop
from memsweep.metrics.neighbours import nearest_in_ranges
from memsweep.training.cuda_graphs import CaptureFailed
from memsweep.training.trainer import Trainer, TrainingOptions
from torch.nn import functional as F
from training import DIGITS, FLOW, PAPER, SMALL, Problem, finish

Found = dict[str, Any]
# Largest relative error of the first gradient against the CPU's float32, by precision: a few times what one
# rounding of each factor gives
GRADIENT = {"float32": 1e-4, "tf32": 1e-2, "bfloat16": 1e-1}


def of_kind(state: dict[str, torch.Tensor], kind: str) -> list[torch.Tensor]:
    """Of each weight what a training state has under this name."""
    return [tensor for name, tensor in state.items() if name.startswith(f"{kind}.")]


class Runs:
    """Builds runs on a device, each on a stream of its own, and advances them there."""

    def __init__(self, device: str) -> None:
        self.device = device
        self.on_gpu = device == "cuda"

    def steps(self, on_gpu: int, on_cpu: int = 2) -> int:
        """Fewer on a CPU, where all this is only executed."""
        return on_gpu if self.on_gpu else on_cpu

    def stream(self) -> torch.cuda.Stream | None:
        return torch.cuda.Stream() if self.on_gpu else None

    def build(self, problem: Problem, precision: str, stream: Any = None, seed: int = 0, clip: float = 0.0) -> Trainer:
        options = TrainingOptions(0.999, precision, clip)
        with torch.cuda.stream(stream):
            return problem.trainer(options, seed)

    def advance(self, trainer: Trainer, steps: int, stream: Any = None) -> None:
        with torch.cuda.stream(stream):
            trainer.advance(steps)

    def state(self, trainer: Trainer) -> dict[str, torch.Tensor]:
        """Weights, averages and first moments, each as one vector in float64 on the CPU."""
        finish(self.device)
        state = trainer.state()
        kinds = ("network", "average", "exp_avg")
        return {kind: torch.cat([t.double().cpu().flatten() for t in of_kind(state, kind)]) for kind in kinds}

    def problem(self, network: dict[str, Any], base_channels: int, batch_size: int, **changes: Any) -> Problem:
        if not self.on_gpu:  # a dry run
            network = network | {"blocks": 1, "channel_multipliers": [1, 2], "embedding": 32}
            network["attention_levels"] = [1] if network["attention_levels"] else []
            base_channels, batch_size = min(base_channels, 8), min(batch_size, 4)
        return Problem(network, base_channels, batch_size, train_size=512, **{"device": self.device, **changes})


@torch.no_grad()
def stir(network: torch.nn.Module, seed: int) -> None:
    """Random weights: as built, the last layer is 0 and hides what goes wrong before it."""
    source = torch.Generator().manual_seed(seed)
    for parameter in network.parameters():
        parameter.copy_(0.05 * torch.randn(parameter.shape, generator=source))


def equal(left: dict[str, torch.Tensor], right: dict[str, torch.Tensor]) -> bool:
    return all(torch.equal(left[name], right[name]) for name in left)


@contextlib.contextmanager
def kernels(deterministic: bool, precision: str = "float32") -> Iterator[None]:
    """Those that a job would use; deterministic ones afterwards, as at the beginning."""
    set_up_gpu(deterministic, precision)
    try:
        yield
    finally:
        set_up_gpu(True)


def draws(runs: Runs) -> Found:
    """Words, batch order and integers are the CPU's, bit for bit; normal numbers up to the last bits of a logarithm."""
    seeds = Draws(3, "noise").seeds(torch.arange(12345, 12347))
    both = [Draws(3, "noise"), Draws(3, "noise", device=runs.device)]
    words = [each._bits(seeds[0].to(each._device), 5000)[0].cpu().clone() for each in both]
    uniform = [each.uniform(seeds[1].to(each._device), 5000).cpu() for each in both]
    normal = [each.normal(seeds[1].to(each._device), (5000,)).cpu() for each in both]
    apart = float((normal[0] - normal[1]).abs().max())
    found = {"words": torch.equal(*words), "uniform": torch.equal(*uniform), "largest difference of normals": apart}
    return found | {"passed": found["words"] and found["uniform"] and apart < 1e-5}


def step(runs: Runs) -> Found:
    """The gradient of one step, and the losses of ten, agree with the CPU's in float32."""
    found: Found = {}
    for name, network, side, channels in (("digits", DIGITS, 8, 1), ("small", SMALL, 32, 3)):
        problem = runs.problem(network, 16, 8, side=side, channels=channels)
        exact = runs.build(problem.on("cpu"), "float32")
        stir(exact.network, 0)
        exact.advance(1)
        first = runs.state(exact)["exp_avg"]
        exact.advance(runs.steps(9, 1))
        for precision in GRADIENT:
            with kernels(True, precision):
                stream = runs.stream()
                trainer = runs.build(problem, precision, stream)
                with torch.cuda.stream(stream):
                    stir(trainer.network, 0)
                    trainer._refresh_working_weights()
                runs.advance(trainer, 1, stream)
                gradient = runs.state(trainer)["exp_avg"]
                runs.advance(trainer, runs.steps(9, 1), stream)
                finish(runs.device)
                apart = float((gradient - first).norm() / first.norm())
                loss = trainer.recent_loss() / exact.recent_loss() - 1
            passed = apart < GRADIENT[precision] and abs(loss) < 10 * GRADIENT[precision]
            found[f"{name}, {precision}"] = {"gradient": apart, "loss": loss, "passed": passed}
    return found | {"passed": all(each["passed"] for each in found.values())}


def graph(runs: Runs) -> Found:
    """Replays of a graph leave the bits that steps launched one by one do."""
    found: Found = {}
    with kernels(True):
        for precision in ("float32", "bfloat16"):
            for clip in (0.0, 0.5):
                stream, problem = runs.stream(), runs.problem(SMALL, 16, 16)
                both = [runs.build(problem, precision, stream, clip=clip) for _ in range(2)]
                both[1]._graphed = False
                for trainer in both:
                    runs.advance(trainer, runs.steps(20), stream)
                found[f"{precision}, clip {clip}"] = equal(*map(runs.state, both))
    return found | {"passed": all(found.values())}


def pack(runs: Runs) -> Found:
    """A run beside three others ends in the bits that it ends in alone."""
    found: Found = {}
    with kernels(True):
        for precision in ("float32", "bfloat16"):
            problem, stream = runs.problem(SMALL, 16, 16), runs.stream()
            alone = runs.build(problem, precision, stream, seed=1)
            runs.advance(alone, runs.steps(48, 6), stream)
            streams = [runs.stream() for _ in range(4)]
            four = [runs.build(problem, precision, each, seed) for seed, each in enumerate(streams)]
            for _ in range(3):
                for trainer, each in zip(four, streams, strict=True):
                    runs.advance(trainer, runs.steps(16, 2), each)
            found[precision] = equal(runs.state(four[1]), runs.state(alone))
    return found | {"passed": all(found.values())}


def resume(runs: Runs) -> Found:
    """A run restored from its state ends in the bits of one without a break, beyond the steps laid down at once."""
    found: Found = {}
    with kernels(True):
        for precision in ("float32", "bfloat16"):
            problem, stream = runs.problem(SMALL, 16, 16), runs.stream()
            whole, first, second = (runs.build(problem, precision, stream) for _ in range(3))
            runs.advance(whole, runs.steps(300, 14), stream)
            runs.advance(first, runs.steps(251, 11), stream)
            finish(runs.device)
            with torch.cuda.stream(stream):
                second.restore(copy.deepcopy(first.state()))
            runs.advance(second, runs.steps(49, 3), stream)
            found[precision] = equal(runs.state(second), runs.state(whole))
    return found | {"passed": all(found.values())}


def precisions(runs: Runs) -> Found:
    """TF32 and bfloat16 train to about the loss of float32."""
    found: Found = {}
    for precision in GRADIENT:
        with kernels(False, precision):
            stream = runs.stream()
            trainer = runs.build(runs.problem(SMALL, 16, 32), precision, stream)
            runs.advance(trainer, runs.steps(200, 5), stream)
            finish(runs.device)
            found[precision] = trainer.recent_loss()
    exact = found["float32"]
    return found | {"passed": all(abs(loss / exact - 1) < 0.02 for loss in found.values())}


def attention(runs: Runs) -> Found:
    """Which kernel torch chooses for attention as the library lays it out, and as it comes."""
    names = {0: "math", 1: "flash", 2: "memory-efficient", 3: "cudnn"}
    found: Found = {}
    for dtype in (torch.float32, torch.bfloat16):
        for layout in ("laid out anew", "as it comes"):
            values = torch.randn(4, 3 * 128, 256, device=runs.device, dtype=dtype).transpose(1, 2)
            values = values.contiguous() if layout == "laid out anew" else values
            q, k, v = values.view(4, 256, 3, 2, 64).permute(2, 0, 3, 1, 4)
            found[f"{dtype}, {layout}"] = names.get(int(torch._fused_sdp_choice(q, k, v)), "another")
            F.scaled_dot_product_attention(q, k, v)
    fused = [kernel != "math" for name, kernel in found.items() if "anew" in name]
    return found | {"passed": all(fused)}


def neighbours(runs: Runs) -> Found:
    """Distances and indices are the CPU's, bit for bit, also among equal distances."""
    source = np.random.default_rng(0)
    found: Found = {}
    for dtype in (np.uint8, np.float32):
        points = (255 * source.random((runs.steps(6000, 600), 768))).astype(dtype)
        references = len(points) * 5 // 6
        points[references // 2 : references // 2 + 50] = points[references // 2]
        ranges = [(0, references // 2), (0, references)]
        both = [
            nearest_in_ranges(points[references:], points[:references], ranges, device=device)
            for device in ("cpu", runs.device)
        ]
        found[np.dtype(dtype).name] = all(
            np.array_equal(left.index, right.index) and np.array_equal(left.distance, right.distance)
            for left, right in zip(*both, strict=True)
        )
    return found | {"passed": all(found.values())}


def workshop_of(problem: Problem, precision: str, images: int, sampling_steps: int) -> Workshop:
    """What evaluates runs of a problem, with so many images and samples."""
    settings = {
        "runs": [{"train_size": 512}],
        "network": problem.network,
        "formulation": {**FLOW, "sampling_steps": sampling_steps},
        "training": {"ema_decay": 0.999, "precision": precision},
        "evaluation": {"images": images, "samples": images, "surrogates": []},
    }
    return Workshop(settings, problem.data, Way(device=problem.device), torch.device(problem.device))


def _two_runs(runs: Runs, workshop: Workshop) -> list[tuple[Trainer, Any]]:
    """Two runs on streams of their own whose averages are no longer those of an untrained network."""
    problem = runs.problem(PAPER, 32, 16)
    pair = []
    for seed in range(2):
        stream = workshop.streams.take()
        with torch.cuda.stream(stream):
            trainer = workshop.trainer(problem.run(seed))
            trainer.advance(runs.steps(16, 1))
            stir(trainer.average, seed)
        pair.append((trainer, stream))
    finish(runs.device)
    return pair


def evaluation_beside(runs: Runs) -> Found:
    """Evaluations are right ten times out of ten while another run trains."""
    found: Found = {}
    for precision in ("float32", "bfloat16"):
        set_up_gpu(True, precision)
        workshop = workshop_of(runs.problem(PAPER, 32, 16), precision, runs.steps(64, 4), 10)
        (busy, stream), (still, _) = _two_runs(runs, workshop)
        workshop.evaluate(busy, True)  # the one that captures
        quiet = workshop.evaluate(still, True)
        wrong = 0
        for _ in range(runs.steps(10, 1)):
            runs.advance(busy, runs.steps(64, 1), stream)
            beside = workshop.evaluate(still, True)
            losses = all(np.array_equal(beside.losses[name], quiet.losses[name]) for name in quiet.losses)
            wrong += not (losses and np.array_equal(beside.samples, quiet.samples))
        finish(runs.device)
        found[precision] = {"wrong of ten": wrong}
    return found | {"passed": not any(each["wrong of ten"] for each in found.values())}


def evaluation_after_end(runs: Runs) -> Found:
    """Evaluations are right after the run that captured their graphs has ended, and leave other memory alone."""
    set_up_gpu(True)
    workshop = workshop_of(runs.problem(PAPER, 32, 16), "bfloat16", runs.steps(64, 4), 4)
    pair = _two_runs(runs, workshop)
    (first, stream), (second, _) = pair
    workshop.evaluate(first, True)
    before = workshop.evaluate(second, True)
    del first
    pair.pop(0)
    gc.collect()
    finish(runs.device)
    with torch.cuda.stream(stream):
        canaries = [torch.full((2**20,), 7, dtype=torch.int64, device=runs.device) for _ in range(runs.steps(16, 1))]
    after = workshop.evaluate(second, True)
    overwritten = sum(int((canary != 7).sum()) for canary in canaries)
    canaries.clear()
    if runs.on_gpu:
        torch.cuda.empty_cache()
    emptied = workshop.evaluate(second, True)
    same = [np.array_equal(before.samples, each.samples) for each in (after, emptied)]
    return {"same samples": same, "canaries overwritten": overwritten, "passed": all(same) and not overwritten}


def _pack_settings(runs: Runs, count: int, steps: int) -> dict[str, Any]:
    one = {"train_size": 64, "base_channels": runs.steps(64, 8), "batch_size": 64, "learning_rate": 1e-3}
    network = {**DIGITS, "blocks": 2, "attention_levels": [1]}
    evaluation = {"first": steps, "per_decade": 1, "images": 64, "samples": 16, "surrogates": [], "sample_every": 1}
    return {
        "runs": [{**one, "max_steps": steps, "run_id": f"r{seed}", "seed": seed} for seed in range(count)],
        "dataset": {"name": "digits"},
        "network": network,
        "formulation": {**FLOW, "sampling_steps": 4},
        "training": {"budget": {"steps": steps}, "ema_decay": 0.99},
        "evaluation": evaluation,
    }


def out_of_memory(runs: Runs, megabytes: int = 900) -> Found:
    """Eight runs that do not fit together under a capped share of the memory all end, fewer at a time."""
    steps = runs.steps(100, 10)
    settings = _pack_settings(runs, runs.steps(8, 2), steps)
    said = ""
    with tempfile.TemporaryDirectory() as folder, (Path(folder) / "log").open("w+") as log:
        images = Path(folder) / "images.parquet"
        prepare({"name": "digits", "test_images": 500, "seed": 0}, images)
        if runs.on_gpu:
            torch.cuda.set_per_process_memory_fraction(megabytes * 2**20 / torch.cuda.mem_get_info()[1])
        concurrency.PLANNED = 100.0  # else the plan would avoid what is to happen
        with contextlib.redirect_stderr(log):
            train_pack(settings, images, Path(folder) / "c", Path(folder) / "t", Way(device=runs.device))
        log.seek(0)
        said = log.read()
        evaluated = len(list(Path(folder).glob(f"c/*/evaluation-{steps:08d}.safetensors")))
    lines = [line for line in said.splitlines() if "out of memory" in line or "at a time" in line]
    passed = evaluated == len(settings["runs"]) and (not runs.on_gpu or "out of memory" in said)
    return {"runs evaluated": evaluated, "said": lines, "passed": passed}


# Trains a pack whose last run asks for the device's answer while its step is captured, which ends the capture badly
CAPTURE_FAILS = """
import os, sys
import torch
from memsweep.training.trainer import Trainer
take_step = Trainer._take_step
def spoilt(trainer):
    take_step(trainer)
    if trainer.run.run_id == "r2" and torch.cuda.is_available() and torch.cuda.is_current_stream_capturing():
        trainer._count.item()
Trainer._take_step = spoilt
from memsweep.__main__ import main
sys.exit(main(sys.argv[1:]))
"""


def capture_fails(runs: Runs) -> Found:
    """A capture that ends badly costs no run its work: the job goes on, in a new process where it must."""
    settings = _pack_settings(runs, 3, runs.steps(100, 10))
    with tempfile.TemporaryDirectory() as folder:
        images = Path(folder) / "images.parquet"
        prepare({"name": "digits", "test_images": 500, "seed": 0}, images)
        command = [sys.executable, "-c", CAPTURE_FAILS, "train", "--images", str(images), "--device", runs.device]
        command += ["--checkpoints", f"{folder}/c", "--output", f"{folder}/t"]
        done = subprocess.run(
            command, input=json.dumps(settings), text=True, capture_output=True, timeout=120, env=os.environ
        )
        evaluated = len(list(Path(folder).glob("c/*/evaluation-*.safetensors")))
    lines = [line for line in done.stderr.splitlines() if "step" not in line][-12:]
    return {"status": done.returncode, "runs evaluated": evaluated, "said": lines, "passed": evaluated >= 2}


def _spoil(trainer: Trainer) -> None:
    """Let its step ask for the device's answer while it is captured, which no capture survives."""
    take_step = trainer._take_step

    def asks_the_device() -> None:
        take_step()
        if trainer.device.type == "cuda" and torch.cuda.is_current_stream_capturing():
            trainer._count.item()

    trainer._take_step = asks_the_device  # type: ignore[method-assign]


def step_after_failed_capture(runs: Runs) -> Found:
    """What a failed capture leaves: whether memory can be given back, and whether other runs can be saved and go on."""
    set_up_gpu(False)
    problem, stream = runs.problem(SMALL, 16, 16), runs.stream()
    healthy = runs.build(problem, "float32", stream)
    runs.advance(healthy, runs.steps(16), stream)
    other = runs.stream()
    spoilt = runs.build(problem, "float32", other, seed=1)
    _spoil(spoilt)
    raised = "nothing"
    try:
        runs.advance(spoilt, 1, other)
    except CaptureFailed as error:
        raised = f"CaptureFailed: {str(error)[:200]}"
    del spoilt
    released = concurrency._release()
    saved = all(bool(torch.isfinite(vector).all()) for vector in runs.state(healthy).values())
    runs.advance(healthy, runs.steps(16), stream)
    goes_on = bool(np.isfinite(healthy.recent_loss()))
    found = {"raised": raised, "memory can be given back": released, "others saved": saved, "others go on": goes_on}
    return found | {"passed": saved and (not runs.on_gpu or raised != "nothing")}
