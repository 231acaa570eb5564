"""The way of a config: read, filled in by its schema, checked by the rules of its kind of study."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ...base.errors import UserError
from ..networks import placed
from .asked import Asked, Config
from .filling import fill
from .reading import as_meant, as_typed, size_problem
from .rules import RULES, broken
from .rules.files import read_studies, relative
from .schemas import KINDS, schema
from .sentences import sentence, shown


def resolve(config: Mapping[str, Any], files: list[Path] | None = None) -> Config:
    """Check a study's configuration and return it with every default filled in.

    Args:
        config: the study as read from YAML.
        files: where it was read from; checked for keys written twice and, together with
            the other studies in the same folder, for study names used twice.

    Raises:
        UserError: one sentence per problem, each naming the key, the value found and what
            is accepted.
    """
    if not isinstance(config, Mapping):
        named = f"{relative(files[0])}: " if files else ""
        raise UserError(f"config error: {named}found {shown(config)}; accepted is a study, a mapping of keys to values")
    too_much = size_problem(config)
    if too_much:
        raise UserError(f"config error: {too_much}")
    studies, problems = read_studies(files or [])
    # A choice of runs is mostly made on the command line, and is read alike in a file
    written = [
        {key: part for key, part in study.items() if key not in ("only", "exclude")} for study in studies.values()
    ]
    given = as_typed(config, written if files else [{**config, "only": None, "exclude": None}])
    kind = given.get("kind", "sweep")
    if kind not in KINDS:
        problems.append(f"kind: found {shown(kind)}; accepted is one of {', '.join(KINDS)}")
        resolved: Config = {}
    else:
        resolved, errors = fill(given, schema(kind))
        problems += (sentence(error, given) for error in errors)
    if not problems and "kind" in resolved.get("network", {}):
        _complete_networks(resolved, studies)
    if not problems:
        problems += broken(RULES[kind], Asked(given, resolved))
    if problems:
        raise UserError("\n".join(_told(list(dict.fromkeys(problems)))))
    return resolved


def section(name: str, given: Mapping[str, Any]) -> Config:
    """One section of a sweep's config, with every default filled in, for what asks of it without a study.

    Args:
        name: of the section.
        given: what is said of it; texts are read as those of the command line.

    Raises:
        UserError: as of `resolve`.
    """
    asked = {name: as_typed(given, [])}
    filled, errors = fill(asked, {"properties": {name: schema()["properties"][name]}})
    if errors:
        raise UserError("\n".join(sentence(error, asked) for error in errors))
    found: Config = filled[name]
    return found


def _complete_networks(config: Config, studies: Mapping[Path, Mapping[str, Any]]) -> None:
    """Say where networks of the user's own lie, which is counted from the file that names them; read their keys."""
    network = config["network"]
    network["kind"] = placed(network["kind"], _naming(studies, network["kind"]))
    network["own"] = as_meant(network["own"])
    for part in _parts_with_axes(config):
        if "network.kind" in part:
            part["network.kind"] = [placed(kind, _naming(studies, kind)) for kind in part["network.kind"]]
        part.update({axis: as_meant(values) for axis, values in part.items() if axis.startswith("network.own.")})


def _parts_with_axes(config: Config) -> Iterator[dict[str, Any]]:
    """The mappings from axis to values in the config of a sweep: products of its grid, and choices among its runs."""
    yield from config["grid"]["products"]
    for choice in (config, *config["substudies"].values()):
        yield from (choice[key] for key in ("only", "exclude") if key in choice)


def _naming(studies: Mapping[Path, Mapping[str, Any]], kind: str) -> Path | None:
    """The file of the study that names a kind of network anywhere."""

    def names(part: Any) -> bool:
        if isinstance(part, Mapping):
            return any(names(value) for value in part.values())
        return any(names(value) for value in part) if isinstance(part, list) else bool(part == kind)

    return next((file for file, study in studies.items() if names(study)), None)


# Problems that are told at once; of more, nobody reads the rest
MOST_TOLD = 20


def _told(problems: list[str]) -> list[str]:
    more = len(problems) - MOST_TOLD
    told = [f"config error: {problem}" for problem in problems[:MOST_TOLD]]
    return [*told, f"config error: {more} more problems"] if more > 0 else told
