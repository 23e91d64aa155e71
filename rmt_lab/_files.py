"""Files: written whole or not at all, the folder of a user's own, and arrays with a record of what they are."""

from __future__ import annotations

import glob
import hashlib
import io
import json
import math
import os
import platform
import re
import sys
import tempfile
import time
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib import resources
from pathlib import Path
from typing import IO, Any

import numpy as np
import platformdirs

from ._arrays import Matrix

_LONGEST_NAME = 150  # bytes: a file's name has 255 on most disks, and a part being written is longer than the file
_DEFLATE = 1032  # the most that deflate can compress: 258 bytes in 2 bits
_PART = re.compile(r"\.([^\W_]+)\.(\d+)\.\w+\.part$")  # of a file being written: its machine and its process
_DAY = 86400.0


@contextmanager
def written_whole(path: Path) -> Iterator[IO[bytes]]:
    """A binary file to write to, which takes the place of ``path`` when all is written, and is removed otherwise.

    A link stays, and the file that it names is replaced. What is no regular file (a device, a pipe) is written into.
    Parts of it that a killed process has left are removed, see :func:`remove_parts`.

    Raises
    ------
    OSError
        If ``path`` is a folder or its folder does not exist; the message has the path as it was given.
    """
    check_output(path)
    if path.exists() and not path.is_file():
        with path.open("wb") as file:  # as it was given: where /dev/stdout is a pipe, it leads to no path
            yield file
        return
    target = path.resolve()
    remove_parts(target.parent, target.name)
    prefix = f".{target.name}.{this_machine()}.{os.getpid()}."
    handle, part = tempfile.mkstemp(dir=target.parent, prefix=prefix, suffix=".part")
    try:
        with os.fdopen(handle, "wb") as file:
            yield file
        os.chmod(part, 0o644)
        os.replace(part, target)
    except BaseException:
        Path(part).unlink(missing_ok=True)
        raise


def remove_parts(folder: Path, name: str | None = None) -> None:
    """Remove the half-written files of one name, or of all names, whose process is gone.

    Whether a process is gone is known on its own machine. A part that another machine wrote is removed when it is a day
    old: a file is written within seconds. What cannot be removed stays.
    """
    for part in folder.glob(f".{'*' if name is None else glob.escape(name)}.*.part"):
        found = _PART.search(part.name)
        if not found or (name is not None and part.name[: found.start()] != f".{name}"):
            continue
        with suppress(OSError):
            here = found[1] == this_machine()
            left = not runs(int(found[2])) if here else time.time() - part.stat().st_mtime > _DAY
            if left:
                part.unlink()


def check_output(path: Path, folder: bool = False) -> None:
    """Refuse a path that cannot become a file, or a folder, before the work begins.

    Raises
    ------
    OSError
        With the path as it was given.
    """
    if folder:
        if path.exists() and not path.is_dir():
            raise NotADirectoryError(f"{path} is a file; a folder is needed")
        return
    if path.is_dir():
        raise IsADirectoryError(f"{path} is a folder; a file is needed, such as {path / 'details.csv'}")
    parent = path.resolve().parent
    if not parent.is_dir():
        raise FileNotFoundError(f"{path}: there is no folder {path.parent}")
    if not os.access(parent if not path.exists() or path.is_file() else path, os.W_OK):
        raise PermissionError(f"{path}: this place cannot be written to")


def this_machine() -> str:
    # the names of a cluster's nodes may differ at their ends only
    return hashlib.sha256(platform.node().encode()).hexdigest()[:12]


def runs(pid: int) -> bool:
    """Whether there is a process of that number on this machine; taken for granted on Windows."""
    if sys.platform == "win32":  # there, signal 0 is no question but Ctrl-C
        return True
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:  # it runs, for somebody else
        return True
    return True


def cache_folder(kind: str) -> Path:
    """The user's folder for one kind of thing; the environment variable RMT_LAB_CACHE moves them all."""
    return Path(os.environ.get("RMT_LAB_CACHE") or platformdirs.user_cache_dir("rmt_lab")) / kind


def shipped_folder(kind: str) -> Any:
    """The package's own folder of that kind, for :mod:`importlib.resources`."""
    return resources.files("rmt_lab") / "data" / kind


def shipped_names(kind: str) -> list[str]:
    """The names of the .npz files that ship with the package."""
    return sorted(p.name[: -len(".npz")] for p in shipped_folder(kind).iterdir() if p.name.endswith(".npz"))


def check_name(name: str) -> str:
    """The same name, if it can be the name of a file in a folder of ours.

    Raises
    ------
    TypeError, ValueError
        If it is no text, or could name a file elsewhere; the message says what is allowed.
    """
    if not isinstance(name, str):
        raise TypeError(f"name={name!r} of type {type(name).__name__}; a text is allowed")
    if not name or set(name) & set('/\\:*?"<>|') or name.startswith(".") or not name.isprintable():
        raise ValueError(
            f"name={name!r}; a name becomes a file's name: it has none of / \\ : * ? \" < > |, no control character "
            "and no dot at its start"
        )
    if len(os.fsencode(name)) > _LONGEST_NAME:
        raise ValueError(f"name={name[:20]!r}... of {len(name)} characters; at most {_LONGEST_NAME} bytes are allowed")
    return name


def is_name(name: str) -> bool:
    """Whether :func:`check_name` lets a text pass."""
    try:
        return bool(check_name(name))
    except ValueError:
        return False


def read_record(data: bytes, *versions: int) -> tuple[dict[str, Any], dict[str, Matrix]]:
    """The JSON record of an .npz file and its arrays; no pickle is ever loaded.

    Raises
    ------
    ValueError
        If the record's ``format`` is none of these versions, or a part promises more than it can hold.
    """
    with zipfile.ZipFile(io.BytesIO(data)) as file:
        parts = file.infolist()
        if sum(part.compress_size for part in parts) > len(data):
            raise ValueError("its parts overlap")
        arrays = {part.filename.removesuffix(".npy"): _array(file, part) for part in parts}
    record = json.loads(arrays.pop("record").tobytes())
    if record["format"] not in versions:
        raise ValueError(f"format {record['format']}; this version reads {', '.join(map(str, versions))}")
    return record, arrays


def _array(file: zipfile.ZipFile, part: zipfile.ZipInfo) -> Matrix:
    """One array of an .npz file, whose size is checked before there is memory for it."""
    if part.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise ValueError(f"{part.filename} is compressed in a way that numpy does not use")
    if part.file_size > _DEFLATE * part.compress_size:
        raise ValueError(f"{part.filename} promises {part.file_size} bytes; {part.compress_size} cannot hold them")
    with file.open(part) as stream:
        version = np.lib.format.read_magic(stream)
        if version != (1, 0):
            raise ValueError(f"{part.filename} is of version {version} of numpy's format; this one reads (1, 0)")
        shape, fortran, dtype = np.lib.format.read_array_header_1_0(stream)
        size = dtype.itemsize * math.prod(shape) if len(shape) <= 2 else -1
        if fortran or dtype.hasobject or min(shape, default=0) < 0 or size != part.file_size - stream.tell():
            raise ValueError(f"{part.filename} promises shape {shape} of {dtype}, which is not its size")
        return np.frombuffer(stream.read(), dtype).reshape(shape)


def write_record(path: Path, record: dict[str, Any], **arrays: Matrix) -> None:
    """Write what :func:`read_record` reads, whole or not at all."""
    with written_whole(path) as file:
        np.savez_compressed(file, **arrays, record=np.frombuffer(json.dumps(record).encode(), np.uint8))  # type: ignore[arg-type]
