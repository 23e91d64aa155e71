"""Many workers, of every kind, and a run that goes on where another stopped: always the same table."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
from pathlib import Path

import joblib
import numpy as np
import pandas as pd
import pytest
from safetensors.numpy import save_file

from rmt_lab import Spectrum, analyze
from rmt_lab._files import this_machine
from rmt_lab.analysis import Options, rows_of, table_of
from rmt_lab.spectrum.kept import KeptSpectra


def weights(seed=0, layers=5):
    rng = np.random.default_rng(seed)
    return {f"h.{i}.mlp.c_fc.weight": rng.standard_t(3, (40 + i, 160)).astype(np.float32) for i in range(layers)}


@pytest.fixture
def checkpoint(tmp_path):
    path = tmp_path / "model.safetensors"
    save_file(weights(), path)
    return path


WHERE = """
import os
from rmt_lab.analysis import _row as own
def row(*args, **kwargs):
    return own(*args, **kwargs) | {"longname": str(os.getpid())}
"""


def processes(checkpoint, monkeypatch):
    """The numbers of the processes in which the rows are made."""
    nowhere = {"__name__": "nowhere"}  # what has no module to be found in travels whole
    exec(WHERE, nowhere)
    with monkeypatch.context() as patch:
        patch.setattr("rmt_lab.analysis._row", nowhere["row"])
        return set(analyze(checkpoint)["longname"])


OPTIONS = {"randomize": "signs", "verdict": "quick", "fix_fingers": "clip_xmax", "rng": 3}


def same(a, b):
    pd.testing.assert_frame_equal(a, b, check_exact=True)


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["threading", "multiprocessing", "loky"])
def test_workers_of_joblib_give_the_same_table(checkpoint, backend):
    expected = analyze(checkpoint, **OPTIONS)
    with joblib.parallel_config(backend, n_jobs=2):
        same(analyze(checkpoint, **OPTIONS), expected)
        same(analyze(weights(), **OPTIONS), analyze(weights(), **OPTIONS, n_jobs=1))
        one = analyze(checkpoint, **OPTIONS, layers=[3])  # its null is its own, whatever else is there
        assert one["max_rand_eval"].item() == expected["max_rand_eval"][3]


@pytest.mark.slow
def test_a_dask_cluster_gives_the_same_table_and_survives_the_loss_of_a_worker(checkpoint, monkeypatch):
    distributed = pytest.importorskip(
        "distributed", reason='needs dask and distributed: pip install "rmt-lab[cluster]"'
    )
    expected = analyze(checkpoint, **OPTIONS)
    settings = {"n_workers": 2, "threads_per_worker": 1, "processes": True, "dashboard_address": None}
    with distributed.LocalCluster(**settings) as cluster, distributed.Client(cluster) as client:
        with joblib.parallel_config("dask"):
            same(analyze(checkpoint, **OPTIONS), expected)
            assert processes(checkpoint, monkeypatch) <= set(map(str, client.run(os.getpid).values()))
        before = client.run(os.getpid)
        with joblib.parallel_config("dask"):
            rows = rows_of(checkpoint, Options(**OPTIONS))
            first = next(rows)  # four are still to come
            os.kill(next(iter(before.values())), signal.SIGKILL)
            found = table_of([first, *rows], checkpoint, Options(**OPTIONS))
        client.wait_for_workers(2)
        assert set(client.run(os.getpid).values()) != set(before.values())
    same(found, expected)


DASK_GIVES_UP = """
import os, sys
import dask, joblib
from distributed import Client, LocalCluster
import rmt_lab.analysis as analysis
own = analysis._row
def dies(found, **kwargs):
    if found.layer_id == 0:
        os.kill(os.getpid(), 9)
    return own(found, **kwargs)
if __name__ == "__main__":
    dask.config.set({"distributed.scheduler.allowed-failures": 1})
    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster, Client(cluster) as client:
        with joblib.parallel_config("dask"):
            analysis._row = dies
            try:
                analysis.analyze(sys.argv[1], cache=sys.argv[2])
            except Exception as error:
                print(type(error).__name__, *error.__notes__)
            analysis._row = own
            client.wait_for_workers(2)
            print(*analysis.analyze(sys.argv[1], cache=sys.argv[2])["status"])
"""


@pytest.mark.slow
def test_when_dask_gives_a_layer_up_the_run_ends_and_says_how_far_it_came(checkpoint, tmp_path):
    """A layer that needs more memory than any worker has kills one after another."""
    pytest.importorskip("distributed", reason='needs dask and distributed: pip install "rmt-lab[cluster]"')
    script, folder = tmp_path / "gives_up.py", tmp_path / "kept"
    script.write_text(DASK_GIVES_UP)
    command = [sys.executable, str(script), str(checkpoint), str(folder)]
    run = subprocess.run(command, capture_output=True, text=True, timeout=120)
    first, second = run.stdout.splitlines()
    assert re.fullmatch(
        rf"KilledWorker analyze: \d of 5 layers were done; their spectra are in {re.escape(str(folder))}", first
    )
    assert second == " ".join(["success"] * 5)


@pytest.mark.slow
def test_ray_gives_the_same_table(checkpoint, monkeypatch):
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    ray = pytest.importorskip("ray", reason="needs ray: pip install ray")
    register = pytest.importorskip("ray.util.joblib").register_ray
    expected = analyze(checkpoint, **OPTIONS)
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, configure_logging=False)
    try:
        register()
        with joblib.parallel_config("ray"):
            same(analyze(checkpoint, **OPTIONS), expected)
            assert str(os.getpid()) not in processes(checkpoint, monkeypatch)
    finally:
        ray.shutdown()


def test_no_weights_of_a_file_travel(checkpoint):
    """What is sent to a worker is smaller than the smallest matrix, by far."""
    import pickle

    from rmt_lab.analysis import find_layers

    found = find_layers(checkpoint, None, False)
    assert len(found) == 5
    for layer in found:
        assert len(pickle.dumps(layer)) < 1000 < np.prod(layer.shape) * 4


def test_the_largest_layers_come_first_when_there_are_several_workers(checkpoint):
    rows = list(rows_of(checkpoint, Options(), n_jobs=2))
    assert {row["layer_id"] for row in rows[:2]} & {3, 4}
    assert [row["layer_id"] for row in rows_of(checkpoint, Options())] == [0, 1, 2, 3, 4]
    same(table_of(rows, checkpoint, Options()), analyze(checkpoint))


def test_a_second_run_computes_nothing_and_gives_the_same(checkpoint, tmp_path, monkeypatch):
    folder = tmp_path / "kept" / "deep"
    expected = analyze(checkpoint, **OPTIONS)
    same(analyze(checkpoint, **OPTIONS, cache=folder), expected)
    entries = sorted(folder.rglob("*.npz"))
    assert len(entries) >= 2 * 5  # spectra and the nulls that were asked for; the verdict may need shuffles besides
    other = analyze(checkpoint, fix_fingers=None)

    def nothing(*args, **kwargs):
        raise AssertionError("computed")

    monkeypatch.setattr("rmt_lab.spectrum.spectrum.singular_values", nothing)
    same(analyze(checkpoint, **OPTIONS, cache=folder), expected)
    same(analyze(checkpoint, fix_fingers=None, cache=folder), other)
    same(analyze(weights(), **OPTIONS, cache=folder), expected)  # the bytes count, not the file
    assert sorted(folder.rglob("*.npz")) == entries
    with pytest.raises(AssertionError):
        analyze(checkpoint, **{**OPTIONS, "rng": 4}, cache=folder)  # another null


def test_a_shard_that_was_replaced_is_computed_anew(checkpoint, tmp_path):
    analyze(checkpoint, cache=tmp_path / "kept")
    save_file(weights(seed=1), checkpoint)
    same(analyze(checkpoint, cache=tmp_path / "kept"), analyze(checkpoint))


def damage(data, kind):
    half = len(data) // 2
    return {
        "empty": b"",
        "cut": data[:half],
        "a flipped bit": data[:half] + bytes([data[half] ^ 1]) + data[half + 1 :],
        "noise": bytes(range(256)) * 8,
    }[kind]


@pytest.mark.parametrize("kind", ["empty", "cut", "a flipped bit", "noise", "another entry"])
def test_a_damaged_entry_is_made_again(checkpoint, tmp_path, kind):
    folder = tmp_path / "kept"
    expected = analyze(checkpoint, cache=folder)
    entries = sorted(folder.rglob("*.npz"))
    whole = [p.read_bytes() for p in entries]
    for path, data in zip(entries, whole, strict=True):
        path.write_bytes(whole[whole.index(data) - 1] if kind == "another entry" else damage(data, kind))
    same(analyze(checkpoint, cache=folder), expected)
    for path, data in zip(entries, whole, strict=True):
        with np.load(path) as again:
            assert len(again["singular_values"]) > 0
        assert len(path.read_bytes()) == len(data)


def test_a_full_disk_costs_no_figures(checkpoint, tmp_path, monkeypatch):
    expected = analyze(checkpoint)

    def full(*args, **kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("rmt_lab.spectrum.kept.write_record", full)
    with pytest.warns(UserWarning, match=r"cache=.*could not be kept there: .*No space left"):
        same(analyze(checkpoint, cache=tmp_path / "kept"), expected)
    assert not list((tmp_path / "kept").rglob("*.npz"))


def test_a_damaged_entry_in_a_folder_that_is_read_only_costs_no_figures(checkpoint, tmp_path, monkeypatch):
    expected = analyze(checkpoint, cache=tmp_path)
    for path in tmp_path.rglob("*.npz"):
        path.write_bytes(b"")

    def read_only(*args, **kwargs):
        raise OSError(30, "Read-only file system", "a file")

    monkeypatch.setattr(Path, "unlink", read_only)
    monkeypatch.setattr("rmt_lab.spectrum.kept.write_record", read_only)
    with pytest.warns(UserWarning, match="could not be kept") as told:
        same(analyze(checkpoint, cache=tmp_path), expected)
    assert {str(w.message) for w in told} == {
        f"cache={str(tmp_path)!r}: a spectrum could not be kept there: Read-only file system"
    }


def test_what_killed_runs_left_in_a_cache_is_removed_and_nothing_else(checkpoint, tmp_path):
    """Also beside an entry that another run has finished, which is never written again."""
    folder = tmp_path / "kept"
    analyze(checkpoint, cache=folder)
    entry = next(folder.rglob("*.npz"))
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    machine = this_machine()
    left, others, mine = (
        entry.with_name(f".{entry.name}.{owner}.x1_y.part")
        for owner in (f"{machine}.{gone.pid}", f"not{machine}.{gone.pid}", f"{machine}.{os.getpid()}")
    )
    for path in (left, others, mine):
        path.touch()
    KeptSpectra(folder)
    assert (left.exists(), others.exists(), mine.exists()) == (False, True, True)
    os.utime(others, (0, 0))
    KeptSpectra(folder)
    assert (others.exists(), mine.exists(), entry.exists()) == (False, True, True)


DIES = """
import os, sys
import joblib
import rmt_lab.analysis as analysis
own = analysis._row
def dies(found, **kwargs):
    if found.layer_id == 0:
        os.kill(os.getpid(), 9)
    return own(found, **kwargs)
analysis._row = dies
if __name__ == "__main__":
    with joblib.parallel_config("loky", n_jobs=2):
        analysis.analyze(sys.argv[1], cache=sys.argv[2] if len(sys.argv) > 2 else None)
"""


@pytest.mark.slow
def test_when_a_worker_dies_the_error_says_how_far_the_run_came_and_the_next_goes_on(checkpoint, tmp_path):
    script, folder = tmp_path / "dies.py", tmp_path / "kept"
    script.write_text(DIES)
    for more, where in (([], "with cache=DIR, they would be kept"), ([folder], f"their spectra are in {folder}")):
        command = [sys.executable, str(script), str(checkpoint), *map(str, more)]
        run = subprocess.run(command, capture_output=True, text=True, timeout=120)
        said = rf"^analyze: \d of 5 layers were done; {re.escape(where)}$"
        assert re.search(said, run.stderr, re.MULTILINE), run.stderr  # the pool's clean-up may say more below it
        assert "TerminatedWorkerError" in run.stderr
    same(analyze(checkpoint, cache=folder), analyze(checkpoint))


def test_a_cache_that_cannot_be_a_folder_is_refused_at_the_call(checkpoint):
    with pytest.raises(OSError, match="model.safetensors"):
        rows_of(checkpoint, Options(), cache=checkpoint)


@pytest.mark.parametrize(
    ("cache", "error"), [("taken", OSError), ("taken/below", OSError), ("", TypeError), (3, TypeError)]
)
def test_a_cache_that_is_refused_is_named_as_it_was_given(checkpoint, tmp_path, monkeypatch, cache, error):
    monkeypatch.chdir(tmp_path)
    Path("taken").touch()
    with pytest.raises(error, match=f"^cache={cache!r}"):
        analyze(checkpoint, cache=cache)
    assert sorted(p.name for p in tmp_path.iterdir() if p.is_dir()) == []


def test_a_cache_that_is_removed_in_the_middle_is_made_again(checkpoint, tmp_path):
    rows = rows_of(checkpoint, Options(), cache=tmp_path / "kept")
    first = next(rows)
    shutil.rmtree(tmp_path / "kept")
    assert len([first, *rows]) == 5
    assert len(list((tmp_path / "kept").rglob("*.npz"))) == 4


def test_nodes_whose_names_begin_alike_are_told_apart(monkeypatch):
    names = []
    for node in ("compute-partition-large-0001", "compute-partition-large-0002"):
        monkeypatch.setattr("platform.node", lambda node=node: node)
        names.append(this_machine())
    assert names[0] != names[1]


@pytest.mark.slow
def test_two_runs_share_a_cache(checkpoint, tmp_path):
    expected = analyze(checkpoint, **OPTIONS)
    command = [sys.executable, "-m", "rmt_lab.cli", "analyze", str(checkpoint), "--cache", str(tmp_path / "kept")]
    runs = [
        subprocess.Popen([*command, "--out", str(tmp_path / f"{i}.csv")], stdout=subprocess.DEVNULL) for i in (0, 1)
    ]
    assert [run.wait(timeout=120) for run in runs] == [0, 0]
    assert (tmp_path / "0.csv").read_bytes() == (tmp_path / "1.csv").read_bytes()
    same(analyze(checkpoint, **OPTIONS, cache=tmp_path / "kept"), expected)
    assert not [p for p in (tmp_path / "kept").rglob("*") if p.is_file() and p.suffix != ".npz"]


SLOWLY = """
import signal, sys, time
signal.signal(signal.SIGINT, signal.default_int_handler)  # what runs in the background ignores it
import rmt_lab.analysis as analysis
own = analysis._row
def slowly(*args, **kwargs):
    done = own(*args, **kwargs)
    print("row", file=sys.stderr, flush=True)
    time.sleep(0.3)
    return done
analysis._row = slowly
from rmt_lab.cli import main
sys.exit(main(sys.argv[1:]))
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such signals")
@pytest.mark.slow
@pytest.mark.parametrize(
    ("number", "code", "cached"),
    [
        (signal.SIGINT, 130, True),
        (signal.SIGINT, 130, False),
        (signal.SIGTERM, 143, True),
        (getattr(signal, "SIGHUP", None), 129, True),
    ],
)
def test_a_stopped_run_tells_what_is_done_and_the_next_goes_on(checkpoint, tmp_path, number, code, cached):
    cache, out = tmp_path / "kept", tmp_path / "rows.jsonl"
    command = [sys.executable, "-c", SLOWLY, "analyze", str(checkpoint)]
    command += ["--cache", str(cache), "--out", str(out)] if cached else []
    run = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert [run.stderr.readline() for _ in range(3)] == ["row\n"] * 3
    run.send_signal(number)
    printed, told = run.communicate(timeout=60)
    assert run.returncode == code
    assert "Traceback" not in told
    assert "block 1 feed-forward in" in printed
    if not cached:
        assert "2 layers done; nothing of them is kept; with --cache DIR it is" in told
        return
    assert f"2 layers done; their spectra are in {cache}, and the same command goes on from there" in told
    assert [json.loads(line)["layer_id"] for line in out.read_text().splitlines()] == [0, 1]
    assert len(list(cache.rglob("*.npz"))) == 3
    same(analyze(checkpoint, cache=cache), analyze(checkpoint))


def test_rows_are_written_one_by_one_and_are_those_of_the_table(checkpoint, tmp_path, capsys):
    from rmt_lab.cli import main

    out = tmp_path / "rows.jsonl"
    assert main(["analyze", str(checkpoint), "--out", str(out), "--jobs", "2", "--fix-fingers", "clip_xmax"]) == 0
    rows = sorted((json.loads(line) for line in out.read_text().splitlines()), key=lambda row: row["layer_id"])
    details = analyze(checkpoint, fix_fingers="clip_xmax")
    assert set(rows[0]) == set(details.columns)
    assert [row["alpha"] for row in rows] == list(details["alpha"])
    capsys.readouterr()


@pytest.mark.skipif(sys.platform == "win32", reason="needs a POSIX shell")
def test_closed_and_full_outputs(checkpoint, tmp_path):
    out = tmp_path / "details.csv"
    command = f"{sys.executable} -m rmt_lab.cli analyze {checkpoint} --out {out}"
    run = subprocess.run(f"{command} >&-", shell=True, capture_output=True, text=True, timeout=120)
    assert (run.returncode, run.stderr) == (0, "")
    assert len(pd.read_csv(out)) == 5
    if Path("/dev/full").exists():
        run = subprocess.run(f"{command} > /dev/full", shell=True, capture_output=True, text=True, timeout=120)
        assert run.returncode == 1
        assert run.stderr.startswith("rmt-lab: ")
        assert run.stderr.count("\n") == 1


def test_what_cannot_be_read_is_a_row_with_its_reason(tmp_path):
    W = np.random.default_rng(0).normal(size=(30, 20)).astype(np.float32)
    save_file({"a.weight": W, "b.weight": W.astype(np.int8), "c.weight": W}, tmp_path / "m.safetensors")
    details = analyze(tmp_path / "m.safetensors")
    assert list(details["status"].str[:30]) == ["success", "failed: it cannot be read: it ", "success"]
    assert details["N"].isna().tolist() == [False, True, False]


@pytest.mark.parametrize("method", ["svd", "gram32", "top"])
def test_methods_are_kept_apart_and_recorded(checkpoint, tmp_path, method):
    plain = analyze(checkpoint, cache=tmp_path)
    found = analyze(checkpoint, cache=tmp_path, method=method)
    assert found.attrs["options"]["method"] == method
    same(analyze(checkpoint, **found.attrs["options"], cache=tmp_path), found)
    assert len(list(tmp_path.rglob("*.npz"))) == 10
    ok = found["status"] == "success"  # half of 40 eigenvalues is too little for some tails
    assert ok.all() if method != "top" else ok.any()
    np.testing.assert_allclose(found["alpha"][ok], plain["alpha"][ok], atol=1e-4)
    assert (found["num_exact"] < found["num_evals"]).all() == (method == "top")
    with pytest.raises(ValueError, match="method='qr'; allowed are 'gram'"):
        analyze(checkpoint, method="qr")
    with pytest.raises(ValueError, match="device='tpu'; on this machine there is 'cpu'"):
        analyze(checkpoint, device="tpu")


def test_a_spectrum_comes_back_to_the_last_digit(tmp_path):
    s = Spectrum.from_matrix(np.random.default_rng(0).normal(size=(9, 6, 3)).astype(np.float16), name="kernel")
    kept = KeptSpectra(tmp_path)
    kept.get("x", {}, lambda: s)
    again = kept.get("x", {}, lambda: 1 / 0)
    assert (again.N, again.M, again.rf, again.rounding) == (s.N, s.M, s.rf, s.rounding)
    assert again.certificate == s.certificate
    part = Spectrum.from_matrix(np.random.default_rng(0).normal(size=(90, 60)), method="top", top=9)
    kept.get("y", {}, lambda: part)
    assert kept.get("y", {}, lambda: 1 / 0).num_exact == 9
    np.testing.assert_array_equal(again.singular_values, s.singular_values)


@pytest.mark.parametrize("n_jobs", [10**6, 10**20, -(10**6)])
def test_more_workers_than_layers_are_as_many_as_layers(checkpoint, n_jobs):
    same(analyze(checkpoint, n_jobs=n_jobs), analyze(checkpoint))


def test_a_table_is_not_called_what_it_is_not(checkpoint, tmp_path, capsys):
    from rmt_lab.cli import main

    assert main(["analyze", str(checkpoint), "--out", str(tmp_path / "table.parquet")]) == 1
    assert "table.parquet: a table is written as .csv, or as .jsonl row by row" in capsys.readouterr().err
    assert not (tmp_path / "table.parquet").exists()


def test_two_threads_solve_at_the_same_time(checkpoint, monkeypatch):
    """A barrier of two, which one thread alone would wait at in vain."""
    import rmt_lab.spectrum.spectrum as module

    meeting, solve = threading.Barrier(2, timeout=20), module.singular_values

    def met(*args):
        meeting.wait()
        return solve(*args)

    monkeypatch.setattr(module, "singular_values", met)
    details = analyze(checkpoint, n_jobs=2, layers=[0, 1, 2, 3], cache=None)
    assert list(details["status"]) == ["success"] * 4
