"""Whole batches of access lines: which of them a template reads, and where their fields stand.

A line matches a template if it holds as many cuts as the template and what stands between them matches. So the cuts
are counted first; values that may hold anything but a cut need no more; a time is matched once for all lines that tell
the same second; and only what is then left of a line (:class:`~wslog.formats.nginx_template.Outline`) goes through RE2.
Lines with control characters, and lines too short for their time, are matched with the whole pattern.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from wslog.formats.contract import Batch, BoolArray, IntArray
from wslog.formats.nginx_fields import SECONDS_AT, Chars, kind_of, time_column
from wslog.formats.nginx_template import Template
from wslog.formats.web import bounds, buffer, joined, matches, slices

Words = npt.NDArray[np.uint64]
Places = npt.NDArray[np.int32]

_SCAN_BYTES = 1 << 17
_VALID_UTF8 = (
    rb"^(?:[\x00-\x7f]|[\xc2-\xdf][\x80-\xbf]|\xe0[\xa0-\xbf][\x80-\xbf]|[\xe1-\xec\xee\xef][\x80-\xbf]{2}|\xed[\x80-\x9f][\x80-\xbf]"
    rb"|\xf0[\x90-\xbf][\x80-\xbf]{2}|[\xf1-\xf3][\x80-\xbf]{3}|\xf4[\x80-\x8f][\x80-\xbf]{2})*$"
)


@dataclass(frozen=True)
class View:
    """Lines that hold the cuts of a template, and where their segments lie.

    Attributes
    ----------
    data : (n,) uint8 array
    starts, ends : (m,) int64 arrays
        Line ``i`` is ``data[starts[i]:ends[i]]``.
    cuts : (m, k) int32 array
        Where its cuts are.
    index : (m,) int64 array
        Labels of the lines.
    times : dict of int to (m,) int64 array
        Microseconds since 1970 UTC, by segment, of the times that were read already.
    """

    template: Template
    data: Chars
    starts: IntArray
    ends: IntArray
    cuts: Places
    index: IntArray
    times: dict[int, IntArray]

    def __len__(self) -> int:
        return len(self.index)

    def select(self, keep: BoolArray) -> View:
        """Return the lines where ``keep`` holds."""
        if keep.all():
            return self
        times = {n: t[keep] for n, t in self.times.items()}
        parts = self.starts[keep], self.ends[keep], self.cuts[keep], self.index[keep]
        return View(self.template, self.data, *parts, times)

    def edges(self, segment: int, rows: IntArray | None = None) -> tuple[IntArray, IntArray]:
        """Return where a segment starts and stops, in all lines or in some ``rows``."""
        at: IntArray | slice = slice(None) if rows is None else rows
        start: Any = self.starts[at] if not segment else self.cuts[at, segment - 1] + 1
        stop: Any = self.ends[at] if segment == self.cuts.shape[1] else self.cuts[at, segment]
        return start, stop

    def span(self, variable: str, rows: IntArray | None = None) -> tuple[IntArray, IntArray] | None:
        """Return where the values of a variable start and stop in ``data``; None when its place varies by line."""
        place = self.template.places[variable]
        return place.within(*self.edges(place.segment, rows)) if place.is_direct else None

    def text(self, variable: str, rows: IntArray | None = None) -> pa.StringArray:
        """Return the values of a variable, of all lines or of some ``rows``."""
        span = self.span(variable, rows)
        if span is not None:
            return slices(self.data, *span)
        place = self.template.places[variable]
        start, stop = self.edges(place.segment, rows)
        if place.stop and place.from_start is not None:
            start = start + place.from_start
            size = pc.find_substring(slices(self.data, start, stop), place.stop).to_numpy()
            return slices(self.data, start, start + size)
        segment = slices(self.data, start, stop).cast(pa.binary())
        return pc.struct_field(pc.extract_regex(segment, place.regex), "v").cast(pa.string())

    def fields(self, variable: str) -> tuple[Chars, IntArray, IntArray]:
        """Return a buffer that holds the values of a variable, and where they start and stop in it."""
        span = self.span(variable)
        if span is not None:
            return self.data, *span
        values = self.text(variable)
        return buffer(values), *bounds(values)

    def time(self, variable: str) -> IntArray:
        """Return the times of a variable in microseconds since 1970 UTC."""
        segment = self.template.places[variable].segment
        if segment in self.times and self.template.outline.times[segment][0] == variable:
            return self.times[segment]
        if variable == "msec":
            seconds = self.text(variable).cast(pa.float64()).to_numpy()
            out: IntArray = np.rint(seconds * 1000).astype(np.int64) * 1000
            return out
        data, start, _ = self.fields(variable)
        return time_column(variable, windows(data, start, kind_of(variable).width or 0))


def words(data: Chars, places: IntArray) -> Words:
    """Return the eight bytes from each place as a little-endian number; bytes after the end of ``data`` are 0."""
    if len(data) < 8:
        data = np.append(data, np.zeros(8 - len(data), np.uint8))
    last = len(data) - 8
    every: Words = np.ndarray((last + 1,), "<u8", data, 0, (1,))
    if not len(places) or int(places.max()) <= last:
        return every[places]
    over = np.maximum(places - last, 0)
    return every[places - over] >> (8 * over).astype(np.uint64)


def windows(data: Chars, starts: IntArray, width: int) -> Chars:
    """Return ``data[s:s + width]`` for each start as rows of an array."""
    if not len(starts):
        return np.empty((0, width), np.uint8)
    out: Chars = np.lib.stride_tricks.sliding_window_view(data, width)[starts]
    return out


def view(template: Template, batch: Batch) -> tuple[View, BoolArray, BoolArray]:
    """Find the lines of a batch that match the template and can be read without unescaping.

    Returns
    -------
    View
    (len(batch),) bool array
        The other lines.
    (len(batch),) bool array
        Those of them that do not match the template.
    """
    whole = batch.compact()
    cuts, odd, doubt = _scan(template, whole)
    cuts, shaped = _by_line(cuts, whole, len(template.segments) - 1)
    starts, ends, index = (a if shaped.all() else a[shaped] for a in (whole.starts, whole.ends, whole.index))
    lines = View(template, whole.data, starts, ends, cuts, index, {})
    times, good = _match(lines)
    mismatch = ~shaped
    mismatch[shaped] = ~good
    if template.escape == "json":  # there an escaped quote is no cut
        odd |= ~shaped
    rows = np.flatnonzero(odd)
    if len(rows):
        texts = slices(whole.data, whole.starts[rows], whole.ends[rows]).view(pa.binary())
        mismatch[rows] = ~matches(texts, template.line_pattern)
    doubt |= mismatch
    return replace(lines, times=times).select(~doubt[shaped]), doubt, mismatch


def _match(lines: View) -> tuple[dict[int, IntArray], BoolArray]:
    """Return the times of lines without control characters, and which of the lines match the template."""
    outline, times, good = lines.template.outline, {}, np.ones(len(lines), bool)
    left_out = sorted({*outline.free, *outline.times})
    edges = np.empty((len(lines), 2 * len(left_out) + 2), np.int32)
    for k, segment in enumerate(left_out):
        first, last = start, stop = lines.edges(segment)
        if segment in outline.times:
            variable, place = outline.times[segment]
            first, last = place.within(start, stop)
            has_room = (first >= start) & (last <= stop)
            if not has_room.all():
                first, last = np.where(has_room, first, start), np.where(has_room, last, start)
            times[segment], is_time = _read_times(variable, _fixed(lines.data, first, kind_of(variable).width or 0))
            good &= has_room & is_time
        edges[:, 2 * k + 1], edges[:, 2 * k + 2] = first, last
    edges[:, 0], edges[:, -1] = lines.starts, lines.ends
    good &= matches(joined(lines.data, edges, pa.binary()), outline.pattern)
    return times, good


def _scan(template: Template, batch: Batch) -> tuple[Places, BoolArray, BoolArray]:
    """Return where the cuts are, which lines need the whole pattern, and which are left to the exact path."""
    data, cut = batch.data, ord(template.cut) if template.cut else -1
    found, low, escapes = [np.empty(0, np.int32)], 0, 0
    for i in range(0, len(data), _SCAN_BYTES):
        block = data[i : i + _SCAN_BYTES]
        if cut >= 0:
            found.append(np.flatnonzero(block == cut).astype(np.int32) + np.int32(i))
        low += int(np.count_nonzero(block.view(np.int8) < 32))  # control characters, and bytes from 128 on
        if template.escape != "none":
            escapes += int(np.count_nonzero(block == ord("\\")))
    cuts = np.concatenate(found)
    odd, doubt = np.zeros(len(batch), bool), np.zeros(len(batch), bool)
    line_ends = len(data) - int((batch.ends - batch.starts).sum())
    if low != line_ends + (len(cuts) if 0 <= cut < 32 else 0):
        is_control = data == 13 if template.escape != "json" else (data < 32) & (data != 10) & (data != cut)
        odd = _lines_with(batch, is_control)
        if data.max() > 127:
            doubt = _invalid_utf8(batch)
    if escapes:
        is_escaped = _lines_with(batch, data == ord("\\"))
        odd, doubt = odd | is_escaped, doubt | is_escaped
    return cuts, odd, doubt


def _lines_with(batch: Batch, mask: BoolArray) -> BoolArray:
    """Return the lines in which a byte is marked, their line ends left out."""
    at = np.flatnonzero(mask)
    line = np.searchsorted(batch.starts, at, side="right") - 1
    found = np.zeros(len(batch), bool)
    found[line[at < batch.ends[line]]] = True
    return found


def _by_line(cuts: Places, batch: Batch, count: int) -> tuple[Places, BoolArray]:
    """Return which lines hold ``count`` cuts, and the cuts of those as rows of an array."""
    shaped = np.ones(len(batch), bool)
    if len(cuts) == count * len(batch):
        table = cuts.reshape(len(batch), count)
        if not count or ((table[:, 0] >= batch.starts) & (table[:, -1] < batch.ends)).all():
            return table, shaped
    first = np.append(np.searchsorted(cuts, batch.starts.astype(np.int32)), len(cuts))
    shaped = np.diff(first) == count
    pieces, at = [], 0
    for i in np.flatnonzero(~shaped).tolist():
        pieces.append(cuts[at : first[i]])
        at = first[i + 1]
    return np.concatenate([*pieces, cuts[at:]]).reshape(-1, count), shaped


def _fixed(data: Chars, starts: IntArray | Places, width: int) -> Chars:
    """Return the texts of one width as rows of an array, shifted where ``data`` ends before."""
    n = len(starts)
    if len(data) < width or not n:
        return np.zeros((n, width), np.uint8)
    edges = np.empty((n, 2), np.int32)
    edges[:, 0] = np.minimum(starts, len(data) - width)
    edges[:, 1] = edges[:, 0] + width
    return buffer(joined(data, edges, pa.binary())).reshape(n, width)


def _read_times(variable: str, text: Chars) -> tuple[IntArray, BoolArray]:
    """Return times in microseconds since 1970 UTC, and where there is one; ``text`` is overwritten.

    Neighbouring lines mostly tell the same minute: it is read once for all of them, and the seconds of each line added.
    """
    (n, width), at = text.shape, SECONDS_AT[variable]
    if not n:
        return np.zeros(0, np.int64), np.zeros(0, bool)
    tens, ones = text[:, at] - np.uint8(48), text[:, at + 1] - np.uint8(48)
    good = (tens <= 5) & (ones <= 9)
    text[:, at : at + 2] = ord("0")
    is_new = np.ones(n, bool)
    words_of = [np.ndarray((n,), "<u8", text, k, (width,)) for k in (*range(0, width - 8, 8), width - 8)]
    is_new[1:] = np.logical_or.reduce([word[1:] != word[:-1] for word in words_of])
    firsts = np.flatnonzero(is_new)
    coded = pa.Array.from_buffers(pa.binary(width), len(firsts), [None, pa.py_buffer(text[firsts])]).dictionary_encode()
    minutes = coded.dictionary.cast(pa.binary())
    is_time = matches(minutes, f"^{kind_of(variable).pattern}$")
    values = np.zeros(len(minutes), np.int64)
    values[is_time] = time_column(variable, buffer(minutes).reshape(-1, width)[is_time])
    codes, runs = coded.indices.to_numpy(), np.diff(np.append(firsts, n))
    if not is_time.all():
        good &= np.repeat(is_time[codes], runs)
    return np.repeat(values[codes], runs) + (tens.astype(np.int64) * 10 + ones) * 1_000_000, good


def _invalid_utf8(batch: Batch) -> BoolArray:
    text = batch.text()
    try:
        text.cast(pa.string())
    except pa.ArrowInvalid:
        return ~matches(text, _VALID_UTF8)
    return np.zeros(len(batch), bool)
