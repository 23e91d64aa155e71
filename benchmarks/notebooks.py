"""Seconds and peak memory of every notebook of the course, each in a kernel of its own (memory on Linux only).

    python -m benchmarks.notebooks               # from the repository's root
    python -m benchmarks.notebooks --only 07 x1  # some of them

One notebook after another, with one BLAS thread, as ``make test`` runs them. Exit status 1 if a target is missed.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import nbclient
import nbformat
from jupyter_client.kernelspec import KernelSpecManager
from jupyter_client.manager import AsyncKernelManager

FOLDER = Path(__file__).parents[1] / "notebooks"
_IN_ORDER = ("[0-9][0-9]", "extras/x[0-9]", "extras/x[0-9][0-9]")
NOTEBOOKS = [path for n in _IN_ORDER for path in sorted(FOLDER.glob(f"{n}_*.ipynb"))]
MOST_SECONDS = 360  # for all of them
MOST_MEGABYTES = 1200  # for each
THREADS = {f"{library}_NUM_THREADS": "1" for library in ("OPENBLAS", "OMP", "MKL")}
NO_BARS = {"TQDM_DISABLE": "1"}  # on a busy machine a progress bar comes up, which is no committed output
NO_RECORDS = {"RMT_LAB_ANSWERS": ""}  # what a reader has predicted is kept in memory only


class Run(NamedTuple):
    """What running a notebook took, from the start of its kernel, and its cells with their new outputs."""

    seconds: float
    megabytes: float
    cells: list[Any]


def run(path: Path, python: Path | str = sys.executable, more: Sequence[str] = ()) -> Run:
    """Run a notebook from top to bottom under some interpreter, and then more cells of code.

    A cell that fails raises CellExecutionError.
    """
    return asyncio.run(_run(path, python, more))


async def _run(path: Path, python: Path | str, more: Sequence[str]) -> Run:
    notebook = nbformat.read(path, as_version=4)
    notebook.cells += [nbformat.v4.new_code_cell(source) for source in more]
    argv = [str(python), "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    with tempfile.TemporaryDirectory() as folder:
        spec = Path(folder) / "measured" / "kernel.json"
        spec.parent.mkdir()
        spec.write_text(json.dumps({"argv": argv, "display_name": "measured", "language": "python"}))
        specs = KernelSpecManager(kernel_dirs=[folder])
        manager = AsyncKernelManager(
            kernel_name="measured", kernel_spec_manager=specs, transport="ipc", ip=f"{folder}/kernel"
        )
        client = nbclient.NotebookClient(
            notebook, km=manager, timeout=300, store_widget_state=False, resources={"metadata": {"path": path.parent}}
        )
        start = time.perf_counter()
        async with client.async_setup_kernel(cleanup_kc=True, env=os.environ | THREADS | NO_BARS | NO_RECORDS):
            for number, cell in enumerate(notebook.cells):
                await client.async_execute_cell(cell, number)
            return Run(time.perf_counter() - start, _peak(manager.provisioner.pid), notebook.cells)


def _peak(pid: int) -> float:
    """Most memory that a process has held, in MB; NaN where /proc does not tell."""
    status = Path(f"/proc/{pid}/status")
    if not status.exists():
        return float("nan")
    return int(status.read_text().partition("VmHWM:")[2].split()[0]) * 1024 / 1e6


def main() -> int:
    description, _, epilog = (__doc__ or "").partition("\n")
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.notebooks",
        description=description,
        epilog=epilog,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--only", nargs="+", metavar="NN", help="beginnings of their names (default: all)")
    chosen = [p for p in NOTEBOOKS if p.name.partition("_")[0] in (parser.parse_args().only or p.name)]
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f} before\n\n{'':28}{'seconds':>8}{'MB':>7}")
    runs = []
    for path in chosen:
        runs.append(run(path))
        print(f"{path.stem:28}{runs[-1].seconds:8.1f}{runs[-1].megabytes:7.0f}", flush=True)
    seconds, megabytes = sum(r.seconds for r in runs), max(r.megabytes for r in runs)
    print(f"{'all, and the most':28}{seconds:8.1f}{megabytes:7.0f}   load {os.getloadavg()[0]:.1f} after\n")
    targets = [
        (f"all under {MOST_SECONDS} seconds", seconds < MOST_SECONDS),
        (f"each under {MOST_MEGABYTES} MB", not megabytes >= MOST_MEGABYTES),
    ]
    for what, met in targets:
        print(f"{'met   ' if met else 'MISSED'}  {what}")
    return int(not all(met for _, met in targets))


if __name__ == "__main__":
    raise SystemExit(main())
