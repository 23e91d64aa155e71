"""Does the ERG tail meet the power law? All tables of docs/erg.md.

    python -m benchmarks.erg           the tables, some six minutes
    python -m benchmarks.erg --write   the same into the page

First noise, where the two tails cannot be said to meet; then spectra with a power law by construction; then the atlas,
the recorded trainings and the collections. The prose of the page stands in it; what lies between its two marks is
written anew.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.integrate import quad
from scipy.optimize import brentq, minimize_scalar

from rmt_lab import atlas, trainings
from rmt_lab._files import shipped_names
from rmt_lab.ensembles import gaussian_spectrum
from rmt_lab.ensembles.matrices import NULLS
from rmt_lab.laws import MarchenkoPastur
from rmt_lab.spectrum import Spectrum
from rmt_lab.tails import PowerLawFit, fit_power_law
from rmt_lab.tails.erg import count_erg, erg
from rmt_lab.trainings import collection
from rmt_lab.trainings.collections import CARRIES_A_TAIL
from rmt_lab.trainings.quality import partial_rank, rank_runs

from . import pages
from .pages import DOCS, cell, table

PAGE = DOCS / "erg.md"
BY_ALPHA = [0, 1.8, 2.2, 3, 4, 6, np.inf]
LEVELS = (0.01, 0.05, 0.10, 0.50)
OUTCOMES = {"digits": "test_error", "text": "test_loss"}

Array = npt.NDArray[np.float64]


def weightwatcher_count(x: Array) -> int:
    """As WeightWatcher counts: the product of the k largest values, mean one, for k = 1, 2, ... until it is below 1.

    Each product is that of a slice of the ascending values, and taken in float64.
    """
    x = np.sort(x) / np.mean(x)
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        return next((k for k in range(1, len(x)) if np.prod(x[-k:]) < 1), len(x))


def noise_share(Q: float) -> float:
    """The share of the ERG tail in the Marchenko-Pastur law: where the integral of ln x from t on is zero."""
    law = MarchenkoPastur(Q)
    low, high = np.sqrt(law.support())  # of singular values, whose density has no pole at 0 when Q = 1

    def integral(s: float) -> float:
        return float(quad(lambda y: 4 * y * np.log(y) * law.pdf(y * y), s, high, limit=200)[0])

    return float(law.sf(brentq(integral, low + 1e-4, 1.0) ** 2))


def pareto_share(alpha: float) -> float:
    """The share of the ERG tail in a whole spectrum of density ~ x^-alpha: e ((alpha - 2)/(alpha - 1))^(alpha - 1).

    The mean is (alpha - 1)/(alpha - 2) times xmin. The largest share q begins at xmin q^(-1/(alpha - 1)), and the mean
    of ln x is larger by 1/(alpha - 1) there; that it equals the logarithm of the mean gives q.
    """
    return float(np.e * ((alpha - 2) / (alpha - 1)) ** (alpha - 1))


def noise_below(N: int, M: int, n: int) -> Array:
    """What is not in a tail of n values: M - n quantiles of the Marchenko-Pastur law, scaled to a largest of 1."""
    x = np.asarray(MarchenkoPastur(N / M).ppf((np.arange(M - n) + 0.5) / max(M - n, 1)), dtype=np.float64)
    return x / x[-1:]


def power_law(u: Array, alpha: float, top: float = np.inf) -> Array:
    """The values at the shares u of density ~ x^-alpha from 1 on, which ends at top."""
    return np.asarray((1 - u * (1 - top ** (1 - alpha))) ** (-1 / (alpha - 1)), dtype=np.float64)


def ending_alpha(x: Array) -> float:
    """The exponent of a power law that ends at the largest value of x and begins at the smallest, by likelihood.

    Its density is ~ x^-alpha between the two. Aban, Meerschaert & Panorska (2006), JASA 101, 270-277.
    """
    y = np.log(x / x.min())

    def misfit(b: float) -> float:
        return float(np.log(-np.expm1(-b * y.max()) / b) + b * y.mean())

    return float(1 + minimize_scalar(misfit, bounds=(-5, 50), method="bounded", options={"xatol": 1e-7}).x)


def tail_alone(N: int, M: int, n: int, alpha: float, top: float = np.inf) -> int:
    """The ERG count of a spectrum that has nothing but a power law of n values on top of noise.

    The n values are quantiles of density ~ x^-alpha from 1 to top; the other M - n are quantiles of the
    Marchenko-Pastur law, the largest of them at 1. Without an end the largest quantile is (2 n)^(1/(alpha - 1)), which
    near alpha = 2 is many times what a layer has there.
    """
    return count_erg(np.r_[noise_below(N, M, n), power_law((np.arange(n) + 0.5) / n, alpha, top)])


def drawn_alone(N: int, M: int, n: int, alpha: float, top: float = np.inf, draws: int = 1000, rng: int = 0) -> Array:
    """The ERG counts of as many such spectra whose n values are drawn at random."""
    below, r = noise_below(N, M, n), np.random.default_rng(rng)
    return np.array([count_erg(np.r_[below, power_law(r.random(n), alpha, top)]) for _ in range(draws)])


def as_close(counts: Array, n: int, count: int) -> float:
    """The share of ERG counts that are no farther from n than a count is, this one included."""
    return float((1 + np.count_nonzero(np.abs(counts - n) <= abs(count - n))) / (1 + len(counts)))


def against_power_laws(s: Spectrum, fit: PowerLawFit) -> dict[str, float]:
    """The gap share of a layer and of spectra in which its tail, the tail's end, or what lies below was exchanged."""
    x, n, M = s.nonzero_eigenvalues, fit.n_tail, s.rank
    own, top, below = x[-n:] / fit.xmin, x[-1] / fit.xmin, noise_below(s.N, M, n)
    ideal = power_law((np.arange(n) + 0.5) / n, fit.alpha)
    counts = {
        "gap": count_erg(x),
        "alone": tail_alone(s.N, M, n, fit.alpha),
        "cut": tail_alone(s.N, M, n, fit.alpha, top),
        "refit": tail_alone(s.N, M, n, ending_alpha(x[-n:]), top),
        "own_tail": count_erg(np.r_[below, own]),
        "own_body": count_erg(np.r_[x[:-n] / fit.xmin, ideal]),
    }
    return {name: abs(n - k) / M for name, k in counts.items()} | {"top": top, "top_alone": ideal[-1]}


def noise() -> str:
    rows = []
    for Q in (1, 2, 4, 8):
        rng = np.random.default_rng(Q)
        found = [erg(gaussian_spectrum(500 * Q, 500, rng=rng)) for _ in range(40)]
        share = np.array([e.num_erg for e in found]) / 500
        pl = np.array([e.num_pl_spikes for e in found]) / 500
        gap = np.array([e.gap_share for e in found])
        rows.append([f"{Q}", f"{noise_share(Q):.1%}", f"{share.mean():.1%}", f"{share.std():.2%}",
                     f"{np.median(pl):.1%}", f"{np.median(gap):.2f}"])  # fmt: skip
    head = ["Q", "ERG tail, integral", "ERG tail, 40 draws at M = 500", "its sd", "power law (median)", "gap (median)"]
    return table(head, rows)


def products() -> str:
    rows = []
    for N, M in ((1000, 1000), (2000, 2000), (2500, 2500), (3000, 3000), (4000, 4000), (8192, 8192), (16000, 4000)):
        x = gaussian_spectrum(N, M, rng=0).eigenvalues
        ours, theirs = count_erg(x), weightwatcher_count(x)
        rows.append([f"{N} x {M}", str(ours), str(theirs), "" if ours == theirs else "lost"])
    return table(["Gaussian", "sum of logarithms", "product of floats", ""], rows)


def level() -> str:
    """How often noise has a p-value below a level: shapes that are not in the table of erg_p, and its largest."""
    rows = []
    for N, M in ((24, 24), (256, 64), (100, 100), (1200, 192), (384, 384), (1536, 384), (1536, 576), (576, 576),
                 (1024, 1024), (4096, 1024)):  # fmt: skip
        n = 1000 if M < 150 else 400 if M < 1000 else 150
        rng = np.random.default_rng([9, N, M])
        p = np.array([erg(gaussian_spectrum(N, M, rng=rng)).p_value for _ in range(n)])
        rows.append([f"{N} x {M}", str(n), *(f"{np.mean(p <= x):.1%}" for x in LEVELS)])
    return table(["Gaussian", "draws", *(f"p <= {x:g}" for x in LEVELS)], rows)


def power_laws() -> str:
    M, rows = 1000, []
    for alpha in (1.6, 1.8, 2, 2.25, 2.5, 3, 4, 6):
        gaps = [abs(n - tail_alone(4 * M, M, n, alpha)) / M for n in (50, 100, 200, 300, 500, M)]
        endless = 1 - pareto_share(alpha) if alpha > 2 else 1.0  # at 2 and below there is no mean
        rows.append([f"{alpha:g}", *(f"{gap:.2f}" for gap in (*gaps, endless))])
    head = ["alpha", "5 % of all", "10 %", "20 %", "30 %", "50 %", "all", "all, infinitely many"]
    return table(head, rows)


def meetings() -> str:
    """The alpha from 1.2 to 3 at which the two tails meet, by the length of the power law and by where it ends.

    They meet where the gap is below 1 % of all eigenvalues. Where it nowhere is, the smallest one.
    """
    M, rows = 1000, []
    alphas = np.arange(1.2, 3, 0.01)
    for top in (25, 100, 1000, np.inf):
        met = []
        for n in (50, 100, 200, 300, 500):
            below, u = noise_below(4 * M, M, n), (np.arange(n) + 0.5) / n
            gaps = [abs(n - count_erg(np.r_[below, power_law(u, alpha, top)])) for alpha in alphas]
            at = int(np.argmin(gaps))
            met.append(f"{alphas[at]:.2f}" if gaps[at] < 0.01 * M else f"nowhere ({gaps[at] / M:.2f})")
        rows.append(["no end" if np.isinf(top) else f"{top:g}", *met])
    return table(["ends at, over its smallest value", "5 % of all", "10 %", "20 %", "30 %", "50 %"], rows)


def of_model(name: str) -> pd.DataFrame:
    """Every layer with at least ten eigenvalues: its two tails, those of its nulls, and of a tail alone."""
    rows = []
    for layer in atlas.load(name):
        s = layer.spectrum
        if s.rank < 10:
            continue
        fit = fit_power_law(s.nonzero_eigenvalues)
        e, n, alpha = erg(s, fit), fit.n_tail, fit.alpha
        row = {"name": layer.name, "shape": (s.N, s.M), "alpha": alpha, "pl": n / s.rank, "erg": e.num_erg / s.rank}
        row |= {"p": e.p_value} | against_power_laws(s, fit)
        row["top_p"] = (1 - row["top"] ** (1 - alpha)) ** n  # that n draws of a power law without end stay below it
        row["ending_alpha"] = ending_alpha(s.nonzero_eigenvalues[-n:])
        for null, a, top in (
            ("alone", alpha, np.inf),
            ("cut", alpha, row["top"]),
            ("refit", row["ending_alpha"], row["top"]),
        ):
            counts = drawn_alone(s.N, s.rank, n, a, top)
            row[f"p_{null}"] = as_close(counts, n, e.num_erg)
            row[f"low_{null}"], row[f"high_{null}"] = np.quantile(np.abs(counts - n) / s.rank, [0.05, 0.95])
        for null in NULLS:
            of_null = erg(layer.null(null))
            row |= {f"gap_{null}": of_null.gap_share, f"p_{null}": of_null.p_value}
        rows.append(row)
    return pd.DataFrame(rows)


def exchanged(layers: pd.DataFrame, draws: int = 2000) -> Array:
    """Gap shares with the ERG tail of another layer of the same shape, drawn at random: a column per draw."""
    rng, out = np.random.default_rng(0), np.empty((len(layers), draws))
    for _, part in layers.groupby("shape"):
        at = layers.index.get_indexer(part.index)
        for i in range(draws):
            out[at, i] = np.abs(part["pl"] - rng.permutation(part["erg"].to_numpy()))
    return out


def by_alpha(layers: pd.DataFrame) -> str:
    others, rows = exchanged(layers), []
    groups = pd.cut(layers["alpha"], BY_ALPHA)
    for group in [*groups.cat.categories, None]:
        inside = np.ones(len(layers), bool) if group is None else (groups == group).to_numpy()
        if not inside.any():
            continue
        part = layers[inside]
        medians = np.median(others[inside], axis=0)
        p = (1 + np.count_nonzero(medians <= part["gap"].median() + 1e-9)) / (1 + len(medians))
        name = "all" if group is None else f"{group.left:g} to {group.right:g}".replace("6 to inf", "above 6")
        rows.append([
            name, str(len(part)), *(f"{part[c].median():.2f}" for c in ("pl", "erg", "gap")),
            f"{np.median(medians):.2f}", f"{p:.3f}", f"{(part['gap'] < 0.05).sum()}", f"{(part['p'] <= 0.05).sum()}",
        ])  # fmt: skip
    head = ["alpha", "layers", "power law", "ERG tail", "gap", "gap, exchanged", "p of the exchange", "gap below 5 %",
            "erg_p <= 0.05"]  # fmt: skip
    return table(head, rows)


def same_gap(layers: pd.DataFrame, null: str) -> int:
    """In how many layers a null has the layer's own gap, within 2 % of all eigenvalues."""
    return int((np.abs(layers[null] - layers["gap"]) <= 0.02 + 1e-9).sum())


def tails_by_alpha(layers: pd.DataFrame) -> str:
    rows = []
    groups = pd.cut(layers["alpha"], BY_ALPHA)
    for group in [*groups.cat.categories, None]:
        part = layers if group is None else layers[groups == group]
        if not len(part):
            continue
        name = "all" if group is None else f"{group.left:g} to {group.right:g}".replace("6 to inf", "above 6")
        row = [name, str(len(part)), f"{part['gap'].median():.2f}"]
        for null in ("alone", "cut", "refit"):
            row += [f"{part[null].median():.2f}", f"{(part['gap'] < part[null]).sum()}"]
            row.append(f"{(part[f'p_{null}'] <= 0.05).sum()}")
        row += [f"{part[c].median():.2f}" for c in ("own_tail", "own_body")]
        rows.append([*row, *(str(same_gap(part, c)) for c in ("own_tail", "own_body"))])
    head = ["alpha", "layers", "gap", "power law without end", "closer than that", "than 95 % of its draws",
            "power law that ends where the layer does", "closer than that", "than 95 % of its draws",
            "the same, alpha fitted with the end", "closer than that", "than 95 % of its draws",
            "own tail, noise below", "own body, power law without end", "own tail within 0.02 of the gap",
            "own body within 0.02"]  # fmt: skip
    return table(head, rows)


def near_two(layers: pd.DataFrame) -> str:
    rows = []
    for _, x in layers[layers["alpha"].between(1.8, 2.2)].iterrows():
        row = [x["name"], f"{x['alpha']:.2f}", f"{x['top']:.0f}", f"{x['top_alone']:.0f}", f"{x['top_p']:.3f}"]
        row.append(f"{x['gap']:.2f}")
        for null in ("alone", "cut", "refit"):
            row += [f"{x['ending_alpha']:.2f}"] if null == "refit" else []
            row += [f"{x[null]:.2f}", f"{x[f'low_{null}']:.2f} to {x[f'high_{null}']:.2f}", f"{x[f'p_{null}']:.3f}"]
        rows.append(row)
    ends = ["largest / xmin", "of the power law without end", "p that it ends so early"]
    drawn = ["its draws, 5 to 95 %", "share of draws as close"]
    head = ["layer", "alpha", *ends, "gap", "power law without end", *drawn, "that ends there", *drawn,
            "alpha fitted with the end", "power law of that alpha", *drawn]  # fmt: skip
    return table(head, rows)


def nulls(models: dict[str, pd.DataFrame]) -> str:
    rows = []
    for name, layers in models.items():
        for null in ("", *NULLS):
            gap, p = (layers[f"{x}_{null}" if null else x] for x in ("gap", "p"))
            tested = p.notna()
            rows.append([name, null or "as trained", f"{gap.median():.2f}", f"{(gap < 0.05).sum()} of {len(gap)}",
                         f"{(p[tested] <= 0.05).sum()} of {tested.sum()}"])  # fmt: skip
    return table(["model", "weights", "gap (median)", "below 5 %", "erg_p <= 0.05"], rows)


def training(name: str) -> str:
    run = trainings.load(name)
    rows = []
    for i in range(0, len(run.steps), 4):
        layers = [x.spectrum for x in run.at(run.steps[i]) if "embedding" not in x.role]
        fits = [fit_power_law(s.nonzero_eigenvalues) for s in layers]
        tails = [erg(s, fit) for s, fit in zip(layers, fits, strict=True)]
        gaps = np.array([e.gap_share for e in tails])
        nulls = pd.DataFrame([against_power_laws(s, fit) for s, fit in zip(layers, fits, strict=True)])
        rows.append([
            str(run.steps[i]), f"{run.test_loss[i]:.2f}", f"{np.median([f.alpha for f in fits]):.2f}",
            f"{np.median([e.num_pl_spikes / e.num_evals for e in tails]):.2f}",
            f"{np.median([e.num_erg / e.num_evals for e in tails]):.2f}",
            f"{np.median(gaps):.2f}",
            *(
                text
                for null in ("alone", "cut", "refit")
                for text in (f"{nulls[null].median():.2f}", f"{(gaps < nulls[null]).sum()}")
            ),
            f"{nulls['own_tail'].median():.2f}", str(same_gap(nulls, "own_tail")),
            f"{(gaps < 0.05).sum()}", f"{sum(e.p_value <= 0.05 for e in tails)}",
        ])  # fmt: skip
    head = ["step", "held-out loss", "alpha", "power law", "ERG tail", "gap", "power law without end",
            "closer than that", "power law that ends where the layer does", "closer than that",
            "the same, alpha fitted with the end", "closer than that", "own tail, noise below",
            "within 0.02 of the gap", "gap below 5 %", "erg_p <= 0.05"]  # fmt: skip
    return table(head, rows)


def runs_of(name: str) -> pd.DataFrame:
    """The table of a collection with the mean gap, ERG tail and power law of each run's layers at its end."""
    found = collection(name)
    rows = []
    for run in found.table["run"]:
        model = found.at(run)
        carry = [x.spectrum for x in model if "embedding" not in x.role and x.spectrum.M >= CARRIES_A_TAIL]
        tails = [erg(s) for s in carry]
        rows.append({
            "run": run,
            "erg_gap_share": np.mean([e.gap_share for e in tails]),
            "erg_share": np.mean([e.num_erg / e.num_evals for e in tails]),
            "pl_share": np.mean([e.num_pl_spikes / e.num_evals for e in tails]),
        })  # fmt: skip
    return found.table.merge(pd.DataFrame(rows), on="run")


def ranks(name: str) -> str:
    found, outcome = collection(name), OUTCOMES[name]
    runs, rows = runs_of(name), []
    words = {"erg_gap_share": "gap", "erg_share": "ERG tail", "pl_share": "power law", "alpha": "alpha"}
    for measure, what in words.items():
        r = rank_runs(runs, measure, outcome, list(found.factors), rng=0)
        row = [what, *(cell(c.value, c.low, c.high) for c in (r.overall, r.granulated, r.within["data"]))]
        if measure != "alpha":
            c = partial_rank(runs, measure, outcome, ["alpha"], factors=list(found.factors), rng=0)
            row.append(cell(c.value, c.low, c.high))
        rows.append([*row, ""][:5])
    head = [f"{name}: {len(runs)} runs, against {outcome}", "over all runs", "one factor at a time",
            "only the data vary", "given alpha"]  # fmt: skip
    return table(head, rows)


def tables() -> str:
    models = {name: of_model(name) for name in ("minilm", "smollm2")}
    parts = ["### Noise", noise(), "### The product of floats", products(), "### The level of erg_p", level()]
    parts += ["### Spectra with a power law without end on top of noise: the gap share, Q = 4, M = 1000", power_laws()]
    parts += ["### The alpha at which the tails of such a spectrum meet, by where its power law ends", meetings()]
    for name, layers in models.items():
        parts += [f"### {name}, by alpha (medians, as shares of all eigenvalues)", by_alpha(layers)]
    for name, layers in models.items():
        parts += [f"### {name}, against power laws of the same length and alpha on noise", tails_by_alpha(layers)]
    parts += ["### Near 2: the four layers of smollm2 against 1000 draws of each", near_two(models["smollm2"])]
    parts += ["### The same layers, randomised", nulls(models)]
    for name in trainings.names():
        parts += [f"### The training {name!r}, step by step (medians over 36 layers)", training(name)]
    parts += ["### Collections of runs: rank correlation with the outcome, and its 95 % interval"]
    parts += [ranks(name) for name in shipped_names("collections")]
    return "\n\n".join(parts)


def main() -> None:
    given = pages.parser(PAGE, __doc__).parse_args()
    pages.show(PAGE, tables(), given.write)


if __name__ == "__main__":
    main()
