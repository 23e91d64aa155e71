"""Are the intervals and p-values of `rmt_lab.quality` what they say? Tables of runs whose truth is known.

    python -m benchmarks.quality    about eight minutes

A table has a measure and an outcome that depend on the factors (main effects), on the setting (a random part of its
own) and on the seed; the parts of measure and outcome may be correlated. Two designs: stars, 30 random bases with all
that differ from them in one of 7 factors, 3 seeds; and a full grid of 3 x 2 x 2 x 2 settings, 3 seeds. The truth is the
mean coefficient over many other tables (new settings), or over other seeds at the same settings (new seeds). Beside the
stars that the library draws, the same bootstrap draws settings, or runs, as though those were independent; and the same
null shuffles single runs. Everything is drawn from fixed seeds.
"""

from __future__ import annotations

import time
from dataclasses import replace
from itertools import product
from typing import Any

import numpy as np
import pandas as pd

from rmt_lab._arrays import Array
from rmt_lab.trainings import quality

Found = list[list[quality.Coefficient]]
LEVELS = {"data": 4, "noise": 3, "width": 2, "batch": 3, "rate": 3, "decay": 2, "optimiser": 2}
GRID = {"data": 3, "schedule": 2, "batch": 2, "rate": 2}
SEEDS, BASES = 3, 30
ENDS = ("value", "low", "high")
COEFFICIENTS = ("overall tau", "psi, mean over factors", "Psi", "seeds")


class World:
    """How measure and outcome depend on factors, settings and seeds."""

    def __init__(self, levels: dict[str, int], main: float, setting: float, seed: float, apart: bool = False) -> None:
        """Standard deviations of the parts; `apart`: measure and outcome have nothing in common."""
        rng = np.random.default_rng(7)
        self.levels, self.setting, self.seed = levels, setting, seed
        self.rho = (0.0, 0.0) if apart else (0.4, 0.2)  # correlation of the parts of settings, and of seeds
        self.effects = {}
        for k, (name, n) in enumerate(levels.items()):
            x, y = main * rng.normal(size=n), main * rng.normal(size=n)
            # apart: one factor moves the measure, another the outcome
            self.effects[name] = (x * (k % 2 == 0), y * (k % 2 == 1)) if apart else (x, 0.5 * x + 0.5 * y)

    def settings(self, rng: np.random.Generator) -> tuple[pd.DataFrame, Array]:
        """The settings of a table, and the means of measure and outcome in each."""
        names, counts = list(self.levels), list(self.levels.values())
        if len(names) == len(LEVELS):
            bases = rng.integers(0, counts, size=(BASES, len(counts)))
            chosen = {tuple(b) for b in bases}
            chosen |= {
                (*b[:f], level, *b[f + 1 :])
                for b in map(tuple, bases)
                for f, n in enumerate(counts)
                for level in range(n)
            }
            codes = np.array(sorted(chosen))
        else:
            codes = np.array(list(product(*map(range, counts))))
        means = np.zeros((len(codes), 2))
        for f, name in enumerate(names):
            means += np.column_stack([effect[codes[:, f]] for effect in self.effects[name]])
        return pd.DataFrame(codes, columns=names), means + self.setting * pair(len(codes), self.rho[0], rng)

    def runs(self, settings: pd.DataFrame, means: Array, rng: np.random.Generator) -> pd.DataFrame:
        where = np.repeat(np.arange(len(settings)), SEEDS)
        xy = means[where] + self.seed * pair(len(where), self.rho[1], rng)
        seeds = np.tile(np.arange(SEEDS), len(settings))
        return settings.iloc[where].reset_index(drop=True).assign(seed=seeds, measure=xy[:, 0], outcome=xy[:, 1])


def pair(n: int, rho: float, rng: np.random.Generator) -> Array:
    """Pairs of standard normal values with this correlation."""
    z = rng.normal(size=(n, 2))
    return np.column_stack([z[:, 0], rho * z[:, 0] + np.sqrt(1 - rho**2) * z[:, 1]])


WORLDS = {
    "stars": World(LEVELS, 1.0, 0.7, 0.7),
    "stars, mostly seeds": World(LEVELS, 0.2, 0.1, 1.0),
    "grid": World(GRID, 1.0, 0.7, 0.7),
}
NULLS = {
    "stars, seeds alone": World(LEVELS, 0.0, 0.0, 1.0, apart=True),
    "stars, settings": World(LEVELS, 0.0, 1.0, 0.3, apart=True),
    "stars, factors": World(LEVELS, 1.0, 0.3, 0.3, apart=True),
    "grid, seeds alone": World(GRID, 0.0, 0.0, 1.0, apart=True),
    "grid, settings": World(GRID, 0.0, 1.0, 0.3, apart=True),
    "grid, factors": World(GRID, 1.0, 0.3, 0.3, apart=True),
}


def drawn(unit: str, table: pd.DataFrame, levels: dict[str, int], rng: int, draws: tuple[int, int]) -> Found:
    """The coefficients, in the order of COEFFICIENTS, where these units are drawn and shuffled; of runs tau alone."""
    design = quality._design(table, list(levels), "seed")
    if unit == "settings":  # each group by itself, named by its first setting
        first = np.full(len(design.group_factor), int(design.setting.max()) + 1)
        np.minimum.at(first, design.group, design.setting[design.i])
        design = replace(design, star=design.setting, group_star=np.where(first > design.setting.max(), 0, first))
    if unit == "runs":
        x, y = (table[name].to_numpy()[design.rows] for name in ("measure", "outcome"))
        n, generator = len(x), np.random.default_rng(rng)
        one = np.arange(n)
        value, boot = quality._overall(x, y, one, quality._resamples(n, draws[0], generator))
        null = quality._overall_null(x, y, one, one, draws[1], generator)
        return [[quality._coefficient(value, boot, null, n)], [], [], []]
    found = quality._rank(table, design, "measure", "outcome", 1, None, *draws, np.random.default_rng(rng))
    return [[found.overall], list(found.within.values()), [found.granulated], [found.seeds]]


def coverage(tables: int = 150, choices: int = 5) -> None:
    """Against the mean over all tables, which is as good as the truth: its error is 1/sqrt(150) of a standard error."""
    print(f"Coverage of the 95 % intervals, in %, {tables} tables (simulation error 1.8 %)\n")
    print("| design | other | drawn | " + " | ".join(COEFFICIENTS) + " |")
    print("| --- " * (3 + len(COEFFICIENTS)) + "|")
    for name, world in WORLDS.items():
        rng = np.random.default_rng(1)
        found: dict[str, list[Found]] = {"stars": [], "settings": [], "runs": []}
        for t in range(tables):
            table = world.runs(*world.settings(rng), rng)
            for unit, kept in found.items():
                kept.append(drawn(unit, table, world.levels, t, (400, 0)))
        for unit, kept in found.items():
            print_row(name, "settings", unit, inside(kept))
        shares = []
        for _ in range(choices):  # settings chosen once, trained from other seeds
            fixed = world.settings(rng)
            seen = range(tables // choices)
            shares.append(inside([drawn("stars", world.runs(*fixed, rng), world.levels, t, (400, 0)) for t in seen]))
        print_row(name, "seeds", "stars", list(np.mean(shares, axis=0)))


def inside(tables: list[Found]) -> list[float]:
    """The share of intervals that hold the mean over the tables, for each of COEFFICIENTS."""
    shares = []
    for several in zip(*tables, strict=True):
        value, low, high = (np.array([[getattr(c, end) for c in group] for group in several]) for end in ENDS)
        mean = np.nanmean(value, axis=0) if value.size else value
        shares.append(float(np.mean((low <= mean) & (mean <= high))) if value.size else np.nan)
    return shares


def print_row(*cells: Any) -> None:
    *names, shares = cells
    print(
        f"| {' | '.join(names)} | " + " | ".join("" if np.isnan(x) else f"{100 * x:.0f}" for x in shares) + " |",
        flush=True,
    )


def level(tables: int = 150, permutations: int = 99) -> None:
    print(f"\np <= 0.05 where measure and outcome have nothing in common, in % of {tables} tables (5 is right)\n")
    print("| design, and what varies | shuffled | " + " | ".join(COEFFICIENTS) + " |")
    print("| --- " * (2 + len(COEFFICIENTS)) + "|")
    for name, world in NULLS.items():
        rng = np.random.default_rng(2)
        small: dict[str, list[list[list[float]]]] = {"stars": [], "runs": []}
        for t in range(tables):
            table = world.runs(*world.settings(rng), rng)
            for unit, kept in small.items():
                kept.append([[c.p for c in g] for g in drawn(unit, table, world.levels, t, (0, permutations))])
        for unit, kept in small.items():
            p = [np.array(several) for several in zip(*kept, strict=True)]
            print_row(name, unit, [np.mean(v[np.isfinite(v)] <= 0.05) if v.size else np.nan for v in p])


def speed() -> None:
    world, rng = WORLDS["stars"], np.random.default_rng(3)
    table = world.runs(*world.settings(rng), rng)
    print(f"\nSeconds of processor time for {len(table)} runs and {len(world.levels)} factors")
    for draws in ((1000, 999), (200, 0)):
        start = time.process_time()
        quality.rank_runs(table, "measure", "outcome", list(LEVELS), bootstraps=draws[0], permutations=draws[1], rng=0)
        print(f"  {draws[0]} bootstraps, {draws[1]} permutations: {time.process_time() - start:.2f}")


if __name__ == "__main__":
    coverage()
    level()
    speed()
