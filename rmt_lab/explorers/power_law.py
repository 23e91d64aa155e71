"""Where does the tail begin? The exponent of a power law by hand and by the smallest Kolmogorov-Smirnov distance."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any, ClassVar

import ipywidgets as widgets
import numpy as np

from .. import atlas
from .._arrays import Array
from .._repr import html_table
from ..ensembles.samples import bulk_and_tail, pareto, truncated_pareto
from ..ensembles.spectra import gaussian_spectrum
from ..plotting.tails import FIGSIZE, Choice, beside, plot_choice
from ..tails.power_law import PowerLawFit, fit_power_law
from ..tails.search import Scan
from ..tails.truncated import TruncatedPowerLawFit
from .base import Model, choice, number, switch
from .view import Explorer

if TYPE_CHECKING:
    from matplotlib.figure import Figure

#: Values drawn from a tail with a known alpha ...
WITH_ALPHA: dict[str, Callable[..., Array]] = {
    "bulk and tail": bulk_and_tail,
    "Pareto": pareto,
    "truncated power law": truncated_pareto,
}
#: ... and without one ...
WITHOUT_ALPHA = ("lognormal", "eigenvalues of Gaussian noise")
#: ... and real ones: model and layer.
LAYERS = {
    f"{name}: {layer}": (model, layer)
    for name, model, layer in (
        ("MiniLM", "minilm", "block 3 query"),
        ("MiniLM", "minilm", "block 0 feed-forward in"),
        ("SmolLM2", "smollm2", "block 23 attention output"),
        ("SmolLM2", "smollm2", "word embedding"),
    )
}


class PowerLawModel(Model):
    """A sample and the size of its tail."""

    data = choice([*WITH_ALPHA, *WITHOUT_ALPHA, *LAYERS], "values")
    n = number(500, 50, 2000, step=50, label="how many values n")
    alpha = number(2.5, 1.5, 5.0, step=0.1, label="true exponent α")
    top = number(40.0, 0.5, 100.0, step=0.02, label="xmin: the top … %", log=True)
    truncated = switch(True, "rival: truncated")

    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "bulk and tail": {},
        "xmin too large": {"top": 1.5},
        "true power law": {"data": "Pareto", "top": 100.0},
        "truncated": {"data": "truncated power law", "top": 100.0},
        "real layer": {"data": "MiniLM: block 3 query", "top": 20.0},
        "pure noise": {"data": "eigenvalues of Gaussian noise", "top": 5.0},
    }
    swept = "top"
    figsize = FIGSIZE

    def idle(self) -> Collection[str]:
        """Layers are what they are; the lognormal and the noise have no alpha."""
        if self.data in LAYERS:
            return ("n", "alpha", "seed")
        return () if self.data in WITH_ALPHA else ("alpha",)

    def compute(self) -> Choice:
        """The fits; the search is not repeated while only the tail by hand changes."""
        chosen, scan = _searched(self.data, self.n, self.alpha, self.seed)
        return beside(chosen, scan, self._size())

    def _size(self) -> int:
        size = len(_searched(self.data, self.n, self.alpha, self.seed)[0].x)
        return max(2, round(self.top / 100 * size))

    def draw(self, fig: Figure) -> Figure:
        """Tail, distance and exponent."""
        return plot_choice(self.result, self.truncated, self.alpha if self.data in WITH_ALPHA else None, fig)

    def sentence(self) -> str:
        """Both fits, the truth and the rival."""
        by_hand, chosen, _, ended = self.result
        seen = f"By hand, from xmin = {by_hand.xmin:.3g}: {_in_words(by_hand)}. "
        seen += f"The distance D is smallest from {chosen.xmin:.3g}: {_in_words(chosen)}. "
        if self.data in WITH_ALPHA:
            seen += f"The true exponent is {self.alpha:g}, from xmin = 1 on. "
        elif self.data in WITHOUT_ALPHA:
            seen += "These values have no power law at all. "
        return seen + _rival_in_words(ended) if self.truncated else seen[:-1]

    def code(self) -> str:
        """From the values to the picture."""
        if self.data in LAYERS:
            model, layer = LAYERS[self.data]
            head, x = "from rmt_lab import atlas\n", f"atlas.load({model!r})[{layer!r}].spectrum.nonzero_eigenvalues"
        elif self.data in WITH_ALPHA:
            name = WITH_ALPHA[self.data].__name__
            head = f"from rmt_lab.ensembles.samples import {name}\n"
            x = f"{name}({self.n}, {self.alpha:g}, rng={self.seed})"
        elif self.data == "lognormal":
            head, x = "import numpy as np\n\n", f"np.exp(np.random.default_rng({self.seed}).standard_normal({self.n}))"
        else:
            head = "from rmt_lab.ensembles import gaussian_spectrum\n"
            x = f"gaussian_spectrum({2 * self.n}, {self.n}, rng={self.seed}).eigenvalues"
        known = f", alpha={self.alpha:g}" if self.data in WITH_ALPHA else ""
        return (
            f"{head}from rmt_lab.plotting import choose, plot_choice\n\n"
            f"x = {x}\n"
            f"found = choose(x, size={self._size()})\n"
            f"plot_choice(found, truncated={self.truncated}{known})\n"
            f"print(found.by_hand, found.chosen, found.truncated, sep='\\n')\n"
        )

    def evidence(self) -> str:
        """Bootstrap error bars, goodness of fit and rivals, as a piece of HTML: what is too slow for a slider."""
        by_hand, chosen = self.result[:2]
        rows = {}
        for name, fit in (("by hand", by_hand), ("smallest D", chosen)):
            low, high = fit.interval(rng=self.seed)
            rows[f"α {name}, 95 % of resamples"] = f"{low:.2f} .. {high:.2f}"
        rows["power laws that fit worse than the smallest D"] = f"{chosen.p_value(rng=self.seed):.1%}"
        try:
            rivals = by_hand.compare()
        except ImportError as error:
            return html_table("Evidence", rows | {"rivals": str(error)})
        for name, R in rivals.R.items():
            better = f"{'power law' if R > 0 else 'rival'} is likelier, p = {rivals.p[name]:.2g}"
            rows[f"{name.replace('_', ' ')}, by hand"] = "no fit found" if math.isnan(R) else better
        return html_table("Evidence", rows)


def _in_words(fit: PowerLawFit) -> str:
    return f"α = {fit.alpha:.2f} ± {fit.sigma:.2f} on {fit.n_tail} values, D√n = {fit.scaled_D:.2f}"


def _rival_in_words(ended: TruncatedPowerLawFit | None) -> str:
    if ended is None:
        return "By hand there are too few values for a truncated power law."
    if not ended.Lambda:
        return "By hand, the best of the truncated power laws has no truncation."
    p = f"p = {ended.p:.2g}" if ended.p >= 0.001 else "p < 0.001"
    better = "fits significantly better" if ended.p < 0.05 else "fits no better"
    return f"By hand, a truncated power law (α = {ended.alpha:.2f}, e^(-x/{1 / ended.Lambda:.3g})) {better}, {p}."


def _values(data: str, n: int, alpha: float, seed: int) -> Array:
    if data in LAYERS:
        model, layer = LAYERS[data]
        return atlas.load(model)[layer].spectrum.nonzero_eigenvalues
    if data in WITH_ALPHA:
        return WITH_ALPHA[data](n, alpha, rng=seed)
    if data == "lognormal":
        return np.exp(np.random.default_rng(seed).standard_normal(n))
    return gaussian_spectrum(2 * n, n, rng=seed).eigenvalues


@lru_cache(maxsize=2)
def _searched(data: str, n: int, alpha: float, seed: int) -> tuple[PowerLawFit, Scan]:
    chosen = fit_power_law(_values(data, n, alpha, seed))
    return chosen, chosen.scan()


class PowerLawExplorer(Explorer):
    """A power law is fitted to a tail, and the tail begins where somebody says so: xmin decides what alpha is.

    The button "evidence" computes what is too slow for a slider: bootstrap error bars, goodness of fit, four rivals.

    1. Move xmin by hand, from all values to the top 1 %. Over which stretch does alpha stay within its own error bar?
       Is the smallest D in it?
    2. The bulk and tail has a true alpha. Draw new samples: how far does the choice of smallest D stray from it, and
       how often is that more than its error bar? Why does the evidence give a longer one?
    3. Gaussian noise has no power law. What alpha does it get, and from how many values? What, in the picture or in the
       evidence, would have warned you? And can you tell it from the real layer?

    Examples
    --------
    >>> explorer = PowerLawExplorer(data="Pareto", n=2000, top=100.0)
    >>> explorer.model.result.by_hand
    PowerLawFit(alpha=2.502 +- 0.034, xmin=1, xmax=159, D=0.0092, n_tail=2000 of 2000)
    """

    model_class = PowerLawModel
    model: PowerLawModel

    def __init__(self, **parameters: Any) -> None:
        self.evidence = widgets.HTML()
        super().__init__(**parameters)
        self.buttons["evidence"] = self._button("evidence", "error bars, goodness of fit and rivals", self._judge)
        box: Any = self
        row = next(child for child in box.children if self.buttons["reset"] in getattr(child, "children", ()))
        row.children = tuple(self.buttons.values())
        box.children = (*box.children, self.evidence)

    def _judge(self, _: Any) -> None:
        self.evidence.value = self.model.evidence()

    def _show(self, _: Any = None) -> None:
        before = self._shown
        super()._show()
        if self._shown is not before:  # the evidence was that of another state
            self.evidence.value = ""
