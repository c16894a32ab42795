"""The outages to make a schedule for: an estimate made smooth where the log says little.

A maximum-likelihood estimate is a staircase, and a schedule made on it chases its steps. The expected cost of a schedule is linear in
the distribution of the outages' ends, so the best one under what a log leaves uncertain is the best one for the mean of what is
plausible: what counts is that mean, and averaging schedules over resamples of the log would not change it.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from wslog.policy.estimate import Estimate
from wslog.policy.model import FIRST_S, BoolArray, Distribution, FloatArray, IntArray
from wslog.policy.schedule_dp import FIRST_START_S

STEP = 0.1
"""Between knots, in the logarithm of time."""

BENDING = 3000.0
"""Precision of the third differences of the log density, at knots :data:`STEP` apart. What has none is a log-normal law (Silverman,
Annals of Statistics 10 (1982) 795-810, with log time for time): where outages are few the density falls off as one does. This and
the three constants that follow were chosen on random worlds, half of which are not mixtures of log-normal laws
(``tests/policy/random_worlds.py``): there schedules cost a third less above the optimum than with a penalty on second differences."""

SLOPE = 0.3
"""Precision of its first differences: enough to keep a tail of which nothing was seen from rising."""

GAP_BENDING = 1000.0
GAP_SLOPE = 3.0
"""The same where nobody looked: there the density is flatter in log time, as far as its ends let it, and may bend."""

FIRST_WIDTH = 0.3
"""How wide the time before the first possible attempt counts, in the logarithm of time: outages over by then cost all schedules the
same."""

GAP_WIDTH = 0.3
"""A stretch without a look that is longer, in the logarithm of time, is a gap."""

SLIVER_WIDTH = 0.01
"""What is narrower and follows a gap belongs to it: an outage that ended within the gap and one that ended in the milliseconds over
which the attempts behind it are spread look the same, and a free estimate puts a tenth of all outages into these."""

ONE_DENSITY = 1e-3
LEAST_WEIGHT = 1e-9
LEAST_STEP = 1e-5
MOST_STEPS = 60
MOST_SPREAD = 8.0
"""Variance of a log density that is believed at most: nothing is said where it is more."""


def planned(estimate: Estimate) -> Distribution:
    """Return the distribution to make a schedule for, on the grid of the estimate's replay rows."""
    return _planned(estimate, np.diff(estimate.websocket.cdf(estimate.rows.edges_s)))


def of_rows(estimate: Estimate, row: FloatArray) -> Distribution:
    """Return the same of other weights of the replay rows; what lies on single instants goes into their cells."""
    rows = estimate.rows
    inside = np.clip(np.searchsorted(rows.edges_s, rows.points_s) - 1, 0, rows.never - 1)
    return _planned(estimate, row[: rows.never] + np.bincount(inside, row[rows.never + 1 :], rows.never))


def _planned(estimate: Estimate, weight: FloatArray) -> Distribution:
    return smooth(Distribution(estimate.rows.edges_s, weight, 1.0 - float(weight.sum())), estimate.outage_count)


def smooth(outage: Distribution, count: float) -> Distribution:
    """Return what outages are like on average, as far as an estimate leaves it open, if their log density is smooth in log time.

    Parameters
    ----------
    outage : Distribution
        An estimate. Where its density is exactly that of the prior the log told no instant from the next (nobody looked between two
        attempts of a fixed schedule): of such a stretch only the sum counts, and its inside follows from its neighbours.
    count : float
        Outages that it rests on.

    Notes
    -----
    A penalised composite link model (Eilers, Statistical Modelling 7 (2007) 239-254): Poisson likelihood of the cells, a linear
    spline for the log density, Fisher scoring with halved steps. Within a stretch the density is the mean of what is plausible, not
    the likeliest: the spline is about normal around the likeliest, so its exponential is on average the larger the less is known.
    The share that never ends stays as it is.
    """
    total = float(outage.weight.sum())
    if total < LEAST_WEIGHT:
        return outage
    cuts = np.log(np.maximum(outage.edges_s, FIRST_S / 3))
    width, middle = np.diff(cuts), (cuts[1:] + cuts[:-1]) / 2
    begins = _stretches(outage.weight / width, cuts)
    ends = np.append(begins[1:], len(width))
    is_gap = np.repeat(cuts[ends] - cuts[begins] > GAP_WIDTH, ends - begins)
    early = outage.edges_s[1:] <= FIRST_START_S
    width[early] *= FIRST_WIDTH / max(float(width[early].sum()), FIRST_WIDTH)
    knots = np.arange(np.log(FIRST_START_S), cuts[-1] + STEP, STEP)
    hats = _hats(middle, knots)
    penalty = _penalty(np.interp(knots, middle, is_gap.astype(np.float64)) > 0.5)
    seen = count * np.add.reduceat(outage.weight, begins)

    def state(at: FloatArray) -> tuple[FloatArray, FloatArray, float]:
        cell = width * np.exp(hats @ at)
        group = np.maximum(np.add.reduceat(cell, begins), 1e-300)
        return cell, group, float(seen @ np.log(group) - group.sum() - at @ penalty @ at / 2)

    at = np.full(len(knots), np.log(count * total / float(width.sum())))
    cell, group, gain = state(at)
    for _ in range(MOST_STEPS):
        slopes = np.add.reduceat(cell[:, None] * hats, begins, axis=0)
        score = slopes.T @ (seen / group - 1.0) - penalty @ at
        information = slopes.T @ (slopes / group[:, None]) + penalty + 1e-9 * np.eye(len(knots))
        step = np.linalg.solve(information, score)
        step *= min(1.0, 2.0 / max(float(np.abs(step).max()), 1e-12))
        moved = state(at + step)
        while moved[2] < gain and np.abs(step).max() > LEAST_STEP:
            step /= 2
            moved = state(at + step)
        if np.abs(step).max() <= LEAST_STEP:
            break
        at = at + step
        cell, group, gain = moved
    spread = np.einsum("ij,ji->i", hats, np.linalg.solve(information, hats.T))
    mean = cell * np.exp(np.minimum(spread, MOST_SPREAD) / 2)
    # sums are what the log tells, and stay
    mean *= np.repeat(group / np.maximum(np.add.reduceat(mean, begins), 1e-300), ends - begins)
    return replace(outage, weight=mean * (total / float(mean.sum())))


def _stretches(density: FloatArray, cuts: FloatArray) -> IntArray:
    """Return where stretches of one density begin; a gap goes on over the sliver behind it."""
    changes = np.abs(np.diff(density)) > ONE_DENSITY * np.maximum(density[1:], density[:-1])
    begins = np.concatenate(([0], np.flatnonzero(changes) + 1))
    width = np.diff(cuts[np.append(begins, len(density))])
    is_sliver = np.append(False, (width[:-1] > GAP_WIDTH) & (width[1:] < SLIVER_WIDTH))
    return np.asarray(begins[~is_sliver], np.int64)


def _hats(at: FloatArray, knots: FloatArray) -> FloatArray:
    """Return the (cells, knots) matrix of linear interpolation, flat beyond the ends."""
    place = np.clip((at - knots[0]) / STEP, 0.0, len(knots) - 1.001)
    low = place.astype(np.int64)
    found = np.zeros((len(at), len(knots)))
    found[np.arange(len(at)), low] = 1.0 - (place - low)
    found[np.arange(len(at)), low + 1] = place - low
    return found


def _penalty(is_gap: BoolArray) -> FloatArray:
    one = np.eye(len(is_gap))
    first, third = np.diff(one, axis=0), np.diff(one, 3, axis=0)
    slope = np.where(is_gap[:-1] | is_gap[1:], GAP_SLOPE, SLOPE)
    bending = np.where(is_gap[:-3] | is_gap[1:-2] | is_gap[2:-1] | is_gap[3:], GAP_BENDING, BENDING)
    return np.asarray(first.T @ (slope[:, None] * first) + third.T @ (bending[:, None] * third), np.float64)
