"""The picture of taking eigenvalues away: its points are the fits, its words their figures."""

import numpy as np
import pytest
from matplotlib.figure import Figure

from rmt_lab import atlas
from rmt_lab.plotting import alt_text, plot_fingers
from rmt_lab.tails import fix_fingers


@pytest.mark.parametrize("rule", ["clip_xmax", "xmin_peak", "clip_xmax_ww"])
@pytest.mark.parametrize("name", ["block 4 value", "block 3 query"])
def test_points_are_the_fits_that_were_tried(name, rule):
    fit = fix_fingers(atlas.load("minilm")[name].spectrum.nonzero_eigenvalues, rule=rule)
    fig = plot_fingers(fit, fig=Figure(figsize=(8, 7)))
    curves = [ax.lines[0].get_xydata() for ax in fig.axes]
    for curve, value in zip(
        curves, (lambda f: f.alpha, lambda f: f.D * f.n_tail**0.5, lambda f: f.n_tail), strict=True
    ):
        np.testing.assert_allclose(curve, [(k, value(f)) for k, f in fit.tried.items()])
    marked = [ax.lines[2].get_xdata()[0] for ax in fig.axes]
    assert set(marked) == {len(fit.dropped)}


def test_the_words_say_whether_dropping_helped():
    fit = fix_fingers(atlas.load("minilm")["block 4 value"].spectrum.nonzero_eigenvalues)
    fig = plot_fingers(fit, fig=Figure(figsize=(8, 7)))
    assert fit.num_fingers == 1
    assert f"{fit.fit.alpha:.2f} instead of {fit.raw.alpha:.2f}" in alt_text(fig)
    assert "fits worse" in alt_text(fig)
    assert "No fingers" in alt_text(plot_fingers(fix_fingers([1.0, 2.0, 4.0, 9.0, 11.0]), fig=Figure()))
