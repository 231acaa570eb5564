"""What is wrong with a config, in sentences: the key, the value found and what is accepted."""

from __future__ import annotations

import difflib
import itertools
import re
import reprlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, cast

from jsonschema.exceptions import ValidationError

# What is accepted, by the schema's keyword that was violated and its value there.
_ACCEPTED = {
    "const": "only {}",
    "minimum": "at least {}",
    "maximum": "at most {}",
    "exclusiveMinimum": "greater than {}",
    "exclusiveMaximum": "less than {}",
    "multipleOf": "a multiple of {}",
    "minItems": "a list of at least {} value(s)",
    "maxItems": "a list of at most {} value(s)",
    "minLength": "a text of at least {} character(s)",
    "maxLength": "a text of at most {} characters",
    "uniqueItems": "a list without repeated values",
    "pattern": "a name of letters, digits, '-' and '_'",
}

_TYPES = {
    "integer": "a whole number",
    "number": "a number",
    "string": "text",
    "array": "a list",
    "object": "a mapping of keys to values",
    "boolean": "true or false",
}


class _Shown(reprlib.Repr):
    """Values as one writes them in YAML, and not at a length that would hide the sentence."""

    def __init__(self) -> None:
        super().__init__()
        self.maxlist, self.maxdict, self.maxlevel, self.maxstring, self.maxother, self.maxlong = 40, 10, 3, 80, 80, 80

    def repr_float(self, value: float, level: int) -> str:
        return f"{value:.12g}"

    def repr_dict(self, value: Mapping[Any, Any], level: int) -> str:
        """In the order in which it is written."""
        if level <= 0:
            return "{...}"
        items = itertools.islice(value.items(), self.maxdict)
        return f"{{{', '.join(f'{self.repr1(key, level - 1)}: {self.repr1(item, level - 1)}' for key, item in items)}}}"


def shown(value: Any) -> str:
    """A value in a sentence."""
    text = _Shown().repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


def key_of(path: Iterable[str | int]) -> str:
    """Where something stands in a config, such as ``grid.products[0].seed``; the study itself has no key."""
    key = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path)
    return key.lstrip(".") or "the study"


def found(given: Any, path: Sequence[str | int], text: str) -> str:
    """The beginning of a sentence, saying so where the value was not written by the user.

    Args:
        given: the config as it was written.
        path: where in it the value stands, or would stand.
        text: the value, as it is to be shown.
    """
    part = given
    for name in path:
        if isinstance(part, Mapping) and name not in part:
            return f"{key_of(path)}: found {text} (the default)"
        part = part[name]
    return f"{key_of(path)}: found {text}"


def sentence(error: ValidationError, given: Mapping[str, Any]) -> str:
    """One violation of a schema as a sentence."""
    path, keyword, rule = list(error.path), str(error.validator), cast(Any, error.validator_value)
    instance, known = cast(Any, error.instance), list(cast(Any, error.schema).get("properties", {}))
    if keyword == "additionalProperties":
        unknown = (name for name in instance if name not in known and not _matches(name, error.schema))
        return "; ".join(_unknown_key([*path, name], known) for name in unknown)
    if keyword == "required":
        return f"{key_of(path)}: missing {', '.join(repr(name) for name in rule if name not in instance)}"
    if keyword == "enum":
        accepted = f"one of {', '.join(map(str, rule))}"
    elif keyword == "type":
        accepted = "a finite number" if rule == "number" and isinstance(instance, float) else _TYPES[rule]
    elif keyword == "not":
        accepted = cast(Any, error.schema)["description"]
    elif keyword in ("minProperties", "maxProperties"):
        accepted = f"exactly one of {', '.join(known)}"
    else:
        accepted = _ACCEPTED.get(keyword, error.message).format(rule)
    return f"{found(given, path, shown(instance))}; accepted is {accepted}"


def _matches(name: Any, schema: Any) -> bool:
    """Whether a key is one of those that a schema describes by a pattern."""
    return any(re.search(pattern, str(name)) for pattern in schema.get("patternProperties", ()))


def _unknown_key(path: list[Any], known: list[str]) -> str:
    close = difflib.get_close_matches(str(path[-1]), known, n=1)
    hint = f" (did you mean '{close[0]}'?)" if close else ""
    short = [name for name in known if "." not in name]
    dotted = ", and keys of network, formulation and training" if len(short) < len(known) else ""
    accepted = f"{', '.join(short)}{dotted}"
    return f"{key_of([*path[:-1], str(path[-1])])}: unknown key{hint}; accepted keys are {accepted}"
