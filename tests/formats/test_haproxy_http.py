"""HAProxy: what its letters and timers mean, and that both paths find the same place in a line."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wslog.errors import UsageError
from wslog.formats.contract import Batch, Options, parse
from wslog.formats.haproxy_http import FORMAT, MONTHS, Unreadable, _times, local_us
from wslog.formats.haproxy_http_rows import failure, judge
from wslog.formats.web import POLLING, WEBSOCKET

from .golden import event_rows

LINE = (
    "{pre}198.51.100.7:46894 [{time}] fe be/s1 {timers} {status} 313 - - {letters} 1/1/0/0/0 0/0 {caps}"
    '"{method} {target} HTTP/1.1"'
)
USUAL = {
    "pre": "",
    "time": "23/Nov/2026:12:41:17.523",
    "timers": "0/0/1/2/1007",
    "status": "101",
    "letters": "----",
    "caps": "",
    "method": "GET",
    "target": "/ws",
}


def rows(options: Options | None = None, **values: str) -> list[dict[str, object]]:
    batch = Batch.of(LINE.format(**(USUAL | values)).encode())
    reader = FORMAT.reader(options or Options(), batch)
    found = event_rows(parse(reader, batch))
    assert found == event_rows(reader.exact(batch))
    return found


@pytest.mark.parametrize(
    ("letters", "status", "word"),
    [
        ("SC", 503, "refused"),
        ("sC", 503, "timeout"),
        ("sH", 504, "timeout"),
        ("cR", 408, "timeout"),
        ("CR", -1, "aborted_by_page"),
        ("CC", 503, "aborted_by_page"),
        ("CH", -1, "aborted_by_page"),
        ("PH", 502, "protocol"),
        ("PR", 400, "protocol"),
        ("PR", 403, "http_status"),  # a deny rule
        ("SH", 502, "reset"),
        ("LR", 302, "http_status"),
        ("--", 404, "http_status"),
        ("CD", 403, "http_status"),  # the answer was complete enough: the client left during its body
        ("SD", -1, "reset"),
        ("IR", -1, "unknown"),
    ],
)
def test_failures(letters: str, status: int, word: str) -> None:
    assert failure(status, letters[0], letters[1]) == word


def test_a_client_that_leaves_during_the_handshake_is_no_connection() -> None:
    assert judge(WEBSOCKET, 101, "CD", True, False, False, True).event == "error"
    assert judge(WEBSOCKET, 101, "CD", True, False, True, True).event == "close"
    assert judge(WEBSOCKET, 101, "SD", True, False, False, True).event == "close"


def test_a_poll_without_an_answer_has_a_class() -> None:
    assert judge(POLLING, -1, "CH", False, False, False, True).error_class == "aborted_by_page"
    assert judge(POLLING, 200, "CD", False, False, True, True).error_class is None


def test_a_post_to_the_path_is_no_handshake() -> None:
    assert rows(method="POST", status="200", target="/hub/negotiate") == []
    assert rows(method="GET", status="404")[0]["event"] == "error"


def test_the_path_pattern_is_the_users() -> None:
    assert rows(status="404", target="/feed") == []
    assert rows(Options(ws_path="^/feed$"), status="404", target="/feed")[0]["event"] == "error"


def test_connect_to_a_host_is_a_tunnel_of_a_forward_proxy() -> None:
    assert rows(method="CONNECT", status="200", target="db.example:5432") == []
    assert rows(method="CONNECT", status="200", target="/feed")[0]["event"] == "close"


def test_address_without_port() -> None:
    batch = Batch.of(LINE.format(**USUAL).replace("198.51.100.7", "2001:db8::7").encode())
    assert event_rows(parse(FORMAT.reader(Options(), batch), batch))[0]["address"] == "2001:db8::7"


def test_window_is_when_the_lines_were_written() -> None:
    """A connection that began before the log did must not widen the window."""
    batch = Batch.of((LINE.format(**USUAL) + "\n" + LINE.format(**(USUAL | {"timers": "0/0/1/2/5000000"}))).encode())
    parsed = parse(FORMAT.reader(Options(), batch), batch)
    start = local_us(USUAL["time"])
    assert parsed.observed == (start + 1_007_000, start + 5_000_000_000)


def test_unknown_zone_and_pattern_are_misuse() -> None:
    with pytest.raises(UsageError, match="IANA"):
        FORMAT.reader(Options(tz="Mars/Olympus"), Batch.of(b""))
    with pytest.raises(UsageError, match="RE2"):
        FORMAT.reader(Options(ws_path="(?=x)"), Batch.of(b""))


@settings(max_examples=300, deadline=None)
@given(
    st.integers(0, 40),
    st.sampled_from([*MONTHS, "Foo"]),
    st.integers(1970, 2999),
    st.integers(0, 26),
    st.integers(0, 62),
    st.integers(0, 62),
    st.integers(0, 999),
)
def test_vector_times_are_those_of_the_calendar(
    day: int, month: str, year: int, hour: int, minute: int, second: int, ms: int
) -> None:
    """The exact path uses datetime: it is the witness for the vector code."""
    text = f"{day:02}/{month}/{year}:{hour:02}:{minute:02}:{second:02}.{ms:03}"
    found, is_time = _times(np.frombuffer(text.encode(), np.uint8).reshape(1, 24))
    try:
        wanted = local_us(text)
    except Unreadable:
        assert not is_time[0]
    else:
        assert is_time[0]
        assert found[0] == wanted


def test_one_more_date_in_the_prefix_does_not_move_the_place() -> None:
    inner = LINE.format(**USUAL)
    for pre in (
        "x [23/Nov/2026:12:41:17.523] ",
        "a:1 [23/Nov/2026:12:41:17.523] fe be/s ",
        inner.split('"')[0].rstrip() + " ",
    ):
        rows(pre=pre)


def test_claims_need_half_of_the_lines() -> None:
    good, other = LINE.format(**USUAL) + "\n", "something else\n"
    assert FORMAT.claims(Batch.of((good + other).encode()), Options())
    assert not FORMAT.claims(Batch.of((good + other * 2).encode()), Options())
    assert not FORMAT.claims(Batch.of(b"Proxy fe started.\n"), Options())
