"""A study's configuration: read, filled in with defaults, and checked before anything starts.

`resolve` is the way in, and `section` for what needs no study. `reading` reads YAML; `schemas` holds the documents that
say which keys there are, with what defaults; `filling` walks a config by its schema and fills it in; `sentences` says
what is wrong; `rules` are those of the study, one function each, that no schema can say. Imports nothing heavier than
yaml and jsonschema, as the Snakefile reads it again for every job on a cluster.

Why jsonschema, and not pydantic (medians of 15 processes, Python 3.11, pydantic 2.14). Models of the same keys took
490 lines where the schemas, then without bounds, took 593, but would need numbers, lists without repeats, "exactly
one of", conditions and sentences of their own, so that neither is the smaller. yaml and jsonschema are imported in 89
ms, yaml and pydantic with the models of a sweep in 152 ms; in the process of Snakemake 9.27, which loads pydantic
itself, 49 and 41 ms are left of that. The conditions of a pydantic model wait until its keys are right, so that
problems would come one after the other; and the schemas are a standard that editors read.
"""

from __future__ import annotations

from .asked import Config
from .reading import read_yaml, with_typed
from .resolving import resolve, section
from .schemas import KINDS, schema

__all__ = ["KINDS", "Config", "read_yaml", "resolve", "schema", "section", "with_typed"]
