"""A layer through a training: its spectra and power laws step by step, and their picture."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from .._arrays import Array, Rng
from ..bulk import fit_bulk
from ..ensembles.spectra import gaussian_spectrum, matched_noise
from ..spectrum import Spectrum
from ..tails.power_law import PowerLawFit, fit_power_law
from ..trainings import Training
from . import style
from .spectra import VIEWS as NULL_VIEWS
from .spectra import noise_behind, plot_against
from .style import FIT, MODELS, MOST_TRIANGLES, NOISE, Bins, panels
from .tails import PLAUSIBLE

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


FIGSIZE = (8.0, 6.6)
VIEWS = ("over its initialisation", "over Marchenko-Pastur", "tail, over noise")
_DRAWN = 60  # matrices of noise, for the band of their exponents


class Followed(NamedTuple):
    """The spectrum and the power law of a layer at every recorded step; made by :func:`follow`."""

    training: Training
    name: str
    spectra: tuple[Spectrum, ...]
    fits: tuple[PowerLawFit, ...]


@lru_cache(maxsize=64)
def follow(training: Training, name: str) -> Followed:
    """The spectra of a layer at all recorded steps, and the power laws fitted to them.

    Raises
    ------
    KeyError
        If the training has no such layer.

    Examples
    --------
    >>> from rmt_lab import trainings
    >>> followed = follow(trainings.load("little"), "block 3 query")
    >>> [round(fit.alpha, 1) for fit in followed.fits[::8]]
    [6.3, 6.0, 3.0, 1.9]
    """
    spectra = tuple(training.at(step)[name].spectrum for step in training.steps)
    return Followed(training, name, spectra, tuple(fit_power_law(s.nonzero_eigenvalues) for s in spectra))


def views(training: Training) -> tuple[str, ...]:
    """The views of a training that :func:`plot_training` takes.

    The first checkpoint of a folder need not be an initialisation, so that the view says its step instead.

    Examples
    --------
    >>> from rmt_lab import trainings
    >>> views(trainings.load("little"))
    ('over its initialisation', 'over Marchenko-Pastur', 'tail, over noise')
    """
    first = training.steps[0]
    known = training.at(first).layers[0].init_std is not None
    return VIEWS if known else (f"over step {first}", *VIEWS[1:])


@lru_cache(maxsize=16)
def noise_alphas(N: int, M: int, rf: int = 1) -> tuple[float, float]:
    """Between which values 90 % of the exponents lie that are fitted to N x M Gaussian noise of any level.

    From 60 drawn matrices, always the same ones; for a convolution each is rf pooled slices.

    Examples
    --------
    >>> low, high = noise_alphas(256, 256)
    >>> 3 < low < 5, 15 < high < 25
    (True, True)
    """
    rng = np.random.default_rng(0)
    drawn = ([gaussian_spectrum(N, M, rng=rng).nonzero_eigenvalues for _ in range(rf)] for _ in range(_DRAWN))
    alphas = [fit_power_law(np.concatenate(slices)).alpha for slices in drawn]
    low, high = np.quantile(alphas, [0.05, 0.95])
    return float(low), float(high)


def beyond(s: Spectrum, start: Spectrum, view: str, rng: Rng = None) -> tuple[Array, str]:
    """The singular values that exceed what the view has behind them, and that in a few words."""
    if view == VIEWS[1]:
        largest, what = np.sqrt(s.N * fit_bulk(s).threshold), "the noise of its bulk"
    elif view == VIEWS[2]:
        largest, what = matched_noise(s, rng=rng).singular_values[-1], "Gaussian noise of its norm"
    else:
        largest, what = start.singular_values[-1], _at_start(view)
    return s.singular_values[s.singular_values > largest], what


def _at_start(view: str) -> str:
    return "its initialisation" if view == VIEWS[0] else view.replace("over ", "those at ")


def plot_training(
    followed: Followed,
    step: int,
    view: str | None = None,
    rng: Rng = None,
    fig: Figure | None = None,
    bins: Bins = None,
) -> Figure:
    """The spectrum of a layer at one step; the losses and the exponents of all steps.

    A full circle is a tail with D sqrt(n) <= 0.76, as 95 % of power laws of independent values have, and more of those
    of eigenvalues; an open one is a tail with more. The red band holds 90 % of the exponents that are fitted to
    Gaussian noise of the layer's shape. The horizontal axis of the spectrum is the same at all steps. Where the losses
    were not recorded, the exponents have all of the lower row, and a title there says so.

    Parameters
    ----------
    followed : Followed
    step : int
        One of ``followed.training.steps``.
    view : {"over its initialisation", "over Marchenko-Pastur", "tail, over noise"}
        Singular values over those of step 0, or over the Marchenko-Pastur law of the layer's own noise level; or the
        tail of the eigenvalues over that of Gaussian noise of the same norm. The default is the first of :func:`views`,
        which for checkpoints is ``"over step 100"``, say: it names their first step.
    rng : Generator, int or None
        Draws the Gaussian noise.
    fig : Figure, optional
        Where to draw; by default a pyplot figure. Its Axes are used again if they are as many as needed.
    bins : int or array_like, optional
        Number of bins or their edges, the same at all steps; default: those of the first, see :func:`spectrum_bins`.

    Raises
    ------
    ValueError
        If the step was not recorded or the view is not known.

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> from rmt_lab import trainings
    >>> followed = follow(trainings.load("little"), "block 3 query")
    >>> fig = plot_training(followed, step=2400, fig=Figure())
    >>> fig.axes[0].get_title("left")
    '36 of 256 singular values exceed its initialisation'
    """
    training, name, spectra, fits = followed
    training.at(step)  # says which steps there are
    allowed = views(training)
    view = allowed[0] if view is None else view
    if view not in allowed:
        raise ValueError(f"view={view!r}; allowed are {', '.join(map(repr, allowed))}")
    fig = fig or style.new_figure(FIGSIZE)
    below = 2 if training.has_losses else 1
    if len(fig.axes) != 1 + below:
        _lay_out(fig, below)
    spectrum, *losses, exponent = panels(fig, *[1] * (1 + below))
    now, looks = training.steps.index(step), range(len(training.steps))
    s = replace(spectra[now], name=f"{name}, step {step}")
    if view == VIEWS[2]:
        plot_against(s, matched_noise(s, rng=rng), NULL_VIEWS[2], "Gaussian noise of its norm", spectrum)
        low = min(float(np.median(x.eigenvalues)) for x in spectra) / 12
        spectrum.set_xlim(low, 1.2 * max(x.eigenvalues[-1] for x in spectra))
        style.plain_log_ticks(spectrum.xaxis)
    else:
        widest = 1.1 * max(float(np.quantile(x.singular_values, 0.95)) for x in spectra)
        edges = style.bin_edges(spectra[0].singular_values, 0.0, widest, bins)  # the same at all steps
        _plot_singular_values(spectrum, s, spectra[0], edges, view)
    for ax in losses:
        _plot_losses(ax, training, now)
    _plot_exponents(exponent, fits, now, noise_alphas(s.N, s.M, s.rf))
    steps = f"{len(looks)} steps from {training.steps[0]} to {training.steps[-1]}"
    told = f"Below, the losses and alpha at {steps}."
    if not losses:
        exponent.set_title("losses: not recorded", loc="right", fontsize=style.SMALL, color=style.GUIDE, y=1)
        told = f"Below, alpha at {steps}. The losses were not recorded."
    ticks = looks[:: max(1, (len(looks) - 1) // 4)]
    for ax in (*losses, exponent):
        ax.axvline(now, color=style.GUIDE, linestyle=":", linewidth=1.5, zorder=1.5)
        ax.set_xlim(-0.7, len(looks) - 0.3)
        ax.set_xticks(ticks, [str(training.steps[i]) for i in ticks])
        style.remember(ax, told)
    return fig


def _plot_singular_values(ax: Axes, s: Spectrum, start: Spectrum, edges: Array, view: str) -> None:
    """Singular values over those of the start or the law of their own bulk; triangles mark those beyond."""
    values = s.singular_values
    single = style.num_single(values)
    drawn = style.spectrum_bars(ax, values, single, edges, len(values), "this layer")
    if view != VIEWS[1]:
        behind = style.outline(ax, start.singular_values, edges, len(values), _at_start(view))
    else:
        noise = noise_behind(s, fit_bulk(s), singular_values=True)
        behind, law = noise.density, f"Marchenko-Pastur, σ = {noise.sigma:.3g}"
        ax.plot(noise.x, behind, color=NOISE, linestyle="--", linewidth=2, label=law, zorder=3)
    above, what = beyond(s, start, view)
    n = len(above)
    if n:
        style.outliers(ax, above[above <= edges[-1]], f"{n} beyond")
    told = 0 < n <= MOST_TRIANGLES  # the legend has those beyond, which stand at their feet
    style.single_ticks(ax, drawn.single, None if told else style.count(single, "single value"))
    if out := np.count_nonzero(values > edges[-1]):
        style.beyond(ax, f"{out} more, up to {values[-1]:.3g}", y=0.6)
    top = min(max(drawn.heights.max(), behind.max()), 4 * drawn.heights.max())
    ax.set(xscale="linear", yscale="linear", xlim=(0, edges[-1]), ylim=(0, 1.1 * top))
    seen = f"{n or 'none'} of {len(values)} singular values exceed{'s' * (n < 2)} {what}"
    description = f"Histogram of the {len(values)} singular values of {s.name}{style.stand_alone(single)}. "
    description += f"{style.sentence('', seen)}."
    style.finish(ax, style.sentence("", seen), f"singular value $s$ of {s.name}", "density", description)


def _plot_losses(ax: Axes, training: Training, now: int) -> None:
    lines = ((training.train_loss, MODELS[0], "── training"), (training.test_loss, MODELS[1], "╌╌ held-out"))
    for i, (loss, look, label) in enumerate(lines):
        color = look["color"]
        ax.plot(loss, color=color, linestyle=look["linestyle"], linewidth=2)
        ax.plot(now, loss[now], "o", color=color, markersize=8)
        ax.text(0.04, 0.16 - 0.12 * i, label, color=color, fontsize=style.SMALL, transform=ax.transAxes)
    ax.set_ylim(0, 1.08 * max(training.train_loss.max(), training.test_loss.max()))
    ax.set_ylabel("loss, nats/byte", fontsize=style.LABEL)


def _plot_exponents(ax: Axes, fits: tuple[PowerLawFit, ...], now: int, noise: tuple[float, float]) -> None:
    ax.axhspan(*noise, color=NOISE, alpha=0.15, linewidth=0)
    ax.text(len(fits) - 1.5, noise[0] * 1.05, "noise", color=NOISE, ha="right", va="bottom", fontsize=style.SMALL)
    alphas, looks = np.array([f.alpha for f in fits]), np.arange(len(fits))
    good = np.array([f.scaled_D <= PLAUSIBLE for f in fits])
    ax.plot(looks, alphas, "-", color=FIT, linewidth=1.5)
    for which, fill in ((good, FIT), (~good, "white")):
        ax.plot(looks[which], alphas[which], "o", color=FIT, markerfacecolor=fill, markersize=5)
        if which[now]:
            ax.plot(now, alphas[now], "o", color=fill, markeredgecolor="black", markersize=9, zorder=5)
    ax.set(yscale="log", ylim=(1.2, 1.3 * max(alphas.max(), noise[1])))
    ax.set_yticks([2, 4, 8, 16], ["2", "4", "8", "16"])
    ax.set_yticks([], minor=True)
    ax.set_ylabel("exponent α", fontsize=style.LABEL)
    words = f"○ D√n > {PLAUSIBLE}"
    ax.set_title(words, loc="left", fontsize=style.SMALL, color=style.GUIDE, y=1)


def _lay_out(fig: Figure, below: int) -> None:
    """The spectrum above; losses, if they are known, and exponents beside each other below."""
    fig.clear()
    fig.set_layout_engine("none")
    grid = fig.add_gridspec(
        2, below, left=0.115, right=0.975, bottom=0.09, top=0.885, hspace=0.45, wspace=0.25, height_ratios=(1.5, 1)
    )
    spectrum, *small = (fig.add_subplot(part) for part in (grid[0, :], *(grid[1, i] for i in range(below))))
    spectrum.yaxis.set_label_coords(-0.085, 0.5)  # to look for room beside the ticks takes long
    for ax in small:
        ax.set_xlabel("training step", fontsize=style.LABEL)
        ax.yaxis.set_label_coords(-0.155 if below == 2 else -0.085, 0.5)
        ax.tick_params(labelsize=style.SMALL)
        ax.spines[["top", "right"]].set_visible(False)
