"""Short names of layers, for tables and titles: each tells its layer from all others of the model.

Most paths need no more than block and role: ``"block 3 query"``. A model with an encoder and a decoder, with a text and
a vision tower, with cross-attention or with experts has several layers of one role in one block. Their names get the
words that tell them apart.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from sys import intern
from typing import Any, NamedTuple

from .roles import BLOCK, block_and_role, role_of

_CROSS = re.compile(
    r"\.(?:EncDecAttention|encoder_attn|cross_?att(?:entio)?n|multihead_attn|encoder_decoder_attention)\."
)
_EXPERT = re.compile(r"\.experts\.(\d+)\.|(?:\.experts\.|_exps\.|_moe\.)(?:.*\.)?(\d+)$")
_SHARED_EXPERT = re.compile(r"\.shared_(?:experts?|mlp)\.")
_WORDS = {"enc": "encoder", "dec": "decoder", "visual": "vision"}
# Layers of these roles are better known by the last part of their path: conv1, visual_projection.
_BY_PATH = ("other", "convolution", "projection")
_NO_WORD = re.compile(r"_(?:model|tower)$")  # text_model, vision_tower


def short_name(longname: str) -> str:
    """Block and role of one path: ``"block 3 query"``, ``"word embedding"``; the path's last part for ``"other"``.

    Examples
    --------
    >>> [short_name(n) for n in ("h.3.attn.c_attn.query", "wte", "lm_head", "features.0")]
    ['block 3 query', 'word embedding', 'head', '0']
    """
    block, role = block_and_role(longname)
    word = _word(longname, role)
    return word if block is None or role in _BY_PATH else f"block {block} {word}"


def short_names(longnames: Sequence[str]) -> list[str]:
    """The names of all layers of a model: :func:`short_name`, with more words where several layers would share one.

    The words are the tower (``"decoder"``, ``"vision"``), ``"cross"`` for cross-attention and ``"expert 3"``. If one
    block needs such a word, all blocks of the model get it. Layers that still share a name get those parts of their
    paths in which they differ. The names do not depend on the order of the paths, unless a path comes twice.

    Parameters
    ----------
    longnames : sequence of str
        The paths of all weight matrices of the model.

    Returns
    -------
    list of str
        One name per path, all different.

    Examples
    --------
    >>> short_names(["encoder.layers.0.self_attn.q_proj", "decoder.layers.0.self_attn.q_proj",
    ...              "decoder.layers.0.encoder_attn.q_proj", "lm_head"])
    ['encoder block 0 query', 'decoder block 0 query', 'decoder block 0 cross query', 'head']
    >>> short_names(["h.0.mlp.experts.0.w1", "h.0.mlp.experts.1.w1"])
    ['block 0 expert 0 feed-forward gate', 'block 0 expert 1 feed-forward gate']
    >>> short_names(["features.0", "features.2", "branch.0"])
    ['features.0', '2', 'branch.0']
    """
    places = _places(longnames)
    names = [short_name(n) if p is None else intern(p.name) for n, p in zip(longnames, places, strict=True)]
    repeated = _repeated(names)
    if not repeated:
        return names
    # What a name of its own tells from all others needs no block.
    places = [None if p and p.kind.own and n not in repeated else p for n, p in zip(names, places, strict=True)]
    names = _names_in_blocks(names, places)
    if len(set(names)) == len(names):
        return names
    for name, group in _groups(names).items():
        inside = all(places[i] is not None for i in group)
        paths = {i: _parts(_after_block(longnames[i]) if inside else longnames[i]) for i in group}
        differing = _differing_parts(paths.values())
        for i, path in paths.items():
            names[i] = _with_parts(name, differing[path], places[i], path[-1])
    for group in _groups(names).values():
        for i in group:
            names[i] = longnames[i]
    return _numbered(names)


@dataclass(frozen=True, slots=True, eq=False)
class _Kind:
    """What the path of a layer in a block tells beside the number of the block; one for all layers that share it."""

    tower: str  # the path before the block
    cross: str
    expert: str
    role: str  # or the path's last part
    own: bool  # whether it is the path's last part


class _Place(NamedTuple):
    """Where in the blocks of a model a layer stands."""

    block: str
    kind: _Kind

    @property
    def name(self) -> str:
        return self.kind.role if self.kind.own else f"{self.block} {self.kind.role}"


def _places(longnames: Sequence[str]) -> list[_Place | None]:
    """The place of each layer, None outside of blocks."""
    kinds: dict[tuple[str, str], _Kind] = {}
    blocks: dict[str, str] = {}
    found: list[_Place | None] = []
    for longname in longnames:
        match = BLOCK.search(longname)
        if match is None:
            found.append(None)
            continue
        start, end = match.span(1)
        key = longname[:start], longname[end:]
        if (kind := kinds.get(key)) is None:
            kind = kinds[key] = _kind(longname, match.start())
        number = match[1]
        if (block := blocks.get(number)) is None:
            block = blocks[number] = f"block {int(number)}"
        found.append(_Place(block, kind))
    return found


def _kind(longname: str, start: int) -> _Kind:
    """The kind of a layer in a block that begins at ``start``."""
    expert = _EXPERT.search(longname, start)
    word = f"expert {expert[1] or expert[2]}" if expert else ""
    if _SHARED_EXPERT.search(longname, start):
        word = "shared expert"
    cross = "cross" if _CROSS.search(longname, start) else ""
    role = role_of(longname)
    return _Kind(longname[:start], cross, word, _word(longname, role), role in _BY_PATH)


def _names_in_blocks(names: list[str], places: list[_Place | None]) -> list[str]:
    """Tower, block, cross, expert and role, without those words that all layers of equal block and role share."""
    first: dict[tuple[str, str], _Kind] = {}
    tower = cross = expert = False
    for place in places:
        if place is not None:
            block, kind = place
            other = first.setdefault((block, kind.role), kind)
            if kind is not other:
                tower = tower or kind.tower != other.tower
                cross = cross or kind.cross != other.cross
                expert = expert or kind.expert != other.expert
    kinds = dict.fromkeys(place.kind for place in places if place is not None)
    towers = _differing_parts({_parts(kind.tower) for kind in kinds} if tower else ())
    words = {
        kind: (
            f"{_joined(*_words(towers.get(_parts(kind.tower), [])))} ".lstrip(),
            " " + _joined(kind.cross if cross else "", kind.expert if expert else "", kind.role),
        )
        for kind in kinds
    }
    named = names.copy()
    for i, place in enumerate(places):
        if place is not None:
            before, after = words[place.kind]
            named[i] = before + place.block + after
    return named


def _differing_parts(paths: Iterable[tuple[str, ...]]) -> dict[tuple[str, ...], list[str]]:
    """Those parts of each path at which another path goes on in another way, or ends; a number with the part before."""
    paths = set(paths)
    tree: dict[str | None, Any] = {}
    end: dict[str | None, Any] = {}
    for path in paths:
        node = tree
        for part in path:
            node = node.setdefault(part, {})
        node[None] = end
    differing = {}
    for path in paths:
        node, kept = tree, [False] * len(path)
        for i, part in enumerate(path):
            kept[i] = len(node) > 1
            if kept[i] and part.isdecimal() and i:
                kept[i - 1] = True
            node = node[part]
        differing[path] = [part for part, keep in zip(path, kept, strict=True) if keep]
    return differing


def _with_parts(name: str, parts: list[str], place: _Place | None, last: str) -> str:
    """A name with parts of its path: before the role of a known layer, as a path for one known by its path alone."""
    parts = parts[:-1] if parts and parts[-1] == last else parts
    if place is not None:
        return _joined(name.removesuffix(place.kind.role).rstrip(), *_words(parts or [last]), place.kind.role)
    if name == last:
        return ".".join([*parts, last])
    words = _words(parts or [last])
    return _joined(*words, "" if words[-1].endswith(name) else name)  # "lm head", not "lm head head"


def _words(parts: Iterable[str]) -> list[str]:
    """Parts of a path as words: "text_model" as "text"."""
    return [_WORDS.get(part, _NO_WORD.sub("", part).replace("_", " ")) for part in parts]


def _after_block(longname: str) -> str:
    match = BLOCK.search(longname)
    return longname[match.end() :] if match else longname


def _parts(path: str) -> tuple[str, ...]:
    return tuple(path.split("."))


def _joined(*words: str) -> str:
    return " ".join(word for word in words if word)


def _word(longname: str, role: str) -> str:
    if role in _BY_PATH:
        return _last(longname)
    return "word embedding" if role == "embedding" else role


def _last(longname: str) -> str:
    return longname.rpartition(".")[2]


def _repeated(names: Iterable[str]) -> set[str]:
    return {name for name, count in Counter(names).items() if count > 1}


def _groups(names: Sequence[str]) -> dict[str, list[int]]:
    """The indices of each name that comes more than once."""
    groups = defaultdict(list)
    for i, name in enumerate(names):
        groups[name].append(i)
    return {name: group for name, group in groups.items() if len(group) > 1}


def _numbered(names: list[str]) -> list[str]:
    """The same names, with a number after each that came before."""
    used, counts = set(names), Counter[str]()
    seen: set[str] = set()
    for i, name in enumerate(names):
        if name in seen:
            while (new := f"{name} ({counts[name] + 2})") in used:
                counts[name] += 1
            used.add(new)
            names[i] = new
        seen.add(name)
    return names
