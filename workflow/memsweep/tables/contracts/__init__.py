"""The contract of the Parquet tables: their columns, what each means, and its unit."""

from __future__ import annotations

import pyarrow as pa

from .comparison import COMPARISON
from .conclusions import CLAIMS, CONCLUSIONS
from .feature_learning import FEATURE_LEARNING
from .mixed_cumulant import MIXED_CUMULANT
from .sweep import SWEEP

SCHEMAS: dict[str, pa.Schema] = SWEEP | CONCLUSIONS | CLAIMS | MIXED_CUMULANT | FEATURE_LEARNING | COMPARISON
