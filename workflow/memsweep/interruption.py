"""Ends a job at a moment when nothing is lost."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class Interrupted(Exception):
    """The job was asked to stop; what was trained is in the checkpoint."""


class StopRequest:
    """Whether the job was asked to stop."""

    def __init__(self, parent: int | None = None) -> None:
        """parent: a process whose end is such a request, too: nobody would wait for this one any more."""
        self._parent = parent
        self._signalled = False

    def receive(self, number: int, frame: FrameType | None) -> None:
        """Handle a signal."""
        self._signalled = True

    @property
    def received(self) -> bool:
        """Whether it is time to save and stop."""
        return self._signalled or (self._parent is not None and os.getppid() != self._parent)


@contextmanager
def stop_requests(parent: int | None = None) -> Iterator[StopRequest]:
    """Turn SIGTERM and SIGINT into a request, so that the running step ends and can be saved.

    Args:
        parent: as of `StopRequest`.
    """
    stop = StopRequest(parent)
    previous = {number: signal.signal(number, stop.receive) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield stop
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
