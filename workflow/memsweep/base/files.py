"""Files that are either whole or not there."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


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


def save(value: Any, path: Path) -> None:
    """`torch.save`, which by itself says of a full disk only that it cannot write.

    Raises:
        OSError: as of any file.
    """
    import torch  # here, as whoever only names files should not wait for it

    with path.open("wb") as file:
        torch.save(value, file)


def _umask() -> int:
    """The process's umask: ``mkstemp`` makes private files, results are for everybody."""
    current = os.umask(0)
    os.umask(current)
    return current
