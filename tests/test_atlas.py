"""The shipped spectra, and adding one's own."""

import json

import numpy as np
import pytest
from scipy import stats

from rmt_lab import Spectrum, _files, atlas, fit_bulk
from rmt_lab.laws import MarchenkoPastur


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("RMT_LAB_CACHE", str(tmp_path))
    return tmp_path


def test_both_models_ship_with_all_layers_and_provenance(cache):
    assert atlas.names() == ["minilm", "smollm2"]
    minilm, smollm2 = map(atlas.load, atlas.names())
    assert (len(minilm), len(smollm2)) == (40, 211)
    assert [len(minilm.select(role)) for role in ("query", "feed-forward in", "feed-forward out")] == [6, 6, 6]
    assert [len(smollm2.select(role)) for role in ("query", "feed-forward gate", "attention output")] == [30, 30, 30]
    for model in (minilm, smollm2):
        assert {"model", "package", "licence", "sha256", "note"} <= set(model.provenance)
        assert len(model.provenance["sha256"]) == 64
        assert [x.layer_id for x in model] == list(range(len(model)))


def test_the_package_stays_small():
    folder = _files.shipped_folder("atlas")
    assert sum(len(p.read_bytes()) for p in folder.iterdir()) < 3e6


@pytest.mark.parametrize("name", ["minilm", "smollm2"])
def test_shuffling_keeps_the_norm_and_loses_the_structure(name):
    layers = [x for x in atlas.load(name) if x.spectrum.M > 2]
    for x in layers:
        assert x.shuffled.norm == pytest.approx(x.spectrum.norm, rel=1e-5)
    closer = [fit_bulk(x.shuffled).D < fit_bulk(x.spectrum).D for x in layers]
    assert np.mean(closer) > 0.95


def test_initialisations_follow_their_law():
    x = atlas.load("minilm")["block 2 feed-forward in"]
    s = x.initialisation(rng=0)
    assert (s.N, s.M) == (1536, 384)
    law = MarchenkoPastur(4, 0.02)
    assert stats.kstest(s.eigenvalues, law.cdf).statistic < 0.02
    assert s.singular_values[0] != x.initialisation(rng=1).singular_values[0]


def test_a_model_is_looked_up_by_id_name_and_longname():
    model = atlas.load("minilm")
    x = model["block 3 query"]
    assert x is model[x.layer_id]
    assert x is model[x.longname]
    assert (x.block, x.role) == (3, "query")
    with pytest.raises(KeyError, match="block 9 query"):
        model["block 9 query"]
    with pytest.raises(ValueError, match="role='querry'; minilm has .*'query'"):
        model.select("querry")
    assert "minilm" in repr(model)
    assert "licence" in model._repr_html_()


def test_adding_a_model_of_ones_own(cache):
    rng = np.random.default_rng(0)
    source = {
        "h.0.attn.c_attn.weight": rng.normal(size=(30, 90)),
        "h.0.mlp.c_fc.weight": rng.normal(size=(30, 120)),
        "h.0.mlp.bad.weight": np.full((30, 30), np.nan),
    }
    model = atlas.add(source, name="mine", split_qkv=True, init_std=0.1)
    again = atlas.load("mine")
    assert atlas.names() == ["minilm", "smollm2", "mine"]
    assert [x.name for x in again] == [x.name for x in model]
    assert [x.role for x in again] == ["query", "key", "value", "feed-forward in"]
    for x, y in zip(model, again, strict=True):
        np.testing.assert_allclose(x.spectrum.singular_values, y.spectrum.singular_values, rtol=1e-7)
    W = source["h.0.attn.c_attn.weight"][:, 30:60]
    expected = Spectrum.from_matrix(W).singular_values
    np.testing.assert_allclose(again["block 0 key"].spectrum.singular_values, expected, rtol=1e-6)
    assert not list(cache.rglob("*.part"))


def test_the_name_is_told_from_a_path(cache, tmp_path):
    np.savez(tmp_path / "w.npz", a=np.random.default_rng(0).normal(size=(20, 20)))
    assert atlas.add(tmp_path / "w.npz").name == "w"
    assert atlas.add(str(tmp_path / "w.npz"), name="v").name == "v"


def test_a_layer_without_a_known_law_says_so(cache):
    model = atlas.add({"a.weight": np.random.default_rng(0).normal(size=(20, 20))}, name="mine")
    with pytest.raises(ValueError, match="'a': the law it was initialised with is not recorded"):
        model[0].initialisation()


@pytest.mark.parametrize("name", ["../x", "", ".hidden", "a/b", 'a"b'])
def test_names_stay_inside_the_folder(cache, name):
    with pytest.raises(ValueError, match="name="):
        atlas.add({"a.weight": np.eye(3)}, name=name)
    assert not list(cache.rglob("*"))


def test_errors(cache):
    with pytest.raises(ValueError, match="name='nothing'; the atlas has minilm, smollm2"):
        atlas.load("nothing")
    with pytest.raises(ValueError, match="needs one"):
        atlas.add({"a.weight": np.eye(3)})
    with pytest.raises(ValueError, match="no layer with a spectrum"):
        atlas.add({"a.weight": np.full((3, 3), np.nan)}, name="mine")
    (cache / "atlas").mkdir(exist_ok=True)
    (cache / "atlas" / "broken.npz").write_bytes(b"not a zip")
    with pytest.raises(ValueError, match="'broken' .* cannot be read"):
        atlas.load("broken")
    record = json.dumps({"format": 99, "layers": [], "provenance": {}}).encode()
    np.savez(cache / "atlas" / "new.npz", singular_values=[], shuffled=[], record=np.frombuffer(record, np.uint8))
    with pytest.raises(ValueError, match="format 99; this version reads 1"):
        atlas.load("new")
