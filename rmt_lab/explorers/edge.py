"""How far the largest eigenvalue of noise strays from the edge: the Tracy-Widom law, as the matrix grows."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

import numpy as np

from .._arrays import Array
from ..ensembles.spectra import largest_eigenvalues
from ..laws.tracy_widom import TracyWidom, edge_scaling
from ..plotting.spectra import noise_threshold, plot_largest
from ..plotting.style import axes
from .base import Model, number, switch
from .view import Explorer

if TYPE_CHECKING:
    from matplotlib.figure import Figure


_KS_MEDIAN = 0.83  # of D sqrt(n): the median of Kolmogorov's distribution


class Edge(NamedTuple):
    """Largest eigenvalues, centre and scale of their law, its 1% threshold, and how far the two differ."""

    largest: Array
    mu: float
    s: float
    threshold: float
    D: float


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
    swept = "M"

    @property
    def N(self) -> int:
        """Rows of W."""
        return round(self.Q * self.M)

    def compute(self) -> Edge:
        """Largest eigenvalues, and how they agree with the law."""
        largest, (mu, s) = _largest(self.N, self.M, self.draws, self.seed), edge_scaling(self.N, self.M)
        middle = (np.arange(self.draws) + 0.5) / self.draws
        D = float(np.abs(TracyWidom(1).cdf((np.sort(largest) - mu) / s) - middle).max())
        return Edge(largest, mu, s, noise_threshold(self.N, self.M), D)

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
            "from rmt_lab.ensembles import largest_eigenvalues\n"
            "from rmt_lab.plotting import plot_largest\n\n"
            f"N, M = {self.N}, {self.M}\n"
            f"largest = largest_eigenvalues(N, M, draws={self.draws}, rng={self.seed})\n"
            f"plot_largest(largest, N, M, scaled={self.scaled})\n"
        )


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
