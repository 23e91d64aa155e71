"""Explorers: one idea each, made touchable by sliders. Each is a thin skin over the library.

In a notebook ``BulkExplorer()`` shows itself. Every explorer has ``model`` (its parameters), ``figure()`` (the present
picture), ``code()`` (the lines that make it with the library alone) and ``sentence`` (what is seen).
"""

from .bulk import BulkExplorer
from .edge import EdgeExplorer
from .fingers import FingerExplorer
from .gallery import gallery
from .heavy_tail import HeavyTailExplorer
from .layer import LayerExplorer
from .power_law import PowerLawExplorer
from .quality import QualityExplorer
from .repulsion import RepulsionExplorer
from .resolvent import ResolventExplorer
from .spike import SpikeExplorer
from .training import TrainingExplorer
from .upload import Upload

__all__ = [
    "BulkExplorer",
    "EdgeExplorer",
    "FingerExplorer",
    "HeavyTailExplorer",
    "LayerExplorer",
    "PowerLawExplorer",
    "QualityExplorer",
    "RepulsionExplorer",
    "ResolventExplorer",
    "SpikeExplorer",
    "TrainingExplorer",
    "Upload",
    "gallery",
]
