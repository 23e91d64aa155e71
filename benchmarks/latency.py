"""From key press to new picture, measured in a browser: how fast the explorers answer.

    python -m benchmarks.latency                         all explorers that are meant to be fast
    python -m benchmarks.latency BulkExplorer            some of them
    python -m benchmarks.latency --delays 0 50 150       with so many ms of round trip between browser and kernel

Each explorer stands alone in a notebook in JupyterLab in a headless Chromium. Every slider is moved by the arrow keys,
and the clock runs in the page: from the key's event to the frame after the new picture was loaded. The keys come in two
ways. "First" is five steps at once on a slider that nobody has touched before, and what the kernel renders ahead is
not there yet. "Then" is five steps to the right and five to the left after the kernel has come to rest. "Exact" is the
exact picture in the second way, which replaces a frame that was rendered ahead. A proxy on the loopback address
delays what passes it by half a round trip in each direction.

Beside it, without a browser and over the same steps, what of the exact picture is computing, drawing into the figure,
and rendering and compressing that. The machine's load is printed: half of a busy machine takes twice as long. Exit
status 1 if, without a delay, a median is over 100 ms or a 95th percentile over 200 ms.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "browser"))

from browser import jupyterlab, page, run_all
from browser import rest as quiet

from rmt_lab import explorers
from rmt_lab.explorers.png import png

FAST = ("BulkExplorer", "SpikeExplorer", "PowerLawExplorer", "FingerExplorer", "LayerExplorer")
MEDIAN, P95 = 100.0, 200.0  # ms
RIGHT, LEFT = ("ArrowRight",) * 5, ("ArrowLeft",) * 5
ROUNDS = 2
PICTURE = "img.rmt-lab-picture, img.widget-image"  # and what stood there before, to compare with
SLIDER = ".rmt-lab-explorer input[type=range], .noUi-handle"

CLOCK = """selector => {
    const picture = document.querySelector(selector);
    window.times = [];
    window.exact = [];
    let pressed = null, waiting = null;
    document.addEventListener('keydown', () => { pressed = waiting = performance.now(); }, true);
    picture.addEventListener('load', () => requestAnimationFrame(() => {
        if (pressed !== null) window.times.push(performance.now() - pressed);
        pressed = null;
        if (waiting !== null && (picture.dataset.kind ?? 'exact') === 'exact') {
            window.exact.push(performance.now() - waiting);
            waiting = null;
        }
    }));
}"""


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.latency", description=(__doc__ or "").partition("\n")[0]
    )
    parser.add_argument("names", nargs="*", help="explorers")
    parser.add_argument("--delays", nargs="+", type=float, default=[0.0], metavar="MS", help="of a round trip")
    options = parser.parse_args()
    names = options.names or [name for name in FAST if name in explorers.__all__]
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f} at the start; all times in ms, median and 95 %")
    print(f"{'':20}{'delay':>6}{'first':>12}{'then':>12}{'exact':>12}{'keys':>6}", end="")
    print(f"{'compute':>10}{'draw':>6}{'render':>8}{'sum':>6} in the kernel")
    met = True
    with tempfile.TemporaryDirectory() as folder, page() as tab, jupyterlab(Path(folder)) as address:
        for name in names:
            parts = np.median(in_process(name), axis=0)
            for delay in options.delays:
                with delayed(address, delay / 1e3) as far:
                    first, then, exact = in_browser(tab, far, Path(folder), name)
                print(f"{name:20}{delay:6.0f}", end="")
                for times in (first, then, exact):
                    median, p95 = np.quantile(times, [0.5, 0.95])
                    print(f"{median:7.0f}{p95:5.0f}", end="")
                    met &= bool(delay or (median < MEDIAN and p95 < P95))
                print(f"{len(then):6}{{:10.0f}}{{:6.0f}}{{:8.0f}}{{:6.0f}}".format(*parts, parts.sum()), flush=True)
    target = f"without a delay, median under {MEDIAN:.0f} ms and 95 % under {P95:.0f} ms"
    print(f"{'met' if met else 'MISSED'}: {target}; load {os.getloadavg()[0]:.1f} at the end")
    return int(not met)


@contextlib.contextmanager
def delayed(address: str, round_trip: float) -> Iterator[str]:
    """The address of a proxy that passes everything on half a round trip (in seconds) later."""
    port = urlsplit(address).port

    async def passed_on(reader: Any, writer: Any) -> None:
        async def late() -> None:
            while (item := await waiting.get()) is not None:
                due, data = item
                await asyncio.sleep(due - time.monotonic())
                writer.write(data)
            writer.close()

        waiting: asyncio.Queue[tuple[float, bytes] | None] = asyncio.Queue()
        sending = asyncio.create_task(late())
        with contextlib.suppress(OSError):
            while data := await reader.read(1 << 16):
                waiting.put_nowait((time.monotonic() + round_trip / 2, data))
        waiting.put_nowait(None)
        with contextlib.suppress(OSError):
            await sending

    async def connected(reader: Any, writer: Any) -> None:
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", port)
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.gather(passed_on(reader, far_writer), passed_on(far_reader, writer))

    async def ended() -> None:
        server.close()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    server = asyncio.run_coroutine_threadsafe(asyncio.start_server(connected, "127.0.0.1", 0), loop).result()
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        asyncio.run_coroutine_threadsafe(ended(), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()


def in_browser(tab: Any, address: str, folder: Path, name: str) -> tuple[list[float], list[float], list[float]]:
    """Milliseconds from key press to picture for every step of every slider: first, then, and until it is exact."""
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
    notebook = folder / f"{name}_{urlsplit(address).port}.ipynb"  # with a kernel of its own
    notebook.write_text(json.dumps({"cells": [cell], "metadata": kernel, "nbformat": 4, "nbformat_minor": 5}))
    rest = quiet(tab)
    tab.goto(f"{address}/lab/tree/{notebook.name}?reset")
    tab.wait_for_selector("#jp-main-statusbar >> text=/Idle/", timeout=90_000)
    run_all(tab, address, notebook, 1)
    tab.wait_for_selector(PICTURE, timeout=60_000)
    tab.evaluate(CLOCK, PICTURE)

    def press(keys: tuple[str, ...]) -> tuple[list[float], list[float]]:
        for key in keys:
            before = tab.evaluate("window.exact.length")
            tab.keyboard.press(key)
            with contextlib.suppress(Exception):  # at the end of a slider nothing changes
                tab.wait_for_function(f"window.exact.length > {before}", timeout=3000)
            tab.wait_for_timeout(50)
        return tab.evaluate("[window.times.splice(0), window.exact.splice(0)]")

    new_sample = tab.locator("button:has-text('new sample')")
    first: list[float] = []
    then: list[float] = []
    exact: list[float] = []
    for handle in tab.locator(SLIDER).all():
        for _ in range(ROUNDS):
            rest(1.0)
            if new_sample.is_enabled():  # then no frame is of use any more
                new_sample.click()
                rest(1.0)
            tab.evaluate("[window.times, window.exact].forEach(times => times.splice(0))")
            handle.focus()
            first += press(RIGHT)[0]
            press(LEFT)
        rest(1.0)
        shown, complete = press((RIGHT + LEFT) * ROUNDS)
        then += shown
        exact += complete
    return first, then, exact


def in_process(name: str) -> list[tuple[float, float, float]]:
    """Milliseconds of computing, drawing and rendering over the same steps."""
    shown = getattr(explorers, name)()
    model, fig, times = shown.model, shown._figure, []
    for parameter, slider in shown.controls.items():
        if not hasattr(slider, "stops"):
            continue
        stops = slider.stops
        start = min(range(len(stops)), key=lambda i: abs(stops[i] - slider.value))
        for key in (RIGHT + LEFT) * ROUNDS:
            start = min(max(start + (1 if key == "ArrowRight" else -1), 0), len(stops) - 1)
            with model.hold_trait_notifications():  # the explorer hears of it after the clock
                setattr(model, parameter, type(getattr(model, parameter))(stops[start]))
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
