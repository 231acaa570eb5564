"""Says how far training is: a bar on a terminal, a line now and then in a log."""

from __future__ import annotations

import sys
import time
from types import TracebackType

from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn


class TrainingProgress:
    """Progress of the runs of a pack, in training images.

    Use as a context manager; call `update` after steps and `message` for a sentence.
    """

    def __init__(self, images: int, interval: float = 10.0, plain: bool = False) -> None:
        """Begin.

        Args:
            images: all images the pack still has to train on.
            interval: seconds between lines in a log.
            plain: lines also on a terminal, where another process may draw a bar.
        """
        self.images = images
        self.interval = interval
        self.done = 0
        self.started = self.last = time.monotonic()
        self.bar: Progress | None = None
        if sys.stderr.isatty() and not plain:
            self.bar = Progress(
                TextColumn("{task.fields[run]}"),
                BarColumn(),
                TextColumn("step {task.fields[step]}  loss {task.fields[loss]}  {task.fields[rate]} images/s"),
                TimeRemainingColumn(),
            )
            self.task = self.bar.add_task("train", total=images, run="", step=0, loss="-", rate="-")

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

    def update(self, run: str, step: int, max_steps: int, loss: float, images: int) -> None:
        """Say where a run is. ``images``: images trained on since the last call."""
        self.done += images
        self.last = time.monotonic()
        rate = self.done / max(1e-9, self.last - self.started)
        if self.bar:
            self.bar.update(
                self.task,
                completed=self.done,
                run=run,
                step=f"{step}/{max_steps}",
                loss=f"{loss:.4f}",
                rate=f"{rate:.0f}",
            )
            return
        left = (self.images - self.done) / max(1e-9, rate)
        self.message(f"{run}: step {step}/{max_steps}, loss {loss:.4f}, {rate:.0f} images/s, {left:.0f} s left")

    def message(self, text: str) -> None:
        """Print one line to the terminal or log."""
        if self.bar:
            self.bar.console.print(text, highlight=False)
        else:
            print(text, file=sys.stderr, flush=True)
