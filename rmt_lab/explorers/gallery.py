"""All explorers in tabs: a page to open on a projector."""

from __future__ import annotations

from html import escape
from typing import Any

import ipywidgets as widgets

from .bulk import BulkExplorer
from .edge import EdgeExplorer
from .fingers import FingerExplorer
from .heavy_tail import HeavyTailExplorer
from .layer import LayerExplorer
from .power_law import PowerLawExplorer
from .quality import QualityExplorer
from .repulsion import RepulsionExplorer
from .resolvent import ResolventExplorer
from .spike import SpikeExplorer
from .training import TrainingExplorer
from .view import Explorer
from .words import idea_and_questions, title

#: The explorers, in the order of the course.
KINDS: tuple[type[Explorer], ...] = (
    BulkExplorer,
    RepulsionExplorer,
    ResolventExplorer,
    EdgeExplorer,
    SpikeExplorer,
    HeavyTailExplorer,
    PowerLawExplorer,
    FingerExplorer,
    LayerExplorer,
    TrainingExplorer,
    QualityExplorer,
)


#: Tabs as wide as their titles: of equal width they cut the longer ones on a narrow page. In the colour of other text:
#: the grey of tabs that are not open is too weak to read.
_TABS = (
    "<style>.rmt-lab-gallery.jupyter-widgets.jupyter-widget-tab > .lm-TabBar .lm-TabBar-tab "
    "{ flex-basis: auto; color: var(--jp-ui-font-color1) }</style>"
)


def gallery() -> Gallery:
    """All explorers in tabs, each made when its tab is first opened.

    ``make explorers`` serves this as a web page of its own.

    Examples
    --------
    >>> shown = gallery()
    >>> shown.names[:2], len(shown.explorers)  # one tab is open
    (['bulk', 'repulsion'], 1)
    """
    return Gallery()


class Gallery(widgets.Tab):
    """Tabs of explorers, each under its idea, its questions beside it or, on a narrow page, below; see :func:`gallery`.

    Attributes
    ----------
    names : list of str
        The titles of the tabs.
    explorers : dict of str to Explorer
        Those that have been opened, by their titles.
    """

    def __init__(self) -> None:
        self._kinds = {title(kind): kind for kind in KINDS}
        self.explorers: dict[str, Explorer] = {}
        super().__init__([widgets.VBox() for _ in self._kinds], titles=self.names, selected_index=0)
        self.add_class("rmt-lab-gallery")
        self.observe(self._open, "selected_index")
        self._open()

    @property
    def names(self) -> list[str]:
        """The titles of the tabs."""
        return list(self._kinds)

    def __repr__(self) -> str:
        return "gallery()"

    def _repr_mimebundle_(self, **kwargs: Any) -> dict[str, Any]:
        """The tabs, and the picture of the open one for where widgets do not run."""
        bundle = super()._repr_mimebundle_(**kwargs)
        opened = self.explorers[self.names[self.selected_index or 0]]
        picture = {"image/png": opened._repr_mimebundle_()["image/png"]}
        return dict(bundle or {}) | {"text/plain": repr(self)} | picture

    def _open(self, _: Any = None) -> None:
        index = self.selected_index
        if index is None or self.names[index] in self.explorers:
            return
        kind = self._kinds[self.names[index]]
        explorer = self.explorers[self.names[index]] = kind()
        idea, questions = idea_and_questions(kind)
        asked = _html("p", questions)
        asked.layout.flex, asked.layout.max_width = "1 1 360px", "720px"
        beside = widgets.HBox([explorer, asked], layout={"flex_flow": "row wrap", "grid_gap": "0 40px"})
        above = _html("h3", [idea])
        above.value += _TABS
        self.children[index].children = (above, beside)


def _html(tag: str, paragraphs: list[str]) -> Any:
    style = "max-width: 720px; line-height: 1.35; font-size: 16px; margin: 6px 0"
    text = "".join(f'<{tag} style="{style}">{escape(p)}</{tag}>' for p in paragraphs)
    return widgets.HTML(text.replace("``", ""))
