"""Steer a small GPT by its spectra, and record what came of it: python scripts/steer.py

The model and the text are those of the collection ``text`` (scripts/train_collection.py): GPT-2 of four blocks of width
128 on the source of Python's standard library. A seed draws the initialisation, the part of the text and the batches.

*Weight decay*: every seed is trained once with each method of ``METHODS``. The decay of the 24 matrices in the
blocks follows a score of their spectra by the map of AlphaDecay (He et al. 2025, arXiv 2506.14562), and always has the
same mean over the parameters. *Pruning*: the networks of uniform decay lose the smallest entries of each
matrix, by the map of AlphaPruning (Lu et al. 2024, arXiv 2410.10912), at equal sparsity over all. *Lower end*: the same
networks lose singular values from the bottom, the middle and the top.

A training is finished when its file lies in ``--out``, which is written at once: a killed script goes on where it was.
When none is missing, everything is put together into rmt_lab/data/steering/.
"""

from __future__ import annotations

import argparse
import gzip
import io
import itertools
import platform
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from train_collection import MODEL, WINDOW, curve, text, text_figures, windows

from rmt_lab import Spectrum, fit_bulk, fit_power_law
from rmt_lab._files import read_record, write_record, written_whole
from rmt_lab.ensembles import gaussian_spectrum
from rmt_lab.tails import hill, windowed_alpha

FOLDER = Path(__file__).parents[1] / "rmt_lab" / "data" / "steering"
FORMAT = 1
SEEDS = (0, 1, 2, 3, 4)
STEPS, BATCH, RATE, DATA = 240, 4, 2e-3, 0.0025
DECAY = 4.0  # times the rate, summed over the steps: 1.1; AlphaDecay's runs of 60 million parameters have about 0.5
EVERY = 12  # steps between two looks at the spectra: 20 looks, as AlphaDecay has them
DECAY_RANGE = (0.67, 3.0)  # of AlphaDecay; the factors are then brought to mean one
SPARSITIES = (0.3, 0.5, 0.7)
PRUNE_RANGE = (0.7, 1.3)  # of AlphaPruning for pruning by magnitude
MOST = 0.99  # of a matrix
DRAWS = 3
EVALUATED = 96  # windows of held-out text
IN_A_BLOCK = 6
REMOVED = (0.05, 0.1, 0.2, 0.5)  # shares of all singular values of a matrix

Array = npt.NDArray[np.float64]


def allocate(
    scores: npt.ArrayLike, sizes: npt.ArrayLike, mean: float, low: float, high: float, most: float = np.inf
) -> Array:
    """A share for every layer: linear in its score, and of a given mean over all parameters.

    x_i = c (low + (high - low) (s_i - min s) / (max s - min s)), but ``most`` where that is larger; c such that
    sum n_i x_i = mean sum n_i. Equal scores have equal shares.

    Parameters
    ----------
    scores : array_like of shape (layers,)
        Layers of a larger score have a larger share.
    sizes : array_like of shape (layers,)
        n_i, their numbers of parameters.
    mean : float
        Of the shares.
    low, high : float
        Shares of the layers with the smallest and the largest score, before c.
    most : float
        What no share exceeds.

    Raises
    ------
    ValueError
        If a score is not finite, or not 0 < low <= high, or not 0 < mean <= most.

    Examples
    --------
    >>> allocate([2.0, 3.0, 6.0], [1, 1, 2], 0.5, 0.7, 1.3).round(3)
    array([0.337, 0.409, 0.627])
    """
    s, n = np.asarray(scores, dtype=np.float64), np.asarray(sizes, dtype=np.float64)
    if not np.isfinite(s).all():
        raise ValueError(f"scores={s}; finite ones are allowed")
    if not 0 < low <= high:
        raise ValueError(f"low={low}, high={high}; 0 < low <= high is allowed")
    if not 0 < mean <= most:
        raise ValueError(f"mean={mean}, most={most}; 0 < mean <= most is allowed")
    width = np.ptp(s)
    shares = np.full(len(s), mean) if width == 0 else low + (high - low) * (s - s.min()) / width
    full = np.zeros(len(s), bool)
    for _ in range(len(s) + 1):  # each round fills one layer more, or is the last
        rest = mean * n.sum() - most * n[full].sum() if full.any() else mean * n.sum()
        scaled = shares * rest / (n[~full] @ shares[~full]) if not full.all() else shares
        scaled[full] = most
        over = scaled > most * (1 + 1e-12)
        if not over.any():
            break
        full |= over
    return scaled


class Part(NamedTuple):
    """A weight matrix as a part of a parameter."""

    name: str
    parameter: torch.nn.Parameter
    columns: slice

    @property
    def weight(self) -> torch.Tensor:
        return self.parameter.detach()[:, self.columns]


def parts(model: torch.nn.Module) -> list[Part]:
    """The 24 matrices in the blocks; query, key and value are one parameter."""
    found = []
    width = model.config.n_embd
    for i, block in enumerate(model.transformer.h):
        for j, role in enumerate(("query", "key", "value")):
            found.append(Part(f"{i}.{role}", block.attn.c_attn.weight, slice(j * width, (j + 1) * width)))
        found.append(Part(f"{i}.attention out", block.attn.c_proj.weight, slice(None)))
        found.append(Part(f"{i}.feed-forward in", block.mlp.c_fc.weight, slice(None)))
        found.append(Part(f"{i}.feed-forward out", block.mlp.c_proj.weight, slice(None)))
    return found


# scores: the larger, the more is taken


def spectra(model: torch.nn.Module) -> list[Spectrum]:
    return [Spectrum.from_matrix(part.weight.double().numpy()) for part in parts(model)]


def alpha(s: Spectrum) -> float:
    """Hill's exponent of the upper half of the spectrum: PL_Alpha_Hill of both papers."""
    return hill(s.nonzero_eigenvalues)


def common_shape(model: torch.nn.Module) -> Array:
    """The same exponent from windows of one shape: a wide matrix has a larger alpha by its shape alone."""
    return np.array([windowed_alpha(part.weight.double().numpy(), WINDOW).alpha for part in parts(model)])


def stable_rank(s: Spectrum) -> float:
    return s.stable_rank / s.M


def noise(s: Spectrum) -> float:
    """The share of eigenvalues that noise explains."""
    return 1 - fit_bulk(s).num_spikes / s.M


METHODS: dict[str, Callable[[Spectrum], float]] = {
    "none": lambda s: 0.0,  # no decay in the blocks at all: what decay is worth
    "uniform": lambda s: 0.0,
    "alpha": alpha,
    "inverted": lambda s: -alpha(s),
    "random": alpha,  # the same scores, each given to another layer
    "stable rank": stable_rank,
    "noise edge": noise,
}


def exchanged(seed: int, layers: int) -> npt.NDArray[np.int64]:
    """Whose score each layer has in the method ``random``; the same all through a training."""
    return np.random.default_rng([seed, 2]).permutation(layers)


def new_model(seed: int) -> torch.nn.Module:
    from transformers import GPT2Config, GPT2LMHeadModel

    torch.manual_seed(seed)
    config = GPT2Config(**MODEL, resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0, bos_token_id=0, eos_token_id=0)
    return GPT2LMHeadModel(config)


def part_of_text(seed: int, share: float) -> npt.NDArray[np.uint8]:
    """Another seed sees another part of the text, as in the collection."""
    whole = text()[0]
    length = int(share * len(whole))
    start = int(np.random.default_rng([seed, 0]).integers(0, len(whole) - length + 1))
    return whole[start : start + length]


def train(
    method: str, seed: int, decay: float = DECAY, steps: int = STEPS, share: float = DATA
) -> tuple[torch.nn.Module, dict[str, Any]]:
    """A network and the record of its training."""
    torch.set_num_threads(1)  # sums of two threads differ in their last digits
    start = time.process_time()
    seen, held_out = part_of_text(seed, share), text()[1]
    model = new_model(seed)
    matrices = parts(model)
    sizes = [part.weight.numel() for part in matrices]
    steered = {id(part.parameter) for part in matrices}
    others = [p for p in model.parameters() if id(p) not in steered]
    groups = [
        {"params": [part for part in model.parameters() if id(part) in steered], "weight_decay": 0.0},  # by hand, below
        {"params": [p for p in others if p.ndim >= 2], "weight_decay": decay},  # embeddings
        {"params": [p for p in others if p.ndim < 2], "weight_decay": 0.0},
    ]
    optimiser = torch.optim.AdamW(groups, lr=1.0, betas=(0.9, 0.95), fused=True)
    rng = np.random.default_rng([seed, 1])
    factors, factor_means = np.ones(len(matrices)), np.zeros(len(matrices))
    for step in range(steps):
        if step % EVERY == 0:
            scores = np.array([METHODS[method](s) for s in spectra(model)])
            if method == "random":
                scores = scores[exchanged(seed, len(scores))]
            factors = allocate(scores, sizes, 1.0, *DECAY_RANGE) if method != "none" else np.zeros(len(matrices))
        factor_means += factors / steps
        rate = RATE * curve(step, steps)
        for group in optimiser.param_groups:
            group["lr"] = rate
        x = windows(seen, BATCH, rng)
        optimiser.zero_grad(set_to_none=True)
        model(x, labels=x).loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for part, factor in zip(matrices, factors, strict=True):
            part.weight.mul_(1 - rate * decay * factor)  # what AdamW does first
        optimiser.step()
    figures = dict(zip(("train_loss", "train_error"), text_figures(model, seen), strict=True))
    figures |= dict(zip(("test_loss", "test_error"), text_figures(model, held_out), strict=True))
    last = spectra(model)
    record = {
        "format": FORMAT, "method": method, "seed": seed, "decay": decay, "steps": steps, "share": share,
        "figures": figures, "layers": [part.name for part in matrices], "sizes": sizes,
        "factors": factor_means.tolist(), "alphas": [alpha(s) for s in last],
        "norms": [s.norm for s in last], "seconds": round(time.process_time() - start, 2),
        "versions": {"python": platform.python_version(), "torch": torch.__version__.split("+")[0]},
    }  # fmt: skip
    return model, record


# pruning


def prune(model: torch.nn.Module, shares: npt.ArrayLike) -> None:
    """Set the smallest entries of every matrix to zero, a share of each."""
    for part, share in zip(parts(model), np.asarray(shares), strict=True):
        flat = part.weight.flatten().numpy()
        k = round(share * len(flat))
        if k:
            flat[np.argpartition(np.abs(flat), k - 1)[:k]] = 0
        part.weight.copy_(torch.from_numpy(flat).view_as(part.weight))


def global_shares(model: torch.nn.Module, sparsity: float) -> Array:
    """The shares of a single threshold for the entries of all matrices."""
    entries = [part.weight.abs().flatten() for part in parts(model)]
    everything = torch.cat(entries)
    threshold = everything.sort().values[round(sparsity * len(everything)) - 1]
    return np.array([(x <= threshold).double().mean().item() for x in entries])


def by_block(scores: Array) -> Array:
    """The mean score of its block for every matrix, as AlphaPruning has it."""
    return np.repeat(scores.reshape(-1, IN_A_BLOCK).mean(axis=1), IN_A_BLOCK)


def by_role(scores: Array) -> Array:
    """The mean score of its role over the blocks for every matrix."""
    return np.tile(scores.reshape(-1, IN_A_BLOCK).mean(axis=0), len(scores) // IN_A_BLOCK)


def of_shape(N: int, M: int) -> float:
    """The exponent of noise of this shape: what alpha says before any training."""
    rng = np.random.default_rng([N, M])
    return float(np.mean([alpha(gaussian_spectrum(N, M, rng=rng)) for _ in range(20)]))


def within(groups: npt.ArrayLike, rng: np.random.Generator) -> npt.NDArray[np.int64]:
    """A permutation of the layers in which each takes the place of one of its own group."""
    groups = np.asarray(groups)
    order = np.arange(len(groups))
    for group in np.unique(groups):
        at = np.flatnonzero(groups == group)
        order[at] = rng.permutation(at)
    return order


def allocations(seed: int, scores: dict[str, Array], sizes: Array, sparsity: float) -> Iterator[tuple[str, int, Array]]:
    """Method, draw and shares of every way to prune, but ``one threshold``, which needs the entries."""

    def of(x: Array) -> Array:
        return allocate(x, sizes, sparsity, *PRUNE_RANGE, most=MOST)

    a = scores["alpha"]
    yield "uniform", 0, of(0 * a)
    for name in ("alpha", "alpha, fitted", "alpha, common shape", "stable rank", "noise edge", "measured"):
        yield name, 0, of(scores[name])
    yield "inverted", 0, of(-a)
    yield "shape alone", 0, of(scores["shape alone"])
    yield "alpha, by role", 0, of(by_role(a))
    yield "alpha, by block", 0, of(by_block(a))
    yield "inverted, by block", 0, of(by_block(-a))
    rng = np.random.default_rng([seed, 3])
    for draw in range(DRAWS):
        yield "random", draw, of(rng.permutation(a))
        yield "random, same size", draw, of(a)[within(sizes, rng)]
        yield "random, same role", draw, of(a)[within(np.arange(len(a)) % IN_A_BLOCK, rng)]
        yield "random, by block", draw, of(np.repeat(rng.permutation(by_block(a)[::IN_A_BLOCK]), IN_A_BLOCK))


def losses(model: torch.nn.Module, x: torch.Tensor) -> tuple[float, float]:
    """Loss in nats a byte and share of bytes that are not foretold."""
    with torch.no_grad():
        logits = torch.cat([model(part).logits[:, :-1] for part in x.split(32)]).double()
    loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), x[:, 1:].flatten()).item()
    return loss, (logits.argmax(2) != x[:, 1:]).double().mean().item()


class Changed:
    """A network whose weights come back when the block ends."""

    def __init__(self, model: torch.nn.Module) -> None:
        self.model, self.kept = model, {k: v.clone() for k, v in model.state_dict().items()}

    def __enter__(self) -> torch.nn.Module:
        return self.model

    def __exit__(self, *_: object) -> None:
        self.model.load_state_dict(self.kept)


def sensitivities(model: torch.nn.Module, seed: int, sparsity: float) -> Array:
    """By how much the *training* loss rises when a single matrix is pruned."""
    x = windows(part_of_text(seed, DATA), 32, np.random.default_rng(2))
    whole = losses(model, x)[0]
    found = []
    for i in range(len(parts(model))):
        with Changed(model):
            prune(model, sparsity * (np.arange(len(parts(model))) == i))
            found.append(losses(model, x)[0] - whole)
    return np.array(found)


def pruned(model: torch.nn.Module, seed: int, x: torch.Tensor) -> Iterator[dict[str, Any]]:
    """A row for every method, sparsity and draw."""
    found = spectra(model)
    sizes = np.array([part.weight.numel() for part in parts(model)], float)
    scores = {
        "alpha": np.array([alpha(s) for s in found]),
        "alpha, fitted": np.array([fit_power_law(s.nonzero_eigenvalues).alpha for s in found]),
        "alpha, common shape": common_shape(model),
        "shape alone": np.array([of_shape(s.N, s.M) for s in found]),
        "stable rank": np.array([stable_rank(s) for s in found]),
        "noise edge": np.array([noise(s) for s in found]),
    }
    for sparsity in SPARSITIES:
        scores["measured"] = -sensitivities(model, seed, sparsity)
        ways = [*allocations(seed, scores, sizes, sparsity), ("one threshold", 0, global_shares(model, sparsity))]
        for method, draw, shares in ways:
            with Changed(model):
                prune(model, shares)
                zeros = sum(int((part.weight == 0).sum()) for part in parts(model)) / sizes.sum()
                loss, error = losses(model, x)
            yield row_of("pruning", method, sparsity, draw, zeros, loss, error)


def first_block_spared(model: torch.nn.Module, x: torch.Tensor) -> Iterator[dict[str, Any]]:
    """A rule without any spectrum: the matrices of the first block lose least, all others alike."""
    matrices = parts(model)
    sizes = [part.weight.numel() for part in matrices]
    for sparsity in SPARSITIES:
        shares = allocate(np.arange(len(sizes)) >= IN_A_BLOCK, sizes, sparsity, *PRUNE_RANGE, most=MOST)
        with Changed(model):
            prune(model, shares)
            zeros = sum(int((part.weight == 0).sum()) for part in matrices) / sum(sizes)
            yield row_of("pruning", "first block spared", sparsity, 0, zeros, *losses(model, x))


def row_of(
    experiment: str, method: str, level: float, draw: int, removed: float, loss: float, error: float
) -> dict[str, Any]:
    return {"experiment": experiment, "method": method, "level": level, "draw": draw, "test_loss": loss,
            "test_error": error, "removed": removed}  # fmt: skip


# lower end


def removals(W: Array, k: int, rng: np.random.Generator) -> dict[str, Array]:
    """What is taken off a matrix: k of its singular values from some place, or as much norm as the k smallest have."""
    U, s, V = np.linalg.svd(W, full_matrices=False)  # descending
    M = len(s)
    first = (M - k) // 2
    at = {
        "bottom": np.arange(M - k, M),
        "middle": np.arange(first, first + k),
        "anywhere": rng.choice(M - 1, k, replace=False) + 1,  # but the largest one
        "top": np.arange(k),
    }
    taken = {name: (U[:, i] * s[i]) @ V[i] for name, i in at.items()}
    norm = np.linalg.norm(taken["bottom"])
    equal = {f"{name}, equal norm": X * norm / np.linalg.norm(X) for name, X in taken.items() if name != "bottom"}
    noise = rng.normal(size=W.shape)
    return taken | equal | {"noise, equal norm": noise * norm / np.linalg.norm(noise)}


def removed(model: torch.nn.Module, seed: int, x: torch.Tensor) -> Iterator[dict[str, Any]]:
    """A row for every place and number of singular values, taken out of all 24 matrices at once."""
    matrices = [part.weight.double().numpy() for part in parts(model)]
    yield row_of("removal", "nothing", 0.0, 0, 0.0, *losses(model, x))
    for share in REMOVED:
        rng = np.random.default_rng([seed, 4])
        each = [removals(W, round(share * min(W.shape)), rng) for W in matrices]
        for method in each[0]:
            with Changed(model):
                for part, changes in zip(parts(model), each, strict=True):
                    part.weight.sub_(torch.from_numpy(changes[method]).float())
                loss, error = losses(model, x)
            norms = [(np.sum(c[method] ** 2), np.sum(W**2)) for c, W in zip(each, matrices, strict=True)]
            yield row_of("removal", method, share, 0, sum(a for a, _ in norms) / sum(b for _, b in norms), loss, error)


def load(out: Path, seed: int) -> tuple[torch.nn.Module, dict[str, Any]]:
    """The network of uniform decay."""
    record, arrays = read_record(file_of(out, "uniform", seed).read_bytes(), FORMAT)
    model = new_model(seed)
    model.load_state_dict({k: torch.from_numpy(v) for k, v in arrays.items()}, strict=False)
    model.eval()
    return model, record


def file_of(out: Path, method: str, seed: int) -> Path:
    return out / f"{method}-{seed}.npz"


def train_to(path: Path, method: str, seed: int) -> None:
    model, record = train(method, seed)
    # the networks of uniform decay are pruned; the readout is the embedding
    weights = {k: v.numpy() for k, v in model.state_dict().items() if k != "lm_head.weight"}
    write_record(path, record, **(weights if method == "uniform" else {}))


def measured(out: Path, seed: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """What pruning and removal do to a seed's network: results and layers; kept, so that it is done once."""
    paths = out / f"results-{seed}.csv", out / f"layers-{seed}.csv"
    if not all(path.exists() for path in paths):
        torch.set_num_threads(1)
        model, record = load(out, seed)
        x = windows(text()[1], EVALUATED, np.random.default_rng(1))
        found = spectra(model)
        layers = pd.DataFrame({
            "seed": seed, "layer": record["layers"], "N": [s.N for s in found], "M": [s.M for s in found],
            "alpha": [alpha(s) for s in found],
            "alpha_fitted": [fit_power_law(s.nonzero_eigenvalues).alpha for s in found],
            "alpha_common": common_shape(model), "stable_rank": [stable_rank(s) for s in found],
            "noise": [noise(s) for s in found],
            "small": [fit_bulk(s).num_small_spikes for s in found], "rise": sensitivities(model, seed, 0.5),
        })  # fmt: skip
        rows = [*pruned(model, seed, x), *removed(model, seed, x), *first_block_spared(model, x)]
        results = pd.DataFrame(rows).assign(seed=seed)
        for path, frame in zip(paths, (results, layers), strict=True):
            with written_whole(path) as file:
                frame.to_csv(file, index=False)
    results, layers = (pd.read_csv(path) for path in paths)
    return results, layers


def trained(out: Path) -> pd.DataFrame:
    rows = []
    for seed, method in itertools.product(SEEDS, METHODS):
        record, _ = read_record(file_of(out, method, seed).read_bytes(), FORMAT)
        mean = record["decay"] * np.average(record["factors"], weights=record["sizes"])
        rows.append({"experiment": "decay", "method": method, "level": mean, "seed": seed, "draw": 0,
                     **record["figures"]})  # fmt: skip
    return pd.DataFrame(rows)


def names_of(model: torch.nn.Module) -> dict[str, npt.NDArray[np.float16]]:
    """All weights by plain names; query, key and value apart."""
    found = {part.name: part.weight for part in parts(model)}
    found |= {"bytes": model.transformer.wte.weight, "positions": model.transformer.wpe.weight}
    for i, block in enumerate(model.transformer.h):
        width = model.config.n_embd
        for j, role in enumerate(("query", "key", "value")):
            found[f"{i}.{role} bias"] = block.attn.c_attn.bias[j * width : (j + 1) * width]
        found |= {
            f"{i}.attention out bias": block.attn.c_proj.bias,
            f"{i}.feed-forward in bias": block.mlp.c_fc.bias, f"{i}.feed-forward out bias": block.mlp.c_proj.bias,
            f"{i}.norm 1": block.ln_1.weight, f"{i}.norm 1 bias": block.ln_1.bias,
            f"{i}.norm 2": block.ln_2.weight, f"{i}.norm 2 bias": block.ln_2.bias,
        }  # fmt: skip
    found |= {"last norm": model.transformer.ln_f.weight, "last norm bias": model.transformer.ln_f.bias}
    return {name: W.detach().numpy().astype(np.float16) for name, W in found.items()}


def write_table(name: str, frame: pd.DataFrame) -> None:
    packed = io.BytesIO()
    with gzip.GzipFile(fileobj=packed, mode="wb", mtime=0) as file:  # the same bytes every time
        file.write(frame.to_csv(index=False, float_format="%.6g", lineterminator="\n").encode())
    with written_whole(FOLDER / f"{name}.csv.gz") as file:
        file.write(packed.getvalue())


def assemble(out: Path) -> None:
    """Write the tables, and one network with the text it is judged by."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    of_seeds = [measured(out, seed) for seed in SEEDS]
    write_table("results", pd.concat([trained(out), *(results for results, _ in of_seeds)], ignore_index=True))
    write_table("layers", pd.concat([layers for _, layers in of_seeds], ignore_index=True))
    model, record = load(out, SEEDS[0])
    whole = text()
    x = windows(whole[1], EVALUATED, np.random.default_rng(1)).numpy().astype(np.uint8)
    kept = {"format": FORMAT, "blocks": MODEL["n_layer"], "heads": MODEL["n_head"], "text_sha256": whole[2]}
    kept |= {k: record[k] for k in ("seed", "decay", "steps", "share", "versions")} | {"batch": BATCH, "rate": RATE}
    kept["matrices"] = record["layers"]
    write_record(FOLDER / "network.npz", kept, text=x, **names_of(model))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("build/steering"), help="folder of the finished trainings")
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    for seed in SEEDS:
        for method in METHODS:
            path = file_of(given.out, method, seed)
            if not path.exists():
                train_to(path, method, seed)
                print(seed, method, flush=True)
        measured(given.out, seed)
        print(seed, "measured", flush=True)
    assemble(given.out)


if __name__ == "__main__":
    main()
