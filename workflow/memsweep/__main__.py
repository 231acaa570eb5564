"""The command line: ``memsweep COMMAND``, or ``python -m memsweep COMMAND`` where it is not installed."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Sequence
from types import FrameType

STOPPED = 128 + signal.SIGINT


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit status."""
    from .command_line.running import run  # here, as this takes some time

    return run(arguments)


def program() -> int:
    """Run the command of this process, which then ends; returns its exit status. Ctrl-C is one line, at any moment."""
    asked_to_stop = False

    def stop(number: int, frame: FrameType | None) -> None:
        nonlocal asked_to_stop
        asked_to_stop = True
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # who asks again does not wait
        raise KeyboardInterrupt

    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
        signal.signal(signal.SIGINT, stop)
    sys.unraisablehook = _stop_in_callback
    try:
        status = main()
    except BaseException:  # libraries turn it into errors of their own
        if not asked_to_stop:
            raise
        status = _stopped()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # there is nothing left to stop
    return status


def _stopped() -> int:
    print("memsweep: stopped on request; run it again to go on", file=sys.stderr, flush=True)
    return STOPPED


def _stop_in_callback(raised: sys.UnraisableHookArgs) -> None:
    """Stop where Python would print an exception and go on: in the callback of a library, which cannot raise any."""
    if isinstance(raised.exc_value, KeyboardInterrupt):
        os._exit(_stopped())
    sys.__unraisablehook__(raised)


if __name__ == "__main__":
    sys.exit(program())
