"""Looking at many places of a buffer at once, eight bytes as one 64-bit word (first byte lowest)."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from wslog.formats.contract import BoolArray, IntArray

Bytes = npt.NDArray[np.uint8]
Words = npt.NDArray[np.uint64]

LONGEST = 1 << 13
"""What lies further on is not looked for."""
POINT = 46
_WINDOW = 64

_ONES = np.uint64(0x0101010101010101)
_TOPS = np.uint64(0x8080808080808080)
_ONE, _EIGHT, _ALL = np.uint64(1), np.uint64(8), np.uint64((1 << 64) - 1)
_TRUE, _FALSE = (np.uint64(int.from_bytes(t, "little")) for t in (b"true", b"false"))
_FOUR_BYTES, _FIVE_BYTES = np.uint64((1 << 32) - 1), np.uint64((1 << 40) - 1)


def all_true(mask: BoolArray) -> bool:
    """``mask.all()``, at a third of its cost for short arrays."""
    return int(np.count_nonzero(mask)) == len(mask)


def windows(data: Bytes, places: IntArray, size: int) -> npt.NDArray[Any]:
    """Return the ``size`` bytes from each place (none beyond the buffer) as one value; behind its end lie zeros."""
    last = len(data) - size
    if last >= 0:
        view: npt.NDArray[Any] = np.ndarray((last + 1,), f"V{size}", data, 0, (1,))
        try:
            return np.asarray(view[places])
        except IndexError:  # numpy looks at the bounds anyway
            pass
    first = max(last, 0)
    padded = np.concatenate([data[first:], np.zeros(size, np.uint8)])
    tail: npt.NDArray[Any] = np.ndarray((len(padded) - size + 1,), f"V{size}", padded, 0, (1,))
    is_in_tail = places >= first
    out = np.empty(len(places), f"V{size}")
    out[is_in_tail] = tail[places[is_in_tail] - first]
    if last >= 0:
        out[~is_in_tail] = view[places[~is_in_tail]]
    return out


def words_at(data: Bytes, places: IntArray) -> Words:
    """Return the eight bytes from each place; behind the buffer's end lie zeros."""
    return windows(data, places, 8).view(np.uint64)


def word_in(found: npt.NDArray[Any], at: int) -> Words:
    """Return the word ``at`` bytes into each window."""
    if not len(found):
        return np.empty(0, np.uint64)
    return np.array(np.ndarray((len(found),), "<u8", found, at, (found.itemsize,)))


def is_literal(found: npt.NDArray[Any], literal: bytes) -> BoolArray:
    """Tell which windows, wider than the literal by a word or more, begin with it."""
    good: BoolArray | None = None
    if not len(found):
        return np.ones(0, bool)
    for at in range(0, len(literal), 8):
        piece = literal[at : at + 8]
        word: npt.NDArray[Any] = np.ndarray((len(found),), "<u8", found, at, (found.itemsize,))
        if len(piece) < 8:
            word = word & np.uint64((1 << 8 * len(piece)) - 1)
        same = word == np.uint64(int.from_bytes(piece, "little"))
        good = same if good is None else np.logical_and(good, same, out=good)
    return np.ones(len(found), bool) if good is None else good


def equal(data: Bytes, places: IntArray, literal: bytes) -> BoolArray:
    """Tell where the bytes from each place on are the literal."""
    return is_literal(windows(data, np.minimum(places, len(data)), len(literal) + 8), literal)


def until(word: Words, byte: int) -> Words:
    """Return masks of the bytes up to the first ``byte``, itself included; all bits where there is none."""
    differs = word ^ (_ONES * np.uint64(byte))
    hit = (differs - _ONES) & ~differs & _TOPS  # the lowest bit set is that of the first such byte
    return np.asarray(hit ^ (hit - _ONE))


def distances(data: Bytes, places: IntArray, byte: int, word: Words, second: Words) -> tuple[IntArray, Words]:
    """Find the next ``byte`` from each place on.

    Parameters
    ----------
    word, second : (k,) uint64 arrays
        The first eight bytes from each place, and the next eight.

    Returns
    -------
    sizes : (k,) int64 array
        How many bytes come before it; -1 where it is further off than ``LONGEST``.
    words : (k,) uint64 array
        These bytes, where they are fewer than eight.
    """
    mask = until(word, byte)
    sizes = (np.bitwise_count(mask) >> 3).astype(np.int64)
    sizes -= 1
    rest = np.flatnonzero(mask == _ALL)
    mask >>= _EIGHT
    mask &= word
    rest = rest[_last_byte(word[rest]) != byte]
    if len(rest):
        more = second[rest]
        further = until(more, byte)
        sizes[rest] += np.bitwise_count(further) >> 3
        rest = rest[(further == _ALL) & (_last_byte(more) != byte)]
        if len(rest):
            sizes[rest] = _far_distances(data, places[rest], byte)
    return sizes, mask


def _last_byte(word: Words) -> Words:
    return np.asarray(word >> np.uint64(56))


def _far_distances(data: Bytes, places: IntArray, byte: int) -> IntArray:
    """Find bytes that are sixteen or more bytes away."""
    out = np.full(len(places), -1, np.int64)
    rest = np.arange(len(places))
    for step in range(16, LONGEST, _WINDOW):
        found = windows(data, np.minimum(places[rest] + step, len(data)), _WINDOW)
        is_hit = np.ndarray((len(rest), _WINDOW), np.uint8, found) == byte
        column = is_hit.argmax(axis=1)
        good = is_hit[np.arange(len(rest)), column]
        out[rest[good]] = step + column[good]
        rest = rest[~good]
        if not len(rest):
            break
    return out


def flags(word: Words) -> IntArray:
    """Return the size of the ``true`` or ``false`` that each word begins with; -1 where it does with neither."""
    is_true, is_false = (word & _FOUR_BYTES) == _TRUE, (word & _FIVE_BYTES) == _FALSE
    return np.where(is_true, 4, np.where(is_false, 5, -1))
