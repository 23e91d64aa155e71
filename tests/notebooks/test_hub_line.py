"""The line that a reader may change, and the figures of the models themselves, run against the hub of the tests."""

import os
import subprocess
import sys

import hub_models
import numpy as np
import pytest
from course import ROOT, script
from hub_server import HubServer
from PIL import Image

from rmt_lab import analyze, fit_bulk
from rmt_lab.atlas import add

for package in ("huggingface_hub", "safetensors", "torch"):
    pytest.importorskip(package, reason=f"needs {package}")

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def hub(tmp_path_factory):
    folder = tmp_path_factory.mktemp("hub")
    for name in hub_models.WRITERS:
        hub_models.write(folder, name)
    with HubServer(folder) as server:
        server.renamed |= hub_models.RENAMED
        yield server


@pytest.mark.parametrize(
    ("notebook", "name", "panels", "grids"),
    [
        ("06_bert_against_noise", "bert-base-uncased", "2 12 12 1 1 1", 2),
        ("10_your_model", "bert-base-uncased", "12 1 1", 1),
        ("10_your_model", "openai-gpt", "12 1 1", 1),
        ("10_your_model", "gpt2", "12 1 1", 1),
    ],
)
def test_a_notebook_runs_with_a_model_of_the_hub_in_its_line(hub, tmp_path, notebook, name, panels, grids):
    run = ROOT / "tests" / "notebooks" / "hub_line.py"
    done = hub.run(tmp_path, "-W", "error", run, ROOT / "notebooks" / f"{notebook}.ipynb", name, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    pages = list(tmp_path.glob("*.html"))
    assert [page.name for page in pages] == ["my_model.html"] * notebook.startswith("10")
    assert all(name in page.read_text(encoding="utf-8") for page in pages)
    assert done.stdout.splitlines()[-2:] == ["changed lines: 1", f"panels: {panels}"]
    assert done.stdout.count("Histograms of the singular values of 12 layers") == grids


def test_the_figures_of_the_three_models_are_drawn_and_what_is_not_gpt2_is_called_so(hub, tmp_path):
    out = tmp_path / "figures"
    first = hub.run(tmp_path, "-W", "error", ROOT / "scripts" / "hub_figures.py", out)
    assert first.returncode == 3, first.stderr
    last = "gpt2 differs from its published norms: both norms agree within 0.001 in 0 of 50 layers; "
    assert first.stdout.splitlines()[-1].startswith(last)
    assert "bert-base-uncased feed-forward in.png: Histograms of the singular values of 12 layers" in first.stdout
    pictures = ["a finger", "alphas", "bert-base-uncased feed-forward in", "bert-base-uncased query"]
    assert sorted(path.stem for path in out.glob("*.png")) == pictures
    assert sorted(path.stem for path in out.glob("*.csv")) == ["bert-base-uncased", "gpt2", "openai-gpt"]
    for path in out.glob("*.png"):
        with Image.open(path) as picture:
            assert min(picture.size) > 300

    hub.asked.clear()
    assert hub.run(tmp_path, ROOT / "scripts" / "hub_figures.py", out).stdout == first.stdout
    assert hub.asked == []


def test_without_a_network_the_figures_say_so_in_one_line(tmp_path):
    with HubServer(tmp_path) as gone:
        pass
    done = gone.run(tmp_path, ROOT / "scripts" / "hub_figures.py", tmp_path / "figures")
    assert (done.returncode, done.stdout) == (1, "")
    (line,) = done.stderr.splitlines()
    assert line.startswith("hub_figures: source='bert-base-uncased': ")
    assert "the hub cannot be reached" in line
    assert not (tmp_path / "figures").exists()


def test_the_published_norms_are_recognised_and_one_that_is_off_is_not():
    hub_figures = script("hub_figures")
    published = hub_figures.pd.read_csv(hub_figures.PUBLISHED, comment="#")
    details = analyze("minilm", layers=[0]).iloc[[0] * 50].reset_index(drop=True)
    details["longname"] = "transformer." + published["longname"]
    details["spectral_norm"], details["norm"] = published["lambda_max_W"], published["fro_norm_W"] ** 2
    details["raw_alpha"] = published["alpha"] + 0.25
    words = "gpt2 has its published norms: both norms agree within 0.001 in 50 of 50 layers; "
    assert hub_figures.compared(details) == (words + "the median difference of alpha is 0.25.", True)
    details.loc[7, "norm"] *= 1.01
    words, same = hub_figures.compared(details)
    assert "differs from its published norms: both norms agree within 0.001 in 49 of 50 layers" in words
    assert not same
    assert not hub_figures.compared(details.drop(index=7))[1]


def test_bert_against_noise_runs_with_a_model_of_another_shape_that_is_noise(tmp_path):
    """No eigenvalue of its queries stands beyond noise, of which no share can be taken."""
    rng = np.random.default_rng(0)
    square, long = (48, 48), (192, 48)
    shapes = {f"attention.self.{role}": square for role in ("query", "key", "value")}
    shapes |= {"attention.output.dense": square, "intermediate.dense": long, "output.dense": long[::-1]}
    state = {
        f"bert.encoder.layer.{i}.{name}.weight": rng.normal(size=shape)
        for i in range(2)
        for name, shape in shapes.items()
    }
    noise = add(state, name="noise", init_std=1.0, folder=tmp_path / "atlas")
    assert not any(fit_bulk(x.spectrum).num_spikes_first for x in noise.select("query"))
    command = [sys.executable, "-W", "error", ROOT / "tests" / "notebooks" / "hub_line.py"]
    command += [ROOT / "notebooks" / "06_bert_against_noise.ipynb", "noise"]
    environment = os.environ | {"RMT_LAB_CACHE": str(tmp_path), "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "Gaussian noise, same shape and variance: half of 48 between" in done.stdout
