"""The layers of two checkpoints, matched by name, and what training changed in each: W - W0."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, NamedTuple, Protocol, TypeVar

import numpy as np

from .._arrays import Matrix
from ..spectrum import FORMATS, Spectrum, kernel_matrices, rounding_edge
from ..spectrum.rounding import was_bfloat16
from .read import FoundMatrix

#: What makes a spectrum of a matrix.
Solver = Callable[[Matrix], Spectrum]
_DEEPEST = 3  # parts of a path that one side may have before the names of the other


class FoundChange(NamedTuple):
    """A layer of a checkpoint and the same layer of its base, both found and not read: the matrix W - W0."""

    layer_id: int
    name: str
    longname: str
    layer_type: str
    shape: tuple[int, ...]
    tuned: FoundMatrix
    base: FoundMatrix | None
    why: str = ""  # it has no change

    @property
    def how(self) -> dict[str, Any]:
        """What the spectrum depends on besides the stored matrices."""
        sides = {"tuned": self.tuned.how, "base": self.base.how if self.base else {}}
        return {"of": "change"} | {side: how for side, how in sides.items() if how}

    def parts(self) -> tuple[Matrix, Matrix]:
        """W and W0, as they are stored.

        Raises
        ------
        ValueError
            If there is no such pair, or one of them cannot be read; the message says why.
        """
        if self.base is None or self.why:
            raise ValueError(self.why)
        return self.tuned.read(), self.base.read()

    def combine(self, W: Matrix, W0: Matrix) -> Matrix:
        """W - W0 in float64."""
        return np.subtract(W, W0, dtype=np.float64)

    def spectrum(self, W: Matrix, W0: Matrix, *, solve: Solver = Spectrum.from_matrix) -> Spectrum:
        """Of W - W0; ``rounding`` is that of both, sqrt(edge(W)^2 + edge(W0)^2), since their errors are independent."""
        if self.base is None:
            raise ValueError(self.why)
        rounding = float(np.hypot(edge_of(self.tuned, W), edge_of(self.base, W0)))
        return replace(solve(self.combine(W, W0)), name=self.name, rounding=rounding)

    def both(self, W: Matrix, W0: Matrix) -> tuple[Matrix, Matrix]:
        """The matrix before and after."""
        return W0, W


def edge_of(found: FoundMatrix, W: Matrix) -> float:
    """The rounding edge of a matrix that was read: of its quantisation, else of the precision it is stored in."""
    quantised = found.rounding(W)
    return stored_edge(W) if quantised is None else quantised


def stored_edge(W: Matrix) -> float:
    """:func:`rmt_lab.spectrum.rounding_edge` of a matrix or kernel in the precision in which it was stored.

    Examples
    --------
    >>> W = np.random.default_rng(0).normal(size=(64, 32))
    >>> [f"{stored_edge(W.astype(t)):.0e}" for t in ("float64", "float32", "float16")]
    ['1e-15', '5e-07', '4e-03']
    """
    precision = "bfloat16" if W.dtype == np.float32 and was_bfloat16(W) else W.dtype.name
    if precision not in FORMATS:
        return 0.0
    return max(rounding_edge(A, precision) for A in ([W] if W.ndim == 2 else kernel_matrices(W)))


class _Named(Protocol):
    @property
    def longname(self) -> str: ...


T = TypeVar("T", bound=_Named)
B = TypeVar("B", bound=_Named)


def matched(tuned: Sequence[T], base: Sequence[B]) -> tuple[list[B | None], list[B]]:
    """For each layer of one checkpoint that of the other by the same name, or None; and those of the other left over.

    Checkpoints of one model may differ in a prefix, as ``bert.encoder`` and ``encoder``. The prefix by which most
    layers are found, on either side, is taken for all; no prefix wins where it finds as many.

    Raises
    ------
    ValueError
        If two prefixes find as many layers each.

    Examples
    --------
    >>> from collections import namedtuple
    >>> L = namedtuple("L", "longname")
    >>> matched([L("bert.pooler"), L("cls")], [L("pooler"), L("old")])
    ([L(longname='pooler'), None], [L(longname='old')])
    """
    by_name = {layer.longname: layer for layer in base}
    shifts = Counter[tuple[str, str]]()  # what to take away in front, and what to put there
    for layer in tuned:
        name = layer.longname
        shifts[("", "")] += name in by_name
        parts = name.split(".")
        for depth in range(1, min(_DEEPEST, len(parts) - 1) + 1):
            prefix = ".".join(parts[:depth]) + "."
            shifts[(prefix, "")] += name.removeprefix(prefix) in by_name
    ends = {layer.longname for layer in tuned}
    for name in by_name:
        parts = name.split(".")
        for depth in range(1, min(_DEEPEST, len(parts) - 1) + 1):
            prefix = ".".join(parts[:depth]) + "."
            shifts[("", prefix)] += name.removeprefix(prefix) in ends
    most = max(shifts.values(), default=0)
    best = [shift for shift, found in shifts.items() if found == most]
    if most == 0 or ("", "") in best:
        best = [("", "")]
    if len(best) > 1:
        told = " and ".join(repr(away or put) for away, put in best[:2])
        raise ValueError(f"base: its layers fit those of source by several prefixes, {told}; pass one part of it")
    [(away, put)] = best
    partners = [
        by_name.get(put + layer.longname.removeprefix(away)) if layer.longname.startswith(away) else None
        for layer in tuned
    ]
    taken = {partner.longname for partner in partners if partner is not None}
    return partners, [layer for layer in base if layer.longname not in taken]


def find_changes(tuned: Sequence[FoundMatrix], base: Sequence[FoundMatrix]) -> tuple[list[FoundChange], list[str]]:
    """The changes of all layers of one checkpoint, unread, and the longnames that the base alone has.

    A layer that the base lacks, or has in another shape, says so when it is read.

    Examples
    --------
    >>> from rmt_lab.weights.read import find_weights
    >>> tuned = find_weights({"a": np.ones((3, 2)), "b": np.ones((2, 2))})
    >>> base = find_weights({"a": np.ones((2, 2)), "c": np.ones((2, 2))})
    >>> changes, alone = find_changes(tuned, base)
    >>> [change.why for change in changes], alone
    (['it has shape 3 x 2, and 2 x 2 in the base', 'the base has no such layer'], ['c'])
    """
    partners, alone = matched(tuned, base)
    changes = []
    for layer, partner in zip(tuned, partners, strict=True):
        why = ""
        if partner is None:
            why = "the base has no such layer"
        elif partner.shape != layer.shape:
            shapes = [" x ".join(map(str, x.shape)) for x in (layer, partner)]
            why = f"it has shape {shapes[0]}, and {shapes[1]} in the base"
        changes.append(FoundChange(*layer[:5], layer, partner, why))
    return changes, [layer.longname for layer in alone]
