"""A tensor of three dimensions is a kernel, a stack of experts, a matrix sorted by head, or has a reason."""

import numpy as np
import pytest

from rmt_lab import analyze
from rmt_lab.weights import iter_weights
from rmt_lab.weights.read import find_weights

W3 = np.random.default_rng(0).normal(size=(8, 24, 16))


def kinds(source):
    return {found.longname: (found.layer_type, found.shape) for found in find_weights(source)}


@pytest.mark.parametrize(
    ("name", "role"),
    [
        ("model.layers.0.block_sparse_moe.input_linear.weight", "feed-forward in"),  # GraniteMoE
        ("model.layers.0.block_sparse_moe.output_linear.weight", "feed-forward out"),
        ("model.layers.0.mlp.input_linear.weight", "feed-forward in"),  # JetMoE
        ("model.layers.0.self_attention.experts.input_linear.weight", "other"),
        ("model.layers.0.feed_forward.experts.gate_up_proj", "feed-forward in"),  # Llama 4, Qwen3-MoE, GPT-OSS
        ("model.layers.0.mlp.shared_experts.down_proj", "feed-forward out"),
        ("blk.0.ffn_up_exps.weight", "feed-forward in"),
        ("layers.0.mlp.conv_experts.weight", "other"),
    ],
)
def test_stacked_experts_are_one_matrix_each_whatever_their_name(name, role):
    found = list(iter_weights({name: W3}))
    stem = name.removesuffix(".weight")
    assert [(w.longname, w.layer_type, w.role, w.block) for w in found] == [
        (f"{stem}.{i}", "dense", role, 0) for i in range(8)
    ]
    np.testing.assert_array_equal([w.matrix for w in found], W3)


@pytest.mark.parametrize(
    "name",
    [
        "encoder.conv1",  # Whisper
        "feature_extractor.conv_layers.0.conv",  # wav2vec2
        "encoder.conv.conv_layers.0",
        "backbone.layers.0.mixer.conv1d",  # Mamba
        "layers.0.attention.self.key_conv_attn_layer.depthwise",  # ConvBERT
        "vocoder.upsampler.0",
        "model.layers.0.self_attn.k_sconv.conv1d",
    ],
)
def test_a_name_says_what_is_a_convolution(name):
    assert kinds({f"{name}.weight": W3}) == {name: ("conv1d", W3.shape)}


@pytest.mark.parametrize(
    "name", ["encoder.blocks.0.0.attention.r_kernel", "layer.0.rel_attn.seg_embed"]
)  # Funnel, XLNet
def test_columns_that_are_sorted_by_head_are_one_matrix(name):
    [w] = iter_weights({name: W3})
    np.testing.assert_array_equal(w.matrix, W3.reshape(8, 24 * 16))


def test_a_window_of_one_is_the_matrix_itself():
    assert kinds({"layers.0.attention.query.weight": W3[:, :, :1]}) == {
        "layers.0.attention.query": ("conv1d", (8, 24, 1))
    }


@pytest.mark.parametrize(
    "name",
    [
        "codebooks_head.weight",
        "matrix",
        "0.weight",
        "rg_lru.input_gate_weight",
        "mlp.converter.weight",
    ],
)
def test_what_no_name_tells_has_a_row_with_the_reason(name):
    source = {"fc.weight": W3[0], name: W3}
    table = analyze(source)
    assert table["status"].iloc[0] == "success"
    assert "8 x 24 x 16 is neither a known convolution nor a known stack of experts" in table["status"].iloc[1]
    assert np.isnan(table["alpha"].iloc[1])
    with pytest.warns(UserWarning, match="is left out: a tensor of shape 8 x 24 x 16 is neither"):
        assert [w.longname for w in iter_weights(source)] == ["fc"]


def test_stacks_of_four_dimensions_that_are_called_experts_are_no_convolution():
    """(layers, experts, outputs, inputs) was a kernel of 1536 matrices of 4 x 3."""
    table = analyze(
        {
            "layers.experts.weight": np.random.default_rng(0).normal(size=(16, 20, 4, 5)),
            "conv": np.random.default_rng(1).normal(size=(16, 20, 3, 3)),
        }
    )
    assert table["layer_type"].tolist() == ["unknown", "conv2d"]
    assert "16 x 20 x 4 x 5 is neither" in table["status"][0]


def test_vectors_of_three_dimensions_are_no_weights():
    vectors = {"cls_token": W3[:1, :1], "layer_scale": W3[:, :1, :1], "grn.weight": W3[None, :1, :1]}
    assert list(kinds({"fc.weight": W3[0], **vectors})) == ["fc"]


@pytest.mark.parametrize("shape", [(5000, 2, 2), (10**6, 1, 2), (8, 1, 16), (8, 16, 1)])
def test_a_stack_that_is_none_of_experts_is_one_row_with_the_reason(shape):
    """8 MB of values became a million objects and some 600 MB."""
    name = "layers.0.mlp.experts.up_proj"
    source = {"fc.weight": W3[0], name: np.ones(shape, dtype=np.float32)}
    assert kinds(source) == {"fc": ("dense", (24, 16)), name: ("unknown", shape)}
    stack = find_weights(source)[1]
    with pytest.raises(ValueError, match=f"a stack of {shape[0]} matrices of {shape[1]} x {shape[2]} is not cut"):
        stack.read()


def test_optimizers_moments_are_no_weights():
    moments = {f"fc.weight.{name}": W3[0] for name in ("exp_avg", "exp_avg_sq", "max_exp_avg_sq", "momentum_buffer")}
    assert list(kinds({"fc.weight": W3[0], **moments})) == ["fc"]


# --- against the models themselves ----------------------------------------------------------------------------------


def build(family, **options):
    """A small model of transformers with random weights."""
    torch = pytest.importorskip("torch", reason="needs torch")
    transformers = pytest.importorskip("transformers", reason="needs transformers")
    if not hasattr(transformers, f"{family}Model"):
        pytest.skip(f"transformers {transformers.__version__} has no {family}")
    torch.manual_seed(0)
    model = getattr(transformers, f"{family}Model")(getattr(transformers, f"{family}Config")(**options))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(std=0.1)
    return model.eval()


TEXT = {
    "hidden_size": 32,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "num_key_value_heads": 2,
    "intermediate_size": 24,
    "vocab_size": 40,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
SMALL = {
    "Whisper": {
        **{f"{side}_{what}": n for side in ("encoder", "decoder") for what, n in (("layers", 1), ("ffn_dim", 24))},
        "encoder_attention_heads": 2,
        "decoder_attention_heads": 2,
        "d_model": 32,
        "num_mel_bins": 8,
        "vocab_size": 40,
        "pad_token_id": 0,
        "bos_token_id": 1,
        "eos_token_id": 2,
        "decoder_start_token_id": 1,
    },
    "Wav2Vec2": {
        "hidden_size": 32,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "intermediate_size": 24,
        "conv_dim": [16, 16],
        "conv_kernel": [5, 3],
        "conv_stride": [2, 2],
        "num_conv_pos_embedding_groups": 2,
    },
    "ConvNextV2": {"depths": [1, 1], "hidden_sizes": [8, 16], "num_stages": 2},
    "ResNet": {"depths": [1, 1], "hidden_sizes": [8, 16], "embedding_size": 8, "layer_type": "basic"},
    "ViT": {
        "hidden_size": 32,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "intermediate_size": 24,
        "image_size": 16,
        "patch_size": 8,
    },
    "Mamba": {"hidden_size": 32, "num_hidden_layers": 1, "vocab_size": 40, "state_size": 4},
    "GraniteMoe": {**TEXT, "num_local_experts": 3},
    "JetMoe": {**TEXT, "num_local_experts": 3, "kv_channels": 16, "num_experts_per_tok": 2},
    "Qwen3Moe": {**TEXT, "num_experts": 3, "moe_intermediate_size": 8, "num_experts_per_tok": 2, "head_dim": 16},
    "GptOss": {**TEXT, "num_local_experts": 3, "num_experts_per_tok": 2, "head_dim": 16},
    "XLNet": {"d_model": 32, "n_layer": 1, "n_head": 2, "d_inner": 24, "vocab_size": 40},
}


@pytest.mark.parametrize("family", SMALL)
def test_a_module_its_state_dict_and_its_file_give_the_same(family, tmp_path):
    torch = pytest.importorskip("torch", reason="needs torch")
    model = build(family, **SMALL[family])
    torch.save(model.state_dict(), tmp_path / "model.pt")
    known = kinds(model)
    assert kinds(model.state_dict()) == known
    assert kinds(tmp_path / "model.pt") == known

    convolutions = {
        name: (f"conv{module.weight.ndim - 2}d", tuple(module.weight.shape))
        for name, module in model.named_modules()
        if isinstance(module, torch.nn.modules.conv._ConvNd)  # that of Wav2Vec2's positions is normalised
    }
    assert {name: kind for name, kind in known.items() if kind[0].startswith("conv")} == convolutions
    unknown = [name for name, kind in known.items() if kind[0] == "unknown"]
    assert unknown == []
    stacked = {name: p for name, p in model.named_parameters() if p.ndim == 3 and len(p) == 3}
    assert bool(stacked) == (family in ("GraniteMoe", "JetMoe", "Qwen3Moe", "GptOss"))
    matrices = {w.longname: w.matrix for w in iter_weights(model)} if stacked else {}
    for name, p in stacked.items():
        for i in range(3):
            np.testing.assert_array_equal(matrices[f"{name.removesuffix('.weight')}.{i}"], p[i].detach().numpy())


def test_the_matrices_of_xlnet_are_those_that_its_attention_computes_with():
    torch = pytest.importorskip("torch", reason="needs torch")
    model = build("XLNet", **SMALL["XLNet"])
    attention, n, heads, d_head = model.layer[0].rel_attn, 5, 2, 16
    found = {f.longname[-1]: f for f in find_weights(model) if ".rel_attn." in f.longname and f.layer_type == "dense"}
    assert {f.name for f in found.values()} == {
        *(f"block 0 {role}" for role in ("query", "key", "value", "attention output")),
        "block 0 position projection",
    }
    q, k, v, o, r = (torch.from_numpy(found[name].read()) for name in "qkvor")
    assert q.shape == (32, 32)
    h, pos = torch.randn(n, 1, 32), torch.randn(2 * n, 1, 32)

    def by_head(x):
        return x.reshape(len(x), heads, d_head)

    with torch.no_grad():
        query, key, value = (by_head(h[:, 0] @ W) for W in (q, k, v))
        place = by_head(pos[:, 0] @ r)
        content = torch.einsum("ind,jnd->nij", query + attention.r_w_bias, key)
        position = torch.einsum("ind,jnd->nij", query + attention.r_r_bias, place)
        shifted = torch.stack([position[:, i, n - i : 2 * n - i] for i in range(n)], dim=1)
        weights = torch.softmax((content + shifted) * d_head**-0.5, dim=2)
        mixed = torch.einsum("nij,jnd->ind", weights, value).reshape(n, heads * d_head)
        by_hand = attention.layer_norm(h[:, 0] + mixed @ o.T)
        theirs = attention(h, None, None, None, pos, None)[0][:, 0]
    torch.testing.assert_close(by_hand, theirs)
