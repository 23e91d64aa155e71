"""The folder that mybinder.org builds from: light, complete, and started with one thread."""

import os
import re
import subprocess
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]
BINDER = ROOT / "binder"


def names(requirements):
    return {re.split(r"[<>=~! ]", r)[0].removesuffix("-base") for r in requirements}


def test_the_environment_is_the_core_and_jupyterlab_without_torch():
    lines = (BINDER / "environment.yml").read_text(encoding="utf-8").splitlines()
    found = names(line.strip()[2:] for line in lines if line.startswith("  - "))
    core = names(tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["dependencies"])
    assert core <= found
    assert {"jupyterlab", "voila"} <= found
    assert not found & {"torch", "pytorch", "transformers", "powerlaw"}


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
