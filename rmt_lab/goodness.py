"""Is this a power law at all? The goodness of fit, and how often pure noise looks as good."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache

import numpy as np

from .gaussian_spectra import gaussian_spectrum
from .power_law import Array, PowerLawFit
from .resampling import refit
from .spectrum import Spectrum

_ACCEPTABLE = 0.69  # D sqrt(n_tail): the 90 % point of true power laws, n = 500, after the search for xmin


def p_value(fit: PowerLawFit, n: int = 1000, rng: np.random.Generator | int | None = None) -> float:
    """How often a true power law fits worse than this tail: a small p-value speaks against the power law.

    The semi-parametric bootstrap of Clauset, Shalizi & Newman: each of n samples takes a value with probability
    n_tail/len(x) from the fitted power law and otherwise, with replacement, from the values below xmin; each is fitted
    with its own search for xmin. The statistic is D sqrt(n_tail),

        p = (1 + #{D* sqrt(n_tail*) >= D sqrt(n_tail)}) / (n + 1).

    The paper compares D itself, which falls with the size of the tail: its p-values are not uniform where the power
    law is true (measured on Pareto samples of 100 and 500: 40 % of them below 0.5, 2 % below 0.05), those of
    D sqrt(n_tail) are (``benchmarks/coverage.py``). Clauset et al. rule the power law out below 0.1.

    Parameters
    ----------
    fit : PowerLawFit
    n : int, default 1000
        Number of samples; the p-value is known to sqrt(p (1 - p)/n).
    rng : Generator, int or None

    Raises
    ------
    ValueError
        If n is not positive.

    References
    ----------
    Clauset, Shalizi & Newman (2009), SIAM Review 51, 661-703, section 4.1.

    Examples
    --------
    >>> from rmt_lab.power_law import fit_power_law
    >>> rng = np.random.default_rng(0)
    >>> fit_power_law((1 - rng.random(500)) ** (-1 / 1.5)).p_value(rng=1) > 0.1
    True
    >>> fit_power_law(rng.exponential(size=2000), xmin=0.5).p_value(rng=1)  # no power law, where xmin is not free
    0.000999000999000999
    """
    if n < 1:
        raise ValueError(f"n={n}; a p-value needs at least 1 sample")
    rng = np.random.default_rng(rng)
    size = len(fit.x)
    body = np.log(fit.x[: size - fit.n_tail])

    def draw(k: int) -> Array:
        y = np.log(fit.xmin) + rng.standard_exponential((k, size)) / (fit.alpha - 1)
        if len(body):
            below = rng.random((k, size)) >= fit.n_tail / size
            y = np.where(below, body[rng.integers(len(body), size=(k, size))], y)
        y.sort(axis=1)
        return y

    as_bad = np.count_nonzero(~(refit(draw, n, fit).scaled_D < fit.scaled_D))
    return float((1 + as_bad) / (n + 1))


def noise_p(fit: PowerLawFit, spectrum: Spectrum, null: Iterable[Spectrum] | None = None, n: int = 199) -> float:
    """How often noise of this shape passes for a power law at least as heavy as this layer's.

    On a logarithmic axis a power law is as long as its alpha is small: the mean of ln(x/xmin) is 1/(alpha - 1). So the
    evidence is

        a(x) = the smallest alpha of all tails of x with D sqrt(n_tail) <= 0.69,

    0.69 being what 90 % of true power laws stay below after the search for xmin, and

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
    >>> from rmt_lab.power_law import fit_power_law
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
    exponent, scaled_D = _scan(np.log(x))
    return 1 + float(exponent[scaled_D <= _ACCEPTABLE].min(initial=np.inf))


def _scan(y: Array) -> Array:
    """alpha - 1 and D sqrt(n_tail) of all tails of one ascending sample of ln x, in single precision."""
    n = len(y)
    size = np.arange(n, 1, -1)
    with np.errstate(divide="ignore"):  # equal values at the very top
        exponent = size / np.cumsum((np.diff(y) * (size - 1))[::-1])[::-1]
    y, e = (y - y[-1]).astype(np.float32), exponent.astype(np.float32)
    D = np.empty(n - 1, dtype=np.float32)
    step = max(1, 2**17 // n)
    for i in range(0, n - 1, step):
        k = np.arange(i, min(i + step, n - 1))[:, None]
        j = np.arange(i, n, dtype=np.float32)
        with np.errstate(over="ignore", invalid="ignore"):
            d = np.abs((j - k) / (n - k) - 1 + np.exp(-e[k] * (y[i:] - y[k])))
        D[i : i + step] = np.where(j < k, 0, d).max(axis=1)
    return np.array([exponent, D * np.sqrt(size)])
