"""A schedule where the log gives bounds only: the one whose worst regret over what the log leaves open is least."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from wslog.errors import UsageError
from wslog.policy.estimate import Estimate
from wslog.policy.model import Distribution, FloatArray
from wslog.policy.schedule import JITTER, Schedule, listed
from wslog.policy.schedule_dp import Terms, evaluate, optimum, starts_of
from wslog.policy.schedule_outages import of_rows, planned

ROUNDS = 16
LISTED = 3
"""Candidates that are made lists of: rounding costs each of them something else."""

MOST_ROUNDING = 0.002
"""Rounding may cost this share under the mixture: that keeps the list near ten waits, and the worst regret within a fifth of the least."""

WINDOW_RATIO = 2.0
"""Outages that nobody saw the end of may all have ended within such a stretch of time."""

LEAST_OPEN = 1e-3


@dataclass(frozen=True)
class Guarded:
    """A schedule and what it may cost.

    Parameters
    ----------
    schedule : Schedule
    made_for : Distribution
        The mixture of the extremes that it is the best for.
    worst_regret_ratio : float
        By how much it may cost more than the best schedule would, at the worst of the extremes, as a share.
    """

    schedule: Schedule
    made_for: Distribution
    worst_regret_ratio: float


def last_look_s(estimate: Estimate) -> float | None:
    """Return where the last gap begins, the one without an end; None where the log looks until the horizon."""
    points, first = estimate.rows.points_s, estimate.rows.never + 1
    ends = [float(points[side.row[first:] > 0].max(initial=0.0)) for side in estimate.tail]
    return max(ends) if ends and 0 < max(ends) < estimate.horizon_s * 0.9 else None


def extremes(estimate: Estimate) -> list[Distribution]:
    """Return what the log cannot rule out, on the grid of the replay rows; the estimate alone where it leaves nothing open.

    Outages that nobody saw the end of may all have ended within any stretch after the last look, or never; where people leave during
    outages, those that they left may have ended then, or never.
    """
    found = [planned(estimate)]
    if estimate.refusal:
        found += [of_rows(estimate, side.row) for side in estimate.ladder["leaving"]]
    last_s = last_look_s(estimate)
    return found[estimate.refusal != "" :] if last_s is None else [*found[1:], *_tails(estimate, found[0], last_s)]


def _tails(estimate: Estimate, outage: Distribution, last_s: float) -> list[Distribution]:
    edges, rows, left = outage.edges_s, estimate.rows, estimate.tail[0].row
    # what may have ended as soon as nobody looked may have ended at any time after; what own polls bracket may not
    is_free = np.abs(rows.points_s - last_s) <= 1e-6 * last_s
    free, blocked = float(left[rows.never + 1 :][is_free].sum()), float(left[rows.never])
    is_before = edges[1:] <= last_s * (1 + 1e-6)
    before, after = (np.where(part, outage.weight, 0.0) for part in (is_before, ~is_before))
    rest = 1.0 - blocked - free - float(before.sum())
    if free < LEAST_OPEN or after.sum() <= 0:
        return [outage]
    known = before + after * (max(rest, 0.0) / after.sum())
    known *= (1.0 - blocked - free) / known.sum()
    steps = max(1, int(np.ceil(np.log(estimate.horizon_s / last_s) / np.log(WINDOW_RATIO))))
    ends = np.geomspace(last_s, estimate.horizon_s, steps + 1)
    found = []
    for low, high in itertools.pairwise(ends.tolist()):
        inside = np.log(np.clip(edges[1:], low, high) / np.clip(edges[:-1], low, high))
        found.append(replace(outage, weight=known + free * inside / inside.sum(), never=blocked))
    return [*found, replace(outage, weight=known, never=blocked + free)]


def least_regret(extremes: Sequence[Distribution], terms: Terms, jitter: float = JITTER, seed: int = 0) -> Guarded:
    """Return the schedule of least worst regret (Savage, J. Am. Stat. Assoc. 46 (1951) 55-67) over some distributions.

    Parameters
    ----------
    extremes : sequence of Distribution
        What the log cannot rule out, on one grid.
    terms : Terms
        What schedules are judged by.
    jitter, seed : float, int
        As for :func:`wslog.policy.schedule.best_schedule`.

    Raises
    ------
    UsageError
        No distribution, or distributions on different grids.

    Notes
    -----
    The worst regret is least for the best schedule of some mixture, which is sought by multiplicative weights (Freund and Schapire,
    Games and Economic Behavior 29 (1999) 79-103): what a schedule does worst on counts more in the next round.
    """
    if not extremes:
        raise UsageError("least_regret needs one distribution at least")
    if any(not np.array_equal(extremes[0].edges_s, one.edges_s) for one in extremes):
        raise UsageError("least_regret needs distributions on one grid")
    alone = [optimum(one, terms) for one in extremes]
    least = np.asarray([one.cost_s for one in alone])

    def regrets(starts: FloatArray) -> FloatArray:
        costs = [evaluate(starts, one, terms).cost_s(terms.price_s) for one in extremes]
        return np.asarray(np.asarray(costs) / least - 1.0, np.float64)

    tried = [(float(regrets(own.starts_s).max()), own, one) for own, one in zip(alone, extremes, strict=True)]
    share = np.full(len(extremes), 1.0 / len(extremes))
    for number in range(ROUNDS if len(extremes) > 1 else 0):
        mixture = _mixed(extremes, share / least)
        exact = optimum(mixture, terms)
        seen = regrets(exact.starts_s)
        tried.append((float(seen.max()), exact, mixture))
        share = share * np.exp(2.0 / np.sqrt(number + 1.0) * seen / max(float(seen.max()), 1e-9))
        share /= share.sum()
    found = []
    for _, exact, outage in sorted(tried, key=lambda t: t[0])[:LISTED]:
        made = listed(exact, outage, jitter, seed, MOST_ROUNDING)
        worst = float(regrets(starts_of(made.waits_s, terms, made.attempt_limit)).max())
        found.append(Guarded(made, outage, worst))
    return min(found, key=lambda one: one.worst_regret_ratio)


def _mixed(parts: Sequence[Distribution], share: FloatArray) -> Distribution:
    share = share / share.sum()
    weight = share @ np.stack([one.weight for one in parts])
    return replace(parts[0], weight=weight, never=float(share @ [one.never for one in parts]))
