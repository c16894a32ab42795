"""Request targets: one by one and in columns, the same answers."""

from __future__ import annotations

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wslog.errors import UsageError
from wslog.formats.contract import Options
from wslog.formats.web import KINDS, check_ws_path, classify_codes, classify_target, classify_targets

CASES = {
    "/ws": "websocket",
    "/ws?token=a": "websocket",
    "/app/ws/room": "websocket",
    "wss://chat.example.org/ws?x=/sse": "websocket",
    "http://ws.example.org/": "",
    "/socket.io/?EIO=4&transport=websocket&sid=a": "websocket",
    "/any?transport=webSockets": "websocket",
    "/socket.io/?EIO=4&transport=polling": "polling",
    "/socket.io/?transport=polling&EIO=4": "polling",
    "/socket.io/?EIO=4&transport=pollinghall": "websocket",
    "/signalr/poll?transport=longPolling&x=1": "polling",
    "/socket/longpoll?token=a": "polling",
    "/echo/123/abc/xhr_streaming": "polling",
    "/echo/123/abc/xhr_send/": "polling",
    "/echo/123/abc/websocket": "websocket",
    "/poll": "polling",
    "/polls": "",
    "/sse": "sse",
    "/sse/room/7": "sse",
    "/api/events": "sse",
    "/api/events/7": "",
    "/signalr/connect?transport=serverSentEvents": "sse",
    "/a?next=/sse": "",
    "/": "",
    "*": "",
    "": "",
    "example.org:443": "",
    "/wsx": "",
    "/news": "",
}


@pytest.mark.parametrize(("target", "kind"), CASES.items())
def test_kind_of_one_target(target: str, kind: str) -> None:
    assert classify_target(target, Options()) == kind


def test_columns_give_the_same() -> None:
    got = classify_targets(pa.array([*CASES, None], pa.string()), Options())
    assert got.to_pylist() == [*CASES.values(), ""]
    assert classify_targets(pa.array([], pa.string()), Options()).to_pylist() == []


# U+017F and U+212A fold to s and k: RE2's (?i) takes them for those letters
WORDS = st.sampled_from(
    [
        *"/?&#=\n",
        *("transport=", "TRANSPORT=", "polling", "longPolling", "websocket", "serverSentEvents"),
        *("ws", "/sse", "/events", "/xhr", "/longpoll", "/poll", "eventsource", "socket.io", "hubs"),
        *("http://h", "wss:", "\u017f", "\u212a", "\u00e9"),
    ]
)


@given(
    st.lists(st.lists(st.one_of(WORDS, st.text(max_size=3)), max_size=8).map("".join), max_size=5),
    st.booleans(),
)
def test_any_text(targets: list[str], paths_count: bool) -> None:
    codes = classify_codes(pa.array(targets, pa.string()), Options(), paths_count)
    assert [KINDS[c] for c in codes] == [classify_target(t, Options(), paths_count) for t in targets]


@pytest.mark.parametrize("is_repeated", [True, False])
@pytest.mark.parametrize("ws_path", [None, "^/live/[0-9]+$"])
def test_many_targets(is_repeated: bool, ws_path: str | None) -> None:
    """Distinct values are judged once where they repeat themselves, each where they do not."""
    options = Options(ws_path=ws_path)
    queries = ["", "?a=1"] if is_repeated else [f"?id={i}" for i in range(400)]
    words = [*CASES, "/live/7", "http://h/ws", "wss://h?x", "/caf\u00e9/ws"]
    targets = [word + query for query in queries for word in words] * (20 if is_repeated else 1)
    codes = classify_codes(pa.array(targets, pa.string()), options)
    expected = {target: classify_target(target, options) for target in set(targets)}
    assert [KINDS[c] for c in codes] == [expected[t] for t in targets]


def test_own_path_pattern_replaces_the_usual_ones() -> None:
    options = Options(ws_path="^/live/[0-9]+$")
    assert classify_target("/live/7?x=1", options) == "websocket"
    assert classify_target("/ws", options) == ""
    assert classify_target("/ws?transport=websocket", options) == "websocket"
    assert classify_target("/live/7?transport=polling", options) == "polling"


def test_a_logged_upgrade_header_outweighs_the_path() -> None:
    assert classify_target("/ws", Options(), paths_count=False) == ""
    assert classify_target("/x?transport=websocket", Options(), paths_count=False) == ""
    assert classify_target("/sse", Options(), paths_count=False) == "sse"


@pytest.mark.parametrize("pattern", ["(", "(?=x)", r"(a)\1", "[", "*"])
def test_a_bad_pattern_is_misuse(pattern: str) -> None:
    with pytest.raises(UsageError, match="ws-path"):
        check_ws_path(Options(ws_path=pattern))
    with pytest.raises(UsageError, match="RE2"):
        classify_target("/ws", Options(ws_path=pattern))


def test_a_pattern_that_would_backtrack_is_linear() -> None:
    assert classify_target("/" + "a" * 50_000 + "!", Options(ws_path="^/(a+)+$")) == ""
