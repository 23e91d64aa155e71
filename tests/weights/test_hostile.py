"""Files that lie: what they claim costs at most one tensor, and never memory, time or a crash."""

import json
import math
import pickle
import tracemalloc
import zipfile
from dataclasses import replace

import numpy as np
import pytest
from numpy.lib import format as npy_format
from safetensors.numpy import save_file

from benchmarks.fuzz import Reader, Tally, _count, fuzz
from rmt_lab.weights.read import find_weights

W = np.arange(12, dtype=np.float32).reshape(3, 4)
VALUES = W.tobytes()
GOOD = {"dtype": "F32", "shape": [3, 4], "data_offsets": [0, 48]}


def safetensors_file(path, header, data=VALUES):
    header = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(len(header).to_bytes(8, "little") + header + data)
    return path


def rows(path):
    """The matrix, or why it cannot be read, of each name; no more than 30 MB are needed for either."""
    found = {}
    tracemalloc.start()
    try:
        for weight in find_weights(path):
            try:
                found[weight.longname] = weight.read()
            except ValueError as error:
                assert math.prod(weight.shape) <= 1e6
                found[weight.longname] = str(error)
        assert tracemalloc.get_traced_memory()[1] < 30e6
    finally:
        tracemalloc.stop()
    return found


@pytest.mark.parametrize("dtype", ["F8_E4M3", "I8", "F4"])
@pytest.mark.parametrize(
    "shape", [[2**62, 4], [-1, 4], [10**6, 10**6], [2**40, 0], [10**9, 0, 4], [1] * 300_000, [10**4000, 7]]
)
def test_a_shape_that_cannot_be_true_costs_its_own_tensor_only(tmp_path, dtype, shape):
    header = {"bad.weight": {"dtype": dtype, "shape": shape, "data_offsets": [48, 80]}, "good.weight": GOOD}
    found = rows(safetensors_file(tmp_path / "m.safetensors", header, VALUES + bytes(32)))
    np.testing.assert_array_equal(found["good"], W)
    assert found["bad"].startswith("it cannot be read: its header claims ")


def test_a_long_name_costs_its_own_tensor_only(tmp_path):
    save_file({"layers." + "7" * 5000 + ".weight": W, "h.0.weight": W, "h.1.weight": W}, tmp_path / "m.safetensors")
    found = rows(tmp_path / "m.safetensors")
    assert [type(value) for value in found.values()].count(str) == 1
    np.testing.assert_array_equal(found["h.1"], W)
    assert "its name has 5014 characters, at most 1000" in str(found)


LIES = {
    "a negative place": {"a.weight": GOOD | {"data_offsets": [-48, 0]}},
    "an end before the begin": {"a.weight": GOOD | {"data_offsets": [48, 0]}},
    "a place beyond the end": {"a.weight": GOOD | {"data_offsets": [48, 96]}},
    "a gap": {"a.weight": GOOD | {"shape": [2, 4], "data_offsets": [16, 48]}},
    "values that nobody names": {"a.weight": GOOD | {"shape": [2, 4], "data_offsets": [0, 32]}},
    "an overlap": {"a.weight": GOOD, "b.weight": GOOD | {"shape": [2, 4], "data_offsets": [16, 48]}},
    "two tensors in one place": {"a.weight": GOOD, "b.weight": GOOD},
    "a side of 3.0": {"a.weight": GOOD | {"shape": [3.0, 4]}},
    "a side of 2.5": {"a.weight": GOOD | {"shape": [2.5, 4]}},
    "a side that is true": {"a.weight": GOOD | {"shape": [True, 12]}},
    "a side that is text": {"a.weight": GOOD | {"shape": ["3", 4]}},
    "a shape that is a number": {"a.weight": GOOD | {"shape": 12}},
    "a type that is a number": {"a.weight": GOOD | {"dtype": 32}},
    "three places": {"a.weight": GOOD | {"data_offsets": [0, 48, 48]}},
    "notes that are numbers": {"__metadata__": {"format": 1}, "a.weight": GOOD},
    "Infinity": b'{"a.weight": {"dtype": "F32", "shape": [3, 4], "data_offsets": [0, 48], "x": Infinity}}',
    "NaN": b'{"a.weight": {"dtype": "F32", "shape": [3, 4], "data_offsets": [0, 48], "x": NaN}}',
    "a key twice": b'{"a.weight": {"dtype": "F32", "dtype": "F32", "shape": [3, 4], "data_offsets": [0, 48]}}',
    "half a character": b'{"\\ud800": {"dtype": "F32", "shape": [3, 4], "data_offsets": [0, 48]}}',
    "deep nesting": b'{"a":' + b"[" * 100_000,
    "deep objects with long names": b'{"abcdefghijklmnopqrstuvwxyz":' * 100_000,
    "UTF-16": json.dumps({"a.weight": GOOD}).encode("utf-16"),
    "a number of 5000 digits": b'{"a.weight": {"dtype": "F32", "shape": ['
    + b"9" * 5000
    + b'], "data_offsets": [0, 48]}}',
}


@pytest.mark.parametrize("lie", LIES)
def test_a_safetensors_header_that_lies_is_refused_as_the_package_does(tmp_path, lie):
    path = safetensors_file(tmp_path / "m.safetensors", LIES[lie])
    safetensors = pytest.importorskip("safetensors")
    with pytest.raises(safetensors.SafetensorError):
        safetensors.safe_open(path, "np")
    with pytest.raises(ValueError, match=r"source=.*m\.safetensors' is (no safetensors file|damaged|truncated)"):
        find_weights(path)


def test_what_the_package_accepts_is_accepted(tmp_path):
    header = {"__metadata__": None, "a.weight": GOOD | {"note": [1, {}]}, "b.weight": GOOD | {"shape": [0, 4]}}
    header["b.weight"]["data_offsets"] = [48, 48]
    found = rows(safetensors_file(tmp_path / "m.safetensors", b"  " + json.dumps(header).encode() + b"  "))
    np.testing.assert_array_equal(found["a"], W)
    assert found["b"].shape == (0, 4)


def test_a_header_larger_than_the_package_reads_is_not_read(tmp_path):
    path = tmp_path / "m.safetensors"
    with path.open("wb") as file:
        file.write((10**8 + 1).to_bytes(8, "little") + b"{}")
        file.truncate(10**8 + 9)
    with pytest.raises(ValueError, match="a header of 100000001 bytes, at most 100000000"):
        find_weights(path)


# --- Indexes


@pytest.mark.parametrize(
    ("weight_map", "reason"),
    [
        ({"a.weight": "m.safetensors.index.json"}, "is no checkpoint file"),
        ({"a.weight": "other.index.json"}, "is no checkpoint file"),
        ({"a.weight": "notes.txt"}, "is no checkpoint file"),
        ({"a.weight": "."}, "outside of the folder"),
        ({"a.weight": ""}, "outside of the folder|is no checkpoint file"),
        ({"a.weight": "./m.safetensors"}, "outside of the folder"),
        ({"a.weight": "x" * 5000 + ".safetensors"}, "is no checkpoint file"),
        ({"a.weight": "m.safetensors", "b.weight": "m.bin"}, "different formats, .bin and .safetensors"),
        ({"a.weight": "m.safetensors", "b.weight": "link.safetensors"}, "one shard under two names"),
        ({"a.weight": 5}, "no checkpoint index"),
        (["m.safetensors"], "no checkpoint index"),
    ],
)
def test_an_index_names_shards_and_nothing_else(tmp_path, weight_map, reason):
    save_file({"a.weight": W}, tmp_path / "m.safetensors")
    (tmp_path / "link.safetensors").symlink_to("m.safetensors")
    for name in ("m.safetensors.index.json", "other.index.json"):
        (tmp_path / name).write_text(json.dumps({"weight_map": weight_map}))
    with pytest.raises(ValueError, match=reason):
        find_weights(tmp_path / "m.safetensors.index.json")


def test_a_link_that_leads_to_itself_is_missing(tmp_path):
    (tmp_path / "m.safetensors").symlink_to("m.safetensors")
    (tmp_path / "m.safetensors.index.json").write_text(json.dumps({"weight_map": {"a.weight": "m.safetensors"}}))
    for name in ("m.safetensors", "m.safetensors.index.json"):
        with pytest.raises(FileNotFoundError):
            find_weights(tmp_path / name)


@pytest.mark.parametrize(
    "text", [b"[" * 100_000, b'{"weight_map": NaN}', b"\xff", b'{"weight_map": {}, "weight_map": {}}']
)
def test_an_index_that_is_no_json(tmp_path, text):
    (tmp_path / "m.safetensors.index.json").write_bytes(text)
    with pytest.raises(ValueError, match="no checkpoint index"):
        find_weights(tmp_path / "m.safetensors.index.json")


# --- numpy


HONEST = "{'descr': '<f4', 'fortran_order': False, 'shape': (3, 4)}"


def npy_bytes(header, data=b"", version=b"\1\0"):
    header = header.encode()
    return b"\x93NUMPY" + version + len(header).to_bytes(2, "little") + header + data


@pytest.mark.parametrize(
    "header",
    [
        "{'descr': '<f4', 'fortran_order': False, 'shape': (1000000, 1000000)}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (4294967296, 4294967296)}",  # their product is 0 in 64 bits
        "{'descr': '<f4', 'fortran_order': False, 'shape': (-3, 4)}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (True, 4)}",
        "{'descr': '|V0', 'fortran_order': False, 'shape': (1000000, 1000000, 7)}",
        "{'descr': ('<f4', (1000, 1000, 1000)), 'fortran_order': False, 'shape': (3, 4)}",
    ],
)
def test_an_array_whose_header_claims_more_than_there_is(tmp_path, header):
    (tmp_path / "m.npy").write_bytes(npy_bytes(header, VALUES))
    with zipfile.ZipFile(tmp_path / "m.npz", "w") as archive:
        archive.writestr("bad.npy", npy_bytes(header, VALUES))
    for name in ("m.npy", "m.npz"):
        try:
            found = rows(tmp_path / name)
        except ValueError as error:
            found = {"file": str(error)}
        assert found
        assert all(isinstance(value, str) for value in found.values())


def test_an_archive_under_the_name_of_an_array(tmp_path):
    np.savez(tmp_path / "m.npz", a=W)
    (tmp_path / "m.npz").rename(tmp_path / "m.npy")
    with pytest.raises(ValueError, match=r"no \.npy file"):
        find_weights(tmp_path / "m.npy")


def test_a_small_archive_does_not_fill_the_memory(tmp_path):
    np.savez_compressed(tmp_path / "m.npz", bomb=np.zeros((10_000, 2000), np.float32), good=W)  # 80 MB in 80 kB
    found = rows(tmp_path / "m.npz")
    np.testing.assert_array_equal(found["good"], W)
    assert "(10000, 2000) of float32, which is too large for" in found["bomb"]

    header = npy_format.header_data_from_array_1_0(np.empty((1, 1), np.float32)) | {"shape": (1000, 1_000_000)}
    with zipfile.ZipFile(tmp_path / "m.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        with archive.open("bomb.npy", "w") as file:  # 4 GB are claimed, 4 MB are there
            npy_format.write_array_header_1_0(file, header)
            file.write(bytes(4_000_000))
        archive.writestr("good.npy", npy_bytes(HONEST, VALUES))
    found = rows(tmp_path / "m.npz")
    np.testing.assert_array_equal(found["good"], W)
    assert "its header promises 4000000128 bytes, the archive has 4000128 of it" in found["bomb"]


def test_what_compresses_well_and_is_small_is_read(tmp_path):
    np.savez_compressed(tmp_path / "m.npz", a=np.zeros((500, 1000), np.float64))
    assert rows(tmp_path / "m.npz")["a"].shape == (500, 1000)


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_an_archive_that_numpy_did_not_write(tmp_path, method):
    with zipfile.ZipFile(tmp_path / "m.npz", "w", method) as archive:
        archive.writestr("a.npy", npy_bytes(HONEST, VALUES))
    assert "it is compressed by method" in rows(tmp_path / "m.npz")["a"]


# --- GGUF


@pytest.fixture
def gguf_file(tmp_path):
    gguf = pytest.importorskip("gguf", reason="needs gguf")
    writer = gguf.GGUFWriter(tmp_path / "m.gguf", "llama")
    writer.add_array("words", ["a", "b"])
    writer.add_tensor("blk.0.a.weight", W)
    writer.add_tensor("blk.1.b.weight", W)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return tmp_path / "m.gguf"


def test_a_gguf_file_that_lies(gguf_file):
    data = gguf_file.read_bytes()
    assert len(rows(gguf_file)) == 2
    after = data.index(b"blk.1.b.weight") + len("blk.1.b.weight")  # number of sides, sides, type, offset

    def forged(at, *numbers):
        changed = bytearray(data)
        for width, number in numbers:
            changed[at : at + width] = number.to_bytes(width, "little")
            at += width
        gguf_file.write_bytes(changed)
        return gguf_file

    def refused(path, reason):
        with pytest.raises(ValueError, match=f"source=.*{reason}"):
            find_weights(path)

    refused(forged(after, (4, 2**31)), "sides; ggml allows 4")
    refused(forged(after + 4, (8, 10**6), (8, 10**6)), "ends before the values")
    refused(forged(after + 24, (8, 0)), "two tensors overlap")
    refused(forged(after + 24, (8, 2**63)), "ends before the values")
    refused(forged(data.index(b"words") + 5 + 8, (8, 2**60)), "array of")
    gguf_file.write_bytes(data.replace(b"blk.1.b", b"blk.0.a"))
    refused(gguf_file, "two tensors have the same name")
    unknown = rows(forged(after + 20, (4, 9999)))
    np.testing.assert_array_equal(unknown["blk.0.a"], W)
    assert "ggml's type 9999" in unknown["blk.1.b"]
    q8 = rows(forged(after + 20, (4, 8)))
    assert "a row of 4 values is not made of blocks of 32" in q8["blk.1.b"]


# --- torch


def test_torch_files_that_lie(tmp_path):
    torch = pytest.importorskip("torch", reason="needs torch")
    good, path = torch.from_numpy(W), tmp_path / "m.pt"
    million = 10**6
    torch.save({"bad.weight": torch.ones(1).expand(million, million), "good.weight": good}, path)
    found = rows(path)
    np.testing.assert_array_equal(found["good"], W)
    assert "(1000000, 1000000) of float32, which is too large for" in found["bad"]
    torch.save({"bad.weight": torch.empty(million, million, device="meta"), "good.weight": good}, path)
    assert "too large" in rows(path)["bad"]

    torch.save({"good.weight": good}, path)
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(tmp_path / "z.pt", "w", zipfile.ZIP_DEFLATED) as new:
        for name in old.namelist():  # memory-mapped, compressed bytes would be taken for weights
            new.writestr(name, old.read(name) + bytes(10**6) * name.endswith("/data/0"))
    with pytest.raises(ValueError, match="an archive that is compressed"):
        find_weights(tmp_path / "z.pt")

    class Bomb:
        def __reduce__(self):
            return bytearray, (10**9,)

    (tmp_path / "b.pt").write_bytes(pickle.dumps(Bomb(), 2))
    with pytest.raises(ValueError, match="a bytearray"):
        rows(tmp_path / "b.pt")


def test_a_torch_archive_whose_record_is_too_short_is_refused(tmp_path):
    torch = pytest.importorskip("torch", reason="needs torch")
    whole, path = tmp_path / "whole.pt", tmp_path / "m.pt"
    torch.save({"a.weight": torch.from_numpy(W), "b.weight": torch.ones(5, 3), "c.weight": torch.ones(0, 4)}, whole)
    assert list(rows(whole)) == ["a", "b", "c"]
    with zipfile.ZipFile(whole) as old, zipfile.ZipFile(path, "w") as new:
        for name in old.namelist():
            new.writestr(name, old.read(name)[: 20 if name.endswith("/data/0") else None])
    with pytest.raises(ValueError, match="no record has the 48 bytes of a storage"):  # torch maps what follows it
        find_weights(path)


def test_an_old_torch_file_that_lacks_values_is_refused(tmp_path):
    torch = pytest.importorskip("torch", reason="needs torch")
    torch.save({"a.weight": torch.ones(3, 4)}, tmp_path / "m.pt", _use_new_zipfile_serialization=False)
    assert rows(tmp_path / "m.pt")["a"].sum() == 12
    data = (tmp_path / "m.pt").read_bytes()
    listed = data.rindex(b"]")
    (tmp_path / "m.pt").write_bytes(data[:listed] + b"].")  # an empty list of storages: torch leaves them as they are
    torch.load(tmp_path / "m.pt", weights_only=True)
    with pytest.raises(ValueError, match="the values of 0 storages out of 1"):
        find_weights(tmp_path / "m.pt")


# --- The fuzz


def test_500_changed_files(tmp_path):
    tallies = fuzz(500, seed=1, keep=tmp_path)
    assert [problem for tally in tallies.values() for problem in tally.problems] == []
    for tally in tallies.values():  # the changes are neither harmless nor all caught at the first check
        assert 0.03 < tally.accepted / tally.inputs < 0.9


def test_what_is_a_failure(tmp_path):
    np.save(tmp_path / "m.npy", np.ones((2000, 2500)))
    reader = Reader()
    try:
        ours, theirs = reader.read("npy", str(tmp_path / "m.npy"))
    finally:
        reader.close()
    assert ours.accepted
    assert theirs == (True, "")
    assert 40e6 <= ours.memory < 60e6

    def failed(ours, theirs=(True, ""), size=1000):
        tally = Tally()
        _count(tally, 7, size, ours, theirs)
        return tally.failed, tally.differ, tally.problems

    assert failed(ours, size=10**7) == (0, 0, [])
    assert failed(ours)[::2] == (1, [f"input 7: {ours.memory / 1e6:.0f} MB for a file of 1000 bytes"])
    assert failed(None)[::2] == (1, ["input 7: the worker died, or took more than 10 s"])
    assert failed(replace(ours, error="KeyError: 5"))[::2] == (1, ["input 7: KeyError: 5"])
    assert failed(ours, (True, "'a' has other values"), 10**7) == (0, 1, ["input 7: 'a' has other values"])
