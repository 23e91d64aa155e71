"""Does D sqrt(n) tell whether clipping helped? The control: true power laws, and layers from which nothing is dropped.

    python -m benchmarks.clipping

``clip_xmax`` accepts a fit whose alpha is lower by more than 1. The raw fit has the smallest D of all tails, by the
search that made it, and a lower alpha means a longer tail: D sqrt(n) rises twice over. Here the rule runs on samples
whose tail *is* a power law (2 x 1000 of 100 values, alpha 2.5 and 3.5, which fall off smoothly below xmin: Clauset,
Shalizi & Newman 2009, equation 3.10), and on the real layers that it clips, where the clipped fit's xmin is taken and
*nothing* is dropped. Whether a clipped tail may be believed is the question of ``verdict``; how often clipped tails of
known truth pass it stands in the tables of ``python -m benchmarks.inference``.
"""

from __future__ import annotations

import numpy as np

from rmt_lab import atlas, fit_power_law, fix_fingers
from rmt_lab.ensembles.samples import bulk_and_tail


def true_power_laws(alpha: float, samples: int, seed: int) -> tuple[int, int]:
    """Of samples with a genuine power-law tail: how many are clipped, and in how many of these D sqrt(n) rises."""
    rng = np.random.default_rng([seed, int(10 * alpha)])
    clipped = rose = 0
    for _ in range(samples):
        found = fix_fingers(bulk_and_tail(100, alpha, rng))
        clipped += found.num_fingers > 0
        rose += found.num_fingers > 0 and found.fit.scaled_D > found.raw.scaled_D
    return clipped, rose


def real_layers() -> tuple[int, int, int]:
    """Layers that are clipped, in how many D sqrt(n) rises, and in how many with the same xmin and nothing dropped."""
    clipped = rose = rose_with_all = 0
    for name in ("minilm", "smollm2"):
        for layer in atlas.load(name):
            if layer.spectrum.rank < 10:
                continue
            found = fix_fingers(layer.spectrum)
            if found.num_fingers:
                clipped += 1
                rose += found.fit.scaled_D > found.raw.scaled_D
                everything = fit_power_law(found.raw.x, xmin=found.fit.xmin)
                rose_with_all += everything.scaled_D > found.raw.scaled_D
    return clipped, rose, rose_with_all


def main() -> None:
    for alpha in (2.5, 3.5):
        clipped, rose = true_power_laws(alpha, 1000, seed=0)
        print(f"true power laws, alpha {alpha}: {clipped} of 1000 clipped, D sqrt(n) rose in {rose} of {clipped}")
    clipped, rose, rose_with_all = real_layers()
    print(
        f"real layers: {clipped} clipped, D sqrt(n) rose in {rose}; same xmin and nothing dropped: in {rose_with_all}"
    )


if __name__ == "__main__":
    main()
