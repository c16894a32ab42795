"""What the variables of nginx's access log look like, and what their text means: for one value and for columns.

Patterns are written in the syntax that Python's ``re`` and RE2 share, use ASCII classes only, and never need
backtracking over more than a literal. Calendar rules (30-day months, leap years up to 2099) are part of the time
patterns, so a line that matches holds a real date.
"""

from __future__ import annotations

import datetime as dt
import re
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from wslog.formats.contract import IntArray

_YEAR = r"(?:19[7-9]|20[0-9])[0-9]"
_LEAP = r"(?:19(?:7[26]|8[048]|9[26])|20(?:[02468][048]|[13579][26]))"
_CLOCK = r"(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]"
_HOURS = r"[+-](?:0[0-9]|1[0-5])"
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")

TIME_LOCAL = (
    r"(?:(?:0[1-9]|1[0-9]|2[0-8])/(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)/" + _YEAR + "|"
    r"(?:29|30)/(?:Jan|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)/" + _YEAR + "|"
    r"31/(?:Jan|Mar|May|Jul|Aug|Oct|Dec)/" + _YEAR + "|29/Feb/" + _LEAP + "):" + _CLOCK + " " + _HOURS + "[0-5][0-9]"
)
TIME_ISO = (
    "(?:" + _YEAR + "-(?:(?:0[1-9]|1[0-2])-(?:0[1-9]|1[0-9]|2[0-8])|(?:0[13-9]|1[0-2])-(?:29|30)|(?:0[13578]|1[02])-31)"
    "|" + _LEAP + "-02-29)T" + _CLOCK + _HOURS + ":[0-5][0-9]"
)
MSEC = r"[0-9]{1,10}\.[0-9]{3}"
_COUNT = r"[0-9]{1,18}"
_SECONDS = r"[0-9]{1,9}(?:\.[0-9]{1,9})?"


@dataclass(frozen=True)
class Kind:
    """A kind of value.

    Parameters
    ----------
    reason : str
        Word for a line rejected because of it.
    pattern : str
        What it must match; "" for text, whose pattern depends on what follows it.
    is_required : bool
        Whether nginx always prints a value (else ``-`` or nothing may stand for none).
    is_list : bool
        One value per upstream tried, with ``, `` between and `` : `` between groups.
    width : int or None
        Length, when it is always the same.
    """

    reason: str
    pattern: str
    is_required: bool = False
    is_list: bool = False
    width: int | None = None

    def full_pattern(self, escape: str) -> str:
        """Return the pattern with what nginx prints for a missing value: ``-``, or nothing unless escape=default."""
        if self.is_list:
            item = f"(?:{self.pattern}|-)"
            return f"(?:{item}(?:(?:, | : ){item})*(?: : )?){'' if escape == 'default' else '?'}"
        if self.is_required:
            return self.pattern
        return f"(?:{self.pattern}|-){'' if escape == 'default' else '?'}"


TEXT = Kind("fields", "")
_NUMBER = Kind("number", _COUNT, is_required=True)
_TIMES = Kind("number", _SECONDS, is_list=True)
_COUNTS = Kind("number", _COUNT, is_list=True)

KINDS: dict[str, Kind] = {
    "time_local": Kind("time", TIME_LOCAL, is_required=True, width=26),
    "time_iso8601": Kind("time", TIME_ISO, is_required=True, width=25),
    "msec": Kind("time", MSEC, is_required=True),
    "status": Kind("status", "[0-9]{3}", is_required=True, width=3),
    "body_bytes_sent": _NUMBER,
    "bytes_sent": _NUMBER,
    "request_length": _NUMBER,
    "connection": _NUMBER,
    "connection_requests": _NUMBER,
    "remote_port": _NUMBER,
    "server_port": _NUMBER,
    "request_time": Kind("number", _SECONDS, is_required=True),
    "connection_time": Kind("number", _SECONDS, is_required=True),
    "upstream_connect_time": _TIMES,
    "upstream_header_time": _TIMES,
    "upstream_response_time": _TIMES,
    "upstream_queue_time": _TIMES,
    "upstream_first_byte_time": _TIMES,
    "upstream_session_time": _TIMES,
    "upstream_status": Kind("number", "[0-9]{1,3}", is_list=True),
    "upstream_bytes_sent": _COUNTS,
    "upstream_bytes_received": _COUNTS,
    "upstream_response_length": _COUNTS,
}
"""Kinds of the variables that are not plain text."""

TIME_VARIABLES = ("msec", "time_iso8601", "time_local")
"""Variables that tell the time a line was written (the END of the request), the most exact first."""

SECONDS_AT = {"time_local": 18, "time_iso8601": 17}
"""Where the two digits of the seconds stand; they may be 00 to 59 whatever stands before them."""


def kind_of(variable: str) -> Kind:
    return KINDS.get(variable, TEXT)


# --- one value -------------------------------------------------------------------------------------------

_ESCAPE = re.compile(rb"\\x([0-9A-Fa-f]{2})")
_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)


def unescape(value: bytes) -> bytes:
    """Undo escape=default once: ``\\xXX`` is one byte."""
    return _ESCAPE.sub(lambda m: bytes([int(m[1], 16)]), value) if b"\\x" in value else value


def last_item(value: str) -> str:
    """Return the last value of an upstream list: the server that answered."""
    items = [item for item in re.split(r", | : ", value) if item]
    return items[-1] if items else ""


def time_us(variable: str, value: str) -> int:
    """Return a valid time value in microseconds since 1970 UTC."""
    if variable == "msec":
        seconds, _, ms = value.partition(".")
        return (int(seconds) * 1000 + int(ms)) * 1000
    if variable == "time_local":
        day, month, year = int(value[:2]), MONTHS.index(value[3:6]) + 1, int(value[7:11])
        clock, zone = value[12:20], value[21:26]
    else:
        year, month, day = int(value[:4]), int(value[5:7]), int(value[8:10])
        clock, zone = value[11:19], value[19:22] + value[23:25]
    hour, minute, second = (int(x) for x in clock.split(":"))
    moment = dt.datetime(year, month, day, hour, minute, second, tzinfo=dt.UTC)
    offset = (int(zone[1:3]) * 60 + int(zone[3:5])) * (-60 if zone[0] == "-" else 60)
    return (round((moment - _EPOCH).total_seconds()) - offset) * 1_000_000


def milliseconds(seconds: float) -> float:
    """Seconds to milliseconds, rounded to the microsecond: 0.057 s is 57 ms, not 57.00000000000001."""
    return round(seconds * 1e6) / 1e3


# --- columns ---------------------------------------------------------------------------------------------

Chars = npt.NDArray[np.uint8]


def milliseconds_column(seconds: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    out: npt.NDArray[np.float64] = np.rint(seconds * 1e6) / 1e3
    return out


def time_column(variable: str, text: Chars) -> IntArray:
    """Return microseconds since 1970 UTC of valid fixed-width times.

    Parameters
    ----------
    variable : str
        ``time_local`` or ``time_iso8601``.
    text : (n, width) uint8 array
    """
    # neighbouring lines mostly tell the same second: each run is read once
    changes = np.flatnonzero((text[1:] != text[:-1]).any(axis=1)) + 1
    firsts = np.concatenate((np.zeros(1, np.int64), changes)) if len(text) else changes
    runs = np.diff(np.append(firsts, len(text)))
    digits = text[firsts].astype(np.int64) - 48
    if variable == "time_local":
        day, month, year = (
            _number(digits, 0, 2),
            _MONTH_BY_SUM[text[firsts, 3:6].astype(np.int64).sum(axis=1)],
            _number(digits, 7, 4),
        )
        clock, zone, minutes = 12, 21, 24
    else:
        year, month, day = _number(digits, 0, 4), _number(digits, 5, 2), _number(digits, 8, 2)
        clock, zone, minutes = 11, 19, 23
    seconds = _number(digits, clock, 2) * 3600 + _number(digits, clock + 3, 2) * 60 + _number(digits, clock + 6, 2)
    offset = _number(digits, zone + 1, 2) * 3600 + _number(digits, minutes, 2) * 60
    offset = np.where(text[firsts, zone] == ord("-"), -offset, offset)
    out: IntArray = np.repeat((_days(year, month, day) * 86400 + seconds - offset) * 1_000_000, runs)
    return out


def _number(digits: IntArray, start: int, width: int) -> IntArray:
    value = digits[:, start]
    for i in range(start + 1, start + width):
        value = value * 10 + digits[:, i]
    return value


# the letters of the twelve names add up to twelve different sums
_MONTH_BY_SUM = np.zeros(400, np.int64)
_MONTH_BY_SUM[[sum(name.encode()) for name in MONTHS]] = np.arange(1, 13)


def _days(year: IntArray, month: IntArray, day: IntArray) -> IntArray:
    """Days since 1970-01-01 of civil dates (Hinnant, "chrono-compatible low-level date algorithms")."""
    y = year - (month <= 2)
    era = y // 400
    year_of_era = y - era * 400
    day_of_year = (153 * ((month + 9) % 12) + 2) // 5 + day - 1
    out: IntArray = era * 146097 + year_of_era * 365 + year_of_era // 4 - year_of_era // 100 + day_of_year - 719468
    return out
