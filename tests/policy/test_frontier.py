"""The frontier is convex, no schedule lies below it, and it is worth what it says in worlds with known truth."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.policy.worlds import CELLULAR, WIFI
from wslog.errors import UsageError
from wslog.policy.frontier import Frontier, frontier, place, under
from wslog.policy.schedule_dp import Terms, evaluate, starts_of

TERMS = Terms(1.0, 0.05, horizon_s=300.0)
OUTAGE = CELLULAR.distribution()


@pytest.fixture(scope="module")
def plain() -> Frontier:
    return frontier(OUTAGE, TERMS, np.geomspace(0.05, 60, 14).tolist(), jitter=0.0)


def test_it_falls_and_flattens(plain):
    assert plain.attempts_mean[0] == 0 and plain.downtime_mean_s[0] == TERMS.horizon_s
    slope = np.diff(plain.downtime_mean_s) / np.diff(plain.attempts_mean)
    assert np.all(slope < 0) and np.all(np.diff(slope) > 0)
    # a schedule that is the best at price c minimises downtime + c attempts: the slopes beside it bracket -c
    for k in range(1, len(slope)):
        assert -slope[k - 1] >= plain.price_s[k] * 0.99 and -slope[k] <= plain.price_s[k] * 1.01


@settings(deadline=None, max_examples=60)
@given(
    waits=st.lists(st.floats(0.2, 60), min_size=1, max_size=12), limit=st.one_of(st.none(), st.integers(1, 12)),
    growth=st.floats(1.0, 2.0),
)  # fmt: skip
def test_no_schedule_lies_below_it(plain, waits, limit, growth):
    starts = starts_of(np.asarray(waits) * growth ** np.arange(len(waits)), TERMS, limit)
    seen = evaluate(starts, OUTAGE, TERMS)
    # supporting lines: what lies under the chord of two points is still above the line of each point's price
    for price, attempts, downtime in zip(
        plain.price_s[1:], plain.attempts_mean[1:], plain.downtime_mean_s[1:], strict=True
    ):
        assert seen.downtime_mean_s + price * seen.attempts_mean >= (downtime + price * attempts) * (1 - 1e-3)


def test_its_own_schedules_save_nothing(plain):
    for k in range(1, len(plain.price_s)):
        own = place(plain, "own", plain.starts_s[k], OUTAGE)
        assert own.attempts_saved == pytest.approx(0, abs=1e-6)
        assert own.downtime_saved_s == pytest.approx(0, abs=1e-6)


def test_between_two_points_lies_a_random_choice_of_them(plain):
    a, b = plain.starts_s[3], plain.starts_s[4]
    wide = np.full((2, max(len(a), len(b))), np.inf)
    wide[0, : len(a)], wide[1, : len(b)] = a, b
    both = evaluate(wide, OUTAGE, TERMS)
    assert plain.downtime_at(both.attempts_mean) == pytest.approx(both.downtime_mean_s, rel=1e-9)
    assert plain.attempts_at(both.downtime_mean_s) == pytest.approx(both.attempts_mean, rel=1e-9)


def test_what_it_does_not_reach_is_not_invented(plain):
    assert np.isnan(plain.attempts_at(1.0))
    dense = place(plain, "dense", np.arange(0.3, 300, 0.3), OUTAGE)
    assert np.isnan(dense.attempts_saved)
    with pytest.raises(UsageError, match="prices_s"):
        frontier(OUTAGE, TERMS, [])


def test_under_another_distribution_the_figures_are_its_own(plain):
    same = under(plain, OUTAGE)
    assert np.allclose(same.downtime_mean_s, plain.downtime_mean_s)
    other = WIFI.distribution()
    moved = under(plain, other)
    best = frontier(other, TERMS, plain.price_s[1:].tolist(), jitter=0.0)
    for attempts in (1.5, 3.0, 6.0):
        assert moved.downtime_at(attempts) >= best.downtime_at(attempts) * (1 - 2e-3)


def test_jitter_moves_it_up_a_little():
    prices = [0.2, 1.0, 5.0]
    exact = frontier(OUTAGE, TERMS, prices, jitter=0.0)
    spread = frontier(OUTAGE, TERMS, prices, jitter=0.5)
    cost = spread.downtime_at(spread.attempts_mean[1:]) / exact.downtime_at(spread.attempts_mean[1:]) - 1
    assert np.all(cost > -1e-3) and np.all(cost < 0.03)


def test_the_price_of_the_terms_is_without_meaning():
    a = frontier(OUTAGE, TERMS, [0.5, 2.0])
    b = frontier(OUTAGE, replace(TERMS, price_s=9.0), [0.5, 2.0])
    assert np.array_equal(a.downtime_mean_s, b.downtime_mean_s)
