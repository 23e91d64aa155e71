"""Quantised weights: one matrix each, with the values of the package that wrote them.

tests/data/quantised.npz holds what bitsandbytes 0.50.2 (Linear4bit.state_dict, int8_vectorwise_quant) and auto-gptq
0.7.1 (QuantLinear.pack) made of Gaussian matrices, and random codes for autoawq 0.2.9. Under "expected" are the values
that the same package makes of them (dequantize_4bit, int8_vectorwise_dequant, QuantLinear of the unit matrix,
dequantize_gemm): every 7th, and of the nested one every 61st.
"""

import pickle
import warnings
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from rmt_lab import analyze
from rmt_lab.report.description import describe
from rmt_lab.weights import iter_weights
from rmt_lab.weights.read import find_weights

torch = pytest.importorskip("torch", reason="needs torch")
safetensors_torch = pytest.importorskip("safetensors.torch", reason="needs safetensors")

LAYER = "model.layers.3.self_attn.q_proj"
W = np.random.default_rng(0).normal(size=(6, 8)).astype(np.float32)


@pytest.fixture(scope="module")
def published():
    with np.load(Path(__file__).parents[1] / "data" / "quantised.npz") as file:
        found = {}
        for key in file.files:
            case, part = key.split("|")
            found.setdefault(case, {})[part] = file[key]
    return found


def only(source):
    """The one matrix of a source, read without a warning."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        (weight,) = iter_weights(source)
    return weight


def reason(source):
    """Why the one matrix of a source beside a good one is not read, as its row says; the good one is read."""
    table = analyze(source | {"good.weight": W}, min_evals=2)
    status = dict(zip(table["longname"], table["status"], strict=True))
    assert status.pop("good") == "success"
    ((name, why),) = status.items()
    assert name.endswith("q_proj"), name
    assert why.startswith("failed: it cannot be read: ")
    return why


def everywhere(state, tmp_path):
    """A state dict of torch tensors as itself, as safetensors, and as torch's file."""
    safetensors_torch.save_file(state, tmp_path / "m.safetensors")
    torch.save(state, tmp_path / "m.pt")
    return [state, tmp_path / "m.safetensors", tmp_path / "m.pt"]


# --- floats of 8 bits -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [torch.float8_e4m3fn, torch.float8_e5m2])
def test_every_float_of_8_bits_has_torchs_value(tmp_path, dtype):
    codes = torch.arange(256, dtype=torch.uint8).view(16, 16)
    expected = codes.view(dtype).float().numpy()
    for source in everywhere({f"{LAYER}.weight": codes.view(dtype)}, tmp_path):
        found = only(source)
        np.testing.assert_array_equal(found.matrix, expected)
        assert find_weights(source)[0].tensor.dtype == str(dtype).removeprefix("torch.")


def test_floats_of_8_bits_without_a_scale_are_read_with_a_warning():
    weight = torch.randn(20, 20).to(torch.float8_e4m3fn)
    table = analyze({"a.weight": weight, "b.weight": weight.clone(), "b.weight_scale": torch.ones(())})
    assert list(table["status"]) == ["success", "success"]
    assert "taken as a plain cast" in table["warning"][0]
    assert "cast" not in table["warning"][1]
    assert table["alpha"][0] == table["alpha"][1]


@pytest.mark.parametrize("dtype", [torch.float8_e4m3fn, torch.float8_e5m2, torch.int8])
@pytest.mark.parametrize("name", ["weight_scale", "weight_scale_inv"])
@pytest.mark.parametrize("shape", [(), (1,), (1, 1), (200,), (200, 1), (1, 300), (2, 3), (200, 5)])
def test_a_scale_of_all_rows_columns_or_blocks(tmp_path, dtype, name, shape):
    rng = torch.Generator().manual_seed(0)
    weight = (torch.randn(200, 300, generator=rng) * 30).to(dtype)
    scale = torch.rand(shape, generator=rng) + 0.5
    if shape == (2, 3):  # DeepSeek's blocks of 128 x 128, the last ones cut
        spread = scale.repeat_interleave(128, 0)[:200].repeat_interleave(128, 1)[:, :300]
    elif shape == (200, 5):
        spread = scale.repeat_interleave(60, 1)
    else:
        spread = scale[:, None] if shape == (200,) else scale
    expected = (weight.float() * spread).numpy()
    state = {f"{LAYER}.weight": weight, f"{LAYER}.{name}": scale}
    for source in everywhere(state, tmp_path) if shape == (2, 3) else [state]:
        found = only(source)
        assert (found.longname, found.role) == (LAYER, "query")
        np.testing.assert_array_equal(found.matrix, expected)


def test_other_blocks_are_named_by_the_config_beside_the_file(tmp_path):
    weight, scale = torch.randn(48, 64).to(torch.float8_e4m3fn), torch.rand(3, 2)
    safetensors_torch.save_file({"fc.weight": weight, "fc.weight_scale_inv": scale}, tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_text('{"quantization_config": {"weight_block_size": [16, 32]}}')
    expected = weight.float() * scale.repeat_interleave(16, 0).repeat_interleave(32, 1)
    for source in (tmp_path, tmp_path / "model.safetensors"):
        np.testing.assert_array_equal(only(source).matrix, expected.numpy())


@pytest.mark.parametrize("shape", [(2,), (3, 3), (6, 8, 1), (0, 8), (7, 1)])
def test_a_scale_that_does_not_fit_is_named(shape):
    state = {f"{LAYER}.weight": torch.ones(6, 8).to(torch.float8_e4m3fn), f"{LAYER}.weight_scale": torch.ones(shape)}
    assert f"weight_scale has shape {shape}; to (6, 8) belongs" in reason(state)


def test_stacked_experts_of_8_bits_have_a_scale_each():
    weight, scale = torch.randn(3, 40, 24).to(torch.float8_e4m3fn), torch.rand(3, 1, 24)
    state = {"model.layers.0.mlp.experts.down_proj": weight, "model.layers.0.mlp.experts.down_proj_scale": scale}
    found = list(iter_weights(state))
    assert [w.matrix.shape for w in found] == [(40, 24)] * 3
    for i, w in enumerate(found):
        np.testing.assert_array_equal(w.matrix, (weight.float() * scale)[i].numpy())


# --- bitsandbytes, GPTQ, AWQ ------------------------------------------------------------------------------------------


CASES = ["nf4", "fp4", "nf4_nested", "int8", "gptq2", "gptq4", "gptq8", "gptq4_order", "awq4"]


def state_of(case):
    return {f"{LAYER}.{part}": value for part, value in case.items() if part != "expected"}


@pytest.mark.parametrize("case", CASES)
def test_values_are_those_of_the_package(tmp_path, published, case):
    parts, expected = state_of(published[case]), published[case]["expected"]
    save_file(parts, tmp_path / "m.safetensors")
    np.savez(tmp_path / "m.npz", **parts)
    torch_state = {name: torch.from_numpy(value) for name, value in parts.items()}
    for source in (parts, torch_state, tmp_path / "m.safetensors", tmp_path / "m.npz"):
        found = only(source)
        assert (found.longname, found.role, found.matrix.dtype) == (LAYER, "query", np.float32)
        values = found.matrix.ravel()[:: 61 if case.endswith("nested") else 7]
        np.testing.assert_allclose(values, expected, rtol=1e-3 if case == "int8" else 3e-7, atol=0)


@pytest.mark.parametrize("case", CASES)
def test_a_part_that_is_missing_or_does_not_fit_is_one_row_with_the_reason(published, case):
    whole = state_of(published[case])
    assert reason_or_success(whole) == "success"
    for name in whole:
        lacking = {key: value for key, value in whole.items() if key != name}
        part = name.removeprefix(f"{LAYER}.")
        if part not in ("weight", "qweight", "g_idx", "weight.nested_absmax"):
            why = reason(lacking)
            assert part in why or "its state (" in why or "its scale elsewhere" in why
        if part in ("weight", "qweight") and case != "int8":
            continue  # of another shape it is another matrix, but for 8 bits where the rows count
        crooked = whole | {name: whole[name][:-1] if whole[name].ndim else whole[name]}
        assert "shape" in (why := reason(crooked)) or "is no state" in why, name


def reason_or_success(state):
    return analyze(state, min_evals=2)["status"][0]


def test_scales_are_listed_as_no_weights(published):
    table = describe(state_of(published["nf4_nested"]))
    layers = table[table["skipped"] == ""]
    assert list(layers["dtype"]) == ["nf4"]
    assert list(layers["shape"]) == [(65, 256)]
    assert list(layers["bytes"]) == [65 * 256 // 2]
    assert table["skipped"][1:].str.contains("quantised").all()


def packed(codes, bits, axis, order=None):
    """Codes side by side in int32, from the definition: number k of a word in its bits k * bits and up."""
    codes = np.moveaxis(codes, axis, 0)
    per = 32 // bits
    words = np.zeros((len(codes) // per, *codes.shape[1:]), np.uint64)
    for row in range(len(words)):
        for k in range(per):
            words[row] += codes[row * per + (order[k] if order else k)].astype(np.uint64) << np.uint64(bits * k)
    return np.ascontiguousarray(np.moveaxis(words.astype(np.uint32).view(np.int32), 0, axis))


@pytest.mark.parametrize("bits", [2, 4, 8])
@pytest.mark.parametrize("second", [False, True])
def test_gptq_from_its_definition_in_both_formats(tmp_path, bits, second):
    rng = np.random.default_rng(bits)
    codes, zeros = rng.integers(0, 2**bits, (64, 32)), rng.integers(0, 2**bits, (4, 32))
    scales, group = rng.uniform(0.5, 1, (4, 32)).astype(np.float32), rng.permutation(64) // 16
    stored = zeros if second else (zeros - 1) % 2**bits
    state = {"qweight": packed(codes, bits, 0), "qzeros": packed(stored, bits, 1), "scales": scales}
    state["g_idx"] = group.astype(np.int32)
    save_file({f"{LAYER}.{k}": v for k, v in state.items()}, tmp_path / "model.safetensors")
    config = '{"bits": 4, "checkpoint_format": "gptq_v2"}' if second else "no json"
    (tmp_path / "quantize_config.json").write_text(config)
    expected = (codes - zeros[group]) * scales[group]
    np.testing.assert_allclose(only(tmp_path).matrix, expected.T, rtol=1e-6)


def test_awq_from_its_definition():
    rng = np.random.default_rng(0)
    codes, zeros = rng.integers(0, 16, (32, 16)), rng.integers(0, 16, (2, 16))
    scales, order = rng.uniform(0.5, 1, (2, 16)).astype(np.float16), (0, 2, 4, 6, 1, 3, 5, 7)
    state = {"qweight": packed(codes, 4, 1, order), "qzeros": packed(zeros, 4, 1, order), "scales": scales}
    expected = (codes - zeros.repeat(16, 0)) * scales.repeat(16, 0).astype(np.float32)
    np.testing.assert_allclose(only({f"{LAYER}.{k}": v for k, v in state.items()}).matrix, expected.T, rtol=1e-6)


@pytest.mark.parametrize("bits", [3, 5])
def test_gptq_of_other_widths_is_refused_with_a_reason(bits):
    state = {"qweight": np.zeros((2 * bits, 32), np.int32), "qzeros": np.zeros((1, bits), np.int32)}
    state |= {"scales": np.ones((1, 32), np.float16), "g_idx": np.zeros(64, np.int32)}
    assert "neither GPTQ's of 2, 4 or 8 bits" in reason({f"{LAYER}.{k}": v for k, v in state.items()})


def test_a_group_that_is_not_there_is_named(published):
    state = state_of(published["gptq4_order"])
    state[f"{LAYER}.g_idx"] = state[f"{LAYER}.g_idx"] + 1
    assert "its g_idx names the group 4; there are 4" in reason(state)


# --- MXFP4 ------------------------------------------------------------------------------------------------------------


def test_mxfp4_as_transformers_converts_it(tmp_path):
    mxfp4 = pytest.importorskip("transformers.integrations.mxfp4", reason="needs transformers")
    rng = torch.Generator().manual_seed(0)
    blocks = torch.randint(0, 256, (3, 10, 2, 16), generator=rng, dtype=torch.uint8)
    scales = torch.randint(100, 140, (3, 10, 2), generator=rng, dtype=torch.uint8)
    expected = mxfp4.convert_moe_packed_tensors(blocks, scales, dtype=torch.float32).numpy()
    name = "model.layers.0.mlp.experts.gate_up_proj"
    for source in everywhere({f"{name}_blocks": blocks, f"{name}_scales": scales}, tmp_path):
        found = list(iter_weights(source))
        assert [w.longname for w in found] == [f"{name}.{i}" for i in range(3)]
        for w, E in zip(found, expected, strict=True):
            np.testing.assert_array_equal(w.matrix, E)
    lacking = {f"{name}_blocks": blocks, "good.weight": W}
    assert "its scales (" in analyze(lacking, min_evals=2).set_index("longname")["status"][name]


# --- closed, and hostile ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("part", "says", "beside"),
    [
        ("q_weight", "EXL2", "q_groups"),
        ("trellis", "EXL3", "suh"),
        ("weight_packed", "compressed-tensors", "weight_scale"),
        ("W_q", "HQQ", "zero"),
        ("codes", "AQLM", "codebooks"),
        ("Qidxs", "QuIP#", "SV"),
        ("B", "Marlin", "s"),
    ],
)
def test_a_closed_format_says_what_to_do(part, says, beside):
    codes = {f"{LAYER}.{part}": np.ones((4, 8), np.int32)}
    why = reason(codes | {f"{LAYER}.{beside}": W})  # which is then no weight
    assert says in why
    assert "pass the model or its state dict" in why
    for alone in (codes, {part: np.ones((4, 8), np.int32)}):
        rows = analyze(alone | {"good.weight": W}, min_evals=2)
        assert not rows["status"].str.contains(says, regex=False).any()
        assert len(rows) == 1 + (part == "q_weight")  # a name that ends in weight: integers without a scale


STATES = {
    "no JSON": b"{",
    "a list": b"[1]",
    "no shape": b'{"blocksize": 64}',
    "a huge shape": b'{"blocksize": 64, "shape": [1000000, 1000000]}',
    "a negative shape": b'{"blocksize": 64, "shape": [-9, -64]}',
    "a blocksize of 0": b'{"blocksize": 0, "shape": [9, 64]}',
    "a shape of floats": b'{"blocksize": 64, "shape": [9.0, 64]}',
    "a nested size of text": b'{"blocksize": 64, "shape": [9, 64], "nested_blocksize": "x"}',
    "an offset that is no float": b'{"blocksize": 64, "shape": [9, 64], "nested_offset": 1' + b"0" * 400 + b"}",
    "deep": b"[" * 9000,
    "too long": b" " * 20_000,
}


@pytest.mark.parametrize("lie", STATES)
def test_a_state_that_lies_costs_its_own_row(published, lie):
    state = state_of(published["nf4"])
    state[f"{LAYER}.weight.quant_state.bitsandbytes__nf4"] = np.frombuffer(STATES[lie], np.uint8)
    assert reason(state)


def test_codes_that_are_one_number_cost_their_own_row():
    why = reason({f"{LAYER}.weight": np.array(3, np.int8), f"{LAYER}.SCB": np.ones(3, np.float32)})
    assert "SCB has shape (3,); to () of" in why


def test_a_code_of_equal_values_has_no_rounding(published):
    state = state_of(published["nf4"])
    state[f"{LAYER}.weight.quant_map"] = np.ones(16, np.float32)
    (found,) = find_weights(state)
    assert found.rounding(found.read()) == 0
    assert len(analyze(state, min_evals=2)) == 1  # one row, not an IndexError


@pytest.mark.parametrize("dtype", [torch.int8, torch.float8_e4m3fn])
def test_a_value_repeated_without_end_is_not_widened(tmp_path, dtype):
    weight = torch.ones(1).to(dtype).expand(10**4, 10**4)
    torch.save({"a.weight": weight, "a.weight_scale": torch.ones(()), "b.weight": torch.ones(3, 4)}, tmp_path / "m.pt")
    with pytest.warns(UserWarning, match=r"a is left out: it cannot be read: its header claims the shape \(10000"):
        (found,) = iter_weights(tmp_path / "m.pt")
    assert found.longname == "b"


def test_a_float_matrix_of_such_a_name_is_a_weight():
    state = {f"block.{name}": W.copy() for name in ("W_q", "B", "codes", "q_weight")}
    assert [w.longname for w in iter_weights(state)] == list(state)


def test_a_block_longer_than_the_weight_takes_no_memory(published):
    state = state_of(published["nf4"])
    state[f"{LAYER}.weight.absmax"] = np.array([2.0], np.float32)
    told = b'{"blocksize": 1000000000000, "nested_blocksize": 1000000000000, "shape": [9, 64]}'
    state[f"{LAYER}.weight.quant_state.bitsandbytes__nf4"] = np.frombuffer(told, np.uint8)
    assert np.abs(only(state).matrix).max() == 2


def test_codes_in_another_type_say_what_to_do(published):
    state = state_of(published["nf4"])
    state[f"{LAYER}.weight"] = state[f"{LAYER}.weight"].reshape(-1, 2).view(np.float16)
    assert "stored as float16; save it with bnb_4bit_quant_storage" in reason(state)


def product(rank, shape):
    rng = np.random.default_rng(rank)
    return (rng.normal(size=(shape[0], rank)) @ rng.normal(size=(rank, shape[1]))).astype(np.float32)


def stored(kind, W):
    """A matrix as each format rounds it; every row or group of 64 inputs has a scale of its own."""
    top = np.abs(W).max(axis=1, keepdims=True)
    if kind == "int8":
        return {"weight": np.rint(127 * W / top).astype(np.int8), "SCB": top[:, 0]}
    if kind.startswith("float8"):
        scale = top / 400 if kind.endswith("scaled") else np.ones_like(top)
        weight = torch.tensor(W / scale).to(torch.float8_e4m3fn)
        return {"weight": weight} | ({"weight_scale": torch.tensor(scale)} if kind.endswith("scaled") else {})
    blocks = W.reshape(-1, 64)
    top = np.abs(blocks).max(axis=1, keepdims=True)
    if kind == "nf4":
        table = np.sort(np.random.default_rng(0).uniform(-1, 1, 14))
        table = np.concatenate([[-1], table, [1]]).astype(np.float32)
        codes = np.abs((blocks / top)[..., None] - table).argmin(axis=-1).astype(np.uint8).reshape(-1, 2)
        state = f'{{"blocksize": 64, "shape": [{len(W)}, {W.shape[1]}]}}'.encode()
        parts = {"weight": codes[:, :1] << 4 | codes[:, 1:], "weight.absmax": top[:, 0], "weight.quant_map": table}
        return parts | {"weight.quant_state.bitsandbytes__nf4": np.frombuffer(state, np.uint8)}
    scales = (top / 7.5).reshape(len(W), -1).T
    codes = np.clip(np.rint(blocks / (top / 7.5)) + 8, 0, 15).astype(np.int64).reshape(W.shape)
    zeros = packed(np.full(scales.shape, 7), 4, 1)
    return {"qweight": packed(codes.T, 4, 0), "qzeros": zeros, "scales": scales.astype(np.float32)}


@pytest.mark.parametrize("kind", ["int8", "float8", "float8_scaled", "nf4", "gptq"])
def test_the_rank_before_the_rounding_is_told(tmp_path, kind):
    """Of a product of rank 6, the rounding errors of all other directions lie below the edge."""
    state = {f"{LAYER}.{part}": value for part, value in stored(kind, product(6, (256, 128))).items()}
    for cache in (None, tmp_path, tmp_path):
        row = analyze(state, cache=cache).iloc[0]
        assert (row["stored_rank"], row["matrix_rank"]) == (6, 128)
    plain = analyze({f"{LAYER}.weight": find_weights(state)[0].read()}, cache=tmp_path).iloc[0]
    assert plain["stored_rank"] > 6


def test_the_cache_tells_the_rounding_of_a_change_from_that_of_the_same_values_in_float32(tmp_path):
    """A product of rank 6 in 8 bits, against a base of zeros: the change is all of it."""
    state = {f"{LAYER}.{part}": value for part, value in stored("int8", product(6, (256, 128))).items()}
    plain = {f"{LAYER}.weight": find_weights(state)[0].read()}
    base = {f"{LAYER}.weight": np.zeros((256, 128), np.float32)}
    ranks = [analyze(x, base=base, cache=tmp_path)["stored_rank"][0] for x in (state, plain, state)]
    assert ranks[0] == ranks[2] == 6
    assert ranks[1] > 6


def test_another_process_can_read_it(tmp_path, published):
    save_file(state_of(published["nf4"]), tmp_path / "m.safetensors")
    (found,) = find_weights(tmp_path / "m.safetensors")
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(found)).read(), found.read())
