"""Spectra kept in a folder, so that no eigenvalue is computed twice."""

from __future__ import annotations

import hashlib
import json
import os
import warnings
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from .._arrays import Matrix
from .._files import read_record, remove_parts, write_record
from .certificate import Certificate
from .spectrum import Spectrum

_FORMAT = 2  # of an entry, and of what its name is made from
_FIELDS = ("N", "M", "rf", "rounding", "num_exact")
_CHUNK = 2**22  # bytes that are hashed at a time


class KeptSpectra:
    """A folder of spectra, each under the name that its matrix's bytes and the way it was computed give.

    Several processes, on several machines, may use one folder at once: an entry is written whole or not at all, and an
    entry that two of them write is the same. An entry that is damaged is made again. A folder that is full, or that may
    only be read, costs a warning and no spectrum.

    Parameters
    ----------
    folder : path
        Made if need be.

    Raises
    ------
    OSError
        If the folder cannot be made.
    TypeError
        If it is no path.

    Examples
    --------
    >>> import tempfile
    >>> W = np.random.default_rng(0).normal(size=(200, 100))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     kept = KeptSpectra(folder)
    ...     for _ in range(2):
    ...         kept.get(digest(W), {"method": "gram"}, lambda: print("computed") or Spectrum.from_matrix(W))
    computed
    Spectrum(N=200, M=100, Q=2, rank=100, lambda_max=2.714)
    Spectrum(N=200, M=100, Q=2, rank=100, lambda_max=2.714)
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        if not isinstance(folder, str | os.PathLike) or not str(folder):
            raise TypeError(f"cache={folder!r}; the path of a folder is allowed, or None")
        self.folder = Path(folder).absolute()  # a worker may stand elsewhere
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise type(error)(f"cache={str(folder)!r} cannot be a folder: {error.strerror}") from None
        for drawer in self.folder.glob("??"):  # what a killed run has left, also of entries that need no more work
            remove_parts(drawer)

    def get(self, matrix: str, how: dict[str, Any], make: Callable[[], Spectrum]) -> Spectrum:
        """The spectrum of a matrix: read if it is here, else made and kept.

        Parameters
        ----------
        matrix : str
            The :func:`digest` of the matrix.
        how : dict
            All that the spectrum depends on besides: the method, a null and its random numbers. It must survive JSON.
        make : function
            Makes the spectrum.
        """
        key = _hash(json.dumps([_FORMAT, matrix, how], sort_keys=True).encode())
        path = self.folder / key[:2] / f"{key}.npz"
        try:
            return _read(path, key)
        except FileNotFoundError:
            pass
        except Exception:  # damaged bytes come up as anything; zip's checksums find them
            with suppress(OSError):  # where nothing can be written, it stays and is made again in every run
                path.unlink(missing_ok=True)
        spectrum = make()
        try:
            path.parent.mkdir(parents=True, exist_ok=True)  # the folder may be gone by now
            _write(path, key, spectrum)
        except OSError as error:  # a full disk must not cost the figures at hand
            reason = error.strerror or error  # without the entry's name: one warning, and not one per layer
            warnings.warn(f"cache={str(self.folder)!r}: a spectrum could not be kept there: {reason}", stacklevel=2)
        return spectrum

    def __repr__(self) -> str:
        return f"KeptSpectra({str(self.folder)!r})"


def digest(W: Matrix) -> str:
    """The SHA-256 of an array's type, shape and values, in the order of its indices.

    Examples
    --------
    >>> W = np.arange(6.0).reshape(2, 3)
    >>> digest(W) == digest(np.asfortranarray(W)), digest(W) == digest(W.T), digest(W) == digest(W + 0.1)
    (True, False, False)
    """
    sha = hashlib.sha256(f"{W.dtype.str} {W.shape}".encode())
    step = max(1, _CHUNK * len(W) // max(1, W.nbytes))
    for i in range(0, len(W), step):
        sha.update(np.ascontiguousarray(W[i : i + step]).reshape(-1).view(np.uint8).data)
    return sha.hexdigest()


def _hash(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _write(path: Path, key: str, s: Spectrum) -> None:
    record = {"format": _FORMAT, "key": key, **{name: getattr(s, name) for name in _FIELDS}}
    record["certificate"] = s.certificate and asdict(s.certificate)
    write_record(path, record, singular_values=s.singular_values)


def _read(path: Path, key: str) -> Spectrum:
    record, arrays = read_record(path.read_bytes(), _FORMAT)
    if record["key"] != key:
        raise ValueError("an entry of another name")
    checked = record["certificate"] and Certificate(**record["certificate"])
    return Spectrum(arrays["singular_values"], **{name: record[name] for name in _FIELDS}, certificate=checked)
