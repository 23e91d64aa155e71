"""Which small singular values leave the noise, and what are they worth? All tables of docs/lower-end.md.

    python -m benchmarks.lower_end           the tables, some three minutes
    python -m benchmarks.lower_end --write   the same into the page

First the test on noise, then the layers of the atlas beside their nulls, then what it costs a small GPT to lose singular
values (recorded by scripts/steer.py). The prose of the page stands in it; what lies between its two marks is written
anew.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from rmt_lab import Spectrum, atlas, fit_bulk
from rmt_lab.ensembles import correlated, gaussian_spectrum
from rmt_lab.ensembles.matrices import NULLS
from rmt_lab.trainings.steering import steering

from .does_alpha_know import table
from .steering import difference

PAGE = Path(__file__).parents[1] / "docs" / "lower-end.md"
BEGIN, END = "<!-- tables: python -m benchmarks.lower_end --write -->", "<!-- end of the tables -->"
LEVEL = 0.01

Array = npt.NDArray[np.float64]
