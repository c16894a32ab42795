"""Many clients, cut together, come back under one policy to a service that takes in a limited number a second."""

from __future__ import annotations

import heapq
import math
from dataclasses import dataclass, field, replace

import numpy as np

from wslog.policy.herd_evidence import BURST_S
from wslog.policy.model import BoolArray, FloatArray, IntArray
from wslog.policy.policies import Policy

HORIZON_S = 180.0
STEP_S = 0.01
"""Within so long, whoever comes first is not told apart; the rate limit is exact from step to step."""

BLOCK_STEPS = 25
"""Steps that are worked through at once."""

NOBODY = [0] * BLOCK_STEPS

FEW = 500
"""So many clients at most are played one attempt after the other."""

MOST_DRAWN = 4096
"""Durations of failures drawn at once; they are used anew after so many."""

TABLE_RETRIES = 1_000
"""A schedule without jitter is taken to stay at its last wait after so many retries."""

BIN_S = 0.1
OVERLOAD_S = 1.0
"""The refused load that shrinks the accept rate is its mean over about so long."""

UNLIMITED_PER_S = 1e12
"""A rate that refuses nobody, yet can be counted with."""


@dataclass(frozen=True)
class Service:
    """The service as the clients meet it.

    Parameters
    ----------
    up_s : float
        When it is back; inf: not at all.
    accept_per_s : float
        Clients it takes in per second; inf: everybody. The rest is refused at once.
    burst_s : float
        An idle service takes in at once what it takes in during this time.
    overload_ratio : float
        How much refused load costs: with refusals at r times the accept rate the rate shrinks to 1 / (1 + overload_ratio * r).
    fail_s, open_s : (k,) float array
        Durations of failed attempts and of handshakes to draw from; none: 0.
    """

    up_s: float
    accept_per_s: float
    burst_s: float = BURST_S
    overload_ratio: float = 0.0
    fail_s: FloatArray = field(default_factory=lambda: np.zeros(0))
    open_s: FloatArray = field(default_factory=lambda: np.zeros(0))


@dataclass(frozen=True)
class HerdReplay:
    """What the service saw, and what became of the clients.

    Parameters
    ----------
    attempts_100ms : (b,) int array
        Attempts that reached the service, or the place where it should be, by 0.1 s since the first client was cut.
    back_s : (n,) float array
        When each client was back; inf: not within the horizon.
    attempt_count : (n,) int array
    is_stopped : (n,) bool array
        The policy gave up, or fell back and was not back on a WebSocket by the horizon.
    """

    attempts_100ms: IntArray
    back_s: FloatArray
    attempt_count: IntArray
    is_stopped: BoolArray

    def peak_per_s(self) -> float:
        """Return the attempts of the busiest second (seconds counted from the first cut)."""
        seconds = np.add.reduceat(self.attempts_100ms, np.arange(0, len(self.attempts_100ms), 10))
        return float(seconds.max(initial=0))

    def peak_100ms_per_s(self) -> float:
        """Return the attempts of the busiest tenth of a second, as a rate per second."""
        return float(self.attempts_100ms.max(initial=0)) / BIN_S

    def drained_s(self, share: float = 0.95) -> float:
        """Return when this share of the clients was back; inf if it never was."""
        needed = int(np.ceil(share * len(self.back_s))) - 1
        return float(np.partition(self.back_s, needed)[needed])


def replay(
    policy: Policy, drop_s: FloatArray, service: Service, rng: np.random.Generator, horizon_s: float = HORIZON_S
) -> HerdReplay:
    """Play one policy.

    Parameters
    ----------
    policy : Policy
    drop_s : (n,) float array
        When each client is cut.
    service : Service
    rng : numpy.random.Generator
    horizon_s : float

    Returns
    -------
    HerdReplay
    """
    return _Run(policy, drop_s, service, rng, horizon_s).play()


class _Waits:
    """The waits of many clients, each at a retry of its own."""

    def __init__(self, policy: Policy, count: int, rng: np.random.Generator) -> None:
        self.policy, self.rng = policy, rng
        self.retry = np.zeros(count, np.int64)
        self.before_s = np.zeros(count)
        self.once_s = policy.backoff.draw_once_s(count, rng) if policy.backoff is not None else self.before_s
        # waits that are the same for everybody are looked up
        self.table_s = np.zeros(0)
        if not policy.has_jitter:
            known = [low for low, _ in policy.first_delays(TABLE_RETRIES)]
            self.table_s = np.array([*known, np.nan if len(known) < TABLE_RETRIES else known[-1]])

    def next(self, who: IntArray) -> FloatArray:
        """Return the waits before the next retry of each of these clients; NaN where there is none."""
        retry = self.retry[who]
        self.retry[who] = retry + 1
        if len(self.table_s):
            return self.table_s[np.minimum(retry, len(self.table_s) - 1)]
        waits, before, once = np.empty(len(who)), self.before_s[who], self.once_s[who]
        numbers = np.flatnonzero(np.bincount(retry))
        for number in numbers.tolist():
            at = slice(None) if len(numbers) == 1 else np.flatnonzero(retry == number)
            waits[at] = self.policy.draw_s(number + 1, before[at], once[at], self.rng)
        self.before_s[who] = waits
        return waits


@dataclass(frozen=True)
class _Bucket:
    """A token bucket; ``refused_per_s`` is the mean over about the last :data:`OVERLOAD_S`."""

    rate_per_s: float
    depth: float
    overload_ratio: float
    tokens: float
    refused_per_s: float

    def after(self, came: list[int]) -> tuple[list[int], _Bucket]:
        """Return how many of those who come in each step are taken in, and the bucket after them."""
        if not self.overload_ratio:
            return self._steadily(came)
        taken = []
        tokens, refused, inflow = self.tokens, self.refused_per_s, self.rate_per_s * STEP_S
        kept = math.exp(-STEP_S / OVERLOAD_S)
        for count in came:
            tokens = min(tokens + inflow / (1.0 + self.overload_ratio * refused / self.rate_per_s), self.depth)
            # one client takes one whole token; what is left of it is carried over
            accepted = min(count, int(tokens))
            tokens -= accepted
            refused = refused * kept + (count - accepted) / OVERLOAD_S
            taken.append(accepted)
        return taken, replace(self, tokens=tokens, refused_per_s=refused)

    def _steadily(self, came: list[int]) -> tuple[list[int], _Bucket]:
        """Do the same where refusing costs nothing: steps in which nobody comes only fill the bucket."""
        taken = [0] * len(came)
        tokens, inflow, last = self.tokens, self.rate_per_s * STEP_S, -1
        for step, count in enumerate(came):
            if count:
                tokens = min(tokens + inflow * (step - last), self.depth)
                # a hair more than is there by rounding must not be a client less
                taken[step] = min(count, int(tokens + 1e-9))
                tokens -= taken[step]
                last = step
        tokens = min(tokens + inflow * (len(came) - 1 - last), self.depth)
        return taken, _Bucket(self.rate_per_s, self.depth, self.overload_ratio, tokens, self.refused_per_s)


class _Run:
    """The state of one replay."""

    def __init__(
        self, policy: Policy, drop_s: FloatArray, service: Service, rng: np.random.Generator, horizon_s: float
    ) -> None:
        count = len(drop_s)
        self.policy, self.service, self.rng, self.horizon_s = policy, service, rng, horizon_s
        self.waits = _Waits(policy, count, rng)
        self.start_s = drop_s.astype(np.float64)
        self.back_s = np.full(count, np.inf)
        self.attempt_count = np.zeros(count, np.int64)
        self.is_stopped = np.zeros(count, np.bool_)
        self.load = np.zeros(int(np.ceil(horizon_s / BIN_S - 1e-9)), np.int64)
        rate = min(service.accept_per_s, UNLIMITED_PER_S)
        depth = max(rate * service.burst_s, rate * STEP_S, 1.0)
        self.bucket = _Bucket(rate, depth, service.overload_ratio, depth, 0.0)

    def play(self) -> HerdReplay:
        self._wait(np.arange(len(self.start_s)), np.zeros(len(self.start_s)))
        self._while_down()
        if self.service.up_s < self.horizon_s:
            is_small = len(self.start_s) <= FEW and not self.service.overload_ratio
            (self._one_by_one if is_small else self._while_up)()
        return HerdReplay(self.load, self.back_s, self.attempt_count, self.is_stopped & np.isinf(self.back_s))

    def _draw(self, durations: FloatArray, count: int) -> FloatArray:
        if not len(durations):
            return np.zeros(count)
        # one call of random costs a tenth of one of integers, and there are thousands for a few clients each
        return durations[(self.rng.random(count) * len(durations)).astype(np.int64)]

    def _wait(self, who: IntArray, busy_s: FloatArray) -> None:
        """Let clients wait for their next attempt, after an attempt that kept them busy."""
        wait = self.waits.next(who)
        has_stopped = ~np.isfinite(wait)
        if has_stopped.any():
            self.is_stopped[who[has_stopped]] = True
            returns_s = self.policy.fallback.return_after_s if self.policy.fallback is not None else None
            wait = np.where(has_stopped, np.inf if returns_s is None else returns_s, wait)
        self.start_s[who] += np.maximum(busy_s, wait) if self.policy.is_wait_from_start else busy_s + wait

    def _count(self, who: IntArray) -> None:
        self.attempt_count[who] += 1
        place = (self.start_s[who] * (1 / BIN_S)).astype(np.int64)
        self.load += np.bincount(np.minimum(place, len(self.load) - 1), minlength=len(self.load))

    def _while_down(self) -> None:
        """Nothing answers: the clients do not meet one another, so each round takes all of them."""
        until = min(self.service.up_s, self.horizon_s)
        who = np.flatnonzero(self.start_s < until)
        while len(who):
            self._count(who)
            self._wait(who, self._draw(self.service.fail_s, len(who)))
            who = who[self.start_s[who] < until]

    def _one_by_one(self) -> None:
        """Do what :meth:`_while_up` does, one attempt after the other: for few clients blocks are mostly empty."""
        rate, depth, horizon_s = self.bucket.rate_per_s, self.bucket.depth, self.horizon_s
        tokens, last_s = depth, self.service.up_s
        returns_s = self.policy.fallback.return_after_s if self.policy.fallback is not None else None
        stopped_s = math.inf if returns_s is None else returns_s
        everyone, columns = np.arange(len(self.start_s)), list[list[float]]()
        busy, used = self._draw(self.service.fail_s, MOST_DRAWN).tolist(), 0
        made, number = self.start_s.tolist(), [0] * len(self.start_s)
        # attempts of one instant come in no order
        rank = self.rng.permutation(len(made)).tolist()
        due = [(at, rank[who], who) for who, at in enumerate(made) if at < horizon_s]
        heapq.heapify(due)
        tried, winners = list[int](), list[int]()
        tried_s, won_s = list[float](), list[float]()
        while due:
            at, place, who = due[0]
            tried.append(who)
            tried_s.append(at)
            tokens, last_s = min(tokens + (at - last_s) * rate, depth), at
            if tokens >= 1.0 - 1e-9:
                tokens -= 1.0
                winners.append(who)
                won_s.append(at)
                heapq.heappop(due)
                continue
            if number[who] == len(columns):
                columns.append(self.waits.next(everyone).tolist())
            wait = columns[number[who]][who]
            number[who] += 1
            if not math.isfinite(wait):
                self.is_stopped[who] = True
                wait = stopped_s
            failing, used = busy[used], (used + 1) % MOST_DRAWN
            later = at + (max(failing, wait) if self.policy.is_wait_from_start else failing + wait)
            if later < horizon_s:
                heapq.heapreplace(due, (later, place, who))
            else:
                heapq.heappop(due)
        self.attempt_count += np.bincount(np.asarray(tried, np.int64), minlength=len(made))
        bins = (np.asarray(tried_s) * (1 / BIN_S)).astype(np.int64)
        self.load += np.bincount(np.minimum(bins, len(self.load) - 1), minlength=len(self.load))
        self.back_s[winners] = np.asarray(won_s) + self._draw(self.service.open_s, len(winners))

    def _while_up(self) -> None:
        """Work through the blocks of time in turn: whoever comes while the bucket is empty is refused."""
        block_s = BLOCK_STEPS * STEP_S
        first = self.service.up_s
        for number in range(int(np.ceil((self.horizon_s - first) / block_s - 1e-9))):
            begin, end = first + number * block_s, min(first + (number + 1) * block_s, self.horizon_s)
            due = np.flatnonzero(self.start_s < end)
            if not len(due):
                self.bucket = self.bucket.after(NOBODY)[1]
                continue
            came, taken = np.zeros(BLOCK_STEPS, np.int64), np.zeros(BLOCK_STEPS, np.int64)
            while len(due):
                # whoever comes in the same step is in no order, least of all that of the clients' numbers
                first_in = int(self.rng.random() * len(due))
                losers = self._admit(np.concatenate((due[first_in:], due[:first_in])), begin, came, taken)
                # clients refused in this block who are back within it
                due = losers[self.start_s[losers] < end]
            self.bucket = self.bucket.after(came.tolist())[1]
            if not np.isfinite(self.start_s).any():
                break

    def _admit(self, due: IntArray, begin_s: float, came: IntArray, taken: IntArray) -> IntArray:
        """Let in whom the bucket allows, send the others to wait and return them; count into ``came`` and ``taken``."""
        self._count(due)
        step = np.minimum(np.maximum((self.start_s[due] - begin_s) * (1 / STEP_S), 0), BLOCK_STEPS - 1).astype(np.uint8)
        order = np.argsort(step, kind="stable")
        due, step = due[order], step[order]
        now = np.bincount(step, minlength=BLOCK_STEPS)
        came += now
        total = np.asarray(self.bucket.after(came.tolist())[0])
        # who comes back earlier than somebody that was let in already must not take the same token again
        room = np.maximum(np.minimum.accumulate(np.cumsum(total - taken)[::-1])[::-1], 0)
        wanted = np.cumsum(np.minimum(np.maximum(total - taken, 0), now))
        granted = np.minimum(wanted, np.minimum.accumulate(room - wanted) + wanted)
        allowed = granted.copy()
        allowed[1:] -= granted[:-1]
        taken += allowed
        place = np.arange(len(due)) - np.repeat(np.cumsum(now) - now, now)
        is_in = place < np.repeat(allowed, now)
        winners, losers = due[is_in], due[~is_in]
        self.back_s[winners] = self.start_s[winners] + self._draw(self.service.open_s, len(winners))
        self.start_s[winners] = np.inf
        self._wait(losers, self._draw(self.service.fail_s, len(losers)))
        return losers
