"""The estimate against published numbers, closed forms and its own optimality gap; the pitfalls that cost bias."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.policy import worlds
from tests.policy.worlds import CELLULAR, WIFI
from wslog.policy.estimate import estimate
from wslog.policy.fitting import Settings, edges_with, likely_failure, part_of
from wslog.policy.model import FAILURES, FloatArray, IntArray, Outages, grid
from wslog.policy.npmle import PRIOR_COUNT, FirstConnects, blocked_at, fit, log_uniform
from wslog.policy.patterns import DEPTH, Patterns, compress, with_probes
from wslog.policy.support import gaps_of

FAST, TIMEOUT = FAILURES.index("fast"), FAILURES.index("timeout")


def outages(rows: list[list[tuple[float, bool]]], kind: int = FAST, took_s: float = 0.05) -> Outages:
    """Return outages of (start, opened) attempts."""
    start = np.array([s for row in rows for s, _ in row], np.float64)
    ok = np.array([o for row in rows for _, o in row], bool)
    n, nothing = len(rows), np.full(len(rows), np.nan)
    return Outages(
        first=np.concatenate(([0], np.cumsum([len(row) for row in rows]))).astype(np.int64),
        start_s=start,
        end_s=start + took_s,
        is_ok=ok,
        failure=np.where(ok, 0, kind).astype(np.int64),
        cluster=np.arange(n),
        weight=np.ones(n),
        is_initial=np.zeros(n, bool),
        is_left=np.zeros(n, bool),
        watched_s=nothing,
        fell_back_s=nothing,
        poll_failed_s=nothing,
        poll_ok_s=nothing,
    )


def interval(low: float, high: float) -> list[tuple[float, bool]]:
    """An outage that ended in (low, high]; high = inf: it had not at low."""
    looks = [(low, False)] if low > 0 else []
    return looks + ([(high, True)] if np.isfinite(high) else [])


BREAST = """45-inf 25-37 37-inf 6-10 46-inf 0-5 0-7 26-40 18-inf 46-inf 46-inf 24-inf 46-inf 27-34 36-inf 7-16 36-44 5-11 17-inf
46-inf 19-35 7-14 36-48 17-25 37-44 37-inf 24-inf 0-8 40-inf 32-inf 4-11 17-25 33-inf 15-inf 46-inf 19-26 11-15 11-18 37-inf 22-inf
38-inf 34-inf 46-inf 5-12 36-inf 46-inf"""
"""Months to cosmetic deterioration after radiotherapy alone, 46 women (Finkelstein and Wolfe, Biometrics 41 (1985) 933-945)."""


def test_published_data() -> None:
    """Against the published NPMLE of these data (Finkelstein and Wolfe 1985, table): survival after 5, 7, 8, 12, 25, 34, 40 months."""
    rows = [interval(*(float(x) for x in word.split("-"))) for word in BREAST.split()]
    data = outages(rows)
    edges = np.arange(0.0, 61.0)
    # hardly a prior, no failures by chance
    found = fit(compress(data, edges), edges, prior_count=1e-6, failure_ratio=1e-9, max_steps=3000, gap=1e-6)
    survival = found.network.survival(np.array([5.0, 7.0, 8.0, 12.0, 25.0, 34.0, 40.0]))
    # published to four digits; the cells are exact months, so nothing but rounding is allowed
    assert survival == pytest.approx([0.9537, 0.9203, 0.8316, 0.7608, 0.6684, 0.5865, 0.4656], abs=2e-4)


def test_right_censored_data_give_kaplan_meier() -> None:
    # exact times are cells of their own: then the NPMLE is the product-limit estimate
    times, seen = np.array([1, 2, 2, 3, 4, 5, 6, 7, 8, 9]), np.array([1, 1, 0, 1, 0, 1, 1, 0, 1, 1], bool)
    rows = [interval(t - 1, t) if s else interval(t, np.inf) for t, s in zip(times.astype(float), seen, strict=True)]
    edges = np.arange(0.0, 12.0)
    found = fit(compress(outages(rows), edges), edges, prior_count=1e-7, failure_ratio=1e-9, max_steps=4000, gap=1e-6)
    alive, expected = 1.0, {}
    for t in sorted(set(times)):
        risk = int((times >= t).sum())
        alive *= 1 - int(((times == t) & seen).sum()) / risk
        expected[t] = alive
    for t, value in expected.items():
        assert float(found.network.survival(float(t))) == pytest.approx(value, abs=1e-4)


@given(seed=st.integers(0, 2**31), count=st.integers(30, 300))
@settings(max_examples=15, deadline=None)
def test_the_gap_bounds_what_more_steps_gain(seed: int, count: int) -> None:
    rng = np.random.default_rng(seed)
    edges = grid(300.0)
    told = worlds.log_of(worlds.play(WIFI, worlds.full_jitter, count, 40, rng))
    patterns = compress(told, edges)
    short = fit(patterns, edges, failure_ratio=0.02, max_steps=20, gap=0.0)
    long = fit(patterns, edges, failure_ratio=0.02, max_steps=400, gap=0.0)

    def objective(one: object) -> float:
        network = one.network  # type: ignore[attr-defined]
        w = np.append(network.weight, network.never)
        return one.log_likelihood + float(log_uniform(edges) @ np.log(np.maximum(w, 1e-300))) / count  # type: ignore[attr-defined]

    # the chances of failure by kind are updated between steps, so the bound holds up to that
    assert objective(long) <= objective(short) + short.gap + 1e-3
    assert objective(long) >= objective(short) - 1e-6


def test_chance_failures_are_told_from_outages_by_jitter() -> None:
    rng = np.random.default_rng(5)
    told = worlds.log_of(worlds.play(CELLULAR, worlds.full_jitter, 6_000, 80, rng))
    edges = grid()
    problem = Settings(edges, FirstConnects(), log_uniform(edges), PRIOR_COUNT)
    best, kept = likely_failure(problem, compress(told, edges), None, rng)
    # true .06: a 95 % range that holds it and rules out a third of the grid at least
    assert min(kept) <= 0.06 <= max(kept) <= 0.13
    assert best in kept


def test_a_fixed_schedule_cannot_tell_chance_failures() -> None:
    rng = np.random.default_rng(6)
    told = worlds.log_of(worlds.play(CELLULAR, worlds.linear_3, 10_000, 3, rng))
    edges = edges_with(grid(), gaps_of(told.start_s, 900.0))
    patterns = compress(told, edges)
    value = [fit(patterns, edges, failure_ratio=p, max_steps=300).log_likelihood * 10_000 for p in (0.005, 0.06, 0.12)]
    # half the 95 % point of chi-square is 1.92: the data rule out none of these
    assert max(value) - min(value) < 1.92


# --- pitfalls: each cost bias once ---------------------------------------------------------------------------------


def truth_at(at_s: FloatArray) -> FloatArray:
    _, end = CELLULAR.ends(1_000_000, np.random.default_rng(1))
    return np.array([(end <= t).mean() for t in at_s])


def test_old_attempts_do_not_leak_into_the_first_seconds() -> None:
    """Attempts older than DEPTH are left out, not lumped into one interval of weight p ** DEPTH."""
    data = outages([[(float(k), False) for k in range(1, 30)] + [(30.0, True)]] * 50)
    found = fit(compress(data, grid(60.0)), grid(60.0), prior_count=1e-3, failure_ratio=0.06, max_steps=200)
    assert DEPTH == 5
    assert float(found.network.cdf(24.0)) < 1e-3
    # 29 misses and an open: it ended in the last second, unless chance hid it (6 %)
    assert float(found.network.cdf(29.0)) < 0.07


def test_two_attempts_in_one_cell_keep_the_cell() -> None:
    edges = grid(60.0)
    data = outages([[(20.30, False), (20.35, True)]] * 30)
    found = fit(compress(data, edges), edges, prior_count=1e-6, failure_ratio=1e-6, max_steps=200)
    # both are nearest to one edge, which is 1.3 % away at most: the mass is in the two cells of 2.6 % beside it
    assert float(found.network.cdf(20.3 / 1.04)) < 0.01
    assert float(found.network.cdf(20.35 * 1.04)) > 0.99


def test_slow_handshakes_are_rescued_attempts() -> None:
    """Half of the attempts in vain hang and open when a SYN is answered: unnoticed, the median would be far too early."""
    rng = np.random.default_rng(8)
    n = 4_000
    _, end = CELLULAR.ends(n, rng)
    start, stop, ok, first, kinds = [], [], [], [0], []
    for i in range(n):
        now = float(rng.random())
        for _ in range(60):
            left = end[i] - now
            hangs = rng.random() < 0.5
            if left <= 0 and rng.random() >= CELLULAR.failure_ratio:
                took, opened, kind = 0.18, True, 0
            elif left > 0 and hangs:
                probe = next((p for p in (1.0, 3.0, 7.0) if p >= left), np.inf)
                opened = probe < 10.0
                took, kind = (probe + 0.18, 0) if opened else (10.0, TIMEOUT)
            else:
                took, opened, kind = 0.08, False, FAST
            start.append(now)
            stop.append(now + took)
            ok.append(opened)
            kinds.append(kind)
            now += took + float(rng.random() * min(30.0, 2.0 ** (len(start) - first[-1])))
            if opened or now > 600:
                break
        first.append(len(start))
    nothing = np.full(n, np.nan)
    told = Outages(
        np.array(first), np.array(start), np.array(stop), np.array(ok), np.array(kinds), np.arange(n), np.ones(n),
        np.zeros(n, bool), np.zeros(n, bool), nothing, nothing, nothing, nothing,
    )  # fmt: skip
    at = np.array([1.0, 3.0, 10.0, 60.0])
    found = estimate(told, worlds.first_connects(CELLULAR, 3 * n, rng), rng=rng, replicates=2)
    # 4,000 outages: the standard error of a share is .008 at most; three of them
    assert found.fit.websocket.cdf(at) == pytest.approx(truth_at(at), abs=0.024)
    naive = fit(compress(told, grid()), grid(), failure_ratio=0.06)
    # what is tested is real: without the probes the share after a second is off by more
    assert abs(float(naive.network.cdf(1.0)) - truth_at(at)[0]) > 0.05
    assert found.conditions.hang_ratio == pytest.approx(0.5, abs=0.05)


def test_probes_bound_the_end_from_both_sides() -> None:
    data = replace(outages([[(2.0, True)]]), end_s=np.array([5.25]))
    seen = with_probes(data, 0.2)
    assert seen.start_s.tolist() == [3.0, 5.0]
    assert seen.is_ok.tolist() == [False, True]
    # a timeout of 10 s looked last at 7 s
    late = with_probes(replace(outages([[(1.0, False)]], TIMEOUT), end_s=np.array([11.0])), 0.2)
    assert late.start_s.tolist() == [8.0]


def test_weights_count_as_copies() -> None:
    edges = grid(60.0)
    rows = [interval(1.0, 3.0), interval(0.0, 1.0), interval(3.0, np.inf)]
    light = outages(rows)
    heavy = replace(light, weight=np.array([3.0, 1.0, 2.0]))
    copies = outages([rows[0]] * 3 + [rows[1]] + [rows[2]] * 2)
    one, other = (fit(compress(d, edges), edges, FirstConnects(), failure_ratio=0.01) for d in (heavy, copies))
    assert one.network.weight == pytest.approx(other.network.weight, abs=1e-12)


def test_polls_that_never_came_back_say_so() -> None:
    """Three polls in four found nobody there at 100 s: that the rest came back within 10 s says nothing about them."""
    rows = [[(1.0, False)]] * 40
    ok, bad = np.full(40, np.nan), np.full(40, 100.0)
    ok[:10], bad[:10] = 10.0, 9.0
    data = replace(outages(rows), poll_ok_s=ok, poll_failed_s=bad)
    found = fit(compress(data, grid()), grid(), failure_ratio=0.02, prior_count=1e-3)
    # an edge is 1.3 % away at most, so within (9, 10] widened by that
    assert float(found.network.cdf(8.8)) < 0.01
    assert float(found.network.cdf(10.3)) == pytest.approx(0.25, abs=0.01)
    assert float(found.network.cdf(98.0)) == pytest.approx(0.25, abs=0.01)


def test_the_blocked_share_under_known_ends_has_a_closed_form() -> None:
    """An attempt at 1 s opened or failed, and the poll at 1.2 s came back: what is not chance or too early is blocked."""
    edges = np.union1d(grid(60.0), [1.0, 1.2])
    opened, failed = 300, 60
    poll = np.where(np.arange(opened + failed) < opened, np.nan, 1.2)
    data = replace(outages([[(1.0, True)]] * opened + [[(1.0, False)]] * failed), poll_ok_s=poll)
    patterns = compress(data, edges)
    found = fit(patterns, edges, failure_ratio=0.06, max_steps=60)
    known = CELLULAR.distribution()
    below = known.cdf(edges)
    w = np.append(np.diff(below), 1 - below[-1])
    at_attempt, at_poll = known.cdf(np.array([1.0, 1.2]))
    # of outages that ended by the poll a share f failed: f = b + (1 - b) missed; a few kinds of failure are kept possible, so
    # that the chance of this kind is not quite 0.06
    missed = (at_poll - at_attempt + found.chance.ratio[FAST] * at_attempt) / at_poll
    expected = (failed / (opened + failed) - missed) / (1 - missed)
    # EM stops when a step is below 1e-6; a step keeps half of what is missing
    assert 0.0 < expected < 0.2
    assert blocked_at(patterns, found, w, prior_count=1e-9) == pytest.approx(expected, abs=1e-5)


def test_a_part_stands_for_all() -> None:
    rng = np.random.default_rng(4)
    told = worlds.log_of(worlds.play(WIFI, worlds.full_jitter, 20_000, 80, rng))
    patterns = compress(told, grid())
    opened = np.where(patterns.is_ok, patterns.cuts[:, 0], len(grid()))

    def below(part: Patterns, edge: int) -> float:
        return float(part.count[opened_of(part) <= edge].sum() / part.count.sum())

    def opened_of(part: Patterns) -> IntArray:
        return np.where(part.is_ok, part.cuts[:, 0], len(grid()))

    part = part_of(patterns, 2_000, rng)
    assert len(part.count) <= 2_000
    # worth more than the patterns it has, since the frequent ones are all there, and less than all outages
    assert len(part.count) < part.count.sum() < 20_000
    for edge in np.quantile(opened, [0.1, 0.5, 0.9]).astype(int):
        # three standard errors of a share among 2,000
        assert below(part, edge) == pytest.approx(below(patterns, edge), abs=0.034)
