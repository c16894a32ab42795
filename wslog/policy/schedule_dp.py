"""The schedule of attempts that costs least, for a stated price of an attempt against a second of downtime.

An attempt at ``s_k`` finds the network back if X, the hidden end of the outage, is not later than ``s_k``, and then still fails
with probability p. With G_0 = 1, G_k = (1 - p) S(s_k) + p G_{k-1} the probability that the client is still down after attempt k,
a schedule costs J = sum_k (s_k - s_{k-1} + c) G_{k-1} seconds, c being the price of an attempt: the inspection problem of Barlow,
Hunter and Proschan ("Optimum checking procedures", J. SIAM 11, 1963, 1078-1095), with inspections that can err as in Parmigiani
("Optimal inspection and replacement policies with age-dependent failures and fallible tests", J. Opl Res. Soc. 44, 1993).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from wslog.errors import UsageError
from wslog.policy.model import Distribution, FloatArray

SMALLEST_GAP_S = 0.2
"""Attempts closer than a handshake over a phone network takes only queue behind one another."""

FIRST_START_S = 0.05
"""No attempt before: the close event itself is not told apart from the outage's begin much finer."""

LEVELS = 8
"""Of the excess: 16 change the cost by less than 0.01 %."""

COARSE = 160
MOST_PASSES = 3


@dataclass(frozen=True)
class Evaluation:
    """What a schedule does to outages of one distribution, up to a horizon."""

    downtime_mean_s: float
    """E[min(D, horizon)], D the start of the attempt that opens; an outage that is never repaired counts as the horizon."""
    attempts_mean: float
    """Attempts begun before the horizon, the one that opens included."""
    recovery_ratio: float
    """P(D < horizon)."""

    def cost_s(self, price_s: float) -> float:
        """Return downtime plus the price of the attempts, in seconds."""
        return self.downtime_mean_s + price_s * self.attempts_mean


@dataclass(frozen=True)
class Terms:
    """What a schedule is judged by.

    Parameters
    ----------
    price_s : float
        Seconds of downtime that one attempt is worth (its battery, data and server load).
    failure_ratio : float
        Probability that an attempt fails although the network is back.
    horizon_s : float
        Outages are followed so far; what lasts longer counts as this long.
    fail_s : float
        How long a failed attempt lasts. The next one cannot begin before, and a wait is counted from its end.
    smallest_gap_s : float
        Least time between two starts.
    fallback_s, fallback_rate : float
        From ``fallback_s`` on a second without WebSocket counts as ``fallback_rate`` seconds, because polling or SSE carries the
        service. Nothing falls back by default.

    Raises
    ------
    UsageError
        A value is outside its range.
    """

    price_s: float
    failure_ratio: float = 0.0
    horizon_s: float = 600.0
    fail_s: float = 0.0
    smallest_gap_s: float = SMALLEST_GAP_S
    fallback_s: float = float("inf")
    fallback_rate: float = 1.0

    def __post_init__(self) -> None:
        for name, is_good, wanted in (
            ("price_s", 0 < self.price_s < float("inf"), "above 0"),
            ("failure_ratio", 0 <= self.failure_ratio < 1, "from 0 to below 1"),
            ("horizon_s", FIRST_START_S < self.horizon_s < float("inf"), f"above {FIRST_START_S}"),
            ("fail_s", 0 <= self.fail_s < self.horizon_s, "from 0 to below the horizon"),
            ("smallest_gap_s", 0 < self.smallest_gap_s < self.horizon_s, "above 0 and below the horizon"),
            ("fallback_s", self.fallback_s >= 0, "0 or more"),
            ("fallback_rate", 0 <= self.fallback_rate <= 1, "from 0 to 1"),
        ):
            if not is_good:
                raise UsageError(f"{name} must be {wanted}, not {getattr(self, name)}")

    @property
    def gap_s(self) -> float:
        """Least time between two starts, with the duration of a failed attempt."""
        return max(self.smallest_gap_s, self.fail_s)

    def counted_s(self, at_s: FloatArray) -> FloatArray:
        """Return how much downtime is counted up to a time."""
        after = np.maximum(at_s - self.fallback_s, 0.0)
        return np.asarray(at_s - (1.0 - self.fallback_rate) * after, np.float64)


@dataclass(frozen=True)
class Optimum:
    """The starts that cost least on the grid, and how close that is known to be to the best.

    Parameters
    ----------
    starts_s : (k,) float array
        Starts of the attempts; after the last, trying on is not worth its price within the horizon.
    terms : Terms
        What it was made for.
    evaluation : Evaluation
        Its exact figures under the distribution it was made on.
    cost_s : float
        Downtime plus the price of the attempts.
    floor_s : float
        No schedule on the grid costs less: values between the levels of the state are interpolated linearly, and the true
        value is concave there.
    """

    starts_s: FloatArray
    terms: Terms
    evaluation: Evaluation
    cost_s: float
    floor_s: float


def evaluate(starts_s: npt.ArrayLike, distribution: Distribution, terms: Terms) -> Evaluation:
    """Return the exact figures of a schedule, or of equally likely schedules.

    Parameters
    ----------
    starts_s : (k,) or (r, k) float array
        Starts in ascending order along the last axis. A row is one draw of a jittered schedule; the figures are means over
        rows. NaN and times beyond the horizon are no attempts.
    distribution : Distribution
        Of the outages' ends.
    terms : Terms
        Its horizon, failure ratio and fallback are used.

    Raises
    ------
    UsageError
        Starts that are not ascending.
    """
    starts = np.atleast_2d(np.asarray(starts_s, np.float64))
    horizon = terms.horizon_s
    at = np.where(starts < horizon, starts, horizon)
    if np.any(np.diff(at, axis=1) < 0):
        raise UsageError("starts_s must be ascending")
    is_attempt = at < horizon
    p = terms.failure_ratio
    survival = distribution.survival(at)
    gaps = np.diff(terms.counted_s(at), axis=1, prepend=0.0)
    still = np.ones(len(at))
    downtime = np.zeros(len(at))
    attempts = np.zeros(len(at))
    for k in range(at.shape[1]):
        downtime += gaps[:, k] * still
        attempts += still * is_attempt[:, k]
        still = np.where(is_attempt[:, k], (1 - p) * survival[:, k] + p * still, still)
    last = at[:, -1] if at.shape[1] else np.zeros(len(at))
    downtime += (terms.counted_s(np.asarray([horizon])) - terms.counted_s(last)) * still
    return Evaluation(float(downtime.mean()), float(attempts.mean()), float(1.0 - still.mean()))


def starts_of(waits_s: npt.ArrayLike, terms: Terms, attempt_limit: int | None = None) -> FloatArray:
    """Return the (k,) starts of a list of waits whose last one repeats, up to the horizon."""
    starts = np.cumsum(_gaps(waits_s, terms, terms.horizon_s, attempt_limit))
    return np.asarray(starts[starts < terms.horizon_s], np.float64)


def _gaps(waits_s: npt.ArrayLike, terms: Terms, until_s: float, attempt_limit: int | None) -> FloatArray:
    """Return the gaps between starts, the first from the begin of the outage, until their sum passes ``until_s``."""
    waits = np.asarray(waits_s, np.float64)
    if not len(waits):
        return waits
    gaps = waits + terms.fail_s
    more = int(max(until_s - gaps.sum() + terms.fail_s, 0.0) / max(gaps[-1], 1e-3)) + 1
    gaps = np.concatenate((gaps, np.full(more, gaps[-1])))
    gaps[0] -= terms.fail_s
    return np.asarray(gaps[:attempt_limit], np.float64)


def jittered_starts(
    waits_s: npt.ArrayLike,
    terms: Terms,
    jitter: float,
    rng: np.random.Generator,
    count: int = 512,
    attempt_limit: int | None = None,
) -> FloatArray:
    """Return (count, k) starts of waits that are each multiplied by U(1 - jitter, 1 + jitter); the last wait repeats.

    Draws come in antithetic pairs, which takes most of the noise out of the means.
    """
    gaps = _gaps(waits_s, terms, terms.horizon_s / (1 - jitter) if jitter < 1 else 10 * terms.horizon_s, attempt_limit)
    # columns that only a row more than four standard deviations short of its mean would need are left out
    slowest = np.cumsum(gaps) - 4 * jitter / np.sqrt(3) * np.sqrt(np.cumsum(gaps**2))
    gaps = gaps[: int(np.searchsorted(np.maximum.accumulate(slowest), terms.horizon_s)) + 1] if len(gaps) else gaps
    failing = np.where(np.arange(len(gaps)) > 0, terms.fail_s, 0.0)
    draws = rng.random(((count + 1) // 2, len(gaps)))
    factor = 1.0 + jitter * (2.0 * np.concatenate((draws, 1.0 - draws))[:count] - 1.0)
    return np.asarray(np.cumsum((gaps - failing) * factor + failing, axis=1), np.float64)


def optimum(distribution: Distribution, terms: Terms) -> Optimum:
    """Return the schedule of least cost, by dynamic programming over times and the probability of still being down.

    Parameters
    ----------
    distribution : Distribution
        Of the outages' ends; an estimate should be smoothed before.
    terms : Terms
        The price of an attempt, and what limits a schedule.

    Notes
    -----
    The state is (time of the last attempt, excess e = G - S left by attempts that failed by chance); e is at most p (1 - S) and
    follows e' = p (e + S - S'). A first pass on a geometric grid, then a pass on a grid that is fine around the starts found, and
    another if the starts use up much of that.
    """
    times = np.geomspace(FIRST_START_S, terms.horizon_s, COARSE + 1)[:-1]
    best: Optimum | None = None
    for taken in range(MOST_PASSES):
        starts, floor = _pass(distribution, terms, times)
        figures = evaluate(starts, distribution, terms)
        cost = figures.cost_s(terms.price_s)
        if best is None or cost < best.cost_s:
            best = Optimum(starts, terms, figures, cost, floor)
        if not len(starts) or (taken and len(starts) < len(times) / 4):
            break
        times = _refined(starts, times)
    assert best is not None
    return best


def _refined(starts: FloatArray, times: FloatArray) -> FloatArray:
    """Return a grid with several points in each gap of a schedule, and the old points behind its last start."""
    inside = int(np.clip(1.3 * COARSE // len(starts), 4 if len(starts) < COARSE else 2, 12))
    ends = np.concatenate(([FIRST_START_S], starts))
    share = np.arange(inside) / inside
    fine = (ends[:-1, None] + np.diff(ends)[:, None] * share).ravel()
    return np.unique(np.concatenate((fine, starts[-1:], times[times > starts[-1]])))


def _pass(distribution: Distribution, terms: Terms, times: FloatArray) -> tuple[FloatArray, float]:
    """Return the best starts among ``times``, and the value that no choice of them falls below."""
    at = np.concatenate(([0.0], times))
    n = len(at)
    survival = np.concatenate(([1.0], np.minimum(distribution.survival(times), 1.0)))
    counted = terms.counted_s(at)
    end = float(terms.counted_s(np.asarray([terms.horizon_s]))[0])
    # the first attempt needs no gap before it
    nearest = np.maximum(np.searchsorted(at, at + terms.gap_s * (1 - 1e-9)), np.arange(n) + 1)
    nearest[0] = 1
    p = terms.failure_ratio
    levels = (np.arange(LEVELS) / (LEVELS - 1)) ** 2 if p else np.zeros(1)
    reach = 1.0 - survival
    value = np.empty((n, len(levels)))
    # of all that the loop needs over and over
    flat, places, steps, room = (
        value.ravel(),
        (np.arange(n) * LEVELS)[:, None],
        np.diff(levels),
        reach.clip(1e-300)[:, None],
    )

    def ahead(i: int, excess: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return the cost of each next time (rows) for each excess at time i, and the cost of stopping."""
        still = survival[i] + excess
        stop = (end - counted[i]) * still
        later = slice(int(nearest[i]), n)
        cost = (counted[later] - counted[i] + terms.price_s)[:, None] * still
        if not p:
            return cost + value[later], stop
        share = (excess + (survival[i] - survival[later])[:, None]) / room[later]
        share = np.minimum(share, 1.0, out=share)
        low = np.minimum((np.sqrt(share) * (LEVELS - 1)).astype(np.int64), LEVELS - 2)
        part = (share - levels.take(low)) / steps.take(low)
        at_low = low + places[later]
        return cost + flat.take(at_low) * (1 - part) + flat.take(at_low + 1) * part, stop

    for i in range(n - 1, -1, -1):
        costs, stop = ahead(i, p * reach[i] * levels)
        value[i] = np.minimum(costs.min(axis=0), stop) if len(costs) else stop
    starts: list[int] = []
    i, excess = 0, 0.0
    while True:
        costs, stop = ahead(i, np.asarray([excess]))
        if not len(costs) or costs[:, 0].min() >= stop[0]:
            break
        j = int(nearest[i]) + int(costs[:, 0].argmin())
        excess = p * (excess + survival[i] - survival[j])
        starts.append(j)
        i = j
    return at[starts], float(value[0, 0])
