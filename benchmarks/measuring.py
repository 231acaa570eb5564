"""How long the metrics of one run take, as the stage measures them.

    python benchmarks/measuring.py               # 24 evaluations x 2,048 samples against 16,384 training images
    python benchmarks/measuring.py --train 2048 --evaluations 4

Images of 32x32x3 pixels, in the space of pixels: what networks of features take is left out. Every metric of the
default study is taken, with its floor and its intervals. The stage runs in a process of its own, whose elapsed time,
processor time and largest resident size are reported; beside it stands the time of the bare matrix product of the
samples with the training and the control set.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import resource
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from memsweep.data.datasets import content_hash
from memsweep.data.images import Split, encode
from memsweep.metrics.features import write_features
from memsweep.metrics.measure import measure_pack
from memsweep.study.axes import AXES
from memsweep.study.config import resolve
from memsweep.study.sweep import Sweep
from memsweep.tables.parquet import image_metadata, write_table
from neighbours import images
from record import RESULTS, commit, machine, ratios, save, spread
from threadpoolctl import threadpool_limits

SIDE = 32
CLASSES = 10
HELD_OUT = 2048
RUN = "0123456789ab"


def prepare(folder: Path, train: int, evaluations: int, samples: int) -> None:
    """Images, features and the samples of one run, as the stages before would leave them."""
    queries, references = images(samples * evaluations, 2 * train + HELD_OUT, SIDE)
    points = references.reshape(-1, SIDE, SIDE, 3)
    labels = np.arange(len(points)) % CLASSES
    splits = Split(points[: 2 * train], labels[: 2 * train]), Split(points[2 * train :], labels[2 * train :])
    data_hash = content_hash(*splits)
    table = pd.concat(
        pd.DataFrame({"index": range(len(each)), "split": name, "label": each.labels, "image": encode(each.images)})
        for name, each in zip(("train", "test"), splits, strict=True)
    )
    metadata = {**image_metadata((SIDE, SIDE, 3)), "data_hash": data_hash, "classes": str(CLASSES)}
    write_table(folder / "images.parquet", "images", table, metadata)
    settings: dict[str, Any] = {"space": "pixels", "weights": {}}
    write_features(settings, folder / "images.parquet", None, folder / "cache", folder / "pixels.parquet")
    generated = queries.reshape(-1, SIDE, SIDE, 3)
    table = pd.DataFrame({"step": np.repeat(np.arange(1, evaluations + 1), samples), "run_id": RUN})
    table = table.assign(
        index=np.tile(np.arange(samples), evaluations), label=np.tile(np.arange(samples) % CLASSES, evaluations)
    )
    table["image"] = encode(generated)
    (folder / "train").mkdir()
    write_table(folder / "train" / "samples.parquet", "samples", table, metadata)
    run = {"run_id": RUN, "train_size": train, "base_channels": 8, "batch_size": 8, "learning_rate": 0.1, "seed": 0}
    of = {"subset": 0, "dataset": "made", "parameters": 1, "max_steps": 1, "status": "finished", "code_version": "1"}
    write_table(folder / "train" / "runs.parquet", "runs", pd.DataFrame([{**run, **of, "data_hash": data_hash}]))


def measured(folder: Path, settings: dict[str, Any], threads: int) -> dict[str, float]:
    """Seconds, processor seconds and bytes of the stage, in a process of its own."""
    receive, send = multiprocessing.get_context("spawn").Pipe(duplex=False)
    process = multiprocessing.get_context("spawn").Process(target=_stage, args=(folder, settings, threads, send))
    process.start()
    found: dict[str, float] = receive.recv()
    process.join()
    return found


def _stage(folder: Path, settings: dict[str, Any], threads: int, send: Any) -> None:
    start, processor = time.perf_counter(), time.process_time()
    inputs = folder / "images.parquet", folder / "train", folder, None
    with threadpool_limits(1, "blas"):
        measure_pack(settings, *inputs, folder / "measured", threads)
    elapsed = {"seconds": time.perf_counter() - start, "processor_seconds": time.process_time() - processor}
    send.send({**elapsed, "bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024})


def product(train: int, count: int, threads: int) -> float:
    """Seconds of the bare product of as many samples with the training and the control set."""
    torch.set_num_threads(threads)
    queries, references = images(count, 2 * train, SIDE)
    left, right = torch.from_numpy(queries.astype(np.float32)), torch.from_numpy(references.astype(np.float32))
    start = time.perf_counter()
    for rows in left.split(2048):
        rows @ right.T
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--train", type=int, default=16_384)
    parser.add_argument("--evaluations", type=int, default=24)
    parser.add_argument("--samples", type=int, default=2048)
    parser.add_argument("--threads", type=int, default=2, help="with which neighbours are searched")
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--output", type=Path, default=RESULTS / "measuring.json")
    arguments = parser.parse_args()
    study = Sweep(
        resolve(
            {
                "study": "made",
                "dataset": {"name": "digits"},
                "grid": {"products": [{name: [0.1 if name == "learning_rate" else 8] for name in AXES}]},
                "training": {"budget": {"steps": 1000}},
                "metrics": {"spaces": ["pixels"]},
            }
        )
    )
    settings = json.loads(study.measure())
    rows, alone = [], []
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        prepare(folder, arguments.train, arguments.evaluations, arguments.samples)
        for _ in range(arguments.repeats):
            rows.append(measured(folder, settings, arguments.threads))
            alone.append(product(arguments.train, arguments.samples * arguments.evaluations, arguments.threads))
    seconds = [row["seconds"] for row in rows]
    result = {
        "commit": commit(),
        "machine": machine("cpu"),
        **{key: vars(arguments)[key] for key in ("train", "evaluations", "samples", "threads", "repeats")},
        "seconds": spread(seconds),
        "processor_seconds": spread([row["processor_seconds"] for row in rows]),
        "largest_gb": spread([row["bytes"] / 1e9 for row in rows]),
        "product_seconds": spread(alone),
        "ratio_to_product": spread(ratios(seconds, alone)),
    }
    save(result, arguments.output)
    print(json.dumps({key: value for key, value in result.items() if key != "machine"}, indent=2))


if __name__ == "__main__":
    main()
