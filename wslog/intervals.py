"""Intervals and evidence floors: how sure a metric is, from sums over clusters.

Attempts of one session fail together, so rows are not independent. The SQL files therefore return, for each group, sums
over clusters c (sessions; where none is known, clients; else single rows): ``y`` = sum y_c, ``n`` = sum n_c, ``yy`` = sum
y_c^2, ``yn`` = sum y_c n_c and ``nn`` = sum n_c^2. From these follows the linearised variance of the ratio y/n (Cochran,
Sampling Techniques, 3rd ed., section 6.4, clusters drawn with replacement), and from it an effective count that is put
into the usual interval.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Z95 = 1.959963984540054
"""The 97.5 % point of the normal distribution."""

MIN_ROWS = 20
"""Rows below the line of a proportion: with fewer, the widest 95 % interval spans more than 40 points."""

MIN_CLUSTERS = 10
"""Sessions: with fewer, the variance between sessions is itself known to no better than a third."""

MIN_HOURS = 1.0
"""Connected hours below the line of a rate per hour: less is an extrapolation."""

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Sums:
    """Sums over the clusters of each group; arrays of one length (see the module's docstring).

    ``y_rows`` and ``n_rows`` are the unweighted counts above and below the line.
    """

    y: FloatArray
    n: FloatArray
    yy: FloatArray
    yn: FloatArray
    nn: FloatArray
    clusters: FloatArray
    y_rows: FloatArray
    n_rows: FloatArray

    def residual(self) -> FloatArray:
        """Return the sum of (y_c - p n_c)^2 over clusters, with the small-sample factor C / (C - 1)."""
        p = _ratio(self.y, self.n)
        spread = np.maximum(self.yy - 2 * p * self.yn + p * p * self.nn, 0.0)
        # what is left by rounding when all clusters agree is no variance
        spread = np.where(spread <= 1e-12 * np.maximum(self.yy, p * p * self.nn), 0.0, spread)
        return spread * _ratio(self.clusters, self.clusters - 1)


def _ratio(above: npt.ArrayLike, below: npt.ArrayLike) -> FloatArray:
    a, b = np.broadcast_arrays(np.asarray(above, np.float64), np.asarray(below, np.float64))
    ratio: FloatArray = np.divide(a, b, out=np.full(a.shape, np.nan), where=b > 0)
    return ratio


def wilson(p: npt.ArrayLike, n_eff: npt.ArrayLike, z: float = Z95) -> tuple[FloatArray, FloatArray]:
    """Return the Wilson score interval of proportions.

    Parameters
    ----------
    p : array-like
        Estimates, 0 to 1.
    n_eff : array-like
        Effective numbers of independent observations; not whole in general.

    Returns
    -------
    low, high : arrays
        NaN where ``n_eff`` is not positive.

    Notes
    -----
    Wilson, JASA 22 (1927) 209-212; with an effective n for complex samples: Franco et al., J. Surv. Stat. Methodol. 7
    (2019) 334-364.
    """
    p = np.asarray(p, np.float64)
    n = np.where(np.asarray(n_eff, np.float64) > 0, n_eff, np.nan)
    centre = (p + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * np.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    # exact ends: 0 of n begins at 0, n of n ends at 1
    low = np.where(p <= 0, np.where(np.isnan(n), np.nan, 0.0), np.clip(centre - half, 0.0, p))
    high = np.where(p >= 1, np.where(np.isnan(n), np.nan, 1.0), np.clip(centre + half, p, 1.0))
    return low, high


def effective_n(sums: Sums) -> FloatArray:
    """Return how many independent observations the clustered, weighted proportion y/n is worth.

    p (1 - p) over its linearised variance, never more than the rows there are. Where the clusters do not differ (all or
    none), clusters count as if their rows all told the same: (sum n_c)^2 / sum n_c^2.
    """
    p = _ratio(sums.y, sums.n)
    residual = sums.residual()
    spread = _ratio(p * (1 - p) * sums.n**2, residual)
    alike = _ratio(sums.n**2, sums.nn)
    return np.minimum(np.where(residual > 0, spread, alike), sums.n_rows)


def byar(count: npt.ArrayLike, z: float = Z95) -> tuple[FloatArray, FloatArray]:
    """Return Byar's approximation to the exact Poisson interval of counts (not whole in general).

    Notes
    -----
    Breslow and Day, Statistical Methods in Cancer Research II (IARC 82, 1987), p. 69.
    """
    o = np.asarray(count, np.float64)
    safe = np.where(o > 0, o, 1.0)
    low = np.where(o > 0, o * np.maximum(1 - 1 / (9 * safe) - z / (3 * np.sqrt(safe)), 0.0) ** 3, 0.0)
    up = o + 1
    high = up * (1 - 1 / (9 * up) + z / (3 * np.sqrt(up))) ** 3
    return np.where(np.isnan(o), np.nan, low), high


def rate_interval(sums: Sums, is_count: bool, z: float = Z95) -> tuple[FloatArray, FloatArray]:
    """Return the interval of the ratio y/n of an amount y over exposure n: Byar's with an effective count.

    The effective count is the one whose Poisson variance, relative to its square, equals that of the ratio. For counts it
    is never more than the events there are; without any event, the mean weight of a row stands for the one not seen.

    Parameters
    ----------
    sums : Sums
    is_count : bool
        Whether y counts events (else it is an amount, like seconds).
    """
    rate = _ratio(sums.y, sums.n)
    residual = sums.residual()
    count = _ratio(sums.y**2, residual)
    count = np.where(residual > 0, count, sums.y_rows)
    count = np.minimum(count, sums.y_rows) if is_count else count
    low, high = byar(count, z)
    scale = _ratio(rate, count)
    with np.errstate(invalid="ignore"):
        none_low, none_high = np.zeros_like(rate), byar(0.0, z)[1] / np.where(sums.n > 0, sums.n, np.nan)
    has_any = sums.y > 0
    return np.where(has_any, low * scale, none_low), np.where(has_any, high * scale, none_high if is_count else np.nan)


@dataclass(frozen=True)
class Quantile:
    """A quantile of a survival curve: its estimate and 95 % interval, NaN where the curve does not come so far."""

    value: float
    low: float
    high: float


def kaplan_meier(
    seconds: npt.ArrayLike,
    is_event: npt.ArrayLike,
    weight: npt.ArrayLike,
    cluster: npt.ArrayLike,
    probability: float,
    z: float = Z95,
) -> Quantile:
    """Return a quantile of the time to an event, with right-censoring.

    Parameters
    ----------
    seconds : (n,) array-like
        Times observed, without NaN.
    is_event : (n,) array-like
        Whether the event happened then (else the time is a lower bound). Events come before censorings at the same time.
    weight : (n,) array-like
        Sample weights.
    cluster : (n,) array-like of int
        Rows of one session share a number.
    probability : float
        0.5 for the median.

    Returns
    -------
    Quantile
        The smallest time by which the estimated probability of the event reaches ``probability``. The interval holds the
        times whose log(-log) interval of the curve covers it (Brookmeyer and Crowley, Biometrics 38 (1982) 29-41); the
        Greenwood variance is multiplied by the design effect that clusters have at the estimate (Williams, Biometrics 51
        (1995) 1030-1041: influence of each row, added up within clusters).
    """
    t = np.asarray(seconds, np.float64)
    if not len(t):
        return Quantile(np.nan, np.nan, np.nan)
    order = np.argsort(t, kind="stable")
    t, event = t[order], np.asarray(is_event, np.float64)[order]
    w, group = np.asarray(weight, np.float64)[order], np.asarray(cluster, np.int64)[order]
    firsts = np.flatnonzero(np.append(True, t[1:] != t[:-1]))
    times = t[firsts]
    deaths = np.add.reduceat(w * event, firsts)
    left = np.add.reduceat(w, firsts)
    at_risk = left[::-1].cumsum()[::-1]
    share = deaths / at_risk
    survival = np.cumprod(1 - share)
    survival[survival < 1e-12] = 0.0
    # a hair of slack: 1 - 1/2 - ... must reach the level that exact fractions reach
    reached = np.flatnonzero(survival <= 1 - probability + 1e-12)
    value = float(times[reached[0]]) if len(reached) else np.nan
    greenwood = _greenwood(deaths, at_risk, w, firsts)
    at = reached[0] if len(reached) else len(times) - 1
    greenwood = greenwood * _design_effect(t, event, w, group, firsts, deaths, at_risk, int(at), float(greenwood[at]))
    with np.errstate(divide="ignore", invalid="ignore"):
        inside = (survival > 0) & (survival < 1)
        level = np.log(-np.log(1 - probability))
        distance = np.where(
            inside, np.log(-np.log(np.where(inside, survival, 0.5))) - level, np.where(survival >= 1, -np.inf, np.inf)
        )
        error = np.where(inside, np.sqrt(greenwood) / np.abs(np.log(np.where(inside, survival, 0.5))), 0.0)
    # the curve's interval lies below the level from `high` on, and reaches it first at `low`
    reaches = np.flatnonzero(distance + z * error >= 0)
    passes = np.flatnonzero(distance - z * error > 0)
    low = float(times[reaches[0]]) if len(reaches) else np.nan
    high = float(times[passes[0]]) if len(passes) else np.nan
    return Quantile(value, low, high)


def _greenwood(deaths: FloatArray, at_risk: FloatArray, w: FloatArray, firsts: npt.NDArray[Any]) -> FloatArray:
    """Return Greenwood's variance of log S; weights enter through Kish's effective number at risk."""
    squares = np.add.reduceat(w * w, firsts)[::-1].cumsum()[::-1]
    kish = squares / at_risk  # mean weight of those at risk, by weight: 1 without weights
    rest = at_risk - deaths
    steps = np.divide(deaths * kish, at_risk * rest, out=np.zeros_like(deaths), where=rest > 1e-12 * at_risk)
    return np.cumsum(steps)


def _design_effect(
    t: FloatArray,
    event: FloatArray,
    w: FloatArray,
    group: npt.NDArray[np.int64],
    firsts: npt.NDArray[Any],
    deaths: FloatArray,
    at_risk: FloatArray,
    at: int,
    greenwood: float,
) -> float:
    """Return the variance of log S at the ``at``-th time with clusters over that without, at least 1."""
    _, code = np.unique(group, return_inverse=True)
    if greenwood <= 0 or code.max() + 1 == len(code):
        return 1.0
    place = np.repeat(np.arange(len(firsts)), np.diff(np.append(firsts, len(t))))
    rest = np.maximum(at_risk - deaths, 1e-12 * at_risk)
    hazard = np.cumsum(deaths / (at_risk * rest))
    seen = np.minimum(place, at)
    influence = w * (np.where(place <= at, event / rest[place], 0.0) - hazard[seen])
    alone = float(np.sum(influence**2))
    together = float(np.sum(np.bincount(code, weights=influence) ** 2))
    return max(1.0, together / alone) if alone > 0 else 1.0
