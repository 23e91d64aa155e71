"""Seconds and errors of the solvers: one core, float32 products, a GPU where there is one, the stochastic route.

    python -m benchmarks.solvers                              768 to 4096, on one core
    python -m benchmarks.solvers --sizes 768 16384 --device cuda
    python -m benchmarks.solvers --stochastic                 also method="top": time ratio and errors
    python -m benchmarks.solvers --layers minilm smollm2      the certificates of all layers, nothing else

Square matrices of Student-t entries with 3 degrees of freedom, in float32. Seconds are processor time on one core, and
clock time where a device is at work. Errors are relative to the singular values by LAPACK's gesdd in float64, up to the
size of --svd: of the largest, median and smallest eigenvalue, and the difference of alpha. --layers takes names of
sample models (downloaded once) and checkpoints.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from dataclasses import fields

import numpy as np

from rmt_lab import Spectrum, fit_power_law, iter_weights
from rmt_lab.spectrum import Certificate
from rmt_lab.spectrum.certificate import worst
from rmt_lab.tails import large_spectrum
from rmt_lab.weights import samples


def main() -> None:
    description, _, epilog = (__doc__ or "").partition("\n")
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.solvers",
        description=description,
        epilog=epilog,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--sizes", type=int, nargs="+", default=[768, 1024, 2048, 4096], metavar="M")
    parser.add_argument("--svd", type=int, default=2048, metavar="M", help="largest size with errors (default 2048)")
    parser.add_argument("--device", help="also on this one, such as cuda")
    parser.add_argument("--stochastic", action="store_true", help='also method="top"')
    parser.add_argument("--layers", nargs="+", metavar="SOURCE", help="certificates of all layers of checkpoints")
    options = parser.parse_args()
    if options.layers:
        for source in options.layers:
            print_layers(source)
        return
    print(f"{'':34}{'seconds':>9}{'times':>8}{'relative error of the eigenvalue':>36}{'alpha':>10}{'sum s^2':>10}")
    print(f"{'':34}{'':>9}{'gram':>8}{'largest':>12}{'median':>12}{'smallest':>12}{'differs':>10}{'off by':>10}")
    for size in options.sizes:
        print_size(size, size <= options.svd, options.device, options.stochastic)


def print_size(size: int, errors: bool, device: str | None, stochastic: bool) -> None:
    """One line per solver."""
    W = np.random.default_rng(size).standard_t(3, size=(size, size)).astype(np.float32)
    solvers: dict[str, tuple[Callable[[], Spectrum], Callable[[], float]]] = {
        "gram, float64": (lambda: Spectrum.from_matrix(W), time.process_time),
        "gram, float32": (lambda: Spectrum.from_matrix(W, "gram32"), time.process_time),
    }
    if errors:
        solvers["svd, float64"] = (lambda: Spectrum.from_matrix(W, "svd"), time.process_time)
    if device:
        Spectrum.from_matrix(W[:100, :100], device=device)  # the first call loads the driver
        solvers[f"gram, float64, {device}"] = (lambda: Spectrum.from_matrix(W, device=device), time.perf_counter)
        solvers[f"gram, float32, {device}"] = (
            lambda: Spectrum.from_matrix(W, "gram32", device=device),
            time.perf_counter,
        )
    if stochastic:
        solvers["top 128"] = (lambda: Spectrum.from_matrix(W, "top"), time.process_time)
        solvers["top, as many as the tail needs"] = (lambda: large_spectrum(W), time.process_time)
    found: dict[str, tuple[Spectrum, float]] = {}
    for name, (solve, clock) in solvers.items():
        start = clock()
        try:
            spectrum = solve()
        except (MemoryError, np.linalg.LinAlgError) as error:
            print(f"{size:6} {name:27}failed: {error}", flush=True)
            continue
        found[name] = (spectrum, clock() - start)
    if not found:
        return
    first, gram_seconds = found.get("gram, float64", next(iter(found.values())))
    exact = found["svd, float64"][0] if errors else first
    alpha = fit_power_law(exact.tail_eigenvalues).alpha
    for name, (s, seconds) in found.items():
        line = f"{size:6} {name:27}{seconds:9.2f}{seconds / gram_seconds:8.2f}"
        for i in (-1, size // 2, 0):
            line += f"{abs(s.eigenvalues[i] / exact.eigenvalues[i] - 1):12.1e}"
        line += f"{abs(fit_power_law(s.tail_eigenvalues).alpha - alpha):10.1e}"
        line += f"{s.certificate.frobenius:10.1e}" if s.certificate else ""
        if s.num_exact:
            k, at = s.num_exact, np.concatenate([s.singular_values, exact.singular_values]) * (1 + 1e-9)
            top10 = np.abs(s.eigenvalues[-10:] / exact.eigenvalues[-10:] - 1).max()
            ranks = [np.searchsorted(x.singular_values, at) for x in (s, exact)]
            distance = np.abs(ranks[0] - ranks[1]).max() / size
            line += f"   {k} exact; top 10 off by {top10:.0e}, distribution by {distance:.4f}"
        print(line, flush=True)


def print_layers(source: str) -> None:
    """The largest figures of the certificates of a checkpoint's layers, absolute and relative to their bounds."""
    certificates: list[Certificate] = []
    for layer in iter_weights(samples.fetch(source) if source in samples.names() else source):
        certificate = Spectrum.from_matrix(layer.matrix, name=layer.name).certificate
        assert certificate is not None
        certificates.append(certificate)
    print(f"{source}: {len(certificates)} layers, all certified; the largest figures: {worst(certificates)}")
    for f in fields(Certificate)[:4]:
        bound = "product_bound" if f.name in ("frobenius", "product") else "solver_bound"
        shares = [getattr(c, f.name) / getattr(c, bound) for c in certificates]
        print(f"{f.name:10} {max(shares):8.4f} of its bound at most", flush=True)


if __name__ == "__main__":
    main()
