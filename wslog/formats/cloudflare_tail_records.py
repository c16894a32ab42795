"""Where the records of ``wrangler tail --format json`` begin and end.

Each object is printed with an indentation over many lines, or (piped through another tool) on one line. JSON strings
hold no raw line breaks, so the first character of a line tells its place: ``{`` alone opens a record, ``}`` alone
closes it, blanks continue it, and anything else is a record of one line, after which nothing is open.

The same rule cuts a stream into blocks and a block into records, and it looks only at the lines since the record
began, so the records do not depend on where blocks end.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from wslog.formats.contract import Batch, IntArray

MAX_RECORD_LINES = 4096
MAX_RECORD_BYTES = 1 << 20

OBJECT, FRAGMENT, SINGLE = "object", "fragment", "single"
_OPENS, _CLOSES, _CONTINUES, _ALONE = range(4)


class Record(NamedTuple):
    """Lines ``first`` to ``stop`` (excluded) of a batch.

    ``shape`` is object (opened by ``{``), fragment (lines of a record whose beginning is missing) or single (one
    line). ``ending`` is ``closed``, ``open`` (nothing more in the batch), ``broken`` (another record begins) or
    ``too_long``.
    """

    first: int
    stop: int
    shape: str
    ending: str


def records(batch: Batch) -> list[Record]:
    """Return the records of a batch, in order; every line is in exactly one."""
    kinds = _kinds(batch)
    marks = np.flatnonzero(kinds != _CONTINUES)
    found: list[Record] = []
    at, count = 0, len(batch)
    while at < count:
        kind = kinds[at]
        if kind == _ALONE:
            found.append(Record(at, at + 1, SINGLE, "closed"))
        elif kind == _CLOSES:
            found.append(Record(at, at + 1, FRAGMENT, "closed"))
        else:
            found.append(_bounded(batch, kinds, marks, at))
        at = found[-1].stop
    return found


def _bounded(batch: Batch, kinds: npt.NDArray[np.int8], marks: IntArray, first: int) -> Record:
    """Return the record of several lines that begins at line ``first``, at most as long as the limits allow."""
    shape = OBJECT if kinds[first] == _OPENS else FRAGMENT
    position = int(np.searchsorted(marks, first, side="right"))
    if position == len(marks):
        stop, ending = len(batch), "open"
    else:
        stop, ending = int(marks[position]), "broken"
        if kinds[stop] == _CLOSES:
            stop, ending = stop + 1, "closed"
    # lines that the caller took out count too (index and bytes, not positions): so do they when a stream is cut
    by_lines = int(np.searchsorted(batch.index, batch.index[first] + MAX_RECORD_LINES))
    by_bytes = int(np.searchsorted(batch.ends, batch.starts[first] + MAX_RECORD_BYTES, side="right"))
    limit = max(min(by_lines, by_bytes), first + 1)
    return Record(first, limit, shape, "too_long") if stop > limit else Record(first, stop, shape, ending)


def _kinds(batch: Batch) -> npt.NDArray[np.int8]:
    first = batch.data[np.minimum(batch.starts, max(len(batch.data) - 1, 0))] if len(batch) else np.empty(0, np.uint8)
    is_one = batch.ends - batch.starts == 1
    kinds = np.full(len(batch), _ALONE, np.int8)
    kinds[(first == ord("{")) & is_one] = _OPENS
    kinds[(first == ord("}")) & is_one] = _CLOSES
    kinds[(batch.ends == batch.starts) | (first == ord(" ")) | (first == ord("\t"))] = _CONTINUES
    if len(batch) and not batch.data.all():  # lines with NUL bytes never reach a reader: they end no record
        holes = np.flatnonzero(batch.data == 0)
        line = np.minimum(np.searchsorted(batch.ends, holes), max(len(batch) - 1, 0))
        kinds[line[(batch.starts[line] <= holes) & (holes < batch.ends[line])]] = _CONTINUES
    return kinds


def cut(data: npt.NDArray[np.uint8], is_last: bool) -> int:
    """Return the length of the longest prefix that ends with a whole record (see the contract)."""
    if is_last or not len(data):
        return len(data)
    lines = Batch.of(data)
    last = records(lines)[-1]
    if last.ending != "open":
        return len(data)
    return int(lines.starts[last.first])
