"""How long the exact nearest-neighbour search takes, beside the usual ways to do it.

    python benchmarks/neighbours.py              # some two minutes on two cores
    python benchmarks/neighbours.py --full       # 10,000 x 50,000 images of 32 x 32 x 3

Contenders run in turn within each repeat, so that whatever else the machine does meets all of
them, and each repeat gives a ratio to the bare matrix product of the same shape: of elapsed time,
and of the processor time of all threads, which a busy machine distorts less. Memory is the growth
of the peak resident size during a contender's one run, in a process of its own that has loaded
the images as uint8 and as float32.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

# torch and faiss each bring an OpenMP runtime; idle threads of one would spin against the other's.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import numpy as np
import torch
from memsweep.metrics.neighbours import nearest, nearest_in_ranges
from record import RESULTS, commit, lines, machine, ratios, save, spread

# Floats of the largest matrix of distances that the contenders without a limit of their own hold: 256 MiB
BLOCK = 2**26
# Queries from which the broadcast's time is extrapolated
BROADCAST_QUERIES = 4

PRODUCT = "matrix product"
BROADCAST = "broadcast"


class Problem:
    """Queries and references, (n, d), as uint8 and as float32 on a device."""

    def __init__(self, queries: np.ndarray, references: np.ndarray, device: str = "cpu") -> None:
        self.device = device
        self.queries, self.references = queries, references
        self.left, self.right = (
            torch.from_numpy(images.astype(np.float32)).to(device) for images in (queries, references)
        )

    @property
    def rows(self) -> int:
        return max(1, BLOCK // len(self.references))

    def finish(self) -> None:
        if self.device == "cuda":
            torch.cuda.synchronize()


def images(queries: int, references: int, side: int) -> tuple[np.ndarray, np.ndarray]:
    """Images with the spectrum of natural ones, 1/f; half of the queries are noisy copies of references."""
    source = np.random.default_rng(0)
    right = natural_images(references, side, source)
    left = natural_images(queries, side, source)
    copied = source.choice(references, queries // 2, replace=queries > references)
    noise = source.normal(0, 8, (queries // 2, left.shape[1]))
    left[: queries // 2] = np.clip(right[copied] + noise, 0, 255).astype(np.uint8)
    return left, right


def natural_images(count: int, side: int, source: np.random.Generator) -> np.ndarray:
    """Images with the spectrum of natural ones, 1/f, (count, side * side * 3) uint8."""
    frequency = np.hypot(np.fft.fftfreq(side)[:, None], np.fft.rfftfreq(side))
    frequency[0, 0] = 1 / side
    images = np.empty((count, side * side * 3), np.uint8)
    for start in range(0, count, 1000):
        part = images[start : start + 1000]
        spectrum = np.fft.rfft2(source.standard_normal((len(part), 3, side, side), dtype=np.float32)) / frequency
        smooth = np.fft.irfft2(spectrum, s=(side, side)).reshape(len(part), -1)
        part[:] = np.clip(128 + 60 * smooth / smooth.std(), 0, 255)
    return images


def matrix_product(problem: Problem) -> None:
    for rows in problem.left.split(problem.rows):
        rows @ problem.right.T


def search_images(problem: Problem) -> np.ndarray:
    return nearest(problem.queries, problem.references, device=problem.device).index


def search_features(problem: Problem) -> np.ndarray:
    return nearest(problem.left.cpu().numpy(), problem.right.cpu().numpy(), device=problem.device).index


def search_ranges(problem: Problem) -> None:
    n = len(problem.references)
    sizes = [n // 16, n // 8, n // 4, n // 2]
    ranges = [(0, size) for size in sizes] + [(size, 2 * size) for size in sizes]
    nearest_in_ranges(problem.queries, problem.references, ranges, device=problem.device)


def cdist(problem: Problem) -> np.ndarray:
    found = [
        torch.cdist(rows, problem.right).topk(2, dim=1, largest=False).indices
        for rows in problem.left.split(problem.rows)
    ]
    return torch.cat(found).cpu().numpy()


def faiss_flat(problem: Problem) -> np.ndarray:
    import faiss

    index = faiss.IndexFlatL2(problem.right.shape[1])
    index.add(problem.right.cpu().numpy())
    return index.search(problem.left.cpu().numpy(), 2)[1]


def broadcast(problem: Problem) -> np.ndarray:
    found = [
        (query - problem.right).square().sum(dim=1).topk(2, largest=False).indices
        for query in problem.left[:BROADCAST_QUERIES]
    ]
    return torch.stack(found).cpu().numpy()


Contender = Callable[[Problem], np.ndarray | None]
CONTENDERS: dict[str, Contender] = {
    PRODUCT: matrix_product,
    "memsweep, uint8 images": search_images,
    "memsweep, float32 features": search_features,
    "memsweep, 8 ranges: 4 training sets and their controls": search_ranges,
    "torch.cdist + topk": cdist,
    "faiss.IndexFlatL2": faiss_flat,
    BROADCAST: broadcast,
}


def use_threads(threads: int) -> None:
    import faiss

    torch.set_num_threads(threads)
    faiss.omp_set_num_threads(threads)


def time_all(problem: Problem, repeats: int, truth: np.ndarray) -> list[dict[str, Any]]:
    """Times of each contender, their ratios to the product of the same repeat, and queries it gets wrong."""
    seconds: dict[str, list[float]] = {name: [] for name in CONTENDERS}
    processor: dict[str, list[float]] = {name: [] for name in CONTENDERS}
    wrong: dict[str, int] = {}
    for repeat in range(repeats + 1):
        for name, contender in CONTENDERS.items():
            problem.finish()
            start, processor_start = time.perf_counter(), time.process_time()
            index = contender(problem)
            problem.finish()
            whole = len(problem.queries) / BROADCAST_QUERIES if name == BROADCAST else 1
            if repeat:  # the first round warms up
                seconds[name].append(whole * (time.perf_counter() - start))
                processor[name].append(whole * (time.process_time() - processor_start))
            if index is not None:
                wrong[name] = int((index != truth[: len(index)]).any(axis=1).sum())
    return [
        {
            "contender": name,
            "seconds": spread(seconds[name]),
            "ratio_to_product": spread(ratios(seconds[name], seconds[PRODUCT])),
            "processor_ratio_to_product": spread(ratios(processor[name], processor[PRODUCT])),
            "extrapolated_from_queries": BROADCAST_QUERIES if name == BROADCAST else None,
            "queries_wrong": wrong.get(name),
        }
        for name in CONTENDERS
    ]


def true_neighbours(problem: Problem) -> np.ndarray:
    """Two nearest by squared distances in int64, which float64 products of these integers give without rounding."""
    right = problem.right.cpu().double()
    squares = right.square().sum(dim=1)
    result = []
    for rows in problem.left.cpu().split(256):
        squared = squares - 2 * rows.double() @ right.T
        # ties by lower row: no two squared distances differ by less than 1
        squared += torch.arange(len(right)) / len(right) / 2
        result.append(squared.topk(2, dim=1, largest=False).indices)
    return torch.cat(result).numpy()


def peak_bytes() -> int:
    """Peak resident size of this process. (Linux; `getrusage` would count what its parent held when it started.)"""
    return 1024 * next(int(line.split()[1]) for line in lines("/proc/self/status") if line.startswith("VmHWM"))


def memory_of(name: str, problem: Problem) -> int:
    """Growth of the peak resident size while a contender runs, in a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        np.save(Path(folder) / "queries.npy", problem.queries)
        np.save(Path(folder) / "references.npy", problem.references)
        command = [sys.executable, __file__, "--memory-of", name, folder]
        return int(subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout)


def print_memory(name: str, folder: str) -> None:
    use_threads(1)
    problem = Problem(np.load(Path(folder) / "queries.npy"), np.load(Path(folder) / "references.npy"))
    # what a first call loads is not the search's
    CONTENDERS[name](Problem(problem.queries[:50], problem.references[:100]))
    before = peak_bytes()
    CONTENDERS[name](problem)
    print(peak_bytes() - before)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--queries", type=int, default=1500)
    parser.add_argument("--references", type=int, default=10_000)
    parser.add_argument("--side", type=int, default=32, help="images of side x side x 3")
    parser.add_argument("--full", action="store_true", help="10,000 queries, 50,000 references")
    parser.add_argument("--threads", type=int, nargs="+", default=sorted({1, os.cpu_count() or 1}))
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--output", type=Path, default=RESULTS / "neighbours.json")
    parser.add_argument("--memory-of", nargs=2, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.full:
        arguments.queries, arguments.references = 10_000, 50_000
    if arguments.memory_of:
        return print_memory(*arguments.memory_of)

    result: dict[str, Any] = {
        "commit": commit(),
        "machine": machine(arguments.device, "faiss-cpu"),
        "queries": arguments.queries,
        "references": arguments.references,
        "dimension": 3 * arguments.side**2,
        "repeats": arguments.repeats,
        "threads": {},
    }
    problem = Problem(*images(arguments.queries, arguments.references, arguments.side), arguments.device)
    truth = true_neighbours(problem)
    for threads in arguments.threads:
        use_threads(threads)
        result["threads"][str(threads)] = rows = time_all(problem, arguments.repeats, truth)
        for row in rows:
            elapsed, processor = (
                "{median:7.3g} ({min:.3g} to {max:.3g})".format(**row[key])
                for key in ("ratio_to_product", "processor_ratio_to_product")
            )
            print(
                f"{threads} threads {row['seconds']['median']:9.3g} s {elapsed} {processor}  {row['contender']}",
                flush=True,
            )
    if arguments.device == "cpu" and sys.platform == "linux":
        result["peak_memory_bytes"] = {name: memory_of(name, problem) for name in CONTENDERS}
    save(result, arguments.output)
    return None


if __name__ == "__main__":
    main()
