import matplotlib.pyplot as plt
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.figure import Figure

from rmt_lab import analyze, atlas
from rmt_lab.ensembles.samples import pareto, plant
from rmt_lab.explorers import FingerExplorer
from rmt_lab.explorers.fingers import SYNTHETIC, FingerModel
from rmt_lab.plotting import peel, plot_peeling, style
from rmt_lab.plotting.tails import largest, with_an_end
from rmt_lab.tails import fit_power_law, fix_fingers
from rmt_lab.tails.fingers import RULES

few = settings(max_examples=10, deadline=None)


@few
@given(x=st.lists(st.floats(0.01, 100), min_size=1, max_size=20), fingers=st.integers(0, 5))
def test_planted_fingers_stand_beyond_the_values(x, fingers):
    planted = plant(x, fingers)
    np.testing.assert_array_equal(planted[: len(x)], np.sort(x))
    np.testing.assert_allclose(planted[len(x) :], max(x) * 1.5 ** np.arange(1, fingers + 1))


@few
@given(seed=st.integers(0, 999), n=st.integers(5, 120), rule=st.sampled_from(RULES))
def test_peeling_is_a_fit_to_what_is_left(seed, n, rule):
    x = pareto(n, 2.5, rng=seed)
    peeling = peel(x, rule)
    assert list(peeling.fits) == list(range(min(10, n - 2) + 1))
    for k, fit in peeling.fits.items():
        assert fit.alpha == fit_power_law(np.sort(x)[: n - k]).alpha
        end = with_an_end(fit)
        assert (end is None) == (fit.n_tail < 3)
        if end:
            assert (end.n_tail, end.xmin) == (fit.n_tail, fit.xmin)
    if peeling.ruled:
        assert peeling.ruled.alpha == fix_fingers(x, rule).alpha
    else:
        with pytest.raises(ValueError):
            fix_fingers(x, rule)


def test_the_first_picture_is_a_smaller_alpha_and_a_worse_fit():
    (row,) = analyze("smollm2", "clip_xmax", layers=["block 23 attention output"]).itertuples()
    sentence = FingerExplorer().sentence
    assert f"α = {row.raw_alpha:.2f} ± " in sentence
    assert f"Without {largest(row.num_fingers)}: α = {row.alpha:.2f} ± {row.sigma:.2f}" in sentence
    assert (
        f"D√n = {row.D_sqrt_n:.2f}. So α is smaller, and D√n rises; of all tails the raw fit has the least D"
        in sentence
    )
    assert (row.raw_alpha, row.alpha) == pytest.approx((16.04, 2.04), abs=0.01)


def test_true_outliers_make_alpha_smaller_and_the_fit_worse():
    sentence = FingerModel(role="embedding", k=6, rule="outliers").sentence()
    assert "So α is larger, and D√n falls;" in sentence
    assert "outliers drops 6" in sentence


@pytest.mark.parametrize("rule", RULES)
def test_the_picture_marks_k_and_the_choice_of_the_rule(rule):
    spectrum = atlas.load("smollm2")["block 22 value"].spectrum
    peeling = peel(spectrum.nonzero_eigenvalues, rule)
    ruled = fix_fingers(spectrum.nonzero_eigenvalues, rule)
    fig = plot_peeling(peeling, k=2, name="block 22 value", fig=Figure())
    for ax, figure in zip(fig.axes[1:], ("alpha", "scaled_D"), strict=True):
        (circle,) = [line for line in ax.lines if line.get_marker() == "o"]
        (triangle,) = [line for line in ax.lines if line.get_marker() == "^"]
        assert tuple(circle.get_xydata()[0]) == (2, getattr(peeling.fits[2], figure))
        assert tuple(triangle.get_xydata()[0]) == (len(ruled.dropped), getattr(ruled.fit, figure))
        assert triangle.get_color() == style.OUTLIER
        assert len(ax.lines[0].get_xdata()) == 11
    (square,) = [line for line in fig.axes[2].lines if line.get_marker() == "s"]
    end = with_an_end(peeling.fits[2])
    assert tuple(square.get_xydata()[0]) == (2, end.D * end.n_tail**0.5)
    (dropped,) = [line for line in fig.axes[0].lines if line.get_color() == style.OUTLIER]
    np.testing.assert_array_equal(dropped.get_xdata(), np.sort(spectrum.nonzero_eigenvalues)[-2:])
    assert f"{rule} drops {len(ruled.dropped) or 'none'}" in fig.axes[1].get_title("left")
    assert fig.axes[0].get_xlabel() == "block 22 value"


def test_weightwatchers_rule_counts_one_less():
    assert "clip_xmax_ww drops 2 and reports 1," in FingerModel(rule="clip_xmax_ww").sentence()


@pytest.mark.parametrize("rule", RULES)
def test_two_values_are_enough_to_speak(rule):
    model = FingerModel(model="minilm", role="token-type embedding", k=10, rule=rule)
    assert model.dropped() == 0
    assert model.sentence().startswith("Eigenvalues of minilm token-type embedding: all 2 give")
    model.draw(Figure())


@few
@given(
    values=st.sampled_from(["minilm", "smollm2", *SYNTHETIC]),
    role=st.sampled_from(["query", "embedding", "pooler", "feed-forward out"]),
    block=st.integers(0, 40),
    planted=st.integers(0, 5),
    k=st.integers(0, 10),
    rule=st.sampled_from(RULES),
    seed=st.integers(0, 99),
)
def test_the_code_gives_the_figures_of_the_sentence(values, role, block, planted, k, rule, seed):
    model = FingerModel(model=values, role=role, block=block, planted=planted, k=k, rule=rule, seed=seed)
    try:
        exec(model.code(), space := {})
    finally:
        plt.close("all")
    peeling, sentence = space["peeling"], model.sentence()
    for fit in (peeling.fits[0], peeling.fits[k]):
        assert f"α = {fit.alpha:.2f} ± {fit.sigma:.2f} on {fit.n_tail}, D√n = {fit.scaled_D:.2f}" in sentence
    assert f"α = {peeling.ruled.alpha:.2f}." in sentence
    assert "nan" not in sentence


def test_the_block_slider_ends_where_the_role_does():
    shown = FingerExplorer()
    slider, box = shown.controls["block"], shown.controls["block box"]
    assert (slider.value, slider.max, box.max) == (23, 29, 29)
    shown.controls["model"].value = "minilm"
    assert (slider.value, slider.max, shown.model.block) == (5, 5, 5)
    assert shown.model.role == "attention output"
    shown.controls["role"].value = "pooler"
    assert (slider.value, slider.disabled, shown.model.block) == (0, True, 0)
    shown.controls["model"].value = next(iter(SYNTHETIC))
    assert shown.controls["role"].options == ("all values",)
    assert shown.controls["role"].disabled
    assert not shown.buttons["new sample"].disabled
    shown.controls["model"].value = "smollm2"
    assert (shown.model.role, slider.max) == ("embedding", 0)
    shown.buttons["reset"].click()
    assert (shown.model.role, shown.model.block, slider.value, slider.max) == ("attention output", 23, 23, 29)
    assert shown.buttons["new sample"].disabled
    assert shown.presets.value == "one finger"
    assert "block 23 attention output" in shown.picture.words


def test_each_state_is_drawn_once(monkeypatch):
    drawn = []
    draw = FingerModel.draw
    monkeypatch.setattr(FingerModel, "draw", lambda self, fig: drawn.append(self.parameters()) or draw(self, fig))
    shown = FingerExplorer()
    for values in ("minilm", next(iter(SYNTHETIC)), "smollm2"):
        drawn.clear()
        shown.controls["model"].value = values
        assert [state["model"] for state in drawn] == [values]
    drawn.clear()
    shown.buttons["reset"].click()
    assert len(drawn) == 1
