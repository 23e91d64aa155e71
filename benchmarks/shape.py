"""alpha depends on the shape of the matrix: a fixed population, sampled at several aspect ratios.

    python -m benchmarks.shape

Populations of M = 400 Pareto quantiles of exponent 2.5, 3.5 and 5; W = Z diag(population)^(1/2), N = Q M rows. Beside,
Hill's exponent (upper half) of pure Gaussian noise. Medians of 40 matrices; fixed seeds.
"""

from __future__ import annotations

import numpy as np

from rmt_lab.ensembles import gaussian_spectrum
from rmt_lab.tails import fit_power_law, hill
from rmt_lab.tails.bootstrap import log_wishart

M = 400
RATIOS = (1, 1.5, 4, 16, 100)
DRAWS = 40


def sampled_alpha(alpha: float, Q: float, draws: int = DRAWS) -> float:
    """Median alpha of the spectra of matrices whose population has quantiles of a power law."""
    quantiles = (np.arange(M) + 0.5) / M
    population = -np.log1p(-quantiles) / (alpha - 1)  # logarithms, ascending
    logs = log_wishart(population, round(Q * M), draws, np.random.default_rng(0))
    return float(np.median([fit_power_law(np.exp(row)).alpha for row in logs]))


def main() -> None:
    print("Median alpha of spectra of a fixed Pareto population, M = 400, and Hill's alpha of noise")
    print(f"{'population':>12}", *(f"Q = {Q:<6g}" for Q in RATIOS))
    for alpha in (2.5, 3.5, 5.0):
        print(f"{alpha:12g}", *(f"{sampled_alpha(alpha, Q):<10.2f}" for Q in RATIOS))
    rng = np.random.default_rng(0)
    noise = [
        np.median([hill(gaussian_spectrum(round(Q * M), M, rng=rng).eigenvalues) for _ in range(DRAWS)]) for Q in RATIOS
    ]
    alphas = [fit_power_law(gaussian_spectrum(576, 576, rng=i).nonzero_eigenvalues).alpha for i in range(60)]
    print(f"{sum(a < 8 for a in alphas)} of 60 Gaussian matrices of 576 x 576 have alpha below 8")
    print(f"{'noise, Hill':>12}", *(f"{a:<10.2f}" for a in noise))


if __name__ == "__main__":
    main()
