"""The folder that mybinder.org builds from: light, complete, and started with one thread.

``make binder`` makes its environment from PyPI, into .venv-binder; test_execution.py runs every notebook there.
"""

import os
import re
import subprocess
import tomllib

import pytest
from course import BINDER, MADE, ROOT


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


@pytest.mark.binder
@pytest.mark.skipif(not (MADE / "ready").exists(), reason="`make binder` makes the environment")
def test_repo2docker_takes_all_three_files():
    command = [MADE / "repo2docker" / "bin" / "repo2docker", "--no-build", "--debug", ROOT]
    dockerfile = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert re.search(r"env update .* --file \"binder/environment.yml\"", dockerfile)
    assert "RUN ./binder/postBuild" in dockerfile
    assert 'R2D_ENTRYPOINT="${REPO_DIR}/binder/start"' in dockerfile
    assert "pyproject" not in dockerfile  # what pip would bring from there is no light environment
