"""Exercises of notebook x7, two checkpoints."""

from __future__ import annotations

from typing import Any

import numpy as np

from .._arrays import Array
from ..laws.overlaps import SubspaceOverlap
from ..spectrum import Spectrum
from . import exercise, prediction, question
from .answers import agrees, close, near, number

_K, _SIDE = 6, 200  # leading left singular vectors, and how long they are


@prediction(
    "x7-rank",
    options=["1", "between 1 and 100", "100"],
    why="Each step adds the gradient of another batch, and with it the noise of this batch, in all directions.",
)
def rank_of_change(rank: float) -> str:
    """The rank of the change of the first layer, beyond rounding."""
    return "1" if rank <= 1 else "100" if rank >= 100 else "between 1 and 100"


def _share(W0: Array, W1: Array, k: int) -> float:
    s = _singular_values(W1 - W0)
    return float((s[:k] ** 2).sum() / (s**2).sum())


def _share_by_eigenvalues(W0: Array, W1: Array, k: int) -> float:
    D = W1 - W0
    return float(np.linalg.eigvalsh(D.T @ D)[::-1][:k].sum() / np.trace(D.T @ D))


def _singular_values(W: Array) -> Array:
    return np.asarray(np.linalg.svd(W, compute_uv=False), dtype=np.float64)


@exercise(
    "x7-share",
    hint="Take the singular values of the difference. The squared Frobenius norm is the sum of all their squares.",
    why="The rank counts every direction alike. This share says how much the leading ones carry.",
    wrong=[
        lambda W0, W1, k: _singular_values(W1 - W0)[:k].sum() / _singular_values(W1 - W0).sum(),
        lambda W0, W1, k: np.sqrt(_share(W0, W1, k)),
        lambda W0, W1, k: 1 - _share(W0, W1, k),
        lambda W0, W1, k: _share(0 * W0, W1, k),
        lambda W0, W1, k: _share(0 * W0, W0, k),
        lambda W0, W1, k: k / min(W0.shape),
        lambda W0, W1, k: _singular_values(W1 - W0)[k - 1] ** 2 / (_singular_values(W1 - W0) ** 2).sum(),
        lambda W0, W1, k: (_singular_values(W1 - W0)[:k] ** 2).sum(),
        lambda W0, W1, k: (_singular_values(W1 - W0)[:k] ** 2).sum() / (_singular_values(W0) ** 2).sum(),
        lambda W0, W1, k: (_singular_values(W1 - W0)[-k:] ** 2).sum() / (_singular_values(W1 - W0) ** 2).sum(),
        lambda W0, W1, k: _singular_values(W1 - W0)[:k] ** 2 / (_singular_values(W1 - W0) ** 2).sum(),
        lambda W0, W1, k: 100 * _share(W0, W1, k),
        lambda W0, W1: 0.5,
        0.5,
    ],
    right=[
        _share,
        _share_by_eigenvalues,
        lambda W0, W1, k: (_singular_values(W0 - W1)[:k] ** 2).sum() / np.linalg.norm(W1 - W0) ** 2,
        lambda a, b, k: sum(x * x for x in _singular_values(b - a)[:k]) / np.sum((b - a) ** 2),
        lambda W0, W1, k: np.array(_share(W0.T, W1.T, k)),
        lambda W0, W1, k: (lambda e: e[-k:].sum() / e.sum())(Spectrum.from_matrix(W1 - W0).eigenvalues),
    ],
)
def share(answer: Any) -> str | None:
    """The share of a change that its leading directions carry, as a function."""
    rng = np.random.default_rng(70)
    inputs = []
    for n, m, k in ((40, 30, 1), (30, 50, 4), (25, 25, 2), (60, 20, 10)):
        W0, noise = rng.normal(size=(n, m)), rng.normal(size=(n, m))
        inputs.append((W0, W0 + 0.1 * noise + np.outer(rng.normal(size=n), rng.normal(size=m)) / 5, k))
    mistakes = {
        "the singular values are summed, and not their squares": lambda W0, W1, k: (
            _singular_values(W1 - W0)[:k].sum() / _singular_values(W1 - W0).sum()
        ),
        "that is the share in W1; the change is asked for": lambda W0, W1, k: _share(0 * W0, W1, k),
        "this is the share that the other directions carry": lambda W0, W1, k: 1 - _share(W0, W1, k),
        "that compares the change with W0; the whole change is asked for": lambda W0, W1, k: (
            (_singular_values(W1 - W0)[:k] ** 2).sum() / (_singular_values(W0) ** 2).sum()
        ),
        "that is in percent, and a fraction is asked for": lambda W0, W1, k: 100 * _share(W0, W1, k),
    }
    return agrees(answer, _share, inputs, mistakes=mistakes)


@prediction(
    "x7-twice",
    options=["below 0.3", "from 0.3 to 0.9", "above 0.9"],
    why="Both runs learnt the same thing, and each of them also kept the noise of its own batches.",
)
def cosine_of_changes(cosine: float) -> str:
    """The cosine between the changes of two runs with other batches."""
    return "below 0.3" if cosine < 0.3 else "from 0.3 to 0.9" if cosine <= 0.9 else "above 0.9"


@exercise(
    "x7-chance",
    hint="Project one random unit vector onto a fixed subspace. What is the mean of the squared length?",
    why="The squared length of a unit vector spreads evenly over all directions, and the subspace has k of n.",
    wrong=[6, 200, 200 / 6, 6 / 100, np.sqrt(6 / 200), 1 / 200, 36 / 200, 1 - 6 / 200, 0, 0.5, 1, -0.03, "small"],
    right=[_K / _SIDE, 3 / 100, [0.03], np.array([0.03]), np.float32(0.03), SubspaceOverlap(_SIDE, _K).mean()],
)
def chance(answer: Any) -> str | None:
    """The mean overlap of two random subspaces."""
    x = number(answer)
    if close(x, np.sqrt(_K / _SIDE)):
        return "that is a cosine; the overlap is a mean of squared cosines"
    if close(x, _K / 100):
        return "left singular vectors of the first layer have an entry for each hidden unit, not for each input"
    if close(x, _SIDE / _K):
        return "the fraction is upside down"
    return near(x, _K / _SIDE)


@prediction(
    "x7-who",
    options=["LoRA alone", "full tuning alone", "both", "neither"],
    why="The new task needs an input direction that the first layer did not have, whatever the method.",
)
def who_has_intruders(counts: tuple[int, int]) -> str:
    """Which tuning has an intruder in the first layer."""
    full, lora = (count > 0 for count in counts)
    return {(True, True): "both", (True, False): "full tuning alone", (False, True): "LoRA alone"}.get(
        (full, lora), "neither"
    )


def _cosines(W0: Array, W1: Array, k: int) -> Array:
    U0, U1 = (np.linalg.svd(W, full_matrices=False)[0] for W in (W0, W1))
    cosines: Array = np.abs(U1[:, :k].T @ U0)
    return cosines


def _intruders(W0: Array, W1: Array, k: int, threshold: float) -> int:
    return int(np.sum(_cosines(W0, W1, k).max(axis=1) < threshold))


def _one_by_one(W0: Array, W1: Array, k: int, threshold: float) -> int:
    before, after = (np.linalg.eigh(W @ W.T)[1] for W in (W0, W1))
    return sum(all(abs(u @ v) < threshold for v in before.T) for u in after.T[::-1][:k])


def _signed(W0: Array, W1: Array, k: int, threshold: float) -> int:
    U0, U1 = (np.linalg.svd(W, full_matrices=False)[0] for W in (W0, W1))
    return int(np.sum((U1[:, :k].T @ U0).max(axis=1) < threshold))


def _wide_pairs() -> list[tuple[Array, Array, int, float]]:
    """Matrices before and after; new left directions meet an old right one and the other way round.

    They are wide, so that the left singular vectors before are complete, however they are computed. A weak direction
    before becomes a leading one, which is no intruder.
    """
    rng = np.random.default_rng(71)
    pairs = []
    for n, m, k, threshold, left, right in ((40, 60, 5, 0.5, 1, 2), (30, 80, 6, 0.6, 2, 0), (50, 50, 4, 0.5, 0, 1)):
        U, V = (np.linalg.qr(rng.normal(size=(side, n)))[0] for side in (n, m))
        s = 4 * 0.8 ** np.arange(n)
        W0, W1 = U * s @ V.T, (U * np.where(np.arange(n) == n - 2, 9.0, s)) @ V.T
        for i in range(left):
            u = rng.normal(size=n)
            W1 = W1 + (12 + 3 * i) * np.outer(u / np.linalg.norm(u), V[:, n - 5 - i])
        for i in range(right):
            v = rng.normal(size=m)
            W1 = W1 + (20 + 3 * i) * np.outer(U[:, i], v / np.linalg.norm(v))
        pairs.append((W0, W1, k, threshold))
    return pairs


@exercise(
    "x7-intruders",
    hint="Compute all cosines at once: the k leading columns of U after, transposed, times all columns of U before. "
    "A sign of a singular vector means nothing.",
    why="The count says how many directions are new. It becomes a finding beside the count that noise gives.",
    wrong=[
        _signed,
        lambda W0, W1, k, threshold: int(np.sum(_cosines(W0.T, W1.T, k).max(axis=1) < threshold)),
        lambda W0, W1, k, threshold: int(np.sum(_cosines(W0, W1, k)[:, :k].max(axis=1) < threshold)),
        lambda W0, W1, k, threshold: k - _intruders(W0, W1, k, threshold),
        lambda W0, W1, k, threshold: int(np.sum(_cosines(W0, W1, k).mean(axis=1) < threshold)),
        lambda W0, W1, k, threshold: int(np.sum(_cosines(W0, W1, k).min(axis=1) < threshold)),
        lambda W0, W1, k, threshold: int(np.sum(_cosines(W0, W1, k) < threshold)),
        lambda W0, W1, k, threshold: int(np.sum(_cosines(W0, W1, k).max(axis=0) < threshold)),
        lambda W0, W1, k, threshold: int(np.sum(np.diag(_cosines(W0, W1, k)[:, :k]) < threshold)),
        lambda W0, W1, k, threshold: _intruders(W0, W1, len(W0), threshold),
        lambda W0, W1, k, threshold: _cosines(W0, W1, k).max(axis=1) < threshold,
        lambda W0, W1, k, threshold: 1,
        lambda W0, W1, k: 0,
        1,
    ],
    right=[
        _intruders,
        _one_by_one,
        lambda W0, W1, k, threshold: len([c for c in _cosines(W0, W1, k) if max(c) < threshold]),
        lambda a, b, k, t: np.count_nonzero((_cosines(a, b, k) ** 2).max(axis=1) < t**2),
        lambda *args: float(_intruders(*args)),
        lambda W0, W1, k, t: k - np.sum(np.any(_cosines(W0, W1, k) >= t, axis=1)),
    ],
)
def intruders(answer: Any) -> str | None:
    """How many leading left singular vectors are new, as a function."""
    mistakes = {
        "the signs of singular vectors are free: take absolute cosines": _signed,
        "these are the right singular vectors": lambda W0, W1, k, threshold: int(
            np.sum(_cosines(W0.T, W1.T, k).max(axis=1) < threshold)
        ),
        "a direction that was there before, but not among the leading ones, counts as new": (
            lambda W0, W1, k, threshold: int(np.sum(_cosines(W0, W1, k)[:, :k].max(axis=1) < threshold))
        ),
        "these are the directions that were there before": lambda W0, W1, k, threshold: (
            k - _intruders(W0, W1, k, threshold)
        ),
    }
    return agrees(answer, _intruders, _wide_pairs(), mistakes=mistakes)


question(
    "x7-full-rank",
    "What a change of full rank shows",
    points=[
        "the share of the change in its leading directions, not the rank alone",
        "a second run with other batches: which directions do both share?",
        "a run of as many steps on the old task, which has full rank, too",
    ],
)

question(
    "x7-two-methods",
    "Which controls a comparison of intruders needs",
    points=[
        "noise of the same norm as each change, since a larger change turns vectors further",
        "several seeds for each method",
        "the same task and a comparable loss, and a task that needs nothing new",
    ],
)
