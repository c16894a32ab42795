"""Rows on their way into the lake: gathered by day, written as large Parquet files in the staging folder."""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable
from concurrent.futures import Executor, Future
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from wslog.formats.contract import mask_array
from wslog.intake.enrich import Origin, to_events
from wslog.lake import NO_DATE
from wslog.schema import COLUMNS, EVENT_COLUMNS, arrow_schema

_DAY_US = 86_400_000_000
_NO_DAY = np.iinfo(np.int64).min
_MAX_RUNS = 64
FLUSH_BYTES = 24 << 20
_PLAIN_INTEGERS = (
    "line_number",
    "byte_offset",
    "event_at",
    "attempt_number",
    "sent_bytes",
    "sent_count",
    "received_count",
)
_WORDS = [name for name in EVENT_COLUMNS if COLUMNS[name].type == "word"]
_OPTIONS: dict[str, Any] = {
    "compression": "zstd",
    "compression_level": 1,
    # zstd 1 after delta encoding: integers cost a quarter of dictionary encoding, words are coded already
    "use_dictionary": _WORDS,
    "column_encoding": dict.fromkeys(_PLAIN_INTEGERS, "DELTA_BINARY_PACKED"),
    "write_statistics": ["event_at", "line_number"],
    "row_group_size": 1 << 18,
}


class DayWriter:
    """Collect reader rows of one source, make them events and write them, a file for each day and flush.

    Parameters
    ----------
    staging : Path
        Where files are written; they are renamed at commit.
    pool : Executor
        Files are written there, one at a time, while parsing goes on.
    origin : Origin
    """

    def __init__(self, staging: Path, pool: Executor, origin: Origin) -> None:
        self._origin = origin
        self._staging = staging
        self._pool = pool
        self._days: dict[int | None, list[pa.Table]] = {}
        self._parts: dict[int | None, int] = {}
        self._bytes = 0
        self._writing: list[Future[tuple[Path, str, int, int]]] = []

    def add(self, rows: pa.Table) -> None:
        for day, table in _by_day(rows):
            self._days.setdefault(day, []).append(table)
        self._bytes += rows.nbytes
        if self._bytes >= FLUSH_BYTES:
            self.flush()

    def flush(self) -> None:
        for day, tables in self._days.items():
            part = self._parts.get(day, 0)
            self._parts[day] = part + 1
            for earlier in self._writing[-1:]:  # one file at a time: memory stays bounded
                earlier.result()
            self._writing.append(self._pool.submit(_write, self._staging, tables, self._origin, day_name(day), part))
        self._days, self._bytes = {}, 0

    def finish(self) -> list[tuple[Path, str, int, int]]:
        """Write what is left; return (staged path, day, part, rows) of every file."""
        self.flush()
        return [future.result() for future in self._writing]

    def discard(self) -> None:
        for future in self._writing:
            if future.exception() is None:
                future.result()[0].unlink(missing_ok=True)


def day_name(day: int | None) -> str:
    return NO_DATE if day is None else str(np.datetime64(day, "D"))


def _by_day(rows: pa.Table) -> list[tuple[int | None, pa.Table]]:
    """Cut rows into runs of one UTC day (None: no time); logs come nearly in time order, so the runs are few slices."""
    column = rows["event_at"].combine_chunks() if rows["event_at"].num_chunks != 1 else rows["event_at"].chunk(0)
    if column.null_count == len(column):
        return [(None, rows)] if len(column) else []
    days = np.asarray(column.cast(pa.int64()).fill_null(0)) // _DAY_US
    if column.null_count:
        days = np.where(np.asarray(column.is_null()), _NO_DAY, days)
    edges = [0, *(np.flatnonzero(np.diff(days)) + 1).tolist(), len(days)]
    if len(edges) <= _MAX_RUNS:
        cuts = [(int(days[i]), rows.slice(i, j - i)) for i, j in pairwise(edges)]
    else:
        cuts = [(int(day), rows.filter(mask_array(days == day))) for day in np.unique(days)]
    return [(None if day == _NO_DAY else day, part) for day, part in cuts]


def _write(staging: Path, tables: list[pa.Table], origin: Origin, day: str, part: int) -> tuple[Path, str, int, int]:
    table = to_events(pa.concat_tables(tables).unify_dictionaries(), origin)
    path = staging / f"{uuid.uuid4().hex}.parquet"
    write_parquet(path, lambda file: pq.write_table(table, file, **_OPTIONS))
    return path, day, part, table.num_rows


def write_rejects(staging: Path, source_id: str, spans: list[tuple[int, int, int, int, str, str]]) -> tuple[Path, int]:
    """Write the ``rejects`` rows of one source: (line_number, line_count, byte_offset, length_bytes, sha256, reason)."""
    names = ("line_number", "line_count", "byte_offset", "length_bytes", "sha256", "reason")
    columns: dict[str, list[Any]] = {
        name: list(values) for name, values in zip(names, zip(*spans, strict=True), strict=True)
    }
    columns["source_id"] = [source_id] * len(spans)
    schema = arrow_schema("rejects")
    arrays = [
        pa.array(columns[f.name], pa.string()).dictionary_encode().cast(f.type)
        if pa.types.is_dictionary(f.type)
        else pa.array(columns[f.name], f.type)
        for f in schema
    ]
    path = staging / f"{uuid.uuid4().hex}.parquet"
    table = pa.Table.from_arrays(arrays, schema=schema)
    write_parquet(path, lambda file: pq.write_table(table, file, compression="zstd"))
    return path, len(spans)


def write_parquet(path: Path, write: Callable[[Any], None]) -> None:
    """Write a fresh file and force it to the disk.

    The writer gets an open file, not a path: on an error pyarrow removes the path it was given.
    """
    with open(path, "xb") as file:
        write(file)
        file.flush()
        os.fsync(file.fileno())
