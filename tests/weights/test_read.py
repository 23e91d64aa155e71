"""Sources of every kind give the same matrices under the same names, and bad ones say what is wrong: without torch."""

import json
import subprocess
import sys
import tracemalloc

import numpy as np
import pytest
from effort import calls
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sources import LITTLE, Evil, check_damaged, check_garbage, check_sharded, check_truncated, flips, same, sharded

from rmt_lab.weights import WeightMatrix, iter_weights, select_layers
from rmt_lab.weights.read import find_weights
from rmt_lab.weights.roles import model_order


def save_file(*args):
    """safetensors' own writer; a test that asks for it skips where it is not installed."""
    pytest.importorskip("safetensors.numpy", reason="needs safetensors").save_file(*args)


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


def test_every_kind_of_file_gives_the_same(state, expected, tmp_path):
    save_file(state, tmp_path / "model.safetensors")
    np.savez(tmp_path / "d.npz", **state)
    np.savez_compressed(tmp_path / "e.npz", **state)
    for name in ("model.safetensors", "d.npz", "e.npz"):
        assert same(iter_weights(tmp_path / name), expected), name
    assert same(iter_weights(str(tmp_path)), expected)  # the folder: model.safetensors
    with np.load(tmp_path / "d.npz") as archive:  # a mapping that loads on access
        assert same(iter_weights(archive), expected)


def test_a_sharded_folder_gives_the_same(state, expected, tmp_path):
    check_sharded(tmp_path, sharded(state, tmp_path, "model", "safetensors", save_file), expected)


def bfloat16_file(path, W):
    header = json.dumps({"fc.weight": {"dtype": "BF16", "shape": W.shape, "data_offsets": [0, 2 * W.size]}}).encode()
    path.write_bytes(len(header).to_bytes(8, "little") + header + (W >> 16).astype("<u2").tobytes())


def test_bfloat16_is_the_upper_half_of_float32(tmp_path):
    W = np.random.default_rng(0).normal(size=(5, 3)).astype("<f4").view("<u4") & 0xFFFF0000
    bfloat16_file(tmp_path / "model.safetensors", W)
    [w] = iter_weights(tmp_path)
    assert w.matrix.dtype == np.float32
    np.testing.assert_array_equal(w.matrix, W.view("<f4"))


def test_bfloat16_is_widened_in_blocks(tmp_path):
    """The peak is the matrix in float32 and a block, and not half as much again."""
    W = np.random.default_rng(0).integers(0, 2**32, (5000, 2047), dtype=np.uint32) & 0xFFFF0000  # no whole blocks
    bfloat16_file(tmp_path / "model.safetensors", W)
    [found] = find_weights(tmp_path)
    tracemalloc.start()
    matrix = found.read()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    np.testing.assert_array_equal(matrix.view(np.uint32), W)
    assert peak < 1.2 * W.nbytes


@pytest.mark.parametrize("kind", ["bfloat16", "float32"])
def test_a_file_that_is_cut_after_its_header_was_read_says_so(tmp_path, kind):
    path = tmp_path / "model.safetensors"
    if kind == "bfloat16":
        bfloat16_file(path, np.zeros((40, 30), np.uint32))
    else:
        save_file({"fc.weight": np.zeros((40, 30), np.float32)}, path)
    [found] = find_weights(path)
    path.write_bytes(path.read_bytes()[:-2])
    with pytest.raises(ValueError, match="cannot be read: model.safetensors has been truncated since its header"):
        found.read()


@settings(max_examples=25, deadline=None)
@given(
    arrays(
        st.sampled_from([np.float64, np.float32, np.float16]),
        st.lists(st.sampled_from([0, 2, 3, 4]), min_size=2, max_size=5).map(tuple),  # 1: a vector, or a table
        elements={"allow_nan": True},
    )
)
def test_a_safetensors_file_gives_back_any_array(tmp_path_factory, W):
    path = tmp_path_factory.mktemp("any") / "m.safetensors"
    save_file({"conv.weight": W, "a.weight": np.zeros((2, 2)), "metadata.bias": np.ones(3)}, path)
    found = {w.longname: w for w in iter_weights(path)}
    np.testing.assert_array_equal(found["conv"].matrix, W)
    assert found["conv"].matrix.dtype == W.dtype
    assert found["conv"].layer_type == ("dense" if W.ndim == 2 else f"conv{W.ndim - 2}d")


def test_arrays_that_share_their_memory_count_once():
    W = np.arange(12.0).reshape(3, 4)
    assert [w.longname for w in iter_weights({"wte": W, "body": W.copy(), "again": W, "head": W[:]})] == ["wte", "body"]
    # the same memory under two shapes is two matrices
    both = np.arange(12.0)
    assert len(list(iter_weights({"a": both.reshape(3, 4), "b": both.reshape(4, 3)}))) == 2


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
    for source, longname in ((W, "matrix"), (tmp_path / "mine.npy", "mine")):
        [w] = iter_weights(source)
        assert w[:4] == (0, longname, longname, "dense")
        np.testing.assert_array_equal(w.matrix, W)
    [row] = iter_weights(np.full((1, 9), np.nan))  # not judged here
    assert row.matrix.shape == (1, 9)


# --- split_qkv ---------------------------------------------------------------------------------------------------


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


def test_the_work_for_names_grows_as_their_number_does():
    def work(n):
        kernels = np.ones((n, 2, 2), np.float32)
        parts = ("gate", "up", "down")
        state = {
            f"model.layers.{i // 1000}.mlp.experts.{i % 1000 // 3}.{parts[i % 3]}_proj.weight": kernels[i]
            for i in reversed(range(n))
        }
        assert len(find_weights(state)) == n
        return calls(lambda: find_weights(state)) + calls(lambda: sorted(state, key=model_order))

    work(5)  # what is imported and compiled once
    assert work(8_000) < 5 * work(2_000)  # 4 if linear, 16 if quadratic


def test_names_with_endless_numbers_have_an_order_and_a_role():
    digits = "7" * 5000
    names = [f"layers.{digits}.mlp.down_proj", f"conv{digits}.b", "layers.2.mlp.down_proj", "layers.10.mlp.down_proj"]
    assert sorted(names, key=model_order)[-3:] == [names[2], names[3], names[0]]
    found = find_weights({f"{name}.weight": np.ones((2, 3)) for name in names})
    assert [f.longname for f in found] == names


def test_layers_that_are_not_selected_are_not_read_from_disk(state, tmp_path):
    path = tmp_path / "model.safetensors"
    save_file(state, path)
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
    save_file({f"layers.{i}.fc1.weight": one + i for i in range(5)}, tmp_path / "model.safetensors")
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


def test_an_unreadable_array_does_not_stop_the_others(tmp_path):
    W = np.ones((3, 4), np.float32)
    save_file({"a.weight": W, "b.weight": W.astype(np.int8), "c.weight": W}, tmp_path / "m.safetensors")
    with pytest.warns(UserWarning, match="b is left out: it cannot be read: it is stored as i"):
        found = list(iter_weights(tmp_path / "m.safetensors"))
    assert [(w.layer_id, w.longname) for w in found] == [(0, "a"), (2, "c")]


def test_truncated_and_damaged_safetensors(state, tmp_path):
    path = tmp_path / "model.safetensors"
    save_file(state, path)
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


@pytest.mark.parametrize("suffix", [".safetensors", ".index.json", ".gguf", ".npz", ".npy"])
def test_empty_truncated_and_garbage_files_of_every_format(tmp_path, suffix):
    check_garbage(tmp_path / f"model{suffix}")


@pytest.mark.parametrize(("suffix", "save"), [(".npz", np.savez), (".npy", np.save)])
def test_truncated_numpy_files(tmp_path, suffix, save):
    path = tmp_path / f"model{suffix}"
    save(path, np.ones((50, 50)))
    check_truncated(path)


@pytest.fixture(scope="module")
def little(tmp_path_factory):
    folder = tmp_path_factory.mktemp("little")
    save_file(LITTLE, folder / "m.safetensors")
    np.savez_compressed(folder / "m.npz", **LITTLE)
    return folder


@pytest.mark.parametrize("name", ["m.safetensors", "m.npz"])
@settings(max_examples=60, deadline=None)
@given(flips=flips)
def test_damaged_bytes_give_a_matrix_or_a_value_error_and_nothing_else(little, name, flips):
    check_damaged(little / name, flips)


def test_numpy_files_with_objects_are_refused(tmp_path):
    objects = np.array([Evil(str(tmp_path / "trace"))], dtype=object)
    np.save(tmp_path / "a.npy", objects, allow_pickle=True)
    np.savez(tmp_path / "a.npz", objects)
    np.savez(tmp_path / "shard.npz", W=np.ones((3, 3)), b=objects)
    (tmp_path / "a.index.json").write_text(json.dumps({"weight_map": {"W": "shard.npz"}}))
    for name in ("a.npy", "a.npz", "shard.npz", "a.index.json"):
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


# --- the module itself ---------------------------------------------------------------------------------------------


def test_importing_and_reading_safetensors_needs_no_optional_package(state, tmp_path):
    save_file(state, tmp_path / "model.safetensors")
    code = (
        "import sys; from rmt_lab.weights import iter_weights; print(len(list(iter_weights(sys.argv[1]))));"
        "print(*[m for m in ('torch', 'transformers', 'safetensors', 'gguf', 'huggingface_hub') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["75"]


def test_a_weight_matrix_prints_in_one_line():
    w = WeightMatrix(3, "block 0 query", "h.0.q", "dense", np.zeros((300, 400)))
    assert repr(w) == "WeightMatrix(3, 'block 0 query', 'h.0.q', 'dense', 300 x 400)"


def test_a_matrix_beside_a_state_dict_is_not_lost_in_silence():
    W = np.random.default_rng(0).normal(size=(6, 4))
    with pytest.warns(UserWarning, match="the state dict is taken from 'net'; left out beside it: 'w1'"):
        found = list(iter_weights({"w1": W, "net": {"fc.weight": W}, "rng_state": np.zeros(9, np.uint8)}))
    assert [w.longname for w in found] == ["fc"]
