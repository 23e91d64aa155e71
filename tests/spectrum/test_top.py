"""The exact top and the estimated rest, against the dense route."""

import tracemalloc

import numpy as np
import pytest
import scipy.sparse.linalg
from hypothesis import given, settings
from hypothesis import strategies as st

from rmt_lab import Spectrum, analyze, fit_power_law, fix_fingers
from rmt_lab.spectrum import top
from rmt_lab.spectrum.lanczos import lanczos
from rmt_lab.tails import large_spectrum, tail_test
from rmt_lab.trainings.phases import phase
from rmt_lab.verdict import verdict

N, M = 1500, 1000
EIGSH = scipy.sparse.linalg.eigsh


def spiked(g):
    u, v = (np.linalg.qr(g.normal(size=(side, 60)))[0] for side in (N, M))
    return g.normal(size=(N, M)) + u * (180 * np.arange(1, 61) ** -0.4) @ v.T


KINDS = {
    "a power-law population": lambda g: g.normal(size=(N, M)) * (1 - (np.arange(M) + 0.5) / M) ** (-1 / 3),
    "a steep population": lambda g: g.normal(size=(N, M)) * (1 - (np.arange(M) + 0.5) / M) ** (-1 / 6),
    "heavy-tailed entries": lambda g: g.standard_t(3, size=(N, M)),
    "very heavy entries": lambda g: g.standard_t(1.5, size=(N, M)),
    "noise and spikes": spiked,
}


@pytest.mark.parametrize("kind", KINDS)
def test_the_top_the_rest_and_alpha_agree_with_the_dense_route(kind):
    W = KINDS[kind](np.random.default_rng(5)).astype(np.float32)
    dense, large = Spectrum.from_matrix(W), large_spectrum(W)
    k = large.num_exact
    assert 128 <= k <= M // 2
    np.testing.assert_allclose(large.singular_values[-k:], dense.singular_values[-k:], rtol=1e-12)
    assert distance(large, dense) < 0.02
    assert large.norm == pytest.approx(dense.norm, rel=1e-9)
    assert large.rank == dense.rank
    assert fix_fingers(large).raw.alpha == pytest.approx(fit_power_law(dense.tail_eigenvalues).alpha, abs=1e-6)
    assert large.certificate.largest < 1e-6
    assert large.certificate.gram is None


def distance(a, b):
    """Between the distribution functions of two spectra of the same size."""
    x, y = a.singular_values, b.singular_values
    at = np.concatenate([x, y]) * (1 + 1e-9)
    return np.abs(np.searchsorted(x, at) - np.searchsorted(y, at)).max() / len(x)


def test_the_part_that_is_exact_grows_with_the_tail():
    W = KINDS["very heavy entries"](np.random.default_rng(5))[:600, :400]
    assert large_spectrum(W, top=20).num_exact > 2 * 20
    fit = fit_power_law(Spectrum.from_matrix(W, "top", top=20).tail_eigenvalues)
    assert len(fit.x) == 20


def test_only_the_exact_part_is_fitted_and_said_to_be():
    W = np.random.default_rng(0).normal(size=(900, 300)) * (1 - (np.arange(300) + 0.5) / 300) ** (-1 / 3)
    s = Spectrum.from_matrix(W, "top", top=60, name="a layer")
    assert "num_exact=60" in repr(s)
    assert "the largest 60" in s._repr_html_()
    assert len(s.singular_values) == 300
    assert len(s.tail_eigenvalues) == 60 == len(fix_fingers(s, rule=None).fit.x)
    assert len(s.nonzero_eigenvalues) == 300
    judged = verdict(fit_power_law(s.tail_eigenvalues), s)
    assert (judged.verdict, judged.verdict_note) == ("can't tell", "60 exact eigenvalues; the test needs all")
    assert len(phase(s).power_law.x) == 60
    with pytest.raises(ValueError, match="only 60 of 300 are exact"):
        tail_test(s)
    assert len(Spectrum.from_matrix(W).tail_eigenvalues) == 300


def test_memory_stays_below_that_of_the_gram_matrix():
    W = np.random.default_rng(0).standard_normal((3500, 3500), dtype=np.float32)
    tracemalloc.start()
    Spectrum.from_matrix(W, "top", top=32)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 0.8 * 8 * 3500**2


@settings(max_examples=40, deadline=None)
@given(
    n=st.integers(2, 60),
    m=st.integers(2, 60),
    rank=st.integers(1, 60),
    exact=st.integers(1, 60),
    seed=st.integers(0, 10**6),
    scale=st.sampled_from([1.0, 1e-10, 1e-200, 1e200]),
)
def test_every_shape_rank_and_scale(n, m, rank, exact, seed, scale):
    g = np.random.default_rng(seed)
    W = scale * g.normal(size=(n, rank)) @ g.normal(size=(rank, m))
    dense, s = Spectrum.from_matrix(W), Spectrum.from_matrix(W, "top", top=exact)
    k = s.num_exact
    assert k == min(exact, min(n, m) // 2)
    largest = dense.singular_values[-1]
    np.testing.assert_allclose(s.singular_values[-k:] / largest, dense.singular_values[-k:] / largest, atol=1e-6)
    assert np.sum((s.singular_values / largest) ** 2) == pytest.approx(np.sum((dense.singular_values / largest) ** 2))


def test_an_eigenvalue_that_was_missed_is_found(monkeypatch):
    W = np.random.default_rng(0).normal(size=(300, 100))

    def forgetful(operator, k, **options):
        values, vectors = EIGSH(operator, k + 1, **options)
        return np.delete(values, 5), np.delete(vectors, 5, axis=1)

    monkeypatch.setattr(scipy.sparse.linalg, "eigsh", forgetful)
    with pytest.raises(np.linalg.LinAlgError, match="largest eigenvalues are not those"):
        Spectrum.from_matrix(W, "top", top=10)


def test_a_vector_that_is_none_is_found(monkeypatch):
    W = np.random.default_rng(0).normal(size=(300, 100))

    def careless(operator, k, **options):
        values, vectors = EIGSH(operator, k, **options)
        return values * (1 + 1e-5), vectors

    monkeypatch.setattr(scipy.sparse.linalg, "eigsh", careless)
    with pytest.raises(np.linalg.LinAlgError, match="largest eigenvalues are not those"):
        Spectrum.from_matrix(W, "top", top=10)


def test_no_convergence_is_a_linalg_error(monkeypatch):
    def gives_up(*_, **__):
        raise scipy.sparse.linalg.ArpackNoConvergence("no luck", [], [])

    monkeypatch.setattr(scipy.sparse.linalg, "eigsh", gives_up)
    with pytest.raises(np.linalg.LinAlgError, match="the largest 10 eigenvalues: "):
        Spectrum.from_matrix(np.random.default_rng(0).normal(size=(300, 100)), "top", top=10)


@settings(max_examples=50, deadline=None)
@given(
    values=st.lists(st.floats(0, 1), min_size=1, max_size=20),
    share=st.floats(0, 1),
)
def test_values_are_brought_to_a_sum(values, share):
    values = np.sort(np.array([v if v > 1e-6 else 0.0 for v in values]))
    total = share * 1.5 * np.count_nonzero(values)
    brought = top._to_sum(values, total, 1.5)
    assert brought.sum() == pytest.approx(total, rel=1e-9)
    assert (np.diff(brought) >= -1e-12).all()
    assert brought.max() <= 1.5 + 1e-12


def test_lanczos_is_a_quadrature_and_proves_its_residuals():
    g = np.random.default_rng(0)
    B = g.normal(size=(80, 40))
    A = B.T @ B
    exact, vectors = np.linalg.eigh(A)
    start = g.normal(size=(3, 40))
    ritz = lanczos(lambda x: x @ A, start, 12)
    assert not ritz.complete.any()
    unit = start / np.linalg.norm(start, axis=1, keepdims=True)
    for power in (0, 1, 7, 23):  # Gauss: exact up to degree 2 * 12 - 1
        moments = (ritz.weights * (ritz.values / exact[-1]) ** power).sum(axis=1)
        np.testing.assert_allclose(
            moments, ((unit @ vectors) ** 2 * (exact / exact[-1]) ** power).sum(axis=1), rtol=1e-9
        )
    nearest = np.abs(ritz.values[:, :, None] - exact).min(axis=2)
    assert (nearest <= ritz.residuals + 1e-10 * exact[-1]).all()
    assert (ritz.values[:, -1] <= exact[-1] * (1 + 1e-14)).all()
    whole = lanczos(lambda x: x @ np.diag([1.0, 1.0, 4.0]), np.ones((1, 3)), 3)
    assert whole.complete.all()
    np.testing.assert_allclose(whole.values[whole.weights > 1e-9], [1, 4])


@pytest.mark.parametrize(
    ("W", "exact"), [(np.ones((3, 3, 3)), 1), (np.ones((1, 5)), 1), (np.ones((4, 4)), 0), (np.ones((4, 4)), -3)]
)
def test_what_has_no_top(W, exact):
    with pytest.raises(ValueError, match=f"method='top', top={exact}: W has shape"):
        Spectrum.from_matrix(W, "top", top=exact)


def test_zero_has_a_top_and_a_spectrum_checks_its_number():
    assert Spectrum.from_matrix(np.zeros((5, 4)), "top", top=1).rank == 0
    for number in (0, 3):
        with pytest.raises(ValueError, match=f"num_exact={number}; 1 to 2 is allowed"):
            Spectrum([1.0, 2.0], 2, 2, num_exact=number)


RNG = np.random.default_rng(0)
LONG = np.linalg.qr(RNG.normal(size=(500, 400)))[0] * np.exp(RNG.exponential(size=400) / 2)  # singular values: Pareto


def test_a_tail_longer_than_the_exact_part_is_a_failed_row():
    """Its alpha was that of the exact part: 2.1, and that of all eigenvalues is 2.05."""
    source = {"long.weight": LONG, "noise.weight": np.random.default_rng(2).normal(size=(900, 500))}
    details, dense = analyze(source, method="top"), analyze(source)
    assert "eigenvalues, of which method='top' made 200 exact; method='gram'" in details["status"][0]
    assert np.isnan(details["alpha"][0])
    assert details["alpha"][1] == pytest.approx(dense["alpha"][1], abs=1e-6)


def test_a_clipped_tail_that_grows_beyond_the_exact_part_is_a_failed_row():
    """Without three fingers alpha was 2.99, of all eigenvalues 2.94."""
    W = np.random.default_rng(0).normal(size=(60, 40))
    dense, found = (analyze({"w": W}, fix_fingers="clip_xmax", method=method) for method in ("gram", "top"))
    assert found["status"][0] != "success" or found["alpha"][0] == pytest.approx(dense["alpha"][0], abs=1e-6)


def test_what_needs_all_eigenvalues_is_refused():
    with pytest.raises(ValueError, match="xmin_peak.*top"):
        analyze({"w": LONG}, fix_fingers="xmin_peak", method="top")


def test_a_kernel_among_large_matrices_is_computed_whole():
    kernel = np.random.default_rng(0).normal(size=(24, 20, 3, 3))
    details = analyze({"conv.weight": kernel}, method="top")
    assert details["status"][0] == "success"
    assert details["num_exact"][0] == details["num_evals"][0] == 180
    assert details["alpha"][0] == analyze({"conv.weight": kernel})["alpha"][0]
