"""The random matrices that training starts from: the null of "has this layer learnt anything?".

A layer is stored fan_out x fan_in, as torch stores it. Each is independent noise of one variance, so its law is
``MarchenkoPastur(Q, sigma)`` with the sigma that the docstring states; the orthogonal initialisation (Saxe, McClelland
& Ganguli 2014) is :func:`rmt_lab.ensembles.orthogonal`. All raise ``ValueError`` if a side is not a positive
integer.
"""

from __future__ import annotations

import numpy as np

from .._arrays import Array, Rng, check_shape
from .matrices import gaussian, uniform


def glorot_normal(fan_out: int, fan_in: int, rng: Rng = None) -> Array:
    """Normal entries of variance 2 / (fan_in + fan_out), of shape (fan_out, fan_in). Source: Glorot & Bengio (2010).

    Examples
    --------
    >>> glorot_normal(768, 3072, rng=0).std().round(4), round((2 / (768 + 3072)) ** 0.5, 4)
    (np.float64(0.0228), 0.0228)
    """
    return gaussian(fan_out, fan_in, _glorot_sigma(fan_out, fan_in), rng)


def glorot_uniform(fan_out: int, fan_in: int, rng: Rng = None) -> Array:
    """Uniform entries of variance 2 / (fan_in + fan_out), of shape (fan_out, fan_in). Source: Glorot & Bengio (2010).

    Examples
    --------
    >>> abs(glorot_uniform(30, 70, rng=0)).max() < (6 / (30 + 70)) ** 0.5
    np.True_
    """
    return uniform(fan_out, fan_in, _glorot_sigma(fan_out, fan_in), rng)


def he_normal(fan_out: int, fan_in: int, rng: Rng = None) -> Array:
    """Normal entries of variance 2 / fan_in, of shape (fan_out, fan_in). Source: He, Zhang, Ren & Sun (2015).

    Examples
    --------
    >>> he_normal(300, 200, rng=0).std().round(3)
    np.float64(0.1)
    """
    check_shape(N=fan_out, M=fan_in)
    return gaussian(fan_out, fan_in, np.sqrt(2 / fan_in), rng)


def he_uniform(fan_out: int, fan_in: int, rng: Rng = None) -> Array:
    """Uniform entries of variance 2 / fan_in, of shape (fan_out, fan_in). Source: He, Zhang, Ren & Sun (2015).

    Examples
    --------
    >>> abs(he_uniform(300, 200, rng=0)).max() < (6 / 200) ** 0.5
    np.True_
    """
    check_shape(N=fan_out, M=fan_in)
    return uniform(fan_out, fan_in, np.sqrt(2 / fan_in), rng)


def gpt2(fan_out: int, fan_in: int, n_layer: int | None = None, rng: Rng = None) -> Array:
    """Normal entries of standard deviation 0.02, of shape (fan_out, fan_in); BERT starts from the same.

    With n_layer, the number of blocks, it is 0.02 / sqrt(2 n_layer): for the two projections of each block that write
    to the residual stream (both named c_proj), so that the stream's variance does not grow with depth. Source: Radford
    et al. (2019), section 2.3.

    Raises
    ------
    ValueError
        If n_layer is not a positive integer.

    Examples
    --------
    >>> gpt2(768, 3072, n_layer=12, rng=0).std().round(5), gpt2(3072, 768, rng=0).std().round(4)
    (np.float64(0.00408), np.float64(0.02))
    """
    if n_layer is not None and (n_layer != int(n_layer) or n_layer < 1):
        raise ValueError(f"n_layer={n_layer}; the number of blocks is a positive integer")
    return gaussian(fan_out, fan_in, 0.02 / np.sqrt(2 * n_layer) if n_layer else 0.02, rng)


def _glorot_sigma(fan_out: int, fan_in: int) -> float:
    check_shape(N=fan_out, M=fan_in)
    return float(np.sqrt(2 / (fan_in + fan_out)))
