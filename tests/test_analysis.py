"""One row a layer: figures against the functions they come from, and layers that are broken."""

import inspect
import json
import math
import warnings
import weakref
from typing import get_args

import numpy as np
import pandas as pd
import pytest
from scipy.stats import ortho_group

from rmt_lab import Spectrum, analyze, atlas, fit_bulk, fit_power_law, fix_fingers, trainings
from rmt_lab.analysis import Options, rows_of
from rmt_lab.ensembles import NULLS
from rmt_lab.spectrum.solvers import Solver
from rmt_lab.tails.bootstrap import METHODS, interval
from rmt_lab.tails.fingers import RULES

WEIGHTWATCHER = (
    "layer_id name longname layer_type N M Q num_evals alpha alpha_weighted D sigma xmin xmax num_pl_spikes "
    "num_fingers raw_alpha log_norm log_spectral_norm log_alpha_norm stable_rank matrix_rank entropy num_spikes "
    "sigma_mp mp_softrank status warning"
).split()


def state(seed=0, blocks=3):
    """A small model in BERT's names: heavy-tailed query matrices, Gaussian keys."""
    rng = np.random.default_rng(seed)
    found = {}
    for b in range(blocks):
        found[f"encoder.layer.{b}.attention.self.query.weight"] = rng.standard_t(2.5, (60, 60))
        found[f"encoder.layer.{b}.attention.self.key.weight"] = rng.normal(size=(60, 90)).astype(np.float32)
        found[f"encoder.layer.{b}.attention.self.key.bias"] = rng.normal(size=60)
    return found


def test_rows_are_what_the_functions_say():
    source = state()
    details = analyze(source, fix_fingers="clip_xmax")
    assert list(details["name"][:2]) == ["block 0 query", "block 0 key"]
    assert set(WEIGHTWATCHER) <= set(details.columns)
    assert (details["status"] == "success").all()
    for (_, row), W in zip(details.iterrows(), [W for W in source.values() if W.ndim == 2], strict=True):
        s = Spectrum.from_matrix(W)
        f, bulk = fix_fingers(s.nonzero_eigenvalues), fit_bulk(s)
        assert (row["N"], row["M"], row["num_evals"], row["matrix_rank"]) == (s.N, s.M, s.M, s.rank)
        assert (row["alpha"], row["raw_alpha"], row["num_fingers"]) == (f.fit.alpha, f.raw.alpha, f.num_fingers)
        assert (row["D"], row["sigma"], row["xmin"], row["xmax"]) == (f.fit.D, f.fit.sigma, f.fit.xmin, f.fit.xmax)
        assert row["num_pl_spikes"] == f.fit.n_tail + f.num_fingers
        assert (row["num_spikes"], row["sigma_mp"], row["bulk_max"]) == (
            bulk.num_spikes,
            bulk.sigma_mp,
            bulk.upper_edge,
        )
        ev = np.linalg.svd(W.astype(float), compute_uv=False) ** 2
        assert row["log_norm"] == pytest.approx(np.log10(ev.sum()))
        assert row["log_spectral_norm"] == pytest.approx(np.log10(ev.max()))
        assert row["alpha_weighted"] == pytest.approx(f.raw.alpha * np.log10(ev.max()))
        assert row["log_alpha_norm"] == pytest.approx(np.log10((ev**f.raw.alpha).sum()))


def test_fixing_fingers_changes_the_fit_and_nothing_else():
    raw, fixed = analyze("minilm"), analyze("minilm", fix_fingers="clip_xmax")
    assert (fixed["num_fingers"] > 0).sum() > 5
    assert (fixed["alpha"] <= raw["alpha"])[raw["status"] == "success"].all()
    pd.testing.assert_series_equal(fixed["raw_alpha"], raw["alpha"], check_names=False)
    fit = ["alpha", "D", "sigma", "xmin", "xmax", "num_pl_spikes", "num_fingers", "D_sqrt_n", "warning"]
    pd.testing.assert_frame_equal(raw.drop(columns=fit), fixed.drop(columns=fit))


def test_the_misfit_before_and_after_fingers():
    details = analyze("minilm", fix_fingers="clip_xmax")
    assert "clipping" not in details  # a test that no clipped layer can pass: benchmarks/clipping.py
    others = details[details["num_fingers"] == 0]
    assert (others["D_sqrt_n"] == others["raw_D_sqrt_n"]).all()
    first = atlas.load("minilm")[0].spectrum
    fit = fit_power_law(first.nonzero_eigenvalues)
    assert details["raw_D_sqrt_n"][0] == pytest.approx(fit.D * math.sqrt(fit.n_tail))


def test_the_table_says_where_there_is_no_noise_bulk():
    rng = np.random.default_rng(0)
    noise, scales = rng.normal(size=(600, 300)), np.linspace(1, 3, 300)
    details = analyze({"a.weight": noise, "b.weight": noise * scales}).set_index("longname")
    assert details.loc["a", "bulk_note"] == ""
    assert details.loc["b", "bulk_note"] != ""
    for name, W in (("a", noise), ("b", noise * scales)):
        bulk = fit_bulk(Spectrum.from_matrix(W))
        row = details.loc[name]
        assert (row["num_spikes_first"], row["sigma_mp_error"]) == (bulk.num_spikes_first, bulk.sigma_error)
        assert row["bulk_note"] == bulk.note


def test_a_verdict_before_a_number():
    rng = np.random.default_rng(5)
    population = (1 - rng.random(200)) ** -1.0  # alpha = 2
    source = {
        "a.weight": (rng.normal(size=(800, 200)) * np.sqrt(population)) @ ortho_group.rvs(200, random_state=rng),
        "b.weight": rng.normal(size=(400, 200)),
    }
    details = analyze(source, verdict=True).set_index("longname")
    row, noise = details.loc["a"], details.loc["b"]
    assert (noise["verdict"], noise["verdict_note"]) == ("noise", "")
    assert noise["noise_p"] > 0.01
    assert np.isnan(noise["verdict_q"])
    assert row["verdict"] == "holds"
    assert row["alpha_population_low"] < 2 < row["alpha_population_high"]
    assert row["verdict_q"] == row["p_power_law"]  # the only layer with an answer
    spectra = [Spectrum.from_matrix(W, name=name) for name, W in source.items()]
    unseen = analyze(spectra, verdict="quick").set_index("name")
    assert unseen.loc["a.weight", "verdict"] == "can't tell"
    assert "shuffled" in unseen.loc["a.weight", "verdict_note"]
    assert json.loads(json.dumps(unseen.attrs["options"]))["verdict"] == "quick"
    with pytest.raises(ValueError, match="verdict='fast'; allowed are True, False and 'quick'"):
        analyze(spectra, verdict="fast")
    assert "verdict" not in analyze(spectra).columns


def test_no_rule_leaves_num_fingers_empty():
    assert analyze(state())["num_fingers"].isna().all()


def test_a_scaled_model_has_the_same_alphas():
    source = state()
    a = analyze(source, fix_fingers="clip_xmax")
    b = analyze({k: 1000.0 * v for k, v in source.items()}, fix_fingers="clip_xmax")
    np.testing.assert_allclose(a["alpha"], b["alpha"], rtol=1e-5)
    np.testing.assert_array_equal(a["num_spikes"], b["num_spikes"])


def test_randomize_takes_correlations_away_and_leaves_noise():
    rng = np.random.default_rng(1)
    W = rng.normal(size=(300, 100)) + 0.3 * np.outer(rng.choice([-1, 1], 300), rng.choice([-1, 1], 100))
    details = analyze({"a.weight": W, "b.weight": rng.normal(size=(300, 100))}, randomize=True)
    a, b = details.iloc[0], details.iloc[1]
    assert (a["num_spikes"], a["rand_num_spikes"]) == (1, 0)
    assert a["max_rand_eval"] < a["rand_bulk_max"] * 1.1
    assert 10 * b["rand_distance"] < a["rand_distance"] < math.sqrt(math.log(2))
    assert not any(c.startswith("rand_") for c in analyze({"a.weight": W}).columns)


def test_the_same_seed_gives_the_same_shuffle():
    source = state()
    a, b, c = (analyze(source, randomize=True, rng=seed)["max_rand_eval"] for seed in (1, 1, 2))
    assert a.equals(b)
    assert not a.equals(c)


BROKEN = {
    "nan": (np.full((40, 30), np.nan), "NaN or infinite"),
    "inf": (np.diag(np.r_[np.inf, np.ones(29)]), "NaN or infinite"),
    "zero": (np.zeros((40, 30)), "0 non-zero eigenvalues, fewer than min_evals=10"),
    "constant": (np.ones((40, 30)), "1 non-zero eigenvalues"),
    "thin": (np.ones((1, 30)), "1 non-zero eigenvalues"),
    "small": (np.eye(5), "5 non-zero eigenvalues"),
    "identity": (np.eye(30), "at least 2 that differ"),
}


def test_broken_layers_do_not_stop_the_others():
    good = np.random.default_rng(0).normal(size=(40, 30))
    source = {f"{name}.weight": W for name, (W, _) in BROKEN.items()} | {"good.weight": good}
    details = analyze(source, fix_fingers="clip_xmax", randomize=True).set_index("longname")
    assert details.loc["good", "status"] == "success"
    for name, (_, says) in BROKEN.items():
        assert says in details.loc[name, "status"]
        assert details.loc[name, "status"].startswith("failed: ")
        assert np.isnan(details.loc[name, "alpha"])


def test_conv_kernels_are_pooled():
    kernel = np.random.default_rng(0).normal(size=(30, 20, 3, 3))
    row = analyze({"conv.weight": kernel}).iloc[0]
    assert (row["N"], row["M"], row["rf"], row["num_evals"], row["layer_type"]) == (30, 20, 9, 180, "conv2d")


def test_sources_agree():
    source = state()
    matrices = [(k.removesuffix(".weight"), W) for k, W in source.items() if W.ndim == 2]
    spectra = [Spectrum.from_matrix(W, name=k) for k, W in matrices]
    figures = ["alpha", "xmin", "D", "num_spikes", "stable_rank"]
    a = analyze(source)[figures]
    for other in (spectra, iter(spectra), tuple(spectra)):
        pd.testing.assert_frame_equal(a, analyze(other)[figures])
    assert analyze(spectra[0])["alpha"].item() == a["alpha"][0]


def test_threads_change_nothing():
    pd.testing.assert_frame_equal(analyze(state(), randomize=True), analyze(state(), randomize=True, n_jobs=2))


def test_one_matrix_is_held_at_a_time(monkeypatch):
    """When the next matrix is read, the one before has been let go."""
    alive = []

    class OnAccess(dict):
        def __getitem__(self, name):
            assert not reading or not any(ref() is not None for ref in alive)
            W = np.random.default_rng(int(name)).normal(size=(50, 40))
            alive.append(weakref.ref(W))
            return W

    reading, source = False, OnAccess({str(i): None for i in range(6)})
    rows = rows_of(source, Options(randomize=True))
    reading = True
    assert [row["status"] for row in rows] == ["success"] * 6
    assert len(alive) > 6


def test_layers_are_selected_by_id_name_and_role():
    assert list(analyze(state(), layers=[1, "block 2 query"])["layer_id"]) == [1, 4]
    assert set(analyze("minilm", layers=["query"])["role"]) == {"query"}
    with pytest.raises(ValueError, match="querry"):
        analyze(state(), layers=["querry"])


@pytest.mark.parametrize(
    "options",
    [
        {"fix_fingers": "clip_xmax", "layers": ["query", np.int64(3)], "min_tail": 20},
        {"randomize": True, "rng": 5, "min_evals": np.int64(12), "layers": 1},
        {"fix_fingers": "outliers", "max_fingers": 3, "randomize": True, "rng": np.random.default_rng(8)},
        {"fix_fingers": np.str_("xmin_peak"), "layers": (np.str_("query"), 1)},
        {"rng": None, "randomize": True, "finger_thresh": np.float32(0.5), "layers": iter(["key"])},
    ],
    ids=["selected", "seeded", "a generator", "texts of numpy", "any"],
)
def test_a_tables_options_make_it_again_even_after_json(options):
    details = analyze(state(), **options)
    attrs = json.loads(json.dumps(details.attrs))
    assert attrs == details.attrs
    pd.testing.assert_frame_equal(details, analyze(state(), **attrs["options"]), check_exact=True)


def test_a_layers_shuffle_is_the_same_whichever_others_are_asked_for():
    whole = analyze(state(), randomize=True)
    alone = analyze(state(), randomize=True, layers=[4])
    assert alone["max_rand_eval"].item() == whole["max_rand_eval"][4]


def test_min_tail_holds_for_every_layer():
    details = analyze(state(), min_tail=25)
    assert (details["num_pl_spikes"] >= 25).all()
    assert (analyze(state())["num_pl_spikes"] < 25).any()


def test_what_has_no_weights_cannot_be_randomized():
    model = trainings.load("little").at(2400)
    assert model[0].shuffled is None
    for source in (model, model[0].spectrum):
        with pytest.raises(ValueError, match="randomize needs weights to shuffle"):
            analyze(source, randomize=True)


def test_a_bug_raises_and_a_layers_fault_does_not(monkeypatch):
    def fault(error):
        def raising(*args, **kwargs):
            raise error

        return raising

    for error in (np.linalg.LinAlgError("no convergence"), MemoryError("too large"), OSError("disk")):
        monkeypatch.setattr("rmt_lab.analysis.fit_bulk", fault(error))
        assert analyze(state())["status"].str.contains(str(error)).all()
    for bug in (AttributeError("no such thing"), TypeError("not that"), ZeroDivisionError()):
        monkeypatch.setattr("rmt_lab.analysis.fit_bulk", fault(bug))
        with pytest.raises(type(bug)):
            analyze(state())


def test_the_names_of_rules_and_methods_are_written_down_once():
    for text in (analyze.__doc__, fix_fingers.__doc__):
        assert f"{listed(RULES)} or None" in text
    assert listed(METHODS) in interval.__doc__
    assert f"method : {listed(get_args(Solver))}" in analyze.__doc__
    assert f"method : {listed(get_args(Solver))}" in Spectrum.from_matrix.__doc__
    assert f"bool or {listed(NULLS)}" in analyze.__doc__
    for function in (analyze, Options, Spectrum.from_matrix):
        assert inspect.signature(function).parameters["method"].annotation == "Solver"


def listed(names):
    return "{" + ", ".join(f'"{name}"' for name in names) + "}"


def test_attrs_record_how_the_table_was_made():
    attrs = analyze("minilm", fix_fingers="clip_xmax", layers=["pooler"]).attrs
    assert attrs["source"] == "minilm"
    assert attrs["options"]["fix_fingers"] == "clip_xmax"
    assert "rmt_lab" in attrs["versions"]


def test_clip_xmax_ww_cuts_where_weightwatcher_cuts():
    W = np.random.default_rng(0).normal(size=(60, 50)) * 3e-4  # eigenvalues of W^T W around 1e-5
    ev = np.linalg.svd(W, compute_uv=False) ** 2
    row = analyze({"w.weight": W}, fix_fingers="clip_xmax_ww").iloc[0]
    assert row["raw_alpha"] == pytest.approx(fit_power_law(ev[ev > 1e-5]).alpha)
    assert row["raw_alpha"] != pytest.approx(fit_power_law(ev).alpha, rel=1e-3)


def test_nothing_is_printed_or_warned(capfd):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        analyze("minilm", layers=["query"])
    assert capfd.readouterr().out == ""


@pytest.mark.parametrize(
    ("kwargs", "error", "says"),
    [
        ({"fix_fingers": "clip"}, ValueError, "fix_fingers='clip'; allowed are None, 'clip_xmax'"),
        ({"min_evals": 1}, ValueError, "min_evals=1"),
        ({"min_tail": 1}, ValueError, "min_tail=1"),
        ({"min_evals": 2.5}, TypeError, "min_evals=2.5"),
        ({"fix_fingers": "clip_xmax", "max_fingers": -1}, ValueError, "max_fingers=-1"),
        ({"max_fingers": "3"}, TypeError, "max_fingers='3'"),
        ({"fix_fingers": "clip_xmax", "finger_thresh": "1"}, TypeError, "finger_thresh='1'"),
        ({"finger_thresh": float("nan")}, ValueError, "finger_thresh=nan"),
        ({"randomize": "yes"}, ValueError, "randomize='yes'; allowed are False, True, 'entries'"),
        ({"rng": -1}, ValueError, "rng=-1"),
        ({"rng": "0"}, ValueError, "rng='0'"),
        ({"rng": 1.5}, ValueError, "rng=1.5"),
        ({"layers": 1.5}, TypeError, "layers=1.5"),
        ({"layers": b"query"}, TypeError, "layers=b'query'"),
        ({"layers": [True]}, TypeError, "layers="),
        ({"n_jobs": 0}, ValueError, "n_jobs=0"),
        ({"n_jobs": "2"}, ValueError, "n_jobs='2'"),
        ({"finger_thresh": np.inf}, ValueError, "finger_thresh=inf; a finite number"),
        ({"source": []}, TypeError, "source"),
        ({"source": 3}, TypeError, "source"),
        ({"source": [3, "x"]}, TypeError, "source"),
        ({"source": [Spectrum([1.0, 2.0], 2, 2)], "randomize": True}, ValueError, "weights to shuffle"),
        ({"source": iter([1, 2])}, TypeError, "source holds int"),
    ],
)
def test_wrong_arguments_are_named(kwargs, error, says):
    with pytest.raises(error, match=says):
        analyze(**({"source": state()} | kwargs))


def test_the_atlas_gives_the_nulls_too():
    details = analyze("minilm", randomize=True, layers=["query"])
    stored = atlas.load("minilm").select("query")
    np.testing.assert_allclose(details["max_rand_eval"], [x.shuffled.eigenvalues[-1] for x in stored])


@pytest.mark.parametrize("scale", [1e-165, 1e-161, 1e-150, 1e155, 1e300])
def test_a_matrix_whose_squares_leave_the_floats_stops_no_other(scale):
    """1e-161 ended the whole table with a ZeroDivisionError; 1e-158 gave another alpha."""
    W = np.random.default_rng(0).standard_t(3, size=(60, 40))
    details = analyze({"a": W * scale, "b": W})
    assert "multiply the matrix by a constant" in details["status"][0]
    assert details["status"][1] == "success"


@pytest.mark.parametrize("scale", [1e-138, 1e-20, 1e140])
def test_a_scale_within_changes_no_alpha(scale):
    W = np.random.default_rng(0).standard_t(3, size=(60, 40))
    details = analyze({"a": W * scale, "b": W})
    assert details["alpha"][0] == pytest.approx(details["alpha"][1], rel=1e-9)


def test_an_orthogonal_matrix_has_no_power_law():
    row = analyze({"q": ortho_group.rvs(60, random_state=0)}).iloc[0]
    assert row["status"] == "failed: x has 60 values; a power law needs at least 2 that differ by more than rounding"
