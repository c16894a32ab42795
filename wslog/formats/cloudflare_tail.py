"""Cloudflare Workers tail: the output of ``wrangler tail --format json``.

One JSON object per invocation of a Worker or Durable Object, printed over many lines or on one (see
:mod:`wslog.formats.cloudflare_tail_records`). ``eventTimestamp`` (ms since 1970 UTC) is the START of a request, whose
``wallTime`` ms later the object was written, and the moment of a hibernation EVENT. JSON is read strictly (RFC 8259).

A request with ``upgrade: websocket`` is one object:

* answered with a status other than 101: a failed handshake;
* not answered, and the outcome is neither ``ok`` nor ``canceled``: a failed handshake too, of unknown class;
* of a Durable Object, and over within a second (``wallTime`` < 1000): the hibernating accept, an ``open``. A session
  of a Durable Object that does not hibernate looks the same when it lasts less than a second;
* ``wallTime`` 0: nothing is known to have lasted, an ``open``;
* else the whole session, written at its end: a ``close`` without a code. The outcome ``canceled`` is what a normal
  session shows: the client ended it. Other outcomes but ``ok`` are the platform's: the server ended it.

Older wranglers print no ``wallTime``: the close then carries the time of the start, and no lifetime.

Hibernation events have no id of the connection (the Durable Object serves many), so they cannot be paired with the
open. Their ``close`` has the code and ``wasClean``; the handler runs when the peer closed (clean) or was lost.
Messages, other events and sampling notices (``overload``) are ignored.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import orjson
import pyarrow as pa

from wslog.formats.cloudflare_tail_records import OBJECT, SINGLE, Record, cut, records
from wslog.formats.cloudflare_tail_samples import SAMPLES
from wslog.formats.contract import Batch, BoolArray, Clock, Format, Line, Options, Parsed, Stamp, collect
from wslog.formats.web import KINDS, check_ws_path, classify_codes

ACCEPT_MS = 1000
"""A Durable Object's upgrade request that is over sooner is a hibernating accept."""

MAX_TIME_MS = 253_402_300_800_000  # year 10000
INFERRED_CODES = (1005, 1006, 1015)

SERVER_OUTCOMES = frozenset(
    (
        "exception", "exceededCpu", "exceededMemory", "exceededWallTime", "internalError", "killSwitch", "kilSwitch",
        "daemonDown", "loadShed", "scriptNotFound", "aborted",
    )
)  # fmt: skip
"""Outcomes that the Worker or the platform is the cause of; the list is open, others are of unknown cause."""


class Unreadable(Exception):  # noqa: N818 - a verdict on a record, not an error
    """Carries the reject word of a record."""


class TailReader:
    """Reader of one source. The exact path is quick enough (one JSON parse per record) to be the only one."""

    def __init__(self, options: Options, head: Batch) -> None:
        check_ws_path(options)
        self.options = options

    def fast(self, batch: Batch) -> tuple[Parsed, BoolArray]:
        return Parsed(), np.ones(len(batch), bool)

    def exact(self, batch: Batch) -> Parsed:
        spans = records(batch)
        lines = [read(batch, span) for span in spans]
        self._tell_polls(lines)
        return collect(item for span, line in zip(spans, lines, strict=True) for item in labelled(batch, span, line))

    def _tell_polls(self, lines: list[Line]) -> None:
        """Keep the plain requests that are polls, by their URL, all at once; the others are ignored."""
        plain = [i for i, line in enumerate(lines) if line.rows and line.rows[0]["event"] == "poll"]
        targets = pa.array([lines[i].rows[0]["url"] for i in plain], pa.string())
        codes = classify_codes(targets, self.options, paths_count=False)
        for i, code in zip(plain, codes.tolist(), strict=True):
            transport = {"transport": KINDS[code]}
            lines[i] = (
                Line(rows=({**lines[i].rows[0], **transport},), times=lines[i].times)
                if code
                else Line(ignored="other_traffic", times=lines[i].times)
            )


def labelled(batch: Batch, span: Record, line: Line) -> Iterator[tuple[int, Line]]:
    """Give a record's verdict the label and the count of its lines.

    A reject names a span of neighbouring lines: where the caller took lines out in between, it becomes several.
    """
    index = batch.index[span.first : span.stop]
    if not line.rejected or index[-1] - index[0] == len(index) - 1:
        yield int(index[0]), _counted(line, len(index))
        return
    for run in np.split(index, np.flatnonzero(np.diff(index) != 1) + 1):
        yield int(run[0]), _counted(line, len(run))


def _counted(line: Line, count: int) -> Line:
    return line if count == 1 else Line(line.rows, line.ignored, line.rejected, line.times, count)


def read(batch: Batch, span: Record) -> Line:
    """Read one record."""
    if span.ending == "too_long":
        return Line(rejected="record_too_long")
    if span.shape == OBJECT and span.ending != "closed":
        return Line(rejected="record_unclosed")
    if span.shape not in (OBJECT, SINGLE):
        return Line(rejected="record_fragment")
    text = b"\n".join(batch.line(i) for i in range(span.first, span.stop))
    try:
        item = orjson.loads(text)
    except orjson.JSONDecodeError:
        return Line(rejected="json")
    try:
        return line_of(item)
    except Unreadable as error:
        return Line(rejected=str(error))


def line_of(item: Any) -> Line:
    """Return what one tail item says; raise :class:`Unreadable` with the reject word."""
    if not isinstance(item, dict):
        raise Unreadable("fields")
    event = item.get("event")
    if _is_notice(item) or _is_notice(event):
        return Line(ignored="sampling_notice")
    if "event" not in item or not isinstance(item.get("outcome"), str) or not isinstance(event, dict | None):
        raise Unreadable("fields")
    start_us = round(_number(item.get("eventTimestamp"), MAX_TIME_MS, "time") * 1000)
    wall_ms = None if item.get("wallTime") is None else _number(item["wallTime"], MAX_TIME_MS, "number")
    end_us = start_us + round((wall_ms or 0) * 1000)
    if event and "request" in event:
        return Line(rows=(_request_row(item, event, end_us, wall_ms),), times=(end_us,))
    if event and "getWebSocketEvent" in event:
        return _hibernation_line(event["getWebSocketEvent"], start_us)
    return Line(ignored="other_traffic", times=(end_us,))


def _is_notice(value: Any) -> bool:
    return isinstance(value, dict) and value.get("type") == "overload"


def _number(value: Any, above: float, word: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < above:
        raise Unreadable(word)
    return value


def _request_row(item: dict[str, Any], event: dict[str, Any], end_us: int, wall_ms: float | None) -> dict[str, Any]:
    """Return the row of a request; a request without upgrade is called a poll until its URL was looked at."""
    request = event["request"]
    if not isinstance(request, dict) or not isinstance(request.get("url"), str):
        raise Unreadable("fields")
    headers = request.get("headers")
    headers = {k.lower(): v for k, v in headers.items() if isinstance(v, str)} if isinstance(headers, dict) else {}
    status = _status(event.get("response"))
    row = {
        "event_at": end_us,
        "http_status": status,
        "url": request["url"],
        "address": headers.get("cf-connecting-ip"),
        "user_agent": headers.get("user-agent"),
        "request_id": headers.get("cf-ray"),
    }
    if headers.get("upgrade", "").lower() != "websocket":
        failed = status is not None and status >= 400
        return row | {"event": "poll", "request_ms": wall_ms, "error_class": "http_status" if failed else None}
    return row | {"transport": "websocket"} | _handshake(item, status, wall_ms)


def _status(response: Any) -> int | None:
    if response is None:
        return None
    status = response.get("status") if isinstance(response, dict) else response
    if status is None:
        return None
    return int(_number(status, 1000, "status"))


def _handshake(item: dict[str, Any], status: int | None, wall_ms: float | None) -> dict[str, Any]:
    """Return what an upgrade request came to (the rules of the module's docstring, in their order)."""
    outcome = item["outcome"]
    is_quiet = outcome in ("ok", "canceled")
    by = "client" if outcome == "canceled" else "server" if outcome in SERVER_OUTCOMES else "unknown"
    text = {} if is_quiet else {"error_text": outcome}
    if status is not None and status != 101:
        return {"event": "error", "error_class": "http_status", "ended_by": "server", "handshake_ms": wall_ms, **text}
    if status is None and not is_quiet:
        return {"event": "error", "error_class": "unknown", "ended_by": by, "handshake_ms": wall_ms, **text}
    is_short = wall_ms is not None and wall_ms < ACCEPT_MS
    if is_quiet and (wall_ms == 0 or (is_short and item.get("executionModel") == "durableObject")):
        return {"event": "open", "handshake_ms": wall_ms}
    lifetime_s = None if wall_ms is None else wall_ms / 1000
    return {"event": "close", "close_code_source": "absent", "lifetime_s": lifetime_s, "ended_by": by, **text}


def _hibernation_line(event: Any, at_us: int) -> Line:
    kind = event.get("webSocketEventType") if isinstance(event, dict) else None
    if kind == "close":
        return Line(
            rows=({"event": "close", "event_at": at_us, "transport": "websocket", **_closed(event)},), times=(at_us,)
        )
    if kind == "error":
        row = {
            "event": "error",
            "event_at": at_us,
            "transport": "websocket",
            "error_class": "unknown",
            "ended_by": "unknown",
        }
        return Line(rows=(row,), times=(at_us,))
    return Line(ignored="message" if kind == "message" else "other_traffic", times=(at_us,))


def _closed(event: dict[str, Any]) -> dict[str, Any]:
    code, was_clean = event.get("code"), event.get("wasClean")
    if not isinstance(was_clean, bool | None):
        raise Unreadable("fields")
    row = {"was_clean": was_clean, "ended_by": "client" if was_clean else "unknown"}
    if code is None:
        return row | {"close_code_source": "absent"}
    if isinstance(code, bool) or not isinstance(code, int) or not 0 <= code <= 65535:
        raise Unreadable("number")
    return row | {
        "close_code": code,
        "close_code_source": "inferred" if code in INFERRED_CODES else "wire",
        "anomaly": None if 1000 <= code <= 4999 else "close_code_out_of_range",
    }


def claims(head: Batch, options: Options) -> str:
    """Claim a head of which at least half the whole records are tail items."""
    whole = [span for span in records(head) if span.shape in (OBJECT, SINGLE) and span.ending == "closed"]
    hits = sum(1 for span in whole if not read(head, span).rejected)
    return f"{hits} of {len(whole)} records are Workers tail items" if hits and 2 * hits >= len(whole) else ""


FORMAT = Format(
    name="cloudflare_tail",
    version=1,
    side="server",
    title="Cloudflare Workers tail (wrangler tail --format json)",
    source="cloudflare/workers-sdk createTail.ts (f830836028), cloudflare/workerd trace.h and outcome.capnp (6552d999)",
    clock=Clock(Stamp.START, "in_line", 0.001),
    needles=(b'"eventTimestamp"',),
    claims=claims,
    reader=TailReader,
    samples=SAMPLES,
    cut=cut,
    uses=("ws_path",),
)
