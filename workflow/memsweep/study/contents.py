"""What the user's own files hold, as a hash: by it, and not by the times of files, images are prepared again.

Times do not say whether content changed: ``cp -p``, ``tar -x`` and another file under the same name bring old ones
along, and a copy has new ones. So the files are read when a study is planned. As that takes a while of many, what was
found is kept beside the results for as long as size, times and inode of every file are what they were. The time of an
inode's change is among them, which nobody can set back.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import time
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from ..base.files import replacing
from .folders import ImageFiles, find_splits

# Reading waits for disks and networks, and hashing releases Python's lock
THREADS = 8
# Seconds in which a file may change twice and keep its times, on the coarsest of file systems
TICK = 3


def content_hash(dataset: Mapping[str, Any], cache: Path) -> str:
    """A hash of the names, sizes and content of the user's own files that a dataset is made of.

    Args:
        dataset: the config's ``dataset``.
        cache: folder in which hashes are kept; one that cannot be written to is done without.

    Returns:
        Hexadecimal digits; nothing for a dataset that is not made of the user's own files.

    Raises:
        UserError: as `folders.find_splits`.
    """
    if dataset["name"] != "image_folder":
        return ""
    begun = time.time()
    parts = find_splits(dataset)
    # A zip file that holds both splits is one file
    names = {path: f"{split}/{name}" for split in parts for name, path in _files(parts[split])}
    files = sorted((name, path) for path, name in names.items())
    marks, changed = _marks(path for _, path in files)
    kept = cache / _digest([files, marks])
    if found := _read(kept):
        return found
    with ThreadPoolExecutor(THREADS) as threads:
        contents = list(threads.map(_content, (path for _, path in files)))
    found = _digest([(name, *content) for (name, _), content in zip(files, contents, strict=True)])
    if changed < begun - TICK:
        _keep(kept, found)
    return found


def _files(part: ImageFiles) -> list[tuple[str, str]]:
    """The name of each file that a split is made of, and its path; a zip file counts as a whole."""
    listing = part.listing
    if listing.is_zip:
        return [("", str(listing.path.absolute()))]
    names = [*part.names, part.labels] if part.labels else part.names
    root = listing.path.absolute()
    return [(name, f"{root}/{listing.stored[name]}") for name in names]


def _marks(paths: Iterable[str]) -> tuple[list[Any], float]:
    """What changes with the content of each file, and when the last of them did."""
    marks: list[Any] = []
    latest = 0.0
    for path in paths:
        try:
            found = Path(path).stat()
        except OSError:
            marks.append(None)
            continue
        marks.append([found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino])
        latest = max(latest, found.st_mtime, found.st_ctime)
    return marks, latest


def _content(path: str) -> tuple[int, str]:
    """Size and hash of a file; of one that cannot be read neither, which is for the stage that needs it to say."""
    try:
        if not Path(path).is_file():  # a pipe would be waited for
            return -1, ""
        with Path(path).open("rb") as file:
            return os.fstat(file.fileno()).st_size, hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return -1, ""


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value).encode()).hexdigest()


def _read(kept: Path) -> str:
    try:
        found = kept.read_text()
    except (OSError, ValueError):
        return ""
    return found if re.fullmatch("[0-9a-f]{64}", found) else ""


def _keep(kept: Path, found: str) -> None:
    try:
        with replacing(kept) as temporary:
            temporary.write_text(found)
    except OSError:
        return  # the next plan reads the files again
