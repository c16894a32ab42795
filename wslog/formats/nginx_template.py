"""A log format made into one regular expression, and the places where its fields stand.

The expression is the definition. Python's ``re`` reads single lines with it (:meth:`Template.read`); RE2 says for a
whole batch which lines match (:func:`view`), and then every field lies at a known place between two cuts: the cut
character (mostly the quote) never occurs inside a value, so the k-th field of all lines is found by counting.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from wslog.errors import UsageError
from wslog.formats.contract import Batch, BoolArray, IntArray
from wslog.formats.nginx_fields import TIME_VARIABLES, Chars, kind_of
from wslog.formats.nginx_log_format import TARGET_VARIABLE, LogFormat, Part
from wslog.formats.web import matches

_LISTS = {"http_x_forwarded_for", "proxy_add_x_forwarded_for", "upstream_addr"}
_HOSTS = {"host", "http_host", "server_name"}
_AFTER_HOST = {"request_uri", "uri", TARGET_VARIABLE}
_VALID_UTF8 = (
    rb"^(?:[\x00-\x7f]|[\xc2-\xdf][\x80-\xbf]|\xe0[\xa0-\xbf][\x80-\xbf]|[\xe1-\xec\xee\xef][\x80-\xbf]{2}|\xed[\x80-\x9f][\x80-\xbf]"
    rb"|\xf0[\x90-\xbf][\x80-\xbf]{2}|[\xf1-\xf3][\x80-\xbf]{3}|\xf4[\x80-\x8f][\x80-\xbf]{2})*$"
)


@dataclass(frozen=True)
class Item:
    """A literal, or a variable with the pattern of its value.

    ``is_simple``: the value ends at the first character that the pattern does not take.
    """

    text: str
    is_variable: bool
    pattern: str
    loose: str = ""
    width: int | None = None
    is_simple: bool = True


@dataclass(frozen=True)
class Place:
    """Where a variable stands: in which segment, and how far from its ends when that is the same for all lines."""

    segment: int
    from_start: int | None
    from_end: int | None
    width: int | None
    regex: bytes

    @property
    def is_direct(self) -> bool:
        return sum(x is not None for x in (self.from_start, self.from_end, self.width)) >= 2


@dataclass(frozen=True)
class Template:
    """A compiled log format.

    Attributes
    ----------
    items : tuple of Item
    cut : str
        Character between segments, never inside a value; "" when the format has none.
    escape : str
        How values are escaped: ``default``, ``json`` or ``none``.
    """

    name: str
    items: tuple[Item, ...]
    cut: str
    escape: str

    @cached_property
    def variables(self) -> frozenset[str]:
        return frozenset(i.text for i in self.items if i.is_variable)

    @cached_property
    def names(self) -> tuple[str, ...]:
        return tuple(i.text for i in self.items if i.is_variable)

    @cached_property
    def pattern(self) -> str:
        return "".join(i.pattern for i in self.items)

    @cached_property
    def line_pattern(self) -> bytes:
        """RE2, for lines with their line end."""
        return b"^" + self.pattern.encode() + rb"\r?\n$"

    @cached_property
    def _regex(self) -> re.Pattern[bytes]:
        return re.compile(_grouped(self.items, "pattern"))

    @cached_property
    def _loose_regex(self) -> re.Pattern[bytes]:
        return re.compile(_grouped(self.items, "loose"))

    @cached_property
    def segments(self) -> tuple[tuple[Item, ...], ...]:
        return _segments(self.items, self.cut)

    @cached_property
    def places(self) -> dict[str, Place]:
        return {i.text: _place(n, s, p) for n, s in enumerate(self.segments) for p, i in enumerate(s) if i.is_variable}

    def read(self, line: bytes) -> dict[str, bytes] | None:
        """Return the raw value of every variable of a line, or None when the line is not of this format."""
        match = self._regex.fullmatch(line)
        return None if match is None else dict(zip(self.names, match.groups(), strict=True))

    def complaint(self, line: bytes) -> str:
        """Return the word that says why :meth:`read` gave None."""
        match = self._loose_regex.fullmatch(line)
        if match is None:
            count = sum(i.text.count(self.cut) for i in self.items if not i.is_variable) if self.cut else 0
            return "quotes" if self.cut == '"' and line.count(b'"') != count else "fields"
        for item, value in zip((i for i in self.items if i.is_variable), match.groups(), strict=True):
            if not re.fullmatch(item.pattern.encode(), value):
                return kind_of(item.text).reason
        return "fields"


def _grouped(items: tuple[Item, ...], attribute: str) -> bytes:
    return "".join(f"({getattr(i, attribute)})" if i.is_variable else i.pattern for i in items).encode()


# --- compiling ---------------------------------------------------------------------------------------------


def compile_format(log_format: LogFormat) -> Template:
    """Compile a log format.

    Raises
    ------
    UsageError
        If it names no time or no status, or prints two variables without anything between them.
    """
    check_variables(log_format.name, log_format.variables)
    cut = _cut_character(log_format)
    items = []
    for i, part in enumerate(log_format.parts):
        if not part.is_variable:
            items.append(literal(part.text))
            continue
        before = log_format.parts[i - 1] if i else None
        after = log_format.parts[i + 1] if i + 1 < len(log_format.parts) else None
        items.append(_variable(log_format, part.text, before, after, cut))
    return Template(log_format.name, tuple(items), cut, log_format.escape)


def check_variables(name: str, variables: Collection[str]) -> None:
    """Raise :class:`UsageError` unless the variables tell when a request ended and how it was answered."""
    if not any(v in TIME_VARIABLES for v in variables):
        raise UsageError(f"log_format {name} holds no time: add one of {', '.join('$' + v for v in TIME_VARIABLES)}")
    if "status" not in variables:
        raise UsageError(f"log_format {name} holds no $status: without it no connection can be told from a refusal")


def literal(text: str) -> Item:
    return Item(text, False, escaped(text), width=len(text.encode()))


def escaped(text: str) -> str:
    """Return a pattern for the text's UTF-8 bytes that Python and RE2 read alike."""
    return "".join(chr(b) if chr(b).isalnum() and b < 128 else f"\\x{b:02x}" for b in text.encode())


def _cut_character(log_format: LogFormat) -> str:
    literals = "".join(p.text for p in log_format.parts if not p.is_variable)
    return next((c for c in '"\t|' if c in literals), "")


def _variable(log_format: LogFormat, name: str, before: Part | None, after: Part | None, cut: str) -> Item:
    if after is not None and after.is_variable and not (name in _HOSTS and after.text in _AFTER_HOST):
        raise UsageError(
            f"log_format {log_format.name}: nothing stands between ${name} and ${after.text}; put a space there"
        )
    kind = kind_of(name)
    follow = "" if after is None else after.text if not after.is_variable else "/"
    is_quoted = cut == '"' and before is not None and before.text.endswith('"') and follow.startswith('"')
    stop = _stop(follow)
    loose = _text_class(log_format.escape, cut, "" if is_quoted else stop)
    if kind.pattern:
        is_simple = not kind.is_list and follow[:1] not in tuple("0123456789.-")
        return Item(name, True, kind.full_pattern(log_format.escape), loose, kind.width, is_simple)
    if name in _LISTS and not is_quoted and stop == " ":
        item = f"[^ ,:{_in_class(cut)}\\r\\n][^ ,{_in_class(cut)}\\r\\n]*"
        return Item(name, True, f"(?:{item}(?:(?:, ?| : ){item})*)?", loose, None, False)
    pattern = loose
    if before is not None and before.is_variable:
        pattern = f"(?:/{loose})?"
    return Item(name, True, pattern, loose, None, is_quoted or stop == follow[:1])


def _stop(follow: str) -> str:
    """Return the character a text value cannot hold: what follows it, or a bracket a little later."""
    if not follow:
        return " "
    bracket = re.match(r" ([\[({<|])", follow)
    return bracket[1] if bracket else follow[0]


def _text_class(escape: str, cut: str, stop: str) -> str:
    if escape == "json":
        return f"(?:[^{_in_class(cut + stop)}\\\\\\r\\n]|\\\\[^\\r\\n])*"
    return f"[^{_in_class(cut + stop)}\\r\\n]*"


def _in_class(characters: str) -> str:
    return "".join(f"\\x{b:02x}" for b in sorted(set(characters.encode())))


def _segments(items: Iterable[Item], cut: str) -> tuple[tuple[Item, ...], ...]:
    segments: list[list[Item]] = [[]]
    for item in items:
        if item.is_variable or not cut:
            segments[-1].append(item)
            continue
        for i, piece in enumerate(item.text.split(cut)):
            if i:
                segments.append([])
            if piece:
                segments[-1].append(literal(piece))
    return tuple(tuple(s) for s in segments)


def _place(number: int, segment: tuple[Item, ...], position: int) -> Place:
    item = segment[position]
    before, after = segment[:position], segment[position + 1 :]
    start, end = _width(before), _width(after)
    if item.is_simple and all(i.is_simple for i in before):
        regex = "^" + "".join(i.pattern for i in before) + f"(?P<v>{item.pattern})"
    else:
        regex = (
            "^"
            + "".join(i.pattern for i in before)
            + f"(?P<v>{item.pattern})"
            + "".join(i.pattern for i in after)
            + "$"
        )
    return Place(number, start, end, item.width, regex.encode())


def _width(items: tuple[Item, ...]) -> int | None:
    widths = [i.width for i in items]
    return None if None in widths else sum(w for w in widths if w is not None)


# --- whole batches -----------------------------------------------------------------------------------------


class View:
    """The lines of a batch that match a template, and where their segments lie.

    Attributes
    ----------
    index : (m,) int64 array
        Labels of the lines.
    """

    def __init__(
        self, template: Template, data: Chars, starts: IntArray, ends: IntArray, cuts: IntArray, index: IntArray
    ) -> None:
        self.template, self.data, self.index = template, data, index
        self._starts, self._ends, self._cuts = starts, ends, cuts

    def __len__(self) -> int:
        return len(self.index)

    def has(self, variable: str) -> bool:
        return variable in self.template.places

    def _edges(self, segment: int) -> tuple[IntArray, IntArray]:
        start = self._starts if not segment else self._cuts[:, segment - 1] + 1
        stop = self._ends if segment == self._cuts.shape[1] else self._cuts[:, segment]
        return start, stop

    def span(self, variable: str) -> tuple[IntArray, IntArray] | None:
        """Return where the values of a variable start and stop in ``data``; None when its place varies by line."""
        place = self.template.places[variable]
        if not place.is_direct:
            return None
        start, stop = self._edges(place.segment)
        if place.from_start is not None:
            first = start + place.from_start
            return first, first + place.width if place.from_end is None and place.width is not None else stop - (
                place.from_end or 0
            )
        last = stop - (place.from_end or 0)
        return last - (place.width or 0), last

    def text(self, variable: str, rows: IntArray | None = None) -> pa.StringArray:
        """Return the values of a variable, of all lines or of some ``rows``."""
        span = self.span(variable)
        if span is not None:
            return slices(self.data, *span, rows)
        place = self.template.places[variable]
        segment = slices(self.data, *self._edges(place.segment), rows).cast(pa.binary())
        return pc.struct_field(pc.extract_regex(segment, place.regex), "v").cast(pa.string())

    def fixed(self, variable: str) -> Chars:
        """Return the characters of a fixed-width variable as an (m, width) array."""
        width = self.template.places[variable].width
        if width is None:
            raise ValueError(f"{variable} has no fixed width")
        span = self.span(variable)
        if span is not None:
            return windows(self.data, span[0], width)
        values = self.text(variable)
        first = values.offset * width
        return np.frombuffer(values.buffers()[2], np.uint8)[first : first + len(values) * width].reshape(-1, width)


def windows(data: Chars, starts: IntArray, width: int) -> Chars:
    """Return ``data[s:s + width]`` for each start as rows of an array."""
    if not len(starts):
        return np.empty((0, width), np.uint8)
    out: Chars = np.lib.stride_tricks.sliding_window_view(data, width)[starts]
    return out


def slices(data: Chars, starts: IntArray, stops: IntArray, rows: IntArray | None = None) -> pa.StringArray:
    """Return ``data[start:stop]`` for each pair as text: pairs increase and do not overlap, the bytes are UTF-8."""
    if rows is not None:
        starts, stops = starts[rows], stops[rows]
    n = len(starts)
    if not n:
        return pa.array([], pa.string())
    # one array over the whole buffer whose even values are the wanted pieces and whose odd ones lie between them
    offsets = np.empty(2 * n, np.int32)
    offsets[0::2], offsets[1::2] = starts, stops
    everything = pa.Array.from_buffers(pa.string(), 2 * n - 1, [None, pa.py_buffer(offsets), pa.py_buffer(data)])
    even = np.arange(0, 2 * n, 2, dtype=np.int64)
    return everything.take(pa.Array.from_buffers(pa.int64(), n, [None, pa.py_buffer(even)]))


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
    mismatch = ~matches(whole.text(), template.line_pattern)
    doubt = mismatch.copy()
    if len(whole.data) and whole.data.max() > 127:
        doubt |= _invalid_utf8(whole)
    if template.escape != "none":
        doubt[_lines_with(whole, ord("\\"))] = True
    rows = np.flatnonzero(~doubt)
    count = len(template.segments) - 1
    cuts = _positions(whole.data, ord(template.cut)) if count else np.empty(0, np.int64)
    if count and len(rows) < len(whole):
        cuts = _outside(cuts, whole.starts[doubt], whole.ends[doubt])
    starts, ends = (whole.starts, whole.ends) if len(rows) == len(whole) else (whole.starts[rows], whole.ends[rows])
    return View(template, whole.data, starts, ends, cuts.reshape(len(rows), count), whole.index[rows]), doubt, mismatch


def _positions(data: Chars, character: int) -> IntArray:
    step = 1 << 17
    found = [np.flatnonzero(data[i : i + step] == character) + i for i in range(0, len(data), step)]
    return np.concatenate(found) if found else np.empty(0, np.int64)


def _lines_with(batch: Batch, character: int) -> IntArray:
    found = _positions(batch.data, character)
    return np.searchsorted(batch.starts, found, side="right") - 1


def _outside(cuts: IntArray, starts: IntArray, ends: IntArray) -> IntArray:
    """Drop the positions that lie in some spans."""
    depth = np.zeros(len(cuts) + 1, np.int64)
    np.add.at(depth, np.searchsorted(cuts, starts), 1)
    np.add.at(depth, np.searchsorted(cuts, ends), -1)
    outside: IntArray = cuts[np.cumsum(depth[:-1]) == 0]
    return outside


def _invalid_utf8(batch: Batch) -> BoolArray:
    text = batch.text()
    try:
        text.cast(pa.string())
    except pa.ArrowInvalid:
        return ~matches(text, _VALID_UTF8)
    return np.zeros(len(batch), bool)
