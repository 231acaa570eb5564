"""Files that are either whole or not there."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from .sealed import KEY, UNSEALED, Damaged, seal, sealed_digest


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside ``path``; on success it takes the place of ``path``.

    The content is flushed to disk before the rename, so a reader, or a machine that
    lost power, sees the old file or the new one and never a part of one. On any error
    the temporary file is removed and ``path`` stays as it was.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=path.suffix)
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        with temporary.open("rb") as written:
            os.fsync(written.fileno())
        temporary.chmod(0o666 & ~_umask())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def write_json(path: Path, value: Mapping[str, Any]) -> None:
    """Write a sealed JSON object, whole or not at all."""
    with replacing(path) as temporary:
        temporary.write_text(json.dumps({**value, KEY: UNSEALED}, sort_keys=True, indent=1) + "\n")
        seal(temporary)


def read_json(path: Path) -> dict[str, Any]:
    """What `write_json` wrote.

    Raises:
        FileNotFoundError: there is no such file.
        Damaged: it is not whole, or not such an object.
    """
    sealed_digest(path)
    try:
        value: dict[str, Any] = json.loads(path.read_text())
        del value[KEY]
    except (ValueError, TypeError, KeyError):
        raise Damaged(f"{path}: not a JSON object") from None
    return value


def _umask() -> int:
    """The process's umask: ``mkstemp`` makes private files, results are for everybody."""
    current = os.umask(0)
    os.umask(current)
    return current
