"""Eigenvalues as a gas of charges: from independent points to a random matrix, by time and by temperature.

Real matrices repel their levels with beta = 1, and time leads there by Dyson's Brownian motion. Any other beta has no
matrix whose entries could move: it is shown at rest, as the ensemble that the motion would end in.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

import numpy as np

from .._arrays import Array
from ..ensembles.dyson import dyson
from ..ensembles.spectra import laguerre_spectrum
from ..laws.high_temperature import HighTemperatureMarchenkoPastur
from ..laws.semicircle import Semicircle
from ..laws.spacings import SpacingLaw, number_variance, spacings, window_counts
from ..plotting.levels import REPULSION_SIZE, REPULSION_VIEWS, SMALL_SPACING, plot_repulsion, plot_temperature
from .base import Model, choice, number
from .view import Explorer

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_FIRST, _LAST, _TIMES = 0.001, 1000.0, 31  # in units of 1 / n


class Repulsion(NamedTuple):
    """Paths of one matrix, the eigenvalues of several at one time, their spacings, and the counts in windows.

    There are no paths at rest.
    """

    paths: Array | None
    matrices: Array
    spacings: Array
    counts: Array


class RepulsionModel(Model):
    """Matrices that start as n independent points of the semicircle and end as those of the GOE; or others, at rest."""

    time = number(_FIRST, _FIRST, _LAST, step=0.1, label="time, in 1/n", log=True)
    beta = number(1.0, 0.1, 4.0, step=0.1, label="repulsion β")
    width = number(10, 1, 40, step=1, label="window, spacings")
    n = number(100, 50, 200, step=50, label="size n")
    draws = number(10, 1, 20, step=1, label="matrices drawn")
    view = choice(REPULSION_VIEWS, "view")

    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "independent": {},
        "a little repulsion": {"time": 0.1},
        "repelled, not rigid": {"time": 10.0, "width": 40, "view": REPULSION_VIEWS[1]},
        "a random matrix": {"time": _LAST},
        "rigid": {"time": _LAST, "width": 40, "view": REPULSION_VIEWS[1]},
        "many levels": {"time": _LAST, "draws": 20},
        "hot": {"beta": 0.1, "draws": 20},
        "cold": {"beta": 4.0, "draws": 20},
    }
    swept = "time"
    figsize = REPULSION_SIZE

    def compute(self) -> Repulsion:
        """Paths, and spacings and counts of other matrices at the present time; or of those at rest."""
        law: Any = Semicircle()
        if self.at_rest:
            law, matrices = _law(self.n, self.beta), _at_rest(self.n, self.beta, self.draws, self.seed)
        else:
            matrices = _matrices(self.n, self.time, self.draws, self.seed)
        s = np.concatenate([spacings(x, law) for x in matrices])
        counts = np.concatenate([window_counts(x, self.width, law) for x in matrices])
        return Repulsion(None if self.at_rest else _paths(self.n, self.seed), matrices, s, counts)

    @property
    def at_rest(self) -> bool:
        """Whether the levels do not move: for every beta but 1."""
        return bool(self.beta != 1)

    def idle(self) -> Collection[str]:
        """Time, at rest."""
        return ["time"] if self.at_rest else []

    def draw(self, fig: Figure) -> Figure:
        """Paths, or levels at rest, and a histogram beside them."""
        paths, matrices = self.result.paths, self.result.matrices
        if paths is None:
            return plot_temperature(matrices, _law(self.n, self.beta), self.beta, self.width, self.view, fig)
        return plot_repulsion(_times(), paths, self.time, matrices, Semicircle(), self.width, self.view, fig)

    def sentence(self) -> str:
        """Repulsion from the spacings and rigidity from the counts, each beside both of its laws."""
        s, counts, L = self.result.spacings, self.result.counts, self.width
        share, poisson, wigner = np.mean(s < SMALL_SPACING), *(SpacingLaw(b).cdf(SMALL_SPACING) for b in (0, self.beta))
        variance = np.mean((counts - L) ** 2)
        if self.view == REPULSION_VIEWS[0]:
            wigners = SpacingLaw(self.beta).var() ** 0.5
            more = f"The standard deviation of the spacings is {s.std():.2f} of their mean (1, {wigners:.2f})."
        else:
            more = f"The windows hold {counts.min()} to {counts.max()} levels."
        if self.at_rest:
            head, other = f"β = {self.beta:.3g}, at rest", "of this β"
        else:
            head, other = f"Time {self.time:.4g} / n", "of a random matrix"
        return (
            f"{head}; in parentheses the law of independent levels, then that {other}. "
            f"Repulsion: {share:.1%} of {len(s)} spacings are below a quarter of the mean ({poisson:.1%}, "
            f"{wigner:.1%}). Rigidity: the number of levels in a window of {L} has variance {variance:.2g} "
            f"({L * (1 - L / self.n):.2g}, {number_variance(L, self.beta):.2g}). {more}"
        )

    def code(self) -> str:
        """From the points, or the ensemble, to the picture."""
        if self.at_rest:
            return (
                "import numpy as np\n"
                "from rmt_lab.ensembles import laguerre_spectrum\n"
                "from rmt_lab.laws import HighTemperatureMarchenkoPastur\n"
                "from rmt_lab.plotting import plot_temperature\n\n"
                f"n, beta = {self.n}, {self.beta!r}\n"
                f"rng = np.random.default_rng([{self.seed}, 1])\n"
                f"spectra = [laguerre_spectrum(2 * n, n, beta, rng=rng) for _ in range({self.draws})]\n"
                "matrices = np.array([s.eigenvalues for s in spectra])\n"
                "law = HighTemperatureMarchenkoPastur(Q=2, c=beta * n / 2)\n"
                f"plot_temperature(matrices, law, beta, width={self.width}, view={self.view!r})\n"
            )
        return (
            "import numpy as np\n"
            "from rmt_lab.ensembles import dyson\n"
            "from rmt_lab.laws import Semicircle\n"
            "from rmt_lab.plotting import plot_repulsion\n\n"
            f"n, time, law = {self.n}, {self.time!r}, Semicircle()\n"
            f"times = np.geomspace({_FIRST}, {_LAST}, {_TIMES})  # in units of 1 / n\n"
            f"rng = np.random.default_rng({self.seed})\n"
            "paths = dyson(law.rvs(n, rng), times / n, rng=rng)\n"
            f"rng = np.random.default_rng([{self.seed}, 1])\n"
            f"points = law.rvs(({self.draws}, n), rng)\n"
            "matrices = [dyson(p, [time / n], rng=rng)[0] for p in points]\n"
            f"plot_repulsion(times, paths, time, matrices, law, width={self.width}, view={self.view!r})\n"
        )


def _times() -> Array:
    return np.geomspace(_FIRST, _LAST, _TIMES)


@lru_cache(maxsize=4)  # a seed's paths for each size of the slider
def _paths(n: int, seed: int) -> Array:
    rng = np.random.default_rng(seed)
    return dyson(Semicircle().rvs(n, rng), _times() / n, rng=rng)


@lru_cache(maxsize=2)  # they stay while the window moves
def _matrices(n: int, time: float, draws: int, seed: int) -> Array:
    rng = np.random.default_rng([seed, 1])
    return np.array([dyson(p, [time / n], rng=rng)[0] for p in Semicircle().rvs((draws, n), rng)])


def _law(n: int, beta: float) -> HighTemperatureMarchenkoPastur:
    return HighTemperatureMarchenkoPastur(Q=2, c=beta * n / 2)


@lru_cache(maxsize=2)
def _at_rest(n: int, beta: float, draws: int, seed: int) -> Array:
    rng = np.random.default_rng([seed, 1])
    return np.array([laguerre_spectrum(2 * n, n, beta, rng=rng).eigenvalues for _ in range(draws)])


class RepulsionExplorer(Explorer):
    """Eigenvalues repel each other like charges on a line, and their counts in a window hardly vary: two things.

    At first the levels are independent points of the semicircle. Then the entries of the matrix move at random
    (Dyson's Brownian motion), until nothing of the points is left. The density of levels stays the same all the time.

    1. Predict first: what share of independent levels has the next level within a quarter of the mean spacing? And of
       a random matrix? Move the time from its smallest to its largest value.
    2. The ticks of a ruler have equal spacings, of standard deviation 0. Independent levels have 1. Where between the
       two is a random matrix?
    3. Choose time 10 and a window of 40 spacings, and look at the counts. The spacings are nearly those of a random
       matrix by then. Are the counts? At which time do they become so, and at which time for a window of 4?
    4. Make the window ten times as wide at time 1000, from 4 to 40. By what factor does the variance of the count grow?
    5. The strength of the repulsion is a temperature: β = 1 for real matrices, weak for a small β. Move β. It shows the
       levels that the motion ends in, each column one matrix. At which β would you take them for independent ones?

    Examples
    --------
    >>> explorer = RepulsionExplorer(time=1000.0)
    >>> explorer.model.result.spacings.std().round(2)
    np.float64(0.53)
    """

    model_class = RepulsionModel
