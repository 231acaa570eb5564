"""What must hold whatever happens: odd configs, kills, damage, and places that fail.

`pytest --at-length tests/reliability` runs the long version.
"""

from __future__ import annotations

import pytest


def length_of(config: pytest.Config) -> int:
    """How many times as many odd configs, kills and damaged files are tried as in the suite."""
    return 5 if config.getoption("--at-length") else 1
