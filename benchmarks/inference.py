"""Do the tests of a spectrum's tail hold what they promise? Simulations where the population is known.

    python -m benchmarks.inference                 all tables, hours on one core
    python -m benchmarks.inference --minutes 15    as many spectra as fit into the time
    python -m benchmarks.inference --quick         some spectra of the small shapes, under 60 s
    python -m benchmarks.inference --atlas         words, times and the agreement of quick and full mode on real layers
    python -m benchmarks.inference --fit-quick     fits the quick mode's table again and writes it

Matrices are W = Z diag(population)^(1/2), Z Gaussian, drawn whole: none of the tests' own short cuts. Seeds and bodies
are others than those that the tests were tuned on.
"""

from __future__ import annotations

import argparse
import collections
import itertools
import json
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt

from rmt_lab import atlas
from rmt_lab.tails.spectral import TailTest, population_alpha, quick_features, redrawn_curvatures, tail_test

Array = npt.NDArray[np.float64]
Rng = np.random.Generator

SHAPES = ((400, 200), (800, 400), (1600, 400), (3072, 768), (768, 768))
ALPHAS = (2.0, 2.5, 3.0, 3.5)
TABLE = Path(__file__).parents[1] / "rmt_lab" / "data" / "spectral_quick.json"


def pareto(n: int, alpha: float, rng: Rng) -> Array:
    return np.exp(rng.exponential(size=n) / (alpha - 1))


def with_tail(share: float, body: Callable[[int, Rng], Array]) -> Callable[[int, float, Rng], Array]:
    """An independent power-law tail from 1 on, and a body that lies below 1."""

    def draw(M: int, alpha: float, rng: Rng) -> Array:
        k = round(share * M)
        return np.r_[pareto(k, alpha, rng), body(M - k, rng)]

    return draw


BODIES: dict[str, Callable[[int, float, Rng], Array]] = {
    "power law throughout": pareto,
    "log-uniform, tail 40 %": with_tail(0.4, lambda n, rng: np.exp(-2.5 * rng.random(n))),
    "lognormal, tail 30 %": with_tail(0.3, lambda n, rng: np.exp(-0.7 * np.abs(rng.normal(size=n)))),
    "one level, tail 50 %": with_tail(0.5, lambda n, rng: np.full(n, 0.5)),
}


def truncated(M: int, rng: Rng) -> Array:
    x = pareto(60 * M, 2.0, rng)
    return x[rng.random(len(x)) < np.exp(-(x - 1) / 10)][:M]


def of_population(draw: Callable[[int, Rng], Array]) -> Callable[[int, int, Rng], Array]:
    return lambda N, M, rng: spectrum(draw(M, rng), N, rng)


def lognormal_entries(N: int, M: int, rng: Rng) -> Array:
    W = np.exp(2 * rng.normal(size=(N, M))) * rng.choice([-1, 1], size=(N, M))
    return np.linalg.eigvalsh(W.T @ W / N)


RIVALS: dict[str, Callable[[int, int, Rng], Array]] = {
    "lognormal population, s = 1": of_population(lambda M, rng: np.exp(rng.normal(size=M))),
    "lognormal population, s = 2": of_population(lambda M, rng: np.exp(2 * rng.normal(size=M))),
    "truncated x^-2 e^(-x/10)": of_population(truncated),
    "stretched exponential, 0.5": of_population(lambda M, rng: rng.exponential(size=M) ** 2),
    "lognormal entries, s = 2": lognormal_entries,
    "column scales, 1 .. 3": of_population(lambda M, rng: np.linspace(1, 3, M) ** 2),
    "Gaussian noise": of_population(lambda M, rng: np.ones(M)),
}


def spectrum(population: Array, N: int, rng: Rng) -> Array:
    W = rng.standard_normal((N, len(population))) * np.sqrt(population)
    return np.linalg.eigvalsh(W.T @ W / N)


def judge(x: Array, N: int, rng: Rng) -> tuple[TailTest, TailTest]:
    return tail_test(x, N, rng=rng), tail_test(x, N, quick=True)


Results = dict[tuple[str, str, str], list[tuple[TailTest, TailTest]]]
Covered = dict[tuple[str, str, str], list[tuple[bool, float]]]


def size_and_power(
    shapes: tuple[tuple[int, int], ...], minutes: float, seed: int = 20261128
) -> tuple[Results, Covered]:
    results: Results = collections.defaultdict(list)
    covered: Covered = collections.defaultdict(list)
    for place, (N, M) in enumerate(shapes):
        # time in proportion to M, so that the small shapes get more spectra
        shape, stop = f"{N} x {M}", time.perf_counter() + 60 * minutes * M / sum(m for _, m in shapes)
        for spectra in itertools.count():
            if time.perf_counter() > stop or spectra == 200:
                break
            for row, (body, alpha) in enumerate(itertools.product(BODIES, ALPHAS)):
                rng = np.random.default_rng([seed, place, row, spectra])
                x = spectrum(BODIES[body](M, alpha, rng), N, rng)
                results[shape, body, f"{alpha:g}"].append(judge(x, N, rng))
                if (spectra + row) % 4 == 0:
                    _, low, high = population_alpha(x, N, n=60, rng=rng)
                    covered[shape, body, f"{alpha:g}"].append((low <= alpha <= high, high - low))
            for row, (name, draw) in enumerate(RIVALS.items()):
                rng = np.random.default_rng([seed, place, 100 + row, spectra])
                results[shape, name, ""].append(judge(draw(N, M, rng), N, rng))
        report(shape, results, covered)
    sums(results, covered)
    return results, covered


def shares(pairs: list[tuple[TailTest, TailTest]]) -> str:
    full, quick = [f for f, _ in pairs], [q for _, q in pairs]
    p = np.array([[f.p_power_law < 0.1, f.p_lognormal < 0.1] for f in full])
    holds = (~p[:, 0] & p[:, 1]).mean()
    q = np.array([[t.p_power_law < 0.1, t.p_lognormal < 0.1] for t in quick])
    qholds = (~q[:, 0] & q[:, 1]).mean()
    alpha = np.median([f.alpha_population for f in full])
    return (
        f"{len(full):5d} {p[:, 0].mean():8.2f} {p[:, 1].mean():8.2f} {holds:6.2f}   {alpha:6.2f}   "
        f"{q[:, 0].mean():8.2f} {qholds:6.2f}"
    )


HEAD = f"{'':36}spectra p_power<.1 p_logn<.1 holds alpha_pop | quick: p_power<.1 holds"


def report(shape: str, results: Results, covered: Covered) -> None:
    print(f"\n{shape}\n{HEAD}")
    for (s, name, alpha), pairs in results.items():
        if s == shape:
            ends = covered.get((s, name, alpha), [])
            inside = f"   interval {np.mean([c for c, _ in ends]):.2f} of {len(ends)}" if ends else ""
            print(f"{name + ' ' + alpha:36}{shares(pairs)}{inside}", flush=True)


def sums(results: Results, covered: Covered) -> None:
    print(f"\nTrue power laws, all cells of a shape\n{HEAD}")
    for shape in dict.fromkeys(s for s, _, _ in results):
        pairs = [p for (s, _, alpha), ps in results.items() if s == shape and alpha for p in ps]
        ends = [e for (s, _, _), es in covered.items() if s == shape for e in es]
        inside, width = np.mean([c for c, _ in ends]), np.median([w for _, w in ends])
        print(f"{shape:36}{shares(pairs)}   interval {inside:.3f} of {len(ends)}, width {width:.2f}")


def layers(models: tuple[str, ...] = ("minilm", "smollm2")) -> None:
    for name in models:
        words: dict[str, list[str]] = {"full": [], "quick": []}
        again: list[str] = []
        seconds = dict.fromkeys(words, 0.0)
        large = 0
        for layer in atlas.load(name).layers:
            x, N = layer.spectrum.nonzero_eigenvalues, layer.spectrum.N
            if len(x) < 50:
                continue
            for mode in words:
                start = time.perf_counter()
                test = tail_test(x, N, rng=0, quick=mode == "quick")
                seconds[mode] += time.perf_counter() - start
                words[mode].append(test.word)
            large += test.alpha_population > 6
            if len(again) < 60:
                again.append(tail_test(x, N, rng=1).word)
        same = np.mean([a == b for a, b in zip(words["full"], words["quick"], strict=True)])
        itself = np.mean([a == b for a, b in zip(words["full"], again, strict=False)])
        print(f"{name}: {len(words['full'])} layers")
        for mode in words:
            print(f"  {mode:6} {seconds[mode]:7.1f} s  {dict(collections.Counter(words[mode]))}")
        print(f"  same word {same:.3f}; full mode with another seed {itself:.3f} of {len(again)}; alpha > 6: {large}")


def training_spectrum(rng: Rng) -> tuple[Array, int]:
    """A spectrum of one of many kinds, for the regression of the quick mode."""
    M = int(rng.choice([100, 150, 192, 192, 288, 384, 384, 576]))
    Q = float(rng.choice([1, 4 / 3, 2, 8 / 3, 3, 4, 8, 30, 80]))
    kind = rng.integers(7)
    g = np.exp(rng.uniform(np.log(0.15), np.log(2)))
    body = np.exp(-rng.uniform(0.1, 3) * rng.random(M) ** rng.uniform(0.3, 3))
    if kind == 0:
        population = np.exp(2 * rng.uniform(0.05, 1) * rng.normal(size=M))
    elif kind == 1:
        population = rng.exponential(size=M) ** rng.uniform(0.3, 2.5)
    elif kind == 2:
        population = rng.gamma(rng.uniform(0.5, 6), size=M)
    else:
        tail = np.exp(g * rng.exponential(size=M))
        if kind == 3:
            tail = np.minimum(tail, np.exp(g * rng.uniform(1, 3)) * np.exp(0.2 * rng.random(M)))
        population = np.where(rng.random(M) < rng.uniform(0.05, 1), tail, body)
    if kind == 6:  # a product of what was learnt and noise: two sources added
        population = population + rng.uniform(0, 3)
    return spectrum(np.maximum(population, 1e-8), round(Q * M), rng), round(Q * M)


def fit_quick(spectra: int = 640, seed: int = 4711) -> None:
    """Mean and spread of ln c* for either law, and ln g, by ridge regression on the quick features."""
    rng = np.random.default_rng(seed)
    features, targets = [], []
    for _ in range(spectra):
        x, N = training_spectrum(rng)
        null, g = redrawn_curvatures(x, N, n=40, rng=rng)
        p, q = np.log(null["power_law"]), np.log(null["lognormal"])
        if g < 0.12:
            continue  # noise: no tail to speak of, and not a smooth function of the features
        features.append(quick_features(x, N))
        targets.append([p.mean(), np.log(p.std()), q.mean(), np.log(q.std()), np.log(g)])
    write_table(np.array(features), np.array(targets))


def write_table(X: Array, Y: Array) -> None:
    scale = X.std(axis=0) + (X.std(axis=0) == 0)

    def ridge(rows: npt.NDArray[np.bool_]) -> Array:
        Z = X[rows] / scale
        out: Array = np.linalg.solve(Z.T @ Z + 1e-3 * len(Z) * np.eye(Z.shape[1]), Z.T @ Y[rows]) / scale[:, None]
        return out

    fifth = np.arange(len(X)) % 5
    off = np.concatenate([Y[fifth == i] - X[fifth == i] @ ridge(fifth != i) for i in range(5)])
    print(f"{len(X)} spectra; median error on those left out:", np.median(np.abs(off), axis=0).round(3))
    base = X[:, 1:7]
    table = {
        "made by": "python -m benchmarks.inference --fit-quick",
        "spectra": len(X),
        "low": base.min(axis=0).round(3).tolist(),
        "high": base.max(axis=0).round(3).tolist(),
        "coefficients": [[float(f"{v:.5g}") for v in row] for row in ridge(fifth >= 0)],
    }
    TABLE.write_text(json.dumps(table) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="small shapes only, under 60 s")
    parser.add_argument("--minutes", type=float, default=600, help="time for the tables")
    parser.add_argument("--atlas", action="store_true", help="real layers only")
    parser.add_argument("--fit-quick", action="store_true", help="fit the quick mode's table again")
    args = parser.parse_args()
    if args.fit_quick:
        fit_quick()
    elif args.atlas:
        layers()
    elif args.quick:
        size_and_power(((400, 200), (800, 400)), 0.5)
    else:
        size_and_power(SHAPES, args.minutes)
        layers()


if __name__ == "__main__":
    main()
