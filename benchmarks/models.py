"""The whole model: analyze() against WeightWatcher's, the weights being in memory already."""

from __future__ import annotations

import math
import statistics
import time
from pathlib import Path
from typing import Any, NamedTuple

from .peers import Worker

ROUNDS = 3
ENOUGH = 60.0  # seconds after which no further round begins
RUNS: dict[str, dict[str, Any]] = {"clip_xmax": {"fix_fingers": "clip_xmax"}, "randomize": {"randomize": True}}


class ModelResult(NamedTuple):
    """One model under one option; (ours, WeightWatcher's) where two figures stand.

    ``ratio`` is WeightWatcher's time over ours by the clock, ``cpu_ratio`` in processor time.
    """

    model: str
    run: str
    layers: int
    rounds: int
    seconds: tuple[float, float]
    ratio: float
    cpu_ratio: float
    memory: tuple[float, float]
    outside_solver: float
    difference: float


def measure_model(model: str, run: str, weights: Path, weightwatcher: Path, cores: int = 1) -> ModelResult:
    """Both tools in turn, each in a fresh process: three rounds, or fewer when they take longer than a minute.

    With several cores WeightWatcher gets as many BLAS threads, and our analyze() as many jobs.
    """
    n_jobs = {} if cores == 1 else {"n_jobs": cores}
    rounds: list[tuple[dict[str, Any], dict[str, Any]]] = []
    start = time.perf_counter()
    while len(rounds) < ROUNDS and (not rounds or time.perf_counter() - start < ENOUGH):
        with Worker() as worker:
            ours = worker.do("analyze", tool="rmt_lab", path=str(weights), options=RUNS[run] | n_jobs)
        with Worker(weightwatcher, threads=cores) as worker:
            theirs = worker.do("analyze", tool="weightwatcher", path=str(weights), options=RUNS[run])
        rounds.append((ours, theirs))
    return ModelResult(
        model,
        run,
        len(rounds[0][0]["details"]["alpha"]),
        len(rounds),
        (_median(r[0]["seconds"] for r in rounds), _median(r[1]["seconds"] for r in rounds)),
        _median(theirs["seconds"] / ours["seconds"] for ours, theirs in rounds),
        _median(theirs["cpu"] / ours["cpu"] for ours, theirs in rounds),
        (_median(r[0]["memory"] for r in rounds), _median(r[1]["memory"] for r in rounds)),
        _median(1 - ours["solver"] / ours["seconds"] for ours, _ in rounds) if cores == 1 else math.nan,
        _difference(*(r["details"] for r in rounds[0])),
    )


def _median(values: Any) -> float:
    return statistics.median(math.nan if v is None else float(v) for v in values)


def _difference(ours: dict[str, list[Any]], theirs: dict[str, list[Any]]) -> float:
    """Largest relative difference of the raw alpha, layer by layer; both must have looked at the same layers."""
    if set(ours["longname"]) != set(theirs["longname"]):
        raise RuntimeError(f"different layers: {sorted(set(ours['longname']) ^ set(theirs['longname']))}")
    column = "raw_alpha" if "raw_alpha" in theirs else "alpha"
    expected = dict(zip(theirs["longname"], theirs[column], strict=True))
    return max(abs(a / expected[name] - 1) for name, a in zip(ours["longname"], ours["raw_alpha"], strict=True))
