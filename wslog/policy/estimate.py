"""One group's outages estimated: the distribution of their end, what the log leaves open, and how far chance moved it."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from wslog.policy.conditions import conditions_of, fast_handshake_s
from wslog.policy.fitting import (
    Settings,
    Weights,
    any_failure,
    as_if_left,
    edges_with,
    extremes,
    likely_failure,
    pooled,
    settled,
    weights_of,
)
from wslog.policy.model import FAILURES, Distribution, FloatArray, Outages, grid
from wslog.policy.npmle import PRIOR_COUNT, FirstConnects, Fit, log_uniform, parts
from wslog.policy.patterns import CERTAIN, compress, with_probes
from wslog.policy.replay import Conditions, Rows, rows_for
from wslog.policy.resample import REPLICATES, replicate
from wslog.policy.support import Spread, gaps_of, looks_of

ASSUMPTIONS = {
    "free": "",
    "chance": "reconnects fail by chance as often as first connects do",
    "polls": "polling and the WebSocket come back together, except where WebSockets are blocked",
    "leaving": "outages that people left ended as late as others",
    "gaps": "between two attempts, outages end along a smooth curve through what the attempts saw",
}
"""What each rung of the ladder takes for granted, in order; a figure needs those up to the first rung that pins it down."""


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
        The extremes of what comes after the last look, gaps between looks being filled by a smooth curve.
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
    fast_s = fast_handshake_s(outages)
    seen = with_probes(outages, fast_s)
    conditions = conditions_of(outages, fast_s)
    if conditions.is_hang_steady:
        # how an attempt fails is then the outage's nature, and no sign of chance: the likelihood leaves the kinds alone
        seen = replace(seen, failure=np.where((seen.failure > 0) & (seen.failure < CERTAIN), 1, seen.failure))
        if first is not None:
            first = FirstConnects(np.eye(len(FAILURES))[1] * first.failed.sum(), first.opened)
    bare = replace(seen, poll_ok_s=np.full(len(seen), np.nan), poll_failed_s=np.full(len(seen), np.nan))
    last_s = max(900.0, horizon_s)
    has_polls = not (np.isnan(seen.poll_ok_s) & np.isnan(seen.poll_failed_s)).all()
    gaps = gaps_of(looks_of(seen, True), last_s)
    bare_gaps = gaps_of(looks_of(bare, False), last_s) if has_polls else gaps
    edges = edges_with(grid(last_s), gaps, bare_gaps)
    weight = log_uniform(edges) if prior is None else np.append(np.diff(prior.cdf(edges)), prior.never)
    seen = replace(seen, start_s=gaps.drawn_together(seen.start_s))
    bare = replace(bare, start_s=bare_gaps.drawn_together(bare.start_s)) if has_polls else seen
    cuts = np.concatenate((gaps.cuts_s, bare_gaps.cuts_s))
    patterns = compress(seen, edges, cuts)
    settings = Settings(edges, first or FirstConnects(), weight, PRIOR_COUNT)
    if prior is not None:
        settings = pooled(settings, gaps, patterns, outages, rng)
    bare_patterns = compress(bare, edges, cuts) if has_polls else patterns
    likeliest, kept = likely_failure(settings, bare_patterns, None, rng)
    if not settings.has_first:
        settings = replace(settings, failure_ratio=likeliest)
    whole = settings.fit_all(patterns, rng)
    without = settings.fit_all(bare_patterns, rng) if has_polls else whole
    points = np.concatenate((gaps.points_s, bare_gaps.points_s))
    rows = rows_for(edges, horizon_s, points, cuts)
    spread = Spread(edges, rows, gaps, 0, len(outages))
    bare_spread = Spread(edges, rows, bare_gaps, len(gaps.points_s), len(outages))
    whole = settled(whole, patterns, settings, spread)
    weights = weights_of(whole, spread)
    made = parts(patterns, whole)
    bare_made = parts(bare_patterns, without) if has_polls else made
    base = extremes(without, bare_made, bare_spread)
    ladder = {"free": any_failure(settings, bare_patterns, without, base, bare_spread, kept, rng)}
    if settings.has_first:
        ladder["chance"] = base
    if has_polls:
        ladder["polls"] = extremes(whole, made, spread)
    if refusal:
        ladder["leaving"] = [
            weights_of(as_if_left(settings, seen, whole, spread, back), spread) for back in (True, False)
        ]
    moved, moved_failure = replicate(settings, patterns, outages, whole, spread, replicates, rng)
    return Estimate(
        fit=whole,
        outage_count=len(outages),
        session_count=outages.session_count,
        rows=rows,
        conditions=conditions,
        weights=weights,
        ladder=ladder,
        tail=extremes(whole, made, spread, only_last=True),
        shown_rung="chance" if settings.has_first else "free",
        assumptions=ASSUMPTIONS,
        replicate_rows=moved,
        replicate_failure=moved_failure,
        horizon_s=horizon_s,
        is_tail_refused=bool(refusal),
        refusal=refusal,
        pooled_count=settings.prior_count if settings.prior_count > PRIOR_COUNT else 0.0,
    )
