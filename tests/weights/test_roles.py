"""Names -> block and role: every family's own spelling, and the order of the model from any other order."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rmt_lab.weights import roles
from rmt_lab.weights.names import short_name
from rmt_lab.weights.roles import ROLES, block_and_role, model_order, role_of

BLOCK = ["query", "key", "value", "attention output", "feed-forward in", "feed-forward out"]
GATED = ["query", "key", "value", "attention output", "feed-forward gate", "feed-forward in", "feed-forward out"]
FUSED = ["qkv", "attention output", "feed-forward in", "feed-forward out"]

# family: names in the model's order (* is the block index), and the roles they have
FAMILIES = {
    "BERT": (
        "bert.embeddings.word_embeddings bert.embeddings.position_embeddings bert.embeddings.token_type_embeddings",
        ["embedding", "position embedding", "token-type embedding"],
        "bert.encoder.layer.*.attention.self.query bert.encoder.layer.*.attention.self.key "
        "bert.encoder.layer.*.attention.self.value bert.encoder.layer.*.attention.output.dense "
        "bert.encoder.layer.*.intermediate.dense bert.encoder.layer.*.output.dense",
        BLOCK,
        "bert.pooler.dense cls.predictions.transform.dense cls.seq_relationship",
        ["pooler", "head", "head"],
    ),
    "DistilBERT": (
        "embeddings.word_embeddings embeddings.position_embeddings",
        ["embedding", "position embedding"],
        "transformer.layer.*.attention.q_lin transformer.layer.*.attention.k_lin transformer.layer.*.attention.v_lin "
        "transformer.layer.*.attention.out_lin transformer.layer.*.ffn.lin1 transformer.layer.*.ffn.lin2",
        BLOCK,
        "vocab_transform",
        ["head"],
    ),
    "OpenAI-GPT": (
        "tokens_embed positions_embed",
        ["embedding", "position embedding"],
        "h.*.attn.c_attn h.*.attn.c_proj h.*.mlp.c_fc h.*.mlp.c_proj",
        FUSED,
        "lm_head",
        ["head"],
    ),
    "GPT-2, split": (
        "transformer.wte transformer.wpe",
        ["embedding", "position embedding"],
        "transformer.h.*.attn.c_attn.query transformer.h.*.attn.c_attn.key transformer.h.*.attn.c_attn.value "
        "transformer.h.*.attn.c_proj transformer.h.*.mlp.c_fc transformer.h.*.mlp.c_proj",
        BLOCK,
        "lm_head",
        ["head"],
    ),
    "Llama": (
        "model.embed_tokens",
        ["embedding"],
        "model.layers.*.self_attn.q_proj model.layers.*.self_attn.k_proj model.layers.*.self_attn.v_proj "
        "model.layers.*.self_attn.o_proj model.layers.*.mlp.gate_proj model.layers.*.mlp.up_proj "
        "model.layers.*.mlp.down_proj",
        GATED,
        "lm_head",
        ["head"],
    ),
    "GGUF": (
        "token_embd",
        ["embedding"],
        "blk.*.attn_q blk.*.attn_k blk.*.attn_v blk.*.attn_output blk.*.ffn_gate blk.*.ffn_up blk.*.ffn_down",
        GATED,
        "output",
        ["head"],
    ),
    "GPT-NeoX": (
        "gpt_neox.embed_in",
        ["embedding"],
        "gpt_neox.layers.*.attention.query_key_value gpt_neox.layers.*.attention.dense "
        "gpt_neox.layers.*.mlp.dense_h_to_4h gpt_neox.layers.*.mlp.dense_4h_to_h",
        FUSED,
        "embed_out",
        ["head"],
    ),
    "torch.nn.TransformerEncoder": (
        "",
        [],
        "layers.*.self_attn.in_proj_weight layers.*.self_attn.out_proj layers.*.linear1 layers.*.linear2",
        FUSED,
        "",
        [],
    ),
    "DeepSeek V3": (
        "model.embed_tokens",
        ["embedding"],
        "model.layers.*.self_attn.q_a_proj model.layers.*.self_attn.q_b_proj "
        "model.layers.*.self_attn.kv_a_proj_with_mqa model.layers.*.self_attn.kv_b_proj "
        "model.layers.*.self_attn.o_proj model.layers.*.mlp.gate "
        "model.layers.*.mlp.experts.gate_proj model.layers.*.mlp.experts.up_proj model.layers.*.mlp.experts.down_proj",
        ["query down", "query up", "key-value down", "key-value up", "attention output", "router", *GATED[-3:]],
        "lm_head",
        ["head"],
    ),
    "Mamba": (
        "backbone.embeddings",
        ["embedding"],
        "backbone.layers.*.mixer.conv1d backbone.layers.*.mixer.in_proj backbone.layers.*.mixer.x_proj "
        "backbone.layers.*.mixer.dt_proj backbone.layers.*.mixer.out_proj",
        ["convolution", *(f"state-space {word}" for word in ("in", "selection", "step", "out"))],
        "lm_head",
        ["head"],
    ),
    "RWKV": (
        "rwkv.embeddings",
        ["embedding"],
        "rwkv.blocks.*.attention.key rwkv.blocks.*.attention.value rwkv.blocks.*.attention.receptance "
        "rwkv.blocks.*.attention.output rwkv.blocks.*.feed_forward.receptance rwkv.blocks.*.feed_forward.key "
        "rwkv.blocks.*.feed_forward.value",
        ["key", "value", "attention gate", "attention output", *GATED[-3:]],
        "head",
        ["head"],
    ),
    "T5": (
        "shared",
        ["embedding"],
        "encoder.block.*.layer.0.SelfAttention.q encoder.block.*.layer.0.SelfAttention.k "
        "encoder.block.*.layer.0.SelfAttention.v encoder.block.*.layer.0.SelfAttention.o "
        "encoder.block.*.layer.1.DenseReluDense.wi encoder.block.*.layer.1.DenseReluDense.wo",
        BLOCK,
        "",
        [],
    ),
}


def layers_of(family, blocks=12):
    """(longname, block, role) of a model of 12 blocks."""
    before, roles_before, inside, roles_inside, after, roles_after = FAMILIES[family]
    layers = [(name, None, role) for name, role in zip(before.split(), roles_before, strict=True)]
    for block in range(blocks):
        names = inside.replace("*", str(block)).split()
        layers += [(name, block, role) for name, role in zip(names, roles_inside, strict=True)]
    return layers + [(name, None, role) for name, role in zip(after.split(), roles_after, strict=True)]


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_has_its_blocks_and_roles(family):
    for longname, block, role in layers_of(family):
        assert block_and_role(longname) == (block, role), longname
        assert role in ROLES
        expected = {"embedding": "word embedding", "convolution": "conv1d"}.get(role, role)
        block = None if role == "convolution" else block  # known by the last part of its path
        assert short_name(longname) == (expected if block is None else f"block {block} {expected}")


@pytest.mark.parametrize("family", FAMILIES)
@settings(max_examples=10, deadline=None)
@given(data=st.data())
def test_the_order_of_the_model_comes_back_from_any_other(family, data):
    names = [name for name, _, _ in layers_of(family)]
    shuffled = data.draw(st.permutations(names))
    assert sorted(shuffled, key=model_order) == names
    assert sorted(names) != names  # block 10 before block 2: the alphabet would not do


@pytest.mark.parametrize(
    "longname",
    [
        "0",
        "fc1",
        "features.0",
        "layers.2",
        "encoder",
        "mlp.fc2",
        "a.b.c",
        "w1",
        "ffn",
        "cls_x",
    ],
)
def test_a_name_that_does_not_tell_is_other_and_keeps_its_last_part(longname):
    assert block_and_role(longname) == (None, "other")
    assert short_name(longname) == longname.split(".")[-1]


def test_plain_names_mean_something_only_inside_a_block():
    assert role_of("fc1") == "other"
    assert role_of("model.decoder.layers.3.fc1") == "feed-forward in"
    assert role_of("head") == "head"
    assert role_of("blocks.0.heads.1.key") == "key"


def test_an_experts_number_does_not_hide_the_role():
    assert block_and_role("blk.4.ffn_down_exps.17") == (4, "feed-forward out")
    assert block_and_role("model.layers.4.mlp.experts.down_proj.17") == (4, "feed-forward out")


@settings(max_examples=50, deadline=None)
@given(
    st.lists(
        st.from_regex(re.compile(r"([a-z]{1,3}|[0-9]{1,3})(\.([a-z]{1,3}|[0-9]{1,3})){0,4}", re.A), fullmatch=True)
    )
)
def test_any_names_can_be_ordered_and_named(names):
    ordered = sorted(names, key=model_order)
    assert sorted(ordered, key=model_order) == ordered
    assert all(short_name(name) and block_and_role(name)[1] in ROLES for name in names)


def test_the_role_does_not_depend_on_the_number_of_a_block_or_expert():
    """So that it is found once for all of them: 100 000 tensors took 14 s on a busy machine."""
    kept = {}
    for i in (0, 7, 31, 1234):
        for path in (
            "h.{}.attn.c_attn",
            "model.layers.{}.mlp.experts.{}.w1",
            "encoder.block.{}.layer.1.DenseReluDense.wo",
        ):
            name = path.format(i, i)
            assert block_and_role(name)[0] == i
            kept.setdefault(path, set()).add(role_of(name))
    assert list(kept.values()) == [{"qkv"}, {"feed-forward gate"}, {"feed-forward out"}]
    assert [role_of(f"down_blocks.0.attn1.to_out.{i}") for i in (0, 1)] == ["attention output", "other"]


SPELLINGS = {
    "query down": "layers.0.self_attn.q_a_proj blk.0.attn_q_a",
    "query up": "layers.0.self_attn.q_b_proj blk.0.attn_q_b",
    "query": "encoder.layer.0.attention.self.query_global blocks.0.0.attention.q_head layers.0.self_attn.linear_q",
    "key-value down": "layers.0.self_attn.kv_a_proj_with_mqa blk.0.attn_kv_a_mqa",
    "key-value up": "layers.0.self_attn.kv_b_proj",
    "key-value": "blocks.0.attn.to_kv h.0.self_attn.kv_proj",
    "qkv": "encoder.layer.0.attention.self.in_proj layers.0.linear_attn.in_proj_qkvz layers.0.attn.Wqkv",
    "position projection": "layer.0.rel_attn.r encoder.layers.0.self_attn.linear_pos",
    "attention gate": "rwkv.blocks.0.attention.receptance layers.0.self_attn.gate_proj layers.0.linear_attn.in_proj_z",
    "attention output": "rwkv.blocks.0.attention.output layers.0.mixer.o_proj transformer.attentions.0.out_lin",
    "state-space in": "backbone.layers.0.mixer.in_proj layers.0.mamba.in_proj blk.0.ssm_in",
    "state-space selection": "backbone.layers.0.mixer.x_proj",
    "state-space step": "backbone.layers.0.mixer.dt_proj",
    "state-space matrix": "backbone.layers.0.mixer.A_log",
    "state-space out": "backbone.layers.0.mixer.out_proj",
    "router": "layers.0.mlp.gate layers.0.block_sparse_moe.gate layers.0.mlp.router blk.0.ffn_gate_inp "
    "layers.0.block_sparse_moe.router.layer layers.0.mlp.shared_expert_gate "
    "encoder.block.0.layer.1.mlp.router.classifier",
    "feed-forward gate": "rwkv.blocks.0.feed_forward.receptance blk.0.ffn_gate_shexp",
    "feed-forward in": "h.0.mlp.key blocks.0.channel_mix.key "
    "rwkv.blocks.0.feed_forward.key blocks.0.ffn.key stages.0.layers.0.pwconv1 layer.0.ff.layer_1 "
    "layers.0.feed_forward.intermediate_dense h.0.ffn.0 transformer.ffns.0.lin1",
    "feed-forward out": "rwkv.blocks.0.feed_forward.value blocks.0.ffn.value stages.0.layers.0.pwconv2 "
    "layer.0.ff.layer_2 layers.0.feed_forward.output_dense h.0.ffn.2 transformer.ffns.0.lin2 layers.0.mlp.o_proj",
    "embedding": "transformer.w",
    "position embedding": "encoder.block.0.layer.0.SelfAttention.relative_attention_bias encoder.rel_embeddings "
    "vision_encoder.layers.0.attn.rel_pos_h encoder.pos_conv_embed.conv",
    "token-type embedding": "layer.0.rel_attn.seg_embed",
    "patch embedding": "vit.embeddings.patch_embeddings.projection vision_model.embeddings.patch_embedding "
    "patch_embed.proj",
    "projection": "albert.encoder.embedding_hidden_mapping_in electra.embeddings_project visual_projection "
    "wav2vec2.feature_projection.projection encoder.layers.0.downsample.reduction multi_modal_projector.linear_1",
    "convolution": "conv1 layer1.0.conv2 wav2vec2.feature_extractor.conv_layers.0.conv backbone.layers.0.mixer.conv1d "
    "stages.0.layers.0.dwconv resnet.embedder.embedder.convolution",
    "head": "generator_predictions.dense discriminator_predictions.dense_prediction predictions.dense pred_layer.proj "
    "decoder.decoder_pred",
    "other": "model.layers.0.self_attn.indexer.wk layers.0.self_attn.sampling_offsets",
}


@pytest.mark.parametrize("role", SPELLINGS)
def test_a_role_has_many_spellings(role):
    assert {name: role_of(name) for name in SPELLINGS[role].split()} == dict.fromkeys(SPELLINGS[role].split(), role)
    assert role in ROLES


def test_every_row_of_the_table_names_a_role_and_every_role_has_a_row():
    rows = {role for role, _ in (*roles._TABLE, *roles._BLOCK_TABLE)}
    assert rows | {"head"} == set(ROLES)


def test_a_layer_known_by_its_path_keeps_it_as_its_name():
    assert [short_name(n) for n in ("layer1.0.conv2", "visual_projection")] == ["conv2", "visual_projection"]
    assert short_name("layers.0.mlp.gate") == "block 0 router"
