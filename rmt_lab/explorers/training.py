"""A training, step by step: the spectrum of a layer leaving the noise, with the losses and alpha beside it."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any, ClassVar

from .. import trainings
from ..plotting import style
from ..plotting.tails import PLAUSIBLE
from ..plotting.trainings import FIGSIZE, VIEWS, Followed, beyond, follow, noise_alphas, plot_training
from .base import choice, number
from .layer_choice import MOST_BLOCKS, LayerChoice, LayerChoiceExplorer, Layers, by_role

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_MOST_RECORDED = 25  # steps, the initialisation among them

_load = lru_cache(maxsize=4)(trainings.load)


class TrainingModel(LayerChoice):
    """A training, one of its layers, one of its recorded steps, and a view."""

    model = choice(lambda m: m.models(), "training", "little")
    role = choice(lambda m: list(m.layers()), "role", "query")
    block = number(3, 0, MOST_BLOCKS, step=1, label="block")
    look = number(_MOST_RECORDED - 1, 0, _MOST_RECORDED - 1, step=1, label="recorded step no.")
    view = choice(VIEWS, "show")

    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "trained": {},
        "before training": {"look": 0},
        "first spikes": {"look": 12},
        "overfitted": {"role": "feed-forward out", "block": 5, "view": VIEWS[1]},
        "much data": {"model": "much"},
        "small batches": {"model": "small_batch"},
        "tail": {"role": "feed-forward in", "view": VIEWS[2]},
    }
    figsize = FIGSIZE

    def models(self) -> list[str]:
        """The recorded trainings."""
        return trainings.names()

    def layers(self) -> Layers:
        """The layers of the present training, as they are in the end."""
        return _layers(self.model)

    def step(self) -> int:
        """The recorded step; beyond the last one, the last one."""
        steps = _load(self.model).steps
        return steps[min(self.look, len(steps) - 1)]

    def idle(self) -> Collection[str]:
        """Noise is drawn behind the tail alone."""
        return [*["block"] * (self.last_block() == 0), *["seed"] * (self.view != VIEWS[2])]

    def compute(self) -> Followed:
        """All spectra and all fits of the layer."""
        return follow(_load(self.model), self.layer().name)

    def draw(self, fig: Figure) -> Figure:
        """Spectrum, losses and exponents."""
        return plot_training(self.result, self.step(), self.view, self.seed, fig)

    def sentence(self) -> str:
        """Losses, what stands out and power law at this step, and what noise would give."""
        training, name, spectra, fits = self.result
        i = training.steps.index(self.step())
        above, what = beyond(spectra[i], spectra[0], self.view, self.seed)
        s, fit, best = spectra[i], fits[i], int(training.test_loss.argmin())
        seen = f"Step {training.steps[i]} of {training.name}: loss {training.train_loss[i]:.2f} on training text, "
        seen += f"{training.test_loss[i]:.2f} on held-out text (best: {training.test_loss[best]:.2f} at step "
        seen += f"{training.steps[best]}). {style.sentence('', name)}, {s.N} × {s.M}: "
        seen += f"{len(above) or 'none'} of {s.M} singular values exceed{'s' * (len(above) < 2)} {what}; "
        seen += f"α = {fit.alpha:.2f} ± {fit.sigma:.2f} on {fit.n_tail} of {len(fit.x)} eigenvalues, "
        seen += f"D√n = {fit.scaled_D:.2f}. "
        low, high = noise_alphas(s.N, s.M)
        if low <= fit.alpha <= high:
            return f"{seen}Pure noise of this shape gives α = {low:.1f} to {high:.1f}, so this α says nothing."
        if fit.scaled_D > PLAUSIBLE:
            return f"{seen}95 % of power laws, even of independent values, have less than {PLAUSIBLE}."
        return f"{seen}Pure noise of this shape gives α = {low:.1f} to {high:.1f}."

    def code(self) -> str:
        """From the training to the picture."""
        noise = f", rng={self.seed}" if self.view == VIEWS[2] else ""
        return (
            "from rmt_lab import trainings\n"
            "from rmt_lab.plotting import follow, plot_training\n\n"
            f"training = trainings.load({self.model!r})\n"
            f"followed = follow(training, {self.layer().name!r})\n"
            f"plot_training(followed, step={self.step()}, view={self.view!r}{noise})\n"
            f"print(followed.fits[training.steps.index({self.step()})])\n"
        )


@lru_cache(maxsize=4)
def _layers(name: str) -> Layers:
    training = _load(name)
    return by_role(training.at(training.steps[-1]))


class TrainingExplorer(LayerChoiceExplorer):
    """Training begins with noise, and the spectrum shows what it adds: first spikes, then a tail, then little bulk.

    Steps were recorded evenly in their logarithm. The red band is what alpha would be in noise of the same shape.

    1. Go from step 0 onward. When does the first singular value leave the noise, and how far has the loss fallen by
       then? Do value and feed-forward layers begin earlier or later than query and key?
    2. The loss on held-out text has its minimum long before the end. Is there a sign of that minimum in the spectrum or
       in alpha? Look at several layers before you answer.
    3. Take much data instead of little. Which panel tells the two trainings apart, and which does not? Then take small
       batches.
    4. Find a layer whose alpha at the end is small and whose circle is open. What would you report of it?

    Examples
    --------
    >>> explorer = TrainingExplorer()
    >>> explorer.model.step(), explorer.model.layer().name
    (2400, 'block 3 query')
    """

    model_class = TrainingModel
    model: TrainingModel
