"""The spectrum blurred by a distance from the real axis, over the root of an equation, and what one row changes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ..laws.marchenko_pastur import MarchenkoPastur
from . import style

if TYPE_CHECKING:
    from matplotlib.figure import Figure

RESOLVENT_SIZE = (10.0, 5.0)  # inches


def plot_resolvent(
    z: npt.NDArray[Any],
    m: npt.NDArray[Any],
    law: MarchenkoPastur,
    change: npt.NDArray[Any] | None = None,
    fig: Figure | None = None,
) -> Figure:
    """The measured Im m(z) / pi over that of the law, and beside it the change of the trace without one row.

    Parameters
    ----------
    z : complex array
        x + i eta, with one eta > 0 and ascending x.
    m : complex array
        The Stieltjes transform of the sample at z, as from ``laws.stieltjes``.
    law : MarchenkoPastur
        Whose ``stieltjes(z)``, the root of a quadratic equation, is drawn in red.
    change : array, optional
        By how much the trace of the resolvent, M m(z), differs from that without one row of W. A second panel shows
        its absolute value under the bound 1 / eta.
    fig : Figure, optional

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> from rmt_lab.ensembles import gaussian_spectrum
    >>> from rmt_lab.laws import stieltjes
    >>> law, z = MarchenkoPastur(Q=2), np.linspace(-0.3, 3.3, 400) + 0.1j
    >>> fig = plot_resolvent(z, stieltjes(gaussian_spectrum(400, 200, rng=0), z), law, fig=Figure())
    >>> fig.axes[0].get_title("left")
    'The two curves differ by at most 0.018'
    """
    fig = fig or style.new_figure(RESOLVENT_SIZE, layout=None)
    left, *others = style.panels(fig, 1) if change is None else style.panels(fig, 1.6, 1)
    x, eta, root = z.real, float(z.imag[0]), law.stieltjes(z)
    width = law.upper_edge - law.lower_edge
    inside = np.linspace(law.lower_edge + 0.1 * width, law.upper_edge, 200)  # a square matrix has a pole at 0
    top = 1.4 * float(law.pdf(inside).max())
    top = max(top, min(1.1 * float(root.imag.max()) / np.pi, 2 * top))
    sharp = (
        law.lower_edge + width * (1 - np.cos(np.linspace(0.001, np.pi, 400))) / 2
    )  # close together where it is steep
    left.plot(sharp, law.pdf(sharp), ":", color=style.GUIDE, linewidth=2, label="law, η → 0")
    left.plot(x, m.imag / np.pi, color=style.MEASURED, linewidth=2.5, label="measured")
    left.plot(x, root.imag / np.pi, "--", color=style.NOISE, linewidth=2.2, label="root of the equation")
    left.set(xlim=(x[0], x[-1]), ylim=(0, top))
    if (highest := float(m.imag.max()) / np.pi) > top:
        left.text(0.995, 0.93, f"up to {highest:.2g} ↑", transform=left.transAxes, ha="right", fontsize=style.SMALL,
                  color=style.MEASURED)  # fmt: skip
    distance = float(np.abs(m.imag - root.imag).max() / np.pi)
    seen = f"The two curves differ by at most {distance:.2g}"
    description = f"The spectrum blurred by {eta:.3g} and the root of the quadratic equation. {seen}."
    style.finish(left, seen, "$x$, the real part of $z$", "Im $m(z)$ / π", description)
    if change is not None:
        (right,), moved = others, np.abs(change)
        right.plot(x, moved, color=style.MEASURED, linewidth=2.5)
        style.level(right, 1 / eta, f"bound 1 / η = {1 / eta:.3g}")
        right.set(xlim=(x[0], x[-1]), ylim=(0, 1.25 / eta))
        seen = f"Without one row: at most {moved.max():.2g}"
        description = f"Change of the trace against x, below the bound {1 / eta:.3g}. {seen}."
        style.finish(right, seen, "$x$, the real part of $z$", "change of tr $(X - z)^{-1}$", description)
        for ax in (left, right):
            ax.set_title(ax.get_title("left"), loc="left", fontsize=style.TITLE, pad=44)
    return fig
