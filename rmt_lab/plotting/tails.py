"""Pictures of a tail: its power law, the choice of xmin, fits by hand, and the tail without its largest values."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt
from matplotlib.ticker import MaxNLocator, NullLocator

from .._arrays import Array, as_values
from ..laws.marchenko_pastur import MarchenkoPastur
from ..spectrum import Spectrum
from ..tails.erg import erg
from ..tails.fingers import FingerFit, Rule, fix_fingers
from ..tails.power_law import PowerLawFit, differ, fit_power_law
from ..tails.search import MISFIT, Scan
from ..tails.truncated import TruncatedPowerLawFit, fit_truncated_power_law
from . import style
from .style import FIT, GUIDE, MEASURED, NOISE, OUTLIER, SMALL, count, panels, sentence

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


PLAUSIBLE = MISFIT["searched"][0.95]  # what 95 % of true power laws stay below
_NO_POWER_LAW = MISFIT["given"][0.99]
_FEW = 10  # values in a tail whose scan does not stretch the axes


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
    >>> from rmt_lab.tails.power_law import fit_power_law
    >>> x = (1 - np.random.default_rng(0).random(2000)) ** (-1 / 1.5)
    >>> plot_tail(x, fit_power_law(x, xmin=1), ax=Figure().subplots()).get_title("left")
    'α = 2.50 ± 0.03 on 2000 of 2000 values'
    """
    ax = style.new_axes(ax)
    noun, name = ("eigenvalue", spectrum.name) if isinstance(spectrum, Spectrum) else ("value", "")
    x = spectrum.nonzero_eigenvalues if isinstance(spectrum, Spectrum) else as_values(spectrum)
    if fit is None and (not len(x) or differ(x)):
        fit = fit_power_law(spectrum.tail_eigenvalues if isinstance(spectrum, Spectrum) else x)
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
            label += f": α = {f.alpha:.2f} ± {f.sigma:.2f}, n = {f.n_tail}, D√n\u00a0=\u00a0{f.scaled_D:.2f}"
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


def _tail_in_words(fit: PowerLawFit, raw: PowerLawFit, dropped: int, values: str) -> str:
    if raw is not fit:
        how = f"without {count(dropped, 'finger')}" if dropped else "with xmin near the peak"
        seen = f"{how} α is {fit.alpha:.2f} instead of {raw.alpha:.2f}"
    else:
        seen = f"α = {fit.alpha:.2f} ± {fit.sigma:.2f} on {'only ' * (fit.n_tail < 20)}{fit.n_tail} of {values}"
    return f"{seen}, but the tail is no power law" if fit.scaled_D > _NO_POWER_LAW else seen


def _left(fit: PowerLawFit) -> float:
    """Where a logarithmic axis begins: the tail matters, not the many decades below it."""
    return float(max(fit.x[0], min(fit.xmin, np.median(fit.x)) / 10))


def plot_erg(spectrum: Spectrum, fit: PowerLawFit | None = None, ax: Axes | None = None) -> Axes:
    r"""Where the ERG tail and the power law begin, beside the product that defines the first.

    For every eigenvalue: the sum of ln(lambda/mean) over it and all larger ones, divided by their whole number. The sum
    rises down to the mean, falls below it, and the ERG tail ends where it crosses zero (:func:`rmt_lab.tails.erg`).
    Noise of the same shape has the curve of the Marchenko-Pastur law.

    Parameters
    ----------
    spectrum : Spectrum
    fit : PowerLawFit, optional
        Default: ``fit_power_law`` of the non-zero eigenvalues.
    ax : Axes, optional

    Raises
    ------
    ValueError, TypeError
        As :func:`rmt_lab.tails.erg`.

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> from rmt_lab import atlas
    >>> spectrum = atlas.load("minilm")["block 3 query"].spectrum
    >>> plot_erg(spectrum, ax=Figure().subplots()).get_title("left").replace("\n", " ")
    'block 3 query: the power law takes 65 of 384 values, the ERG tail 237'
    """
    ax = style.new_axes(ax)
    tails = erg(spectrum, fit)
    x = spectrum.nonzero_eigenvalues[::-1] / spectrum.nonzero_eigenvalues.mean()
    scale = tails.lambda_erg / float(x[tails.num_erg - 1])
    n = len(x)
    noise = MarchenkoPastur(spectrum.N / n).ppf((np.arange(n, 0, -1) - 0.5) / n)
    noise /= noise.mean()
    ax.plot(x, np.cumsum(np.log(x)) / n, ".-", color=MEASURED, markersize=4, label=count(n, "eigenvalue"))
    ax.plot(noise, np.cumsum(np.log(noise)) / n, "--", color=NOISE, linewidth=2, label="noise of this shape")
    k = tails.num_pl_spikes
    label = f"power law: {count(k, 'eigenvalue')}"
    ax.plot(x[:k], np.cumsum(np.log(x[:k])) / n, color=FIT, linewidth=5, alpha=0.6, label=label)
    style.level(ax, 0, "product 1", at=0)
    style.guide(ax, float(x[tails.num_erg - 1]), f"ERG tail from here: {tails.num_erg}")
    style.guide(ax, tails.lambda_pl / scale, f"power law from here: {k}", "right", end="bottom")
    top = float(max(np.log(x)[x > 1].sum(), np.log(noise)[noise > 1].sum()) / n)
    left = float(min(x[tails.num_erg - 1], x[k - 1])) / 4  # the smallest eigenvalues say nothing here
    ax.set(xscale="log", xlim=(left, x[0] * 1.2), ylim=(-0.8 * top, 1.15 * top))
    style.plain_log_ticks(ax.xaxis)
    closer = "" if np.isnan(tails.p_value) else f"; noise has as small a gap in {tails.p_value:.1%} of matrices"
    seen = f"the power law takes {k} of {n} values, the ERG tail {tails.num_erg}"
    description = (
        f"Sum of the logarithms of the largest eigenvalues over their number, from the largest ({x[0]:.3g} times the "
        f"mean) down. It crosses zero after {tails.num_erg} of {n}. The power law takes {k}{closer}."
    )
    ylabel = "log product from here up / number"
    style.finish(ax, sentence(spectrum.name, seen), "eigenvalue over the mean", ylabel, description)
    return ax


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
    >>> from rmt_lab.tails.power_law import fit_power_law
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
    left, right, best, Ds_seen, alphas_seen = raw.x[-1], 0.0, 0.0, [0.0], []
    for f, line, _ in fits:
        xmins, alphas, Ds, n_tails = f.scan()
        for panel, curve, chosen in ((upper, Ds, f.D), (lower, alphas, f.alpha)):
            panel.plot(xmins, curve, line[1:], color=FIT, linewidth=2.2)
            panel.plot(f.xmin, chosen, line[0], color=FIT, markeredgecolor="black", markersize=9, zorder=4)
        style.guide(upper, f.xmin, f"xmin {f.xmin:.3g}")
        lower.axvline(f.xmin, color=style.GUIDE, linestyle=":", linewidth=1.5)
        left, right, best = min(left, _left(f)), max(right, xmins[-1]), Ds.min()
        seen_here = (xmins >= _left(f)) & (n_tails >= min(_FEW, n_tails[0]))  # a few values leave the picture
        Ds_seen += [2 * f.D, *Ds[seen_here]]
        alphas_seen += [1.15 * f.alpha, f.alpha / 1.15, *alphas[seen_here]]
    bottom, top = max(1.0, min(alphas_seen) / 1.15), 1.2 * max(alphas_seen)
    lower.set(xscale="log", yscale="log", xlim=(left, 1.1 * right), ylim=(bottom, top))
    upper.set_ylim(0, 1.15 * max(Ds_seen))
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


def plot_fingers(fit: FingerFit, fig: Figure | None = None) -> Figure:
    """alpha, D sqrt(n) and the size of the tail against the number of largest values dropped.

    The accepted number is marked in violet. Whether dropping helped is told by the second panel: a power law fits
    where D sqrt(n) is small, and a true one stays below 0.76 nineteen times out of twenty.

    Parameters
    ----------
    fit : FingerFit
        Of :func:`rmt_lab.fix_fingers`.
    fig : Figure, optional
        Where to draw; by default a pyplot figure.

    Returns
    -------
    Figure
        Its three Axes, from the top, are ``fig.axes``.

    Examples
    --------
    >>> import numpy as np
    >>> from matplotlib.figure import Figure
    >>> from rmt_lab.tails.fingers import fix_fingers
    >>> x = np.r_[np.linspace(1, 3, 60) ** 2, 80, 95]
    >>> len(plot_fingers(fix_fingers(x), fig=Figure()).axes)
    3
    """
    fig = fig or style.new_figure((8.0, 7.0))
    panels = fig.subplots(3, 1, sharex=True)
    ks = list(fit.tried)
    chosen = len(fit.dropped)
    curves: dict[str, list[float]] = {
        "exponent α": [f.alpha for f in fit.tried.values()],
        "misfit D√n": [f.scaled_D for f in fit.tried.values()],
        "values in the tail": [f.n_tail for f in fit.tried.values()],
    }
    seen = _in_words(fit, chosen)
    description = f"Exponent, misfit and size of the tail for {ks[0]} to {ks[-1]} largest values dropped. {seen}."
    for ax, (label, values) in zip(panels, curves.items(), strict=True):
        ax.plot(ks, values, "o-", color=FIT, linewidth=2, markersize=7)
        ax.axvline(chosen, color=GUIDE, linestyle=":", linewidth=1.5, zorder=1.5)
        ax.plot(chosen, values[ks.index(chosen)], "^", color=OUTLIER, markersize=13, zorder=4)
        ax.set_ylim(0, 1.15 * max(values))
        style.finish(ax, seen if ax is panels[0] else "", "", label, description)
    panels[1].set_ylim(0, 1.15 * max(PLAUSIBLE, *curves["misfit D√n"]))
    style.level(panels[1], PLAUSIBLE, "95 % of independent power-law values stay below")
    panels[2].set_xlabel("largest values dropped, $k$", fontsize=style.LABEL)
    panels[2].xaxis.set_major_locator(MaxNLocator(integer=True))
    return fig


def _in_words(fit: FingerFit, chosen: int) -> str:
    if not chosen:
        return f"No fingers: α stays {fit.raw.alpha:.2f}, whatever is dropped falls short"
    before, after = fit.raw.scaled_D, fit.fit.scaled_D
    return (
        f"Without {count(chosen, 'finger')} α is {fit.fit.alpha:.2f} instead of {fit.raw.alpha:.2f}. "
        f"D√n goes from {before:.2f} to {after:.2f}; the raw fit has the least D of all tails"
    )


ENDED = "#6e4300"  # of truncated power laws: a dark orange, as of the fits and told apart by lightness


def plot_fits(
    x: Array, fits: Mapping[str, PowerLawFit | TruncatedPowerLawFit], seen: str, ax: Axes, dropped: int = 0
) -> Axes:
    """The fraction of values at or above x, and fits by their labels: the first solid, others dashed, an end dotted.

    ``seen`` becomes the title. The ``dropped`` largest values are violet.
    """
    n, at_or_above = len(x), 1 - np.searchsorted(x, x) / len(x)
    kept = n - dropped
    ax.plot(x[:kept], at_or_above[:kept], ".", color=style.MEASURED, markersize=7, label=f"{kept} values")
    if dropped:
        ax.plot(x[kept:], at_or_above[kept:], "^", color=style.OUTLIER, markersize=10, label=f"{dropped} dropped")
    first = next(iter(fits.values()))
    for label, fit in fits.items():
        u = np.geomspace(fit.xmin, fit.xmax, 2 if isinstance(fit, PowerLawFit) else 60)
        if isinstance(fit, TruncatedPowerLawFit):
            line: dict[str, Any] = {"color": ENDED, "linestyle": ":", "linewidth": 2.2}
        else:
            dash, width = ("-", 3) if fit is first else ("--", 2.5)
            line = {"color": style.FIT, "linestyle": dash, "linewidth": width}
            ax.axvline(fit.xmin, color=style.GUIDE, linestyle=":", linewidth=1.5)
        ax.plot(u, np.mean(x >= fit.xmin) * fit.sf(u), label=label, zorder=3, **line)
    style.guide(ax, first.xmin, f"xmin {first.xmin:.3g}", end="bottom")
    left = max(x[0], min(*(fit.xmin for fit in fits.values()), np.median(x)) / 10)
    ax.set(xscale="log", yscale="log", xlim=(left / 1.2, 1.2 * x[-1]), ylim=(0.5 / n, 1.6))
    for axis in (ax.xaxis, ax.yaxis):
        style.plain_log_ticks(axis)
        axis.set_minor_locator(NullLocator())  # minor ticks take as long as all that is measured
    style.finish(ax, seen, "", "fraction of values ≥ x", f"Fraction of {n} values at or above x. {seen}.")
    return ax


FIGSIZE = (8.0, 6.4)


class Choice(NamedTuple):
    """The fit by hand, the one with the smallest distance D, all of them, and a truncated one on the tail by hand."""

    by_hand: PowerLawFit
    chosen: PowerLawFit
    scan: Scan
    truncated: TruncatedPowerLawFit | None


def choose(x: Array, size: int) -> Choice:
    """Fit a power law to the ``size`` largest values, by hand, and to the tail with the smallest distance D.

    Where the largest values are equal the nearest size at which a tail can begin is taken.

    Raises
    ------
    ValueError
        As :func:`rmt_lab.fit_power_law`.

    Examples
    --------
    >>> from rmt_lab.ensembles.samples import pareto
    >>> choose(pareto(1000, 2.5, rng=0), 100).by_hand
    PowerLawFit(alpha=2.467 +- 0.147, xmin=4.545, xmax=159, D=0.0561, n_tail=100 of 1000)
    """
    chosen = fit_power_law(x)
    return beside(chosen, chosen.scan(), size)


def beside(chosen: PowerLawFit, scan: Scan, size: int) -> Choice:
    """Beside the smallest distance D, which was searched already, the fit to about the ``size`` largest values."""
    i = int(np.abs(scan.n_tails - size).argmin())
    xmin, n = float(scan.xmins[i]), int(scan.n_tails[i])
    ended = fit_truncated_power_law(chosen.x, xmin, min_tail=min(n, 10)) if n >= 3 else None
    return Choice(fit_power_law(chosen.x, xmin), chosen, scan, ended)


def plot_choice(found: Choice, truncated: bool = True, alpha: float | None = None, fig: Figure | None = None) -> Figure:
    """The tail and its fits; below, the distance D and the exponent for every xmin.

    The band around the exponent is 1.96 (alpha - 1)/sqrt(n) wide on either side, which takes xmin for granted.

    Parameters
    ----------
    found : Choice
    truncated : bool
        Draw the truncated power law, too.
    alpha : float, optional
        The true exponent, where it is known.
    fig : Figure, optional
        Where to draw; by default a pyplot figure. Its three Axes, if it has three, are used again.

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> from rmt_lab.ensembles.samples import pareto
    >>> fig = plot_choice(choose(pareto(1000, 2.5, rng=0), 100), fig=Figure((8, 6)))
    >>> fig.axes[0].get_title("left")
    'By hand α = 2.47 ± 0.15, by the smallest D α = 2.55 ± 0.07'
    """
    by_hand, chosen, scan, ended = found
    fig = fig or style.new_figure(FIGSIZE)
    if len(fig.axes) != 3:
        fig.clear()
        fig.set_layout_engine("none")
        margins = {"left": 0.115, "right": 0.98, "bottom": 0.09, "top": 0.89, "hspace": 0.1}
        axes = fig.subplots(3, sharex=True, height_ratios=(2.2, 1, 1), gridspec_kw=margins)
        for ax in axes:
            ax.xaxis.set_visible(ax is axes[-1])
            ax.yaxis.set_label_coords(-0.085, 0.5)  # to look for room beside the ticks takes half as long as the rest
        ax.xaxis.set_label_coords(0.5, -0.26)
    tail, distance, exponent = panels(fig, 1, 1, 1)
    fits: dict[str, PowerLawFit | TruncatedPowerLawFit] = {"by hand": by_hand, "smallest D": chosen}
    if truncated and ended:
        fits["truncated"] = ended
    seen = f"By hand α = {by_hand.alpha:.2f} ± {by_hand.sigma:.2f}, "
    seen += f"by the smallest D α = {chosen.alpha:.2f} ± {chosen.sigma:.2f}"
    plot_fits(chosen.x, fits, seen, tail)
    distance.plot(scan.xmins, scan.Ds, color=FIT, linewidth=2)
    error = 1.96 * (scan.alphas - 1) / np.sqrt(scan.n_tails)
    exponent.fill_between(scan.xmins, scan.alphas - error, scan.alphas + error, color=FIT, alpha=0.25, linewidth=0)
    exponent.plot(scan.xmins, scan.alphas, color=FIT, linewidth=2)
    for ax, values in ((distance, (chosen.D, by_hand.D)), (exponent, (chosen.alpha, by_hand.alpha))):
        for fit, value, marker in zip((chosen, by_hand), values, "so", strict=True):
            ax.axvline(fit.xmin, color=style.GUIDE, linestyle=":", linewidth=1.5)
            ax.plot(fit.xmin, value, marker, color=FIT, markeredgecolor="black", markersize=9, zorder=4)
    if alpha:
        style.level(exponent, alpha, f"true α = {alpha:g}")
    Ds = scan.Ds[scan.xmins >= tail.get_xlim()[0]]
    distance.set_ylim(0, 1.15 * float(Ds.max(initial=by_hand.D)))
    exponent.set_ylim(1, 2 ** np.ceil(np.log2(1.3 * max(by_hand.alpha, chosen.alpha))))  # an axis that rarely moves
    words = f"Below, for every xmin the distance D, smallest at {chosen.xmin:.3g}, and the exponent with its error bar."
    for ax, label in ((distance, "distance D"), (exponent, "exponent α")):
        ax.set_ylabel(label, fontsize=style.LABEL)
        ax.spines[["top", "right"]].set_visible(False)
        ax.tick_params(labelsize=style.SMALL)
        style.remember(ax, words)
    exponent.set_xlabel("value x, and every xmin", fontsize=style.LABEL)
    return fig


FIGSIZE = (8.0, 6.6)
MOST_DROPPED = 10


def largest(k: int) -> str:
    """``"the largest"``, ``"the largest 2"``."""
    return "the largest" if k == 1 else f"the largest {k}"


class Peeling(NamedTuple):
    """The fits without the k largest values, by k; made by :func:`peel`.

    ``ruled`` is what the rule makes of the values, None where it fails.
    """

    x: Array
    fits: dict[int, PowerLawFit]
    ruled: FingerFit | None


def peel(x: Array, rule: Rule = "clip_xmax") -> Peeling:
    """Fit a power law without the k = 0 .. 10 largest values, and ask a rule how many should go.

    Raises
    ------
    ValueError
        As :func:`rmt_lab.fix_fingers`, where all values can't be fitted.

    Examples
    --------
    >>> from rmt_lab.ensembles.samples import pareto, plant
    >>> peeling = peel(plant(pareto(500, 2.5, rng=0), 2), rule="outliers")
    >>> peeling.ruled.num_fingers
    0
    """
    values = as_values(x)
    return _peel(values.tobytes())._replace(ruled=_ruled(values, rule))


@lru_cache(maxsize=4)
def _peel(values: bytes) -> Peeling:
    fits = fix_fingers(np.frombuffer(values)).tried
    return Peeling(fits[0].x, fits, None)


@lru_cache(maxsize=16)
def with_an_end(fit: PowerLawFit) -> TruncatedPowerLawFit | None:
    """The truncated power law on the tail of a fit; None where that has less than three values."""
    if fit.n_tail < 3:
        return None
    return fit_truncated_power_law(fit.x[-fit.n_tail :], fit.xmin, min_tail=min(fit.n_tail, 10))


def _ruled(x: Array, rule: Rule) -> FingerFit | None:
    try:
        return fix_fingers(x, rule)
    except ValueError:  # too few values for it
        return None


def plot_peeling(peeling: Peeling, k: int, name: str = "", fig: Figure | None = None) -> Figure:
    """The tail with all values and without the k largest; alpha and the misfit D sqrt(n) for every k.

    A circle marks k, a violet triangle the choice of the rule, a dark square the truncated power law on the same tail.

    Parameters
    ----------
    peeling : Peeling
    k : int
        How many of the largest values are left out.
    name : str
        What the values are.
    fig : Figure, optional
        Where to draw; by default a pyplot figure. Its three Axes, if it has three, are used again.

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> from rmt_lab.ensembles.samples import pareto, plant
    >>> fig = plot_peeling(peel(plant(pareto(500, 2.5, rng=0), 2)), k=2, fig=Figure())
    >>> fig.axes[0].get_title("left")
    'Without the largest 2: α 2.38 → 2.44, D√n 0.39 → 0.40'
    """
    fig = fig or style.new_figure(FIGSIZE)
    if len(fig.axes) != 3:
        _lay_out(fig)
    tail, exponent, misfit = panels(fig, 1, 1, 1)
    x, fits, ruled = peeling
    raw, fit, end = fits[0], fits[k], with_an_end(fits[k])
    shown: dict[str, PowerLawFit | TruncatedPowerLawFit] = {f"fit without {largest(k)}": fit} if k else {}
    shown["fit to all values"] = raw
    if end:
        shown["truncated"] = end
    seen = f"α = {raw.alpha:.2f} ± {raw.sigma:.2f} on {raw.n_tail} of {len(x)} values"
    if k:
        change = f"α {raw.alpha:.2f} → {fit.alpha:.2f}, D√n {raw.scaled_D:.2f} → {fit.scaled_D:.2f}"
        seen = f"Without {largest(k)}: {change}"
    plot_fits(x, shown, seen, tail, dropped=k)
    tail.set_title(seen, loc="left", fontsize=style.TITLE, pad=44)  # in place, whatever rows the legend has
    tail.set_xlabel(name or "value x", fontsize=style.LABEL)
    ks = list(fits)
    for ax, figure in ((exponent, "alpha"), (misfit, "scaled_D")):
        values = [getattr(f, figure) for f in fits.values()]
        ax.plot(ks, values, "-", color=FIT, linewidth=2)
        if ruled:
            chosen = getattr(ruled.fit, figure)
            ax.plot(len(ruled.dropped), chosen, "^", color=style.OUTLIER, markersize=15, zorder=4)
        ax.plot(k, values[ks.index(k)], "o", color=FIT, markeredgecolor="black", markersize=9, zorder=5)
        ax.set_ylim(0, 1.2 * max(values))
    misfit.set_ylim(0, 1.2 * max(PLAUSIBLE, *(f.scaled_D for f in fits.values())))
    if end:
        misfit.plot(k, end.scaled_D, "s", color=ENDED, markersize=8, zorder=5)
    style.level(misfit, PLAUSIBLE, "independent power laws: below")
    words = f"Below, exponent and misfit without the 0 to {ks[-1]} largest values."
    for ax, label in ((exponent, "exponent α"), (misfit, "misfit D√n")):
        ax.set_ylabel(label, fontsize=style.LABEL)
        style.remember(ax, words)
    if ruled:
        title = f"▲ {ruled.rule} drops {len(ruled.dropped) or 'none'}"
        exponent.set_title(title, loc="left", fontsize=style.SMALL, color=style.OUTLIER, y=1)
    return fig


def _lay_out(fig: Figure) -> None:
    """The tail above; two small panels on the same k beside each other below."""
    fig.clear()
    fig.set_layout_engine("none")
    grid = fig.add_gridspec(
        2, 2, left=0.115, right=0.98, bottom=0.09, top=0.84, hspace=0.4, wspace=0.25, height_ratios=(1.7, 1)
    )
    tail, *small = (fig.add_subplot(grid[place]) for place in ((0, slice(2)), (1, 0), (1, 1)))
    tail.xaxis.set_label_coords(0.5, -0.1)  # to look for room beside the ticks takes half as long as the rest
    tail.yaxis.set_label_coords(-0.085, 0.5)
    for ax in small:
        ax.set_xlim(-0.5, MOST_DROPPED + 0.5)
        ax.set_xticks(range(0, MOST_DROPPED + 1, 5))
        ax.locator_params("y", nbins=3)
        ax.set_xlabel("values dropped, k", fontsize=style.LABEL)
        ax.xaxis.set_label_coords(0.5, -0.2)
        ax.yaxis.set_label_coords(-0.155, 0.5)
        ax.tick_params(labelsize=style.SMALL)
        ax.spines[["top", "right"]].set_visible(False)
