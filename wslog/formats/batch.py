"""A batch: some lines of a file as one buffer, and where they begin and end."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import pyarrow as pa

IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]


class Batch:
    """Some lines of a file: a newline-aligned buffer and where its lines begin and end.

    Parameters
    ----------
    data : (n,) uint8 array
        Whole lines, each ended by a newline.
    starts, ends : (k,) int64 arrays
        Line ``i`` is ``data[starts[i]:ends[i]]``, its line end (LF or CRLF) left out.
    index : (k,) int64 array
        Position of each line in the block it came from; rows are labelled with it.
    is_whole : bool
        Whether the lines cover ``data`` without gaps, so that it can be handed to a C++ reader as it is.
    """

    __slots__ = ("data", "ends", "index", "is_whole", "starts")

    def __init__(
        self, data: npt.NDArray[np.uint8], starts: IntArray, ends: IntArray, index: IntArray, is_whole: bool
    ) -> None:
        self.data, self.starts, self.ends, self.index, self.is_whole = data, starts, ends, index, is_whole

    def __len__(self) -> int:
        return len(self.starts)

    @classmethod
    def of(cls, data: bytes | memoryview | npt.NDArray[np.uint8]) -> Batch:
        """Make a batch of newline-terminated bytes (a missing last newline is added)."""
        array = data if isinstance(data, np.ndarray) else np.frombuffer(data, np.uint8)
        if len(array) and array[-1] != 10:
            array = np.append(array, np.uint8(10))
        stops = newline_positions(array)
        starts = np.empty_like(stops)
        if len(stops):
            starts[0] = 0
            starts[1:] = stops[:-1] + 1
        ends = stops.copy()
        has_cr = (ends > starts) & (array[np.maximum(stops - 1, 0)] == 13)
        ends[has_cr] -= 1
        return cls(array, starts, ends, np.arange(len(stops), dtype=np.int64), True)

    def line(self, i: int) -> bytes:
        return self.data[self.starts[i] : self.ends[i]].tobytes()

    def lines(self) -> Iterator[tuple[int, bytes]]:
        """Yield ``(index, line)``: the exact path's loop, for small batches only."""
        for i, index in enumerate(self.index.tolist()):
            yield index, self.line(i)

    def select(self, keep: BoolArray) -> Batch:
        """Return the batch of the lines where ``keep`` holds (no copy of the bytes)."""
        if keep.all():
            return self
        return Batch(self.data, self.starts[keep], self.ends[keep], self.index[keep], False)

    def compact(self) -> Batch:
        """Return the same lines in a buffer that holds nothing else."""
        if self.is_whole:
            return self
        n = len(self)
        if not n:
            return Batch(self.data[:0], self.starts, self.ends, self.index, True)
        # runs of neighbouring lines are copied whole; each line keeps its own line end
        stops = self.ends + 1
        stops[self.data[np.minimum(self.ends, len(self.data) - 1)] == 13] += 1
        breaks = np.flatnonzero(self.starts[1:] != stops[:-1])
        firsts, lasts = np.append(0, breaks + 1), np.append(breaks, n - 1)
        pieces = [self.data[self.starts[a] : stops[b]] for a, b in zip(firsts.tolist(), lasts.tolist(), strict=True)]
        sizes = stops - self.starts
        starts = np.cumsum(sizes) - sizes
        return Batch(np.concatenate(pieces), starts, starts + (self.ends - self.starts), self.index, True)

    def text(self) -> pa.BinaryArray:
        """Return the lines as one Arrow binary array without copying: each value keeps its line end."""
        whole = self.compact()
        offsets = np.append(whole.starts, len(whole.data)).astype(np.int32)
        return pa.Array.from_buffers(pa.binary(), len(whole), [None, pa.py_buffer(offsets), pa.py_buffer(whole.data)])


def newline_positions(data: npt.NDArray[np.uint8]) -> IntArray:
    """Return where the newlines are, in blocks that stay in the processor's cache."""
    step = 1 << 18
    found = [np.flatnonzero(data[i : i + step] == 10) + i for i in range(0, len(data), step)]
    return np.concatenate(found) if found else np.empty(0, np.int64)
