"""Is this a power law at all? The goodness of fit, and how often pure noise looks as good."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache, lru_cache
from importlib.resources import files

import numpy as np
from scipy.special import expit, logit

from .gaussian_spectra import gaussian_spectrum
from .power_law import Array, PowerLawFit, _Tails
from .resampling import refit
from .spectrum import Spectrum

_SMALLEST_SIDE = 12  # of the matrices in the table of noise_p
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


def noise_p(
    fit: PowerLawFit, spectrum: Spectrum, null: Iterable[Spectrum] | None = None, n: int | None = None
) -> float:
    """How often noise of this shape passes for a power law at least as heavy as this layer's.

    On a logarithmic axis a power law is as long as its alpha is small: the mean of ln(x/xmin) is 1/(alpha - 1). So the
    evidence is

        a(x) = the smallest alpha of all tails of x with D sqrt(n_tail) <= 0.69,

    0.69 being what 90 % of true power laws stay below after the search for xmin, and

        noise_p = the share of Gaussian matrices y of this shape with a(y) <= a(x).

    (To ask how often noise has a D and an alpha as small as those of the layer's own best fit is not enough: each noise
    spectrum is ahead of nearly all others by that measure, and 10 to 30 % of Gaussian matrices come out below 0.01.)
    Above 0.01 there is no tail to speak of.

    alpha and D don't depend on the unit. Acceptable tails of noise hold at most some 43 eigenvalues, which follow the
    Airy process: with the centre mu and scale s of the largest eigenvalue (Johnstone 2001), ln((a - 1) s/mu) has nearly
    the same law for all shapes, with corrections of the order M^(-2/3). Its quantiles between 0.001 and 0.999, fitted
    to 268 800 spectra of 70 shapes by ``scripts/make_noise_table.py``, ship with the library, so that noise_p takes
    no draws; below 0.001 and above 0.999 it says just that. For a smaller side below 12, for pooled slices, and where n
    is given, n spectra are drawn, once for every shape, with a fixed seed, and

        noise_p = (1 + #{noise spectra y with a(y) <= a(x)}) / (n + 1).

    Measured with the table: below 0.01 in 1.05, 1.05, 1.30, 0.90, 0.90, 1.25 % of 2000 Gaussian matrices of 128 x 64,
    576 x 192, 1536 x 384, 768 x 768, 2304 x 768 and 3072 x 768, none of which is in the table.

    Parameters
    ----------
    fit : PowerLawFit
        To the eigenvalues of ``spectrum``; fingers that it left out are left out here.
    spectrum : Spectrum
        Says the shape: N x M, and the number of slices.
    null : iterable of Spectrum, optional
        Other noise to compare with, such as the spectra of shuffled copies of the layer; n is then their number.
    n : int, optional
        Gaussian spectra to draw. Default: none, from the table; 999 where the table has no answer. At 0.01 a p-value
        from n draws has a true level of 0.01 -+ 0.1/sqrt(n): 0.7 to 1.3 % for 999.

    Raises
    ------
    ValueError
        If there is no spectrum to compare with.

    References
    ----------
    Johnstone (2001), Annals of Statistics 29, 295-327, theorem 1.1, on centre and scale.

    Examples
    --------
    >>> from rmt_lab.power_law import fit_power_law
    >>> noise = gaussian_spectrum(300, 100, rng=0)
    >>> fit = fit_power_law(noise.eigenvalues)
    >>> round(noise_p(fit, noise), 2), round(noise_p(fit, noise, n=999), 2)
    (0.9, 0.89)
    """
    a = _heaviest(fit.x)
    if null is None and n is None and spectrum.rf == 1 and spectrum.M >= _SMALLEST_SIDE:
        return _noise_cdf(a - 1, spectrum.N, spectrum.M)
    if null is None:
        heaviest = _gaussian_null(spectrum.N, spectrum.M, spectrum.rf, 999 if n is None else n)
    else:
        heaviest = np.array([_heaviest(s.nonzero_eigenvalues) for s in null])
    if not len(heaviest):
        raise ValueError(f"n={n}: noise_p needs at least one spectrum to compare with")
    return float((1 + np.count_nonzero(heaviest <= a)) / (len(heaviest) + 1))


@lru_cache(maxsize=256)
def _gaussian_null(N: int, M: int, rf: int, n: int) -> Array:
    rng = np.random.default_rng(0)
    slices = ([gaussian_spectrum(N, M, rng=rng).eigenvalues for _ in range(rf)] for _ in range(n))
    return np.array([_heaviest(np.sort(np.concatenate(s))) for s in slices])


@cache
def _noise_table() -> dict[str, Array]:
    with files("rmt_lab").joinpath("data", "noise.npz").open("rb") as f, np.load(f) as table:
        return dict(table)


def _noise_terms(N: int, M: int) -> tuple[float, Array]:
    """s/mu of the largest eigenvalue of an N x M Gaussian matrix, and the powers of M and M/N in the table."""
    n, m = np.sqrt(N - 1), np.sqrt(M)
    corrections = [M ** (-2 * i / 3) * (M / N) ** (j / 2) for i in (1, 2, 3) for j in (0, 1, 2)]
    return float((1 / n + 1 / m) ** (1 / 3) / (n + m)), np.array([1.0, *corrections])


def _noise_cdf(exponent: float, N: int, M: int) -> float:
    """Share of N x M Gaussian matrices whose heaviest acceptable tail has an alpha - 1 of at most this."""
    table = _noise_table()
    scale, terms = _noise_terms(N, M)
    quantiles = np.maximum.accumulate(terms @ table["coefficients"])
    return float(expit(np.interp(np.log(exponent * scale), quantiles, logit(table["levels"]))))


def _heaviest(x: Array) -> float:
    """Smallest alpha of all tails of ascending x with an acceptable distance; infinite if there is none.

    Tails are tried from the smallest alpha on, until one is acceptable. Nearly all are too long for one, and fail at
    one of a few points or where a neighbour failed, so that whole curves are evaluated for a handful.
    """
    tails = _Tails(x, 2)
    alive = tails.candidates
    alive = alive[np.argsort(tails.exponent[alive], kind="stable")]
    bound = _ACCEPTABLE / np.sqrt(tails.size)
    for share in (0.5, 0.25, 0.75, 0.1, 0.9, 0.97):
        point = alive + (share * tails.size[alive]).astype(np.intp)
        alive = alive[tails.distance(alive, point) <= bound[alive]]
    while len(alive):
        i = int(alive[0])
        d = tails.distances(i)
        worst = i + int(d.argmax())
        if d[worst - i] <= bound[i]:
            return float(1 + tails.exponent[i])
        alive = alive[1:]
        holds = alive <= worst  # the tails that this point belongs to
        holds[holds] = tails.distance(alive[holds], worst) > bound[alive[holds]]
        alive = alive[~holds]
    return float(np.inf)
