"""Two checkpoints, layer by layer: each figure against a dense computation, each null against draws of its own."""

import numpy as np
import pytest
import scipy.stats

import rmt_lab as rl
from rmt_lab import comparison
from rmt_lab.analysis import spectral_distance
from rmt_lab.comparison import analyze_series, compare, directions
from rmt_lab.laws import SubspaceOverlap
from rmt_lab.spectrum import Spectrum
from rmt_lab.weights.steps import find_steps

Q, UP = "h.0.q_proj.weight", "h.1.up_proj.weight"


def matrix(n, m, seed=0):
    """Singular values that fall like those of trained layers, in random directions."""
    rng = np.random.default_rng(seed)
    k = min(n, m)
    u, v = (np.linalg.qr(rng.normal(size=(size, k)))[0] for size in (n, m))
    return u * (10 / np.sqrt(1 + np.arange(k))) @ v.T


def noise(W, size, rng):
    G = rng.normal(size=W.shape)
    return size * np.linalg.norm(W) * G / np.linalg.norm(G)


@pytest.mark.parametrize(("n", "m"), [(60, 40), (40, 60), (50, 50)])
def test_every_figure_is_that_of_a_dense_computation(n, m):
    rng = np.random.default_rng(1)
    W0 = matrix(n, m)
    D = 0.3 * np.outer(rng.normal(size=n), rng.normal(size=m)) + 0.1 * np.outer(rng.normal(size=n), rng.normal(size=m))
    row = compare({Q: W0}, {Q: W0 + D}, k=5).iloc[0]
    assert (row["rows"], row["columns"], row["k"], row["status"]) == (n, m, 5, "success")
    assert row["relative_change"] == pytest.approx(np.linalg.norm(D) / np.linalg.norm(W0), rel=1e-10)
    assert row["change_rank"] == 2
    assert row["change_stable_rank"] == pytest.approx(np.square(np.linalg.norm(D) / np.linalg.norm(D, 2)), rel=1e-10)
    (U0, s0, V0), (U, s, V) = np.linalg.svd(W0), np.linalg.svd(W0 + D)
    for side, A, B, size in (("left", U0, U, n), ("right", V0.T, V.T, m)):
        angles = np.linalg.svd(A[:, :5].T @ B[:, :5], compute_uv=False)  # cosines of the principal angles
        assert row[f"{side}_overlap"] == pytest.approx(np.mean(angles**2), abs=1e-10)
        assert row[f"{side}_null"] == 5 / size
        assert row[f"{side}_p"] == pytest.approx(SubspaceOverlap(size, 5).sf(row[f"{side}_overlap"]))
    assert row["least_cosine"] == pytest.approx(np.abs(U[:, :5].T @ U0[:, : min(n, m)]).max(axis=1).min(), abs=1e-10)
    expected = spectral_distance(*(Spectrum(x, max(n, m), min(n, m)) for x in (s0, s)))
    assert row["spectral_distance"] == pytest.approx(expected)


def test_layers_are_matched_by_name_and_mismatches_named():
    W = matrix(30, 20)
    with pytest.warns(UserWarning, match=r"base has layers that source lacks: model.h.0.q_proj, old"):
        table = compare({"model." + Q: W, UP: W.copy(), "old": 1 * W}, {Q: W, UP: W.T, "new": np.ones((4, 4))}, draws=0)
    assert dict(zip(table["longname"], table["status"], strict=True)) == {
        "h.0.q_proj": "failed: the base has no such layer",  # one layer has a prefix, the other has none
        "h.1.up_proj": "failed: it has shape 20 x 30, and 30 x 20 in the base",
        "new": "failed: the base has no such layer",
    }
    table = compare({"model." + Q: W, "model." + UP: W.copy()}, {Q: W, UP: 2 * W}, draws=0)
    assert list(table["relative_change"]) == pytest.approx([0, 1], abs=1e-14)
    assert list(table["left_overlap"]) == pytest.approx([1, 1])
    assert list(table["name"]) == ["block 0 query", "block 1 feed-forward in"]
    assert list(compare({Q: W, UP: 2 * W}, {Q: W, UP: 2 * W}, layers="query", draws=0)["longname"]) == ["h.0.q_proj"]


def test_broken_layers_are_rows_that_say_so():
    W, nan = matrix(30, 20), np.full((30, 20), np.nan)
    table = compare({"a": W, "b": nan, "c": 0 * W}, {"a": W, "b": 2 * W, "c": 3 * W}, draws=2)
    assert [status.split(":")[0] for status in table["status"]] == ["success", "failed", "failed"]
    assert "NaN" in table["status"][1]
    assert table["status"][2] == "failed: it was zero before"
    assert table["num_intruders"][0] == 0


def test_rounding_is_no_change():
    rng = np.random.default_rng(0)
    W0 = rng.normal(size=(120, 80)).astype(np.float16)
    u, v = (np.linalg.qr(rng.normal(size=(n, 3)))[0] for n in W0.shape)
    row = compare({Q: W0}, {Q: (W0 + 0.5 * u @ v.T).astype(np.float16)}, draws=0).iloc[0]
    assert row["change_rank"] == 3


def test_an_adapter_is_compared_with_its_base(tmp_path):
    rng = np.random.default_rng(0)
    W = matrix(60, 40)
    B, A = rng.normal(size=(60, 4)).astype(np.float32), rng.normal(size=(4, 40)).astype(np.float32)
    (tmp_path / "adapter_config.json").write_text('{"r": 4, "lora_alpha": 2}')
    state = {"base_model.model.h.0.q_proj.lora_A.weight": A, "base_model.model.h.0.q_proj.lora_B.weight": B}
    pytest.importorskip("safetensors.numpy").save_file(state, tmp_path / "adapter_model.safetensors")
    table = compare({Q: W, UP: W}, tmp_path, k=4)
    dense = compare({Q: W}, {Q: W + 0.5 * B.astype(float) @ A}, k=4)
    figures = ["relative_change", "change_rank", "left_overlap", "right_overlap", "least_cosine", "num_intruders"]
    np.testing.assert_allclose(table[figures].astype(float), dense[figures].astype(float), rtol=1e-9)


def test_the_table_does_not_depend_on_the_workers(tmp_path):
    rng = np.random.default_rng(0)
    a = {f"h.{i}.q_proj.weight": matrix(40, 30, i) for i in range(4)}
    b = {name: W + noise(W, 0.3, rng) for name, W in a.items()}
    np.savez(tmp_path / "a.npz", **a)
    np.savez(tmp_path / "b.npz", **b)
    table = compare(a, b)
    assert compare(a, b, n_jobs=2).equals(table)
    assert compare(tmp_path / "a.npz", tmp_path / "b.npz", n_jobs=2).equals(table)
    assert not compare(a, b, rng=1)["intruder_threshold"].equals(table["intruder_threshold"])


@pytest.mark.parametrize(("n", "m"), [(60, 40), (40, 60), (40, 40)])
def test_the_threshold_is_drawn_from_noise_as_a_dense_computation_draws_it(n, m, monkeypatch):
    monkeypatch.setattr(comparison, "MOST_COSINE", 1.0)
    W = matrix(n, m)
    rng, size, k = np.random.default_rng(2), 0.5, 6
    U0 = np.linalg.svd(W, full_matrices=False)[0]
    dense = []
    for _ in range(400):
        U = np.linalg.svd(W + noise(W, size, rng), full_matrices=False)[0][:, :k]
        dense.append(np.abs(U.T @ U0).max(axis=1).min())
    ours = [directions(W, W + noise(W, size, rng), k, draws=1, rng=i).threshold for i in range(400)]
    for q in (0.1, 0.3, 0.5):
        share = np.mean(np.array(ours) <= np.quantile(dense, q))
        assert share == pytest.approx(q, abs=4.5 * np.sqrt(2 * q * (1 - q) / 400))


@pytest.mark.parametrize("strength", [12.0, 8.4, 6.4])
def test_a_planted_intruder_is_found_and_marked(strength):
    rng = np.random.default_rng(0)
    for seed in range(5):
        W = matrix(300, 200, seed)
        u, v = rng.normal(size=300), rng.normal(size=200)
        planted = W + strength * np.outer(u / np.linalg.norm(u), v / np.linalg.norm(v))
        d = directions(W, planted, rng=seed)
        leading = np.linalg.svd(planted)[0][:, :10]
        assert np.count_nonzero(d.intruders) == 1
        assert d.intruders[np.abs(leading.T @ u).argmax()]


def test_what_grew_or_turned_a_little_is_no_intruder():
    W = matrix(60, 40)
    assert not directions(W, 1.5 * W).intruders.any()
    left = np.linalg.qr(np.eye(60) + 0.02 * np.random.default_rng(0).normal(size=(60, 60)))[0]
    left *= np.sign(np.diag(left))
    turned = directions(W, left @ W)
    assert turned.cosines.max(axis=1).min() < 0.99
    assert not turned.intruders.any()


@pytest.mark.slow
def test_noise_of_the_same_norm_has_no_intruder_in_95_percent_of_200_nulls():
    rng = np.random.default_rng(0)
    without = 0
    for i in range(200):
        W = matrix(60, 40, i)
        without += not directions(W, W + noise(W, 0.4, rng), rng=rng).intruders.any()
    assert without >= 190


def test_permuted_neurons_have_intruders_that_no_training_made():
    rng = np.random.default_rng(0)
    found = sum(directions(W, W[rng.permutation(60)]).intruders.any() for W in (matrix(60, 40, i) for i in range(40)))
    assert 4 <= found <= 36  # 68 of 200 in the benchmark


def test_directions_of_zero_singular_values_are_not_compared():
    rng = np.random.default_rng(0)
    ps = []
    for _ in range(40):
        before, after = (rng.normal(size=(60, 3)) @ rng.normal(size=(3, 40)) for _ in range(2))
        row = compare({"a": before}, {"a": after}, draws=0).iloc[0]
        assert row["k"] == 3
        ps += [row["left_p"], row["right_p"]]
    assert scipy.stats.kstest(ps, "uniform").pvalue > 0.001
    with pytest.raises(ValueError, match="after is zero everywhere"):
        directions(before, 0 * before)


def test_equal_spectra_have_no_distance():
    for seed in range(40):
        W = np.random.default_rng(seed).normal(size=(60, 3)) @ np.random.default_rng(seed + 99).normal(size=(3, 40))
        assert compare({"a": W}, {"a": 1.1 * W}, draws=0)["spectral_distance"][0] == pytest.approx(0, abs=1e-7)


def test_quantisation_alone_is_no_change():
    W = np.random.default_rng(0).normal(size=(120, 80)).astype(np.float32)
    scale = np.abs(W).max(axis=1) / np.float32(127)
    codes = np.rint(W / scale[:, None]).astype(np.int8)
    quantised = {"fc.weight": codes, "fc.weight_scale": scale}
    for base, tuned in (({"fc.weight": W}, quantised), (quantised, {"fc.weight": W})):
        assert compare(base, tuned, draws=0)["change_rank"][0] == 0
        assert rl.analyze(tuned, base=base)["stored_rank"][0] == 0
    u, v = (np.linalg.qr(np.random.default_rng(1).normal(size=(n, 3)))[0] for n in W.shape)
    assert compare(quantised, {"fc.weight": W + u @ v.T}, draws=0)["change_rank"][0] == 3


def test_weights_out_of_range_are_rows_that_say_so():
    W = matrix(30, 20)
    table = compare({"a": 1e-200 * W, "b": 1e200 * W, "c": W}, {"a": 2e-200 * W, "b": 2e200 * W, "c": 1e200 * W})
    for status, when in zip(table["status"], ("before", "before", "after"), strict=True):
        assert status.startswith("failed: its largest entry was")
        assert f"{when}; from 1e-140 to 1e+150 is allowed" in status


def test_an_adapter_is_no_base(tmp_path):
    (tmp_path / "adapter_config.json").write_text('{"r": 2, "lora_alpha": 2}')
    state = {Q: matrix(30, 20)}
    for call in (lambda: compare(tmp_path, state), lambda: rl.analyze(state, base=tmp_path)):
        with pytest.raises(ValueError, match="is the folder of an adapter; pass it as source"):
            call()


def test_a_change_of_nothing_has_neither_threshold_nor_intruder():
    W = matrix(30, 20)
    d = directions(W, W)
    assert np.isnan(d.threshold)
    assert not d.intruders.any()
    assert repr(d) == "Directions(k=10, left_overlap=1.000, right_overlap=1.000, 0 intruders)"
    assert "overlap of the left ones" in d._repr_html_()


def test_wrong_arguments_are_refused():
    W = matrix(30, 20)
    with pytest.raises(ValueError, match=r"before has shape \(30, 20\), after has shape \(20, 30\)"):
        directions(W, W.T)
    with pytest.raises(ValueError, match="after holds 1 NaN"):
        directions(W, np.where(np.arange(600).reshape(30, 20) == 3, np.nan, W))
    for wrong in ({"k": 0}, {"draws": -1}, {"draws": 1.5}):
        with pytest.raises(ValueError, match=f"{next(iter(wrong))}=.*a whole number >= "):
            compare({Q: W}, {Q: W}, **wrong)
    with pytest.raises(ValueError, match="spectra alone"):
        compare("minilm", {Q: W})


def saved(path, seed, **more):
    np.savez(path, **{Q: matrix(40, 30, seed), UP: matrix(60, 40, seed)} | more)


def test_a_training_is_one_table_sorted_by_step(tmp_path):
    for i, step in enumerate((1000, 20, 500)):
        saved(tmp_path / f"step_{step}.npz", i)
    (tmp_path / "step_700.npz").write_bytes(b"broken")
    (tmp_path / "notes.txt").write_text("9")
    table = analyze_series(tmp_path, fix_fingers="clip_xmax")
    assert list(table.columns[:3]) == ["step", "source", "layer_id"]
    assert list(table["step"]) == [20, 20, 500, 500, 700, 1000, 1000]
    assert list(table["status"] == "success") == [True] * 4 + [False] + [True] * 2
    assert table["status"][4].startswith("failed: source=")
    assert "is no .npz file" in table["status"][4]
    one = rl.analyze(tmp_path / "step_500.npz", fix_fingers="clip_xmax")
    of_500 = table[table["step"] == 500].drop(columns=["step", "source"]).reset_index(drop=True)
    assert of_500.astype(object).equals(one.astype(object))
    assert table.attrs["options"]["fix_fingers"] == "clip_xmax"
    assert analyze_series(tmp_path, **table.attrs["options"]).equals(table)
    assert list(analyze_series(str(tmp_path / "step_*0.npz"))["step"].unique()) == [20, 500, 700, 1000]


def test_a_series_of_changes_since_a_base(tmp_path):
    for i in range(3):
        saved(tmp_path / f"epoch={9 - i}-step={i * 9}.npz", i)
    table = analyze_series(tmp_path, base=tmp_path / "epoch=9-step=0.npz")
    assert list(table["step"]) == [0, 0, 9, 9, 18, 18]
    assert [status.split(":")[0] for status in table["status"]] == ["failed"] * 2 + ["success"] * 4


def test_folders_of_checkpoints_come_before_files(tmp_path):
    for step in (1500, 500):
        (tmp_path / f"checkpoint-{step}").mkdir()
    saved(tmp_path / "model-1.npz", 0)
    assert [(step, path.name) for step, path in find_steps(tmp_path)] == [
        (500, "checkpoint-500"),
        (1500, "checkpoint-1500"),
    ]
    found = find_steps(tmp_path / "*")  # a pattern takes what it names
    assert [step for step, _ in found] == [1, 500, 1500]
    (tmp_path / "last.npz").touch()
    assert find_steps(tmp_path / "*")[-1][0] is None


def test_a_folder_of_something_else_hides_no_files(tmp_path):
    saved(tmp_path / "step_1.npz", 0)
    (tmp_path / "logs_2024").mkdir()
    (tmp_path / "logs_2024" / "events.out").touch()
    assert [(step, path.name) for step, path in find_steps(tmp_path)] == [(1, "step_1.npz")]
    (tmp_path / "run_7").mkdir()
    (tmp_path / "run_7" / "model.safetensors").touch()
    assert [path.name for _, path in find_steps(tmp_path)] == ["run_7"]


def test_the_parts_of_one_model_are_no_steps(tmp_path):
    for i in (1, 2):
        (tmp_path / f"model-0000{i}-of-00002.safetensors").touch()
    with pytest.raises(FileNotFoundError, match="no checkpoint there"):
        find_steps(tmp_path)


def test_a_series_refuses_wrong_options_and_empty_folders(tmp_path):
    with pytest.raises(FileNotFoundError, match="no checkpoint there"):
        analyze_series(tmp_path)
    saved(tmp_path / "step_1.npz", 0)
    with pytest.raises(ValueError, match="min_evals=1"):
        analyze_series(tmp_path, min_evals=1)
    with pytest.raises(TypeError, match="unexpected keyword"):
        analyze_series(tmp_path, no_such=1)
