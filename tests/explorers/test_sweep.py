"""The values of a slider, and what is shown at each."""

import math

import pytest
from matplotlib.figure import Figure
from traitlets import TraitError

from rmt_lab import explorers
from rmt_lab.explorers.base import Model, choice, number, switch
from rmt_lab.explorers.layer import LayerModel
from rmt_lab.explorers.png import png
from rmt_lab.explorers.sweep import frame, same_but, steps, thinned, value_in_words

EXPLORERS = [getattr(explorers, name) for name in explorers.__all__ if name.endswith("Explorer")]


class StepsModel(Model):
    whole = number(5, 0, 10, step=3, label="whole")
    real = number(0.3, 0.0, 1.0, step=0.1, label="real")
    log = number(10, 4, 1000, step=0.1, label="log", log=True)
    word = choice(["b", "a"], "word")
    on = switch(False, "on")

    presets = {"first": {}, "second": {"real": 0.55}, "third": {"real": 0.15, "on": True}}  # noqa: RUF012


def test_the_values_are_those_of_the_slider():
    model = StepsModel()
    assert steps(model, "whole") == [0, 3, 6, 9, 10]
    assert steps(model, "real") == [0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0]
    assert steps(model, "log")[:5] == [4, 5, 6, 8, 10]
    assert steps(model, "log")[-1] == 1000
    assert (steps(model, "word"), steps(model, "on")) == (["b", "a"], [False, True])
    with pytest.raises(ValueError, match="name='colour'; StepsModel has the controls whole, real, log, word, on"):
        steps(model, "colour")


@pytest.mark.parametrize("explorer", EXPLORERS, ids=lambda e: e.__name__)
def test_every_value_is_allowed_and_both_ends_are_there(explorer):
    model = explorer().model
    for name, control in model.controls().items():
        values = steps(model, name)
        if control["control"] == "number":
            assert values == sorted(values)
            assert (values[0], values[-1]) == pytest.approx(model.limits(name))
        for value in values:
            type(model)(**{name: value})
    assert model.swept in model.controls()


def test_a_thinned_sweep_has_both_ends_the_present_value_and_the_presets_on_it():
    assert thinned(StepsModel(), "real", 4) == [0.0, 0.3, 0.4, 0.55, 0.8, 1.0]
    almost = 0.1 * 7  # 0.7000000000000001: in the place of 0.7, not beside it
    assert [v for v in thinned(StepsModel(real=almost), "real", 11) if 0.65 < v < 0.75] == [almost]
    assert thinned(StepsModel(on=True), "real", 11)[1:3] == [0.1, 0.15]
    assert same_but(StepsModel(on=True), "third", "real")
    assert not same_but(StepsModel(), "third", "real")
    assert thinned(StepsModel(), "word", 2) == ["b", "a"]


@pytest.mark.parametrize("explorer", EXPLORERS, ids=lambda e: e.__name__)
def test_a_frame_is_what_the_explorer_shows_there(explorer):
    shown = explorer()
    name = shown.model.swept
    before = shown.model.parameters()
    values = thinned(shown.model, name, 5)
    for value in (values[0], values[len(values) // 2], values[-1]):
        made = frame(shown.model, 60, **{name: value})
        assert shown.model.parameters() == before
        there = explorer(**before | {name: value})
        assert made.parameters == there.model.parameters()
        assert made.sentence == there.sentence
        assert made.picture == png(there.model.draw(Figure(figsize=there.model.figsize, dpi=60)))


def test_a_frame_refuses_what_the_model_refuses():
    model = explorers.SpikeExplorer().model
    with pytest.raises(TypeError, match="no parameter 'colour'"):
        frame(model, 60, colour=1)
    with pytest.raises(TraitError):
        frame(model, 60, strength=9.0)


def test_a_value_in_words():
    assert [value_in_words(v) for v in (0, 12345, 1e-3, 0.039811, 1e5, False)] == ["0", "12345", "0.001", "0.0398",
                                                                                   "100000", "off"]  # fmt: skip
    assert not math.isnan(float(value_in_words(2.449)))


@pytest.mark.parametrize("explorer", EXPLORERS, ids=lambda e: e.__name__)
def test_a_control_has_the_range_that_the_model_has_now(explorer):
    shown = explorer()
    for name, control in shown.model.controls().items():
        if control["control"] == "number":
            box = shown.controls[f"{name} box"]
            assert (box.min, box.max) == shown.model.limits(name), name


def test_a_block_beyond_the_last_is_the_last():
    shown = explorers.LayerExplorer()
    shown.model.block = 26
    assert (shown.model.block, shown.controls["block"].value, shown.controls["block box"].value) == (5, 5, 5)
    assert "block 5 query of minilm" in shown.picture.words
    shown.model.model = "smollm2"
    shown.model.block = 26
    assert (shown.model.block, shown.controls["block box"].max) == (26, 29)
    assert steps(shown.model, "block") == list(range(30))
    assert LayerModel(block=26).block == 5
    model = LayerModel()
    model.update({"block": 26, "model": "smollm2"})
    assert model.block == 26
    model.role = "embedding"  # which has one: the last is shown, and the sweep has no other
    assert (model.layer().name, steps(model, "block")) == ("word embedding", [0])
