"""Workers tail: records of several lines, however the stream is cut, and their limits."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wslog.formats.cloudflare_tail import FORMAT
from wslog.formats.cloudflare_tail_records import MAX_RECORD_BYTES, MAX_RECORD_LINES, cut, records
from wslog.formats.contract import Options, parse

from .golden import batch_of, event_rows, reject_rows

SAMPLES = [sample.text for sample in FORMAT.samples]
WIDE = next(text for text in SAMPLES if "\n" in text)
PIECES = [
    *SAMPLES[:6],
    "garbage",
    "{",
    "}",
    "    more",
    "",
    "{}",
    "  \t",
    '{"a": 1}',
    WIDE[: len(WIDE) // 2],
    WIDE[len(WIDE) // 2 :],
]


def read(data: bytes) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    batch = batch_of(data)
    parsed = parse(FORMAT.reader(Options(), batch), batch)
    assert parsed.line_count == len(batch)
    return event_rows(parsed), reject_rows(parsed)


def blocks(data: bytes, sizes: list[int]) -> list[bytes]:
    """Cut as ingest does: read some bytes, cut, carry the rest; at the end of the input take what is left."""
    found, carry, at, turn = [], b"", 0, 0
    while at < len(data) or carry:
        size = sizes[turn % len(sizes)]
        carry, at, turn = carry + data[at : at + size], at + size, turn + 1
        lines_end = carry.rfind(b"\n") + 1
        end = cut(np.frombuffer(carry[:lines_end], np.uint8), at >= len(data))
        if end:
            found.append(carry[:end])
        carry = carry[end:]
    assert b"".join(found) == data
    return found


@settings(max_examples=150, deadline=None)
@given(st.lists(st.sampled_from(PIECES), max_size=12), st.lists(st.integers(1, 900), min_size=1, max_size=5))
def test_rows_do_not_depend_on_where_blocks_end(pieces: list[str], sizes: list[int]) -> None:
    data = "".join(piece + "\n" for piece in pieces).encode()
    events: list[dict[str, Any]] = []
    rejects: list[dict[str, Any]] = []
    line = 0
    for block in blocks(data, sizes):
        some, bad = read(block)
        events += [row | {"line": row["line"] + line} for row in some]
        rejects += [row | {"line": row["line"] + line} for row in bad if "line" in row]
        line += block.count(b"\n")
    whole_events, whole_rejects = read(data)
    assert events == whole_events
    assert rejects == [row for row in whole_rejects if "line" in row]


@given(st.lists(st.sampled_from(PIECES), max_size=12))
def test_every_line_is_in_one_record(pieces: list[str]) -> None:
    batch = batch_of("".join(piece + "\n" for piece in pieces).encode())
    spans = records(batch)
    assert [span.first for span in spans] == [0, *(span.stop for span in spans[:-1])][: len(spans)]
    assert not spans or spans[-1].stop == len(batch)


def test_a_record_of_too_many_lines_is_one_reject() -> None:
    data = "{\n" + "    1,\n" * (MAX_RECORD_LINES + 10) + "}\n" + WIDE + "\n"
    events, rejects = read(data.encode())
    assert rejects == [
        {"line": 1, "line_count": MAX_RECORD_LINES, "reason": "record_too_long"},
        {"line": MAX_RECORD_LINES + 1, "line_count": 12, "reason": "record_fragment"},
    ]
    assert [row["line"] for row in events] == [MAX_RECORD_LINES + 13]


def test_a_record_of_too_many_bytes_is_one_reject() -> None:
    line = "    " + "x" * 9_995 + "\n"
    data = "{\n" + line * 150 + "}\n" + WIDE + "\n"
    events, rejects = read(data.encode())
    kept = MAX_RECORD_BYTES // 10_000
    assert [(r["line"], r["line_count"], r["reason"]) for r in rejects] == [
        (1, kept + 1, "record_too_long"),
        (kept + 2, 151 - kept, "record_fragment"),
    ]
    assert [row["line"] for row in events] == [153]


def test_a_stream_that_never_closes_is_cut_at_the_limit() -> None:
    data = ("{\n" + "    1,\n" * (3 * MAX_RECORD_LINES)).encode()
    assert 0 < cut(np.frombuffer(data, np.uint8), False) < len(data)
    assert cut(np.frombuffer(data[:2000], np.uint8), False) == 0
    assert cut(np.frombuffer(data[:2000], np.uint8), True) == 2000


def test_lines_taken_out_inside_a_record_split_its_reject() -> None:
    """A reject names neighbouring lines; ingest takes out blank lines and lines with NUL bytes before."""
    events, rejects = read(b'{\n    "a": 1,\n\n    \0\n    "b": 2,,\n}\n')
    assert not events
    assert rejects == [
        {"line": 1, "line_count": 2, "reason": "json"},
        {"line": 5, "line_count": 2, "reason": "json"},
    ]


@pytest.mark.parametrize("blank", [b"\n\n", b"\n \t\n", b"\r\n\r\n"])
def test_blank_lines_inside_a_record(blank: bytes) -> None:
    data = WIDE.encode().replace(b'\n    "outcome"', blank + b'    "outcome"') + b"\n"
    events, rejects = read(data)
    assert len(events) == 1
    assert not rejects
    assert cut(np.frombuffer(data, np.uint8), False) == len(data)


def test_headers_are_told_by_lower_case_names() -> None:
    item = json.loads(WIDE)
    headers = item["event"]["request"]["headers"]
    item["event"]["request"]["headers"] = {name.title(): value for name, value in headers.items()}
    assert read((json.dumps(item) + "\n").encode())[0][0]["request_id"] == headers["cf-ray"]


def test_an_upgrade_header_that_says_no_beats_the_path() -> None:
    item = json.loads(WIDE)
    del item["event"]["request"]["headers"]["upgrade"]
    item["event"]["request"]["url"] = "https://app.example/ws"
    assert read((json.dumps(item) + "\n").encode()) == ([], [{"ignored": {"other_traffic": 1}}])
