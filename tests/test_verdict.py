"""The one-word verdict: each of its rules on data that the rule is about."""

import numpy as np
import pytest
from scipy import stats

from rmt_lab.ensembles import gaussian_spectrum
from rmt_lab.spectrum import Spectrum
from rmt_lab.tails import Rivals, fit_power_law
from rmt_lab.verdict import RULES, Verdict, _heaviest, noise_p, verdict


def layer(tail, N=800, bulk=100, seed=0):
    """A Gaussian bulk and the given eigenvalues beyond it."""
    noise = gaussian_spectrum(N, bulk, rng=seed)
    x = np.r_[noise.eigenvalues, noise.eigenvalues[-1] * np.asarray(tail)]
    return Spectrum(np.sqrt(N * x), N, len(x))


def judge(spectrum, **kwargs):
    pytest.importorskip("powerlaw")
    return verdict(fit_power_law(spectrum.eigenvalues, **kwargs), spectrum, n=200, rng=0)


def pareto(n, alpha, seed=0):
    return (1 - np.random.default_rng(seed).random(n)) ** (-1 / (alpha - 1))


def test_gaussian_matrices_are_noise():
    """The first of the rules decides, so that it can be tried alone on 60 matrices of each shape."""
    spectra = [
        gaussian_spectrum(N, M, rng=s) for N, M in ((128, 64), (64, 128), (96, 96), (400, 100)) for s in range(60)
    ]
    p = [noise_p(fit_power_law(s.eigenvalues), s) for s in spectra]
    assert np.mean(np.array(p) > 0.01) >= 0.95
    assert judge(spectra[int(np.argmax(p))]).verdict == "noise"


def test_a_long_power_law_is_plausible():
    words = [judge(layer(pareto(100, 2.5, seed), seed=seed)).verdict for seed in range(6)]
    assert words.count("plausible") >= 5


def test_a_short_power_law_is_short():
    v = judge(layer(1.5 * pareto(30, 2.5, 1)), xmin=1.49 * gaussian_spectrum(800, 100, rng=0).eigenvalues[-1])
    assert v.verdict == "short"
    assert v.p_value >= 0.1


def test_what_is_no_power_law_is_rejected():
    """Half a lognormal, made to begin at the edge of the bulk."""
    spectrum = layer(np.exp(np.abs(np.random.default_rng(0).normal(size=150))))
    v = judge(spectrum, xmin=1.001 * gaussian_spectrum(800, 100, rng=0).eigenvalues[-1])
    assert v.p_value < 0.1
    assert v.verdict == "rejected"


@pytest.mark.parametrize(
    ("best", "word"), [("truncated_power_law", "truncated"), ("lognormal", "rival"), ("", "plausible")]
)
def test_a_better_rival_decides_where_the_power_law_fits(best, word, monkeypatch):
    rivals = Rivals({best or "exponential": -3.0}, {best or "exponential": 1e-4 if best else 0.5})
    monkeypatch.setattr("rmt_lab.verdict.compare", lambda fit: rivals)
    v = judge(layer(pareto(100, 2.5, 1), seed=1))
    assert (v.verdict, v.best_rival) == (word, best)


def test_a_tail_that_ends_has_a_better_rival():
    x = pareto(500, 1.6, 1)
    x = x[np.random.default_rng(1).random(500) < np.exp(-0.05 * (x - 1))]
    v = judge(layer(x), xmin=1.001 * gaussian_spectrum(800, 100, rng=0).eigenvalues[-1])
    assert v.best_rival == "truncated_power_law"


def test_what_is_reported():
    pytest.importorskip("powerlaw")
    spectrum = layer(pareto(100, 2.5))
    fit = fit_power_law(spectrum.eigenvalues)
    v = verdict(fit, spectrum, n=50, rng=0)
    assert v == verdict(fit, spectrum, n=50, rng=0)
    assert v.alpha_low < fit.alpha < v.alpha_high
    assert v.noise_p == noise_p(fit, spectrum)
    assert v.why == RULES[v.verdict]


def test_every_word_has_its_rule():
    assert list(RULES) == ["noise", "rejected", "short", "truncated", "rival", "plausible"]
    assert all(Verdict(word, 2, 3, 0.5, "", 0.01).why for word in RULES)


def test_other_noise_can_stand_in_for_gaussian_noise():
    pytest.importorskip("powerlaw")
    spectrum = layer(pareto(100, 2.5))
    fit = fit_power_law(spectrum.eigenvalues)
    same = [layer(pareto(100, 2.5, seed)) for seed in range(1, 9)]
    assert verdict(fit, spectrum, null=same, n=20, rng=0).verdict == "noise"  # no heavier than its like


# --- against noise ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(20))
def test_the_heaviest_acceptable_tail_is_that_of_the_fits_scan(seed):
    rng = np.random.default_rng(seed)
    x = rng.lognormal(size=300) if seed % 2 else gaussian_spectrum(90, 60, rng=rng).eigenvalues
    scan = fit_power_law(x).scan()
    assert _heaviest(np.sort(x)) == scan.alphas[scan.Ds * np.sqrt(scan.n_tails) <= 0.69].min()


def test_noise_p_of_noise_is_uniform():
    rng = np.random.default_rng(5)
    p = []
    for _ in range(150):
        noise = gaussian_spectrum(96, 48, sigma=rng.lognormal(), rng=rng)
        p.append(noise_p(fit_power_law(noise.eigenvalues), noise))
    assert stats.kstest(p, "uniform").pvalue > 0.01


def test_a_heavy_tail_is_not_noise():
    rng = np.random.default_rng(0)
    x = np.sort(np.r_[gaussian_spectrum(400, 60, rng=rng).eigenvalues, 2 * pareto(40, 2.5, rng)])
    layer = Spectrum(np.sqrt(400 * x), 400, 100)
    assert noise_p(fit_power_law(x), layer) == pytest.approx(0.001)


def test_other_noise_can_be_given_and_slices_are_pooled():
    rng = np.random.default_rng(0)
    layer = gaussian_spectrum(60, 30, rng=rng)
    fit = fit_power_law(layer.eigenvalues)
    null = [gaussian_spectrum(60, 30, rng=rng) for _ in range(9)]
    as_heavy = sum(_heaviest(s.eigenvalues) <= _heaviest(fit.x) for s in null)
    assert noise_p(fit, layer, null=null) == pytest.approx((1 + as_heavy) / 10)
    pooled = Spectrum(np.r_[layer.singular_values, null[0].singular_values], 60, 30, rf=2)
    assert 0 < noise_p(fit_power_law(pooled.eigenvalues), pooled, n=19) <= 1


def test_noise_of_no_spectra():
    with pytest.raises(ValueError, match="at least one spectrum to compare with"):
        noise_p(fit_power_law([1.0, 2.0, 4.0, 5.0]), gaussian_spectrum(4, 4, rng=0), null=[])
