"""How long the tests of this folder are."""

from __future__ import annotations

import pytest

from reliability import length_of


@pytest.fixture
def length(request: pytest.FixtureRequest) -> int:
    """How many times as many odd configs, kills and damaged files are tried as in the suite."""
    return length_of(request.config)
