"""From replays and weights to figures: what each policy would have achieved, with interval, bounds and what it rests on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from wslog.policy.estimate import Estimate
from wslog.policy.fitting import Weights
from wslog.policy.model import FloatArray
from wslog.policy.replay import ReplayTable, Response

FIGURES = {
    "recovery_ratio": "outages after which the WebSocket was back before the horizon",
    "downtime_p50_s": "median time until the WebSocket was back; the horizon where it was not",
    "downtime_p95_s": "95th percentile of it",
    "downtime_mean_s": "mean of it, each outage counted up to the horizon",
    "service_downtime_mean_s": "the same until there was any service: the WebSocket, or polling once the policy fell back",
    "attempt_count_mean": "attempts for each outage, up to the horizon",
    "fallback_ratio": "outages in which the policy fell back",
    "fallback_s_mean": "time on the fallback for each outage, up to the horizon",
}
"""The figures and what they mean. Downtime is over all outages: the mean of recovered ones would reward giving up."""

QUANTILES = {"downtime_p50_s": 0.5, "downtime_p95_s": 0.95}
RATIOS = ("recovery_ratio", "fallback_ratio")
MEANS = tuple(name for name in FIGURES if name not in QUANTILES)
Z95 = 2.045
"""Of Student's t with 29 degrees of freedom: variances come from 30 groups of sessions."""

RESOLUTION_S = 0.005
"""No downtime is told to better than that: logs tell whole milliseconds, and handshakes are drawn from a sample."""


@dataclass(frozen=True)
class Rung:
    """Where a figure lies under some assumptions: ``low`` and ``high`` over all that the log leaves open."""

    name: str
    low: float
    high: float


@dataclass(frozen=True)
class Figure:
    """One figure of one policy; NaN stands for null.

    ``value`` is null where the log gives bounds only. ``ladder`` holds the bounds under more and more assumptions.
    """

    name: str
    value: float
    ci_low: float
    ci_high: float
    bound_low: float
    bound_high: float
    status: str
    assumption: str
    ladder: tuple[Rung, ...]


def figures(estimate: Estimate, response: Response) -> list[Figure]:
    """Return the figures of one policy in outages like the estimated ones.

    Parameters
    ----------
    estimate : Estimate
    response : Response
        The policy's replays on ``estimate.rows``.
    """
    table = response.table
    base = estimate.weights
    points = _points(table, base, estimate)
    ladder = {rung: [_points(table, w, estimate) for w in sides] for rung, sides in estimate.ladder.items()}
    tail = [_points(table, w, estimate) for w in estimate.tail]
    moved = deviations(table, estimate)
    return [_figure(name, points, ladder, tail, table, estimate, moved) for name in FIGURES]


def curve(estimate: Estimate, response: Response, at_s: FloatArray) -> FloatArray:
    """Return P(the WebSocket is back by each time), as estimated."""
    table = response.table
    mass = table.mass_sorted(estimate.weights.row, estimate.weights.failure_ratio)
    below = np.concatenate(([0.0], np.cumsum(mass)))
    finite = response.down_s[table.order]
    return np.asarray(below[np.searchsorted(finite, at_s, side="right")], np.float64)


def means(estimate: Estimate, response: Response) -> dict[str, float]:
    """Return :data:`MEANS` as estimated, without intervals and bounds: for curves of many policies."""
    return _means(response.table, estimate.weights, estimate)


def _means(table: ReplayTable, weights: Weights, estimate: Estimate) -> dict[str, float]:
    found = table.means(weights.failure_ratio).copy()
    found[2] = _served(found[2], weights, estimate, table.response.horizon_s)
    return dict(zip(MEANS, (found @ weights.row).tolist(), strict=True))


def _points(table: ReplayTable, weights: Weights, estimate: Estimate) -> dict[str, float]:
    found = _means(table, weights, estimate)
    return found | dict(
        zip(QUANTILES, table.quantiles(weights.row, weights.failure_ratio, *QUANTILES.values()), strict=True)
    )


def _served(means: FloatArray, weights: Weights, estimate: Estimate, horizon_s: float) -> FloatArray:
    """Return the rows' time to any service: of outages without an end, polling worked in the blocked share only."""
    found = means.copy()
    never = estimate.rows.never
    found[never] = weights.blocked_share * means[never] + (1 - weights.blocked_share) * horizon_s
    return found


def deviations(table: ReplayTable, estimate: Estimate) -> dict[str, FloatArray]:
    """Return (replicates,) deviations of each mean, and for quantiles of the share below the estimate."""
    p, step = estimate.weights.failure_ratio, 0.005
    low, high = max(p - step, 1e-4), p + step
    ends = table.quantiles(estimate.weights.row, p, *QUANTILES.values())
    indicator = np.stack([(table.capped <= end).astype(np.float64) for end in ends])

    def means_at(failure_ratio: float) -> FloatArray:
        return np.concatenate((table.means(failure_ratio), table.means_of(indicator, failure_ratio)))

    slope = (means_at(high) - means_at(low)) @ estimate.weights.row / (high - low)
    means = means_at(p)
    means[2] = _served(means[2], estimate.weights, estimate, table.response.horizon_s)
    moved = estimate.replicate_rows @ means.T + estimate.replicate_failure[:, None] * slope
    return dict(zip((*MEANS, *QUANTILES), moved.T, strict=True))


def _figure(
    name: str,
    points: dict[str, float],
    ladder: dict[str, list[dict[str, float]]],
    tail: list[dict[str, float]],
    table: ReplayTable,
    estimate: Estimate,
    deviations: dict[str, FloatArray],
) -> Figure:
    rungs = tuple(Rung(rung, *_span([side[name] for side in sides])) for rung, sides in ladder.items())
    shown = next(r for r in rungs if r.name == estimate.shown_rung)
    low, high = _interval(name, points[name], table, estimate, deviations[name])
    # what fewer assumptions say outweighs what more of them say
    value = float(np.clip(points[name], shown.low, shown.high))
    top = 1.0 if name in RATIOS else estimate.horizon_s if name in QUANTILES else np.inf
    low, high = (float(np.clip(end + value - points[name], 0.0, top)) for end in (low, high))
    narrow = max(0.02 * abs(value), (high - low) / 2)
    left = next((r for r in rungs if r.name == "leaving"), None)
    first, last = rungs[0], next(r for r in reversed(rungs) if r.name != "leaving")
    open_tail = _span([side[name] for side in tail])
    if left is not None and left.high - left.low > narrow:
        status, rests_on = "bound", estimate.refusal
        shown = Rung(shown.name, min(shown.low, left.low), max(shown.high, left.high))
    elif shown.high - shown.low <= narrow:
        rests_on = "" if first.high - first.low <= narrow else estimate.assumptions[shown.name]
        status = "assumed" if rests_on else "identified"
    elif last.high - last.low <= narrow:
        status, rests_on = "assumed", estimate.assumptions[last.name]
    elif open_tail[1] - open_tail[0] <= narrow:
        parts = [estimate.assumptions.get(last.name, ""), estimate.assumptions["gaps"]]
        status, rests_on = "assumed", "; ".join(part for part in parts if part)
    else:
        status, rests_on = "bound", "nothing was seen after the last attempt"
    if name == "service_downtime_mean_s" and status == "identified" and points["fallback_ratio"] > 0:
        status, rests_on = "assumed", "polling works as soon as the network does"
    if status == "bound":
        error = float(np.sqrt(np.mean(deviations[name] ** 2)))
        sides = [(w, error) for w in estimate.ladder[shown.name]]
        low, high = _bound_interval(name, shown, points[name], low, high, sides, table)
        value = np.nan
    return Figure(name, value, low, high, shown.low, shown.high, status, rests_on, rungs)


def _span(values: list[float]) -> tuple[float, float]:
    return min(values), max(values)


def _interval(
    name: str, value: float, table: ReplayTable, estimate: Estimate, deviation: FloatArray
) -> tuple[float, float]:
    """Return the 95 % interval: on the logit or log scale for means, by inversion for quantiles.

    A quantile of a policy without jitter sits on atoms: it jumps over the wait between two attempts. So the interval inverts
    that of the share below it (Woodruff, J. Am. Stat. Assoc. 47 (1952) 635-646) and shows the jump where there is one.
    """
    error = float(np.sqrt(np.mean(deviation**2)))
    if name in QUANTILES:
        w, p = estimate.weights.row, estimate.weights.failure_ratio
        level = QUANTILES[name]
        low, high = table.quantiles(w, p, level - Z95 * error, level + Z95 * error)
        return max(low - RESOLUTION_S, 0.0), min(high + RESOLUTION_S, estimate.horizon_s)
    if name in RATIOS:
        if not 0 < value < 1:
            return value, value
        link, width = np.log(value / (1 - value)), Z95 * error / (value * (1 - value))
        ends = 1 / (1 + np.exp(-np.array([link - width, link + width])))
        return float(ends[0]), float(ends[1])
    if value <= 0:
        return value, value
    width = float(np.exp(Z95 * error / value))
    return value / width, value * width


def _bound_interval(
    name: str, rung: Rung, value: float, low: float, high: float, sides: list[tuple[Weights, float]], table: ReplayTable
) -> tuple[float, float]:
    """Return an interval for a figure that lies between bounds: each end moved out by the estimate's own error.

    It covers the figure wherever between its bounds it lies (Imbens and Manski, Econometrica 72 (2004) 1845-1857, whose
    interval is a little shorter where the bounds are wide).
    """
    if name in QUANTILES:
        ends = [
            end
            for w, error in sides
            for end in table.quantiles(
                w.row, w.failure_ratio, *(QUANTILES[name] + sign * Z95 * error for sign in (-1.0, 1.0))
            )
        ]
        return min(rung.low, *ends), max(rung.high, *ends)
    if name in RATIOS:
        return _moved_ratio(rung.low, value, low), _moved_ratio(rung.high, value, high)
    return rung.low * low / value if value > 0 else 0.0, rung.high * high / value if value > 0 else rung.high


def _moved_ratio(end: float, value: float, to: float) -> float:
    """Return a ratio moved on the logit scale by as much as ``to`` is away from ``value``."""
    if not (0 < end < 1 and 0 < value < 1 and 0 < to < 1):
        return end
    odds = end / (1 - end) * (to / (1 - to)) / (value / (1 - value))
    return odds / (1 + odds)


def record(figure: Figure) -> dict[str, Any]:
    """Return a figure as a row: ladder left out."""
    return {
        "figure": figure.name,
        "value": figure.value,
        "ci_low": figure.ci_low,
        "ci_high": figure.ci_high,
        "bound_low": figure.bound_low,
        "bound_high": figure.bound_high,
        "status": figure.status,
        "assumption": figure.assumption,
    }
