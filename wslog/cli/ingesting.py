"""``wslog ingest``: the run, its progress on a terminal and its summary."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import replace
from importlib.abc import MetaPathFinder
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wslog.safe_text import terminal

if TYPE_CHECKING:
    from wslog.intake.run import IngestReport
    from wslog.intake.source import SourceReport


def run(paths: list[str], lake: Path, as_json: bool, **options: Any) -> int:
    """Ingest, print the account, return the exit code."""
    _tune_process()
    from wslog.api import ingest_options
    from wslog.intake.run import ingest_paths

    reading, max_reject_pct = ingest_options(**options)
    reading = replace(reading, may_fork=True)
    with _Progress() as progress:
        report = ingest_paths(paths, lake, reading, max_reject_pct, on_source=progress.start, on_report=progress.done)
    if as_json:
        sys.stdout.write(json.dumps(report.to_dict(), indent=1) + "\n")
    else:
        print_summary(report)
    return report.exit_code


class _NoPandas(MetaPathFinder):
    """Makes ``import pandas`` fail in this process, as where it is not installed."""

    def find_spec(self, fullname: str, path: object = None, target: object = None) -> None:
        if fullname == "pandas":
            raise ModuleNotFoundError("pandas is not needed to ingest", name=fullname)


def _tune_process() -> None:
    """Two savings for a process that only ingests; the library leaves its host process alone.

    pyarrow imports pandas at its first conversion when it is installed: 0.3 s of CPU that ingest never needs. And glibc
    gives every freed block above 128 KiB back to the system, to fault it in again for the next batch.
    """
    import ctypes

    sys.meta_path.insert(0, _NoPandas())
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):  # not glibc
        return
    m_trim_threshold, m_mmap_threshold = -1, -3
    mallopt(m_mmap_threshold, 64 << 20)
    mallopt(m_trim_threshold, 128 << 20)


class _Progress:
    """A progress bar on a terminal (bytes, rate, time left); in a pipe nothing but one line per trouble."""

    def __enter__(self) -> _Progress:
        self._bar: Any = None
        if sys.stderr.isatty():
            from rich.console import Console
            from rich.progress import (
                BarColumn,
                DownloadColumn,
                Progress,
                TextColumn,
                TimeRemainingColumn,
                TransferSpeedColumn,
            )

            columns = (
                TextColumn("{task.description}", markup=False),
                BarColumn(),
                DownloadColumn(),
                TransferSpeedColumn(),
                TimeRemainingColumn(),
            )
            self._bar = Progress(*columns, console=Console(stderr=True), transient=True)
            self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar:
            self._bar.stop()

    def start(self, path: str, number: int, count: int) -> Callable[[int, int | None], None] | None:
        if not self._bar:
            return None
        bar = self._bar
        task = bar.add_task(terminal(f"[{number}/{count}] {Path(path).name}")[-48:], total=None)
        self._task = task
        return lambda done, total: bar.update(task, completed=done, total=total)

    def done(self, report: SourceReport) -> None:
        if self._bar:
            self._bar.remove_task(self._task)
        for line in troubles(report):
            print(terminal(line), file=sys.stderr)


def troubles(source: SourceReport) -> list[str]:
    """Return what a user must know of a source beyond its account, a line each."""
    lines = []
    if source.status == "refused":
        lines.append(f"{source.path}: refused ({source.reason}): {source.message}")
    if source.status == "ingested" and source.message:
        lines.append(f"{source.path}: {source.message}")
    if source.status == "partial":
        lines.append(f"{source.path}: read in part ({source.reason}): {source.message}")
    if source.pending_bytes and source.status != "partial":
        lines.append(
            f"{source.path}: {source.pending_bytes} bytes of a half line at the end were held back (--final reads them)"
        )
    if source.rejected:
        reasons = ", ".join(f"{count} {reason}" for reason, count in sorted(source.reject_reasons.items()))
        lines.append(
            f"{source.path}: {source.rejected} of {source.lines_in} lines rejected ({reasons}); see 'wslog table rejects'"
        )
    if source.is_zone_assumed:
        lines.append(f"{source.path}: its times carry no zone; UTC was assumed (--tz says otherwise)")
    return lines


def print_summary(report: IngestReport) -> None:
    """Print the line account of every source."""
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=SIMPLE_HEAD, show_edge=False, pad_edge=False)
    table.add_column("source", overflow="fold")
    table.add_column("format")
    for name in ("lines in", "= event lines", "+ rejected", "+ ignored"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("status")
    for s in report.sources:
        counts = (f"{n:,}" for n in (s.lines_in, s.event_lines, s.rejected, s.ignored))
        table.add_row(
            *(Text(terminal(cell)) for cell in (s.path, s.format or "-", *counts, s.status.replace("_", " ")))
        )
    if len(report.sources) > 1:
        totals = report.totals
        counts = (f"{totals[n]:,}" for n in ("lines_in", "event_lines", "rejected", "ignored"))
        table.add_section()
        table.add_row(*(Text(cell) for cell in ("total", "", *counts, "")))
    Console(width=None if sys.stdout.isatty() else 160, highlight=False).print(table)
