"""Both main results from BERT, GPT and GPT-2 themselves: python scripts/hub_figures.py [FOLDER]

Downloads the three models from the Hugging Face hub (1.5 GB) unless they are in its cache, keeps their spectra in the
atlas, draws BERT's feed-forward and query matrices over noise and the fingers of the two GPTs, and compares GPT-2 with
its published figures. Exit codes: 0 all is well, 1 a model cannot be had, 3 the figures are drawn and GPT-2 differs.
"""

import sys
from pathlib import Path

import numpy as np
import pandas as pd

from rmt_lab import atlas
from rmt_lab.report.demo import draw_against_noise, draw_alphas, draw_finger, write_tables

PUBLISHED = Path(__file__).parents[1] / "tests" / "data" / "gpt2_published.csv"
#: What is kept with each model; only BERT's layers have all been initialised by one law.
MODELS = {
    "bert-base-uncased": {"init_std": 0.02, "note": "float32 weights; 12 layers of width 768"},
    "openai-gpt": {"init_std": None, "note": "float32 weights; 12 layers of width 768, query, key and value in one"},
    "gpt2": {"init_std": None, "note": "float32 weights; 12 layers of width 768, query, key and value in one"},
}
RTOL = 1e-3  # of the published norms


def main(folder: Path) -> int:
    try:
        for name, about in MODELS.items():
            if name not in atlas.names():
                atlas.add(name, provenance={"note": about["note"]}, init_std=about["init_std"])
    except (OSError, ValueError, ImportError) as error:
        print(f"hub_figures: {error}", file=sys.stderr)
        return 1
    folder.mkdir(parents=True, exist_ok=True)
    tables = write_tables(MODELS, folder)
    print(f"\nFigures in {folder}:")
    draw_against_noise("bert-base-uncased", folder)
    gpts = {name: tables[name] for name in ("openai-gpt", "gpt2")}
    draw_finger(*longest_fall(gpts), folder)
    draw_alphas(gpts, folder)
    words, same = compared(tables["gpt2"])
    print(f"\n{words}")
    return 0 if same else 3


def longest_fall(tables: dict[str, pd.DataFrame]) -> tuple[str, str]:
    """The model and the layer whose alpha falls most when its fingers are dropped."""
    falls = {name: t.set_index("longname").eval("raw_alpha - alpha") for name, t in tables.items()}
    name = max(falls, key=lambda x: falls[x].max())
    return name, str(falls[name].idxmax())


def compared(details: pd.DataFrame) -> tuple[str, bool]:
    """GPT-2's norms beside those published, in words, and whether they are the same."""
    published = pd.read_csv(PUBLISHED, comment="#").set_index("longname")
    ours = details.assign(longname=details["longname"].str.removeprefix("transformer."))
    ours = ours.set_index("longname").reindex(published.index)
    ratios = np.array(
        [ours["spectral_norm"] / published["lambda_max_W"], ours["norm"] ** 0.5 / published["fro_norm_W"]]
    )
    same = (np.abs(ratios - 1) <= RTOL).all(axis=0)
    alphas = np.median(np.abs(ours["raw_alpha"] - published["alpha"]))
    words = "has its published norms" if same.all() else "differs from its published norms"
    words = f"gpt2 {words}: both norms agree within {RTOL:g} in {same.sum()} of {len(same)} layers"
    return f"{words}; the median difference of alpha is {alphas:.2f}.", bool(same.all())


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1] if len(sys.argv) > 1 else "hub-figures")))
