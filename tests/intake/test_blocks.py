"""Every byte of an input is in exactly one block, over-long line or held-back half line, for every buffer size."""

from __future__ import annotations

import hashlib
import io

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from wslog.intake.blocks import Block, Blocks, LongLine
from wslog.intake.streams import ByteStream


def cut_up(
    data: bytes, block_bytes: int, is_final: bool, head: int = 0
) -> tuple[list[Block | LongLine], bytes, Blocks]:
    stream = ByteStream(io.BytesIO(data[head:]), len(data), is_whole=False)  # type: ignore[arg-type]
    seen = bytearray()
    first = np.frombuffer(data[:head], np.uint8)
    blocks = Blocks(stream, None, is_final, lambda view: seen.extend(bytes(view)), first, block_bytes=block_bytes)
    return list(blocks), bytes(seen), blocks


lines = st.lists(
    st.binary(max_size=40).map(
        lambda b: b.replace(b"\n", b" ").replace(b"\x1f", b" ").replace(b"\x28", b" ").replace(b"B", b" ")
    ),
    max_size=30,
)


@given(
    lines,
    st.binary(max_size=9).map(lambda b: b.replace(b"\n", b"")),
    st.integers(1, 64),
    st.booleans(),
    st.integers(0, 50),
)
def test_bytes_are_conserved_for_every_buffer_size(
    parts: list[bytes], tail: bytes, size: int, is_final: bool, head: int
) -> None:
    data = b"".join(p + b"\n" for p in parts) + tail
    data = b"." + data  # never a magic number
    pieces, seen, blocks = cut_up(data, size, is_final, min(head, len(data)))
    assert data == seen + data[len(data) - blocks.pending_bytes :]
    position = 0
    for piece in pieces:
        assert piece.offset == position
        if isinstance(piece, Block):
            text = piece.data.tobytes()
            assert text.endswith(b"\n")
            assert data[position : position + len(text)] in (text, text[:-1])
            position += len(text)
        else:
            text = data[position : position + piece.length]
            assert b"\n" not in text
            assert hashlib.sha256(text).hexdigest() == piece.sha256
            position += piece.length + 1
    assert abs(position - len(seen)) <= 1  # a last line without newline is given one
    count = sum(p.data.tobytes().count(b"\n") if isinstance(p, Block) else 1 for p in pieces)
    half = bool(data) and not data.endswith(b"\n")
    held = blocks.pending_bytes > 0
    assert count == data.count(b"\n") + (half and not held)


def test_half_line_is_held_back_unless_final() -> None:
    pieces, _, blocks = cut_up(b"one\ntw", 1 << 16, is_final=False)
    assert [p.data.tobytes() for p in pieces if isinstance(p, Block)] == [b"one\n"]
    assert blocks.pending_bytes == 2
    pieces, _, blocks = cut_up(b"one\ntw", 1 << 16, is_final=True)
    assert [p.data.tobytes() for p in pieces if isinstance(p, Block)] == [b"one\ntw\n"]
    assert blocks.pending_bytes == 0
