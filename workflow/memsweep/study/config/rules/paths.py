"""Rules of the paths that a config names: each can be looked at."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from ...networks import split_path
from ..asked import Asked


def paths_can_be_looked_at(asked: Asked) -> Iterator[str]:
    """The system has no objection to a path, whether or not there is something at it."""
    for key, path in _paths(asked):
        if objection := _objection(path):
            yield f"{asked.found(key)}; accepted is a path that can be opened, and here {objection}"


def _paths(asked: Asked) -> Iterator[tuple[str, str]]:
    """Every path, with its key."""
    dataset, metrics = (asked.config.get(section, {}) for section in ("dataset", "metrics"))
    yield from ((f"dataset.{key}", dataset[key]) for key in ("path", "test_path") if key in dataset)
    own = split_path(asked.config.get("network", {}).get("kind", ""))[0]
    yield from [("network.kind", str(own))] if own else []
    yield from ((f"metrics.weights.{space}", path) for space, path in metrics.get("weights", {}).items())


def _objection(path: str) -> str:
    try:
        Path(path).expanduser().stat()
    except (FileNotFoundError, NotADirectoryError):
        return ""
    except RuntimeError:
        return "there is no such user"
    except OSError as error:  # too long a name, or what may not be looked at
        return str(error.strerror)
    except ValueError as error:  # a NUL, or what is no Unicode
        return str(error)
    return ""
