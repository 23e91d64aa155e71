"""A signal in noise: where it becomes visible, where its eigenvalue lies, and what is left of its direction."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

import numpy as np

from .._arrays import Array
from ..ensembles.matrices import gaussian, orthogonal
from ..laws.marchenko_pastur import MarchenkoPastur
from ..laws.spiked import spike_eigenvalue, spike_overlaps, spike_threshold
from ..plotting.spectra import SPIKE_SIZE, noise_behind, plot_spike
from ..spectrum import Spectrum
from .base import Model, number
from .view import Explorer

if TYPE_CHECKING:
    from matplotlib.figure import Figure


_STRONGEST = 2.5  # theta over its threshold


class Spike(NamedTuple):
    """The spectrum, the signal's strength, squared overlaps with u and v, and what noise eigenvalues reach."""

    spectrum: Spectrum
    theta: float
    overlaps: tuple[float, float]
    threshold: float


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
    swept = "strength"
    figsize = SPIKE_SIZE

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
            "from rmt_lab.laws import spike_threshold\n"
            "from rmt_lab.plotting import plot_spike\n\n"
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
