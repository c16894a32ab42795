"""By how much one log's clock is ahead of another's: where the differences of times pile up."""

from __future__ import annotations

import numpy as np

from wslog.agreement.candidates import Index
from wslog.agreement.likeness import END, Side
from wslog.agreement.rows import FloatArray, Rows

REACH_S = 14 * 3600.0
"""Clocks are looked for so far apart: a log whose times were read in a wrong zone still finds its partner."""
MAX_PAIRS = 1_500_000
SAME_LIFE_S = 1.5
MIN_EXCESS = 8
MIN_SIGMA = 8.0
_AROUND = 120


def rough_offset(rows: Rows, client: Side, service: Side, basis: int) -> float | None:
    """Return the service's clock minus the client's to within a second or two.

    True pairs all lie at one difference, pairs at random are spread: the differences of all pairs of a block are counted by
    the second, and the place that stands out most from its surroundings is taken. First of pairs of connections that lasted
    alike, then of all. Of places that stand out alike (a client that reconnects each minute), the one closest to 0.

    Returns
    -------
    float or None
        Seconds; None where nothing stands out.
    """
    found = None
    if basis != END:
        found = _peak(_lasting_alike(rows, client, service))
    return _peak(_all_gaps(client, service)) if found is None else found


def _lasting_alike(rows: Rows, client: Side, service: Side) -> FloatArray:
    mine, theirs = rows.lifetime[client.rows], rows.lifetime[service.rows]
    own, other = np.flatnonzero(~np.isnan(mine)), np.flatnonzero(~np.isnan(theirs))
    index = Index.of(service.block[other], theirs[other])
    counts = index.count(client.block[own], mine[own] - SAME_LIFE_S, mine[own] + SAME_LIFE_S)
    # lifetimes that few others share tell most: those first, as many as there is room for
    order = np.argsort(counts, kind="stable")
    own = own[order[np.cumsum(counts[order]) <= MAX_PAIRS]]
    gaps = [np.zeros(0)]
    for window, found in index.pairs(client.block[own], mine[own] - SAME_LIFE_S, mine[own] + SAME_LIFE_S):
        gaps.append(service.time[other[found]] - client.time[own[window]])
    return np.concatenate(gaps)


def _all_gaps(client: Side, service: Side) -> FloatArray:
    index = Index.of(service.block, service.time)
    counts = index.count(client.block, client.time - REACH_S, client.time + REACH_S)
    some = np.arange(0, len(client.rows), max(1, int(np.ceil(counts.sum() / MAX_PAIRS))))
    gaps = [np.zeros(0)]
    for window, found in index.pairs(client.block[some], client.time[some] - REACH_S, client.time[some] + REACH_S):
        gaps.append(service.time[found] - client.time[some][window])
    return np.concatenate(gaps)


def _peak(gaps: FloatArray) -> float | None:
    size = int(REACH_S)
    counts = np.histogram(gaps, np.arange(-size, size + 1))[0].astype(np.float64)
    threes = np.convolve(counts, np.ones(3), mode="same")
    around = np.convolve(counts, np.ones(2 * _AROUND + 1), mode="same") - np.convolve(counts, np.ones(11), mode="same")
    background = 3 * around / (2 * _AROUND + 1 - 11)
    excess = threes - background
    sigma = excess / np.sqrt(background + 1)
    good = (excess >= MIN_EXCESS) & (sigma >= MIN_SIGMA)
    if not good.any():
        return None
    strong = np.flatnonzero(good & (excess >= 0.8 * excess[good].max()))
    middles = strong - size + 0.5
    nearest = middles[np.argmin(np.abs(middles))]
    close = gaps[np.abs(gaps - nearest) <= 3]
    return float(np.median(close))
