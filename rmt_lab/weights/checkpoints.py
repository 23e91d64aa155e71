"""Checkpoint files and what is in them: one list of named tensors, whatever the format, none of them read yet.

Formats: .safetensors, sharded folders (``*.index.json``), .gguf, .npz, .npy, torch's .pt, .pth, .bin, .ckpt, Keras'
.keras and .h5, and .onnx. Nothing stored in a file is executed: pickles are opened by
``torch.load(weights_only=True)``, numpy files with ``allow_pickle=False``, and of a Keras model or an ONNX graph only
the values are read.
"""

from __future__ import annotations

import difflib
import importlib
import mmap
import pickletools
import re
import warnings
import zipfile
from collections import Counter, deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from functools import lru_cache, partial
from pathlib import Path
from types import ModuleType
from typing import Any

from .._arrays import Matrix, as_numpy
from .gguf import gguf_tensors, split_name
from .keras import keras_tensors
from .npy import npy_tensors, npz_tensors
from .onnx import onnx_tensors
from .quantised import dequantised, quantisation_settings
from .roles import model_order
from .safetensors import MAX_HEADER, safetensors_tensors, strict_json
from .tensors import StoredTensor, bounded, state_dict_in, tensors_of_mapping
from .weight_norm import normalised

#: File endings that can be read.
SUFFIXES = (
    *(".safetensors", ".index.json", ".gguf", ".npz", ".npy", ".pt", ".pth", ".bin", ".ckpt"),
    *(".keras", ".h5", ".hdf5", ".onnx"),
)
#: What a model folder is searched for, in this order.
FOLDER_FILES = (
    "model.safetensors",
    "model.safetensors.index.json",
    "pytorch_model.bin",
    "pytorch_model.bin.index.json",
)


def read_checkpoint(path: Path, whole: bool = True) -> list[StoredTensor]:
    """The tensors of a checkpoint file or model folder, unread.

    Files that keep no order of their own (safetensors, gguf, an index) come in the order of the model, and quantised
    weights as one tensor each. A shard of a model is not ``whole``: its tensors come as they are.

    Raises
    ------
    FileNotFoundError
        If the path, or a shard that an index names, does not exist.
    ValueError
        If the file is empty, truncated, damaged, a pickle that would run code, or of another format.
    ImportError
        If the package that reads this format is not installed.
    """
    folder = path if path.is_dir() else path.parent
    if path.is_dir():
        path = _file_of_folder(path)
    if not path.exists():
        raise FileNotFoundError(f"source={str(path)!r}: there is no such file or folder{_did_you_mean(path)}")
    if not (suffix := suffix_of(path.name)):
        raise ValueError(f"source={str(path)!r} has an unknown format; allowed are {', '.join(SUFFIXES)}")
    if path.stat().st_size == 0:
        raise ValueError(f"source={str(path)!r} is an empty file")
    tensors = _READERS[suffix](path)
    if not whole:  # the parts of a quantised weight may be in several shards
        return tensors
    tensors = normalised(dequantised(tensors, quantisation_settings(folder)))
    return _in_model_order(tensors) if suffix in _WITHOUT_ORDER else tensors


def shards_of(index: Path) -> dict[str, list[str]]:
    """The shards that an index file names, each with the names of the tensors it must hold."""
    try:
        if (size := index.stat().st_size) > MAX_HEADER:
            raise ValueError(f"it has {size} bytes, at most {MAX_HEADER} are read")
        weight_map = strict_json(index.read_bytes())["weight_map"]
        shards: dict[str, list[str]] = {}
        for name, shard in weight_map.items():
            shards.setdefault(shard, []).append(name)
        for shard in shards:
            if Path(shard).name != shard or "\\" in shard:
                raise ValueError(f"shard {shard!r:.80} lies outside of the folder")
            # a file's name has 255 bytes at most
            if suffix_of(shard) in (None, ".index.json") or len(shard.encode()) > 255:
                raise ValueError(f"shard {shard!r:.80} is no checkpoint file")
        if len(endings := sorted({str(suffix_of(shard)) for shard in shards})) > 1:
            raise ValueError(f"its shards are of different formats, {' and '.join(endings)}")
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"source={str(index)!r} is no checkpoint index with a weight_map: {error!r:.300}") from None
    return shards


def optional_import(package: str, what: str, extra: str = "models") -> ModuleType:
    """Import an optional package, or say what needs it and how to get it: by which extra of this one."""
    try:
        return importlib.import_module(package)
    except ImportError:
        message = f'{what} needs the package {package}: pip install "rmt-lab[{extra}]"'
        raise ImportError(message, name=package) from None


def suffix_of(name: str) -> str | None:
    """The ending of a checkpoint file in small letters, None for any other file.

    Examples
    --------
    >>> suffix_of("MODEL.SAFETENSORS"), suffix_of("vocab.txt")
    ('.safetensors', None)
    """
    return next((suffix for suffix in SUFFIXES if name.lower().endswith(suffix)), None)


def _file_of_folder(folder: Path) -> Path:
    """The checkpoint of a model folder."""
    for name in FOLDER_FILES:
        if (folder / name).exists():
            return folder / name
    found = sorted(p for p in folder.iterdir() if suffix_of(p.name) in (".index.json", ".safetensors", ".gguf"))
    if len(found) == 1 or len({split_name(p.name) or p.name for p in found}) == 1:  # the parts of one model
        return found[0]
    wanted = f"{', '.join(FOLDER_FILES)}, or one file *.safetensors or *.gguf"
    if not found:
        raise FileNotFoundError(f"source={str(folder)!r}: no checkpoint in this folder; looked for {wanted}")
    raise ValueError(f"source={str(folder)!r} holds {', '.join(p.name for p in found)}; name the file that is meant")


def _did_you_mean(path: Path) -> str:
    names = [p.name for p in path.parent.iterdir()] if path.parent.is_dir() else []
    close = difflib.get_close_matches(path.name, names, n=3)
    return f"; did you mean {' or '.join(close)}?" if close else ""


def _read_index(path: Path) -> list[StoredTensor]:
    shards = shards_of(path)
    for shard in shards:
        if not (path.parent / shard).exists():
            raise FileNotFoundError(f"source={str(path)!r}: shard {shard}, one of {len(shards)}, is missing")
    if len({(path.parent / shard).resolve() for shard in shards}) < len(shards):
        raise ValueError(f"source={str(path)!r} names one shard under two names")
    tensors = []
    for shard, names in shards.items():
        held = {tensor.name: tensor for tensor in read_checkpoint(path.parent / shard, whole=False)}
        if lacking := [name for name in names if name not in held]:
            raise ValueError(f"source={str(path)!r}: shard {shard} lacks {lacking[0]!r}, which the index places there")
        tensors += [held[name] for name in names]
    return tensors


def _read_gguf(path: Path) -> list[StoredTensor]:
    return gguf_tensors(path, optional_import("gguf", "reading a .gguf file"))


def _read_keras(path: Path) -> list[StoredTensor]:
    return keras_tensors(path, optional_import("h5py", f"reading a {path.suffix} file", "keras"))


def _read_onnx(path: Path) -> list[StoredTensor]:
    return onnx_tensors(path, optional_import("onnx", "reading an .onnx file", "onnx"))


def _read_torch(path: Path) -> list[StoredTensor]:
    """A state dict saved by torch; only tensors and plain containers are unpickled."""
    where, path, size = f"source={str(path)!r}", path.absolute(), path.stat().st_size
    return [  # bounded, since a tensor of stride 0 repeats a value without end
        bounded(replace(tensor, read=partial(_read_torch_tensor, path, where, tensor.name)), size)
        for tensor in tensors_of_mapping(_torch_state(path, where))
    ]


def _read_torch_tensor(path: Path, where: str, name: str, part: Any) -> Matrix:
    value = _torch_state(path, where)[name]
    return as_numpy(value if part is ... else value[part])


def _torch_state(path: Path, where: str) -> dict[str, Any]:
    """The state dict in a file, opened once by a process as long as the file stays the same."""
    with path.open("rb") as file:
        magic = file.read(4)
    if magic == b"PK\x03\x04":  # the format since torch 1.6; before, it was a pickle
        return _mapped_state(path, where, path.stat().st_mtime_ns)
    return _loaded_state(path, where, path.stat().st_mtime_ns, magic[:1] == b"\x80")


@lru_cache(maxsize=4)
def _mapped_state(path: Path, where: str, _: int) -> dict[str, Any]:
    return _load_torch(path, where, zipped=True, pickled=True)


@lru_cache(maxsize=1)  # an old file cannot be mapped: it stays in memory as a whole
def _loaded_state(path: Path, where: str, _: int, pickled: bool) -> dict[str, Any]:
    return _load_torch(path, where, zipped=False, pickled=pickled)


def _load_torch(path: Path, where: str, zipped: bool, pickled: bool) -> dict[str, Any]:
    torch = optional_import("torch", f"reading a {path.suffix} file")
    made = []  # torch makes every storage first; of an old file it then fills those that a list in the file names

    def keep(storage: Any, _: str) -> Any:
        made.append(storage)
        return storage

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about pickle protocols, storages and other things of torch's own
            _refuse_bombs(path, zipped)
            state = torch.load(path, map_location=keep, weights_only=True, mmap=zipped or None)
        if not zipped and len(made) != (filled := _storages_filled(path)):
            raise ValueError(f"it has the values of {filled} storages out of {len(made)}")
        if zipped and (short := _without_record(path, made)):
            raise ValueError(f"no record has the {short} bytes of a storage")
    except Exception as error:  # torch lets whatever its unpickler meets come through
        if zipped and "TorchScript" in str(error):
            raise ValueError(
                f"{where} is a TorchScript archive, which holds code; save the state dict instead: "
                "torch.save(model.state_dict(), path)"
            ) from None
        found = re.search(r"GLOBAL ([\w.]+)|Unsupported (class|operand)", str(error))
        if found and pickled:
            what = f" ({found[1]})" if found[1] else ""
            raise ValueError(
                f"{where} is a pickle of Python objects{what}: loading it runs code, so it is refused. "
                "Save the state dict instead: torch.save(model.state_dict(), path)"
            ) from None
        what = str(error)[:100] if type(error) is ValueError else type(error).__name__
        raise ValueError(f"{where} is no torch checkpoint, or is damaged or truncated ({what})") from None
    if isinstance(state, torch.Tensor):
        state = {path.stem: state}
    if not isinstance(state, Mapping):
        raise ValueError(f"{where} holds a {type(state).__name__}; a checkpoint is a state dict, names to tensors")
    state = state_dict_in(state, where)
    if other := [key for key in state if not isinstance(key, str)]:
        raise ValueError(f"{where} has a key {other[0]!r:.80}; the keys of a state dict are names")
    return dict(state)


def _storages_filled(path: Path) -> int:
    """How many storages an old torch file has values of; the fifth of its pickles lists them."""
    with path.open("rb") as file:
        for _ in range(4):
            deque(pickletools.genops(file), maxlen=0)
        return sum(isinstance(argument, str) for _, argument, _ in pickletools.genops(file))


def _without_record(path: Path, storages: list[Any]) -> int | None:
    """Size of a storage that no record of the archive has; a mapped one would go on with the bytes behind it."""
    with zipfile.ZipFile(path) as archive:
        records = Counter(member.file_size for member in archive.infolist() if "/data/" in member.filename)
    sizes = Counter(storage.nbytes() for storage in storages if storage.device.type != "meta")
    return min(sizes - records, default=None)


def _refuse_bombs(path: Path, zipped: bool) -> None:
    """Raise if torch would fill the memory from a small file, or take compressed bytes for values."""
    bomb = b"\nbytearray\n"  # its argument is a size; torch lets it pass, and no tensor needs it
    with path.open("rb") as file:
        if not zipped:
            with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
                found = data.find(bomb) >= 0
        else:
            with zipfile.ZipFile(file) as archive:
                if any(name.endswith("/constants.pkl") for name in archive.namelist()):
                    raise ValueError("a TorchScript archive")
                if any(member.compress_type != zipfile.ZIP_STORED for member in archive.infolist()):
                    raise ValueError("an archive that is compressed, which torch does not write")
                found = any(bomb in archive.read(name) for name in archive.namelist() if name.endswith(".pkl"))
    if found:
        raise ValueError("a bytearray, which no tensor needs")


def _in_model_order(tensors: Iterable[StoredTensor]) -> list[StoredTensor]:
    return sorted(tensors, key=lambda tensor: model_order(tensor.name.removesuffix(".weight")))


_WITHOUT_ORDER = (".safetensors", ".index.json", ".gguf")
_READERS: dict[str, Callable[[Path], list[StoredTensor]]] = {
    ".safetensors": safetensors_tensors,
    ".index.json": _read_index,
    ".gguf": _read_gguf,
    ".npz": npz_tensors,
    ".npy": npy_tensors,
    ".pt": _read_torch,
    ".pth": _read_torch,
    ".bin": _read_torch,
    ".ckpt": _read_torch,
    ".keras": _read_keras,
    ".h5": _read_keras,
    ".hdf5": _read_keras,
    ".onnx": _read_onnx,
}
