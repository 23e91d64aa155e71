"""Traps against matrices whose traps are known: noise, planted entries, rows, columns, means and patterns."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rmt_lab.ensembles import gaussian, shuffled, student_t
from rmt_lab.laws import MarchenkoPastur
from rmt_lab.laws.spiked import spike_eigenvalue, spike_threshold
from rmt_lab.traps import FEWEST, KEPT, SHUFFLES, _Noise, find_traps, remove_traps

N, M = 120, 80
SIZE = 2.5 * (N * M) ** 0.25  # of what is planted, where the threshold is 1.0 times that


def planted(cause, rng, size=SIZE):
    """Unit noise with one thing in it, whose strength is ``size`` on the scale of W."""
    W = rng.normal(size=(N, M))
    if cause == "entry":
        W[17, 42] = size
    elif cause == "row":
        W[17] *= np.sqrt(1 + size**2 / M)
    elif cause == "column":
        W[:, 42] *= np.sqrt(1 + size**2 / N)
    elif cause == "mean":
        W += size / np.sqrt(N * M)
    elif cause == "pattern":
        u, v = rng.normal(size=N), rng.normal(size=M)
        W += size * np.outer(u / np.linalg.norm(u), v / np.linalg.norm(v))
    return W


def entries_only(W, rng=0, shuffles=60, **options):
    return find_traps(W, shuffles=shuffles, rng=rng, kinds=(), **options)


def test_one_shuffle_of_noise_is_beyond_at_the_level():
    rng = np.random.default_rng(1)
    for level in (0.05, 0.2):
        rates = [find_traps(rng.normal(size=(60, 40)), 20, rng, level, ()).rates["entries"] for _ in range(40)]
        assert 0.6 * level < np.mean(rates) < 1.5 * level


@pytest.mark.parametrize("shape", [(80, 50), (40, 40), (90, 30)])
def test_the_threshold_knows_that_the_noise_level_is_that_of_the_matrix_itself(shape):
    """Tracy-Widom without that correction is exceeded by 3 % of the 80 x 50 ones, not by 5 %."""
    noise, rng, beyond = _Noise(np.ones(shape), 0.05, 1), np.random.default_rng(19), []
    for _ in range(2000):
        W = rng.normal(size=shape)
        s = np.linalg.eigvalsh(W.T @ W)[-1] / shape[0] / np.mean(W**2)
        p = noise.p_value(s, 0, 1.0)
        assert (p <= 0.05) == (s >= noise.threshold(0, 1.0))
        beyond.append([p <= 0.05, p <= 0.2])
    assert np.mean(beyond, axis=0) == pytest.approx([0.05, 0.2], abs=0.03)


def test_noise_has_no_trap_and_patterns_at_the_level():
    rng = np.random.default_rng(2)
    found = [entries_only(rng.normal(size=(60, 40)), rng, 40) for _ in range(100)]
    assert sum(f.num_traps for f in found) == 0
    assert np.mean([len(f.traps) > 0 for f in found]) < 0.12


def test_heavy_tailed_entries_are_told_as_entries():
    rng = np.random.default_rng(3)
    found = [entries_only(student_t(60, 40, 3.0, rng=rng), rng, 30) for _ in range(25)]
    assert np.mean([f.num_traps > 0 for f in found]) > 0.5
    assert np.mean([any(t.cause in ("row", "column", "pattern") for t in f.traps) for f in found]) < 0.2
    causes = [t.cause for f in found for t in f.surviving]
    assert causes.count("entry") > 0.9 * len(causes)


@pytest.mark.parametrize("cause", ["entry", "row", "column", "mean", "pattern"])
def test_what_is_planted_is_told_apart(cause):
    rng = np.random.default_rng(4)
    first = [entries_only(planted(cause, rng), rng, 40).traps[0] for _ in range(20)]
    assert [t.cause for t in first].count(cause) >= 19
    places = {"entry": (17, 42), "row": (17, None), "column": (None, 42)}
    right = [t for t in first if t.cause == cause]
    assert {(t.row, t.column) for t in right} == {places.get(cause, (None, None))}
    assert {t.survives for t in right} == {cause in ("entry", "mean")}
    assert max(t.p_value for t in right) < 1e-6


@pytest.mark.parametrize("cause", ["entry", "row", "column", "mean", "pattern"])
def test_the_shuffles_agree_with_what_is_planted(cause):
    """Every shuffle keeps or destroys it; nothing of that was used to name the cause."""
    trap = find_traps(planted(cause, np.random.default_rng(5)), shuffles=40).traps[0]
    assert trap.cause == cause
    for kind in SHUFFLES:
        if cause in KEPT[kind]:
            assert trap.share[kind] > 0.95
        else:
            assert trap.share[kind] < (0.6 if kind == "scaled" else 0.25)


def test_the_eigenvalue_of_an_entry_is_where_theory_has_it():
    trap = entries_only(planted("entry", np.random.default_rng(6)), shuffles=200).traps[0]
    assert trap.size == SIZE
    expected = float(spike_eigenvalue(SIZE, N, M))
    assert trap.eigenvalue == pytest.approx(expected, rel=0.05)
    assert trap.strength == pytest.approx(expected / MarchenkoPastur(N / M).upper_edge, rel=0.05)


def test_localisation_of_either_side():
    rng = np.random.default_rng(7)
    entry, row, pattern = (entries_only(planted(x, rng)).traps[0] for x in ("entry", "row", "pattern"))
    assert entry.ipr_left > 0.5
    assert entry.ipr_right > 0.5
    assert row.ipr_left > 0.5
    assert row.ipr_right == pytest.approx(3 / (M + 2), rel=0.5)  # Porter-Thomas
    assert pattern.ipr_left == pytest.approx(3 / (N + 2), rel=0.5)
    assert row.p_left < 1e-10 < 0.01 < row.p_right
    wide = entries_only(planted("row", np.random.default_rng(8)).T).traps[0]
    assert (wide.cause, wide.column) == ("column", 17)
    assert wide.ipr_right > 0.5 > wide.ipr_left


@pytest.mark.parametrize("cause", ["entry", "row", "column", "mean"])
def test_nothing_is_left_without_the_cause(cause):
    W = planted(cause, np.random.default_rng(9))
    found = entries_only(W)
    assert found.traps[0].left < 1.1 < found.traps[0].strength
    before = W.copy()
    without = remove_traps(W, causes=(cause,), shuffles=60)
    assert (W == before).all()
    assert entries_only(without).traps == ()
    changed = {"entry": 1, "row": M, "column": N, "mean": N * M}
    assert np.count_nonzero(without != W) == changed[cause]


def test_several_at_once():
    rng = np.random.default_rng(10)
    W = planted("pattern", rng, 1.5 * SIZE)
    W[3, 5], W[50, 60], W[:, 7] = 2 * SIZE, -1.6 * SIZE, 2.8 * W[:, 7]
    found = find_traps(W, shuffles=40)
    assert {(t.cause, t.row, t.column) for t in found.traps} == {
        ("entry", 3, 5), ("entry", 50, 60), ("column", None, 7), ("pattern", None, None),
    }  # fmt: skip
    assert [t.strength for t in found.traps] == sorted((t.strength for t in found.traps), reverse=True)
    assert found.num_traps == found.counts["entries"] == 2
    assert found.counts["columns"] == 3
    assert found.counts["rows"] == 2
    assert found.counts["signs"] >= 3


def test_an_entry_stands_out_of_a_mean():
    W = planted("entry", np.random.default_rng(11), 3 * SIZE) + 0.6
    assert [(t.cause, t.row) for t in entries_only(W).surviving] == [("entry", 17), ("mean", None)]


@settings(max_examples=5, deadline=None)
@given(scale=st.floats(1e-6, 1e6), cause=st.sampled_from(["entry", "row", "pattern"]))
def test_the_unit_plays_no_part(scale, cause):
    W = planted(cause, np.random.default_rng(12))
    a, b = entries_only(W, shuffles=20), entries_only(scale * W, shuffles=20)
    assert [(t.cause, t.row, t.column) for t in a.traps] == [(t.cause, t.row, t.column) for t in b.traps]
    assert [t.strength for t in b.traps] == pytest.approx([t.strength for t in a.traps])
    assert b.sigma == pytest.approx(scale * a.sigma)


def test_the_eigenvalues_are_those_of_numpy():
    W = planted("pattern", np.random.default_rng(13))
    found = entries_only(W, shuffles=5)
    s = np.linalg.svd(W, compute_uv=False)
    np.testing.assert_allclose(found.eigenvalues, s[: len(found.eigenvalues)] ** 2 / N)
    drawn = np.linalg.svd(shuffled(W, np.random.default_rng(0)), compute_uv=False)[0] ** 2 / N
    assert found.largest["entries"][0] == pytest.approx(drawn)


def test_a_large_matrix_is_looked_at_by_arpack(monkeypatch):
    W = planted("entry", np.random.default_rng(14))
    W[9] *= 5
    dense = find_traps(W, shuffles=20, kinds=("signs",))
    monkeypatch.setattr("rmt_lab.traps._DIRECT", 10)
    sparse = find_traps(W, shuffles=20, kinds=("signs",))
    assert [t.where for t in sparse.traps] == [t.where for t in dense.traps]
    np.testing.assert_allclose(sparse.largest["entries"], dense.largest["entries"], rtol=1e-3)


def test_a_kernel_is_a_matrix_of_outputs():
    W = planted("entry", np.random.default_rng(15))
    trap = entries_only(W.reshape(N, M // 4, 2, 2)).traps[0]
    assert (trap.row, trap.column) == (17, 42)
    assert remove_traps(W.reshape(N, M // 4, 2, 2), shuffles=20).shape == (N, M // 4, 2, 2)


def test_a_state_dict_keeps_what_has_no_trap():
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(16)
    W = torch.tensor(planted("entry", rng), dtype=torch.float32)
    state = {
        "a.weight": W, "tied.weight": W, "b.weight": torch.tensor(rng.normal(size=(30, 20))), "a.bias": torch.ones(N),
        "tiny.weight": torch.ones(3, 3),
    }  # fmt: skip
    without = remove_traps(state, shuffles=10)
    assert list(without) == list(state)
    for name in ("b.weight", "a.bias", "tiny.weight"):
        assert without[name] is state[name]
    assert without["a.weight"] is without["tied.weight"]
    assert without["a.weight"].dtype == torch.float32
    assert (without["a.weight"] != W).nonzero().tolist() == [[17, 42]]
    assert W[17, 42] == pytest.approx(SIZE)
    layer = torch.nn.Linear(M, N)
    with torch.no_grad():
        layer.weight.copy_(W)
    assert (remove_traps(layer, shuffles=10)["weight"] != layer.weight).sum() == 1
    half = remove_traps(W.to(torch.bfloat16), shuffles=5)
    assert half.dtype == torch.bfloat16


def test_the_threshold_is_that_of_theory():
    """Just above it an entry is found in most shuffles, half of it in none."""
    rng = np.random.default_rng(17)
    c = spike_threshold(N, M)
    assert entries_only(planted("entry", rng, 1.7 * c)).num_traps == 1
    assert entries_only(planted("entry", rng, 0.6 * c)).num_traps == 0


def test_an_entry_that_few_shuffles_keep_is_no_trap():
    """At the threshold of detection: it stands out where it is, and in a tenth of the shuffles."""
    W = np.random.default_rng([35, 5]).normal(size=(80, 50))
    W[3, 5] = spike_threshold(80, 50)
    found = entries_only(W, 35, 200)
    (trap,) = found.traps
    assert (trap.cause, trap.row, trap.column) == ("entry", 3, 5)
    assert found.rates["entries"] == trap.share["entries"] < 0.5
    assert not trap.survives
    assert (found.num_traps, found.surviving) == (0, ())


def test_it_tells_about_itself():
    found = find_traps(planted("row", np.random.default_rng(18)), shuffles=20)
    assert "row 17 of norm" in repr(found)
    assert "num_traps=0" in repr(found)
    page = found._repr_html_()
    assert "shuffle: scaled" in page
    assert "0 survive the shuffle of entries" in page
    assert "times the edge" in repr(found.traps[0])


@pytest.mark.parametrize(
    ("W", "options", "message"),
    [
        (np.ones(20), {}, r"W has shape \(20,\)"),
        (np.ones((20, 9)), {}, f"both sides are {FEWEST} or more"),
        (np.full((20, 20), np.nan), {}, "400 NaN or infinite entries"),
        (np.zeros((20, 20)), {}, "W is zero"),
        (np.ones((20, 20)), {"shuffles": 0}, "shuffles=0"),
        (np.ones((20, 20)), {"shuffles": ("rows",)}, "shuffles=.*whole number"),
        (np.ones((20, 20)), {"shuffles": np.inf}, "shuffles=inf"),
        (np.ones((20, 20)), {"shuffles": 1.5}, "shuffles=1.5"),
        (np.ones((20, 20)), {"most": 0}, "most=0"),
        (np.ones((20, 20)), {"level": 1}, "level=1"),
        (np.ones((20, 20)), {"level": 0.5}, "level=0.5; a probability between 0 and 0.5"),
        (np.full((20, 30), 3.0), {}, "W has no noise beside"),
        (np.full((50, 40), 0.1), {}, "W has no noise beside"),
        (np.outer(np.cos(np.arange(30)), np.sin(np.arange(1, 21))), {}, "W has no noise beside"),
        (np.diag([1.0] + 19 * [0.0]), {}, "W has no noise beside"),
        (np.outer(np.arange(30) == 3, np.ones(20)), {}, "W has no noise beside"),
        (gaussian(20, 20, rng=0) * 1e200, {}, r"W has a largest entry of .*e\+200"),
        (gaussian(20, 20, rng=0) * 1e-200, {}, "W has a largest entry of .*e-200"),
        (np.ones((20, 20)), {"kinds": ("all",)}, "kinds=.*'all'.*allowed are 'entries'"),
        (np.ones((20, 20)), {"kinds": "all"}, "allowed are 'entries'"),
    ],
)
def test_bad_input(W, options, message):
    with pytest.raises(ValueError, match=message):
        find_traps(W, **options)


@pytest.mark.parametrize("kind", ["uint8", "int8", "int64", "float16", "float32"])
@pytest.mark.parametrize("library", ["numpy", "torch"])
def test_integers_become_floats(kind, library):
    """Noise, and what is left when a mean is subtracted, are no whole numbers."""
    W = np.clip(np.round(4 * planted("mean", np.random.default_rng(20), 60 * SIZE / 2.5)), 0, 120).astype(kind)
    W[3, 5] = 0
    assert W.mean() > 20
    if library == "torch":
        W = pytest.importorskip("torch").from_numpy(W)
    without = remove_traps(W, causes=("mean",), shuffles=10)
    assert str(without.dtype).removeprefix("torch.") == (kind if kind.startswith("float") else "float64")
    given = np.asarray(W, dtype=np.float64)
    assert np.asarray(without, dtype=np.float64) == pytest.approx(given - given.mean(), abs=0.05)


def test_a_frame_stays_a_frame():
    pd = pytest.importorskip("pandas")
    W = pd.DataFrame(planted("entry", np.random.default_rng(21))).rename(index="r{}".format, columns="c{}".format)
    without = remove_traps(W.astype("float32"), shuffles=10)
    assert without.dtypes.unique().tolist() == [np.float32]
    assert (without != W.astype("float32")).stack().loc[lambda x: x].index.tolist() == [("r17", "c42")]
    assert remove_traps(W.round().astype(int), shuffles=10).dtypes.unique().tolist() == [np.float64]


def test_views_of_one_memory_stay_one_and_a_transpose_stays_itself():
    W = planted("entry", np.random.default_rng(22))[:M]
    state = {"a.weight": W, "b.weight": W[:], "c.weight": W.T, "d.weight": W.copy()}
    without = remove_traps(state, shuffles=10)
    assert without["a.weight"] is without["b.weight"]
    assert np.argwhere(without["c.weight"] != W.T).tolist() == [[42, 17]]
    assert np.argwhere(without["d.weight"] != W).tolist() == [[17, 42]]


def test_what_cannot_be_removed():
    W = gaussian(20, 20, rng=0)
    with pytest.raises(ValueError, match="causes=.*'pattern'.*allowed are 'entry', 'mean', 'row', 'column'"):
        remove_traps(W, causes=("pattern",))
    with pytest.raises(ValueError, match="causes=()"):
        remove_traps(W, causes=())
    with pytest.raises(TypeError, match="source is a str"):
        remove_traps("gpt2")
    with pytest.raises(TypeError, match="complex"):
        find_traps(W.astype(complex))
    assert remove_traps(W, shuffles=5) is W
