"""Which input is known already: the same bytes (plain or compressed), or a known source that has grown.

Identity is content: the BLAKE3 of the decompressed bytes that were consumed. Names, inodes and times play no part, so
copies, renamed, rotated and compressed files are recognised.

Stated limit: a file that is a cut copy of a known source, ended at a place that was never the end of an ingest, is
taken for new.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from blake3 import blake3

from wslog.intake.blocks import Bytes
from wslog.intake.streams import ByteStream, open_stream
from wslog.lake import Entry, LakeStore

_BUFFER_BYTES = 1 << 20


@dataclass(frozen=True)
class Match:
    """A known source that an input belongs to.

    Attributes
    ----------
    entry : Entry
    is_same : bool
        The input adds nothing.
    skip_bytes : int
        How many decompressed bytes are in the lake already; 0 with ``is_same`` false: read all again (another parser).
    """

    entry: Entry
    is_same: bool
    skip_bytes: int = 0


def candidates(store: LakeStore, label: str | None, head: Bytes) -> list[Entry]:
    """Return the ledger entries of this label whose first bytes are those of ``head``."""
    digests: dict[int, str] = {}
    found = []
    for entry in store.entries():
        size, digest = entry.head
        if entry.source_label == label and size <= len(head):
            if size not in digests:
                digests[size] = blake3(head.data[:size]).hexdigest()
            if digests[size] == digest:
                found.append(entry)
    return found


def match(entries: list[Entry], path: str, parser: str, is_final: bool) -> Match | None:
    """Find which of the candidate entries the file at ``path`` is, or None when it is a new source."""
    marks = {mark: entry for entry in entries for mark in entry.history}
    reached, rest, is_whole = _read_marks(path, sorted({length for length, _ in marks}))
    for position, (length, digest, ends_line) in reversed(list(enumerate(reached))):
        entry = marks.get((length, digest))
        if entry is None:
            continue
        is_last = position == len(reached) - 1
        adds_nothing = is_last and (not len(rest) or not (is_whole or is_final or (rest == 10).any()))
        is_current = length == entry.input_bytes
        if is_current and entry.parser != parser:
            return Match(entry, is_same=False)
        if adds_nothing:
            return Match(entry, is_same=True)
        if is_current and ends_line:
            return Match(entry, is_same=False, skip_bytes=length)
    return None


def _read_marks(path: str, lengths: list[int]) -> tuple[list[tuple[int, str, bool]], Bytes, bool]:
    """Hash the start of a file; return (length, digest, ends with a newline) for every length it reaches, then up to
    1 MiB of what follows the last one reached, and whether the input ends where it ends."""
    stream = open_stream(path)
    hasher, done, last = blake3(), 0, 10
    reached: list[tuple[int, str, bool]] = []
    buffer = np.empty(_BUFFER_BYTES, np.uint8)
    try:
        for length in lengths:
            rest = buffer[:0].copy()
            while done < length:
                got = stream.readinto(buffer.data[: min(len(buffer), length - done)])
                if not got:
                    return reached, rest, stream.is_whole
                rest = buffer[:got].copy()  # enough to tell whether anything follows the last mark
                hasher.update(rest.data)
                last, done = int(rest[-1]), done + got
            reached.append((length, hasher.hexdigest(), last == 10))
        return reached, buffer[: stream.readinto(buffer.data)].copy(), stream.is_whole
    finally:
        stream.close()


def spool(store: LakeStore, head: Bytes, stream: ByteStream) -> Path:
    """Keep a stream in a file of the staging folder: what may be known must be read twice."""
    path = store.staging / f"stdin-{uuid.uuid4().hex}"
    buffer = np.empty(_BUFFER_BYTES, np.uint8)
    with open(path, "xb") as file:
        file.write(head.data)
        while got := stream.readinto(buffer.data):
            file.write(buffer.data[:got])
    if stream.error:
        raise stream.error
    return path
