"""HAProxy HTTP logs (``option httplog``, ``option httpslog``), the default text layout.

::

    ci:cp [start] frontend backend/server TR/Tw/Tc/Tr/Ta status bytes cc cs tsc counts queues {captures} "request"

The printed time is the START of the request (its first byte; in HAProxy 1.x the accept), in local time without a
zone: give ``--tz``. ``Ta`` ms later the line was written. A WebSocket is one line, at its end, and the four letters
of the termination state say who ended it; with ``option logasap`` (``+Ta``) the line is written at the handshake's
answer and no line tells the end.

What stands before the client's address is skipped: syslog (RFC 3164, RFC 5424), journald and container prefixes.
Text after the request (the TLS fields of httpslog) is allowed. A line that was cut at syslog's limit inside the
request is read as far as it goes; cut before it, it is rejected. ``#XX`` escapes of the request are decoded.
Lines of ``option tcplog`` and of failed TLS handshakes carry no request and are ignored, so are HAProxy's notices.
``option httplog clf`` is another layout; its lines are rejected.
"""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from wslog.formats.clock import check_zone
from wslog.formats.contract import Batch, BoolArray, Clock, Format, Options, Parsed, Reject, Stamp, merge
from wslog.formats.haproxy_http_rows import Fields, to_parsed
from wslog.formats.haproxy_http_samples import SAMPLES
from wslog.formats.web import check_ws_path

MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_EPOCH = datetime(1970, 1, 1)

# what both paths agree on; only [^ ] and the like: \s differs between RE2 and Python
_COUNTS = r"[0-9]+/[0-9]+/[0-9]+/[0-9]+/\+?[0-9]+ [0-9]+/[0-9]+ "
_CAPTURES = r"(?P<captures>(?:\{[^}]*\} ){0,2})"

# exact: the earliest place where the layout fits, its values checked afterwards so that a reject can say what is wrong
_HTTP = re.compile(
    (
        r'^(?:[^"{]*? )?(?P<client>[^ ]+) \[(?P<time>[^\] ]+)\] [^ ]+ [^ /]+/(?P<server>[^ ]+) '
        r"(?P<timers>[^ /]+/[^ /]+/[^ /]+/[^ /]+/[^ /]+) (?P<status>[^ ]+) (?P<bytes>[^ ]+) [^ ]+ [^ ]+ "
        rf'(?P<letters>[A-Za-z-]{{4}}) {_COUNTS}{_CAPTURES}"(?P<request>[^"]*)'
    ).encode()
)
# fast: a subset of it. At most one bracket (the process id) before the time, so both find the same place.
_TIMER = r"(?:-1|[0-9]{1,10})"
_FAST = (
    r'^(?:[^"{\[]* |[^"{\[]*\[[0-9]+\]: )?(?P<client>[^ \[]+) '
    r"\[(?P<time>[0-9]{2}/[A-Z][a-z]{2}/(?:19[7-9][0-9]|[2-9][0-9]{3}):[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{3})\] "
    r"[^ ]+ [^ /]+/(?P<server>[^ ]+) "
    rf"(?P<TR>{_TIMER})/(?P<Tw>{_TIMER})/(?P<Tc>{_TIMER})/(?P<Tr>{_TIMER})/(?P<early>\+?)(?P<Ta>[0-9]{{1,10}}) "
    r"(?P<status>-1|0|[1-9][0-9]{2}) \+?(?P<bytes>[0-9]{1,18}) [^ ]+ [^ ]+ "
    rf"(?P<letters>[A-Za-z-]{{4}}) {_COUNTS}{_CAPTURES}"
    r'"(?P<method>[A-Z]+) (?P<target>[^ "#\r\n]+)(?: [^"\r\n]*)?"'
)
_TCP = re.compile(
    rb"^(?:[^\"{]*? )?[^ ]+:[0-9]+ \[[^\] ]+\] [^ ]+ [^ /]+/[^ ]+ -?[0-9]+/-?[0-9]+/\+?[0-9]+ \+?[0-9]+ [A-Za-z-]{2} "
    rb"[0-9]+/[0-9]+/[0-9]+/[0-9]+/\+?[0-9]+ [0-9]+/[0-9]+"
)
_CONNECTION_ERROR = re.compile(
    rb"^(?:[^\"{]*? )?[^ ]+:[0-9]+ \[[^\] ]+\] [^ /]+/[^ :]+: (?:Connection |SSL |Timeout |Unknown |Received )"
)
# texts of HAProxy's own messages (1.5 to 3.x) and of the journal about it, at the line's beginning or behind a prefix
_NOTICE = re.compile(
    rb"(?:^|[:|] )(?:(?:Proxy|proxy|Server|Backup Server|Health check for (?:backup )?server|[Bb]ackend|[Ff]rontend|"
    rb"Pausing|Resuming|Starting|Enabling|Disabling|Stopping|Loading|Reloading|Configuration|New (?:worker|program)|"
    rb"(?:Former|Current) (?:worker|program)|Initializing|Initialized|Exiting|soft-stop|All (?:workers|processes)|"
    rb"haproxy version|path to executable|St(?:arted|opped) HAProxy)\b|"
    rb"\[(?:WARNING|ALERT|NOTICE|INFO|DIAG)\] |-- (?:Logs begin|Boot|Reboot|Journal begins))"
)
_ESCAPE = re.compile(rb"#([0-9A-Fa-f]{2})")
_TIME = re.compile(r"([0-9]{2})/([A-Z][a-z]{2})/([0-9]{4}):([0-9]{2}):([0-9]{2}):([0-9]{2})\.([0-9]{3})")
_NUMBER = re.compile(r"-1|[0-9]{1,10}")
_STATUS = re.compile(r"-1|0|[1-9][0-9]{2}")
_BYTES = re.compile(r"\+?([0-9]{1,18})")


class Unreadable(Exception):  # noqa: N818 - a verdict on a line, not an error
    """Carries the reject word of a line that has the layout but not the values."""


@lru_cache(maxsize=4096)
def _day_us(day: str, month: str, year: str) -> int:
    if month not in MONTHS or int(year) < 1970:
        raise ValueError(month)
    return (datetime(int(year), MONTHS.index(month) + 1, int(day)) - _EPOCH) // timedelta(microseconds=1)


def local_us(text: str) -> int:
    """Return microseconds of the local clock; raise :class:`Unreadable` for a time that cannot be."""
    found = _TIME.fullmatch(text)
    if not found:
        raise Unreadable("time")
    day, month, year, hour, minute, second, millis = found.groups()
    if int(hour) > 23 or int(minute) > 59 or int(second) > 59:
        raise Unreadable("time")
    try:
        whole = _day_us(day, month, year)
    except ValueError:
        raise Unreadable("time") from None
    return whole + ((int(hour) * 60 + int(minute)) * 60 + int(second)) * 1_000_000 + int(millis) * 1000


class HaproxyReader:
    """Reader of one source: options checked."""

    def __init__(self, options: Options, head: Batch) -> None:
        check_ws_path(options)
        check_zone(options.tz)
        self.options = options

    def exact(self, batch: Batch) -> Parsed:
        rest = Parsed()
        rows: list[dict[str, Any]] = []
        for index, line in batch.lines():
            found = _HTTP.match(line)
            if found is None:
                word = unlike(line)
                if word:
                    rest.ignored[word] = rest.ignored.get(word, 0) + 1
                else:
                    rest.rejects.append(Reject(index, 1, "fields"))
                continue
            try:
                rows.append(values(found, line) | {"index": index})
            except Unreadable as error:
                rest.rejects.append(Reject(index, 1, str(error)))
        return merge(to_parsed(gathered(rows), self.options), rest)

    def fast(self, batch: Batch) -> tuple[Parsed, BoolArray]:
        whole = batch.compact()
        doubt = _non_ascii(whole)
        found = pc.extract_regex(whole.text(), _FAST)
        doubt |= found.is_null().to_numpy(zero_copy_only=False)
        sure = np.flatnonzero(~doubt)
        if not len(sure):
            return Parsed(), doubt
        found = found if len(sure) == len(batch) else found.take(pa.array(sure))
        start_us, is_time = _times(_chars(found.field("time"), 24))
        if not is_time.all():
            doubt[sure[~is_time]] = True
            sure, start_us, found = sure[is_time], start_us[is_time], found.filter(pa.array(is_time))
        return to_parsed(_columns(found, batch.index[sure], start_us), self.options), doubt


def unlike(line: bytes) -> str:
    """Return why a line that is no HTTP log line is left out on purpose, or "" when it is just unreadable."""
    if _TCP.match(line):
        return "tcp_log"
    if _CONNECTION_ERROR.match(line):
        return "connection_error"
    return "notice" if is_notice(line) else ""


def is_notice(line: bytes) -> bool:
    return b'"' not in line and b"{" not in line and _NOTICE.search(line) is not None


def values(found: re.Match[bytes], line: bytes) -> dict[str, Any]:
    """Check the values of one line of the right layout; raise :class:`Unreadable` with the reject word."""
    text = {name: value.decode("utf-8", "backslashreplace") for name, value in found.groupdict().items()}
    start_us = local_us(text["time"])
    total = text["timers"].rpartition("/")[2]
    timers = [*text["timers"].split("/")[:4], total.removeprefix("+")]
    if timers[4] == "-1" or not all(_NUMBER.fullmatch(timer) for timer in timers):
        raise Unreadable("number")
    if not _STATUS.fullmatch(text["status"]):
        raise Unreadable("status")
    size = _BYTES.fullmatch(text["bytes"])
    if not size:
        raise Unreadable("number")
    raw = _ESCAPE.sub(lambda m: bytes([int(m[1], 16)]), found["request"])
    method, _, target = found["request"].decode("utf-8", "backslashreplace").partition(" ")
    if raw != found["request"]:
        target = raw.partition(b" ")[2].decode("utf-8", "backslashreplace")
    return {
        "client": text["client"],
        "start_us": start_us,
        "has_server": text["server"] != "<NOSRV>",
        "timers": [int(timer) for timer in timers],
        "is_early": total.startswith("+"),
        "status": int(text["status"]),
        "sent_bytes": int(size[1]),
        "letters": found["letters"],
        "captures": text["captures"],
        "method": method,
        "target": target.partition(" ")[0],
        "is_invalid_utf8": not _is_utf8(line),
    }


def gathered(rows: list[dict[str, Any]]) -> Fields:
    """Turn the exact path's lines into columns."""
    count = len(rows)

    def numbers(name: str) -> Any:
        return np.array([row[name] for row in rows], np.int64)

    def flags(name: str) -> Any:
        return np.array([row[name] for row in rows], bool)

    def texts(name: str) -> pa.StringArray:
        return pa.array([row[name] for row in rows], pa.string())

    return Fields(
        index=numbers("index"),
        client=texts("client"),
        start_us=numbers("start_us"),
        has_server=flags("has_server"),
        timers=numbers("timers").reshape(count, 5),
        is_early=flags("is_early"),
        status=numbers("status"),
        sent_bytes=numbers("sent_bytes"),
        letters=np.frombuffer(b"".join(row["letters"] for row in rows), np.uint8).reshape(count, 4),
        captures=texts("captures"),
        method=texts("method"),
        target=texts("target"),
        is_invalid_utf8=flags("is_invalid_utf8"),
    )


def _columns(found: pa.StructArray, index: Any, start_us: Any) -> Fields:
    """Turn the fast path's groups (all matched, all ASCII) into columns."""

    def numbers(name: str) -> Any:
        return found.field(name).view(pa.string()).cast(pa.int64()).to_numpy()

    def texts(name: str) -> pa.StringArray:
        return found.field(name).view(pa.string())  # all ASCII

    return Fields(
        index=index,
        client=texts("client"),
        start_us=start_us,
        has_server=pc.not_equal(texts("server"), "<NOSRV>").to_numpy(zero_copy_only=False),
        timers=np.stack([numbers(name) for name in ("TR", "Tw", "Tc", "Tr", "Ta")], axis=1),
        is_early=pc.equal(texts("early"), "+").to_numpy(zero_copy_only=False),
        status=numbers("status"),
        sent_bytes=numbers("bytes"),
        letters=_chars(found.field("letters"), 4),
        captures=texts("captures"),
        method=texts("method"),
        target=texts("target"),
        is_invalid_utf8=np.zeros(len(index), bool),
    )


def _chars(values: pa.Array, width: int) -> Any:
    """Return values of equal length, none null, as an (n, width) array of bytes."""
    fixed = values.cast(pa.binary(width))
    return np.frombuffer(fixed.buffers()[1], np.uint8)[
        fixed.offset * width : (fixed.offset + len(fixed)) * width
    ].reshape(-1, width)


def _times(chars: Any) -> tuple[Any, BoolArray]:
    """Read (n, 24) characters of the layout of :data:`_FAST` as local microseconds; False where no such time exists."""
    digit = chars.astype(np.int64) - 48
    day, year = digit[:, 0] * 10 + digit[:, 1], digit[:, 7:11] @ np.array([1000, 100, 10, 1])
    hour, minute, second = (digit[:, i] * 10 + digit[:, i + 1] for i in (12, 15, 18))
    names = np.frombuffer("".join(MONTHS).encode(), np.uint8).reshape(12, 3)
    is_month = (chars[:, None, 3:6] == names).all(axis=2)
    month = is_month.argmax(axis=1)
    months = (year - 1970) * 12 + month
    first = months.astype("datetime64[M]").astype("datetime64[D]").astype(np.int64)
    next_first = (months + 1).astype("datetime64[M]").astype("datetime64[D]").astype(np.int64)
    is_time = (
        is_month.any(axis=1) & (day >= 1) & (day <= next_first - first) & (hour < 24) & (minute < 60) & (second < 60)
    )
    seconds = (((first + day - 1) * 24 + hour) * 60 + minute) * 60 + second
    return seconds * 1_000_000 + (digit[:, 21:24] @ np.array([100, 10, 1])) * 1000, is_time


def _non_ascii(batch: Batch) -> BoolArray:
    mask = np.zeros(len(batch), bool)
    if len(batch.data) and int(batch.data.max()) > 127:
        mask[np.searchsorted(batch.ends, np.flatnonzero(batch.data > 127), side="right")] = True
    return mask


def _is_utf8(line: bytes) -> bool:
    try:
        line.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def claims(head: Batch, options: Options) -> str:
    """Claim a head of which at least half, notices aside, are httplog or tcplog lines."""
    lines = [line for _, line in head.lines() if line.strip() and not is_notice(line)]
    hits = sum(1 for line in lines if _HTTP.match(line) or _TCP.match(line))
    return f"{hits} of {len(lines)} lines are HAProxy log lines" if hits and 2 * hits >= len(lines) else ""


FORMAT = Format(
    name="haproxy_http",
    version=1,
    side="proxy",
    title="HAProxy HTTP log (option httplog, httpslog)",
    source="HAProxy configuration manual 3.5, sections 8.2.3 (HTTP log format), 8.5 (state at disconnection)",
    clock=Clock(Stamp.START, "option", 0.001),
    needles=(b"] ",),
    claims=claims,
    reader=HaproxyReader,
    samples=SAMPLES,
    uses=("tz", "ws_path"),
)
