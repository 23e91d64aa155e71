"""numpy's files: one array (``.npy``), or a zip archive of them (``.npz``). Only headers are read here.

An array of an ``.npz`` file may take at most ten times the bytes of the file, or 4 MB where the file is small.
Compressed zeros take a thousandth of their size, so that a small file could otherwise fill the memory.
"""

from __future__ import annotations

import math
import zipfile
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib import format as npy_format

from .._arrays import Matrix, as_numpy
from .tensors import StoredTensor, bounded, unreadable


def npz_tensors(path: Path) -> list[StoredTensor]:
    """The arrays of an ``.npz`` archive in its own order, unread.

    Raises
    ------
    ValueError
        If the file is no archive, is damaged or truncated, or holds Python objects.
    """
    tensors, size = [], path.stat().st_size
    try:
        with zipfile.ZipFile(path) as archive:
            if len(set(archive.namelist())) < len(archive.namelist()):
                raise ValueError("two arrays have the same name")
            for member in archive.infolist():
                if member.filename.endswith(".npy"):
                    tensors.append(_tensor_of_member(path, archive, member, size))
    except Exception as error:  # damaged bytes come up as anything: zlib.error, TokenError, NotImplementedError
        raise ValueError(f"source={str(path)!r} is no .npz file, or is damaged or truncated: {error}") from None
    return tensors


def npy_tensors(path: Path) -> list[StoredTensor]:
    """The array of an ``.npy`` file, unread.

    Raises
    ------
    ValueError
        If the file is no ``.npy`` file, is damaged or truncated, or holds Python objects.
    """
    try:
        with path.open("rb") as file:
            shape, dtype = _header(file)
            promised, size = file.tell() + dtype.itemsize * math.prod(shape), path.stat().st_size
        if promised > size:
            raise ValueError(f"its header promises {promised} bytes, it has {size}")
    except Exception as error:  # the header is a Python literal: damaged, it comes up as anything
        raise ValueError(f"source={str(path)!r} is no .npy file that can be read: {error}") from None
    read = partial(_read_npy, path.absolute())
    return [bounded(StoredTensor(path.stem, shape, dtype.name, read), size)]


def _tensor_of_member(path: Path, archive: zipfile.ZipFile, member: zipfile.ZipInfo, size: int) -> StoredTensor:
    name = member.filename.removesuffix(".npy")
    if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):  # all that numpy writes
        return unreadable(name, f"it is compressed by method {member.compress_type} of zip; numpy writes 0 and 8")
    with archive.open(member) as file:
        shape, dtype = _header(file)
        promised = file.tell() + dtype.itemsize * math.prod(shape)
    if promised != member.file_size:
        return unreadable(name, f"its header promises {promised} bytes, the archive has {member.file_size} of it")
    read = partial(_read_member, path.absolute(), member.filename)
    return bounded(StoredTensor(name, shape, dtype.name, read), size)


def _header(file: Any) -> tuple[tuple[int, ...], np.dtype[Any]]:
    """Shape and type that an array's header claims; the file then stands at its values.

    Raises
    ------
    ValueError
        If a side is no integer or negative, or the values are Python objects. numpy raises other errors too.
    """
    one = npy_format.read_magic(file) == (1, 0)
    shape, _, dtype = (npy_format.read_array_header_1_0 if one else npy_format.read_array_header_2_0)(file)
    if any(type(side) is not int or side < 0 for side in shape):
        raise ValueError(f"its header claims the shape {str(shape)[:80]}")
    if dtype.hasobject:
        raise ValueError("it holds pickled Python objects, which run code")
    return shape, dtype


def _read_npy(path: Path, part: Any) -> Matrix:
    return as_numpy(np.load(path, allow_pickle=False))[part]


def _read_member(path: Path, member: str, part: Any) -> Matrix:
    with zipfile.ZipFile(path) as archive, archive.open(member) as file:
        return as_numpy(npy_format.read_array(file, allow_pickle=False))[part]
