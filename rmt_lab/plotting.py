"""The pictures: every function takes an Axes, draws what was measured against what it is compared with, and returns it.

Blue is measured, red is noise, orange the power law, violet spikes and fingers, grey guides. Titles say what is seen;
:func:`describe` gives the same in words, for readers who do not see the picture. Without an Axes a function opens a
pyplot figure of its own, which a notebook shows.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from matplotlib.ticker import NullLocator

from . import style
from .backdrop import Noise, fitted_noise, noise_behind, values_above_zero
from .bulk import BulkFit
from .finger_plots import plot_fingers
from .fingers import FingerFit
from .marchenko_pastur import MarchenkoPastur
from .model_plots import plot_alphas, plot_layer_grid
from .power_law import PowerLawFit, fit_power_law
from .spectrum import Spectrum
from .style import FIT, MEASURED, NOISE, OUTLIER, SMALL, Array, count, describe, sentence

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["describe", "plot_alphas", "plot_fingers", "plot_layer_grid", "plot_scan", "plot_spectrum", "plot_tail"]

_NO_POWER_LAW = 1.3  # D sqrt(n_tail) of true power laws is below it 99 times in 100, even with xmin given


def plot_spectrum(
    spectrum: Spectrum,
    bulk: BulkFit | MarchenkoPastur | None = None,
    ax: Axes | None = None,
    singular_values: bool = False,
) -> Axes:
    """Histogram of a spectrum over the Marchenko-Pastur law of its noise, with the spikes beyond the edge.

    Bars have the area of the eigenvalues they stand for: all above zero make up rank/M, and what lies far out is
    counted at the margin instead. The law of a fitted bulk has the area of the bulk. Bins are Freedman & Diaconis'.

    Parameters
    ----------
    spectrum : Spectrum
    bulk : BulkFit or MarchenkoPastur, optional
        The noise to compare with; default ``fit_bulk(spectrum)``, and no law where that is impossible. Spikes are those
        of the fit, or what exceeds the given law by more than its Tracy-Widom allowance at the level 0.01.
    ax : Axes, optional
    singular_values : bool
        Draw singular values of W instead of eigenvalues of W^T W / N; the better view of square matrices.

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> from rmt_lab.gaussian_spectra import gaussian_spectrum
    >>> plot_spectrum(gaussian_spectrum(800, 400, rng=0), ax=Figure().subplots()).get_title("left")
    'No eigenvalue stands above the noise edge'
    """
    ax = style.new_axes(ax)
    total, noun = len(spectrum.singular_values), "singular value" if singular_values else "eigenvalue"
    values = values_above_zero(spectrum, singular_values)
    noise = noise_behind(spectrum, bulk, singular_values) if bulk else fitted_noise(spectrum, singular_values)
    low, high = noise.edges if noise else np.quantile(values, [0.05, 0.95]) if len(values) else (0.0, 1.0)
    low, high = style.view(values, low, high) if len(values) else (low, high)
    edges = style.bin_edges(values[(low <= values) & (values <= high)], low, high)
    heights = style.density(values, edges, total)
    style.bars(ax, heights, edges, label=count(len(values), noun))
    top, pad = heights.max(), 0.06 * (edges[-1] - edges[0])
    seen = f"{count(len(values), noun)} above zero, and no noise law to compare with"
    if noise:
        ax.plot(
            noise.x, noise.density, color=NOISE, linewidth=2.5, label=f"Marchenko-Pastur noise, σ = {noise.sigma:.3g}"
        )
        top = max(top, min(noise.density.max(), 1.5 * top))  # the law of a square matrix is infinite at 0
        for edge in filter(None, noise.edges):
            style.guide(ax, edge, f"edge {edge:.3g}")
        style.guide(ax, noise.threshold, f"threshold {noise.threshold:.3g}", "right")
        if len(noise.spikes):
            style.outliers(ax, noise.spikes, count(len(noise.spikes), "spike"))
        seen = _above(noise, total, noun)
        if 2 * len(noise.spikes) > total and not isinstance(bulk, MarchenkoPastur):
            seen += ": there is no noise bulk"
    if out := np.count_nonzero(values > edges[-1]):
        style.beyond(ax, f"{out} more, up to {values[-1]:.3g}")
    if zeros := total - len(values):
        seen += f"; {zeros} of {total} are zero"
    ax.set_xlim(edges[0] - pad, edges[-1] + pad)
    ax.set_ylim(0, 1.12 * top or 1)
    description = f"Histogram of the {count(len(values), noun)} of {spectrum.name or 'a matrix'} above zero"
    description += f", from {values[0]:.3g} to {values[-1]:.3g}" if len(values) else ""
    description += f", over Marchenko-Pastur noise from {noise.edges[0]:.3g} to {noise.edges[1]:.3g}" if noise else ""
    xlabel = style.SINGULAR_VALUE if singular_values else style.EIGENVALUE
    style.finish(ax, sentence(spectrum.name, seen), xlabel, "density", f"{description}. {sentence('', seen)}.")
    return ax


def _above(noise: Noise, total: int, noun: str) -> str:
    """How many values stand above the noise, in words."""
    n = len(noise.spikes)
    if n == 0:
        return f"no {noun} stands above the noise edge"
    if n <= 10:
        return f"{count(n, 'spike')} stand{'s' * (n == 1)} above the noise edge"
    return f"{n} of {total} {noun}s stand above the noise edge"


def plot_tail(
    spectrum: Spectrum | npt.ArrayLike, fit: PowerLawFit | FingerFit | None = None, ax: Axes | None = None
) -> Axes:
    """The tail of a spectrum on logarithmic axes: the fraction of values at or above x, and the power law over it.

    A power law with density ~ x^-alpha is a straight line of slope 1 - alpha here. Each line starts at its xmin, on the
    measured fraction of all values, and ends at its xmax. Fingers are violet; the fit that they spoil is dashed.

    Parameters
    ----------
    spectrum : Spectrum or array_like
        Eigenvalues of W^T W / N above zero, or positive values of any kind.
    fit : PowerLawFit or FingerFit, optional
        Default ``fit_power_law`` of the values, where two of them differ.
    ax : Axes, optional

    Raises
    ------
    ValueError
        If a value is not positive and finite.

    Examples
    --------
    >>> import numpy as np
    >>> from matplotlib.figure import Figure
    >>> from rmt_lab.power_law import fit_power_law
    >>> x = (1 - np.random.default_rng(0).random(2000)) ** (-1 / 1.5)
    >>> plot_tail(x, fit_power_law(x, xmin=1), ax=Figure().subplots()).get_title("left")
    'α = 2.50 ± 0.03 on 2000 of 2000 values'
    """
    ax = style.new_axes(ax)
    noun, name = ("eigenvalue", spectrum.name) if isinstance(spectrum, Spectrum) else ("value", "")
    x = spectrum.nonzero_eigenvalues if isinstance(spectrum, Spectrum) else np.sort(np.ravel(spectrum).astype(float))
    if fit is None and not (len(x) and x[0] == x[-1]):
        fit = fit_power_law(x)
    accepted, raw, dropped = (fit.fit, fit.raw, len(fit.dropped)) if isinstance(fit, FingerFit) else (fit, fit, 0)
    above = 1 - np.searchsorted(x, x) / len(x)
    kept = len(x) - dropped
    ax.plot(x[:kept], above[:kept], ".", color=MEASURED, markersize=7, label=count(kept, noun))
    if dropped:
        ax.plot(x[kept:], above[kept:], "^", color=OUTLIER, markersize=10, zorder=4, label=count(dropped, "finger"))
    left, seen = x[0], f"nothing but {x[0]:.3g} in {count(len(x), noun)}, so there is no tail"
    if accepted and raw:
        for f, label, line in ((raw, "raw fit", "--"), (accepted, "power law", "-"))[raw is accepted :]:
            ends, start = np.array([f.xmin, f.xmax]), np.mean(x >= f.xmin)
            label += f": α = {f.alpha:.2f} ± {f.sigma:.2f}, n = {f.n_tail}, D√n\u00a0=\u00a0{_misfit(f):.2f}"
            ax.plot(ends, start * f.sf(ends), line, color=FIT, linewidth=3, label=label, zorder=3)
        style.guide(ax, accepted.xmin, f"xmin {accepted.xmin:.3g}", end="bottom")
        if dropped:
            style.guide(ax, accepted.xmax, f"xmax {accepted.xmax:.3g}", "right")
        left = _left(accepted)
        seen = _tail_in_words(accepted, raw, dropped, f"{len(x)} {noun}s")
    ax.set(xscale="log", yscale="log", xlim=(left / 1.2, x[-1] * 1.2), ylim=(0.5 / len(x), 1.6))
    style.plain_log_ticks(ax.xaxis)
    style.plain_log_ticks(ax.yaxis)
    xlabel = style.EIGENVALUE if isinstance(spectrum, Spectrum) else "value $x$"
    description = (
        f"Fraction of {count(len(x), noun)} at or above x, both axes logarithmic, x from {x[0]:.3g} to {x[-1]:.3g}. "
    )
    style.finish(ax, sentence(name, seen), xlabel, f"fraction of {noun}s ≥ $x$", description + sentence("", seen) + ".")
    return ax


def _misfit(fit: PowerLawFit) -> float:
    """D sqrt(n), which does not shrink as a tail that is no power law grows."""
    return fit.D * fit.n_tail**0.5


def _tail_in_words(fit: PowerLawFit, raw: PowerLawFit, dropped: int, values: str) -> str:
    if raw is not fit:
        how = f"without {count(dropped, 'finger')}" if dropped else "with xmin near the peak"
        seen = f"{how} α is {fit.alpha:.2f} instead of {raw.alpha:.2f}"
    else:
        seen = f"α = {fit.alpha:.2f} ± {fit.sigma:.2f} on {'only ' * (fit.n_tail < 20)}{fit.n_tail} of {values}"
    return f"{seen}, but the tail is no power law" if _misfit(fit) > _NO_POWER_LAW else seen


def _left(fit: PowerLawFit) -> float:
    """Where a logarithmic axis begins: the tail matters, not the many decades below it."""
    return float(max(fit.x[0], min(fit.xmin, np.median(fit.x)) / 10))


def plot_scan(fit: PowerLawFit | FingerFit, ax: Axes | None = None) -> tuple[Axes, Axes]:
    """The choice of xmin: the distance D and the exponent alpha of every candidate, with the tail size on top.

    A FingerFit shows both scans, the raw one dashed: two minima of D that are nearly equal, and a finger that decides
    between them. Takes O(n^2) for n values.

    Parameters
    ----------
    fit : PowerLawFit or FingerFit
    ax : Axes, optional
        Its place is shared out: the upper half keeps it for D, the lower half is a new Axes for alpha.

    Returns
    -------
    tuple of two Axes
        For D and for alpha.

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> from rmt_lab.power_law import fit_power_law
    >>> upper, lower = plot_scan(fit_power_law([1, 2, 3, 5, 8, 13, 21, 34]), ax=Figure().subplots())
    >>> upper.get_title("left")
    'D is smallest at xmin = 2: 7 values, α = 1.72'
    """
    upper, lower = style.stacked(style.new_axes(ax))
    accepted, raw = (fit.fit, fit.raw) if isinstance(fit, FingerFit) else (fit, fit)
    dropped = len(raw.x) - len(accepted.x)
    fits = [(accepted, "o-", f"without {count(dropped, 'finger')}" if dropped else "accepted fit")]
    if raw is not accepted:
        fits.insert(0, (raw, "s--", "all values"))
    left, top, best = raw.x[-1], 0.0, 0.0
    for f, line, _ in fits:
        xmins, alphas, Ds, n_tails = f.scan()
        for panel, curve, chosen in ((upper, Ds, f.D), (lower, alphas, f.alpha)):
            panel.plot(xmins, curve, line[1:], color=FIT, linewidth=2.2)
            panel.plot(f.xmin, chosen, line[0], color=FIT, markeredgecolor="black", markersize=9, zorder=4)
        style.guide(upper, f.xmin, f"xmin {f.xmin:.3g}")
        lower.axvline(f.xmin, color=style.GUIDE, linestyle=":", linewidth=1.5)
        left, top, best = min(left, _left(f)), max(top, *Ds[xmins >= _left(f)]), Ds.min()
    lower.set(xscale="log", yscale="log", xlim=(left, raw.x[-1]), ylim=(1, 3 * max(f.alpha for f, *_ in fits)))
    upper.set_ylim(0, 1.1 * top)
    style.plain_log_ticks(lower.xaxis)
    style.plain_log_ticks(lower.yaxis)
    _tail_sizes(upper, xmins, n_tails, left)
    if raw is not accepted:
        seen = f"without {count(dropped, 'finger')}" if dropped else "near the peak"
        seen += (
            f" xmin moves from {raw.xmin:.3g} to {accepted.xmin:.3g}, α from {raw.alpha:.3g} to {accepted.alpha:.3g}"
        )
    else:
        least = accepted.D <= best * (1 + 1e-9)
        seen = f"D is {'' if least else 'not '}smallest at xmin = {accepted.xmin:.3g}: "
        seen += f"{accepted.n_tail} values, α = {accepted.alpha:.2f}"
    description = f"Distance D and exponent α of the power law for every candidate xmin. {sentence('', seen)}."
    style.finish(upper, sentence("", seen), "", "distance $D$", description)
    if raw is not accepted:
        lower.legend(lower.lines[::3], [label for *_, label in fits], loc="upper left", fontsize=SMALL, frameon=False)
    style.finish(lower, "", "candidate xmin, on the scale of the data", "exponent α", description)
    upper.tick_params(labelbottom=False)
    return upper, lower


def _tail_sizes(ax: Axes, xmins: Array, n_tails: npt.NDArray[np.int64], left: float) -> None:
    """A second axis on top: how many values a tail that begins here has."""
    ticks: dict[float, int] = {}
    gap = np.log(xmins[-1] / left) / 25
    for n in (2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000):
        x = float(xmins[np.argmax(n_tails <= n)])
        if n_tails[-1] <= n <= n_tails[0] and left <= x and not any(np.log(other / x) < gap for other in ticks):
            ticks[x] = n
    top = ax.secondary_xaxis("top")
    top.xaxis.set_minor_locator(NullLocator())
    top.set_xticks(list(ticks), [str(n) for n in ticks.values()], fontsize=SMALL)
    top.set_xlabel("values in the tail", fontsize=SMALL)
