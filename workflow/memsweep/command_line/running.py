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
        print(f"memsweep {name}: the time is up, and all is saved; run it again to continue from here", file=sys.stderr)
        return CONTINUE
    except Interrupted:
        print(f"memsweep {name}: stopped on request; run it again to continue from here", file=sys.stderr)
        return 128 + signal.SIGTERM
    except UserError as error:
        print(f"memsweep {name}: {error}", file=sys.stderr)
        return 1
    except OSError as error:  # a full disk, a folder that may not be written
        print(f"memsweep {name}: {system_sentence(error)}", file=sys.stderr)
        return 1
    return 0
