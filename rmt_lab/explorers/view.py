"""The half of an explorer that is widgets: controls, picture and sentence around a model."""

from __future__ import annotations

import base64
import math
from collections.abc import Callable
from html import escape
from typing import Any, ClassVar

import ipywidgets as widgets
import traitlets
from matplotlib.figure import Figure

from .base import FIGSIZE, Code, Model
from .png import png

WIDTH = 720  # CSS pixels
DPI = 2 * WIDTH / FIGSIZE[0]  # twice as many in the picture, for a projector

_WIDE = {"description_width": "170px"}


class Explorer(widgets.VBox):
    """Sliders over one picture and one sentence that says what is seen.

    Parameters
    ----------
    **parameters
        Of the model, by name; what is not given has its default, and the reset button comes back to them.

    Attributes
    ----------
    model : Model
        The parameters; setting one moves its slider and the picture.
    """

    model_class: ClassVar[type[Model]] = Model

    def __init__(self, **parameters: Any) -> None:
        self.model = self.model_class(**parameters)
        self._first = self.model.parameters()
        self._shown: dict[str, Any] = {}
        self._busy = False
        self._figure = Figure(figsize=FIGSIZE, dpi=DPI)
        self.controls: dict[str, Any] = {}
        rows = [self._row(name, control) for name, control in self.model.controls().items()]
        self.presets = widgets.ToggleButtons(
            options=list(self.model.presets),
            value=None,
            description="presets",
            style={"description_width": "60px", "button_width": "auto"},
        )
        self.presets.observe(self._choose_preset, "value")
        self.buttons = {
            "new sample": self._button("new sample", "other random numbers, same parameters", self._new_sample),
            "reset": self._button("reset", "back to the first picture", lambda _: self.model.update(self._first)),
        }
        self.image = widgets.Image(format="png", width=WIDTH, layout={"max_width": "100%", "height": "auto"})
        self.text = widgets.HTML(layout={"max_width": f"{WIDTH}px"})
        wrap = {"flex_flow": "row wrap", "align_items": "center"}
        super().__init__(
            [
                widgets.HBox([self.presets, *self.buttons.values()], layout=wrap),
                widgets.HBox(rows, layout=wrap),
                self.image,
                self.text,
            ]
        )
        self._show()
        self.model.observe(self._show)

    @property
    def sentence(self) -> str:
        """What is seen now."""
        return self.model.sentence()

    def figure(self) -> Figure:
        """The present picture as a matplotlib figure of its own, which later moves of the sliders leave alone."""
        return self.model.draw(Figure(figsize=FIGSIZE))

    def code(self) -> Code:
        """Lines of code that make the present picture with the library alone."""
        return Code(self.model.code())

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{k}={v!r}' for k, v in self.model.parameters().items())})"

    def _repr_mimebundle_(self, **kwargs: Any) -> dict[str, Any]:
        """The widget, and the picture for where widgets do not run."""
        bundle = super()._repr_mimebundle_(**kwargs)
        data = {"text/plain": repr(self), "image/png": base64.b64encode(self.image.value).decode("ascii")}
        return dict(bundle or {}) | data

    def _show(self, _: Any = None) -> None:
        """Picture and sentence of the present parameters, once for each set of them."""
        parameters = self.model.parameters()
        if self._busy or parameters == self._shown:
            return
        self._busy, self._shown = True, parameters  # a list that gets other entries goes to its first for a moment
        for name, control in self.model.controls().items():
            if callable(control.get("options")) and self.controls[name].options != tuple(self.model.options(name)):
                self.controls[name].options = self.model.options(name)
                self.controls[name].value = parameters[name]
        self._busy = False
        self.image.value = png(self.model.draw(self._figure))
        self.text.value = (
            f'<div role="status" aria-live="polite" style="font-size: 16px; line-height: 1.35; min-height: 3.9em">'
            f"{escape(self.model.sentence())}</div>"
        )
        self.presets.value = self.model.preset()

    def _choose_preset(self, change: Any) -> None:
        if change.new not in (None, self.model.preset()):
            self.model.update(self.model.preset_values(change.new))

    def _new_sample(self, _: Any) -> None:
        self.model.seed += 1

    def _button(self, label: str, tooltip: str, act: Callable[[Any], None]) -> Any:
        button = widgets.Button(description=label, tooltip=tooltip, layout={"width": "auto"})
        button.on_click(act)
        return button

    def _row(self, name: str, control: dict[str, Any]) -> Any:
        """One control, linked with its parameter: a slider with a number box, a list or a box to tick."""
        if control["control"] == "number":
            return self._slider(name, control)
        label: dict[str, Any] = {"description": control["label"], "style": _WIDE}
        if control["control"] == "choice":
            widget = widgets.Dropdown(options=self.model.options(name), layout={"width": "354px"}, **label)
        else:
            widget = widgets.Checkbox(indent=True, layout={"width": "354px"}, **label)
        traitlets.link((self.model, name), (widget, "value"))
        self.controls[name] = widget
        return widget

    def _slider(self, name: str, control: dict[str, Any]) -> Any:
        trait: Any = self.model.traits()[name]
        whole = isinstance(trait, traitlets.Int)
        low, high, step = trait.min, trait.max, control["step"]
        kind = widgets.IntSlider if whole else widgets.FloatSlider
        if control["log"]:
            kind, low, high = widgets.FloatLogSlider, math.log10(low), math.log10(high)
        slider = kind(
            min=low, max=high, step=step, description=control["label"], readout=False, style=_WIDE,
            layout={"width": "354px"}, value=getattr(self.model, name),
        )  # fmt: skip
        box = (widgets.BoundedIntText if whole else widgets.BoundedFloatText)(
            min=trait.min, max=trait.max, step=1 if control["log"] else step, layout={"width": "80px"},
            tooltip=control["label"], continuous_update=False, value=getattr(self.model, name),
        )  # fmt: skip
        cast = (lambda x: round(x)) if whole else float
        back = (lambda x: float(x)) if control["log"] else cast
        traitlets.link((self.model, name), (slider, "value"), (back, cast))
        traitlets.link((self.model, name), (box, "value"))
        self.controls[name], self.controls[f"{name} box"] = slider, box
        return widgets.HBox([slider, box])
