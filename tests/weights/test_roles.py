"""Names -> block and role: every family's own spelling, and the order of the model from any other order."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rmt_lab.weights.roles import ROLES, block_and_role, model_order, role_of, short_name

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
        expected = "word embedding" if role == "embedding" else role
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
        "conv1",
        "layer1.0.conv2",
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
