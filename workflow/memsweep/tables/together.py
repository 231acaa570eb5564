"""The files of one study say of which images and runs they are, so that none is taken for that of another study."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import pandas as pd

from ..base.errors import UserError
from ..base.files import content_name
from ..base.tensors import tensors_metadata
from .parquet import read_metadata

# In the metadata of a file: the content hash of the images, and a digest of the runs, that it rests on
PROVENANCE = ("data_hash", "runs")


def provenance(runs: pd.DataFrame) -> dict[str, str]:
    """What tables say of themselves that rest on the runs of a table ``runs``.

    Raises:
        UserError: the runs were trained on different images.
    """
    images = sorted(set(runs["data_hash"]))
    if len(images) > 1:
        raise UserError(
            f"runs were trained on images of different content ({', '.join(images)}); snakemake -n says why"
        )
    return {"data_hash": "".join(images), "runs": content_name(" ".join(sorted(runs["run_id"])).encode())}


def said(path: Path) -> dict[str, str]:
    """What a Parquet or safetensors file says of the images and runs that it is of; nothing where it rests on none."""
    metadata = tensors_metadata(path) if path.suffix == ".safetensors" else read_metadata(path)
    return {key: metadata[key] for key in PROVENANCE if key in metadata}


def check_together(paths: Iterable[Path]) -> None:
    """Files are of the same images and runs, as far as they are of any.

    Raises:
        UserError: one is of others than most, or cannot be read.
    """
    of = {path: said(path) for path in paths}
    for key, what in zip(PROVENANCE, ("images", "runs"), strict=True):
        values = {path: found[key] for path, found in of.items() if key in found}
        usual = Counter(values.values()).most_common(1)
        odd = [path for path, value in values.items() if value != usual[0][0]]
        if odd:
            other = next(path for path, value in values.items() if value == usual[0][0])
            raise UserError(
                f"{', '.join(map(str, odd[:3]))}: of other {what} than {other}; delete what is not this study's to "
                "make it again"
            )
