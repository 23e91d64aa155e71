"""A synthetic checkpoint: sharded bfloat16 safetensors with a Llama's names, made of noise with uneven rows."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np

_ROWS = 2**22  # entries that are drawn at a time


def llama(parameters: float, d: int = 2048, hidden: int = 5504, tokens: int = 32000) -> dict[str, tuple[int, int]]:
    """Names and shapes of an embedding and of as many matrices of blocks as make about that many parameters."""
    shapes = {"model.embed_tokens.weight": (tokens, d)}
    roles = {f"self_attn.{x}_proj": (d, d) for x in "qkvo"}
    roles |= {"mlp.gate_proj": (hidden, d), "mlp.up_proj": (hidden, d), "mlp.down_proj": (d, hidden)}
    left, block = parameters - tokens * d, 0
    while left > 0:
        for role, shape in roles.items():
            if left > 0:
                shapes[f"model.layers.{block}.{role}.weight"] = shape
                left -= math.prod(shape)
        block += 1
    return shapes


def save(folder: Path, shapes: dict[str, tuple[int, int]], shard_bytes: float = 5e8, seed: int = 0) -> list[Path]:
    """Write the checkpoint into a folder; returns its shards."""
    shards: list[list[str]] = [[]]
    for name in shapes:
        held = sum(2 * math.prod(shapes[other]) for other in shards[-1])
        if shards[-1] and held + 2 * math.prod(shapes[name]) > shard_bytes:
            shards.append([])
        shards[-1].append(name)
    paths = [folder / f"model-{i + 1:05}-of-{len(shards):05}.safetensors" for i in range(len(shards))]
    for path, names in zip(paths, shards, strict=True):
        save_shard(path, names, shapes, seed)
    weight_map = {name: path.name for path, names in zip(paths, shards, strict=True) for name in names}
    (folder / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": weight_map}))
    return paths


def save_shard(path: Path, names: Sequence[str], shapes: dict[str, tuple[int, int]], seed: int = 0) -> None:
    """One file: 8 bytes n, n bytes of JSON, then the values; each matrix has its own random numbers."""
    header, offset = {}, 0
    for name in names:
        end = offset + 2 * math.prod(shapes[name])
        header[name] = {"dtype": "BF16", "shape": list(shapes[name]), "data_offsets": [offset, end]}
        offset = end
    text = json.dumps(header).encode()
    with path.open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for name in names:
            rows, columns = shapes[name]
            rng = np.random.default_rng([seed, *name.encode()])
            step = max(1, _ROWS // columns)
            for i in range(0, rows, step):
                values = rng.standard_normal((min(step, rows - i), columns), dtype=np.float32)
                values *= np.exp(rng.standard_normal((len(values), 1), dtype=np.float32)) / 50
                (values.view(np.uint32) >> 16).astype("<u2").tofile(file)
