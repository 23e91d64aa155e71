"""Spectra of real trained models that ship with the package, and the user's own beside them.

A model is one .npz file: the singular values of every layer and of the same layer with its entries shuffled, in float32
(alpha moves by less than 1e-5), and a JSON record of where they come from. No weights are needed to look at them.
"""

from __future__ import annotations

import io
import json
import os
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import platformdirs

from .gaussian_spectra import gaussian_spectrum
from .roles import block_and_role
from .spectrum import Spectrum

_FORMAT = 1


class Layer:
    """One layer of a model: what it is, its spectrum, and the spectrum of the same entries in random order.

    Both spectra may be given as functions, which are called when they are first asked for: so the layers of a
    checkpoint can be told before any of its matrices is read.

    Attributes
    ----------
    layer_id, name, longname, layer_type
        As :class:`rmt_lab.weights.WeightMatrix` has them.
    spectrum : Spectrum
    shuffled : Spectrum or None
        None where the source holds no weights to shuffle.
    init_std : float or None
        Standard deviation of the Gaussian that initialised the layer; None where it is not known.
    block, role
        Where the layer stands and what it does ("query", "feed-forward in", ...).
    """

    def __init__(
        self,
        layer_id: int,
        name: str,
        longname: str,
        layer_type: str,
        spectrum: Spectrum | Callable[[], Spectrum],
        shuffled: Spectrum | Callable[[], Spectrum] | None = None,
        init_std: float | None = None,
    ) -> None:
        self.layer_id, self.name, self.longname, self.layer_type = layer_id, name, longname, layer_type
        self.init_std = init_std
        self._spectrum, self._shuffled = spectrum, shuffled

    @cached_property
    def spectrum(self) -> Spectrum:
        return self._spectrum() if callable(self._spectrum) else self._spectrum

    @cached_property
    def shuffled(self) -> Spectrum | None:
        return self._shuffled() if callable(self._shuffled) else self._shuffled

    @property
    def has_shuffled(self) -> bool:
        """Whether ``shuffled`` is a spectrum, told without making it."""
        return self._shuffled is not None

    @property
    def block(self) -> int | None:
        """Index of the block, None outside of blocks."""
        return block_and_role(self.longname)[0]

    @property
    def role(self) -> str:
        """One of :data:`rmt_lab.roles.ROLES`."""
        return block_and_role(self.longname)[1]

    def initialisation(self, rng: np.random.Generator | int | None = None) -> Spectrum:
        """A spectrum of this layer before training: drawn from its Gaussian law, not stored.

        Raises
        ------
        ValueError
            If the law of the initialisation is not known.
        """
        if self.init_std is None:
            raise ValueError(f"layer {self.longname!r}: the law it was initialised with is not recorded")
        return replace(gaussian_spectrum(self.spectrum.N, self.spectrum.M, self.init_std, rng), name=self.name)

    def __repr__(self) -> str:
        return f"Layer({self.layer_id}, {self.name!r}, {self.longname!r}, {self.layer_type!r})"


@dataclass(frozen=True, eq=False, repr=False)
class AtlasModel:
    """A model of the atlas: its layers in order, and ``provenance`` (model, package, licence, checksum ...)."""

    name: str
    layers: tuple[Layer, ...]
    provenance: dict[str, Any]

    def __iter__(self) -> Iterator[Layer]:
        return iter(self.layers)

    def __len__(self) -> int:
        return len(self.layers)

    def __getitem__(self, name: str | int) -> Layer:
        """The layer of this name, longname or layer_id."""
        for layer in self.layers:
            if name in (layer.layer_id, layer.name, layer.longname):
                return layer
        raise KeyError(f"{self.name} has no layer {name!r}; its layers are {self.layers[0].name!r}, ... of {len(self)}")

    def select(self, role: str) -> list[Layer]:
        """The layers of one role, in the order of the blocks.

        Raises
        ------
        ValueError
            If the model has no layer of that role; the message names its roles.
        """
        found = [layer for layer in self.layers if layer.role == role]
        if not found:
            roles = sorted({layer.role for layer in self.layers})
            raise ValueError(f"role={role!r}; {self.name} has {', '.join(map(repr, roles))}")
        return found

    def __repr__(self) -> str:
        return f"AtlasModel({self.name!r}: {self.provenance.get('model', '')}, {len(self)} layers)"

    def _repr_html_(self) -> str:
        from ._repr import html_table

        return html_table(f"Atlas: {self.name}", {k: str(v) for k, v in self.provenance.items()})


def names() -> list[str]:
    """Names of the models at hand: those that ship with the package, then those in the user's cache folder.

    Examples
    --------
    >>> names()[:2]
    ['minilm', 'smollm2']
    """
    shipped = sorted(p.name[: -len(".npz")] for p in _shipped().iterdir() if p.name.endswith(".npz"))
    own = sorted(p.stem for p in cache_folder().glob("*.npz"))
    return shipped + [name for name in own if name not in shipped]


def load(name: str) -> AtlasModel:
    """A model of the atlas.

    Parameters
    ----------
    name : str
        One of :func:`names`.

    Raises
    ------
    ValueError
        If there is no such model, or its file cannot be read.

    Examples
    --------
    >>> model = load("minilm")
    >>> model["block 3 query"].spectrum
    Spectrum('block 3 query', N=384, M=384, Q=1, rank=384, lambda_max=0.05513)
    """
    for path in (_shipped() / f"{name}.npz", cache_folder() / f"{name}.npz"):
        if path.is_file():
            try:
                return _read(name, path.read_bytes())
            except Exception as error:
                raise ValueError(f"atlas entry {name!r} ({path}) cannot be read: {error}") from error
    raise ValueError(f"name={name!r}; the atlas has {', '.join(names())}. Add one with: rmt-lab atlas add SOURCE")


def add(
    source: Any,
    name: str | None = None,
    split_qkv: bool = False,
    provenance: dict[str, Any] | None = None,
    init_std: float | None = None,
    rng: np.random.Generator | int | None = 0,
    folder: str | os.PathLike[str] | None = None,
) -> AtlasModel:
    """Compute the spectra of a model, one matrix at a time, and keep them in the user's cache folder.

    Parameters
    ----------
    source
        Anything :func:`rmt_lab.iter_weights` takes.
    name : str, optional
        Under which to keep it; by default the last part of ``source`` when that is a name or a path.
    split_qkv : bool
        Whether fused query-key-value matrices are split.
    provenance : dict, optional
        Where the weights come from; source and date are filled in.
    init_std : float, optional
        Standard deviation of the Gaussian that initialised the layers.
    rng : Generator, int or None
        Shuffles the entries.
    folder : path, optional
        Where to keep it, instead of the cache folder.

    Raises
    ------
    ValueError
        If no name can be told, or no layer can be analysed.
    """
    from .checkpoints import SUFFIXES
    from .weights import iter_weights

    if name is None:
        if not isinstance(source, (str, os.PathLike)):
            raise ValueError("name=None; a model that is not a path or a hub name needs one")
        path = Path(source)
        name = path.stem if path.suffix in SUFFIXES else path.name
    if not name or set(name) & set('/\\:*?"<>|') or name.startswith("."):
        raise ValueError(f"name={name!r}; a name becomes a file's name and has none of / \\ : * ? \" < > |")
    rng = np.random.default_rng(rng)
    layers = []
    for w in iter_weights(source, split_qkv=split_qkv):
        try:
            spectrum = Spectrum.from_matrix(w.matrix, name=w.name)
            shuffled = Spectrum.from_matrix(shuffled_entries(w.matrix, rng), name=w.name)
        except (ValueError, TypeError, np.linalg.LinAlgError):
            continue  # a layer with NaN has no spectrum; analyze() says so where the weights are at hand
        layers.append(Layer(w.layer_id, w.name, w.longname, w.layer_type, spectrum, shuffled, init_std))
    if not layers:
        raise ValueError(f"source={source!r} has no layer with a spectrum")
    model = AtlasModel(name, tuple(layers), {"model": str(source)[:200], **(provenance or {})})
    folder = Path(folder) if folder else cache_folder()
    folder.mkdir(parents=True, exist_ok=True)
    _write(model, folder / f"{name}.npz")
    return model


def shuffled_entries(W: Any, rng: np.random.Generator) -> npt.NDArray[Any]:
    """W with its entries in random order: the same values, no correlations between them."""
    from .spectrum import as_array

    W = as_array(W)
    return rng.permutation(W.ravel()).reshape(W.shape)


def cache_folder() -> Path:
    """The user's folder for atlas entries; the environment variable RMT_LAB_CACHE moves it."""
    return Path(os.environ.get("RMT_LAB_CACHE") or platformdirs.user_cache_dir("rmt_lab")) / "atlas"


def _shipped() -> Any:
    return resources.files("rmt_lab") / "data" / "atlas"


def _write(model: AtlasModel, path: Path) -> None:
    nulls = [x.shuffled.singular_values for x in model if x.shuffled]
    if len(nulls) < len(model):
        raise ValueError(f"{model.name} has layers without weights to shuffle; the atlas keeps both spectra")
    rows = [
        {
            "layer_id": x.layer_id,
            "name": x.name,
            "longname": x.longname,
            "layer_type": x.layer_type,
            "N": x.spectrum.N,
            "M": x.spectrum.M,
            "rf": x.spectrum.rf,
            "init_std": x.init_std,
        }
        for x in model
    ]
    record = json.dumps({"format": _FORMAT, "provenance": model.provenance, "layers": rows})
    handle, part = tempfile.mkstemp(dir=path.parent, suffix=".part")
    try:
        with os.fdopen(handle, "wb") as f:
            np.savez_compressed(
                f,
                singular_values=np.concatenate([x.spectrum.singular_values for x in model]).astype(np.float32),
                shuffled=np.concatenate(nulls).astype(np.float32),
                record=np.frombuffer(record.encode(), np.uint8),
            )
        os.chmod(part, 0o644)
        os.replace(part, path)
    except BaseException:
        Path(part).unlink(missing_ok=True)
        raise


def _read(name: str, data: bytes) -> AtlasModel:
    with np.load(io.BytesIO(data), allow_pickle=False) as f:
        record = json.loads(f["record"].tobytes())
        values, shuffled = f["singular_values"], f["shuffled"]
    if record["format"] != _FORMAT:
        raise ValueError(f"format {record['format']}; this version reads {_FORMAT}")
    layers, start = [], 0
    for row in record["layers"]:
        N, M, rf = row.pop("N"), row.pop("M"), row.pop("rf")
        part = slice(start, start + M * rf)
        start += M * rf
        spectrum = Spectrum(values[part], N, M, rf, row["name"])
        layers.append(Layer(**row, spectrum=spectrum, shuffled=Spectrum(shuffled[part], N, M, rf, row["name"])))
    return AtlasModel(name, tuple(layers), record["provenance"])
