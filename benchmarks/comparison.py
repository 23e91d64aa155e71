"""Does `compare` find what changed and nothing else? Overlaps of random subspaces, nulls of intruders, planted ones.

    python -m benchmarks.comparison    about a minute

Everything is drawn from fixed seeds; one BLAS thread.
"""

from __future__ import annotations

import time

import numpy as np

from rmt_lab._arrays import Array
from rmt_lab.comparison import directions
from rmt_lab.ensembles import gaussian
from rmt_lab.laws import SubspaceOverlap


def main() -> None:
    overlaps()
    nulls()
    controls()
    planted()
    speed()


def falling(n: int, m: int, seed: int) -> Array:
    """Singular values 10 / sqrt(i), i = 1, 2, ..., as those of trained layers fall, in random directions."""
    rng = np.random.default_rng(seed)
    k = min(n, m)
    u, v = (np.linalg.qr(rng.normal(size=(side, k)))[0] for side in (n, m))
    return u * (10 / np.sqrt(1 + np.arange(k))) @ v.T


def overlaps(draws: int = 400_000) -> None:
    """The beta law of SubspaceOverlap against exact draws."""
    print("Share of random overlaps beyond a quantile of the law, over what it should be")
    levels = (0.1, 0.05, 0.01, 0.001)
    print(f"{'n':>6}{'k':>4}{'variance':>10}" + "".join(f"{f'upper {p:.1%}':>13}" for p in levels))
    rng = np.random.default_rng(0)
    for n, k in [(4, 2), (20, 2), (20, 5), (20, 10), (20, 15), (64, 10), (384, 2), (384, 10), (3072, 3), (3072, 10)]:
        law = SubspaceOverlap(n, k)
        x = np.concatenate([law.rvs(draws // 8, rng) for _ in range(8)])
        shares = "".join(f"{np.mean(x > law.ppf(1 - p)) / p:13.3f}" for p in levels)
        print(f"{n:6}{k:4}{x.var() / law.var():10.3f}{shares}", flush=True)


def nulls(trials: int = 200) -> None:
    """Noise of the same norm as a change must have no intruder."""
    print(f"\nNoise added to a 60 x 40 matrix: how many of {trials} have no intruder (190 are asked for)")
    for name, make in (("falling", falling), ("Gaussian", lambda n, m, seed: gaussian(n, m, rng=seed))):
        for size in (0.05, 0.4, 1.0):
            rng, without = np.random.default_rng(1), 0
            for seed in range(trials):
                W, G = make(60, 40, seed), rng.normal(size=(60, 40))
                noise = size * np.linalg.norm(W) / np.linalg.norm(G) * G
                without += not directions(W, W + noise, rng=rng).intruders.any()
            print(f"{name:>10}, relative change {size:4}: {without}", flush=True)


def controls(trials: int = 200) -> None:
    """Changes that no training made, and that are no noise of equal size everywhere: intruders are found in them."""
    print(f"\nOther changes of a falling 60 x 40 matrix: in how many of {trials} there is an intruder, mean change")

    def in_rows(W: Array, rng: np.random.Generator) -> Array:
        G = np.zeros_like(W)
        G[:6] = rng.normal(size=(6, W.shape[1]))
        return W + 0.4 * np.linalg.norm(W) / np.linalg.norm(G) * G

    def heavy(W: Array, rng: np.random.Generator) -> Array:
        G = rng.standard_t(1.5, size=W.shape)
        return W + 0.4 * np.linalg.norm(W) / np.linalg.norm(G) * G

    changes = {
        "another training": lambda W, rng: falling(*W.shape, int(rng.integers(2**31))),
        "neurons permuted": lambda W, rng: W[rng.permutation(len(W))],
        "rows rescaled by exp(0.3 z)": lambda W, rng: W * np.exp(0.3 * rng.normal(size=(len(W), 1))),
        "noise in 6 rows alone": in_rows,
        "heavy-tailed noise": heavy,
        "scaled by 1.1": lambda W, rng: 1.1 * W,
        "rounded to float16": lambda W, rng: W.astype(np.float16).astype(float),
    }
    for name, change in changes.items():
        found, size = 0, 0.0
        for seed in range(trials):
            W = falling(60, 40, seed)
            after = change(W, np.random.default_rng([seed, 2]))
            found += directions(W, after, rng=seed).intruders.any()
            size += np.linalg.norm(after - W) / np.linalg.norm(W) / trials
        print(f"{name:>28}: {found}, relative change {size:.2g}", flush=True)


def planted(trials: int = 40) -> None:
    """A new direction u v^T of a given singular value, where the largest before are 10, 7.07, 5.77, 5, 4.47."""
    print(f"\nA direction planted in a 300 x 200 matrix: in how many of {trials} it is the only intruder")
    for strength in (12.0, 8.4, 7.2, 6.4, 5.4, 5.0, 4.7):
        found = 0
        for seed in range(trials):
            rng = np.random.default_rng([seed, 1])
            W, u, v = falling(300, 200, seed), rng.normal(size=300), rng.normal(size=200)
            change = strength * np.outer(u / np.linalg.norm(u), v / np.linalg.norm(v))
            leading = np.linalg.svd(W + change)[0][:, :10]
            intruders = directions(W, W + change, rng=seed).intruders
            found += bool(intruders.sum() == 1 and intruders[np.abs(leading.T @ u).argmax()])
        print(f"  singular value {strength:4}: {found}", flush=True)


def speed() -> None:
    print("\nSeconds of processor time per layer, with 39 draws and with none")
    for n, m in ((384, 384), (1536, 384), (768, 768), (3072, 768)):
        W, seconds = falling(n, m, 0), []
        for draws in (39, 0):
            start = time.process_time()
            directions(W, W + 0.01 * gaussian(n, m, rng=0), draws=draws)
            seconds.append(time.process_time() - start)
        print(f"{n:6} x {m}: {seconds[0]:.2f}, {seconds[1]:.2f}", flush=True)


if __name__ == "__main__":
    main()
