"""The pictures: every function takes an Axes, draws what was measured against what it is compared with, and returns it.

Blue is measured, red is noise, orange the power law, violet spikes and fingers, grey guides. Titles say what is seen;
:func:`alt_text` gives the same in words, for readers who do not see the picture. Without an Axes a function opens a
pyplot figure of its own, which a notebook shows.
"""

from .comparison import plot_change, plot_cosines, plot_overlap
from .groups import plot_ecdf, plot_pairs
from .levels import (
    plot_counts,
    plot_level_diagrams,
    plot_paths,
    plot_repulsion,
    plot_spacings,
    plot_temperature,
)
from .models import plot_alphas, plot_layer_grid
from .quality import plot_quality, run_groups
from .resolvent import plot_resolvent
from .spectra import plot_against, plot_heavy_tail, plot_largest, plot_spectrum, plot_spike
from .style import (
    EIGENVALUE,
    FIT,
    GUIDE,
    MEASURED,
    MODELS,
    NOISE,
    OUTLIER,
    PALETTE,
    SINGULAR_VALUE,
    alt_text,
    finish,
    guide,
    level,
    plain_log_ticks,
    spectrum_bins,
)
from .tails import choose, peel, plot_choice, plot_erg, plot_fingers, plot_peeling, plot_scan, plot_tail
from .trainings import follow, plot_training
from .traps import plot_traps

__all__ = [
    "EIGENVALUE",
    "FIT",
    "GUIDE",
    "MEASURED",
    "MODELS",
    "NOISE",
    "OUTLIER",
    "PALETTE",
    "SINGULAR_VALUE",
    "alt_text",
    "choose",
    "finish",
    "follow",
    "guide",
    "level",
    "peel",
    "plain_log_ticks",
    "plot_against",
    "plot_alphas",
    "plot_change",
    "plot_choice",
    "plot_cosines",
    "plot_counts",
    "plot_ecdf",
    "plot_erg",
    "plot_fingers",
    "plot_heavy_tail",
    "plot_largest",
    "plot_layer_grid",
    "plot_level_diagrams",
    "plot_overlap",
    "plot_pairs",
    "plot_paths",
    "plot_peeling",
    "plot_quality",
    "plot_repulsion",
    "plot_resolvent",
    "plot_scan",
    "plot_spacings",
    "plot_spectrum",
    "plot_spike",
    "plot_tail",
    "plot_temperature",
    "plot_training",
    "plot_traps",
    "run_groups",
    "spectrum_bins",
]
