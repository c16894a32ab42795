"""What a policy does in an outage that ends at X: replayed on a grid of ends, once for each policy.

Everything else is weighting: an estimate gives each row of the grid its probability, a resampled estimate gives others, a bound
puts the mass of a gap on the row at its end, and another chance of failure re-weights by its likelihood ratio. So policies are
compared on identical outages, and intervals cost matrix products instead of replays.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from wslog.policy.model import BoolArray, FloatArray, IntArray
from wslog.policy.patterns import PROBES_S
from wslog.policy.policies import Policy

STEP_RATIO = 1.05
"""A row spans 5 % of time: within it X is drawn log-uniformly."""

DRAWS = 64
"""Replays of each row."""


@dataclass(frozen=True)
class Conditions:
    """How attempts go, whatever the policy.

    Parameters
    ----------
    handshake_s : (h,) float array
        Durations of attempts that opened at once; drawn from.
    fast_s : (f,) float array
        Durations of attempts that failed at once; drawn from.
    hang_ratio : float
        Share of the attempts made while the service was away that hang instead of failing at once. While they hang they ask
        again, each SYN being a look of its own, and open if the service is back in time.
    hang_s : float
        How long an attempt hangs when the policy has no patience of its own (browser or operating system).
    is_hang_steady : bool
        An outage is of one nature: in ``hang_ratio`` of them every attempt hangs, in the others none does.
    """

    handshake_s: FloatArray
    fast_s: FloatArray
    hang_ratio: float = 0.0
    hang_s: float = 60.0
    is_hang_steady: bool = False


@dataclass(frozen=True)
class Rows:
    """The grid of ends: cells, then "never", then the ends of gaps.

    Parameters
    ----------
    edges_s : (r + 1,) float array
        Of the cells.
    points_s : (p,) float array
        Single instants, for bounds.
    """

    edges_s: FloatArray
    points_s: FloatArray

    @property
    def never(self) -> int:
        """Position of the row of outages that do not end."""
        return len(self.edges_s) - 1

    @property
    def count(self) -> int:
        return len(self.edges_s) + len(self.points_s)

    @cached_property
    def _drawn(self) -> dict[tuple[int, int], tuple[IntArray, FloatArray]]:
        return {}

    def drawn(self, draws: int, seed: int) -> tuple[IntArray, FloatArray]:
        """Return :meth:`ends` by a seed, the same arrays for every policy."""
        if (draws, seed) not in self._drawn:
            self._drawn[draws, seed] = self.ends(draws, np.random.default_rng((seed, 0)))
        return self._drawn[draws, seed]

    def ends(self, draws: int, rng: np.random.Generator) -> tuple[IntArray, FloatArray]:
        """Return row and X of (rows * draws,) replays."""
        cells = self.never
        # bounds rest on a few points alone
        at_points = draws * max(1, min(16, 128 // max(len(self.points_s), 1)))
        share = (np.arange(draws) + rng.random((cells, draws))) / draws
        low, high = self.edges_s[:-1, None], self.edges_s[1:, None]
        first = low == 0
        inside = np.where(first, high * share, np.maximum(low, 1e-9) ** (1 - share) * high**share)
        x = np.concatenate((inside.ravel(), np.full(draws, np.inf), np.repeat(self.points_s, at_points)))
        sizes = np.concatenate((np.full(cells + 1, draws), np.full(len(self.points_s), at_points)))
        return np.repeat(np.arange(self.count), sizes), x


@dataclass(frozen=True)
class Response:
    """What a policy did in ``n`` replays.

    Parameters
    ----------
    row : (n,) int array
        Row of :class:`Rows`.
    down_s : (n,) float array
        From the loss to the open WebSocket; inf when there was none before the horizon.
    served_s : (n,) float array
        Likewise to any service: the WebSocket or, for policies that fall back, polling that works as soon as the network does.
    attempt_count : (n,) float array
        Attempts begun before the horizon.
    fallback_s : (n,) float array
        Time on the fallback before the horizon.
    is_fallen : (n,) bool array
    chance_failed, chance_opened : (n,) float array
        Attempts that failed by chance, and that opened while they could.
    failure_ratio : float
        The chance of failure they were played with.
    """

    row: IntArray
    down_s: FloatArray
    served_s: FloatArray
    attempt_count: FloatArray
    fallback_s: FloatArray
    is_fallen: BoolArray
    chance_failed: FloatArray
    chance_opened: FloatArray
    failure_ratio: float
    horizon_s: float

    @cached_property
    def table(self) -> ReplayTable:
        """The same as means of each row and downtimes in order: what figures are weighted from, made once."""
        return ReplayTable(self)


class ReplayTable:
    """One policy's replays as row means under a chance of failure, and its downtimes in order."""

    def __init__(self, response: Response) -> None:
        self.response = response
        # every row has replays, and they stand in order
        self.rows = int(response.row[-1]) + 1
        self.capped = np.minimum(response.down_s, response.horizon_s)
        self.order = np.argsort(self.capped, kind="stable")
        self.sorted = self.capped[self.order]
        self._row_sorted = response.row[self.order]
        self.values = np.stack(
            [
                np.isfinite(response.down_s).astype(np.float64),
                self.capped,
                np.minimum(response.served_s, response.horizon_s),
                response.attempt_count,
                response.is_fallen.astype(np.float64),
                response.fallback_s,
            ]
        )
        self._ratio: dict[float, FloatArray] = {}
        self._ratio_sorted: dict[float, FloatArray] = {}
        self._means: dict[float, FloatArray] = {}

    def ratio(self, failure_ratio: float) -> FloatArray:
        """Return (n,) weights of the replays under a chance of failure; they sum to 1 in each row."""
        if failure_ratio not in self._ratio:
            lr = likelihood_ratio(self.response, failure_ratio)
            total = np.bincount(self.response.row, lr, self.rows)
            self._ratio[failure_ratio] = lr / total[self.response.row]
        return self._ratio[failure_ratio]

    def means(self, failure_ratio: float) -> FloatArray:
        """Return (values, rows) means of each row's replays."""
        if failure_ratio not in self._means:
            self._means[failure_ratio] = self.means_of(self.values, failure_ratio)
        return self._means[failure_ratio]

    def means_of(self, values: FloatArray, failure_ratio: float) -> FloatArray:
        """Return the (values, rows) means of other (values, n) arrays."""
        share = self.ratio(failure_ratio)
        return np.stack([np.bincount(self.response.row, v * share, self.rows) for v in values])

    def mass_sorted(self, weight: FloatArray, failure_ratio: float) -> FloatArray:
        """Return (n,) what each replay counts under row weights, in the order of downtime."""
        if failure_ratio not in self._ratio_sorted:
            self._ratio_sorted[failure_ratio] = self.ratio(failure_ratio)[self.order]
        return self._ratio_sorted[failure_ratio] * weight[self._row_sorted]

    def quantiles(self, weight: FloatArray, failure_ratio: float, *levels: float) -> list[float]:
        """Return quantiles of the downtime under row weights."""
        mass = self.mass_sorted(weight, failure_ratio)
        wanted = np.clip(levels, 0.0, 1.0) * mass.sum() * (1 - 1e-12)
        at = np.minimum(np.searchsorted(np.cumsum(mass), wanted), len(self.sorted) - 1)
        found: list[float] = self.sorted[at].tolist()
        return found


def rows_for(edges_s: FloatArray, horizon_s: float, points_s: FloatArray, cuts_s: FloatArray) -> Rows:
    """Return rows whose cells are unions of an estimate's cells, :data:`STEP_RATIO` wide, cut also at ``cuts_s``."""
    wanted = np.geomspace(edges_s[1], horizon_s, int(np.log(horizon_s / edges_s[1]) / np.log(STEP_RATIO)))
    wanted = np.concatenate((wanted, cuts_s[np.isfinite(cuts_s)], [edges_s[-1]]))
    at = np.unique(np.clip(np.searchsorted(edges_s, wanted * (1 - 1e-12)), 1, len(edges_s) - 1))
    return Rows(np.concatenate(([0.0], edges_s[at])), points_s)


def respond(
    policy: Policy,
    rows: Rows,
    conditions: Conditions,
    failure_ratio: float,
    horizon_s: float,
    seed: int,
    draws: int = DRAWS,
) -> Response:
    """Replay a policy on every row.

    The ends of outages, and the clients' patience, are drawn by ``seed`` alone: the same for every policy.
    """
    row, x = rows.drawn(draws, seed)
    rng = np.random.default_rng((seed, 1))
    # a likelihood ratio can take failures away, it cannot add any
    played = _play(policy, x, conditions, max(failure_ratio, 0.05), horizon_s, rng)
    return Response(row, *played, max(failure_ratio, 0.05), horizon_s)


def _play(
    policy: Policy,
    x: FloatArray,
    conditions: Conditions,
    failure_ratio: float,
    horizon_s: float,
    rng: np.random.Generator,
) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray, BoolArray, FloatArray, FloatArray]:
    n = len(x)
    now, began = np.zeros(n), np.zeros(n)
    down, fell = np.full(n, np.inf), np.full(n, np.inf)
    tries, missed, opened = np.zeros(n), np.zeros(n), np.zeros(n)
    stepper = policy.stepper(n, rng)
    nature = rng.random(n) if conditions.is_hang_steady else None
    active = np.arange(n)
    while len(active):
        wait = stepper.next(active)
        is_over = np.isnan(wait)
        if is_over.any():
            stopped = active[is_over]
            if policy.fallback is not None:
                fell[stopped] = np.minimum(fell[stopped], now[stopped])
            if policy.fallback is None or policy.fallback.return_after_s is None:
                active, wait = active[~is_over], wait[~is_over]
            else:
                wait = np.where(is_over, policy.fallback.return_after_s, wait)
        begin = np.maximum((began if policy.is_wait_from_start else now)[active] + wait, now[active])
        is_made = begin < horizon_s
        active, begin = active[is_made], begin[is_made]
        tries[active] += 1
        hang_draw = rng.random(len(active)) if nature is None else nature[active]
        left = x[active] - begin
        is_up, took, opens = _attempt(left, policy.connect_timeout_s, conditions, failure_ratio, hang_draw, rng)
        missed[active] += is_up & ~opens
        opened[active] += is_up & opens
        began[active], now[active] = begin, begin + took
        down[active[opens]] = now[active[opens]]
        active = active[~opens]
    down = np.where(down < horizon_s, down, np.inf)
    is_fallen = fell < np.minimum(down, horizon_s)
    until = np.minimum(down, horizon_s)
    fallback = np.where(is_fallen, until - np.minimum(fell, until), 0.0)
    # where the WebSocket never comes back, polling is taken to work: the weight of "never" says for how many that holds
    served = np.where(is_fallen, np.minimum(down, np.maximum(fell, np.where(np.isinf(x), 0.0, x))), down)
    return down, served, tries, fallback, is_fallen, missed, opened


def _attempt(
    left_s: FloatArray,
    timeout_s: float,
    conditions: Conditions,
    failure_ratio: float,
    hang_draw: FloatArray,
    rng: np.random.Generator,
) -> tuple[BoolArray, FloatArray, BoolArray]:
    """Return of attempts made ``left_s`` before the service is back: was it up, how long it took, did it open."""
    n = len(left_s)
    is_up = left_s <= 0
    handshake = conditions.handshake_s[rng.integers(len(conditions.handshake_s), size=n)]
    fast = conditions.fast_s[rng.integers(len(conditions.fast_s), size=n)]
    opens = is_up & (rng.random(n) >= failure_ratio)
    took = np.where(opens, handshake, fast)
    if conditions.hang_ratio > 0:
        hangs = ~is_up & (hang_draw < conditions.hang_ratio)
        patience = min(timeout_s, conditions.hang_s)
        probes = np.asarray(PROBES_S)
        at = np.searchsorted(probes, left_s)
        probe = np.where(at < len(probes), probes[np.minimum(at, len(probes) - 1)], np.inf)
        rescued = hangs & (probe < patience)
        opens = opens | rescued
        took = np.where(rescued, probe + handshake, np.where(hangs, patience, took))
    return is_up, np.minimum(took, np.where(opens, np.inf, timeout_s)), opens


def likelihood_ratio(response: Response, failure_ratio: float) -> FloatArray:
    """Return how much more likely each replay is under another chance of failure, (n,)."""
    played = response.failure_ratio
    p = min(max(failure_ratio, 1e-9), 0.95)
    ratio = response.chance_failed * np.log(p / played) + response.chance_opened * np.log((1 - p) / (1 - played))
    return np.asarray(np.exp(ratio), np.float64)
