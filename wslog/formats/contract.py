"""The contract of a log format: how bytes become events.

A format is one module with one :class:`Format` value, one folder of golden cases and one line in
:mod:`wslog.formats.registry`. Its reader is pure (bytes and options in; rows out; no I/O, no clock) and has two paths:

* ``exact`` reads lines one by one and is the definition of the format;
* ``fast`` reads a whole :class:`Batch` in a few vectorised calls and says which lines it would not judge.

:func:`parse` joins the two: the doubtful lines, and only those, go to ``exact``. Both paths must give the same rows
for every line; ``tests/formats/test_conformance.py`` holds every registered format to it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import Enum
from functools import cache
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from wslog.formats.batch import Batch as Batch
from wslog.formats.batch import BoolArray as BoolArray
from wslog.formats.batch import IntArray as IntArray
from wslog.schema import COLUMNS, EVENT_COLUMNS, RAW_COLUMNS, arrow_type

MAX_LINE_BYTES = 1 << 20
"""Longer lines are rejected (``line_too_long``) without being held in memory."""

_FILLED_BY_INGEST = {
    "side",
    "format",
    "source_id",
    "line_number",
    "byte_offset",
    "client_id",
    "client_prefix",
    "client_address",
}
DEFAULT_WS_PATH = r"^/(?:.*/)?(?:ws|wss|websocket|sockjs|cable|socket|hub|signalr|connect|stream|channels|live)(?:/|$)|^/hubs/|^/socket\.io(?:/|$)"
"""Paths taken for WebSocket endpoints unless ``--ws-path`` names others (server_formats: the usual ones)."""


class Stamp(Enum):
    """What moment a line's time describes."""

    START = "start"
    END = "end"
    EVENT = "event"


@dataclass(frozen=True)
class Clock:
    """How a format tells time: declared, never assumed.

    Parameters
    ----------
    stamp : Stamp
        Whether the printed time is the START or END of what a whole-connection line describes, or the EVENT itself.
    zone : str
        ``in_line`` (an offset or epoch), ``utc``, ``option`` (local time without zone: ``--tz``) or ``none``.
    resolution_s : float
        Smallest step of the printed time.
    """

    stamp: Stamp
    zone: str
    resolution_s: float


@dataclass(frozen=True)
class Options:
    """Reading options, as the user gave them; each format uses those it needs.

    Attributes
    ----------
    log_format : str or None
        An nginx ``log_format`` string.
    nginx_conf : str or None
        Text of an nginx configuration that holds ``log_format`` directives.
    ws_path : str or None
        Linear-time regular expression (RE2): which request paths are WebSocket endpoints.
    tz : str or None
        IANA zone of times that carry none; None means UTC is assumed, and said so.
    """

    log_format: str | None = None
    nginx_conf: str | None = None
    ws_path: str | None = None
    tz: str | None = None

    @property
    def ws_path_pattern(self) -> str:
        return DEFAULT_WS_PATH if self.ws_path is None else self.ws_path


@dataclass(frozen=True, order=True)
class Reject:
    """A span of ``line_count`` lines from ``index`` that cannot be read, and the word that says why."""

    index: int
    line_count: int
    reason: str


@dataclass
class Parsed:
    """What a batch said.

    Attributes
    ----------
    events : pyarrow.Table or None
        Rows with ``line_index`` (int64, label of the line), ``event_index`` and any of the event and raw columns
        (:data:`ROW_COLUMNS`); missing columns are null. Rows are in line order.
    rejects : list of Reject
    ignored : dict
        Lines left out on purpose, counted by reason word.
    event_lines : int
        Lines that became events; with ``rejects`` and ``ignored`` it adds up to the lines of the batch, exactly.
    observed : (int, int) or None
        Earliest and latest time the lines carry, microseconds since 1970 UTC, ignored lines included.
    """

    events: pa.Table | None = None
    rejects: list[Reject] = field(default_factory=list)
    ignored: dict[str, int] = field(default_factory=dict)
    event_lines: int = 0
    observed: tuple[int, int] | None = None

    @property
    def line_count(self) -> int:
        return self.event_lines + sum(r.line_count for r in self.rejects) + sum(self.ignored.values())


@dataclass(frozen=True)
class Line:
    """What the exact path found in one line (or one multi-line record of ``line_count`` lines).

    Give ``rows`` (a list of dicts of event and raw columns) or ``ignored`` or ``rejected`` (a reason word).
    ``times`` are the microsecond times the line carries, for the observation window.
    """

    rows: tuple[Mapping[str, Any], ...] = ()
    ignored: str = ""
    rejected: str = ""
    times: tuple[int, ...] = ()
    line_count: int = 1


class Reader(Protocol):
    """A format made ready for one source: options are compiled, nothing else is kept."""

    def fast(self, batch: Batch) -> tuple[Parsed, BoolArray]:
        """Read the batch column-wise; the mask is True for lines it does not judge (left to ``exact``)."""
        ...

    def exact(self, batch: Batch) -> Parsed:
        """Read the batch line by line: the definition."""
        ...


class LineReader:
    """Base of readers that are defined by one function per line; override ``fast`` to make them quick."""

    def line(self, text: bytes) -> Line:
        raise NotImplementedError

    def exact(self, batch: Batch) -> Parsed:
        return collect((index, self.line(text)) for index, text in batch.lines())

    def fast(self, batch: Batch) -> tuple[Parsed, BoolArray]:
        return Parsed(), np.ones(len(batch), bool)


@dataclass(frozen=True)
class Sample:
    """A log excerpt that belongs to the format, and what it must become.

    Parameters
    ----------
    kind : str
        The line kind it shows; every kind the format knows has a sample.
    text : str
        One line, or a whole multi-line record.
    rows : tuple of dict
        Expected events: each column named must have the value given; columns not named are not checked.
        Empty when the line is ignored.
    """

    kind: str
    text: str
    rows: tuple[Mapping[str, Any], ...] = ()
    options: Options = Options()


@dataclass(frozen=True)
class Format:
    """A log format.

    Parameters
    ----------
    name : str
        ``<product>_<log>``; stored on every row, never renamed.
    version : int
        Raised when the same bytes would give other rows; a source read by an older version is read again.
    side : str
        Who writes this log: client, server or proxy.
    title, source : str
        What it is in a few words; the page and version that define it.
    clock : Clock
    needles : tuple of bytes
        Cheap screen: at least one must occur in the head of the file; empty means no screen.
    claims : callable
        ``(head, options) -> str``: why the head (its first lines) is this format, or ``""`` when it is not. Must be
        empty for every other format's samples.
    reader : callable
        ``(options, head) -> Reader``.
    samples : tuple of Sample
    cut : callable or None
        For records of several lines: ``(data, is_last) -> int``, the length of the longest prefix of ``data`` that
        ends with a whole record (0: none yet). None: every line is a record.
    uses : tuple of str
        Names of the reading options the format looks at.
    """

    name: str
    version: int
    side: str
    title: str
    source: str
    clock: Clock
    needles: tuple[bytes, ...]
    claims: Callable[[Batch, Options], str]
    reader: Callable[[Options, Batch], Reader]
    samples: tuple[Sample, ...]
    cut: Callable[[npt.NDArray[np.uint8], bool], int] | None = None
    uses: tuple[str, ...] = ()


# --- rows ----------------------------------------------------------------------------------------------

ROW_COLUMNS: dict[str, str] = (
    {"line_index": "int64"}
    | {name: COLUMNS[name].type for name in EVENT_COLUMNS if name not in _FILLED_BY_INGEST}
    | RAW_COLUMNS
)
"""Columns a reader may give, with their registry types; all but ``line_index`` may be left out."""

DEFAULTS: dict[str, Any] = {"event_index": 0, "sample_weight": 1.0}


@cache
def row_schema() -> pa.Schema:
    """Return the Arrow schema of a reader's rows."""
    return pa.schema([(name, arrow_type(kind)) for name, kind in ROW_COLUMNS.items()])


def make_rows(columns: Mapping[str, Any], count: int) -> pa.Table:
    """Bring columns to :func:`row_schema`: plain text is dictionary-encoded, what is missing becomes null.

    Parameters
    ----------
    columns : mapping of str to pyarrow.Array, or to a scalar that holds for all rows
    count : int
        Number of rows.

    Raises
    ------
    KeyError
        For a column that no format may give.
    """
    unknown = set(columns) - set(ROW_COLUMNS)
    if unknown:
        raise KeyError(f"not columns of a reader's rows: {sorted(unknown)}")
    arrays = []
    for entry in row_schema():
        value = columns.get(entry.name, DEFAULTS.get(entry.name))
        arrays.append(_as_type(value, entry.type, count))
    return pa.Table.from_arrays(arrays, schema=row_schema())


def _as_type(value: Any, kind: pa.DataType, count: int) -> pa.Array:
    if value is None:
        return pa.nulls(count, kind)
    if isinstance(value, pa.ChunkedArray):
        value = value.combine_chunks()
    if not isinstance(value, pa.Array):
        return constant(value, kind, count)
    if value.type == kind:
        return value
    if pa.types.is_dictionary(kind) and not pa.types.is_dictionary(value.type):
        value = value.dictionary_encode()
    return value.cast(kind)


def constant(value: Any, kind: pa.DataType, count: int) -> pa.Array:
    """Return ``count`` times the same value (a dictionary array holds it once)."""
    if pa.types.is_dictionary(kind):
        zeros = pa.Array.from_buffers(pa.int32(), count, [None, pa.py_buffer(np.zeros(count, np.int32))])
        return pa.DictionaryArray.from_arrays(zeros, pa.array([value], pa.string()))
    return pa.repeat(pa.scalar(value, kind), count)


def collect(lines: Iterator[tuple[int, Line]]) -> Parsed:
    """Gather what the exact path found into a :class:`Parsed`."""
    out = Parsed()
    rows: dict[str, list[Any]] = {name: [] for name in ROW_COLUMNS}
    low: int | None = None
    high: int | None = None
    for index, line in lines:
        for time in line.times:
            low = time if low is None else min(low, time)
            high = time if high is None else max(high, time)
        if line.rejected:
            out.rejects.append(Reject(index, line.line_count, line.rejected))
        elif not line.rows:
            reason = line.ignored or "no_event"
            out.ignored[reason] = out.ignored.get(reason, 0) + line.line_count
        else:
            out.event_lines += line.line_count
            for position, row in enumerate(line.rows):
                for name, values in rows.items():
                    values.append(row.get(name, DEFAULTS.get(name)))
                rows["line_index"][-1] = index
                rows["event_index"][-1] = position
    if low is not None and high is not None:
        out.observed = (low, high)
    if rows["line_index"]:
        out.events = make_rows({n: _plain_array(v, ROW_COLUMNS[n]) for n, v in rows.items()}, len(rows["line_index"]))
    return out


def _plain_array(values: list[Any], kind: str) -> pa.Array:
    plain = pa.string() if kind == "word" else pa.int64() if kind == "instant" else arrow_type(kind)
    return pa.array(values, plain)


def parse(reader: Reader, batch: Batch) -> Parsed:
    """Read a batch: ``fast`` first, ``exact`` for the lines it would not judge; rows come in line order."""
    parsed, doubt = reader.fast(batch)
    if not doubt.any():
        return parsed
    return merge(parsed, reader.exact(batch.select(doubt)))


def merge(one: Parsed, two: Parsed) -> Parsed:
    """Join what was found in two disjoint sets of lines of one block."""
    events = one.events if two.events is None else two.events
    if one.events is not None and two.events is not None:
        both = pa.concat_tables([one.events, two.events]).unify_dictionaries()
        order = np.argsort(both["line_index"].to_numpy(), kind="stable")
        events = both.take(pa.Array.from_buffers(pa.int64(), len(order), [None, pa.py_buffer(order)]))
    windows = [w for w in (one.observed, two.observed) if w]
    return Parsed(
        events,
        sorted(one.rejects + two.rejects),
        {k: one.ignored.get(k, 0) + two.ignored.get(k, 0) for k in {**one.ignored, **two.ignored}},
        one.event_lines + two.event_lines,
        (min(w[0] for w in windows), max(w[1] for w in windows)) if windows else None,
    )


# --- small helpers that formats share ---------------------------------------------------------------------


def mask_array(mask: BoolArray) -> pa.BooleanArray:
    """Return a numpy mask as an Arrow boolean array (bit-packed)."""
    bits = np.packbits(mask, bitorder="little")
    return pa.Array.from_buffers(pa.bool_(), len(mask), [None, pa.py_buffer(bits)])


def int64_array(values: IntArray) -> pa.Array:
    """Wrap an int64 numpy array as an Arrow array without a copy."""
    return pa.Array.from_buffers(pa.int64(), len(values), [None, pa.py_buffer(np.ascontiguousarray(values, np.int64))])
