"""What is timed, inside either environment: a job a line on standard input, its result a line on standard output.

A job is ``{"do": name, ...arguments}``. This file imports nothing of the project at the top, since WeightWatcher's
environment does not have it. See :mod:`benchmarks.peers` for the other end.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import statistics
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

_PROC = Path("/proc/self")


def fit(tool: str, path: str, budget: float = 0.3) -> dict[str, Any]:
    """Median seconds of one power-law fit to the array in ``path``, and what came out.

    It is fitted again and again until ``budget`` seconds are spent; once at least, after a warm-up on 100 values.
    """
    x = np.load(path)
    run = {"rmt_lab": _fit_rmt_lab, "weightwatcher": _fit_weightwatcher, "powerlaw": _fit_powerlaw}[tool]
    run(x[:: max(1, len(x) // 100)])
    seconds: list[float] = []
    while not seconds or sum(seconds) < budget:
        start = time.perf_counter()
        alpha, xmin, D = run(x)
        seconds.append(time.perf_counter() - start)
    return {"seconds": statistics.median(seconds), "alpha": float(alpha), "xmin": float(xmin), "D": float(D)}


def _fit_rmt_lab(x: Any) -> tuple[float, float, float]:
    from rmt_lab.tails import fit_power_law

    f = fit_power_law(x)
    return f.alpha, f.xmin, f.D


def _fit_weightwatcher(x: Any) -> tuple[float, float, float]:
    from weightwatcher.WW_powerlaw import WWFit  # type: ignore[import-not-found]

    f = WWFit(x)
    return f.alpha, f.xmin, f.D


def _fit_powerlaw(x: Any) -> tuple[float, float, float]:
    import powerlaw

    f = powerlaw.Fit(x, parameter_ranges={"alpha": [1.01, 500]}, verbose=0)  # without a range it clamps alpha to 3
    return f.power_law.alpha, f.xmin, f.power_law.D


def analyze(tool: str, path: str, options: dict[str, Any]) -> dict[str, Any]:
    """Seconds, extra memory and table of a whole model's analysis, the weights of ``path`` being in memory already.

    ``cpu`` are the seconds of processor time, which other work on the machine disturbs less than those of the clock;
    ``memory`` is how far the resident set of the process rose above where it stood just before (None where the system
    does not tell); ``solver`` the seconds spent in the Gram product and its eigenvalues (rmt_lab only).
    """
    run = {"rmt_lab": _analyze_rmt_lab, "weightwatcher": _analyze_weightwatcher}[tool]
    warm = np.random.default_rng(0).normal(size=(2, 90, 60)).astype(np.float32)  # Q > 1; imports, caches, allocator
    run({"warm.a": warm[0], "warm.b": warm[1]}, options)
    with np.load(path) as file:
        state = {name: file[name] for name in file.files}
    solver = _Stopwatch()
    if tool == "rmt_lab":
        solver.watch("rmt_lab.spectrum.spectrum", "singular_values")
    before = _resident("VmRSS")
    _reset_peak()
    start, start_cpu = time.perf_counter(), time.process_time()
    details = run(state, options)
    seconds, cpu = time.perf_counter() - start, time.process_time() - start_cpu
    peak = _resident("VmHWM")
    memory = None if before is None or peak is None else peak - before
    table = details.to_dict("list")
    return {"seconds": seconds, "cpu": cpu, "solver": solver.seconds, "memory": memory, "details": table}


def _analyze_rmt_lab(state: dict[str, Any], options: dict[str, Any]) -> Any:
    from rmt_lab.analysis import analyze

    return analyze({f"{name}.weight": W for name, W in state.items()}, **options)


def _analyze_weightwatcher(state: dict[str, Any], options: dict[str, Any]) -> Any:
    from weightwatcher import WeightWatcher  # type: ignore[import-not-found]

    logging.getLogger("weightwatcher").setLevel(logging.CRITICAL + 1)
    return WeightWatcher(model=_module(state)).analyze(min_evals=10, plot=False, savefig=False, **options)


def _module(state: dict[str, Any]) -> Any:
    """A torch module with a linear layer for every matrix, sharing its memory."""
    from torch import from_numpy, nn

    root = nn.Module()
    for name, W in state.items():
        *path, last = name.split(".")
        parent = root
        for part in path:
            if part not in parent._modules:
                parent.add_module(part, nn.Module())
            parent = parent._modules[part]
        layer = nn.Linear(1, 1, bias=False)
        layer.weight = nn.Parameter(from_numpy(W), requires_grad=False)
        parent.add_module(last, layer)
    return root


class _Stopwatch:
    """Adds up the seconds spent in a function."""

    seconds = 0.0

    def watch(self, module: str, name: str) -> None:
        from importlib import import_module

        home = import_module(module)
        function: Callable[..., Any] = getattr(home, name)

        def timed(*args: Any, **kwargs: Any) -> Any:
            start = time.perf_counter()
            try:
                return function(*args, **kwargs)
            finally:
                self.seconds += time.perf_counter() - start

        setattr(home, name, timed)


def _reset_peak() -> None:
    with contextlib.suppress(OSError):
        (_PROC / "clear_refs").write_text("5")  # Linux: VmHWM starts again from the present size


def _resident(field: str) -> int | None:
    """VmRSS (now) or VmHWM (peak) in bytes; None where there is no /proc."""
    try:
        line = next(line for line in (_PROC / "status").read_text().splitlines() if line.startswith(field))
    except (OSError, StopIteration):
        return None
    return int(line.split()[1]) * 1024


def main() -> None:
    """Serve jobs until standard input ends; whatever the tools print goes nowhere."""
    out = os.fdopen(os.dup(1), "w")
    with open(os.devnull, "w") as nowhere:
        os.dup2(nowhere.fileno(), 1)
    warnings.simplefilter("ignore")
    jobs: dict[str, Callable[..., dict[str, Any]]] = {"fit": fit, "analyze": analyze}
    for line in sys.stdin:
        job = json.loads(line)
        result = jobs[job.pop("do")](**job)
        print(json.dumps(result, default=_plain), file=out, flush=True)


def _plain(value: Any) -> Any:
    return value.item() if hasattr(value, "item") else None  # numpy scalars; pandas' missing value


if __name__ == "__main__":
    main()
