"""A product of two thin matrices -> its spectrum, from the factors."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.linalg

from .._arrays import as_real, one_blas_thread
from .spectrum import Spectrum


def spectrum_of_product(B: Any, A: Any, scale: float = 1.0, name: str = "") -> Spectrum:
    """The spectrum of ``scale`` * B A, without the product.

    With the thin factorisations B = Q_B R_B and A^T = Q_A R_A the product is Q_B (R_B R_A^T) Q_A^T. The columns of Q_B
    and Q_A are orthonormal, so B A has the singular values of the small matrix R_B R_A^T, and zeros beside them. With r
    columns in B this takes about 2 (N + M) r^2 multiplications, where B A alone takes N M r. Source: Golub & Van Loan
    (2013), Matrix Computations, sections 5.2 and 8.6.

    Parameters
    ----------
    B : array or torch tensor of shape (n, r)
    A : array or torch tensor of shape (r, m)
    scale : float, default 1.0
        A factor of the product: lora_alpha / r of an adapter.
    name : str
        Kept as ``Spectrum.name``.

    Raises
    ------
    ValueError
        If the shapes are not those of a product, or an entry or the scale is not finite.
    TypeError
        If an entry is not real.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> B, A = rng.normal(size=(300, 4)), rng.normal(size=(4, 200))
    >>> s = spectrum_of_product(B, A, 0.5)
    >>> s.rank, bool(np.allclose(s.singular_values, np.linalg.svd(0.5 * B @ A)[1][::-1], rtol=0, atol=1e-10))
    (4, True)
    """
    B, A = (np.asarray(as_real(X, which), dtype=np.float64) for X, which in ((B, "B"), (A, "A")))
    if B.ndim != 2 or A.ndim != 2 or B.shape[1] != A.shape[0] or 0 in (*B.shape, *A.shape):
        raise ValueError(f"B has shape {B.shape}, A has shape {A.shape}; n x r and r x m are needed, none of them 0")
    for which, X in (("B", B), ("A", A), ("scale", np.asarray(scale))):
        if not np.isfinite(X).all():
            raise ValueError(f"{which} holds NaN or infinite values")
    with one_blas_thread():
        R_B, R_A = (scipy.linalg.qr(X, mode="r", check_finite=False)[0][: X.shape[1]] for X in (B, A.T))
        small = R_B @ R_A.T
        values = abs(scale) * np.linalg.svd(small, compute_uv=False)
    N, M = max(B.shape[0], A.shape[1]), min(B.shape[0], A.shape[1])
    return Spectrum(np.concatenate([np.zeros(M - len(values)), values]), N, M, name=name)
