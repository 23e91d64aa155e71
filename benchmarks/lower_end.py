"""Which small singular values leave the noise, and what are they worth? All tables of docs/lower-end.md.

    python -m benchmarks.lower_end           the tables, some three minutes
    python -m benchmarks.lower_end --write   the same into the page

First the test on noise, then the layers of the atlas beside their nulls, then what it costs a small GPT to lose some
singular values (recorded by scripts/steer.py). The prose of the page stands in it; what lies between its two marks is
written anew.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.stats import norm

from rmt_lab import Spectrum, atlas, fit_bulk
from rmt_lab.ensembles import correlated, gaussian_spectrum
from rmt_lab.ensembles.matrices import NULLS
from rmt_lab.trainings.steering import steering

from . import pages
from .pages import DOCS, table
from .steering import difference

PAGE = DOCS / "lower-end.md"
LEVEL = 0.01
WEIGHTS = ("as trained", *NULLS)
LOW = 0.05  # of the law's probability: the band at its lower end
MIDDLE = (0.2, 0.8)  # quantiles between which fit_bulk matches the noise
SPREADS = np.linspace(0, 2.4, 17)  # standard deviations of the logarithm of a smooth population
DRAWS = 6
KINDS = {"rectangular": lambda layers: layers["N"] > layers["M"], "square": lambda layers: layers["N"] == layers["M"]}

Array = npt.NDArray[np.float64]


def figures(s: Spectrum) -> dict[str, float]:
    """How many eigenvalues leave the noise at the lower end, and what surrounds them."""
    fit = fit_bulk(s, LEVEL)
    x = s.nonzero_eigenvalues
    low, high = np.quantile(x, MIDDLE)
    return {
        "small": fit.num_small_spikes,
        "low": float(np.mean(x < fit.law.ppf(LOW))),
        "width": float(np.log(high / low)),
        "noise": not fit.note,
    }


def of_model(name: str) -> pd.DataFrame:
    """A row for every matrix, but the embeddings, and for every null of it."""
    rows = []
    for layer in atlas.load(name):
        if "embedding" in layer.role or layer.spectrum.rank < 50:
            continue
        for weights in WEIGHTS:
            s = layer.spectrum if weights == "as trained" else layer.null(weights)  # type: ignore[arg-type]
            rows.append({"model": name, "layer": layer.name, "role": layer.role, "weights": weights,
                         "N": s.N, "M": s.M, **figures(s)})  # fmt: skip
    return pd.DataFrame(rows)


def smooth(N: int, M: int) -> pd.DataFrame:
    """Noise whose columns have smoothly spread scales: a lognormal population, from no spread to much."""
    rng, rows = np.random.default_rng([N, M]), []
    normal = norm.ppf((np.arange(M) + 0.5) / M)
    for spread in SPREADS:
        for _ in range(DRAWS):
            W = correlated(N, np.exp(spread * normal), rng)
            rows.append({"spread": spread, **figures(Spectrum.from_matrix(W))})
    return pd.DataFrame(rows).groupby("spread").mean().reset_index()


def with_smooth(layers: pd.DataFrame) -> pd.DataFrame:
    """Beside every layer the smooth population whose spectrum has the same width in the middle."""
    layers = layers[layers["weights"] == "as trained"].copy()
    for (N, M), some in layers.groupby(["N", "M"]):
        null = smooth(int(N), int(M))
        for column in ("small", "low"):
            layers.loc[some.index, f"{column}_smooth"] = np.interp(some["width"], null["width"], null[column])
        layers.loc[some.index, "reached"] = some["width"] <= null["width"].max()
    return layers


def calibration() -> str:
    """How often Gaussian noise has a small spike at the level, and how many of its values lie in the band."""
    rows = []
    for N, M in ((128, 128), (512, 128), (384, 384), (1536, 384), (576, 192), (576, 576), (1536, 576)):
        rng = np.random.default_rng([7, N, M])
        found = pd.DataFrame([figures(gaussian_spectrum(N, M, rng=rng)) for _ in range(300)])
        rows.append([f"{N} x {M}", f"{(found['small'] > 0).mean():.1%}", f"{found['low'].mean():.1%}",
                     f"{found['low'].std() * M:.2f}"])  # fmt: skip
    return table(["Gaussian", "with a small value", f"in the lowest {LOW:.0%} of the law", "sd of their number"], rows)


def beside_nulls(layers: pd.DataFrame) -> str:
    rows = []
    for model, of_one in layers.groupby("model"):
        for kind, chosen in KINDS.items():
            some = of_one[chosen(of_one)]
            for weights in WEIGHTS:
                x = some[some["weights"] == weights]
                rows.append([model, kind, weights, f"{(x['small'] > 0).sum()} of {len(x)}", f"{x['small'].median():g}",
                             f"{x['low'].median():.1%}", f"{x['noise'].sum()}"])  # fmt: skip
    head = ["model", "matrices", "weights", "with a small value", "how many (median)",
            f"in the lowest {LOW:.0%} of the law (median)", "with a noise bulk"]  # fmt: skip
    return table(head, rows)


def beside_smooth(layers: pd.DataFrame) -> str:
    rows = []
    for (model, role), x in with_smooth(layers).groupby(["model", "role"], sort=False):
        N, M = x[["N", "M"]].iloc[0]
        x = x[x["reached"]]
        if x.empty:
            continue
        rows.append([
            model, role, f"{N} x {M}", str(len(x)), f"{x['small'].median():g}", f"{x['small_smooth'].median():.1f}",
            f"{(x['small'] > x['small_smooth']).sum()}", f"{x['low'].median():.1%}", f"{x['low_smooth'].median():.1%}",
            f"{(x['low'] > x['low_smooth']).sum()}",
        ])  # fmt: skip
    head = ["model", "role", "shape", "matrices", "small values", "smooth population", "more than that",
            f"lowest {LOW:.0%}", "smooth population", "more than that"]  # fmt: skip
    return table(head, rows)


def small_gpt() -> str:
    layers = steering().layers
    roles = layers["layer"].str.split(".").str[1]
    rows = []
    for role, x in layers.groupby(roles, sort=False):
        N, M = x[["N", "M"]].iloc[0]
        rows.append([role, f"{N} x {M}", str(len(x)), f"{(x['small'] > 0).sum()}", f"{x['small'].median():g}"])
    return table(["role", "shape", "matrices", "with a small value", "how many (median)"], rows)


def losses(share: float) -> str:
    """What it costs to lose some singular values, and the same against the smallest ones."""
    results = steering().table
    some = results[(results["experiment"] == "removal") & results["level"].isin((0, share))]
    by = some.pivot(index="seed", columns="method", values="test_loss")
    norms = some.groupby("method")["removed"].mean()
    rows = []
    for method in dict.fromkeys(some.loc[some["level"] > 0, "method"]):
        d = difference(by[method] - by["nothing"])
        row = [method, f"{norms[method]:.2%}", str(d)]
        if method == "bottom":
            rows.append([*row, "", "", ""])
            continue
        d = difference(by[method] - by["bottom"])
        rows.append([*row, str(d), f"{d.seeds - d.below} of {d.seeds}", f"{d.p:.2f}"])
    head = ["taken out", "of the squared norm", "rise of the loss", "minus bottom", "seeds above bottom", "p"]
    return table(head, rows)


def tables() -> str:
    layers = pd.concat([of_model(name) for name in ("minilm", "smollm2")], ignore_index=True)
    results = steering().table
    shares = sorted(results.loc[(results["experiment"] == "removal") & (results["level"] > 0), "level"].unique())
    parts = ["### Noise", calibration(), "### Real layers and the same layers randomised", beside_nulls(layers)]
    parts += ["### Real layers beside a smooth population of the same width", beside_smooth(layers)]
    parts += ["### The small GPT, five seeds", small_gpt()]
    for share in shares:
        parts += [f"### The small GPT without {share:.0%} of the singular values of every matrix", losses(share)]
    return "\n\n".join(parts)


def main() -> None:
    given = pages.parser(PAGE, __doc__).parse_args()
    pages.show(PAGE, tables(), given.write)


if __name__ == "__main__":
    main()
