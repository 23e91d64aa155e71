import inspect
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.figure import Figure

from rmt_lab import quality, trainings
from rmt_lab.explorers import QualityExplorer
from rmt_lab.explorers.quality import COLLECTIONS, MEASURES, OUTCOMES, QualityModel, _alone, _compared, _ranking
from rmt_lab.plotting.quality import SEED, quantity, run_groups
from rmt_lab.trainings.quality import Coefficient

few = settings(max_examples=12, deadline=None)


def told(c):
    return f"τ = {c.value:.2f} ({c.low:.2f} to {c.high:.2f})"


def test_every_measure_and_outcome_is_a_column_of_both_collections():
    columns = [*MEASURES.values(), *OUTCOMES.values()]
    assert len(columns) == len(set(columns)) == len({quantity(c).name for c in columns})
    for name in COLLECTIONS:
        assert set(columns) <= set(trainings.collection(name).table.columns)


@few
@given(
    name=st.sampled_from(COLLECTIONS),
    measure=st.sampled_from(sorted(set(MEASURES) - {"training steps"})),  # batch sets them: few factors have a tau
    outcome=st.sampled_from(sorted(OUTCOMES)),
    place=st.integers(0, 5),
)
def test_the_sentence_says_what_the_library_says(name, measure, outcome, place):
    model = QualityModel(collection=name, measure=measure, outcome=outcome)
    model.fixed = model.options("fixed")[place]
    runs, column, out = trainings.collection(name), MEASURES[measure], OUTCOMES[outcome]
    found = quality.rank_runs(runs.table, column, out, runs.factors, bootstraps=200, permutations=0, rng=0)
    sentence = model.sentence()
    assert f"{measure} against {outcome}, {len(runs.table)} runs of {name}: ".lower() in sentence.lower()
    assert f"{told(found.overall)} over all runs, {told(found.granulated)} where one factor varies" in sentence
    worst, c = found.worst
    if model.varies() is None:
        assert f"The worst factor is {worst}: {told(c)}." in sentence
    elif model.varies() == SEED:
        assert f"Where only the seed varies: {told(found.seeds)}." in sentence
    else:
        c, many = found.within[model.varies()], found.groups[model.varies()]
        assert f"Where only {model.varies()} varies, {many} groups: {told(c)}." in sentence
    spread = quality.seed_spread(runs.table, [column, out], runs.factors).difference_95
    scales = [quantity(c).scale for c in (column, out)]
    for far, scale, words in zip(spread, scales, (measure, outcome), strict=True):
        assert f"{scale * far:.3g} " in sentence
        assert f"in {words}" in sentence
    first, last = (end(runs.table[model.mark]) for end in (min, max))
    others = [f for f in runs.factors if f != model.mark]
    changes = []
    for _, group in runs.table.groupby(others):
        ends = [group[group[model.mark] == level][column].median() for level in (first, last)]
        changes.append(ends[1] - ends[0])
    change = scales[0] * np.nanmedian(changes)
    assert f"{measure} by {'+' if change > 0 else ''}{change:.3g}" in sentence


@pytest.mark.parametrize("fixed", ["nothing", "all but rate", "all but the seed"])
def test_a_group_is_told_by_itself(fixed):
    model = QualityModel(collection="text", outcome="test loss", fixed=fixed, group=3)
    runs = trainings.collection("text")
    group = run_groups(runs.table, runs.factors, model.varies())[2]
    part = runs.table.iloc[group.rows]
    sentence = model.sentence()
    assert f"Group 3 of {len(model.groups())} ({group.name}; {len(part)} runs): " in sentence
    if fixed == "nothing":
        (held,) = [f for f in runs.factors if part[f].nunique() == 1]
        others = [f for f in runs.factors if f != held]
        c = quality.rank_runs(part, "alpha", "test_loss", others, bootstraps=200, permutations=0, rng=0).overall
        assert told(c) in sentence
    elif fixed == "all but rate":
        c = quality.rank_runs(part, "alpha", "test_loss", ["rate"], bootstraps=0, permutations=0).within["rate"]
        assert f"τ = {c.value:.2f}. One group alone has no interval." in sentence
    else:
        low, high = part.alpha.min(), part.alpha.max()
        assert f"alpha {low:.3g} to {high:.3g} and test loss {part.test_loss.min():.3g} nats to " in sentence


def test_the_preset_shows_simpsons_paradox_whatever_the_bootstrap_draws():
    model = QualityModel(**QualityModel.preset_values("Simpson's paradox"))
    runs = trainings.collection(model.collection)
    assert "Simpson's paradox" in model.sentence()
    for rng in range(3):
        found = quality.rank_runs(
            runs.table, MEASURES[model.measure], OUTCOMES[model.outcome], runs.factors, permutations=0, rng=rng
        )
        pooled, within = found.overall, found.within[model.varies()]
        assert pooled.low > 0 > within.high
    # and by counting, group by group, without the library
    table, (x, y) = runs.table, (MEASURES[model.measure], OUTCOMES[model.outcome])
    others = [f for f in runs.factors if f != model.varies()]
    falls = [
        np.corrcoef(part[x].rank(), part[y].rank())[0, 1] < 0
        for _, part in table.groupby(others)
        if part[model.varies()].nunique() > 1
    ]
    assert np.mean(falls) > 0.5
    assert np.corrcoef(table[x].rank(), table[y].rank())[0, 1] > 0


@pytest.mark.parametrize(
    ("overall", "within", "words"),
    [
        ((0.3, 0.2, 0.4), (-0.2, -0.3, -0.1), "The signs differ, and neither interval holds 0: this is Simpson's"),
        ((-0.3, -0.4, -0.2), (0.2, 0.1, 0.3), "The signs differ, and neither interval holds 0: this is Simpson's"),
        ((0.3, 0.2, 0.4), (0.2, 0.1, 0.3), "The signs agree."),
        ((0.3, -0.2, 0.4), (-0.2, -0.3, -0.1), "The first interval holds 0: nothing can be said of that sign."),
        ((0.3, 0.2, 0.4), (-0.2, -0.3, 0.1), "The second interval holds 0: nothing can be said of that sign."),
        ((0.3, -0.2, 0.4), (-0.2, -0.3, 0.1), "Both intervals hold 0: nothing can be said of either sign."),
    ],
)
def test_signs_are_compared_only_where_there_are_signs(overall, within, words):
    r = replace(
        _ranking("text", "alpha", "test_loss", 0), overall=Coefficient(*overall), granulated=Coefficient(*within)
    )
    assert _compared(r).startswith(words)
    paradox = words.startswith("The signs differ")
    assert ("the opposite of the sign over all runs" in _alone(Coefficient(*within), r)) == paradox
    assert ("nothing can be said" in _alone(Coefficient(*within), r)) == Coefficient(*within).holds_zero


def test_lists_and_the_slider_follow_the_collection_and_what_is_held_fixed():
    shown = QualityExplorer()
    text = trainings.collection("text")
    levels = sum(map(len, trainings.collection("digits").record["factors"].values()))
    assert shown.controls["group box"].max == levels
    shown.controls["mark"].value = "kind"
    shown.controls["fixed"].value = "all but the seed"
    shown.model.group = shown.controls["group box"].max
    assert shown.model.place() == trainings.collection("digits").table.groupby(list(shown.model.factors())).ngroups
    shown.controls["collection"].value = "text"
    assert shown.controls["mark"].options == text.factors
    assert shown.controls["fixed"].options == ("nothing", *(f"all but {f}" for f in (*text.factors, "the seed")))
    assert shown.controls["group box"].max == text.table.groupby(list(text.factors)).ngroups
    assert shown.controls["group"].value == shown.model.place() == shown.controls["group box"].max
    shown.controls["fixed"].value = "nothing"
    assert shown.controls["group box"].max == sum(map(len, text.record["factors"].values()))
    assert "72 runs of text" in shown.sentence


def test_a_group_beyond_the_last_is_the_last():
    model = QualityModel(collection="text", fixed="all but the seed", group=999)
    assert model.group == model.limits("group")[1]
    model.fixed = "nothing"
    assert model.place() == len(model.groups()) < 24
    assert f"group={model.place()}" in model.code()
    model.draw(Figure(figsize=model.figsize))


def test_the_coefficients_are_computed_once_for_all_groups():
    model = QualityModel(collection="text")
    assert model.sentence()
    before = _ranking.cache_info().misses
    for group in range(1, 6):
        model.group = group
        assert model.sentence()
    model.fixed, model.mark = "all but rate", "rate"
    assert model.sentence()
    assert _ranking.cache_info().misses == before


def test_another_sample_draws_the_bootstrap_again_and_nothing_else():
    first, second = (QualityModel(collection="text", seed=seed).result for seed in (0, 1))
    assert first.overall.value == second.overall.value
    assert first.overall.low != second.overall.low


def test_it_asks_questions():
    doc = inspect.getdoc(QualityExplorer)
    assert all(f"{i}. " in doc for i in (1, 2, 3, 4, 5))
