"""Makes rmt_lab/data/tracy_widom.npz, the table that rmt_lab.laws.tracy_widom reads: python scripts/make_tracy_widom.py

The distributions are Fredholm determinants of one integral operator on (0, inf) with the symmetric kernel
B_s(x, y) = Ai(x + y + s):

    F1(s) = det(1 - B_s)                     Ferrari & Spohn (2005), J. Phys. A 38, L557
    F2(s) = det(1 - B_s) det(1 + B_s)        since B_s^2 is the Airy kernel on (s, inf)

and a determinant of a smooth kernel is that of its Gauss-Legendre discretisation, up to an error that falls
exponentially with the number of nodes (Bornemann 2010, Math. Comp. 79, 871).

Kept are Chebyshev coefficients of F on [-7.5, 2] (beta = 1) and [-6.5, 2] (beta = 2), where F is an entire function,
and of log(1 - F) + (2 beta/3) s^(3/2) + (3 beta/4) log(s) as a function of s^(-3/2) for s >= 2, which varies little.
Below, the library takes the asymptotic expansion.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.polynomial import chebyshev
from scipy.special import airy

TABLE = Path(__file__).parents[1] / "rmt_lab" / "data" / "tracy_widom.npz"
BODY = {1: (-7.5, 2.0), 2: (-6.5, 2.0)}
TAIL = {1: (2.0, 100.0), 2: (2.0, 60.0)}  # 1 - F falls to 1e-292 and 1e-272
NODES, WEIGHTS = np.polynomial.legendre.leggauss(60)


def log_cdf(s: float) -> dict[int, float]:
    """log F1(s) and log F2(s), to full relative accuracy where F is close to 1."""
    end = (max(s, 0.0) ** 1.5 + 45) ** (2 / 3) - s  # Ai(end + s) has fallen by e^-30, and enters squared
    x, w = (NODES + 1) * end / 2, np.sqrt(WEIGHTS * end / 2)
    b = np.linalg.eigvalsh(w[:, None] * airy(x[:, None] + x + s)[0] * w)
    return {1: float(np.log1p(-b).sum()), 2: float(np.log1p(-(b**2)).sum())}


def coefficients(f, low: float, high: float, noise: float) -> np.ndarray:
    """Chebyshev coefficients of f on [low, high], without the last ones, below the given noise."""
    c = chebyshev.chebinterpolate(lambda t: np.array([f(low + (t_i + 1) * (high - low) / 2) for t_i in t]), 63)
    return c[: np.flatnonzero(np.abs(c) > noise)[-1] + 1]


def moments(beta: int) -> tuple[float, float]:
    """Mean and variance: integrals of 1 - F over (0, 30) and of F over (-12, 0), by parts."""
    right, left = (NODES + 1) * 15, (NODES - 1) * 6
    sf = np.array([-np.expm1(log_cdf(s)[beta]) for s in right]) * WEIGHTS * 15
    cdf = np.array([np.exp(log_cdf(s)[beta]) for s in left]) * WEIGHTS * 6
    mean = sf.sum() - cdf.sum()
    return float(mean), float(2 * (right @ sf - left @ cdf) - mean**2)


def main() -> None:
    table = {}
    for beta in (1, 2):

        def scaled_log_sf(y: float, beta: int = beta) -> float:
            s = y ** (-2 / 3)
            log_sf = np.log(-np.expm1(log_cdf(s)[beta]))
            return float(log_sf + 2 * beta / 3 * s**1.5 + 3 * beta / 4 * np.log(s))

        near, far = TAIL[beta]
        table[f"body{beta}"] = coefficients(lambda s, beta=beta: np.exp(log_cdf(s)[beta]), *BODY[beta], 3e-15)
        table[f"tail{beta}"] = coefficients(scaled_log_sf, far**-1.5, near**-1.5, 3e-13)
        table[f"body_range{beta}"] = np.array(BODY[beta])
        table[f"tail_range{beta}"] = np.array([far, near]) ** -1.5
        table[f"moments{beta}"] = np.array(moments(beta))
    np.savez_compressed(TABLE, **table)
    print(f"{TABLE.name}: {TABLE.stat().st_size} bytes,", {k: v.size for k, v in table.items()})


if __name__ == "__main__":
    main()
