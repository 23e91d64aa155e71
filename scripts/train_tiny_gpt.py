"""Train a small GPT-2 on Python's own standard library and record its spectra: python scripts/train_tiny_gpt.py RUN

The runs differ in one thing each. ``little`` and ``much`` see the same number of bytes in batches of the same size, the
first from 1 % of the text over and over, the second from all of it; ``small_batch`` is ``much`` with a quarter of the
batch and four times the steps. The text is the source of the standard library, that every machine has; the record keeps
its checksum. Every recorded step keeps the singular values of every matrix, rounded to 12 bits of mantissa (a relative
1e-4), and the losses on training and held-out text. Writes rmt_lab/data/trainings/RUN.npz.
"""

from __future__ import annotations

import argparse
import hashlib
import platform
import sysconfig
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from transformers import GPT2Config, GPT2LMHeadModel

from rmt_lab._files import write_record
from rmt_lab.spectrum import Spectrum
from rmt_lab.trainings import checksum
from rmt_lab.weights import iter_weights

FOLDER = Path(__file__).parents[1] / "rmt_lab" / "data" / "trainings"
CONTEXT = 128
SIZE = {"n_embd": 256, "n_layer": 6, "n_head": 4}


@dataclass(frozen=True)
class Run:
    """What distinguishes a training; everything else is the same for all."""

    fraction: float  # of the training text that is seen
    batch: int
    steps: int
    seed: int = 0
    lr: float = 1e-3
    warmup: int = 100
    weight_decay: float = 0.1


RUNS = {
    "little": Run(fraction=0.01, batch=16, steps=2400),
    "much": Run(fraction=1.0, batch=16, steps=2400),
    "small_batch": Run(fraction=1.0, batch=4, steps=9600),
}


def text() -> np.ndarray:
    """The standard library's source as bytes, files in alphabetical order; without tests and installed packages."""
    root = Path(sysconfig.get_paths()["stdlib"])
    files = sorted(p.relative_to(root).as_posix() for p in root.rglob("*.py"))
    skip = {"test", "tests", "idle_test", "site-packages", "lib2to3", "ensurepip", "__pycache__"}
    kept = [root / f for f in files if not skip & set(f.split("/"))]
    return np.frombuffer(b"\n".join(p.read_bytes() for p in kept), np.uint8)


def split(data: np.ndarray, fraction: float) -> tuple[np.ndarray, np.ndarray]:
    """Training and held-out text: every tenth block of 64 kB is held out, whatever the fraction."""
    blocks = [data[i : i + 65536] for i in range(0, len(data) - CONTEXT, 65536)]
    held_out = np.concatenate(blocks[9::10])
    train = np.concatenate([b for i, b in enumerate(blocks) if i % 10 != 9])
    return train[: int(fraction * len(train))], held_out


def batches(data: np.ndarray, count: int, rng: np.random.Generator) -> torch.Tensor:
    starts = rng.integers(0, len(data) - CONTEXT, count)
    return torch.from_numpy(np.stack([data[i : i + CONTEXT] for i in starts]).astype(np.int64))


@torch.no_grad()
def loss_on(model: GPT2LMHeadModel, data: np.ndarray) -> float:
    """Mean loss in nats per byte on 64 fixed windows."""
    model.eval()
    x = batches(data, 64, np.random.default_rng(1))
    loss = np.mean([model(x[i : i + 16], labels=x[i : i + 16]).loss.item() for i in range(0, 64, 16)])
    model.train()
    return float(loss)


def recorded_steps(steps: int) -> list[int]:
    """About 24 steps, evenly spaced in log(step) after the first."""
    return sorted({0, *np.unique(np.geomspace(4, steps, 24).round().astype(int)).tolist()})


def rounded(values: np.ndarray) -> np.ndarray:
    bits = values.astype(np.float32).view(np.uint32)
    return ((bits + np.uint32(1 << 10)) & np.uint32(0xFFFFF800)).view(np.float32)


def train(name: str, run: Run) -> GPT2LMHeadModel:
    torch.manual_seed(run.seed)
    data = text()
    seen, held_out = split(data, run.fraction)
    config = GPT2Config(
        vocab_size=256, n_positions=CONTEXT, **SIZE, resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0,
        bos_token_id=0, eos_token_id=0,
    )  # fmt: skip
    model = GPT2LMHeadModel(config)
    decayed = [p for p in model.parameters() if p.ndim >= 2]
    others = [p for p in model.parameters() if p.ndim < 2]
    groups = [{"params": decayed, "weight_decay": run.weight_decay}, {"params": others, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=run.lr, betas=(0.9, 0.95))
    rng = np.random.default_rng(run.seed)
    record_at = recorded_steps(run.steps)
    values, train_loss, test_loss, layers = [], [], [], []
    start = time.time()
    for step in range(run.steps + 1):
        if step in record_at:
            layers = [(w.longname, *sorted(w.matrix.shape, reverse=True)) for w in iter_weights(model, split_qkv=True)]
            spectra = [Spectrum.from_matrix(w.matrix) for w in iter_weights(model, split_qkv=True)]
            values.append(rounded(np.concatenate([s.singular_values for s in spectra])))
            train_loss.append(loss_on(model, seen))
            test_loss.append(loss_on(model, held_out))
            print(
                f"{name} {step:5} {time.time() - start:6.0f} s  {train_loss[-1]:.3f}  {test_loss[-1]:.3f}", flush=True
            )
        if step == run.steps:
            break
        warm = min(1.0, (step + 1) / run.warmup)
        lr = run.lr * warm * (0.55 + 0.45 * np.cos(np.pi * step / run.steps))
        for group in optimizer.param_groups:
            group["lr"] = lr
        x = batches(seen, run.batch, rng)
        optimizer.zero_grad(set_to_none=True)
        model(x, labels=x).loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
    figures = {
        "steps": np.array(record_at),
        "singular_values": np.stack(values),
        "train_loss": np.array(train_loss, np.float32),
        "test_loss": np.array(test_loss, np.float32),
    }
    record = {
        "format": 1,
        "run": asdict(run),
        "layers": layers,
        "bytes_seen": run.batch * CONTEXT * run.steps,
        "bytes_of_text": len(seen),
        "text_sha256": hashlib.sha256(data.tobytes()).hexdigest(),
        "values_sha256": checksum(**figures),
        "config": {k: getattr(config, k) for k in ("vocab_size", "n_positions", *SIZE)},
        "versions": {"python": platform.python_version(), "torch": torch.__version__.split("+")[0]},
        "minutes": round((time.time() - start) / 60, 1),
    }
    FOLDER.mkdir(parents=True, exist_ok=True)
    write_record(FOLDER / f"{name}.npz", record, **figures)
    return model


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", choices=RUNS)
    name = parser.parse_args().run
    train(name, RUNS[name])
