"""Frames rendered ahead: which ones, in which order, how many, and when not."""

import asyncio
import io
import warnings

import numpy as np
import pytest
from matplotlib.image import imread

from rmt_lab.explorers import SpikeExplorer, ahead
from rmt_lab.explorers.base import Model, number
from rmt_lab.explorers.png import png
from rmt_lab.explorers.view import DPI, Explorer
from rmt_lab.plotting.style import axes


class DialModel(Model):
    dial = number(50, 0, 100, step=1, label="dial")
    other = number(1.0, 0.0, 2.0, step=0.5, label="other")

    presets = {"middle": {}}  # noqa: RUF012
    figsize = (2, 1)

    def compute(self):
        if self.dial == 52:
            raise ZeroDivisionError
        if self.dial == 53:
            warnings.warn("not to be heard", stacklevel=2)
        return self.dial

    def draw(self, fig):
        axes(fig).set_title(f"{self.result}", loc="left")
        return fig

    def sentence(self):
        return f"{self.result} and {self.other}."


class DialExplorer(Explorer):
    model_class = DialModel


class Browser:
    """What a browser would hold, and all that came, in its order: messages, and "exact" for an exact picture."""

    def __init__(self, explorer):
        self.heard, self.frames = [], {}
        explorer._ahead._send = self.hear
        explorer.picture.observe(lambda _: self.heard.append("exact"), "parameters")

    def hear(self, message, buffers):
        self.heard.append(message)
        if "sweep" in message:
            self.frames = {}
        else:
            for stop in message["drop"]:
                del self.frames[stop]
            self.frames[message["frame"]] = message["words"], buffers[0]
        assert len(self.frames) <= ahead.MOST

    def order(self):
        return [m["frame"] for m in self.heard if "frame" in m]


@pytest.fixture
def quick(monkeypatch):
    monkeypatch.setattr(ahead, "QUIET", 0.0)
    monkeypatch.setattr(ahead, "GAP", 0.0)


@pytest.fixture
def unseen(quick, monkeypatch):
    """Without pictures, which take the time."""
    monkeypatch.setattr(ahead, "points", lambda fig: None)
    monkeypatch.setattr(ahead, "small_png", lambda rendered: b"png")


async def at_rest(explorer):
    timer = None
    while timer is not explorer._ahead._timer:
        timer = explorer._ahead._timer
        await asyncio.sleep(0.1)


def test_the_frames_are_the_explorers_own_pictures(quick):
    shown = SpikeExplorer(M=20)
    browser = Browser(shown)
    before = shown.model.parameters()

    async def touch():
        shown._ahead.begin("strength")
        while len(browser.frames) < 4:
            await asyncio.sleep(0.01)
        shown._ahead.end()

    asyncio.run(touch())
    assert shown.model.parameters() == before
    stops = shown.controls["strength"].stops
    assert set(browser.order()) == set(ahead.wanted(len(stops), stops.index(shown.model.strength))[:4])
    for stop, (words, picture) in browser.frames.items():
        there = SpikeExplorer(M=20, strength=stops[stop])
        assert words == there.sentence
        exact = png(there.model.draw(there._figure))
        frame = imread(io.BytesIO(picture))[..., :3]
        assert len(picture) < len(exact) / 2
        assert frame.shape[1] == there.model.figsize[0] * DPI
        assert np.abs(frame - imread(io.BytesIO(exact))[..., :3]).mean() < 0.01
        assert np.all(frame[0, 0] == 1)  # white stays white


def test_neighbours_first_then_all_over_and_what_fails_is_left_out(unseen):
    shown = DialExplorer()
    browser = Browser(shown)

    async def touch():
        shown._ahead.begin("dial")
        await at_rest(shown)

    asyncio.run(touch())
    order = browser.order()
    assert order[:3] == [49, 51, 48]
    assert order[-1] == 50
    assert 52 not in order  # its exact picture raises
    assert set(order) >= set(range(42, 59)) - {52}
    assert max(np.diff(sorted(order))) <= 101 // 20  # as far as a frame stands in for its neighbours
    assert 30 < len(order) <= ahead.MOST


def test_the_neighbours_follow_the_slider_and_no_more_than_forty_are_kept(unseen):
    shown = DialExplorer()
    browser = Browser(shown)

    async def move():
        shown._ahead.begin("dial")
        for value in (50, 60, 80, 95, 20):
            shown.controls["dial"].value = value
            await at_rest(shown)
            near = set(range(max(value - ahead.NEAR, 0), min(value + ahead.NEAR, 100) + 1)) - {52}
            assert near <= set(browser.frames)

    asyncio.run(move())
    assert len([m for m in browser.heard if "sweep" in m]) == 1
    assert len(browser.order()) > ahead.MOST


def test_another_slider_or_another_state_ends_it(unseen):
    shown = DialExplorer()
    browser = Browser(shown)

    async def touch():
        shown._ahead.begin("dial")
        while len(browser.frames) < 3:
            await asyncio.sleep(0)
        shown._ahead.begin("dial")  # is being done already
        shown._ahead.begin("other")
        await at_rest(shown)
        assert set(browser.frames) == set(range(5))
        assert browser.frames[4][0] == "50 and 2.0."
        shown.buttons["new sample"].click()
        assert browser.frames == {}
        await asyncio.sleep(0.05)
        assert browser.frames == {}
        shown._ahead.begin("other")
        await at_rest(shown)
        assert set(browser.frames) == set(range(5))

    asyncio.run(touch())
    sweeps = [m["sweep"] for m in browser.heard if "sweep" in m]
    assert sweeps == ["dial", "other", None, "other"]


def test_the_exact_picture_comes_before_any_further_frame(unseen, monkeypatch):
    monkeypatch.setattr(ahead, "QUIET", 0.05)
    shown = DialExplorer()
    browser = Browser(shown)

    async def move():
        shown._ahead.begin("dial")
        while len(browser.frames) < 3:
            await asyncio.sleep(0)
        for value in (51, 54, 55):
            browser.heard.append("moved")
            shown.controls["dial"].value = value
            await asyncio.sleep(0.01)  # a hand on a slider rests no longer
        await at_rest(shown)

    asyncio.run(move())
    first = browser.heard.index("moved")
    assert browser.heard[first : first + 6] == ["moved", "exact"] * 3
    assert "frame" in browser.heard[first + 6]


def test_without_an_event_loop_nothing_happens():
    shown = DialExplorer()
    browser = Browser(shown)
    shown._ahead.begin("dial")
    shown.controls["dial"].value = 51
    assert browser.heard == ["exact"]


def test_only_a_touch_in_the_browser_begins_it(unseen):
    shown = DialExplorer()
    browser = Browser(shown)

    async def live():
        shown.controls["dial"].value = 51
        shown.model.other = 2.0
        await asyncio.sleep(0.05)
        assert browser.heard == ["exact"] * 2
        shown.controls["dial"]._handle_custom_msg({"touched": True}, [])
        await asyncio.sleep(0.05)
        assert {"sweep": "dial"} in browser.heard

    asyncio.run(live())
