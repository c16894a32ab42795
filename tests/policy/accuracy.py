"""How close the predictions come to the truth, by log kind and number of outages: ``python -m tests.policy.accuracy``.

Worlds whose truth is known (:mod:`tests.policy.worlds`) are logged under one policy; what five others would have done is predicted
from that log and compared with what they really do there. Printed is the median over repeats of the relative error in percent,
its range over the five policies (the two quantiles: without SignalR, whose waits make them jump), and the standard error of the
largest; where a figure is only bounded, half the width of the bounds stands for the error. Log kinds:

* L0: the reference client (1, 2, 3 s, then polling), polls not logged
* L1: the same with the first successful poll, and the last failed one, logged
* L2: the same as L0, but a tenth of the episodes follow a long randomised schedule
* L3: full jitter from 1 s to 30 s without end; pages are left after 300 s on average
* known: no log at all, but the end of each outage and the chance of failure, each outage replayed several times. What is left is
  how much the outages of one sample differ from all outages: no log can do better, bar what a smooth shape adds.

``--random 60`` does it in worlds drawn at random, each of them logged once: nothing can have been tuned to them.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from collections.abc import Iterator

import numpy as np

from tests.policy import worlds
from tests.policy.worlds import CELLULAR, TARGETS, WIFI, Network
from wslog.policy.estimate import Estimate, estimate
from wslog.policy.figures import Figure, figures
from wslog.policy.model import FloatArray, Outages
from wslog.policy.presets import load_policy
from wslog.policy.replay import respond

KINDS = ("L0", "L1", "L2", "L3")
KNOWN = "known"
KNOWN_REPLAYS = 40_000
REPEATS = {100: 12, 1_000: 12, 10_000: 72, 100_000: 3}
COLUMNS = ("recovery_ratio", "downtime_p50_s", "downtime_p95_s", "attempt_count_mean", "downtime_mean_s")

WITHOUT_GAP = tuple(name for name in TARGETS if name != "signalr")
"""SignalR's quantiles sit on atoms seconds apart: its median jumps from 2.3 to 12.2 s, its 95th percentile is the horizon."""


def explore(count: int, attempts: int, rng: np.random.Generator) -> FloatArray:
    """The exploration schedule: log-uniform instants over ten minutes, sorted."""
    at = np.sort(np.exp(rng.uniform(np.log(0.05), np.log(600.0), (count, attempts))), axis=1)
    return np.diff(at, axis=1, prepend=0.0)


def log(kind: str, world: Network, count: int, rng: np.random.Generator) -> Outages:
    """Return the log of ``count`` outages of a world."""
    if kind == "L3":
        return worlds.log_of(
            worlds.play(world, worlds.full_jitter, count, 80, rng), leave_s=rng.exponential(300.0, count)
        )
    if kind == "L2":
        seldom = count // 10
        usual = worlds.log_of(worlds.play(world, worlds.linear_3, count - seldom, 3, rng))
        return joined(usual, worlds.log_of(worlds.play(world, explore, seldom, 12, rng)))
    return worlds.log_of(worlds.play(world, worlds.linear_3, count, 3, rng), poll_s=1.0 if kind == "L1" else None)


def joined(a: Outages, b: Outages) -> Outages:
    """Return both logs as one."""
    names = [n for n in a.__dataclass_fields__ if n != "first"]
    columns = {n: np.concatenate((getattr(a, n), getattr(b, n))) for n in names}
    columns["cluster"] = np.concatenate((a.cluster, b.cluster + a.cluster.max() + 1))
    return Outages(first=np.concatenate((a.first, b.first[1:] + a.first[-1])), **columns)


def predict(found: Estimate, names: Iterator[str] | tuple[str, ...] = tuple(TARGETS)) -> dict[str, dict[str, Figure]]:
    """Return the figures of each target policy by name."""
    made = {}
    for name in names:
        played = respond(
            load_policy(TARGETS[name][2]),
            found.rows,
            found.conditions,
            found.weights.failure_ratio,
            worlds.HORIZON_S,
            seed=5,
        )
        made[name] = {figure.name: figure for figure in figures(found, played)}
    return made


def known(world: Network, count: int, rng: np.random.Generator) -> dict[str, dict[str, float]]:
    """Return the figures of each target policy for whoever knows the ends of ``count`` outages."""
    ends = world.ends(count, rng)
    copies = max(KNOWN_REPLAYS // count, 2)
    many = np.tile(ends[0], copies), np.tile(ends[1], copies)
    return {name: worlds.played_figures(world, *target[:2], many, rng) for name, target in TARGETS.items()}


def errors(
    kind: str, world: Network, count: int, repeats: int, truths: dict[str, dict[str, float]], seed: int = 1
) -> dict[str, dict[str, float]]:
    """Return the median relative error in percent by figure and policy."""
    seen = all_errors(kind, world, count, repeats, truths, seed)
    return {c: {name: float(np.median(v)) for name, v in by.items()} for c, by in seen.items()}


def all_errors(
    kind: str, world: Network, count: int, repeats: int, truths: dict[str, dict[str, float]], seed: int
) -> dict[str, dict[str, list[float]]]:
    """Return the relative error of each repeat in percent by figure and policy."""
    seen: dict[str, dict[str, list[float]]] = {c: defaultdict(list) for c in COLUMNS}
    for repeat in range(repeats):
        rng = np.random.default_rng((seed, repeat, count, (*KINDS, KNOWN).index(kind)))
        if kind == KNOWN:
            for name, values in known(world, count, rng).items():
                for column in shown(name):
                    seen[column][name].append(100 * abs(values[column] / truths[name][column] - 1))
            continue
        first = worlds.first_connects(world, 3 * count, rng)
        found = estimate(log(kind, world, count, rng), first, rng=rng, replicates=4)
        for name, made in predict(found).items():
            for column in shown(name):
                figure, true = made[column], truths[name][column]
                # a figure that is only bounded is off by as much as its bounds leave open
                off = (
                    abs(figure.value - true)
                    if figure.value == figure.value
                    else (figure.bound_high - figure.bound_low) / 2
                )
                seen[column][name].append(100 * off / true)
    return {c: dict(by) for c, by in seen.items()}


def shown(policy: str) -> tuple[str, ...]:
    """Return the figures that a policy's errors are shown of."""
    return tuple(c for c in COLUMNS if policy in WITHOUT_GAP or not c.startswith("downtime_p"))


def random_world(rng: np.random.Generator) -> Network:
    """Return one to four kinds of outages of any length, some of it blocked."""
    count = int(rng.integers(1, 5))
    shares, medians = rng.dirichlet(np.ones(count)), np.exp(rng.uniform(np.log(0.05), np.log(120.0), count))
    kinds = zip(shares.tolist(), medians.tolist(), rng.uniform(0.3, 1.4, count).tolist(), strict=True)
    return Network("random", tuple(kinds), float(rng.uniform(0.0, 0.05)), float(rng.uniform(0.01, 0.1)), 0.1)


def random_errors(kind: str, count: int, repeats: int, seed: int) -> dict[str, dict[str, list[float]]]:
    """Return the relative error in each of as many random worlds in percent by figure and policy."""
    seen: dict[str, dict[str, list[float]]] = {c: defaultdict(list) for c in COLUMNS}
    for repeat in range(repeats):
        world = random_world(np.random.default_rng((seed, repeat)))
        truths = {name: worlds.truth(world, target[0], target[1], 99, 60_000) for name, target in TARGETS.items()}
        for column, by in all_errors(kind, world, count, 1, truths, seed + repeat).items():
            for name, values in by.items():
                seen[column][name] += values
    return {c: dict(by) for c, by in seen.items()}


def cell(column: str, by: dict[str, list[float]], rng: np.random.Generator) -> str:
    """Return the range of the medians, and the standard error of the largest, from repeats drawn again."""
    digits = 2 if column == "recovery_ratio" else 1
    medians = {name: float(np.median(v)) for name, v in by.items()}
    worst = np.array(by[max(medians, key=medians.__getitem__)])
    error = np.median(rng.choice(worst, (400, len(worst))), axis=1).std() if len(worst) > 3 else np.nan
    spread = "" if np.isnan(error) else f" ± {error:.{digits}f}"
    return f"{min(medians.values()):.{digits}f} to {max(medians.values()):.{digits}f}{spread}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kinds", nargs="+", default=(*KINDS, KNOWN), choices=(*KINDS, KNOWN))
    parser.add_argument("--sizes", nargs="+", type=int, default=tuple(REPEATS))
    parser.add_argument("--repeats", type=int, default=None)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--random", type=int, default=0, metavar="WORLDS")
    args = parser.parse_args()
    print("| log | outages | " + " | ".join(COLUMNS) + " |\n|---|---|" + "---|" * len(COLUMNS))
    for world in (None,) if args.random else (CELLULAR, WIFI):
        for kind in args.kinds:
            for count in args.sizes:
                if world is None:
                    found = random_errors(kind, count, args.random, args.seed)
                else:
                    repeats = args.repeats or REPEATS.get(count, 3)
                    found = all_errors(kind, world, count, repeats, worlds.truths(world.name), args.seed)
                cells = [cell(column, by, np.random.default_rng(args.seed)) for column, by in found.items()]
                print(
                    f"| {world.name if world else 'random'} {kind} | {count:,} | " + " | ".join(cells) + " |",
                    flush=True,
                )


if __name__ == "__main__":
    main()
