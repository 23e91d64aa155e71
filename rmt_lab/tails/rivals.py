"""Would another law fit the same tail as well? Vuong's test against four rivals, through the powerlaw package.

The one place where powerlaw is used: its 2.0 holds alpha within 0 .. 3 unless told otherwise, its import takes seconds,
and its truncated power law stops at alpha = 1, where ours goes on (:mod:`rmt_lab.tails.truncated`).
"""

from __future__ import annotations

import importlib
import warnings
from dataclasses import dataclass
from types import ModuleType

import numpy as np

from .._repr import html_table
from .search import TailFit
from .truncated import fit_truncated_power_law

RIVALS = ("truncated_power_law", "lognormal", "exponential", "stretched_exponential")


@dataclass(frozen=True, eq=False, repr=False)
class Rivals:
    """Vuong's test of a power law against other laws for the same tail; made by :func:`compare`.

    Attributes
    ----------
    R : dict of str to float
        Normalised log-likelihood ratio, power law to rival: negative where the rival is the likelier. NaN where
        powerlaw finds no fit.
    p : dict of str to float
        Its p-value: the sign of R means nothing where this is large.
    """

    R: dict[str, float]
    p: dict[str, float]

    def best(self, level: float = 0.05) -> str:
        """The rival that beats the power law most clearly, or "" where none does at this level."""
        better = [name for name in self.R if self.R[name] < 0 and self.p[name] < level]
        return min(better, key=lambda name: self.p[name], default="")

    def __repr__(self) -> str:
        inside = ", ".join(f"{name}: R={self.R[name]:.2f} (p={self.p[name]:.2g})" for name in self.R)
        return f"Rivals({inside})"

    def _repr_html_(self) -> str:
        rows = {name.replace("_", " "): f"R = {self.R[name]:.2f}, p = {self.p[name]:.2g}" for name in self.R}
        return html_table("Power law against its rivals: R < 0 favours the rival", rows)


def compare(fit: TailFit) -> Rivals:
    """Compare a power law with its rivals on the tail from its xmin up.

    R = sum_i [ln p(x_i) - ln q(x_i)] / (sqrt(n) s), s the standard deviation of the terms, is standard normal if
    neither law is the nearer (Vuong 1989). The truncated power law contains the power law, so there 2 sum ln(q/p) is
    chi^2 with one degree of freedom (Wilks), R can't be positive, and a small p says that the tail ends. Each rival has
    its parameters fitted by maximum likelihood: the truncated one by ours, the others by powerlaw.

    Below some 50 values hardly any rival can be told from a power law: a large p is no proof of one.

    Raises
    ------
    ImportError
        If powerlaw (version 2) is not installed: ``pip install rmt-lab[rivals]``.

    References
    ----------
    Vuong (1989), Econometrica 57, 307-333. Clauset, Shalizi & Newman (2009), SIAM Review 51, 661, section 5. Alstott,
    Bullmore & Plenz (2014), PLoS ONE 9, e85777 (the package).

    Examples
    --------
    >>> from rmt_lab.tails.power_law import fit_power_law
    >>> x = np.random.default_rng(0).lognormal(size=3000)
    >>> compare(fit_power_law(x, xmin=1)).best() != ""
    True
    """
    powerlaw = _powerlaw()
    tail = fit.x[-fit.n_tail :] / fit.xmin  # scale-free: powerlaw's optimiser is not
    exponent = (fit.alpha - 1) / fit.unbiased(fit.n_tail)  # the likelihood is largest before the bias is taken off
    ours = np.log(exponent) - (1 + exponent) * np.log(tail)
    truncated = fit_truncated_power_law(tail, xmin=1.0, min_tail=min(10, fit.n_tail)) if fit.n_tail >= 3 else None
    R: dict[str, float] = {}
    p: dict[str, float] = {}
    rivals = {}
    if truncated is not None:
        rivals["truncated_power_law"] = truncated.logpdf(tail) if truncated.Lambda else ours
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")  # of rivals that do not fit, which is what the answer says
        theirs = powerlaw.Fit(tail, xmin=1.0, parameter_ranges={"alpha": [1.0 + 1e-9, 1e9]}, verbose=0)
        for name in RIVALS[1:]:
            rivals[name] = np.asarray(getattr(theirs, name).loglikelihoods(tail))
        for name, rival in rivals.items():
            if rival is ours:
                R[name], p[name] = 0.0, 1.0
                continue
            nested = name == "truncated_power_law"
            ratio = powerlaw.loglikelihood_ratio(ours.copy(), rival.copy(), nested=nested, normalized_ratio=True)
            R[name], p[name] = map(float, ratio)
    return Rivals(R, p)


def _powerlaw() -> ModuleType:
    try:
        return importlib.import_module("powerlaw")
    except ImportError as error:
        raise ImportError(
            "comparing with other laws needs the powerlaw package, version 2: pip install rmt-lab[rivals]"
        ) from error
