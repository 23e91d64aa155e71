"""Traps in a picture: ticks are the draws, triangles the traps, and words their figures."""

import matplotlib.pyplot as plt
import numpy as np
import pytest
from drawn import by_color, guides, only
from matplotlib.figure import Figure

from rmt_lab.plotting import alt_text, plot_traps, style
from rmt_lab.traps import find_traps


@pytest.fixture
def ax():
    yield Figure(figsize=(8, 5), layout="constrained").subplots()
    assert not plt.get_fignums()


def noise(**planted):
    W = np.random.default_rng(0).normal(size=(60, 40))
    for cause in planted:
        if cause == "entry":
            W[3, 5] = 25
        if cause == "row":
            W[7] *= 2.2
    return find_traps(W, shuffles=30)


def test_ticks_triangles_and_the_threshold(ax):
    found = noise(entry=True, row=True)
    plot_traps(found, "layer 1", ax=ax)
    assert only(by_color(ax, style.MEASURED)).get_xdata() == pytest.approx(found.eigenvalues / found.edge)
    ticks = by_color(ax, style.NOISE)
    assert len(ticks) == len(found.largest) == 5
    for i, (line, kind) in enumerate(zip(ticks, found.largest, strict=True), 1):
        assert line.get_xdata() == pytest.approx(found.largest[kind] / found.edge)
        assert set(line.get_ydata()) == {i}
        assert f"{found.rates[kind]:.0%}" in [text.get_text() for text in ax.texts]
    triangle = only(by_color(ax, style.OUTLIER))
    assert triangle.get_data() == (pytest.approx([found.surviving[0].strength]), pytest.approx([1]))
    assert guides(ax) == pytest.approx([found.threshold / found.edge])
    assert ax.get_xlim()[1] > found.eigenvalues[0] / found.edge
    title = ax.get_title("left").replace("\n", " ")
    assert title == "layer 1: 1 trap survives the shuffle, entry (3, 5) of size 25"
    assert "row 7 of norm" in alt_text(ax)
    assert "entries shuffled 100%" in alt_text(ax)


def test_the_title_says_what_is_there(ax):
    plot_traps(noise(row=True), ax=ax)
    assert ax.get_title("left").replace("\n", " ").startswith("No trap survives the shuffle; beyond the noise is row 7")
    assert not by_color(ax, style.OUTLIER)
    assert plot_traps(noise(), ax=Figure().subplots()).get_title("left") == "No trap, and nothing beyond the noise"


def test_it_wants_traps():
    with pytest.raises(TypeError, match="found is a ndarray"):
        plot_traps(np.eye(20))
