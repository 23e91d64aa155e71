"""The torch route, on torch's CPU and, where there is one, on a GPU."""

import subprocess
import sys

import numpy as np
import pytest

from rmt_lab import Spectrum
from rmt_lab.spectrum import devices
from rmt_lab.spectrum.blocks import SAFE, SAFE32, Blocks

torch = pytest.importorskip("torch")
DTYPES = ["float16", "float32", "float64", "longdouble"]


def by_torch(W, method, device="cpu"):
    blocks = Blocks(np.asarray(W), SAFE32 if method == "gram32" else SAFE)
    s, certificate = devices.singular_values(blocks, method, device)
    return np.sort(s) * blocks.scale, certificate


def matrix(dtype="float64", shape=(300, 120)):
    return np.random.default_rng(0).standard_t(4, size=shape).astype(dtype)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("method", ["gram", "gram32"])
@pytest.mark.parametrize("shape", [(300, 120), (120, 300)])
def test_torch_gives_what_numpy_gives(monkeypatch, dtype, method, shape):
    monkeypatch.setattr(devices, "_CHUNK", 120 * 70)  # several blocks, the last one shorter
    W = matrix(dtype, shape)
    kept = W.copy()
    s, certificate = by_torch(W, method)
    expected = Spectrum.from_matrix(W).singular_values
    np.testing.assert_allclose(s**2, expected**2, atol=(1e-6 if method == "gram32" else 1e-13) * expected[-1] ** 2)
    assert certificate.frobenius <= certificate.product_bound
    assert certificate.gram <= certificate.solver_bound < 1e-12
    np.testing.assert_array_equal(W, kept)


@pytest.mark.parametrize("scale", [2.0**900, 2.0**-900, 2.0**-30])
@pytest.mark.parametrize("method", ["gram", "gram32"])
def test_a_scale_does_not_matter(scale, method):
    s, _ = by_torch(matrix(), method)
    np.testing.assert_allclose(by_torch(scale * matrix(), method)[0] / scale, s, rtol=1e-4)
    kept = W = scale * matrix()
    by_torch(W, method)
    np.testing.assert_array_equal(W, kept)


def test_what_cannot_be_written_to_is_read():
    W = matrix("float32")
    W.flags.writeable = False
    by_torch(W, "gram")
    by_torch(W.T, "gram32")


def test_a_wrong_solver_of_the_device_is_caught(monkeypatch):
    solver = torch.linalg.eigvalsh

    def wrong(G):
        x = solver(G)
        x[50] += 1e-6 * x[-1]
        return x

    monkeypatch.setattr(torch.linalg, "eigvalsh", wrong)
    for method in ("gram", "gram32"):
        with pytest.raises(np.linalg.LinAlgError, match="wrong eigenvalues"):
            by_torch(matrix(), method)


def test_too_little_memory_is_a_memory_error(monkeypatch):
    def full(G):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(torch.linalg, "eigvalsh", full)
    with pytest.raises(MemoryError, match=r"too little memory for a Gram matrix of 120 x 120 .* method='top'"):
        by_torch(matrix(), "gram")


def test_a_solver_that_fails_is_a_linalg_error(monkeypatch):
    def fails(G):
        raise torch.linalg.LinAlgError("did not converge")

    monkeypatch.setattr(torch.linalg, "eigvalsh", fails)
    with pytest.raises(np.linalg.LinAlgError, match="did not converge"):
        by_torch(matrix(), "gram")


def test_products_of_fewer_bits_are_refused(monkeypatch):
    monkeypatch.setattr(torch, "get_float32_matmul_precision", lambda: "high")
    with pytest.raises(ValueError, match=r"set_float32_matmul_precision\('highest'\), not 'high'"):
        by_torch(matrix(), "gram32")


def test_apples_devices_have_float32_only(monkeypatch):
    monkeypatch.setattr(devices, "available", lambda: ["cpu", "mps"])
    with pytest.raises(ValueError, match="'gram' needs float64"):
        Spectrum.from_matrix(np.eye(3), device="mps")
    assert devices.check_device("mps", "gram32") == "mps"


@pytest.mark.parametrize("device", ["cuda:97", "tpu", "", "torch:cpu"])
def test_a_device_that_is_not_there_is_named(device):
    with pytest.raises(ValueError, match=f"device='{device}'; on this machine there is 'cpu'"):
        Spectrum.from_matrix(np.eye(3), device=device)


@pytest.mark.parametrize("method", ["svd", "top"])
def test_a_method_that_does_not_run_on_a_device(monkeypatch, method):
    monkeypatch.setattr(devices, "available", lambda: ["cpu", "cuda:0"])
    with pytest.raises(ValueError, match=f"method='{method}' runs on device='cpu'"):
        Spectrum.from_matrix(np.eye(3), method, device="cuda")


def test_the_cpu_does_not_ask_torch():
    code = "import sys, numpy, rmt_lab; rmt_lab.Spectrum.from_matrix(numpy.eye(3)); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.skipif(not torch.cuda.is_available(), reason="this machine has no GPU that PyTorch finds")
@pytest.mark.parametrize("method", ["gram", "gram32"])
@pytest.mark.parametrize("dtype", DTYPES)
def test_a_gpu(method, dtype):
    W = matrix(dtype, (2000, 700))
    expected = Spectrum.from_matrix(W)
    s = Spectrum.from_matrix(W, method, device="cuda")
    error = 1e-6 if method == "gram32" else 1e-13
    np.testing.assert_allclose(s.eigenvalues, expected.eigenvalues, atol=error * expected.eigenvalues[-1])
    assert s.certificate is not None
