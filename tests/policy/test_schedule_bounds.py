"""Where the log leaves several worlds open, the schedule guards against all of them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tests.policy.regret import log
from tests.policy.worlds import CELLULAR, WIFI, first_connects, linear_3, log_of, play
from wslog.errors import UsageError
from wslog.policy.estimate import estimate
from wslog.policy.model import Distribution, grid
from wslog.policy.presets import presets
from wslog.policy.schedule import best_schedule
from wslog.policy.schedule_bounds import extremes, last_look_s, least_regret
from wslog.policy.schedule_dp import Terms, evaluate, optimum, starts_of
from wslog.policy.schedule_outages import planned
from wslog.policy.tuning_advice import group_advice
from wslog.policy.tuning_group import Compared, GroupTuning

TERMS = Terms(1.0, 0.06)
LINEAR = presets()["linear-3"]


def two() -> tuple[Distribution, Distribution]:
    """What three retries and no polls leave open at the ends: after 6 s everybody is back at once, or nobody ever."""
    known = CELLULAR.distribution()
    seen = np.where(known.edges_s[1:] <= 6.0, known.weight, 0.0)
    rest = 1 - float(seen.sum())
    soon = seen.copy()
    soon[int(np.searchsorted(known.edges_s, 6.0))] += rest
    return replace(known, weight=soon, never=0.0), replace(known, weight=seen, never=rest)


def worst(schedule, found, terms) -> float:
    starts = starts_of(schedule.waits_s, terms, schedule.attempt_limit)
    costs = [evaluate(starts, one, terms).cost_s(1.0) / optimum(one, terms).cost_s for one in found]
    return max(costs) - 1


def seen(world, poll_s=None, count=1000, seed=5):
    rng = np.random.default_rng(seed)
    made = log_of(play(world, linear_3, count, 3, rng), poll_s=poll_s)
    return estimate(made, first_connects(world, 3 * count, rng), rng=rng)


def test_it_guards_against_both_extremes():
    soon, never = two()
    guarded = least_regret([soon, never], TERMS)
    assert worst(guarded.schedule, (soon, never), TERMS) == pytest.approx(guarded.worst_regret_ratio)
    for one in (soon, never):
        assert guarded.worst_regret_ratio <= worst(best_schedule(one, 0.06, 1.0), (soon, never), TERMS) + 1e-9
    # a schedule that believes that nobody comes back stops, and would lose minutes if they do
    believer = best_schedule(never, 0.06, 1.0)
    assert guarded.worst_regret_ratio < worst(believer, (soon, never), TERMS) / 5


def test_no_mixture_of_two_is_better():
    """All mixtures of the two in steps of 10 %: the game's value lies among them, and the weights found come within a tenth of it."""
    soon, never = two()
    guarded = least_regret([soon, never], TERMS)
    best = min(
        worst(
            best_schedule(
                replace(soon, weight=(1 - s) * soon.weight + s * never.weight, never=s * never.never), 0.06, 1.0
            ),
            (soon, never),
            TERMS,
        )
        for s in np.linspace(0, 1, 11)
    )
    # rounding may cost 0.2 % of the mixture's cost
    assert guarded.worst_regret_ratio <= best * 1.1 + 0.004


def test_one_world_is_no_guess():
    known = CELLULAR.distribution()
    assert least_regret([known], TERMS).worst_regret_ratio <= 0.0025  # its rounding
    with pytest.raises(UsageError, match="one distribution"):
        least_regret([], TERMS)
    with pytest.raises(UsageError, match="one grid"):
        least_regret([known, Distribution(grid(100.0), np.zeros(len(grid(100.0)) - 1), 1.0)], TERMS)


@pytest.mark.parametrize("world", [CELLULAR, WIFI], ids=lambda world: world.name)
def test_a_log_without_polls_leaves_the_tail_open(world):
    found = seen(world)
    last = last_look_s(found)
    assert last == pytest.approx(6.2, abs=0.2)  # the third retry: 1 + 2 + 3 s and the failures between
    ends = extremes(found)
    assert len(ends) == 8  # doublings from 6.2 s to 600 s, and never
    for one in ends:
        assert one.weight.sum() + one.never == pytest.approx(1.0)
        # nothing but the tail differs: up to the last look the log decides
        assert one.cdf(6.0) == pytest.approx(ends[0].cdf(6.0), abs=1e-9)
    assert ends[-1].never == pytest.approx(1 - world.distribution().cdf(last), abs=0.04)  # 0.2 +- 3 sd of 1,000
    terms = Terms(1.0, found.fit.chance.failure_ratio)
    guarded, plain = least_regret(ends, terms), best_schedule(planned(found), terms.failure_ratio, 1.0)
    assert guarded.worst_regret_ratio < worst(plain, ends, terms)
    # the truth is none of the extremes, and costs less than any
    truth = world.distribution()
    starts = starts_of(guarded.schedule.waits_s, terms, guarded.schedule.attempt_limit)
    cost = evaluate(starts, truth, terms).cost_s(1.0) / optimum(truth, terms).cost_s - 1
    assert 0 < cost < guarded.worst_regret_ratio


def test_polls_and_jitter_leave_next_to_nothing_open():
    rng = np.random.default_rng(7)
    jittered = estimate(log("L3", WIFI, 1000, rng), first_connects(WIFI, 3000, rng), rng=rng)
    for found in (jittered, seen(WIFI, poll_s=1.0)):
        terms = Terms(1.0, found.fit.chance.failure_ratio)
        plain = best_schedule(planned(found), terms.failure_ratio, 1.0)
        # nobody watches for ever: a few in a thousand outages end when nobody looks
        assert worst(plain, extremes(found), terms) < 0.02


def tuned(found):
    return GroupTuning({"network_type": "wifi"}, found, (Compared(LINEAR, "current"),), 1.0, 0)


def test_a_tuning_guards_where_its_figures_are_bounds_and_says_so():
    group = tuned(seen(WIFI))
    assert {f.status for f in group.figures["recommended"] if f.name == "downtime_mean_s"} == {"bound"}
    assert group.guarded is not None and group.schedule is group.guarded.schedule
    assert group.made_for is group.guarded.made_for
    words = next(row["text"] for row in group_advice("wifi", group, None) if row["kind"] == "caution")
    assert "too few looks to tell when outages that last longer than 6.2" in words
    assert f"at most {100 * group.guarded.worst_regret_ratio:.0f} % more" in words


def test_a_tuning_whose_log_reaches_far_enough_takes_the_best_schedule():
    group = tuned(seen(WIFI, poll_s=1.0))
    assert group.guarded is None and group.made_for is group.outage
    assert not [row for row in group_advice("wifi", group, None) if row["kind"] == "caution"]
