"""The schedule to recommend: the optimum for outages like the estimated ones, as a short list of waits that a person can read.

The last wait of the list repeats. Rounding, and the jitter without which clients cut together come back together, cost little, and
the cost is stated (:attr:`Schedule.rounding_cost_ratio`, :attr:`Schedule.jitter_cost_ratio`).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from wslog.policy.model import Distribution, FloatArray
from wslog.policy.schedule_dp import (
    FIRST_START_S,
    SMALLEST_GAP_S,
    Evaluation,
    Optimum,
    Terms,
    evaluate,
    jittered_starts,
    optimum,
    starts_of,
)

__all__ = [
    "Evaluation",
    "Optimum",
    "Schedule",
    "Terms",
    "best_schedule",
    "evaluate",
    "jittered_starts",
    "listed",
    "optimum",
    "rounded",
    "starts_of",
]

JITTER = 0.5
"""Each wait is multiplied by U(1 - JITTER, 1 + JITTER)."""

MOST_ROUNDING = 0.0005
"""Rounding may cost this share of the optimum's cost under the estimate. Under the truth it costs more, as the wait that repeats is
fitted to the tail: lists of at most 24 waits that were allowed 0.1 % cost 0.17 % in simulated worlds, these 0.08 %."""

MOST_WAITS = 48
LADDER_S = np.asarray([
    0.1, 0.12, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 1, 1.2, 1.5, 2, 2.5, 3, 4, 5, 6, 7, 8,
    10, 12, 15, 20, 25, 30, 40, 50, 60, 70, 80, 100, 120, 150, 200, 250, 300, 400, 500, 600,
])  # fmt: skip
"""Waits that people write down: steps of about a fifth."""


@dataclass(frozen=True)
class Schedule:
    """A recommended schedule.

    Parameters
    ----------
    waits_s : tuple of float
        Seconds to wait before each attempt, from the close or the end of the failed attempt; the last one repeats.
    attempt_limit : int or None
        Attempts after which trying on is not worth its price; None if there is no such point.
    jitter : float
        Each wait is to be multiplied by U(1 - jitter, 1 + jitter).
    terms : Terms
        The price of an attempt, horizon and limits it was made for.
    starts_s : (k,) float array
        The exact optimum, of which ``waits_s`` is the readable form.
    optimum : Evaluation
        Figures of the exact optimum, under the distribution it was made for.
    plain, jittered : Evaluation
        Figures of the list as it stands, and with its jitter.
    """

    waits_s: tuple[float, ...]
    attempt_limit: int | None
    jitter: float
    terms: Terms
    starts_s: FloatArray
    optimum: Evaluation
    plain: Evaluation
    jittered: Evaluation

    @property
    def price_s(self) -> float:
        """Seconds of downtime that one attempt is worth."""
        return self.terms.price_s

    @property
    def cost_s(self) -> float:
        """Cost of the list with its jitter: downtime plus price of the attempts."""
        return self.jittered.cost_s(self.price_s)

    @property
    def downtime_mean_s(self) -> float:
        """E[min(D, horizon)] of the list with its jitter."""
        return self.jittered.downtime_mean_s

    @property
    def attempts_mean(self) -> float:
        """Mean attempts up to the horizon of the list with its jitter."""
        return self.jittered.attempts_mean

    @property
    def rounding_cost_ratio(self) -> float:
        """How much more the list costs than the exact optimum, as a share."""
        return self.plain.cost_s(self.price_s) / self.optimum.cost_s(self.price_s) - 1.0

    @property
    def jitter_cost_ratio(self) -> float:
        """How much more the jittered list costs than the list, as a share."""
        return self.cost_s / self.plain.cost_s(self.price_s) - 1.0


def best_schedule(
    outage: Distribution,
    failure_ratio: float,
    price_s: float,
    horizon_s: float = 600.0,
    fail_s: float = 0.0,
    smallest_gap_s: float = SMALLEST_GAP_S,
    *,
    fallback_s: float = float("inf"),
    fallback_rate: float = 1.0,
    jitter: float = JITTER,
    seed: int = 0,
) -> Schedule:
    """Return the schedule to recommend for outages that end like ``outage``.

    Parameters
    ----------
    outage : Distribution
        Of the outages' ends; of an estimate, what :func:`wslog.policy.schedule_outages.planned` makes of it.
    failure_ratio : float
        Probability that an attempt fails although the network is back.
    price_s : float
        Seconds of downtime that one attempt is worth.
    horizon_s, fail_s, smallest_gap_s, fallback_s, fallback_rate : float
        See :class:`Terms`.
    jitter : float
        Share by which each wait is spread.
    seed : int
        Of the draws that the jittered figures are means over.

    Raises
    ------
    UsageError
        A term outside its range.
    """
    terms = Terms(price_s, failure_ratio, horizon_s, fail_s, smallest_gap_s, fallback_s, fallback_rate)
    return listed(optimum(outage, terms), outage, jitter, seed)


def listed(
    exact: Optimum, outage: Distribution, jitter: float = JITTER, seed: int = 0, most_rounding: float = MOST_ROUNDING
) -> Schedule:
    """Return an optimum as a list of round waits, with the figures of the list under the distribution it was made for."""
    terms = exact.terms
    waits, limit = rounded(exact, outage, most_rounding)
    plain = evaluate(starts_of(waits, terms, limit), outage, terms)
    rng = np.random.default_rng(seed)
    spread = (
        evaluate(jittered_starts(waits, terms, jitter, rng, attempt_limit=limit), outage, terms) if jitter else plain
    )
    return Schedule(waits, limit, jitter, terms, exact.starts_s, exact.evaluation, plain, spread)


def rounded(
    exact: Optimum, distribution: Distribution, most_rounding: float = MOST_ROUNDING
) -> tuple[tuple[float, ...], int | None]:
    """Return the shortest list of round waits, the last one repeating, that costs at most this share more than the optimum.

    Returns
    -------
    waits_s : tuple of float
        Waits from :data:`LADDER_S`; empty where no attempt is worth its price. If no list of :data:`MOST_WAITS` keeps within
        that, the cheapest found.
    attempt_limit : int or None
        Attempts after which to stop, if the optimum stops in the first half of the horizon and going on would cost
        more than that; else None. (A stop shortly before the horizon is about the horizon, not about the outages.)
    """
    terms = exact.terms
    gaps = np.diff(exact.starts_s, prepend=0.0)
    gaps[1:] -= terms.fail_s
    if not len(gaps):
        return (), 0
    allowed = exact.cost_s * (1 + most_rounding)
    ladder = LADDER_S if terms.fail_s else LADDER_S[terms.smallest_gap_s - 1e-9 <= LADDER_S]
    quick = _Quick(exact, distribution, ladder)
    best: tuple[float, tuple[int, ...], int | None] | None = None
    for has_limit in (False, True)[: 1 + bool(exact.starts_s[-1] < terms.horizon_s / 2)]:
        for length in range(1, min(MOST_WAITS, len(gaps)) + 1):
            rungs = np.abs(np.log(np.maximum(gaps[:length], 1e-3)[:, None] / ladder)).argmin(axis=1)
            # the wait that repeats stands for all that follow
            rungs[-1] = np.abs(np.log(np.median(np.maximum(gaps[length - 1 :], 1e-3)) / ladder)).argmin()
            found, cost = quick.descend(tuple(rungs.tolist()), has_limit)
            if best is None or cost < best[0]:
                best = cost, found, quick.limit(found) if has_limit else None
            if cost <= allowed:
                break
        if best is not None and best[0] <= allowed:
            break
    assert best is not None
    return tuple(float(wait) for wait in ladder[list(best[1])]), best[2]


class _Quick:
    """The cost of lists of rungs of a ladder, from a table of S: many lists are tried."""

    def __init__(self, exact: Optimum, distribution: Distribution, ladder: FloatArray) -> None:
        self.terms = exact.terms
        self.ladder = ladder
        self.last_s = float(exact.starts_s[-1])
        # the step near the horizon is 0.3 % of the time: finer than any rung
        self.at = np.geomspace(FIRST_START_S, self.terms.horizon_s, 3000)
        self.log_at = np.log(self.at)
        self.survival = distribution.survival(self.at)
        self.seen: dict[tuple[tuple[int, ...], bool], float] = {}

    def limit(self, rungs: tuple[int, ...]) -> int:
        """Return how many attempts a list makes up to the optimum's last."""
        return max(1, int(np.searchsorted(starts_of(self.ladder[list(rungs)], self.terms), self.last_s * 1.02)))

    def cost(self, rungs: tuple[int, ...], has_limit: bool) -> float:
        """Return the cost of a list."""
        key = rungs, has_limit
        if key not in self.seen:
            limit = self.limit(rungs) if has_limit else None
            self.seen[key] = self._cost(starts_of(self.ladder[list(rungs)], self.terms, limit))
        return self.seen[key]

    def _cost(self, starts: FloatArray) -> float:
        terms = self.terms
        p = terms.failure_ratio
        survival = np.interp(np.log(starts), self.log_at, self.survival)
        still = np.empty(len(starts) + 1)
        still[0] = 1.0
        if p:
            left = 1.0
            for k, one in enumerate(survival.tolist()):
                left = (1 - p) * one + p * left
                still[k + 1] = left
        else:
            still[1:] = survival
        ends = terms.counted_s(np.concatenate(([0.0], starts, [terms.horizon_s])))
        return float(np.diff(ends) @ still + terms.price_s * still[:-1].sum())

    def descend(self, rungs: tuple[int, ...], has_limit: bool) -> tuple[tuple[int, ...], float]:
        """Move one wait at a time up or down the ladder while that makes the list cheaper."""
        here, cost = rungs, self.cost(rungs, has_limit)
        is_moving = True
        while is_moving:
            is_moving = False
            # the wait that repeats first: it decides most
            for place in range(len(here) - 1, -1, -1):
                for step in (1, -1):
                    while 0 <= (rung := here[place] + step) < len(self.ladder):
                        there = (*here[:place], rung, *here[place + 1 :])
                        less = self.cost(there, has_limit)
                        if less >= cost * (1 - 1e-5):
                            break
                        here, cost, is_moving = there, less, True
        return here, cost
