"""What happened near each case in its session."""

from __future__ import annotations

import numpy as np

from wslog.diagnosis.model import BoolArray, FloatArray, IntArray


class Moments:
    """When something happened in each session, in one sorted array of (session, time).

    Parameters
    ----------
    keys : (n,) int array
        The session of what happened; negative for sessions without cases.
    at_us : (n,) array
        When; one at least.
    of_cases : (cases,) int array
        The session of each case.
    """

    def __init__(self, keys: IntArray, at_us: FloatArray, of_cases: IntArray) -> None:
        self.of_case = of_cases
        # a place before the first and one after the last
        self.base_us, self.width = float(at_us.min()), int(at_us.max() - at_us.min()) // 1000 + 3
        self.ordered = np.sort(self._place(keys.astype(np.int64), at_us / 1e6)[keys >= 0])

    def _place(self, codes: IntArray, at_s: FloatArray) -> IntArray:
        """Return one whole number for session and time, in ms from the first move on (both fit: sessions x years in ms)."""
        ms = np.clip(np.floor((at_s * 1e6 - self.base_us) / 1e3), -1, self.width - 2) + 1
        return codes.astype(np.int64) * self.width + ms.astype(np.int64)

    def any_between(self, mask: BoolArray, low_s: FloatArray, high_s: FloatArray) -> BoolArray:
        """Return which of the cases in ``mask`` have one of their session in [low_s, high_s]; those without a time have none."""
        found = np.zeros(len(mask), dtype=bool)
        at = np.flatnonzero(mask & ~np.isnan(low_s) & ~np.isnan(high_s))
        low, high = (self._place(self.of_case[at], edge[at]) for edge in (low_s, high_s))
        found[at] = np.searchsorted(self.ordered, low) < np.searchsorted(self.ordered, high, "right")
        return found

    def nearest_s(self, mask: BoolArray, at_s: FloatArray) -> FloatArray:
        """Return the time from each case to its session's nearest, NaN outside ``mask`` and where either is not known."""
        gap = np.full(len(mask), np.nan)
        at = np.flatnonzero(mask & ~np.isnan(at_s))
        if not len(self.ordered):
            return gap
        here = self._place(self.of_case[at], at_s[at])
        after = np.searchsorted(self.ordered, here)
        size = len(self.ordered)
        choices = np.stack([self.ordered[np.clip(after + step, 0, size - 1)] for step in (-1, 0)])
        # places stop at the first and the last; times do not. One of another session is no neighbour
        own_ms, their_ms = np.floor((at_s[at] * 1e6 - self.base_us) / 1e3), choices % self.width - 1
        away = np.where(choices // self.width == self.of_case[at], their_ms - own_ms, np.inf)
        best = away[np.abs(away).argmin(axis=0), np.arange(len(at))]
        gap[at] = np.where(np.isinf(best), np.nan, best / 1e3)
        return gap
