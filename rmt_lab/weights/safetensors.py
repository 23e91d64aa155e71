"""A safetensors file: 8 bytes n, n bytes of JSON {name: {dtype, shape, data_offsets}}, then the values.

The format is simple enough to be read directly, which takes one tensor at a time into memory, needs no package and
knows bfloat16, which numpy does not. What the package safetensors refuses is refused here too; so are names that occur
twice, of which the package takes the last.
"""

from __future__ import annotations

import json
import math
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np

from .._arrays import Matrix
from .tensors import MAX_SIDES, StoredTensor, bounded, rows_of, unreadable

#: Bytes of JSON that are read at most: the limit of the package safetensors.
MAX_HEADER = 100_000_000
_CHUNK = 2**21  # values of bfloat16 that are widened at a time
_FLOATS = {  # our name, numpy's little-endian type
    "F64": ("float64", "<f8"),
    "F32": ("float32", "<f4"),
    "F16": ("float16", "<f2"),
    "BF16": ("bfloat16", "<u2"),
}
_PACKED = {  # the parts of quantised weights
    "F8_E4M3": ("float8_e4m3fn", "u1"),
    "F8_E5M2": ("float8_e5m2", "u1"),
    "F8_E8M0": ("float8_e8m0fnu", "u1"),
    "I8": ("int8", "i1"),
    "U8": ("uint8", "u1"),
    "I32": ("int32", "<i4"),
}


def safetensors_tensors(path: Path) -> list[StoredTensor]:
    """The tensors of a safetensors file in its own order, unread.

    A tensor of another type than a float of 16 bits or more may claim a shape that its bytes cannot hold: it alone is
    then unreadable.

    Raises
    ------
    ValueError
        If the file is no safetensors file, is damaged or truncated, or its tensors overlap or leave a gap.
    """
    where, size = f"source={str(path)!r}", path.stat().st_size
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        start = 8 + length
        if start > size or size < 8:
            raise ValueError(f"{where} is no safetensors file, or is truncated: {size} bytes, no header")
        if length > MAX_HEADER:
            raise ValueError(f"{where} is no safetensors file: a header of {length} bytes, at most {MAX_HEADER}")
        try:
            entries = _entries(strict_json(file.read(length)))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"{where} is no safetensors file: its header is not readable ({error!r:.200})") from None
    end = start
    for name, _, _, first, last in sorted(entries, key=lambda entry: entry[3:]):
        if first != end - start or last < first:
            raise ValueError(
                f"{where} is damaged: {name!r:.80} has the bytes {first} to {last}, but the values before it end at "
                f"{end - start}"
            )
        end = start + last
    if end > size:
        raise ValueError(f"{where} is truncated: its header promises {end} bytes, it has {size}")
    if end < size:
        raise ValueError(f"{where} is damaged: its header describes {end} bytes, it has {size}")
    tensors, place = [], path.absolute()
    for name, code, shape, first, last in entries:
        dtype, stored = (_FLOATS | _PACKED).get(code, (code.lower(), "V1"))
        read = partial(_values, place, stored, dtype, shape, start + first)
        known = code in _FLOATS and len(shape) <= MAX_SIDES  # the product of many sides takes for ever
        false = len(shape) <= MAX_SIDES and last - first != np.dtype(stored).itemsize * math.prod(shape)
        if known and false:
            raise ValueError(f"{where} is damaged: {name} has {last - first} bytes for {shape} {dtype}")
        tensor = bounded(StoredTensor(name, shape, dtype, read), size if known else last - first)
        if code in _PACKED and false and tensor.dtype == dtype:
            tensor = unreadable(name, f"its header claims the shape {shape} of {dtype}, it has {last - first} bytes")
        tensors.append(tensor)
    return tensors


def _entries(header: Any) -> list[tuple[str, str, tuple[int, ...], int, int]]:
    """Name, type, shape, first and last byte of every tensor in a header.

    Raises
    ------
    ValueError, KeyError, TypeError, AttributeError
        If something in it is not of the type that it must be.
    """
    notes = header.pop("__metadata__", None)
    if notes is not None and not all(isinstance(value, str) for value in notes.values()):
        raise ValueError("__metadata__ holds something that is no text")
    entries = []
    for name, info in header.items():
        code, shape, (first, last) = info["dtype"], info["shape"], info["data_offsets"]
        if not isinstance(code, str) or not isinstance(shape, list):
            raise ValueError(f"{name!r:.80} has the dtype {code!r:.40} and the shape {shape!r:.40}")
        if any(type(number) is not int for number in (first, last, *shape)):  # True is an int, and 3.0 == 3
            raise ValueError(f"{name!r:.80} has a shape or place that is not made of integers")
        entries.append((name, code, tuple(shape), first, last))
    return entries


def strict_json(data: bytes) -> Any:
    """What UTF-8 JSON says, where every reader of JSON understands the same by it.

    Raises
    ------
    ValueError
        If it is no JSON, a key occurs twice, it holds ``NaN`` or ``Infinity``, half a character, or is nested too deep.

    Examples
    --------
    >>> strict_json(b'{"a": [1, 2.5]}')
    {'a': [1, 2.5]}
    >>> strict_json(b'{"a": 1, "a": 2}')
    Traceback (most recent call last):
        ...
    ValueError: the key 'a' occurs twice
    """
    text = data.decode("utf-8")
    if 4 * (data.count(b"[") + data.count(b"{")) > len(data) + 80:  # empty lists take twenty times their text
        raise ValueError("it consists of brackets")
    try:
        return json.loads(text, object_pairs_hook=_object, parse_constant=_constant)
    except RecursionError:
        raise ValueError("it is nested too deep") from None


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise ValueError(f"the key {key!r:.80} occurs twice")
        key.encode("utf-8")  # half a surrogate pair can neither be printed nor written to a file
        found[key] = value
    return found


def _constant(name: str) -> None:
    raise ValueError(f"{name} is no number of JSON")


def _values(path: Path, stored: str, dtype: str, shape: tuple[int, ...], offset: int, part: Any) -> Matrix:
    first, rows, part = rows_of(shape, part)
    offset += first * math.prod(shape[1:]) * np.dtype(stored).itemsize
    count = math.prod(rows)
    if stored != "<u2":
        values = _read(path, stored, count, offset)
        values = _float8(dtype)[values] if dtype.startswith("float8") else values
        return values.reshape(rows)[part]
    values = np.empty(count, np.uint32)  # bfloat16 is the upper half of a float32
    for i in range(0, count, _CHUNK):
        chunk = values[i : i + _CHUNK]
        np.left_shift(_read(path, stored, len(chunk), offset + 2 * i), 16, out=chunk, dtype=np.uint32)
    return values.view(np.float32).reshape(rows)[part]


def _read(path: Path, stored: str, count: int, offset: int) -> Matrix:
    values = np.fromfile(path, stored, count, offset=offset)  # no memory map: a file cut short kills with it
    if len(values) < count:
        raise ValueError(f"{path.name} has been truncated since its header was read")
    return values


@lru_cache
def _float8(dtype: str) -> Matrix:
    """The values of the 256 codes of an 8-bit float: a sign, exponent e of bias b, mantissa m of n bits.

    (1 + m / 2^n) 2^(e - b), or m / 2^n 2^(1 - b) where e is 0 (Micikevicius et al. 2022, arXiv:2209.05433). e4m3fn has
    no infinity and one NaN of each sign, e5m2 is the upper half of a float16, e8m0 is an exponent alone, 255 is NaN.
    """
    codes = np.arange(256)
    if dtype == "float8_e8m0fnu":
        values = np.ldexp(1.0, codes - 127)
        values[255] = np.nan
    elif dtype == "float8_e5m2":
        values = (codes.astype(np.uint16) << 8).view(np.float16)
    else:
        e, m = codes >> 3 & 15, codes & 7
        values = np.where(e == 0, np.ldexp(m / 8, -6), np.ldexp(1 + m / 8, e - 7)) * np.where(codes < 128, 1, -1)
        values[(codes & 127) == 127] = np.nan
    return values.astype(np.float32)
