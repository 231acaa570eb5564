from __future__ import annotations

import subprocess
import sys
import warnings

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from memsweep.metrics import neighbours
from memsweep.metrics.neighbours import Neighbours, nearest, nearest_in_ranges
from scipy.spatial.distance import cdist


def brute_force(queries: np.ndarray, references: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    distances = cdist(queries.astype(np.float64), references.astype(np.float64))
    order = np.argsort(distances, axis=1, kind="stable")[:, :k]
    return order, np.take_along_axis(distances, order, axis=1)


def in_integers(queries: np.ndarray, references: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    squared = np.square(queries[:, None].astype(np.int64) - references.astype(np.int64)).sum(axis=2)
    order = np.argsort(squared, axis=1, kind="stable")[:, :k]
    return order, np.sqrt(np.take_along_axis(squared, order, axis=1))


def assert_exact(found: Neighbours, queries: np.ndarray, references: np.ndarray) -> None:
    """Against a float64 search, whose own rounding is all that may differ."""
    index, distance = brute_force(queries, references, found.index.shape[1])
    np.testing.assert_array_equal(found.index, index)
    np.testing.assert_allclose(found.distance, distance, rtol=1e-12)


def assert_same(found: Neighbours, expected: Neighbours) -> None:
    np.testing.assert_array_equal(found.index, expected.index)
    np.testing.assert_array_equal(found.distance, expected.distance)


def small_pieces(monkeypatch: pytest.MonkeyPatch, tile: int, strip: int) -> None:
    monkeypatch.setattr(neighbours, "TILE", tile)
    monkeypatch.setattr(neighbours, "STRIP", strip)


@pytest.mark.parametrize(("m", "n", "d"), [(50, 300, 64), (7, 2, 5), (1, 9, 192), (200, 5000, 3072), (0, 9, 4)])
def test_neighbours_are_those_of_a_float64_search(m: int, n: int, d: int) -> None:
    source = np.random.default_rng(0)
    queries, references = source.random((m, d), dtype=np.float32), source.random((n, d), dtype=np.float32)
    assert_exact(nearest(queries, references), queries, references)


@pytest.mark.parametrize("k", [1, 5, 30])
def test_any_number_of_neighbours(k: int, monkeypatch: pytest.MonkeyPatch) -> None:
    small_pieces(monkeypatch, tile=16, strip=4)
    source = np.random.default_rng(0)
    queries, references = source.normal(size=(2, 40, 6)).astype(np.float32)
    assert_exact(nearest(queries, references, k), queries, references)


@given(
    hnp.arrays(np.uint8, st.tuples(st.integers(1, 12), st.just(4)), elements=st.integers(0, 3)),
    hnp.arrays(np.uint8, st.tuples(st.integers(2, 30), st.just(4)), elements=st.integers(0, 3)),
)
def test_images_are_compared_in_integers_and_ties_go_to_the_lower_row(
    queries: np.ndarray, references: np.ndarray
) -> None:
    found = nearest(queries, references)
    index, distance = in_integers(queries, references, 2)
    np.testing.assert_array_equal(found.index, index)
    np.testing.assert_array_equal(found.distance, distance)


def test_ties_of_many_neighbours_go_to_the_lower_row(monkeypatch: pytest.MonkeyPatch) -> None:
    small_pieces(monkeypatch, tile=400, strip=8)
    points = np.random.default_rng(0).integers(0, 3, (1010, 4), dtype=np.uint8)
    queries, references = points[:10], points[10:]
    found = nearest(queries, references, k=300)
    index, distance = in_integers(queries, references, 300)
    np.testing.assert_array_equal(found.index, index)
    np.testing.assert_array_equal(found.distance, distance)


def test_a_dot_product_beyond_float32_integers_is_still_exact() -> None:
    source = np.random.default_rng(0)
    # squared distances beyond 2^24, which differ by 1 or not at all
    references = np.repeat(source.choice(np.array([0, 255], np.uint8), (4, 3072)), 30, axis=0)
    references[np.arange(120), source.integers(0, 3072, 120)] = 1
    queries = source.choice(np.array([0, 255], np.uint8), (30, 3072))
    found = nearest(queries, references, k=4)
    index, distance = in_integers(queries, references, 4)
    np.testing.assert_array_equal(found.index, index)
    np.testing.assert_array_equal(found.distance, distance)


def test_a_hundred_equal_references_and_near_ties(monkeypatch: pytest.MonkeyPatch) -> None:
    small_pieces(monkeypatch, tile=64, strip=8)
    source = np.random.default_rng(0)
    references = source.random((400, 300), dtype=np.float32)
    equal = source.permutation(400)[:100]
    references[equal] = references[equal[0]]
    # one unit in the last place of one feature: far below what the product in float32 resolves
    near = source.permutation(equal)[:50]
    references[near, source.integers(0, 300, 50)] *= np.float32(1 + 2**-23)
    queries = references[equal[:20]] + source.normal(0, 0.01, (20, 300)).astype(np.float32)
    found = nearest(queries, references, k=6)
    # float64 resolves them, but cdist's order of additions may break ties: compare with a correctly rounded search
    squared = np.square(queries[:, None].astype(np.longdouble) - references.astype(np.longdouble)).sum(axis=2)
    expected = np.take_along_axis(np.sqrt(squared), np.argsort(squared, axis=1, kind="stable")[:, :6], axis=1)
    np.testing.assert_allclose(found.distance, expected.astype(np.float64), rtol=1e-14)
    chosen = np.take_along_axis(np.sqrt(squared), found.index, axis=1)
    np.testing.assert_allclose(chosen.astype(np.float64), expected.astype(np.float64), rtol=1e-14)
    tied = found.distance[:, :-1] == found.distance[:, 1:]
    assert tied.any()
    assert (np.diff(found.index, axis=1)[tied] > 0).all()


def test_equal_references_are_at_bitwise_equal_distances(monkeypatch: pytest.MonkeyPatch) -> None:
    source = np.random.default_rng(0)
    queries, once = source.random((40, 77), dtype=np.float32), source.random((50, 77), dtype=np.float32)
    references = np.concatenate([once, once[::-1]])
    small_pieces(monkeypatch, tile=30, strip=7)
    found = nearest(queries, references, k=2)
    np.testing.assert_array_equal(found.distance[:, 0], found.distance[:, 1])
    np.testing.assert_array_equal(found.index.sum(axis=1), 99)
    assert (found.index[:, 0] < 50).all()


def worst_product(bias: torch.Tensor, left: torch.Tensor, right: torch.Tensor, alpha: float) -> torch.Tensor:
    """addmm with the largest error that summation in float32 may have, its signs at random."""
    exact = bias.double() + alpha * left.double() @ right.double()
    norms = left.double().norm(dim=1)[:, None], right.double().norm(dim=0)
    bound = (left.shape[1] + 1) * 2**-24 * (norms[1] ** 2 + 2 * norms[0] * norms[1])
    signs = torch.randint(0, 2, exact.shape, generator=torch.Generator().manual_seed(0)) * 2 - 1
    return (exact + signs * bound).float()


def near_sphere(source: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Queries to which all references are nearly equally far."""
    directions = source.normal(size=(500, 200))
    references = directions / np.linalg.norm(directions, axis=1, keepdims=True)
    return source.normal(0, 1e-5, (30, 200)).astype(np.float32), references.astype(np.float32)


def test_the_result_survives_the_worst_error_that_the_bound_allows(monkeypatch: pytest.MonkeyPatch) -> None:
    queries, references = near_sphere(np.random.default_rng(0))
    monkeypatch.setattr(torch, "addmm", worst_product)
    assert_exact(nearest(queries, references), queries, references)
    # and without the bound it would not
    monkeypatch.setattr(neighbours, "error_bound", lambda dimension: 0.0)
    with pytest.raises(AssertionError):
        assert_exact(nearest(queries, references), queries, references)


def malicious_product(bias: torch.Tensor, left: torch.Tensor, right: torch.Tensor, alpha: float) -> torch.Tensor:
    """addmm with that error, against the two nearest and in favour of all others."""
    exact = bias.double() + alpha * left.double() @ right.double()
    norms = left.double().norm(dim=1)[:, None], right.double().norm(dim=0)
    bound = (left.shape[1] + 1) * 2**-24 * (norms[1] ** 2 + 2 * norms[0] * norms[1])
    nearest_two = torch.cdist(left.double(), right.double().T).topk(2, largest=False).indices
    return (exact + bound * torch.full_like(exact, -1).scatter(1, nearest_two, 1)).float()


@pytest.mark.parametrize("norm", [0, 0.5, 1, 2, 5])
@pytest.mark.parametrize("tile", [7, 1000])
def test_no_error_that_the_bound_allows_hides_a_neighbour(
    norm: float, tile: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """References all around a query and equally far from it, so that some have a large norm and some a small one."""
    small_pieces(monkeypatch, tile, strip=8)
    monkeypatch.setattr(torch, "addmm", malicious_product)
    source = np.random.default_rng(0)
    towards, aside = np.eye(200)[0], source.normal(size=(40, 200)) * (np.arange(200) > 0)
    aside /= np.linalg.norm(aside, axis=1, keepdims=True)
    angle = np.linspace(0, np.pi, 40)[:, None]
    for nearest_two in range(0, 40, 2):
        radius = 1 - 3e-7 * (np.arange(40) // 2 == nearest_two // 2)[:, None]
        around = norm * towards + radius * (np.cos(angle) * towards + np.sin(angle) * aside)
        references = np.concatenate([around, -around]).astype(np.float32)  # their centre is 0
        queries = (norm * towards[None]).astype(np.float32)
        assert_exact(nearest(queries, references), queries, references)


@pytest.mark.parametrize("tile", [40, 1000])
@pytest.mark.parametrize("scale", [1e-30, 1e-22, 1e-3, 1e15])
@pytest.mark.parametrize("offset", [0, 1, 1000])
def test_features_of_any_scale(scale: float, offset: float, tile: int, monkeypatch: pytest.MonkeyPatch) -> None:
    small_pieces(monkeypatch, tile, strip=8)
    source = np.random.default_rng(0)
    points = scale * (offset + source.random((320, 16))).astype(np.float32)
    queries, references = points[:20], points[20:]
    found = nearest(queries, references)
    index, distance = brute_force(queries.astype(np.float64) / scale, references.astype(np.float64) / scale, 2)
    np.testing.assert_array_equal(found.index, index)
    np.testing.assert_allclose(found.distance / scale, distance, rtol=1e-9)


def test_one_distant_reference_does_not_blur_the_others() -> None:
    source = np.random.default_rng(0)
    queries, references = source.random((30, 16), dtype=np.float32), source.random((500, 16), dtype=np.float32)
    references[100] *= 1e12
    assert_exact(nearest(queries, references), queries, references)


def test_a_copy_far_from_the_origin_is_found_at_distance_zero() -> None:
    references = 1000 + np.random.default_rng(0).random((500, 16), dtype=np.float32)
    found = nearest(references[:20].copy(), references)
    np.testing.assert_array_equal(found.index[:, 0], np.arange(20))
    assert not found.distance[:, 0].any()


RANGE = st.tuples(st.integers(0, 58), st.integers(2, 60)).map(lambda pair: (pair[0], min(60, pair[0] + pair[1])))


@given(st.lists(RANGE, min_size=1, max_size=5), st.integers(3, 80), st.integers(0, 2**32))
def test_each_range_is_searched_as_if_alone(ranges: list[tuple[int, int]], tile: int, seed: int) -> None:
    points = np.random.default_rng(seed).integers(0, 4, (72, 5), dtype=np.uint8)
    queries, references = points[:12], points[12:]
    with pytest.MonkeyPatch.context() as patch:
        small_pieces(patch, tile=tile, strip=5)
        found = nearest_in_ranges(queries, references, ranges, memory=0)
    for (start, stop), result in zip(ranges, found, strict=True):
        index, distance = in_integers(queries, references[start:stop], 2)
        np.testing.assert_array_equal(result.index, index + start)
        np.testing.assert_array_equal(result.distance, distance)


def test_a_distance_that_several_ranges_need_is_computed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    computed = []
    addmm = torch.addmm
    monkeypatch.setattr(torch, "addmm", lambda *a, **b: computed.append((product := addmm(*a, **b)).numel()) or product)
    points = np.random.default_rng(0).random((100, 8), dtype=np.float32)
    sizes = [10, 20, 40]
    ranges = [(0, n) for n in sizes] + [(n, 2 * n) for n in sizes]
    nearest_in_ranges(points[:7], points, ranges)
    assert sum(computed) == 7 * 80


def by_halves(terms: np.ndarray) -> np.ndarray:
    """Row sums in the order that is promised: halves are added until one column is left."""
    while (width := terms.shape[1]) > 1:
        half = width // 2
        middle = terms[:, half : width - half]
        terms = np.concatenate([terms[:, :half] + terms[:, width - half :], middle], axis=1)
    return terms[:, 0]


@pytest.mark.parametrize(
    ("left", "right"), [(np.float32, np.float32), (np.float32, np.uint8), (np.uint8, np.float32), (np.uint8, np.uint8)]
)
def test_distances_are_those_of_float64_in_a_fixed_order(left: type, right: type) -> None:
    points = 255 * np.random.default_rng(0).random((240, 301))
    queries, references = points[:40].astype(left), points[40:].astype(right)
    found = nearest(queries, references)
    for rank in range(2):
        terms = np.square(queries.astype(np.float64) - references[found.index[:, rank]])
        np.testing.assert_array_equal(found.distance[:, rank], np.sqrt(by_halves(terms)))


def count_measured(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Has the pairs counted that are measured in float64."""
    counts: list[int] = []
    measure = neighbours._squared_distances
    monkeypatch.setattr(neighbours, "_squared_distances", lambda *a: counts.append(len(a[2])) or measure(*a))
    return counts


@pytest.mark.parametrize("spread", [0, 1000])
def test_only_what_can_be_nearer_is_measured(spread: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where features are far from zero and from each other: references are centred by feature."""
    small_pieces(monkeypatch, tile=100, strip=7)
    source = np.random.default_rng(0)
    points = (spread * source.random(8) + source.random((330, 8))).astype(np.float32)
    queries, references = points[:30], points[30:]
    squared = cdist(queries, references, "sqeuclidean")
    expected = 0
    for first in range(0, 300, 100):
        ranked = np.sort(squared[:, first : first + 100], axis=1)
        before = np.sort(squared[:, :first], axis=1)[:, 2] if first else np.full(30, np.inf)
        expected += int((ranked[:, :3] <= before[:, None]).sum())
    counts = count_measured(monkeypatch)
    assert_exact(nearest(queries, references, k=3), queries, references)
    assert expected <= sum(counts) <= expected + (3 if spread else 0)
    assert expected < 30 * 7


def block_sizes(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Has the queries noted that a matrix product is with."""
    sizes: list[int] = []
    addmm = torch.addmm
    monkeypatch.setattr(torch, "addmm", lambda *a, **b: sizes.append(len(a[1])) or addmm(*a, **b))
    return sizes


@pytest.mark.parametrize(("query_bytes", "reference_bytes"), [(1, 1), (1, 4), (4, 1)])
@pytest.mark.parametrize(("ranges", "k"), [(1, 2), (3, 5)])
def test_blocks_of_queries_are_as_large_as_memory_allows(
    query_bytes: int, reference_bytes: int, ranges: int, k: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    types = {1: np.uint8, 4: np.float32}
    queries, references = np.ones((700, 48), types[query_bytes]), np.ones((9, 48), types[reference_bytes])
    references[:] = np.arange(9)[:, None]  # distinct, so that few pairs are measured
    # points are held as given and in float32
    tile = 2048 * 48 * (reference_bytes + 4)
    strip = 256 * 48 * 8 + 256 * 2048 * 128 + 2**21  # in float64, its pairs with a tile, and differences
    strip += 2048 * 48 * 16  # and the tile in integers, with its squares
    query = 48 * (query_bytes + 4) + 2048 * 4 + ranges * k * 64  # with products, and what is found
    memory = tile + strip + 300 * query
    for allowed, expected in ((memory, [300, 300, 100]), (memory - 1, [299, 299, 102]), (0, [256, 256, 188])):
        sizes = block_sizes(monkeypatch)
        nearest_in_ranges(queries, references, [(0, 9)] * ranges, k, memory=allowed)
        assert sizes == expected
        monkeypatch.undo()


def test_memory_of_a_search_in_all_references_is_the_callers(monkeypatch: pytest.MonkeyPatch) -> None:
    sizes = block_sizes(monkeypatch)
    nearest(numbers(300, 4), np.arange(36, dtype=np.float32).reshape(9, 4), memory=0)
    assert sizes == [256, 44]


@pytest.mark.parametrize("share", [1 / 16.5, 1 / 15.5])
def test_points_are_accepted_as_far_as_sums_of_their_squares_cannot_overflow(share: float) -> None:
    """Centred at 0, with a squared norm that is this share of the largest float32."""
    size = np.sqrt(share * np.finfo(np.float32).max / 4)
    references = np.array([[size] * 4, [-size] * 4], np.float32)
    if share > 1 / 16:
        with pytest.raises(ValueError, match="their squares within float32"):
            nearest(references, references)
    else:
        found = nearest(references, references)
        np.testing.assert_array_equal(found.index, [[0, 1], [1, 0]])
        np.testing.assert_allclose(found.distance, [[0, 4 * size]] * 2, rtol=1e-6)


def test_pieces_and_threads_do_not_change_the_result(monkeypatch: pytest.MonkeyPatch) -> None:
    source = np.random.default_rng(1)
    queries, references = source.random((330, 48), dtype=np.float32), source.random((4000, 48), dtype=np.float32)
    whole = nearest(queries, references)
    threads = torch.get_num_threads()
    torch.set_num_threads(3 - min(threads, 2))
    try:
        small_pieces(monkeypatch, tile=130, strip=50)
        assert_same(nearest(queries, references, memory=0), whole)
    finally:
        torch.set_num_threads(threads)


def allowed_precision() -> tuple[str, str]:
    return torch.backends.cuda.matmul.fp32_precision, torch.backends.mkldnn.matmul.fp32_precision


@pytest.mark.skipif(not hasattr(torch.backends.cuda.matmul, "fp32_precision"), reason="needs torch 2.9")
def test_lower_precision_that_the_process_allows_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    addmm = torch.addmm
    monkeypatch.setattr(torch, "addmm", lambda *a, **b: seen.append(allowed_precision()) or addmm(*a, **b))
    queries, references = np.zeros((2, 3), np.float32), np.eye(3, dtype=np.float32)
    try:
        # as before torch 2.9
        torch.set_float32_matmul_precision("medium")
        nearest(queries, references)
        assert torch.get_float32_matmul_precision() == "medium"
        # by backend, after which asking in the old way is an error
        torch.backends.cuda.matmul.fp32_precision = "tf32"
        torch.backends.mkldnn.matmul.fp32_precision = "tf32"
        nearest(queries, references)
        assert allowed_precision() == ("tf32", "tf32")
    finally:
        torch.set_float32_matmul_precision("highest")
    assert seen == [("ieee", "ieee")] * 2


def test_everything_is_on_the_device_that_is_asked_for() -> None:
    source = np.random.default_rng(0)
    queries, references = source.random((20, 8), dtype=np.float32), source.random((90, 8), dtype=np.float32)
    with torch.device("meta"):  # as if the process had chosen a device; this one computes nothing
        found = nearest(queries, references)
    assert_exact(found, queries, references)
    with pytest.raises(RuntimeError, match="nowhere"):
        nearest(queries, references, device="nowhere")


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_a_gpu_finds_the_same_bit_for_bit(dtype: type) -> None:
    source = np.random.default_rng(0)
    points = (255 * source.random((6000, 768))).astype(dtype)
    points[3000:3100] = points[3000]
    ranges = [(0, 2000), (2000, 4000), (0, 5000)]
    on_cpu = nearest_in_ranges(points[5000:], points[:5000], ranges)
    on_gpu = nearest_in_ranges(points[5000:], points[:5000], ranges, device="cuda")
    for cpu, gpu in zip(on_cpu, on_gpu, strict=True):
        assert_same(gpu, cpu)


MEMORY_PROGRAM = """
import re, sys
from pathlib import Path
import numpy as np
from memsweep.metrics.neighbours import nearest
def peak():  # getrusage would count what the parent process held when it started this one
    return 1024 * int(re.search(r"VmHWM:\\s*(\\d+)", Path("/proc/self/status").read_text())[1])
equal, memory = sys.argv[1] == "equal", int(sys.argv[2])
source = np.random.default_rng(0)
queries = source.integers(0, 256, (256 if equal else 6000, 64), dtype=np.uint8)
references = source.integers(0, 256, (4096 if equal else 20_000, 64), dtype=np.uint8)
if equal:
    references[:] = references[0]
nearest(queries[:9], references[:99])  # what the first matrix product loads stays loaded
before = peak()
nearest(queries, references, memory=memory)
print(peak() - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize("references", ["different", "equal"])
def test_working_memory_stays_within_what_is_given(references: str) -> None:
    memory = 2**27  # all distances of 6000 queries in float32 would be 480 MB
    command = [sys.executable, "-c", MEMORY_PROGRAM, references, str(memory)]
    used = int(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    assert memory / 10 < used < memory


def numbers(*shape: int) -> np.ndarray:
    return np.zeros(shape, np.float32)


@pytest.mark.parametrize(
    ("queries", "references", "ranges", "k", "message"),
    [
        (numbers(3, 2), numbers(1, 2), [(0, 1)], 2, "2 neighbours asked for among 1 references"),
        (numbers(3, 2), numbers(9, 2), [(0, 9), (4, 5)], 2, "2 neighbours asked for among 1 references"),
        (numbers(3, 2), numbers(9, 2), [(4, 4)], 2, "2 neighbours asked for among 0 references"),
        (numbers(3, 2), numbers(9, 2), [(4, 10)], 2, "range 4:10 reaches outside the 9 references"),
        (numbers(3, 2), numbers(9, 2), [(-2, 4)], 2, "range -2:4 reaches outside the 9 references"),
        (numbers(3, 2), numbers(9, 2), [(0, 9)], 0, "0 neighbours asked for; at least 1"),
        (numbers(3, 2), numbers(9, 3), [(0, 9)], 2, r"queries \(3, 2\) and references \(9, 3\) must be rows of one"),
        (numbers(3), numbers(9, 3), [(0, 9)], 2, "must be rows of one dimension"),
        (numbers(3, 3), numbers(9), [(0, 9)], 2, "must be rows of one dimension"),
        (numbers(3, 2).astype(np.float64), numbers(9, 2), [(0, 9)], 2, "queries are float64; uint8 or float32"),
        (numbers(3, 2), numbers(9, 2).astype(np.int8), [(0, 9)], 2, "references are int8; uint8 or float32"),
        (numbers(3, 2) + np.nan, numbers(9, 2), [(0, 9)], 2, "must be finite"),
        (numbers(3, 2), numbers(9, 2) - np.inf, [(0, 9)], 2, "must be finite"),
        (numbers(3, 2), np.array([[np.inf, 0], [-np.inf, 0]], np.float32), [(0, 2)], 2, "must be finite"),
        (numbers(3, 2) + 1e20, numbers(9, 2), [(0, 9)], 2, "^queries and .* must be finite, .* within float32$"),
    ],
)
def test_bad_input_is_refused(
    queries: np.ndarray, references: np.ndarray, ranges: list[tuple[int, int]], k: int, message: str
) -> None:
    with warnings.catch_warnings(action="error"), pytest.raises(ValueError, match=message):
        nearest_in_ranges(queries, references, ranges, k)


@pytest.mark.parametrize("dimension", [1, 1024, 1025, 3072])
def test_integer_squares_are_exact_at_the_largest_and_least_values(dimension: int) -> None:
    source = np.random.default_rng(dimension)
    left, right = (source.choice([0, 1, 128, 254, 255], (9, dimension)).astype(np.uint8) for _ in range(2))
    left[0], right[0], right[1] = 0, 255, 0
    found = neighbours._integer_squares(torch.from_numpy(left), torch.from_numpy(right)).numpy()
    apart = left[:, None].astype(np.int64) - right
    assert np.array_equal(found, np.square(apart).sum(axis=2))


def test_integer_products_find_what_pairs_find(monkeypatch: pytest.MonkeyPatch) -> None:
    source = np.random.default_rng(0)
    # So far from their centre, and so near to one another, that float32 excludes none
    queries, references = (source.integers(0, 4, (40, 3072)) + 252 * (np.arange(40) % 2)[:, None] for _ in range(2))
    queries, references = queries.astype(np.uint8), references.astype(np.uint8)
    dense = nearest(queries, references, 3)
    monkeypatch.setattr(neighbours, "DENSE", len(references))
    pairs = nearest(queries, references, 3)
    assert np.array_equal(dense.index, pairs.index)
    assert np.array_equal(dense.distance, pairs.distance)
