"""The recommended schedule as a policy that can be replayed: retry, and poll meanwhile if the client can."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from wslog.policy.backoff import Backoff
from wslog.policy.model import FloatArray, IntArray
from wslog.policy.policies import Fallback, Policy, Stepper
from wslog.policy.schedule import Schedule

NAME = "recommended"


@dataclass(frozen=True)
class Recommended(Policy):
    """A policy whose retries go on while the client is on its fallback.

    Parameters
    ----------
    polls_after : int or None
        Attempts after which the fallback begins; ``fallback.return_after_s`` is the wait until the attempt after that. None:
        the fallback comes after the last attempt, as with any policy.
    """

    polls_after: int | None = None

    def stepper(self, count: int, rng: np.random.Generator) -> Stepper:
        """Return the waits of ``count`` outages, one attempt at a time; NaN once, where the fallback begins."""
        return Stepper(self, count, rng) if self.polls_after is None else _WhilePolling(self, count, rng)


class _WhilePolling(Stepper):
    def next(self, active: IntArray) -> FloatArray:
        waits = super().next(active)
        assert isinstance(self.policy, Recommended)
        if self.policy.polls_after is not None and self.retry == self.policy.polls_after + 1:
            return np.full(len(active), np.nan)
        # after the last attempt there is none, though the fallback goes on
        return np.where(np.isnan(waits), np.inf, waits)


def policy_of_waits(
    waits_s: tuple[float, ...],
    jitter: float,
    attempt_limit: int | None = None,
    fallback: Fallback | None = None,
    polls_after: int | None = None,
    connect_timeout_s: float = float("inf"),
    name: str = NAME,
) -> Recommended:
    """Return the policy of a list of waits, each multiplied by U(1 - jitter, 1 + jitter), the last one repeating."""
    listed = tuple((wait * (1 - jitter), wait * (1 + jitter)) for wait in waits_s[:-1])
    return Recommended(
        name=name,
        waits_s=listed,
        backoff=Backoff("constant", base_s=waits_s[-1], jitter="plus_minus", jitter_ratio=jitter),
        max_attempts=attempt_limit,
        connect_timeout_s=connect_timeout_s,
        fallback=fallback,
        source="the outages of these logs",
        polls_after=polls_after,
    )


def recommended(schedule: Schedule, current: Policy | None) -> Recommended | None:
    """Return the policy of a schedule beside the fallback of the policy in place; None where no attempt is worth its price.

    Polling begins where it begins now, after the attempts that fit in before; the attempts go on meanwhile.
    """
    waits = schedule.waits_s
    if not waits:
        return None
    patience = float("inf") if current is None else current.connect_timeout_s
    if current is None or current.fallback is None or current.max_attempts is None:
        return policy_of_waits(waits, schedule.jitter, schedule.attempt_limit, connect_timeout_s=patience)
    begins_s = sum(high for _, high in current.first_delays(current.max_attempts))
    starts_s = np.cumsum([waits[min(k, len(waits) - 1)] for k in range(1000)])
    after = max(1, int(np.searchsorted(starts_s, begins_s * (1 + 1e-9), side="right")))
    back = Fallback(current.fallback.transport, current.fallback.interval_s, waits[min(after, len(waits) - 1)])
    return policy_of_waits(waits, schedule.jitter, schedule.attempt_limit, back, after, patience)
