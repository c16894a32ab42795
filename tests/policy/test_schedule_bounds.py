"""Where the log leaves two worlds open, the schedule guards against both."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tests.policy.mixtures import CELLULAR
from wslog.errors import UsageError
from wslog.policy.model import Distribution, grid
from wslog.policy.schedule import best_schedule
from wslog.policy.schedule_bounds import least_regret
from wslog.policy.schedule_dp import Terms, evaluate, optimum, starts_of


def extremes() -> tuple[Distribution, Distribution]:
    """What three retries and no polls leave open: after 6 s everybody is back at once, or nobody ever."""
    known = CELLULAR.distribution()
    seen = np.where(known.edges_s[1:] <= 6.0, known.weight, 0.0)
    rest = 1 - float(seen.sum())
    soon = seen.copy()
    soon[int(np.searchsorted(known.edges_s, 6.0))] += rest
    return replace(known, weight=soon, never=0.0), replace(known, weight=seen, never=rest)


def test_it_guards_against_both_extremes():
    soon, never = extremes()
    terms = Terms(1.0, 0.06)
    guarded = least_regret([soon, never], 0.06, 1.0, bandwidth=0)

    def worst(waits, limit) -> float:
        starts = starts_of(waits, terms, limit)
        return max(evaluate(starts, one, terms).cost_s(1.0) / optimum(one, terms).cost_s for one in (soon, never)) - 1

    assert worst(guarded.schedule.waits_s, guarded.schedule.attempt_limit) == pytest.approx(guarded.worst_regret_ratio)
    for one in (soon, never):
        alone = best_schedule(one, 0.06, 1.0, bandwidth=0)
        assert guarded.worst_regret_ratio <= worst(alone.waits_s, alone.attempt_limit) + 1e-9
    # a schedule that believes that nobody comes back stops, and would lose minutes if they do
    believer = best_schedule(never, 0.06, 1.0, bandwidth=0)
    assert guarded.worst_regret_ratio < worst(believer.waits_s, believer.attempt_limit) / 5


def test_one_world_is_no_guess():
    known = CELLULAR.distribution()
    alone = least_regret([known], 0.06, 1.0, bandwidth=0)
    assert alone.worst_regret_ratio <= 0.0015
    with pytest.raises(UsageError, match="one distribution"):
        least_regret([], 0.06, 1.0)
    with pytest.raises(UsageError, match="one grid"):
        least_regret([known, Distribution(grid(100.0), np.zeros(len(grid(100.0)) - 1), 1.0)], 0.06, 1.0)
