"""Writes tests/data/weightwatcher_*.csv: WeightWatcher 0.7.7's figures for the sample models, to test against offline.

    python -m benchmarks.reference

Two runs of its ``analyze``, as shipped, on the float32 matrices, which differ in ``fix_fingers`` only; and its scan
alone (``WWFit``) on the spectra of the atlas, so that both tools can be given the very same arrays.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd

from rmt_lab import atlas
from rmt_lab.weights.samples import SAMPLES

from .peers import Worker, weightwatcher_python
from .weights import MIN_EVALS, MODELS, save_weights

FOLDER = Path(__file__).parents[1] / "tests" / "data"
RAW = ["alpha", "xmin", "xmax", "D", "sigma", "num_pl_spikes"]
CLIPPED = ["alpha", "xmin", "D", "num_fingers"]
NORMS = ["log_norm", "log_spectral_norm", "log_alpha_norm", "stable_rank", "entropy", "matrix_rank"]


def write_table(model: str, python: Path) -> Path:
    """Run WeightWatcher twice on a sample model, and write one row a layer."""
    runs = {}
    with tempfile.TemporaryDirectory() as folder, Worker(python) as worker:
        path = str(save_weights(model, Path(folder)))
        for options in ({}, {"fix_fingers": "clip_xmax"}):
            result = worker.do("analyze", tool="weightwatcher", path=path, options=options)
            runs[len(options)] = pd.DataFrame(result["details"]).set_index("longname")
    raw, clipped = runs[0], runs[1]
    table = raw[["N", "M", "num_evals", *RAW]].join(clipped[CLIPPED].add_suffix("_clip")).join(raw[NORMS])
    table = table.join(scan_atlas(model, python))
    sample = SAMPLES[model]
    target = FOLDER / f"weightwatcher_{model}.csv"
    header = [
        "WeightWatcher 0.7.7: analyze(), analyze(fix_fingers='clip_xmax') (columns ..._clip), and its scan WWFit alone",
        "on the squared singular values of rmt_lab.atlas (columns ..._scan). Eigenvalues of W^T W, without 1/N.",
        f"Model: {sample.model} ({sample.licence}), {sample.member} in {sample.package} {sample.version}",
        f"SHA-256 of the file: {sample.file_sha256}. Made by: python -m benchmarks.reference",
    ]
    with target.open("w", encoding="utf-8", newline="\n") as file:
        file.writelines(f"# {line}\n" for line in header)
        table.to_csv(file)
    return target


def scan_atlas(model: str, python: Path) -> pd.DataFrame:
    """WeightWatcher's own scan on every spectrum of the atlas."""
    rows = {}
    with tempfile.TemporaryDirectory() as folder, Worker(python) as worker:
        path = Path(folder) / "x.npy"
        for layer in atlas.load(model):
            if layer.spectrum.M >= MIN_EVALS:
                np.save(path, layer.spectrum.singular_values**2)
                rows[layer.longname] = worker.do("fit", tool="weightwatcher", path=str(path), budget=0)
    return pd.DataFrame.from_dict(rows, orient="index")[["alpha", "xmin", "D"]].add_suffix("_scan")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.reference", description=__doc__.partition("\n")[0])
    parser.add_argument("--weightwatcher-python", type=Path, help="an interpreter that has weightwatcher 0.7.7")
    python = weightwatcher_python(parser.parse_args().weightwatcher_python)
    FOLDER.mkdir(exist_ok=True)
    for model in MODELS:
        print(write_table(model, python))


if __name__ == "__main__":
    main()
