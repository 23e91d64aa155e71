"""The rank that a stored precision can tell, and the noise that rounding makes."""

import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rmt_lab import analyze, atlas, iter_weights
from rmt_lab.spectrum import FORMATS, Spectrum, rounding_edge
from rmt_lab.spectrum.rounding import was_bfloat16
from rmt_lab.trainings.phases import phase


def product(N, M, rank, rng):
    rng = np.random.default_rng(rng)
    return rng.normal(size=(N, rank)) @ rng.normal(size=(rank, M)) / rank**0.5


def stored(W, precision):
    """W rounded to the nearest value of a format, in float64; numpy has no bfloat16."""
    if precision != "bfloat16":
        return W.astype(precision).astype(np.float64)
    bits = W.astype(np.float32).view(np.uint32)
    return ((bits + 0x7FFF + ((bits >> 16) & 1)) & 0xFFFF0000).astype(np.uint32).view(np.float32).astype(np.float64)


@pytest.mark.parametrize("precision", ["float16", "bfloat16", "float32", "float64"])
@pytest.mark.parametrize(("N", "M", "rank"), [(512, 256, 64), (256, 256, 1), (1000, 100, 10)])
def test_a_product_keeps_its_rank_in_every_format(precision, N, M, rank):
    W = product(N, M, rank, 0)
    s = Spectrum.from_matrix(stored(W, precision), precision=precision)
    assert s.stored_rank == rank
    if precision in ("float16", "bfloat16"):
        assert s.rank > 0.8 * M  # what it was
    assert len(s.nonzero_eigenvalues) == s.rank  # the fit looks at what it always looked at


@pytest.mark.parametrize("value", [np.inf, -np.inf, np.nan])
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_an_entry_that_is_not_finite_has_no_rounding_edge(value, dtype):
    W = np.ones((40, 30), dtype)
    assert np.isfinite(rounding_edge(W))
    W[3, 4] = value
    assert rounding_edge(W) == np.inf


def test_the_precision_is_read_off_the_dtype():
    W = product(300, 200, 20, 1)
    s = Spectrum.from_matrix(W.astype(np.float16))
    assert (s.stored_rank, s.rank) == (20, 200)
    assert s.rounding == rounding_edge(W.astype(np.float16))
    for A in (W, W.astype(np.float32), np.round(100 * W).astype(int)):
        s = Spectrum.from_matrix(A)
        assert (s.rounding, s.stored_rank) == (0, s.rank)
    torch = pytest.importorskip("torch")
    assert Spectrum.from_matrix(torch.tensor(W).bfloat16()).stored_rank == 20
    assert Spectrum.from_matrix(torch.tensor(W).half()).stored_rank == 20


def test_bfloat16_is_known_again_after_a_file_was_widened(tmp_path):
    """Readers give float32. Without this the phase of a collapsed layer was bulk-decay, and its rank 200."""
    torch, safetensors = pytest.importorskip("torch"), pytest.importorskip("safetensors.torch")
    W = torch.tensor(product(300, 200, 20, 1))
    safetensors.save_file({"a.weight": W.bfloat16(), "b.weight": W.float()}, tmp_path / "x.safetensors")
    low, full = (analyze(tmp_path / "x.safetensors", layers=[i]).iloc[0] for i in (0, 1))
    assert (low["matrix_rank"], low["stored_rank"]) == (200, 20)
    assert (full["matrix_rank"], full["stored_rank"]) == (20, 20)
    for w in iter_weights(tmp_path / "x.safetensors"):
        assert phase(Spectrum.from_matrix(w.matrix)).name == "rank-collapse"
    noise = torch.randn(300, 200, generator=torch.Generator().manual_seed(0))
    assert phase(Spectrum.from_matrix(noise.bfloat16())).name == "random-like"
    assert Spectrum.from_matrix(np.sign(noise.numpy())).rounding == 0  # whole numbers are exact in every format


@pytest.mark.parametrize("levels", [256, 16])
def test_whole_numbers_with_a_scale(levels):
    """int8 and 4 bits, one scale per row: what rounds away is told from what does not."""
    W = product(512, 256, 8, 2)
    step = 2 * np.abs(W).max(axis=1, keepdims=True) / (levels - 1)
    s = Spectrum.from_matrix(np.round(W / step) * step)
    assert s.rank == 256
    assert s.rank_above(rounding_edge(W, step=step)) == 8


@pytest.mark.parametrize("precision", ["float16", "bfloat16", "float32"])
@pytest.mark.parametrize("kind", ["gaussian", "rows", "columns", "heavy"])
def test_the_errors_end_below_the_edge_and_not_far_below(precision, kind):
    rng = np.random.default_rng(3)
    W = rng.normal(size=(400, 150))
    W *= {
        "gaussian": 1.0,
        "rows": rng.lognormal(sigma=1, size=(400, 1)),
        "columns": rng.lognormal(sigma=1, size=150),
        "heavy": rng.pareto(2, (400, 150)),
    }[kind]
    ratio = np.linalg.norm(stored(W, precision) - W, 2) / rounding_edge(W, precision)
    assert (0.4 if kind == "heavy" else 0.55) < ratio < 1


@settings(max_examples=30, deadline=None)
@given(exponent=st.integers(-100, 100), seed=st.integers(0, 99))
def test_the_unit_does_not_matter(exponent, seed):
    W = np.random.default_rng(seed).normal(size=(20, 12))
    assert rounding_edge(2.0**exponent * W, "bfloat16") == pytest.approx(2.0**exponent * rounding_edge(W, "bfloat16"))


def test_small_numbers_have_the_smallest_step():
    """Below 2^-14 float16 loses bits: the error no longer shrinks with the entry."""
    W = 1e-6 * np.random.default_rng(0).normal(size=(50, 30))
    step = 2.0**-24
    assert rounding_edge(W, "float16") == pytest.approx(step / 12**0.5 * (50**0.5 + 30**0.5 + 3))
    assert rounding_edge(np.zeros((3, 2)), "float16") == 0
    assert rounding_edge(1e-300 * np.ones((3, 2)), "float64") > 0


def test_full_rank_layers_stay_full():
    """Of 250 real layers, had they been stored in bfloat16: hardly any loses more than 2 % of its rank."""
    lost = []
    for name in atlas.names():
        for layer in atlas.load(name):
            s = layer.spectrum
            sigma = 0.25 * 2**-7 * s.entry_std  # at most 0.29 eps, where all entries are just above a power of 2
            edge = sigma * (s.N**0.5 + s.M**0.5 + 3)
            lost.append((s.rank - min(s.rank, s.rank_above(edge))) / s.M)
    assert np.median(lost) == 0
    assert np.mean(np.array(lost) > 0.02) < 0.05


def test_bad_input_is_named():
    W = np.ones((3, 2))
    with pytest.raises(ValueError, match="precision='float4'; known are float64, float32"):
        rounding_edge(W, "float4")
    with pytest.raises(ValueError, match="precision='int8'; known are float64"):
        Spectrum.from_matrix(W, precision="int8")
    assert set(FORMATS) >= {"float16", "bfloat16", "float32", "float64"}


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("kind", ["bfloat16", "float32 at the end alone", "whole numbers", "whole numbers but one"])
def test_whether_it_was_bfloat16_is_told_in_blocks(kind, order):
    """Of a matrix of several blocks, without a copy of it."""
    W = np.full((3000, 2048), 2.0, dtype=np.float32, order=order)
    if kind == "bfloat16":
        W[:] = 1.5
    if kind == "float32 at the end alone":
        W[0, 0], W[-1, -1] = 0.25, 0.1
    if kind == "whole numbers but one":
        W[-1, -1] = 0.25
    tracemalloc.start()
    told = was_bfloat16(W)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert told == (kind in ("bfloat16", "whole numbers but one"))
    assert peak < 0.75 * W.nbytes


def test_the_edge_takes_no_more_memory_than_the_blocks_of_a_spectrum():
    W = np.random.default_rng(0).normal(size=(12000, 256)).astype(np.float16)
    tracemalloc.start()
    rounding_edge(W)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2**24
