"""Pictures of one spectrum: over its noise law, over another spectrum, its largest values, its spikes and its tail."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from .._arrays import Array
from ..bulk import BulkFit, fit_bulk
from ..laws.marchenko_pastur import MarchenkoPastur
from ..laws.spiked import spike_eigenvalue, spike_overlaps, spike_threshold
from ..laws.tracy_widom import TracyWidom, edge_scaling
from ..spectrum import Spectrum, as_spectrum
from ..tails.power_law import PowerLawFit, fit_power_law
from . import style
from .style import MEASURED, MOST_TRIANGLES, NOISE, Bins, count, panels, sentence
from .tails import plot_tail

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_LEVEL = 0.01  # of the threshold that is drawn, as in fit_bulk


def plot_spectrum(
    spectrum: Spectrum,
    bulk: BulkFit | MarchenkoPastur | None = None,
    ax: Axes | None = None,
    singular_values: bool = False,
    bins: Bins = None,
) -> Axes:
    """Histogram of a spectrum over the Marchenko-Pastur law of its noise, with the spikes beyond the edge.

    Bars have the area of the eigenvalues they stand for: all above zero make up rank/M. Single large values are violet
    ticks instead, and what lies far out is counted at the margin. The law of a fitted bulk has the area of the bulk.

    Parameters
    ----------
    spectrum : Spectrum
    bulk : BulkFit or MarchenkoPastur, optional
        The noise to compare with; default ``fit_bulk(spectrum)``, and no law where that is impossible. Spikes are those
        of the fit, or what exceeds the given law by more than its Tracy-Widom allowance at the level 0.01.
    ax : Axes, optional
    singular_values : bool
        Draw singular values of W instead of eigenvalues of W^T W / N; the better view of square matrices.
    bins : int or array_like, optional
        Number of bins or their edges; default: those of :func:`spectrum_bins`.

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> from rmt_lab.ensembles.spectra import gaussian_spectrum
    >>> plot_spectrum(gaussian_spectrum(800, 400, rng=0), ax=Figure().subplots()).get_title("left")
    'No eigenvalue stands above the noise edge'
    """
    return _over_noise(as_spectrum(spectrum), bulk, style.new_axes(ax), singular_values, bins)


def _over_noise(
    spectrum: Spectrum,
    bulk: BulkFit | MarchenkoPastur | None,
    ax: Axes,
    singular_values: bool = False,
    bins: Bins = None,
    reach: tuple[float, float] = (np.inf, -np.inf),
    brief: bool = False,
) -> Axes:
    """:func:`plot_spectrum`, on an axis that reaches at least so far, or with a short legend."""
    total, noun = len(spectrum.singular_values), "singular value" if singular_values else "eigenvalue"
    values = values_above_zero(spectrum, singular_values)
    bulk = bulk or _fitted(spectrum)
    noise = noise_behind(spectrum, bulk, singular_values) if bulk else None
    low, high = noise.edges if noise else np.quantile(values, [0.05, 0.95]) if len(values) else (0.0, 1.0)
    low, high = style.view(values, low, high) if len(values) else (low, high)
    edges = style.bin_edges(values, low, high, bins)
    pad = 0.06 * (edges[-1] - edges[0])
    ax.set_xlim(min(edges[0] - pad, reach[0]), max(edges[-1] + pad, reach[1]))
    single = style.num_single(values_above_zero(spectrum, True))
    drawn = style.spectrum_bars(ax, values, single, edges, total, count(len(values), noun))
    top, lines, spikes = drawn.heights.max(), {}, values[:0]
    seen = f"{count(len(values), noun)} above zero, and no noise law to compare with"
    if noise:
        spikes = noise.spikes
        ax.plot(
            noise.x, noise.density, color=NOISE, linewidth=2.5, label=f"Marchenko-Pastur noise, σ = {noise.sigma:.3g}"
        )
        peak = noise.density.max()
        top = max(top, peak if peak < 2 * top else 1.2 * top)  # the law of a square matrix is infinite at 0
        lines = {f"edge {edge:.3g}": edge for edge in noise.edges if edge} | {
            f"threshold {noise.threshold:.3g}": noise.threshold
        }
        no_bulk = isinstance(bulk, BulkFit) and (bulk.note != "" or 2 * len(spikes) > total)
        name = f"{noun} beyond" if no_bulk else "spike"  # without a noise bulk they are no signal in noise
        if len(spikes):
            style.outliers(ax, spikes, f"{len(spikes)} {name}" if no_bulk else count(len(spikes), name))
        seen = _above(noise, total, noun, name=noun if no_bulk else "spike")
        if no_bulk:
            seen += ", but what is left is no noise bulk"
    told = brief or 0 < len(spikes) <= MOST_TRIANGLES  # the legend has spikes, which stand at their feet
    style.single_ticks(ax, drawn.single, None if told else count(single, "single value"))
    if out := np.count_nonzero(values > edges[-1]):
        style.beyond(ax, f"{out} more, up to {values[-1]:.3g}")
    if zeros := total - len(values):
        seen += f"; {zeros} of {total} are zero"
    style.guides(ax, lines, top)
    description = f"Histogram of the {count(len(values), noun)} of {spectrum.name or 'a matrix'} above zero"
    description += f", from {values[0]:.3g} to {values[-1]:.3g}" if len(values) else ""
    description += f", over Marchenko-Pastur noise from {noise.edges[0]:.3g} to {noise.edges[1]:.3g}" if noise else ""
    description += style.stand_alone(single)
    xlabel = style.SINGULAR_VALUE if singular_values else style.EIGENVALUE
    style.finish(ax, sentence(spectrum.name, seen), xlabel, "density", f"{description}. {sentence('', seen)}.")
    return ax


def _above(noise: Noise, total: int, noun: str, name: str) -> str:
    """How many values stand above the noise, in words."""
    n = len(noise.spikes)
    if n == 0:
        return f"no {noun} stands above the noise edge"
    if n <= 10:
        return f"{count(n, name)} stand{'s' * (n == 1)} above the noise edge"
    return f"{n} of {total} {noun}s stand above the noise edge"


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
        threshold = max(float(null.eigenvalues[-1]), noise_threshold(spectrum.N, spectrum.M, sigma, spectrum.rf))
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
            threshold = max(law.upper_edge, noise_threshold(spectrum.N, spectrum.M, sigma, spectrum.rf))
    threshold = float(np.sqrt(spectrum.N * threshold)) if singular_values else threshold
    values = values_above_zero(spectrum, singular_values)
    return Noise(x, density, edges, threshold, values[values > threshold], sigma)


def _fitted(spectrum: Spectrum) -> BulkFit | None:
    """Its noise bulk; None where there are too few eigenvalues for one."""
    try:
        return fit_bulk(spectrum)
    except ValueError:
        return None


def noise_threshold(N: int, M: int, sigma: float = 1.0, rf: int = 1) -> float:
    """What the largest eigenvalue of N x M noise (of rf pooled slices of it) exceeds once in a hundred matrices."""
    if N < 2 or not sigma:
        return 0.0
    centre, scale = edge_scaling(N, M, sigma)
    return centre + scale * float(TracyWidom(1).ppf((1 - _LEVEL) ** (1 / rf)))


VIEWS = ("singular values of W", "eigenvalues", "tail of the eigenvalues")


def plot_against(
    spectrum: Spectrum,
    null: Spectrum,
    view: str = VIEWS[0],
    what: str = "its noise",
    ax: Axes | None = None,
    bins: Bins = None,
) -> Axes:
    """The spectrum of a layer over that of a null model: both histograms, or both tails with the layer's power law.

    Single large values of the layer are violet ticks.

    Parameters
    ----------
    spectrum, null : Spectrum
    view : {"singular values of W", "eigenvalues", "tail of the eigenvalues"}
    what : str
        The null model, in the words of title and legend: "Gaussian noise of its norm", "its entries shuffled".
    ax : Axes, optional
    bins : int or array_like, optional
        Number of bins or their edges, for both; default: those of the layer, see :func:`spectrum_bins`.

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
    '25 of 384 singular values exceed its noise'
    """
    spectrum = as_spectrum(spectrum)
    if view not in VIEWS:
        raise ValueError(f"view={view!r}; allowed are {', '.join(map(repr, VIEWS))}")
    ax = style.new_axes(ax)
    noun, values, noise = values_seen(spectrum, null, view)
    single = 0 if view == VIEWS[2] else style.num_single(values_above_zero(spectrum, True))
    if view == VIEWS[2]:
        _plot_tails(ax, values, noise, what)
    else:
        _plot_histograms(ax, values, noise, what, bins, single)
    above = int(np.count_nonzero(values > noise.max(initial=0.0)))
    seen = f"{above or 'none'} of {len(values)} {noun}s exceed{'s' * (above < 2)} {what}"
    symbol, name = ("s", spectrum.name or "W") if view == VIEWS[0] else ("λ", spectrum.name or "$W^T W / N$")
    ylabel = f"fraction of {noun}s ≥ λ" if view == VIEWS[2] else "density"
    description = f"The {len(values)} {noun}s of {spectrum.name or 'a matrix'} and those of {what}"
    description += f"{style.stand_alone(single)}. "
    style.finish(ax, style.sentence("", seen), f"{noun} ${symbol}$ of {name}", ylabel, description + seen + ".")
    return ax


def values_seen(spectrum: Spectrum, null: Spectrum, view: str) -> tuple[str, Array, Array]:
    """What a view shows, by its name, of a layer and of its null: ascending values above zero."""
    singular = view == VIEWS[0]
    noun = "singular value" if singular else "eigenvalue"
    return noun, values_above_zero(spectrum, singular), values_above_zero(null, singular)


def _plot_histograms(ax: Axes, values: Array, noise: Array, what: str, bins: Bins, single: int) -> None:
    """Both histograms on common bins, and the single values of the layer."""
    pooled = np.concatenate([values, noise])
    high = 1.1 * max((float(np.quantile(v, 0.99)) for v in (values, noise) if len(v)), default=0.0)
    edges = style.bin_edges(values, min(float(pooled.min(initial=np.inf)), high), high, bins)
    ax.set(xscale="linear", yscale="linear", xlim=(edges[0], edges[-1]))
    drawn = style.spectrum_bars(ax, values, single, edges, max(len(values), 1), "this layer")
    null = style.outline(ax, noise, edges, max(len(noise), 1), what)
    style.single_ticks(ax, drawn.single, count(single, "single value"))
    for v, y, color in ((values, 0.6, MEASURED), (noise, 0.5, NOISE)):
        if out := np.count_nonzero(v > edges[-1]):
            ax.text(0.995, y, f"{out} more, up to {v[-1]:.3g} →", transform=ax.transAxes, ha="right", color=color,
                    fontsize=style.SMALL)  # fmt: skip
    ax.set_ylim(0, 1.1 * min(max(drawn.heights.max(), null.max()), 4 * drawn.heights.max()) or 1)


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


def plot_largest(
    largest: Array, N: int, M: int, scaled: bool = False, ax: Axes | None = None, bins: Bins = None
) -> Axes:
    """Histogram of largest eigenvalues over the Tracy-Widom law, on their own scale or that of the law.

    On their own scale the axis reaches a fifth of the edge to either side, unless they stray farther: so matrices of
    different sizes can be compared. Values of different matrices are independent: without ``bins``, their number or
    their edges on the scale of the picture, they bear those of Freedman & Diaconis.

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> from rmt_lab.ensembles import largest_eigenvalues
    >>> ax = plot_largest(largest_eigenvalues(200, 100, 500, rng=0), 200, 100, ax=Figure((8, 5)).subplots())
    >>> ax.get_title("left")
    '0.8% of 500 largest eigenvalues pass the 1% threshold'
    """
    ax = style.new_axes(ax)
    (mu, s), edge, threshold = edge_scaling(N, M), MarchenkoPastur(N / M).upper_edge, noise_threshold(N, M)
    low, high = min(mu - 5 * s, largest.min()), max(mu + 4 * s, largest.max())
    x = np.linspace(low, high, 300)
    if not scaled:
        low, high = min(low, 0.8 * edge), max(high, 1.2 * edge)
    origin, unit = (mu, s) if scaled else (0.0, 1.0)
    values = (largest - origin) / unit
    edges = style.bin_edges(values, values.min(), values.max(), bins, style.free_width)
    heights = style.density(values, edges, len(values))
    style.bars(ax, heights, edges, label=f"{len(values)} matrices of noise, {N} × {M}")
    density = TracyWidom(1).pdf((x - mu) / s) * unit / s
    ax.plot((x - origin) / unit, density, color=style.NOISE, linewidth=2.5, label="Tracy-Widom law")
    ax.set_xlim((low - origin) / unit, (high - origin) / unit)
    lines = {"edge": (edge - origin) / unit, "1% threshold": (threshold - origin) / unit}
    style.guides(ax, {f"{name} {x:.3g}": x for name, x in lines.items()}, max(heights.max(), density.max()))
    seen = f"{np.mean(largest > threshold):.1%} of {len(largest)} largest eigenvalues pass the 1% threshold"
    xlabel = "(largest eigenvalue − centre μ) / scale $s$" if scaled else "largest eigenvalue of $W^T W / N$"
    style.finish(ax, seen, xlabel, "density", f"Histogram over the Tracy-Widom law. {seen}.")
    return ax


SPIKE_SIZE = (10.0, 5.0)  # inches
_STRONGEST = 2.5  # theta over its threshold


def plot_spike(
    spectrum: Spectrum, theta: float, overlaps: tuple[float, float], fig: Figure | None = None, bins: Bins = None
) -> Figure:
    """A spectrum with the predicted place of its spike, beside the overlaps of W's singular vectors with the signal's.

    Parameters
    ----------
    spectrum : Spectrum
        Of W = noise + theta u v^T, noise of unit variance.
    theta : float
        On the scale of W.
    overlaps : tuple of two floats
        Squared overlaps of the first left singular vector with u, and of the first right one with v.
    fig : Figure, optional
    bins : int or array_like, optional
        As in :func:`plot_spectrum`.

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> from rmt_lab.ensembles import low_rank_plus_noise
    >>> s = Spectrum.from_matrix(low_rank_plus_noise(400, 200, theta=30.0, rng=0))
    >>> [ax.get_title("left") for ax in plot_spike(s, 30.0, (0.6, 0.7), Figure((10, 5))).axes]
    ['1 spike stands above the noise edge', '70% of v, 60% of u']
    """
    fig = fig or style.new_figure(SPIKE_SIZE, layout=None)
    N, M = spectrum.N, spectrum.M
    critical = spike_threshold(N, M)
    left, right = panels(fig, 2.1, 1)

    predicted, farthest = (float(x) for x in spike_eigenvalue([theta, _STRONGEST * critical], N, M))
    if theta > critical:
        label = f"predicted {predicted:.3g}"
        left.axvline(predicted, ymax=0.6, color=style.OUTLIER, linestyle="--", linewidth=2, label=label)
    law = MarchenkoPastur(N / M)
    reach = law.lower_edge - 0.08 * farthest, 1.08 * farthest  # for any theta, so that the bulk stays in its place
    _over_noise(spectrum, law, left, bins=bins, reach=reach, brief=True)
    seen = left.get_title("left")
    left.set_title(seen, loc="left", fontsize=style.TITLE, pad=44)  # in place, whatever rows the legend has

    x = np.linspace(0, max(_STRONGEST, theta / critical), 200)
    for curve, found, marker, line, name in zip(
        spike_overlaps(x * critical, N, M), overlaps, "so", ("--", "-"), "uv", strict=True
    ):
        right.plot(x, curve, line, color=style.OUTLIER, linewidth=2.5)
        right.plot(theta / critical, found, marker, color=style.MEASURED, markeredgecolor="black", markersize=10)
        below = (name == "u") == (overlaps[0] <= overlaps[1])  # so that the names stay apart where the marks do not
        right.annotate(
            name, (theta / critical, found), xytext=(10, -14 if below else 3), textcoords="offset points",
            fontsize=style.LABEL,
        )  # fmt: skip
    right.set(xlim=(0, 1.08 * x[-1]), ylim=(-0.04, 1.04), xticks=[0, 1, 2], yticks=[0, 0.5, 1])
    seen = f"{overlaps[1]:.0%} of v, {overlaps[0]:.0%} of u"
    description = f"Squared overlap of singular vectors against the signal's strength. {seen}."
    style.finish(right, seen, "signal θ / threshold θc", "squared overlap (lines: theory)", description)
    return fig


HEAVY_TAIL_SIZE = (11.0, 5.0)  # inches
_LIGHT = 4.0  # from this tail index on the largest eigenvalue of a large matrix stays at the edge


def plot_heavy_tail(
    spectrum: Spectrum, fit: PowerLawFit, mu: float, fig: Figure | None = None, bins: Bins = None
) -> Figure:
    """A spectrum over the noise law of its variance, beside its tail with the fitted and the theoretical power law.

    Parameters
    ----------
    spectrum : Spectrum
        Of a matrix whose entries have variance 1.
    fit : PowerLawFit
        Of its eigenvalues.
    mu : float
        Tail index of the entries, P(|w| > t) ~ t^-mu. Below 4 the theory for large matrices is alpha = mu/2 + 1.
    fig : Figure, optional
    bins : int or array_like, optional
        As in :func:`plot_spectrum`.

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> from rmt_lab.ensembles import pareto
    >>> W = pareto(400, 200, mu=1.5, rng=0)
    >>> spectrum = Spectrum.from_matrix(W / W.std())
    >>> fig = plot_heavy_tail(spectrum, fit_power_law(spectrum.nonzero_eigenvalues), 1.5, Figure((10, 5)))
    >>> fig.axes[1].get_title("left")
    'α = 1.77 on the largest 101'
    """
    fig = fig or style.new_figure(HEAVY_TAIL_SIZE, layout=None)
    left, right = panels(fig, 1.1, 1)
    law, values = MarchenkoPastur(spectrum.Q), spectrum.nonzero_eigenvalues
    _over_noise(spectrum, law, left, bins=bins, brief=True)
    beyond = np.count_nonzero(values > law.upper_edge)
    seen = f"{beyond or 'none'} of {spectrum.M} eigenvalues beyond the edge"
    left.set_title(style.sentence("", seen), loc="left", fontsize=style.TITLE, pad=44)

    x = np.linspace(law.lower_edge, law.upper_edge, 300)[:-1]
    right.plot(x, law.sf(x), "-.", color=style.NOISE, linewidth=2.5, label="Marchenko-Pastur")
    if mu < _LIGHT:
        ends = np.array([fit.xmin, values[-1]])
        share = np.mean(values >= fit.xmin) * (ends / fit.xmin) ** (-mu / 2)
        right.plot(ends, share, ":", color=style.GUIDE, linewidth=3, label=f"theory, α = {mu / 2 + 1:.2f}")
    plot_tail(spectrum, fit, right)
    lines, labels = right.get_legend_handles_labels()
    labels = [label.split(":")[0] for label in labels]  # four short labels in two rows
    right.legend(
        lines, labels, loc="lower left", bbox_to_anchor=(0, 1), ncols=2, fontsize=style.SMALL, frameon=False,
        borderaxespad=0.3, columnspacing=1.4, labelspacing=0.3,
    )  # fmt: skip
    right.set_title(f"α = {fit.alpha:.2f} on the largest {fit.n_tail}", loc="left", fontsize=style.TITLE, pad=44)
    return fig
