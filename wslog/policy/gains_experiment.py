"""How large an experiment must be to settle a difference between two policies: in outages, and in weeks.

Two arms of equal size, sessions assigned at random (a client must not change its policy within a session), a two-sided test at
5 % that finds a true difference of the stated size in 80 % of experiments. Sizes are the usual ones for two samples (Fleiss, Levin
and Paik, Statistical Methods for Rates and Proportions, 3rd ed., chapter 4; for quantiles the variance q (1 - q) / (n f^2)), times
the design effect of outages that come in sessions (Kish, Survey Sampling, 1965, section 5.4).
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, inf, sqrt
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

from wslog.errors import UsageError
from wslog.policy.model import FloatArray, IntArray

STATISTICS = {"mean": "mean", "ratio": "share", "p50": "median", "p95": "95th percentile"}
"""What may be compared: of seconds or counts the mean, the median and the 95th percentile; of 0 and 1 the share."""

LEVELS = {"p50": 0.5, "p95": 0.95}
SIGNIFICANCE = 0.05
POWER = 0.8


@dataclass(frozen=True)
class Experiment:
    """The size of an experiment.

    Parameters
    ----------
    statistic : str
        Key of :data:`STATISTICS`.
    difference : float
        What it is to find: proposed minus current.
    outages_per_arm : int or None
        Outages for each policy; None where the two do not differ, so that no size settles it.
    weeks : float or None
        Until both arms have them, given the outages a week; None if that is not known.
    design_effect : float
        Factor by which sessions made it larger.
    """

    statistic: str
    difference: float
    outages_per_arm: int | None
    weeks: float | None
    design_effect: float

    def sentence(self, quantity: str, unit: str = "") -> str:
        """Return it in words, such as for an experiment plan."""
        what = f"{STATISTICS[self.statistic]} of {quantity}" if self.statistic != "ratio" else quantity
        if self.outages_per_arm is None:
            return f"The {what} is expected to be the same: no experiment would settle which policy is better in it."
        time = "" if self.weeks is None else f", {_span(self.weeks)} at the outages seen now"
        change = (
            f"{100 * self.difference:+.2g} percentage points"
            if self.statistic == "ratio"
            else f"{self.difference:+.3g}{unit}"
        )
        return (
            f"To settle a difference of {change} in the {what}: {self.outages_per_arm:,} outages with each policy{time} "
            f"(sessions assigned at random, 80 % power, 5 % significance, design effect {self.design_effect:.2f})."
        )


def experiment_size(
    current: npt.ArrayLike,
    proposed: npt.ArrayLike,
    statistic: str,
    *,
    difference: float | None = None,
    design_effect: float = 1.0,
    outages_per_week: float | None = None,
    power: float = POWER,
    significance: float = SIGNIFICANCE,
) -> Experiment:
    """Return how many outages an experiment needs.

    Parameters
    ----------
    current, proposed : (n,), (m,) float array
        What one outage would give under each policy (downtime up to the horizon, attempts; 0 and 1 for a share): draws of a
        replay, or what was seen.
    statistic : str
        Key of :data:`STATISTICS`.
    difference : float, optional
        The difference to find; default: the one between the two.
    design_effect : float
        From :func:`design_effect_of`; 1 for outages that are independent.
    outages_per_week : float, optional
        Of both arms together.
    power, significance : float
        Of the two-sided test.

    Raises
    ------
    UsageError
        Unknown statistic, fewer than two values, or a design effect or weekly number that is not positive.
    """
    a, b = np.asarray(current, np.float64), np.asarray(proposed, np.float64)
    if statistic not in STATISTICS:
        raise UsageError(f"no statistic {statistic!r}; there are {', '.join(STATISTICS)}")
    if min(len(a), len(b)) < 2:
        raise UsageError("an experiment cannot be sized from fewer than two values of each policy")
    if not design_effect > 0 or (outages_per_week is not None and not outages_per_week > 0):
        raise UsageError("design_effect and outages_per_week must be above 0")
    reach, hit = NormalDist().inv_cdf(1 - significance / 2), NormalDist().inv_cdf(power)
    found = _statistic(b, statistic) - _statistic(a, statistic) if difference is None else difference
    if found == 0:
        return Experiment(statistic, 0.0, None, None, design_effect)
    if statistic == "ratio":
        low = float(a.mean())
        high = min(max(low + found, 0.0), 1.0)
        middle = (low + high) / 2
        root = reach * sqrt(2 * middle * (1 - middle)) + hit * sqrt(low * (1 - low) + high * (1 - high))
        count = root**2 / found**2
    else:
        count = (reach + hit) ** 2 * (_variance(a, statistic) + _variance(b, statistic)) / found**2
    if count == inf or not np.isfinite(count):
        return Experiment(statistic, found, None, None, design_effect)
    outages = max(2, ceil(count * design_effect))
    weeks = None if outages_per_week is None else 2 * outages / outages_per_week
    return Experiment(statistic, found, outages, weeks, design_effect)


def design_effect_of(values: npt.ArrayLike, cluster: IntArray) -> float:
    """Return how much wider the mean is known than from as many independent values: variance ratio, 1 at least.

    Parameters
    ----------
    values : (n,) float array
        One for each outage.
    cluster : (n,) int array
        Its session.

    Notes
    -----
    The variance between session totals of the deviations over that of independent values, with the factor C / (C - 1).
    """
    value = np.asarray(values, np.float64)
    _, session = np.unique(cluster, return_inverse=True)
    count = int(session.max()) + 1 if len(session) else 0
    if count < 2:
        raise UsageError("a design effect needs two sessions or more")
    deviation = value - value.mean()
    alone = float(deviation @ deviation) * len(value) / (len(value) - 1)
    if alone == 0:
        return 1.0
    totals = np.bincount(session, deviation)
    return max(1.0, float(totals @ totals) * count / (count - 1) / alone)


def _statistic(values: FloatArray, statistic: str) -> float:
    return float(np.quantile(values, LEVELS[statistic]) if statistic in LEVELS else values.mean())


def _variance(values: FloatArray, statistic: str) -> float:
    """Return n times the variance of the statistic over n independent values."""
    if statistic not in LEVELS:
        return float(values.var(ddof=1))
    level = LEVELS[statistic]
    # the quantile's slope over the window of Bofinger, Aust. J. Stat. 17 (1975) 1-7
    at = NormalDist().inv_cdf(level)
    wide = (4.5 * NormalDist().pdf(at) ** 4 / (2 * at**2 + 1) ** 2) ** 0.2
    half = min(wide * len(values) ** -0.2, (1 - level) * 0.8)
    low, high = np.quantile(values, [level - half, level + half])
    return float(level * (1 - level) * (float(high - low) / (2 * half)) ** 2)


def _span(weeks: float) -> str:
    """Return a number of weeks in words; nobody waits for more than a few years."""
    return f"{weeks:.1f} weeks" if weeks <= 156 else "more than three years: not worth running"
