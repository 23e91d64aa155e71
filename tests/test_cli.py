"""The command line: tables, files and exit codes."""

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from rmt_lab import __version__
from rmt_lab._files import written_whole
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


def test_erg_is_told_and_written(checkpoint, tmp_path, capsys):
    out = tmp_path / "details.csv"
    assert main(["analyze", str(checkpoint), "--erg", "--out", str(out)]) == 0
    assert "erg_gap_share" in capsys.readouterr().out
    table = pd.read_csv(out)
    assert (table["erg_gap"] == table["num_pl_spikes"] - table["num_erg"]).all()
    assert main(["analyze", str(checkpoint)]) == 0
    assert "erg_gap_share" not in capsys.readouterr().out


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
    said = capsys.readouterr().out
    assert alpha in said
    (picture,) = tmp_path.glob("*.png")
    words = Image.open(picture).text["Description"]
    assert layer in words
    without = re.search(r"Without (\d+) finger", words)
    assert (without[1] if without else "0") == (re.search(r"(\d+) eigenvalues dropped", said) or "00")[1]
    assert f"{alpha}{' plus or minus' if alpha == '16.04' else ' instead of 16.04'}" in words


#: What each of CONTRIBUTING.md's six lines names, in its order, and the function of that name.
STEPS = [
    [("cli._analyze", "_analyze"), ("analysis.Options", "Options.__post_init__")],
    [("tails.fingers.check_finger_options", "check_finger_options")],
    [("analysis.rows_of", "rows_of"), ("_row", "_row"), ("options.fit", "Options.fit")],
    [("tails.fingers.fix_fingers", "fix_fingers")],
    [("analysis._fit_figures", "_fit_figures"), ("table_of", "table_of")],
    [("report.plot_layers", "plot_layers"), ("Options", "Options.__post_init__"), ("options.fit", "Options.fit")],
]


def test_an_option_travels_as_contributing_says(tmp_path, monkeypatch):
    page = (Path(__file__).parents[1] / "CONTRIBUTING.md").read_text(encoding="utf-8")
    lines = re.findall(r"^\d\. (.*)", page.split("How an option travels")[1].split("\n# ")[0], re.MULTILINE)
    monkeypatch.setattr("rmt_lab.report.figures.save_figure", lambda *_, **__: None)  # the slow part
    walked = []

    def note(frame, event, _):
        if event == "call" and f"{os.sep}rmt_lab{os.sep}" in frame.f_code.co_filename:
            walked.append(frame.f_code.co_qualname)

    sys.setprofile(note)
    try:
        main(["analyze", "minilm", "--fix-fingers", "clip_xmax", "--layers", "pooler", "--plots", str(tmp_path)])
    finally:
        sys.setprofile(None)
    on = iter(walked)
    for line, steps in zip(lines, STEPS, strict=True):
        said = iter(re.findall(r"`([\w.]+)[(`]", line))
        for name, function in steps:
            assert name in said, line
            assert function in on, name


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
        (["atlas", "show", "../../x"], "name='../../x'; a name becomes a file's name"),
        (["atlas", "add", "no/such/file", "--name", "minilm"], "a model of that name ships with the package"),
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


def test_a_broken_file_does_not_hide_the_rest_of_the_atlas(checkpoint, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("RMT_LAB_CACHE", str(tmp_path))
    assert main(["atlas", "add", str(checkpoint), "--name", "zebra"]) == 0
    broken = tmp_path / "atlas" / "broken.npz"
    broken.write_bytes(b"not a zip")
    capsys.readouterr()
    assert main(["atlas", "list"]) == 3
    out, err = capsys.readouterr()
    assert [line.split()[0] for line in out.splitlines()] == ["minilm", "smollm2", "zebra"]
    assert err == f"rmt-lab: atlas entry 'broken' ({broken}) cannot be read: BadZipFile: File is not a zip file\n"
    assert main(["atlas", "show", "broken"]) == 1


def test_a_layer_that_the_atlas_leaves_out_is_told(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("RMT_LAB_CACHE", str(tmp_path))
    np.savez(tmp_path / "w.npz", a=np.full((20, 20), np.nan), b=np.random.default_rng(0).normal(size=(20, 20)))
    assert main(["atlas", "add", str(tmp_path / "w.npz")]) == 3
    out, err = capsys.readouterr()
    assert out.startswith("w: 1 layers kept in ")
    assert err == "rmt-lab: a is left out: W holds 400 NaN or infinite entries of 400\n"
    assert main(["atlas", "show", "w"]) == 0
    assert capsys.readouterr().out.endswith("left out: a: W holds 400 NaN or infinite entries of 400\n")


def test_version_and_layers_before_the_source(checkpoint, capsys):
    with pytest.raises(SystemExit) as ended:
        main(["--version"])
    assert ended.value.code == 0
    assert capsys.readouterr().out == f"rmt-lab {__version__}\n"
    assert main(["analyze", "--layers", "1", "--layers", "qkv", "--json", str(checkpoint)]) == 0
    assert len(json.loads(capsys.readouterr().out)["layers"]) == 2


@pytest.mark.parametrize(
    ("option", "name", "said"),
    [
        ("--out", "folder", "folder is a folder"),
        ("--out", "no such/details.csv", "there is no folder"),
        ("--plots", "file", "file is a file"),
    ],
)
def test_places_that_cannot_be_written_to_are_refused_before_the_work(
    option, name, said, tmp_path, capsys, monkeypatch
):
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_text("mine")
    monkeypatch.setattr("rmt_lab.analysis.analyze", lambda *a, **k: pytest.fail("the work began"))
    assert main(["analyze", "minilm", option, str(tmp_path / name)]) == 1
    assert said in capsys.readouterr().err
    assert (tmp_path / "file").read_text() == "mine"


@pytest.mark.parametrize("source", ["minilm", "no/such/file.pt"])
def test_signals_do_afterwards_what_they_did_before(source, capsys):
    before = signal.signal(signal.SIGTERM, signal.SIG_IGN)
    try:
        main(["describe", source])
        assert signal.getsignal(signal.SIGTERM) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGTERM, before)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs pipes with a name")
def test_a_link_stays_a_link_and_a_pipe_a_pipe(checkpoint, tmp_path, capsys):
    real, link, pipe = tmp_path / "real.csv", tmp_path / "link.csv", tmp_path / "pipe"
    real.write_text("old")
    link.symlink_to(real)
    os.mkfifo(pipe)
    reader = subprocess.Popen(["cat", str(pipe)], stdout=subprocess.PIPE, text=True)
    for out in (link, pipe, Path(os.devnull)):
        assert main(["analyze", str(checkpoint), "--out", str(out)]) == 0
    assert link.is_symlink()
    assert len(pd.read_csv(real)) == 2
    assert pipe.is_fifo()
    assert reader.communicate(timeout=20)[0] == real.read_text()
    assert not Path(os.devnull).is_file()


@pytest.mark.slow
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_leaves_nothing_half_written(number, code, tmp_path):
    """In the middle of writing: the process stops itself there."""
    script = (
        "import os, signal, sys\nfrom pathlib import Path\nimport rmt_lab.cli as cli\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"  # what runs in the background ignores it
        "from rmt_lab._files import written_whole\n"
        "def command(args):\n"
        "    with written_whole(Path(sys.argv[1])) as file:\n"
        "        file.write(b'half')\n"
        f"        os.kill(os.getpid(), {int(number)})\n"
        "        import time; time.sleep(10)\n"
        "cli._atlas_list = command\nsys.exit(cli.main(['atlas', 'list']))\n"
    )
    out = tmp_path / "details.csv"
    out.write_text("old")
    run = subprocess.run([sys.executable, "-c", script, str(out)], capture_output=True, text=True, timeout=60)
    assert run.returncode == code
    assert "Traceback" not in run.stderr
    assert out.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["details.csv"]


def test_what_a_killed_process_left_is_removed_by_the_next(tmp_path):
    script = (
        "import os, sys\nfrom pathlib import Path\nfrom rmt_lab._files import written_whole\n"
        "with written_whole(Path(sys.argv[1])) as file:\n    os.kill(os.getpid(), 9)\n"
    )
    out = tmp_path / "details.csv"
    subprocess.run([sys.executable, "-c", script, str(out)], timeout=60)
    assert len(list(tmp_path.glob(".details.csv.*.part"))) == 1
    with written_whole(tmp_path / "other.csv") as file:
        file.write(b"whole")
    assert len(list(tmp_path.glob(".details.csv.*.part"))) == 1  # the parts of another file are not its business
    with written_whole(out) as first:  # nor are those of a process that still runs
        with written_whole(out) as second:
            second.write(b"second")
        first.write(b"first")
    assert out.read_bytes() == b"first"
    assert not list(tmp_path.glob(".*.part"))


def test_names_of_tensors_are_told_and_not_obeyed(tmp_path, capsys):
    rng = np.random.default_rng(0)
    names = ["=HYPERLINK(1).weight", "-x.weight", "a\x1b[2Jb\r.weight", "plain.weight"]
    np.savez(tmp_path / "model.npz", **{name: rng.normal(size=(30, 20)) for name in names})
    out = tmp_path / "details.csv"
    assert main(["analyze", str(tmp_path / "model.npz"), "--out", str(out)]) == 0
    printed = capsys.readouterr().out
    assert "\x1b" not in printed
    assert "\\x1b[2J" in printed
    raw = out.read_text()
    assert not set(raw) & {"\x1b", "\r"}
    longnames = pd.read_csv(out)["longname"].tolist()
    assert [n[:2] for n in longnames[:2]] == ["'=", "'-"]
    assert longnames[3] == "plain"


def test_a_wrong_source_costs_no_older_rows(tmp_path, capsys):
    out = tmp_path / "rows.jsonl"
    out.write_text("{}\n")
    assert main(["analyze", str(tmp_path / "mispelt.npz"), "--out", str(out)]) == 1
    assert out.read_text() == "{}\n"
    assert "there is no such file or folder" in capsys.readouterr().err


def test_an_ending_in_capitals_means_the_same(checkpoint, tmp_path):
    for name in ("rows.jsonl", "ROWS.JSONL"):
        assert main(["analyze", str(checkpoint), "--out", str(tmp_path / name)]) == 0
    assert (tmp_path / "ROWS.JSONL").read_text() == (tmp_path / "rows.jsonl").read_text()


@pytest.mark.skipif(not Path("/dev/stdout").exists(), reason="a Unix device")
def test_a_table_goes_through_a_pipe(checkpoint):
    """The path of a pipe, /dev/stdout or that of >(gzip), is a link that leads to no path."""
    command = [sys.executable, "-m", "rmt_lab.cli", "analyze", str(checkpoint), "--out", "/dev/stdout"]
    run = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert (run.returncode, run.stderr) == (0, "")
    assert "layer_id,name,longname" in run.stdout


def test_a_digit_that_is_no_number_is_a_name(checkpoint, capsys):
    assert main(["analyze", str(checkpoint), "--layers", "\u00b2"]) == 1
    assert "which no layer matches" in capsys.readouterr().err


def test_a_printed_table_says_how_many_eigenvalues_are_exact(tmp_path, capsys):
    np.save(tmp_path / "w.npy", np.random.default_rng(0).normal(size=(900, 500)))
    assert main(["analyze", str(tmp_path / "w.npy"), "--method", "top"]) == 0
    assert "num_evals  num_exact" in capsys.readouterr().out
    assert main(["analyze", str(tmp_path / "w.npy")]) == 0
    assert "num_exact" not in capsys.readouterr().out


@pytest.fixture
def tuned(checkpoint, tmp_path):
    """The checkpoint, one matrix of which gained a direction, and one became infinite."""
    rng = np.random.default_rng(1)
    with np.load(checkpoint) as held:
        state = dict(held)
    state["h.0.mlp.c_fc.weight"] = state["h.0.mlp.c_fc.weight"] + np.outer(rng.normal(size=30), rng.normal(size=120))
    np.savez(tmp_path / "tuned.npz", **state)
    np.savez(tmp_path / "broken.npz", **state | {"h.0.attn.c_attn.weight": np.full((30, 90), np.inf)})
    return tmp_path


def test_two_checkpoints_are_compared(tuned, checkpoint, capsys):
    out = tuned / "change.csv"
    assert main(["compare", str(checkpoint), str(tuned / "tuned.npz"), "--out", str(out)]) == 0
    details, said = pd.read_csv(out), capsys.readouterr().out
    assert list(details["change_rank"]) == [0, 1]
    assert "left_null" in said
    assert f"{details['relative_change'][1]:.3g}" in said
    assert main(["compare", str(checkpoint), str(tuned / "tuned.npz"), "--json", "--layers", "feed-forward in"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["base"], [row["change_rank"] for row in told["layers"]]) == (str(checkpoint), [1])
    assert main(["compare", str(checkpoint), str(tuned / "broken.npz"), "--split-qkv"]) == 3
    assert "block 0 query: failed: W holds 900 NaN or infinite entries of 900" in capsys.readouterr().out


def test_a_training_is_told_step_by_step(tmp_path, capsys):
    rng = np.random.default_rng(0)
    for step in (10, 2):
        np.savez(tmp_path / f"step_{step}.npz", query=rng.normal(size=(60, 50)), key=rng.normal(size=(60, 50)))
    out = tmp_path / "series.csv"
    assert main(["series", str(tmp_path), "--layers", "query", "--out", str(out)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split()[:2] == ["step", "name"]
    assert [line.split()[1:3] for line in lines[1:]] == [["2", "query"], ["10", "query"]]
    assert list(pd.read_csv(out)["step"]) == [2, 10]
    (tmp_path / "step_5\x1b[2J.npz").write_bytes(b"broken")
    np.savez(tmp_path / "step_7.npz", query=rng.normal(size=(60, 50)), key=np.full((60, 50), np.nan))
    assert main(["series", str(tmp_path / "step_*.npz"), "--out", str(out)]) == 3
    said = capsys.readouterr().out
    assert "step_5\\x1b[2J.npz: failed: source=" in said
    assert "step_7.npz key: failed: " in said
    assert "\x1b" not in said + out.read_text()
    assert list(pd.read_csv(out)["step"]) == [2, 2, 5, 7, 7, 10, 10]


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (["compare", "no/such/file.npz", "model.npz"], "base: "),
        (["compare", "model.npz", "minilm"], "spectra alone"),
        (["compare", "model.npz", "model.npz", "--layers", "querry"], "querry"),
        (["compare", "model.npz", "model.npz", "--out", "x.parquet"], "--out x.parquet: this table is written as .csv"),
        (["series", "empty"], "source='empty': no checkpoint there"),
        (["series", "no\x1b/such-*"], "source='no\\x1b/such-*': no checkpoint there"),
        (["series", "empty", "--out", "x.jsonl"], "--out x.jsonl: this table is written as .csv"),
        (["series", "empty", "--out", "empty"], "empty is a folder; a file is needed"),
    ],
)
def test_what_a_comparison_or_a_series_cannot_be_made_of_is_one_line(args, says, checkpoint, monkeypatch, capsys):
    monkeypatch.chdir(checkpoint.parent)
    (checkpoint.parent / "empty").mkdir()
    assert main(args) == 1
    said = capsys.readouterr()
    assert (said.out, said.err.count("\n")) == ("", 1)
    assert said.err.startswith("rmt-lab: ")
    assert says in said.err


def test_a_flipbook_is_written(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["flipbook", "finger", "k"]) == 0
    assert capsys.readouterr().out == "finger.html: written\n"
    page = Path("finger.html").read_text("utf-8")
    assert "<title>Finger: largest dropped k from 0 to 10</title>" in page
    assert main(["flipbook", "finger", "--out", "other.html"]) == 0
    assert Path("other.html").read_text("utf-8") == page  # k is what suits the idea
    assert main(["flipbook", "heavy_tail"]) == 1
    assert "explorer 'heavy_tail'; one of bulk, repulsion" in capsys.readouterr().err
    assert main(["flipbook", "heavy-tail", "height"]) == 1
    assert "name='height'; HeavyTailModel has the controls mu, M, Q" in capsys.readouterr().err
