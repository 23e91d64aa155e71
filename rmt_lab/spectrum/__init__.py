"""A matrix -> its Spectrum: singular values, eigenvalues, norms and ranks."""

from .certificate import Certificate
from .products import spectrum_of_product
from .rounding import FORMATS, rounding_edge
from .spectrum import Spectrum, as_spectrum, kernel_matrices

__all__ = [
    "FORMATS",
    "Certificate",
    "Spectrum",
    "as_spectrum",
    "kernel_matrices",
    "rounding_edge",
    "spectrum_of_product",
]
