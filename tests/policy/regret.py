"""What schedules made on estimates cost, and how many attempts they need, in worlds whose outages are known.

    python -m tests.policy.regret [--repeats 20] [--random WORLDS]

prints the table of regrets (cost over the optimum's, by world, kind of log, size and price) and that of attempts at equal mean
downtime; with ``--random``, regrets in random worlds instead. The smoothing was chosen on random worlds and on those of ``CHOSEN_ON``,
all with other seeds; ``UNSEEN`` had no part in it.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from tests.policy.random_worlds import log_normal_worlds, other_worlds
from tests.policy.worlds import CELLULAR, WIFI, Network, first_connects, full_jitter, linear_3, log_of, play
from wslog.policy.estimate import estimate
from wslog.policy.frontier import Placed, frontier, place, under
from wslog.policy.model import BoolArray, Distribution, Outages
from wslog.policy.presets import presets
from wslog.policy.schedule import JITTER, best_schedule
from wslog.policy.schedule_dp import Terms, evaluate, optimum, starts_of
from wslog.policy.schedule_outages import planned
from wslog.policy.schedule_policy import policy_starts

WORLDS = {"cellular": CELLULAR, "wifi": WIFI}
CHOSEN_ON = {
    **WORLDS,
    "ethernet": Network("ethernet", ((0.75, 0.1, 0.8), (0.10, 6.0, 0.4), (0.15, 120.0, 0.9)), 0.01, 0.01, 0.03),
    "train": Network("train", ((0.2, 0.3, 0.5), (0.35, 3.5, 0.6), (0.45, 25.0, 0.7)), 0.03, 0.10, 0.25),
    "deploy": Network("deploy", ((0.3, 0.2, 0.7), (0.5, 8.0, 0.25), (0.2, 60.0, 1.4)), 0.005, 0.03, 0.1),
    "heavy": Network("heavy", ((1.0, 3.0, 2.0),), 0.05, 0.05, 0.1),
    "vpn": Network("vpn", ((0.4, 1.0, 0.9), (0.3, 15.0, 0.8), (0.3, 90.0, 1.0)), 0.25, 0.08, 0.3),
}
UNSEEN = {
    "campus": Network("campus", ((0.5, 0.3, 0.9), (0.3, 4.0, 0.7), (0.2, 25.0, 1.0)), 0.08, 0.05, 0.1),
    "ferry": Network("ferry", ((0.1, 0.2, 0.5), (0.3, 5.0, 0.5), (0.6, 180.0, 0.8)), 0.02, 0.03, 0.3),
    "office": Network("office", ((0.7, 0.08, 0.6), (0.2, 1.5, 0.8), (0.1, 300.0, 1.0)), 0.10, 0.01, 0.03),
    "spread": Network("spread", ((0.5, 1.0, 1.5), (0.5, 30.0, 1.5)), 0.03, 0.08, 0.2),
}
MOST_REGRET = 0.3
"""Per cent: the goal for schedules made on 1,000 outages."""

STAY_S = 300.0
FIRST_SEED = 30_000
"""The smoothing was chosen on seeds below."""


def log(kind: str, world: Network, count: int, rng: np.random.Generator) -> Outages:
    """Return a log: L1, three retries and then polls, or L3, full jitter until the page is closed."""
    if kind == "L1":
        return log_of(play(world, linear_3, count, 3, rng), poll_s=1.0)
    return log_of(play(world, full_jitter, count, 80, rng), leave_s=rng.exponential(STAY_S, count))


def estimated(kind: str, world: Network, count: int, seed: int) -> tuple[Distribution, float]:
    """Return the outages to plan for and the chance of failure, as a log of ``count`` outages shows them."""
    rng = np.random.default_rng((seed, count))
    found = estimate(
        log(kind, world, count, rng), first_connects(world, 3 * count, rng), rng=rng, replicates=2
    )  # the replicates make intervals, which nothing here uses
    return planned(found), found.fit.chance.failure_ratio


@dataclass(frozen=True)
class Regret:
    """Cost over the cost of the optimum, as shares: of the exact schedule on the estimate, and of the list to set."""

    exact: float
    listed: float


def regret(outage: Distribution, failure_ratio: float, world: Network, price_s: float) -> Regret:
    """Return what a schedule made on an estimate costs in truth."""
    truth, terms = world.distribution(), Terms(price_s, world.failure_ratio)
    least = optimum(truth, terms).cost_s
    made = best_schedule(outage, failure_ratio, price_s, jitter=0.0)
    listed = starts_of(made.waits_s, terms, made.attempt_limit)
    costs = (evaluate(starts, truth, terms).cost_s(price_s) for starts in (made.starts_s, listed))
    return Regret(*(cost / least - 1 for cost in costs))


def against_presets(
    outage: Distribution,
    failure_ratio: float,
    world: Network,
    jitter: float = JITTER,
    prices: int = 26,
    draws: int = 400,
) -> list[Placed]:
    """Return every preset that retries beside the frontier made on an estimate, under the truth."""
    truth, terms = world.distribution(), Terms(1.0, world.failure_ratio)
    prices_s = np.geomspace(0.01, 100, prices).tolist()
    there = under(frontier(outage, Terms(1.0, failure_ratio), prices_s, jitter, draws), truth, draws)
    rng = np.random.default_rng(0)
    return [
        place(there, name, starts, truth)
        for name, policy in presets().items()
        if (starts := policy_starts(policy, terms, draws, rng)).shape[1]
    ]


RANDOM: dict[str, Callable[[int, int], list[Network]]] = {
    "log-normal": log_normal_worlds,
    "other laws": other_worlds,
}
PRICES_S = (0.2, 1.0, 5.0)


def print_random(count: int) -> None:
    """Print regrets over random worlds, one log of 1,000 outages each."""
    print(
        f"regret in % of the optimum's cost over {count} random worlds, mean (median, 90 %): exact schedule; list to set"
    )
    for laws, made in RANDOM.items():
        for kind in ("L1", "L3"):
            worlds = made(count, FIRST_SEED)
            seen = [(*estimated(kind, world, 1000, FIRST_SEED), world) for world in worlds]
            for price in PRICES_S:
                found = [regret(*one, price) for one in seen]
                exact, listed = (100 * np.asarray([getattr(r, n) for r in found]) for n in ("exact", "listed"))
                told = (f"{x.mean():.2f} ({np.median(x):.2f}, {np.quantile(x, 0.9):.2f})" for x in (exact, listed))
                print(f"{laws:10} {kind} price {price:3g} s: {'; '.join(told)}", flush=True)


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=20)
    parser.add_argument("--random", type=int, default=0, metavar="WORLDS")
    given = parser.parse_args()
    if given.random:
        print_random(given.random)
        return
    repeats = given.repeats
    within: list[tuple[float, BoolArray]] = []
    print("regret in % of the optimum's cost, median (max): exact schedule on the estimate; list to set")
    for name, world in {**CHOSEN_ON, **UNSEEN}.items():
        for kind in ("L1", "L3"):
            for count in (300, 1000, 3000) if name in WORLDS else (1000,):
                seen = [estimated(kind, world, count, FIRST_SEED + k) for k in range(repeats)]
                for price in PRICES_S:
                    found = [regret(*one, world, price) for one in seen]
                    exact, listed = (100 * np.asarray([getattr(r, n) for r in found]) for n in ("exact", "listed"))
                    if count == 1000:
                        within.append((float(np.median(listed)), listed <= MOST_REGRET))
                    print(
                        f"{name:8} {kind} n={count:<4} price {price:3g} s: {np.median(exact):.2f} ({exact.max():.2f}); "
                        f"{np.median(listed):.2f} ({listed.max():.2f})",
                        flush=True,
                    )
    single = np.concatenate([one for _, one in within])
    print(
        f"\nat most {MOST_REGRET} % at 1,000 outages, list to set: the median of {sum(m <= MOST_REGRET for m, _ in within)} of "
        f"{len(within)} cases, {single.sum()} of {len(single)} single logs"
    )
    for name, world in WORLDS.items():
        for jitter in (JITTER, 0.0):
            print(
                f"\n{name}: attempts at equal mean downtime, schedules made on 1,000 outages of L3, jitter {jitter:g}"
            )
            for one in against_presets(*estimated("L3", world, 1000, FIRST_SEED), world, jitter):
                seen = one.evaluation
                print(
                    f"{one.name:34} {seen.attempts_mean:6.2f} attempts {seen.downtime_mean_s:6.1f} s; schedule "
                    f"{one.attempts_there:5.2f} ({-100 * one.attempts_saved_ratio:+.0f} %); downtime at equal attempts "
                    f"{-one.downtime_saved_s:+.2f} s"
                )


if __name__ == "__main__":
    main()
