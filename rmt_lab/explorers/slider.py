"""A slider that stops at given values, with a name for a screen reader."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import anywidget
import traitlets


class Slider(anywidget.AnyWidget):
    """A slider over given values.

    It shows the stop that is nearest to its value, and moves to another stop only when a reader moves it: a value
    between two stops stays as it is.

    Attributes
    ----------
    value : float
        The present value.
    stops : list of float
        Where the slider stops, in ascending order.
    label : str
        What it is called.
    disabled : bool
        Whether it is greyed out.

    Examples
    --------
    >>> Slider(stops=[0.0, 0.5, 1.0], value=0.5, label="strength").value
    0.5
    """

    _esm = "".join(Path(__file__).with_name(name).read_text("utf-8") for name in ("frames.js", "slider.js"))

    value: Any = traitlets.Float().tag(sync=True)
    stops: Any = traitlets.List(traitlets.Float()).tag(sync=True)
    label: Any = traitlets.Unicode().tag(sync=True)
    disabled: Any = traitlets.Bool().tag(sync=True)

    @property
    def min(self) -> float:
        """The first stop."""
        return float(self.stops[0])

    @property
    def max(self) -> float:
        """The last stop."""
        return float(self.stops[-1])
