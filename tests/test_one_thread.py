"""The course runs where neither threads nor processes start, as in a browser."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SCRIPT = Path(__file__).parent / "one_thread.py"
ANALYSIS = """
import sys
sys.path.insert(0, {folder!r})
import one_thread
one_thread.main()
import numpy as np
import rmt_lab as rl
layers = {{f"layer {{i}}": np.random.default_rng(i).normal(size=(90, 60)) for i in range(3)}}
print(len(rl.analyze(layers, n_jobs=1)), len(rl.analyze(layers)))
import joblib
print(len(rl.analyze(layers, n_jobs=1)), len(rl.analyze(layers)))
print(len(rl.analyze(layers, n_jobs=2)))
import threading
threading.Thread(target=print).start()
"""


def test_an_analysis_needs_one_thread():
    """Before joblib is there, and after: rmt_lab asks it only when it is. It makes one worker of two."""
    code = ANALYSIS.format(folder=str(SCRIPT.parent))
    run = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert run.stdout.split() == ["3"] * 5, run.stderr
    assert run.stderr.splitlines()[-1].startswith("RuntimeError: can't start new thread")


@pytest.mark.slow
@pytest.mark.parametrize("name", ["00_start_here", "06_bert_against_noise", "08_training"])
def test_notebooks_need_one_thread(name):
    """With sliders, with a whole model, and with a network that is trained."""
    command = [sys.executable, str(SCRIPT), str(ROOT / "notebooks" / f"{name}.ipynb")]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert run.stdout.splitlines()[-1:] == [f"ran {name}"], run.stderr
