"""Synthetic networks whose outages are known, what a policy really does in them, and what its log holds.

The mixture is invented (only the seconds of a handover lean on a field study): these worlds prove what the method recovers,
not what networks do. Written apart from ``wslog.policy.replay``: one matrix row per client, one column per attempt.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from scipy.special import ndtr, ndtri

from wslog.policy.model import FAILURES, BoolArray, Distribution, FloatArray, Outages, grid
from wslog.policy.npmle import FirstConnects

HORIZON_S = 600.0
Waits = Callable[[int, int, np.random.Generator], FloatArray]


@dataclass(frozen=True)
class Network:
    """A mixture of outage kinds: (share, median s, sigma of the logarithm), and the share that never gets a WebSocket."""

    name: str
    kinds: tuple[tuple[float, float, float], ...]
    blocked: float
    failure_ratio: float
    handshake_s: float

    def ends(
        self, count: int, rng: np.random.Generator, frailty: FloatArray | None = None
    ) -> tuple[FloatArray, FloatArray]:
        """Return (count,) instants at which the network and the WebSocket are back."""
        shares = np.array([k[0] for k in self.kinds])
        pick = rng.choice(len(shares), count, p=shares / shares.sum())
        median, sigma = (np.array([k[i] for k in self.kinds])[pick] for i in (1, 2))
        log_end = np.log(median) + sigma * rng.standard_normal(count)
        if frailty is not None:
            log_end = log_end + frailty
        network = np.exp(log_end)
        return network, np.where(rng.random(count) < self.blocked, np.inf, network)

    def even_ends(self, count: int, rng: np.random.Generator, frailty: float = 0.0) -> tuple[FloatArray, FloatArray]:
        """Return the same as :meth:`ends` in random order, spread evenly over the distribution: for truths without noise.

        ``frailty`` is the standard deviation of a frailty that each outage has of its own.
        """
        shares = np.array([k[0] for k in self.kinds]) / sum(k[0] for k in self.kinds)
        below = np.concatenate(([0.0], np.cumsum(shares)))
        at = (np.arange(count) + rng.random(count)) / count
        pick = np.clip(np.searchsorted(below, at, side="right") - 1, 0, len(shares) - 1)
        deviate = ndtri(np.clip((at - below[pick]) / shares[pick], 1e-12, 1 - 1e-12))
        median, sigma = (np.array([k[i] for k in self.kinds])[pick] for i in (1, 2))
        network = median * np.exp(np.hypot(sigma, frailty) * deviate)
        passed = np.floor(np.arange(count) * self.blocked + rng.random())
        is_blocked = np.diff(passed, prepend=0.0) > 0
        order = rng.permutation(count)
        return network[order], np.where(is_blocked, np.inf, network)[order]

    def distribution(self) -> Distribution:
        """Return the distribution of the instant at which the WebSocket is back."""
        edges = grid()
        shares = np.asarray([share for share, _, _ in self.kinds])
        below = sum(
            share * ndtr(np.log(np.maximum(edges, 1e-12) / median) / sigma) for share, median, sigma in self.kinds
        ) / float(shares.sum())
        weight = np.diff(below) * (1 - self.blocked)
        weight[0] += below[0] * (1 - self.blocked)
        return Distribution(edges, weight, 1 - float(weight.sum()))


CELLULAR = Network("cellular", ((0.315, 0.15, 0.6), (0.50, 2.5, 0.5), (0.185, 40.0, 1.2)), 0.016, 0.06, 0.18)
WIFI = Network("wifi", ((0.60, 0.15, 0.7), (0.21, 2.5, 0.6), (0.19, 40.0, 1.2)), 0.015, 0.02, 0.06)


@dataclass(frozen=True)
class Played:
    """What a policy did: (n, K) starts and ends of attempts (NaN: none), whether each opened, the wait until it did (inf)."""

    start_s: FloatArray
    end_s: FloatArray
    is_ok: BoolArray
    down_s: FloatArray
    network_s: FloatArray

    @property
    def attempts(self) -> FloatArray:
        return (self.start_s < HORIZON_S).sum(axis=1).astype(np.float64)


def play(
    world: Network, waits: Waits, count: int, attempts: int, rng: np.random.Generator,
    frailty: FloatArray | None = None, ends: tuple[FloatArray, FloatArray] | None = None,
) -> Played:  # fmt: skip
    """Let ``count`` clients lose their connection and follow a policy for :data:`HORIZON_S` at least."""
    network, websocket = world.ends(count, rng, frailty) if ends is None else ends
    wait = waits(count, attempts, rng)
    start, end = (np.full(wait.shape, np.nan, order="F") for _ in range(2))
    ok = np.zeros(wait.shape, bool, order="F")
    now, down = np.zeros(count), np.full(count, np.inf)
    trying = np.arange(count)
    for k in range(wait.shape[1]):
        begin = now[trying] + wait[trying, k]
        is_made = begin < 2 * HORIZON_S  # NaN compares false
        trying, begin = trying[is_made], begin[is_made]
        n = len(trying)
        opens = (begin >= websocket[trying]) & (rng.random(n) >= world.failure_ratio)
        took = np.where(opens, world.handshake_s * np.exp(0.3 * rng.standard_normal(n)), rng.uniform(0.03, 0.12, n))
        start[trying, k], ok[trying, k] = begin, opens
        now[trying] = begin + took
        end[trying, k] = now[trying]
        down[trying[opens]] = now[trying[opens]]
        trying = trying[~opens]
        if not len(trying):
            break
    return Played(start, end, ok, down, network)


def log_of(
    played: Played, cluster: FloatArray | None = None, poll_s: float | None = None, leave_s: FloatArray | None = None
) -> Outages:
    """Return what the clients' log holds: with ``poll_s``, polls from the last failed attempt on, the last failed and first good one."""
    n = len(played.down_s)
    made = ~np.isnan(played.start_s)
    left = np.full(n, np.inf) if leave_s is None else leave_s
    made &= played.start_s < left[:, None]
    counts = made.sum(axis=1)
    opened = (played.is_ok & made).any(axis=1)
    last = np.where(counts > 0, np.nanmax(np.where(made, played.end_s, -np.inf), axis=1, initial=-np.inf), 0.0)
    fell = np.full(n, np.nan)
    ok_poll, bad_poll = np.full(n, np.nan), np.full(n, np.nan)
    if poll_s is not None:
        is_fallen = ~opened & np.isinf(left)
        tries = np.maximum(np.ceil((played.network_s - last) / poll_s), 0.0)
        fell = np.where(is_fallen, last, np.nan)
        ok_poll = np.where(is_fallen, last + tries * poll_s, np.nan)
        bad_poll = np.where(is_fallen & (tries > 0), last + (tries - 1) * poll_s, np.nan)
        # nobody watches for ever
        gone = ok_poll > 900.0
        bad_poll, ok_poll = np.where(gone, 900.0, bad_poll), np.where(gone, np.nan, ok_poll)
    ok = played.is_ok[made]
    return Outages(
        first=np.concatenate(([0], np.cumsum(counts))).astype(np.int64),
        start_s=played.start_s[made],
        end_s=played.end_s[made],
        is_ok=ok,
        failure=np.where(ok, 0, FAILURES.index("fast")).astype(np.int64),
        cluster=np.arange(n) if cluster is None else np.asarray(cluster, np.int64),
        weight=np.ones(n),
        is_initial=np.zeros(n, bool),
        is_left=~opened & np.isfinite(left),
        watched_s=np.where(np.isinf(left), last, left),
        fell_back_s=fell,
        poll_failed_s=bad_poll,
        poll_ok_s=ok_poll,
    )


def first_connects(world: Network, count: int, rng: np.random.Generator) -> FirstConnects:
    """Return first connects on a network that is up."""
    failed = np.zeros(len(FAILURES))
    failed[FAILURES.index("fast")] = rng.binomial(count, world.failure_ratio)
    return FirstConnects(failed, count - float(failed.sum()))


def truth(world: Network, waits: Waits, attempts: int, seed: int, count: int, frailty: float = 0.0) -> dict[str, float]:
    """Return what a policy really achieves in ``count`` outages, played one by one."""
    rng = np.random.default_rng(seed)
    return played_figures(world, waits, attempts, world.even_ends(count, rng, frailty), rng)


def played_figures(
    world: Network, waits: Waits, attempts: int, ends: tuple[FloatArray, FloatArray], rng: np.random.Generator
) -> dict[str, float]:
    """Return what a policy achieves in outages whose network and WebSocket are back at these instants."""
    downs, tries = [], []
    network, websocket = ends
    for i in range(0, len(network), 20_000):
        some = network[i : i + 20_000], websocket[i : i + 20_000]
        played = play(world, waits, len(some[0]), attempts, rng, ends=some)
        downs.append(played.down_s)
        tries.append(played.attempts)
    return sample_figures(np.concatenate(downs), np.concatenate(tries))


@cache
def truths(world: str, frailty: bool = False) -> dict[str, dict[str, float]]:
    """Return what each policy does in a world, from ``truths.json``: 480,000 outages each (:func:`main` wrote it)."""
    told = json.loads(Path(__file__).with_name("truths.json").read_text("utf-8"))
    found: dict[str, dict[str, float]] = told[world + ("_frail" if frailty else "")]
    return found


def sample_figures(down_s: FloatArray, attempts: FloatArray) -> dict[str, float]:
    """Return the figures of a sample."""
    kept = np.minimum(down_s, HORIZON_S)
    return {
        "recovery_ratio": float((down_s <= HORIZON_S).mean()),
        "downtime_p50_s": float(np.quantile(kept, 0.5)),
        "downtime_p95_s": float(np.quantile(kept, 0.95)),
        "downtime_mean_s": float(kept.mean()),
        "attempt_count_mean": float(attempts.mean()),
    }


# --- policies of the tests, written out ---------------------------------------------------------------------------


def linear_3(count: int, attempts: int, rng: np.random.Generator) -> FloatArray:
    return np.broadcast_to(np.array([1.0, 2.0, 3.0])[: min(3, attempts)], (count, min(3, attempts)))


def full_jitter(count: int, attempts: int, rng: np.random.Generator) -> FloatArray:
    return rng.random((count, attempts)) * np.minimum(30.0, 2.0 ** np.minimum(np.arange(attempts), 10))


def fixed_5(count: int, attempts: int, rng: np.random.Generator) -> FloatArray:
    return np.full((count, attempts), 5.0)


def signalr(count: int, attempts: int, rng: np.random.Generator) -> FloatArray:
    return np.broadcast_to(np.array([0.0, 2.0, 10.0, 30.0])[: min(4, attempts)], (count, min(4, attempts)))


def decorrelated(count: int, attempts: int, rng: np.random.Generator) -> FloatArray:
    out = np.empty((count, attempts))
    last = np.ones(count)
    for k in range(attempts):
        last = np.minimum(30.0, 1.0 + rng.random(count) * (3.0 * last - 1.0))
        out[:, k] = last
    return out


def socket_io(count: int, attempts: int, rng: np.random.Generator) -> FloatArray:
    base = 2.0 ** np.minimum(np.arange(attempts), 12)
    u = rng.random((count, attempts))
    sign = np.where(np.floor(10 * u) % 2 == 0, -1.0, 1.0)
    return np.minimum(5.0, base + sign * 0.5 * u * base)


TARGETS: dict[str, tuple[Waits, int, str]] = {
    "full_jitter": (full_jitter, 80, "aws-full-jitter"),
    "socket_io": (socket_io, 160, "socket.io"),
    "signalr": (signalr, 4, "signalr"),
    "decorrelated": (decorrelated, 80, "aws-decorrelated-jitter"),
    "fixed_5": (fixed_5, 130, "fixed-5s"),
}
"""Policies written out here, how many attempts they may need, and the preset of the package that should do the same."""

PLAYED = {**{name: target[:2] for name, target in TARGETS.items()}, "linear_3": (linear_3, 3)}


def main() -> None:
    """Write ``truths.json``: half a minute."""
    told = {
        world.name + ("_frail" if frailty else ""): {
            name: truth(world, waits, attempts, 99, 480_000, float(frailty))
            for name, (waits, attempts) in PLAYED.items()
        }
        for world in (CELLULAR, WIFI)
        for frailty in (False, True)
    }
    Path(__file__).with_name("truths.json").write_text(json.dumps(told, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
