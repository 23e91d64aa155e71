"""The nulls of a matrix: what each keeps and destroys, and their way through atlas, table, command and explorer."""

import inspect
import json
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.figure import Figure
from scipy.stats import ks_2samp

from benchmarks.nulls import FEWEST_LAYER, _left
from rmt_lab import Spectrum, _files, analyze, atlas, ensembles
from rmt_lab.analysis import Options, layers_of
from rmt_lab.atlas import Layer
from rmt_lab.cli import main
from rmt_lab.ensembles import NULLS, null_matrix, scaled, scales, shuffled, signs
from rmt_lab.ensembles.spectra import NULL_TITLES as IN_WORDS
from rmt_lab.ensembles.spectra import OF_LAYER
from rmt_lab.explorers import LayerExplorer
from rmt_lab.explorers.layer import LayerModel
from rmt_lab.trainings.phases import tail_weight

SHAPES = st.tuples(st.integers(1, 20), st.integers(1, 20))
SEEDS = st.integers(0, 2**32 - 1)
few = settings(max_examples=15, deadline=None)


@few
@given(shape=SHAPES, seed=SEEDS, dtype=st.sampled_from([np.float32, np.float64]))
def test_signs_keep_every_size_in_its_place(shape, seed, dtype):
    W = np.random.default_rng(seed).normal(size=shape).astype(dtype)
    V = signs(W, rng=seed)
    assert V.dtype == dtype
    np.testing.assert_array_equal(np.abs(V), np.abs(W))
    for axis in (0, 1):
        np.testing.assert_array_equal(np.linalg.norm(V, axis=axis), np.linalg.norm(W, axis=axis))
    np.testing.assert_array_equal(V, signs(W, rng=seed))


def test_signs_are_independent_and_even():
    flipped = signs(np.ones((400, 300)), rng=0)
    assert abs(flipped.mean()) < 4 / 120_000**0.5
    assert abs((flipped[:, 1:] * flipped[:, :-1]).mean()) < 4 / 119_600**0.5
    assert abs((flipped[1:] * flipped[:-1]).mean()) < 4 / 119_700**0.5


@few
@given(shape=st.tuples(st.integers(2, 20), st.integers(2, 20)), seed=SEEDS, size=st.sampled_from([1e-200, 1.0, 1e200]))
def test_scales_make_the_mean_square_of_every_row_and_column_one(shape, seed, size):
    rng = np.random.default_rng(seed)
    entries = rng.uniform(0.2, 2, shape) * rng.choice([-1, 1], shape)  # near zero they would take many rounds
    W = size * rng.lognormal(0, 1, (shape[0], 1)) * entries * rng.lognormal(0, 1, shape[1])
    r, c = scales(W)
    Z = W / r[:, None] / c
    np.testing.assert_allclose((Z**2).mean(axis=0), 1, rtol=1e-9)
    np.testing.assert_allclose((Z**2).mean(axis=1), 1, rtol=2e-6)
    assert (c**2).mean() == pytest.approx(1)
    V = scaled(W, rng=seed)
    np.testing.assert_allclose(np.sort((V / r[:, None] / c).ravel()), np.sort(Z.ravel()), rtol=1e-12)
    assert V.shape == W.shape


def test_scales_that_were_put_in_are_found_again():
    rng = np.random.default_rng(0)
    rows, columns = rng.lognormal(0, 0.5, 800), rng.lognormal(0, 0.5, 400)
    columns /= np.sqrt(np.mean(columns**2))
    W = rows[:, None] * rng.normal(size=(800, 400)) * columns
    for V, draws in ((W, 1), (signs(W, rng=1), 1), (scaled(W, rng=1), 2)):  # the luck of W's scales, and of the shuffle
        r, c = scales(V)
        np.testing.assert_allclose(r, rows, rtol=5 * np.sqrt(draws / 800))  # a root mean square of 400 has this sd
        np.testing.assert_allclose(c, columns, rtol=5 * np.sqrt(draws / 1600))
    r, c = scales(shuffled(W, rng=1))
    assert np.corrcoef(r, rows)[0, 1] < 0.2
    assert np.corrcoef(c, columns)[0, 1] < 0.2


def test_scales_commute_with_scaling():
    W = np.random.default_rng(1).normal(size=(30, 20))
    (r, c), (R, C) = scales(W), scales(np.arange(1, 31)[:, None] * W)
    np.testing.assert_allclose(R / r, np.arange(1, 31), rtol=1e-5)
    np.testing.assert_allclose(C, c, rtol=1e-5)
    (r, c), (C, R) = scales(W), scales(W.T)
    np.testing.assert_allclose(np.outer(r, c), np.outer(R, C), rtol=1e-5)


def test_zero_rows_and_columns_stay_zero():
    W = np.random.default_rng(0).normal(size=(30, 20))
    W[3], W[:, [0, 7]] = 0, 0
    r, c = scales(W)
    assert (r == 0).nonzero()[0].tolist() == [3]
    assert (c == 0).nonzero()[0].tolist() == [0, 7]
    V = scaled(W, rng=0)
    np.testing.assert_array_equal(V == 0, W == 0)
    assert not np.array_equal(V, W)
    assert not scaled(np.zeros((4, 3)), rng=0).any()


def test_scales_without_a_limit_are_finite():
    """Lower triangles have no scales; nor have two rows with one entry each, in the same column."""
    for W in (np.tril(np.ones((200, 200))), np.array([[1.0, 0, 0], [2, 0, 0], [1, 1, 1]])):
        r, c = scales(W)
        Z = W / r[:, None] / c
        np.testing.assert_allclose((Z**2).mean(axis=1), 1)
        assert np.isfinite(scaled(W, rng=0)).all()


def test_a_kernel_is_its_matrix_of_outputs_by_inputs_and_positions():
    K = np.random.default_rng(0).normal(size=(6, 5, 3, 2))
    V = scaled(K, rng=1)
    assert V.shape == K.shape
    np.testing.assert_array_equal(V.reshape(6, -1), scaled(K.reshape(6, -1), rng=1))
    r, c = scales(K)
    assert (r.shape, c.shape) == ((6,), (30,))
    assert Spectrum.from_matrix(signs(K, rng=0)).rf == 6


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_what_has_no_scales_is_refused(bad):
    W = np.ones((3, 4))
    W[1, 2] = bad
    for function in (scaled, scales):
        with pytest.raises(ValueError, match="W holds 1 NaN or infinite entries of 12"):
            function(W)
        with pytest.raises(ValueError, match=r"W has shape \(3,\)"):
            function([1.0, 2.0, 3.0])
    with pytest.raises(ValueError, match="null='sign'; allowed are 'entries', 'signs', 'scaled'"):
        null_matrix(W, "sign")


def distances(W, rng=1):
    """Kolmogorov-Smirnov distance of the spectrum to each null's."""
    spectrum = Spectrum.from_matrix(W)
    nulls = {kind: Spectrum.from_matrix(null_matrix(W, kind, rng)) for kind in NULLS}
    return (
        spectrum,
        nulls,
        {k: ks_2samp(spectrum.eigenvalues, s.eigenvalues, method="asymp").statistic for k, s in nulls.items()},
    )


@pytest.mark.parametrize("seed", range(3))
def test_uneven_scales_survive_signs_and_the_scaled_shuffle_only(seed):
    """Independent entries, lognormal column scales: a heavy tail without any correlation."""
    rng = np.random.default_rng(seed)
    W = rng.normal(size=(800, 400)) * rng.lognormal(0, 0.5, 400)
    spectrum, nulls, D = distances(W)
    assert tail_weight(spectrum) > 1
    assert tail_weight(nulls["entries"]) < 0.9
    assert D["entries"] > 0.15
    for kind in ("signs", "scaled"):
        assert tail_weight(nulls[kind]) > 1
        assert D[kind] < 0.02


def test_correlation_survives_none():
    W = ensembles.ar1(800, 400, rho=0.7, rng=0)
    spectrum, nulls, D = distances(W)
    assert min(D.values()) > 0.2
    for null in nulls.values():
        assert null.eigenvalues[-1] < 0.5 * spectrum.eigenvalues[-1]


def test_blocks_survive_signs_alone_and_single_entries_survive_all():
    W = np.random.default_rng(0).normal(size=(400, 200))
    block, single = W.copy(), W.copy()
    block[:4, :4] += 40 * np.outer([1, -1, 1, 1], [1, 1, -1, 1])
    single[0, 0] = 160
    edge = (1 + 0.5**0.5) ** 2
    _, nulls, _ = distances(block)
    assert nulls["signs"].eigenvalues[-1] > 6 * edge
    assert nulls["signs"].eigenvalues[-1] > 1.5 * nulls["entries"].eigenvalues[-1]
    _, nulls, _ = distances(single)
    assert min(null.eigenvalues[-1] for null in nulls.values()) > 6 * edge


def state():
    rng = np.random.default_rng(5)
    return {f"layers.{i}.query.weight": rng.normal(size=(60, 40)) * rng.lognormal(0, 1, 40) for i in range(2)}


def test_a_layer_makes_each_null_once_from_its_own_stream():
    source = state()
    layer, again = (list(layers_of(source, rng=7))[1] for _ in range(2))
    assert layer.nulls == NULLS
    for kind in NULLS:
        stream = np.random.default_rng(np.random.SeedSequence(7, spawn_key=(1,)))
        expected = Spectrum.from_matrix(null_matrix(source["layers.1.query.weight"], kind, stream)).singular_values
        np.testing.assert_array_equal(layer.null(kind).singular_values, expected)
        assert layer.null(kind) is layer.null(kind)
    for kind in reversed(NULLS):  # in whichever order
        np.testing.assert_array_equal(again.null(kind).singular_values, layer.null(kind).singular_values)
    assert layer.shuffled is layer.null("entries")


def test_a_layer_says_which_nulls_it_has():
    s = Spectrum([1.0, 2.0], 2, 2)
    bare, old = Layer(0, "a", "a", "", s), Layer(0, "a", "a", "", s, {"entries": s})
    assert (bare.nulls, bare.shuffled, old.nulls, old.shuffled) == ((), None, ("entries",), s)
    with pytest.raises(ValueError, match="kind='sign'; allowed are 'entries', 'signs', 'scaled'"):
        old.null("sign")
    with pytest.raises(ValueError, match="kind='signs'; layer 'a' has no such null: its nulls are 'entries'"):
        old.null("signs")
    with pytest.raises(ValueError, match="kind='entries'; layer 'a' has no such null: its source holds no weights"):
        bare.null("entries")


@pytest.mark.parametrize("name", ["minilm", "smollm2"])
def test_the_shipped_nulls_keep_the_norm(name):
    for x in atlas.load(name):
        assert x.nulls == NULLS
        for kind, rel in (("entries", 1e-5), ("signs", 1e-5), ("scaled", 0.1 if x.spectrum.M > 2 else 0.2)):
            assert x.null(kind).norm == pytest.approx(x.spectrum.norm, rel=rel)


def test_the_atlas_keeps_all_nulls_of_ones_own_model(tmp_path, monkeypatch):
    monkeypatch.setenv("RMT_LAB_CACHE", str(tmp_path))
    model = atlas.add(state(), name="mine")
    again = atlas.load("mine")
    for x, y in zip(model, again, strict=True):
        assert x.nulls == y.nulls == NULLS
        for kind in NULLS:
            np.testing.assert_allclose(x.null(kind).singular_values, y.null(kind).singular_values, rtol=1e-7)
    assert len({x.null(kind).singular_values[-1] for x in again for kind in NULLS}) == 6
    table = analyze("mine", randomize="scaled")
    np.testing.assert_allclose(table["max_rand_eval"], [x.null("scaled").eigenvalues[-1] for x in again])


def test_a_file_of_the_first_format_is_read_and_says_what_it_lacks(tmp_path, monkeypatch):
    monkeypatch.setenv("RMT_LAB_CACHE", str(tmp_path))
    model = atlas.add(state(), name="mine")
    path = tmp_path / "atlas" / "mine.npz"
    record, arrays = _files.read_record(path.read_bytes(), 2)
    old = {"singular_values": arrays["singular_values"], "shuffled": arrays["entries"]}
    _files.write_record(path, record | {"format": 1}, **old)
    again = atlas.load("mine")
    assert [x.nulls for x in again] == [("entries",)] * 2
    for x, y in zip(model, again, strict=True):
        np.testing.assert_allclose(x.shuffled.singular_values, y.shuffled.singular_values, rtol=1e-7)
    assert (analyze("mine", randomize=True)["status"] == "success").all()
    with pytest.raises(ValueError, match="randomize='signs'; source holds 'entries' .* rmt-lab atlas add"):
        analyze("mine", randomize="signs")
    assert LayerExplorer("mine").model.nulls()[:2] == ["shuffled entries", "Gaussian"]


def test_the_table_randomises_by_name():
    tables = {kind: analyze(state(), randomize=kind) for kind in (True, *NULLS)}
    pd.testing.assert_frame_equal(tables[True], tables["entries"])
    assert len({t["max_rand_eval"][0] for t in tables.values()}) == 3
    for kind, table in tables.items():
        options = json.loads(json.dumps(table.attrs))["options"]
        assert options["randomize"] == ("entries" if kind is True else kind)
        pd.testing.assert_frame_equal(analyze(state(), **options), table, check_exact=True)
    layers = list(layers_of(state()))
    np.testing.assert_array_equal(tables["signs"]["max_rand_eval"], [x.null("signs").eigenvalues[-1] for x in layers])
    assert (tables["scaled"]["rand_distance"] < tables["entries"]["rand_distance"]).all()
    assert (tables["scaled"]["rand_bulk_note"] != "").all()  # lognormal scales are no noise bulk; shuffled they are
    assert (tables["entries"]["rand_num_spikes"] < tables["scaled"]["rand_num_spikes"]).all()
    assert set(tables["signs"]["rand_bulk_note"].map(type)) == {str}


@pytest.mark.parametrize("wrong", ["sign", "", "True", None, 1, ["signs"]])
def test_a_null_that_is_not_known_is_named(wrong):
    with pytest.raises(ValueError, match="randomize=.*; allowed are False, True, 'entries', 'signs', 'scaled'"):
        Options(randomize=wrong)


def test_only_true_false_and_names_are_kept():
    kept = [Options(randomize=r).randomize for r in (False, np.False_, True, np.True_, np.str_("signs"))]
    assert kept == [False, False, "entries", "entries", "signs"]
    assert [type(r) for r in kept] == [bool, bool, str, str, str]


def test_a_source_without_weights_has_no_null():
    with pytest.raises(ValueError, match="randomize needs weights to shuffle"):
        analyze([Spectrum([1.0, 2.0], 2, 2)], randomize="signs")


def test_docs_name_every_null():
    quoted = "{" + ", ".join(f'"{kind}"' for kind in NULLS) + "}"
    for function in (analyze, Layer.null):
        assert quoted in inspect.getdoc(function)
    for kind in NULLS:
        assert f'"{kind}"' in inspect.getdoc(null_matrix)
    assert tuple(OF_LAYER.values()) == NULLS
    assert set(OF_LAYER) <= set(IN_WORDS)


@pytest.mark.parametrize(
    ("options", "kept"),
    [
        ([], False),
        (["--randomize"], "entries"),
        (["--null", "signs"], "signs"),
        (["--randomize", "--null", "scaled"], "scaled"),
        (["--null", "scaled", "--randomize"], "scaled"),
    ],
)
def test_the_command_line_takes_a_null(options, kept, capsys):
    for command in (["minilm", *options], [*options, "minilm"]):  # no option swallows the source
        assert main(["analyze", *command, "--layers", "0", "--json"]) == 0
        assert json.loads(capsys.readouterr().out)["options"]["randomize"] == kept


def test_the_command_line_names_the_nulls(capsys):
    with pytest.raises(SystemExit) as stop:
        main(["analyze", "minilm", "--null", "sign"])
    assert stop.value.code == 2
    error = capsys.readouterr().err
    assert "argument --null: invalid choice: 'sign'" in error
    assert all(kind in error for kind in NULLS)


@pytest.mark.parametrize("null", OF_LAYER)
def test_the_explorer_offers_each_null_and_its_code_makes_it(null):
    model = LayerModel(null=null, block=2)
    expected = atlas.load("minilm")["block 2 query"].null(OF_LAYER[null]).singular_values
    np.testing.assert_array_equal(model.result.null.singular_values, expected)
    assert "seed" in model.idle()
    title = model.draw(Figure()).axes[0].get_title("left").replace("\n", " ")
    assert title.endswith(IN_WORDS[null])
    source = state()
    shown = LayerExplorer(source, null=null, seed=3)
    for explored, space in ((model, {}), (shown.model, {"source": source})):
        try:
            exec(explored.code(), space)
        finally:
            plt.close("all")
        np.testing.assert_array_equal(space["null"].singular_values, explored.result.null.singular_values)
    assert "seed" not in shown.model.idle()


def test_the_page_shows_what_is_left_of_the_layers():
    """The sums of docs/nulls.md; feed-forward out of MiniLM is the role that it calls an exception."""
    page = (Path(__file__).parents[1] / "docs" / "nulls.md").read_text()
    lefts = {
        (name, x.layer_id, x.role): _left(x.spectrum, {kind: x.null(kind) for kind in NULLS})
        for name in ("minilm", "smollm2")
        for x in atlas.load(name)
        if len(x.spectrum.singular_values) >= FEWEST_LAYER
    }
    chosen = {
        "**all**": list(lefts.values()),
        "MiniLM feed-forward out": [left for key, left in lefts.items() if key[::2] == ("minilm", "feed-forward out")],
    }
    for title, found in chosen.items():
        kinds = ["as it is", *NULLS]
        sums = [sum(left[kind][i] for left in found) for i in (0, 1) for kind in kinds]
        assert f"| {title} | {len(found)} | " + " | ".join(map(str, sums)) + " | " in page
    assert f"In {sum(left['signs'][3] >= 3 for left in lefts.values())} of 250 layers, three or more" in page
