"""What a way of logging would buy is what it then buys."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tests.policy.worlds import CELLULAR, first_connects, linear_3, log_of, play
from wslog.errors import UsageError
from wslog.policy.estimate import estimate
from wslog.policy.figures import figures
from wslog.policy.gains import PLANS, LogGain, LogPlan, explored_for, log_gains, sd_of_share
from wslog.policy.gains_logs import write_log
from wslog.policy.model import grid
from wslog.policy.npmle import fit
from wslog.policy.patterns import compress
from wslog.policy.presets import presets
from wslog.policy.replay import respond
from wslog.policy.schedule_dp import Terms, evaluate
from wslog.policy.schedule_policy import policy_starts

NETWORK = replace(CELLULAR, blocked=0.0).distribution()
P = CELLULAR.failure_ratio


def test_a_written_log_holds_what_the_policy_does():
    rng = np.random.default_rng(1)
    count = 40_000
    terms = Terms(1.0, P, horizon_s=600.0)
    starts = policy_starts(presets()["linear-3"], terms, count, rng)
    log = write_log(NETWORK, CELLULAR.blocked, P, starts, LogPlan("polls", has_polls=True), rng)
    outage = CELLULAR.distribution()
    exact = evaluate(starts[:1], outage, terms)
    opened = np.zeros(count, bool)
    opened[log.outage[log.is_ok]] = True
    # four standard errors
    assert opened.mean() == pytest.approx(exact.recovery_ratio, abs=4 * 0.5 / np.sqrt(count))
    assert log.attempt_count.mean() == pytest.approx(exact.attempts_mean, abs=4 * 0.9 / np.sqrt(count))
    assert np.array_equal(np.isnan(log.fell_back_s), opened)
    assert log.is_ok[:-1][np.diff(log.outage) == 0].sum() == 0  # only the last attempt of an outage opens
    polled = ~np.isnan(log.poll_ok_s)
    assert np.all(log.poll_ok_s[polled] >= log.fell_back_s[polled]) and np.all(log.poll_ok_s[polled] <= 600)
    both = polled & ~np.isnan(log.poll_failed_s)
    assert np.allclose(log.poll_ok_s[both] - log.poll_failed_s[both], 1.0)
    # of those that fell back, polls came back as often as the network did
    later = fit(compress(log, grid()), grid(), failure_ratio=P)
    assert later.network.cdf(100.0) == pytest.approx(NETWORK.cdf(100.0), abs=0.01)
    assert later.blocked_ratio == pytest.approx(CELLULAR.blocked, abs=0.004)


def test_exploring_outages_look_at_every_age():
    rng = np.random.default_rng(2)
    starts = policy_starts(presets()["linear-3"], Terms(1.0, P), 5000, rng)
    log = write_log(NETWORK, CELLULAR.blocked, P, starts, LogPlan("some", explored_ratio=0.1), rng)
    is_long = log.attempt_count > 3
    assert np.isnan(log.poll_ok_s).all()
    assert 0.02 < is_long.mean() < 0.1  # a tenth explore, and half of those are back within three attempts
    late = log.start_s[log.start_s > 6]
    assert late.max() > 550 and (late > 100).sum() > 200
    left = write_log(NETWORK, 0.0, P, starts, LogPlan("now"), rng, stay_mean_s=2.0)
    assert left.is_left.any() and left.start_s.max() <= 6.0
    assert np.all(left.start_s < np.repeat(left.watched_s, left.attempt_count) + 1e-9)


@pytest.mark.parametrize("explored", [250])
def test_the_formula_for_exploring_holds(explored):
    at = np.asarray([10.0, 30.0, 100.0])
    edges = grid()
    found = []
    for repeat in range(20):
        rng = np.random.default_rng((explored, repeat))
        nothing = np.full((explored, 1), np.nan)
        log = write_log(NETWORK, CELLULAR.blocked, P, nothing, LogPlan("all", explored_ratio=1.0), rng)
        found.append(fit(compress(log, edges), edges, failure_ratio=P).websocket.cdf(at))
    predicted = [sd_of_share(float(share), explored) for share in CELLULAR.distribution().cdf(at)]
    # a standard deviation from 20 repeats is known to 16 %; the factor itself was between 0.9 and 1.3
    ratio = np.std(found, axis=0) / predicted
    assert np.all(ratio > 0.5) and np.all(ratio < 1.4)
    assert explored_for(0.9, sd_of_share(0.9, explored)) == pytest.approx(explored, abs=1)


@pytest.fixture(scope="module")
def predicted() -> dict[tuple[str, str], LogGain]:
    """Predicted from the truth of a world for 1,000 outages; the plans in order."""
    network = NETWORK
    first = first_connects(CELLULAR, 3000, np.random.default_rng(0))
    found = log_gains(
        network, CELLULAR.blocked, CELLULAR.failure_ratio, presets()["linear-3"], presets()["socket.io"], 1000, first=first, fail_s=0.07,
        plans=PLANS[:2], repeats=3,
    )  # fmt: skip
    return {(one.plan, one.quantity): one for one in found}


def test_the_first_successful_poll_is_the_cheapest_win(predicted):
    now = predicted["as now", "recovery_ratio"]
    polls = predicted["log the first successful poll", "recovery_ratio"]
    assert now.status == "bound" and polls.status != "bound"
    assert polls.width < now.width / 4
    for quantity in ("downtime_mean_s", "attempt_count_mean"):
        assert predicted["log the first successful poll", quantity].width < predicted["as now", quantity].width / 3
    assert polls.sentence(now).startswith(
        "log the first successful poll: recovery_ratio of socket.io would be known within "
    )
    assert "no better" in now.sentence(now)


def test_the_prediction_comes_true(predicted):
    """Logs with polls, written by code of their own: their intervals are as wide as predicted."""
    found: dict[str, list[float]] = {"recovery_ratio": [], "attempt_count_mean": [], "downtime_mean_s": []}
    target = presets()["socket.io"]
    for repeat in range(3):
        rng = np.random.default_rng((7, repeat))
        log = log_of(play(CELLULAR, linear_3, 1000, 3, rng), poll_s=1.0)
        seen = estimate(log, first_connects(CELLULAR, 3000, rng), rng=rng, replicates=40)
        response = respond(target, seen.rows, seen.conditions, seen.weights.failure_ratio, 600.0, 1)
        for figure in figures(seen, response):
            if figure.name in found:
                found[figure.name].append(figure.ci_high - figure.ci_low)
    for name, widths in found.items():
        width = predicted["log the first successful poll", name].width
        # medians of three; widths vary by a third from log to log, as 17 of 1,000 outages decide the tail
        assert 1 / 2 < width / np.median(widths) < 2


def test_misuse_is_refused():
    with pytest.raises(UsageError, match="explored_ratio"):
        LogPlan("x", explored_ratio=1.5)
    with pytest.raises(UsageError, match="two outages"):
        log_gains(NETWORK, 0.0, P, presets()["linear-3"], presets()["socket.io"], 1)
    with pytest.raises(UsageError, match="share from 0 to 1"):
        sd_of_share(1.2, 10)
    with pytest.raises(UsageError, match="sd above 0"):
        explored_for(0.5, 0.0)
