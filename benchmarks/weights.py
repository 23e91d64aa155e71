"""The two sample models as .npz files that either environment can read: float32 matrices by layer name."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np

from rmt_lab.weights import iter_weights, samples

MODELS = {"minilm": "MiniLM-L6", "smollm2": "SmolLM2-135M"}
MIN_EVALS = 10  # fewer than these and neither tool fits a layer


def save_weights(name: str, folder: Path) -> Path:
    """Write every matrix of a sample model with both sides >= MIN_EVALS to folder/name.npz, one at a time."""
    path = folder / f"{name}.npz"
    with zipfile.ZipFile(path, "w") as archive:
        for layer in iter_weights(samples.fetch(name)):
            if layer.matrix.ndim == 2 and min(layer.matrix.shape) >= MIN_EVALS:
                with archive.open(f"{layer.longname}.npy", "w", force_zip64=True) as file:
                    np.lib.format.write_array(file, np.ascontiguousarray(layer.matrix, dtype=np.float32))
    return path
