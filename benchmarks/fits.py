"""One power-law fit: rmt_lab against the powerlaw package and WeightWatcher's own scan, on the same arrays."""

from __future__ import annotations

import statistics
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from .peers import Worker

SIZES = (500, 2000, 5000, 20000)
ROUNDS = 3
ENOUGH = 10.0  # seconds after which no further round begins
PEERS = ("weightwatcher", "powerlaw")


class FitResult(NamedTuple):
    """One array: our median seconds, how many times longer each peer takes, and the largest relative difference."""

    n: int
    kind: str
    seconds: float
    ratios: dict[str, float]
    difference: float


def arrays(n: int) -> dict[str, npt.NDArray[np.float64]]:
    """A pure power law, a bulk with a heavy tail, and a truncated power law with fingers, n values each."""
    rng = np.random.default_rng(n)
    tail = n // 5
    return {
        "power law": (1 - rng.random(n)) ** (-1 / 1.5),
        "bulk and tail": np.r_[rng.beta(2, 2, n - tail), 0.9 * (1 - rng.random(tail)) ** (-1 / 2)],
        "truncated": np.r_[rng.gamma(0.3, 1.0, n - 3) + 0.05, 30.0, 40.0, 60.0],
    }


def measure_fits(ours: Worker, weightwatcher: Worker) -> list[FitResult]:
    """Every size and kind of array; the tools take turns, three times or fewer when that takes longer than ENOUGH."""
    workers = {"rmt_lab": ours, "powerlaw": ours, "weightwatcher": weightwatcher}
    results = []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "x.npy"
        for n in SIZES:
            for kind, x in arrays(n).items():
                np.save(path, x)
                rounds: list[dict[str, dict[str, Any]]] = []
                start = time.perf_counter()
                while len(rounds) < ROUNDS and (not rounds or time.perf_counter() - start < ENOUGH):
                    rounds.append({tool: w.do("fit", tool=tool, path=str(path)) for tool, w in workers.items()})
                results.append(_summary(n, kind, rounds))
    return results


def growth(results: list[FitResult]) -> float:
    """How many times longer our fit takes at n = 20 000 than at 2000; the worst kind of array."""
    seconds = {(r.n, r.kind): r.seconds for r in results}
    return max(seconds[20000, kind] / seconds[2000, kind] for n, kind in seconds if n == 2000)


def _summary(n: int, kind: str, rounds: list[dict[str, dict[str, Any]]]) -> FitResult:
    ours = rounds[0]["rmt_lab"]
    return FitResult(
        n,
        kind,
        statistics.median(r["rmt_lab"]["seconds"] for r in rounds),
        {tool: statistics.median(r[tool]["seconds"] / r["rmt_lab"]["seconds"] for r in rounds) for tool in PEERS},
        max(abs(rounds[0][tool][key] / ours[key] - 1) for tool in PEERS for key in ("alpha", "xmin", "D")),
    )
