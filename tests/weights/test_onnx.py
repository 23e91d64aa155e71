"""ONNX graphs: each constant by its use, values beside the graph only from its folder, and what is refused."""

import sys

import numpy as np
import pytest

from rmt_lab import analyze
from rmt_lab.weights import iter_weights
from rmt_lab.weights.read import find_weights

onnx = pytest.importorskip("onnx", reason="needs onnx")
rng = np.random.default_rng(0)
make, to_tensor = onnx.helper.make_node, onnx.numpy_helper.from_array


def draw(*shape):
    return rng.normal(size=shape).astype(np.float32)


CONSTANTS = {
    "emb.word_embeddings.weight": draw(11, 6),
    "onnx::MatMul_7": draw(6, 8),
    "fc.weight": draw(5, 8),
    "fc.bias": draw(5),
    "plain.weight": draw(5, 4),
    "conv.weight": draw(4, 3, 3, 3),
    "lstm.W": draw(2, 20, 4),
    "lstm.R": draw(2, 20, 5),
    "turned": draw(9, 4),
    "shape": np.array([1, 2]),
    "table": draw(5, 5),
}
NODES = [
    make("Gather", ["emb.word_embeddings.weight", "ids"], ["a"], name="/emb/word_embeddings/Gather"),
    make("MatMul", ["a", "onnx::MatMul_7"], ["b"], name="/encoder/layer.0/attention/self/query/MatMul"),
    make("Gemm", ["b", "fc.weight", "fc.bias"], ["c"], name="/fc/Gemm", transB=1),
    make("Gemm", ["c", "plain.weight"], ["d"], name="/plain/Gemm"),
    make("Conv", ["image", "conv.weight"], ["e"], name="/conv/Conv"),
    make("LSTM", ["d", "lstm.W", "lstm.R"], ["f"], name="/lstm/LSTM", direction="bidirectional", hidden_size=5),
    make("Transpose", ["turned"], ["g"], name="/head/Transpose"),
    make("MatMul", ["d", "g"], ["h"], name="/head/MatMul"),
    make("Reshape", ["h", "shape"], ["i"], name="/Reshape"),
    make("Mul", ["i", "table"], ["j"], name="/Mul"),
    make("Evil", ["j"], ["k"], name="/evil", domain="com.example"),
]
EXPECTED = {
    "emb.word_embeddings": CONSTANTS["emb.word_embeddings.weight"],
    "encoder.layer.0.attention.self.query": CONSTANTS["onnx::MatMul_7"].T,
    "fc": CONSTANTS["fc.weight"],
    "plain": CONSTANTS["plain.weight"].T,
    "conv": CONSTANTS["conv.weight"],
    "lstm.W": CONSTANTS["lstm.W"][0],
    "lstm.W.reverse": CONSTANTS["lstm.W"][1],
    "lstm.R": CONSTANTS["lstm.R"][0],
    "lstm.R.reverse": CONSTANTS["lstm.R"][1],
    "head": CONSTANTS["turned"],
}


def written(path, constants=CONSTANTS, nodes=NODES, **options):
    tensors = [value if hasattr(value, "dims") else to_tensor(value, name) for name, value in constants.items()]
    graph = onnx.helper.make_graph(nodes, "g", [], [], initializer=tensors)
    onnx.save(onnx.helper.make_model(graph), path, **options)
    return path


@pytest.mark.parametrize("outside", [False, True])
def test_each_constant_is_what_the_graph_uses_it_for(tmp_path, outside):
    more = {"save_as_external_data": True, "location": "values.bin", "size_threshold": 0} if outside else {}
    path = written(tmp_path / "m.onnx", **more)
    assert (tmp_path / "values.bin").exists() == outside
    found = {w.longname: w for w in iter_weights(path)}
    assert list(found) == list(EXPECTED)
    for name, values in EXPECTED.items():
        np.testing.assert_array_equal(found[name].matrix, values)
    assert found["emb.word_embeddings"].layer_type == "embedding"
    assert found["conv"].layer_type == "conv2d"
    assert found["encoder.layer.0.attention.self.query"].name == "block 0 query"


def external(location, offset="0"):
    tensor = onnx.TensorProto(name="out.weight", data_type=1, dims=[8, 6], data_location=1)
    for key, value in (("location", location), ("offset", offset)):
        tensor.external_data.add(key=key, value=value)
    return tensor


@pytest.mark.parametrize(
    ("location", "offset", "says"),
    [
        ("../secret.bin", "0", "outside of the folder"),
        ("/etc/hostname", "0", "outside of the folder"),
        ("a/../../secret.bin", "0", "outside of the folder"),
        ("..\\\\secret.bin", "0", "outside of the folder"),
        ("", "0", "outside of the folder"),
        ("gone.bin", "0", "'gone.bin', which is missing"),
        ("values.bin", "-4", "'-4' of 'values.bin'"),
        ("values.bin", "x", "'x' of 'values.bin'"),
        ("values.bin", "100", "cannot reshape"),
    ],
)
def test_values_elsewhere_cost_their_own_row(tmp_path, location, offset, says):
    folder = tmp_path / "model"
    folder.mkdir()
    for place in (tmp_path / "secret.bin", folder / "values.bin"):
        place.write_bytes(bytes(8 * 6 * 4))
    nodes = [make("MatMul", ["x", "out.weight"], ["y"]), make("MatMul", ["y", "good.weight"], ["z"])]
    path = written(folder / "m.onnx", {"out.weight": external(location, offset), "good.weight": draw(6, 8)}, nodes)
    status = analyze(path, min_evals=2).set_index("longname")["status"]
    assert status["good"] == "success"
    assert says in status["out"]


def test_shapes_that_lie_and_quantised_constants_cost_their_own_row(tmp_path):
    huge = onnx.TensorProto(name="huge.weight", data_type=1, dims=[10**6, 10**6], raw_data=bytes(64))
    short = onnx.TensorProto(name="short.weight", data_type=1, dims=[6, 8], raw_data=bytes(64))
    gates = onnx.TensorProto(name="gates.weight", data_type=1, dims=[2, 10**5, 10**5], raw_data=bytes(64))
    odd = onnx.TensorProto(name="odd.weight", data_type=999, dims=[6, 8])
    constants = {
        "huge": huge,
        "short": short,
        "odd": odd,
        "gates": gates,
        "q.weight": np.ones((6, 8), np.int8),
        "good.weight": draw(6, 8),
    }
    nodes = [make("MatMul", ["x", f"{name}.weight"], [name]) for name in ("huge", "short", "odd", "good")]
    nodes.append(make("LSTM", ["x", "gates.weight"], ["g"]))
    nodes.append(make("DequantizeLinear", ["q.weight", "s"], ["q"]))
    status = analyze(written(tmp_path / "m.onnx", constants, nodes), min_evals=2).set_index("longname")["status"]
    assert status["good"] == "success"
    assert "too large" in status["huge"]
    assert "too large" in status["gates"]
    assert "cannot reshape" in status["short"]
    assert "ONNX's type 999" in status["odd"]
    assert "DequantizeLinear computes with int8; export the model in float32" in status["q"]


def test_damaged_files(tmp_path):
    path = tmp_path / "m.onnx"
    data = written(path).read_bytes()
    for broken in (b"this is no graph at all", data[: len(data) // 2]):
        path.write_bytes(broken)
        with pytest.raises(ValueError, match=r"m\.onnx' is no ONNX file, or is damaged or truncated"):
            find_weights(path)


def test_the_package_is_named_where_it_is_missing(tmp_path, monkeypatch):
    path = written(tmp_path / "m.onnx")
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(ImportError, match=r'needs the package onnx: pip install "rmt-lab\[onnx\]"'):
        find_weights(path)
