"""The simulated world as log lines: one function per format turns a record into a line.

``wslog_client``
    What the client tells, one JSON object a line (:mod:`wslog.formats.wslog_client`), by the client's clock in ms, in the order
    in which the collector received them. Of the polls it tells the first, the last that failed and the first that did not.
``nginx_access``
    The log of the front end ``nginx``, in :data:`NGINX_LOG_FORMAT`: a line at the end of each WebSocket request.
``haproxy_http``
    The log of the front end ``haproxy``: ``option httplog`` behind syslog, times in UTC without zone.

Both front ends leave polls out of their logs, and write nothing for a request that is open when the logs end.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

import orjson

from wslog.simulate.mess import Hand
from wslog.simulate.records import (
    ANSWERED,
    CLIENT_LEFT,
    CLIENT_RESET,
    CLOSED,
    IDLE,
    REFUSED,
    SERVER_RESET,
    Attempt,
    Entry,
    Life,
)
from wslog.simulate.world import DAY, FRONT_ENDS, User

PATH = "/ws/room"
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")

NGINX_LOG_FORMAT = (
    '$remote_addr - $remote_user [$time_local] "$request" $status $body_bytes_sent "$http_referer" "$http_user_agent" '
    'rt=$request_time uht="$upstream_header_time" us="$upstream_status" up="$http_upgrade" ok="$request_completion" msec=$msec'
)
NGINX_CONF = f"""# Written by wslog simulate: how the lines of nginx_access-*.log are laid out.
events {{}}
http {{
    log_format simulated '{NGINX_LOG_FORMAT}';
    server {{
        listen 443 ssl;
        location /ws/ {{ proxy_pass http://app; access_log /var/log/nginx/access.log simulated; }}
        location /poll {{ proxy_pass http://app; access_log off; }}
    }}
}}
"""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@cache
def day_of(day: int) -> str:
    """Return a day since 1970 as an ISO date."""
    return (_EPOCH + timedelta(days=day)).date().isoformat()


@cache
def _minute(minute: int) -> tuple[str, str, str]:
    """Return the begin of a minute as ISO 8601 puts it, as HTTP logs do, and as syslog does; seconds follow."""
    at = _EPOCH + timedelta(minutes=minute)
    month, clock = MONTHS[at.month - 1], f"{at.hour:02}:{at.minute:02}:"
    return f"{at.date().isoformat()}T{clock}", f"{at.day:02}/{month}/{at.year}:{clock}", f"{month} {at.day:2} {clock}"


def _clock(at_us: int, kind: int) -> tuple[str, int]:
    """Return a time down to the second in one of the spellings of :func:`_minute`, and its milliseconds."""
    ms = at_us // 1000
    minute, rest = divmod(ms, 60_000)
    return f"{_minute(minute)[kind]}{rest // 1000:02}", rest % 1000


def target(attempt: Attempt) -> str:
    """Return the request target; its query joins the two sides."""
    return f"{PATH}?session={attempt.session_id}&connection={attempt.connection_id}&attempt={attempt.number}"


# --- client ----------------------------------------------------------------------------------------------------


def client_line(entry: Entry, session_id: str, user: User, sampling: float, late_us: int = 0) -> bytes:
    """Return one line of telemetry, in the time of the device's clock; ``late_us`` after the event it tells."""
    second, ms = _clock(entry.at_us + user.device_offset_us + late_us, 0)
    line: dict[str, Any] = {"ts": f"{second}.{ms:03}Z", "session": session_id, "event": entry.event}
    attempt = entry.attempt
    if attempt is not None:
        line |= {
            "connection": attempt.connection_id,
            "attempt": attempt.number,
            "retry": attempt.retry_number,
            "transport": "websocket",
        }
        line |= _CLIENT_FIELDS[entry.event](attempt, user)
    line |= entry.fields
    network = entry.network
    if user.tells_network:
        line["network"] = {"type": network.type, "effective_type": network.effective_type, "rtt": network.rtt_ms}
    if sampling < 1.0:
        line["sample_weight"] = 1.0 / sampling
    return orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE)


def _attempt_fields(attempt: Attempt, user: User) -> dict[str, Any]:
    scheme = "ws" if user.page_refusal == "insecure" else "wss"
    return {"url": f"{scheme}://{attempt.front_end.host}{target(attempt)}", "ua": user.agent}


def _open_fields(attempt: Attempt, user: User) -> dict[str, Any]:
    assert attempt.opened_us is not None
    return {"latency_ms": (attempt.opened_us - attempt.started_us) / 1e3}


def _error_fields(attempt: Attempt, user: User) -> dict[str, Any]:
    told = {"error": attempt.error_text}
    return told if attempt.seen_status is None else told | {"status": attempt.seen_status}


def _close_fields(attempt: Attempt, user: User) -> dict[str, Any]:
    told: dict[str, Any] = {}
    if attempt.close_code is not None:
        told = {"code": attempt.close_code, "reason": attempt.close_reason or "", "was_clean": attempt.was_clean}
    elif attempt.error_text:
        told = {"error": attempt.error_text}
    if attempt.ended_by:
        told["ended_by"] = attempt.ended_by
    if attempt.opened_us is not None and attempt.ended_us is not None:
        told["lifetime_ms"] = (attempt.ended_us - attempt.opened_us) / 1e3
        if user.tells_silence:
            told["longest_inbound_silence_ms"] = (attempt.silence_us or 0) / 1e3
    return told


_CLIENT_FIELDS: dict[str, Callable[[Attempt, User], dict[str, Any]]] = {
    "attempt": _attempt_fields,
    "open": _open_fields,
    "error": _error_fields,
    "close": _close_fields,
}


# --- front ends ------------------------------------------------------------------------------------------------


def _end(attempt: Attempt) -> tuple[int, int, int]:
    """Return (request came, was answered or ended, ended) in ms of the front end's clock; differences are durations."""
    assert attempt.reached_us is not None and attempt.front_end_ended_us is not None
    reached, ended = attempt.reached_us // 1000, attempt.front_end_ended_us // 1000
    answered = ended if attempt.answered_us is None else min(ended, attempt.answered_us // 1000)
    return reached, answered, ended


def nginx_line(attempt: Attempt, agent: str) -> bytes:
    """Return the line of :data:`NGINX_LOG_FORMAT` that nginx writes when the request ends."""
    reached, answered, ended = _end(attempt)
    second, _ = _clock(ended * 1000, 1)
    is_answered = attempt.severed != CLIENT_LEFT
    head = f"{(answered - reached) / 1e3:.3f}" if is_answered else "-"
    upstream = str(attempt.http_status) if is_answered else "-"
    size = 2 + (attempt.silence_us or 0) % 997 if attempt.http_status == 101 else 157
    return (
        f'{attempt.address} - - [{second} +0000] "GET {target(attempt)} HTTP/1.1" {attempt.http_status} {size} "-" "{agent}" '
        f'rt={(ended - reached) / 1e3:.3f} uht="{head}" us="{upstream}" up="websocket" ok="{"OK" if is_answered else ""}" '
        f"msec={ended // 1000}.{ended % 1000:03}\n"
    ).encode()


_LETTERS = {
    CLOSED: "----",
    CLIENT_RESET: "CD--",
    SERVER_RESET: "SD--",
    IDLE: "cD--",
    REFUSED: "SC--",
    ANSWERED: "----",
    CLIENT_LEFT: "CH--",
}
"""Termination states (HAProxy configuration manual, section 8.5)."""


def haproxy_line(attempt: Attempt, agent: str) -> bytes:
    """Return the line of ``option httplog`` behind a syslog header; the printed time is that of the request's first byte."""
    reached, answered, ended = _end(attempt)
    written, _ = _clock(ended * 1000, 2)
    second, ms = _clock(reached * 1000, 1)
    first = answered - reached
    timers = f"0/0/1/{max(first - 1, 0)}" if attempt.severed != REFUSED else "0/0/-1/-1"
    if attempt.severed == CLIENT_LEFT:
        timers = "0/0/1/-1"
    status = -1 if attempt.http_status is None else attempt.http_status
    size = 129 + (attempt.silence_us or 0) % 997 if status == 101 else 0 if status == -1 else 217
    port = 32_768 + int(attempt.connection_id[:4], 16) % 28_000
    return (
        f"{written} edge-b haproxy[812]: {attempt.address}:{port} [{second}.{ms:03}] fe_ws be_ws/app1 {timers}/{max(ended - reached, 1)} "
        f'{status} {size} - - {_LETTERS[attempt.severed]} 40/40/20/20/0 0/0 "GET {target(attempt)} HTTP/1.1"\n'
    ).encode()


# --- files -----------------------------------------------------------------------------------------------------

Lines = Iterator[tuple[int, bytes]]


def client_lines(lives: list[Life], sampling: float, logged: frozenset[str], hand: Hand) -> Lines:
    """Yield (time of arrival, line) of the telemetry of the sampled sessions."""
    for life in lives:
        if life.visit.session_id in logged:
            for at_us, late_us, entry in hand.telemetry(life):
                yield at_us, client_line(entry, life.visit.session_id, life.visit.user, sampling, late_us)


def front_end_lines(lives: list[Life], hand: Hand, name: str, line: Callable[[Attempt, str], bytes]) -> Lines:
    """Yield (time, line) of one front end's log."""
    for life in lives:
        for attempt in life.attempts:
            if attempt.front_end_ended_us is not None and attempt.front_end.name == name:
                for _ in range(hand.copies(name, attempt.connection_id)):
                    yield attempt.front_end_ended_us, line(attempt, life.visit.user.agent)


def lines_of(name: str, lives: list[Life], sampling: float, logged: frozenset[str], hand: Hand) -> Lines:
    """Yield (time, line) of a format's log; lines of the same moment are in the order of their session."""
    if name == "wslog_client":
        return client_lines(lives, sampling, logged, hand)
    return front_end_lines(
        lives,
        hand,
        *{"nginx_access": (FRONT_ENDS[0].name, nginx_line), "haproxy_http": (FRONT_ENDS[1].name, haproxy_line)}[name],
    )


FILE_NAMES = {
    "wslog_client": "wslog_client-{day}.ndjson",
    "nginx_access": "nginx_access-{day}.log",
    "haproxy_http": "haproxy_http-{day}.log",
}


def files_of(name: str, lines: Lines) -> dict[str, bytes]:
    """Return the content of a format's files by name: one a day, lines in order of time."""
    days: dict[int, list[tuple[int, bytes]]] = {}
    for at, line in lines:
        days.setdefault(at // DAY, []).append((at, line))
    return {
        FILE_NAMES[name].format(day=day_of(day)): b"".join(
            line for _, line in sorted(days[day], key=lambda item: item[0])
        )
        for day in sorted(days)
    }
