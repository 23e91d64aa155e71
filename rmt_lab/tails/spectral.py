"""Is the tail of a *spectrum* a power law? Tests and intervals that know that eigenvalues repel.

The tests of Clauset, Shalizi & Newman are made for independent values. Eigenvalues of one matrix are not independent:
they repel, and the sample broadens them. Both are taken into account here in one way: by redrawing the matrix. The
null hypothesis is about the *population*, the eigenvalues of the covariance that the rows of W are drawn from. Its k
largest values are an independent sample of the law in question, ln tau = s + g h with h ~ Exp(1) for a power law of
exponent 1 + 1/g. Those below are the layer's own, with the broadening taken off. Matrices with such a population are
drawn, and the curvature of their tails is compared with the layer's.

Four steps, each in a function below:

1. ``_Layer.__init__``: the population of the whole layer, a curve with a few parameters, is fitted to what is seen by
   solving "the mean redrawn spectrum has the layer's log spacings".
2. The same fit tells by how much the M - K smaller eigenvalues move the K largest ones, so that the later redraws need
   the K largest only.
3. ``_Layer.match``: g and s are matched once more for an independent tail.
4. ``tail_test``: redraws, until the p-value is known well enough.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache, lru_cache
from itertools import combinations_with_replacement
from operator import index
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.special import exp1, ndtr, ndtri

from .._arrays import Array, as_real, one_blas_thread
from .._files import shipped_folder
from .._repr import html_table
from ..spectrum import Spectrum

LEVEL = 0.1  # where the power law is called refuted, as in Clauset, Shalizi & Newman
RIVAL_LEVEL = 0.05  # where a rival is called refuted: "holds" claims more, so it needs more
LEAST_Q = 2.0  # below, the broadening cannot be taken off well enough: benchmarks/inference.py
LEAST_K = 35  # of a shorter tail "holds" is said as often without a power law as with one
STEEPEST = 6.0  # a population exponent above it is no heavy tail: Martin & Mahoney's range ends here
LAWS = ("power_law", "lognormal", "truncated")
WORDS = {
    "refuted": "p_power_law < 0.1: fewer than one in ten power-law populations gives a tail that bends as much",
    "can't tell": "neither the power law nor all its rivals are refuted, or the note says why there is no answer",
    "holds": "the power law is not refuted; lognormal and truncated populations are (p < 0.05 each); no note",
}

_QUICK_SHARE = 0.2
_FINGERS = "p_upward={:.3f}: the tail bends up, its largest values lie farther out than a power law puts them"
_CUT = 0.1  # the truncated rival's tail ends at some ten times its beginning
_FLOOR = 1e-12  # eigenvalues below this share of the largest are numerically zero


class PopulationAlpha(NamedTuple):
    """The exponent of the population and its interval; made by :func:`population_alpha`."""

    alpha: float
    low: float
    high: float


@dataclass(frozen=True, repr=False)
class TailTest:
    """What the bend of a spectrum's tail says about its population; made by :func:`tail_test`.

    Attributes
    ----------
    curvature : float
        c = mean(t^2)/(2 mean(t)^2), t = ln(x/x_(k+1)) of the k largest eigenvalues; 1 for independent power-law values.
    p_power_law : float
        How often tails of power-law populations bend as much: small where c is too small.
    p_lognormal, p_truncated : float
        How often tails of lognormal, and of truncated power-law, populations bend as little: small where c is too
        large. The second is NaN where it cannot change the word.
    p_upward : float
        How often tails of power-law populations bend up as much: small where some values lie too far out.
    alpha_population, alpha_low, alpha_high : float
        Exponent 1 + 1/g of the population, not of the sample, and its 95 % interval: see :func:`population_alpha`.
        Infinite above 100. The quick mode has no interval (NaN).
    k, M, N : int
        Eigenvalues in the tail, eigenvalues in all, and rows of the matrix.
    draws : int
        Most redraws per law; 0 for ``quick=True``.
    note : str
        Why the test has no answer at this shape or for this tail, so that the word is "can't tell"; or "".
    """

    curvature: float
    p_power_law: float
    p_lognormal: float
    p_truncated: float
    p_upward: float
    alpha_population: float
    alpha_low: float
    alpha_high: float
    k: int
    M: int
    N: int
    draws: int
    note: str = ""

    @property
    def word(self) -> str:
        """One of the words of ``WORDS``: refuted, holds or can't tell."""
        if self.note:
            return "can't tell"
        if self.p_power_law < LEVEL:
            return "refuted"
        return "holds" if self.p_lognormal < RIVAL_LEVEL and self.p_truncated < RIVAL_LEVEL else "can't tell"

    @property
    def why(self) -> str:
        """The rule behind the word."""
        return self.note or WORDS[self.word]

    def __repr__(self) -> str:
        p = f"p_power_law={self.p_power_law:.3f}, p_lognormal={self.p_lognormal:.3f}"
        tail = f"p_truncated={self.p_truncated:.3f}, alpha_population={self.alpha_population:.2f}"
        return f"TailTest({self.word}: {p}, {tail}, k={self.k} of {self.M})"

    def _repr_html_(self) -> str:
        rows = {
            "word": self.word,
            "p, power-law population": f"{self.p_power_law:.3f}",
            "p, lognormal population": f"{self.p_lognormal:.3f}",
            "p, truncated population": f"{self.p_truncated:.3f}",
            "curvature of the tail": f"{self.curvature:.3f}",
            "alpha of the population": f"{self.alpha_population:.2f} ({self.alpha_low:.2f} .. {self.alpha_high:.2f})",
            "values in the tail": f"{self.k} of {self.M}",
        }
        return html_table("Tail of the spectrum", rows)


def curvature(values: npt.ArrayLike, k: int) -> float:
    """How far the k largest values are from a power law: c = mean(t^2)/(2 mean(t)^2), t = ln(x/x_(k+1)).

    1 on average for many independent power-law values, less where the tail bends down. It has no scale. For a
    tail cut at a given value the likelihood ratio of a lognormal and a power law depends on the data through c alone.

    Parameters
    ----------
    values : array_like of shape (n,)
        Positive, in any order and unit.
    k : int
        1 <= k < n.

    Raises
    ------
    ValueError
        If k is not between 1 and n - 1, or a value of the tail is not positive and finite.

    Examples
    --------
    >>> curvature([1, 2, 4, 8], k=3)  # ln 2 (1, 2, 3): 14/3 / (2 * 4)
    0.5833333333333333
    """
    x = np.sort(np.asarray(values, dtype=np.float64).ravel())[::-1]
    if not 1 <= k < len(x):
        raise ValueError(f"k={k}; allowed are 1 to {len(x) - 1}, one less than there are values")
    if not (x[k] > 0 and np.isfinite(x[0])):
        raise ValueError(f"values={x[k]:.4g} .. {x[0]:.4g} in the tail; they must be positive and finite")
    return float(_moments(np.log(x[: k + 1]), k)[1])


def tail_test(
    eigenvalues: Spectrum | npt.ArrayLike,
    N: int | None = None,
    k: int | None = None,
    share: float = 0.2,
    n: int = 200,
    rng: np.random.Generator | int | None = None,
    quick: bool = False,
) -> TailTest:
    """Could the population of this matrix have a power-law tail? Could it be lognormal, or truncated?

    The tail is the k largest eigenvalues, by rank: a searched xmin retreats to where nothing can be refuted. The
    statistic is the curvature c of :func:`curvature`. The null redraws c* from Gaussian matrices of this shape. Their
    population has k independent values from the law in question on top and the layer's own body, de-broadened, below:

        ln tau = s + g h,    power law: h ~ Exp(1);    lognormal: h = (z - z_q)/E(z - z_q);
                             truncated: h = ln y/E ln y, y of density ~ y^-2 e^(-y/10), y > 1,

    z being a standard normal value beyond z_q, q = k/M: the top share of a population that is lognormal as a whole.
    g and s are those for which the mean of ln(x/x_(k+1)) and x_(k+1) come out on average as they are. Then

        p_power_law = (1 + #{c* <= c})/(draws + 1),    p_upward = (1 + #{c* >= c})/(draws + 1)    of power laws,
        p_lognormal, p_truncated = (1 + #{c* >= c})/(draws + 1)                                   of the rivals.

    Where p_upward < 0.05 the largest values lie farther out than a power law puts them ("fingers"), and the test says
    nothing: they would hide any bend below. Redraws go on in twenties, and stop as soon as every p-value is 2.5
    standard errors away from the level it is compared with (a sequential p-value: Besag & Clifford 1991); where the
    power law seems refuted they go on to n. So the side of the level is known; the p-value itself to
    sqrt(p (1 - p)/draws). The truncated law is tried where "holds" depends on it.

    How often each word is said of spectra with and without a power law, by shape: ``rmt_lab.verdict.rates`` and
    docs/error-bars.md. Eigenvalues alone cannot tell a population from matrices whose *entries* have heavy tails: use
    :func:`rmt_lab.verdict.verdict`, which looks at the shuffled entries too.

    Parameters
    ----------
    eigenvalues : Spectrum, or array_like of shape (M,)
        A layer; or eigenvalues of W^T W on any scale, as the test has none. Numerically zero ones are left out.
    N : int, optional
        Rows of the matrix, at least as many as there are eigenvalues; a Spectrum has it.
    k : int, optional
        Eigenvalues in the tail. Default: the given share of them.
    share : float, default 0.2
        Between 0 and 0.4. The power law is claimed of this share of the population.
    n : int, default 200
        Most redraws per law.
    rng : Generator, int or None
    quick : bool, default False
        Read the p-values from a regression that was fitted to redraws of other spectra, in half a millisecond.
        For ``share=0.2`` only.

    Raises
    ------
    ValueError
        If an eigenvalue is negative or not finite, N is smaller than their number, the tail has fewer than 10 values
        or more than 0.4 of them, n is smaller than 20, or ``quick`` is asked for another share.

    References
    ----------
    Besag & Clifford (1991), Biometrika 78, 301-304. Castillo & Puig (1999), J. Amer. Statist. Assoc. 94, 529-532 (the
    statistic). Anderson (2003), An Introduction to Multivariate Statistical Analysis, section 7.2 (Bartlett).

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> population = np.exp(2 * rng.normal(size=200))  # lognormal
    >>> W = rng.normal(size=(1600, 200)) * np.sqrt(population)
    >>> tail_test(np.linalg.eigvalsh(W.T @ W), N=1600, share=0.4, rng=1).word
    'refuted'
    """
    x, N, k = _checked(eigenvalues, N, k, share)
    if n < 20:
        raise ValueError(f"n={n}; the test needs at least 20 redraws")
    if quick:
        if abs(k - _QUICK_SHARE * len(x)) > 1:
            raise ValueError(f"k={k} of {len(x)}; quick=True knows share={_QUICK_SHARE} only")
        return _quick(x, N, k)
    return _test(_Layer(x, N, k), n, np.random.default_rng(rng))


def _test(layer: _Layer, n: int, rng: np.random.Generator) -> TailTest:
    matched = layer.match("power_law")
    g, slope = layer.exponent(matched, 16, rng)
    note = _no_answer(layer.N, layer.M, layer.k, g)
    n = min(n, 40) if note else n  # p-values that decide nothing need not be known well
    down, up, spread = layer.count("power_law", matched, n, rng, {"down": LEVEL, "up": RIVAL_LEVEL})
    if not note and up < RIVAL_LEVEL:
        note = _FINGERS.format(up)
    p = dict.fromkeys(LAWS[1:], np.nan)
    for law in p:
        if not note and (law == "lognormal" or (p["lognormal"] < RIVAL_LEVEL and down >= LEVEL)):
            p[law] = layer.count(law, layer.match(law), n, rng, {"up": RIVAL_LEVEL})[1]
    alpha = _interval(g, spread / slope, 0.95)
    return TailTest(layer.c, down, p["lognormal"], p["truncated"], up, *alpha, layer.k, layer.M, layer.N, n, note)


def population_alpha(
    eigenvalues: Spectrum | npt.ArrayLike,
    N: int | None = None,
    k: int | None = None,
    share: float = 0.2,
    level: float = 0.95,
    n: int = 100,
    rng: np.random.Generator | int | None = None,
) -> PopulationAlpha:
    """The exponent of the population's tail, and an interval for it.

    The exponent of the sample depends on the shape of the matrix: 3.5 becomes 4.8 at Q = 1. Here the model of
    :func:`tail_test` is matched to two log moments of the tail,

        d = mean of ln x over the k/3 largest - mean of ln x over the k largest,

    which the body touches less than a single one. The interval is ln g -+ z sd(ln d*)/slope, slope = d ln d*/d ln g. It
    answers "were the population another sample of the same law, and the matrix another one".

    Parameters
    ----------
    eigenvalues : Spectrum, or array_like of shape (M,)
        A layer; or eigenvalues of W^T W on any scale.
    N : int, optional
        Rows of the matrix; a Spectrum has it.
    k : int, optional
    share : float, default 0.2
        As for :func:`tail_test`.
    level : float, default 0.95
    n : int, default 100
        Redraws.
    rng : Generator, int or None

    Returns
    -------
    PopulationAlpha
        ``alpha, low, high``.

    Raises
    ------
    ValueError
        As :func:`tail_test`, and if the level is not between 0 and 1.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> population = (1 - rng.random(200)) ** (-1 / 1.5)  # Pareto, alpha = 2.5
    >>> W = rng.normal(size=(400, 200)) * np.sqrt(population)
    >>> alpha, low, high = population_alpha(np.linalg.eigvalsh(W.T @ W), N=400, rng=1)
    >>> low < 2.5 < high
    True
    """
    if not 0 < level < 1:
        raise ValueError(f"level={level!r}; it lies between 0 and 1")
    x, N, k = _checked(eigenvalues, N, k, share)
    if n < 20:
        raise ValueError(f"n={n}; the interval needs at least 20 redraws")
    layer, rng = _Layer(x, N, k), np.random.default_rng(rng)
    matched = layer.match("power_law")
    g, slope = layer.exponent(matched, min(n, 40), rng)
    return _interval(g, layer.count("power_law", matched, n, rng, {})[2] / slope, level)


def _interval(g: float, spread: float, level: float) -> PopulationAlpha:
    """Of alpha = 1 + 1/g, for ln g known with that spread; infinite where there is hardly a tail."""
    reach = np.exp(ndtri((1 + level) / 2) * spread)
    return PopulationAlpha(*(float(1 + 1 / x) if x > 0.01 else np.inf for x in (g, g * reach, g / reach)))


def redrawn_curvatures(
    eigenvalues: Spectrum | npt.ArrayLike,
    N: int | None = None,
    k: int | None = None,
    share: float = 0.2,
    n: int = 200,
    rng: np.random.Generator | int | None = None,
) -> tuple[dict[str, Array], float]:
    """The null distributions behind :func:`tail_test`, for pictures and for fitting the quick mode's table.

    Parameters
    ----------
    eigenvalues, N, k, share, n, rng
        As for :func:`tail_test`.

    Returns
    -------
    curvatures : dict
        "power_law", "lognormal" and "truncated": n curvatures of redrawn tails each.
    g : float
        1/(alpha_population - 1), from :func:`population_alpha`'s two moments.

    Examples
    --------
    >>> x = np.linspace(0.5, 2, 100)
    >>> null, _ = redrawn_curvatures(x, N=400, n=20, rng=0)
    >>> null["power_law"].shape
    (20,)
    """
    x, N, k = _checked(eigenvalues, N, k, share)
    rng = np.random.default_rng(rng)
    layer = _Layer(x, N, k)
    grams, u = _grams(N, layer.K, n, rng), 1 - rng.random((n, k))
    matched = {law: layer.match(law) for law in LAWS}
    null = {law: layer.redraw(g, s, _excess(law, u, layer.q), grams)[1] for law, (g, s) in matched.items()}
    return null, layer.exponent(matched["power_law"], min(n, 40), rng)[0]


def quick_features(eigenvalues: Spectrum | npt.ArrayLike, N: int | None = None, degree: int = 3) -> Array:
    """What the quick mode looks at: all products, up to the degree, of seven figures of the spectrum and its shape.

    They are sqrt(M/N), 1/sqrt(k), ln m (m the mean of ln(x/x_(k+1)) over the k = M/5 largest), ln(d/m) (d as in
    :func:`population_alpha`), and the log spacings of the body over m, ln(ln(x_i/x_j)/m) for i and j the ranks of 20,
    32, 50 and 80 %.

    Parameters
    ----------
    eigenvalues : array_like of shape (M,)
    N : int
    degree : int, default 3

    Examples
    --------
    >>> len(quick_features(np.arange(1, 101), N=400))
    120
    """
    x, N, k = _checked(eigenvalues, N, None, _QUICK_SHARE)
    y, at = np.log(x), _ranks(len(x), k)
    m = float(_moments(y, k)[0])
    body = np.log(np.maximum(-np.diff(y[at]), 1e-3 * m) / m)
    base = np.r_[2 * np.sqrt(len(x) / N) - 1, np.sqrt(60 / k) - 1, np.log(m), 3 * np.log(_two_moments(y, k) / m), body]
    products = [combinations_with_replacement(base, d) for d in range(1, degree + 1)]
    return np.array([1.0, *(np.prod(f) for p in products for f in p)])


@cache
def _quick_table() -> tuple[Array, Array, Array]:
    """Coefficients (features x 7), lowest and highest value of the figures that they were fitted to."""
    table = json.loads(shipped_folder("spectral_quick.json").read_text())
    return np.array(table["coefficients"]), np.array(table["low"]), np.array(table["high"])


def _quick(x: Array, N: int, k: int) -> TailTest:
    """The p-values from ln c* ~ Normal, its mean and spread by regression."""
    coefficients, low, high = _quick_table()
    f = quick_features(x, N)
    *fitted, log_g = f @ coefficients
    z = {law: (np.log(curvature(x, k)) - fitted[2 * i]) / np.exp(fitted[2 * i + 1]) for i, law in enumerate(LAWS)}
    p = {law: float(ndtr(-z[law])) for law in LAWS}
    note = _no_answer(N, len(x), k, float(np.exp(log_g)))
    base = f[1 : 1 + len(low)]
    if not note and ((base < low) | (base > high)).any():
        note = "the quick mode's table holds no such spectrum; use quick=False"
    if not note and p["power_law"] < RIVAL_LEVEL:
        note = _FINGERS.format(p["power_law"])
    alpha = _interval(float(np.exp(log_g)), 0, 0.95).alpha
    down = float(ndtr(z["power_law"]))
    return TailTest(
        curvature(x, k), down, p["lognormal"], p["truncated"], p["power_law"], alpha, np.nan, np.nan, k, len(x), N, 0,
        note,
    )  # fmt: skip


def _checked(
    eigenvalues: Spectrum | npt.ArrayLike, N: int | None, k: int | None, share: float
) -> tuple[Array, int, int]:
    """The eigenvalues that are not zero, descending, N and k."""
    if isinstance(eigenvalues, Spectrum):
        if eigenvalues.rf > 1:
            raise ValueError(f"eigenvalues are pooled from {eigenvalues.rf} slices of a kernel; one matrix is allowed")
        if eigenvalues.num_exact is not None:
            raise ValueError(f"eigenvalues: only {eigenvalues.num_exact} of {eigenvalues.M} are exact; all must be")
        N, eigenvalues = eigenvalues.N, eigenvalues.nonzero_eigenvalues
    if N is None:
        raise ValueError("N=None; eigenvalues without their Spectrum need the number of rows of the matrix")
    x = np.sort(np.asarray(as_real(eigenvalues, "eigenvalues"), dtype=np.float64).ravel())[::-1]
    if not len(x) or not np.isfinite(x[[0, -1]]).all() or x[0] <= 0:
        raise ValueError(f"eigenvalues holds {len(x)} values, largest {x[:1]}; they must be finite, and some positive")
    if x[-1] < -1e-9 * x[0]:
        raise ValueError(f"eigenvalues={x[-1]:.4g} at the lower end; they must not be negative")
    if len(x) > N:
        raise ValueError(f"N={N}; a matrix has at least as many rows as eigenvalues, here {len(x)}")
    x = x[x > _FLOOR * x[0]]
    if k is not None:
        k = index(k)
    if k is None:
        if not 0 < share <= 0.4:
            raise ValueError(f"share={share!r}; it lies between 0 and 0.4")
        k = round(share * len(x))
    if not 10 <= k <= 0.4 * len(x) + 0.5:
        raise ValueError(f"k={k} of {len(x)} positive eigenvalues; allowed are 10 to 0.4 of them")
    if x[0] - x[k] <= 1e-9 * x[0]:
        raise ValueError(f"eigenvalues={x[0]:.4g} for the {k + 1} largest; they must differ")
    return x, index(N), k


def _no_answer(N: int, M: int, k: int, g: float) -> str:
    if N < LEAST_Q * M:
        return f"Q={N / M:.3g}: the test has no level below Q={LEAST_Q:g}"
    if k < LEAST_K:
        return f"k={k}: a tail of fewer than {LEAST_K} values tells nothing"
    if 1 + 1 / g > STEEPEST:
        return f"alpha_population={_interval(g, 0, 0.95).alpha:.1f}: above {STEEPEST:g} a power law is no heavy tail"
    return ""


def _moments(y: Array, k: int) -> tuple[Array, Array, Array]:
    """Mean of t = y - y_(k+1) over the top k of descending log values, its curvature, and y_(k+1); by rows."""
    t = y[..., :k] - y[..., k : k + 1]
    m = t.mean(axis=-1)
    return m, (t**2).mean(axis=-1) / (2 * m**2), y[..., k]


def _two_moments(y: Array, k: int) -> Array:
    return np.asarray(y[..., : max(k // 3, 3)].mean(axis=-1) - y[..., :k].mean(axis=-1))


def _excess(law: str, u: Array, q: float) -> Array:
    """ln(tau/s)/g of the top share q of a law, mean 1, at uniform u; descending rows."""
    if law == "power_law":
        h = -np.log(u)
    elif law == "truncated":
        log_y, log_sf, mean = _truncated()
        h = np.interp(np.log(u), log_sf, log_y) / mean
    else:
        z = ndtri(1 - q)
        h = (-ndtri(q * u) - z) / (np.exp(-z * z / 2) / np.sqrt(2 * np.pi) / q - z)
    return np.asarray(-np.sort(-h, axis=-1))


@cache
def _truncated() -> tuple[Array, Array, float]:
    """ln y, the log survival function of y's density ~ y^-2 e^(-y/10), y > 1, both for falling y; the mean of ln y.

    The integral of t^-2 e^(-t z) from y on is e^(-y z)/y - z E1(y z).
    """
    log_y = np.linspace(0, np.log(60 / _CUT), 4001)
    y = np.exp(log_y)
    sf = np.exp(-_CUT * y) / y - _CUT * exp1(_CUT * y)
    sf = np.maximum(sf / sf[0], np.finfo(np.float64).tiny)
    mean = float(np.sum((sf[1:] + sf[:-1]) / 2 * np.diff(log_y)))  # the mean of ln y is the integral of sf over ln y
    return log_y[::-1], np.log(sf)[::-1], mean


def _grams(N: int, K: int, n: int, rng: np.random.Generator) -> Array:
    """n matrices Z^T Z / N, Z Gaussian, N x K. By Bartlett: L L^T with chi_N, chi_(N-1), ... on L's diagonal."""
    out = np.empty((n, K, K))
    below, diagonal = np.tril_indices(K, -1), np.arange(K)
    L = np.zeros((K, K))
    for gram in out:
        L[below] = rng.standard_normal(len(below[0]))
        L[diagonal, diagonal] = np.sqrt(rng.chisquare(N - diagonal))
        np.matmul(L, L.T, out=gram)
    return np.divide(out, N, out=out)


@lru_cache(maxsize=8)
def _common_grams(N: int, K: int, n: int) -> Array:
    """The same for every layer of a shape, so that a match is a smooth function of its parameters."""
    return _grams(N, K, n, np.random.default_rng([N, K, n]))


@lru_cache(maxsize=64)
def _common_noise(N: int, M: int, n: int) -> Array:
    return _eigenvalues(np.zeros(M), _common_grams(N, M, n))


def _eigenvalues(log_population: Array, grams: Array) -> Array:
    """Log eigenvalues, descending rows, of D^(1/2) G D^(1/2) for each G."""
    scale = np.exp(log_population / 2)
    scale = np.broadcast_to(scale, (len(grams), grams.shape[-1]))
    out = np.empty(scale.shape)
    with one_blas_thread():
        for row, d, G in zip(out, scale, grams, strict=True):
            row[:] = np.linalg.eigvalsh(d[:, None] * G * d)[::-1]
    values: Array = np.log(np.maximum(out, np.finfo(np.float64).tiny))
    return values


def _ranks(M: int, k: int) -> npt.NDArray[np.int64]:
    """Where the body is matched: the k-th, ... eigenvalue up to 0.8 M, each rank some 1.6 times the one before."""
    last = int(0.8 * M)
    return np.unique(np.round(np.geomspace(k, last, 1 + max(1, round(np.log(last / k) / np.log(1.6))))).astype(int))


class _Layer:
    """One layer's spectrum, and the population that it is redrawn from.

    The log population is a curve over the log rank: k expected values of an exponential law on top, times g, and
    straight lines below, from one of ``_ranks`` to the next and on to the end.
    """

    def __init__(self, x: Array, N: int, k: int, rounds: int = 10) -> None:
        M = len(x)
        # a spectrum is rigid: few large matrices give the mean. One shifts ln g by some 16/M; this many by 0.02
        draws = min(int(np.ceil((800 / M) ** 2)), 30)
        self.N, self.M, self.k, self.q = N, M, k, k / M
        self.y = np.log(x)
        m, c, _ = _moments(self.y, k)
        self.m, self.c = float(m), float(c)
        at = _ranks(M, k)
        log_rank, log_at = np.log(np.arange(M) + 0.5), np.log(at + 0.5)
        beyond = log_rank > log_at[-1]
        h = np.cumsum(1 / np.arange(k, 0, -1.0))[::-1]  # expected values of k sorted Exp(1)
        observed = np.r_[self.m, np.maximum(-np.diff(self.y[at]), 1e-3 * self.m)]  # equal values have no spacing
        grams = _common_grams(N, M, draws)

        def spacings(rows: Array) -> Array:
            return np.asarray(np.r_[_moments(rows, k)[0].mean(), -np.diff(rows[:, at].mean(axis=0))])

        def curve(theta: Array) -> Array:
            v = -np.r_[0, np.cumsum(theta[1:])]
            lp = np.r_[theta[0] * h / h.mean(), np.interp(log_rank[k:], log_at, v)]
            lp[beyond] = v[-1] + (v[-1] - v[-2]) / (log_at[-1] - log_at[-2]) * (log_rank[beyond] - log_at[-1])
            return np.asarray(lp)

        # start: what noise of this shape spreads taken off in quadrature. Then Gauss-Newton steps for ln theta, with
        # Broyden's updates of a Jacobian that begins as the unit matrix. A kink just below the tail and a steeper tail
        # look alike after the broadening; so slopes of neighbours (per log rank) are expected within a factor of two
        noise = spacings(_common_noise(N, M, draws))
        theta = np.sqrt(np.maximum(observed**2 - noise**2, (0.3 * observed) ** 2))
        jacobian = np.eye(len(theta))
        log_width = np.log(np.r_[h.mean(), np.diff(log_at)])
        bend = np.diff(np.eye(len(theta)), axis=0) / 0.7
        weight = 1 / (0.02 * observed)
        best = (np.inf, 0.0, theta, curve(theta), np.empty(0))
        step = residual = np.zeros(len(theta))
        for _ in range(rounds):
            lp = curve(theta)
            rows = _eigenvalues(lp, grams)
            before, residual = residual, observed - spacings(rows)
            bends = bend @ (np.log(theta) - log_width)
            loss = float(((weight * residual) ** 2).sum() + (bends**2).sum())
            if loss < best[0]:
                best = loss, float(np.abs(residual / observed).max()), theta, lp, rows
            if step.any():
                jacobian += np.outer(before - residual - jacobian @ step, step) / (step @ step)
            J = np.vstack([weight[:, None] * jacobian * theta, bend])
            wanted = np.linalg.lstsq(J, np.r_[weight * residual, -bends], rcond=None)[0]
            wanted = np.clip(wanted, -0.7, 0.7)
            step = theta * np.expm1(wanted)
            if np.abs(wanted).max() < 0.03:
                break
            theta = theta + step
        _, self.misfit, theta, lp, rows = best
        self.s = float(self.y[k] - rows[:, k].mean())
        self.g = float(theta[0] / h.mean())
        self.population = lp + self.s
        self.spacings = theta
        # by how much the smaller eigenvalues move the K largest: seen on the same draws with and without them
        K = self.K = min(M, max(2 * k, k + 50))
        alone = _eigenvalues(lp[:K], grams[:, :K, :K]).mean(axis=0)[::-1] + self.s
        self._alone, self._shift = alone, rows[:, :K].mean(axis=0)[::-1] + self.s - alone

    def tails(self, g: float, s: float, h: Array, grams: Array) -> Array:
        """Log eigenvalues, descending rows, the K largest, of redrawn matrices with the tail s + g h."""
        lp = np.empty((len(h), self.K))
        lp[:, : self.k] = s + g * h
        lp[:, self.k :] = self.population[self.k : self.K]
        y = _eigenvalues(lp, grams)
        return np.asarray(y + np.interp(y, self._alone, self._shift))

    def redraw(self, g: float, s: float, h: Array, grams: Array) -> tuple[Array, Array, Array]:
        return _moments(self.tails(g, s, h, grams), self.k)

    def match(self, law: str, rounds: int = 3, draws: int = 16) -> tuple[float, float]:
        """g and s for which the mean log excess and x_(k+1) come out on average as observed."""
        grams = _common_grams(self.N, self.K, draws)
        h = _excess(law, 1 - np.random.default_rng(self.k).random((draws, self.k)), self.q)
        mean = h.mean(axis=1)  # dividing by it takes most of the scatter of few draws away
        g, s = self.g, self.s
        for _ in range(rounds):
            m, _, start = self.redraw(g, s, h, grams)
            g *= max(self.m / float((m / mean).mean()), 0.3)
            s += float(self.y[self.k] - start.mean())
        return g, s

    def exponent(self, matched: tuple[float, float], draws: int, rng: np.random.Generator) -> tuple[float, float]:
        """The g for which the mean ln d* of some redraws is ln d, and the slope d ln d*/d ln g, by secants."""
        g, s = matched
        observed = np.log(_two_moments(self.y, self.k))
        grams = _grams(self.N, self.K, draws, rng)
        h = _excess("power_law", 1 - rng.random((draws, self.k)), self.q)
        slope = 1.0
        for _ in range(2):
            a, b = (np.log(_two_moments(self.tails(f * g, s, h, grams), self.k)).mean() for f in (1 / 1.2, 1.2))
            slope = max((b - a) / (2 * np.log(1.2)), 0.1)
            g *= float(np.exp(np.clip((observed - (a + b) / 2) / slope, -0.7, 0.7)))
        return g, slope

    def count(
        self, law: str, matched: tuple[float, float], n: int, rng: np.random.Generator, levels: dict[str, float]
    ) -> tuple[float, float, float]:
        """p-values that the curvature is as small, and as large, as in redraws of a law; the spread of ln d* in these.

        There are at most n redraws. They end as soon as each side that has a level is known to lie above it or, for
        "up", on either side of it; without levels there are n.
        """
        seen, log_d = {"down": 0, "up": 0}, []
        done = 0
        while done < n:
            step = min(20, n - done)
            h = _excess(law, 1 - rng.random((step, self.k)), self.q)
            y = self.tails(*matched, h, _grams(self.N, self.K, step, rng))
            c = _moments(y, self.k)[1]
            log_d.append(np.log(_two_moments(y, self.k)))
            done += step
            seen = {"down": seen["down"] + int((c <= self.c).sum()), "up": seen["up"] + int((c >= self.c).sum())}
            far = {side: (seen[side] - done * p) / np.sqrt(done * p * (1 - p)) for side, p in levels.items()}
            if far and done >= 40 and all(z > 2.5 or (side == "up" and z < -2.5) for side, z in far.items()):
                break
        return (1 + seen["down"]) / (1 + done), (1 + seen["up"]) / (1 + done), float(np.concatenate(log_d).std())
