"""Curves of one group: how long its outages last, when each policy has the WebSocket back, and what one policy gains on another.

All of it is weighting of replays that were made already (:mod:`wslog.policy.figures`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from wslog.policy.estimate import Estimate
from wslog.policy.figures import MEANS, RATIOS, Z95, Figure, deviations
from wslog.policy.fitting import Weights
from wslog.policy.model import FloatArray
from wslog.policy.replay import Response

NARROW = 0.02
"""A share whose bounds lie closer together than this is told apart from its neighbours by no decision."""

Bands = tuple[FloatArray, FloatArray, FloatArray, list[str]]


def survival(estimate: Estimate, at_s: FloatArray) -> Bands:
    """Return value, low, high and status of P(the outage is not over), at each time.

    Between ``low`` and ``high`` lies all that the log leaves open under the rung of assumptions that is shown, and the 95 %
    interval around it. The value is NaN where the log has only bounds.
    """
    rows = estimate.rows

    def over(row: FloatArray) -> FloatArray:
        cells = np.concatenate(([0.0], np.cumsum(row[..., : rows.never], axis=-1)))
        points = row[rows.never + 1 :]
        jumps = np.asarray([points[rows.points_s <= t].sum() for t in at_s])
        return np.asarray(np.interp(at_s, rows.edges_s, cells) + jumps, np.float64)

    moved = np.stack([over(row) for row in estimate.replicate_rows])
    error = np.sqrt(np.mean(moved**2, axis=0))
    value, low, high, status = _banded(estimate, lambda weights: over(weights.row), error)
    return 1 - value, 1 - high, 1 - low, status


def recovery(estimate: Estimate, response: Response, at_s: FloatArray) -> Bands:
    """Return value, low, high and status of P(the WebSocket is back) under a policy, at each time; see :func:`survival`."""
    table = response.table
    # rows by instants: each replay falls into the first instant at which it is back
    place = response.row * (len(at_s) + 1) + np.searchsorted(at_s, response.down_s)
    means: dict[float, FloatArray] = {}

    def under(p: float) -> FloatArray:
        if p not in means:
            counts = np.bincount(place, table.ratio(p), estimate.rows.count * (len(at_s) + 1)).astype(np.float64)
            means[p] = np.cumsum(counts.reshape(estimate.rows.count, -1), axis=1)[:, :-1].T
        return means[p]

    def back(weights: Weights) -> FloatArray:
        return np.asarray(under(weights.failure_ratio) @ weights.row, np.float64)

    p = estimate.weights.failure_ratio
    low_p, high_p = max(p - 0.005, 1e-4), p + 0.005
    slope = (under(high_p) - under(low_p)) @ estimate.weights.row / (high_p - low_p)
    moved = estimate.replicate_rows @ under(p).T + estimate.replicate_failure[:, None] * slope
    return _banded(estimate, back, np.sqrt(np.mean(moved**2, axis=0)))


def _banded(estimate: Estimate, curve: Any, error: FloatArray) -> Bands:
    value = curve(estimate.weights)
    rungs = {name: _ends([curve(side) for side in sides]) for name, sides in estimate.ladder.items()}
    low, high = rungs.get(estimate.shown_rung, next(iter(rungs.values())))
    narrow = np.maximum(NARROW, Z95 * error)
    last = np.ptp(np.stack(list(rungs.values())[-1]), axis=0)
    tail = np.ptp(np.stack(_ends([curve(side) for side in estimate.tail])), axis=0)
    is_identified = high - low <= narrow
    is_assumed = ~is_identified & ((tail <= narrow) | ((last <= narrow) & (not estimate.is_tail_refused)))
    status = np.where(is_identified, "identified", np.where(is_assumed, "assumed", "bound"))
    half = Z95 * error
    # where the log pins the curve down, chance is all that is left of the band; else the bounds, and chance around them
    lower = np.where(is_identified, value, np.minimum(low, value)) - half
    upper = np.where(is_identified, value, np.maximum(high, value)) + half
    shown = np.where(status == "bound", np.nan, value)
    return shown, np.clip(lower, 0.0, 1.0), np.clip(upper, 0.0, 1.0), status.tolist()


def _ends(curves: Sequence[FloatArray]) -> tuple[FloatArray, FloatArray]:
    stacked = np.stack(curves)
    return stacked.min(axis=0), stacked.max(axis=0)


def differences(
    estimate: Estimate, ours: Response, theirs: Response, our_figures: Sequence[Figure], their_figures: Sequence[Figure]
) -> list[Figure]:
    """Return what one policy gains on another: figures of ``ours`` less those of ``theirs``, on the same outages.

    The interval of a mean comes from the resamples of both together: what is common to both policies falls out. That of a
    quantile, which jumps between attempts, is the sum of both. Bounds are those of the one less the opposite ends of the other,
    and sharp where the other is the policy of the log, whose own figures have no width.
    """
    first, second = (deviations(response.table, estimate) for response in (ours, theirs))
    found = []
    for one, other in zip(our_figures, their_figures, strict=True):
        name = one.name
        bound = one.bound_low - other.bound_high, one.bound_high - other.bound_low
        status = next(s for s in ("bound", "assumed", "identified") if s in (one.status, other.status))
        assumption = together(one, other)
        if status == "bound":
            found.append(Figure(name, np.nan, *_apart(one, other), *bound, status, assumption, ()))
            continue
        value = one.value - other.value
        ends = _apart(one, other)
        if name in MEANS:
            half = Z95 * float(np.sqrt(np.mean((first[name] - second[name]) ** 2)))
            ends = value - half, value + half
        if name in RATIOS:
            ends = max(ends[0], -1.0), min(ends[1], 1.0)
        found.append(Figure(name, value, *ends, *bound, status, assumption, ()))
    return found


def cost_difference(
    estimate: Estimate, ours: Response, theirs: Response, gains: Sequence[Figure], price_s: float
) -> Figure:
    """Return the difference in cost, downtime plus ``price_s`` for each attempt, from the differences in both."""
    of = {figure.name: figure for figure in gains}
    down, tries = of["downtime_mean_s"], of["attempt_count_mean"]
    bound = down.bound_low + price_s * tries.bound_low, down.bound_high + price_s * tries.bound_high
    if "bound" in (down.status, tries.status):
        ends = down.ci_low + price_s * tries.ci_low, down.ci_high + price_s * tries.ci_high
        return Figure("cost_s", np.nan, *ends, *bound, "bound", together(down, tries), ())
    first, second = (deviations(response.table, estimate) for response in (ours, theirs))
    moved = [one["downtime_mean_s"] + price_s * one["attempt_count_mean"] for one in (first, second)]
    half = Z95 * float(np.sqrt(np.mean((moved[0] - moved[1]) ** 2)))
    value = down.value + price_s * tries.value
    status = "assumed" if "assumed" in (down.status, tries.status) else "identified"
    return Figure("cost_s", value, value - half, value + half, *bound, status, together(down, tries), ())


def together(one: Figure, other: Figure) -> str:
    """Return all that two figures take for granted, separated by semicolons."""
    parts = [part.strip() for text in (one.assumption, other.assumption) for part in text.split(";")]
    return "; ".join(dict.fromkeys(part for part in parts if part))


def _apart(one: Figure, other: Figure) -> tuple[float, float]:
    return one.ci_low - other.ci_high, one.ci_high - other.ci_low
