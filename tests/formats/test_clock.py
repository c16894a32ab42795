"""Local clock to UTC: the two odd hours of the year are kept and named."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wslog.errors import UsageError
from wslog.formats.clock import check_zone, local_to_utc, time_anomalies

EPOCH = datetime(1970, 1, 1)
ZONES = ["Europe/Berlin", "America/St_Johns", "Australia/Lord_Howe", "Asia/Kathmandu", "America/New_York", "UTC"]


def local(*parts: int) -> int:
    return (datetime(*parts) - EPOCH) // timedelta(microseconds=1)


def utc(*parts: int) -> int:
    return local(*parts)


def test_no_zone_is_utc() -> None:
    times = np.array([local(2026, 11, 23, 12)], np.int64)
    found, ambiguous, nonexistent = local_to_utc(times, None)
    assert found.tolist() == times.tolist()
    assert not ambiguous.any()
    assert not nonexistent.any()
    assert time_anomalies(ambiguous, nonexistent) is None


def test_the_hour_that_occurs_twice_is_the_earlier_one() -> None:
    found, ambiguous, nonexistent = local_to_utc(np.array([local(2026, 10, 25, 2, 30)], np.int64), "Europe/Berlin")
    assert found.tolist() == [utc(2026, 10, 25, 0, 30)]
    assert ambiguous.tolist() == [True]
    assert nonexistent.tolist() == [False]
    assert time_anomalies(ambiguous, nonexistent).to_pylist() == ["ambiguous_time"]


def test_the_hour_that_does_not_occur_is_shifted_to_the_jump() -> None:
    times = np.array([local(2026, 3, 29, 2, 30), local(2026, 3, 29, 3, 30)], np.int64)
    found, ambiguous, nonexistent = local_to_utc(times, "Europe/Berlin")
    assert found.tolist() == [utc(2026, 3, 29, 1), utc(2026, 3, 29, 1, 30)]
    assert nonexistent.tolist() == [True, False]
    assert time_anomalies(ambiguous, nonexistent).to_pylist() == ["nonexistent_time", None]


def test_no_times() -> None:
    found, ambiguous, nonexistent = local_to_utc(np.empty(0, np.int64), "Europe/Berlin")
    assert len(found) == len(ambiguous) == len(nonexistent) == 0


@pytest.mark.parametrize("tz", ["Europe/Atlantis", "../etc/passwd", "CEST+?"])
def test_an_unknown_zone_is_misuse(tz: str) -> None:
    with pytest.raises(UsageError, match="IANA name"):
        check_zone(tz)
    with pytest.raises(UsageError):
        local_to_utc(np.empty(0, np.int64), tz)


@settings(max_examples=200, deadline=None)
@given(st.datetimes(datetime(1995, 1, 1), datetime(2037, 1, 1)), st.sampled_from(ZONES))
def test_agrees_with_zoneinfo(moment: datetime, tz: str) -> None:
    """The standard library is the outside witness: fold=0 is the earlier of two, and a gap does not round-trip."""
    found, ambiguous, nonexistent = local_to_utc(
        np.array([(moment - EPOCH) // timedelta(microseconds=1)], np.int64), tz
    )
    zone = ZoneInfo(tz)
    first, second = (moment.replace(tzinfo=zone, fold=f).astimezone(UTC) for f in (0, 1))
    exists = first.astimezone(zone).replace(tzinfo=None) == moment
    assert bool(nonexistent[0]) is (not exists)
    assert bool(ambiguous[0]) is (exists and first != second)
    if exists:
        assert found[0] == (first.replace(tzinfo=None) - EPOCH) // timedelta(microseconds=1)
