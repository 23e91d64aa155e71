"""The half of an explorer that is widgets: controls, picture and sentence around a model."""

from __future__ import annotations

import base64
import os
from collections.abc import Callable
from html import escape
from typing import Any, ClassVar

import ipywidgets as widgets
import traitlets
from matplotlib.figure import Figure

from .ahead import Ahead
from .base import Code, Model
from .flipbook import write_flipbook
from .picture import Picture
from .png import png
from .slider import Slider
from .sweep import steps
from .words import idea_and_questions, title

INCH = 90  # CSS pixels of an inch of the figure: 720 for a width of 8
DPI = 2 * INCH  # twice as many in the picture, for a projector

_CELL = 352  # CSS pixels: two controls side by side over the picture
_LABEL = {"description_width": "140px"}
_BOX, _SLIDER = "222px", "126px"  # widths of a number box and of the slider beside it


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
        self._figure = Figure(figsize=self.model.figsize, dpi=DPI)
        self._width = round(INCH * self.model.figsize[0])
        self.controls: dict[str, Any] = {}
        rows = [self._row(name, control) for name, control in self.model.controls().items()]
        self.presets = widgets.ToggleButtons(
            options=list(self.model.presets), value=None, style={"button_width": "auto"}, layout={"margin": "0"}
        )
        self.presets.observe(self._choose_preset, "value")
        self.buttons = {
            "new sample": self._button("new sample", "other random numbers, same parameters", self._new_sample),
            "reset": self._button("reset", "back to the first picture", lambda _: self.model.update(self._first)),
            "code": self._button("code", "the lines that make this picture", self._toggle_code),
        }
        self.picture = Picture(
            width=self._width,
            layout={"margin": "2px"},
            sliders={name: c for name, c in self.controls.items() if isinstance(c, Slider)},
            boxes={name: self.controls[f"{name} box"] for name, c in self.controls.items() if isinstance(c, Slider)},
        )
        self._ahead = Ahead(self.model, DPI, self.picture.send)
        self.listing = widgets.HTML(layout={"max_width": f"{self._width}px", "display": "none"})
        wrap = {"flex_flow": "row wrap", "align_items": "center", "max_width": f"{max(self._width, 2 * _CELL + 10)}px"}
        bars = [
            widgets.HBox([widgets.HTML("presets", layout={"width": "56px"}), self.presets], layout=wrap),
            widgets.HBox(rows, layout=wrap),
            widgets.HBox(list(self.buttons.values()), layout=wrap),
        ]
        super().__init__([*bars, self.picture, self.listing])
        self.add_class("rmt-lab-explorer")
        self._show()
        self.model.observe(self._show)

    @property
    def sentence(self) -> str:
        """What is seen now."""
        return self.model.sentence()

    def figure(self) -> Figure:
        """The present picture as a matplotlib figure of its own, which later moves of the sliders leave alone."""
        return self.model.draw(Figure(figsize=self.model.figsize))

    def code(self) -> Code:
        """Lines of code that make the present picture with the library alone."""
        return Code(self.model.code())

    def flipbook(self, name: str, path: str | os.PathLike[str]) -> None:
        """Write a page with one slider over pictures that are made now: it needs no kernel, no network, no server.

        All other parameters keep their present values. Each preset has a button: where it differs from the present
        values in this parameter alone, it moves the slider, and otherwise it shows a picture of its own.

        Parameters
        ----------
        name : str
            The parameter that the slider moves, one of ``model.controls()``; ``model.swept`` suits the explorer's idea.
        path : path
            ``.html``, written whole or not at all.

        Raises
        ------
        ValueError
            If there is no such parameter, if it changes nothing at present, or if the path ends in something else.
        OSError
            If the path cannot be written to.

        Examples
        --------
        >>> import tempfile
        >>> from rmt_lab.explorers import FingerExplorer
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = os.path.join(folder, "fingers.html")
        ...     FingerExplorer().flipbook("k", path)
        ...     0.1e6 < os.path.getsize(path) < 0.6e6
        True
        """
        write_flipbook(self.model, name, path, title(type(self)), idea_and_questions(type(self))[0])

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{k}={v!r}' for k, v in self.model.parameters().items())})"

    def _repr_mimebundle_(self, **kwargs: Any) -> dict[str, Any]:
        """The widget, and the picture for where widgets do not run."""
        bundle = super()._repr_mimebundle_(**kwargs)
        data = {"text/plain": repr(self), "image/png": base64.b64encode(self.picture.value).decode("ascii")}
        return dict(bundle or {}) | data

    def _show(self, _: Any = None) -> None:
        """Picture and sentence of the present parameters; what does nothing at present is greyed out."""
        self._redraw()
        idle = self.model.idle()
        for name in self.model.controls():
            self.controls[name].disabled = name in idle
            if f"{name} box" in self.controls:
                self.controls[f"{name} box"].disabled = name in idle
        self.buttons["new sample"].disabled = "seed" in idle

    def _redraw(self) -> None:
        """Picture and sentence, once for each set of parameters."""
        parameters = self.model.parameters()
        if self._busy or parameters == self._shown:
            return
        self._busy, self._shown = True, parameters  # a list that gets other entries goes to its first for a moment
        for name, control in self.model.controls().items():
            if callable(control.get("options")) and self.controls[name].options != tuple(self.model.options(name)):
                self.controls[name].options = self.model.options(name)
                self.controls[name].value = parameters[name]
        self._busy = False
        with self.picture.hold_sync():  # in one message
            self.picture.value = png(self.model.draw(self._figure))
            self.picture.words = self.model.sentence()
            self.picture.parameters = parameters
        self._list_code()
        self.presets.value = self.model.preset()
        self._ahead.changed()

    def _choose_preset(self, change: Any) -> None:
        if change.new not in (None, self.model.preset()):
            self.model.update(self.model.preset_values(change.new))

    def _toggle_code(self, _: Any) -> None:
        self.listing.layout.display = None if self.listing.layout.display else "none"
        self._list_code()

    def _list_code(self) -> None:
        if not self.listing.layout.display:
            self.listing.value = f'<pre style="font: 14px/1.4 monospace">{escape(self.model.code())}</pre>'

    def _new_sample(self, _: Any) -> None:
        self.model.seed += 1

    def _button(self, label: str, tooltip: str, act: Callable[[Any], None]) -> Any:
        button = widgets.Button(description=label, tooltip=tooltip, layout={"width": "auto"})
        button.on_click(act)
        return button

    def _row(self, name: str, control: dict[str, Any]) -> Any:
        """One control, linked with its parameter: a slider with a number box, a list or a box to tick."""
        if control["control"] == "number":
            box, slider = box_and_slider(self.model, name)
            self.controls[name], self.controls[f"{name} box"] = slider, box
            slider.on_msg(lambda *_: self._ahead.begin(name))  # the reader has touched it
            return widgets.HBox([box, slider], layout={"width": f"{_CELL}px", "align_items": "center"})
        width = {"width": f"{_CELL - 4}px"}  # and a margin of 2 on either side
        shape: dict[str, Any] = {"description": control["label"], "style": _LABEL, "layout": width}
        if control["control"] == "choice":
            widget = widgets.Dropdown(options=self.model.options(name), **shape)
        else:
            widget = widgets.Checkbox(**shape)
        traitlets.link((self.model, name), (widget, "value"))
        self.controls[name] = widget
        return widget


class LinkedExplorer(Explorer):
    """An explorer whose dependent lists, and how far one of whose sliders goes, change with other parameters."""

    leads: ClassVar[tuple[str, ...]] = ()  # those parameters
    follows: ClassVar[str] = ""  # the slider

    def __init__(self, **parameters: Any) -> None:
        super().__init__(**parameters)
        self.model.observe(self._settle, list(self.leads))  # by name: heard before the other lists hear of anything
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
        last = self.model.limits(self.follows)[1]
        slider, box = self.controls[self.follows], self.controls[f"{self.follows} box"]
        slider.stops = steps(self.model, self.follows)
        box.max = max(box.value, last)
        slider.value = box.value = min(wanted[self.follows], last)
        box.max = last
        self._busy = False


def box_and_slider(model: Model, name: str) -> tuple[Any, Any]:
    """The two widgets of a parameter, linked with it."""
    trait: Any = model.traits()[name]
    control, value = model.controls()[name], getattr(model, name)
    whole = isinstance(trait, traitlets.Int)
    box = (widgets.BoundedIntText if whole else widgets.BoundedFloatText)(
        value, min=trait.min, max=trait.max, step=1 if control["log"] else control["step"],
        description=control["label"], style=_LABEL, layout={"width": _BOX},
    )  # fmt: skip
    slider = Slider(value=value, stops=steps(model, name), label=control["label"], layout={"width": _SLIDER})

    def moved(change: Any) -> None:
        setattr(model, name, round(change.new) if whole else round(change.new, 9))

    def follow(change: Any) -> None:
        slider.value = change.new

    slider.observe(moved, "value")
    model.observe(follow, name)
    traitlets.link((model, name), (box, "value"))
    return box, slider
