"""What ``import rmt_lab`` promises."""

import subprocess
import sys
from pathlib import Path

import rmt_lab


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
    for name in rmt_lab.__all__:
        assert getattr(rmt_lab, name).__doc__, name
        assert name in dir(rmt_lab)
    assert not hasattr(rmt_lab, "no_such_name")


def test_few_entries_under_the_package():
    package = Path(rmt_lab.__file__).parent
    assert len([p for p in package.iterdir() if p.name != "__pycache__"]) <= 24
