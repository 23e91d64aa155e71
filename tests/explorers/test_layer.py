import gc
import math

import matplotlib.pyplot as plt
import numpy as np
import pytest
from drawn import area
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure
from scipy.stats import kstest

from rmt_lab import MarchenkoPastur, Spectrum, analyze, atlas
from rmt_lab.analysis import spectral_distance
from rmt_lab.atlas import Layer
from rmt_lab.ensembles import matched_noise, student_t
from rmt_lab.ensembles.spectra import NULL_TITLES, OF_LAYER, noise_of_seed
from rmt_lab.explorers import LayerExplorer, layer_choice
from rmt_lab.explorers.layer import LayerModel
from rmt_lab.plotting import alt_text, plot_against, style
from rmt_lab.plotting.spectra import VIEWS

few = settings(max_examples=8, deadline=None)
sizes = st.tuples(st.integers(2, 40), st.integers(2, 40))


@few
@given(size=sizes, mu=st.sampled_from([math.inf, 4, 2, 0.5]), sigma=st.floats(1e-6, 1e6), seed=st.integers(0, 99))
def test_matched_noise_has_shape_and_norm(size, mu, sigma, seed):
    layer = Spectrum.from_matrix(sigma * np.random.default_rng(seed).normal(size=size))
    noise = matched_noise(layer, mu, rng=seed)
    assert (noise.N, noise.M) == (layer.N, layer.M)
    assert noise.norm == pytest.approx(layer.norm)
    np.testing.assert_array_equal(noise.singular_values, matched_noise(layer, mu, rng=seed).singular_values)
    if mu < math.inf:
        W = Spectrum.from_matrix(student_t(layer.N, layer.M, mu, rng=seed))
        assert noise.stable_rank == pytest.approx(W.stable_rank)


def test_matched_gaussian_noise_follows_marchenko_and_pastur():
    layer = atlas.load("minilm")["block 3 feed-forward in"].spectrum
    noise = matched_noise(layer, rng=0)
    law = MarchenkoPastur(noise.Q, layer.entry_std)
    assert kstest(noise.eigenvalues, law.cdf).statistic < 0.01
    kernel = Spectrum.from_matrix(np.random.default_rng(0).normal(size=(8, 4, 3, 3)))
    assert matched_noise(kernel, rng=0).rf == matched_noise(kernel, mu=3, rng=0).rf == 9


@pytest.mark.parametrize("view", VIEWS)
def test_the_picture_counts_what_exceeds_the_null(view):
    layer = atlas.load("smollm2")["block 12 query"]
    fig = Figure()
    ax = plot_against(layer.spectrum, layer.shuffled, view, "its shuffled entries", fig.subplots())
    above = np.count_nonzero(layer.spectrum.eigenvalues > layer.shuffled.eigenvalues.max())
    noun = "singular value" if "singular" in view else "eigenvalue"
    title = ax.get_title("left").replace("\n", " ")
    assert title == f"{above} of 576 {noun}s exceed its shuffled entries"
    assert ax.get_xlabel().endswith("of block 12 query")
    assert f"{above} of 576" in style.alt_text(ax)
    if view == VIEWS[2]:
        measured, null, fit = ax.lines
        np.testing.assert_array_equal(measured.get_xdata(), layer.spectrum.eigenvalues)
        np.testing.assert_array_equal(null.get_xdata(), layer.shuffled.eigenvalues)
        assert (measured.get_color(), null.get_color(), fit.get_color()) == (style.MEASURED, style.NOISE, style.FIT)
    else:
        values = layer.spectrum.singular_values if view == VIEWS[0] else layer.spectrum.eigenvalues
        inside = np.mean(values <= ax.get_xlim()[1])
        single = style.num_single(layer.spectrum.singular_values)
        assert single == 6
        assert area(ax.patches[0]) == pytest.approx(1 - single / 576)
        assert 0.95 < inside <= 1
        assert area(ax.patches[2]) == pytest.approx(1)
        assert ax.patches[2].get_edgecolor() == to_rgba(style.NOISE)


def test_a_view_that_is_not_known():
    s = Spectrum([1.0, 2.0], 2, 2)
    with pytest.raises(ValueError, match="view='tail'; allowed are 'singular values of W', 'eigenvalues'"):
        plot_against(s, s, "tail", ax=Figure().subplots())


@pytest.mark.parametrize("name", ["minilm", "smollm2"])
def test_the_sentence_is_the_layers_row_of_the_table(name):
    table = analyze(name).set_index("name")
    model = LayerModel(model=name)
    for role, layers in model.layers().items():
        model.update({"role": role, "block": len(layers) // 2})
        layer, sentence = model.layer(), model.sentence()
        row = table.loc[layer.name]
        assert sentence.startswith(f"{layer.name} of {name}, {row.N} × {row.M}: ")
        if row.status != "success":
            assert row.status in sentence
            continue
        assert f"α = {row.alpha:.2f} ± {row.sigma:.2f} on {row.num_pl_spikes} of {row.num_evals} " in sentence
        if row.bulk_note:  # no word of spikes where what is left is no noise
            assert f"{row.num_spikes_first or 'no'} eigenvalue" in sentence
            assert "spike" not in sentence.partition(". ")[0]
        else:
            assert f"{row.num_spikes or 'no'} spike" in sentence
        assert f"stable rank {row.stable_rank:.3g}" in sentence
        assert f"{spectral_distance(layer.spectrum, layer.shuffled):.2f} apart" in sentence


def test_nulls_are_offered_where_they_exist():
    gaussian = [*OF_LAYER, "Gaussian"]
    everything = list(NULL_TITLES)
    assert LayerModel().nulls() == everything
    embedding = LayerModel(role="embedding")
    assert embedding.nulls() == [*gaussian, "initialisation"]  # twelve million entries are too many to draw
    bare = LayerExplorer([atlas.load("minilm")["block 3 query"].spectrum])
    assert bare.model.nulls() == [n for n in NULL_TITLES if n not in (*OF_LAYER, "initialisation")]
    assert bare.model.null == bare.controls["null"].value == "Gaussian"
    bare.model.update({"model": "minilm", "role": "query"})
    assert bare.controls["null"].options == tuple(everything)


def test_noise_is_drawn_once_for_all_layers_of_a_shape():
    model = LayerModel(null="heavy-tailed, μ = 3", seed=987)
    assert model.sentence()
    drawn = noise_of_seed.cache_info().misses
    for block in range(6):
        for role in ("query", "key", "value"):
            model.update({"block": block, "role": role})
            assert model.sentence()
    assert noise_of_seed.cache_info().misses == drawn


@few
@given(
    name=st.sampled_from(["minilm", "smollm2"]),
    role=st.sampled_from(["query", "value", "feed-forward out", "embedding"]),
    block=st.integers(0, 29),
    null=st.sampled_from(list(NULL_TITLES)),
    view=st.sampled_from(VIEWS),
    seed=st.integers(0, 99),
)
def test_the_code_gives_the_same_spectra(name, role, block, null, view, seed):
    model = LayerModel(model=name, role=role, block=block, null=null, view=view, seed=seed)
    try:
        exec(model.code(), space := {})
        title = plt.gcf().axes[0].get_title("left").replace("\n", " ")
    finally:
        plt.close("all")
    assert title == model.draw(Figure()).axes[0].get_title("left").replace("\n", " ")
    for ours, theirs in ((model.result.spectrum, space["spectrum"]), (model.result.null, space["null"])):
        np.testing.assert_allclose(ours.singular_values, theirs.singular_values, rtol=1e-12)


def weights(rng=0):
    rng = np.random.default_rng(rng)
    shapes = {"query": (40, 30), "key": (40, 30), "mlp.fc1": (60, 30)}
    state = {f"layers.{i}.{n}.weight": rng.normal(size=s) for i in range(3) for n, s in shapes.items()}
    return state | {"conv.weight": rng.normal(size=(16, 12, 3, 3))}


def spectra_iterator():
    return (Spectrum.from_matrix(W, name=f"matrix {i}") for i, W in enumerate(np.ones((2, 20, 15)) + np.eye(20, 15)))


def safetensors_file(folder):
    pytest.importorskip("safetensors.numpy").save_file(weights(), folder / "model.safetensors")
    return folder / "model.safetensors"


def npz_file(folder):
    np.savez(folder / "mine.npz", **weights())
    return str(folder / "mine.npz")


def module(_):
    torch = pytest.importorskip("torch")
    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.Linear(30, 20), torch.nn.Conv2d(4, 16, 3))


@pytest.mark.parametrize(
    ("make", "name"),
    [
        (lambda folder: weights(), "dict"),
        (npz_file, "mine.npz"),
        (safetensors_file, "model.safetensors"),
        (module, "Sequential"),
        (lambda folder: spectra_iterator(), "generator"),
        (lambda folder: "minilm", "minilm"),
    ],
    ids=["state dict", "npz", "safetensors", "torch", "spectra", "atlas"],
)
def test_any_source_of_analyze(make, name, tmp_path):
    source = make(tmp_path)
    table = analyze(make(tmp_path))
    shown = LayerExplorer(source)
    model = shown.model
    assert model.models()[0] == model.model == name
    assert set(model.models()) == {name, *atlas.names()}
    assert sum(map(len, model.layers().values())) == len(table)
    for role, layers in model.layers().items():
        shown.controls["role"].value = role
        for block, layer in enumerate(layers[:3]):
            shown.controls["block"].value = block
            row = table[table.name == layer.name].iloc[0]
            assert f"{layer.name} of {name}, {row.N} × {row.M}: " in shown.sentence
            if row.status == "success":
                assert f"α = {row.alpha:.2f}" in shown.sentence
    for preset in model.presets:
        shown.presets.value = preset
        assert model.preset() == preset
    assert shown._repr_mimebundle_()["image/png"]
    if isinstance(source, str):
        exec(shown.code(), space := {})
        plt.close("all")
        np.testing.assert_allclose(space["null"].singular_values, model.result.null.singular_values, rtol=1e-12)
        assert repr(source) in repr(shown)


def test_code_for_a_source_without_a_name():
    source = weights()
    shown = LayerExplorer(source, null="shuffled entries", role="key", block=2, seed=4)
    exec(shown.code(), space := {"source": source})
    assert alt_text(plt.gcf()) == alt_text(shown.figure())
    plt.close("all")
    np.testing.assert_allclose(space["null"].singular_values, shown.model.result.null.singular_values)
    assert repr(shown).startswith("LayerExplorer(source, model='dict', role='key', block=2")
    assert not shown.buttons["new sample"].disabled  # the entries are at hand
    before = shown.picture.value
    shown.buttons["new sample"].click()
    assert shown.picture.value != before


def test_a_broken_layer_says_why_and_stops_no_other():
    state = weights()
    state["layers.1.key.weight"][3, 4] = np.nan
    state["layers.2.key.weight"] = np.zeros((40, 30))
    shown = LayerExplorer(state, role="key")
    assert "α = " in shown.sentence
    shown.controls["block"].value = 1
    assert shown.sentence == "block 1 key of dict has no spectrum: W holds 1 NaN or infinite entries of 1200."
    assert shown.figure().axes[0].get_title("left") == "block 1 key has no spectrum"
    shown.controls["block"].value = 2
    assert "failed: 0 non-zero eigenvalues" in shown.sentence
    shown.controls["view"].value = VIEWS[2]
    shown.controls["view"].value = VIEWS[1]
    shown.controls["block"].value = 0
    assert "α = " in shown.sentence


def matrices_held():
    """How many layers hold the matrix that their spectrum will be made of."""
    gc.collect()
    held = [x._spectrum for x in gc.get_objects() if type(x) is Layer]
    return sum(isinstance(arg, np.ndarray) for h in held for arg in getattr(h, "args", ()))


def test_matrices_are_read_when_shown_and_not_kept(monkeypatch, tmp_path):
    read = []
    layers_of = layer_choice.layers_of

    def counting(source, layers=None, rng=0):
        read.append(layers)
        return layers_of(source, layers, rng=rng)

    monkeypatch.setattr(layer_choice, "layers_of", counting)
    before = matrices_held()
    layers = layer_choice.source_layers(npz_file(tmp_path))
    assert read == [None]
    layer = layers(0)["key"][1]
    gc.collect()
    assert matrices_held() == before
    for seed in (0, 0, 1):
        assert layers(seed)["key"][1].spectrum.name == layer.name
    assert read == [None, [layer.layer_id]]
    shuffled = [layers(seed)["key"][1].shuffled.singular_values[-1] for seed in (0, 0, 1)]
    assert shuffled[0] == shuffled[1] != shuffled[2]


def test_a_source_that_cannot_be_read():
    with pytest.raises(FileNotFoundError):
        LayerExplorer("no_such_file.safetensors")
