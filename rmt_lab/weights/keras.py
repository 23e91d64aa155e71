"""Keras' files: ``.keras`` (a zip archive with ``model.weights.h5``), ``.weights.h5``, and the older ``.h5``.

All weights lie in an HDF5 file, which the package h5py reads. Keras 3 stores a variable by the class of its layer and
its number there (``layers/conv2d_1/vars/0``), older files by name (``conv/kernel:0``). Nothing else of the model is
looked at, so that no layer is made and no code of a Lambda layer runs.

Kernels are brought to the axes of torch: a dense one to outputs x inputs, a convolution to outputs x inputs x window
(Keras stores inputs x outputs, and window x inputs x outputs), a depthwise one to (inputs x multiplier) x 1 x window.
Query, key and value of Keras' attention, inputs x heads x size, become one matrix with the heads one after another.
"""

from __future__ import annotations

import importlib
import json
import re
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from .._arrays import Matrix, as_numpy
from .tensors import StoredTensor, bounded, unreadable

_MEMBER = "model.weights.h5"
_MAX_DEPTH, _MAX_CONFIG = 30, 50_000_000
_RECURRENT = ("lstm", "gru", "simple_rnn", "cell")


def keras_tensors(path: Path, h5py: Any) -> list[StoredTensor]:
    """The variables of a Keras file, unread; ``h5py`` is the package.

    Raises
    ------
    ValueError
        If the file is no Keras file, is damaged or truncated, or links to another file or place.
    """
    size = path.stat().st_size
    try:
        with _opened(path, h5py) as file:
            old = "model_weights" in file or "layer_names" in file.attrs
            root = file.get("model_weights", file)
            found = dict(_datasets(root, "", h5py, set(), 0))
            classes = _classes(path, file)
            names = _old_names(found, classes) if old else _new_names(found, root)
            if not old and classes:  # those groups are in the order of the alphabet
                rank = {layer: i for i, layer in enumerate(classes)}
                found = dict(
                    sorted(found.items(), key=lambda item: rank.get(names[item[0]][0].split(".")[0], len(rank)))
                )
            return [
                _tensor(path.absolute(), f"{root.name.rstrip('/')}/{place}", names[place], data, size)
                for place, data in found.items()
            ]
    except Exception as error:  # damaged bytes come up as anything: OSError, RuntimeError, KeyError, UnicodeDecodeError
        what = str(error) if type(error) is ValueError else repr(error)
        raise ValueError(f"source={str(path)!r} is no Keras file, or is damaged or truncated: {what:.300}") from None


@contextmanager
def _opened(path: Path, h5py: Any) -> Iterator[Any]:
    with path.open("rb") as file:
        magic = file.read(4)
    if magic != b"PK\x03\x04":
        with h5py.File(path, "r") as file:
            yield file
        return
    with zipfile.ZipFile(path) as archive:
        member = archive.getinfo(_MEMBER)
        if member.compress_type != zipfile.ZIP_STORED:
            raise ValueError(f"its {_MEMBER} is compressed, which Keras does not write")
        with archive.open(member) as stream, h5py.File(stream, "r") as file:
            yield file


def _classes(path: Path, file: Any) -> dict[str, str]:
    """The classes of the layers that the model's configuration lists, in its order; nothing where there is none."""
    text: Any = file.attrs.get("model_config", "")
    if path.suffix.lower() == ".keras":
        with zipfile.ZipFile(path) as archive:
            info = archive.getinfo("config.json")
            text = archive.read(info) if info.file_size <= _MAX_CONFIG else ""
    try:
        layers = json.loads(text)["config"]["layers"]
        return {str(layer["config"]["name"]): str(layer["class_name"]) for layer in layers}
    except (ValueError, KeyError, TypeError, RecursionError):  # a model of a class of its own lists no layers
        return {}


def _datasets(group: Any, prefix: str, h5py: Any, above: set[Any], depth: int) -> Iterator[tuple[str, Any]]:
    """Every dataset below a group by its path there; links that lead elsewhere are refused."""
    address = h5py.h5o.get_info(group.id).addr
    if address in above or depth > _MAX_DEPTH:
        raise ValueError(f"its group {group.name!r:.80} holds itself, or is nested too deep")
    keys = list(group)
    if prefix == "" and "layer_names" in group.attrs:
        order = {_text(name): i for i, name in enumerate(group.attrs["layer_names"])}
        keys.sort(key=lambda key: order.get(key, len(order)))
    keys.sort(key=lambda key: int(key) if key.isdecimal() and len(key) < 9 else -1)
    for key in keys:
        if not isinstance(group.get(key, getlink=True), h5py.HardLink):
            raise ValueError(f"{prefix + key!r:.80} is a link to another file or place")
        item = group[key]
        if isinstance(item, h5py.Group):
            if not (prefix == "" and key in ("optimizer", "optimizer_weights")):
                yield from _datasets(item, f"{prefix}{key}/", h5py, above | {address}, depth + 1)
        elif isinstance(item, h5py.Dataset):
            yield prefix + key, item


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


def _old_names(found: dict[str, Any], classes: dict[str, str]) -> dict[str, tuple[str, str]]:
    """Name and class of every variable of an older file; the class is what its name tells."""
    names = {}
    for place in found:
        path = place.partition("/")[2] if place.count("/") > 1 else place  # the layer, then the names of its variables
        *layers, variable = re.sub(r":\d+$", "", path.replace("_._", ".")).split("/")
        kind = f"{classes.get(layers[0], '') if layers else ''}.{'.'.join(layers)}.{variable}"
        names[place] = (".".join([*layers, _VARIABLES.get(variable, variable)]), kind)
    return names


_VARIABLES = {
    "kernel": "weight",
    "embeddings": "weight",
    "recurrent_kernel": "recurrent.weight",
    "depthwise_kernel": "depthwise.weight",
    "pointwise_kernel": "pointwise.weight",
}


def _new_names(found: dict[str, Any], root: Any) -> dict[str, tuple[str, str]]:
    """Name and class of every variable of a file of Keras 3, whose layers tell their own names."""
    names = {}
    for place in found:
        *groups, _, number = place.split("/")  # layers/conv2d_1/vars/0
        layers = []
        for i, group in enumerate(groups):
            variables = root.get("/".join([*groups[: i + 1], "vars"]))
            own = variables.attrs.get("name") if variables is not None else None
            if own is not None or group not in ("layers", "_layers"):
                layers.append(group if own is None else _text(own))
        kind = re.sub(r"_\d+$", "", groups[-1]) if groups else ""
        variable = f"variable_{number}"
        if kind.startswith("separable") and number in ("0", "1"):
            variable = ("depthwise", "pointwise")[int(number)] + "_kernel"
        elif any(part in kind for part in _RECURRENT) and number in ("0", "1"):
            variable = ("kernel", "recurrent_kernel")[int(number)]
        elif number == "0":
            variable = "kernel"
        elif number == "1" and re.search("dense|conv", kind):
            variable = "bias"
        names[place] = (
            ".".join([*layers, _VARIABLES.get(variable, variable)]),
            f"{kind}.{'.'.join(layers)}.{variable}",
        )
    return names


def _tensor(path: Path, place: str, names: tuple[str, str], data: Any, size: int) -> StoredTensor:
    name, kind = names
    if data.is_virtual or data.external:
        return unreadable(name, "its values lie in another file")
    shape, dtype = tuple(map(int, data.shape or ())), data.dtype.name
    if data.dtype.hasobject:
        return StoredTensor(name, shape, "object", partial(_values, path, place, None, shape), "")
    order, brought, layer_type = _torch_axes(shape, name, kind.lower())
    read = partial(_values, path, place, order, brought)
    stored = bounded(StoredTensor(name, shape, dtype, read, layer_type), size)
    return stored if stored.read is not read else StoredTensor(name, brought, dtype, read, layer_type)


def _torch_axes(
    shape: tuple[int, ...], name: str, kind: str
) -> tuple[tuple[int, ...] | None, tuple[int, ...], str | None]:
    """In which order torch has the axes of a kernel, the shape it then has, and the layer's type."""
    n = len(shape)
    last = name.removesuffix(".weight").rpartition(".")[2]
    if not name.endswith(".weight") or n < 2:
        return None, shape, None
    if n == 2:
        embedding = kind.split(".")[0].endswith("embedding") or kind.endswith(".embeddings")
        return (None, shape, "embedding") if embedding else ((1, 0), shape[::-1], None)
    if n == 3 and re.fullmatch(r"query|key|value", last):
        return (1, 2, 0), (shape[1] * shape[2], shape[0]), None
    if n == 3 and last == "attention_output":
        return (2, 0, 1), (shape[2], shape[0] * shape[1]), None
    if n == 3 and "conv" not in kind:
        return None, shape, None
    window = tuple(range(n - 2))
    sides = tuple(shape[axis] for axis in window)
    if "depthwise" in kind:
        return (n - 2, n - 1, *window), (shape[-2] * shape[-1], 1, *sides), f"conv{n - 2}d"
    return (n - 1, n - 2, *window), (shape[-1], shape[-2], *sides), f"conv{n - 2}d"


def _values(path: Path, place: str, order: tuple[int, ...] | None, shape: tuple[int, ...], part: Any) -> Matrix:
    with _opened(path, importlib.import_module("h5py")) as file:
        values = as_numpy(file[place][()])
    if order is not None:
        values = np.ascontiguousarray(values.transpose(order)).reshape(shape)
    return values[part]
