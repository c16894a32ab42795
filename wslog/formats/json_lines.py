"""Reading many JSON lines at once by their shape: every byte of a line is compared or checked, none is skipped.

Lines of one program come in few shapes: the same keys in the same order, with other values. A shape is learned from one
line that a strict parser (orjson) accepted; its values become slots (a string, a number, true or false), the rest
is literal text. Another line has that shape when its literals are equal byte for byte and its slots hold values of the
same kind, and is then JSON too, since a JSON value may stand in for another of its kind. Where the slots lie follows
from the positions of the quotes, which one scan finds: no backslash and no control character is in the lines judged
here, so a quote always begins or ends a string.

Lines that do not fit (escapes, odd bytes, rare shapes, no JSON) are left to the caller's exact path.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt
import orjson
import pyarrow as pa

from wslog.formats.contract import Batch, BoolArray, IntArray
from wslog.formats.wslog_client_values import is_number

Bytes = npt.NDArray[np.uint8]
Path = tuple[bytes, ...]

STRING, NUMBER, BOOL, OBJECT, ARRAY, NULL = "s", "n", "b", "o", "a", "0"
MAX_SHAPES = 64
"""Shapes looked for in one batch; lines of further shapes are left to the exact path."""
FEW_LINES = 24
"""So few lines left are cheaper one by one than by their shape."""

_QUOTE, _BACKSLASH = 34, 92
_BLOCK = 1 << 17
_MEMBER = re.compile(rb'("[^"]*")(?:([ \t\r]*:[ \t\r]*)(?:("[^"]*")|(-?[0-9][-+.eE0-9]*)|(true|false))?)?')
_TOKEN = re.compile(rb'"[^"]*"|[{}\[\],\x02\x03]|null')


@dataclass(frozen=True)
class Slot:
    """A value of a shape: its keys, its kind, the quotes before it (its own first one too), its fixed size or 0."""

    path: Path
    kind: str
    quotes: int
    size: int


@dataclass(frozen=True)
class Shape:
    """``literals[0] slots[0] literals[1] ...``; ``is_usable`` is False where the exact path must decide."""

    literals: tuple[bytes, ...]
    slots: tuple[Slot, ...]
    is_usable: bool


Wanted = Mapping[Path, str]
"""Paths a format reads, each with the kinds (letters) its values may have; others are checked and left out."""


def skeleton(line: bytes, sized: frozenset[bytes]) -> bytes:
    """Replace the values of a JSON line by control characters, which JSON never holds; ``sized`` keys keep lengths."""

    def mark(found: re.Match[bytes]) -> bytes:
        key, colon, text, number, word = found.groups()
        if text is not None:
            return key + colon + b'"' + b"\x01" * (max(len(text) - 2, 1) if key[1:-1] in sized else 1) + b'"'
        if number is not None:
            return key + colon + b"\x02"
        return key + colon + b"\x03" if word is not None else found[0]

    return _MEMBER.sub(mark, line)


class _Walk:
    """The state of walking a skeleton: which key the next value belongs to, and what was found."""

    def __init__(self, wanted: Wanted) -> None:
        self.wanted = wanted
        self.stack: list[tuple[bytes, bool]] = []  # (key of the container, whether it is an object)
        self.key = b""
        self.is_key_next = False
        self.is_usable = True
        self.seen: set[Path] = set()

    def path(self) -> Path:
        if any(not is_object for _, is_object in self.stack):
            return (b"", b"[]")  # inside an array: never a wanted path
        return (*(key for key, _ in self.stack[1:]), self.key)

    def value(self, kind: str) -> Path:
        """Note a value of the present key; a wanted path twice, or with another kind, spoils the shape."""
        path = self.path()
        if self.stack and path in self.wanted:
            self.is_usable &= path not in self.seen and (kind == NULL or kind in self.wanted[path])
            self.seen.add(path)
        return path

    def punctuation(self, mark: bytes) -> None:
        if mark in b"{[":
            self.value(OBJECT if mark == b"{" else ARRAY)
            self.stack.append((self.key, mark == b"{"))
            self.is_key_next = mark == b"{"
        elif mark in b"}]":
            self.stack.pop()
            self.is_key_next = False
        else:
            self.is_key_next = self.stack[-1][1]


@lru_cache(maxsize=4096)
def shape_of(text: bytes, wanted: frozenset[tuple[Path, str]]) -> Shape:
    """Make the shape of a skeleton (kept: logs repeat the same few)."""
    walk = _Walk(dict(wanted))
    literals: list[bytes] = []
    slots: list[Slot] = []
    begin, quotes = 0, 0
    for found in _TOKEN.finditer(text):
        token = found[0]
        kind = STRING if token[:2] == b'"\x01' else NUMBER if token == b"\x02" else BOOL if token == b"\x03" else ""
        if kind:
            inset = 1 if kind == STRING else 0
            literals.append(text[begin : found.start() + inset])
            quotes += literals[-1].count(b'"')
            slots.append(Slot(walk.value(kind), kind, quotes, len(token) - 2 if len(token) > 3 else 0))
            begin = found.end() - inset
        elif token == b"null":
            walk.value(NULL)
        elif token[0] != _QUOTE:
            walk.punctuation(token)
        elif walk.is_key_next:
            walk.key, walk.is_key_next = token[1:-1], False
    literals.append(text[begin:])
    return Shape(tuple(literals), tuple(slots), walk.is_usable)


class Texts:
    """Where the lines and their quotes are in a buffer, and how to look at many places of it at once.

    Attributes
    ----------
    quotes : (q,) int32 array
        Positions of all quotes.
    first_quote, quote_counts : (k,) int64 arrays
        Of each line: how many quotes come before it, and how many it has.
    plain : (k,) bool array
        Lines without backslash, without control character before their end, and in valid UTF-8.
    """

    def __init__(self, batch: Batch) -> None:
        self.data, self.starts, self.ends = batch.data, batch.starts, batch.ends
        found, controls, has_backslash, largest = [], 0, False, 0
        is_it = np.empty(_BLOCK, bool)
        for i in range(0, len(self.data), _BLOCK):  # one look at the bytes while they are in the processor's cache
            block = self.data[i : i + _BLOCK]
            mask = is_it[: len(block)]
            found.append((np.flatnonzero(np.equal(block, _QUOTE, out=mask)) + i).astype(np.int32))
            controls += int(np.count_nonzero(np.less(block, 32, out=mask)))
            has_backslash = has_backslash or b"\\" in block.tobytes()
            largest = max(largest, int(block.max()))
        self.quotes: npt.NDArray[np.int32] = np.concatenate(found)
        self.first_quote: IntArray = np.searchsorted(self.quotes, self.starts.astype(np.int32))
        self.quote_counts: IntArray = np.diff(self.first_quote, append=len(self.quotes))
        self.plain = np.ones(len(batch), bool)
        if controls != len(self.data) - int((self.ends - self.starts).sum()):
            odd = np.flatnonzero(self.data < 32)
            line = self._line_of(odd)
            self.plain[line[odd < self.ends[line]]] = False
        if has_backslash:
            self.plain[self._line_of(np.flatnonzero(self.data == _BACKSLASH))] = False
        if largest >= 128 and not _is_utf8(self.data):
            for i in np.unique(self._line_of(np.flatnonzero(self.data >= 128))).tolist():
                self.plain[i] &= _is_utf8(self.data[self.starts[i] : self.ends[i]])

    def _line_of(self, places: IntArray) -> IntArray:
        return np.searchsorted(self.starts, places, "right") - 1

    def at(self, places: IntArray, size: int) -> npt.NDArray[Any]:
        """Return the ``size`` bytes at each place as one value; all must lie inside the buffer."""
        return windows(self.data, size)[places]

    def equal(self, places: IntArray, literal: bytes) -> BoolArray | None:
        """Compare the bytes at each place with a literal; None when all are equal (usual, and cheap)."""
        found = self.at(places, len(literal))
        if found.tobytes() == literal * len(places):
            return None
        return np.asarray(found == np.void(literal))


def windows(data: Bytes, size: int) -> npt.NDArray[Any]:
    """View a buffer as overlapping values of ``size`` bytes, one beginning at each byte."""
    return np.ndarray((len(data) - size + 1,), f"V{size}", data, 0, (1,))


class _Candidates:
    """Lines that may have a shape, narrowed as they are compared with it."""

    def __init__(self, texts: Texts, lines: IntArray) -> None:
        self.texts, self.lines = texts, lines
        self.place = texts.starts[lines]
        self.end = texts.ends[lines]
        self.quote = texts.first_quote[lines]
        self.bounds: list[IntArray] = []  # start and end of each slot so far

    def keep(self, good: BoolArray) -> None:
        if not good.all():
            self.lines, self.place, self.end, self.quote = (
                self.lines[good],
                self.place[good],
                self.end[good],
                self.quote[good],
            )
            self.bounds = [b[good] for b in self.bounds]

    def quote_at(self, number: int) -> IntArray:
        return self.texts.quotes[self.quote + number].astype(np.int64)

    def literal(self, text: bytes) -> None:
        """Keep the lines that go on with the literal; the caller made sure that it lies inside the line."""
        equal = self.texts.equal(self.place, text) if text and len(self.lines) else None
        if equal is not None:
            self.keep(equal)

    def string(self, slot: Slot, literal: bytes) -> None:
        self.keep(self.quote_at(slot.quotes - 1) == self.place + (len(literal) - 1))
        self.literal(literal)
        start, stop = self.place + len(literal), self.quote_at(slot.quotes)
        self.bounds += [start, stop]
        self.place = stop
        if slot.size:
            self.keep(stop - start == slot.size)

    def scalar(self, slot: Slot, literal: bytes, after: bytes) -> None:
        ahead = after.find(b'"')
        start = self.place + len(literal)
        stop = self.end - len(after) if ahead < 0 else self.quote_at(slot.quotes) - ahead
        good = stop > start
        self.bounds += [start, stop]
        self.keep(good)
        self.literal(literal)
        self.place = self.bounds[-1]
        if slot.kind == BOOL:
            self.keep(self._is_bool())

    def _is_bool(self) -> BoolArray:
        start, stop = self.bounds[-2:]
        size = stop - start
        tail = self.texts.at(stop - 4, 4)
        first = self.texts.data[start]
        is_true = (size == 4) & (tail == np.void(b"true"))
        return np.asarray(is_true | ((size == 5) & (first == 102) & (tail == np.void(b"alse"))))


def _compare(texts: Texts, lines: IntArray, shape: Shape, wanted: Wanted) -> _Candidates:
    """Narrow the lines to those that have the shape; wanted numbers are checked by the caller that reads them."""
    left = _Candidates(texts, lines)
    for i, slot in enumerate(shape.slots):
        if slot.kind == STRING:
            left.string(slot, shape.literals[i])
        else:
            left.scalar(slot, shape.literals[i], shape.literals[i + 1])
    last = shape.literals[-1]
    left.keep(left.end - left.place == len(last))
    left.literal(last)
    for i, slot in enumerate(shape.slots):
        if slot.kind == NUMBER and slot.path not in wanted and len(left.lines):
            left.keep(is_number(texts.data, left.bounds[2 * i], left.bounds[2 * i + 1]))
    return left


@dataclass
class Found:
    """The lines whose shape was recognised, and where their wanted values lie.

    Attributes
    ----------
    data : (n,) uint8 array
    lines : (k,) int64 array
        Positions of these lines in the batch, rising.
    bounds : dict of (path, kind) to two (k,) int64 arrays
        Start and length in ``data`` of each line's value; length -1 where it has none (or null). Starts never fall.
    """

    data: Bytes
    lines: IntArray
    bounds: dict[tuple[Path, str], tuple[IntArray, IntArray]]


def find(batch: Batch, wanted: Wanted, sized: frozenset[bytes]) -> Found:
    """Recognise the lines of a whole batch (:meth:`Batch.compact`) and say where the wanted values lie."""
    texts = Texts(batch)
    matched: list[tuple[Shape, _Candidates]] = []
    pool = np.flatnonzero(texts.plain & (texts.quote_counts % 2 == 0) & (texts.quote_counts > 0))
    pool = pool[np.argsort(texts.quote_counts[pool].astype(np.uint16), kind="stable")]
    counts = texts.quote_counts[pool]
    key = frozenset(wanted.items())
    is_free = np.ones(len(batch), bool)
    budget = MAX_SHAPES
    for group in np.split(pool, np.flatnonzero(np.diff(counts)) + 1):
        while len(group) and budget > 0 and (len(group) > FEW_LINES or len(pool) <= FEW_LINES):
            budget -= 1
            line = batch.line(int(group[0]))
            try:
                orjson.loads(line)
            except ValueError:
                group = group[1:]
                continue
            shape = shape_of(skeleton(line, sized), key)
            found = _compare(texts, group, shape, wanted)
            if shape.is_usable and len(found.lines):
                matched.append((shape, found))
            is_free[found.lines] = False
            group = group[1:][is_free[group[1:]]]
    return _gather(batch, matched, wanted)


def _gather(batch: Batch, matched: list[tuple[Shape, _Candidates]], wanted: Wanted) -> Found:
    """Bring the bounds that the shapes found into arrays over all recognised lines, in line order."""
    is_known = np.zeros(len(batch), bool)
    for _, found in matched:
        is_known[found.lines] = True
    row = np.cumsum(is_known) - 1
    lines = np.flatnonzero(is_known)
    bounds: dict[tuple[Path, str], tuple[IntArray, IntArray]] = {}
    for shape, found in matched:
        rows = row[found.lines]
        for i, slot in enumerate(shape.slots):
            if slot.path not in wanted:
                continue
            if (slot.path, slot.kind) not in bounds:
                bounds[slot.path, slot.kind] = (batch.starts[lines], np.full(len(lines), -1, np.int64))
            starts, sizes = bounds[slot.path, slot.kind]
            starts[rows] = found.bounds[2 * i]
            sizes[rows] = found.bounds[2 * i + 1] - found.bounds[2 * i]
    return Found(batch.data, lines, bounds)


def _is_utf8(data: Bytes) -> bool:
    offsets = pa.py_buffer(np.array([0, len(data)], np.int32))
    try:
        pa.Array.from_buffers(pa.string(), 1, [None, offsets, pa.py_buffer(np.ascontiguousarray(data))]).validate(
            full=True
        )
    except pa.ArrowInvalid:
        return False
    return True
