"""What is drawn: random matrices, initialisations, spectra without matrices, and samples with a tail."""

from . import initialisations, samples
from .matrices import (
    ar1,
    correlated,
    gaussian,
    goe,
    gue,
    low_rank_plus_noise,
    orthogonal,
    pareto,
    rademacher,
    shuffled,
    sparse,
    student_t,
    uniform,
)
from .spectra import gaussian_ensemble_eigenvalues, gaussian_spectrum, largest_eigenvalues, matched_noise

__all__ = [
    "ar1",
    "correlated",
    "gaussian",
    "gaussian_ensemble_eigenvalues",
    "gaussian_spectrum",
    "goe",
    "gue",
    "initialisations",
    "largest_eigenvalues",
    "low_rank_plus_noise",
    "matched_noise",
    "orthogonal",
    "pareto",
    "rademacher",
    "samples",
    "shuffled",
    "sparse",
    "student_t",
    "uniform",
]
