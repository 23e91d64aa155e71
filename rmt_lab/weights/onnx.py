"""An ONNX file: a graph, and its constants ("initializers"); the package onnx reads it, and nothing is executed.

What a constant is, the graph tells by its use:

=============================  =======================================================================================
``MatMul(x, W)``               W is inputs x outputs, and is given as outputs x inputs
``Gemm(x, W)``                 the same; with ``transB`` W is outputs x inputs
``Conv``, ``ConvTranspose``    a kernel, as torch stores it
``Gather(W, i)``               an embedding
``LSTM``, ``GRU``, ``RNN``     of the inputs and of the state: gates x inputs, one per direction
=============================  =======================================================================================

Everything else (biases, norms, shapes) is no weight. Where an exporter named a constant ``onnx::MatMul_42``, the name
of the operation stands for it (``/encoder/layer.0/query/MatMul`` gives ``encoder.layer.0.query``).
"""

from __future__ import annotations

import importlib
import re
from functools import lru_cache, partial
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from .._arrays import Matrix, as_numpy
from .tensors import StoredTensor, bounded, unreadable

_PASSED_ON = ("Identity", "Cast", "Transpose")  # of a constant it makes the same constant, or its transpose
_QUANTISED = ("DequantizeLinear", "MatMulInteger", "QLinearMatMul", "QLinearConv", "ConvInteger", "MatMulNBits")
_RECURRENT = ("LSTM", "GRU", "RNN")


def onnx_tensors(path: Path, onnx: Any) -> list[StoredTensor]:
    """The constants of an ONNX graph in the order of their use, unread; ``onnx`` is the package.

    Raises
    ------
    ValueError
        If the file is no ONNX file, is damaged or truncated.
    """
    try:
        graph = _model(path.absolute(), path.stat().st_mtime_ns).graph
        constants = {constant.name: constant for constant in graph.initializer}
        if not graph.node:
            raise ValueError("it has no graph")
        uses = _uses(graph, constants)
        return _tensors(path, onnx, constants, uses)
    except Exception as error:  # protobuf's DecodeError is no ValueError
        raise ValueError(f"source={str(path)!r} is no ONNX file, or is damaged or truncated: {error!r:.300}") from None


@lru_cache(maxsize=1)  # it is in memory as a whole
def _model(path: Path, _: int) -> Any:
    return importlib.import_module("onnx").load(str(path), load_external_data=False)


def _uses(graph: Any, constants: dict[str, Any]) -> dict[str, tuple[str, bool, str]]:
    """By which operation each constant is used first as a weight, if it is transposed there, and under what name."""
    passed: dict[str, tuple[str, bool]] = {name: (name, False) for name in constants}
    uses: dict[str, tuple[str, bool, str]] = {}
    for node in graph.node:
        inputs = list(node.input)
        if node.op_type in _PASSED_ON and inputs and inputs[0] in passed and node.output:
            name, turned = passed[inputs[0]]
            passed[node.output[0]] = (name, turned != (node.op_type == "Transpose"))
            continue
        if node.op_type in ("MatMul", "Gemm", "Conv", "ConvTranspose"):
            wanted = inputs[1:2]
        elif node.op_type == "Gather":
            wanted = inputs[:1]
        elif node.op_type in _RECURRENT:
            wanted = inputs[1:3]
        else:
            wanted = inputs if node.op_type in _QUANTISED else []
        trans = any(attribute.name == "transB" and attribute.i for attribute in node.attribute)
        for i, entry in enumerate(wanted):
            if entry in passed:
                name, turned = passed[entry]
                turned ^= node.op_type == "MatMul" or (node.op_type == "Gemm" and not trans)
                suffix = (".input", ".state")[i] if node.op_type in _RECURRENT else ""
                uses.setdefault(name, (node.op_type, turned, f"{_path(node.name, node.op_type)}{suffix}"))
    return uses


def _path(name: str, operation: str) -> str:
    """The path of a module from the name that exporters give its operation."""
    path = re.sub(rf"/?{operation}(_\d+)?$", "", name).strip("/")
    return ".".join(part for part in path.split("/") if part) or name.strip("/")


def _tensors(
    path: Path, onnx: Any, constants: dict[str, Any], uses: dict[str, tuple[str, bool, str]]
) -> list[StoredTensor]:
    folder, size, taken = path.parent, path.stat().st_size, set(constants)
    tensors = []
    for name in [*uses, *(name for name in constants if name not in uses)]:
        constant = constants[name]
        operation, turned, used_as = uses.get(name, ("", False, ""))
        title = name
        if operation and used_as and (name.startswith("onnx::") or "." not in name):
            title = f"{used_as}.weight"
            if title in taken:
                title = name
            taken.add(title)
        shape = tuple(map(int, constant.dims))
        try:
            dtype = onnx.helper.tensor_dtype_to_np_dtype(constant.data_type).name
        except (KeyError, ValueError, TypeError):
            tensors.append(unreadable(title, f"it is of ONNX's type {constant.data_type}, which is not known"))
            continue
        place: tuple[str, int] | None = None
        if constant.data_location == onnx.TensorProto.EXTERNAL:
            outside = _external(constant, folder)
            if isinstance(outside, str):
                tensors.append(unreadable(title, outside))
                continue
            place = outside[:2]
            held = outside[2]
        else:
            held = size
        if operation in _QUANTISED and len(shape) > 1:
            tensors.append(unreadable(title, f"{operation} computes with {dtype}; export the model in float32 instead"))
            continue
        kind = _layer_type(operation, shape)
        read = partial(_values, path.absolute(), path.stat().st_mtime_ns, name, place, dtype, shape, turned)
        tensor = bounded(StoredTensor(title, shape, dtype, read, kind), held)
        if operation in _RECURRENT and len(shape) == 3 and tensor.read is read:
            for direction, suffix in enumerate(("", ".reverse")[: shape[0]]):
                one = partial(_one_direction, read, direction)
                tensors.append(StoredTensor(f"{title.removesuffix('.weight')}{suffix}", shape[1:], dtype, one, kind))
            continue
        if turned and len(shape) == 2 and tensor.read is read:
            tensor = StoredTensor(title, shape[::-1], dtype, read, kind)
        tensors.append(tensor)
    return tensors


def _layer_type(operation: str, shape: tuple[int, ...]) -> str:
    if operation in ("Conv", "ConvTranspose") and 3 <= len(shape) <= 5:
        return f"conv{len(shape) - 2}d"
    if operation == "Gather":
        return "embedding" if len(shape) == 2 else ""
    return "dense" if operation else ""


def _external(constant: Any, folder: Path) -> tuple[str, int, int] | str:
    """File, offset and size of the values that lie beside the graph; or why they are not read."""
    entries = {entry.key: entry.value for entry in constant.external_data}
    location = entries.get("location", "")
    parts = PurePosixPath(location).parts
    if not parts or ".." in parts or location.startswith("/") or "\\" in location or ":" in location:
        return f"its values lie outside of the folder, in {location!r:.80}"
    file = folder / location
    if not file.is_file():
        return f"its values lie in {location!r:.80}, which is missing"
    try:
        offset = int(entries.get("offset", 0))
    except ValueError:
        offset = -1
    if offset < 0:
        return f"its values lie at {entries['offset']!r:.40} of {location!r:.80}"
    return str(file.absolute()), offset, file.stat().st_size


def _values(
    path: Path,
    changed: int,
    name: str,
    place: tuple[str, int] | None,
    dtype: str,
    shape: tuple[int, ...],
    turned: bool,
    part: Any,
) -> Matrix:
    onnx = importlib.import_module("onnx")
    constant = next(c for c in _model(path, changed).graph.initializer if c.name == name)
    if place is None:
        values = as_numpy(onnx.numpy_helper.to_array(constant))
    else:
        own = onnx.helper.tensor_dtype_to_np_dtype(constant.data_type)
        count = int(np.prod(shape, dtype=np.int64))
        values = as_numpy(np.fromfile(place[0], own, count, offset=place[1]).reshape(shape))
    return (values.T if turned and len(shape) == 2 else values)[part]


def _one_direction(read: Any, direction: int, part: Any) -> Matrix:
    return read(...)[direction][part]
