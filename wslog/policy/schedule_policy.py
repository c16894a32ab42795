"""Between schedules and policies: a recommended schedule as a policy that can be replayed, a policy as draws of its starts."""

from __future__ import annotations

import numpy as np

from wslog.errors import UsageError
from wslog.policy.backoff import Backoff
from wslog.policy.model import FloatArray
from wslog.policy.policies import Policy
from wslog.policy.schedule import Schedule
from wslog.policy.schedule_dp import Terms

MOST_STARTS = 4000
"""Attempts of one outage that are followed: a policy that waits 0 s for ever would never reach the horizon."""


def as_policy(
    schedule: Schedule,
    name: str,
    jitter: float | None = None,
    *,
    connect_timeout_s: float = 10.0,
    reset_after_s: float = 5.0,
) -> Policy:
    """Return a schedule as a policy.

    Parameters
    ----------
    schedule : Schedule
    name : str
        Of the policy.
    jitter : float, optional
        Each wait is drawn from U(1 - jitter, 1 + jitter) times itself; default: the schedule's own.
    connect_timeout_s : float
        Patience with one attempt.
    reset_after_s : float
        Uptime after which the list starts anew.

    Raises
    ------
    UsageError
        A jitter that is not from 0 to 1.
    """
    spread = schedule.jitter if jitter is None else jitter
    if not 0 <= spread <= 1:
        raise UsageError(f"jitter must be from 0 to 1, not {spread}")
    limit = schedule.attempt_limit if schedule.waits_s else 0
    last = schedule.waits_s[-1] if schedule.waits_s else 1.0
    tail = Backoff("constant", last, jitter="plus_minus" if spread else "none", jitter_ratio=spread)
    return Policy(
        name,
        waits_s=tuple((wait * (1 - spread), wait * (1 + spread)) if spread else wait for wait in schedule.waits_s),
        backoff=tail,
        max_attempts=limit,
        connect_timeout_s=connect_timeout_s,
        reset="after_uptime",
        reset_after_s=reset_after_s,
        source="the schedule of least cost for these outages",
        notes=f"an attempt is priced at {schedule.price_s:g} s of downtime",
    )


def policy_starts(policy: Policy, terms: Terms, count: int, rng: np.random.Generator) -> FloatArray:
    """Return (count, k) starts of a policy's attempts up to the horizon; inf where it makes no more.

    Failed attempts last ``terms.fail_s``. Only WebSocket attempts count: what a fallback does is not in it, and neither is a way
    back from it.
    """
    stepper, everyone = policy.stepper(count, rng), np.arange(count, dtype=np.int64)
    columns: list[FloatArray] = []
    begin, end = np.zeros(count), np.zeros(count)
    while len(columns) < MOST_STARTS:
        wait = stepper.next(everyone)
        start = np.maximum((begin if policy.is_wait_from_start else end) + wait, end)
        start = np.where(np.isnan(wait) | (start >= terms.horizon_s), np.inf, start)
        if np.isinf(start).all():
            break
        columns.append(start)
        begin, end = start, start + terms.fail_s
    return np.stack(columns, axis=1) if columns else np.empty((count, 0))
