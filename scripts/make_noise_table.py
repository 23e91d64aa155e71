"""Makes rmt_lab/data/noise.npz, the table that rmt_lab.verdict.noise_p reads: python scripts/make_noise_table.py

The statistic is a, the smallest alpha of all tails with D sqrt(n_tail) <= 0.69, of the eigenvalues of an N x M Gaussian
matrix. Such a tail holds the 5 to 43 largest eigenvalues, whatever the shape, and these follow the Airy process: on the
scale of their fluctuations (Johnstone 2001),

    z = ln((a - 1) s / mu),   mu = (sqrt(N-1) + sqrt(M))^2,   s = (sqrt(N-1) + sqrt(M)) (1/sqrt(N-1) + 1/sqrt(M))^(1/3),

has a law that does not depend on the shape as M grows. What is left at finite M is of the order M^(-2/3), as for the
Tracy-Widom law. So each quantile of z is fitted by

    b_0 + sum_(i=1..3, j=0..2) b_ij M^(-2i/3) (M/N)^(j/2)

over 70 shapes at once, M = 12 .. 712, Q = 1 .. 10 000, 4000 spectra each; the residuals are those of the sampling alone
(the mean squares printed are 0.8 to 1.5, but for the ends). It takes ten minutes on one core.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from scipy.special import expit

from rmt_lab.ensembles.spectra import bidiagonal_singular_values
from rmt_lab.verdict import noise_terms, smallest_alpha

TABLE = Path(__file__).parents[1] / "rmt_lab" / "data" / "noise.npz"
SIDES = dict.fromkeys((12, 16, 24, 40, 64, 104, 168, 272, 440), 4000) | {712: 2400}
RATIOS = (1, 1.3, 2, 4, 10, 100, 10_000)
LEVELS = expit(np.linspace(-np.log(999), np.log(999), 61))  # 0.001 .. 0.999


def draw(N: int, M: int, n: int, seed: int = 1) -> np.ndarray:
    """a - 1 of n Gaussian spectra, ascending."""
    rng = np.random.default_rng([seed, N, M])
    out = np.empty(n)
    for i in range(n):
        d = np.sqrt(rng.chisquare(np.arange(N, N - M, -1)))
        e = np.sqrt(rng.chisquare(np.arange(M - 1, 0, -1)))
        s = bidiagonal_singular_values(d, e, accurate=False)  # the smallest play no part
        out[i] = smallest_alpha(s[s > 0] ** 2) - 1
    return np.sort(out)


def fit(samples: dict[tuple[int, int], np.ndarray]) -> np.ndarray:
    """The coefficients b, one column a level, by least squares weighted with the error of each quantile."""
    scales, terms = zip(*(noise_terms(N, M) for N, M in samples), strict=True)
    z = [np.log(a * scale) for a, scale in zip(samples.values(), scales, strict=True)]
    n = np.array([len(a) for a in z])
    columns = []
    for level in LEVELS:
        quantile = np.array([np.quantile(a, level, method="weibull") for a in z])
        h = 0.3 * min(level, 1 - level)
        near = np.median([np.subtract(*np.quantile(a, [level + h, level - h])) for a in z])
        error = np.sqrt(level * (1 - level) / n) * near / (2 * h)
        b, *_ = np.linalg.lstsq(np.array(terms) / error[:, None], quantile / error, rcond=None)
        residual = (quantile - np.array(terms) @ b) / error
        columns.append(b)
        print(f"level {level:.4f}: limit {b[0]:.4f}, mean square {residual @ residual / (len(z) - len(b)):.2f}")
    return np.array(columns).T


def main() -> None:
    samples = {(round(M * Q), M): draw(round(M * Q), M, n) for M, n in SIDES.items() for Q in RATIOS}
    np.savez_compressed(TABLE, levels=LEVELS, coefficients=fit(samples))
    print(f"{TABLE.name}: {TABLE.stat().st_size} bytes")


if __name__ == "__main__":
    main()
