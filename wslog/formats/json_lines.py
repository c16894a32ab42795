"""Reading many JSON lines at once by their shape: every byte of a line is compared or checked, none is skipped.

Lines of one program come in few shapes: the same keys in the same order, with other values. A shape is learned from one
line that a strict parser (orjson) accepted; its values become slots (a string, a number, true or false), the rest
is literal text. Another line has that shape when its literals are equal byte for byte and its slots hold values of the
same kind, and is then JSON too, since a JSON value may stand in for another of its kind. All lines are followed
together, literal by literal; those that differ at some place wait there for a shape of their own, so what shapes share
at their beginning is looked at once.

A string slot is taken to end where the next literal fits. Whether it holds a quote of its own is told at the end, by
counting: the literals have all the quotes a line may have. No backslash and no control character is in the lines judged
here, so a quote always begins or ends a string. Lines that do not fit (escapes, odd bytes, rare shapes, no JSON) are
left to the caller's exact path.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import orjson
import pyarrow as pa

from wslog.formats.contract import Batch, BoolArray, IntArray
from wslog.formats.wslog_client_shapes import BOOL, NUMBER, Path, Shape, Slot, Wanted, shape_of, skeleton
from wslog.formats.wslog_client_values import is_number
from wslog.formats.wslog_client_words import (
    LONGEST,
    Words,
    all_true,
    distances,
    equal,
    flags,
    is_literal,
    windows,
    word_in,
)

Bytes = npt.NDArray[np.uint8]

MAX_SHAPES = 192
"""Shapes looked for in one batch; lines of further shapes are left to the exact path."""
FEW_LINES = 24
"""So few lines left are cheaper one by one than by their shape."""
MAX_COUNTED = 256
"""So many lines of unknown shape have their quotes counted one by one."""

_QUOTE, _BACKSLASH, _MINUS = 34, 92, 45
_BLOCK = 1 << 18
LONG = 16
"""Strings from this size on are first looked for at the size of the first line's."""


class _Scan:
    """What one look at the bytes of a whole batch tells.

    Attributes
    ----------
    quotes : int
        Number of quotes in the buffer.
    plain : (k,) bool array
        Lines without backslash, without control character before their end, and in valid UTF-8.
    """

    def __init__(self, batch: Batch) -> None:
        self.data, self.starts, self.ends = batch.data, batch.starts, batch.ends
        self.quotes, odd, has_backslash = 0, 0, False
        mask = np.empty(_BLOCK, bool)
        for i in range(0, len(self.data), _BLOCK):  # in blocks that stay in the processor's cache
            block = self.data[i : i + _BLOCK]
            out = mask[: len(block)]
            self.quotes += int(np.count_nonzero(np.equal(block, _QUOTE, out=out)))
            odd += int(np.count_nonzero(np.less(block.view(np.int8), 32, out=out)))  # above 127 is below 0
            has_backslash = has_backslash or bool(np.equal(block, _BACKSLASH, out=out).any())
        self.plain = np.ones(len(batch), bool)
        if odd != len(self.data) - int((self.ends - self.starts).sum()):
            self._look_at_odd_bytes()
        if has_backslash:
            self.plain[self._line_of(np.flatnonzero(self.data == _BACKSLASH))] = False

    def _look_at_odd_bytes(self) -> None:
        controls = np.flatnonzero(self.data < 32)
        line = self._line_of(controls)
        self.plain[line[controls < self.ends[line]]] = False
        if not _is_utf8(self.data):
            for i in np.unique(self._line_of(np.flatnonzero(self.data >= 128))).tolist():
                self.plain[i] &= _is_utf8(self.data[self.starts[i] : self.ends[i]])

    def _line_of(self, places: IntArray) -> IntArray:
        return np.searchsorted(self.starts, places, "right") - 1

    def wrong(self, expected: IntArray) -> IntArray:
        """Return the lines that have other than the expected number of quotes (0: not asked), each at least so many."""
        others = np.flatnonzero(expected == 0)
        if len(others) <= MAX_COUNTED:
            spare = self.quotes - int(expected.sum())
            spare -= sum(self.data[self.starts[i] : self.ends[i]].tobytes().count(b'"') for i in others.tolist())
            if not spare:
                return others[:0]
        places = np.flatnonzero(self.data == _QUOTE)
        counts = np.diff(np.searchsorted(places, self.starts), append=len(places))
        return np.flatnonzero((expected > 0) & (counts != expected))


@dataclass
class Place:
    """Where the values of one path and kind lie.

    Attributes
    ----------
    starts, sizes : (k,) int64 arrays
        Start and length in the buffer; length -1 where a line has none (or null). Starts never fall.
    words : (k,) uint64 array or None
        The values shorter than eight bytes, first byte lowest; elsewhere it means nothing.
    """

    starts: IntArray
    sizes: IntArray
    words: Words | None

    def of(self, rows: IntArray | BoolArray) -> Place:
        """Return the places of some lines."""
        return Place(self.starts[rows], self.sizes[rows], None if self.words is None else self.words[rows])

    def without(self, rows: list[int]) -> Place:
        """Return the places of all lines but a few (rising); the arrays are moved together, not copied."""
        words = None if self.words is None else _without(self.words, rows)
        return Place(_without(self.starts, rows), _without(self.sizes, rows), words)


@dataclass
class Found:
    """The lines whose shape was recognised, and where their wanted values lie.

    Attributes
    ----------
    data : (n,) uint8 array
    lines : (k,) int64 array
        Positions of these lines in the batch, rising.
    places : dict of (path, kind) to Place
        Where each line's value lies.
    """

    data: Bytes
    lines: IntArray
    places: dict[tuple[Path, str], Place]


@dataclass(frozen=True)
class _Waiting:
    """Lines that agree with a shape up to its literal ``depth`` at ``places``, and then no more."""

    rows: IntArray
    places: IntArray
    shape: Shape | None
    depth: int


class _Matcher:
    """Follows the lines of a batch along the shapes of some of them."""

    def __init__(self, batch: Batch, wanted: Wanted, sized: frozenset[bytes]) -> None:
        self.batch, self.data, self.wanted, self.sized = batch, batch.data, wanted, sized
        self.key = frozenset(wanted.items())
        self.expected: IntArray = np.zeros(len(batch), np.int64)  # quotes of recognised lines, else 0
        self.places: dict[tuple[Path, str], Place] = {}

    def run(self, rows: IntArray) -> None:
        few = FEW_LINES if len(rows) > FEW_LINES else 0
        waiting = [_Waiting(rows, self.batch.starts[rows], None, 0)]
        for _ in range(MAX_SHAPES):
            waiting = [w for w in waiting if len(w.rows) > few]
            if not waiting:
                break
            group = waiting.pop(max(range(len(waiting)), key=lambda i: len(waiting[i].rows)))
            shape = self._model(group)
            if shape is None:
                waiting.append(_Waiting(group.rows[1:], group.places[1:], group.shape, group.depth))
            else:
                waiting += self._follow(group, shape)

    def _model(self, group: _Waiting) -> Shape | None:
        """Return the shape of the first line; None when it is no JSON or has nothing new for this group."""
        line = self.batch.line(int(group.rows[0]))
        try:
            orjson.loads(line)
        except ValueError:
            return None
        shape = shape_of(skeleton(line, self.sized), self.key)
        old, depth = group.shape, group.depth
        if old is not None and (not shape.begins_like(old, depth) or shape.step(depth) == old.step(depth)):
            return None
        return shape

    def _follow(self, group: _Waiting, shape: Shape) -> list[_Waiting]:
        """Follow the lines along the shape; return those that left it on the way, by where they did."""
        rows, places, left = group.rows, group.places, []
        for depth, text in enumerate(shape.literals[group.depth :], group.depth):
            found = windows(self.data, places, len(text) + 16)  # the literal, and the beginning of what follows
            good = is_literal(found, text)
            begin = places + len(text)
            if depth == len(shape.slots):
                good &= begin == self.batch.ends[rows]
            if not all_true(good):
                left.append(_Waiting(rows[~good], places[~good], shape, depth))
                rows, places, begin, found = rows[good], places[good], begin[good], found[good]
            if not len(rows) or depth == len(shape.slots):
                break
            two = word_in(found, len(text)), word_in(found, len(text) + 8)
            sizes, words = self._sizes(shape, depth, rows, begin, two)
            good = sizes >= 0
            if not all_true(good):
                left.append(_Waiting(rows[~good], places[~good], shape, depth))
                rows, begin, sizes = rows[good], begin[good], sizes[good]
                words = None if words is None else words[good]
            self._note(shape.slots[depth], rows, begin, sizes, words)
            places = begin + sizes
        if shape.is_usable:
            self.expected[rows] = shape.quotes
        return left

    def _sizes(
        self, shape: Shape, depth: int, rows: IntArray, begin: IntArray, two: tuple[Words, Words]
    ) -> tuple[IntArray, Words | None]:
        """Return the size of the value that begins at each place (-1: none of the slot's kind does), short ones too."""
        slot, after = shape.slots[depth], shape.literals[depth + 1]
        if slot.kind == BOOL:
            return flags(two[0]), None
        if slot.kind == NUMBER:
            return self._number_sizes(slot, begin, two, after[0]) if after else (np.full(len(rows), -1), None)
        if slot.size:
            is_end = self.data[np.minimum(begin + slot.size, len(self.data) - 1)] == _QUOTE
            return np.where(is_end, slot.size, -1), None
        if depth == len(shape.slots) - 1:
            return self.batch.ends[rows] - len(after) - begin, None
        first = int(begin[0])
        size = self.data[first : first + LONGEST].tobytes().find(b'"')
        if size < LONG:
            return distances(self.data, begin, _QUOTE, *two)
        good = equal(self.data, begin + size, after[:3])
        sizes = np.full(len(begin), size, np.int64)
        if not all_true(good):
            sizes[~good] = distances(self.data, begin[~good], _QUOTE, two[0][~good], two[1][~good])[0]
        return sizes, None

    def _number_sizes(
        self, slot: Slot, begin: IntArray, two: tuple[Words, Words], after: int
    ) -> tuple[IntArray, Words]:
        sizes, words = distances(self.data, begin, after, *two)
        first = words.view(np.uint8)[::8]
        good = ((first - np.uint8(48)) <= 9) | (first == _MINUS)
        if slot.path not in self.wanted:
            good &= is_number(self.data, begin, begin + np.where(good, sizes, 0))
        if not all_true(good):
            sizes[~good] = -1
        return sizes, words

    def _note(self, slot: Slot, rows: IntArray, begin: IntArray, sizes: IntArray, words: Words | None) -> None:
        """Keep the wanted values."""
        if slot.kind not in self.wanted.get(slot.path, ""):
            return
        key, count = (slot.path, slot.kind), len(self.batch)
        if len(rows) == count:
            self.places[key] = Place(begin, sizes, words)
            return
        if key not in self.places:
            room = None if words is None else np.empty(count, np.uint64)
            self.places[key] = Place(self.batch.starts.copy(), np.full(count, -1, np.int64), room)
        place = self.places[key]
        place.starts[rows] = begin
        place.sizes[rows] = sizes
        if words is None:
            place.words = None
        elif place.words is not None:
            place.words[rows] = words


def find(batch: Batch, wanted: Wanted, sized: frozenset[bytes]) -> Found:
    """Recognise the lines of a whole batch (:meth:`Batch.compact`) and say where the wanted values lie."""
    matcher = _Matcher(batch, wanted, sized)
    scan = _Scan(batch)
    matcher.run(np.flatnonzero(scan.plain))
    matcher.expected[scan.wrong(matcher.expected)] = 0
    is_known = matcher.expected > 0
    lines = np.flatnonzero(is_known)
    if len(lines) == len(batch):
        return Found(batch.data, lines, matcher.places)
    gone = np.flatnonzero(~is_known).tolist()
    if len(gone) > FEW_LINES:
        return Found(batch.data, lines, {key: place.of(is_known) for key, place in matcher.places.items()})
    return Found(batch.data, lines, {key: place.without(gone) for key, place in matcher.places.items()})


def _without(values: npt.NDArray[Any], rows: list[int]) -> npt.NDArray[Any]:
    for row in reversed(rows):
        values[row:-1] = values[row + 1 :]
        values = values[:-1]
    return values


def _is_utf8(data: Bytes) -> bool:
    offsets = pa.py_buffer(np.array([0, len(data)], np.int32))
    try:
        pa.Array.from_buffers(pa.string(), 1, [None, offsets, pa.py_buffer(np.ascontiguousarray(data))]).validate(
            full=True
        )
    except pa.ArrowInvalid:
        return False
    return True
