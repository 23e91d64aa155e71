"""The end of an upload that is Python: it is fed the messages that the browser sends."""

import errno
import io
import os
import stat
import subprocess
import sys
import tempfile
from collections import namedtuple
from pathlib import Path

import numpy as np
import pytest

from rmt_lab import analyze, atlas
from rmt_lab.explorers import LayerExplorer, Upload, upload
from rmt_lab.explorers.sweep import frame
from rmt_lab.explorers.upload import LARGEST

PART = 2000


def npz(seed=0, layers=3):
    """The bytes of a small checkpoint."""
    rng = np.random.default_rng(seed)
    file = io.BytesIO()
    np.savez(file, **{f"layers.{i}.query.weight": rng.normal(size=(40, 30)) for i in range(layers)})
    return file.getvalue()


class Browser:
    """What upload.js does, over a connection that may lose messages."""

    def __init__(self, widget, lose=()):
        self.widget, self.lose, self.sent, self.answers = widget, set(lose), 0, []
        widget.send = lambda content, buffers=None: self.answers.append(content)

    def message(self, buffers=(), **content):
        """Send a message and give the answer; None where one of the two is lost."""
        self.sent += 1
        if self.sent in self.lose:
            return None
        self.answers.clear()
        self.widget._handle_msg(
            {"content": {"data": {"method": "custom", "content": content}}, "buffers": list(buffers)}
        )
        return self.answers[-1] if self.answers else None

    def start(self, name, size, upload="a", asked=1):
        return self.message(kind="start", upload=upload, name=name, size=size, asked=asked)

    def part(self, data, at, upload="a"):
        return self.message([memoryview(data[at : at + PART])], kind="part", upload=upload, at=at)

    def give(self, name, data, upload="a", ahead=4):
        """A whole file; what was lost is sent again from where the kernel says."""
        asked = 0
        while True:
            asked += 1
            answer = self.start(name, len(data), upload, asked)
            while answer and not answer.get("over"):
                answers = [self.part(data, answer["received"] + i * PART, upload) for i in range(ahead)]
                answer = answers[-1]
            if answer:
                return self.widget.words


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """The folder of temporary files, which nothing else writes into."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


@pytest.fixture
def widget():
    widget = Upload()
    yield widget
    widget.close()


def files(folder):
    return sorted(p for p in folder.rglob("*") if p.is_file())


def test_a_file_arrives_byte_for_byte_and_for_its_user_alone(widget, folder):
    data, called = npz(), []
    widget.on_file(lambda path, name: called.append((path, name)))
    assert Browser(widget).give("mine.npz", data) == "mine.npz is open, 0.0 MB."
    (path,) = files(folder)
    assert called == [(widget.path, "mine.npz")] == [(str(path), widget.name)]
    assert path.read_bytes() == data
    assert repr(widget) == "Upload(mine.npz)"
    assert not widget.failed
    assert widget.fraction == -1
    if os.name == "posix":
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert analyze(widget.path).status.tolist() == ["success"] * 3


def safetensors_file(path, W):
    pytest.importorskip("safetensors.numpy").save_file({"layers.0.query.weight": W}, path)


def gguf_file(path, W):
    writer = pytest.importorskip("gguf").GGUFWriter(path, "llama")
    writer.add_tensor("blk.0.attn_q.weight", W)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


@pytest.mark.parametrize(("write", "name"), [(safetensors_file, "Mine.SafeTensors"), (gguf_file, "mine.gguf")])
def test_the_other_formats(widget, tmp_path_factory, write, name):
    path = tmp_path_factory.mktemp("other") / "mine"
    W = np.random.default_rng(0).normal(size=(64, 32)).astype(np.float32)
    write(path, W)
    assert Browser(widget).give(name, path.read_bytes()) == f"{name} is open, 0.0 MB."
    assert analyze(widget.path).loc[0, ["N", "M", "status"]].tolist() == [64, 32, "success"]


@pytest.mark.parametrize("lose", [{1}, {2}, {3, 4}, {5}, set(range(4, 9)), set(range(2, 40, 3))], ids=str)
def test_what_the_connection_loses_is_sent_again(widget, folder, lose):
    data = npz()
    Browser(widget, lose).give("mine.npz", data)
    assert [p.read_bytes() for p in files(folder)] == [data]


def test_parts_out_of_order_twice_or_of_another_upload_are_passed_over(widget):
    data, browser = npz(), Browser(widget)
    assert browser.start("mine.npz", len(data)) == {"upload": "a", "received": 0, "asked": 1}
    assert browser.part(data, PART)["received"] == 0  # a gap
    assert browser.part(data, 0)["received"] == PART
    assert browser.part(data, 0)["received"] == PART  # twice
    assert browser.part(data, PART, upload="b") is None  # it has not begun
    assert browser.start("mine.npz", len(data), asked=7) == {"upload": "a", "received": PART, "asked": 7}
    assert Path(widget._part.path).stat().st_size in (0, PART)  # it may not be on the disk yet


def test_more_than_was_promised_is_refused(widget, folder, caplog):
    browser = Browser(widget)
    browser.start("mine.npz", 10)
    assert browser.part(npz(), 0) == {"upload": "a", "over": True}
    assert "more than the 10 bytes" in caplog.text
    assert widget.failed
    assert "Choose it again." in widget.words
    assert not list(folder.iterdir())


@pytest.mark.parametrize(
    ("name", "size", "words"),
    [
        ("notes.txt", 5, "notes.txt was not taken. Choose a file that ends in .safetensors, .gguf or .npz."),
        ("model.pt", 5, "model.pt was not taken. Save its state dict with safetensors.torch.save_file, and choose"),
        ("big.gguf", LARGEST + 1, "big.gguf is larger than 300 MB. Choose another file."),
        ("none.npz", 0, "none.npz is empty. Choose another file."),
    ],
)
def test_what_is_refused_before_it_is_sent(widget, folder, name, size, words):
    assert Browser(widget).start(name, size) == {"upload": "a", "over": True}
    assert widget.words.startswith(words)
    assert widget.failed
    assert widget.path is None
    assert not list(folder.iterdir())


@pytest.mark.parametrize(
    ("name", "data", "words"),
    [
        ("mine.npz", b"no zip" * 99, "mine.npz cannot be used: it is no .npz file"),
        ("mine.safetensors", b"\xff" * 99, "mine.safetensors cannot be used: it is no safetensors file"),
        ("mine.safetensors", b"abc", "mine.safetensors cannot be used: it is no safetensors file, or is truncated"),
        ("mine.npz", npz(layers=0), "mine.npz cannot be used: it holds no"),
    ],
    ids=["npz", "safetensors", "short", "no matrix"],
)
def test_what_is_no_checkpoint_is_removed_and_the_earlier_file_stays(widget, folder, name, data, words):
    browser = Browser(widget)
    browser.give("first.npz", npz(), "first")
    said = browser.give(name, data, "second")
    assert said.startswith(words)
    assert said.endswith("Choose another file.")
    assert str(folder) not in said
    assert widget.failed
    assert [str(p) for p in files(folder)] == [widget.path]
    assert widget.name == "first.npz"


@pytest.mark.parametrize("name", ["../../evil.npz", "C:\\evil.npz", "/etc/evil.npz", "a" * 300 + ".npz", "a\n\0b.npz"])
def test_a_name_is_a_label_and_never_a_path(widget, folder, name):
    Browser(widget).give(name, npz())
    (path,) = files(folder)
    assert path.name == "upload.npz"
    assert path.parent.parent == folder
    assert len(widget.name) <= 61
    assert widget.name.isprintable()
    assert not set(widget.name) & set("/\\")


def test_another_file_takes_the_place_of_the_first_one(widget, folder):
    browser = Browser(widget)
    browser.give("first.npz", npz(1), "first")
    first = Path(widget.path)
    browser.start("second.npz", len(npz(2)), "second")
    assert first.exists()  # until the other one is whole
    browser.give("second.npz", npz(2), "second")
    assert not first.exists()
    assert [p.read_bytes() for p in files(folder)] == [npz(2)]
    assert len(list(folder.iterdir())) == 1


def test_a_second_start_ends_the_upload_before(widget, folder):
    data, browser = npz(), Browser(widget)
    browser.start("first.npz", len(data), "first")
    browser.part(data, 0, "first")
    browser.start("second.npz", len(data), "second")
    assert len(files(folder)) == 1
    assert browser.part(data, PART, "first") == {"upload": "first", "over": True}
    assert browser.start("first.npz", len(data), "first", asked=2) == {"upload": "first", "over": True}


def test_stop(widget, folder):
    data, browser = npz(), Browser(widget)
    browser.start("first.npz", len(data))
    browser.part(data, 0)
    assert browser.message(kind="stop", upload="a") == {"upload": "a", "over": True}
    assert widget.words == "Stopped. The file was not kept."
    assert not widget.failed
    assert not list(folder.iterdir())


def test_close_removes_what_has_arrived_and_what_is_arriving(folder):
    widget = Upload()
    browser = Browser(widget)
    browser.give("first.npz", npz(), "first")
    browser.start("second.npz", len(npz()), "second")
    assert len(files(folder)) == 2
    widget.close()
    assert not list(folder.iterdir())
    assert widget.path is None
    assert repr(widget) == "Upload(no file)"


def test_a_full_disk(widget, folder, monkeypatch):
    browser, data = Browser(widget), npz()
    usage = namedtuple("usage", "free")
    monkeypatch.setattr(upload.shutil, "disk_usage", lambda _: usage(10**7))
    assert browser.start("mine.npz", len(data), "first")["over"]
    assert widget.words.startswith("The disk where the kernel runs has no room for this file.")
    monkeypatch.setattr(upload.shutil, "disk_usage", lambda _: usage(10**12))
    browser.start("mine.npz", len(data), "second")

    def full(_):
        raise OSError(errno.ENOSPC, "No space left on device")

    widget._part.file.close()
    monkeypatch.setattr(widget._part, "file", namedtuple("File", "write close")(full, lambda: full(0)))
    assert browser.part(data, 0, "second")["over"]
    assert "no room" in widget.words
    assert widget.failed
    assert not list(folder.iterdir())


@pytest.mark.parametrize("error", [OSError(errno.EACCES, "Permission denied"), OSError("odd")])
def test_another_fault_of_the_disk(widget, folder, monkeypatch, error):
    def fail(*_, **__):
        raise error

    monkeypatch.setattr(upload.tempfile, "mkdtemp", fail)
    assert Browser(widget).start("mine.npz", 99)["over"]
    assert (
        widget.words
        == f"The file could not be written where the kernel runs ({error.strerror or 'odd'}). Choose it again."
    )


def test_a_callback_may_refuse_a_file(widget, folder):
    def refuse(path, name):
        raise ValueError(f"{name} is not mine.")

    widget.on_file(refuse)
    said = Browser(widget).give("mine.npz", npz())
    assert said == "mine.npz cannot be used: mine.npz is not mine. Choose another file."
    assert not list(folder.iterdir())
    assert widget.path is None


def test_a_bug_in_a_callback_is_told_and_ends_the_upload(widget, caplog):
    browser, data = Browser(widget), npz(layers=1)
    browser.give("earlier.npz", data, upload="b")
    widget.on_file(lambda path, name: 1 / 0)
    browser.start("mine.npz", len(data))
    for at in range(0, len(data), PART):
        browser.part(data, at)
    assert browser.answers == [{"upload": "a", "over": True}]
    assert "ZeroDivisionError" in widget.words
    assert "ZeroDivisionError" in caplog.text  # with its traceback
    assert widget.name == "earlier.npz"  # which stays
    assert Path(widget.path).read_bytes() == data


def test_an_interrupt_ends_the_upload(widget, folder):
    def interrupt(path, name):
        raise KeyboardInterrupt

    widget.on_file(interrupt)
    with pytest.raises(KeyboardInterrupt):
        Browser(widget).give("mine.npz", npz())
    assert (widget.path, widget.failed, widget.fraction) == (None, True, -1)
    assert files(folder) == []


def test_frames_and_flipbook_show_the_file(tmp_path_factory):
    shown = LayerExplorer()
    Browser(shown.upload).give("mine.npz", npz())
    assert "mine.npz" in shown.sentence
    for copy in (shown.model.copy(), shown.model.copy(block=2)):
        assert copy.model == shown.model.model
    assert "block 2 query of mine.npz" in frame(shown.model, 50, block=2).sentence
    path = tmp_path_factory.mktemp("book") / "book.html"
    shown.flipbook("block", path)
    assert "block 1 query of mine.npz" in path.read_text("utf-8")
    shown.upload.close()


LEAVE = """
import sys, tempfile
tempfile.tempdir = sys.argv[1]
from test_upload import Browser, Upload, npz
widget = Upload()
Browser(widget).give("mine.npz", npz())
print(widget.path)
{}
"""


KILLED = pytest.param(
    "import os, signal; os.kill(os.getpid(), 9)",
    id="is killed",
    marks=pytest.mark.skipif(sys.platform == "win32", reason="a process cannot be looked for there"),
)


@pytest.mark.parametrize("end", [pytest.param("", id="ends"), KILLED])
def test_nothing_stays_when_the_kernel_ends(folder, widget, end):
    run = [sys.executable, "-c", LEAVE.format(end), str(folder)]
    path = os.pathsep.join([str(Path(__file__).parent), *filter(None, sys.path)])
    out = subprocess.run(run, capture_output=True, text=True, env=os.environ | {"PYTHONPATH": path})
    assert out.stdout.startswith(str(folder)), out.stderr
    if end:
        assert len(files(folder)) == 1  # nobody could remove it: the next upload does
        (folder / "rmt_lab-upload-othermachine-1-abc").mkdir()
        (folder / f"rmt_lab-upload-mine-{os.getpid()}").mkdir()
        Browser(widget).give("other.npz", npz())
        assert [str(p) for p in files(folder)] == [widget.path]
        assert len(list(folder.iterdir())) == 3
    else:
        assert not list(folder.iterdir())


def test_where_widgets_do_not_run_there_is_a_line(widget):
    bundle = widget._repr_mimebundle_()
    bundle = bundle[0] if isinstance(bundle, tuple) else bundle
    assert bundle["text/plain"] == "Upload(no file)"
    assert "In a running notebook" in bundle["text/html"]
    assert "application/vnd.jupyter.widget-view+json" in bundle


@pytest.fixture
def explorer():
    explorer = LayerExplorer()
    yield explorer
    explorer.close()
    if hasattr(explorer, "_analysis"):
        explorer._analysis.join(60)


def test_an_explorer_offers_the_file_as_a_model(explorer):
    before = explorer.picture.value
    Browser(explorer.upload).give("mine.npz", npz())
    explorer._analysis.join(60)
    assert explorer.upload.words == "mine.npz is open. Analysed: 3 layers."
    assert explorer.upload.fraction == -1
    assert explorer.controls["model"].options == ("mine.npz", *atlas.names())
    assert explorer.model.model == explorer.controls["model"].value == "mine.npz"
    assert explorer.sentence.startswith("block 2 query of mine.npz, 40 × 30: ")  # 3 is beyond the last
    assert explorer.controls["block"].max == 2
    assert explorer.picture.value != before
    explorer.controls["block"].value = 1
    row = analyze(explorer.upload.path).iloc[1]
    assert f"α = {row.alpha:.2f}" in explorer.sentence
    explorer.presets.value = "GPT query"
    assert explorer.model.model == "smollm2"
    explorer.controls["model"].value = "mine.npz"
    assert "of mine.npz" in explorer.sentence
    explorer.buttons["reset"].click()
    assert explorer.model.model == "minilm"


def test_the_code_for_the_file_runs(explorer):
    Browser(explorer.upload).give("mine.npz", npz())
    explorer.model.update({"null": "Gaussian", "block": 1, "seed": 3})
    plt = pytest.importorskip("matplotlib.pyplot")
    exec(explorer.code(), space := {})
    plt.close("all")
    np.testing.assert_allclose(space["spectrum"].singular_values, explorer.model.result.spectrum.singular_values)
    np.testing.assert_allclose(space["null"].singular_values, explorer.model.result.null.singular_values)


def test_a_second_file_of_the_same_name_is_another_model(explorer):
    browser = Browser(explorer.upload)
    browser.give("mine.npz", npz(1), "first")
    first = explorer.picture.value
    browser.give("mine.npz", npz(2), "second")
    assert explorer.controls["model"].options == ("mine.npz (2)", *atlas.names())
    assert "of mine.npz (2), " in explorer.sentence
    assert explorer.picture.value != first
    browser.give("minilm", b"", "third")
    assert explorer.model.model == "mine.npz (2)"  # what is refused changes nothing


def test_a_file_beside_a_source(tmp_path):
    np.savez(tmp_path / "mine.npz", **{"layers.0.key.weight": np.random.default_rng(0).normal(size=(30, 20))})
    explorer = LayerExplorer(tmp_path / "mine.npz")
    Browser(explorer.upload).give("mine.npz", npz())
    assert explorer.controls["model"].options == ("mine.npz (2)", "mine.npz", *atlas.names())
    assert explorer.sentence.startswith("block 0 query of mine.npz (2), 40 × 30")
    explorer.controls["model"].value = "mine.npz"
    assert explorer.sentence.startswith("block 0 key of mine.npz, 30 × 20")
    explorer.close()
    explorer._analysis.join(60)


def test_an_analysis_does_not_talk_over_a_later_file(explorer, monkeypatch):
    Browser(explorer.upload).give("mine.npz", npz())
    explorer._analysis.join(60)
    explorer._analyse("mine.npz")
    explorer.upload.tell("notes.txt was not taken.", failed=True)
    explorer._analysis.join(60)
    assert explorer.upload.words in ("notes.txt was not taken.", "mine.npz is open. Analysed: 3 layers.")


def test_closing_an_explorer_removes_its_file(folder):
    explorer = LayerExplorer()
    Browser(explorer.upload).give("mine.npz", npz())
    explorer._analysis.join(60)
    explorer.close()
    assert not list(folder.iterdir())


def test_without_threads_each_layer_is_analysed_when_it_is_shown(explorer, monkeypatch):
    def none(_):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr("threading.Thread.start", none)
    Browser(explorer.upload).give("mine.npz", npz())
    del explorer._analysis
    assert explorer.upload.words == "mine.npz is open."
    assert explorer.upload.fraction == -1
    assert "of mine.npz" in explorer.sentence
