"""The lower end of spectra: the figures of docs/lower-end.md against simulation."""

import numpy as np
import pandas as pd
import pytest

from benchmarks import lower_end
from rmt_lab import Spectrum
from rmt_lab.ensembles import gaussian, gaussian_spectrum


@pytest.mark.slow
def test_noise_has_what_the_law_says():
    found = pd.DataFrame([lower_end.figures(gaussian_spectrum(512, 128, rng=i)) for i in range(200)])
    assert (found["small"] > 0).mean() < 0.05
    assert found["low"].mean() == pytest.approx(lower_end.LOW, abs=0.005)
    assert found["noise"].mean() > 0.95


def test_values_that_are_made_small_are_counted():
    U, s, V = np.linalg.svd(gaussian(512, 128, rng=0), full_matrices=False)
    s[-5:] *= 0.3
    found = lower_end.figures(Spectrum.from_matrix((U * s) @ V, method="svd"))
    assert found["small"] == 5


@pytest.mark.slow
def test_spread_scales_alone_make_small_values(monkeypatch):
    """What the smooth population is there for: independent entries, and values below the edge of the noise."""
    monkeypatch.setattr(lower_end, "SPREADS", np.array([0.0, 0.6, 1.2]))
    monkeypatch.setattr(lower_end, "DRAWS", 3)
    null = lower_end.smooth(400, 100)
    assert null["small"][0] < 1 < null["small"][2]
    assert (np.diff(null["width"]) > 0).all()
    assert (np.diff(null["low"]) > 0).all()


def test_a_layer_is_compared_at_its_own_width(monkeypatch):
    null = pd.DataFrame({"width": [1.0, 2.0], "small": [0.0, 4.0], "low": [0.05, 0.09]})
    monkeypatch.setattr(lower_end, "smooth", lambda N, M: null)
    layers = pd.DataFrame(
        {"weights": "as trained", "N": 40, "M": 10, "width": [1.5, 3.0], "small": [1, 9], "low": [0.1, 0.1]}
    )
    found = lower_end.with_smooth(layers)
    assert found["small_smooth"].tolist() == [2.0, 4.0]
    assert found["reached"].tolist() == [True, False]


def test_the_tables_of_the_small_gpt_are_those_of_the_record():
    text = lower_end.PAGE.read_text(encoding="utf-8")
    assert lower_end.small_gpt() in text
    for share in (0.05, 0.1, 0.2, 0.5):
        assert lower_end.losses(share) in text


@pytest.mark.slow
def test_the_tables_of_the_atlas_are_made_again():
    text = lower_end.PAGE.read_text(encoding="utf-8")
    layers = lower_end.of_model("minilm")
    for line in lower_end.beside_nulls(layers).splitlines():
        assert line in text
