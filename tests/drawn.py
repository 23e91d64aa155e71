"""Spectra to draw, and reading a picture back: for the tests of the pictures."""

import numpy as np

from rmt_lab.ensembles import gaussian_spectrum
from rmt_lab.plotting import style
from rmt_lab.spectrum import Spectrum
from rmt_lab.tails import fix_fingers


def planted(strengths, N=600, M=300, seed=0, name="planted"):
    """Unit noise and spikes of the given singular values in random directions."""
    rng = np.random.default_rng(seed)
    u, v = (np.linalg.qr(rng.normal(size=(n, len(strengths))))[0] for n in (N, M))
    return Spectrum.from_matrix(rng.normal(size=(N, M)) + u * strengths @ v.T, name=name)


def fingered(seed=1):
    """A truncated power law and one value far out, whose raw fit is spoilt."""
    x = gaussian_spectrum(400, 200, rng=seed).eigenvalues
    return x, fix_fingers(x)


def only(artists):
    (artist,) = artists
    return artist


def by_color(ax, color):
    return [line for line in ax.lines if line.get_color() == color]


def guides(ax):
    return sorted(line.get_xdata()[0] for line in by_color(ax, style.GUIDE) if len(set(line.get_xdata())) == 1)


def words(ax):
    return [ax.get_title("left"), *(t.get_text() for t in ax.texts), *(t.get_text() for t in legend_texts(ax))]


def legend_texts(ax):
    return ax.get_legend().get_texts() if ax.get_legend() else []


def area(patch):
    heights, edges, _ = patch.get_data()
    return float(heights @ np.diff(edges))
