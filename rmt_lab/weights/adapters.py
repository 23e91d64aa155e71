"""LoRA adapters as PEFT keeps them: a folder with the factors A and B of every layer's change, s B A.

Source: Hu et al. (2022), LoRA, ICLR; Kalajdzievski (2023), arXiv 2312.03732, on the scale with ``use_rslora``. The
names are those of the package peft.
"""

from __future__ import annotations

import json
import math
import os
import re
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from .._arrays import Matrix
from ..spectrum import Spectrum, spectrum_of_product
from .checkpoints import read_checkpoint
from .names import short_names
from .pairs import Solver, edge_of, matched
from .read import FoundMatrix
from .roles import model_order
from .tensors import StoredTensor

_CONFIG = "adapter_config.json"
_FILES = ("adapter_model.safetensors", "adapter_model.bin")
_FACTOR = re.compile(r"^(?:base_model\.model\.)?(.+)\.lora_(embedding_)?([AB])(?:\.default)?(?:\.weight)?$")


class FoundProduct(NamedTuple):
    """The change s B A of one layer, its factors found and not read."""

    layer_id: int
    name: str
    longname: str
    layer_type: str
    shape: tuple[int, ...]
    B: FoundMatrix
    A: FoundMatrix
    scale: float
    transposed: bool  # the base keeps the layer inputs x outputs
    why: str = ""

    @property
    def how(self) -> dict[str, Any]:
        """What the spectrum depends on besides the stored matrices."""
        return {"of": "product", "scale": self.scale, "transposed": self.transposed}

    def parts(self) -> tuple[Matrix, ...]:
        """B and A, as they are stored.

        Raises
        ------
        ValueError
            If one of them cannot be read; the message says why.
        """
        if self.why:
            raise ValueError(self.why)
        return self.B.read(), self.A.read()

    def combine(self, B: Matrix, A: Matrix) -> Matrix:
        """s B A in float64, as the base keeps the layer."""
        product: Matrix = self.scale * (B.astype(np.float64) @ A.astype(np.float64))
        return product.T if self.transposed else product

    def spectrum(self, B: Matrix, A: Matrix, *, solve: Solver = Spectrum.from_matrix) -> Spectrum:
        """Of s B A, from the factors, whatever solves other matrices."""
        return spectrum_of_product(B, A, self.scale, self.name)


class FoundMerged(NamedTuple):
    """A layer of the base with the change of an adapter: W + s B A, nothing of it read yet."""

    layer_id: int
    name: str
    longname: str
    layer_type: str
    shape: tuple[int, ...]
    base: FoundMatrix | None
    product: FoundProduct
    why: str = ""

    @property
    def how(self) -> dict[str, Any]:
        """What the spectrum depends on besides the stored matrices."""
        return {**(self.base.how if self.base else {}), **self.product.how, "of": "merged"}

    def parts(self) -> tuple[Matrix, ...]:
        """W, B and A, as they are stored.

        Raises
        ------
        ValueError
            If the base has no such layer, or one of them cannot be read; the message says why.
        """
        if self.base is None or self.why:
            raise ValueError(self.why)
        return self.base.read(), *self.product.parts()

    def combine(self, W: Matrix, B: Matrix, A: Matrix) -> Matrix:
        """W + s B A in float64."""
        return np.add(W, self.product.combine(B, A), dtype=np.float64)

    def spectrum(self, W: Matrix, B: Matrix, A: Matrix, *, solve: Solver = Spectrum.from_matrix) -> Spectrum:
        """Of W + s B A, with the rounding of W."""
        if self.base is None:
            raise ValueError(self.why)
        return replace(solve(self.combine(W, B, A)), name=self.name, rounding=edge_of(self.base, W))

    def both(self, W: Matrix, B: Matrix, A: Matrix) -> tuple[Matrix, Matrix]:
        """The matrix before and after."""
        return W, self.combine(W, B, A)


def is_adapter(source: Any) -> bool:
    """Whether this is the path of an adapter's folder."""
    return isinstance(source, str | os.PathLike) and (Path(source).expanduser() / _CONFIG).is_file()


def find_products(folder: str | os.PathLike[str]) -> list[FoundProduct]:
    """The changes of an adapter's layers, unread, in the order of the model.

    The scale of a layer is lora_alpha / r, or lora_alpha / sqrt(r) with ``use_rslora``; ``rank_pattern`` and
    ``alpha_pattern`` hold those of single layers. A pair that cannot be multiplied says so when it is read.

    Raises
    ------
    FileNotFoundError
        If the folder has no adapter_model.safetensors or adapter_model.bin.
    ValueError
        If the folder holds no LoRA adapter, or one whose change is not s B A (DoRA).

    Warns
    -----
    UserWarning
        If the adapter also holds matrices that were trained whole (``modules_to_save``); they are left out.
    """
    folder = Path(folder).expanduser()
    config = _config(folder)
    path = next((folder / name for name in _FILES if (folder / name).exists()), None)
    if path is None:
        raise FileNotFoundError(f"source={str(folder)!r}: no adapter in this folder; looked for {', '.join(_FILES)}")
    factors: dict[str, dict[str, StoredTensor]] = {}
    kinds: dict[str, str] = {}
    whole = []
    for tensor in read_checkpoint(path):
        if "lora_magnitude_vector" in tensor.name:
            raise ValueError(_dora(folder))
        if found := _FACTOR.match(tensor.name):
            factors.setdefault(found[1], {})[found[3]] = tensor
            kinds[found[1]] = "embedding" if found[2] else "dense"
        elif len(tensor.shape) >= 2:
            whole.append(tensor.name)
    if not factors:
        raise ValueError(f"source={str(path)!r} holds no pair of lora_A and lora_B")
    if whole:
        what = f"{whole[0]}{f' and {len(whole) - 1} more' if len(whole) > 1 else ''}"
        warnings.warn(f"{what}: stored whole, not as a pair of factors, and left out", stacklevel=2)
    paths = sorted(factors, key=model_order)
    return [
        _product(i, name, path, kinds[path], factors[path], config)
        for i, (path, name) in enumerate(zip(paths, short_names(paths), strict=True))
    ]


def find_merged(folder: str | os.PathLike[str], base: list[FoundMatrix]) -> list[FoundMerged]:
    """The layers that an adapter changes, W + s B A, unread.

    Raises
    ------
    FileNotFoundError, ValueError
        As :func:`find_products`.
    """
    products = find_products(folder)
    partners, _ = matched(products, base)
    merged = []
    for product, W in zip(products, partners, strict=True):
        why = product.why
        if W is None:
            why = "the base has no such layer"
        elif not why and W.shape != product.shape:
            shapes = [" x ".join(map(str, x.shape)) for x in (product, W)]
            why = f"its change has shape {shapes[0]}, and the layer {shapes[1]} in the base"
        merged.append(FoundMerged(*product[:5], W, product, why))
    return merged


def _config(folder: Path) -> dict[str, Any]:
    where = f"source={str(folder / _CONFIG)!r}"
    try:
        config = json.loads((folder / _CONFIG).read_text(encoding="utf-8"))
        kind, rank, alpha = config.get("peft_type", "LORA"), config["r"], config["lora_alpha"]
        sizes = [
            rank,
            alpha,
            *(config.get("rank_pattern") or {}).values(),
            *(config.get("alpha_pattern") or {}).values(),
        ]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{where} is no configuration of a LoRA adapter: {error!r:.200}") from None
    if kind != "LORA":
        raise ValueError(f"{where} has peft_type={kind!r}; LORA is allowed, whose change is a product of two matrices")
    if config.get("use_dora"):
        raise ValueError(_dora(folder))
    if not all(type(x) in (int, float) and 0 < x < 1e12 for x in sizes):
        raise ValueError(f"{where} has r={rank!r}, lora_alpha={alpha!r}; positive numbers are needed")
    return dict(config)


def _dora(folder: Path) -> str:
    return (
        f"source={str(folder)!r} is a DoRA adapter: it also rescales the columns of the layers, so that their change "
        "is not B A. Merge it (merge_and_unload in peft), save the model, and pass that as source with base="
    )


def _product(
    layer_id: int, name: str, path: str, kind: str, pair: dict[str, StoredTensor], config: dict[str, Any]
) -> FoundProduct:
    rank = _of_layer(config.get("rank_pattern"), path, config["r"])
    alpha = _of_layer(config.get("alpha_pattern"), path, config["lora_alpha"])
    scale = alpha / math.sqrt(rank) if config.get("use_rslora") else alpha / rank
    B, A = (_factor(pair.get(side), side, layer_id, path) for side in "BA")
    transposed = kind == "embedding" or bool(config.get("fan_in_fan_out"))
    why, shape = "", (B.shape[0], *A.shape[1:])
    if not (B.tensor.shape and A.tensor.shape):
        why = f"its adapter lacks lora_{'A' if B.tensor.shape else 'B'}"
    elif len(B.shape) != 2 or len(A.shape) != 2:
        why = "its adapter is that of a convolution, whose change is not one product of matrices"
    elif not B.shape[1] == A.shape[0] == rank:
        why = f"lora_B is {B.shape[0]} x {B.shape[1]}, lora_A is {A.shape[0]} x {A.shape[1]}, and r is {rank}"
    return FoundProduct(
        layer_id, name, path, kind, shape[::-1] if transposed else shape, B, A, float(scale), transposed, why
    )


def _factor(tensor: StoredTensor | None, side: str, layer_id: int, path: str) -> FoundMatrix:
    name = f"{path}.lora_{side}"
    tensor = tensor or StoredTensor(name, (), "float32", np.zeros)
    return FoundMatrix(layer_id, name, name, "dense", tensor.shape or (0, 0), tensor, ...)


def _of_layer(pattern: dict[str, Any] | None, path: str, default: Any) -> Any:
    """The value of a layer: that of the first name or regular expression that its path ends in, as in peft."""
    for key, value in (pattern or {}).items():
        try:
            if re.match(rf"({key[1:]})$" if key.startswith("^") else rf"(.*\.)?({key})$", path):
                return value
        except re.error as error:
            raise ValueError(f"source: {_CONFIG} has the pattern {key!r:.100}, which is none: {error}") from None
    return default
