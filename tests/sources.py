"""What the readers of weights are tried on: a state dict like BERT's, and an object that must not be unpickled."""

import json
import shutil
import warnings
from pathlib import Path

import numpy as np
import pytest
from hypothesis import strategies as st

from rmt_lab.weights import iter_weights
from rmt_lab.weights.read import find_weights


def bert_like(blocks=12, d=4, dtype=np.float32):
    """A state dict in the model's order, as numpy arrays, with everything in it that is no weight matrix."""
    rng = np.random.default_rng(0)

    def draw(*shape):
        return rng.normal(size=shape).astype(dtype)

    state = {
        "embeddings.position_ids": np.arange(7)[None],
        "embeddings.word_embeddings.weight": draw(9, d),
        "embeddings.position_embeddings.weight": draw(7, d),
        "embeddings.LayerNorm.weight": draw(d),
    }
    for i in range(blocks):
        for part, shape in {
            "attention.self.query": (d, d),
            "attention.self.key": (d, d),
            "attention.self.value": (d, d),
            "attention.output.dense": (d, d),
            "intermediate.dense": (3 * d, d),
            "output.dense": (d, 3 * d),
        }.items():
            state[f"encoder.layer.{i}.{part}.weight"] = draw(*shape)
            state[f"encoder.layer.{i}.{part}.bias"] = draw(shape[0])
        state[f"encoder.layer.{i}.output.LayerNorm.weight"] = draw(d)
    return state | {"pooler.dense.weight": draw(d, d), "pooler.dense.bias": draw(d)}


def same(found, expected, exact_names=True):
    found = list(found)
    assert [w[:2] for w in found] == [w[:2] for w in expected]
    if exact_names:
        assert [w.longname for w in found] == [w.longname for w in expected]
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_array_equal(a.matrix, b.matrix)
    return True


class Evil:
    """Unpickling it would create a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (Path.touch, (Path(self.path),))


def sharded(state, folder, name, kind, save):
    """A folder with the index of three shards, and the index."""
    keys, weight_map = list(state), {}
    for i in range(3):
        part = {k: state[k] for k in keys[i::3]}
        shard = f"{name}-0000{i + 1}-of-00003.{kind}"
        save(part, folder / shard)
        weight_map |= dict.fromkeys(part, shard)
    index = folder / f"{name}.{kind}.index.json"
    index.write_text(json.dumps({"metadata": {}, "weight_map": weight_map}))
    return index


def check_sharded(folder, index, expected):
    """A folder of shards gives the same, and says what is missing in it."""
    name, kind = index.name.removesuffix(".index.json").split(".")
    assert same(iter_weights(folder), expected)
    assert same(iter_weights(index), expected)

    gone = folder / f"{name}-00002-of-00003.{kind}"
    gone.rename(folder / "elsewhere")
    with pytest.raises(FileNotFoundError, match=rf"shard {gone.name}, one of 3, is missing"):
        iter_weights(folder)
    shutil.copy(folder / f"{name}-00001-of-00003.{kind}", gone)
    with pytest.raises(ValueError, match=rf"shard {gone.name} lacks '"):
        iter_weights(folder)
    index.write_text(json.dumps({"weight_map": {"a.weight": "../a.safetensors"}}))
    with pytest.raises(ValueError, match="outside of the folder"):
        iter_weights(folder)
    index.write_text("{}")
    with pytest.raises(ValueError, match="no checkpoint index"):
        iter_weights(folder)


def check_garbage(path):
    """An empty file, and one of text, at that path."""
    path.write_bytes(b"")
    with pytest.raises(ValueError, match=r"model.* is an empty file"):
        iter_weights(path)
    path.write_bytes(b"this is no checkpoint at all, only some text that is long enough")
    with pytest.raises(ValueError, match=r"source='.*model.* is no "):
        iter_weights(path)


def check_truncated(path):
    """The file that stands at that path, cut off here and there."""
    data = path.read_bytes()
    for size in (10, len(data) // 2, len(data) - 30):
        path.write_bytes(data[:size])
        with pytest.raises(ValueError, match=r"source='.*model.* is no "):
            iter_weights(path)


#: of the files that are damaged
LITTLE = {"h.0.up.weight": np.ones((2, 3), np.float32), "h.10.up.weight": np.ones((3, 2), np.float32)}
flips = st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), min_size=1, max_size=3)


def check_damaged(path, flips):
    """Bytes of a file set to others, each at a share of its length: it gives matrices or says what is wrong."""
    data = bytearray(path.read_bytes())
    for place, value in flips:
        data[int(place * len(data))] = value
    damaged = path.with_stem("damaged")
    damaged.write_bytes(data)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".* is left out: it cannot be read")
        message = "source="
        try:
            assert find_weights(damaged)
            list(iter_weights(damaged))
        except ValueError as error:
            message = str(error)
    assert message.startswith("source=")
