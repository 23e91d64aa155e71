"""A model's table as text."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from .._repr import printable
from ..verdict import RULES

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


def table(details: pd.DataFrame, columns: Sequence[str] | None = None) -> str:
    """The columns that fit a terminal, one row a layer; a failed layer shows its status.

    ``columns`` are those of the table of ``analyze``, unless others are named. Where some eigenvalues are estimated
    (``method="top"``), it shows how many are exact.
    """
    estimated = "num_exact" in details and bool((details["num_exact"] < details["num_evals"]).any())
    exact = ["num_evals", "num_exact"] if estimated else []
    asked = ["num_erg", "erg_gap_share", "erg_p", "alpha_population", "verdict"]
    columns = columns or [*_SHOWN[:3], *exact, *_SHOWN[3:], *asked]
    shown = [c for c in columns if c in details]
    shown = [c for c in shown if not details[c].isna().all() or c in ("alpha", "name")]
    ok = details["status"] == "success"
    details = details.assign(**{c: details[c].map(printable) for c in ("name", "status")})
    lines = details.loc[ok, shown].to_string(float_format=lambda v: f"{v:.3g}" if abs(v) < 1 else f"{v:.2f}")
    failed = [f"{row['name']}: {row['status']}" for _, row in details[~ok].iterrows()]
    return "\n".join([*([lines] if ok.any() else []), *failed])


def csv(details: pd.DataFrame) -> str:
    """The whole table as CSV. Names come from files: what a spreadsheet would take for a formula gets an apostrophe.

    Examples
    --------
    >>> csv(pd.DataFrame({"name": ["=1+1", "query"], "alpha": [-2.0, 3.0]})).split()
    ['name,alpha', "'=1+1,-2.0", 'query,3.0']
    """
    texts = details.select_dtypes(exclude="number").columns
    return str(details.assign(**{c: details[c].map(_cell) for c in texts}).to_csv(index=False))


def json_line(row: Mapping[str, Any]) -> str:
    """One row as a line of JSON; NaN becomes null.

    Examples
    --------
    >>> json_line({"name": "query", "N": 4, "alpha": float("nan"), "num_spikes": np.int64(3)})
    '{"name": "query", "N": 4, "alpha": null, "num_spikes": 3}\\n'
    """
    plain = {key: value.item() if isinstance(value, np.generic) else value for key, value in row.items()}
    finite = {key: None if isinstance(x, float) and not math.isfinite(x) else x for key, x in plain.items()}
    return json.dumps(finite) + "\n"


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
        rule = details.attrs.get("options", {}).get("fix_fingers")
        uncounted = len(fixed) if rule == "clip_xmax_ww" else 0  # WeightWatcher counts one less in each layer
        text += (
            f" Fingers fixed: mean alpha {ok['alpha'].mean():.2f}, {(ok['alpha'] > 8).sum()} above 8; "
            f"{ok['num_fingers'].sum() + uncounted} eigenvalues dropped in {len(fixed)} layers."
        )
    if "verdict" in ok:
        counts = ok["verdict"].value_counts()
        words = ", ".join(f"{counts[word]} {word}" for word in RULES if word in counts)
        rejected = int((ok["verdict_q"] <= 0.1).sum())
        text += (
            f" Verdicts: {words}. After correction for {len(ok)} layers {rejected} power laws are refuted (q <= 0.1)."
        )
    return text
