"""What one telemetry line means: the exact path of :mod:`wslog.formats.wslog_client`, and tables both paths share."""

from __future__ import annotations

import re
from collections.abc import Callable
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
    "ip": "address",
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
        (r"unexpected (?:response code|server response)|\bHTTP(?:\b|[0-9])", "http_status"),
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


def _text(value: object) -> str | None:
    if isinstance(value, str):
        return value or None
    raise _RefusedError("value")


def _word(known: tuple[str, ...]) -> Callable[[object], str | None]:
    def read(value: object) -> str | None:
        text = _text(value)
        if text is not None and text not in known:
            raise _RefusedError("value")
        return text

    return read


def _number(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise _RefusedError("value")
    return float(value) + 0.0  # -0 becomes 0


def _weight(value: object) -> float:
    weight = _number(value)
    if weight <= 0:
        raise _RefusedError("value")
    return weight


def _whole(smallest: int, largest: int) -> Callable[[object], int]:
    def read(value: object) -> int:
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        if isinstance(value, bool) or not isinstance(value, int) or not smallest <= value <= largest:
            raise _RefusedError("value")
        return value

    return read


def _flag(value: object) -> bool:
    if isinstance(value, bool):
        return value
    raise _RefusedError("value")


def _network(value: object) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise _RefusedError("value")
    return {name: read(value[name]) for name, read in _NETWORK_READERS.items() if value.get(name) is not None}


_NETWORK_READERS: dict[str, Callable[[object], Any]] = {"type": _text, "effective_type": _text, "rtt": _number}
_READERS: dict[str, Callable[[object], Any]] = {
    **dict.fromkeys(TEXTS, _text),
    **{name: _whole(low, high) for name, (_, low, high) in INTEGERS.items()},
    **dict.fromkeys(DURATIONS, _number),
    "was_clean": _flag,
    "transport": _word(TRANSPORTS),
    "ended_by": _word(ENDED_BY),
    "sample_weight": _weight,
    "network": _network,
}
_SAME = TEXTS | {name: column for name, (column, _, _) in INTEGERS.items()}
_SAME |= {name: name for name in ("was_clean", "longest_inbound_silence_ms")} | {"delay_ms": "retry_delay_ms"}


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
    values = {name: _READERS[name](value) for name, value in fields.items() if value is not None and name in _READERS}
    row: dict[str, Any] = {_SAME[name]: value for name, value in values.items() if name in _SAME}
    row["event_at"], row["event"] = micros, event
    row["transport"] = values.get("transport") or DEFAULT_TRANSPORT.get(event)
    row["sample_weight"] = values.get("sample_weight", 1.0)
    network = values.get("network", {})
    _fill_network(row, network)
    _fill_durations(event, row, values)
    _fill_ending(event, row, values.get("ended_by"))
    if not SMALLEST_CODE <= values.get("code", SMALLEST_CODE) <= LARGEST_CODE:
        row["anomaly"] = "close_code_out_of_range"
    elif min(*(values.get(name, 0.0) for name in DURATIONS), network.get("rtt", 0.0)) < 0:
        row["anomaly"] = "negative_duration"
    return Line((row,), times=(micros,))


def _fill_network(row: dict[str, Any], network: dict[str, Any]) -> None:
    row["rtt_ms"] = network.get("rtt")
    if network.get("type") is not None:
        row["network_type"] = network_type(network["type"])
    if network.get("effective_type") is not None:
        row["effective_type"] = effective_type(network["effective_type"])


def _fill_durations(event: str, row: dict[str, Any], values: dict[str, Any]) -> None:
    if "latency_ms" in values:
        if event in HANDSHAKE_EVENTS:
            row["handshake_ms"] = values["latency_ms"]
        elif event == "poll":
            row["request_ms"] = values["latency_ms"]
    if "lifetime_ms" in values:
        row["lifetime_s"] = values["lifetime_ms"] / 1000


def _fill_ending(event: str, row: dict[str, Any], ended_by: str | None) -> None:
    """Say who ended it and why: the columns that follow from several fields."""
    text, status, code = row.get("error_text"), row.get("http_status"), row.get("close_code")
    failure = None if text is None else error_class(text)
    if event in ("poll", "error") and failure in (None, "unknown") and status is not None and status >= 400:
        failure = "http_status"
    if event == "error" and failure is None:
        failure = "unknown"
    row["error_class"] = failure
    if event in ("close", "error"):
        by_default = "client" if failure == ABORTED else "unknown" if event == "close" else None
        row["ended_by"] = ended_by or by_default
    if event == "close":
        row["close_code_source"] = "absent" if code is None else "inferred" if code in INFERRED_CODES else "wire"
