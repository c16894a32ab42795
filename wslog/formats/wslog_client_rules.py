"""What one telemetry line means: the exact path of :mod:`wslog.formats.wslog_client`, and tables both paths share."""

from __future__ import annotations

import math
import re
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import orjson

from wslog.formats.contract import Line
from wslog.schema import EFFECTIVE_TYPES, ENDED_BY, EVENTS, TRANSPORTS

# --- the fields -----------------------------------------------------------------------------------------

TEXTS = {
    "session": "session_id",
    "connection": "connection_id",
    "request_id": "request_id",
    "url": "url",
    "reason": "close_reason",
    "error": "error_text",
    "ua": "user_agent",
}
INTEGERS = {  # field: (column, smallest, largest)
    "attempt": ("attempt_number", 0, (1 << 31) - 1),
    "retry": ("retry_number", 0, (1 << 31) - 1),
    "max_retries": ("max_retries", 0, (1 << 31) - 1),
    "code": ("close_code", -(1 << 31), (1 << 31) - 1),
    "status": ("http_status", 0, 999),
    "messages_sent": ("sent_count", 0, (1 << 63) - 1),
    "messages_received": ("received_count", 0, (1 << 63) - 1),
    "buffered_amount": ("buffered_bytes", 0, (1 << 63) - 1),
}
DURATIONS = ("latency_ms", "lifetime_ms", "delay_ms", "longest_inbound_silence_ms")
NETWORK = {"type": "s", "effective_type": "s", "rtt": "n"}

HANDSHAKE_EVENTS = ("attempt", "open", "close", "error")
"""``latency_ms`` of these is the handshake's; of a poll it is the request's; of others it has no column."""
DEFAULT_TRANSPORT = {e: "polling" if e in ("fallback", "poll") else "websocket" for e in EVENTS if e != "network"}
INFERRED_CODES = (1005, 1006, 1015)
SMALLEST_CODE, LARGEST_CODE = 1000, 4999
ABORTED = "aborted_by_page"

FIRST_TIME = 631_152_000_000_000
"""1990-01-01 UTC in microseconds: earlier times, and those from ``END_TIME`` on, are rejected (``time_range``)."""
END_TIME = 4_102_444_800_000_000

ERROR_CLASSES = tuple(
    (re.compile(pattern, re.I), name)
    for pattern, name in (
        (r"page_left|pagehide|closed before the connection (?:is|was) established", ABORTED),
        (r"ERR_NAME_NOT_RESOLVED|ERR_NAME_RESOLUTION|ENOTFOUND|EAI_AGAIN|UnknownHost|\bDNS\b", "dns"),
        (r"ERR_PROXY|ERR_TUNNEL|\btunnel\b|\bproxy\b", "blocked_by_proxy"),
        (r"CONNECTION_REFUSED|ECONNREFUSED|connection refused", "refused"),
        (r"CONNECTION_RESET|ECONNRESET|connection reset|socket hang up", "reset"),
        (r"timed[ _-]?out|timeout|ETIMEDOUT", "timeout"),
        (r"ERR_CERT|\bcertificate\b|\bSSL|ERR_SSL|\bTLS", "tls"),
        (r"unexpected (?:response code|server response)|\bHTTP", "http_status"),
    )
)
"""Failure texts by pattern, first match wins; texts are those of Chromium, Node and mobile libraries."""

NETWORK_TYPES = {
    "wifi": "wifi", "connection_wifi": "wifi", "transport_wifi": "wifi",
    "cellular": "cellular", "cell": "cellular", "2g": "cellular", "3g": "cellular", "4g": "cellular", "5g": "cellular",
    "connection_2g": "cellular", "connection_3g": "cellular", "connection_4g": "cellular", "connection_5g": "cellular",
    "transport_cellular": "cellular",
    "ethernet": "ethernet", "wired": "ethernet", "connection_ethernet": "ethernet", "wiredethernet": "ethernet",
    "vpn": "vpn", "transport_vpn": "vpn",
    "none": "none", "unavailable": "none", "connection_none": "none",
    "unknown": "unknown", "connection_unknown": "unknown",
}  # fmt: skip
"""Names of Network Information, NetLog, OpenTelemetry, React Native, Cordova, Android; the rest is ``other``."""


def error_class(text: str) -> str:
    """Return the class of a failure text."""
    return next((name for pattern, name in ERROR_CLASSES if pattern.search(text)), "unknown")


def network_type(word: str) -> str:
    """Return the registry's word for a network type's name."""
    return NETWORK_TYPES.get(word.lower(), "other")


def effective_type(word: str) -> str | None:
    """Return the effectiveType, or None for a word the Network Information API does not have."""
    return word if word in EFFECTIVE_TYPES else None


# --- one line -------------------------------------------------------------------------------------------


class _RefusedError(Exception):
    """A line is rejected; the argument is the reason word."""


_TIME = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2})[Tt ]([0-9]{2}:[0-9]{2}:[0-9]{2})(?:[.,]([0-9]{1,9}))?"
    r"(?:([Zz])|([+-])([0-9]{2}):?([0-9]{2}))"
)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def read_time(value: object) -> int:
    """Return microseconds since 1970 UTC of a ``ts``; digits beyond microseconds are cut."""
    if isinstance(value, str):
        micros = _iso_time(value)
    elif isinstance(value, (int, float)) and not isinstance(value, bool):
        micros = round(value * 1000) if abs(value) < 1e15 else END_TIME
    else:
        raise _RefusedError("value")
    if not FIRST_TIME <= micros < END_TIME:
        raise _RefusedError("time_range")
    return micros


def _iso_time(text: str) -> int:
    found = _TIME.fullmatch(text)
    if not found:
        raise _RefusedError("time")
    day, clock, fraction, _, sign, hours, minutes = found.groups()
    try:
        zone = timezone(timedelta(hours=int(hours), minutes=int(minutes)) * (-1 if sign == "-" else 1)) if sign else UTC
        if minutes and int(minutes) > 59:
            raise _RefusedError("time")
        moment = datetime.fromisoformat(f"{day}T{clock}").replace(tzinfo=zone)
    except ValueError:
        raise _RefusedError("time") from None
    return (moment - _EPOCH) // timedelta(microseconds=1) + int(((fraction or "") + "000000")[:6])


def _text(fields: dict[str, Any], name: str) -> str | None:
    value = fields.get(name)
    if value is None or isinstance(value, str):
        return value or None
    raise _RefusedError("value")


def _word(fields: dict[str, Any], name: str, known: tuple[str, ...]) -> str | None:
    value = _text(fields, name)
    if value is not None and value not in known:
        raise _RefusedError("value")
    return value


def _number(fields: dict[str, Any], name: str) -> float | None:
    value = fields.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise _RefusedError("value")
    return float(value) + 0.0


def _integer(fields: dict[str, Any], name: str, smallest: int, largest: int) -> int | None:
    value = fields.get(name)
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or not smallest <= value <= largest:
        raise _RefusedError("value")
    return value


def _flag(fields: dict[str, Any], name: str) -> bool | None:
    value = fields.get(name)
    if value is None or isinstance(value, bool):
        return value
    raise _RefusedError("value")


def read_line(text: bytes) -> Line:
    """Read one line: an event row, ``unknown_event`` (ignored), or why it is rejected."""
    try:
        fields = orjson.loads(text)
    except ValueError:
        return Line(rejected="json")
    if not isinstance(fields, dict):
        return Line(rejected="json")
    try:
        return _read_fields(fields)
    except _RefusedError as refused:
        return Line(rejected=str(refused))


def _read_fields(fields: dict[str, Any]) -> Line:
    event, time = fields.get("event"), fields.get("ts")
    if event is None or time is None:
        raise _RefusedError("fields")
    if not isinstance(event, str):
        raise _RefusedError("value")
    micros = read_time(time)
    if event not in EVENTS:
        return Line(ignored="unknown_event", times=(micros,))
    row: dict[str, Any] = {"event_at": micros, "event": event}
    row |= {column: _text(fields, name) for name, column in TEXTS.items()}
    row |= {column: _integer(fields, name, low, high) for name, (column, low, high) in INTEGERS.items()}
    row["was_clean"] = _flag(fields, "was_clean")
    row["transport"] = _word(fields, "transport", TRANSPORTS) or DEFAULT_TRANSPORT.get(event)
    weight = _number(fields, "sample_weight")
    if weight is not None and weight <= 0:
        raise _RefusedError("value")
    row["sample_weight"] = 1.0 if weight is None else weight
    durations = {name: _number(fields, name) for name in DURATIONS}
    row |= _network(fields) | _durations(event, durations)
    row |= _ending(event, row, _word(fields, "ended_by", ENDED_BY))
    code = row["close_code"]
    if code is not None and not SMALLEST_CODE <= code <= LARGEST_CODE:
        row["anomaly"] = "close_code_out_of_range"
    elif any(v is not None and v < 0 for v in (*durations.values(), row["rtt_ms"])):
        row["anomaly"] = "negative_duration"
    return Line((row,), times=(micros,))


def _network(fields: dict[str, Any]) -> dict[str, Any]:
    network = fields.get("network")
    if network is None:
        network = {}
    if not isinstance(network, dict):
        raise _RefusedError("value")
    kind, effective = _text(network, "type"), _text(network, "effective_type")
    return {
        "network_type": None if kind is None else network_type(kind),
        "effective_type": None if effective is None else effective_type(effective),
        "rtt_ms": _number(network, "rtt"),
    }


def _durations(event: str, durations: dict[str, float | None]) -> dict[str, float | None]:
    latency, lifetime = durations["latency_ms"], durations["lifetime_ms"]
    return {
        "handshake_ms": latency if event in HANDSHAKE_EVENTS else None,
        "request_ms": latency if event == "poll" else None,
        "lifetime_s": None if lifetime is None else lifetime / 1000,
        "retry_delay_ms": durations["delay_ms"],
        "longest_inbound_silence_ms": durations["longest_inbound_silence_ms"],
    }


def _ending(event: str, row: dict[str, Any], ended_by: str | None) -> dict[str, str | None]:
    """Who ended it and why: the columns that follow from several fields."""
    text, status, code = row["error_text"], row["http_status"], row["close_code"]
    failure = None if text is None else error_class(text)
    if event in ("poll", "error") and failure in (None, "unknown") and status is not None and status >= 400:
        failure = "http_status"
    if event == "error" and failure is None:
        failure = "unknown"
    is_end = event in ("close", "error")
    if is_end and ended_by is None:
        ended_by = "client" if failure == ABORTED else "unknown" if event == "close" else None
    source = None
    if event == "close":
        source = "absent" if code is None else "inferred" if code in INFERRED_CODES else "wire"
    return {"error_class": failure, "ended_by": ended_by if is_end else None, "close_code_source": source}
