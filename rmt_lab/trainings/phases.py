"""The 5+1 phases of training, told apart by rules that can be read, checked and disputed.

Martin & Mahoney (JMLR 22, 2021, section 5) know them by the look of a spectrum. Here a phase is a list of findings, and
a finding is a figure on one side of a bound. All figures are ratios or counts: W and 1000 W are in the same phase. The
findings::

    finding      what must hold                                 where the bound comes from
    zeros        a tenth of the eigenvalues or more are zero    noise has none at all
    exact bulk   D <= (1.4 + 0.42 ln n + 0.01 k) / n            exceeded by 0.2 to 0.7 % of Gaussian noise, any Q,
                 and at most n/8 spikes                         n = 20 .. 2048 (20 000 draws)
    close bulk   exact, or D <= 0.02                            2 % between histogram and law escape the eye
                 and at most n/8 spikes
    spikes       lambda_max > edge + Tracy-Widom allowance      false in 1 % of noise (``level``)
    clear spike  s_max > Gavish & Donoho's hard threshold       from there on the component brings W nearer to the
                                                                signal in it; below, it is more noise than signal
    heavy tail   tail weight > 1                                1 is the exponential distribution
    power law    D sqrt(n_tail) <= 0.89 and alpha <= 6          99 % point of true power laws; steeper is a cut-off

n is the number of eigenvalues in the bulk, k that of the spikes, and D the bulk's Kolmogorov-Smirnov distance from the
Marchenko-Pastur law (:func:`rmt_lab.bulk.fit_bulk`). The eigenvalues of noise repel each other, which is why D falls
like 1/n. Where rf slices of a convolution kernel are pooled, n is that of one slice and the bound rf^-0.4 of its bound
(99 % points, rf = 3 .. 49). The tail weight is explained at :func:`tail_weight`. And the phases::

    random-like    exact bulk, no spikes
    bleeding-out   close bulk, spikes, none of them clear
    bulk+spikes    close bulk, spikes, a clear one
    bulk-decay     no close bulk, spikes, no heavy tail
    heavy-tailed   no exact bulk, a heavy tail, a power law
    rank-collapse  zeros; the other findings would describe what is left, and are not asked for

Two phases at once are a conflict: a noise bulk and a heavy tail, for one, which entries of tail index 2 to 4 have in
theory. None at all happens too: a bulk that is not noise, with nothing beyond it. Both are "undecided".
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from .._repr import html_table
from ..bulk import BulkFit, fit_bulk
from ..laws.spiked import hard_threshold
from ..spectrum import Spectrum, as_spectrum
from ..tails.power_law import PowerLawFit, differ, fit_power_law
from ..tails.search import MISFIT

#: The phases, and which findings must hold (True) or must not (False); this table is the rule.
PHASES: dict[str, dict[str, bool]] = {
    "random-like": {"exact bulk": True, "spikes": False},
    "bleeding-out": {"close bulk": True, "spikes": True, "clear spike": False},
    "bulk+spikes": {"close bulk": True, "spikes": True, "clear spike": True},
    "bulk-decay": {"close bulk": False, "spikes": True, "heavy tail": False},
    "heavy-tailed": {"exact bulk": False, "heavy tail": True, "power law": True},
    "rank-collapse": {"zeros": True},
}
UNDECIDED = "undecided"

_FEWEST = 20  # eigenvalues
_MANY_ZEROS = 0.1  # of all
_MANY_SPIKES = 1 / 8  # of those above zero
_INVISIBLE = 0.02  # D
_PLAUSIBLE = MISFIT["searched"][0.99]
_STEEP = 6.0  # alpha


class Finding(NamedTuple):
    """One piece of evidence: does it hold, and the figures that say so."""

    holds: bool
    text: str


@dataclass(frozen=True, eq=False, repr=False)
class Phase:
    """The phase of a layer and the evidence for it; made by :func:`phase`.

    Attributes
    ----------
    name : str
        One of the keys of ``PHASES``, or "undecided".
    candidates : tuple of str
        The phases whose findings all come out as they must: one, or none or several where it is undecided.
    findings : dict of str to Finding
        Every finding by name: ``holds`` and ``text``.
    bulk, power_law : BulkFit and PowerLawFit, or None
        The fits that the findings rest on; None for rank-collapse.
    """

    name: str
    candidates: tuple[str, ...]
    findings: dict[str, Finding]
    bulk: BulkFit | None
    power_law: PowerLawFit | None

    @property
    def against(self) -> dict[str, tuple[str, ...]]:
        """For each phase, the findings that speak against it; those not asked for are left out."""
        return {
            name: tuple(f for f, must in rule.items() if f in self.findings and self.findings[f].holds != must)
            for name, rule in PHASES.items()
        }

    def __repr__(self) -> str:
        lines = [f"Phase({self._headline()})"]
        lines += [f"  {'yes' if f.holds else 'no':4}{name:13}{f.text}" for name, f in self.findings.items()]
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        rows = {name: f"{f.text}: {'yes' if f.holds else 'no'}" for name, f in self.findings.items()}
        return html_table(f"Phase: {self._headline()}", rows)

    def _headline(self) -> str:
        if self.name != UNDECIDED:
            return self.name
        return f"{UNDECIDED}: " + (" or ".join(self.candidates) or "the findings fit no phase")


def phase(spectrum: Spectrum, level: float = 0.01) -> Phase:
    """Sorts a layer into one of the 5+1 phases of training, with the evidence.

    The rules and their bounds are at the top of this module. Measured by ``python -m benchmarks.nulls``: 98 % of 2160
    Gaussian matrices of layer shapes and all of 200 fresh initialisations are random-like. From 384 x 384 on, matrices
    built for a phase are found in it, but for one in ten with entries of tail index 2, where theory has its border. At
    128 x 64 there is less to see: a third of those with rows of correlation 0.3 pass for bulk and spikes.

    A phase describes one spectrum. It doesn't say how the layer came to be: AR(1) rows of correlation 0.9 have a
    power-law tail without any training, and the largest entries of shuffled weights leave true spikes. A spectrum wider
    than float64 resolves (some matrices with entries of tail index 0.7) counts as rank-collapse.

    Parameters
    ----------
    spectrum : Spectrum
        With at least 20 eigenvalues, 4 for every slice of a convolution kernel.
    level : float, default 0.01
        Probability of a false spike in pure noise, between 0 and 1.

    Raises
    ------
    ValueError
        If the spectrum has fewer eigenvalues, or level is not between 0 and 1.

    References
    ----------
    Martin & Mahoney (2021), JMLR 22(165), section 5; Gavish & Donoho (2014), IEEE Trans. Inf. Theory 60, 5040;
    Clauset, Shalizi & Newman (2009), SIAM Review 51, 661.

    Examples
    --------
    >>> from rmt_lab.ensembles.spectra import gaussian_spectrum
    >>> phase(gaussian_spectrum(768, 384, rng=0)).name
    'random-like'
    >>> from rmt_lab import atlas
    >>> phase(atlas.load("minilm")["block 3 query"].spectrum).name
    'heavy-tailed'
    """
    spectrum = as_spectrum(spectrum)
    total, rank = len(spectrum.singular_values), spectrum.stored_rank
    if not 0 < level < 1:
        raise ValueError(f"level={level!r}; a probability between 0 and 1 is allowed")
    if total < _FEWEST:
        raise ValueError(f"spectrum has {total} eigenvalues; a phase needs at least {_FEWEST}")
    zeros = Finding(total - rank >= _MANY_ZEROS * total, f"{total - rank} of {total} eigenvalues are zero")
    if zeros.holds:
        return Phase("rank-collapse", ("rank-collapse",), {"zeros": zeros}, None, None)
    bulk, tail = fit_bulk(spectrum, level), _power_law(spectrum)
    findings = {"zeros": zeros} | _bulk_findings(spectrum, bulk) | _tail_findings(spectrum, tail)
    fits = tuple(name for name, rule in PHASES.items() if all(findings[f].holds == must for f, must in rule.items()))
    return Phase(fits[0] if len(fits) == 1 else UNDECIDED, fits, findings, bulk, tail)


def tail_weight(spectrum: Spectrum) -> float:
    """How heavy the upper quarter of the eigenvalues is: 1 exponential, below 1 lighter, above 1 heavier.

    The coefficient of variation (standard deviation / mean) of the excesses over the upper quartile, relative to that
    of an exponential sample at its expected places 1/m, 1/m + 1/(m-1), ... The largest eigenvalue is left out on both
    sides: one outlier is no tail. Gaussian noise has about 0.75, a power law with alpha > 3 tends to
    sqrt((alpha - 1)/(alpha - 3)).

    Source: Castillo, Daoudi & Lockhart (2014), Scand. J. Statist. 41, 382.
    Raises ``ValueError`` if fewer than 16 eigenvalues are above zero.

    Examples
    --------
    >>> from rmt_lab.ensembles.spectra import gaussian_spectrum
    >>> round(tail_weight(gaussian_spectrum(800, 400, rng=0)), 2)
    0.74
    """
    x = spectrum.nonzero_eigenvalues
    if len(x) < 16:
        raise ValueError(f"spectrum has {len(x)} eigenvalues above zero; the weight of a tail needs at least 16")
    start = 3 * len(x) // 4
    excess = (x[start:] - x[start - 1])[:-1]
    exponential = np.cumsum(1 / np.arange(len(excess) + 1, 1, -1))
    return _variation(excess) / _variation(exponential)


def _variation(x: npt.NDArray[np.float64]) -> float:
    mean = float(x.mean())
    return float((x / mean).std()) if mean > 0 else 0.0  # all values equal: no tail


def _power_law(spectrum: Spectrum) -> PowerLawFit | None:
    x = spectrum.tail_eigenvalues
    return fit_power_law(x) if differ(x) else None


def _bulk_findings(spectrum: Spectrum, bulk: BulkFit) -> dict[str, Finding]:
    rank, rf, spikes = spectrum.rank, spectrum.rf, bulk.num_spikes
    n, few = rank - spikes, spikes <= _MANY_SPIKES * rank
    exact = ((1.4 + 0.42 * math.log(n / rf)) * rf**0.6 + 0.01 * spikes) / n
    close = max(exact, _INVISIBLE)
    share = f", {spikes} spikes of {rank}" + ("" if few else ": more than an eighth")
    largest = math.sqrt(spectrum.spectral_norm)
    clear = hard_threshold(spectrum.N, spectrum.M, bulk.sigma_mp)
    return {
        "exact bulk": Finding(few and bulk.D <= exact, f"D = {_against(bulk.D, exact)}{share}"),
        "close bulk": Finding(few and bulk.D <= close, f"D = {_against(bulk.D, close)}{share}"),
        "spikes": Finding(spikes > 0, f"{spikes} eigenvalues beyond {bulk.threshold:.3g}"),
        "clear spike": Finding(largest > clear, f"largest singular value {_against(largest, clear)}"),
    }


def _tail_findings(spectrum: Spectrum, tail: PowerLawFit | None) -> dict[str, Finding]:
    weight = tail_weight(spectrum)
    findings = {"heavy tail": Finding(weight > 1, f"tail weight {_against(weight, 1.0)}")}
    if tail is None:
        return findings | {"power law": Finding(False, "all eigenvalues are equal")}
    misfit = tail.scaled_D
    text = f"D sqrt(n_tail) = {_against(misfit, _PLAUSIBLE)}, alpha = {_against(tail.alpha, _STEEP)}"
    return findings | {"power law": Finding(misfit <= _PLAUSIBLE and tail.alpha <= _STEEP, text)}


def _against(value: float, bound: float) -> str:
    """``"0.91 <= 1"`` or ``"1.3 > 1"``."""
    return f"{value:.3g} {'>' if value > bound else '<='} {bound:.3g}"
