"""The answer of a study in sentences, by its kind, from its tables alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from .feature_answers import feature_passages
from .passages import Passage
from .recovery_answers import recovery_passages
from .sweep_answers import sweep_passages

KINDS = {
    "sweep": sweep_passages,
    "mixed_cumulant": recovery_passages,
    "feature_learning": feature_passages,
}
UNTOLD = "What this kind of study finds stands in its figures and tables below."


def answer(study: Any, tables: Mapping[str, pd.DataFrame]) -> list[Passage]:
    """The passages that answer a study's question, the shortest answer first.

    Args:
        study: as `kinds.open_study` gives it.
        tables: those of the study that there are, by name.
    """
    told = KINDS.get(study.kind)
    passages = told(study, tables) if told else []
    return [passage for passage in passages if passage.sentences or passage.grid] or [Passage("In short", [UNTOLD])]
