"""Do 95 % intervals cover, and do bounds hold? ``python -m tests.policy.coverage``.

Worlds in which outages depend on one another: each session has its own frailty (normal in the logarithm of outage length), eight
outages a session. Intervals: full jitter's log (L3), figures of other policies against what they do in fresh sessions of the
same kind. Bounds: the reference client's log without polls (L0); every figure of every policy must lie within.
"""

from __future__ import annotations

import argparse
from collections import Counter

import numpy as np

from tests.policy import worlds
from tests.policy.accuracy import COLUMNS, log, predict
from tests.policy.worlds import CELLULAR, TARGETS, WIFI, Network
from wslog.policy.estimate import estimate
from wslog.policy.figures import figures
from wslog.policy.presets import load_policy
from wslog.policy.replay import respond

SESSION = 8
FRAILTY = 1.0


def coverage(
    world: Network, count: int, repeats: int, names: tuple[str, ...], seed: int = 11
) -> dict[str, Counter[str]]:
    """Return by policy and figure how many intervals hold the truth."""
    truths = worlds.truths(world.name, frailty=True)
    found: dict[str, Counter[str]] = {name: Counter() for name in names}
    for repeat in range(repeats):
        rng = np.random.default_rng((seed, repeat))
        cluster = np.arange(count) // SESSION
        frailty = FRAILTY * rng.standard_normal(cluster[-1] + 1)[cluster]
        played = worlds.play(world, worlds.full_jitter, count, 80, rng, frailty=frailty)
        told = worlds.log_of(played, cluster=cluster, leave_s=rng.exponential(300.0, count))
        made = predict(estimate(told, worlds.first_connects(world, 3 * count, rng), rng=rng), names)
        for name in names:
            for column in COLUMNS:
                figure = made[name][column]
                found[name][column] += figure.ci_low <= truths[name][column] <= figure.ci_high
    return found


def bounds_hold(world: Network, count: int, repeats: int, seed: int = 21) -> tuple[int, list[str], float]:
    """Return figures checked, those outside their bounds, and the widest bounds of the logged policy's own row."""
    truths = worlds.truths(world.name)
    own = truths["linear_3"]
    outside, checked, widest = [], 0, 0.0
    for repeat in range(repeats):
        rng = np.random.default_rng((seed, repeat))
        first = worlds.first_connects(world, 3 * count, rng)
        found = estimate(log("L0", world, count, rng), first, rng=rng)
        made = predict(found)
        for name in TARGETS:
            for column in COLUMNS:
                figure, true = made[name][column], truths[name]
                # sampling moves the bounds themselves: by less than three standard errors, one and a half intervals
                known = figure.value == figure.value
                below = (figure.value if known else figure.bound_low) - figure.ci_low
                above = figure.ci_high - (figure.value if known else figure.bound_high)
                low, high = figure.bound_low - 1.5 * max(below, 0.0), figure.bound_high + 1.5 * max(above, 0.0)
                checked += 1
                if not low - 1e-9 <= true[column] <= high + 1e-9:
                    outside.append(
                        f"{world.name} {repeat} {name} {column}: {true[column]:.4g} not in {low:.4g} to {high:.4g}"
                    )
        policy = load_policy("linear-3")
        played = respond(policy, found.rows, found.conditions, found.weights.failure_ratio, worlds.HORIZON_S, 5)
        for figure in figures(found, played):
            if figure.name in own:
                widest = max(widest, (figure.bound_high - figure.bound_low) / max(own[figure.name], 1e-9))
    return checked, outside, widest


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=200)
    parser.add_argument("--size", type=int, default=1_000)
    parser.add_argument("--only", choices=("intervals", "bounds"), default=None)
    args = parser.parse_args()
    if args.only != "bounds":
        for world in (WIFI, CELLULAR):
            found = coverage(world, args.size, args.repeats, ("full_jitter", "socket_io", "decorrelated"))
            for name, counts in found.items():
                cells = ", ".join(f"{column} {counts[column] / args.repeats:.3f}" for column in COLUMNS)
                print(f"{world.name} {name}, {args.repeats} worlds of {args.size} outages: {cells}", flush=True)
    if args.only != "intervals":
        for world in (WIFI, CELLULAR):
            checked, outside, widest = bounds_hold(world, 5_000, args.repeats // 2)
            print(
                f"{world.name}: {checked - len(outside)} of {checked} figures within bounds; own row {widest:.3%} wide at most"
            )
            print("\n".join(outside))


if __name__ == "__main__":
    main()
