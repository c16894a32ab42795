"""``wslog agreement``: print what client and service each saw of the same connections."""

from __future__ import annotations

import json
import os
import sys
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING

from wslog.cli.output import print_frame, print_table, to_json
from wslog.errors import EXIT_PIPE_CLOSED
from wslog.safe_text import terminal

if TYPE_CHECKING:
    import pandas as pd

    from wslog.agreement import Agreement

_WIDTH = 100


def run(
    lake: Path,
    *,
    by: str | None = None,
    since: str | None = None,
    until: str | None = None,
    week: str | None = None,
    where: str | None = None,
    kind: str = "table",
) -> None:
    """Join the two sides of a lake and print the answer.

    Parameters
    ----------
    lake : Path
    by : str, optional
        Comma-separated grouping columns of the matrix.
    since, until, week, where : str, optional
    kind : str
        ``table`` (text), ``json`` (matrix, matches, clocks, says), ``csv`` or ``parquet`` (the matrix).

    Raises
    ------
    UsageError, LakeDamagedError
    """
    from wslog.api import open_lake

    columns = [column.strip() for column in by.split(",") if column.strip()] if by else []
    found = open_lake(lake).agreement(columns, since, until, week, where)
    if kind in ("csv", "parquet"):
        print_frame(found.matrix, kind, "agreement")
        return
    try:
        if kind == "json":
            sys.stdout.write(as_json(found) + "\n")
        else:
            sys.stdout.write(as_text(found))
            sys.stdout.flush()
            if len(found.matrix):
                print_table(found.matrix, "agreement")
        sys.stdout.flush()
    except BrokenPipeError:
        # the reader of the pipe has left: nothing is wrong, and the flush at exit must not complain
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SystemExit(EXIT_PIPE_CLOSED) from None


def as_json(found: Agreement) -> str:
    """Return the whole answer as one JSON object."""
    frames = {"matrix": found.matrix, "matches": found.matches, "clocks": found.clocks}
    return json.dumps(
        {**{name: json.loads(to_json(frame)) for name, frame in frames.items()}, "says": found.says}, indent=1
    )


def as_text(found: Agreement) -> str:
    """Return how many attempts were joined, and what there is to say."""
    lines: list[str] = []
    for side, part in found.matches.groupby("side", sort=False):
        for service_side, mine in part.groupby("service_side", sort=False, dropna=False):
            other = (service_side if isinstance(service_side, str) else "service") if side == "client" else "client"
            lines += _wrapped(f"{side} attempts, looked for in {other} logs: {_statuses(mine)}")
    if lines:
        lines.append("")
    for text in found.says:
        lines += _wrapped(f"- {text}")
    return "\n".join([*lines, ""]) + "\n"


def _statuses(counts: pd.DataFrame) -> str:
    total = int(counts["attempt_count"].sum())
    told = []
    for status, why in (("matched", "matched_by"), ("ambiguous", None), ("unmatched", "unmatched_because")):
        mine = counts[counts["match_status"] == status]
        count = int(mine["attempt_count"].sum())
        detail = ", ".join(f"{row[why]} {row['attempt_count']:,}" for row in mine.to_dict("records")) if why else ""
        told.append(f"{count:,} {status}{f' ({detail})' if detail else ''}")
    return f"{total:,}: {', '.join(told)}"


def _wrapped(text: str) -> list[str]:
    return textwrap.wrap(terminal(text), _WIDTH, subsequent_indent="  ")
