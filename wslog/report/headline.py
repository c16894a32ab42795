"""The top of the page: four tiles, a sentence that sums them up, and what to know before reading on."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from wslog.charts.words import METRICS, Row, count, in_words, n_text, percent, rows
from wslog.report.blocks import Book, find, interval_text, metric_rows, one_side_of
from wslog.report.compare import Change, Estimate, before_text, change, estimate_of

TILES = ("connect_success_rate", "drops_per_connected_hour", "fallback_session_rate", "time_to_recover_p50_s")
_MOVED = ("better", "worse")
_OF_RETRIES = ("time_to_recover_p50_s",)
_CLIENT_ONLY = ("fallback_session_rate", "time_to_recover_p50_s")
# From here on the share of unreadable lines is said at the top, not only in the line account.
_REJECTS_WORTH_SAYING = 0.01


@dataclass(frozen=True)
class Tile:
    """One headline number; ``value`` is words where there is no estimate."""

    title: str
    value: str
    is_number: bool
    interval: str
    n: str
    before: str
    change: Change


def tile(metric: str, now: Row | None, before: Estimate | None, missing: str = "no data") -> Tile:
    """Return the tile of a metric."""
    title = METRICS[metric].title
    if now is None:
        return Tile(title, missing, False, "", "", "", Change("unknown", "", ""))
    difference = change(now, before, metric)
    earlier = before_text(before, metric)
    if not now.is_ok or now.value is None:
        return Tile(title, "too little evidence", False, "", n_text(now, metric), earlier, difference)
    value = in_words(now.value, METRICS[metric].kind)
    return Tile(title, value, True, interval_text(now, metric), n_text(now, metric), earlier, difference)


def estimates(book: Book, metric: str, side: str) -> tuple[Row | None, Estimate | None]:
    """Return a metric's row of the week and its estimate over the weeks before."""
    if metric in _OF_RETRIES:
        name = "retries"
        now = find(rows(book.of_week(name, side=side)), metric=metric) if book.period.has_data else None
    else:
        name = "reliability"
        now = find(metric_rows(book.weekly(side), metric), iso_week=book.period.week)
    if not book.period.weeks_before:
        return now, None
    compared = one_side_of(book.versus_weeks_before(name), side)
    found = compared[compared["metric"] == metric].to_dict("records") if len(compared) else []
    frame = book.of_weeks_before(name, by=("iso_week",), side=side) if name == "retries" else book.weekly(side)
    weekly = [row for row in metric_rows(frame, metric) if row.keys.get("iso_week") in book.period.weeks_before]
    return now, estimate_of(found[0] if found else None, weekly)


def tiles(book: Book) -> list[Tile]:
    """Return the four tiles of the leading side."""
    found = []
    for metric in TILES:
        if metric in _CLIENT_ONLY and book.lead != "client":
            found.append(tile(metric, None, None, "needs client logs"))
        else:
            found.append(tile(metric, *estimates(book, metric, book.lead)))
    return found


def summary(found: list[Tile]) -> str:
    """Return one sentence on what changed."""
    said = (
        (
            "Higher than in the weeks before",
            [one for one in found if one.change.tone in _MOVED and one.change.word == "higher"],
        ),
        (
            "Lower than in the weeks before",
            [one for one in found if one.change.tone in _MOVED and one.change.word == "lower"],
        ),
        ("Different, but within the range of the weeks before", [one for one in found if one.change.tone == "within"]),
        ("No evidence of change", [one for one in found if one.change.tone == "same"]),
    )
    parts = [f"{words}: {_listed([one.title.lower() for one in some])}." for words, some in said if some]
    if not parts:
        return "There is not enough evidence to compare this week with earlier ones."
    return " ".join(parts)


def _listed(words: list[str]) -> str:
    return words[0] if len(words) == 1 else ", ".join(words[:-1]) + " and " + words[-1]


def banners(book: Book, sources: pd.DataFrame) -> list[str]:
    """Return what a reader must know before the first number."""
    period, said = book.period, []
    lines, rejected = int(sources["lines_in"].sum()), int(sources["rejected"].sum())
    if not len(sources):
        said.append("The lake is empty: no source has been ingested.")
    elif not int(sources["event_lines"].sum()):
        said.append(
            f"No line became an event: of {lines:,} lines, {rejected:,} could not be read. There is nothing to measure."
        )
    elif lines and rejected / lines >= _REJECTS_WORTH_SAYING:
        said.append(
            f"{percent(rejected / lines)} of all lines ({rejected:,} of {lines:,}) could not be read and are missing "
            "below."
        )
    if period.week is None and not period.known_weeks and int(sources["event_lines"].sum()):
        said.append("These logs carry no times, so there are no weeks: the numbers cover everything that was ingested.")
    elif not period.has_data:
        weeks = f"{period.known_weeks[0]} to {period.known_weeks[-1]}" if period.known_weeks else "none"
        said.append(f"No attempt falls in this week. Weeks with data: {weeks}.")
    elif period.week is not None and not period.is_complete:
        said.append(f"The logs do not cover the whole week (they run from {period.logs_from} to {period.logs_until}).")
    if book.sides and book.lead != "client" and period.has_data:
        none = "No client log reaches into this week" if "client" in book.sides else "There are no client logs"
        said.append(
            f"{none}: the numbers are what the {book.lead} side saw. Clients that could not reach it are "
            "missing, so connect success is an upper bound."
        )
    return said


def excluded_text(row: Row) -> str:
    """Return how many were left out of a rate, or nothing."""
    return f"{count(row.excluded)} left out" if row.excluded else ""
