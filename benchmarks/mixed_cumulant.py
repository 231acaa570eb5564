"""How fast single units learn the mixed cumulant model, beside the usual ways to simulate them.

    python benchmarks/mixed_cumulant.py          # some two minutes on one core

Contenders run in turn within each repeat, so that whatever else the machine does meets all of them.
Each is measured in steps of a replica a second, and by its ratio to the plain loop of the same
repeat: of elapsed time, and of the processor time of all threads, which a busy machine distorts
less. All draw their patterns as they go and take the same kind of steps: the tests show that the
coordinates that memsweep follows have the law of the vectors.
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from memsweep.theory.mixed_cumulant.activations import ACTIVATIONS
from memsweep.theory.mixed_cumulant.learning import BLOCK, Learner, Unit
from memsweep.theory.mixed_cumulant.model import MixedCumulantModel
from record import RESULTS, commit, machine, ratios, save, spread

MODEL = MixedCumulantModel(beta_u=1, beta_v=8, correlation=1)
UNIT = Unit("sine", (0.3,), step_size=0.2, step_power=1)

LOOP = "plain loop: one replica, vectors"


def vectors(replicas: int, dimension: int, steps: int, device: str) -> int:
    """Replicas as the rows of a matrix of weights; returns the replica steps taken."""
    source = torch.Generator(device=device).manual_seed(0)
    on_cpu = torch.Generator().manual_seed(0)
    u, v = torch.eye(dimension, device=device)[:2]
    w = torch.nn.functional.normalize(torch.randn((replicas, dimension), generator=source, device=device), dim=-1)
    level, size = UNIT.noise_levels[0], UNIT.step_size / dimension
    for _ in range(steps):
        noise = torch.randn((2, replicas, dimension), generator=source, device=device)
        x = MODEL.patterns(MODEL.latents((replicas,), on_cpu).to(device), noise[0], u, v)
        noisy = math.sqrt(1 - level**2) * x + level * noise[1]
        along, noisy_along = (w * x).sum(-1, keepdim=True), (w * noisy).sum(-1, keepdim=True)
        value, slope = ACTIVATIONS[UNIT.activation].both(noisy_along)
        move = value * x + slope * (along - value) * noisy
        w = torch.nn.functional.normalize(w + size * (move - (w * move).sum(-1, keepdim=True) * w), dim=-1)
    return replicas * steps


def memsweep(replicas: int, dimensions: list[int], blocks: int, device: str) -> int:
    """The library's learner; returns the replica steps taken."""
    learner = Learner(MODEL, UNIT, dimensions, replicas, seed=0, device=device)
    for _ in range(blocks):
        learner.advance()
    return replicas * len(dimensions) * BLOCK * blocks


def contenders(arguments: argparse.Namespace) -> dict[str, Callable[[], int]]:
    replicas, dimensions, device = arguments.replicas, arguments.dimensions, arguments.device
    large = max(dimensions)
    return {
        LOOP: lambda: vectors(1, large, arguments.steps, device),
        f"{replicas} replicas, vectors": lambda: vectors(replicas, large, arguments.steps, device),
        f"memsweep, {replicas} replicas": lambda: memsweep(replicas, [large], 2, device),
        f"memsweep, {replicas} replicas in each of {len(dimensions)} dimensions": lambda: memsweep(
            replicas, dimensions, 2, device
        ),
    }


def time_all(arguments: argparse.Namespace) -> list[dict[str, Any]]:
    """Replica steps per second of each contender, and ratios to the plain loop of the same repeat."""
    names = contenders(arguments)
    elapsed: dict[str, list[float]] = {name: [] for name in names}
    processor: dict[str, list[float]] = {name: [] for name in names}
    for repeat in range(arguments.repeats + 1):
        for name, contender in names.items():
            start, processor_start = time.perf_counter(), time.process_time()
            taken = contender()
            if arguments.device == "cuda":
                torch.cuda.synchronize()
            if repeat:  # the first round warms up
                elapsed[name].append(taken / (time.perf_counter() - start))
                processor[name].append(taken / (time.process_time() - processor_start))
    return [
        {
            "contender": name,
            "replica_steps_a_second": spread(elapsed[name]),
            "ratio_to_loop": spread(ratios(elapsed[name], elapsed[LOOP])),
            "processor_ratio_to_loop": spread(ratios(processor[name], processor[LOOP])),
        }
        for name in names
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--replicas", type=int, default=256)
    parser.add_argument("--dimensions", type=int, nargs="+", default=[32, 64, 128, 256, 512])
    parser.add_argument("--steps", type=int, default=300, help="of the contenders with vectors, a repeat")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--output", type=Path, default=RESULTS / "mixed_cumulant.json")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    result: dict[str, Any] = {
        "commit": commit(),
        "machine": machine(arguments.device),
        "threads": torch.get_num_threads(),
        "replicas": arguments.replicas,
        "dimensions": arguments.dimensions,
        "dimension_of_vectors": max(arguments.dimensions),
        "repeats": arguments.repeats,
        "contenders": time_all(arguments),
    }
    for row in result["contenders"]:
        rate = row["replica_steps_a_second"]["median"]
        shown = (
            "{median:9.4g} ({min:.3g} to {max:.3g})".format(**row[f"{kind}ratio_to_loop"])
            for kind in ("", "processor_")
        )
        print(f"{rate:11.4g} /s  {'  '.join(shown)}  {row['contender']}", flush=True)
    save(result, arguments.output)


if __name__ == "__main__":
    main()
