"""Draw docs/gallery.png, every ensemble against its law: python scripts/make_gallery.py

One matrix a panel, from fixed seeds. Blue is the sample, red the law that the ensemble's docstring names; no curve is
fitted.
"""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from rmt_lab import ensembles
from rmt_lab.ensembles import initialisations
from rmt_lab.laws import (
    GeneralisedMarchenkoPastur,
    MarchenkoPastur,
    Semicircle,
    ar1_population,
    spike_eigenvalue,
    spike_threshold,
)
from rmt_lab.plotting import GUIDE, MEASURED, NOISE, OUTLIER, style
from rmt_lab.spectrum import Spectrum

FILE = Path(__file__).parents[1] / "docs" / "gallery.png"
N, M = 2400, 800
LABEL, TICKS, TITLE, ROW = 10.5, 9.5, 12.0, 14.0  # points
EIGENVALUE = "eigenvalue of $W^T W / N$"
SINGULAR_VALUE = "singular value of $W$"

Panel = Callable[[Axes], str]  # draws, and returns the title


def main() -> None:
    fig = Figure(figsize=(13, 16), layout="constrained")
    fig.get_layout_engine().set(hspace=0.13, wspace=0.03, rect=(0, 0, 1, 0.975))
    axes = fig.subplots(len(ROWS), 4)
    for row, (heading, panels) in zip(axes, ROWS, strict=True):
        for ax, panel in zip(row, panels, strict=True):
            ax.set_title(panel(ax), loc="left", fontsize=TITLE, linespacing=1.15)
            ax.set_yticks([])
            ax.set_yticks([], minor=True)
            ax.tick_params(labelsize=TICKS)
            ax.spines[["top", "right", "left"]].set_visible(False)
            ax.xaxis.label.set_size(LABEL)
        row[0].set_ylabel("density", fontsize=LABEL)
        title = row[0].annotate(
            heading, (0, 1), (-18, 44), "axes fraction", "offset points", fontsize=ROW, weight="bold"
        )
        title.set_in_layout(False)  # it reaches over the whole row
    legend(fig)
    FILE.parent.mkdir(exist_ok=True)
    titles = "; ".join(" ".join(ax.get_title("left").split()) for ax in fig.axes)
    words = f"Histograms of random matrices' spectra over their laws, {len(fig.axes)} panels. {titles}."
    fig.savefig(FILE, dpi=100, metadata={"Software": None, "Description": words})


def legend(fig: Figure) -> None:
    handles = [
        Patch(facecolor=to_rgba(MEASURED, 0.45), edgecolor=MEASURED, label="one sample"),
        Line2D([], [], color=NOISE, linewidth=2, label="its law"),
        Line2D([], [], color=OUTLIER, linestyle="none", marker="^", markersize=8, label="beyond the bulk"),
    ]
    fig.legend(handles=handles, loc="upper right", ncols=3, fontsize=TITLE, frameon=False, borderaxespad=0.2)


def histogram(ax: Axes, values: np.ndarray, law: Any, xlabel: str, end: float | None = None) -> None:
    """The values up to ``end``, by default a little beyond the law's support, and the law's density."""
    low, high = law.support()
    pad = 0.08 * (high - low)
    end = end or high + pad
    for start, stop in getattr(law, "intervals", [(low, high)]):  # bulks of different width have bins of their own
        stop = end if stop == high else stop
        inside = values[(start - pad < values) & (values < stop + pad * (stop < end))]
        edges = style.bin_edges(inside, min(start, inside.min()), max(min(stop, high), inside.max()))
        style.bars(ax, style.density(inside, edges, len(values)), edges)
    x = np.concatenate(
        [
            a + (b - a) * (1 - np.cos(np.linspace(0.001, np.pi, 400))) / 2
            for a, b in getattr(law, "intervals", [(low, high)])
        ]
    )
    ax.plot(x, law.pdf(x), color=NOISE, linewidth=2)
    ax.set_ylim(0, 1.1 * law.pdf(x).max())
    ax.set_xlim(low - pad, end)
    ax.set_xlabel(xlabel)


def noise(title: str, draw: Callable[[], np.ndarray]) -> Panel:
    """A panel for a matrix whose law is Marchenko and Pastur's."""

    def panel(ax: Axes) -> str:
        s = Spectrum.from_matrix(draw())
        histogram(ax, s.eigenvalues, MarchenkoPastur(s.Q), EIGENVALUE)
        return title

    return panel


def start(title: str, draw: Callable[[], np.ndarray], sigma: float) -> Panel:
    """A panel for an initialisation: singular values on the scale of the weights."""

    def panel(ax: Axes) -> str:
        s = Spectrum.from_matrix(draw())
        histogram(ax, s.singular_values, MarchenkoPastur(s.Q, sigma).singular_values(s.N), SINGULAR_VALUE)
        return title

    return panel


def symmetric(title: str, draw: Callable[[], np.ndarray]) -> Panel:
    def panel(ax: Axes) -> str:
        H = draw()
        histogram(ax, np.linalg.eigvalsh(H) / np.sqrt(len(H)), Semicircle(), r"eigenvalue of $H / \sqrt{n}$")
        return title

    return panel


def correlated(title: str, draw: Callable[[], np.ndarray], population: np.ndarray) -> Panel:
    def panel(ax: Axes) -> str:
        s = Spectrum.from_matrix(draw())
        histogram(ax, s.eigenvalues, GeneralisedMarchenkoPastur(s.Q, population), EIGENVALUE)
        return title

    return panel


def square(ax: Axes) -> str:
    s = Spectrum.from_matrix(ensembles.gaussian(1000, 1000, rng=1), method="svd")
    law = MarchenkoPastur(1).singular_values(1)
    histogram(ax, s.singular_values / math.sqrt(1000), law, r"singular value of $W / \sqrt{N}$")
    return "Gaussian, square: singular\nvalues on a quarter circle"


def orthogonal(ax: Axes) -> str:
    s = Spectrum.from_matrix(ensembles.orthogonal(N, M, rng=2), method="svd").singular_values
    style.bars(ax, np.histogram(s, [0.97, 1.03])[0] / M, np.array([0.97, 1.03]))
    ax.plot([1, 1], [0, 1.08], color=NOISE, linewidth=2)
    ax.set(xlabel=SINGULAR_VALUE, xlim=(0.4, 1.6), ylim=(0, 1.2))
    return "Orthogonal: every singular\nvalue is 1"


def shuffled(ax: Axes) -> str:
    W = ensembles.ar1(N, M, 0.5, rng=3)
    before, after = (Spectrum.from_matrix(A).eigenvalues for A in (W, ensembles.shuffled(W, rng=3)))
    histogram(ax, after, MarchenkoPastur(N / M), EIGENVALUE)
    edges = style.bin_edges(before, 0, before[-1])
    ax.stairs(style.density(before, edges, M), edges, color=GUIDE, linestyle="--", linewidth=1.2, label="before")
    ax.legend(loc="upper right", fontsize=LABEL, frameon=False)
    return "Shuffled: correlated rows\nturn back into noise"


def student(ax: Axes) -> str:
    x, law = Spectrum.from_matrix(ensembles.student_t(N, M, mu=3, rng=4)).eigenvalues, MarchenkoPastur(N / M)
    histogram(ax, x[x < 1.03 * law.upper_edge], law, EIGENVALUE, end=4.5)
    style.outliers(ax, x[(x > 1.03 * law.upper_edge) & (x < 4.5)], size=6)
    style.beyond(ax, f"up to {x[-1]:.0f}", y=0.12, size=LABEL)
    return "Student's t, μ = 3: a noise\nbulk, huge entries beyond"


def pareto(ax: Axes) -> str:
    mu = 1.0
    x = Spectrum.from_matrix(ensembles.pareto(N, M, mu, rng=5)).nonzero_eigenvalues
    ax.step(x, 1 - np.arange(len(x)) / M, where="post", color=MEASURED, linewidth=2)
    line = np.geomspace(np.quantile(x, 0.7), 2 * x[-1])
    ax.plot(line, N * (N * line) ** (-mu / 2), color=NOISE, linewidth=2)
    ax.set(xscale="log", yscale="log", xlabel=f"{EIGENVALUE}, log scales")
    ax.text(0.98, 0.9, "fraction above", transform=ax.transAxes, ha="right", fontsize=LABEL, color=GUIDE)
    return "Pareto, μ = 1: no bulk, the\ntail falls like $x^{-μ/2}$"


def thin(ax: Axes) -> str:
    x = Spectrum.from_matrix(ensembles.sparse(N, M, 4 / N, rng=6)).eigenvalues
    histogram(ax, x, MarchenkoPastur(N / M), EIGENVALUE, end=4.5)
    style.beyond(ax, f"up to {x[-1]:.0f}", y=0.12, size=LABEL)
    return "Four entries a column: too\nfew for the law"


def signal(title: str, strengths: list[float], seed: int) -> Panel:
    def panel(ax: Axes) -> str:
        theta = spike_threshold(N, M) * np.array(strengths)
        s = Spectrum.from_matrix(ensembles.low_rank_plus_noise(N, M, theta, rng=seed))
        law = MarchenkoPastur(N / M)
        histogram(ax, s.eigenvalues[s.eigenvalues < 1.05 * law.upper_edge], law, EIGENVALUE, end=7.2)
        above = theta[theta > spike_threshold(N, M)]
        if len(above):
            places = spike_eigenvalue(above, N, M)
            ax.vlines(places, 0, 0.35 * ax.get_ylim()[1], color=NOISE, linewidth=2)
            style.outliers(ax, s.eigenvalues[-len(above) :], size=8)
        return title

    return panel


POPULATION = np.repeat([1.0, 7.0], M // 2)
ROWS: list[tuple[str, list[Panel]]] = [
    (
        "Independent entries: only their variance matters",
        [
            noise("Gaussian: the law of\nMarchenko and Pastur", lambda: ensembles.gaussian(N, M, rng=11)),
            noise("Uniform: the same law", lambda: ensembles.uniform(N, M, rng=12)),
            noise("Coin flips ±1: the same law", lambda: ensembles.rademacher(N, M, rng=13)),
            noise("Nine tenths zeros: still\nthe same law", lambda: ensembles.sparse(N, M, 0.1, rng=14)),
        ],
    ),
    (
        "Other shapes of matrix, other laws",
        [
            square,
            symmetric("GOE, symmetric: the\nsemicircle", lambda: ensembles.goe(1000, rng=15)),
            symmetric("GUE, complex Hermitian: the\nsame semicircle", lambda: ensembles.gue(1000, rng=16)),
            orthogonal,
        ],
    ),
    (
        "Where networks start, and what shuffling leads back to",
        [
            start(
                "Glorot: uniform noise, scaled\nto both sides",
                lambda: initialisations.glorot_uniform(M, N, rng=17),
                math.sqrt(2 / (N + M)),
            ),
            start(
                "He: Gaussian noise, scaled\nto the inputs",
                lambda: initialisations.he_normal(M, N, rng=18),
                math.sqrt(2 / N),
            ),
            start(
                "GPT-2: Gaussian noise,\nsmaller in deeper networks",
                lambda: initialisations.gpt2(768, 3072, n_layer=12, rng=19),
                0.02 / math.sqrt(24),
            ),
            shuffled,
        ],
    ),
    (
        "Where the law breaks: heavy tails, too few entries",
        [
            noise("Student's t, μ = 6: the law\nholds", lambda: ensembles.student_t(N, M, 6, rng=20)),
            student,
            pareto,
            thin,
        ],
    ),
    (
        "Structure: correlated rows and hidden signals",
        [
            correlated("Two variances: two bulks", lambda: ensembles.correlated(8 * M, POPULATION, rng=21), POPULATION),
            correlated(
                "AR(1) rows, ρ = 0.5: a bulk\nwithout noise's edge",
                lambda: ensembles.ar1(N, M, 0.5, rng=22),
                ar1_population(M, 0.5),
            ),
            signal("Signals above the threshold:\neach where theory says", [1.7, 2.3, 2.9], 23),
            signal("A signal 10 % below it\nleaves no trace", [0.9], 24),
        ],
    ),
]


if __name__ == "__main__":
    main()
