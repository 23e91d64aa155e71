"""Does a measure know which network is good? Rank correlations over many trainings, one factor at a time.

A measure (alpha, a norm, the training loss) is held against an outcome (the test error) over a table of runs. Over all
runs that comparison mixes everything that differs between them; so it is made again among runs that differ in one
factor only, the next factor, and so on.

**Kendall's tau** of a set of pairs of runs (Kendall 1945, tau-b), with dx, dy the differences in measure and outcome:

    tau = sum sgn(dx) sgn(dy) / sqrt(sum sgn(dx)^2 sum sgn(dy)^2)

A tied pair adds 0 above, and below only to the sum in which it is not tied. Where the measure or the outcome is tied in
every pair, there is no tau.

**One factor at a time** (Jiang et al. 2020, section 4). A group is all runs that agree in all factors but one, seeds
included, and its tau is that of the pairs that differ in this factor. psi of a factor is the mean over its groups, and
Psi, the granulated coefficient, the mean of the psi. The paper has one run per setting and no rule for ties, and is
followed in all else. A group without a tau is left out. Pairs that differ in nothing but the seed make one coefficient
of their own: the mean over settings.

**Sign error** (Dziugaite et al. 2020). In an environment, the share of pairs that the measure puts in the wrong order,
(1 - sgn(dx) sgn(dy))/2 on average; 1/2 is chance. The mean over environments is told, and the worst, since a robust
measure has to hold up in each. As in the paper, pairs whose outcomes differ by their noise alone are left out, and so
are environments with fewer than 12 pairs. Three things differ. An environment of the paper is two settings that differ
in one factor, here it is a factor and two of its levels, at all settings: three seeds make 9 pairs only. The paper
weighs pairs by Hoeffding's inequality, which suits any outcome between 0 and 1; here a pair counts if its outcomes
differ by more than 1.96 standard deviations of the difference. And the noise may be given, or is taken from the seeds.

**Intervals.** Runs are not independent: three seeds share a setting, and in a star-shaped design the settings around
a base share most of theirs. What was drawn independently is the star: a base (a setting around which every factor
varies) and the settings that differ from it in one factor. In a full grid every setting is a base, and stands for
itself. A group goes with its base. Intervals are percentiles of 95 % over a bootstrap that draws whole stars, widened
for their small number as Hesterberg (2015) proposes. Stars may share settings. This matters to means over factors,
whose groups meet there: their draws are stretched by the standard error in which all groups depend on each other that
share a setting, over the one in which those of a star do. An interval says where the coefficient would lie **at other
settings of the same kind, trained from other seeds**; for other seeds at these very settings it is too wide. A seed is
taken to be drawn anew for each setting. Where seed 0 draws the same data in many settings, it does not speak of other
draws of the data. Where all groups agree, an interval has no width, though 3 in G other groups might still differ.

**Nulls.** For the coefficient over all runs: the measure belongs to other runs. Stars are shuffled as wholes, settings
within a star as wholes, seeds within a setting. For all others: within each group the order of the measure is kept or
turned round, which is a permutation of its values, for all groups of a star together. Permutations of single runs would
take seeds for independent settings.

Measured with ``benchmarks/quality.py``, on 150 tables each from 30 stars with 7 factors (950 runs) or a full grid (72
runs): the 95 % intervals hold the coefficient of other settings and seeds in 89 to 99 % (tau of all runs), 92 to 95 %
(psi), 91 to 93 % (Psi) and 92 to 94 % (the seeds) of tables; were single runs drawn, tau would be held in 75 to 93 %.
At these settings with other seeds all four are held in 95 to 100 %. Where measure and outcome have nothing in common, p
is at most 0.05 for tau in 2 to 7 %, for psi in 4 to 6 %, for Psi in 3 to 6 % and for the seeds in 3 to 5 % of tables;
were single runs shuffled, for tau in 5 to 45 %.

Where fewer than 5 stars take part there is neither interval nor p-value. The coefficient of the worst factor or
environment is that of the one found, as though it had been named before: the smallest of several is small by luck, too.

References
----------
Kendall, "The treatment of ties in ranking problems", Biometrika 33 (1945) 239.
Jiang, Neyshabur, Mobahi, Krishnan & Bengio, "Fantastic generalization measures and where to find them", ICLR 2020.
Dziugaite, Drouin, Neal, Rajkumar, Caballero, Wang, Mitliagkas & Roy, "In search of robust measures of generalization",
NeurIPS 2020.
Hesterberg, "What teachers should know about the bootstrap", American Statistician 69 (2015) 371.
Winkler, Webster, Vidaurre, Nichols & Smith, "Multi-level block permutation", NeuroImage 123 (2015) 253.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from scipy.special import ndtr, stdtrit

from .._arrays import Array, Rng, one_blas_thread
from .._repr import html_table

if TYPE_CHECKING:
    import pandas as pd

Ints = npt.NDArray[np.int64]

#: Fewer stars than this have no interval: all resamples of four look alike.
FEWEST_STARS = 5
#: Fewer pairs than this make no environment of the sign error (Dziugaite et al. 2020, there an effective number).
FEWEST_PAIRS = 12


@dataclass(frozen=True, repr=False)
class Coefficient:
    """A coefficient with its interval and p-value.

    Attributes
    ----------
    value : float
        NaN where it is not defined.
    low, high : float
        The interval of 95 %; NaN where too few runs are there for one.
    p : float
        Two-sided, (1 + draws of the null at least as far out) / (1 + draws), so never 0; NaN where none were drawn.

    Examples
    --------
    >>> Coefficient(0.312, 0.244, 0.38, 0.001), Coefficient(0.312, -0.1, 0.6, 0.15).holds_zero
    (0.31 (0.24 to 0.38, p = 0.001), True)
    """

    value: float
    low: float = np.nan
    high: float = np.nan
    p: float = np.nan

    @property
    def holds_zero(self) -> bool:
        """Whether 0 lies in the interval, or there is no interval: nothing should rest on such a coefficient."""
        return not (self.low > 0 or self.high < 0)

    def __repr__(self) -> str:
        if np.isnan(self.value):
            return "not defined"
        if np.isnan(self.low):
            return f"{self.value:.2f} (no interval)"
        p = "" if np.isnan(self.p) else f", p = {self.p:.{3 if self.p < 0.1 else 2}f}"
        return f"{self.value:.2f} ({self.low:.2f} to {self.high:.2f}{p})"


@dataclass(frozen=True)
class SignError:
    """The share of pairs in the wrong order; part of a :class:`Ranking`. Chance is 1/2, and the p-values speak of that.

    Attributes
    ----------
    mean : Coefficient
        The mean over environments.
    worst : Coefficient
        The largest.
    factor, levels : str, tuple
        The environment where it is largest.
    environments : int
        Their number.
    pairs, left_out : int
        Pairs that differ in one factor, and how many of them have outcomes that differ by their noise only.
    """

    mean: Coefficient
    worst: Coefficient
    factor: str
    levels: tuple[Any, ...]
    environments: int
    pairs: int
    left_out: int


@dataclass(frozen=True, repr=False)
class Ranking:
    """How a measure ranks runs; made by :func:`rank_runs`. The head of :mod:`rmt_lab.quality` defines each figure.

    Attributes
    ----------
    measure, outcome : str
    direction : int
        What the measure was multiplied by.
    runs, left_out : int
        Runs compared, and runs left out because a value that is needed is missing or infinite.
    stars : int
        What the bootstrap draws from.
    overall : Coefficient
        Kendall's tau of all pairs of runs.
    within : dict
        psi of every factor.
    groups : dict
        From how many groups.
    granulated : Coefficient
        Psi.
    seeds : Coefficient
        The mean tau of runs that differ in the seed only.
    sign_error : SignError
    """

    measure: str
    outcome: str
    direction: int
    runs: int
    left_out: int
    stars: int
    overall: Coefficient
    within: dict[str, Coefficient]
    groups: dict[str, int]
    granulated: Coefficient
    seeds: Coefficient
    sign_error: SignError

    @property
    def worst(self) -> tuple[str, Coefficient]:
        """The factor with the smallest psi, and that psi; ("", not defined) where no factor has one."""
        defined = {name: c for name, c in self.within.items() if not np.isnan(c.value)}
        if not defined:
            return "", Coefficient(np.nan)
        name = min(defined, key=lambda key: defined[key].value)
        return name, defined[name]

    @property
    def signs_differ(self) -> bool:
        """Simpson's paradox: over all runs one sign, one factor at a time the other, and neither interval holds 0."""
        opposite = self.overall.value * self.granulated.value < 0
        return bool(opposite and not self.overall.holds_zero and not self.granulated.holds_zero)

    def words(self) -> str:
        """What was found, in a few sentences."""
        name, worst = self.worst
        measure = self.measure if self.direction == 1 else f"-{self.measure}"
        found = [f"{measure} against {self.outcome}, {self.runs} runs: tau is {self.overall!r} over all of them"]
        found += [f"and {self.granulated!r} where one factor varies at a time."]
        if self.signs_differ:
            found += ["The signs differ (Simpson's paradox)."]
        if name:
            found += [f"The worst factor is {name}, {worst!r}."]
        if not np.isnan(self.seeds.value):
            found += [f"Where only the seed differs it is {self.seeds!r}."]
        return " ".join(found)

    def to_frame(self) -> pd.DataFrame:
        """Every coefficient in a row of its own: what it is, of which factor, value, low, high, p."""
        import pandas as pd

        rows = [("overall", "", self.overall), *(("within", *item) for item in self.within.items())]
        rows += [("granulated", "", self.granulated), ("worst", *self.worst), ("seeds", "", self.seeds)]
        rows += [("sign_error", "", self.sign_error.mean)]
        rows += [("worst_sign_error", self.sign_error.factor, self.sign_error.worst)]
        columns = ["coefficient", "factor", "value", "low", "high", "p"]
        return pd.DataFrame([(kind, name, c.value, c.low, c.high, c.p) for kind, name, c in rows], columns=columns)

    def __repr__(self) -> str:
        return self.words()

    def _repr_html_(self) -> str:
        error = self.sign_error
        rows = {"over all runs": self.overall, "one factor at a time": self.granulated}
        rows |= {f"{name} varies, {self.groups[name]} groups": c for name, c in self.within.items()}
        rows |= {"the seed varies": self.seeds, "sign error, mean": error.mean}
        if error.factor:
            rows[f"sign error, worst: {error.factor} {error.levels[0]} and {error.levels[1]}"] = error.worst
        measure = self.measure if self.direction == 1 else f"-{self.measure}"
        title = f"{measure} against {self.outcome}, {self.runs} runs"
        return html_table(title, {name: repr(c) for name, c in rows.items()})


# ----------------------------------------------------------------------------------------------------- the design


@dataclass(frozen=True, eq=False)
class _Design:
    """What of a table does not depend on the measure: its settings, its stars, and the pairs one factor apart.

    Runs are in an order of their own (by factors and seed), so that nothing depends on the order of the table's rows.
    """

    factors: list[str]
    levels: list[list[Any]]  # of each factor, in order
    rows: Ints  # where each run stands in the table
    setting: Ints  # of each run
    star: Ints  # of each run
    # pairs of runs that differ in one factor at most
    i: Ints
    j: Ints
    factor: Ints  # the one that differs; len(factors) where only the seed does
    group: Ints
    environment: Ints  # an index into environments; -1 where only the seed differs
    environments: list[tuple[int, int, int]]  # factor and two levels
    # groups
    group_factor: Ints
    group_star: Ints
    groups_of: Ints  # (settings, factors): the group in which this factor varies


def _design(table: pd.DataFrame, factors: Sequence[str], seed: str) -> _Design:
    factors = list(factors)
    coded = [_codes(table, name) for name in (*factors, seed)]
    codes, seeds = np.column_stack([c for c, _ in coded[:-1]]), coded[-1][0]
    rows = np.flatnonzero((codes >= 0).all(axis=1) & (seeds >= 0))
    rows = rows[np.lexsort((seeds[rows], *codes[rows].T[::-1]))]
    codes = codes[rows]
    settings, setting = np.unique(codes, axis=0, return_inverse=True)
    setting = setting.reshape(-1)
    S, F = settings.shape
    # a setting as one number, factor by factor; without its factor f it is the name of a group
    radix = np.cumprod([1, *(len(levels) for _, levels in coded[: F - 1])]).astype(np.int64)
    whole = settings @ radix
    group_of = [np.unique(whole - settings[:, f] * radix[f], return_inverse=True)[1] for f in range(F)]
    size = [np.bincount(g) for g in group_of]
    base = np.all([size[f][group_of[f]] > 1 for f in range(F)], axis=0)
    star, lead = np.where(base, np.arange(S), -1), []
    for f in range(F):  # the first base in each group, if there is one
        first = np.full(len(size[f]), S)
        np.minimum.at(first, group_of[f][base], np.flatnonzero(base))
        lead.append(first)
        around = first[group_of[f]]
        star = np.where((star < 0) & (around < S), around, star)
    star = np.where(star < 0, np.arange(S), star)
    group_star = []
    for f in range(F):
        first = np.full(len(size[f]), S)
        np.minimum.at(first, group_of[f], np.arange(S))
        group_star.append(star[np.where(lead[f] < S, lead[f], first)])
    group_star.append(star)  # a setting is the group of its seeds
    numbered = np.unique(np.concatenate(group_star), return_inverse=True)[1]

    apart = np.zeros((S, S), dtype=np.int16)
    for f in range(F):
        apart += settings[:, f, None] != settings[None, :, f]
    i, j = np.nonzero(np.triu(apart <= 1)[setting][:, setting])  # runs of a setting stand together, in its order
    i, j = i[i < j], j[i < j]
    differ = codes[i] != codes[j]
    factor = np.where(differ.any(axis=1), differ.argmax(axis=1), F)
    offset = np.cumsum([0, *(len(s) for s in size)])
    group = offset[factor].astype(np.int64)
    for f, of in enumerate([*group_of, np.arange(S)]):
        group[factor == f] += of[setting[i[factor == f]]]
    one, environment = factor < F, np.full(len(i), -1)
    ends = [codes[k[one], factor[one]] for k in (i, j)]
    shape = (F, int(codes.max(initial=0)) + 1, int(codes.max(initial=0)) + 1)
    found, environment[one] = np.unique(np.ravel_multi_index((factor[one], *ends), shape), return_inverse=True)
    environments = np.column_stack(np.unravel_index(found, shape))
    return _Design(
        factors=factors,
        levels=[levels for _, levels in coded[:-1]],
        rows=rows,
        setting=setting,
        star=numbered[offset[F] :][setting],
        i=i,
        j=j,
        factor=factor,
        group=group,
        environment=environment,
        environments=[(int(f), int(a), int(b)) for f, a, b in environments],
        group_factor=np.repeat(np.arange(F + 1), [*(len(s) for s in size), S]),
        group_star=numbered,
        groups_of=np.column_stack(group_of) + offset[:F],
    )


def _codes(table: pd.DataFrame, name: str) -> tuple[Ints, list[Any]]:
    import pandas as pd

    codes, levels = pd.factorize(table[name], sort=True)
    return codes.astype(np.int64), levels.tolist()


def _check(table: pd.DataFrame, factors: Sequence[str], seed: str | None, numbers: Mapping[str, Sequence[str]]) -> None:
    """All columns are there, those of numbers hold numbers, and every factor varies."""
    if isinstance(factors, str):
        raise TypeError(f"factors={factors!r}; a list of column names is allowed")
    wanted = {"factors": list(factors), "seed": [seed] if seed is not None else [], **numbers}
    for argument, names in wanted.items():
        for name in names:
            if name not in table.columns:
                there = ", ".join(map(str, table.columns))
                raise ValueError(f"{argument} names the column {name!r}; the table has {there}")
    if len({*factors, seed}) != len(factors) + 1:
        raise ValueError(f"factors={list(factors)} and seed={seed!r}; each column may be named once")
    for argument, names in numbers.items():
        for name in names:
            if table[name].dtype.kind not in "biuf":
                raise ValueError(
                    f"{argument} names the column {name!r} of type {table[name].dtype}; numbers are allowed"
                )
    for name in factors:
        if table[name].nunique() < 2:
            levels = table[name].dropna().unique().tolist()
            raise ValueError(
                f"factors names {name!r}, which is {levels} in every run; a factor has two levels at least"
            )


def _count(name: str, value: int, least: int = 0) -> int:
    if value != int(value) or value < least:
        raise ValueError(f"{name}={value}; a whole number of at least {least} is allowed")
    return int(value)


def _direction(value: int) -> int:
    if value not in (1, -1):
        raise ValueError(f"direction={value}; 1 or -1 is allowed")
    return int(value)


def _column(table: pd.DataFrame, name: str) -> Array:
    """Values, NaN where they are missing or infinite."""
    values = table[name].to_numpy(dtype=np.float64, na_value=np.nan)
    return np.where(np.isfinite(values), values, np.nan)


# ------------------------------------------------------------------------------------------- intervals and p-values


def _coefficient(value: float, draws: Array, null: Array, stars: int, centre: float = 0.0) -> Coefficient:
    """Percentiles of the bootstrap draws, and how many draws of the null are as far from the centre."""
    value, low, high, p = float(value), np.nan, np.nan, np.nan
    if stars >= FEWEST_STARS and not np.isnan(value):
        draws, null = draws[np.isfinite(draws)], null[np.isfinite(null)]
        if len(draws):
            # the percentile interval of n values is too narrow by sqrt((n-1)/n) and z/t (Hesterberg 2015)
            tail = ndtr(np.sqrt(stars / (stars - 1)) * stdtrit(stars - 1, 0.025))
            low, high = (float(x) for x in np.quantile(draws, [tail, 1 - tail]))
        if len(null):
            far = np.abs(null - centre) >= abs(value - centre) - 1e-12
            p = float((1 + np.count_nonzero(far)) / (1 + len(null)))
    return Coefficient(value, low, high, p)


def _mean(x: Array) -> Array:
    """The mean over the last axis of what is defined."""
    defined = np.isfinite(x)
    with np.errstate(invalid="ignore"):
        return np.asarray(np.where(defined, x, 0.0).sum(axis=-1) / defined.sum(axis=-1))


@dataclass(frozen=True, eq=False)
class _Means:
    """Means of several kinds of things (tau of groups, signs of pairs), and their draws. A thing belongs to a group."""

    values: Array  # (kinds,)
    draws: Array  # (bootstraps, kinds)
    null: Array  # (permutations, kinds)
    stars: Ints  # (kinds,): how many take part
    numbers: Ints  # (kinds,): of things
    things: Array
    kind: Ints  # of each thing
    group: Ints  # of each thing

    def one(self, k: int, centre: float = 0.0, sign: float = 1.0) -> Coefficient:
        value, draws, null = (centre + sign * x[..., k] for x in (self.values, self.draws, self.null))
        return _coefficient(float(value), draws, null, int(self.stars[k]), centre)

    def mean(self, kinds: Ints, design: _Design, centre: float = 0.0, sign: float = 1.0) -> Coefficient:
        """The mean over kinds; its draws are stretched for stars that share settings."""
        value, draws, null = (_mean(x[..., kinds]) for x in (self.values, self.draws, self.null))
        stretch = self._stretch(kinds, design)
        draws = np.clip(value + stretch * (draws - value), -1, 1)
        value, draws, null = (centre + sign * x for x in (value, draws, stretch * null))
        return _coefficient(float(value), draws, null, int(self.stars[kinds].max(initial=0)), centre)

    def _stretch(self, kinds: Ints, design: _Design) -> float:
        """Two standard errors of the mean over kinds, one over the other: groups depend on each other if they share a
        setting, or a star. At least 1.

        Groups of one factor have no setting in common, those of two factors one at most. With d_g the part of group g
        in the mean's deviation, the first variance is sum d_g d_h over all g, h with a common setting.
        """
        kinds = kinds[self.numbers[kinds] > 0]
        part = np.isin(self.kind, kinds)
        kind = self.kind[part]
        deviation = (self.things[part] - self.values[kind]) / (self.numbers[kind] * max(len(kinds), 1))
        d = np.bincount(self.group[part], deviation, minlength=len(design.group_star))
        at = d[design.groups_of]
        shared = np.sum(d**2) + np.sum(at.sum(axis=1) ** 2 - np.sum(at**2, axis=1))
        stars = np.sum(np.bincount(design.group_star, d) ** 2)
        return float(np.sqrt(shared / stars)) if shared > stars > 0 else 1.0


def _means(things: Array, kind: Ints, group: Ints, kinds: int, design: _Design, weights: Array, signs: Array) -> _Means:
    """Means over the things of a kind.

    With T the sum of the things per star and kind and C their number, a bootstrap is w T / w C with w the number of
    times that each star was drawn, and a draw of the null is e T / C with e a random sign per star: where the order of
    the measure is turned round, every tau changes its sign.
    """
    star, shape = design.group_star[group], (weights.shape[1], kinds)
    total, count = np.zeros(shape), np.zeros(shape)
    np.add.at(total, (star, kind), things)
    np.add.at(count, (star, kind), 1.0)
    with np.errstate(invalid="ignore", divide="ignore"):
        values = total.sum(axis=0) / count.sum(axis=0)
        draws, null = (weights @ total) / (weights @ count), (signs @ total) / count.sum(axis=0)
    stars, numbers = np.count_nonzero(count, axis=0), count.sum(axis=0).astype(np.int64)
    return _Means(values, draws, null, stars, numbers, things, kind, group)


def _overall(x: Array, y: Array, star: Ints, weights: Array) -> tuple[float, Array]:
    """tau of all pairs, and its bootstrap draws.

    A pair of two stars counts w_u w_v times, and a pair within a star w_u times: w_u^2 would count it twice on average.
    """
    dx, dy = (np.sign(v[:, None] - v[None, :]) for v in (x, y))
    U, sums, draws = weights.shape[1], [], []
    member = (star == np.arange(U)[:, None]).astype(np.float64)
    for product in (dx * dy, dx * dx, dy * dy):
        A = member @ product @ member.T
        within = np.diag(A).copy()
        between = A - np.diag(within)
        sums.append(A.sum())
        # E w_u w_v = 1 - 1/U
        draws.append(((weights @ between) * weights).sum(axis=1) * (U / max(U - 1, 1)) + weights @ within)
    with np.errstate(invalid="ignore", divide="ignore"):
        return float(sums[0] / np.sqrt(sums[1] * sums[2])), draws[0] / np.sqrt(draws[1] * draws[2])


def _shuffled(design_star: Ints, setting: Ints, rng: np.random.Generator) -> Ints:
    """A permutation of the runs that moves stars as wholes, settings within a star as wholes, seeds within a setting.

    Values are poured from the shuffled runs into the old order; where stars differ in size, their borders move.
    """
    keys = [rng.random(n) for n in (len(setting), int(setting.max()) + 1, int(design_star.max()) + 1)]
    shuffled = np.lexsort((keys[0], keys[1][setting], keys[2][design_star]))
    result = np.empty(len(setting), dtype=np.int64)
    result[np.lexsort((setting, design_star))] = shuffled
    return result


def _overall_null(x: Array, y: Array, star: Ints, setting: Ints, draws: int, rng: np.random.Generator) -> Array:
    """tau of all pairs after shuffles of the measure: concordant less discordant pairs, over the same denominator."""
    order = np.argsort(y, kind="stable")
    rises = y[order][:, None] < y[order][None, :]
    ranks = np.unique(x, return_inverse=True)[1].reshape(-1).astype(np.int32)
    n, ties = len(x), np.bincount(ranks).astype(np.float64)
    pairs_y = np.count_nonzero(rises)
    pairs_x = (n * n - np.sum(ties**2)) / 2
    seen, null = np.empty((n, n), dtype=np.bool_), np.empty(draws)
    for k in range(draws):
        r = ranks[_shuffled(star, setting, rng)][order]
        np.less(r[:, None], r[None, :], out=seen)
        concordant = np.count_nonzero(np.logical_and(seen, rises, out=seen))
        if ties.max() > 1:
            np.greater(r[:, None], r[None, :], out=seen)
            discordant = np.count_nonzero(np.logical_and(seen, rises, out=seen))
        else:
            discordant = pairs_y - concordant
        null[k] = concordant - discordant
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(null / np.sqrt(pairs_x * pairs_y))


def _resamples(stars: int, bootstraps: int, rng: np.random.Generator) -> Array:
    """How often each star is drawn, a row per bootstrap."""
    return rng.multinomial(stars, np.full(stars, 1 / stars), size=bootstraps).astype(np.float64)


# ----------------------------------------------------------------------------------------------------- what is asked


def rank_runs(
    table: pd.DataFrame,
    measure: str,
    outcome: str,
    factors: Sequence[str],
    *,
    seed: str = "seed",
    direction: int = 1,
    noise: float | str | None = None,
    bootstraps: int = 1000,
    permutations: int = 999,
    rng: Rng = None,
) -> Ranking:
    """How well a measure ranks runs by their outcome: over all of them, and where one factor varies at a time.

    The head of :mod:`rmt_lab.quality` has the definitions, their sources, and what intervals and p-values speak of.

    Parameters
    ----------
    table : DataFrame
        A row per run. Runs in which a column that is needed is missing or infinite are left out.
    measure, outcome : str
        Columns of numbers. They agree where a larger measure goes with a larger outcome.
    factors : sequence of str
        All columns that were varied, numbers or text. Were one missing, its levels would count as seeds.
    seed : str, default "seed"
        The column that tells runs of one setting apart.
    direction : {1, -1}
        The measure is multiplied by it, for measures of which a small value is said to go with a large outcome.
    noise : float or str, optional
        Standard deviation of the error with which the outcome of one run is known, for the sign error: a number, or a
        column. By default it is the standard deviation between seeds, which is larger: it also holds what the outcome
        really differs by.
    bootstraps, permutations : int
        Draws of the interval and of the null. With 0 there is none.
    rng : Generator, int or None

    Returns
    -------
    Ranking

    Raises
    ------
    ValueError
        If a column is unknown or named twice, measure, outcome or noise holds no numbers, a factor has one level, or a
        number is out of range.

    Examples
    --------
    The measure falls with the error when only the width varies, and rises with it over all runs:

    >>> import numpy as np, pandas as pd
    >>> rng = np.random.default_rng(0)
    >>> runs = pd.DataFrame(
    ...     [(data, width, seed) for data in range(12) for width in range(3) for seed in range(3)],
    ...     columns=["data", "width", "seed"],
    ... )
    >>> runs["alpha"] = -runs["data"] + 0.5 * runs["width"] + 0.1 * rng.normal(size=len(runs))
    >>> runs["test_error"] = -runs["data"] - 0.5 * runs["width"] + 0.1 * rng.normal(size=len(runs))
    >>> found = rank_runs(runs, "alpha", "test_error", ["data", "width"], rng=0)
    >>> found.overall
    0.84 (0.79 to 0.89, p = 0.001)
    >>> found.worst
    ('width', -1.00 (-1.00 to -1.00, p = 0.002))
    """
    noises = [noise] if isinstance(noise, str) else []
    _check(table, factors, seed, {"measure": [measure], "outcome": [outcome], "noise": noises})
    if not factors:
        raise ValueError("factors=[]; one column at least is allowed")
    design = _design(table, factors, seed)
    rng = np.random.default_rng(rng)
    return _rank(table, design, measure, outcome, direction, noise, bootstraps, permutations, rng)


def _rank(
    table: pd.DataFrame,
    design: _Design,
    measure: str,
    outcome: str,
    direction: int,
    noise: float | str | None,
    bootstraps: int,
    permutations: int,
    rng: np.random.Generator,
) -> Ranking:
    direction = _direction(direction)
    bootstraps, permutations = _count("bootstraps", bootstraps), _count("permutations", permutations)
    x, y = direction * _column(table, measure)[design.rows], _column(table, outcome)[design.rows]
    error = _noise(table, design, y, noise)
    known = np.isfinite(x) & np.isfinite(y) & np.isfinite(error)
    star = np.unique(design.star[known], return_inverse=True)[1].reshape(-1) if known.any() else design.star[known]
    F, U = len(design.factors), int(design.star.max(initial=-1)) + 1
    # a stream each: an interval is the same whether there are p-values or not
    rng, null_rng = (np.random.default_rng(rng.integers(2**63)) for _ in range(2))
    signs = null_rng.choice([-1.0, 1.0], size=(permutations, U))
    weights = _resamples(U, bootstraps, rng) if U else np.zeros((bootstraps, 0))

    pair = known[design.i] & known[design.j]
    i, j, factor, group = design.i[pair], design.j[pair], design.factor[pair], design.group[pair]
    sx, sy = np.sign(x[i] - x[j]), np.sign(y[i] - y[j])
    sums = [np.bincount(group, product, minlength=len(design.group_star)) for product in (sx * sy, sx * sx, sy * sy)]
    there = np.flatnonzero(sums[1] * sums[2] > 0)
    tau = sums[0][there] / np.sqrt(sums[1][there] * sums[2][there])
    with one_blas_thread():
        psi = _means(tau, design.group_factor[there], there, F + 1, design, weights, signs)
        noisy = np.abs(y[i] - y[j]) <= 1.96 * np.hypot(error[i], error[j])
        use = ~noisy & (factor < F)
        kinds, environment = len(design.environments), design.environment[pair][use]
        pairs = _means((sx * sy)[use], environment, group[use], kinds, design, weights, signs)
        overall = Coefficient(np.nan)
        if known.sum() > 1:
            V = int(star.max()) + 1
            value, draws = _overall(x[known], y[known], star, _resamples(V, bootstraps, rng))
            null = np.empty(0)
            if V >= FEWEST_STARS and np.isfinite(value):
                setting = np.unique(design.setting[known], return_inverse=True)[1].reshape(-1)
                null = _overall_null(x[known], y[known], star, setting, permutations, null_rng)
            overall = _coefficient(value, draws, null, V)
    return Ranking(
        measure=measure,
        outcome=outcome,
        direction=direction,
        runs=int(known.sum()),
        left_out=len(table) - int(known.sum()),
        stars=len(np.unique(star)),
        overall=overall,
        within={name: psi.one(f) for f, name in enumerate(design.factors)},
        groups={name: int(psi.numbers[f]) for f, name in enumerate(design.factors)},
        granulated=psi.mean(np.arange(F), design),
        seeds=psi.one(F),
        sign_error=_sign_error(design, pairs, int(np.sum(factor < F)), int(np.sum(noisy & (factor < F)))),
    )


def _sign_error(design: _Design, pairs: _Means, number: int, left_out: int) -> SignError:
    """From the means of sgn(dx) sgn(dy): an error is half of one less that."""
    enough = np.flatnonzero(pairs.numbers >= FEWEST_PAIRS)
    if not len(enough):
        return SignError(Coefficient(np.nan), Coefficient(np.nan), "", (), 0, number, left_out)
    worst = int(enough[np.argmin(pairs.values[enough])])
    f, *levels = design.environments[worst]
    return SignError(
        mean=pairs.mean(enough, design, 0.5, -0.5),
        worst=pairs.one(worst, 0.5, -0.5),
        factor=design.factors[f],
        levels=tuple(design.levels[f][level] for level in levels),
        environments=len(enough),
        pairs=number,
        left_out=left_out,
    )


def _noise(table: pd.DataFrame, design: _Design, y: Array, noise: float | str | None) -> Array:
    """The noise of each run's outcome."""
    if isinstance(noise, str):
        return _column(table, noise)[design.rows]
    if noise is None:
        noise = _pooled(y, design.setting)[0]
        noise = 0.0 if np.isnan(noise) else noise
    if not 0 <= noise < np.inf:
        raise ValueError(f"noise={noise}; a finite number that is not negative, a column or None is allowed")
    return np.full(len(y), float(noise))


def _pooled(y: Array, setting: Ints) -> tuple[float, Array, Ints]:
    """Standard deviation between the runs of a setting, pooled over settings; their means and numbers of runs."""
    known = np.isfinite(y)
    setting = np.unique(setting[known], return_inverse=True)[1].reshape(-1)
    number = np.bincount(setting)
    means = np.bincount(setting, y[known]) / number
    freedom = len(setting) - len(number)
    squares = np.sum((y[known] - means[setting]) ** 2)
    return float(np.sqrt(squares / freedom)) if freedom else np.nan, means, number


def rank_measures(
    table: pd.DataFrame,
    measures: Sequence[str],
    outcome: str,
    factors: Sequence[str],
    *,
    seed: str = "seed",
    direction: int | Mapping[str, int] = 1,
    noise: float | str | None = None,
    bootstraps: int = 1000,
    permutations: int = 999,
    rng: Rng = None,
) -> pd.DataFrame:
    """:func:`rank_runs` for several measures, a row per measure, from the same random numbers.

    Parameters
    ----------
    table, outcome, factors, seed, noise, bootstraps, permutations, rng
        As for :func:`rank_runs`.
    measures : sequence of str
    direction : int or mapping
        One for all, or one per measure; those that are not named have 1.

    Returns
    -------
    DataFrame
        Indexed by measure. The columns ``overall``, ``granulated``, ``worst``, ``seeds``, ``sign_error`` and
        ``worst_sign_error``, each followed by its ``_low``, ``_high`` and ``_p``; ``worst_factor``,
        ``worst_environment`` (factor, level, level), ``runs``, ``left_out`` and ``signs_differ``.

    Raises
    ------
    ValueError
        As :func:`rank_runs`.

    Examples
    --------
    >>> import numpy as np, pandas as pd
    >>> rows = [(a, b, seed) for a in range(6) for b in range(2) for seed in range(3)]
    >>> runs = pd.DataFrame(rows, columns=["a", "b", "seed"])
    >>> runs["good"], runs["bad"], runs["error"] = runs["a"] + runs["b"], -runs["a"], runs["a"] + runs["b"]
    >>> rank_measures(runs, ["good", "bad"], "error", ["a", "b"], rng=0)[["overall", "granulated", "worst_factor"]]
              overall  granulated worst_factor
    measure
    good     1.000000         1.0            a
    bad     -0.909122        -1.0            a
    """
    import pandas as pd

    if isinstance(measures, str):
        raise TypeError(f"measures={measures!r}; a list of column names is allowed")
    noises = [noise] if isinstance(noise, str) else []
    _check(table, factors, seed, {"measures": measures, "outcome": [outcome], "noise": noises})
    if not factors:
        raise ValueError("factors=[]; one column at least is allowed")
    design, rows = _design(table, factors, seed), []
    start = rng if isinstance(rng, int) else int(np.random.default_rng(rng).integers(2**63))  # those of rank_runs
    for measure in measures:
        sign = direction.get(measure, 1) if isinstance(direction, Mapping) else direction
        drawn = np.random.default_rng(start)
        found = _rank(table, design, measure, outcome, sign, noise, bootstraps, permutations, drawn)
        error = found.sign_error
        named = {"overall": found.overall, "granulated": found.granulated, "worst": found.worst[1]}
        named |= {"seeds": found.seeds, "sign_error": error.mean, "worst_sign_error": error.worst}
        row: dict[str, Any] = {"measure": measure}
        for name, c in named.items():
            row |= {name: c.value, f"{name}_low": c.low, f"{name}_high": c.high, f"{name}_p": c.p}
        row |= {"worst_factor": found.worst[0], "worst_environment": (error.factor, *error.levels)}
        rows.append(row | {"runs": found.runs, "left_out": found.left_out, "signs_differ": found.signs_differ})
    return pd.DataFrame(rows).set_index("measure")


def partial_rank(
    table: pd.DataFrame,
    measure: str,
    outcome: str,
    given: Sequence[str],
    *,
    factors: Sequence[str] = (),
    seed: str = "seed",
    direction: int = 1,
    bootstraps: int = 1000,
    permutations: int = 999,
    rng: Rng = None,
) -> Coefficient:
    """Spearman's rank correlation of measure and outcome, given other columns: does the measure add to what they tell?

    All columns are replaced by their ranks (ties share the mean). Measure and outcome are regressed on the given
    columns by least squares, and the coefficient is Pearson's correlation of what is left of the two. What is left is
    free of the *linear* part of the given ranks only.

    The interval is the 95 % bootstrap over stars as in :mod:`rmt_lab.quality`, ranks taken anew in each resample. The
    null keeps what the given columns explain of the outcome, and shuffles its residuals between runs (Freedman & Lane
    1983), stars as wholes.

    Parameters
    ----------
    table, measure, outcome, seed, direction, bootstraps, permutations, rng
        As for :func:`rank_runs`.
    given : sequence of str
        One or more columns of numbers.
    factors : sequence of str
        All columns that were varied: they tell which runs belong to one star. Without, runs count as independent.

    Returns
    -------
    Coefficient
        NaN where too few runs are left or the given columns leave nothing of measure or outcome.

    Raises
    ------
    ValueError
        As :func:`rank_runs`, and if no column is given.

    References
    ----------
    Freedman & Lane, "A nonstochastic interpretation of reported significance levels", J. Business & Economic Statistics
    1 (1983) 292; compared with others by Winkler et al., NeuroImage 92 (2014) 381.

    Examples
    --------
    Two measures of the same size tell of the outcome nothing but that size:

    >>> import numpy as np, pandas as pd
    >>> rng = np.random.default_rng(0)
    >>> size = rng.normal(size=300)
    >>> runs = pd.DataFrame({"size": size, "seed": range(300)})
    >>> runs["norm"], runs["error"] = size + rng.normal(size=300), size + rng.normal(size=300)
    >>> rank_runs(runs.assign(half=runs["seed"] % 2), "norm", "error", ["half"], rng=0).overall.value > 0.2
    True
    >>> partial_rank(runs, "norm", "error", ["size"], rng=0).holds_zero
    True
    """
    if isinstance(given, str):
        raise TypeError(f"given={given!r}; a list of column names is allowed")
    if not given:
        raise ValueError("given=[]; one column at least is allowed")
    _check(table, factors, seed if factors else None, {"measure": [measure], "outcome": [outcome], "given": given})
    direction = _direction(direction)
    bootstraps, permutations = _count("bootstraps", bootstraps), _count("permutations", permutations)
    rng = np.random.default_rng(rng)
    if factors:
        design = _design(table, factors, seed)
        rows, setting, star = design.rows, design.setting, design.star
    else:
        rows = setting = star = np.arange(len(table))
    values = np.column_stack([_column(table, name)[rows] for name in (measure, outcome, *given)])
    values[:, 0] *= direction
    known = np.isfinite(values).all(axis=1)
    n, k = int(known.sum()), len(given)
    if n < k + 4:
        return Coefficient(np.nan)
    values = values[known]
    setting, star = (np.unique(v[known], return_inverse=True)[1].reshape(-1) for v in (setting, star))
    U = int(star.max()) + 1
    with one_blas_thread():
        value = float(_partial(values, np.ones((1, n)))[0])
        draws = _partial(values, _resamples(U, bootstraps, rng)[:, star])
        null = np.empty(0)
        if permutations and np.isfinite(value):
            ranks = _ranks(values, np.ones((1, n)))[0]
            Z = np.column_stack([np.ones(n), ranks[:, 2:]])
            left = ranks[:, :2] - Z @ np.linalg.lstsq(Z, ranks[:, :2])[0]
            e = np.column_stack([left[_shuffled(star, setting, rng), 1] for _ in range(permutations)])
            e = e - Z @ np.linalg.lstsq(Z, e)[0]
            null = (left[:, 0] @ e) / (np.linalg.norm(left[:, 0]) * np.linalg.norm(e, axis=0))
    return _coefficient(value, draws, null, U)


def _ranks(values: Array, weights: Array) -> Array:
    """Ranks of each column where row i is there weights[b, i] times: the number below it and half of those tied."""
    result = np.empty((len(weights), *values.shape))
    for k, column in enumerate(values.T):
        level = np.unique(column, return_inverse=True)[1].reshape(-1)
        order = np.argsort(level, kind="stable")
        starts = np.searchsorted(level[order], np.arange(level.max() + 1))
        number = np.add.reduceat(weights[:, order], starts, axis=1)
        result[:, :, k] = (np.cumsum(number, axis=1) - number / 2)[:, level]
    return result


def _partial(values: Array, weights: Array) -> Array:
    """Partial rank correlation of the first two columns given the others, for each row of weights.

    The covariance of the residuals is that of the ranks less what the others explain, C - C_z Z^-1 C_z^T.
    """
    result = np.empty(len(weights))
    for b in range(0, len(weights), 100):  # a hundred at a time: ranks of all would fill the memory
        w = weights[b : b + 100]
        ranks = _ranks(values, w) / w.sum(axis=1)[:, None, None]
        ranks -= (ranks * w[:, :, None]).sum(axis=1, keepdims=True) / w.sum(axis=1)[:, None, None]
        C = np.swapaxes(ranks * w[:, :, None], 1, 2) @ ranks / w.sum(axis=1)[:, None, None]
        Cz = C[:, :2, 2:]
        left = C[:, :2, :2] - Cz @ np.linalg.pinv(C[:, 2:, 2:], rcond=1e-10, hermitian=True) @ np.swapaxes(Cz, 1, 2)
        x, y = left[:, 0, 0], left[:, 1, 1]
        with np.errstate(invalid="ignore", divide="ignore"):
            r = left[:, 0, 1] / np.sqrt(x * y)
        result[b : b + 100] = np.where((x > 1e-9) & (y > 1e-9), r, np.nan)  # ranks of uniform values have variance 1/12
    return result


def seed_spread(
    table: pd.DataFrame, measures: Sequence[str], factors: Sequence[str], seed: str = "seed"
) -> pd.DataFrame:
    """How far apart two seeds lie, for each measure: what a difference between two runs has to exceed.

    The standard deviation s between runs of one setting is pooled over settings. The variance between settings is that
    of their means less s^2 mean(1/n), what the seeds alone put there (n runs in a setting); 0 if that is negative.

    Parameters
    ----------
    table : DataFrame
        A row per run. Runs in which a measure is missing or infinite are left out of that measure.
    measures, factors : sequence of str
    seed : str, default "seed"

    Returns
    -------
    DataFrame
        Indexed by measure: ``seeds`` (s), ``settings`` (the standard deviation between settings), ``ratio`` (settings
        over seeds), ``difference_95`` (5 % of the pairs of runs of one setting differ by more; counted, since a few
        settings whose seeds lie far apart make s large for all), ``runs``. NaN where no setting has two runs.

    Raises
    ------
    ValueError
        As :func:`rank_runs`.

    Examples
    --------
    >>> import pandas as pd
    >>> runs = pd.DataFrame({"width": [1, 1, 2, 2], "seed": [0, 1, 0, 1], "alpha": [3.0, 3.2, 4.0, 4.2]})
    >>> seed_spread(runs, ["alpha"], ["width"]).round(3)
             seeds  settings  ratio  difference_95  runs
    measure
    alpha    0.141       0.7   4.95            0.2     4
    """
    import pandas as pd

    if isinstance(measures, str):
        raise TypeError(f"measures={measures!r}; a list of column names is allowed")
    _check(table, factors, seed, {"measures": measures})
    if not factors:
        raise ValueError("factors=[]; one column at least is allowed")
    design, rows = _design(table, factors, seed), []
    for measure in measures:
        y = _column(table, measure)[design.rows]
        s, means, number = _pooled(y, design.setting)
        between = np.nan
        if len(means) > 1:
            variance = float(np.var(means, ddof=1) - s**2 * np.mean(1 / number))
            between = float(np.sqrt(max(variance, 0.0)))
        ratio = between / s if s > 0 else np.nan
        rows.append((measure, s, between, ratio, _apart(y, design), int(number.sum())))
    columns = ["measure", "seeds", "settings", "ratio", "difference_95", "runs"]
    return pd.DataFrame(rows, columns=columns).set_index("measure")


def _apart(y: Array, design: _Design) -> float:
    """What 95 % of the pairs of runs of one setting differ by at most."""
    alone = design.factor == len(design.factors)
    apart = np.abs(y[design.i[alone]] - y[design.j[alone]])
    apart = apart[np.isfinite(apart)]
    return float(np.quantile(apart, 0.95)) if len(apart) else np.nan
