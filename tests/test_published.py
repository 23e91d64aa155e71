"""Published figures of GPT-2, for a machine that reaches its weights: set RMT_LAB_NETWORK_TESTS=1."""

import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from rmt_lab import analyze

PUBLISHED = pd.read_csv(Path(__file__).parent / "data" / "gpt2_published.csv", comment="#").set_index("longname")


@pytest.mark.skipif(
    os.environ.get("RMT_LAB_NETWORK_TESTS") != "1", reason="downloads gpt2: set RMT_LAB_NETWORK_TESTS=1"
)
def test_gpt2_has_its_published_norms_and_alphas_near_the_published_ones():
    details = analyze("gpt2")
    details["longname"] = details["longname"].str.removeprefix("transformer.")
    ours = details.set_index("longname").loc[PUBLISHED.index]
    np.testing.assert_allclose(ours["spectral_norm"], PUBLISHED["lambda_max_W"], rtol=1e-3)
    np.testing.assert_allclose(ours["norm"] ** 0.5, PUBLISHED["fro_norm_W"], rtol=1e-3)
    assert np.median(np.abs(ours["alpha"] - PUBLISHED["alpha"])) < 0.5


def test_the_published_table_is_consistent():
    """What can be checked without the weights: 50 layers, and stable rank = norm^2 / lambda_max."""
    assert len(PUBLISHED) == 50
    np.testing.assert_allclose(
        PUBLISHED["fro_norm_W"] ** 2 / PUBLISHED["lambda_max_W"], PUBLISHED["stable_rank"], rtol=1e-4
    )
