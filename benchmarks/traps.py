"""What survives a shuffle, and why? All tables of docs/traps.md.

    python -m benchmarks.traps           the tables, some minutes
    python -m benchmarks.traps --write   the same into the page
    python -m benchmarks.traps --layers  also these layers from the weights of both sample models (190 MB)
    python -m benchmarks.traps --train build/grokking
                                         also five seeds of two trainings with a trap and of their controls, which go
                                         into that folder: two hours of processor time, needs torch

First matrices whose traps are known: noise, heavy-tailed entries, and what is planted. Then the layers of the atlas,
from the spectra of their shuffles, which ship with the package. Then the trainings that grok, and what their nets lose
with a direction taken out.
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import stats

from rmt_lab import atlas, fit_bulk, fit_power_law, iter_weights, trainings
from rmt_lab.bulk import BulkFit
from rmt_lab.ensembles import null_matrix, student_t
from rmt_lab.laws.spiked import spike_strength, spike_threshold
from rmt_lab.trainings import GrokkingTraining
from rmt_lab.traps import CAUSES, FEWEST, KEPT, SHUFFLES, Traps, find_traps
from rmt_lab.weights import samples

from . import pages
from .pages import DOCS, table

PAGE = DOCS / "traps.md"
SHAPE = (80, 50)
TRIALS = 500
RUNS = ("grokking", "switched_off", "no_decay", "memorising")
CONTROLS: dict[str, tuple[str, dict[str, Any]]] = {  # the training, and what is different from it
    "switched_off": ("switched_off", {}),
    "without_trap": ("without_trap", {}),
    "centred": ("switched_off", {"mean": 0.0, "mean_of": "units"}),
    "wide_loss": ("wide_loss", {}),
    "double": ("switched_off", {"double": True}),
    "mean 0.8": ("switched_off", {"mean": 0.8, "mean_of": "units"}),
    "mean -0.8": ("switched_off", {"mean": -0.8, "mean_of": "units"}),
    "double, mean -0.8": ("switched_off", {"mean": -0.8, "mean_of": "units", "double": True}),
    "memorising": ("memorising", {}),
    "memorising, centred": ("memorising", {"mean": 0.0, "mean_of": "units", "decay_until": 0}),
    "memorising, double": ("memorising", {"double": True}),
}
SEEDS = range(5)

Array = npt.NDArray[np.float64]
Rng = np.random.Generator


def drawn() -> dict[str, Callable[[Rng], Array]]:
    return {
        "Gaussian": lambda rng: rng.normal(size=SHAPE),
        "t, 4 degrees": lambda rng: student_t(*SHAPE, mu=4.0, rng=rng),
        "t, 3 degrees": lambda rng: student_t(*SHAPE, mu=3.0, rng=rng),
    }


def light_tailed_and_small() -> dict[str, Callable[[Rng], Array]]:
    """Where the 5 % are not 5 %: other laws of the entries, and shapes far from the limit."""
    return {
        "±1": lambda rng: rng.choice([-1.0, 1.0], size=SHAPE),
        "uniform": lambda rng: rng.uniform(-1, 1, size=SHAPE),
        "Laplace": lambda rng: rng.laplace(size=SHAPE),
        "Gaussian, 10 x 10": lambda rng: rng.normal(size=(10, 10)),
        "Gaussian, 1000 x 10": lambda rng: rng.normal(size=(1000, 10)),
    }


def single() -> str:
    """One shuffle each, as WeightWatcher makes it: how often it has an eigenvalue beyond a line."""
    rows = []
    for law, draw in (drawn() | light_tailed_and_small()).items():
        rng = np.random.default_rng(1)
        found = [find_traps(null_matrix(draw(rng), "entries", rng), 1, rng, kinds=()) for _ in range(TRIALS)]
        bare = [f.largest["entries"][0] > f.edge for f in found]
        rows.append([law, str(TRIALS), f"{np.mean(bare):.1%}", f"{np.mean([f.num_traps > 0 for f in found]):.1%}"])
    return table(["entries", "matrices", "beyond the Marchenko-Pastur edge", "beyond the 5 % threshold"], rows)


def level() -> str:
    rows = []
    for law, draw in drawn().items():
        rng = np.random.default_rng(2)
        matrices = [null_matrix(draw(rng), "entries", rng) for _ in range(TRIALS)]
        found = [find_traps(W, 40, rng, kinds=()) for W in matrices]
        causes = [t.cause for f in found for t in f.surviving]
        again = [_again(W, f, rng) for W, f in zip(matrices, found, strict=True) if f.num_traps]
        destroyed = [any(t.cause in ("row", "column", "pattern") for t in f.traps) for f in found]
        rows.append([
            law, str(TRIALS), f"{np.mean([f.num_traps > 0 for f in found]):.1%}",
            f"{np.mean([f.num_traps for f in found]):.2f}", f"{causes.count('entry')} of {len(causes)}",
            f"{sum(again)} of {len(again)}", f"{np.mean(destroyed):.1%}",
        ])  # fmt: skip
    head = ["entries", "shuffled matrices", "with a trap", "traps per matrix", "put down to an entry",
            "with a trap when these are taken out", "a row, column or pattern is claimed"]  # fmt: skip
    return table(head, rows)


def _again(W: Array, found: Traps, rng: Rng) -> bool:
    """Whether the matrix has a trap when noise stands in place of the entries that were named."""
    W = W.copy()
    for trap in found.surviving:
        if trap.cause == "entry":
            W[trap.row, trap.column] = rng.normal(0, found.sigma)
    return find_traps(W, 40, rng, kinds=()).num_traps > 0


def planted(cause: str, size: float, rng: Rng) -> Array:
    """Unit noise with one thing in it, whose strength is ``size`` on the scale of W."""
    N, M = SHAPE
    W = rng.normal(size=SHAPE)
    i, j = rng.integers(N), rng.integers(M)
    if cause == "entry":
        W[i, j] = size
    elif cause == "row":
        W[i] *= np.sqrt(1 + size**2 / M)
    elif cause == "column":
        W[:, j] *= np.sqrt(1 + size**2 / N)
    elif cause == "mean":
        W += size / np.sqrt(N * M)
    elif cause == "pattern":
        u, v = rng.normal(size=N), rng.normal(size=M)
        W += size * np.outer(u / np.linalg.norm(u), v / np.linalg.norm(v))
    return W


def told_apart() -> str:
    rows = []
    for cause in ("entry", "row", "column", "pattern", "mean"):
        for times in (1.5, 2.0, 3.0):
            rng = np.random.default_rng(3)
            size = times * spike_threshold(*SHAPE)
            found = [find_traps(planted(cause, size, rng), 40, rng, kinds=()) for _ in range(100)]
            first = [f.traps[0].cause if f.traps else "nothing" for f in found]
            others = [f"{first.count(x)} {x}" for x in (*CAUSES, "nothing") if x != cause and x in first]
            rows.append([cause, f"{times:g}", f"{first.count(cause)} of 100", ", ".join(others)])
    return table(["planted", "times the threshold", "put down to it", "and to"], rows)


def by_shuffle() -> str:
    rows = []
    for cause in ("nothing", "entry", "row", "column", "pattern", "mean"):
        rng = np.random.default_rng(4)
        size = 2.5 * spike_threshold(*SHAPE)
        found = [find_traps(planted(cause, size, rng), 40, rng) for _ in range(20)]
        rows.append([cause, *(f"{np.mean([f.rates[kind] for f in found]):.0%}" for kind in SHUFFLES)])
    return table(["planted, 2.5 times the threshold", *SHUFFLES], rows)


def spiked(model: str) -> Iterator[tuple[atlas.Layer, BulkFit]]:
    """The layers whose shipped shuffle has a spike by ``fit_bulk``, whose level is 0.01: those of docs/nulls.md."""
    for layer in atlas.load(model):
        s = layer.null("entries")
        if s.M >= FEWEST and (fit := fit_bulk(s)).num_spikes:
            yield layer, fit


def of_atlas() -> str:
    rows, tested = [], 0
    for model in ("minilm", "smollm2"):
        tested += sum(layer.spectrum.M >= FEWEST for layer in atlas.load(model))
        for layer, fit in spiked(model):
            s = layer.null("entries")
            needed = spike_threshold(s.N, s.M, fit.sigma_mp)
            thetas = spike_strength(fit.spikes[::-1], s.N, s.M, fit.sigma_mp) / needed
            signs = layer.null("signs").eigenvalues[-1] / fit.upper_edge
            rows.append([
                f"{model} {layer.name}", f"{s.N} x {s.M}", str(fit.num_spikes),
                f"{fit.spikes[-1] / fit.upper_edge:.3f}", f"{fit.p_value:.1g}", f"{thetas[0]:.2f}",
                f"{thetas[0] * needed / fit.sigma_mp:.0f} σ", f"{signs:.2f}", _reading(fit, signs),
            ])  # fmt: skip
    head = ["layer", "shape", "spikes", "over the edge", "p", "strength over its threshold", "as one entry",
            "random signs, over the edge", "what the spectra say"]  # fmt: skip
    return f"{len(rows)} of {tested} layers.\n\n" + table(head, rows)


def _reading(fit: BulkFit, signs: float) -> str:
    """A mean makes one eigenvalue, and random signs destroy it; they keep entries. One draw says no more."""
    if fit.p_value > 0.001:
        return "at the edge"
    if signs < 0.9 * fit.spikes[-1] / fit.upper_edge:
        return "not one entry alone: random signs would keep it"
    return "entries, or one and a mean: a mean makes one spike" if fit.num_spikes > 1 else "an entry or a mean"


def of_weights() -> Iterator[tuple[str, Traps, float, float]]:
    """The layers of ``of_atlas``, from their weights."""
    for model in ("minilm", "smollm2"):
        wanted = {layer.longname for layer, _ in spiked(model)}
        for w in iter_weights(samples.fetch(model)):
            if w.longname in wanted:
                W = w.matrix.astype(np.float64)
                found = find_traps(W, 200, kinds=())
                mean = abs(W.mean()) * np.sqrt(W.size) / spike_threshold(*W.shape, found.sigma)
                yield f"{model} {w.name}", found, mean, float(stats.kurtosis(W.ravel()))


def layers() -> str:
    rows = []
    for name, found, mean, kurtosis in of_weights():
        where = "; ".join(t.where for t in found.surviving[:3]) or "gone in most shuffles"
        left = f"{min(t.left for t in found.surviving):.3f}" if found.num_traps else ""
        rate = found.rates["entries"]
        rows.append([name, f"{rate:.0%}", str(found.num_traps), where, left, f"{mean:.2f}", f"{kurtosis:.1f}"])
    head = ["layer", "of 200 shuffles", "traps", "cause", "left, over the edge", "mean over its threshold",
            "excess kurtosis"]  # fmt: skip
    return table(head, rows)


def _grokking(names: Iterable[str] = RUNS) -> Iterator[tuple[str, GrokkingTraining]]:
    for name in names:
        if name in trainings.grokking.names():
            run = trainings.load(name)
            assert isinstance(run, GrokkingTraining)
            yield name, run


def surviving(traps: pd.DataFrame) -> pd.DataFrame:
    """The rows of recorded traps that survive the shuffle of entries, as ``Trap.survives`` has it."""
    return traps[traps["cause"].isin(KEPT["entries"]) & (traps["share"] >= 0.5)]


def training(run: GrokkingTraining) -> str:
    rows = []
    layers_ = list(run.record["shapes"])
    for i in sorted({0, *range(6, len(run.steps), 3), len(run.steps) - 1}):
        step = run.steps[i]
        now = run.traps[run.traps["step"] == step]
        survive = surviving(now)
        alphas = [fit_power_law(run.at(step)[x].spectrum.nonzero_eigenvalues).alpha for x in layers_]
        rows.append([
            str(step), f"{run.train_loss[i]:.2g}", f"{run.test_loss[i]:.2g}", f"{run.train_accuracy[i]:.1%}",
            f"{run.test_accuracy[i]:.1%}", *(f"{alpha:.1f}" for alpha in alphas),
            *(str((now["layer"] == x).sum() - (survive["layer"] == x).sum()) for x in layers_), str(len(survive)),
        ])  # fmt: skip
    head = ["step", "loss", "test loss", "accuracy", "test accuracy", *(f"alpha, {x}" for x in layers_),
            *(f"beyond the noise, {x}" for x in layers_), "traps"]  # fmt: skip
    return table(head, rows)


def survivors() -> str:
    rows = []
    for name, run in _grokking(trainings.grokking.names()):
        traps = surviving(run.traps)
        step, train, test = run.curve.T
        after = test[np.argmax(test >= 0.99) :] if (test >= 0.99).any() else test[:0]
        fallen = step[len(step) - len(after) :][after < 0.99]
        causes = traps.groupby(["layer", "cause"]).size()
        rows.append([
            name, run.record["run"]["loss"], _first(step, train >= 0.99), _first(step, test >= 0.99),
            f"{fallen[0]:.0f}" if len(fallen) else "never" if len(after) else "",
            f"{after.min():.1%}" if len(after) else "", f"{test[-1]:.1%} at {step[-1]:.0f}",
            str(traps["step"].min()) if len(traps) else "never",
            f"{traps.groupby(['step', 'layer']).ngroups} of {3 * len(run.steps)}",
            ", ".join(f"{n} {cause} in {layer}" for (layer, cause), n in causes.items()),
        ])  # fmt: skip
    head = ["run", "loss", "99 % of the training pairs from step", "99 % of the others from", "below that from",
            "lowest after that", "at the end", "first trap at", "matrices with a trap", "by cause"]  # fmt: skip
    return table(head, rows)


def _first(step: Array, reached: npt.NDArray[np.bool_]) -> str:
    return f"{step[np.argmax(reached)]:.0f}" if reached.any() else "never"


def ablation(name: str, run: GrokkingTraining) -> list[list[str]]:
    """Loss and accuracy without the traps and the largest direction, and without others of the same size."""
    rows, rng = [], np.random.default_rng(5)
    for step in run.weight_steps[-2:] if name == "switched_off" else run.weight_steps[-1:]:
        weights = run.weights(step)
        whole = run.evaluate(weights)
        rows.append([f"{name}, step {step}", "", "nothing", "", f"{whole.test_loss:.3g}", f"{whole.test_accuracy:.2%}"])
        for layer, W in weights.items():
            W = W.astype(np.float64)
            U, s, Vt = np.linalg.svd(W, full_matrices=False)
            m = len(s) // 2
            changed: dict[str, list[Array]] = {}
            here = run.traps[(run.traps["step"] == step) & (run.traps["layer"] == layer)]
            for trap in here[here["cause"].isin(["mean", "entry"])].itertuples():
                change = np.zeros_like(W)
                if trap.cause == "mean":
                    change -= W.mean()
                else:
                    change[int(trap.row), int(trap.column)] = -W[int(trap.row), int(trap.column)]
                size = float(np.linalg.norm(change))
                changed[f"the trap: {trap.cause}"] = [change]
                changed["a random direction of the trap's size"] = [size * _direction(W.shape, rng) for _ in range(20)]
            changed |= {
                "the largest direction": [-s[0] * np.outer(U[:, 0], Vt[0])],
                "a random direction of its size": [s[0] * _direction(W.shape, rng) for _ in range(20)],
                "as many squares from the bulk": [_from_bulk(U, s, Vt, m)],
            }
            for what, changes in changed.items():
                found = [run.evaluate(weights | {layer: W + x}) for x in changes]
                accuracies = _spread([100 * e.test_accuracy for e in found])
                rows.append([
                    f"{name}, step {step}", layer, what, f"{np.linalg.norm(changes[0]):.2f}",
                    _spread([e.test_loss for e in found]), f"{accuracies} %",
                ])  # fmt: skip
    return rows


def _direction(shape: tuple[int, ...], rng: Rng) -> Array:
    u, v = (rng.normal(size=n) for n in shape)
    return np.outer(u / np.linalg.norm(u), v / np.linalg.norm(v))


def _from_bulk(U: Array, s: Array, Vt: Array, m: int) -> Array:
    """Directions from the middle of the spectrum on, downwards, whose squares together are those of the largest."""
    k = 1 + int(np.argmax(np.cumsum(s[m:] ** 2) >= s[0] ** 2)) if (s[m:] ** 2).sum() >= s[0] ** 2 else len(s) - m
    return -(U[:, m : m + k] * s[m : m + k]) @ Vt[m : m + k]


def _spread(values: list[float]) -> str:
    if len(values) == 1:
        return f"{values[0]:.3g}"
    return f"{np.median(values):.3g} ({min(values):.3g} to {max(values):.3g})"


def ablations() -> str:
    rows = [row for name, run in _grokking() for row in ablation(name, run)]
    head = ["run", "layer", "changed", "its norm", "test loss, or median of 20 (range)", "test accuracy"]
    return table(head, rows)


def doses() -> str:
    """More or less than all of the embedding's largest direction taken out, where a net fell and where none could."""
    rows = []
    for name, run in _grokking():
        if name not in ("switched_off", "memorising"):
            continue
        step = run.weight_steps[-1]
        weights = run.weights(step)
        E = weights["embedding"].astype(np.float64)
        U, s, Vt = np.linalg.svd(E, full_matrices=False)
        first = s[0] * np.outer(U[:, 0], Vt[0])
        constant = abs(U[:, 0].sum()) / np.sqrt(len(U))
        changes = {f"{f:g}": E - f * first for f in (0, 0.25, 0.5, 0.75, 0.9, 0.98, 1, 1.02, 1.05, 1.25)}
        for what, changed in (changes | {"instead, the mean over the numbers": E - E.mean(axis=0)}).items():
            e = run.evaluate(weights | {"embedding": changed})
            cells = [f"{e.train_accuracy:.1%}", f"{e.test_accuracy:.1%}"]
            rows.append([f"{name}, step {step}", f"{constant:.3f}", what, *cells])
    return table(["run", "its cosine with a constant", "taken out of it", "training accuracy", "test accuracy"], rows)


def _script() -> Any:
    """scripts/train_grokking.py as a module."""
    path = DOCS.parent / "scripts" / "train_grokking.py"
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules[path.stem] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def trained(folder: Path) -> Iterator[tuple[str, int, dict[str, Any], Any, Any]]:
    """Name, seed, what was recorded, the run and the script; what is not in the folder yet is trained."""
    script = _script()
    for name, (base, changes) in CONTROLS.items():
        for seed in SEEDS:
            run, out = replace(script.RUNS[base], seed=seed, **changes), folder / f"seed-{seed}"
            path = out / f"{name}.npz"
            if not _finished(path, run):
                script.train(name, run, out)
            with np.load(path) as file:
                yield name, seed, dict(file), run, script


def _finished(path: Path, run: Any) -> bool:
    if not path.exists():
        return False
    with np.load(path) as file:
        return "run" in file and bool(file["run"] == repr(run) and file["steps"][-1] == run.steps)


def controls(folder: Path) -> str:
    """Two trainings with a trap, five seeds each, and others that would give the same functions in exact arithmetic."""
    rows = []
    for name, seed, kept, run, script in trained(folder):
        step, train, test = kept["curve"].T
        knows, groks = train >= 0.99, (test >= 0.99).any()
        late = step > max(run.decay_until or 0, step[np.argmax(knows)])
        fallen = _first(step, late & (test < 0.99))
        found = [find_traps(W, rng=0, kinds=()) for W in kept["output"]]
        with_trap = [(s, t) for s, t in zip(kept["steps"], found, strict=True) if t.num_traps]
        end = step > 0.75 * run.steps
        rows.append([
            name, str(seed), _first(step, test >= 0.99), fallen if groks else "",
            f"{test[late].min():.1%}" if groks else "", f"{np.median(test[end]):.1%}",
            f"{np.median(train[end]):.1%}", f"{train[late].min():.1%}", f"{kept['figures'][-1, 1]:.2g}",
            str(with_trap[0][0]) if with_trap else "never", f"{len(with_trap)} of {len(found)}",
            ", ".join(sorted({trap.cause for _, t in with_trap for trap in t.surviving})),
            f"{max(t.largest['entries'].max() / t.edge for t in found):.2f}",
            " and ".join(f"{np.linalg.norm(kept[x][-1], 2):.0f}" for x in script.NAMES[:2]),
        ])  # fmt: skip
    head = ["run", "seed", "99 % of the others from step", "below that, without decay, from", "lowest test accuracy",
            "its median in the last quarter", "median training accuracy", "lowest of that", "test loss at the end",
            "first trap of the output layer at", "recorded steps with one", "cause",
            "largest shuffled eigenvalue over the edge", "largest values of embedding and hidden layer"]  # fmt: skip
    return table(head, rows)


def rounding(folder: Path) -> str:
    """What calculating with 32 bits does to the gradient of the output layer, whose sum over the outputs is zero."""
    import torch

    rows = []
    for name, seed, kept, run, script in trained(folder):
        if seed != SEEDS[0]:
            continue
        a, b, y, n = script.pairs(run)
        a, b, y = a[:n], b[:n], y[:n]
        for i in np.flatnonzero(kept["steps"] >= (5000 if run.decay_until else 1000))[:: 1 if name in RUNS else 2]:
            cells = []
            for bits in (torch.float32, torch.float64):
                E, H, O = (torch.tensor(kept[x][i], dtype=bits) for x in script.NAMES)
                out = script.outputs([E, H, O.requires_grad_()], a, b)
                out.retain_grad()
                script.loss_of(run, out, y).backward()
                shared = O.grad.mean(0).square().sum() * len(O) / O.grad.square().sum()
                cells += [f"{(out.grad[range(n), y] == 0).double().mean():.0%}", f"{shared:.1g}"]
            hidden = script.outputs([E, H, torch.eye(len(H), dtype=bits)], a, b)
            first, second = out.detach().topk(2).values.T
            rows.append([
                name, str(kept["steps"][i]), *cells, f"{O.mean():.2f}", f"{out.mean():.2g}",
                f"{run.lr * hidden.sum(1).mean():.2g}", f"{np.median(first - second):.2g}",
            ])  # fmt: skip
    head = ["run, seed 0", "step", "right output's gradient is 0, 32 bits", "shared by all outputs, 32 bits",
            "is 0, 64 bits", "shared, 64 bits", "mean of the output layer", "mean of the outputs",
            "what one step can move an output by", "between the two largest outputs (median)"]  # fmt: skip
    return table(head, rows)


def tables(weights: bool, folder: Path | None) -> str:
    parts = ["### One shuffle of noise", single()]
    parts += ["### 40 shuffles, and what the eigenvalues are put down to", level()]
    parts += ["### Planted: the strongest of what is found", told_apart()]
    parts += ["### Share of the shuffles with an eigenvalue beyond the 5 % threshold, by kind", by_shuffle()]
    parts += ["### Layers of the atlas whose shuffle keeps a spike", of_atlas()]
    if weights:
        parts += ["### The same layers from their weights, 200 shuffles", layers()]
    parts += ["### Trainings on modular addition", survivors()]
    for name, run in _grokking():
        parts += [f"### The training {name!r}, step by step", training(run)]
    parts += ["### What a net loses without a direction", ablations()]
    parts += ["### The largest direction of the embedding, in doses", doses()]
    if folder is not None:
        parts += ["### Controls of the training, five seeds each", controls(folder)]
        parts += ["### What 32 bits do to the gradient of the output layer", rounding(folder)]
    return "\n\n".join(parts)


def main() -> None:
    parser = pages.parser(PAGE, __doc__)
    parser.add_argument("--layers", action="store_true", help="also from the weights of both sample models")
    parser.add_argument(
        "--train", type=Path, metavar="DIR", help="also five seeds of two trainings and their controls, kept in DIR"
    )
    given = parser.parse_args()
    pages.show(PAGE, tables(given.layers, given.train), given.write)


if __name__ == "__main__":
    main()
