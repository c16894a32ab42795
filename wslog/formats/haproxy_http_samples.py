"""One line of every kind that the HAProxy HTTP log has, and what it must become."""

from __future__ import annotations

from typing import Any

from wslog.formats.contract import Options, Sample

_HEAD = "198.51.100.7:46894 [23/Nov/2026:12:41:17.523] fe_ws be_ws/s1 "
_END_OF_1007 = "2026-11-23T12:41:18.530000Z"


def _line(rest: str, target: str = "/ws/chat?room=5") -> str:
    return f'{_HEAD}{rest} "GET {target} HTTP/1.1"'


def _failed(**more: Any) -> dict[str, Any]:
    return {"event": "error", "transport": "websocket", "close_code_source": None, "lifetime_s": None, **more}


_CLOSED = {
    "event": "close",
    "event_at": _END_OF_1007,
    "transport": "websocket",
    "http_status": 101,
    "close_code": None,
    "close_code_source": "absent",
    "was_clean": None,
    "lifetime_s": 1.007,
    "handshake_ms": 3.0,
    "sent_bytes": 313,
}

SAMPLES = (
    Sample(
        "closed_by_either_end",
        _line("0/0/1/2/1007 101 313 - - ---- 1/1/0/0/0 0/0"),
        (_CLOSED | {"ended_by": "unknown", "url": "/ws/chat?room=5", "address": "198.51.100.7"},),
    ),
    Sample(
        "closed_by_client",
        _line("0/0/1/2/1007 101 313 - - CD-- 1/1/0/0/0 0/0"),
        (_CLOSED | {"ended_by": "client", "error_class": None},),
    ),
    Sample(
        "closed_by_server", _line("0/0/1/2/1007 101 313 - - SD-- 1/1/0/0/0 0/0"), (_CLOSED | {"ended_by": "server"},)
    ),
    Sample(
        "idle_timeout",
        _line("0/0/1/2/1007 101 313 - - cD-- 1/1/0/0/0 0/0"),
        (_CLOSED | {"ended_by": "proxy", "error_class": "timeout"},),
    ),
    Sample(
        "killed_by_admin",
        _line("0/0/1/2/1007 101 313 - - K--- 1/1/0/0/0 0/0"),
        (_CLOSED | {"ended_by": "proxy", "error_class": None},),
    ),
    Sample(
        "left_during_handshake",
        _line("0/0/0/3002/3002 101 198 - - CD-- 2/2/1/1/0 0/0"),
        (_failed(http_status=101, error_class="aborted_by_page", ended_by="client", handshake_ms=3002.0),),
    ),
    Sample(
        "answered_otherwise",
        _line("0/0/0/2/2 403 162 - - ---- 1/1/0/0/0 0/0"),
        (_failed(http_status=403, error_class="http_status", ended_by="server", handshake_ms=2.0),),
    ),
    Sample(
        "refused",
        "lb haproxy[812]: 198.51.100.7:33728 [23/Nov/2026:12:41:23.088] fe_ws~ be_down/s2 0/0/-1/-1/3005 503 217 "
        '- - SC-- 1/1/0/0/3 0/0 "GET /ws HTTP/1.1"',
        (_failed(http_status=503, error_class="refused", ended_by="server", handshake_ms=3005.0),),
    ),
    Sample(
        "connect_timeout",
        _line("0/0/-1/-1/5001 503 217 - - sC-- 1/1/0/0/+3 0/0"),
        (_failed(http_status=503, error_class="timeout", ended_by="proxy"),),
    ),
    Sample(
        "response_timeout",
        _line("0/0/1/-1/30001 504 194 - - sH-- 1/1/0/0/0 0/0"),
        (_failed(http_status=504, error_class="timeout", ended_by="proxy"),),
    ),
    Sample(
        "client_gave_up",
        _line("0/0/1/-1/2500 -1 0 - - CH-- 1/1/0/0/0 0/0"),
        (_failed(http_status=None, error_class="aborted_by_page", ended_by="client", handshake_ms=2500.0),),
    ),
    Sample(
        "bad_response",
        _line("0/0/1/-1/4 502 209 - - PH-- 1/1/0/0/0 0/0"),
        (_failed(http_status=502, error_class="protocol", ended_by="proxy"),),
    ),
    Sample(
        "no_server",
        "198.51.100.7:33728 [23/Nov/2026:12:41:23.088] fe_ws be_ws/<NOSRV> 0/-1/-1/-1/0 503 217 - - SC-- "
        '1/1/0/0/0 0/0 "GET /ws HTTP/1.1"',
        (_failed(http_status=503, error_class="refused"),),
    ),
    Sample(
        "opened_logasap",
        _line("0/0/0/2/+2 101 +294 - - ---- 1/1/1/1/0 0/0"),
        (
            {
                "event": "open",
                "event_at": "2026-11-23T12:41:17.525000Z",
                "transport": "websocket",
                "handshake_ms": 2.0,
                "lifetime_s": None,
                "ended_by": None,
                "sent_bytes": None,
            },
        ),
    ),
    Sample(
        "captured_headers",
        f"Nov 23 12:41:18 lb1 haproxy[812]: {_HEAD}0/0/1/2/1007 101 313 - - ---- 1/1/0/0/0 0/0 "
        '{app.example|Mozilla/5.0 (X11)} {} "GET /live HTTP/1.1"',
        (_CLOSED | {"url": "/live"},),
    ),
    Sample(
        "captured_upgrade",
        _line("0/0/0/2/2 400 162 - - ---- 1/1/0/0/0 0/0 {websocket|app.example}", "/api/feed"),
        (_failed(http_status=400, error_class="http_status"),),
    ),
    Sample(
        "extended_connect",
        f'{_HEAD}0/0/1/2/1007 200 313 - - ---- 1/1/0/0/0 0/0 "CONNECT https://app.example/feed HTTP/2.0"',
        (_CLOSED | {"http_status": 200, "url": "https://app.example/feed"},),
    ),
    Sample(
        "tls_fields_after_request",
        _line("0/0/1/2/1007 101 313 - - ---- 1/1/0/0/0 0/0")
        + " 0/0000000000000000/0/0/0 app.example/TLSv1.3/TLS_AES_256_GCM_SHA384",
        (_CLOSED,),
    ),
    Sample(
        "cut_request",
        f'{_HEAD}0/0/1/2/1007 101 313 - - ---- 1/1/0/0/0 0/0 "GET /ws?a=1',
        (_CLOSED | {"url": "/ws?a=1"},),
    ),
    Sample(
        "escaped_request",
        _line("0/0/1/2/1007 101 313 - - ---- 1/1/0/0/0 0/0", "/ws/caf#C3#A9?q=#22x#22"),
        (_CLOSED | {"url": '/ws/café?q="x"', "anomaly": None},),
    ),
    Sample(
        "polling",
        _line("0/0/0/25/25 200 412 - - ---- 1/1/0/0/0 0/0", "/socket.io/?EIO=4&transport=polling&t=a1"),
        (
            {
                "event": "poll",
                "event_at": "2026-11-23T12:41:17.548000Z",
                "transport": "polling",
                "http_status": 200,
                "request_ms": 25.0,
                "error_class": None,
                "ended_by": None,
                "handshake_ms": None,
            },
        ),
    ),
    Sample(
        "polling_failed",
        _line("0/0/0/25/25 502 412 - - SH-- 1/1/0/0/0 0/0", "/socket.io/?EIO=4&transport=polling&t=a1"),
        ({"event": "poll", "http_status": 502, "error_class": "http_status"},),
    ),
    Sample(
        "events_stream",
        _line("0/0/0/25/60025 200 41200 - - CD-- 1/1/0/0/0 0/0", "/api/events"),
        ({"event": "poll", "transport": "sse", "request_ms": 60025.0, "error_class": None},),
    ),
    Sample(
        "local_time",
        "198.51.100.7:46894 [25/Oct/2026:02:30:00.000] fe_ws be_ws/s1 0/0/1/2/1000 101 313 - - ---- "
        '1/1/0/0/0 0/0 "GET /ws HTTP/1.1"',
        ({"event": "close", "event_at": "2026-10-25T00:30:01.000000Z", "anomaly": "ambiguous_time"},),
        Options(tz="Europe/Berlin"),
    ),
    Sample("other_request", _line("0/0/0/2/2 200 162 - - ---- 1/1/0/0/0 0/0", "/index.html")),
    Sample(
        "bad_request",
        "198.51.100.7:46894 [23/Nov/2026:12:41:17.523] fe_ws fe_ws/<NOSRV> -1/-1/-1/-1/5 400 187 - - PR-- "
        '1/1/0/0/0 0/0 "<BADREQ>"',
    ),
    Sample("tcp_line", "198.51.100.7:53036 [23/Nov/2026:12:48:38.933] fe_tcp be_tcp/s1 1/0/1004 322 -- 1/1/0/0/0 0/0"),
    Sample(
        "connection_error",
        "198.51.100.7:34549 [23/Nov/2026:15:31:17.123] fe_ws/1: Connection error during SSL handshake",
    ),
    Sample(
        "notice",
        "Nov 23 12:00:00 lb1 haproxy[812]: Server be_ws/s1 is DOWN, reason: Layer4 connection problem.",
    ),
)
