"""The look: colours for every eye, bins by the data, letters that can be read, words for every picture."""

import gc
import subprocess
import sys
from itertools import combinations

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from drawn import fingered, legend_texts, planted
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from rmt_lab import plotting
from rmt_lab.ensembles import gaussian_spectrum
from rmt_lab.laws import GeneralisedMarchenkoPastur, MarchenkoPastur
from rmt_lab.plotting import (
    alt_text,
    plot_alphas,
    plot_layer_grid,
    plot_scan,
    plot_spectrum,
    plot_tail,
    spectrum_bins,
    style,
)
from rmt_lab.spectrum import Spectrum
from rmt_lab.tails import fit_power_law


@pytest.fixture
def ax():
    yield Figure(figsize=(8, 5), layout="constrained").subplots()
    assert not plt.get_fignums()  # nothing leaked into pyplot


RGB_TO_XYZ = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
SEEN_BY = {  # full deficiency, on linear RGB: Machado, Oliveira & Fernandes (2009), table 1
    "everyone": np.eye(3),
    "protanopia": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deuteranopia": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
    "tritanopia": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]],
}


def linear(color):
    c = np.array(to_rgb(color))
    return np.where(c <= 0.04045, c / 12.92, ((c + 0.055) / 1.055) ** 2.4)


def lab(rgb):
    t = RGB_TO_XYZ @ np.clip(rgb, 0, 1) / (RGB_TO_XYZ @ np.ones(3))
    f = np.where(t > (6 / 29) ** 3, np.cbrt(t), t / (3 * (6 / 29) ** 2) + 4 / 29)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


def test_the_yardstick_itself():
    assert lab(np.ones(3)) == pytest.approx([100, 0, 0], abs=1e-6)
    assert np.linalg.norm(lab(linear("red")) - lab(linear("lime"))) > 150
    seen = [lab(SEEN_BY["deuteranopia"] @ linear(c)) for c in ("#c05000", "#708000")]  # a pair that is known to merge
    assert np.linalg.norm(seen[0] - seen[1]) < 20


@pytest.mark.parametrize("eye", SEEN_BY)
def test_colours_stay_apart_for_every_eye(eye):
    seen = {name: lab(np.array(SEEN_BY[eye]) @ linear(c)) for name, c in style.PALETTE.items()}
    for a, b in combinations(seen, 2):
        assert np.linalg.norm(seen[a] - seen[b]) > 20, (eye, a, b)


def test_colours_stay_apart_in_grey_and_on_white():
    lightness = {name: lab(linear(c))[0] for name, c in style.PALETTE.items()}
    assert all(lightness[name] < 65 for name in lightness)  # 2.8 : 1 on white, for thick lines
    data = sorted(v for name, v in lightness.items() if name != "guide")  # guides are dotted and labelled
    assert min(np.diff(data)) > 10
    models = sorted(lab(linear(m["color"]))[0] for m in style.MODELS)
    assert min(np.diff(models)) > 10
    assert len({(m["linestyle"], m["hatch"]) for m in style.MODELS}) == len(style.MODELS)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 999), n=st.integers(4, 900), power=st.floats(0.3, 3))
def test_bins_of_independent_values_are_freedman_diaconis(seed, n, power):
    x = np.random.default_rng(seed).random(n) ** power
    expected = np.histogram_bin_edges(x, "fd")
    assume(len(expected) <= 201)  # more are too many to draw
    assert style.bin_edges(x, x.min(), x.max(), width=style.free_width) == pytest.approx(expected)


def law_of(Q, N, singular_values):
    law = MarchenkoPastur(Q)
    return law.singular_values(N) if singular_values else law


def squared_error(law, values, edges):
    """The integral of (histogram - density)^2 over the support, from the law's distribution function and density."""
    start, end = law.support()
    x = start + (end - start) * (1 - np.cos(np.linspace(0, np.pi, 4001))) / 2
    heights = np.histogram(values, edges)[0] / (len(values) * np.diff(edges))
    of_law = np.trapezoid(law.pdf(x) ** 2, x)
    return heights**2 @ np.diff(edges) - 2 * heights @ np.diff(law.cdf(edges)) + of_law


SHAPES = [(Q, singular) for singular in (True, False) for Q in (1, 1.2, 2, 4) if singular or Q > 1]  # infinite at Q = 1


@pytest.fixture(scope="module")
def errors():
    """By shape: the error of the rule over that of the best number of bins, and that of Freedman & Diaconis."""
    found, M = {}, 400
    for Q, singular in SHAPES:
        N = round(Q * M)
        law, draws = law_of(Q, N, singular), [gaussian_spectrum(N, M, rng=i) for i in range(20)]
        draws = [s.singular_values if singular else s.eigenvalues for s in draws]

        def mean(edges_of, law=law, draws=draws):
            return np.mean([squared_error(law, x, edges_of(x)) for x in draws])

        scan = [mean(lambda x, k=k: np.linspace(x[0], x[-1], k + 1)) for k in np.geomspace(4, 200, 30).astype(int)]
        fd = mean(lambda x: np.histogram_bin_edges(x, "fd"))
        found[Q, singular] = np.array([mean(spectrum_bins), fd]) / min(scan)
    return found


@pytest.mark.parametrize("shape", SHAPES)
def test_bins_of_a_spectrum_are_within_twice_the_best(errors, shape):
    rule, fd = errors[shape]
    assert 0.9 < rule < 2
    if shape not in ((1, True), (2, False)):  # by luck its few bins are no worse there
        assert fd > rule


def test_bins_for_independent_values_are_far_too_wide_for_a_steep_spectrum(errors):
    rule, fd = errors[1.2, False]
    assert fd > 4 * rule
    assert np.mean([fd for _, fd in errors.values()]) > 1.4 * np.mean([rule for rule, _ in errors.values()])


class Root:
    """The law of the square roots of what follows another law: of singular values over sqrt(N), say."""

    def __init__(self, law):
        self.law = law

    def support(self):
        return np.sqrt(self.law.support())

    def pdf(self, x):
        return 2 * x * self.law.pdf(x**2)

    def cdf(self, x):
        return self.law.cdf(x**2)


@pytest.mark.parametrize("singular", [True, False])
def test_correlated_columns_bear_bins_that_follow_the_densest_part(singular):
    M, Q, population = 200, 2, np.geomspace(0.01, 1, 200)
    law = GeneralisedMarchenkoPastur(Q, population)
    law = Root(law) if singular else law
    errors = []
    for i in range(4):
        W = np.random.default_rng(i).normal(size=(Q * M, M)) * np.sqrt(population)
        x = Spectrum.from_matrix(W).eigenvalues
        x = np.sqrt(x) if singular else x
        equal = [np.linspace(x[0], x[-1], int(k) + 1) for k in (M / 12, *np.geomspace(8, 200, 12))]
        errors.append([squared_error(law, x, edges) for edges in (spectrum_bins(x), *equal)])
    rule, twelfth, *scan = np.mean(errors, axis=0)
    assert 0.9 < rule / min(scan) < 2
    assert singular or twelfth > 4 * rule  # M/12 bins, which suit Gaussian matrices of this size


def test_the_number_of_bins_grows_like_the_square_root():
    bins = [len(spectrum_bins(gaussian_spectrum(2 * M, M, rng=0).singular_values)) - 1 for M in (100, 400, 1600)]
    assert bins == pytest.approx([12.5, 25, 50], rel=0.1)


@pytest.mark.parametrize("M", [10, 50, 400])
@pytest.mark.parametrize("Q", [1, 2, 8])
def test_noise_has_no_single_values_and_a_spike_is_one(M, Q):
    for seed in range(20):
        s = gaussian_spectrum(Q * M, M, rng=seed)
        for x in (s.singular_values, s.eigenvalues):
            edges = spectrum_bins(x)
            assert edges[[0, -1]] == pytest.approx(x[[0, -1]])
            if M < 50:
                continue  # too few for three of them to lie within a bin
            far = np.r_[x, [2.5 * x[-1], 2.6 * x[-1]]]
            edges = spectrum_bins(far)
            assert np.count_nonzero(far > edges[-1]) == 2
            assert np.diff(edges) == pytest.approx(np.full(len(edges) - 1, edges[1] - edges[0]))


def test_a_second_bulk_is_not_single():
    x = np.r_[np.linspace(0.5, 1.5, 200), np.linspace(20, 22, 40), 90.0]
    edges = spectrum_bins(x)
    assert edges[-1] == pytest.approx(22)


def test_bins_on_a_logarithmic_axis():
    x = gaussian_spectrum(800, 400, rng=0).eigenvalues
    edges = spectrum_bins(x, log=True)
    assert edges[[0, -1]] == pytest.approx(x[[0, -1]])
    steps = np.diff(np.log(edges))
    assert steps == pytest.approx(np.full(len(steps), steps[0]))
    with pytest.raises(ValueError, match="values start at 0; log=True needs positive ones"):
        spectrum_bins([0, 1, 2], log=True)
    for bad in ([], [1.0, np.nan], [np.inf, 1.0]):
        with pytest.raises(ValueError, match="at least one is needed, and all must be finite"):
            spectrum_bins(bad)


def test_bins_that_are_given():
    x = np.linspace(0, 1, 50)
    assert style.bin_edges(x, 0, 1, 7) == pytest.approx(np.linspace(0, 1, 8))
    assert style.bin_edges(x, 0, 1, [0, 0.1, 1]) == pytest.approx([0, 0.1, 1])
    for bad in (0, 2.5, -3, [1.0], [2, 1], [[0, 1], [1, 2]]):
        with pytest.raises(ValueError, match="a number of bins >= 1 or ascending edges are needed"):
            style.bin_edges(x, 0, 1, bad)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.sampled_from([0.0, 1.0, 2.0, 1e9, -3.0]), max_size=30))
def test_bins_exist_whatever_the_values(values):
    x = np.array(values)
    low, high = (x.min(), x.max()) if len(x) else (0.0, 0.0)
    for width in (style.rigid_width, style.free_width):
        edges = style.bin_edges(np.sort(x), low, high, width=width)
        assert np.all(np.diff(edges) > 0)
        assert len(edges) <= 201
        assert edges[0] <= low <= high <= edges[-1]


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 999), far=st.floats(1, 1e6))
def test_the_view_holds_nearly_everything_and_nothing_far_out(seed, far):
    x = np.r_[np.random.default_rng(seed).random(200), 1 + far]
    low, high = style.view(x, 0.0, 1.0)
    assert np.mean((low <= x) & (x <= high)) >= 0.9
    assert high <= 3
    assert high == min(1 + far, 3.0)


def test_letters_are_large_and_inside_the_figure(ax):
    s = planted([40, 60, 800], name="block 11 feed-forward out, a name that needs room")
    x, fit = fingered()
    for draw in (lambda: plot_spectrum(s, ax=ax), lambda: plot_tail(x, fit, ax=ax)):
        ax.clear()
        draw()
        ax.figure.draw_without_rendering()
        texts = [ax.title, ax._left_title, ax.xaxis.label, ax.yaxis.label, *ax.texts, *legend_texts(ax)]
        shown = [t for t in [*texts, *ax.get_xticklabels(), *ax.get_yticklabels()] if t.get_text()]
        assert min(t.get_fontsize() for t in shown) >= 12
        for t in [ax._left_title, *legend_texts(ax)]:
            box = t.get_window_extent()
            assert box.x0 >= 0
            assert box.x1 <= ax.figure.bbox.width, t.get_text()
            assert box.y1 <= ax.figure.bbox.height


def test_legends_and_titles_fit_half_a_figure():
    fig = Figure((9, 4.2), layout="constrained")
    left, right = fig.subplots(1, 2)
    x, fit = fingered()
    plot_spectrum(planted([40, 60, 800]), ax=left)
    plot_tail(x, fit, ax=right)
    fig.draw_without_rendering()
    for ax, end in ((left, fig.bbox.width / 2), (right, fig.bbox.width)):
        boxes = [t.get_window_extent() for t in [ax._left_title, *legend_texts(ax)]]
        assert max(box.x1 for box in boxes) <= end
        assert min(boxes[0].y0 - box.y1 for box in boxes[1:]) > -1  # the title is above the legend


def boxes_of(ax):
    ax.figure.draw_without_rendering()
    return [t.get_window_extent() for t in ax.texts if t.get_text()]


@pytest.mark.parametrize("width", [8, 4.5])
@pytest.mark.parametrize("far", [[], [900], [40, 60, 80]])
def test_labels_of_guides_stand_above_the_bars_and_apart(width, far):
    ax = Figure(figsize=(width, 5), layout="constrained").subplots()
    plot_spectrum(planted(far), MarchenkoPastur(2), ax=ax)
    labels = [t for t in ax.texts if "more" not in t.get_text()]
    assert len(labels) == 3
    boxes = [box for box, t in zip(boxes_of(ax), ax.texts, strict=True) if t in labels]
    highest = max(ax.patches[0].get_data().values.max(), ax.lines[0].get_ydata().max())
    top = ax.transData.transform((0, highest))[1]
    for a, b in combinations(boxes, 2):
        assert not a.overlaps(b)
    assert min(box.y0 for box in boxes) > top


def test_ticks_in_a_legend_stand_on_their_line():
    ax = Figure().subplots()
    style.single_ticks(ax, np.array([1.0, 2.0]), "2 single values")
    style.single_ticks(ax, np.array([3.0]), "2 single values")
    (handle,), (label,) = style.legend_entries(ax)
    assert (handle.get_marker(), handle.get_color(), label) == ("|", style.OUTLIER, "2 single values")


@pytest.mark.parametrize(("low", "high"), [(0.7, 1.4), (1.5, 6.3), (0.02, 3), (1e-7, 30), (1e-25, 5e-24)])
def test_logarithmic_axes_have_several_different_plain_labels(low, high):
    ax = Figure().subplots()
    ax.set(xscale="log", xlim=(low, high))
    style.plain_log_ticks(ax.xaxis)
    ax.figure.draw_without_rendering()
    labels = [t.get_text() for t in ax.get_xticklabels() if low <= t.get_position()[0] <= high]
    assert len(set(labels)) == len(labels) >= 3
    plain = [float(t) for t in labels if "$" not in t]
    assert all(low <= v <= high for v in plain)


def test_descriptions_live_as_long_as_the_picture():
    fig = Figure()
    one, two = fig.subplots(1, 2)
    plot_tail([1.0, 2.0, 4.0], ax=one)
    plot_spectrum(gaussian_spectrum(200, 100, rng=0), ax=two)
    assert alt_text(fig) == alt_text(one) + " " + alt_text(two)
    assert "alpha" in alt_text(one)
    assert alt_text(Figure()) == alt_text(object()) == ""
    before = len(style._descriptions)
    del fig, one, two
    gc.collect()
    assert len(style._descriptions) < before


def test_pyplot_comes_in_only_without_axes():
    code = (
        "import sys; from matplotlib.figure import Figure; from rmt_lab.plotting import *\n"
        "from rmt_lab.ensembles import gaussian_spectrum\n"
        "s = gaussian_spectrum(60, 30, rng=0)\n"
        "plot_spectrum(s, ax=Figure().subplots()); plot_layer_grid([s], fig=Figure())\n"
        "assert 'matplotlib.pyplot' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
    s = gaussian_spectrum(60, 30, rng=0)
    table = pd.DataFrame({"alpha": [2.0, 3.0, 5.0]})
    figures = [
        plot_spectrum(s).figure,
        plot_tail(s).figure,
        plot_scan(fit_power_law(s.eigenvalues))[0].figure,
        plot_alphas(table).figure,
        plot_layer_grid([s]),
    ]
    assert [plt.figure(i) for i in plt.get_fignums()] == figures  # where a notebook finds and shows them
    plt.close("all")


def test_public_names():
    assert all(getattr(plotting, name) for name in plotting.__all__)
    assert all(getattr(plotting, name).__doc__ for name in plotting.__all__ if name.startswith("plot_"))
