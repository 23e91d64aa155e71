"""A small GPT that was pruned and steered by its spectra: what came of it, and one of the networks to try it on.

Made by ``scripts/steer.py``, which says how; docs/steering.md and docs/lower-end.md have the tables. The network is run
by numpy alone, so that a notebook can prune it without torch.
"""

from __future__ import annotations

import gzip
import io
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from .._files import read_record, shipped_folder
from .._repr import html_table

if TYPE_CHECKING:
    import pandas as pd

Weights = npt.NDArray[np.float32]

_FORMAT = 1
_EPS = 1e-5  # of GPT-2's normalisation
_AT_A_TIME = 32  # windows


@dataclass(frozen=True, eq=False, repr=False)
class Steering:
    """What steering by spectra did; made by :func:`steering`.

    Attributes
    ----------
    record : dict
        How it was made: ``steps``, ``batch``, ``rate``, ``decay``, ``versions``, the checksum of the text.
    matrices : dict of str to array
        The 24 weight matrices in the blocks of the network of seed 0 and uniform decay, inputs by outputs, by names
        such as ``"0.query"``. They were rounded to 16 bits, as all its weights.
    text : array of shape (windows, context)
        Held-out bytes.
    """

    record: dict[str, Any]
    matrices: dict[str, Weights]
    text: npt.NDArray[np.int64]
    _others: dict[str, Weights]

    @property
    def table(self) -> pd.DataFrame:
        """A row for every network that was trained, pruned or had singular values taken out.

        ``experiment``
            "decay", "pruning" or "removal"
        ``method, level, seed, draw``
            ``level`` is the mean decay, the sparsity, or the share of the singular values of each matrix; random
            methods have draws
        ``test_loss, test_error``
            on held-out text, in nats per byte and as the share of bytes that are not foretold
        ``train_loss, train_error``
            trainings only
        ``removed``
            the share of the entries that are zero, or of the squared norm that was taken out
        """
        return _csv("results").copy()

    @property
    def layers(self) -> pd.DataFrame:
        """A row for every matrix of every pruned network: ``seed, layer, N, M``, its scores, and what pruning it costs.

        ``rise``: by how much the training loss rises when half of the entries of this matrix alone are set to zero.
        """
        return _csv("layers").copy()

    def loss(self, changed: Mapping[str, npt.ArrayLike] | None = None, windows: int | None = None) -> float:
        """Loss on the held-out text, in nats per byte, with some matrices replaced by others.

        Parameters
        ----------
        changed : mapping of str to array_like, optional
            Matrices by the names and of the shapes of ``matrices``.
        windows : int, optional
            How many of the windows of text; default: all.

        Raises
        ------
        ValueError
            If there is no matrix of that name, or it has another shape.

        Examples
        --------
        >>> network = steering()
        >>> network.loss(windows=8) < network.loss({"0.value": np.zeros((128, 128))}, windows=8)
        True
        """
        given = {name: np.asarray(W, dtype=np.float32) for name, W in (changed or {}).items()}
        for name, W in given.items():
            if name not in self.matrices:
                raise ValueError(f"changed[{name!r}]; matrices are {', '.join(self.matrices)}")
            if W.shape != self.matrices[name].shape:
                raise ValueError(f"changed[{name!r}] of shape {W.shape}; it has {self.matrices[name].shape}")
        weights = self._others | self.matrices | given
        text = self.text[:windows]
        total = sum(
            _log_loss(weights, text[i : i + _AT_A_TIME], self.record["blocks"], self.record["heads"]).sum()
            for i in range(0, len(text), _AT_A_TIME)
        )
        return float(total) / (text[:, 1:].size)

    def __repr__(self) -> str:
        return f"Steering({len(self.matrices)} matrices; {len(_csv('results'))} results)"

    def _repr_html_(self) -> str:
        counts = _csv("results").groupby("experiment").size()
        facts = {f"results: {name}": str(n) for name, n in counts.items()}
        return html_table("Steering", {"matrices": str(len(self.matrices)), **facts})


@lru_cache(maxsize=2)
def _csv(name: str) -> pd.DataFrame:
    import pandas as pd

    return pd.read_csv(io.BytesIO(gzip.decompress((shipped_folder("steering") / f"{name}.csv.gz").read_bytes())))


@lru_cache(maxsize=1)
def steering() -> Steering:
    """The results of scripts/steer.py, and one network.

    Examples
    --------
    >>> found = steering()
    >>> len(found.matrices), found.matrices["3.feed-forward in"].shape
    (24, (128, 512))
    >>> sorted(found.table.seed.unique().tolist())
    [0, 1, 2, 3, 4]
    """
    record, arrays = read_record((shipped_folder("steering") / "network.npz").read_bytes(), _FORMAT)
    text = arrays.pop("text").astype(np.int64)
    weights = {name: np.asarray(W, dtype=np.float32) for name, W in arrays.items()}
    for W in weights.values():
        W.flags.writeable = False
    matrices = {name: weights.pop(name) for name in record["matrices"]}
    return Steering(record, matrices, text, weights)


def _log_loss(
    weights: Mapping[str, Weights], text: npt.NDArray[np.int64], blocks: int, heads: int
) -> npt.NDArray[np.float64]:
    """-ln p of every byte but the first of each window; GPT-2's forward pass, in float32."""
    windows, length = text.shape
    x = weights["bytes"][text] + weights["positions"][:length]
    width = x.shape[-1]
    later = np.triu(np.full((length, length), -np.inf, np.float32), 1)
    for i in range(blocks):
        h = _normalised(x, weights, f"{i}.norm 1")
        q, k, v = (
            (h @ weights[f"{i}.{role}"] + weights[f"{i}.{role} bias"])
            .reshape(windows, length, heads, width // heads)
            .transpose(0, 2, 1, 3)
            for role in ("query", "key", "value")
        )
        scores = q @ k.transpose(0, 1, 3, 2) / (width // heads) ** 0.5 + later
        scores = np.exp(scores - scores.max(axis=-1, keepdims=True))
        mixed = (scores / scores.sum(axis=-1, keepdims=True)) @ v
        mixed = mixed.transpose(0, 2, 1, 3).reshape(windows, length, width)
        x = x + mixed @ weights[f"{i}.attention out"] + weights[f"{i}.attention out bias"]
        h = _normalised(x, weights, f"{i}.norm 2")
        h = _gelu(h @ weights[f"{i}.feed-forward in"] + weights[f"{i}.feed-forward in bias"])
        x = x + h @ weights[f"{i}.feed-forward out"] + weights[f"{i}.feed-forward out bias"]
    logits = (_normalised(x, weights, "last norm") @ weights["bytes"].T)[:, :-1].astype(np.float64)
    top = logits.max(axis=-1, keepdims=True)
    log_sum = top[..., 0] + np.log(np.exp(logits - top).sum(axis=-1))
    return np.asarray(log_sum - np.take_along_axis(logits, text[:, 1:, None], axis=-1)[..., 0])


def _normalised(x: Weights, weights: Mapping[str, Weights], name: str) -> Weights:
    x = x - x.mean(axis=-1, keepdims=True)
    x = x / np.sqrt((x * x).mean(axis=-1, keepdims=True) + _EPS)
    return np.asarray(x * weights[name] + weights[f"{name} bias"])


def _gelu(x: Weights) -> Weights:
    """GPT-2's: x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))) / 2."""
    return np.asarray(0.5 * x * (1 + np.tanh((2 / np.pi) ** 0.5 * (x + 0.044715 * x**3))), dtype=np.float32)
