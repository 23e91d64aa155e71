"""Is there a power law here at all? One word per layer, by rules that can be read, before any alpha is believed."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache, lru_cache

import numpy as np
import numpy.typing as npt
from scipy.special import expit, logit

from ._arrays import Array, as_numpy
from ._files import shipped_folder
from .bulk import fit_bulk
from .ensembles.spectra import gaussian_spectrum
from .spectrum import Spectrum, as_spectrum
from .tails.fingers import FingerFit
from .tails.power_law import PowerLawFit, fit_power_law
from .tails.search import Tails
from .tails.spectral import LEAST_Q, WORDS, tail_test

_SMALLEST_SIDE = 12  # of the matrices in the table of noise_p
_ACCEPTABLE = 0.69  # part of the definition of the evidence; about MISFIT["searched"][0.90]
_FEWEST = 50  # eigenvalues: the least tail of the test, 10, is a fifth of them

#: The words of a verdict and their rules, in the order in which they are tried.
RULES = {"noise": "noise_p > 0.01: no power law heavier than in Gaussian noise of this shape; spikes may be", **WORDS}

_UNSEEN = "the entries were not seen: heavy-tailed entries alone give such a tail; pass shuffled="
_REACHES = "{} of the {} values of the tail lie beyond the bulk of this layer: the tail reaches into the bulk"
_ENTRIES = "shuffled entries have a heavy tail, too (noise_p={:.2g}): single weights or uneven scales make it"


@dataclass(frozen=True)
class Verdict:
    """What the evidence says about one layer's power law; made by :func:`verdict`.

    Attributes
    ----------
    verdict : str
        One of the words in ``RULES``.
    verdict_note : str
        Why the word is "can't tell" whatever the p-values are, or "".
    noise_p : float
        How often noise passes for a power law as heavy: :func:`noise_p`.
    p_power_law, p_lognormal, p_truncated : float
        How often such populations give a tail with this bend: :func:`rmt_lab.tails.tail_test`. NaN where not tried, as
        for noise, and where the test has no answer.
    alpha_population, alpha_population_low, alpha_population_high : float
        Exponent of the population and its 95 % interval: :func:`rmt_lab.tails.population_alpha`. The quick mode has no
        interval.
    rate_power_law, rate_rivals : float
        How often matrices *with* a power law get this word without a note, and how often those without one do (all
        simulated families together, noise apart), at the nearest simulated shape: :func:`rates`. The word is evidence
        as far as the two differ. Simulated in the full mode, and for clipped tails with ``clip_xmax``.
    """

    verdict: str
    verdict_note: str
    noise_p: float
    p_power_law: float = np.nan
    p_lognormal: float = np.nan
    p_truncated: float = np.nan
    alpha_population: float = np.nan
    alpha_population_low: float = np.nan
    alpha_population_high: float = np.nan
    rate_power_law: float = np.nan
    rate_rivals: float = np.nan

    @property
    def why(self) -> str:
        """What kept the test from an answer, or the rule behind the word."""
        return self.verdict_note or RULES[self.verdict]


def verdict(
    fit: PowerLawFit | FingerFit,
    spectrum: Spectrum,
    shuffled: Spectrum | Callable[[], Spectrum] | None = None,
    n: int = 200,
    rng: np.random.Generator | int | None = None,
    quick: bool = False,
) -> Verdict:
    """Judge a layer's power law: noise, refuted, can't tell or holds.

    The rules are in ``rmt_lab.verdict.RULES``. "noise" is tried first; then a note ("can't tell"), "refuted" and
    "holds" in turn. The evidence comes from
    :func:`noise_p` and :func:`rmt_lab.tails.tail_test`, which are made for eigenvalues. The tests for independent
    values (:func:`rmt_lab.tails.p_value` of a fit, :func:`rmt_lab.tails.compare`) play no part. "holds" is said only
    where the layer's own entries, shuffled, are noise: matrices with heavy-tailed entries, or with very uneven columns,
    have tails like those of a power-law population, and eigenvalues alone cannot tell them apart. And it is said only
    where the whole tail lies beyond the bulk that :func:`rmt_lab.fit_bulk` finds: noise with a signal of low rank has a
    tail of signal and noise together, which is as straight as a power law by accident. The rows of W are taken to be
    independent; row scales are not told from populations. The word is about one tail, a fifth of the eigenvalues.

    Half a second for a layer of 1536 x 576 on one core; some milliseconds with ``quick``.

    Parameters
    ----------
    fit : PowerLawFit or FingerFit
        To the eigenvalues of ``spectrum``. Fingers that it left out are left out here: the verdict is then about the
        accepted tail, and ``rate_power_law, rate_rivals`` are those of tails that were clipped.
    spectrum : Spectrum
    shuffled : Spectrum, or a function that gives it, optional
        Of the same layer, its entries shuffled. Without it the word is never "holds". A function is called only where
        the word depends on it.
    n : int, default 200
        Most redraws per law.
    rng : Generator, int or None
    quick : bool, default False
        p-values from a shipped table instead of redraws.

    Raises
    ------
    ValueError
        If n is smaller than 20, or the fit is to other values than the eigenvalues of ``spectrum``.

    Examples
    --------
    >>> from rmt_lab.ensembles.spectra import gaussian_spectrum
    >>> noise = gaussian_spectrum(300, 100, rng=0)
    >>> verdict(fit_power_law(noise.eigenvalues), noise).why
    'noise_p > 0.01: no power law heavier than in Gaussian noise of this shape; spikes may be'
    """
    if n < 20:
        raise ValueError(f"n={n}; the test needs at least 20 redraws")
    fit = fit.fit if isinstance(fit, FingerFit) else fit
    scale = _scale(fit.x, as_spectrum(spectrum))
    p_noise = noise_p(fit, spectrum)
    clipped = len(fit.x) < len(spectrum.tail_eigenvalues)
    has_rates = spectrum.rf == 1 and spectrum.N >= LEAST_Q * spectrum.M and spectrum.num_exact is None
    if p_noise > 0.01:
        shares = _shares("noise", spectrum.N, len(fit.x), clipped) if has_rates else (np.nan, np.nan)
        return Verdict("noise", "", p_noise, rate_power_law=shares[0], rate_rivals=shares[1])
    if spectrum.rf > 1:
        return Verdict("can't tell", f"eigenvalues of {spectrum.rf} slices; the test takes one matrix", p_noise)
    if spectrum.num_exact is not None:
        return Verdict("can't tell", f"{spectrum.num_exact} exact eigenvalues; the test needs all", p_noise)
    if len(fit.x) < _FEWEST:
        return Verdict("can't tell", f"{len(fit.x)} eigenvalues; the test needs {_FEWEST}", p_noise)
    test = tail_test(fit.x, spectrum.N, n=n, rng=rng, quick=quick)
    word, note = test.word, test.note
    if spectrum.N < LEAST_Q * spectrum.M:  # zeros do not make a matrix longer
        word, note = "can't tell", f"Q={spectrum.Q:.3g}: the test has no level below Q={LEAST_Q:g}"
    if spectrum.stored_rank < 0.9 * spectrum.rank:
        word, note = "can't tell", f"rank {spectrum.stored_rank} of {spectrum.rank}: the others are rounding"
    p_values = (np.nan,) * 3 if note else (test.p_power_law, test.p_lognormal, test.p_truncated)
    if word == "holds":
        beyond = int(np.count_nonzero(fit.x > scale * fit_bulk(spectrum).threshold))
        note = _unlike_a_population(shuffled) if beyond >= test.k else _REACHES.format(beyond, test.k)
        word = "can't tell" if note else word
    shares = (np.nan, np.nan) if note else _shares(word, spectrum.N, len(fit.x), clipped)
    alpha = test.alpha_population, test.alpha_low, test.alpha_high
    return Verdict(word, note, p_noise, *p_values, *alpha, *shares)


def _scale(x: Array, spectrum: Spectrum) -> float:
    """1 for eigenvalues of W^T W / N, N for those of W^T W, as in WeightWatcher."""
    own = spectrum.nonzero_eigenvalues
    for scale in (1.0, float(spectrum.N)):
        near = own[np.clip(np.searchsorted(own, x / scale * (1 - 1e-9)), 0, len(own) - 1)]
        if len(x) <= len(own) and np.allclose(near, x / scale, rtol=1e-8, atol=0):
            return scale
    raise ValueError(f"fit is to {len(x)} values that are no eigenvalues of spectrum, {spectrum!r}")


def _unlike_a_population(shuffled: Spectrum | Callable[[], Spectrum] | None) -> str:
    """Why the tail may be one of single entries, or ""."""
    if shuffled is None:
        return _UNSEEN
    null = shuffled() if callable(shuffled) else shuffled
    p = noise_p(fit_power_law(null.tail_eigenvalues), null)
    return _ENTRIES.format(p) if p <= 0.01 else ""


def rates(N: int, M: int) -> dict[str, dict[str, float]]:
    """How often each word of ``RULES`` is said where the truth is known, at the simulated shape nearest to N x M.

    Nearest in ln M and ln Q. The simulations are those of ``python -m benchmarks.inference``: W = Z diag(tau)^(1/2) O
    with power-law populations tau (four bodies, alpha 2 to 3.5) and populations without a power law, and matrices of
    lognormal entries. Families that begin with "clipped" are spectra of which ``clip_xmax`` dropped fingers.

    Parameters
    ----------
    N, M : int
        Shape of the matrix; N/M >= 2, as there is no answer below.

    Returns
    -------
    dict
        From family to a dict from word to share of its spectra. "can't tell" counts those without a note, "no answer"
        those with one; "spectra" is their number.

    Raises
    ------
    ValueError
        If N is smaller than 2 M.

    Examples
    --------
    >>> shares = rates(3072, 768)
    >>> shares["power law"]["holds"] > shares["lognormal population, s = 1"]["holds"]
    True
    """
    if not N >= LEAST_Q * M > 0:
        raise ValueError(f"N={N}, M={M}; the test has an answer for N/M >= {LEAST_Q:g} only")
    table = _rates_table()
    near = min(table, key=lambda s: (np.log(s[1] / M)) ** 2 + (np.log(s[0] / s[1] / (N / M))) ** 2)
    return table[near]


@cache
def _rates_table() -> dict[tuple[int, int], dict[str, dict[str, float]]]:
    shapes = json.loads(shipped_folder("verdict_rates.json").read_text())["shapes"]
    return {(int(N), int(M)): shapes[f"{N} x {M}"] for N, M in (shape.split(" x ") for shape in shapes)}


def _shares(word: str, N: int, M: int, clipped: bool) -> tuple[float, float]:
    """How often the word is said with a power law, and without one in all families but noise together."""
    families = {f: shares for f, shares in rates(N, M).items() if f.startswith("clipped") == clipped}
    truth = next(shares for f, shares in families.items() if f.endswith("power law"))
    rivals = [shares for f, shares in families.items() if not f.endswith(("power law", "noise"))]
    spectra = [shares["spectra"] for shares in rivals]
    return truth[word], float(np.average([shares[word] for shares in rivals], weights=spectra))


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
    a = smallest_alpha(fit.x)
    if null is None and n is None and spectrum.rf == 1 and spectrum.M >= _SMALLEST_SIDE:
        return _noise_cdf(a - 1, spectrum.N, spectrum.M)
    if null is None:
        heaviest = _gaussian_null(spectrum.N, spectrum.M, spectrum.rf, 999 if n is None else n)
    else:
        heaviest = np.array([smallest_alpha(s.tail_eigenvalues) for s in null])
    if not len(heaviest):
        raise ValueError(f"n={n}: noise_p needs at least one spectrum to compare with")
    return float((1 + np.count_nonzero(heaviest <= a)) / (len(heaviest) + 1))


@lru_cache(maxsize=256)
def _gaussian_null(N: int, M: int, rf: int, n: int) -> Array:
    rng = np.random.default_rng(0)
    slices = ([gaussian_spectrum(N, M, rng=rng).eigenvalues for _ in range(rf)] for _ in range(n))
    return np.array([smallest_alpha(np.sort(np.concatenate(s))) for s in slices])


@cache
def _noise_table() -> dict[str, Array]:
    with shipped_folder("noise.npz").open("rb") as file, np.load(file) as table:
        return dict(table)


def noise_terms(N: int, M: int) -> tuple[float, Array]:
    """s/mu of the largest eigenvalue of an N x M Gaussian matrix, and the powers of M and M/N in the table."""
    n, m = np.sqrt(N - 1), np.sqrt(M)
    corrections = [M ** (-2 * i / 3) * (M / N) ** (j / 2) for i in (1, 2, 3) for j in (0, 1, 2)]
    return float((1 / n + 1 / m) ** (1 / 3) / (n + m)), np.array([1.0, *corrections])


def _noise_cdf(exponent: float, N: int, M: int) -> float:
    """Share of N x M Gaussian matrices whose heaviest acceptable tail has an alpha - 1 of at most this."""
    table = _noise_table()
    scale, terms = noise_terms(N, M)
    quantiles = np.maximum.accumulate(terms @ table["coefficients"])
    return float(expit(np.interp(np.log(exponent * scale), quantiles, logit(table["levels"]))))


def smallest_alpha(x: Array) -> float:
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

    p = np.asarray(as_numpy(p_values), dtype=np.float64)
    tested = ~np.isnan(p)
    wrong = tested & ~((p >= 0) & (p <= 1))
    if wrong.any():
        raise ValueError(f"p_values hold {p[wrong][0]:.4g}; a p-value lies between 0 and 1")
    q = np.full(p.shape, np.nan)
    if tested.any():
        q[tested] = false_discovery_control(p[tested], method="by")
    return q
