"""Kaplan-Meier quantiles of times that are seen only in part, with intervals that allow for clusters and weights."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from wslog.intervals import Z95, FloatArray, t_of


@dataclass(frozen=True)
class Quantile:
    """A quantile of a survival curve: its estimate and interval, NaN where the curve does not come so far."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Curve:
    """What one quantile of a survival curve and its interval are read from.

    Attributes
    ----------
    times : (k,) array
        Distinct times, rising.
    distance : (k,) array
        How far log(-log) of the curve is below the quantile's level at each time.
    error : (k,) array
        Standard error of log(-log) of the curve.
    value : float
        The estimate.
    df : float
        Degrees of freedom of the error.
    """

    times: FloatArray
    distance: FloatArray
    error: FloatArray
    value: float
    df: float

    def interval(self, z: float = Z95) -> tuple[float, float]:
        """Return the ends of the interval at a normal quantile; NaN where the curve does not come so far."""
        t = float(t_of(z, self.df))
        # the curve's interval lies below the level from `high` on, and reaches it first at `low`
        reaches = np.flatnonzero(self.distance + t * self.error >= 0)
        passes = np.flatnonzero(self.distance - t * self.error > 0)
        return (
            float(self.times[reaches[0]]) if len(reaches) else np.nan,
            float(self.times[passes[0]]) if len(passes) else np.nan,
        )


def kaplan_meier(
    seconds: npt.ArrayLike,
    is_event: npt.ArrayLike,
    weight: npt.ArrayLike,
    cluster: npt.ArrayLike,
    probability: float,
    z: float = Z95,
) -> Quantile:
    """Return a quantile of the time to an event, with right-censoring; parameters are those of :func:`curve`."""
    if not len(np.asarray(seconds)):
        return Quantile(np.nan, np.nan, np.nan)
    found = curve(seconds, is_event, weight, cluster, probability)
    return Quantile(found.value, *found.interval(z))


def curve(
    seconds: npt.ArrayLike,
    is_event: npt.ArrayLike,
    weight: npt.ArrayLike,
    cluster: npt.ArrayLike,
    probability: float,
) -> Curve:
    """Return the Kaplan-Meier curve of the time to an event around one of its quantiles; parameters are those of :func:`curves_at`."""
    return curves_at(seconds, is_event, weight, cluster, [probability])[0]


def curves_at(
    seconds: npt.ArrayLike,
    is_event: npt.ArrayLike,
    weight: npt.ArrayLike,
    cluster: npt.ArrayLike,
    probabilities: Sequence[float],
) -> list[Curve]:
    """Return the Kaplan-Meier curve of the time to an event around some of its quantiles.

    Parameters
    ----------
    seconds : (n,) array-like
        Times observed, without NaN; at least one.
    is_event : (n,) array-like
        Whether the event happened then (else the time is a lower bound). Events come before censorings at the same time.
    weight : (n,) array-like
        Sample weights.
    cluster : (n,) array-like of int
        Rows of one session share a number.
    probabilities : sequence of float
        0.5 for the median.

    Returns
    -------
    list of Curve
        One per probability. ``value`` is the smallest time by which the estimated probability of the event reaches ``probability``. The interval
        holds the times whose log(-log) interval of the curve covers it (Brookmeyer and Crowley, Biometrics 38 (1982) 29-41);
        the Greenwood variance is multiplied by the design effect that clusters have at the estimate (Williams, Biometrics
        51 (1995) 1030-1041: influence of each row, added up within clusters), with Student's t by what the clusters' influences
        tell of it.
    """
    t = np.asarray(seconds, np.float64)
    order = np.argsort(t, kind="stable")
    t, event = t[order], np.asarray(is_event, np.float64)[order]
    w, group = np.asarray(weight, np.float64)[order], np.asarray(cluster, np.int64)[order]
    firsts = np.flatnonzero(np.append(True, t[1:] != t[:-1]))
    times = t[firsts]
    deaths = np.add.reduceat(w * event, firsts)
    left = np.add.reduceat(w, firsts)
    at_risk = left[::-1].cumsum()[::-1]
    survival = np.cumprod(1 - deaths / at_risk)
    survival[survival < 1e-12] = 0.0
    greenwood = _greenwood(deaths, at_risk, w, firsts)
    code = _dense(group)
    found = []
    for probability in probabilities:
        # a hair of slack: 1 - 1/2 - ... must reach the level that exact fractions reach
        reached = np.flatnonzero(survival <= 1 - probability + 1e-12)
        value = float(times[reached[0]]) if len(reached) else np.nan
        at = int(reached[0]) if len(reached) else len(times) - 1
        effect, df = _clustering(event, w, code, firsts, deaths, at_risk, at, float(greenwood[at]))
        with np.errstate(divide="ignore", invalid="ignore"):
            inside = (survival > 0) & (survival < 1)
            level = np.log(-np.log(1 - probability))
            log = np.log(np.where(inside, survival, 0.5))
            distance = np.where(inside, np.log(-log) - level, np.where(survival >= 1, -np.inf, np.inf))
            error = np.where(inside, np.sqrt(greenwood * effect) / np.abs(log), 0.0)
        found.append(Curve(times, distance, error, value, df))
    return found


def _dense(group: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Return the clusters' numbers from 0 on, without gaps."""
    if group.min() >= 0 and group.max() < 2 * len(group):
        there = np.bincount(group) > 0
        dense: npt.NDArray[np.int64] = (np.cumsum(there) - 1)[group]
        return dense
    return np.unique(group, return_inverse=True)[1]


def _greenwood(deaths: FloatArray, at_risk: FloatArray, w: FloatArray, firsts: npt.NDArray[Any]) -> FloatArray:
    """Return Greenwood's variance of log S; weights enter through Kish's effective number at risk."""
    squares = np.add.reduceat(w * w, firsts)[::-1].cumsum()[::-1]
    kish = squares / at_risk  # mean weight of those at risk, by weight: 1 without weights
    rest = at_risk - deaths
    steps = np.divide(deaths * kish, at_risk * rest, out=np.zeros_like(deaths), where=rest > 1e-12 * at_risk)
    return np.cumsum(steps)


def _clustering(
    event: FloatArray,
    w: FloatArray,
    code: npt.NDArray[np.int64],
    firsts: npt.NDArray[Any],
    deaths: FloatArray,
    at_risk: FloatArray,
    at: int,
    greenwood: float,
) -> tuple[float, float]:
    """Return the variance of log S at the ``at``-th time with clusters over that without, at least 1, and its degrees of freedom."""
    if greenwood <= 0 or code.max() + 1 == len(code):
        return 1.0, np.inf
    place = np.repeat(np.arange(len(firsts)), np.diff(np.append(firsts, len(w))))
    rest = np.maximum(at_risk - deaths, 1e-12 * at_risk)
    hazard = np.cumsum(deaths / (at_risk * rest))
    seen = np.minimum(place, at)
    influence = w * (np.where(place <= at, event / rest[place], 0.0) - hazard[seen])
    alone = float(np.sum(influence**2))
    by_cluster = np.bincount(code, weights=influence)
    together = float(np.sum(by_cluster**2))
    if alone <= 0 or together <= 0:
        return 1.0, np.inf
    heavy = float(np.sum(by_cluster**4)) / together**2 - 1 / len(by_cluster)
    return max(1.0, together / alone), max(3.0, 2 / heavy) if heavy > 0 else np.inf
