"""The ERG tail of a spectrum: the largest eigenvalues whose product is one, and how far the power law is from it.

Martin & Hinrichs (2025), arXiv 2507.17912, scale the eigenvalues to mean one and take the largest ones whose product is
one, the "volume-preserving" or trace-log condition of their effective correlation space. A layer is said to be ideal
where this tail and the power law begin at the same place, near alpha = 2.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt
from scipy.special import expit, logit

from .._arrays import Array, as_values
from .._files import shipped_folder
from .._repr import html_table
from ..spectrum import Spectrum, as_spectrum
from .power_law import PowerLawFit, fit_power_law
from .search import log_ratio

FEWEST, MOST = 16, 1024  # eigenvalues: where erg_p has its level; its table was fitted to matrices up to 2048
_ROUNDING = 1e-15  # of each logarithm in a sum: a product of one is not below one


@dataclass(frozen=True, repr=False)
class Erg:
    """Two tails of one spectrum, the power law and the ERG tail; made by :func:`erg`.

    Attributes
    ----------
    num_erg : int
        Eigenvalues in the ERG tail: :func:`count_erg`.
    num_pl_spikes : int
        Eigenvalues in the power law, from its xmin on; values above its xmax (fingers) count, as in ``analyze``.
    num_evals : int
        Non-zero eigenvalues, from which both are counted.
    lambda_erg, lambda_pl : float
        The smallest eigenvalue of either tail, on the scale of the data.
    p_value : float
        How often Gaussian noise of this shape has as small a gap: :func:`erg_p`. NaN where that has no answer, as
        beyond 1024 eigenvalues.
    """

    num_erg: int
    num_pl_spikes: int
    num_evals: int
    lambda_erg: float
    lambda_pl: float
    p_value: float = np.nan

    @property
    def gap(self) -> int:
        """``num_pl_spikes - num_erg``: negative where the power law is the shorter tail, which begins further up.

        WeightWatcher's ``ERG_gap`` has the other sign.
        """
        return self.num_pl_spikes - self.num_erg

    @property
    def gap_share(self) -> float:
        """|gap| / num_evals, between 0 (both tails begin at the same eigenvalue) and 1."""
        return abs(self.gap) / self.num_evals

    def __repr__(self) -> str:
        p = "" if np.isnan(self.p_value) else f", p_value={self.p_value:.3g}"
        return (
            f"Erg(num_erg={self.num_erg}, num_pl_spikes={self.num_pl_spikes} of {self.num_evals}, "
            f"gap={self.gap}, gap_share={self.gap_share:.3f}{p})"
        )

    def _repr_html_(self) -> str:
        rows = {
            "ERG tail": f"{self.num_erg} of {self.num_evals} eigenvalues, from {self.lambda_erg:.4g} on",
            "power law": f"{self.num_pl_spikes} eigenvalues, from {self.lambda_pl:.4g} on",
            "gap": f"{self.gap}, {self.gap_share:.1%} of all",
            "noise has as small a gap": "no answer" if np.isnan(self.p_value) else f"{self.p_value:.3g}",
        }
        return html_table("ERG tail", rows)


def count_erg(x: npt.ArrayLike) -> int:
    """How many of the largest values it takes until their product falls below one, the values being scaled to mean one.

    With x_1 >= x_2 >= ... >= x_n > 0 and mean m,

        num_erg = the smallest k with ln(x_1/m) + ... + ln(x_k/m) < 0.

    The sum rises as long as the values are above their mean and falls afterwards, so it changes its sign once. Where it
    never does, num_erg = n; by the inequality of the means that needs n equal values. The value that takes the product
    below one is counted, as WeightWatcher's ``detX_num`` does. Logarithms are summed, so that no product leaves the
    range of a float. WeightWatcher multiplies: in square Gaussian matrices its product is lost from about 3000
    eigenvalues on, while at Q = 4 it is still right at 4000.

    Parameters
    ----------
    x : array_like of shape (n,)
        Positive values in any order and unit. Of a matrix of low rank, the non-zero eigenvalues alone: a zero would end
        the product at once, and columns of zeros, which change nothing else, would change the mean.

    Raises
    ------
    ValueError
        If x has more than one dimension, is empty, or holds values that are not positive and finite.

    References
    ----------
    Martin & Hinrichs (2025), arXiv 2507.17912, on the trace-log condition.

    Examples
    --------
    Of mean one: 2.5 times 0.4 is one, and the third value takes the product below it. The unit plays no part.

    >>> count_erg([2.5, 0.4, 0.1]), count_erg([250, 40, 10])
    (3, 3)

    Noise has a long ERG tail:

    >>> W = np.random.default_rng(0).normal(size=(2000, 1000))
    >>> count_erg(np.linalg.eigvalsh(W.T @ W))
    815
    """
    x = as_values(x)
    if not len(x):
        raise ValueError("x has no value; at least one positive value is needed")
    top = x[::-1] / x[-1]
    sums = np.cumsum(log_ratio(top, top.mean()))
    below = np.flatnonzero(sums < -len(x) * _ROUNDING)
    return int(below[0]) + 1 if len(below) else len(x)


def erg(spectrum: Spectrum, fit: PowerLawFit | None = None) -> Erg:
    """The ERG tail of a layer beside its power law, and how often noise has as small a gap between the two.

    Parameters
    ----------
    spectrum : Spectrum
        Both tails are taken from its non-zero eigenvalues; :func:`count_erg` says why.
    fit : PowerLawFit, optional
        To these eigenvalues. Default: :func:`rmt_lab.fit_power_law`. The ``p_value`` is right for this default alone,
        since noise was fitted so: with another search or without fingers, noise has longer tails.

    Raises
    ------
    ValueError
        If not all eigenvalues are exact (``method="top"``), they are equal, so that there is no power law, or the fit
        is to other values. A fit to all up to an xmax is one to these.
    TypeError
        If spectrum is no Spectrum.

    References
    ----------
    Martin & Hinrichs (2025), arXiv 2507.17912.

    Examples
    --------
    >>> from rmt_lab import atlas
    >>> erg(atlas.load("minilm")["block 3 query"].spectrum)
    Erg(num_erg=237, num_pl_spikes=65 of 384, gap=-172, gap_share=0.448, p_value=0.002)
    """
    x = as_spectrum(spectrum).nonzero_eigenvalues
    if spectrum.num_exact is not None:
        raise ValueError(f"spectrum has {spectrum.num_exact} exact eigenvalues; the ERG tail needs all: method='gram'")
    if fit is None:
        fit = fit_power_law(x)
    elif len(fit.x) > len(x) or not np.allclose(x[: len(fit.x)], fit.x, rtol=1e-9, atol=0):
        raise ValueError(
            f"fit is to {len(fit.x)} values from {fit.x[0]:.4g} to xmax={fit.xmax:.4g}; allowed is one to the non-zero "
            f"eigenvalues of spectrum, {spectrum!r}, or to all of them up to an xmax"
        )
    k, n = count_erg(x), int(np.count_nonzero(x >= fit.xmin))
    return Erg(k, n, len(x), float(x[-k]), fit.xmin, erg_p(n - k, spectrum))


def erg_p(gap: int, spectrum: Spectrum) -> float:
    """How often Gaussian noise of the shape of a spectrum has a gap between its two tails that is as small.

        p = the share of Gaussian matrices y with |gap(y)| <= |gap|,

    their power law being fitted by the same search. A small p says that the tails lie closer together than in noise. It
    does not say that they lie closer together than in *any* spectrum with a power law as long: since the ERG tail of
    noise holds 73 % of all eigenvalues or more (Q >= 1) and its power law a few dozens, every long power law has a
    small p. docs/erg.md has that other comparison.

    From a table, fitted to 51 500 spectra of 40 shapes (``scripts/make_erg_table.py``), between 0.002 and 0.998; beyond
    it says just that. The shape is N x the number of non-zero eigenvalues. These shapes have 16 to 2048 eigenvalues;
    for square noise of 2048 the level is not kept (at most 0.05 in 21 of 200 draws), so that the answers end at 1024.

    Parameters
    ----------
    gap : int
        ``Erg.gap``; its sign plays no part.
    spectrum : Spectrum
        Says the shape.

    Returns
    -------
    float
        NaN for the pooled slices of a kernel, and for fewer than 16 or more than 1024 eigenvalues.

    Examples
    --------
    >>> from rmt_lab.ensembles.spectra import gaussian_spectrum
    >>> noise = gaussian_spectrum(1536, 576, rng=0)
    >>> [round(erg_p(gap, noise), 3) for gap in (-300, -400, -450, -480)]
    [0.002, 0.126, 0.616, 0.998]
    """
    N, M = spectrum.N, spectrum.rank
    if spectrum.rf > 1 or not FEWEST <= M <= MOST:
        return float("nan")
    table = _table()
    of_share, of_reach = noise_terms(N, M)
    reach = M * float(of_share @ table["share"]) - abs(gap)
    quantiles = np.maximum.accumulate(of_reach @ table["quantiles"])
    # noise with a reach of at least this; a count stands for the interval of 1 around it
    z = np.interp(np.log(max(reach - 0.5, 0.5)), quantiles, logit(table["levels"]))
    return float(expit(-z))


def noise_terms(N: int, M: int) -> tuple[Array, Array]:
    """What the table of ``erg_p`` multiplies with its coefficients: for the share of the ERG tail, for the reach."""
    L, r = np.log(M / 100), np.sqrt(M / N)
    return np.array([1 / M, *(r**i for i in range(6))]), np.array([1, L, L**2, L**3, r, r * r, L * r])


@cache
def _table() -> dict[str, Array]:
    with shipped_folder("erg.npz").open("rb") as file, np.load(file) as table:
        return dict(table)
