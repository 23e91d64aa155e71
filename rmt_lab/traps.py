"""Correlation traps: eigenvalues that survive a shuffle of the weights, how often noise has them, and what makes them.

Prakash & Martin (2026), arXiv 2602.02859 and 2605.12394, put the entries of a layer in random order, fit a
Marchenko-Pastur law to what comes out, and call each eigenvalue beyond its edge a correlation trap. A shuffle of
entries destroys every correlation. What survives it lies in the entries themselves: single huge ones, or their mean.
So every trap here comes with its cause, and with what is left when the cause is taken out.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from numbers import Integral
from typing import Any, Literal, NamedTuple, get_args

import numpy as np
import numpy.typing as npt
import scipy.linalg
import scipy.sparse.linalg
from scipy import stats

from ._arrays import Array, Rng, as_real, one_blas_thread
from ._repr import html_table
from .ensembles.matrices import null_matrix
from .laws.spiked import spike_strength, spike_threshold
from .laws.tracy_widom import TracyWidom, edge_scaling
from .weights.read import find_weights

Shuffle = Literal["entries", "signs", "scaled", "rows", "columns"]
#: The nulls of :mod:`rmt_lab.ensembles`, and the entries of each row, or of each column, shuffled among themselves.
SHUFFLES: tuple[Shuffle, ...] = get_args(Shuffle)
Cause = Literal["entry", "mean", "row", "column", "pattern", "none"]
#: What can make an eigenvalue stand beyond the noise, see :func:`find_traps`.
CAUSES: tuple[Cause, ...] = get_args(Cause)
#: Which causes a shuffle keeps. "none" is what a shuffle of entries keeps though no entry explains it.
KEPT: dict[str, tuple[Cause, ...]] = {
    "entries": ("entry", "mean", "none"),
    "signs": ("entry", "row", "column"),
    "scaled": ("entry", "mean", "row", "column"),
    "rows": ("entry", "mean", "row"),
    "columns": ("entry", "mean", "column"),
}
FEWEST = 10  # rows and columns: below, the Tracy-Widom law is too far from the matrices

_REMOVABLE: tuple[Cause, ...] = ("entry", "mean", "row", "column")
_DIRECT = 1500  # columns up to which a dense solver is faster than ARPACK
_LOCALISED = 0.2  # share of a singular vector on one component: a planted row at the threshold of detection has 0.3
_NEAR = 0.8  # of the strength at which a spike leaves the noise: at the size of a layer that is no sharp border
_NO_NOISE = 1e-6  # of the root mean square: what rounding leaves of it in a matrix of low rank is 1e-8
_LARGEST = 1e100  # the squares of all entries must be floats, and so must their sum
_LOOKS = 20  # shuffles whose singular vectors are looked at


@dataclass(frozen=True, repr=False)
class Trap:
    """One eigenvalue beyond the noise and what makes it; made by :func:`find_traps`.

    Attributes
    ----------
    cause : {"entry", "mean", "row", "column", "pattern", "none"}
        See :func:`find_traps`.
    row, column : int or None
        Where the entry, the row or the column stands, in W as it was given.
    size : float
        How large the cause is on the scale of W: |entry|, |mean| sqrt(N M), the norm of a row or column; for a pattern
        the strength theta of :func:`rmt_lab.laws.spiked.spike_strength`; NaN for "none".
    eigenvalue : float
        Of X = W^T W / N: the median of the shuffles where it survives the shuffle of entries, that of W otherwise.
    strength : float
        ``eigenvalue`` over the upper edge of the noise.
    p_value : float
        How often noise of this shape, all larger traps aside, has an eigenvalue as large: Tracy-Widom.
    share : dict
        By shuffle, in which share of the draws it is beyond the noise. For "entries" that is the largest eigenvalue,
        all stronger traps being taken out. For the other kinds it is the eigenvalue of its rank among the causes that
        this shuffle keeps (``KEPT``); of a cause that it destroys, the next one after all of these, so that the share
        says how often there was one more than should be.
    ipr_left, ipr_right : float
        Inverse participation ratio, the sum of fourth powers of the components of either singular vector: 1 on one
        component, 3 / (n + 2) for a Gaussian direction of n components (Porter & Thomas 1956). Left is the side of the
        rows of W as given.
    p_left, p_right : float
        How often the largest component of a Gaussian direction is as large.
    left : float
        The largest eigenvalue over the edge when this cause is taken out, and all that came before it.
    """

    cause: Cause
    row: int | None
    column: int | None
    size: float
    eigenvalue: float
    strength: float
    p_value: float
    share: dict[str, float]
    ipr_left: float
    ipr_right: float
    p_left: float
    p_right: float
    left: float

    @property
    def survives(self) -> bool:
        """Whether it is a trap in the sense of Prakash & Martin: it survives at least half of the shuffles of entries.

        An entry near the threshold of detection can be beyond the noise where it stands, and not in most shuffles.
        """
        return self.cause in KEPT["entries"] and self.share["entries"] >= 0.5

    @property
    def where(self) -> str:
        """The cause in a few words.

        Examples
        --------
        >>> W = np.random.default_rng(0).normal(size=(60, 40))
        >>> W[3, 5] = 25
        >>> find_traps(W).traps[0].where
        'entry (3, 5) of size 25'
        """
        if self.cause == "entry":
            return f"entry ({self.row}, {self.column}) of size {self.size:.3g}"
        if self.cause in ("row", "column"):
            return f"{self.cause} {self.row if self.cause == 'row' else self.column} of norm {self.size:.3g}"
        return {
            "mean": f"the mean of all entries, of strength {self.size:.3g}",
            "pattern": f"a pattern of strength {self.size:.3g}, gone after the shuffle",
        }.get(self.cause, "no single entry explains it")

    def __repr__(self) -> str:
        return f"Trap({self.where}; {self.strength:.2f} times the edge, p={self.p_value:.2g}, left={self.left:.2f})"


@dataclass(frozen=True, eq=False, repr=False)
class Traps:
    """What :func:`find_traps` found in one matrix.

    Attributes
    ----------
    shape : tuple of int
        Of W as it was given.
    sigma : float
        Noise level of the entries: their root mean square without what lies beyond the noise after a shuffle.
    edge : float
        Upper edge of the Marchenko-Pastur law of that noise, eigenvalue of X = W^T W / N.
    threshold : float
        What its largest eigenvalue exceeds with probability ``level``: the Tracy-Widom law.
    level : float
    shuffles : int
    largest : dict of arrays
        By shuffle, the largest eigenvalue of X in every draw.
    rates : dict
        By shuffle, the share of the draws with an eigenvalue beyond the threshold. For noise that is about ``level``,
        and more for "scaled": it keeps the uneven scales that the rows of all noise have, and adds those of its draw.
    counts : dict
        By shuffle, how many eigenvalues are beyond it in at least half of the draws.
    traps : tuple of Trap
        The strongest first.
    eigenvalues : array
        The largest eigenvalues of X for W as it is, descending.
    """

    shape: tuple[int, int]
    sigma: float
    edge: float
    threshold: float
    level: float
    shuffles: int
    largest: dict[str, Array]
    rates: dict[str, float]
    counts: dict[str, int]
    traps: tuple[Trap, ...]
    eigenvalues: Array

    @property
    def surviving(self) -> tuple[Trap, ...]:
        """Those that survive the shuffle of entries: correlation traps as Prakash & Martin define them."""
        return tuple(trap for trap in self.traps if trap.survives)

    @property
    def num_traps(self) -> int:
        """How many survive the shuffle of entries."""
        return len(self.surviving)

    def __repr__(self) -> str:
        found = "; ".join(f"{t.where}, {t.strength:.2f}" for t in self.traps) or "nothing beyond the noise"
        rows, columns = self.shape
        return f"Traps({rows} x {columns}, {self.shuffles} shuffles, num_traps={self.num_traps}: {found})"

    def _repr_html_(self) -> str:
        rows = {
            "noise level": f"{self.sigma:.4g}",
            f"edge, threshold at level {self.level:g}": f"{self.edge:.4g}, {self.threshold:.4g}",
        }
        for kind, rate in self.rates.items():
            rows[f"shuffle: {kind}"] = f"{rate:.1%} of {self.shuffles} beyond it, {self.counts[kind]} in most"
        for i, trap in enumerate(self.traps, 1):
            rows[f"{i}"] = f"{trap.where}; {trap.strength:.2f} times the edge, {trap.left:.2f} without it"
        return html_table(f"Traps: {self.num_traps} survive the shuffle of entries", rows)


def find_traps(
    W: Any,
    shuffles: int = 200,
    rng: Rng = 0,
    level: float = 0.05,
    kinds: Iterable[Shuffle] = SHUFFLES,
    most: int = 10,
) -> Traps:
    r"""Eigenvalues of a matrix that survive a shuffle, how often noise has them, and what makes them.

    **What is asked.** The k-th largest eigenvalue of X = W^T W / N is beyond the noise if it exceeds

        mu + s F^-1(1 - level),   F the law TW_1,  mu and s of Johnstone (2001) for (N - k + 1) x (M - k + 1) noise,

    with the noise's variance from what is left beside the largest eigenvalues, and s smaller by the part that this
    variance takes of the fluctuation. In Gaussian noise that happens with probability ``level`` in any one shuffle. A
    trap *survives* if, without the larger ones, the largest eigenvalue is beyond the noise in at least half of all
    shuffles, which Gaussian noise alone practically never does. With ``shuffles=1`` the test is that of a single
    shuffle, at level ``level``.

    **What makes it.** A shuffle of entries keeps their sizes alone. So what survives it is mostly a single entry, of
    strength theta = |w|, or the mean m of all entries, theta = |m| sqrt(N M); where few entries hold most of the
    squares, as in a sparse matrix, it can be several of them that meet in one row ("none"). Either of the two leaves
    the noise where theta exceeds sigma (N M)^(1/4) (Benaych-Georges & Nadakuditi 2012). A survivor is put down to the
    stronger of the largest entry and the mean, and to "none" if both are below 0.8 times that. Then it is taken out, a
    Gaussian number of the noise's variance in place of the entry, or the mean subtracted, and the rest is shuffled
    again.

    When nothing survives any more, what is beyond the noise in the rest as it is, and beyond all but a share ``level``
    of its shuffles, was destroyed by the shuffle (to say so takes 1 / ``level`` - 1 shuffles). It is put down to an
    entry, a row or a column if one component holds at least a fifth of the singular vector on that side, which Gaussian
    directions do with probability ``level`` at most, and if the eigenvalue is gone when noise takes its place; to a
    "pattern" otherwise.

    **What is claimed.** Gaussian noise has no trap. Heavy-tailed independent entries do have traps, one for each huge
    entry, and nearly all are put down to entries; sparse ones are not. That a row, a column or a pattern is claimed
    where entries are independent happens with probability ``level`` or less (2.4 to 5.0 % of 500 shuffled matrices of
    Gaussian and heavy-tailed entries). docs/traps.md has all of it measured.

    Parameters
    ----------
    W : array or torch tensor
        Of two or more dimensions; a convolution kernel (out, in, window) is taken as its matrix out x (in window).
    shuffles : int, default 200
        Draws of every kind.
    rng : Generator, int or None
    level : float, default 0.05
        Probability with which noise exceeds the threshold in one shuffle. Below 0.5: a trap is beyond the threshold in
        half of the shuffles, and noise must not be.
    kinds : collection of {"entries", "signs", "scaled", "rows", "columns"}
        Which shuffles are made besides that of entries: ``share`` is told for these. Causes do not depend on them.
    most : int, default 10
        Eigenvalues that are looked at.

    Returns
    -------
    Traps

    Raises
    ------
    ValueError
        If W has fewer than two dimensions or a side below 10, is not finite or constant zero, has a largest entry
        outside 1e-100 to 1e100, or no noise beside its largest eigenvalues (constant, or of low rank); if ``shuffles``
        or ``most`` is below 1, ``level`` not between 0 and 0.5, or a kind unknown.
    TypeError
        If W is not real.

    References
    ----------
    Prakash & Martin (2026), arXiv 2602.02859 and 2605.12394. Johnstone (2001), Ann. Statist. 29, 295.
    Benaych-Georges & Nadakuditi (2012), J. Multivariate Anal. 111, 120. Porter & Thomas (1956), Phys. Rev. 104, 483.

    Examples
    --------
    >>> W = np.random.default_rng(0).normal(size=(80, 50))
    >>> find_traps(W)
    Traps(80 x 50, 200 shuffles, num_traps=0: nothing beyond the noise)

    An entry survives the shuffle; a row is gone, unless each row is shuffled for itself:

    >>> W[3, 5] = 30
    >>> W[7] *= 4
    >>> found = find_traps(W, shuffles=50)
    >>> [trap.where for trap in found.traps]
    ['entry (3, 5) of size 30', 'row 7 of norm 25.9']
    >>> [kind for kind, share in found.traps[1].share.items() if share > 0.5]
    ['signs', 'scaled', 'rows']
    """
    A = _as_matrix(W)
    kinds = _checked(shuffles, level, kinds, most)
    rng = np.random.default_rng(rng)
    noise = _Noise(A, level, min(most, min(A.shape) // 2))
    with one_blas_thread():
        looks = {kind: noise.looks(A, kind, shuffles, rng) for kind in dict.fromkeys(("entries", *kinds))}
        found, cleaned, last = _of_entries(A, noise, looks["entries"], rng)
        found += _destroyed(cleaned, noise, last.tops[:, 0], rng)
        eigenvalues = noise.top(A)
    N, M, sigma = noise.N, noise.M, last.sigma(noise, cleaned)
    return Traps(
        shape=(A.shape[0], A.shape[1]),
        sigma=sigma,
        edge=_edge(N, M, sigma),
        threshold=noise.threshold(0, sigma),
        level=level,
        shuffles=shuffles,
        largest={kind: look.tops[:, 0] for kind, look in looks.items()},
        rates={kind: look.share(1) for kind, look in looks.items()},
        counts={kind: int(np.median(look.counts)) for kind, look in looks.items()},
        traps=_with_shares(found, looks, last.share(1)),
        eigenvalues=eigenvalues,
    )


def remove_traps(
    source: Any,
    causes: Iterable[Cause] = ("entry", "mean"),
    shuffles: int = 200,
    rng: Rng = 0,
    level: float = 0.05,
    most: int = 10,
) -> Any:
    """The weights without their traps: a copy; what has no trap is passed on as it is.

    Gaussian numbers of the noise's variance take the place of an entry, a row or a column, and the mean is subtracted,
    as :func:`find_traps` does to see what is left. A pattern is no trap and stays, and so does what has no cause.

    Parameters
    ----------
    source : array, DataFrame, torch tensor, mapping or torch.nn.Module
        One matrix; a state dict of arrays or tensors, of which the weight matrices are looked at; or a module, whose
        state dict is taken.
    causes : collection of {"entry", "mean", "row", "column"}
        What is removed. The default is what a shuffle of entries keeps; a row or column is often one that the network
        needs.
    shuffles, rng, level, most
        As :func:`find_traps` takes them. Each matrix of a state dict has its own stream.

    Returns
    -------
    array, DataFrame, tensor or dict
        As ``source``: an array or tensor of the same type (of floats, where integers were given), or a dict with the
        same names. Whatever was not touched is the same object.

    Raises
    ------
    ValueError
        If a cause cannot be removed, or as :func:`find_traps` and :func:`rmt_lab.iter_weights` do. Matrices of a state
        dict that have no answer (a side below 10, not finite, zero, no noise) are passed on as they are.
    TypeError
        If source is none of these.

    Examples
    --------
    >>> W = np.random.default_rng(0).normal(size=(60, 40))
    >>> W[3, 5] = 25
    >>> without = remove_traps({"a.weight": W, "a.bias": np.ones(60)})
    >>> np.argwhere(without["a.weight"] != W).tolist(), W[3, 5]
    ([[3, 5]], np.float64(25.0))
    """
    causes = tuple(causes)
    wrong = [cause for cause in causes if cause not in _REMOVABLE]
    if wrong or not causes:
        raise ValueError(f"causes={causes!r}; allowed are {', '.join(map(repr, _REMOVABLE))}")

    def without(W: Any, rng: Rng) -> Any:
        found = find_traps(W, shuffles, rng, level, ("entries",), most)
        taken = [trap for trap in found.traps if trap.cause in causes]
        if not taken:
            return W
        A = _as_matrix(W).copy()
        _take_out(A, taken, found.sigma, np.random.default_rng(rng))
        return _like(A, W)

    if hasattr(source, "state_dict"):
        source = source.state_dict()
    if not isinstance(source, Mapping):
        if isinstance(source, str) or not hasattr(source, "shape"):
            raise TypeError(f"source is a {type(source).__name__}; an array, tensor, mapping or module is allowed")
        return without(source, rng)
    seed = rng if isinstance(rng, int) else int(np.random.default_rng(rng).integers(2**63))
    result = dict(source)
    for w in find_weights(source):
        name, value = w.tensor.name, source.get(w.tensor.name)
        if value is None or w.quantised or tuple(value.shape) != tuple(w.shape):
            continue
        try:
            new = without(value, np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(w.layer_id,))))
        except ValueError:
            continue
        if new is not value:
            result |= {other: new for other, x in source.items() if other == name or _same_memory(x, value)}
    return result


class _Looks(NamedTuple):
    """The largest eigenvalues in several shuffles, one row each, and how many of them are beyond the noise."""

    tops: Array
    counts: npt.NDArray[np.int64]

    def share(self, rank: int) -> float:
        """In which share of the shuffles at least ``rank`` are beyond the noise."""
        return float(np.mean(self.counts >= rank))

    def sigma(self, noise: _Noise, A: Array) -> float:
        """The noise that the typical shuffle leaves beside what is beyond it."""
        return noise.count(np.median(self.tops, axis=0), _energy(A))[1]


class _Noise:
    """What is beyond the noise in matrices with the entries of A."""

    def __init__(self, A: Array, level: float, most: int) -> None:
        self.N, self.M = max(A.shape), min(A.shape)
        self.level, self.most = level, most
        self.allowance = float(TracyWidom(1).ppf(1 - level))
        #: of unit noise that k larger traps leave
        self.thresholds = [self.threshold(k, 1.0) for k in range(most)]

    def scaling(self, rank: int) -> tuple[float, float]:
        """Centre and scale of the largest eigenvalue of X over the mean square of the entries, beside ``rank`` traps.

        The mean square of Gaussian noise is independent of all that is divided by it. So the variances of their
        logarithms add, and the quotient has that of the eigenvalue less 2 / (N M); their means are the same.
        """
        N, M, law = self.N - rank, self.M - rank, TracyWidom(1)
        centre, scale = edge_scaling(N, M)
        mean = centre + scale * law.mean()
        narrower = float(np.sqrt(1 - 2 * mean**2 / (N * M * scale**2 * law.var())))
        return (mean - narrower * scale * law.mean()) * N / self.N, narrower * scale * N / self.N

    def threshold(self, rank: int, sigma: float) -> float:
        """What the largest eigenvalue of X exceeds with probability ``level``, beside ``rank`` traps."""
        centre, scale = self.scaling(rank)
        return sigma**2 * (centre + scale * self.allowance)

    def top(self, A: Array) -> Array:
        """The ``most`` + 1 largest eigenvalues of X, descending."""
        A = A if A.shape[0] >= A.shape[1] else A.T
        k = min(self.most + 1, self.M)
        if self.M <= _DIRECT:
            values = scipy.linalg.eigh(
                A.T @ A, eigvals_only=True, subset_by_index=[self.M - k, self.M - 1], check_finite=False
            )
        else:
            s = scipy.sparse.linalg.svds(A, k, tol=1e-4, v0=np.ones(self.M), return_singular_vectors=False)
            values = np.sort(s) ** 2
        return np.asarray(values[::-1]) / self.N

    def looks(self, A: Array, kind: Shuffle, shuffles: int, rng: np.random.Generator) -> _Looks:
        """What :meth:`look` sees in several shuffles."""
        seen = [self.look(_shuffled(A, kind, rng)) for _ in range(shuffles)]
        return _Looks(np.array([top for top, *_ in seen]), np.array([count for _, count, _ in seen]))

    def look(self, A: Array) -> tuple[Array, int, float]:
        """The largest eigenvalues, how many of them are beyond the noise, and the sigma of the rest."""
        top = self.top(A)
        return top, *self.count(top, _energy(A))

    def count(self, top: Array, energy: float) -> tuple[int, float]:
        """How many of the largest eigenvalues are beyond the noise, and the sigma of what is left of all squares.

        Each takes one row and one column of noise with it. The variance is that of the rest, taken again as long as
        they become more: a few huge entries hold a good part of all squares, and would hide the others.
        """
        k = 0
        while True:
            N, M = self.N - k, self.M - k
            sigma = float(np.sqrt(max(energy - self.N * top[:k].sum(), 0.0) / (N * M)))
            beyond = 0
            while beyond < self.most and top[beyond] > sigma**2 * self.thresholds[beyond]:
                beyond += 1
            if beyond <= k:
                if sigma**2 * self.N * self.M <= _NO_NOISE**2 * energy:
                    raise ValueError("W has no noise beside its largest eigenvalues; there is nothing to compare with")
                return k, sigma
            k = beyond

    def p_value(self, eigenvalue: float, rank: int, sigma: float) -> float:
        """How often noise of what ``rank`` larger traps leave has an eigenvalue as large."""
        if sigma == 0:
            return 0.0
        centre, scale = self.scaling(rank)
        return float(TracyWidom(1).sf((eigenvalue / sigma**2 - centre) / scale))

    def vectors(self, A: Array, k: int) -> tuple[Array, Array, Array]:
        """The k largest eigenvalues of X, left and right singular vectors of A as its columns."""
        if self.M <= _DIRECT:
            wide = A.shape[0] < A.shape[1]
            B = A.T if wide else A
            values, V = scipy.linalg.eigh(B.T @ B, subset_by_index=[self.M - k, self.M - 1], check_finite=False)
            values, V = np.clip(values[::-1], 0, None), V[:, ::-1]
            U = B @ V / np.sqrt(values)
            return values / self.N, *((V, U) if wide else (U, V))
        U, s, Vt = scipy.sparse.linalg.svds(A, k, tol=1e-6, v0=np.ones(self.M))
        order = np.argsort(s)[::-1]
        return s[order] ** 2 / self.N, U[:, order], Vt[order].T


def _of_entries(A: Array, noise: _Noise, looks: _Looks, rng: np.random.Generator) -> tuple[list[Trap], Array, _Looks]:
    """The traps that survive the shuffle of entries, the matrix without them, and its shuffles."""
    found: list[Trap] = []
    A = A.copy()
    while len(found) < noise.most and looks.share(1) >= 0.5:
        value, sigma = float(np.median(looks.tops[:, 0])), looks.sigma(noise, A)
        edge, needed = _edge(noise.N, noise.M, sigma), _NEAR * spike_threshold(noise.N, noise.M, sigma)
        mean = float(A.mean())
        of_mean = abs(mean) * float(np.sqrt(A.size))
        sizes = np.abs(A - mean if of_mean > needed else A)
        row, column = (int(i) for i in np.unravel_index(sizes.argmax(), A.shape))
        size = float(sizes[row, column])
        trap = Trap(
            "none", None, None, np.nan, value, value / edge, noise.p_value(value, 0, sigma),
            {"entries": looks.share(1)}, *_localisation(A, noise, rng), np.nan,
        )  # fmt: skip
        if of_mean > max(size, needed):
            trap = replace(trap, cause="mean", size=of_mean)
        elif size > needed:
            trap = replace(trap, cause="entry", row=row, column=column, size=size)
        _take_out(A, [trap], sigma, rng)
        if trap.cause != "none":
            looks = noise.looks(A, "entries", len(looks.tops), rng)
        found.append(replace(trap, left=float(np.median(looks.tops[:, 0])) / edge))
        if trap.cause == "none":
            break
    return found, A, looks


def _destroyed(A: Array, noise: _Noise, null: Array, rng: np.random.Generator) -> list[Trap]:
    """What is beyond the noise in the matrix and not in its shuffles."""
    found: list[Trap] = []
    patterns = 0
    while len(found) < noise.most:
        top, count, sigma = noise.look(A)
        if count <= patterns:
            break
        values, U, V = noise.vectors(A, count)
        value, u, v = float(values[patterns]), U[:, patterns], V[:, patterns]
        if (1 + np.count_nonzero(null >= value)) / (1 + len(null)) > noise.level:
            break
        edge = _edge(noise.N, noise.M, sigma)
        trap = Trap(
            "pattern", None, None, float(spike_strength(value, noise.N, noise.M, sigma)), value, value / edge,
            noise.p_value(value, patterns, sigma), {}, *_of_vectors(u, v), np.nan,
        )  # fmt: skip
        i, j = int(np.argmax(u**2)), int(np.argmax(v**2))
        rows = u[i] ** 2 >= _LOCALISED and trap.p_left <= noise.level
        columns = v[j] ** 2 >= _LOCALISED and trap.p_right <= noise.level
        tried = []
        if rows and columns:
            tried.append(replace(trap, cause="entry", row=i, column=j, size=float(abs(A[i, j]))))
        if rows:
            tried.append(replace(trap, cause="row", row=i, size=float(np.linalg.norm(A[i]))))
        if columns:
            tried.append(replace(trap, cause="column", column=j, size=float(np.linalg.norm(A[:, j]))))
        for other in sorted(tried, key=lambda t: (t.cause != "entry", -t.size)):
            without = A.copy()
            _take_out(without, [other], sigma, rng)
            rest, still, _ = noise.look(without)
            if still < count:
                A = without
                found.append(replace(other, left=float(rest[patterns]) / edge))
                break
        else:
            next_one = float(top[patterns + 1]) if patterns + 1 < len(top) else np.nan
            found.append(replace(trap, left=next_one / edge))
            patterns += 1
    return found


def _with_shares(found: list[Trap], looks: dict[Shuffle, _Looks], last: float) -> tuple[Trap, ...]:
    """Each trap with the share of the draws in which an eigenvalue of its rank is beyond the noise."""
    result = []
    for trap in found:
        share = {"entries": trap.share.get("entries", last)}
        for kind, look in looks.items():
            if kind != "entries":
                kept = [t for t in found if t.cause in KEPT[kind]]
                stronger = [t for t in kept if t.eigenvalue > trap.eigenvalue]
                share[kind] = look.share(1 + len(stronger if trap.cause in KEPT[kind] else kept))
        result.append(replace(trap, share=share))
    return tuple(sorted(result, key=lambda trap: -trap.strength))


def _take_out(A: Array, traps: Iterable[Trap], sigma: float, rng: np.random.Generator) -> None:
    """Replace what makes these traps by noise, in place; a mean is subtracted."""
    for trap in traps:
        if trap.cause == "mean":
            A -= A.mean()
        elif trap.cause in ("entry", "row", "column"):
            place = (slice(None) if trap.row is None else trap.row, slice(None) if trap.column is None else trap.column)
            A[place] = rng.normal(0.0, sigma, np.shape(A[place]))


def _localisation(A: Array, noise: _Noise, rng: np.random.Generator) -> tuple[float, float, float, float]:
    """Medians over some shuffles of what :func:`_of_vectors` says of the largest singular vectors."""
    looks = []
    for _ in range(_LOOKS):
        _, U, V = noise.vectors(_shuffled(A, "entries", rng), 1)
        looks.append(_of_vectors(U[:, 0], V[:, 0]))
    a, b, c, d = np.median(looks, axis=0)
    return float(a), float(b), float(c), float(d)


def _of_vectors(u: Array, v: Array) -> tuple[float, float, float, float]:
    """The inverse participation ratios of both, and how often a Gaussian direction has as large a component."""
    # each squared component has the law Beta(1/2, (n - 1)/2); the largest of n exceeds x with probability n sf at most
    p, q = (min(1.0, len(x) * float(stats.beta(0.5, (len(x) - 1) / 2).sf((x**2).max()))) for x in (u, v))
    return float((u**4).sum()), float((v**4).sum()), p, q


def _shuffled(A: Array, kind: Shuffle, rng: np.random.Generator) -> Array:
    if kind == "rows" or kind == "columns":
        return rng.permuted(A, axis=1 if kind == "rows" else 0)
    return null_matrix(A, kind, rng)


def _energy(A: Array) -> float:
    return float(np.vdot(A, A))


def _edge(N: int, M: int, sigma: float) -> float:
    return sigma**2 * (1 + np.sqrt(M / N)) ** 2


def _as_matrix(W: Any) -> Array:
    A = as_real(W)
    if A.ndim < 2:
        raise ValueError(f"W has shape {A.shape}; a matrix has two dimensions or more")
    A = A.reshape(len(A), -1).astype(np.float64, copy=False)
    if min(A.shape) < FEWEST:
        raise ValueError(f"W has shape {A.shape}; both sides are {FEWEST} or more")
    if not np.isfinite(A).all():
        raise ValueError(f"W holds {A.size - np.isfinite(A).sum()} NaN or infinite entries of {A.size}")
    if not A.any():
        raise ValueError("W is zero; it has no noise to compare with")
    if not 1 / _LARGEST <= (largest := float(np.abs(A).max())) <= _LARGEST:
        raise ValueError(
            f"W has a largest entry of {largest:.3g}; 1e-100 to 1e100 is allowed, so that squares are floats"
        )
    return A


def _checked(shuffles: int, level: float, kinds: Iterable[Shuffle], most: int) -> tuple[Shuffle, ...]:
    for name, value in {"shuffles": shuffles, "most": most}.items():
        if isinstance(value, bool) or not isinstance(value, Integral) or value < 1:
            raise ValueError(f"{name}={value!r}; a whole number of 1 or more is allowed")
    if not 0 < level < 0.5:
        raise ValueError(f"level={level!r}; a probability between 0 and 0.5 is allowed")
    kinds = [kinds] if isinstance(kinds, str) else list(kinds)  # type: ignore[list-item]
    for kind in kinds:
        if kind not in SHUFFLES:
            raise ValueError(f"kinds={kinds!r}; allowed are {', '.join(map(repr, SHUFFLES))}")
    return tuple(kinds)


def _like(A: Array, W: Any) -> Any:
    """The matrix in the shape and type of what was given; floats, where that was of integers."""
    A = A.reshape(tuple(W.shape))
    if hasattr(W, "detach"):  # a torch tensor, told by its methods so that torch is never imported here
        W = W.detach()
        return (W if W.is_floating_point() else W.double()).new_tensor(A)
    if hasattr(W, "iloc"):  # a DataFrame
        frame = type(W)(A, W.index, W.columns)
        return frame.astype(W.dtypes) if all(dtype.kind == "f" for dtype in W.dtypes) else frame
    return A.astype(W.dtype) if W.dtype.kind == "f" else A


def _same_memory(x: Any, y: Any) -> bool:
    """Whether two values of a state dict are one: tied weights. A transpose has the same memory, and other strides."""
    if x is y:
        return True
    if hasattr(x, "data_ptr") and hasattr(y, "data_ptr"):
        return bool(x.data_ptr() == y.data_ptr() and x.shape == y.shape and x.stride() == y.stride())
    if isinstance(x, np.ndarray) and isinstance(y, np.ndarray):
        return x.ctypes.data == y.ctypes.data and x.shape == y.shape and x.strides == y.strides
    return False
