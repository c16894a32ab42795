"""Ingest of one source: ``path -> Parquet files + ledger entry``, a plain function that any engine can ship.

The source is read once, block by block; blocks are parsed in a few threads (Arrow and numpy free the interpreter) and
gathered in order, so the same input gives the same files whatever the number of threads.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from blake3 import blake3

from wslog.errors import LakeWriteError, SourceError
from wslog.formats.contract import Batch, Format, Options, Reader
from wslog.formats.registry import detect
from wslog.intake.blocks import Block, Blocks, Bytes, LongLine, read_head
from wslog.intake.enrich import Origin
from wslog.intake.known import Match, candidates, match, spool
from wslog.intake.parse import Chunk
from wslog.intake.shared_ids import DEFAULT_ID_PARAMS
from wslog.intake.streams import STDIN, ByteStream, open_stream
from wslog.intake.workers import Waiting, Workers
from wslog.intake.writer import DayWriter, write_rejects
from wslog.lake import Entry, LakeStore, data_name

if TYPE_CHECKING:
    from wslog.intake.networks import NetworkDatabase

Progress = Callable[[int, int | None], None]
_REJECTS_PER_FILE = 1 << 18
_PARTIAL_REASONS = ("truncated",)


@dataclass(frozen=True)
class IngestOptions:
    """How sources are read; see ``wslog ingest --help``.

    Attributes
    ----------
    format : str or None
        Name of the format; None detects it.
    reading : Options
    source_label : str or None
        Part of a source's identity: the same bytes under two labels are two sources.
    keep_ip : bool
        Keep raw addresses in ``client_address``.
    is_final : bool
        A last line without newline is whole, in plain files too.
    worker_count : int
        Threads or processes that parse.
    may_fork : bool
        Large inputs may be parsed by forked processes; for a process that does nothing else.
    networks : NetworkDatabase or None
        Where the network of an address is looked up.
    id_params : tuple of str
        Query parameters of servers' and proxies' request targets that hold the ``request_id``.
    """

    format: str | None = None
    reading: Options = field(default_factory=Options)
    source_label: str | None = None
    keep_ip: bool = False
    is_final: bool = False
    worker_count: int = 2
    may_fork: bool = False
    networks: NetworkDatabase | None = None
    id_params: tuple[str, ...] = DEFAULT_ID_PARAMS


@dataclass
class SourceReport:
    """What one run made of one source; the counts are what this run added.

    ``lines_in = event_lines + rejected + ignored``, always. ``status`` is one of
    :data:`wslog.schema.SOURCE_STATUSES`; ``reason`` and ``message`` say why a source was refused or read in part.
    """

    path: str
    format: str | None = None
    lines_in: int = 0
    event_lines: int = 0
    rejected: int = 0
    ignored: int = 0
    status: str = "ingested"
    reason: str | None = None
    message: str | None = None
    event_count: int = 0
    input_bytes: int = 0
    pending_bytes: int = 0
    source_id: str | None = None
    format_evidence: str | None = None
    is_zone_assumed: bool = False
    ignored_reasons: dict[str, int] = field(default_factory=dict)
    reject_reasons: dict[str, int] = field(default_factory=dict)


def ingest_one(
    path: str, lake: str | os.PathLike[str], options: IngestOptions, key: bytes, progress: Progress | None = None
) -> SourceReport:
    """Read one file (or ``-``) into a lake.

    Parameters
    ----------
    path : str
    lake : path-like
        A prepared lake (:meth:`wslog.lake.LakeStore.prepare`).
    options : IngestOptions
    key : bytes
        Key of the address hashes.
    progress : callable, optional
        Called with (bytes read of the input file, its size or None).

    Returns
    -------
    SourceReport
        With status ``refused`` when the source cannot be read at all; it never raises for bad input.

    Raises
    ------
    LakeWriteError, LakeBusyError, LakeDamagedError
    """
    report = SourceReport(path)
    store = LakeStore(lake)
    try:
        stream = open_stream(path)
        try:
            _ingest_stream(stream, report, store, options, key, progress)
        finally:
            if path != STDIN:
                stream.close()
    except SourceError as error:
        report.status, report.reason, report.message = "refused", error.reason, str(error)
    except OSError as error:
        raise LakeWriteError(f"the lake {store.root} cannot be written: {error.strerror or error}") from error
    return report


def _ingest_stream(
    stream: ByteStream,
    report: SourceReport,
    store: LakeStore,
    options: IngestOptions,
    key: bytes,
    progress: Progress | None,
) -> None:
    head = read_head(stream)
    if not len(head):
        if stream.error:
            raise stream.error
        report.message = "empty file"
        return
    check_is_text(head)
    fmt, report.format_evidence, reader = choose_format(head, options)
    report.format = fmt.name
    parser = describe_parser(fmt, options)
    entries = candidates(store, options.source_label, head)
    if not entries:
        _Run(store, options, fmt, parser, key, None).read(stream, head, reader, report, progress)
        return
    spooled = spool(store, head, stream) if report.path == STDIN else None
    again = open_stream(str(spooled or report.path))
    again.is_whole = stream.is_whole
    try:
        found = match(entries, str(spooled or report.path), parser, options.is_final or stream.is_whole)
        if found and found.is_same:
            report.status, report.source_id = "already_ingested", found.entry.source_id
            return
        _Run(store, options, fmt, parser, key, found).read(again, read_head(again), reader, report, progress)
    finally:
        again.close()
        if spooled:
            spooled.unlink(missing_ok=True)


def check_is_text(head: Bytes) -> None:
    """Refuse what is no text: UTF-16, and binary data (NUL or control bytes all over)."""
    first = head[:4].tobytes()
    if first.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise SourceError(
            "unknown_encoding", "UTF-16 text: convert it first, for example with 'iconv -f UTF-16 -t UTF-8'"
        )
    control = np.count_nonzero((head < 9) | ((head > 13) & (head < 32) & (head != 27)))
    if control > 0.03 * len(head):
        raise SourceError("not_text", "binary data, not a log")


def choose_format(head: Bytes, options: IngestOptions) -> tuple[Format, str, Reader]:
    """Return the format that reads this head, why, and its reader."""
    lines = Batch.of(head[3:] if head[:3].tobytes() == b"\xef\xbb\xbf" else head)
    if len(lines) > 1:  # the last line may be cut
        lines = lines.select(np.arange(len(lines)) < len(lines) - (head[-1] != 10))
    lines = lines.select(lines.ends > lines.starts).compact()
    fmt, why = detect(lines, options.reading, options.format)
    return fmt, why, fmt.reader(options.reading, lines)


def describe_parser(fmt: Format, options: IngestOptions) -> str:
    """Return what decides the rows of a source beside its bytes."""
    used = [
        f"{name}={getattr(options.reading, name)!r}" for name in fmt.uses if getattr(options.reading, name) is not None
    ]
    if fmt.side != "client" and options.id_params != DEFAULT_ID_PARAMS:
        used.append(f"id_params={','.join(options.id_params)!r}")
    if options.networks:
        used.append(f"asn_db={options.networks.describe()!r}")
    return " ".join([f"{fmt.name}/{fmt.version}", *used, *(["keep_ip"] if options.keep_ip else [])])


class _Run:
    """One reading of one source, from its bytes to its commit."""

    def __init__(
        self, store: LakeStore, options: IngestOptions, fmt: Format, parser: str, key: bytes, found: Match | None
    ) -> None:
        self.store, self.options, self.fmt, self.parser, self.key = store, options, fmt, parser, key
        self.earlier = found.entry if found else None
        self.skip = found.skip_bytes if found else 0
        self.hasher = blake3()
        self.head_mark: tuple[int, str] = self.earlier.head if self.earlier else (0, "")
        self.consumed = 0
        self.rejects: list[tuple[int, int, int, int, str, str]] = []
        self.reject_files: list[tuple[Path, int]] = []
        self.observed: list[int] = []
        self.source_id = self.earlier.source_id if self.earlier else ""

    def read(
        self, stream: ByteStream, head: Bytes, reader: Reader, report: SourceReport, progress: Progress | None
    ) -> None:
        if not self.source_id:
            label = self.options.source_label or ""
            self.source_id = self._free_id(blake3(f"{label}\0".encode() + head.tobytes()).hexdigest()[:32])
        first_line = self.earlier.lines_in + 1 if self.earlier and self.skip else 1
        head = self._skip(stream, head)
        fmt, options = self.fmt, self.options
        origin = Origin(
            self.source_id, fmt.name, fmt.side, self.key, options.keep_ip, options.networks, options.id_params
        )
        blocks = Blocks(stream, fmt.cut, stream.is_whole or options.is_final, self._on_bytes, head, self.skip)
        workers = Workers(reader, options.worker_count, options.may_fork, stream)
        writer = DayWriter(self.store.staging, workers.writers, origin)
        staged: list[Path] = []
        try:
            for chunk in self._chunks(blocks, workers, stream, progress):
                first_line = self._account(chunk, first_line, report, writer)
            written = writer.finish()
            staged = [path for path, *_ in written]
            self._flush_rejects(0)
            self._finish(stream, blocks, report)
            self._commit(written, report)
        finally:
            workers.close()
            writer.discard()
            for path in [*staged, *(p for p, _ in self.reject_files)]:
                path.unlink(missing_ok=True)

    def _free_id(self, wanted: str) -> str:
        """Two different inputs may share their first 64 KiB: the second gets the next free id."""
        candidate, n = wanted, 1
        while self.store.entry(candidate) is not None:
            candidate = blake3(f"{wanted}{n}".encode()).hexdigest()[:32]
            n += 1
        return candidate

    def _skip(self, stream: ByteStream, head: Bytes) -> Bytes:
        """Pass over what is in the lake already; return the first bytes after it."""
        known = min(self.skip, len(head))
        self.hasher.update(head.data[:known])
        self.consumed = known
        buffer = np.empty(1 << 20, np.uint8)
        while self.consumed < self.skip:
            got = stream.readinto(buffer.data[: min(len(buffer), self.skip - self.consumed)])
            self.hasher.update(buffer.data[:got])
            self.consumed += got
        return head[known:]

    def _on_bytes(self, data: memoryview) -> None:
        self.hasher.update(data)
        self.consumed += len(data)
        if not self.head_mark[0]:
            size = min(len(data), 1 << 16)
            self.head_mark = (size, blake3(data[:size]).hexdigest())

    def _chunks(
        self, blocks: Blocks, workers: Workers, stream: ByteStream, progress: Progress | None
    ) -> Iterator[Chunk]:
        """Parse blocks in the pool, a few at a time; yield them in order."""
        waiting: deque[Waiting | LongLine] = deque()
        for piece in blocks:
            waiting.append(workers.parse(piece) if isinstance(piece, Block) else piece)
            if progress:
                progress(stream.raw_bytes, stream.raw_size)
            while len(waiting) > self.options.worker_count + 1:
                yield _result(waiting.popleft())
        while waiting:
            yield _result(waiting.popleft())

    def _account(self, chunk: Chunk, first_line: int, report: SourceReport, writer: DayWriter) -> int:
        report.lines_in += chunk.line_count
        report.event_lines += chunk.event_lines
        for reason, count in chunk.ignored.items():
            report.ignored += count
            report.ignored_reasons[reason] = report.ignored_reasons.get(reason, 0) + count
        for index, count, offset, length, sha256, reason in chunk.rejects:
            report.rejected += count
            report.reject_reasons[reason] = report.reject_reasons.get(reason, 0) + count
            self.rejects.append((first_line + index, count, offset, length, sha256, reason))
        self._flush_rejects(_REJECTS_PER_FILE)
        self.observed += chunk.observed or ()
        self.observed = [min(self.observed), max(self.observed)] if self.observed else []
        if chunk.rows is not None:
            report.event_count += chunk.rows.num_rows
            writer.add(chunk.numbered(first_line))
        return first_line + chunk.line_count

    def _flush_rejects(self, at_least: int) -> None:
        if self.rejects and len(self.rejects) >= at_least:
            self.reject_files.append(write_rejects(self.store.staging, self.source_id, self.rejects))
            self.rejects = []

    def _finish(self, stream: ByteStream, blocks: Blocks, report: SourceReport) -> None:
        report.input_bytes = self.consumed - self.skip
        report.pending_bytes = blocks.pending_bytes
        report.source_id = self.source_id
        report.is_zone_assumed = (
            self.fmt.clock.zone == "option" and self.options.reading.tz is None and bool(self.observed)
        )
        if stream.error is not None:
            if stream.error.reason not in _PARTIAL_REASONS:
                raise stream.error
            report.status, report.reason, report.message = "partial", stream.error.reason, str(stream.error)
        elif self.earlier:
            report.status = "grown" if self.skip else "replaced"

    def _commit(self, written: list[tuple[Path, str, int, int]], report: SourceReport) -> None:
        """Publish under the lock; if another process was faster with the same input, add nothing."""
        if not self.consumed:
            return
        digest = self.hasher.hexdigest()
        with self.store.lock():
            now = self.store.entry(self.source_id)
            if now is not None and (self.consumed, digest) in now.history and now.parser == self.parser:
                nothing = SourceReport(report.path, report.format, status="already_ingested", source_id=self.source_id)
                report.__dict__.update(nothing.__dict__)
                return
            if (now.input_digest if now else None) != (self.earlier.input_digest if self.earlier else None):
                raise LakeWriteError(f"{report.path} was ingested by another process meanwhile: run again")
            entry, staged = self._entry(written, report, digest)
            self.store.publish(entry, staged)

    def _entry(
        self, written: list[tuple[Path, str, int, int]], report: SourceReport, digest: str
    ) -> tuple[Entry, list[tuple[Path, str]]]:
        kept = self.earlier if self.earlier and self.skip else None
        entry = Entry(
            self.source_id,
            self.options.source_label,
            report.path,
            self.fmt.name,
            self.fmt.side,
            self.parser,
            [*(self.earlier.history if self.earlier else []), (self.consumed, digest)],
            self.head_mark,
        )
        staged: list[tuple[Path, str]] = []
        for path, day, part, rows in written:
            name = data_name("events", digest, self.parser, day, part)
            staged.append((path, name))
            entry.files.append({"path": name, "rows": rows, "bytes": path.stat().st_size})
        for part, (path, rows) in enumerate(self.reject_files):
            name = data_name("rejects", digest, self.parser, "", part)
            staged.append((path, name))
            entry.reject_files.append({"path": name, "rows": rows, "bytes": path.stat().st_size})
        for name in ("lines_in", "event_lines", "rejected", "ignored", "event_count"):
            setattr(entry, name, getattr(report, name) + (getattr(kept, name) if kept else 0))
        for name in ("ignored_reasons", "reject_reasons"):
            mine, old = getattr(report, name), getattr(kept, name) if kept else {}
            setattr(entry, name, {k: mine.get(k, 0) + old.get(k, 0) for k in {**old, **mine}})
        if kept:
            entry.files = kept.files + entry.files
            entry.reject_files = kept.reject_files + entry.reject_files
            self.observed += [t for t in (kept.observed_from_us, kept.observed_until_us) if t is not None]
        entry.pending_bytes, entry.is_partial, entry.is_zone_assumed = (
            report.pending_bytes,
            report.status == "partial",
            report.is_zone_assumed,
        )
        if self.observed:
            entry.observed_from_us, entry.observed_until_us = min(self.observed), max(self.observed)
        return entry, staged


def _result(piece: Waiting | LongLine) -> Chunk:
    return Chunk.of_long_line(piece) if isinstance(piece, LongLine) else piece.result()
