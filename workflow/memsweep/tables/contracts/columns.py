"""What columns of several tables are: a name, a type, a meaning, and a unit where there is one."""

from __future__ import annotations

import pyarrow as pa


def column(name: str, kind: pa.DataType, meaning: str, unit: str = "") -> pa.Field:
    """A column; its meaning and unit are written into every file."""
    return pa.field(name, kind, metadata={"meaning": meaning, **({"unit": unit} if unit else {})})


def interval(of: str, prefix: str = "") -> tuple[pa.Field, pa.Field]:
    """The two columns of a confidence interval; those of one of several begin with a prefix."""
    return (
        column(f"{prefix}ci_low", pa.float64(), f"lower end of the confidence interval of {of}"),
        column(f"{prefix}ci_high", pa.float64(), f"upper end of the confidence interval of {of}"),
    )


STEP = column("step", pa.int64(), "optimiser steps taken", "steps")
