"""What it costs to compare runs that differ only in their training images, or only in their seed.

    python benchmarks/agreement.py               # a minute or two on one core
    python benchmarks/agreement.py --train 4096 --samples 2000

Three training sets, and two seeds of each: six pairs of other images, three of other seeds. Images of 32x32x3 pixels,
in the space of pixels: what networks of features take is left out. The parts are what perfect memories generate, which
the metric ``empirical_distance`` also takes; the stage ``agree`` without the floor that two seeds show, and with it;
beside them the stage ``measure`` of the same runs, which there is without any comparison.
"""

from __future__ import annotations

import argparse
import itertools
import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from measuring import CLASSES, HELD_OUT, SIDE
from memsweep.closed_form.empirical_sampler import write_empirical_samples
from memsweep.data.datasets import content_hash
from memsweep.data.images import Split, encode
from memsweep.metrics.agree import agree_runs
from memsweep.metrics.features import write_features
from memsweep.metrics.measure import measure_pack
from memsweep.study.config import resolve
from memsweep.study.sweep import Sweep
from memsweep.tables.parquet import image_metadata, write_table
from neighbours import images
from record import RESULTS, commit, machine, save, spread

SETS, SEEDS = 3, 2
FLOW = {"name": "rectified_flow", "sampling_steps": 50, "label_dropout": 0, "guidance": 0}


def prepare(folder: Path, train: int, evaluations: int, samples: int) -> list[list[str]]:
    """Images, features and the samples of the runs, as the stages before would leave them; the pairs of runs."""
    count = evaluations * samples
    queries, references = images(SETS * SEEDS * count, (SETS + 1) * train + HELD_OUT, SIDE)
    points = references.reshape(-1, SIDE, SIDE, 3)
    labels = np.arange(len(points)) % CLASSES
    cut = (SETS + 1) * train
    splits = Split(points[:cut], labels[:cut]), Split(points[cut:], labels[cut:])
    data_hash = content_hash(*splits)
    metadata = {**image_metadata((SIDE, SIDE, 3)), "data_hash": data_hash, "classes": str(CLASSES)}
    table = pd.concat(
        pd.DataFrame({"index": range(len(each)), "split": name, "label": each.labels, "image": encode(each.images)})
        for name, each in zip(("train", "test"), splits, strict=True)
    )
    write_table(folder / "images.parquet", "images", table, metadata)
    settings: dict[str, Any] = {"space": "pixels", "weights": {}}
    write_features(settings, folder / "images.parquet", None, folder / "cache", folder / "pixels.parquet")
    names = [f"set {subset}, seed {seed}" for subset, seed in itertools.product(range(SETS), range(SEEDS))]
    table = pd.DataFrame(itertools.product(names, range(1, evaluations + 1), range(samples)))
    table.columns = pd.Index(["run_id", "step", "index"])
    table = table.assign(label=table["index"] % CLASSES, image=encode(queries.reshape(-1, SIDE, SIDE, 3)))
    (folder / "train").mkdir()
    write_table(folder / "train" / "samples.parquet", "samples", table, metadata)
    run = {"train_size": train, "base_channels": 8, "batch_size": 8, "learning_rate": 0.1, "dataset": "made"}
    of = {"parameters": 1, "max_steps": 1, "status": "finished", "code_version": "1", "data_hash": data_hash}
    sets = itertools.product(range(SETS), range(SEEDS))
    rows = [
        {"run_id": name, "subset": at, "seed": seed, **run, **of} for name, (at, seed) in zip(names, sets, strict=True)
    ]
    write_table(folder / "train" / "runs.parquet", "runs", pd.DataFrame(rows))
    both = itertools.combinations(rows, 2)
    return [
        [str(a["run_id"]), str(b["run_id"]), "subset" if a["seed"] == b["seed"] else "seed"]
        for a, b in both
        if (a["seed"] == b["seed"]) != (a["subset"] == b["subset"])
    ]


def seconds(work: Callable[[], object]) -> float:
    """How long something takes."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--train", type=int, default=512)
    parser.add_argument("--evaluations", type=int, default=2)
    parser.add_argument("--samples", type=int, default=200)
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--output", type=Path, default=RESULTS / "agreement.json")
    arguments = parser.parse_args()
    grid = {"train_size": [8], "base_channels": [8], "batch_size": [8], "learning_rate": [0.1], "seed": [0]}
    made: dict[str, Any] = {"study": "made", "dataset": {"name": "digits"}, "grid": {"products": [grid]}}
    study = Sweep(resolve({**made, "training": {"budget": {"steps": 1000}}, "metrics": {"spaces": ["pixels"]}}))
    times: dict[str, list[float]] = {"empirical_samples": [], "agree": [], "agree_with_floor": [], "measure": []}
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        pairs = prepare(folder, arguments.train, arguments.evaluations, arguments.samples)
        sampling = {"train_size": arguments.train, "subsets": list(range(SETS)), "samples": arguments.samples}
        sampling |= {"formulations": [{**FLOW, "values": {}}], "axes": []}
        metrics = json.loads(study.measure())
        asked = {"pairs": pairs, **{key: metrics[key] for key in ("spaces", "weights", "sscd_threshold", "confidence")}}
        prepared, empirical = folder / "images.parquet", folder / "empirical.parquet"

        def agree(*tables: Path) -> None:
            agree_runs(asked, prepared, [folder / "train"], folder, None, folder / "agreed", tables)

        for _ in range(arguments.repeats):
            times["empirical_samples"].append(seconds(lambda: write_empirical_samples(sampling, prepared, empirical)))
            times["agree"].append(seconds(agree))
            times["agree_with_floor"].append(seconds(lambda: agree(empirical)))
            times["measure"].append(
                seconds(
                    lambda: measure_pack(
                        metrics, prepared, folder / "train", folder, None, folder / "m", empirical=[empirical]
                    )
                )
            )
    result = {
        "commit": commit(),
        "machine": machine("cpu"),
        **{key: vars(arguments)[key] for key in ("train", "evaluations", "samples", "repeats")},
        "runs": SETS * SEEDS,
        "pairs": len(pairs),
        "seconds": {name: spread(each) for name, each in times.items()},
    }
    save(result, arguments.output)
    for name, found in result["seconds"].items():
        print(f"{found['median']:8.3g} s [{found['min']:.3g}, {found['max']:.3g}] {name}")


if __name__ == "__main__":
    main()
