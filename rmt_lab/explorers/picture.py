"""The picture of an explorer and its words, as one widget."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import anywidget
import ipywidgets as widgets
import traitlets


class Picture(anywidget.AnyWidget):
    """A picture and, below it, the words that a screen reader reads out when they change.

    Attributes
    ----------
    value : bytes
        The picture as a PNG.
    words : str
        What is seen.
    parameters : dict
        Of the state that is shown.
    sliders, boxes : dict of str to Widget
        The slider and the number box of each parameter that has them.
    width : int
        CSS pixels.

    Examples
    --------
    >>> from rmt_lab.explorers import BulkExplorer
    >>> BulkExplorer(M=20, Q=2.0).picture.words[:22]
    'The 20 eigenvalues of '
    """

    _esm = "".join(Path(__file__).with_name(name).read_text("utf-8") for name in ("frames.js", "picture.js"))

    value: Any = traitlets.Bytes().tag(sync=True)
    words: Any = traitlets.Unicode().tag(sync=True)
    parameters: Any = traitlets.Dict().tag(sync=True)
    sliders: Any = traitlets.Dict().tag(sync=True, **widgets.widget_serialization)
    boxes: Any = traitlets.Dict().tag(sync=True, **widgets.widget_serialization)
    width: Any = traitlets.Int().tag(sync=True)
