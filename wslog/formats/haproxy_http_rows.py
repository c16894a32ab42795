"""What a HAProxy httplog line means: its fields, already read, become rows of events.

Both paths of :mod:`wslog.formats.haproxy_http` end here, so that a line means the same however it was read.
The termination state (four letters; the first says who ended the session, the second in which phase) is explained in
HAProxy's configuration manual, section 8.5; the tables below are that section in wslog's words.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from wslog.formats.clock import local_to_utc, time_anomalies
from wslog.formats.contract import BoolArray, IntArray, Options, Parsed, int64_array, make_rows, mask_array
from wslog.formats.web import KINDS, OTHER, POLLING, SSE, WEBSOCKET, are_pages, classify_codes, matches

ENDED_BY = {"-": "unknown", "C": "client", "S": "server"} | dict.fromkeys("csPRILKDU", "proxy")
"""First letter -> who ended it. ``c`` and ``s`` are the proxy's own timeouts on the client's or server's side."""

BEFORE_ANSWER = "RQCHT"
"""Second letters of the phases before the server's answer: request, queue, connect, headers, tarpit."""

FAILURES = {"SC": "refused", "SH": "reset", "PH": "protocol"}
"""Letters that name the failure whatever the status (HAProxy writes 502 or 503 itself)."""

_CAPTURED_UPGRADE = r"(?i)[{|]websocket[|}]"


@dataclass
class Fields:
    """The fields of some httplog lines, column by column; every array has one value per line.

    ``start_us`` is local time; ``TR`` to ``Ta`` are the timers in ms (-1: not reached) under HAProxy's names, in one
    (n, 5) array; ``letters`` (n, 4) is the termination state; ``is_early`` marks ``option logasap`` lines.
    """

    index: IntArray
    client: pa.StringArray
    start_us: IntArray
    has_server: BoolArray
    timers: IntArray
    is_early: BoolArray
    status: IntArray
    sent_bytes: IntArray
    letters: npt.NDArray[np.uint8]
    captures: pa.StringArray
    method: pa.StringArray
    target: pa.StringArray
    is_invalid_utf8: BoolArray


class Verdict(NamedTuple):
    """What the status and the termination state say about a line."""

    event: str
    ended_by: str | None
    error_class: str | None
    close_code_source: str | None


@cache
def judge(
    kind: int, status: int, letters: str, is_opened: bool, is_early: bool, has_data: bool, has_server: bool
) -> Verdict:
    """Decide one line.

    Parameters
    ----------
    kind : int
        Position in :data:`wslog.formats.web.KINDS`.
    status : int
        -1 or 0: no answer.
    letters : str
        First two letters of the termination state.
    is_opened : bool
        The handshake was answered with success.
    is_early : bool
        Written at the answer (``option logasap``), not at the end.
    has_data : bool
        Time passed after the answer's headers. A client that aborts without any left during the handshake.
    has_server : bool
        A server was chosen (``<NOSRV>`` is none).
    """
    cause, phase = letters[0], letters[1]
    ended_by = ENDED_BY.get(cause, "unknown")
    if kind != WEBSOCKET:
        failed = "http_status" if status >= 400 else None if status > 0 else failure(status, cause, phase)
        return Verdict("poll", None, failed, None)
    if is_opened and is_early:
        return Verdict("open", None, None, None)
    if is_opened and (cause != "C" or has_data):
        return Verdict("close", ended_by, "timeout" if cause in "cs" else None, "absent")
    if is_opened:
        return Verdict("error", "client", "aborted_by_page", None)
    if cause in "-S":
        ended_by = "server" if has_server else "proxy"
    return Verdict("error", ended_by, failure(status, cause, phase), None)


def failure(status: int, cause: str, phase: str) -> str:
    """Return the error class of a request that failed: by the proxy's letters, else by its status."""
    early = phase in BEFORE_ANSWER
    if cause == "C" and (early or status <= 0):
        return "aborted_by_page"
    if cause in "cs" and (early or status <= 0):
        return "timeout"
    if cause + phase in FAILURES:
        return FAILURES[cause + phase]
    if cause + phase == "PR" and status in (-1, 0, 400):  # a deny rule is PR too, with its own status
        return "protocol"
    if status > 0:
        return "http_status"
    return "reset" if cause == "S" else "unknown"


def to_parsed(fields: Fields, options: Options) -> Parsed:
    """Turn fields into rows; lines of other traffic are counted as ignored.

    The observation window is made of the times when the lines were written (start + Ta): a connection that began
    before the log did was not watched from its beginning.
    """
    parsed = Parsed()
    if not len(fields.index):
        return parsed
    start_us, is_ambiguous, is_nonexistent = local_to_utc(fields.start_us, options.tz)
    end_us = start_us + fields.timers[:, 4] * 1000
    parsed.observed = int(end_us.min()), int(end_us.max())
    kinds, is_opened = kinds_of(fields, options)
    keep = np.flatnonzero(kinds != OTHER)
    parsed.event_lines = len(keep)
    if len(keep) < len(kinds):
        parsed.ignored["other_traffic"] = len(kinds) - len(keep)
    if len(keep):
        anomaly = time_anomalies(is_ambiguous[keep], is_nonexistent[keep])
        parsed.events = _rows(fields, keep, end_us[keep], kinds[keep], is_opened[keep], anomaly)
    return parsed


def kinds_of(fields: Fields, options: Options) -> tuple[npt.NDArray[np.int8], BoolArray]:
    """Return each line's position in :data:`wslog.formats.web.KINDS`, and whether it is a handshake that succeeded.

    101 is WebSocket, and so is 200 for an extended CONNECT (RFC 8441: its target has a path). Else a captured header
    ``websocket`` makes a GET a handshake, else the target decides; other methods are never a handshake.
    """
    is_get = pc.equal(fields.method, "GET").to_numpy(zero_copy_only=False)
    is_connect = pc.equal(fields.method, "CONNECT").to_numpy(zero_copy_only=False)
    if is_connect.any():
        is_connect &= matches(fields.target, r"^(?:[A-Za-z][A-Za-z0-9+.-]*://[^/]*)?/")
    is_opened = (fields.status == 101) | (is_connect & (fields.status == 200))
    kinds = classify_codes(fields.target, options)
    kinds[(kinds == WEBSOCKET) & ((~is_get & ~is_connect) | are_pages(fields.status))] = OTHER
    kinds[matches(fields.captures, _CAPTURED_UPGRADE) & is_get & (kinds == OTHER)] = WEBSOCKET
    kinds[is_opened] = WEBSOCKET
    return kinds, is_opened


def _rows(
    fields: Fields,
    keep: IntArray,
    end_us: IntArray,
    kinds: npt.NDArray[np.int8],
    is_opened: BoolArray,
    anomaly: pa.Array | None,
) -> pa.Table:
    count = len(keep)
    timers, status, is_early = fields.timers[keep], fields.status[keep], fields.is_early[keep]
    total_ms, until_answer_ms = timers[:, 4], np.maximum(timers[:, :4], 0).sum(axis=1)
    verdicts = _verdicts(
        kinds, status, fields.letters[keep], is_opened, is_early, total_ms > until_answer_ms, fields.has_server[keep]
    )
    events = verdicts["event"]
    is_poll, is_close, is_error, is_open = (_is(events, word) for word in ("poll", "close", "error", "open"))
    transports = pa.DictionaryArray.from_arrays(
        pa.array(np.maximum(kinds - 1, 0), pa.int32()), pa.array(_TRANSPORTS, pa.string())
    )
    if fields.is_invalid_utf8[keep].any():
        invalid = pc.if_else(mask_array(fields.is_invalid_utf8[keep]), "invalid_utf8", pa.scalar(None, pa.string()))
        anomaly = invalid if anomaly is None else pc.coalesce(anomaly, invalid)
    answered = np.where(is_close, until_answer_ms, total_ms)
    has_handshake = is_error | is_open | (is_close & (timers[:, 3] >= 0))
    targets = fields.target.take(int64_array(keep))
    columns: dict[str, Any] = verdicts | {
        "line_index": int64_array(fields.index[keep]),
        "event_at": int64_array(end_us).cast(pa.timestamp("us", tz="UTC")),
        "transport": transports,
        "http_status": _where(status > 0, status),
        "lifetime_s": _where(is_close, total_ms / 1000.0),
        "handshake_ms": _where(has_handshake, answered.astype(np.float64)),
        "request_ms": _where(is_poll & ~is_early, total_ms.astype(np.float64)),
        "sent_bytes": _where((is_close | is_error) & ~is_early, fields.sent_bytes[keep]),
        "url": pc.replace_with_mask(targets, pc.equal(targets, ""), pa.scalar(None, pa.string())),
        "address": pc.replace_substring_regex(fields.client.take(int64_array(keep)), r":\d+$", ""),
        "anomaly": anomaly,
    }
    return make_rows(columns, count)


_TRANSPORTS = KINDS[1:]
assert (POLLING, SSE, WEBSOCKET) == (1, 2, 3)


def _verdicts(kinds: Any, status: Any, letters: Any, *flags: BoolArray) -> dict[str, pa.Array]:
    """Judge every distinct combination once and spread the verdicts over the lines."""
    key = (kinds.astype(np.int64) << 32) | ((status + 1) << 20) | (letters[:, 0].astype(np.int64) << 12)
    key |= letters[:, 1].astype(np.int64) << 4
    for place, flag in enumerate(flags):
        key |= flag.astype(np.int64) << place
    _, firsts, position = np.unique(key, return_index=True, return_inverse=True)
    found = [
        judge(
            int(kinds[i]), int(status[i]), letters[i, :2].tobytes().decode("ascii"), *(bool(flag[i]) for flag in flags)
        )
        for i in firsts.tolist()
    ]
    indices = pa.array(position.astype(np.int32), pa.int32())
    return {
        name: pa.array([getattr(verdict, name) for verdict in found], pa.string()).take(indices)
        for name in Verdict._fields
    }


def _is(words: pa.StringArray, word: str) -> BoolArray:
    mask: BoolArray = pc.equal(words, word).to_numpy(zero_copy_only=False)
    return mask


def _where(mask: BoolArray, values: Any) -> pa.Array:
    return pa.array(values, mask=~mask)
