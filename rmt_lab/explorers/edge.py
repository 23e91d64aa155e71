"""How far the largest eigenvalue of noise strays from the edge: the Tracy-Widom law, as the matrix grows."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.linalg import eigvalsh_tridiagonal

from .. import style
from ..ensembles import Rng
from ..marchenko_pastur import MarchenkoPastur
from ..tracy_widom import TracyWidom, edge_scaling
from .base import Model, axes, number, switch
from .view import Explorer

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Array = npt.NDArray[np.float64]

_LEVEL = 0.01  # of the threshold that is drawn, as in fit_bulk
_KS_MEDIAN = 0.83  # of D sqrt(n): the median of Kolmogorov's distribution


class Edge(NamedTuple):
    """Largest eigenvalues, centre and scale of their law, its 1% threshold, and how far the two differ."""

    largest: Array
    mu: float
    s: float
    threshold: float
    D: float


def largest_eigenvalues(N: int, M: int, draws: int, rng: Rng = None) -> Array:
    """Largest eigenvalues of X = W^T W / N for matrices of N x M independent N(0, 1) entries, N >= M.

    The same random numbers, and to rounding the same values, as from ``gaussian_spectrum(N, M, rng=rng)`` called
    ``draws`` times with one generator. The eigenvector of the largest eigenvalue of the tridiagonal B^T B fades within
    some M^(1/3) entries from its corner (Edelman & Persson 2005, "Numerical methods for eigenvalue distributions of
    random matrices"), so the first 10 M^(1/3) rows are enough: 400 matrices of 768 x 768 took 36 ms.

    Examples
    --------
    >>> largest_eigenvalues(200, 100, draws=3, rng=0).round(3)
    array([2.898, 2.785, 2.831])
    """
    rng, k = np.random.default_rng(rng), min(M, int(10 * M ** (1 / 3)))
    largest = np.empty(draws)
    for i in range(draws):
        d, e = rng.chisquare(np.arange(N, N - M, -1)), rng.chisquare(np.arange(M - 1, 0, -1))
        diagonal, beside = d[:k], np.sqrt(d[: k - 1] * e[: k - 1])
        diagonal[1:] += e[: k - 1]
        (largest[i],) = eigvalsh_tridiagonal(diagonal, beside, select="i", select_range=(k - 1, k - 1))
    return largest / N


def plot_largest(largest: Array, N: int, M: int, scaled: bool = False, ax: Axes | None = None) -> Axes:
    """Histogram of largest eigenvalues over the Tracy-Widom law, on their own scale or that of the law.

    On their own scale the axis reaches a fifth of the edge to either side, unless they stray farther: so matrices of
    different sizes can be compared.

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> ax = plot_largest(largest_eigenvalues(200, 100, 500, rng=0), 200, 100, ax=Figure().subplots())
    >>> ax.get_title("left")
    '0.8% of 500 largest eigenvalues pass the 1% threshold'
    """
    ax = style.new_axes(ax)
    (mu, s), edge, threshold = edge_scaling(N, M), MarchenkoPastur(N / M).upper_edge, _threshold(N, M)
    low, high = min(mu - 5 * s, largest.min()), max(mu + 4 * s, largest.max())
    x = np.linspace(low, high, 300)
    if not scaled:
        low, high = min(low, 0.8 * edge), max(high, 1.2 * edge)
    origin, unit = (mu, s) if scaled else (0.0, 1.0)
    values = (largest - origin) / unit
    edges = style.bin_edges(values, values.min(), values.max())
    heights = style.density(values, edges, len(values))
    style.bars(ax, heights, edges, label=f"{len(values)} matrices of noise, {N} × {M}")
    density = TracyWidom(1).pdf((x - mu) / s) * unit / s
    ax.plot((x - origin) / unit, density, color=style.NOISE, linewidth=2.5, label="Tracy-Widom law")
    style.guide(ax, (edge - origin) / unit, f"edge {(edge - origin) / unit:.3g}")
    style.guide(ax, (threshold - origin) / unit, f"1% threshold {(threshold - origin) / unit:.3g}", "right")
    ax.set_xlim((low - origin) / unit, (high - origin) / unit)
    ax.set_ylim(0, 1.4 * max(heights.max(), density.max()))  # room for the labels of the guides
    seen = f"{np.mean(largest > threshold):.1%} of {len(largest)} largest eigenvalues pass the 1% threshold"
    xlabel = "(largest eigenvalue − centre μ) / scale $s$" if scaled else "largest eigenvalue of $W^T W / N$"
    style.finish(ax, seen, xlabel, "density", f"Histogram over the Tracy-Widom law. {seen}.")
    return ax


class EdgeModel(Model):
    """Largest eigenvalues of many N x M noise matrices, N = Q M."""

    M = number(100, 4, 1000, step=0.1, label="columns M", log=True)
    Q = number(2.0, 1.0, 10.0, step=0.1, label="shape Q = N/M")
    draws = number(500, 100, 2000, step=100, label="matrices drawn")
    scaled = switch(False, "in units of Tracy-Widom")

    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "200 × 100": {},
        "8 × 4": {"M": 4},
        "2000 × 1000": {"M": 1000},
        "square": {"Q": 1.0},
        "GPT-2 layer": {"M": 768, "Q": 4.0},
        "scaled": {"scaled": True, "draws": 2000},
    }

    @property
    def N(self) -> int:
        """Rows of W."""
        return round(self.Q * self.M)

    def compute(self) -> Edge:
        """Largest eigenvalues, and how they agree with the law."""
        largest, (mu, s) = _largest(self.N, self.M, self.draws, self.seed), edge_scaling(self.N, self.M)
        middle = (np.arange(self.draws) + 0.5) / self.draws
        D = float(np.abs(TracyWidom(1).cdf((np.sort(largest) - mu) / s) - middle).max())
        return Edge(largest, mu, s, _threshold(self.N, self.M), D)

    def draw(self, fig: Figure) -> Figure:
        """Histogram over the law."""
        plot_largest(self.result.largest, self.N, self.M, self.scaled, axes(fig))
        return fig

    def sentence(self) -> str:
        """Mean and spread beside the law's, and the share beyond the threshold."""
        largest, mu, s, threshold, D = self.result
        mean, spread = TracyWidom(1).mean(), TracyWidom(1).var() ** 0.5
        if self.scaled:
            measured = f"less μ = {mu:.4g} and over s = {s:.2g} is {((largest - mu) / s).mean():.2f}"
            seen = f"{measured} ± {largest.std() / s:.2f}; the law says {mean:.2f} ± {spread:.2f}"
        else:
            seen = f"is {largest.mean():.4g} ± {largest.std():.2g}; the law says {mu + s * mean:.4g} ± {s * spread:.2g}"
        return (
            f"The largest eigenvalue of {self.N} × {self.M} noise {seen}. {np.mean(largest > threshold):.1%} of "
            f"{self.draws} pass the 1% threshold. The histogram and the law are {D:.1%} apart at most, in shares of "
            f"matrices below a point; as many draws from the law itself: about {_KS_MEDIAN / np.sqrt(self.draws):.1%}."
        )

    def code(self) -> str:
        """From the random numbers to the picture."""
        return (
            "from rmt_lab.explorers.edge import largest_eigenvalues, plot_largest\n\n"
            f"N, M = {self.N}, {self.M}\n"
            f"largest = largest_eigenvalues(N, M, draws={self.draws}, rng={self.seed})\n"
            f"plot_largest(largest, N, M, scaled={self.scaled})\n"
        )


def _threshold(N: int, M: int) -> float:
    """What the largest eigenvalue of noise exceeds once in a hundred matrices."""
    mu, s = edge_scaling(N, M)
    return mu + s * float(TracyWidom(1).ppf(1 - _LEVEL))


@lru_cache(maxsize=2)
def _largest(N: int, M: int, draws: int, seed: int) -> Array:
    return largest_eigenvalues(N, M, draws, seed)


class EdgeExplorer(Explorer):
    """The largest eigenvalue of noise does not stop at the edge: it strays by a known law, and less as matrices grow.

    1. Predict first: M goes from 100 to 800, eight times as many columns. By how much does the histogram narrow? (The
       law's scale falls as M^(-2/3).) Check the spreads in the sentence.
    2. What share of pure noise matrices has an eigenvalue beyond the Marchenko-Pastur edge? Is "beyond the edge"
       evidence of a signal, then? And "beyond the threshold"?
    3. Go down to M = 4 in the law's own units. How small may a matrix be before the law misleads?

    Examples
    --------
    >>> explorer = EdgeExplorer(M=50)
    >>> explorer.model.N, len(explorer.model.result.largest)
    (100, 500)
    """

    model_class = EdgeModel
