"""Log advice: what one more log field, or exploring with a small share of outages, would buy in interval width.

Predicted by doing it: outages are drawn from the estimate, logged the other way, estimated again, and the same figure is read off
with its interval or its bounds. The prediction is as good as the estimate it starts from, and no better.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, sqrt

import numpy as np

from wslog.errors import UsageError
from wslog.policy.estimate import estimate
from wslog.policy.figures import FIGURES, Figure, figures
from wslog.policy.gains_logs import PLANS, LogPlan, write_log
from wslog.policy.model import Distribution
from wslog.policy.npmle import FirstConnects
from wslog.policy.policies import Policy
from wslog.policy.replay import respond
from wslog.policy.schedule_dp import Terms
from wslog.policy.schedule_policy import policy_starts

__all__ = ["PLANS", "LogGain", "LogPlan", "explored_for", "log_gains", "sd_of_share"]

QUANTITIES = ("recovery_ratio", "downtime_p50_s", "downtime_p95_s", "downtime_mean_s", "attempt_count_mean")

SD_FACTOR = 1.3
"""Standard deviation of F(x) in units of that of as many outages whose ends are seen exactly: measured 0.9 to 1.3 from 10 s on, and
1.5 to 1.9 below 3 s, where the exploring waits are longer than the blips."""

REPLICATES = 40
"""Of the sessions: an interval from so many is a tenth too wide or too narrow."""


@dataclass(frozen=True)
class LogGain:
    """How well a figure of a policy would be known under a way of logging.

    Parameters
    ----------
    plan : str
        Name of the :class:`LogPlan`.
    policy : str
        Whose figure it is.
    quantity : str
        One of :data:`QUANTITIES`.
    outages : int
        Outages logged.
    width : float
        Width of the 95 % interval, or of the interval about the bounds where the log gives no more than bounds; median over the
        simulated logs.
    status : str
        What the figure rests on in most of them: identified, assumed or bound.
    assumption : str
        What it assumes, if it is assumed.
    """

    plan: str
    policy: str
    quantity: str
    outages: int
    width: float
    status: str
    assumption: str

    def sentence(self, now: LogGain) -> str:
        """Return what it buys against the log as it is now."""
        if now.width <= 0:
            return f"{self.plan}: {self.quantity} of {self.policy} is known already."
        if self.width >= now.width:
            return (
                f"{self.plan}: {self.quantity} of {self.policy} would be known no better with {self.outages:,} outages."
            )
        return (
            f"{self.plan}: {self.quantity} of {self.policy} would be known within {_size(self)} ({self.status}) instead of "
            f"{_size(now)} ({now.status}), with {self.outages:,} outages."
        )


def _size(gain: LogGain) -> str:
    if gain.quantity.endswith("_ratio"):
        return f"{100 * gain.width:.2g} percentage points"
    return f"{gain.width:.3g}{' s' if gain.quantity.endswith('_s') else ''}"


def log_gains(
    network: Distribution,
    blocked_ratio: float,
    failure_ratio: float,
    current: Policy,
    target: Policy,
    outages: int,
    *,
    plans: Sequence[LogPlan] = PLANS,
    first: FirstConnects | None = None,
    horizon_s: float = 600.0,
    fail_s: float = 0.0,
    stay_mean_s: float = float("inf"),
    repeats: int = 1,
    seed: int = 0,
) -> list[LogGain]:
    """Return how well the figures of ``target`` would be known under each way of logging.

    Parameters
    ----------
    network, blocked_ratio, failure_ratio : Distribution, float, float
        The estimate: ``Estimate.fit.network``, ``.fit.blocked_ratio``, ``.fit.chance.failure_ratio``.
    current : Policy
        The policy that clients run while the log is written.
    target : Policy
        The policy whose figures are wanted.
    outages : int
        Outages logged, under every plan the same number.
    plans : sequence of LogPlan
    first : FirstConnects, optional
        Evidence about failures by chance, as there is now.
    horizon_s : float
    fail_s : float
        Duration of a failed attempt.
    stay_mean_s : float
        Mean of the exponential time that people stay; inf: to the horizon.
    repeats : int
        Simulated logs of each plan.
    seed : int

    Returns
    -------
    list of LogGain
        One for each plan and quantity, in the order of the plans.

    Raises
    ------
    UsageError
        Fewer than two outages, or no repeat.
    """
    if outages < 2 or repeats < 1:
        raise UsageError("log_gains needs two outages and one repeat at least")
    found: list[LogGain] = []
    for place, plan in enumerate(plans):
        seen: dict[str, list[Figure]] = {name: [] for name in QUANTITIES}
        for repeat in range(repeats):
            rng = np.random.default_rng((seed, place, repeat))
            starts = policy_starts(current, Terms(1.0, failure_ratio, horizon_s, fail_s), outages, rng)
            log = write_log(
                network, blocked_ratio, failure_ratio, starts, plan, rng, horizon_s=horizon_s, fail_s=fail_s,
                falls_back=current.fallback is not None, stay_mean_s=stay_mean_s,
            )  # fmt: skip
            again = estimate(log, first, horizon_s=horizon_s, rng=rng, replicates=REPLICATES)
            response = respond(target, again.rows, again.conditions, again.weights.failure_ratio, horizon_s, seed)
            for figure in figures(again, response):
                if figure.name in seen:
                    seen[figure.name].append(figure)
        found += [_gain(plan, target, name, outages, some) for name, some in seen.items()]
    return found


def _gain(plan: LogPlan, target: Policy, name: str, outages: int, some: list[Figure]) -> LogGain:
    widths = [figure.ci_high - figure.ci_low for figure in some]
    statuses = [figure.status for figure in some]
    # ties go to the weaker claim
    status = max(("bound", "assumed", "identified"), key=statuses.count)
    assumption = next((figure.assumption for figure in some if figure.status == status), "")
    return LogGain(plan.name, target.name, name, outages, float(np.median(widths)), status, assumption)


def sd_of_share(share: float, explored: int) -> float:
    """Return about how well the share of outages ended by a time is known from explored outages, as a standard deviation."""
    if explored < 1 or not 0 <= share <= 1:
        raise UsageError("sd_of_share needs a share from 0 to 1 and one explored outage at least")
    return SD_FACTOR * sqrt(share * (1 - share) / explored)


def explored_for(share: float, sd: float) -> int:
    """Return how many outages must be explored for the share ended by a time to be known with a standard deviation."""
    if not sd > 0 or not 0 <= share <= 1:
        raise UsageError("explored_for needs a share from 0 to 1 and an sd above 0")
    return ceil(SD_FACTOR**2 * share * (1 - share) / sd**2)


assert set(QUANTITIES) <= set(FIGURES)
