"""Tensors by name that are read only when asked for: what every source of weights is brought to first."""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from .._arrays import Matrix, as_numpy


@dataclass(frozen=True)
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
        Gives the values as a numpy array.
    layer_type : str, optional
        Where the source knows it; ``""`` says that the tensor is no weight matrix, None that only its name can tell.
    identity : hashable, optional
        Two tensors of equal identity are one and the same (tied); None where the source cannot tell.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    read: Callable[[], Matrix]
    layer_type: str | None = None
    identity: Hashable = None


def tensors_of_mapping(state: Mapping[str, Any]) -> list[StoredTensor]:
    """The tensors of a state dict, torch's or numpy's, in its own order; values that are no tensors are left out."""
    tensors = []
    for name in state:
        if not isinstance(name, str):
            raise TypeError(f"source has a key {name!r}; the keys of a state dict are names")
        value = state[name]
        if not (hasattr(value, "shape") and hasattr(value, "dtype")):
            continue
        # A mapping that loads on access (an open .npz) gives a new array each time: keep the name, not the array.
        if state[name] is value:
            tensors.append(tensor_of(name, value, partial(as_numpy, value), identity=memory_of(value)))
        else:
            tensors.append(tensor_of(name, value, partial(state.__getitem__, name)))
    return tensors


def tensors_of_module(model: Any) -> list[StoredTensor]:
    """The parameters of a torch module, in the order in which it registers them; no buffers."""
    tensors = []
    for path, module in model.named_modules():
        for name, value in module.named_parameters(recurse=False):
            full = f"{path}.{name}" if path else name
            kind = _module_type(module, value.ndim) if name == "weight" else None
            tensors.append(tensor_of(full, value, partial(as_numpy, value), kind, memory_of(value)))
    return tensors


def tensor_of(
    name: str, value: Any, read: Callable[[], Matrix], layer_type: str | None = None, identity: Hashable = None
) -> StoredTensor:
    """The StoredTensor of a torch tensor or numpy array."""
    own = value.dtype  # a name without the byte order, which the values are brought to the machine's in
    dtype = own.name if isinstance(own, np.dtype) else str(own).removeprefix("torch.")
    return StoredTensor(name, tuple(int(n) for n in value.shape), dtype, read, layer_type, identity)


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


def _module_type(module: Any, ndim: int) -> str | None:
    """WeightWatcher's lower-case name for the class of a module; "" for norms, None for classes not known."""
    classes = [cls.__name__ for cls in type(module).__mro__]
    if any(name.endswith("Norm") for name in classes):
        return ""
    for name in classes:
        if name in ("Linear", "Conv1D"):  # Conv1D is transformers' Linear, stored transposed
            return "dense"
        if name.startswith("Embedding"):
            return "embedding"
        if name.startswith("Conv") and 3 <= ndim <= 5:
            return f"conv{ndim - 2}d"
    return None
