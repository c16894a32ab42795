"""A schedule becomes a policy with the same waits; policies keep their rhythm as starts; the regret of estimates is small."""

from __future__ import annotations

import numpy as np
import pytest

from tests.policy.worlds import CELLULAR, WIFI
from wslog.errors import UsageError
from wslog.policy.presets import presets
from wslog.policy.schedule import best_schedule
from wslog.policy.schedule_dp import Terms, evaluate, jittered_starts
from wslog.policy.schedule_policy import as_policy, policy_starts


@pytest.mark.parametrize("fail_s", [0.0, 0.7])
def test_the_policy_does_what_the_schedule_promises(fail_s):
    outage = CELLULAR.distribution()
    best = best_schedule(outage, 0.06, 1.0, fail_s=fail_s)
    policy = as_policy(best, "best")
    seen = evaluate(policy_starts(policy, best.terms, 3000, np.random.default_rng(1)), outage, best.terms)
    # 3,000 and 512 draws of the jitter: standard errors of 0.1 % and, antithetic, less
    assert seen.downtime_mean_s == pytest.approx(best.downtime_mean_s, rel=0.005)
    assert seen.attempts_mean == pytest.approx(best.attempts_mean, rel=0.01)
    still = as_policy(best, "best", jitter=0.0)
    assert still.first_delays(3) == [(wait, wait) for wait in best.waits_s[:3]]
    exact = evaluate(policy_starts(still, best.terms, 1, np.random.default_rng(1)), outage, best.terms)
    assert exact.downtime_mean_s == pytest.approx(best.plain.downtime_mean_s, rel=1e-9)
    with pytest.raises(UsageError, match="jitter"):
        as_policy(best, "best", jitter=1.5)


def test_a_schedule_that_gives_up_is_a_policy_that_gives_up():
    outage = WIFI.distribution()
    dear = best_schedule(outage, 0.0, 1e5)
    assert dear.waits_s == () and as_policy(dear, "none").max_attempts == 0
    assert policy_starts(as_policy(dear, "none"), dear.terms, 5, np.random.default_rng(0)).shape == (5, 0)


def test_presets_keep_their_rhythm():
    terms = Terms(1.0, horizon_s=60.0, fail_s=0.5)
    rng = np.random.default_rng(2)
    known = presets()
    assert policy_starts(known["signalr"], terms, 1, rng)[0] == pytest.approx([0, 2.5, 13.0, 43.5])
    assert policy_starts(known["linear-3"], terms, 1, rng)[0] == pytest.approx([1, 3.5, 7.0])
    assert policy_starts(known["fixed-5s"], terms, 1, rng)[0] == pytest.approx(5 + 5.5 * np.arange(10))
    # a wait that counts from the begin of the attempt before is not prolonged by its duration
    grpc = policy_starts(known["grpc"], terms, 500, rng)
    first_gap = grpc[:, 1] - grpc[:, 0]
    assert first_gap.min() >= 1.28 and first_gap.max() <= 1.92
    for policy in known.values():
        starts = policy_starts(policy, terms, 20, rng)
        gaps = np.diff(np.where(np.isinf(starts), np.nan, starts), axis=1)
        assert np.all((gaps >= 0.5 - 1e-9) | np.isnan(gaps)) and np.all((starts < 60) | np.isinf(starts))


def test_jittered_lists_and_policies_agree_in_law():
    terms = Terms(1.0, horizon_s=100.0)
    outage = WIFI.distribution()
    best = best_schedule(outage, 0.0, 2.0, horizon_s=100.0)
    listed = jittered_starts(best.waits_s, terms, 0.5, np.random.default_rng(1), 4000)
    played = policy_starts(as_policy(best, "best"), terms, 4000, np.random.default_rng(2))
    for k in range(3):
        # quartiles of 4,000 draws each: standard error about 1 % of the spread
        assert np.quantile(listed[:, k], [0.25, 0.5, 0.75]) == pytest.approx(
            np.quantile(played[:, k], [0.25, 0.5, 0.75]), rel=0.05
        )
