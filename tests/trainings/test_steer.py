"""The script that prunes and steers a small GPT, and the tables about it."""

import itertools

import numpy as np
import pandas as pd
import pytest
import steer
import torch
from scipy.stats import ttest_1samp
from train_collection import text, windows

from benchmarks.steering import difference
from rmt_lab.trainings.steering import _log_loss

SCORES = ("alpha", "alpha, fitted", "alpha, common shape", "shape alone", "stable rank", "noise edge", "measured")


@pytest.fixture(scope="module")
def model():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    found = steer.new_model(0)
    found.eval()
    yield found
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def sizes(model):
    return np.array([part.weight.numel() for part in steer.parts(model)], float)


def test_shares_have_the_mean_over_parameters_and_follow_the_scores():
    rng = np.random.default_rng(0)
    for mean in (0.3, 0.5, 0.7, 1.0):
        scores, sizes = rng.normal(size=24), rng.integers(1, 9, 24)
        shares = steer.allocate(scores, sizes, mean, 0.7, 1.3)
        assert np.average(shares, weights=sizes) == pytest.approx(mean, rel=1e-12)
        assert (np.diff(shares[scores.argsort()]) > 0).all()
        assert shares.max() / shares.min() == pytest.approx(1.3 / 0.7, rel=1e-12)
        line = np.polyfit(scores, shares, 1)
        assert np.allclose(np.polyval(line, scores), shares, rtol=1e-9)


def test_no_share_exceeds_the_most_and_the_mean_stays():
    rng = np.random.default_rng(1)
    full = 0
    for _ in range(200):
        scores, sizes = rng.pareto(1, 12), rng.integers(1, 9, 12)
        shares = steer.allocate(scores, sizes, 0.8, 0.5, 1.5, most=0.99)
        assert np.average(shares, weights=sizes) == pytest.approx(0.8, rel=1e-12)
        assert shares.max() <= 0.99 + 1e-12
        below = shares < 0.99
        assert (shares[~below] >= shares[below].max()).all()
        full += (~below).any()
    assert full > 50


def test_equal_scores_have_equal_shares():
    assert steer.allocate([2, 2, 2], [1, 2, 3], 0.4, 0.7, 1.3).tolist() == pytest.approx([0.4] * 3)


@pytest.mark.parametrize(
    "changed",
    [{"scores": [1, np.nan]}, {"low": 0.0}, {"low": 1.4}, {"mean": 0.0}, {"mean": 0.995, "most": 0.99}],
    ids=str,
)
def test_what_has_no_allocation_is_refused(changed):
    given = {"scores": [1, 2], "sizes": [1, 1], "mean": 0.5, "low": 0.7, "high": 1.3} | changed
    with pytest.raises(ValueError, match=next(iter(changed))):
        steer.allocate(**given)


def test_every_way_to_prune_has_the_same_sparsity(model, sizes):
    rng = np.random.default_rng(2)
    scores = {name: rng.normal(size=24) for name in SCORES}
    for sparsity in steer.SPARSITIES:
        ways = list(steer.allocations(0, scores, sizes, sparsity))
        assert len(ways) == 12 + 4 * steer.DRAWS
        for method, _, shares in ways:
            assert np.average(shares, weights=sizes) == pytest.approx(sparsity, rel=1e-9), method
        assert np.average(steer.global_shares(model, sparsity), weights=sizes) == pytest.approx(sparsity, abs=1e-4)


def test_the_controls_are_the_same_numbers_in_other_places(sizes):
    rng = np.random.default_rng(3)
    a = rng.normal(size=24)
    scores = dict.fromkeys(SCORES, a)
    ways = {(method, draw): shares for method, draw, shares in steer.allocations(0, scores, sizes, 0.5)}
    for draw in range(steer.DRAWS):
        other = ways["random, same size", draw]
        assert sorted(other) == sorted(ways["alpha", 0])
        assert not np.array_equal(other, ways["alpha", 0])
        for size in np.unique(sizes):
            assert sorted(other[sizes == size]) == sorted(ways["alpha", 0][sizes == size])
        free = ways["random", draw] / ways["alpha", 0].min()
        assert np.ptp(free) > 0
        blocks = ways["random, same role", draw].reshape(4, 6)
        assert np.array_equal(np.sort(blocks, axis=0), np.sort(ways["alpha", 0].reshape(4, 6), axis=0))
    assert np.ptp(ways["alpha, by role", 0].reshape(4, 6), axis=0).max() < 1e-12
    for shares in (ways["alpha, by block", 0], ways["random, by block", 0]):
        assert all(len(set(block)) == 1 for block in shares.reshape(4, 6))
    assert np.corrcoef(ways["alpha", 0], ways["inverted", 0])[0, 1] == pytest.approx(-1)
    order = steer.exchanged(0, 24)
    assert sorted(order) == list(range(24))
    assert sorted(a[order]) == sorted(a)


def test_the_smallest_entries_go_and_the_weights_come_back(model, sizes):
    before = [part.weight.clone() for part in steer.parts(model)]
    shares = steer.allocate(np.arange(24), sizes, 0.5, 0.7, 1.3)
    with steer.Changed(model):
        steer.prune(model, shares)
        after = [part.weight.clone() for part in steer.parts(model)]
    for old, new, share in zip(before, after, shares, strict=True):
        gone = new == 0
        assert gone.double().mean().item() == pytest.approx(share, abs=1 / old.numel())
        assert old[gone].abs().max() <= old[~gone].abs().min()
        assert torch.equal(old[~gone], new[~gone])
    assert all(torch.equal(a, part.weight) for a, part in zip(before, steer.parts(model), strict=True))


def test_the_parts_are_the_matrices_that_the_library_reads(model):
    from rmt_lab.weights import iter_weights

    read = [
        w.matrix for w in iter_weights(model, split_qkv=True) if "wte" not in w.longname and "wpe" not in w.longname
    ]
    ours = [part.weight.numpy() for part in steer.parts(model)]
    assert len(read) == len(ours) == 24
    for W in ours:
        s = np.linalg.svd(W, compute_uv=False)
        assert any(min(R.shape) == len(s) and np.allclose(np.linalg.svd(R, compute_uv=False), s) for R in read)


def test_what_is_taken_out_has_the_rank_and_the_norm_it_says():
    rng = np.random.default_rng(4)
    W = rng.normal(size=(60, 40))
    s = np.linalg.svd(W, compute_uv=False)
    found = steer.removals(W, 8, rng)
    left = {name: np.linalg.svd(W - X, compute_uv=False) for name, X in found.items()}
    for name in ("bottom", "middle", "anywhere", "top"):
        assert (left[name] > 1e-9).sum() == 32, name
    assert np.allclose(left["bottom"][:32], s[:32])
    assert np.allclose(left["top"][:32], s[8:])
    assert np.allclose(left["middle"][:32], np.r_[s[:16], s[24:]])
    assert left["anywhere"][0] == pytest.approx(s[0])
    equal = [X for name, X in found.items() if "equal" in name]
    assert len(equal) == 4
    for X in equal:
        assert np.linalg.norm(X) == pytest.approx(np.linalg.norm(s[32:]))


def test_numpy_runs_the_network_as_torch_does(model):
    x = windows(text()[1], 3, np.random.default_rng(5))
    weights = {k: v.astype(np.float32) for k, v in steer.names_of(model).items()}
    with torch.no_grad():
        for name, parameter in model.named_parameters():  # the same 16 bits
            parameter.copy_(parameter.half().float())
            assert name
    assert _log_loss(weights, x.numpy(), 4, 4).mean() == pytest.approx(steer.losses(model, x)[0], abs=1e-5)


def test_intervals_and_p_of_five_seeds_against_scipy_and_a_count():
    rng = np.random.default_rng(6)
    for _ in range(20):
        d = rng.normal(0.3, 1, 5)
        found = difference(d)
        low, high = ttest_1samp(d, 0).confidence_interval()
        assert (found.low, found.high) == pytest.approx((low, high))
        means = [abs(np.dot(signs, d)) for signs in itertools.product((1, -1), repeat=5)]
        assert found.p == sum(m >= abs(d.sum()) - 1e-12 for m in means) / 32
    assert difference([1, 2, 3, 4, 5]).p == 1 / 16


@pytest.mark.slow
def test_decay_by_hand_is_that_of_adamw(monkeypatch):
    """Uniform factors against torch's own weight decay, on three steps; and the mean decay of a steered training."""
    monkeypatch.setattr(steer, "text_figures", lambda *_: (0.0, 0.0))
    monkeypatch.setattr(steer, "RATE", 0.02)
    ours, record = steer.train("uniform", 0, steps=3)
    assert np.allclose(record["factors"], 1)
    reference = steer.new_model(0)
    groups = [
        {"params": [p for p in reference.parameters() if p.ndim >= 2], "weight_decay": steer.DECAY},
        {"params": [p for p in reference.parameters() if p.ndim < 2], "weight_decay": 0.0},
    ]
    optimiser = torch.optim.AdamW(groups, lr=1.0, betas=(0.9, 0.95), fused=True)
    rng, seen = np.random.default_rng([0, 1]), steer.part_of_text(0, steer.DATA)
    for step in range(3):
        for group in optimiser.param_groups:
            group["lr"] = steer.RATE * steer.curve(step, 3)
        x = windows(seen, steer.BATCH, rng)
        optimiser.zero_grad(set_to_none=True)
        reference(x, labels=x).loss.backward()
        torch.nn.utils.clip_grad_norm_(reference.parameters(), 1.0)
        optimiser.step()
    for a, b in zip(ours.parameters(), reference.parameters(), strict=True):
        assert torch.allclose(a, b, atol=1e-6)
    for method in ("alpha", "random", "stable rank", "noise edge"):
        _, record = steer.train(method, 0, steps=1)
        assert np.average(record["factors"], weights=record["sizes"]) == pytest.approx(1)
    assert steer.train("none", 0, steps=1)[1]["factors"] == [0.0] * 24


def test_scores_are_of_the_side_of_the_spectrum_that_they_name():
    """A strong direction in noise: less noise, a smaller stable rank; a heavy tail: a smaller alpha."""
    from rmt_lab import Spectrum

    rng = np.random.default_rng(7)
    W = rng.normal(size=(256, 64))
    u, v = rng.normal(size=256), rng.normal(size=64)
    spiked = W + 60 * np.outer(u / np.linalg.norm(u), v / np.linalg.norm(v))
    heavy = rng.standard_t(1.5, size=(256, 64))
    plain, spike, tail = (Spectrum.from_matrix(X) for X in (W, spiked, heavy))
    assert steer.noise(plain) == 1 > steer.noise(spike)
    assert steer.stable_rank(plain) > steer.stable_rank(spike)
    assert steer.alpha(plain) > steer.alpha(tail)


def test_averages_over_draws_come_before_seeds():
    from benchmarks.steering import compared

    rows = [("uniform", 0, 1.0, seed) for seed in range(5)] + [
        ("random", draw, 1.0 + 0.1 * draw + 0.01 * seed, seed) for draw in range(3) for seed in range(5)
    ]
    frame = pd.DataFrame(rows, columns=["method", "draw", "test_loss", "seed"])
    row = compared(frame, ["uniform", "random"], "uniform")[1]
    assert row[2].startswith("**+0.1200**")
    assert row[3:] == ["0 of 5", "0.06"]
