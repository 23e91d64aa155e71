"""Figures of a model's layers, in a folder of their own."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from .._files import written_whole
from ..analysis import Options, layers_of
from ..plotting import alt_text
from ..plotting.spectra import plot_spectrum
from ..plotting.tails import plot_tail


def plot_layers(source: Any, details: pd.DataFrame, folder: Path, cache: Path | None = None) -> None:
    """One picture per layer that a table describes: its spectrum against noise, and its tail with the power law.

    The power law is fitted with the options of the table, so that the pictures show its figures.

    Parameters
    ----------
    source
        What the table was made from.
    details : DataFrame
        Of :func:`rmt_lab.analyze`; layers that failed have no picture.
    folder : Path
        Made if need be.
    cache : Path, optional
        Where :func:`rmt_lab.analyze` kept the spectra.
    """
    folder.mkdir(parents=True, exist_ok=True)
    options = Options(**details.attrs["options"])
    drawn = [int(i) for i in details.loc[details["status"] == "success", "layer_id"]]
    how = (options.split_qkv, options.rng, cache, options.method, options.device, options.base)
    for layer in layers_of(source, drawn, *how) if drawn else ():
        figure = new_canvas(12)
        left, right = figure.subplots(1, 2)
        plot_spectrum(layer.spectrum, ax=left)
        plot_tail(layer.spectrum, options.fit(layer.spectrum), ax=right)
        figure.suptitle(layer.longname)
        name = re.sub(r'[\\/:*?"<>|]', "_", layer.name)
        save_figure(figure, folder / f"{layer.layer_id:03d} {name}.png", dpi=100)
        del layer  # and its matrix, before the next one is read


def new_canvas(width: float = 8, height: float = 5) -> Figure:
    """A figure of its own, in inches, which pyplot does not know."""
    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def save_figure(figure: Any, path: Path, dpi: float = 150) -> None:
    """Write a figure as PNG, with its words in the file's ``Description`` text."""
    with written_whole(path) as file:
        figure.savefig(file, format="png", dpi=dpi, metadata={"Description": alt_text(figure)})
