"""A matrix and its spectrum: singular values, eigenvalues, norms and ranks.

A weight matrix W is taken as N x M with N >= M (transposed if need be) and Q = N/M. Its eigenvalues here are those
of the empirical correlation matrix X = W^T W / N, the scale of Martin & Mahoney (JMLR 22, 2021), on which noise of unit
variance fills (1 - 1/sqrt(Q))^2 .. (1 + 1/sqrt(Q))^2. Norms are norms of W itself.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.linalg

from ._arrays import Array, Matrix, as_real, one_blas_thread
from ._repr import html_table

#: Formats of stored weights: bits of the mantissa, and the exponent of the smallest step.
FORMATS = {
    "float64": (52, -1074),
    "float32": (23, -149),
    "float16": (10, -24),
    "bfloat16": (7, -133),
    "float8_e4m3fn": (3, -9),
    "float8_e5m2": (2, -16),
}
_MARGIN = 3.0  # sqrt(N) + sqrt(M) + t is exceeded with a chance below e^(-t^2/2): 1 %
_CHUNK = 2**21  # entries of W that are converted to float64 at a time: 16 MB
_SAFE = 2.0**400  # squares of entries within 1/_SAFE .. _SAFE neither overflow nor vanish in float64


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

    Raises
    ------
    ValueError
        If N < M, a side is not positive, the number of values is not M * rf, or a value is negative or not finite.

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
        s.flags.writeable = False
        object.__setattr__(self, "singular_values", s)

    @classmethod
    def from_matrix(cls, W: Any, method: str = "gram", name: str = "", precision: str | None = None) -> Spectrum:
        """The spectrum of a weight matrix, or the pooled spectra of a convolution kernel.

        ``"gram"`` takes the eigenvalues of the smaller Gram matrix W^T W in float64, read in blocks so that W is never
        copied whole; ``"svd"`` the singular values themselves (LAPACK gesdd, float64).

        What the first costs: an error of about eps * lambda_max in every eigenvalue, so the large ones are exact to
        rounding and only the smallest suffer. Measured on Gaussian matrices against ``"svd"``, the relative error of
        the largest eigenvalue is 1e-15, that of the smallest 1e-6 (768 x 768, Q = 1) and 1e-14 (3072 x 768, Q = 4).
        Power laws and edges live on the large side. ``"svd"`` takes 2 to 5 times as long.

        Parameters
        ----------
        W : array or torch tensor
            Two-dimensional, either orientation, any real dtype (bfloat16 included); or a convolution kernel of
            three to five dimensions, see :func:`kernel_matrices`.
        method : {"gram", "svd"}
        name : str
            Kept as ``Spectrum.name``.
        precision : str, optional
            The format in which W was stored before it was widened, a name in ``rmt_lab.spectrum.FORMATS``; see
            :attr:`stored_rank`. Default: W's own dtype where that is float16 or bfloat16; bfloat16 also where W is
            float32 and all its values are bfloat16's, as readers of files widen them.

        Raises
        ------
        ValueError
            If W has another number of dimensions, is empty, or holds NaN or infinite entries.
        TypeError
            If W is not real.

        Examples
        --------
        >>> Spectrum.from_matrix([[3.0, 0.0], [0.0, 4.0], [0.0, 0.0]]).singular_values
        array([3., 4.])
        """
        if method not in ("gram", "svd"):
            raise ValueError(f"method={method!r}; allowed are 'gram' and 'svd'")
        if precision is None:
            own = str(getattr(W, "dtype", "")).removeprefix("torch.")
            precision = own if own in ("float16", "bfloat16") else None
        elif precision not in FORMATS:
            raise ValueError(f"precision={precision!r}; known are {', '.join(FORMATS)}")
        W = as_real(W)
        if precision is None and W.dtype == np.float32 and _was_bfloat16(W):
            precision = "bfloat16"
        slices = [W] if W.ndim == 2 else list(kernel_matrices(W))
        with one_blas_thread():
            values = np.concatenate([_singular_values(A, method) for A in slices])
        N, M = max(slices[0].shape), min(slices[0].shape)
        rounding = max(rounding_edge(A, precision) for A in slices) if precision else 0.0
        return cls(values, N, M, rf=len(slices), name=name, rounding=rounding)

    @property
    def eigenvalues(self) -> Array:
        """Eigenvalues of X = W^T W / N, ascending; zeros included."""
        return self.singular_values**2 / self.N

    @property
    def nonzero_eigenvalues(self) -> Array:
        """Eigenvalues of X above the numerical zero, ascending: what a power law is fitted to."""
        return self.eigenvalues[len(self.singular_values) - self.rank :]

    @property
    def Q(self) -> float:
        """Aspect ratio N / M >= 1."""
        return self.N / self.M

    @property
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
        ``nonzero_eigenvalues``, and with it every fit, keeps to ``rank``. See :func:`rounding_edge`.
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
        return f"Spectrum({label}N={self.N}, M={self.M}, Q={self.Q:.4g}, rank={self.rank}, lambda_max={lambda_max:.4g})"

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


def _was_bfloat16(W: Matrix) -> bool:
    """Whether no float32 value uses the 16 bits that bfloat16 has not; zeros and whole numbers alone do not tell."""
    flat = np.ascontiguousarray(W).reshape(-1)
    for chunk in (flat[:1000], flat):  # nearly all matrices are told by their beginning
        if (chunk.view(np.uint32) & 0xFFFF).any():
            return False
    return bool((flat != np.rint(flat)).any())


def rounding_edge(W: Any, precision: str | None = None, step: npt.ArrayLike | None = None) -> float:
    """The largest singular value that rounding alone would give to a matrix stored like W.

    With sigma_ij the standard deviation of the rounding error of entry ij,

        edge = max_i sqrt(sum_j sigma_ij^2) + max_j sqrt(sum_i sigma_ij^2) + 3 sigma,

    sigma their root mean square, which is sigma (sqrt(N) + sqrt(M) + 3) where all are equal. What lies below it cannot
    be told from rounding; what lies above was there before. Measured: the largest singular value of the errors lies at
    0.71 to 0.73 of the edge for a product of rank 64 (512 x 256; float16, bfloat16, float32), at 0.77 to 0.85 for
    Gaussian entries with even or uneven rows and columns, at 0.56 to 0.70 for heavy-tailed ones (Pareto times normal).

    Parameters
    ----------
    W : array of two dimensions, on any scale
        The stored values (what was before the rounding differs too little to matter).
    precision : str, optional
        A name in ``FORMATS``. Default: the dtype of W.
    step : array_like, optional
        Instead of a precision, the distance of neighbouring values: of int8 and 4-bit formats the scale, one number
        or one for every entry (or row, or block; it must broadcast to W).

    Returns
    -------
    float
        0 for whole numbers without a ``step``.

    Raises
    ------
    ValueError
        If the precision is not known.

    References
    ----------
    Widrow & Kollar (2008), Quantization Noise, chapters 5 and 12, on the errors. Davidson & Szarek (2001), Handbook of
    the Geometry of Banach Spaces 1, 317, theorem 2.13, and Latala (2005), Proc. AMS 133, 1273, on the norm.

    Examples
    --------
    >>> W = np.random.default_rng(0).normal(size=(512, 256))
    >>> edge, error = rounding_edge(W, "float16"), W.astype(np.float16) - W
    >>> round(float(np.linalg.norm(error, 2) / edge), 1)
    0.8
    """
    W = np.asarray(W)
    if step is None:
        precision = W.dtype.name if precision is None else precision
        if np.issubdtype(W.dtype, np.integer) or W.dtype == bool:
            return 0.0
        if precision not in FORMATS:
            raise ValueError(f"precision={precision!r}; known are {', '.join(FORMATS)}, or give the step")
        bits, smallest = FORMATS[precision]
    steps = None if step is None else np.broadcast_to(np.asarray(step, dtype=np.float64), W.shape)
    columns, rows = np.zeros(W.shape[1]), 0.0
    chunk = max(1, _CHUNK // W.shape[1])
    for i in range(0, len(W), chunk):
        if steps is None:
            w = np.asarray(W[i : i + chunk], dtype=np.float64)
            exponent = np.maximum(np.frexp(w)[1] - 1 - bits, smallest)
            unit = np.where(w == 0, 0.0, np.ldexp(1.0, exponent))
        else:
            unit = steps[i : i + chunk]
        scale = float(unit.max())  # squares of small steps would vanish
        if scale == 0:
            continue
        square = (unit / scale) ** 2
        rows = max(rows, scale * float(np.sqrt(square.sum(axis=1).max())))
        columns = np.hypot(columns, scale * np.sqrt(square.sum(axis=0)))
    sigma = np.linalg.norm(columns) / np.sqrt(W.size)
    return float((rows + columns.max() + _MARGIN * sigma) / np.sqrt(12))


def _singular_values(W: npt.NDArray[Any], method: str) -> Array:
    """Singular values of a two-dimensional array, unsorted."""
    if W.ndim != 2 or 0 in W.shape:
        raise ValueError(f"W has shape {W.shape}; a weight matrix has two dimensions, none of them empty")
    A = W if W.shape[0] >= W.shape[1] else W.T
    scale = float(max(A.max(), -A.min()))  # NaN or infinite if any entry is
    if not np.isfinite(scale):
        bad = int(A.size - np.isfinite(A).sum())
        raise ValueError(f"W holds {bad} NaN or infinite entries of {A.size}")
    if scale == 0:
        return np.zeros(A.shape[1])
    if 1 / _SAFE < scale < _SAFE:
        scale = 1.0
    if method == "svd":
        return np.asarray(scipy.linalg.svdvals(A.astype(np.float64) / scale) * scale)
    gram = np.zeros((A.shape[1], A.shape[1]))
    step = max(1, _CHUNK // A.shape[1])
    for i in range(0, len(A), step):
        block = np.ascontiguousarray(A[i : i + step], dtype=np.float64)
        block = block if scale == 1 else block / scale
        gram += block.T @ block
    return np.sqrt(np.clip(np.linalg.eigvalsh(gram), 0, None)) * scale
