"""What a visit to a GPU times: training steps beside eager loops, packs, evaluations, and variants of the step."""

from __future__ import annotations

import collections
import contextlib
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from gpu_correctness import Runs, workshop_of
from memsweep.base.devices import set_up_gpu
from memsweep.models import blocks
from memsweep.study.cost import evaluation_memory, gpu_memory
from memsweep.training import trainer as library
from record import spread
from torch.nn import functional as F
from torch.utils._python_dispatch import TorchDispatchMode
from training import (
    DIGITS,
    PAPER,
    SMALL,
    Ours,
    Problem,
    finish,
    free,
    in_turn,
    matrix_product_rate,
    pack_point,
    step_point,
)

Found = dict[str, Any]
# Network, base channels, batch, and images: side, channels
POINTS = {
    "small, 32 channels, B = 64": (SMALL, 32, 64, 32, 3),
    "paper's, 64 channels, B = 128": (PAPER, 64, 128, 32, 3),
    "paper's, 128 channels, B = 16": (PAPER, 128, 16, 32, 3),
    "paper's, 128 channels, B = 128": (PAPER, 128, 128, 32, 3),
    "paper's, 16 channels, B = 16": (PAPER, 16, 16, 32, 3),
    "paper's, 192 channels, B = 64": (PAPER, 192, 64, 32, 3),
    "paper's, 64 channels, B = 512": (PAPER, 64, 512, 32, 3),
    "digits, 16 channels, B = 16": (DIGITS, 16, 16, 8, 1),
}


def problem_at(runs: Runs, point: str) -> Problem:
    network, base_channels, batch_size, side, channels = POINTS[point]
    return runs.problem(network, base_channels, batch_size, side=side, channels=channels)


def points(runs: Runs) -> list[str]:
    return list(POINTS) if runs.on_gpu else list(POINTS)[:1]


def ceilings(runs: Runs) -> Found:
    """Bytes a second of a copy, read and written; operations a second of a large product in each precision."""
    count = runs.steps(2**28, 2**20)
    source, target = torch.randn(count, device=runs.device), torch.empty(count, device=runs.device)
    best = 0.0
    for _ in range(5):
        finish(runs.device)
        start = time.perf_counter()
        for _ in range(5):
            target.copy_(source)
        finish(runs.device)
        best = max(best, 5 * 8 * count / (time.perf_counter() - start))
    found: Found = {"copy, bytes a second": best}
    for precision in ("float32", "tf32", "bfloat16"):
        set_up_gpu(True, precision)
        dtype = torch.bfloat16 if precision == "bfloat16" else torch.float32
        found[f"{precision} product, operations a second"] = matrix_product_rate(runs.device, dtype)
    set_up_gpu(True)
    return found


def steps(runs: Runs, until: float, chosen: Sequence[str] = ()) -> Iterator[tuple[str, Found]]:
    """One run at each point in each precision, and the eager loops, in turn; with the memory it took."""
    peak = matrix_product_rate(runs.device, torch.bfloat16 if runs.on_gpu else torch.float32)
    took = 0.0
    for point in chosen or points(runs):
        if time.monotonic() + took > until:
            return
        started = time.monotonic()
        problem = problem_at(runs, point)
        found = step_point(problem, ("float32", "tf32", "bfloat16"), peak, runs.steps(2, 1), None if runs.on_gpu else 1)
        found["memory"] = memory(runs, problem)
        took = time.monotonic() - started
        yield point, found


def memory(runs: Runs, problem: Problem) -> Found:
    """Bytes that one run took, reserved by torch, over what was estimated."""
    if not runs.on_gpu:
        return {}
    cost, found = problem.network_cost(), {}
    for precision in ("float32", "bfloat16"):
        free(runs.device)
        before = torch.cuda.memory_reserved()
        ours = Ours(problem, precision)
        ours(1)
        finish(runs.device)
        torch.cuda.empty_cache()
        taken = torch.cuda.memory_reserved() - before
        estimated = gpu_memory(cost, problem.batch_size, precision, kept=2)
        found[precision] = {"reserved": taken, "estimated": estimated, "ratio": round(taken / estimated, 3)}
        del ours
    return found


def packs(runs: Runs, sizes: Sequence[int] = (1, 4, 8, 16), networks: int = 2) -> Iterator[Found]:
    """Packs of one or two small networks, after each; the process's environment says how many connections there are."""
    sizes = sizes if runs.on_gpu else (1, 2)
    found: Found = {}
    for base_channels, batch_size in ((16, 16), (32, 64))[:networks] if runs.on_gpu else ((16, 2),):
        problem = runs.problem(SMALL, base_channels, batch_size)
        for row in pack_point(problem, "bfloat16", sizes, runs.steps(2, 1), runs.steps(32, 1)):
            found.setdefault(f"small, {base_channels} channels, B = {batch_size}", {})[str(row["runs"])] = row
            yield found


def evaluation(runs: Runs) -> Iterator[Found]:
    """Operations a second of evaluations, as a ratio to those of training steps of the same run."""
    found: Found = {}
    for point in ("paper's, 64 channels, B = 128", "small, 32 channels, B = 64")[: runs.steps(2, 1)]:
        problem = problem_at(runs, point)
        _, flops = problem.cost()
        images, sampling_steps = runs.steps(512, 4), runs.steps(50, 2)
        set_up_gpu(False)
        free(runs.device)
        before = torch.cuda.memory_reserved() if runs.on_gpu else 0
        workshop = workshop_of(problem, "bfloat16", images, sampling_steps)
        trainer = workshop.trainer(problem.run())
        started = time.perf_counter()
        workshop.evaluate(trainer, True)
        first = time.perf_counter() - started
        taken = (torch.cuda.memory_reserved() - before) if runs.on_gpu else 0
        stream, training_steps = workshop.streams.take(), runs.steps(64, 1)
        with torch.cuda.stream(stream):
            trainer = workshop.trainer(problem.run())
            contenders: dict[str, Callable[[], Any]] = {
                "evaluation": partial(workshop.evaluate, trainer, True),
                "training": partial(trainer.advance, training_steps),
            }
            times = in_turn(contenders, runs.steps(2, 1), runs.device)
        done = {"evaluation": flops / 3 * (2 * images + images * sampling_steps)}
        done["training"] = flops * problem.batch_size * training_steps
        rates = {name: [done[name] / t for t in each["elapsed"]] for name, each in times.items()}
        found[point] = {
            "first_seconds": first,
            "seconds": spread(times["evaluation"]["elapsed"]),
            "operations_a_second_over_training": spread(
                [e / t for e, t in zip(rates["evaluation"], rates["training"], strict=True)]
            ),
            "reserved": taken,
            "estimated": evaluation_memory(problem.network_cost(), images, "bfloat16"),
        }
        yield found
        del workshop, trainer, contenders


def searched() -> None:
    """The fastest of the kernels that cuDNN tries."""
    set_up_gpu(False)
    torch.backends.cudnn.benchmark = True


@dataclass(frozen=True)
class Variant:
    """A way to lay out and compute a step; the fused norms work on so many values at a time, with so many warps."""

    channels_last: bool
    fused: bool
    compiled: bool = False
    tiling: tuple[int, int] | None = None


TILINGS = ((4096, 4), (4096, 8), (2048, 4), (2048, 8), (1024, 4))
VARIANTS = {
    "plain": Variant(False, False),
    "channels last": Variant(True, False),
    "channels last, fused": Variant(True, True),
    "channels last, compiled": Variant(True, False, compiled=True),
    **{"tiles of {} by {} warps".format(*tiling): Variant(True, True, tiling=tiling) for tiling in TILINGS},
}


@contextlib.contextmanager
def _as_in(variant: Variant) -> Iterator[None]:
    kernels: Any = blocks._kernels()
    before = library.CHANNELS_LAST, blocks.FUSED, (kernels.norm.TILE, kernels.norm.WARPS) if kernels else None
    library.CHANNELS_LAST = ("float32", "tf32", "bfloat16") if variant.channels_last else ()
    blocks.FUSED = variant.fused
    if variant.tiling:
        kernels.norm.TILE, kernels.norm.WARPS = variant.tiling
    try:
        yield
    finally:
        library.CHANNELS_LAST, blocks.FUSED, tiling = before
        if tiling:
            kernels.norm.TILE, kernels.norm.WARPS = tiling


def variant_at(runs: Runs, problem: Problem, name: str, precision: str) -> Found:
    """Milliseconds a step of one variant, and the seconds before the first one has ended."""
    variant = VARIANTS[name]
    free(runs.device)
    started = time.perf_counter()
    with _as_in(variant):
        ours = Ours(problem, precision)
        set_up_gpu(False, precision)
        ours.set_up = lambda: None
        if variant.compiled:
            network: Any = ours.trainers[0]._working
            network.forward = torch.compile(network.forward, dynamic=False)
        ours(1)
        finish(runs.device)
        first = time.perf_counter() - started
        count = runs.steps(8, 1)
        times = in_turn({name: partial(ours, count)}, runs.steps(3, 1), runs.device)[name]["elapsed"]
        milliseconds = spread([1e3 * t / count for t in times])
    return {"first_seconds": round(first, 2), "ms": milliseconds, "loss": ours.trainers[0].recent_loss()}


# Which variants are timed where, the most telling first
Choice = tuple[str, str, tuple[str, ...]]
CHOSEN: tuple[Choice, ...] = (
    ("paper's, 64 channels, B = 128", "bfloat16", ("plain", "channels last", "channels last, fused")),
    ("paper's, 64 channels, B = 128", "tf32", ("plain", "channels last, fused")),
    ("paper's, 64 channels, B = 128", "float32", ("plain", "channels last, fused")),
    ("small, 32 channels, B = 64", "bfloat16", ("plain", "channels last, fused")),
    ("small, 32 channels, B = 64", "float32", ("plain", "channels last, fused")),
    ("paper's, 128 channels, B = 128", "bfloat16", ("plain", "channels last, fused")),
    ("paper's, 64 channels, B = 128", "bfloat16", ("channels last, compiled",)),  # last, as compiling takes a minute
)
OF_TILES = tuple(name for name in VARIANTS if name.startswith("tiles"))
OF_TILES_CHOSEN: tuple[Choice, ...] = (
    ("paper's, 64 channels, B = 128", "bfloat16", OF_TILES),
    ("small, 32 channels, B = 64", "bfloat16", OF_TILES),
)


def variants(runs: Runs, until: float, chosen: Sequence[Choice] = CHOSEN) -> Iterator[tuple[str, Found]]:
    """Variants of the step at three points, in one or more precisions, each as soon as it is timed."""
    for point, precision, names in chosen if runs.on_gpu else ((next(iter(POINTS)), "bfloat16", tuple(VARIANTS)[:3]),):
        for name in names:
            if time.monotonic() > until:
                return
            try:
                found = variant_at(runs, problem_at(runs, point), name, precision)
            except Exception as error:
                found = {"failed": f"{type(error).__name__}: {str(error)[:600]}"}
            yield f"{point}, {precision}, {name}", found


class _Convolutions(TorchDispatchMode):
    """Counts the convolutions that are called, by the shapes of images and weights, stride and padding."""

    def __init__(self) -> None:
        super().__init__()
        self.found: collections.Counter[tuple[Any, ...]] = collections.Counter()

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if function is torch.ops.aten.convolution.default:
            image, weight, _, stride, padding = args[:5]
            self.found[tuple(image.shape), tuple(weight.shape), tuple(stride), tuple(padding)] += 1
        return function(*args, **(kwargs or {}))


def convolutions(runs: Runs, way: str) -> Found:
    """What the convolutions of a step take on their own, by how cuDNN's kernels are chosen.

    What is left of a step's time is what everything else takes; their share of the product's rate is the most that
    a step could reach. One way in a process, as torch goes on using a kernel once it has chosen it.
    """
    problem = problem_at(runs, "paper's, 64 channels, B = 128" if runs.on_gpu else points(runs)[0])
    WAYS[way]()
    rows: list[tuple[Any, ...]] = []
    whole: dict[str, float] = collections.defaultdict(float)
    for (image, weight, stride, padding), count in _convolutions_of(problem).items():
        x, w = (
            torch.randn(size, device=runs.device, dtype=torch.bfloat16).to(memory_format=torch.channels_last)
            for size in (image, weight)
        )
        y = F.conv2d(x, w, None, stride, padding)
        given = torch.randn_like(y), x, w, None, stride, padding, [1, 1], False, [0, 0], 1
        backward = partial(torch.ops.aten.convolution_backward, *given)
        kinds: dict[str, Callable[[], Any]] = {
            "forward": partial(F.conv2d, x, w, None, stride, padding),
            "images' gradient": partial(backward, [True, False, False]),
            "weights' gradient": partial(backward, [False, True, False]),
        }
        times = {kind: repeated(call, runs) for kind, call in kinds.items()}
        for kind, seconds in times.items():
            whole[kind] += count * seconds
        rows.append((f"{image} * {weight} / {stride[0]}", count, 2 * y.numel() * w[0].numel(), *times.values()))
    rows.sort(key=lambda row: -row[1] * sum(row[3:]))
    return {
        "ms": {kind: 1e3 * seconds for kind, seconds in whole.items()},
        "operations a second": 3 * sum(row[1] * row[2] for row in rows) / sum(whole.values()),
        "columns": ["convolution", "number", "operations", *whole],
        "most": rows[:16],
    }


def _convolutions_of(problem: Problem) -> collections.Counter[tuple[Any, ...]]:
    """How often a network convolves, by the shapes of images and weights, stride and padding."""
    with torch.device("meta"), torch.no_grad(), _Convolutions() as counted:
        shape = (problem.batch_size, problem.channels, problem.side, problem.side)
        problem.untrained()(torch.zeros(shape), torch.zeros(shape[0]), torch.zeros(shape[0], dtype=torch.int64))
    return counted.found


def repeated(call: Callable[[], Any], runs: Runs) -> float:
    """Seconds of a call among many, without what launching them takes where they are kernels of a GPU."""
    count = runs.steps(20, 1)
    for _ in range(3):
        call()
    if not runs.on_gpu:
        start = time.perf_counter()
        call()
        return time.perf_counter() - start
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        for _ in range(count):
            call()
    graph.replay()
    marks = [torch.cuda.Event(enable_timing=True) for _ in range(2)]
    marks[0].record()
    graph.replay()
    marks[1].record()
    marks[1].synchronize()
    return 1e-3 * marks[0].elapsed_time(marks[1]) / count


def census(runs: Runs) -> Found:
    """Which kernels a step takes and for how long, one by one as the profiler sees them."""
    from torch.profiler import ProfilerActivity, profile

    found: Found = {}
    for point in ("small, 32 channels, B = 64", "paper's, 64 channels, B = 128") if runs.on_gpu else points(runs):
        free(runs.device)
        set_up_gpu(False)
        stream = runs.stream()
        trainer = runs.build(problem_at(runs, point), "bfloat16", stream)
        trainer._graphed = False
        runs.advance(trainer, 4, stream)
        finish(runs.device)
        activity = ProfilerActivity.CUDA if runs.on_gpu else ProfilerActivity.CPU
        with profile(activities=[activity]) as profiled:
            runs.advance(trainer, 1, stream)
            finish(runs.device)
        count: collections.Counter[str] = collections.Counter()
        spent: collections.Counter[str] = collections.Counter()
        for event in profiled.events() or []:
            name = event.name[:140]
            count[name] += 1
            spent[name] += int(event.device_time if runs.on_gpu else event.cpu_time)
        found[point] = {
            "kernels": sum(count.values()),
            "microseconds": sum(spent.values()),
            "most": [[name, micro, count[name]] for name, micro in spent.most_common(40)],
        }
        del trainer
    return found


WAYS: dict[str, Callable[[], None]] = {
    "deterministic": partial(set_up_gpu, True),
    "as proposed": partial(set_up_gpu, False),
    "searched": searched,
}


def start_up(runs: Runs, way: str) -> Found:
    """Seconds before the first step has ended and milliseconds of one, by how cuDNN's kernels are chosen.

    One way in a process, as torch goes on using a kernel once it has chosen it.
    """
    found: Found = {}
    for point in ("small, 32 channels, B = 64", "paper's, 64 channels, B = 128") if runs.on_gpu else points(runs):
        problem = problem_at(runs, point)
        free(runs.device)
        started = time.perf_counter()
        ours = Ours(problem, "bfloat16")
        ours.set_up = WAYS[way]
        ours(1)
        finish(runs.device)
        first = time.perf_counter() - started
        count = runs.steps(16, 1)
        times = in_turn({way: partial(ours, count)}, runs.steps(3, 1), runs.device)[way]["elapsed"]
        found[point] = {"first_seconds": first, "ms": spread([1e3 * t / count for t in times])}
        del ours
    return found
