"""Packages of npm that tests need, each fetched once, at a pinned version, into build/npm/."""

from __future__ import annotations

import shutil
import subprocess
import tarfile
import tempfile
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[1] / "build" / "npm"


def package(name: str, version: str) -> Path:
    """The folder of a package; the test skips where npm is lacking or cannot reach its registry."""
    target = FOLDER / f"{name.replace('/', '-')}-{version}"
    if target.is_dir():
        return target
    npm = shutil.which("npm")
    if npm is None:
        pytest.skip("no npm on this machine")
    FOLDER.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=FOLDER) as folder:
        packed = subprocess.run(
            [npm, "pack", "--silent", f"{name}@{version}"], cwd=folder, capture_output=True, text=True
        )
        if packed.returncode:
            pytest.skip(f"npm could not fetch {name}@{version}: {packed.stderr.strip()[-200:]}")
        with tarfile.open(Path(folder) / packed.stdout.strip().splitlines()[-1]) as archive:
            archive.extractall(folder, filter="data")
        unpacked = next(p for p in Path(folder).iterdir() if p.is_dir())
        if not target.is_dir():  # another test process may have been faster
            unpacked.rename(target)
    return target
