"""The recorded trainings that grok, against what their weights say."""

import importlib.util
import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from rmt_lab import _files, analyze, find_traps, remove_traps, trainings
from rmt_lab.plotting import follow, plot_training
from rmt_lab.trainings import GrokkingTraining, grokking

SCRIPT = Path(__file__).parents[2] / "scripts" / "train_grokking.py"
each_run = pytest.mark.parametrize("name", grokking.names())


@pytest.fixture(scope="module")
def run():
    return trainings.load("grokking")


@each_run
def test_it_is_a_training_with_more(name):
    run = trainings.load(name)
    assert isinstance(run, GrokkingTraining)
    assert run.steps[0] == 0
    assert run.steps[-1] == run.record["run"]["steps"]
    for x in (run.train_loss, run.test_loss, run.train_accuracy, run.test_accuracy):
        assert x.shape == (len(run.steps),)
    assert run.has_losses
    assert name not in trainings.names()  # which are the language models
    assert set(run.traps["step"]) <= set(run.steps)


def test_it_knows_the_training_pairs_long_before_the_others(run):
    step, train, test = run.curve.T
    knows, grokked = step[np.argmax(train > 0.99)], step[np.argmax(test > 0.99)]
    assert knows < 600
    assert grokked > 8 * knows
    assert test[step == knows] < 0.01
    assert run.train_accuracy[-1] == 1


def test_test_accuracy_falls_again_where_the_decay_was_switched_off(run):
    off = trainings.load("switched_off")
    assert off.record["run"]["decay_until"] == 8000
    step, _train, test = off.curve.T
    before = step <= 8000
    np.testing.assert_array_equal(off.curve[before], run.curve[: before.sum()])  # the same net up to there
    assert test[step == 8000] == 1
    assert test[step > 16_000].min() < 0.9
    assert run.curve[run.curve[:, 0] > 8000, 2].min() > 0.999


def test_the_trap_of_the_output_is_its_mean_and_costs_nothing():
    """All outputs of a pair are shifted by one number, which the softmax does not see; other directions it does see."""
    off = trainings.load("switched_off")
    step = off.weight_steps[-1]
    weights = off.weights(step)
    found = find_traps(weights["output"], shuffles=40, kinds=())
    assert [t.cause for t in found.surviving] == ["mean"]
    without = remove_traps({f"{name}.weight": W for name, W in weights.items()}, shuffles=40)
    assert without["embedding.weight"] is weights["embedding"]
    whole = off.evaluate(weights)
    changed = off.evaluate({name: without[f"{name}.weight"] for name in weights})
    assert changed.test_loss == pytest.approx(whole.test_loss, rel=1e-4)
    assert changed.test_accuracy == whole.test_accuracy
    rng = np.random.default_rng(0)
    u, v = (rng.normal(size=n) for n in weights["output"].shape)
    size = found.surviving[0].size
    other = weights["output"] + size * np.outer(u / np.linalg.norm(u), v / np.linalg.norm(v))
    assert off.evaluate(weights | {"output": other}).test_loss > 10 * whole.test_loss


@pytest.mark.parametrize(
    ("name", "mean", "wide", "falls"), [("without_trap", 0.0, False, True), ("wide_loss", None, True, False)]
)
def test_a_net_falls_without_its_trap_and_not_without_rounding(name, mean, wide, falls):
    """The same function at every step, in exact arithmetic, as the net that falls."""
    control, off = trainings.load(name), trainings.load("switched_off")
    assert (control.record["run"]["mean"], control.record["run"]["wide_loss"]) == (mean, wide)
    for key in ("loss", "weight_decay", "decay_until", "steps", "fraction", "seed", "lr"):
        assert control.record["run"][key] == off.record["run"][key]
    step, _train, test = control.curve.T
    assert (test[step > 8000].min() < 0.95) == falls
    assert (test[step > 8000].min() > 0.998) == (not falls)
    assert not set(control.traps["cause"]) & {"entry", "mean", "none"}
    strength = {run.name: abs(run.weights(run.weight_steps[-1])["output"].mean()) for run in (control, off)}
    assert strength[name] < 0.1 * strength["switched_off"]


@each_run
def test_the_weights_have_the_losses_that_were_recorded(name):
    run = trainings.load(name)
    for step in run.weight_steps:
        found, i = run.evaluate(run.weights(step)), run.steps.index(step)
        assert found.train_accuracy == pytest.approx(run.train_accuracy[i], abs=0.005)  # half precision
        assert found.test_accuracy == pytest.approx(run.test_accuracy[i], abs=0.005)
        assert found.test_loss == pytest.approx(run.test_loss[i], rel=0.1, abs=1e-6)


@each_run
def test_the_spectra_and_the_vectors_are_those_of_the_weights(name):
    run = trainings.load(name)
    step = run.weight_steps[-1]
    for layer, W in run.weights(step).items():
        s = np.linalg.svd(W.astype(float), compute_uv=False)
        assert run.at(step)[layer].spectrum.singular_values == pytest.approx(s[::-1], rel=1e-2, abs=1e-3 * s[0])
        left, right = run.vectors(step, layer)
        assert left.shape == (len(W), 2)
        kept = np.diag(left.T @ W @ right)
        np.testing.assert_allclose(kept, s[:2], rtol=1e-2)


def test_the_traps_are_those_of_the_weights(run):
    step = run.weight_steps[-1]
    for layer, W in run.weights(step).items():
        kept = run.traps[(run.traps["step"] == step) & (run.traps["layer"] == layer)]
        found = find_traps(W, shuffles=40, rng=step, kinds=()).traps
        assert [t.cause for t in found][:3] == kept["cause"].tolist()[:3]
        assert [t.strength for t in found][:3] == pytest.approx(kept["strength"].tolist()[:3], rel=0.01)


def test_the_beginning_is_noise_without_traps(run):
    assert not len(run.traps[(run.traps["step"] == 0) & (run.traps["cause"] != "pattern")])
    for layer in run.at(0):
        assert layer.spectrum.entry_std == pytest.approx(layer.init_std, rel=0.03)


def test_it_goes_where_a_training_goes(run):
    assert analyze(run.at(run.steps[-1])).shape[0] == 3
    fig = plot_training(follow(run, "hidden"), step=run.steps[-1])
    assert len(fig.axes) == 3
    import matplotlib.pyplot as plt

    plt.close(fig)
    assert run.learning_rate(100) == run.record["run"]["lr"]
    assert "grokking" in run._repr_html_()


def test_names_and_steps_that_are_not_there(run, tmp_path, monkeypatch):
    with pytest.raises(ValueError, match="name='nothing'; recorded trainings are .*little.*grokking"):
        trainings.load("nothing")
    with pytest.raises(ValueError, match="step=7; weights were kept at 412, "):
        run.weights(7)
    with pytest.raises(ValueError, match="layers embedding, hidden, output"):
        run.vectors(0, "query")
    with pytest.raises(ValueError, match="step=-1; grokking has the steps 0 to"):
        run.learning_rate(-1)
    with np.load(_files.shipped_folder("grokking") / "grokking.npz") as file:
        arrays = dict(file)
    arrays["test_loss"] = arrays["test_loss"] + np.float32(1)
    np.savez(tmp_path / "grokking.npz", **arrays)
    monkeypatch.setattr("rmt_lab.trainings.grokking.shipped_folder", lambda kind: tmp_path)
    with pytest.raises(ValueError, match="training 'grokking' .* cannot be read: the checksum"):
        trainings.load("grokking")


@pytest.fixture(scope="module")
def script():
    pytest.importorskip("torch")
    spec = importlib.util.spec_from_file_location("train_grokking", SCRIPT)
    module = sys.modules["train_grokking"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_controls_are_the_same_function_where_nothing_is_rounded(script, tmp_path):
    """With 64 bits: the mean of the output layer changes no loss, while 64 bits in the loss change nothing at all."""
    plain = script.Run("cross entropy", 1.0, decay_until=20, steps=60, double=True)
    changes = {
        "without_trap": {"mean": 0.0},
        "of units": {"mean": -0.8, "mean_of": "units"},
        "wide_loss": {"wide_loss": True},
        "decay": {"decay_until": None},  # a change that is one
    }
    kept = {}
    for name, change in ({"plain": {}} | changes).items():
        script.train(name, replace(plain, **change), tmp_path)
        with np.load(tmp_path / f"{name}.npz") as file:
            kept[name] = dict(file)
    for name in changes:
        same = np.allclose(kept[name]["figures"], kept["plain"]["figures"], rtol=1e-10, atol=0)
        assert same == (name != "decay")
    assert kept["without_trap"]["output"][-1].mean() == pytest.approx(0, abs=1e-15)
    np.testing.assert_allclose(kept["of units"]["output"][-1].mean(axis=0), -0.8, rtol=1e-12)
    assert abs(kept["plain"]["output"][-1].mean()) > 1e-4
    assert kept["plain"]["output"].dtype == np.float64


@pytest.mark.slow
def test_the_script_records_what_it_trained(script, tmp_path, monkeypatch, capsys):
    """A short run, with the script's own functions: what is packed is what torch has."""
    import torch

    short = script.Run("cross entropy", 1.0, decay_until=40, steps=60)
    script.train("short", short, tmp_path)
    monkeypatch.setattr(script, "FOLDER", tmp_path / "packed")
    monkeypatch.setattr(script, "traps_of", lambda step, layer, W: [])
    script.pack("short", short, tmp_path)
    monkeypatch.setattr("rmt_lab.trainings.grokking.shipped_folder", lambda kind: tmp_path / "packed")
    monkeypatch.setattr("rmt_lab.trainings.grokking.shipped_names", lambda kind: ["short"])
    run = trainings.load("short")
    assert run.steps[-1] == 60
    assert json.dumps(run.record["run"])
    with np.load(tmp_path / "short.npz") as kept:
        a, b, y, n = script.pairs(short)
        out = script.outputs([torch.tensor(kept[x][-1]) for x in script.NAMES], a, b)
        loss = torch.nn.functional.cross_entropy(out[n:], y[n:]).item()
    assert run.test_loss[-1] == pytest.approx(loss, rel=1e-6)
    assert run.evaluate(run.weights(60)).test_loss == pytest.approx(loss, rel=1e-2)
