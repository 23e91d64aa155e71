"""Speed, memory and agreement against powerlaw 2 and WeightWatcher 0.7.7, measured side by side on this machine.

    python -m benchmarks             some three minutes on an idle machine
    python -m benchmarks --full      also SmolLM2 with randomize=True, some minutes more
    python -m benchmarks --cores 2   whole models with two cores for either tool

Everything runs with one BLAS thread unless --cores says otherwise; each ratio is the median of rounds in which the
tools take turns. WeightWatcher has an environment of its own, made on first use. Exit status 1 if alpha, xmin or D
differ by more than 1e-6.
"""

from __future__ import annotations

import argparse
import math
import tempfile
from pathlib import Path

from .fits import FitResult, growth, measure_fits
from .models import RUNS, ModelResult, measure_model
from .peers import Worker, weightwatcher_python
from .weights import MODELS, save_weights

AGREEMENT = 1e-6


def main() -> int:
    description, _, epilog = (__doc__ or "").partition("\n")
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description=description,
        epilog=epilog,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--full", action="store_true", help="also SmolLM2 with randomize=True")
    parser.add_argument(
        "--cores", type=int, default=1, metavar="N", help="BLAS threads of WeightWatcher, and our n_jobs"
    )
    parser.add_argument("--weightwatcher-python", type=Path, help="an interpreter that has weightwatcher 0.7.7")
    options = parser.parse_args()
    peer = weightwatcher_python(options.weightwatcher_python)

    with Worker() as ours, Worker(peer) as theirs:
        fits = measure_fits(ours, theirs)
    print_fits(fits)
    models = []
    with tempfile.TemporaryDirectory() as folder:
        print("\nThe whole model, from weights in memory; memory is what is needed beyond them")
        print(f"{'':24}{'seconds':>14}{'times faster by':>18}{'megabytes':>14}{'':9}{'outside':>9}{'raw alpha':>11}")
        print(
            f"{'':24}{'ours':>7}{'WW':>7}{'clock':>9}{'CPU':>9}{'ours':>7}{'WW':>7}{'ratio':>9}{'solver':>9}{'differs':>11}"
        )
        for model in MODELS:
            weights = save_weights(model, Path(folder))
            for run in RUNS:
                if options.full or (model, run) != ("smollm2", "randomize"):
                    models.append(measure_model(model, run, weights, peer, options.cores))
                    print_model(models[-1])
    print_targets(fits, models)
    return int(max([r.difference for r in fits] + [r.difference for r in models]) > AGREEMENT)


def print_fits(fits: list[FitResult]) -> None:
    print("One power-law fit")
    print(f"{'':24}{'ours':>10}{'WW':>9}{'powerlaw':>10}{'alpha, xmin, D':>17}")
    print(f"{'':24}{'ms':>10}{'slower':>9}{'slower':>10}{'differ by':>17}")
    for r in fits:
        label = f"n = {r.n}, {r.kind}"
        ww, pl = (f"{r.ratios[tool]:.0f}x" for tool in ("weightwatcher", "powerlaw"))
        print(f"{label:24}{1e3 * r.seconds:10.2f}{ww:>9}{pl:>10}{r.difference:17.1e}")
    print(f"from n = 2000 to 20000 our time grows {growth(fits):.1f}-fold at most", flush=True)


def print_model(r: ModelResult) -> None:
    label = f"{MODELS[r.model]}, {r.run}"
    ours, theirs = (f"{b / 1e6:.0f}" if math.isfinite(b) else "?" for b in r.memory)
    print(
        f"{label:24}{r.seconds[0]:7.2f}{r.seconds[1]:7.1f}{f'{r.ratio:.1f}x':>9}{f'{r.cpu_ratio:.1f}x':>9}"
        f"{ours:>7}{theirs:>7}{r.memory[0] / r.memory[1]:9.2f}{r.outside_solver:9.0%}{r.difference:11.1e}"
        f"   {r.layers} layers, {r.rounds} rounds",
        flush=True,
    )


def print_targets(fits: list[FitResult], models: list[ModelResult]) -> None:
    """The figures that the project means to reach, each against its worst case here."""
    rows: list[tuple[str, float, str, bool]] = []

    def at_least(what: str, figure: float, target: float) -> None:
        rows.append((what, figure, f"{target:g} or more", figure >= target))

    def at_most(what: str, figure: float, target: float) -> None:
        rows.append((what, figure, f"{target:.3g} or less", figure <= target))

    for n, target in ((5000, 20), (20000, 60)):
        at_least(f"fit, n = {n}: times faster than WeightWatcher", _worst(fits, n, "weightwatcher"), target)
    for n in sorted({r.n for r in fits}):
        at_least(f"fit, n = {n}: times faster than powerlaw", _worst(fits, n, "powerlaw"), 100)
    at_most("fit: growth of time from n = 2000 to 20000", growth(fits), 15)
    at_most("fit: largest relative difference", max(r.difference for r in fits), AGREEMENT)
    for m in models:
        label = f"{MODELS[m.model]}, {m.run}"
        at_least(f"{label}: times faster", m.ratio, 6 if m.run == "clip_xmax" else 20)
        if m.run == "clip_xmax":
            at_most(f"{label}: share of WeightWatcher's memory", m.memory[0] / m.memory[1], 1 / 3)
        if m.run == "clip_xmax" and math.isfinite(m.outside_solver):
            at_most(f"{label}: time outside the eigenvalue solver", m.outside_solver, 0.15)
    print("\nTargets, the worst case of each")
    for what, figure, wanted, met in rows:
        print(f"{'met   ' if met else 'MISSED'}  {what:58}{figure:10.3g}   ({wanted})")


def _worst(fits: list[FitResult], n: int, tool: str) -> float:
    return min(r.ratios[tool] for r in fits if r.n == n)


if __name__ == "__main__":
    raise SystemExit(main())
