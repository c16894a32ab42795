"""What is compared with what: two selections, on the days that both have."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import TYPE_CHECKING

import pandas as pd

from wslog.errors import UsageError
from wslog.metrics.frames import run
from wslog.selection import Filter, Period, Selection, Term, check_by, parse_filter, parse_period

if TYPE_CHECKING:
    from wslog.engine import Engine

WEEKDAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
TIMES = ("iso_week", "day", "started_at", "opened_at", "ended_at")
EDGE_US = 6 * 3_600_000_000
"""A day on which the data begins later than 6 h after midnight, or ends earlier than 6 h before, is covered in part."""
_DAY_US = 86_400_000_000
_WEEK = re.compile(r"\d{4}-?W\d{2}\Z")


@dataclass(frozen=True)
class Either(Filter):
    """Rows of one selection or the other, days included: for clusters that are in both."""

    halves: tuple[Selection, ...] = ()

    def sql(self, table: str) -> str:
        parts = (f"({half.period.sql(table)} AND {half.filter.sql(table)})" for half in self.halves)
        return "(" + " OR ".join(parts) + ")"


@dataclass(frozen=True)
class Halves:
    """Before and after of one side, cut to common days.

    Attributes
    ----------
    side : str
    before, after : Selection
    day_count : int
        Days of ``after`` that are compared; 0: nothing can be.
    left_out : str
        Days that are not compared, and why; empty when all are.
    """

    side: str
    before: Selection
    after: Selection
    day_count: int
    left_out: str

    @property
    def both(self) -> Selection:
        return Selection(self.after.by, Period(), Either((), (self.before, self.after)))


def parse_halves(
    by: str | Iterable[str],
    since: str | None,
    until: str | None,
    week: str | None,
    where: str | None,
    compare: str,
    tables: Sequence[str],
    keys: Sequence[str],
) -> tuple[Selection, Selection]:
    """Return what is compared: before, after.

    Parameters
    ----------
    compare : str
        An ISO week, to which the same filter applies; or a filter, whose comparisons replace those that ``where`` makes of
        the same columns. A filter on time replaces the period.

    Raises
    ------
    UsageError
    """
    columns = check_by(by, tables, keys)
    for name in ("iso_week", "day"):
        if name in columns:
            raise UsageError(f"a comparison is of two periods: it cannot be grouped by {name}")
    # the side is a key of every comparison
    columns = tuple(name for name in columns if name != "side")
    after = Selection(columns, parse_period(since, until, week), parse_filter(where, tables))
    if _WEEK.match(compare.strip()):
        before = replace(after, period=parse_period(week=compare))
        if after.period == Period():
            raise UsageError("--compare with a week needs --week (or --since and --until): the week to compare")
    else:
        given = parse_filter(compare, tables)
        if not given.terms:
            raise UsageError("--compare: give an ISO week like 2026-W46, or a filter like \"browser_version = '130'\"")
        named = {term.column for term in given.terms}
        kept = tuple(term for term in after.filter.terms if term.column not in named)
        period = Period() if named & set(TIMES) else after.period
        before = replace(after, period=period, filter=Filter((*kept, *given.terms)))
    if before == after:
        raise UsageError("--compare: both sides of the comparison are the same")
    return before, after


def common_days(engine: Engine, before: Selection, after: Selection) -> list[Halves]:
    """Cut two selections to the days that both have data for, side by side.

    Selections that share days are held to the same days; else, like two weeks, to the same weekdays. Days that the data
    covers in part (its first and last, see :data:`EDGE_US`) are left out: an early hour is not like a whole day.

    Returns
    -------
    list of Halves
        One per side that has data in either.
    """
    whole = run(engine, "days", "attempts", Selection())
    edges = {str(row["side"]): (int(row["first_us"]), int(row["last_us"])) for row in whole.to_dict("records")}
    had = [_days(run(engine, "days", "attempts", replace(half, by=("day",)))) for half in (before, after)]
    return [
        _of_side(side, edges[side], [days.get(side, set()) for days in had], before, after)
        for side in sorted(set(had[0]) | set(had[1]))
    ]


def _days(found: pd.DataFrame) -> dict[str, set[date]]:
    days: dict[str, set[date]] = {}
    for day, side in zip(found["day"], found["side"], strict=True):
        days.setdefault(str(side), set()).add(date.fromisoformat(str(day)))
    return days


def _of_side(
    side: str, edges: tuple[int, int], had: Sequence[set[date]], before: Selection, after: Selection
) -> Halves:
    partial = {
        date.fromordinal(719163 + edge // _DAY_US)
        for edge, is_cut in (
            (edges[0], edges[0] % _DAY_US > EDGE_US),
            (edges[1], edges[1] % _DAY_US < _DAY_US - EDGE_US),
        )
        if is_cut
    }
    old, new = had[0] - partial, had[1] - partial
    if old & new:
        kept_old = kept_new = old & new
        name: Callable[[date], str] = _day
    else:
        shared = {day.weekday() for day in old} & {day.weekday() for day in new}
        kept_old, kept_new = ({day for day in days if day.weekday() in shared} for days in (old, new))
        name = _weekday
    reasons = [
        *((day, "no data before") for day in new - kept_new),
        *((day, "no data after") for day in old - kept_old),
        *((day, "covered in part") for day in (had[0] | had[1]) & partial),
    ]
    said: dict[str, list[str]] = {}
    for day, why in sorted(reasons):
        words = said.setdefault(why, [])
        if name(day) not in words:
            words.append(name(day))
    left_out = "; ".join(
        f"{', '.join(words[:14])}{' ...' if len(words) > 14 else ''}: {why}" for why, words in said.items()
    )
    return Halves(side, _on(before, side, kept_old), _on(after, side, kept_new), len(kept_new), left_out)


def _day(day: date) -> str:
    return day.isoformat()


def _weekday(day: date) -> str:
    return WEEKDAYS[day.weekday()]


def _on(half: Selection, side: str, days: set[date]) -> Selection:
    chosen = Term("day", "IN", tuple(sorted(day.isoformat() for day in days)))
    return replace(half, filter=Filter((*half.filter.terms, Term("side", "=", (side,)), chosen)))
