"""The folder that mybinder.org builds from: light, complete, started with one thread, and enough for every notebook.

``make binder`` makes its environment from PyPI, into .venv-binder. Every notebook then runs there: without torch, with
the outputs that it was committed with, and in the memory that mybinder.org gives.
"""

import os
import re
import subprocess
import tomllib
from concurrent.futures import ThreadPoolExecutor

import pytest
from course import NOTEBOOKS, ROOT, cells

from benchmarks.notebooks import MOST_MEGABYTES, run

BINDER = ROOT / "binder"
MADE = ROOT / ".venv-binder"
ABSENT = ["torch", "transformers", "safetensors", "gguf"]  # what only opt-in cells may ask for
made = pytest.mark.skipif(not (MADE / "ready").exists(), reason="`make binder` makes the environment")


def names(requirements):
    return {re.split(r"[<>=~! ]", r)[0].removesuffix("-base") for r in requirements}


def test_the_environment_is_the_core_and_jupyterlab_without_torch():
    lines = (BINDER / "environment.yml").read_text(encoding="utf-8").splitlines()
    found = names(line.strip()[2:] for line in lines if line.strip().startswith("- "))
    core = names(tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["dependencies"])
    assert core <= found
    assert {"jupyterlab", "voila", "powerlaw"} <= found
    assert not found & {"torch", "pytorch", "transformers"}


def test_the_scripts_are_strict_and_executable():
    post_build = (BINDER / "postBuild").read_text(encoding="utf-8")
    assert "set -euo pipefail" in post_build
    assert "pip install --no-deps" in post_build
    assert all(os.access(BINDER / name, os.X_OK) for name in ("postBuild", "start"))


def test_start_caps_the_threads_and_passes_the_command_on():
    run = subprocess.run(
        [BINDER / "start", "sh", "-c", "echo $OPENBLAS_NUM_THREADS $0", "x"], capture_output=True, text=True
    )
    assert run.stdout.split() == ["1", "x"]


@made
def test_repo2docker_takes_all_three_files():
    command = [MADE / "repo2docker" / "bin" / "repo2docker", "--no-build", "--debug", ROOT]
    dockerfile = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert re.search(r"env update .* --file \"binder/environment.yml\"", dockerfile)
    assert "RUN ./binder/postBuild" in dockerfile
    assert 'R2D_ENTRYPOINT="${REPO_DIR}/binder/start"' in dockerfile
    assert "pyproject" not in dockerfile  # what pip would bring from there is no light environment


@pytest.fixture(scope="module")
def python():
    """The interpreter of the environment, after postBuild."""
    path = f"{MADE / 'bin'}{os.pathsep}{os.environ['PATH']}"
    subprocess.run([BINDER / "postBuild"], cwd=ROOT, env=os.environ | {"PATH": path}, check=True)
    return MADE / "bin" / "python"


@made
def test_the_environment_is_complete_and_has_no_torch(python):
    subprocess.run([python, "-m", "pip", "check"], check=True)
    for tool in ("jupyterlab", "voila"):
        subprocess.run([python, "-m", tool, "--version"], check=True)
    code = f"from importlib.util import find_spec; print([name for name in {ABSENT} if find_spec(name)])"
    assert subprocess.run([python, "-c", code], capture_output=True, text=True).stdout.strip() == "[]"


@pytest.fixture(scope="module")
def runs(python):
    """Every notebook on its way, two at a time."""
    with ThreadPoolExecutor(2) as pool:
        yield {path: pool.submit(run, path, python) for path in NOTEBOOKS}


@made
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_every_notebook_runs_there_with_its_outputs(path, runs):
    done = runs[path].result()
    compared = 0
    for before, after in zip(cells(path), done.cells, strict=True):
        if before.kind == "code" and "nbval-ignore-output" not in before.tags and not opts_in(before):
            assert texts(after.outputs) == texts(before.outputs), before.source
            compared += bool(texts(before.outputs))
    assert compared > 3
    assert done.megabytes < MOST_MEGABYTES


def opts_in(cell):
    """Whether a cell asks for a package that is not there."""
    return any(re.search(rf"\b{name}\b", cell.source) for name in ABSENT)


def texts(outputs):
    """What a cell printed and showed, in words, in one piece."""
    found = [o["text"] if o["output_type"] == "stream" else o["data"]["text/plain"] for o in outputs]
    return re.sub(r"0x[0-9a-f]{6,}", "ADDRESS", "".join("".join(text) for text in found))
