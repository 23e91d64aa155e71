"""Does steering by alpha help? All tables of docs/steering.md.

    python -m benchmarks.steering           the tables, some seconds
    python -m benchmarks.steering --write   the same into the page

What scripts/steer.py recorded (rmt_lab/data/steering/), seed by seed. A seed is the unit: draws of a random method are
averaged first, and every method is compared with the uniform one on the same seed. The prose of the page stands in it;
what lies between its two marks is written anew.
"""

from __future__ import annotations

import itertools
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.stats import spearmanr, t

from rmt_lab.ensembles import gaussian_spectrum
from rmt_lab.tails import hill
from rmt_lab.trainings.steering import steering

from . import pages
from .pages import DOCS, table

PAGE = DOCS / "steering.md"

Array = npt.NDArray[np.float64]


class Difference(NamedTuple):
    """A mean over seeds, its 95 % interval by Student's t, and the p-value of the exact sign-flip test."""

    mean: float
    low: float
    high: float
    p: float
    below: int
    seeds: int

    def __str__(self) -> str:
        mark = "" if self.low <= 0 <= self.high else "**"
        return f"{mark}{self.mean:+.4f}{mark} ({self.low:+.4f} to {self.high:+.4f})"


def difference(x: npt.ArrayLike) -> Difference:
    """Of one difference for every seed: is its mean 0?

    The sign-flip test takes the share of the 2^n assignments of signs whose mean is at least as far from 0. For five
    seeds it cannot be below 2/32.

    Examples
    --------
    >>> print(difference([0.1, 0.2, 0.3, 0.2, 0.2]))
    **+0.2000** (+0.1122 to +0.2878)
    >>> difference([0.1, 0.2, 0.3, 0.2, 0.2]).p
    0.0625
    """
    d = np.asarray(x, dtype=np.float64)
    n, mean = len(d), d.mean()
    half = t.ppf(0.975, n - 1) * d.std(ddof=1) / n**0.5
    flipped = np.array(list(itertools.product((1, -1), repeat=n))) @ d / n
    p = float(np.mean(np.abs(flipped) >= abs(mean) * (1 - 1e-9)))
    return Difference(float(mean), float(mean - half), float(mean + half), p, int((d < 0).sum()), n)


def by_seed(results: pd.DataFrame, column: str = "test_loss") -> pd.DataFrame:
    """A row for every seed, a column for every method; draws are averaged."""
    return results.pivot_table(index="seed", columns="method", values=column, aggfunc="mean")


def compared(results: pd.DataFrame, order: list[str], base: str) -> list[list[str]]:
    """A row for every method: its loss, and the difference to another method on the same seeds."""
    losses, rows = by_seed(results), []
    for method in order:
        row = [method, f"{losses[method].mean():.4f}"]
        if method == base:
            rows.append([*row, "", "", ""])
            continue
        d = difference(losses[method] - losses[base])
        rows.append([*row, str(d), f"{d.below} of {d.seeds}", f"{d.p:.2f}"])
    return rows


def levels(results: pd.DataFrame, experiment: str) -> list[float]:
    return sorted(results.loc[results["experiment"] == experiment, "level"].unique().tolist())


def order_of(results: pd.DataFrame) -> list[str]:
    return list(dict.fromkeys(results["method"]))


def decays(results: pd.DataFrame) -> str:
    some = results[results["experiment"] == "decay"]
    train = by_seed(some, "train_loss").mean()
    rows = [[*row, f"{train[row[0]]:.4f}"] for row in compared(some, order_of(some), "uniform")]
    head = ["weight decay by", "held-out loss", "minus uniform", "seeds below uniform", "p", "training loss"]
    return table(head, rows)


def pruning(results: pd.DataFrame, sparsity: float) -> str:
    some = results[(results["experiment"] == "pruning") & (results["level"] == sparsity)]
    head = ["sparsities by", "held-out loss", "minus uniform", "seeds below uniform", "p"]
    return table(head, compared(some, order_of(some), "uniform"))


def against_chance(results: pd.DataFrame) -> str:
    """Alpha's allocation beside the same allocation to other layers."""
    rows = []
    rivals = ["inverted", "random", "random, same size", "random, same role", "shape alone"]
    rivals += ["alpha, common shape", "stable rank", "noise edge"]
    pairs = [("alpha, by block", x) for x in ("first block spared", "random, by block", "alpha")]
    pairs += [("alpha", x) for x in rivals]
    for sparsity in levels(results, "pruning"):
        losses = by_seed(results[(results["experiment"] == "pruning") & (results["level"] == sparsity)])
        for a, b in pairs:
            d = difference(losses[a] - losses[b])
            rows.append([f"{sparsity:.0%}", f"{a} minus {b}", str(d), f"{d.below} of {d.seeds}", f"{d.p:.2f}"])
    return table(["sparsity", "difference", "mean", "seeds below 0", "p"], rows)


def scores(layers: pd.DataFrame) -> str:
    """What every score has to do with the cost of pruning a matrix alone."""
    words = {"alpha": "alpha", "alpha_fitted": "alpha, fitted", "alpha_common": "alpha, common shape",
             "stable_rank": "stable rank", "noise": "share of noise",
             "M": "shorter side", "size": "number of entries"}  # fmt: skip
    layers = layers.assign(size=layers["N"] * layers["M"])
    square = layers[layers["N"] == layers["M"]]
    rows = []
    for score, word in words.items():
        row = [word]
        for some in (layers, square):
            if some[score].nunique() == 1:
                row.append("")
                continue
            r = [spearmanr(x[score], x["rise"]).statistic for _, x in some.groupby("seed")]
            d = difference(r)
            row.append(f"{d.mean:+.2f} ({d.low:+.2f} to {d.high:+.2f})")
        rows.append(row)
    rises = [x.pivot(index="layer", columns="seed", values="rise") for x in (layers, square)]
    agree = [np.median([spearmanr(x[a], x[b]).statistic for a, b in itertools.combinations(x, 2)]) for x in rises]
    rows.append(["the rise itself, in another seed (median of ten pairs)", *(f"{r:+.2f}" for r in agree)])
    head = ["score", "with the rise, 24 matrices", "the 16 square ones"]
    return table(head, rows)


def by_role(layers: pd.DataFrame) -> str:
    roles = layers["layer"].str.split(".").str[1]
    blocks = "block " + layers["layer"].str.split(".").str[0]
    rows = []
    for group in (roles, blocks):
        for name, some in layers.groupby(group, sort=False):
            spread = some.groupby("seed")["alpha"].mean().std()
            rows.append([
                str(name), f"{some['alpha'].mean():.2f}", f"{spread:.2f}", f"{some['alpha_fitted'].median():.2f}",
                f"{some['alpha_common'].mean():.2f}",
                f"{some['stable_rank'].mean():.2f}", f"{some['noise'].mean():.2f}", f"{some['rise'].mean():+.4f}",
            ])  # fmt: skip
    head = ["matrices", "alpha (Hill)", "its sd over seeds", "alpha, fitted (median)", "alpha, common shape",
            "stable rank / M",
            "share of noise", "rise of the loss"]  # fmt: skip
    return table(head, rows)


def by_shape(layers: pd.DataFrame) -> str:
    """Alpha of the matrices of a shape, and of noise of this shape."""
    rows = []
    for (N, M), some in layers.groupby(["N", "M"]):
        rng = np.random.default_rng([N, M])
        noise = [hill(gaussian_spectrum(int(N), int(M), rng=rng).eigenvalues) for _ in range(20)]
        rows.append([f"{N} x {M}", str(len(some)), f"{some['alpha'].mean():.2f}", f"{np.mean(noise):.2f}"])
    return table(["shape", "matrices", "alpha (Hill)", "of noise"], rows)


def tables() -> str:
    found = steering()
    results, layers = found.table, found.layers
    parts = ["### Weight decay", decays(results)]
    for sparsity in levels(results, "pruning"):
        parts += [f"### Pruning, {sparsity:.0%} of the entries", pruning(results, sparsity)]
    parts += ["### Pruning: alpha against the same numbers elsewhere", against_chance(results)]
    parts += ["### Do the scores know what a matrix is worth?", scores(layers), by_role(layers), by_shape(layers)]
    return "\n\n".join(parts)


def main() -> None:
    given = pages.parser(PAGE, __doc__).parse_args()
    pages.show(PAGE, tables(), given.write)


if __name__ == "__main__":
    main()
