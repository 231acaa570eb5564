"""Ways to damage a file, and what kinds of file a study's results have."""

from __future__ import annotations

import random
import re
import shutil
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from memsweep.base.records import PROGRESS

# What no stage reads: figures, pages, logs, times, and how far runs are
SHOWN = {"figures", "report", "summary.html", "logs", "benchmarks", PROGRESS}


def kind_of(file: Path) -> str:
    """What a file of a study's results is: its stage and name, without run, pack and step."""
    return f"{file.parts[0]}/" + re.sub(r"\d+", "#", file.name)


def kinds_of_files(results: Path) -> dict[str, list[Path]]:
    """The files that some stage reads, relative to the study's results, by kind."""
    found: dict[str, list[Path]] = {}
    for path in sorted(results.rglob("*")):
        own = path.relative_to(results)
        if path.is_file() and not {own.parts[0], own.name} & SHOWN:
            found.setdefault(kind_of(own), []).append(own)
    return found


def flip(path: Path, source: random.Random) -> None:
    """Turn one bit."""
    content = bytearray(path.read_bytes())
    content[source.randrange(len(content))] ^= 1 << source.randrange(8)
    path.write_bytes(content)


def cut(path: Path, source: random.Random) -> None:
    """Leave out the end; sometimes everything."""
    content = path.read_bytes()
    path.write_bytes(content[: source.choice((0, source.randrange(len(content)), len(content) - 1))])


DAMAGES: Mapping[str, Callable[[Path, random.Random], None]] = {"flip": flip, "cut": cut}


def exchange(path: Path, others: Iterable[Path]) -> bool:
    """Put the first of other files that is not the same in its place; whether there was one."""
    for other in others:
        if other.read_bytes() != path.read_bytes():
            shutil.copy2(other, path)
            return True
    return False
