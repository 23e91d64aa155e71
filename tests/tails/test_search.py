"""The table of misfits against the simulation that makes it, and the tails of shorter samples against their own."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.misfit import quantiles
from rmt_lab.tails.search import MISFIT, Clipped, Tails

SAMPLES = st.lists(st.integers(1, 60), min_size=8, max_size=60).filter(lambda x: len(set(x)) > 4)


@pytest.mark.parametrize("kind", ["searched", "given"])
def test_the_table_of_misfits_is_what_its_simulation_gives(kind):
    found = quantiles(kind, samples=20_000, seed=1)
    for level, value in MISFIT[kind].items():
        assert found[level] == pytest.approx(value, abs=0.02 if level == 0.99 else 0.01), level


@settings(max_examples=100, deadline=None)
@given(x=SAMPLES, most=st.floats(0.1, 5), min_tail=st.integers(2, 4), data=st.data())
def test_clipped_finds_every_k_with_a_flat_tail_that_fits_better(x, most, min_tail, data):
    x = np.sort(x).astype(float)
    tails = Tails(x, min_tail)
    bars = data.draw(st.lists(st.sampled_from(tails.candidates.tolist()), min_size=1, max_size=2))
    clipped = Clipped(tails, range(1, 5), most)
    for i in bars:
        clipped.beat(i)
    found = list(clipped.better())
    for k in range(1, 5):  # each shorter sample by itself
        short = Tails(x[:-k], min_tail)
        D = {i: short.distances(i).max() for i in short.candidates.tolist()}
        limit = min(D.get(i, np.inf) for i in bars)
        best = min((D[i] for i in D if short.exponent[i] < most), default=np.inf)
        if best == np.inf or abs(best - limit) > 1e-8:  # or rounding decides
            assert (k in found) == (best < limit)
