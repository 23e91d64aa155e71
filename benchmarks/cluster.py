"""Many workers on one checkpoint: seconds and peak memory by threads, processes, a dask cluster and ray.

    python -m benchmarks.cluster                 # 3 GB; five minutes per pass with one worker
    python -m benchmarks.cluster --gb 0.3        # a small version
    python -m benchmarks.cluster --only "one worker"

A synthetic sharded bfloat16 checkpoint is written, and analysed by each kind of workers in a fresh process, one BLAS
thread per worker. Seconds are those of the call (a dask cluster and ray have been started before it, loky starts its
processes in it), "CPU s" the processor time of all processes meanwhile. Memory is VmHWM, the most that a process has
held: of the process itself, of its largest worker, and the sum of all. Times tell something on an idle machine only.
Linux only.

Exit status 1 if two tables differ in a digit or a process takes more than three times the largest matrix in float64
and 400 MB; the ratios of the times are printed against their targets.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from .synthetic import llama, save

WORKERS = ("one worker", "2 threads", "2 loky processes", "dask, 2 processes", "ray, 2 processors")
ENV = {f"{library}_NUM_THREADS": "1" for library in ("OPENBLAS", "OMP", "MKL")}
ENV |= {"RAY_AUTH_MODE": "disabled", "RAY_USAGE_STATS_ENABLED": "0", "RAY_raylet_start_wait_time_s": "300"}
SPARE = 400.0  # MB beside three times the largest matrix


def measure(workers: str, checkpoint: str) -> dict[str, Any]:
    """What one kind of workers takes; in a process of its own."""
    from rmt_lab import analyze

    with _watched() as peaks, _prepared(workers):
        start, used = time.perf_counter(), cpu_of_family()
        details = analyze(checkpoint)
        seconds, used = time.perf_counter() - start, cpu_of_family() - used
    status = details["status"].value_counts().to_dict()
    table = hashlib.sha256(details.to_csv().encode()).hexdigest()
    return {"seconds": seconds, "cpu": used, "peaks": peaks, "status": status, "table": table}


@contextmanager
def _prepared(workers: str) -> Iterator[None]:
    import joblib

    if workers == "one worker":
        yield
    elif workers.endswith("threads"):
        with joblib.parallel_config("threading", n_jobs=2):
            yield
    elif workers.endswith("loky processes"):
        with joblib.parallel_config("loky", n_jobs=2):
            yield
    elif workers.startswith("dask"):
        import dask
        from distributed import Client, LocalCluster

        # dask sets it to 65536, and every large array is paged in anew: a fifth more processor time
        dask.config.set({"distributed.nanny.pre-spawn-environ.MALLOC_TRIM_THRESHOLD_": None})
        settings = {"n_workers": 2, "threads_per_worker": 1, "processes": True, "dashboard_address": None}
        with LocalCluster(**settings) as cluster, Client(cluster), joblib.parallel_config("dask"):
            yield
    else:
        import ray
        from ray.util.joblib import register_ray

        ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, configure_logging=False)
        register_ray()
        with joblib.parallel_config("ray"):
            yield
        ray.shutdown()


@contextmanager
def _watched() -> Iterator[dict[str, float]]:
    """The peaks in MB of this process and of all that it starts, by their numbers; looked at five times a second."""
    peaks: dict[str, float] = {}
    over = threading.Event()

    def look() -> None:
        while not over.is_set():
            for pid in family(os.getpid()):
                peaks[str(pid)] = max(peak(pid), peaks.get(str(pid), 0.0))
            over.wait(0.2)

    watcher = threading.Thread(target=look)
    watcher.start()
    try:
        yield peaks
    finally:
        over.set()
        watcher.join()
        peaks["own"] = peaks.pop(str(os.getpid()), 0.0)


def family(pid: int) -> list[int]:
    """A process and all that descend from it."""
    parents = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parents[int(entry.name)] = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            except OSError:  # it has ended
                continue
    found = [pid]
    for one in found:  # it grows as it goes
        found += [child for child, parent in parents.items() if parent == one]
    return found


def cpu_of_family() -> float:
    """Processor seconds of this process and all that descend from it and live."""
    used = 0.0
    for pid in family(os.getpid()):
        with suppress(OSError):
            used += sum(map(int, Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:13]))
    return used / os.sysconf("SC_CLK_TCK")


def peak(pid: int) -> float:
    """VmHWM of a process in MB; 0 if it has ended."""
    try:
        return int(Path(f"/proc/{pid}/status").read_text().partition("VmHWM:")[2].split()[0]) * 1024 / 1e6
    except (OSError, IndexError):
        return 0.0


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.cluster", description=(__doc__ or "").partition("\n")[0]
    )
    parser.add_argument("--gb", type=float, default=3.0, help="size of the checkpoint (default: 3)")
    parser.add_argument("--folder", type=Path, help="where to write it (default: a temporary folder)")
    parser.add_argument("--only", nargs="*", metavar="WORKERS", help="kinds that have one of these in their names")
    parser.add_argument("--measure", nargs=2, help=argparse.SUPPRESS)  # one kind, in a process of its own
    options = parser.parse_args()
    if options.measure:
        print(json.dumps(measure(*options.measure)))
        return 0
    chosen = [w for w in WORKERS if not options.only or any(text in w for text in options.only)]
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        shapes = llama(options.gb * 1e9 / 2)
        shards = save(Path(folder), shapes)
        largest = max(math.prod(shape) for shape in shapes.values()) * 8 / 1e6
        size = sum(path.stat().st_size for path in shards) / 1e9
        print(f"{size:.2f} GB in {len(shards)} shards, {len(shapes)} matrices, the largest {largest:.0f} MB in float64")
        print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f} at the start")
        print(f"{'':20}{'seconds':>9}{'CPU s':>8}{'MB, own':>10}{'largest worker':>16}{'all':>7}  table")
        results = {}
        for workers in chosen:
            try:
                results[workers] = _alone(workers, folder)
            except RuntimeError as error:  # ray does not start on a machine that is busy
                print(f"{workers:20}FAILED: {error}", flush=True)
    return judge(results, 3 * largest + SPARE) or int(len(results) < len(chosen))


def _alone(workers: str, folder: str) -> dict[str, Any]:
    command = [sys.executable, "-m", "benchmarks.cluster", "--measure", workers, folder]
    done = subprocess.run(command, env=os.environ | ENV, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(done.stderr.strip().rpartition("\n")[2])
    r: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    own = r["peaks"].pop("own")
    r["worker"] = max(r["peaks"].values(), default=0.0)
    r["largest"] = max(own, r["worker"])
    memory = f"{own:10.0f}{r['worker']:16.0f}{own + sum(r['peaks'].values()):7.0f}"
    print(f"{workers:20}{r['seconds']:9.1f}{r['cpu']:8.1f}{memory}  {r['table'][:8]} {r['status']}", flush=True)
    return r


def judge(results: dict[str, dict[str, Any]], most: float) -> int:
    """Print what was reached; 1 if the tables differ or the memory does not suffice."""
    same = len({r["table"] for r in results.values()}) == 1
    worst = max((r["largest"] for r in results.values()), default=math.nan)
    if len(results) > 1:
        print(f"{'met   ' if same else 'MISSED'}  the same table to the last digit, {len(results)} kinds")
    print(f"{'met   ' if worst < most else 'MISSED'}  the largest process took {worst:.0f} MB of {most:.0f}")
    seconds = {workers: r["seconds"] for workers, r in results.items()}
    if one := seconds.get("one worker"):
        for workers in list(seconds)[1:]:
            gain = one / seconds[workers]
            print(f"{'met   ' if gain >= 1.7 else 'MISSED'}  {workers}: {gain:.2f} times faster than one (1.7)")
    if {"2 loky processes", "dask, 2 processes"} <= seconds.keys():
        ratio = seconds["dask, 2 processes"] / seconds["2 loky processes"]
        print(f"{'met   ' if ratio < 1.15 else 'MISSED'}  dask takes {ratio:.2f} times as long as two processes (1.15)")
    return int(not (same and worst < most))


if __name__ == "__main__":
    raise SystemExit(main())
