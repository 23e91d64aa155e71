import inspect

import matplotlib.pyplot as plt
import numpy as np
import pytest
from drawn import area, by_color, words
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.figure import Figure

from rmt_lab import fit_bulk, fit_power_law, trainings
from rmt_lab.ensembles import matched_noise
from rmt_lab.explorers.training import TrainingExplorer, TrainingModel, _load
from rmt_lab.plotting import follow, plot_training, style
from rmt_lab.plotting.tails import PLAUSIBLE
from rmt_lab.plotting.trainings import VIEWS, noise_alphas
from rmt_lab.weights.roles import ROLES

ROLES_HERE = [role for role in ROLES if role in TrainingModel().layers()]
few = settings(max_examples=12, deadline=None)
states = {
    "model": st.sampled_from(trainings.names()),
    "role": st.sampled_from(ROLES_HERE),
    "block": st.integers(0, 5) | st.just(1000),
    "look": st.integers(0, 24),
    "view": st.sampled_from(VIEWS),
}


@pytest.fixture(scope="module")
def little():
    return _load("little")


def test_a_layer_is_followed_through_all_steps(little):
    followed = follow(little, "block 2 value")
    assert len(followed.spectra) == len(followed.fits) == len(little.steps)
    for step, s, fit in zip(little.steps, followed.spectra, followed.fits, strict=True):
        assert s is little.at(step)["block 2 value"].spectrum
        assert fit.alpha == fit_power_law(s.eigenvalues).alpha
    assert follow(little, "block 2 value") is followed
    with pytest.raises(KeyError, match="block 9 value"):
        follow(little, "block 9 value")


@pytest.mark.parametrize(("N", "M"), [(256, 256), (1024, 256), (256, 128)])
def test_the_band_of_noise_holds_nine_in_ten(N, M):
    low, high = noise_alphas(N, M)
    assert low > 3  # far above what a trained layer has
    rng = np.random.default_rng(7)
    alphas = []
    for _ in range(60):  # full matrices and LAPACK's singular values, another sample
        s = np.linalg.svd(rng.normal(size=(N, M)).astype(np.float32), compute_uv=False).astype(float)
        alphas.append(fit_power_law(s**2).alpha)
    assert 0.75 < np.mean((low <= np.array(alphas)) & (np.array(alphas) <= high)) < 0.99


def test_the_start_of_most_layers_lies_in_the_band(little):
    inside = []
    for x in little.at(0):
        low, high = noise_alphas(x.spectrum.N, x.spectrum.M)
        inside.append(low <= fit_power_law(x.spectrum.eigenvalues).alpha <= high)
    assert 0.75 < np.mean(inside) <= 1


@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize("step", [0, 85, 2400])
def test_the_picture_counts_what_stands_beyond(little, view, step):
    followed = follow(little, "block 4 feed-forward in")
    fig = plot_training(followed, step, view, rng=3, fig=Figure())
    spectrum, loss, exponent = fig.axes
    s = little.at(step)["block 4 feed-forward in"].spectrum
    title = spectrum.get_title("left").replace("\n", " ")
    if view == VIEWS[2]:
        count = np.count_nonzero(s.eigenvalues > matched_noise(s, rng=3).eigenvalues[-1])
        verb = "exceed" if count > 1 else "exceeds"
        assert title == f"{count or 'None'} of 256 eigenvalues {verb} Gaussian noise of its norm"
        np.testing.assert_array_equal(by_color(spectrum, style.MEASURED)[0].get_xdata(), s.eigenvalues)
    else:
        start = little.at(0)["block 4 feed-forward in"].spectrum.singular_values[-1]
        count = np.count_nonzero(s.singular_values > start) if view == VIEWS[0] else fit_bulk(s).num_spikes
        assert title.startswith(f"{count or 'None'} of 256 singular values exceed")
        inside = np.mean(s.singular_values <= spectrum.get_xlim()[1])
        single = s.singular_values[256 - style.num_single(s.singular_values) :]
        drawn = inside - np.mean(np.isin(s.singular_values, single) & (s.singular_values <= spectrum.get_xlim()[1]))
        assert area(spectrum.patches[0]) == pytest.approx(drawn)
        outside = 256 - round(256 * inside)
        assert any(f"{outside} more, up to" in word for word in words(spectrum)) == (outside > 0)
    assert f"block 4 feed-forward in, step {step}" in spectrum.get_xlabel()
    drawn = [line.get_ydata() for line in loss.lines if len(line.get_ydata()) == len(little.steps)]
    np.testing.assert_array_equal(drawn, [little.train_loss, little.test_loss])
    now = little.steps.index(step)
    alphas = by_color(exponent, style.FIT)[0]
    np.testing.assert_array_equal(alphas.get_ydata(), [f.alpha for f in followed.fits])
    plausible = [f.D * f.n_tail**0.5 <= PLAUSIBLE for f in followed.fits]
    circles = {line.get_markerfacecolor(): line.get_xdata() for line in exponent.lines if line.get_markersize() == 5}
    np.testing.assert_array_equal(circles[style.FIT], np.flatnonzero(plausible))
    np.testing.assert_array_equal(circles["white"], np.flatnonzero(~np.array(plausible)))
    assert any(line.get_xydata().tolist() == [[now, followed.fits[now].alpha]] for line in exponent.lines)
    assert style.alt_text(fig).startswith(("Histogram of the 256", "The 256 eigenvalues"))


def test_the_axis_of_the_spectrum_stays_from_step_to_step(little):
    followed, fig = follow(little, "block 1 key"), Figure()
    for view in VIEWS:
        limits = {plot_training(followed, step, view, rng=0, fig=fig).axes[0].get_xlim() for step in little.steps[::3]}
        assert len(limits) == 1
        left, right = limits.pop()
        for s in followed.spectra:  # and little lies outside of it
            values = s.eigenvalues if view == VIEWS[2] else s.singular_values
            assert np.mean(values > right) <= 0.05
            assert left < np.median(values)


def test_steps_and_views_that_are_not_known(little):
    followed = follow(little, "block 1 key")
    with pytest.raises(ValueError, match="step=3; little was recorded at 0, 4"):
        plot_training(followed, 3, fig=Figure())
    with pytest.raises(ValueError, match="view='tail'; allowed are 'over its initialisation', "):
        plot_training(followed, 4, "tail", fig=Figure())


@few
@given(**states)
def test_the_sentence_says_what_the_library_says(**state):
    model = TrainingModel(**state)
    training = trainings.load(state["model"])
    step = training.steps[state["look"]]
    x = training.at(step)[model.layer().name]
    assert x.role == state["role"]
    assert x.block in (None, min(state["block"], 5))
    sentence, fit = model.sentence(), fit_power_law(x.spectrum.nonzero_eigenvalues)
    assert sentence.startswith(f"Step {step} of {training.name}: loss {training.train_loss[state['look']]:.2f} on ")
    assert (
        f"{training.test_loss[state['look']]:.2f} on held-out text (best: {training.test_loss.min():.2f} " in sentence
    )
    assert f"α = {fit.alpha:.2f} ± {fit.sigma:.2f} on {fit.n_tail} of {len(fit.x)} eigenvalues" in sentence
    title = (
        model.draw(Figure(figsize=model.figsize))
        .axes[0]
        .get_title("left")
        .lower()
        .replace("eigenvalue", "singular value")
    )
    assert f"{title}; " in sentence.lower()
    low, high = noise_alphas(x.spectrum.N, x.spectrum.M)
    assert ("this α says nothing" in sentence) == (low <= fit.alpha <= high)


@few
@given(**states, seed=st.integers(0, 99))
def test_the_code_makes_the_same_picture(**state):
    model = TrainingModel(**state)
    try:
        exec(model.code(), space := {})
        made = plt.gcf()
        ours = model.draw(Figure(figsize=model.figsize))
        for a, b in zip(ours.axes, made.axes, strict=True):
            assert a.get_title("left") == b.get_title("left")
            for line, other in zip(a.lines, b.lines, strict=True):
                np.testing.assert_allclose(line.get_xydata(), other.get_xydata())
    finally:
        plt.close("all")
    assert space["followed"].training.name == state["model"]
    assert ("rng=" in model.code()) == (state["view"] == VIEWS[2])


@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize("role", ROLES_HERE)
@pytest.mark.parametrize("name", trainings.names())
def test_at_the_extremes_it_draws_and_speaks(name, role, view):
    fig = Figure(figsize=(8, 5))
    for block, look in ((0, 0), (0, 24), (1000, 0), (1000, 24)):
        model = TrainingModel(model=name, role=role, block=block, look=look, view=view)
        assert model.draw(fig) is fig
        assert all(ax.get_xlabel() for ax in fig.axes)
        assert "nan" not in model.sentence()
        fig.canvas.draw()
    assert not plt.get_fignums()


def test_the_slider_of_steps_moves_picture_and_sentence():
    shown = TrainingExplorer()
    shown.presets.value = "trained"
    seen = set()
    for look in (0, 12, 24):
        shown.controls["look"].value = look
        seen.add((shown.picture.value, shown.picture.words))
        assert f"Step {_load('little').steps[look]} of little" in shown.picture.words
    assert len(seen) == 3


def test_all_steps_of_a_layer_are_fitted_once():
    model = TrainingModel(block=1)
    assert model.sentence()
    fits = follow.cache_info().misses
    for look in range(25):
        model.look = look
        assert model.sentence()
    assert follow.cache_info().misses == fits


def test_controls_that_do_nothing_are_idle():
    shown = TrainingExplorer()
    assert shown.buttons["new sample"].disabled
    shown.controls["view"].value = VIEWS[2]
    assert not shown.buttons["new sample"].disabled
    before = shown.picture.value
    shown.buttons["new sample"].click()
    assert shown.picture.value != before
    shown.controls["role"].value = "embedding"
    assert shown.controls["block"].disabled
    assert shown.sentence.count("Word embedding, 256 × 256") == 1


@pytest.mark.parametrize("preset", TrainingModel.presets)
def test_presets(preset):
    model = TrainingModel(**TrainingModel.preset_values(preset))
    assert model.preset() == preset
    assert TrainingModel().preset() == "trained"


def test_a_training_with_fewer_steps_ends_with_its_last(little, monkeypatch):
    from rmt_lab.explorers import training as module

    short = trainings.Training(
        "short", little.steps[:5], little.train_loss[:5], little.test_loss[:5], little.record, little._models[:5]
    )
    monkeypatch.setattr(trainings, "names", lambda: ["short"])
    monkeypatch.setattr(module, "_load", lambda name: short)
    module._layers.cache_clear()
    model = TrainingModel(model="short")
    assert model.step() == little.steps[4]
    assert "Step 9 of short" in model.sentence()
    model.draw(Figure(figsize=model.figsize)).canvas.draw()
    module._layers.cache_clear()


def test_it_asks_questions():
    doc = inspect.getdoc(TrainingExplorer)
    assert all(f"{i}. " in doc for i in (1, 2, 3, 4))
    assert eval(repr(TrainingExplorer(look=3)), {"TrainingExplorer": TrainingExplorer}).model.look == 3


Q, UP = "h.{}.attn.q_proj.weight", "h.{}.mlp.up_proj.weight"


@pytest.fixture
def folder(tmp_path):
    """Four checkpoints: noise, to which query 0 gains a direction; UP 1 is zero at first."""
    rng = np.random.default_rng(0)
    noise = {name.format(i): rng.normal(size=(90, 60)) for name in (Q, UP) for i in range(2)}
    new = np.outer(rng.normal(size=90), rng.normal(size=60))
    for i, step in enumerate((100, 400, 900, 1600)):
        gained = {Q.format(0): noise[Q.format(0)] + 0.4 * i * new, UP.format(1): i * noise[UP.format(1)]}
        np.savez(tmp_path / f"step_{step}.npz", **noise | gained)
    return tmp_path


def test_a_folder_of_checkpoints_opens_in_it(folder):
    training = trainings.record(folder)
    shown = TrainingExplorer(training)
    assert (shown.model.model, shown.model.step()) == (folder.name, 1600)
    assert shown.controls["look"].max == 3
    s = training.at(1600)["block 0 query"].spectrum
    first = training.at(100)["block 0 query"].spectrum
    beyond = np.count_nonzero(s.singular_values > first.singular_values[-1])
    assert beyond >= 1
    words = f"Step 1600 of {folder.name}: the losses were not recorded. Block 0 query, 90 × 60: {beyond} of 60 "
    assert shown.sentence.startswith(words)
    assert "those at step 100; α = " in shown.sentence
    shown.controls["look"].value = 0
    assert "none of 60 singular values exceeds those at step 100" in shown.sentence
    for view in shown.controls["view"].options:
        shown.controls["view"].value = view
        assert "nan" not in shown.sentence
    assert shown.controls["view"].options[0] == "over step 100"  # the first checkpoint need not be an initialisation
    assert eval(repr(shown), {"TrainingExplorer": TrainingExplorer, "training": training}).sentence == shown.sentence


def test_losses_that_are_not_known_have_no_axis_and_the_picture_says_so(folder, little):
    shown = TrainingExplorer(folder)
    fig = shown.figure()
    exponent = fig.axes[1]
    assert len(fig.axes) == 2
    assert exponent.get_ylabel() == "exponent α"
    assert exponent.get_title("right") == "losses: not recorded"
    assert style.alt_text(fig).endswith("Below, alpha at 4 steps from 100 to 1600. The losses were not recorded.")
    fits = shown.model.result.fits
    np.testing.assert_array_equal(by_color(exponent, style.FIT)[0].get_ydata(), [fit.alpha for fit in fits])
    plot_training(follow(little, "block 1 key"), 0, fig=fig)  # the same figure, with room for losses again
    assert [ax.get_ylabel() for ax in fig.axes[1:]] == ["loss, nats/byte", "exponent α"]
    with pytest.raises(ValueError, match="view='over its initialisation'; allowed are 'over step 100', "):
        plot_training(shown.model.result, 100, VIEWS[0], fig=fig)


@pytest.mark.parametrize("arguments", [{}, {"layers": ["query"], "cache": "kept"}])
def test_the_code_opens_the_folder_again_with_the_library_alone(folder, arguments, monkeypatch):
    monkeypatch.chdir(folder)
    shown = TrainingExplorer(trainings.record(folder, **arguments))
    for preset in shown.model.presets:
        shown.presets.value = preset
        assert shown.model.preset() == preset
        assert "rmt_lab.explorers" not in shown.code()
        try:
            exec(str(shown.code()), {})
            made, ours = plt.gcf(), shown.figure()
            assert [a.get_title("left") for a in made.axes] == [a.get_title("left") for a in ours.axes]
            for a, b in zip(ours.axes, made.axes, strict=True):
                for line, other in zip(a.lines, b.lines, strict=True):
                    np.testing.assert_allclose(line.get_xydata(), other.get_xydata())
        finally:
            plt.close("all")


def test_a_training_that_is_given_as_an_object(little):
    assert "trainings.load('little')" in TrainingExplorer(little).code()
    own = trainings.Training("own", (0,), little.train_loss[:1], little.test_loss[:1], {}, little._models[:1])
    shown = TrainingExplorer(own)
    assert "# training: the one that the explorer was given\nfollowed = follow(training, " in shown.code()
    assert "Step 0 of own: loss 5." in shown.sentence
    assert shown.controls["look"].disabled


def test_a_layer_without_a_power_law_at_one_step_says_so_and_the_others_are_shown(folder):
    shown = TrainingExplorer(folder, role="feed-forward in", block=1)
    assert shown.sentence.startswith(f"block 1 feed-forward in of {folder.name} has no power law at every step: ")
    assert shown.figure().axes[0].get_title("left") == "block 1 feed-forward in cannot be followed"
    compile(shown.code(), "code", "exec")
    shown.controls["block"].value = 0
    assert "the losses were not recorded" in shown.sentence
    assert len(shown.figure().axes) == 2


def test_kernels_are_compared_with_noise_of_as_many_slices(tmp_path):
    np.savez(tmp_path / "step_1.npz", conv=np.random.default_rng(0).normal(size=(40, 20, 3, 3)))
    shown = TrainingExplorer(tmp_path)
    assert "of 180 singular values" in shown.sentence
    low, high = noise_alphas(40, 20, 9)
    assert f"gives α = {low:.1f} to {high:.1f}" in shown.sentence
    assert noise_alphas(40, 20) != (low, high)
