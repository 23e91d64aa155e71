"""What a signal does to a noise spectrum: the BBP transition, the outlier's position, its vectors, and the way back.

Two models, W of N rows and M columns with noise of standard deviation sigma, eigenvalues those of X = W^T W / N, and
c = M/N:

* low-rank signal: W = noise + sum theta_k u_k v_k^T, theta_k the singular values of the signal on the scale of W
  (Benaych-Georges & Nadakuditi 2012), functions ``spike_...``;
* spiked covariance: independent rows whose covariance has eigenvalues sigma^2 but for a few ell_k > sigma^2 (Baik, Ben
  Arous & Peche 2005; Paul 2007; Benaych-Georges & Nadakuditi 2011), functions ``covariance_...``.

With the excess d = theta^2 / N in the first and d = ell - sigma^2 in the second both have an eigenvalue at

    lambda = (d + sigma^2) (d + c sigma^2) / d      for d > sqrt(c) sigma^2

and none beyond the edge otherwise. All are limits as N, M -> infinity: at a finite size an outlier strays from its
place by the order of N^(-1/2), noise alone from its edge by the order of N^(-2/3) (:mod:`rmt_lab.laws.tracy_widom`).
All functions act elementwise, and raise ``ValueError`` if a size, Q or sigma is not positive or a strength negative.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from .._arrays import Array, as_real


def spike_threshold(N: int, M: int, sigma: float = 1.0) -> float:
    """The strength theta_c = sigma (N M)^(1/4) above which a signal leaves the noise, on the scale of W.

    Examples
    --------
    >>> spike_threshold(N=1600, M=100)
    20.0
    """
    _check(N=N, M=M, sigma=sigma)
    return float(sigma * np.sqrt(np.sqrt(float(N) * float(M))))  # as floats: numpy's small integers overflow


def spike_eigenvalue(theta: npt.ArrayLike, N: int, M: int, sigma: float = 1.0) -> Array:
    """The eigenvalue of X = W^T W / N that a signal of strength theta makes; the upper edge up to the threshold.

    lambda = (theta^2 + N sigma^2) (theta^2 + M sigma^2) / (N theta^2); theta >= 0 is a singular value of the signal on
    the scale of W, whose own outlier is sqrt(N lambda). Source: Benaych-Georges & Nadakuditi (2012), section 3.1.

    Examples
    --------
    >>> spike_eigenvalue([0.0, 20.0, 40.0], N=1600, M=100)
    array([1.5625, 1.5625, 2.125 ])
    """
    return _eigenvalue(_signal_excess(theta, N, M, sigma), M / N, sigma)


def spike_strength(eigenvalue: npt.ArrayLike, N: int, M: int, sigma: float = 1.0) -> Array:
    """The strength theta, on the scale of W, of the signal behind an eigenvalue of X = W^T W / N seen beyond the edge.

    The inverse of :func:`spike_eigenvalue`; NaN for an eigenvalue below the edge, which tells only theta <= theta_c.

    Examples
    --------
    >>> spike_strength([1.0, 2.125], N=1600, M=100)
    array([nan, 40.])
    """
    _check(N=N, M=M, sigma=sigma)
    return np.sqrt(N * _excess(eigenvalue, M / N, sigma))


def spike_overlaps(theta: npt.ArrayLike, N: int, M: int, sigma: float = 1.0) -> tuple[Array, Array]:
    """Squared overlaps <u, u_W>^2 (left, N entries) and <v, v_W>^2 (right, M entries) of the signal's vectors with W's.

    With d = theta^2 / N and c = M / N: left 1 - sigma^2 (d + c sigma^2) / (d (d + sigma^2)) and right
    1 - c sigma^2 (d + sigma^2) / (d (d + c sigma^2)); both 0 up to the threshold. The longer vector is the harder one.
    Source: Benaych-Georges & Nadakuditi (2012), section 3.1.

    Examples
    --------
    >>> left, right = spike_overlaps([20.0, 40.0], N=1600, M=100)
    >>> left, right.round(4)
    (array([0.     , 0.46875]), array([0.    , 0.8824]))
    """
    d, c, s2 = _signal_excess(theta, N, M, sigma), M / N, sigma**2
    d = np.maximum(d, np.sqrt(c) * s2)
    return np.clip(1 - s2 * (d + c * s2) / (d * (d + s2)), 0, 1), _right_overlap(d, c, s2)


def covariance_threshold(Q: float, sigma: float = 1.0) -> float:
    """The population eigenvalue sigma^2 (1 + 1/sqrt(Q)) above which a spike leaves the bulk (Baik et al. 2005).

    Examples
    --------
    >>> covariance_threshold(Q=4)
    1.5
    """
    _check(Q=Q, sigma=sigma)
    return float(sigma**2 * (1 + 1 / np.sqrt(Q)))


def covariance_eigenvalue(ell: npt.ArrayLike, Q: float, sigma: float = 1.0) -> Array:
    """The eigenvalue of X = W^T W / N that a population eigenvalue ell makes; the upper edge up to the threshold.

    lambda = ell (1 + (sigma^2 / Q) / (ell - sigma^2)); ell is on the scale of X. Spikes below the bulk, ell <
    sigma^2 (1 - 1/sqrt(Q)), are not treated. Source: Baik, Ben Arous & Peche (2005); Paul (2007), theorem 2.

    Examples
    --------
    >>> covariance_eigenvalue([1.5, 3.0], Q=4)
    array([2.25 , 3.375])
    """
    return _eigenvalue(_covariance_excess(ell, Q, sigma), 1 / Q, sigma)


def covariance_strength(eigenvalue: npt.ArrayLike, Q: float, sigma: float = 1.0) -> Array:
    """The population eigenvalue ell behind an eigenvalue of X = W^T W / N beyond the edge; NaN below the edge.

    The inverse of :func:`covariance_eigenvalue`.

    Examples
    --------
    >>> covariance_strength([2.0, 3.375], Q=4)
    array([nan,  3.])
    """
    _check(Q=Q, sigma=sigma)
    return sigma**2 + _excess(eigenvalue, 1 / Q, sigma)


def covariance_overlaps(ell: npt.ArrayLike, Q: float, sigma: float = 1.0) -> tuple[Array, Array]:
    """Squared overlaps of W's outlying singular vectors: left with the true scores W v, right with the eigenvector v.

    With d = ell - sigma^2: left 1 - sigma^4 / (Q d^2) and right the same over 1 + sigma^2 / (Q d); both 0 up to the
    threshold. Source: Paul (2007), theorem 4 (right); Benaych-Georges & Nadakuditi (2011), theorem 2.2, with W W^T as
    noise plus the scores (left).

    Examples
    --------
    >>> left, right = covariance_overlaps(3.0, Q=4)
    >>> float(left), float(right.round(4))
    (0.9375, 0.8333)
    """
    d, c, s2 = _covariance_excess(ell, Q, sigma), 1 / Q, sigma**2
    d = np.maximum(d, np.sqrt(c) * s2)
    return np.clip(1 - c * (s2 / d) ** 2, 0, 1), _right_overlap(d, c, s2)


def shrink(singular_values: npt.ArrayLike, N: float, M: float, sigma: float = 1.0) -> Array:
    """Singular values of W shrunk to those that estimate the signal with the least squared error.

    s -> sqrt((s^2 - sigma^2 (N + M))^2 - 4 sigma^4 N M) / s beyond the noise edge sigma (sqrt(N) + sqrt(M)), else 0. In
    the limit that is theta times the product of the two cosines, the best that W's own singular vectors allow. Source:
    Gavish & Donoho (2017), Frobenius loss.

    Examples
    --------
    >>> shrink([10.0, 50.0, 100.0], N=400, M=400).round(2)
    array([ 0.  , 30.  , 91.65])
    """
    _check(N=N, M=M, sigma=sigma)
    N, M = float(N), float(M)
    s = np.asarray(singular_values, dtype=np.float64)
    unit = s.max(initial=0.0) or 1.0  # fourth powers of 1e150 overflow
    s, level = s / unit, sigma / unit
    noise = s <= level * (np.sqrt(N) + np.sqrt(M))
    squared = (s**2 - level**2 * (N + M)) ** 2 - 4 * level**4 * N * M
    return unit * np.sqrt(np.where(noise, 0, np.clip(squared, 0, None))) / np.where(noise, 1, s)


def hard_threshold(N: float, M: float, sigma: float = 1.0) -> float:
    """The singular value of W from which on a component, kept as it is, brings W nearer to the signal than without it.

    sigma sqrt(2 (N + M) + 8 N M / (N + M + sqrt(N^2 + 14 N M + M^2))), which is (4/sqrt(3)) sqrt(N) sigma for N = M.
    Source: Gavish & Donoho (2014).

    Examples
    --------
    >>> round(hard_threshold(100, 100), 2), round(40 / 3**0.5, 2)
    (23.09, 23.09)
    """
    _check(N=N, M=M, sigma=sigma)
    N, M = float(N), float(M)  # numpy's small integers overflow
    return float(sigma * np.sqrt(2 * (N + M) + 8 * N * M / (N + M + np.sqrt(N**2 + 14 * N * M + M**2))))


def denoise(W: Any, sigma: float) -> Array:
    """The low-rank signal in W, estimated: W with its singular values through :func:`shrink`.

    Parameters
    ----------
    W : array or torch tensor of shape (N, M), either orientation
    sigma : float
        Standard deviation of the noise entries, for instance ``fit_bulk(Spectrum.from_matrix(W)).sigma_mp``.

    Raises
    ------
    ValueError
        If W is not two-dimensional or holds NaN or infinite entries, or sigma is not positive.

    Examples
    --------
    >>> from rmt_lab.ensembles import gaussian
    >>> noise, signal = gaussian(300, 200, rng=0), np.full((300, 200), 0.5)
    >>> W = signal + noise
    >>> np.linalg.norm(W - signal).round(1), np.linalg.norm(denoise(W, sigma=1.0) - signal).round(1)
    (np.float64(245.0), np.float64(23.5))
    """
    W = np.asarray(as_real(W), dtype=np.float64)
    if W.ndim != 2 or not np.all(np.isfinite(W)):
        raise ValueError(f"W has shape {W.shape}; a matrix with finite entries is needed")
    U, s, Vt = np.linalg.svd(W, full_matrices=False)
    N, M = W.shape
    return np.asarray((U * shrink(s, N, M, sigma)) @ Vt)


def _check(**positive: float) -> None:
    for name, value in positive.items():
        if not 0 < value < np.inf:
            raise ValueError(f"{name}={value}; it must be positive and finite")


def _signal_excess(theta: npt.ArrayLike, N: int, M: int, sigma: float) -> Array:
    _check(N=N, M=M, sigma=sigma)
    theta = np.asarray(theta, dtype=np.float64)
    if np.any(theta < 0):
        raise ValueError(f"theta={theta}; the strength of a signal is a singular value, >= 0")
    return theta**2 / N


def _covariance_excess(ell: npt.ArrayLike, Q: float, sigma: float) -> Array:
    _check(Q=Q, sigma=sigma)
    ell = np.asarray(ell, dtype=np.float64)
    if np.any(ell < 0):
        raise ValueError(f"ell={ell}; an eigenvalue of a covariance is >= 0")
    return ell - sigma**2


def _eigenvalue(d: Array, c: float, sigma: float) -> Array:
    s2 = sigma**2
    d = np.maximum(d, np.sqrt(c) * s2)  # where the formula gives the edge
    return (d + s2) * (d + c * s2) / d


def _excess(eigenvalue: npt.ArrayLike, c: float, sigma: float) -> Array:
    """The larger root d of d^2 - (lambda - (1 + c) sigma^2) d + c sigma^4 = 0; NaN where it is complex."""
    x = np.asarray(eigenvalue, dtype=np.float64) / sigma**2
    above, below = x - (1 + np.sqrt(c)) ** 2, x - (1 - np.sqrt(c)) ** 2
    root = np.sqrt(np.where(above >= 0, above * below, np.nan))
    return sigma**2 * (x - 1 - c + root) / 2


def _right_overlap(d: Array, c: float, s2: float) -> Array:
    return np.clip((d**2 - c * s2**2) / (d * (d + c * s2)), 0, 1)
