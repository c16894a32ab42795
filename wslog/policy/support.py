"""Where a log looked, and where it did not: gaps between looks, and the extremes that no log of this kind can rule out.

A fixed schedule looks at the outage at a few instants only. Between two of them it says how many outages ended, not when. Every
fixed schedule is monotone in X, so the bounds of what another policy would have done are reached with all the mass of each gap
at its left or at its right end (Manski, Partial Identification of Probability Distributions, 2003).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from wslog.policy.model import FloatArray, IntArray, Outages
from wslog.policy.npmle import Parts
from wslog.policy.patterns import edge_of
from wslog.policy.replay import Rows
from wslog.policy.ungroup import Curve

LOOKS = 12
"""Looks that a stretch must hold to count as looked at."""

BAND_RATIO = 1.15
"""A stretch of looks up to 15 % long is a band: one attempt of a fixed schedule."""

SMOOTHING = 0.12
"""Standard deviation of the smoothing kernel, in the logarithm of time."""

STRETCH_RATIO = 0.08
"""How long, in parts of the time since the outage began, a stretch with that many looks may be."""


@dataclass(frozen=True)
class Gaps:
    """Stretches in which nobody looked: ``(low_s[i], high_s[i]]``; the last one has no end (inf).

    Attempts of a fixed schedule fall into narrow bands. Nothing can be learnt from the order of attempts within one, but an
    estimate would read the noise there: a band counts as one look at its median, and ``low_cut_s``, ``high_cut_s`` are the gaps'
    ends with bands drawn together.
    """

    low_s: FloatArray
    high_s: FloatArray
    low_cut_s: FloatArray
    high_cut_s: FloatArray

    @property
    def cuts_s(self) -> FloatArray:
        """Finite instants at which an estimate's cells end."""
        cuts = np.concatenate((self.low_cut_s, self.high_cut_s))
        return cuts[np.isfinite(cuts)]

    @property
    def points_s(self) -> FloatArray:
        """The left ends (a hair later), then the right ends that are finite."""
        left = np.nextafter(self.low_s, np.inf) * (1 + 1e-9) + 1e-9
        return np.concatenate((left, self.high_s[np.isfinite(self.high_s)]))

    def drawn_together(self, at_s: FloatArray) -> FloatArray:
        """Return instants with those in a band at its median."""
        found = at_s.copy()
        for begin, end, middle in zip(self.high_s[:-1], self.low_s[1:], self.low_cut_s[1:], strict=True):
            if begin <= middle <= end and end <= begin * BAND_RATIO:
                found[(at_s >= begin) & (at_s <= end)] = middle
        return found


def gaps_of(looks_s: FloatArray, last_edge_s: float) -> Gaps:
    """Return the gaps between looks.

    Parameters
    ----------
    looks_s : (m,) float array
        Seconds since the outage began, in any order.
    last_edge_s : float
        Looks after it count for nothing: the estimate ends there.
    """
    nothing = np.zeros(1), np.full(1, np.inf)
    at = np.sort(looks_s[(looks_s >= 0) & (looks_s <= last_edge_s)])
    if len(at) < LOOKS:
        return Gaps(*nothing, *nothing)
    low, high = at[: len(at) - LOOKS + 1], at[LOOKS - 1 :]
    is_dense = high - low <= STRETCH_RATIO * low + 1e-9
    low, high = low[is_dense], high[is_dense]
    if not len(low):
        return Gaps(*nothing, *nothing)
    # both ends rise together, so stretches that overlap are neighbours
    begins = np.concatenate(([True], low[1:] > high[:-1]))
    ends = np.concatenate((begins[1:], [True]))
    starts, stops = low[begins], high[ends]
    middle = np.array(
        [
            np.median(at[(at >= a) & (at <= b)]) if b <= a * BAND_RATIO else np.nan
            for a, b in zip(starts, stops, strict=True)
        ]
    )
    start_cuts, stop_cuts = (np.where(np.isnan(middle), edge, middle) for edge in (starts, stops))
    gap_low, gap_high = np.concatenate(([0.0], stops)), np.concatenate((starts, [np.inf]))
    low_cut, high_cut = np.concatenate(([0.0], stop_cuts)), np.concatenate((start_cuts, [np.inf]))
    keep = gap_high > gap_low
    return Gaps(gap_low[keep], gap_high[keep], low_cut[keep], high_cut[keep])


def looks_of(outages: Outages, has_polls: bool) -> FloatArray:
    """Return when outages were looked at; with ``has_polls``, polls are looks too."""
    parts = [outages.start_s]
    if has_polls:
        parts += [outages.poll_ok_s, outages.poll_failed_s]
    looks = np.concatenate(parts)
    return looks[~np.isnan(looks)]


def _kernel(edges_s: FloatArray, gaps: Gaps) -> FloatArray:
    """Return the (cells, cells) matrix that smooths row weights between the gaps and moves nothing across their ends.

    The maximum-likelihood estimate of a distribution is a staircase whose steps move from sample to sample: at a single instant it
    is noisier than the smooth function of the log that a figure needs.
    """
    low = np.log(np.maximum(edges_s[:-1], edges_s[1] / 3))
    middle = (low + np.log(edges_s[1:])) / 2
    kernel = (
        np.exp(-0.5 * ((middle[:, None] - middle[None, :]) / SMOOTHING) ** 2) * (np.log(edges_s[1:]) - low)[None, :]
    )
    ends = np.sort(np.concatenate((gaps.low_cut_s, gaps.high_cut_s)))
    part = np.searchsorted(ends, edges_s[:-1], side="right")
    inside = np.searchsorted(gaps.low_cut_s, edges_s[:-1], side="right") > np.searchsorted(
        gaps.high_cut_s, edges_s[:-1], side="right"
    )
    kernel = np.where(part[:, None] == part[None, :], kernel, 0.0)
    kernel[inside] = np.eye(len(middle))[inside]
    return np.asarray(kernel / kernel.sum(axis=1, keepdims=True), np.float64)


class Spread:
    """Turns an estimate's cell weights into weights of replay rows, as they are or pushed to the ends of the gaps."""

    def __init__(self, edges_s: FloatArray, rows: Rows, gaps: Gaps, offset: int, outage_count: float) -> None:
        """Take the gaps whose ends are the points of ``rows`` from ``offset`` on."""
        self.rows, self.gaps, self.first_point = rows, gaps, rows.never + 1 + offset
        self.cut = np.searchsorted(edges_s, rows.edges_s)
        self.low = edge_of(gaps.low_cut_s, edges_s)
        self.high = np.where(
            np.isinf(gaps.high_cut_s), len(edges_s), edge_of(np.nan_to_num(gaps.high_cut_s, posinf=0.0), edges_s)
        )
        self.cells = len(edges_s) - 1
        width = np.diff(np.log(np.maximum(edges_s, edges_s[1] / 3)))
        self.part_of_row = width / np.repeat(np.add.reduceat(width, self.cut[:-1]), np.diff(self.cut))
        self.kernel = _kernel(rows.edges_s, gaps)
        # the open gap after the last look has no other side
        ends = [np.searchsorted(rows.edges_s, cut[:-1] * (1 - 1e-9)) for cut in (gaps.low_cut_s, gaps.high_cut_s)]
        inner = [(int(a), int(b)) for a, b in zip(*ends, strict=True)]
        last = int(np.searchsorted(rows.edges_s, gaps.low_cut_s[-1] * (1 - 1e-9)))
        self.curve = Curve(rows.edges_s, inner, min(last, rows.never), outage_count)

    def rows_of(self, weight: FloatArray) -> FloatArray:
        """Return (rows,) weights of (cells + 1,) weights, a smooth curve in the gaps; the last one is "never"."""
        below = np.concatenate(([0.0], np.cumsum(weight)))
        found = np.zeros(self.rows.count)
        found[: self.rows.never] = self.curve.drawn(np.diff(below[self.cut]) @ self.kernel)
        found[self.rows.never] = weight[self.cells]
        return found

    def smoothed(self, weight: FloatArray) -> FloatArray:
        """Return (cells + 1,) weights made as smooth as :meth:`rows_of` makes them."""
        row = self.rows_of(weight)
        cells = np.repeat(row[: self.rows.never], np.diff(self.cut)) * self.part_of_row
        return np.append(cells, row[self.rows.never])

    def pushed(self, weight: FloatArray, parts: Parts, side: str, only_last: bool = False) -> FloatArray:
        """Return (rows,) weights with the mass of each gap (or of the last one only) as far left or right as it can be.

        An outage whose own looks say more than those of all together stays within its own: polls after a fallback.
        """
        kept = np.array(weight, np.float64)
        below = np.concatenate(([0.0], np.cumsum(kept)))
        count = len(self.gaps.low_s)
        moved = np.zeros(self.rows.count)
        for i in range(count - 1 if only_last else 0, count):
            low, high = int(self.low[i]), int(self.high[i])
            mass = float(below[high] - below[low])
            kept[low:high] = 0.0
            if mass <= 0:
                continue
            inside = (parts.high > low) & (parts.low < high)
            begin, end = np.maximum(parts.low[inside], low), np.minimum(parts.high[inside], high)
            size = parts.level[inside] * (below[end] - below[begin])
            total = float(size.sum())
            size = size * (mass / total) if total > 0 else np.array([mass])
            if total <= 0:
                begin, end = np.array([low]), np.array([high])
            if side == "left":
                place = np.where(begin == low, self.first_point + i, self._row(begin))
            else:
                edge = self.rows.never if np.isinf(self.gaps.high_s[i]) else self.first_point + count + i
                place = np.where(end == high, edge, self._row(end - 1))
            moved += np.bincount(place, size, self.rows.count)
        return self.rows_of(kept) + moved

    def _row(self, cell: IntArray) -> IntArray:
        """Return the row that holds each cell."""
        return np.clip(np.searchsorted(self.cut, cell, side="right") - 1, 0, self.rows.never)
