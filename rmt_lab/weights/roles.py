"""What a layer is, told from its name: block index, role, and the place it has in the model.

A checkpoint knows its matrices only as dotted paths, and every family of models spells them differently:
``encoder.layer.3.attention.self.query`` (BERT), ``h.3.attn.c_attn`` (GPT-2), ``model.layers.3.self_attn.q_proj``
(Llama), ``blk.3.attn_q`` (GGUF). Here is the table that brings them to one vocabulary, :data:`ROLES`.
"""

from __future__ import annotations

import re
from functools import lru_cache

#: The roles there are, in the order in which a block applies them.
ROLES = (
    "embedding",
    "position embedding",
    "token-type embedding",
    "query",
    "key",
    "value",
    "qkv",
    "attention output",
    "feed-forward gate",
    "feed-forward in",
    "feed-forward out",
    "other",
    "pooler",
    "head",
)
_BLOCK = re.compile(r"(?:^|\.)(?:layers?|h|blk|blocks?|resblocks|albert_layers)\.(\d+)\.")
_ATTENTION = r"[^.]*att(?:entio)?n[^.]*\."  # attn. attention. self_attn. SelfAttention. crossattention.
# The end of the path decides; the first pattern that fits wins. Each stands after a dot or at the start.
_ENDINGS = [
    ("qkv", r"c_attn|query_key_value|qkv|qkv_proj|to_qkv|wqkv|attn_qkv|in_proj_weight"),
    *(
        (
            word,
            rf"{word}(?:_proj)?|{letter}_(?:proj|lin|proj_weight)|attn_{letter}|w{letter}|to_{letter}|{_ATTENTION}{letter}",
        )
        for word, letter in (("query", "q"), ("key", "k"), ("value", "v"))
    ),
    (
        "attention output",
        rf"{_ATTENTION}(?:output\.dense|c_proj|o_proj|out_proj|out_lin|dense|proj|wo|o)|attn_output|to_out(?:\.0)?",
    ),
    ("feed-forward gate", r"gate_proj|ffn_gate(?:_exps)?|wi_0"),
    ("feed-forward in", r"intermediate\.dense|c_fc|fc_in|up_proj|gate_up_proj|ffn_up(?:_exps)?|dense_h_to_4h|wi_1"),
    ("feed-forward out", r"output\.dense|c_proj|fc_out|down_proj|ffn_down(?:_exps)?|dense_4h_to_h|ffn_output"),
    ("position embedding", r"pos(?:itions?|itional)?_?emb(?:d|ed|eddings?)?|wpe|embed_positions|positions_embed"),
    ("token-type embedding", r"(?:token_type|segment)_embeddings?|token_types"),
    ("embedding", r"wte|(?:words?|tok|tokens?)_emb(?:d|ed|eddings?)?|embed_tokens|embed_in|shared|emb(?:ed|eddings?)?"),
    ("pooler", r"pooler(?:\.dense)?"),
]
# Names so plain that they mean a feed-forward layer only inside a block.
_BLOCK_ENDINGS = [
    ("feed-forward gate", r"w1"),
    ("feed-forward in", r"fc1|linear1|lin1|ffn|wi|w3"),
    ("feed-forward out", r"fc2|linear2|lin2|wo|w2"),
]
# A head may have layers of its own (cls.predictions.transform.dense), but never stands inside a block.
_HEAD = (
    r"lm_head|embed_out|cls|(?:pre_)?classifier|vocab_transform|vocab_projector|score|qa_outputs"
    r"|multiple_choice_head|heads?"
)
_ENDINGS_COMPILED, _BLOCK_ENDINGS_COMPILED = (
    [(role, re.compile(rf"(?:^|\.)(?:{pattern})$", re.IGNORECASE)) for role, pattern in table]
    for table in (_ENDINGS, _BLOCK_ENDINGS)
)
_HEAD_COMPILED = re.compile(rf"(?:^|\.)(?:{_HEAD})(?:\.|$)|^(?:output|fc)$")
_NUMBER = re.compile(r"(?<=\.)\d+(?=\.)")  # a part of the path that is a number, but the last: to_out.0 has a role
_EXPERT_NUMBER = re.compile(r"(\.experts\..*|_exps)\.\d+$")  # blk.0.ffn_up_exps.5: the 5 says which expert


def role_of(longname: str) -> str:
    """One of :data:`ROLES`: what the layer of this path does; ``"other"`` where the name does not tell.

    ``"qkv"`` is a fused matrix that computes query, key and value at once; ``"feed-forward gate"`` the factor of a
    gated feed-forward layer (Llama's ``gate_proj``), ``"feed-forward in"`` the other one (``up_proj``).

    Examples
    --------
    >>> role_of("transformer.h.0.attn.c_attn"), role_of("transformer.h.0.mlp.c_proj"), role_of("0")
    ('qkv', 'feed-forward out', 'other')
    """
    return _role_of(_NUMBER.sub("0", longname))


@lru_cache(maxsize=4096)
def _role_of(longname: str) -> str:
    """The same for a path whose numbers of blocks and experts are 0: a model of 100 000 tensors has few of these."""
    longname = _EXPERT_NUMBER.sub(r"\1", longname)
    in_block = _BLOCK.search(longname) is not None
    if not in_block and _HEAD_COMPILED.search(longname):
        return "head"
    table = _ENDINGS_COMPILED + (_BLOCK_ENDINGS_COMPILED if in_block else [])
    return next((role for role, pattern in table if pattern.search(longname)), "other")


def block_and_role(longname: str) -> tuple[int | None, str]:
    """Where a layer stands and what it does: the index of its block (None outside of blocks) and :func:`role_of`.

    Examples
    --------
    >>> block_and_role("bert.encoder.layer.11.output.dense"), block_and_role("wte")
    ((11, 'feed-forward out'), (None, 'embedding'))
    """
    match = _BLOCK.search(longname)
    return (int(match[1]) if match else None), role_of(longname)


def short_name(longname: str) -> str:
    """A name for tables and titles: ``"block 3 query"``, ``"word embedding"``; the path's last part for ``"other"``.

    Examples
    --------
    >>> [short_name(n) for n in ("h.3.attn.c_attn.query", "wte", "lm_head", "features.0")]
    ['block 3 query', 'word embedding', 'head', '0']
    """
    block, role = block_and_role(longname)
    if role == "other":
        return longname.rpartition(".")[2]
    role = "word embedding" if role == "embedding" else role
    return role if block is None else f"block {block} {role}"


def model_order(longname: str) -> tuple[object, ...]:
    """A sorting key that puts paths into the order of the model, for files that keep them in another one.

    Embeddings, then everything else by path with numbers as numbers (block 2 before block 10) and inside a block by
    role, then pooler and head.

    Examples
    --------
    >>> sorted(["head", "h.10.mlp.c_fc", "h.2.mlp.c_fc", "h.2.attn.c_attn", "wpe", "wte"], key=model_order)
    ['wte', 'wpe', 'h.2.attn.c_attn', 'h.2.mlp.c_fc', 'h.10.mlp.c_fc', 'head']
    """
    role, block = role_of(longname), _BLOCK.search(longname)
    middle = block or not (role.endswith("embedding") or role in ("pooler", "head"))
    stage = 1 if middle else 0 if role.endswith("embedding") else 2
    prefix = longname[: block.end()] if block else longname if middle else ""
    return (stage, _natural(prefix), ROLES.index(role), _natural(longname))


def _natural(text: str) -> tuple[tuple[int, int, str], ...]:
    """A key that compares digits as numbers: "layer.2" < "layer.10"."""
    return tuple((0, int(part), "") if part.isdigit() else (1, 0, part) for part in re.split(r"(\d+)", text))
