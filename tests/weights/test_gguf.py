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
