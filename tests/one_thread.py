"""Run notebooks as a browser would, where neither a thread nor a process starts: python one_thread.py NOTEBOOK ..."""

import json
import os
import subprocess
import sys
import sysconfig
import threading
import warnings
from pathlib import Path


def refuse(*_, **__):
    """What Python says in a browser."""
    raise RuntimeError("can't start new thread")


def main(*paths):
    sysconfig.get_config_vars()  # are kept, and are those of this machine
    sys.platform = "emscripten"  # before anything else asks for it
    threading.Thread.start = subprocess.Popen.__init__ = os.fork = refuse
    sys.modules["_multiprocessing"] = sys.modules["pip"] = None
    os.environ["RMT_LAB_ANSWERS"] = ""  # predictions are kept in memory
    warnings.simplefilter("error")

    import matplotlib

    matplotlib.use("Agg")

    import matplotlib.pyplot as plt
    import tqdm

    tqdm.tqdm.monitor_interval = 0  # as the first cell of a notebook sets it
    plt.show = lambda: plt.close("all")
    for path in map(Path, paths):
        space = {}
        for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
            if cell["cell_type"] == "code" and "install" not in cell["metadata"].get("tags", []):
                exec("".join(cell["source"]), space)
        print(f"ran {path.stem}", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
