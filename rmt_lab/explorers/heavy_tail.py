"""Noise whose entries have heavy tails: from a Marchenko-Pastur bulk to a spectrum that is nothing but tail."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

import numpy as np

from ..ensembles.matrices import pareto
from ..laws.marchenko_pastur import MarchenkoPastur
from ..plotting.spectra import HEAVY_TAIL_SIZE, plot_heavy_tail
from ..spectrum import Spectrum
from ..tails.power_law import PowerLawFit, fit_power_law
from .base import Model, number
from .view import Explorer

if TYPE_CHECKING:
    from matplotlib.figure import Figure


_LIGHT = 4.0  # from this tail index on the largest eigenvalue of a large matrix stays at the edge


class HeavyTail(NamedTuple):
    """The spectrum of entries with variance 1, the power law fitted to it, and the edge of noise with this variance."""

    spectrum: Spectrum
    fit: PowerLawFit
    edge: float


class HeavyTailModel(Model):
    """Symmetric Pareto entries of tail index mu, scaled to variance 1; N = Q M rows."""

    mu = number(1.5, 0.8, 6.0, step=0.1, label="tail index μ")
    M = number(300, 20, 500, step=20, label="columns M")
    Q = number(2.0, 1.0, 10.0, step=0.1, label="shape Q = N/M")

    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "heavy, μ = 1.5": {},
        "Cauchy, μ = 1": {"mu": 1.0},
        "no variance, μ = 2": {"mu": 2.0},
        "variance, μ = 3": {"mu": 3.0},
        "light, μ = 6": {"mu": 6.0},
        "square": {"Q": 1.0},
    }
    swept = "mu"
    figsize = HEAVY_TAIL_SIZE

    @property
    def N(self) -> int:
        """Rows of W."""
        return round(self.Q * self.M)

    def compute(self) -> HeavyTail:
        """Spectrum and fit. The seed fixes uniform numbers, which mu raises to the power -1/mu."""
        spectrum = _spectrum(self.N, self.M, self.mu, self.seed)
        edge = MarchenkoPastur(spectrum.Q).upper_edge
        return HeavyTail(spectrum, fit_power_law(spectrum.nonzero_eigenvalues), edge)

    def draw(self, fig: Figure) -> Figure:
        """Bulk and tail."""
        spectrum, fit, _ = self.result
        return plot_heavy_tail(spectrum, fit, self.mu, fig)

    def sentence(self) -> str:
        """How much of the variance the tail holds, and alpha beside the theory's."""
        spectrum, fit, edge = self.result
        x = spectrum.eigenvalues
        seen = f"{self.N} × {self.M} entries of tail index {self.mu:.3g}: the largest eigenvalue is {x[-1]:.3g}, "
        seen += f"where noise of the same variance ends at {edge:.3g}. "
        if n := int(np.sum(x > edge)):
            share = x[-n:].sum() / x.sum()
            seen += f"Beyond that lie{'s' * (n == 1)} {n} of {self.M}, with {share:.0%} of the variance. "
        seen += f"The power law fits α = {fit.alpha:.2f} ± {fit.sigma:.2f} to the largest {fit.n_tail}; "
        if self.mu < _LIGHT:
            return f"{seen}theory, for endless matrices, has α = μ/2 + 1 = {self.mu / 2 + 1:.2f}."
        return f"{seen}theory has no such tail from μ = 4 on."

    def code(self) -> str:
        """From the entries to the picture."""
        return (
            "from rmt_lab import Spectrum, fit_power_law\n"
            "from rmt_lab.ensembles import pareto\n"
            "from rmt_lab.plotting import plot_heavy_tail\n\n"
            f"N, M, mu = {self.N}, {self.M}, {self.mu!r}\n"
            f"W = pareto(N, M, mu, rng={self.seed})\n"
            "spectrum = Spectrum.from_matrix(W / W.std())\n"
            "fit = fit_power_law(spectrum.nonzero_eigenvalues)\n"
            "plot_heavy_tail(spectrum, fit, mu)\n"
        )


@lru_cache(maxsize=2)
def _spectrum(N: int, M: int, mu: float, seed: int) -> Spectrum:
    W = pareto(N, M, mu, rng=seed)
    return Spectrum.from_matrix(W / W.std())


class HeavyTailExplorer(Explorer):
    """Independent entries can fill a spectrum with a power-law tail: no training, no correlation, only huge entries.

    1. Predict first: lower μ from 6 to 1. Where does the bulk go? How much of the variance do a few eigenvalues hold?
    2. Down from which μ is the fitted α that of the theory, μ/2 + 1? Does a larger matrix help at μ = 3?
    3. At μ = 6 the spectrum is Marchenko-Pastur noise, and yet the fit gives an α. On how many eigenvalues, and would
       another sample give the same?

    Examples
    --------
    >>> explorer = HeavyTailExplorer(mu=1.0)
    >>> round(explorer.model.result.fit.alpha, 2)
    1.46
    """

    model_class = HeavyTailModel
