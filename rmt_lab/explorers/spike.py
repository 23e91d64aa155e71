"""A signal in noise: where it becomes visible, where its eigenvalue lies, and what is left of its direction."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

import numpy as np
import numpy.typing as npt

from .. import style
from ..backdrop import noise_behind
from ..ensembles import gaussian, orthogonal
from ..marchenko_pastur import MarchenkoPastur
from ..plotting import plot_spectrum
from ..spectrum import Spectrum
from ..spiked import spike_eigenvalue, spike_overlaps, spike_threshold
from .base import Model, number, panels
from .view import Explorer

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Array = npt.NDArray[np.float64]

_SIZE = (10.0, 5.0)  # inches
_STRONGEST = 2.5  # theta over its threshold


class Spike(NamedTuple):
    """The spectrum, the signal's strength, squared overlaps with u and v, and what noise eigenvalues reach."""

    spectrum: Spectrum
    theta: float
    overlaps: tuple[float, float]
    threshold: float


def plot_spike(spectrum: Spectrum, theta: float, overlaps: tuple[float, float], fig: Figure | None = None) -> Figure:
    """A spectrum with the predicted place of its spike, beside the overlaps of W's singular vectors with the signal's.

    Parameters
    ----------
    spectrum : Spectrum
        Of W = noise + theta u v^T, noise of unit variance.
    theta : float
        On the scale of W.
    overlaps : tuple of two floats
        Squared overlaps of the first left singular vector with u, and of the first right one with v.
    fig : Figure, optional

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> from rmt_lab.ensembles import low_rank_plus_noise
    >>> s = Spectrum.from_matrix(low_rank_plus_noise(400, 200, theta=30.0, rng=0))
    >>> [ax.get_title("left") for ax in plot_spike(s, 30.0, (0.6, 0.7), Figure((10, 5))).axes]
    ['1 spike stands above the noise edge', '70% of v, 60% of u']
    """
    if fig is None:
        import matplotlib.pyplot as plt

        fig = plt.figure(figsize=_SIZE)
    N, M = spectrum.N, spectrum.M
    critical = spike_threshold(N, M)
    left, right = panels(fig, 2.1, 1)

    predicted, farthest = (float(x) for x in spike_eigenvalue([theta, _STRONGEST * critical], N, M))
    if theta > critical:
        label = f"predicted {predicted:.3g}"
        left.axvline(predicted, ymax=0.6, color=style.OUTLIER, linestyle="--", linewidth=2, label=label)
    law = MarchenkoPastur(N / M)
    plot_spectrum(spectrum, law, left)
    seen = left.get_title("left")
    left.set_title(seen, loc="left", fontsize=style.TITLE, pad=44)  # in place, whatever rows the legend has
    low, high = law.lower_edge - 0.08 * farthest, 1.08 * farthest  # for any theta, so that the bulk stays in its place
    left.set_xlim(min(low, left.get_xlim()[0]), max(high, left.get_xlim()[1]))

    x = np.linspace(0, max(_STRONGEST, theta / critical), 200)
    for curve, found, marker, line, name in zip(
        spike_overlaps(x * critical, N, M), overlaps, "so", ("--", "-"), "uv", strict=True
    ):
        right.plot(x, curve, line, color=style.OUTLIER, linewidth=2.5)
        right.plot(theta / critical, found, marker, color=style.MEASURED, markeredgecolor="black", markersize=10)
        below = (name == "u") == (overlaps[0] <= overlaps[1])  # so that the names stay apart where the marks do not
        right.annotate(
            name, (theta / critical, found), xytext=(10, -14 if below else 3), textcoords="offset points",
            fontsize=style.LABEL,
        )  # fmt: skip
    right.set(xlim=(0, x[-1]), ylim=(-0.04, 1.04), xticks=[0, 1, 2], yticks=[0, 0.5, 1])
    seen = f"{overlaps[1]:.0%} of v, {overlaps[0]:.0%} of u"
    description = f"Squared overlap of singular vectors against the signal's strength. {seen}."
    style.finish(right, seen, "signal θ / threshold θc", "squared overlap (lines: theory)", description)
    return fig


class SpikeModel(Model):
    """Noise of unit variance and a signal theta u v^T in random directions, N = Q M rows."""

    strength = number(1.5, 0.0, _STRONGEST, step=0.05, label="signal θ / θc")
    M = number(200, 20, 400, step=20, label="columns M")
    Q = number(2.0, 1.0, 10.0, step=0.1, label="shape Q = N/M")

    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "above threshold": {},
        "at threshold": {"strength": 1.0},
        "below threshold": {"strength": 0.8},
        "no signal": {"strength": 0.0},
        "square": {"Q": 1.0},
        "long": {"Q": 10.0},
        "tiny": {"M": 20},
    }
    figsize = _SIZE

    @property
    def N(self) -> int:
        """Rows of W."""
        return round(self.Q * self.M)

    @property
    def theta(self) -> float:
        """Singular value of the signal, on the scale of W."""
        return self.strength * spike_threshold(self.N, self.M)

    def compute(self) -> Spike:
        """W = Z + theta u v^T through its Gram matrix Z'Z + theta (a v' + v a') + theta^2 v v', a = Z'u.

        Z'Z and a are made once for all theta. With w the first eigenvector and s the first singular value, the left
        singular vector is W w / s, and its product with u is (a'w + theta v'w) / s.
        """
        gram, a, v = _noise(self.N, self.M, self.seed)
        mixed = np.outer(a, v)
        squares, vectors = np.linalg.eigh(gram + self.theta * (mixed + mixed.T) + self.theta**2 * np.outer(v, v))
        spectrum = Spectrum(np.sqrt(np.clip(squares, 0, None)), self.N, self.M)
        w = vectors[:, -1]
        left = (a @ w + self.theta * (v @ w)) / spectrum.singular_values[-1]
        threshold = noise_behind(spectrum, MarchenkoPastur(self.N / self.M), False).threshold
        return Spike(spectrum, self.theta, (float(left**2), float((v @ w) ** 2)), threshold)

    def draw(self, fig: Figure) -> Figure:
        """Spectrum with the predicted spike, and overlaps."""
        spectrum, theta, overlaps, _ = self.result
        return plot_spike(spectrum, theta, overlaps, fig)

    def sentence(self) -> str:
        """Whether the signal shows, where, and what is left of its direction; each beside its prediction."""
        spectrum, theta, (left, right), threshold = self.result
        largest, expected = spectrum.eigenvalues[-1], float(spike_eigenvalue(theta, self.N, self.M))
        u, v = (float(x) for x in spike_overlaps(theta, self.N, self.M))
        place = "stands beyond" if largest > threshold else "lies within"
        signal = f"A signal of {self.strength:.3g} times its threshold" if self.strength else "No signal"
        return (
            f"{signal} in {self.N} × {self.M} noise: the largest eigenvalue {largest:.3g} (in theory {expected:.3g}) "
            f"{place} {threshold:.3g}, which noise passes once in 100 matrices. "
            f"The first singular vectors of W have squared overlaps {right:.2f} with v and {left:.2f} with u (in "
            f"theory {v:.2f} and {u:.2f})."
        )

    def code(self) -> str:
        """From noise and signal to the picture."""
        return (
            "import numpy as np\n"
            "from rmt_lab import Spectrum\n"
            "from rmt_lab.ensembles import low_rank_plus_noise, orthogonal\n"
            "from rmt_lab.explorers.spike import plot_spike\n"
            "from rmt_lab.spiked import spike_threshold\n\n"
            f"N, M, rng = {self.N}, {self.M}, np.random.default_rng({self.seed})\n"
            f"theta = {self.strength!r} * spike_threshold(N, M)\n"
            "u, v = orthogonal(N, 1, rng), orthogonal(M, 1, rng)\n"
            "W = low_rank_plus_noise(N, M, theta, u, v, rng=rng)\n"
            "left, s, right = np.linalg.svd(W, full_matrices=False)\n"
            "overlaps = (left[:, 0] @ u[:, 0]) ** 2, (right[0] @ v[:, 0]) ** 2\n"
            "plot_spike(Spectrum(s, N, M), theta, overlaps)\n"
        )


@lru_cache(maxsize=2)
def _noise(N: int, M: int, seed: int) -> tuple[Array, Array, Array]:
    """Z'Z, Z'u and v of noise Z and directions u and v."""
    rng = np.random.default_rng(seed)
    u, v = orthogonal(N, 1, rng)[:, 0], orthogonal(M, 1, rng)[:, 0]
    Z = gaussian(N, M, rng=rng)
    return Z.T @ Z, Z.T @ u, v


class SpikeExplorer(Explorer):
    """A signal hides in noise until it is strong enough; then one eigenvalue leaves the bulk, and its vectors with it.

    1. Predict first: start without a signal and raise θ. At which θ does an eigenvalue detach? Draw new samples there.
    2. Where the eigenvalue just stands out, how much of the signal's direction v is in its vector? How strong must the
       signal be for 80%?
    3. Make the matrix ten times as long as wide. Which of the two directions, u with N entries or v with M, is easier
       to find, and why?

    Examples
    --------
    >>> explorer = SpikeExplorer(strength=0.8)
    >>> explorer.figure().axes[0].get_title("left")
    'No eigenvalue stands above the noise edge'
    """

    model_class = SpikeModel
