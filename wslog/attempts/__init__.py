"""Connection attempts from events, as columns.

A session is a sequence, and putting one together is what SQL does worst: in windows, groups and joins the same work took three
times as long. So this one step is numpy over columns: :mod:`wslog.attempts.threads` puts the events in order,
:mod:`wslog.attempts.islands` says which make one attempt, :mod:`wslog.attempts.columns` what its steps say, and
:mod:`wslog.attempts.spans` what happened around them. How an attempt went is decided on these columns by the rules of
:mod:`wslog.outcomes` in ``sql/verdicts.sql``; that and all later steps are SQL. :func:`gather` needs no engine and no lake: on a
cluster, run it on each partition that holds whole sessions (and whole files, of those where only some lines have a time).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from wslog.attempts.columns import Steps, client_numbers, optional, worded
from wslog.attempts.islands import number_attempts
from wslog.attempts.reading import Events, FileEvents, Ints, TableEvents, places, whole
from wslog.attempts.spans import describe_spans
from wslog.attempts.threads import ATTEMPT, CLOSE, CONSOLE, ERROR, NO_TIME, OPEN, SESSION, Keys, Threads, read_keys
from wslog.schema import CLOSE_CODE_SOURCES, ENDED_BY, ERROR_CLASSES, SIDES

__all__ = ["Events", "FileEvents", "TableEvents", "gather"]

_INSTANT = pa.timestamp("us", tz="UTC")
_AT = {"attempt_at": ATTEMPT, "open_at": OPEN, "error_at": ERROR, "close_at": CLOSE}
_FIRST = ("request_id", "url_scheme", "url_host", "url_path", "close_code", "close_reason", "error_text", "network_class",
          "as_org", "browser", "browser_version", "os", "client_id", "client_prefix")  # fmt: skip
_LARGEST = ("attempt_number", "handshake_ms", "lifetime_s", "http_status", "asn", "sample_weight", "sent_count", "received_count",
            "sent_bytes", "buffered_bytes", "longest_inbound_silence_ms")  # fmt: skip
_READ = (*_FIRST, *_LARGEST, "side", "format", "source_id", "close_code_source", "was_clean", "ended_by", "error_class",
         "rtt_ms", "retry_number")  # fmt: skip
_CLIENT = ("browser", "browser_version", "os")
AT_ONCE = 1_000_000
"""Events whose columns are put together at a time: what bounds memory."""


def gather(events: Events, origins: pa.Table, at_once: int = AT_ONCE) -> Iterator[pa.Table]:
    """Gather the events of each connection attempt.

    Parameters
    ----------
    events : Events
    origins : pyarrow.Table
        What whole files tell of their rows: the columns of ``sql/origins.sql``.
    at_once : int
        About so many events make one table.

    Yields
    ------
    pyarrow.Table
        One row per connection attempt, as one side saw it: the columns that ``sql/verdicts.sql`` and ``sql/attempt_rows.sql``
        read. Of networks there are words and their places in the closed list, from 1; client_number tells clients apart on every
        machine. Of columns that several events may fill, numbers are the largest and texts the first, in order of time; null where
        no event of the attempt says anything.

    Raises
    ------
    LakeDamagedError
    """
    keys = read_keys(events, origins, at_once)
    labels = dict(zip(*(origins[name].to_pylist() for name in ("source_id", "source_label")), strict=True))
    for block in keys.blocks():
        at, attempt = number_attempts(block)
        steps = Steps(block.rows[at], attempt, int(attempt[-1]) + 1 if len(attempt) else 0)
        columns = describe_spans(block, at, steps) | _times(block, at, steps) | _ids(keys, block, at, steps)
        table, steps.rows = _taken(events, _READ, steps.rows)
        columns |= {name: steps.first_said(table[name]) for name in _FIRST}
        columns |= {name: steps.largest(table[name]) for name in _LARGEST}
        columns["client_number"] = client_numbers(columns["client_id"])
        columns |= _who(table, steps, columns, labels) | _end(table, steps, columns.pop("carried_retry"))
        yield pa.table(columns | _clients(events, block, at[steps.first_at], columns))


def _taken(events: Events, names: Sequence[str], rows: Ints) -> tuple[pa.Table, Ints]:
    """Return rows in any order, and where each is in what is returned."""
    ascending = np.sort(rows)
    table, place = events.take(names, ascending)
    if not len(rows):
        return table, rows
    lowest = ascending[0]
    lookup = np.empty(ascending[-1] - lowest + 1, np.int64)
    lookup[ascending - lowest] = place
    return table, lookup[rows - lowest]


def _times(found: Threads, at: Ints, steps: Steps) -> dict[str, pa.Array]:
    step, us = found.step[at], found.us[at]
    columns = {
        name: optional(steps.extreme(np.minimum, np.where(step == number, us, NO_TIME), NO_TIME), NO_TIME, _INSTANT)
        for name, number in _AT.items()
    }
    bits = np.left_shift(np.int8(1), step - np.int8(1))
    columns["step_bits"] = pa.array(np.bitwise_or.reduceat(bits, steps.first_at) if steps.count else bits)
    return columns


def _ids(keys: Keys, found: Threads, at: Ints, steps: Steps) -> dict[str, pa.Array]:
    first = at[steps.first_at]
    kind, session = found.kind[first], found.session[first]
    connection = steps.edge(found.connection[at], -1)
    return {
        "place": pa.array(np.arange(steps.count)),
        "first_row_key": pa.array(found.row_key[first]),
        "is_console": pa.array(kind == CONSOLE),
        "has_session_id": pa.array(kind == SESSION),
        "session_key": keys.sessions.take(pa.array(session, mask=session < 0)),
        "connection_id": keys.connections.take(pa.array(connection, mask=connection < 0)),
    }


def _who(
    table: pa.Table, steps: Steps, columns: dict[str, pa.Array], labels: dict[str, str | None]
) -> dict[str, pa.Array]:
    """Return who logged the attempt; a saved console is a session named by its file."""
    first = pa.array(steps.rows[steps.first_at])
    source, is_console = whole(table["source_id"]).take(first), columns.pop("is_console")
    label = pa.array([labels[name] for name in source.dictionary.to_pylist()], pa.string())
    if pc.any(is_console).as_py():
        columns["session_key"] = pc.if_else(is_console, source.cast(pa.string()), columns["session_key"])
    return {
        "side": worded(places(table["side"], SIDES)[first], SIDES),
        "format": whole(table["format"]).take(first),
        "source_id": source,
        "source_label": label.take(source.indices).dictionary_encode(),
    }


def _end(table: pa.Table, steps: Steps, carried_retry: pa.Array) -> dict[str, pa.Array]:
    code = table["close_code"]
    source = places(table["close_code_source"], CLOSE_CODE_SOURCES)[steps.rows]
    has_code = np.asarray(code.is_valid())[steps.rows]
    with_code = steps.edge(np.where(has_code, source, np.int8(0)), 0)
    error = places(table["error_class"], ERROR_CLASSES)[steps.rows]
    page, unknown = ERROR_CLASSES.index("aborted_by_page") + 1, ERROR_CLASSES.index("unknown") + 1
    by_page = steps.extreme(np.maximum, np.where(error == page, error, np.int8(0)), 0)
    known = steps.edge(np.where((error == page) | (error == unknown), np.int8(0), error), 0)
    ended = places(table["ended_by"], ENDED_BY[:-1])[steps.rows]  # the last one is unknown
    return {
        # a source that comes with a code wins over one without
        "close_code_source": worded(
            np.where(with_code > 0, with_code, steps.extreme(np.minimum, source, 0)), CLOSE_CODE_SOURCES
        ),
        "was_clean": steps.least_true(table["was_clean"]),
        "ended_by": worded(steps.edge(ended, 0), ENDED_BY),
        # the page's own doing wins, then the first class that is not unknown
        "error_class": worded(
            np.where(by_page > 0, by_page, np.where(known > 0, known, steps.extreme(np.maximum, error, 0))),
            ERROR_CLASSES,
        ),
        "rtt_ms": steps.last_said(table["rtt_ms"]),
        "retry_number": pc.coalesce(steps.largest(table["retry_number"]), carried_retry),
    }


def _clients(events: Events, found: Threads, first: Ints, columns: dict[str, pa.Array]) -> dict[str, pa.Array]:
    """Return the columns of the user agent, filled: a page or app run has one browser, so one event tells it for all."""
    is_session, thread = found.kind[first] <= CONSOLE, found.thread[first]
    lacking = {name: is_session & columns[name].is_null().to_numpy(zero_copy_only=False) for name in _CLIENT}
    wanted = np.zeros(int(found.thread.max(initial=-1)) + 1, bool)
    for mask in lacking.values():
        wanted[thread[mask]] = True
    inside = np.flatnonzero(wanted[found.thread])
    if not len(inside):
        return {}
    number = np.cumsum(wanted) - 1
    table, rows = _taken(events, _CLIENT, found.rows[inside])
    steps = Steps(rows, number[found.thread[inside]], int(number[-1]) + 1)
    return {
        name: pc.coalesce(columns[name], steps.first_said(table[name]).take(pa.array(number[thread], mask=~mask)))
        for name, mask in lacking.items()
    }
