"""A model, a checkpoint file or a hub name -> its weight matrices, one at a time.

What is a weight matrix: the weight of a linear layer, a convolution kernel, an embedding table. Biases, norms, buffers
(causal masks, rotary tables) and vectors are left out, and tied weights count once.
"""

from __future__ import annotations

import difflib
import os
import re
import sys
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from numbers import Integral
from pathlib import Path
from typing import Any, NamedTuple, Protocol, TypeVar

import numpy as np

from .._arrays import Matrix
from .checkpoints import read_checkpoint
from .hub import hub_checkpoint, looks_like_hub_name
from .roles import ROLES, block_and_role, role_of, short_name
from .tensors import StoredTensor, tensors_of_mapping, tensors_of_module

_FLOATS = ("float16", "bfloat16", "float32", "float64", "longdouble", np.dtype(np.longdouble).name)
_NO_WEIGHT = re.compile(
    r"(^|\.)(\w+_)?bias\w*$"
    r"|(^|\.)(\w*norm\d*|ln\d*|ln_\w{1,2}|bn\d*)(\.weight)?$"
    r"|(^|\.)(\w*inv_freq|\w*(cos|sin)_cached|freqs_cis|rope_freqs\w*|pe|(\w+_)?mask|tril)(\.weight)?$"
    r"|(^|\.)\w*(scales?|scale_inv|zeros|absmax)$",  # of quantised weights
    re.IGNORECASE,
)
_QUANTISED = re.compile(r"weight$|_blocks$")
_EXPERTS = re.compile(r"(^|\.)(experts\.\w+|\w+_exps)$")
# Fused matrices known to hold query, key and value one after another. Others (GPT-NeoX's query_key_value, CodeGen's
# qkv_proj, ...) interleave them head by head, so that cutting them in three would mix the heads.
_FUSED_ROWS = re.compile(r"(^|\.)(in_proj_weight|qkv|to_qkv|Wqkv|attn_qkv|self_attn\.qkv_proj)$")
_FUSED_COLUMNS = re.compile(r"(^|\.)c_attn$")


class WeightMatrix(NamedTuple):
    """One weight matrix of a model; unpacks into its five fields.

    ``matrix`` is as the model stores it: outputs x inputs for torch's Linear, inputs x outputs for transformers' Conv1D
    (GPT, GPT-2), out x in x window for kernels, tokens x dimensions for embeddings.
    """

    layer_id: int
    name: str
    longname: str
    layer_type: str
    matrix: Matrix

    @property
    def block(self) -> int | None:
        """Index of the block that the layer is in, None outside of blocks."""
        return block_and_role(self.longname)[0]

    @property
    def role(self) -> str:
        """What the layer does, one of :data:`rmt_lab.weights.roles.ROLES`."""
        return role_of(self.longname)

    def __repr__(self) -> str:
        shape = " x ".join(map(str, self.matrix.shape))
        return f"WeightMatrix({self.layer_id}, {self.name!r}, {self.longname!r}, {self.layer_type!r}, {shape})"


def iter_weights(
    source: Any, split_qkv: bool = False, layers: Iterable[int | str] | int | str | None = None
) -> Iterator[WeightMatrix]:
    """The weight matrices of a model in the model's order, each read when its turn comes and not kept.

    Parameters
    ----------
    source : torch.nn.Module, mapping, array, str or path
        A torch module; a state dict (names to torch tensors or numpy arrays); one matrix; the path of a
        ``.safetensors``, ``.gguf`` (widened to float32), ``.npz``, ``.npy``, ``.pt``, ``.pth`` or ``.bin`` file, or of
        a model folder, sharded or not; or a hub name such as ``"gpt2"``, downloaded unless the local cache has it.
    split_qkv : bool, default False
        Give fused query-key-value matrices as three: the column blocks of GPT's and GPT-2's ``c_attn`` (d x 3d), the
        row blocks of ``in_proj_weight``, ``qkv``, ``Wqkv`` (3d x d).
    layers : int, str or a collection of them, optional
        Which layers to give; nothing else is read. An int is a layer_id; a text is a role (``"query"``), a name or
        longname, or a part of longnames (``"encoder.layer.3."``).

    Yields
    ------
    WeightMatrix
        ``layer_id`` counts all matrices of the model from 0, whatever is selected (split parts count each).
        ``name`` is short (``"block 3 query"``), ``longname`` the path in the model without ``.weight``, ``layer_type``
        one of ``"dense"``, ``"embedding"``, ``"conv1d"``, ``"conv2d"``, ``"conv3d"``. NaN and infinities are passed on.
        A tensor that cannot be read, such as a quantised integer one, warns with the reason (``UserWarning``) and
        comes as NaN in its shape, so that it stops no other layer.

    Raises
    ------
    FileNotFoundError
        If there is no such file, folder, shard or hub model, or the hub cannot be reached.
    ValueError
        If a file is empty, truncated, damaged or a pickle that would run code, no matrix is found, ``layers`` matches
        nothing, or a fused matrix cannot be split for certain.
    TypeError, ImportError
        If source is of another type; if the package that a format needs is not installed.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> state = {"embed.weight": rng.normal(size=(50, 8)), "layers.0.attn.qkv.weight": rng.normal(size=(24, 8)),
    ...          "layers.0.attn.qkv.bias": np.zeros(24), "lm_head.weight": rng.normal(size=(50, 8))}
    >>> for w in iter_weights(state, split_qkv=True):
    ...     print(w)
    WeightMatrix(0, 'word embedding', 'embed', 'embedding', 50 x 8)
    WeightMatrix(1, 'block 0 query', 'layers.0.attn.qkv.query', 'dense', 8 x 8)
    WeightMatrix(2, 'block 0 key', 'layers.0.attn.qkv.key', 'dense', 8 x 8)
    WeightMatrix(3, 'block 0 value', 'layers.0.attn.qkv.value', 'dense', 8 x 8)
    WeightMatrix(4, 'head', 'lm_head', 'dense', 50 x 8)
    """
    tensors = _tensors_of(source)
    found = _matrices(tensors, split_qkv)
    if not found:
        seen = ", ".join(f"{t.name} {t.dtype} {t.shape}" for t in tensors[:3]) or "no tensor at all"
        raise ValueError(
            f"source={_label(source)} holds no weight matrix (a float tensor of 2 to 5 dimensions; no bias, norm or "
            f"buffer). It holds {seen}{', ...' if len(tensors) > 3 else ''}"
        )
    # Everything up to here, errors included, happens at the call; the matrices are read in the loop over them.
    return _read(select_layers(found, layers))


class _Layer(Protocol):
    @property
    def layer_id(self) -> int: ...
    @property
    def name(self) -> str: ...
    @property
    def longname(self) -> str: ...


L = TypeVar("L", bound=_Layer)


def select_layers(layers: Sequence[L], selection: Iterable[int | str] | int | str | None) -> list[L]:
    """Those of some layers that a selection names, in their own order; all of them for None.

    A selection is what ``iter_weights(layers=...)`` takes; the layers need ``layer_id``, ``name`` and ``longname``.

    Raises
    ------
    ValueError
        If an entry matches no layer; the message names close ones.
    TypeError
        If an entry is neither int nor text.
    """
    if selection is None:
        return list(layers)
    entries = [selection] if isinstance(selection, (int, str, np.integer)) else list(selection)
    if not entries:
        raise ValueError("layers is empty; give layer ids, names or roles, or None for all")
    wanted = {layer.layer_id for entry in entries for layer in _matching(layers, entry)}
    return [layer for layer in layers if layer.layer_id in wanted]


def _matching(layers: Sequence[L], entry: Any) -> list[L]:
    """The layers that one entry of a selection names."""
    if isinstance(entry, Integral) and not isinstance(entry, bool):
        found = [layer for layer in layers if layer.layer_id == entry]
    elif not isinstance(entry, str):
        raise TypeError(f"layers has the entry {entry!r}; allowed are layer ids (int) and names or roles (str)")
    elif entry in ROLES:
        found = [layer for layer in layers if role_of(layer.longname) == entry]
    else:
        found = [layer for layer in layers if entry in (layer.name, layer.longname)]
        found = found or [layer for layer in layers if entry and entry in layer.longname]
    if not found:
        roles = list(dict.fromkeys(role_of(layer.longname) for layer in layers))
        known = [*roles, *(x.name for x in layers), *(x.longname for x in layers)]
        close = difflib.get_close_matches(str(entry), dict.fromkeys(known), n=3, cutoff=0.5) or roles
        ids = f"ids go from 0 to {layers[-1].layer_id}" if layers else "there are no layers"
        raise ValueError(f"layers has the entry {entry!r}, which no layer matches; {ids}, close are {close}")
    return found


class _Planned(NamedTuple):
    """A matrix to come: a whole tensor, or a part of one."""

    layer_id: int
    name: str
    longname: str
    layer_type: str
    tensor: StoredTensor
    part: Any  # an index into the tensor


def _tensors_of(source: Any) -> list[StoredTensor]:
    """The tensors of any source, unread."""
    torch = sys.modules.get("torch")  # who has a module or a tensor has torch imported
    if torch is not None and isinstance(source, torch.nn.Module):
        return tensors_of_module(source)
    if isinstance(source, np.ndarray) or (torch is not None and isinstance(source, torch.Tensor)):
        return tensors_of_mapping({"matrix": source})
    if isinstance(source, Mapping):
        return tensors_of_mapping(source)
    if not isinstance(source, (str, os.PathLike)) or source == "":
        allowed = "a torch module, a mapping of names to tensors, an array, a path or a hub name"
        raise TypeError(f"source is {source!r:.60} of type {type(source).__name__}; allowed are {allowed}")
    path = Path(source).expanduser()
    if isinstance(source, str) and not path.exists() and looks_like_hub_name(source):
        path = hub_checkpoint(source)
    return read_checkpoint(path)


def _matrices(tensors: Iterable[StoredTensor], split_qkv: bool) -> list[_Planned]:
    """The weight matrices among the tensors, in order and numbered."""
    found: list[_Planned] = []
    seen: set[Any] = set()
    for tensor in tensors:
        if not _is_weight(tensor) or (tensor.identity is not None and tensor.identity in seen):
            continue
        seen.add(tensor.identity)
        longname = tensor.name.removesuffix(".weight")
        for suffix, part, ndim in _parts(tensor, longname, split_qkv):
            name = longname + suffix
            role = role_of(name)
            by_name = "embedding" if role.endswith("embedding") else "dense"
            kind = tensor.layer_type or (by_name if ndim == 2 else f"conv{ndim - 2}d")
            found.append(_Planned(len(found), short_name(name), name, kind, tensor, part))
    return found


def _is_weight(tensor: StoredTensor) -> bool:
    """Whether type, name and shape are those of a weight matrix or kernel."""
    name, ndim = tensor.name, len(tensor.shape)
    if tensor.layer_type == "" or _NO_WEIGHT.search(name) or not 2 <= ndim <= 5:
        return False
    if tensor.dtype not in _FLOATS and not _QUANTISED.search(name):  # position ids, masks
        return False
    if _is_table(tensor):
        return tensor.shape[1] > 1  # a class token is (1, 1, d)
    return ndim == 2 or name.endswith("weight") or "." not in name or _EXPERTS.search(name) is not None


def _is_table(tensor: StoredTensor) -> bool:
    """Whether a parameter is a matrix behind an axis of length 1: position embeddings (1, n, d) of vision models."""
    return len(tensor.shape) == 3 and tensor.shape[0] == 1 and not tensor.name.endswith("weight")


def _parts(tensor: StoredTensor, longname: str, split_qkv: bool) -> list[tuple[str, Any, int]]:
    """The matrices that a tensor is made of: suffix of the name, index into the tensor, number of dimensions."""
    shape, ndim = tensor.shape, len(tensor.shape)
    if ndim == 3 and _EXPERTS.search(longname):  # a mixture of experts: one matrix each
        return [(f".{expert}", expert, 2) for expert in range(shape[0])]
    if _is_table(tensor):
        return [("", 0, 2)]
    if not (split_qkv and role_of(longname) == "qkv" and ndim == 2):
        return [("", ..., ndim)]
    rows, columns = shape
    d = min(shape)
    blocks = [(".query", slice(0, d)), (".key", slice(d, 2 * d)), (".value", slice(2 * d, 3 * d))]
    if _FUSED_COLUMNS.search(longname) and columns == 3 * rows:
        return [(suffix, (slice(None), block), 2) for suffix, block in blocks]
    if _FUSED_ROWS.search(longname) and rows == 3 * columns:
        return [(suffix, block, 2) for suffix, block in blocks]
    raise ValueError(
        f"split_qkv=True: {longname} of shape {rows} x {columns} may interleave or share its heads, so that its query, "
        "key and value cannot be told apart for certain; pass split_qkv=False"
    )


def _read(planned: Sequence[_Planned]) -> Iterator[WeightMatrix]:
    """Read and give the matrices; the parts of one tensor share one reading of it."""
    for _, group in groupby(planned, key=lambda layer: id(layer.tensor)):
        parts = list(group)
        values = _values(parts[0].tensor)
        for part in parts:
            yield WeightMatrix(*part[:4], values[part.part])
        del values  # before the next one is read


def _values(tensor: StoredTensor) -> Matrix:
    """The values of a tensor; where it cannot be read, a warning and NaN in its shape (which takes no memory)."""
    try:
        if tensor.dtype not in _FLOATS:
            raise ValueError(f"it is stored as {tensor.dtype}, and its scale elsewhere")
        values = tensor.read()
        if values.shape != tensor.shape:
            raise ValueError(f"it has shape {values.shape}, its header says {tensor.shape}")
        return values
    except Exception as error:  # of whatever reads this format; the other layers must not suffer
        warnings.warn(f"{tensor.name} cannot be read and is given as NaN: {error}", stacklevel=3)
        return np.broadcast_to(np.float32(np.nan), tensor.shape)


def _label(source: Any) -> str:
    return repr(str(source)) if isinstance(source, (str, os.PathLike)) else f"({type(source).__name__})"
