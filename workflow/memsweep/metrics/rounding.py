"""Arithmetic whose rounding is known: what `neighbours` rests on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch


def row_sums_in_fixed_order(terms: torch.Tensor) -> torch.Tensor:
    """The sum of each row, computed in place.

    Halves are added to each other until one column is left, so that the order of additions
    depends on the dimension alone; that of ``sum`` may depend on the device and the number of rows.
    """
    while (width := terms.shape[1]) > 1:
        terms[:, : width // 2] += terms[:, width - width // 2 :]
        terms = terms[:, : width - width // 2]
    return terms[:, 0]


def error_bound(dimension: int) -> float:
    """The g of the proof in `neighbours`."""
    terms = (dimension + 4) * 2.0**-24
    return terms / (1 - terms)


def underflow_bound(dimension: int) -> float:
    """What underflow in the products can add to the error, also where subnormal numbers become zero."""
    return 4 * (dimension + 4) * torch.finfo(torch.float32).tiny


def rounded_up(values: torch.Tensor) -> torch.Tensor:
    """Float32 values that are not below the given float64 ones."""
    rounded = values.float()
    return rounded.nextafter(torch.full_like(rounded, torch.inf))


@contextmanager
def ieee_products() -> Iterator[None]:
    """Compute float32 matrix products in float32, whatever the process allows."""
    if not hasattr(torch.backends.cuda.matmul, "fp32_precision"):  # before torch 2.9
        general = torch.get_float32_matmul_precision()
        torch.set_float32_matmul_precision("highest")
        try:
            yield
        finally:
            torch.set_float32_matmul_precision(general)
        return
    backends = (torch.backends.cuda.matmul, torch.backends.mkldnn.matmul)  # type: ignore[attr-defined]
    allowed = [backend.fp32_precision for backend in backends]
    try:
        for backend in backends:
            backend.fp32_precision = "ieee"
        yield
    finally:
        for backend, precision in zip(backends, allowed, strict=True):
            backend.fp32_precision = precision
