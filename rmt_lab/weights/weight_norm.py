"""Weight normalisation in a state dict: direction v and length g of each output -> the weight.

    W = g v / ||v||, the norm over all axes but those of g

(Salimans & Kingma 2016, arXiv:1602.07868). torch calls them ``weight_g`` and ``weight_v``, since version 2
``parametrizations.weight.original0`` and ``original1``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from .._arrays import Matrix
from .tensors import StoredTensor, unreadable

_ORIGINAL = re.compile(r"(^|\.)parametrizations\.(\w+)\.original([01]?)$")


def normalised(tensors: Iterable[StoredTensor]) -> list[StoredTensor]:
    """The tensors of a state dict, each weight that is normalised as one; its parts are marked as no weights.

    Examples
    --------
    >>> state = {"fc.weight_g": np.array([[10.0]]), "fc.weight_v": np.array([[3.0, 4.0]])}
    >>> tensors = normalised([StoredTensor(k, v.shape, v.dtype.name, v.__getitem__) for k, v in state.items()])
    >>> [(t.name, t.layer_type) for t in tensors], tensors[1].read(...).tolist()
    ([('fc.weight_g', ''), ('fc.weight', None)], [[6.0, 8.0]])
    """
    tensors = list(tensors)
    held = {t.name: t for t in tensors if t.name.endswith(("weight_g", "weight_v")) or "parametrizations." in t.name}
    if not held:
        return tensors
    return [made for tensor in tensors if (made := _normalised(tensor, held)) is not None]


def _normalised(tensor: StoredTensor, held: dict[str, StoredTensor]) -> StoredTensor | None:
    name = tensor.name
    if match := _ORIGINAL.search(name):
        weight = f"{name[: match.start()]}{match[1]}{match[2]}"
        stem = name[: len(name) - len(match[3])]
        if match[3] == "" or f"{stem}1" not in held or f"{stem}0" not in held:
            why = "it is parametrised, and a state dict does not say by what function; pass the model itself"
            return unreadable(weight, why) if len(tensor.shape) > 1 else replace(tensor, layer_type="")
        if match[3] == "0":
            return replace(tensor, layer_type="")
        g = held[f"{stem}0"]
    elif "parametrizations." in name or (name.endswith("weight_g") and f"{name[:-1]}v" in held):
        return replace(tensor, layer_type="")
    elif name.endswith("weight_v") and f"{name[:-1]}g" in held:
        weight, g = name[:-2], held[f"{name[:-1]}g"]
    else:
        return tensor
    fits = len(g.shape) == len(tensor.shape) and all(a in (1, b) for a, b in zip(g.shape, tensor.shape, strict=True))
    if not fits and g.shape != ():
        return unreadable(weight, f"its part {g.name} has shape {g.shape}, which does not fit {tensor.shape}")
    return StoredTensor(weight, tensor.shape, tensor.dtype, partial(_read_normalised, g, tensor), tensor.layer_type)


def _read_normalised(g: StoredTensor, v: StoredTensor, part: Any) -> Matrix:
    size, direction = g.read(...), v.read(...)
    axes = tuple(axis for axis in range(direction.ndim) if size.ndim == 0 or size.shape[axis] == 1)
    norm = np.sqrt(np.sum(np.square(direction, dtype=np.float64), axis=axes, keepdims=True))
    with np.errstate(all="ignore"):  # a row of zeros has no direction: NaN is passed on
        return (direction * (size / norm)).astype(direction.dtype)[part]
