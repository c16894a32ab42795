"""Sample lines of the nginx access log, one per kind of line, and what they must become."""

from __future__ import annotations

from wslog.formats.contract import Options, Sample

_UA = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
_END_US = 1_795_437_678_000_000  # 2026-11-23T12:41:18Z
TIMED = (
    '$remote_addr - $remote_user [$time_local] "$request" $status $body_bytes_sent "$http_referer" "$http_user_agent" '
    'rt=$request_time uht="$upstream_header_time" us="$upstream_status" up="$http_upgrade" rc="$request_completion" '
    "id=$request_id msec=$msec"
)
_TIMED = Options(log_format=TIMED)
_UPSTREAM = " 612 33.120 [web-hub-80] [] 10.0.0.1:80, 10.0.0.2:80 0, 77 0.001, 33.119 502, 101 0af7651916cd43dd"
_ESCAPE_JSON = Options(
    log_format="""log_format ws escape=json '{"t":"$time_iso8601","r":"$request","s":$status,"sec":"$request_time",'
                  '"host":"$host","scheme":"$scheme","a":"$remote_addr"}';"""
)


def _line(request: str, status: int, size: int = 0, rest: str = "", address: str = "192.0.2.10") -> str:
    return f'{address} - - [23/Nov/2026:12:41:18 +0000] "{request}" {status} {size} "-" "{_UA}"{rest}'


def _timed(request: str, status: int, upgrade: str, upstream: str, completion: str = "OK") -> str:
    head = upstream if upstream == "-" else "0.055"
    rest = f' rt=61.059 uht="{head}" us="{upstream}" up="{upgrade}" rc="{completion}"'
    return _line(request, status, 19, f"{rest} id=4bf92f3577b34da6 msec=1795437678.518")


_CLOSE = {
    "event": "close",
    "transport": "websocket",
    "http_status": 101,
    "close_code": None,
    "close_code_source": "absent",
}

SAMPLES = (
    Sample(
        "websocket_end",
        _line("GET /ws?token=secret HTTP/1.1", 101, 4096),
        (
            _CLOSE
            | {
                "event_at": _END_US,
                "ended_by": "unknown",
                "sent_bytes": 4096,
                "url": "/ws?token=secret",
                "address": "192.0.2.10",
                "user_agent": _UA,
                "lifetime_s": None,
            },
        ),
    ),
    Sample(
        "websocket_end_main",
        _line("GET /ws HTTP/1.1", 101, 16, ' "198.51.100.7, 192.0.2.1"'),
        (_CLOSE | {"sent_bytes": 16},),
    ),
    Sample(
        "websocket_end_timed",
        _timed("GET /socket.io/?EIO=4&transport=websocket HTTP/1.1", 101, "websocket", "101"),
        (
            _CLOSE
            | {
                "event_at": _END_US + 518_000,
                "lifetime_s": 61.059,
                "handshake_ms": 55.0,
                "ended_by": "unknown",
                "request_id": "4bf92f3577b34da6",
            },
        ),
        _TIMED,
    ),
    Sample(
        "websocket_end_by_proxy",
        _timed("GET /ws HTTP/1.1", 101, "websocket", "101", "-"),
        (_CLOSE | {"ended_by": "proxy", "lifetime_s": 61.059},),
        _TIMED,
    ),
    Sample(
        "handshake_refused",
        _line("GET /ws HTTP/1.1", 403, 3),
        (
            {
                "event": "error",
                "transport": "websocket",
                "http_status": 403,
                "error_class": "http_status",
                "ended_by": "unknown",
            },
        ),
    ),
    Sample(
        "handshake_refused_by_server",
        _timed("GET /any HTTP/1.1", 403, "websocket", "502, 403"),
        (
            {
                "event": "error",
                "http_status": 403,
                "error_class": "http_status",
                "ended_by": "server",
                "handshake_ms": 61059.0,
            },
        ),
        _TIMED,
    ),
    Sample(
        "handshake_bad_gateway",
        _timed("GET /ws HTTP/1.1", 502, "websocket", "502"),
        ({"event": "error", "http_status": 502, "error_class": "http_status", "ended_by": "unknown"},),
        _TIMED,
    ),
    Sample(
        "handshake_left",
        _timed("GET /ws HTTP/1.1", 499, "websocket", "-", "-"),
        ({"event": "error", "http_status": 499, "error_class": "aborted_by_page", "ended_by": "client"},),
        _TIMED,
    ),
    Sample(
        "polling",
        _timed("POST /socket.io/?EIO=4&transport=polling&sid=a HTTP/1.1", 200, "-", "200"),
        (
            {
                "event": "poll",
                "transport": "polling",
                "http_status": 200,
                "request_ms": 61059.0,
                "error_class": None,
                "ended_by": None,
            },
        ),
        _TIMED,
    ),
    Sample(
        "polling_failed",
        _line("GET /socket.io/?EIO=4&transport=polling HTTP/1.1", 503, 197),
        ({"event": "poll", "transport": "polling", "http_status": 503, "error_class": "http_status"},),
    ),
    Sample(
        "sse", _line("GET /app/sse HTTP/2.0", 200, 812), ({"event": "poll", "transport": "sse", "http_status": 200},)
    ),
    Sample("other_traffic", _line("GET /style.css HTTP/1.1", 200, 5120)),
    Sample("other_scanner", _line(r"\x16\x03\x01\x00\xEE", 400, 157)),
    Sample("other_empty_request", _line("", 400, 0)),
    Sample(
        "ingress",
        _line("GET /hubs/chat?id=x HTTP/1.1", 101, 77, _UPSTREAM),
        (_CLOSE | {"lifetime_s": 33.12, "request_id": "0af7651916cd43dd", "url": "/hubs/chat?id=x"},),
    ),
    Sample(
        "json",
        '{"msec":"1795437678.518","rt":"61.059","uht":"0.055","status":"101","us":"101","ok":"OK","up":"websocket","uri":"/ws","conn":"1",'
        '"bs":"19","ubs":"309","ua":"Mozilla/5.0","addr":"192.0.2.10"}',
        (
            _CLOSE
            | {
                "event_at": _END_US + 518_000,
                "lifetime_s": 61.059,
                "handshake_ms": 55.0,
                "sent_bytes": 19,
                "url": "/ws",
                "ended_by": "unknown",
            },
        ),
    ),
    Sample(
        "json_refused",
        '{"time":"2026-11-23T12:41:18+00:00","request":"GET /live/1 HTTP/1.1","status":502,'
        '"upgrade":"websocket","request_time":0.002,"upstream_status":"","ua":"\\"quoted\\""}',
        (
            {
                "event_at": _END_US,
                "event": "error",
                "http_status": 502,
                "handshake_ms": 2.0,
                "ended_by": "proxy",
                "user_agent": '"quoted"',
            },
        ),
    ),
    Sample(
        "json_named_keys",
        '{"t":"2026-11-23T13:41:18+01:00","r":"GET /ws?x=1 HTTP/1.1","s":101,"sec":"5.000",'
        '"host":"chat.example.org","scheme":"https","a":"2001:db8::7"}',
        (
            _CLOSE
            | {
                "event_at": _END_US,
                "url": "https://chat.example.org/ws?x=1",
                "address": "2001:db8::7",
                "lifetime_s": 5.0,
            },
        ),
        _ESCAPE_JSON,
    ),
    Sample("json_other", '{"msec":"1795437678.518","status":"200","up":"","uri":"/","rt":"0.001"}'),
)
