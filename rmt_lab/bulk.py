"""The noise in a real layer: its level, its edge, and the eigenvalues beyond it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from ._arrays import Array
from ._repr import html_table
from .laws.marchenko_pastur import MarchenkoPastur
from .laws.noise_edges import allowance_of, lower_threshold_of, relative_error, upper_edge_scaling
from .laws.tracy_widom import TracyWidom, edge_scaling
from .spectrum import Spectrum, as_spectrum

_WINDOW = (0.2, 0.8)  # the part of the bulk that sigma is matched on, as probabilities
_FEWEST = 4  # eigenvalues
_MOST = 0.45  # of the eigenvalues: planted spikes were tried up to 0.4
_GRID = 64  # points on which the law's distribution function is inverted


@dataclass(frozen=True, eq=False, repr=False)
class BulkFit:
    """A Marchenko-Pastur bulk and its spikes, as :func:`fit_bulk` finds them; eigenvalues of X = W^T W / N throughout.

    Attributes
    ----------
    sigma_mp : float
        Standard deviation of the noise in the entries of W: without spikes the edge is sigma_mp^2 (1 + 1/sqrt(Q))^2.
    sigma_error : float
        Standard error of sigma_mp for Gaussian noise, (0.76 + 0.09/Q) sigma_mp / sqrt(N M) with the sides of the noise
        (those of ``law``): eigenvalues repel each other, so the error falls like 1/M. To know the noise alone, without
        signal, would give 0.71. It doesn't hold what spikes near the edge do to the bulk, see :func:`fit_bulk`.
    law : MarchenkoPastur
        Of the bulk. k spikes take k rows and k columns of noise with them and leave the spectrum of (N-k) x (M-k)
        noise, so law.Q = (N-k)/(M-k) and law.sigma^2 = sigma_mp^2 (N-k)/N. For k = 0 these are Q and sigma_mp.
    threshold : float
        The upper edge plus the Tracy-Widom allowance: noise alone exceeds it with probability ``level``.
    spikes : array
        The eigenvalues beyond the threshold, ascending.
    num_spikes_first : int
        How many eigenvalues lie beyond the threshold of noise with the root mean square of *all* entries of W,
        ``spectrum.entry_std``: the noise and the signal together. This is the count against variance-matched noise.
        Where ``note`` is empty ``num_spikes`` is the better one: the signal doesn't raise its threshold.
    lower_threshold : float
        The lower edge minus its allowance: noise alone has an eigenvalue below it with probability ``level``. NaN where
        there is no test: N - M of the noise is a fraction below 2 (kernels with zero eigenvalues only).
    small_spikes : array
        The eigenvalues above zero and below ``lower_threshold``, ascending. Small eigenvalues need float64 singular
        values: ``Spectrum.from_matrix(W, method="svd")``. The Gram route makes an error of about 1e-16 lambda_max.
    D : float
        Kolmogorov-Smirnov distance between the eigenvalues up to the threshold and the law: about 1 / (their number)
        for noise, far more for a spectrum that has no Marchenko-Pastur bulk.
    spread : float
        How many eigenvalues too many lie near the two edges of the bulk, and too few in its middle: the sum of
        2 y^2 - 1 over the bulk minus its expected value, y running from -1 at the lower to 1 at the upper edge.
        Gaussian noise of every size has 0.5 +- 1 (rf/2 +- sqrt(rf) for rf slices); entries of excess kurtosis K have
        0.5 + K/2.
    mp_softrank : float
        Upper edge over largest eigenvalue (Martin & Mahoney 2021): about 1 for noise, small under a strong spike.
    p_value : float
        Of the largest eigenvalue, under noise of standard deviation sigma_mp; below ``level`` where noise has a spike.
    level : float
        As given.
    num_zeros : int
        Zero eigenvalues, which the fit leaves out.
    note : str
        What to be wary of; empty if nothing. With a note on the bulk, spikes are not a signal in noise.
    """

    sigma_mp: float
    sigma_error: float
    law: MarchenkoPastur
    threshold: float
    spikes: Array
    num_spikes_first: int
    lower_threshold: float
    small_spikes: Array
    D: float
    spread: float
    mp_softrank: float
    p_value: float
    level: float
    num_zeros: int
    note: str

    @property
    def lower_edge(self) -> float:
        """Lower edge of the bulk."""
        return self.law.lower_edge

    @property
    def upper_edge(self) -> float:
        """Upper edge of the bulk."""
        return self.law.upper_edge

    @property
    def num_spikes(self) -> int:
        """How many eigenvalues lie beyond the threshold."""
        return len(self.spikes)

    @property
    def num_small_spikes(self) -> int:
        """How many eigenvalues lie above zero and below the lower threshold."""
        return len(self.small_spikes)

    def __repr__(self) -> str:
        note = f", note={self.note!r}" if self.note else ""
        return (
            f"BulkFit(sigma_mp={self.sigma_mp:.4g}, upper_edge={self.upper_edge:.4g}, threshold={self.threshold:.4g}, "
            f"num_spikes={self.num_spikes}, D={self.D:.2g}{note})"
        )

    def _repr_html_(self) -> str:
        rows = {
            "noise level sigma_mp": f"{self.sigma_mp:.4g} ± {self.sigma_error:.2g}",
            "bulk": f"{self.lower_edge:.4g} .. {self.upper_edge:.4g}",
            f"threshold (level {self.level:g})": f"{self.threshold:.4g}",
            "spikes beyond it": f"{self.num_spikes}",
            "spikes against the whole matrix": f"{self.num_spikes_first}",
            "eigenvalues below the lower threshold": f"{self.num_small_spikes}",
            "p-value of the largest": f"{self.p_value:.2g}",
            "MP soft rank": f"{self.mp_softrank:.3g}",
            "D, bulk against law": f"{self.D:.2g}",
            "spread, bulk against law": f"{self.spread:.2g}",
        }
        return html_table("Marchenko-Pastur bulk", rows | ({"note": self.note} if self.note else {}))


def fit_bulk(spectrum: Spectrum, level: float = 0.01) -> BulkFit:
    """Fits the noise bulk of a spectrum and counts the spikes beyond it.

    sigma is the slope that matches the singular values of the bulk to the quantiles of the Marchenko-Pastur law, by
    least squares over its central part: sigma = sum s_i q_i / sum q_i^2, probabilities 0.2 to 0.8. The largest
    eigenvalues play no part. The k eigenvalues beyond the threshold are then taken out, and the rest matched to the
    law of (N-k) x (M-k) noise, until k stays. The threshold is mu + s F1^-1(1 - level), mu and s Johnstone's centre and
    scale of the largest of (N-k) x (M-k) noise, widened by the error of sigma; for a convolution kernel, whose spectra
    of rf slices are pooled, F1^rf stands for F1 and k/rf for k.

    The lower threshold has the laws of the smallest eigenvalue: Edelman's for N = M and N = M + 1, Ma's from N = M + 2
    on. Small singular values of trained layers matter too (Staats, Thamm & Rosenow 2024). Ask for them in float64, by
    ``Spectrum.from_matrix(W, method="svd")``: the Gram route rounds them.

    Where there is no noise bulk the rounds feed themselves: spikes lower sigma, and a lower sigma makes more spikes.
    ``note`` says so in three cases. (1) More than 45 % of the eigenvalues lie beyond the threshold. (2) D is above
    (1.4 + 0.42 ln n + 0.01 k) / n, n the eigenvalues left and k the spikes, which noise passes in 0.2 to 0.7 %; for rf
    slices, n/rf stands in the logarithm and rf^0.6 before the first two terms. (3) ``spread`` is more than three
    standard deviations + 0.01 k above its mean for noise.

    Measured on Gaussian noise (docs/nulls.md, ``python -m benchmarks.bulk_study``): sigma within 0.1 % at 3072 x 768
    and 1 % at 128 x 64; at level 0.01 a spike is found in 0.8 to 1.5 % of matrices from 10 columns on (Q = 1 .. 4; in
    1.8 % of kernels of nine 16 x 16 slices), and a small spike in 0.8 to 1.1 %. A spike 35 % above its detection
    threshold is found in 98 % or more from 384 x 384 on, in 94 % at 576 x 192, and in 57 % at 128 x 64, where the limit
    is in the matrix: with sigma known, 65 % are found. Spikes that make up a tenth of the spectrum lower sigma by up to
    1 %, two fifths by up to 3 %: those near the edge push the bulk down.

    A note is set on 0.1 to 1 % of noise, and on 1.2 % or less of signals at random strengths of 1.2 to 5 times the
    threshold (2.3 % at 64 x 64), up to 40 % of the spectrum. It is set on 99 % or more of uneven column scales (1 .. 3,
    lognormal 0.5), AR(1) rows (0.3, 0.5, 0.9), Pareto entries (tail index 1 to 2) and signals in half of the spectrum
    from 384 x 96 on. There is less to see at 128 x 64: 71 % of AR(1) rows of 0.9, 80 % of Pareto entries of index 2.
    Independent entries of excess kurtosis 3 get one in 4 to 9 %, of index 3 in 8 % (128 x 64) to all (768 x 768). Many
    signals of one strength below 2 get one, too, and rightly: at 576 x 192 a tenth of the spectrum at 1.2 raises sigma
    by 1 %, and two thirds of it stay in the bulk.

    Zero eigenvalues are left out, and what remains is fitted as N x rank noise, as if that many columns of W were
    empty.

    Sources: Johnstone (2001), Ann. Statist. 29, 295; Kritchman & Nadler (2009), IEEE Trans. Signal Process. 57, 3930;
    for the lower edge Edelman (1988), SIAM J. Matrix Anal. Appl. 9, 543, Ma (2012), Bernoulli 18, 322, and Staats,
    Thamm & Rosenow (2024), arXiv 2410.17770; for the spread Bai & Silverstein (2004), Ann. Probab. 32, 553, and Pan &
    Zhou (2008), Ann. Appl. Probab. 18, 1232.

    Parameters
    ----------
    spectrum : Spectrum
    level : float, default 0.01
        Probability of a false spike in pure noise, and of a false small spike, between 0 and 1.

    Raises
    ------
    ValueError
        If level is not between 0 and 1, or fewer than 4 eigenvalues of a matrix are above zero.

    Examples
    --------
    >>> import numpy as np
    >>> from rmt_lab import Spectrum
    >>> W = np.random.default_rng(0).normal(size=(800, 400))
    >>> W[0, 0] += 100  # a spike: far beyond the threshold (800 * 400)**(1/4) = 24
    >>> fit = fit_bulk(Spectrum.from_matrix(W))
    >>> fit.num_spikes, round(fit.sigma_mp, 2)
    (1, 1.0)

    Columns of different scale have no such bulk, though every entry is independent noise:

    >>> fit = fit_bulk(Spectrum.from_matrix(np.random.default_rng(0).normal(size=(800, 400)) * np.linspace(1, 3, 400)))
    >>> fit.num_spikes_first, fit.num_spikes, fit.note != ""
    (15, 95, True)
    """
    spectrum = as_spectrum(spectrum)
    if not 0 < level < 1:
        raise ValueError(f"level={level!r}; a probability between 0 and 1 is allowed")
    eigenvalues, N, rf = spectrum.nonzero_eigenvalues, spectrum.N, spectrum.rf
    n = len(eigenvalues)
    if n < _FEWEST * rf:
        raise ValueError(f"spectrum has {n} eigenvalues above zero; a bulk needs at least {_FEWEST * rf}")
    allowance = allowance_of(level, rf)
    centre, scale = edge_scaling(N, spectrum.M, spectrum.entry_std)
    first = int(np.count_nonzero(eigenvalues > centre + scale * allowance))
    k, roots = 0, np.sqrt(eigenvalues)
    while True:
        rows, columns = N - k / rf, (n - k) / rf  # of the noise that k spikes leave
        sigma = _match(roots[: n - k], rows / columns) / math.sqrt(rows / N)
        centre, scale = upper_edge_scaling(rows, columns, sigma * math.sqrt(rows / N), rf)
        threshold = centre + scale * allowance
        beyond = n - int(eigenvalues.searchsorted(threshold, side="right"))
        if beyond <= k or beyond > n // 2:
            break
        k = beyond
    law = MarchenkoPastur(rows / columns, sigma * math.sqrt(rows / N))
    bulk, largest = eigenvalues[: n - beyond], float(eigenvalues[-1])
    D, spread = _ks_distance(bulk, law), _spread(bulk, law)
    num_zeros = len(spectrum.singular_values) - n
    notes = []
    if beyond > n // 2:
        notes.append(f"{beyond} of {n} eigenvalues lie beyond the edge: there is no noise bulk")
    elif beyond > _MOST * n:
        notes.append(f"{beyond} of {n} eigenvalues lie beyond the edge: too many to be told from a bulk without noise")
    elif reason := _not_noise(D, spread, len(bulk), beyond, rf):
        notes.append(f"what is left as the bulk is not noise: {reason}")
    if num_zeros > n:
        notes.append(f"{num_zeros} of {num_zeros + n} eigenvalues are zero: the fit describes the others")
    centre, scale = upper_edge_scaling(N, n / rf, sigma, rf)
    above = float(TracyWidom(1).sf((largest - centre) / scale))
    lower_threshold = lower_threshold_of(rows, columns, level, rf) * sigma**2 / N
    return BulkFit(
        sigma_mp=sigma,
        sigma_error=sigma * relative_error(rows, columns, rf),
        law=law,
        threshold=threshold,
        spikes=eigenvalues[n - beyond :],
        num_spikes_first=first,
        lower_threshold=lower_threshold,
        small_spikes=eigenvalues[eigenvalues < lower_threshold],
        D=D,
        spread=spread,
        mp_softrank=law.upper_edge / largest,
        p_value=-math.expm1(rf * math.log1p(-above)) if above < 1 else 1.0,
        level=level,
        num_zeros=num_zeros,
        note="; ".join(notes),
    )


def _match(roots: Array, Q: float) -> float:
    """sigma by quantiles: on the scale of singular values, where the density stays finite for square matrices too."""
    first, end = (math.floor(p * len(roots) + 0.5) for p in _WINDOW)
    grid, cdf = _singular_value_law(Q)
    q = np.interp((np.arange(first, end) + 0.5) / len(roots), cdf, grid)
    return float(roots[first:end] @ q / (q @ q))


@lru_cache(maxsize=1024)  # the layers of a model share their shapes, and a fit takes a dozen rounds
def _singular_value_law(Q: float) -> tuple[Array, Array]:
    """Singular values of noise and their distribution function, whose inverse is good for sigma to 3e-5.

    That is far below one matrix's luck.
    """
    law = MarchenkoPastur(Q)
    s = np.linspace(np.sqrt(law.lower_edge), np.sqrt(law.upper_edge), _GRID)
    return s, law.cdf(s**2)


def _ks_distance(x: Array, law: MarchenkoPastur) -> float:
    """Largest distance between the empirical distribution of ascending x, on either side of its steps, and the law."""
    i, cdf = np.arange(len(x)), law.cdf(x)
    return float(max(np.max((i + 1) / len(x) - cdf), np.max(cdf - i / len(x))))


def _spread(x: Array, law: MarchenkoPastur) -> float:
    """Sum of the Chebyshev polynomial T_2 over the bulk, minus its mean under the law, -(1 - 1/Q)/2 per eigenvalue."""
    low, high = law.lower_edge, law.upper_edge
    y = np.clip((2 * x - low - high) / (high - low), -1, 1)
    return float(np.sum(2 * y**2 - 1)) + len(x) * (1 - 1 / law.Q) / 2


def _not_noise(D: float, spread: float, n: int, spikes: int, rf: int) -> str:
    """Why n eigenvalues are not the bulk of noise; empty if they may be. Noise passes either bound in 1 % or less."""
    # spikes near the edge deform the bulk: that grows with their number, while the luck of noise does not
    deformed, mean, sd = 0.01 * spikes, rf / 2, math.sqrt(rf)
    most_D = ((1.4 + 0.42 * math.log(n / rf)) * rf**0.6 + deformed) / n  # without spikes the bound of phases.py
    most_spread = mean + 3 * sd + deformed
    reasons = []
    if D > most_D:
        reasons.append(f"D = {D:.2g}, where noise stays below {most_D:.2g}")
    if spread > most_spread:
        reasons.append(f"spread = {spread:.2g}, where noise stays below {most_spread:.2g}")
    return ", ".join(reasons)
