"""What the steps of each attempt say, column by column."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import pyarrow as pa
from pandas.util import hash_array

from wslog.attempts.reading import Bools, Ints, whole


class Steps:
    """The steps of all attempts, those of one attempt together and in order.

    Parameters
    ----------
    rows : array
        Where each step is in a column of events.
    attempt : array
        Number of its attempt, from 0, not decreasing.
    count : int
        Attempts; each has a step.
    """

    def __init__(self, rows: Ints, attempt: Ints, count: int) -> None:
        self.rows, self.attempt, self.count = rows, attempt, count
        self.first_at = np.flatnonzero(np.diff(attempt, prepend=-1))
        self.last_at = np.append(self.first_at[1:], len(rows)) - 1 if count else self.first_at
        self._seen: tuple[Bools | None, Ints, Ints] = (None, rows, attempt)

    # --- a value for each attempt, of numpy arrays that have one for each step ---

    def edge(self, values: Ints, none: int, is_last: bool = False) -> Ints:
        """Return the first (or last) value of each attempt that is not ``none``; ``none`` where there is no other."""
        found = np.full(self.count, none, values.dtype)
        said = np.flatnonzero(values != none)
        if not is_last:
            said = said[::-1]
        found[self.attempt[said]] = values[said]  # of several, the last one written stays
        return found

    def extreme(self, function: np.ufunc, values: Ints, none: int) -> Ints:
        """Return the least or the largest value of each attempt that is not ``none``."""
        found = np.full(self.count, none, values.dtype)
        said = np.flatnonzero(values != none)
        attempt = self.attempt[said]
        heads = np.flatnonzero(np.diff(attempt, prepend=-1))
        if len(heads):
            found[attempt[heads]] = function.reduceat(values[said], heads)
        return found

    # --- a value for each attempt, of columns of events ---

    def first_said(self, column: pa.ChunkedArray) -> pa.Array:
        """Return the first value of each attempt that is not null."""
        return self._picked(column, lambda said, heads: said[heads])

    def last_said(self, column: pa.ChunkedArray) -> pa.Array:
        """Return the last value of each attempt that is not null."""
        return self._picked(column, lambda said, heads: said[np.append(heads[1:], len(said)) - 1])

    def largest(self, column: pa.ChunkedArray) -> pa.Array:
        """Return the largest value of each attempt."""
        if column.null_count == len(column):
            return _nothing(self.count, column.type)
        array = whole(column)
        said, attempt, heads = self._said(array)
        values = array.fill_null(0) if array.null_count else array
        values = np.asarray(values)[said]
        if len(heads) < len(said):
            values = np.maximum.reduceat(values, heads)
        return self._spread(pa.array(values, array.type), attempt[heads])

    def least_true(self, column: pa.ChunkedArray) -> pa.Array:
        """Return, of truth values, false where any is."""
        if column.null_count == len(column):
            return _nothing(self.count, column.type)
        array = whole(column)
        said, attempt, heads = self._said(array)
        values = np.asarray(array.fill_null(False))[said]
        return self._spread(
            pa.array(np.logical_and.reduceat(values, heads)) if len(heads) else pa.array([], pa.bool_()), attempt[heads]
        )

    def _picked(self, column: pa.ChunkedArray, pick: Callable[[Ints, Ints], Ints]) -> pa.Array:
        if column.null_count == len(column):
            return _nothing(self.count, column.type)
        array = whole(column)
        said, attempt, heads = self._said(array)
        at = np.full(self.count, -1, np.int64)
        at[attempt[heads]] = pick(said, heads)
        return array.take(pa.array(at, mask=at < 0))

    def _said(self, array: pa.Array) -> tuple[Ints, Ints, Ints]:
        """Return where steps say something, their attempts, and where each attempt begins in these two."""
        if not array.null_count:
            return self.rows, self.attempt, self.first_at
        valid = np.asarray(array.is_valid())
        # columns are said together: kept for the next
        if self._seen[0] is None or not np.array_equal(valid, self._seen[0]):
            at = np.flatnonzero(valid[self.rows])
            self._seen = (valid, self.rows[at], self.attempt[at])
        said, attempt = self._seen[1:]
        return said, attempt, np.flatnonzero(np.diff(attempt, prepend=-1))

    def _spread(self, values: pa.Array, attempts: Ints) -> pa.Array:
        if len(values) == self.count:
            return values
        at = np.full(self.count, -1, np.int64)
        at[attempts] = np.arange(len(values))
        return values.take(pa.array(at, mask=at < 0))


@lru_cache(maxsize=1)
def _zeros(count: int) -> pa.Buffer:
    return pa.py_buffer(np.zeros(8 * count, np.uint8))


def _nothing(count: int, kind: pa.DataType) -> pa.Array:
    """Return nulls. A log leaves many columns empty: those of numbers share one buffer, which nobody writes."""
    if not pa.types.is_primitive(kind):
        return pa.nulls(count, kind)
    return pa.Array.from_buffers(kind, count, [_zeros(count), _zeros(count)], null_count=count)


def worded(places: Ints, words: Sequence[str]) -> pa.DictionaryArray:
    """Return the words of a closed list as one byte for each value; ``places`` count from 1, and 0 is null."""
    numbers = places.astype(np.int8) - np.int8(1)
    return pa.DictionaryArray.from_arrays(pa.array(numbers, mask=numbers < 0), pa.array(words, pa.string()))


def client_numbers(clients: pa.Array) -> pa.Array:
    """Return a number of 62 bits for each client, made from its text: two of a million share one with a chance of 1e-7.

    Numbers begin at 2^62, above those of sessions, which are places in files.
    """
    coded = clients.dictionary_encode()
    hashed = hash_array(coded.dictionary.to_numpy(zero_copy_only=False), categorize=False)
    return pa.array((hashed >> np.uint64(2) | np.uint64(1 << 62)).astype(np.int64)).take(coded.indices)


def optional(values: Ints, none: int, kind: pa.DataType | None = None) -> pa.Array:
    """Return numpy values as Arrow, null where they are ``none``."""
    found: Any = pa.array(values, mask=values == none)
    return found.cast(kind) if kind is not None else found
