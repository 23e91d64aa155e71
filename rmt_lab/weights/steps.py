"""The checkpoints that a training left behind, in the order of its steps."""

from __future__ import annotations

import glob
import os
import re
from pathlib import Path

from .checkpoints import suffix_of

_STEP = re.compile(r"(?:step|checkpoint|ckpt|iter(?:ation)?)s?[-_=.]?(\d+)", re.IGNORECASE)
_NUMBER = re.compile(r"\d+")
_SHARD = re.compile(r"-\d+-of-\d+\.\w+$")  # a part of one model


def step_of(name: str) -> int | None:
    """The step in the name of a checkpoint: the number after "step", "checkpoint" or "iter", else the last number.

    Examples
    --------
    >>> [step_of(n) for n in ("checkpoint-500", "epoch=3-step=700.ckpt", "epoch_2.pt", "last", "last.H5")]
    [500, 700, 2, None, None]
    """
    stem = name[: len(name) - len(suffix_of(name) or "")]
    found = _STEP.findall(stem) or _NUMBER.findall(stem)
    return int(found[-1]) if found and len(found[-1]) <= 18 else None


def find_steps(source: str | os.PathLike[str]) -> list[tuple[int | None, Path]]:
    """The checkpoints in a folder or of a pattern, each with its step, ascending; those without a number come last.

    In a folder these are the folders with a step in their names, or with a number and a checkpoint in them. Where there
    are none, they are the files of checkpoints; the parts of a sharded one are none.

    Raises
    ------
    FileNotFoundError
        If there is no checkpoint.

    Examples
    --------
    >>> find_steps("nowhere/checkpoint-*")
    Traceback (most recent call last):
    FileNotFoundError: source='nowhere/checkpoint-*': no checkpoint there; a folder of them or a pattern is needed
    """
    folder = Path(source).expanduser()
    if folder.is_dir():
        inside = sorted(folder.iterdir())
        numbered = [p for p in inside if step_of(p.name) is not None]
        paths = [p for p in numbered if p.is_dir() and (_STEP.search(p.name) or _holds_checkpoint(p))]
        paths = paths or [p for p in numbered if p.is_file() and suffix_of(p.name) and not _SHARD.search(p.name)]
    else:
        paths = [Path(p) for p in sorted(glob.glob(str(folder)))]
    if not paths:
        raise FileNotFoundError(f"source={str(source)!r}: no checkpoint there; a folder of them or a pattern is needed")
    found = [(step_of(path.name), path) for path in paths]
    return sorted(found, key=lambda pair: (pair[0] is None, pair[0] or 0, pair[1].name))


def _holds_checkpoint(folder: Path) -> bool:
    return any(suffix_of(path.name) for path in folder.iterdir())
