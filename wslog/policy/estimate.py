"""One group's outages estimated: the distribution of their end, what the log leaves open, and how far chance moved it."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from wslog.policy.model import FAILURES, BoolArray, Distribution, FloatArray, Outages, grid
from wslog.policy.npmle import PRIOR_COUNT, FirstConnects, Fit, fit, log_likelihood, log_uniform, parts
from wslog.policy.patterns import CERTAIN, Patterns, compress, edge_of, with_probes
from wslog.policy.replay import Conditions, Rows, rows_for
from wslog.policy.support import Gaps, Spread, gaps_of, looks_of

STEPS, POLISH_STEPS, REPLICATE_STEPS, PROFILE_STEPS = 300, 9, 30, 60
"""EM steps at most: of a full fit, of one that starts from a part's, of a replicate, of a fit with a held chance of failure."""

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

REPLICATES = 30
MOST_PROFILED = 3_000
MOST_REPLICATED = 4_000
"""Outages that one replicate is fitted on. With more, replicates are of a part and their spread is scaled by the root of the
sizes (m-out-of-n bootstrap)."""

MOST_FITTED = 20_000
"""Distinct patterns that are fitted to the end; with more, a part is, and the whole only polishes it."""

FAILURE_GRID = (0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.09, 0.13, 0.18, 0.25, 0.35, 0.5)
START_RATIO = 0.03
LIKELY = 1.92
"""Half the 95 % point of chi-square with one degree: chances whose log-likelihood is within are not ruled out."""

ASSUMPTIONS = {
    "free": "",
    "chance": "reconnects fail by chance as often as first connects do",
    "polls": "polling and the WebSocket come back together, except where WebSockets are blocked",
    "leaving": "outages that people left ended as late as others",
    "gaps": "between two attempts, outages end evenly in the logarithm of time",
}
"""What each rung of the ladder takes for granted, in order; a figure needs those up to the first rung that pins it down."""


@dataclass(frozen=True)
class Weights:
    """Probability of each replay row, with the chance of failure and the blocked share of "never" that go with it."""

    row: FloatArray
    failure_ratio: float
    blocked_share: float


@dataclass(frozen=True)
class Estimate:
    """What is known about the outages of one group.

    Parameters
    ----------
    fit : Fit
        With the evidence of polls, where there is some.
    outage_count, session_count : int
    rows : Rows
        The replay grid, cut where this log's gaps begin and end.
    conditions : Conditions
    weights : Weights
    ladder : dict
        Of each rung of assumptions, the weights at the extremes that it leaves open.
    tail : list of Weights
        The extremes of what comes after the last look, gaps between looks being filled evenly.
    shown_rung : str
        The rung whose bounds are shown.
    assumptions : dict
        Of each rung, in words.
    replicate_rows : (replicates, rows) float array
        How the row weights move when sessions are left out; squares average to variances.
    replicate_failure : (replicates,) float array
        How the chance of failure does.
    is_tail_refused : bool
        People leave during outages more than else: nothing is said about what comes after the last look.
    refusal : str
        Why.
    pooled_count : float
        How many outages of the other groups this group leans on; 0: none.
    """

    fit: Fit
    outage_count: int
    session_count: int
    rows: Rows
    conditions: Conditions
    weights: Weights
    ladder: dict[str, list[Weights]]
    tail: list[Weights]
    shown_rung: str
    assumptions: dict[str, str]
    replicate_rows: FloatArray
    replicate_failure: FloatArray
    horizon_s: float
    is_tail_refused: bool = False
    refusal: str = ""
    pooled_count: float = 0.0

    @property
    def websocket(self) -> Distribution:
        """The distribution of the instant at which a WebSocket could open again."""
        return self.fit.websocket


def estimate(
    outages: Outages,
    first: FirstConnects | None = None,
    *,
    horizon_s: float = 600.0,
    rng: np.random.Generator,
    prior: Distribution | None = None,
    refusal: str = "",
    replicates: int = REPLICATES,
) -> Estimate:
    """Estimate when the outages of one group end.

    Parameters
    ----------
    outages : Outages
        At least one; of one kind: drops and failed first connects have other blocked shares.
    first : FirstConnects, optional
        Evidence about failures by chance.
    horizon_s : float
        Until when policies are compared; at most 900.
    rng : numpy.random.Generator
        For leaving out sessions.
    prior : Distribution, optional
        The estimate of all groups together, for a small group: it is worth as many outages as predict held-out sessions best.
    refusal : str
        Why nothing may be said about the time after the last look; empty when it may.
    replicates : int
        Groups of sessions that are left out one after the other; 0: no intervals.
    """
    fast_s = _fast_handshake_s(outages)
    seen = with_probes(outages, fast_s)
    conditions = conditions_of(outages, fast_s)
    if conditions.is_hang_steady:
        # how an attempt fails is then the outage's nature, and no sign of chance: the likelihood leaves the kinds alone
        seen = replace(seen, failure=np.where((seen.failure > 0) & (seen.failure < CERTAIN), 1, seen.failure))
        if first is not None:
            first = FirstConnects(np.eye(len(FAILURES))[1] * first.failed.sum(), first.opened)
    bare = replace(seen, poll_ok_s=np.full(len(seen), np.nan), poll_failed_s=np.full(len(seen), np.nan))
    last_s = max(900.0, horizon_s)
    gaps, bare_gaps = gaps_of(looks_of(seen, True), last_s), gaps_of(looks_of(bare, True), last_s)
    edges = _edges(grid(last_s), gaps, bare_gaps)
    weight = log_uniform(edges) if prior is None else np.append(np.diff(prior.cdf(edges)), prior.never)
    seen = replace(seen, start_s=gaps.drawn_together(seen.start_s))
    bare = replace(bare, start_s=bare_gaps.drawn_together(bare.start_s))
    patterns = compress(seen, edges)
    settings = _Settings(edges, first or FirstConnects(), weight, PRIOR_COUNT)
    if prior is not None:
        settings = _pooled(settings, gaps, patterns, outages, rng)
    bare_patterns = compress(bare, edges) if patterns.has_polls else patterns
    likeliest, kept = _likely(settings, bare_patterns, None, rng)
    if not settings.has_first:
        settings = replace(settings, failure_ratio=likeliest)
    whole = settings.fit_all(patterns, rng)
    without = settings.fit_all(bare_patterns, rng) if patterns.has_polls else whole
    points = np.concatenate((gaps.points_s, bare_gaps.points_s))
    rows = rows_for(edges, horizon_s, points, np.concatenate((gaps.cuts_s, bare_gaps.cuts_s)))
    spread, bare_spread = Spread(edges, rows, gaps, 0), Spread(edges, rows, bare_gaps, len(gaps.points_s))
    weights = _weights(whole, spread)
    ladder = {"free": _free(settings, bare_patterns, without, bare_spread, kept, rng)}
    if settings.has_first:
        ladder["chance"] = _sides(without, bare_patterns, bare_spread)
    if patterns.has_polls:
        ladder["polls"] = _sides(whole, patterns, spread)
    if refusal:
        ladder["leaving"] = [_weights(_left(settings, seen, whole, back), spread) for back in (True, False)]
    moved, moved_failure = _replicate(settings, patterns, outages, whole, spread, replicates, rng)
    return Estimate(
        fit=whole,
        outage_count=len(outages),
        session_count=outages.session_count,
        rows=rows,
        conditions=conditions,
        weights=weights,
        ladder=ladder,
        tail=_sides(whole, patterns, spread, only_last=True),
        shown_rung="chance" if settings.has_first else "free",
        assumptions=ASSUMPTIONS,
        replicate_rows=moved,
        replicate_failure=moved_failure,
        horizon_s=horizon_s,
        is_tail_refused=bool(refusal),
        refusal=refusal,
        pooled_count=settings.prior_count if settings.prior_count > PRIOR_COUNT else 0.0,
    )


@dataclass(frozen=True)
class _Settings:
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
        part = self.fit(_part(patterns, MOST_FITTED, rng), STEPS)
        return self.fit(patterns, POLISH_STEPS, part)


def _part(patterns: Patterns, count: int, rng: np.random.Generator) -> Patterns:
    if len(patterns.count) <= count:
        return patterns
    picked = patterns.picked(np.sort(rng.choice(len(patterns.count), count, replace=False)))
    share = float(picked.count.sum() / patterns.count.sum())
    return replace(picked, older=patterns.older * share)


def _edges(base_s: FloatArray, *gaps: Gaps) -> FloatArray:
    """Return the edges with those of the schedule put in: what an attempt at 1 s says ends at 1 s."""
    cuts = np.concatenate([g.cuts_s for g in gaps])
    cuts = np.unique(cuts[(cuts > base_s[1]) & (cuts < base_s[-1])])
    # an edge next to a cut gives way to it
    near = np.abs(base_s[np.clip(np.searchsorted(base_s, cuts), 0, len(base_s) - 1)] - cuts) < 1e-5 * cuts
    return np.union1d(base_s, cuts[~near])


def _network(found: Fit) -> FloatArray:
    """Return the (cells + 1,) weights of the instant at which the network was back."""
    return np.append(found.network.weight, found.network.never)


def _blocked(row: FloatArray, found: Fit, spread: Spread) -> FloatArray:
    """Return row weights of the network as row weights of the WebSocket: where it is blocked it never comes back."""
    kept = row * (1.0 - found.blocked_ratio)
    kept[spread.rows.never] += found.blocked_ratio
    return kept


def _rows_of(found: Fit, spread: Spread) -> FloatArray:
    return _blocked(spread.rows_of(_network(found)), found, spread)


def _blocked_share(found: Fit, row: FloatArray, spread: Spread) -> float:
    """Return which part of "never" is blocked: polling works there. Where no poll was logged, all of it is taken to be."""
    never = float(row[spread.rows.never])
    return 1.0 if found.blocked_ratio == 0 or never <= 0 else min(found.blocked_ratio / never, 1.0)


def _weights(found: Fit, spread: Spread, network: FloatArray | None = None) -> Weights:
    row = _rows_of(found, spread) if network is None else _blocked(network, found, spread)
    return Weights(row, found.chance.failure_ratio, _blocked_share(found, row, spread))


def _sides(found: Fit, patterns: Patterns, spread: Spread, only_last: bool = False) -> list[Weights]:
    """Return the weights at both ends of the gaps; without polls, also with a network that stayed away altogether."""
    made, network = parts(patterns, found), _network(found)
    left, right = (_weights(found, spread, spread.pushed(network, made, side, only_last)) for side in ("left", "right"))
    return [left, right] if found.blocked_ratio > 0 else [left, right, replace(right, blocked_share=0.0)]


def _likely(
    settings: _Settings, patterns: Patterns, start: Fit | None, rng: np.random.Generator
) -> tuple[float, list[float]]:
    """Return the chance of failure that the outages alone make likeliest, and all that they do not rule out."""
    alone = replace(settings, first=FirstConnects())
    part = _part(patterns, MOST_PROFILED, rng)
    # a part says only what it says: its likelihood is not blown up to that of all
    total = float(part.count.sum())
    near = alone.fit(part, STEPS // 2, start, failure_ratio=START_RATIO)
    values = [alone.fit(part, PROFILE_STEPS, near, failure_ratio=p).log_likelihood * total for p in FAILURE_GRID]
    kept = [p for p, value in zip(FAILURE_GRID, values, strict=True) if value >= max(values) - LIKELY]
    return FAILURE_GRID[int(np.argmax(values))], kept


def _free(
    settings: _Settings, patterns: Patterns, found: Fit, spread: Spread, kept: list[float], rng: np.random.Generator
) -> list[Weights]:
    """Return the extremes with any chance of failure that the outages themselves do not rule out."""
    here = found.chance.failure_ratio
    others = sorted({kept[0], kept[-1]} - {here})
    base = _sides(found, patterns, spread)
    # of very many patterns a part tells how much the chance of failure matters
    part = _part(patterns, MOST_PROFILED, rng)
    near = base if part is patterns else _sides(settings.fit(part, STEPS, found, failure_ratio=here), part, spread)
    sides = list(base)
    for p in others:
        moved = _sides(settings.fit(part, STEPS, found, failure_ratio=p), part, spread)
        sides += [
            replace(there, row=np.maximum(mine.row + there.row - here_row.row, 0.0))
            for mine, there, here_row in zip(base, moved, near, strict=True)
        ]
    return sides


def _pooled(
    settings: _Settings, gaps: Gaps, patterns: Patterns, outages: Outages, rng: np.random.Generator
) -> _Settings:
    """Return the settings with a pooled prior: the shape of all groups, the group's own shares of short and long outages.

    What it is worth is what predicts the other half of the sessions best.
    """
    if len(outages) >= MOST_POOLED:
        return replace(settings, prior=log_uniform(settings.edges))
    raw = replace(settings, prior=log_uniform(settings.edges)).fit(patterns, PROFILE_STEPS)
    cuts = np.unique(edge_of(np.concatenate((gaps.high_cut_s[:-1], STRETCHES_S)), settings.edges))
    stretch = np.searchsorted(cuts, np.arange(len(settings.edges)), side="right")
    stretch[-1] = stretch.max() + 1
    own = np.bincount(stretch, _network(raw))
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


def _left(settings: _Settings, seen: Outages, start: Fit, is_back: bool) -> Fit:
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
    return settings.fit(compress(told, settings.edges), STEPS, start)


def _replicate(
    settings: _Settings,
    patterns: Patterns,
    outages: Outages,
    found: Fit,
    spread: Spread,
    groups: int,
    rng: np.random.Generator,
) -> tuple[FloatArray, FloatArray]:
    """Return how row weights and chance of failure move when sessions are left out, scaled so that squares average to variances.

    Jackknife over random groups of sessions (Shao and Tu, The Jackknife and Bootstrap, 1995, section 5.4): where a few sessions
    hold the long outages it errs on the safe side, a bootstrap on the other (Efron and Stein, Ann. Statist. 9 (1981) 586-596).
    """
    session = outages.sessions
    sessions = int(session.max()) + 1
    weight, part_ratio = outages.weight, 1.0
    if len(outages) > MOST_REPLICATED:
        keep = rng.random(sessions) < MOST_REPLICATED / len(outages)
        weight, part_ratio = np.where(keep[session], weight, 0.0), float(keep.mean())
    used = np.flatnonzero(_counts(patterns, weight) > 0)
    base = replace(patterns.picked(used), count=_counts(patterns, weight)[used], older=patterns.older * part_ratio)
    known = replace(settings, first=settings.first.scaled(part_ratio))
    center = known.fit(base, STEPS, found) if part_ratio < 1 else found
    still = known.fit(base, REPLICATE_STEPS, center)
    groups = min(groups, sessions)
    rows, failures = np.zeros((groups + 1, spread.rows.count)), np.zeros(groups + 1)
    group = rng.permutation(np.arange(sessions) % max(groups, 1))[session]
    for r in range(groups):
        kept = np.where(group == r, 0.0, weight)
        share = float(kept.sum() / weight.sum())
        fewer = replace(base, count=_counts(patterns, kept)[used], older=base.older * share)
        one = replace(known, first=known.first.scaled(share)).fit(fewer, REPLICATE_STEPS, center)
        rows[r] = _rows_of(one, spread)
        failures[r] = one.chance.failure_ratio
    if groups > 1:
        scale = np.sqrt(part_ratio * (groups - 1) * (groups + 1) / groups)
        rows[:groups] = (rows[:groups] - rows[:groups].mean(axis=0)) * scale
        failures[:groups] = (failures[:groups] - failures[:groups].mean()) * scale
    if settings.has_first and groups:
        p = still.chance.failure_ratio
        error = float(np.sqrt(p * (1 - p) / settings.first.count))
        other = known.fit(base, REPLICATE_STEPS, center, failure_ratio=p + error)
        rows[groups] = (_rows_of(other, spread) - _rows_of(still, spread)) * np.sqrt(groups + 1)
        failures[groups] = error * np.sqrt(groups + 1)
    return rows, failures


def _counts(patterns: Patterns, weight: FloatArray) -> FloatArray:
    """Return the (u,) weighted outages of each pattern."""
    return np.bincount(patterns.inverse, weight, len(patterns.count)).astype(np.float64)


def _fast_handshake_s(outages: Outages) -> float:
    """Return how long an undisturbed handshake takes at least; inf where many take a second of their own accord."""
    took = outages.end_s[outages.is_ok] - outages.start_s[outages.is_ok]
    quick = took[took < 1.0]
    # not the slowest few: a SYN that waits for the link's return opens within the second too
    if not len(quick) or np.quantile(quick, 0.75) > 0.6:
        return np.inf
    return float(0.9 * np.quantile(quick, 0.01))


def conditions_of(outages: Outages, fast_s: float) -> Conditions:
    """Return how attempts went: durations, and how many of those made in vain hang."""
    took = np.maximum(outages.end_s - outages.start_s, 0.0)
    took = np.where(np.isnan(took), 0.0, took)
    slow = outages.is_ok & (took >= 1.0 + fast_s)
    hung = outages.failure == FAILURES.index("timeout")
    failed = ~outages.is_ok & ~hung
    opened = outages.is_ok & ~slow
    in_vain = int(failed.sum() + hung.sum() + slow.sum())
    ratio = float((hung.sum() + slow.sum()) / in_vain) if in_vain else 0.0
    # the share of outages where most hang, if an outage is of one nature
    n = len(outages)
    hanging = np.bincount(outages.outage, hung | slow, n)
    tried = np.bincount(outages.outage, failed | hung | slow, n)
    is_steady = _is_steady(outages, failed, hung | slow, ratio)
    if is_steady:
        ratio = float((2 * hanging > tried).sum() / max((tried > 0).sum(), 1))
    return Conditions(
        handshake_s=_sample(took[opened], 0.1),
        fast_s=_sample(took[failed], 0.1),
        hang_ratio=ratio,
        hang_s=float(np.median(took[hung])) if hung.any() else 60.0,
        is_hang_steady=is_steady,
    )


STEADY_PAIRS = 20
"""Attempts in vain, each with the one before, that it takes to see whether outages are of one nature."""


def _is_steady(outages: Outages, failed: BoolArray, hangs: BoolArray, ratio: float) -> bool:
    """Say whether the attempts of one outage fail alike: neighbours differ less than half as often as by chance."""
    owner, in_vain = outages.outage, failed | hangs
    pair = in_vain[1:] & in_vain[:-1] & (owner[1:] == owner[:-1])
    if pair.sum() < STEADY_PAIRS:
        return False
    differ = float((hangs[1:] != hangs[:-1])[pair].mean())
    return differ < ratio * (1 - ratio)


def _sample(values: FloatArray, default: float) -> FloatArray:
    """Return quantiles that stand for a sample of any size."""
    if not len(values):
        return np.array([default])
    return np.quantile(values, (np.arange(200) + 0.5) / 200)
