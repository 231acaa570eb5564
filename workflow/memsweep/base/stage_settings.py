"""The settings of a stage, as JSON on standard input."""

from __future__ import annotations

import json
import sys
from typing import Any

from .errors import UserError


class Settings(dict[str, Any]):
    """A mapping in which a key that a stage asks for and does not find is a sentence."""

    def __missing__(self, key: str) -> Any:
        raise UserError(f"settings on standard input: missing {key!r}")


def read_settings() -> Settings:
    """Read the settings; mappings within them are `Settings`, too.

    Raises:
        UserError: they are missing or are not a JSON object.
    """
    if sys.stdin.isatty():
        raise UserError("settings are read from standard input, as a JSON object; found a terminal")
    try:
        settings = json.load(sys.stdin, object_hook=Settings)
    except ValueError as error:
        raise UserError(f"settings on standard input: not JSON ({error})") from None
    if not isinstance(settings, Settings):
        raise UserError(f"settings on standard input: found {type(settings).__name__}; accepted is a JSON object")
    return settings
