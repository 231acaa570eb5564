"""How jobs ended, as their logs say: a job empties its log when it starts, so that each is of the last attempt."""

from __future__ import annotations

import os
import re
from pathlib import Path

# What is read of a log from its end
TAIL = 16_384

# As the command line says how a stage ended that did not end well
_ENDING = re.compile(r"^memsweep \w+: (.+)", re.MULTILINE | re.DOTALL)
_STOPPED = ("stopped on request", "the time is up")


def failure(log: Path) -> str:
    """What a log says of the failure of its job; nothing where it says of none, or was stopped on request."""
    text = _tail(log)
    if ending := _ENDING.search(text):
        return "" if ending[1].startswith(_STOPPED) else ending[1].strip()
    # What nobody expected: the last line of a traceback says what it was
    return text.rstrip().rpartition("\n")[2] if "Traceback (most recent call last)" in text else ""


def has_ended(log: Path) -> bool:
    """Whether a log says how its job ended: that it failed, or was stopped."""
    return bool(_ENDING.search(text := _tail(log))) or "Traceback (most recent call last)" in text


def failed(folder: Path) -> dict[Path, str]:
    """The logs below a folder of jobs that failed, with what they say."""
    logs = sorted(folder.rglob("*.log")) if folder.is_dir() else []
    return {log: sentence for log in logs if (sentence := failure(log))}


def _tail(log: Path) -> str:
    try:
        with log.open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - TAIL))
            return file.read().decode(errors="replace")
    except OSError:
        return ""
