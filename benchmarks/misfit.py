"""How badly do true power laws fit? Quantiles of the misfit D sqrt(n), which ``rmt_lab.tails.search.MISFIT`` holds.

    python -m benchmarks.misfit

Independent values, n = 500, 200 000 samples; xmin searched among all values, or given.
"""

from __future__ import annotations

import numpy as np

from rmt_lab.tails import fit_power_law
from rmt_lab.tails._batch import refit
from rmt_lab.tails.search import MISFIT

N_TAIL = 500


def quantiles(kind: str, samples: int, seed: int = 0) -> dict[float, float]:
    """Quantiles of D sqrt(n_tail) of Pareto samples, for a searched or a given xmin, at the levels of the table."""
    rng = np.random.default_rng(seed)
    pareto = np.exp(rng.standard_exponential(N_TAIL))
    fit = fit_power_law(pareto, xmin=1.0 if kind == "given" else None)
    found = refit(lambda k: np.sort(rng.standard_exponential((k, N_TAIL)), axis=1), samples, fit).scaled_D
    return {level: float(np.quantile(found, level)) for level in MISFIT[kind]}


def main() -> None:
    for kind in MISFIT:
        found = quantiles(kind, 200_000)
        print(
            f"xmin {kind:9}",
            *(f"{level:.0%} {value:.3f} (table {MISFIT[kind][level]})" for level, value in found.items()),
        )


if __name__ == "__main__":
    main()
