"""An optimal schedule as a list of waits that a person can read and paste: as short as its cost allows, the last wait repeating."""

from __future__ import annotations

import numpy as np

from wslog.policy.model import FIRST_S, Distribution, FloatArray
from wslog.policy.schedule_dp import Optimum

MOST_ROUNDING = 0.0002
"""The list may cost this share more than the optimum under the estimate. Under the truth it then costs less than 0.01 % more on
average over random worlds; with 0.05 % allowed, lists are up to three waits shorter and cost 0.03 % more."""

MOST_GOING_ON = 0.0005
"""Nobody is told to give up for less than this share."""

MOST_WAITS = 48
LADDER_S = np.asarray([
    0.1, 0.12, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 1, 1.2, 1.5, 2, 2.5, 3, 4, 5, 6, 7, 8,
    10, 12, 15, 20, 25, 30, 40, 50, 60, 70, 80, 100, 120, 150, 200, 250, 300, 400, 500, 600,
])  # fmt: skip
"""Waits that people write down: steps of about a fifth."""

FINE_S = np.unique(np.concatenate([LADDER_S, *(np.round(unit * np.asarray([
    1, 1.1, 1.2, 1.3, 1.4, 1.5, 1.6, 1.8, 2, 2.2, 2.5, 2.8, 3, 3.3, 3.6, 4, 4.5, 5, 5.5, 6, 6.5, 7, 8, 9,
]), 2) for unit in (0.1, 1.0, 10.0, 100.0))]))  # fmt: skip
"""Steps of about a tenth, two digits: for lists that :data:`LADDER_S` leaves too dear."""
FINE_S = FINE_S[LADDER_S[-1] >= FINE_S]

LEAST_GAIN = 1e-6
BLOCK = 64
"""Attempts whose chance failures are followed in one product of matrices."""

MOST_CELLS = 1 << 18
"""Attempts of all lists that are looked at together: a few megabytes."""


def rounded(
    exact: Optimum, distribution: Distribution, most_rounding: float = MOST_ROUNDING
) -> tuple[tuple[float, ...], int | None]:
    """Return the shortest list of round waits, the last one repeating, that costs at most this share more than the optimum.

    Returns
    -------
    waits_s : tuple of float
        Waits from :data:`FINE_S`, from :data:`LADDER_S` if these will do; empty where no attempt is worth its price. If no list of
        :data:`MOST_WAITS` keeps within that, the cheapest found.
    attempt_limit : int or None
        Attempts after which to stop, if the optimum stops in the first half of the horizon and going on would cost
        more than that, and more than :data:`MOST_GOING_ON`; else None. (A stop shortly before the horizon is about the horizon, not about the outages: there the last
        wait may be long instead.)
    """
    terms = exact.terms
    gaps = np.diff(exact.starts_s, prepend=0.0)
    gaps[1:] -= terms.fail_s
    if not len(gaps):
        return (), 0
    last_s = float(exact.starts_s[-1])
    allowed = exact.cost_s * (1 + most_rounding)
    may_stop = last_s < terms.horizon_s / 2
    if not may_stop:
        gaps = np.append(gaps, max(terms.horizon_s - last_s, float(gaps[-1])))
    going_on = _shortest(_Search(exact, distribution, terms.horizon_s), gaps, allowed)
    if not may_stop or going_on[0] <= max(allowed, exact.cost_s * (1 + MOST_GOING_ON)):
        return tuple(going_on[1].tolist()), None
    stopping = _Search(exact, distribution, last_s * 1.02)
    cost, waits = _shortest(stopping, gaps, allowed)
    if cost >= going_on[0]:
        return tuple(going_on[1].tolist()), None
    return tuple(waits.tolist()), max(1, int((stopping.starts(waits[None]) < stopping.until_s).sum()))


def _shortest(search: _Search, gaps: FloatArray, allowed: float) -> tuple[float, FloatArray]:
    """Return the cost of the shortest list that costs no more than allowed, and the list; of the cheapest, where none does."""
    found: dict[int, tuple[float, FloatArray]] = {}

    def at(length: int) -> float:
        if length not in found:
            found[length] = search.best(gaps, length, allowed)
        return found[length][0]

    low, high = 0, min(MOST_WAITS, len(gaps))
    if at(high) > allowed:
        return min(found.values(), key=lambda one: one[0])
    while high - low > 1:  # the longer, the cheaper
        middle = (low + high) // 2
        low, high = (low, middle) if at(middle) <= allowed else (middle, high)
    return found[high]


class _Search:
    """Lists of waits from a ladder, moved up and down it while that makes them cheaper.

    Parameters
    ----------
    exact : Optimum
    distribution : Distribution
        That it was made for.
    until_s : float
        Later attempts are not made.
    """

    def __init__(self, exact: Optimum, distribution: Distribution, until_s: float) -> None:
        self.terms = exact.terms
        self.until_s = min(until_s, self.terms.horizon_s)
        self.log_at = np.log(np.maximum(distribution.edges_s, FIRST_S / 3))
        self.survival = 1.0 - np.concatenate(([0.0], np.cumsum(distribution.weight)))
        p, steps = self.terms.failure_ratio, np.arange(BLOCK)
        apart = steps - steps[:, None]
        # G of a block of attempts from S of the block (rows) and G before it
        self.carried = np.where(apart >= 0, (1 - p) * p ** np.abs(apart), 0.0)
        self.kept = p ** (1.0 + steps)

    def starts(self, waits: FloatArray) -> FloatArray:
        """Return the (r, k) starts of (r, m) lists, as many as are needed to pass the horizon; later ones are the horizon."""
        terms = self.terms
        gaps = waits + terms.fail_s
        head = np.cumsum(gaps, axis=1) - terms.fail_s
        more = int(max(float(((terms.horizon_s - head[:, -1]) / np.maximum(gaps[:, -1], 1e-3)).max()), 0.0)) + 1
        tail = head[:, -1:] + gaps[:, -1:] * np.arange(1, more + 1)
        at = np.concatenate((head, tail), axis=1)
        return np.asarray(np.where(at < self.until_s, at, terms.horizon_s), np.float64)

    def costs(self, waits: FloatArray) -> FloatArray:
        """Return the (r,) costs of (r, m) lists of waits."""
        terms = self.terms
        longest = waits.shape[1] + terms.horizon_s / max(float(waits[:, -1].min()) + terms.fail_s, 1e-3)
        if len(waits) > 1 and len(waits) * longest > MOST_CELLS:
            half = len(waits) // 2
            return np.concatenate((self.costs(waits[:half]), self.costs(waits[half:])))
        at = self.starts(waits)
        is_made = at < terms.horizon_s
        width = int(is_made.sum(axis=1).max())
        at, is_made = at[:, :width], is_made[:, :width]
        survival = np.interp(np.log(at), self.log_at, self.survival)
        still = np.ones((len(at), width + 1))
        for k in range(0, width, BLOCK):
            part = survival[:, k : k + BLOCK]
            n = part.shape[1]
            still[:, k + 1 : k + 1 + n] = part @ self.carried[:n, :n] + still[:, k : k + 1] * self.kept[:n]
        counted = terms.counted_s(np.pad(at, ((0, 0), (1, 1)), constant_values=((0, 0), (0.0, terms.horizon_s))))
        attempts = (still[:, :-1] * is_made).sum(axis=1)
        return np.asarray((np.diff(counted, axis=1) * still).sum(axis=1) + terms.price_s * attempts, np.float64)

    def best(self, gaps: FloatArray, length: int, allowed: float) -> tuple[float, FloatArray]:
        """Return the least cost found of a list of this length, and the list: of coarse waits where that costs no more than allowed."""
        coarse = self._descended(gaps[:length], gaps[length - 1 :], LADDER_S)
        if coarse[0] <= allowed:
            return coarse
        finer = (self._descended(one, one[-1:], FINE_S) for one in (coarse[1], gaps[:length]))
        return min(finer, key=lambda one: one[0])

    def _descended(self, waits: FloatArray, last: FloatArray, ladder: FloatArray) -> tuple[float, FloatArray]:
        length = len(waits)
        least = np.zeros(length, np.int64)
        if not self.terms.fail_s:  # the first attempt needs no distance from one before
            least[min(1, length - 1) :] = np.searchsorted(ladder, self.terms.smallest_gap_s - 1e-9)
        # the wait that repeats stands for all that follow
        wanted = np.append(waits[:-1], np.median(last))
        here, carry = np.empty(length, np.int64), 0.0
        for place, wait in enumerate(wanted.tolist()):
            # what rounding took from a wait is given to the next: starts stay where they were
            here[place] = np.abs(np.log(max(wait + carry, 1e-3) / ladder)).argmin()
            carry += wait - float(ladder[here[place]])
        here = np.maximum(here, least)
        one = np.eye(length, dtype=np.int64)
        moves = [one, one[:-1] - one[1:], one[:-1] + one[1:], 2 * one]
        steps = np.concatenate([*moves, *(-move for move in moves)])
        cost = float(self.costs(ladder[here][None])[0])
        while True:
            there = np.clip(here + steps, least, len(ladder) - 1)
            costs = self.costs(ladder[there])
            # the best moves together, or the best alone
            order = np.argsort(costs)[: min(16, max(1, int((costs < cost).sum())))]
            joint = np.clip(here + np.cumsum(steps[order], axis=0), least, len(ladder) - 1)
            together = self.costs(ladder[joint])
            best = int(together.argmin())
            if together[best] >= cost * (1 - LEAST_GAIN):
                return cost, np.asarray(ladder[here], np.float64)
            here, cost = joint[best], float(together[best])
