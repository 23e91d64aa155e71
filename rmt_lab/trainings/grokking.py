"""Recorded trainings on modular addition, which grok: with accuracies, traps, singular vectors and some weights.

They are small perceptrons, trained by ``scripts/train_grokking.py`` far beyond the step at which they generalise.
Each is one .npz file as those of :mod:`rmt_lab.trainings.training`, and holds more: see :class:`GrokkingTraining`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from scipy.special import logsumexp

from .._arrays import Array, Matrix
from .._files import read_record, shipped_folder, shipped_names
from ..atlas import AtlasModel, Layer
from ..spectrum import Spectrum
from . import training
from .training import Training, figures

_FORMAT = 1


class Evaluation(NamedTuple):
    """Losses and accuracies of a net on the pairs that it was trained on, and on the others."""

    train_loss: float
    test_loss: float
    train_accuracy: float
    test_accuracy: float


@dataclass(frozen=True, eq=False, repr=False)
class GrokkingTraining(Training):
    """A training on a + b mod p; made by :func:`load`.

    Attributes
    ----------
    name, steps, record
        As :class:`rmt_lab.trainings.Training` has them.
    train_loss, test_loss : array of shape (len(steps),)
        Mean over the pairs that are seen and over the others: cross entropy in nats, or the squared error of all
        outputs together; ``record["run"]["loss"]`` says which.
    train_accuracy, test_accuracy : array of shape (len(steps),)
    curve : array of shape (n, 3)
        Step, training accuracy and test accuracy, at many more steps.
    traps : DataFrame
        What :func:`rmt_lab.find_traps` found in every layer at every step, one row for each: ``step, layer, cause, row,
        column, size, strength, p_value, share, ipr_left, ipr_right, left``; ``share`` is that of the shuffles of
        entries.
    weight_steps : tuple of int
        Steps of which the weights were kept.
    """

    train_accuracy: Array = field(default_factory=lambda: np.empty(0))
    test_accuracy: Array = field(default_factory=lambda: np.empty(0))
    curve: Array = field(default_factory=lambda: np.empty((0, 3)))
    traps: pd.DataFrame = field(default_factory=pd.DataFrame)
    weight_steps: tuple[int, ...] = ()
    _arrays: Mapping[str, Matrix] = field(default_factory=dict)

    def learning_rate(self, step: int) -> float:
        """The learning rate, which is the same at every step.

        Raises
        ------
        ValueError
            If the step lies before the training or after it.
        """
        if not 0 <= step <= self.record["run"]["steps"]:
            raise ValueError(f"step={step!r}; {self.name} has the steps 0 to {self.record['run']['steps']}")
        return float(self.record["run"]["lr"])

    def weights(self, step: int) -> dict[str, Matrix]:
        """The weights at one of ``weight_steps``, which were rounded to half precision; float32.

        ``embedding`` (p, d), ``hidden`` (h, 2 d) and ``output`` (p, h).

        Raises
        ------
        ValueError
            If they were not kept; the message names the steps.

        Examples
        --------
        >>> run = load("grokking")
        >>> {name: W.shape for name, W in run.weights(run.weight_steps[-1]).items()}
        {'embedding': (59, 64), 'hidden': (128, 128), 'output': (59, 128)}
        """
        if step not in self.weight_steps:
            raise ValueError(f"step={step!r}; weights were kept at {', '.join(map(str, self.weight_steps))}")
        row = self._arrays["weights"][self.weight_steps.index(step)].astype(np.float32)
        shapes = self.record["shapes"]
        ends = np.cumsum([rows * columns for rows, columns in shapes.values()])[:-1]
        return {name: part.reshape(shapes[name]) for name, part in zip(shapes, np.split(row, ends), strict=True)}

    def vectors(self, step: int, layer: str) -> tuple[Matrix, Matrix]:
        """The largest singular vectors of a layer, left (rows, k) and right (columns, k), largest first; rounded.

        Raises
        ------
        ValueError
            If nothing was recorded at that step, or there is no such layer.

        Examples
        --------
        >>> U, V = load("grokking").vectors(0, "output")
        >>> U.shape, V.shape
        ((59, 2), (128, 2))
        """
        shapes = self.record["shapes"]
        if step not in self.steps or layer not in shapes:
            raise ValueError(f"step={step!r}, layer={layer!r}; steps are {self.steps}, layers {', '.join(shapes)}")
        k = self.record["vectors"]
        sizes = [rows + columns for rows, columns in shapes.values()]
        start = k * sum(sizes[: list(shapes).index(layer)])
        rows, columns = shapes[layer]
        row = self._arrays["vectors"][self.steps.index(step)][start : start + k * (rows + columns)].astype(np.float32)
        return row[: k * rows].reshape(rows, k), row[k * rows :].reshape(columns, k)

    def evaluate(self, weights: Mapping[str, Any]) -> Evaluation:
        """Losses and accuracies of a net of this architecture, whatever its weights: those of a step, or changed ones.

        The output is output relu(hidden (embedding_a, embedding_b)). No torch is needed.

        Examples
        --------
        >>> run = load("grokking")
        >>> weights = run.weights(run.weight_steps[-1])
        >>> run.evaluate(weights).test_accuracy
        1.0
        >>> run.evaluate(weights | {"hidden": 0 * weights["hidden"]}).test_loss  # guessing costs ln 59
        4.07753744390572
        """
        E, H, O = (np.asarray(weights[name], dtype=np.float64) for name in self.record["shapes"])
        p, d = E.shape
        a, b = np.divmod(self._arrays["pairs"].astype(int), p)
        first, second = E @ H[:, :d].T, E @ H[:, d:].T
        out, y = np.maximum(first[a] + second[b], 0) @ O.T, (a + b) % p
        right = out.argmax(axis=1) == y
        if self.record["run"]["loss"] == "cross entropy":
            loss = logsumexp(out, axis=1) - out[np.arange(len(y)), y]
        else:
            loss = np.square(out - np.eye(p)[y]).sum(axis=1)
        n = self.record["seen"]
        return Evaluation(*(float(x.mean()) for x in (loss[:n], loss[n:], right[:n], right[n:])))


def names() -> list[str]:
    """Names of the recorded trainings that grok.

    Examples
    --------
    >>> "grokking" in names()
    True
    """
    return shipped_names("grokking")


def load(name: str) -> Training:
    """A recorded training: of a language model, or one that groks.

    Parameters
    ----------
    name : str
        One of :func:`rmt_lab.trainings.names`, or ``"grokking"``, ``"switched_off"``,
        ``"without_trap"``, ``"wide_loss"``, ``"no_decay"`` or ``"memorising"``, which docs/traps.md tells of.

    Returns
    -------
    Training
        A :class:`GrokkingTraining` for the latter six.

    Raises
    ------
    ValueError
        If there is no such training, or its file is not as it was written.

    Examples
    --------
    >>> load("little")
    Training('little': steps 0 .. 2400, 25 of them recorded)
    >>> run = load("grokking")
    >>> run.train_accuracy[[0, -1]].round(2), run.test_accuracy[[0, -1]].round(2)
    (array([0.02, 1.  ]), array([0.01, 1.  ]))
    >>> run.at(0)["hidden"].spectrum
    Spectrum('hidden', N=128, M=128, Q=1, rank=128, lambda_max=0.03095)
    """
    if name in training.names():
        return training.load(name)
    if name not in names():
        raise ValueError(f"name={name!r}; recorded trainings are {', '.join([*training.names(), *names()])}")
    path = shipped_folder("grokking") / f"{name}.npz"
    try:
        return _read(name, path.read_bytes())
    except Exception as error:
        raise ValueError(f"training {name!r} ({path}) cannot be read: {error}") from error


def _read(name: str, data: bytes) -> GrokkingTraining:
    record, arrays = read_record(data, _FORMAT)
    steps, values, losses = figures(record, arrays, sum(map(min, record["shapes"].values())))
    found = record.pop("traps")
    models = []
    for step, row in zip(steps.tolist(), values, strict=True):
        layers, start = [], 0
        for i, (layer, shape) in enumerate(record["shapes"].items()):
            N, M = max(shape), min(shape)
            spectrum = Spectrum(row[start : start + M], N, M, name=layer)
            start += M
            layers.append(Layer(i, layer, layer, "spectrum", spectrum, init_std=shape[1] ** -0.5))
        models.append(AtlasModel(f"{name}, step {step}", tuple(layers), {"training": f"{name}, step {step}"} | record))
    train_accuracy, test_accuracy, curve = (
        arrays[x].astype(np.float64) for x in ("train_accuracy", "test_accuracy", "curve")
    )
    return GrokkingTraining(
        name=name,
        steps=tuple(steps.tolist()),
        train_loss=losses[0].astype(np.float64),
        test_loss=losses[1].astype(np.float64),
        record=record,
        _models=tuple(models),
        train_accuracy=train_accuracy,
        test_accuracy=test_accuracy,
        curve=curve,
        traps=pd.DataFrame(found, columns=record["trap_columns"]),
        weight_steps=tuple(arrays["weight_steps"].tolist()),
        _arrays=arrays,
    )
