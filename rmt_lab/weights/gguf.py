"""A GGUF file, llama.cpp's format: quantised values, widened to float32 when a tensor is read.

Layout (integers little-endian): "GGUF", version, number of tensors and of metadata pairs; the pairs; name, sides
(innermost first), quantisation and offset of every tensor; then the values, aligned. Only that header is read here;
what the codes mean and how values are widened is the package gguf's. (Its own reader builds an object for every word of
the vocabulary, which takes seconds, and does not notice where a damaged file ends.)
"""

from __future__ import annotations

import math
import mmap
import struct
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from .._arrays import Matrix
from .tensors import StoredTensor

_SIZES = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}  # bytes of the scalar types
_STRING, _ARRAY = 8, 9


class _Cursor:
    """A place in the file that moves on as it is read."""

    def __init__(self, data: mmap.mmap) -> None:
        self.data, self.at = data, 0

    def take(self, code: str) -> Any:
        (value,) = struct.unpack_from("<" + code, self.data, self.at)  # struct.error past the end of the file
        self.at += struct.calcsize("<" + code)
        return value

    def text(self) -> str:
        return str(self.take(f"{self.take('Q')}s"), "utf-8")

    def skip(self, kind: int) -> None:
        """Pass over one metadata value."""
        if kind in _SIZES:
            self.at += _SIZES[kind]
        elif kind == _STRING:
            length = self.take("Q")
            self.at += length
        elif kind == _ARRAY:
            inner, count = self.take("I"), self.take("Q")
            if inner in _SIZES:
                self.at += _SIZES[inner] * count
            else:
                for _ in range(count):  # each takes 8 bytes or more, so that a false count ends with the file
                    self.skip(inner)
        else:
            raise ValueError(f"metadata of unknown type {kind}")


def gguf_tensors(path: Path, gguf: Any) -> list[StoredTensor]:
    """The tensors of a GGUF file in its own order, unread; ``gguf`` is the package.

    Raises
    ------
    ValueError
        If the file is no GGUF file, or is damaged or truncated.
    """
    try:
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            return _tensors(path, _Cursor(data), gguf)
    except struct.error:
        raise ValueError(
            f"source={str(path)!r} is no GGUF file, or is damaged or truncated within its header"
        ) from None
    except (ValueError, KeyError, OverflowError, RecursionError, ZeroDivisionError) as error:
        raise ValueError(f"source={str(path)!r} is no GGUF file, or is damaged or truncated: {error}") from None


def _tensors(path: Path, cursor: _Cursor, gguf: Any) -> list[StoredTensor]:
    if cursor.take("4s") != b"GGUF":
        raise ValueError("it does not begin with GGUF")
    if (version := cursor.take("I")) not in (2, 3):
        raise ValueError(f"version {version}; versions 2 and 3 can be read")
    count, pairs, alignment = cursor.take("Q"), cursor.take("Q"), 32
    for _ in range(pairs):
        key, kind = cursor.text(), cursor.take("I")
        if key == "general.alignment":
            alignment = struct.unpack_from("<I", cursor.data, cursor.at)[0]
        cursor.skip(kind)
    headers = []
    for _ in range(count):
        name = cursor.text()
        shape = tuple(cursor.take("Q") for _ in range(cursor.take("I")))[::-1]
        headers.append((name, shape, gguf.GGMLQuantizationType(cursor.take("I")), cursor.take("Q")))
    start = -(-cursor.at // alignment) * alignment
    tensors = []
    for name, shape, code, offset in headers:
        per_block, width = gguf.GGML_QUANT_SIZES[code]
        if start + offset + math.prod(shape) // per_block * width > len(cursor.data):
            raise ValueError(f"it ends before the values of {name}")
        dtype = code.name.lower() if code.name.startswith("I") and code.name[1:].isdigit() else "float32"
        tensors.append(StoredTensor(name, shape, dtype, partial(_values, path, shape, code, start + offset, gguf)))
    return tensors


def _values(path: Path, shape: tuple[int, ...], code: Any, offset: int, gguf: Any) -> Matrix:
    stored = gguf.quants.quant_shape_to_byte_shape(shape, code)
    packed = np.fromfile(path, np.uint8, math.prod(stored), offset=offset).reshape(stored)
    return np.asarray(gguf.quants.dequantize(packed, code), dtype=np.float32).reshape(shape)
