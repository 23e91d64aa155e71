"""Damaged and hostile checkpoint files: none may crash the reader, hold it up or fill the memory.

    python -m benchmarks.fuzz                    20 000 inputs, some minutes
    python -m benchmarks.fuzz --inputs 500 --seed 3
    python -m benchmarks.fuzz --formats npz pt

Each input is a small valid file that was changed: bits flipped, blocks copied or cut out, numbers replaced by odd ones.
Half of the changes are made inside of the structure (a JSON header, a member of an archive) and the outside is mended,
so that they get past the first check. A worker process finds the matrices of the input and reads each. Then the
format's own package reads the same file, and what both give must be equal.

"Memory" is how far the peak of the resident set rose above where it stood (Linux only); more than 20 times the file and
16 MB is a failure. So is more than 10 s, the end of the worker, and any error but ValueError, FileNotFoundError and
TypeError. The address space ends 2 GB above what the worker has, so that memory that is asked for and never touched
comes up as a MemoryError. Exit status 1 if anything failed or differed.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import io
import json
import multiprocessing
import os
import re
import signal
import tempfile
import time
import warnings
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np

from rmt_lab.weights.read import find_weights

Rng = np.random.Generator
#: What a reader may raise about a file.
ALLOWED = (ValueError, FileNotFoundError, TypeError)
SECONDS, TIMES, FLOOR = 10.0, 20, 16_000_000
#: Each format, and the package that is its reference.
FORMATS = {
    "safetensors": "safetensors",
    "index": "safetensors",
    "gguf": "gguf",
    "npz": "numpy",
    "npy": "numpy",
    "pt": "torch",
}
_INTEGERS = [*range(10), 31, *(2**n - k for n in (7, 8, 15, 16, 31, 32, 40, 62, 63, 64) for k in (0, 1))]
_WORDS = ["-1", "3.0", "2.5", "1e400", "NaN", "Infinity", "true", "null", '"x"', "[]", "{}", "9" * 5000]
_WORDS += map(str, _INTEGERS)
_ODD_NAMES = ["", "9" * 5000, "\ud800", "m.safetensors.index.json", "a/b", "\0", "__metadata__"]
_KINDS = b"<f4 >f8 <f2 |O |V0 <U9 |S0 <c8 |b1 <M8[s] <f16 <f4,<f4".split()


@dataclass
class Tally:
    """What became of the inputs of one format."""

    inputs: int = 0
    accepted: int = 0
    refused: int = 0
    ours_only: int = 0  # the reference refuses the file
    theirs_only: int = 0
    differ: int = 0
    failed: int = 0
    seconds: float = 0.0
    memory: int = 0
    problems: list[str] = field(default_factory=list)


# --- Seeds: small valid files, each a folder of them, the first of which is opened


Files = dict[str, bytes]


def _matrices(rng: Rng, side: int = 6) -> dict[str, np.ndarray[Any, Any]]:
    draw = rng.standard_normal
    return {
        "embed.weight": draw((side + 3, 4)).astype(np.float32),
        "h.0.attn.weight": draw((4, side)).astype(np.float16),
        "h.0.experts.up": draw((3, 4, side)).astype(np.float32),
        "h.0.bias": draw(4).astype(np.float32),
        "h.1.attn.weight": draw((side, 2)),
        "h.1.ids": np.arange(side)[None],
        "h.1.none.weight": np.zeros((0, 4), np.float32),
        "h.1.packed.weight": np.ones((side, 4), np.int8),
    }


def seeds(name: str, rng: Rng) -> list[Files]:
    """Valid files of a format: small ones, and at the end one of some 500 kB that tells what memory grows with."""
    return [_SEEDS[name](_matrices(rng, side), variant) for side, variant in ((6, 0), (6, 1), (32, 0), (30_000, 0))]


def _safetensors(state: dict[str, Any], variant: int) -> Files:
    from safetensors.numpy import save

    return {"m.safetensors": save(state, {"format": "pt"} if variant else None)}


def _index(state: dict[str, Any], variant: int) -> Files:
    from safetensors.numpy import save

    names, files, weight_map = list(state), {}, {}
    for i in range(2):
        files[f"m-{i}.safetensors"] = save({k: state[k] for k in names[i::2]})
        weight_map |= dict.fromkeys(names[i::2], f"m-{i}.safetensors")
    index = {"metadata": {"total_size": 1}, "weight_map": weight_map} if variant else {"weight_map": weight_map}
    return {"m.safetensors.index.json": json.dumps(index).encode()} | files


def _gguf(state: dict[str, Any], variant: int) -> Files:
    import gguf

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "m.gguf"
        writer = gguf.GGUFWriter(path, "llama")
        if variant:
            writer.add_custom_alignment(64)
        writer.add_array("words", ["a", "bcd"])
        writer.add_array("scores", [0.5, 1.5])
        for name, values in state.items():
            if values.ndim == 2 and values.size:
                writer.add_tensor(name, values)
        for kind in ("Q8_0", "Q4_0", "BF16"):
            code = gguf.GGMLQuantizationType[kind]
            values = np.sin(np.arange(128, dtype=np.float32)).reshape(2, 64)
            writer.add_tensor(f"blk.0.{kind}.weight", gguf.quants.quantize(values, code), raw_dtype=code)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()
        return {"m.gguf": path.read_bytes()}


def _npz(state: dict[str, Any], variant: int) -> Files:
    file = io.BytesIO()
    (np.savez_compressed if variant else np.savez)(file, **state)
    return {"m.npz": file.getvalue()}


def _npy(state: dict[str, Any], variant: int) -> Files:
    file = io.BytesIO()
    np.save(file, state["h.1.attn.weight"].T.astype(">f4") if variant else state["embed.weight"])
    return {"m.npy": file.getvalue()}


def _pt(state: dict[str, Any], variant: int) -> Files:
    import torch

    file = io.BytesIO()
    tensors = {name: torch.from_numpy(values) for name, values in state.items()}
    tensors["h.2.half.weight"] = torch.ones(4, 6, dtype=torch.bfloat16)
    tensors["h.2.view.weight"] = tensors["embed.weight"][1:].T
    torch.save(tensors, file, _use_new_zipfile_serialization=not variant)
    return {"m.pt": file.getvalue()}


_SEEDS = {"safetensors": _safetensors, "index": _index, "gguf": _gguf, "npz": _npz, "npy": _npy, "pt": _pt}


# --- Changes


def mutate(files: Files, rng: Rng) -> Files:
    """The files with one to three changes in one of them, as often as not in the first."""
    names = list(files)
    name = names[0] if rng.random() < 0.5 else names[rng.integers(len(names))]
    data = files[name]
    for _ in range(rng.choice([1, 2, 3], p=[0.7, 0.2, 0.1])):
        change = _inside if rng.random() < 0.6 else _bytes
        with contextlib.suppress(Exception):  # a structure that an earlier change has broken cannot be changed inside
            data = change(name, data, rng)
    return files | {name: data}


def _inside(name: str, data: bytes, rng: Rng) -> bytes:
    if name.endswith(".json"):
        return _json(data, rng)
    if name.endswith(".safetensors"):
        end = 8 + int.from_bytes(data[:8], "little")
        header = _json(data[8:end], rng)
        return len(header).to_bytes(8, "little") + header + data[end:]
    if data[:2] == b"PK":
        return _archive(data, rng)
    if data[:6] == b"\x93NUMPY":
        return _array(data, rng)
    return _bytes(name, data, rng)


def _json(data: bytes, rng: Rng) -> bytes:
    """JSON text in which one value is another: an odd word, or one from elsewhere in it."""
    if rng.random() < 0.4:
        return _number(data, rng)
    tree = json.loads(data)
    if rng.random() < 0.3:
        return json.dumps(_legal(tree, rng)).encode()
    places = list(_places(tree))
    holder, key = places[rng.integers(len(places))]
    word = ""
    if rng.random() < 0.2 and isinstance(holder, dict):
        odd = [*_ODD_NAMES, key + key, key * 300]
        holder[odd[rng.integers(len(odd))]] = holder.pop(key)
    elif rng.random() < 0.4:
        other, name = places[rng.integers(len(places))]
        holder[key] = json.loads(json.dumps(other[name]))
    else:
        holder[key] = "@@"
        word = _WORDS[rng.integers(len(_WORDS))]
        if rng.random() < 0.1:
            long = ["[1," * 3000 + "1" + "]" * 3000, str([1] * 30_000), '"m.safetensors.index.json"', '"."']
            word = long[rng.integers(len(long))]
    return json.dumps(tree).replace('"@@"', word).encode()


def _legal(tree: Any, rng: Rng) -> Any:
    """The same header in another order, with shapes reversed and a field that no reader knows."""
    names = [str(name) for name in rng.permutation(list(tree))]
    for name in names:
        if "shape" in tree[name] and rng.random() < 0.5:
            tree[name] |= {"shape": tree[name]["shape"][::-1], "note": [1, {}]}
    return {name: tree[name] for name in names}


def _places(tree: Any) -> Iterator[tuple[Any, Any]]:
    for key in list(tree) if isinstance(tree, dict) else range(len(tree)):
        yield tree, key
        if isinstance(tree[key], (dict, list)):
            yield from _places(tree[key])


def _number(data: bytes, rng: Rng) -> bytes:
    """Text in which one number is another."""
    found = list(re.finditer(rb"\d+", data[:100_000]))
    place = found[rng.integers(len(found))]
    return data[: place.start()] + _WORDS[rng.integers(len(_WORDS))].encode() + data[place.end() :]


def _archive(data: bytes, rng: Rng) -> bytes:
    """A zip archive, made anew with one member changed."""
    file = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # two members of one name
        members = [(info.filename, info.compress_type, old.read(info)) for info in old.infolist()]
        chosen = rng.integers(len(members))
        what = rng.integers(8)
        with zipfile.ZipFile(file, "w") as new:
            for i, (name, method, content) in enumerate(members):
                if i == chosen and what == 0:
                    continue
                if i == chosen and what == 1:
                    name = members[rng.integers(len(members))][0]
                if i == chosen and what == 2:
                    method = zipfile.ZIP_DEFLATED
                if i == chosen and what == 3:  # what deflate makes a thousandth of
                    method, content = zipfile.ZIP_DEFLATED, _zeros(content, int(rng.choice([10**5, 10**7, 10**8])))
                if i == chosen and what > 3:
                    content = (_array if content[:6] == b"\x93NUMPY" else _raw)(content, rng)
                new.writestr(name, content, method)
    return file.getvalue()


def _zeros(content: bytes, size: int) -> bytes:
    if content[:6] != b"\x93NUMPY":
        return content + bytes(size)
    file = io.BytesIO()
    np.save(file, np.zeros((size // 400, 100), np.float32))
    return file.getvalue()


def _array(data: bytes, rng: Rng) -> bytes:
    """An .npy file whose header says something else."""
    end = 10 + int.from_bytes(data[8:10], "little")
    header = data[10:end]
    what = rng.integers(4)
    if what == 0:
        header = re.sub(rb"'[<>|=][^']*'", b"'" + _KINDS[rng.integers(len(_KINDS))] + b"'", header, count=1)
    elif what == 1:
        header = header.replace(b"False", b"True") if b"False" in header else header.replace(b"True", b"1")
    else:
        start = header.index(b"shape")
        header = header[:start] + _number(header[start:], rng)
    return data[:8] + (len(header) % 2**16).to_bytes(2, "little") + header + data[end:]


def _bytes(_: str, data: bytes, rng: Rng) -> bytes:
    return _raw(data, rng)


def _raw(data: bytes, rng: Rng) -> bytes:
    """Bytes changed without a look at what they mean, most often among the first 2000 or the last 500."""
    changed, size = bytearray(data), len(data)
    if not size:
        return data
    span = [min(size, 400), min(size, 2000), size][rng.integers(3)]
    at = int(rng.integers(span)) if rng.random() < 0.8 else size - 1 - int(rng.integers(min(size, 500)))
    length = int(rng.choice([1, 2, 4, 8, 16, 50, 200]))
    match rng.integers(8):
        case 0:
            changed[at] ^= 1 << int(rng.integers(8))
        case 1:
            changed[at] = int(rng.integers(256))
        case 2 | 3:  # a little-endian integer
            width = int(rng.choice([1, 2, 4, 8]))
            value = int(rng.choice(np.array(_INTEGERS, dtype=object)))
            changed[at : at + width] = (value % 256**width).to_bytes(width, "little")
        case 4:
            del changed[at : at + length]
        case 5:  # a block twice, or over another
            there = int(rng.integers(span))
            changed[at : at + length * int(rng.integers(2))] = data[there : there + length]
        case 6:
            del changed[at:]
        case 7:
            changed += bytes(length)
    return bytes(changed)


# --- The worker: our reader, then the reference


@dataclass
class Ours:
    """What our reader made of a file; ``error`` is what it must not do."""

    accepted: bool
    reason: str
    error: str
    seconds: float
    memory: int


def _worker(pipe: Connection) -> None:
    """Read one path after another; of each, send what we made of it, and then how it compares with the reference."""
    warnings.simplefilter("ignore")
    signal.signal(signal.SIGALRM, _too_slow)
    limited = False
    while (task := pipe.recv()) is not None:
        name, path, limit = task
        if limit and not limited:  # after the packages have been loaded
            import resource  # which Windows does not have

            space = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
            resource.setrlimit(resource.RLIMIT_AS, (space + 2**31, resource.RLIM_INFINITY))
            limited = True
        found: list[tuple[Any, Any, Any]] = []
        before, started = _resident("VmRSS", reset=True), time.process_time()
        accepted, reason, error = True, "", ""
        try:
            for matrix in find_weights(path):
                try:
                    values = matrix.read()
                    if len(found) < 100:
                        found.append((matrix.tensor.name, matrix.part, values))
                except ValueError as unread:
                    reason = str(unread)
        except ALLOWED as refused:
            accepted, reason = False, f"{type(refused).__name__}: {refused}"
        except BaseException as crash:
            error = f"{type(crash).__name__}: {str(crash)[:300]}"
        seconds, memory = time.process_time() - started, _resident("VmHWM") - before
        pipe.send(Ours(accepted, reason, error, seconds, memory))
        pipe.send(_compare(name, Path(path), found))


def _compare(name: str, path: Path, found: list[tuple[Any, Any, Any]]) -> tuple[bool, str]:
    """Whether the reference accepts the file, and the first matrix that it gives otherwise."""
    try:
        signal.alarm(5)
        theirs = _REFERENCES[name](path)
        different = ""
        for tensor, part, values in found:
            if tensor not in theirs:
                different = different or f"{tensor!r:.80} is not there"
            elif not np.array_equal(np.asarray(theirs[tensor])[part], values, equal_nan=True):
                different = different or f"{tensor!r:.80} has other values"
        return True, different
    except Exception:  # the reference may raise what it likes
        return False, ""
    finally:
        signal.alarm(0)


def _too_slow(*_: Any) -> None:
    raise TimeoutError


def _resident(key: str, reset: bool = False) -> int:
    if reset:
        Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
    found = re.search(rf"{key}:\s+(\d+) kB", Path("/proc/self/status").read_text())
    return 1024 * int(found[1]) if found else 0


def _widened_gguf(tensor: Any) -> Any:
    import gguf

    if tensor.tensor_type.name == "F64":
        return tensor.data.astype(np.float32)
    return gguf.quants.dequantize(tensor.data, tensor.tensor_type)


def _widened(values: Any) -> Any:
    return values.float().numpy() if str(values.dtype) == "torch.bfloat16" else values.numpy()


def _their_safetensors(path: Path) -> dict[str, Any]:
    from safetensors import safe_open

    with safe_open(path, "np") as file:
        return {name: file.get_tensor(name) for name in file.keys() if file.get_slice(name).get_dtype() in _NUMPY}  # noqa: SIM118


_NUMPY = ("F64", "F32", "F16", "I64", "I32", "I8")  # the package's numpy reader has no more


def _their_index(path: Path) -> dict[str, Any]:
    weight_map = json.loads(path.read_bytes())["weight_map"]
    shards = {shard: _their_safetensors(path.parent / shard) for shard in set(weight_map.values())}
    return {name: shards[shard][name] for name, shard in weight_map.items()}


def _their_gguf(path: Path) -> dict[str, Any]:
    import gguf

    tensors = gguf.GGUFReader(path).tensors
    return {t.name: _widened_gguf(t) for t in tensors if t.tensor_type.name not in ("I8", "I64")}


def _their_npz(path: Path) -> dict[str, Any]:
    with np.load(path, allow_pickle=False) as archive:
        return {name: archive[name] for name in archive.files}


def _their_npy(path: Path) -> dict[str, Any]:
    return {path.stem: np.load(path, allow_pickle=False)}


def _their_pt(path: Path) -> dict[str, Any]:
    import torch

    state = torch.load(path, map_location="cpu", weights_only=True)
    return {name: _widened(value) for name, value in state.items()}


_REFERENCES: dict[str, Callable[[Path], dict[str, Any]]] = {
    "safetensors": _their_safetensors,
    "index": _their_index,
    "gguf": _their_gguf,
    "npz": _their_npz,
    "npy": _their_npy,
    "pt": _their_pt,
}


class Reader:
    """The worker, started again when it has died."""

    def __init__(self) -> None:
        self.context = multiprocessing.get_context("spawn")
        self.warm: list[tuple[str, str]] = []
        self._start()

    def _start(self) -> None:
        self.pipe, far = self.context.Pipe()
        self.process = self.context.Process(target=_worker, args=(far,), daemon=True)
        self.process.start()
        far.close()
        for name, path in self.warm:
            self.pipe.send((name, path, False))
            self.pipe.recv(), self.pipe.recv()

    def warm_up(self, name: str, path: str) -> Ours:
        """Read a valid file, so that the format's package is loaded before anything is measured."""
        self.warm.append((name, path))
        self.pipe.send((name, path, False))
        ours, _ = self.pipe.recv(), self.pipe.recv()
        return ours

    def read(self, name: str, path: str) -> tuple[Ours | None, tuple[bool, str]]:
        """What we made of the file, None if the worker died or took too long; then the reference's answer."""
        self.pipe.send((name, path, True))
        ours = None
        try:
            if self.pipe.poll(SECONDS):
                ours = self.pipe.recv()
                if self.pipe.poll(2 * SECONDS):
                    return ours, self.pipe.recv()
        except EOFError:
            pass
        self.close()
        self._start()
        return ours, (False, "")

    def close(self) -> None:
        self.process.kill()
        self.process.join()
        self.pipe.close()


def fuzz(inputs: int, seed: int = 0, formats: list[str] | None = None, keep: Path | None = None) -> dict[str, Tally]:
    """Read that many changed files, the formats taking turns; what failed or differed is kept in a folder.

    Formats whose package is not installed are left out.
    """
    names = [name for name in formats or FORMATS if importlib.util.find_spec(FORMATS[name])]
    tallies = {name: Tally() for name in names}
    originals = {name: seeds(name, np.random.default_rng(seed)) for name in names}
    reader = Reader()
    try:
        with tempfile.TemporaryDirectory() as folder:
            for name in names:
                for i, files in enumerate(originals[name]):
                    ours = reader.warm_up(name, _write(files, Path(folder) / f"{name}{i}"))
                    if not ours.accepted or ours.error:
                        raise RuntimeError(f"the valid {name} file {i} is refused: {ours}")
            for i in range(inputs):
                name = names[i % len(names)]
                rng = np.random.default_rng([seed, i])
                choice = rng.choice(4, p=[0.4, 0.3, 0.28, 0.02])
                files = mutate(originals[name][choice], rng)
                path = _write(files, Path(folder) / "input")
                _count(tallies[name], i, sum(map(len, files.values())), *reader.read(name, path))
                if keep and tallies[name].problems and tallies[name].problems[-1].startswith(f"input {i}:"):
                    _write(files, keep / f"{name}-{seed}-{i}")
    finally:
        reader.close()
    return tallies


def _write(files: Files, folder: Path) -> str:
    """Write the files into a folder of their own, and give the path of the first."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, data in files.items():
        (folder / name).unlink(missing_ok=True)
        (folder / name).write_bytes(data)
    return str(folder / next(iter(files)))


def _count(tally: Tally, i: int, size: int, ours: Ours | None, theirs: tuple[bool, str]) -> None:
    tally.inputs += 1
    problem = ""
    if ours is None:
        problem = f"the worker died, or took more than {SECONDS:.0f} s"
    else:
        tally.accepted += ours.accepted
        tally.refused += not ours.accepted
        tally.ours_only += ours.accepted and not theirs[0]
        tally.theirs_only += theirs[0] and not ours.accepted
        tally.seconds, tally.memory = max(tally.seconds, ours.seconds), max(tally.memory, ours.memory)
        if ours.memory > TIMES * size + FLOOR:
            problem = f"{ours.memory / 1e6:.0f} MB for a file of {size} bytes"
        problem = ours.error or problem
    tally.failed += bool(problem)
    tally.differ += bool(theirs[1])
    if problem or theirs[1]:
        tally.problems.append(f"input {i}: {problem or theirs[1]}")


def main() -> int:
    description, _, epilog = (__doc__ or "").partition("\n")
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.fuzz",
        description=description,
        epilog=epilog,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--inputs", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--formats", nargs="+", choices=FORMATS)
    parser.add_argument("--keep", type=Path, metavar="DIR", help="keep what failed or differed there")
    options = parser.parse_args()
    started = os.times()
    tallies = fuzz(options.inputs, options.seed, options.formats, options.keep)
    ended = os.times()
    heads = "accepted", "refused", "only we", "only they", "differ", "failed", "worst ms", "worst MB"
    print(f"{'':12}{'inputs':>8}" + "".join(f"{head:>11}" for head in heads))
    for name, t in tallies.items():
        counts = t.accepted, t.refused, t.ours_only, t.theirs_only, t.differ, t.failed
        print(f"{name:12}{t.inputs:8}" + "".join(f"{n:11}" for n in counts), end="")
        print(f"{1e3 * t.seconds:11.0f}{t.memory / 1e6:11.1f}")
    for name, t in tallies.items():
        for problem in t.problems[:20]:
            print(f"{name}, {problem}")
    used = sum(ended[:4]) - sum(started[:4])
    print(f"{used:.0f} s of processor time")
    return int(any(t.failed or t.differ for t in tallies.values()))


if __name__ == "__main__":
    raise SystemExit(main())
