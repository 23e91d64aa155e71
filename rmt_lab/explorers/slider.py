"""A number box with a slider beside it, for one parameter of a model."""

from __future__ import annotations

import math
from typing import Any

import ipywidgets as widgets
import traitlets

from .base import Model

_LABEL = {"description_width": "140px"}
_BOX, _SLIDER = "222px", "126px"  # widths


def box_and_slider(model: Model, name: str) -> tuple[Any, Any]:
    """The two widgets of a parameter, linked with it. The label is the box's, which a screen reader can name.

    In the browser a slider shows the step nearest to its value, and reports that step as if it had been moved there. So
    it is heeded only when it comes to another step than that of the model's value: 768 typed into the box stays 768.
    """
    trait: Any = model.traits()[name]
    control, value = model.controls()[name], getattr(model, name)
    whole, log, step = isinstance(trait, traitlets.Int), control["log"], control["step"]
    low, high = (math.log10(trait.min), math.log10(trait.max)) if log else (trait.min, trait.max)
    box = (widgets.BoundedIntText if whole else widgets.BoundedFloatText)(
        value, min=trait.min, max=trait.max, step=1 if log else step, description=control["label"], style=_LABEL,
        layout={"width": _BOX},
    )  # fmt: skip
    kind = widgets.FloatLogSlider if log else widgets.IntSlider if whole else widgets.FloatSlider
    slider = kind(
        value, min=low, max=high, step=step, readout=False, tooltip=control["label"], layout={"width": _SLIDER}
    )

    def nearest_step(x: float) -> float:
        steps = math.floor(((math.log10(x) if log else x) - low) / step + 0.5)
        return min(low + steps * step, high)

    def same_step() -> bool:
        return math.isclose(nearest_step(slider.value), nearest_step(getattr(model, name)), abs_tol=1e-9)

    def moved(change: Any) -> None:
        if not same_step():
            setattr(model, name, round(change.new) if whole else round(change.new, 9))

    def follow(change: Any) -> None:
        if not same_step():
            slider.value = float(change.new) if log else change.new

    slider.observe(moved, "value")
    model.observe(follow, name)
    traitlets.link((model, name), (box, "value"))
    return box, slider
