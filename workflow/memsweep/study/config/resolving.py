"""The way of a config: read, filled in by its schema, checked by the rules of its kind of study."""

from __future__ import annotations

from collections.abc import Mapping
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
        _complete_network(resolved["network"], studies)
    if not problems:
        problems += broken(RULES[kind], Asked(given, resolved))
    if problems:
        raise UserError("\n".join(_told(list(dict.fromkeys(problems)))))
    return resolved


def _complete_network(network: dict[str, Any], studies: Mapping[Path, Mapping[str, Any]]) -> None:
    """Say where the user's own network lies, which is counted from the file that names it; read its keys."""
    sections = {file: study.get("network") for file, study in studies.items()}
    named = (
        file for file, part in sections.items() if isinstance(part, Mapping) and part.get("kind") == network["kind"]
    )
    network["kind"] = placed(network["kind"], next(named, None))
    network["own"] = as_meant(network["own"])


# Problems that are told at once; of more, nobody reads the rest
MOST_TOLD = 20


def _told(problems: list[str]) -> list[str]:
    more = len(problems) - MOST_TOLD
    told = [f"config error: {problem}" for problem in problems[:MOST_TOLD]]
    return [*told, f"config error: {more} more problems"] if more > 0 else told
