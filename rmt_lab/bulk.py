"""The noise in a real layer: its level, its edge, and the eigenvalues beyond it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache

import numpy as np

from ._arrays import Array
from ._repr import html_table
from .laws.marchenko_pastur import MarchenkoPastur
from .laws.tracy_widom import TracyWidom, edge_scaling, largest_eigenvalue_p_value
from .spectrum import Spectrum

_WINDOW = (0.2, 0.8)  # the part of the bulk that sigma is matched on, as probabilities
_FEWEST = 4  # eigenvalues
_GRID = 64  # points on which the law's distribution function is inverted


@dataclass(frozen=True, eq=False, repr=False)
class BulkFit:
    """A Marchenko-Pastur bulk and its spikes, as :func:`fit_bulk` finds them; eigenvalues of X = W^T W / N throughout.

    Attributes
    ----------
    sigma_mp : float
        Standard deviation of the noise in the entries of W: without spikes the edge is sigma_mp^2 (1 + 1/sqrt(Q))^2.
    law : MarchenkoPastur
        Of the bulk. k spikes take k rows and k columns of noise with them and leave the spectrum of (N-k) x (M-k)
        noise, so law.Q = (N-k)/(M-k) and law.sigma^2 = sigma_mp^2 (N-k)/N. For k = 0 these are Q and sigma_mp.
    threshold : float
        The upper edge plus the Tracy-Widom allowance: noise alone exceeds it with probability ``level``.
    spikes : array
        The eigenvalues beyond the threshold, ascending.
    D : float
        Kolmogorov-Smirnov distance between the eigenvalues up to the threshold and the law: about 1 / (their number)
        for noise, far more for a spectrum that has no Marchenko-Pastur bulk.
    mp_softrank : float
        Upper edge over largest eigenvalue (Martin & Mahoney 2021): about 1 for noise, small under a strong spike.
    p_value : float
        Of the largest eigenvalue, under noise of standard deviation sigma_mp.
    level : float
        As given.
    num_zeros : int
        Zero eigenvalues, which the fit leaves out.
    note : str
        What to be wary of; empty if nothing.
    """

    sigma_mp: float
    law: MarchenkoPastur
    threshold: float
    spikes: Array
    D: float
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

    def __repr__(self) -> str:
        note = f", note={self.note!r}" if self.note else ""
        return (
            f"BulkFit(sigma_mp={self.sigma_mp:.4g}, upper_edge={self.upper_edge:.4g}, threshold={self.threshold:.4g}, "
            f"num_spikes={self.num_spikes}, D={self.D:.2g}{note})"
        )

    def _repr_html_(self) -> str:
        rows = {
            "noise level sigma_mp": f"{self.sigma_mp:.4g}",
            "bulk": f"{self.lower_edge:.4g} .. {self.upper_edge:.4g}",
            f"threshold (level {self.level:g})": f"{self.threshold:.4g}",
            "spikes beyond it": f"{self.num_spikes}",
            "p-value of the largest": f"{self.p_value:.2g}",
            "MP soft rank": f"{self.mp_softrank:.3g}",
            "D, bulk against law": f"{self.D:.2g}",
        }
        return html_table("Marchenko-Pastur bulk", rows | ({"note": self.note} if self.note else {}))


def fit_bulk(spectrum: Spectrum, level: float = 0.01) -> BulkFit:
    """Fits the noise bulk of a spectrum and counts the spikes beyond it.

    sigma is the slope that matches the singular values of the bulk to the quantiles of the Marchenko-Pastur law, by
    least squares over its central part: sigma = sum s_i q_i / sum q_i^2, probabilities 0.2 to 0.8. The largest
    eigenvalues play no part. The k eigenvalues beyond the threshold are then taken out, and the rest matched to the
    law of (N-k) x (M-k) noise, until k stays. The threshold is mu + s F1^-1(1 - level), mu and s Johnstone's centre and
    scale of the largest of (N-k) x (M-k) noise; for a convolution kernel, whose spectra of rf slices are pooled, F1^rf
    stands for F1 and k/rf for k.

    Measured on Gaussian noise (docs/nulls.md): sigma within 0.1 % at 3072 x 768 and 1 % at 128 x 64; a spike is found
    in 1 % of matrices, and one 35 % above its detection threshold in 98 % or more from 384 x 384 on, in 94 % at 576 x
    192, and in 61 % at 128 x 64, where the limit is in the matrix: who knows sigma finds 65 %. Spikes that make up a
    tenth of the spectrum lower sigma by up to 1 %: those near the edge push the bulk down.

    A spectrum without such a bulk (heavy tails, correlated rows) still gets finite figures; D and ``note`` tell. Zero
    eigenvalues are left out, and what remains is fitted as N x rank noise, as if that many columns of W were empty.

    Sources: Johnstone (2001), Ann. Statist. 29, 295; Kritchman & Nadler (2009), IEEE Trans. Signal Process. 57, 3930.

    Parameters
    ----------
    spectrum : Spectrum
    level : float, default 0.01
        Probability of a false spike in pure noise, between 0 and 1.

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
    """
    if not 0 < level < 1:
        raise ValueError(f"level={level!r}; a probability between 0 and 1 is allowed")
    eigenvalues, N, rf = spectrum.nonzero_eigenvalues, spectrum.N, spectrum.rf
    n = len(eigenvalues)
    if n < _FEWEST * rf:
        raise ValueError(f"spectrum has {n} eigenvalues above zero; a bulk needs at least {_FEWEST * rf}")
    allowance = _allowance(level, rf)
    k = 0
    while True:
        rows, columns = N - k / rf, (n - k) / rf  # of the noise that k spikes leave
        sigma = _match(eigenvalues[: n - k], MarchenkoPastur(rows / columns, math.sqrt(rows / N)))
        law = MarchenkoPastur(rows / columns, sigma * math.sqrt(rows / N))
        centre, scale = edge_scaling(rows, columns, law.sigma)
        threshold = centre + scale * allowance
        beyond = int(np.count_nonzero(eigenvalues > threshold))
        if beyond <= k or beyond > n // 2:
            break
        k = beyond
    num_zeros = len(spectrum.singular_values) - n
    notes = []
    if beyond > n // 2:
        notes.append(f"{beyond} of {n} eigenvalues lie beyond the edge: there is no noise bulk")
    if num_zeros > n:
        notes.append(f"{num_zeros} of {num_zeros + n} eigenvalues are zero: the fit describes the others")
    largest = float(eigenvalues[-1])
    return BulkFit(
        sigma_mp=sigma,
        law=law,
        threshold=threshold,
        spikes=eigenvalues[n - beyond :],
        D=_ks_distance(eigenvalues[: n - beyond], law),
        mp_softrank=law.upper_edge / largest,
        p_value=float(largest_eigenvalue_p_value(largest, N, n / rf, sigma, rf)),
        level=level,
        num_zeros=num_zeros,
        note="; ".join(notes),
    )


@cache
def _allowance(level: float, rf: int) -> float:
    """What the largest of rf noise edges exceeds with probability level, in units of Tracy-Widom."""
    return float(TracyWidom(1).ppf((1 - level) ** (1 / rf)))


def _match(bulk: Array, unit: MarchenkoPastur) -> float:
    """sigma by quantiles: on the scale of singular values, where the density stays finite for square matrices too."""
    p = (np.arange(len(bulk)) + 0.5) / len(bulk)
    central = (_WINDOW[0] < p) & (p < _WINDOW[1])
    # the law's quantiles by interpolation, good for sigma to 3e-5, far below one matrix's luck: this runs every round
    q = np.linspace(np.sqrt(unit.lower_edge), np.sqrt(unit.upper_edge), _GRID)
    q = np.interp(p[central], unit.cdf(q**2), q)
    return float(np.sqrt(bulk[central]) @ q / (q @ q))


def _ks_distance(x: Array, law: MarchenkoPastur) -> float:
    """Largest distance between the empirical distribution of ascending x, on either side of its steps, and the law."""
    i, cdf = np.arange(len(x)), law.cdf(x)
    return float(max(np.max((i + 1) / len(x) - cdf), np.max(cdf - i / len(x))))
