"""Checks a config against its schema and, on the way, fills it in: defaults, and one spelling of every number.

jsonschema walks config and schema together. The three of its keywords that lead from a value to the values in it are
extended here: before they go on, they put in what is missing and write numbers as the schema has them. Of a config
only what its schema knows is walked, however deep the rest may be.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from typing import Any

from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError
from jsonschema.validators import extend

from .reading import CommandLineText

# Beyond what tables can hold a number stays as it was written, for the schema to refuse.
LARGEST_WHOLE = 2**63 - 1


def fill(config: Mapping[str, Any], rules: Mapping[str, Any]) -> tuple[dict[str, Any], list[ValidationError]]:
    """A copy of a config with everything filled in, and what its schema says against it."""
    filled = dict(config)
    errors = _Filling(rules).iter_errors(filled)
    return filled, sorted(errors, key=lambda error: list(map(str, error.path)))


def _properties(validator: Any, properties: Any, instance: Any, rules: Any) -> Iterator[ValidationError]:
    if isinstance(instance, dict):
        for key, subschema in properties.items():
            if key in instance or "default" in subschema:
                instance[key] = _as_wanted(instance.get(key, subschema.get("default")), subschema)
    yield from Draft202012Validator.VALIDATORS["properties"](validator, properties, instance, rules)


def _additional_properties(validator: Any, subschema: Any, instance: Any, rules: Any) -> Iterator[ValidationError]:
    if isinstance(instance, dict) and subschema:
        for key in instance.keys() - rules.get("properties", {}).keys():
            instance[key] = _as_wanted(instance[key], subschema)
    yield from Draft202012Validator.VALIDATORS["additionalProperties"](validator, subschema, instance, rules)


def _items(validator: Any, subschema: Any, instance: Any, rules: Any) -> Iterator[ValidationError]:
    if isinstance(instance, list):
        instance[:] = [_as_wanted(item, subschema) for item in instance]
    yield from Draft202012Validator.VALIDATORS["items"](validator, subschema, instance, rules)


def _is_finite_number(checker: Any, value: Any) -> bool:
    """Neither infinity nor not-a-number, which YAML can write."""
    return Draft202012Validator.TYPE_CHECKER.is_type(value, "number") and (
        isinstance(value, int) or math.isfinite(value)
    )


_Filling = extend(
    Draft202012Validator,
    {"properties": _properties, "additionalProperties": _additional_properties, "items": _items},
    type_checker=Draft202012Validator.TYPE_CHECKER.redefine("number", _is_finite_number),
)


def _as_wanted(value: Any, subschema: Mapping[str, Any]) -> Any:
    """A value to keep: a copy, as one part of a YAML file may stand in several places; numbers in one spelling."""
    if isinstance(value, dict | list):
        return value.copy()
    wanted = subschema.get("type")
    if isinstance(value, str):
        value = _read(value, wanted)
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) <= LARGEST_WHOLE:
        return value
    # 600 and 600.0 would be two settings
    if wanted == "number":
        return float(value)
    return int(value) if wanted == "integer" and value == int(value) else value


def _read(text: str, wanted: Any) -> Any:
    """A text as what it stands for.

    Of a file, 1e-4 as YAML 1.2 reads it, which the older YAML of PyYAML takes for text; of the command line, all that
    YAML reads.
    """
    is_typed = isinstance(text, CommandLineText)
    if wanted in ("number", "integer"):
        if is_typed and re.fullmatch(r"[-+]?\d{1,18}", text):
            return int(text)
        if re.fullmatch(r"[-+]?\d+(\.\d*)?[eE][-+]?\d+", text):
            return float(text)
        if is_typed and re.fullmatch(r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?", text):
            return float(text)
    if is_typed and wanted == "boolean" and text.lower() in ("true", "false"):
        return text.lower() == "true"
    return str(text)
