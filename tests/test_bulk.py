import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rmt_lab import atlas, ensembles
from rmt_lab.bulk import _spread, fit_bulk
from rmt_lab.ensembles import gaussian_spectrum
from rmt_lab.laws import MarchenkoPastur, TracyWidom, edge_scaling, largest_eigenvalue_p_value
from rmt_lab.laws.noise_edges import lower_threshold_of
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


def test_the_level_holds_down_to_ten_columns_at_both_edges():
    """Without allowance for the error of sigma noise has a spike in 3 %."""
    rng, above, below = np.random.default_rng(30), [], []
    for N, M in [(10, 10), (11, 10), (16, 16), (24, 16), (80, 10)]:
        fits = [fit_bulk(gaussian_spectrum(N, M, rng=rng)) for _ in range(400)]
        above += [f.num_spikes > 0 for f in fits]
        below += [f.num_small_spikes > 0 for f in fits]
        assert all((f.p_value < 0.01) == (f.num_spikes > 0) for f in fits)
    assert 0.005 < np.mean(above) < 0.016
    assert 0.005 < np.mean(below) < 0.016


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
        assert (fit.p_value < 0.1) == (fit.num_spikes > 0)
        known = float(largest_eigenvalue_p_value(kernel.eigenvalues[-1], 64, 32, fit.sigma_mp, rf))
        assert known <= fit.p_value < known + 0.08  # the error of sigma widens the law
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
    assert repr(fit).startswith(f"BulkFit(sigma_mp={fit.sigma_mp:.4g}, upper_edge=")
    assert "num_spikes=1, D=" in repr(fit)
    html = fit._repr_html_()
    assert "<table>" in html
    assert f"{fit.sigma_mp:.4g} ± {fit.sigma_error:.2g}" in html
    assert "spikes against the whole matrix" in html


@pytest.mark.parametrize(
    ("N", "M", "draws"), [(64, 64, 300), (128, 64, 300), (512, 64, 300), (250, 200, 200), (3072, 768, 120)]
)
def test_sigma_strays_by_its_stated_error(N, M, draws):
    rng = np.random.default_rng(31)
    fits = [fit_bulk(gaussian_spectrum(N, M, sigma=0.02, rng=rng)) for _ in range(draws)]
    stated = np.mean([f.sigma_error for f in fits])
    assert np.std([f.sigma_mp for f in fits]) == pytest.approx(stated, rel=0.15)
    luck = 3 * stated / 0.02 / np.sqrt(draws)
    assert abs(np.mean([f.sigma_mp for f in fits]) / 0.02 - 1 + 0.155 / N) < luck  # the known bias


def test_the_error_of_sigma_of_a_pooled_kernel_and_of_what_spikes_leave():
    rng = np.random.default_rng(32)
    kernels = [
        Spectrum(np.concatenate([gaussian_spectrum(64, 32, rng=rng).singular_values for _ in range(9)]), 64, 32, 9)
        for _ in range(300)
    ]
    fits = [fit_bulk(s) for s in kernels]
    assert np.std([f.sigma_mp for f in fits]) == pytest.approx(np.mean([f.sigma_error for f in fits]), rel=0.15)
    f = fit_bulk(noise(200, 100, rng, [200.0] * 20))
    assert f.sigma_error == pytest.approx((0.76 + 0.09 * 80 / 180) * f.sigma_mp / np.sqrt(180 * 80))


@pytest.mark.parametrize(("N", "M", "trials"), [(128, 64, 100), (384, 96, 100), (384, 384, 25), (768, 192, 40)])
def test_noise_and_signals_in_noise_get_no_note(N, M, trials):
    rng, critical, noted = np.random.default_rng(33), (N * M) ** 0.25, []
    for share in (0, 0.01, 0.1, 0.2, 0.4):
        for _ in range(trials // 5):
            noted.append(fit_bulk(noise(N, M, rng, critical * rng.uniform(1.2, 5, round(share * M)))).note != "")
    assert np.mean(noted) <= 0.02


IMPOSTORS = {
    "linear scales": lambda N, M, rng: rng.normal(size=(N, M)) * np.linspace(1, 3, M),
    "lognormal scales": lambda N, M, rng: rng.normal(size=(N, M)) * rng.lognormal(0, 0.5, M),
    "AR(1) 0.3": lambda N, M, rng: ensembles.ar1(N, M, 0.3, rng=rng),
    "AR(1) 0.5": lambda N, M, rng: ensembles.ar1(N, M, 0.5, rng=rng),
    "AR(1) 0.9": lambda N, M, rng: ensembles.ar1(N, M, 0.9, rng=rng),
    "Pareto entries": lambda N, M, rng: ensembles.pareto(N, M, 1.5, rng=rng),
}


@pytest.mark.parametrize("draw", IMPOSTORS.values(), ids=IMPOSTORS)
@pytest.mark.parametrize(("N", "M"), [(576, 192), (192, 192)])
def test_what_has_no_bulk_gets_a_note(draw, N, M):
    rng = np.random.default_rng(34)
    notes = [fit_bulk(Spectrum.from_matrix(draw(N, M, rng))).note for _ in range(20)]
    assert sum("noise" in note for note in notes) >= 19


def test_half_the_spectrum_signal_gets_a_note_whether_it_is_found_or_not():
    """At Q = 1 the fit misses it all and doubles sigma; at Q = 3 it finds it all, as it might without any noise."""
    rng = np.random.default_rng(35)
    square = fit_bulk(noise(200, 200, rng, np.full(100, 3 * 200**0.5)))
    assert square.num_spikes < 5
    assert square.sigma_mp > 1.8
    assert "not noise" in square.note
    tall = fit_bulk(noise(576, 192, rng, np.full(96, 3 * (576 * 192) ** 0.25)))
    assert tall.num_spikes == 96
    assert "too many" in tall.note


def test_a_bulk_of_pooled_slices_has_its_own_bounds():
    rng, noted = np.random.default_rng(36), []
    for rf in (3, 9, 49):
        for _ in range(20):
            slices = [gaussian_spectrum(64, 32, rng=rng).singular_values for _ in range(rf)]
            noted.append(fit_bulk(Spectrum(np.concatenate(slices), 64, 32, rf)).note != "")
    assert np.mean(noted) <= 0.02
    scaled = np.concatenate([(1 + i / 8) * gaussian_spectrum(64, 32, rng=rng).singular_values for i in range(9)])
    assert "not noise" in fit_bulk(Spectrum(scaled, 64, 32, 9)).note  # every slice is noise, of its own level


@pytest.mark.parametrize("Q", [1, 1.5, 4, 50])
def test_spread_is_zero_for_the_law_itself(Q):
    law = MarchenkoPastur(Q, 0.3)
    x = law.ppf((np.arange(2000) + 0.5) / 2000)
    assert _spread(x, law) == pytest.approx(0, abs=0.02)


@pytest.mark.parametrize(("N", "M"), [(128, 64), (200, 200), (1536, 192)])
def test_the_spread_of_noise_has_mean_one_half_and_sd_one_at_every_size(N, M):
    rng = np.random.default_rng(37)
    spread = [fit_bulk(gaussian_spectrum(N, M, rng=rng)).spread for _ in range(200)]
    assert np.mean(spread) == pytest.approx(0.5, abs=0.25)
    assert np.std(spread) == pytest.approx(1, abs=0.15)


def test_first_spikes_are_counted_against_the_whole_matrix():
    layer = atlas.load("minilm")["block 3 feed-forward in"].spectrum
    fit = fit_bulk(layer)
    assert (fit.num_spikes_first, fit.num_spikes) == (32, 156)
    assert "not noise" in fit.note
    centre, scale = edge_scaling(layer.N, layer.M, layer.entry_std)
    assert fit.num_spikes_first == np.sum(layer.eigenvalues > centre + scale * TracyWidom(1).ppf(0.99))
    rng = np.random.default_rng(38)
    fit = fit_bulk(noise(400, 200, rng, rng.uniform(1.6, 8, 40) * (400 * 200) ** 0.25))
    assert fit.num_spikes_first < 30 < 39 <= fit.num_spikes
    assert fit.note == ""


@pytest.mark.parametrize(("N", "M", "rf"), [(60, 60, 1), (61, 60, 1), (62, 60, 1), (120, 40, 1), (40, 40, 9)])
def test_small_spikes_come_at_the_stated_level(N, M, rf):
    rng = np.random.default_rng(39)
    rate = []
    for _ in range(200):
        slices = [gaussian_spectrum(N, M, rng=rng).singular_values for _ in range(rf)]
        rate.append(fit_bulk(Spectrum(np.concatenate(slices), N, M, rf), level=0.1).num_small_spikes > 0)
    assert 0.05 < np.mean(rate) < 0.16


@pytest.mark.parametrize(("N", "M", "kept"), [(300, 100, 0.8), (101, 100, 1e-2), (100, 100, 1e-3)])
def test_small_spikes_are_found(N, M, kept):
    W = np.random.default_rng(40).normal(size=(N, M))
    U, s, Vt = np.linalg.svd(W, full_matrices=False)
    before = fit_bulk(Spectrum.from_matrix(W, method="svd"))
    assert before.num_small_spikes == 0
    assert 0 < before.lower_threshold < s[-1] ** 2 / N
    s[-3:] *= kept
    fit = fit_bulk(Spectrum.from_matrix((U * s) @ Vt, method="svd"))
    assert fit.small_spikes[0] == pytest.approx(s[-1] ** 2 / N, rel=1e-6)
    assert fit.num_small_spikes == np.sum(s**2 / N < fit.lower_threshold) >= 1
    assert fit.sigma_mp == pytest.approx(before.sigma_mp, rel=1e-3)


def test_no_lower_test_where_none_exists_and_zeros_are_no_small_spikes():
    rng = np.random.default_rng(41)
    kernel = rng.normal(size=(20, 20, 2))
    kernel[:, 0, 0] = 0  # half a column for each slice
    fit = fit_bulk(Spectrum.from_matrix(kernel, method="svd"))
    assert np.isnan(fit.lower_threshold)
    assert (fit.num_small_spikes, fit.num_zeros) == (0, 1)
    W = rng.normal(size=(60, 30))
    W[:, :5] = 0
    fit = fit_bulk(Spectrum.from_matrix(W, method="svd"))
    assert (fit.num_small_spikes, fit.num_zeros) == (0, 5)


def test_one_more_row_than_columns_has_an_exact_law():
    rng, level = np.random.default_rng(42), 0.3
    smallest = [np.linalg.svd(rng.normal(size=(4, 3)), compute_uv=False)[-1] ** 2 for _ in range(4000)]
    threshold = lower_threshold_of(4, 3, level, rf=1)
    assert np.mean(np.array(smallest) < threshold) == pytest.approx(level, abs=0.025)
