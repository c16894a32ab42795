"""What lies within a gap between two attempts, of which only the sum is known: a smooth density that fits all the sums.

Penalised composite link model: Eilers, Statistical Modelling 7 (2007) 239-254; Rizzi, Gampe and Eilers, Am. J. Epidemiol. 182
(2015) 138-147, who ungroup coarse histograms with it. The logarithm of the density over the logarithm of time is penalised for
its curvature, as strongly as Akaike's criterion finds best. Only the shape within gaps is taken from it: their sums stay what the
log says they are.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from wslog.policy.model import FloatArray, IntArray

BIN = 0.2
"""Width, in the logarithm of time, of the bins in which what was looked at enters."""

BESIDE = 1.5
"""How far, in the logarithm of time, the curve goes beyond the outermost gaps."""

PENALTIES = tuple(10.0 ** np.arange(-3.0, 3.1, 0.5))

MOST_STEPS = 40


class Curve:
    """A smooth density across gaps of a grid.

    Parameters
    ----------
    edges_s : (r + 1,) float array
        Of the rows.
    gaps : sequence of (int, int)
        Rows ``a`` to ``b`` - 1 of each gap, in order; none of them overlap.
    open_from : int
        Rows from here on are a gap without another side: of what lies in it, only the sum counts, and nothing is drawn.
    outage_count : float
        How many outages the sums are shares of: with few, the curve is smoother.
    """

    def __init__(
        self, edges_s: FloatArray, gaps: Sequence[tuple[int, int]], open_from: int, outage_count: float
    ) -> None:
        log_edges = np.log(np.maximum(edges_s, edges_s[1] / 3))
        self.gaps = [gap for gap in gaps if gap[1] - gap[0] >= 2]
        self.outage_count = outage_count
        self.penalty: float | None = None
        if not self.gaps:
            return
        end = len(edges_s) - 1
        cuts = _cuts(log_edges, [gap for gap in [*gaps, (open_from, end)] if gap[1] > gap[0]])
        low, high = log_edges[self.gaps[0][0]] - BESIDE, log_edges[self.gaps[-1][1]] + BESIDE
        is_near = (log_edges[cuts] >= low) & (log_edges[cuts] <= high)
        if log_edges[open_from] <= high:
            is_near[-1] = True
        self.cuts = cuts[is_near]
        self.begin, self.end = int(self.cuts[0]), int(self.cuts[-1])
        x = log_edges[self.begin : self.end + 1]
        self.width = np.diff(x)
        self.bin = np.repeat(np.arange(len(self.cuts) - 1), np.diff(self.cuts))
        self.line, self.bends = _bends((x[1:] + x[:-1]) / 2)
        self.start = np.zeros(0)

    def drawn(self, row: FloatArray) -> FloatArray:
        """Return (rows,) weights with the mass of each gap spread along the curve; elsewhere they are as they were.

        The first weights drawn decide how strong the penalty is.
        """
        if not self.gaps:
            return row
        sums = np.bincount(self.bin, row[self.begin : self.end], len(self.cuts) - 1)
        count = np.asarray(sums * self.outage_count, np.float64)
        if count.sum() <= 0:
            return row
        if self.penalty is None:
            self._choose(count)
        share = np.exp(self.fit(count, self.start, self.penalty or 1.0)[0]) * self.width
        found = row.copy()
        for a, b in self.gaps:
            inside = share[a - self.begin : b - self.begin]
            found[a:b] = row[a:b].sum() * inside / inside.sum()
        return found

    def _choose(self, count: FloatArray) -> None:
        """Choose the penalty by Akaike's criterion, from strong to weak."""
        y = np.full(len(self.bin), np.log(count.sum() / self.width.sum()))
        best = np.inf
        for penalty in PENALTIES[::-1]:
            y, criterion = self.fit(count, y, penalty)
            if criterion < best:
                best, self.penalty, self.start = criterion, penalty, y

    def fit(self, count: FloatArray, start: FloatArray, penalty: float) -> tuple[FloatArray, float]:
        """Return the logarithm of the density that fits the (bins,) counts under a penalty, and Akaike's criterion: by scoring.

        A step fits ``y`` to as many sums as there are bins, with its curvature penalised: a smoothing spline, a straight line plus
        one bent function for each sum (Wahba, Spline Models for Observational Data, 1990, section 1.3). So each step solves for the
        bins, of which there are a few, and not for the rows, of which there are hundreds.
        """
        y, size, bins = start, len(self.bin), len(count)
        for _ in range(MOST_STEPS):
            mass = self.width * np.exp(y)
            total = np.bincount(self.bin, mass, bins)
            slope = np.zeros((bins, size))
            slope[self.bin, np.arange(size)] = mass
            bent, straight = self.bends @ slope.T / penalty, slope @ self.line
            system = np.block([[slope @ bent + np.diag(total), straight], [straight.T, np.zeros((2, 2))]])
            wanted = count - total + slope @ y
            pull = np.linalg.solve(system, np.append(wanted, (0.0, 0.0)))
            step = bent @ pull[:bins] + self.line @ pull[bins:] - y
            longest = float(np.abs(step).max())
            y = y + step * min(1.0, 1.0 / max(longest, 1e-12))
            if longest < 1e-3:
                break
        misfit = np.where(count > 0, count * np.log(np.maximum(count, 1e-300) / total), 0.0) - (count - total)
        freedom = bins - float(np.diag(np.linalg.inv(system))[:bins] @ total)
        return y, 2 * float(misfit.sum()) + 2 * freedom


def _cuts(log_edges: FloatArray, gaps: Sequence[tuple[int, int]]) -> IntArray:
    """Return the rows where bins begin, and the last one's end: each gap is one, the rest is cut every :data:`BIN`."""
    cuts, at = {0, len(log_edges) - 1}, 0
    for a, b in [*gaps, (len(log_edges) - 1, len(log_edges) - 1)]:
        count = max(round((log_edges[a] - log_edges[at]) / BIN), 1)
        cuts |= {at, a, b} | set(
            np.searchsorted(log_edges, np.linspace(log_edges[at], log_edges[a], count + 1)[1:-1]).tolist()
        )
        at = b
    return np.array(sorted(cuts), np.int64)


def _bends(x: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return what functions at (n,) points are made of: (n, 2) straight lines, and the (n, n) reproducing kernel of the integral of
    the squared second derivative, which vanishes at the first two points."""
    weight = np.diff((x[1:] + x[:-1]) / 2)
    hinges = np.maximum(x[:, None] - x[1:-1], 0.0)
    return np.stack([np.ones_like(x), x - x[0]], axis=1), np.asarray((hinges * weight) @ hinges.T, np.float64)
