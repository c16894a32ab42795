"""The schedule to recommend: the optimum for outages like the estimated ones, as a short list of waits that a person can read.

The last wait of the list repeats. Rounding, and the jitter without which clients cut together come back together, cost little, and
the cost is stated (:attr:`Schedule.rounding_cost_ratio`, :attr:`Schedule.jitter_cost_ratio`).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from wslog.policy.model import Distribution, FloatArray
from wslog.policy.schedule_dp import (
    SMALLEST_GAP_S,
    Evaluation,
    Optimum,
    Terms,
    evaluate,
    jittered_starts,
    optimum,
    starts_of,
)
from wslog.policy.schedule_list import LADDER_S, MOST_ROUNDING, rounded

__all__ = [
    "LADDER_S",
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
        """How much more the list costs than the optimum, as a share; 0 if less, the optimum being one on a grid of times."""
        return max(self.plain.cost_s(self.price_s) / self.optimum.cost_s(self.price_s) - 1.0, 0.0)

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
