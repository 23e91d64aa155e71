"""The ERG tail: counts against products in long doubles, noise against an integral, power laws against a formula."""

import re
from pathlib import Path

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.stats import kendalltau

from benchmarks.erg import (
    against_power_laws,
    as_close,
    drawn_alone,
    ending_alpha,
    noise_share,
    pareto_share,
    power_law,
    runs_of,
    tail_alone,
    weightwatcher_count,
)
from rmt_lab import Spectrum, analyze, atlas, fit_power_law, gaussian_spectrum
from rmt_lab.tails import count_erg, erg, erg_p
from rmt_lab.tails.erg import FEWEST, MOST


def spectra(n, rng):
    """Positive values of many kinds, as many kinds of size: noise, power laws, lognormal bodies, a huge value, ties."""
    for i in range(n):
        M = int(rng.integers(2, 400))
        kind = i % 5
        if kind == 0:
            x = gaussian_spectrum(M + int(rng.integers(0, 3 * M)), M, rng=rng).eigenvalues
            x = x[x > 1e-12 * x[-1]]
        elif kind == 1:
            x = (1 - rng.random(M)) ** (-1 / rng.uniform(0.3, 5))
        elif kind == 2:
            x = rng.lognormal(0, rng.uniform(0.1, 3), M)
        elif kind == 3:
            x = np.r_[rng.random(M) + 0.5, 10.0 ** rng.uniform(1, 6)]
        else:
            x = np.repeat(rng.random(M) + 0.01, 3)
        yield x * 10.0 ** rng.uniform(-8, 8)


def by_long_doubles(x):
    """The definition itself, in a type with room for products down to 1e-4951."""
    x = np.sort(x.astype(np.longdouble))[::-1]
    x = x / x.mean()
    product = np.longdouble(1)
    for k, value in enumerate(x, 1):
        product *= value
        if product < 1:
            return k
    return len(x)


@pytest.mark.skipif(np.finfo(np.longdouble).maxexp < 16000, reason="long doubles have no more room than doubles here")
def test_counts_are_those_of_the_definition_on_500_spectra():
    different = [x for x in spectra(500, np.random.default_rng(0)) if count_erg(x) != by_long_doubles(x)]
    assert not different


def test_counts_are_weightwatchers_on_every_layer():
    for name in ("minilm", "smollm2"):
        for layer in atlas.load(name):
            x = layer.spectrum.nonzero_eigenvalues
            if len(x) >= 10:
                assert count_erg(x) == weightwatcher_count(x), layer.longname


@pytest.mark.slow
def test_a_product_of_floats_is_lost_in_large_matrices_and_a_sum_of_logarithms_is_not():
    x = gaussian_spectrum(8000, 4000, rng=0).eigenvalues
    n = round(noise_share(2) * 4000)
    assert abs(count_erg(x) - n) < 5
    assert count_erg(x[::4]) == weightwatcher_count(x[::4])  # as far as floats reach
    y = gaussian_spectrum(4000, 4000, rng=0).eigenvalues
    assert abs(count_erg(y) - noise_share(1) * 4000) < 5
    assert abs(weightwatcher_count(y) - count_erg(y)) > 20


@pytest.mark.parametrize(("Q", "percent"), [(1, 73), (2, 82), (4, 87), (8, 91)])
def test_noise_has_the_share_of_the_integral(Q, percent):
    assert noise_share(Q) * 100 == pytest.approx(percent, abs=0.6)
    counts = [count_erg(gaussian_spectrum(400 * Q, 400, rng=i).eigenvalues) for i in range(4)]
    assert np.mean(counts) / 400 == pytest.approx(noise_share(Q), abs=0.004)  # it counts one beyond the crossing


@pytest.mark.parametrize("alpha", [2.5, 3, 4, 6])
def test_a_power_law_has_the_share_of_the_closed_form(alpha):
    x = (1 - (np.arange(200_000) + 0.5) / 200_000) ** (-1 / (alpha - 1))
    assert count_erg(x) / len(x) == pytest.approx(pareto_share(alpha), abs=0.02 if alpha < 3 else 0.003)


def test_equal_values_never_fall_below_one():
    assert count_erg([3.0] * 7) == 7
    assert count_erg(np.full(1000, 0.1)) == 1000
    assert count_erg([5]) == 1


def test_the_unit_plays_no_part_nor_the_order():
    rng = np.random.default_rng(1)
    x = rng.lognormal(0, 1, 300)
    counts = {count_erg(rng.permutation(x) * unit) for unit in (1, 1e-150, 1e150, 3e307 / x.max())}
    assert counts == {count_erg(x)}


def test_columns_of_zeros_change_nothing():
    W = np.random.default_rng(2).normal(size=(200, 100))
    plain, padded = (Spectrum.from_matrix(A) for A in (W, np.hstack([W, np.zeros((200, 50))])))
    assert (erg(plain).num_erg, erg(plain).gap) == (erg(padded).num_erg, erg(padded).gap)
    assert erg(padded).num_evals == 100
    assert erg(padded).p_value == erg(plain).p_value


@pytest.mark.parametrize(
    ("x", "what"), [([], "no value"), ([1, 0], "not positive"), ([[1.0]], "shape"), ([1, np.nan], "not positive")]
)
def test_what_is_no_spectrum_is_refused(x, what):
    with pytest.raises(ValueError, match=what):
        count_erg(x)


def test_two_tails():
    s = atlas.load("minilm")["block 3 query"].spectrum
    fit = fit_power_law(s.nonzero_eigenvalues)
    e = erg(s)
    x = s.nonzero_eigenvalues
    assert e.num_pl_spikes == fit.n_tail == np.count_nonzero(x >= e.lambda_pl)
    assert e.num_erg == np.count_nonzero(x >= e.lambda_erg)
    assert (e.gap, e.gap_share) == (fit.n_tail - e.num_erg, abs(fit.n_tail - e.num_erg) / 384)
    longer = erg(s, fit_power_law(x, xmin=float(x[20])))
    assert longer.num_pl_spikes == 364
    assert longer.gap > 0
    assert "gap=" in repr(e)
    assert "ERG tail" in e._repr_html_()


def test_a_fit_to_other_values_is_refused():
    s = gaussian_spectrum(200, 100, rng=0)
    x = s.nonzero_eigenvalues
    same_top = np.r_[np.geomspace(1e-3, x[-1] / 1.01, 50), x[-1]]
    moved = np.r_[x[0] / 2, x[1:]]
    for other in (s.eigenvalues * s.N, same_top, moved, x[1:], np.r_[x, 2 * x[-1]]):
        with pytest.raises(ValueError, match="xmax="):
            erg(s, fit_power_law(other))
    assert erg(s, fit_power_law(x, xmax=x[-3])).num_evals == 100
    with pytest.raises(TypeError, match="Spectrum"):
        erg(np.eye(3))
    W = np.random.default_rng(0).normal(size=(300, 200))
    with pytest.raises(ValueError, match="10 exact"):
        erg(Spectrum.from_matrix(W, method="top", top=10))


@pytest.mark.slow
def test_the_p_value_has_its_level_on_large_noise():
    """At the largest matrices that have an answer."""
    for N in (MOST, 4 * MOST):
        rng = np.random.default_rng([4, N])
        p = np.array([erg(gaussian_spectrum(N, MOST, rng=rng)).p_value for _ in range(200)])
        assert np.count_nonzero(p <= 0.05) <= 20  # 10 expected; 21 or more have a probability of 0.001


@pytest.mark.parametrize(("N", "M", "n"), [(40, 40, 600), (200, 150, 400), (1600, 100, 400)])
def test_the_p_value_has_its_level_on_noise(N, M, n):
    """At shapes that the table has not seen; 4 standard errors of n draws."""
    rng = np.random.default_rng([3, N, M])
    p = np.array([erg(gaussian_spectrum(N, M, rng=rng)).p_value for _ in range(n)])
    for level in (0.05, 0.2, 0.5):
        assert abs(np.mean(p <= level) - level) < 4 * np.sqrt(level * (1 - level) / n) + 0.01, level


def test_the_p_value_falls_with_the_gap_and_sees_a_long_power_law():
    s = gaussian_spectrum(1536, 576, rng=0)
    p = [erg_p(gap, s) for gap in range(0, 560, 20)]
    assert np.all(np.diff(p) >= 0)
    assert p[0] < 0.003
    assert p[-1] > 0.9
    assert erg_p(-300, s) == erg_p(300, s)
    x = np.sort((1 - np.random.default_rng(0).random(576)) ** -0.5)
    assert erg(Spectrum(np.sqrt(1536 * x), 1536, 576)).p_value < 0.003


def test_where_the_table_has_no_answer():
    assert np.isnan(erg_p(3, gaussian_spectrum(30, FEWEST - 1, rng=0)))
    s = np.arange(1.0, MOST + 2)
    assert np.isnan(erg_p(3, Spectrum(s, 3 * MOST, MOST + 1)))
    assert erg_p(3, Spectrum(s[1:], 3 * MOST, MOST)) < 0.003
    page = (Path(__file__).parents[2] / "docs" / "erg.md").read_text(encoding="utf-8")
    assert f"{FEWEST} to {MOST} eigenvalues" in page
    kernel = Spectrum.from_matrix(np.random.default_rng(0).normal(size=(40, 30, 3)))
    assert np.isnan(erg(kernel).p_value)


def test_the_columns_of_the_table():
    rng = np.random.default_rng(0)
    state = {f"layers.{i}.query.weight": rng.standard_t(3, size=(120, 60)) for i in range(3)}
    state["bad.weight"] = np.eye(60)
    details = analyze(state, erg=True)
    for (name, W), (_, row) in zip(state.items(), details.iterrows(), strict=True):
        if name.startswith("bad"):
            assert row["status"] != "success"
            assert row[["num_erg", "erg_gap_share", "erg_p"]].isna().all()
            continue
        e = erg(Spectrum.from_matrix(W))
        assert (row["num_erg"], row["erg_gap"], row["erg_gap_share"]) == (e.num_erg, e.gap, e.gap_share)
        assert row["erg_p"] == e.p_value
        assert row["erg_gap"] == row["num_pl_spikes"] - row["num_erg"]
    assert not {"num_erg", "erg_p"} & set(analyze(state).columns)


def test_fixed_fingers_move_the_gap_and_not_the_p_value():
    fixed = analyze("minilm", fix_fingers="clip_xmax", erg=True, layers=["value"])
    raw = analyze("minilm", erg=True, layers=["value"])
    assert (fixed["num_fingers"] > 0).any()
    assert (fixed["erg_gap"] == fixed["num_pl_spikes"] - fixed["num_erg"]).all()
    assert (fixed["erg_gap"] != raw["erg_gap"]).any()
    assert (fixed["erg_p"] == raw["erg_p"]).all()
    assert (fixed["num_erg"] == raw["num_erg"]).all()


def test_options():
    with pytest.raises(TypeError, match="erg='yes'; allowed are True and False"):
        analyze("minilm", erg="yes")
    with pytest.raises(ValueError, match="erg=True needs all eigenvalues"):
        analyze("minilm", erg=True, method="top")
    details = analyze("minilm", erg=True, layers=["pooler"])
    assert details.attrs["options"]["erg"] is True
    assert analyze("minilm", **details.attrs["options"]).equals(details)


def test_the_figures_of_smollm2():
    """Median gap share by alpha, and the layers within 5 %."""
    details = analyze("smollm2", erg=True)
    gap, alpha = details["erg_gap_share"], details["alpha"]
    bands = [(1.8, 2.2), (2.2, 3), (3, 4), (4, 6), (6, np.inf)]
    medians = [round(gap[(alpha > low) & (alpha <= high)].median(), 2) for low, high in bands]
    assert medians == [0.20, 0.43, 0.55, 0.66, 0.74]
    assert ((gap < 0.05).sum(), len(gap)) == (2, 211)


def test_the_page_has_the_figures_that_its_prose_quotes():
    page = (Path(__file__).parents[2] / "docs" / "erg.md").read_text(encoding="utf-8")
    for Q in (1, 2, 4, 8):
        assert f"\n| {Q} | {noise_share(Q):.1%} |" in page
        assert f"{noise_share(Q) * 100:.1f}" in page.split("## What was found")[1]
    prose = " ".join(page.split("## What was found")[1].split())
    (near_2,) = [line.split(" | ") for line in page.splitlines() if line.startswith("| 1.8 to 2.2 | 4 | 0.20 | 0.11")]
    _, _, gap, alone, closer, _, ending, closer_than_ending, *_ = near_2
    assert f"In the four layers it is {gap}. With a power law without end it would be {alone}, and none of" in prose
    assert f"where the layer ends it is {ending}, and all four are closer" in prose
    assert (closer, closer_than_ending) == ("0", "4")
    layers = [line for line in page.splitlines() if line.startswith("| block ")]
    shares = [line.strip("| ").split(" | ")[11] for line in layers]
    assert len(shares) == 4
    assert f"a share of {shares[0]}, {shares[1]} and {shares[2]} is as close; in the fourth {shares[3]}" in prose
    rows = {(500, 2.0): "0.18", (1000, 3.0): "0.31"}  # of a tail alone on top of noise
    for (n, alpha), value in rows.items():
        assert f"{abs(n - tail_alone(4000, 1000, n, alpha)) / 1000:.2f}" == value
        assert re.search(rf"^\| {alpha:g} \|.*\| {value} \|", page, re.MULTILINE)


def test_near_two_the_end_of_the_tail_decides():
    """Of the four layers none is closer than a power law without end, and all are closer than one with their end."""
    found = []
    for layer in atlas.load("smollm2"):
        fit = fit_power_law(layer.spectrum.nonzero_eigenvalues)
        if 1.8 < fit.alpha <= 2.2:
            found.append(against_power_laws(layer.spectrum, fit))
    assert len(found) == 4
    assert all(x["alone"] < x["gap"] < x["cut"] for x in found)
    assert all(7 * x["top"] < x["top_alone"] for x in found)
    assert all(abs(x["own_tail"] - x["gap"]) < 0.04 for x in found)
    assert all(abs(x["refit"] - x["gap"]) < 0.03 for x in found)


@pytest.mark.parametrize("alpha", [0.5, 1.5, 3])
def test_a_power_law_with_an_end(alpha):
    """Its quantiles against the integral of the density, and the exponent found again."""
    x = power_law((np.arange(20_000) + 0.5) / 20_000, alpha, top=20)
    share = quad(lambda t: t**-alpha, 1, 5)[0] / quad(lambda t: t**-alpha, 1, 20)[0]
    assert np.mean(x <= 5) == pytest.approx(share, abs=1e-4)
    assert ending_alpha(x) == pytest.approx(alpha, abs=0.01)
    assert (x[0], x[-1]) == pytest.approx((1, 20), rel=0.01)
    assert power_law(np.array([0.5]), 3.0) == pytest.approx(2**0.5)


def test_random_draws_lie_around_the_quantiles():
    counts = drawn_alone(1536, 576, 200, 2.0, top=25, draws=300)
    low, high = np.quantile(counts, [0.05, 0.95])
    quantiles = tail_alone(1536, 576, 200, 2.0, top=25)
    assert low <= quantiles <= high
    assert as_close(np.array([1, 4, 9]), n=5, count=6) == 0.5  # itself and the 4
    assert tail_alone(1536, 576, 200, 2.0) < low  # without an end the mean is larger, and the ERG tail shorter


def test_the_page_quotes_its_collections_and_their_signs_are_kendalls():
    page = (Path(__file__).parents[2] / "docs" / "erg.md").read_text(encoding="utf-8")
    gaps = [line.replace("*", "").strip("| ").split(" | ") for line in page.splitlines() if line.startswith("| gap |")]
    prose = " ".join(page.split("- **Collections.**")[1].split("## What this does not show")[0].split())
    for _, overall, _, only_data, given_alpha in gaps:
        assert [cell for cell in (overall, only_data, given_alpha) if cell not in prose] == []
    runs = runs_of("text")
    whole = kendalltau(runs["erg_gap_share"], runs["test_loss"]).statistic
    assert f"{whole:.2f} (" in gaps[1][1]
    found = []
    for _, group in runs.groupby(["steps", "batch", "rate"]):  # all pairs with unlike amounts of data
        i, j = np.triu_indices(len(group), 1)
        apart = group["data"].to_numpy()[i] != group["data"].to_numpy()[j]
        x, y = (np.sign(v[i] - v[j])[apart] for v in group[["erg_gap_share", "test_loss"]].to_numpy().T)
        found.append((x @ y) / np.sqrt((x @ x) * (y @ y)))
    assert f"{np.mean(found):.2f} (" in gaps[1][3]
