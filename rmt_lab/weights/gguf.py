"""A GGUF file, llama.cpp's format: quantised values, widened to float32 when a tensor is read.

Layout (integers little-endian): "GGUF", version, number of tensors and of metadata pairs; the pairs; name, sides
(innermost first), quantisation and offset of every tensor; then the values, aligned. Only that header is read here;
what the codes mean and how values are widened is the package gguf's. (Its own reader builds an object for every word of
the vocabulary, which takes seconds, and does not notice where a damaged file ends.)
"""

from __future__ import annotations

import importlib
import math
import mmap
import re
import struct
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from .._arrays import Matrix
from .tensors import MAX_SIDES, StoredTensor, bounded, rows_of, unreadable

_SIZES = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}  # bytes of the scalar types
_UINT16, _UINT32, _STRING, _ARRAY = 2, 4, 8, 9


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
            if count > len(self.data):  # an element takes a byte or more
                raise ValueError(f"an array of {count} elements")
            if inner in _SIZES:
                self.at += _SIZES[inner] * count
            else:
                for _ in range(count):
                    self.skip(inner)
        else:
            raise ValueError(f"metadata of unknown type {kind}")


def gguf_tensors(path: Path, gguf: Any) -> list[StoredTensor]:
    """The tensors of a GGUF file in its own order, unread; ``gguf`` is the package.

    A file that says it is one of several (``split.count``) stands for all of them, which lie beside it under the names
    that llama.cpp gives them: ``model-00001-of-00003.gguf``.

    Raises
    ------
    FileNotFoundError
        If one of several files is missing.
    ValueError
        If the file is no GGUF file, or is damaged or truncated; if two of several files hold the same tensor.
    """
    tensors, count = _one_file(path, gguf)
    if count < 2:
        return tensors
    named = split_name(path.name)
    if named is None or named[1] != count:
        raise ValueError(
            f"source={str(path)!r} is one of {count} files of a model; to find the others it must have the name that "
            f"llama.cpp gave it, such as model-00001-of-{count:05d}.gguf"
        )
    files = [path.with_name(f"{named[0]}-{i + 1:05d}-of-{count:05d}.gguf") for i in range(count)]
    if missing := [file.name for file in files if not file.exists()]:
        raise FileNotFoundError(f"source={str(path)!r}: {missing[0]}, one of {count} files of the model, is missing")
    found: dict[str, StoredTensor] = {}
    for file in files:
        part, counted = _one_file(file, gguf)
        if counted != count:
            raise ValueError(f"source={str(file)!r} says it is one of {counted} files, {path.name} says {count}")
        if twice := [tensor.name for tensor in part if tensor.name in found]:
            raise ValueError(f"source={str(file)!r} holds {twice[0]!r:.80}, which another file of the model holds too")
        found |= {tensor.name: tensor for tensor in part}
    return list(found.values())


def split_name(name: str) -> tuple[str, int] | None:
    """What a file's name says if it is one of several of a model: what they share, and how many there are.

    Examples
    --------
    >>> split_name("small-Q4_K-00002-of-00003.gguf"), split_name("small.gguf")
    (('small-Q4_K', 3), None)
    """
    match = re.fullmatch(r"(.+)-\d{5}-of-(\d{5})\.gguf", name)
    return (match[1], int(match[2])) if match else None


def _one_file(path: Path, gguf: Any) -> tuple[list[StoredTensor], int]:
    """The tensors of one file, and of how many files it says it is one (0 if it does not)."""
    try:
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            return _tensors(path, _Cursor(data), gguf)
    except struct.error:
        raise ValueError(
            f"source={str(path)!r} is no GGUF file, or is damaged or truncated within its header"
        ) from None
    except (ValueError, KeyError, OverflowError, RecursionError, ZeroDivisionError) as error:
        raise ValueError(f"source={str(path)!r} is no GGUF file, or is damaged or truncated: {error}") from None


def _tensors(path: Path, cursor: _Cursor, gguf: Any) -> tuple[list[StoredTensor], int]:
    if cursor.take("4s") != b"GGUF":
        raise ValueError("it does not begin with GGUF")
    if (version := cursor.take("I")) not in (2, 3):
        raise ValueError(f"version {version}; versions 2 and 3 can be read")
    count, pairs, alignment, files = cursor.take("Q"), cursor.take("Q"), 32, 0
    keys = set()
    for _ in range(pairs):  # each takes 12 bytes or more, so that a false count ends with the file
        key, kind = cursor.text(), cursor.take("I")
        if key in keys:
            raise ValueError(f"the key {key!r:.80} occurs twice")
        keys.add(key)
        if key == "general.alignment":
            alignment = struct.unpack_from("<I", cursor.data, cursor.at)[0]
            if kind != _UINT32 or alignment.bit_count() != 1:
                raise ValueError(f"the alignment {alignment}; it is a power of two")
        if key == "split.count" and kind == _UINT16:
            files = struct.unpack_from("<H", cursor.data, cursor.at)[0]
        cursor.skip(kind)
    headers = []
    for _ in range(count):
        name, sides = cursor.text(), cursor.take("I")
        if sides > MAX_SIDES:
            raise ValueError(f"{name!r:.80} has {sides} sides; ggml allows 4")
        shape = tuple(cursor.take("Q") for _ in range(sides))[::-1]
        headers.append((name, shape, cursor.take("I"), cursor.take("Q")))
    if len({header[0] for header in headers}) < len(headers):
        raise ValueError("two tensors have the same name")
    start, size = -(-cursor.at // alignment) * alignment, len(cursor.data)
    tensors, spans = [], []
    for name, shape, number, offset in headers:
        try:
            code = gguf.GGMLQuantizationType(number)
            per_block, width = gguf.GGML_QUANT_SIZES[code]
        except (ValueError, KeyError):
            tensors.append(unreadable(name, f"it is of ggml's type {number}, which the package gguf does not know"))
            continue
        if shape and shape[-1] % per_block:
            tensors.append(unreadable(name, f"a row of {shape[-1]} values is not made of blocks of {per_block}"))
            continue
        length = math.prod(shape) // per_block * width
        if start + offset + length > size:
            raise ValueError(f"it ends before the values of {name}")
        spans += [(offset, offset + length)] * (length > 0)
        dtype = code.name.lower() if code.name.startswith("I") and code.name[1:].isdigit() else "float32"
        read = partial(_values, path.absolute(), shape, code, start + offset)
        # Exact so far, but for sides of length 0. Widened, 1.56 bits a value become 32.
        tensors.append(bounded(StoredTensor(name, shape, dtype, read), 3 * size))
    if any(begin < end for (_, end), (begin, _) in pairwise(sorted(spans))):
        raise ValueError("two tensors overlap")
    return tensors, files


def _values(path: Path, shape: tuple[int, ...], code: Any, offset: int, part: Any) -> Matrix:
    gguf = importlib.import_module("gguf")  # here, since a module does not travel to another process
    stored = gguf.quants.quant_shape_to_byte_shape(shape, code)
    first, width, _ = rows_of(stored, part)
    _, shape, rest = rows_of(shape, part)
    packed = np.fromfile(path, np.uint8, math.prod(width), offset=offset + first * math.prod(stored[1:]))
    if code.name == "F64":  # which the package cannot widen
        return np.asarray(packed.view("<f8"), dtype=np.float32).reshape(shape)[rest]
    with np.errstate(all="ignore"):  # infinities and NaN are passed on
        values = gguf.quants.dequantize(packed.reshape(width), code)
    return np.asarray(values, dtype=np.float32).reshape(shape)[rest]
