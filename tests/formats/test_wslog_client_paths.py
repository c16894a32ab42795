"""wslog_client: the columnar path gives the rows of the exact one, on generated, spoilt and odd lines."""

from __future__ import annotations

import json
import os
import random
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from wslog.formats.json_lines import FEW_LINES
from wslog.formats.wslog_client import SAMPLES

from .golden import batch_of
from .test_wslog_client import READER, read_both

FUZZ = int(os.environ.get("WSLOG_FUZZ", "1"))

# --- both paths, on generated and spoilt lines --------------------------------------------------------------------

TEXT = st.text(max_size=9) | st.sampled_from(
    [
        "",
        "a",
        "s1",
        "7",
        "1e3",
        "true",
        "null",
        "登录已过期",
        "a b",
        'q"q',
        "back\\slash",
        "{}",
        "a,b:c",
        "\x7f",
        "page_left",
    ]
)
NUMBER = (
    st.sampled_from(
        [0, 1, 7, 50, 1000, 1006, 65535, 12.5, 84.0, 1e3, 1e-7, -1, -0.5, 0.001, 10**15, 2**31, 2**53 + 1, 2**63]
    )
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.integers(-10, 99999)
)
TIME = st.sampled_from(
    """2026-11-23T08:00:00.000Z 2026-11-23T08:00:00Z 2026-11-23T16:00:00.123456+08:00 2026-11-23T08:00:00.5Z
    2026-02-30T08:00:00.000Z 1980-01-01T00:00:00.000Z x""".split()  # noqa: SIM905
) | st.sampled_from([1795420800000, 1795420800000.5, 5, "2026-11-23 08:00:00Z"])
EVENT = st.sampled_from(
    ["attempt", "open", "close", "error", "retry", "fallback", "poll", "upgrade", "network", "other"]
)
NETWORK = st.fixed_dictionaries(
    {},
    optional={
        "type": st.sampled_from(["wifi", "cell", "3g", "zigbee", "", None]),
        "effective_type": st.sampled_from(["4g", "slow-2g", "9g"]),
        "rtt": NUMBER,
        "downlink": NUMBER,
    },
)
ANY = st.none() | st.booleans() | NUMBER | TEXT | st.lists(NUMBER, max_size=2) | NETWORK
COUNTS = ("attempt", "retry", "max_retries", "messages_sent", "messages_received", "buffered_amount")
MEASURES = ("latency_ms", "lifetime_ms", "delay_ms", "longest_inbound_silence_ms", "sample_weight")
FIELDS: dict[str, st.SearchStrategy[Any]] = {
    **dict.fromkeys(("session", "connection", "request_id", "url", "reason", "error", "ua", "ip"), TEXT),
    **dict.fromkeys(COUNTS, st.integers(0, 10**10)),
    **dict.fromkeys(MEASURES, NUMBER),
    "code": st.sampled_from([1000, 1005, 1006, 4001, 0, 70000]),
    "status": st.sampled_from([0, 101, 200, 502]),
    "was_clean": st.booleans(),
    "network": NETWORK,
    "transport": st.sampled_from(["websocket", "polling", "sse", "tcp"]),
    "ended_by": st.sampled_from(["client", "proxy"]),
    "seq": NUMBER, "note": TEXT, "more": ANY,
}  # fmt: skip
STYLES = [{"separators": (",", ":")}, {}, {"separators": (",", ": ")}, {"separators": (" , ", " : ")}]
PIECES = [
    *(bytes([c]) for c in b'"\\,:{}[] \t\x00\x01\xff\xe7-.e09'),
    *b'null true NaN "" {} [] 1e3 "code":1006, ,"event":"open" \xed\xa0\x80'.split(),
]


def encode(fields: dict[str, Any], style: int, is_ascii: bool) -> bytes:
    return json.dumps(fields, ensure_ascii=is_ascii, **STYLES[style]).encode("utf-8", "surrogatepass")  # type: ignore[arg-type]


@st.composite
def shaped_lines(draw: st.DrawFn) -> list[bytes]:
    """Lines of a few shapes, each repeated with other values, so that the columnar path has something to do."""
    lines: list[bytes] = []
    style, is_ascii = draw(st.integers(0, len(STYLES) - 1)), draw(st.booleans())
    for _ in range(draw(st.integers(1, 3))):
        names = draw(st.permutations(draw(st.lists(st.sampled_from(sorted(FIELDS)), unique=True, max_size=9))))
        for _ in range(draw(st.integers(1, 6))):
            fields = {"ts": draw(TIME), "event": draw(EVENT)} | {n: draw(FIELDS[n]) for n in names}
            if draw(st.integers(0, 9)) == 0 and names:
                fields[names[0]] = draw(ANY)
            lines.append(encode(fields, style, is_ascii))
    return lines


LONG = settings(max_examples=150 * FUZZ, deadline=None, suppress_health_check=list(HealthCheck))


@LONG
@given(shaped_lines())
def test_both_paths_on_generated_lines(lines: list[bytes]) -> None:
    read_both(b"\n".join(lines))


@LONG
@given(shaped_lines(), st.data())
def test_both_paths_on_spoilt_lines(lines: list[bytes], data: st.DataObject) -> None:
    text = bytearray(b"\n".join(lines))
    for _ in range(data.draw(st.integers(1, 6))):
        at = data.draw(st.integers(0, len(text)))
        text[at : at + data.draw(st.integers(0, 3))] = data.draw(st.sampled_from(PIECES) | st.binary(max_size=3))
    read_both(bytes(text))


@pytest.mark.parametrize("seed", range(6 * FUZZ))
def test_both_paths_on_many_spoilt_lines(seed: int) -> None:
    """Each line of a large batch is spoilt in one place: deleted, doubled, replaced or swapped bytes."""
    chance = random.Random(seed)
    texts = [s.text.encode() for s in SAMPLES] + [encode(json.loads(s.text), seed % 4, False) for s in SAMPLES]
    lines = []
    for _ in range(400):
        line = bytearray(chance.choice(texts))
        at, size = chance.randrange(len(line)), chance.choice([0, 0, 1, 1, 2, 5])
        kind = chance.randrange(5)
        if kind == 0:
            line[at : at + size] = chance.choice(PIECES)
        elif kind == 1:
            line[at:at] = line[at : at + size + 8]
        elif kind == 2:
            line[at] = chance.randrange(256)
        elif kind == 3:
            other = chance.randrange(len(line))
            line[at], line[other] = line[other], line[at]
        lines.append(bytes(line).replace(b"\n", b" "))
    read_both(b"\n".join(lines))


def test_both_paths_on_many_values() -> None:
    """Counted and measured numbers, short and long texts, late and early lines: each way a column is read."""
    chance = random.Random(7)
    lines = []
    for i in range(1500):
        fields = {
            "ts": 1795420800000 + i,
            "event": chance.choice(["open", "poll"]),
            "attempt": i % 7,
            "status": 200 + i % 3,
        }
        fields |= {"latency_ms": round(chance.lognormvariate(4, 1), 2), "messages_sent": chance.randrange(10**12)}
        fields |= {
            "transport": chance.choice(["websocket", "polling", "sse", "webtransport"]),
            "reason": "x" * (i % 40),
        }
        lines.append(json.dumps(fields).encode())
    parsed = read_both(b"\n".join(lines))
    assert parsed.event_lines == 1500
    _, doubt = READER.fast(batch_of(b"\n".join(lines)))
    assert not doubt.any(), "lines of few shapes are read column by column"


def test_usual_logs_are_read_column_by_column() -> None:
    """Compact, spaced and explicitly null lines, unknown fields and non-ASCII text need no second look."""
    for style in range(len(STYLES)):
        lines = []
        for i in range(60):
            fields = {
                "ts": f"2026-11-23T08:00:00.{i:03d}Z",
                "event": "close",
                "code": 1000 + i % 3,
                "reason": "登录已过期",
            }
            lines.append(
                encode(
                    fields | {"was_clean": i % 2 == 0, "session": None, "seq": i / 4, "more": {"x": [1]}}, style, False
                )
            )
        assert not READER.fast(batch_of(b"\n".join(lines)))[1].any()


def test_quotes_inside_guessed_strings_are_noticed() -> None:
    """A long string is first taken to be as long as the first line's: two values may hide in such a one."""
    plain = '{"ts":1795420800000,"event":"open","session":"%s","ua":"%s"}'
    good = [plain % (f"{i:032d}", "x" * (i % 50)) for i in range(3 * FEW_LINES)]
    hidden = plain % ('a","code":1006,"reason":"' + "b" * 7, "x")
    assert len(hidden) == len(good[1])
    broken = hidden.replace('","code"', '" "code"')
    parsed = read_both("\n".join([*good, hidden, broken, *good]).encode())
    assert [(r.index, r.reason) for r in parsed.rejects] == [(len(good) + 1, "json")]
    assert parsed.events is not None
    assert parsed.events["close_code"].to_pylist()[len(good)] == 1006


def test_many_lines_of_no_shape_do_not_spoil_the_rest() -> None:
    """So many that their quotes are not counted one by one; balanced in number with quotes hidden in good lines."""
    good = [f'{{"ts":{1795420800000 + i},"event":"open","session":"{i:032d}"}}' for i in range(400)]
    odd = [line[:-2] + "}" for line in good[:300]]
    hidden = [line.replace('":"0000000000', '":"0","x":"00', 1) for line in good[:3]]
    assert len(hidden[0]) == len(good[0])
    lines = [text for group in zip(good[:300], odd, strict=True) for text in group] + hidden + good[300:]
    parsed = read_both("\n".join(lines).encode())
    assert [r.reason for r in parsed.rejects] == ["json"] * 300
    assert parsed.event_lines == 403


@pytest.mark.parametrize("end", ["", "\n", "\r\n"])
@pytest.mark.parametrize("last", ['"seq":1', '"seq":"s"', '"was_clean":true', '"code":1006', '"reason":"kicked"'])
def test_values_at_the_buffer_end(last: str, end: str) -> None:
    line = '{"ts":1795420800000,"event":"close",' + last + "}"
    for count in (1, 2, 3 * FEW_LINES):
        parsed = read_both(((line + (end or "\n")) * count).encode().removesuffix(b"" if end else b"\n"))
        assert parsed.event_lines == count
        assert not READER.fast(batch_of(((line + "\n") * count).encode()))[1].any()
