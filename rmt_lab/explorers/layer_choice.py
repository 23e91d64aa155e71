"""Which layer: model, role and block as controls, for the explorers that look at real ones."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache, partial
from typing import Any, ClassVar

from traitlets import validate

from .. import atlas
from ..analysis import layers_of
from ..atlas import Layer
from ..ensembles.matrices import Null
from ..spectrum import Spectrum
from .base import Model, choice, number
from .view import LinkedExplorer

MOST_BLOCKS = 1000


Layers = dict[str, list[Layer]]  # by role, in the order of the model


def by_role(layers: Iterable[Layer]) -> Layers:
    """Layers under their roles."""
    found: Layers = {}
    for layer in layers:
        found.setdefault(layer.role, []).append(layer)
    return found


@lru_cache(maxsize=8)
def atlas_layers(name: str) -> Layers:
    """The layers of a model of the atlas."""
    return by_role(atlas.load(name))


def source_layers(source: Any) -> Callable[[int], Layers]:
    """The layers of anything :func:`rmt_lab.analyze` takes, for a seed that their nulls are drawn from.

    The source is read once for the names, and each matrix when its layer is shown; none is kept.
    """
    source = list(source) if isinstance(source, Iterator) else source
    known: list[tuple[tuple[int, str, str, str], tuple[Null, ...]]] = []
    for x in layers_of(source):
        known.append(((x.layer_id, x.name, x.longname, x.layer_type), x.nulls))
        del x  # and its matrix, before the next one is read

    @lru_cache(maxsize=1024)
    def spectrum(layer_id: int) -> Spectrum:
        return next(layers_of(source, [layer_id])).spectrum

    def null(layer_id: int, kind: Null, seed: int) -> Spectrum:
        return next(layers_of(source, [layer_id], rng=seed)).null(kind)

    @lru_cache(maxsize=2)
    def layers(seed: int) -> Layers:
        return by_role(
            Layer(*look, partial(spectrum, look[0]), {kind: partial(null, look[0], kind, seed) for kind in nulls})
            for look, nulls in known
        )

    return layers


class LayerChoice(Model):
    """A layer by model, role and block; a block beyond the last one means the last one.

    Blocks are counted among the layers of one role, because some models have none that are called so.
    """

    model = choice(lambda m: m.models(), "model")
    role = choice(lambda m: list(m.layers()), "role")
    block = number(0, 0, MOST_BLOCKS, step=1, label="block")

    dependent: ClassVar[tuple[str, ...]] = ("role",)
    swept = "block"

    def models(self) -> list[str]:
        """What may be chosen as a model."""
        return atlas.names()

    def layers(self) -> Layers:
        """The layers of the present model."""
        return atlas_layers(self.model)

    def layer(self) -> Layer:
        """The present layer."""
        return self.layers()[self.role][min(self.block, self.last_block())]

    def key(self) -> str:
        """What finds the present layer in its model: its name, or its longname where others have the same name."""
        layer = self.layer()
        names = [x.name for layers in self.layers().values() for x in layers]
        return layer.name if names.count(layer.name) == 1 else layer.longname

    def last_block(self) -> int:
        """How far the block goes."""
        return len(self.layers()[self.role]) - 1

    def limits(self, name: str) -> tuple[float, float]:
        """Blocks end where the role does."""
        return (0, self.last_block()) if name == "block" else super().limits(name)

    @validate("block")
    def _at_most_the_last(self, proposal: Any) -> int:
        known = self.model in self.models() and self.role in self.layers()  # if not, both are about to change
        return int(min(proposal.value, self.last_block()) if known else proposal.value)


class LayerChoiceExplorer(LinkedExplorer):
    """An explorer whose lists and whose block slider follow the model and the role."""

    model: LayerChoice
    leads = ("model", "role")
    follows = "block"
