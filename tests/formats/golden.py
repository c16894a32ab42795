"""The golden folders: ``tests/formats/<format>/<fault-name>/``, one case each, to be read by a person.

=================  ====================================================================================
``input.*``        the bytes as the log had them
``options.json``   reading options (fields of :class:`wslog.formats.contract.Options`); may be missing
``events.jsonl``   every row: ``line`` (from 1) and the columns that are neither null nor the default
``rejects.jsonl``  every reject: ``line``, ``line_count``, ``reason``; at last what was ignored, by reason
``SOURCE.md``      where the input comes from and which fault it shows
=================  ====================================================================================

``WSLOG_ACCEPT=1 pytest tests/formats/test_golden.py -s`` prints what would change and rewrites the expected files.
"""

from __future__ import annotations

import difflib
import json
import os
from datetime import UTC
from pathlib import Path
from typing import Any

import numpy as np

from wslog.formats import registry
from wslog.formats.contract import DEFAULTS, Batch, Format, Options, Parsed, parse

ROOT = Path(__file__).parent
HEAD_LINES = 200


def cases() -> list[Path]:
    """Return every golden folder, in order."""
    return sorted(p for p in ROOT.glob("*/*/") if p.is_dir() and list(p.glob("input.*")))


def batch_of(data: bytes) -> Batch:
    """Return the batch that ingest would hand over: no BOM, no blank lines, no lines with NUL bytes."""
    whole = Batch.of(data.removeprefix(b"\xef\xbb\xbf"))
    keep = np.array([bool(line.strip()) and b"\0" not in line for _, line in whole.lines()], bool)
    return whole.select(keep)


def head_of(batch: Batch) -> Batch:
    return batch.select(np.arange(len(batch)) < HEAD_LINES)


def plain(value: Any) -> Any:
    """Return a value as JSON holds it; instants become ISO 8601 in UTC, microseconds always written."""
    if hasattr(value, "astimezone"):
        return value.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
    return value


def event_rows(parsed: Parsed) -> list[dict[str, Any]]:
    """Return the rows as ``events.jsonl`` holds them."""
    rows = [] if parsed.events is None else parsed.events.to_pylist()
    return [
        {"line": row["line_index"] + 1}
        | {k: plain(v) for k, v in row.items() if k != "line_index" and v is not None and v != DEFAULTS.get(k)}
        for row in rows
    ]


def reject_rows(parsed: Parsed) -> list[dict[str, Any]]:
    """Return the rejects and the account of ignored lines as ``rejects.jsonl`` holds them."""
    rows: list[dict[str, Any]] = [
        {"line": r.index + 1, "line_count": r.line_count, "reason": r.reason} for r in sorted(parsed.rejects)
    ]
    return rows + ([{"ignored": dict(sorted(parsed.ignored.items()))}] if parsed.ignored else [])


def _text(rows: list[dict[str, Any]]) -> str:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def load(folder: Path) -> tuple[Format, Options, Batch]:
    """Return a case's format, reading options and input."""
    inputs = list(folder.glob("input.*"))
    assert len(inputs) == 1, f"{folder}: exactly one input.* is wanted, found {[p.name for p in inputs]}"
    options = folder / "options.json"
    given = json.loads(options.read_text("utf-8")) if options.exists() else {}
    return registry.get(folder.parent.name), Options(**given), batch_of(inputs[0].read_bytes())


def check(folder: Path) -> None:
    """Compare a case with its expected files, all rows of both paths; with WSLOG_ACCEPT=1 rewrite the files."""
    source = folder / "SOURCE.md"
    provenance = source.read_text("utf-8").strip() if source.exists() else ""
    assert provenance, f"{folder}: SOURCE.md must say where the input comes from"
    found, options, batch = load(folder)
    reader = found.reader(options, head_of(batch))
    parsed = parse(reader, batch)
    assert parsed.line_count == len(batch), f"{folder}: lines in and lines accounted for differ"
    exact = reader.exact(batch)
    assert event_rows(exact) == event_rows(parsed), f"{folder}: the exact path gives other rows"
    assert reject_rows(exact) == reject_rows(parsed), f"{folder}: the exact path gives other rejects"
    for name, rows in (("events.jsonl", event_rows(parsed)), ("rejects.jsonl", reject_rows(parsed))):
        compare(folder / name, _text(rows))


def compare(path: Path, got: str) -> None:
    """Compare one expected file with what came out, or accept it."""
    wanted = path.read_text("utf-8") if path.exists() else ""
    if got == wanted and path.exists():
        return
    where = f"{path.parent.parent.name}/{path.parent.name}/{path.name}"
    diff = "".join(
        difflib.unified_diff(wanted.splitlines(True), got.splitlines(True), f"{where} expected", f"{where} found")
    )
    if os.environ.get("WSLOG_ACCEPT") == "1":
        print(diff or f"{where}: new, empty")
        path.write_text(got, "utf-8")
        return
    raise AssertionError(f"not as expected (accept with WSLOG_ACCEPT=1):\n{diff or where + ' is missing'}")
