"""Reconnect policies: what a client does after a failure, as small objects.

A policy is asked before every retry how long to wait; ``None`` means that it stops: the client then polls over HTTP if it
can, else it gives up. All randomness comes from the generator it is handed.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Protocol

from wslog.errors import UsageError


class Policy(Protocol):
    """What the simulated client follows.

    Attributes
    ----------
    name : str
    max_retries : int or None
        Written into the telemetry; None when the policy never stops.
    poll_ms : int
        Time between two polls after the fallback.
    """

    @property
    def name(self) -> str: ...
    @property
    def max_retries(self) -> int | None: ...
    @property
    def poll_ms(self) -> int: ...

    def delay_ms(self, attempt_number: int, last_delay: float, rng: random.Random) -> float | None:
        """Return the wait in ms before retry ``attempt_number`` (from 1 on; every open starts anew), None to stop.

        ``last_delay`` is the wait before the retry before, 0 for the first.
        """
        ...


@dataclass(frozen=True)
class FixedDelays:
    """Waits from a list, then HTTP polling: the reference policy waits 1, 2, 3 s and polls each second."""

    name: str = "reference"
    delays_ms: tuple[int, ...] = (1000, 2000, 3000)
    poll_ms: int = 1000

    @property
    def max_retries(self) -> int:
        return len(self.delays_ms)

    def delay_ms(self, attempt_number: int, last_delay: float, rng: random.Random) -> float | None:
        return float(self.delays_ms[attempt_number - 1]) if attempt_number <= len(self.delays_ms) else None


@dataclass(frozen=True)
class FullJitter:
    """Uniform waits below an exponential bound, without end (AWS, "Exponential backoff and jitter")."""

    name: str = "full_jitter"
    base_ms: int = 1000
    cap_ms: int = 30_000
    poll_ms: int = 1000

    @property
    def max_retries(self) -> None:
        return None

    def delay_ms(self, attempt_number: int, last_delay: float, rng: random.Random) -> float | None:
        return rng.uniform(0.0, min(self.cap_ms, self.base_ms * 2.0 ** min(attempt_number - 1, 30)))


POLICIES: dict[str, Policy] = {policy.name: policy for policy in (FixedDelays(), FullJitter())}


def policy_of(policy: str | Policy) -> Policy:
    """Return a policy by its name; a policy object is returned as it is.

    Raises
    ------
    UsageError
    """
    if not isinstance(policy, str):
        return policy
    if policy not in POLICIES:
        raise UsageError(f"no policy {policy!r}: choose one of {', '.join(POLICIES)}")
    return POLICIES[policy]
