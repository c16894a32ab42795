"""The Pareto frontier: the least mean downtime for each mean number of attempts, and where policies lie above it.

Its points are the optimal schedules for a range of prices (:mod:`wslog.policy.schedule_dp`), with the jitter that any schedule
should have. Between two of them lies what a client reaches that picks one of the two at random for each outage.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from wslog.errors import UsageError
from wslog.policy.model import Distribution, FloatArray
from wslog.policy.schedule import JITTER
from wslog.policy.schedule_dp import Evaluation, Terms, evaluate, jittered_starts, optimum

PRICES_S = tuple(np.geomspace(0.02, 100.0, 22).tolist())
"""From one mean attempt to a few dozen, in worlds of seconds to minutes."""


@dataclass(frozen=True)
class Frontier:
    """Schedules that no other beats in both downtime and attempts, in ascending order of attempts.

    Parameters
    ----------
    terms : Terms
        What all of them were made for; its price is without meaning here.
    jitter : float
        Each wait is multiplied by U(1 - jitter, 1 + jitter).
    price_s : (k,) float array
        Price of an attempt at which the schedule is the best; inf for the first, which makes no attempt.
    attempts_mean, downtime_mean_s : (k,) float array
        Exact over outages, means of seeded draws over the jitter.
    starts_s : tuple of (m,) float arrays
        Starts without jitter.
    """

    terms: Terms
    jitter: float
    price_s: FloatArray
    attempts_mean: FloatArray
    downtime_mean_s: FloatArray
    starts_s: tuple[FloatArray, ...]

    def downtime_at(self, attempts_mean: npt.ArrayLike) -> FloatArray:
        """Return the least mean downtime in seconds at a mean number of attempts; beyond the last point, that point's."""
        return np.asarray(
            np.interp(np.asarray(attempts_mean, np.float64), self.attempts_mean, self.downtime_mean_s), np.float64
        )

    def attempts_at(self, downtime_mean_s: npt.ArrayLike) -> FloatArray:
        """Return the least mean attempts at a mean downtime; NaN below what the frontier reaches."""
        return np.asarray(
            np.interp(
                np.asarray(downtime_mean_s, np.float64),
                self.downtime_mean_s[::-1],
                self.attempts_mean[::-1],
                left=np.nan,
            ),
            np.float64,
        )


@dataclass(frozen=True)
class Placed:
    """A policy beside the frontier.

    Parameters
    ----------
    name : str
        Of the policy.
    evaluation : Evaluation
        Its own figures under the distribution of the frontier.
    attempts_there : float
        Mean attempts of the frontier at the policy's downtime; NaN if the frontier does not go as low.
    downtime_there_s : float
        Mean downtime of the frontier at the policy's attempts.
    """

    name: str
    evaluation: Evaluation
    attempts_there: float
    downtime_there_s: float

    @property
    def attempts_saved(self) -> float:
        """Mean attempts that the frontier spares at equal mean downtime; negative if the policy is better."""
        return self.evaluation.attempts_mean - self.attempts_there

    @property
    def attempts_saved_ratio(self) -> float:
        """The same as a share of the policy's attempts."""
        return self.attempts_saved / self.evaluation.attempts_mean if self.evaluation.attempts_mean else float("nan")

    @property
    def downtime_saved_s(self) -> float:
        """Mean downtime that the frontier spares at equal mean attempts."""
        return self.evaluation.downtime_mean_s - self.downtime_there_s


def frontier(
    outage: Distribution,
    terms: Terms,
    prices_s: Sequence[float] = PRICES_S,
    jitter: float = JITTER,
    draws: int = 512,
    seed: int = 0,
) -> Frontier:
    """Return the frontier of schedules for outages that end like ``outage``.

    Parameters
    ----------
    outage : Distribution
        Of the outages' ends; an estimate should be smoothed before.
    terms : Terms
        Failure ratio, horizon and limits; its price is replaced by each of ``prices_s``.
    prices_s : sequence of float
        Prices of an attempt, in seconds of downtime.
    jitter : float
        Of the schedules on the frontier.
    draws, seed : int
        Draws of the jitter, and the seed that all points share.

    Raises
    ------
    UsageError
        No price, or one that is not above 0.

    Notes
    -----
    Points above the lower convex hull are left out: a random choice between two others beats them.
    """
    if not len(prices_s):
        raise UsageError("prices_s must name at least one price above 0")
    nothing = evaluate([], outage, terms)
    prices, starts, figures = [float("inf")], [np.empty(0)], [nothing]
    for price in sorted(prices_s, reverse=True):
        exact = optimum(outage, replace(terms, price_s=price))
        prices.append(price)
        starts.append(exact.starts_s)
        figures.append(_with_jitter(exact.starts_s, outage, terms, jitter, draws, seed))
    return _kept(terms, jitter, prices, figures, starts)


def place(there: Frontier, name: str, starts_s: npt.ArrayLike, outage: Distribution) -> Placed:
    """Return where a policy lies beside a frontier.

    Parameters
    ----------
    there : Frontier
        Made for the same outages.
    name : str
        Of the policy.
    starts_s : (k,) or (r, k) float array
        Starts of its attempts; a row for each draw of its jitter.
    outage : Distribution
        The outages that the frontier was made for.
    """
    figures = evaluate(starts_s, outage, there.terms)
    return Placed(
        name,
        figures,
        float(there.attempts_at(figures.downtime_mean_s)),
        float(there.downtime_at(figures.attempts_mean)),
    )


def under(there: Frontier, outage: Distribution, draws: int = 512, seed: int = 0) -> Frontier:
    """Return the same schedules with their figures under another distribution, and what is no longer on the hull left out.

    Schedules made on an estimate look better under it than they are: under a bootstrap replicate, or under the truth of a
    simulated world, this says by how much.
    """
    figures = [_with_jitter(starts, outage, there.terms, there.jitter, draws, seed) for starts in there.starts_s]
    return _kept(there.terms, there.jitter, there.price_s, figures, there.starts_s)


def _kept(
    terms: Terms, jitter: float, price_s: npt.ArrayLike, figures: list[Evaluation], starts_s: Sequence[FloatArray]
) -> Frontier:
    attempts = np.asarray([one.attempts_mean for one in figures])
    downtime = np.asarray([one.downtime_mean_s for one in figures])
    keep = _hull(attempts, downtime)
    kept_starts = tuple(starts_s[k] for k in keep)
    return Frontier(terms, jitter, np.asarray(price_s)[keep], attempts[keep], downtime[keep], kept_starts)


def _with_jitter(
    starts: FloatArray, outage: Distribution, terms: Terms, jitter: float, draws: int, seed: int
) -> Evaluation:
    if not jitter or not len(starts):
        return evaluate(starts, outage, terms)
    waits = np.diff(starts, prepend=0.0)
    waits[1:] -= terms.fail_s
    rng = np.random.default_rng(seed)
    return evaluate(jittered_starts(waits, terms, jitter, rng, draws, attempt_limit=len(starts)), outage, terms)


def _hull(x: FloatArray, y: FloatArray) -> list[int]:
    """Return the positions of the lower convex hull's falling part, from left to right."""
    kept: list[int] = []
    for k in np.lexsort((y, x)).tolist():
        if kept and y[k] >= y[kept[-1]]:
            continue
        while len(kept) > 1:
            a, b = kept[-2], kept[-1]
            if (y[b] - y[a]) * (x[k] - x[a]) < (y[k] - y[a]) * (x[b] - x[a]):
                break
            kept.pop()
        kept.append(k)
    return kept
