"""What a source holds, and what an analysis of it would take, before any tensor is read."""

from __future__ import annotations

import math
import os
import re
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from .._arrays import one_blas_thread
from ..analysis import find_layers
from ..atlas import Layer
from ..weights.adapters import FoundProduct
from ..weights.names import short_name
from ..weights.quantised import QUANTISED
from ..weights.read import FoundMatrix, tensors_of
from ..weights.roles import block_and_role
from ..weights.tensors import StoredTensor

# Seconds on one core of the machine where they were measured (OpenBLAS, float32 weights, 256 x 256 to 6144 x 1536):
_GRAM = 4.5e-11  # per N M^2, the Gram matrix
_SOLVE = 7.0e-11  # per M^3, its eigenvalues
_ENTRY = 6e-9  # per entry: reading and widening
_FIT = (1e-3, 4e-6)  # per layer and per eigenvalue: the fits
_TRIAL, _TRIAL_SECONDS = 448, 0.0107  # the side of a small eigenproblem, and what it took there
_BLOCK = 2**24  # bytes: the rows that are widened to float64 at a time
_COLUMNS = ["layer_id", "name", "longname", "layer_type", "role", "shape", "dtype", "bytes"]
_COST = ["seconds", "memory", "skipped"]


def describe(source: Any, split_qkv: bool = False) -> pd.DataFrame:
    """What a source holds: one row per matrix that :func:`rmt_lab.analyze` would take, and per tensor that it skips.

    No tensor is read and no eigenvalue is computed. A hub name is downloaded unless the local cache has it.

    The seconds are those of one core, of ``analyze`` with its default options: for each N x M matrix

        a N M^2 + b M^3 + c N M + d + e M,

    the Gram matrix, its eigenvalues, reading, and the fits. The constants were measured on one machine; one small
    eigenproblem at the call (about 10 ms) says how fast this one is. A null (``randomize``) takes as much again. The
    memory is what one layer takes beside the libraries: the matrix as it is read, 16 MB of its rows in float64, the
    Gram matrix, and a copy of it for the solver. Layers are read one by one, so that the largest decides;
    ``n_jobs`` layers at a time take so many times as much.

    Parameters
    ----------
    source
        Anything :func:`rmt_lab.analyze` takes. Of an atlas model or a list of spectra the eigenvalues are at hand.
    split_qkv : bool, default False
        Count fused query-key-value matrices as three.

    Returns
    -------
    pandas.DataFrame
        ``skipped`` is "" for layers and says of other tensors why they are left out. ``layer_id`` is that of
        ``analyze``: a tensor that is no weight matrix has none, and a matrix that cannot be read keeps its own, since
        ``analyze`` gives it a row with the reason. ``bytes`` are those of the values in ``dtype`` (the values of a GGUF
        file widen to float32 when they are read; the file itself is smaller).
        ``attrs`` holds ``source``, the number of ``layers`` and of ``skipped`` tensors, the ``seconds`` of all layers
        together and the ``memory`` of the one that takes most, in bytes.

    Raises
    ------
    FileNotFoundError, ValueError, TypeError, ImportError
        As :func:`rmt_lab.iter_weights`.

    Examples
    --------
    >>> state = {"h.0.mlp.c_fc.weight": np.ones((64, 256), np.float32), "h.0.mlp.c_fc.bias": np.ones(256, np.float32)}
    >>> describe(state)[["skipped", "name", "shape", "bytes"]]
      skipped                     name      shape  bytes
    0          block 0 feed-forward in  (64, 256)  65536
    1  a bias                     bias     (256,)   1024
    """
    found: Any = find_layers(source, None, split_qkv)  # of one kind
    speed = _speed()
    if isinstance(found[0], Layer):
        rows = [_at_hand(layer, speed) for layer in found]
    elif isinstance(found[0], FoundProduct):
        rows = [_in_factors(product, speed) for product in found]
    else:
        rows = list(_rows(tensors_of(source), found, speed))
    table = pd.DataFrame(rows, columns=[*_COLUMNS, *_COST])
    for column in ("layer_id", "memory"):
        table[column] = table[column].astype("Int64")
    layers = table[table["skipped"] == ""]
    table.attrs = {
        "source": str(source) if isinstance(source, str | os.PathLike) else type(source).__name__,
        "layers": len(layers),
        "skipped": len(table) - len(layers),
        "seconds": float(layers["seconds"].sum()),
        "memory": int(layers["memory"].max()) if len(layers) else 0,
    }
    return table


def in_words(table: pd.DataFrame) -> str:
    """The totals of a table of :func:`describe` as a sentence or two."""
    a = table.attrs
    text = f"{a['layers']} layers to analyse, {a['skipped']} tensors skipped. "
    if (table["dtype"] == "spectrum").all():
        return text + f"Their eigenvalues are at hand. Estimated: {_duration(a['seconds'])} on one core."
    memory = f"{a['memory'] / 2**20:.0f} MB of memory beside the libraries, for the largest layer"
    return text + f"Estimated: {_duration(a['seconds'])} on one core, {memory}."


def _duration(seconds: float) -> str:
    for unit, size in (("hours", 3600), ("minutes", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.2g} seconds"


def _rows(tensors: list[StoredTensor], found: list[FoundMatrix], speed: float) -> Iterator[dict[str, Any]]:
    """The rows of a source of weights, in the order of its tensors."""
    of_tensor: dict[str, list[FoundMatrix]] = {}
    for matrix in found:
        of_tensor.setdefault(matrix.tensor.name, []).append(matrix)
    first: dict[Any, str] = {}
    for tensor in tensors:
        for matrix in of_tensor.get(tensor.name, []):
            skipped = _why_unreadable(matrix)
            row = {name: getattr(matrix, name) for name in _COLUMNS[:4]}
            row |= _values(matrix.longname, matrix.shape, tensor.dtype) | {"skipped": skipped}
            if not skipped:
                row |= {"seconds": speed * _seconds(matrix.shape), "memory": _memory(matrix.shape, tensor.dtype)}
            yield row
        if tensor.name not in of_tensor:
            longname = tensor.name.removesuffix(".weight")
            row = {"name": short_name(longname), "longname": tensor.name, "layer_type": ""}
            row |= _values(longname, tensor.shape, tensor.dtype)
            tied = first.get(tensor.identity)
            yield row | {"skipped": f"tied: the same tensor as {tied}" if tied else _why_no_matrix(tensor)}
        elif tensor.identity is not None:
            first.setdefault(tensor.identity, tensor.name)


class _Unread(Exception):
    """Raised where a value would be read."""


def _unread(_: Any) -> Any:
    raise _Unread


def _why_unreadable(matrix: FoundMatrix) -> str:
    """Why a matrix would be refused before any of its values is read, or ""."""
    try:
        matrix._replace(tensor=replace(matrix.tensor, read=_unread)).read()
    except ValueError as error:
        return "" if isinstance(error.__cause__, _Unread) else str(error)
    return ""


def _why_no_matrix(tensor: StoredTensor) -> str:
    """What a tensor is that :func:`rmt_lab.weights.read.find_weights` does not take, told by its name and shape."""
    last = tensor.name.removesuffix(".weight").rpartition(".")[2].lower()
    if "bias" in last and len(tensor.shape) < 3:  # GPT-2 calls its causal mask so
        return "a bias"
    if re.search(r"scales?$|scale_inv$|zeros$|absmax$|quant_map$|^bitsandbytes__|^scb$|^g_idx$|_format$", last):
        return "a part of a quantised tensor, such as its scales"
    if tensor.layer_type == "" or re.search(r"norm|^ln|^bn", last):
        return "the weight of a norm"
    if not re.search(r"float|double", tensor.dtype):
        return f"a buffer: {tensor.dtype} values that are no weights"
    if sum(side > 1 for side in tensor.shape) < 2:
        return "a vector or a single number"
    return "a buffer, or no matrix by its name and shape"


def _values(longname: str, shape: tuple[int, ...], dtype: str) -> dict[str, Any]:
    size = math.prod(shape) * QUANTISED[dtype] // 8 if dtype in QUANTISED else _itemsize(dtype) * math.prod(shape)
    return {"role": block_and_role(longname)[1], "shape": shape, "dtype": dtype, "bytes": size}


def _itemsize(dtype: str) -> int:
    if dtype == "bfloat16":
        return 2
    try:
        return np.dtype(dtype).itemsize
    except TypeError:  # the 8-bit floats, and formats that pack values into bytes
        return 1


def _at_hand(layer: Layer, speed: float) -> dict[str, Any]:
    """The row of a layer whose spectrum is at hand."""
    s = layer.spectrum
    row = {name: getattr(layer, name) for name in _COLUMNS[:5]}
    row |= {"shape": (s.N, s.M) if s.rf == 1 else (s.N, s.M, s.rf), "dtype": "spectrum"}
    size = s.singular_values.nbytes
    fits = _FIT[0] + _FIT[1] * len(s.singular_values)
    return row | {"bytes": size, "seconds": speed * fits, "memory": 8 * size, "skipped": ""}


def _in_factors(product: FoundProduct, speed: float) -> dict[str, Any]:
    """The row of a layer of an adapter, whose spectrum comes from its factors."""
    B, A = product.B, product.A
    row = {name: getattr(product, name) for name in _COLUMNS[:4]}
    row |= _values(product.longname, product.shape, B.tensor.dtype) | {"skipped": product.why}
    row["bytes"] = sum(_itemsize(X.tensor.dtype) * math.prod(X.shape) for X in (B, A))
    if product.why:
        return row
    entries = math.prod(B.shape) + math.prod(A.shape)
    seconds = 2 * _GRAM * entries * B.shape[-1] + _FIT[0] + _FIT[1] * min(product.shape)
    return row | {"seconds": speed * seconds, "memory": row["bytes"] + 16 * entries}


def _seconds(shape: tuple[int, ...]) -> float:
    N, M, slices = max(shape[:2]), min(shape[:2]), math.prod(shape[2:])
    one = _GRAM * N * M**2 + _SOLVE * M**3 + _ENTRY * N * M
    return float(slices * one + _FIT[0] + _FIT[1] * M * slices)


def _memory(shape: tuple[int, ...], dtype: str) -> int:
    size, M = math.prod(shape), min(shape[:2])
    # what is stored, what it becomes, and what is between
    read = 6 if dtype == "bfloat16" else 16 if dtype in QUANTISED else _itemsize(dtype)
    block = min(_BLOCK, 8 * max(shape[:2]) * M)
    return read * size + block + 2 * 8 * M**2


def _speed() -> float:
    """How much longer a small eigenproblem takes here than where the constants were measured."""
    side = _TRIAL
    gram = np.add.outer(np.arange(side), np.arange(side)) % 7.0
    with one_blas_thread():
        start = time.thread_time()
        np.linalg.eigvalsh(gram)
        return (time.thread_time() - start) / _TRIAL_SECONDS
