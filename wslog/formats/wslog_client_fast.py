"""The columnar path of :mod:`wslog.formats.wslog_client`: whole batches of lines of few shapes.

Where the values lie comes from :mod:`wslog.formats.json_lines`; here they become columns. A line whose value is not in
its usual form (an unknown word, a number with an exponent, a time with odd digits) is left to the exact path.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from wslog.formats import wslog_client_rules as rules
from wslog.formats.contract import ROW_COLUMNS, Batch, BoolArray, IntArray, Parsed, int64_array, make_rows, mask_array
from wslog.formats.json_lines import Found, Place, find
from wslog.formats.wslog_client_shapes import BOOL, NUMBER, OBJECT, STRING, Path
from wslog.formats.wslog_client_times import read_times
from wslog.formats.wslog_client_values import FloatArray, column, decimals, dictionary, integers, short_codes, strings
from wslog.formats.wslog_client_words import all_true, equal
from wslog.schema import CLOSE_CODE_SOURCES, ENDED_BY, ERROR_CLASSES, EVENTS, TRANSPORTS, arrow_type

Codes = npt.NDArray[np.int32]


def _path(*names: str) -> Path:
    return tuple(n.encode() for n in names)


WANTED: dict[Path, str] = (
    {_path("ts"): STRING + NUMBER, _path("network"): OBJECT, _path("was_clean"): BOOL}
    | {_path(n): STRING for n in ("event", "transport", "ended_by", *rules.TEXTS)}
    | {_path(n): NUMBER for n in (*rules.INTEGERS, *rules.DURATIONS, "sample_weight")}
    | {_path("network", n): kind for n, kind in rules.NETWORK.items()}
)

_NO_EVENT = EVENTS.index("network")
_TRANSPORT = np.array([TRANSPORTS.index(t) if (t := rules.DEFAULT_TRANSPORT.get(e)) else -1 for e in EVENTS], np.int32)
_IS_HANDSHAKE = np.array([e in rules.HANDSHAKE_EVENTS for e in EVENTS])
_POLL, _CLOSE, _ERROR = (EVENTS.index(e) for e in ("poll", "close", "error"))
_HTTP, _UNKNOWN, _ABORTED = (ERROR_CLASSES.index(c) for c in ("http_status", "unknown", rules.ABORTED))
_BY_CLIENT, _BY_UNKNOWN = ENDED_BY.index("client"), ENDED_BY.index("unknown")
_ABSENT, _INFERRED, _WIRE = (CLOSE_CODE_SOURCES.index(s) for s in ("absent", "inferred", "wire"))
_ANOMALIES = ["close_code_out_of_range", "negative_duration"]


@dataclass(frozen=True)
class _Given:
    """The rows that have a value, and where it lies."""

    mask: BoolArray
    rows: IntArray | slice
    place: Place


class _Columns:
    """Columns of the recognised lines; ``good`` falls where a value is left to the exact path."""

    def __init__(self, found: Found) -> None:
        self.found = found
        self.count = len(found.lines)
        self.good = np.ones(self.count, bool)
        self.out: dict[str, Any] = {}

    def place(self, kind: str, *names: str) -> Place | None:
        return self.found.places.get((_path(*names), kind))

    def text(self, *names: str) -> pa.StringArray | None:
        place = self.place(STRING, *names)
        return None if place is None else strings(self.found.data, place.starts, place.sizes)

    def given(self, kind: str, *names: str) -> _Given | None:
        """Return which rows have a value of this kind, and where it lies."""
        place = self.place(kind, *names)
        if place is None:
            return None
        mask = place.sizes >= 0
        if all_true(mask):
            return _Given(mask, slice(None), place)
        rows = np.flatnonzero(mask)
        return _Given(mask, rows, place.of(rows))

    def coded(self, *names: str) -> tuple[Codes, list[str]] | None:
        """Return a text column as codes (-1: null) and the distinct texts."""
        given = self.given(STRING, *names)
        if given is None:
            return None
        data, at = self.found.data, given.place
        only = _only_text(data, at)
        if only is not None:
            return self.spread(given, np.zeros(len(at.sizes), np.int32), -1), [only]
        coded = short_codes(data, at.starts, at.sizes, at.words)
        if coded is None:
            array = strings(data, at.starts, at.sizes).dictionary_encode()
            codes = np.frombuffer(array.indices.buffers()[1], np.int32)[: len(array)]
            if array.indices.null_count:
                codes = np.where(_valid(array.indices), codes, np.int32(-1))
            coded = codes, array.dictionary.to_pylist()
        return self.spread(given, coded[0], -1), coded[1]

    def spread(self, given: _Given, values: npt.NDArray[Any], fill: int) -> npt.NDArray[Any]:
        """Return the values of some rows as a whole column."""
        if len(values) == self.count:
            return values
        out = np.full(self.count, fill, values.dtype)
        out[given.rows] = values
        return out

    def known(self, name: str, vocabulary: tuple[str, ...]) -> Codes | None:
        """Return codes into a closed list; other words are left to the exact path."""
        coded = self.coded(name)
        if coded is None:
            return None
        mapped = [vocabulary.index(w) if w in vocabulary else -2 for w in coded[1]]
        codes = _look_up(coded[0], mapped)
        if -2 in mapped:
            self.good &= codes != -2
        return codes

    def mapped(self, function: Callable[[str], str | None], *names: str) -> tuple[Codes, list[str]] | None:
        """Return a text column translated word by word, as codes and distinct texts."""
        coded = self.coded(*names)
        if coded is None:
            return None
        translated = [function(w) for w in coded[1]]
        distinct = list(dict.fromkeys(t for t in translated if t is not None))
        return _look_up(coded[0], [-1 if t is None else distinct.index(t) for t in translated]), distinct

    def integer(self, name: str) -> tuple[IntArray, BoolArray] | None:
        """Return a column of whole numbers and where it is given."""
        given = self.given(NUMBER, name)
        if given is None:
            return None
        at = given.place
        values, fine = integers(self.found.data, at.starts, at.sizes, at.words)
        _, low, high = rules.INTEGERS[name]
        fine &= (values >= low) & (values <= high)
        if not all_true(fine):
            self.good &= self.spread(given, fine, True)
        return self.spread(given, values, 0), given.mask

    def number(self, *names: str) -> tuple[FloatArray, BoolArray] | None:
        """Return a column of numbers and where it is given."""
        given = self.given(NUMBER, *names)
        if given is None:
            return None
        at = given.place
        values, fine = decimals(self.found.data, at.starts, at.sizes, at.words)
        if not all_true(fine):
            self.good &= self.spread(given, fine, True)
        return self.spread(given, values, 0), given.mask


def _only_text(data: npt.NDArray[np.uint8], place: Place) -> str | None:
    """Return the text that all values are, if it is of eight bytes or more (shorter ones are soon coded)."""
    size = int(place.sizes[0]) if len(place.sizes) else 0
    if size < 8 or not all_true(place.sizes == size):
        return None
    first = data[place.starts[0] :][:size].tobytes()
    return first.decode() if all_true(equal(data, place.starts, first)) else None


def _look_up(codes: Codes, mapped: list[int]) -> Codes:
    """Translate codes; -1 stays -1 (it takes the entry that is added at the end)."""
    return np.array([*mapped, -1], np.int32)[codes]


def _valid(array: pa.Array) -> BoolArray:
    bits = np.frombuffer(array.buffers()[0], np.uint8)
    return np.unpackbits(bits, count=len(array), bitorder="little").view(bool)


def read_batch(batch: Batch) -> tuple[Parsed, BoolArray]:
    """Read a batch column-wise; the mask is True for lines left to the exact path."""
    doubt = np.ones(len(batch), bool)
    if not len(batch):
        return Parsed(), doubt
    whole = batch.compact()
    found = find(whole, WANTED, frozenset({b"ts"}))
    if not len(found.lines):
        return Parsed(), doubt
    rows = _Columns(found)
    event = rows.known("event", EVENTS)
    if event is None:
        return Parsed(), doubt
    rows.good &= event >= 0
    event = np.where(event >= 0, event, np.int32(_NO_EVENT))
    times = _times(rows)
    _plain_columns(rows, event)
    _ending(rows, event)
    return _finish(batch, rows, times, doubt)


def _times(rows: _Columns) -> IntArray:
    """Fill ``event_at``; lines without a readable time in the window are left out."""
    times = np.zeros(rows.count, np.int64)
    place = rows.place(STRING, "ts")
    if place is not None:
        times = read_times(rows.found.data, place.starts, place.sizes)
    place = rows.place(NUMBER, "ts")
    if place is not None:
        millis, fine = integers(rows.found.data, place.starts, place.sizes)
        times = np.where(fine & (place.sizes >= 0), millis * 1000, times)
    rows.good &= (times >= rules.FIRST_TIME) & (times < rules.END_TIME)
    rows.out["event_at"] = pa.Array.from_buffers(arrow_type("instant"), rows.count, [None, pa.py_buffer(times)])
    return times


_WIDTHS: dict[str, Any] = {"int16": np.int16, "int32": np.int32, "int64": np.int64}


def _plain_columns(rows: _Columns, event: Codes) -> None:
    """Fill the columns that stand on one field each."""
    out = rows.out
    out["event"] = dictionary(event, list(EVENTS))
    for field, name in rules.TEXTS.items():
        text = rows.text(field) if ROW_COLUMNS[name] == "text" else None
        if text is not None:
            out[name] = text
    reason = rows.coded("reason")
    if reason is not None:
        out["close_reason"] = dictionary(*reason)
    for field, (name, _, _) in rules.INTEGERS.items():
        whole = rows.integer(field)
        if whole is not None:
            kind = ROW_COLUMNS[name]
            out[name] = column(whole[0].astype(_WIDTHS[kind]), whole[1], arrow_type(kind))
    _transport(rows, event)
    clean = rows.place(BOOL, "was_clean")
    if clean is not None:
        bitmap = mask_array(clean.sizes >= 0).buffers()[1]
        out["was_clean"] = pa.Array.from_buffers(
            pa.bool_(), rows.count, [bitmap, mask_array(clean.sizes == 4).buffers()[1]]
        )
    weight = rows.number("sample_weight")
    if weight is not None:
        rows.good &= (weight[0] > 0) | ~weight[1]
        out["sample_weight"] = column(np.where(weight[1], weight[0], 1.0), np.ones(rows.count, bool), pa.float64())
    for field, function in (("type", rules.network_type), ("effective_type", rules.effective_type)):
        coded = rows.mapped(function, "network", field)
        if coded is not None:
            out["network_type" if field == "type" else field] = dictionary(*coded)


def _transport(rows: _Columns, event: Codes) -> None:
    codes = _TRANSPORT[event]
    said = rows.known("transport", TRANSPORTS)
    if said is not None:
        codes = np.where(said == -1, codes, said)
    rows.out["transport"] = dictionary(codes, list(TRANSPORTS))


def _durations(rows: _Columns, event: Codes) -> BoolArray:
    """Fill the durations; return where one is negative."""
    is_negative = np.zeros(rows.count, bool)
    for names, outs in (
        (("latency_ms",), ("handshake_ms", "request_ms")),
        (("lifetime_ms",), ("lifetime_s",)),
        (("delay_ms",), ("retry_delay_ms",)),
        (("longest_inbound_silence_ms",), ("longest_inbound_silence_ms",)),
        (("network", "rtt"), ("rtt_ms",)),
    ):
        number = rows.number(*names)
        if number is None:
            continue
        values, given = number
        is_negative |= values < 0
        if len(outs) == 2:
            rows.out[outs[0]] = column(values, given & _IS_HANDSHAKE[event], pa.float64())
            given = given & (event == _POLL)
        rows.out[outs[-1]] = column(values / 1000 if outs == ("lifetime_s",) else values, given, pa.float64())
    return is_negative


def _ending(rows: _Columns, event: Codes) -> None:
    """Fill the columns that follow from several fields."""
    out = rows.out
    is_close, is_error = event == _CLOSE, event == _ERROR
    failure = np.full(rows.count, -1, np.int32)
    text = rows.coded("error")
    if text is not None:
        out["error_text"] = dictionary(*text)
        failure = _look_up(text[0], [ERROR_CLASSES.index(rules.error_class(t)) for t in text[1]])
    status = rows.integer("status")
    if status is not None:
        is_vague = (failure == -1) | (failure == _UNKNOWN)
        is_bad = is_vague & status[1] & (status[0] >= 400) & (is_error | (event == _POLL))
        failure = np.where(is_bad, np.int32(_HTTP), failure)
    failure = np.where(is_error & (failure == -1), np.int32(_UNKNOWN), failure)
    out["error_class"] = dictionary(failure, list(ERROR_CLASSES))

    ended = np.where(is_close, np.int32(_BY_UNKNOWN), np.int32(-1))
    ended[(failure == _ABORTED) & (is_close | is_error)] = _BY_CLIENT
    said = rows.known("ended_by", ENDED_BY)
    if said is not None:
        ended = np.where((said != -1) & (is_close | is_error), said, ended)
    out["ended_by"] = dictionary(ended, list(ENDED_BY))

    source = np.where(is_close, np.int32(_ABSENT), np.int32(-1))
    anomaly = np.where(_durations(rows, event), np.int32(1), np.int32(-1))
    code = rows.integer("code")
    if code is not None:
        values, given = code
        is_inferred = (values == 1005) | (values == 1006) | (values == 1015)
        source = np.where(is_close & given, np.where(is_inferred, np.int32(_INFERRED), np.int32(_WIRE)), source)
        anomaly[given & ((values < rules.SMALLEST_CODE) | (values > rules.LARGEST_CODE))] = 0
    out["close_code_source"] = dictionary(source, list(CLOSE_CODE_SOURCES))
    if (anomaly >= 0).any():
        out["anomaly"] = dictionary(anomaly, _ANOMALIES)


def _finish(batch: Batch, rows: _Columns, times: IntArray, doubt: BoolArray) -> tuple[Parsed, BoolArray]:
    """Make the table of the lines that are good, and say which are left."""
    lines = rows.found.lines
    rows.out["line_index"] = int64_array(batch.index[lines])
    table = make_rows(rows.out, rows.count)
    if not all_true(rows.good):
        lines, times = lines[rows.good], times[rows.good]
        table = table.filter(mask_array(rows.good))
    if not len(lines):
        return Parsed(), doubt
    doubt[lines] = False
    return Parsed(table, event_lines=len(lines), observed=(int(times.min()), int(times.max()))), doubt
