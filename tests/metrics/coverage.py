"""Do 95 % intervals hold the truth in 95 % of weeks? ``python -m tests.metrics.coverage --weeks 1000``.

Weeks are simulated where metrics begin: per session, how often it tried and opened, how long it was connected, how often it
was lost and for how long it was down. Sessions differ (each has a frailty of its own, and sizes with a long tail), so rows of a session
depend on each other. The truth is a closed form, but for medians (from two million draws). Through real logs the same numbers are
checked by tests/metrics and tests/simulate.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import pandas as pd

from wslog.intervals import MOMENTS, benjamini_hochberg
from wslog.metrics.compare import LEVEL, contrast
from wslog.metrics.frames import interval_of, sums_of
from wslog.survival import curve

Array = npt.NDArray[np.float64]
SHARES = {"connect success 93 %": (0.93, 3.0), "connect success 70 %": (0.7, 4.0), "retry success 45 %": (0.45, 6.0)}
DROPS_PER_HOUR = 0.5
DOWN_MEDIAN_S, DOWN_SIGMA = 3.0, 1.0
HABIT_S, HABIT_SIGMA = 600.0, 0.7
"""Median lifetime, and the spread of the sessions' own."""


def sums(y: Array, n: Array, y_rows: Array | None = None, n_rows: Array | None = None) -> pd.DataFrame:
    """Return the cluster sums of (weeks, sessions) arrays, one row per week, as a metric's SQL gives them."""
    factors = {"y": y, "n": n}
    columns = {name: np.prod([factors[factor] for factor in name], axis=0).sum(axis=1) for name in MOMENTS}
    columns["cluster_count"] = (n > 0).sum(axis=1)
    columns["y_rows"] = (y if y_rows is None else y_rows).sum(axis=1)
    columns["n_rows"] = (n if n_rows is None else n_rows).sum(axis=1)
    return pd.DataFrame({**columns, "excluded": 0.0})


class Weeks:
    """So many weeks of so many sessions, drawn at once."""

    def __init__(self, weeks: int, sessions: int, rng: np.random.Generator) -> None:
        self.shape, self.rng = (weeks, sessions), rng

    def share(self, p: float, likeness: float) -> pd.DataFrame:
        """Attempts of sessions whose own success rate is beta; a session makes 4 on average, some make 20."""
        n = 1 + self.rng.negative_binomial(1.0, 0.25, self.shape)
        own = self.rng.beta(p * likeness, (1 - p) * likeness, self.shape)
        return sums(self.rng.binomial(n, own).astype(float), n.astype(float))

    def once(self, p: float) -> pd.DataFrame:
        """One yes or no a session."""
        return sums((self.rng.random(self.shape) < p).astype(float), np.ones(self.shape))

    def drops(self) -> tuple[pd.DataFrame, pd.DataFrame]:
        """Drops and seconds of downtime over hours connected: hours lognormal, drops Poisson with a gamma frailty."""
        hours = self.rng.lognormal(-0.5, 0.8, self.shape)
        counts = self.rng.poisson(hours * DROPS_PER_HOUR * self.rng.gamma(2.0, 0.5, self.shape))
        owner = np.repeat(np.arange(counts.size), counts.ravel())
        lasted = self.rng.lognormal(np.log(DOWN_MEDIAN_S), DOWN_SIGMA, len(owner))
        down = np.bincount(owner, lasted, counts.size).reshape(self.shape)
        drops, one = counts.astype(float), np.ones(self.shape)
        return sums(drops, hours, n_rows=one), sums(down, hours, drops, one)

    def lifetimes(self) -> Iterator[tuple[Array, Array, Array]]:
        """Week by week: seconds, whether lost then, and the session; each session has its own habit."""
        weeks, sessions = self.shape
        for _ in range(weeks):
            count = 1 + self.rng.poisson(1.5, sessions)
            owner = np.repeat(np.arange(sessions), count)
            own = self.rng.lognormal(0.0, HABIT_SIGMA, sessions)[owner]
            lost = self.rng.exponential(HABIT_S, len(owner)) * own
            left = self.rng.exponential(1500.0, len(owner))
            yield np.minimum(lost, left), (lost <= left).astype(float), owner.astype(float)


def median_lifetime() -> float:
    rng = np.random.default_rng(99)
    return float(np.median(rng.exponential(HABIT_S, 2_000_000) * rng.lognormal(0.0, HABIT_SIGMA, 2_000_000)))


def held(low: Array, high: Array, truth: float) -> float:
    """Share of intervals that hold the truth; an end that is not known is no end."""
    low, high = np.where(np.isnan(low), -np.inf, low), np.where(np.isnan(high), np.inf, high)
    return float(np.mean((low <= truth) & (truth <= high)))


def level_coverage(weeks: int, sessions: int, seed: int) -> dict[str, float]:
    """Return the coverage of each metric's interval, with so many sessions a week."""
    world = Weeks(weeks, sessions, np.random.default_rng(seed))
    found: dict[str, float] = {}
    for name, (p, likeness) in SHARES.items():
        found[name] = held(*interval_of("share", sums_of(world.share(p, likeness))), p)
    found["fallback by session 8 %"] = held(*interval_of("share", sums_of(world.once(0.08))), 0.08)
    drops, down = world.drops()
    found["drops per hour"] = held(*interval_of("count_per_hour", sums_of(drops)), DROPS_PER_HOUR)
    per_hour = DROPS_PER_HOUR * DOWN_MEDIAN_S * np.exp(DOWN_SIGMA**2 / 2)
    found["downtime per hour"] = held(*interval_of("amount_per_hour", sums_of(down)), per_hour)
    found["connected time"] = held(*interval_of("time_share", sums_of(down)), 1 / (1 + per_hour / 3600))
    curves = [curve(t, e, np.ones(len(t)), o, 0.5).interval() for t, e, o in world.lifetimes()]
    low, high = (np.array(ends) for ends in zip(*curves, strict=True))
    found["median lifetime"] = held(low, high, median_lifetime())
    return found


def comparison_coverage(weeks: int, sessions: int, seed: int) -> dict[str, float]:
    """Return the coverage of differences, and how often a comparison without any change claims one.

    A family is what one table shows: six metrics of four networks, 24 rows; an alarm is a q-value at or below 5 % in any of them.
    """
    rng = np.random.default_rng(seed)
    found: dict[str, float] = {}
    old, new = Weeks(weeks, sessions, rng), Weeks(weeks, sessions, rng)
    numbers = contrast("share", old.share(0.93, 3.0), new.share(0.88, 3.0))
    found["difference of shares"] = held(numbers["ci_low"], numbers["ci_high"], -0.05)
    numbers = contrast("count_per_hour", old.drops()[0], new.drops()[0])
    found["difference of drops per hour"] = held(numbers["ci_low"], numbers["ci_high"], 0.0)
    p = []
    for _ in range(4):
        pairs = [("share", old.share(*of), new.share(*of)) for of in SHARES.values()]
        (drops, down), (drops_new, down_new) = old.drops(), new.drops()
        pairs += [("count_per_hour", drops, drops_new), ("amount_per_hour", down, down_new)]
        pairs += [("share", old.once(0.08), new.once(0.08))]
        p += [contrast(kind, a, b)["p_value"] for kind, a, b in pairs]
    values = np.stack(p)
    found["p below 5 % without change"] = float(np.mean(values <= 0.05))
    alarms = [bool((benjamini_hochberg(family[~np.isnan(family)]) <= LEVEL).any()) for family in values.T]
    found["false alarm in 24 rows"] = float(np.mean(alarms))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--weeks", type=int, default=1000)
    parser.add_argument("--sessions", type=int, nargs="+", default=[60, 200, 1000])
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    tables = {}
    for sessions in arguments.sessions:
        level = level_coverage(arguments.weeks, sessions, arguments.seed)
        tables[sessions] = level | comparison_coverage(arguments.weeks, sessions, arguments.seed + 1)
    print(f"{arguments.weeks} weeks; sessions a week:".ljust(34) + "".join(f"{sessions:>8}" for sessions in tables))
    for name in next(iter(tables.values())):
        print(name.ljust(34) + "".join(f"{table[name]:8.1%}" for table in tables.values()))


if __name__ == "__main__":
    main()
