"""Does ``fit_bulk`` know noise when it sees it, and say so when there is none? Levels, errors and notes.

    python -m benchmarks.bulk_study           some twenty minutes on one core
    python -m benchmarks.bulk_study --quick   about one minute, fewer draws

Fixed seeds, which were not used for tuning; one BLAS thread. The docstrings of rmt_lab.bulk quote these tables.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator

import numpy as np
import numpy.typing as npt

from rmt_lab import atlas, ensembles
from rmt_lab.bulk import BulkFit, fit_bulk
from rmt_lab.ensembles import gaussian_spectrum
from rmt_lab.laws import spike_threshold
from rmt_lab.spectrum import Spectrum

Array = npt.NDArray[np.float64]
Rng = np.random.Generator
Draw = Callable[[], Spectrum]

SHAPES = ((128, 64), (384, 96), (576, 192), (384, 384), (768, 768), (3072, 768))
SMALL = (*((round(Q * M), M) for M in (10, 16, 25, 50) for Q in (1, 1.5, 4)), (11, 10), (27, 25), (128, 64))
SIDES, RATIOS = (64, 128, 256, 768), (1, 1.5, 2, 4, 8)


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.bulk_study", description=(__doc__ or "").partition("\n")[0]
    )
    parser.add_argument("--quick", action="store_true", help="fewer draws")
    quick = parser.parse_args().quick
    level_table(draws=1000 if quick else 10000)
    sigma_table(draws=50 if quick else 400)
    note_table(draws=10 if quick else 200)
    strengths_table(draws=5 if quick else 40)
    real_layers()


def pooled(N: int, M: int, rf: int, rng: Rng) -> Spectrum:
    """The spectrum of a Gaussian convolution kernel of rf slices."""
    return Spectrum(np.concatenate([gaussian_spectrum(N, M, rng=rng).singular_values for _ in range(rf)]), N, M, rf)


def planted(N: int, M: int, strengths: Array, rng: Rng) -> Spectrum:
    """Gaussian noise plus signals along axes (noise has no preferred direction), in units of the detection threshold.

    Only the first k rows meet the signal. The others are replaced by the triangular factor of a Gaussian matrix, which
    has the same Gram matrix in law (Bartlett 1933): 3072 x 768 takes no longer than 768 x 768.
    """
    k = len(strengths)
    top = rng.normal(size=(k, M))
    top[np.arange(k), np.arange(k)] += spike_threshold(N, M) * strengths
    if N - k < M:
        rest = rng.normal(size=(N - k, M))
    else:
        rest = np.triu(rng.normal(size=(M, M)), 1)
        rest[np.arange(M), np.arange(M)] = np.sqrt(rng.chisquare(np.arange(N - k, N - k - M, -1)))
    return Spectrum(Spectrum.from_matrix(np.r_[top, rest]).singular_values, N, M)


def noises(N: int, M: int, rng: Rng) -> Iterator[tuple[str, Draw]]:
    """What must get no note: noise, and signals of 1.2 to 5 times the detection threshold in noise."""
    yield "Gaussian noise", lambda: gaussian_spectrum(N, M, rng=rng)
    for share in (0.01, 0.1, 0.2, 0.4):
        k = max(1, round(share * M))
        yield f"signals, {share:.0%} of M", lambda k=k: planted(N, M, rng.uniform(1.2, 5, k), rng)  # type: ignore


def impostors(N: int, M: int, rng: Rng) -> Iterator[tuple[str, Draw]]:
    """What must get a note: no Marchenko-Pastur bulk, or one whose noise level cannot be found."""

    def drawn(draw: Callable[[], Array]) -> Draw:
        return lambda: Spectrum.from_matrix(draw())

    yield "column scales 1 .. 3", drawn(lambda: rng.normal(size=(N, M)) * np.linspace(1, 3, M))
    yield "column scales, lognormal 0.5", drawn(lambda: rng.normal(size=(N, M)) * rng.lognormal(0, 0.5, M))
    for rho in (0.3, 0.5, 0.9):
        yield f"AR(1) rows, {rho:g}", drawn(lambda rho=rho: ensembles.ar1(N, M, rho, rng=rng))  # type: ignore[misc]
    yield "signals at 3, half of M", lambda: planted(N, M, np.full(M // 2, 3.0), rng)
    for mu in (1.0, 1.5, 2.0, 3.0):
        yield f"Pareto entries, {mu:g}", drawn(lambda mu=mu: ensembles.pareto(N, M, mu, rng=rng))  # type: ignore[misc]


def others(N: int, M: int, rng: Rng) -> Iterator[tuple[str, Draw]]:
    """Independent entries of other laws, whose limit is the Marchenko-Pastur law: by their excess kurtosis."""
    laws: dict[str, Callable[[], Array]] = {
        "signs (-2)": lambda: ensembles.rademacher(N, M, rng=rng),
        "uniform (-1.2)": lambda: ensembles.uniform(N, M, rng=rng),
        "Laplace (3)": lambda: rng.laplace(size=(N, M)),
        "Student t, 6 (3)": lambda: ensembles.student_t(N, M, 6, rng=rng),
        "Student t, 3 (infinite)": lambda: ensembles.student_t(N, M, 3, rng=rng),
    }
    for name, law in laws.items():
        yield name, lambda law=law: Spectrum.from_matrix(law())  # type: ignore[misc]


def level_table(draws: int) -> None:
    """How often pure noise has a spike above, or a small spike below."""
    print(f"1. False spikes of pure noise, per cent of {draws} spectra (rf slices: a tenth)")
    print(f"{'shape':14}{'level 0.01':>12}{'small':>8}{'level 0.1':>12}{'small':>8}")
    rng = np.random.default_rng(1001)
    for N, M, rf in [(*shape, 1) for shape in SMALL] + [(16, 16, 9), (64, 32, 9), (48, 16, 49)]:
        found = np.zeros(4)
        trials = draws if rf == 1 else draws // 10
        for _ in range(trials):
            spectrum = gaussian_spectrum(N, M, rng=rng) if rf == 1 else pooled(N, M, rf, rng)
            fits = [fit_bulk(spectrum, level) for level in (0.01, 0.1)]
            found += [x > 0 for f in fits for x in (f.num_spikes, f.num_small_spikes)]
        a, b, c, d = 100 * found / trials
        print(f"{f'{N} x {M}' + (f' x {rf}' if rf > 1 else ''):14}{a:12.2f}{b:8.2f}{c:12.1f}{d:8.1f}", flush=True)


def sigma_table(draws: int) -> None:
    """The spread of sigma over draws of noise, over the error that is stated."""
    print(f"\n2. sd of sigma_mp over its stated error, {draws} Gaussian spectra a shape (768: a quarter)")
    print(f"{'M':6}" + "".join(f"{f'Q = {Q:g}':>10}" for Q in RATIOS))
    rng = np.random.default_rng(1002)
    for M in SIDES:
        row = []
        for Q in RATIOS:
            trials = draws if M < 768 else draws // 4
            fits = [fit_bulk(gaussian_spectrum(round(Q * M), M, rng=rng)) for _ in range(trials)]
            row.append(np.std([f.sigma_mp for f in fits]) / np.mean([f.sigma_error for f in fits]))
        print(f"{M:<6}" + "".join(f"{x:10.2f}" for x in row), flush=True)
    fits = [fit_bulk(pooled(64, 32, 9, rng)) for _ in range(draws)]
    ratio = np.std([f.sigma_mp for f in fits]) / np.mean([f.sigma_error for f in fits])
    print(f"64 x 32 kernel of 9 slices: {ratio:.2f}")


def note_table(draws: int) -> None:
    """How often the bulk gets a note."""
    print(f"\n3. A note on the bulk, per cent of {draws} matrices (M = 768: a quarter)")
    print(f"{'':30}" + "".join(f"{f'{N} x {M}':>12}" for N, M in SHAPES))
    for title, family in (("must get none", noises), ("must get one", impostors), ("other entries", others)):
        print(title)
        cells: dict[str, list[float]] = {}
        for N, M in SHAPES:
            trials = draws if M < 768 else -(-draws // 4)
            for name, draw in family(N, M, np.random.default_rng(1003)):
                share = np.mean([has_bulk_note(fit_bulk(draw())) for _ in range(trials)])
                cells.setdefault(name, []).append(100 * float(share))
        for name, shares in cells.items():
            print(f"  {name:28}" + "".join(f"{x:12.1f}" for x in shares), flush=True)


def strengths_table(draws: int) -> None:
    """Signals all of one strength: where they are found, where the fit fails, and whether it says so."""
    print(f"\n4. Signals of one strength, {draws} matrices: found / planted, sigma off in per cent, note in per cent,")
    print("   a false small spike in per cent")
    for N, M in ((128, 64), (576, 192), (384, 384)):
        for share in (0.05, 0.1, 0.2, 0.4):
            rng, k = np.random.default_rng(1004), round(share * M)
            cells = []
            for strength in (1.2, 1.5, 2.0, 3.0, 5.0):
                fits = [fit_bulk(planted(N, M, np.full(k, strength), rng)) for _ in range(draws)]
                found = np.mean([f.num_spikes for f in fits]) / k
                off = 100 * (np.mean([f.sigma_mp for f in fits]) - 1)
                note = 100 * np.mean([has_bulk_note(f) for f in fits])
                small = 100 * np.mean([f.num_small_spikes > 0 for f in fits])
                cells.append(f"{strength:g}: {found:.2f} {off:+6.1f} {note:4.0f} {small:3.0f}")
            print(f"{f'{N} x {M}':10} {share:5.0%}   " + "   ".join(cells), flush=True)


def real_layers() -> None:
    """What trained layers look like, and the same entries shuffled."""
    print("\n5. Trained layers: note on the bulk; median share of spikes against the whole matrix and at the end")
    for model in ("minilm", "smollm2"):
        for kind in ("spectrum", "shuffled"):
            spectra = [getattr(layer, kind) for layer in atlas.load(model) if layer.spectrum.M >= 20]
            fits = [fit_bulk(s) for s in spectra if s.rank >= 20]
            noted = sum(has_bulk_note(f) for f in fits)
            first = np.median([f.num_spikes_first / s.M for s, f in zip(spectra, fits, strict=True)])
            last = np.median([f.num_spikes / s.M for s, f in zip(spectra, fits, strict=True)])
            small = sum(f.num_small_spikes > 0 for f in fits)
            print(f"{model:9}{kind:10}{noted:4} of {len(fits)} noted, {first:6.1%} and {last:6.1%}", end="")
            print(f"; {small} layers with small spikes")


def has_bulk_note(fit: BulkFit) -> bool:
    """Any note but the one on zero eigenvalues."""
    return any("eigenvalues are zero" not in part for part in fit.note.split("; ") if part)


if __name__ == "__main__":
    main()
