"""Recorded trainings: the spectra and losses of small GPT-2 models, step by step, that ship with the package.

All were trained by ``scripts/train_tiny_gpt.py`` on the source of Python's standard library, byte by byte, and differ
in one thing each: ``little`` saw 1 % of the text over and over, ``much`` all of it, ``small_batch`` all of it in
batches a quarter as large. A training is one .npz file: its losses, the singular values of every matrix at about 25
steps, rounded to 12 bits (a relative 1.2e-4), and a JSON record of how it was made. Weights were not kept.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from ._files import read_record, shipped_folder, shipped_names
from ._repr import html_table
from .atlas import AtlasModel, Layer
from .spectrum import Spectrum
from .weights.roles import short_name

_FORMAT = 1


@dataclass(frozen=True, eq=False, repr=False)
class Training:
    """A training: at which steps it was looked at, the losses there, and the spectra by :meth:`at`.

    Attributes
    ----------
    name : str
    steps : tuple of int
        Updates made so far, ascending from 0, the initialisation.
    train_loss, test_loss : array of shape (len(steps),)
        Mean loss in nats a byte on 64 windows of the training text and of held-out text. Guessing costs ln 256 = 5.55.
    record : dict
        How it was made: ``run`` (batch, steps, seed ...), ``config``, ``bytes_of_text`` and ``bytes_seen``,
        ``text_sha256``, ``values_sha256``, ``versions``, ``minutes``.
    """

    name: str
    steps: tuple[int, ...]
    train_loss: npt.NDArray[np.float64]
    test_loss: npt.NDArray[np.float64]
    record: dict[str, Any]
    _models: tuple[AtlasModel, ...] = field(default=())

    def at(self, step: int) -> AtlasModel:
        """The model at a recorded step, as :func:`rmt_lab.atlas.load` gives one; query, key and value stand apart.

        Its layers have ``shuffled = None``, because weights were not kept; ``at(0)`` is what training started from.

        Raises
        ------
        ValueError
            If nothing was recorded at that step; the message names the steps.

        Examples
        --------
        >>> model = load("little").at(2400)
        >>> model["block 3 query"].spectrum
        Spectrum('block 3 query', N=256, M=256, Q=1, rank=256, lambda_max=0.01671)
        """
        if step not in self.steps:
            raise ValueError(f"step={step!r}; {self.name} was recorded at {', '.join(map(str, self.steps))}")
        return self._models[self.steps.index(step)]

    def learning_rate(self, step: int) -> float:
        """The learning rate of the update after ``step`` updates: a warm-up times a cosine down to a tenth.

        lr min(1, (step + 1) / warmup) (0.55 + 0.45 cos(pi step / steps)), with lr, warmup and steps from
        ``record["run"]``. Runs with another number of steps have another rate at the same step. At the
        last step it is the end of the curve, with which no update was made.

        Raises
        ------
        ValueError
            If the step lies before the training or after it.

        Examples
        --------
        >>> f"{load('much').learning_rate(2400):.5f}, {load('small_batch').learning_rate(2400):.5f}"
        '0.00010, 0.00087'
        """
        run = self.record["run"]
        if not 0 <= step <= run["steps"]:
            raise ValueError(f"step={step!r}; {self.name} has the steps 0 to {run['steps']}")
        warm = min(1.0, (step + 1) / run["warmup"])
        return float(run["lr"] * warm * (0.55 + 0.45 * np.cos(np.pi * step / run["steps"])))

    def __repr__(self) -> str:
        return f"Training({self.name!r}: steps 0 .. {self.steps[-1]}, {len(self.steps)} of them recorded)"

    def _repr_html_(self) -> str:
        train, test = self.train_loss, self.test_loss
        facts = {
            "recorded steps": ", ".join(map(str, self.steps)),
            "loss on training text": f"{train[0]:.3f} → {train[-1]:.3f}",
            "loss on held-out text": f"{test[0]:.3f} → {test[-1]:.3f}, best {test.min():.3f}",
        }
        return html_table(f"Training: {self.name}", facts | {k: str(v) for k, v in self.record.items()})


def names() -> list[str]:
    """Names of the recorded trainings.

    Examples
    --------
    >>> "little" in names()
    True
    """
    return shipped_names("trainings")


def load(name: str) -> Training:
    """A recorded training.

    Parameters
    ----------
    name : str
        One of :func:`names`.

    Raises
    ------
    ValueError
        If there is no such training, or its file is not as it was written.

    Examples
    --------
    >>> training = load("little")
    >>> training
    Training('little': steps 0 .. 2400, 25 of them recorded)
    >>> training.test_loss[[0, -1]].round(2), training.test_loss.min().round(2)
    (array([5.31, 3.52]), np.float64(2.27))
    >>> from rmt_lab import analyze
    >>> analyze(training.at(2400), layers=["query"]).shape[0]
    6
    """
    if name not in names():
        raise ValueError(f"name={name!r}; recorded trainings are {', '.join(names())}")
    path = shipped_folder("trainings") / f"{name}.npz"
    try:
        return _read(name, path.read_bytes())
    except Exception as error:
        raise ValueError(f"training {name!r} ({path}) cannot be read: {error}") from error


def checksum(steps: Any, singular_values: Any, train_loss: Any, test_loss: Any) -> str:
    """SHA-256 of all figures of a training, in the types in which the file keeps them."""
    arrays = (np.asarray(steps, "<i8"), *(np.asarray(x, "<f4") for x in (singular_values, train_loss, test_loss)))
    return hashlib.sha256(b"".join(np.ascontiguousarray(a).tobytes() for a in arrays)).hexdigest()


def _read(name: str, data: bytes) -> Training:
    record, arrays = read_record(data, _FORMAT)
    steps, values, losses = arrays["steps"], arrays["singular_values"], (arrays["train_loss"], arrays["test_loss"])
    layers = record.pop("layers")  # rows of longname, N, M
    expected = (len(steps), sum(M for _, _, M in layers))
    if values.shape != expected or any(x.shape != steps.shape for x in losses):
        shapes = [values.shape, *(x.shape for x in losses)]
        asked = f"{expected} and {steps.shape}"
        raise ValueError(f"spectra and losses have shapes {shapes}; steps and layers ask for {asked}")
    if not len(steps) or steps[0] != 0 or np.any(np.diff(steps) <= 0):
        raise ValueError(f"steps {steps.tolist()} do not ascend from 0")
    if not np.isfinite(losses).all():
        raise ValueError("a loss is not finite")
    if record["values_sha256"] != checksum(steps, values, *losses):
        raise ValueError("the checksum of its figures is another than the record's")
    n_layer = record["config"]["n_layer"]
    models = []
    for step, row, train, test in zip(steps.tolist(), values, *losses, strict=True):
        facts = {
            "model": f"GPT-2 architecture, {n_layer} blocks of width {record['config']['n_embd']}",
            "training": f"{name}, step {step} of {record['run']['steps']}",
            "train_loss": round(float(train), 4),
            "test_loss": round(float(test), 4),
            **record,
        }
        models.append(AtlasModel(f"{name}, step {step}", tuple(_layers(layers, row, n_layer)), facts))
    train_loss, test_loss = (x.astype(np.float64) for x in losses)
    return Training(name, tuple(steps.tolist()), train_loss, test_loss, record, tuple(models))


def _layers(layers: list[Any], values: npt.NDArray[Any], n_layer: int) -> list[Layer]:
    """The layers of one step. The projections onto the residual stream start smaller: Radford et al. (2019), 2.3."""
    found, start = [], 0
    for i, (longname, N, M) in enumerate(layers):
        name = short_name(longname)
        spectrum = Spectrum(values[start : start + M], N, M, name=name)
        start += M
        init_std = 0.02 / np.sqrt(2 * n_layer) if longname.endswith("c_proj") else 0.02
        found.append(Layer(i, name, longname, "spectrum", spectrum, init_std=float(init_std)))
    return found
