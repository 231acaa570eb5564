"""Files that are either whole or not there."""

from __future__ import annotations

import fcntl
import glob
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from .sealed import KEY, UNSEALED, Damaged, seal, sealed_digest


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside ``path``; on success it takes the place of ``path``.

    The content is flushed to disk before the rename, so a reader, or a machine that
    lost power, sees the old file or the new one and never a part of one. On any error
    the temporary file is removed and ``path`` stays as it was. What a killed process
    had not finished writing there is removed by the next one that writes ``path``;
    its name begins with a dot, and so no reader takes it for a result.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    remove_leftovers(path.parent, glob.escape(path.name))
    with _named_in_errors(path), _own_temporary(path) as temporary:
        yield temporary
        with temporary.open("rb") as written:
            os.fsync(written.fileno())
        temporary.chmod(0o666 & ~_umask())
        temporary.replace(path)


@contextmanager
def _named_in_errors(path: Path) -> Iterator[None]:
    """An error of the system, such as a full disk, names the file that was to be written."""
    try:
        yield
    except OSError as error:
        error.filename = str(path)
        raise


@contextmanager
def _own_temporary(path: Path) -> Iterator[Path]:
    """A new file beside ``path``, locked for as long as this process writes it, and then gone."""
    while True:
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=path.suffix)
        with suppress(OSError):  # a file system without locks
            fcntl.flock(handle, fcntl.LOCK_EX)
        if os.fstat(handle).st_nlink:
            break
        os.close(handle)  # another process took it for a leftover before it was locked
    temporary = Path(name)
    try:
        yield temporary
    finally:
        temporary.unlink(missing_ok=True)
        os.close(handle)


@contextmanager
def new_folder(folder: Path) -> Iterator[Path]:
    """Yield a temporary folder beside ``folder``, which is not there and which it becomes on success, and only then."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with _named_in_errors(folder):
        temporary = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}."))
        try:
            yield temporary
            temporary.chmod(0o777 & ~_umask())
            temporary.rename(folder)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)


def remove_leftovers(folder: Path, name: str) -> None:
    """Remove temporary files that processes which are gone left beside the file of this name.

    One that is still being written is locked by its process, and stays; so do all on a file system without locks.

    Args:
        folder: of the file.
        name: of the file; a pattern, such as ``*.json``, for several.
    """
    for leftover in folder.glob(f".{name}.*"):
        with suppress(OSError):  # locked, not ours to remove, or gone by now
            handle = os.open(leftover, os.O_RDWR)
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                leftover.unlink()
            finally:
                os.close(handle)


def content_name(content: bytes) -> str:
    """What a file is known by that is named by its content: the first digits of its SHA-256."""
    return hashlib.sha256(content).hexdigest()[:16]


# Beside a kept copy: where the file lay, and which copies stand for the files that it names
_ORIGIN = "origin.json"


def kept_copy(file: Path, folder: Path, named: Mapping[str, str] | None = None) -> Path:
    """A copy of a file as it is now, below a folder, in one named by its content.

    Args:
        file: what is copied.
        folder: that of all copies.
        named: absolute paths of files that it names, to copies of these.
    """
    content, origin = file.read_bytes(), {"folder": str(file.absolute().parent), "named": dict(named or {})}
    about = json.dumps(origin, sort_keys=True).encode()
    copy = folder / content_name(content + about) / file.name
    for path, text in ((copy.with_name(_ORIGIN), about), (copy, content)):
        if not path.exists():
            with replacing(path) as temporary:
                temporary.write_bytes(text)
    return copy


def named_file(file: Path, path: Path) -> Path:
    """Where a file lies whose path another one holds, counted from its folder; of a kept copy, from the original's."""
    origin = file.with_name(_ORIGIN)
    if not origin.is_file():
        return file.parent / path
    about = json.loads(origin.read_text())
    found = Path(about["folder"]) / path
    return Path(about["named"].get(os.path.normpath(found), found))


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
