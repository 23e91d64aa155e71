"""From key press to new picture, measured in a browser: how fast the explorers answer.

    python -m benchmarks.latency                         all explorers that are meant to be fast
    python -m benchmarks.latency BulkExplorer            some of them

Each explorer stands alone in a notebook in JupyterLab in a headless Chromium. Every slider is moved by the arrow keys,
five steps to the right and five to the left, and the clock runs in the page: from the key's event to the frame after
the new picture was loaded. Beside it, without a browser and over the same steps, what of it is computing, drawing
into the figure, and rendering and compressing that. The machine's load is printed: half of a busy machine takes twice
as long. Exit status 1 if a median is over 100 ms or a 95th percentile over 200 ms.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "browser"))

from browser import jupyterlab, page, run_all

from rmt_lab import explorers
from rmt_lab.explorers.png import png

FAST = ("BulkExplorer", "SpikeExplorer", "PowerLawExplorer", "FingerExplorer", "LayerExplorer")
MEDIAN, P95 = 100.0, 200.0  # ms
STEPS = ("ArrowRight",) * 5 + ("ArrowLeft",) * 5
ROUNDS = 3

CLOCK = """() => {
    const picture = document.querySelector('img.widget-image');
    window.times = [];
    let pressed = null;
    document.addEventListener('keydown', () => { pressed = performance.now(); }, true);
    picture.addEventListener('load', () => requestAnimationFrame(() => {
        if (pressed !== null) window.times.push(performance.now() - pressed);
        pressed = null;
    }));
}"""


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.latency", description=(__doc__ or "").partition("\n")[0]
    )
    parser.add_argument("names", nargs="*", help="explorers")
    names = parser.parse_args().names or [name for name in FAST if name in explorers.__all__]
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f} at the start; all times in ms")
    print(f"{'':20}{'key press to picture':>28}{'':6}{'in the kernel, medians':>36}")
    print(f"{'':20}{'median':>10}{'95 %':>9}{'worst':>9}{'keys':>6}{'compute':>12}{'draw':>8}{'render':>9}{'sum':>7}")
    met = True
    with tempfile.TemporaryDirectory() as folder, page() as tab, jupyterlab(Path(folder)) as address:
        for name in names:
            pressed = in_browser(tab, address, Path(folder), name)
            parts = np.median(in_process(name), axis=0)
            median, p95 = np.quantile(pressed, [0.5, 0.95])
            met &= bool(median < MEDIAN and p95 < P95)
            print(f"{name:20}{median:10.0f}{p95:9.0f}{max(pressed):9.0f}{len(pressed):6}", end="")
            print("{:12.0f}{:8.0f}{:9.0f}{:7.0f}".format(*parts, parts.sum()), flush=True)
    target = f"median under {MEDIAN:.0f} ms and 95 % under {P95:.0f} ms"
    print(f"{'met' if met else 'MISSED'}: {target}; load {os.getloadavg()[0]:.1f} at the end")
    return int(not met)


def in_browser(tab: Any, address: str, folder: Path, name: str) -> list[float]:
    """Milliseconds from key press to picture, for every step of every slider."""
    source = f"from rmt_lab.explorers import {name}\n{name}()"
    cell = {
        "cell_type": "code",
        "id": "shown",
        "source": source,
        "metadata": {},
        "outputs": [],
        "execution_count": None,
    }
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    notebook = folder / f"{name}.ipynb"
    notebook.write_text(json.dumps({"cells": [cell], "metadata": kernel, "nbformat": 4, "nbformat_minor": 5}))
    tab.goto(f"{address}/lab/tree/{notebook.name}?reset")
    tab.wait_for_selector("#jp-main-statusbar >> text=/Idle/", timeout=90_000)
    run_all(tab, address, notebook, 1)
    tab.wait_for_selector("img.widget-image", timeout=60_000)
    time.sleep(1)
    tab.evaluate(CLOCK)
    times: list[float] = []
    for handle in tab.locator(".noUi-handle").all():
        handle.focus()
        for key in STEPS * ROUNDS:
            before = tab.evaluate("window.times.length")
            tab.keyboard.press(key)
            try:
                tab.wait_for_function(f"window.times.length > {before}", timeout=3000)
            except Exception:  # at the end of a slider nothing changes
                continue
            time.sleep(0.05)
        times += tab.evaluate("window.times.splice(0)")[2:]  # the first two warm up
    return times


def in_process(name: str) -> list[tuple[float, float, float]]:
    """Milliseconds of computing, drawing and rendering over the same steps."""
    shown = getattr(explorers, name)()
    model, fig, times = shown.model, shown._figure, []
    for parameter, slider in shown.controls.items():
        if not hasattr(slider, "readout"):
            continue
        for key in STEPS * ROUNDS:
            step = slider.step if key == "ArrowRight" else -slider.step
            value = getattr(model, parameter)
            value = 10 ** (np.log10(value) + step) if model.controls()[parameter]["log"] else value + step
            trait: Any = model.traits()[parameter]
            value = type(getattr(model, parameter))(np.clip(value, trait.min, trait.max))
            with model.hold_trait_notifications():  # the explorer hears of it after the clock
                setattr(model, parameter, value)
                clock = [time.perf_counter()]
                model.result  # noqa: B018
                clock.append(time.perf_counter())
                model.draw(fig)
                clock.append(time.perf_counter())
                png(fig)
                clock.append(time.perf_counter())
            times.append(tuple(1e3 * np.diff(clock)))
    return times


if __name__ == "__main__":
    raise SystemExit(main())
