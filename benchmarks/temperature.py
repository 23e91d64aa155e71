"""Levels at any temperature: spacings, density and tails of the beta-Laguerre ensemble, beside what theory says.

    python -m benchmarks.temperature    twenty seconds on one core

Fixed seeds. Prints the tables of docs/temperature.md.
"""

from __future__ import annotations

import numpy as np
from scipy import stats
from scipy.special import gamma

from rmt_lab.ensembles import gaussian_spectrum, laguerre_spectrum
from rmt_lab.laws import (
    HighTemperatureMarchenkoPastur,
    InverseHighTemperatureMarchenkoPastur,
    MarchenkoPastur,
)
from rmt_lab.laws.spacings import (
    SpacingLaw,
    mean_ratio,
    number_variance,
    spacing_ratios,
    spacings,
    window_counts,
)
from rmt_lab.tails import fit_power_law, hill

M, DRAWS = 300, 30
BETAS = (0.1, 0.2, 0.3, 0.5, 0.8, 1.0, 1.5, 2.0, 4.0)
LAWS = ((2.0, 0.5), (1.5, 3.0), (4.0, 10.0), (1.0, 2.0))  # Q, c
REPULSIONS, SIZES = (0.1, 0.5, 1.0, 2.0, 4.0), (75, 600)  # of the table of moments and edges
ENDS = ((2.0, 0.5), (3.0, 0.5), (2.0, 1.0), (3.0, 1.0))  # Q, c
SHARES = (10, 100, 1000)  # one value in so many is taken as an end
TAILS = ((2.0, 0.5), (3.0, 0.5), (2.0, 1.0), (3.0, 1.0), (2.0, 2.0), (3.0, 2.0), (2.0, 4.0))


def spectra(Q: float, c: float, draws: int, seed: int) -> list[np.ndarray]:
    """Eigenvalues of several matrices of repulsion 2 c / M."""
    rng = np.random.default_rng(seed)
    return [laguerre_spectrum(round(Q * M), M, 2 * c / M, rng=rng).eigenvalues for _ in range(draws)]


def wigner(beta: float) -> stats.rv_continuous:
    """a s^beta exp(-b s^2) of mean 1."""
    shape = (beta + 1) / 2
    return stats.gengamma(a=shape, c=2, scale=gamma(shape) / gamma(shape + 0.5))


def levels(beta: float) -> str:
    """A row about the spacings at one beta."""
    law, width = HighTemperatureMarchenkoPastur(2.0, beta * M / 2), 10
    drawn = spectra(2.0, beta * M / 2, DRAWS, 0)
    s = np.concatenate([spacings(x[30:-30], law) for x in drawn])
    r = np.concatenate([spacing_ratios(x[30:-30]) for x in drawn])
    counts = np.concatenate([window_counts(x, width, law) for x in drawn])
    theory = SpacingLaw(beta)
    surmise = stats.kstest(s, wigner(beta).cdf).statistic
    figures = [
        f"{s.std():.3f} ({theory.var() ** 0.5:.3f})",
        f"{np.mean(s < 0.25):.1%} ({theory.cdf(0.25):.1%})",
        f"{stats.kstest(s, theory.cdf).statistic:.3f}",
        f"{surmise:.3f}",
        f"{r.mean():.3f} ({mean_ratio(beta):.3f})",
        f"{np.mean((counts - width) ** 2):.2f} ({number_variance(width, beta):.2f})",
    ]
    return f"| {beta:g} | " + " | ".join(figures) + " |"


def density(Q: float, c: float) -> str:
    """A row about the density: KS distances in units of 1 / sqrt(n), of its law and of others."""
    x = np.concatenate(spectra(Q, c, DRAWS, 1))
    x = x[x > 0]
    others = (HighTemperatureMarchenkoPastur(Q, c), HighTemperatureMarchenkoPastur(Q, 2 * c), MarchenkoPastur(Q))
    distances = [stats.kstest(x, law.cdf).statistic * len(x) ** 0.5 for law in others]
    return f"| {Q:g} | {c:g} | " + " | ".join(f"{d:.2f}" for d in distances) + " |"


def bounds(beta: float) -> str:
    """A row about moments and edges at one fixed beta: the second moment is exact, the edges are those of M -> inf."""
    figures = []
    for size in SIZES:
        rng = np.random.default_rng(4)
        x = np.array([laguerre_spectrum(2 * size, size, beta, rng=rng).eigenvalues for _ in range(DRAWS)])
        exact = 1 + (size - 1) / (2 * size) + 1 / (beta * size)
        square = (x**2).mean(axis=1)
        error = square.std() / DRAWS**0.5
        low, high = x[:, 0].mean(), x[:, -1].mean()
        figures.append(f"{x.mean():.3f} | {square.mean():.4f} ± {error:.4f} ({exact:.4f}) | {low:.3f}, {high:.3f}")
    return f"| {beta:g} | " + " | ".join(figures) + " |"


def ends(Q: float, c: float) -> str:
    """A row about the ends of x: a power at the lower one, whose exponent settles; none at the upper one."""
    x = np.concatenate(spectra(Q, c, 4 * DRAWS, 2))
    lower = HighTemperatureMarchenkoPastur(Q, c).lower_exponent
    below = [hill(1 / x, len(x) // share) - 2 for share in SHARES]
    above = [hill(x, len(x) // share) for share in SHARES]
    figures = [
        f"{found:.2f} ± {(found + 1) / (len(x) // share) ** 0.5:.2f}"
        for found, share in zip(below, SHARES, strict=True)
    ]
    figures += [f"{found:.1f}" for found in above]
    return f"| {Q:g} | {c:g} | {lower:g} | " + " | ".join(figures) + " |"


def tails(Q: float, c: float) -> str:
    """A row about the exponent of the inverse: pooled by Hill, and of single matrices by the search for xmin."""
    drawn = spectra(Q, c, 4 * DRAWS, 2)
    pooled = np.concatenate(drawn)
    k = len(pooled) // 100
    alpha = InverseHighTemperatureMarchenkoPastur(Q, c).alpha
    single = [fit_power_law(1 / x).alpha for x in drawn[:DRAWS]]
    low, middle, high = np.quantile(single, [0.1, 0.5, 0.9])
    found = hill(1 / pooled, k)
    each = f"{middle:.2f} ({low:.2f} to {high:.2f})"
    return f"| {Q:g} | {c:g} | {alpha:.2f} | {found:.2f} ± {(found - 1) / k**0.5:.2f} | {each} |"


def cold_tails() -> str:
    """The same search on the inverse of Gaussian noise, which has an edge and no tail."""
    found = []
    for Q in (2.0, 3.0):
        rng = np.random.default_rng(3)
        single = [
            fit_power_law(1 / gaussian_spectrum(round(Q * M), M, rng=rng).eigenvalues).alpha for _ in range(DRAWS)
        ]
        found.append(f"{np.median(single):.2f} at Q = {Q:g}")
    return "Inverse of Gaussian noise (beta = 1), median alpha of single matrices: " + ", ".join(found)


def main() -> None:
    print(f"Levels, Q = 2, M = {M}, {DRAWS} matrices; in parentheses the law\n")
    print("| beta | std of spacings | below 0.25 | KS, this law | KS, Wigner's surmise | mean ratio | variance of 10 |")
    print("|" + " ---: |" * 7)
    for beta in BETAS:
        print(levels(beta), flush=True)
    print(f"\nDensity, M = {M}, {DRAWS} matrices: KS distance times sqrt(n) (independent values: 1.36 in 5 %)\n")
    print("| Q | c | its law | law of 2c | Marchenko-Pastur |\n| ---: | ---: | ---: | ---: | ---: |")
    for Q, c in LAWS:
        print(density(Q, c), flush=True)
    sizes = " and ".join(f"M = {size}" for size in SIZES)
    print(f"\nMoments and edges, Q = 2, {sizes}, {DRAWS} matrices each; in parentheses the exact value")
    print(f"Edges of M -> inf: {', '.join(f'{edge:.3f}' for edge in MarchenkoPastur(2.0).support())}\n")
    print("| beta |" + "".join(f" mean of x, M = {m} | of x^2 | smallest, largest |" for m in SIZES))
    print("|" + " ---: |" * 7)
    for beta in REPULSIONS:
        print(bounds(beta), flush=True)
    print(f"\nEnds of x, M = {M}, {4 * DRAWS} matrices: exponent at 0, and Hill's alpha at the upper end\n")
    print("| Q | c | c (Q - 1) - 1 | lowest 10 % | 1 % | 0.1 % | alpha, highest 10 % | 1 % | 0.1 % |")
    print("|" + " ---: |" * 9)
    for Q, c in ENDS:
        print(ends(Q, c), flush=True)
    print(f"\nInverse, M = {M}: exponent alpha of the upper tail\n")
    print("| Q | c | 1 + c (Q - 1) | Hill, top 1 % of 120 matrices | one matrix, median (10 to 90 %) |")
    print("| ---: | ---: | ---: | ---: | ---: |")
    for Q, c in TAILS:
        print(tails(Q, c), flush=True)
    print("\n" + cold_tails())


if __name__ == "__main__":
    main()
