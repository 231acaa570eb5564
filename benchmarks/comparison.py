"""How long it takes to say whether a model copies, beside the bare products of its images with the training images.

    python benchmarks/comparison.py              # two minutes on two cores
    python benchmarks/comparison.py --full       # 10,000 generated and 10,000 held-out images, 50,000 to train on

The comparison is all of `memsweep.compare` but reading and writing files: duplicates, exact neighbours, calibration,
the battery and the answer. Images are those of `neighbours.py`, half of the generated ones noisy copies. Contenders run
in turn within each repeat, which gives a ratio of elapsed time, and of the processor time of all threads.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import memsweep
import numpy as np
import torch
from neighbours import images
from record import RESULTS, commit, machine, ratios, save, spread

# Floats of the largest matrix of products that is held: 256 MiB
BLOCK = 2**26


def product(left: np.ndarray, right: np.ndarray) -> None:
    """The float32 matrix product of rows, in blocks."""
    references = torch.from_numpy(right.reshape(len(right), -1).astype(np.float32))
    queries = torch.from_numpy(left.reshape(len(left), -1).astype(np.float32))
    for rows in queries.split(max(1, BLOCK // len(references))):
        rows @ references.T


def measured(run: Callable[[], object]) -> tuple[float, float]:
    """Elapsed seconds, and those of the processor, of a run."""
    start, processor = time.perf_counter(), time.process_time()
    run()
    return time.perf_counter() - start, time.process_time() - processor


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--generated", type=int, default=2000, help="and as many held-out images")
    parser.add_argument("--train", type=int, default=10_000)
    parser.add_argument("--side", type=int, default=32, help="images of side x side x 3")
    parser.add_argument("--full", action="store_true", help="10,000 generated images, 50,000 to train on")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--output", type=Path, default=RESULTS / "comparison.json")
    arguments = parser.parse_args()
    if arguments.full:
        arguments.generated, arguments.train = 10_000, 50_000
    torch.set_num_threads(arguments.threads)

    side = arguments.side
    # The first half of the queries are noisy copies
    half = arguments.generated // 2
    queries, references = images(6 * half, arguments.train, side)
    train, drawn = (each.reshape(-1, side, side, 3) for each in (references, queries))
    generated, held_out = drawn[2 * half : 4 * half], drawn[4 * half :]

    contenders: dict[str, tuple[Callable[[], object], int]] = {
        "without held-out images": (lambda: memsweep.compare(generated, train), len(generated)),
        "with held-out images": (
            lambda: memsweep.compare(generated, train, held_out),
            len(generated) + len(held_out),
        ),
    }
    memsweep.compare(generated[:200], train[:1000], held_out[:200])  # what a first call loads is no part of it
    rows: list[dict[str, Any]] = []
    for name, (run, compared) in contenders.items():
        alone = partial(product, queries[:compared], references)
        times: dict[str, list[tuple[float, float]]] = {"comparison": [], "product": []}
        for _ in range(arguments.repeats):
            times["comparison"].append(measured(run))
            times["product"].append(measured(alone))
        elapsed, processor = (
            {key: [pair[place] for pair in pairs] for key, pairs in times.items()} for place in (0, 1)
        )
        rows.append(
            {
                "contender": name,
                "images_compared": compared,
                "seconds": spread(elapsed["comparison"]),
                "product_seconds": spread(elapsed["product"]),
                "ratio_to_product": spread(ratios(elapsed["comparison"], elapsed["product"])),
                "processor_ratio_to_product": spread(ratios(processor["comparison"], processor["product"])),
            }
        )
        shown, of_processor = (
            "{median:.3g} ({min:.3g} to {max:.3g})".format(**rows[-1][f"{kind}ratio_to_product"])
            for kind in ("", "processor_")
        )
        seconds = rows[-1]["seconds"]["median"]
        print(f"{name}: {seconds:.3g} s, {shown} of the product, {of_processor} in processor time", flush=True)
    save(
        {
            "commit": commit(),
            "machine": machine("cpu"),
            "threads": arguments.threads,
            "generated": arguments.generated,
            "train": arguments.train,
            "dimension": 3 * side**2,
            "repeats": arguments.repeats,
            "contenders": rows,
        },
        arguments.output,
    )


if __name__ == "__main__":
    main()
