"""A model, a checkpoint or a hub name -> its weight matrices, one at a time, and what each of them is."""

from .read import WeightMatrix, iter_weights, select_layers

__all__ = ["WeightMatrix", "iter_weights", "select_layers"]
