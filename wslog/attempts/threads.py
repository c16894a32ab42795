"""Which events belong together, and in what order: threads.

A thread is a session of one format; or, where a log names connections but no sessions, one connection of one file. In a thread
events are in order of time; those without a time keep their place by line. A line without session or connection is a thread by
itself, and so is a proxy's line, unless its log also has open lines: then ``connection_id`` joins open and close.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from wslog.attempts.reading import Bools, Events, Ints, codes, nulls, numbers, places, whole
from wslog.schema import COLUMNS, EFFECTIVE_TYPES, NETWORK_TYPES, SIDES, arrow_type

STEPS = ("attempt", "open", "error", "close")
"""Events that make an attempt, where they are about a WebSocket; numbered from 1."""
ATTEMPT, OPEN, ERROR, CLOSE = 1, 2, 3, 4
CLIENT, PROXY = SIDES.index("client") + 1, SIDES.index("proxy") + 1
RETRY, FALLBACK, POLL_OK, POLL_FAILED = 1, 2, 3, 4
"""Numbers of :attr:`Threads.mark`."""
NO_TIME = np.iinfo(np.int64).min
SOURCE_KEYS, LINE_KEYS = 10_000_000_000_000, 1000
"""row_key = place of the source by id * 1e13 + line * 1000 + event of the line."""
LIMIT = 1_000_000
"""Numbers of retries from here on are typing errors."""

SESSION, CONSOLE, CONNECTION, LINE = 0, 1, 2, 3
"""Kinds of threads: a session; a saved console, which is one session; a connection; a line by itself."""

KEYS = ("source_id", "line_number", "event_index", "event_at", "side", "format", "event", "transport", "session_id", "connection_id",
        "network_type", "effective_type", "error_class", "retry_number", "max_retries")  # fmt: skip
"""The columns of events that tell threads and attempts apart."""


@dataclass
class Threads:
    """The events of all threads, thread by thread, each in order.

    Every array has one value for each event; 0 means nothing is said, unless told otherwise.

    Parameters
    ----------
    rows : array
        Where the event is in a column of events.
    thread : array
        Number of its thread, from 0, not decreasing.
    begin : array
        Where its thread begins in these arrays.
    row_key, us : array
        Its place in the files; its time in microseconds, or :data:`NO_TIME`.
    step, mark, network, effective : array
        Place in :data:`STEPS`; RETRY, FALLBACK, POLL_OK, POLL_FAILED; place in the closed lists of network and latency classes.
    session, connection : array
        Places in the lists of sessions and of connections; -1 for none.
    is_proxy, kind : array
        A proxy's line; the kind of thread.
    said_retry, said_max : array
        Number of the announced retry and of the retries allowed, plus one.
    """

    rows: Ints
    thread: Ints
    begin: Ints
    row_key: Ints
    us: Ints
    step: Ints
    mark: Ints
    network: Ints
    effective: Ints
    session: Ints
    connection: Ints
    is_proxy: Bools
    kind: Ints
    said_retry: Ints
    said_max: Ints

    def own_connection(self) -> Ints:
        """Return the connection of steps, where it tells attempts of a session apart: not in a proxy's log; else -1."""
        return np.where((self.step > 0) & (self.kind <= CONSOLE) & ~self.is_proxy, self.connection, -1)


@dataclass
class Keys:
    """The keys of all events as read, before they are in order: see :class:`Threads` for the columns.

    Parameters
    ----------
    columns : dict of str to array
        Those of :class:`Threads` that a single event tells; ``row_key``, ``us``, ``step``, ...
    key, order_us : array
        Number of the thread, in no particular order; time, filled in.
    inside : array
        Rows that belong to threads, those of one thread in one bucket of :attr:`bucket_ends`.
    bucket_ends : array
    sessions, connections : pyarrow.Array
        The lists of texts.
    """

    columns: dict[str, Ints]
    key: Ints
    order_us: Ints
    inside: Ints
    bucket_ends: Ints
    sessions: pa.Array
    connections: pa.Array

    def blocks(self) -> Iterator[Threads]:
        """Return whole threads, in order."""
        begin = 0
        for end in self.bucket_ends.tolist():
            rows = self.inside[begin:end]
            yield self._sorted(rows)
            begin = end

    def _sorted(self, rows: Ints) -> Threads:
        key, row_key = self.key[rows], self.columns["row_key"][rows]
        order = _ordered(key, self.order_us[rows], row_key)
        is_begin = np.diff(key[order], prepend=-1) != 0
        rows = rows[order]
        return Threads(
            rows=rows, thread=np.cumsum(is_begin) - 1, begin=np.maximum.accumulate(np.where(is_begin, np.arange(len(rows)), 0)),
            **{name: values[rows] for name, values in self.columns.items()},
        )  # fmt: skip


def read_keys(events: Events, origins: pa.Table, at_once: int) -> Keys:
    """Read what tells threads apart, of all events; blocks of threads will have about ``at_once`` events."""
    facts = origins.sort_by("source_rank")
    columns = {
        name: np.empty(events.count(), values.dtype)
        for name, values in _compact(_EMPTY, facts).items()
        if name not in _TEXTS
    }
    coded: dict[str, list[pa.Array]] = {name: [] for name in _TEXTS}
    begin = 0
    for table in events.batches(KEYS):
        part = _compact(table, facts)
        for name, values in part.items():
            if name in _TEXTS:
                coded[name].append(values)
            else:
                columns[name][begin : begin + len(table)] = values
        begin += len(table)
    texts = {name: codes(pa.chunked_array(coded.pop(name), _CODED)) for name in _TEXTS}
    source, kind = columns.pop("source"), columns["kind"]
    order_us = _order_us(columns["us"], columns["row_key"], source, facts)
    key = _keys(kind, source, *(texts[name] for name in _TEXTS))
    columns |= {"session": texts["session_id"][0], "connection": texts["connection_id"][0]}
    inside = np.flatnonzero((kind != LINE) | (columns["step"] > ATTEMPT))
    # about as many events in each bucket, by a sample; rows of a bucket are near each other, as the files come
    buckets = min(1 + len(inside) // at_once, 1 << 15)
    sample = np.sort(key[inside[:: max(1, len(inside) >> 16)]])
    edges = sample[np.arange(1, buckets) * len(sample) // buckets]
    bucket = np.searchsorted(edges, key[inside], "right").astype(np.uint16)
    ends = np.cumsum(np.bincount(bucket, minlength=buckets))
    inside = inside[np.argsort(bucket, kind="stable")]
    return Keys(columns, key, order_us, inside, ends, texts["session_id"][1], texts["connection_id"][1])


_Coded = tuple[Ints, pa.Array]
_TEXTS = ("session_id", "connection_id", "format")
_CODED = pa.dictionary(pa.int32(), pa.string())
_EMPTY = pa.table({name: pa.array([], arrow_type(COLUMNS[name].type)) for name in KEYS})


def _compact(table: pa.Table, facts: pa.Table) -> dict[str, Any]:
    """Return the keys of some rows as narrow numbers, texts as dictionaries of these rows."""
    source = _ranks(table["source_id"], facts["source_id"])
    row_key = source * SOURCE_KEYS
    row_key += numbers(table["line_number"], 0) * LINE_KEYS
    row_key += numbers(table["event_index"], 0)
    side = places(table["side"], SIDES)
    step = places(table["event"], STEPS)
    step[(places(table["transport"], ("websocket",)) == 0) & ~nulls(table["transport"])] = 0
    kind = np.full(len(step), LINE, np.int8)
    kind[~nulls(table["connection_id"]) & ((side != PROXY) | (_fact(facts, "begin_count") > 0)[source])] = CONNECTION
    kind[(side == CLIENT) & (_fact(facts, "session_id_count") == 0)[source]] = CONSOLE
    kind[~nulls(table["session_id"])] = SESSION
    event = places(table["event"], ("retry", "fallback", "poll"))
    retry, most = numbers(table["retry_number"], -1), numbers(table["max_retries"], -1)
    return {
        "source": source.astype(np.int32), "row_key": row_key, "us": numbers(table["event_at"], NO_TIME), "step": step, "kind": kind,
        "is_proxy": side == PROXY, "mark": event + ((event == POLL_OK) & ~nulls(table["error_class"])),
        "network": places(table["network_type"], NETWORK_TYPES), "effective": places(table["effective_type"], EFFECTIVE_TYPES),
        "said_retry": np.where((event == RETRY) & (retry >= 0) & (retry < LIMIT), retry + 1, 0),
        "said_max": np.where((most >= 0) & (most < LIMIT), most + 1, 0),
        **{name: whole(table[name] if name == "format" else table[name].dictionary_encode()) for name in _TEXTS},
    }  # fmt: skip


def _ranks(column: pa.ChunkedArray, known: pa.ChunkedArray) -> Ints:
    """Return the place of each row's source among the sources by id, from 1."""
    coded = whole(column)
    place = {source: rank for rank, source in enumerate(known.to_pylist(), 1)}
    table = np.array([place[source] for source in coded.dictionary.to_pylist()], np.int64)
    found: Ints = table[np.asarray(coded.indices)]
    return found


def _fact(facts: pa.Table, name: str) -> Ints:
    return np.append(0, facts[name].to_numpy())


def _keys(kind: Ints, source: Ints, session: _Coded, connection: _Coded, home: _Coded) -> Ints:
    """Return a number for each thread: kinds after one another."""
    sources, homes = int(source.max(initial=0)) + 1, len(home[1])
    key = session[0] * np.int64(homes) + home[0]
    console = np.flatnonzero(kind == CONSOLE)
    key[console] = (len(session[1]) + source[console].astype(np.int64)) * homes + home[0][console]
    below = (len(session[1]) + sources) * homes
    named = np.flatnonzero(kind == CONNECTION)
    key[named] = below + connection[0][named].astype(np.int64) * sources + source[named]
    below += len(connection[1]) * sources
    lines = np.flatnonzero(kind == LINE)
    key[lines] = below + np.arange(len(lines))
    return key


def _order_us(us: Ints, row_key: Ints, source: Ints, facts: pa.Table) -> Ints:
    """Return times, where one is missing in a log that has times the latest before it in the file."""
    timed = _fact(facts, "timed_count")
    is_mixed = (timed > 0) & (timed < _fact(facts, "event_count"))
    if not is_mixed.any():
        return us
    found = us.copy()
    for rank in np.flatnonzero(is_mixed):
        rows = np.flatnonzero(source == rank)
        rows = rows[np.argsort(row_key[rows], kind="stable")]
        told = us[rows]
        found[rows] = np.where(told == NO_TIME, np.maximum.accumulate(told), told)
    return found


def _ordered(key: Ints, order_us: Ints, row_key: Ints) -> Ints:
    """Return the order by key, time and place; logs come nearly in order of place and of time, which a stable sort likes."""
    order = np.argsort(row_key, kind="stable")
    order = order[np.argsort(order_us[order], kind="stable")]
    # 16 bits at a time is a radix sort
    for shift in range(0, int(key.max(initial=0)).bit_length(), 16):
        digits = (key[order] >> shift & 0xFFFF).astype(np.uint16)
        order = order[np.argsort(digits, kind="stable")]
    return order
