"""The files of a folder, or of a zip file, under names of one spelling, and how they are read.

A name is relative, its parts are divided by ``/``, and its letters are in Unicode's composed form (NFC), so that the
same files have the same names wherever they were packed: Windows writes ``\\`` into zip files, macOS takes letters
apart.
"""

from __future__ import annotations

import os
import re
import stat
import unicodedata
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from ..base.errors import UserError

# Folders of systems, beside those whose names begin with a dot: of macOS, of NAS and of Windows
SYSTEM_FOLDERS = frozenset(
    {
        "__macosx",
        "@eadir",
        "@recycle",
        "@recently-snapshot",
        "#recycle",
        "#snapshot",
        "$recycle.bin",
        "system volume information",
        "lost+found",
        "_thumb",
        "_thumbs",
    }
)

# Bytes of a file, beyond any picture of a data set: what is larger is not read
LARGEST_FILE = 2**28

Reader = Callable[[str], bytes]


@dataclass(frozen=True)
class Listing:
    """What a folder or a zip file holds.

    Attributes:
        path: the folder or the zip file.
        stored: each file's name, to the name under which it is opened.
        folders: the names of folders, each ending in a slash.
        skipped: what is not looked at: hidden files and folders (which end in a slash), and those of systems.
    """

    path: Path
    stored: Mapping[str, str]
    folders: list[str]
    skipped: list[str]

    @property
    def is_zip(self) -> bool:
        """Whether ``path`` is a zip file."""
        return self.path.is_file()


def local(path: str) -> Path:
    """A path of the config, with ``~`` for the user's home.

    Raises:
        UserError: there is no such user.
    """
    try:
        return Path(path).expanduser()
    except RuntimeError:
        raise UserError(f"dataset: found the path {path!r}, whose home folder is not known; write it in full") from None


def list_files(path: str, key: str) -> Listing:
    """List a folder or a zip file without opening a file in it.

    Args:
        path: as written in the config.
        key: the config's key, for messages.

    Raises:
        UserError: there is none, it cannot be listed, a name in a zip file leads out of it, two names are the same,
            or a folder lies within itself, by a link.
    """
    place = local(path)
    try:
        entries = list(_in_zip(place) if place.is_file() else _in_folder(place))
        return _of_entries(place, entries)
    except FileNotFoundError:
        reason = "there is no such folder or zip file"
    except zipfile.BadZipFile as error:
        reason = f"not a whole zip file ({error}), nor a folder"
    except UnicodeDecodeError:
        reason = "a zip file with a name in it that is not the Unicode that it says to be; pack it again"
    except OSError as error:
        within = f"{error.filename}: " if error.filename not in (None, str(place)) else ""
        reason = f"it cannot be read ({within}{error.strerror})"
    except ValueError as error:  # a NUL in the path, or what `_of_entries` says
        reason = str(error)
    raise UserError(f"{key}: found {path!r}; {reason}")


def composed(name: str) -> str:
    """A name in Unicode's composed form: an accent may be part of a letter, or follow it."""
    return unicodedata.normalize("NFC", name)


def _of_entries(place: Path, entries: Iterable[tuple[str, str]]) -> Listing:
    """The listing of pairs of a name, folders ending in a slash, and the name under which it is opened.

    Raises:
        ValueError: two files have the same name.
    """
    stored: dict[str, str] = {}
    folders, skipped = [], set()
    for name, opened in entries:
        if part := _system_part(name):
            skipped.add(part)
        elif name.endswith("/"):
            folders.append(name)
        elif name in stored:
            raise ValueError(f"it holds two files of one name, {name}; accepted is each name once")
        else:
            stored[name] = opened
    return Listing(place, stored, folders, sorted(skipped))


def _system_part(name: str) -> str:
    """A name up to its first part that is hidden or a system's; nothing where it has none."""
    parts = name.split("/")
    for number, part in enumerate(parts):
        if part.startswith(".") or part.lower() in SYSTEM_FOLDERS:
            return "/".join(parts[: number + 1]) + ("/" if number + 1 < len(parts) else "")
    return ""


def _in_zip(path: Path) -> Iterator[tuple[str, str]]:
    with zipfile.ZipFile(path) as archive:
        for stored in archive.namelist():
            if name := _name_in_zip(stored):
                yield name, stored


def _name_in_zip(stored: str) -> str:
    """A name of a zip file in its one spelling; nothing for the folder that is packed.

    Raises:
        ValueError: it leads out of the folder into which the file would be unpacked.
    """
    name = composed(stored).replace("\\", "/")
    parts = name.split("/")
    if name.startswith("/") or ".." in parts or re.match("[A-Za-z]:/", name):
        raise ValueError(
            f"it holds the name {stored!r}, which leads out of the zip file; accepted are names relative to one "
            f"folder, without '..'"
        )
    kept = [part for part in parts if part not in ("", ".")]
    return "/".join(kept) + ("/" if kept and parts[-1] in ("", ".") else "")


def _in_folder(path: Path) -> Iterator[tuple[str, str]]:
    """Names below a folder; what lies in hidden folders, and in those of systems, is not listed."""
    waiting: list[tuple[str, tuple[str, ...]]] = [("", (os.path.realpath(path),))]
    while waiting:
        parent, around = waiting.pop()
        with os.scandir(path / parent) as entries:
            for entry in entries:
                stored = f"{parent}{entry.name}" + ("/" if entry.is_dir() else "")
                name = composed(stored)
                yield name, stored
                if name.endswith("/") and not _system_part(name):
                    place = os.path.realpath(entry.path)
                    if place in around:
                        raise ValueError(f"its folder {name} is a link to a folder around it; remove the link")
                    waiting.append((stored, (*around, place)))


@contextmanager
def reader(listing: Listing) -> Iterator[Reader]:
    """A function from the name of a file to its content, which several threads may call.

    It raises whatever a damaged zip file leads to, OSError, and ValueError of what is no file or is larger than
    `LARGEST_FILE`, which is not read whole.
    """
    if not listing.is_zip:
        yield lambda name: _read_file(listing.path / listing.stored[name])
        return
    with zipfile.ZipFile(listing.path) as archive:

        def read(name: str) -> bytes:
            entry = archive.getinfo(listing.stored[name])
            _check_size(entry.file_size)
            return archive.read(entry)  # not more than it says to be

        yield read


def _read_file(path: Path) -> bytes:
    found = path.stat()
    if not stat.S_ISREG(found.st_mode):
        raise ValueError("neither a file nor a folder")
    _check_size(found.st_size)
    return path.read_bytes()


def _check_size(size: int) -> None:
    if size > LARGEST_FILE:
        raise ValueError(f"of {size} bytes; accepted are at most {LARGEST_FILE}")
