"""Objectives: budget and burn by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from tests.make_events import engine_of, failed, opened
from tests.metrics.test_metrics import pick
from wslog import charts
from wslog.errors import UsageError
from wslog.metrics.reliability import reliability
from wslog.metrics.slo import COLUMNS, VERDICTS, WINDOWS, slo, weekly_burn
from wslog.schema import METRIC_COLUMNS

DAY = 86_400.0


def hours(bad_last_day: int) -> list[dict[str, Any]]:
    """Eight days, 100 sessions a day, one a quarter of an hour; 1 of 50 fails, on the last day so many of the last ones."""
    rows: list[dict[str, Any]] = []
    for day in range(8):
        for i in range(100):
            s = day * DAY + i * 860
            is_bad = i % 50 == 0 if day < 7 else i >= 100 - bad_last_day
            network = "wifi" if i % 2 else "cellular"
            event = failed(s, s + 1) if is_bad else opened(s, s + 600, code=1000)
            rows += [{"session_id": f"{day}.{i}", "network_type": network, **e} for e in event]
    return rows


def test_windows_budget_and_burn_by_hand(tmp_path: Path) -> None:
    with engine_of(tmp_path, hours(20), until=9 * DAY) as engine:
        frame = slo(engine, 0.96)
    assert list(frame.columns) == ["side", "metric", "window", *METRIC_COLUMNS, *COLUMNS]
    assert frame["window"].tolist() == [*WINDOWS, "period"]
    whole = pick(frame, window="period")
    assert (whole.numerator, whole.denominator, whole.bad_count) == (766, 800, 34)
    assert whole.budget_count == pytest.approx(32)
    assert whole.budget_spent_ratio == pytest.approx(34 / 32) == whole.burn_rate
    six = pick(frame, window="6h")
    # the last 6 h hold the last 26 sessions, the 20 bad ones among them
    assert (six.numerator, six.denominator) == (6, 26)
    assert six.burn_rate == pytest.approx(20 / 26 / 0.04)
    assert six.budget_spent_ratio == pytest.approx(20 / 32)
    assert (six.burn_ci_low, six.burn_ci_high) == pytest.approx(((1 - six.ci_high) / 0.04, (1 - six.ci_low) / 0.04))
    assert six.verdict == "missed"
    hour = pick(frame, window="1h")
    assert (hour.denominator, hour.state, hour.verdict) == (5, "insufficient", "insufficient")
    assert np.isnan(hour.burn_rate)
    assert whole.verdict == "undecided"
    assert whole.until_at == pd.Timestamp("2026-11-24 09:39:00.000001", tz="UTC"), "the last attempt's begin"
    assert whole.from_at == pd.Timestamp("2026-11-16 10:00:00", tz="UTC")
    assert set(frame["verdict"]) <= set(VERDICTS)


def test_groups_periods_and_connected_time(tmp_path: Path) -> None:
    with engine_of(tmp_path, hours(0), until=9 * DAY) as engine:
        frame = slo(engine, 0.9, by=["network_type"])
        assert pick(frame, network_type="wifi", window="period").verdict == "met"
        assert pick(frame, network_type="cellular", window="period").denominator == 400
        week = slo(engine, 0.9, week="2026-W47")
        assert pick(week, window="period").denominator < 800
        time = pick(slo(engine, 0.9, metric="connected_time_ratio"), window="period")
        assert time.denominator == pytest.approx(time.numerator + time.bad_count)
        burn = weekly_burn(reliability(engine, by=["network_type"]), 0.99)
        assert len(charts.png_bytes(charts.budget_burn(burn))) > 10_000
    one = burn[(burn["network_type"] == "cellular") & (burn["iso_week"] == "2026-W47")].iloc[0]
    assert one.value == pytest.approx(one.numerator / one.denominator / 0.01)


def test_an_empty_lake_and_bad_questions(tmp_path: Path) -> None:
    with engine_of(tmp_path, []) as engine:
        assert len(slo(engine, 0.99)) == 0
        for bad in (
            {"objective": 1.0},
            {"objective": 0.9, "metric": "drops_per_connected_hour"},
            {"objective": 0.9, "by": "x"},
        ):
            with pytest.raises(UsageError):
                slo(engine, **bad)
