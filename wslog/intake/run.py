"""Ingest of many inputs: each is committed on its own, one bad input never stops the others."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from wslog.errors import EXIT_DONE, EXIT_NOTHING, EXIT_PARTIAL, UsageError
from wslog.intake.privacy import key_id, load_key
from wslog.intake.source import IngestOptions, SourceReport, ingest_one
from wslog.intake.streams import expand
from wslog.lake import LakeStore

COUNTS = ("lines_in", "event_lines", "rejected", "ignored")
MAX_REJECT_PCT = 50.0
"""A source with more rejected lines than this makes the exit code say so: probably another format was meant."""


@dataclass
class IngestReport:
    """What a run did: a :class:`~wslog.intake.source.SourceReport` per input, in order.

    Attributes
    ----------
    exit_code : int
        0 done; 3 something was refused, read in part, or mostly rejected; 4 nothing was ingested.
    """

    sources: list[SourceReport] = field(default_factory=list)
    max_reject_pct: float = MAX_REJECT_PCT

    @property
    def totals(self) -> dict[str, int]:
        names = (*COUNTS, "event_count", "input_bytes")
        return {name: sum(getattr(source, name) for source in self.sources) for name in names}

    @property
    def exit_code(self) -> int:
        refused = [s for s in self.sources if s.status == "refused"]
        if self.sources and len(refused) == len(self.sources):
            return EXIT_NOTHING
        poor = any(100.0 * s.rejected > self.max_reject_pct * s.lines_in for s in self.sources if s.rejected)
        is_partial = any(s.status == "partial" for s in self.sources)
        return EXIT_PARTIAL if refused or poor or is_partial else EXIT_DONE

    def to_dict(self) -> dict[str, Any]:
        """Return what ``--json`` prints."""
        return {"sources": [dict(vars(source)) for source in self.sources], "totals": self.totals}


def core_count() -> int:
    """Return the processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def ingest_paths(
    paths: Iterable[str | os.PathLike[str]],
    lake: str | os.PathLike[str],
    options: IngestOptions,
    max_reject_pct: float = MAX_REJECT_PCT,
    on_source: Callable[[str, int, int], Callable[[int, int | None], None] | None] | None = None,
    on_report: Callable[[SourceReport], None] | None = None,
) -> IngestReport:
    """Ingest files, folders, patterns or ``-`` into a lake, in a stable order.

    Parameters
    ----------
    on_source : callable, optional
        Called with (path, number of the source, number of sources); may return a progress callable for it.
    on_report : callable, optional
        Called with each finished source.

    Raises
    ------
    LakeWriteError
        Checked before any input is read.
    UsageError
        No path is given, or the lake's key is missing.
    """
    named = [os.fspath(path) for path in paths]
    if not named:
        raise UsageError("name at least one file, folder or pattern to ingest, or '-' for stdin")
    store = LakeStore(Path(lake))
    store.prepare()
    key = load_key(store.root.absolute(), is_new_lake=not store.exists)
    store.describe(key_id(key))
    files = expand(named)
    report = IngestReport(max_reject_pct=max_reject_pct)
    for number, path in enumerate(files, 1):
        progress = on_source(path, number, len(files)) if on_source else None
        source = ingest_one(path, store.root, options, key, progress)
        report.sources.append(source)
        if on_report:
            on_report(source)
    return report
