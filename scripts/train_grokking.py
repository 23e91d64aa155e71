"""Train a perceptron on modular addition until it groks, and long after: python scripts/train_grokking.py RUN | --pack

The net learns a + b mod 59 from half of all 3481 pairs: an embedding of 64 dimensions for both numbers, a layer of 128
rectified units on the two embeddings side by side, and 59 outputs. No biases; full batches; AdamW on one core.

``grokking`` has cross entropy and a weight decay of 1: it knows the training pairs long before the others (Power et al.
2022, arXiv 2201.02177). ``switched_off`` is the same until step 8000, and goes on without weight decay, in the hope
to see test accuracy fall again (Prakash & Martin, arXiv 2602.02859). ``memorising`` has cross entropy and no decay from
the start. ``no_decay`` has no decay and the squared error of all outputs, with which the net generalises all the same.
``without_trap`` and ``wide_loss`` are controls of ``switched_off``. In exact arithmetic they would be the same function
at every step, since a softmax does not see what all outputs have in common: from step 8000 on, ``without_trap``
subtracts the mean of the output layer after every step, and ``wide_loss`` calculates the loss with 64 bits. (The first
steps differ in the last digits from one processor to another, and the later ones in all.)

A run writes the weights at about 30 steps, evenly spaced in log(step), and both accuracies every 50, into ``--out``.
``--pack`` looks for traps in them and writes rmt_lab/data/grokking/RUN.npz: losses, accuracies, singular values, the
two largest singular vectors of every layer, the traps, and the weights themselves at a few steps in half precision.
"""

from __future__ import annotations

import argparse
import platform
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch

from rmt_lab import find_traps
from rmt_lab._files import write_record
from rmt_lab.trainings import checksum

FOLDER = Path(__file__).parents[1] / "rmt_lab" / "data" / "grokking"
P, WIDTH, HIDDEN = 59, 64, 128
NAMES = ("embedding", "hidden", "output")
EVERY = 50  # steps between two looks at the accuracies
VECTORS = 2  # largest singular vectors that are kept
FIGURES = ("size", "strength", "p_value", "share", "ipr_left", "ipr_right", "left")
COLUMNS = ("step", "layer", "cause", "row", "column", *FIGURES)


@dataclass(frozen=True)
class Run:
    """What distinguishes a training; everything else is the same for all."""

    loss: str
    weight_decay: float
    decay_until: int | None = None  # the step at which the weight decay is switched off
    mean: float | None = None  # of the output layer: it is set to this from then on, after every step
    mean_of: Literal["layer", "units"] = "layer"  # the mean of all weights, or that of each hidden unit's
    wide_loss: bool = False  # from then on the loss and its gradient have 64 bits, all else 32
    steps: int = 40_000
    fraction: float = 0.5  # of all pairs that are seen
    seed: int = 0
    lr: float = 1e-3
    double: bool = False  # 64 bits instead of 32, from the same first weights


RUNS = {
    "grokking": Run("cross entropy", 1.0),
    "no_decay": Run("squared error", 0.0),
    "switched_off": Run("cross entropy", 1.0, decay_until=8000),
    "without_trap": Run("cross entropy", 1.0, decay_until=8000, mean=0.0),
    "wide_loss": Run("cross entropy", 1.0, decay_until=8000, wide_loss=True),
    "memorising": Run("cross entropy", 0.0, steps=8000),
}


def recorded_steps(steps: int) -> list[int]:
    return sorted({0, *np.unique(np.geomspace(10, steps, 30).round().astype(int)).tolist()})


def pairs(run: Run) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, int]:
    """First and second number and their sum, in random order; the first n pairs are trained on."""
    order = torch.randperm(P * P, generator=torch.Generator().manual_seed(run.seed))
    a, b = order // P, order % P
    return a, b, (a + b) % P, int(run.fraction * P * P)


def outputs(weights: list[torch.Tensor], a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """The hidden layer sees both embeddings side by side; its product is made once per number, not once per pair."""
    embedding, hidden, output = weights
    first, second = embedding @ hidden[:, :WIDTH].T, embedding @ hidden[:, WIDTH:].T
    return torch.relu(first[a] + second[b]) @ output.T


def loss_of(run: Run, out: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    if run.loss == "cross entropy":
        return torch.nn.functional.cross_entropy(out, y)
    return P * torch.nn.functional.mse_loss(out, torch.nn.functional.one_hot(y, P).to(out.dtype))


@torch.no_grad()
def figures(run: Run, weights: list[torch.Tensor]) -> tuple[float, float, float, float]:
    """Loss on the training pairs and on the others, then both accuracies."""
    a, b, y, n = pairs(run)
    out = outputs(weights, a, b)
    right = (out.argmax(1) == y).to(torch.float64)
    losses = (loss_of(run, out[:n], y[:n]), loss_of(run, out[n:], y[n:]))
    return (*(float(x) for x in losses), float(right[:n].mean()), float(right[n:].mean()))


def train(name: str, run: Run, folder: Path) -> None:
    torch.set_num_threads(1)
    generator = torch.Generator().manual_seed(run.seed + 1)
    shapes = ((P, WIDTH), (HIDDEN, 2 * WIDTH), (P, HIDDEN))
    weights = [torch.randn(s, generator=generator) / s[1] ** 0.5 for s in shapes]
    weights = [w.to(torch.float64 if run.double else torch.float32).requires_grad_() for w in weights]
    optimizer = torch.optim.AdamW(weights, lr=run.lr, betas=(0.9, 0.98), weight_decay=run.weight_decay)
    a, b, y, n = pairs(run)
    a, b, y = a[:n], b[:n], y[:n]
    folder.mkdir(parents=True, exist_ok=True)
    record_at, start_at, start = recorded_steps(run.steps), run.decay_until or 0, time.process_time()
    kept: dict[str, list] = {"steps": [], "figures": [], "curve": [], **{x: [] for x in NAMES}}
    for step in range(run.steps + 1):
        if step % EVERY == 0:
            kept["curve"].append((step, *figures(run, weights)[2:]))
        if step in record_at:
            kept["steps"].append(step)
            kept["figures"].append(figures(run, weights))
            for x, w in zip(NAMES, weights, strict=True):
                kept[x].append(w.detach().numpy().copy())
            seconds = time.process_time() - start
            print(f"{name} {step:6} {seconds:5.0f} s", *(f"{x:.4g}" for x in kept["figures"][-1]), flush=True)
            arrays = {k: np.array(v) for k, v in kept.items()}
            np.savez(folder / f"{name}.npz", run=repr(run), seconds=seconds, **arrays)
        if step == run.steps:
            break
        if step == run.decay_until:
            optimizer.param_groups[0]["weight_decay"] = 0.0
        optimizer.zero_grad(set_to_none=True)
        out = outputs(weights, a, b)
        loss_of(run, out.double() if run.wide_loss and step >= start_at else out, y).backward()
        optimizer.step()
        if run.mean is not None and step >= start_at:
            with torch.no_grad():  # a softmax does not see it; with rounding it matters
                weights[-1] += run.mean - (weights[-1].mean(0) if run.mean_of == "units" else weights[-1].mean())


def traps_of(step: int, layer: str, W: np.ndarray) -> list[list]:
    """A row for each trap: figures rounded to 4 digits."""
    rows = []
    for trap in find_traps(W, shuffles=200, rng=step, kinds=()).traps:
        figures = [trap.share["entries"] if x == "share" else getattr(trap, x) for x in FIGURES]
        rows.append([step, layer, trap.cause, trap.row, trap.column, *(float(f"{x:.4g}") for x in figures)])
    return rows


def pack(name: str, run: Run, folder: Path) -> None:
    with np.load(folder / f"{name}.npz") as file:
        kept = dict(file)
    steps = kept["steps"].tolist()
    if steps[-1] != run.steps:
        raise SystemExit(f"{name} is at step {steps[-1]} of {run.steps}")
    values, vectors, found = [], [], []
    for i, step in enumerate(steps):
        parts = [np.linalg.svd(kept[x][i].astype(np.float64), full_matrices=False) for x in NAMES]
        values.append(np.concatenate([s[::-1] for _, s, _ in parts]))
        vectors.append(np.concatenate([x.ravel() for U, _, Vt in parts for x in (U[:, :VECTORS], Vt[:VECTORS].T)]))
        found += [row for x in NAMES for row in traps_of(step, x, kept[x][i])]
        print(name, step, sum(row[0] == step for row in found), flush=True)
    learnt = int(np.argmax(kept["figures"][:, 2] >= 0.99))  # where it knows the training pairs, and all pairs
    grokked = int(np.argmax(kept["figures"][:, 3] >= 0.99))
    last = len(steps) - 1
    at = sorted({learnt, grokked, (grokked + last) // 2, last} - {0})  # of which the weights are kept
    a, b, _, seen = pairs(run)
    figures = {
        "steps": np.array(steps, np.int64),
        "singular_values": np.array(values, np.float32),
        "train_loss": kept["figures"][:, 0].astype(np.float32),
        "test_loss": kept["figures"][:, 1].astype(np.float32),
    }
    record = {
        "format": 1,
        "run": asdict(run),
        "modulus": P,
        "seen": seen,
        "shapes": {x: list(kept[x][0].shape) for x in NAMES},
        "vectors": VECTORS,
        "traps": found,
        "trap_columns": COLUMNS,
        "values_sha256": checksum(**figures),
        "versions": {"python": platform.python_version(), "torch": torch.__version__.split("+")[0]},
        "minutes": round(float(kept["seconds"]) / 60, 1),
    }
    FOLDER.mkdir(parents=True, exist_ok=True)
    write_record(
        FOLDER / f"{name}.npz",
        record,
        **figures,
        train_accuracy=kept["figures"][:, 2].astype(np.float32),
        test_accuracy=kept["figures"][:, 3].astype(np.float32),
        curve=kept["curve"].astype(np.float32),
        vectors=np.array(vectors, np.float16),
        weight_steps=np.array([steps[i] for i in at], np.int64),
        weights=np.array([np.concatenate([kept[x][i].ravel() for x in NAMES]) for i in at], np.float16),
        pairs=(P * a + b).numpy().astype(np.int16),
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", choices=RUNS, nargs="?")
    parser.add_argument("--out", type=Path, default=Path("build/grokking"), help="folder of the finished runs")
    parser.add_argument("--pack", action="store_true", help="make the shipped files of the finished runs")
    given = parser.parse_args()
    if given.pack:
        for name in [given.run] if given.run else RUNS:
            pack(name, RUNS[name], given.out)
    elif given.run:
        train(given.run, RUNS[given.run], given.out)
    else:
        parser.error("a run, or --pack")
