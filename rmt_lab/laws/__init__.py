"""Formulas alone: the laws that the spectra of random matrices follow. Nothing here draws, fits or plots."""

from . import spacings
from .generalised_mp import GeneralisedMarchenkoPastur, ar1_population
from .high_temperature import HighTemperatureMarchenkoPastur, InverseHighTemperatureMarchenkoPastur
from .marchenko_pastur import MarchenkoPastur
from .overlaps import SubspaceOverlap, subspace_overlap
from .resolvent import stieltjes
from .semicircle import Semicircle
from .spiked import (
    covariance_overlaps,
    denoise,
    hard_threshold,
    spike_eigenvalue,
    spike_overlaps,
    spike_strength,
    spike_threshold,
)
from .tracy_widom import TracyWidom, edge_scaling, largest_eigenvalue_p_value

__all__ = [
    "GeneralisedMarchenkoPastur",
    "HighTemperatureMarchenkoPastur",
    "InverseHighTemperatureMarchenkoPastur",
    "MarchenkoPastur",
    "Semicircle",
    "SubspaceOverlap",
    "TracyWidom",
    "ar1_population",
    "covariance_overlaps",
    "denoise",
    "edge_scaling",
    "hard_threshold",
    "largest_eigenvalue_p_value",
    "spacings",
    "spike_eigenvalue",
    "spike_overlaps",
    "spike_strength",
    "spike_threshold",
    "stieltjes",
    "subspace_overlap",
]
