"""What a reader has predicted and written, kept in a small file that survives a restart of the kernel."""

from __future__ import annotations

import json
import math
import os
import warnings
from pathlib import Path

from .._files import written_whole

FILE = ".rmt_lab_answers.json"
VARIABLE = "RMT_LAB_ANSWERS"  # another file, or empty: in memory only

Answer = str | float


class Records:
    """Answers by name, in a JSON file, or in memory where there is none or it cannot be written.

    The file is read again every time, since several notebooks of a folder share it.

    Parameters
    ----------
    path : Path, optional
        The file. Without it answers are kept in memory only.

    Examples
    --------
    >>> records = Records(None)
    >>> records.put("02-example", "larger")
    >>> records.get("02-example")
    'larger'
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._own: dict[str, Answer] = {}  # put in this session
        self._told = False  # that the file cannot be used

    def get(self, name: str) -> Answer | None:
        """The answer of that name, or None."""
        return (self._read() | self._own).get(name)

    def put(self, name: str, answer: Answer) -> None:
        """Keep an answer in place of an earlier one."""
        self._own[name] = answer
        if self._path is None:
            return
        try:
            text = json.dumps(self._read() | self._own, indent=1, ensure_ascii=False)
            with written_whole(self._path) as file:
                file.write(text.encode(errors="replace"))
        except OSError as error:
            self._tell_once(error)

    def _read(self) -> dict[str, Answer]:
        if self._path is None:
            return {}
        try:
            return _parsed(self._path.read_bytes())
        except FileNotFoundError:
            return {}
        except OSError as error:
            self._tell_once(error)
        except (ValueError, RecursionError, OverflowError):
            self._set_aside(self._path)
        return {}

    def _set_aside(self, path: Path) -> None:
        aside = path.with_suffix(".damaged")
        try:
            os.replace(path, aside)
        except OSError as error:
            self._tell_once(error)
            return
        warnings.warn(
            f"The file {path.name} with your predictions and answers is damaged. It is now called {aside.name}, "
            "and a new file is started. Run the cells with your predictions and answers again.",
            stacklevel=2,
        )

    def _tell_once(self, error: OSError) -> None:
        if not self._told:
            self._told = True
            warnings.warn(
                f"Predictions and answers are kept until the kernel stops, and not longer: the file {self._path} "
                f"cannot be used ({error.strerror}).",
                stacklevel=2,
            )


def default() -> Records:
    """Those of the working folder, or where the environment variable RMT_LAB_ANSWERS says."""
    where = os.environ.get(VARIABLE, FILE)
    return Records(Path(where).absolute() if where else None)


def _parsed(data: bytes) -> dict[str, Answer]:
    found = json.loads(data)
    if not isinstance(found, dict) or not all(map(_is_answer, found.values())):
        raise ValueError("these are no answers")
    return found


def _is_answer(value: object) -> bool:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return math.isfinite(value)
    return isinstance(value, str)
