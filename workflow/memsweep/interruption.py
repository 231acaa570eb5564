"""Ends a job at a moment when nothing is lost."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class Interrupted(Exception):
    """The job was asked to stop; what was trained is in the checkpoint."""


class StopRequest:
    """Whether the job was asked to stop."""

    def __init__(self) -> None:
        self.received = False


@contextmanager
def stop_requests() -> Iterator[StopRequest]:
    """Turn SIGTERM and SIGINT into a request, so that the running step ends and can be saved."""
    stop = StopRequest()

    def receive(number: int, frame: FrameType | None) -> None:
        stop.received = True

    previous = {number: signal.signal(number, receive) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield stop
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
