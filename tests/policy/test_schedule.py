"""The schedule of least cost, against brute force, closed forms of the literature and simulated outages."""

from __future__ import annotations

import itertools
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import brentq

from tests.policy.worlds import CELLULAR, WIFI
from wslog.errors import UsageError
from wslog.policy import schedule_dp
from wslog.policy.model import Distribution, grid
from wslog.policy.schedule import best_schedule, rounded
from wslog.policy.schedule_dp import Terms, evaluate, jittered_starts, optimum, starts_of


def distribution_of(cdf_at_edges: np.ndarray, edges: np.ndarray) -> Distribution:
    weight = np.diff(cdf_at_edges)
    return Distribution(edges, weight, 1 - float(weight.sum()))


def test_exact_figures_agree_with_simulated_clients():
    world = CELLULAR
    terms = Terms(1.0, world.failure_ratio)
    starts = starts_of([0.4, 2, 1.5, 4, 12, 25], terms)
    count = 400_000
    rng = np.random.default_rng(1)
    ends = world.ends(count, rng)[1]
    opens = (starts >= ends[:, None]) & (rng.random((count, len(starts))) >= world.failure_ratio)
    is_open = opens.any(axis=1)
    at = opens.argmax(axis=1)
    downtime = np.where(is_open, starts[at], terms.horizon_s)
    attempts = np.where(is_open, at + 1, len(starts))
    seen = evaluate(starts, world.distribution(), terms)
    for value, sample in (
        (seen.downtime_mean_s, downtime), (seen.attempts_mean, attempts), (seen.recovery_ratio, is_open)
    ):  # fmt: skip
        # four standard errors of the simulation, and 0.02 % for the cells of the grid
        allowed = 4 * sample.std() / np.sqrt(count) + 2e-4 * abs(value)
        assert value == pytest.approx(sample.mean(), abs=allowed)


def test_exponential_outages_are_inspected_at_equal_distances():
    # J = (d + c) / (1 - exp(-l d)) is least where exp(l d) - 1 = l (d + c) (Barlow, Hunter, Proschan 1963)
    rate, price = 0.1, 1.0
    edges = grid()
    terms = Terms(price, horizon_s=200.0)
    best = optimum(distribution_of(1 - np.exp(-rate * edges), edges), terms)
    distance = brentq(lambda d: np.expm1(rate * d) - rate * (d + price), 0.1, 50)
    least = (distance + price) / -np.expm1(-rate * distance)
    # exp(-20) of the outages reach the horizon; the rest is the 2.6 % cells, inside which X is log-uniform
    assert best.cost_s == pytest.approx(least, rel=2e-3)
    gaps = np.diff(best.starts_s, prepend=0.0)[:6]
    # the cost is flat at its minimum: a gap that is 15 % off costs under 0.3 %
    assert gaps == pytest.approx(distance, rel=0.15)


def test_uniform_outages_are_inspected_at_distances_that_shrink_by_the_price():
    # starts k a / n + k (n - k) c / 2 with the largest n such that n (n - 1) < 2 a / c (Barlow, Hunter, Proschan 1963)
    length, price = 10.0, 0.3
    n = max(k for k in range(1, 50) if k * (k - 1) < 2 * length / price)
    k = np.arange(1, n + 1)
    known = k * length / n + k * (n - k) * price / 2
    edges = np.concatenate((np.linspace(0, length, 2001), [600.0]))
    uniform = distribution_of(np.minimum(edges / length, 1.0), edges)
    terms = Terms(price, horizon_s=20.0)
    best = optimum(uniform, terms)
    assert len(best.starts_s) == n
    assert best.starts_s == pytest.approx(known, abs=0.12)  # points of the last grid lie 0.15 s apart
    assert best.cost_s == pytest.approx(evaluate(known, uniform, terms).cost_s(price), rel=1e-3)


@settings(deadline=None, max_examples=40)
@given(
    weights=st.lists(st.floats(0.0, 1.0), min_size=8, max_size=8).filter(lambda one: sum(one) > 0.1),
    never=st.floats(0.0, 0.5), failure_ratio=st.sampled_from([0.0, 0.1, 0.5]), price_s=st.floats(0.05, 20),
    gap_s=st.sampled_from([0.2, 3.0]), fallback=st.sampled_from([(float("inf"), 1.0), (6.0, 0.2)]),
)  # fmt: skip
def test_no_choice_of_times_is_cheaper(weights, never, failure_ratio, price_s, gap_s, fallback):
    edges = np.concatenate(([0.0], np.geomspace(0.5, 30.0, 8)))
    weight = np.asarray(weights) / sum(weights) * (1 - never)
    outage = Distribution(edges, weight, 1 - float(weight.sum()))
    terms = Terms(price_s, failure_ratio, 30.0, 0.0, gap_s, *fallback)
    times = np.geomspace(0.3, 25.0, 9)
    starts, floor = schedule_dp._pass(outage, terms, times)
    found = evaluate(starts, outage, terms).cost_s(price_s)
    least = min(
        evaluate(np.asarray(some), outage, terms).cost_s(price_s)
        for size in range(10)
        for some in itertools.combinations(times, size)
        if size < 2 or np.diff(some).min() >= gap_s
    )
    assert floor <= least * (1 + 1e-9)  # the value is concave between its levels, so interpolation is a lower bound
    if failure_ratio:
        assert found <= least * 1.005  # eight levels of the excess: the choice is near the best, seldom not it
    else:
        assert found == pytest.approx(least, rel=1e-9)
        assert floor == pytest.approx(least, rel=1e-9)


@pytest.mark.parametrize("world", [WIFI, CELLULAR])
@pytest.mark.parametrize("price_s", [0.2, 1.0, 5.0])
def test_the_value_is_the_exact_cost(world, price_s, monkeypatch):
    outage = world.distribution()
    known = optimum(outage, Terms(price_s))
    assert known.floor_s == pytest.approx(known.cost_s, rel=1e-9)
    fallible = optimum(outage, Terms(price_s, world.failure_ratio))
    assert fallible.cost_s * (1 - 1e-3) <= fallible.floor_s <= fallible.cost_s
    # a grid of 800 points and 16 levels finds at most 0.05 % less
    monkeypatch.setattr(schedule_dp, "COARSE", 600)
    monkeypatch.setattr(schedule_dp, "LEVELS", 16)
    finer = optimum(outage, Terms(price_s, world.failure_ratio))
    assert fallible.cost_s <= finer.cost_s * (1 + 5e-4)
    assert finer.floor_s == pytest.approx(finer.cost_s, rel=3e-4)


def test_it_takes_a_tenth_of_a_second():
    outage = CELLULAR.distribution()
    taken = []
    for _ in range(3):
        begun = time.process_time()
        optimum(outage, Terms(0.5, 0.06))
        taken.append(time.process_time() - begun)
    assert min(taken) < 0.1


@settings(deadline=None, max_examples=25)
@given(
    price_s=st.floats(0.05, 30), failure_ratio=st.floats(0, 0.4), fail_s=st.sampled_from([0.0, 0.3, 4.0]),
    horizon_s=st.sampled_from([60.0, 600.0]), world=st.sampled_from([WIFI, CELLULAR]),
)  # fmt: skip
def test_starts_keep_their_distance_and_rounding_is_cheap(price_s, failure_ratio, fail_s, horizon_s, world):
    outage = world.distribution()
    terms = Terms(price_s, failure_ratio, horizon_s, fail_s)
    best = optimum(outage, terms)
    assert np.all(np.diff(best.starts_s) >= terms.gap_s * (1 - 1e-6))
    assert np.all(best.starts_s < horizon_s)
    nothing = evaluate([], outage, terms)
    assert nothing.downtime_mean_s == horizon_s and nothing.attempts_mean == 0 and nothing.recovery_ratio == 0
    assert best.cost_s <= horizon_s
    waits, limit = rounded(best, outage)
    listed = evaluate(starts_of(waits, terms, limit), outage, terms) if waits else nothing
    # 0.02 % is what is allowed; attempts at less than the least price here need more waits than a list may have, and with few
    # attempts before the horizon no wait of two digits may do
    assert listed.cost_s(price_s) <= best.cost_s * (1.002 if horizon_s > 60 else 1.01)


@pytest.mark.parametrize("world", [WIFI, CELLULAR])
def test_the_list_is_short_round_and_its_costs_are_stated(world):
    for price_s in (0.2, 1.0, 5.0):
        best = best_schedule(world.distribution(), world.failure_ratio, price_s)
        # cheap attempts make many before the last wait
        assert len(best.waits_s) <= (30 if price_s >= 1 else 48) and best.attempt_limit is None
        assert all(f"{wait:.2g}" == f"{wait:g}" or wait >= 100 for wait in best.waits_s)
        assert 0 <= best.rounding_cost_ratio <= 5e-4
        assert 0 <= best.jitter_cost_ratio <= 0.02  # 0.2 to 1.3 % of the downtime at two attempts or more
        assert best.cost_s == pytest.approx(best.downtime_mean_s + price_s * best.attempts_mean)


def test_jitter_by_draws_agrees_with_quadrature():
    # one attempt after w u, u ~ U(1/2, 3/2): the mean over 20,000 midpoints
    outage = WIFI.distribution()
    terms = Terms(1.0, horizon_s=60.0)
    points = 3.0 * (0.5 + (np.arange(20_000) + 0.5) / 20_000)[:, None]
    exact = evaluate(points, outage, terms)
    drawn = jittered_starts([3.0], terms, 0.5, np.random.default_rng(3), count=8192, attempt_limit=1)
    seen = evaluate(drawn, outage, terms)
    assert seen.downtime_mean_s == pytest.approx(exact.downtime_mean_s, rel=3e-3)  # about three standard errors
    assert seen.attempts_mean == exact.attempts_mean == 1.0


def test_a_blocked_network_is_given_up():
    edges = grid()
    fast = np.where(edges >= 5.0, 0.4, 0.4 * edges / 5.0)
    best = best_schedule(distribution_of(fast, edges), 0.0, 1.0)
    assert best.attempt_limit is not None and best.attempt_limit <= 6
    assert best.starts_s[-1] <= 5.2
    assert best_schedule(Distribution(edges, np.zeros(len(edges) - 1), 1.0), 0.0, 1.0).waits_s == ()


def test_attempts_after_a_fallback_are_rarer():
    outage = CELLULAR.distribution()
    alone = optimum(outage, Terms(1.0))
    backed = optimum(outage, Terms(1.0, fallback_s=10.0, fallback_rate=0.1))
    assert (backed.starts_s > 10).sum() < (alone.starts_s > 10).sum() / 2
    assert backed.cost_s < alone.cost_s


def test_terms_outside_their_range_are_refused():
    with pytest.raises(UsageError, match="price_s must be above 0"):
        Terms(0.0)
    with pytest.raises(UsageError, match="failure_ratio"):
        best_schedule(WIFI.distribution(), 1.0, 1.0)
    with pytest.raises(UsageError, match="ascending"):
        evaluate([3.0, 1.0], WIFI.distribution(), Terms(1.0))
