"""The main job without a browser: two real models against noise, as tables and figures in a folder."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from . import atlas
from .analysis import Options, analyze, layers_of
from .fingers import fix_fingers
from .gaussian_spectra import gaussian_spectrum
from .plotting import describe, plot_alphas, plot_layer_grid, plot_spectrum, plot_tail

#: The layers whose grids are drawn, and the one whose finger is shown.
ROLES = ("feed-forward in", "query")
FINGER = ("smollm2", "block 23 attention output")


def demo(folder: Path) -> dict[str, pd.DataFrame]:
    """Analyse both models of the atlas, print what is seen, and write tables and figures into a folder.

    Figures: singular values of MiniLM's feed-forward and query matrices over Gaussian ones of the same shapes (the
    entries' own variance); one layer with its finger; the alphas of both models before and after fingers are fixed.

    Parameters
    ----------
    folder : Path
        Made if need be; files of the same names are replaced.

    Returns
    -------
    dict of str to DataFrame
        The table of each model.
    """
    from .cli import summary, table

    folder.mkdir(parents=True, exist_ok=True)
    tables = {name: analyze(name, fix_fingers="clip_xmax") for name in ("minilm", "smollm2")}
    for name, details in tables.items():
        model = atlas.load(name)
        print(f"\n{name}: {model.provenance['model']} ({model.provenance['note']})\n")
        print(table(details))
        print(f"\n{summary(details)}")
        details.to_csv(folder / f"{name}.csv", index=False)

    print(f"\nFigures in {folder}:")
    minilm = atlas.load("minilm")
    for role in ROLES:
        spectra = [x.spectrum for x in minilm.select(role)]
        nulls = [gaussian_spectrum(s.N, s.M, s.entry_std, rng=i) for i, s in enumerate(spectra)]
        _save(plot_layer_grid(spectra, nulls), folder / f"minilm {role}.png")
    spectrum = atlas.load(FINGER[0])[FINGER[1]].spectrum
    ax = _axes()
    plot_tail(spectrum, fix_fingers(spectrum.nonzero_eigenvalues), ax)
    _save(ax.figure, folder / "a finger.png")
    figure = _figure(height=9)
    panels = figure.subplots(2, 1)
    for ax, column, kind in zip(panels, ("raw_alpha", "alpha"), ("raw", "fingers fixed"), strict=True):
        plot_alphas({f"{k} {kind}": t.assign(alpha=t[column]) for k, t in tables.items()}, ax)
    limits = np.array([ax.get_xlim() for ax in panels])
    for ax in panels:
        ax.set_xlim(limits[:, 0].min(), limits[:, 1].max())
    _save(figure, folder / "alphas.png")
    return tables


def plot_layers(source: Any, details: pd.DataFrame, folder: Path) -> None:
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
    """
    folder.mkdir(parents=True, exist_ok=True)
    options = Options(**details.attrs["options"])
    drawn = [int(i) for i in details.loc[details["status"] == "success", "layer_id"]]
    for layer in layers_of(source, drawn, options.split_qkv) if drawn else ():
        figure = _figure(12)
        left, right = figure.subplots(1, 2)
        plot_spectrum(layer.spectrum, ax=left)
        plot_tail(layer.spectrum, options.fit(layer.spectrum), ax=right)
        figure.suptitle(layer.longname)
        name = re.sub(r'[\\/:*?"<>|]', "_", layer.name)
        save_figure(figure, folder / f"{layer.layer_id:03d} {name}.png", dpi=100)
        del layer  # and its matrix, before the next one is read


def _figure(width: float = 8, height: float = 5) -> Figure:
    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def _axes() -> Any:
    return _figure().add_subplot()


def save_figure(figure: Any, path: Path, dpi: float = 150) -> None:
    """Write a figure as PNG, with its words in the file's ``Description`` text."""
    figure.savefig(path, dpi=dpi, metadata={"Description": describe(figure)})


def _save(figure: Any, path: Path) -> None:
    save_figure(figure, path)
    print(f"  {path.name}: {describe(figure)}")
