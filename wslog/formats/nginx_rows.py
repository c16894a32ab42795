"""What an nginx access line says about a connection: the meaning of its fields, line by line.

nginx writes the line when the request ends: for a WebSocket, when the connection ends. So a 101 is one ``close``;
any other answer to a handshake is one ``error``; polling and SSE requests are ``poll``; the rest is other traffic.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from wslog.formats.contract import Line, Options
from wslog.formats.nginx_fields import TIME_VARIABLES, last_item, milliseconds, time_us
from wslog.formats.nginx_log_format import TARGET_VARIABLE
from wslog.formats.web import KINDS, POLLING, SSE, classify_target, is_page

REQUEST_IDS = ("request_id", "http_cf_ray", "http_x_request_id", "req_id")
HOSTS = ("http_host", "host")
OPEN, FAILED, POLL = 1, 2, 3
ABSENT = ("", "-")


@dataclass(frozen=True)
class Roles:
    """Which logged variable plays which part ("" when none does)."""

    time: str
    request: str
    target: str
    args: str
    method: str
    upgrade: str
    duration: str
    handshake: str
    sent: str
    agent: str
    address: str
    completion: str
    upstream_status: str
    scheme: str
    host: str
    ids: tuple[str, ...]

    @classmethod
    def of(cls, variables: Iterable[str]) -> Roles:
        logged = frozenset(variables)

        def first(*names: str) -> str:
            return next((n for n in names if n in logged), "")

        target = first("request_uri", TARGET_VARIABLE, "uri", "document_uri")
        return cls(
            time=first(*TIME_VARIABLES),
            request=first("request"),
            target=target,
            args=first("args", "query_string") if target in ("uri", "document_uri") else "",
            method=first("request_method"),
            upgrade=first("http_upgrade"),
            duration=first("request_time", "upstream_response_time"),
            handshake=first("upstream_header_time"),
            sent=first("body_bytes_sent", "bytes_sent"),
            agent=first("http_user_agent"),
            address=first("remote_addr"),
            completion=first("request_completion"),
            upstream_status=first("upstream_status"),
            scheme=first("scheme"),
            host=first(*HOSTS),
            ids=tuple(n for n in REQUEST_IDS if n in logged),
        )


# --- one line ----------------------------------------------------------------------------------------------

_METHOD = re.compile(r"[A-Z][A-Z_-]*")
_PROTOCOL = re.compile(r" HTTP/[0-9](?:\.[0-9])?\Z")


def split_request(request: str) -> tuple[str, str]:
    """Return method and target of ``$request``; both "" when it is no HTTP request line (scanners send anything)."""
    method, space, rest = request.partition(" ")
    if not space or not _METHOD.fullmatch(method):
        return "", ""
    return method, _PROTOCOL.sub("", rest)


def read_event(values: Mapping[str, str], roles: Roles, options: Options, is_damaged: bool) -> Line:
    """Return what a valid line says.

    Parameters
    ----------
    values : mapping of str to str
        Decoded values of all variables in ``roles``; "-" and "" mean absent.
    is_damaged : bool
        Whether bytes that are not UTF-8 were replaced in them.
    """

    def get(name: str) -> str:
        value = values.get(name, "") if name else ""
        return "" if value in ABSENT else value

    at = time_us(roles.time, values[roles.time])
    status = int(values["status"])
    method, target = _target(get, roles)
    kind = _kind(status, method, target, get(roles.upgrade), roles, options)
    if not kind:
        return Line(ignored="other_traffic", times=(at,))
    row: dict[str, Any] = {
        "event_at": at,
        "http_status": status if status >= 100 else None,
        "transport": "websocket" if kind in (OPEN, FAILED) else KINDS[POLLING] if kind == POLL else KINDS[SSE],
        "sent_bytes": int(get(roles.sent)) if get(roles.sent) else None,
        "url": _url(get(roles.scheme), get(roles.host), target) or None,
        "user_agent": get(roles.agent) or None,
        "address": get(roles.address) or None,
        "request_id": next((v for v in map(get, roles.ids) if v), None),
        "anomaly": "invalid_utf8" if is_damaged else None,
    }
    duration = _seconds(get(roles.duration))
    if kind == OPEN:
        is_cut = bool(roles.completion) and not get(roles.completion)
        handshake = _seconds(get(roles.handshake))
        row |= {
            "event": "close",
            "close_code_source": "absent",
            "ended_by": "proxy" if is_cut else "unknown",
            "lifetime_s": duration,
            "handshake_ms": None if handshake is None else milliseconds(handshake),
        }
    elif kind == FAILED:
        upstream = last_item(get(roles.upstream_status))
        row |= {
            "event": "error",
            "error_class": _error_class(status),
            "ended_by": _failed_by(status, upstream, bool(roles.upstream_status)),
            "handshake_ms": None if duration is None else milliseconds(duration),
        }
    else:
        row |= {
            "event": "poll",
            "error_class": _error_class(status) if status >= 400 else None,
            "request_ms": None if duration is None else milliseconds(duration),
        }
    return Line(rows=(row,), times=(at,))


def _target(get: Callable[[str], str], roles: Roles) -> tuple[str, str]:
    method, target = split_request(get(roles.request))
    if not roles.request:
        target = get(roles.target)
        if get(roles.args):
            target += "?" + get(roles.args)
    return method or get(roles.method), target


def _kind(status: int, method: str, target: str, upgrade: str, roles: Roles, options: Options) -> int:
    """Return OPEN, FAILED, POLL or POLL + 1 (SSE); 0 for other traffic."""
    if status == 101 or (status == 200 and method == "CONNECT" and target.startswith("/")):
        return OPEN
    if "websocket" in upgrade.lower():
        return FAILED
    kind = classify_target(target, options, not roles.upgrade)
    if kind == "websocket":
        # a handshake is a GET (RFC 6455 section 4.1)
        return FAILED if method in ("", "GET", "CONNECT") and not is_page(status) else 0
    return {"polling": POLL, "sse": POLL + 1}.get(kind, 0)


def _error_class(status: int) -> str:
    if status < 100:  # nginx prints 000 when it sent no answer
        return "unknown"
    return "aborted_by_page" if status == 499 else "http_status"


def _failed_by(status: int, upstream: str, is_logged: bool) -> str:
    """Say who refused: nginx prints 502 and 504 as the upstream's status too when it made them up itself."""
    if status == 499:
        return "client"
    if not is_logged:
        return "unknown"
    if upstream in ABSENT:
        return "proxy"
    return "unknown" if upstream in ("502", "504") else "server"


def _seconds(value: str) -> float | None:
    last = last_item(value)
    return None if last in ABSENT else float(last)


def _url(scheme: str, host: str, target: str) -> str:
    if not host or not target.startswith("/"):
        return target
    return f"{scheme}://{host}{target}" if scheme else f"//{host}{target}"
