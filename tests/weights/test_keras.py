"""Keras' files, made by h5py in Keras' layout, and by Keras where it is installed: axes, names, what is refused."""

import sys
import zipfile

import numpy as np
import pytest

from rmt_lab import analyze
from rmt_lab.weights import iter_weights
from rmt_lab.weights.read import find_weights

h5py = pytest.importorskip("h5py", reason="needs h5py")
rng = np.random.default_rng(0)


def draw(*shape):
    return rng.normal(size=shape).astype(np.float32)


DENSE, CONV, TABLE, QUERY, OUT, GATES = (
    draw(5, 7),
    draw(3, 3, 2, 4),
    draw(11, 6),
    draw(8, 2, 4),
    draw(2, 4, 8),
    draw(8, 20),
)
EXPECTED = {
    "tokens": TABLE,
    "conv": CONV.transpose(3, 2, 0, 1),
    "attention.query": QUERY.reshape(8, 8).T,
    "attention.attention_output": OUT.reshape(8, 8).T,
    "lstm.lstm_cell": GATES.T,
    "hidden": DENSE.T,
}


def new_layout(path):
    """As Keras 3 writes it: groups by the class of the layer, its own name as an attribute."""
    with h5py.File(path, "w") as file:
        for place, name, values in (
            ("embedding", "tokens", TABLE),
            ("conv2d", "conv", CONV),
            ("multi_head_attention/query_dense", "query", QUERY),
            ("multi_head_attention/output_dense", "attention_output", OUT),
            ("lstm/cell", "lstm_cell", GATES),
            ("dense", "hidden", DENSE),
        ):
            group = file.create_group(f"layers/{place}/vars")
            group.attrs["name"] = name
            group["0"], group["1"] = values, np.ones((2, 4), np.float32) if name == "query" else values[0, ..., :1]
        file.create_group("layers/multi_head_attention/vars").attrs["name"] = "attention"
        file.create_group("layers/lstm/vars").attrs["name"] = "lstm"
        file["optimizer/vars/0"] = draw(5, 7)
    return path


def old_layout(path, ending=":0"):
    """As Keras 2 writes it: by name."""
    with h5py.File(path, "w") as file:
        root = file.create_group("model_weights")
        for layer, place, values in (
            ("tokens", "tokens/embeddings", TABLE),
            ("conv", "conv/kernel", CONV),
            ("conv", "conv/bias", CONV[0, 0, 0]),
            ("attention", "attention/query/kernel", QUERY),
            ("attention", "attention/query/bias", QUERY[0]),
            ("attention", "attention/attention_output/kernel", OUT),
            ("lstm", "lstm/lstm_cell/kernel", GATES),
            ("hidden", "hidden/kernel", DENSE),
        ):
            root[f"{layer}/{place}{ending}"] = values
        root.attrs["layer_names"] = ["tokens", "conv", "attention", "lstm", "hidden"]
        file["optimizer_weights/hidden/kernel:0"] = draw(5, 7)
    return path


def zipped(path, weights, compression=zipfile.ZIP_STORED, config="{}"):
    with zipfile.ZipFile(path, "w", compression) as archive:
        archive.writestr("config.json", config)
        archive.write(weights, "model.weights.h5")
    return path


def test_kernels_have_the_axes_of_torch(tmp_path):
    weights = new_layout(tmp_path / "m.weights.h5")
    for path in (
        weights,
        zipped(tmp_path / "m.keras", weights),
        old_layout(tmp_path / "m.h5"),
        old_layout(tmp_path / "m.hdf5", ""),
    ):
        found = {w.longname: w for w in iter_weights(path)}
        assert set(found) == set(EXPECTED)
        for name, values in EXPECTED.items():
            np.testing.assert_array_equal(found[name].matrix, values)
        assert (found["tokens"].layer_type, found["conv"].layer_type) == ("embedding", "conv2d")
        assert found["attention.query"].role == "query"
    layers = [name.split(".")[0] for name in found]  # of the old files, which keep their order
    assert list(dict.fromkeys(layers)) == ["tokens", "conv", "attention", "lstm", "hidden"]


def test_the_configuration_gives_the_order(tmp_path):
    names = ["hidden", "tokens", "lstm", "attention", "conv"]
    layers = ", ".join(f'{{"class_name": "X", "config": {{"name": "{name}"}}}}' for name in names)
    weights = new_layout(tmp_path / "m.weights.h5")
    path = zipped(tmp_path / "m.keras", weights, config=f'{{"config": {{"layers": [{layers}]}}}}')
    assert list(dict.fromkeys(found.longname.split(".")[0] for found in find_weights(path))) == names


def test_links_and_other_files_are_refused(tmp_path):
    (tmp_path / "secret.h5").write_bytes(old_layout(tmp_path / "other.h5").read_bytes())
    for link in (h5py.ExternalLink("secret.h5", "model_weights"), h5py.SoftLink("/layers")):
        path = new_layout(tmp_path / "m.weights.h5")
        with h5py.File(path, "a") as file:
            file["layers/linked"] = link
        with pytest.raises(ValueError, match=r"m\.weights\.h5' is no Keras file.*is a link to another file or place"):
            find_weights(path)
    path = new_layout(tmp_path / "m.weights.h5")
    with h5py.File(path, "a") as file:
        file["layers/dense/itself"] = file["layers"]
    with pytest.raises(ValueError, match="holds itself"):
        find_weights(path)


def test_a_variable_that_lies_elsewhere_is_one_row(tmp_path):
    path = new_layout(tmp_path / "m.weights.h5")
    (tmp_path / "raw").write_bytes(bytes(5 * 7 * 4))
    with h5py.File(path, "a") as file:
        for place, more in (
            ("raw", {"external": [(str(tmp_path / "raw"), 0, 140)]}),
            ("huge", {"chunks": (100, 100)}),
            ("text", {"dtype": h5py.string_dtype()}),
        ):
            group = file.create_group(f"layers/{place}/vars")
            shape = (10**6, 10**6) if place == "huge" else (5, 7)
            group.create_dataset("0", shape, **{"dtype": "f4"} | more)
        layout = h5py.VirtualLayout((5, 7), "f4")
        layout[:] = h5py.VirtualSource(str(tmp_path / "secret.h5"), "x", (5, 7))
        file.create_group("layers/virtual/vars").create_virtual_dataset("0", layout)
    table = analyze(path, min_evals=2).set_index("longname")["status"]
    assert "its values lie in another file" in table["raw"]
    assert "its values lie in another file" in table["virtual"]
    assert "too large" in table["huge"]
    assert "text" not in table
    assert table["hidden"] == "success"


def test_damaged_and_compressed_files(tmp_path):
    weights = new_layout(tmp_path / "m.weights.h5")
    packed = zipped(tmp_path / "m.keras", weights)
    for path in (weights, packed):
        data = path.read_bytes()
        for size in (3, 100, len(data) // 2):
            path.write_bytes(data[:size])
            with pytest.raises(ValueError, match="is no Keras file, or is damaged or truncated"):
                find_weights(path)
    weights = new_layout(tmp_path / "m.weights.h5")
    with pytest.raises(ValueError, match="is compressed, which Keras does not write"):
        find_weights(zipped(packed, weights, zipfile.ZIP_DEFLATED))


def test_the_package_is_named_where_it_is_missing(tmp_path, monkeypatch):
    path = new_layout(tmp_path / "m.weights.h5")
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(ImportError, match=r'needs the package h5py: pip install "rmt-lab\[keras\]"'):
        find_weights(path)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of Keras' own
def test_matrices_do_what_the_layers_of_keras_do(tmp_path, monkeypatch):
    torch = pytest.importorskip("torch", reason="needs torch")
    monkeypatch.setenv("KERAS_BACKEND", "torch")
    keras = pytest.importorskip("keras", reason="needs keras")
    layers = keras.layers
    given = layers.Input((9, 9, 3))
    x = layers.Conv2D(4, 3, name="conv")(given)
    x = layers.DepthwiseConv2D(3, depth_multiplier=2, name="depth")(x)
    x = layers.Conv2DTranspose(5, 3, name="up")(x)
    x = layers.SeparableConv2D(6, 3, name="sep")(x)
    x = layers.Reshape((25, 6))(x)
    x = layers.Conv1D(8, 3, name="narrow")(x)
    x = layers.MultiHeadAttention(2, 4, name="attention")(x, x)
    x = layers.LSTM(5, name="lstm")(x)
    model = keras.Model(given, layers.Dense(3, name="out")(x))
    image = np.float32(rng.normal(size=(1, 9, 9, 3)))
    model.save(tmp_path / "m.keras")
    model.save_weights(tmp_path / "m.weights.h5")
    model.save(tmp_path / "m.h5")
    f = torch.nn.functional
    for path in tmp_path.iterdir():
        w = {found.longname: torch.tensor(found.matrix) for found in iter_weights(path)}
        x = f.conv2d(torch.tensor(image).permute(0, 3, 1, 2), w["conv"])
        x = f.conv_transpose2d(f.conv2d(x, w["depth"], groups=4), w["up"])
        x = f.conv2d(f.conv2d(x, w["sep.depthwise"], groups=5), w["sep.pointwise"])
        x = f.conv1d(x.flatten(2), w["narrow"]).permute(0, 2, 1)
        q, k, v = (
            (x @ w[f"attention.{part}"].T).unflatten(-1, (2, 4)).transpose(1, 2) for part in ("query", "key", "value")
        )
        x = f.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2) @ w["attention.attention_output"].T
        lstm = torch.nn.LSTM(8, 5, bias=False, batch_first=True)
        lstm.weight_ih_l0.data, lstm.weight_hh_l0.data = w["lstm.lstm_cell"], w["lstm.lstm_cell.recurrent"]
        # the forget gate's bias begins at 1 in Keras
        bias = torch.zeros(20)
        bias[5:10] = 1
        h, c = torch.zeros(1, 5), torch.zeros(1, 5)
        for t in range(x.shape[1]):
            gates = x[:, t] @ lstm.weight_ih_l0.T + h @ lstm.weight_hh_l0.T + bias
            i, forget, g, o = gates.chunk(4, dim=-1)
            c = forget.sigmoid() * c + i.sigmoid() * g.tanh()
            h = o.sigmoid() * c.tanh()
        expected = model(image).detach()
        torch.testing.assert_close(h @ w["out"].T, expected, rtol=1e-4, atol=1e-5)
