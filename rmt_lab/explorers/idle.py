"""Controls that do nothing at present are greyed out."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from .base import Model
from .view import Explorer


class IdleModel(Model):
    """A model that knows which of its parameters do nothing in the present state."""

    def idle(self) -> Collection[str]:
        """Names of parameters; ``"seed"`` for the button that draws a new sample."""
        raise NotImplementedError


class IdleExplorer(Explorer):
    """An explorer of an :class:`IdleModel`."""

    model: IdleModel

    def _show(self, _: Any = None) -> None:
        super()._show()
        idle = self.model.idle()
        for name in self.model.controls():
            self.controls[name].disabled = name in idle
            if f"{name} box" in self.controls:
                self.controls[f"{name} box"].disabled = name in idle
        self.buttons["new sample"].disabled = "seed" in idle
