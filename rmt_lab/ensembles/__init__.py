"""What is drawn: random matrices, initialisations, spectra without matrices, and samples with a tail."""

from . import initialisations, samples
from .dyson import dyson
from .matrices import (
    NULLS,
    ar1,
    correlated,
    gaussian,
    goe,
    gue,
    low_rank_plus_noise,
    null_matrix,
    orthogonal,
    pareto,
    rademacher,
    scaled,
    scales,
    shuffled,
    signs,
    sparse,
    student_t,
    uniform,
)
from .spectra import (
    gaussian_ensemble_eigenvalues,
    gaussian_spectrum,
    laguerre_spectrum,
    largest_eigenvalues,
    matched_noise,
)
from .students import Student, train_student

__all__ = [
    "NULLS",
    "Student",
    "ar1",
    "correlated",
    "dyson",
    "gaussian",
    "gaussian_ensemble_eigenvalues",
    "gaussian_spectrum",
    "goe",
    "gue",
    "initialisations",
    "laguerre_spectrum",
    "largest_eigenvalues",
    "low_rank_plus_noise",
    "matched_noise",
    "null_matrix",
    "orthogonal",
    "pareto",
    "rademacher",
    "samples",
    "scaled",
    "scales",
    "shuffled",
    "signs",
    "sparse",
    "student_t",
    "train_student",
    "uniform",
]
