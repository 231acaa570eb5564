"""A claim, the evidence that a study has for it, and the verdict.

The interval of the evidence decides: the claim is *supported* where all of it lies in the range that the claim allows,
*refuted* where none of it does, and *undecided* otherwise, so that few runs leave a claim open and never refute it for
want of data. That it holds the level of its interval: a claim at the edge of its range is supported by chance in half
of the remainder, 2.5 % at a level of 95 %. Verdicts of one study are not corrected for their number.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from ..metrics.novelty import share_of
from ..tables.frames import frame_of
from ..tables.parquet import read_table

SUPPORTED, REFUTED, UNDECIDED, NOT_TESTABLE = "supported", "refuted", "undecided", "not testable"
VERDICTS = (SUPPORTED, REFUTED, UNDECIDED, NOT_TESTABLE)

# An exponent that differs by less than this counts as the same
MARGIN = 0.2


@dataclass(frozen=True)
class Evidence:
    """What a study measures of a claim.

    Attributes:
        estimate, ci_low, ci_high: the number that decides, with its interval; NaN where there is none.
        runs: behind it: runs, or what a study has in their place.
        lacking: what the study lacks, where there is no estimate.
        absent: this way of measuring is not there at all, so that what another one lacks says more.
    """

    estimate: float = math.nan
    ci_low: float = math.nan
    ci_high: float = math.nan
    runs: int = 0
    lacking: str | None = None
    absent: bool = False

    @classmethod
    def of(cls, rows: pd.DataFrame, value: str, absent: str, unknown: str, runs: str = "runs") -> Evidence:
        """That of the first of some rows of a table.

        Args:
            rows: with an interval each.
            value: column of the number.
            absent: what is lacking where there is no row.
            unknown: likewise, where the row has no number or no interval; ``{runs}`` stands for how many runs it has.
            runs: column of these.
        """
        if rows.empty:
            return cls(lacking=absent)
        row = rows.iloc[0]
        estimate, low, high = (float(row[name]) for name in (value, "ci_low", "ci_high"))
        count = int(row[runs])
        if not math.isfinite(estimate) or math.isnan(low) or math.isnan(high):
            return cls(runs=count, lacking=unknown.replace("{runs}", str(count)))
        return cls(estimate, low, high, count)

    @classmethod
    def of_share(cls, hits: int, count: int, confidence: float, absent: str) -> Evidence:
        """A share of some runs, with its exact interval; ``absent`` is what is lacking where there are none."""
        if not count:
            return cls(lacking=absent)
        found = share_of(hits, count, confidence)
        return cls(found.value, found.ci_low, found.ci_high, count)


class Tables:
    """The tables of a study, each read once it is asked for."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._read: dict[str, pd.DataFrame] = {}

    def __getitem__(self, name: str) -> pd.DataFrame:
        if name not in self._read:
            self._read[name] = read_table(self.folder / f"{name}.parquet", name)
        return self._read[name]


@dataclass(frozen=True)
class Claim:
    """A claim of a paper.

    Attributes:
        name: a short one.
        source: the paper.
        statement: what it says, in a sentence.
        measure: the number that decides.
        primary: of the ways in which a study can measure it, the one that decides: the first of ``ways`` that it has.
        ways: all of them.
        evidence: what a study's tables say, measured in one of these ways.
        low, high: range of the number in which the claim holds.
        outside: it holds outside that range instead.
        published: the number in the paper, where it has one.
        unit: what is counted as the evidence's runs.
    """

    name: str
    source: str
    statement: str
    measure: str
    ways: Sequence[str]
    evidence: Callable[[Tables, str], Evidence]
    low: float = -math.inf
    high: float = math.inf
    outside: bool = False
    published: float = math.nan
    unit: str = "run"

    def verdict(self, found: Evidence) -> str:
        """What the evidence says to the claim."""
        if math.isnan(found.estimate):
            return NOT_TESTABLE
        inside, apart = (
            self.low <= found.ci_low and found.ci_high <= self.high,
            found.ci_high < self.low or found.ci_low > self.high,
        )
        if self.outside:
            inside, apart = apart, inside
        return SUPPORTED if inside else REFUTED if apart else UNDECIDED

    def needed(self, found: Evidence) -> float:
        """About how many more runs of the same kind would decide, if the estimate stayed where it is.

        The width of the interval falls as one over the root of the number of runs. NaN where the claim is decided, or
        where no number of runs would do, the estimate being at the edge of the range.
        """
        if self.verdict(found) != UNDECIDED:
            return math.nan
        edges = [edge for edge in (self.low, self.high) if found.ci_low <= edge <= found.ci_high]
        ratios = []
        for edge in edges:
            reach = found.estimate - found.ci_low if edge < found.estimate else found.ci_high - found.estimate
            ratios.append(reach / abs(found.estimate - edge) if edge != found.estimate else math.inf)
        worst = max(ratios)
        return math.ceil(found.runs * (worst**2 - 1)) if math.isfinite(worst) else math.nan


def verdicts(claims: Sequence[Claim], tables: Tables) -> pd.DataFrame:
    """The table ``claims``: a row for each claim, in their order."""
    rows = []
    for claim in claims:
        measured = {way: claim.evidence(tables, way) for way in claim.ways}
        known = {way: found for way, found in measured.items() if not math.isnan(found.estimate)}
        there = {way: found for way, found in measured.items() if not found.absent}
        primary = next(iter([*known, *there, *claim.ways]))
        found = measured[primary]
        verdict = claim.verdict(found)
        rows.append(
            {
                "claim": claim.name,
                "source": claim.source,
                "statement": claim.statement,
                "measure": claim.measure,
                "primary": primary,
                "estimate": found.estimate,
                "ci_low": found.ci_low,
                "ci_high": found.ci_high,
                "margin_low": claim.low,
                "margin_high": claim.high,
                "outside": claim.outside,
                "verdict": verdict,
                "runs": found.runs,
                "unit": claim.unit,
                "needed": claim.needed(found),
                "lacking": found.lacking if verdict == NOT_TESTABLE else None,
                "published": claim.published,
                "definitions_agreeing": sum(claim.verdict(other) == verdict for other in known.values()),
                "definitions": len(known),
            }
        )
    return frame_of(rows).astype({"needed": "Int64"})
