"""A log format made into one regular expression, and the places where its fields stand.

The expression is the definition, and Python's ``re`` reads single lines with it (:meth:`Template.read`). The cut
character (mostly the quote) never occurs inside a value: so every field lies at a known place between two cuts, and
whole batches are read by counting cuts (:mod:`wslog.formats.nginx_view`).
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from functools import cached_property

from wslog.errors import UsageError
from wslog.formats.contract import IntArray
from wslog.formats.nginx_fields import TIME_VARIABLES, kind_of
from wslog.formats.nginx_log_format import TARGET_VARIABLE, LogFormat, Part

_LISTS = {"http_x_forwarded_for", "proxy_add_x_forwarded_for", "upstream_addr"}
_HOSTS = {"host", "http_host", "server_name"}
_AFTER_HOST = {"request_uri", "uri", TARGET_VARIABLE}


@dataclass(frozen=True)
class Item:
    """A literal, or a variable with the pattern of its value.

    ``is_simple``: the value ends at the first character that the pattern does not take.
    ``is_free``: the pattern takes any text that holds no cut, no backslash and no control character.
    """

    text: str
    is_variable: bool
    pattern: str
    loose: str = ""
    width: int | None = None
    is_simple: bool = True
    is_free: bool = False


@dataclass(frozen=True)
class Place:
    """Where a variable stands: in which segment, and how far from its ends when that is the same for all lines.

    ``stop`` is the character whose first occurrence ends the value, "" when there is none.
    """

    segment: int
    from_start: int | None
    from_end: int | None
    width: int | None
    regex: bytes
    stop: str

    @property
    def is_direct(self) -> bool:
        return sum(x is not None for x in (self.from_start, self.from_end, self.width)) >= 2

    def within(self, start: IntArray, stop: IntArray) -> tuple[IntArray, IntArray]:
        """Return where the values start and stop in such segments, if the place is direct."""
        if self.from_start is None:
            last = stop - (self.from_end or 0)
            return last - (self.width or 0), last
        first = start + self.from_start
        return first, stop - (self.from_end or 0) if self.width is None else first + self.width


@dataclass(frozen=True)
class Outline:
    """What is left of a line to be matched when the parts that need no expression are left out.

    Attributes
    ----------
    free : frozenset of int
        Segments of one free value: left out whole.
    times : dict of int to (str, Place)
        Segments that lose a time of fixed width: it is matched once for many lines.
    pattern : bytes
        RE2, for the rest of a line (all cuts included) without its line end.
    """

    free: frozenset[int]
    times: dict[int, tuple[str, Place]]
    pattern: bytes


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
        """RE2, for lines without their line end."""
        return b"^" + self.pattern.encode() + b"$"

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

    @cached_property
    def outline(self) -> Outline:
        return _outline(self.segments, self.cut)

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
    is_free = loose == _text_class(log_format.escape, cut, "")
    if name in _LISTS and not is_quoted and stop == " ":
        item = f"[^ ,:{_in_class(cut)}\\r\\n][^ ,{_in_class(cut)}\\r\\n]*"
        return Item(name, True, f"(?:{item}(?:(?:, ?| : ){item})*)?", loose, None, False)
    pattern = loose
    if before is not None and before.is_variable:
        pattern, is_free = f"(?:/{loose})?", False
    return Item(name, True, pattern, loose, None, is_quoted or stop == follow[:1], is_free)


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
    stop = after[0].text[:1] if item.is_simple and after and not after[0].is_variable else ""
    return Place(number, start, end, item.width, regex.encode(), stop)


def _width(items: tuple[Item, ...]) -> int | None:
    widths = [i.width for i in items]
    return None if None in widths else sum(w for w in widths if w is not None)


def _outline(segments: tuple[tuple[Item, ...], ...], cut: str) -> Outline:
    free = frozenset(n for n, s in enumerate(segments) if cut and len(s) == 1 and s[0].is_free)
    times: dict[int, tuple[str, Place]] = {}
    kept = []
    for n, segment in enumerate(segments):
        patterns = [] if n in free else [i.pattern for i in segment]
        for position, item in enumerate(segment):
            place = _place(n, segment, position)
            is_time = item.is_variable and item.text in TIME_VARIABLES and item.width is not None
            if is_time and place.is_direct and n not in times:
                times[n] = item.text, place
                patterns[position] = ""
        kept.append("".join(patterns))
    return Outline(free, times, b"^" + escaped(cut).join(kept).encode() + b"$")
