"""Recorded trainings: three of one seed each, step by step; and collections of many, that differ in their settings."""

from . import quality
from .collections import Collection, collection
from .training import Training, checksum, load, names, record

__all__ = ["Collection", "Training", "checksum", "collection", "load", "names", "quality", "record"]
