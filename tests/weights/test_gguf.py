"""GGUF files as the gguf package writes them: in the order of the model, dequantised, and damaged ones refused."""

import numpy as np
import pytest
from hypothesis import given, settings
from sources import LITTLE, check_damaged, flips, same

from rmt_lab.weights import iter_weights

gguf = pytest.importorskip("gguf", reason="needs gguf")


def test_gguf_comes_in_model_order_and_dequantised(tmp_path):
    rng = np.random.default_rng(1)
    writer = gguf.GGUFWriter(tmp_path / "model.gguf", "llama")
    writer.add_custom_alignment(64)
    writer.add_array("tokenizer.ggml.tokens", ["a", "bcd", "é" * 50])
    writer.add_array("tokenizer.ggml.scores", [0.5, 1.5, 2.5])
    writer.add_bool("flag", True)
    plain, packed = {}, {}
    for i in range(11):
        plain[f"blk.{i}.ffn_up.weight"] = rng.normal(size=(5, 32)).astype(np.float32)
        packed[f"blk.{i}.attn_q.weight"] = rng.normal(size=(6, 64)).astype(np.float32)
        plain[f"blk.{i}.attn_norm.weight"] = np.ones(64, np.float32)
    half = rng.normal(size=(7, 32)).astype(np.float16)
    for name, values in sorted(plain.items()):
        writer.add_tensor(name, values)
    for name, values in sorted(packed.items()):
        q8 = gguf.GGMLQuantizationType.Q8_0
        writer.add_tensor(name, gguf.quants.quantize(values, q8), raw_dtype=q8)
    writer.add_tensor("token_embd.weight", half)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()

    found = list(iter_weights(tmp_path / "model.gguf"))
    names = ["word embedding"]
    for i in range(11):
        names += [f"block {i} query", f"block {i} feed-forward in"]
    assert [w.name for w in found] == names
    assert all(w.matrix.dtype == np.float32 for w in found)
    np.testing.assert_array_equal(found[0].matrix, half)
    for w in found[1:]:
        original = (plain | packed)[w.longname + ".weight"]
        step = 0 if w.role == "feed-forward in" else np.abs(original).max() / 127  # of eight bits
        assert w.matrix.shape == original.shape
        assert np.abs(w.matrix - original).max() <= 0.51 * step + 1e-3 * step
    assert same(iter_weights(tmp_path), found)
    for tensor in gguf.GGUFReader(tmp_path / "model.gguf").tensors:
        for w in found:
            if tensor.name == w.longname + ".weight":
                np.testing.assert_array_equal(w.matrix, gguf.quants.dequantize(tensor.data, tensor.tensor_type))

    data = (tmp_path / "model.gguf").read_bytes()
    for size in (3, 20, 100, 700, len(data) // 2, len(data) - 200):
        (tmp_path / "short.gguf").write_bytes(data[:size])
        with pytest.raises(ValueError, match="damaged or truncated"):
            iter_weights(tmp_path / "short.gguf")
    forged = bytearray(data)
    forged[8:16] = (2**62).to_bytes(8, "little")  # a count of tensors that a reader could loop over for ever
    (tmp_path / "short.gguf").write_bytes(forged)
    with pytest.raises(ValueError, match="damaged or truncated"):
        iter_weights(tmp_path / "short.gguf")


def written(path, tensors, dtype=None, **split):
    """A file of these tensors, several files if it is split; packed bytes are of that type."""
    writer = gguf.GGUFWriter(path, "llama", **split)
    for name, values in tensors.items():
        writer.add_tensor(name, values, raw_dtype=dtype)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


# by the package's own table, so that what a new version adds is tried too
TYPES = sorted(t.name for t in gguf.quants._type_traits if t.name not in ("F32", "F16", "F64"))


@pytest.mark.parametrize("name", TYPES)
def test_every_quantisation_has_the_values_of_the_package(tmp_path, name):
    code = gguf.GGMLQuantizationType[name]
    per_block, width = gguf.GGML_QUANT_SIZES[code]
    rng = np.random.default_rng(sum(name.encode()))
    columns = 2 * max(per_block, 32)
    packed = rng.integers(0, 256, (6, columns // per_block * width), dtype=np.uint8)  # any bytes are a valid block
    with np.errstate(all="ignore"):
        expected = gguf.quants.dequantize(packed, code)
    assert np.isfinite(expected).mean() > 0.5
    path = written(tmp_path / "m.gguf", {"blk.0.ffn_up.weight": packed}, code)
    (found,) = iter_weights(path)
    assert found.matrix.shape == (6, columns)
    np.testing.assert_array_equal(found.matrix, expected)


def test_the_k_quants_are_among_them():
    assert {"Q2_K", "Q3_K", "Q4_K", "Q5_K", "Q6_K", "IQ4_NL", "IQ4_XS", "IQ2_XXS", "IQ3_S", "IQ1_M"} <= set(TYPES)


def test_q4_k_by_hand(tmp_path):
    """Against the layout of llama.cpp's block_q4_K: d, dmin, eight pairs of 6-bit scales, 256 codes of 4 bits."""
    rng = np.random.default_rng(0)
    scales, mins = rng.integers(0, 64, (2, 8))
    codes, d, dmin = rng.integers(0, 16, (8, 32)), np.float16(0.25), np.float16(0.5)
    packed = bytearray(d.tobytes() + dmin.tobytes() + bytes(12))
    for j in range(4):
        packed[4 + j] = scales[j] | (scales[j + 4] >> 4) << 6
        packed[8 + j] = mins[j] | (mins[j + 4] >> 4) << 6
        packed[12 + j] = scales[j + 4] & 15 | (mins[j + 4] & 15) << 4
    for j in range(0, 8, 2):
        packed += (codes[j] | codes[j + 1] << 4).astype(np.uint8).tobytes()
    values = float(d) * scales[:, None] * codes - float(dmin) * mins[:, None]
    rows = np.frombuffer(bytes(packed) * 2, np.uint8).reshape(2, -1)
    path = written(tmp_path / "m.gguf", {"blk.0.ffn_up.weight": rows}, gguf.GGMLQuantizationType.Q4_K)
    (found,) = iter_weights(path)
    np.testing.assert_array_equal(found.matrix, [values.ravel()] * 2)


def test_a_split_model_is_one_from_any_of_its_files_and_from_the_folder(tmp_path):
    rng = np.random.default_rng(0)
    state = {f"blk.{i}.ffn_up.weight": rng.normal(size=(4, 6)).astype(np.float32) for i in range(5)}
    whole = list(iter_weights(written(tmp_path / "whole.gguf", state)))
    folder = tmp_path / "split"
    folder.mkdir()
    written(folder / "model.gguf", state, split_max_tensors=2)
    files = sorted(folder.iterdir())
    assert [file.name for file in files] == [f"model-0000{i}-of-00003.gguf" for i in (1, 2, 3)]
    for source in (folder, *files):
        assert same(iter_weights(source), whole)

    files[1].rename(folder / "model.gguf.part")
    for source in (folder, files[0], files[2]):
        with pytest.raises(
            FileNotFoundError, match=r"model-00002-of-00003\.gguf, one of 3 files of the model, is miss"
        ):
            iter_weights(source)
    files[1].write_bytes(files[0].read_bytes())
    with pytest.raises(ValueError, match=r"holds 'blk\.0\.ffn_up\.weight', which another file of the model holds too"):
        iter_weights(folder)
    files[2].rename(tmp_path / "third.gguf")
    with pytest.raises(ValueError, match=r"third\.gguf' is one of 3 files of a model; to find the others"):
        iter_weights(tmp_path / "third.gguf")
    written(files[2], {"blk.9.ffn_up.weight": np.ones((3, 4), np.float32)})
    (folder / "other.gguf").write_bytes(files[2].read_bytes())
    with pytest.raises(ValueError, match="name the file that is meant"):
        iter_weights(folder)


@pytest.fixture(scope="module")
def little(tmp_path_factory):
    path = tmp_path_factory.mktemp("little") / "m.gguf"
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_array("words", ["a", "b"])
    for name, value in LITTLE.items():
        writer.add_tensor(name, value)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


@settings(max_examples=60, deadline=None)
@given(flips=flips)
def test_damaged_bytes_give_a_matrix_or_a_value_error_and_nothing_else(little, flips):
    check_damaged(little, flips)
