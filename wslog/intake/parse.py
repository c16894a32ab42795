"""One block of bytes to rows and an exact account of its lines: pure, run in worker threads."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa

from wslog.formats.contract import MAX_LINE_BYTES, Batch, Reader, Reject, int64_array, parse
from wslog.intake.blocks import Block, LongLine
from wslog.schema import RAW_COLUMNS

_BOM = b"\xef\xbb\xbf"
_WHITESPACE = np.isin(np.arange(256), np.frombuffer(b" \t\r\v\f", np.uint8))


@dataclass
class Chunk:
    """What one block said.

    Attributes
    ----------
    rows : pyarrow.Table or None
        The reader's rows, with ``line_number`` (counted from 0 in the block) and ``byte_offset`` in place of their index.
    rejects : list of (line index, line count, byte offset, length, sha256, reason)
    line_count, event_lines : int
    ignored : dict
        Lines by reason.
    observed : (int, int) or None
    """

    line_count: int
    rows: pa.Table | None = None
    event_lines: int = 0
    rejects: list[tuple[int, int, int, int, str, str]] = field(default_factory=list)
    ignored: dict[str, int] = field(default_factory=dict)
    observed: tuple[int, int] | None = None

    @classmethod
    def of_long_line(cls, line: LongLine) -> Chunk:
        return cls(1, rejects=[(0, 1, line.offset, line.length, line.sha256, "line_too_long")])

    def numbered(self, first_line: int) -> pa.Table:
        """Return the rows with line numbers of the file (from 1)."""
        assert self.rows is not None
        position = self.rows.schema.get_field_index("line_number")
        relative = np.asarray(self.rows.column(position).chunk(0))
        return self.rows.set_column(position, "line_number", int64_array(relative + first_line))


def read_block(reader: Reader, block: Block) -> Chunk:
    """Read one block.

    Raises
    ------
    AssertionError
        The format lost or invented a line: a bug, nothing of the source is committed.
    """
    data, offset = block.data, block.offset
    if offset == 0 and data[:3].tobytes() == _BOM:
        data, offset = data[3:], 3
    batch = Batch.of(data)
    chunk = Chunk(len(batch))
    clean, rejects = _screen(batch, chunk)
    if len(clean):
        parsed = parse(reader, clean)
        if parsed.line_count != len(clean):
            raise AssertionError(f"the format was given {len(clean)} lines and accounts for {parsed.line_count}")
        rejects += parsed.rejects
        chunk.event_lines, chunk.observed = parsed.event_lines, parsed.observed
        for reason, count in parsed.ignored.items():
            chunk.ignored[reason] = chunk.ignored.get(reason, 0) + count
        if parsed.events is not None and parsed.events.num_rows:
            index = np.asarray(parsed.events["line_index"].combine_chunks())
            places = [int64_array(index), int64_array(batch.starts[index] + offset)]
            columns = _coded(parsed.events.drop_columns(["line_index"]))
            chunk.rows = pa.Table.from_arrays(
                [*columns.columns, *places], names=[*columns.column_names, "line_number", "byte_offset"]
            )
    chunk.rejects = [_span(batch, reject, offset) for reject in sorted(rejects)]
    return chunk


def _coded(rows: pa.Table) -> pa.Table:
    """Code the raw texts: URLs and user agents repeat, and rows wait in memory until a file part is full."""
    for name in RAW_COLUMNS:
        column = rows[name]
        if column.null_count < len(column) and not pa.types.is_dictionary(column.type):
            rows = rows.set_column(rows.schema.get_field_index(name), name, column.dictionary_encode())
    return rows


def _screen(batch: Batch, chunk: Chunk) -> tuple[Batch, list[Reject]]:
    """Take out what no format should see: blank lines, lines with NUL bytes, lines that are too long."""
    sizes = batch.ends - batch.starts
    drop = sizes == 0
    suspects = np.flatnonzero(_WHITESPACE[batch.data[batch.starts]] & ~drop)
    blank = [i for i in suspects.tolist() if not batch.line(i).strip()]
    drop[blank] = True
    if drop.any():
        chunk.ignored["blank"] = int(np.count_nonzero(drop))
    rejects: list[Reject] = []
    if len(batch) and int(sizes.max()) > MAX_LINE_BYTES:
        rejects += [Reject(int(i), 1, "line_too_long") for i in np.flatnonzero(sizes > MAX_LINE_BYTES)]
    if np.count_nonzero(batch.data) != len(batch.data):
        holed = np.unique(np.searchsorted(batch.ends, np.flatnonzero(batch.data == 0), side="right"))
        rejects += [Reject(int(i), 1, "nul_bytes") for i in holed if sizes[i] <= MAX_LINE_BYTES]
    drop[[r.index for r in rejects]] = True
    return batch.select(~drop), rejects


def _span(batch: Batch, reject: Reject, offset: int) -> tuple[int, int, int, int, str, str]:
    first, last = reject.index, reject.index + reject.line_count - 1
    start, end = int(batch.starts[first]), int(batch.ends[last])
    digest: Any = hashlib.sha256(batch.data.data[start:end])
    return first, reject.line_count, start + offset, end - start, digest.hexdigest(), reject.reason
