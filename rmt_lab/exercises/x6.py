"""Exercises of notebook x6, updates of low rank."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from ..laws.spiked import spike_threshold
from ..spectrum import Spectrum, rounding_edge
from . import exercise, prediction, question
from .answers import agrees, close, near, number

Weights = npt.NDArray[Any]
_RANK, _SIDE = 8, 384  # of the update, and the smaller side of the layer


def _visible(strengths: Any, N: int, M: int, sigma: float) -> int:
    return int(np.sum(np.asarray(strengths) > spike_threshold(N, M, sigma)))


def _one_by_one(strengths: Any, N: int, M: int, sigma: float) -> int:
    seen = 0
    for theta in strengths:
        seen += theta**4 > sigma**4 * N * M
    return int(seen)


@exercise(
    "x6-visible",
    hint="One direction shows where its strength is above sigma (N M)^(1/4). Count these directions.",
    why="Only the strengths count, and the entries of the update may be far smaller than those of the layer.",
    wrong=[
        lambda strengths, N, M, sigma: _visible(strengths, N, N, sigma),
        lambda strengths, N, M, sigma: _visible(strengths, M, M, sigma),
        lambda strengths, N, M, sigma: _visible(strengths, N, M, 1.0),
        lambda strengths, N, M, sigma: int(np.sum(np.asarray(strengths) > sigma * (np.sqrt(N) + np.sqrt(M)))),
        lambda strengths, N, M, sigma: int(np.sum(np.asarray(strengths) > sigma * (N * M) ** 0.5)),
        lambda strengths, N, M, sigma: int(np.sum(np.asarray(strengths) > sigma)),
        lambda strengths, N, M, sigma: int(np.sum(np.asarray(strengths) < spike_threshold(N, M, sigma))),
        lambda strengths, N, M, sigma: len(strengths),
        lambda strengths, N, M, sigma: np.asarray(strengths) > spike_threshold(N, M, sigma),
        lambda strengths, N, M, sigma: float(np.mean(np.asarray(strengths) > spike_threshold(N, M, sigma))),
        lambda strengths, N, M: 3,
        3,
    ],
    right=[
        _visible,
        _one_by_one,
        lambda s, N, M, sigma: len([x for x in s if x > sigma * (N * M) ** 0.25]),
        lambda s, N, M, sigma: np.count_nonzero(np.array(s) / sigma > np.sqrt(np.sqrt(N * M))),
        lambda *args: float(_visible(*args)),
        lambda s, N, M, sigma: np.array(_visible(s, N, M, sigma)),
    ],
)
def visible(answer: Any) -> str | None:
    """How many directions of an update leave the noise, as a function."""
    rng = np.random.default_rng(60)
    inputs = []
    for N, M, sigma in ((1536, 384, 0.02), (768, 768, 0.02), (400, 100, 1.0), (4096, 64, 0.5)):
        inputs.append((rng.uniform(0.1, 4, 12) * spike_threshold(N, M, sigma), N, M, sigma))
    inputs.append((np.array([0.01, 0.02]), 300, 200, 1.0))
    mistakes = {
        "the edge of the noise is not the threshold: a signal below the edge may show": (
            lambda strengths, N, M, sigma: int(np.sum(strengths > sigma * (np.sqrt(N) + np.sqrt(M))))
        ),
        "sigma plays no part": lambda strengths, N, M, sigma: _visible(strengths, N, M, 1.0),
        "these are the directions that do not show": lambda strengths, N, M, sigma: (
            len(strengths) - _visible(strengths, N, M, sigma)
        ),
        "one of the two sides plays no part": lambda strengths, N, M, sigma: _visible(strengths, N, N, sigma),
    }
    return agrees(answer, _visible, inputs, mistakes=mistakes)


@exercise(
    "x6-moved",
    hint="At most 8 singular values cross any x. How many are there?",
    why="8 of 384. All tests that compare whole distributions hardly see such an update.",
    wrong=[8, 384 / 8, 384, 16 / 384, 8 / 1536, 0, 1, 0.25, 0.02 * 100, 7 / 384, -8 / 384, "all"],
    right=[_RANK / _SIDE, 1 / 48, [1 / 48], np.array([1 / 48]), 0.0208, np.float32(1 / 48)],
)
def moved(answer: Any) -> str | None:
    """The most by which an update of rank 8 moves a distribution function of 384 values."""
    x = number(answer)
    if close(x, _RANK):
        return "that is how many values cross at most; the fraction is asked for"
    if close(x, _RANK / 1536):
        return "a 1536 x 384 matrix has fewer singular values than rows"
    if close(x, 100 * _RANK / _SIDE):
        return "that is in percent, and a fraction is asked for"
    return near(x, _RANK / _SIDE, rtol=5e-3)


@prediction(
    "x6-alpha",
    options=["above 6", "from 4 to 6", "below 4"],
    why="The tail that the fit chooses reaches from the eight spikes down into the bulk of noise.",
)
def alpha_of_noise(alpha: float) -> str:
    """The raw alpha of noise after an update of rank 8."""
    return "below 4" if alpha < 4 else "from 4 to 6" if alpha <= 6 else "above 6"


@prediction(
    "x6-rank",
    options=["8", "between 8 and 384", "384"],
    why="Each weight was rounded on its own, and these errors are a matrix of noise of full rank.",
)
def rank_of_difference(rank: float) -> str:
    """The rank of the difference of two matrices that are stored in float16."""
    return "8" if rank <= _RANK else "384" if rank >= _SIDE else "between 8 and 384"


def _update_rank(W: Weights, W0: Weights) -> int:
    difference = W.astype(np.float64) - W0.astype(np.float64)
    return Spectrum.from_matrix(difference, method="svd").rank_above(rounding_edge(W, "float16"))


def _float16_pairs() -> list[tuple[Weights, Weights]]:
    """Layers of float16 before and after updates of rank 0 to 5, of strengths on either side of the rounding."""
    rng = np.random.default_rng(61)
    pairs = []
    for N, M, rank in ((96, 48, 3), (40, 90, 1), (64, 64, 5), (80, 40, 0), (120, 60, 2)):
        W0 = rng.normal(scale=0.02, size=(N, M)).astype(np.float16)
        left, right = (np.linalg.qr(rng.normal(size=(side, rank)))[0] for side in (N, M))
        edge = rounding_edge(W0)
        update = (left * edge * rng.uniform(3, 40, rank)) @ right.T
        pairs.append(((W0 + update).astype(np.float16), W0))
    pairs.append((pairs[0][1], pairs[0][1]))
    return pairs


def _single(W: Weights, W0: Weights) -> Weights:
    return W.astype(np.float64) - W0


@exercise(
    "x6-update-rank",
    hint="Take the difference in float64. rounding_edge(W) is the largest singular value that the rounding of W alone "
    "would give. Count the singular values of the difference above it.",
    why="What lies above the rounding edge was there before the rounding.",
    wrong=[
        lambda W, W0: int(np.linalg.matrix_rank(_single(W, W0))),
        lambda W, W0: Spectrum.from_matrix(_single(W, W0)).rank,
        lambda W, W0: min(W.shape),
        lambda W, W0: Spectrum.from_matrix(W).stored_rank,
        lambda W, W0: Spectrum.from_matrix(W).stored_rank - Spectrum.from_matrix(W0).stored_rank,
        lambda W, W0: Spectrum.from_matrix(_single(W, W0)).rank_above(rounding_edge(W, "float64")),
        lambda W, W0: Spectrum.from_matrix(_single(W, W0)).rank_above(rounding_edge(W, "bfloat16") * 8),
        lambda W, W0: Spectrum.from_matrix(W).rank_above(rounding_edge(W)),
        lambda W, W0: 8,
        lambda W, W0: _single(W, W0),
        lambda W: 8,
        8,
    ],
    right=[
        _update_rank,
        lambda W, W0: np.linalg.matrix_rank(_single(W, W0), tol=rounding_edge(W)),
        lambda W, W0: int((np.linalg.svd(_single(W, W0), compute_uv=False) > rounding_edge(W)).sum()),
        lambda a, b: Spectrum.from_matrix(np.float64(a) - np.float64(b)).rank_above(rounding_edge(a)),
        lambda W, W0: float(_update_rank(W, W0)),
        lambda W, W0: _update_rank(W.T, W0.T),
    ],
)
def update_rank(answer: Any) -> str | None:
    """The rank of an update between two layers of float16, as a function."""
    mistakes = {
        "rounding is counted too: it gives every singular value a size above zero": lambda W, W0: (
            Spectrum.from_matrix(_single(W, W0)).rank
        ),
        "that is the rank of the layer, and the rank of the update is asked for": lambda W, W0: Spectrum.from_matrix(
            W
        ).rank_above(rounding_edge(W)),
    }
    return agrees(answer, _update_rank, _float16_pairs(), mistakes=mistakes)


@exercise(
    "x6-bfloat16",
    hint="The last bit of the mantissa has the size 2^-10 in float16, and 2^-7 in bfloat16.",
    why="Each bit of the mantissa halves the rounding edge, and three are missing.",
    wrong=[3, 1 / 8, 2, 4, 16, 10 / 7, 7, 10, 2**7, 2**10, "three bits", -8],
    right=[8, 8.0, 2**3, [8], np.array([8]), np.float16(8), 2**10 / 2**7],
)
def bfloat16(answer: Any) -> str | None:
    """How many times stronger an update must be to be seen in bfloat16."""
    x = number(answer)
    if close(x, 3):
        return "that is how many bits are missing; what does each bit change?"
    if close(x, 1 / 8):
        return "the fraction is upside down: bfloat16 is coarser"
    return near(x, 8, rtol=0.05)


question(
    "x6-two-alphas",
    "What a change of alpha after fine-tuning shows",
    points=[
        "the alpha of the same layer plus random updates of the same strengths, several draws",
        "whether the change lies outside of what these draws give",
        "that few directions can change alpha: the number of spikes and their strengths say more",
    ],
)

question(
    "x6-adapter",
    "How you would look for a low-rank update in two checkpoints",
    points=[
        "the difference of the two, in float64, not the merged weights alone",
        "the precision in which both were stored, and its rounding edge",
        "a null: what the same procedure says where nothing was updated",
    ],
)
