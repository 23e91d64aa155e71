"""How honest are the error bars, p-values and finger rules? Simulations where the truth is known.

    python -m benchmarks.coverage           the tables, some 20 minutes on one core
    python -m benchmarks.coverage --quick   a tenth of the samples, some 2 minutes

Fixed seeds: the same figures every time, but for the timings at the end. The docstrings of rmt_lab quote these tables.
"""

from __future__ import annotations

import argparse
import functools
import time
from collections.abc import Callable, Iterator

import numpy as np
import numpy.typing as npt
from scipy import stats

from rmt_lab.ensembles import gaussian_spectrum
from rmt_lab.laws import MarchenkoPastur
from rmt_lab.tails import fit_power_law, fit_truncated_power_law, fix_fingers
from rmt_lab.tails.bootstrap import log_wishart
from rmt_lab.verdict import noise_p

Array = npt.NDArray[np.float64]
Rng = np.random.Generator

SHAPES = ((768, 768), (3072, 768), (2304, 768), (384, 1536), (576, 192), (128, 64))
BULK = MarchenkoPastur(Q=4)


def pareto(n: int, alpha: float, rng: Rng) -> Array:
    return np.exp(rng.exponential(size=n) / (alpha - 1))


def bulk_and_tail(n: int, alpha: float, rng: Rng, share: float = 1 / 2) -> Array:
    """A Marchenko-Pastur bulk, and a power law from its edge on that holds the given share of the values."""
    k = round(share * n)
    return np.r_[BULK.rvs(n - k, rng), BULK.upper_edge * pareto(k, alpha, rng)]


def third_in_tail(n: int, alpha: float, rng: Rng) -> Array:
    return bulk_and_tail(n, alpha, rng, 1 / 3)


def smooth(n: int, alpha: float, rng: Rng) -> Array:
    """Clauset, Shalizi & Newman's equation 3.10: exp(-alpha (x - 1)) below 1, x^-alpha above, no edge to be seen."""
    body, tail = np.expm1(alpha) / alpha, 1 / (alpha - 1)
    k = rng.binomial(n, tail / (body + tail))
    x = 1 - np.log1p(rng.random(n - k) * np.expm1(alpha)) / alpha
    return np.r_[np.maximum(x, 1e-9), pareto(k, alpha, rng)]


def truncated(n: int, alpha: float, rng: Rng, z: float = 0.02) -> Array:
    """n values of density x^-alpha e^(-z x) above 1, by rejection."""
    x = pareto(20 * n, alpha, rng)
    return x[rng.random(len(x)) < np.exp(-z * (x - 1))][:n]


def coverage(samples: int) -> None:
    print("\nCoverage of 95 % intervals: how often they hold the population's alpha; median width")
    print(f"{'':34}{'asymptotic':>18}{'bootstrap':>18}{'median n_tail':>16}")
    cases: list[tuple[str, Callable[[int, float, Rng], Array], tuple[float, ...]]] = [
        ("pure Pareto", pareto, (2, 3, 4, 6)),
        ("bulk and tail, half of the values", bulk_and_tail, (2, 3, 4, 6)),
        ("hard: a third of the values", third_in_tail, (2, 3, 4, 6)),
        ("hard: no edge", smooth, (2, 3)),
    ]
    for name, draw, alphas in cases:
        for n in (100, 768):
            for alpha in alphas:
                rng = np.random.default_rng([n, int(alpha)])
                hit, width, tails = np.zeros((samples, 2)), np.zeros((samples, 2)), np.zeros(samples)
                for s in range(samples):
                    fit = fit_power_law(draw(n, alpha, rng))
                    tails[s] = fit.n_tail
                    for m, method in enumerate(("asymptotic", "bootstrap")):
                        low, high = fit.interval(method=method, n=300, rng=rng)
                        hit[s, m], width[s, m] = low <= alpha <= high, high - low
                a, b = (f"{100 * hit[:, m].mean():.1f} % ({np.median(width[:, m]):.2f})" for m in (0, 1))
                label = f"{name}, n={n}, alpha={alpha:g}" if alpha == alphas[0] else f"alpha={alpha:g}"
                print(f"{label:>44}{a:>16}{b:>18}{np.median(tails):>10.0f}", flush=True)


def matrices(samples: int) -> None:
    print("\nOnly the matrix redrawn: spread of ln(alpha - 1), and what method='matrix' says from one spectrum (mean)")
    for M, N, tail, alpha in ((200, 400, 40, 3), (200, 1600, 40, 4), (200, 400, 100, 3)):
        rng = np.random.default_rng(M + N + tail)
        population = np.sort(np.r_[np.ones(M - tail), 1.5 * pareto(tail, alpha, rng)])
        spectra = np.exp(log_wishart(np.log(population), N, max(200, samples), rng))
        fits = [fit_power_law(x) for x in spectra]
        for label, given in (("xmin searched", None), ("xmin given", float(np.median([f.xmin for f in fits])))):
            refits = fits if given is None else [fit_power_law(x, xmin=given) for x in spectra]
            true = np.std(np.log([f.alpha - 1 for f in refits]))
            some = refits[:: len(refits) // 20]
            said, iid = (
                np.mean([np.std(np.log(f.interval(method=m, n=100, rng=rng, N=N).alphas - 1)) for f in some])
                for m in ("matrix", "bootstrap")
            )
            print(f"{N} x {M}, {tail} in the tail, {label}: true {true:.3f}, matrix {said:.3f}, bootstrap {iid:.3f}")


def p_values(samples: int) -> None:
    print("\nGoodness of fit: p-values of true power laws (KS test against uniform), and power, p < 0.1")
    for name, draw in (("pure Pareto", pareto), ("bulk and tail", bulk_and_tail)):
        for n in (100, 500):
            rng = np.random.default_rng(n)
            p = [fit_power_law(draw(n, 2.5, rng)).p_value(n=200, rng=rng) for _ in range(samples)]
            test = stats.kstest(p, "uniform")
            low, middle = np.mean(np.array(p) < 0.1), np.mean(np.array(p) < 0.5)
            print(
                f"{name}, n={n}: {100 * low:.1f} % below 0.1, {100 * middle:.1f} % below 0.5; "
                f"KS distance {test.statistic:.3f} (p = {test.pvalue:.2f})",
                flush=True,
            )
    others: dict[str, Callable[[int, Rng], Array]] = {
        "lognormal, sigma 1": lambda n, rng: rng.lognormal(size=n),
        "x^-2 e^(-x/10)": lambda n, rng: truncated(n, 2, rng, 0.1),
        "exponential": lambda n, rng: rng.exponential(size=n),
    }
    for name, other in others.items():
        row = []
        for n in (100, 500, 2000):
            rng = np.random.default_rng(n)
            for given in (False, True):
                p = []
                for _ in range(max(20, samples // 5)):
                    x = other(n, rng)
                    p.append(fit_power_law(x, xmin=np.median(x) if given else None).p_value(n=200, rng=rng))
                row.append(f"{100 * np.mean(np.array(p) < 0.1):.0f} %")
        print(
            f"power, {name}, xmin searched (at the median): n=100 {row[0]} ({row[1]}), "
            f"n=500 {row[2]} ({row[3]}), n=2000 {row[4]} ({row[5]})"
        )


def fingers(samples: int) -> None:
    print("\nFingers and verdicts where there is nothing to find")
    print(f"{'':28}{'outliers':>10}{'clip_xmax':>11}{'verdict noise':>15}{'alpha, 5 .. 95 %':>20}")

    def row(label: str, spectra: Iterator[Array], noise: Callable[[Array], float] | None) -> None:
        found = {"outliers": [], "clip_xmax": []}  # type: ignore[var-annotated]
        p, alpha = [], []
        for x in spectra:
            for rule in found:
                found[rule].append(fix_fingers(x, rule).num_fingers > 0)
            fit = fit_power_law(x)
            alpha.append(fit.alpha)
            p.append(noise(x) if noise else np.nan)
        verdict = f"{100 * np.mean(np.array(p) > 0.01):.1f} %" if noise else ""
        a, b = (f"{100 * np.mean(v):.1f} %" for v in found.values())
        print(
            f"{label:28}{a:>10}{b:>11}{verdict:>15}{'{:.1f} .. {:.1f}'.format(*np.quantile(alpha, [0.05, 0.95])):>20}",
            flush=True,
        )

    for N, M in SHAPES:
        rng = np.random.default_rng([N, M])
        shape = gaussian_spectrum(N, M, rng=rng)
        spectra = (gaussian_spectrum(N, M, rng=rng).eigenvalues for _ in range(min(200, samples)))
        row(f"Gaussian {N} x {M}", spectra, lambda x, s=shape: noise_p(fit_power_law(x), s))  # type: ignore[misc]
    for n in (100, 768):
        rng = np.random.default_rng(n)
        row(f"Pareto, alpha = 3, n = {n}", (np.sort(pareto(n, 3, rng)) for _ in range(samples)), None)


def planted(samples: int) -> None:
    print("\nPlanted fingers: x^-a e^(-z x), x > 1, and 3 fingers at 4, 6 and 9 times its largest value")
    print("Median alpha, and how often the 95 % interval holds a: bootstrap; for the truncated law alpha -+ 1.96 sigma")
    mild, strong = ((2.5, 0.02), (3, 0.05)), ((1.5, 0.1), (2, 0.5))
    for n, a, z in [(300, *m) for m in mild] + [(1000, *m) for m in mild + strong]:
        rng = np.random.default_rng([n, int(10 * a)])
        rows: dict[str, list[tuple[float, bool]]] = {}
        right = []
        for _ in range(max(20, samples // 5)):
            x = truncated(n, a, rng, z)
            x = np.sort(np.r_[x, x.max() * np.array([4.0, 6, 9])])
            by_outliers = fix_fingers(x, "outliers")
            right.append(by_outliers.num_fingers == 3)
            fits = {"raw": by_outliers.raw, "clip_xmax": fix_fingers(x).fit, "outliers": by_outliers.fit}
            for name, fit in fits.items():
                low, high = fit.interval(n=200, rng=rng)
                rows.setdefault(name, []).append((fit.alpha, low <= a <= high))
            for name, xmin in (("outliers, then truncated", None), ("the same, xmin given", 1.0)):
                tpl = fit_truncated_power_law(by_outliers.fit.x, xmin)
                rows.setdefault(name, []).append((tpl.alpha, abs(tpl.alpha - a) < 1.96 * tpl.sigma))
        figures = (
            f"{name} {np.median([v for v, _ in r]):.2f} ({100 * np.mean([hit for _, hit in r]):.0f} %)"
            for name, r in rows.items()
        )
        print(f"n={n}, a={a}, z={z}: {', '.join(figures)}; exactly 3 found {100 * np.mean(right):.0f} %", flush=True)


def cost() -> None:
    rng = np.random.default_rng(0)

    def seconds(work: Callable[[], object], times: int) -> float:
        start = time.process_time()
        for _ in range(times):
            work()
        return (time.process_time() - start) / times

    print("\nCost, in single fits of the same 768 values (processor time, best of 5 rounds)")
    for name, x in (("pure Pareto", pareto(768, 3, rng)), ("bulk and tail", bulk_and_tail(768, 3, rng))):
        fit = fit_power_law(x)
        works = {
            "1000 resamples": lambda f=fit: f.interval(n=1000, rng=0),  # type: ignore[misc]
            "p-value of 1000": lambda f=fit: f.p_value(n=1000, rng=0),  # type: ignore[misc]
            "fit_truncated_power_law": lambda x=x: fit_truncated_power_law(x),  # type: ignore[misc]
        }
        single = min(seconds(lambda x=x: fit_power_law(x), 100) for _ in range(5))  # type: ignore[misc]
        ratios = {k: min(seconds(w, 1) for _ in range(5)) / single for k, w in works.items()}
        print(f"{name}: one fit {1e3 * single:.2f} ms; " + ", ".join(f"{k} {v:.0f}" for k, v in ratios.items()))

    print("\nOne fit, milliseconds against n (processor time, best of 3 rounds), and the growth exponent from 1000 on")
    sizes = (100, 300, 1000, 3000, 10000, 50000)
    kinds: dict[str, Callable[[int], Array]] = {
        "heavy-tailed": lambda n: pareto(n, 2.5, rng),
        "noise-like": lambda n: BULK.rvs(n, rng),
        "planted fingers": lambda n: np.r_[BULK.rvs(n - 3, rng), 20.0, 30.0, 50.0],
    }
    for kind, make in kinds.items():
        t = []
        for n in sizes:
            x = make(n)
            fit = functools.partial(fit_power_law, x)
            t.append(min(seconds(fit, max(3, 20000 // n)) for _ in range(3)))
        slope = np.polyfit(np.log(sizes[2:]), np.log(t[2:]), 1)[0]
        print(
            f"{kind:16}"
            + "".join(f"{n:>7}: {1e3 * s:6.2f}" for n, s in zip(sizes, t, strict=True))
            + f"   exponent {slope:.2f}"
        )


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.coverage", description=(__doc__ or "").partition("\n")[0]
    )
    parser.add_argument("--quick", action="store_true", help="a tenth of the samples")
    samples = 100 if parser.parse_args().quick else 1000
    cost()
    coverage(samples)
    p_values(samples // 2)
    fingers(samples // 2)
    planted(samples // 2)
    matrices(samples // 2)


if __name__ == "__main__":
    main()
