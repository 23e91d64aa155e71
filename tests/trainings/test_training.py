"""The recorded trainings against what a training must be, and the script that makes them against torch."""

import doctest
import importlib.util
import json
import re
import sys
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from rmt_lab import Spectrum, _files, analyze, atlas, fit_power_law, trainings
from rmt_lab.explorers import LayerExplorer
from rmt_lab.laws import MarchenkoPastur

SCRIPT = Path(__file__).parents[2] / "scripts" / "train_tiny_gpt.py"
PAGE = Path(__file__).parents[2] / "docs" / "trainings.md"
each_training = pytest.mark.parametrize("name", trainings.names())


@pytest.fixture(scope="module")
def little():
    return trainings.load("little")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setattr(_files, "shipped_folder", lambda kind: tmp_path)
    monkeypatch.setattr("rmt_lab.trainings.training.shipped_folder", lambda kind: tmp_path)
    return tmp_path


def arrays_of(name):
    with np.load(_files.shipped_folder("trainings") / f"{name}.npz") as f:
        return dict(f)


@each_training
def test_losses_begin_at_guessing_and_fall(name):
    training = trainings.load(name)
    for loss in (training.train_loss, training.test_loss):
        assert loss.shape == (len(training.steps),)
        assert loss[0] == pytest.approx(np.log(256), rel=0.05)  # every byte as likely as any other
        assert loss[-1] < loss[0] - 1
        assert loss.min() > 0
    assert training.steps[0] == 0
    assert len(training.steps) >= 20
    assert training.steps[-1] == training.record["run"]["steps"]
    assert len(training.record["text_sha256"]) == len(training.record["values_sha256"]) == 64


@each_training
def test_the_first_spectra_are_those_of_gaussian_noise(name):
    for x in trainings.load(name).at(0):
        std = 0.02 / 12**0.5 if x.role in ("attention output", "feed-forward out") else 0.02
        assert x.init_std == pytest.approx(std)
        assert x.spectrum.entry_std == pytest.approx(std, rel=0.02)
        assert stats.kstest(x.spectrum.eigenvalues, MarchenkoPastur(x.spectrum.Q, std).cdf).statistic < 0.03
        drawn = x.initialisation(rng=0)
        assert stats.ks_2samp(drawn.singular_values, x.spectrum.singular_values, method="asymp").pvalue > 0.01


@each_training
def test_training_leaves_noise_behind_in_every_layer(name):
    training = trainings.load(name)
    first, last = training.at(0), training.at(training.steps[-1])
    for x in last:
        before, after = (
            stats.kstest(s.eigenvalues, MarchenkoPastur(s.Q, s.entry_std).cdf).statistic
            for s in (first[x.name].spectrum, x.spectrum)
        )
        assert after > 3 * before


@each_training
def test_every_step_has_the_layers_of_the_architecture(name):
    training = trainings.load(name)
    record = training.record["config"]
    width, blocks = record["n_embd"], record["n_layer"]
    for step in training.steps:
        model = training.at(step)
        assert len(model) == 2 + 6 * blocks
        assert [(x.spectrum.N, x.spectrum.M) for x in model.select("feed-forward in")] == [(4 * width, width)] * blocks
        for role in ("query", "key", "value", "attention output"):
            assert [x.block for x in model.select(role)] == list(range(blocks))
            assert {(x.spectrum.N, x.spectrum.M) for x in model.select(role)} == {(width, width)}
        assert f"step {step} of" in model.provenance["training"]
        assert [x.layer_id for x in model] == list(range(len(model)))


def test_what_differs_between_the_trainings_is_one_thing_each():
    runs = {name: trainings.load(name).record for name in trainings.names()}
    assert len({(r["text_sha256"], r["bytes_seen"], json.dumps(r["config"])) for r in runs.values()}) == 1
    same = {"little": {"fraction"}, "small_batch": {"batch", "steps"}}
    for name, differs in same.items():
        if {name, "much"} <= set(runs):
            a, b = runs[name]["run"], runs["much"]["run"]
            assert {k for k in a if a[k] != b[k]} == differs


def test_a_step_goes_wherever_a_model_of_the_atlas_goes(little):
    model = little.at(2400)
    table = analyze(model, fix_fingers="clip_xmax", layers=["key", "embedding"])
    assert len(table) == 6 + 1
    assert (table.status == "success").all()
    for row in table.itertuples():
        values = model[row.name].spectrum.nonzero_eigenvalues
        assert row.raw_alpha == pytest.approx(fit_power_law(values).alpha)
    shown = LayerExplorer(model, role="key", block=2)
    assert shown.sentence.lower().startswith("block 2 key of atlasmodel, 256 × 256: ")
    assert "shuffled entries" not in shown.model.nulls()


def test_weights_that_were_not_kept_cannot_be_shuffled(little):
    assert {x.shuffled for x in little.at(0)} == {None}
    with pytest.raises(ValueError, match="needs weights to shuffle"):
        analyze(little.at(0), randomize=True, layers=[3])


def test_rounding_the_singular_values_hardly_moves_alpha():
    bits = np.float32(1 + 2.0**-12)  # the worst case: half a unit of 12 bits
    for x in atlas.load("minilm").select("query"):
        spectrum = x.spectrum.nonzero_eigenvalues
        noise = bits ** (2 * np.random.default_rng(0).choice([-1, 1], len(spectrum)))
        assert fit_power_law(spectrum * noise).alpha == pytest.approx(fit_power_law(spectrum).alpha, abs=0.02)


@pytest.mark.slow
def test_every_figure_of_the_page_is_printed_by_its_code():
    result = doctest.testfile(str(PAGE), module_relative=False, optionflags=doctest.NORMALIZE_WHITESPACE)
    assert result.attempted > 15
    assert not result.failed


def test_all_data_files_stay_small():
    data = Path(trainings.__file__).parents[1] / "data"
    assert 1e6 < sum(p.stat().st_size for p in data.rglob("*") if p.is_file()) < 9e6


def test_it_tells_about_itself(little):
    assert repr(little) == "Training('little': steps 0 .. 2400, 25 of them recorded)"
    page = little._repr_html_()
    assert "5.372" in page
    assert little.record["text_sha256"] in page
    assert "3.519" in little.at(2400)._repr_html_()


def test_names_and_steps_that_are_not_there(little):
    with pytest.raises(ValueError, match="name='../atlas/minilm'; recorded trainings are .*little"):
        trainings.load("../atlas/minilm")
    for step in (3, -1, "2400", None):
        with pytest.raises(ValueError, match=f"step={step!r}; little was recorded at 0, 4, 5, .*, 2400"):
            little.at(step)


def broken(what):
    """The arrays of a training with one thing wrong."""
    a = arrays_of("little")
    record = json.loads(a["record"].tobytes())
    if what == "checksum":
        a["singular_values"] = a["singular_values"] * np.float32(1.001)
    elif what == "shapes":
        a["singular_values"] = a["singular_values"][:, 1:]
    elif what == "steps":
        a["steps"] = a["steps"][::-1]
    elif what == "not finite":
        a["test_loss"][3] = np.nan
    elif what == "format":
        record["format"] = 9
    elif what == "must be finite and >= 0":
        a["singular_values"][4, 5] = -1
    if what != "checksum":
        record["values_sha256"] = trainings.checksum(**{k: v for k, v in a.items() if k != "record"})
    a["record"] = np.frombuffer(json.dumps(record).encode(), np.uint8)
    return a


@pytest.mark.parametrize("what", ["checksum", "shapes", "steps", "not finite", "format", "must be finite and >= 0"])
def test_a_file_that_is_not_as_it_was_written(what, tmp_path, monkeypatch):
    np.savez(tmp_path / "bad.npz", **broken(what))
    monkeypatch.setattr(_files, "shipped_folder", lambda kind: tmp_path)
    monkeypatch.setattr("rmt_lab.trainings.training.shipped_folder", lambda kind: tmp_path)
    with pytest.raises(ValueError, match=f"training 'bad' .* cannot be read: .*{what}"):
        trainings.load("bad")


def test_a_file_that_is_none(folder):
    (folder / "bad.npz").write_bytes(b"not a zip")
    assert trainings.names() == ["bad"]
    with pytest.raises(ValueError, match="training 'bad' .* cannot be read"):
        trainings.load("bad")


@pytest.mark.slow
def test_the_script_records_what_torch_has(folder, monkeypatch, capsys):
    """A tiny training, with the script's own functions: first and last spectra are the model's own."""
    torch = pytest.importorskip("torch")
    pytest.importorskip("transformers")
    spec = importlib.util.spec_from_file_location("train_tiny_gpt", SCRIPT)
    script = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "train_tiny_gpt", script)
    spec.loader.exec_module(script)
    rng = np.random.default_rng(0)
    data = np.frombuffer(b"".join(rng.choice([b"random ", b"matrix "], 120_000)), np.uint8)
    monkeypatch.setattr(script, "FOLDER", folder)
    monkeypatch.setattr(script, "SIZE", {"n_embd": 16, "n_layer": 2, "n_head": 2})
    monkeypatch.setattr(script, "text", lambda: data)
    run = script.Run(fraction=0.5, batch=2, steps=6, lr=0.01, warmup=2)
    trained = script.train("tiny", run)
    training = trainings.load("tiny")
    assert training.steps == (0, 4, 5, 6)
    assert training.record["bytes_seen"] == 2 * 128 * 6
    assert training.test_loss[0] == pytest.approx(np.log(256), rel=0.05)
    assert training.test_loss[-1] < training.test_loss[0]
    torch.manual_seed(run.seed)
    fresh = type(trained)(trained.config)
    for model, step in ((fresh, 0), (trained, 6)):
        weights = dict(model.transformer.named_parameters())
        for x in training.at(step):
            path, _, part = x.longname.removeprefix("transformer.").partition(".c_attn.")
            W = weights[f"{path}.c_attn.weight" if part else f"{path}.weight"]
            if part:
                W = W.split(16, dim=1)[["query", "key", "value"].index(part)]
            expected = torch.linalg.svdvals(W.detach().double()).flip(0).numpy()
            np.testing.assert_allclose(x.spectrum.singular_values, expected, rtol=2e-4, atol=1e-6 * expected.max())
    assert not np.allclose(
        training.at(0)["block 0 query"].spectrum.singular_values,
        training.at(6)["block 0 query"].spectrum.singular_values,
        rtol=1e-3,
    )
    assert "tiny" in capsys.readouterr().out


def test_the_learning_rate_is_that_of_the_script(little):
    """A warm-up of 100 steps, then a cosine that ends at a tenth; and runs of other lengths differ at the same step."""
    script = (Path(__file__).parents[2] / "scripts" / "train_tiny_gpt.py").read_text(encoding="utf-8")
    assert "lr = run.lr * warm * (0.55 + 0.45 * np.cos(np.pi * step / run.steps))" in script
    assert "warm = min(1.0, (step + 1) / run.warmup)" in script
    assert little.learning_rate(0) == pytest.approx(1e-5)
    assert little.learning_rate(49) == pytest.approx(5e-4, rel=1e-2)
    assert little.learning_rate(1200) == pytest.approx(5.5e-4)
    assert little.learning_rate(2400) == pytest.approx(1e-4)
    assert trainings.load("small_batch").learning_rate(2400) > 8 * little.learning_rate(2400)
    for step in (-1, 2401):
        with pytest.raises(ValueError, match=f"step={step}; little has the steps 0 to 2400"):
            little.learning_rate(step)


Q, UP = "h.0.attn.q_proj.weight", "h.0.mlp.up_proj.weight"


def checkpoint(path, seed, **more):
    rng = np.random.default_rng(seed)
    state = {Q: rng.normal(size=(40, 30)), UP: rng.normal(size=(60, 40))} | more
    np.savez(path, **{name: W for name, W in state.items() if W is not None})
    return state


def test_a_folder_of_checkpoints_becomes_a_training(tmp_path):
    states = {step: checkpoint(tmp_path / f"step_{step}.npz", step) for step in (700, 20, 100)}
    training = trainings.record(tmp_path)
    assert training.steps == (20, 100, 700)
    assert training.name == tmp_path.name
    for step, state in states.items():
        model = training.at(step)
        assert [(x.name, x.layer_id) for x in model] == [("block 0 query", 0), ("block 0 feed-forward in", 1)]
        for x, W in zip(model, state.values(), strict=True):
            expected = np.linalg.svd(W, compute_uv=False)[::-1]
            np.testing.assert_allclose(x.spectrum.singular_values, expected, rtol=1e-6)
            assert (x.init_std, x.nulls) == (None, ())
    assert len(trainings.record(f"{tmp_path}/step_*0.npz", layers=["query"]).at(20)) == 1
    assert repr(training) == f"Training({tmp_path.name!r}: steps 20 .. 700, 3 of them recorded)"


def test_checkpoints_do_not_hold_their_losses(tmp_path):
    checkpoint(tmp_path / "step_5.npz", 0)
    training = trainings.record(tmp_path)
    assert not training.has_losses
    assert np.isnan([training.train_loss, training.test_loss]).all()
    assert "not recorded" in training._repr_html_()
    assert "nan" not in training._repr_html_()
    with pytest.raises(ValueError, match="made of checkpoints, which do not say their learning rate"):
        training.learning_rate(5)
    assert trainings.load("little").has_losses


def test_a_broken_checkpoint_is_named_and_left_out(tmp_path):
    for step in (1, 2):
        checkpoint(tmp_path / f"step_{step}.npz", step)
    (tmp_path / "step_3.npz").write_bytes(b"broken")
    checkpoint(tmp_path / "step_4.npz", 4, **{Q: np.full((40, 30), np.nan), UP: np.full((60, 40), np.nan)})
    checkpoint(tmp_path / "other_step_2.npz", 5)
    checkpoint(tmp_path / "last.npz", 6)
    with pytest.warns(UserWarning, match="is left out: ") as told:
        training = trainings.record(tmp_path / "*.npz")
    assert training.steps == (1, 2)
    left_out = {path.rpartition("/")[2]: why for path, why in training.record["left_out"].items()}
    assert list(left_out) == ["step_2.npz", "step_3.npz", "step_4.npz", "last.npz"]
    for words, (name, why) in zip(
        ("another one has the step 2", "is no .npz file", "no layer has a spectrum; .* 1200 NaN", "has no number"),
        left_out.items(),
        strict=True,
    ):
        assert re.search(words, why), why
        assert any(f"{name} is left out: {why}" in str(w.message) for w in told)


def test_a_layer_that_one_step_lacks_is_named_and_left_out(tmp_path):
    checkpoint(tmp_path / "step_1.npz", 1, **{"a.weight": np.eye(5), "b.weight": np.eye(5)})
    checkpoint(
        tmp_path / "step_2.npz", 2, **{"a.weight": np.eye(6), "c.weight": np.eye(5), UP: np.full((9, 9), np.inf)}
    )
    with pytest.warns(
        UserWarning, match="layers that are left out: h.0.mlp.up_proj: step 2: .*infinite.*; a: step 2: 6"
    ):
        training = trainings.record(tmp_path)
    assert [x.longname for x in training.at(2)] == ["h.0.attn.q_proj"]
    left_out = training.record["left_out"]
    assert left_out["a"] == "step 2: 6 x 6, and 5 x 5 at step 1"
    assert left_out["b"] == "step 2: no such layer"
    assert left_out["c"] == "step 1: no such layer"


def test_checkpoints_without_a_layer_in_common_or_without_any(tmp_path):
    with pytest.raises(FileNotFoundError, match="no checkpoint there"):
        trainings.record(tmp_path)
    (tmp_path / "step_0.npz").write_bytes(b"broken")
    with pytest.raises(ValueError, match="has no checkpoint that can be read: .*is no .npz file"), pytest.warns():
        trainings.record(tmp_path)
    np.savez(tmp_path / "step_1.npz", a=np.eye(5))
    np.savez(tmp_path / "step_2.npz", b=np.eye(5))
    with pytest.raises(ValueError, match="no layer in common: step 2: no such layer"), pytest.warns():
        trainings.record(tmp_path)


def test_spectra_are_kept_where_analyze_keeps_them(tmp_path, monkeypatch):
    checkpoint(tmp_path / "step_1.npz", 1)
    first = trainings.record(tmp_path, cache=tmp_path / "kept")
    monkeypatch.setattr(Spectrum, "from_matrix", lambda *_, **__: pytest.fail("computed anew"))
    again = trainings.record(tmp_path, cache=tmp_path / "kept")
    table = analyze(tmp_path / "step_1.npz", cache=tmp_path / "kept")
    for x, y, alpha in zip(first.at(1), again.at(1), table.raw_alpha, strict=True):
        np.testing.assert_array_equal(x.spectrum.singular_values, y.spectrum.singular_values)
        assert y.spectrum.name == x.name
        assert alpha == fit_power_law(y.spectrum.nonzero_eigenvalues).alpha
