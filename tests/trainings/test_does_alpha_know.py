"""docs/does-alpha-know.md: its tables are those of its command, and what is bold in them leaves out 0."""

import re
from pathlib import Path

import pytest

from benchmarks import does_alpha_know as study
from rmt_lab.trainings import collection

PAGE = (Path(__file__).parents[2] / "docs" / "does-alpha-know.md").read_text(encoding="utf-8")


def test_the_tables_stand_between_their_marks():
    assert PAGE.count(study.BEGIN) == PAGE.count(study.END) == 1
    tables = PAGE.split(study.BEGIN)[1].split(study.END)[0]
    for name in study.OUTCOMES:
        assert f"## {name}: {len(collection(name).table)} runs" in tables


def test_a_mark_of_boldness_is_an_interval_without_zero():
    assert study.cell(0.5, 0.1, 0.9) == "**0.50** (0.10 to 0.90)"
    assert study.cell(0.5, -0.1, 0.9) == "0.50 (-0.10 to 0.90)"
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
    assert study.ranking(collection(name), outcome)[0] in PAGE
    if outcome.startswith("test"):
        assert study.spread(collection(name)) in PAGE
        assert study.on_the_way(collection(name), outcome) in PAGE
