"""Files: written whole or not at all, the folder of a user's own, and arrays with a record of what they are."""

from __future__ import annotations

import glob
import io
import json
import os
import platform
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import resources
from pathlib import Path
from typing import IO, Any

import numpy as np
import platformdirs

from ._arrays import Matrix


@contextmanager
def written_whole(path: Path) -> Iterator[IO[bytes]]:
    """A binary file to write to, which takes the place of ``path`` when all is written, and is removed otherwise.

    A link stays, and the file that it names is replaced. What is no regular file (a device, a pipe) is written into.
    Parts that a killed process of this machine has left beside the file are removed.

    Raises
    ------
    OSError
        If ``path`` is a folder or its folder does not exist; the message has the path as it was given.
    """
    check_output(path)
    target = path.resolve()
    if target.exists() and not target.is_file():
        with target.open("wb") as file:
            yield file
        return
    prefix = f".{target.name}.{_this_machine()}."
    for left in target.parent.glob(f"{glob.escape(prefix)}*.part"):
        owner = left.name[len(prefix) :].partition(".")[0]
        if owner.isdigit() and not _runs(int(owner)):
            left.unlink(missing_ok=True)
    handle, part = tempfile.mkstemp(dir=target.parent, prefix=f"{prefix}{os.getpid()}.", suffix=".part")
    try:
        with os.fdopen(handle, "wb") as file:
            yield file
        os.chmod(part, 0o644)
        os.replace(part, target)
    except BaseException:
        Path(part).unlink(missing_ok=True)
        raise


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


def _this_machine() -> str:
    return "".join(c for c in platform.node() if c.isalnum())[:20] or "here"


def _runs(pid: int) -> bool:
    """Whether there is a process of that number on this machine."""
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


def read_record(data: bytes, *versions: int) -> tuple[dict[str, Any], dict[str, Matrix]]:
    """The JSON record of an .npz file and its arrays; no pickle is ever loaded.

    Raises
    ------
    ValueError
        If the record's ``format`` is none of these versions.
    """
    with np.load(io.BytesIO(data), allow_pickle=False) as file:
        arrays = {name: file[name] for name in file.files}
    record = json.loads(arrays.pop("record").tobytes())
    if record["format"] not in versions:
        raise ValueError(f"format {record['format']}; this version reads {', '.join(map(str, versions))}")
    return record, arrays


def write_record(path: Path, record: dict[str, Any], **arrays: Matrix) -> None:
    """Write what :func:`read_record` reads, whole or not at all."""
    with written_whole(path) as file:
        np.savez_compressed(file, **arrays, record=np.frombuffer(json.dumps(record).encode(), np.uint8))  # type: ignore[arg-type]
