"""Does alpha know which network is good? All tables of docs/does-alpha-know.md.

    python -m benchmarks.does_alpha_know           the tables, some four minutes
    python -m benchmarks.does_alpha_know --write   the same into the page, and its figure

Every coefficient, its interval and its p-value are those of ``rmt_lab.quality``, whose head defines them. The prose of
the page stands in it; what lies between its two marks is written anew.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from scipy.stats import kendalltau

from rmt_lab import analyze
from rmt_lab.plotting import alt_text
from rmt_lab.plotting.quality import QUALITY_SIZE, plot_quality
from rmt_lab.trainings import Collection, collection
from rmt_lab.trainings.collections import CARRIES_A_TAIL
from rmt_lab.trainings.quality import partial_rank, rank_measures, rank_runs, seed_spread

from . import pages
from .pages import DOCS, cell, table

PAGE = DOCS / "does-alpha-know.md"
FIGURE = PAGE.with_suffix(".png")
OUTCOMES = {
    "digits": {"test_error": "error on the held-out images", "gap_error": "gap of the errors"},
    "text": {"test_loss": "loss on the held-out text", "gap_loss": "gap of the losses"},
}
MEASURES = {
    "alpha": "alpha",
    "alpha_fixed": "alpha, fingers fixed",
    "alpha_windowed": "alpha, common shape",
    "alpha_hat": "alpha-hat",
    "log_alpha_norm": "log alpha-norm",
    "share_beyond_noise": "share beyond noise",
    "log_norm": "log Frobenius norm",
    "log_spectral_norm": "log spectral norm",
    "stable_rank": "stable rank",
    "train_loss": "training loss",
    "steps": "number of steps",
}
GIVEN = ["train_loss", "log_norm"]
ALPHAS = ["alpha", "alpha_fixed", "alpha_windowed", "alpha_hat", "log_alpha_norm"]


def factors_of(found: Collection) -> list[str]:
    return list(found.factors)


def measures_of(found: Collection) -> list[str]:
    """Those that vary; the number of steps is a factor of its own where it was set."""
    return [m for m in MEASURES if m not in found.factors and found.table[m].nunique() > 1]


def fitted(runs: pd.DataFrame, factors: list[str], most: float) -> pd.Series:
    """Which runs of digits have a setting whose every seed has a training error at most so far above the noise."""
    above = runs["train_error"] - runs["noise"]
    return above.groupby([runs[f] for f in factors]).transform("max") <= most


def some_of(runs: pd.DataFrame, which: pd.Series, measures: list[str]) -> pd.DataFrame:
    """Measures of these runs only. The others stay in the table, so that it keeps its stars."""
    return runs.assign(**{m: runs[m].where(which) for m in measures})


def ranking(found: Collection, outcome: str, **draws: Any) -> tuple[str, pd.DataFrame]:
    """Each measure against an outcome: over all runs, one factor at a time, the worst factor, seeds alone."""
    ranked = rank_measures(found.table, measures_of(found), outcome, factors_of(found), rng=0, **draws)
    rows = []
    for measure, r in ranked.iterrows():
        parts = [cell(r[k], r[f"{k}_low"], r[f"{k}_high"]) for k in ("overall", "granulated", "worst", "seeds")]
        p = f"{r['overall_p']:.3f}, {r['granulated_p']:.3f}"
        error = f"{r['sign_error']:.2f} ({r['sign_error_low']:.2f} to {r['sign_error_high']:.2f})"
        rows.append(
            [MEASURES[str(measure)], parts[0], parts[1], p, f"{r['worst_factor']}: {parts[2]}", parts[3], error]
        )
    head = [
        "measure",
        "over all runs",
        "one factor at a time",
        "p of the two",
        "worst factor",
        "seeds alone",
        "sign error",
    ]
    return table(head, rows), ranked


def thresholds(found: Collection, outcome: str, **draws: Any) -> str:
    """alpha and the training loss among settings that fitted their data, by how well they must have."""
    rows = []
    for most in (0.05, 0.1, 0.15, 0.2, 0.3, 1.0):
        which = fitted(found.table, factors_of(found), most)
        row = [f"{most:g}" if most < 1 else "any", str(int(which.sum()))]
        for m in ("alpha", "train_loss"):
            r = rank_runs(some_of(found.table, which, [m]), m, outcome, factors_of(found), rng=0, **draws)
            row += [cell(c.value, c.low, c.high) for c in (r.overall, r.granulated)]
        rows.append(row)
    head = ["training error above the wrong labels, at most", "runs"]
    head += [f"{m}: {what}" for m in ("alpha", "training loss") for what in ("all these runs", "one factor at a time")]
    return table(head, rows)


def by_factor(found: Collection, outcome: str, **draws: Any) -> str:
    factors = factors_of(found)
    rows = []
    for measure in measures_of(found):
        within = rank_runs(found.table, measure, outcome, factors, rng=0, **draws).within
        rows.append([MEASURES[measure], *(cell(within[f].value, within[f].low, within[f].high) for f in factors)])
    return table(["measure", *factors], rows)


def spread(found: Collection) -> str:
    """Between seeds of one setting, and between settings."""
    names = [*measures_of(found), *OUTCOMES[found.name]]
    s = seed_spread(found.table, names, factors_of(found))
    rows = [
        [MEASURES.get(str(m), OUTCOMES[found.name].get(str(m), str(m))),
         *(f"{r[k]:.3g}" for k in ("seeds", "settings", "ratio", "difference_95"))]
        for m, r in s.iterrows()
        if r["seeds"] > 0
    ]  # fmt: skip
    head = ["figure", "between seeds (sd)", "between settings (sd)", "ratio", "two seeds differ by more in 5 %"]
    return table(head, rows)


def beyond(found: Collection, outcome: str, **draws: Any) -> str:
    """What a measure adds to the training loss and to the norm, by Spearman's partial correlation."""
    rows = []
    for m in measures_of(found):
        row = [MEASURES[m]]
        for given in (["_one"], ["train_loss"], ["log_norm"], GIVEN):
            if m in given:
                row.append("")
                continue
            c = partial_rank(found.table.assign(_one=1.0), m, outcome, given, factors=factors_of(found), rng=0, **draws)
            row.append(cell(c.value, c.low, c.high) + f", p = {c.p:.3f}" * (given != ["_one"]))
        rows.append(row)
    head = ["measure", "nothing given", "given the training loss", "given the norm", "given both"]
    return table(head, rows)


def alike(found: Collection) -> str:
    """Spearman's correlation of alpha with other measures, over all runs: what can hardly be told from alpha."""
    ranks = found.table[measures_of(found)].rank()
    rows = [[MEASURES[m], f"{ranks['alpha'].corr(ranks[m]):.2f}"] for m in measures_of(found) if m != "alpha"]
    return table(["measure", "rank correlation with alpha"], rows)


def layers(found: Collection) -> pd.DataFrame:
    """alpha of every layer of every run at its end, before and after fingers are fixed."""
    rows = []
    for run in found.table["run"]:
        model = found.at(run)
        carry = [x.layer_id for x in model if "embedding" not in x.role and x.spectrum.M >= CARRIES_A_TAIL]
        details = analyze(model, fix_fingers="clip_xmax", layers=carry)
        for longname, raw, fixed in zip(details.longname, details.raw_alpha, details.alpha, strict=True):
            rows.append({"run": run, "layer": longname, "raw": raw, "fixed": fixed})
    return pd.DataFrame(rows)


def by_layer(found: Collection, outcome: str, **draws: Any) -> str:
    """Each layer's alpha by itself; the runs that have such a layer."""
    long = layers(found)
    factors = factors_of(found)
    rows = []
    for layer, part in long.groupby("layer", sort=False):
        runs = found.table.merge(part, on="run", how="left")  # NaN where there is no such layer: stars stay whole
        row = [str(layer).replace("transformer.h.", "block ").replace(".", " "), str(len(part))]
        for which in ("raw", "fixed"):
            r = rank_runs(runs, which, outcome, factors, rng=0, **draws)
            row += [cell(c.value, c.low, c.high) for c in (r.overall, r.granulated)]
        rows.append(row)
    head = [
        "layer",
        "runs",
        "alpha: all runs",
        "one factor at a time",
        "fingers fixed: all runs",
        "one factor at a time",
    ]
    return table(head, rows)


def effects(found: Collection) -> str:
    """What a factor does, from its first level to its last: the median change over groups, medians of seeds."""
    names = [m for m in (*ALPHAS[:3], "train_loss") if m in found.table] + list(OUTCOMES[found.name])
    apart = seed_spread(found.table, names, factors_of(found))["difference_95"]
    rows = []
    for m in names:
        row = [MEASURES.get(m, OUTCOMES[found.name].get(m, m)), f"{apart[m]:.2g}"]
        for factor in factors_of(found):
            others = [f for f in factors_of(found) if f != factor]
            levels = found.record["factors"][factor]
            middle = found.table.groupby([*others, factor])[m].median().unstack(factor)
            change = float((middle[levels[-1]] - middle[levels[0]]).median())
            row.append(f"**{change:+.2g}**" if abs(change) > apart[m] else f"{change:+.2g}")
        rows.append(row)
    ends = [f"{f}: {found.record['factors'][f][0]} to {found.record['factors'][f][-1]}" for f in factors_of(found)]
    return table(["figure", "two seeds", *ends], rows)


def on_the_way(found: Collection, outcome: str) -> str:
    """Within a run, over its five recorded steps: does a lower measure go with a lower outcome?"""
    steps = found.steps_table
    followed = steps[steps.duplicated("run", keep=False)]
    rows = []
    for measure in [m for m in measures_of(found) if m != "steps"]:
        taus = [kendalltau(g[measure], g[outcome])[0] for _, g in followed.groupby("run")]
        rows.append([MEASURES[measure], f"{np.nanmean(taus):.2f}", f"{np.mean(np.array(taus) > 0):.0%} of {len(taus)}"])
    taus = [kendalltau(-g["step"], g[outcome])[0] for _, g in followed.groupby("run")]
    rows.append(["- step", f"{np.nanmean(taus):.2f}", f"{np.mean(np.array(taus) > 0):.0%} of {len(taus)}"])
    return table(["measure", "mean tau within a run", "runs in which it is positive"], rows)


def tables(**draws: Any) -> str:
    parts = []
    for name, outcomes in OUTCOMES.items():
        found = collection(name)
        parts.append(f"## {name}: {len(found.table)} runs")
        for outcome, words in outcomes.items():
            parts += [f"### {name}: the {words}", ranking(found, outcome, **draws)[0]]
            parts += [
                "By factor, the mean of tau over the groups in which it alone varies:",
                by_factor(found, outcome, **draws),
            ]
            parts += [
                "What a measure adds to what is free (Spearman's partial correlation over all runs):",
                beyond(found, outcome, **draws),
            ]
        outcome = next(iter(outcomes))
        if name == "digits":
            head = f"### digits: settings that fitted their data, against the {outcomes[outcome]}"
            parts += [head, thresholds(found, outcome, **draws)]
        parts += [f"### {name}: what goes with alpha", alike(found)]
        parts += [f"### {name}: layer by layer, against the {outcomes[outcome]}", by_layer(found, outcome, **draws)]
        parts += [f"### {name}: two seeds of one setting", spread(found)]
        parts += [
            "What a factor changes, **bold** where it is more than two seeds differ by in 95 % of cases:",
            effects(found),
        ]
        parts += [f"### {name}: on the way, against the {outcomes[outcome]}", on_the_way(found, outcome)]
    return "\n\n".join(parts)


def figure() -> Figure:
    """alpha against the error of digits: all runs, and the rank correlation factor by factor."""
    digits = collection("digits")
    ranking = rank_runs(digits.table, "alpha", "test_error", digits.factors, rng=0)
    return plot_quality(digits.table, ranking, "data", varies="data", fig=Figure(QUALITY_SIZE))


def main() -> None:
    given = pages.parser(PAGE, __doc__).parse_args()
    text = tables()
    if given.write:
        drawn = figure()
        drawn.savefig(FIGURE, dpi=100, metadata={"Software": None, "Description": alt_text(drawn)})
    pages.show(PAGE, text, given.write)


if __name__ == "__main__":
    main()
