"""One way in for every kind of array: values come out right, and what was given is never changed."""

from threading import Event, Thread

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from threadpoolctl import threadpool_info, threadpool_limits

from rmt_lab import Spectrum, analyze, fit_power_law, fit_truncated_power_law, fix_fingers
from rmt_lab._arrays import as_numpy, as_real, as_values, one_blas_thread
from rmt_lab.ensembles import dyson
from rmt_lab.laws import subspace_overlap
from rmt_lab.laws.spacings import spacing_ratios, spacings
from rmt_lab.plotting import peel, plot_ecdf
from rmt_lab.spectrum import rounding_edge
from rmt_lab.tails import find_outliers, hill, hill_curve
from rmt_lab.verdict import false_discovery_rate

X = np.exp(np.random.default_rng(0).exponential(size=60))
W = np.random.default_rng(1).normal(size=(30, 20))


def kinds(x):
    """The same numbers in every dress."""
    yield "list", x.tolist()
    yield "Series", pd.Series(x.ravel()) if x.ndim == 1 else pd.DataFrame(x)
    yield "column-major", np.asfortranarray(x)
    yield "every second", np.repeat(x, 2, axis=0)[::2]
    yield "backwards", x[::-1][::-1]
    yield "big-endian", x.astype(">f8")
    yield "long double", x.astype(np.longdouble)
    yield "nothing masked", np.ma.masked_array(x)
    read_only = x.copy()
    read_only.flags.writeable = False
    yield "read-only", read_only


KINDS = [name for name, _ in kinds(X)]


FITS = {
    "power law": lambda x: fit_power_law(x).alpha,
    "truncated": lambda x: fit_truncated_power_law(x).alpha,
    "fingers": lambda x: fix_fingers(x).alpha,
    "hill": lambda x: hill(x, 20),
    "hill curve": lambda x: hill_curve(x).alphas[9],
    "outliers": lambda x: find_outliers(x).fits[1].alpha,
    "peeling": lambda x: peel(x).fits[1].alpha,
}
each_fit = pytest.mark.parametrize("fit", FITS.values(), ids=FITS)


@each_fit
@pytest.mark.parametrize("kind", KINDS)
def test_values_of_every_kind_give_the_same_fits(kind, fit):
    given, kept = dict(kinds(X))[kind], dict(kinds(X))[kind]
    assert fit(given) == fit(X)
    assert np.array_equal(np.asarray(given), np.asarray(kept))


#: What also takes values or matrices as they come.
OTHERS = {
    "spacings": lambda x: spacings(x),
    "ratios": lambda x: spacing_ratios(x),
    "overlap": lambda x: subspace_overlap(x.reshape(-1, 1), x.reshape(-1, 1)),
    "dyson": lambda x: dyson(x[:9], [0.1], rng=0),
    "q-values": lambda x: false_discovery_rate(x / x.max()),
    "a plot": lambda x: plot_ecdf({"x": x}).lines[0].get_xdata(),
    "rounding": lambda x: rounding_edge(x.reshape(20, -1)),
}


@pytest.mark.parametrize("function", OTHERS.values(), ids=OTHERS)
def test_tensors_that_require_grad_are_taken_everywhere(function):
    torch = pytest.importorskip("torch")
    np.testing.assert_array_equal(function(torch.tensor(X, requires_grad=True)), function(X))
    plt.close("all")


def test_the_rounding_of_a_tensor_is_that_of_its_own_type():
    torch = pytest.importorskip("torch")
    narrow = torch.tensor(W, dtype=torch.bfloat16, requires_grad=True)
    assert rounding_edge(narrow) == rounding_edge(as_numpy(narrow), "bfloat16") > 100 * rounding_edge(as_numpy(narrow))


def test_masked_levels_are_not_counted_as_levels():
    masked = np.ma.array(X, mask=X > np.median(X))
    with pytest.raises(ValueError, match="finite levels"):
        spacings(masked)
    drawn, left = (plot_ecdf({"x": x}).lines[0].get_xdata() for x in (masked, masked.compressed()))
    np.testing.assert_array_equal(drawn, left)
    plt.close("all")


@pytest.mark.parametrize("kind", KINDS)
def test_matrices_of_every_kind_have_the_same_spectrum(kind):
    given, kept = dict(kinds(W))[kind], dict(kinds(W))[kind]
    for method in ("gram", "svd"):
        found = Spectrum.from_matrix(given, method=method).singular_values
        np.testing.assert_allclose(found, np.linalg.svd(W, compute_uv=False)[::-1], rtol=1e-9)
    assert np.array_equal(np.asarray(given), np.asarray(kept))


def test_torch_tensors_that_require_grad():
    torch = pytest.importorskip("torch")
    tensor = torch.tensor(W, requires_grad=True)
    assert Spectrum.from_matrix(tensor).norm == pytest.approx(np.sum(W**2))
    for fit in FITS.values():
        assert fit(torch.tensor(X, requires_grad=True)) == fit(X)
    half = torch.tensor(W, dtype=torch.bfloat16)
    assert as_numpy(half).dtype == np.float32
    assert Spectrum.from_matrix(half).norm == pytest.approx(np.sum(W**2), rel=0.01)


def test_masked_entries_are_no_numbers():
    masked = np.ma.masked_array(np.r_[X, 1e9], mask=np.r_[np.zeros(60, bool), True])
    for fit in FITS.values():
        assert fit(masked) == fit(X)
    hole = np.ma.masked_array(W, mask=W == W[3, 4])
    with pytest.raises(ValueError, match="1 NaN or infinite entries of 600"):
        Spectrum.from_matrix(hole)
    assert hole.data[3, 4] == W[3, 4]


@each_fit
def test_a_matrix_is_not_its_eigenvalues(fit):
    with pytest.raises(ValueError, match=r"shape \(30, 20\).*Spectrum.from_matrix\(W\).nonzero_eigenvalues"):
        fit(np.abs(W))


@pytest.mark.parametrize("given", [X + 0j, np.array(["a"]), np.array([object()])])
def test_what_is_not_real_is_refused_by_name(given):
    for convert in (as_real, as_values):
        with pytest.raises(TypeError, match="x has dtype .*; real numbers are allowed"):
            convert(given, "x")


def test_whole_numbers_are_numbers():
    assert as_values([3, 1, 2]).tolist() == [1.0, 2.0, 3.0]
    assert as_real(np.array([True, False])).dtype == np.float64


def blas_threads():
    return [lib["num_threads"] for lib in threadpool_info() if lib["user_api"] == "blas"]


@pytest.mark.parametrize("limit", [None, 2, 3])
def test_a_table_by_threads_has_one_each_and_leaves_the_limit_as_it_was(limit, monkeypatch):
    """Each thread for itself left one thread for good in six of six runs, and none inside a limit of the caller's."""
    import scipy.linalg  # noqa: F401  # a second BLAS, loaded after the first

    seen = []

    def norms(*args):
        seen.append(set(blas_threads()))
        return {}

    monkeypatch.setattr("rmt_lab.analysis._norm_figures", lambda s, alpha: norms() | {"log_spectral_norm": 0.0})
    source = {f"l.{k}.weight": np.random.default_rng(k).normal(size=(60, 50)) for k in range(12)}
    with threadpool_limits(limit, user_api="blas"):
        before = blas_threads()
        analyze(source, n_jobs=2)
        assert blas_threads() == before
    assert seen == [{1}] * 12


def test_the_last_thread_that_leaves_puts_the_limit_back():
    """As in threads of the caller's, or of a table that was given up: each put back what it found, or nothing."""
    left_by_main = Event()

    def busy():
        with one_blas_thread():
            entered.set()
            left_by_main.wait(20)

    with threadpool_limits(2, user_api="blas"):
        before = blas_threads()
        entered, thread = Event(), Thread(target=busy)
        with one_blas_thread():
            thread.start()
            entered.wait(20)
        assert set(blas_threads()) == {1}
        left_by_main.set()
        thread.join()
        assert blas_threads() == before
    assert before != [1] * len(before)
