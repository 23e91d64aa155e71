import itertools

import matplotlib.pyplot as plt
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.figure import Figure
from scipy.integrate import quad
from scipy.stats import kstest

from rmt_lab.ensembles.samples import bulk_and_tail, pareto, truncated_pareto
from rmt_lab.explorers import PowerLawExplorer
from rmt_lab.explorers import power_law as explorer_file
from rmt_lab.explorers.power_law import LAYERS, WITH_ALPHA, WITHOUT_ALPHA, PowerLawModel
from rmt_lab.plotting import choose, plot_choice, style
from rmt_lab.tails import fit_power_law, rivals

few = settings(max_examples=8, deadline=None)
alphas = st.floats(1.5, 5)
seeds = st.integers(0, 10_000)

DENSITIES = {  # up to a constant, and where they begin
    pareto: (lambda x, a: x**-a, 1.0),
    bulk_and_tail: (lambda x, a: x**-a if x > 1 else np.exp(-a * (x - 1)), 0.0),
    truncated_pareto: (lambda x, a: x**-a * np.exp(-x / 20), 1.0),
}


@pytest.fixture(autouse=True)
def no_figures_left():
    yield
    assert not plt.get_fignums()


@pytest.mark.parametrize("draw", DENSITIES, ids=lambda f: f.__name__)
@few
@given(alpha=alphas, seed=seeds)
def test_samples_follow_their_density(draw, alpha, seed):
    density, start = DENSITIES[draw]
    x = np.sort(draw(400, alpha, rng=seed))
    assert len(x) == 400
    assert x[0] >= start
    total = sum(quad(density, *ends, args=(alpha,))[0] for ends in ((start, 1.0), (1.0, np.inf)))
    areas = [quad(density, a, b, args=(alpha,))[0] for a, b in itertools.pairwise([start, *x])]
    assert kstest(np.cumsum(areas) / total, "uniform").pvalue > 1e-4


@few
@given(alpha=alphas, seed=seeds, size=st.integers(2, 200))
def test_the_choice_by_hand_and_the_one_of_the_smallest_distance(alpha, seed, size):
    x = pareto(200, alpha, rng=seed)
    by_hand, chosen, scan, ended = choose(x, size)
    assert by_hand.n_tail == size
    assert by_hand.alpha == fit_power_law(x, xmin=np.sort(x)[-size]).alpha
    assert chosen.alpha == fit_power_law(x).alpha
    assert chosen.D == pytest.approx(scan.Ds.min())
    assert by_hand.D >= chosen.D * (1 - 1e-12)
    assert (ended is None) == (size < 3)
    if ended:
        assert (ended.xmin, ended.n_tail) == (by_hand.xmin, size)


def test_equal_values_at_the_top_shift_the_size():
    x = np.r_[np.linspace(1, 5, 50), [7.0] * 5]
    assert choose(x, 3).by_hand.n_tail == 6
    assert choose(x, 20).by_hand.n_tail == 20


def test_the_picture_shows_the_fits_on_their_curves():
    found = choose(bulk_and_tail(300, 2.5, rng=1), 150)
    fig = plot_choice(found, alpha=2.5, fig=Figure())
    tail, distance, exponent = fig.axes
    for ax, curve, figure in ((distance, found.scan.Ds, "D"), (exponent, found.scan.alphas, "alpha")):
        (line,) = [line for line in ax.lines if len(line.get_xdata()) == len(found.scan.xmins)]
        np.testing.assert_array_equal(line.get_ydata(), curve)
        marks = [tuple(line.get_xydata()[0]) for line in ax.lines if len(line.get_xdata()) == 1]
        assert marks == [(f.xmin, getattr(f, figure)) for f in (found.chosen, found.by_hand)]
    band = exponent.collections[0].get_paths()[0].vertices
    i = 50
    at = band[np.isclose(band[:, 0], found.scan.xmins[i])][:, 1]
    alpha, n = found.scan.alphas[i], found.scan.n_tails[i]
    assert np.ptp(at) / 2 == pytest.approx(1.96 * (alpha - 1) / np.sqrt(n))
    starts = [line.get_xydata()[0] for line in tail.lines if line.get_color() == style.FIT]
    for start, fit in zip(starts, (found.by_hand, found.chosen), strict=True):
        np.testing.assert_allclose(start, [fit.xmin, fit.n_tail / 300])
    assert len(plot_choice(found, truncated=False, fig=fig).axes[0].lines) == len(tail.lines)
    assert fig.axes == [tail, distance, exponent]  # the same Axes again
    assert "distance D" in style.alt_text(fig)


@few
@given(
    data=st.sampled_from([*WITH_ALPHA, *WITHOUT_ALPHA, *LAYERS]),
    n=st.integers(50, 300),
    alpha=alphas,
    top=st.floats(0.5, 100),
    truncated=st.booleans(),
    seed=st.integers(0, 99),
)
def test_the_code_gives_the_figures_of_the_sentence(data, n, alpha, top, truncated, seed):
    alpha = round(alpha, 1)
    model = PowerLawModel(data=data, n=n, alpha=alpha, top=top, truncated=truncated, seed=seed)
    try:
        exec(model.code(), space := {})
    finally:
        plt.close("all")
    found, sentence = space["found"], model.sentence()
    for fit in (found.by_hand, found.chosen):
        assert f"α = {fit.alpha:.2f} ± {fit.sigma:.2f} on {fit.n_tail} values, D√n = {fit.scaled_D:.2f}" in sentence
    assert ("true exponent" in sentence) == (data in WITH_ALPHA)
    assert ("no power law at all" in sentence) == (data in WITHOUT_ALPHA)
    assert ("a truncated power law" in sentence or "truncated power laws has" in sentence) == truncated
    assert "nan" not in sentence


def test_the_rival_is_told_from_a_power_law_where_the_tail_ends():
    ended = PowerLawModel(data="truncated power law", alpha=1.5, n=2000, top=100.0)
    assert "fits significantly better" in ended.sentence()
    assert ended.result.truncated.alpha == pytest.approx(1.5, abs=5 * ended.result.truncated.sigma)
    assert "significantly better" not in PowerLawModel(data="Pareto", n=2000, top=100.0).sentence()


def test_moving_xmin_searches_nothing_anew():
    shown = PowerLawExplorer(n=600, seed=77)
    before = explorer_file._searched.cache_info().misses
    for value in (50.0, 5.0, 0.5):
        shown.controls["top"].value = value
        assert shown.model.result.by_hand.n_tail == max(2, round(value / 100 * 600))
    assert explorer_file._searched.cache_info().misses == before


def test_what_does_nothing_is_greyed_out():
    shown = PowerLawExplorer()

    def idle():
        disabled = {name for name in shown.model.controls() if shown.controls[name].disabled}
        assert disabled == {n.removesuffix(" box") for n in shown.controls if n.endswith("box")} & idle_now()
        return disabled | ({"seed"} if shown.buttons["new sample"].disabled else set())

    def idle_now():
        return {n.removesuffix(" box") for n, c in shown.controls.items() if n.endswith("box") and c.disabled}

    assert not idle()
    shown.model.data = next(iter(LAYERS))
    assert idle() == {"n", "alpha", "seed"}
    shown.model.data = "lognormal"
    assert idle() == {"alpha"}
    shown.buttons["reset"].click()
    assert not idle()


def test_evidence_at_a_button_until_the_next_move(monkeypatch):
    pytest.importorskip("powerlaw")
    shown = PowerLawExplorer(data="Pareto", n=100, top=100.0)
    assert shown.evidence in shown.children
    assert not shown.evidence.value
    shown.buttons["evidence"].click()
    for word in ("by hand, 95 %", "smallest D, 95 %", "fit worse", "lognormal", "stretched exponential"):
        assert word in shown.evidence.value
    low, high = shown.model.result.by_hand.interval(rng=0)
    assert f"{low:.2f} .. {high:.2f}" in shown.evidence.value
    shown.controls["top"].value = 50.0
    assert not shown.evidence.value

    def missing():
        raise ImportError("pip install rmt-lab[rivals]")

    monkeypatch.setattr(rivals, "_powerlaw", missing)
    shown.buttons["evidence"].click()
    assert "pip install rmt-lab[rivals]" in shown.evidence.value
    assert "lognormal" not in shown.evidence.value
