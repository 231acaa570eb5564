"""How fast runs are trained, beside an eager float32 loop in the style of the published trainers.

    python benchmarks/training.py cpu          # the embedded study's run, and packs, on CPU cores
    python benchmarks/training.py step         # one run: channels x batch, share of the peak
    python benchmarks/training.py packs        # many small runs side by side on a GPU
    python benchmarks/training.py evaluation   # what share of a job's time evaluations take
    python benchmarks/training.py startup      # seconds from the command to the first step

Both sides of a comparison run in turn within each round, in one process, so that whatever else the
machine does meets both; ratios are taken round by round. On a CPU processor time is quoted beside
elapsed time, since other work distorts it less. `--device cuda` measures on a GPU, which is set up as a
training job sets it up; the eager loops have torch's own settings. Each point is saved as soon as it is
measured, and no point begins that would end after `--seconds`.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import gc
import io
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from memsweep.base.devices import set_up_cuda, set_up_gpu
from memsweep.data.datasets import prepare
from memsweep.data.images import DeviceImages, ImageSet, Split, to_network
from memsweep.data.surrogates import write_surrogates
from memsweep.diffusion.formulation import build_formulation
from memsweep.jobs.packs import train_pack
from memsweep.jobs.workshop import Way
from memsweep.models import blocks
from memsweep.models.unet import UNet
from memsweep.study.config import read_yaml, resolve
from memsweep.study.network_cost import NetworkCost, network_cost
from memsweep.study.networks import network_settings
from memsweep.study.run import Run
from memsweep.study.sweep import Sweep
from memsweep.training.cuda_graphs import STRIDE
from memsweep.training.trainer import Trainer, TrainingOptions, build_network
from record import RESULTS, commit, machine, ratios, save, spread
from torch.utils.data import DataLoader, TensorDataset

ROOT = Path(__file__).parents[1]
FLOW = {"name": "rectified_flow", "sampling_steps": 250, "label_dropout": 0, "guidance": 0}
PAPER = {"channel_multipliers": [1, 2, 4], "blocks": 3, "attention_levels": [1, 2], "head_channels": 64}
PAPER |= {"embedding": 512, "dropout": 0.0}
# About the U-Net of Bonnaire et al. 2025 at width 32: 4.4 M parameters, 3.4 GFLOP an image and step
SMALL = {**PAPER, "blocks": 2, "attention_levels": [2], "embedding": 128}
# That of the embedded study
DIGITS = {**PAPER, "channel_multipliers": [1, 2], "blocks": 1, "attention_levels": [], "embedding": 64}


@dataclass(frozen=True)
class Problem:
    """A network to train on images of noise, whose content matters to no timing."""

    network: dict[str, Any]
    base_channels: int
    batch_size: int
    side: int = 32
    channels: int = 3
    train_size: int = 2048
    device: str = "cpu"

    @property
    def data(self) -> ImageSet:
        source = np.random.default_rng(0)

        def split(size: int) -> Split:
            shape = (size, self.side, self.side, self.channels)
            return Split(source.integers(0, 256, shape, dtype=np.uint8), source.integers(0, 10, size))

        return ImageSet(split(self.train_size), split(16), "noise", 10)

    def run(self, seed: int = 0) -> Run:
        return Run("", self.train_size, self.base_channels, self.batch_size, 1e-4, seed, 10**9)

    def on(self, device: str) -> Problem:
        return dataclasses.replace(self, device=device)

    def trainer(self, options: TrainingOptions, seed: int = 0, images: DeviceImages | None = None) -> Trainer:
        """A run on the current stream."""
        formulation = build_formulation(FLOW, 10)
        return Trainer(self.data, self.run(seed), self.network, formulation, options, self.device, images)

    def untrained(self) -> UNet:
        """The network of a run, on torch's default device."""
        return UNet((self.channels, self.side, self.side), 10, self.base_channels, **self.network)

    def network_cost(self) -> NetworkCost:
        return network_cost((self.channels, self.side, self.side), 10, self.base_channels, self.network)

    def cost(self) -> tuple[int, float]:
        """Parameters, and floating-point operations of training on one image."""
        cost = self.network_cost()
        return cost.parameters, 3 * cost.forward_flops


def finish(device: str) -> None:
    if device == "cuda":
        torch.cuda.synchronize()


class Ours:
    """Runs of this library, side by side where there are several."""

    def __init__(self, problem: Problem, precision: str, count: int = 1) -> None:
        options = TrainingOptions(0.9999, precision=precision)
        images = DeviceImages.load(problem.data, problem.train_size, problem.device)
        gpu = problem.device == "cuda"
        self.set_up: Callable[[], None] = partial(set_up_gpu, False, precision)  # as a job does, before it captures
        self.streams = [torch.cuda.Stream() if gpu else None for _ in range(count)]
        self.trainers = []
        for seed, stream in enumerate(self.streams):
            with torch.cuda.stream(stream):
                self.trainers.append(problem.trainer(options, seed, images))

    def __call__(self, steps: int) -> None:
        self.set_up()
        for taken in range(0, steps, STRIDE):
            for trainer, stream in zip(self.trainers, self.streams, strict=True):
                with torch.cuda.stream(stream):
                    trainer.advance(min(STRIDE, steps - taken))


class Peer:
    """An eager loop as published trainers have it: Adam as it comes, the average in Python, `.item()` each step.

    Its images come from a DataLoader, which puts each batch together on the host, or, as fairly as can be, lie
    on the device.
    """

    def __init__(self, problem: Problem, on_device: bool = False) -> None:
        self.device = problem.device
        data = problem.data
        self.formulation = build_formulation(FLOW, 10)
        self.network = build_network(data, problem.run(), problem.network, self.formulation).to(self.device)
        self.average = build_network(data, problem.run(), problem.network, self.formulation).to(self.device)
        self.optimiser = torch.optim.Adam(self.network.parameters(), lr=1e-4)
        images, labels = to_network(data.train.images), torch.from_numpy(data.train.labels)
        if on_device:
            self.batches = self._drawn(images.to(self.device), labels.to(self.device), problem.batch_size)
        else:
            pinned = self.device == "cuda"
            pairs = TensorDataset(images, labels)
            self.batches = self._forever(
                DataLoader(pairs, problem.batch_size, shuffle=True, drop_last=True, pin_memory=pinned)
            )

    @staticmethod
    def _drawn(images: torch.Tensor, labels: torch.Tensor, count: int) -> Iterator[Any]:
        while True:
            index = torch.randint(len(images), (count,), device=images.device)
            yield images[index], labels[index]

    @staticmethod
    def _forever(loader: DataLoader[Any]) -> Iterator[Any]:
        while True:
            yield from loader

    def __call__(self, steps: int) -> None:
        torch.backends.cudnn.allow_tf32, torch.backends.cudnn.benchmark = True, False  # torch's own settings
        torch.use_deterministic_algorithms(False)
        fused, blocks.FUSED = blocks.FUSED, False
        try:
            self._train(steps)
        finally:
            blocks.FUSED = fused

    def _train(self, steps: int) -> None:
        for _ in range(steps):
            clean, label = (part.to(self.device) for part in next(self.batches))
            noise, time_ = torch.randn_like(clean), torch.rand(len(clean), device=self.device)
            loss = self.formulation.loss(self.network, clean, noise, time_, label).mean()
            self.optimiser.zero_grad()
            loss.backward()
            self.optimiser.step()
            with torch.no_grad():
                for mean, weight in zip(self.average.parameters(), self.network.parameters(), strict=True):
                    mean.mul_(0.9999).add_(weight, alpha=1 - 0.9999)
            loss.item()


PEERS = {"eager loop": False, "eager loop, images on the device": True}


def free(device: str) -> None:
    """Give back the memory of what is no longer referred to, so that a point is not measured beside the last one."""
    gc.collect()
    if device == "cuda":
        torch.cuda.empty_cache()


def in_turn(contenders: Mapping[str, Callable[[], Any]], rounds: int, device: str) -> dict[str, dict[str, list[float]]]:
    """Elapsed and processor seconds of each contender in each round, after one that warms up."""
    times: dict[str, dict[str, list[float]]] = {name: {"elapsed": [], "processor": []} for name in contenders}
    for round_ in range(rounds + 1):
        for name, contender in contenders.items():
            finish(device)
            start = time.perf_counter(), time.process_time() + _children()
            contender()
            finish(device)
            end = time.perf_counter(), time.process_time() + _children()
            if round_:
                times[name]["elapsed"].append(end[0] - start[0])
                times[name]["processor"].append(end[1] - start[1])
    return times


def _children() -> float:
    """Processor seconds of the processes that have been waited for."""
    found = os.times()
    return found.children_user + found.children_system


def measure_cpu(arguments: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """The embedded study's run against a plain loop, and a pack of six against six runs alone."""
    torch.set_num_threads(1)
    config = resolve(read_yaml(ROOT / "config" / "config.yaml"))
    problem = Problem(network_settings(config["network"]), 16, 16, side=8, channels=1, train_size=128)
    ours, peer = Ours(problem, "float32"), Peer(problem)
    steps = arguments.steps or 60
    contenders = {"memsweep": partial(ours, steps), "plain loop": partial(peer, steps)}
    times = in_turn(contenders, arguments.rounds, "cpu")
    per_step = {name: spread([1e3 * t / steps for t in found["elapsed"]]) for name, found in times.items()}
    result: dict[str, Any] = {
        "parameters": problem.cost()[0],
        "batch_size": 16,
        "milliseconds_a_step": per_step,
        "speed_against_plain_loop": spread(ratios(times["plain loop"]["elapsed"], times["memsweep"]["elapsed"])),
        "speed_by_processor_time": spread(ratios(times["plain loop"]["processor"], times["memsweep"]["processor"])),
    }
    with tempfile.TemporaryDirectory() as folder:
        images = Path(folder) / "images.parquet"
        prepare({"name": "digits", "test_images": 500, "seed": 0}, images)
        settings = json.loads(Sweep(config).train(next(iter(Sweep(config).packs))))
        budget = arguments.steps or 60
        settings["training"]["budget"] = {"steps": budget}
        settings["evaluation"] |= {"first": budget, "surrogates": []}
        first = settings["runs"][0] | {"max_steps": budget}
        settings["runs"] = [first | {"run_id": f"run{seed}", "seed": seed} for seed in range(6)]

        def job(runs: slice, threads: int) -> Callable[[], None]:
            def train() -> None:
                with tempfile.TemporaryDirectory(dir=folder) as place, contextlib.redirect_stderr(io.StringIO()):
                    way = Way(device="cpu", threads=threads)
                    chosen = {**settings, "runs": settings["runs"][runs]}
                    train_pack(chosen, images, Path(place) / "checkpoints", Path(place) / "tables", way)

            return train

        cores = os.cpu_count() or 1
        jobs = {"one": job(slice(1), 1), "six in turn": job(slice(6), 1), f"six on {cores} cores": job(slice(6), cores)}
        times = in_turn(jobs, max(2, arguments.rounds // 2), "cpu")
    for name in list(jobs)[1:]:
        for kind in ("elapsed", "processor"):
            of_six = [6 * t for t in times["one"][kind]]
            result[f"{name}, {kind} time against six times one"] = spread(ratios(times[name][kind], of_six))
    yield result


def measure_step(arguments: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """Images a second of one run, its share of the device's peak, and its speed against the eager loops."""
    device = arguments.device
    peak = matrix_product_rate(device, torch.bfloat16 if device == "cuda" else torch.float32)
    for base_channels in arguments.channels:
        for batch_size in arguments.batches:
            problem = Problem(PAPER, base_channels, batch_size, device=device)
            row = {"base_channels": base_channels, "batch_size": batch_size, "matrix_product_flops_a_second": peak}
            yield row | step_point(problem, arguments.precisions, peak, arguments.rounds, arguments.steps)


def step_point(
    problem: Problem, precisions: Sequence[str], peak: float, rounds: int, steps: int | None = None
) -> dict[str, Any]:
    """One network and batch in these precisions, with the eager loops beside them."""
    parameters, flops = problem.cost()
    point: dict[str, Any] = {"parameters": parameters, "flops_an_image": flops}
    device = problem.device
    steps = steps or (max(4, min(32, int(1.5e13 / (flops * problem.batch_size)))) if device == "cuda" else 2)
    free(device)
    try:
        contenders: dict[str, Callable[[int], None]] = {name: Ours(problem, name) for name in precisions}
        contenders |= {name: Peer(problem, on_device) for name, on_device in PEERS.items()}
        for name in precisions:
            started = time.perf_counter()
            contenders[name](1)
            finish(device)
            point[name] = {"first_step_seconds": float(f"{time.perf_counter() - started:.3g}")}
        times = in_turn({name: partial(call, steps) for name, call in contenders.items()}, rounds, device)
    except RuntimeError as error:
        return point | {"failed": str(error)[:200]}
    for name, found in times.items():
        rates = [steps * problem.batch_size / t for t in found["elapsed"]]
        point[name] = point.get(name, {}) | {
            "images_a_second": spread(rates),
            "share_of_peak": spread([rate * flops / peak for rate in rates]),
            **{
                f"speed_against_{peer.replace(' ', '_')}": spread(ratios(times[peer]["elapsed"], found["elapsed"]))
                for peer in PEERS
            },
        }
    return point


def measure_packs(arguments: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """Images a second of several small runs side by side, together."""
    for base_channels, batch_size in ((16, 16), (32, 16), (32, 64), (32, 512)):
        problem = Problem(SMALL, base_channels, batch_size, device=arguments.device)
        yield from pack_point(problem, arguments.precisions[-1], arguments.sizes, arguments.rounds, arguments.steps)


def pack_point(
    problem: Problem, precision: str, sizes: Sequence[int], rounds: int, steps: int | None = None
) -> Iterator[dict[str, Any]]:
    """Packs of these sizes of one network, each beside the least and the eager loop, and freed before the next."""
    device = problem.device
    steps = steps or (96 if device == "cuda" else 1)
    for count in sizes:
        free(device)
        contenders: dict[str, Callable[[int], None]] = {"pack": Ours(problem, precision, count)}
        contenders["alone"] = Ours(problem, precision, sizes[0])
        contenders["eager"] = Peer(problem, on_device=True)
        times = in_turn({name: partial(call, steps) for name, call in contenders.items()}, rounds, device)
        pack, alone, eager = (times[name]["elapsed"] for name in ("pack", "alone", "eager"))
        yield {
            "parameters": problem.cost()[0],
            "base_channels": problem.base_channels,
            "batch_size": problem.batch_size,
            "precision": precision,
            "runs": count,
            "images_a_second": spread([count * steps * problem.batch_size / t for t in pack]),
            "gain_of_packing": spread([count / sizes[0] * r for r in ratios(alone, pack)]),
            "speed_against_eager_loop_images_on_the_device": spread([count * r for r in ratios(eager, pack)]),
        }
        contenders.clear()


def measure_evaluation(arguments: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """The share that a job of each pack of the embedded study, or of another, says evaluations took."""
    sweep = Sweep(resolve(read_yaml(arguments.study)))
    with tempfile.TemporaryDirectory() as folder:
        images = Path(folder) / "images.parquet"
        prepare(json.loads(sweep.prepare()), images)
        surrogates = Path(folder) / "surrogates.parquet"
        write_surrogates(sweep.surrogates, images, surrogates)
        for job in list(sweep.packs)[: arguments.packs]:
            said = io.StringIO()
            with contextlib.redirect_stderr(said):
                way = Way(device=arguments.device)
                settings, place = json.loads(sweep.train(job)), Path(folder) / job
                train_pack(settings, images, place / "c", place / "t", way, surrogates)
            line = next(line for line in said.getvalue().splitlines() if "evaluations" in line)
            yield {"study": sweep.name, "job": job, "said": line}


def measure_startup(arguments: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """Seconds of a training job that has one step to take, and of what it must load."""
    with tempfile.TemporaryDirectory() as folder:
        images = Path(folder) / "images.parquet"
        prepare({"name": "digits", "test_images": 500, "seed": 0}, images)
        sweep = Sweep(resolve(read_yaml(ROOT / "config" / "config.yaml")))
        settings = json.loads(sweep.train(next(iter(sweep.packs))))
        settings["training"]["budget"] = {"steps": 1}
        settings["evaluation"] |= {"first": 1, "images": 2, "samples": 2, "surrogates": []}
        settings["runs"] = [settings["runs"][0] | {"max_steps": 1}]
        place = iter(range(1000))

        def job() -> None:
            output = f"{folder}/{next(place)}"
            command = [sys.executable, "-m", "memsweep", "train", "--images", str(images), "--device", arguments.device]
            command += ["--checkpoints", f"{output}/checkpoints", "--output", f"{output}/tables"]
            subprocess.run(command, input=json.dumps(settings), text=True, stderr=subprocess.DEVNULL, check=True)

        def load(module: str) -> Callable[[], Any]:
            return lambda: subprocess.run([sys.executable, "-c", f"import {module}"], check=True)

        contenders = {
            "job": job,
            "python": load("sys"),
            "torch": load("torch"),
            "memsweep.jobs.packs": load("memsweep.jobs.packs"),
        }
        times = in_turn(contenders, arguments.rounds, "cpu")
    yield {name: {kind: spread(values) for kind, values in found.items()} for name, found in times.items()}


def matrix_product_rate(device: str, dtype: torch.dtype) -> float:
    """Operations a second of a large matrix product: what the device can do at best."""
    size = 8192 if device == "cuda" else 1024
    left, right = (torch.randn(size, size, device=device).to(dtype) for _ in range(2))
    repeats, best = 10 if device == "cuda" else 1, 0.0
    for _ in range(5):
        finish(device)
        start = time.perf_counter()
        for _ in range(repeats):
            left @ right
        finish(device)
        best = max(best, 2 * size**3 * repeats / (time.perf_counter() - start))
    return best


MEASUREMENTS = {
    "cpu": measure_cpu,
    "step": measure_step,
    "packs": measure_packs,
    "evaluation": measure_evaluation,
    "startup": measure_startup,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=MEASUREMENTS)
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--channels", type=int, nargs="+", default=[16, 64, 128])
    parser.add_argument("--batches", type=int, nargs="+", default=[16, 128])
    parser.add_argument("--precisions", nargs="+", default=["float32", "tf32", "bfloat16"])
    parser.add_argument("--sizes", type=int, nargs="+", default=[1, 4, 8, 16], help="runs of a pack")
    parser.add_argument("--study", type=Path, default=ROOT / "config" / "config.yaml")
    parser.add_argument("--packs", type=int, default=None, help="of the study, the first so many")
    parser.add_argument("--steps", type=int, default=None)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=600, help="no point begins that would end later")
    parser.add_argument("--output", type=Path)
    arguments = parser.parse_args()
    set_up_cuda()
    output = arguments.output or RESULTS / f"training-{arguments.what}-{arguments.device}.json"
    described = {"commit": commit(), "machine": machine(arguments.device), "rounds": arguments.rounds}
    points: list[dict[str, Any]] = []
    began = time.monotonic()
    for point in MEASUREMENTS[arguments.what](arguments):
        points.append(point)
        print(json.dumps(point), flush=True)
        save(described | {"points": points}, output)
        elapsed = time.monotonic() - began
        if elapsed + 1.5 * elapsed / len(points) > arguments.seconds:
            print(f"out of time after {len(points)} points", flush=True)
            break


if __name__ == "__main__":
    main()
