"""One spectrum -> the figures of its row in the table of :func:`rmt_lab.analyze`."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import numpy as np
from scipy.special import rel_entr

from .bulk import BulkFit
from .fingers import FingerFit
from .spectrum import Spectrum

FIT_COLUMNS = [
    *("alpha", "alpha_weighted", "D", "sigma", "xmin", "xmax", "num_pl_spikes", "num_fingers"),
    *("raw_alpha", "D_sqrt_n", "raw_D_sqrt_n", "clipping"),
]
NORM_COLUMNS = [
    *("norm", "log_norm", "spectral_norm", "log_spectral_norm", "log_alpha_norm"),
    *("stable_rank", "matrix_rank", "rank_loss", "entropy", "sv_max", "sv_min"),
]
VERDICT_COLUMNS = ["verdict", "alpha_low", "alpha_high", "p_value", "best_rival", "noise_p"]
BULK_COLUMNS = ["num_spikes", "sigma_mp", "mp_softrank", "bulk_min", "bulk_max", "bulk_D"]


def fit_metrics(f: FingerFit) -> dict[str, Any]:
    fit, raw = f.fit, f.raw
    return {
        "alpha": fit.alpha,
        "D": fit.D,
        "sigma": fit.sigma,
        "xmin": fit.xmin,
        "xmax": fit.xmax,
        "num_pl_spikes": int(np.count_nonzero(raw.x >= fit.xmin)),  # fingers included, as WeightWatcher counts
        "num_fingers": f.num_fingers if f.rule else None,
        "raw_alpha": raw.alpha,
        "D_sqrt_n": fit.scaled_D,
        "raw_D_sqrt_n": raw.scaled_D,
        "clipping": ("better fit" if f.improved else "only smaller") if f.num_fingers else "",
    }


def verdict_metrics(f: FingerFit, s: Spectrum, rng: np.random.Generator) -> dict[str, Any]:
    from .verdict import verdict

    return asdict(verdict(f.fit, s, rng=rng))


def norm_metrics(s: Spectrum, alpha: float) -> dict[str, Any]:
    logs = np.log(s.nonzero_eigenvalues * s.N)
    log_alpha_norm = (alpha * logs[-1] + np.log(np.exp(alpha * (logs - logs[-1])).sum())) / np.log(10)
    return {
        "norm": s.norm,
        "log_norm": np.log10(s.norm),
        "spectral_norm": s.spectral_norm,
        "log_spectral_norm": np.log10(s.spectral_norm),
        "log_alpha_norm": log_alpha_norm,
        "stable_rank": s.stable_rank,
        "matrix_rank": s.rank,
        "rank_loss": len(s.singular_values) - s.rank,
        "entropy": s.entropy,
        "sv_max": s.singular_values[-1],
        "sv_min": s.singular_values[0],
    }


def bulk_metrics(bulk: BulkFit) -> dict[str, Any]:
    figures = (bulk.num_spikes, bulk.sigma_mp, bulk.mp_softrank, bulk.lower_edge, bulk.upper_edge, bulk.D)
    return dict(zip(BULK_COLUMNS, figures, strict=True))


def spectral_distance(a: Spectrum, b: Spectrum) -> float:
    """Jensen-Shannon distance between two spectra, rank by rank and each summing to one, as in WeightWatcher."""
    p, q = (s.eigenvalues / s.eigenvalues.sum() for s in (a, b))
    middle = (p + q) / 2
    return float(np.sqrt((rel_entr(p, middle).sum() + rel_entr(q, middle).sum()) / 2))
