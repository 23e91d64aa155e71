"""A tail with a few huge values ("fingers"), and the fit without them.

GPT and GPT-2 layers show alphas above 8. Such a spectrum is a truncated power law with one or a few eigenvalues far
out. A finger does not raise alpha by itself: D(xmin) has two nearly equal minima, and the outliers push the choice to
the far one, where a handful of values gives a huge alpha. WeightWatcher 0.7 named the cure ``fix_fingers``.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from numbers import Integral, Real
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt

from .._arrays import Array
from .._repr import html_table
from ..spectrum import Spectrum
from .outliers import find_outliers
from .power_law import PowerLawFit, fit_power_law
from .search import Clipped, Tails

Rule = Literal["clip_xmax", "xmin_peak", "clip_xmax_ww", "outliers"]
#: The names of the rules; errors and help texts are made from here.
RULES: tuple[Rule, ...] = get_args(Rule)
_TOGETHER = 16  # numbers of fingers that are tried at once
_WW_CUT = 1e-5  # WeightWatcher's absolute threshold on the eigenvalues of W^T W


@dataclass(frozen=True, eq=False, repr=False)
class FingerFit:
    """A power-law fit with the fingers taken out; made by :func:`fix_fingers`.

    Attributes
    ----------
    fit : PowerLawFit
        The accepted fit; the raw one where nothing better was found.
    raw : PowerLawFit
        The fit to all values.
    num_fingers : int
        How many of the largest values were dropped (under ``clip_xmax_ww`` one less, as WeightWatcher counts).
    dropped : array
        Those values, ascending.
    rule : str or None
        The rule that was asked for.
    known : dict of int to PowerLawFit
        For numbers k of largest values dropped, the fits to the others that the rule had to make.
    most : int
        Up to which k ``tried`` goes on.
    p_values : array
        Under ``outliers``, for each value dropped the chance that the tail below it has one as far out; else empty.
    reached_limit : bool
        Whether ``max_fingers`` or more were dropped: there may be more of them, or no few fingers but another law.
    """

    fit: PowerLawFit
    raw: PowerLawFit
    num_fingers: int
    dropped: Array
    rule: Rule | None
    known: dict[int, PowerLawFit]
    most: int = 0
    p_values: Array = field(default_factory=lambda: np.empty(0))
    reached_limit: bool = False

    @property
    def alpha(self) -> float:
        """Exponent of the accepted fit."""
        return self.fit.alpha

    @cached_property
    def tried(self) -> dict[int, PowerLawFit]:
        """For every number k of largest values dropped, the fit to the others; ``tried[0]`` is the raw fit.

        A k that leaves nothing to fit is missing.
        """
        fits = dict(self.known)
        for k in range(1, self.most + 1):
            try:
                fits[k] = self.known.get(k) or fit_power_law(self.raw.x[:-k], min_tail=self.raw.min_tail)
            except ValueError:  # too few values are left
                break
        return dict(sorted(fits.items()))

    def __repr__(self) -> str:
        return (
            f"FingerFit({self.rule!r}, num_fingers={self.num_fingers}, "
            f"alpha={self.fit.alpha:.3f}, raw alpha={self.raw.alpha:.3f})"
        )

    def _repr_html_(self) -> str:
        rows = {
            "fingers": f"{self.num_fingers}",
            "alpha, raw -> fixed": f"{self.raw.alpha:.3f} -> {self.fit.alpha:.3f}",
            "D sqrt(n), raw -> fixed": f"{self.raw.scaled_D:.3f} -> {self.fit.scaled_D:.3f}",
            "values in the tail, raw -> fixed": f"{self.raw.n_tail} -> {self.fit.n_tail}",
        }
        return html_table(f"Power law, fingers by {self.rule or 'no rule'}", rows)


def fix_fingers(
    x: Spectrum | npt.ArrayLike,
    rule: Rule | None = "clip_xmax",
    max_fingers: int = 10,
    finger_thresh: float = 1.0,
    min_tail: int = 2,
    N: int | None = None,
    rng: np.random.Generator | int | None = None,
) -> FingerFit:
    """Fit a power law to a tail that a few outliers may have spoilt.

    ``"clip_xmax"`` drops the k largest values, k = 1 .. max_fingers, fits the rest, and keeps the first fit with
    alpha_k + finger_thresh < alpha_0; where none is, the raw fit stands and ``num_fingers`` is 0. ``num_fingers`` is
    exactly the number of values dropped, one value alone is tried too, and a small alpha does not end the search.

    ``"xmin_peak"`` drops nothing, but confines xmin to 0.95 .. 1.5 times the peak of the histogram of log10 x.

    ``"clip_xmax_ww"`` is WeightWatcher 0.7's own loop, for comparing with its tables: k = 2 .. 9 whatever
    ``max_fingers`` says, stop without a result once alpha_k <= 2, and report k - 1 as ``num_fingers``. Of a Spectrum
    it leaves out the eigenvalues of W^T W below 1e-5, as WeightWatcher does; an array has no scale to cut at. (Below 20
    values WeightWatcher 0.7.7 also changes its fit; that is not followed.)

    ``"outliers"`` drops the values that lie too far beyond the power law of the others, by a test that finds any in
    only one of twenty clean tails: :func:`rmt_lab.tails.find_outliers`. ``finger_thresh`` plays no part, and a clump of
    more than ``max_fingers`` is dropped whole. For an array of eigenvalues give N, so that the test knows of them.

    ``None`` changes nothing: the raw fit, and no fingers.

    A smaller alpha is not a better fit. Nor does a larger D sqrt(n_tail) say that it is a worse one: the raw fit has
    the least D of all tails, so that it rises for true power laws, too (``benchmarks/clipping.py``). Whether the
    accepted tail may be a power law is the question of :func:`rmt_lab.verdict.verdict`.

    Parameters
    ----------
    x : Spectrum, or array_like of shape (n,)
        A layer, whose ``tail_eigenvalues`` (of W^T W / N, not zero) are fitted, or positive values of any kind.
    rule : {"clip_xmax", "xmin_peak", "clip_xmax_ww", "outliers"} or None
    max_fingers : int, default 10
        Most values to drop, but for a clump that ``"outliers"`` finds. ``FingerFit.reached_limit`` tells.
    finger_thresh : float, default 1.0
        How far alpha has to fall.
    min_tail : int, default 2
        Passed to :func:`fit_power_law`.
    N : int, optional
        Rows of the matrix, for ``"outliers"``: its threshold is then redrawn, see there.
    rng : Generator, int or None
        For the redraws.

    Returns
    -------
    FingerFit

    Raises
    ------
    ValueError
        If the rule is not known, ``max_fingers`` or ``finger_thresh`` is negative, or x cannot be fitted at all.
    TypeError
        If ``max_fingers`` is no whole number or ``finger_thresh`` no number.

    References
    ----------
    WeightWatcher 0.7, notes on ``fix_fingers``; Clauset, Shalizi & Newman (2009) for the fits.

    Examples
    --------
    A warning: the first rule finds fingers in pure noise, too.

    >>> import numpy as np
    >>> W = np.random.default_rng(0).normal(size=(400, 200))
    >>> fix_fingers(np.linalg.eigvalsh(W.T @ W / 400))
    FingerFit('clip_xmax', num_fingers=1, alpha=3.738, raw alpha=24.483)
    >>> fix_fingers(np.linalg.eigvalsh(W.T @ W / 400), rule="outliers")
    FingerFit('outliers', num_fingers=0, alpha=24.483, raw alpha=24.483)
    """
    check_finger_options(rule, max_fingers, finger_thresh)
    if isinstance(x, Spectrum):
        values = x.tail_eigenvalues
        x = values[values * x.N > _WW_CUT] if rule == "clip_xmax_ww" else values
    raw = fit_power_law(x, min_tail=min_tail)
    x = raw.x
    if rule is None:
        return FingerFit(raw, raw, 0, x[:0], rule, {0: raw})
    if rule == "xmin_peak":
        return FingerFit(_fit_from_peak(x, min_tail), raw, 0, x[:0], rule, {0: raw})
    if rule == "outliers":
        found = find_outliers(x, max_fingers, min_tail=min_tail, N=N, rng=rng)
        fits = {0: raw, **found.fits}
        dropped = x[len(x) - found.k :]
        return FingerFit(fits[found.k], raw, found.k, dropped, rule, fits, 0, found.p_values, found.reached_limit)
    if rule == "clip_xmax":
        k, fit = _first_fall(raw, max_fingers, finger_thresh)
        dropped = x[len(x) - k :]
        return FingerFit(fit, raw, k, dropped, rule, {0: raw, k: fit}, max_fingers, reached_limit=0 < k == max_fingers)
    tried = {0: raw}
    for k in range(2, 10):
        try:
            tried[k] = fit_power_law(x[:-k], min_tail=min_tail)
        except ValueError:  # too few values are left
            break
        if tried[k].alpha <= 2 and tried[k].alpha + finger_thresh >= raw.alpha:
            break
    k = next((k for k, fit in tried.items() if fit.alpha + finger_thresh < raw.alpha), 0)
    return FingerFit(tried[k], raw, max(k - 1, 0), x[len(x) - k :], rule, tried, reached_limit=k == 9)


def _first_fall(raw: PowerLawFit, most: int, thresh: float) -> tuple[int, PowerLawFit]:
    """The first k <= most for which alpha falls by more than thresh without the k largest values; 0 if there is none.

    It cannot fall where all tails with so low an alpha fit worse than some other tail. That is found out faster than
    which tail fits best, since the points where they fit badly are the same for every k.
    """
    tails, n = Tails(raw.x, raw.min_tail), len(raw.x)
    best = n - raw.n_tail
    most = min(most, n - 2)
    for first in range(1, most + 1, _TOGETHER):
        clipped = Clipped(tails, range(first, min(first + _TOGETHER, most + 1)), raw.alpha - thresh - 1)
        clipped.beat(best)
        for k in clipped.better():  # the fit has the last word
            fit = fit_power_law(raw.x[:-k], min_tail=raw.min_tail)
            if fit.alpha + thresh < raw.alpha:
                return k, fit
            best = n - k - fit.n_tail
            clipped.beat(best)
    return 0, raw


def check_finger_options(rule: object, max_fingers: object, finger_thresh: object, name: str = "rule") -> None:
    """What :func:`fix_fingers` asks of its options, whatever the values; ``name`` is what the caller calls the rule.

    Raises
    ------
    ValueError
        If the rule is not known, or a number is negative.
    TypeError
        If ``max_fingers`` is no whole number or ``finger_thresh`` no number.

    Examples
    --------
    >>> check_finger_options("clip_xmax", 10, 1.0)
    """
    if rule is not None and rule not in RULES:
        raise ValueError(f"{name}={rule!r}; allowed are None, {', '.join(map(repr, RULES))}")
    if isinstance(max_fingers, bool) or not isinstance(max_fingers, Integral):
        raise TypeError(f"max_fingers={max_fingers!r}; a whole number is allowed")
    if int(max_fingers) < 0:
        raise ValueError(f"max_fingers={max_fingers}; it cannot be negative")
    if isinstance(finger_thresh, bool) or not isinstance(finger_thresh, Real):
        raise TypeError(f"finger_thresh={finger_thresh!r}; a number is allowed")
    if not 0 <= float(finger_thresh) < np.inf:
        raise ValueError(f"finger_thresh={finger_thresh}; a finite number >= 0 is allowed")


def _fit_from_peak(x: Array, min_tail: int) -> PowerLawFit:
    counts, edges = np.histogram(np.log10(x), bins="fd")
    b = int(counts.argmax())
    peak = 10 ** ((edges[b] + edges[b + 1]) / 2)
    return fit_power_law(x, xmin=(0.95 * peak, 1.5 * peak), min_tail=min_tail)
