"""The table of misfits against the simulation that makes it."""

import pytest

from benchmarks.misfit import quantiles
from rmt_lab.tails.search import MISFIT


@pytest.mark.parametrize("kind", ["searched", "given"])
def test_the_table_of_misfits_is_what_its_simulation_gives(kind):
    found = quantiles(kind, samples=20_000, seed=1)
    for level, value in MISFIT[kind].items():
        assert found[level] == pytest.approx(value, abs=0.02 if level == 0.99 else 0.01), level
