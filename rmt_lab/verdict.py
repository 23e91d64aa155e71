"""Is there a power law here at all? One word a layer, by rules that can be read, before any alpha is believed."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from .goodness import noise_p, p_value
from .intervals import interval
from .power_law import PowerLawFit
from .rivals import compare
from .spectrum import Spectrum

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
    :func:`rmt_lab.goodness.noise_p`, :func:`rmt_lab.goodness.p_value`, :func:`rmt_lab.rivals.compare` and
    :func:`rmt_lab.intervals.interval`. Some 0.3 s for a layer, and once for every shape a second or more to draw its
    noise.

    Parameters
    ----------
    fit : PowerLawFit
        To the eigenvalues of ``spectrum``; for a FingerFit, its ``fit``.
    spectrum : Spectrum
    null : iterable of Spectrum, optional
        Noise to compare with instead of Gaussian: see :func:`rmt_lab.goodness.noise_p`.
    n : int, default 500
        Resamples for the interval and for the p-value.
    rng : Generator, int or None

    Raises
    ------
    ImportError
        If the powerlaw package is not installed: ``pip install rmt-lab[rivals]``.

    Examples
    --------
    >>> from rmt_lab.gaussian_spectra import gaussian_spectrum
    >>> from rmt_lab.power_law import fit_power_law
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
