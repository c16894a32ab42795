"""Changes are claimed only where the intervals carry them."""

from __future__ import annotations

import pandas as pd
import pytest

from tests.report import fake
from wslog.charts.words import Row, rows
from wslog.report.compare import Estimate, before_text, change, pool, pooled_row


def row(numerator: float, denominator: float) -> Row:
    return rows(pd.DataFrame([{"metric": "connect_success_rate", **fake.cells(numerator, denominator)}]))[0]


def estimate(value: float, half: float, least: float, most: float, weeks: int = 4) -> Estimate:
    return Estimate(value, value - half, value + half, 1_000, weeks, least, most)


def test_pooled_weeks_agree_with_one_interval_over_all_of_them() -> None:
    pooled = pool([row(960, 1_000), row(1_940, 2_000), row(2_880, 3_000)], "connect_success_rate")
    value, low, high = fake.wilson(960 + 1_940 + 2_880, 6_000)
    assert pooled is not None
    assert pooled.value == pytest.approx(value, rel=1e-12)
    # Wilson's interval leans towards 1/2 by about z^2 / 2n, 0.0003 here; half the interval is 0.005.
    assert (pooled.low, pooled.high) == pytest.approx((low, high), abs=0.0006)
    assert (pooled.week_count, pooled.least, pooled.most) == (3, 0.96, 0.97)


def test_weeks_below_the_floor_are_left_out_of_the_pool() -> None:
    pooled = pool([row(900, 1_000), row(1, 4)], "connect_success_rate")
    assert pooled is not None
    assert (pooled.denominator, pooled.week_count) == (1_000, 1)
    assert pool([row(1, 4)], "connect_success_rate") is None
    assert pool([], "connect_success_rate") is None


def test_a_pooled_interval_stays_a_share() -> None:
    pooled = pool([row(30, 30)], "connect_success_rate")
    assert pooled is not None
    assert pooled.high == 1.0


@pytest.mark.parametrize(
    ("metric", "now", "before", "tone", "words"),
    [
        ("connect_success_rate", row(960, 1_000), estimate(0.965, 0.01, 0.95, 0.97), "same", "No evidence of change"),
        ("connect_success_rate", row(900, 1_000), estimate(0.965, 0.01, 0.95, 0.97), "worse", "Lower than in each"),
        ("connect_success_rate", row(999, 1_000), estimate(0.965, 0.01, 0.95, 0.97), "better", "Higher than in each"),
        ("connect_success_rate", row(900, 1_000), estimate(0.965, 0.01, 0.89, 0.97), "within", "within the range"),
        ("fallback_session_rate", row(200, 1_000), estimate(0.05, 0.01, 0.04, 0.06), "worse", "Higher than in each"),
        ("fallback_session_rate", row(200, 1_000), estimate(0.05, 0.01, 0.04, 0.06, 1), "worse", "in the week before"),
        ("fallback_session_rate", row(2, 4), estimate(0.05, 0.01, 0.04, 0.06), "unknown", "Too little evidence"),
        ("fallback_session_rate", row(200, 1_000), None, "unknown", "Nothing to compare with"),
        ("fallback_session_rate", None, None, "unknown", "Too little evidence"),
    ],
)
def test_changes_in_words(metric: str, now: Row | None, before: Estimate | None, tone: str, words: str) -> None:
    found = change(now, before, metric)
    assert found.tone == tone
    assert words in found.text


def test_touching_intervals_overlap() -> None:
    now = row(900, 1_000)
    assert now.low is not None
    before = Estimate(0.5, 0.4, now.low, 1_000, 3, 0.4, 0.6)
    assert change(now, before, "connect_success_rate").tone == "same"


def test_the_weeks_before_name_their_interval_and_n() -> None:
    found = before_text(pooled_row(row(900, 1_000), [row(890, 1_000), row(910, 1_000)]), "connect_success_rate")
    assert found.replace("\u00a0", " ") == "2 weeks before: 90.0 % (88.0 to 91.7 %, n = 1,000)."
    assert before_text(None, "connect_success_rate") == "Weeks before: not enough evidence."
    assert pooled_row(row(1, 4), []) is None
