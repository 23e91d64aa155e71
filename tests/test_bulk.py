import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rmt_lab.bulk import fit_bulk
from rmt_lab.laws import MarchenkoPastur, largest_eigenvalue_p_value
from rmt_lab.spectrum import Spectrum


def noise(N, M, rng, spikes=()):
    """Unit Gaussian noise plus sum theta_i u_i v_i^T; the directions may be axes, since noise has no preference."""
    W = rng.normal(size=(N, M))
    W[np.arange(len(spikes)), np.arange(len(spikes))] += spikes
    return Spectrum.from_matrix(W)


@pytest.mark.parametrize(("N", "M"), [(768, 192), (400, 400), (500, 300), (3000, 30)])
def test_pure_noise(N, M):
    rng = np.random.default_rng(1)
    fits = [fit_bulk(noise(N, M, rng)) for _ in range(8)]
    assert np.mean([f.sigma_mp for f in fits]) == pytest.approx(1, abs=3e-3)
    f = fits[0]
    assert f.law == MarchenkoPastur(N / M, f.sigma_mp)
    assert f.upper_edge == pytest.approx(f.sigma_mp**2 * (1 + np.sqrt(M / N)) ** 2)
    assert f.upper_edge < f.threshold < 1.3 * f.upper_edge
    assert np.median([f.D for f in fits]) < 4 / M  # eigenvalues are rigid: not 1 / sqrt(M)
    assert np.median([f.mp_softrank for f in fits]) == pytest.approx(1, abs=0.1)


def test_sigma_within_a_percent_at_transformer_size():
    assert fit_bulk(noise(3072, 768, np.random.default_rng(0))).sigma_mp == pytest.approx(1, abs=2e-3)


def test_noise_has_no_spikes():
    rng, found = np.random.default_rng(2), []
    for N, M, trials in [
        (768, 768, 3),
        (1152, 384, 12),
        (1536, 384, 12),
        (192, 192, 60),
        (576, 192, 60),
        (128, 64, 60),
    ]:
        found += [fit_bulk(noise(N, M, rng)).num_spikes > 0 for _ in range(trials)]
    assert len(found) >= 200
    assert np.mean(found) <= 0.05


def test_false_spikes_come_at_the_stated_level():
    rng = np.random.default_rng(3)
    spectra = [noise(128, 32, rng) for _ in range(400)]
    for level in (0.01, 0.1, 0.3):
        rate = np.mean([fit_bulk(s, level).num_spikes > 0 for s in spectra])
        assert 0.4 * level < rate < 1.7 * level + 0.02


@pytest.mark.parametrize("draw", ["uniform", "rademacher", "truncated"])
def test_initialisations_have_no_spikes(draw):
    rng = np.random.default_rng(4)
    shape = (384, 96)
    sample = {
        "uniform": lambda: rng.uniform(-1, 1, shape),
        "rademacher": lambda: rng.choice([-1.0, 1.0], shape),
        "truncated": lambda: np.clip(rng.normal(size=shape), -2, 2),
    }[draw]
    found = []
    for _ in range(40):
        W = 0.02 * sample()
        fit = fit_bulk(Spectrum.from_matrix(W))
        assert fit.sigma_mp == pytest.approx(W.std(), rel=0.02)
        found.append(fit.num_spikes > 0)
    assert np.mean(found) <= 0.05


@pytest.mark.parametrize(("N", "M", "trials"), [(768, 384, 20), (400, 400, 25), (1200, 200, 40)])
def test_detection_above_and_below_the_threshold(N, M, trials):
    rng, critical = np.random.default_rng(5), (N * M) ** 0.25
    above = [fit_bulk(noise(N, M, rng, [1.35 * critical])).num_spikes for _ in range(trials)]
    below = [fit_bulk(noise(N, M, rng, [0.9 * critical])).num_spikes for _ in range(trials)]
    assert np.mean(np.array(above) == 1) >= 0.95
    assert np.mean(np.array(below) > 0) <= 0.1


@pytest.mark.parametrize("share", [0.02, 0.1, 0.2])
@pytest.mark.parametrize(("N", "M"), [(600, 200), (300, 300)])
def test_spikes_do_not_inflate_sigma(N, M, share):
    rng, k = np.random.default_rng(6), int(share * M)
    theta = rng.uniform(1.6, 8, k) * (N * M) ** 0.25
    fits = [fit_bulk(noise(N, M, rng, theta)) for _ in range(6)]
    assert np.mean([f.sigma_mp for f in fits]) == pytest.approx(1, abs=0.004 + 0.05 * share)
    assert np.mean([f.num_spikes for f in fits]) == pytest.approx(k, abs=0.5)
    f = fits[0]
    assert f.law.Q == pytest.approx((N - f.num_spikes) / (M - f.num_spikes))
    assert np.all(np.diff(f.spikes) >= 0)
    assert f.spikes[0] > f.threshold > f.upper_edge
    assert f.D < 0.02
    assert f.p_value < 1e-6
    assert f.mp_softrank == pytest.approx(f.upper_edge / f.spikes[-1])


@settings(max_examples=20, deadline=None)
@given(st.floats(-100, 100), st.integers(0, 3))
def test_scale_changes_nothing_but_the_scale(exponent, k):
    spectrum = noise(60, 30, np.random.default_rng(7), [40.0] * k)
    c = 10.0**exponent
    scaled = Spectrum(c * spectrum.singular_values, 60, 30)
    a, b = fit_bulk(spectrum), fit_bulk(scaled)
    assert b.sigma_mp == pytest.approx(c * a.sigma_mp)
    assert b.threshold == pytest.approx(c**2 * a.threshold)
    assert (b.num_spikes, b.D, b.p_value) == pytest.approx((a.num_spikes, a.D, a.p_value), rel=1e-6)


def test_a_convolution_kernel_is_allowed_the_largest_of_its_slices():
    rng, rf = np.random.default_rng(8), 9
    found, single = [], []
    for _ in range(100):
        kernel = Spectrum.from_matrix(rng.normal(size=(64, 32, 3, 3)))
        fit = fit_bulk(kernel, level=0.1)
        found.append(fit.num_spikes > 0)
        single.append(largest_eigenvalue_p_value(kernel.eigenvalues[-1], 64, 32) < 0.1)
        assert fit.sigma_mp == pytest.approx(1, abs=0.02)
        assert fit.p_value == pytest.approx(
            float(largest_eigenvalue_p_value(kernel.eigenvalues[-1], 64, 32, fit.sigma_mp, rf))
        )
    assert 0.02 < np.mean(found) < 0.2
    assert np.mean(single) > 0.4  # as if it were one matrix


def test_zero_columns_are_left_out():
    W = np.random.default_rng(9).normal(size=(300, 200))
    W[:, 60:] = 0
    fit = fit_bulk(Spectrum.from_matrix(W))
    assert fit.num_zeros == 140
    assert "140 of 200 eigenvalues are zero" in fit.note
    assert "140 of 200" in repr(fit)
    assert "140 of 200" in fit._repr_html_()
    assert fit.sigma_mp == pytest.approx(1, abs=0.03)
    assert fit.law.Q == 5
    W[:, 60:120] = 1e-3 * W[:, :60] + np.random.default_rng(1).normal(size=(300, 60))
    assert fit_bulk(Spectrum.from_matrix(W)).note == ""


@pytest.mark.parametrize(
    "values",
    [
        np.random.default_rng(0).pareto(0.5, 200) + 1,  # heavy tail
        np.geomspace(1e-6, 1e30, 200),  # no bulk at all
        np.ones(200),  # orthogonal
        np.r_[np.full(100, 1e-3), np.full(100, 1.0)],  # half of it missing
        np.array([1.0, 2.0, 3.0, 4.0]),  # tiny
    ],
)
@pytest.mark.parametrize("extra", [0, 600])
def test_what_is_not_noise_still_gets_finite_figures(values, extra):
    fit = fit_bulk(Spectrum(values, len(values) + extra, len(values)))
    figures = [fit.sigma_mp, fit.threshold, fit.D, fit.mp_softrank, fit.p_value, fit.lower_edge, fit.upper_edge]
    assert np.all(np.isfinite(figures))
    assert fit.D > 0.1
    assert np.all(fit.spikes > fit.threshold)


def test_says_when_there_is_no_bulk():
    fit = fit_bulk(Spectrum(np.geomspace(1e-6, 1, 200), 200, 200))
    assert "no noise bulk" in fit.note


def test_bad_arguments_are_named():
    spectrum = noise(20, 10, np.random.default_rng(0))
    for level in (0, 1, -0.1, np.nan):
        with pytest.raises(ValueError, match="level="):
            fit_bulk(spectrum, level)
    with pytest.raises(ValueError, match="1 eigenvalues above zero"):
        fit_bulk(Spectrum.from_matrix(np.ones((8, 8))))
    with pytest.raises(ValueError, match="0 eigenvalues above zero"):
        fit_bulk(Spectrum.from_matrix(np.zeros((8, 8))))


def test_repr_shows_the_fit():
    fit = fit_bulk(noise(60, 30, np.random.default_rng(0), [60.0]))
    assert repr(fit).startswith(f"BulkFit(sigma_mp={fit.sigma_mp:.4g}, ")
    assert "num_spikes=1" in repr(fit)
    assert "<table>" in fit._repr_html_()
