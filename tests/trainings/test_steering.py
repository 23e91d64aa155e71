"""What scripts/steer.py recorded, and the network that ships with it."""

import re

import numpy as np
import pandas as pd
import pytest
import steer
import torch
from train_collection import text

from benchmarks import lower_end
from benchmarks import steering as page
from benchmarks.pages import split
from rmt_lab import Spectrum
from rmt_lab.trainings.steering import steering


@pytest.fixture(scope="module")
def found():
    return steering()


def test_every_method_is_there_with_every_seed_once(found):
    table = found.table
    keys = ["experiment", "method", "level", "seed", "draw"]
    assert not table.duplicated(keys).any()
    assert (table.groupby(["experiment", "method"])["seed"].nunique() == len(steer.SEEDS)).all()
    decays = table[table["experiment"] == "decay"]
    assert list(dict.fromkeys(decays["method"])) == list(steer.METHODS)
    assert set(table.loc[table["experiment"] == "pruning", "level"]) == set(steer.SPARSITIES)
    assert set(table.loc[table["experiment"] == "removal", "level"]) == {0, *steer.REMOVED}


def test_means_are_equal_as_recorded(found):
    table = found.table
    pruned = table[table["experiment"] == "pruning"]
    assert (pruned["removed"] - pruned["level"]).abs().max() < 1e-4
    decays = table[table["experiment"] == "decay"]
    assert np.allclose(decays.loc[decays["method"] != "none", "level"], steer.DECAY)
    assert (decays.loc[decays["method"] == "none", "level"] == 0).all()
    removed = table[(table["experiment"] == "removal") & (table["level"] > 0)]
    equal = removed[removed["method"].str.contains("equal norm") | (removed["method"] == "bottom")]
    assert (equal.groupby(["seed", "level"])["removed"].agg(np.ptp) < 1e-6).all()
    by_count = removed.pivot_table(index=["seed", "level"], columns="method", values="removed")
    assert (by_count["bottom"] < by_count["middle"]).all()
    assert (by_count["middle"] < by_count["top"]).all()


def test_the_network_has_the_recorded_loss_and_scores(found):
    """Its weights were rounded to 16 bits after the record was made."""
    table, layers = found.table, found.layers
    (recorded,) = table.loc[(table["method"] == "nothing") & (table["seed"] == 0), "test_loss"]
    assert found.loss() == pytest.approx(recorded, abs=2e-4)
    mine = layers[layers["seed"] == 0].set_index("layer")
    assert list(mine.index) == list(found.matrices)
    for name, W in found.matrices.items():
        s = Spectrum.from_matrix(W.astype(np.float64))
        assert (s.N, s.M) == tuple(mine.loc[name, ["N", "M"]])
        assert steer.alpha(s) == pytest.approx(mine.loc[name, "alpha"], rel=1e-3)
        assert steer.stable_rank(s) == pytest.approx(mine.loc[name, "stable_rank"], rel=1e-3)


def test_a_pruned_row_can_be_made_again(found):
    """Uniform pruning of half the entries, on the shipped weights."""
    pruned = {}
    for name, W in found.matrices.items():
        flat = W.ravel().copy()
        flat[np.abs(flat).argsort()[: len(flat) // 2]] = 0
        pruned[name] = flat.reshape(W.shape)
    table = found.table
    (row,) = table[(table["method"] == "uniform") & (table["level"] == 0.5) & (table["seed"] == 0)].to_dict("records")
    assert found.loss(pruned) == pytest.approx(row["test_loss"], abs=2e-3)


@pytest.mark.slow
def test_a_training_is_the_recorded_one(found):
    """With alpha's decay; on the same text, and as torch rounds here."""
    if found.record["text_sha256"] != text()[2]:
        pytest.skip("another version of the standard library: another text")
    threads = torch.get_num_threads()
    _, record = steer.train("alpha", 0)
    torch.set_num_threads(threads)
    table = found.table
    (row,) = table[(table["experiment"] == "decay") & (table["method"] == "alpha") & (table["seed"] == 0)].to_dict(
        "records"
    )
    for figure in ("train_loss", "test_loss"):
        assert record["figures"][figure] == pytest.approx(row[figure], abs=0.005)


def test_what_fits_no_matrix_is_refused(found):
    with pytest.raises(ValueError, match="0.query"):
        found.loss({"0.qury": np.zeros((128, 128))})
    with pytest.raises(ValueError, match=r"\(128, 128\)"):
        found.loss({"0.query": np.zeros((128, 127))})
    with pytest.raises(ValueError, match="read-only"):
        found.matrices["0.query"][0, 0] = 1


def test_the_readers_table_is_their_own(found):
    mine = found.table
    mine["test_loss"] = 0
    assert (found.table["test_loss"] > 0).all()
    assert "results" in repr(found)
    assert "pruning" in found._repr_html_()


def test_the_tables_of_the_page_are_those_of_the_record():
    assert split(page.PAGE)[1] == page.tables().strip()


@pytest.mark.parametrize("path", [page.PAGE, lower_end.PAGE], ids=lambda p: p.stem)
def test_numbers_of_the_findings_stand_in_the_tables(path):
    """Or round to one that does, whatever its sign."""
    _, tables, findings = split(path)
    given = [float(n) for n in re.findall(r"\d+\.?\d*", tables)]
    stated = re.findall(r"\d+\.\d+", findings)
    assert len(stated) > 20
    for n in stated:
        half = 0.5 * 10 ** -len(n.partition(".")[2])
        assert any(abs(x - float(n)) <= half + 1e-9 for x in given), n


def test_a_score_that_knew_would_be_seen(found):
    """The cost of each matrix itself as a score has a correlation of one."""
    layers = found.layers.assign(alpha=lambda x: x["rise"])
    assert "+1.00 (+1.00 to +1.00)" in page.scores(layers).splitlines()[2]
    assert isinstance(found.layers, pd.DataFrame)
