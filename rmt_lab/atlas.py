"""Spectra of real trained models that ship with the package, and the user's own beside them.

A model is one .npz file: the singular values of every layer and of the same layer under each null of
:data:`rmt_lab.ensembles.NULLS` (its entries shuffled, its signs flipped, its entries shuffled within the scales of rows
and columns), in float32 (alpha moves by less than 1e-5), and a JSON record of where they come from. No weights are
needed to look at them. The nulls of the shipped models were drawn from one stream for all layers, those that
:func:`add` makes now from one stream per layer: ``analyze`` gives other draws of the same law for shipped weights.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from ._files import (
    cache_folder,
    check_name,
    check_output,
    is_name,
    read_record,
    shipped_folder,
    shipped_names,
    write_record,
)
from ._repr import html_table
from .ensembles.matrices import NULLS, Null, layer_stream, null_matrix
from .ensembles.spectra import gaussian_spectrum
from .spectrum import Spectrum
from .weights.checkpoints import SUFFIXES
from .weights.read import FoundMatrix, find_weights
from .weights.roles import block_and_role

_FORMAT = 2
_OLD_FORMAT = 1  # whose only null is the shuffle, under the name "shuffled"
_FAULTS = (ValueError, TypeError, OSError, MemoryError, np.linalg.LinAlgError)  # of a layer; it stops no other


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

    @property
    def spectrum(self) -> Spectrum:
        # no cached_property: before Python 3.12 it has one lock for all layers, and threads would wait for each other
        if callable(self._spectrum):
            self._spectrum = self._spectrum()
        return self._spectrum

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
    """A model of the atlas: its layers in order, and ``provenance`` (model, package, licence, checksum ...).

    ``provenance["left_out"]`` has the reason for every layer that has no spectrum, by longname, if there are any.
    """

    name: str
    layers: tuple[Layer, ...]
    provenance: dict[str, Any]

    def __iter__(self) -> Iterator[Layer]:
        return iter(self.layers)

    def __len__(self) -> int:
        return len(self.layers)

    def __getitem__(self, name: str | int) -> Layer:
        """The layer of this name, longname or layer_id.

        Raises
        ------
        KeyError
            If no layer or several layers have that name; the message names them.
        """
        found = [layer for layer in self.layers if name in (layer.layer_id, layer.name, layer.longname)]
        if len(found) == 1:
            return found[0]
        if found:
            several = ", ".join(f"{layer.longname!r} (layer_id {layer.layer_id})" for layer in found[:5])
            more = f" and {len(found) - 5} more" if len(found) > 5 else ""
            raise KeyError(f"{self.name} has {len(found)} layers {name!r}: {several}{more}; take one by its layer_id")
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
    own = sorted(p.stem for p in cache_folder("atlas").glob("*.npz") if is_name(p.stem) and p.is_file())
    return shipped + [name for name in own if name not in shipped]


def first_of(*wanted: str) -> str:
    """The first of these names that the atlas holds: a model of your own where you added it, else a shipped one.

    The results differ with what has been added. Text that quotes a model's numbers should name that model instead.

    Raises
    ------
    ValueError
        If the atlas holds none of them.

    Examples
    --------
    >>> first_of("a-model-that-nobody-added", "minilm")
    'minilm'
    """
    held = names()
    for name in wanted:
        if name in held:
            return name
    raise ValueError(f"wanted={wanted!r}; the atlas has {', '.join(held)}. Add one with: rmt-lab atlas add SOURCE")


def load(name: str) -> AtlasModel:
    """A model of the atlas.

    Parameters
    ----------
    name : str
        One of :func:`names`.

    Raises
    ------
    ValueError, TypeError
        If the name is not a file's name, there is no such model, or its file cannot be read.

    Examples
    --------
    >>> model = load("minilm")
    >>> model["block 3 query"].spectrum
    Spectrum('block 3 query', N=384, M=384, Q=1, rank=384, lambda_max=0.05513)
    """
    folder = shipped_folder if check_name(name) in shipped_names("atlas") else cache_folder
    path = folder("atlas") / f"{name}.npz"
    if path.is_file():
        try:
            return _read(name, path.read_bytes())
        except Exception as error:
            why = str(error) if isinstance(error, ValueError) else f"{type(error).__name__}: {error}"
            raise ValueError(f"atlas entry {name!r} ({path}) cannot be read: {why}") from error
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

    A model that was added under the same name before is replaced. A layer that has no spectrum (it has NaN, or cannot
    be read) is left out with a warning, and ``provenance["left_out"]`` keeps the reason.

    Parameters
    ----------
    source
        Anything :func:`rmt_lab.iter_weights` takes.
    name : str, optional
        Under which to keep it; by default the last part of ``source`` when that is a name or a path. The name of a
        model that ships with the package is refused, unless ``folder`` is given.
    split_qkv : bool
        Whether fused query-key-value matrices are split.
    provenance : dict, optional
        Where the weights come from; source and date are filled in.
    init_std : float, optional
        Standard deviation of the Gaussian that initialised the layers.
    rng : Generator, int or None
        Draws the nulls. Every layer has a stream of its own, that of its ``layer_id``, so that ``analyze`` of the
        weights with the same seed draws the same; a Generator or None gives a seed, which ``provenance`` records.
    folder : path, optional
        Where to keep it, instead of the cache folder.

    Raises
    ------
    ValueError
        If no name can be told, the name is not allowed, or no layer can be analysed.
    OSError
        If the folder cannot be written to; this is found before the work begins.

    Warns
    -----
    UserWarning
        For every layer that is left out, with the reason.
    """
    if name is None:
        if not isinstance(source, (str, os.PathLike)):
            raise ValueError("name=None; a model that is not a path or a hub name needs one")
        path = Path(source)
        name = path.stem if path.suffix in SUFFIXES else path.name
    if folder is None and check_name(name) in shipped_names("atlas"):
        raise ValueError(f"name={name!r}; a model of that name ships with the package. Choose another name")
    folder = Path(folder) if folder else cache_folder("atlas")
    path = folder / f"{check_name(name)}.npz"
    found = find_weights(source, split_qkv=split_qkv)
    folder.mkdir(parents=True, exist_ok=True)
    check_output(path)
    if rng is None or isinstance(rng, np.random.Generator):
        rng = int(np.random.default_rng(rng).integers(2**63))
    layers, left_out = [], {}
    for w in found:
        try:
            layers.append(Layer(*w[:4], *_spectra(w, rng), init_std))
        except _FAULTS as error:
            left_out[w.longname] = str(error) if isinstance(error, ValueError) else f"{type(error).__name__}: {error}"
    if not layers:
        longname, why = next(iter(left_out.items()))
        raise ValueError(f"source={str(source)[:200]!r} has no layer with a spectrum; {longname}: {why}")
    facts = {"model": str(source)[:200], **(provenance or {}), "seed": rng}
    model = AtlasModel(name, tuple(layers), facts | ({"left_out": left_out} if left_out else {}))
    _write(model, path)
    for longname, why in left_out.items():
        warnings.warn(f"{longname} is left out: {why}", stacklevel=2)
    return model


def _spectra(w: FoundMatrix, seed: int) -> tuple[Spectrum, dict[Null, Spectrum]]:
    """The spectrum of a matrix and those of its nulls."""
    W = w.read()
    spectrum = Spectrum.from_matrix(W, name=w.name)
    nulls = {k: Spectrum.from_matrix(null_matrix(W, k, layer_stream(seed, w.layer_id)), name=w.name) for k in NULLS}
    return spectrum, nulls


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
    rows, provenance = record["layers"], record["provenance"]
    if not rows or not isinstance(provenance, dict):
        raise ValueError("its record has no layers or no provenance")
    for row in rows:
        _check_row(row)
    held: dict[Null, Any]
    held = {"entries": arrays["shuffled"]} if record["format"] == _OLD_FORMAT else {k: arrays[k] for k in NULLS}
    values, expected = arrays["singular_values"], sum(row["M"] * row["rf"] for row in rows)
    for array in (values, *held.values()):
        if array.shape != (expected,) or array.dtype.kind != "f" or not (np.isfinite(array).all() and array.min() >= 0):
            raise ValueError(f"its spectra are not {expected} finite numbers >= 0 each, as its record says")
    layers, start = [], 0
    for row in rows:
        N, M, rf = row.pop("N"), row.pop("M"), row.pop("rf")
        part = slice(start, start + M * rf)
        start += M * rf
        spectrum = Spectrum(values[part], N, M, rf, row["name"])
        nulls = {k: partial(Spectrum, null[part], N, M, rf, row["name"]) for k, null in held.items()}
        layers.append(Layer(**row, spectrum=spectrum, nulls=nulls))
    return AtlasModel(name, tuple(layers), provenance)


def _check_row(row: dict[str, Any]) -> None:
    """Refuse a layer of a record whose figures or names are none."""
    sizes = [row["rf"], row["M"], row["N"]]
    if not all(type(size) is int and size >= 1 for size in sizes) or row["M"] > row["N"]:
        raise ValueError(f"a layer has N={row['N']!r}, M={row['M']!r}, rf={row['rf']!r}")
    texts = [row["name"], row["longname"], row["layer_type"]]
    if type(row["layer_id"]) is not int or not all(isinstance(text, str) for text in texts):
        raise ValueError(f"a layer has the id {row['layer_id']!r} and the names {texts!r}")
    if not isinstance(row["init_std"], float | int | None):
        raise ValueError(f"layer {row['name']!r} has init_std={row['init_std']!r}")
