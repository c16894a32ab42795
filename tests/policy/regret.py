"""What schedules made on estimates cost, and how many attempts they need, in worlds whose outages are known.

    python -m tests.policy.regret [--repeats 20]

prints the table of regrets (cost over the optimum's, by kind of log, size and price) and that of attempts at equal mean downtime.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass

import numpy as np
from scipy.stats import norm

from tests.policy.worlds import CELLULAR, WIFI, Network, first_connects, full_jitter, linear_3, log_of, play
from wslog.policy.estimate import estimate
from wslog.policy.frontier import Placed, frontier, place, under
from wslog.policy.model import Distribution, Outages, grid
from wslog.policy.presets import presets
from wslog.policy.schedule import JITTER, best_schedule, smoothed
from wslog.policy.schedule_dp import Terms, evaluate, optimum, starts_of
from wslog.policy.schedule_policy import policy_starts

WORLDS = {"cellular": CELLULAR, "wifi": WIFI}
STAY_S = 300.0


def known(world: Network) -> Distribution:
    """Return the distribution of a world's outages."""
    edges = grid()
    shares = np.asarray([share for share, _, _ in world.kinds])
    below = sum(
        share * norm.cdf(np.log(np.maximum(edges, 1e-12) / median) / sigma) for share, median, sigma in world.kinds
    )
    weight = np.diff(below) / shares.sum() * (1 - world.blocked)
    weight[0] += below[0] / shares.sum() * (1 - world.blocked)
    return Distribution(edges, weight, 1 - float(weight.sum()))


def log(kind: str, world: Network, count: int, rng: np.random.Generator) -> Outages:
    """Return a log: L1, three retries and then polls, or L3, full jitter until the page is closed."""
    if kind == "L1":
        return log_of(play(world, linear_3, count, 3, rng), poll_s=1.0)
    return log_of(play(world, full_jitter, count, 80, rng), leave_s=rng.exponential(STAY_S, count))


def estimated(kind: str, world: Network, count: int, seed: int) -> tuple[Distribution, float]:
    """Return the outages and the chance of failure as a log of ``count`` outages shows them."""
    rng = np.random.default_rng((seed, count))
    found = estimate(
        log(kind, world, count, rng), first_connects(world, 3 * count, rng), rng=rng, replicates=2
    )  # the replicates make intervals, which nothing here uses
    return found.websocket, found.fit.chance.failure_ratio


@dataclass(frozen=True)
class Regret:
    """Cost over the cost of the optimum, as shares: of the exact schedule on the estimate, and of the list to set."""

    exact: float
    listed: float


def regret(outage: Distribution, failure_ratio: float, world: Network, price_s: float) -> Regret:
    """Return what a schedule made on an estimate costs in truth."""
    truth, terms = known(world), Terms(price_s, world.failure_ratio)
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
    truth, terms = known(world), Terms(1.0, world.failure_ratio)
    prices_s = np.geomspace(0.01, 100, prices).tolist()
    there = under(frontier(smoothed(outage), Terms(1.0, failure_ratio), prices_s, jitter, draws), truth, draws)
    rng = np.random.default_rng(0)
    return [
        place(there, name, starts, truth)
        for name, policy in presets().items()
        if (starts := policy_starts(policy, terms, draws, rng)).shape[1]
    ]


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=20)
    repeats = parser.parse_args().repeats
    print("regret in % of the optimum's cost, median (max): exact schedule on the estimate; list to set")
    for name, world in WORLDS.items():
        for kind in ("L1", "L3"):
            for count in (300, 1000, 3000):
                seen = [estimated(kind, world, count, seed) for seed in range(repeats)]
                for price in (0.2, 1.0, 5.0):
                    found = [regret(*one, world, price) for one in seen]
                    exact, listed = (100 * np.asarray([getattr(r, n) for r in found]) for n in ("exact", "listed"))
                    print(
                        f"{name} {kind} n={count} price {price:g} s: {np.median(exact):.2f} ({exact.max():.2f}); "
                        f"{np.median(listed):.2f} ({listed.max():.2f})",
                        flush=True,
                    )
    for name, world in WORLDS.items():
        for jitter in (JITTER, 0.0):
            print(
                f"\n{name}: attempts at equal mean downtime, schedules made on 1,000 outages of L3, jitter {jitter:g}"
            )
            for one in against_presets(*estimated("L3", world, 1000, 0), world, jitter):
                seen = one.evaluation
                print(
                    f"{one.name:34} {seen.attempts_mean:6.2f} attempts {seen.downtime_mean_s:6.1f} s; schedule "
                    f"{one.attempts_there:5.2f} ({-100 * one.attempts_saved_ratio:+.0f} %); downtime at equal attempts "
                    f"{-one.downtime_saved_s:+.2f} s"
                )


if __name__ == "__main__":
    main()
