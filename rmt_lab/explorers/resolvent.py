"""The spectrum blurred by eta: the trace of the resolvent of a sample beside the root of a quadratic equation."""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

import numpy as np
import numpy.typing as npt

from .._arrays import Array
from ..ensembles.matrices import gaussian
from ..laws.marchenko_pastur import MarchenkoPastur
from ..laws.resolvent import stieltjes
from ..plotting.resolvent import RESOLVENT_SIZE, plot_resolvent
from .base import Model, number, switch
from .view import Explorer

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_MARGIN = 0.12  # of the law's width, on either side of it
_FEWEST = 400  # points of a curve


class Resolvent(NamedTuple):
    """The points z, the Stieltjes transform there, the root, and how the trace changes without a row."""

    z: npt.NDArray[Any]
    m: npt.NDArray[Any]
    root: npt.NDArray[Any]
    change: npt.NDArray[Any]


class ResolventModel(Model):
    """Noise of unit variance with N = Q M rows, and points z = x + i eta over its spectrum."""

    eta = number(0.1, 0.003, 1.0, step=0.1, label="blur η", log=True)
    M = number(200, 20, 300, step=20, label="columns M")
    Q = number(2.0, 1.0, 10.0, step=0.1, label="shape Q = N/M")
    leave = switch(False, "leave one row out")

    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "blurred": {},
        "sharp": {"eta": 0.01},
        "every eigenvalue": {"eta": 0.003, "M": 20},
        "too much": {"eta": 1.0},
        "square": {"Q": 1.0},
        "one row": {"leave": True},
        "one row, M = 20": {"leave": True, "M": 20},
    }
    swept = "eta"
    figsize = RESOLVENT_SIZE

    @property
    def N(self) -> int:
        """Rows of W."""
        return round(self.Q * self.M)

    @property
    def law(self) -> MarchenkoPastur:
        """That of the matrix."""
        return MarchenkoPastur(self.N / self.M)

    def span(self) -> tuple[float, float, int]:
        """Where x begins and ends, and in how many points: less than eta apart, or a peak would fall between two."""
        low, high = self.law.support()
        pad = _MARGIN * (high - low)
        low, high = round(low - pad, 3), round(high + pad, 3)
        return low, high, max(_FEWEST, math.ceil(2.5 * (high - low) / self.eta))

    def compute(self) -> Resolvent:
        """Both curves, and the change of the trace if it is asked for."""
        z = np.linspace(*self.span()) + 1j * self.eta
        eigenvalues, without = _eigenvalues(self.N, self.M, self.seed)
        m = stieltjes(eigenvalues, z)
        change = self.M * (m - stieltjes(without, z)) if self.leave else np.zeros(0)
        return Resolvent(z, m, self.law.stieltjes(z), change)

    def draw(self, fig: Figure) -> Figure:
        """The curves, and the change beside them."""
        z, m, _, change = self.result
        return plot_resolvent(z, m, self.law, change if self.leave else None, fig)

    def sentence(self) -> str:
        """How far the curves are apart, and what one row does."""
        z, m, root, change = self.result
        apart = np.abs(m.imag - root.imag) / np.pi
        spacing = (self.law.upper_edge - self.law.lower_edge) / self.M
        seen = (
            f"{self.N} × {self.M} noise, each eigenvalue blurred by η = {self.eta:.3g}, {self.eta / spacing:.2g} mean "
            f"spacings: the curve and the root of the quadratic equation differ by at most {apart.max():.2g}, at x = "
            f"{z.real[apart.argmax()]:.2f}. "
        )
        if not self.leave:
            return seen + f"The root itself reaches {root.imag.max() / np.pi:.2g}."
        most = np.abs(change).max()
        return seen + (
            f"Without its first row the trace changes by at most {most:.2g}; the bound is 1/η = {1 / self.eta:.3g}. In "
            f"m, the trace over M = {self.M}, the change is at most {most / self.M:.2g}, where |m| reaches "
            f"{np.abs(m).max():.2g}."
        )

    def code(self) -> str:
        """From the matrix to the picture."""
        low, high, points = self.span()
        without = (
            "without = np.linalg.eigvalsh(W[1:].T @ W[1:] / N)\n"
            "change = M * (m - stieltjes(without, z))\n"
            "plot_resolvent(z, m, law, change)\n"
        )
        return (
            "import numpy as np\n"
            "from rmt_lab.ensembles import gaussian\n"
            "from rmt_lab.laws import MarchenkoPastur, stieltjes\n"
            "from rmt_lab.plotting import plot_resolvent\n\n"
            f"N, M, eta = {self.N}, {self.M}, {self.eta!r}\n"
            f"W, law = gaussian(N, M, rng={self.seed}), MarchenkoPastur(N / M)\n"
            f"z = np.linspace({low!r}, {high!r}, {points}) + 1j * eta\n"
            "m = stieltjes(np.linalg.eigvalsh(W.T @ W / N), z)\n"
        ) + (without if self.leave else "plot_resolvent(z, m, law)\n")


@lru_cache(maxsize=2)
def _eigenvalues(N: int, M: int, seed: int) -> tuple[Array, Array]:
    """Of X = W^T W / N, and of X without the first row of W."""
    W = gaussian(N, M, rng=seed)
    gram = W.T @ W
    without = gram - np.outer(W[0], W[0])
    return np.asarray(np.linalg.eigvalsh(gram / N)), np.asarray(np.linalg.eigvalsh(without / N))


class ResolventExplorer(Explorer):
    """The trace of the resolvent is the spectrum, blurred; for a large matrix a quadratic equation gives it.

    At z = x + iη the resolvent (X - z)⁻¹ of X = WᵀW/N has the mean diagonal entry m(z), and Im m(z)/π is the density in
    which each eigenvalue is widened by η. Marchenko and Pastur's law is the root of a quadratic equation for m.

    1. Predict first: how small can η be before the blue curve leaves the red one, for M = 200? What does η then have
       to do with the spacings of the eigenvalues? Check it with M = 20.
    2. Make η smaller at M = 300. The red curve comes close to the dotted law. Does the blue curve do the same?
    3. Leave one row out. The trace is a sum over M eigenvalues. Does the bound of its change depend on M? Compare M =
       20 with M = 300, and say why m hardly changes for a large matrix.

    Examples
    --------
    >>> explorer = ResolventExplorer(eta=0.1, leave=True)
    >>> bool(abs(explorer.model.result.change).max() < 1 / 0.1)
    True
    """

    model_class = ResolventModel
