"""Browser consoles: which texts count, and what is taken from them."""

from __future__ import annotations

import pytest

from wslog.formats.browser_console import FORMAT, MAX_REPEATS, event_of, read_line
from wslog.formats.browser_console_words import error_class, http_status
from wslog.formats.contract import Batch, Options

from .golden import batch_of


@pytest.mark.parametrize(
    ("reason", "word"),
    [
        ("Error in connection establishment: net::ERR_CONNECTION_REFUSED", "refused"),
        ("Error in connection establishment: net::ERR_CONNECTION_RESET", "reset"),
        ("Error in connection establishment: net::ERR_CONNECTION_TIMED_OUT", "timeout"),
        ("Error in connection establishment: net::ERR_NAME_NOT_RESOLVED", "dns"),
        ("Error in connection establishment: net::ERR_CERT_AUTHORITY_INVALID", "tls"),
        ("Error in connection establishment: net::ERR_SSL_PROTOCOL_ERROR", "tls"),
        ("Error in connection establishment: net::ERR_PROXY_CONNECTION_FAILED", "blocked_by_proxy"),
        ("Error in connection establishment: net::ERR_TUNNEL_CONNECTION_FAILED", "blocked_by_proxy"),
        ("Error in connection establishment: net::ERR_INTERNET_DISCONNECTED", "unknown"),
        ("Error in connection establishment: net::ERR_NETWORK_CHANGED", "unknown"),
        ("Establishing a tunnel via proxy server failed.", "blocked_by_proxy"),
        ("Proxy authentication failed", "blocked_by_proxy"),
        ("WebSocket opening handshake timed out", "timeout"),
        ("WebSocket opening handshake was canceled", "aborted_by_page"),
        ("WebSocket is closed before the connection is established.", "aborted_by_page"),
        ("HTTP Authentication failed; no valid credentials available", "http_status"),
        ("Error during WebSocket handshake: Unexpected response code: 404", "http_status"),
        ("Error during WebSocket handshake: 'Upgrade' header is missing", "protocol"),
        ("Connection closed before receiving a handshake response", "reset"),
        ("Invalid frame header", "protocol"),
        ("Received a broken close frame containing a reserved status code.", "protocol"),
        ("Could not decode a text frame as UTF-8.", "protocol"),
        ("A server must not mask any frames that it sends to the client.", "protocol"),
        ("The operation couldn’t be completed. Socket is not connected", "reset"),
        ("The network connection was lost.", "reset"),
        ("A server with the specified hostname could not be found.", "dns"),
        ("The certificate for this server is invalid.", "tls"),
        ("", "unknown"),
    ],
)
def test_reasons(reason: str, word: str) -> None:
    assert error_class(reason) == word


@pytest.mark.parametrize(("text", "status"), [("502", 502), ("5022", None), ("99", None), ("999", None), ("x", None)])
def test_status_of_a_refused_upgrade(text: str, status: int | None) -> None:
    assert http_status(f"Error during WebSocket handshake: Unexpected response code: {text}") == status


@pytest.mark.parametrize(
    "text",
    [
        "WebSocket is already in CLOSING or CLOSED state.",
        "WebSocket message received",
        "连接失败",
        "连接失败: timeout",
        "WebSocket重连尝试",
        "DevTools listening on ws://127.0.0.1:9222/devtools/browser/0",
        "    at new WebSocket (app.js:1:2)",
        "WebSocket connectedness",
        "Firefox is great",
    ],
)
def test_other_text(text: str) -> None:
    assert event_of(text) is None


def test_what_stands_around_a_text_does_not_matter() -> None:
    for line in (
        "连接失败: 1006",
        "[ws] 连接失败: 1006",
        "12:00:01 app.js:7 连接失败: 1006",
        "连接失败: 1006  [app.js:7:3]",
    ):
        row = event_of(line)
        assert row is not None
        assert (row["event"], row["close_code"]) == ("close", 1006)


def test_a_url_in_a_reason_is_cut() -> None:
    row = event_of("WebSocket connection to 'wss://a/' failed: see https://a/?token=s for more")
    assert row is not None
    assert row["error_text"] == "see … for more"


def test_repeats_are_bounded() -> None:
    assert len(read_line("[Log] WebSocket连接成功 (x999999999)".encode()).rows) == MAX_REPEATS
    assert len(read_line("[Log] WebSocket连接成功 (x0)".encode()).rows) == 1


def test_claims_want_a_strong_text() -> None:
    def claim(text: str) -> str:
        return FORMAT.claims(batch_of(text.encode()), Options())

    assert claim("app started\n连接失败: 1006\n")
    assert claim("Firefox can't establish a connection to the server at ws://a/.\n")
    assert not claim("INFO WebSocket connected\nINFO connection failed: 1006\n")
    assert not claim('{"message": "WebSocket连接成功"}\n')
    assert not claim('1.2.3.4 - - "GET /?WebSocket连接成功 HTTP/1.1" 200 3\n' * 3 + "WebSocket连接成功\n")


def test_no_line_has_a_time() -> None:
    batch = Batch.of("20:04:05.123 app.js:1 WebSocket连接成功\n".encode())
    parsed = FORMAT.reader(Options(), batch).exact(batch)
    assert parsed.observed is None
    assert parsed.events is not None
    assert parsed.events["event_at"].null_count == 1
