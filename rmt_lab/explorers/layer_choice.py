"""Which layer: model, role and block as controls, for the explorers that look at real ones."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import lru_cache
from typing import Any, ClassVar, NamedTuple

import numpy as np

from .. import atlas, roles
from ..analysis import layers_of
from ..spectrum import Spectrum
from .base import choice, number
from .idle import IdleExplorer, IdleModel

MOST_BLOCKS = 1000


class Layer(NamedTuple):
    """A layer whose spectra are computed when asked for; ``shuffled`` takes a seed. ``key`` finds it in its source.

    ``shuffled`` is None where there are no weights, ``init_std`` where it is not known.
    """

    name: str
    key: str | int
    spectrum: Callable[[], Spectrum]
    shuffled: Callable[[int], Spectrum] | None
    init_std: float | None


Layers = dict[str, list[Layer]]  # by role, in the order of the model


@lru_cache(maxsize=8)
def atlas_layers(name: str) -> Layers:
    """The layers of a model of the atlas."""
    found: Layers = {}
    model = atlas.load(name)
    for x in model:
        key = x.name if model[x.name] is x else x.longname
        layer = Layer(x.name, key, lambda s=x.spectrum: s, lambda seed, s=x.shuffled: s, x.init_std)  # type: ignore[misc]
        found.setdefault(x.role, []).append(layer)
    return found


def source_layers(source: Any) -> Layers:
    """The layers of anything :func:`rmt_lab.analyze` takes, read once for their names and each when it is shown."""
    found: Layers = {}
    source = list(source) if isinstance(source, Iterator) else source
    for x in layers_of(source):
        found.setdefault(roles.role_of(x.longname), []).append(_unread(source, x))
        del x  # and its matrix, before the next one is read
    return found


def _unread(source: Any, x: Any) -> Layer:
    layer_id, name = x.layer_id, x.name

    def read() -> Any:
        return next(layers_of(source, layers=[layer_id]))

    spectrum = lru_cache(maxsize=1)(lambda: replace(read().spectrum(), name=name))
    if x.layer_type == "spectrum":
        return Layer(name, layer_id, spectrum, None, None)
    shuffled = lru_cache(maxsize=2)(lambda seed: read().shuffled(np.random.default_rng(seed)))
    return Layer(name, layer_id, spectrum, shuffled, None)


class LayerChoice(IdleModel):
    """A layer by model, role and block; a block beyond the last one means the last one.

    Blocks are counted among the layers of one role, because some models have none that are called so.
    """

    model = choice(lambda m: m.models(), "model")
    role = choice(lambda m: list(m.layers()), "role")
    block = number(0, 0, MOST_BLOCKS, step=1, label="block")

    dependent: ClassVar[tuple[str, ...]] = ("role",)  # lists that change with the model or the role

    def models(self) -> list[str]:
        """What may be chosen as a model."""
        return atlas.names()

    def layers(self) -> Layers:
        """The layers of the present model."""
        return atlas_layers(self.model)

    def layer(self) -> Layer:
        """The present layer."""
        return self.layers()[self.role][min(self.block, self.last_block())]

    def last_block(self) -> int:
        """How far the block goes."""
        return len(self.layers()[self.role]) - 1


class LayerChoiceExplorer(IdleExplorer):
    """An explorer whose lists and whose block slider follow the model and the role."""

    model: LayerChoice

    def __init__(self, **parameters: Any) -> None:
        super().__init__(**parameters)
        self.model.observe(self._settle, ["model", "role"])  # by name: heard before the other lists hear of anything
        self._settle()

    def _settle(self, _: Any = None) -> None:
        """Lists first, so that none is ever set to what it does not hold; then how far the slider goes."""
        if self._busy:
            return
        self._busy = True
        wanted = self.model.parameters()
        for name in self.model.dependent:
            options = self.model.options(name)
            if self.controls[name].options != tuple(options):
                self.controls[name].options = options  # which sets it to the first
            self.controls[name].value = wanted[name] if wanted[name] in options else options[0]
        last = self.model.last_block()
        for control in (self.controls["block"], self.controls["block box"]):
            control.max = max(control.value, last)
            control.value = min(wanted["block"], last)
            control.max = last
        self._busy = False
