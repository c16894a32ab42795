"""Saved text of a browser's console: Chrome, Firefox and Safari, "Save as…", copied, or Chromium's stderr.

A line becomes an event by the text it holds, wherever in the line it stands: a source location (``app.js:83``,
``[app.js:83]``), a time of day, Safari's ``[Error]``, Chromium's ``[pid:tid:MMDD/HHMMSS.us:INFO:CONSOLE:83]`` or a
tag of the application may stand around it. The texts are in :mod:`wslog.formats.browser_console_words`: those of the
browsers, and those of the reference client (Chinese, with full-width or ASCII punctuation, and English).

No line carries a date with a year, so no event has a time: ``event_at`` is null and the order of lines is the order of
events. That holds for a time of day, and for Chromium's month and day too. The file is one session.

Guesses made where the texts do not tell:

* A code printed by the page is ``inferred`` when it is 1005, 1006 or 1015 (a browser's own verdict), else ``wire``.
* Firefox's "can't establish a connection" names no cause: ``error`` with class unknown. Its "was interrupted while the
  page was loading" is written for an open connection that is lost and for one that ends because the page is left: a
  ``close`` without a code, class unknown.
* ``(x2)`` of Safari stands for two equal lines and gives two events (1,000 at most).
* Chrome elides long URLs (``…``): what is left is kept.

All other text (stack lines, count badges, other messages) is ignored, never rejected.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import numpy as np
import pyarrow.compute as pc

from wslog.formats.browser_console_samples import SAMPLES
from wslog.formats.browser_console_words import (
    APPLICATION,
    CHROME,
    CHROME_BARE,
    FIREFOX_FAILED,
    FIREFOX_INTERRUPTED,
    IS_CHINESE,
    SAFARI,
    error_class,
    http_status,
)
from wslog.formats.contract import Batch, BoolArray, Clock, Format, Line, LineReader, Options, Parsed, Stamp

INFERRED_CODES = (1005, 1006, 1015)
MAX_REPEATS = 1000
MAX_REASON = 500
MAX_KNOWN_BYTES = 1024

# what every text that becomes an event holds: one linear pass over the batch leaves the rest of a console out
SCREEN = (
    r"(?i:websocket)(?: |\t|\x{e3}\x{80}\x{80})*"
    r"(?:连接|重连|关闭|(?i:connect|reconnect|closed|is closed before|network error))"
    r"|连接失败|(?i:connection failed)|wss?://"
).encode()

_CHROMIUM = re.compile(r':CONSOLE[:(][0-9]+\)?\] "(?P<text>.*?)(?:", source: [^"]*)?$')
_REPEAT = re.compile(r"[ \t]\(x([0-9]{1,9})\)[ \t]*$")
_LOCATION = re.compile(r"[ \t](?:\[[^\[\] ]+:[0-9]+\]|[^ :]+:[0-9]+(?::[0-9]+)?)[ \t]*$")
_ANY_URL = re.compile(r"\b(?:wss?|https?)://[^\s'\"]+")
_FOREIGN = re.compile(rb'^\s*\{|HTTP/[0-9](?:\.[0-9])?"')


class ConsoleReader(LineReader):
    """Reader of one saved console; it has no options."""

    def fast(self, batch: Batch) -> tuple[Parsed, BoolArray]:
        doubt = pc.match_substring_regex(batch.text(), SCREEN).to_numpy(zero_copy_only=False)
        others = len(doubt) - int(np.count_nonzero(doubt))
        return Parsed(ignored={"other_text": others} if others else {}), doubt

    def line(self, text: bytes) -> Line:
        return _known(text) if len(text) <= MAX_KNOWN_BYTES else read_line(text)


def read_line(text: bytes) -> Line:
    """Read one line: pure, a console repeats itself and so the verdicts on short lines are remembered."""
    try:
        decoded, anomaly = text.decode("utf-8"), None
    except UnicodeDecodeError:
        decoded, anomaly = text.decode("utf-8", "backslashreplace"), "invalid_utf8"
    wrapped = _CHROMIUM.search(decoded)
    message = wrapped["text"] if wrapped else decoded
    repeat = _REPEAT.search(message)
    if repeat:
        message = message[: repeat.start()]
    row = event_of(message)
    if row is None:
        return Line(ignored="other_text")
    row = {"transport": "websocket", **row}
    row["anomaly"] = row.get("anomaly") or anomaly
    return Line(rows=(row,) * min(max(int(repeat[1]), 1) if repeat else 1, MAX_REPEATS))


_known = lru_cache(maxsize=4096)(read_line)


def event_of(message: str) -> dict[str, Any] | None:
    """Return the row of one console message without what the console wrote around it; None for other text."""
    browser = _of_browser(message)
    if browser is not None:
        return browser
    for event, pattern in APPLICATION:
        found = pattern.search(message)
        if found:
            return {"event": event, **_APPLICATION_ROWS[event](found)}
    return None


def _retry(found: re.Match[str]) -> Mapping[str, Any]:
    return {"retry_number": int(found["retry"]), "max_retries": int(found["retries"])}


def _close(found: re.Match[str]) -> Mapping[str, Any]:
    code = int(found["code"])
    return {
        "close_code": code,
        "close_code_source": "inferred" if code in INFERRED_CODES else "wire",
        "ended_by": "unknown",
        "anomaly": None if 1000 <= code <= 4999 else "close_code_out_of_range",
    }


_APPLICATION_ROWS = {
    "fallback": lambda _: {"transport": "polling"},
    "retry": _retry,
    "open": lambda _: {},
    "close": _close,
}


def _of_browser(message: str) -> dict[str, Any] | None:
    """Return the row of a text that the browser itself wrote."""
    found = CHROME.search(message)
    if found:
        return _error(found["reason"] or "") | {"url": found["url"]}
    found = SAFARI.search(message)
    if found:
        return _error(found["reason"] or "")
    found = CHROME_BARE.search(message)
    if found:
        return _error(found[0])
    found = FIREFOX_INTERRUPTED.search(message)
    if found:
        return {
            "event": "close",
            "close_code_source": "absent",
            "ended_by": "unknown",
            "error_class": "unknown",
            "url": found["url"].rstrip(".,;。，"),
        }
    found = FIREFOX_FAILED.search(message)
    if found:
        return {
            "event": "error",
            "error_class": "unknown",
            "error_text": message[found.start() : found.start("url")].strip(),
            "url": found["url"].rstrip(".,;。，"),
        }
    return None


def _error(reason: str) -> dict[str, Any]:
    """Return the row of a failure with the browser's reason, its source location and URLs taken off."""
    text = _ANY_URL.sub("…", _LOCATION.sub("", reason[:MAX_REASON])).strip()
    kind = error_class(text)
    return {
        "event": "error",
        "error_class": kind,
        "error_text": text or None,
        "http_status": http_status(text),
        "ended_by": "client" if kind == "aborted_by_page" else None,
    }


def claims(head: Batch, options: Options) -> str:
    """Claim a head with a text of a browser or of the reference client, unless it is JSON or an access log."""
    lines = [line for _, line in head.lines() if line.strip()]
    foreign = sum(1 for line in lines if _FOREIGN.search(line))
    if not lines or lines[0].lstrip().startswith(b"{") or 2 * foreign > len(lines):
        return ""
    count = sum(1 for line in lines if not _FOREIGN.search(line) and is_strong(line))
    return f"{count} of {len(lines)} lines are console texts about a WebSocket" if count else ""


def is_strong(line: bytes) -> bool:
    """Tell whether nobody but a browser or the reference client writes this; its English lines could be anybody's."""
    text = line.decode("utf-8", "replace")
    return bool(IS_CHINESE.search(text)) or _of_browser(text) is not None


FORMAT = Format(
    name="browser_console",
    version=1,
    side="client",
    title="Saved browser console (Chrome, Firefox, Safari, Chromium stderr)",
    source="no specification; texts of Chromium net/websockets, Gecko appstrings.properties, WebKit SocketStreamHandle",
    clock=Clock(Stamp.EVENT, "none", 1.0),
    needles=("连接".encode(), "重连".encode(), "关闭".encode(), b"WebSocket", b"ws://", b"wss://"),
    claims=claims,
    reader=lambda options, head: ConsoleReader(),
    samples=SAMPLES,
)
