"""The environment that WeightWatcher runs in, and the processes that do the measured work."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Any

from rmt_lab._files import cache_folder

HERE = Path(__file__).parent
REQUIREMENTS = HERE / "weightwatcher-requirements.txt"


def weightwatcher_python(given: Path | None = None) -> Path:
    """An interpreter that has WeightWatcher 0.7.7: the given one, or that of an environment in the user's cache folder.

    The environment is made on first use (1.4 GB, more where pip brings a CUDA build of torch), and made again when
    ``weightwatcher-requirements.txt`` changes.

    Raises
    ------
    SystemExit
        If the given interpreter has another version or none, or the installation fails.
    """
    if given is not None:
        command = [str(given), "-c", "from importlib.metadata import version as v; print(v('weightwatcher'))"]
        found = subprocess.run(command, capture_output=True, text=True, check=False)
        if found.stdout.strip() != "0.7.7":
            raise SystemExit(f"{given} has weightwatcher {found.stdout.strip() or 'not installed'}; 0.7.7 is needed")
        return given
    folder = cache_folder("weightwatcher")
    python = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    stamp = folder / "installed.txt"
    wanted = REQUIREMENTS.read_text(encoding="utf-8")
    if not stamp.exists() or stamp.read_text(encoding="utf-8") != wanted:
        print(f"Installing WeightWatcher into {folder} (once) ...", flush=True)
        try:
            subprocess.run([sys.executable, "-m", "venv", "--clear", str(folder)], check=True)
            subprocess.run([str(python), "-m", "pip", "install", "--quiet", "-r", str(REQUIREMENTS)], check=True)
        except subprocess.CalledProcessError as error:
            raise SystemExit(f"WeightWatcher could not be installed: {error}") from None
        stamp.write_text(wanted, encoding="utf-8")
    return python


class Worker:
    """A process that runs :mod:`benchmarks.worker` under some interpreter, with one BLAS thread by default.

    ``worker.do("fit", tool=..., path=...)`` sends a job and waits for its result.
    """

    def __init__(self, python: Path | str = sys.executable, threads: int = 1) -> None:
        libraries = ("OPENBLAS", "OMP", "MKL", "VECLIB_MAXIMUM", "NUMEXPR")
        env = os.environ | {f"{library}_NUM_THREADS": str(threads) for library in libraries}
        env |= {"MPLBACKEND": "Agg", "PYTHONWARNINGS": "ignore"}
        if str(python) == sys.executable:
            env["PYTHONPATH"] = str(HERE.parent)
        self._folder = tempfile.TemporaryDirectory()
        self._errors = Path(self._folder.name) / "stderr.txt"
        with self._errors.open("w") as errors:
            self._process = subprocess.Popen(
                [str(python), str(HERE / "worker.py")],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                env=env,
                cwd=self._folder.name,
            )

    def do(self, what: str, **arguments: Any) -> dict[str, Any]:
        """The result of a job.

        Raises
        ------
        RuntimeError
            If the process died; the message ends with what it said.
        """
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        print(json.dumps({"do": what, **arguments}), file=self._process.stdin, flush=True)
        answer = self._process.stdout.readline()
        if not answer:
            raise RuntimeError(f"{what} {arguments} failed:\n{self._errors.read_text(errors='replace')[-2000:]}")
        result: dict[str, Any] = json.loads(answer)
        return result

    def __enter__(self) -> Worker:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.communicate()
        self._folder.cleanup()
