"""Gram matrices and their eigenvalues by torch: on a GPU, where there is one."""

from __future__ import annotations

from typing import Any

import numpy as np

from .._arrays import Array
from .blocks import Blocks
from .certificate import Certificate, certify, gather, probe, rounding_bounds

_CHUNK = 2**26  # entries of W on the device at a time: 512 MB in float64


def available() -> list[str]:
    """Names of the devices on this machine, "cpu" first.

    Examples
    --------
    >>> available()[0]
    'cpu'
    """
    try:
        import torch
    except ImportError:
        return ["cpu"]
    metal = ["mps"] if torch.backends.mps.is_available() else []
    return ["cpu", *(f"cuda:{i}" for i in range(torch.cuda.device_count())), *metal]


def check_device(device: Any, method: str) -> str:
    """The name of a device that is there and has the method.

    Raises
    ------
    ValueError
        If there is none of this name, or the method does not run on it.
    """
    device = str(device)
    if device == "cpu":  # torch is not asked
        return device
    there = available()
    if device not in there and not (device == "cuda" and "cuda:0" in there):
        without = "" if there[1:] else "; others need PyTorch, and a driver that it finds"
        raise ValueError(f"device={device!r}; on this machine there is {', '.join(map(repr, there))}{without}")
    if method not in ("gram", "gram32"):
        raise ValueError(f"method={method!r} runs on device='cpu'; on {device!r} run 'gram' and 'gram32'")
    if device == "mps" and method == "gram":
        raise ValueError("method='gram' needs float64, which device='mps' has not; 'gram32' is allowed there")
    return device


def singular_values(blocks: Blocks, method: str, device: str) -> tuple[Array, Certificate]:
    """Singular values by torch on a device, and their certificate: see :meth:`Spectrum.from_matrix`.

    The sums that the certificate compares with are taken from the entries of W on the CPU, in float64.

    Raises
    ------
    MemoryError
        If the device has too little memory.
    numpy.linalg.LinAlgError
        If the solver of the device fails, or the certificate does.
    """
    import torch

    x, entries, probed = probe(blocks.M), 0.0, 0.0
    eps = float(np.finfo(np.float32 if method == "gram32" else np.float64).eps)
    try:
        gram = _gram_matrix(torch, blocks, method, device)
        for block in blocks.read():
            entries += float(np.vecdot(block, block).sum())
            probed += float(np.sum((block @ x) ** 2))

        def product(rows: Array) -> Array:
            result: Array = (torch.from_numpy(rows).to(gram.device) @ gram).cpu().numpy()
            return result

        norm = float(torch.linalg.vector_norm(gram)) ** 2
        known = gather(product, blocks.M, norm, entries, probed)
        values = torch.linalg.eigvalsh(gram).cpu().numpy()
        return np.sqrt(np.clip(values, 0, None)), certify(values, known, rounding_bounds(blocks.N, blocks.M, eps))
    except torch.OutOfMemoryError:
        need = 2 * 8 * blocks.M**2 / 1e9
        raise MemoryError(
            f"device={device!r} has too little memory for a Gram matrix of {blocks.M} x {blocks.M} and its eigenvalues "
            f"(at least {need:.2g} GB); method='top' on the CPU forms none"
        ) from None
    except torch.linalg.LinAlgError as error:
        raise np.linalg.LinAlgError(f"device={device!r}: {error}") from None


def _gram_matrix(torch: Any, blocks: Blocks, method: str, device: str) -> Any:
    """The Gram matrix in float64, on the device unless that has no float64."""
    single = method == "gram32"
    precision = torch.get_float32_matmul_precision()
    if single and precision != "highest":
        raise ValueError(
            f"method='gram32' needs torch.set_float32_matmul_precision('highest'), not {precision!r}: the others round "
            "the factors to 10 or 7 bits"
        )
    widest = torch.float32 if device == "mps" else torch.float64  # Apple's GPUs have no float64
    dtype = torch.float32 if single else torch.float64
    gram = torch.zeros((blocks.M, blocks.M), dtype=widest, device=device)
    step = max(1, _CHUNK // blocks.M)
    for i in range(0, blocks.N, step):
        rows = blocks.matrix[i : i + step]
        if (rows.dtype.name not in ("float16", "float32") and single) or rows.dtype.itemsize > 8:
            rows = (rows / blocks.scale).astype(np.float32 if single else np.float64)
            block = torch.from_numpy(rows).to(device)
        else:  # in the stored type, which is shorter, and widened there
            rows = rows.copy() if not rows.flags.writeable else np.ascontiguousarray(rows)
            block = torch.from_numpy(rows).to(device).to(dtype)
            block = block if blocks.scale == 1 else block / blocks.scale
        gram += (block.T @ block).to(widest)
        del rows, block  # before the next one
    return gram if widest == torch.float64 else gram.cpu().to(torch.float64)
