"""How long the tests of this folder are."""

from __future__ import annotations

import pytest


@pytest.fixture
def length(request: pytest.FixtureRequest) -> int:
    """How many times as many odd configs, kills and damaged files are tried as in the suite."""
    return 5 if request.config.getoption("--at-length") else 1
