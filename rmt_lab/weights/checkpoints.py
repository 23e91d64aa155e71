"""Checkpoint files and what is in them: one list of named tensors, whatever the format, none of them read yet.

Formats: .safetensors, sharded folders (*.index.json), .gguf, .npz, .npy, and torch's .pt, .pth, .bin. Nothing stored in
a file is executed: pickles are opened by ``torch.load(weights_only=True)``, numpy files with ``allow_pickle=False``.
"""

from __future__ import annotations

import difflib
import importlib
import json
import math
import re
import warnings
import zipfile
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from pathlib import Path
from types import ModuleType

import numpy as np
from numpy.lib import format as npy_format

from .._arrays import Matrix
from .gguf import gguf_tensors
from .roles import model_order
from .tensors import StoredTensor, tensor_of, tensors_of_mapping

#: File endings that can be read.
SUFFIXES = (".safetensors", ".index.json", ".gguf", ".npz", ".npy", ".pt", ".pth", ".bin")
#: What a model folder is searched for, in this order.
FOLDER_FILES = (
    "model.safetensors",
    "model.safetensors.index.json",
    "pytorch_model.bin",
    "pytorch_model.bin.index.json",
)
_SAFETENSORS = {  # what is a weight there: our name, numpy's little-endian type
    "F64": ("float64", "<f8"),
    "F32": ("float32", "<f4"),
    "F16": ("float16", "<f2"),
    "BF16": ("bfloat16", "<u2"),
}


def read_checkpoint(path: Path) -> list[StoredTensor]:
    """The tensors of a checkpoint file or model folder, unread.

    Files that keep no order of their own (safetensors, gguf) come in the order of the model.

    Raises
    ------
    FileNotFoundError
        If the path, or a shard that an index names, does not exist.
    ValueError
        If the file is empty, truncated, damaged, a pickle that would run code, or of another format.
    ImportError
        If the package that reads this format is not installed.
    """
    if path.is_dir():
        path = _file_of_folder(path)
    if not path.exists():
        raise FileNotFoundError(f"source={str(path)!r}: there is no such file or folder{_did_you_mean(path)}")
    if not (suffix := _suffix(path.name)):
        raise ValueError(f"source={str(path)!r} has an unknown format; allowed are {', '.join(SUFFIXES)}")
    if path.stat().st_size == 0:
        raise ValueError(f"source={str(path)!r} is an empty file")
    return _READERS[suffix](path)


def shards_of(index: Path) -> dict[str, list[str]]:
    """The shards that an index file names, each with the names of the tensors it must hold."""
    try:
        weight_map = json.loads(index.read_text(encoding="utf-8"))["weight_map"]
        shards: dict[str, list[str]] = {}
        for name, shard in weight_map.items():
            if Path(shard).name != shard:
                raise ValueError(f"shard {shard!r} lies outside of the folder")
            shards.setdefault(shard, []).append(name)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"source={str(index)!r} is no checkpoint index with a weight_map: {error!r}") from None
    return shards


def optional_import(package: str, what: str) -> ModuleType:
    """Import an optional package, or say what needs it and how to get it."""
    try:
        return importlib.import_module(package)
    except ImportError:
        message = f'{what} needs the package {package}: pip install "rmt-lab[models]"'
        raise ImportError(message, name=package) from None


def _suffix(name: str) -> str | None:
    return next((suffix for suffix in SUFFIXES if name.endswith(suffix)), None)


def _file_of_folder(folder: Path) -> Path:
    """The checkpoint of a model folder."""
    for name in FOLDER_FILES:
        if (folder / name).exists():
            return folder / name
    found = sorted(p for ending in ("*.index.json", "*.safetensors", "*.gguf") for p in folder.glob(ending))
    if len(found) == 1:
        return found[0]
    wanted = f"{', '.join(FOLDER_FILES)}, or one file *.safetensors or *.gguf"
    if not found:
        raise FileNotFoundError(f"source={str(folder)!r}: no checkpoint in this folder; looked for {wanted}")
    raise ValueError(f"source={str(folder)!r} holds {', '.join(p.name for p in found)}; name the file that is meant")


def _did_you_mean(path: Path) -> str:
    names = [p.name for p in path.parent.iterdir()] if path.parent.is_dir() else []
    close = difflib.get_close_matches(path.name, names, n=3)
    return f"; did you mean {' or '.join(close)}?" if close else ""


def _read_safetensors(path: Path) -> list[StoredTensor]:
    """A safetensors file: 8 bytes n, n bytes of JSON {name: {dtype, shape, data_offsets}}, then the values.

    The format is simple enough to be read directly, which takes one tensor at a time into memory, needs no package and
    knows bfloat16, which numpy does not.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        start = 8 + int.from_bytes(file.read(8), "little")
        if start > size or size < 8:
            raise ValueError(f"source={str(path)!r} is no safetensors file, or is truncated: {size} bytes, no header")
        try:
            header = json.loads(file.read(start - 8))
            header.pop("__metadata__", None)
            entries = [
                (name, info["dtype"], tuple(map(int, info["shape"])), *map(int, info["data_offsets"]))
                for name, info in header.items()
            ]
        except (ValueError, KeyError, TypeError, AttributeError):
            raise ValueError(f"source={str(path)!r} is no safetensors file: its header is not readable") from None
    if entries and start + max(entry[4] for entry in entries) > size:
        promised = start + max(entry[4] for entry in entries)
        raise ValueError(f"source={str(path)!r} is truncated: its header promises {promised} bytes, it has {size}")
    tensors = []
    for name, code, shape, begin, end in entries:
        dtype, stored = _SAFETENSORS.get(code, (code.lower(), "V1"))
        if code in _SAFETENSORS and end - begin != np.dtype(stored).itemsize * math.prod(shape):
            raise ValueError(f"source={str(path)!r} is damaged: {name} has {end - begin} bytes for {shape} {dtype}")
        tensors.append(StoredTensor(name, shape, dtype, partial(_read_safetensor, path, stored, shape, start + begin)))
    return _in_model_order(tensors)


def _read_safetensor(path: Path, stored: str, shape: tuple[int, ...], offset: int) -> Matrix:
    values = np.fromfile(path, stored, math.prod(shape), offset=offset)
    if stored == "<u2":  # bfloat16 is the upper half of a float32
        values = values.astype(np.uint32)
        values <<= 16
        values = values.view(np.float32)
    return values.reshape(shape)


def _read_index(path: Path) -> list[StoredTensor]:
    shards = shards_of(path)
    for shard in shards:
        if not (path.parent / shard).exists():
            raise FileNotFoundError(f"source={str(path)!r}: shard {shard}, one of {len(shards)}, is missing")
    tensors = []
    for shard, names in shards.items():
        held = {tensor.name: tensor for tensor in read_checkpoint(path.parent / shard)}
        if lacking := [name for name in names if name not in held]:
            raise ValueError(f"source={str(path)!r}: shard {shard} lacks {lacking[0]!r}, which the index places there")
        tensors += [held[name] for name in names]
    return _in_model_order(tensors)


def _read_gguf(path: Path) -> list[StoredTensor]:
    return _in_model_order(gguf_tensors(path, optional_import("gguf", "reading a .gguf file")))


def _read_npz(path: Path) -> list[StoredTensor]:
    """An .npz archive in its own order; of each array only the header is read."""
    tensors = []
    try:
        with zipfile.ZipFile(path) as archive:
            for member in archive.namelist():
                if member.endswith(".npy"):
                    name = member.removesuffix(".npy")
                    with archive.open(member) as file:
                        version = npy_format.read_magic(file)
                        one = version == (1, 0)
                        header = npy_format.read_array_header_1_0 if one else npy_format.read_array_header_2_0
                        shape, _, dtype = header(file)
                    if dtype.hasobject:
                        raise ValueError(f"{name} holds pickled Python objects; they run code and are refused")
                    tensors.append(StoredTensor(name, shape, dtype.name, partial(_read_npz_member, path, name)))
    except Exception as error:  # damaged bytes come up as anything: zlib.error, TokenError, NotImplementedError
        raise ValueError(f"source={str(path)!r} is no .npz file, or is damaged or truncated: {error}") from None
    return tensors


def _read_npz_member(path: Path, name: str) -> Matrix:
    with np.load(path, allow_pickle=False) as archive:
        return np.asarray(archive[name])


def _read_npy(path: Path) -> list[StoredTensor]:
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except Exception as error:
        reason = "it holds pickled Python objects, which run code" if "object" in str(error) else str(error)
        raise ValueError(f"source={str(path)!r} is no .npy file that can be read: {reason}") from None
    return [tensor_of(path.stem, array, partial(np.array, array))]


def _read_torch(path: Path) -> list[StoredTensor]:
    """A state dict saved by torch, memory-mapped; only tensors and plain containers are unpickled."""
    torch = optional_import("torch", f"reading a {path.suffix} file")
    with path.open("rb") as file:
        magic = file.read(4)
    zipped = magic == b"PK\x03\x04"  # the format since torch 1.6; before, it was a pickle
    where = f"source={str(path)!r}"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about pickle protocols, storages and other things of torch's own
            state = torch.load(path, map_location="cpu", weights_only=True, mmap=zipped or None)
    except Exception as error:  # torch lets whatever its unpickler meets come through
        found = re.search(r"GLOBAL ([\w.]+)|Unsupported (class|operand)", str(error))
        if found and (zipped or magic[:1] == b"\x80"):
            what = f" ({found[1]})" if found[1] else ""
            raise ValueError(
                f"{where} is a pickle of Python objects{what}: loading it runs code, so it is refused. "
                "Save the state dict instead: torch.save(model.state_dict(), path)"
            ) from None
        what = type(error).__name__
        raise ValueError(f"{where} is no torch checkpoint, or is damaged or truncated ({what})") from None
    if isinstance(state, torch.Tensor):
        state = {path.stem: state}
    # Training scripts save the state dict beside the optimizer's.
    if isinstance(state, Mapping) and not any(isinstance(value, torch.Tensor) for value in state.values()):
        state = next((state[key] for key in ("state_dict", "model_state_dict", "model") if key in state), state)
    if not isinstance(state, Mapping):
        raise ValueError(f"{where} holds a {type(state).__name__}; a checkpoint is a state dict, names to tensors")
    return tensors_of_mapping(state)


def _in_model_order(tensors: Iterable[StoredTensor]) -> list[StoredTensor]:
    return sorted(tensors, key=lambda tensor: model_order(tensor.name.removesuffix(".weight")))


_READERS: dict[str, Callable[[Path], list[StoredTensor]]] = {
    ".safetensors": _read_safetensors,
    ".index.json": _read_index,
    ".gguf": _read_gguf,
    ".npz": _read_npz,
    ".npy": _read_npy,
    ".pt": _read_torch,
    ".pth": _read_torch,
    ".bin": _read_torch,
}
