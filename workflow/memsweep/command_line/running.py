"""Runs a command, and says in a sentence how it ended."""

from __future__ import annotations

import atexit
import gc
import signal
import sys
from collections.abc import Sequence

from ..base.errors import UserError, system_sentence
from ..base.interruption import Interrupted, TimeIsUp
from ..base.stage_settings import read_settings
from .commands import COMMANDS
from .parsing import parse
from .stages import STAGES

# The exit status on which Grid Engine and LSF put a job back into their queue, and Slurm where it is told so
CONTINUE = 99


def run(arguments: Sequence[str] | None) -> int:
    """Run one command; returns the exit status."""
    # Else Python, as it ends, looks through all that libraries hold for garbage: a third of the time of a short job
    atexit.register(gc.freeze)
    given = parse(arguments)
    name = given.command
    try:
        if name in COMMANDS:
            COMMANDS[name].run(given)
        else:
            STAGES[name].run(read_settings(), given)
    except TimeIsUp:
        _say(name, "the time is up, and all is saved; run it again to continue from here")
        return CONTINUE
    except Interrupted:
        _say(name, "stopped on request; run it again to continue from here")
        return 128 + signal.SIGTERM
    except UserError as error:
        _say(name, str(error))
        return 1
    except OSError as error:  # a full disk, a folder that may not be written
        _say(name, system_sentence(error))
        return 1
    return 0


def _say(name: str, sentence: str) -> None:
    """Say how a command ended: in the log of a job or, where that lies on a full disk, where Snakemake is seen."""
    said = f"memsweep {name}: {sentence}"
    try:
        print(said, file=sys.stderr, flush=True)
    except OSError:
        print(said, flush=True)
