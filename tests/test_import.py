"""What ``import rmt_lab`` promises."""

import ast
import subprocess
import sys
from pathlib import Path

import rmt_lab

PACKAGE = Path(rmt_lab.__file__).parent

# The direction of the data, design.md: no file imports from a later stage.
STAGES = [
    {"_repr"},
    {"spectrum", "rounding", "roles", "tensors", "tracy_widom"},
    {
        "ensembles",
        "initialisations",
        "gaussian_spectra",
        "marchenko_pastur",
        "generalised_mp",
        "semicircle",
        "bulk",
        "spiked",
    },
    {"checkpoints", "gguf_file", "hub", "samples", "weights", "level_statistics"},
    {
        "resampling",
        "power_law",
        "truncated_power_law",
        "rivals",
        "intervals",
        "goodness",
        "dragon_kings",
        "hill",
        "multiple",
    },
    {"fingers", "phases"},
    {"atlas", "trainings", "verdict", "metrics"},
    {"analysis"},
    {"style", "backdrop", "model_plots", "finger_plots", "plotting"},
    {"demo", "cli", "exercises"},
]


def test_the_import_is_light():
    heavy = "torch transformers matplotlib.pyplot ipywidgets powerlaw pandas scipy.stats safetensors gguf"
    code = f"import rmt_lab, sys; print([m for m in {heavy.split()} if m in sys.modules])"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"


def test_the_mathematics_needs_no_models_plots_or_widgets():
    heavy = "torch transformers matplotlib ipywidgets powerlaw pandas"
    mathematics = "Spectrum MarchenkoPastur fit_bulk fit_power_law fix_fingers".split()
    code = f"from rmt_lab import {', '.join(mathematics)}; import sys; "
    code += f"print([m for m in {heavy.split()} if m in sys.modules])"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"


def test_every_public_name_is_there_and_documented():
    assert len(rmt_lab.__all__) <= 16
    for name in rmt_lab.__all__:
        assert getattr(rmt_lab, name).__doc__, name
        assert name in dir(rmt_lab)
    assert not hasattr(rmt_lab, "no_such_name")


def test_no_file_imports_from_a_later_stage():
    stage = {name: i for i, names in enumerate(STAGES) for name in names}
    for path in PACKAGE.glob("*.py"):
        if path.stem == "__init__":
            continue
        assert path.stem in stage, f"{path.name} has no stage"
        for node in ast.parse(path.read_text(encoding="utf-8")).body:  # imports at the top; later ones are lazy
            if isinstance(node, ast.ImportFrom) and node.level == 1:
                names = [node.module] if node.module else [a.name for a in node.names]
                late = [n for n in names if stage.get(str(n).split(".")[0], -1) > stage[path.stem]]
                assert not late, f"{path.name} imports {late}"


def test_every_file_holds_one_noun_on_few_lines():
    for path in PACKAGE.rglob("*.py"):
        assert len(path.read_text(encoding="utf-8").splitlines()) <= 340, path.name
