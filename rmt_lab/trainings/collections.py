"""Collections of trainings: many runs of one task, a table of what came of them, and the spectra behind every row.

``digits`` holds perceptrons and small convolutional networks on scikit-learn's 8 x 8 images of digits, ``text`` small
GPT-2 models on the source of Python's standard library. Both were made by ``scripts/train_collection.py``, and each is
a .csv.gz, its table, and an .npz, its singular values and a JSON record of how it was made. Weights were not kept.
"""

from __future__ import annotations

import gzip
import hashlib
import io
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from .._arrays import Array
from .._files import read_record, shipped_folder, shipped_names
from .._repr import html_table
from ..atlas import AtlasModel, Layer
from ..spectrum import Spectrum
from ..weights.names import short_name

if TYPE_CHECKING:
    import pandas as pd

_FORMAT = 1
CARRIES_A_TAIL = 32
"""The means of a row are over layers whose shorter side is at least this: ten values of a readout are no tail."""


@dataclass(frozen=True, eq=False, repr=False)
class Collection:
    """Many trainings of one task; made by :func:`collection`.

    Attributes
    ----------
    name : str
    record : dict
        How it was made: ``factors`` with their levels, ``versions``, ``hours`` of training, checksums.
    """

    name: str
    record: dict[str, Any]

    @property
    def steps_table(self) -> pd.DataFrame:
        """A row for every step at which a run was recorded; a tenth of the settings was recorded at five steps."""
        return self._steps.copy()  # the reader's own

    @cached_property
    def _steps(self) -> pd.DataFrame:
        import pandas as pd

        packed = (shipped_folder("collections") / f"{self.name}.csv.gz").read_bytes()
        text = gzip.decompress(packed)
        if hashlib.sha256(text).hexdigest() != self.record["table_sha256"]:
            raise ValueError(f"collection {self.name!r}: the checksum of its table is another than the record's")
        return pd.read_csv(io.BytesIO(text))

    @property
    def table(self) -> pd.DataFrame:
        """A row for every run, at its end.

        Settings
            one column for each of ``record["factors"]``, and ``seed``, ``steps``, ``seconds``
        Outcomes
            ``train_loss, test_loss`` in nats, ``train_error, test_error`` as shares of wrong answers, ``gap_loss`` and
            ``gap_error``: test - training. Where training labels are wrong, the gap is to a test set with as many wrong
            labels (its expectation), so that it is no measure of the noise itself.
        Measures
            means over the layers of shorter side >= ``CARRIES_A_TAIL``, named as :func:`rmt_lab.analyze` names them:
            ``alpha`` (fingers left in) and ``alpha_fixed`` (``fix_fingers="clip_xmax"``), ``alpha_first``,
            ``alpha_last`` (of the first and the last such layer), ``alpha_windowed``
            (:func:`rmt_lab.tails.windowed_alpha`, 64 x 32), ``alpha_hat`` (``alpha_weighted``), ``log_alpha_norm``,
            ``log_norm``, ``log_spectral_norm``, ``stable_rank``, ``share_beyond_noise`` (``num_spikes / num_evals``),
            ``num_fingers``, and ``verdict_*``, the shares of layers with each verdict
        """
        table = self._steps
        return table[table["last"]].drop(columns=["last", "step"]).reset_index(drop=True)

    @property
    def factors(self) -> tuple[str, ...]:
        """The settings that differ between runs, without the seed."""
        return tuple(self.record["factors"])

    def at(self, run: str, step: int | None = None) -> AtlasModel:
        """The model of a run, at its end or at a recorded step, as :func:`rmt_lab.atlas.load` gives one.

        Raises
        ------
        ValueError
            If there is no such run, or it was not recorded at that step; the message names what is there.

        Examples
        --------
        >>> digits = collection("digits")
        >>> model = digits.at(digits.table.run[0])
        >>> sum(layer.spectrum.M >= CARRIES_A_TAIL for layer in model)
        2
        """
        rows = self._rows.get(run) if isinstance(run, str) else None
        if rows is None:
            raise ValueError(f"run={run!r}; {self.name} has {len(self._rows)} runs, one is {next(iter(self._rows))!r}")
        step = max(rows) if step is None else step
        if step not in rows:
            raise ValueError(f"step={step!r}; {run} was recorded at {', '.join(map(str, rows))}")
        start, which = rows[step]
        layers = []
        for i, (longname, N, M) in enumerate(self.record["layers"][which]):
            name = short_name(longname)
            layers.append(
                Layer(i, name, longname, "spectrum", Spectrum(self._values[start : start + M], N, M, name=name))
            )
            start += M
        facts = {"model": f"{self.name}: {run}", "training": f"step {step} of {max(rows)}"}
        return AtlasModel(f"{self.name}: {run}", tuple(layers), facts)

    @cached_property
    def _values(self) -> Array:
        _, arrays = read_record((shipped_folder("collections") / f"{self.name}.npz").read_bytes(), _FORMAT)
        values = arrays["singular_values"]
        if checksum(values) != self.record["values_sha256"]:
            raise ValueError(f"collection {self.name!r}: the checksum of its values is another than the record's")
        return values

    @cached_property
    def _rows(self) -> dict[str, dict[int, tuple[int, int]]]:
        """Where the values of every run and step begin, and which list of layers they have."""
        found: dict[str, dict[int, tuple[int, int]]] = {}
        start = 0
        sizes = [sum(M for _, _, M in layers) for layers in self.record["layers"]]
        kinds = dict(zip(self.table["run"], self.record["which_layers"], strict=True))
        for run, step in zip(self._steps["run"], self._steps["step"], strict=True):
            found.setdefault(run, {})[int(step)] = (start, kinds[run])
            start += sizes[kinds[run]]
        return found

    def __repr__(self) -> str:
        return f"Collection({self.name!r}: {len(self.table)} runs; {', '.join(self.factors)}, seed)"

    def _repr_html_(self) -> str:
        facts = {"runs": str(len(self.table)), "seeds of each setting": str(self.table["seed"].nunique())}
        facts |= {f: ", ".join(map(str, levels)) for f, levels in self.record["factors"].items()}
        return html_table(f"Collection: {self.name}", facts)


def collection(name: str) -> Collection:
    """A collection of trainings: its table now, its spectra when they are asked for.

    Parameters
    ----------
    name : {"digits", "text"}

    Raises
    ------
    ValueError
        If there is no such collection, or its files are not as they were written.

    Examples
    --------
    >>> digits = collection("digits")
    >>> digits.factors
    ('data', 'noise', 'batch', 'rate', 'width', 'decay', 'optimiser', 'kind')
    >>> sorted(digits.table.seed.unique().tolist())
    [0, 1, 2]
    """
    if not isinstance(name, str) or name not in shipped_names("collections"):
        raise ValueError(f"name={name!r}; collections are {', '.join(shipped_names('collections'))}")
    return _collection(name)


@lru_cache(maxsize=4)
def _collection(name: str) -> Collection:
    path = shipped_folder("collections") / f"{name}.npz"
    try:
        record, _ = read_record(path.read_bytes(), _FORMAT)
    except Exception as error:
        raise ValueError(f"collection {name!r} ({path}) cannot be read: {error}") from error
    return Collection(name, record)


def checksum(values: Any) -> str:
    """SHA-256 of singular values, in the type in which the file keeps them."""
    return hashlib.sha256(np.ascontiguousarray(values, "<f4").tobytes()).hexdigest()
