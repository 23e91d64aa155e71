"""Is there a power law here at all? One word a layer, by rules that can be read, before any alpha is believed."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache, lru_cache

import numpy as np
import numpy.typing as npt
from scipy.special import expit, logit

from ._arrays import Array
from ._files import shipped_folder
from .ensembles.spectra import gaussian_spectrum
from .spectrum import Spectrum
from .tails.bootstrap import interval, p_value
from .tails.power_law import PowerLawFit
from .tails.rivals import compare
from .tails.search import Tails

_SMALLEST_SIDE = 12  # of the matrices in the table of noise_p
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
    >>> from rmt_lab.tails import fit_power_law
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
    with shipped_folder("noise.npz").open("rb") as file, np.load(file) as table:
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
    tails = Tails(x, 2)
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


def false_discovery_rate(p_values: npt.ArrayLike) -> Array:
    """q-values after Benjamini & Yekutieli: the least rate of false discoveries at which each layer is still rejected.

    Of the m p-values, sorted to p_(1) <= ... <= p_(m),

        q_(i) = min_(j >= i) p_(j) m c / j, at most 1,    c = sum_(j=1..m) 1/j.

    Reject every layer with q <= r, and on average at most a share r of the rejections is false. The factor c makes that
    hold whatever the dependence between the p-values (layers of one model were trained together); Benjamini & Hochberg
    have c = 1 and need independence or something like it. With 250 layers c is 6.1.

    Parameters
    ----------
    p_values : array_like
        Between 0 and 1, of any shape. NaN stands for a layer without a test: it stays NaN and does not count.

    Returns
    -------
    array of the same shape

    Raises
    ------
    ValueError
        If a p-value lies outside 0 .. 1.

    References
    ----------
    Benjamini & Yekutieli (2001), Annals of Statistics 29, 1165-1188, theorem 1.3.

    Examples
    --------
    >>> false_discovery_rate([0.001, np.nan, 0.01, 0.5]).round(4)
    array([0.0055,    nan, 0.0275, 0.9167])
    """
    from scipy.stats import false_discovery_control  # takes half a second to import

    p = np.asarray(p_values, dtype=np.float64)
    tested = ~np.isnan(p)
    wrong = tested & ~((p >= 0) & (p <= 1))
    if wrong.any():
        raise ValueError(f"p_values hold {p[wrong][0]:.4g}; a p-value lies between 0 and 1")
    q = np.full(p.shape, np.nan)
    if tested.any():
        q[tested] = false_discovery_control(p[tested], method="by")
    return q
