"""How far chance moved an estimate: groups of sessions left out one after the other."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from wslog.policy.fitting import PART_STEPS, REPLICATE_STEPS, Settings, rows_of, settled
from wslog.policy.model import FloatArray, Outages
from wslog.policy.npmle import Fit
from wslog.policy.patterns import Patterns
from wslog.policy.support import Spread

REPLICATES = 30

MOST_REPLICATED = 3_000
"""Outages that one replicate is fitted on. With more, replicates are of a part and their spread is scaled by the root of the
sizes (as in an m-out-of-n bootstrap)."""


def replicate(
    settings: Settings,
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
    session, weight, inverse, part_ratio = outages.sessions, outages.weight, patterns.inverse, 1.0
    sessions = int(session.max()) + 1
    if len(outages) > MOST_REPLICATED:
        keep = rng.random(sessions) < MOST_REPLICATED / len(outages)
        part_ratio = float(keep.mean())
        at = np.flatnonzero(keep[session])
        session, weight, inverse = session[at], weight[at], inverse[at]
    used, place = np.unique(inverse, return_inverse=True)

    def counted(weights: FloatArray) -> FloatArray:
        return np.bincount(place, weights, len(used)).astype(np.float64)

    base = replace(patterns.picked(used), count=counted(weight), older=patterns.older * part_ratio)
    known = replace(settings, first=settings.first.scaled(part_ratio))
    center = known.fit(base, PART_STEPS, found) if part_ratio < 1 else found
    still = known.fit(base, REPLICATE_STEPS, center)
    groups = min(groups, sessions)
    rows, failures = np.zeros((groups + 1, spread.rows.count)), np.zeros(groups + 1)
    group = rng.permutation(np.arange(sessions) % max(groups, 1))[session]
    for r in range(groups):
        kept = np.where(group == r, 0.0, weight)
        share = float(kept.sum() / weight.sum())
        fewer = replace(base, count=counted(kept), older=base.older * share)
        one = replace(known, first=known.first.scaled(share)).fit(fewer, REPLICATE_STEPS, center)
        rows[r] = rows_of(settled(one, fewer, known, spread), spread)
        failures[r] = one.chance.failure_ratio
    if groups > 1:
        scale = np.sqrt(part_ratio * (groups - 1) * (groups + 1) / groups)
        rows[:groups] = (rows[:groups] - rows[:groups].mean(axis=0)) * scale
        failures[:groups] = (failures[:groups] - failures[:groups].mean()) * scale
    if settings.has_first and groups:
        p = still.chance.failure_ratio
        error = float(np.sqrt(p * (1 - p) / settings.first.count))
        other = known.fit(base, REPLICATE_STEPS, center, failure_ratio=p + error)
        sides = [rows_of(settled(side, base, known, spread), spread) for side in (other, still)]
        rows[groups] = (sides[0] - sides[1]) * np.sqrt(groups + 1)
        failures[groups] = error * np.sqrt(groups + 1)
    return rows, failures
