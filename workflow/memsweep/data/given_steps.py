"""The images of a training as anybody has them: a folder with a folder or file of images for each step."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from ..base.errors import UserError
from ..study.folders import SUFFIXES
from ..study.listing import SYSTEM_FOLDERS, list_files, local
from .given import Given, check_count, read_given

_PREFIX = "step="
_STEP = re.compile(r"step=(\d{1,18})(\.npz|\.npy|\.zip)?", re.ASCII | re.IGNORECASE)
_ARRAYS = (".npz", ".npy", ".zip")
_ACCEPTED = "step= and a whole number from 1 on, of a folder or, with .zip, .npz or .npy behind it, of a file"


def find_steps(source: str | Path, role: str) -> dict[int, Path]:
    """Where the images of each step lie, in the order of steps; nothing where a place is no folder of steps.

    Args:
        source: a folder, which holds a folder or file of images for each step, such as ``step=1000`` or
            ``step=1000.npz``; or any other place of images.
        role: what to call it in sentences.

    Raises:
        UserError: images lie beside the steps, a name is none of a step, or a step is there twice.
    """
    folder = local(str(source))
    if not folder.is_dir():
        return {}
    entries = sorted(each for each in folder.iterdir() if not _is_hidden(each.name))
    named = [each for each in entries if each.name.lower().startswith(_PREFIX)]
    told = f"{role}: found {str(source)!r}"
    found: dict[int, Path] = {}
    for each in named:
        step = _step_of(each)
        if not step:
            raise UserError(f"{told}, which holds {each.name}; accepted is {_ACCEPTED}")
        if step in found:
            raise UserError(f"{told}, which holds step {step} twice, {found[step].name} and {each.name}; keep one")
        found[step] = each
    if found:
        for each in entries:
            if each not in named and _has_images(each, role):
                raise UserError(
                    f"{told}, where {each.name} holds images beside {named[0].name}; accepted are steps alone"
                )
    return dict(sorted(found.items()))


def read_steps(steps: Mapping[int, Path], role: str, size: int | None = None) -> dict[int, Given]:
    """The images of each step, at least 2; ``steps`` is as found, the rest and errors as of `given.read_given`."""
    found = {step: read_given(path, f"{role}, {path.name}", size) for step, path in steps.items()}
    for each in found.values():
        check_count(each, len(each))
    return found


def check_no_steps(given: Given, source: object) -> None:
    """That a set of images is none that holds a training's steps deeper down, which would be taken for one set.

    Raises:
        UserError: an image lies below a folder that is called as one of a step.
    """
    for name in given.names:
        if any(_STEP.fullmatch(part) for part in name.split("/")[:-1]):
            raise UserError(
                f"{given.role}: found {str(source)!r}, where {name} is of a step; accepted is the folder, not zipped, "
                f"in which the steps lie"
            )


def _is_hidden(name: str) -> bool:
    return name.startswith(".") or name.lower() in SYSTEM_FOLDERS


def _step_of(entry: Path) -> int:
    """The step of a folder or file of images; 0 where its name is none of a step."""
    match = _STEP.fullmatch(entry.name)
    return int(match[1]) if match and bool(match[2]) != entry.is_dir() else 0


def _has_images(entry: Path, role: str) -> bool:
    if entry.is_dir():
        return any(name.lower().endswith(SUFFIXES) for name in list_files(str(entry), role).stored)
    return entry.name.lower().endswith((*SUFFIXES, *_ARRAYS))
