"""Which week a report is about: decided by the data, never by the clock."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date, timedelta

import pandas as pd

from wslog.errors import UsageError

WEEKS_BEFORE = 8
_MONTHS = (
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
)


@dataclass(frozen=True)
class Period:
    """What the report is about and what it is held against.

    Parameters
    ----------
    week : str or None
        ISO week; None for a lake whose texts carry no times, or an empty one.
    weeks_before : tuple of str
        Weeks with data among the :data:`WEEKS_BEFORE` before, oldest first.
    known_weeks : tuple of str
        All weeks with data.
    is_complete : bool
        Logs reach both the first and the last day of the week.
    logs_from, logs_until : str
        Days of the first and last log entry of the lake, empty when there is none.
    """

    week: str | None
    weeks_before: tuple[str, ...]
    known_weeks: tuple[str, ...]
    is_complete: bool
    logs_from: str
    logs_until: str

    @property
    def has_data(self) -> bool:
        """Whether any attempt belongs to the week."""
        return self.week is None or self.week in self.known_weeks

    @property
    def stem(self) -> str:
        """Name of the period in file names."""
        return self.week or "undated"

    @property
    def monday(self) -> date:
        """First day of the week."""
        return monday_of(self.week or "1970-W01")

    @property
    def since(self) -> str:
        """First day of the weeks before."""
        return (self.monday - timedelta(weeks=WEEKS_BEFORE)).isoformat()

    @property
    def until(self) -> str:
        """The day the weeks before end, exclusive: the Monday of the week."""
        return self.monday.isoformat()

    @property
    def in_words(self) -> str:
        """``Monday 16 to Sunday 22 November 2026, UTC``."""
        first, last = self.monday, self.monday + timedelta(days=6)
        start = f"Monday {first.day}"
        if first.month != last.month:
            start += f" {_MONTHS[first.month - 1]}" + (f" {first.year}" if first.year != last.year else "")
        return f"{start} to Sunday {day_in_words(last)}, UTC"


def day_in_words(day: date) -> str:
    """Return ``22 November 2026``."""
    return f"{day.day} {_MONTHS[day.month - 1]} {day.year}"


def monday_of(week: str) -> date:
    """Return the first day of an ISO week; anything else than ``YYYY-Www`` raises a UsageError."""
    if re.fullmatch(r"[0-9]{4}-W[0-9]{2}", week):
        try:
            return date.fromisocalendar(int(week[:4]), int(week[6:]), 1)
        except ValueError:
            pass  # a year without week 53
    raise UsageError(f"{week!a} is no ISO week; write it like 2026-W47")


def pick(reliability: pd.DataFrame, sources: pd.DataFrame, week: str | None) -> Period:
    """Return the period of a report.

    Parameters
    ----------
    reliability : DataFrame
        All weeks of the lake; only ``iso_week`` is read.
    sources : DataFrame
        The table ``sources``.
    week : str or None
        The week the caller asks for; None takes the last complete week, else the last with data.
    """
    known = tuple(sorted({str(name) for name in reliability["iso_week"].dropna()}))
    first, last = _observed(sources)
    if week is None:
        complete = [name for name in known if _is_complete(name, first, last)]
        week = complete[-1] if complete else known[-1] if known else None
    before: tuple[str, ...] = ()
    if week is not None:
        start = monday_of(week)
        reach = start - timedelta(weeks=WEEKS_BEFORE)
        before = tuple(name for name in known if reach <= monday_of(name) < start)
    return Period(
        week,
        before,
        known,
        week is not None and _is_complete(week, first, last),
        day_in_words(first) if first else "",
        day_in_words(last) if last else "",
    )


def _observed(sources: pd.DataFrame) -> tuple[date | None, date | None]:
    starts, ends = sources["observed_from"].dropna(), sources["observed_until"].dropna()
    return (starts.min().date() if len(starts) else None, ends.max().date() if len(ends) else None)


def _is_complete(week: str, first: date | None, last: date | None) -> bool:
    start = monday_of(week)
    return first is not None and last is not None and first <= start and last >= start + timedelta(days=6)
