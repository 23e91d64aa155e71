"""Train one of the collections of small networks: python scripts/train_collection.py digits | text

A collection is many trainings of the same task that differ in their settings, so that it can be asked what a figure of
the weights says about the test error while everything else is held fixed. Each run is trained once with every seed of
0, 1, 2; a seed draws the initialisation, the order of the batches, which images are seen, and whose labels are wrong.

``digits``: perceptrons and convolutional networks on scikit-learn's 1797 images of digits, 597 of which are held out.
The settings are stars: 24 base settings in which single factors and pairs of factors are balanced, and around each
base every level of every factor, the others as they are in the base. So every factor varies alone in 24 groups, and
factors stay balanced.
``text``: GPT-2 models of four blocks of width 128 on the source of Python's standard library; the whole grid.

A run is finished when its file lies in ``--out``, which is written at once: a killed script goes on where it was, and
trains nothing twice. When no run is missing, the files are put together into rmt_lab/data/collections/.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import io
import itertools
import json
import math
import platform
import sys
import time
import zipfile
import zlib
from collections import OrderedDict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from joblib import Parallel, delayed
from tqdm.auto import tqdm

from rmt_lab import Spectrum, analyze
from rmt_lab._files import read_record, write_record, written_whole
from rmt_lab.atlas import AtlasModel, Layer
from rmt_lab.tails import windowed_alpha
from rmt_lab.trainings.collections import CARRIES_A_TAIL, checksum
from rmt_lab.weights import iter_weights

FOLDER = Path(__file__).parents[1] / "rmt_lab" / "data" / "collections"
FORMAT = 1
SEEDS = (0, 1, 2)
FACTORS: dict[str, dict[str, tuple[Any, ...]]] = {
    "digits": {
        "data": (150, 300, 600, 1200),  # images
        "noise": (0.0, 0.1, 0.2),  # share of the training images with a wrong label
        "batch": (32, 64, 128),
        "rate": (0.3, 1.0, 3.0),  # times the optimiser's own
        "width": (128, 256),
        "decay": (0.0, 1.0),  # times the optimiser's own
        "optimiser": ("sgd", "adamw"),
        "kind": ("perceptron", "convolutional"),
    },
    "text": {
        "data": (0.005, 0.05, 1.0),  # share of the training text
        "steps": (400, 800),
        "batch": (4, 8),
        "rate": (3e-4, 1e-3),
    },
}
HELD_OUT = 597
IMAGES = 24000  # that a digits run sees, whatever its batch
OPTIMISERS = {"sgd": {"lr": 0.05, "weight_decay": 1e-3}, "adamw": {"lr": 1e-3, "weight_decay": 0.1}}
CONTEXT = 64
WINDOWS = 256  # on which the losses of a text run are measured
MODEL = {"vocab_size": 256, "n_positions": CONTEXT, "n_embd": 128, "n_layer": 4, "n_head": 4}
FOLLOWED = 10  # every tenth setting is recorded on the way
LOOKS = (0.0, 1 / 16, 1 / 4, 1 / 2, 1.0)  # at these shares of the training
WINDOW = (64, 32)  # the common shape
BASES = 24

Setting = dict[str, Any]


def grid(name: str) -> list[Setting]:
    factors = FACTORS[name]
    return [dict(zip(factors, levels, strict=True)) for levels in itertools.product(*factors.values())]


def bases(name: str) -> list[Setting]:
    """24 settings in which the levels of a factor, and the pairs of two factors' levels, are as frequent as can be.

    Columns of balanced levels; then entries of one column are exchanged as long as the counts of pairs become more
    even (Xu 2002, An algorithm for constructing orthogonal and nearly-orthogonal arrays, Technometrics 44).
    """
    factors = FACTORS[name]
    rng = np.random.default_rng(0)
    columns = [np.resize(np.arange(len(levels)), BASES) for levels in factors.values()]
    for column in columns:
        rng.shuffle(column)

    def uneven(k: int) -> float:
        total = 0.0
        for j, other in enumerate(columns):
            if j != k:
                pairs = len(np.unique(other)) * len(np.unique(columns[k]))
                counts = np.bincount(other * 4 + columns[k], minlength=16)
                total += float((counts[counts > 0] ** 2).sum()) - BASES**2 / pairs
        return total

    better = True
    while better:
        better = False
        for k, column in enumerate(columns):
            now = uneven(k)
            for a, b in itertools.combinations(range(BASES), 2):
                if column[a] == column[b]:
                    continue
                column[a], column[b] = column[b], column[a]
                then = uneven(k)
                if then < now:
                    now, better = then, True
                else:
                    column[a], column[b] = column[b], column[a]
    return [
        {f: levels[column[i]] for (f, levels), column in zip(factors.items(), columns, strict=True)}
        for i in range(BASES)
    ]


def settings(name: str) -> list[Setting]:
    """All settings of a collection, each once: stars around the bases for digits, the whole grid for text."""
    if name == "text":
        return grid(name)
    found: dict[str, Setting] = {}
    for base in bases(name):
        star = [base] + [base | {f: level} for f, levels in FACTORS[name].items() for level in levels]
        for setting in star:
            found.setdefault(json.dumps(setting), setting)
    return list(found.values())


def runs(name: str) -> dict[str, Setting]:
    """Every run of a collection by its name; ``followed`` says whether it is recorded on the way."""
    return {
        run_name(setting | {"seed": seed}): setting | {"seed": seed, "followed": i % FOLLOWED == 0}
        for i, setting in enumerate(settings(name))
        for seed in SEEDS
    }


def run_name(setting: Setting) -> str:
    """
    >>> run_name({"data": 150, "noise": 0.1, "kind": "perceptron", "seed": 2, "followed": True})
    'data=150,noise=0.1,kind=perceptron,seed=2'
    """
    return ",".join(
        f"{k}={v:g}" if not isinstance(v, str) else f"{k}={v}" for k, v in setting.items() if k != "followed"
    )


def curve(step: int, steps: int) -> float:
    """The learning rate over its peak: a warm-up of a twentieth of the steps, then a cosine down to a tenth."""
    warm = min(1.0, (step + 1) / max(1, steps // 20))
    return warm * (0.55 + 0.45 * math.cos(math.pi * step / steps))


def looks(setting: Setting, steps: int) -> list[int]:
    return [round(share * steps) for share in (LOOKS if setting["followed"] else LOOKS[-1:])]


# digits


def digits(seed: int, data: int, noise: float) -> tuple[torch.Tensor, ...]:
    """Training images and labels, of which a share is wrong, and the held-out ones, which are the same for all runs."""
    from sklearn.datasets import load_digits  # of the dev extra

    found = load_digits()
    X = torch.tensor(found.data / 16 - 0.3, dtype=torch.float32)
    y = found.target.astype(np.int64)
    order = np.random.default_rng(1797).permutation(len(X))
    pool, held_out = order[HELD_OUT:], order[:HELD_OUT]
    rng = np.random.default_rng([seed, 0])
    seen = rng.permutation(pool)[:data]
    labels = y[seen].copy()
    wrong = rng.permutation(data)[: round(noise * data)]
    labels[wrong] = (labels[wrong] + rng.integers(1, 10, len(wrong))) % 10
    return X[seen], torch.from_numpy(labels), X[held_out], torch.from_numpy(y[held_out])


def network(kind: str, width: int) -> torch.nn.Module:
    nn = torch.nn
    if kind == "perceptron":
        parts = [
            ("hidden1", nn.Linear(64, width)), ("relu1", nn.ReLU()),
            ("hidden2", nn.Linear(width, width)), ("relu2", nn.ReLU()),
            ("readout", nn.Linear(width, 10)),
        ]  # fmt: skip
    else:
        c = width // 8
        parts = [
            ("image", nn.Unflatten(1, (1, 8, 8))),
            ("convolution1", nn.Conv2d(1, c, 3, stride=2, padding=1)), ("relu1", nn.ReLU()),
            ("convolution2", nn.Conv2d(c, 2 * c, 3, padding=1)), ("relu2", nn.ReLU()),
            ("pool", nn.AvgPool2d(2)), ("vector", nn.Flatten()),
            ("dense", nn.Linear(8 * c, width)), ("relu3", nn.ReLU()),
            ("readout", nn.Linear(width, 10)),
        ]  # fmt: skip
    return nn.Sequential(OrderedDict(parts))


def digit_figures(model: torch.nn.Module, X: torch.Tensor, y: torch.Tensor, noise: float = 0.0) -> tuple[float, float]:
    """Loss in nats and error; with ``noise`` their expectations when that share of the labels is made wrong."""
    with torch.no_grad():
        logs = torch.log_softmax(model(X).double(), 1)
    right = logs.gather(1, y[:, None]).mean().item()
    others = (logs.sum(1).mean().item() - right) / 9
    error = (logs.argmax(1) != y).double().mean().item()
    loss = -(1 - noise) * right - noise * others
    return loss, (1 - noise) * error + noise * (1 - error / 9)


def train_digits(setting: Setting) -> Iterator[tuple[int, torch.nn.Module, dict[str, float]]]:
    """Yields step, network and figures at every recorded step."""
    X, y, X_test, y_test = digits(setting["seed"], setting["data"], setting["noise"])
    torch.manual_seed(setting["seed"])
    model = network(setting["kind"], setting["width"])
    own = OPTIMISERS[setting["optimiser"]]
    decay = own["weight_decay"] * setting["decay"]
    if setting["optimiser"] == "sgd":
        optimiser: torch.optim.Optimizer = torch.optim.SGD(
            model.parameters(), lr=1.0, momentum=0.9, weight_decay=decay, fused=True
        )
    else:
        optimiser = torch.optim.AdamW(model.parameters(), lr=1.0, weight_decay=decay, fused=True)
    steps = IMAGES // setting["batch"]
    at = looks(setting, steps)
    rng = np.random.default_rng([setting["seed"], 1])
    order = np.array([], int)
    for step in range(steps + 1):
        if step in at:
            figures = dict(zip(("train_loss", "train_error"), digit_figures(model, X, y), strict=True))
            figures |= dict(zip(("test_loss", "test_error"), digit_figures(model, X_test, y_test), strict=True))
            noisy = digit_figures(model, X_test, y_test, setting["noise"])
            figures |= {"gap_loss": noisy[0] - figures["train_loss"], "gap_error": noisy[1] - figures["train_error"]}
            yield step, model, figures
        if step == steps:
            return
        while len(order) < setting["batch"]:  # every image once before one comes again
            order = np.concatenate([order, rng.permutation(len(X))])
        batch, order = torch.from_numpy(order[: setting["batch"]]), order[setting["batch"] :]
        for group in optimiser.param_groups:
            group["lr"] = own["lr"] * setting["rate"] * curve(step, steps)
        optimiser.zero_grad(set_to_none=True)
        torch.nn.functional.cross_entropy(model(X[batch]), y[batch]).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()


# text


def text() -> tuple[np.ndarray, np.ndarray, str]:
    """Training text, held-out text and the checksum of both, as scripts/train_tiny_gpt.py has them."""
    sys.path.insert(0, str(Path(__file__).parent))
    import train_tiny_gpt

    data = train_tiny_gpt.text()
    return *train_tiny_gpt.split(data, 1.0), hashlib.sha256(data.tobytes()).hexdigest()


def windows(data: np.ndarray, count: int, rng: np.random.Generator) -> torch.Tensor:
    starts = rng.integers(0, len(data) - CONTEXT, count)
    return torch.from_numpy(data[starts[:, None] + np.arange(CONTEXT)].astype(np.int64))


def text_figures(model: torch.nn.Module, data: np.ndarray) -> tuple[float, float]:
    """Loss in nats a byte and the share of bytes that are not foretold, on the same windows every time."""
    model.eval()
    x = windows(data, WINDOWS, np.random.default_rng(1))
    with torch.no_grad():
        logits = torch.cat([model(x[i : i + 32]).logits[:, :-1] for i in range(0, WINDOWS, 32)]).double()
    model.train()
    loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), x[:, 1:].flatten()).item()
    return loss, (logits.argmax(2) != x[:, 1:]).double().mean().item()


def train_text(setting: Setting) -> Iterator[tuple[int, torch.nn.Module, dict[str, float]]]:
    """Yields step, network and figures at every recorded step."""
    from transformers import GPT2Config, GPT2LMHeadModel

    whole, held_out, _ = text()
    length = int(setting["data"] * len(whole))
    # another seed sees another part of the text
    start = int(np.random.default_rng([setting["seed"], 0]).integers(0, len(whole) - length + 1))
    seen = whole[start : start + length]
    torch.manual_seed(setting["seed"])
    config = GPT2Config(**MODEL, resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0, bos_token_id=0, eos_token_id=0)
    model = GPT2LMHeadModel(config)
    groups = [
        {"params": [p for p in model.parameters() if p.ndim >= 2], "weight_decay": 0.1},
        {"params": [p for p in model.parameters() if p.ndim < 2], "weight_decay": 0.0},
    ]
    optimiser = torch.optim.AdamW(groups, lr=1.0, betas=(0.9, 0.95), fused=True)
    steps = setting["steps"]
    at = looks(setting, steps)
    rng = np.random.default_rng([setting["seed"], 1])
    for step in range(steps + 1):
        if step in at:
            figures = dict(zip(("train_loss", "train_error"), text_figures(model, seen), strict=True))
            figures |= dict(zip(("test_loss", "test_error"), text_figures(model, held_out), strict=True))
            figures |= {f"gap_{x}": figures[f"test_{x}"] - figures[f"train_{x}"] for x in ("loss", "error")}
            yield step, model, figures
        if step == steps:
            return
        for group in optimiser.param_groups:
            group["lr"] = setting["rate"] * curve(step, steps)
        x = windows(seen, setting["batch"], rng)
        optimiser.zero_grad(set_to_none=True)
        model(x, labels=x).loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()


# both


def matrices(model: torch.nn.Module) -> dict[str, np.ndarray]:
    """The weight matrices by name; a kernel is the matrix that meets an unfolded image: channels out x the rest."""
    kernels = {
        name: part.weight.detach().flatten(1).numpy()
        for name, part in model.named_modules()
        if isinstance(part, torch.nn.Conv2d)
    }
    return {w.longname: kernels.get(w.longname, w.matrix) for w in iter_weights(model, split_qkv=True)}


def train(name: str, setting: Setting) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Train one run: its record, and the arrays beside it."""
    torch.set_num_threads(1)  # sums of two threads differ in their last digits
    start = time.time()
    steps, values, windowed, figures = [], [], [], []
    layers: list[tuple[str, int, int]] = []
    for step, model, now in (train_digits if name == "digits" else train_text)(setting):
        found = {k: np.array(W, np.float64) for k, W in matrices(model).items()}
        layers = [(k, max(W.shape), min(W.shape)) for k, W in found.items()]
        steps.append(step)
        values.append(np.concatenate([Spectrum.from_matrix(W).singular_values for W in found.values()]))
        windowed.append([windowed_alpha(W, WINDOW).alpha if fits(W.shape) else math.nan for W in found.values()])
        figures.append(now)
    record = {
        "format": FORMAT, "setting": setting, "layers": layers, "steps": steps, "figures": figures,
        "seconds": round(time.time() - start, 2),
        "versions": {"python": platform.python_version(), "torch": torch.__version__.split("+")[0]},
    }  # fmt: skip
    return record, {"singular_values": np.array(values, np.float32), "windowed": np.array(windowed, np.float32)}


def fits(shape: tuple[int, ...]) -> bool:
    return max(shape) >= WINDOW[0] and min(shape) >= WINDOW[1]


def recipe(name: str) -> str:
    """What the runs depend on beside their own setting: files of another recipe are made again."""
    script = Path(__file__).read_text(encoding="utf-8")
    code = script[script.index("def curve(") : script.index("# both\n")]
    sizes = f"{HELD_OUT}{IMAGES}{OPTIMISERS}{MODEL}{CONTEXT}{WINDOWS}{LOOKS}{WINDOW}"
    return hashlib.sha256(f"{code}{FACTORS[name]}{sizes}".encode()).hexdigest()[:16]


def train_to(name: str, run: str, setting: Setting, out: Path) -> None:
    record, arrays = train(name, setting)
    write_record(out / f"{run}.npz", record | {"recipe": recipe(name)}, **arrays)


def finished(name: str, run: str, out: Path) -> tuple[dict[str, Any], dict[str, np.ndarray]] | None:
    """A run's record and arrays, if its file is whole and of this recipe."""
    try:
        record, arrays = read_record((out / f"{run}.npz").read_bytes(), FORMAT)
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error):  # half a file, or a damaged one
        return None
    return (record, arrays) if record["recipe"] == recipe(name) else None


def rounded(values: np.ndarray) -> np.ndarray:
    """float32 with 16 bits of mantissa, a relative 8e-6: what is cut off would be a quarter of the file."""
    bits = np.ascontiguousarray(values, np.float32).view(np.uint32)
    return ((bits + np.uint32(1 << 6)) & np.uint32(0xFFFFFF80)).view(np.float32)


def model_of(layers: list[Any], values: np.ndarray) -> AtlasModel:
    ends = np.cumsum([M for _, _, M in layers])
    parts = np.split(values, ends[:-1])
    return AtlasModel(
        "run",
        tuple(
            Layer(i, name, name, "dense", Spectrum(part, N, M, name=name))
            for i, ((name, N, M), part) in enumerate(zip(layers, parts, strict=True))
        ),
        {},
    )


def counted(model: AtlasModel) -> list[int]:
    """The layers over which the means are taken: no embeddings, and none too small to carry a tail."""
    return [x.layer_id for x in model if "embedding" not in x.role and x.spectrum.M >= CARRIES_A_TAIL]


def measures(model: AtlasModel) -> dict[str, float]:
    """The means over layers of what :func:`rmt_lab.analyze` says; over :func:`counted` layers."""
    details = analyze(model, fix_fingers="clip_xmax", verdict="quick", layers=counted(model))
    details = details[details.status == "success"]
    found = {
        "alpha": details.raw_alpha.mean(),
        "alpha_fixed": details.alpha.mean(),
        "alpha_first": details.raw_alpha.iloc[0] if len(details) else math.nan,
        "alpha_last": details.raw_alpha.iloc[-1] if len(details) else math.nan,
        "num_fingers": details.num_fingers.mean(),
        "alpha_hat": details.alpha_weighted.mean(),
        "log_alpha_norm": details.log_alpha_norm.mean(),
        "log_norm": details.log_norm.mean(),
        "log_spectral_norm": details.log_spectral_norm.mean(),
        "stable_rank": details.stable_rank.mean(),
        "share_beyond_noise": (details.num_spikes / details.num_evals).mean(),
    }
    words = ("noise", "refuted", "can't tell", "holds")
    return found | {f"verdict_{w.replace(chr(39), '').replace(' ', '_')}": (details.verdict == w).mean() for w in words}


def row(run: str, record: dict[str, Any], arrays: dict[str, np.ndarray]) -> list[dict[str, Any]]:
    """The rows of one run in the table: one for each step at which it was recorded."""
    setting = record["setting"]
    total = record["steps"][-1]
    rows = []
    for i, step in enumerate(record["steps"]):
        model = model_of(record["layers"], rounded(arrays["singular_values"][i]))
        rows.append(
            {"run": run, "step": step, "last": step == total}
            | {k: v for k, v in setting.items() if k not in ("followed", "steps")}
            | {"steps": total, "seconds": record["seconds"]}
            | record["figures"][i]
            | measures(model)
            | {"alpha_windowed": float(np.mean([x for x in arrays["windowed"][i][counted(model)] if np.isfinite(x)]))}
        )
    return rows


def assemble(name: str, out: Path, jobs: int) -> None:
    """Put the runs together into one table and one file of singular values."""
    kept, tables = [], {}
    every = runs(name)
    rows = Parallel(n_jobs=jobs, return_as="generator")(delayed(_rows)(name, run, out) for run in every)
    table = pd.DataFrame([r for some in tqdm(rows, desc="figures", total=len(every), unit=" runs") for r in some])
    versions: set[str] = set()
    for run in every:
        record, arrays = finished(name, run, out)  # type: ignore[misc]
        kept.append(rounded(arrays["singular_values"]).ravel())
        tables[run] = record["layers"]
        versions.add(json.dumps(record["versions"], sort_keys=True))
    values = np.concatenate(kept).astype("<f4")
    distinct = sorted({json.dumps(layers) for layers in tables.values()})
    which = [distinct.index(json.dumps(layers)) for layers in tables.values()]
    csv = table.to_csv(index=False, float_format="%.7g", lineterminator="\n").encode()
    record = {
        "format": FORMAT,
        "task": name,
        "factors": {k: list(v) for k, v in FACTORS[name].items()},
        "layers": [json.loads(x) for x in distinct],
        "which_layers": which,
        "recipe": recipe(name),
        "versions": [json.loads(v) for v in sorted(versions)],
        "hours": round(sum(table[table["last"]].seconds) / 3600, 2),
        "values_sha256": checksum(values),
        "table_sha256": hashlib.sha256(csv).hexdigest(),
    }
    if name == "text":
        record["text_sha256"] = text()[2]
    packed = io.BytesIO()
    with gzip.GzipFile(fileobj=packed, mode="wb", mtime=0) as file:  # the same bytes every time
        file.write(csv)
    FOLDER.mkdir(parents=True, exist_ok=True)
    with written_whole(FOLDER / f"{name}.csv.gz") as file:
        file.write(packed.getvalue())
    write_record(FOLDER / f"{name}.npz", record, singular_values=values)


def _rows(name: str, run: str, out: Path) -> list[dict[str, Any]]:
    found = finished(name, run, out)
    if found is None:
        raise FileNotFoundError(f"{out / run}.npz is not there, or of another recipe")
    return row(run, *found)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("collection", choices=FACTORS)
    parser.add_argument("--jobs", type=int, default=-1, help="processes, each with one thread (default: all cores)")
    parser.add_argument("--only", nargs="+", metavar="RUN", help="train these runs and put nothing together")
    parser.add_argument("--out", type=Path, help="folder of the finished runs (default: build/collections/NAME)")
    given = parser.parse_args()
    every = runs(given.collection)
    wanted = given.only or list(every)
    if unknown := [run for run in wanted if run not in every]:
        parser.error(f"--only {unknown[0]}: no such run; one is {next(iter(every))}")
    out = given.out or Path("build/collections") / given.collection
    out.mkdir(parents=True, exist_ok=True)
    missing = [run for run in wanted if finished(given.collection, run, out) is None]
    work = Parallel(n_jobs=given.jobs, return_as="generator_unordered")(
        delayed(train_to)(given.collection, run, every[run], out) for run in missing
    )
    bar = tqdm(work, desc=given.collection, total=len(wanted), initial=len(wanted) - len(missing), unit=" runs")
    for _ in bar:
        pass
    if not given.only:
        assemble(given.collection, out, given.jobs)


if __name__ == "__main__":
    main()
