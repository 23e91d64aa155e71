"""Tensors by name that are read only when asked for: what every source of weights is brought to first."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from typing import Any

import numpy as np

from .._arrays import Matrix, as_numpy

#: A tensor of more sides is no weight, and a longer name was not given by a person.
MAX_SIDES, MAX_NAME = 8, 1000
#: How many times the bytes of its file a tensor may take, and what it may take of a small file.
MAX_GROWTH, SMALL = 10, 4_000_000
_BITS = {"float64": 64, "float32": 32, "float16": 16, "bfloat16": 16}
# Values of 8 bits, and several in 32 bits, are widened to float32: less of them may come out of a small file.
_PACKED, _PACKED_GROWTH, _PACKED_SMALL = {"int8": 8, "uint8": 8, "int32": 32}, 2, 2_000_000
_PACKED |= {"float8_e4m3fn": 8, "float8_e5m2": 8}


@dataclass(frozen=True, slots=True)
class StoredTensor:
    """A tensor that has not been read yet.

    Parameters
    ----------
    name : str
        Dotted path, as the source spells it.
    shape : tuple of int
    dtype : str
        ``"float32"``, ``"bfloat16"``, ``"int64"``, ...; what reads as float32 (a quantised GGUF tensor) says so.
    read : function
        Takes an index into the tensor (``...`` for all of it) and gives these values as a numpy array. Of a file it
        holds the path alone, so that another process can read there.
    layer_type : str, optional
        Where the source knows it; ``""`` says that the tensor is no weight matrix, None that only its name can tell.
    identity : hashable, optional
        Two tensors of equal identity are one and the same (tied); None where the source cannot tell.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    read: Callable[[Any], Matrix]
    layer_type: str | None = None
    identity: Hashable = None


#: Under which keys training scripts keep the state dict, beside the optimizer's and the epoch; the first one counts.
STATE_KEYS = ("state_dict", "model_state_dict", "model", "module", "net", "network", "params", "ema", "model_ema")


def state_dict_in(checkpoint: Mapping[Any, Any], where: str = "source") -> Mapping[Any, Any]:
    """The state dict in a training checkpoint; what holds none under a key of :data:`STATE_KEYS` is one itself.

    The key may hold a checkpoint in its turn. An optimizer's moments stand under other keys.

    Raises
    ------
    ValueError
        If there are keys, but no tensors under them; the message begins with ``where``.

    Examples
    --------
    >>> weights = {"fc.weight": np.ones((3, 4))}
    >>> state_dict_in({"step": np.array(7), "model": weights}) is state_dict_in({"net": {"module": weights}}) is weights
    True
    """
    if found := _find_state_dict(checkpoint, 3):
        return found
    if checkpoint and not any(_is_tensor(checkpoint[key]) for key in checkpoint):
        keys = ", ".join(f"{key!r:.40}" for key in list(checkpoint)[:5])
        raise ValueError(
            f"{where} holds no tensor under its keys {keys}; a state dict is looked for there and under "
            f"{', '.join(STATE_KEYS)}"
        )
    return checkpoint


def _find_state_dict(checkpoint: Mapping[Any, Any], levels: int) -> Mapping[Any, Any] | None:
    for key in STATE_KEYS if levels else ():
        inner = checkpoint.get(key)
        if isinstance(inner, Mapping):
            found = _find_state_dict(inner, levels - 1) or inner
            if any(_is_tensor(found[name]) for name in found):
                beside = [name for name in checkpoint if getattr(checkpoint[name], "ndim", 0) > 1]
                if beside:  # a random state or a step has one dimension at most
                    names = ", ".join(f"{name!r:.40}" for name in beside[:3])
                    warnings.warn(f"the state dict is taken from {key!r}; left out beside it: {names}", stacklevel=2)
                return found
    return None


def _is_tensor(value: Any) -> bool:
    return hasattr(value, "shape") and hasattr(value, "dtype")


def tensors_of_mapping(state: Mapping[str, Any]) -> list[StoredTensor]:
    """The tensors of a state dict, torch's or numpy's, in its own order; values that are no tensors are left out."""
    tensors = []
    for name in state:
        if not isinstance(name, str):
            raise TypeError(f"source has a key {name!r}; the keys of a state dict are names")
        value = state[name]
        if not _is_tensor(value):
            continue
        # A mapping that loads on access (an open .npz) gives a new array each time: keep the name, not the array.
        if state[name] is value:
            tensors.append(tensor_of(name, value, partial(read_in_memory, value), identity=memory_of(value)))
        else:
            tensors.append(tensor_of(name, value, partial(_on_access, state, name)))
    return tensors


def read_in_memory(value: Any, part: Any) -> Matrix:
    """A tensor that is in memory, or a part of it."""
    return as_numpy(value if part is ... else value[part])


def _on_access(state: Mapping[str, Any], name: str, part: Any) -> Matrix:
    return read_in_memory(state[name], part)


def tensor_of(
    name: str, value: Any, read: Callable[[Any], Matrix], layer_type: str | None = None, identity: Hashable = None
) -> StoredTensor:
    """The StoredTensor of a torch tensor or numpy array."""
    return StoredTensor(name, tuple(map(int, value.shape)), _name_of(value.dtype), read, layer_type, identity)


@lru_cache(maxsize=64)  # numpy makes it anew each time
def _name_of(dtype: Any) -> str:
    """The name of torch's or numpy's type, without the byte order: values are brought to the machine's own."""
    return dtype.name if isinstance(dtype, np.dtype) else str(dtype).removeprefix("torch.")


def flattened(tensor: StoredTensor) -> StoredTensor:
    """A tensor of shape (n, ...) as the matrix n x the rest."""
    shape = (tensor.shape[0], math.prod(tensor.shape[1:]))
    return replace(tensor, shape=shape, read=partial(_read_flattened, tensor.read, shape))


def _read_flattened(read: Callable[[Any], Matrix], shape: tuple[int, ...], part: Any) -> Matrix:
    return read(...).reshape(shape)[part]


def bounded(tensor: StoredTensor, size: int) -> StoredTensor:
    """The tensor, or an unreadable one in its place if ``size`` bytes cannot hold what its header claims.

    What is stored in a type that is never widened counts as one bit a value. A side of length 0 counts as 1.

    Examples
    --------
    >>> honest = StoredTensor("fc.weight", (6, 4), "float32", np.ones((6, 4)).__getitem__)
    >>> bounded(honest, 96) is honest
    True
    >>> bounded(StoredTensor("fc.weight", (10**6, 10**6), "float32", np.empty), 1000).read(...)
    Traceback (most recent call last):
        ...
    ValueError: its header claims the shape (1000000, 1000000) of float32, which is too large for 1000 bytes
    """
    name, shape = tensor.name, tensor.shape
    if len(name) > MAX_NAME:
        return unreadable(name, f"its name has {len(name)} characters, at most {MAX_NAME} are read")
    if len(shape) > MAX_SIDES:
        return unreadable(name, f"its header claims {len(shape)} sides, at most {MAX_SIDES} are read")
    negative, empty = min(shape, default=0) < 0, 0 in shape
    values = math.prod([max(side, 1) for side in shape] if empty else shape)
    # A stack without values would still be cut into matrices, one by one: it may not be long.
    bits, held = 1, max(size, 10_000)
    if tensor.dtype in _BITS and not empty:
        bits, held = _BITS[tensor.dtype], max(MAX_GROWTH * size, SMALL)
    elif tensor.dtype in _PACKED and not empty:
        bits, held = _PACKED[tensor.dtype], max(_PACKED_GROWTH * size, _PACKED_SMALL)
    if negative or values * bits > 8 * held:
        claimed = f"its header claims the shape {str(shape[:MAX_SIDES])[:80]} of {tensor.dtype[:40]}"
        wrong = "; a side is a count" if negative else f", which is too large for {size} bytes"
        return unreadable(name, claimed + wrong)
    return tensor


def unreadable(name: str, reason: str) -> StoredTensor:
    """A tensor that is known to be unreadable before it is read: it has no shape to fill, and reading it says why."""
    name = name if len(name) <= MAX_NAME else f"{name[:40]}..."
    return StoredTensor(name, (0, 0), "float32", partial(_refuse, reason))


def _refuse(reason: str, part: Any) -> Matrix:
    raise ValueError(reason)


def rows_of(shape: tuple[int, ...], part: Any) -> tuple[int, tuple[int, ...], Any]:
    """How to read a part of a tensor from a file: its first row, the shape to read, and what index then is left.

    Whole rows (an expert, a third of the outputs) are read alone; of any other part, all.

    Examples
    --------
    >>> rows_of((8, 6, 4), 3), rows_of((6, 4), slice(2, 4)), rows_of((6, 4), (slice(None), slice(2, 4)))
    ((3, (6, 4), Ellipsis), (2, (2, 4), Ellipsis), (0, (6, 4), (slice(None, None, None), slice(2, 4, None))))
    """
    if isinstance(part, int):
        return part, shape[1:], ...
    if isinstance(part, slice):
        first, last, _ = part.indices(shape[0])
        return first, (last - first, *shape[1:]), ...
    return 0, shape, part


def memory_of(value: Any) -> Hashable:
    """Equal for two tensors that are the same memory seen the same way, as tied weights are."""
    try:
        if hasattr(value, "data_ptr"):
            address, strides = value.data_ptr(), tuple(value.stride())
        else:
            address, strides = value.__array_interface__["data"][0], value.strides
    except (AttributeError, RuntimeError, NotImplementedError):  # sparse tensors and the like
        return id(value)
    # Tensors without memory (empty ones, torch's "meta" device) all have address 0.
    return (address, tuple(value.shape), strides) if address and math.prod(value.shape) else id(value)
