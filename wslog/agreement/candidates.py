"""Candidate pairs: rows of one block whose times lie within a window of one another."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from wslog.agreement.rows import FloatArray, IntArray

_SPAN_BITS = 41
"""A key is block * 2**41 + milliseconds: 69 years of log, four million blocks."""
CHUNK_PAIRS = 2_000_000


def _keys(block: IntArray, time: FloatArray) -> IntArray:
    # windows may reach below the first time of all: those stay in their block
    ms = np.clip(np.floor(time * 1e3), 0, (1 << _SPAN_BITS) - 1).astype(np.int64)
    return (block << _SPAN_BITS) + ms


@dataclass(frozen=True)
class Index:
    """Service rows ordered by block and time, to look up windows of time in.

    Made by :meth:`of` from blocks (0 or more) and times in seconds (no NaN).
    """

    order: IntArray
    keys: IntArray

    @staticmethod
    def of(block: IntArray, time: FloatArray) -> Index:
        keys = _keys(block, time)
        order = np.argsort(keys, kind="stable")
        return Index(order, keys[order])

    def windows(self, block: IntArray, low: FloatArray, high: FloatArray) -> tuple[IntArray, IntArray]:
        """Return the first and one past the last place in ``order`` of each window of a block."""
        first = np.searchsorted(self.keys, _keys(block, low), "left")
        last = np.searchsorted(self.keys, _keys(block, high) + 1, "right")
        return first, last

    def count(self, block: IntArray, low: FloatArray, high: FloatArray) -> IntArray:
        first, last = self.windows(block, low, high)
        return last - first

    def pairs(self, block: IntArray, low: FloatArray, high: FloatArray) -> Iterator[tuple[IntArray, IntArray]]:
        """Yield pairs (number of the window, row) in chunks of bounded size."""
        first, last = self.windows(block, low, high)
        ends = np.cumsum(last - first)
        begin = 0
        while begin < len(ends):
            done = ends[begin - 1] if begin else 0
            stop = max(int(np.searchsorted(ends, done + CHUNK_PAIRS, "right")), begin + 1)
            counts = (last - first)[begin:stop]
            window = np.repeat(np.arange(begin, stop), counts)
            offset = np.arange(len(window)) - np.repeat(np.cumsum(counts) - counts, counts)
            yield window, self.order[first[window] + offset]
            begin = stop
