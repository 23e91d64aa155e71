"""A tail and its power law: the search for where it begins, its error bars, its rivals, and values beyond it."""

from .bootstrap import Interval, interval, p_value
from .erg import Erg, count_erg, erg, erg_p
from .farms import WindowedAlpha, windowed_alpha
from .fingers import FingerFit, fix_fingers
from .hill import hill, hill_curve
from .outliers import Outliers, find_outliers
from .power_law import PowerLawFit, fit_power_law, large_spectrum
from .rivals import Rivals, compare
from .spectral import PopulationAlpha, TailTest, population_alpha, tail_test
from .truncated import TruncatedPowerLawFit, fit_truncated_power_law

__all__ = [
    "Erg",
    "FingerFit",
    "Interval",
    "Outliers",
    "PopulationAlpha",
    "PowerLawFit",
    "Rivals",
    "TailTest",
    "TruncatedPowerLawFit",
    "WindowedAlpha",
    "compare",
    "count_erg",
    "erg",
    "erg_p",
    "find_outliers",
    "fit_power_law",
    "fit_truncated_power_law",
    "fix_fingers",
    "hill",
    "hill_curve",
    "interval",
    "large_spectrum",
    "p_value",
    "population_alpha",
    "tail_test",
    "windowed_alpha",
]
