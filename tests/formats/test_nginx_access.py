"""nginx access logs: log_format texts, the choice among several, times, and that both reading paths agree."""

from __future__ import annotations

import datetime as dt
import re
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from wslog.errors import UsageError
from wslog.formats import nginx_view
from wslog.formats.contract import Batch, Options, parse
from wslog.formats.nginx_access import FORMAT
from wslog.formats.nginx_fields import TIME_ISO, TIME_LOCAL, last_item, milliseconds, time_column, time_us, unescape
from wslog.formats.nginx_log_format import COMBINED, from_options, parse_argument, parse_conf
from wslog.formats.nginx_samples import TIMED
from wslog.formats.nginx_template import compile_format

from .golden import batch_of, event_rows, head_of, reject_rows

NO_OPTIONS = Options()
CONF = r"""
# log_format comment '$x';
http {
    log_format main  '$remote_addr - $remote_user [$time_local] "$request" '
                     '$status $body_bytes_sent "$http_referer" '
                     '"$http_user_agent" "$http_x_forwarded_for"';
    log_format  ws escape=json
        '{ "t": "$msec", "rt": "$request_time",'
        ' "status": $status, "req": {"uri": "$request_uri", "up": "$http_upgrade"} }';
    log_format tabs escape=none "$time_iso8601\t$status\t${request_uri}\t$remote_addr";
    map $http_upgrade $up { default "a;{b}"; '' c\;d; }
    server { access_log /var/log/nginx/a.log main; location ~ ^/(x|y){2}$ { return 204; } }
}
"""
LINE = '192.0.2.1 - - [23/Nov/2026:12:41:18 +0000] "GET /ws HTTP/1.1" 101 7 "-" "ua"'


def read(data: bytes, options: Options = NO_OPTIONS) -> tuple[list[dict[str, object]], list[dict[str, object]]]:
    """Read by both paths, which must agree and account for every line."""
    batch = batch_of(data)
    reader = FORMAT.reader(options, head_of(batch))
    parsed, exact = parse(reader, batch), reader.exact(batch)
    assert event_rows(parsed) == event_rows(exact)
    assert reject_rows(parsed) == reject_rows(exact)
    assert parsed.observed == exact.observed
    assert parsed.line_count == exact.line_count == len(batch)
    return event_rows(parsed), reject_rows(parsed)


def doubts(data: bytes, options: Options = NO_OPTIONS) -> int:
    batch = batch_of(data)
    return int(FORMAT.reader(options, head_of(batch)).fast(batch)[1].sum())


# --- log_format texts ----------------------------------------------------------------------------------------


def test_conf_gives_every_format() -> None:
    main, ws, tabs = parse_conf(CONF)
    assert (main.name, main.escape) == ("main", "default")
    assert (
        "".join("$" + p.text if p.is_variable else p.text for p in main.parts) == COMBINED + ' "$http_x_forwarded_for"'
    )
    assert (ws.name, ws.escape) == ("ws", "json")
    assert tabs.variables == ("time_iso8601", "status", "request_uri", "remote_addr")
    assert [p.text for p in tabs.parts if not p.is_variable] == ["\t", "\t", "\t"]


@pytest.mark.parametrize(
    ("line", "url"),
    [
        (LINE + ' "-"', "/ws"),
        ('{ "t": "1795437678.518", "rt": "1.5", "status": 101, "req": {"uri": "/a?b", "up": "websocket"} }', "/a?b"),
        ("2026-11-23T12:41:18+00:00\t101\t/c\t192.0.2.1", "/c"),
    ],
)
def test_conf_takes_the_format_that_fits(line: str, url: str) -> None:
    options = Options(nginx_conf=CONF)
    assert FORMAT.claims(batch_of(line.encode()), options)
    rows, rejects = read(f"{line}\n{line}\n".encode(), options)
    assert [r["url"] for r in rows] == [url, url]
    assert not rejects


def test_conf_that_does_not_fit_is_misuse() -> None:
    with pytest.raises(UsageError, match="main, ws, tabs"):
        FORMAT.reader(Options(nginx_conf=CONF), batch_of(b"hello\n"))


def test_conf_that_fits_twice_is_misuse() -> None:
    conf = "log_format a '$msec $status $uri'; log_format b '$msec $status $remote_addr';"
    with pytest.raises(UsageError, match="a and b"):
        FORMAT.reader(Options(nginx_conf=conf), batch_of(b"1795437678.518 101 /ws\n"))
    same = "log_format a '$msec $status $uri'; log_format b '$msec $status $uri';"
    assert FORMAT.reader(Options(nginx_conf=same), batch_of(b"1795437678.518 101 /ws\n"))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (Options(log_format="$status $request"), "no time"),
        (Options(log_format="$msec $request"), "no \\$status"),
        (Options(log_format="$msec$status"), "between \\$msec and \\$status"),
        (Options(log_format="$msec $status $"), "not followed"),
        (Options(log_format="hello"), "no variable"),
        (Options(log_format="escape=xml $msec $status"), "default, json, none"),
        (Options(log_format="log_format x '$msec $status;"), "has no end"),
        (Options(log_format='escape=json {"s":"$status"}'), "no time"),
        (Options(nginx_conf="http { }"), "no log_format"),
        (Options(nginx_conf="log_format x;"), "no format string"),
        (Options(ws_path="("), "ws-path"),
    ],
)
def test_misuse_is_told(options: Options, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        FORMAT.reader(options, batch_of(LINE.encode()))


@pytest.mark.parametrize(
    "text",
    [
        "combined",
        COMBINED,
        f"'{COMBINED}'",
        f"log_format x '{COMBINED}'",
        f"log_format x '{COMBINED[:40]}' '{COMBINED[40:]}';",
    ],
)
def test_argument_may_be_written_in_many_ways(text: str) -> None:
    (found,) = parse_argument(text)
    assert "".join("$" + p.text if p.is_variable else p.text for p in found.parts) == COMBINED
    assert len(read((LINE + "\n").encode(), Options(log_format=text))[0]) == 1


def test_target_without_separators() -> None:
    options = Options(log_format='$msec $status "$scheme://$host$uri$is_args$args" $request_method')
    line = b'1795437678.518 101 "https://h.example:8443/ws?a=1" GET\n'
    assert read(line, options)[0][0]["url"] == "https://h.example:8443/ws?a=1"


def test_target_from_uri_and_args() -> None:
    options = Options(log_format="$msec $status $request_method $uri $args $host")
    rows, _ = read(
        b"1795437678.518 101 GET /ws a=1 h\n1795437678.518 502 GET /ws - -\n1795437678.518 403 POST /ws - h\n", options
    )
    assert [r["url"] for r in rows] == ["//h/ws?a=1", "/ws"]


def test_fields_at_the_line_end_and_brackets() -> None:
    options = Options(log_format="[$time_local] {$remote_user} <$http_user_agent> $status $http_x_forwarded_for")
    rows, rejects = read(b"[23/Nov/2026:12:41:18 +0000] {a b} <x y> 101 192.0.2.1, 192.0.2.2\n", options)
    assert rows[0]["user_agent"] == "x y"
    assert not rejects


def test_request_ids_in_order() -> None:
    options = Options(log_format="$msec $status $http_x_request_id $request_id $http_cf_ray")
    rows, _ = read(
        b"1795437678.518 101 x r c\n1795437678.518 101 x - c\n1795437678.518 101 x - -\n1795437678.518 101 - - -\n",
        options,
    )
    assert [r.get("request_id") for r in rows] == ["r", "c", "x", None]


# --- values --------------------------------------------------------------------------------------------------


@given(st.datetimes(dt.datetime(1970, 1, 1), dt.datetime(2099, 12, 31)), st.integers(-15 * 60 - 59, 15 * 60 + 59))
@example(dt.datetime(2000, 2, 29, 23, 59, 59), 0)
def test_times(moment: dt.datetime, offset: int) -> None:
    sign, minutes = "-" if offset < 0 else "+", abs(offset)
    local = moment.strftime("%d/%b/%Y:%H:%M:%S ") + f"{sign}{minutes // 60:02}{minutes % 60:02}"
    iso = moment.strftime("%Y-%m-%dT%H:%M:%S") + f"{sign}{minutes // 60:02}:{minutes % 60:02}"
    assert re.fullmatch(TIME_LOCAL, local)
    assert re.fullmatch(TIME_ISO, iso)
    zone = dt.timezone(dt.timedelta(minutes=offset))
    expected = round(moment.replace(microsecond=0, tzinfo=zone).timestamp()) * 1_000_000
    for variable, text in (("time_local", local), ("time_iso8601", iso)):
        assert time_us(variable, text) == expected
        matrix = np.frombuffer(text.encode() * 3, np.uint8).reshape(3, -1)
        assert time_column(variable, matrix).tolist() == [expected] * 3


@given(st.integers(1970, 2099), st.integers(0, 13), st.integers(0, 32))
def test_time_patterns_know_the_calendar(year: int, month: int, day: int) -> None:
    try:
        dt.date(year, month, day)
        is_date = True
    except ValueError:
        is_date = False
    assert bool(re.fullmatch(TIME_ISO, f"{year}-{month:02}-{day:02}T00:00:00+00:00")) == is_date
    if 1 <= month <= 12:
        name = dt.date(2000, month, 1).strftime("%b")
        assert bool(re.fullmatch(TIME_LOCAL, f"{day:02}/{name}/{year}:00:00:00 +0000")) == is_date


@given(st.binary(max_size=40))
def test_escaping_is_undone_once(value: bytes) -> None:
    escaped = b"".join(b"\\x%02X" % c if c < 32 or c > 126 or c in b'"\\' else bytes([c]) for c in value)
    assert unescape(escaped) == value


def test_small_values() -> None:
    assert milliseconds(0.057) == 57.0
    assert last_item("0.1, 0.2 : 0.3") == "0.3"
    assert last_item("0.1 : ") == "0.1"
    assert last_item("-") == "-"


# --- the two paths -------------------------------------------------------------------------------------------

JSON = (
    '{"msec":"1795437678.518","rt":"61.059","uht":"0.055","status":101,"us":"101","ok":"OK","up":"websocket","uri":"/ws",'
    '"bs":19,"ua":"Mozilla/5.0","addr":"192.0.2.10","time":"2026-11-23T12:41:18+00:00"}'
)
TABS = Options(
    log_format="escape=none $time_iso8601\t$status\t$request_uri\t$http_upgrade\t$upstream_header_time\t$remote_addr"
)
FILES = [
    (Options(), [s.text for s in FORMAT.samples if s.options == Options() and not s.text.startswith("{")]),
    (Options(), [JSON] * 3 + [JSON.replace("101", "502"), JSON.replace('"websocket"', '""').replace("/ws", "/sse")]),
    (Options(log_format=TIMED), [s.text for s in FORMAT.samples if s.options.log_format == TIMED]),
    (
        TABS,
        [
            "2026-11-23T12:41:18+00:00\t101\t/ws\twebsocket\t0.1, 0.2\t192.0.2.1",
            "2026-11-23T12:41:18+00:00\t200\t/\t\t\t",
        ],
    ),
    (Options(), ["web-1 | " + LINE, "db | " + LINE, "web-1 | x", LINE]),
]
SPOILT = [
    b'"',
    b"\\",
    b"\\x22",
    b"\r",
    b"\xff",
    b"\xc3\xa9",
    b"\xed\xa0\x80",
    b"-",
    b"0",
    b"\xd9\xa5",
    b" ",
    b"\t",
    b", ",
    b" : ",
    b"]",
    b"[",
]
SPOILT += [
    b"101",
    b"\\u0031",
    b"NaN",
    b"{",
    b"}",
    b",",
    b'"status":101,',
    b"x" * 5000,
    b"9" * 30,
    b"web | ",
    b"\n",
    b"\r\n",
    b"\x7f",
    b"\x1f",
]


@pytest.mark.parametrize("number", range(len(FILES)))
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_spoilt_lines_read_alike(number: int, data: st.DataObject) -> None:
    options, lines = FILES[number]
    text = bytearray("".join(line + "\n" for line in lines).encode())
    for _ in range(data.draw(st.integers(1, 6))):
        at = data.draw(st.integers(0, len(text) - 1))
        match data.draw(st.sampled_from(["insert", "delete", "flip", "double", "lost_newline"])):
            case "insert":
                text[at:at] = data.draw(st.sampled_from(SPOILT))
            case "delete":
                del text[at : at + data.draw(st.integers(1, 30))]
                text = text or bytearray(b"\n")
            case "flip":
                text[at] ^= 1 << data.draw(st.integers(0, 7))
            case "double":
                text[at:at] = text[max(0, at - 200) : at]
            case "lost_newline":
                end = text.find(b"\n", at)
                if end >= 0 and len(text) > 1:
                    del text[end]
    read(bytes(text), options)


@pytest.mark.parametrize("number", range(len(FILES)))
def test_the_fast_path_does_the_work(number: int) -> None:
    options, lines = FILES[number]
    data = "".join(line + "\n" for line in lines * 3).encode()
    assert doubts(data, options) <= len(lines * 3) // 2


@pytest.mark.parametrize("number", range(len(FILES)))
@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
def test_blocks_of_a_scan_join(number: int, line_end: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A batch is scanned block by block: where blocks meet must not show."""
    options, lines = FILES[number]
    spoilt = [
        line[:at] + text + line[at:] for line in lines for at in (3, 40, 60) for text in ('"', "\\", "\r", "é", "\t")
    ]
    data = "".join(line + line_end for line in [*lines, *spoilt, *lines]).encode()
    whole = read(data, options)
    for size in (64, 300, 1000):
        monkeypatch.setattr(nginx_view, "_SCAN_BYTES", size)
        assert read(data, options) == whole


@pytest.mark.parametrize(
    "text",
    [
        "[$time_local] [$time_iso8601] $status $request_uri",
        '"$time_local" $status "$time_iso8601" "$time_local" "$request_uri"',
        '$remote_user $time_local $status "$request_uri"',
        "$status|$time_iso8601|$request_uri|$msec",
    ],
)
@given(data=st.data())
@settings(max_examples=60, deadline=None)
def test_times_that_differ_are_all_read(text: str, data: st.DataObject) -> None:
    values = {
        "time_local": st.sampled_from(
            [
                "23/Nov/2026:12:41:18 +0000",
                "23/Nov/2026:12:41:59 +0000",
                "23/Nov/2026:12:41:60 +0000",
                "31/Nov/2026:12:41:18 +0000",
                "23/Nov/2026:12:42:1 +0000",
                "23/Nov/2026:12:42:18 +00000",
                "29/Feb/2028:23:59:00 -0530",
                "23/Nov/2026:12:41:1x +0000",
            ]
        ),
        "time_iso8601": st.sampled_from(
            [
                "2026-11-23T12:41:18+00:00",
                "2026-11-23T12:41:19+00:00",
                "2026-11-23T12:41:61+00:00",
                "2026-11-31T12:41:18+00:00",
                "2026-11-23T12:41:1:+00:00",
                "2026-11-23T12:41:18",
                "2026-11-23T12:41:18+00:000",
            ]
        ),
        "msec": st.sampled_from(["1795437678.518", "1795437678.51", "x"]),
        "status": st.sampled_from(["101", "200", "20"]),
        "request_uri": st.sampled_from(["/ws", "/sse", "/", ""]),
        "remote_user": st.sampled_from(["a", "-", "a b"]),
    }
    lines = [
        re.sub(r"\$([a-z_0-9]+)", lambda m: data.draw(values[m[1]]), text) for _ in range(data.draw(st.integers(1, 12)))
    ]
    read("".join(line + "\n" for line in lines).encode(), Options(log_format=text))


def test_faults_in_one_block_do_not_cancel() -> None:
    """A lost quote and a quote too many, a line cut in two and two run together: each line stands for itself."""
    lost, more = LINE.replace(' "-"', ' -"'), LINE.replace('"-"', '"-""')
    rows, rejects = read("\n".join([LINE, lost, more, LINE, LINE[:40], LINE[40:], LINE + LINE, LINE]).encode())
    assert [r["line"] for r in rows] == [1, 4, 8]
    assert [r["line"] for r in rejects] == [2, 3, 5, 6, 7]


@pytest.mark.parametrize("start", ["{", " {", "web | {", "web | ", "Nov 23 12:41:18 h nginx: ", "<190>", "x | y | "])
def test_odd_line_starts(start: str) -> None:
    read("\n".join([LINE] * 5 + [start + LINE, JSON, start + JSON, start]).encode())
    read("\n".join([JSON] * 5 + [start + LINE, LINE, start + JSON, start]).encode())


def test_one_reader_in_many_threads() -> None:
    batch = Batch.of((LINE + "\n").encode() * 5000)
    reader = FORMAT.reader(Options(), batch)
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: parse(reader, batch), range(12)))
    assert all(p.events is not None and p.events.equals(found[0].events) for p in found)


def test_apache_is_not_claimed() -> None:
    """Apache's combined looks the same but tells the START of the request; for a 101 it prints no size."""
    head = batch_of(f"{LINE}\n{LINE.replace(' 101 7 ', ' 101 - ')}\n{LINE}\n".encode())
    assert not FORMAT.claims(head, Options())
    assert FORMAT.claims(head, Options(log_format="combined"))


@pytest.mark.parametrize(
    "line",
    [
        '{"time":"2026-11-23T12:41:18+00:00","event":"close","status":101,"uri":"/ws"}',
        '{"level":"info","ts":1795437678.5,"request":{"uri":"/ws"},"status":101}',
        '{"time":"2026-11-23T12:41:18+00:00","status":101}',
        '127.0.0.1:5000 [23/Nov/2026:12:41:18.518] fe be/s1 0/0/1/2/3 101 97 - - ---- 1/1/0/0/0 0/0 "GET /ws HTTP/1.1"',
        'INFO:     127.0.0.1:5000 - "WebSocket /ws" [accepted]',
    ],
)
def test_other_logs_are_not_claimed(line: str) -> None:
    assert not FORMAT.claims(batch_of(line.encode()), Options())


def test_every_named_option_is_looked_at() -> None:
    assert from_options(Options()) == ()
    assert compile_format(parse_argument("main")[0]).variables >= {"http_x_forwarded_for", "status"}
