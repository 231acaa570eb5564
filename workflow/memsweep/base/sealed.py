"""Files that prove that they are whole: each carries the digest of its own content.

The digest is a text somewhere in the file, wherever its format has room for one: in the metadata of a Parquet or
safetensors file, in a field of a JSON object. It is that of the whole file with zeros in place of the digest, so
that no bit of the file can change unseen, and any other reader of the format reads the file as it is.
"""

from __future__ import annotations

import hashlib
import mmap
import re
from pathlib import Path

from .errors import UserError

KEY = "digest"
_MARK = b"memsweep-sha256-"
_LENGTH = 64
# What a writer puts under `KEY`, before `seal`
UNSEALED = (_MARK + b"0" * _LENGTH).decode()


class Damaged(UserError):
    """A file is not whole, or not what it should be."""


def seal(path: Path) -> str:
    """Put the digest where the file says `UNSEALED`, which it must say once; returns the digest."""
    with path.open("r+b") as file, mmap.mmap(file.fileno(), 0) as content:
        place = content.rfind(UNSEALED.encode())
        if place < 0:
            raise ValueError(f"{path}: has no room for a digest")
        digest = _digest(content, place)
        content[place : place + len(UNSEALED)] = _MARK + digest.encode()
        content.flush()
    return digest


def sealed_digest(path: Path) -> str:
    """The digest that a file carries, once it has been found right.

    Raises:
        FileNotFoundError: there is no such file.
        Damaged: the file's content is not that of which it carries the digest, or it carries none.
    """
    if not path.stat().st_size:
        raise Damaged(f"{path}: is empty")
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        place = content.rfind(_MARK)
        found = content[place + len(_MARK) : place + len(_MARK) + _LENGTH].decode("ascii", "replace")
        if place < 0 or not re.fullmatch("[0-9a-f]{64}", found):
            raise Damaged(f"{path}: carries no digest of its content; it is damaged, cut off or of an earlier version")
        if _digest(content, place) != found:
            raise Damaged(f"{path}: damaged, as its content is not that of which it carries the digest")
        return found


def _digest(content: mmap.mmap, place: int) -> str:
    digest = hashlib.sha256()
    with memoryview(content) as view:
        digest.update(view[:place])
        digest.update(UNSEALED.encode())
        digest.update(view[place + len(UNSEALED) :])
    return digest.hexdigest()
