from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rmt_lab import atlas, ensembles
from rmt_lab.ensembles import gaussian_spectrum, initialisations
from rmt_lab.laws import spike_threshold
from rmt_lab.spectrum import Spectrum
from rmt_lab.trainings.phases import PHASES, UNDECIDED, phase, tail_weight

SHAPES = [(128, 64), (192, 192), (576, 192), (1536, 384), (2304, 768), (3072, 768)]


def of_eigenvalues(x):
    return Spectrum(np.sqrt(np.asarray(x) * 2 * len(x)), 2 * len(x), len(x))


def names(draw, trials):
    return [phase(Spectrum.from_matrix(draw())).name for _ in range(trials)]


def test_noise_of_layer_shapes_is_random_like():
    rng = np.random.default_rng(0)
    spectra = [gaussian_spectrum(N, M, sigma=0.02, rng=rng) for N, M in SHAPES for _ in range(30)]
    for law in (initialisations.glorot_uniform, initialisations.he_normal, initialisations.he_uniform):
        spectra += [Spectrum.from_matrix(law(*shape, rng=rng)) for shape in [(64, 128), (576, 192)] for _ in range(5)]
    spectra += [Spectrum.from_matrix(initialisations.gpt2(384, 1536, n_layer=12, rng=rng)) for _ in range(5)]
    found = [phase(s) for s in spectra]
    assert len(found) >= 200
    assert np.mean([p.findings["spikes"].holds for p in found]) <= 0.05
    assert np.mean([p.name == "random-like" for p in found]) >= 0.95


@pytest.mark.parametrize("model", ["minilm", "smollm2"])
def test_layers_at_initialisation_are_random_like_and_trained_ones_are_not(model):
    layers = [x for x in atlas.load(model) if x.role.startswith("feed-forward")][::4]
    fresh = [phase(x.initialisation(rng=i)).name for i, x in enumerate(layers)]
    assert sum(name != "random-like" for name in fresh) <= 1
    assert "random-like" not in [phase(x.spectrum).name for x in layers]


@pytest.mark.parametrize(("N", "M"), [(384, 384), (768, 192)])
def test_every_phase_is_recognised_on_matrices_built_for_it(N, M):
    rng, threshold = np.random.default_rng(1), spike_threshold(N, M)

    def signal(*strengths):
        return lambda: ensembles.low_rank_plus_noise(N, M, threshold * np.array(strengths), rng=rng)

    def low_rank():
        return (rng.normal(size=(N, M // 3)) @ rng.normal(size=(M // 3, M))).astype(np.float32)

    built = [
        ("bleeding-out", signal(1.45)),
        ("bleeding-out", signal(*np.linspace(1.1, 1.5, 8))),
        ("bulk+spikes", signal(2.2)),
        ("bulk+spikes", signal(*np.linspace(1.6, 6, M // 12))),
        ("bulk-decay", lambda: ensembles.ar1(N, M, 0.4, rng=rng)),
        ("heavy-tailed", lambda: ensembles.pareto(N, M, 1.2, rng=rng)),
        ("heavy-tailed", lambda: ensembles.student_t(N, M, 1.5, rng=rng)),
        ("rank-collapse", low_rank),
    ]
    for wanted, draw in built:
        found = names(draw, 10)
        assert found.count(wanted) >= 9, (wanted, found)


def test_a_detected_spike_is_35_percent_above_the_threshold_and_not_10_below():
    rng, threshold = np.random.default_rng(2), spike_threshold(576, 384)
    above, below = (
        [names(lambda s=s: ensembles.low_rank_plus_noise(576, 384, s * threshold, rng=rng), 40)] for s in (1.35, 0.9)
    )
    assert above[0].count("bleeding-out") >= 36
    assert below[0].count("random-like") >= 36


@settings(max_examples=25, deadline=None)
@given(st.floats(-90, 90), st.sampled_from(["gaussian", "ar1", "pareto", "spiked", "low rank"]), st.integers(0, 3))
def test_scale_changes_nothing(exponent, kind, seed):
    W = {
        "gaussian": lambda: ensembles.gaussian(96, 64, rng=seed),
        "ar1": lambda: ensembles.ar1(96, 64, 0.6, rng=seed),
        "pareto": lambda: ensembles.pareto(96, 64, 1.5, rng=seed),
        "spiked": lambda: ensembles.low_rank_plus_noise(96, 64, [20.0, 15.0], rng=seed),
        "low rank": lambda: ensembles.gaussian(96, 30, rng=seed) @ ensembles.gaussian(30, 64, rng=seed),
    }[kind]()
    s = Spectrum.from_matrix(W)
    a, b = phase(s), phase(Spectrum(10.0**exponent * s.singular_values, s.N, s.M))
    assert b.name == a.name
    assert {f: x.holds for f, x in b.findings.items()} == {f: x.holds for f, x in a.findings.items()}


def test_the_only_conflicts_are_between_a_noise_bulk_and_a_heavy_tail():
    findings = sorted({f for rule in PHASES.values() for f in rule} - {"zeros"})
    conflicts = set()
    for values in product([False, True], repeat=len(findings)):
        case = dict(zip(findings, values, strict=True)) | {"zeros": False}
        if (case["exact bulk"] and not case["close bulk"]) or (case["clear spike"] and not case["spikes"]):
            continue  # cannot be
        fits = [name for name, rule in PHASES.items() if all(case[f] == must for f, must in rule.items())]
        conflicts |= {tuple(fits)} if len(fits) > 1 else set()
    assert conflicts == {("bleeding-out", "heavy-tailed"), ("bulk+spikes", "heavy-tailed")}


def test_a_conflict_is_undecided_and_names_both_sides():
    found = [phase(Spectrum.from_matrix(ensembles.pareto(1536, 384, 2.5, rng=i))) for i in range(12)]
    conflicts = [p for p in found if len(p.candidates) > 1]
    assert conflicts
    for p in conflicts:
        assert p.name == UNDECIDED
        assert set(p.candidates) == {"bulk+spikes", "heavy-tailed"}
        assert "bulk+spikes or heavy-tailed" in repr(p)
        assert not any(p.against[name] for name in p.candidates)


def test_what_fits_no_phase_is_undecided():
    for W in (np.eye(64), ensembles.orthogonal(128, 64, rng=0)):
        p = phase(Spectrum.from_matrix(W))
        assert (p.name, p.candidates) == (UNDECIDED, ())
        assert all(p.against.values())


def test_one_outlier_makes_no_heavy_tail():
    W = ensembles.ar1(400, 300, 0.4, rng=0)
    assert phase(Spectrum.from_matrix(W)).name == "bulk-decay"
    assert phase(Spectrum.from_matrix(W + 3.0)).name == "bulk-decay"


def test_a_few_dead_columns_are_no_collapse():
    W = ensembles.gaussian(600, 200, rng=0)
    W[:, :10] = 0
    assert phase(Spectrum.from_matrix(W)).name == "random-like"
    W[:, :60] = 0
    p = phase(Spectrum.from_matrix(W))
    assert (p.name, p.bulk, p.power_law, list(p.findings)) == ("rank-collapse", None, None, ["zeros"])
    assert phase(Spectrum.from_matrix(np.zeros((30, 20)))).name == "rank-collapse"


@pytest.mark.parametrize(("N", "M", "rf"), [(128, 64, 1), (40, 20, 1), (64, 32, 9), (128, 64, 3)])
def test_the_bound_of_an_exact_bulk_is_just_above_noise(N, M, rf):
    rng, D, met = np.random.default_rng(3), [], []
    for _ in range(150):
        values = np.concatenate([gaussian_spectrum(N, M, rng=rng).singular_values for _ in range(rf)])
        p = phase(Spectrum(values, N, M, rf))
        D.append(p.bulk.D * len(values))
        met.append(p.findings["exact bulk"].holds)
    assert np.mean(met) >= 0.97
    bound = (1.4 + 0.42 * np.log(M)) * rf**0.6
    assert 0.7 * bound < np.quantile(D, 0.99) < 1.1 * bound


def test_tail_weight_against_known_tails():
    p = (np.arange(40000) + 0.5) / 40000
    assert tail_weight(of_eigenvalues(-np.log1p(-p))) == pytest.approx(1, abs=0.02)
    for alpha in (6.0, 9.0):
        x = (1 - p) ** (-1 / (alpha - 1))
        assert tail_weight(of_eigenvalues(x)) == pytest.approx(np.sqrt((alpha - 1) / (alpha - 3)), rel=0.03)
    assert tail_weight(of_eigenvalues(1 + p)) == pytest.approx(1 / np.sqrt(3), rel=0.02)  # uniform


@settings(max_examples=20, deadline=None)
@given(st.integers(20, 200), st.floats(1, 1e6))
def test_tail_weight_does_not_look_at_the_largest(n, factor):
    x = np.sort(np.random.default_rng(n).exponential(size=n)) + 1e-3
    weight = tail_weight(of_eigenvalues(x))
    x[-1] *= factor
    assert tail_weight(of_eigenvalues(x)) == pytest.approx(weight)


def test_a_phase_shows_its_evidence():
    p = phase(gaussian_spectrum(200, 100, rng=0))
    for name, finding in p.findings.items():
        assert f"{'yes' if finding.holds else 'no':4}{name}" in repr(p)
        assert finding.text in repr(p)
        assert name in p._repr_html_()
    assert p.against["random-like"] == ()
    assert p.against["bulk-decay"] == ("close bulk", "spikes")


def test_level_is_the_rate_of_false_spikes():
    spectra = [gaussian_spectrum(128, 64, rng=i) for i in range(300)]
    strict, lax = (np.mean([phase(s, level).findings["spikes"].holds for s in spectra]) for level in (0.01, 0.2))
    assert strict < 0.04 < 0.1 < lax < 0.3


def test_wrong_arguments():
    s = gaussian_spectrum(100, 50, rng=0)
    for level in (0, 1, -0.1, float("nan")):
        with pytest.raises(ValueError, match="level="):
            phase(s, level)
    with pytest.raises(ValueError, match="19 eigenvalues; a phase needs at least 20"):
        phase(gaussian_spectrum(100, 19, rng=0))
    with pytest.raises(ValueError, match="15 eigenvalues above zero"):
        tail_weight(gaussian_spectrum(100, 15, rng=0))
