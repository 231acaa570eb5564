"""Ends a job at a moment when nothing is lost."""

from __future__ import annotations

import math
import multiprocessing
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class Interrupted(Exception):
    """The job was asked to stop; what was trained is in the checkpoint."""


class TimeIsUp(Interrupted):
    """The job has taken as long as it may; what was trained is in the checkpoint."""


class StartAgain(Exception):
    """This process cannot go on, but a new one can, from the checkpoints.

    Attributes:
        together: runs that the new one may train side by side.
    """

    def __init__(self, together: int) -> None:
        super().__init__(f"the GPU's memory cannot be used any further; start again with {together} runs at a time")
        self.together = together


class StopRequest:
    """Whether the job was asked to stop."""

    def __init__(self, with_parent: bool = False, seconds: float = math.inf) -> None:
        """Begin to listen.

        Args:
            with_parent: whether the end of the process that made this one is such a request, too.
            seconds: after which the time is up, which is one as well.
        """
        self._end = time.monotonic() + seconds
        # Not its parent to the operating system, which may be a server of processes that outlives it
        self._parent = multiprocessing.parent_process() if with_parent else None
        self._signalled = False

    def receive(self, number: int, frame: FrameType | None) -> None:
        """Handle a signal."""
        self._signalled = True

    @property
    def received(self) -> bool:
        """Whether it is time to save and stop."""
        return self._signalled or self.is_late or (self._parent is not None and not self._parent.is_alive())

    @property
    def is_late(self) -> bool:
        """Whether the time is up, and nobody has asked to stop."""
        return not self._signalled and time.monotonic() >= self._end


@contextmanager
def stop_requests(with_parent: bool = False, seconds: float = math.inf) -> Iterator[StopRequest]:
    """Turn SIGTERM and SIGINT into a request, so that the running step ends and can be saved.

    Args:
        with_parent, seconds: as of `StopRequest`.

    Raises:
        TimeIsUp: in place of `Interrupted`, where it was not asked for.
    """
    stop = StopRequest(with_parent, seconds)
    previous = {number: signal.signal(number, stop.receive) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield stop
    except Interrupted:
        if stop.is_late:
            raise TimeIsUp from None
        raise
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
