"""A run that has been trained: its rows of every table, its samples, and its network."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from ..base.errors import UserError
from ..base.records import RECORD, Record, read_records
from ..study.axes import AXES, encoded
from ..study.networks import installed, is_built_in, located
from ..study.run import Run
from ..tables.frames import to_frame
from ..tables.parquet import image_shape, read_metadata
from .choosing import plain, point
from .files import read_rows
from .images import Nearest, Samples
from .tables import StudyTables

if TYPE_CHECKING:
    import numpy as np

    from ..diffusion.formulation import Formulation
    from ..models.network import Network


class RunResults:
    """The results of one run: ``run.losses``, ``run.metrics`` and its rows of every other table, as data frames.

    Attributes:
        run_id: its id.
        axes: its value on each axis of the grid, by column.
        status: how it ended, as of the table ``runs``.
        max_steps: the step at which it ends.
    """

    def __init__(self, tables: StudyTables, row: pd.Series[Any], networks: Sequence[Path] = ()) -> None:
        """The run of a row of the table ``runs``; ``networks``: files of the user's own networks."""
        self._tables, self._networks = tables, networks
        self.run_id: str = row["run_id"]
        self.axes = {axis: plain(row[axis]) for axis in tables.axes}
        self.status: str = row["status"]
        self.max_steps = int(row["max_steps"])
        self._data_hash: str = row["data_hash"]

    def __getattr__(self, name: str) -> pd.DataFrame:
        if name.startswith("_"):
            raise AttributeError(name)
        return self.table(name)

    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), *self._tables.files})

    def table(self, name: str) -> pd.DataFrame:
        """The run's rows of a table, read from the file of its pack where that has one.

        Raises:
            UserError: the study has no such table, or it has no rows of runs.
        """
        path = self._file(name)
        if path is not None:
            return self._tables.with_axes(to_frame(read_rows(path, name, run_id=self.run_id)))
        table = self._tables[name]
        if "run_id" not in table:
            raise UserError(f"run: the table {name!r} has no rows of single runs; study.{name} is all of it")
        return table[table["run_id"] == self.run_id].reset_index(drop=True)

    def _file(self, name: str) -> Path | None:
        """The file of a table that the run's pack has, if it has one."""
        if name == "runs" or name not in self._tables:
            return None
        job = self.job
        places = (self._tables.packs / place / job / f"{name}.parquet" for place in ("train", "measure"))
        return next((path for path in places if path.exists()), None)

    @functools.cached_property
    def _record(self) -> tuple[Path, Record]:
        """The folder of the pack that trained the run last, and the record of what it comes from."""
        train = self._tables.packs / "train"
        files = (path for path in train.rglob(RECORD) if self._lies_in(path.parent.relative_to(train)))
        for path in sorted(files, key=lambda path: path.stat().st_mtime_ns, reverse=True):
            for record in read_records([path.parent]):
                if any(run["run_id"] == self.run_id for run in record["settings"]["runs"]):
                    return path.parent, record
        raise UserError(f"{train}: has no pack with the run {self.run_id}; accepted are results with their packs")

    def _lies_in(self, job: Path) -> bool:
        """Whether a pack of this path may have the run, by its axes with short names."""
        parts = (part.partition("=") for part in job.parts)
        return all(encoded(self.axes[axis]) == value for axis, _, value in parts if axis in AXES)

    @property
    def job(self) -> str:
        """The path of the run's pack, below ``train`` and ``measure``."""
        return str(self._record[0].relative_to(self._tables.packs / "train"))

    @property
    def checkpoint(self) -> Path:
        """The folder of the run's checkpoint."""
        return self._tables.packs / "checkpoints" / self.run_id

    @functools.cached_property
    def planned(self) -> Run:
        """The run as its job was told of it."""
        (fields,) = (run for run in self._record[1]["settings"]["runs"] if run["run_id"] == self.run_id)
        return Run(**fields)

    @functools.cached_property
    def settings(self) -> dict[str, Any]:
        """What decides its numbers: its config's ``network``, ``formulation``, ``training`` and ``evaluation``."""
        return self.planned.within(self._record[1]["settings"])

    @property
    def steps(self) -> list[int]:
        """The steps of which there are weights, of `model` and `sample`."""
        from .weights import kept

        return sorted(kept(self.checkpoint))

    @property
    def sampled_steps(self) -> list[int]:
        """The steps of which there are samples, of `samples` and `nearest`."""
        steps = read_rows(self._samples_file, "samples", ["step"], run_id=self.run_id)["step"]
        return sorted(pc.unique(steps).to_pylist())

    @property
    def _samples_file(self) -> Path:
        return self._record[0] / "samples.parquet"

    def samples(self, step: int | None = None) -> Samples:
        """What the run generated while it trained.

        Args:
            step: one of `sampled_steps`; the last of them where it is None.

        Raises:
            UserError: nothing was generated at this step; the sentence says at which.
        """
        step = self._sampled(step)
        rows = _in_order(read_rows(self._samples_file, "samples", run_id=self.run_id, step=step))
        images = _decoded(rows["image"], image_shape(read_metadata(self._samples_file)))
        return Samples(self.run_id, step, images, _labels(rows["label"]))

    def _sampled(self, step: int | None) -> int:
        steps = self.sampled_steps
        if not steps:
            raise UserError(f"step: the run {self.run_id} has no samples")
        if step is not None and step not in steps:
            listed = ", ".join(map(str, steps))
            raise UserError(f"step: found {step}, at which nothing was generated; accepted is one of {listed}")
        return steps[-1] if step is None else int(step)

    def nearest(self, step: int | None = None) -> Nearest:
        """Each of the samples beside the training image that it is nearest to, in pixels; as of `samples`."""
        samples = self.samples(step)
        path = self._file("neighbours")
        if path is None:
            raise UserError(f"{self._tables.folder}: has no table 'neighbours' of the run {self.run_id}")
        rows = _in_order(read_rows(path, "neighbours", run_id=self.run_id, step=samples.step, reference="train"))
        if rows.num_rows != len(samples):
            raise UserError(f"{path}: not as many rows of step {samples.step} as samples; snakemake -n says why")
        at = rows["nearest"].to_numpy()
        images = read_rows(self._tables.images_file, "images", ["image"], split="train")["image"].take(pa.array(at))
        nearest = _decoded(images, image_shape(read_metadata(self._tables.images_file)))
        return Nearest(samples, nearest, at, rows["distance"].to_numpy(), rows["second_distance"].to_numpy())

    @property
    def formulation(self) -> Formulation:
        """What its network predicts, and how images are drawn from it."""
        from ..diffusion.formulation import build_formulation

        classes = int(read_metadata(self._tables.images_file)["classes"])
        return build_formulation(self.settings["formulation"], classes)

    def model(self, step: int | None = None) -> Network:
        """The run's network with its averaged weights, on the CPU and as it is evaluated.

        Called with noisy images (B, C, H, W) on the scale [-1, 1], times (B,) from 0, the clean image, to 1, and labels
        (B,), it predicts the field of its `formulation`. A network of the user's own runs its code.

        Args:
            step: one of `steps`; the last of them where it is None.

        Raises:
            UserError: the weights of this step were not kept, and the sentence says which were; they are damaged; or
                they are those of another network.
        """
        from .weights import chosen_step, load_model

        height, width, channels = self._tables.image_shape
        network = self.settings["network"]
        if not (self._networks or is_built_in(network) or installed().get(network["kind"]) == network["source"]):
            raise UserError(
                f"network.kind: that of the run {self.run_id} is {network['kind']}, of a file that results do not "
                "name; accepted is the study opened by its YAML file"
            )
        return load_model(
            self.checkpoint,
            chosen_step(self.checkpoint, step),
            (channels, height, width),
            self.formulation.labels,
            self.planned.base_channels,
            located(network, self._networks),
        )

    def sample(
        self,
        number: int | None = None,
        labels: int | Sequence[int] | None = None,
        seed: int | None = None,
        step: int | None = None,
    ) -> Samples:
        """Generate images on the CPU, by the sampler of the study.

        With the study's own latents and labels, where neither ``seed`` nor ``labels`` are given, these are the images
        of the table ``samples``: bit for bit where torch computes as it did in training, and as many are generated at
        once; else to the last bits of a float, which may move a pixel by one.

        Args:
            number: of images; as many as the study has latents where it is None.
            labels: their classes, in turn; those that were trained where it is None.
            seed: of latents of their own, the first of which are the same however many there are; the study's own
                latents where it is None.
            step: as of `model`.

        Raises:
            UserError: as of `model`; more images than the study has latents; a class that was not trained.
        """
        from ..training.evaluation import generated
        from ..training.trainer import TrainingOptions
        from .sampling import chosen_labels, chosen_latents
        from .weights import chosen_step

        step, data, formulation = chosen_step(self.checkpoint, step), self._tables.image_set, self.formulation
        if data.data_hash != self._data_hash:
            raise UserError(f"{self._tables.images_file}: other images than the run {self.run_id} was trained on")
        latents = chosen_latents(number, seed, self.settings["evaluation"]["samples"], data.shape)
        train = data.training_set(self.planned.training_set)
        shown = chosen_labels(labels, len(latents), train, formulation.unconditional)
        network = self.model(step).in_precision(TrainingOptions.of(self.settings["training"]).dtype)
        images = generated(formulation, network, latents, shown)
        return Samples(self.run_id, step, images, None if formulation.unconditional else shown.numpy())

    def __repr__(self) -> str:
        study, ended = self._tables.folder.name, f"{self.status}, {self.max_steps} steps"
        return f"<run {self.run_id} of {study}: {point(self.axes)}; {ended}>"


def _in_order(rows: pa.Table) -> pa.Table:
    return rows.sort_by("index")


def _decoded(column: pa.ChunkedArray, shape: tuple[int, int, int]) -> np.ndarray:
    from ..data.images import decode

    return decode(column, shape)


def _labels(column: pa.ChunkedArray) -> np.ndarray | None:
    """Classes of images; None where the model knows none."""
    return None if column.null_count else column.to_numpy()
