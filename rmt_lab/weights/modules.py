"""A torch module -> its weights, as its layers use them.

A layer may compute its weight from other parameters: weight normalisation, orthogonal and other parametrisations of
torch, the adapters of PEFT (Hu et al. 2022, arXiv:2106.09685: W + scaling B A). Then the weight in use counts, and what
it is made of does not.
"""

from __future__ import annotations

import copy
import sys
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from .._arrays import Matrix, as_numpy
from .tensors import StoredTensor, memory_of, read_in_memory, tensor_of, unreadable


def tensors_of_module(model: Any) -> list[StoredTensor]:
    """The parameters of a torch module, in the order in which it registers them; no buffers.

    A weight that a layer computes stands where the parameters are that it is made of.
    """
    tensors: list[StoredTensor] = []
    within: set[str] = set()  # paths of sub-modules that hold no weight of their own
    for path, module in model.named_modules():
        if path and (path in within or path.rpartition(".")[0] in within):
            within.add(path)  # and so on, down to the last: a module comes before those that it holds
            continue
        dot = f"{path}." if path else ""
        made: set[str] = set()
        for name, compute, parts in _weights_in_use(module):
            within |= {dot + part for part in parts}
            made |= {name, *parts}
            tensors.append(_computed(dot + name, compute, partial(_module_type, getattr(module, "base_layer", module))))
        for name, value in module.named_parameters(recurse=False):
            if name not in made:
                kind = _module_type(module, value.ndim) if name == "weight" else None
                tensors.append(tensor_of(dot + name, value, partial(read_in_memory, value), kind, memory_of(value)))
    return tensors


def _computed(name: str, compute: Callable[[], Any], kind: Callable[[int], str | None]) -> StoredTensor:
    try:
        value = compute()
    except MemoryError:
        raise
    except Exception as error:  # of whatever computes it
        return unreadable(name, f"its layer cannot compute it: {error!r:.200}")
    return tensor_of(
        name, value, partial(_read_computed, compute), kind(value.ndim) if name.endswith("weight") else None
    )


def _read_computed(compute: Callable[[], Any], part: Any) -> Matrix:
    return as_numpy(compute())[part]


def _weights_in_use(module: Any) -> Iterator[tuple[str, Any, tuple[str, ...]]]:
    """The tensors that a torch module computes: name, function that gives it, and what is then no weight of its own.

    What is then no weight: names of parameters and of sub-modules. Nothing of the module is changed, so that a spectral
    norm makes no power iteration.
    """
    if hasattr(module, "base_layer") and hasattr(module, "get_delta_weight"):  # PEFT's
        if hasattr(module.base_layer, "weight"):
            yield "weight", partial(_merged, module), tuple(name for name, _ in module.named_children())
        return
    for name in getattr(module, "parametrizations", None) or ():
        yield name, partial(_parametrised, module, name), ("parametrizations",)
    for hook in module._forward_pre_hooks.values():  # weight_norm and spectral_norm before torch 2
        if hasattr(hook, "compute_weight") and hasattr(hook, "name"):
            made = tuple(f"{hook.name}_{ending}" for ending in ("g", "v", "orig"))
            yield hook.name, partial(_hooked, hook, module), made


def _parametrised(module: Any, name: str) -> Any:
    """The weight of a module with torch.nn.utils.parametrize, as it is in evaluation."""
    parts = [*module.parametrizations[name].modules()]
    training = [part.training for part in parts]
    try:
        for part in parts:
            part.training = False
        with _no_grad():
            return getattr(module, name)
    finally:
        for part, was in zip(parts, training, strict=True):
            part.training = was


def _hooked(hook: Any, module: Any) -> Any:
    more = (False,) if type(hook).__name__ == "SpectralNorm" else ()  # no power iteration
    with _no_grad():
        return hook.compute_weight(module, *more)


def _merged(module: Any) -> Any:
    """The weight of a PEFT layer: its base, and what its adapters add where they are in use and not yet merged."""
    if module.disable_adapters or module.merged:
        return module.get_base_layer().weight
    with _no_grad():
        one = copy.deepcopy(module)  # by PEFT's own rule, which changes the layer in place
        one.merge()
        return one.get_base_layer().weight


def _no_grad() -> Any:
    return sys.modules["torch"].no_grad()  # who has a module has torch imported


def _module_type(module: Any, ndim: int) -> str | None:
    """WeightWatcher's lower-case name for the class of a module; "" for norms, None for classes not known."""
    classes = [cls.__name__ for cls in type(module).__mro__]
    if any(name.endswith("Norm") for name in classes):
        return ""
    for name in classes:
        if name in ("Linear", "Conv1D"):  # Conv1D is transformers' Linear, stored transposed
            return "dense"
        if name.startswith("Embedding"):
            return "embedding"
        if name == "_ConvNd" and 3 <= ndim <= 5:  # torch's own; ConvNextV2GRN is none
            return f"conv{ndim - 2}d"
    return None
