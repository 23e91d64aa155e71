"""The gates of torch's LSTM and GRU: row blocks of one tensor, one matrix each.

LSTM (Hochreiter & Schmidhuber 1997): input, forget, cell and output gate; GRU (Cho et al. 2014): reset, update and new
gate, in this order of rows. Each block has as many rows as the hidden state, which the partner of the tensor tells: of
``weight_hh`` these are the columns (of ``weight_hr``, where the state is projected).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace
from functools import partial
from typing import Any

from .._arrays import Matrix
from .tensors import StoredTensor

_FUSED = re.compile(r"(?P<path>(?:^|.*\.)weight_)(?:ih|hh)(?P<layer>(?:_l\d+)?(?:_reverse)?)")
_GATES = {4: ("input_gate", "forget_gate", "cell_gate", "output_gate"), 3: ("reset_gate", "update_gate", "new_gate")}


def gates_of(tensors: Iterable[StoredTensor]) -> list[StoredTensor]:
    """The tensors, with every gate of an LSTM or GRU as one of its own; other tensors are as they were.

    Raises
    ------
    ValueError
        If the size of the hidden state cannot be told.

    Examples
    --------
    >>> import numpy as np
    >>> state = {"rnn.weight_ih_l0": np.ones((6, 5)), "rnn.weight_hh_l0": np.ones((6, 2))}
    >>> tensors = gates_of(StoredTensor(k, v.shape, v.dtype.name, v.__getitem__) for k, v in state.items())
    >>> [(t.name, t.shape) for t in tensors[:2]]
    [('rnn.weight_ih_l0.reset_gate', (2, 5)), ('rnn.weight_ih_l0.update_gate', (2, 5))]
    """
    tensors = list(tensors)
    shapes = {tensor.name: tensor.shape for tensor in tensors}
    return [gate for tensor in tensors for gate in _gates(tensor, shapes)]


def _gates(tensor: StoredTensor, shapes: dict[str, tuple[int, ...]]) -> list[StoredTensor]:
    match = _FUSED.fullmatch(tensor.name)
    if match is None or len(tensor.shape) != 2:
        return [tensor]
    state, projected = (shapes.get(f"{match['path']}{part}{match['layer']}") for part in ("hh", "hr"))
    partner = projected or state
    size = partner[-1] if partner else 0
    rows = tensor.shape[0]
    if size == rows:  # a plain RNN
        return [tensor]
    if not size or rows % size or rows // size not in _GATES:
        raise ValueError(
            f"split_gates=True: {tensor.name} has {rows} rows, its weight_hh {partner or 'is missing'}; an LSTM has "
            "4 and a GRU 3 rows per number of the hidden state; pass split_gates=False"
        )
    found = []
    for i, gate in enumerate(_GATES[rows // size]):
        identity = None if tensor.identity is None else (tensor.identity, gate)
        read = partial(_rows, tensor, slice(i * size, (i + 1) * size))
        shape = (size, tensor.shape[1])
        found.append(replace(tensor, name=f"{tensor.name}.{gate}", shape=shape, read=read, identity=identity))
    return found


def _rows(tensor: StoredTensor, rows: slice, part: Any) -> Matrix:
    return tensor.read(rows)[part]
