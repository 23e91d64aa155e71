"""Spectra of real trained models that ship with the package, and the user's own beside them.

A model is one .npz file: the singular values of every layer and of the same layer under each null of
:data:`rmt_lab.ensembles.NULLS` (its entries shuffled, its signs flipped, its entries shuffled within the scales of rows
and columns), in float32 (alpha moves by less than 1e-5), and a JSON record of where they come from. No weights are
needed to look at them.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np

from ._files import cache_folder, read_record, shipped_folder, shipped_names, write_record
from ._repr import html_table
from .ensembles.matrices import NULLS, Null, null_matrix
from .ensembles.spectra import gaussian_spectrum
from .spectrum import Spectrum
from .weights.checkpoints import SUFFIXES
from .weights.read import iter_weights
from .weights.roles import block_and_role

_FORMAT = 2
_OLD_FORMAT = 1  # whose only null is the shuffle, under the name "shuffled"


class Layer:
    """One layer of a model: what it is, its spectrum, and the spectra of the same layer randomised.

    All spectra may be given as functions, which are called when they are first asked for: so the layers of a
    checkpoint can be told before any of its matrices is read.

    Attributes
    ----------
    layer_id, name, longname, layer_type
        As :class:`rmt_lab.weights.read.WeightMatrix` has them.
    spectrum : Spectrum
    nulls : tuple of str
        The names that :meth:`null` takes, of :data:`rmt_lab.ensembles.NULLS`; none where the source holds no weights.
    shuffled : Spectrum or None
        Short for ``null("entries")``; None where there is none.
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
        nulls: Mapping[Null, Spectrum | Callable[[], Spectrum]] | None = None,
        init_std: float | None = None,
    ) -> None:
        self.layer_id, self.name, self.longname, self.layer_type = layer_id, name, longname, layer_type
        self.init_std = init_std
        self._spectrum, self._nulls = spectrum, dict(nulls or {})

    @cached_property
    def spectrum(self) -> Spectrum:
        return self._spectrum() if callable(self._spectrum) else self._spectrum

    @property
    def nulls(self) -> tuple[Null, ...]:
        """The nulls at hand, told without making one."""
        return tuple(self._nulls)

    def null(self, kind: Null) -> Spectrum:
        """The spectrum of this layer randomised: made once, when it is first asked for.

        Parameters
        ----------
        kind : {"entries", "signs", "scaled"}
            See :func:`rmt_lab.ensembles.shuffled`, :func:`rmt_lab.ensembles.signs`, :func:`rmt_lab.ensembles.scaled`.

        Raises
        ------
        ValueError
            If there is no such null, or the source of this layer holds none; the message names those at hand.

        Examples
        --------
        >>> layer = load("minilm")["block 3 query"]
        >>> layer.spectrum.eigenvalues[-1].round(4)
        np.float64(0.0551)
        >>> {kind: layer.null(kind).eigenvalues[-1].round(4).item() for kind in layer.nulls}
        {'entries': 0.0262, 'signs': 0.028, 'scaled': 0.0287}
        """
        if kind not in NULLS:
            raise ValueError(f"kind={kind!r}; allowed are {', '.join(map(repr, NULLS))}")
        if kind not in self._nulls:
            has = f"its nulls are {', '.join(map(repr, self.nulls))}" if self.nulls else "its source holds no weights"
            raise ValueError(f"kind={kind!r}; layer {self.longname!r} has no such null: {has}")
        given = self._nulls[kind]
        if callable(given):
            given = self._nulls[kind] = given()
        return given

    @property
    def shuffled(self) -> Spectrum | None:
        """Short for ``null("entries")``; None where there is none."""
        return self.null("entries") if "entries" in self._nulls else None

    @property
    def block(self) -> int | None:
        """Index of the block, None outside of blocks."""
        return block_and_role(self.longname)[0]

    @property
    def role(self) -> str:
        """One of :data:`rmt_lab.weights.roles.ROLES`."""
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
        return html_table(f"Atlas: {self.name}", {k: str(v) for k, v in self.provenance.items()})


def names() -> list[str]:
    """Names of the models at hand: those that ship with the package, then those in the user's cache folder.

    Examples
    --------
    >>> names()[:2]
    ['minilm', 'smollm2']
    """
    shipped = shipped_names("atlas")
    own = sorted(p.stem for p in cache_folder("atlas").glob("*.npz"))
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
    for path in (shipped_folder("atlas") / f"{name}.npz", cache_folder("atlas") / f"{name}.npz"):
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
        Draws the nulls of every layer.
    folder : path, optional
        Where to keep it, instead of the cache folder.

    Raises
    ------
    ValueError
        If no name can be told, or no layer can be analysed.
    """
    if name is None:
        if not isinstance(source, (str, os.PathLike)):
            raise ValueError("name=None; a model that is not a path or a hub name needs one")
        path = Path(source)
        name = path.stem if path.suffix in SUFFIXES else path.name
    if not name or set(name) & set('/\\:*?"<>|') or name.startswith("."):
        raise ValueError(f"name={name!r}; a name becomes a file's name and has none of / \\ : * ? \" < > |")
    rng = np.random.default_rng(rng)
    streams = dict(zip(NULLS, [rng, *rng.spawn(len(NULLS) - 1)], strict=True))  # one null's draws are no other's
    layers = []
    for w in iter_weights(source, split_qkv=split_qkv):
        try:
            spectrum = Spectrum.from_matrix(w.matrix, name=w.name)
            nulls = {k: Spectrum.from_matrix(null_matrix(w.matrix, k, streams[k]), name=w.name) for k in NULLS}
        except (ValueError, TypeError, np.linalg.LinAlgError):
            continue  # a layer with NaN has no spectrum; analyze() says so where the weights are at hand
        layers.append(Layer(w.layer_id, w.name, w.longname, w.layer_type, spectrum, nulls, init_std))
    if not layers:
        raise ValueError(f"source={source!r} has no layer with a spectrum")
    model = AtlasModel(name, tuple(layers), {"model": str(source)[:200], **(provenance or {})})
    folder = Path(folder) if folder else cache_folder("atlas")
    folder.mkdir(parents=True, exist_ok=True)
    _write(model, folder / f"{name}.npz")
    return model


def _write(model: AtlasModel, path: Path) -> None:
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
    write_record(
        path,
        {"format": _FORMAT, "provenance": model.provenance, "layers": rows},
        singular_values=np.concatenate([x.spectrum.singular_values for x in model]).astype(np.float32),
        **{k: np.concatenate([x.null(k).singular_values for x in model]).astype(np.float32) for k in NULLS},
    )


def _read(name: str, data: bytes) -> AtlasModel:
    record, arrays = read_record(data, _OLD_FORMAT, _FORMAT)
    values = arrays["singular_values"]
    held: dict[Null, Any]
    held = {"entries": arrays["shuffled"]} if record["format"] == _OLD_FORMAT else {k: arrays[k] for k in NULLS}
    layers, start = [], 0
    for row in record["layers"]:
        N, M, rf = row.pop("N"), row.pop("M"), row.pop("rf")
        part = slice(start, start + M * rf)
        start += M * rf
        spectrum = Spectrum(values[part], N, M, rf, row["name"])
        nulls = {k: partial(Spectrum, null[part], N, M, rf, row["name"]) for k, null in held.items()}
        layers.append(Layer(**row, spectrum=spectrum, nulls=nulls))
    return AtlasModel(name, tuple(layers), record["provenance"])
