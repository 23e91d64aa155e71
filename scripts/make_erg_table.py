"""Makes rmt_lab/data/erg.npz, the table that rmt_lab.tails.erg.erg_p reads: python scripts/make_erg_table.py

For N x M Gaussian matrices, with the power law of the usual search: E, the number of eigenvalues in the ERG tail, and
the reach E - |gap|, which is the number of eigenvalues in the power law unless that is longer than E. E hardly varies
from draw to draw. The reach does, and grows with M. Fitted over 40 shapes at once, with L = ln(M/100), r = sqrt(M/N):

    E/M              by 1/M and powers of r up to 5 (its limit, an integral over the Marchenko-Pastur law, is tested)
    quantiles of ln(reach)    by 1, L, L^2, L^3, r, r^2, L r

It takes some three minutes on one core. The residuals printed are in standard errors of the sampled quantiles: mean
squares of 0.6 to 1.8 from 0.007 to 0.996. Beyond, 200 draws of the largest matrices are too few to tell. Without L^3
they are up to 4 above 0.9, since the reach of 2048 eigenvalues is then too small.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from scipy.special import expit

from rmt_lab.ensembles.spectra import bidiagonal_singular_values
from rmt_lab.tails import fit_power_law
from rmt_lab.tails.erg import count_erg, noise_terms

TABLE = Path(__file__).parents[1] / "rmt_lab" / "data" / "erg.npz"
SIDES = {16: 2000, 32: 2000, 64: 2000, 128: 2000, 256: 1000, 512: 700, 1024: 400, 2048: 200}
RATIOS = (1, 1.5, 2.5, 5, 20)
LEVELS = expit(np.linspace(-np.log(499), np.log(499), 41))  # 0.002 .. 0.998


def draw(N: int, M: int, n: int, seed: int = 1) -> np.ndarray:
    """E and reach of n Gaussian spectra."""
    rng = np.random.default_rng([seed, N, M])
    out = np.empty((n, 2))
    for i in range(n):
        d = np.sqrt(rng.chisquare(np.arange(N, N - M, -1)))
        e = np.sqrt(rng.chisquare(np.arange(M - 1, 0, -1)))
        s = bidiagonal_singular_values(d, e, accurate=False)  # the smallest play no part
        x = s[s > 0] ** 2
        E = count_erg(x)
        out[i] = E, E - abs(fit_power_law(x).n_tail - E)
    return out


def fit(samples: dict[tuple[int, int], np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """The coefficients of E/M, and those of the quantiles, one column a level, weighted by the errors of sampling."""
    counts, reaches = zip(*(noise_terms(N, M) for N, M in samples), strict=True)
    share = np.array([out[:, 0].mean() / M for (_, M), out in samples.items()])
    M = np.array([M for _, M in samples])
    by_share, *_ = np.linalg.lstsq(np.array(counts) * M[:, None], share * M, rcond=None)
    print("E: largest residual", np.abs((np.array(counts) @ by_share - share) * M).max())
    n = np.array([len(out) for out in samples.values()])
    columns = []
    for level in LEVELS:
        # a count k stands for k - 0.5 .. k + 0.5: what lies at or above a count lies above the half below it
        rng = np.random.default_rng(0)
        z = [np.log(np.maximum(out[:, 1] + rng.uniform(-0.5, 0.5, len(out)), 0.5)) for out in samples.values()]
        quantile = np.array([np.quantile(a, level, method="weibull") for a in z])
        h = 0.3 * min(level, 1 - level)
        near = np.array([np.subtract(*np.quantile(a, [level + h, level - h])) for a in z])
        error = np.sqrt(level * (1 - level) / n) * np.median(near) / (2 * h)
        b, *_ = np.linalg.lstsq(np.array(reaches) / error[:, None], quantile / error, rcond=None)
        residual = (quantile - np.array(reaches) @ b) / error
        columns.append(b)
        print(f"level {level:.4f}: mean square {residual @ residual / (len(z) - len(b)):.2f}")
    return by_share, np.array(columns).T


def main() -> None:
    samples = {(round(M * Q), M): draw(round(M * Q), M, n) for M, n in SIDES.items() for Q in RATIOS}
    share, quantiles = fit(samples)
    np.savez_compressed(TABLE, levels=LEVELS, share=share, quantiles=quantiles)
    print(f"{TABLE.name}: {TABLE.stat().st_size} bytes")


if __name__ == "__main__":
    main()
