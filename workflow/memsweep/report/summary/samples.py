"""What runs generated as they were trained, beside the nearest training images: a sheet of images for each run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
from PIL import Image

from ...base.errors import UserError
from ...metrics.novelty import copied
from ...tables.frames import to_frame
from ...tables.parquet import check_runs, check_table, image_shape, metadata_of, read_arrow
from .pictures import png_url

Pixels = npt.NDArray[np.uint8]

# Samples of a run, and bytes of pixels that the sheets of all runs hold before they are compressed
SAMPLES = 8
BUDGET = 5_000_000
FEWEST_STEPS = 6


@dataclass(frozen=True)
class Extent:
    """How much of what runs generated a page shows: of so many runs, samples at so many of the steps."""

    runs: int
    samples: int
    steps: int

    @classmethod
    def within(cls, budget: int, runs: int, samples: int, steps: int, pixel_bytes: int) -> Extent:
        """The most that the budget allows: fewer samples first, then fewer steps, then fewer runs."""
        for shown in range(min(SAMPLES, samples), 1, -1):
            if 2 * runs * shown * steps * pixel_bytes <= budget:
                return cls(runs, shown, steps)
        few = min(2, samples)
        for some in range(steps, FEWEST_STEPS, -1):
            if 2 * runs * few * some * pixel_bytes <= budget:
                return cls(runs, few, some)
        some = min(FEWEST_STEPS, steps)
        return cls(max(1, min(runs, budget // (2 * few * some * pixel_bytes))), few, some)


def spread(items: list[Any], count: int) -> list[Any]:
    """At most so many of some items, evenly, the first and the last among them."""
    if count >= len(items):
        return items
    return (
        [items[place] for place in np.linspace(0, len(items) - 1, count).round().astype(int)]
        if count > 1
        else items[-1:]
    )


def sheets(
    packs: Mapping[str, list[str]], folder: Path, threshold: float, budget: int = BUDGET
) -> dict[str, Any] | None:
    """Sheets of the runs of some packs, of which samples and neighbours are there.

    Args:
        packs: ids of the runs of each, by its job path.
        folder: the study's results, with ``train``, ``measure`` and ``data``.
        threshold: on d1 / d2, below which a sample is a copy.
        budget: bytes of pixels, before they are compressed.

    Returns:
        By run id ``sheets``: ``image``, rows of samples, each above that of its nearest training images, with a column
        for each of ``steps``; and ``copies``, a text of 0 and 1 a sample. Beside it the ``width`` and ``height`` of an
        image, how much is shown, ``samples`` and of how many, ``total``; None where there are none.

    Raises:
        UserError: a file is damaged, or of other runs than those of its pack.
    """
    there = {job: runs for job, runs in packs.items() if all(part.is_file() for part in _parts(folder, job))}
    images_file = folder / "data" / "images.parquet"
    if not there or not images_file.is_file():
        return None
    for job, runs in there.items():
        _check(folder, job, runs)
    images = read_arrow(images_file, "images")
    shape = image_shape(metadata_of(images))
    of_training = images.filter(pc.equal(images["split"], "train"))["image"]
    total, steps = _size(folder, next(iter(there)))
    every = [run for members in there.values() for run in members]
    extent = Extent.within(budget, len(every), total, steps, int(np.prod(shape)))
    chosen = set(spread(every, extent.runs))
    found: dict[str, Any] = {}
    for job, members in there.items():
        wanted = [run for run in members if run in chosen]
        found |= dict(_of_pack(folder, job, wanted, extent, of_training, shape, threshold)) if wanted else {}
    extents = {"samples": extent.samples, "total": total, "runs": len(found), "of_runs": len(every)}
    return {"sheets": found, "height": shape[0], "width": shape[1], **extents} if found else None


def _parts(folder: Path, job: str) -> tuple[Path, Path]:
    """Where a pack's samples and their neighbours are."""
    return folder / "train" / job / "samples.parquet", folder / "measure" / job / "neighbours.parquet"


def _check(folder: Path, job: str, runs: list[str]) -> None:
    """Samples and neighbours of a pack are whole, and of its runs."""
    for path, name in zip(_parts(folder, job), ("samples", "neighbours"), strict=True):
        check_table(path, name)
        check_runs(path, ds.dataset(path).to_table(["run_id"]), runs, folder / "train" / job / "runs.parquet")


def _size(folder: Path, job: str) -> tuple[int, int]:
    """Samples at a step, and the most steps of a run, of one pack."""
    table = ds.dataset(folder / "measure" / job / "neighbours.parquet").to_table(["run_id", "step", "index"])
    frame = to_frame(table)
    return int(frame["index"].max()) + 1, int(frame.groupby("run_id")["step"].nunique().max())


def _of_pack(
    folder: Path,
    job: str,
    runs: list[str],
    extent: Extent,
    images: pa.ChunkedArray,
    shape: tuple[int, int, int],
    threshold: float,
) -> Iterator[tuple[str, dict[str, Any]]]:
    """The sheet of each run of a pack."""
    paths = _parts(folder, job)
    few = pc.field("index") < extent.samples
    samples = ds.dataset(paths[0]).to_table(
        ["run_id", "step", "index", "image"], filter=few & pc.field("run_id").isin(runs)
    )
    of = few & pc.field("run_id").isin(runs) & (pc.field("reference") == "train")
    columns = ["run_id", "step", "index", "nearest", "distance", "second_distance"]
    pairs = to_frame(ds.dataset(paths[1]).to_table(columns, filter=of))
    pairs["copied"] = copied(pairs, threshold)
    keys = ["run_id", "step", "index"]
    pairs["image"] = pairs.merge(to_frame(samples), on=keys, how="left", validate="one_to_one")["image"].to_numpy()
    if pairs["image"].isna().any():
        raise UserError(f"{paths[1]}: of other samples than {paths[0]} has; delete it to make it again")
    for run, own in pairs.groupby("run_id", sort=False):
        yield str(run), _sheet(own, extent, images, shape)


def _sheet(pairs: pd.DataFrame, extent: Extent, images: pa.ChunkedArray, shape: tuple[int, int, int]) -> dict[str, Any]:
    steps = spread(sorted(pairs["step"].unique().tolist()), extent.steps)
    pairs = pairs[pairs["step"].isin(steps)].sort_values(["index", "step"])
    of_samples = _grid(pairs["image"].tolist(), len(steps), shape)
    of_nearest = _grid(images.take(pa.array(pairs["nearest"].to_numpy())).to_pylist(), len(steps), shape)
    rows = np.stack([of_samples, of_nearest], axis=1).reshape(-1, *of_samples.shape[1:])
    return {"image": png_url(_joined(rows)), "steps": steps, "copies": "".join("01"[hit] for hit in pairs["copied"])}


def _grid(pixels: list[bytes], columns: int, shape: tuple[int, int, int]) -> Pixels:
    """Images as rows of so many: (rows, columns, H, W, C)."""
    return np.frombuffer(b"".join(pixels), dtype=np.uint8).reshape(-1, columns, *shape)


def _joined(grid: Pixels) -> Image.Image:
    """Rows of images as one: (rows, columns, H, W, C)."""
    rows, columns, height, width, channels = grid.shape
    joined = grid.transpose(0, 2, 1, 3, 4).reshape(rows * height, columns * width, channels)
    return Image.fromarray(joined[..., 0] if channels == 1 else joined)
