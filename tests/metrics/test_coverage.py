"""The short form of ``python -m tests.metrics.coverage --weeks 1000``."""

from __future__ import annotations

import pytest

from tests.metrics.coverage import comparison_coverage, level_coverage

WEEKS = 250


@pytest.mark.parametrize("sessions", [60, 300])
def test_intervals_cover(sessions: int) -> None:
    for name, covered in level_coverage(WEEKS, sessions, seed=3).items():
        # 93 to 97 % is what is aimed at and what 1,000 weeks show; 250 weeks have a binomial error of 1.4 points: two more
        # and a half at each end
        assert 0.905 <= covered <= 0.995, name


def test_comparisons_cover_and_raise_no_false_alarms() -> None:
    found = comparison_coverage(WEEKS, 120, seed=4)
    assert 0.91 <= found["difference of shares"] <= 0.99
    assert 0.91 <= found["difference of drops per hour"] <= 0.99
    # 6,000 tests: half a point of error; the tests are rather careful
    assert found["p below 5 % without change"] <= 0.06
    # of families of 24 rows at most 5 %, and 1.4 points of error twice
    assert found["false alarm in 24 rows"] <= 0.05 + 0.028
