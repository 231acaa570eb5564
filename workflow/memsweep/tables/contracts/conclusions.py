"""The tables that a sweep concludes in, from all of its runs together."""

from __future__ import annotations

import pyarrow as pa

from .columns import column, interval

DEFINITION = column("definition", pa.string(), "definition of the onset")
TERM = column(
    "term",
    pa.string(),
    "axis of positive numbers by its coordinate, as in the table scaling, any other by its column of the table runs",
)

CONCLUSIONS: dict[str, pa.Schema] = {
    "law": pa.schema(
        [
            DEFINITION,
            TERM,
            column(
                "value", pa.string(), "value that is compared with the base value of an axis; null for numeric axes"
            ),
            column(
                "order",
                pa.int64(),
                "1: the exponent at the middle of the axis's values on a logarithmic scale, or log10 of the onset at "
                "the value over that at the base; 2: the curvature, half of what the exponent gains per factor of ten",
            ),
            column("estimate", pa.float64(), "the term of the law of log10(onset) in all axes together"),
            *interval("estimate, over seeds and training sets"),
            column("freedom", pa.float64(), "degrees of freedom of the interval; at most those of sets between them"),
            column("runs", pa.int64(), "runs behind the law"),
            column("sets", pa.int64(), "training sets with an onset behind the law"),
            column("kept", pa.bool_(), "the term is in the law that predicts"),
            column("reason", pa.string(), "why there is no estimate, or no test of a curvature; null where there is"),
        ]
    ),
}
