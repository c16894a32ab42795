"""The telemetry a WebSocket client writes, one JSON object a line: ``wslog_client``.

The page or app writes a line when something happens to a connection and sends the lines home; this is wslog's own
format, published as the JSON Schema ``wslog_client.schema.json`` (draft 2020-12) beside this module. A line needs
``ts`` and ``event``; every other field may be left out, and null or an empty text means the same as leaving it out::

    {"ts":"2026-11-23T08:00:04.250Z","session":"s1","connection":"c1","event":"close","code":1006,"was_clean":false,
     "lifetime_ms":61250,"network":{"type":"wifi","effective_type":"4g","rtt":50}}

=============================  ==========================================================================
field                          column
=============================  ==========================================================================
ts                             event_at; ISO 8601 with a zone (``T`` or a space, ``Z`` or ``+HH:MM``, at most
                               nine decimals), or milliseconds since 1970 UTC; from 1990 on and before 2100
event                          event; another text than the words of the registry: ignored (``unknown_event``)
session, connection            session_id (one page load or app run), connection_id (one WebSocket object)
request_id                     request_id
attempt, retry, max_retries    attempt_number, retry_number, max_retries
url, ua                        url, user_agent
ip                             the client's address, as the collector saw it: hashed at ingest, like that of an access log
transport                      transport; default polling for fallback and poll, null for network, else websocket
code, reason, was_clean        close_code (kept as it is), close_reason, was_clean
latency_ms                     handshake_ms on attempt, open, close, error; request_ms on poll; else dropped
lifetime_ms, delay_ms          lifetime_s, retry_delay_ms
error                          error_text; error_class by the table ``wslog_client_rules.ERROR_CLASSES``
status                         http_status; from 400 on, a poll's or error's class if its text says no more
ended_by                       ended_by on close, error; default on close: client if the page left, else unknown
network                        object: type to network_type (names of many sources), effective_type, rtt to rtt_ms
sample_weight                  sample_weight, above 0, default 1
messages_sent, _received       sent_count, received_count
buffered_amount                buffered_bytes (WebSocket.bufferedAmount at the end)
longest_inbound_silence_ms     longest_inbound_silence_ms
=============================  ==========================================================================

close_code_source of a close is ``inferred`` for 1005, 1006 and 1015 (the browser's own verdict, RFC 6455 section
7.1.5), ``absent`` without a code, else ``wire``. A code outside 1000 to 4999 and a negative duration are kept, with an
anomaly.
A known word of transport and ended_by is required; an unknown network type becomes ``other``, an unknown
effective_type null. Whole numbers may be written 3.0.

What is rejected: ``json`` (not one strict RFC 8259 object: NaN, comments, trailing text or commas, single quotes, a
BOM, invalid UTF-8, lone surrogate escapes, control characters, a number no double can hold, more than 1024 levels),
``fields`` (no ts or no event), ``time`` (a text that is no such time), ``time_range``, ``value`` (a known field of
another type or outside its range). Unknown fields are ignored wherever they are; of a repeated key the last value
holds.

A Datadog RUM event is carried over by ``date`` to ts, ``session.id`` to session, ``connectivity.interfaces[0]`` to
network.type, ``connectivity.effective_type`` to network.effective_type, ``error.message`` to error,
``resource.url`` and ``.status_code`` to url and status, ``resource.duration`` / 1e6 to latency_ms. RUM has no
resource type for WebSocket: attempt, open and close are custom actions, with their code in the action's context.
"""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import orjson

from wslog.formats.contract import Batch, BoolArray, Clock, Format, Line, LineReader, Options, Parsed, Sample, Stamp
from wslog.formats.wslog_client_fast import read_batch
from wslog.formats.wslog_client_rules import read_line
from wslog.schema import EVENTS


class WslogClientReader(LineReader):
    """Reader of ``wslog_client``; it keeps nothing between calls."""

    def line(self, text: bytes) -> Line:
        return read_line(text)

    def fast(self, batch: Batch) -> tuple[Parsed, BoolArray]:
        return read_batch(batch)


@cache
def json_schema() -> dict[str, Any]:
    """Return the JSON Schema of a line (draft 2020-12), as published."""
    path = Path(__file__).with_name("wslog_client.schema.json")
    schema: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return schema


_HEAD_LINES = 200


def _claims(head: Batch, options: Options) -> str:
    """Claim a head most of whose lines are JSON objects with ``ts`` and ``event``, most of these with our words."""
    count = min(len(head), _HEAD_LINES)
    ours = known = 0
    for i in range(count):
        try:
            fields = orjson.loads(head.line(i))
        except ValueError:
            continue
        if isinstance(fields, dict) and "ts" in fields and "event" in fields:
            ours += 1
            known += isinstance(fields["event"], str) and fields["event"] in EVENTS
    if ours * 2 <= count or known * 2 <= ours:
        return ""
    return f"{ours} of {count} lines are JSON objects with ts and event, {known} with an event of wslog_client"


def _reader(options: Options, head: Batch) -> WslogClientReader:
    return WslogClientReader()


def _at(seconds: float) -> int:
    """Microseconds of a moment after 2026-11-23T08:00:00Z, the samples' hour."""
    return 1_795_420_800_000_000 + round(seconds * 1e6)


SAMPLES = (
    Sample(
        "attempt",
        '{"ts":"2026-11-23T08:00:00.000Z","session":"s1","connection":"c1","event":"attempt","attempt":1,"retry":0,'
        '"url":"wss://chat.example.com/ws?token=abc","ua":"ExampleApp/3.1",'
        '"network":{"type":"wifi","effective_type":"4g","rtt":50}}',
        (
            {
                "event": "attempt", "event_at": _at(0), "session_id": "s1", "connection_id": "c1", "attempt_number": 1,
                "retry_number": 0, "transport": "websocket", "url": "wss://chat.example.com/ws?token=abc",
                "network_type": "wifi", "effective_type": "4g", "rtt_ms": 50.0, "user_agent": "ExampleApp/3.1",
            },
        ),
    ),
    Sample(
        "open_epoch_ms",
        '{"ts":1795420800120,"session":"s1","connection":"c1","event":"open","latency_ms":120,"request_id":"r-9",'
        '"ip":"192.0.2.7"}',
        (
            {
                "event": "open", "event_at": _at(0.12), "handshake_ms": 120.0, "request_ms": None, "request_id": "r-9",
                "address": "192.0.2.7",
            },
        ),
    ),
    Sample(
        "close_without_frame",
        '{"ts":"2026-11-23T08:01:01.370Z","session":"s1","connection":"c1","event":"close","code":1006,"reason":"",'
        '"was_clean":false,"lifetime_ms":61250,"messages_sent":4,"messages_received":19,"buffered_amount":0,'
        '"longest_inbound_silence_ms":60001.5}',
        (
            {
                "event": "close", "close_code": 1006, "close_code_source": "inferred", "close_reason": None,
                "was_clean": False,
                "lifetime_s": 61.25, "sent_count": 4, "received_count": 19, "buffered_bytes": 0,
                "longest_inbound_silence_ms": 60001.5, "ended_by": "unknown", "error_class": None,
            },
        ),
    ),
    Sample(
        "close_chinese_reason",
        '{"ts":"2026-11-23T16:01:10+08:00","session":"s2","event":"close","code":4001,"reason":"登录已过期","was_clean":true,'
        '"ended_by":"server"}',
        (
            {
                "event_at": _at(70), "close_code": 4001, "close_code_source": "wire", "close_reason": "登录已过期",
                "was_clean": True, "ended_by": "server",
            },
        ),
    ),
    Sample(
        "close_page_left",
        '{"ts":"2026-11-23T08:02:00.000Z","session":"s1","event":"close","error":"page_left"}',
        ({"error_class": "aborted_by_page", "ended_by": "client", "close_code": None, "close_code_source": "absent"},),
    ),
    Sample(
        "error",
        '{"ts":"2026-11-23T08:01:03.400Z","session":"s1","connection":"c2","event":"error","attempt":2,'
        '"error":"Error in connection establishment: net::ERR_NAME_NOT_RESOLVED","latency_ms":30.5}',
        ({"event": "error", "error_class": "dns", "handshake_ms": 30.5, "close_code_source": None, "ended_by": None},),
    ),
    Sample(
        "retry",
        '{"ts":"2026-11-23T08:01:03.401Z","session":"s1","event":"retry","retry":2,"max_retries":3,"delay_ms":2000}',
        ({"event": "retry", "retry_number": 2, "max_retries": 3, "retry_delay_ms": 2000.0},),
    ),
    Sample(
        "fallback",
        '{"ts":"2026-11-23T08:01:10.000Z","session":"s1","event":"fallback"}',
        ({"event": "fallback", "transport": "polling"},),
    ),
    Sample(
        "poll_ok",
        '{"ts":"2026-11-23T08:01:11.000Z","session":"s1","event":"poll","status":200,"latency_ms":85}',
        ({"transport": "polling", "http_status": 200, "request_ms": 85.0, "handshake_ms": None, "error_class": None},),
    ),
    Sample(
        "poll_failed",
        '{"ts":"2026-11-23T08:01:12.000Z","session":"s1","event":"poll","status":502,"latency_ms":31}',
        ({"event": "poll", "http_status": 502, "error_class": "http_status"},),
    ),
    Sample(
        "upgrade",
        '{"ts":"2026-11-23T08:01:30.000Z","session":"s1","event":"upgrade","sample_weight":10}',
        ({"event": "upgrade", "transport": "websocket", "sample_weight": 10.0},),
    ),
    Sample(
        "network_change",
        '{"ts":"2026-11-23T08:01:31.000Z","session":"s1","event":"network","network":{"type":"wired"}}',
        ({"event": "network", "transport": None, "network_type": "ethernet"},),
    ),
    Sample("unknown_event", '{"ts":"2026-11-23T08:01:32.000Z","session":"s1","event":"heartbeat"}'),
)  # fmt: skip

FORMAT = Format(
    name="wslog_client",
    version=2,
    side="client",
    title="wslog's own client telemetry (NDJSON)",
    source="wslog/formats/wslog_client.schema.json, version 1",
    clock=Clock(Stamp.EVENT, "in_line", 0.001),
    needles=(b'"event"',),
    claims=_claims,
    reader=_reader,
    samples=SAMPLES,
)
