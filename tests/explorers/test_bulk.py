"""Noise under the Marchenko-Pastur law, and its explorer."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.figure import Figure

from rmt_lab.explorers import BulkExplorer
from rmt_lab.explorers.bulk import ENTRIES, BulkModel


@given(
    entries=st.sampled_from(list(ENTRIES)),
    M=st.integers(20, 120),
    Q=st.floats(1, 10),
    sigma=st.floats(0.1, 3),
    singular_values=st.booleans(),
)
@settings(max_examples=20, deadline=None)
def test_any_state_draws_and_its_code_gives_the_same_spectrum(entries, M, Q, sigma, singular_values):
    model = BulkModel(entries=entries, M=M, Q=Q, sigma=sigma, singular_values=singular_values)
    assert model.draw(Figure()).axes[0].get_title("left")
    lines, made = model.code(), {}
    exec(lines[: lines.index("plot_spectrum(")], made)
    expected = model.result.spectrum.singular_values
    assert made["spectrum"].singular_values == pytest.approx(expected, rel=1e-9, abs=1e-9 * expected[-1])
    assert made["law"] == model.result.law


def test_sigma_only_scales_what_was_drawn_once():
    shown = BulkExplorer()
    before = shown.model.result.spectrum.singular_values
    shown.controls["sigma"].value = 2.0
    assert shown.model.result.spectrum.singular_values == pytest.approx(2 * before)
    shown.buttons["new sample"].click()
    assert not np.allclose(shown.model.result.spectrum.singular_values, 2 * before)


@pytest.mark.parametrize("entries", list(ENTRIES))
def test_what_matters_is_independence_and_a_fourth_moment(entries):
    noise = BulkModel(entries=entries).result
    assert (len(noise.noise.spikes) > 0) == entries.startswith(("heavy", "correlated"))
    assert (noise.D > 0.05) == entries.startswith("correlated")


def test_the_sentence_speaks_of_what_is_drawn():
    shown = BulkExplorer(M=200, entries="heavy tails: Student t, μ = 3")
    result = shown.model.result
    n = len(result.noise.spikes)
    assert n > 1
    assert f"{n} of them are beyond" in shown.sentence
    assert f"to {result.spectrum.eigenvalues[-1]:.3g}" in shown.sentence
    assert f"{n} spikes stand above" in shown.figure().axes[0].get_title("left")
    shown.controls["singular_values"].value = True
    assert f"to {result.spectrum.singular_values[-1]:.3g}" in shown.sentence
    assert "singular value" in shown.figure().axes[0].get_xlabel()
