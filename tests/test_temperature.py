"""The page on the temperature of repulsion says what its command prints."""

from pathlib import Path

import pytest

from benchmarks.temperature import LAWS, bounds, cold_tails, density, ends, levels, tails

PAGE = (Path(__file__).parents[1] / "docs" / "temperature.md").read_text(encoding="utf-8")


@pytest.mark.slow
def test_rows_of_the_page_are_those_of_the_command():
    rows = [levels(0.1), levels(0.3), bounds(0.1), *(density(*law) for law in LAWS), ends(2.0, 0.5), tails(2.0, 0.5)]
    for row in (*rows, cold_tails()):
        assert row in PAGE
