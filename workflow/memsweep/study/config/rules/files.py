"""Rules of the files that studies are written in."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ....base.errors import UserError
from ..reading import read_yaml


def read_studies(files: list[Path]) -> tuple[dict[Path, Mapping[str, Any]], list[str]]:
    """The studies of some files, and what is wrong with these: they cannot be read, or share a name with others."""
    studies: dict[Path, Mapping[str, Any]] = {}
    problems: list[str] = []
    for path in map(relative, files):
        try:
            study = read_yaml(path)
        except UserError as error:
            problems.append(str(error))
            continue
        if isinstance(study, Mapping):
            studies[path] = study
            problems += _name_is_its_own(path, study.get("study"), files)
    return studies, problems


def _name_is_its_own(path: Path, name: Any, files: list[Path]) -> Iterator[str]:
    """Two studies of one folder have two names."""
    others = [other for other in sorted(path.parent.glob("*.y*ml")) if _is_another(other, files)]
    same = [str(other) for other in others if name is not None and _name_of(other) == name]
    if same:
        yield (
            f"study: the name '{name}' of {path} is also the name of {', '.join(same)}; accepted is a name of its "
            f"own, as results go to results/{name}/"
        )


def _is_another(path: Path, files: list[Path]) -> bool:
    """Whether a path is another file that people write: no editor's lock, broken link or pipe."""
    return path.is_file() and not path.name.startswith(".") and not any(map(path.samefile, files))


def _name_of(path: Path) -> Any:
    """The name of the study in a file, if it is one."""
    try:
        study = read_yaml(path)
    except UserError:
        return None  # another study's file is not this study's problem
    return study.get("study") if isinstance(study, Mapping) else None


def relative(path: Path) -> Path:
    """A path as a user would write it: relative where it lies below the working directory."""
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path
