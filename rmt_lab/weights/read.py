"""A model, a checkpoint file or a hub name -> its weight matrices, one at a time.

What is a weight matrix: the weight of a linear layer, a convolution kernel, an embedding table. Biases, norms, buffers
(causal masks, rotary tables) and vectors are left out, and tied weights count once.
"""

from __future__ import annotations

import difflib
import gc
import os
import re
import sys
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import lru_cache
from numbers import Integral
from pathlib import Path
from typing import Any, NamedTuple, Protocol, TypeVar

import numpy as np

from .._arrays import Matrix
from ..spectrum import rounding_edge
from .checkpoints import read_checkpoint
from .gates import gates_of
from .hub import hub_checkpoint, looks_like_hub_name
from .modules import tensors_of_module
from .names import short_names
from .quantised import FLOAT8, QUANTISED, UNSCALED, dequantised, step_of
from .roles import ROLES, TABLES, block_and_role, number_free, role_of
from .tensors import StoredTensor, flattened, state_dict_in, tensors_of_mapping
from .weight_norm import normalised

_FLOATS = ("float16", "bfloat16", "float32", "float64", "longdouble", np.dtype(np.longdouble).name, *FLOAT8, *QUANTISED)
_NO_WEIGHT = re.compile(
    r"(^|\.)(\w+_)?bias\w*$"
    r"|(^|\.)(\w*norm\d*|ln\d*|ln_\w{1,2}|bn\d*)(\.weight)?$"
    r"|(^|\.)(\w*inv_freq|\w*(cos|sin)_cached|freqs_cis|rope_freqs\w*|pe|(\w+_)?mask|tril)(\.weight)?$"
    r"|(^|\.)\w*(scales?|scale_inv|zeros|absmax)$"  # of quantised weights
    r"|(^|\.)(exp_avg\w*|max_exp_avg\w*|momentum_buffer)$",  # of optimizers
    re.IGNORECASE,
)
_QUANTISED = re.compile(r"weight$|_blocks$")  # what cannot be read without its other parts
# A tensor of three dimensions may be a kernel out x in x window, a stack of matrices, or a matrix whose columns are
# sorted by head. Its shape does not tell, so its name must. These are the names in the 500 families of transformers.
_CONVOLUTION = re.compile(
    r"(conv(?!ert|olved)|depthwise|pointwise|(up|down)sampl)(?![^.]*expert)[^.]*(\.\d+)*\.weight$", re.IGNORECASE
)
_EXPERTS = re.compile(r"(^|[._])(experts?|moe)\.|_exps(\.weight)?$|(^|\.)(in|out)put_linear\.weight$")
# XLNet's and Funnel's: model x heads x size of a head, or segments x heads x size of a head.
_BY_HEAD = re.compile(r"(^|\.)(rel_attn\.[qkvor]|r_kernel|seg_embed)$")
#: How many matrices are read from one tensor at most: no model has so many experts in one layer.
MAX_STACK = 4096
#: The layer_type of a tensor that may be any of these.
UNKNOWN = "unknown"
# Fused matrices known to hold query, key and value one after another. Others (GPT-NeoX's query_key_value, CodeGen's
# qkv_proj, ...) interleave them head by head, so that cutting them in three would mix the heads.
_FUSED_ROWS = re.compile(r"(^|\.)(in_proj_weight|qkv|to_qkv|Wqkv|attn_qkv|self_attn\.qkv_proj)$")
_FUSED_COLUMNS = re.compile(r"(^|\.)c_attn$")


class WeightMatrix(NamedTuple):
    """One weight matrix of a model; unpacks into its five fields.

    ``matrix`` is as the model stores it: outputs x inputs for torch's Linear, inputs x outputs for transformers' Conv1D
    (GPT, GPT-2), out x in x window for kernels, tokens x dimensions for embeddings. Of Keras and ONNX files it has
    torch's axes.
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
    source: Any,
    split_qkv: bool = False,
    layers: Iterable[int | str] | int | str | None = None,
    split_gates: bool = False,
) -> Iterator[WeightMatrix]:
    """The weight matrices of a model in the model's order, each read when its turn comes and not kept.

    Parameters
    ----------
    source : torch.nn.Module, mapping, array, str or path
        A torch module; a state dict (names to torch tensors or numpy arrays); one matrix; the path of a
        ``.safetensors``, ``.gguf`` (widened to float32), ``.npz``, ``.npy``, ``.pt``, ``.pth``, ``.bin``, ``.ckpt``,
        ``.keras``, ``.h5`` or ``.onnx`` file, or of a model folder, sharded or not; or a hub name such as ``"gpt2"``,
        downloaded unless the local cache has it. A training checkpoint may hold its state dict under a key such as
        ``"model"`` or ``"state_dict"``. Of a module, the weights are those that its layers use, weight normalisation,
        parametrisations and adapters of PEFT included.
    split_qkv : bool, default False
        Give fused query-key-value matrices as three: the column blocks of GPT's and GPT-2's ``c_attn`` (d x 3d), the
        row blocks of ``in_proj_weight``, ``qkv``, ``Wqkv`` (3d x d).
    layers : int, str or a collection of them, optional
        Which layers to give; nothing else is read. An int is a layer_id; a text is a role (``"query"``), a name or
        longname, or a part of longnames (``"encoder.layer.3."``).
    split_gates : bool, default False
        Give each gate of torch's LSTM and GRU as a matrix of its own, see :mod:`rmt_lab.weights.gates`.

    Yields
    ------
    WeightMatrix
        ``layer_id`` counts all matrices of the model from 0, whatever is selected (split parts count each).
        ``name`` is short (``"block 3 query"``), ``longname`` the path in the model without ``.weight``, ``layer_type``
        one of ``"dense"``, ``"embedding"``, ``"conv1d"``, ``"conv2d"``, ``"conv3d"``. NaN and infinities are passed on.
        Stacked experts are one matrix each. Quantised weights whose scales are beside them (8-bit floats and integers,
        bitsandbytes, GPTQ, AWQ, MXFP4) are one float32 matrix each, their scales none. A tensor that cannot be read,
        such as integers without a scale, or one of three dimensions that neither class nor name calls a convolution or
        experts, is left out with a warning that says why (``UserWarning``); :func:`rmt_lab.analyze` gives it a row with
        the reason.

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
    # Errors of the source and of the selection happen at the call; the matrices are read in the loop over them.
    return _read(find_weights(source, split_qkv, layers, split_gates))


class FoundMatrix(NamedTuple):
    """A weight matrix that has been found and not read: a tensor, or a part of one. It holds no values of a file."""

    layer_id: int
    name: str
    longname: str
    layer_type: str
    shape: tuple[int, ...]
    tensor: StoredTensor
    part: Any  # an index into the tensor

    @property
    def note(self) -> str:
        """What a reader of its figures must know, or ""."""
        return UNSCALED if self.tensor.dtype in FLOAT8 else ""

    @property
    def quantised(self) -> bool:
        """Whether it is made of codes whose step is known; a GGUF file tells none, and reads as float32."""
        return self.tensor.dtype in (*FLOAT8, *QUANTISED)

    @property
    def how(self) -> dict[str, Any]:
        """What the spectrum depends on besides the values: the same values that are not quantised round otherwise."""
        return {"stored": self.tensor.dtype} if self.quantised else {}

    def rounding(self, W: Matrix) -> float | None:
        """:func:`rmt_lab.spectrum.rounding_edge` of the quantised matrix ``W`` that was read; None for any other."""
        if W.ndim != 2:
            return None
        if self.tensor.dtype in FLOAT8:
            return rounding_edge(W, self.tensor.dtype)
        step = step_of(self.tensor, self.part)
        return None if step is None else rounding_edge(W, step=step)

    def read(self) -> Matrix:
        """The matrix.

        Raises
        ------
        ValueError
            If it cannot be read; the message says why.
        """
        if self.layer_type == UNKNOWN:
            if len(self.shape) == 3 and _EXPERTS.search(number_free(self.tensor.name)):
                raise ValueError(
                    f"a stack of {self.shape[0]} matrices of {self.shape[1]} x {self.shape[2]} is not cut into its "
                    f"matrices; allowed are at most {MAX_STACK} matrices, each with two sides above 1"
                )
            raise ValueError(
                f"a tensor of shape {' x '.join(map(str, self.shape))} is neither a known convolution nor a known "
                "stack of experts; pass its matrices one by one, or the kernel under a name that ends in conv.weight"
            )
        if self.tensor.dtype not in _FLOATS:
            raise ValueError(f"it cannot be read: it is stored as {self.tensor.dtype}, and its scale elsewhere")
        try:
            values = self.tensor.read(self.part)
        except MemoryError:
            raise
        except Exception as error:  # of whatever reads this format
            raise ValueError(f"it cannot be read: {error}") from error
        if values.shape != self.shape:
            raise ValueError(f"it cannot be read: it has shape {values.shape}, its header says {self.shape}")
        return values


def find_weights(
    source: Any,
    split_qkv: bool = False,
    layers: Iterable[int | str] | int | str | None = None,
    split_gates: bool = False,
) -> list[FoundMatrix]:
    """What :func:`iter_weights` would give, unread: the same parameters, errors and order.

    Examples
    --------
    >>> [(found.name, found.shape) for found in find_weights({"h.0.mlp.c_fc.weight": np.ones((8, 32))})]
    [('block 0 feed-forward in', (8, 32))]
    """
    with _no_collection():
        tensors = tensors_of(source)
        tensors = gates_of(tensors) if split_gates else tensors
        found = _matrices(tensors, split_qkv)
    if not found:
        seen = ", ".join(f"{t.name} {t.dtype} {t.shape}" for t in tensors[:3]) or "no tensor at all"
        raise ValueError(
            f"source={_label(source)} holds no weight matrix (a float tensor of 2 to 5 dimensions; no bias, norm or "
            f"buffer). It holds {seen}{', ...' if len(tensors) > 3 else ''}"
        )
    return select_layers(found, layers)


@contextmanager
def _no_collection() -> Iterator[None]:
    """Without Python's collector, which takes half of the time where a million objects are made and none is garbage."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


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


def tensors_of(source: Any) -> list[StoredTensor]:
    """The tensors of any source, unread."""
    torch = sys.modules.get("torch")  # who has a module or a tensor has torch imported
    if torch is not None and isinstance(source, torch.nn.Module):
        return tensors_of_module(source)
    if isinstance(source, np.ndarray) or (torch is not None and isinstance(source, torch.Tensor)):
        return tensors_of_mapping({"matrix": source})
    if isinstance(source, Mapping):
        return normalised(dequantised(tensors_of_mapping(state_dict_in(source))))
    if not isinstance(source, (str, os.PathLike)) or source == "":
        allowed = "a torch module, a mapping of names to tensors, an array, a path or a hub name"
        raise TypeError(f"source is {source!r:.60} of type {type(source).__name__}; allowed are {allowed}")
    path = Path(source).expanduser()
    if isinstance(source, str) and not path.exists() and looks_like_hub_name(source):
        path = hub_checkpoint(source)
    return read_checkpoint(path)


def _matrices(tensors: Iterable[StoredTensor], split_qkv: bool) -> list[FoundMatrix]:
    """The weight matrices among the tensors, in order and numbered."""
    found: list[tuple[str, str, tuple[int, ...], StoredTensor, Any]] = []
    seen: set[Any] = set()
    for tensor in tensors:
        form = number_free(tensor.name)
        if not _is_weight(tensor, form) or (tensor.identity is not None and tensor.identity in seen):
            continue
        seen.add(tensor.identity)
        kind = _kind(tensor, form)
        if len(tensor.shape) == 3 and _BY_HEAD.search(form):
            tensor = flattened(tensor)
        longname = tensor.name.removesuffix(".weight")
        for suffix, part, shape in _parts(tensor, longname, kind, split_qkv):
            found.append((longname + suffix, kind, shape, tensor, part))
    names = short_names([longname for longname, *_ in found])
    return [FoundMatrix(i, name, *rest) for i, (name, rest) in enumerate(zip(names, found, strict=True))]


def _is_weight(tensor: StoredTensor, form: str) -> bool:
    """Whether type, name and shape are those of a weight matrix or kernel."""
    ndim = len(tensor.shape)
    if tensor.layer_type == "" or not 2 <= ndim <= 5 or _type_by_name(form) == "":
        return False
    if tensor.dtype not in _FLOATS and not _QUANTISED.search(form):  # position ids, masks
        return False
    if ndim > 2 and sum(side != 1 for side in tensor.shape) < 2:  # a vector: a class token is (1, 1, d)
        return False
    return ndim <= 3 or form.endswith("weight") or "." not in form


@lru_cache(maxsize=4096)
def _type_by_name(form: str) -> str:
    """The layer type of a matrix of that number-free path; "" for no weight. Searched once for all of one form."""
    if _NO_WEIGHT.search(form):
        return ""
    return "embedding" if role_of(form.removesuffix(".weight")) in TABLES else "dense"


def _kind(tensor: StoredTensor, form: str) -> str:
    """The layer type of a tensor; that of each matrix, where the tensor is a stack of them."""
    ndim = len(tensor.shape)
    if ndim > 3 and _EXPERTS.search(form) and not (tensor.layer_type or "").startswith("conv"):
        return UNKNOWN
    if ndim > 3 or (ndim == 3 and _is_convolution(tensor, form)):
        return f"conv{ndim - 2}d"
    if ndim == 3 and not (_EXPERTS.search(form) or _is_table(tensor) or _BY_HEAD.search(form)):
        return UNKNOWN
    if ndim == 3 and _EXPERTS.search(form) and (tensor.shape[0] > MAX_STACK or 1 in tensor.shape[1:]):
        return UNKNOWN
    return tensor.layer_type or _type_by_name(form)


def _is_convolution(tensor: StoredTensor, form: str) -> bool:
    """Whether the class or the name of a tensor of three dimensions says so; a window of 1 makes it one of a matrix."""
    if (tensor.layer_type or "").startswith("conv"):
        return True
    return form.endswith(".weight") and (tensor.shape[2] == 1 or _CONVOLUTION.search(form) is not None)


def _is_table(tensor: StoredTensor) -> bool:
    """Whether a parameter is a matrix behind an axis of length 1: position embeddings (1, n, d) of vision models."""
    return len(tensor.shape) == 3 and tensor.shape[0] == 1 and not tensor.name.endswith("weight")


def _parts(tensor: StoredTensor, longname: str, kind: str, split_qkv: bool) -> list[tuple[str, Any, tuple[int, ...]]]:
    """The matrices that a tensor is made of: suffix of the name, index into the tensor, shape."""
    shape, ndim = tensor.shape, len(tensor.shape)
    if ndim == 3 and kind in ("dense", "embedding"):
        if _is_table(tensor):
            return [("", 0, shape[1:])]
        return [(f".{expert}", expert, shape[1:]) for expert in range(shape[0])]
    if not (split_qkv and role_of(longname) == "qkv" and ndim == 2):
        return [("", ..., shape)]
    rows, columns = shape
    d = min(shape)
    blocks = [(".query", slice(0, d)), (".key", slice(d, 2 * d)), (".value", slice(2 * d, 3 * d))]
    if _FUSED_COLUMNS.search(longname) and columns == 3 * rows:
        return [(suffix, (slice(None), block), (d, d)) for suffix, block in blocks]
    if _FUSED_ROWS.search(longname) and rows == 3 * columns:
        return [(suffix, block, (d, d)) for suffix, block in blocks]
    raise ValueError(
        f"split_qkv=True: {longname} of shape {rows} x {columns} may interleave or share its heads, so that its query, "
        "key and value cannot be told apart for certain; pass split_qkv=False"
    )


def _read(matrices: Iterable[FoundMatrix]) -> Iterator[WeightMatrix]:
    """Read and give the matrices; one that cannot be read warns and is left out."""
    for found in matrices:
        try:
            yield WeightMatrix(*found[:4], found.read())
        except ValueError as error:
            warnings.warn(f"{found.longname} is left out: {error}", stacklevel=2)


def _label(source: Any) -> str:
    return repr(str(source)) if isinstance(source, (str, os.PathLike)) else f"({type(source).__name__})"
