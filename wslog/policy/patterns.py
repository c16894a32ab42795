"""Outages as likelihood patterns: what each says about X, in cells, and which say the same.

Of an outage with attempts at s_1 < ... < s_K the likelihood is a step function of X: on (s_j, s_j+1] every attempt after s_j was
made while the service could be reached and failed by chance (or opened), on (s_K, inf) none was. Only the newest attempts
matter: that :data:`DEPTH` of them failed by chance one after the other is left out.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from wslog.policy.model import FAILURES, BoolArray, FloatArray, IntArray, Outages

DEPTH = 5
"""Newest attempts that are looked at. Lumping older ones together instead of leaving them out biases tails: the mass that
belongs to the newest gap leaks into the first seconds."""

EXACT = 2
"""Newest attempts that keep their own cell. What lies before them takes at least two failures by chance one after the other."""

COARSE = 4
"""Cells that the older attempts' cells are drawn together to: patterns get fewer, and nothing moves by more than 5 %."""

PROBES_S = (1.0, 3.0, 7.0, 15.0, 31.0)
"""When a SYN without an answer is sent again (RFC 6298: 1 s, doubling): a hanging attempt looks again at these times."""

CERTAIN = len(FAILURES)
"""Kind of an inspection that cannot fail by chance: the SYN before the one that was answered."""


@dataclass(frozen=True)
class Patterns:
    """``u`` distinct likelihood functions.

    Parameters
    ----------
    cuts : (u, DEPTH + 1) int array
        Cell edge of each of the newest attempts, newest first; 0 where there is none.
    kinds : (u, DEPTH + 1) int array
        Index into :data:`~wslog.policy.model.FAILURES`, or :data:`CERTAIN`.
    made : (u, DEPTH + 1) bool array
        Whether there is such an attempt.
    is_ok : (u,) bool array
        Whether the newest one opened.
    poll_low, poll_high : (u,) int array
        Cell edges between which polling came back, cells + 1 when it had not; -1 when no poll was logged.
    count : (u,) float array
        Weighted outages.
    inverse : (n,) int array
        Pattern of each outage.
    older : (FAILURES + 1,) float array
        Weighted attempts by kind that are older than the ones looked at: made while the service was away.
    """

    cuts: IntArray
    kinds: IntArray
    made: BoolArray
    is_ok: BoolArray
    poll_low: IntArray
    poll_high: IntArray
    count: FloatArray
    inverse: IntArray
    older: FloatArray

    @property
    def has_polls(self) -> bool:
        return bool((self.poll_high >= 0).any())

    def counted(self, weight: FloatArray) -> Patterns:
        """Return the patterns with other weights of the outages."""
        return replace(self, count=_float_counts(self.inverse, weight, len(self.count)))

    def picked(self, at: IntArray) -> Patterns:
        """Return the patterns at these positions, without the way back to outages."""
        rows = {n: getattr(self, n)[at] for n in ("cuts", "kinds", "made", "is_ok", "poll_low", "poll_high", "count")}
        return replace(self, **rows, inverse=np.zeros(0, np.int64))


def with_probes(outages: Outages, fast_s: float) -> Outages:
    """Return the outages with hanging attempts seen as what they are: several looks, one per SYN.

    An attempt that opened after one second or more was answered at its last SYN before: X lies between the last two. One that
    hung until somebody's patience ended looked last at its last SYN. Attempts that the log calls fast stay as they are.

    Parameters
    ----------
    outages : Outages
    fast_s : float
        How long an undisturbed handshake takes at least; inf where that cannot be told from a SYN sent again.
    """
    took = outages.end_s - outages.start_s
    slow = np.flatnonzero((outages.is_ok & (took >= 1.0 + fast_s)) | (outages.failure == FAILURES.index("timeout")))
    if not len(slow):
        return outages
    probes = np.concatenate(([0.0], PROBES_S))
    patience = np.where(outages.is_ok[slow], took[slow] - (fast_s if np.isfinite(fast_s) else 0.0), took[slow])
    last = np.zeros(len(took), np.int64)
    last[slow] = np.clip(np.searchsorted(probes, np.nan_to_num(patience), side="right") - 1, 0, len(probes) - 1)
    start = outages.start_s + probes[last]
    rescued = np.flatnonzero(outages.is_ok & (last > 0))
    if not len(rescued):
        return replace(outages, start_s=start)
    # the SYN before was not answered: an inspection of its own, right before the attempt
    before = outages.start_s[rescued] + probes[last[rescued] - 1]

    added = np.bincount(outages.outage[rescued], minlength=len(outages))
    return replace(
        outages,
        first=outages.first + np.concatenate(([0], np.cumsum(added))),
        start_s=np.insert(start, rescued, before),
        end_s=np.insert(outages.end_s, rescued, before),
        is_ok=np.insert(outages.is_ok, rescued, False),
        failure=np.insert(outages.failure, rescued, CERTAIN),
    )


def _float_counts(at: IntArray, weight: FloatArray, size: int) -> FloatArray:
    return np.bincount(at, weight, size).astype(np.float64)


def edge_of(at_s: FloatArray, edges_s: FloatArray) -> IntArray:
    """Return the edge that is nearest to each time: an attempt there covers all cells before."""
    middle = (edges_s[1:] + edges_s[:-1]) / 2
    return np.searchsorted(middle, at_s).astype(np.int64)


def compress(outages: Outages, edges_s: FloatArray, cuts_s: FloatArray | None = None) -> Patterns:
    """Return the distinct patterns of outages.

    Parameters
    ----------
    outages : Outages
    edges_s : (cells + 1,) float array
    cuts_s : float array, optional
        Edges that also older attempts keep: a schedule's.
    """
    n, depth = len(outages), DEPTH + 1
    last = outages.first[1:] - 1
    counts = outages.attempt_count
    cell = edge_of(outages.start_s, edges_s)
    coarse = _coarse(edges_s, cuts_s)
    is_ok = np.zeros(n, bool)
    is_ok[counts > 0] = outages.is_ok[last[counts > 0]]
    low, high = _poll_edges(outages, edges_s)
    key = _mixed(is_ok.astype(np.uint64), (low + 1) * (len(edges_s) + 1) + high + 1)
    newest = np.zeros(CERTAIN + 1)
    for d in range(depth):
        has = np.flatnonzero(counts > d)
        at = last[has] - d
        cut = cell[at] if d < EXACT else coarse[cell[at]]
        key[has] = _mixed(key[has], cut * (CERTAIN + 1) + outages.failure[at] + 1)
        newest += np.bincount(outages.failure[at], outages.weight[has], CERTAIN + 1)
    _, place, inverse = np.unique(key, return_index=True, return_inverse=True)
    count = _float_counts(inverse, outages.weight, len(place))
    cuts, kinds = np.zeros((len(place), depth), np.int64), np.zeros((len(place), depth), np.int64)
    made = counts[place, None] > np.arange(depth)
    for d in range(depth):
        row = np.flatnonzero(made[:, d])
        at = last[place[row]] - d
        cuts[row, d], kinds[row, d] = cell[at] if d < EXACT else coarse[cell[at]], outages.failure[at]
        if d:
            cuts[:, d] = np.minimum(cuts[:, d], cuts[:, d - 1])
    every = np.bincount(outages.failure, np.repeat(outages.weight, counts), CERTAIN + 1)
    older = np.maximum(every - newest, 0.0)
    return Patterns(cuts, kinds, made, is_ok[place], low[place], high[place], count, inverse, older)


def _mixed(key: npt.NDArray[np.uint64], code: IntArray) -> npt.NDArray[np.uint64]:
    """Return keys that tell also the codes apart (64 bits: of a million keys two agree once in forty million logs)."""
    with np.errstate(over="ignore"):
        mixed = (key ^ code.astype(np.uint64)) * np.uint64(0x9E3779B97F4A7C15)
    return np.asarray(mixed ^ (mixed >> np.uint64(29)), np.uint64)


def _coarse(edges_s: FloatArray, cuts_s: FloatArray | None) -> IntArray:
    """Return the edge that stands for each edge where older attempts are told apart no further: every fourth, and the cuts."""
    kept = np.arange(0, len(edges_s), COARSE)
    if cuts_s is not None:
        kept = np.union1d(kept, edge_of(cuts_s[cuts_s < edges_s[-1]], edges_s))
    return np.asarray(kept[np.searchsorted((kept[1:] + kept[:-1]) / 2, np.arange(len(edges_s)))], np.int64)


def _poll_edges(outages: Outages, edges_s: FloatArray) -> tuple[IntArray, IntArray]:
    """Return the cell edges between which polling came back; one behind the last edge where it had not when last asked."""
    low, high = np.full(len(outages), -1, np.int64), np.full(len(outages), -1, np.int64)
    last = len(edges_s) - 1
    has = np.flatnonzero(~np.isnan(outages.poll_ok_s))
    begin, end = edge_of(np.nan_to_num(outages.poll_failed_s[has]), edges_s), edge_of(outages.poll_ok_s[has], edges_s)
    # between two polls at one edge lies a bit of both cells beside it
    low[has] = np.where(begin >= end, np.clip(end - 1, 0, last - 1), begin)
    high[has] = np.where(begin >= end, np.minimum(end + 1, last), end)
    away = np.flatnonzero(np.isnan(outages.poll_ok_s) & ~np.isnan(outages.poll_failed_s))
    low[away], high[away] = edge_of(outages.poll_failed_s[away], edges_s), last + 1
    return low, high


def spans(patterns: Patterns) -> tuple[IntArray, IntArray]:
    """Return the cells that each step of each likelihood spans.

    Returns
    -------
    low, high : (u, DEPTH + 1) int arrays
        Step ``d``, the one behind ``d`` attempts, spans the cells ``low`` to ``high`` - 1; they may be none.
    """
    never = np.int64(np.iinfo(np.int32).max)
    low = np.where(patterns.made, patterns.cuts, 0)
    high = np.empty_like(low)
    high[:, 0], high[:, 1:] = never, low[:, :-1]
    # between a failure and a success at one edge lies a bit of both cells beside it; all in the one before would be early
    shared = patterns.is_ok & (low[:, 1] >= high[:, 1])
    low[:, 1] = np.where(shared, np.maximum(high[:, 1] - 1, 0), low[:, 1])
    high[:, 1] = np.where(shared, high[:, 1] + 1, high[:, 1])
    high[:, 2] = np.where(shared, np.minimum(high[:, 2], low[:, 1]), high[:, 2])
    return low, np.maximum(high, low)


def levels(patterns: Patterns, chance: FloatArray) -> FloatArray:
    """Return the height of each step, (u, DEPTH + 1).

    Parameters
    ----------
    patterns : Patterns
    chance : (FAILURES + 1,) float array
        Of each kind, P(kind | up) / P(kind | down).
    """
    ratio = np.where(patterns.made, chance[patterns.kinds], 0.0)
    ratio[:, 0] = np.where(patterns.is_ok, 1.0, ratio[:, 0])
    level = np.ones(ratio.shape)
    # beyond an attempt that was never made there is nothing
    level[:, 1:] = np.cumprod(ratio[:, :-1], axis=1)
    level[:, 0] = np.where(patterns.is_ok, 0.0, 1.0)
    return level
