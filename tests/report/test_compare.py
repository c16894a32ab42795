"""Changes in words: only what the comparison found, and no more than it carries."""

from __future__ import annotations

import math
from typing import Any

import pandas as pd
import pytest

from tests.report import fake
from wslog.charts.words import Row, rows
from wslog.report.compare import Estimate, before_text, change, estimate_of


def row(numerator: float, denominator: float) -> Row:
    return rows(pd.DataFrame([{"metric": "connect_success_rate", **fake.cells(numerator, denominator)}]))[0]


def estimate(value: float, verdict: str, least: float, most: float, weeks: int = 4) -> Estimate:
    return Estimate(value, value - 0.01, value + 0.01, 1_000, weeks, least, most, verdict)


def record(**more: Any) -> dict[str, Any]:
    return {
        "before": 0.9, "before_ci_low": 0.88, "before_ci_high": 0.917, "before_denominator": 1_000.0, "verdict": "worse", **more,
    }  # fmt: skip


def test_the_weeks_before_come_from_the_comparison() -> None:
    found = estimate_of(record(), [row(890, 1_000), row(910, 1_000), row(1, 4)])
    assert found == Estimate(0.9, 0.88, 0.917, 1_000, 2, 0.89, 0.91, "worse")
    assert estimate_of(None, []) is None
    assert estimate_of(record(before=math.nan), []) is None
    assert estimate_of(record(before_ci_high=None), []) is None


@pytest.mark.parametrize(
    ("metric", "now", "before", "tone", "words"),
    [
        (
            "connect_success_rate",
            row(960, 1_000),
            estimate(0.965, "no_evidence_of_change", 0.95, 0.97),
            "same",
            "No evidence",
        ),
        ("connect_success_rate", row(900, 1_000), estimate(0.965, "worse", 0.95, 0.97), "worse", "Lower than in each"),
        (
            "connect_success_rate",
            row(999, 1_000),
            estimate(0.965, "better", 0.95, 0.97),
            "better",
            "Higher than in each",
        ),
        ("connect_success_rate", row(900, 1_000), estimate(0.965, "worse", 0.89, 0.97), "within", "within the range"),
        ("fallback_session_rate", row(200, 1_000), estimate(0.05, "worse", 0.04, 0.06), "worse", "Higher than in each"),
        (
            "fallback_session_rate",
            row(200, 1_000),
            estimate(0.05, "worse", 0.04, 0.06, 1),
            "worse",
            "in the week before",
        ),
        (
            "fallback_session_rate",
            row(2, 4),
            estimate(0.05, "insufficient", 0.04, 0.06),
            "unknown",
            "Too little evidence",
        ),
        (
            "fallback_session_rate",
            row(200, 1_000),
            estimate(0.05, "insufficient", 0, 1),
            "unknown",
            "Nothing to compare",
        ),
        ("fallback_session_rate", row(200, 1_000), None, "unknown", "Nothing to compare with"),
        ("fallback_session_rate", None, None, "unknown", "Too little evidence"),
    ],
)
def test_changes_in_words(metric: str, now: Row | None, before: Estimate | None, tone: str, words: str) -> None:
    found = change(now, before, metric)
    assert found.tone == tone
    assert words in found.text


def test_the_weeks_before_name_their_interval_and_n() -> None:
    found = before_text(estimate_of(record(), [row(890, 1_000), row(910, 1_000)]), "connect_success_rate")
    assert found.replace("\u00a0", " ") == "2 weeks before: 90.0 % (88.0 to 91.7 %, n = 1,000)."
    assert before_text(None, "connect_success_rate") == "Weeks before: not enough evidence."
