"""A checkpoint from the browser, in JupyterLab and on the page that Voila serves."""

import base64
import json
import os
import re
import signal
import struct
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from browser import SCREENSHOTS, WAIT, jupyterlab, listen, page, run_all
from test_gallery import voila

pytestmark = pytest.mark.browser

SOURCE = """import ipywidgets, os
from rmt_lab.explorers import LayerExplorer
explorer = LayerExplorer()
ipywidgets.VBox([explorer, ipywidgets.HTML(f"<code>{os.getpid()}</code>")])"""
KEEP_SOCKETS = """window.sockets = [];
window.WebSocket = class extends WebSocket { constructor(...a) { super(...a); window.sockets.push(this); } };"""
SLOWLY = """() => { const read = window.read = Blob.prototype.arrayBuffer;
Blob.prototype.arrayBuffer = async function () {
    await new Promise((done) => setTimeout(done, 300));
    return read.call(this);
} }"""
AS_BEFORE = "() => { Blob.prototype.arrayBuffer = window.read; }"
IN_PROC = sys.platform == "linux"


def safetensors(path, shape, layers, kinds=("attention.self.query",)):
    """A checkpoint of Gaussian layers, written as the format says."""
    names = [f"encoder.layer.{i}.{kind}.weight" for i in range(layers) for kind in kinds]
    size = 4 * shape[0] * shape[1]
    tensors = {
        n: {"dtype": "F32", "shape": shape, "data_offsets": [i * size, (i + 1) * size]} for i, n in enumerate(names)
    }
    header = json.dumps(tensors).encode()
    rng = np.random.default_rng(0)
    with path.open("wb") as file:
        file.write(struct.pack("<Q", len(header)) + header)
        for _ in names:
            file.write(rng.standard_normal(shape, np.float32).tobytes())
    return path


def notebook(folder, *sources):
    """A notebook of these cells."""
    cells = [
        {"cell_type": "code", "id": f"c{i}", "source": s, "metadata": {}, "outputs": [], "execution_count": None}
        for i, s in enumerate(sources)
    ]
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    path = folder / "upload.ipynb"
    path.write_text(json.dumps({"cells": cells, "metadata": kernel, "nbformat": 4, "nbformat_minor": 5}))
    return path


@pytest.fixture(scope="module")
def uploads(tmp_path_factory):
    """The folder that the kernels have for temporary files."""
    folder = tmp_path_factory.mktemp("uploads")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TMPDIR", str(folder))
        yield folder


@pytest.fixture(scope="module", params=["jupyterlab", "voila"])
def opened(request, uploads, tmp_path_factory):
    """A page with the explorer, and what goes wrong on it."""
    path = notebook(tmp_path_factory.mktemp(request.param), SOURCE)
    with page(900, 1300) as tab:
        tab.add_init_script(KEEP_SOCKETS)
        if request.param == "jupyterlab":
            with jupyterlab(path.parent) as address:
                run_all(tab, address, path, 1)
                yield tab, listen(tab), request.param
        else:
            with voila(path) as address:
                # Voila's own icons come from the web; without it the page does without them
                tab.route("https://cdn.jsdelivr.net/**", lambda route: route.fulfill(body="", content_type="text/css"))
                tab.goto(address)
                tab.wait_for_selector(".rmt-upload output", timeout=WAIT)
                yield tab, listen(tab), request.param
    assert not list(uploads.glob("rmt_lab-upload-*")), "removed when the kernel ends"


def says(tab, words, timeout=WAIT):
    """Wait until the widget says something."""
    tab.locator(".rmt-upload output", has_text=words).wait_for(timeout=timeout)


def choose(tab, path):
    """By keyboard; a page that is still being built may take the focus away, so the key is pressed again."""
    for timeout in (WAIT / 9, WAIT / 3, WAIT):
        tab.locator(".rmt-upload input").focus()
        try:
            with tab.expect_file_chooser(timeout=timeout) as chooser:
                tab.keyboard.press("Space")
            return chooser.value.set_files(path)
        except Exception:
            if timeout == WAIT:
                raise


def drop(tab, name, data):
    """What a page hears when a file is dropped on the widget."""
    transfer = tab.evaluate_handle(
        """([name, data]) => {
            const transfer = new DataTransfer();
            transfer.items.add(new File([Uint8Array.from(atob(data), (c) => c.charCodeAt(0))], name));
            return transfer;
        }""",
        [name, base64.b64encode(data).decode()],
    )
    for kind in ("dragenter", "dragover"):
        tab.dispatch_event(".rmt-upload", kind, {"dataTransfer": transfer})
    assert tab.locator(".rmt-upload.over").count() == 1
    tab.dispatch_event(".rmt-upload", "drop", {"dataTransfer": transfer})
    assert tab.locator(".rmt-upload.over").count() == 0


def test_a_file_is_chosen_by_keyboard_dropped_and_refused(opened, tmp_path, uploads):
    tab, errors, where = opened
    root = tab.locator(".rmt-lab-explorer")
    root.wait_for(timeout=WAIT)
    model, status = root.locator("select").first, root.locator("[role=status]")
    SCREENSHOTS.mkdir(exist_ok=True)

    path = safetensors(tmp_path / "chosen.safetensors", (512, 384), 10)  # 8 MB
    choose(tab, path)
    says(tab, "chosen.safetensors is open. Analysed: 10 layers.")
    assert model.input_value() == "chosen.safetensors"
    assert status.inner_text().startswith("block 3 query of chosen.safetensors, 512 × 384: ")
    (stored,) = uploads.rglob("upload.*")
    assert stored.read_bytes() == path.read_bytes()
    root.screenshot(path=SCREENSHOTS / f"upload {where}.png")

    drop(tab, "dropped.safetensors", safetensors(tmp_path / "d.safetensors", (60, 40), 2).read_bytes())
    says(tab, "dropped.safetensors is open. Analysed: 2 layers.")
    assert status.inner_text().startswith("block 1 query of dropped.safetensors, 60 × 40: ")
    assert len(list(uploads.rglob("upload.*"))) == 1

    drop(tab, "notes.txt", b"no model")
    says(tab, "notes.txt was not taken. Choose a file that ends in")
    root.locator(".rmt-upload").screenshot(path=SCREENSHOTS / f"upload refused {where}.png")
    drop(tab, "odd.safetensors", b"no model" * 9)
    says(tab, "odd.safetensors cannot be used: it is no safetensors file")
    tab.locator(".rmt-upload input").set_input_files(path)  # the same as before
    says(tab, "chosen.safetensors (2) is open. Analysed: 10 layers.")
    assert not errors


def test_stop(opened, tmp_path):
    tab, errors, _ = opened
    tab.locator(".rmt-upload output").wait_for(timeout=WAIT)
    tab.evaluate(SLOWLY)
    path = safetensors(tmp_path / "slow.safetensors", (1024, 1024), 8)  # 34 MB
    tab.locator(".rmt-upload input").set_input_files(path)
    says(tab, "Sending slow.safetensors: 10 % of 34 MB.")
    progress = tab.locator(".rmt-upload progress")
    assert 0 < progress.evaluate("bar => bar.value") < 1
    tab.locator(".rmt-upload button").focus()
    tab.keyboard.press("Enter")
    says(tab, "Stopped. The file was not kept.")
    assert not progress.is_visible()
    assert tab.evaluate("document.activeElement.type") == "file"
    assert "slow" not in tab.locator(".rmt-lab-explorer select").first.inner_text()
    tab.evaluate(AS_BEFORE)
    assert not errors


def test_an_upload_goes_on_after_the_connection_broke(opened, tmp_path, uploads):
    tab, errors, _ = opened
    tab.locator(".rmt-upload output").wait_for(timeout=WAIT)
    tab.evaluate(SLOWLY)
    path = safetensors(tmp_path / "broken.safetensors", (1024, 1024), 5)  # 21 MB
    tab.locator(".rmt-upload input").set_input_files(path)
    says(tab, "Sending broken.safetensors: 20 % of 21 MB.")
    closed = "sockets.filter((s) => /channels/.test(s.url) && s.readyState == 1).map((s) => s.close()).length"
    assert tab.evaluate(closed) >= 1
    tab.evaluate(AS_BEFORE)
    says(tab, "broken.safetensors is open. Analysed: 5 layers.")
    (stored,) = uploads.rglob("upload.*")
    assert stored.read_bytes() == path.read_bytes()
    assert [error for error in errors if "WebSocket" not in error] == []
    errors.clear()


@pytest.mark.skipif(os.name != "posix", reason="a process is halted by a signal")
def test_a_kernel_that_does_not_answer(opened, tmp_path):
    tab, errors, _ = opened
    kernel = kernel_of(tab)
    os.kill(kernel, signal.SIGSTOP)
    try:
        tab.locator(".rmt-upload input").set_input_files(safetensors(tmp_path / "late.safetensors", (60, 40), 2))
        says(tab, "Sending late.safetensors: 0 %")
        says(tab, "The kernel does not answer: it is busy, or the connection is broken.")
    finally:
        os.kill(kernel, signal.SIGCONT)
    says(tab, "late.safetensors is open. Analysed: 2 layers.")
    assert not errors


def kernel_of(tab):
    """The process of the kernel."""
    return int(tab.locator("code", has_text=re.compile(r"^\d+$")).first.inner_text())


def memory(pid, what):
    """MB that a process has (VmRSS) or had at most (VmHWM)."""
    return int(re.search(rf"{what}:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())[1]) / 1024


@pytest.mark.slow
@pytest.mark.skipif(not IN_PROC, reason="memory of other processes is read from /proc")
def test_300_mb_take_little_memory(opened, tmp_path, uploads):
    tab, errors, where = opened
    kernel = kernel_of(tab)
    server = int(re.search(r"PPid:\s+(\d+)", Path(f"/proc/{kernel}/status").read_text())[1])
    path = safetensors(tmp_path / "large.safetensors", (1200, 1000), 62)
    assert 297e6 < path.stat().st_size <= 300e6
    for pid in (kernel, server):
        Path(f"/proc/{pid}/clear_refs").write_text("5")  # begin the highest mark anew
    before = {pid: memory(pid, "VmHWM") for pid in (kernel, server)}
    began = time.monotonic()
    tab.locator(".rmt-upload input").set_input_files(path)
    tab.wait_for_function("!/Sending/.test(document.querySelector('.rmt-upload output').innerText)", timeout=120_000)
    took = time.monotonic() - began
    arrived = {pid: memory(pid, "VmHWM") - before[pid] for pid in (kernel, server)}
    says(tab, "Analysed: 62 layers.", timeout=300_000)
    analysed = memory(kernel, "VmHWM") - before[kernel]
    told = f"kernel +{arrived[kernel]:.0f} MB, server +{arrived[server]:.0f} MB; analysed: kernel +{analysed:.0f} MB"
    print(f"{where}: {took:.0f} s; {told}")
    assert arrived[server] < 60
    assert arrived[kernel] < 60
    assert [p.stat().st_size for p in uploads.rglob("upload.*")] == [path.stat().st_size]
    assert not errors
