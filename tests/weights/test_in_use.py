"""Weights that a layer computes: read as the layer uses them, from the live module and from its state dict."""

import copy
import warnings

import numpy as np
import pytest

from rmt_lab import analyze
from rmt_lab.weights import iter_weights

torch = pytest.importorskip("torch", reason="needs torch")
nn = torch.nn
parametrizations = nn.utils.parametrizations


def old_weight_norm(layer, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        return nn.utils.weight_norm(layer, **options)


def unchanged(model, read):
    """What reading gives; it changes no parameter, buffer or mode."""
    before, modes = copy.deepcopy(model.state_dict()), [m.training for m in model.modules()]
    found = read(model)
    for name, value in model.state_dict().items():
        assert torch.equal(value, before[name]), name
    assert [m.training for m in model.modules()] == modes
    return found


def by_name(source):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return {w.longname: w for w in iter_weights(source)}


LAYERS = {
    "the hook": lambda: old_weight_norm(nn.Linear(6, 8)),
    "the hook of a kernel": lambda: old_weight_norm(nn.Conv1d(4, 6, 5), dim=2),
    "the hook, one norm": lambda: old_weight_norm(nn.Linear(6, 8), dim=None),
    "parametrized": lambda: parametrizations.weight_norm(nn.Linear(6, 8)),
    "parametrized kernel": lambda: parametrizations.weight_norm(nn.Conv2d(4, 6, 3), dim=1),
}


@pytest.mark.parametrize("kind", LAYERS)
def test_weight_norm_of_a_module_and_of_its_state_dict(tmp_path, kind):
    layer = LAYERS[kind]()
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.mul_(1.5)  # g and v changed after the hook has set the weight
    x = torch.randn(2, *((6,) if "Linear" in repr(layer) else (4, 9, 9)[: layer.weight.ndim - 1]))
    layer(x)  # the forward pass computes layer.weight anew
    expected = layer.weight.detach().numpy()
    model = nn.ModuleDict({"conv": layer, "fc": nn.Linear(3, 4)})
    torch.save(model.state_dict(), tmp_path / "m.pt")
    for source in (model, model.state_dict(), tmp_path / "m.pt"):
        found = by_name(source)
        assert set(found) == {"conv", "fc"}
        np.testing.assert_allclose(found["conv"].matrix, expected, rtol=1e-5, atol=1e-7)
        assert found["conv"].matrix.dtype == np.float32
    assert unchanged(model, by_name)["conv"].layer_type == {2: "dense", 3: "conv1d", 4: "conv2d"}[expected.ndim]


@pytest.mark.parametrize("make", [parametrizations.orthogonal, parametrizations.spectral_norm])
def test_a_parametrised_weight_is_the_one_in_use(make):
    model = nn.Sequential(make(nn.Linear(6, 8, bias=False)), nn.Linear(8, 5)).train()
    found = unchanged(model, by_name)
    assert set(found) == {"0", "1"}
    W = found["0"].matrix
    np.testing.assert_allclose(W, model.eval()[0].weight.detach(), rtol=1e-6)
    x = torch.randn(3, 6)
    torch.testing.assert_close(x @ torch.tensor(W).T, model[0](x))
    if make is parametrizations.orthogonal:
        np.testing.assert_allclose(W.T @ W, np.eye(6), atol=1e-5)

    status = analyze(model.state_dict(), min_evals=2).set_index("longname")["status"]
    assert "a state dict does not say by what function; pass the model itself" in status["0"]
    assert status["1"] == "success"


def test_the_old_spectral_norm_makes_no_power_iteration():
    model = nn.Sequential(nn.utils.spectral_norm(nn.Linear(6, 8)))
    found = unchanged(model, by_name)
    assert set(found) == {"0"}
    model.eval()(torch.randn(2, 6))
    np.testing.assert_allclose(found["0"].matrix, model[0].weight.detach(), rtol=1e-6)


def test_a_parametrisation_of_ones_own_and_one_that_fails():
    class Symmetric(nn.Module):
        def forward(self, X):
            return X.triu() + X.triu(1).T

    class Broken(nn.Module):
        def forward(self, X):
            if X.requires_grad and torch.is_grad_enabled():
                return X
            raise RuntimeError("no weight today")

    model = nn.Sequential(nn.Linear(6, 6), nn.Linear(6, 6), nn.Linear(6, 6))
    nn.utils.parametrize.register_parametrization(model[0], "weight", Symmetric())
    nn.utils.parametrize.register_parametrization(model[1], "weight", Broken(), unsafe=True)
    status = analyze(model, min_evals=2).set_index("longname")["status"]
    assert status["0"] == status["2"] == "success"
    assert "no weight today" in status["1"]
    W = next(iter_weights(model, layers="0")).matrix
    np.testing.assert_array_equal(W, W.T)


def test_parts_that_do_not_fit_are_one_row():
    state = {
        "a.weight_g": np.ones((3, 2)),
        "a.weight_v": np.ones((6, 4)),
        "b.weight": np.random.default_rng(0).normal(size=(6, 8)),
    }
    status = analyze(state, min_evals=2).set_index("longname")["status"]
    assert "weight_g has shape (3, 2), which does not fit (6, 4)" in status["a"]
    assert status["b"] == "success"


def test_lora_layers_of_peft_are_what_the_forward_pass_does():
    peft = pytest.importorskip("peft", reason="needs peft")
    base = nn.Sequential(nn.Embedding(11, 6), nn.Linear(6, 8, bias=False), nn.Linear(8, 5, bias=False))
    for options in ({}, {"use_dora": True}, {"use_rslora": True}):
        config = peft.LoraConfig(r=2, lora_alpha=5, target_modules=["0", "1"], init_lora_weights=False, **options)
        if options.get("use_dora"):
            config.target_modules = {"1"}
        model = peft.get_peft_model(copy.deepcopy(base), config).eval()
        x = torch.randint(0, 11, (4,))
        for merged in (False, True):
            if merged:
                model.merge_adapter()
            found = list(unchanged(model, lambda m: list(iter_weights(m))))
            assert len(found) == 3
            E, A, B = (torch.tensor(w.matrix) for w in found)
            torch.testing.assert_close(E[x] @ A.T @ B.T, model(x).detach(), rtol=1e-4, atol=1e-5)
            assert [w.layer_type for w in found] == ["embedding", "dense", "dense"]
        model.unmerge_adapter()
        with model.disable_adapter():
            E, A, B = (torch.tensor(w.matrix) for w in iter_weights(model))
            torch.testing.assert_close(E[x] @ A.T @ B.T, base(x).detach(), rtol=1e-4, atol=1e-5)
