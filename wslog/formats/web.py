"""What a request target says about the transport: shared by every proxy log.

A proxy's line is WebSocket, polling or Server-Sent Events by its status and Upgrade header first, and by its target
where those do not tell. The target rules are here, once, for whole columns; :func:`classify_target` is the same code
for one target. All patterns are RE2: linear time, whatever the log holds.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from wslog.errors import UsageError
from wslog.formats.contract import DEFAULT_WS_PATH, IntArray, Options, int64_array

KINDS = ("", "polling", "sse", "websocket")
"""What a target may be; "" is other traffic. The position is the code in :func:`classify_codes`."""

OTHER, POLLING, SSE, WEBSOCKET = range(4)

_FEW = 64  # so few targets are judged one by one: compiling patterns for them costs more
_SAMPLE = 512  # so many targets tell whether a column repeats itself

Codes = npt.NDArray[np.int8]

# engine.io transport=polling, SignalR transport=longPolling; Phoenix /longpoll, SockJS /xhr /xhr_send /xhr_streaming
POLLING_TARGET = (
    r"(?i)^[^?]*\?(?:[^#]*&)?transport=(?:polling|longpolling)(?:[&#]|$)"
    r"|^[^?#]*/(?:longpoll|long-poll|long-polling|xhr|xhr_send|xhr_streaming|poll|polling)/?(?:[?#]|$)"
)
# SignalR transport=serverSentEvents; /sse and /eventsource anywhere, /events as the last part of the path
SSE_TARGET = (
    r"(?i)^[^?]*\?(?:[^#]*&)?transport=serversentevents(?:[&#]|$)"
    r"|^[^?#]*/(?:sse|eventsource)(?:[/?#]|$)|^[^?#]*/events/?(?:[?#]|$)"
)
# engine.io, SignalR: said outright
WEBSOCKET_TARGET = r"(?i)^[^?]*\?(?:[^#]*&)?transport=websockets?(?:[&#]|$)"

# Necessary for any of the three above; one cheap pass settles most targets of a busy site.
_HINT = r"(?i)transport=|/(?:long-?poll|xhr|poll|sse|event)"
_ORIGIN = r"^[A-Za-z][A-Za-z0-9+.-]*://[^/?#]*"

_PLAIN_HINT, _PLAIN_POLLING, _PLAIN_SSE, _PLAIN_WEBSOCKET, _PLAIN_ORIGIN, _PLAIN_WS_PATH = (
    re.compile(p) for p in (_HINT, POLLING_TARGET, SSE_TARGET, WEBSOCKET_TARGET, _ORIGIN, DEFAULT_WS_PATH)
)


def is_page(status: int) -> bool:
    """Return whether a status answers an ordinary page: 2xx and 304.

    A request known by its target alone (no Upgrade header is logged) is then no handshake: scripts, health checks and
    pages live below the same paths. Log the Upgrade header to see handshakes that were answered 200.
    """
    return 200 <= status < 300 or status == 304


def are_pages(status: npt.NDArray[np.integer[Any]]) -> npt.NDArray[np.bool_]:
    """Return :func:`is_page` of many statuses."""
    found: npt.NDArray[np.bool_] = ((status >= 200) & (status < 300)) | (status == 304)
    return found


def check_ws_path(options: Options) -> None:
    """Compile the user's path pattern.

    Raises
    ------
    UsageError
        If it is not a regular expression of the RE2 dialect.
    """
    try:
        pc.match_substring_regex(pa.array([""], pa.string()), options.ws_path_pattern)
    except pa.ArrowInvalid as error:
        raise UsageError(
            f"--ws-path {options.ws_path_pattern!r} is not a regular expression of the RE2 dialect "
            f"(no look-around, no back-references): {str(error).splitlines()[0]}"
        ) from None


def classify_target(target: str, options: Options, paths_count: bool = True) -> str:
    """Return what one request target is: ``websocket``, ``polling``, ``sse`` or ``""`` (other traffic).

    ``paths_count`` is explained at :func:`classify_codes`.
    """
    if options.ws_path is None and _is_plain(target):
        return _classify_plain(target, paths_count)
    return KINDS[int(_classify_each(pa.array([target], pa.string()), options, paths_count)[0])]


def _is_plain(target: str) -> bool:
    return target.isascii() and target.isprintable()


def _classify_plain(target: str, paths_count: bool) -> str:
    """Judge by wslog's own patterns: on printable ASCII ``re`` finds what RE2 finds (tested)."""
    if _PLAIN_HINT.search(target):
        if _PLAIN_POLLING.search(target):
            return "polling"
        if _PLAIN_SSE.search(target):
            return "sse"
        if paths_count and _PLAIN_WEBSOCKET.search(target):
            return "websocket"
    if not paths_count:
        return ""
    path = target.partition("?")[0]
    if not path.startswith("/"):
        path = _PLAIN_ORIGIN.sub("", path)
    return "websocket" if _PLAIN_WS_PATH.search(path) else ""


def classify_targets(targets: pa.StringArray, options: Options) -> pa.DictionaryArray:
    """Return what each request target is.

    Parameters
    ----------
    targets : (n,) string array
        Request targets: a path with its query, or a whole URL. Null is other traffic.
    options : Options
        ``ws_path_pattern`` is matched against the path, without query.

    Returns
    -------
    (n,) dictionary array of :data:`KINDS`, never null.

    Raises
    ------
    UsageError
        If the path pattern is not RE2.
    """
    codes = classify_codes(targets, options).astype(np.int32)
    indices = pa.Array.from_buffers(pa.int32(), len(codes), [None, pa.py_buffer(codes)])
    return pa.DictionaryArray.from_arrays(indices, pa.array(KINDS, pa.string()))


def classify_codes(targets: pa.StringArray, options: Options, paths_count: bool = True) -> Codes:
    """Return the position in :data:`KINDS` of what each target is.

    Parameters
    ----------
    paths_count : bool
        False when an Upgrade header was logged and said no: then neither the path nor ``transport=websocket``
        makes a request a WebSocket handshake; polling and SSE are still told.
    """
    return _by_word(targets, lambda words: _classify_words(words, options, paths_count))


def _classify_words(targets: pa.StringArray, options: Options, paths_count: bool) -> Codes:
    """Judge few plain targets one by one: it does not pay to compile patterns for them."""
    if options.ws_path is None and len(targets) <= _FEW:
        words = targets.to_pylist()
        if all(word is not None and _is_plain(word) for word in words):
            return np.array([KINDS.index(_classify_plain(word, paths_count)) for word in words], np.int8)
    return _classify_each(targets, options, paths_count)


def _classify_each(targets: pa.StringArray, options: Options, paths_count: bool) -> Codes:
    codes = np.zeros(len(targets), np.int8)
    hinted = np.flatnonzero(matches(targets, _HINT))
    if len(hinted):
        codes[hinted] = _marked(take(targets, hinted), paths_count)
    if paths_count:
        check_ws_path(options)
        open_rows = np.flatnonzero(codes == OTHER)
        paths = paths_of(take(targets, open_rows))
        found = _by_word(paths, lambda words: matches(words, options.ws_path_pattern).astype(np.int8))
        codes[open_rows[found > 0]] = WEBSOCKET
    return codes


def _by_word(values: pa.StringArray, judge: Callable[[pa.StringArray], Codes]) -> Codes:
    """Judge the distinct values only, if the first ones repeat themselves; else each as it stands."""
    few = values[:_SAMPLE]
    if values.null_count or 2 * len(few.unique()) > len(few):
        return judge(values)
    coded = values.dictionary_encode()
    codes: Codes = judge(coded.dictionary)[coded.indices.to_numpy()]
    return codes


def _marked(targets: pa.StringArray, paths_count: bool) -> Codes:
    """Judge targets by their markers; the first rule that holds wins."""
    codes = np.zeros(len(targets), np.int8)
    if paths_count:
        codes[matches(targets, WEBSOCKET_TARGET)] = WEBSOCKET
    codes[matches(targets, SSE_TARGET)] = SSE
    codes[matches(targets, POLLING_TARGET)] = POLLING
    return codes


def paths_of(targets: pa.StringArray) -> pa.StringArray:
    """Return the path of each target: the query dropped, and of a whole URL the scheme and host too."""
    question = pc.fill_null(pc.find_substring(targets, "?"), -1).to_numpy()
    paths = targets
    if (question >= 0).any():
        start, stop = bounds(targets)
        paths = slices(buffer(targets), start, np.where(question < 0, stop, start + question))
        if targets.null_count:
            paths = pc.if_else(targets.is_valid(), paths, pa.scalar(None, pa.string()))
    if pc.all(pc.starts_with(paths, "/")).as_py() is False:
        paths = pc.replace_substring_regex(paths, _ORIGIN, "")
    return paths


def matches(values: pa.Array, pattern: str | bytes) -> npt.NDArray[np.bool_]:
    """Return where an RE2 pattern is found in text or bytes (null: not found) as a numpy mask."""
    found = pc.match_substring_regex(values, pattern)
    if found.null_count:
        found = pc.fill_null(found, False)
    mask: npt.NDArray[np.bool_] = found.to_numpy(zero_copy_only=False)
    return mask


def take(values: pa.Array, rows: IntArray) -> pa.Array:
    """Return the values of some rows (all of them: no copy)."""
    return values if len(rows) == len(values) else values.take(int64_array(rows))


# --- texts inside a buffer -----------------------------------------------------------------------------------


def bounds(values: pa.Array) -> tuple[IntArray, IntArray]:
    """Return where the values of a text or binary array start and stop in :func:`buffer`."""
    offsets = np.frombuffer(values.buffers()[1], np.int32)[values.offset : values.offset + len(values) + 1]
    wide: IntArray = offsets.astype(np.int64)
    return wide[:-1], wide[1:]


def buffer(values: pa.Array) -> npt.NDArray[np.uint8]:
    """Return the bytes that a text or binary array lies in."""
    return np.frombuffer(values.buffers()[2] or b"", np.uint8)


def slices(data: npt.NDArray[np.uint8], starts: IntArray, stops: IntArray) -> pa.StringArray:
    """Return ``data[start:stop]`` for each pair as text: pairs increase and do not overlap, the bytes are UTF-8."""
    edges = np.empty((len(starts), 2), np.int32)
    edges[:, 0], edges[:, 1] = starts, stops
    return joined(data, edges, pa.string())


def joined(data: npt.NDArray[np.uint8], edges: npt.NDArray[np.int32], kind: pa.DataType) -> pa.Array:
    """Return for each row the concatenation of some pieces of ``data``, as text or as bytes.

    Parameters
    ----------
    edges : (n, 2 * k) int32 array
        Start and stop of ``k`` pieces a row; read line by line the numbers never fall.
    """
    n, count = len(edges), edges.shape[1] // 2
    if not n:
        return pa.array([], kind)
    # one array over the whole buffer, whose even values are the wanted pieces and whose odd ones lie between them
    size = n * count
    everything = pa.Array.from_buffers(kind, 2 * size - 1, [None, pa.py_buffer(edges), pa.py_buffer(data)])
    pieces = everything.take(int64_array(np.arange(0, 2 * size, 2, dtype=np.int64)))
    offsets = np.frombuffer(pieces.buffers()[1], np.int32)[: size + 1 : count]
    return pa.Array.from_buffers(kind, n, [None, pa.py_buffer(np.ascontiguousarray(offsets)), pieces.buffers()[2]])
