"""The resolvent of a matrix, seen through its trace: the spectrum blurred by a distance eta from the real axis."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from .._arrays import as_real
from ..spectrum import Spectrum

_BLOCK = 2**18  # terms of the sum that are held at a time


def stieltjes(x: Spectrum | npt.ArrayLike, z: Any) -> npt.NDArray[np.complex128]:
    """m(z) = (1/n) sum 1 / (x_i - z), the Stieltjes transform of n eigenvalues: tr (X - z)^-1 / n.

    At z = E + i eta, Im m(z) / pi is the density of the eigenvalues blurred by eta: each counts as a Cauchy law of
    half-width eta, eta / (pi ((x_i - E)^2 + eta^2)). The limit for large matrices is a law's own ``stieltjes(z)``, as
    of :class:`MarchenkoPastur` or :class:`Semicircle`. Without one row w of W, X becomes X - w w^T / N, and the trace
    n m(z) changes by at most 1 / eta, whatever n is (Silverstein & Bai 1995, lemma 2.6).

    Parameters
    ----------
    x : Spectrum, or array of n eigenvalues
        Of a Spectrum the eigenvalues of X = W^T W / N, zeros included.
    z : complex number or array
        Anywhere but on an eigenvalue; Im m has the sign of Im z.

    Returns
    -------
    complex array of the shape of z

    Raises
    ------
    ValueError
        If x is not a list of finite eigenvalues, or z is one of them or not finite.

    References
    ----------
    Marchenko & Pastur (1967), Math. USSR Sbornik 1, 457; Silverstein & Bai (1995), J. Multivariate Anal. 54, 175;
    Bai & Silverstein (2010), chapter 3 and appendix B.2.

    Examples
    --------
    >>> from rmt_lab.ensembles import gaussian_spectrum
    >>> from rmt_lab.laws import MarchenkoPastur
    >>> z = 1 + 0.1j
    >>> stieltjes(gaussian_spectrum(2000, 1000, rng=0), z).round(3), MarchenkoPastur(Q=2).stieltjes(z).round(3)
    (np.complex128(-0.415+1.273j), np.complex128(-0.411+1.268j))
    """
    values = as_real(x.eigenvalues if isinstance(x, Spectrum) else x, "x").astype(np.float64, copy=False)
    if values.ndim != 1 or values.size == 0 or not np.isfinite(values).all():
        raise ValueError(f"x has shape {values.shape}; a Spectrum or a list of finite eigenvalues is needed")
    z = np.asarray(z, dtype=np.complex128)
    flat, m, step = z.reshape(-1, 1), np.empty(z.size, np.complex128), max(1, _BLOCK // len(values))
    if not np.isfinite(flat).all():
        raise ValueError(f"z={z}; finite numbers are allowed")
    if np.isin(flat.real[flat.imag == 0], values).any():
        raise ValueError("z is an eigenvalue of x, where 1 / (x - z) is infinite; give z an imaginary part")
    for i in range(0, z.size, step):
        m[i : i + step] = (1 / (values - flat[i : i + step])).mean(axis=1)
    transform: npt.NDArray[np.complex128] = m.reshape(z.shape)[()]
    return transform
