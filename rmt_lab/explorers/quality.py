"""Many trainings: a measure of the weights against the test error, over all runs and with all else held fixed."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from traitlets import validate

from .. import trainings
from ..plotting import style
from ..plotting.quality import (
    QUALITY_SIZE,
    QUANTITIES,
    SEED,
    Group,
    group_tau,
    level_name,
    plot_quality,
    quantity,
    run_groups,
    told,
)
from ..trainings.quality import Coefficient, Ranking, rank_runs, seed_spread
from .base import Model, choice, number
from .view import LinkedExplorer

if TYPE_CHECKING:
    from matplotlib.figure import Figure

COLLECTIONS = ("digits", "text")
NOTHING, ALL_BUT, THE_SEED = "nothing", "all but ", "the seed"
_OUTCOMES = ("test_error", "test_loss", "gap_error", "gap_loss")
#: What may be chosen, and its column.
OUTCOMES = {quantity(column).name: column for column in _OUTCOMES}
MEASURES = {q.name: column for column, q in QUANTITIES.items() if column not in _OUTCOMES}
MOST_GROUPS = 999
AGREE = "The signs agree."
_BOOTSTRAPS = 200  # enough for a picture, and quick

_collection = lru_cache(maxsize=2)(trainings.collection)


class QualityModel(Model):
    """A collection, a measure and an outcome, what is held fixed, and one group of runs among all of them."""

    collection = choice(COLLECTIONS, "collection")
    measure = choice(tuple(MEASURES), "measure")
    outcome = choice(tuple(OUTCOMES), "outcome")
    mark = choice(lambda m: list(m.factors()), "marked by", "data")
    fixed = choice(lambda m: m.may_be_fixed(), "held fixed", NOTHING)
    group = number(0, 0, MOST_GROUPS, step=1, label="group no., 0 for all")

    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "the published comparison": {},
        "one factor at a time": {"mark": "rate", "fixed": f"{ALL_BUT}rate"},
        "Simpson's paradox": {"fixed": f"{ALL_BUT}data"},
        "seeds only": {"fixed": f"{ALL_BUT}{THE_SEED}"},
    }
    swept = "group"
    figsize = QUALITY_SIZE
    dependent: ClassVar[tuple[str, ...]] = ("mark", "fixed")

    def factors(self) -> tuple[str, ...]:
        """The settings that were varied in the present collection."""
        return _collection(self.collection).factors

    def may_be_fixed(self) -> list[str]:
        """What may be held fixed within a group."""
        return [NOTHING, *(f"{ALL_BUT}{factor}" for factor in (*self.factors(), THE_SEED))]

    def varies(self) -> str | None:
        """What varies within a group: a factor or the seed; None where nothing is held fixed."""
        if self.fixed == NOTHING:
            return None
        varies = self.fixed.removeprefix(ALL_BUT)
        return SEED if varies == THE_SEED else varies

    def groups(self) -> tuple[Group, ...]:
        """The present groups."""
        return _groups(self.collection, self.varies())

    def place(self) -> int:
        """The number of the group that is shown before all others; beyond the last one, the last one."""
        return min(self.group, len(self.groups()))

    def chosen(self) -> Group | None:
        """That group."""
        return self.groups()[self.place() - 1] if self.place() else None

    def limits(self, name: str) -> tuple[float, float]:
        """As many groups as there are."""
        return (0, len(self.groups())) if name == "group" else super().limits(name)

    @validate("group")
    def _at_most_the_last(self, proposal: Any) -> int:
        known = self.fixed in self.may_be_fixed()  # if not, it is about to change
        return int(min(proposal.value, self.limits("group")[1]) if known else proposal.value)

    def idle(self) -> Collection[str]:
        """The seed draws the bootstrap of the intervals; all controls do something."""
        return ()

    def compute(self) -> Ranking:
        """All coefficients of the measure."""
        return _ranking(self.collection, MEASURES[self.measure], OUTCOMES[self.outcome], self.seed)

    def draw(self, fig: Figure) -> Figure:
        """Runs and coefficients."""
        return plot_quality(
            _collection(self.collection).table, self.result, self.mark, self.varies(), self.place(), fig
        )

    def sentence(self) -> str:
        """The correlation over all runs and within groups, whether their signs differ, and what seeds do alone."""
        r: Ranking = self.result
        said = [f"{style.sentence('', self.measure)} against {self.outcome}, {r.runs} runs of {self.collection}:"]
        said += [f"{_told(r.overall)} over all runs,", f"{_told(r.granulated)} where one factor varies at a time."]
        groups, compared = self._of_groups(r), _compared(r)
        if compared == AGREE and "Simpson's" in groups:  # the mean over factors agrees, this factor does not
            compared = ""
        said += [compared, groups, self._of_seeds(), self._of_the_mark()]
        return " ".join(part for part in said if part)

    def _of_groups(self, r: Ranking) -> str:
        varies, chosen = self.varies(), self.chosen()
        if chosen is not None:
            return self._of_the_chosen(r, chosen)
        if varies is None:
            name, worst = r.worst
            return f"The worst factor is {name}: {_told(worst)}.{_alone(worst, r)}" if name else ""
        if varies == SEED:
            return f"Where only the seed varies: {_told(r.seeds)}.{_nothing_said(r.seeds)}"
        c = r.within[varies]
        return f"Where only {varies} varies, {r.groups[varies]} groups: {_told(c)}.{_alone(c, r)}"

    def _of_the_chosen(self, r: Ranking, chosen: Group) -> str:
        varies = self.varies()
        who = f"Group {self.place()} of {len(self.groups())} ({chosen.name}; {style.count(len(chosen.rows), 'run')})"
        if varies == SEED:
            part = _collection(self.collection).table.iloc[chosen.rows]
            spans = [f"{quantity(c).name} {_from_to(part[c], c)}" for c in (r.measure, r.outcome)]
            return f"{who}: {' and '.join(spans)}."
        c = _group_tau(self.collection, r.measure, r.outcome, self.seed, varies, self.place())
        alone = " One group alone has no interval." if varies and not np.isnan(c.value) else _nothing_said(c)
        return f"{who}: {_told(c)}.{alone}"

    def _of_seeds(self) -> str:
        columns = MEASURES[self.measure], OUTCOMES[self.outcome]
        found = {c: _spread(self.collection, c) for c in columns}
        apart = [f"{_amount(s, c, apart=True)} in {quantity(c).name}" for c, s in found.items() if s > 0]
        return f"Two seeds of one setting differ by up to {' and '.join(apart)} (95 % of pairs)." if apart else ""

    def _of_the_mark(self) -> str:
        """What the marked factor does where it alone varies: the median group's change from first to last level."""
        table, mark = _collection(self.collection).table, self.mark
        columns = [c for c in (MEASURES[self.measure], OUTCOMES[self.outcome]) if c != mark]
        others = [f for f in self.factors() if f != mark]
        levels = sorted(table[mark].unique())
        middle: Any = table.groupby([*others, mark])[columns].median().unstack(mark)
        change = (middle.xs(levels[-1], axis=1, level=mark) - middle.xs(levels[0], axis=1, level=mark)).median()
        moved = [f"{quantity(c).name} by {_signed(change[c], c)}" for c in columns]
        first, last = (level_name(mark, level) for level in (levels[0], levels[-1]))
        return f"From {first} to {last} alone, the median group moves {' and '.join(moved)}."

    def code(self) -> str:
        """From the collection to the picture."""
        arguments = f"{self.mark!r}"
        if varies := self.varies():
            arguments += f", varies={varies!r}"
        if self.place():
            arguments += f", group={self.place()}"
        return (
            "from rmt_lab import quality, trainings\n"
            "from rmt_lab.plotting import plot_quality\n\n"
            f"runs = trainings.collection({self.collection!r})\n"
            "ranking = quality.rank_runs(\n"
            f"    runs.table, {MEASURES[self.measure]!r}, {OUTCOMES[self.outcome]!r}, runs.factors,\n"
            f"    bootstraps={_BOOTSTRAPS}, permutations=0, rng={self.seed},\n"
            ")\n"
            f"plot_quality(runs.table, ranking, {arguments})\n"
            "print(ranking)\n"
        )


def _compared(r: Ranking) -> str:
    """Whether the two signs agree, if anything can be said of both."""
    if r.signs_differ:
        return "The signs differ, and neither interval holds 0: this is Simpson's paradox."
    if r.overall.holds_zero and r.granulated.holds_zero:
        return "Both intervals hold 0: nothing can be said of either sign."
    if r.overall.holds_zero or r.granulated.holds_zero:
        which = "first" if r.overall.holds_zero else "second"
        return f"The {which} interval holds 0: nothing can be said of that sign."
    return AGREE


def _alone(c: Coefficient, r: Ranking) -> str:
    """A factor alone beside all runs."""
    if c.value * r.overall.value < 0 and not c.holds_zero and not r.overall.holds_zero:
        return " That is the opposite of the sign over all runs: Simpson's paradox."
    return _nothing_said(c)


def _told(c: Coefficient) -> str:
    return told(c).replace("\u00a0", " ") + ("" if np.isnan(c.low) else f" ({c.low:.2f} to {c.high:.2f})")


def _nothing_said(c: Coefficient) -> str:
    return " That interval holds 0: nothing can be said." if c.holds_zero and not np.isnan(c.low) else ""


def _amount(value: float, column: str, apart: bool = False) -> str:
    """A value in the unit of its axis, or the distance of two."""
    q = quantity(column)
    unit = q.axis.rpartition(", ")[2].removeprefix("percentage ")
    unit = {"%": " points" if apart else " %", "points": " points", "nats": " nats"}.get(unit, "")
    return f"{q.scale * value:.3g}{unit}"


def _signed(value: float, column: str) -> str:
    return f"{'+' if value > 0 else ''}{_amount(value, column, apart=True)}"


def _from_to(values: Any, column: str) -> str:
    return f"{_amount(values.min(), column)} to {_amount(values.max(), column)}"


@lru_cache(maxsize=64)
def _ranking(name: str, measure: str, outcome: str, seed: int) -> Ranking:
    runs = _collection(name)
    return rank_runs(runs.table, measure, outcome, runs.factors, bootstraps=_BOOTSTRAPS, permutations=0, rng=seed)


@lru_cache(maxsize=32)
def _groups(name: str, varies: str | None) -> tuple[Group, ...]:
    runs = _collection(name)
    return tuple(run_groups(runs.table, runs.factors, varies))


@lru_cache(maxsize=256)
def _group_tau(name: str, measure: str, outcome: str, seed: int, varies: str | None, group: int) -> Coefficient:
    ranking = _ranking(name, measure, outcome, seed)
    chosen = _groups(name, varies)[group - 1]
    return group_tau(_collection(name).table, ranking, chosen, varies, _BOOTSTRAPS, seed)


@lru_cache(maxsize=64)
def _spread(name: str, column: str) -> float:
    """By how much two runs of one setting differ at most, in 95 % of pairs."""
    runs = _collection(name)
    return float(seed_spread(runs.table, [column], runs.factors)["difference_95"].iloc[0])


class QualityExplorer(LinkedExplorer):
    """Many networks were trained, and a measure of their weights is held against their test error: all at once, and
    then with everything held fixed but one factor.

    A dot is a run. Lines join runs that differ in one factor only. The right panel has Kendall's τ with its interval:
    over all runs, where one factor varies alone, and where only the seed does.

    1. Predict the sign of τ between alpha and the test error over all runs, and then look. Which factor makes it what
       it is? Mark the runs by each factor in turn.
    2. Hold all but one factor fixed. For which factors does alpha still know which network is better? Is there one for
       which it says the opposite?
    3. Go through the groups one by one. How many of them would have told you the wrong thing, had you trained no other?
    4. Take the training loss, which costs nothing, in place of alpha, and then the log norm. What does alpha know that
       they do not?
    5. Let only the seed vary. How far apart must two alphas lie before their difference means anything?

    Parameters
    ----------
    **parameters
        Of the model.

    Examples
    --------
    >>> explorer = QualityExplorer(collection="text", fixed="all but rate")
    >>> explorer.model.varies(), explorer.model.groups()[0].name
    ('rate', 'data 0.005, steps 400, batch 4')
    """

    model_class = QualityModel
    model: QualityModel
    leads = ("collection", "fixed")
    follows = "group"
