"""Frames that a slider may need next, rendered while the kernel has nothing else to do."""

from __future__ import annotations

import asyncio
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from .base import Model
from .png import points, small_png
from .sweep import steps

MOST = 40  # frames that are kept, in the browser: some 1 MB
NEAR = 8  # steps on either side of the present value that come before all others
QUIET = 0.05  # s without a change of the model before any work
GAP = 0.01  # s between two pieces of work, for what the browser asks meanwhile

Send = Callable[[dict[str, Any], list[bytes]], None]


class Ahead:
    """The frames of one slider, ready before it is moved.

    They are made in short pieces on the kernel's event loop, the nearest to the present value first. A change of the
    model puts them off, and a change of anything but the slider's own parameter ends them. Where no event loop runs,
    nothing happens.

    Parameters
    ----------
    model : Model
        Whose slider is moved. It is never changed; the frames are made from a copy.
    dpi : float
        Points of a frame per inch of the figure.
    send : callable
        Takes a message and its buffers: ``{"sweep": name}`` for a new sweep, or None for none; for each frame
        ``{"frame": stop, "words": sentence, "drop": stops}``, where ``drop`` are the frames that are no longer kept.

    Examples
    --------
    >>> from rmt_lab.explorers import SpikeExplorer
    >>> ahead = Ahead(SpikeExplorer().model, 90, lambda message, buffers: print(message))
    >>> ahead.begin("strength")  # here no event loop runs
    """

    def __init__(self, model: Model, dpi: float, send: Send) -> None:
        self._model, self._send = model, send
        self._figure = Figure(figsize=model.figsize, dpi=dpi)
        self._name: str | None = None
        self._fixed: dict[str, Any] = {}
        self._timer: asyncio.TimerHandle | None = None

    def begin(self, name: str) -> None:
        """Make the frames of a slider, unless that is being done already."""
        fixed = self._others(name)
        if (self._name, self._fixed) == (name, fixed):
            return
        try:
            self._loop = asyncio.get_running_loop()
        except RuntimeError:
            return
        self._name, self._fixed = name, fixed
        self._stops = steps(self._model, name)
        self._copy = self._model.copy()
        self._kept: set[int] = set()
        self._failed: set[int] = set()
        self._work = self._pieces()
        self._send({"sweep": name}, [])
        self._put_off()

    def changed(self) -> None:
        """The model has changed: what was begun is put off, or is of no use any more."""
        if self._name is None:
            return
        if self._fixed == self._others(self._name):
            self._put_off()
            return
        self.end()
        self._send({"sweep": None}, [])

    def end(self) -> None:
        """Make no more frames."""
        self._name = None
        if self._timer:
            self._timer.cancel()

    def _others(self, name: str) -> dict[str, Any]:
        return {other: value for other, value in self._model.parameters().items() if other != name}

    def _put_off(self) -> None:
        if self._timer:
            self._timer.cancel()
        self._timer = self._loop.call_later(QUIET, self._piece)

    def _piece(self) -> None:
        with warnings.catch_warnings():  # the exact picture says them
            warnings.simplefilter("ignore")
            if next(self._work, self) is self:
                self._work = self._pieces()  # for when the slider has moved on
            else:
                self._timer = self._loop.call_later(GAP, self._piece)

    def _pieces(self) -> Iterator[None]:
        """All that is to be done, one frame after another, with a rest after each of its four parts."""
        assert self._name is not None
        while missing := self._missing():
            stop = missing[0]
            try:
                setattr(self._copy, self._name, self._stops[stop])
                words = self._copy.sentence()
                yield
                self._copy.draw(self._figure)
                yield
                rendered = points(self._figure)
                yield
                picture = small_png(rendered)
            except Exception:  # the exact picture says what is wrong
                self._failed.add(stop)
                continue
            self._send({"frame": stop, "words": words, "drop": self._keep(stop)}, [picture])
            yield

    def _missing(self) -> list[int]:
        return [i for i in wanted(len(self._stops), self._present()) if i not in self._kept | self._failed]

    def _present(self) -> int:
        value = getattr(self._model, str(self._name))
        return int(np.abs(np.asarray(self._stops, float) - value).argmin())

    def _keep(self, stop: int) -> list[int]:
        """Keep a frame; which ones make room, those farthest from the present value first."""
        present = self._present()
        keep = set(wanted(len(self._stops), present))
        old = sorted(self._kept - keep, key=lambda i: -abs(i - present))
        drop = old[: max(len(self._kept) + 1 - MOST, 0)]
        self._kept = self._kept - set(drop) | {stop}
        return drop


def wanted(many: int, present: int) -> list[int]:
    """Which of a slider's stops to make ready, in their order: the neighbours, then some over all of it.

    The present one comes last: its exact picture is there, and what was drawn for it is then drawn afresh.

    Examples
    --------
    >>> wanted(8, 2)
    [1, 3, 0, 4, 5, 6, 7, 2]
    >>> len(wanted(1000, 500))
    40
    """
    by_distance = sorted(range(many), key=lambda i: (abs(i - present), i))
    near = [i for i in by_distance if abs(i - present) <= NEAR] if many > MOST else by_distance
    stride = -(-many // (MOST - 2 * NEAR - 1))
    far = [i for i in by_distance if i % stride == 0 and i not in near]
    return [*near[1:], *far, present]
