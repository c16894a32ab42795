"""The recommended schedule beside the fallback of the policy in place: retry, and poll meanwhile if the client can."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np

from wslog.policy.model import FloatArray, IntArray
from wslog.policy.policies import Fallback, Policy, Stepper
from wslog.policy.schedule import Schedule
from wslog.policy.schedule_policy import as_policy

NAME = "recommended"


@dataclass(frozen=True)
class WhilePolling(Policy):
    """A policy whose retries go on while the client is on its fallback.

    Parameters
    ----------
    polls_after : int
        Attempts after which the fallback begins; ``fallback.return_after_s`` is the wait until the attempt after that.
    """

    polls_after: int = 1

    def stepper(self, count: int, rng: np.random.Generator) -> Stepper:
        """Return the waits of ``count`` outages, one attempt at a time; NaN once, where the fallback begins."""
        return _WhilePolling(self, count, rng)


class _WhilePolling(Stepper):
    def next(self, active: IntArray) -> FloatArray:
        waits = super().next(active)
        assert isinstance(self.policy, WhilePolling)
        if self.retry == self.policy.polls_after + 1:
            return np.full(len(active), np.nan)
        # after the last attempt there is none, though the fallback goes on
        return np.where(np.isnan(waits), np.inf, waits)


def recommended(schedule: Schedule, current: Policy | None) -> Policy | None:
    """Return a schedule as a policy; None where no attempt is worth its price.

    If the policy in place falls back, the fallback begins where it begins now, after the attempts that fit in before, and the
    attempts go on meanwhile.
    """
    waits = schedule.waits_s
    if not waits:
        return None
    plain = as_policy(schedule, NAME)
    if current is None or current.fallback is None or current.max_attempts is None:
        return plain
    begins_s = sum(high for _, high in current.first_delays(current.max_attempts))
    starts_s = np.cumsum([waits[min(k, len(waits) - 1)] for k in range(1000)])
    after = max(1, int(np.searchsorted(starts_s, begins_s * (1 + 1e-9), side="right")))
    fallback = Fallback(current.fallback.transport, current.fallback.interval_s, waits[min(after, len(waits) - 1)])
    known = {field.name: getattr(plain, field.name) for field in fields(plain)}
    return WhilePolling(**{**known, "fallback": fallback, "polls_after": after})
