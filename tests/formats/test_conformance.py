"""One suite over every registered format: what the contract promises, each format keeps."""

from __future__ import annotations

import random
import re
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import cache
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wslog.formats import registry
from wslog.formats.contract import ROW_COLUMNS, Batch, Format, Options, Parsed, Sample, parse
from wslog.schema import COLUMNS, SIDES

from .golden import batch_of, event_rows, head_of, reject_rows

SNAKE = re.compile(r"[a-z][a-z0-9]*(?:_[a-z0-9]+)*")
FORMATS = pytest.mark.parametrize("name", registry.FORMATS)
INJECTED = (b"\xff", b"\xc3", b"\xed\xa0\x80", b"\x1b[31m", b'"', b"}", b"\\", b" ", "漢".encode(), b"9" * 25)

HOSTILE_BYTES = 1 << 16


def samples() -> Iterator[Any]:
    for name in registry.FORMATS:
        for sample in registry.get(name).samples:
            yield pytest.param(name, sample, id=f"{name}-{sample.kind}")


SAMPLES = pytest.mark.parametrize(("name", "sample"), list(samples()))


@cache
def common_options(name: str) -> tuple[Options, bytes]:
    """Return the options that most samples of a format share, and those samples as one file."""
    by_options: dict[Options, list[str]] = {}
    for sample in registry.get(name).samples:
        by_options.setdefault(sample.options, []).append(sample.text)
    options, texts = max(by_options.items(), key=lambda item: len(item[1]))
    return options, "".join(text + "\n" for text in texts).encode()


def read_both(found: Format, options: Options, data: bytes) -> tuple[Parsed, Parsed]:
    """Read bytes by both paths; check what always holds."""
    batch = batch_of(data)
    reader = found.reader(options, head_of(batch))
    parsed, exact = parse(reader, batch), reader.exact(batch)
    check_parsed(parsed, batch)
    check_parsed(exact, batch)
    return parsed, exact


def check_parsed(parsed: Parsed, batch: Batch) -> None:
    assert parsed.line_count == len(batch), "every line is an event line, rejected or ignored, and only once"
    words = [r.reason for r in parsed.rejects] + list(parsed.ignored)
    assert all(SNAKE.fullmatch(word) for word in words), words
    assert all(count > 0 for count in parsed.ignored.values())
    known = set(batch.index.tolist())
    assert all(r.index in known and r.index + r.line_count - 1 in known for r in parsed.rejects)
    if parsed.events is None:
        assert parsed.event_lines == 0
        return
    assert parsed.events.schema.names == list(ROW_COLUMNS)
    rows = parsed.events.to_pylist()
    keys = [(row["line_index"], row["event_index"]) for row in rows]
    assert keys == sorted(set(keys)), "rows come in line order, each once"
    assert {row["line_index"] for row in rows} <= known
    for row in rows:
        check_row(row)
    times = [row["event_at"] for row in rows if row["event_at"] is not None]
    if times:
        assert parsed.observed is not None
        low, high = (datetime.fromtimestamp(0, UTC) + np.timedelta64(t, "us").astype(object) for t in parsed.observed)
        assert low <= max(times), "the window touches the events"
        assert min(times) <= high, "the window touches the events"


def check_row(row: dict[str, Any]) -> None:
    """Check one row against the registry's closed lists and the rules between columns."""
    for name, value in row.items():
        if name in COLUMNS and COLUMNS[name].words and value is not None:
            assert value in COLUMNS[name].words, (name, value)
    assert row["event"] is not None
    assert row["sample_weight"] > 0.0
    assert (row["close_code_source"] is not None) == (row["event"] == "close"), "told on closes, and only there"
    if row["close_code"] is not None:
        assert row["close_code_source"] != "absent"
    elif row["event"] == "close":
        assert row["close_code_source"] == "absent"
    for name in ("lifetime_s", "handshake_ms", "request_ms", "retry_delay_ms"):
        if row[name] is not None and row["anomaly"] != "negative_duration":
            assert row[name] >= 0, (name, row[name])
    for name in ("error_text", "url_path", "session_id", "connection_id", "request_id"):
        assert "://" not in (row[name] or "") or "?" not in row[name], f"{name} holds a URL with its query"


def same(one: Parsed, two: Parsed) -> None:
    assert event_rows(one) == event_rows(two)
    assert reject_rows(one) == reject_rows(two)
    assert one.observed == two.observed


def instant(value: Any) -> Any:
    """Return an expected time as a datetime: given as one, as ISO 8601 text or as microseconds since 1970 UTC."""
    if isinstance(value, str):
        return datetime.fromisoformat(value.replace("Z", "+00:00"))
    if isinstance(value, int):
        return datetime.fromtimestamp(0, UTC) + np.timedelta64(value, "us").astype(object)
    return value


# --- what a format says about itself -------------------------------------------------------------------------


@FORMATS
def test_is_described(name: str) -> None:
    found = registry.get(name)
    assert found.name == name
    assert SNAKE.fullmatch(name)
    assert found.version >= 1
    assert found.side in SIDES
    assert found.title
    assert found.source
    assert found.clock.zone in ("in_line", "utc", "option", "none")
    assert found.clock.resolution_s > 0
    assert set(found.uses) <= set(Options.__dataclass_fields__)
    module = __import__(f"wslog.formats.{name}", fromlist=["FORMAT"])
    assert len(module.__doc__ or "") > 100, "the module says what the format is and what it guesses"


@FORMATS
def test_every_kind_has_one_name(name: str) -> None:
    kinds = [sample.kind for sample in registry.get(name).samples]
    assert kinds
    assert len(kinds) == len(set(kinds))
    assert all(SNAKE.fullmatch(kind) for kind in kinds)


@FORMATS
def test_samples_give_events_and_ignored_lines(name: str) -> None:
    assert any(sample.rows for sample in registry.get(name).samples)


# --- samples ------------------------------------------------------------------------------------------------


@SAMPLES
def test_sample_gives_the_rows_it_states(name: str, sample: Sample) -> None:
    parsed, exact = read_both(registry.get(name), sample.options, sample.text.encode())
    same(parsed, exact)
    assert not parsed.rejects
    rows = [] if parsed.events is None else parsed.events.to_pylist()
    assert len(rows) == len(sample.rows)
    for row, wanted in zip(rows, sample.rows, strict=True):
        for column, value in wanted.items():
            expected = instant(value) if ROW_COLUMNS[column] == "instant" else value
            assert row[column] == (pytest.approx(expected) if isinstance(expected, float) else expected), column


@FORMATS
def test_claims_its_own_samples(name: str) -> None:
    found = registry.get(name)
    options, data = common_options(name)
    assert found.claims(head_of(batch_of(data)), options)
    detected, why = registry.detect(head_of(batch_of(data)), options)
    assert detected is found
    assert why


@FORMATS
def test_claims_no_other_samples(name: str) -> None:
    found = registry.get(name)
    for other in registry.FORMATS:
        if other == name:
            continue
        for sample in registry.get(other).samples:
            assert not found.claims(batch_of(sample.text.encode()), Options()), (other, sample.kind)
        assert not found.claims(head_of(batch_of(common_options(other)[1])), Options()), other


@FORMATS
@pytest.mark.parametrize(
    "text", ["", "hello\n", "\n\n", "{}\n", "[]\n", '"\n', "a,b,c\n1,2,3\n", "\x1b[0m\n", "a" * 70000]
)
def test_claims_nothing_foreign(name: str, text: str) -> None:
    assert not registry.get(name).claims(batch_of(text.encode()), Options())


# --- the two paths agree, whatever the bytes ------------------------------------------------------------------


@FORMATS
def test_all_samples_at_once(name: str) -> None:
    options, data = common_options(name)
    parsed, exact = read_both(registry.get(name), options, data)
    same(parsed, exact)
    assert not parsed.rejects


@FORMATS
def test_reading_twice_gives_the_same(name: str) -> None:
    options, data = common_options(name)
    same(read_both(registry.get(name), options, data)[0], read_both(registry.get(name), options, data)[0])


@FORMATS
def test_no_lines(name: str) -> None:
    parsed, exact = read_both(registry.get(name), common_options(name)[0], b"")
    same(parsed, exact)
    assert parsed.events is None
    assert not parsed.rejects
    assert not parsed.ignored


@FORMATS
def test_crlf_changes_nothing(name: str) -> None:
    options, data = common_options(name)
    plain, _ = read_both(registry.get(name), options, data)
    parsed, exact = read_both(registry.get(name), options, data.replace(b"\n", b"\r\n"))
    same(parsed, exact)
    same(parsed, plain)


@FORMATS
def test_doubled_lines_give_doubled_rows(name: str) -> None:
    options, data = common_options(name)
    once, _ = read_both(registry.get(name), options, data)
    parsed, exact = read_both(registry.get(name), options, data + data)
    same(parsed, exact)
    assert parsed.event_lines == 2 * once.event_lines
    assert len(event_rows(parsed)) == 2 * len(event_rows(once))


@FORMATS
def test_order_of_lines_does_not_matter(name: str) -> None:
    found = registry.get(name)
    if found.cut is not None:
        pytest.skip("records of several lines cannot be shuffled by line")
    options, data = common_options(name)
    lines = data.splitlines(keepends=True) * 3
    random.Random(20261123).shuffle(lines)
    parsed, exact = read_both(found, options, b"".join(lines))
    same(parsed, exact)
    singles = [
        row | {"line": i + 1} for i, line in enumerate(lines) for row in event_rows(read_both(found, options, line)[0])
    ]
    assert event_rows(parsed) == singles


@SAMPLES
def test_truncated_at_every_byte(name: str, sample: Sample) -> None:
    """All truncations of a single line are one batch; a record of several lines is cut at a stride of its length."""
    found, data = registry.get(name), sample.text.encode()
    if found.cut is None:
        same(*read_both(found, sample.options, b"".join(data[:i] + b"\n" for i in range(1, len(data)))))
        return
    for i in range(1, len(data), max(1, len(data) // 80)):
        same(*read_both(found, sample.options, data[:i]))


@SAMPLES
@pytest.mark.parametrize("injected", INJECTED, ids=repr)
def test_bytes_injected(name: str, sample: Sample, injected: bytes) -> None:
    found, data = registry.get(name), sample.text.encode()
    step = max(1, len(data) // 40)
    spoilt = [data[:i] + injected + data[i:] for i in range(0, len(data) + 1, step)]
    if found.cut is None:
        same(*read_both(found, sample.options, b"\n".join(spoilt)))
        return
    for text in spoilt[::4]:
        same(*read_both(found, sample.options, text))


@FORMATS
@settings(max_examples=60, deadline=None)
@given(st.data())
def test_mutated_files(name: str, data: st.DataObject) -> None:
    found = registry.get(name)
    options, text = common_options(name)
    spoilt = bytearray(text)
    for _ in range(data.draw(st.integers(1, 8))):
        at = data.draw(st.integers(0, len(spoilt) - 1))
        size = data.draw(st.integers(0, 12))
        spoilt[at : at + size] = data.draw(st.binary(max_size=6) | st.sampled_from(INJECTED))
    same(*read_both(found, options, bytes(spoilt)))


@FORMATS
def test_hostile_lines_take_linear_time(name: str) -> None:
    """64 KiB of each piece of a sample, repeated: a pattern that backtracks would take many seconds."""
    found = registry.get(name)
    options, data = common_options(name)
    pieces = {piece for word in data.decode().split() for piece in (word, word + " ", word[: len(word) // 2])} | {
        " ",
        '"',
        "[",
        "{",
        "a:1",
    }
    reader = found.reader(options, head_of(batch_of(data)))
    for piece in sorted(pieces - {""}):
        for before in (b"", data.split(b"\n", 1)[0]):
            line = before + (piece * (HOSTILE_BYTES // len(piece) + 1)).encode()[:HOSTILE_BYTES] + b"\n"
            began = time.process_time()
            reader.exact(Batch.of(line))
            assert time.process_time() - began < 1.0, f"{piece!r} repeated is slow"


@FORMATS
@settings(max_examples=40, deadline=None)
@given(st.binary(max_size=300))
def test_any_bytes(name: str, data: bytes) -> None:
    same(*read_both(registry.get(name), common_options(name)[0], data))


@FORMATS
def test_a_part_of_the_lines_is_read_alike(name: str) -> None:
    """A batch with gaps (its bytes hold more than its lines) gives the rows of those lines, under their own labels."""
    found = registry.get(name)
    if found.cut is not None:
        pytest.skip("half a record is another record")
    options, data = common_options(name)
    batch = batch_of(data)
    reader = found.reader(options, head_of(batch))
    for keep in (np.arange(len(batch)) % 2 == 0, np.arange(len(batch)) % 3 == 1):
        part = batch.select(keep)
        parsed = parse(reader, part)
        check_parsed(parsed, part)
        kept = {int(i) + 1 for i in part.index}
        assert event_rows(parsed) == [row for row in event_rows(parse(reader, batch)) if row["line"] in kept]


# --- records of several lines -----------------------------------------------------------------------------------


@FORMATS
def test_blocks_end_with_whole_records(name: str) -> None:
    """Whatever the block size, the rows are those of the whole file."""
    found = registry.get(name)
    if found.cut is None:
        pytest.skip("every line is a record")
    options, data = common_options(name)
    batch = batch_of(data)
    reader = found.reader(options, head_of(batch))
    whole = event_rows(parse(reader, batch))
    for size in (700, 1500, 4000):
        assert cut_in_blocks(found, reader, data, size) == whole, size


def cut_in_blocks(found: Format, reader: Any, data: bytes, size: int) -> list[dict[str, Any]]:
    assert found.cut is not None
    rows: list[dict[str, Any]] = []
    carry, first_line, at = b"", 0, 0
    while True:
        carry, at = carry + data[at : at + size], at + size
        is_last = at >= len(data)
        lines_end = carry.rfind(b"\n") + 1
        end = found.cut(np.frombuffer(carry[:lines_end], np.uint8), is_last)
        assert 0 <= end <= lines_end
        assert end == 0 or carry[end - 1] == 10
        block, carry = carry[:end], carry[end:]
        parsed = parse(reader, Batch.of(block))
        rows += [row | {"line": row["line"] + first_line} for row in event_rows(parsed)]
        first_line += block.count(b"\n")
        if is_last:
            assert not carry, "at the end of the input everything is cut"
            return rows
