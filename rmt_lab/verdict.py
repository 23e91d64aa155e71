"""Is there a power law here at all? One word a layer, by rules that can be read, before any alpha is believed."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from ._arrays import Array
from .ensembles.spectra import gaussian_spectrum
from .spectrum import Spectrum
from .tails.bootstrap import interval, p_value
from .tails.power_law import PowerLawFit
from .tails.rivals import compare
from .tails.search import all_tails

_ACCEPTABLE = 0.69  # part of the definition of the evidence; about MISFIT["searched"][0.90]

RULES = {
    "noise": "noise_p > 0.01: no power law heavier than those in Gaussian noise of this shape; no tail to fit",
    "rejected": "p_value < 0.1: true power laws hardly ever fit as badly (Clauset et al. 2009)",
    "short": "n_tail < 50: not refuted, but so few values can't tell it from its rivals",
    "truncated": "the truncated power law beats the pure one, p < 0.01: the tail ends",
    "rival": "another law beats the power law in Vuong's test, p < 0.01: see best_rival",
    "plausible": "none of these: a power law that may be believed, within its error bar",
}


@dataclass(frozen=True)
class Verdict:
    """What the evidence says about one layer's power law; made by :func:`verdict`.

    Attributes
    ----------
    verdict : str
        The first of the words in ``RULES`` whose rule holds.
    alpha_low, alpha_high : float
        The bootstrap interval of alpha, 95 %.
    p_value : float
        Goodness of fit.
    best_rival : str
        The law that beats the power law at p < 0.01, or "".
    noise_p : float
        How often noise passes for a power law as heavy.
    """

    verdict: str
    alpha_low: float
    alpha_high: float
    p_value: float
    best_rival: str
    noise_p: float

    @property
    def why(self) -> str:
        """The rule behind the word."""
        return RULES[self.verdict]


def verdict(
    fit: PowerLawFit,
    spectrum: Spectrum,
    null: Iterable[Spectrum] | None = None,
    n: int = 500,
    rng: np.random.Generator | int | None = None,
) -> Verdict:
    """Judge a layer's power law: noise, rejected, short, truncated, rival or plausible.

    The rules are in ``rmt_lab.verdict.RULES``, in the order in which they are tried; the evidence comes from
    :func:`noise_p`, :func:`rmt_lab.tails.p_value`, :func:`rmt_lab.tails.compare` and :func:`rmt_lab.tails.interval`.
    Some 0.3 s for a layer, and once for every shape a second or more to draw its noise.

    Parameters
    ----------
    fit : PowerLawFit
        To the eigenvalues of ``spectrum``; for a FingerFit, its ``fit``.
    spectrum : Spectrum
    null : iterable of Spectrum, optional
        Noise to compare with instead of Gaussian: see :func:`rmt_lab.verdict.noise_p`.
    n : int, default 500
        Resamples for the interval and for the p-value.
    rng : Generator, int or None

    Raises
    ------
    ImportError
        If the powerlaw package is not installed: ``pip install rmt-lab[rivals]``.

    Examples
    --------
    >>> from rmt_lab.ensembles.spectra import gaussian_spectrum
    >>> from rmt_lab.tails.power_law import fit_power_law
    >>> noise = gaussian_spectrum(300, 100, rng=0)
    >>> verdict(fit_power_law(noise.eigenvalues), noise, rng=0).why
    'noise_p > 0.01: no power law heavier than those in Gaussian noise of this shape; no tail to fit'
    """
    rng = np.random.default_rng(rng)
    low, high = interval(fit, n=n, rng=rng)
    p, noise, best = p_value(fit, n, rng), noise_p(fit, spectrum, null), compare(fit).best(0.01)
    if noise > 0.01:
        word = "noise"
    elif p < 0.1:
        word = "rejected"
    elif fit.n_tail < 50:
        word = "short"
    elif best:
        word = "truncated" if best == "truncated_power_law" else "rival"
    else:
        word = "plausible"
    return Verdict(word, low, high, p, best, noise)


def noise_p(fit: PowerLawFit, spectrum: Spectrum, null: Iterable[Spectrum] | None = None, n: int = 199) -> float:
    """How often noise of this shape passes for a power law at least as heavy as this layer's.

    On a logarithmic axis a power law is as long as its alpha is small: the mean of ln(x/xmin) is 1/(alpha - 1). So the
    evidence is

        a(x) = the smallest alpha of all tails of x with D sqrt(n_tail) <= 0.69,

    0.69 being about what 90 % of true power laws stay below after the search for xmin, and

        noise_p = (1 + #{noise spectra y with a(y) <= a(x)}) / (n + 1),

    an exact p-value for "x is noise", whatever the shape. (To ask how often noise has a D and an alpha as small as
    those of the layer's own best fit is not enough: each noise spectrum is ahead of nearly all others by that measure,
    and 10 to 30 % of Gaussian matrices come out below 0.01.) Above 0.01 there is no tail to speak of.

    alpha and D don't depend on the unit, so one set of n Gaussian spectra serves every layer of a shape; it is drawn
    once, with a fixed seed, and kept.

    Parameters
    ----------
    fit : PowerLawFit
        To the eigenvalues of ``spectrum``; fingers that it left out are left out here.
    spectrum : Spectrum
        Says the shape: N x M, and the number of slices.
    null : iterable of Spectrum, optional
        Other noise to compare with, such as the spectra of shuffled copies of the layer; n is then their number.
    n : int, default 199
        Gaussian spectra to draw.

    Raises
    ------
    ValueError
        If there is no spectrum to compare with.

    Examples
    --------
    >>> from rmt_lab.tails.power_law import fit_power_law
    >>> noise = gaussian_spectrum(300, 100, rng=0)
    >>> fit = fit_power_law(noise.eigenvalues)
    >>> noise_p(fit, noise)
    0.89
    """
    if null is None:
        heaviest = _gaussian_null(spectrum.N, spectrum.M, spectrum.rf, n)
    else:
        heaviest = np.array([_heaviest(s.nonzero_eigenvalues) for s in null])
    if not len(heaviest):
        raise ValueError(f"n={n}: noise_p needs at least one spectrum to compare with")
    return float((1 + np.count_nonzero(heaviest <= _heaviest(fit.x))) / (len(heaviest) + 1))


@lru_cache(maxsize=256)
def _gaussian_null(N: int, M: int, rf: int, n: int) -> Array:
    rng = np.random.default_rng(0)
    slices = ([gaussian_spectrum(N, M, rng=rng).eigenvalues for _ in range(rf)] for _ in range(n))
    return np.array([_heaviest(np.sort(np.concatenate(s))) for s in slices])


def _heaviest(x: Array) -> float:
    """Smallest alpha of all tails with an acceptable distance; infinite if there is none."""
    exponent, scaled_D = all_tails(np.log(x))
    return 1 + float(exponent[scaled_D <= _ACCEPTABLE].min(initial=np.inf))
