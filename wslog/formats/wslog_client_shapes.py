"""The shape of a JSON line: its literal text, and the slots where values stand."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

Path = tuple[bytes, ...]

STRING, NUMBER, BOOL, OBJECT, ARRAY, NULL = "s", "n", "b", "o", "a", "0"

_QUOTE = 34
_MEMBER = re.compile(rb'("[^"]*")(?:([ \t\r]*:[ \t\r]*)(?:("[^"]*")|(-?[0-9][-+.eE0-9]*)|(true|false))?)?')
_TOKEN = re.compile(rb'"[^"]*"|[{}\[\],\x02\x03]|null')


@dataclass(frozen=True)
class Slot:
    """A value of a shape: its keys, its kind, its fixed size or 0."""

    path: Path
    kind: str
    size: int


@dataclass(frozen=True)
class Shape:
    """``literals[0] slots[0] literals[1] ...``; ``is_usable`` is False where the exact path must decide."""

    literals: tuple[bytes, ...]
    slots: tuple[Slot, ...]
    is_usable: bool

    @property
    def quotes(self) -> int:
        return sum(text.count(b'"') for text in self.literals)

    def step(self, depth: int) -> tuple[bytes, Slot | None]:
        """Return a literal and the slot behind it (None: the line's end)."""
        return self.literals[depth], self.slots[depth] if depth < len(self.slots) else None

    def begins_like(self, other: Shape, depth: int) -> bool:
        return self.literals[:depth] == other.literals[:depth] and self.slots[:depth] == other.slots[:depth]


Wanted = Mapping[Path, str]
"""Paths a format reads, each with the kinds (letters) its values may have; others are checked and left out."""


def skeleton(line: bytes, sized: frozenset[bytes]) -> bytes:
    """Replace the values of a JSON line by control characters, which JSON never holds; ``sized`` keys keep lengths."""

    def mark(found: re.Match[bytes]) -> bytes:
        key, colon, text, number, word = found.groups()
        if text is not None:
            return key + colon + b'"' + b"\x01" * (max(len(text) - 2, 1) if key[1:-1] in sized else 1) + b'"'
        if number is not None:
            return key + colon + b"\x02"
        return key + colon + b"\x03" if word is not None else found[0]

    return _MEMBER.sub(mark, line)


class _Walk:
    """The state of walking a skeleton: which key the next value belongs to, and what was found."""

    def __init__(self, wanted: Wanted) -> None:
        self.wanted = wanted
        self.stack: list[tuple[bytes, bool]] = []  # (key of the container, whether it is an object)
        self.key = b""
        self.is_key_next = False
        self.is_usable = True
        self.seen: set[Path] = set()

    def path(self) -> Path:
        if any(not is_object for _, is_object in self.stack):
            return (b"", b"[]")  # inside an array: never a wanted path
        return (*(key for key, _ in self.stack[1:]), self.key)

    def value(self, kind: str) -> Path:
        """Note a value of the present key; a wanted path twice, or with another kind, spoils the shape."""
        path = self.path()
        if self.stack and path in self.wanted:
            self.is_usable &= path not in self.seen and (kind == NULL or kind in self.wanted[path])
            self.seen.add(path)
        return path

    def punctuation(self, mark: bytes) -> None:
        if mark in b"{[":
            self.value(OBJECT if mark == b"{" else ARRAY)
            self.stack.append((self.key, mark == b"{"))
            self.is_key_next = mark == b"{"
        elif mark in b"}]":
            self.stack.pop()
            self.is_key_next = False
        else:
            self.is_key_next = self.stack[-1][1]


@lru_cache(maxsize=4096)
def shape_of(text: bytes, wanted: frozenset[tuple[Path, str]]) -> Shape:
    """Make the shape of a skeleton (kept: logs repeat the same few)."""
    walk = _Walk(dict(wanted))
    literals: list[bytes] = []
    slots: list[Slot] = []
    begin = 0
    for found in _TOKEN.finditer(text):
        token = found[0]
        kind = STRING if token[:2] == b'"\x01' else NUMBER if token == b"\x02" else BOOL if token == b"\x03" else ""
        if kind:
            inset = 1 if kind == STRING else 0
            literals.append(text[begin : found.start() + inset])
            slots.append(Slot(walk.value(kind), kind, len(token) - 2 if len(token) > 3 else 0))
            begin = found.end() - inset
        elif token == b"null":
            walk.value(NULL)
        elif token[0] != _QUOTE:
            walk.punctuation(token)
        elif walk.is_key_next:
            walk.key, walk.is_key_next = token[1:-1], False
    literals.append(text[begin:])
    return Shape(tuple(literals), tuple(slots), walk.is_usable)
