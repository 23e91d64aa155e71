"""The exercises of the last notebook judge by the reader's own table, whatever model it came from."""

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pytest
from course import CORE, cells, solution_code, tagged

import rmt_lab as rl
from rmt_lab.exercises import check, n10, names, reveal
from rmt_lab.exercises.registry import Exercise, find

matplotlib.use("Agg")

NOTEBOOK = CORE[-1]
JUDGED = [name for name in names("10") if name != "10-belief"]  # by the table


def noise(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def power_law(N, M, seed=0):
    """Rows whose population has a power law."""
    scales = np.arange(1, M + 1) ** -0.3
    return (noise(N, M, seed=seed) * scales @ np.linalg.qr(noise(M, M, seed=seed + 1))[0]).astype(np.float32)


CHECKPOINTS = {
    "noise": {f"block.{i}.weight": noise(200, 60, seed=i) for i in range(3)},
    "square": {f"block.{i}.weight": noise(64, 64, seed=i) + 5 / 8 for i in range(2)},
    "power laws": {f"block.{i}.weight": power_law(400, 100, seed=i) for i in range(4)},
    "kernels": {"a.weight": noise(40, 24, 3, 3), "b.weight": noise(300, 100), "c.weight": noise(4, 3)},
    "one layer": {"w": noise(120, 40) + np.outer(noise(120), noise(40, seed=1))},
}


@pytest.fixture(autouse=True)
def fresh(monkeypatch):
    monkeypatch.setattr(n10, "_table", [])
    monkeypatch.setattr(plt, "show", lambda: plt.close("all"))
    monkeypatch.setenv("RMT_LAB_ANSWERS", "")


@pytest.fixture(params=CHECKPOINTS)
def checkpoint(request, tmp_path):
    """A file of somebody's weights."""
    path = tmp_path / "model.npz"
    np.savez(path, **CHECKPOINTS[request.param])
    return str(path)


def test_the_whole_notebook_runs_on_a_file_and_its_solutions_are_right(checkpoint, capsys):
    namespace = {"check": check}
    for cell in cells(NOTEBOOK):
        if cell.kind == "code" and "install" not in cell.tags:
            source = cell.source.replace('SOURCE = upload.path or "minilm"', f"SOURCE = {checkpoint!r}")
            exec(source.replace('LAYERS = ["feed-forward in", "feed-forward out"]', "LAYERS = None"), namespace)
    details = namespace["details"]
    assert details.attrs["source"] == checkpoint
    assert len(details) >= 1
    for solution, name in zip(tagged(NOTEBOOK, "solution"), names("10"), strict=True):
        code = solution_code(solution)
        given = code.rpartition(",")[2].strip(") \n")
        exec(code, namespace)
        assert check(name, namespace[given]).right, check(name, namespace[given])
    for name in JUDGED:
        for answer in find(name, Exercise).right():
            assert check(name, answer).right, (name, answer)


def test_answers_that_were_right_for_one_table_are_wrong_for_another():
    right = []
    for name in ("noise", "power laws"):
        n10.about(rl.analyze(CHECKPOINTS[name], randomize="signs", verdict="quick"))
        right.append({name: find(name, Exercise).right()[0] for name in JUDGED})
    for name in JUDGED:
        if right[0][name] != right[1][name]:
            assert not check(name, right[0][name]).right
    assert right[0]["10-survivors"] != right[1]["10-survivors"]
    assert right[0]["10-sentences"] != right[1]["10-sentences"]


def test_a_sentence_is_refused_with_the_reason():
    details = rl.analyze(CHECKPOINTS["noise"], randomize="signs", verdict="quick")
    n10.about(details)
    assert check("10-sentences", [2]).right
    for number, reason in ((1, "nothing beyond noise"), (4, "no verdict"), (6, "no answer for this layer")):
        assert reason in check("10-sentences", [number]).text


@pytest.mark.parametrize("change", ["verdict", "rand_num_spikes_first", "bulk_note"])
def test_a_table_that_lacks_a_column_is_told_how_to_make_it(change):
    details = rl.analyze("minilm", layers=["pooler"], randomize="signs", verdict="quick")
    with pytest.raises(ValueError, match=f"no column {change}; make it by analyze"):
        n10.about(details.drop(columns=change))
    with pytest.raises(ValueError, match="no layer that could be analysed"):
        n10.about(details.assign(status="failed: 1"))
    with pytest.raises(TypeError, match="must be the table"):
        n10.about([1])


@pytest.mark.parametrize("value", [0.0, 0.25, 0.5, 1.0])
def test_predictions_name_what_came_out(value):
    assert reveal("10-holds", value).came_out.startswith(n10.predict_holds(value))
    assert reveal("10-clipped", [1, 6]).came_out == "more often in noise (1, 6)"
    assert n10.predict_clipped((np.int64(2), 2)) == "equally often"
    assert n10.predict_clipped((3, 2)) == "more often in the layers"
