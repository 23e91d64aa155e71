"""A file of the reader's own, from the browser to the disk of the kernel: in small parts, whatever its size."""

from __future__ import annotations

import errno
import os
import re
import shutil
import tempfile
import weakref
from collections.abc import Callable
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import IO, Any

import anywidget
import traitlets

from .._files import runs, this_machine
from ..weights.read import find_weights

#: Bytes of the largest file that is taken.
LARGEST = 300_000_000
#: The endings that are taken, of formats that hold a model in one file and run no code.
ENDINGS = (".safetensors", ".gguf", ".npz") if find_spec("gguf") else (".safetensors", ".npz")

_ALLOWED = f"{', '.join(ENDINGS[:-1])} or {ENDINGS[-1]}"
_PICKLES = (".pt", ".pth", ".bin", ".ckpt")
_FIRST = f"It ends in {_ALLOWED} and has at most {LARGEST // 10**6} MB."
_SPARE = 50_000_000  # bytes that the disk keeps
_LONGEST_NAME = 60  # characters that are shown
_FOLDER = re.compile(r"rmt_lab-upload-([^\W_]+)-(\d+)-\w+$")  # its machine and its process


class Upload(anywidget.AnyWidget):
    """A button and a place to drop a checkpoint on, which brings it from the browser to where the kernel runs.

    The browser sends the file in parts of 1 MB and waits for their receipt, so that neither the server nor the kernel
    ever holds more than a few of them. The file lies in a folder of its own that nobody else can read. It is removed
    when another file has taken its place, by :meth:`close`, and when the kernel ends. If the kernel is killed, the next
    upload removes it, but not on Windows. Its name serves as a label alone.

    What is refused: another ending than ``.safetensors``, ``.npz`` or, with the package gguf, ``.gguf``; more than
    300 MB; a file for which the disk has no room; a file without weight matrices. The widget then says what to do, and
    an earlier file stays.

    Attributes
    ----------
    words : str
        What the widget says.

    Examples
    --------
    >>> upload = Upload()
    >>> upload
    Upload(no file)
    >>> upload.path or "minilm"
    'minilm'
    """

    _esm = Path(__file__).with_suffix(".js")
    _css = Path(__file__).with_suffix(".css")
    accept = traitlets.Unicode(",".join(ENDINGS)).tag(sync=True)
    words = traitlets.Unicode(_FIRST).tag(sync=True)
    failed = traitlets.Bool(False).tag(sync=True)
    fraction = traitlets.Float(-1.0).tag(sync=True)  # of the work on the file that is done; -1 where nothing is at work

    def __init__(self) -> None:
        self._part: _Part | None = None  # what is arriving
        self._file: _Part | None = None  # what has arrived
        self._over: set[str] = set()  # uploads that ended, well or not
        self._callbacks: list[Callable[[str, str], None]] = []
        super().__init__()
        self.on_msg(self._hear)

    @property
    def path(self) -> str | None:
        """Where the file is; None where there is none."""
        return None if self._file is None else str(self._file.path)

    @property
    def name(self) -> str:
        """What the file is called in the browser, to be shown and never to be opened; empty where there is none."""
        return "" if self._file is None else self._file.name

    def on_file(self, callback: Callable[[str, str], None]) -> None:
        """Have ``callback(path, name)`` called with every file that has arrived.

        A ``ValueError``, ``OSError`` or ``ImportError`` of the callback refuses the file, and the widget says its
        message.
        """
        self._callbacks.append(callback)

    def tell(self, words: str, fraction: float = -1.0, failed: bool = False) -> None:
        """Have the widget say something, and show how much of a work is done: 0 to 1, or -1 for no bar."""
        with self.hold_sync():
            self.words, self.fraction, self.failed = words, fraction, failed

    def close(self) -> None:
        """Remove the file, and the widget from the page."""
        if hasattr(self, "_callbacks"):  # an instance that was not made has no file
            self._end_part()
            if self._file is not None:
                self._file.remove()
                self._file = None
        super().close()

    def __repr__(self) -> str:
        return f"Upload({self.name or 'no file'})"

    def _repr_mimebundle_(self, **kwargs: Any) -> Any:
        """The widget, and a line for where widgets do not run."""
        bundle = super()._repr_mimebundle_(**kwargs)
        data = {"text/plain": repr(self), "text/html": "<em>In a running notebook, a file can be dropped here.</em>"}
        if isinstance(bundle, tuple):
            return {**bundle[0], **data}, bundle[1]
        return {**(bundle or {}), **data}

    def _hear(self, _: Any, content: dict[str, Any], buffers: list[Any]) -> None:
        """One message of the browser: a start, a part, or the wish to stop.

        A start that is repeated asks how much has arrived. Whatever was lost on the way is so sent again: parts that do
        not begin where the last one ended are passed over.
        """
        upload, kind, part = str(content.get("upload")), content.get("kind"), self._part
        here = part is not None and part.upload == upload
        try:
            if kind == "start" and not here and upload not in self._over:
                self._start(upload, content["name"], content["size"])
            elif part is not None and here and kind == "part":
                part.write(content["at"], buffers[0])
                if part.received == part.size:
                    self._finish(part)
            elif here and kind == "stop":
                self._refuse(upload, "Stopped. The file was not kept.", failed=False)
        except OSError as error:
            self._refuse(upload, _of_disk(error))
        except BaseException as error:  # an interrupt of the kernel, too
            what = f"{type(error).__name__}: {error}".removesuffix(": ")
            self._refuse(upload, f"The file was not taken ({what}). Choose it again.")
            raise
        finally:
            if upload in self._over:
                self.send({"upload": upload, "over": True})
            elif self._part is not None and self._part.upload == upload:
                self.send({"upload": upload, "received": self._part.received, "asked": content.get("asked")})

    def _start(self, upload: str, name: str, size: int) -> None:
        ending = next((e for e in ENDINGS if name.lower().endswith(e)), None)
        shown = _label(name)
        if ending is None:
            what = f"Choose a file that ends in {_ALLOWED}"
            if name.lower().endswith(_PICKLES):
                what = "Save its state dict with safetensors.torch.save_file, and choose that file"
            return self._refuse(upload, f"{shown} was not taken. {what}.")
        if not 0 < size <= LARGEST:
            what = "is empty" if size <= 0 else f"is larger than {_megabytes(LARGEST)}"
            return self._refuse(upload, f"{shown} {what}. Choose another file.")
        _remove_left_behind()
        if shutil.disk_usage(tempfile.gettempdir()).free < size + _SPARE:
            raise OSError(errno.ENOSPC, "no room left")
        self._end_part()
        self._part = _Part(upload, shown, ending, size)
        self.tell(f"{shown} is on its way.")

    def _finish(self, part: _Part) -> None:
        """Check the file; then it takes the place of the one before."""
        part.file.close()
        old = self._file
        self.tell(arrived := f"{part.name} has arrived and is read.", 0.0)
        try:
            find_weights(part.path)
            self._file = part
            for callback in self._callbacks:
                callback(str(part.path), part.name)
        except (ValueError, OSError, ImportError) as error:
            self._file = old
            why = str(error).replace(f"source={str(part.path)!r}", "it").removesuffix(".")
            return self._refuse(part.upload, f"{part.name} cannot be used: {why}. Choose another file.")
        except BaseException:
            self._file = old
            raise
        self._over.add(part.upload)
        self._part = None
        if old is not None:
            old.remove()
        if self.words == arrived:
            self.tell(f"{part.name} is open, {_megabytes(part.size)}.")

    def _refuse(self, upload: str, words: str, failed: bool = True) -> None:
        self._over.add(upload)
        if self._part is not None and self._part.upload == upload:
            self._end_part()
        self.tell(words, failed=failed)

    def _end_part(self) -> None:
        if self._part is not None:
            self._over.add(self._part.upload)
            with suppress(OSError):  # of a full disk, once more
                self._part.file.close()
            self._part.remove()
            self._part = None


class _Part:
    """A file that is arriving, in a folder that goes when the process ends."""

    def __init__(self, upload: str, name: str, ending: str, size: int) -> None:
        self.upload, self.name, self.size, self.received = upload, name, size, 0
        folder = tempfile.mkdtemp(prefix=f"rmt_lab-upload-{this_machine()}-{os.getpid()}-")  # for this user alone
        self.remove = weakref.finalize(self, shutil.rmtree, folder, ignore_errors=True)
        self.path = Path(folder) / f"upload{ending}"
        self.file: IO[bytes] = os.fdopen(os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb")

    def write(self, at: int, data: Any) -> None:
        """The next part; one that does not begin where the last one ended is passed over."""
        if at != self.received:
            return
        if self.received + len(data) > self.size:
            raise ValueError(f"more than the {self.size} bytes that were promised")
        self.file.write(data)
        self.received += len(data)


def _label(name: str) -> str:
    """The name of a file as it is shown: one line, not too long, without what would change the text around it."""
    shown = "".join(c for c in re.split(r"[/\\]", name)[-1] if c.isprintable())
    return shown if len(shown) <= _LONGEST_NAME else f"{shown[: _LONGEST_NAME // 2]}…{shown[-_LONGEST_NAME // 2 :]}"


def _megabytes(size: int) -> str:
    return f"{size / 1e6:.0f} MB" if size >= 10**7 else f"{size / 1e6:.1f} MB"


def _of_disk(error: OSError) -> str:
    if error.errno in (errno.ENOSPC, getattr(errno, "EDQUOT", None)):
        return "The disk where the kernel runs has no room for this file. Delete files there, or choose a smaller one."
    return f"The file could not be written where the kernel runs ({error.strerror or error}). Choose it again."


def _remove_left_behind() -> None:
    """Remove the folders of processes of this machine that were killed."""
    for folder in Path(tempfile.gettempdir()).glob("rmt_lab-upload-*"):
        found = _FOLDER.match(folder.name)
        if found and found[1] == this_machine() and not runs(int(found[2])):
            with suppress(OSError):
                shutil.rmtree(folder)
