"""When do outages end? Nonparametric maximum likelihood from attempts that failed and opened, with failures by chance.

Interval-censored data with fallible inspections: Turnbull, J. R. Stat. Soc. B 38 (1976) 290-295, with the misclassification model
of Witte, Berkhof and Jonker, Stat. Med. 36 (2017) 3412-3423, whose EM is closed-form. Accelerated by SQUAREM (Varadhan and
Roland, Scand. J. Stat. 35 (2008) 335-353). How far the result is from the optimum is computed, not hoped for:
:attr:`Fit.gap` bounds it, since the log-likelihood is concave in the weights.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import NamedTuple

import numpy as np

from wslog.policy.model import FAILURES, FIRST_S, Distribution, FloatArray, IntArray
from wslog.policy.patterns import CERTAIN, Patterns, levels, spans

PRIOR_COUNT = 1.0
"""Outages' worth of the log-uniform prior: it decides only where the data say nothing."""

CHANCE_STEPS = 9
"""EM steps between two looks at the chances of failure; a multiple of three."""

MOST_BLOCKED_STEPS, BLOCKED_ERROR = 200, 1e-6
"""Steps at most, and how little the blocked share moves in the last one."""

BLOCKED_PRIOR = 0.05
NEVER_PRIOR = 0.05


@dataclass(frozen=True)
class Chance:
    """How attempts fail, by kind (:data:`~wslog.policy.model.FAILURES`).

    Parameters
    ----------
    up : (kinds,) float array
        P(fails so | the service can be reached); its sum is :attr:`failure_ratio`.
    down : (kinds,) float array
        P(fails so | it cannot); sums to 1.
    """

    up: FloatArray
    down: FloatArray

    @property
    def failure_ratio(self) -> float:
        return float(self.up.sum())

    @property
    def ratio(self) -> FloatArray:
        """P(kind | up) / P(kind | down), and 0 for what cannot fail by chance."""
        return np.append(np.divide(self.up, self.down, out=np.zeros_like(self.up), where=self.down > 0), 0.0)

    def scaled(self, failure_ratio: float) -> Chance:
        """Return the same mix of kinds with another chance of failure."""
        return replace(self, up=self.up * (failure_ratio / max(self.failure_ratio, 1e-12)))


@dataclass(frozen=True)
class FirstConnects:
    """Attempts that tell about chance alone: first connects of sessions whose network opened right after.

    Parameters
    ----------
    failed : (kinds,) float array
    opened : float
    """

    failed: FloatArray = field(default_factory=lambda: np.zeros(len(FAILURES)))
    opened: float = 0.0

    @property
    def count(self) -> float:
        return float(self.failed.sum()) + self.opened

    def scaled(self, share: float) -> FirstConnects:
        """Return as many of each, times a share."""
        return FirstConnects(self.failed * share, self.opened * share)


@dataclass(frozen=True)
class Fit:
    """The estimate for one set of outages.

    Parameters
    ----------
    network : Distribution
        Of the instant at which the network was back; where no poll was logged, of the WebSocket.
    blocked_ratio : float
        Share of outages in which the WebSocket stayed away though polling came back; 0 where no poll was logged.
    chance : Chance
    log_likelihood : float
        Per outage, without the prior.
    gap : float
        Upper bound of what the objective (with the prior, per outage) could still gain by other weights, in nats.
    step_count : int
    """

    network: Distribution
    blocked_ratio: float
    chance: Chance
    log_likelihood: float
    gap: float
    step_count: int

    @property
    def websocket(self) -> Distribution:
        """Return the distribution of the instant at which a WebSocket could open."""
        kept = 1.0 - self.blocked_ratio
        return replace(
            self.network, weight=self.network.weight * kept, never=self.blocked_ratio + kept * self.network.never
        )


def log_uniform(edges_s: FloatArray) -> FloatArray:
    """Return the prior: uniform in the logarithm of time, and :data:`NEVER_PRIOR` for never; (cells + 1,)."""
    cells = np.diff(np.log(np.maximum(edges_s, FIRST_S / 3)))
    return np.append(cells * (1 - NEVER_PRIOR) / cells.sum(), NEVER_PRIOR)


class _Step(NamedTuple):
    """Weights and blocked share after an EM step; log-likelihood, gradient and posterior counts of the steps before it."""

    w: FloatArray
    blocked: float
    value: float
    gradient: FloatArray
    posterior: FloatArray


class _Problem:
    """The patterns laid out for EM: which cells each step of each likelihood spans."""

    def __init__(
        self,
        patterns: Patterns,
        edges_s: FloatArray,
        prior: FloatArray,
        prior_count: float,
        first: FirstConnects,
        is_free: bool,
    ) -> None:
        self.patterns, self.prior, self.prior_count, self.first, self.is_free = (
            patterns,
            prior,
            prior_count,
            first,
            is_free,
        )
        self.size = len(edges_s)  # cells and never
        self.total = float(patterns.count.sum())
        low, high = spans(patterns)
        self.has_polls = patterns.has_polls
        self.poll_low = np.maximum(patterns.poll_low, 0)
        self.poll_high = np.where(patterns.poll_high >= 0, patterns.poll_high, self.size)
        high = np.minimum(high, np.where(patterns.is_ok, self.size - 1, self.size)[:, None])
        if self.has_polls:
            low, high = np.maximum(low, self.poll_low[:, None]), np.minimum(high, self.poll_high[:, None])
        high = np.maximum(high, low)
        # the steps that span no cell, or that lie behind an attempt that was never made, are left out of every sum
        is_there = np.concatenate((~patterns.is_ok[:, None], patterns.made[:, :-1]), axis=1)
        self.rows, self.depths = np.nonzero((high > low) & is_there)
        self.low, self.high = low[self.rows, self.depths], high[self.rows, self.depths]
        self.first_row = np.searchsorted(self.rows, np.arange(len(patterns.count)))
        self.is_empty = np.bincount(self.rows, minlength=len(patterns.count)) == 0
        self.is_failed = patterns.made & (patterns.kinds > 0) & (patterns.kinds < CERTAIN)
        self.ok_count = float(patterns.count[patterns.is_ok].sum())
        kinds = patterns.kinds[self.is_failed]
        counts = np.broadcast_to(patterns.count[:, None], self.is_failed.shape)[self.is_failed]
        self.made_count = np.bincount(kinds, counts, len(FAILURES)) + patterns.older[: len(FAILURES)]

    def common(self, chance: Chance) -> float:
        """Return the part of the log-likelihood that is the same wherever X lies: it tells chances of failure apart."""
        failed = float(self.made_count @ np.log(np.maximum(chance.down, 1e-300)))
        return failed + self.ok_count * float(np.log(max(1 - chance.failure_ratio, 1e-300)))

    def level(self, chance: Chance) -> FloatArray:
        """Return the height of every step that is summed."""
        return levels(self.patterns, chance.ratio)[self.rows, self.depths]

    def masses(self, w: FloatArray, level: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return the likelihood of each pattern where the WebSocket comes back with the network, and where it is blocked."""
        p, below = self.patterns, np.concatenate(([0.0], np.cumsum(w)))
        shut = np.zeros(len(p.count))
        mass = shut + np.bincount(self.rows, level * (below[self.high] - below[self.low]), len(p.count))
        if self.has_polls:
            shut = np.where(p.is_ok, shut, below[self.poll_high] - below[self.poll_low])
        return mass, shut

    def step(self, w: FloatArray, blocked: float, level: FloatArray) -> _Step:
        """Return what one EM step gives."""
        p = self.patterns
        below = np.concatenate(([0.0], np.cumsum(w)))
        part = level * (below[self.high] - below[self.low])
        mass = np.add.reduceat(np.append(part, 0.0), self.first_row)
        mass[self.is_empty] = 0.0
        shut_mass = np.zeros(0)
        if self.has_polls:
            shut_mass = np.where(p.is_ok, 0.0, below[self.poll_high] - below[self.poll_low])
            mass = (1 - blocked) * mass + blocked * shut_mass
        # an outage that contradicts itself under this model says nothing
        count = np.where(mass > 1e-250, p.count, 0.0)
        mass = np.maximum(mass, 1e-250)
        value = float(count @ np.log(mass))
        share = count / mass
        by = level * share[self.rows] * (1 - blocked)
        change = np.bincount(self.low, by, self.size + 1) - np.bincount(self.high, by, self.size + 1)
        shut = 0.0
        if self.has_polls:
            by_shut = np.where(p.is_ok, 0.0, share * blocked)
            change += np.bincount(self.poll_low, by_shut, self.size + 1)
            change -= np.bincount(self.poll_high, by_shut, self.size + 1)
            shut = float(by_shut @ shut_mass)
        gradient = np.cumsum(change)[: self.size]
        new = w * gradient + self.prior_count * self.prior
        new /= max(float(new.sum()), 1e-300)
        new_blocked = (
            (shut + self.prior_count * BLOCKED_PRIOR) / (self.total + self.prior_count) if self.has_polls else 0.0
        )
        return _Step(new, new_blocked, value, gradient, part * share[self.rows] * (1 - blocked))

    def chances(self, step: _Step, chance: Chance) -> Chance:
        """Return the chances of failure given the posterior counts of each pattern's steps."""
        posterior = np.zeros(self.patterns.made.shape)
        posterior[self.rows, self.depths] = step.posterior
        return self._chances(posterior, chance)

    def _chances(self, posterior: FloatArray, chance: Chance) -> Chance:
        """Return the chances of failure given the posterior counts of each pattern's steps."""
        # an attempt was made while up if X lies behind it: in a later step
        up = np.cumsum(posterior[:, ::-1], axis=1)[:, ::-1]
        up = np.concatenate((up[:, 1:], np.zeros((len(up), 1))), axis=1)
        kinds = self.patterns.kinds[self.is_failed]
        made_up = np.bincount(kinds, up[self.is_failed], len(FAILURES))
        made_down = np.maximum(self.made_count - made_up, 0.0)
        # half a failure of each kind keeps a kind that was never seen from being impossible
        seen_down = made_down + 0.5 * (np.arange(len(FAILURES)) > 0)
        failed = made_up + self.first.failed
        total = failed.sum() + self.ok_count + self.first.opened
        new = replace(chance, down=seen_down / seen_down.sum())
        if not self.is_free:
            return replace(new, up=chance.failure_ratio * _shares(failed, new.down))
        ratio = (failed.sum() + 0.5) / (total + 1.0)
        return replace(new, up=ratio * _shares(failed, new.down))

    def objective(self, value: float, w: FloatArray) -> float:
        return value + self.prior_count * float(self.prior @ np.log(np.maximum(w, 1e-300)))

    def gap(self, w: FloatArray, gradient: FloatArray) -> float:
        """Return the bound of Lindsay's directional derivatives: no weights are better by more, per outage."""
        slope = gradient + self.prior_count * self.prior / np.maximum(w, 1e-300)
        return float(slope.max() - slope @ w) / max(self.total, 1.0)


def _shares(failed: FloatArray, down: FloatArray) -> FloatArray:
    """Return which kinds failures by chance are of; with few of them, as those while away."""
    mixed = failed + 2.0 * down
    return np.asarray(mixed / mixed.sum(), np.float64)


def start_chance(patterns: Patterns, first: FirstConnects) -> Chance:
    """Return a first guess: failures by chance are as often as at first connects, else 3 %."""
    kinds = np.bincount(
        patterns.kinds[patterns.made],
        np.broadcast_to(patterns.count[:, None], patterns.made.shape)[patterns.made],
        CERTAIN + 1,
    )[: len(FAILURES)]
    kinds[0] = 0.0
    down = (kinds + 0.5 * (np.arange(len(FAILURES)) > 0)) / (kinds.sum() + 0.5 * (len(FAILURES) - 1))
    ratio = (float(first.failed.sum()) + 0.5) / (first.count + 1.0) if first.count else 0.03
    return Chance(ratio * down, down)


def fit(
    patterns: Patterns,
    edges_s: FloatArray,
    first: FirstConnects | None = None,
    *,
    prior: FloatArray | None = None,
    prior_count: float = PRIOR_COUNT,
    start: Fit | None = None,
    failure_ratio: float | None = None,
    max_steps: int = 600,
    gap: float = 1e-4,
) -> Fit:
    """Fit the distribution of the outages' end, the blocked share and the chances of failure.

    Parameters
    ----------
    patterns : Patterns
    edges_s : (cells + 1,) float array
    first : FirstConnects, optional
        Evidence about failures by chance. A fixed schedule without jitter holds none of its own: its likelihood is flat.
    prior : (cells + 1,) float array, optional
        Weights of the prior, :func:`log_uniform` if not given; a pooled estimate for a small stratum.
    prior_count : float
        Outages that the prior is worth.
    start : Fit, optional
        Where to start.
    failure_ratio : float, optional
        Hold the chance of failure there instead of estimating it.
    max_steps : int
        EM steps at most.
    gap : float
        Stop when :attr:`Fit.gap` is below.
    """
    known = FirstConnects() if first is None else first
    weight = log_uniform(edges_s) if prior is None else prior
    problem = _Problem(patterns, edges_s, weight, prior_count, known, failure_ratio is None)
    if start is None:
        w, blocked, chance = weight.copy(), BLOCKED_PRIOR if problem.has_polls else 0.0, start_chance(patterns, known)
    else:
        w, blocked, chance = np.append(start.network.weight, start.network.never), start.blocked_ratio, start.chance
        w = np.maximum(w, 1e-12 * weight) / np.maximum(w, 1e-12 * weight).sum()
        blocked = blocked if problem.has_polls else 0.0
    if failure_ratio is not None:
        chance = chance.scaled(failure_ratio)
    steps = 0
    level = problem.level(chance)
    while True:
        one = problem.step(w, blocked, level)
        steps += 1
        found = problem.gap(w, one.gradient)
        if found < gap or steps >= max_steps:
            break
        two = problem.step(one.w, one.blocked, level)
        three = problem.step(_leap(w, one.w, two.w), two.blocked, level)
        steps += 2
        # the leap is taken when it does not lose what the first step had
        is_better = problem.objective(three.value, three.w) >= problem.objective(two.value, one.w)
        w, blocked = (three.w, three.blocked) if is_better else (two.w, two.blocked)
        # the chances move slowly: looking at them each time would cost as much as the weights
        if steps % CHANCE_STEPS == 0:
            chance = problem.chances(one, chance)
            level = problem.level(chance)
    network = Distribution(edges_s, w[:-1], float(w[-1]))
    value = one.value + problem.common(chance)
    return Fit(network, float(blocked), chance, value / max(problem.total, 1.0), found, steps)


class Parts(NamedTuple):
    """What each outage pattern adds to each cell ``low`` to ``high`` - 1: ``level`` times the cell's weight."""

    low: IntArray
    high: IntArray
    level: FloatArray


def parts(patterns: Patterns, found: Fit) -> Parts:
    """Return how the weights of a fit are made up of the patterns."""
    w = np.append(found.network.weight, found.network.never)
    problem = _Problem(patterns, found.network.edges_s, w, 0.0, FirstConnects(), False)
    level = problem.level(found.chance)
    mass, shut = problem.masses(w, level)
    share = patterns.count / np.maximum((1 - found.blocked_ratio) * mass + found.blocked_ratio * shut, 1e-250)
    low, high, made = problem.low, problem.high, level * share[problem.rows] * (1 - found.blocked_ratio)
    if problem.has_polls and found.blocked_ratio > 0:
        is_shut = ~patterns.is_ok
        low = np.concatenate((low, problem.poll_low[is_shut]))
        high = np.concatenate((high, problem.poll_high[is_shut]))
        made = np.concatenate((made, share[is_shut] * found.blocked_ratio))
    return Parts(low, high, made)


def blocked_at(patterns: Patterns, found: Fit, w: FloatArray, prior_count: float) -> float:
    """Return the likeliest blocked share where the network comes back by other weights ``w``, (cells + 1,): by EM.

    Where a schedule's last attempt failed and the poll right after it succeeded, the WebSocket is blocked, the attempt failed by
    chance, or the network came back between the two. How often the last happened, free weights of the few cells between can
    hardly tell from the first, and their noise would become the blocked share's: weights of a smooth density tell. Polls are
    needed.
    """
    problem = _Problem(patterns, found.network.edges_s, w, prior_count, FirstConnects(), False)
    mass, shut = problem.masses(w, problem.level(found.chance))
    can = np.maximum(mass, shut) > 1e-250
    mass, shut, count = mass[can], shut[can], patterns.count[can]
    blocked = found.blocked_ratio
    for _ in range(MOST_BLOCKED_STEPS):
        is_blocked = float(count @ (blocked * shut / np.maximum((1 - blocked) * mass + blocked * shut, 1e-300)))
        new = (is_blocked + prior_count * BLOCKED_PRIOR) / (float(count.sum()) + prior_count)
        if abs(new - blocked) < BLOCKED_ERROR:
            return new
        blocked = new
    return blocked


def log_likelihood(patterns: Patterns, found: Fit) -> float:
    """Return the log-likelihood per outage of patterns that need not be those of the fit."""
    w = np.append(found.network.weight, found.network.never)
    problem = _Problem(patterns, found.network.edges_s, w, 0.0, FirstConnects(), False)
    return problem.step(w, found.blocked_ratio, problem.level(found.chance)).value / max(problem.total, 1.0)


def _leap(w: FloatArray, w1: FloatArray, w2: FloatArray) -> FloatArray:
    """Return the SQUAREM extrapolation of two EM steps."""
    first, second = w1 - w, w2 - 2 * w1 + w
    length = max(1.0, float(np.sqrt(np.sum(first**2) / max(float(np.sum(second**2)), 1e-300))))
    far = np.maximum(w + first * (2 * length) + second * length**2, w2 * 1e-9)
    return np.asarray(far / np.sum(far), np.float64)
