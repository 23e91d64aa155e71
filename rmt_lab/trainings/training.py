"""Recorded trainings: the spectra of a model, step by step.

:func:`record` makes one of a folder of checkpoints. Others ship with the package, with their losses: they are small
GPT-2 models, trained by ``scripts/train_tiny_gpt.py`` on the source of Python's standard library, byte by byte. They
differ in one thing each: ``little`` saw 1 % of the text over and over, ``much`` all of it, ``small_batch`` all of it in
batches a quarter as large. Each is one .npz file: its losses, the singular values of every matrix at about 25 steps,
rounded to 12 bits (a relative 1.2e-4), and a JSON record of how it was made. Weights were not kept.
"""

from __future__ import annotations

import hashlib
import os
import warnings
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from .._files import read_record, shipped_folder, shipped_names
from .._repr import html_table, progress, reason
from ..atlas import AtlasModel, Layer
from ..spectrum import Spectrum
from ..spectrum.kept import KeptSpectra, digest
from ..weights.names import short_name
from ..weights.read import FoundMatrix, find_weights
from ..weights.steps import find_steps

_FORMAT = 1
_FAULTS = (ValueError, TypeError, OSError, ImportError, MemoryError, np.linalg.LinAlgError)  # of one checkpoint
_NAMED = 5  # layers that a warning names


@dataclass(frozen=True, eq=False, repr=False)
class Training:
    """A training: at which steps it was looked at, the losses there, and the spectra by :meth:`at`.

    Attributes
    ----------
    name : str
    steps : tuple of int
        Updates made so far, ascending. Those of a shipped training begin with 0, the initialisation.
    train_loss, test_loss : array of shape (len(steps),)
        Mean loss in nats a byte on 64 windows of the training text and of held-out text. Guessing costs ln 256 = 5.55.
        NaN where checkpoints were recorded, since these do not hold their losses.
    record : dict
        How it was made: ``run`` (batch, steps, seed ...), ``config``, ``bytes_of_text`` and ``bytes_seen``,
        ``text_sha256``, ``values_sha256``, ``versions``, ``minutes``. For checkpoints: what :func:`record` was given
        as ``source``, ``layers`` and ``cache``, and ``left_out``, the reason for each path and layer that is left out.
    """

    name: str
    steps: tuple[int, ...]
    train_loss: npt.NDArray[np.float64]
    test_loss: npt.NDArray[np.float64]
    record: dict[str, Any]
    _models: tuple[AtlasModel, ...] = field(default=())

    @property
    def has_losses(self) -> bool:
        """Whether the losses are known."""
        return bool(np.isfinite(self.train_loss).all() and np.isfinite(self.test_loss).all())

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
            If the step lies before the training or after it, or the run is not known.

        Examples
        --------
        >>> f"{load('much').learning_rate(2400):.5f}, {load('small_batch').learning_rate(2400):.5f}"
        '0.00010, 0.00087'
        """
        if "run" not in self.record:
            raise ValueError(f"{self.name} was made of checkpoints, which do not say their learning rate")
        run = self.record["run"]
        if not 0 <= step <= run["steps"]:
            raise ValueError(f"step={step!r}; {self.name} has the steps 0 to {run['steps']}")
        warm = min(1.0, (step + 1) / run["warmup"])
        return float(run["lr"] * warm * (0.55 + 0.45 * np.cos(np.pi * step / run["steps"])))

    def __repr__(self) -> str:
        return f"Training({self.name!r}: steps {self.steps[0]} .. {self.steps[-1]}, {len(self.steps)} of them recorded)"

    def _repr_html_(self) -> str:
        train, test = self.train_loss, self.test_loss
        facts = {"recorded steps": ", ".join(map(str, self.steps))}
        if self.has_losses:
            facts["loss on training text"] = f"{train[0]:.3f} → {train[-1]:.3f}"
            facts["loss on held-out text"] = f"{test[0]:.3f} → {test[-1]:.3f}, best {test.min():.3f}"
        else:
            facts["losses"] = "not recorded"
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


def record(
    source: str | os.PathLike[str],
    layers: Iterable[int | str] | int | str | None = None,
    cache: str | os.PathLike[str] | None = None,
) -> Training:
    """The checkpoints of one training as a :class:`Training`: the spectrum of every layer at every step.

    One matrix is read at a time. A checkpoint does not hold its losses, so they are NaN.

    Parameters
    ----------
    source : str or path
        A folder of checkpoints or a pattern of their paths, as :func:`rmt_lab.analyze_series` takes it. The number in
        the name is the step.
    layers : int, str or a collection of them, optional
        Which layers, as in :func:`rmt_lab.analyze`.
    cache : path, optional
        A folder that keeps every finished spectrum, the same one as for :func:`rmt_lab.analyze`.

    Raises
    ------
    FileNotFoundError
        If there is no checkpoint.
    ValueError
        If no checkpoint can be read, or the checkpoints have no layer in common.

    Warns
    -----
    UserWarning
        For every checkpoint that is left out, with the reason: it cannot be read, its name has no number, or another
        one has the same number. Also for the layers that one of the other checkpoints lacks, has in another shape or
        has with NaN. ``record["left_out"]`` keeps all reasons.

    Examples
    --------
    >>> import tempfile
    >>> rng = np.random.default_rng(0)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     for step in (1000, 200):
    ...         np.savez(f"{folder}/step_{step}.npz", query=rng.normal(size=(60, 50)) * step)
    ...     training = record(f"{folder}/step_*.npz")
    >>> training.steps, training.has_losses, training.at(200)["query"].spectrum
    ((200, 1000), False, Spectrum('query', N=60, M=50, Q=1.2, rank=50, lambda_max=1.318e+05))
    """
    layers = layers if layers is None or isinstance(layers, int | str) else list(layers)
    kept = None if cache is None else KeptSpectra(cache)
    found: dict[int, dict[str, Layer | str]] = {}
    left_out: dict[str, str] = {}
    for step, path in progress(find_steps(source), desc="record", unit="checkpoints"):
        try:
            if step is None or step in found:
                raise ValueError("its name has no number" if step is None else f"another one has the step {step}")
            found[step] = _spectra(path, layers, kept)
        except _FAULTS as error:
            left_out[str(path)] = reason(error)
            warnings.warn(f"{path} is left out: {left_out[str(path)]}", stacklevel=2)
    if not found:
        raise ValueError(f"source={str(source)!r} has no checkpoint that can be read: {next(iter(left_out.values()))}")
    common, lacking = _common(found)
    if not common:
        raise ValueError(
            f"source={str(source)!r}: the checkpoints have no layer in common: {next(iter(lacking.values()))}"
        )
    if lacking:
        more = f" and {len(lacking) - _NAMED} more" if len(lacking) > _NAMED else ""
        told = "; ".join(f"{longname}: {why}" for longname, why in list(lacking.items())[:_NAMED])
        warnings.warn(f"layers that are left out: {told}{more}", stacklevel=2)
    folder = Path(source).expanduser()
    name = folder.resolve().name if folder.is_dir() else str(source)
    steps, unknown = tuple(sorted(found)), np.full(len(found), np.nan)
    made = {"source": os.fspath(source), "layers": layers, "cache": None if cache is None else os.fspath(cache)}
    models = tuple(
        AtlasModel(f"{name}, step {step}", common[step], {"model": f"{name}, step {step}"}) for step in steps
    )
    return Training(name, steps, unknown, unknown, made | {"left_out": left_out | lacking}, models)


def _spectra(path: Path, layers: Any, kept: KeptSpectra | None) -> dict[str, Layer | str]:
    """The layers of a checkpoint by longname; a reason where one has no spectrum."""
    found: dict[str, Layer | str] = {}
    for w in find_weights(path, layers=layers):
        try:
            found[w.longname] = Layer(*w[:4], _spectrum(w, kept))
        except _FAULTS as error:
            found[w.longname] = reason(error)
    if not any(isinstance(x, Layer) for x in found.values()):
        longname, why = next(iter(found.items()))
        raise ValueError(f"no layer has a spectrum; {longname}: {why}")
    return found


def _spectrum(w: FoundMatrix, kept: KeptSpectra | None) -> Spectrum:
    W = w.read()
    make = partial(Spectrum.from_matrix, W, name=w.name)
    if kept is None:
        return make()
    return replace(
        kept.get(digest(W), {"method": "gram", "device": "cpu", "null": None, "stream": None}, make), name=w.name
    )


def _common(found: dict[int, dict[str, Layer | str]]) -> tuple[dict[int, tuple[Layer, ...]], dict[str, str]]:
    """The layers that all steps have in one shape, named as at the first step; and what the others lack."""
    first = min(found)
    common: dict[int, list[Layer]] = {step: [] for step in found}
    lacking: dict[str, str] = {}
    for longname in dict.fromkeys(x for step in sorted(found) for x in found[step]):
        here = {step: found[step].get(longname, "no such layer") for step in sorted(found)}
        faults = [f"step {step}: {x}" for step, x in here.items() if isinstance(x, str)]
        layers = {step: x for step, x in here.items() if isinstance(x, Layer)}
        shapes = {step: (x.spectrum.N, x.spectrum.M, x.spectrum.rf) for step, x in layers.items()}
        if faults:
            lacking[longname] = faults[0]
        elif other := [step for step, shape in shapes.items() if shape != shapes[first]]:
            (N, M, _), (n, m, _) = shapes[first], shapes[other[0]]
            lacking[longname] = f"step {other[0]}: {n} x {m}, and {N} x {M} at step {first}"
        else:
            look = layers[first]
            for step, x in layers.items():
                spectrum = replace(x.spectrum, name=look.name)
                common[step].append(Layer(look.layer_id, look.name, longname, look.layer_type, spectrum))
    return {step: tuple(layers) for step, layers in common.items() if layers}, lacking


def checksum(steps: Any, singular_values: Any, train_loss: Any, test_loss: Any) -> str:
    """SHA-256 of all figures of a training, in the types in which the file keeps them."""
    arrays = (np.asarray(steps, "<i8"), *(np.asarray(x, "<f4") for x in (singular_values, train_loss, test_loss)))
    return hashlib.sha256(b"".join(np.ascontiguousarray(a).tobytes() for a in arrays)).hexdigest()


def figures(
    record: dict[str, Any], arrays: dict[str, Any], width: int
) -> tuple[npt.NDArray[Any], npt.NDArray[Any], tuple[npt.NDArray[Any], npt.NDArray[Any]]]:
    """Steps, singular values (``width`` a step) and both losses of a file; ValueError if they are damaged."""
    steps, values, losses = arrays["steps"], arrays["singular_values"], (arrays["train_loss"], arrays["test_loss"])
    expected = (len(steps), width)
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
    return steps, values, losses


def _read(name: str, data: bytes) -> Training:
    record, arrays = read_record(data, _FORMAT)
    layers = record.pop("layers")  # rows of longname, N, M
    steps, values, losses = figures(record, arrays, sum(M for _, _, M in layers))
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
