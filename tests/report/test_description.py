"""What a source holds and what it takes, told before a tensor is read."""

import json
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from sources import bert_like

import rmt_lab
from rmt_lab import analyze, describe
from rmt_lab.ensembles import gaussian_spectrum
from rmt_lab.report.description import in_words
from rmt_lab.weights.tensors import StoredTensor


def no_read(_):
    raise AssertionError("a tensor was read")


@pytest.fixture
def unreadable(monkeypatch):
    """Every tensor of a state dict raises when it is read."""
    from rmt_lab.weights import read

    tensors = read.tensors_of_mapping

    def closed(state):
        return [StoredTensor(t.name, t.shape, t.dtype, no_read, t.layer_type, t.identity) for t in tensors(state)]

    monkeypatch.setattr(read, "tensors_of_mapping", closed)


@pytest.mark.usefixtures("unreadable")
def test_the_layers_are_those_of_the_analysis_and_nothing_is_read():
    state = bert_like(blocks=2, d=12)
    state["quantised.weight"] = np.ones((20, 20), np.int8)
    table = describe(state)
    assert analyze(state)["status"].str.contains("a tensor was read|int8").all()  # so the fixture does what it says
    layers = table[table["skipped"] == ""]
    assert len(layers) == table.attrs["layers"] == 2 + 2 * 6 + 1
    assert list(layers["name"][:4]) == ["word embedding", "position embedding", "block 0 query", "block 0 key"]
    assert list(layers["layer_id"]) == list(range(15))
    assert len(table) == len(state)
    assert table.attrs["skipped"] == len(state) - 15
    assert table["seconds"].sum() == pytest.approx(table.attrs["seconds"])
    assert table.attrs["seconds"] > 0
    assert table["memory"].max() == table.attrs["memory"] > 0


@pytest.mark.parametrize(
    ("name", "values", "says"),
    [
        ("h.0.fc.bias", np.ones(9), "a bias"),
        ("h.0.attn.bias", np.ones((1, 1, 9, 9)), "a buffer"),
        ("h.0.ln_1.weight", np.ones(9), "norm"),
        ("LayerNorm.gamma", np.ones(9), "a vector"),
        ("embeddings.position_ids", np.ones((1, 9), int), "a buffer: int64"),
        ("h.0.fc.weight_scale", np.ones((9, 1)), "scales"),
        ("q.weight", np.ones((9, 9), np.int8), "cannot be read: it is stored as int8"),
        ("h.0.six.weight", np.ones((2,) * 6), "no matrix by its name and shape"),
    ],
)
def test_what_is_skipped_says_why(name, values, says):
    table = describe({"fc.weight": np.ones((9, 9)), name: values})
    assert says in table["skipped"][1]
    assert table["skipped"][0] == ""
    assert np.isnan(table["seconds"][1])


def test_tied_weights_and_split_parts():
    table = np.ones((40, 8), np.float32)
    state = {"wte.weight": table, "h.0.attn.c_attn.weight": np.ones((8, 24)), "lm_head.weight": table}
    found = describe(state, split_qkv=True)
    assert list(found["role"]) == ["embedding", "query", "key", "value", "head"]
    assert list(found["skipped"]) == ["", "", "", "", "tied: the same tensor as wte.weight"]
    assert found.attrs["layers"] == 4
    assert found["bytes"][1] == 8 * 8 * 8


def test_spectra_at_hand():
    for source, layers in (("minilm", 40), ([gaussian_spectrum(60, 30, rng=0)], 1)):
        table = describe(source)
        assert table.attrs["layers"] == layers
        assert "Their eigenvalues are at hand" in in_words(table)
    assert describe("minilm")["shape"][1] == (512, 384)


def test_errors_are_those_of_the_analysis():
    with pytest.raises(FileNotFoundError, match="the atlas has minilm"):
        describe("./minillm")
    with pytest.raises(TypeError, match="allowed are"):
        describe(3)


PROBE = """
import json, sys
import numpy as np
from rmt_lab import analyze, describe

def peak():
    lines = open("/proc/self/status").read().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM"))

analyze({"x.weight": np.random.default_rng(0).normal(size=(64, 32))})
before = peak()
promised = describe(sys.argv[1]).attrs["memory"]
assert peak() - before < promised / 4
analyze(sys.argv[1])
print(json.dumps([promised, peak() - before]))
"""


@pytest.mark.slow
@pytest.mark.parametrize("shape", [(12000, 1024), (2048, 2048)])
def test_seconds_within_a_factor_of_three_and_memory_of_one_and_a_half(shape, tmp_path):
    path = tmp_path / "model.npz"
    np.savez(path, **{"x.weight": np.random.default_rng(0).standard_normal(shape, dtype=np.float32)})
    promised = describe(path).attrs["seconds"]
    start = time.process_time()
    assert (analyze(path)["status"] == "success").all()
    took = time.process_time() - start
    assert promised / 3 < took < promised * 3
    if Path("/proc/self/status").exists():
        out = subprocess.run([sys.executable, "-c", PROBE, str(path)], capture_output=True, text=True, check=True)
        told, used = json.loads(out.stdout)
        assert told / 1.5 < used < told * 1.5


def test_describe_imports_no_matplotlib():
    code = "import rmt_lab, sys; rmt_lab.describe('minilm'); print([m for m in sys.modules if m == 'matplotlib'])"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"
    assert "describe" in rmt_lab.__all__
