"""One record of every kind that a Workers tail has, and what it must become."""

from __future__ import annotations

import json
from typing import Any

from wslog.formats.contract import Sample

_START = 1_795_437_677_523  # 2026-11-23T12:41:17.523Z
_AT = "2026-11-23T12:41:17.523000Z"
_HEADERS = {
    "cf-connecting-ip": "198.51.100.7",
    "cf-ray": "8f2c1d0e9a7b6c5d",
    "user-agent": "Mozilla/5.0 (X11; Linux x86_64)",
}


def _item(
    event: Any, outcome: str = "ok", wall_ms: float | None = 0, model: str = "stateless", **more: Any
) -> dict[str, Any]:
    item = {
        "cpuTime": 2,
        "truncated": False,
        "executionModel": model,
        "outcome": outcome,
        "scriptName": "live",
        "exceptions": [],
        "logs": [],
        "eventTimestamp": _START,
        "event": event,
    }
    return item | ({} if wall_ms is None else {"wallTime": wall_ms}) | more


def _request(
    status: int | None, url: str = "https://app.example/live?token=t0", upgrade: bool = True
) -> dict[str, Any]:
    headers = _HEADERS | ({"upgrade": "websocket"} if upgrade else {})
    request = {"url": url, "method": "GET", "headers": headers, "cf": {"colo": "FRA"}}
    return {"request": request} | ({} if status is None else {"response": {"status": status}})


def _hibernation(**event: Any) -> dict[str, Any]:
    return _item({"getWebSocketEvent": event}, model="durableObject", durableObjectId="d0")


def _wide(item: dict[str, Any]) -> str:
    return json.dumps(item, indent=4)


def _narrow(item: dict[str, Any]) -> str:
    return json.dumps(item, separators=(",", ":"))


_SESSION = {
    "event": "close",
    "event_at": "2026-11-23T12:41:56.323000Z",
    "transport": "websocket",
    "http_status": 101,
    "close_code": None,
    "close_code_source": "absent",
    "was_clean": None,
    "lifetime_s": 38.8,
    "handshake_ms": None,
    "error_class": None,
    "url": "https://app.example/live?token=t0",
    "address": "198.51.100.7",
    "request_id": "8f2c1d0e9a7b6c5d",
    "user_agent": "Mozilla/5.0 (X11; Linux x86_64)",
}

SAMPLES = (
    Sample("session_canceled", _wide(_item(_request(101), "canceled", 38_800)), (_SESSION | {"ended_by": "client"},)),
    Sample("session_ok", _narrow(_item(_request(101), "ok", 38_800)), (_SESSION | {"ended_by": "unknown"},)),
    Sample(
        "session_without_status",
        _narrow(_item(_request(None), "canceled", 38_800)),
        (_SESSION | {"ended_by": "client", "http_status": None},),
    ),
    Sample(
        "session_exceeded",
        _wide(_item(_request(101), "exceededCpu", 38_800)),
        (_SESSION | {"ended_by": "server", "error_text": "exceededCpu"},),
    ),
    Sample(
        "session_disconnected",
        _wide(_item(_request(101), "responseStreamDisconnected", 38_800)),
        (_SESSION | {"ended_by": "unknown", "error_text": "responseStreamDisconnected"},),
    ),
    Sample(
        "session_of_durable_object",
        _wide(_item(_request(101), "canceled", 38_800, "durableObject")),
        (_SESSION | {"ended_by": "client"},),
    ),
    Sample(
        "session_without_wall_time",
        _wide(_item(_request(101), "canceled", None)),
        (_SESSION | {"event_at": _AT, "lifetime_s": None, "ended_by": "client"},),
    ),
    Sample(
        "hibernating_accept",
        _wide(_item(_request(101), "ok", 12, "durableObject")),
        (
            {
                "event": "open",
                "event_at": "2026-11-23T12:41:17.535000Z",
                "transport": "websocket",
                "handshake_ms": 12.0,
                "lifetime_s": None,
                "ended_by": None,
            },
        ),
    ),
    Sample(
        "accept_without_time",
        _narrow(_item(_request(None), "ok", 0, "durableObject")),
        ({"event": "open", "http_status": None},),
    ),
    Sample(
        "refused_handshake",
        _wide(_item(_request(403), "ok", 4)),
        (
            {
                "event": "error",
                "transport": "websocket",
                "http_status": 403,
                "error_class": "http_status",
                "ended_by": "server",
                "handshake_ms": 4.0,
                "close_code_source": None,
            },
        ),
    ),
    Sample(
        "unanswered_handshake",
        _wide(_item(_request(None), "exception", 4)),
        ({"event": "error", "error_class": "unknown", "error_text": "exception", "ended_by": "server"},),
    ),
    Sample(
        "hibernation_close",
        _wide(_hibernation(webSocketEventType="close", code=4001, wasClean=True)),
        (
            {
                "event": "close",
                "event_at": _AT,
                "transport": "websocket",
                "close_code": 4001,
                "close_code_source": "wire",
                "was_clean": True,
                "ended_by": "client",
                "lifetime_s": None,
            },
        ),
    ),
    Sample(
        "hibernation_drop",
        _narrow(_hibernation(webSocketEventType="close", code=1006, wasClean=False)),
        (
            {
                "event": "close",
                "close_code": 1006,
                "close_code_source": "inferred",
                "was_clean": False,
                "ended_by": "unknown",
            },
        ),
    ),
    Sample(
        "hibernation_error",
        _narrow(_hibernation(webSocketEventType="error")),
        ({"event": "error", "event_at": _AT, "error_class": "unknown", "ended_by": "unknown"},),
    ),
    Sample("hibernation_message", _wide(_hibernation(webSocketEventType="message"))),
    Sample(
        "polling",
        _wide(_item(_request(200, "https://app.example/socket.io/?EIO=4&transport=polling&t=a1", False), "ok", 25)),
        (
            {
                "event": "poll",
                "event_at": "2026-11-23T12:41:17.548000Z",
                "transport": "polling",
                "http_status": 200,
                "request_ms": 25.0,
                "error_class": None,
            },
        ),
    ),
    Sample("other_request", _wide(_item(_request(200, "https://app.example/live", False), "ok", 25))),
    Sample("scheduled", _narrow(_item({"cron": "*/5 * * * *", "scheduledTime": _START}))),
    Sample("no_event", _narrow(_item(None))),
    Sample("sampling_notice", _wide(_item({"message": "Tail is currently in sampling mode", "type": "overload"}))),
)
