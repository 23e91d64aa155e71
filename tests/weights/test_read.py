"""Sources of every kind give the same matrices under the same names, and bad ones say what is wrong."""

import json
import pickle
import shutil
import subprocess
import sys
import tracemalloc
import warnings
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from rmt_lab.spectrum import Spectrum
from rmt_lab.weights import WeightMatrix, iter_weights, select_layers

torch = pytest.importorskip("torch", reason="needs torch")
safetensors_numpy = pytest.importorskip("safetensors.numpy", reason="needs safetensors")
safetensors_torch = pytest.importorskip("safetensors.torch", reason="needs safetensors")


def bert_like(blocks=12, d=4, dtype=np.float32):
    """A state dict in the model's order, as numpy arrays, with everything in it that is no weight matrix."""
    rng = np.random.default_rng(0)

    def draw(*shape):
        return rng.normal(size=shape).astype(dtype)

    state = {
        "embeddings.position_ids": np.arange(7)[None],
        "embeddings.word_embeddings.weight": draw(9, d),
        "embeddings.position_embeddings.weight": draw(7, d),
        "embeddings.LayerNorm.weight": draw(d),
    }
    for i in range(blocks):
        for part, shape in {
            "attention.self.query": (d, d),
            "attention.self.key": (d, d),
            "attention.self.value": (d, d),
            "attention.output.dense": (d, d),
            "intermediate.dense": (3 * d, d),
            "output.dense": (d, 3 * d),
        }.items():
            state[f"encoder.layer.{i}.{part}.weight"] = draw(*shape)
            state[f"encoder.layer.{i}.{part}.bias"] = draw(shape[0])
        state[f"encoder.layer.{i}.output.LayerNorm.weight"] = draw(d)
    return state | {"pooler.dense.weight": draw(d, d), "pooler.dense.bias": draw(d)}


@pytest.fixture(scope="module")
def state():
    return bert_like()


@pytest.fixture(scope="module")
def expected(state):
    return list(iter_weights(state))


def same(found, expected, exact_names=True):
    found = list(found)
    assert [w[:2] for w in found] == [w[:2] for w in expected]
    if exact_names:
        assert [w.longname for w in found] == [w.longname for w in expected]
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_array_equal(a.matrix, b.matrix)
    return True


def test_a_state_dict_gives_its_matrices_and_nothing_else(state, expected):
    names = [w.longname + ".weight" for w in expected]
    assert names == [k for k, v in state.items() if v.ndim == 2 and v.dtype.kind == "f"]
    assert len(names) == 2 + 12 * 6 + 1
    assert [w.layer_id for w in expected] == list(range(75))
    assert all(np.shares_memory(w.matrix, state[w.longname + ".weight"]) for w in expected)  # no copies
    layer_id, name, longname, layer_type, matrix = expected[2 + 6 * 3]
    assert (layer_id, name, longname) == (20, "block 3 query", "encoder.layer.3.attention.self.query")
    assert (layer_type, matrix.shape, expected[20].block, expected[20].role) == ("dense", (4, 4), 3, "query")
    assert [w.layer_type for w in expected[:3]] == ["embedding", "embedding", "dense"]


def test_every_kind_of_source_gives_the_same(state, expected, tmp_path):
    tensors = {name: torch.from_numpy(value) for name, value in state.items()}
    assert same(iter_weights(tensors), expected)
    safetensors_numpy.save_file(state, tmp_path / "model.safetensors")
    torch.save(tensors, tmp_path / "a.pt")
    torch.save(tensors, tmp_path / "b.bin", _use_new_zipfile_serialization=False)
    torch.save({"epoch": 3, "state_dict": tensors, "optimizer": {"lr": 0.1}}, tmp_path / "c.pth")
    np.savez(tmp_path / "d.npz", **state)
    np.savez_compressed(tmp_path / "e.npz", **state)
    for name in ("model.safetensors", "a.pt", "b.bin", "c.pth", "d.npz", "e.npz"):
        assert same(iter_weights(tmp_path / name), expected), name
    assert same(iter_weights(str(tmp_path)), expected)  # the folder: model.safetensors
    with np.load(tmp_path / "d.npz") as archive:  # a mapping that loads on access
        assert same(iter_weights(archive), expected)


@pytest.mark.parametrize("kind", ["safetensors", "bin"])
def test_a_sharded_folder_gives_the_same(state, expected, tmp_path, kind):
    name = {"safetensors": "model", "bin": "pytorch_model"}[kind]
    keys, weight_map = list(state), {}
    for i in range(3):
        part = {k: state[k] for k in keys[i::3]}
        shard = f"{name}-0000{i + 1}-of-00003.{kind}"
        if kind == "bin":
            torch.save({k: torch.from_numpy(v) for k, v in part.items()}, tmp_path / shard)
        else:
            safetensors_numpy.save_file(part, tmp_path / shard)
        weight_map |= dict.fromkeys(part, shard)
    index = tmp_path / f"{name}.{kind}.index.json"
    index.write_text(json.dumps({"metadata": {}, "weight_map": weight_map}))
    assert same(iter_weights(tmp_path), expected)
    assert same(iter_weights(index), expected)

    gone = tmp_path / f"{name}-00002-of-00003.{kind}"
    gone.rename(tmp_path / "elsewhere")
    with pytest.raises(FileNotFoundError, match=rf"shard {gone.name}, one of 3, is missing"):
        iter_weights(tmp_path)
    shutil.copy(tmp_path / f"{name}-00001-of-00003.{kind}", gone)
    with pytest.raises(ValueError, match=rf"shard {gone.name} lacks '"):
        iter_weights(tmp_path)
    index.write_text(json.dumps({"weight_map": {"a.weight": "../a.safetensors"}}))
    with pytest.raises(ValueError, match="outside of the folder"):
        iter_weights(tmp_path)
    index.write_text("{}")
    with pytest.raises(ValueError, match="no checkpoint index"):
        iter_weights(tmp_path)


def test_gguf_comes_in_model_order_and_dequantised(tmp_path):
    gguf = pytest.importorskip("gguf", reason="needs gguf")
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


@pytest.mark.parametrize("dtype", ["float64", "float32", "float16", "bfloat16"])
def test_dtypes_agree_with_the_safetensors_package(tmp_path, dtype):
    W = torch.randn(5, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64).to(getattr(torch, dtype))
    path = tmp_path / "model.safetensors"
    safetensors_torch.save_file({"fc.weight": W}, path)
    truth = safetensors_torch.load_file(path)["fc.weight"].double().numpy()
    for source in (path, {"fc.weight": W}):
        [w] = iter_weights(source)
        assert w.matrix.dtype == (np.float32 if dtype == "bfloat16" else np.dtype(dtype))
        np.testing.assert_array_equal(w.matrix.astype(np.float64), truth)


@settings(max_examples=25, deadline=None)
@given(
    arrays(
        st.sampled_from([np.float64, np.float32, np.float16]),
        st.lists(st.integers(0, 4), min_size=2, max_size=5).map(tuple),
        elements={"allow_nan": True},
    )
)
def test_a_safetensors_file_gives_back_any_array(tmp_path_factory, W):
    path = tmp_path_factory.mktemp("any") / "m.safetensors"
    safetensors_numpy.save_file({"z.weight": W, "a.weight": np.zeros((2, 2)), "metadata.bias": np.ones(3)}, path)
    found = {w.longname: w for w in iter_weights(path)}
    np.testing.assert_array_equal(found["z"].matrix, W)
    assert found["z"].matrix.dtype == W.dtype
    assert found["z"].layer_type == ("dense" if W.ndim == 2 else f"conv{W.ndim - 2}d")


def test_a_module_tells_the_types_of_its_layers():
    class Net(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.items = torch.nn.Embedding(10, 4)
            self.convs = torch.nn.ModuleList(
                [torch.nn.Conv1d(2, 3, 5), torch.nn.Conv2d(2, 3, (5, 1)), torch.nn.ConvTranspose3d(2, 3, 2)]
            )
            self.norm2 = torch.nn.LayerNorm((4, 4))
            self.bn = torch.nn.BatchNorm2d(3)
            self.attn = torch.nn.MultiheadAttention(4, 2)
            self.rnn = torch.nn.LSTM(4, 3)
            self.classifier = torch.nn.Linear(4, 2)
            self.register_buffer("table", torch.zeros(4, 4))
            self.pos_embed = torch.nn.Parameter(torch.ones(1, 6, 4))
            self.cls_token = torch.nn.Parameter(torch.ones(1, 1, 4))
            self.scalar = torch.nn.Parameter(torch.tensor(1.0))

    net = Net()
    found = {w.longname: w for w in iter_weights(net)}
    assert {name: (w.layer_type, w.matrix.shape) for name, w in found.items()} == {
        "pos_embed": ("embedding", (6, 4)),
        "items": ("embedding", (10, 4)),
        "convs.0": ("conv1d", (3, 2, 5)),
        "convs.1": ("conv2d", (3, 2, 5, 1)),
        "convs.2": ("conv3d", (2, 3, 2, 2, 2)),
        "attn.in_proj_weight": ("dense", (12, 4)),
        "attn.out_proj": ("dense", (4, 4)),
        "rnn.weight_ih_l0": ("dense", (12, 4)),
        "rnn.weight_hh_l0": ("dense", (12, 3)),
        "classifier": ("dense", (2, 4)),
    }
    assert np.shares_memory(found["convs.1"].matrix, net.convs[1].weight.detach().numpy())
    spectra = [Spectrum.from_matrix(w.matrix) for w in found.values()]
    assert [s.rf for s in spectra] == [1, 1, 5, 5, 8, 1, 1, 1, 1, 1]


def test_tied_weights_count_once(tmp_path):
    class Tied(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.wte = torch.nn.Embedding(6, 3)
            self.body = torch.nn.Linear(3, 3)
            self.again = self.body
            self.lm_head = torch.nn.Linear(3, 6, bias=False)
            self.lm_head.weight = self.wte.weight

    model = Tied()
    torch.save(model.state_dict(), tmp_path / "tied.pt")
    arrays_ = {name: value.numpy() for name, value in model.state_dict().items()}
    for source in (model, model.state_dict(), tmp_path / "tied.pt", arrays_):
        assert [w.longname for w in iter_weights(source)] == ["wte", "body"]
    untied = {name: value.clone() for name, value in model.state_dict().items()}
    assert [w.longname for w in iter_weights(untied)] == ["wte", "body", "again", "lm_head"]
    # the same memory under two shapes is two matrices
    both = np.arange(12.0)
    assert len(list(iter_weights({"a": both.reshape(3, 4), "b": both.reshape(4, 3)}))) == 2


def test_modules_on_the_meta_device_are_not_mistaken_for_tied():
    with torch.device("meta"):
        model = torch.nn.Sequential(torch.nn.Linear(3, 3), torch.nn.Linear(3, 3))
    with pytest.warns(UserWarning, match="[01].weight cannot be read and is given as NaN"):
        found = list(iter_weights(model))
    assert [w.longname for w in found] == ["0", "1"]
    assert all(np.isnan(w.matrix).all() for w in found)


def test_buffers_masks_tables_and_scales_are_no_matrices():
    state = {
        "h.0.attn.bias": np.tril(np.ones((1, 1, 8, 8), np.float32)),  # GPT-2's causal mask
        "h.0.attn.masked_bias": np.array(-1e4),
        "rotary_emb.inv_freq": np.ones((2, 2)),
        "rotary_emb.cos_cached": np.ones((4, 4)),
        "pos_encoder.pe": np.ones((1, 5, 4)),
        "blocks.0.heads.0.tril": np.ones((4, 4)),
        "ln_f.weight": np.ones((3, 3)),
        "blk.0.attn_norm.weight": np.ones((3, 3)),
        "q_proj.scales": np.ones((3, 3)),
        "step": 7,
        "position_ids": np.arange(12).reshape(3, 4),
        "out.weight": np.ones((3, 4)),
    }
    assert [w.longname for w in iter_weights(state)] == ["out"]


def test_an_array_is_a_source_of_one_matrix(tmp_path):
    W = np.random.default_rng(0).normal(size=(6, 4))
    np.save(tmp_path / "mine.npy", W)
    for source, longname in ((W, "matrix"), (torch.from_numpy(W), "matrix"), (tmp_path / "mine.npy", "mine")):
        [w] = iter_weights(source)
        assert w[:4] == (0, longname, longname, "dense")
        np.testing.assert_array_equal(w.matrix, W)
    [row] = iter_weights(np.full((1, 9), np.nan))  # not judged here
    assert row.matrix.shape == (1, 9)


# --- split_qkv ---------------------------------------------------------------------------------------------------


def test_fused_rows_split_as_torchs_own_attention_uses_them():
    attention = torch.nn.MultiheadAttention(8, 2, bias=False, batch_first=True)
    x, y = torch.randn(2, 1, 5, 8, generator=torch.Generator().manual_seed(0))
    q, k, v, out = (torch.from_numpy(w.matrix) for w in iter_weights(attention, split_qkv=True))

    def heads(z):
        return z.view(1, 5, 2, 4).transpose(1, 2)

    mixed = torch.nn.functional.scaled_dot_product_attention(heads(x @ q.T), heads(y @ k.T), heads(y @ v.T))
    by_hand = mixed.transpose(1, 2).reshape(1, 5, 8) @ out.T
    torch.testing.assert_close(by_hand, attention(x, y, y)[0])


@pytest.mark.parametrize(
    "name", ["blocks.0.attn.qkv", "layers.0.attn.Wqkv", "blk.0.attn_qkv", "model.layers.0.self_attn.qkv_proj"]
)
def test_fused_rows_split_in_three(name):
    W = np.arange(48.0).reshape(12, 4)
    parts = list(iter_weights({f"{name}.weight": W, "head.weight": W.copy()}, split_qkv=True))
    assert [w.longname for w in parts] == [f"{name}.query", f"{name}.key", f"{name}.value", "head"]
    assert [w.name for w in parts] == ["block 0 query", "block 0 key", "block 0 value", "head"]
    np.testing.assert_array_equal(np.vstack([w.matrix for w in parts[:3]]), W)
    assert [w.layer_id for w in parts] == [0, 1, 2, 3]
    assert [w.role for w in iter_weights({f"{name}.weight": W})] == ["qkv"]


@pytest.mark.parametrize(
    ("name", "shape"),
    [
        ("gpt_neox.layers.0.attention.query_key_value", (12, 4)),  # heads interleaved
        ("transformer.h.0.attn.qkv_proj", (12, 4)),  # CodeGen: another order
        ("transformer.h.0.attn.c_attn", (12, 4)),  # a Linear, not GPT-2's Conv1D: the layout is not known
        ("model.layers.0.self_attn.qkv_proj", (8, 4)),  # grouped queries: key and value share heads
    ],
)
def test_what_cannot_be_split_for_certain_is_refused(name, shape):
    state = {f"{name}.weight": np.ones(shape)}
    assert [w.role for w in iter_weights(state)] == ["qkv"]
    with pytest.raises(ValueError, match=r"split_qkv=True: .* cannot be told apart"):
        iter_weights(state, split_qkv=True)


def test_stacked_experts_are_one_matrix_each():
    W = np.random.default_rng(0).normal(size=(3, 5, 4))
    for name in ("model.layers.0.mlp.experts.down_proj", "blk.0.ffn_down_exps.weight"):
        found = list(iter_weights({name: W}))
        assert [w.longname for w in found] == [f"{name.removesuffix('.weight')}.{i}" for i in range(3)]
        assert {(w.role, w.layer_type) for w in found} == {("feed-forward out", "dense")}
        np.testing.assert_array_equal([w.matrix for w in found], W)


# --- layers and laziness --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("layers", "names"),
    [
        ([3, 0], ["word embedding", "block 0 key"]),
        (np.arange(2), ["word embedding", "position embedding"]),
        (["pooler", 1], ["position embedding", "pooler"]),
        ("embedding", ["word embedding"]),
        (74, ["pooler"]),
        ("block 10 query", ["block 10 query"]),
        ({"layer.10.attention.self"}, ["block 10 query", "block 10 key", "block 10 value"]),
        ("query", [f"block {i} query" for i in range(12)]),
    ],
)
def test_layers_are_selected_by_id_role_name_or_part_of_the_longname(state, expected, layers, names):
    found = list(iter_weights(state, layers=layers))
    assert [w.name for w in found] == names
    assert all(expected[w.layer_id].longname == w.longname for w in found)  # ids do not depend on the selection


@pytest.mark.parametrize(
    ("layers", "error", "message"),
    [
        ([1, 75], ValueError, "entry 75, which no layer matches; ids go from 0 to 74"),
        (["qury"], ValueError, r"'qury'.* close are \['query'"),
        (["head"], ValueError, "entry 'head', which no layer matches"),
        ("blok 3 query", ValueError, "block 3 query"),
        ("", ValueError, "no layer matches"),
        ([], ValueError, "layers is empty"),
        ([1.5], TypeError, "entry 1.5; allowed are layer ids"),
        ([True], TypeError, "entry True"),
    ],
)
def test_a_selection_that_matches_nothing_says_so(state, layers, error, message):
    with pytest.raises(error, match=message):
        iter_weights(state, layers=layers)


def test_select_layers_takes_anything_with_the_three_names(expected):
    assert select_layers(expected, None) == expected
    assert [w.layer_id for w in select_layers(expected[5:9], ["query", 6])] == [6, 8]


class Counting(dict):
    """A state dict that is no plain dict and notes what is read of it, as one that loads on access does."""

    def __init__(self, state):
        super().__init__(state)
        self.read = []

    def __getitem__(self, name):
        self.read.append(name)
        return super().__getitem__(name).copy()


def test_only_what_is_asked_for_is_read_and_only_when_its_turn_comes(state):
    source = Counting(state)
    weights = iter_weights(source, layers=["query"])
    source.read.clear()
    assert next(weights).name == "block 0 query"
    assert source.read == ["encoder.layer.0.attention.self.query.weight"]
    assert len(list(weights)) == 11
    assert len(source.read) == 12


def test_layers_that_are_not_selected_are_not_read_from_disk(state, tmp_path):
    path = tmp_path / "model.safetensors"
    safetensors_numpy.save_file(state, path)
    reference = list(iter_weights(path, layers="pooler"))
    data = bytearray(path.read_bytes())
    header = int.from_bytes(data[:8], "little")
    offsets = json.loads(data[8 : 8 + header])["pooler.dense.weight"]["data_offsets"]
    start, stop = (8 + header + x for x in offsets)
    data[8 + header : start] = b"\xff" * (start - 8 - header)  # everything else becomes NaN
    data[stop:] = b"\xff" * (len(data) - stop)
    path.write_bytes(data)
    assert same(iter_weights(path, layers="pooler"), reference)
    assert np.isnan(next(iter_weights(path)).matrix).all()


def test_a_matrix_is_gone_before_the_next_is_read(tmp_path):
    one = np.ones((500, 500))
    safetensors_numpy.save_file({f"layers.{i}.fc1.weight": one + i for i in range(5)}, tmp_path / "model.safetensors")
    weights = iter_weights(tmp_path)
    tracemalloc.start()
    try:
        for _ in range(5):
            w = next(weights)
            del w
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert one.nbytes <= peak < 1.5 * one.nbytes


# --- bad input ------------------------------------------------------------------------------------------------------


def test_an_unreadable_tensor_does_not_stop_the_others(tmp_path):
    W = torch.ones(3, 4)
    quantised = {"a.weight": W, "b.weight": W.to(torch.int8), "c.weight": W.to(torch.float8_e4m3fn), "d.weight": 2 * W}
    safetensors_torch.save_file(quantised, tmp_path / "model.safetensors")
    for source in (quantised, tmp_path):
        with pytest.warns(UserWarning, match="cannot be read") as caught:
            found = list(iter_weights(source))
        assert [w.longname for w in found] == ["a", "b", "c", "d"]
        assert [np.isnan(w.matrix).all() for w in found] == [False, True, True, False]
        assert {w.matrix.shape for w in found} == {(3, 4)}
        messages = [str(w.message) for w in caught]
        assert len(messages) == 2
        assert "b.weight cannot be read and is given as NaN: it is stored as i" in messages[0]
        with pytest.raises(ValueError, match="W holds 12 NaN"):
            Spectrum.from_matrix(found[1].matrix)


def test_truncated_and_damaged_safetensors(state, tmp_path):
    path = tmp_path / "model.safetensors"
    safetensors_numpy.save_file(state, path)
    data = path.read_bytes()
    header = int.from_bytes(data[:8], "little")
    for size in (1, 8, 100, header + 7, header + 8, len(data) - 1):
        path.write_bytes(data[:size])
        with pytest.raises(ValueError, match=r"model\.safetensors' is (no safetensors file|truncated)"):
            iter_weights(path)
    path.write_bytes(data[:8] + b"[" + data[9:])
    with pytest.raises(ValueError, match="header is not readable"):
        iter_weights(path)
    forged = json.dumps({"a.weight": {"dtype": "F32", "shape": [9, 9], "data_offsets": [0, 16]}}).encode()
    path.write_bytes(len(forged).to_bytes(8, "little") + forged + b"\0" * 16)
    with pytest.raises(ValueError, match=r"damaged: a\.weight has 16 bytes for \(9, 9\) float32"):
        iter_weights(path)


@pytest.mark.parametrize("suffix", [".safetensors", ".index.json", ".gguf", ".npz", ".npy", ".pt", ".pth", ".bin"])
def test_empty_truncated_and_garbage_files_of_every_format(state, tmp_path, suffix):
    path = tmp_path / f"model{suffix}"
    path.write_bytes(b"")
    with pytest.raises(ValueError, match=r"model.* is an empty file"):
        iter_weights(path)
    path.write_bytes(b"this is no checkpoint at all, only some text that is long enough")
    with pytest.raises(ValueError, match=r"source='.*model.* is no "):
        iter_weights(path)
    if suffix in (".npz", ".npy", ".pt"):
        if suffix == ".pt":
            torch.save({name: torch.from_numpy(value) for name, value in state.items()}, path)
        else:
            (np.save if suffix == ".npy" else np.savez)(path, np.ones((50, 50)))
        data = path.read_bytes()
        for size in (10, len(data) // 2, len(data) - 30):
            path.write_bytes(data[:size])
            with pytest.raises(ValueError, match=r"source='.*model.* is no "):
                iter_weights(path)


@pytest.mark.parametrize("name", ["m.safetensors", "m.gguf", "m.npz", "m.pt"])
@settings(max_examples=60, deadline=None)
@given(flips=st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), min_size=1, max_size=3))
def test_damaged_bytes_give_a_matrix_or_a_value_error_and_nothing_else(damaged_files, name, flips):
    data = bytearray((damaged_files / name).read_bytes())
    for place, value in flips:
        data[int(place * len(data))] = value
    path = damaged_files / f"damaged{Path(name).suffix}"
    path.write_bytes(data)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".* cannot be read and is given as NaN")
        message = "source="
        try:
            assert list(iter_weights(path))
        except ValueError as error:
            message = str(error)
    assert message.startswith("source=")


@pytest.fixture(scope="module")
def damaged_files(tmp_path_factory):
    gguf = pytest.importorskip("gguf", reason="needs gguf")
    folder = tmp_path_factory.mktemp("damaged")
    state = {"h.0.up.weight": np.ones((2, 3), np.float32), "h.10.up.weight": np.ones((3, 2), np.float32)}
    safetensors_numpy.save_file(state, folder / "m.safetensors")
    np.savez_compressed(folder / "m.npz", **state)
    torch.save({name: torch.from_numpy(value) for name, value in state.items()}, folder / "m.pt")
    writer = gguf.GGUFWriter(folder / "m.gguf", "llama")
    writer.add_array("words", ["a", "b"])
    for name, value in state.items():
        writer.add_tensor(name, value)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return folder


class Evil:
    """Unpickling it would create a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (Path.touch, (Path(self.path),))


@pytest.mark.parametrize("how", ["torch", "torch legacy", "pickle", "whole module"])
def test_a_pickle_that_runs_code_is_refused(tmp_path, how):
    path, trace = tmp_path / "model.pt", tmp_path / "trace"
    evil = {"a.weight": torch.ones(3, 3), "b": Evil(str(trace))}
    if how == "pickle":
        path.write_bytes(pickle.dumps(evil))
    elif how == "whole module":
        torch.save(torch.nn.Linear(3, 3), path)
    else:
        torch.save(evil, path, _use_new_zipfile_serialization=how == "torch")
    with pytest.raises(ValueError, match="pickle of Python objects.*runs code.* refused") as caught:
        iter_weights(path)
    assert caught.value.__cause__ is None
    assert not trace.exists()


def test_numpy_files_with_objects_are_refused(tmp_path):
    objects = np.array([Evil(str(tmp_path / "trace"))], dtype=object)
    np.save(tmp_path / "a.npy", objects, allow_pickle=True)
    np.savez(tmp_path / "a.npz", objects)
    for name in ("a.npy", "a.npz"):
        with pytest.raises(ValueError, match="pickled Python objects"):
            iter_weights(tmp_path / name)
    assert not (tmp_path / "trace").exists()


def test_paths_that_do_not_exist_or_are_not_known(tmp_path):
    (tmp_path / "bert.safetensors").write_bytes(b"x")
    (tmp_path / "notes.txt").write_text("x")
    with pytest.raises(FileNotFoundError, match=r"no such file or folder; did you mean bert\.safetensors"):
        iter_weights(tmp_path / "brt.safetensors")
    with pytest.raises(FileNotFoundError, match=r"source='nowhere\.gguf': there is no such file"):
        iter_weights("nowhere.gguf")
    with pytest.raises(ValueError, match=r"unknown format; allowed are \.safetensors, "):
        iter_weights(tmp_path / "notes.txt")
    (tmp_path / "two.gguf").write_bytes(b"x")
    with pytest.raises(ValueError, match=r"bert\.safetensors, two\.gguf; name the file"):
        iter_weights(tmp_path)
    (tmp_path / "empty").mkdir()
    with pytest.raises(FileNotFoundError, match=r"no checkpoint in this folder; looked for model\.safetensors"):
        iter_weights(tmp_path / "empty")


@pytest.mark.parametrize("source", [7, None, [np.ones((3, 3))], ""])
def test_other_types_are_refused(source):
    with pytest.raises(TypeError, match="allowed are a torch module"):
        iter_weights(source)


@pytest.mark.parametrize("source", [{}, {"a.bias": np.ones((3, 3))}, np.ones(5), {"ids": np.ones((2, 2), int)}])
def test_a_source_without_a_matrix_says_what_it_holds(source):
    with pytest.raises(ValueError, match=r"holds no weight matrix .* It holds (no tensor|a\.bias|matrix|ids)"):
        iter_weights(source)


def test_a_missing_package_is_named(tmp_path, monkeypatch):
    (tmp_path / "a.gguf").write_bytes(b"GGUF")
    (tmp_path / "a.bin").write_bytes(b"x")
    for package in ("gguf", "torch", "huggingface_hub"):
        monkeypatch.setitem(sys.modules, package, None)
    for source, package in ((tmp_path / "a.gguf", "gguf"), (tmp_path / "a.bin", "torch"), ("gpt2", "huggingface_hub")):
        with pytest.raises(ImportError, match=rf'needs the package {package}: pip install "rmt-lab\[models\]"'):
            iter_weights(source)


# --- hub names --------------------------------------------------------------------------------------------------------


@pytest.fixture
def hub_cache(tmp_path, monkeypatch):
    """An empty hub cache, and a hub that must not be asked."""
    hub = pytest.importorskip("huggingface_hub", reason="needs huggingface_hub")
    pytest.importorskip("huggingface_hub.constants")
    monkeypatch.setattr(hub.constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(hub.constants, "HF_HUB_OFFLINE", True)

    def add(name):
        folder = tmp_path / f"models--{name.replace('/', '--')}"
        snapshot = folder / "snapshots" / ("0" * 40)
        snapshot.mkdir(parents=True)
        (folder / "refs").mkdir()
        (folder / "refs" / "main").write_text("0" * 40)
        return snapshot

    return add


def test_a_hub_name_is_taken_from_the_local_cache(hub_cache, state, expected):
    safetensors_numpy.save_file(state, hub_cache("acme/tiny") / "model.safetensors")
    assert same(iter_weights("acme/tiny"), expected)
    torch.save({k: torch.from_numpy(v) for k, v in state.items()}, hub_cache("old") / "pytorch_model.bin")
    assert same(iter_weights("old"), expected)
    sharded = hub_cache("acme/large")
    safetensors_numpy.save_file(state, sharded / "s.safetensors")
    index = {"weight_map": dict.fromkeys(state, "s.safetensors")}
    (sharded / "model.safetensors.index.json").write_text(json.dumps(index))
    assert same(iter_weights("acme/large"), expected)
    (sharded / "s.safetensors").unlink()
    with pytest.raises(FileNotFoundError, match="not in the local cache"):
        iter_weights("acme/large")


def test_a_hub_name_that_is_not_at_hand_offline(hub_cache):
    with pytest.raises(FileNotFoundError, match=r"'bert-base-uncased': there is no such file or folder, and as a hub"):
        iter_weights("bert-base-uncased")


def test_a_hub_that_cannot_be_reached_fails_at_once(hub_cache, monkeypatch):
    import huggingface_hub as hub

    def refuse(*args, **kwargs):
        raise AssertionError("the hub's own functions, which try again and again, must not be called")

    class Session:
        def head(self, url, timeout):
            assert 0 < timeout <= 30
            raise OSError("no route")

    original = hub.hf_hub_download

    def only_local(*args, local_files_only, **kwargs):
        return original(*args, local_files_only=True, **kwargs) if local_files_only else refuse()

    monkeypatch.setattr(hub.constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(hub.utils, "get_session", Session)
    monkeypatch.setattr(hub, "hf_hub_download", only_local)
    with pytest.raises(FileNotFoundError, match=r"hub cannot be reached \(OSError\)"):
        iter_weights("bert-base-uncased")


@pytest.mark.parametrize(
    ("error", "message"),
    [
        ("RepositoryNotFoundError", "the hub does not know it"),
        ("GatedRepoError", "gated: accept its licence"),
        ("EntryNotFoundError", r"it holds none of model\.safetensors"),
        ("LocalEntryNotFoundError", "could not be downloaded"),
    ],
)
def test_what_the_hub_answers_is_said_plainly(hub_cache, monkeypatch, error, message):
    import huggingface_hub as hub

    class Session:
        def head(self, url, timeout):
            return None

    kind = getattr(hub.errors, error)

    def answer(name, filename, local_files_only, etag_timeout):
        if local_files_only:
            raise hub.errors.LocalEntryNotFoundError("not cached")
        raise kind.__new__(kind, "refused")

    monkeypatch.setattr(hub.constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(hub.utils, "get_session", Session)
    monkeypatch.setattr(hub, "hf_hub_download", answer)
    with pytest.raises(FileNotFoundError, match=message) as caught:
        iter_weights("acme/private")
    assert caught.value.__context__ is None or caught.value.__suppress_context__


# --- the module itself ---------------------------------------------------------------------------------------------


def test_importing_and_reading_safetensors_needs_no_optional_package(state, tmp_path):
    safetensors_numpy.save_file(state, tmp_path / "model.safetensors")
    code = (
        "import sys; from rmt_lab.weights import iter_weights; print(len(list(iter_weights(sys.argv[1]))));"
        "print(*[m for m in ('torch', 'transformers', 'safetensors', 'gguf', 'huggingface_hub') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["75"]


def test_a_weight_matrix_prints_in_one_line():
    w = WeightMatrix(3, "block 0 query", "h.0.q", "dense", np.zeros((300, 400)))
    assert repr(w) == "WeightMatrix(3, 'block 0 query', 'h.0.q', 'dense', 300 x 400)"
