"""Pictures of what training changed."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from drawn import by_color, only, words
from matplotlib.figure import Figure

from rmt_lab import compare
from rmt_lab.comparison import directions
from rmt_lab.laws import SubspaceOverlap
from rmt_lab.plotting import alt_text, plot_change, plot_cosines, plot_overlap, style


@pytest.fixture
def ax():
    yield Figure(figsize=(8, 5), layout="constrained").subplots()
    assert not plt.get_fignums()  # nothing leaked into pyplot


@pytest.fixture(scope="module")
def table():
    rng = np.random.default_rng(0)
    names = [f"h.{i}.{part}.weight" for i in range(3) for part in ("q_proj", "up_proj")] + ["wte.weight"]
    before = {name: rng.normal(size=(40, 30)) for name in names}
    after = {name: W + 0.01 * (i + 1) * rng.normal(size=W.shape) for i, (name, W) in enumerate(before.items())}
    after["wte.weight"] = before["wte.weight"].copy()
    after["h.2.q_proj.weight"] = rng.normal(size=(40, 30))
    return compare(before, after, draws=0)


def test_each_layer_stands_at_its_block(ax, table):
    plot_change(table, ax=ax)
    points = {(x, y) for line in ax.lines if line.get_linestyle() == "None" for x, y in line.get_xydata()}
    inside = table[table["block"].notna()]
    assert points == set(zip(inside["block"].astype(float), inside["relative_change"], strict=True))
    assert only(by_color(ax, style.GUIDE)).get_ydata()[0] == pytest.approx(inside["relative_change"][:2].median())
    assert "block 2 query" in ax.get_title("left").replace("\n", " ")
    assert "1 layer without a change left out" in alt_text(ax)
    assert "query" in words(ax)


def test_the_rank_has_a_linear_axis_and_layers_outside_of_blocks_a_place(ax, table):
    plot_change(table, "change_rank", ax)
    assert ax.get_yscale() == "linear"
    assert any(-1 in line.get_xdata() for line in ax.lines)
    assert ax.xaxis.get_major_formatter()(-1, None) == "outside"
    assert "rank of a change" in alt_text(ax).lower()


@pytest.mark.parametrize("side", ["left", "right"])
def test_overlaps_stand_over_the_band_of_random_ones(ax, table, side):
    plot_overlap(table, side, ax)
    np.testing.assert_array_equal(only(by_color(ax, style.MEASURED)).get_ydata(), table[f"{side}_overlap"])
    upper = SubspaceOverlap(40 if side == "left" else 30, 10).ppf(0.995)
    np.testing.assert_allclose(only(by_color(ax, style.NOISE)).get_ydata(), upper)
    kept = int(np.count_nonzero(table[f"{side}_overlap"] > upper))
    assert kept == 6
    assert f"10 leading {side} directions: 6 of 7 layers keep more than chance" in alt_text(ax)
    assert "block 2 query" in alt_text(ax)


def test_new_directions_are_framed(ax):
    rng = np.random.default_rng(0)
    W = np.linalg.qr(rng.normal(size=(300, 40)))[0] * np.linspace(9, 1, 40)
    u, v = rng.normal(size=300), rng.normal(size=40)
    d = directions(W, W + 20 * np.outer(u, v) / np.linalg.norm(u) / np.linalg.norm(v), k=6)
    plot_cosines(d.cosines, d.intruders, ax)
    frame = only(ax.patches)
    assert (frame.get_y(), frame.get_height()) == (0.5, 1)  # the first row
    np.testing.assert_array_equal(ax.images[0].get_array(), d.cosines[:, :12])
    assert "1 of 6 leading directions is new" in alt_text(ax)
    assert "new direction" in words(ax)


def test_without_new_directions_there_is_no_frame(ax):
    plot_cosines(np.eye(3), [False] * 3, ax)
    assert not ax.patches
    assert "No new direction among 3: largest cosines from 1 to 1" in alt_text(ax)


def test_what_was_not_looked_for_is_not_denied(ax):
    plot_cosines([[0.1, 0.2], [0.3, 0.05]], ax=ax)
    assert ax.get_title("left") == "2 leading directions: largest cosines from 0.2 to 0.3"


def test_what_cannot_be_drawn_is_refused(ax, table):
    with pytest.raises(ValueError, match="column='alpha'; allowed are 'relative_change', 'change_rank'"):
        plot_change(table, "alpha", ax)
    with pytest.raises(ValueError, match="table has no column block, role, name, relative_change"):
        plot_change(pd.DataFrame({"a": [1]}), ax=ax)
    with pytest.raises(ValueError, match="no layer of the table has a positive relative_change"):
        plot_change(table[table["name"] == "word embedding"], ax=ax)
    with pytest.raises(ValueError, match="side='up'"):
        plot_overlap(table, "up", ax)
    with pytest.raises(ValueError, match="no layer of the table has a left_overlap"):
        plot_overlap(table.assign(left_overlap=np.nan), ax=ax)
    with pytest.raises(ValueError, match=r"cosines has shape \(2, 2\), intruders \(3,\)"):
        plot_cosines(np.eye(2), [True] * 3, ax)
    with pytest.raises(ValueError, match="absolute cosines lie in 0 .. 1"):
        plot_cosines(-np.eye(2), ax=ax)
