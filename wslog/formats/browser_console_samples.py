"""One line of every kind that a saved console holds about WebSockets, and what it must become."""

from __future__ import annotations

from typing import Any

from wslog.formats.contract import Sample

_URL = "wss://app.example/live?token=t0"
_CHROME = f"WebSocket connection to '{_URL}' failed: "
_DROPPED = {
    "event": "close",
    "transport": "websocket",
    "close_code": 1006,
    "close_code_source": "inferred",
    "ended_by": "unknown",
}


def _failed(kind: str, text: str | None, **more: Any) -> tuple[dict[str, Any]]:
    return (
        {"event": "error", "transport": "websocket", "event_at": None, "error_class": kind, "error_text": text, **more},
    )


SAMPLES = (
    # the reference client
    Sample("opened", "app.js:41 WebSocket连接成功", ({"event": "open", "transport": "websocket", "event_at": None},)),
    Sample("retried", "app.js:83 WebSocket重连尝试 2/3", ({"event": "retry", "retry_number": 2, "max_retries": 3},)),
    Sample(
        "retried_full_width", "WebSocket 重连尝试：1／3", ({"event": "retry", "retry_number": 1, "max_retries": 3},)
    ),
    Sample(
        "fell_back", "app.js:90 WebSocket连接失败，切换到HTTP轮询", ({"event": "fallback", "transport": "polling"},)
    ),
    Sample("opened_wide_gap", "[Log] WebSocket\u3000连接成功", ({"event": "open"},)),
    Sample("fell_back_ascii", "WebSocket 连接失败, 切换到 HTTP 轮询", ({"event": "fallback", "transport": "polling"},)),
    Sample("failed_code", "app.js:77 连接失败: 1006", (_DROPPED | {"was_clean": None, "anomaly": None},)),
    Sample("failed_code_full_width", "20:04:05.123 app.js:77 WebSocket连接失败：1006", (_DROPPED,)),
    Sample(
        "closed_code", "WebSocket关闭: 4001", ({"event": "close", "close_code": 4001, "close_code_source": "wire"},)
    ),
    Sample(
        "code_out_of_range",
        "WebSocket关闭：99",
        ({"event": "close", "close_code": 99, "anomaly": "close_code_out_of_range"},),
    ),
    Sample("opened_english", "WebSocket connected", ({"event": "open"},)),
    Sample(
        "retried_english", "WebSocket reconnect attempt 2/3", ({"event": "retry", "retry_number": 2, "max_retries": 3},)
    ),
    Sample(
        "fell_back_english",
        "WebSocket connection failed, switching to HTTP polling",
        ({"event": "fallback", "transport": "polling"},),
    ),
    Sample("failed_code_english", "app.js:77 connection failed: 1006", (_DROPPED,)),
    Sample(
        "closed_code_english",
        "WebSocket closed: 1001",
        ({"event": "close", "close_code": 1001, "close_code_source": "wire"},),
    ),
    # Chrome
    Sample(
        "chrome_refused",
        f"live.js:12 {_CHROME}Error in connection establishment: net::ERR_CONNECTION_REFUSED",
        _failed("refused", "Error in connection establishment: net::ERR_CONNECTION_REFUSED", url=_URL, ended_by=None),
    ),
    Sample("chrome_no_reason", f"live.js:12 {_CHROME}", _failed("unknown", None, url=_URL)),
    Sample(
        "chrome_left_while_connecting",
        f"(index):12 {_CHROME}WebSocket is closed before the connection is established.",
        _failed("aborted_by_page", "WebSocket is closed before the connection is established.", ended_by="client"),
    ),
    Sample(
        "chrome_left_without_url",
        "4:3000:1 WebSocket is closed before the connection is established.",
        _failed("aborted_by_page", "WebSocket is closed before the connection is established", url=None),
    ),
    Sample(
        "chrome_http_status",
        f"{_CHROME}Error during WebSocket handshake: Unexpected response code: 502",
        _failed("http_status", "Error during WebSocket handshake: Unexpected response code: 502", http_status=502),
    ),
    Sample(
        "chrome_handshake_timeout",
        f"[live.js:12] {_CHROME}WebSocket opening handshake timed out",
        _failed("timeout", "WebSocket opening handshake timed out"),
    ),
    Sample(
        "chrome_tunnel",
        f"{_CHROME}Establishing a tunnel via proxy server failed.",
        _failed("blocked_by_proxy", "Establishing a tunnel via proxy server failed."),
    ),
    Sample(
        "chrome_certificate",
        f"{_CHROME}Error in connection establishment: net::ERR_CERT_DATE_INVALID",
        _failed("tls", "Error in connection establishment: net::ERR_CERT_DATE_INVALID"),
    ),
    Sample(
        "chrome_name",
        f"{_CHROME}Error in connection establishment: net::ERR_NAME_NOT_RESOLVED",
        _failed("dns", "Error in connection establishment: net::ERR_NAME_NOT_RESOLVED"),
    ),
    Sample("chrome_frame", f"{_CHROME}Invalid frame header", _failed("protocol", "Invalid frame header")),
    Sample(
        "chrome_location_at_end",
        f"{_CHROME}Error in connection establishment: net::ERR_CONNECTION_RESET app.js:32784",
        _failed("reset", "Error in connection establishment: net::ERR_CONNECTION_RESET"),
    ),
    Sample(
        "chromium_stderr",
        f'[11506:11506:1123/200405.684843:INFO:CONSOLE:83] "{_CHROME}'
        'Error in connection establishment: net::ERR_INTERNET_DISCONNECTED", '
        "source: https://app.example/app.js (83)",
        _failed("unknown", "Error in connection establishment: net::ERR_INTERNET_DISCONNECTED", url=_URL),
    ),
    Sample(
        "chromium_stderr_old",
        '[2302:2302:1123/200405.684843:INFO:CONSOLE(77)] "连接失败: 1006", source: https://app.example/app.js (77)',
        (_DROPPED | {"event_at": None, "url": None},),
    ),
    # Firefox
    Sample(
        "firefox_failed",
        f"Firefox can’t establish a connection to the server at {_URL}. live.js:34:24",
        _failed("unknown", "Firefox can’t establish a connection to the server at", url=_URL),
    ),
    Sample(
        "firefox_failed_ascii",
        f"Firefox can't establish a connection to the server at {_URL}.  [live.js:34:24]",
        _failed("unknown", "Firefox can't establish a connection to the server at", url=_URL),
    ),
    Sample(
        "firefox_failed_localised",
        f"Firefox kann keine Verbindung zu dem Server unter {_URL} aufbauen. live.js:34:24",
        _failed("unknown", "Firefox kann keine Verbindung zu dem Server unter", url=_URL),
    ),
    Sample(
        "firefox_failed_chinese",
        f"Firefox 无法建立到 {_URL} 服务器的连接。",
        _failed("unknown", "Firefox 无法建立到", url=_URL),
    ),
    Sample(
        "firefox_interrupted",
        f"The connection to {_URL} was interrupted while the page was loading. live.js:34:24",
        ({"event": "close", "close_code": None, "close_code_source": "absent", "error_class": "unknown", "url": _URL},),
    ),
    Sample(
        "firefox_interrupted_localised",
        f"Die Verbindung zu {_URL} wurde unterbrochen, während die Seite geladen wurde.",
        ({"event": "close", "close_code_source": "absent", "url": _URL},),
    ),
    Sample(
        "firefox_interrupted_chinese",
        f"载入页面时与 {_URL} 的连接中断。",
        ({"event": "close", "close_code_source": "absent", "url": _URL},),
    ),
    # Safari
    Sample(
        "safari_refused",
        "[Error] WebSocket network error: The operation couldn’t be completed. Connection refused",
        _failed("refused", "The operation couldn’t be completed. Connection refused"),
    ),
    Sample(
        "safari_repeated",
        "[Error] WebSocket network error: The operation couldn't be completed. Socket is not connected (x2)",
        _failed("reset", "The operation couldn't be completed. Socket is not connected") * 2,
    ),
    # everything else
    Sample("other_text", "app.js:12 user list loaded"),
    Sample("stack_line", "    at WebSocket.onerror (app.js:70:13)"),
    Sample("count_badge", "3"),
    Sample("closing_state", "app.js:51 WebSocket is already in CLOSING or CLOSED state."),
)
