"""Reads a study: its YAML file, and what Snakemake adds to it from the command line."""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from ...base.errors import UserError

# Bytes of a file: with all others here far beyond any study, and within what is checked in seconds
LARGEST_FILE = 200_000

# Digits that the YAML of PyYAML, 1.1, reads to the base of eight (020) or sixty (12:30:45), and nobody else
_OTHER_BASES = re.compile(r"[-+]?(0[0-7_]+|\d[\d_]*(:[0-5]?\d)+(\.[\d_]*)?)")


# In C where PyYAML was built with it, which is five times as fast and reads the same
if TYPE_CHECKING:
    _Loader = yaml.SafeLoader
else:
    _Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class _Careful(_Loader):
    """Reads YAML, refusing what it would read otherwise than it is meant.

    That is a key that is written twice, of which the last would be kept, and a number to another base than ten.
    """

    def construct_scalar(self, node: yaml.ScalarNode | yaml.MappingNode) -> Any:
        text = super().construct_scalar(node)
        if node.tag in ("tag:yaml.org,2002:int", "tag:yaml.org,2002:float") and _OTHER_BASES.fullmatch(text):
            base = "sixty" if ":" in text else "eight"
            raise UserError(
                f"found {text}, line {node.start_mark.line + 1}, which YAML reads as a number to the base of {base}; "
                f"accepted is a number without leading zeros and colons, or a text in quotes"
            )
        return text

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key_node, _ in node.value:
            key = str(key_node.value)
            if key in seen:
                raise UserError(f"key '{key}' is written twice, line {key_node.start_mark.line + 1}; accepted is once")
            seen.add(key)
        return super().construct_mapping(node, deep)


def read_yaml(path: Path) -> Any:
    """Read one YAML file.

    Raises:
        UserError: it is missing, is not YAML, writes a key twice, or a number as YAML alone reads it.
    """
    try:
        if path.exists() and not path.is_file():  # reading a pipe would wait for its other end
            raise UserError("not a file")
        if path.stat().st_size > LARGEST_FILE:
            raise UserError(f"found {path.stat().st_size} bytes; accepted is a study of at most {LARGEST_FILE}")
        return yaml.load(path.read_text(encoding="utf-8"), _Careful)  # a SafeLoader
    except UserError as error:
        raise UserError(f"{path}: {error}") from None
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}") from None
    except (yaml.YAMLError, ValueError) as error:  # of text that is no Unicode, or a date that no calendar has
        raise UserError(f"{path}: not YAML: {' '.join(str(error).split())}") from None
    except RecursionError:
        raise UserError(f"{path}: keys and lists within one another are too many to be read") from None


# Keys and lists within one another, and values in all
DEEPEST = 10
MOST_VALUES = 100_000


def size_problem(config: Any) -> str:
    """What is wrong with a config whose values cannot all be looked at; nothing, with all others.

    A few lines of YAML that refer to one another write out to more values than there is memory.
    """
    level, total = [config], 0
    for _ in range(DEEPEST):
        values = (
            part.values() if isinstance(part, Mapping) else part for part in level if isinstance(part, Mapping | list)
        )
        level = list(itertools.islice(itertools.chain.from_iterable(values), MOST_VALUES + 1))
        total += len(level)
        if total > MOST_VALUES:
            return f"the study: found more than {MOST_VALUES} values; accepted is a smaller study, or several"
    return f"the study: found more than {DEEPEST} levels of keys and lists; accepted are at most 5" if level else ""


class CommandLineText(str):
    """A text from the command line: Snakemake's ``--config`` hands over all in lists and mappings as text."""

    __slots__ = ()


def as_typed(value: Any, written: Sequence[Any]) -> Any:
    """A config with every text marked that comes from the command line.

    Args:
        value: the config, or a part of it.
        written: what the files of the study hold in its place.
    """
    if isinstance(value, Mapping):
        parts = [part for part in written if isinstance(part, Mapping)]
        return {key: as_typed(item, [part[key] for part in parts if key in part]) for key, item in value.items()}
    if isinstance(value, list):
        lists = [part for part in written if isinstance(part, list)]
        return [as_typed(item, [part[i] for part in lists if i < len(part)]) for i, item in enumerate(value)]
    return CommandLineText(value) if isinstance(value, str) and value not in written else value


def as_meant(value: Any) -> Any:
    """What no schema says the type of: texts from the command line as YAML reads them, all else as it is."""
    if isinstance(value, Mapping):
        return {key: as_meant(item) for key, item in value.items()}
    if isinstance(value, list):
        return [as_meant(item) for item in value]
    if not isinstance(value, CommandLineText):
        return value
    try:
        return yaml.load(value, _Careful)  # a SafeLoader
    except (UserError, yaml.YAMLError, ValueError):
        return str(value)


def with_typed(config: Any, entries: Sequence[str]) -> Any:
    """A config with what the command line says, as Snakemake's ``--config`` does it.

    Args:
        config: as read from a file.
        entries: each ``key=value``, the value in YAML; a mapping changes those of its keys that it has.

    Raises:
        UserError: an entry is none.
    """
    for entry in entries:
        key, equals, text = entry.partition("=")
        if not equals or not re.fullmatch(r"[A-Za-z_][\w-]*", key):
            raise UserError(
                f"--config: found {entry!r}; accepted is a key and its value, such as 'onset={{f_mem: 0.2}}'"
            )
        try:
            value = yaml.load(text, yaml.BaseLoader)  # all of it text, as `as_typed` expects it
        except yaml.YAMLError as error:
            raise UserError(f"--config: found {entry!r}; not YAML: {' '.join(str(error).split())}") from None
        config = _changed(config, {key: value})
    return config


def _changed(config: Any, changes: Any) -> Any:
    """A config with changes, key by key where both are mappings."""
    if not isinstance(config, Mapping) or not isinstance(changes, Mapping):
        return changes
    return {**config, **{key: _changed(config.get(key), value) for key, value in changes.items()}}
