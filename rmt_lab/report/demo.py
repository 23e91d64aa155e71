"""The main job without a browser: two real models against noise, as tables and figures in a folder."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from .. import atlas
from .._files import written_whole
from ..analysis import analyze
from ..ensembles.spectra import gaussian_spectrum
from ..plotting import alt_text, plot_alphas, plot_layer_grid
from ..plotting.tails import plot_tail
from ..tails.fingers import fix_fingers
from .figures import new_canvas, save_figure
from .text import summary, table

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
    folder.mkdir(parents=True, exist_ok=True)
    tables = write_tables(("minilm", "smollm2"), folder)
    print(f"\nFigures in {folder}:")
    draw_against_noise("minilm", folder)
    draw_finger(*FINGER, folder)
    draw_alphas(tables, folder)
    return tables


def write_tables(names: Iterable[str], folder: Path) -> dict[str, pd.DataFrame]:
    """The table of each of these models of the atlas, fingers fixed by ``clip_xmax``: printed, and written as CSV."""
    tables = {name: analyze(name, fix_fingers="clip_xmax") for name in names}
    for name, details in tables.items():
        model = atlas.load(name)
        print(f"\n{name}: {model.provenance['model']} ({model.provenance['note']})\n")
        print(table(details))
        print(f"\n{summary(details)}")
        with written_whole(folder / f"{name}.csv") as file:
            file.write(details.to_csv(index=False).encode())
    return tables


def draw_against_noise(name: str, folder: Path) -> None:
    """A grid for each of :data:`ROLES`: the layers of a model of the atlas over Gaussian ones of the same shapes."""
    model = atlas.load(name)
    for role in ROLES:
        spectra = [x.spectrum for x in model.select(role)]
        nulls = [gaussian_spectrum(s.N, s.M, s.entry_std, rng=i) for i, s in enumerate(spectra)]
        figure = plot_layer_grid(spectra, nulls, noise="Gaussian noise, same shape and variance")
        _save(figure, folder / f"{name} {role}.png")


def draw_finger(name: str, layer: str, folder: Path) -> None:
    """The tail of one layer of a model of the atlas, with the power law before and after its fingers are dropped."""
    spectrum = atlas.load(name)[layer].spectrum
    ax = new_canvas().add_subplot()
    plot_tail(spectrum, fix_fingers(spectrum.nonzero_eigenvalues), ax)
    _save(ax.figure, folder / "a finger.png")


def draw_alphas(tables: Mapping[str, pd.DataFrame], folder: Path) -> None:
    """The alphas of some models before fingers are fixed, and after."""
    figure = new_canvas(height=9)
    panels = figure.subplots(2, 1)
    for ax, column, kind in zip(panels, ("raw_alpha", "alpha"), ("raw", "fingers fixed"), strict=True):
        plot_alphas({f"{k} {kind}": t.assign(alpha=t[column]) for k, t in tables.items()}, ax)
    limits = np.array([ax.get_xlim() for ax in panels])
    for ax in panels:
        ax.set_xlim(limits[:, 0].min(), limits[:, 1].max())
    _save(figure, folder / "alphas.png")


def _save(figure: Any, path: Path) -> None:
    save_figure(figure, path)
    print(f"  {path.name}: {alt_text(figure)}")
