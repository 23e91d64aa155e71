"""What every explorer promises: whatever is in ``rmt_lab.explorers`` is held to it here."""

import base64
import gc
import html
import io
import itertools

import ipywidgets
import matplotlib.image
import matplotlib.pyplot as plt
import nbconvert
import nbformat
import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from scipy.ndimage import uniform_filter
from threadpoolctl import threadpool_limits

from rmt_lab import explorers
from rmt_lab.explorers.png import png
from rmt_lab.explorers.slider import Slider
from rmt_lab.explorers.view import DPI, INCH

EXPLORERS = [getattr(explorers, name) for name in explorers.__all__ if name.endswith("Explorer")]
MODELS = [explorer.model_class for explorer in EXPLORERS]

each_explorer = pytest.mark.parametrize("explorer", EXPLORERS, ids=lambda e: e.__name__)
each_model = pytest.mark.parametrize("model", MODELS, ids=lambda m: m.__name__)


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    with threadpool_limits(1, user_api="blas"):  # several lose much on a busy machine
        yield


def extremes(model, name):
    """The values at which a control ends; every entry of a list."""
    kind = model.controls()[name]["control"]
    if kind == "choice":
        return model().options(name)
    trait = getattr(model, name)
    return [False, True] if kind == "switch" else [trait.min, trait.max]


def elsewhere(explorer, name):
    """A value that the widget of a control can be set to, not the present one."""
    widget = explorer.controls[name]
    if isinstance(widget, ipywidgets.Checkbox):
        return not widget.value
    if isinstance(widget, ipywidgets.Dropdown):
        return next(o for o in widget.options if o != widget.value)
    at = nearest(widget)
    last = len(widget.stops) - 1
    return widget.stops[min(at + 4, last) if at + 4 <= last or at == 0 else max(at - 4, 0)]


def nearest(slider):
    """Which of its stops a slider shows."""
    return int(np.abs(np.array(slider.stops) - slider.value).argmin())


def movable(explorer):
    """The controls that can be moved: not a list of one entry."""
    return [n for n in explorer.model.controls() if len(getattr(explorer.controls[n], "options", "ab")) > 1]


@pytest.mark.slow
@each_model
def test_every_pair_of_extremes_draws_and_speaks(model):
    fig = Figure(figsize=(8, 5))
    for a, b in itertools.combinations(model.controls(), 2):
        for values in itertools.product(extremes(model, a), extremes(model, b)):
            m = model(**dict(zip((a, b), values, strict=True)))
            assert m.draw(fig) is fig
            assert fig.axes[0].get_title("left")
            assert m.sentence().endswith(".")
            assert "nan" not in m.sentence().lower()
            compile(m.code(), "code", "exec")
            fig.canvas.draw()
    assert not plt.get_fignums()


@each_model
def test_presets_are_states_of_their_own(model):
    assert len(model.presets) >= 3
    assert model().preset() == next(iter(model.presets))  # the first picture is the first preset
    for name in model.presets:
        m = model(**model.preset_values(name))
        assert m.preset() == name
        assert m.sentence()


@pytest.mark.slow
@each_explorer
def test_code_makes_the_same_figure(explorer):
    for preset in explorer.model_class.presets:
        shown = explorer(**explorer.model_class.preset_values(preset), seed=3)
        assert "rmt_lab.explorers" not in shown.code()  # the library alone
        try:
            exec(str(shown.code()), {})
            made = plt.gcf()
            assert [a.get_title("left") for a in made.axes] == [a.get_title("left") for a in shown.figure().axes]
            for ours, theirs in zip(shown.figure().axes, made.axes, strict=True):
                assert len(ours.lines) == len(theirs.lines)
                for line, other in zip(ours.lines, theirs.lines, strict=True):
                    np.testing.assert_allclose(line.get_xydata(), other.get_xydata(), rtol=1e-9, atol=1e-12)
                assert len(ours.patches) == len(theirs.patches)
                for patch, other in zip(ours.patches, theirs.patches, strict=True):
                    corners, others = (p.get_path().vertices for p in (patch, other))
                    np.testing.assert_allclose(corners, others, rtol=1e-9, atol=1e-12)
                assert len(ours.collections) == len(theirs.collections)
                for marks, others in zip(ours.collections, theirs.collections, strict=True):
                    np.testing.assert_allclose(marks.get_offsets(), others.get_offsets(), rtol=1e-9, atol=1e-12)
                    for path, other in zip(marks.get_paths(), others.get_paths(), strict=True):
                        np.testing.assert_allclose(path.vertices, other.vertices, rtol=1e-9, atol=1e-12)
                assert [t.get_text() for t in ours.texts] == [t.get_text() for t in theirs.texts]
        finally:
            plt.close("all")
    assert repr(shown.code()) == str(shown.code())


@each_explorer
def test_every_control_moves_the_picture_and_the_sentence(explorer):
    shown = explorer()
    for name in movable(shown):
        shown.buttons["reset"].click()
        before = shown.picture.value, shown.picture.words
        shown.controls[name].value = elsewhere(shown, name)
        assert shown.model.parameters() != shown.model_class().parameters()
        assert shown.picture.value != before[0], name
        assert shown.picture.words != before[1], name
        assert shown.sentence == shown.model.sentence()
        if f"{name} box" in shown.controls:
            box = shown.controls[f"{name} box"]
            assert box.value == getattr(shown.model, name)
            box.value = box.min
            assert getattr(shown.model, name) == box.min
            assert shown.controls[name].value == pytest.approx(box.min)


@each_explorer
def test_buttons_and_presets(explorer):
    shown = explorer(seed=5)
    first = shown.model.parameters()
    assert shown.presets.value == next(iter(shown.model.presets))
    for preset in shown.model.presets:
        shown.presets.value = preset
        assert shown.model.preset() == preset
        for name in shown.model.controls():
            assert shown.controls[name].value == pytest.approx(getattr(shown.model, name))
    picture = shown.picture.value
    shown.buttons["new sample"].click()
    assert shown.model.seed == 6
    assert shown.picture.value != picture
    shown.buttons["reset"].click()
    assert shown.model.parameters() == first
    name = next(n for n, c in shown.model.controls().items() if c["control"] == "number")
    shown.controls[name].value = elsewhere(shown, name)
    assert shown.presets.value == shown.model.preset()
    assert not shown.listing.value
    shown.buttons["code"].click()
    assert shown.code() in html.unescape(shown.listing.value)
    shown.buttons["reset"].click()
    assert shown.code() in html.unescape(shown.listing.value)


@pytest.mark.slow
@each_explorer
def test_two_hundred_updates_leave_nothing_behind(explorer, monkeypatch):
    def held():
        gc.collect()
        observers = [len(names) for w in every_widget(shown) for names in w._trait_notifiers.values()]
        figures = sum(issubclass(type(o), Figure) for o in gc.get_objects())  # isinstance would wake lazy objects
        artists = [len(ax.get_children()) for ax in shown._figure.axes]
        return observers, figures, artists, len(list(every_widget(shown))), plt.get_fignums()

    shown = explorer()
    name = next(n for n, c in shown.model.controls().items() if c["control"] == "number")
    states = [getattr(shown.model, name), elsewhere(shown, name)]
    for value in reversed(states):
        shown.controls[name].value = value
    before = held()
    monkeypatch.setattr("rmt_lab.explorers.view.png", lambda fig: b"")  # the slow part, and the picture is the same
    for value in states[::-1] * 100:
        shown.controls[name].value = value
    assert held() == before


def every_widget(widget):
    yield widget
    for child in getattr(widget, "children", ()):
        yield from every_widget(child)


@each_explorer
def test_every_control_is_labelled(explorer):
    shown = explorer()
    for control in shown.controls.values():
        assert control.label if isinstance(control, Slider) else control.description
    for name, control in shown.model.controls().items():
        labelled = shown.controls.get(f"{name} box", shown.controls[name])
        assert labelled.description == control["label"]


@each_explorer
def test_where_widgets_do_not_run_there_is_a_picture(explorer):
    shown = explorer()
    assert "\n" not in repr(shown)
    assert eval(repr(shown), {explorer.__name__: explorer}).model.parameters() == shown.model.parameters()
    bundle = shown._repr_mimebundle_()
    assert bundle["text/plain"] == repr(shown)
    assert "application/vnd.jupyter.widget-view+json" in bundle
    picture = matplotlib.image.imread(io.BytesIO(base64.b64decode(bundle["image/png"])))
    assert picture.shape[1] == pytest.approx(DPI / INCH * shown.picture.width, abs=1)
    assert picture.shape[1] > 1.5 * shown.picture.width  # sharp when a lecturer zooms in
    assert len(bundle["image/png"]) < 350_000  # a notebook holds less than 1 MB
    assert len(np.unique(picture[::9, ::9].reshape(-1, 4), axis=0)) > 20


def test_a_page_made_from_a_notebook_shows_the_picture():
    bundle = explorers.BulkExplorer()._repr_mimebundle_()
    output = nbformat.v4.new_output("execute_result", data=bundle, execution_count=1)
    cell = nbformat.v4.new_code_cell("BulkExplorer()", outputs=[output], execution_count=1)
    page, _ = nbconvert.HTMLExporter().from_notebook_node(nbformat.v4.new_notebook(cells=[cell]))
    assert bundle["image/png"] in page.replace("\n", "")


@each_explorer
def test_a_figure_given_away_stays_as_it_is(explorer):
    shown = explorer()
    figure = shown.figure()
    before = png(figure)
    name = movable(shown)[0]
    shown.controls[name].value = elsewhere(shown, name)
    assert png(figure) == before
    assert not plt.get_fignums()


@each_explorer
def test_each_explorer_asks_questions(explorer):
    for number_of_question in ("1. ", "2. "):
        assert number_of_question in explorer.__doc__
    assert "?" in explorer.__doc__


def test_png_holds_the_figure_point_for_point():
    fig = Figure(figsize=(3, 2))
    fig.subplots().plot([1, 3, 2])
    picture = matplotlib.image.imread(io.BytesIO(png(fig)))
    assert np.array_equal(np.round(picture * 255), fig.canvas.buffer_rgba())


def test_a_remembered_text_stands_where_agg_draws_it():
    fig = Figure(figsize=(4, 3), dpi=DPI)
    ax = fig.subplots()
    ax.set(title="a title, with comma", xlabel="eigenvalue λ of $W^T W / N$", ylabel="fraction ≥ x", ylim=(0, 0.0123))
    ax.text(0.3, 0.006, "aslant", rotation=45)
    ax.text(0.8, 0.002, "faint", color="0.7")
    first = png(fig)
    assert png(fig) == first
    ours = matplotlib.image.imread(io.BytesIO(first))[..., :3].mean(axis=2)
    canvas = FigureCanvasAgg(fig)
    canvas.draw()
    agg = np.asarray(canvas.buffer_rgba())[..., :3].mean(axis=2) / 255
    moved = uniform_filter(ours, 7) - uniform_filter(agg, 7)
    assert np.abs(moved).max() < 0.2  # half a point; a whole one would make it more
    assert (1 - ours).sum() == pytest.approx((1 - agg).sum(), rel=0.01)
