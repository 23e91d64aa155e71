"""A hub on the loopback address: the part of the Hugging Face hub's protocol that a download needs, and its faults."""

import hashlib
import os
import subprocess
import sys
import threading
import time
from collections import deque
from contextlib import suppress
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

COMMIT = "c0ffee" + "0" * 34
_CHUNK = 1 << 16
_ROOT = Path(__file__).parents[1]


class HubServer:
    """Serves ``folder / repository / file``; a context manager.

    Attributes
    ----------
    url : str
        For the variable HF_ENDPOINT.
    asked : list of (str, str, str or None)
        Method, path and Range of every request so far.
    renamed : dict of str to str
        Repositories that have moved: the hub answers with the new address, as it does for ``gpt2``.
    gated : set of str
        Repositories whose licence has to be accepted first.
    cuts : deque of int
        Fault: the next GET breaks off after so many bytes, the one after it by the next entry, and so on.
    delay : float
        Fault: seconds before each answer.
    """

    def __init__(self, folder):
        self.folder = Path(folder)
        self.asked, self.renamed, self.gated, self.cuts, self.delay = [], {}, set(), deque(), 0.0

    def __enter__(self):
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"hub": self}))
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_):
        self._server.shutdown()
        self._server.server_close()

    def run(self, home, *command, **kwargs):
        """A Python process that takes this server for the hub and ``home`` for its own folder; its result.

        huggingface_hub reads its settings when it is imported, so that they have to come with a new process.
        """
        foreign = ("HF_", "HUGGINGFACE", "TQDM", "RMT_LAB")
        environment = {key: value for key, value in os.environ.items() if not key.upper().startswith(foreign)}
        environment |= {"HF_ENDPOINT": self.url, "HF_HOME": str(home / "hf"), "RMT_LAB_CACHE": str(home / "rmt_lab")}
        environment |= {"HF_HUB_DISABLE_XET": "1", "NO_PROXY": "127.0.0.1", "PYTHONPATH": str(_ROOT)}
        options = {"capture_output": True, "text": True, "timeout": 300, "cwd": _ROOT} | kwargs
        return subprocess.run([sys.executable, *command], env=environment, **options)

    def downloads(self):
        """The files asked for by GET, in order, each time with its Range."""
        return [(p.rpartition("/")[2], span) for method, p, span in self.asked if method == "GET" and "/resolve/" in p]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    hub: HubServer

    def do_HEAD(self):
        self._answer(body=False)

    def do_GET(self):
        self._answer(body=True)

    def log_message(self, *_):
        pass

    def _answer(self, body):
        hub, span = self.hub, self.headers.get("Range")
        hub.asked.append((self.command, self.path, span))
        time.sleep(hub.delay)
        if self.path == "/":
            return self._send(200)
        name, _, filename = self.path.strip("/").partition("/resolve/main/")
        if not filename:  # huggingface_hub also asks what program calls it
            return self._send(404)
        if name in hub.renamed:
            return self._send(307, Location=f"/{hub.renamed[name]}/resolve/main/{filename}")
        path = hub.folder / name / filename
        if name in hub.gated:
            return self._send(401, **{"X-Error-Code": "GatedRepo", "X-Error-Message": "Access is restricted."})
        if not (hub.folder / name).is_dir():  # the hub does not tell what is private from what is not there
            return self._send(401, **{"X-Error-Code": "RepoNotFound", "X-Error-Message": "Repository not found"})
        if not path.is_file():
            return self._send(404, **{"X-Error-Code": "EntryNotFound", "X-Repo-Commit": COMMIT})
        size = path.stat().st_size
        first = int(span.removeprefix("bytes=").partition("-")[0]) if span else 0
        about = {"ETag": f'"{_sha256(path)}"', "X-Repo-Commit": COMMIT, "Accept-Ranges": "bytes"}
        if span:
            about["Content-Range"] = f"bytes {first}-{size - 1}/{size}"
        self._send(206 if span else 200, size - first, **about)
        if body:
            self._send_file(path, first, size - first)

    def _send(self, status, length=0, **headers):
        self.send_response(status)
        for key, value in {"Content-Length": str(length), **headers}.items():
            self.send_header(key, value)
        self.end_headers()

    def _send_file(self, path, first, length):
        cut = self.hub.cuts.popleft() if self.hub.cuts else length
        left = min(cut, length)
        with path.open("rb") as file, suppress(ConnectionError):  # the other side may have gone
            file.seek(first)
            while left:
                left -= self.wfile.write(file.read(min(left, _CHUNK)))
        if cut < length:
            self.close_connection = True


@cache
def _sha256(path):
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
