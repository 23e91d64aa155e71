"""A tail without its largest values, one after another: what a few of them do to alpha, and what a rule makes of it."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from .. import atlas
from .._arrays import Array
from ..ensembles.samples import pareto, plant, truncated_pareto
from ..ensembles.spectra import gaussian_spectrum
from ..plotting import style
from ..plotting.tails import FIGSIZE, MOST_DROPPED, Peeling, largest, peel, plot_peeling, with_an_end
from ..tails.fingers import RULES, FingerFit
from ..tails.power_law import PowerLawFit
from .base import choice, number
from .layer_choice import MOST_BLOCKS, LayerChoice, LayerChoiceExplorer, Layers

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_SIZE = 500  # of the synthetic samples

#: Random values beside those of layers, and the lines that make them.
SYNTHETIC = {
    "truncated power law": "truncated_pareto({n}, alpha=2, rng={seed})",
    "power law": "pareto({n}, alpha=2.5, rng={seed})",
    "eigenvalues of Gaussian noise": "gaussian_spectrum({n}, {n}, rng={seed}).eigenvalues",
}
_VALUES = "all values"  # instead of a role


class FingerModel(LayerChoice):
    """Values, what is planted into them, how many are dropped, and a rule."""

    model = choice(lambda m: m.models(), "values", "smollm2")
    role = choice(lambda m: list(m.layers()), "role", "attention output")
    block = number(23, 0, MOST_BLOCKS, step=1, label="block")
    planted = number(0, 0, 5, step=1, label="fingers planted")
    k = number(1, 0, MOST_DROPPED, step=1, label="largest dropped k")
    rule = choice(RULES, "rule")

    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "one finger": {},
        "raw": {"k": 0},
        "true outliers": {"role": "embedding", "block": 0, "k": 6, "rule": "outliers"},
        "planted": {"model": "minilm", "role": "query", "block": 3, "planted": 3, "k": 3},
        "planted, ends": {"model": "truncated power law", "role": _VALUES, "block": 0, "planted": 2, "k": 2},
        "pure noise": {"model": "eigenvalues of Gaussian noise", "role": _VALUES, "block": 0},
    }
    swept = "k"
    figsize = FIGSIZE

    def models(self) -> list[str]:
        """Models of the atlas, that of the first picture first, and random values."""
        return [*sorted(atlas.names(), key=lambda name: name != "smollm2"), *SYNTHETIC]

    def layers(self) -> Layers:
        """Random values are a model of one layer, which is never asked for."""
        return {_VALUES: []} if self.model in SYNTHETIC else super().layers()

    def last_block(self) -> int:
        """0 for random values."""
        return 0 if self.model in SYNTHETIC else super().last_block()

    def values(self) -> Array:
        """The values, with what is planted."""
        if self.model not in SYNTHETIC:
            x = self.layer().spectrum.nonzero_eigenvalues
        elif self.model == "power law":
            x = pareto(_SIZE, 2.5, self.seed)
        elif self.model == "truncated power law":
            x = truncated_pareto(_SIZE, 2.0, self.seed)
        else:
            x = gaussian_spectrum(_SIZE, _SIZE, rng=self.seed).eigenvalues
        return plant(x, self.planted)

    def idle(self) -> Collection[str]:
        """Random values have no role, layers no random numbers."""
        if self.model in SYNTHETIC:
            return ("role", "block")
        return ("seed",) if self.last_block() else ("seed", "block")

    def compute(self) -> Peeling:
        """All fits."""
        return peel(self.values(), self.rule)

    def dropped(self) -> int:
        """k, or the most for which there is a fit."""
        return min(self.k, max(self.result.fits))

    def name(self) -> str:
        """What the values are."""
        name = self.model if self.model in SYNTHETIC else f"eigenvalues of {self.model} {self.layer().name}"
        return f"{name}, {style.count(self.planted, 'finger')} planted" if self.planted else name

    def draw(self, fig: Figure) -> Figure:
        """Tail, exponent and misfit."""
        return plot_peeling(self.result, self.dropped(), self.name(), fig)

    def sentence(self) -> str:
        """What dropping does, what the rule does, and the rival."""
        x, fits, ruled = self.result
        raw, fit = fits[0], fits[self.dropped()]
        end = with_an_end(fit)
        seen = f"{style.sentence('', self.name())}: all {len(x)} give {_in_words(raw)}. "
        if fit is not raw:
            alpha = "smaller" if fit.alpha < raw.alpha else "larger"
            moves = "falls" if fit.scaled_D < raw.scaled_D else "rises"
            seen += f"Without {largest(self.dropped())}: {_in_words(fit)}. So α is {alpha}, and D√n {moves}; "
            seen += "of all tails the raw fit has the least D. "
        seen += _rule_in_words(ruled, self.rule)
        return seen + (f" A truncated power law has D√n = {end.scaled_D:.2f}." if end else "")

    def code(self) -> str:
        """From the values to the picture."""
        if self.model not in SYNTHETIC:
            head = "from rmt_lab import atlas\n"
            x = f"atlas.load({self.model!r})[{self.key()!r}].spectrum.nonzero_eigenvalues"
        else:
            x = SYNTHETIC[self.model].format(n=_SIZE, seed=self.seed)
            name = x.partition("(")[0]
            head = f"from rmt_lab.ensembles{'' if name == 'gaussian_spectrum' else '.samples'} import {name}\n"
        if self.planted:
            head += "from rmt_lab.ensembles.samples import plant\n"
            x = f"plant({x}, fingers={self.planted})"
        return (
            f"{head}from rmt_lab.plotting import peel, plot_peeling\n\n"
            f"x = {x}\n"
            f"peeling = peel(x, rule={self.rule!r})\n"
            f"plot_peeling(peeling, k={self.dropped()}, name={self.name()!r})\n"
            f"print(peeling.fits[0], peeling.fits[{self.dropped()}], peeling.ruled, sep='\\n')\n"
        )


def _in_words(fit: PowerLawFit) -> str:
    return f"α = {fit.alpha:.2f} ± {fit.sigma:.2f} on {fit.n_tail}, D√n = {fit.scaled_D:.2f}"


def _rule_in_words(ruled: FingerFit | None, rule: str) -> str:
    if ruled is None:
        return f"These are too few values for the rule {rule}."
    if rule == "xmin_peak":
        return f"The rule xmin_peak drops none; with xmin near the peak, α = {ruled.alpha:.2f}."
    seen = f"The rule {rule} drops {len(ruled.dropped) or 'none'}"
    if len(ruled.dropped) != ruled.num_fingers:
        seen += f" and reports {ruled.num_fingers}"
    return f"{seen}, α = {ruled.alpha:.2f}."


class FingerExplorer(LayerChoiceExplorer):
    """A few eigenvalues far out can drive alpha; a smaller alpha without them is not yet a better fit.

    1. The first layer has alpha = 16, and 2.04 without one eigenvalue. On how many values does each stand, and what
       does the misfit D√n say of each? Which of the two would you report, if any?
    2. Plant three fingers into a layer that has none. Does alpha rise or fall? Which of the rules finds exactly three?
       And which of them finds fingers in pure noise?
    3. Go through the blocks of a role with the rule clip_xmax. In how many layers that it clips does D√n fall? The raw
       fit was chosen for the least D of all tails. So what would you expect of true power laws?

    Examples
    --------
    >>> explorer = FingerExplorer()
    >>> raw, without = (explorer.model.result.fits[k].alpha for k in (0, 1))
    >>> round(raw, 2), round(without, 2)
    (16.04, 2.04)
    """

    model_class = FingerModel
    model: FingerModel
