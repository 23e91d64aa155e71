"""LoRA folders: the spectrum of s B A from its factors, and of W + s B A."""

import json

import numpy as np
import pytest

from rmt_lab import analyze, describe
from rmt_lab.spectrum import spectrum_of_product
from rmt_lab.weights.adapters import FoundProduct, find_products, is_adapter

PEFT = "base_model.model."


def adapter(folder, config=None, r=4, save="safetensors", extra=None, seed=0, dtype=np.float32):
    """An adapter of two layers and an embedding in a folder as peft writes it, and its factors by layer."""
    rng = np.random.default_rng(seed)
    folder.mkdir(exist_ok=True)
    factors = {}
    for path, (n, m) in {"layers.0.q_proj": (40, 40), "layers.0.up_proj": (60, 40)}.items():
        factors[path] = (rng.normal(size=(n, r)).astype(dtype), rng.normal(size=(r, m)).astype(dtype))
    state = {}
    for path, (B, A) in factors.items():
        state[f"{PEFT}{path}.lora_A.weight"], state[f"{PEFT}{path}.lora_B.weight"] = A, B
    state |= extra or {}
    (folder / "adapter_config.json").write_text(
        json.dumps({"peft_type": "LORA", "r": r, "lora_alpha": 16, "use_dora": False} | (config or {}))
    )
    if save == "safetensors":
        pytest.importorskip("safetensors.numpy").save_file(state, folder / "adapter_model.safetensors")
    else:
        torch = pytest.importorskip("torch")
        torch.save({name: torch.from_numpy(W) for name, W in state.items()}, folder / "adapter_model.bin")
    return factors


def dense(B, A, scale):
    return np.linalg.svd(scale * B.astype(float) @ A.astype(float), compute_uv=False)[::-1]


@pytest.mark.parametrize(("n", "m", "r"), [(300, 200, 8), (200, 300, 8), (50, 50, 1), (20, 30, 25), (40, 6, 10)])
def test_the_spectrum_of_a_product_is_that_of_a_dense_svd(n, m, r):
    rng = np.random.default_rng(n)
    B, A = rng.normal(size=(n, r)), rng.normal(size=(r, m))
    s = spectrum_of_product(B, A, -0.25, "x")
    assert (s.N, s.M, s.rank, s.name) == (max(n, m), min(n, m), min(n, m, r), "x")
    np.testing.assert_allclose(s.singular_values, dense(B, A, 0.25), rtol=0, atol=1e-10)


@pytest.mark.parametrize(
    ("B", "A", "message"),
    [
        (np.ones((3, 2)), np.ones((3, 2)), r"B has shape \(3, 2\), A has shape \(3, 2\)"),
        (np.ones((3, 0)), np.ones((0, 2)), "none of them 0"),
        (np.full((3, 1), np.nan), np.ones((1, 2)), "B holds NaN"),
        (np.ones(3), np.ones((1, 2)), "n x r and r x m"),
    ],
)
def test_what_is_no_product_is_refused(B, A, message):
    with pytest.raises(ValueError, match=message):
        spectrum_of_product(B, A)


@pytest.mark.parametrize("save", ["safetensors", "bin"])
@pytest.mark.parametrize(("config", "scale"), [({}, 4.0), ({"use_rslora": True}, 8.0)])
def test_an_adapter_is_one_layer_a_pair(tmp_path, monkeypatch, save, config, scale):
    factors = adapter(tmp_path / "lora", config, save=save)
    monkeypatch.setattr(FoundProduct, "combine", None)  # B A is never formed
    table = analyze(tmp_path / "lora", min_evals=2)
    assert list(table["longname"]) == list(factors)
    assert list(table["name"]) == ["block 0 query", "block 0 feed-forward in"]
    assert list(table["status"]) == ["success"] * 2
    for row in table.itertuples():
        s = dense(*factors[row.longname], scale)
        assert (row.N, row.M, row.num_evals, row.matrix_rank) == (
            *sorted((len(factors[row.longname][0]), 40))[::-1],
            40,
            4,
        )
        assert row.sv_max == pytest.approx(s[-1], rel=1e-10)
        assert row.norm == pytest.approx(np.square(s).sum(), rel=1e-10)


def test_ranks_and_scales_of_single_layers(tmp_path):
    B, A = np.ones((40, 2), np.float32), np.ones((2, 40), np.float32)
    extra = {f"{PEFT}layers.1.up_proj.lora_A.weight": A, f"{PEFT}layers.1.up_proj.lora_B.weight": B}
    config = {"rank_pattern": {"layers.1.up_proj": 2}, "alpha_pattern": {"up_proj": 1, "^layers.*": 99}}
    adapter(tmp_path / "lora", config, extra=extra)
    scales = {p.longname: p.scale for p in find_products(tmp_path / "lora")}
    assert scales == {"layers.0.q_proj": 99 / 4, "layers.0.up_proj": 1 / 4, "layers.1.up_proj": 1 / 2}


@pytest.mark.parametrize("fan_in_fan_out", [False, True])
def test_with_a_base_the_merged_layers_are_analysed(tmp_path, fan_in_fan_out):
    rng = np.random.default_rng(1)
    E = {"lora_embedding_A": rng.normal(size=(4, 90)), "lora_embedding_B": rng.normal(size=(30, 4))}
    extra = {f"{PEFT}embed_tokens.{side}": X.astype(np.float32) for side, X in E.items()}
    factors = adapter(tmp_path / "lora", {"fan_in_fan_out": fan_in_fan_out}, extra=extra)
    changes = {path: 4.0 * B.astype(float) @ A for path, (B, A) in factors.items()}
    if fan_in_fan_out:  # as GPT-2 keeps its layers
        changes = {path: D.T for path, D in changes.items()}
    changes["embed_tokens"] = (
        4.0 * (E["lora_embedding_B"].astype(np.float32) @ E["lora_embedding_A"].astype(np.float32)).T
    )
    base = {f"model.{path}.weight": rng.normal(size=D.shape) for path, D in changes.items()}
    table = analyze(tmp_path / "lora", base=base | {"model.norm_proj.weight": np.ones((9, 9))})
    assert sorted(table["longname"]) == sorted(changes)
    assert list(table["status"]) == ["success"] * 3
    for row in table.itertuples():
        s = np.linalg.svd(base[f"model.{row.longname}.weight"] + changes[row.longname], compute_uv=False)
        assert row.sv_max == pytest.approx(s[0], rel=1e-6 if row.longname == "embed_tokens" else 1e-10)


def test_a_base_of_another_shape_or_without_the_layer_is_named(tmp_path):
    adapter(tmp_path / "lora")
    table = analyze(tmp_path / "lora", base={"layers.0.q_proj.weight": np.ones((40, 41))})
    assert list(table["status"]) == [
        "failed: its change has shape 40 x 40, and the layer 40 x 41 in the base",
        "failed: the base has no such layer",
    ]


def test_nulls_workers_and_the_cache(tmp_path):
    adapter(tmp_path / "lora")
    plain = analyze(tmp_path / "lora", min_evals=2, randomize=True)
    for _ in range(2):
        kept = analyze(tmp_path / "lora", min_evals=2, randomize=True, n_jobs=2, cache=tmp_path / "kept")
        assert kept.equals(plain)
    adapter(tmp_path / "lora", {"lora_alpha": 32})
    other = analyze(tmp_path / "lora", min_evals=2, cache=tmp_path / "kept")
    assert list(other["sv_max"]) == pytest.approx(list(2 * plain["sv_max"]))


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"use_dora": True}, "is a DoRA adapter"),
        ({"peft_type": "LOHA"}, "has peft_type='LOHA'; LORA is allowed"),
        ({"r": 0}, "has r=0, lora_alpha=16; positive numbers"),
        ({"lora_alpha": float("nan")}, "lora_alpha=nan"),
        ({"r": None}, "r=None"),
        ({"rank_pattern": {"(": 2}}, r"the pattern '\(', which is none"),
        ({"rank_pattern": 3}, "no configuration"),
    ],
)
def test_other_adapters_are_refused_with_a_reason(tmp_path, config, message):
    adapter(tmp_path / "lora", config)
    assert is_adapter(tmp_path / "lora")
    with pytest.raises(ValueError, match=message):
        analyze(tmp_path / "lora")


def test_magnitudes_are_those_of_dora_whatever_the_configuration_says(tmp_path):
    adapter(tmp_path / "lora", extra={f"{PEFT}layers.0.q_proj.lora_magnitude_vector": np.ones(40, np.float32)})
    with pytest.raises(ValueError, match="is a DoRA adapter"):
        analyze(tmp_path / "lora")


def test_broken_pairs_are_failed_rows_and_stop_no_other(tmp_path):
    ones = {shape: np.ones(shape, np.float32) for shape in ((4, 40), (40, 3), (8, 4, 3, 3), (9, 8, 1, 1))}
    extra = {
        f"{PEFT}layers.1.q_proj.lora_A.weight": ones[4, 40],
        f"{PEFT}layers.2.q_proj.lora_A.weight": ones[4, 40],
        f"{PEFT}layers.2.q_proj.lora_B.weight": ones[40, 3],
        f"{PEFT}layers.3.conv.lora_A.weight": ones[8, 4, 3, 3],
        f"{PEFT}layers.3.conv.lora_B.weight": ones[9, 8, 1, 1],
        f"{PEFT}classifier.weight": ones[4, 40],
    }
    adapter(tmp_path / "lora", extra=extra)
    with pytest.warns(UserWarning, match=r"classifier.weight: stored whole, not as a pair of factors, and left out"):
        table = analyze(tmp_path / "lora", min_evals=2)
    assert list(table["status"]) == [
        "success",
        "success",
        "failed: its adapter lacks lora_B",
        "failed: lora_B is 40 x 3, lora_A is 4 x 40, and r is 4",
        "failed: its adapter is that of a convolution, whose change is not one product of matrices",
    ]


def test_a_folder_without_factors_says_so(tmp_path):
    (tmp_path / "adapter_config.json").write_text('{"r": 4, "lora_alpha": 4}')
    with pytest.raises(FileNotFoundError, match=r"looked for adapter_model.safetensors, adapter_model.bin"):
        analyze(tmp_path)
    (tmp_path / "adapter_config.json").write_text("[]")
    with pytest.raises(ValueError, match="no configuration of a LoRA adapter"):
        analyze(tmp_path)


def test_an_adapter_is_described_without_its_values(tmp_path, monkeypatch):
    adapter(tmp_path / "lora", extra={f"{PEFT}layers.1.q_proj.lora_A.weight": np.ones((4, 40), np.float32)})
    monkeypatch.setattr(FoundProduct, "parts", None)
    table = describe(tmp_path / "lora")
    assert list(table["shape"]) == [(40, 40), (60, 40), (0, 40)]
    assert list(table["bytes"][:2]) == [4 * 4 * (40 + 40), 4 * 4 * (60 + 40)]
    assert list(table["skipped"]) == ["", "", "its adapter lacks lora_B"]
    assert table.attrs["layers"] == 2
