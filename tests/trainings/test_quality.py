"""Rank correlations over runs: against loops and other libraries, and where the truth is known."""

from itertools import combinations, product

import numpy as np
import pandas as pd
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st

from rmt_lab.trainings import quality
from rmt_lab.trainings.quality import Coefficient, partial_rank, rank_measures, rank_runs, seed_spread

FACTORS = ["width", "rate", "kind"]
NONE = {"bootstraps": 0, "permutations": 0}


def grid(seed=0, levels=(3, 2, 2), seeds=3, digits=1):
    """A full grid; values are rounded, so that some are tied."""
    rng = np.random.default_rng(seed)
    rows = list(product(range(levels[0]), [0.1, 0.01][: levels[1]], ["mlp", "cnn"][: levels[2]], range(seeds)))
    table = pd.DataFrame(rows, columns=[*FACTORS, "seed"])
    table["alpha"] = (table["width"] + rng.normal(size=len(table))).round(digits)
    table["error"] = (0.5 * table["alpha"] - table["width"] + rng.normal(size=len(table))).round(digits)
    return table


def stars(rng, bases=12, levels=(4, 3, 3, 2), seeds=3):
    """Random bases, and all settings that differ from one of them in one factor."""
    names = [f"f{k}" for k in range(len(levels))]
    settings = set()
    for base in rng.integers(0, levels, size=(bases, len(levels))):
        for f, n in enumerate(levels):
            settings |= {(*base[:f], level, *base[f + 1 :]) for level in range(n)}
    rows = [(*map(int, s), seed) for s in sorted(settings) for seed in range(seeds)]
    return pd.DataFrame(rows, columns=[*names, "seed"]), names


def tau_by_loops(pairs, x, y):
    top = sum(np.sign(x[i] - x[j]) * np.sign(y[i] - y[j]) for i, j in pairs)
    below = sum(x[i] != x[j] for i, j in pairs) * sum(y[i] != y[j] for i, j in pairs)
    return top / np.sqrt(below) if below else np.nan


def psi_by_loops(table, factor, factors, x, y):
    """Groups by pandas; pairs in which the level differs."""
    taus = []
    for _, group in table.groupby([f for f in [*factors, "seed"] if f not in (factor, "seed")]):
        pairs = [(i, j) for i, j in combinations(group.index, 2) if table[factor][i] != table[factor][j]]
        taus.append(tau_by_loops(pairs, x, y))
    return np.nanmean(taus), np.isfinite(taus).sum()


@pytest.mark.parametrize("digits", [0, 1, 8])
def test_every_coefficient_is_that_of_loops(digits):
    table = grid(digits=digits)
    x, y = table["alpha"].to_numpy(), table["error"].to_numpy()
    found = rank_runs(table, "alpha", "error", FACTORS, noise=0, **NONE)
    assert found.overall.value == pytest.approx(scipy.stats.kendalltau(x, y).statistic)
    for factor in FACTORS:
        psi, groups = psi_by_loops(table, factor, FACTORS, x, y)
        assert (found.within[factor].value, found.groups[factor]) == (pytest.approx(psi), groups)
    assert found.granulated.value == pytest.approx(np.mean([c.value for c in found.within.values()]))
    taus = [tau_by_loops(list(combinations(g.index, 2)), x, y) for _, g in table.groupby(FACTORS)]
    assert found.seeds.value == pytest.approx(np.nanmean(taus))
    name = min(FACTORS, key=lambda f: found.within[f].value)
    assert found.worst == (name, found.within[name])
    assert (found.runs, found.left_out, found.stars) == (36, 0, 12)


def test_with_one_run_per_setting_it_is_the_formula_of_the_paper():
    """Jiang et al. 2020, equation of psi: mean over groups of the sum of signs over all ordered pairs, n (n - 1)."""
    table = grid(seeds=1, digits=8)
    found = rank_runs(table, "alpha", "error", FACTORS, **NONE)
    for factor in FACTORS:
        psi = []
        for _, g in table.groupby([f for f in FACTORS if f != factor]):
            n, (x, y) = len(g), g[["alpha", "error"]].to_numpy().T
            psi.append(np.sum(np.sign(np.subtract.outer(x, x)) * np.sign(np.subtract.outer(y, y))) / (n * (n - 1)))
        assert found.within[factor].value == pytest.approx(np.mean(psi))
    assert found.seeds.value != found.seeds.value  # nothing differs in the seed alone


@pytest.mark.parametrize("noise", [0, 0.3, "noise", None])
def test_the_sign_error_is_that_of_loops(noise):
    table = grid(seed=3).assign(error=lambda t: t["width"] + (t["kind"] == "mlp") + 3 * t["rate"] + t["error"] / 9)
    table["noise"] = np.random.default_rng(0).uniform(0, 0.6, size=len(table))
    error = {None: np.sqrt(table.groupby(FACTORS)["error"].var().mean()), "noise": table["noise"]}.get(noise, noise)
    error = np.broadcast_to(error, len(table))
    wrong, left_out = {}, 0
    for i, j in combinations(table.index, 2):
        (a, b), apart = (table.loc[k] for k in (i, j)), [f for f in FACTORS if table[f][i] != table[f][j]]
        if len(apart) == 1:
            if abs(a["error"] - b["error"]) <= 1.96 * np.hypot(error[i], error[j]):
                left_out += 1
                continue
            agree = np.sign(a["alpha"] - b["alpha"]) * np.sign(a["error"] - b["error"])
            wrong.setdefault((apart[0], frozenset([a[apart[0]], b[apart[0]]])), []).append((1 - agree) / 2)
    means = {key: np.mean(values) for key, values in wrong.items() if len(values) >= quality.FEWEST_PAIRS}
    found = rank_runs(table, "alpha", "error", FACTORS, noise=noise, **NONE).sign_error
    assert means
    assert found.mean.value == pytest.approx(np.mean(list(means.values())))
    assert found.worst.value == pytest.approx(max(means.values()))
    assert means[found.factor, frozenset(found.levels)] == pytest.approx(found.worst.value)
    assert (found.environments, found.left_out) == (len(means), left_out)


def test_an_overall_draw_is_tau_of_the_stars_drawn():
    """A pair counts as often as its stars were drawn; a pair within a star as often as that one was."""
    rng = np.random.default_rng(0)
    star, x, y = np.repeat([0, 1, 2, 3], [3, 2, 4, 2]), rng.integers(0, 5, 11), rng.integers(0, 5, 11)
    weights = np.array([[2, 0, 1, 1], [1, 1, 1, 1]], dtype=float)
    value, draws = quality._overall(x, y, star, weights)
    assert value == pytest.approx(scipy.stats.kendalltau(x, y).statistic)
    for w, draw in zip(weights, draws, strict=True):
        sums = np.zeros(3)
        for i, j in combinations(range(11), 2):
            u, v = star[i], star[j]
            weight = w[u] if u == v else w[u] * w[v] * 4 / 3
            dx, dy = np.sign(x[i] - x[j]), np.sign(y[i] - y[j])
            sums += weight * np.array([dx * dy, dx * dx, dy * dy])
        assert draw == pytest.approx(sums[0] / np.sqrt(sums[1] * sums[2]))


def test_the_null_of_tau_is_tau_of_shuffled_runs():
    rng = np.random.default_rng(0)
    star, x, y = np.repeat(np.arange(5), 6), rng.integers(0, 8, 30) * 1.0, rng.integers(0, 8, 30) * 1.0
    setting = np.repeat(np.arange(10), 3)
    null = quality._overall_null(x, y, star, setting, 5, np.random.default_rng(1))
    again = np.random.default_rng(1)
    for value in null:
        shuffled = quality._shuffled(star, setting, again)
        assert sorted(shuffled) == list(range(30))
        assert all(len(set(star[shuffled[star == s]])) == 1 for s in range(5))  # stars as wholes
        assert all(len(set(setting[shuffled[setting == s]])) == 1 for s in range(10))  # settings as wholes
        assert value == pytest.approx(scipy.stats.kendalltau(x[shuffled], y).statistic)


def test_stars_are_found():
    table, names = stars(np.random.default_rng(0), bases=6, levels=(7, 7, 6, 6, 5))
    design = quality._design(table, names, "seed")
    codes = table[names].to_numpy()[design.rows]
    assert len(np.unique(design.star)) == 6
    for star in range(6):
        here = codes[design.star == star]
        base = [np.bincount(column).argmax() for column in here.T]
        assert np.all(np.sum(here != base, axis=1) <= 1)
    assert len(np.unique(quality._design(grid(), FACTORS, "seed").star)) == 12  # in a full grid every setting is one


def test_groups_that_share_a_setting_depend_on_each_other():
    """The two standard errors of a mean over factors, by a loop over pairs of groups."""
    rng = np.random.default_rng(2)
    table, names = stars(rng)
    design = quality._design(table, names, "seed")
    here = {g: set(design.setting[design.i[design.group == g]]) for g in np.unique(design.group)}
    here = {g: s | set(design.setting[design.j[design.group == g]]) for g, s in here.items()}
    groups = np.array([g for g in here if design.group_factor[g] < len(names)])
    things, kind = rng.normal(size=len(groups)), design.group_factor[groups]
    means = quality._means(things, kind, groups, 5, design, np.ones((1, 99)), np.ones((1, 99)))
    number = np.bincount(kind)
    d = np.array([(x - things[kind == f].mean()) / number[f] / 4 for x, f in zip(things, kind, strict=True)])
    shared = star = 0.0
    for g, a in zip(groups, d, strict=True):
        for h, b in zip(groups, d, strict=True):
            shared += a * b * bool(here[g] & here[h])
            star += a * b * (design.group_star[g] == design.group_star[h])
    assert shared > star  # so that this example shows something
    assert means._stretch(np.arange(4), design) == pytest.approx(np.sqrt(shared / star))


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10**6), power=st.sampled_from([1, 3]), shift=st.floats(-5, 5))
def test_only_the_order_of_the_measure_counts(seed, power, shift):
    table = grid(seed)
    found = rank_runs(table, "alpha", "error", FACTORS, bootstraps=50, permutations=50, rng=0)
    bent = table.assign(alpha=np.exp(table["alpha"] ** power / 10) + shift)
    shuffled = table.sample(frac=1, random_state=seed)
    for other in (bent, shuffled):
        pd.testing.assert_frame_equal(
            rank_runs(other, "alpha", "error", FACTORS, bootstraps=50, permutations=50, rng=0).to_frame(),
            found.to_frame(),
        )


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_the_direction_changes_every_sign(seed):
    table = grid(seed)
    up = rank_runs(table, "alpha", "error", FACTORS, bootstraps=50, permutations=50, rng=0)
    down = rank_runs(table, "alpha", "error", FACTORS, direction=-1, bootstraps=50, permutations=50, rng=0)
    for a, b in [(up.overall, down.overall), (up.granulated, down.granulated), (up.seeds, down.seeds)]:
        assert (a.value, a.low, a.high, a.p) == pytest.approx((-b.value, -b.high, -b.low, b.p), nan_ok=True)
    a, b = up.sign_error.mean, down.sign_error.mean
    assert (a.value, a.low, a.high) == pytest.approx((1 - b.value, 1 - b.high, 1 - b.low), nan_ok=True)
    assert up.worst[1].value == pytest.approx(-max(c.value for c in down.within.values()))


@pytest.mark.parametrize("sign", [-1, 1])
def test_simpsons_paradox(sign):
    """Data moves measure and error far and together; width and rate, at equal data, move them apart (sign -1)."""
    rng = np.random.default_rng(1)
    rows = list(product(range(10), range(3), range(3), range(2)))
    runs = pd.DataFrame(rows, columns=["data", "width", "rate", "seed"])
    step = runs["width"] + runs["rate"] + 0.1 * rng.normal(size=len(runs))
    runs["alpha"], runs["error"] = 10 * runs["data"] + step, 10 * runs["data"] + sign * step
    found = rank_runs(runs, "alpha", "error", ["data", "width", "rate"], rng=0)
    assert found.overall.value > 0.8
    assert [found.within[f].value for f in ("data", "width", "rate")] == pytest.approx([1, sign, sign])
    assert found.granulated.value == pytest.approx((1 + 2 * sign) / 3)
    assert found.signs_differ == (sign < 0)
    assert ("Simpson" in found.words()) == (sign < 0)


def test_a_factor_that_breaks_the_measure_is_the_worst():
    rng = np.random.default_rng(0)
    table, names = stars(rng)
    table["error"] = table[names].sum(axis=1) + 0.5 * rng.normal(size=len(table))
    table["alpha"] = table[names].sum(axis=1) - 2 * table["f2"] + 0.5 * rng.normal(size=len(table))
    found = rank_runs(table, "alpha", "error", names, rng=0)
    name, worst = found.worst
    assert name == "f2"
    assert worst.high < 0
    assert worst.p < 0.01
    assert all(found.within[other].low > 0 for other in names if other != "f2")
    assert found.sign_error.factor == "f2"
    assert found.sign_error.worst.low > 0.5


@pytest.mark.parametrize("by", ["seeds", "settings"])
def test_p_is_small_as_often_as_it_says(by):
    """Settings have values of their own, and measure and outcome nothing in common: p <= 0.1 in 10 % of tables."""
    small = {"overall": [], "within": [], "granulated": [], "sign error": [], "seeds": []}
    for t in range(250):
        rng = np.random.default_rng([t, by == "seeds"])
        table, names = stars(rng)
        setting = table.groupby(names).ngroup()
        for name in ("alpha", "error"):
            own = rng.normal(size=setting.max() + 1)[setting] if by == "settings" else 0
            table[name] = own + 0.3 * rng.normal(size=len(table))
        found = rank_runs(table, "alpha", "error", names, noise=0, bootstraps=0, permutations=99, rng=t)
        small["overall"].append(found.overall.p <= 0.1)
        small["within"] += [c.p <= 0.1 for c in found.within.values()]
        small["granulated"].append(found.granulated.p <= 0.1)
        small["sign error"].append(found.sign_error.mean.p <= 0.1)
        small["seeds"].append(found.seeds.p <= 0.1)
    for name, hits in small.items():  # 3 standard errors
        n = len(hits) if name != "within" else len(hits) / 2  # factors of one table share runs
        assert abs(np.mean(hits) - 0.1) < 3 * np.sqrt(0.09 / n), name


def test_shuffling_single_runs_would_find_what_is_not_there():
    """The control of the test above: without stars and settings, p of the overall tau is too small, far too often."""
    small = []
    for t in range(60):
        rng = np.random.default_rng(t)
        table, names = stars(rng)
        setting = table.groupby(names).ngroup()
        x, y = (rng.normal(size=setting.max() + 1)[setting] + 0.3 * rng.normal(size=len(table)) for _ in range(2))
        one = np.arange(len(x))
        null = quality._overall_null(x, y, one, one, 99, rng)
        small.append(np.mean(np.abs(null) >= abs(scipy.stats.kendalltau(x, y).statistic)) <= 0.1)
    assert np.mean(small) > 0.2


def test_intervals_hold_the_truth_about_as_often_as_they_say():
    """tau of two normal variables with correlation r is 2/pi arcsin r (Kendall 1948), where seeds alone make runs."""
    r, held = 0.5, {"overall": [], "seeds": []}
    for t in range(100):
        rng = np.random.default_rng(t)
        table, names = stars(rng, levels=(3, 3, 2))
        table["alpha"] = rng.normal(size=len(table))
        table["error"] = r * table["alpha"] + np.sqrt(1 - r * r) * rng.normal(size=len(table))
        found = rank_runs(table, "alpha", "error", names, bootstraps=200, permutations=0, rng=t)
        for name in held:
            c = getattr(found, name)
            held[name].append(c.low <= 2 / np.pi * np.arcsin(r) <= c.high)
    for name, inside in held.items():
        assert 0.87 <= np.mean(inside), name


def partial_by_regression(values):
    ranks = scipy.stats.rankdata(values, axis=0)
    Z = np.column_stack([np.ones(len(ranks)), ranks[:, 2:]])
    x, y = (ranks[:, k] - Z @ np.linalg.lstsq(Z, ranks[:, k])[0] for k in (0, 1))
    return np.corrcoef(x, y)[0, 1]


@pytest.mark.parametrize("digits", [0, 8])
def test_partial_rank_is_that_of_a_regression(digits):
    rng = np.random.default_rng(0)
    values = (rng.normal(size=(60, 4)) @ rng.normal(size=(4, 4))).round(digits)
    table = pd.DataFrame(values, columns=list("xyab"))
    found = partial_rank(table, "x", "y", ["a", "b"], **NONE)
    assert found.value == pytest.approx(partial_by_regression(values))
    # each resample is that of a table in which runs stand as often as they were drawn
    weights = rng.multinomial(60, np.full(60, 1 / 60), size=3).astype(float)
    for w, draw in zip(weights, quality._partial(values, weights), strict=True):
        assert draw == pytest.approx(partial_by_regression(np.repeat(values, w.astype(int), axis=0)))


def test_partial_rank_given_a_constant_is_spearmans():
    table = grid().assign(one=1.0)
    found = partial_rank(table, "alpha", "error", ["one"], rng=0)
    assert found.value == pytest.approx(scipy.stats.spearmanr(table["alpha"], table["error"]).statistic)
    assert partial_rank(table, "alpha", "error", ["one"], direction=-1, **NONE).value == pytest.approx(-found.value)


def test_partial_rank_finds_what_a_measure_adds():
    rng = np.random.default_rng(0)
    size, own = rng.normal(size=(2, 400))
    table = pd.DataFrame({"size": size, "echo": size + 0.5 * rng.normal(size=400), "adds": size + own})
    table["error"] = size + own + 0.5 * rng.normal(size=400)
    assert partial_rank(table, "adds", "error", ["size"], rng=0).low > 0.5
    assert partial_rank(table, "echo", "error", ["size"], rng=0).holds_zero
    p = [
        partial_rank(
            table.assign(echo=size + 0.5 * np.random.default_rng(t).normal(size=400)),
            *("echo", "error", ["size"]),
            bootstraps=0,
            permutations=99,
            rng=t,
        ).p
        for t in range(100)
    ]
    assert abs(np.mean(np.array(p) <= 0.1) - 0.1) < 3 * np.sqrt(0.09 / 100)


def test_partial_rank_moves_stars_as_wholes():
    rng = np.random.default_rng(0)
    table, names = stars(rng)
    star = quality._design(table, names, "seed")
    effect = rng.normal(size=(2, star.star.max() + 1))
    for name, e in zip(("x", "y"), effect, strict=True):
        table.loc[star.rows, name] = e[star.star] + 0.3 * rng.normal(size=len(table))
    table["z"] = rng.normal(size=len(table))
    one = partial_rank(table, "x", "y", ["z"], rng=0)
    many = partial_rank(table, "x", "y", ["z"], factors=names, rng=0)
    assert one.value == pytest.approx(many.value)
    assert many.high - many.low > 1.5 * (one.high - one.low)
    assert many.p > one.p


def test_seed_spread_is_an_analysis_of_variance():
    rng = np.random.default_rng(0)
    rows = list(product(range(40), range(5), range(3)))
    table = pd.DataFrame(rows, columns=["a", "b", "seed"])
    table["alpha"] = rng.normal(size=200).repeat(3) * 2 + 0.5 * rng.normal(size=600)
    row = seed_spread(table, ["alpha"], ["a", "b"]).loc["alpha"]
    groups = [g["alpha"].to_numpy() for _, g in table.groupby(["a", "b"])]
    within = np.sqrt(np.mean([g.var(ddof=1) for g in groups]))
    F = scipy.stats.f_oneway(*groups).statistic
    assert row["seeds"] == pytest.approx(within)
    assert row["settings"] == pytest.approx(within * np.sqrt((F - 1) / 3))  # E F = 1 + n var/s^2
    assert row["ratio"] == pytest.approx(row["settings"] / row["seeds"])
    assert row["settings"] == pytest.approx(2, rel=0.15)
    pairs = [abs(a - b) for g in groups for a, b in combinations(g, 2)]
    assert row["difference_95"] == pytest.approx(np.quantile(pairs, 0.95))
    assert row["difference_95"] == pytest.approx(1.96 * np.sqrt(2) * 0.5, rel=0.1)  # here they are normal


def test_a_table_of_measures_is_what_each_says_alone():
    table = grid().assign(norm=lambda t: -t["alpha"] + t["width"], error=lambda t: t["width"] + t["error"] / 9)
    frame = rank_measures(table, ["alpha", "norm"], "error", FACTORS, direction={"norm": -1}, rng=0, bootstraps=100)
    norm = rank_runs(table, "norm", "error", FACTORS, direction=-1, rng=0, bootstraps=100)
    row = frame.loc["norm"]
    for name in ("overall", "granulated", "seeds"):
        c = getattr(norm, name)
        assert (c.value, c.low, c.high, c.p) == tuple(row[[name, f"{name}_low", f"{name}_high", f"{name}_p"]])
    assert (row["worst_factor"], row["worst"]) == (norm.worst[0], norm.worst[1].value)
    assert row["worst_environment"] == (norm.sign_error.factor, *norm.sign_error.levels)
    assert row["sign_error"] == norm.sign_error.mean.value


def test_runs_without_values_are_left_out_and_counted():
    table = grid()
    holes = table.copy()
    holes.loc[3, "alpha"], holes.loc[7, "error"], holes.loc[11, "alpha"] = np.nan, np.nan, np.inf
    found = rank_runs(holes, "alpha", "error", FACTORS, noise=0, **NONE)
    assert (found.runs, found.left_out) == (33, 3)
    pd.testing.assert_frame_equal(
        found.to_frame(), rank_runs(table.drop([3, 7, 11]), "alpha", "error", FACTORS, noise=0, **NONE).to_frame()
    )
    assert rank_runs(table.assign(width=[np.nan, *table["width"][1:]]), "alpha", "error", FACTORS, **NONE).left_out == 1


def test_what_cannot_be_told_is_nan_and_no_error():
    constant = grid().assign(alpha=1.0)
    found = rank_runs(constant, "alpha", "error", FACTORS, bootstraps=50, permutations=50, rng=0)
    assert np.isnan([found.overall.value, found.granulated.value, found.seeds.value]).all()
    assert found.overall.holds_zero
    assert found.worst[0] == ""
    assert not found.signs_differ
    assert repr(found.overall) == "not defined"
    empty = rank_runs(grid().assign(alpha=np.nan), "alpha", "error", FACTORS, rng=0)
    assert (empty.runs, np.isnan(empty.overall.value)) == (0, True)
    few = rank_runs(grid(levels=(2, 2, 1)), "alpha", "error", ["width", "rate"], rng=0)  # 4 settings
    assert np.isfinite(few.overall.value)
    assert np.isnan([few.overall.low, few.overall.p, few.granulated.low, few.granulated.p]).all()
    assert "no interval" in repr(few.overall)
    assert np.isnan(partial_rank(grid().assign(b=lambda t: t["alpha"] ** 3), "alpha", "error", ["b"], rng=0).value)
    assert np.isnan(partial_rank(grid().head(4), "alpha", "error", ["width"], rng=0).value)
    assert np.isnan(seed_spread(grid(seeds=1), ["alpha"], FACTORS)["seeds"]).all()


def test_how_results_show_themselves():
    found = rank_runs(grid(), "alpha", "error", FACTORS, rng=0, direction=-1)
    html = found._repr_html_()
    assert "-alpha against error, 36 runs" in html
    assert all(name in html for name in FACTORS)
    assert found.words() == repr(found)
    frame = found.to_frame().set_index(["coefficient", "factor"])
    assert frame.loc[("within", "rate"), "value"] == found.within["rate"].value
    assert repr(Coefficient(0.5, 0.25, 0.75)) == "0.50 (0.25 to 0.75)"
    assert Coefficient(-0.5, -0.7, -0.3).holds_zero is False


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"measure": "beta"}, "measure names the column 'beta'; the table has width, rate, kind, seed, alpha, error"),
        ({"outcome": "beta"}, "outcome names the column 'beta'"),
        ({"noise": "beta"}, "noise names the column 'beta'"),
        ({"factors": ["width", "beta"]}, "factors names the column 'beta'"),
        ({"seed": "beta"}, "seed names the column 'beta'"),
        ({"measure": "kind"}, "measure names the column 'kind' of type .*; numbers are allowed"),
        ({"factors": ["width", "one"]}, r"factors names 'one', which is \[1\] in every run"),
        ({"factors": ["width", "width"]}, "each column may be named once"),
        ({"factors": ["width", "seed"]}, "each column may be named once"),
        ({"factors": []}, "one column at least"),
        ({"direction": 2}, "direction=2; 1 or -1 is allowed"),
        ({"noise": -1.0}, "noise=-1.0; a finite number"),
        ({"bootstraps": -1}, "bootstraps=-1; a whole number of at least 0"),
        ({"permutations": 0.5}, "permutations=0.5"),
    ],
)
def test_wrong_arguments_are_named(arguments, message):
    table = grid()
    if "one" in arguments.get("factors", []):
        table["one"] = 1
    with pytest.raises(ValueError, match=message):
        rank_runs(table, **({"measure": "alpha", "outcome": "error", "factors": FACTORS} | arguments))


def test_a_name_is_no_list_of_names():
    for call in (
        lambda: rank_runs(grid(), "alpha", "error", "width"),
        lambda: rank_measures(grid(), "alpha", "error", FACTORS),
        lambda: partial_rank(grid(), "alpha", "error", "width"),
        lambda: seed_spread(grid(), "alpha", FACTORS),
    ):
        with pytest.raises(TypeError, match="a list of column names is allowed"):
            call()
    with pytest.raises(ValueError, match="given=\\[\\]"):
        partial_rank(grid(), "alpha", "error", [])
