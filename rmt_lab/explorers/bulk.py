"""The spectrum of noise under the Marchenko-Pastur law, and two kinds of noise that break it."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

import numpy as np

from .. import ensembles
from ..ensembles.spectra import gaussian_spectrum
from ..laws.marchenko_pastur import MarchenkoPastur
from ..plotting.spectra import Noise, noise_behind, plot_spectrum
from ..plotting.style import axes
from ..spectrum import Spectrum
from .base import Model, choice, number, switch
from .view import Explorer

if TYPE_CHECKING:
    from matplotlib.figure import Figure

#: What may be chosen for the entries: the ensemble that draws them, and its parameter.
ENTRIES: dict[str, tuple[str, tuple[float, ...]]] = {
    "Gaussian": ("gaussian", ()),
    "uniform": ("uniform", ()),
    "+σ or -σ by a coin": ("rademacher", ()),
    "heavy tails: Student t, μ = 3": ("student_t", (3,)),
    "correlated in rows: AR(1), ρ = 0.5": ("ar1", (0.5,)),
}


class Bulk(NamedTuple):
    """A noise matrix's spectrum, its law, what stands beyond the law, and their distance."""

    spectrum: Spectrum
    law: MarchenkoPastur
    noise: Noise
    D: float


class BulkModel(Model):
    """Noise of N = Q M rows and M columns."""

    entries = choice(list(ENTRIES), "entries of W")
    M = number(400, 20, 800, step=20, label="columns M")
    Q = number(2.0, 1.0, 10.0, step=0.1, label="shape Q = N/M")
    sigma = number(1.0, 0.1, 3.0, step=0.05, label="noise level σ")
    singular_values = switch(False, "singular values of W")

    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "2 : 1": {},
        "square": {"Q": 1.0, "singular_values": True},
        "GPT-2 layer": {"M": 768, "Q": 4.0, "sigma": 0.14},
        "tiny": {"M": 20},
        "heavy tails": {"entries": "heavy tails: Student t, μ = 3"},
        "correlated": {"entries": "correlated in rows: AR(1), ρ = 0.5"},
    }
    swept = "Q"

    @property
    def N(self) -> int:
        """Rows of W."""
        return round(self.Q * self.M)

    def compute(self) -> Bulk:
        """Spectrum and law; sigma only scales a spectrum that was drawn once."""
        unit = _spectrum(self.entries, self.N, self.M, self.seed)
        spectrum = Spectrum(self.sigma * unit.singular_values, self.N, self.M)
        law = MarchenkoPastur(self.N / self.M, self.sigma)
        middle = (np.arange(self.M) + 0.5) / self.M
        D = float(np.abs(law.cdf(spectrum.eigenvalues) - middle).max())
        return Bulk(spectrum, law, noise_behind(spectrum, law, self.singular_values), D)

    def draw(self, fig: Figure) -> Figure:
        """Histogram against the law, with its edges."""
        plot_spectrum(self.result.spectrum, self.result.law, axes(fig), self.singular_values)
        return fig

    def sentence(self) -> str:
        """Where the values lie, and whether the law holds."""
        spectrum, _, noise, D = self.result
        values, noun = spectrum.eigenvalues, "eigenvalues"
        if self.singular_values:
            values, noun = spectrum.singular_values, "singular values"
        low, high = noise.edges
        n = len(noise.spikes)
        return (
            f"The {self.M} {noun} of this {self.N} × {self.M} matrix run from {values[0]:.3g} to {values[-1]:.3g}; the "
            f"law of its noise runs from {low:.3g} to {high:.3g}. {n or 'None'} of them {'is' if n < 2 else 'are'} "
            f"beyond {noise.threshold:.3g}, which noise passes once in 100 matrices. The share of them below any point "
            f"differs from the law's by {D:.1%} at most."
        )

    def code(self) -> str:
        """From the matrix to the picture."""
        name, parameters = ENTRIES[self.entries]
        given = "".join(f"{p:g}, " for p in parameters)
        if name == "gaussian":
            name, spectrum = "gaussian_spectrum", "gaussian_spectrum(N, M, sigma, rng={})"
        else:
            spectrum = f"Spectrum.from_matrix({name}(N, M, {given}sigma, rng={{}}))"
        return (
            f"from rmt_lab import MarchenkoPastur, Spectrum, plot_spectrum\n"
            f"from rmt_lab.ensembles import {name}\n\n"
            f"N, M, sigma = {self.N}, {self.M}, {self.sigma!r}\n"
            f"spectrum = {spectrum.format(self.seed)}\n"
            f"law = MarchenkoPastur(N / M, sigma)\n"
            f"plot_spectrum(spectrum, law, singular_values={self.singular_values})\n"
        )


@lru_cache(maxsize=2)
def _spectrum(entries: str, N: int, M: int, seed: int) -> Spectrum:
    """The spectrum at sigma = 1."""
    name, parameters = ENTRIES[entries]
    if name == "gaussian":  # without the matrix, in a tenth of the time
        return gaussian_spectrum(N, M, rng=seed)
    return Spectrum.from_matrix(getattr(ensembles, name)(N, M, *parameters, rng=seed))


class BulkExplorer(Explorer):
    """The spectrum of pure noise fills a band that depends on its shape and level alone: the Marchenko-Pastur law.

    1. Predict first: what happens to the two edges when sigma doubles? And when Q goes from 2 to 10?
    2. Make the matrix square. Where does the lower edge go, and why do the singular values show it better?
    3. Change the entries from Gaussian to uniform to coins. What changes? Then try heavy tails and correlated rows:
       which of them spoils the edge, and which the whole band?

    Examples
    --------
    >>> explorer = BulkExplorer(Q=4.0)
    >>> explorer
    BulkExplorer(entries='Gaussian', M=400, Q=4.0, sigma=1.0, singular_values=False, seed=0)
    >>> explorer.figure().axes[0].get_title("left")
    'No eigenvalue stands above the noise edge'
    """

    model_class = BulkModel
