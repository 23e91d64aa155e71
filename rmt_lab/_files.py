"""Files: written whole or not at all, the folder of a user's own, and arrays with a record of what they are."""

from __future__ import annotations

import io
import json
import os
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
    """A binary file to write to, which takes the place of ``path`` when all is written, and is removed otherwise."""
    handle, part = tempfile.mkstemp(dir=path.resolve().parent, suffix=".part")
    try:
        with os.fdopen(handle, "wb") as file:
            yield file
        os.chmod(part, 0o644)
        os.replace(part, path)
    except BaseException:
        Path(part).unlink(missing_ok=True)
        raise


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
