"""ISO 8601 times of JSON lines as a whole column."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from wslog.formats.contract import BoolArray, IntArray

Bytes = npt.NDArray[np.uint8]

UNREADABLE = np.iinfo(np.int64).min
"""Stands for a text that is not in the usual form; it lies outside every accepted window."""

_HEAD = 16  # "YYYY-MM-DDTHH:MM"


def read_times(data: Bytes, starts: IntArray, sizes: IntArray) -> IntArray:
    """Read ``YYYY-MM-DDTHH:MM:SS[.fraction]`` with ``Z`` or ``+HH:MM``.

    Returns
    -------
    (k,) int64 array
        Microseconds since 1970 UTC, digits beyond microseconds cut; ``UNREADABLE`` for another form (the exact path
        decides about it) and where the size is -1.
    """
    if len(sizes) and 20 <= sizes[0] <= 35 and (sizes == sizes[0]).all():
        return _same_size(data, starts, int(sizes[0]))
    out = np.full(len(starts), UNREADABLE, np.int64)
    for size in np.unique(sizes).tolist():
        if size < 20 or size > 35:
            continue
        rows = np.flatnonzero(sizes == size)
        out[rows] = _same_size(data, starts[rows], size)
    return out


def _same_size(data: Bytes, starts: IntArray, size: int) -> IntArray:
    minute, good = _minutes(data, starts)
    tail = _matrix(data, starts + _HEAD, size - _HEAD)
    is_utc = bool(tail[0, -1] == ord("Z"))
    digits = tail.shape[1] - 3 - (1 if is_utc else 6)  # ":SS", then ".fraction", then the zone
    if digits == 1 or digits < 0 or digits > 10:
        return np.full(len(starts), UNREADABLE, np.int64)
    second, fine = _digits(tail, 1, 3)
    good = good & fine & (tail[:, 0] == 58) & (second < 60)
    micros = minute + second * 1_000_000
    if digits:
        fraction, fine = _digits(tail, 4, 3 + min(digits, 7))
        good &= fine & (tail[:, 3] == 46) & _digits(tail, 4, 3 + digits)[1]
        micros += fraction * 10 ** (6 - min(digits - 1, 6))
    if is_utc:
        good &= tail[:, -1] == 90
    else:
        zone = tail[:, -6:]
        hours, fine_hours = _digits(zone, 1, 3)
        minutes, fine_minutes = _digits(zone, 4, 6)
        good &= fine_hours & fine_minutes & (hours < 24) & (minutes < 60) & (zone[:, 3] == 58)
        good &= (zone[:, 0] == 43) | (zone[:, 0] == 45)
        micros -= np.where(zone[:, 0] == 45, -1, 1) * (hours * 60 + minutes) * 60_000_000
    return micros if good.all() else np.where(good, micros, UNREADABLE)


def _minutes(data: Bytes, starts: IntArray) -> tuple[IntArray, BoolArray]:
    """Read the part up to the minute, once for each run of lines that share it."""
    view = np.ndarray((len(data) - 7,), "<u8", data, 0, (1,))
    first, second = view[starts], view[starts + 8]
    is_new = np.ones(len(starts), bool)
    is_new[1:] = (first[1:] != first[:-1]) | (second[1:] != second[:-1])
    heads = np.flatnonzero(is_new)
    text = _matrix(data, starts[heads], _HEAD)
    year, good = _digits(text, 0, 4)
    parts = [_digits(text, at, at + 2) for at in (5, 8, 11, 14)]
    month, day, hour, minute = (p[0] for p in parts)
    for _, fine in parts:
        good = good & fine
    good &= (text[:, 4] == 45) & (text[:, 7] == 45) & (text[:, 13] == 58)
    good &= (text[:, 10] == ord("T")) | (text[:, 10] == ord(" "))
    good &= (year >= 1) & (month >= 1) & (month <= 12) & (hour < 24) & (minute < 60)
    months = ((year - 1970) * 12 + month - 1).astype("M8[M]")
    begin = months.astype("M8[D]").astype(np.int64)
    good &= (day >= 1) & (day <= (months + 1).astype("M8[D]").astype(np.int64) - begin)
    micros = (((begin + day - 1) * 24 + hour) * 60 + minute) * 60_000_000
    if len(heads) == len(starts):
        return micros, good
    run = np.cumsum(is_new) - 1
    return micros[run], good[run]


def _matrix(data: Bytes, starts: IntArray, size: int) -> Bytes:
    """Return ``size`` bytes from each start as the rows of a matrix."""
    view = np.ndarray((len(data) - size + 1,), f"V{size}", data, 0, (1,))
    return np.frombuffer(view[starts].tobytes(), np.uint8).reshape(len(starts), size)


def _digits(text: Bytes, begin: int, end: int) -> tuple[IntArray, BoolArray]:
    """Read the decimal digits of some columns of a byte matrix."""
    value = np.zeros(len(text), np.int32)
    good = np.ones(len(text), bool)
    for i in range(begin, end):
        digit = text[:, i] - np.uint8(48)
        good &= digit <= 9
        value = value * np.int32(10) + digit
    return value.astype(np.int64), good
