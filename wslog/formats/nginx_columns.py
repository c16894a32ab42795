"""What a batch of nginx access lines says: the same answers as :mod:`wslog.formats.nginx_rows`, column-wise.

Every line is judged from three fields (status, Upgrade header, target); the other fields are read only for the lines
that are kept, which in an access log are few.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from wslog.formats.contract import BoolArray, IntArray, Options, Parsed, int64_array, make_rows, mask_array
from wslog.formats.nginx_fields import last_item, milliseconds_column
from wslog.formats.nginx_rows import ABSENT, FAILED, OPEN, POLL, Roles
from wslog.formats.nginx_view import View, words
from wslog.formats.web import POLLING, SSE, WEBSOCKET, are_pages, bounds, buffer, classify_codes, matches, slices, take


@dataclass(frozen=True)
class _Targets:
    """The targets of a view's lines, and what the request methods allow.

    Attributes
    ----------
    text : callable
        ``rows -> string array``.
    can_open : (m,) bool array
        Whether the method may open a WebSocket.
    is_connect : (m,) bool array or None
        None: no line is a CONNECT.
    unread : (m,) bool array
        Lines whose request has another shape; their target is not known here.
    """

    text: Callable[[IntArray], pa.StringArray]
    can_open: BoolArray
    is_connect: BoolArray | None
    unread: BoolArray


@dataclass(frozen=True)
class _Judged:
    """The lines of a view, judged: codes OPEN, FAILED, POLL, POLL + 1 or 0."""

    at: IntArray
    status: npt.NDArray[np.int16]
    codes: npt.NDArray[np.int8]
    targets: _Targets


def read_events(lines: View, roles: Roles, options: Options) -> tuple[Parsed, IntArray]:
    """Return what the lines say, and the labels of those left to :func:`read_event`.

    Left over are lines whose ``$request`` is not a plain request line of a common method.
    """
    if not len(lines):
        return Parsed(), np.empty(0, np.int64)
    judged = _judge(lines, roles, options)
    unread = judged.targets.unread
    judged.codes[unread] = 0
    rows = np.flatnonzero(judged.codes)
    read = np.flatnonzero(~unread)
    at = judged.at[read] if len(read) < len(lines) else judged.at
    return (
        Parsed(
            events=_table(lines, roles, judged, rows) if len(rows) else None,
            ignored={"other_traffic": len(read) - len(rows)} if len(read) > len(rows) else {},
            event_lines=len(rows),
            observed=(int(at.min()), int(at.max())) if len(at) else None,
        ),
        lines.index[unread],
    )


def _judge(lines: View, roles: Roles, options: Options) -> _Judged:
    data, start, _ = lines.fields("status")
    digits = words(data, start).astype(np.int32) & 0x0F0F0F
    status = (digits & 15) * 100 + (digits >> 8 & 15) * 10 + (digits >> 16)
    targets = _targets(lines, roles)
    codes = np.zeros(len(lines), np.int8)
    codes[status == 101] = OPEN
    if targets.is_connect is not None:
        rows = np.flatnonzero((status == 200) & targets.is_connect)
        codes[rows[matches(targets.text(rows), "^/")]] = OPEN
    if roles.upgrade:
        codes[(codes == 0) & _says_websocket(lines, roles.upgrade)] = FAILED
    rest = np.flatnonzero(codes == 0)
    kinds = classify_codes(targets.text(rest), options, not roles.upgrade)
    found = np.zeros(len(rest), np.int8)
    found[kinds == POLLING] = POLL
    found[kinds == SSE] = POLL + 1
    found[(kinds == WEBSOCKET) & targets.can_open[rest] & ~are_pages(status[rest])] = FAILED
    codes[rest] = found
    return _Judged(lines.time(roles.time), status.astype(np.int16), codes, targets)


_METHODS = ("GET ", "POST ", "HEAD ", "PUT ", "DELETE ", "OPTIONS ", "PATCH ", "CONNECT ")
_PROTOCOLS = ("HTTP/1.1", "HTTP/2.0", "HTTP/1.0", "HTTP/3.0")


def _word(text: str) -> tuple[np.uint64, np.uint64]:
    """Return the first 8 bytes of a text as a little-endian number, and the mask of the bytes it has."""
    raw = text.encode()[:8]
    return np.uint64(int.from_bytes(raw, "little")), np.uint64((1 << 8 * len(raw)) - 1)


def _targets(lines: View, roles: Roles) -> _Targets:
    n = len(lines)
    if roles.request:
        return _request_targets(lines, roles.request)
    targets = (
        lines.text(roles.target)
        if roles.target
        else pa.array([""], pa.string()).take(int64_array(np.zeros(n, np.int64)))
    )
    targets = pc.if_else(pc.equal(targets, "-"), "", targets)
    if roles.args:
        args = lines.text(roles.args)
        is_absent = mask_array(_absent(args))
        question = pc.if_else(is_absent, "", "?")
        targets = pc.binary_join_element_wise(targets, question, pc.if_else(is_absent, "", args), "")
    can_open, is_connect = np.ones(n, bool), None
    if roles.method:
        methods = lines.text(roles.method)
        can_open = pc.is_in(methods, pa.array(["GET", "CONNECT", *ABSENT], pa.string())).to_numpy(zero_copy_only=False)
        is_connect = pc.equal(methods, "CONNECT").to_numpy(zero_copy_only=False)
    return _Targets(lambda rows: take(targets, rows), can_open, is_connect, np.zeros(n, bool))


def _request_targets(lines: View, variable: str) -> _Targets:
    values = lines.text(variable)
    data, (start, stop) = buffer(values), bounds(values)
    head, tail = words(data, start), words(data, np.maximum(stop - 8, 0))
    length = np.zeros(len(lines), np.int64)
    can_open, is_connect = np.zeros(len(lines), bool), np.zeros(len(lines), bool)
    left = np.arange(len(lines))
    for method in _METHODS:
        word, mask = _word(method)
        is_it = (head[left] & mask) == word
        found, left = left[is_it], left[~is_it]
        length[found] = len(method)
        can_open[found] = method in ("GET ", "CONNECT ")
        is_connect[found] = method == "CONNECT "
    ends_well = np.logical_or.reduce([tail == _word(protocol)[0] for protocol in _PROTOCOLS])
    # shortest: "GET  HTTP/1.1"; shorter ones are judged one by one, and so is what has another shape
    is_plain = ends_well & (length > 0) & (stop - 9 >= start + length)
    is_plain &= words(data, np.maximum(stop - 9, 0)) & np.uint64(255) == ord(" ")
    first, until = np.where(is_plain, start + length, start), np.where(is_plain, stop - 9, start)
    return _Targets(
        lambda rows: slices(data, first[rows], until[rows]),
        can_open,
        is_connect if is_connect.any() else None,
        ~is_plain,
    )


def _says_websocket(lines: View, variable: str) -> BoolArray:
    span = lines.span(variable)
    said = np.zeros(len(lines), bool)
    rows = np.arange(len(lines)) if span is None else np.flatnonzero(span[1] - span[0] >= len("websocket"))
    if len(rows):
        said[rows] = pc.match_substring(lines.text(variable, rows), "websocket", ignore_case=True).to_numpy(
            zero_copy_only=False
        )
    return said


def _absent(values: pa.StringArray) -> BoolArray:
    start, stop = bounds(values)
    is_absent: BoolArray = stop == start
    short = np.flatnonzero(stop - start == 1)
    is_absent[short] = buffer(values)[start[short]] == ord("-")
    return is_absent


def _present(values: pa.StringArray) -> pa.StringArray:
    """Null where the value is absent."""
    absent = _absent(values)
    return values if not absent.any() else pc.if_else(mask_array(absent), pa.scalar(None, pa.string()), values)


def _table(lines: View, roles: Roles, judged: _Judged, rows: IntArray) -> pa.Table:
    n = len(rows)
    codes, status = judged.codes[rows], judged.status[rows]

    def text(name: str) -> pa.StringArray | None:
        return _present(lines.text(name, rows)) if name else None

    is_open, is_failed, is_poll = codes == OPEN, codes == FAILED, codes >= POLL
    duration, handshake = _durations(text(roles.duration), n), _durations(text(roles.handshake), n)
    ended_by = np.where(is_poll, 0, 4)
    if roles.completion:
        completion = text(roles.completion)
        assert completion is not None
        ended_by[is_open & completion.is_null().to_numpy(zero_copy_only=False)] = 3
    if roles.upstream_status:
        ended_by[is_failed] = _refusers(text(roles.upstream_status), is_failed)
    ended_by[is_failed & (status == 499)] = 1
    error = np.where(
        is_failed | (is_poll & (status >= 400)), np.where(status == 499, 2, np.where(status < 100, 3, 1)), 0
    )
    ids = [text(name) for name in roles.ids]
    sent = text(roles.sent)
    failed_ms = milliseconds_column(duration)
    columns: dict[str, Any] = {
        "line_index": int64_array(lines.index[rows]),
        "event_at": int64_array(judged.at[rows]),
        "event": _words(codes, ("close", "close", "error", "poll", "poll")),
        "transport": _words(codes, ("websocket", "websocket", "websocket", "polling", "sse")),
        "http_status": _masked(pa.int16(), status, status >= 100),
        "close_code_source": _words(np.where(is_open, 1, 0), (None, "absent")),
        "ended_by": _words(ended_by, (None, "client", "server", "proxy", "unknown")),
        "error_class": _words(error, (None, "http_status", "aborted_by_page", "unknown")),
        "lifetime_s": _floats(duration, is_open),
        "handshake_ms": _floats(np.where(is_open, milliseconds_column(handshake), failed_ms), ~is_poll),
        "request_ms": _floats(failed_ms, is_poll),
        "sent_bytes": None if sent is None else sent.cast(pa.int64()),
        "url": _urls(lines, roles, judged.targets.text(rows), rows),
        "user_agent": text(roles.agent),
        "address": text(roles.address),
        "request_id": pc.coalesce(*ids) if ids else None,
    }
    return make_rows(columns, n)


def _durations(values: pa.StringArray | None, count: int) -> npt.NDArray[np.float64]:
    """Return seconds (NaN: none); of a list, the last value."""
    if values is None:
        return np.full(count, np.nan)
    try:
        numbers = values.cast(pa.float64())
    except pa.ArrowInvalid:  # a list of several values
        numbers = _last_items(values).cast(pa.float64())
    out: npt.NDArray[np.float64] = numbers.to_numpy(zero_copy_only=False)
    return out


def _last_items(values: pa.StringArray) -> pa.StringArray:
    is_list = pc.fill_null(pc.match_substring(values, " "), False)
    if not is_list.true_count:
        return values
    few = [last_item(v) for v in values.filter(is_list).to_pylist()]
    return pc.replace_with_mask(values, is_list, pa.array([None if v in ABSENT else v for v in few], pa.string()))


def _refusers(upstream: pa.StringArray | None, is_failed: BoolArray) -> npt.NDArray[np.int64]:
    assert upstream is not None
    last = _last_items(upstream.filter(mask_array(is_failed)))
    is_none = last.is_null().to_numpy(zero_copy_only=False)
    is_made_up = matches(last, "^50[24]$")
    return np.where(is_none, 3, np.where(is_made_up, 4, 2))


def _words(codes: npt.NDArray[Any], words: tuple[str | None, ...]) -> pa.DictionaryArray:
    """Return words by code; a code whose word is None is null."""
    known = [w for w in words if w is not None]
    lookup = np.array([0 if w is None else known.index(w) for w in words], np.int32)
    is_known = np.array([w is not None for w in words])
    indices = _masked(pa.int32(), lookup[codes], is_known[codes])
    return pa.DictionaryArray.from_arrays(indices, pa.array(known, pa.string()))


def _floats(values: npt.NDArray[np.float64], mask: BoolArray) -> pa.Array:
    return _masked(pa.float64(), values, mask & ~np.isnan(values))


def _masked(kind: pa.DataType, values: npt.NDArray[Any], is_valid: BoolArray) -> pa.Array:
    validity = None if is_valid.all() else mask_array(is_valid).buffers()[1]
    return pa.Array.from_buffers(kind, len(values), [validity, pa.py_buffer(np.ascontiguousarray(values))])


def _urls(lines: View, roles: Roles, urls: pa.StringArray, rows: IntArray) -> pa.StringArray:
    if roles.host:
        scheme = _present(lines.text(roles.scheme, rows)) if roles.scheme else None
        host = _present(lines.text(roles.host, rows))
        prefix = "" if scheme is None else pc.fill_null(pc.binary_join_element_wise(scheme, ":", ""), "")
        full = pc.binary_join_element_wise(prefix, "//", host, urls, "")
        is_full = pc.and_(pc.is_valid(host), pc.starts_with(urls, "/"))
        urls = pc.if_else(is_full, full, urls)
    return pc.if_else(pc.equal(urls, ""), pa.scalar(None, pa.string()), urls)
