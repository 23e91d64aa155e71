"""The shipped collections, and files that are not as they were written."""

import gzip
import hashlib

import numpy as np
import pytest

from rmt_lab import analyze
from rmt_lab._files import read_record, shipped_folder, write_record
from rmt_lab.trainings import collection
from rmt_lab.trainings.collections import _collection as load

SETTINGS = {"seed", "steps", "seconds", "run"}
OUTCOMES = {f"{part}_{what}" for part in ("train", "test", "gap") for what in ("loss", "error")}
MEASURES = {
    "alpha", "alpha_fixed", "alpha_first", "alpha_last", "alpha_windowed", "alpha_hat", "log_alpha_norm", "log_norm",
    "log_spectral_norm", "stable_rank", "share_beyond_noise", "num_fingers", "verdict_noise", "verdict_refuted",
    "verdict_cant_tell", "verdict_holds",
}  # fmt: skip


@pytest.mark.parametrize(("name", "runs"), [("digits", 400), ("text", 60)])
def test_a_collection_is_whole(name, runs):
    found = collection(name)
    table = found.table
    assert len(table) >= runs
    assert table["run"].is_unique
    assert set(table.columns) == SETTINGS | OUTCOMES | MEASURES | set(found.factors)
    assert table.notna().all().all()
    for factor, levels in found.record["factors"].items():
        assert sorted(table[factor].unique()) == sorted(levels)
    assert (table.groupby(list(found.factors)).seed.nunique() == 3).all()
    followed = found.steps_table.groupby("run").size()
    assert set(followed) == {1, 5}
    assert 0.08 < (followed == 5).mean() < 0.15
    words = ["verdict_noise", "verdict_refuted", "verdict_cant_tell", "verdict_holds"]
    np.testing.assert_allclose(table[words].sum(axis=1), 1)
    for what in ("loss", "error"):
        if name == "text":
            np.testing.assert_allclose(table[f"gap_{what}"], table[f"test_{what}"] - table[f"train_{what}"], atol=1e-6)
    assert ((table.test_error >= 0) & (table.test_error <= 1)).all()


@pytest.mark.parametrize("name", ["digits", "text"])
def test_the_files_are_small(name):
    size = sum((shipped_folder("collections") / f"{name}.{end}").stat().st_size for end in ("npz", "csv.gz"))
    assert size < 3_000_000


def test_the_spectra_behind_a_row_are_read_when_they_are_asked_for(monkeypatch):
    load.cache_clear()
    found = collection("digits")
    assert "_values" not in vars(found)
    run = found.table["run"].iloc[7]
    model = found.at(run)
    assert "_values" in vars(found)
    assert analyze(model, min_evals=32).status.eq("success").sum() == 2
    steps = found.steps_table
    followed = steps[steps["run"] == steps["run"][steps.duplicated("run")].iloc[0]]
    starts = [found.at(followed["run"].iloc[0], step) for step in followed["step"]]
    norms = [sum((layer.spectrum.singular_values**2).sum() for layer in model) for model in starts]
    assert len(set(norms)) == 5  # it was trained
    # an untrained layer of uniform entries is noise: var = 1 / (3 inputs)
    first = next(layer for layer in starts[0] if layer.spectrum.M >= 64)
    inputs = first.spectrum.N if "convolution" in first.longname else None
    if inputs:
        assert (first.spectrum.singular_values**2).sum() / (first.spectrum.N * first.spectrum.M) == pytest.approx(
            1 / (3 * inputs), rel=0.05
        )


def test_a_table_is_the_reader_s_own():
    found = collection("text")
    for table in (found.table, found.steps_table):
        table["alpha"] = 0
        assert (table["alpha"] == 0).all()
    assert (found.table["alpha"] > 1).all()
    assert (found.steps_table["alpha"] > 1).all()


def test_what_is_not_there_is_named():
    found = collection("digits")
    with pytest.raises(ValueError, match="name='letters'; collections are digits, text"):
        collection("letters")
    with pytest.raises(ValueError, match="run='x'; digits has"):
        found.at("x")
    with pytest.raises(ValueError, match="step=-1; .* was recorded at "):
        found.at(found.table["run"][0], -1)


@pytest.fixture
def copied(tmp_path, monkeypatch):
    """A copy of the shipped files, to damage."""
    for end in ("npz", "csv.gz"):
        (tmp_path / f"text.{end}").write_bytes((shipped_folder("collections") / f"text.{end}").read_bytes())
    monkeypatch.setattr("rmt_lab.trainings.collections.shipped_folder", lambda kind: tmp_path)
    monkeypatch.setattr("rmt_lab.trainings.collections.shipped_names", lambda kind: ["text"])
    load.cache_clear()
    yield tmp_path
    load.cache_clear()


def test_a_damaged_file_is_refused(copied):
    record, arrays = read_record((copied / "text.npz").read_bytes(), 1)
    values = arrays["singular_values"].copy()
    values[5] *= 1.01
    write_record(copied / "text.npz", record, singular_values=values)
    with pytest.raises(ValueError, match="the checksum of its values"):
        collection("text").at(collection("text").table["run"][0])
    load.cache_clear()
    (copied / "text.npz").write_bytes(b"no archive")
    with pytest.raises(ValueError, match=r"collection 'text' \(.*text.npz\) cannot be read"):
        collection("text")


def test_a_table_that_was_changed_is_refused(copied):
    text = gzip.decompress((copied / "text.csv.gz").read_bytes())
    assert hashlib.sha256(text).hexdigest() == collection("text").record["table_sha256"]
    (copied / "text.csv.gz").write_bytes(gzip.compress(text.replace(b",0.001,", b",0.002,", 1)))
    with pytest.raises(ValueError, match="the checksum of its table"):
        len(collection("text").table)


def test_it_shows_itself():
    found = collection("text")
    assert repr(found) == f"Collection('text': {len(found.table)} runs; data, steps, batch, rate, seed)"
    assert "seeds of each setting" in found._repr_html_()
