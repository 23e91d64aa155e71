"""Does a random layer stay random, and a signal get found? False spikes, detection, phases, and the cost of a null.

    python -m benchmarks.nulls            some two minutes
    python -m benchmarks.nulls --quick    some twenty seconds, fewer draws
    python -m benchmarks.nulls --layers   only the real layers under the nulls made of them, and the controls (part 7)
    python -m benchmarks.nulls --copies   only pure noise against the nulls made of it (part 9), some two minutes

Everything is drawn from fixed seeds; one BLAS thread. The phases of real layers and of their shuffled weights come from
the spectra that ship with the package.
"""

from __future__ import annotations

import argparse
import textwrap
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from itertools import cycle

import numpy as np

from rmt_lab import atlas, ensembles
from rmt_lab.bulk import BulkFit, fit_bulk
from rmt_lab.ensembles import NULLS, gaussian_spectrum, initialisations, null_matrix
from rmt_lab.ensembles.spectra import bidiagonal_singular_values
from rmt_lab.laws import TracyWidom, edge_scaling, spike_strength, spike_threshold
from rmt_lab.spectrum import Spectrum
from rmt_lab.tails import fit_power_law
from rmt_lab.trainings.phases import PHASES, UNDECIDED, phase, tail_weight

SHAPES = [(128, 64), (192, 192), (576, 192), (384, 384), (1536, 384), (768, 768), (2304, 768), (3072, 768)]
INITIALISATIONS: list[Callable[..., np.ndarray]] = [
    initialisations.glorot_normal,
    initialisations.glorot_uniform,
    initialisations.he_normal,
    initialisations.he_uniform,
    initialisations.gpt2,
]
ABOVE, BELOW = 1.35, 0.9  # strengths, in units of the detection threshold
FEWEST_LAYER = 20  # eigenvalues that a phase needs
HEADS = ("beyond noise", "heavy", "largest", "kept", "above", "lower", "norm")
KEPT = 0.9  # of the largest eigenvalue: from there on a null is said to keep it


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.nulls", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="fewer draws")
    parser.add_argument("--layers", action="store_true", help="only what is left of the real layers under each null")
    parser.add_argument("--copies", action="store_true", help="only pure noise against the nulls made of it")
    args = parser.parse_args()
    quick = args.quick
    if args.copies:
        copies(draws=50 if quick else 200)
        return
    if args.layers:
        layers_under_nulls()
        controls(draws=3 if quick else 10)
        return
    noise(draws=50 if quick else 300, each=2 if quick else 5)
    detection(draws=100 if quick else 400, large=20 if quick else 100)
    built(draws=4 if quick else 20)
    real_layers()
    shuffled_layers()
    speed(rounds=5 if quick else 15)
    layers_under_nulls()
    controls(draws=3 if quick else 10)
    copies(draws=50 if quick else 200)


def noise(draws: int, each: int) -> None:
    """False spikes and phases of Gaussian matrices, and of every initialisation in both orientations."""
    print(f"1. Pure noise: {draws} Gaussian spectra a shape, {each} matrices of each of 5 initialisations, in per cent")
    print(f"{'':14}{'Gaussian':>22}{'':6}{'initialised':>22}")
    print(f"{'shape':14}{'no spike':>10}{'random-like':>12}{'':6}{'no spike':>10}{'random-like':>12}{'matrices':>10}")
    rng = np.random.default_rng(0)
    total = [[], []]
    for N, M in SHAPES:
        few = draws // 5 if N == M == 768 else draws  # the square route takes longest
        drawn = [gaussian_spectrum(N, M, rng=rng) for _ in range(few)]
        sides = cycle([(N, M), (M, N)])
        fresh = [Spectrum.from_matrix(law(*next(sides), rng=rng)) for law in INITIALISATIONS for _ in range(each)]
        rates = [_rates(drawn), _rates(fresh)]
        print(f"{N} x {M}".ljust(14) + "".join(f"{a:10.1f}{b:12.1f}{'':6}" for a, b in rates)[:-6] + f"{len(fresh):10}")
        for collected, spectra, rate in zip(total, (drawn, fresh), rates, strict=True):
            collected.append((len(spectra), *rate))
    for name, rows in zip(("Gaussian", "initialised"), np.array(total, dtype=float), strict=True):
        n, spikeless, like = rows.T
        spikeless, like = n @ spikeless / n.sum(), n @ like / n.sum()
        print(f"all {n.sum():.0f} {name}: no spike {spikeless:.1f} %, random-like {like:.1f} %")


def _rates(spectra: list[Spectrum]) -> tuple[float, float]:
    phases = [phase(s) for s in spectra]
    spikeless = np.mean([not p.findings["spikes"].holds for p in phases])
    return 100 * float(spikeless), 100 * float(np.mean([p.name == "random-like" for p in phases]))


def detection(draws: int, large: int) -> None:
    """How often one spike is found, beside a test that is told the noise level."""
    print(f"\n2. One spike, found in per cent of {draws} ({large} at 768 x 768); theta in units of the threshold")
    print("   known: the largest eigenvalue tested at the same level with the true sigma")
    print(f"{'':14}{'level 0.01':^32}{'level 0.05':^32}{'level 0.01':>12}")
    head = f"{'0.9':>8}{'known':>8}{'1.35':>8}{'known':>8}"
    print(f"{'shape':14}{head}{head}{'95 % from':>12}")
    rng = np.random.default_rng(1)
    for N, M in SHAPES:
        n = large if N == M == 768 else draws
        spectra = {strength: [spiked_spectrum(N, M, strength, rng) for _ in range(n)] for strength in (BELOW, ABOVE)}
        row = f"{N} x {M}".ljust(14)
        for level in (0.01, 0.05):
            centre, scale = edge_scaling(N, M)
            known = centre + scale * float(TracyWidom(1).ppf(1 - level))
            for drawn in spectra.values():
                row += f"{_found(drawn, level):8.1f}{100 * np.mean([s.eigenvalues[-1] > known for s in drawn]):8.1f}"
        strengths = np.arange(1.2, 1.85, 0.05)
        rates = ((a, _found([spiked_spectrum(N, M, a, rng) for _ in range(n)], 0.01)) for a in strengths)
        enough = next((f"{a:.2f}" for a, rate in rates if rate >= 95), "more")
        print(f"{row}{enough:>12}", flush=True)


def spiked_spectrum(N: int, M: int, strength: float, rng: np.random.Generator) -> Spectrum:
    """The spectrum of N x M unit noise plus theta u v^T, theta = strength (N M)^(1/4), without the matrix.

    Noise has no preferred direction, so u and v may be the first axes. The first reflection of the bidiagonal model
    then meets a column whose squared length is a noncentral chi-square, and leaves the rest as it is without a spike
    (Bloemendal & Virag 2013).
    """
    squares = np.asarray(rng.chisquare(np.arange(N, N - M, -1)))
    squares[0] = rng.noncentral_chisquare(N, (strength * spike_threshold(N, M)) ** 2)
    beside = np.sqrt(rng.chisquare(np.arange(M - 1, 0, -1)))
    return Spectrum(bidiagonal_singular_values(np.sqrt(squares), beside, accurate=False), N, M)


def _found(spectra: list[Spectrum], level: float) -> float:
    return 100 * float(np.mean([fit_bulk(s, level).num_spikes > 0 for s in spectra]))


def built(draws: int) -> None:
    """The phase of matrices that were built for one."""
    print(f"\n3. Matrices built for a phase: the phases found in {draws}, in per cent")
    rng = np.random.default_rng(2)
    for N, M in [(128, 64), (384, 384), (1536, 384)]:
        print(f"{N} x {M}")
        for wanted, what, draw in _recipes(N, M, rng):
            found = Counter(phase(Spectrum.from_matrix(draw())).name for _ in range(draws))
            print(f"  {wanted:14}{what:36}{_shares(found)}")


def _recipes(N: int, M: int, rng: np.random.Generator) -> Iterable[tuple[str, str, Callable[[], np.ndarray]]]:
    edge = spike_threshold(N, M)

    def signal(*strengths: float) -> Callable[[], np.ndarray]:
        return lambda: ensembles.low_rank_plus_noise(N, M, edge * np.array(strengths), rng=rng)

    def ar1(rho: float) -> Callable[[], np.ndarray]:
        return lambda: ensembles.ar1(N, M, rho, rng=rng)

    def pareto(mu: float) -> Callable[[], np.ndarray]:
        return lambda: ensembles.pareto(N, M, mu, rng=rng)

    rank = M // 4
    yield "bleeding-out", "5 signals at 1.1 .. 1.5", signal(*np.linspace(1.1, 1.5, 5))
    yield "bulk+spikes", "1 signal at 2", signal(2.0)
    yield "bulk+spikes", f"{M // 16} signals at 1.6 .. 5", signal(*np.linspace(1.6, 5, M // 16))
    yield "bulk-decay", "rows correlated, rho = 0.3", ar1(0.3)
    yield "bulk-decay", "rows correlated, rho = 0.5", ar1(0.5)
    for mu in (1.0, 1.5, 2.0, 3.0):
        yield "heavy-tailed" if mu < 3 else "in between", f"Pareto entries, mu = {mu:g}", pareto(mu)
    yield "rank-collapse", f"rank {rank}", lambda: rng.normal(size=(N, rank)) @ rng.normal(size=(rank, M))


def _shares(found: Counter[str]) -> str:
    return ", ".join(f"{name} {100 * n / found.total():.0f}" for name, n in found.most_common())


def real_layers() -> None:
    """Phases of trained layers by role."""
    print("\n4. Trained layers, by role")
    columns = [*PHASES, UNDECIDED]
    print(f"{'':28}" + "".join(f"{name:>15}" for name in columns))
    for model in ("minilm", "smollm2"):
        by_role: dict[str, Counter[str]] = defaultdict(Counter)
        for layer in atlas.load(model):
            if len(layer.spectrum.singular_values) >= FEWEST_LAYER:
                by_role[layer.role][phase(layer.spectrum).name] += 1
        for role, found in by_role.items():
            print(f"{model + ' ' + role:28}" + "".join(f"{found[name] or '':>15}" for name in columns))


def shuffled_layers() -> None:
    """Spikes that survive when the entries of a layer are put in random order."""
    print("\n5. The same layers with their entries in random order; in brackets the strength of the signal that the")
    print("   largest eigenvalue implies, in units of the detection threshold: one entry of that size would do")
    for model in ("minilm", "smollm2"):
        layers = [x for x in atlas.load(model) if len(x.shuffled.singular_values) >= FEWEST_LAYER]
        fits = [(x, fit_bulk(x.shuffled)) for x in layers]
        counts = Counter(f.num_spikes for _, f in fits)
        print(
            f"{model}: " + ", ".join(f"{n} layers with {k}" for k, n in sorted(counts.items())) + " spikes. Those are"
        )
        where = [f"{x.name} {f.num_spikes} ({_implied(f):.1f})" for x, f in fits if f.num_spikes]
        print(textwrap.fill(", ".join(where), 118, initial_indent="  ", subsequent_indent="  "))


def _implied(fit: BulkFit) -> float:
    """The signal behind the largest eigenvalue, in units of the detection threshold (N M)^(1/4) sigma."""
    Q, sigma = fit.law.Q, fit.law.sigma
    N, M = 1000 * Q, 1000.0  # only their ratio matters for strengths in units of the threshold
    return float(spike_strength(fit.spikes[-1], N, M, sigma) / spike_threshold(N, M, sigma))  # type: ignore[arg-type]


def layers_under_nulls() -> None:
    """What is left of every real layer when it is randomised: single weights, scales, and what is correlation."""
    print("\n7. Real layers under the nulls made of them, a row for the layers as they are and for each null")
    print(
        "   beyond noise: eigenvalues beyond the threshold of noise of the whole matrix's variance, all layers together"
    )
    print(
        "   heavy: layers with a tail weight above 1; largest: the null's largest eigenvalue over the layer's (median)"
    )
    print(
        f"   kept: layers with that ratio at {KEPT} or more; above: eigenvalues of a layer above its null's largest one"
    )
    print(
        "   (median); lower: layers with fewer than 3 of those, and the Frobenius norm of the null, squared, over the"
    )
    print("   layer's (5 and 95 % points)")
    everything = []
    for model in ("minilm", "smollm2"):
        layers = [x for x in atlas.load(model) if len(x.spectrum.singular_values) >= FEWEST_LAYER]
        measured = [(x.role, _left(x.spectrum, {kind: x.null(kind) for kind in NULLS})) for x in layers]
        for role in dict.fromkeys(role for role, _ in measured):
            _print_left(f"{model} {role}", [left for r, left in measured if r == role])
        _print_left(f"{model}, all", [left for _, left in measured])
        everything += [left for _, left in measured]
    _print_left("both, all", everything)


def controls(draws: int) -> None:
    """The same for matrices whose tail is known to come from scales, from correlation, or from single weights."""
    N, M = 800, 400
    print(f"\n8. The same where the truth is known, {draws} matrices of {N} x {M} each")
    rng = np.random.default_rng(3)

    def blocks() -> np.ndarray:
        W = rng.normal(size=(N, M))
        for i in 4 * rng.permutation(M // 4)[:20]:
            W[i : i + 4, i : i + 4] = 20 * np.outer(rng.choice([-1, 1], 4), rng.choice([-1, 1], 4))
        return W

    def on_few_rows() -> np.ndarray:
        W = rng.normal(size=(N, M))
        for i in 4 * rng.permutation(N // 4)[:20]:
            W[i : i + 4] += 50 * rng.choice([-1, 1], (4, 1)) * ensembles.orthogonal(1, M, rng)
        return W

    def rotated() -> np.ndarray:
        population = (1 - rng.random(M)) ** (-1 / 2.5)  # Pareto, alpha 3.5
        return ensembles.correlated(N, population, rng) @ ensembles.orthogonal(M, M, rng)

    def single() -> np.ndarray:
        W = rng.normal(size=(N, M))
        W[rng.integers(N, size=20), rng.integers(M, size=20)] = 60
        return W

    recipes: dict[str, Callable[[], np.ndarray]] = {
        "Gaussian": lambda: rng.normal(size=(N, M)),
        "uneven columns (lognormal 0.5)": lambda: rng.normal(size=(N, M)) * rng.lognormal(0, 0.5, M),
        "uneven rows and columns": lambda: (
            rng.lognormal(0, 0.5, (N, 1)) * rng.normal(size=(N, M)) * rng.lognormal(0, 0.5, M)
        ),
        "Pareto entries, tail index 2": lambda: ensembles.pareto(N, M, 2.0, rng=rng),
        "20 single entries of 60": single,
        "20 blocks of 4 x 4, rank one": blocks,
        "20 signals on 4 rows each": on_few_rows,
        "AR(1) rows, rho = 0.7": lambda: ensembles.ar1(N, M, 0.7, rng=rng),
        "power-law population (3.5), rotated": rotated,
        "20 spread signals": lambda: ensembles.low_rank_plus_noise(N, M, np.linspace(40, 100, 20), rng=rng),
    }
    for name, draw in recipes.items():
        lefts = []
        for _ in range(draws):
            W = draw()
            nulls = {kind: Spectrum.from_matrix(null_matrix(W, kind, rng)) for kind in NULLS}
            lefts.append(_left(Spectrum.from_matrix(W), nulls))
        _print_left(name, lefts)


def copies(draws: int) -> None:
    """What the comparisons of a report page say of pure noise and the copies made of it."""
    print(f"\n9. Gaussian matrices against the nulls made of them, in per cent of {draws}; ratio: the null's largest")
    print("   eigenvalue over the matrix's (median)")
    print(f"{'':14}{'null':12}{'largest is larger':>20}{'ratio':>8}{'alpha is smaller':>20}")
    rng = np.random.default_rng(4)
    for N, M in [(120, 60), (384, 384), (1536, 384)]:
        found = defaultdict(list)
        for _ in range(draws):
            W = rng.normal(size=(N, M))
            s = Spectrum.from_matrix(W)
            nulls = {kind: Spectrum.from_matrix(null_matrix(W, kind, rng)) for kind in NULLS}
            for kind, null in (nulls | {"gaussian": gaussian_spectrum(N, M, s.entry_std, rng)}).items():
                alpha, null_alpha = (fit_power_law(x.tail_eigenvalues).alpha for x in (s, null))
                found[kind].append((null.eigenvalues[-1] / s.eigenvalues[-1], alpha < null_alpha))
        for kind, rows in found.items():
            ratio, smaller = np.array(rows, dtype=float).T
            line = f"{100 * np.mean(ratio < 1):20.1f}{np.median(ratio):8.3f}{100 * smaller.mean():20.1f}"
            print(f"{N} x {M}".ljust(14) + f"{kind:12}{line}", flush=True)


Left = dict[str, tuple[int, bool, float, int, float]]


def _left(spectrum: Spectrum, nulls: dict[str, Spectrum]) -> Left:
    """Of a spectrum and each null: eigenvalues beyond noise, a heavy tail or not, largest, those above it, norm."""
    left = {}
    for kind, s in {"as it is": spectrum, **nulls}.items():
        largest = s.eigenvalues[-1]
        above = int(np.count_nonzero(spectrum.eigenvalues > largest))
        ratios = largest / spectrum.eigenvalues[-1], s.norm / spectrum.norm
        left[kind] = (fit_bulk(s).num_spikes_first, tail_weight(s) > 1, float(ratios[0]), above, float(ratios[1]))
    return left


def _print_left(name: str, lefts: Sequence[Left]) -> None:
    print(f"{name} ({len(lefts)})".ljust(44) + "".join(f"{head:>14}" for head in HEADS))
    for kind in lefts[0]:
        beyond, heavy, largest, above, norm = map(np.array, zip(*(left[kind] for left in lefts), strict=True))
        row = f"  {kind:42}{beyond.sum():14}{heavy.sum():14}"
        if kind in NULLS:
            row += f"{np.median(largest):14.2f}{np.count_nonzero(largest >= KEPT):14}{np.median(above):14.0f}"
            low, high = np.quantile(norm, [0.05, 0.95])
            row += f"{np.count_nonzero(above < 3):14}{f'{low:.2f} .. {high:.2f}':>14}"
        print(row)


def speed(rounds: int) -> None:
    """A Gaussian spectrum by the bidiagonal model against the matrix itself, side by side."""
    N, M = 3072, 768
    seconds = np.zeros((rounds, 2))
    for i in range(rounds):
        start = time.perf_counter()
        gaussian_spectrum(N, M, rng=i)
        middle = time.perf_counter()
        Spectrum.from_matrix(ensembles.gaussian(N, M, rng=i))
        seconds[i] = middle - start, time.perf_counter() - middle
    ratio, (fast, dense) = np.median(seconds[:, 0] / seconds[:, 1]), np.median(seconds, axis=0)
    print(f"\n6. A {N} x {M} Gaussian spectrum, medians of {rounds} rounds side by side")
    print(f"   {1000 * fast:.0f} ms by the bidiagonal model, {1000 * dense:.0f} ms by the matrix (drawn and solved)")
    print(f"   ratio {ratio:.3f}; at most 0.1 is wanted")


if __name__ == "__main__":
    main()
