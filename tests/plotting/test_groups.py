"""Pictures of groups: distribution functions and pairs carry the data, and tell groups apart without colour."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from drawn import by_color, guides, legend_texts, words
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.figure import Figure

from rmt_lab.plotting import alt_text, plot_ecdf, plot_pairs, style


@pytest.fixture
def ax():
    yield Figure(figsize=(8, 5), layout="constrained").subplots()
    assert not plt.get_fignums()  # nothing leaked into pyplot


def curves(ax):
    return [line for line in ax.lines if line.get_drawstyle() == "steps-post"]


@settings(max_examples=30, deadline=None)
@given(st.lists(st.floats(0.1, 9), min_size=1, max_size=40), st.booleans())
def test_a_curve_is_the_distribution_function(values, log):
    ax = plot_ecdf({"a": values, "b": [1.0, 2.0]}, Figure().subplots(), log=log)
    x, y = curves(ax)[0].get_data()
    order = np.sort(values)
    assert x[1:-1] == pytest.approx(order)
    for t in (*order, 0.05, 5.0):
        at = np.searchsorted(x, t, "right") - 1  # the height that holds from the last step on
        assert (y[at] if at >= 0 else 0.0) == pytest.approx(np.mean(order <= t))
    assert y[0] == 0
    assert y[-1] == 1


def test_groups_are_told_apart_without_colour(ax):
    rng = np.random.default_rng(0)
    groups = {name: rng.normal(i, 1, 30) for i, name in enumerate("abcdefg")}
    plot_ecdf(groups, ax, noise=["f", "g"], xlabel="exponent α", noun="layer", guides={"6": 6})
    looks = {(line.get_linestyle(), line.get_marker()) for line in curves(ax)}
    assert len(looks) == 7
    assert [line.get_color() for line in curves(ax)[-2:]] == [style.NOISE] * 2
    assert style.NOISE not in [line.get_color() for line in curves(ax)[:5]]
    assert legend_texts(ax)[0].get_text() == "a, 30 layers"
    assert guides(ax) == [6]
    assert {"6", "median"} <= set(words(ax))
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("exponent α", "fraction of layers ≤ x")


def test_far_values_leave_the_others_room_and_nans_are_left_out(ax):
    x = np.r_[np.linspace(2, 4, 60), 60.0, np.nan]
    plot_ecdf({"raw": x}, ax)
    assert ax.get_xlim()[1] < 6
    assert "1 more, up to 60 →" in words(ax)
    assert ax.get_title("left") == "Median: 3.02 in raw"
    assert "raw: half of 61 between" in alt_text(ax)


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"groups": {}}, "groups is empty"),
        ({"groups": {"a": [np.nan]}}, r"groups\['a'\] has no finite value"),
        ({"groups": {"a": [0.0, 1.0]}, "log": True}, r"groups\['a'\] holds 0; log=True needs positive values"),
        ({"groups": {"a": [1.0]}, "noise": ["b"]}, r"noise=\['b'\]; the groups are 'a'"),
    ],
)
def test_groups_that_cannot_be_drawn(arguments, error):
    with pytest.raises(ValueError, match=error):
        plot_ecdf(**arguments)
    assert not plt.get_fignums()


def table(n=8):
    raw = np.linspace(9, 2, n)
    fixed = np.where(np.arange(n) % 3 == 0, raw / 2, raw)
    return pd.DataFrame({"name": [f"block {i} query" for i in range(n)], "raw": raw, "alpha": fixed})


@pytest.mark.parametrize("log", [False, True])
@pytest.mark.parametrize("n", [1, 8, 30, 90])
def test_pairs_are_sorted_and_joined(ax, n, log):
    found = table(n)
    plot_pairs(found, "raw", "alpha", ax, labels=("raw α", "α after"), log=log)
    after = by_color(ax, style.MEASURED)[0]
    order = np.argsort(found.raw.to_numpy(), kind="stable")
    assert after.get_xdata() == pytest.approx(found.alpha.to_numpy()[order])
    before = next(line for line in ax.lines if line.get_label() == "raw α")
    changed = np.flatnonzero((found.raw != found.alpha).to_numpy()[order])
    assert before.get_xdata() == pytest.approx(found.raw.to_numpy()[order][changed])
    assert before.get_ydata() == pytest.approx(changed)
    assert before.get_marker() != after.get_marker()
    ends = [segment[:, 0] for segment in ax.collections[0].get_segments()]
    assert np.array(ends) == pytest.approx(found[["raw", "alpha"]].to_numpy()[order][changed])
    k = -(-n // 3)
    title = ax.get_title("left").replace("\n", " ")
    assert title.startswith(f"From raw α to α after: {k} of {n} fall{'s' * (k == 1)}, none rise; median ")
    assert "The largest change is that of block 0 query: 9 to 4.5" in alt_text(ax)
    named = [t.get_text() for t in ax.get_yticklabels()]
    assert named == ([] if n > 30 else [found.name[i] for i in order])
    ax.figure.draw_without_rendering()
    assert ax._left_title.get_window_extent().x1 <= ax.figure.bbox.width


def test_pairs_that_lack_a_value_are_left_out_and_said(ax):
    found = table()
    found.loc[2, "alpha"] = np.nan
    plot_pairs(found.set_index("name"), "raw", "alpha", ax)
    assert "of 7 fall" in ax.get_title("left")
    assert "1 layer lacking a value left out" in alt_text(ax)
    assert ax.get_xlabel() == "raw and alpha"


def test_pairs_that_cannot_be_drawn():
    with pytest.raises(ValueError, match="table has no column before; it has name, raw, alpha"):
        plot_pairs(table(), "before", "alpha")
    with pytest.raises(ValueError, match="no row of table has finite values of both raw and alpha"):
        plot_pairs(table().assign(alpha=np.nan), "raw", "alpha")
    with pytest.raises(ValueError, match="go down to -1; log=True needs positive values"):
        plot_pairs(table().assign(alpha=-1.0), "raw", "alpha", log=True)
    assert not plt.get_fignums()
