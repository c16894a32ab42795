"""A stream of bytes cut into blocks of whole records, in bounded memory.

Every byte belongs to exactly one block, to one over-long line, or to the half line at the end.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from wslog.formats.contract import MAX_LINE_BYTES
from wslog.intake.streams import ByteStream

Bytes = npt.NDArray[np.uint8]
Cut = Callable[[Bytes, bool], int]

BLOCK_BYTES = 4 << 20
HEAD_BYTES = 1 << 16


@dataclass(frozen=True)
class Block:
    """Whole records; ``offset`` is where they begin in the decompressed input."""

    data: Bytes
    offset: int


@dataclass(frozen=True)
class LongLine:
    """One line above the limit: only its measures were kept."""

    offset: int
    length: int
    sha256: str


@dataclass
class Blocks:
    """Iterate over the blocks of a stream; afterwards ``pending_bytes`` and the stream's ``error`` say how it ended.

    Parameters
    ----------
    stream : ByteStream
    cut : callable or None
        A multi-line format's ``cut`` (see the contract); None cuts after the last newline.
    is_final : bool
        What is left at the end is complete: a last line without newline is a line. Otherwise it is held back.
    on_bytes : callable
        Called with every run of consumed bytes, in order: what a source's digest is made of.
    head : (n,) uint8 array
        Bytes already taken from the stream (for detection).
    offset : int
        Where ``head`` begins in the decompressed input.

    Attributes
    ----------
    pending_bytes : int
        Length of the half line (or half record) held back.
    """

    stream: ByteStream
    cut: Cut | None
    is_final: bool
    on_bytes: Callable[[memoryview], object]
    head: Bytes
    offset: int = 0
    block_bytes: int = BLOCK_BYTES
    pending_bytes: int = 0

    def __iter__(self) -> Iterator[Block | LongLine]:
        carry: Bytes = self.head
        while True:
            buffer, has_ended = self._fill(carry)
            is_final = has_ended and self.is_final and self.stream.error is None
            if is_final and len(buffer) and buffer[-1] != 10:
                buffer = np.append(buffer, np.uint8(10))
                end = self._cut(buffer, is_final)
                yield self._take(buffer[:end], added=1)
                return
            end = self._cut(buffer, is_final)
            if end:
                yield self._take(buffer[:end], added=0)
            carry = buffer[end:]
            if not end and len(carry) > self.block_bytes:
                rest = yield from self._overlong(carry)
                if rest is None:
                    return
                carry = rest
            if has_ended:
                self.pending_bytes = len(carry)
                return

    def _fill(self, carry: Bytes) -> tuple[Bytes, bool]:
        buffer = np.empty(len(carry) + self.block_bytes, np.uint8)
        buffer[: len(carry)] = carry
        got = self.stream.readinto(buffer.data[len(carry) :])
        return buffer[: len(carry) + got], got < self.block_bytes

    def _cut(self, data: Bytes, is_final: bool) -> int:
        lines_end = last_newline(data)
        if self.cut is None or not lines_end:
            return lines_end
        end = self.cut(data[:lines_end], is_final)
        return lines_end if not end and len(data) > self.block_bytes else end

    def _take(self, data: Bytes, added: int) -> Block:
        size = len(data) - added
        self.on_bytes(data.data[:size])
        block = Block(data, self.offset)
        self.offset += size
        return block

    def _overlong(self, carry: Bytes) -> Generator[Block | LongLine, None, Bytes | None]:
        """Skip the rest of a line that is longer than a block, keeping only its length and hash."""
        digest = hashlib.sha256(carry.data)
        self.on_bytes(carry.data)
        length, start = len(carry), self.offset
        while True:
            piece, has_ended = self._fill(np.empty(0, np.uint8))
            found = np.flatnonzero(piece == 10)
            stop = int(found[0]) if len(found) else len(piece)
            digest.update(piece.data[:stop])
            length += stop
            used = stop + 1 if len(found) else stop
            self.on_bytes(piece.data[:used])
            if len(found) or has_ended:
                self.offset = start + length + (used - stop)
                yield LongLine(start, length, digest.hexdigest())
                return None if has_ended and used == len(piece) else piece[used:]


def last_newline(data: Bytes) -> int:
    """Return the length of the prefix that ends with the last newline, 0 if there is none."""
    step = 1 << 16
    for stop in range(len(data), 0, -step):
        found = np.flatnonzero(data[max(0, stop - step) : stop] == 10)
        if len(found):
            return max(0, stop - step) + int(found[-1]) + 1
    return 0


def read_head(stream: ByteStream) -> Bytes:
    """Read the first bytes of a stream: enough for detection, given back as the first carry of :class:`Blocks`."""
    buffer = np.empty(HEAD_BYTES, np.uint8)
    return buffer[: stream.readinto(buffer.data)]


assert MAX_LINE_BYTES < BLOCK_BYTES  # a line that fills a block is over the limit for sure
