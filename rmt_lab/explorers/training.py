"""A training, step by step: the spectrum of a layer leaving the noise, with the losses and alpha beside it."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any, ClassVar

from .. import trainings
from ..analysis import LAYER_FAULTS
from ..plotting import style
from ..plotting.tails import PLAUSIBLE
from ..plotting.trainings import FIGSIZE, VIEWS, Followed, beyond, follow, noise_alphas, plot_training, views
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
    swept = "look"
    figsize = FIGSIZE

    def models(self) -> list[str]:
        """The recorded trainings."""
        return trainings.names()

    def training(self) -> trainings.Training:
        """The present training."""
        return _load(self.model)

    def layers(self) -> Layers:
        """The layers of the present training, as they are in the end."""
        return _layers(self.model)

    def step(self) -> int:
        """The recorded step; beyond the last one, the last one."""
        steps = self.training().steps
        return steps[min(self.look, len(steps) - 1)]

    def idle(self) -> Collection[str]:
        """Noise is drawn behind the tail alone."""
        steps = len(self.training().steps)
        return [*["block"] * (self.last_block() == 0), *["look"] * (steps == 1), *["seed"] * (self.view != VIEWS[2])]

    def compute(self) -> Followed | str:
        """All spectra and all fits of the layer; or why there are none."""
        try:
            followed = follow(self.training(), self.key())
            noise_alphas(*_shape(followed))  # drawn here, where a shape that has none is told
        except LAYER_FAULTS as error:  # of a matrix of zeros, say; the other layers are still there to be looked at
            return f"{self.layer().name} of {self.training().name} has no power law at every step: {error}"
        return followed

    def draw(self, fig: Figure) -> Figure:
        """Spectrum, losses and exponents."""
        if isinstance(self.result, str):
            style.finish(style.axes(fig), f"{self.layer().name} cannot be followed", "", "", self.result)
            return fig
        return plot_training(self.result, self.step(), self.view, self.seed, fig)

    def sentence(self) -> str:
        """Losses, what stands out and power law at this step, and what noise would give."""
        if isinstance(self.result, str):
            return f"{self.result}."
        training, name, spectra, fits = self.result
        i = training.steps.index(self.step())
        above, what = beyond(spectra[i], spectra[0], self.view, self.seed)
        s, fit = spectra[i], fits[i]
        many = len(s.singular_values)
        seen = f"Step {training.steps[i]} of {training.name}: {_losses(training, i)}. "
        seen += f"{style.sentence('', name)}, {s.N} × {s.M}: "
        seen += f"{len(above) or 'none'} of {many} singular values exceed{'s' * (len(above) < 2)} {what}; "
        seen += f"α = {fit.alpha:.2f} ± {fit.sigma:.2f} on {fit.n_tail} of {len(fit.x)} eigenvalues, "
        seen += f"D√n = {fit.scaled_D:.2f}. "
        low, high = noise_alphas(*_shape(self.result))
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
            f"{self.made()}\n"
            f"followed = follow(training, {self.key()!r})\n"
            f"plot_training(followed, step={self.step()}, view={self.view!r}{noise})\n"
            f"print(followed.fits[training.steps.index({self.step()})])\n"
        )

    def made(self) -> str:
        """The line that makes the training."""
        return f"training = trainings.load({self.model!r})"


def _shape(followed: Followed) -> tuple[int, int, int]:
    s = followed.spectra[0]
    return s.N, s.M, s.rf


def _losses(training: trainings.Training, i: int) -> str:
    if not training.has_losses:
        return "the losses were not recorded"
    best = int(training.test_loss.argmin())
    here = f"loss {training.train_loss[i]:.2f} on training text, {training.test_loss[i]:.2f} on held-out text"
    return f"{here} (best: {training.test_loss[best]:.2f} at step {training.steps[best]})"


@lru_cache(maxsize=4)
def _layers(name: str) -> Layers:
    training = _load(name)
    return by_role(training.at(training.steps[-1]))


def model_of(given: trainings.Training) -> type[TrainingModel]:
    """A model that looks at a training of one's own; see :class:`TrainingExplorer`."""
    last = len(given.steps) - 1
    found = by_role(given.at(given.steps[last]))
    shown = views(given)

    class OwnModel(TrainingModel):
        model = choice(lambda m: m.models(), "training", given.name)
        block = number(0, 0, MOST_BLOCKS, step=1, label="block")
        look = number(last, 0, last, step=1, label="recorded step no.")
        view = choice(shown, "show")

        presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
            "last step": {},
            "first step": {"look": 0},
            "bulk": {"view": shown[1]},
            "tail": {"view": shown[2]},
        }

        def models(self) -> list[str]:
            return [given.name]

        def training(self) -> trainings.Training:
            return given

        def layers(self) -> Layers:
            return found

        def made(self) -> str:
            if "source" not in given.record:
                shipped = given.name in trainings.names()
                return super().made() if shipped else "# training: the one that the explorer was given"
            facts = [(k, given.record[k]) for k in ("layers", "cache")]
            more = "".join(f", {k}={value!r}" for k, value in facts if value is not None)
            return f"training = trainings.record({given.record['source']!r}{more})"

    return OwnModel


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

    Parameters
    ----------
    source : Training or path, optional
        A training of your own in place of the shipped ones: what :func:`rmt_lab.trainings.record` returns, or the
        folder or pattern of checkpoints that it takes. The losses of checkpoints are not known, and are not drawn.
    **parameters
        Of the model.

    Raises
    ------
    ValueError, FileNotFoundError
        If the checkpoints cannot be read.

    Examples
    --------
    >>> explorer = TrainingExplorer()
    >>> explorer.model.step(), explorer.model.layer().name
    (2400, 'block 3 query')
    """

    model_class = TrainingModel
    model: TrainingModel

    def __init__(self, source: trainings.Training | str | os.PathLike[str] | None = None, **parameters: Any) -> None:
        self._source = ""
        if source is not None:
            training = source if isinstance(source, trainings.Training) else trainings.record(source)
            self._source = "training, " if training is source else f"{training.record['source']!r}, "
            self.model_class = model_of(training)  # type: ignore[misc]
        super().__init__(**parameters)

    def __repr__(self) -> str:
        return super().__repr__().replace("(", f"({self._source}", 1)
