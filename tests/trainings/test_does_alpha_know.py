"""docs/does-alpha-know.md: its tables are those of its command, and what is bold in them leaves out 0."""

import re

import pytest

from benchmarks import does_alpha_know as study
from benchmarks import pages
from rmt_lab.trainings import collection

PAGE = study.PAGE.read_text(encoding="utf-8")


def test_the_tables_stand_between_their_marks():
    assert PAGE.count(pages.BEGIN) == PAGE.count(pages.END) == 1
    _, tables, _ = pages.split(study.PAGE)
    for name in study.OUTCOMES:
        assert f"## {name}: {len(collection(name).table)} runs" in tables


def test_a_mark_of_boldness_is_an_interval_without_zero():
    assert pages.cell(0.5, 0.1, 0.9) == "**0.50** (0.10 to 0.90)"
    assert pages.cell(0.5, -0.1, 0.9) == "0.50 (-0.10 to 0.90)"
    found = re.findall(r"(\*\*)?(-?\d\.\d\d)(?:\*\*)? \((-?\d\.\d\d) to (-?\d\.\d\d)\)", PAGE.split("# The tables")[1])
    assert len(found) > 300
    for bold, value, low, high in found:
        low, value, high = float(low), float(value), float(high)
        assert low <= value <= high
        if low * high < 0:
            assert not bold or value == 0.5  # the sign errors, whose chance is 1/2, are not bold


@pytest.mark.slow
@pytest.mark.parametrize(("name", "outcome"), [(n, o) for n, outcomes in study.OUTCOMES.items() for o in outcomes])
def test_the_tables_are_those_of_the_command(name, outcome):
    found = collection(name)
    assert study.ranking(found, outcome)[0] in PAGE
    assert study.by_factor(found, outcome) in PAGE
    if outcome.startswith("test"):
        assert study.spread(found) in PAGE
        assert study.effects(found) in PAGE
        assert study.alike(found) in PAGE
        assert study.on_the_way(found, outcome) in PAGE


@pytest.mark.slow
def test_the_tables_of_single_questions_are_those_of_the_command():
    assert study.thresholds(collection("digits"), "test_error") in PAGE
    assert study.beyond(collection("text"), "test_loss") in PAGE


def test_numbers_of_the_prose_stand_in_the_tables():
    """Decimals, with their sign; what is left is the definition of the design."""
    prose, tables = PAGE.split("# The tables")
    said = set(re.findall(r"-?\d+\.\d+", prose.split("## The question")[0] + prose.split("## What was found")[1]))
    assert len(said) > 40
    assert {x for x in said if not re.search(rf"(?<![\d.]){re.escape(x.lstrip('-'))}(?!\d)", tables)} == set()
