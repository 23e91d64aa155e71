"""What training changed: W - W0 of two checkpoints, matched by name, every mismatch named."""

import json

import numpy as np
import pytest

from rmt_lab import analyze
from rmt_lab.analysis import Options, rows_of, table_of
from rmt_lab.cli import main
from rmt_lab.report import content
from rmt_lab.spectrum import Spectrum
from rmt_lab.weights.pairs import FoundChange, find_changes, matched
from rmt_lab.weights.read import find_weights

SHAPES = {"layers.0.q_proj": (40, 40), "layers.0.up_proj": (60, 40), "layers.1.q_proj": (40, 40)}


def model(seed, prefix="", dtype=np.float64, **more):
    rng = np.random.default_rng(seed)
    drawn = {f"{prefix}{name}.weight": rng.normal(size=shape).astype(dtype) for name, shape in SHAPES.items()}
    return drawn | {f"{name}.weight": W for name, W in more.items()}


def added(base, change):
    return {name: W + change[name] for name, W in base.items()}


def as_bfloat16(W):
    """Rounded to the nearest bfloat16, as float32."""
    bits = W.astype(np.float32).view(np.uint32)
    return (((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16) << 16).astype(np.uint32).view(np.float32)


def test_the_table_of_the_change_is_that_of_the_dense_difference(tmp_path):
    base, change = model(0), {name: 1e-3 * W for name, W in model(1).items()}
    tuned = added(base, change)
    table = analyze(tuned, base=base)
    dense = analyze({name: tuned[name] - base[name] for name in base})
    assert table.drop(columns="stored_rank").equals(dense.drop(columns="stored_rank"))
    for row in table.itertuples():
        s = np.linalg.svd(tuned[row.longname + ".weight"] - base[row.longname + ".weight"], compute_uv=False)
        assert row.sv_max == pytest.approx(s[0], rel=1e-10)
        assert row.norm == pytest.approx(np.square(s).sum(), rel=1e-10)


def test_singular_values_of_the_change_are_those_of_a_dense_svd():
    base, tuned = model(0), model(3)
    for change in find_changes(find_weights(tuned), find_weights(base))[0]:
        key = change.longname + ".weight"
        dense = np.linalg.svd(tuned[key] - base[key], compute_uv=False)[::-1]
        np.testing.assert_allclose(change.spectrum(*change.parts()).singular_values, dense, rtol=0, atol=1e-10)


def test_a_change_of_low_rank_has_its_rank_and_its_values():
    rng = np.random.default_rng(0)
    W0, B, A = rng.normal(size=(90, 60)), rng.normal(size=(90, 5)), rng.normal(size=(5, 60))
    row = analyze({"a": W0 + 1e-3 * B @ A}, base={"a": W0}, min_evals=2).iloc[0]
    dense = np.linalg.svd(1e-3 * B @ A, compute_uv=False)
    assert (row["matrix_rank"], row["stored_rank"]) == (5, 5)
    assert row["sv_max"] == pytest.approx(dense[0], rel=1e-10)
    [change] = find_changes(find_weights({"a": W0 + 1e-3 * B @ A}), find_weights({"a": W0}))[0]
    found = change.spectrum(*change.parts()).singular_values[-5:]
    np.testing.assert_allclose(found, dense[:5][::-1], rtol=0, atol=1e-10)


def test_the_change_of_a_kernel_pools_its_slices():
    rng = np.random.default_rng(0)
    W0, W = (rng.normal(size=(12, 10, 3, 1)).astype(np.float32) for _ in range(2))
    row = analyze({"conv.weight": W}, base={"conv.weight": W0}).iloc[0]
    assert (row["layer_type"], row["rf"], row["num_evals"]) == ("conv2d", 3, 30)
    assert row["norm"] == pytest.approx(np.square(W.astype(float) - W0).sum(), rel=1e-12)


@pytest.mark.parametrize(
    ("rounded", "size"), [(as_bfloat16, 4.0), (np.float16, 1.0), (np.float32, 1e-3)], ids=["bfloat16", "float16", "32"]
)
def test_the_rounding_of_both_sides_is_no_change(rounded, size):
    rng = np.random.default_rng(5)
    W0 = rounded(rng.normal(size=(300, 200)))
    u, v = (np.linalg.qr(rng.normal(size=(n, 6)))[0] for n in W0.shape)
    W = rounded(W0.astype(float) + size * u @ v.T)
    row = analyze({"a": W}, base={"a": W0}).iloc[0]
    assert row["stored_rank"] == 6
    assert row["matrix_rank"] > 150
    assert analyze({"a": W0.copy()}, base={"a": W0}).iloc[0]["status"].startswith("failed: 0 non-zero")


@pytest.mark.parametrize("side", ["source", "base"])
def test_a_prefix_that_all_have_is_forgiven(side):
    base, tuned = (model(i, prefix="model." if which == side else "") for i, which in enumerate(("base", "source")))
    table = analyze(tuned, base=base)
    assert list(table["status"]) == ["success"] * 3
    assert list(table["name"]) == ["block 0 query", "block 0 feed-forward in", "block 1 query"]
    assert table["longname"].str.startswith("model.").all() == (side == "source")


def test_every_mismatch_is_named():
    base = model(0, old_head=np.ones((3, 40)), older=np.ones((3, 40)))
    tuned = model(1, classifier=np.ones((12, 40)))
    tuned["layers.0.up_proj.weight"] = np.ones((41, 40))
    with pytest.warns(UserWarning, match="base has layers that source lacks: old_head, older"):
        table = analyze(tuned, base=base)
    assert dict(zip(table["longname"], table["status"], strict=True)) == {
        "layers.0.q_proj": "success",
        "layers.0.up_proj": "failed: it has shape 41 x 40, and 60 x 40 in the base",
        "layers.1.q_proj": "success",
        "classifier": "failed: the base has no such layer",
    }
    assert list(analyze(tuned, base=base, layers=["query"])["status"]) == ["success"] * 2  # and no warning


def test_two_prefixes_that_fit_as_well_are_refused():
    tower = model(0)
    both = {f"{side}.{name}": W for side in ("encoder", "decoder") for name, W in model(1).items()}
    with pytest.raises(ValueError, match=r"several prefixes, 'encoder\.' and 'decoder\.'"):
        analyze(tower, base=both)


def test_no_name_in_common_leaves_all_without_a_partner():
    partners, alone = matched(find_weights(model(0)), find_weights({"x.weight": np.ones((3, 3))}))
    assert partners == [None] * 3
    assert [layer.longname for layer in alone] == ["x"]


def test_what_holds_no_weights_has_no_change():
    with pytest.raises(ValueError, match="base needs weights on both sides; source holds spectra alone"):
        analyze("minilm", base=model(0))
    with pytest.raises(ValueError, match="base needs weights on both sides; base holds spectra alone"):
        analyze(model(0), base=[Spectrum([1.0, 2.0], 3, 2)])
    with pytest.raises(FileNotFoundError, match=r"^base: .*no such file"):
        analyze(model(0), base="./nowhere.safetensors")
    with pytest.raises(TypeError, match=r"^base: "):
        analyze(model(0), base=3)


def test_the_options_make_the_table_again_or_say_that_they_cannot(tmp_path):
    np.savez(tmp_path / "base.npz", **model(0))
    np.savez(tmp_path / "tuned.npz", **model(1))
    table = analyze(tmp_path / "tuned.npz", base=tmp_path / "base.npz")
    options = json.loads(json.dumps(table.attrs["options"]))
    assert options["base"] == str(tmp_path / "base.npz")
    assert analyze(tmp_path / "tuned.npz", **options).equals(table)
    kept = analyze(model(1), base=model(0)).attrs["options"]
    assert kept["base"] == "(dict)"
    with pytest.raises(FileNotFoundError, match="^base: "):
        analyze(model(1), **kept)
    assert analyze(model(1)).attrs["options"]["base"] is None


def test_workers_and_the_cache_give_the_same(tmp_path):
    np.savez(tmp_path / "base.npz", **model(0))
    np.savez(tmp_path / "tuned.npz", **model(1))
    np.savez(tmp_path / "other.npz", **model(2))
    options = Options(base=tmp_path / "base.npz", randomize="signs")
    table = table_of(rows_of(tmp_path / "tuned.npz", options), "x", options)
    again = [table_of(rows_of(tmp_path / "tuned.npz", options, 2, tmp_path / "kept"), "x", options) for _ in range(2)]
    assert all(x.equals(table) for x in again)
    other = Options(base=tmp_path / "other.npz", randomize="signs")
    assert not table_of(rows_of(tmp_path / "tuned.npz", other, 1, tmp_path / "kept"), "x", other).equals(table)


def test_one_pair_is_in_memory_at_a_time(monkeypatch):
    held = []
    parts = FoundChange.parts
    monkeypatch.setattr(FoundChange, "parts", lambda self: held.append(self.longname) or parts(self))
    rows = rows_of(model(1), Options(base=model(0)), n_jobs=1)
    assert held == []
    next(rows)
    assert len(held) == 1
    rows.close()


def test_the_pictures_and_the_page_are_those_of_the_change(tmp_path):
    np.savez(tmp_path / "base.npz", **model(0))
    np.savez(tmp_path / "tuned.npz", **model(1))
    sources = str(tmp_path / "tuned.npz"), "--base", str(tmp_path / "base.npz")
    assert main(["analyze", *sources, "--plots", str(tmp_path / "plots")]) == 0
    assert len(list((tmp_path / "plots").glob("*.png"))) == 3
    on_disk, in_memory = (
        list(content._with_nulls(model(1), analyze(model(1), base=base), Options(base=base), None))
        for base in (tmp_path / "base.npz", model(0))
    )
    expected = list(analyze(model(1), base=model(0))["sv_max"])
    for pairs in (on_disk, in_memory):
        assert [pair.spectrum.singular_values[-1] for pair in pairs] == expected


def test_the_command_line_takes_a_base(tmp_path, capsys):
    np.savez(tmp_path / "base.npz", **model(0))
    np.savez(tmp_path / "tuned.npz", **model(1))
    assert main(["analyze", str(tmp_path / "tuned.npz"), "--base", str(tmp_path / "base.npz"), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["options"]["base"] == str(tmp_path / "base.npz")
    expected = analyze(model(1), base=model(0))
    assert [row["sv_max"] for row in told["layers"]] == pytest.approx(list(expected["sv_max"]))


@pytest.mark.parametrize("method", ["svd", "gram32", "top"])
def test_the_method_of_the_eigenvalues_is_that_of_the_change(method):
    base, tuned = model(0), model(1)
    table, gram = analyze(tuned, base=base, method=method), analyze(tuned, base=base)
    found = table["status"] == "success"
    assert found.all() or (method == "top" and table["status"][~found].str.contains("method='top' made").all())
    assert list(table["sv_max"][found]) == pytest.approx(list(gram["sv_max"][found]), rel=1e-5)
    assert found.any()
