"""Null models of a layer, and the picture of its spectrum over one of them."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from .. import style
from ..backdrop import values_above_zero
from ..ensembles import Rng, student_t
from ..gaussian_spectra import gaussian_spectrum
from ..power_law import Array, PowerLawFit, fit_power_law
from ..spectrum import Spectrum
from ..style import MEASURED, NOISE

if TYPE_CHECKING:
    from matplotlib.axes import Axes

VIEWS = ("singular values of W", "eigenvalues", "tail of the eigenvalues")

#: The nulls, and in the words of the title what the values stand above.
NULLS = {
    "shuffled entries": "its shuffled entries",
    "Gaussian": "Gaussian noise",
    "initialisation": "its initialisation",
    "heavy-tailed, μ = 4": "heavy-tailed noise, μ = 4",
    "heavy-tailed, μ = 3": "heavy-tailed noise, μ = 3",
    "heavy-tailed, μ = 2": "heavy-tailed noise, μ = 2",
}
MU = {null: float(null[-1]) if "μ" in null else math.inf for null in NULLS}
MOST_ENTRIES = 4e6  # of a heavy-tailed matrix, which is made in full: seconds and hundreds of MB beyond


def matched_noise(spectrum: Spectrum, mu: float = math.inf, rng: Rng = None) -> Spectrum:
    """The spectrum of noise with the shape and the Frobenius norm of a layer: Gaussian, or Student t of tail index mu.

    Raises
    ------
    ValueError
        If mu is below 0.2.

    Examples
    --------
    >>> from rmt_lab import atlas
    >>> layer = atlas.load("minilm")["block 3 query"].spectrum
    >>> noise = matched_noise(layer, mu=3, rng=0)
    >>> noise.N, noise.M, bool(np.isclose(noise.norm, layer.norm))
    (384, 384, True)
    """
    return scaled_to(_noise(spectrum.N, spectrum.M, spectrum.rf, mu, np.random.default_rng(rng)), spectrum)


def _noise(N: int, M: int, rf: int, mu: float, rng: np.random.Generator) -> Array:
    """Singular values of rf pooled slices of noise."""
    if mu == math.inf:
        slices = [gaussian_spectrum(N, M, rng=rng) for _ in range(rf)]
    else:
        slices = [Spectrum.from_matrix(student_t(N, M, mu, rng=rng)) for _ in range(rf)]
    return np.concatenate([s.singular_values for s in slices])


@lru_cache(maxsize=16)
def noise_of_seed(N: int, M: int, rf: int, mu: float, seed: int) -> Array:
    """Drawn once for all layers of a shape."""
    return _noise(N, M, rf, mu, np.random.default_rng(seed))


def scaled_to(values: Array, spectrum: Spectrum) -> Spectrum:
    """Singular values brought to the Frobenius norm of a spectrum."""
    values = values * math.sqrt(spectrum.norm / float(values @ values))
    return Spectrum(values, spectrum.N, spectrum.M, spectrum.rf, spectrum.name)


def plot_against(
    spectrum: Spectrum, null: Spectrum, view: str = VIEWS[0], what: str = "its null", ax: Axes | None = None
) -> Axes:
    """The spectrum of a layer over that of a null model: both histograms, or both tails with the layer's power law.

    Parameters
    ----------
    spectrum, null : Spectrum
    view : {"singular values of W", "eigenvalues", "tail of the eigenvalues"}
    what : str
        The null, in the words of the title.
    ax : Axes, optional

    Raises
    ------
    ValueError
        If the view is not known.

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> from rmt_lab import atlas
    >>> layer = atlas.load("minilm")["block 3 query"]
    >>> plot_against(layer.spectrum, layer.shuffled, ax=Figure().subplots()).get_title("left")
    '25 of 384 singular values exceed its null'
    """
    if view not in VIEWS:
        raise ValueError(f"view={view!r}; allowed are {', '.join(map(repr, VIEWS))}")
    ax = style.new_axes(ax)
    noun, values, noise = values_seen(spectrum, null, view)
    (_plot_tails if view == VIEWS[2] else _plot_histograms)(ax, values, noise, what)
    above = int(np.count_nonzero(values > noise.max(initial=0.0)))
    seen = f"{above or 'none'} of {len(values)} {noun}s exceed{'s' * (above < 2)} {what}"
    symbol, name = ("s", spectrum.name or "W") if view == VIEWS[0] else ("λ", spectrum.name or "$W^T W / N$")
    ylabel = f"fraction of {noun}s ≥ λ" if view == VIEWS[2] else "density"
    description = f"The {len(values)} {noun}s of {spectrum.name or 'a matrix'} and those of {what}. "
    style.finish(ax, style.sentence("", seen), f"{noun} ${symbol}$ of {name}", ylabel, description + seen + ".")
    return ax


def values_seen(spectrum: Spectrum, null: Spectrum, view: str) -> tuple[str, Array, Array]:
    """What a view shows, by its name, of a layer and of its null: ascending values above zero."""
    singular = view == VIEWS[0]
    noun = "singular value" if singular else "eigenvalue"
    return noun, values_above_zero(spectrum, singular), values_above_zero(null, singular)


def _plot_histograms(ax: Axes, values: Array, noise: Array, what: str) -> None:
    pooled = np.concatenate([values, noise])
    high = 1.1 * max((float(np.quantile(v, 0.99)) for v in (values, noise) if len(v)), default=0.0)
    edges = style.bin_edges(values, min(float(pooled.min(initial=np.inf)), high), high)
    heights, null = (style.density(v, edges, max(len(v), 1)) for v in (values, noise))
    style.bars(ax, heights, edges, "this layer")
    ax.stairs(null, edges, color=NOISE, linestyle="--", linewidth=2, label=what, zorder=3)
    for v, y, color in ((values, 0.6, MEASURED), (noise, 0.5, NOISE)):
        if out := np.count_nonzero(v > edges[-1]):
            ax.text(0.995, y, f"{out} more, up to {v[-1]:.3g} →", transform=ax.transAxes, ha="right", color=color,
                    fontsize=style.SMALL)  # fmt: skip
    ax.set(xscale="linear", yscale="linear", xlim=(edges[0], edges[-1]))
    ax.set_ylim(0, 1.1 * min(max(heights.max(), null.max()), 4 * heights.max()) or 1)


def _plot_tails(ax: Axes, values: Array, noise: Array, what: str) -> None:
    n = len(values)
    ax.plot(values, 1 - np.arange(n) / n, ".", color=MEASURED, markersize=7, label="this layer")
    ax.plot(noise, 1 - np.arange(len(noise)) / len(noise), "--", color=NOISE, linewidth=2.2, label=what)
    if fit := _fit(values):
        ends = np.array([fit.xmin, fit.xmax])
        label = f"α = {fit.alpha:.2f} ± {fit.sigma:.2f}"
        ax.plot(ends, fit.n_tail / n * fit.sf(ends), color=style.FIT, linewidth=3, label=label, zorder=3)
    both = np.concatenate([values, noise])
    right = 1.2 * both.max(initial=np.finfo(float).tiny)
    left = min(np.median(values) / 10 if n else right, right) / 1.2
    ax.set(xscale="log", yscale="log", xlim=(left, right), ylim=(0.5 / max(n, 1), 1.6))
    style.plain_log_ticks(ax.xaxis)
    style.plain_log_ticks(ax.yaxis)


def _fit(values: Array) -> PowerLawFit | None:
    return fit_power_law(values) if len(values) > 1 and values[0] < values[-1] else None
