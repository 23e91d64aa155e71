"""Quantised weights: several tensors of a checkpoint -> the one matrix that they stand for, in float32.

============================  ==================================================  ====================================
format                        its tensors                                         W
============================  ==================================================  ====================================
8-bit floats, 8-bit integers  ``weight``, ``weight_scale`` or ``_scale_inv``      weight * scale
bitsandbytes, 8 bits          ``weight``, ``SCB`` (one per row)                   weight * SCB / 127
bitsandbytes, nf4 and fp4     ``weight``, ``absmax``, ``quant_map``, a state      quant_map[code] * absmax of its block
GPTQ, 2, 4 and 8 bits         ``qweight``, ``qzeros``, ``scales``, ``g_idx``      (code - zero) * scale of its group
AWQ, 4 bits                   ``qweight``, ``qzeros``, ``scales``                 (code - zero) * scale of its group
MXFP4                         ``*_blocks``, ``*_scales``                          4-bit float * 2^(scale - 127)
============================  ==================================================  ====================================

A scale belongs to all of W, to a row, to a column, or to a block of it. The scales are no weights. An 8-bit float
without a scale beside it is read as it is, since many files are plain casts, and :data:`UNSCALED` is the warning.

Sources: Dettmers et al. (2022), arXiv:2208.07339 (8 bits), and (2023), arXiv:2305.14314 (nf4, the quantised absmax);
Frantar et al. (2023), arXiv:2210.17323 (GPTQ); Lin et al. (2024), arXiv:2306.00978 (AWQ); DeepSeek-AI (2024),
arXiv:2412.19437 (blocks of 128 x 128); Open Compute Project (2023), OCP Microscaling Formats specification (MXFP4).
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from .._arrays import Matrix
from ..spectrum import FORMATS
from .tensors import StoredTensor, unreadable

FLOAT8 = ("float8_e4m3fn", "float8_e5m2")
_SCALED = {name: f"{name}_scaled" for name in (*FLOAT8, "int8")}
#: The dtypes of the weights that are made here, and the bits of a code.
QUANTISED = dict.fromkeys((*_SCALED.values(), "int8_bitsandbytes", "gptq8"), 8)
QUANTISED |= dict.fromkeys(("nf4", "fp4", "gptq4", "awq4", "mxfp4"), 4) | {"gptq2": 2}
#: What is said of a matrix whose dtype is in FLOAT8.
UNSCALED = "8-bit floats without a scale beside them, taken as a plain cast"
_BLOCK = 128  # rows and columns that share a scale in DeepSeek's files
_STATE = ".quant_state.bitsandbytes__"
_STATE_BYTES, _CONFIG_BYTES = 10_000, 10_000_000
# 1 bit of sign, 2 of exponent, 1 of mantissa: the values of MXFP4
_E2M1 = np.array([0, 0.5, 1, 1.5, 2, 3, 4, 6, -0.0, -0.5, -1, -1.5, -2, -3, -4, -6], dtype=np.float32)
_AWQ_COLUMNS = (0, 2, 4, 6, 1, 3, 5, 7)  # which of eight columns the first, second, ... four bits of a number hold
_CLOSED = {  # ending of the name: what is stored beside it, format, and what to do
    "q_weight": (("q_scale", "q_scale_max", "q_groups"), "EXL2", "load it with exllamav2"),
    "trellis": (("suh", "svh", "su", "sv"), "EXL3", "load it with exllamav3"),
    "weight_packed": (
        ("weight_scale", "weight_shape"),
        "compressed-tensors' packed format",
        "decompress it with the package compressed-tensors",
    ),
    "W_q": (("scale", "zero"), "HQQ", "load it with hqq and call dequantize() of its layers"),
    "codes": (("codebooks", "scales"), "AQLM", "load it with aqlm"),
    "Qidxs": (("SU", "SV"), "QuIP#", "load it with its own package"),
    "B": (("s",), "Marlin", "load it with gptqmodel"),
}
_CODES = ("int8", "int16", "uint8", "int32", "int64", "i16", "i64", *FLOAT8)  # safetensors' names among them


class _Bad(Exception):
    """What is wrong with the parts of a quantised weight."""


@dataclass(frozen=True)
class _Weight:
    """How a quantised weight is read: the parts that it is made of, and the function that takes them."""

    formula: Callable[..., Matrix]
    parts: dict[str, StoredTensor]
    stacked: bool = False

    def __call__(self, part: Any) -> Matrix:
        return self._made(part)

    def step(self, part: Any) -> Matrix:
        """The distance of neighbouring values at each entry: the same formula, of the gaps between the codes."""
        return self._made(part, step=True)

    def _made(self, part: Any, **how: bool) -> Matrix:
        alone = self.stacked and isinstance(part, int)  # one matrix of a stack
        values = {name: tensor.read(part if alone else ...) for name, tensor in self.parts.items()}
        with np.errstate(all="ignore"):  # infinities and NaN are passed on
            W = self.formula(**values, **how)
        return W if alone else W[part]


def dequantised(tensors: Iterable[StoredTensor], settings: Mapping[str, Any] | None = None) -> list[StoredTensor]:
    """The tensors of a source, with those of one quantised weight as one; its parts stay, marked as no weights.

    Parameters
    ----------
    tensors : iterable of StoredTensor
    settings : mapping, optional
        The ``quantization_config`` of the model, see :func:`quantisation_settings`: ``checkpoint_format`` tells
        GPTQ's second format, ``weight_block_size`` the blocks of scales.

    Returns
    -------
    list of StoredTensor
        A weight whose parts are missing or do not fit is unreadable in its place; reading it says why.

    Examples
    --------
    >>> state = {"fc.weight": np.array([[127, -64]], np.int8), "fc.SCB": np.array([2.0], np.float32)}
    >>> tensors = [StoredTensor(k, v.shape, v.dtype.name, v.__getitem__) for k, v in state.items()]
    >>> weight, scales = dequantised(tensors)
    >>> weight.dtype, weight.read(...).round(3), scales.layer_type
    ('int8_bitsandbytes', array([[ 2.   , -1.008]], dtype=float32), '')
    """
    tensors = list(tensors)
    held = {tensor.name: tensor for tensor in tensors}
    made: dict[str, StoredTensor] = {}
    used: set[str] = set()
    for tensor in tensors:
        if tensor.dtype not in _CODES and f"{tensor.name}.absmax" not in held:
            continue
        parts = _Parts(tensor, held, settings or {})
        try:
            if found := _weight(parts):
                made[tensor.name] = found
        except _Bad as error:
            made[tensor.name] = unreadable(parts.weight_name, str(error))
        used |= parts.used
    used -= set(made)
    return [
        made.get(tensor.name) or (replace(tensor, layer_type="") if tensor.name in used else tensor)
        for tensor in tensors
    ]


def step_of(tensor: StoredTensor, part: Any) -> Matrix | None:
    """The distance of neighbouring values of a quantised weight, for its rounding edge; None for any other tensor."""
    return tensor.read.step(part) if isinstance(tensor.read, _Weight) else None


def quantisation_settings(folder: Path) -> dict[str, Any]:
    """The ``quantization_config`` beside a checkpoint, from ``config.json`` or ``quantize_config.json``; or nothing."""
    for name in ("config.json", "quantize_config.json"):
        try:
            if (folder / name).stat().st_size > _CONFIG_BYTES:
                continue
            found = json.loads((folder / name).read_bytes())
            found = found.get("quantization_config") if name == "config.json" else found
        except (OSError, ValueError, AttributeError, RecursionError):  # a bad file beside it is not the checkpoint's
            continue
        if isinstance(found, dict):
            return found
    return {}


class _Parts:
    """A tensor, and the others that may belong to it."""

    def __init__(self, tensor: StoredTensor, held: Mapping[str, StoredTensor], settings: Mapping[str, Any]) -> None:
        self.tensor, self.held, self.settings = tensor, held, settings
        self.used: set[str] = set()
        self.weight_name = tensor.name

    def get(self, *names: str) -> StoredTensor | None:
        """The first of these that there is; it is then a part."""
        for name in names:
            if name in self.held:
                self.used.add(name)
                return self.held[name]
        return None

    def need(self, what: str, *names: str) -> StoredTensor:
        found = self.get(*names)
        if found is None:
            raise _Bad(f"a part of it is missing, its {what} ({' or '.join(names)})")
        return found

    def made(self, dtype: str, shape: tuple[int, ...], weight: _Weight) -> StoredTensor:
        t = self.tensor
        return StoredTensor(self.weight_name, shape, dtype, weight, t.layer_type, t.identity)


def _weight(parts: _Parts) -> StoredTensor | None:
    """The weight that a tensor holds the codes of; None for any other tensor."""
    tensor = parts.tensor
    prefix, _, last = tensor.name.rpartition(".")
    if last == "qweight" and tensor.dtype == "int32":
        return _gptq_or_awq(parts, prefix)
    if last.endswith("_blocks") and tensor.dtype == "uint8":
        return _mxfp4(parts)
    if last in _CLOSED and len(tensor.shape) > 1:
        beside, name, remedy = _CLOSED[last]
        dot = tensor.name.removesuffix(last)
        found = [parts.get(dot + part) for part in beside]
        if any(found):  # alone, "B" or "codes" may be any integers
            parts.weight_name = f"{dot}weight"
            raise _Bad(
                f"it is stored in {name}, which is not read here; {remedy}, and pass the model or its state dict"
            )
    if f"{tensor.name}.absmax" in parts.held:
        return _bitsandbytes4(parts)
    if tensor.dtype == "int8" and (scales := parts.get(f"{tensor.name[:-6]}SCB", f"{tensor.name}.SCB")):
        parts.get(f"{tensor.name}_format")
        _check(tensor, scales, tensor.shape[:1])
        return parts.made("int8_bitsandbytes", tensor.shape, _Weight(_int8, {"weight": tensor, "SCB": scales}))
    if tensor.dtype == "int8" or tensor.dtype in FLOAT8:
        return _scaled(parts)
    return None


def _check(tensor: StoredTensor, part: StoredTensor, *shapes: tuple[int, ...]) -> None:
    if part.shape not in shapes:
        allowed = " or ".join(map(str, shapes))
        raise _Bad(f"its part {part.name} has shape {part.shape}; to {tensor.shape} of {tensor.name} belongs {allowed}")


# --- a scale beside the values ----------------------------------------------------------------------------------------


def _scaled(parts: _Parts) -> StoredTensor | None:
    tensor = parts.tensor
    scale = parts.get(f"{tensor.name}_scale_inv", f"{tensor.name}_scale")
    if scale is None:
        return None
    block = parts.settings.get("weight_block_size")
    valid = isinstance(block, list) and len(block) == 2 and all(type(side) is int and side > 0 for side in block)
    repeats = _repeats(tensor, scale, tuple(block) if valid and block else (_BLOCK, _BLOCK))
    zero = parts.get(f"{tensor.name}_zero_point")
    if zero is not None:
        _check(tensor, zero, scale.shape)
    parts.get(f"{tensor.name[:-6]}input_scale", f"{tensor.name[:-6]}activation_scale")
    own = {"weight": tensor, "scale": scale} | ({} if zero is None else {"zero": zero})
    stacked = len(tensor.shape) == 3 and scale.shape[:1] == tensor.shape[:1] and len(scale.shape) == 3
    return parts.made(
        _SCALED[tensor.dtype],
        tensor.shape,
        _Weight(partial(_times_scale, repeats=repeats, dtype=tensor.dtype), own, stacked),
    )


def _repeats(tensor: StoredTensor, scale: StoredTensor, block: tuple[int, int]) -> tuple[int, ...]:
    """How many values along each axis share a scale."""
    shape, sides = tensor.shape, scale.shape
    if math.prod(sides) == 1 and len(shape) > 0:
        return (0,) * len(shape)
    if len(sides) < len(shape):
        sides += (1,) * (len(shape) - len(sides))
    sizes = (1,) * (len(shape) - 2) + block
    found = []
    for axis, (n, s) in enumerate(zip(shape, sides, strict=False)):
        last = axis == len(shape) - 1
        if s == n or s == 1:
            found.append(1 if s == n else 0)
        elif s > 0 and s == -(-n // sizes[axis]):
            found.append(sizes[axis])
        elif s > 0 and last and n % s == 0:
            found.append(n // s)
        else:
            break
    if len(found) < len(shape) or len(sides) > len(shape):
        raise _Bad(
            f"its part {scale.name} has shape {scale.shape}; to {shape} belongs one number, one per row or column, or "
            f"one per block of {block[0]} x {block[1]}"
        )
    return tuple(found)


def _times_scale(
    weight: Matrix,
    scale: Matrix,
    repeats: tuple[int, ...],
    dtype: str,
    zero: Matrix | None = None,
    step: bool = False,
) -> Matrix:
    """W = weight * scale, or (weight - zero) * scale."""
    W = weight.astype(np.float32)
    if step and dtype == "int8":
        W = np.ones_like(W)
    elif step:
        bits, smallest = FORMATS[dtype]
        W = np.ldexp(np.float32(1), np.maximum(np.frexp(W)[1] - 1 - bits, smallest))
    elif zero is not None:
        W -= _spread(zero, W.shape, repeats)
    W *= _spread(scale, W.shape, repeats)
    return W


def _spread(scale: Matrix, shape: tuple[int, ...], repeats: tuple[int, ...]) -> Matrix:
    scale = scale.astype(np.float32)
    repeats = repeats[-len(shape) :]  # of a stack's axis there is none in one matrix of it
    if scale.size == 1:
        return scale.reshape((1,) * len(shape))
    scale = scale.reshape(scale.shape + (1,) * (len(shape) - scale.ndim))
    for axis, (times, side) in enumerate(zip(repeats, shape, strict=True)):
        if times > 1:
            scale = np.repeat(scale, times, axis=axis).take(range(side), axis=axis)
    return scale


# --- bitsandbytes -----------------------------------------------------------------------------------------------------


def _int8(weight: Matrix, SCB: Matrix, step: bool = False) -> Matrix:
    """W_ij = weight_ij SCB_i / 127: the largest entry of a row is 127."""
    weight = np.ones_like(weight) if step else weight
    return weight * (SCB.astype(np.float32) / np.float32(127))[:, None]


def _bitsandbytes4(parts: _Parts) -> StoredTensor:
    tensor, name = parts.tensor, parts.tensor.name
    state_of = next((kind for kind in ("nf4", "fp4") if f"{name}{_STATE}{kind}" in parts.held), None)
    if state_of is None:
        parts.get(f"{name}.absmax")
        raise _Bad(f"a part of it is missing, its state ({name}{_STATE}nf4 or fp4)")
    if tensor.dtype != "uint8":
        raise _Bad(f"its codes are stored as {tensor.dtype}; save it with bnb_4bit_quant_storage=torch.uint8")
    state = _state(parts.need("state", f"{name}{_STATE}{state_of}"))
    own = {"weight": tensor}
    own["absmax"] = parts.need("scales", f"{name}.absmax")
    own["quant_map"] = parts.need("code", f"{name}.quant_map")
    shape, block = state["shape"], state["blocksize"]
    values = math.prod(shape)
    _check(tensor, own["quant_map"], (16,))
    _check(tensor, own["absmax"], (-(-values // block),), (-(-values // block), 1))
    if math.prod(tensor.shape) != (values + 1) // 2:
        raise _Bad(f"its state claims the shape {shape}; {tensor.shape} bytes hold two values each")
    if nested := parts.get(f"{name}.nested_absmax"):
        own["nested_absmax"] = nested
        own["nested_map"] = parts.need("code of the scales", f"{name}.nested_quant_map")
        _check(tensor, own["nested_map"], (256,))
        _check(tensor, nested, (-(-math.prod(own["absmax"].shape) // state["nested_blocksize"]),))
    if (own["absmax"].dtype == "uint8") != (nested is not None):
        raise _Bad(f"its scales {own['absmax'].name} are of {own['absmax'].dtype}; with nested_absmax they are uint8")
    # a block longer than the tensor would be filled to its end
    state["blocksize"] = min(block, values)
    state["nested_blocksize"] = min(state["nested_blocksize"], values)
    formula = partial(_four_bits, shape=shape, state=state)
    return parts.made(state_of, shape, _Weight(formula, own))


def _state(tensor: StoredTensor) -> dict[str, Any]:
    """What bitsandbytes writes down about a weight: JSON, as a tensor of bytes."""
    if tensor.dtype != "uint8" or len(tensor.shape) != 1 or tensor.shape[0] > _STATE_BYTES:
        raise _Bad(f"its part {tensor.name} is {tensor.dtype} of shape {tensor.shape}; at most {_STATE_BYTES} bytes")
    try:
        state = json.loads(tensor.read(...).astype(np.uint8).tobytes())
        shape = tuple(state["shape"])
        if not all(type(side) is int and side > 0 for side in shape) or len(shape) > 5:
            raise ValueError(f"shape {shape}")
        for key in ("blocksize", *(["nested_blocksize"] if "nested_blocksize" in state else [])):
            if type(state[key]) is not int or state[key] < 1:
                raise ValueError(f"{key} {state[key]}")
        offset = float(state.get("nested_offset", 0))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, OverflowError) as error:
        raise _Bad(f"its part {tensor.name} is no state of bitsandbytes: {error!r:.200}") from None
    nested = state.get("nested_blocksize", 256)
    return {"shape": shape, "blocksize": state["blocksize"], "nested_blocksize": nested, "nested_offset": offset}


def _four_bits(
    weight: Matrix,
    absmax: Matrix,
    quant_map: Matrix,
    shape: tuple[int, ...],
    state: dict[str, Any],
    nested_absmax: Matrix | None = None,
    nested_map: Matrix | None = None,
    step: bool = False,
) -> Matrix:
    """W = quant_map[code] absmax of its block; absmax may itself be nested_map[code] nested_absmax + offset.

    A byte holds two codes, the first one in its upper half. Blocks run through W row by row.
    """
    absmax = absmax.reshape(-1)
    if nested_absmax is not None and nested_map is not None:
        of_block = np.repeat(nested_absmax.reshape(-1), state["nested_blocksize"])[: len(absmax)]
        absmax = nested_map.astype(np.float32)[absmax] * of_block + np.float32(state["nested_offset"])
    values = quant_map.astype(np.float32)
    pairs = (_gaps(values) if step else values)[np.stack([weight.reshape(-1) >> 4, weight.reshape(-1) & 15], axis=1)]
    W = pairs.reshape(-1)[: math.prod(shape)]
    W *= np.repeat(absmax.astype(np.float32), state["blocksize"])[: len(W)]
    return W.reshape(shape)


def _gaps(values: Matrix) -> Matrix:
    """Of each of some values, the mean distance to its two neighbours, at the ends to the one; equal ones are one."""
    ordered, place = np.unique(values, return_inverse=True)
    gaps = np.diff(ordered) if len(ordered) > 1 else np.zeros(1)
    return ((np.append(gaps[:1], gaps) + np.append(gaps, gaps[-1:])) / 2).astype(np.float32)[place]


# --- GPTQ and AWQ -----------------------------------------------------------------------------------------------------


def _gptq_or_awq(parts: _Parts, prefix: str) -> StoredTensor:
    tensor = parts.tensor
    parts.weight_name = f"{prefix}.weight" if prefix else "weight"
    dot = f"{prefix}." if prefix else ""
    own = {"qweight": tensor}
    own["scales"] = parts.need("scales", f"{dot}scales")
    own["qzeros"] = parts.need("zeros", f"{dot}qzeros")
    order = parts.get(f"{dot}g_idx")
    if any(len(part.shape) != 2 for part in own.values()):
        raise _Bad("; ".join(f"{part.name} has shape {part.shape}" for part in own.values()) + "; each has two sides")
    (rows, columns), (groups, outputs) = tensor.shape, own["scales"].shape
    if own["qzeros"].dtype != "int32":
        raise _Bad(f"its part {own['qzeros'].name} is of {own['qzeros'].dtype}; int32 is needed")
    if 0 in (*tensor.shape, *own["qzeros"].shape, groups, outputs):
        raise _Bad(f"its part {own['scales'].name} has shape {own['scales'].shape}, {tensor.name} {tensor.shape}")
    if order is None and columns * 8 == outputs and rows % groups == 0:
        _check(tensor, own["qzeros"], (groups, columns))
        return parts.made("awq4", (outputs, rows), _Weight(_awq, own))
    zero_columns = own["qzeros"].shape[1]
    bits = 32 * zero_columns // outputs
    inputs = 32 * rows // bits if bits in (2, 4, 8) else 0
    if columns != outputs or 32 * zero_columns != bits * outputs or not inputs or 32 * rows % bits:
        raise _Bad(
            f"qweight {tensor.shape}, qzeros {own['qzeros'].shape} and scales {own['scales'].shape} are neither GPTQ's "
            "of 2, 4 or 8 bits nor AWQ's of 4; load it with its own package, and pass the model or its state dict"
        )
    _check(tensor, own["qzeros"], (groups, zero_columns))
    if order is not None:
        _check(tensor, order, (inputs,))
        own["g_idx"] = order
    elif inputs % groups:
        raise _Bad(f"its {inputs} inputs are not made of {groups} groups of equal size")
    second = parts.settings.get("checkpoint_format") == "gptq_v2"
    return parts.made(f"gptq{bits}", (outputs, inputs), _Weight(partial(_gptq, bits=bits, plus=not second), own))


def _unpacked(packed: Matrix, bits: int, axis: int) -> Matrix:
    """The codes of so many bits in 32-bit numbers, the lowest bits first, side by side along an axis."""
    shifts = np.arange(0, 32, bits, dtype=np.uint32)
    packed = np.moveaxis(np.ascontiguousarray(packed).view(np.uint32), axis, -1)
    codes = (packed[..., None] >> shifts & np.uint32(2**bits - 1)).astype(np.uint8)
    return np.moveaxis(codes.reshape(*packed.shape[:-1], -1), -1, axis)


def _gptq(
    qweight: Matrix,
    qzeros: Matrix,
    scales: Matrix,
    bits: int,
    plus: bool,
    g_idx: Matrix | None = None,
    step: bool = False,
) -> Matrix:
    """W_oi = (code_io - zero_go) scale_go with g the group of input i; the first format stores zero - 1.

    qweight packs inputs, qzeros packs outputs. With g_idx the inputs of a group need not be neighbours.
    """
    codes = _unpacked(qweight, bits, axis=0)
    zeros = _unpacked(qzeros, bits, axis=1)
    zeros = zeros + np.uint8(1) & np.uint8(2**bits - 1) if plus else zeros
    group = np.arange(len(codes)) // (len(codes) // len(scales)) if g_idx is None else g_idx
    if group.min() < 0 or group.max() >= len(scales):
        raise ValueError(f"its g_idx names the group {group.max()}; there are {len(scales)}")
    return _grouped(codes, zeros, scales, group, step)


def _awq(qweight: Matrix, qzeros: Matrix, scales: Matrix, step: bool = False) -> Matrix:
    """W_oi = (code_io - zero_go) scale_go; both are packed along the outputs, of eight the even ones first."""
    order = np.argsort(_AWQ_COLUMNS)
    codes, zeros = (
        _unpacked(packed, 4, axis=1).reshape(len(packed), -1, 8)[:, :, order].reshape(len(packed), -1)
        for packed in (qweight, qzeros)
    )
    return _grouped(codes, zeros, scales, np.arange(len(codes)) // (len(codes) // len(scales)), step)


def _grouped(codes: Matrix, zeros: Matrix, scales: Matrix, group: Matrix, step: bool) -> Matrix:
    W = np.ones(codes.shape, dtype=np.float32) if step else codes.astype(np.float32)
    if not step:
        W -= zeros[group]
    W *= scales.astype(np.float32)[group]
    return W.T


# --- MXFP4 ------------------------------------------------------------------------------------------------------------


def _mxfp4(parts: _Parts) -> StoredTensor | None:
    tensor = parts.tensor
    parts.weight_name = name = tensor.name.removesuffix("_blocks")
    scales = parts.need("scales", f"{name}_scales")
    if len(tensor.shape) not in (3, 4) or scales.dtype != "uint8":
        raise _Bad(
            f"its blocks have shape {tensor.shape} and its scales are of {scales.dtype}; allowed are experts x outputs "
            "x blocks x 16, and uint8"
        )
    _check(tensor, scales, tensor.shape[:-1])
    *stack, outputs, blocks, size = tensor.shape
    weight = _Weight(_microscaled, {"blocks": tensor, "scales": scales}, stacked=bool(stack))
    return parts.made("mxfp4", (*stack, blocks * size * 2, outputs), weight)


def _microscaled(blocks: Matrix, scales: Matrix, step: bool = False) -> Matrix:
    """W = e2m1(code) 2^(scale - 127); a byte holds two codes, the first one in its lower half.

    The blocks run along the inputs; W is inputs x outputs, as the model keeps it that is not quantised.
    """
    pairs = (_gaps(_E2M1) if step else _E2M1)[np.stack([blocks & 15, blocks >> 4], axis=-1)]
    W = np.ldexp(pairs, scales.astype(np.int32)[..., None, None] - 127)
    return np.swapaxes(W.reshape(*blocks.shape[:-2], -1), -1, -2)
