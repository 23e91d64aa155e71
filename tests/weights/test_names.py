"""Short names: different for all layers of a model, and no longer than they need to be."""

import cProfile
import itertools
import pstats
import random

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from rmt_lab.weights import iter_weights
from rmt_lab.weights.names import short_name, short_names

ATTENTION = ["query", "key", "value", "attention output"]
FEED_FORWARD = ["feed-forward in", "feed-forward out"]
SIZES = {"num_hidden_layers": 2, "num_attention_heads": 2, "hidden_size": 16, "intermediate_size": 24}
TEXT = {**SIZES, "vocab_size": 60, "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}
EXPERTS = {**TEXT, "num_key_value_heads": 2, "num_local_experts": 3}
TWO_TOWERS = {
    "vocab_size": 60,
    "d_model": 16,
    **{f"{tower}_layers": n for tower, n in (("encoder", 2), ("decoder", 3))},
    **{f"{tower}_attention_heads": 2 for tower in ("encoder", "decoder")},
    **{f"{tower}_ffn_dim": 24 for tower in ("encoder", "decoder")},
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "decoder_start_token_id": 1,
}


def in_blocks(*words, blocks=2, tower=""):
    return {f"{tower} block {i} {word}".strip() for i in range(blocks) for word in words}


ENCODER_DECODER = (
    in_blocks(*ATTENTION, *FEED_FORWARD, tower="encoder")
    | in_blocks(*ATTENTION, *FEED_FORWARD, tower="decoder", blocks=3)
    | in_blocks(*(f"cross {word}" for word in ATTENTION), tower="decoder", blocks=3)
)
POSITIONS = {"encoder position embedding", "decoder position embedding"}
MIXTURE = {f"expert {i} {word}" for i in range(3) for word in FEED_FORWARD}
# family: class of the model, options of its configuration, the names of its layers
MODELS = {
    "T5": (
        "ForConditionalGeneration",
        {"vocab_size": 60, "d_model": 16, "d_kv": 8, "d_ff": 24, "num_heads": 2, "num_layers": 2}
        | {"num_decoder_layers": 3, "decoder_start_token_id": 0},
        ENCODER_DECODER
        | {"word embedding", *(f"{tower} block 0 position embedding" for tower in ("encoder", "decoder"))},
    ),
    "Bart": ("Model", TWO_TOWERS, ENCODER_DECODER | POSITIONS | {"word embedding"}),
    "Whisper": ("Model", TWO_TOWERS, ENCODER_DECODER | POSITIONS | {"word embedding", "conv1", "conv2"}),
    "CLIP": (
        "Model",
        {"text_config": TEXT, "vision_config": {**SIZES, "image_size": 16, "patch_size": 8}, "projection_dim": 8},
        in_blocks(*ATTENTION, *FEED_FORWARD, tower="text")
        | in_blocks(*ATTENTION, *FEED_FORWARD, tower="vision")
        | {"word embedding", "text position embedding", "vision position embedding", "patch embedding"}
        | {"visual_projection", "text_projection"},
    ),
    "Bert": (
        "Model",
        TEXT,
        in_blocks(*ATTENTION, *FEED_FORWARD)
        | {"word embedding", "position embedding", "token-type embedding", "pooler"},
    ),
    "GPT2": (
        "Model",
        {"n_embd": 16, "n_head": 2, "n_layer": 2, "vocab_size": 60, "bos_token_id": 0, "eos_token_id": 0},
        in_blocks("qkv", "attention output", *FEED_FORWARD) | {"word embedding", "position embedding"},
    ),
    "Llama": (
        "ForCausalLM",
        TEXT,
        in_blocks(*ATTENTION, *FEED_FORWARD, "feed-forward gate") | {"word embedding", "head"},
    ),
    "Mixtral": ("ForCausalLM", EXPERTS, in_blocks(*ATTENTION, "router", *MIXTURE) | {"word embedding", "head"}),
    "GraniteMoe": ("Model", EXPERTS, in_blocks(*ATTENTION, "router", *MIXTURE) | {"word embedding"}),
}


@pytest.mark.parametrize("family", MODELS)
def test_all_layers_of_a_family_have_names_of_their_own(family):
    torch = pytest.importorskip("torch", reason="needs torch")
    transformers = pytest.importorskip("transformers", reason="needs transformers")
    if family == "Mixtral" and int(transformers.__version__.split(".")[0]) < 5:
        pytest.skip("before transformers 5 the gates of its experts are matrices of their own")
    kind, options, expected = MODELS[family]
    with torch.device("meta"):
        model = getattr(transformers, family + kind)(getattr(transformers, f"{family}Config")(**options))
    model = model.to_empty(device="cpu")
    model.tie_weights()
    found = [w.name for w in iter_weights(model)]
    assert len(found) == len(expected)
    assert set(found) == expected


@pytest.mark.parametrize(
    ("longnames", "expected"),
    [
        (["0", "0", "x"], ["0", "0 (2)", "x"]),
        (["a", "a", "a (2)"], ["a", "a (3)", "a (2)"]),
        (["layer1.0.conv1", "layer1.1.conv1", "conv1"], ["layer1.0.conv1", "layer1.1.conv1", "conv1"]),
        (["net.a.0", "net.b.0"], ["a.0", "b.0"]),
        (["lm_head", "score", "head"], ["lm head", "score head", "head"]),
        (["visual.resblocks.0.attn.qkv", "resblocks.0.attn.qkv"], ["vision block 0 qkv", "block 0 qkv"]),
        (["enc.blk.0.attn_q", "dec.blk.0.attn_q"], ["encoder block 0 query", "decoder block 0 query"]),
        (["a.layers.0.q_proj", "a.h.0.q_proj"], ["a.layers.0.q_proj", "a.h.0.q_proj"]),
        (["h.0.attn1.to_q", "h.0.attn2.to_q"], ["block 0 attn1 query", "block 0 attn2 query"]),
        (["blk.0.ffn_up_exps.0", "blk.0.ffn_up_exps.1"], [f"block 0 expert {i} feed-forward in" for i in (0, 1)]),
        (
            ["layers.0.block_sparse_moe.input_linear.0", "layers.0.block_sparse_moe.input_linear.1"],
            ["block 0 expert 0 feed-forward in", "block 0 expert 1 feed-forward in"],
        ),
        (
            ["h.0.mlp.experts.0.up_proj", "h.0.mlp.experts.1.up_proj", "h.0.mlp.shared_experts.up_proj"],
            [f"block 0 {expert} feed-forward in" for expert in ("expert 0", "expert 1", "shared expert")],
        ),
    ],
)
def test_names_have_the_words_that_tell_layers_apart(longnames, expected):
    assert short_names(longnames) == expected


def test_a_word_that_one_block_needs_is_given_to_all_blocks():
    """An encoder of one block and a decoder of two: block 1 of the decoder is named as its block 0."""
    paths = ["encoder.layers.0.fc1", "decoder.layers.0.fc1", "decoder.layers.1.fc1"]
    assert short_names(paths) == [f"{word} feed-forward in" for word in _blocks("encoder 0", "decoder 0", "decoder 1")]
    assert short_names(paths[1:]) == [f"block {i} feed-forward in" for i in (0, 1)]


def _blocks(*words):
    return [" block ".join(word.split()) for word in words]


PARTS = st.sampled_from("0 1 h layers encoder decoder attn cross_attn experts q_proj fc1 wte head x".split())
PATHS = st.lists(st.lists(PARTS, min_size=1, max_size=7).map(".".join), max_size=12)


@settings(max_examples=300, deadline=None)
@given(longnames=PATHS, seed=st.integers(0, 99))
@example(longnames=["", ".", "..", "a.", ".a"], seed=0)
@example(longnames=["h." + "1" * 5000 + ".fc1", "h.²." + "fc1"], seed=0)
def test_any_names_are_told_apart_in_any_order(longnames, seed):
    names = short_names(longnames)
    assert len(set(names)) == len(longnames)
    single = [short_name(longname) for longname in longnames]
    if len(set(single)) == len(longnames):
        assert names == single
    distinct = sorted(set(longnames))
    shuffled = random.Random(seed).sample(distinct, len(distinct))
    assert dict(zip(shuffled, short_names(shuffled), strict=True)) == dict(
        zip(distinct, short_names(distinct), strict=True)
    )


def test_a_name_does_not_depend_on_the_selection():
    rng = np.random.default_rng(0)
    state = {f"{tower}.layers.0.fc1.weight": rng.normal(size=(4, 4)) for tower in ("encoder", "decoder")}
    [layer] = iter_weights(state, layers=[1])
    assert layer.name == "decoder block 0 feed-forward in"
    assert [w.longname for w in iter_weights(state, layers=layer.name)] == ["decoder.layers.0.fc1"]


@pytest.mark.parametrize("path", ["model.layers.{}.mlp.experts.{}.w1", "net{}.x.{}.conv.weight"])
def test_the_work_is_linear_in_the_number_of_names(path):
    """Ten times as many names take about ten times as many calls: those are counted, since seconds are noisy."""
    calls = []
    for n in (2_000, 20_000):
        names = [path.format(i, j) for i, j in itertools.product(range(n // 100), range(100))]
        profile = cProfile.Profile()
        assert len(set(profile.runcall(short_names, names))) == n
        calls.append(pstats.Stats(profile).total_calls)
    assert calls[1] < 15 * calls[0]


def test_what_a_name_tells_is_found_once_for_all_blocks():
    """100 000 names of experts took 1.1 s of the processor: 47 calls of functions each."""
    paths = [f"h.{i}.mlp.experts.{j}.{end}" for i in range(50) for j in range(50) for end in ("w1", "w2")]
    profile = cProfile.Profile()
    names = profile.runcall(short_names, paths)
    assert len(set(names)) == 5000
    assert pstats.Stats(profile).total_calls < 25 * 5000
