"""Exact nearest neighbours, in memory that does not grow with the number of references.

A float32 matrix product gives squared distances fast, but not exactly: near ties may come out
in the wrong order. It therefore only excludes. What its rounding error cannot exclude is
measured again in float64, and that decides, so that the result does not rest on the fast
distances being lucky, however many references are equal or nearly so.

**Why nothing nearer is missed.** Let q and r be a query and a reference less a common centre,
in float32, u = 2^-24 the unit roundoff and d the dimension. The product yields
s = b - 2 q·r with b = (1 - 2 g) |r|^2, a sum of d + 1 terms whose error is at most
g(d + 2) (|r|^2 + 2 |q| |r|) in whatever order it is taken, where g(n) = n u / (1 - n u)
(Higham, *Accuracy and Stability of Numerical Algorithms*, 2nd ed., §3.1). Rounding at the
subtraction of the centre moves |q - r|^2 by at most 2 u (1 + 5 u) (|q| + |r|)^2. With
g = g(d + 4) both together are below 2 g (|q|^2 + |r|^2), hence

    s + (1 - 2 g) |q|^2  <=  exact squared distance  <=  s + (1 + 2 g) |q|^2 + 4 g |r|^2.

A reference whose left side exceeds the k-th smallest of any right sides, or of any exact
distances, is not among the k nearest. This holds for IEEE float32, so TF32 and bfloat16 products
are off here; environment variables that force them (NVIDIA_TF32_OVERRIDE,
DNNL_DEFAULT_FPMATH_MODE) would void it.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from .rounding import error_bound, ieee_products, rounded_up, row_sums_in_fixed_order, underflow_bound

# Bytes of working memory, beyond the arguments and the result.
MEMORY = 2**29

# References whose distances to a block of queries are computed by one matrix product.
TILE = 2048

# Queries whose candidates in a tile are dealt with at a time.
STRIP = 256

# Bytes that a candidate pair takes while pairs are sorted; all pairs of a strip can be candidates.
PAIR_BYTES = 128

# Candidates of a query beyond which integer distances to all references cost less than those to the candidates alone.
DENSE = 16

# Dimensions over which a float32 product of integers of at most 128 is exact, in any order: 2^10 x 2^14 = 2^24.
EXACT_DIMENSIONS = 2**10

# Bytes of the differences measured at a time: about a CPU core's cache.
CACHE_BYTES = 2**21


@dataclass(frozen=True)
class Neighbours:
    """The nearest references of each query.

    Attributes:
        index: rows of the references, nearest first, ties by lower row, (queries, k), int64.
        distance: Euclidean distances in the units of the arguments, (queries, k), float64.
    """

    index: np.ndarray
    distance: np.ndarray


def nearest(
    queries: np.ndarray, references: np.ndarray, k: int = 2, device: str = "cpu", memory: int = MEMORY
) -> Neighbours:
    """The exact k nearest references of each query: `nearest_in_ranges` with all references as its one range."""
    return nearest_in_ranges(queries, references, [(0, len(references))], k, device, memory)[0]


def nearest_in_ranges(
    queries: np.ndarray,
    references: np.ndarray,
    ranges: Sequence[tuple[int, int]],
    k: int = 2,
    device: str = "cpu",
    memory: int = MEMORY,
) -> list[Neighbours]:
    """The exact k nearest references of each query within each of several ranges of references.

    Ranges may be nested, overlap or leave references out; a distance that several of them need
    is computed once. Exact means: the result is that of computing every distance in float64
    from the arguments and sorting stably. For uint8, squared distances are integers and have no
    rounding error; for float32 theirs is about log2(d) 1e-16. Equal references are at equal
    distances, bit for bit, on every device and for every ``memory``.

    Where distances differ by less than float32 resolves (many equal references; queries very
    much farther from the references than these are from each other), the search slows towards
    brute force, and stays exact; for uint8 it then takes float32 products without rounding.

    Args:
        queries: (m, d), uint8 or float32.
        references: (n, d), uint8 or float32; an array mapped from a file is read piecewise.
        ranges: half-open (start, stop) rows of the references, each of at least k.
        k: number of neighbours.
        device: where to compute: a torch device.
        memory: bytes of working memory, beyond the arguments and the result. The least that is
            possible, a tile of references and a strip of queries, is used whatever is given.

    Returns:
        One result for each range. Indices count all references, not those of the range.

    Raises:
        ValueError: a range reaches outside the references or holds fewer than k of them; the
            shapes do not match; an array is of another type, or not finite, or so large that
            its squares overflow float32.
    """
    _check(queries, references, ranges, k)
    # Centring keeps |q|^2 - 2 q.r + |r|^2 from cancelling; any centre will do
    with np.errstate(all="ignore"):
        centre = torch.from_numpy(references.mean(axis=0, dtype=np.float64).astype(np.float32)).to(device)
    rows = _rows_of_block(queries, references, len(ranges) * k, memory)
    tiles = list(_tiles(ranges))
    parts = []
    with ieee_products():
        for row in range(0, len(queries), rows):
            block = _Points.read(queries[row : row + rows], centre)
            best = [_Found.nothing(len(block.exact), k, centre.device) for _ in ranges]
            for first, last in tiles:
                holding = [i for i, (start, stop) in enumerate(ranges) if start <= first and last <= stop]
                # What is farther than the k-th best so far, in every range, need not be looked at
                limit = torch.stack([best[i].squared[:, -1] for i in holding]).amax(dim=0)
                found = _search_tile(block, _Points.read(references[first:last], centre), limit, k)
                found.index += first
                for i in holding:
                    best[i] = best[i].merged(found)
            parts.append([result.neighbours() for result in best])
    return [_joined([part[i] for part in parts], k) for i in range(len(ranges))]


@dataclass
class _Points:
    """Rows as given, and for the matrix product: centred, in float32, with their squared norms in float64."""

    exact: torch.Tensor
    centred: torch.Tensor
    squares: torch.Tensor

    @classmethod
    def read(cls, values: np.ndarray, centre: torch.Tensor) -> _Points:
        exact = torch.tensor(values, device=centre.device)
        centred = exact - centre
        squares = torch.cat([strip.double().square_().sum(dim=1) for strip in centred.split(STRIP)])
        # |q|^2 + 2 |q| |r| + |r|^2 must be far from overflow; the comparison is false for NaN
        if not (squares < torch.finfo(torch.float32).max / 16).all():
            raise ValueError("queries and references must be finite, and their squares within float32")
        return cls(exact, centred, squares)


@dataclass
class _Found:
    """Squared distances, (queries, k), float64, ascending, infinite where none is known; rows of the references."""

    squared: torch.Tensor
    index: torch.Tensor

    @classmethod
    def nothing(cls, queries: int, k: int, device: torch.device) -> _Found:
        squared = torch.full((queries, k), torch.inf, dtype=torch.float64, device=device)
        return cls(squared, torch.zeros((queries, k), dtype=torch.int64, device=device))

    def merged(self, later: _Found) -> _Found:
        """The nearest of both. All of ``later`` lies in later rows, so that a stable sort breaks ties."""
        k = self.squared.shape[1]
        squared, order = torch.cat([self.squared, later.squared], dim=1).sort(dim=1, stable=True)
        index = torch.cat([self.index, later.index], dim=1).gather(1, order)
        return _Found(squared[:, :k], index[:, :k])

    def neighbours(self) -> Neighbours:
        # numpy's root is correctly rounded, and the same wherever the squares come from; torch's need not be
        return Neighbours(self.index.cpu().numpy(), np.sqrt(self.squared.cpu().numpy()))


def _search_tile(queries: _Points, references: _Points, limit: torch.Tensor, k: int) -> _Found:
    """The k nearest references of each query, of those whose squared distance is at most its ``limit``."""
    found = _Found.nothing(len(limit), k, limit.device)
    dimension = queries.centred.shape[1]
    error, underflow = error_bound(dimension), underflow_bound(dimension)
    bias = ((1 - 2 * error) * references.squares).float()
    lower = torch.addmm(bias, queries.centred, references.centred.T, alpha=-2)  # the proof's s
    below = rounded_up(limit - (1 - 2 * error) * queries.squares + underflow)
    # Once some tiles are searched, few queries have anything nearer in another one
    hopeful = (lower.amin(dim=1) <= below).nonzero()[:, 0]
    for rows in hopeful.split(STRIP):
        strip = lower[rows]
        if strip.shape[1] > k:
            values, columns = strip.topk(k, dim=1, largest=False)
            upper = values + 4 * error * (queries.squares[rows, None] + references.squares[columns])
            below[rows] = torch.minimum(below[rows], rounded_up(upper.amax(dim=1) + 2 * underflow))
        row, column = (strip <= below[rows, None]).nonzero().T
        if len(row) > DENSE * len(rows) and queries.exact.dtype == references.exact.dtype == torch.uint8:
            squared = _integer_squares(queries.exact[rows], references.exact)[row, column]
        else:
            squared = _squared_distances(queries.exact, references.exact, rows[row], column)
        _keep_nearest(found, rows[row], column, squared)
    return found


def _keep_nearest(found: _Found, row: torch.Tensor, column: torch.Tensor, squared: torch.Tensor) -> None:
    """Write the nearest of the pairs (row, column), which are listed in that order, into those rows of ``found``."""
    by_distance = squared.argsort(stable=True)
    order = by_distance[row[by_distance].argsort(stable=True)]  # by row, then distance, then column
    count = torch.bincount(row)
    rank = torch.arange(len(row), device=row.device) - (count.cumsum(0) - count)[row]  # row is sorted already
    kept = rank < found.squared.shape[1]
    found.squared[row[kept], rank[kept]] = squared[order[kept]]
    found.index[row[kept], rank[kept]] = column[order[kept]]


def _squared_distances(
    left: torch.Tensor, right: torch.Tensor, row: torch.Tensor, column: torch.Tensor
) -> torch.Tensor:
    """Squared distances of the pairs (left[row], right[column]) in float64, the same bits on every device."""
    # Integers add up without rounding, in whatever order
    rounded = left.is_floating_point() or right.is_floating_point()
    size = max(1, CACHE_BYTES // (16 * left.shape[1]))
    # One tensor for all results: small ones, kept between large ones that are freed, would fragment memory
    squared = torch.empty(len(row), dtype=torch.float64, device=row.device)
    for some_rows, some_columns, part in zip(row.split(size), column.split(size), squared.split(size), strict=True):
        terms = left[some_rows].double().sub_(right[some_columns]).square_()
        part.copy_(row_sums_in_fixed_order(terms) if rounded else terms.sum(dim=1))
    return squared


def _integer_squares(left: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
    """Squared distances of uint8 rows, (m, n) float64, by matrix products that round nowhere."""
    left, right = left.float() - 128, right.float() - 128
    norms = [each.double().square_().sum(dim=1) for each in (left, right)]
    squared = norms[0][:, None] + norms[1]
    for some, others in zip(left.split(EXACT_DIMENSIONS, dim=1), right.split(EXACT_DIMENSIONS, dim=1), strict=True):
        squared.add_(some @ others.T, alpha=-2)
    return squared


def _tiles(ranges: Sequence[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """Ascending pieces of at most `TILE` references, each in at least one range, and in each whole or not at all."""
    ends = sorted({end for pair in ranges for end in pair})
    for first, last in itertools.pairwise(ends):
        if any(start <= first and last <= stop for start, stop in ranges):
            for row in range(first, last, TILE):
                yield row, min(row + TILE, last)


def _rows_of_block(queries: np.ndarray, references: np.ndarray, results: int, memory: int) -> int:
    """Queries in a block such that working memory stays within ``memory``, at least a strip."""
    dimension = queries.shape[1]
    tile = TILE * dimension * (references.itemsize + 4)
    strip = STRIP * (TILE * PAIR_BYTES + 8 * dimension) + 16 * TILE * dimension + CACHE_BYTES
    # as given, centred, a row of `lower`, and the results so far with what merging takes
    row = dimension * (queries.itemsize + 4) + 4 * TILE + 64 * results
    return max(STRIP, (memory - tile - strip) // row)


def _joined(parts: Sequence[Neighbours], k: int) -> Neighbours:
    none = Neighbours(np.empty((0, k), np.int64), np.empty((0, k)))
    return Neighbours(
        np.concatenate([part.index for part in [none, *parts]]),
        np.concatenate([part.distance for part in [none, *parts]]),
    )


def _check(queries: np.ndarray, references: np.ndarray, ranges: Sequence[tuple[int, int]], k: int) -> None:
    for name, array in (("queries", queries), ("references", references)):
        if array.dtype not in (np.uint8, np.float32):
            raise ValueError(f"{name} are {array.dtype}; uint8 or float32 expected")
    if queries.ndim != 2 or references.ndim != 2 or queries.shape[1] != references.shape[1]:
        raise ValueError(f"queries {queries.shape} and references {references.shape} must be rows of one dimension")
    if k < 1:
        raise ValueError(f"{k} neighbours asked for; at least 1 expected")
    for start, stop in ranges:
        if not 0 <= start <= stop <= len(references):
            raise ValueError(f"range {start}:{stop} reaches outside the {len(references)} references")
        if stop - start < k:
            raise ValueError(f"{k} neighbours asked for among {stop - start} references")
