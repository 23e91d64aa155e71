"""All tails at once, and the table of misfits against the simulation that makes it."""

import numpy as np
import pytest

from benchmarks.misfit import quantiles
from rmt_lab.tails import fit_power_law
from rmt_lab.tails.search import MISFIT, all_tails


def test_all_tails_at_once_are_those_of_the_fits_scan():
    x = np.random.default_rng(0).lognormal(size=300)
    scan = fit_power_law(x).scan()
    exponent, scaled_D = all_tails(np.log(np.sort(x)))
    np.testing.assert_allclose(exponent + 1, scan.alphas, rtol=1e-9)
    np.testing.assert_allclose(scaled_D, scan.Ds * np.sqrt(scan.n_tails), atol=1e-5)


@pytest.mark.parametrize("kind", ["searched", "given"])
def test_the_table_of_misfits_is_what_its_simulation_gives(kind):
    found = quantiles(kind, samples=20_000, seed=1)
    for level, value in MISFIT[kind].items():
        assert found[level] == pytest.approx(value, abs=0.02 if level == 0.99 else 0.01), level
