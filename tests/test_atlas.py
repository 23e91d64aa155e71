"""The shipped spectra, and adding one's own."""

import io
import json
import re
import warnings
import zipfile

import numpy as np
import pytest
from scipy import stats

from rmt_lab import Spectrum, _files, analyze, atlas, fit_bulk, trainings
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
    with pytest.warns(UserWarning, match="^h.0.mlp.bad is left out: W holds 900 NaN or infinite entries of 900$"):
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


BAD_NAMES = [
    "../x",
    "..",
    "",
    ".hidden",
    "a/b",
    'a"b',
    "..\\x",
    "/etc/passwd",
    "C:x",
    "a\0b",
    "a\nb",
    "\x1b[2J",
    "x" * 151,
]


@pytest.mark.parametrize("name", BAD_NAMES)
def test_names_stay_inside_the_folder(cache, name, monkeypatch):
    (cache / "atlas").mkdir()
    (cache / "x.npz").write_bytes(b"")
    monkeypatch.setattr("pathlib.Path.read_bytes", lambda path: pytest.fail(f"{path} was read"))
    for use in (lambda: atlas.add({"a.weight": np.eye(3)}, name=name), lambda: atlas.load(name)):
        with pytest.raises(ValueError, match="name="):
            use()
    with pytest.raises(ValueError, match="name="):
        trainings.load(name)
    assert sorted(p.name for p in cache.rglob("*")) == ["atlas", "x.npz"]


def test_a_name_is_a_text(cache):
    with pytest.raises(TypeError, match=re.escape("name=3 of type int; a text is allowed")):
        atlas.load(3)


def test_the_name_of_a_shipped_model_is_refused_before_the_work(cache, tmp_path, monkeypatch):
    state = {"a.weight": np.random.default_rng(0).normal(size=(20, 20))}
    assert atlas.add(state, name="minilm", folder=tmp_path / "elsewhere").name == "minilm"
    monkeypatch.setattr("rmt_lab.atlas.find_weights", lambda *a, **k: pytest.fail("the work began"))
    with pytest.raises(ValueError, match="name='minilm'; a model of that name ships with the package"):
        atlas.add(state, name="minilm")
    with pytest.raises(ValueError, match="name='smollm2'; a model of that name ships"):
        atlas.add("some/folder/smollm2.safetensors")


def test_a_name_of_ones_own_is_replaced_whole(cache):
    for n in (20, 30):
        atlas.add({"a.weight": np.eye(n)}, name="mine")
        assert [x.spectrum.N for x in atlas.load("mine")] == [n]


def test_a_folder_that_cannot_be_written_to_is_found_before_the_work(cache, monkeypatch):
    (cache / "atlas" / "mine.npz").mkdir(parents=True)
    monkeypatch.setattr("rmt_lab.atlas.Spectrum.from_matrix", lambda *a, **k: pytest.fail("the work began"))
    with pytest.raises(IsADirectoryError, match="mine.npz is a folder"):
        atlas.add({"a.weight": np.eye(3)}, name="mine")


def test_layers_that_are_left_out_are_told_and_kept_in_the_record(cache, tmp_path):
    W = np.random.default_rng(0).normal(size=(20, 20))
    state = {"a.weight": np.where(W > 1, np.nan, W), "b.weight": W, "c.weight": np.zeros((20, 20), np.int8)}
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        model = atlas.add(state, name="mine")
    assert [str(w.message).split(" is left out: ")[0] for w in said] == ["a", "c"]
    assert [x.longname for x in model] == ["b"]
    left_out = atlas.load("mine").provenance["left_out"]
    assert list(left_out) == ["a", "c"]
    assert "NaN" in left_out["a"]
    assert "stored as int8" in left_out["c"]
    assert "left_out" not in atlas.add({"b.weight": W}, name="whole").provenance


def test_two_layers_of_one_name_are_not_mistaken_for_one_another():
    s = Spectrum([1.0, 2.0], 2, 2)
    layers = [atlas.Layer(i, "block 0 query", f"{tower}.h.0.q_proj", "dense", s) for i, tower in enumerate("abcdefg")]
    model = atlas.AtlasModel("old", tuple(layers), {})
    assert model["c.h.0.q_proj"] is model[2] is layers[2]
    said = r"old has 7 layers 'block 0 query': 'a.h.0.q_proj' \(layer_id 0\), .*'e.h.0.q_proj' .* and 2 more"
    with pytest.raises(KeyError, match=said):
        model["block 0 query"]


@pytest.mark.parametrize("kind", ["entries", "signs", "scaled"])
def test_the_nulls_of_a_layer_are_those_that_analyze_makes_of_the_weights(cache, kind):
    """They follow seed and layer, so that neither a layer with NaN nor another null changes them."""
    rng = np.random.default_rng(0)
    state = {f"h.{i}.mlp.c_fc.weight": rng.normal(size=(30, 20)).astype(np.float32) for i in range(3)}
    state["h.1.mlp.c_fc.weight"][0, 0] = np.nan
    with pytest.warns(UserWarning, match="h.1.mlp.c_fc is left out"):
        assert atlas.add(state, name="mine", rng=5).provenance["seed"] == 5
    direct = analyze(state, randomize=kind, rng=5, layers=[0, 2])
    kept = analyze("mine", randomize=kind, rng=5)
    assert kept["layer_id"].tolist() == direct["layer_id"].tolist() == [0, 2]
    for column in ("max_rand_eval", "rand_sigma_mp", "rand_distance"):
        np.testing.assert_allclose(kept[column], direct[column], rtol=1e-5)
    other = analyze(state, randomize=kind, rng=6, layers=[0, 2])
    assert not np.isclose(other["max_rand_eval"], direct["max_rand_eval"], rtol=1e-5).any()


def test_a_seed_that_was_drawn_is_recorded(cache):
    state = {"a.weight": np.random.default_rng(0).normal(size=(20, 20))}
    model = atlas.add(state, name="mine", rng=None)
    again = atlas.add(state, name="again", rng=model.provenance["seed"])
    np.testing.assert_array_equal(model[0].shuffled.singular_values, again[0].shuffled.singular_values)


def test_the_first_of_several_names_is_a_model_that_was_added_or_a_shipped_one(cache):
    wanted = ("bert-base-uncased", "minilm")
    assert atlas.first_of(*wanted) == "minilm"
    atlas.add({"q.weight": np.random.default_rng(0).normal(size=(30, 20))}, name="bert-base-uncased")
    assert atlas.first_of(*wanted) == "bert-base-uncased"
    assert atlas.first_of(*wanted[::-1]) == "minilm"
    for none in (("gpt2", "openai-gpt"), ()):
        with pytest.raises(ValueError, match=r"wanted=.*; the atlas has minilm, smollm2, bert-base-uncased. Add one"):
            atlas.first_of(*none)


def test_names_are_those_that_can_be_loaded(cache):
    atlas.add({"a.weight": np.eye(20)}, name="mine")
    folder = cache / "atlas"
    (folder / ".hidden.npz").write_bytes(b"")
    (folder / "a folder.npz").mkdir()
    (folder / "broken.npz").write_bytes(b"not a zip")
    assert atlas.names() == ["minilm", "smollm2", "broken", "mine"]


def entry(cache, record=None, **arrays):
    """A good entry of one layer, with changes; the bytes of its file."""
    atlas.add({"a.weight": np.random.default_rng(0).normal(size=(30, 20))}, name="good")
    good, kept = _files.read_record((cache / "atlas" / "good.npz").read_bytes(), 2)
    path = cache / "atlas" / "bad.npz"
    _files.write_record(path, good | (record or {}), **{**kept, **arrays})
    return path.read_bytes()


GOOD_ROW = {
    "layer_id": 0,
    "name": "a",
    "longname": "a",
    "layer_type": "dense",
    "N": 30,
    "M": 20,
    "rf": 1,
    "init_std": None,
}


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"M": 21}, "are not 21 finite numbers"),
        ({"M": 10}, "are not 10 finite numbers"),
        ({"rf": 2}, "are not 40 finite numbers"),
        ({"M": 10**30, "N": 10**30}, "finite numbers"),
        ({"M": 40}, "a layer has N=30, M=40"),
        ({"M": -20}, "M=-20"),
        ({"M": 20.5}, "M=20.5"),
        ({"rf": True}, "rf=True"),
        ({"N": "30"}, "N='30'"),
        ({"name": ["a"]}, r"the names \[\['a'\]"),
        ({"layer_id": "0"}, "the id '0'"),
        ({"init_std": "0.02"}, "init_std='0.02'"),
        ({"more": 1}, "more"),
    ],
)
def test_a_record_that_does_not_fit_its_arrays_cannot_be_read(cache, change, says):
    entry(cache, {"layers": [GOOD_ROW]})
    assert len(atlas.load("bad")) == 1
    entry(cache, {"layers": [GOOD_ROW | change]})
    with pytest.raises(ValueError, match=f"atlas entry 'bad' .* cannot be read: .*{says}"):
        atlas.load("bad")


@pytest.mark.parametrize(
    ("record", "arrays"),
    [
        ({"layers": []}, {}),
        ({"layers": None}, {}),
        ({"provenance": "mine"}, {}),
        ({}, {"entries": np.zeros(19, np.float32)}),
        ({}, {"signs": np.full(20, np.nan, np.float32)}),
        ({}, {"singular_values": np.arange(20)}),
        ({}, {"singular_values": np.full((20, 1), 1.0)}),
        ({}, {"scaled": np.array(["x"] * 20)}),
        ({}, {"scaled": -np.ones(20)}),
    ],
)
def test_arrays_that_are_no_spectra_cannot_be_read(cache, record, arrays):
    entry(cache, record, **arrays)
    with pytest.raises(ValueError, match="atlas entry 'bad' .* cannot be read"):
        atlas.load("bad")


def npy(shape, dtype="<f4", data=b""):
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": dtype, "fortran_order": False, "shape": shape})
    return header.getvalue() + data


@pytest.mark.parametrize(
    "member",
    [
        npy((10**9,)),
        npy((2**62, 4)),
        npy((-4,), data=b"\0" * 16),
        npy((2,), "|O", b"\0" * 16),
        npy((4,), data=b"\0" * 15),
        b"\x93NUMPY\x03\x00" + npy((4,), data=b"\0" * 16)[8:],
        b"no header",
    ],
    ids=["more than there is", "overflow", "negative", "objects", "cut", "version 3", "no header"],
)
def test_an_array_that_promises_what_it_does_not_hold_is_refused_without_memory(cache, member, monkeypatch):
    data = entry(cache)
    path = cache / "atlas" / "bad.npz"
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as new:
        for name in old.namelist():
            new.writestr(name, member if name == "entries.npy" else old.read(name))
    monkeypatch.setattr("numpy.frombuffer", lambda *a: pytest.fail("memory was asked for"))
    monkeypatch.setattr(zipfile.ZipFile, "infolist", lambda file: [file.getinfo("entries.npy")])
    with pytest.raises(ValueError, match="atlas entry 'bad' .* cannot be read: "):
        atlas.load("bad")


def test_a_zip_file_that_lies_about_its_sizes_is_refused(cache):
    data = bytearray(entry(cache))
    with zipfile.ZipFile(io.BytesIO(data)) as file:
        compressed = file.getinfo("entries.npy").compress_size
    at = data.rindex(b"entries.npy") - 46  # the directory's own record of it: sizes at 20 and 24
    data[at + 24 : at + 28] = (1033 * compressed).to_bytes(4, "little")
    (cache / "atlas" / "bad.npz").write_bytes(data)
    with pytest.raises(ValueError, match=f"promises {1033 * compressed} bytes; {compressed} cannot hold them"):
        atlas.load("bad")
    data[at + 20 : at + 24] = (10**9).to_bytes(4, "little")
    (cache / "atlas" / "bad.npz").write_bytes(data)
    with pytest.raises(ValueError, match="its parts overlap"):
        atlas.load("bad")


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
