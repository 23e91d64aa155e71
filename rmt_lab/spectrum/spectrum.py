"""A matrix and its spectrum: singular values, eigenvalues, norms and ranks.

A weight matrix W is taken as N x M with N >= M (transposed if need be) and Q = N/M. Its eigenvalues here are those
of the empirical correlation matrix X = W^T W / N, the scale of Martin & Mahoney (JMLR 22, 2021), on which noise of unit
variance fills (1 - 1/sqrt(Q))^2 .. (1 + 1/sqrt(Q))^2. Norms are norms of W itself.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from operator import index
from typing import Any

import numpy as np
import numpy.typing as npt

from .._arrays import Array, as_real, one_blas_thread
from .._repr import html_table
from .certificate import Certificate, worst
from .devices import check_device
from .rounding import FORMATS, rounding_edge, was_bfloat16
from .solvers import METHODS, Solver, singular_values


@dataclass(frozen=True, eq=False, repr=False)
class Spectrum:
    """The singular values of an N x M matrix W, N >= M, and what follows from them.

    Eigenvalues are lambda_i = s_i^2 / N, those of X = W^T W / N.

    Parameters
    ----------
    singular_values : array of shape (M * rf,)
        Of W, on W's own scale, non-negative; kept in ascending order.
    N, M : int
        The larger and the smaller side of W.
    rf : int, default 1
        Receptive field: how many N x M slices of a convolution kernel the singular values are pooled from.
    name : str, default ""
        What the matrix is, for tables and titles.
    rounding : float, default 0
        The largest singular value that rounding to the stored precision alone would give; 0 where that is not known.
    certificate : Certificate, optional
        How well the values were checked against W; :meth:`from_matrix` makes one.
    num_exact : int, optional
        How many of the largest values are exact, where the others are quantiles of an estimated distribution.
        None: all are.

    Raises
    ------
    ValueError
        If N < M, a side is not positive, the number of values is not M * rf, a value is negative or not finite, or
        ``num_exact`` is not between 1 and the number of values.

    Examples
    --------
    >>> import numpy as np
    >>> s = Spectrum.from_matrix(np.random.default_rng(0).normal(size=(200, 1000)))
    >>> s
    Spectrum(N=1000, M=200, Q=5, rank=200, lambda_max=2.069)
    >>> s.eigenvalues[[0, -1]].round(3)
    array([0.323, 2.069])
    """

    singular_values: Array
    N: int
    M: int
    rf: int = 1
    name: str = ""
    rounding: float = 0.0
    certificate: Certificate | None = None
    num_exact: int | None = None

    def __post_init__(self) -> None:
        s = np.sort(np.asarray(as_real(self.singular_values, "singular_values"), dtype=np.float64))
        if not 1 <= self.M <= self.N:
            raise ValueError(f"N={self.N}, M={self.M}: a spectrum needs N >= M >= 1")
        if s.shape != (self.M * self.rf,):
            raise ValueError(
                f"singular_values has shape {s.shape}; M={self.M} and rf={self.rf} ask for ({self.M * self.rf},)"
            )
        if not (np.isfinite(s[-1]) and s[0] >= 0):
            raise ValueError(f"singular_values range over {s[0]:.4g} .. {s[-1]:.4g}; they must be finite and >= 0")
        if self.num_exact is not None and not 1 <= self.num_exact <= len(s):
            raise ValueError(f"num_exact={self.num_exact}; 1 to {len(s)} is allowed, or None for all")
        s.flags.writeable = False
        object.__setattr__(self, "singular_values", s)

    @classmethod
    def from_matrix(
        cls,
        W: Any,
        method: Solver = "gram",
        name: str = "",
        precision: str | None = None,
        device: str = "cpu",
        top: int = 128,
    ) -> Spectrum:
        """The spectrum of a weight matrix, or the pooled spectra of a convolution kernel.

        ``"gram"`` takes the eigenvalues of the smaller Gram matrix W^T W in float64, read in blocks so that W is never
        copied whole; ``"svd"`` the singular values themselves (LAPACK gesdd, float64). ``"gram32"`` forms the Gram
        matrix by products in float32 and takes its eigenvalues in float64. ``"top"`` forms none: the ``top`` largest
        eigenvalues are exact, the others estimated. All come with a ``certificate``, or not at all.

        What the first costs: an error of about eps * lambda_max in every eigenvalue, so the large ones are exact to
        rounding and only the smallest suffer. Measured on Gaussian matrices against ``"svd"``, the relative error of
        the largest eigenvalue is 1e-15, that of the smallest 1e-6 (768 x 768, Q = 1) and 1e-14 (3072 x 768, Q = 4).
        Power laws and edges live on the large side. ``"svd"`` takes 2 to 5 times as long. ``"gram32"`` is off by 1e-7
        to 1e-6 times the largest eigenvalue in each: alpha moves by 1e-8 to 1e-5, and the smallest eigenvalues of a
        square matrix are lost: below (sqrt(N) + 10) eps(float32) times the largest an eigenvalue becomes 0. On a CPU it
        saves 5 to 15 % of the time. So ``"gram"`` is the method for every shape. ``"svd"`` is for the smallest singular
        values of a matrix that is nearly square, ``"gram32"`` for GPUs, and ``"top"`` for matrices whose Gram matrix
        does not fit into memory.

        ``device`` other than "cpu" computes Gram matrix and eigenvalues by torch there. W goes there in blocks, as it
        is stored, and the certificate compares with sums over the entries of W from the CPU.

        ``method="top"`` holds some 8 (2 top + 600) M bytes, where ``"gram"`` holds 16 M^2. The exact eigenvalues are
        good to 1e-6 of their own size (to 1e-12 of the largest, if that is more), which is checked; measured, 1e-14.
        The others are quantiles of a distribution that Lanczos estimates from random vectors (stochastic Lanczos
        quadrature), multiplied so that the sum of s^2 is that of W. Their distribution function is off by 0.015 at
        most in 21 matrices of 1500 x 1000 (noise, spikes, power-law populations, heavy-tailed entries); sharp steps are
        smeared. A power law is fitted to the exact ones alone, ``tail_eigenvalues``: ``top`` has to be larger than the
        tail, which :func:`rmt_lab.tails.large_spectrum` takes care of. Of eigenvalues that are exactly equal some may
        be missed; then the certificate fails.

        Parameters
        ----------
        W : array or torch tensor
            Two-dimensional, either orientation, any real dtype (bfloat16 included); or a convolution kernel of
            three to five dimensions, see :func:`kernel_matrices`.
        method : {"gram", "svd", "gram32", "top"}
        name : str
            Kept as ``Spectrum.name``.
        precision : str, optional
            The format in which W was stored before it was widened, a name in ``rmt_lab.spectrum.FORMATS``; see
            :attr:`stored_rank`. Default: W's own dtype where that is float16 or bfloat16; bfloat16 also where W is
            float32 and all its values are bfloat16's, as readers of files widen them.
        device : str, default "cpu"
            Where ``"gram"`` and ``"gram32"`` run: "cpu", or what torch calls a GPU, as "cuda", "cuda:1" or "mps" (which
            has float32 only).
        top : int, default 128
            With ``method="top"``, how many of the largest eigenvalues are exact; at most M // 2 are.

        Raises
        ------
        ValueError
            If W has another number of dimensions, is empty, or holds NaN or infinite entries, or an argument is not
            allowed: the device is not there, or ``method="top"`` is asked of a kernel.
        numpy.linalg.LinAlgError
            If the solver fails or its eigenvalues fail the certificate.
        MemoryError
            If the device has too little memory.
        TypeError
            If W is not real.

        Examples
        --------
        >>> Spectrum.from_matrix([[3.0, 0.0], [0.0, 4.0], [0.0, 0.0]]).singular_values
        array([3., 4.])
        >>> Spectrum.from_matrix(np.random.default_rng(0).normal(size=(400, 300)), method="top", top=20)
        Spectrum(N=400, M=300, Q=1.333, rank=300, lambda_max=3.426, num_exact=20)
        >>> Spectrum.from_matrix(np.eye(3)).certificate.frobenius
        0.0

        References
        ----------
        Ubaru, Chen & Saad (2017), SIAM J. Matrix Anal. Appl. 38, 1075; Chen, Trogdon & Ubaru (2021), ICML: the
        quadrature. Lehoucq, Sorensen & Yang (1998), ARPACK Users' Guide: the exact eigenvalues.
        """
        if method not in METHODS:
            raise ValueError(f"method={method!r}; allowed are {', '.join(map(repr, METHODS))}")
        device = check_device(device, method)
        if precision is None:
            own = str(getattr(W, "dtype", "")).removeprefix("torch.")
            precision = own if own in ("float16", "bfloat16") else None
        elif precision not in FORMATS:
            raise ValueError(f"precision={precision!r}; known are {', '.join(FORMATS)}")
        W = as_real(W)
        if method == "top" and (index(top) < 1 or W.ndim != 2 or min(W.shape) < 2):
            raise ValueError(
                f"method='top', top={top}: W has shape {W.shape}; top >= 1 and a matrix of at least 2 x 2 are allowed. "
                "The slices of a kernel are small enough for 'gram'"
            )
        if precision is None and W.dtype == np.float32 and was_bfloat16(W):
            precision = "bfloat16"
        slices = [W] if W.ndim == 2 else list(kernel_matrices(W))
        with one_blas_thread():
            found = [singular_values(A, method, device, top) for A in slices]
        N, M = max(slices[0].shape), min(slices[0].shape)
        rounding = max(rounding_edge(A, precision) for A in slices) if precision else 0.0
        values = np.concatenate([s for s, _ in found])
        certificate = worst(c for _, c in found)
        num_exact = min(top, M // 2) if method == "top" else None
        return cls(values, N, M, len(slices), name, rounding, certificate, num_exact)

    @property
    def eigenvalues(self) -> Array:
        """Eigenvalues of X = W^T W / N, ascending; zeros included."""
        return self.singular_values**2 / self.N

    @property
    def nonzero_eigenvalues(self) -> Array:
        """Eigenvalues of X above the numerical zero, ascending."""
        return self.eigenvalues[len(self.singular_values) - self.rank :]

    @property
    def tail_eigenvalues(self) -> Array:
        """What a power law is fitted to: ``nonzero_eigenvalues``, or the exact ones of them where not all are."""
        x = self.nonzero_eigenvalues
        return x if self.num_exact is None else x[max(0, len(x) - self.num_exact) :]

    @property
    def Q(self) -> float:
        """Aspect ratio N / M >= 1."""
        return self.N / self.M

    @cached_property
    def rank(self) -> int:
        """Number of eigenvalues above max(N, M) * eps(float64) * lambda_max; no threshold is absolute."""
        ratio = (self.singular_values / (self.singular_values[-1] or 1.0)) ** 2
        return int(np.count_nonzero(ratio > self.N * np.finfo(np.float64).eps))

    @property
    def frobenius_norm(self) -> float:
        """Frobenius norm of W, the root of the sum of s^2."""
        return float(np.sqrt(self.norm))

    @property
    def operator_norm(self) -> float:
        """Operator norm of W, s_max."""
        return float(self.singular_values[-1])

    @property
    def stored_rank(self) -> int:
        """Number of singular values above ``rounding``, at most ``rank``: those that the stored precision can tell.

        A product of rank 64 has this rank in bfloat16, too, where ``rank`` counts the rounding errors of all others.
        ``nonzero_eigenvalues``, and with it every fit, keeps to ``rank``. See :func:`rmt_lab.spectrum.rounding_edge`.
        """
        return min(self.rank, self.rank_above(self.rounding))

    def rank_above(self, edge: float) -> int:
        """Number of singular values of W above a noise edge, on W's own scale: that of a rounding, of a noise level."""
        return int(np.count_nonzero(self.singular_values > edge))

    @property
    def norm(self) -> float:
        """Squared Frobenius norm of W, the sum of s^2: WeightWatcher calls it so; ``frobenius_norm`` is its root."""
        return float(np.sum(self.singular_values**2))

    @property
    def spectral_norm(self) -> float:
        """Squared operator norm of W, s_max^2: WeightWatcher calls it so; ``operator_norm`` is its root."""
        return float(self.singular_values[-1] ** 2)

    @property
    def stable_rank(self) -> float:
        """norm / spectral_norm, between 1 and the rank; NaN for a zero matrix."""
        return self.norm / self.spectral_norm if self.spectral_norm else float("nan")

    @property
    def entropy(self) -> float:
        """Spectral entropy -sum p ln p / ln(rank), p = s^2 / sum s^2: 1 when all directions carry the same.

        Martin & Mahoney (2021), section 2.2, there called matrix entropy. 0 for rank 1, NaN for a zero matrix.
        """
        if self.rank < 2:
            return 0.0 if self.rank else float("nan")
        s2 = self.singular_values[len(self.singular_values) - self.rank :] ** 2
        p = s2 / s2.sum()
        return float(-(p * np.log(p)).sum() / np.log(self.rank))

    @property
    def entry_std(self) -> float:
        """Root mean square of the entries of W: the sigma of noise that has the same Frobenius norm."""
        return float(np.sqrt(self.norm / (self.N * self.M * self.rf)))

    def __repr__(self) -> str:
        label = f"{self.name!r}, " if self.name else ""
        lambda_max = self.spectral_norm / self.N
        exact = "" if self.num_exact is None else f", num_exact={self.num_exact}"
        shape = f"N={self.N}, M={self.M}, Q={self.Q:.4g}"
        return f"Spectrum({label}{shape}, rank={self.rank}, lambda_max={lambda_max:.4g}{exact})"

    def _repr_html_(self) -> str:
        rows = {
            "shape N x M": f"{self.N} x {self.M}" + (f", {self.rf} slices" if self.rf > 1 else ""),
            "Q = N/M": f"{self.Q:.4g}",
            "rank": f"{self.rank}",
            "largest eigenvalue of W^T W / N": f"{self.spectral_norm / self.N:.4g}",
            "Frobenius norm": f"{self.frobenius_norm:.4g}",
            "stable rank": f"{self.stable_rank:.4g}",
            "entropy": f"{self.entropy:.4g}",
        }
        if self.num_exact is not None:
            rows["exact"] = f"the largest {self.num_exact}; the others are estimated"
        return html_table(f"Spectrum {self.name}".strip(), rows)


def kernel_matrices(kernel: Any) -> Iterator[npt.NDArray[Any]]:
    """The matrices of a convolution kernel: one out x in slice for each position of the window.

    A kernel of shape (out, in, k1, ..., kd), d = 1, 2 or 3, as torch stores it, gives rf = k1 * ... * kd slices; their
    spectra are pooled, as Martin & Mahoney (2021), section 2.1, do.

    Parameters
    ----------
    kernel : array or torch tensor of three to five dimensions

    Raises
    ------
    ValueError
        If the kernel has another number of dimensions.

    Examples
    --------
    >>> import numpy as np
    >>> [A.shape for A in kernel_matrices(np.zeros((8, 3, 1, 2)))]
    [(8, 3), (8, 3)]
    """
    kernel = as_real(kernel)
    if not 3 <= kernel.ndim <= 5:
        raise ValueError(f"kernel has shape {kernel.shape}; a convolution kernel has 3 to 5 dimensions, a matrix 2")
    for window in np.ndindex(kernel.shape[2:]):
        yield kernel[(slice(None), slice(None), *window)]


def as_spectrum(spectrum: Any) -> Spectrum:
    """The Spectrum that was given; a matrix, the natural mistake, is told what to do.

    Raises
    ------
    TypeError
        If it is anything else.
    """
    if isinstance(spectrum, Spectrum):
        return spectrum
    kind = type(spectrum).__name__
    raise TypeError(f"spectrum is of type {kind}, and a Spectrum is needed: of a matrix W, Spectrum.from_matrix(W)")
