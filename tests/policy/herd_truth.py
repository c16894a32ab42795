"""Truth for herds: clients and a service played one event after the other, with nothing of wslog in it.

Every attempt is an event of its own, in order of time; the service is a token bucket in continuous time; policies are the formulas
of their sources as plain functions of the retry number and the wait before.
"""

from __future__ import annotations

import heapq
import math
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

Wait = Callable[[int, float, random.Random], float | None]


def _table(waits: tuple[float, ...], then: float | None) -> Wait:
    return lambda k, last, rng: waits[k] if k < len(waits) else then


def _socket_io(k: int, last: float, rng: random.Random) -> float:
    # contrib/backo2: the sign hangs on the same random number as the size
    base, r = min(1000.0 * 2.0**k, 1e12), rng.random()
    off = int(r * 0.5 * base)
    return min(5000.0, base - off if int(r * 10) % 2 == 0 else base + off) / 1000


WAITS: dict[str, Wait] = {
    "linear-3": _table((1.0, 2.0, 3.0), None),
    "full_jitter": lambda k, last, rng: rng.uniform(0, min(30.0, 2.0 ** min(k, 30))),
    "socket.io": _socket_io,
    "decorrelated": lambda k, last, rng: min(30.0, rng.uniform(1.0, 3.0 * max(last, 1.0))),
    "equal_jitter": lambda k, last, rng: (v := min(30.0, 2.0 ** min(k, 30))) / 2 + rng.uniform(0, v / 2),
    "rfc6455": lambda k, last, rng: rng.uniform(0, min(60.0, 5.0 * 2.0 ** min(k, 30))),
    "fixed_5s": _table((), 5.0),
    "signalr": _table((0.0, 2.0, 10.0, 30.0), None),
    "phoenix": _table((0.01, 0.05, 0.1, 0.15, 0.2, 0.25, 0.5, 1.0, 2.0), 5.0),
}
"""Seconds before retry k (from 0), given the wait before; None: stop."""


class Attempt(NamedTuple):
    client: int
    start_s: float
    end_s: float
    is_ok: bool


@dataclass
class World:
    """What happens to the clients of one herd.

    Parameters
    ----------
    clients : int
    accept_per_s : float
    up_s : float
        When the service is back.
    cut_within_s : float
        The clients lose their connections within so long.
    burst_s : float
        Depth of the bucket in seconds of accepting.
    overload_ratio : float
        With r refusals a second (their mean, older ones fading with 1 s) the bucket fills 1 / (1 + ratio * r / rate) as fast.
    """

    clients: int
    accept_per_s: float
    up_s: float
    cut_within_s: float = 0.3
    burst_s: float = 0.05
    overload_ratio: float = 0.0
    horizon_s: float = 180.0
    seed: int = 1
    drops: list[float] = field(init=False)

    def __post_init__(self) -> None:
        rng = random.Random(self.seed)
        self.drops = sorted(rng.uniform(0, self.cut_within_s) for _ in range(self.clients))
        self.drops = [at - self.drops[0] for at in self.drops]


def play(world: World, wait: Wait, seed: int) -> list[Attempt]:
    """Return every attempt of every client, in order of start."""
    rng = random.Random(seed)
    queue: list[tuple[float, int, int, float]] = []
    for client, drop in enumerate(world.drops):
        first = wait(0, 0.0, rng)
        if first is not None:
            queue.append((drop + first, client, 0, first))
    heapq.heapify(queue)
    depth = max(1.0, world.accept_per_s * world.burst_s)
    tokens, at, refused = depth, world.up_s, 0.0
    attempts = []
    while queue:
        now, client, retry, last = heapq.heappop(queue)
        if now >= world.horizon_s:
            break
        is_ok = False
        if now >= world.up_s:
            if world.overload_ratio and now > at:
                # the refusals fade while the bucket fills: integral of rate / (1 + ratio * refused * exp(-t) / rate)
                k = world.overload_ratio * refused / world.accept_per_s
                tokens += world.accept_per_s * (math.log((math.exp(now - at) + k) / (1.0 + k)))
                refused *= math.exp(at - now)
            else:
                tokens += (now - at) * world.accept_per_s
            tokens, at = min(depth, tokens), now
            if tokens >= 1.0:
                tokens -= 1.0
                is_ok = True
            else:
                refused += 1.0
        end = now + (rng.uniform(0.02, 0.08) if is_ok else rng.uniform(0.002, 0.02))
        attempts.append(Attempt(client, now, end, is_ok))
        if not is_ok:
            following = wait(retry + 1, last, rng)
            if following is not None:
                heapq.heappush(queue, (end + following, client, retry + 1, following))
    return attempts


def figures(world: World, attempts: list[Attempt]) -> dict[str, float]:
    """Return what the service saw and what became of the clients."""
    seconds: dict[int, int] = {}
    tenths: dict[int, int] = {}
    for one in attempts:
        seconds[int(one.start_s)] = seconds.get(int(one.start_s), 0) + 1
        tenths[int(one.start_s * 10)] = tenths.get(int(one.start_s * 10), 0) + 1
    back = sorted(one.end_s for one in attempts if one.is_ok)
    needed = -(-95 * world.clients // 100)
    return {
        "peak_per_s": float(max(seconds.values())),
        "peak_100ms_per_s": 10.0 * max(tenths.values()),
        "t95_s": back[needed - 1] if len(back) >= needed else float("inf"),
        "attempts_per_client": len(attempts) / world.clients,
        "back_ratio": len(back) / world.clients,
    }


def first_polls(world: World, attempts: list[Attempt], every_s: float = 1.0) -> dict[int, tuple[float | None, float]]:
    """Return, for each client that stopped without success, its last failed and its first successful poll."""
    last: dict[int, Attempt] = {}
    for one in attempts:
        last[one.client] = one
    polls: dict[int, tuple[float | None, float]] = {}
    for client, one in last.items():
        if one.is_ok:
            continue
        at, failed = one.end_s, None
        while at < world.up_s:
            at, failed = at + every_s, at
        polls[client] = (failed, at + 0.03)
    return polls
