"""Exercises of notebook 00, a first look at a layer beside noise."""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import atlas
from ..bulk import fit_bulk
from ..ensembles.matrices import gaussian, orthogonal, shuffled, student_t, uniform
from ..laws.marchenko_pastur import MarchenkoPastur
from ..spectrum import Spectrum
from . import exercise, prediction, question
from .answers import Array, agrees, array, close, holds, near, number


@prediction(
    "00-largest",
    options=None,
    why="With the same sum of squares, training has given more of it to a few directions.",
)
def largest(ratio: float) -> float:
    """The largest singular value of the layer over that of noise."""
    return ratio


def _other(seed: int = 1) -> np.random.Generator:
    """A generator of its own."""
    return np.random.default_rng(seed)


@exercise(
    "00-same-noise",
    hint="rng.normal takes a mean, a standard deviation and a shape. Which of the three come from W?",
    why="It has the shape and the variance of the matrix, and nothing else of it.",
    wrong=[
        lambda W, rng: rng.normal(0, 1, W.shape),
        lambda W, rng: rng.normal(0, W.var(), W.shape),
        lambda W, rng: rng.normal(0, W.std(), W.shape[::-1]),
        lambda W, rng: rng.normal(0, np.abs(W).max(), W.shape),
        lambda W, rng: rng.normal(0, np.abs(W).mean(), W.shape),
        lambda W, rng: rng.normal(W.std(), W.std(), W.shape),
        lambda W, rng: rng.uniform(-1, 1, W.shape) * 3**0.5 * W.std(),
        lambda W, rng: rng.choice([-1, 1], W.shape) * W.std(),
        lambda W, rng: shuffled(W, rng),
        lambda W, rng: np.abs(rng.normal(0, W.std(), W.shape)),
        lambda W, rng: np.sort(rng.normal(0, W.std(), W.shape), axis=1),
        lambda W, rng: np.outer(np.ones(len(W)), rng.normal(0, W.std(), W.shape[1])),
        lambda W, rng: (W + rng.normal(0, W.std(), W.shape)) / 2**0.5,
        lambda W, rng: _other().normal(0, W.std(), W.shape),
        lambda W, rng: np.random.default_rng().normal(0, W.std(), W.shape),
        lambda W, rng: rng.normal(0, W.std()),
        lambda W, rng: W,
        lambda W: W,
        "a normal matrix",
    ],
    right=[
        lambda W, rng: rng.normal(0, W.std(), W.shape),
        lambda W, rng: rng.standard_normal(W.shape) * np.sqrt(np.mean(W**2)),
        lambda W, rng: gaussian(len(W), len(W.T), W.std(), rng),
        lambda W, rng: [[rng.normal() * W.std() for _ in row] for row in W],
        lambda W, rng: rng.normal(size=W.T.shape).T * np.linalg.norm(W) / W.size**0.5,
        lambda W, rng: rng.normal(0, W.std(ddof=1), W.shape).astype(np.float32),
        lambda W, rng: _of_norm(rng.normal(size=W.shape), np.linalg.norm(W)),
    ],
)
def same_noise(answer: Any) -> str | None:
    """A Gaussian matrix of the same shape and variance as W."""
    rng = np.random.default_rng(7)
    matrices = [0.05 * student_t(120, 60, mu=5, rng=rng), uniform(50, 200, 3.0, rng), 7 * orthogonal(80, 80, rng)]
    inputs = [(W, _other(seed)) for W in matrices for seed in (3, 4)]
    properties = {
        "the result does not have the shape of W": lambda args, result: np.shape(result) == args[0].shape,
        "the entries are not centred: their mean is too far from 0": _is_centred,
        "the variance of the result is not that of W": _has_variance,
        "the result still knows the entries of W": _is_new,
        "the entries are not Gaussian: their histogram is too flat or too wide": _is_normal,
        "the entries are not independent: the spectrum is not that of noise": _is_noise,
    }
    together = {
        "two generators give the same matrix: are the numbers drawn from rng?": lambda results: (
            not np.array_equal(results[0], results[1])
        ),
        "equal generators give different matrices: are the numbers drawn from rng?": lambda results: np.array_equal(
            results[0], results[-1]
        ),
    }
    return holds(answer, ["W", "rng"], [*inputs, inputs[0]], properties, together)


def _of_norm(W: Array, norm: Any) -> Array:
    return W * (norm / np.linalg.norm(W))


def _is_centred(args: tuple[Any, ...], result: Any) -> bool:
    W = args[0]
    return bool(abs(array(result).mean()) < 6 * W.std() / W.size**0.5)


def _has_variance(args: tuple[Any, ...], result: Any) -> bool:
    """Within six standard errors of a normal sample."""
    W = args[0]
    return close(array(result).std(), W.std(), rtol=6 / (2 * W.size) ** 0.5)


def _is_new(args: tuple[Any, ...], result: Any) -> bool:
    W, x = args[0], array(result)
    return not np.isin(x, W).any() and abs(np.corrcoef(x.ravel(), W.ravel())[0, 1]) < 6 / W.size**0.5


def _is_normal(args: tuple[Any, ...], result: Any) -> bool:
    """By the fourth moment, within six standard errors."""
    x = array(result)
    z = (x - x.mean()) / x.std()
    return bool(abs(np.mean(z**4) - 3) < 6 * (24 / x.size) ** 0.5)


def _is_noise(args: tuple[Any, ...], result: Any) -> bool:
    """By the distribution of the eigenvalues: noise strays by about 1/M."""
    s = Spectrum.from_matrix(array(result))
    law = MarchenkoPastur(s.Q, s.entry_std)
    steps = (np.arange(s.M) + 0.5) / s.M
    return bool(np.abs(law.cdf(s.eigenvalues) - steps).max() < 4 / s.M)


@exercise(
    "00-share-beyond",
    hint="The cell above counts for block 3. Load the other block, and divide its count by its M.",
    why="Variance-matched noise has none there. Block 0 has fewer than block 3, and still many.",
    wrong=[32 / 384, 25, 6.51, 25 / 1536, 72 / 384, 52 / 384, 1 - 25 / 384, 0.39, 0, "25 of 384", "block 0", (25, 384)],
    right=[25 / 384, [25 / 384], np.array([25 / 384]), np.float32(25 / 384), 0.065, np.array([[0.0651]]), (25 / 384,)],
)
def share_beyond(answer: Any) -> str | None:
    """The share of the singular values of block 0 that lie beyond its noise."""
    x, (right, M, fitted) = number(answer), _beyond("block 0 feed-forward in")
    if close(x, _beyond("block 3 feed-forward in")[0]):
        return "that is block 3, not block 0"
    if close(x, right * M):
        return "that is their number, and a share between 0 and 1 is asked for"
    if close(x / 100, right):
        return "that is in percent, and a share between 0 and 1 is asked for"
    if close(x, 1 - right):
        return "that is the share of the others"
    if close(x, fitted):
        return "that is num_spikes, which counts beyond the edge of another noise; see num_spikes_first"
    if not 0 <= x <= 1:
        return f"{x:.4g} is not a share: a share lies between 0 and 1"
    return near(x, right)


def _beyond(layer: str) -> tuple[float, int, float]:
    """The share beyond variance-matched noise in a layer of MiniLM, its M, and the share beyond the fitted bulk."""
    spectrum = atlas.load("minilm")[layer].spectrum
    bulk = fit_bulk(spectrum)
    return bulk.num_spikes_first / spectrum.M, spectrum.M, bulk.num_spikes / spectrum.M


@prediction(
    "00-one-large-weight",
    options=["it stays", "it falls back to the edge"],
    why="Shuffling moves the weights and keeps their sizes, and one huge weight makes one huge singular value.",
)
def one_large_weight(largest: float) -> str:
    """The largest singular value of noise with one weight of 80, after a shuffle."""
    return "it stays" if largest > 80 else "it falls back to the edge"


question(
    "00-compared-to-what",
    "What two comparisons say about one layer",
    points=[
        "Gaussian noise of the same shape and variance: the layer is not independent Gaussian noise of that variance",
        "entries shuffled: what disappears does not come from the sizes of single weights",
        "neither of the two says that the network has learnt something useful",
    ],
)


def _eigenvalues(W: Array) -> Array:
    return Spectrum.from_matrix(W, method="svd").eigenvalues


def _tall(W: Array) -> Array:
    return W if W.shape[0] >= W.shape[1] else W.T


def _singular_values(W: Array) -> Array:
    return np.asarray(np.linalg.svd(W, compute_uv=False))


@exercise(
    "00-eigenvalues",
    hint="Make the matrix tall, multiply its transpose with it, divide by the number of rows, and take eigvalsh.",
    why="It agrees with the library on tall, wide and square matrices.",
    wrong=[
        lambda W: np.linalg.eigvalsh(W.T @ W / W.shape[0]),
        lambda W: np.linalg.eigvalsh(W @ W.T / W.shape[1]),
        lambda W: np.linalg.eigvalsh(_tall(W).T @ _tall(W)),
        lambda W: np.linalg.eigvalsh(_tall(W).T @ _tall(W) / min(W.shape)),
        lambda W: np.linalg.eigvalsh(_tall(W).T @ _tall(W) / W.size),
        lambda W: np.linalg.eigvalsh(_tall(W) @ _tall(W).T / max(W.shape)),
        lambda W: _singular_values(W)[::-1],
        lambda W: _singular_values(W)[::-1] ** 2,
        lambda W: _eigenvalues(W)[::-1],
        lambda W: _eigenvalues(W).max(),
        lambda W: np.linalg.eigvals(W),
        lambda: np.ones(3),
        np.ones((3, 2)),
    ],
    right=[
        lambda W: np.linalg.eigvalsh(_tall(W).T @ _tall(W) / max(W.shape)),
        lambda W: _singular_values(W)[::-1] ** 2 / max(W.shape),
        lambda W: list(np.sort(_singular_values(W) ** 2) / max(W.shape)),
        lambda W: np.sort(np.linalg.eigvals(_tall(W).T @ _tall(W)).real) / max(W.shape),
        lambda W: np.linalg.eigvalsh(W @ W.T)[-min(W.shape) :] / max(W.shape),
        lambda W: Spectrum.from_matrix(W).eigenvalues,
    ],
)
def eigenvalues(answer: Any) -> str | None:
    """Eigenvalues of X = WᵀW / N, for a matrix of any shape."""
    rng = np.random.default_rng(101)
    inputs = [(rng.normal(size=shape),) for shape in ((5, 3), (2, 6), (4, 4), (40, 30))]
    mistakes = {
        "these are singular values, and eigenvalues are asked for": lambda W: np.sqrt(_eigenvalues(W) * max(W.shape)),
        "the product is not divided by N": lambda W: _eigenvalues(W) * max(W.shape),
        "the product is divided by the smaller side": lambda W: _eigenvalues(W) * max(W.shape) / min(W.shape),
        "the eigenvalues are in descending order": lambda W: _eigenvalues(W)[::-1],
    }
    return agrees(answer, _eigenvalues, inputs, rtol=1e-6, atol=1e-9, mistakes=mistakes)


@prediction(
    "00-count",
    options=["about 16", "about 5", "about 1"],
    why="Eigenvalues are not independent: where one is, the others keep their distance.",
)
def count(deviation: float) -> str:
    """Standard deviation of the number of 1000 eigenvalues below 0.75."""
    return min(("about 16", "about 5", "about 1"), key=lambda option: abs(np.log(deviation / float(option[6:]))))


question(
    "00-two-things",
    "Repulsion and rigidity are two things",
    points=[
        "repulsion is about neighbours: small spacings are rare",
        "rigidity is about many levels: the count in a long interval hardly varies",
        "the same spacings in random order keep the first and lose the second",
    ],
)
