"""The noise that a histogram of a spectrum is drawn over, and what stands beyond it."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from .bulk import BulkFit, fit_bulk
from .marchenko_pastur import Array, MarchenkoPastur
from .spectrum import Spectrum
from .tracy_widom import TracyWidom, edge_scaling

Null = Spectrum | BulkFit | MarchenkoPastur


class Noise(NamedTuple):
    """Noise on the scale on which it is drawn: its density at x, its edges, and the measured values beyond it."""

    x: Array
    density: Array
    edges: tuple[float, float]
    threshold: float
    spikes: Array
    sigma: float


def values_above_zero(spectrum: Spectrum, singular_values: bool) -> Array:
    """Eigenvalues of X = W^T W / N, or singular values of W, ascending."""
    if singular_values:
        return spectrum.singular_values[len(spectrum.singular_values) - spectrum.rank :]
    return spectrum.nonzero_eigenvalues


def noise_behind(spectrum: Spectrum, null: Null, singular_values: bool) -> Noise:
    """The noise of a bulk fit, of a law, or of another spectrum, whose values stand in for x (without a density).

    The law of a fit has the area of the eigenvalues in the bulk. Spikes are those of the fit; for a law or a spectrum
    they are what exceeds it and the Tracy-Widom allowance at the level 0.01.
    """
    if isinstance(null, Spectrum):
        x = values_above_zero(null, singular_values)
        density, sigma = np.zeros(len(x)), null.entry_std
        edges = (float(x[0]), float(x[-1])) if len(x) else (0.0, 0.0)
        threshold = max(float(null.eigenvalues[-1]), _largest_noise(spectrum, sigma))
    else:
        law = null.law if isinstance(null, BulkFit) else null
        drawn: Any = law.singular_values(spectrum.N) if singular_values else law
        edges, sigma = drawn.support(), law.sigma
        # close together where the law is steep; not at 0 itself, where it may be infinite
        x = edges[0] + (edges[1] - edges[0]) * (1 - np.cos(np.linspace(0.001, np.pi, 400))) / 2
        density = drawn.pdf(x)
        if isinstance(null, BulkFit):
            density *= (spectrum.rank - null.num_spikes) / len(spectrum.singular_values)
            threshold = null.threshold
        else:
            threshold = max(law.upper_edge, _largest_noise(spectrum, sigma))
    threshold = float(np.sqrt(spectrum.N * threshold)) if singular_values else threshold
    values = values_above_zero(spectrum, singular_values)
    return Noise(x, density, edges, threshold, values[values > threshold], sigma)


def fitted_noise(spectrum: Spectrum, singular_values: bool) -> Noise | None:
    """The noise of ``fit_bulk``; None where there are too few eigenvalues for that."""
    try:
        return noise_behind(spectrum, fit_bulk(spectrum), singular_values)
    except ValueError:
        return None


def _largest_noise(spectrum: Spectrum, sigma: float) -> float:
    """What the largest eigenvalue of noise of this shape exceeds once in a hundred times."""
    if spectrum.N < 2:
        return 0.0
    centre, scale = edge_scaling(spectrum.N, spectrum.M, sigma)
    return centre + scale * float(TracyWidom(1).ppf(0.99 ** (1 / spectrum.rf)))
