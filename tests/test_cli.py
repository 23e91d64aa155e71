"""The command line: tables, files and exit codes."""

import json
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from rmt_lab.cli import main
from rmt_lab.tails.fingers import RULES


@pytest.fixture
def checkpoint(tmp_path):
    rng = np.random.default_rng(0)
    path = tmp_path / "model.npz"
    np.savez(
        path,
        **{
            "h.0.attn.c_attn.weight": rng.normal(size=(30, 90)),
            "h.0.mlp.c_fc.weight": rng.standard_t(2.2, size=(30, 120)),
            "h.0.mlp.c_fc.bias": rng.normal(size=120),
        },
    )
    return path


def test_the_table_and_a_sentence(checkpoint, capsys):
    assert main(["analyze", str(checkpoint), "--fix-fingers", "clip_xmax"]) == 0
    out = capsys.readouterr().out
    assert "block 0 qkv" in out
    assert "2 of 2 layers analysed; mean alpha" in out
    assert "Fingers fixed: mean alpha" in out


def test_the_csv_holds_the_whole_table(checkpoint, tmp_path, capsys):
    out = tmp_path / "details.csv"
    assert main(["analyze", str(checkpoint), "--split-qkv", "--randomize", "--out", str(out)]) == 0
    details = pd.read_csv(out)
    assert list(details["role"]) == ["query", "key", "value", "feed-forward in"]
    assert details["rand_distance"].between(0, 1).all()
    assert not list(tmp_path.glob("*.part"))


def test_json_is_json(checkpoint, capsys):
    assert main(["analyze", str(checkpoint), "--json", "--layers", "1"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["options"]["randomize"] is False
    assert [row["layer_id"] for row in found["layers"]] == [1]
    assert found["layers"][0]["num_fingers"] is None


def test_plots_are_written(checkpoint, tmp_path, capsys):
    assert main(["analyze", str(checkpoint), "--plots", str(tmp_path / "plots")]) == 0
    pictures = sorted(p.name for p in (tmp_path / "plots").glob("*.png"))
    assert pictures == ["000 block 0 qkv.png", "001 block 0 feed-forward in.png"]
    assert (tmp_path / "plots" / pictures[0]).stat().st_size > 10_000


@pytest.mark.parametrize(
    ("rule", "alpha"),
    [(None, "16.04"), ("clip_xmax", "2.04"), ("clip_xmax_ww", "2.04"), ("xmin_peak", "2.03"), ("outliers", "16.04")],
)
def test_the_figures_show_the_tables_own_fit(rule, alpha, tmp_path, capsys):
    """And say so in the file's Description."""
    layer = "block 23 attention output"
    given = ["--fix-fingers", rule] if rule else []
    assert main(["analyze", "smollm2", "--layers", layer, *given, "--plots", str(tmp_path)]) == 0
    assert alpha in capsys.readouterr().out
    (picture,) = tmp_path.glob("*.png")
    words = Image.open(picture).text["Description"]
    assert layer in words
    assert f"{alpha}{' plus or minus' if alpha == '16.04' else ' instead of 16.04'}" in words


def test_the_help_names_every_rule(capsys):
    with pytest.raises(SystemExit):
        main(["analyze", "--help"])
    assert ", ".join(RULES) in " ".join(capsys.readouterr().out.split())


def test_a_broken_layer_is_shown_and_told_by_the_exit_code(tmp_path, capsys):
    np.savez(tmp_path / "m.npz", good=np.random.default_rng(0).normal(size=(30, 20)), bad=np.full((30, 20), np.nan))
    assert main(["analyze", str(tmp_path / "m.npz")]) == 3
    out = capsys.readouterr().out
    assert "bad: failed: W holds 600 NaN or infinite entries" in out
    assert "1 of 2 layers analysed" in out


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (["analyze", "no/such/file.safetensors"], "no/such/file.safetensors"),
        (["analyze", "./minillm"], "the atlas has minilm, smollm2"),
        (["analyze", "minilm", "--fix-fingers", "clip"], "fix_fingers='clip'; allowed are"),
        (["analyze", "minilm", "--layers", "querry"], "querry"),
        (["analyze", "minilm", "--out", "no/such/folder/x.csv"], "no/such/folder"),
        (["atlas", "show", "nothing"], "name='nothing'; the atlas has minilm"),
    ],
)
def test_errors_are_one_line_on_stderr(args, says, capsys):
    assert main(args) == 1
    err = capsys.readouterr().err
    assert err.startswith("rmt-lab: ")
    assert says in err
    assert len(err.strip().splitlines()) == 1


def test_a_command_line_that_cannot_be_understood(capsys):
    with pytest.raises(SystemExit) as stop:
        main(["analyse"])
    assert stop.value.code == 2


def test_help_has_examples():
    out = subprocess.run([sys.executable, "-m", "rmt_lab.cli", "analyze", "--help"], capture_output=True, text=True)
    assert out.returncode == 0
    assert "rmt-lab analyze minilm --fix-fingers clip_xmax" in out.stdout


def test_a_reader_that_goes_away_is_no_error():
    command = f'"{sys.executable}" -m rmt_lab.cli atlas show smollm2 | head -n 1'
    out = subprocess.run(command, shell=True, capture_output=True, text=True)
    assert out.stderr == ""


def test_the_atlas_is_listed_shown_and_added_to(checkpoint, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("RMT_LAB_CACHE", str(tmp_path / "cache"))
    assert main(["atlas", "add", str(checkpoint), "--name", "mine", "--split-qkv"]) == 0
    assert main(["atlas", "list"]) == 0
    assert main(["atlas", "show", "mine"]) == 0
    out = capsys.readouterr().out
    assert [line.split()[0] for line in out.splitlines()[1:4]] == ["minilm", "smollm2", "mine"]
    assert "block 0 value" in out
    assert main(["analyze", "mine"]) == 0
