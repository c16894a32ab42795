"""Logs as they would be: outages drawn from an estimate, written under a policy and a way of logging.

This is how the worth of one more log field, or of exploring, is predicted before anybody changes a client.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from wslog.errors import UsageError
from wslog.policy.model import FAILURES, BoolArray, Distribution, FloatArray, Outages
from wslog.policy.schedule_dp import Terms, jittered_starts

EXPLORING_WAITS_S = (0.3, 0.5, 1.0, 1.5, 2.5, 4.0, 6.0, 9.0, 13.0, 19.0, 28.0, 40.0)
"""Waits of a session that explores; the last repeats to the horizon. Spread by 90 %, they look at every age of an outage."""

EXPLORING_JITTER = 0.9


@dataclass(frozen=True)
class LogPlan:
    """A way of logging.

    Parameters
    ----------
    name : str
    has_polls : bool
        The last failed and the first successful poll after a fallback are logged.
    explored_ratio : float
        Share of outages that go through the long randomised schedule instead of the policy.
    poll_every_s : float
        Interval of the polls.
    """

    name: str
    has_polls: bool = False
    explored_ratio: float = 0.0
    poll_every_s: float = 1.0

    def __post_init__(self) -> None:
        if not 0 <= self.explored_ratio <= 1:
            raise UsageError(f"explored_ratio must be from 0 to 1, not {self.explored_ratio}")
        if not self.poll_every_s > 0:
            raise UsageError(f"poll_every_s must be above 0, not {self.poll_every_s}")


PLANS = (
    LogPlan("as now"),
    LogPlan("log the first successful poll", has_polls=True),
    LogPlan("explore 5 % of outages", explored_ratio=0.05),
    LogPlan("explore 10 % of outages", explored_ratio=0.1),
)
"""What is compared by default."""


def write_log(
    outage: Distribution,
    blocked_ratio: float,
    failure_ratio: float,
    starts_s: FloatArray,
    plan: LogPlan,
    rng: np.random.Generator,
    *,
    horizon_s: float = 600.0,
    fail_s: float = 0.0,
    falls_back: bool = True,
    stay_mean_s: float = float("inf"),
) -> Outages:
    """Return outages as the plan would log them.

    Parameters
    ----------
    outage : Distribution
        Of the instant at which the network is back.
    blocked_ratio : float
        Share of outages in which a WebSocket never opens although the network is back.
    failure_ratio : float
        Probability that an attempt fails by chance.
    starts_s : (n, k) float array
        Starts of the policy's attempts, one row for each outage; NaN where it makes no more.
    plan : LogPlan
        What is logged.
    rng : numpy.random.Generator
    horizon_s : float
        Clients are watched so far at most.
    fail_s : float
        Duration of a failed attempt.
    falls_back : bool
        Polling follows the last attempt (else the client gives up).
    stay_mean_s : float
        Mean of the exponential time that people stay, whatever the outage does.
    """
    count = len(starts_s)
    # not Distribution.draw: its strata would make the log more regular than chance does
    network = outage.quantile(rng.random(count))
    socket = np.where(rng.random(count) < blocked_ratio, np.inf, network)
    is_explored = rng.random(count) < plan.explored_ratio
    terms = Terms(1.0, failure_ratio, horizon_s, fail_s)
    starts = _joined(starts_s, is_explored, terms, rng)
    watched = np.minimum(rng.exponential(stay_mean_s, count) if np.isfinite(stay_mean_s) else horizon_s, horizon_s)
    watched = np.broadcast_to(watched, count).astype(np.float64)
    is_made = starts < np.where(is_explored, watched, np.minimum(watched, horizon_s))[:, None]
    opens = is_made & (starts >= socket[:, None]) & (rng.random(starts.shape) >= failure_ratio)
    is_open = np.asarray(opens.any(axis=1), np.bool_)
    first_open = np.where(is_open, opens.argmax(axis=1), starts.shape[1])
    is_made &= np.arange(starts.shape[1]) <= first_open[:, None]
    made = is_made.sum(axis=1)
    last = np.where(made > 0, starts[np.arange(count), np.maximum(made - 1, 0)], 0.0)
    falls = ~is_open & ~is_explored & (last + fail_s < watched) if falls_back else np.zeros(count, np.bool_)
    fell = np.where(falls, last + fail_s, np.nan)
    return _outages(starts, is_made, opens, fail_s, watched, is_open, fell, network, plan, rng)


def _joined(starts_s: FloatArray, is_explored: BoolArray, terms: Terms, rng: np.random.Generator) -> FloatArray:
    """Return the starts, those of explored outages replaced; inf where there is no attempt."""
    starts = np.where(np.isnan(starts_s), np.inf, starts_s)
    explored = int(is_explored.sum())
    if not explored:
        return starts
    long = jittered_starts(EXPLORING_WAITS_S, terms, EXPLORING_JITTER, rng, explored)
    wide = np.full((len(starts), max(starts.shape[1], long.shape[1])), np.inf)
    wide[:, : starts.shape[1]] = starts
    wide[is_explored] = np.inf
    wide[is_explored, : long.shape[1]] = long
    return wide


def _outages(
    starts: FloatArray,
    is_made: BoolArray,
    opens: BoolArray,
    fail_s: float,
    watched: FloatArray,
    is_open: BoolArray,
    fell: FloatArray,
    network: FloatArray,
    plan: LogPlan,
    rng: np.random.Generator,
) -> Outages:
    count = len(starts)
    is_ok = opens[is_made]
    start = starts[is_made]
    poll_failed, poll_ok = _polls(fell, network, watched, plan, rng)
    kind = np.where(is_ok, FAILURES.index("none"), FAILURES.index("fast"))
    return Outages(
        first=np.concatenate(([0], np.cumsum(is_made.sum(axis=1)))).astype(np.int64),
        start_s=start,
        end_s=start + np.where(is_ok, 0.0, fail_s),
        is_ok=is_ok,
        failure=kind.astype(np.int64),
        cluster=np.arange(count, dtype=np.int64),
        weight=np.ones(count),
        is_initial=np.zeros(count, np.bool_),
        is_left=~is_open & (watched < np.inf),
        watched_s=np.where(is_open, np.maximum(np.max(np.where(opens & is_made, starts, 0.0), axis=1), 0.0), watched),
        fell_back_s=fell,
        poll_failed_s=poll_failed,
        poll_ok_s=poll_ok,
    )


def _polls(
    fell: FloatArray, network: FloatArray, watched: FloatArray, plan: LogPlan, rng: np.random.Generator
) -> tuple[FloatArray, FloatArray]:
    """Return the last poll that failed and the first that succeeded; NaN where none was logged."""
    nothing = np.full(len(fell), np.nan)
    if not plan.has_polls:
        return nothing, nothing.copy()
    phase = fell + plan.poll_every_s * rng.random(len(fell))
    # polls run at phase, phase + every, ...; the first at or after the network's return succeeds
    steps = np.maximum(np.ceil((np.minimum(network, watched) - phase) / plan.poll_every_s), 0.0)
    ok = phase + steps * plan.poll_every_s
    is_seen = (ok <= watched) & np.isfinite(network)
    last = np.where(is_seen, ok, phase + np.floor((watched - phase) / plan.poll_every_s + 1) * plan.poll_every_s)
    failed = last - plan.poll_every_s
    return np.where(failed >= phase - 1e-9, failed, np.nan), np.where(is_seen, ok, np.nan)
