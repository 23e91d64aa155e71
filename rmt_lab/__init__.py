"""Random matrix theory for deep networks: noise laws, spectra, power-law fits and finger fixing.

Names load on first use, so that ``import rmt_lab`` stays light.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_HOME = {
    "Spectrum": "spectrum",
    "MarchenkoPastur": "marchenko_pastur",
    "fit_bulk": "bulk",
    "fit_power_law": "power_law",
    "fit_truncated_power_law": "truncated_power_law",
    "fix_fingers": "fingers",
    "iter_weights": "weights",
    "analyze": "analysis",
    "plot_spectrum": "plotting",
    "plot_tail": "plotting",
    "plot_scan": "plotting",
    "plot_fingers": "plotting",
    "plot_layer_grid": "plotting",
    "plot_alphas": "plotting",
}
_MODULES = ["atlas", "trainings"]
__all__ = [*_HOME, *_MODULES]


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(importlib.import_module(f"{__name__}.{_HOME[name]}"), name)
    if name in _MODULES:
        return importlib.import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


if TYPE_CHECKING:
    from . import atlas as atlas
    from . import trainings as trainings
    from .analysis import analyze as analyze
    from .bulk import fit_bulk as fit_bulk
    from .fingers import fix_fingers as fix_fingers
    from .marchenko_pastur import MarchenkoPastur as MarchenkoPastur
    from .plotting import plot_alphas as plot_alphas
    from .plotting import plot_fingers as plot_fingers
    from .plotting import plot_layer_grid as plot_layer_grid
    from .plotting import plot_scan as plot_scan
    from .plotting import plot_spectrum as plot_spectrum
    from .plotting import plot_tail as plot_tail
    from .power_law import fit_power_law as fit_power_law
    from .spectrum import Spectrum as Spectrum
    from .truncated_power_law import fit_truncated_power_law as fit_truncated_power_law
    from .weights import iter_weights as iter_weights
