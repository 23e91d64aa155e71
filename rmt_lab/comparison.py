"""Two checkpoints side by side, layer by layer, and the checkpoints of one training, step by step.

What fine-tuning changes is W - W0. How large it is, how many directions it has, and whether it moved the leading
singular vectors are questions with a null each: rounding, random subspaces, and noise of the same size.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
import scipy.linalg

from ._arrays import Array, Matrix, Rng, as_real, one_blas_thread
from ._repr import html_table, reason
from .analysis import (
    LARGEST,
    LAYER_FAULTS,
    SMALLEST,
    Options,
    analyze,
    find_pairs,
    in_memory,
    map_layers,
    spectral_distance,
    table_of,
)
from .ensembles.matrices import layer_stream
from .laws.overlaps import SubspaceOverlap, subspace_overlap
from .spectrum import Spectrum
from .weights.adapters import FoundMerged
from .weights.pairs import FoundChange
from .weights.read import select_layers
from .weights.roles import block_and_role
from .weights.steps import find_steps

#: The threshold of Shuttleworth et al.: no cosine above this makes an intruder, however little noise turns the vectors.
MOST_COSINE = 0.5
_COLUMNS = [
    *("layer_id", "name", "longname", "layer_type", "block", "role", "rows", "columns"),
    *("relative_change", "change_rank", "change_stable_rank", "k"),
    *("left_overlap", "left_null", "left_p", "right_overlap", "right_null", "right_p"),
    *("num_intruders", "least_cosine", "intruder_threshold", "spectral_distance", "status"),
]


@dataclass(frozen=True, eq=False, repr=False)
class Directions:
    """The leading singular vectors of a matrix before and after training; made by :func:`directions`.

    Attributes
    ----------
    cosines : array of shape (k, min(n, m))
        The absolute cosines between the k leading left singular vectors after training, a row each, and all left
        singular vectors before.
    left_overlap, right_overlap : float
        Mean squared cosine of the principal angles between the k leading left (right) singular vectors before and
        after; random ones follow :class:`rmt_lab.laws.SubspaceOverlap`.
    threshold : float
        The least cosine that noise of the same Frobenius norm gave, at most 0.5. NaN where no noise was drawn.
    before, after : array
        All singular values, in descending order.
    """

    cosines: Array
    left_overlap: float
    right_overlap: float
    threshold: float
    before: Array
    after: Array

    @property
    def k(self) -> int:
        """Number of leading singular vectors."""
        return len(self.cosines)

    @property
    def intruders(self) -> Array:
        """Which of the k are intruders: their cosine with every singular vector before is below the threshold."""
        found: Array = self.cosines.max(axis=1) < self.threshold
        return found

    def __repr__(self) -> str:
        return (
            f"Directions(k={self.k}, left_overlap={self.left_overlap:.3f}, right_overlap={self.right_overlap:.3f}, "
            f"{np.count_nonzero(self.intruders)} intruders)"
        )

    def _repr_html_(self) -> str:
        rows = {
            "leading singular vectors": f"{self.k}",
            "overlap of the left ones": f"{self.left_overlap:.3f}",
            "overlap of the right ones": f"{self.right_overlap:.3f}",
            "intruders": f"{np.count_nonzero(self.intruders)}",
        }
        return html_table("Directions", rows)


def directions(before: Any, after: Any, k: int = 10, draws: int = 39, rng: Rng = 0) -> Directions:
    """The leading singular vectors of a matrix before and after training, and which of those after are new.

    An intruder (Shuttleworth et al. 2024) is one of the k leading left singular vectors after training whose absolute
    cosine with every left singular vector before is below a threshold, there 0.5. Noise turns singular vectors too, the
    more the closer their singular values are. So the threshold here is the least cosine that noise of the Frobenius
    norm of the change gives in ``draws`` draws, and at most 0.5. Another such noise then has an intruder with
    probability 1 / (draws + 1) at most: its least cosine is as likely as that of any draw to be the least of all.
    Measured on 200 noises each: 190 to 200 have none (60 x 40, changes of 5, 40 and 100 %).

    A new direction whose singular value is close to one that was there before mixes with it and is often missed.
    Planted in a 300 x 200 matrix it is found in 39 of 40 where its singular value stands apart, in 10 to 31 of 40 where
    it lies among close ones (``python -m benchmarks.comparison``).

    An intruder says that the change is not Gaussian noise of equal size everywhere. It does not say that training made
    a new direction. Other changes have intruders, too. Of 200 matrices of 60 x 40 each there is one in 66 after another
    training from new random numbers, in 68 after a permutation of the neurons, in 64 after noise in 6 rows alone, in
    34 after heavy-tailed noise, and in 19 after the rows were rescaled by some 30 %.

    The draws are made in the basis of the singular vectors before, in which Gaussian noise has the same law: the
    singular values on the diagonal, plus noise. The rows (columns) that a square lacks enter through their Gram matrix
    alone, which is a Wishart matrix (Bartlett 1933).

    Parameters
    ----------
    before, after : array or torch tensor of shape (n, m)
        Their left singular vectors have n entries; a kernel is taken as out x (in * window).
    k : int, default 10
        At most half of the smaller side is taken, and at most the rank of both: a singular value of zero has no
        direction of its own. Equal singular values have none, either: those of an orthogonal matrix say nothing.
    draws : int, default 39
        0 for no threshold and no intruders.
    rng : Generator, int or None, default 0

    Raises
    ------
    ValueError
        If the shapes differ, an entry is not finite, a matrix is zero, or k or draws is not allowed.

    References
    ----------
    Shuttleworth, Andreas, Torralba & Sharma (2024), LoRA vs full fine-tuning: an illusion of equivalence,
    arXiv 2410.21228.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> W = rng.normal(size=(80, 60)) * np.linspace(1, 3, 60)
    >>> u, v = rng.normal(size=80), rng.normal(size=60)
    >>> directions(W, W + 0.7 * np.outer(u, v), k=5)
    Directions(k=5, left_overlap=0.796, right_overlap=0.803, 1 intruders)
    """
    W0, W = (_finite_matrix(X, name) for X, name in ((before, "before"), (after, "after")))
    if W0.shape != W.shape:
        raise ValueError(f"before has shape {W0.shape}, after has shape {W.shape}; they must be the same")
    _check_counts(k, draws)
    k = min(k, max(1, min(W.shape) // 2))
    with one_blas_thread():
        U0, s0, V0 = np.linalg.svd(W0, full_matrices=False)
        U, s, V = np.linalg.svd(W, full_matrices=False)
        k = min(k, *(_rank(x, W.shape) for x in (s0, s)))
        cosines = np.abs(U[:, :k].T @ U0)
        size = float(np.linalg.norm(W - W0))
        threshold = (
            _least_of_noise(s0, W.shape, size, k, draws, np.random.default_rng(rng)) if draws and size else np.nan
        )
    left, right = subspace_overlap(U0[:, :k], U[:, :k]), subspace_overlap(V0[:k].T, V[:k].T)
    return Directions(cosines, left, right, threshold, s0, s)


def _check_counts(k: int, draws: int) -> None:
    for name, count, least in (("k", k, 1), ("draws", draws, 0)):
        if not isinstance(count, int | np.integer) or count < least:
            raise ValueError(f"{name}={count!r}; a whole number >= {least} is allowed")


def _finite_matrix(X: Any, name: str) -> Array:
    X = np.asarray(as_real(X, name), dtype=np.float64)
    if X.ndim < 2 or 0 in X.shape:
        raise ValueError(f"{name} has shape {X.shape}; a weight matrix has two dimensions, none of them empty")
    if bad := int(X.size - np.isfinite(X).sum()):
        raise ValueError(f"{name} holds {bad} NaN or infinite entries of {X.size}")
    if not X.any():
        raise ValueError(f"{name} is zero everywhere; it has no directions")
    return X.reshape(len(X), -1)


def _rank(s: Array, shape: tuple[int, ...]) -> int:
    return int(np.count_nonzero(s > max(shape) * np.finfo(float).eps * s[0]))


def _least_of_noise(
    s: Array, shape: tuple[int, int], size: float, k: int, draws: int, rng: np.random.Generator
) -> float:
    """The least cosine, over all draws of noise, of a leading left singular vector with those before."""
    m, extra = min(shape), abs(shape[0] - shape[1])
    diagonal = np.diag_indices(m)
    least = MOST_COSINE
    for _ in range(draws):
        G = rng.normal(size=(m, m))
        R = np.triu(rng.normal(size=(min(extra, m), m)), 1)  # R^T R is the Gram matrix of the rows beyond the square
        chosen = np.arange(len(R))
        R[chosen, chosen] = np.sqrt(rng.chisquare(extra - chosen)) if extra else 0
        level = size / np.hypot(np.linalg.norm(G), np.linalg.norm(R))
        H = level * G
        H[diagonal] += s
        tall = shape[0] > shape[1]
        gram = (H.T @ H if tall else H @ H.T) + level**2 * (R.T @ R)
        values, vectors = scipy.linalg.eigh(gram, subset_by_index=[m - k, m - 1], check_finite=False)
        if tall:  # left vectors are H v / s, and those before are the first m axes
            vectors = H @ vectors / np.sqrt(values)
        least = min(least, float(np.abs(vectors).max(axis=0).min()))
    return least


def compare(
    base: Any,
    tuned: Any,
    layers: Iterable[int | str] | int | str | None = None,
    split_qkv: bool = False,
    k: int = 10,
    draws: int = 39,
    n_jobs: int | None = None,
    rng: Rng = 0,
) -> pd.DataFrame:
    """What changed from one checkpoint to another: one row per layer, matched by name, each figure with its null.

    Parameters
    ----------
    base, tuned
        The checkpoint before and the one after, as :func:`rmt_lab.analyze` takes weights. ``tuned`` may be the folder
        of a LoRA adapter of ``base``: then only the layers that it changes are compared.
    layers, split_qkv, n_jobs
        As in :func:`rmt_lab.analyze`; ``layers`` are those of ``tuned``.
    k : int, default 10
        How many leading singular vectors are compared; at most half of a layer's smaller side, and its rank.
    draws : int, default 39
        How many draws of noise make the threshold of intruders, see :func:`directions`. They take most of the time:
        seconds for a side of 768. 0 leaves intruders out.
    rng : Generator, int or None, default 0
        Draws that noise; every layer has a stream of its own.

    Returns
    -------
    pandas.DataFrame
        ``relative_change`` is norm(W - W0) / norm(W0), Frobenius norms. ``change_rank`` counts the singular values
        of W - W0 beyond the rounding of both checkpoints, and ``change_stable_rank`` is its stable rank.
        ``left_overlap`` is the mean squared cosine of the principal angles between the ``k`` leading left singular
        vectors before and after, ``left_null`` its mean for random subspaces, ``left_p`` the probability that random
        ones have as much in common (:class:`rmt_lab.laws.SubspaceOverlap`); ``right_*`` likewise. Of the ``k`` leading
        left singular vectors after, ``num_intruders`` have no cosine above ``intruder_threshold`` with any before. A
        change that is Gaussian noise has one with probability 1 / (draws + 1) at most: 2 or 3 of 100 layers.
        ``least_cosine`` is that of the vector that is farthest from all before. ``spectral_distance`` is the
        Jensen-Shannon distance of both spectra (0: the same, 0.83: as far as can be). Left vectors are those of the
        matrix as it is stored: outputs, for torch's Linear. Kernels are taken as out x (in * window). A layer that
        cannot be compared has ``status`` saying why.

    Raises
    ------
    ValueError
        If a source cannot be read, holds spectra alone, or an argument is not allowed.

    Warns
    -----
    UserWarning
        If ``base`` has layers that ``tuned`` lacks.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> W, u, v = rng.normal(size=(80, 60)), rng.normal(size=80), rng.normal(size=60)
    >>> table = compare({"h.0.q_proj.weight": W}, {"h.0.q_proj.weight": W + 0.3 * np.outer(u, v)})
    >>> table[["name", "relative_change", "change_rank", "num_intruders"]].round(2)
                name  relative_change  change_rank  num_intruders
    0  block 0 query             0.28            1              1
    """
    _check_counts(k, draws)
    if rng is None or isinstance(rng, np.random.Generator):
        rng = int(np.random.default_rng(rng).integers(2**63))
    pairs: list[Any] = select_layers(list(find_pairs(tuned, base, split_qkv, all_told=layers is None)), layers)
    row = partial(_compared, k=k, draws=draws, seed=rng)
    rows = sorted(
        map_layers(row, pairs, n_jobs, in_memory(base, tuned), desc="compare"), key=lambda row: row["layer_id"]
    )
    table = pd.DataFrame(rows, columns=_COLUMNS)
    for column in ("block", "rows", "columns", "change_rank", "k", "num_intruders"):
        table[column] = table[column].astype("Int64")
    told = [str(x) if isinstance(x, str | os.PathLike) else type(x).__name__ for x in (base, tuned)]
    table.attrs = {"base": told[0], "tuned": told[1], "split_qkv": split_qkv, "k": k, "draws": draws, "rng": rng}
    return table


def _compared(found: FoundChange | FoundMerged, k: int, draws: int, seed: int) -> dict[str, Any]:
    """The row of one layer; whatever is wrong with the layer ends up in its status."""
    block, role = block_and_role(found.longname)
    row: dict[str, Any] = {name: getattr(found, name) for name in _COLUMNS[:4]} | {"block": block, "role": role}
    row["status"] = "success"
    try:
        parts: Any = found.parts()
        W0, W = found.both(*parts)
        _check_range(W0, W)
        change = found.spectrum(*parts) if isinstance(found, FoundChange) else found.product.spectrum(*parts[1:])
        norm = float(np.linalg.norm(W0.astype(np.float64)))
        d = directions(W0, W, k, draws, layer_stream(seed, found.layer_id))
        row |= {"rows": len(W), "columns": W.size // len(W), "relative_change": change.frobenius_norm / norm}
        row |= {"change_rank": change.stored_rank, "change_stable_rank": change.stable_rank, "k": d.k}
        for side, n, overlap in (("left", len(W), d.left_overlap), ("right", W.size // len(W), d.right_overlap)):
            law = SubspaceOverlap(n, d.k) if n > d.k else None
            row |= {f"{side}_overlap": overlap, f"{side}_null": law.mean() if law else 1.0}
            row[f"{side}_p"] = float(law.sf(overlap)) if law else 1.0
        row["least_cosine"] = float(d.cosines.max(axis=1).min())
        if draws:
            row |= {"num_intruders": int(np.count_nonzero(d.intruders)), "intruder_threshold": d.threshold}
        row["spectral_distance"] = spectral_distance(*(_spectrum(s, W) for s in (d.before, d.after)))
        return row
    except LAYER_FAULTS as error:
        what = str(error) if isinstance(error, ValueError) else f"{type(error).__name__}: {error}"
        return row | {"status": f"failed: {what}"}


def _check_range(W0: Matrix, W: Matrix) -> None:
    before, after = (float(np.abs(X).max(initial=0)) for X in (W0, W))
    if not before:
        raise ValueError("it was zero before")
    for when, most in (("before", before), ("after", after)):
        if most and np.isfinite(most) and not SMALLEST <= most <= LARGEST:
            raise ValueError(f"its largest entry was {most:.3g} {when}; from {SMALLEST:g} to {LARGEST:g} is allowed")


def _spectrum(s: Array, W: Matrix) -> Spectrum:
    rows, columns = len(W), W.size // len(W)
    return Spectrum(s, max(rows, columns), min(rows, columns))


def analyze_series(source: str | os.PathLike[str], **options: Any) -> pd.DataFrame:
    """The checkpoints of one training, sorted by step, in one table: a row per step and layer.

    Parameters
    ----------
    source : str or path
        A folder that holds the checkpoints, files or folders, or a pattern of their paths (``"run/checkpoint-*"``). The
        step is the number after ``step``, ``checkpoint`` or ``iter`` in the name, else the last number of the name
        (``checkpoint-500``, ``step_1000.safetensors``, ``epoch=3-step=700.ckpt``).
    **options
        Those of :func:`rmt_lab.analyze`, ``base`` included: then each row is the change since that checkpoint.

    Returns
    -------
    pandas.DataFrame
        The columns ``step`` and ``source``, then those of :func:`rmt_lab.analyze`. One checkpoint is read at a time. A
        checkpoint that cannot be read is one row with ``status`` saying why.

    Raises
    ------
    FileNotFoundError
        If there is no checkpoint.
    ValueError, TypeError
        If an option is not allowed.

    Examples
    --------
    >>> import tempfile, pathlib
    >>> rng = np.random.default_rng(0)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     for step in (1000, 200):
    ...         np.savez(pathlib.Path(folder) / f"step_{step}.npz", query=rng.normal(size=(60, 50)) * step)
    ...     analyze_series(folder)[["step", "name", "num_evals", "status"]]
       step   name  num_evals   status
    0   200  query         50  success
    1  1000  query         50  success
    """
    plain = {name: value for name, value in options.items() if name not in ("n_jobs", "cache")}
    if plain.get("rng", 0) is None or isinstance(plain.get("rng"), np.random.Generator):
        options["rng"] = plain["rng"] = int(np.random.default_rng(plain["rng"]).integers(2**63))
    checked = Options(**plain)  # a wrong option is an error, not a failed row for every step
    tables, found = [], find_steps(source)
    for step, path in found:
        try:
            table = analyze(path, **options)
        except (*LAYER_FAULTS, TypeError, ImportError) as error:
            failed = {"layer_id": 0, "name": "", "longname": "", "warning": "", "status": f"failed: {reason(error)}"}
            table = table_of([failed], path, checked)
        table.insert(0, "step", pd.Series([step] * len(table), dtype="Int64"))
        table.insert(1, "source", str(path))
        tables.append(table)
    whole = max(tables, key=lambda table: (table["status"] == "success").sum())  # its columns have their types
    series = pd.concat([table.astype(whole.dtypes) for table in tables], ignore_index=True)
    series.attrs = tables[0].attrs | {"source": str(source)}
    return series
