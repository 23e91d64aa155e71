"""What a layer is, told from its path: block index, role, and the place it has in the model.

A checkpoint knows its matrices only as dotted paths, and every family of models spells them differently:
``encoder.layer.3.attention.self.query`` (BERT), ``h.3.attn.c_attn`` (GPT-2), ``model.layers.3.self_attn.q_proj``
(Llama), ``blk.3.attn_q`` (GGUF). Here is the table that brings them to one vocabulary, :data:`ROLES`.
"""

from __future__ import annotations

import re
from functools import lru_cache

#: The roles there are, in the order in which a model and its blocks apply them.
ROLES = (
    "embedding",
    "position embedding",
    "token-type embedding",
    "patch embedding",  # from pixels
    "projection",  # from one width to another, between parts of a model
    "convolution",
    "query down",  # multi-head latent attention of DeepSeek: first down to few dimensions, then up
    "query up",
    "query",
    "key-value down",
    "key-value up",
    "key",
    "value",
    "key-value",  # fused
    "qkv",
    "position projection",  # of relative positions
    "attention gate",
    "attention output",
    "state-space in",  # of a Mamba layer
    "state-space selection",  # step, input and output matrix from the token: x_proj
    "state-space step",
    "state-space matrix",  # A, diagonal, as its logarithm
    "state-space out",
    "router",  # of a token to experts
    "feed-forward gate",
    "feed-forward in",
    "feed-forward out",
    "other",
    "pooler",
    "head",
)
#: The roles that are tables of vectors.
TABLES = ROLES[:3]
#: A block in a path; its group is the index, which no model has in more than nine digits.
BLOCK = re.compile(r"(?:^|\.)(?:(?:encoder_|decoder_|conformer_|albert_)?layers?|h|blk|blocks?|resblocks)\.(\d{1,9})\.")
_ATTENTION = r"[^.]*att(?:entio)?n[^.]*\."  # attn. attention. self_attn. SelfAttention. crossattention.
_FEED_FORWARD = r"(?:feed_forward|ffn|ff)\."
_KEYED_FEED_FORWARD = r"(?:feed_forward|ffn|ff|mlp|channel_mix(?:er)?)\."
_STATE_SPACE = r"(?:mixer|mamba|ssm)\."


def _attention_input(word: str, letter: str) -> str:
    """The spellings of query, key or value."""
    return (
        rf"{word}(?:_proj|_global)?|{letter}_(?:proj|lin|head|proj_weight)|attn_{letter}|w{letter}|to_{letter}"
        rf"|linear_{letter}|{_ATTENTION}{letter}"
    )


# To teach a new spelling, add it to the row of its role, or a row. A pattern is the end of a path without ".weight",
# numbers of blocks as 0, and stands after a dot or at the start; case does not count. The first row that fits wins.
_TABLE = [
    ("other", r"indexer\.\w+"),  # of sparse attention: its query and key are not those of the attention
    # A feed-forward layer with a name that is usual in attention (RWKV's key and value) comes before the attention's.
    ("feed-forward gate", rf"{_KEYED_FEED_FORWARD}receptance"),
    ("feed-forward in", rf"{_KEYED_FEED_FORWARD}key"),
    ("feed-forward out", rf"{_KEYED_FEED_FORWARD}(?:value|o_proj)"),
    ("query down", r"q_a_proj|attn_q_a|wq_a"),
    ("query up", r"q_b_proj|attn_q_b|wq_b"),
    ("key-value down", r"kv_a_proj(?:_with_mqa)?|attn_kv_a_mqa|wkv_a"),
    ("key-value up", r"kv_b_proj|attn_kv_b|wkv_b"),
    ("key-value", r"kv_proj|to_kv|kv"),
    (
        "qkv",
        r"c_attn|query_key_value|qkv|qkv_proj|to_qkv|wqkv|attn_qkv|in_proj_weight|in_proj_qkvz?"
        rf"|{_ATTENTION}(?:self\.)?in_proj",
    ),
    ("query", _attention_input("query", "q")),
    ("key", _attention_input("key", "k")),
    ("value", _attention_input("value", "v")),
    (
        "position projection",
        r"pos_(?:key|query|q)?_?proj|linear_pos|relative_k_proj|rel_attn\.r|r_kernel|continuous_position_bias_mlp\.\d",
    ),
    ("attention gate", rf"{_ATTENTION}(?:receptance|gate_proj|g_proj|in_proj_(?:z|a|b|ba)|gru_rel_pos_linear)"),
    (
        "attention output",
        rf"{_ATTENTION}(?:output\.dense|output|c_proj|o_proj|out_proj|out_lin|dense|projection|proj|post_proj|output_proj|linear_out|wo|o)"
        r"|attn_output|to_out(?:\.0)?|o_proj|attentions\.0\.out_lin",
    ),
    ("state-space in", rf"{_STATE_SPACE}in_proj|ssm_in"),
    ("state-space selection", rf"{_STATE_SPACE}x_proj|ssm_x"),
    ("state-space step", r"dt_proj|ssm_dt"),
    ("state-space matrix", r"A_log|ssm_a"),
    ("state-space out", rf"{_STATE_SPACE}out_proj|ssm_out"),
    (
        "router",
        r"(?:mlp|moe|block_sparse_moe|feed_forward|ffn|mixer)\.gate|shared_expert_gate|ffn_gate_inp(?:_shexp)?"
        r"|router(?:\.(?:layer|classifier|gate|wg))?",
    ),
    ("feed-forward gate", r"gate_proj|ffn_gate(?:_exps|_shexp)?|wi_0"),
    (
        "feed-forward in",
        r"intermediate(?:_query)?\.dense|intermediate_dense|c_fc|fc_in|up_proj|gate_up_proj|ffn_up(?:_exps|_shexp)?"
        rf"|dense_h_to_4h|wi_1|{_FEED_FORWARD}(?:layer_1|linear_1|linear1)|ffns\.0\.lin1|pwconv1",
    ),
    ("projection", r"output\.bottleneck\.dense|bottleneck\.\w+\.dense"),
    (
        "feed-forward out",
        r"output(?:_query)?\.dense|output_dense|c_proj|fc_out|down_proj|ffn_down(?:_exps|_shexp)?|dense_4h_to_h"
        rf"|ffn_output|{_FEED_FORWARD}(?:layer_2|linear_2|linear2)|ffns\.0\.lin2|pwconv2",
    ),
    (
        "position embedding",
        r"(?:\w+_)?pos(?:itions?|itional)?_?emb(?:d|ed|eddings?)?|wpe|embed_positions|positions_embed|rel_embeddings"
        r"|relative_attention_bias|rel_attn_embed|rel_pos_[hw]|pos_conv_embed\.conv(?:\.parametrizations\.weight\.\w+)?",
    ),
    ("token-type embedding", r"(?:token_type|segment)_embeddings?|token_types|seg_embed"),
    ("patch embedding", r"(?:patch_embed\w*|v\.patch_embd)(?:\.proj(?:ection)?|\.patch_embedding)?"),
    (
        "embedding",
        r"wte|(?:words?|tok|tokens?)_emb(?:d|ed|eddings?)?|embed_tokens|embed_in|shared|emb(?:ed|eddings?)?"
        r"|transformer\.w",
    ),
    ("pooler", r"pooler(?:\.dense)?"),
    (
        "projection",
        r"embedding_hidden_mapping_in|embeddings_project|embeddings\.projection|embedding_transformation"
        r"|feature_projection(?:\.projection)?|(?:visual|vision|text|image|audio)_proj(?:ection)?"
        r"|(?:multi_modal_projector|mm_projector|connector)\.[^.]+|project_(?:in|out|q|hid)|downsample\.reduction"
        r"|decoder_embed",
    ),
    (
        "convolution",
        r"(?:\w+_)?conv(?:\d*|\d[a-z]|\dd|_\w+)|convolution|(?:\w+_)?(?:depthwise|pointwise)|dwconv"
        r"|conv_layers\.\d+|downsampling_layer\.\d|sequence_reduction",
    ),
]
# Names so plain that they mean a feed-forward layer only inside a block.
_BLOCK_TABLE = [
    ("feed-forward gate", r"w1"),
    ("feed-forward in", r"fc1|linear1|linear_fc1|lin1|dense1|ffn|ffn\.0|wi|w3|(?<!experts\.)input_linear|mlp\.proj_in"),
    ("feed-forward out", r"fc2|linear2|linear_fc2|lin2|dense2|ffn\.2|wo|w2|(?<!experts\.)output_linear|mlp\.proj_out"),
]
# A head may have layers of its own (cls.predictions.transform.dense), but never stands inside a block.
_HEAD = (
    r"embed_out|cls|(?:pre_)?classifier|vocab_transform|vocab_projector|score|qa_outputs|pred_layer|decoder_pred"
    r"|(?:\w+_)?predictions|(?:\w+_)?heads?"
)
_TABLE_COMPILED, _BLOCK_TABLE_COMPILED = (
    [(role, re.compile(rf"(?:^|\.)(?:{pattern})$", re.IGNORECASE)) for role, pattern in table]
    for table in (_TABLE, _BLOCK_TABLE)
)
_HEAD_COMPILED = re.compile(rf"(?:^|\.)(?:{_HEAD})(?:\.|$)|^(?:output|fc)$")
_NUMBER = re.compile(r"\.[0-9]+(?=\.)")  # a part of the path that is a number, but the last: to_out.0 has a role
# blk.0.ffn_up_exps.5: the 5 says which expert
_EXPERT_NUMBER = re.compile(r"(experts\..*|_exps|put_linear)\.\d+$")
_DIGITS, _DIGITS_KEPT = re.compile(r"[0-9]+"), re.compile(r"([0-9]+)")


def number_free(path: str) -> str:
    """A path with the numbers of blocks and experts set to 0: the names of a model have few such forms.

    Examples
    --------
    >>> number_free("layers.11.experts.7.w1"), number_free("to_out.0")
    ('layers.0.experts.0.w1', 'to_out.0')
    """
    return _NUMBER.sub(".0", path)


def role_of(longname: str) -> str:
    """One of :data:`ROLES`: what the layer of this path does; ``"other"`` where the name does not tell.

    ``"qkv"`` is a fused matrix that computes query, key and value at once; ``"feed-forward gate"`` the factor of a
    gated feed-forward layer (Llama's ``gate_proj``), ``"feed-forward in"`` the other one (``up_proj``).
    ``"query down"`` and ``"query up"`` are the two factors of DeepSeek's query. ``"router"`` sends a token to its
    experts. ``"projection"`` fits one part of a model to the width of another.

    Examples
    --------
    >>> role_of("transformer.h.0.attn.c_attn"), role_of("transformer.h.0.mlp.c_proj"), role_of("0")
    ('qkv', 'feed-forward out', 'other')
    """
    return _role_of(number_free(longname))


@lru_cache(maxsize=4096)
def _role_of(longname: str) -> str:
    """The same for a path whose numbers of blocks and experts are 0: a model of 100 000 tensors has few of these."""
    longname = _EXPERT_NUMBER.sub(r"\1", longname)
    in_block = BLOCK.search(longname) is not None
    if not in_block and _HEAD_COMPILED.search(longname):
        return "head"
    table = _TABLE_COMPILED + (_BLOCK_TABLE_COMPILED if in_block else [])
    return next((role for role, pattern in table if pattern.search(longname)), "other")


def block_and_role(longname: str) -> tuple[int | None, str]:
    """Where a layer stands and what it does: the index of its block (None outside of blocks) and :func:`role_of`.

    Examples
    --------
    >>> block_and_role("bert.encoder.layer.11.output.dense"), block_and_role("wte")
    ((11, 'feed-forward out'), (None, 'embedding'))
    """
    match = BLOCK.search(longname)
    return (int(match[1]) if match else None), role_of(longname)


def model_order(longname: str) -> tuple[object, ...]:
    """A sorting key that puts paths into the order of the model, for files that keep them in another one.

    Embeddings, then everything else by path with numbers as numbers (block 2 before block 10) and inside a block by
    role, then pooler and head.

    Examples
    --------
    >>> sorted(["head", "h.10.mlp.c_fc", "h.2.mlp.c_fc", "h.2.attn.c_attn", "wpe", "wte"], key=model_order)
    ['wte', 'wpe', 'h.2.attn.c_attn', 'h.2.mlp.c_fc', 'h.10.mlp.c_fc', 'head']
    """
    stage, role, n_prefix, form = _place(number_free(longname))
    parts = form.copy()  # its texts are shared by all paths of this form: the keys of 10^6 paths fit into memory
    parts[1::2] = [int(digits[:4300]) for digits in _DIGITS.findall(longname)]  # int() refuses more
    return (stage, parts[:n_prefix], role, parts[n_prefix:])


@lru_cache(maxsize=4096)
def _place(form: str) -> tuple[int, int, int, list[str | int]]:
    """What the number-free form of a path tells about its place in the model.

    The stage of the model, the rank of the role, how many parts of the path come before the role, and the parts: texts
    and numbers in turn.
    """
    role, block = role_of(form), BLOCK.search(form)
    middle = block or not (role.endswith("embedding") or role in ("pooler", "head"))
    stage = 1 if middle else 0 if role.endswith("embedding") else 2
    parts: list[str | int] = [*_DIGITS_KEPT.split(form)]
    n_prefix = 2 * len(_DIGITS.findall(form[: block.end()])) if block else len(parts) if middle else 0
    return stage, ROLES.index(role), n_prefix, parts
