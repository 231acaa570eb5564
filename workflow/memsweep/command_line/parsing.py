"""The arguments of every command, and the page of help: commands for people first, then the workflow's stages."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path

from .. import __version__
from .commands import COMMANDS, Command
from .stages import STAGES, Stage


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """The arguments of a command, its name as ``command``; exits where they are wrong or help is asked for."""
    parser = argparse.ArgumentParser(
        prog="memsweep",
        usage="%(prog)s COMMAND ...",
        description=_page(),
        epilog="memsweep COMMAND --help says what a command takes.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"memsweep {__version__}")
    # The page lists the commands, in groups that argparse does not have
    commands = parser.add_subparsers(
        dest="command", required=True, prog="memsweep", metavar="COMMAND", help=argparse.SUPPRESS
    )
    for name, command in COMMANDS.items():
        command.options(commands.add_parser(name, description=f"{command.verb} {command.purpose}."))
    for name, stage in STAGES.items():
        description = f"Writes {stage.purpose}. Settings are read from standard input, as JSON."
        options = commands.add_parser(name, description=description)
        for file in stage.files:
            options.add_argument(f"--{file}", type=Path, required=True)
        if stage.options:
            stage.options(options)
    given = sys.argv[1:] if arguments is None else arguments
    if given and not given[0].startswith("-") and given[0] not in (names := [*COMMANDS, *STAGES]):
        close = get_close_matches(given[0], names, 1)
        hint = f" (did you mean {close[0]!r}?)" if close else ""
        parser.error(f"found {given[0]!r}{hint}; accepted is a command that memsweep --help lists")
    return parser.parse_args(given)


def _page() -> str:
    return "\n".join(
        [
            "Sweeps of diffusion models that say when they start to memorise.",
            "",
            "commands:",
            *_listed(COMMANDS),
            "",
            "stages of the workflow, which Snakemake runs; each reads its settings from",
            "standard input, as JSON:",
            *_listed(STAGES),
        ]
    )


def _listed(commands: Mapping[str, Command] | Mapping[str, Stage]) -> list[str]:
    return [f"  {name:20}{command.purpose}" for name, command in commands.items()]
