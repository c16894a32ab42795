"""``wslog_client``: what is rejected, the published JSON Schema, and both paths alike on generated and spoilt lines.

``WSLOG_FUZZ=N pytest tests/formats/test_wslog_client.py`` makes N times as many cases of the last kind.
"""

from __future__ import annotations

import json
import os
from typing import Any

import jsonschema
import numpy as np
import pytest

from wslog.formats.contract import Batch, Options, Parsed, parse
from wslog.formats.json_lines import FEW_LINES
from wslog.formats.wslog_client import FORMAT, SAMPLES, WslogClientReader, json_schema
from wslog.formats.wslog_client_rules import NETWORK_TYPES, error_class, network_type
from wslog.formats.wslog_client_times import UNREADABLE, read_times
from wslog.formats.wslog_client_values import decimals, integers

from .golden import batch_of, event_rows, reject_rows

FUZZ = int(os.environ.get("WSLOG_FUZZ", "1"))
READER = WslogClientReader()
START = '{"ts":"2026-11-23T08:00:00.000Z","event":"close"'


def read_both(data: bytes) -> Parsed:
    """Read bytes by both paths, which must say the same."""
    batch = batch_of(data)
    parsed, exact = parse(READER, batch), READER.exact(batch)
    assert event_rows(parsed) == event_rows(exact)
    assert reject_rows(parsed) == reject_rows(exact)
    assert parsed.observed == exact.observed
    assert parsed.line_count == exact.line_count == len(batch)
    return parsed


def one_row(text: str) -> dict[str, Any]:
    parsed = read_both(text.encode())
    assert parsed.events is not None, (parsed.rejects, parsed.ignored)
    rows: list[dict[str, Any]] = parsed.events.to_pylist()
    return rows[0]


# --- rejects ------------------------------------------------------------------------------------------------------

REJECTED = {
    "json": [
        b"not json",
        b"[1]",
        b"5",
        b"null",
        b'"text"',
        b"{",
        b'{"ts":1795420800000,"event":"open"',
        b'{"ts":1795420800000,"event":"open"} x',
        b'{"ts":1795420800000,"event":"open"}{"ts":1795420800000,"event":"open"}',
        b'{"ts":1795420800000,"event":"open"},',
        b'{"ts":1795420800000,"event":"open",}',
        b'{"ts":1795420800000,"event":"open","x":[1,]}',
        b'{"ts":1795420800000,"event":"open","x":NaN}',
        b'{"ts":1795420800000,"event":"open","x":Infinity}',
        b'{"ts":1795420800000,"event":"open","x":-inf}',
        b'{"ts":1795420800000,"event":"open","x":1e999}',
        b'{"ts":1795420800000,"event":"open","x":01}',
        b'{"ts":1795420800000,"event":"open","x":+1}',
        b'{"ts":1795420800000,"event":"open","x":1.}',
        b'{"ts":1795420800000,"event":"open","x":.5}',
        b'{"ts":1795420800000,"event":"open","x":0x10}',
        b'{"ts":1795420800000,"event":"open","x":True}',
        b'{"ts":1795420800000,"event":"open" /* no */}',
        b"{'ts':1795420800000,'event':'open'}",
        b'{ts:1795420800000,"event":"open"}',
        b'{"ts":1795420800000 "event":"open"}',
        b'{"ts":1795420800000,"event":"open","x":"\xff"}',
        b'{"ts":1795420800000,"event":"open","x":"\xc0\x80"}',
        b'{"ts":1795420800000,"event":"open","x":"\xed\xa0\x80"}',
        b'{"ts":1795420800000,"event":"open","x":"\\ud800"}',
        b'{"ts":1795420800000,"event":"open","x":"\\q"}',
        b'{"ts":1795420800000,"event":"open","x":"a\x01b"}',
        b'{"ts":1795420800000,"event":"open","x":"a\tb"}',
        b'{"ts":1795420800000,\xef\xbb\xbf"event":"open"}',
        b'{"ts":1795420800000,\xc2\xa0"event":"open"}',
        b'{"ts":1795420800000,"event":"open","x":' + b"[" * 2000 + b"]" * 2000 + b"}",
    ],
    "fields": [
        b"{}",
        b'{"ts":1795420800000}',
        b'{"event":"open"}',
        b'{"ts":null,"event":"open"}',
        b'{"ts":1795420800000,"event":null}',
    ],
    "time": [
        f'{{"ts":"{text}","event":"open"}}'.encode()
        for text in """
            |yesterday|1795420800000|2026-11-23|2026-11-23T08:00:00|2026-11-23T08:00Z|2026-02-29T08:00:00Z
            |2026-13-01T08:00:00Z|2026-00-01T08:00:00Z|2026-11-00T08:00:00Z|2026-11-31T08:00:00Z|2026-11-23T24:00:00Z
            |2026-11-23T08:60:00Z|2016-12-31T23:59:60Z|2026-11-23T08:00:00.Z|2026-11-23T08:00:00.1234567890Z
            |2026-11-23T08:00:00+08|2026-11-23T08:00:00+24:00|2026-11-23T08:00:00+08:60|2026-11-23T08:00:00.000z |
            | 2026-11-23T08:00:00.000Z|2026/11/23T08:00:00.000Z|٢٠٢٦-11-23T08:00:00.000Z|0000-11-23T08:00:00Z
        """.replace("\n            |", "|")
        .strip("\n ")
        .split("|")
    ],
    "time_range": [
        f'{{"ts":{text},"event":"open"}}'.encode()
        for text in """
            "1989-12-31T23:59:59.999Z" "2100-01-01T00:00:00Z" "1990-01-01T00:00:00+00:01" "0001-01-01T00:00:00Z"
            "9999-12-31T23:59:59Z" 0 -1 1795420800 4102444800000 631151999999 1e300 18446744073709551615
            123456789012345678901234567890 1795420800000000
        """.split()  # noqa: SIM905
    ],
    "value": [
        b'{"ts":true,"event":"open"}',
        b'{"ts":[],"event":"open"}',
        b'{"ts":{},"event":"open"}',
        b'{"ts":1795420800000,"event":5}',
        b'{"ts":1795420800000,"event":["open"]}',
        *(
            f"{START},{member}}}".encode()
            for member in """
                "code":"abc" "code":"1006" "code":1006.5 "code":true "code":2147483648 "code":-2147483649 "code":[]
                "code":{} "code":18446744073709551616 "attempt":-1 "attempt":1.5 "status":1000 "status":-1 "retry":"2"
                "max_retries":false "session":5 "session":{} "connection":[1] "url":1e3 "ua":true "reason":0
                "error":1006 "request_id":1 "transport":"pigeon" "transport":1 "ended_by":"me" "was_clean":"true"
                "was_clean":1 "latency_ms":"5" "latency_ms":true "lifetime_ms":[] "delay_ms":{} "network":"wifi"
                "network":[] "network":1 "network":{"type":5} "network":{"effective_type":4} "network":{"rtt":"50"}
                "network":{"type":{}} "network":false "sample_weight":0 "sample_weight":-1 "sample_weight":"2"
                "messages_sent":-1 "messages_received":0.5 "messages_sent":9223372036854775808 "buffered_amount":"0"
                "longest_inbound_silence_ms":"x"
            """.split()  # noqa: SIM905
        ),
    ],
}


@pytest.mark.parametrize(("reason", "line"), [(r, line) for r, lines in REJECTED.items() for line in lines])
def test_rejected(reason: str, line: bytes) -> None:
    assert [r.reason for r in read_both(line + b"\n").rejects] == [reason]


def test_rejected_among_many_good_lines() -> None:
    """A bad line must not hide among lines of the same shape."""
    good = [
        START.encode() + b',"code":%d,"network":{"type":"wifi"},"x":%d}' % (1000 + i % 12, i)
        for i in range(3 * FEW_LINES)
    ]
    bad = [(reason, line) for reason, lines in REJECTED.items() for line in lines]
    lines = [line for i, (_, line) in enumerate(bad) for line in (good[i % len(good)], line)]
    parsed = read_both(b"\n".join(lines))
    assert [r.reason for r in parsed.rejects] == [reason for reason, _ in bad]
    assert parsed.event_lines == len(bad)


# --- meaning ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("net::ERR_NAME_NOT_RESOLVED", "dns"),
        ("getaddrinfo ENOTFOUND ws.example.com", "dns"),
        ("net::ERR_CONNECTION_REFUSED", "refused"),
        ("connect ECONNREFUSED 127.0.0.1:9", "refused"),
        ("net::ERR_CONNECTION_RESET", "reset"),
        ("read ECONNRESET", "reset"),
        ("WebSocket opening handshake timed out", "timeout"),
        ("net::ERR_CERT_DATE_INVALID", "tls"),
        ("net::ERR_SSL_PROTOCOL_ERROR", "tls"),
        ("Error during WebSocket handshake: Unexpected response code: 502", "http_status"),
        ("Expected HTTP 101 response but was '502 Bad Gateway'", "http_status"),
        ("net::ERR_PROXY_CONNECTION_FAILED", "blocked_by_proxy"),
        ("Establishing a tunnel via proxy server failed.", "blocked_by_proxy"),
        ("page_left", "aborted_by_page"),
        ("pagehide", "aborted_by_page"),
        ("WebSocket is closed before the connection is established.", "aborted_by_page"),
        ("something else", "unknown"),
    ],
)
def test_error_class(text: str, expected: str) -> None:
    assert error_class(text) == expected
    assert one_row(START[:-6] + f'error","error":"{text}"}}')["error_class"] == expected


@pytest.mark.parametrize(
    ("word", "expected"), [*NETWORK_TYPES.items(), ("WIFI", "wifi"), ("bluetooth", "other"), ("5G", "cellular")]
)
def test_network_type(word: str, expected: str) -> None:
    assert network_type(word) == expected
    assert one_row(START + f',"network":{{"type":"{word}"}}}}')["network_type"] == expected


@pytest.mark.parametrize(
    ("members", "expected"),
    [
        ('"code":1000', {"close_code": 1000, "close_code_source": "wire", "anomaly": None, "ended_by": "unknown"}),
        ('"code":1000.0', {"close_code": 1000, "close_code_source": "wire"}),
        ('"code":1e3', {"close_code": 1000, "close_code_source": "wire"}),
        ('"code":1015', {"close_code_source": "inferred", "anomaly": None}),
        ('"code":0', {"close_code": 0, "close_code_source": "wire", "anomaly": "close_code_out_of_range"}),
        ('"code":999', {"anomaly": "close_code_out_of_range"}),
        ('"code":4999', {"anomaly": None}),
        ('"code":5000,"lifetime_ms":-1', {"anomaly": "close_code_out_of_range", "lifetime_s": -0.001}),
        ('"code":-2147483648', {"close_code": -2147483648, "anomaly": "close_code_out_of_range"}),
        ('"code":null,"code":1006,"code":null', {"close_code": None, "close_code_source": "absent"}),
        ('"code":1006,"code":1001', {"close_code": 1001}),
        ('"lifetime_ms":-0.0', {"lifetime_s": 0.0, "anomaly": None}),
        ('"latency_ms":-5', {"handshake_ms": -5.0, "anomaly": "negative_duration"}),
        ('"network":{"rtt":-1}', {"rtt_ms": -1.0, "anomaly": "negative_duration"}),
        ('"network":{"effective_type":"5g","more":{"type":"x"}}', {"effective_type": None, "network_type": None}),
        ('"network":{},"network":{"type":"wifi"}', {"network_type": "wifi"}),
        ('"network":{"type":"wifi"},"network":null', {"network_type": None}),
        ('"network.type":"wifi","type":"wifi"', {"network_type": None}),
        ('"x":{"code":1006,"network":{"type":"wifi"}},"y":[{"code":1}]', {"close_code": None, "network_type": None}),
        ('"CODE":1006,"Session":"s"', {"close_code": None, "session_id": None}),
        ('"session":"","reason":""', {"session_id": None, "close_reason": None}),
        ('"session":"12","connection":"1e3"', {"session_id": "12", "connection_id": "1e3"}),
        ('"request_id":"true"', {"request_id": "true"}),
        ('"reason":"\\u767b\\u5f55"', {"close_reason": "登录"}),
        ('"re\\u0061son":"x"', {"close_reason": "x"}),
        ('"error":"page_left"', {"ended_by": "client", "error_class": "aborted_by_page"}),
        ('"error":"page_left","ended_by":"network"', {"ended_by": "network"}),
        ('"status":502', {"http_status": 502, "error_class": None}),
        ('"was_clean":null', {"was_clean": None}),
        ('"transport":"sse"', {"transport": "sse"}),
        ('"messages_sent":9223372036854775807', {"sent_count": 9223372036854775807}),
        ('"messages_sent":9007199254740993', {"sent_count": 9007199254740993}),
        ('"sample_weight":0.5', {"sample_weight": 0.5}),
        ('"lifetime_ms":12345678901234567890123', {"lifetime_s": 12345678901234567890123 / 1000}),
    ],
)  # fmt: skip
def test_members(members: str, expected: dict[str, Any]) -> None:
    row = one_row(START + "," + members + "}")
    assert {name: row[name] for name in expected} == expected


@pytest.mark.parametrize(
    ("event", "members", "expected"),
    [
        ("error", "", {"error_class": "unknown", "ended_by": None, "transport": "websocket"}),
        ("error", ',"status":404', {"error_class": "http_status"}),
        ("error", ',"status":404,"error":"net::ERR_CONNECTION_RESET"', {"error_class": "reset"}),
        ("error", ',"status":302', {"error_class": "unknown"}),
        ("error", ',"error":"pagehide"', {"ended_by": "client"}),
        ("poll", ',"status":399', {"error_class": None, "transport": "polling"}),
        ("poll", ',"status":400,"error":"odd"', {"error_class": "http_status"}),
        ("poll", ',"latency_ms":7', {"request_ms": 7.0, "handshake_ms": None}),
        ("retry", ',"latency_ms":7', {"request_ms": None, "handshake_ms": None, "transport": "websocket"}),
        ("open", ',"ended_by":"server","code":1000', {"ended_by": None, "close_code_source": None, "close_code": 1000}),
        ("network", "", {"transport": None}),
        ("fallback", "", {"transport": "polling"}),
    ],
)  # fmt: skip
def test_events(event: str, members: str, expected: dict[str, Any]) -> None:
    row = one_row(f'{{"ts":1795420800000,"event":"{event}"{members}}}')
    assert {name: row[name] for name in expected} == expected


def test_unknown_event_is_ignored_but_its_time_counts() -> None:
    parsed = read_both(b'{"ts":1795420800000,"event":"heartbeat","code":"abc"}\n{"ts":1795420800001,"event":""}')
    assert parsed.ignored == {"unknown_event": 2}
    assert parsed.observed == (1795420800000000, 1795420800001000)


@pytest.mark.parametrize(
    ("text", "micros"),
    [
        ("1970-01-01T00:00:00Z", 0),
        ("2026-11-23T08:00:00.1Z", 1795420800_100000),
        ("2026-11-23 08:00:00.123456789Z", 1795420800_123456),
        ("2026-11-23T16:30:00.000+08:30", 1795420800_000000),
        ("2026-11-22T22:00:00.000-10:00", 1795420800_000000),
        ("2024-02-29T00:00:00.001000+00:00", 1709164800_001000),
        ("2023-02-29T00:00:00.000Z", UNREADABLE),
        ("2026-11-23T08:00:00.000+0800", UNREADABLE),
        ("2026-11-23t08:00:00.000z", UNREADABLE),
    ],
)
def test_read_times(text: str, micros: int) -> None:
    data = np.frombuffer(b"padding " + text.encode() + b" padding", np.uint8)
    assert read_times(data, np.array([8]), np.array([len(text)])).tolist() == [micros]


NUMBERS = [
    "0",
    "7",
    "12345678",
    "123456789",
    "1234567890123456",
    "12.5",
    "-0",
    "-1.25",
    "0.001",
    "99999999.99",
    "1" * 17,
    "1" * 24,
]
NO_NUMBERS = [
    "",
    "-",
    ".5",
    "5.",
    "01",
    "-01",
    "1.2.3",
    "1e3",
    "+1",
    "nan",
    "inf",
    "1" * 25,
    "12a4",
    "1-2",
    " 1",
    "--1",
    "-.5",
    "٣",
]


def test_numbers_are_read_as_python_reads_them() -> None:
    texts = [t.encode() for t in NUMBERS + NO_NUMBERS]
    data = np.frombuffer(b"        " + b",".join(texts) + b"        ", np.uint8)
    sizes = np.array([len(t) for t in texts])
    starts = 8 + np.cumsum(sizes + 1) - sizes - 1
    values, good = decimals(data, starts, sizes)
    assert good.tolist() == [True] * len(NUMBERS) + [False] * len(NO_NUMBERS)
    assert values[good].tolist() == [float(t) for t in NUMBERS]
    whole, is_whole = integers(data, starts, sizes)
    assert [t for t, fine in zip(NUMBERS, is_whole, strict=False) if fine] == [
        t for t in NUMBERS if t.isdigit() and len(t) <= 16
    ]
    assert whole[is_whole].tolist() == [int(t) for t in NUMBERS if t.isdigit() and len(t) <= 16]


# --- the published schema -------------------------------------------------------------------------------------------


def test_schema_is_valid_and_fits_the_samples() -> None:
    jsonschema.Draft202012Validator.check_schema(json_schema())
    validator = jsonschema.Draft202012Validator(json_schema())
    for sample in SAMPLES:
        validator.validate(json.loads(sample.text))


@pytest.mark.parametrize("line", [x for r in ("fields", "time", "time_range", "value") for x in REJECTED[r]])
def test_schema_refuses_what_is_rejected(line: bytes) -> None:
    """Except what a schema cannot say: days of a month, times outside the window as text."""
    value = json.loads(line)
    if value.get("ts") in ("2026-02-29T08:00:00Z", "2026-11-31T08:00:00Z", "0000-11-23T08:00:00Z"):
        return
    if isinstance(value.get("ts"), str) and line in REJECTED["time_range"]:
        return
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.Draft202012Validator(json_schema()).validate(value)


def test_claims() -> None:
    other = b'{"time":"2026-11-23T08:00:00Z","msg":"x"}\n'
    ours = b'{"ts":1795420800000,"event":"open"}\n'
    odd = b'{"ts":1795420800000,"event":"click"}\n'
    assert FORMAT.claims(Batch.of(ours * 3 + other), Options())
    assert not FORMAT.claims(Batch.of(ours + other * 2), Options())
    assert not FORMAT.claims(Batch.of(ours + odd * 3), Options())
    assert not FORMAT.claims(Batch.of(b""), Options())
