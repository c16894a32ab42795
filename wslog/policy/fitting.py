"""Fits of one group's outages: of all of them, of parts, with a held chance of failure, leaning on other groups; and the
weights of replay rows that go with each, as estimated and at the extremes that the log leaves open."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from wslog.policy.model import FloatArray, Outages
from wslog.policy.npmle import FirstConnects, Fit, Parts, blocked_at, fit, log_likelihood, log_uniform, parts
from wslog.policy.patterns import CERTAIN, Patterns, compress, edge_of
from wslog.policy.support import Gaps, Spread

STEPS, PART_STEPS, REPLICATE_STEPS, PROFILE_STEPS = 300, 60, 30, 36
"""EM steps at most: of a full fit, of a part's, of a replicate, of a fit with a held chance of failure."""

POLISH_STEPS, POLISH_WORK = 3, 4_000_000
"""Steps of a fit that starts from a part's: as many as patterns times steps allow, but at least so many."""

GAP = 2e-4
"""Nats per outage that a fit may stay below the optimum."""

LEAST_FIRST = 200
"""First connects that it takes to know how often attempts fail by chance."""

MOST_POOLED = 2_000

POOLED_COUNTS = (1.0, 10.0, 50.0, 200.0)
"""Groups smaller than that lean on all groups together, as much as one of these counts of outages."""

STRETCHES_S = np.array([0.3, 1.0, 3.0, 10.0, 30.0, 100.0, 300.0])

STRETCH_COUNT = 5.0
"""Between these instants, and those of the group's own schedule, a group keeps its own share of outages; of the others' shares it
takes as much as that many outages say."""

MOST_PROFILED, MOST_MOVED = 6_000, 3_000
"""Patterns that the chance of failure is looked for in (with few outages a free distribution takes what chance did for its own),
and that tell how much it matters."""

MOST_FITTED = 20_000
"""Distinct patterns that are fitted to the end; with more, as many of them are, and the whole only polishes that."""

FAILURE_GRID = (0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.09, 0.13, 0.18, 0.25, 0.35, 0.5)

START_RATIO = 0.03

LIKELY = 1.92
"""Half the 95 % point of chi-square with one degree: chances whose log-likelihood is within are not ruled out."""


@dataclass(frozen=True)
class Weights:
    """Probability of each replay row, with the chance of failure and the blocked share of "never" that go with it."""

    row: FloatArray
    failure_ratio: float
    blocked_share: float


@dataclass(frozen=True)
class Settings:
    """What every fit of one group shares."""

    edges: FloatArray
    first: FirstConnects
    prior: FloatArray
    prior_count: float
    failure_ratio: float | None = None

    @property
    def has_first(self) -> bool:
        return self.first.count >= LEAST_FIRST

    def fit(
        self, patterns: Patterns, max_steps: int, start: Fit | None = None, failure_ratio: float | None = None
    ) -> Fit:
        held = self.failure_ratio if failure_ratio is None else failure_ratio
        return fit(
            patterns,
            self.edges,
            self.first,
            prior=self.prior,
            prior_count=self.prior_count,
            start=start,
            failure_ratio=held,
            max_steps=max_steps,
            gap=GAP,
        )

    def fit_all(self, patterns: Patterns, rng: np.random.Generator) -> Fit:
        """Fit all patterns; of very many, a part is fitted to the end and the whole polishes that."""
        count = len(patterns.count)
        if count <= MOST_FITTED:
            return self.fit(patterns, STEPS)
        part = self.fit(part_of(patterns, MOST_FITTED, rng), PART_STEPS)
        return self.fit(patterns, max(POLISH_STEPS, POLISH_WORK // count), part)


def part_of(patterns: Patterns, count: int, rng: np.random.Generator) -> Patterns:
    """Return a random part of the outages that has about ``count`` patterns (systematic sampling)."""
    if len(patterns.count) <= count:
        return patterns
    # with this share of the outages, as many patterns are expected as wanted
    low, high = 0.0, 1.0
    for _ in range(20):
        share = (low + high) / 2
        low, high = (low, share) if np.minimum(1.0, patterns.count * share).sum() > count else (share, high)
    kept = np.diff(np.floor(np.cumsum(patterns.count * share) + rng.random()), prepend=0.0)
    at = np.flatnonzero(kept > 0)
    return replace(patterns.picked(at), count=kept[at], older=patterns.older * share)


def edges_with(base_s: FloatArray, *gaps: Gaps) -> FloatArray:
    """Return the edges with those of the schedule put in: what an attempt at 1 s says ends at 1 s."""
    cuts = np.concatenate([g.cuts_s for g in gaps])
    cuts = np.unique(cuts[(cuts > base_s[1]) & (cuts < base_s[-1])])
    # an edge next to a cut gives way to it
    near = np.abs(base_s[np.clip(np.searchsorted(base_s, cuts), 0, len(base_s) - 1)] - cuts) < 1e-5 * cuts
    return np.union1d(base_s, cuts[~near])


def network_weights(found: Fit) -> FloatArray:
    """Return the (cells + 1,) weights of the instant at which the network was back."""
    return np.append(found.network.weight, found.network.never)


def _blocked(row: FloatArray, found: Fit, spread: Spread) -> FloatArray:
    """Return row weights of the network as row weights of the WebSocket: where it is blocked it never comes back."""
    kept = row * (1.0 - found.blocked_ratio)
    kept[spread.rows.never] += found.blocked_ratio
    return kept


def settled(found: Fit, patterns: Patterns, settings: Settings, spread: Spread) -> Fit:
    """Return the fit with the blocked share that goes with its weights made smooth: those that figures are made of."""
    if not patterns.has_polls:
        return found
    smooth = spread.smoothed(network_weights(found))
    return replace(found, blocked_ratio=blocked_at(patterns, found, smooth, settings.prior_count))


def rows_of(found: Fit, spread: Spread) -> FloatArray:
    return _blocked(spread.rows_of(network_weights(found)), found, spread)


def _blocked_share(found: Fit, row: FloatArray, spread: Spread) -> float:
    """Return which part of "never" is blocked: polling works there. Where no poll was logged, all of it is taken to be."""
    never = float(row[spread.rows.never])
    return 1.0 if found.blocked_ratio == 0 or never <= 0 else min(found.blocked_ratio / never, 1.0)


def weights_of(found: Fit, spread: Spread, network: FloatArray | None = None) -> Weights:
    row = rows_of(found, spread) if network is None else _blocked(network, found, spread)
    return Weights(row, found.chance.failure_ratio, _blocked_share(found, row, spread))


def extremes(found: Fit, made: Parts, spread: Spread, only_last: bool = False) -> list[Weights]:
    """Return the weights at both ends of the gaps; without polls, also with a network that stayed away altogether."""
    network = network_weights(found)
    left, right = (
        weights_of(found, spread, spread.pushed(network, made, side, only_last)) for side in ("left", "right")
    )
    return [left, right] if found.blocked_ratio > 0 else [left, right, replace(right, blocked_share=0.0)]


def likely_failure(
    settings: Settings, patterns: Patterns, start: Fit | None, rng: np.random.Generator
) -> tuple[float, list[float]]:
    """Return the chance of failure that the outages alone make likeliest, and all that they do not rule out."""
    alone = replace(settings, first=FirstConnects())
    part = part_of(patterns, MOST_PROFILED, rng)
    # a part says only what it says: its likelihood is not blown up to that of all
    total = float(part.count.sum())
    middle = alone.fit(part, PART_STEPS, start, failure_ratio=START_RATIO)
    values: dict[float, float] = {}
    # from the middle outwards, until the likelihood has fallen: it has one summit
    for way in ([p for p in FAILURE_GRID if p >= START_RATIO], [p for p in FAILURE_GRID[::-1] if p < START_RATIO]):
        near = middle
        for p in way:
            near = alone.fit(part, PROFILE_STEPS, near, failure_ratio=p)
            values[p] = near.log_likelihood * total
            if values[p] < max(values.values()) - LIKELY:
                break
    best = max(values, key=values.__getitem__)
    return best, sorted(p for p in values if values[p] >= values[best] - LIKELY)


def any_failure(
    settings: Settings, patterns: Patterns, found: Fit, base: list[Weights], spread: Spread, kept: list[float],
    rng: np.random.Generator,
) -> list[Weights]:  # fmt: skip
    """Return the extremes, of which ``base`` are the estimate's, with any chance of failure that the outages do not rule out."""
    here = found.chance.failure_ratio
    others = sorted({kept[0], kept[-1]} - {here})
    # of very many patterns a part tells how much the chance of failure matters
    part = part_of(patterns, MOST_MOVED, rng)

    def sides_at(p: float) -> list[Weights]:
        one = settings.fit(part, PART_STEPS, found, failure_ratio=p)
        return extremes(one, parts(part, one), spread)

    near = base if part is patterns else sides_at(here)
    sides = list(base)
    for p in others:
        moved = sides_at(p)
        sides += [
            replace(there, row=np.maximum(mine.row + there.row - here_row.row, 0.0))
            for mine, there, here_row in zip(base, moved, near, strict=True)
        ]
    return sides


def pooled(settings: Settings, gaps: Gaps, patterns: Patterns, outages: Outages, rng: np.random.Generator) -> Settings:
    """Return the settings with a pooled prior: the shape of all groups, the group's own shares of short and long outages.

    What it is worth is what predicts the other half of the sessions best.
    """
    if len(outages) >= MOST_POOLED:
        return replace(settings, prior=log_uniform(settings.edges))
    raw = replace(settings, prior=log_uniform(settings.edges)).fit(patterns, PROFILE_STEPS)
    cuts = np.unique(edge_of(np.concatenate((gaps.high_cut_s[:-1], STRETCHES_S)), settings.edges))
    stretch = np.searchsorted(cuts, np.arange(len(settings.edges)), side="right")
    stretch[-1] = stretch.max() + 1
    own = np.bincount(stretch, network_weights(raw))
    everybody = np.bincount(stretch, settings.prior)
    count = float(patterns.count.sum())
    mixed = (count * own + STRETCH_COUNT * everybody) / (count + STRETCH_COUNT)
    prior = settings.prior * np.divide(mixed, everybody, out=np.zeros_like(mixed), where=everybody > 0)[stretch]
    settings = replace(settings, prior=np.maximum(prior, 1e-12) / np.maximum(prior, 1e-12).sum())
    session = outages.sessions
    side = rng.permutation(int(session.max()) + 1)[session] % 2
    scores = []
    for worth in POOLED_COUNTS:
        chosen = replace(settings, prior_count=worth)
        score = 0.0
        for half in (0, 1):
            one = chosen.fit(patterns.counted(np.where(side == half, outages.weight, 0.0)), PROFILE_STEPS)
            score += log_likelihood(patterns.counted(np.where(side == half, 0.0, outages.weight)), one)
        scores.append(score)
    return replace(settings, prior_count=POOLED_COUNTS[int(np.argmax(scores))])


def as_if_left(settings: Settings, seen: Outages, start: Fit, spread: Spread, is_back: bool) -> Fit:
    """Return the fit as if the outages that people left had ended the moment they left, or never."""
    at = seen.first[1:][seen.is_left]
    when = np.maximum(seen.watched_s[seen.is_left], 0.0) if is_back else np.full(len(at), settings.edges[-1])
    added = np.cumsum(seen.is_left)
    told = replace(
        seen,
        first=seen.first + np.concatenate(([0], added)),
        start_s=np.insert(seen.start_s, at, when),
        end_s=np.insert(seen.end_s, at, when),
        is_ok=np.insert(seen.is_ok, at, is_back),
        failure=np.insert(seen.failure, at, 0 if is_back else CERTAIN),
    )
    patterns = compress(told, settings.edges)
    return settled(settings.fit(patterns, STEPS, start), patterns, settings, spread)
