"""The page on the temperature of repulsion says what its command prints."""

from pathlib import Path

import pytest

from benchmarks.temperature import LAWS, cold_tails, density, levels, tails

PAGE = (Path(__file__).parents[1] / "docs" / "temperature.md").read_text(encoding="utf-8")


@pytest.mark.slow
def test_rows_of_the_page_are_those_of_the_command():
    for row in (levels(0.1), levels(0.3), *(density(*law) for law in LAWS), tails(2.0, 0.5), cold_tails()):
        assert row in PAGE
