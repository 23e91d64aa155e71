"""Run a notebook with another model in the line that names it: python hub_line.py NOTEBOOK SOURCE"""

import os
import re
import sys
from pathlib import Path

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
from course import cells

SHOWN = []


def show():
    """Lay out what is there and count its panels, then close it."""
    for number in plt.get_fignums():
        figure = plt.figure(number)
        figure.canvas.draw()
        SHOWN.append(len(figure.axes))
    plt.close("all")


def main(path, source):
    os.environ["RMT_LAB_ANSWERS"] = ""  # predictions are kept in memory
    plt.show = show
    line, changed, namespace = re.compile(r'SOURCE = (upload\.path or )?"minilm"'), 0, {}
    for cell in cells(Path(path)):
        if cell.kind == "code" and "install" not in cell.tags:
            text, found = line.subn(f"SOURCE = {source!r}", cell.source)
            changed += found
            exec(text, namespace)
    print("changed lines:", changed)
    print("panels:", *SHOWN)


if __name__ == "__main__":
    main(*sys.argv[1:])
