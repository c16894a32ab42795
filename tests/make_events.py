"""Tiny lakes from dict rows: the events that tests reason about, written as the Parquet files an engine reads."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from wslog.engine import Engine
from wslog.schema import arrow_schema

START = datetime(2026, 11, 16, 10, 0, tzinfo=UTC)
"""A Monday, in ISO week 2026-W47."""

DEFAULTS: dict[str, Any] = {
    "side": "client",
    "format": "wslog_client",
    "source_id": "log",
    "session_id": "s",
    "event_index": 0,
    "byte_offset": 0,
    "sample_weight": 1.0,
}


def at(seconds: float) -> datetime:
    """Return the instant ``seconds`` after :data:`START`."""
    return START + timedelta(microseconds=round(seconds * 1e6))


def rows_of(rows: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Fill in defaults: ``s`` (seconds after START) becomes ``event_at``; lines are numbered by source, as they come."""
    lines: dict[str, int] = {}
    found = []
    for given in rows:
        row = {**DEFAULTS, **given}
        seconds = row.pop("s", None)
        if seconds is not None:
            row["event_at"] = at(seconds)
        lines[row["source_id"]] = lines.get(row["source_id"], 0) + 1
        row.setdefault("line_number", lines[row["source_id"]])
        if row["event"] == "close":
            row.setdefault("close_code_source", "absent" if row.get("close_code") is None else "wire")
            row.setdefault("ended_by", "unknown")
        found.append(row)
    return found


def event_table(rows: Iterable[Mapping[str, Any]]) -> pa.Table:
    """Return rows as a table of the registered schema."""
    full = rows_of(rows)
    schema = arrow_schema("events")
    unknown = {name for row in full for name in row} - set(schema.names)
    if unknown:
        raise KeyError(f"no event columns: {sorted(unknown)}")
    return pa.table([pa.array([row.get(f.name) for row in full], f.type) for f in schema], schema=schema)


def source_table(rows: Iterable[Mapping[str, Any]], label: str | None = None, until: float = 86_400) -> pa.Table:
    """Return the ``sources`` table that belongs to rows; the logs were observed until ``until`` seconds after START."""
    schema = arrow_schema("sources")
    sources = {row["source_id"]: row for row in rows_of(rows)}
    fills: dict[str, Any] = {"source_label": label, "observed_until": at(until)}
    plain: dict[str, Any] = {"string": "x", "int64": 0, "bool": False}
    columns = []
    for field in schema:
        kind = field.type.value_type if pa.types.is_dictionary(field.type) else field.type
        fill = fills.get(field.name, None if field.nullable else plain[str(kind)])
        columns.append(pa.array([row.get(field.name, fill) for row in sources.values()], field.type))
    return pa.table(columns, schema=schema)


def engine_of(
    folder: Path, rows: Iterable[Mapping[str, Any]], label: str | None = None, until: float = 86_400
) -> Engine:
    """Write rows to ``folder`` and return an engine over them."""
    rows = list(rows)
    path = folder / "events.parquet"
    pq.write_table(event_table(rows), path)
    return Engine([path], source_table(rows, label, until))


# --- what a client logs ----------------------------------------------------------------------------------


def opened(
    start: float, end: float | None, code: int | None = 1006, handshake: float = 0.1, **more: Any
) -> list[dict[str, Any]]:
    """Return the events of an attempt that opens after ``handshake`` s and ends at ``end`` (None: the log ends first)."""
    found = [{"event": "attempt", "s": start, **more}, {"event": "open", "s": start + handshake, **more}]
    if end is not None:
        source = "inferred" if code in (1005, 1006, 1015) else "wire"
        close = {"close_code": code, "close_code_source": source, "was_clean": code != 1006}
        found.append({"event": "close", "s": end, **close, **more})
    return found


def failed(start: float, end: float, **more: Any) -> list[dict[str, Any]]:
    """Return the events of an attempt that fails: attempt, error, close 1006."""
    close = {"close_code": 1006, "close_code_source": "inferred", "was_clean": False}
    return [
        {"event": "attempt", "s": start, **more},
        {"event": "error", "s": end, **more},
        {"event": "close", "s": end, **close, **more},
    ]


def fallback(s: float, **more: Any) -> dict[str, Any]:
    return {"event": "fallback", "s": s, "transport": "polling", **more}


def poll(s: float, ok: bool = True, **more: Any) -> dict[str, Any]:
    return {"event": "poll", "s": s, "transport": "polling", "error_class": None if ok else "http_status", **more}
