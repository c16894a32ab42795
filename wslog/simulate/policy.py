"""A simulated client on its way through a policy of :mod:`wslog.policy`: one wait after another, its counter reset as told.

Every abnormal end is retried, whatever its code (:meth:`wslog.policy.policies.Policy.is_retried` is not asked), the server's first
message comes with the open, and who fell back stays there: the way back to the WebSocket is not simulated.
"""

from __future__ import annotations

import os

import numpy as np

from wslog.policy.policies import Policy, Stepper
from wslog.policy.presets import load_policy, presets

POLICIES = presets()


def policy_of(policy: str | os.PathLike[str] | Policy) -> Policy:
    """Return a policy by its name or from its TOML file; a policy object is returned as it is.

    Raises
    ------
    UsageError
    """
    return policy if isinstance(policy, Policy) else load_policy(policy)


class Walk:
    """The waits of one client session.

    Parameters
    ----------
    policy : Policy
    seed : int
        Of the jitter: apart from the world's own chance, so that a policy does not change what happens to its clients.
    """

    def __init__(self, policy: Policy, seed: int) -> None:
        self.policy = policy
        self._rng = np.random.default_rng(seed if policy.has_jitter else 0)
        self._drop = policy.stepper(1, self._rng)
        initial = policy.initial()
        self._initial = self._drop if initial is policy else initial.stepper(1, self._rng)
        self._stepper: Stepper = self._initial
        self._everyone = np.zeros(1, np.int64)

    @property
    def retry(self) -> int:
        """Number of the retry that the last wait led to; 0 after a reset."""
        return self._stepper.retry

    def opened(self, lifetime_s: float) -> None:
        """Take note of a connection that was open for so long."""
        if self.policy.reset != "after_uptime" or lifetime_s >= self.policy.reset_after_s:
            self._stepper = self._drop
            self._stepper.reset()

    def next_s(self, attempt_s: float) -> float | None:
        """Return the wait before the next retry, None when there is none.

        Parameters
        ----------
        attempt_s : float
            How long the attempt that failed took: part of the wait where the policy counts from its begin.
        """
        wait = float(self._stepper.next(self._everyone)[0])
        if wait != wait:
            return None
        return max(0.0, wait - attempt_s) if self.policy.is_wait_from_start else wait
