"""How long it takes to sample what a perfect memory generates, beside the matrix products that plain sampling takes.

    python benchmarks/empirical_sampler.py          # two and a half minutes on two cores
    python benchmarks/empirical_sampler.py --unconditional --images 4096 --samples 500

Plain sampling takes the weights of all images of the class at every step, two products of float64 for each sample; what
these alone would take is extrapolated from one pair of products. Memory is the growth of the peak resident size while
samples are made, the images as uint8 being there before.
"""

from __future__ import annotations

import argparse
import os
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from memsweep.closed_form.empirical_sampler import BLOCK, CHUNK, generate
from memsweep.data.images import Split, to_pixels
from memsweep.diffusion.formulation import PROCESSES, build_formulation
from memsweep.training.evaluation import labels_of, latents_of
from neighbours import natural_images, peak_bytes
from record import RESULTS, commit, machine, save

CLASSES = 10


def split(count: int, side: int) -> Split:
    """Images with the spectrum of natural ones, the classes in turn."""
    images = natural_images(count, side, np.random.default_rng(0)).reshape(count, side, side, 3)
    return Split(images, np.arange(count) % CLASSES)


def seconds_of_products(images: Split, samples: int, steps: int, classes: int) -> float:
    """What two products a step take, of all samples with all images of their class, from the best of three."""
    rows, columns = min(CHUNK, samples // classes), min(BLOCK, len(images) // classes)
    left, right = (torch.randn((count, images.images[0].size), dtype=torch.float64) for count in (rows, columns))
    times = []
    for _ in range(3):
        started = time.perf_counter()
        (left @ right.T) @ right
        times.append(time.perf_counter() - started)
    return min(times) * steps * samples / rows * len(images) / classes / columns


def measure(name: str, images: Split, arguments: argparse.Namespace) -> dict[str, Any]:
    """Times of one formulation, and how many samples end at an image, to the last grey level."""
    settings = {"name": name, "sampling_steps": arguments.steps, "guidance": 0.0}
    formulation = build_formulation({**settings, "label_dropout": float(arguments.unconditional)}, CLASSES)
    latents, labels = latents_of(arguments.samples, images.shape), labels_of(arguments.samples, images)
    started, processor = time.perf_counter(), time.process_time()
    _, samples = generate(formulation, images, latents, labels)
    seconds, processor = time.perf_counter() - started, time.process_time() - processor
    known = {image.tobytes() for image in images.images}
    ends = sum(image.tobytes() in known for image in to_pixels(samples))
    found = {"seconds": float(f"{seconds:.4g}"), "processor_seconds": float(f"{processor:.4g}")}
    return {"formulation": name, **found, "ends_at_an_image": ends}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=16_384)
    parser.add_argument("--samples", type=int, default=2000)
    parser.add_argument("--steps", type=int, default=250)
    parser.add_argument("--side", type=int, default=32, help="images of side x side x 3")
    parser.add_argument("--unconditional", action="store_true", help="all images at once, not class by class")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--output", type=Path, default=RESULTS / "empirical_sampler.json")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    images = split(arguments.images, arguments.side)
    sizes = ("images", "samples", "steps", "side", "unconditional", "threads")
    classes = 1 if arguments.unconditional else CLASSES
    if Path("/proc/self/clear_refs").exists():
        Path("/proc/self/clear_refs").write_text("5")  # the peak is what it is now
    before = peak_bytes()
    rows = [measure(name, images, arguments) for name in PROCESSES]
    memory = peak_bytes() - before
    products = seconds_of_products(images, arguments.samples, arguments.steps, classes)
    for row in rows:
        print(
            f"{row['seconds']:8.3g} s, of the processor {row['processor_seconds']:.3g} s; "
            f"{row['ends_at_an_image']} of {arguments.samples} samples end at an image: {row['formulation']}"
        )
    print(f"{memory / 2**20:.0f} MiB; all products would take {products:.3g} s")
    sizes = ("images", "samples", "steps", "side", "unconditional", "threads")
    result: dict[str, Any] = {
        "commit": commit(),
        "machine": machine("cpu"),
        **{name: getattr(arguments, name) for name in sizes},
        "formulations": rows,
        "peak_memory_bytes": memory,
        "seconds_of_all_products": float(f"{products:.4g}"),
    }
    save(result, arguments.output)


if __name__ == "__main__":
    main()
