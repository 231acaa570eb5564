"""The schemas: which keys a study has, what they may hold, and every default."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from ..axes import OWN_KEYS, swept_keys
from ..identity import TRAINING_KEYS

# What can be studied, by the config's ``kind``: each has its schema.
KINDS = ("sweep", "mixed_cumulant", "feature_learning")

FOLDER = Path(__file__).parents[1] / "schemas"
# In C where PyYAML was built with it: 3 ms in place of 23, for every job on a cluster
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@functools.cache
def schema(kind: str = "sweep") -> dict[str, Any]:
    """The JSON schema of a kind of study, references filled in: the only place where a default is written."""
    rules, shared = (_read(FOLDER / name) for name in (f"{kind}.schema.yaml", "shared.yaml"))
    definitions = {**shared, **rules.pop("$defs", {})}

    def filled_in(part: Any) -> Any:
        if isinstance(part, Mapping):
            if "$ref" in part:
                return filled_in(definitions[part["$ref"].removeprefix("#/$defs/")])
            return {key: filled_in(value) for key, value in part.items()}
        return [filled_in(value) for value in part] if isinstance(part, list) else part

    result: dict[str, Any] = filled_in(rules)
    return _with_axes(result) if kind == "sweep" else result


def _with_axes(sweep: dict[str, Any]) -> dict[str, Any]:
    """The schema of a sweep whose grid, and choices among its runs, know each key that can be an axis."""

    def lists(keys: Mapping[str, Any]) -> dict[str, Any]:
        return {name: {"type": "array", "minItems": 1, "items": rules} for name, rules in keys.items()}

    properties = sweep["properties"]
    others = lists(dict(swept_keys(properties)))
    alike = "|".join(key for key in properties["training"]["properties"] if key not in TRAINING_KEYS)
    patterns = {
        OWN_KEYS: {"type": "array", "minItems": 1},
        rf"^training\.({alike})(\.|$)": {
            "not": {},
            "description": "no axis, but one value for all runs, in the section training",
        },
        r"^(dataset|evaluation|metrics|onset|figures|requests)\.": {
            "not": {},
            "description": "no axis, but a key of network, formulation or training: all runs of a study have one "
            "dataset, and are evaluated alike",
        },
    }
    choice = properties["only"]
    parts = (properties["substudies"]["additionalProperties"]["properties"][name] for name in ("only", "exclude"))
    for part in (properties["grid"]["properties"]["products"]["items"], choice, properties["exclude"], *parts):
        part["properties"] |= others
        part["patternProperties"] = patterns
    return sweep


def _read(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = yaml.load(path.read_text(), _LOADER)  # a safe loader
    return content
