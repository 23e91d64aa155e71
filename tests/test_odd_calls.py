"""Odd calls: what used to give a wrong number in silence, or an error that named nothing."""

import numpy as np
import pytest

import rmt_lab as rl
from rmt_lab import Spectrum, analyze, fit_bulk, fit_power_law
from rmt_lab.laws import edge_scaling, largest_eigenvalue_p_value
from rmt_lab.laws.spiked import denoise, hard_threshold, shrink, spike_threshold
from rmt_lab.trainings.phases import phase
from rmt_lab.verdict import verdict

X = np.exp(np.random.default_rng(0).exponential(size=100))
W = np.random.default_rng(0).normal(size=(40, 30))


@pytest.mark.parametrize("xmin", [0, -1, -0.5, np.nan, "2", 1j])
def test_a_tail_begins_at_a_positive_number(xmin):
    with pytest.raises(ValueError, match="xmin="):
        fit_power_law(X, xmin=xmin)


@pytest.mark.parametrize("rf", [0, -1, 1.5])
def test_a_number_of_slices_is_a_whole_number(rf):
    with pytest.raises(ValueError, match=f"rf={rf}"):
        largest_eigenvalue_p_value(2.3, 3072, 768, rf=rf)


def test_noise_of_no_size_has_no_edge():
    with pytest.raises(ValueError, match="sigma=0.0"):
        edge_scaling(100, 50, 0.0)


@pytest.mark.parametrize("kind", [np.int8, np.int16, np.int32, np.uint8])
def test_small_integers_do_not_overflow(kind):
    N, M = kind(100), kind(90)
    assert spike_threshold(N, M) == pytest.approx(spike_threshold(100, 90))
    assert hard_threshold(N, M) == pytest.approx(hard_threshold(100, 90))
    assert shrink([30.0], N, M) == pytest.approx(shrink([30.0], 100, 90))
    assert hard_threshold(np.int32(100_000), np.int32(90_000)) == pytest.approx(hard_threshold(100_000, 90_000))


@pytest.mark.parametrize("scale", [1e-150, 1e150])
def test_denoising_has_no_scale(scale):
    signal = W + 3.0
    assert denoise(scale * signal, scale) / scale == pytest.approx(denoise(signal, 1.0))


@pytest.mark.parametrize("dtype", [">f8", ">f4", "<f8", np.longdouble])
def test_every_byte_order_and_width_is_a_weight_matrix(dtype):
    table = analyze({"a.weight": W.astype(dtype)})
    alone = analyze(W.astype(dtype))
    assert table["status"].tolist() == alone["status"].tolist() == ["success"]
    plain = analyze({"a.weight": W})
    assert table["alpha"][0] == pytest.approx(plain["alpha"][0], rel=1e-5)


@pytest.mark.parametrize(
    "call",
    [
        fit_bulk,
        phase,
        rl.plot_spectrum,
        lambda W: verdict(fit_power_law(X), W),
        lambda W: rl.plotting.plot_against(W, W),
    ],
)
def test_a_matrix_instead_of_its_spectrum_is_told_so(call):
    with pytest.raises(TypeError, match=r"Spectrum.from_matrix\(W\)"):
        call(W)


def test_tensors_that_need_a_gradient_or_are_bfloat16():
    torch = pytest.importorskip("torch")
    tensor = torch.tensor(W, requires_grad=True)
    assert Spectrum.from_matrix(tensor).N == 40
    assert denoise(tensor, 1.0) == pytest.approx(denoise(W, 1.0))
    assert fit_power_law(torch.tensor(X, requires_grad=True)).alpha == fit_power_law(X).alpha
    assert fit_power_law(torch.tensor(X).bfloat16()).alpha == pytest.approx(fit_power_law(X).alpha, rel=0.01)
    assert rl.ensembles.shuffled(tensor, 0).shape == (40, 30)
