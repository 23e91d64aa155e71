"""A model's table as text, and figures of it in a folder."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from ._files import written_whole
from .analysis import Options, layers_of
from .plotting import alt_text
from .plotting.spectra import plot_spectrum
from .plotting.tails import plot_tail
from .verdict import RULES

_SHOWN = [
    "name",
    "N",
    "M",
    "alpha",
    "sigma",
    "D",
    "num_pl_spikes",
    "raw_alpha",
    "num_fingers",
    "num_spikes",
    "stable_rank",
]


def table(details: pd.DataFrame) -> str:
    """The columns that fit a terminal, one row a layer; a failed layer shows its status."""
    shown = [c for c in [*_SHOWN, "alpha_population", "verdict"] if c in details]
    shown = [c for c in shown if not details[c].isna().all() or c in ("alpha", "name")]
    ok = details["status"] == "success"
    details = details.assign(**{c: details[c].map(printable) for c in ("name", "status")})
    lines = details.loc[ok, shown].to_string(float_format=lambda v: f"{v:.3g}" if abs(v) < 1 else f"{v:.2f}")
    failed = [f"{row['name']}: {row['status']}" for _, row in details[~ok].iterrows()]
    return "\n".join([*([lines] if ok.any() else []), *failed])


def printable(text: str) -> str:
    """A text from a file with its control characters written out, so that no terminal obeys them.

    Examples
    --------
    >>> printable("block 0\\x1b[2J query")
    'block 0\\\\x1b[2J query'
    """
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def csv(details: pd.DataFrame) -> str:
    """The whole table as CSV. Names come from files: what a spreadsheet would take for a formula gets an apostrophe.

    Examples
    --------
    >>> csv(pd.DataFrame({"name": ["=1+1", "query"], "alpha": [-2.0, 3.0]})).split()
    ['name,alpha', "'=1+1,-2.0", 'query,3.0']
    """
    texts = details.select_dtypes(exclude="number").columns
    return str(details.assign(**{c: details[c].map(_cell) for c in texts}).to_csv(index=False))


def _cell(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    return f"'{printable(value)}" if value.startswith(("=", "+", "-", "@")) else printable(value)


def summary(details: pd.DataFrame) -> str:
    """Two or three sentences about the alphas of a table."""
    ok = details[details["status"] == "success"]
    if ok.empty:
        return f"None of {len(details)} layers could be analysed."
    text = f"{len(ok)} of {len(details)} layers analysed; mean alpha {ok['raw_alpha'].mean():.2f}, "
    text += f"{(ok['raw_alpha'] > 8).sum()} above 8."
    if ok["num_fingers"].notna().any():
        fixed = ok[ok["num_fingers"] > 0]
        text += (
            f" Fingers fixed: mean alpha {ok['alpha'].mean():.2f}, {(ok['alpha'] > 8).sum()} above 8; "
            f"{ok['num_fingers'].sum()} eigenvalues dropped in {len(fixed)} layers."
        )
    if "verdict" in ok:
        counts = ok["verdict"].value_counts()
        words = ", ".join(f"{counts[word]} {word}" for word in RULES if word in counts)
        rejected = int((ok["verdict_q"] <= 0.1).sum())
        text += (
            f" Verdicts: {words}. After correction for {len(ok)} layers {rejected} power laws are refuted (q <= 0.1)."
        )
    return text


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
