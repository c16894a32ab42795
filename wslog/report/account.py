"""The end of the page: definitions, what the logs cannot show, and where every line went."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from wslog.charts.words import METRICS, count, plural, rows
from wslog.report.blocks import Block, Book, Cell, Section, note, shown, table, text
from wslog.report.weeks import WEEKS_BEFORE

MAX_SOURCES = 500
_ORDER = ("side", "format", "path", "source_id")
_LINES = ("lines_in", "event_lines", "rejected", "ignored")


def definitions_section(book: Book) -> Section:
    """Every number used, defined."""
    section = Section("definitions", "What the numbers mean")
    terms = [(metric.title, metric.definition) for metric in METRICS.values()]
    terms += [
        (
            "95 % interval",
            "Shares: Wilson, with fewer effective observations where one session brings several. Rates per hour: Byar, "
            "with the same allowance. Times: Kaplan-Meier. An interval speaks about chance only, not about what the logs miss.",
        ),
        (
            "Weeks before",
            f"Up to {WEEKS_BEFORE} weeks before the week of the report, those with enough evidence, taken together.",
        ),
        (
            "Change",
            "A change is claimed only where a test finds one of a tenth or more, on weekdays that both have, with clients (else "
            "sessions) as the unit and corrected for all the numbers looked at (Benjamini-Hochberg, 5 %), and where the week lies "
            "outside the range of the single weeks before. No evidence of change does not mean that nothing changed.",
        ),
        ("Too little evidence", "Below the evidence floor there is no estimate. It is never drawn or counted as 0."),
        ("n", "The denominator. Where a source was sampled, counts are weighted up to what they stand for."),
        (
            "Week",
            "ISO week, Monday to Sunday, UTC. It counts as complete when logs reach both its first and its last day.",
        ),
    ]
    section.blocks.append(Block("terms", items=tuple(terms)))
    return section


def limits_section(book: Book, sources: pd.DataFrame) -> Section:
    """What these logs cannot show."""
    section = Section("limits", "What these logs cannot show")
    said: list[tuple[str, str]] = []
    if not book.sides:
        section.blocks.append(text("Anything: there are no logs."))
        return section
    if "client" not in book.sides:
        said.append(
            (
                "No client logs.",
                "A client that could not reach the service leaves no trace in server or proxy logs: "
                "connect success is an upper bound, and outages, retries and fallback cannot be seen.",
            )
        )
    else:
        said.append(
            (
                "Clients that never reported.",
                "A client log arrives over the network it reports on: clients that stayed cut "
                "off are missing, so the true rates of failure are no lower than shown.",
            )
        )
    if "client" in book.sides and len(book.sides) == 1:
        said.append(
            (
                "One side only.",
                "Without server or proxy logs nobody can say whether a 1006 was cut on the way or at the other end.",
            )
        )
    elif len(book.sides) > 1:
        said.append(
            (
                "Sides are not mixed.",
                "Client and proxy logs count the same connections from two ends; their numbers are shown "
                "apart and must not be added.",
            )
        )
    said.append(
        (
            "No close codes in access logs.",
            "Proxy lines hold none; they are counted as having no code, never as 1006 or 1000.",
        )
    )
    for side in book.sides:
        unseen = max((row.excluded or 0.0 for row in rows(book.of_week("close_codes", side=side))), default=0.0)
        if unseen:
            said.append(
                (
                    "Ends not seen.",
                    f"{count(unseen)} attempts of the week in the {side} logs have no end in them (still open when "
                    "the log stops, or lost): they are in no close code.",
                )
            )
    said += _source_limits(sources)
    section.blocks.append(Block("list", items=tuple(said)))
    return section


def _source_limits(sources: pd.DataFrame) -> list[tuple[str, str]]:
    said = []
    zone = int(sources["is_zone_assumed"].fillna(False).astype(bool).sum())
    if zone:
        said.append(
            (
                "Time zone assumed.",
                f"In {zone:,} of {plural(len(sources), 'source')} times have no zone; UTC was assumed. If that is "
                "wrong, events are hours off and some are in the wrong week.",
            )
        )
    undated = int((sources["observed_from"].isna() & (sources["event_lines"] > 0)).sum())
    if undated:
        said.append(("Text without times.", f"{plural(undated, 'source')} without times: their events are in no week."))
    partial = int(sources["is_partial"].fillna(False).astype(bool).sum())
    if partial:
        said.append(
            (
                "Sources cut short.",
                f"{plural(partial, 'source')} ending early (a damaged or unfinished archive): the rest is missing.",
            )
        )
    rejected = int(sources["rejected"].sum())
    if rejected:
        said.append(
            (
                "Lines nobody could read.",
                f"{rejected:,} of {int(sources['lines_in'].sum()):,} lines were rejected; if they fail for "
                "the same reason as the connections, the rates are too good.",
            )
        )
    return said


def account_section(sources: pd.DataFrame, rejects: pd.DataFrame) -> Section:
    """The line account of every source, and the reasons of the rejects."""
    section = Section("account", "Where every line went")
    if not len(sources):
        section.blocks.append(text("No source has been ingested."))
        return section
    section.blocks.append(text("For every source: lines in = lines that became events + rejected + ignored."))
    ordered = sorted(sources.to_dict("records"), key=lambda record: [str(record[name]) for name in _ORDER])
    lines = [_source_line(record) for record in ordered[:MAX_SOURCES]]
    rest = ordered[MAX_SOURCES:]
    if rest:
        lines.append((Cell(f"{len(rest):,} more sources"), Cell(""), Cell(""), *_sums(rest), Cell("")))
    lines.append((Cell(f"All {len(sources):,} sources"), Cell(""), Cell(""), *_sums(ordered), Cell(_account(sources))))
    head = ("Source", "Format", "From, until (UTC)", "Lines in", "Events", "Rejected", "Ignored", "Remarks")
    section.blocks.append(table(head, lines, texts=(0, 1, 2, 7)))
    if len(rejects):
        section.blocks.append(_reasons(rejects))
        section.blocks.append(
            note("The text of a rejected line is not kept; the table rejects says where in its file it begins.")
        )
    return section


def _reasons(rejects: pd.DataFrame) -> Block:
    found: dict[str, tuple[int, int]] = {}
    for reason, number in zip(rejects["reason"], rejects["line_count"], strict=True):
        line_count, spans = found.get(str(reason), (0, 0))
        found[str(reason)] = (line_count + int(number), spans + 1)
    ordered = sorted(found.items(), key=lambda item: (-item[1][0], item[0]))
    lines = [(Cell(shown(reason, 60)), Cell(f"{n:,}"), Cell(f"{spans:,}")) for reason, (n, spans) in ordered]
    return table(("Reason of rejection", "Lines", "Spans"), lines)


def _sums(records: Sequence[Mapping[Any, Any]]) -> list[Cell]:
    return [Cell(f"{sum(int(record[name]) for record in records):,}") for name in _LINES]


def _account(sources: pd.DataFrame) -> str:
    off = int((sources["lines_in"] - sources["event_lines"] - sources["rejected"] - sources["ignored"]).abs().sum())
    return f"{plural(off, 'line')} unaccounted for" if off else "adds up"


def _source_line(record: Mapping[Any, Any]) -> tuple[Cell, ...]:
    remarks = []
    if _yes(record["is_partial"]):
        remarks.append("ends early")
    if _yes(record["is_zone_assumed"]):
        remarks.append("zone assumed")
    if int(record["pending_bytes"]):
        remarks.append(f"{int(record['pending_bytes']):,} bytes of a half line held back")
    numbers = [int(record[name]) for name in _LINES]
    if numbers[0] != sum(numbers[1:]):
        remarks.append("lines do not add up")
    label = record.get("source_label")
    name = shown(record["path"], 120) + (f" [{shown(label, 40)}]" if isinstance(label, str) and label else "")
    return (
        Cell(name),
        Cell(f"{shown(record['format'], 40)}, {shown(record['side'], 20)}"),
        Cell(_when(record)),
        *(Cell(f"{number:,}") for number in numbers),
        Cell(", ".join(remarks), is_quiet=True),
    )


def _yes(value: Any) -> bool:
    return not pd.isna(value) and bool(value)


def _when(record: Mapping[Any, Any]) -> str:
    first, last = record["observed_from"], record["observed_until"]
    if pd.isna(first) or pd.isna(last):
        return "no times"
    if first.date() == last.date():
        return f"{first:%Y-%m-%d, %H:%M} to {last:%H:%M}"
    return f"{first:%Y-%m-%d} to {last:%Y-%m-%d}"
