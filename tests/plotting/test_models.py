"""Pictures of whole models: a panel a layer, and the histograms of the exponents."""

from itertools import combinations

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from drawn import area, by_color, guides, legend_texts, only, planted, words
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from rmt_lab import Spectrum, atlas
from rmt_lab.bulk import fit_bulk
from rmt_lab.ensembles import gaussian_spectrum
from rmt_lab.laws import MarchenkoPastur
from rmt_lab.plotting import alt_text, plot_alphas, plot_layer_grid, style


@pytest.fixture
def ax():
    yield Figure(figsize=(8, 5), layout="constrained").subplots()
    assert not plt.get_fignums()  # nothing leaked into pyplot


@pytest.mark.parametrize("n", [1, 5, 12, 30])
def test_grid_has_a_panel_a_layer(n):
    layers = [planted([30 + 10 * i], 120, 60, i, name=f"block {i} feed-forward in") for i in range(n)]
    nulls = [gaussian_spectrum(120, 60, rng=100 + i) for i in range(n)]
    fig = plot_layer_grid(layers, nulls, fig=Figure((10, 7), layout="constrained"), noise="Gaussian noise")
    fig.draw_without_rendering()
    assert len(fig.axes) == n
    low, high = fig.axes[0].get_xlim()
    for ax, s, null in zip(fig.axes, layers, nulls, strict=True):
        assert ax.get_xlim() == (low, high)
        assert ax.get_ylim() == fig.axes[0].get_ylim()
        single = style.num_single(s.singular_values)
        assert area(ax.patches[0]) == pytest.approx(1 - single / 60)
        assert any(f"{single} " in t.get_text() for t in ax.texts) == (single > 0)
        outline = ax.patches[2]
        assert (outline.get_edgecolor()[:3], outline.get_linestyle() != "-") == (to_rgb(style.NOISE), True)
        assert area(outline) == pytest.approx(np.mean(null.singular_values <= high), abs=0.1)
    beyond = sum(any(line.get_label() == "beyond the noise" for line in by_color(ax, style.OUTLIER)) for ax in fig.axes)
    title = fig.get_suptitle().replace("\n", " ")
    assert f"n {beyond} of {style.count(n, 'layer')} singular values stand beyond the noise" in title
    assert beyond >= n - 1  # one of the spikes is near the edge
    if n > 1:
        assert title.startswith("feed-forward in: ")
        assert [ax.get_title("left") for ax in fig.axes] == [f"block {i}" for i in range(n)]
    assert [t.get_text() for t in fig.legends[0].get_texts()][:2] == ["measured", "Gaussian noise"]
    assert {t.get_text() for t in fig.legends[0].get_texts()[2:]} <= {"beyond the noise", "single value"}
    assert title in alt_text(fig)


@pytest.mark.parametrize(("n", "shape"), [(6, (2, 3)), (7, (2, 4)), (12, (3, 4)), (24, (4, 6)), (30, (5, 6))])
def test_grids_stay_legible_and_nothing_collides(n, shape):
    layers = [x.spectrum for x in atlas.load("smollm2").select("query")][:n]
    fig = plot_layer_grid(
        layers, [MarchenkoPastur(s.Q, s.entry_std) for s in layers], noise="Gaussian noise, same shape"
    )
    plt.close(fig)
    fig.draw_without_rendering()
    width, height = fig.get_size_inches()
    assert fig.axes[0].get_subplotspec().get_gridspec().get_geometry() == shape
    texts = [t for ax in fig.axes for t in [ax._left_title, *ax.texts, ax.xaxis.label, *ax.get_xticklabels()]]
    texts += [*fig.legends[0].get_texts(), fig._suptitle, fig._supylabel]
    shown = [t for t in texts if t.get_text() and t.get_visible()]
    assert min(t.get_fontsize() for t in shown) * 1280 / 96 / width >= 8  # points, on a screen of 96 dots per inch
    assert 1 < width / height < 2.3
    boxes = [t.get_window_extent() for ax in fig.axes for t in (ax._left_title, ax.xaxis.label) if t.get_text()]
    boxes += [fig.legends[0].get_window_extent(), fig._suptitle.get_window_extent()]
    for a, b in combinations(boxes, 2):
        assert not a.overlaps(b)
    assert min(box.x0 for box in boxes) >= 0
    assert max(box.x1 for box in boxes) <= fig.bbox.width + 1
    for ax in fig.axes:  # what is told of single values stays in its panel
        assert all(t.get_window_extent().x0 > ax.bbox.x0 for t in ax.texts)


def test_a_pile_up_at_zero_is_seen_in_the_queries_of_minilm():
    layers = [x.spectrum for x in atlas.load("minilm").select("query")]
    fig = plot_layer_grid(layers, fig=Figure((10, 6)))
    for ax, s in zip(fig.axes, layers, strict=True):
        bars = ax.patches[0].get_data()
        assert 30 < len(bars.edges) < 110  # Freedman & Diaconis: 10 to 14
        assert bars.values[0] > 1.5 * np.mean(bars.values[4:10])
        told = [t.get_text() for t in ax.texts if "single" in t.get_text()]
        single = style.num_single(s.singular_values)
        assert told == [f"{single} single{', up to' if single > 1 else ' at'} {s.singular_values[-1]:.3g}"] * (
            single > 0
        )


def test_grid_over_laws_and_alone():
    layers = [gaussian_spectrum(400, 200, rng=i) for i in range(4)]
    laws = [MarchenkoPastur(2), fit_bulk(layers[1]), None, layers[0]]
    fig = plot_layer_grid(layers, laws, titles=list("abcd"), fig=Figure())
    assert fig.get_suptitle() == "In 0 of 3 layers singular values stand beyond the noise"
    x, y = only(by_color(fig.axes[0], style.NOISE)).get_data()
    assert y == pytest.approx(MarchenkoPastur(2).singular_values(400).pdf(x))
    assert [ax.get_title("left") for ax in fig.axes] == list("abcd")
    assert not [t for t in fig.legends[0].get_texts() if "null" in t.get_text()]
    largest = [s.singular_values[-1] for s in layers]
    alone = plot_layer_grid(layers, fig=Figure()).get_suptitle()
    assert f"{min(largest):.3g} to {max(largest):.3g}" in alone
    with pytest.raises(ValueError, match="4 spectra, 1 nulls, 4 titles"):
        plot_layer_grid(layers, laws[:1])
    with pytest.raises(ValueError, match="0 spectra"):
        plot_layer_grid([])


def tables():
    rng = np.random.default_rng(0)
    a = pd.DataFrame({"alpha": rng.normal(3, 0.5, 40), "block": np.arange(40) // 4, "role": ["query", "key"] * 20})
    b = a.assign(alpha=rng.normal(5, 0.5, 40) + a["block"] / 2)
    b.loc[0, "alpha"] = np.nan
    return {"small": a.astype({"block": "Int64"}), "large": b.astype({"block": "Int64"})}


def test_alpha_histograms(ax):
    found = tables()
    plot_alphas(found, ax=ax)
    small, large = (found[k]["alpha"].dropna() for k in found)
    assert ax.get_title("left") == f"Median α: {small.median():.2f} in small, {large.median():.2f} in large"
    assert [t.get_text() for t in legend_texts(ax)] == ["small, 40 layers", "large, 39 layers"]
    assert area(ax.patches[0]) == pytest.approx(1)
    assert area(ax.patches[-1]) == pytest.approx(1)
    assert ax.patches[-1].get_hatch()
    assert not ax.patches[0].get_hatch()
    assert guides(ax) == [2, 6]


def test_alphas_of_one_model_and_far_ones(ax):
    alpha = np.r_[np.linspace(2.5, 4, 60), 60.0]
    plot_alphas(pd.DataFrame({"alpha": alpha}), ax=ax)
    assert ax.get_title("left") == f"Median α: {np.median(alpha):.2f}; 60 of 61 layers lie in 2 .. 6"
    assert "1 more, up to 60 →" in words(ax)
    assert area(ax.patches[0]) == pytest.approx(60 / 61)


def test_an_alpha_within_the_axis_is_drawn_there(ax):
    plot_alphas(pd.DataFrame({"alpha": np.r_[np.linspace(1.8, 2.2, 60), 3.9]}), ax=ax)
    assert not [w for w in words(ax) if "more" in w]
    assert area(ax.patches[0]) == pytest.approx(1)


def test_alphas_by_depth(ax):
    found = tables()
    plot_alphas(found, ax=ax, by_depth=True)
    points = [line for line in ax.lines if line.get_linestyle() == "None"]
    assert sum(len(line.get_xdata()) for line in points) == 79
    assert len({line.get_marker() for line in points}) == 2  # one per role
    assert "no trend in small" in ax.get_title("left")
    assert "rises in large" in ax.get_title("left").replace("\n", " ")
    medians = only(line for line in ax.lines if line.get_label() == "block median large")
    assert medians.get_ydata() == pytest.approx(found["large"].groupby("block")["alpha"].median().to_numpy(float))
    assert {"query", "key"} <= set(words(ax))


def test_roles_differ_in_marker_and_in_shade(ax):
    plot_alphas(tables()["small"], ax=ax, by_depth=True)
    points = [line for line in ax.lines if line.get_linestyle() == "None"]
    assert len({line.get_marker() for line in points}) == len({line.get_color() for line in points}) == 2


def test_a_few_far_layers_do_not_empty_the_axis(ax):
    alpha = np.r_[np.random.default_rng(0).gamma(4, 1.5, 200), 60.0, 65.0]
    plot_alphas(pd.DataFrame({"alpha": alpha}), ax=ax, bins=20)
    assert ax.get_xlim()[1] < 20
    assert len(ax.patches[0].get_data().edges) == 21


def test_alphas_that_cannot_be_drawn():
    with pytest.raises(ValueError, match="table 'x' has no column block, role; it has alpha"):
        plot_alphas({"x": pd.DataFrame({"alpha": [1.0]})}, by_depth=True)
    with pytest.raises(ValueError, match="no layer of 'x' has an alpha"):
        plot_alphas({"x": pd.DataFrame({"alpha": [np.nan]})})
    assert not plt.get_fignums()


def test_a_peak_of_noise_that_does_not_fit_is_told():
    """The copy of a layer of very uneven strengths is far narrower than the layer, and so far higher."""
    layer = Spectrum(np.linspace(1, 100, 400), 800, 400, name="embedding")
    null = Spectrum(np.linspace(49, 51, 400), 800, 400)
    fig = plot_layer_grid([layer], [null], fig=Figure())
    [told] = [t for t in fig.axes[0].texts if t.get_text().startswith("↑")]
    assert to_rgb(told.get_color()) == to_rgb(style.NOISE)
