"""Texts of the browser console: which one says what happened to a WebSocket, and which class a failure has.

The Chrome reasons are those of Chromium's ``net/websockets`` and ``content/browser/websockets``; its ``net::ERR_``
names those of ``net/base/net_error_list.h``. The Safari texts are those of CFNetwork's error descriptions.
"""

from __future__ import annotations

import re

_GAP = "[ \t\u3000]{0,8}"  # bounded: a long run of blanks must not make the search quadratic
_COLON = f"{_GAP}[:：]{_GAP}"
_CODE = r"(?P<code>[0-9]{1,5})(?![0-9A-Za-z]|\.[0-9])"
_OF = f"(?P<retry>[0-9]{{1,9}}){_GAP}[/／]{_GAP}(?P<retries>[0-9]{{1,9}})(?![0-9])"

# The lines of the reference client, in Chinese and in English. The first pattern found decides; the names of the
# groups say what is read. A line "failed, switching to polling" must be tried before the plain failure.
#
# ============  =====================================  ====================================================
# event         Chinese                                English
# ============  =====================================  ====================================================
# fallback      WebSocket连接失败，切换到HTTP轮询       WebSocket connection failed, switching to HTTP polling
# retry         WebSocket重连尝试 2/3                  WebSocket reconnect attempt 2/3
# open          WebSocket连接成功                      WebSocket connected
# close         连接失败: 1006                         connection failed: 1006
# close         WebSocket关闭: 4001                    WebSocket closed: 4001
# ============  =====================================  ====================================================
APPLICATION = tuple(
    (event, re.compile(pattern))
    for event, pattern in (
        ("fallback", f"WebSocket{_GAP}连接失败{_GAP}[,，、]?{_GAP}切换到{_GAP}HTTP{_GAP}轮询"),
        (
            "fallback",
            r"(?i:WebSocket connection failed[,;:]? (?:switching|switched|falling back|fell back) to "
            r"(?:HTTP )?polling)",
        ),
        ("retry", f"WebSocket{_GAP}重连尝试{_GAP}[:：]?{_GAP}{_OF}"),
        ("retry", f"(?i:WebSocket reconnect(?:ion)? attempt):?{_GAP}{_OF}"),
        ("open", f"WebSocket{_GAP}连接成功"),
        ("open", r"(?i:WebSocket (?:connected|connection (?:established|opened|succeeded)))(?![A-Za-z])"),
        ("close", f"(?:WebSocket{_GAP})?连接失败{_COLON}{_CODE}"),
        ("close", f"WebSocket{_GAP}(?:连接)?关闭{_COLON}{_CODE}"),
        ("close", f"(?i:(?:WebSocket )?connection failed){_COLON}{_CODE}"),
        ("close", f"(?i:WebSocket (?:connection )?closed){_COLON}{_CODE}"),
    )
)
"""(event, pattern) in the order in which they are tried."""

IS_CHINESE = re.compile(f"WebSocket{_GAP}(?:连接|重连|关闭)|连接失败{_COLON}[0-9]")

CHROME = re.compile(r"WebSocket connection to '(?P<url>[^']*)' failed(?::[ \t]*(?P<reason>.*)|(?![A-Za-z ]).*)")
CHROME_BARE = re.compile(r"WebSocket is closed before the connection is established")
SAFARI = re.compile(r"WebSocket network error(?::[ \t]*(?P<reason>.*)|(?![A-Za-z ]).*)")

# Firefox translates both of its texts. In every language seen the first begins with its name and holds the URL; the
# second is known in English, German, French and Chinese.
_URL = r"(?<!\S)(?P<url>wss?://\S+)"
FIREFOX_FAILED = re.compile(rf"Firefox[^\"]{{1,160}}?{_URL}")
FIREFOX_INTERRUPTED = re.compile(
    rf"{_URL}\s(?:was interrupted while|wurde unterbrochen, während|a été interrompue pendant|的连接(?:被)?中断)"
)

ERROR_CLASSES = tuple(
    (re.compile(pattern, re.IGNORECASE), word)
    for pattern, word in (
        (r"closed before the connection is established|handshake was cancel+ed|net::ERR_ABORTED", "aborted_by_page"),
        (r"Unexpected response code|HTTP Authentication failed|bad response from the server", "http_status"),
        (r"tunnel|proxy|net::ERR_SOCKS|\bSOCKS\b", "blocked_by_proxy"),
        (r"timed? ?out|net::ERR_(?:CONNECTION_)?TIMED_OUT", "timeout"),
        (r"net::ERR_(?:CERT|SSL|BAD_SSL)|certificate|\bSSL\b|\bTLS\b|secure connection", "tls"),
        (r"net::ERR_(?:NAME_|DNS_|ICANN)|hostname could not be found", "dns"),
        (r"refused", "refused"),
        (
            r"net::ERR_(?:CONNECTION_(?:RESET|CLOSED|ABORTED)|EMPTY_RESPONSE|SOCKET_NOT_CONNECTED)|reset by peer"
            r"|connection was lost|socket is not connected|broken pipe|connection abort"
            r"|closed before receiving a handshake response",
            "reset",
        ),
        (
            r"during WebSocket handshake|frame|reserved|opcode|mask|UTF-8|after close"
            r"|net::ERR_(?:INVALID|HTTP2|QUIC|WS_)|subprotocol|handshake response",
            "protocol",
        ),
    )
)
"""(pattern, class): the first that is found in a reason decides; none: unknown."""

_STATUS = re.compile(r"Unexpected response code: ([1-5][0-9]{2})(?![0-9])")


def error_class(reason: str) -> str:
    """Return the class of a browser's reason; ``unknown`` when the text tells none."""
    return next((word for pattern, word in ERROR_CLASSES if pattern.search(reason)), "unknown")


def http_status(reason: str) -> int | None:
    """Return the status of the answer that was no upgrade, when the reason names it."""
    found = _STATUS.search(reason)
    return int(found[1]) if found else None
