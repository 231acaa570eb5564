"""Says how far training is: a bar on a terminal, a line now and then in a log."""

from __future__ import annotations

import sys
import time
from types import TracebackType

from rich.progress import BarColumn, Progress, TextColumn

from ..base.durations import duration
from .pace import Pace


class TrainingProgress:
    """Progress of the runs of a pack, in training images.

    Use as a context manager; tell `pace` of what was done, call `update` after steps and `message` for a sentence.

    Attributes:
        pace: of all runs together.
    """

    def __init__(self, pace: Pace, interval: float = 10.0, plain: bool = False) -> None:
        """Begin.

        Args:
            pace: knows what the runs have still to do.
            interval: seconds between lines in a log.
            plain: lines also on a terminal, where another process may draw a bar.
        """
        self.pace = pace
        self.images = pace.images
        self.interval = interval
        self.last = time.monotonic()
        self.bar: Progress | None = None
        if sys.stderr.isatty() and not plain:
            self.bar = Progress(
                TextColumn("{task.fields[run]}"),
                BarColumn(),
                TextColumn("step {task.fields[step]}  loss {task.fields[loss]}  {task.fields[rate]}"),
            )
            self.task = self.bar.add_task("train", total=self.images, run="", step=0, loss="-", rate="")

    def __enter__(self) -> TrainingProgress:
        if self.bar:
            self.bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self.bar:
            self.bar.stop()

    @property
    def due(self) -> bool:
        """Whether it is time to say something; asking costs a clock reading, not a device synchronisation."""
        return time.monotonic() - self.last >= (0.2 if self.bar else self.interval)

    def update(self, run: str, step: int, max_steps: int, loss: float) -> None:
        """Say where a run is, and how long all of them will still take."""
        self.last = time.monotonic()
        speed, left = self.pace.images_per_second, self.pace.seconds_left
        rate = "" if speed is None or left is None else f"{speed:.0f} images/s, {duration(left)} left"
        if self.bar:
            done = self.images - self.pace.images
            self.bar.update(
                self.task, completed=done, run=run, step=f"{step}/{max_steps}", loss=f"{loss:.4f}", rate=rate
            )
            return
        self.message(f"{run}: step {step}/{max_steps}, loss {loss:.4f}" + (f", {rate}" if rate else ""))

    def message(self, text: str) -> None:
        """Print one line to the terminal or log."""
        if self.bar:
            self.bar.console.print(text, highlight=False)
        else:
            print(text, file=sys.stderr, flush=True)
