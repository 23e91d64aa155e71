"""Do the verdict on a spectrum and its tests hold what they promise? Simulations where the truth is known.

    python -m benchmarks.inference                 all tables: two hours on one core, resumable
    python -m benchmarks.inference --minutes 15    as much of it as fits into the time
    python -m benchmarks.inference --report        the tables of what was simulated so far; writes the shipped rates
    python -m benchmarks.inference --quick         some spectra of the small shapes, under 60 s; fails if a bound breaks
    python -m benchmarks.inference --atlas         words, times and the agreement of quick and full mode on real layers
    python -m benchmarks.inference --fit-quick     fits the quick mode's table again and writes it

Matrices W = Z diag(population)^(1/2) O, Z Gaussian, O a random rotation, are drawn whole: none of the tests' own short
cuts. Seeds and bodies
are others than those that the tests were tuned on. Each spectrum's outcome is a line of build/inference.jsonl, so that
a run goes on where the last one ended.
"""

from __future__ import annotations

import argparse
import collections
import itertools
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from rmt_lab import analyze, atlas
from rmt_lab.ensembles import shuffled
from rmt_lab.spectrum import Spectrum
from rmt_lab.tails import fit_power_law, fix_fingers
from rmt_lab.tails.power_law import PowerLawFit
from rmt_lab.tails.spectral import LAWS, LEAST_Q, quick_features, redrawn_curvatures
from rmt_lab.verdict import RULES, verdict

Array = npt.NDArray[np.float64]
Rng = np.random.Generator

SHAPES = ((400, 200), (800, 400), (1600, 400), (3072, 768), (768, 768))
MORE_SHAPES = ((800, 200), (1600, 200))  # for the table of rates
ALPHAS = (2.0, 2.5, 3.0, 3.5)
SPECTRA = 9  # per cell and shape: 144 power laws
PER_ROUND = 3  # of each rival in each round
SEED = 20261128
CANT = "can't tell"
DATA = Path(__file__).parents[1] / "rmt_lab" / "data"
LINES = Path(__file__).parents[1] / "build" / "inference.jsonl"


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


def matrix(population: Array, N: int, rng: Rng) -> Array:
    """Rows with this population in a basis of no column's own, so that no entry or column stands out."""
    basis = np.linalg.qr(rng.standard_normal((len(population), len(population))))[0]
    W: Array = (rng.standard_normal((N, len(population))) * np.sqrt(population)) @ basis
    return W


def of_population(draw: Callable[[int, Rng], Array]) -> Callable[[int, int, Rng], Array]:
    return lambda N, M, rng: matrix(draw(M, rng), N, rng)


def lognormal_entries(N: int, M: int, rng: Rng) -> Array:
    return np.exp(2 * rng.normal(size=(N, M))) * rng.choice([-1, 1], size=(N, M))


def any_power_law(M: int, rng: Rng) -> Array:
    draw = BODIES[str(rng.choice(list(BODIES)))]
    return draw(M, float(rng.choice(ALPHAS)), rng)


RIVALS: dict[str, Callable[[int, int, Rng], Array]] = {
    "lognormal population, s = 1": of_population(lambda M, rng: np.exp(rng.normal(size=M))),
    "lognormal population, s = 2": of_population(lambda M, rng: np.exp(2 * rng.normal(size=M))),
    "truncated x^-2 e^(-x/10)": of_population(truncated),
    "stretched exponential, 0.5": of_population(lambda M, rng: rng.exponential(size=M) ** 2),
    "lognormal entries, s = 2": lognormal_entries,
    "column scales, 1 .. 3": lambda N, M, rng: rng.standard_normal((N, M)) * np.linspace(1, 3, M),
    "column scales, lognormal 0.5": lambda N, M, rng: rng.standard_normal((N, M)) * np.exp(0.5 * rng.normal(size=M)),
    "Gaussian noise": of_population(lambda M, rng: np.ones(M)),
}


def with_signal(N: int, M: int, rng: Rng) -> Array:
    """Noise, and an eighth of all directions with strengths of an exponential law."""
    rank = round(0.12 * M)
    signal = (rng.normal(size=(N, rank)) * rng.exponential(size=rank)) @ rng.normal(size=(rank, M))
    return rng.normal(size=(N, M)) + 2.5 / np.sqrt(M) * signal


MIXED: dict[str, Callable[[int, int, Rng], Array]] = {  # a bulk and a signal: the tail has some of each
    "noise and low rank, 12 %": with_signal,
    "one level and lognormal, 10 %": of_population(
        lambda M, rng: np.r_[np.exp(1 + rng.normal(size=M // 10)), np.ones(M - M // 10)]
    ),
}
CLIPPED: dict[str, Callable[[int, int, Rng], Array]] = {
    "clipped power law": of_population(any_power_law),
    "clipped truncated": RIVALS["truncated x^-2 e^(-x/10)"],
    "clipped noise": RIVALS["Gaussian noise"],
}


def judge(W: Array, clip: bool, rng: Rng, quick: bool = False) -> dict[str, Any] | None:
    """The verdict on a matrix; None where a clipped one is asked for and nothing is dropped."""
    spectrum = Spectrum.from_matrix(W)
    fit: PowerLawFit = fit_power_law(spectrum.nonzero_eigenvalues)
    if clip:
        found = fix_fingers(spectrum, "clip_xmax")
        if not found.num_fingers:
            return None
        fit = found.fit
    null = Spectrum.from_matrix(shuffled(W, rng))
    v = verdict(fit, spectrum, null, rng=rng, quick=quick)
    return {
        "word": v.verdict,
        "answer": not v.verdict_note,
        "p": [v.p_power_law, v.p_lognormal, v.p_truncated],
        "interval": [v.alpha_population, v.alpha_population_low, v.alpha_population_high],
    }


def cells(
    N: int, M: int, spectrum: int, place: int
) -> Iterator[tuple[str, str, Callable[[Rng], Array], bool, list[int]]]:
    """What is drawn for one round of a shape: family, alpha, a function that draws it, whether clipped, the seed."""
    for row, (body, alpha) in enumerate(itertools.product(BODIES, ALPHAS)):
        draw = BODIES[body]
        yield (
            body, f"{alpha:g}", lambda rng, d=draw, a=alpha: matrix(d(M, a, rng), N, rng), False,
            [SEED, place, row, spectrum],
        )  # fmt: skip
    for row, (name, make) in enumerate((RIVALS | CLIPPED | MIXED).items()):
        for again in range(PER_ROUND):
            seed = [SEED, place, 100 + row, PER_ROUND * spectrum + again]
            yield name, "", lambda rng, make=make: make(N, M, rng), name in CLIPPED, seed


def simulate(minutes: float) -> None:
    """Round after round over all shapes, each outcome a line of the file; what it holds already is not drawn again."""
    LINES.parent.mkdir(exist_ok=True)
    done = {tuple(line["seed"]) for line in lines()}
    stop = time.perf_counter() + 60 * minutes
    with LINES.open("a") as file:
        for spectrum in range(SPECTRA):
            for place, (N, M) in enumerate(SHAPES + MORE_SHAPES):
                if N < LEAST_Q * M and spectrum % 3:
                    continue  # there the word is "can't tell"; a third of the time is enough to see it
                for family, alpha, draw, clip, seed in cells(N, M, spectrum, place):
                    if tuple(seed) in done:
                        continue
                    if time.perf_counter() > stop:
                        return
                    rng = np.random.default_rng(seed)
                    found = judge(draw(rng), clip, rng)
                    for _ in range(20):
                        if found is not None:
                            break
                        found = judge(draw(rng), clip, rng)
                    record = {"shape": f"{N} x {M}", "family": family, "alpha": alpha, "seed": seed} | (found or {})
                    file.write(json.dumps(record) + "\n")
                    file.flush()


def lines() -> list[dict[str, Any]]:
    if not LINES.exists():
        return []
    return [json.loads(line) for line in LINES.read_text().splitlines() if line.endswith("}")]


def report(write: bool) -> None:
    """The tables of docs/error-bars.md; with write also the rates that ship with the library."""
    found = collections.defaultdict(list)
    for line in lines():
        if "word" in line:
            found[line["shape"], line["family"]].append(line)
    shapes = [f"{N} x {M}" for N, M in SHAPES + MORE_SHAPES if (f"{N} x {M}", "Gaussian noise") in found]
    print("True power laws; p < 0.1 and the words among all; by body or alpha: least and largest share")
    print(f"{'':12}spectra  p<.1  by body/alpha refuted can't holds noise  interval")
    for shape in shapes:
        rows = [line for body in BODIES for line in found[shape, body]]
        tested = [line for line in rows if line["answer"] and line["word"] != "noise"]
        shares = []
        for by in ("family", "alpha"):
            for value in dict.fromkeys(line[by] for line in tested):
                shares.append(float(np.mean([line["p"][0] < 0.1 for line in tested if line[by] == value])))
        shares.sort()
        inside = [line["interval"][1] <= float(line["alpha"]) <= line["interval"][2] for line in wide(rows)]
        word = words(rows)
        print(
            f"{shape:12}{len(rows):7d} {np.mean([line['p'][0] < 0.1 for line in tested] or [np.nan]):5.3f}  "
            f"{shares[0] if shares else np.nan:.2f} .. {shares[-1] if shares else np.nan:.2f}   "
            f"{word['refuted']:6.2f} {word[CANT]:5.2f} {word['holds']:5.2f} {word['noise']:5.2f}   "
            f"{np.mean(inside or [np.nan]):5.3f}"
        )
    print("\nNo power law, and clipped spectra: refuted / can't tell / holds / noise / no answer")
    table: dict[str, dict[str, dict[str, float]]] = {}
    for shape in shapes:
        rows = [line for body in BODIES for line in found[shape, body]]
        families = {"power law": rows} | {f: found[shape, f] for f in RIVALS | MIXED | CLIPPED if found[shape, f]}
        table[shape] = {f: words(ls) | {"spectra": len(ls)} for f, ls in families.items()}
        print(shape)
        for f, share in table[shape].items():
            some = " / ".join(f"{share[w]:.2f}" for w in ("refuted", CANT, "holds", "noise", "no answer"))
            print(f"  {f:30}{share['spectra']:5d}   {some}")
    if write:
        answered = {shape: t for shape, t in table.items() if ratio(shape) >= LEAST_Q}
        made = {"made by": "python -m benchmarks.inference --report", "shapes": answered}
        (DATA / "verdict_rates.json").write_text(json.dumps(made, indent=0) + "\n")


def words(rows: list[dict[str, Any]]) -> dict[str, float]:
    """Shares of the words; "can't tell" without a note, and "no answer" with one."""
    said = [line["word"] if line["answer"] or line["word"] != CANT else "no answer" for line in rows]
    return {w: round(said.count(w) / len(said), 3) for w in (*RULES, "no answer")}


def wide(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Those with an interval."""
    return [line for line in rows if np.isfinite(line["interval"][1])]


def ratio(shape: str) -> float:
    N, M = map(int, shape.split(" x "))
    return N / M


def layers(models: tuple[str, ...] = ("minilm", "smollm2")) -> None:
    for name in models:
        model = atlas.load(name)
        words_of = {}
        for mode in (True, "quick"):
            start = time.process_time()
            table = analyze(model, verdict=mode)
            seconds = time.process_time() - start
            start = time.process_time()
            analyze(model)
            seconds -= time.process_time() - start
            words_of[mode] = table["verdict"]
            counts = dict(table["verdict"].value_counts())
            print(f"{name}: {len(table)} layers, verdict={mode!r}: {seconds:.1f} s  {counts}", flush=True)
            notes = table["verdict_note"].str.replace(r"[\d.]+", "#", regex=True).value_counts()
            print("\n".join(f"    {count:4d}  {note or '(no note)'}" for note, count in notes.items()))
            print(f"    least verdict_q {table['verdict_q'].min():.2f}; population alpha above 6: "
                  f"{(table['alpha_population'] > 6).sum()}")  # fmt: skip
        again = analyze(model, verdict=True, rng=1)["verdict"]
        print(f"  same word, quick and full: {(words_of[True] == words_of['quick']).mean():.3f}; "
              f"full with another seed: {(words_of[True] == again).mean():.3f}")  # fmt: skip


def training_spectrum(rng: Rng) -> tuple[Array, int]:
    """A spectrum of one of many kinds, for the regression of the quick mode."""
    M = int(rng.choice([100, 150, 192, 192, 288, 288, 384, 384, 576, 768], p=[0.11] * 8 + [0.08, 0.04]))
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
    W = matrix(np.maximum(population, 1e-8), round(Q * M), rng)
    return np.linalg.eigvalsh(W.T @ W / len(W)), len(W)


def fit_quick(spectra: int = 1200, seed: int = 4711) -> None:
    """Mean and spread of ln c* for each law, and ln g, by ridge regression on the quick features."""
    rng = np.random.default_rng(seed)
    features, targets = [], []
    for i in range(spectra):
        x, N = training_spectrum(rng)
        null, g = redrawn_curvatures(x, N, n=40, rng=rng)
        if g < 0.12:
            continue  # noise: no tail to speak of, and not a smooth function of the features
        log_c = [np.log(null[law]) for law in LAWS]
        features.append(quick_features(x, N))
        targets.append([f for c in log_c for f in (c.mean(), np.log(c.std()))] + [np.log(g)])
        if i % 100 == 99:
            print(i + 1, flush=True)
            np.savez("/tmp/quickfit.npz", X=np.array(features), Y=np.array(targets))
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
    base = X[:, 1:8]
    low, high = base.min(axis=0), base.max(axis=0)
    low[1] = -1  # 1/sqrt(k) = 0: the figures have a limit for large matrices
    table = {
        "made by": "python -m benchmarks.inference --fit-quick",
        "spectra": len(X),
        "low": low.round(3).tolist(),
        "high": high.round(3).tolist(),
        "coefficients": [[float(f"{v:.5g}") for v in row] for row in ridge(fifth >= 0)],
    }
    (DATA / "spectral_quick.json").write_text(json.dumps(table) + "\n")


def check_quickly() -> None:
    """For CI: a few small spectra; wrong levels or a word said too often raise."""
    N, M, n = 400, 200, 24
    rng = np.random.default_rng(SEED)
    true = [judge(matrix(pareto(M, 2.5, rng), N, rng), False, rng) for _ in range(n)]
    noise = [judge(rng.normal(size=(N, M)), False, rng, quick=True) for _ in range(n)]
    entries = [judge(lognormal_entries(N, M, rng), False, rng, quick=True) for _ in range(n)]
    low = sum(v["p"][0] < 0.1 for v in true if v)
    held = {name: sum(v["word"] == "holds" for v in vs if v) for name, vs in (("noise", noise), ("entries", entries))}
    print(f"{n} power laws: p < 0.1 in {low}; called 'holds': {sum(v['word'] == 'holds' for v in true if v)}")
    print(f"called 'holds' without a power law, of {n} each: {held}")
    if low > 7 or max(held.values()) > 4:  # beyond 99.9 % of binomial counts at 0.1
        raise SystemExit("a level is broken")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="small shapes only, under 60 s")
    parser.add_argument("--minutes", type=float, default=600, help="time for the simulations")
    parser.add_argument("--report", action="store_true", help="tables of what was simulated; writes the shipped rates")
    parser.add_argument("--atlas", action="store_true", help="real layers only")
    parser.add_argument("--fit-quick", action="store_true", help="fit the quick mode's table again")
    args = parser.parse_args()
    if args.fit_quick:
        fit_quick()
    elif args.atlas:
        layers()
    elif args.quick:
        check_quickly()
    elif args.report:
        report(write=True)
    else:
        simulate(args.minutes)
        report(write=False)
        layers()


if __name__ == "__main__":
    main()
