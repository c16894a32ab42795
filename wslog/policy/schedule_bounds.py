"""A schedule where the log gives bounds only: the one whose worst regret over what the log leaves open is least."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from wslog.errors import UsageError
from wslog.policy.model import Distribution
from wslog.policy.schedule import BANDWIDTH, JITTER, Schedule, best_schedule, smoothed
from wslog.policy.schedule_dp import Terms, evaluate, optimum, starts_of

SHARES = (0.0, 0.1, 0.25, 0.5, 0.75, 0.9, 1.0)


@dataclass(frozen=True)
class Guarded:
    """A schedule and what it may cost.

    Parameters
    ----------
    schedule : Schedule
        Made on a mixture of the extremes.
    worst_regret_ratio : float
        By how much it may cost more than the best schedule would, at the worst of the extremes, as a share.
    """

    schedule: Schedule
    worst_regret_ratio: float


def least_regret(
    extremes: Sequence[Distribution],
    failure_ratio: float,
    price_s: float,
    horizon_s: float = 600.0,
    fail_s: float = 0.0,
    *,
    bandwidth: float = BANDWIDTH,
    jitter: float = JITTER,
) -> Guarded:
    """Return the schedule of least worst regret (Savage, J. Am. Stat. Assoc. 46 (1951) 55-67) over some distributions.

    Parameters
    ----------
    extremes : sequence of Distribution
        What the log cannot rule out, on one grid: such as all unseen outages as short, and as long, as they may be.
    failure_ratio, price_s, horizon_s, fail_s, bandwidth, jitter : float
        As for :func:`wslog.policy.schedule.best_schedule`.

    Raises
    ------
    UsageError
        No distribution, or distributions on different grids.

    Notes
    -----
    Candidates are the schedules made on mixtures of each two extremes; the regret of each is exact.
    """
    if not extremes:
        raise UsageError("least_regret needs one distribution at least")
    edges = extremes[0].edges_s
    if any(not np.array_equal(edges, one.edges_s) for one in extremes):
        raise UsageError("least_regret needs distributions on one grid")
    terms = Terms(price_s, failure_ratio, horizon_s, fail_s)
    known = [smoothed(one, bandwidth) for one in extremes]
    least = [optimum(one, terms).cost_s for one in known]
    best: Guarded | None = None
    for mixture in _mixtures(extremes):
        made = best_schedule(mixture, failure_ratio, price_s, horizon_s, fail_s, bandwidth=bandwidth, jitter=jitter)
        starts = starts_of(made.waits_s, terms, made.attempt_limit)
        regret = (
            max(evaluate(starts, one, terms).cost_s(price_s) / cost for one, cost in zip(known, least, strict=True)) - 1
        )
        if best is None or regret < best.worst_regret_ratio:
            best = Guarded(made, regret)
    assert best is not None
    return best


def _mixtures(extremes: Sequence[Distribution]) -> list[Distribution]:
    found = [extremes[0]]
    for i, a in enumerate(extremes):
        for b in extremes[i + 1 :]:
            found += [
                replace(
                    a, weight=(1 - share) * a.weight + share * b.weight, never=(1 - share) * a.never + share * b.never
                )
                for share in SHARES
            ]
    return found
