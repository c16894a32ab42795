"""Lists of waits: costs against the exact evaluation, lengths against all lists there are, digits a person writes."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.policy.regret import CHOSEN_ON, UNSEEN
from tests.policy.worlds import CELLULAR, WIFI
from wslog.policy import schedule_list
from wslog.policy.schedule_dp import Terms, evaluate, optimum, starts_of
from wslog.policy.schedule_list import FINE_S, LADDER_S, MOST_ROUNDING, MOST_WAITS, _Search, rounded

WORLDS = {**CHOSEN_ON, **UNSEEN}


@given(
    waits=st.lists(st.floats(0.2, 200), min_size=1, max_size=12), failure_ratio=st.sampled_from([0.0, 0.06, 0.5]),
    fail_s=st.sampled_from([0.0, 0.7]), fallback=st.sampled_from([(float("inf"), 1.0), (6.0, 0.2)]),
    stop_ratio=st.sampled_from([1.0, 0.3]),
)  # fmt: skip
@settings(deadline=None, max_examples=60)
def test_the_costs_of_the_search_are_the_exact_ones(waits, failure_ratio, fail_s, fallback, stop_ratio):
    outage = CELLULAR.distribution()
    # no sum of a few waits meets such a horizon to the last digit, where one attempt more or less would be chance
    terms = Terms(1.5, failure_ratio, 601.2345678, fail_s, 0.2, *fallback)
    until_s = stop_ratio * terms.horizon_s
    lists = np.asarray([waits, waits[::-1]])
    seen = _Search(optimum(outage, terms), outage, until_s).costs(lists)
    for cost, one in zip(seen, lists, strict=True):
        starts = starts_of(one, terms)
        known = evaluate(starts[starts < until_s], outage, terms).cost_s(terms.price_s)
        assert cost == pytest.approx(known, rel=1e-9)


@pytest.mark.parametrize("name", ["wifi", "campus", "spread"])
@pytest.mark.parametrize("allowed", [0.01, 0.03, 0.1])
def test_no_shorter_list_is_cheap_enough(name, allowed, monkeypatch):
    ladder = np.asarray([0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0])
    monkeypatch.setattr(schedule_list, "LADDER_S", ladder)
    monkeypatch.setattr(schedule_list, "FINE_S", ladder)
    outage = WORLDS[name].distribution()
    exact = optimum(outage, Terms(2.0, 0.02, 60.0))
    search = _Search(exact, outage, 60.0)
    waits, limit = rounded(exact, outage, allowed)
    least = [
        search.costs(np.asarray(list(itertools.product(ladder, repeat=length)))).min() / exact.cost_s - 1
        for length in range(1, 6)
    ]
    shortest = next((length for length, cost in enumerate(least, 1) if cost <= allowed), 6)
    cost = evaluate(starts_of(waits, exact.terms, limit), outage, exact.terms).cost_s(2.0) / exact.cost_s - 1
    # with steps of a factor of two a list may miss what is allowed at any length
    assert limit is None and (cost <= allowed or min(least) > allowed)
    # moves of one or two waits can stop short of the best list: one wait more, seldom
    assert shortest <= len(waits) <= shortest + 1 or cost > allowed


@pytest.mark.parametrize("name", WORLDS)
@pytest.mark.parametrize("price_s", [0.2, 1.0, 5.0])
def test_lists_are_short_written_in_two_digits_and_cheap(name, price_s):
    world = WORLDS[name]
    outage, terms = world.distribution(), Terms(price_s, world.failure_ratio)
    exact = optimum(outage, terms)
    waits, limit = rounded(exact, outage)
    cost = evaluate(starts_of(waits, terms, limit), outage, terms).cost_s(price_s)
    # the last wait before the horizon is one of few, and none may meet it
    assert cost <= exact.cost_s * (1 + (MOST_ROUNDING if price_s < 5 else 5e-4))
    assert len(waits) <= {0.2: MOST_WAITS, 1.0: 30, 5.0: 16}[price_s]
    assert all(float(f"{wait:.2g}") == wait for wait in waits)
    # giving up is for outages that do not end, not for a horizon that does
    assert limit is None or exact.starts_s[-1] < terms.horizon_s / 2


def test_a_long_last_wait_stands_for_attempts_that_the_horizon_makes_too_late():
    # attempts at 5 s apiece: one more, a few seconds before the horizon, would cost 0.3 %
    world = CHOSEN_ON["vpn"]
    exact = optimum(world.distribution(), Terms(5.0, world.failure_ratio))
    waits, limit = rounded(exact, world.distribution())
    assert limit is None and exact.starts_s[-1] > 300
    made = starts_of(waits, exact.terms)
    assert len(made) == len(exact.starts_s) and waits[-1] > 1.2 * waits[-2]


def test_ladders_hold_what_people_write():
    assert set(LADDER_S.tolist()) <= set(FINE_S.tolist()) and len(FINE_S) < 110
    assert np.all(np.diff(FINE_S) / FINE_S[:-1] < 0.26)  # 0.1, 0.12 ... and steps of a quarter at most at 200
    assert WIFI.distribution().survival(LADDER_S[0]) > 0.5  # shorter first waits would find next to nobody
