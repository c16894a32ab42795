"""The week of a report comes from the data."""

from __future__ import annotations

import pandas as pd
import pytest

from tests.report import fake
from wslog.errors import UsageError
from wslog.report.weeks import monday_of, pick


def sources(first: str | None, last: str | None) -> pd.DataFrame:
    return fake.table("sources", [fake.source("a.log", "client", 1, observed_from=first, observed_until=last)])


def weeks(*names: str | None) -> pd.DataFrame:
    return pd.DataFrame({"iso_week": list(names)}, dtype=object)


@pytest.mark.parametrize(
    ("last", "expected"),
    [
        ("2026-11-22T00:10:00Z", "2026-W47"),  # reaches the Sunday
        ("2026-11-21T23:50:00Z", "2026-W46"),  # stops on the Saturday: the week before is the last complete one
    ],
)
def test_the_last_complete_week_is_taken(last: str, expected: str) -> None:
    period = pick(weeks("2026-W45", "2026-W46", "2026-W47"), sources("2026-11-01T00:00:00Z", last), None)
    assert (period.week, period.is_complete) == (expected, True)


def test_without_a_complete_week_the_last_one_is_taken_and_marked() -> None:
    period = pick(weeks("2026-W46", "2026-W47"), sources("2026-11-12T09:00:00Z", "2026-11-19T09:00:00Z"), None)
    assert (period.week, period.is_complete) == ("2026-W47", False)


def test_weeks_before_are_those_with_data_in_reach() -> None:
    period = pick(weeks("2026-W38", "2026-W39", "2026-W46", "2026-W47", "2026-W48"), sources(None, None), "2026-W47")
    assert period.weeks_before == ("2026-W39", "2026-W46")
    assert (period.since, period.until) == ("2026-09-21", "2026-11-16")
    assert period.in_words == "Monday 16 to Sunday 22 November 2026, UTC"


def test_a_week_across_the_year_names_both() -> None:
    period = pick(weeks("2026-W53"), sources(None, None), "2026-W53")
    assert period.in_words == "Monday 28 December 2026 to Sunday 3 January 2027, UTC"


def test_a_lake_without_times_has_no_week() -> None:
    period = pick(weeks(None), sources(None, None), None)
    assert (period.week, period.stem, period.has_data, period.weeks_before) == (None, "undated", True, ())


@pytest.mark.parametrize(
    "name", ["2026-47", "2026-W54", "2025-W53", "../x", "2026-W47\n", "２０２６-W47", "", "0000-W01"]
)
def test_what_is_no_week_is_refused_and_never_a_file_name(name: str) -> None:
    with pytest.raises(UsageError, match="2026-W47"):
        monday_of(name)
