"""Recorded trainings, step by step: of language models and of nets that grok; collections of short ones; and phases."""

from . import quality
from .collections import Collection, collection
from .grokking import Evaluation, GrokkingTraining, load
from .training import Training, checksum, names, record

__all__ = [
    "Collection",
    "Evaluation",
    "GrokkingTraining",
    "Training",
    "checksum",
    "collection",
    "load",
    "names",
    "quality",
    "record",
]
