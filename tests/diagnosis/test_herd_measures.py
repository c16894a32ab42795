"""What is read around herds."""

from __future__ import annotations

from itertools import pairwise
from types import SimpleNamespace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from wslog.diagnosis.herd_measures import BEFORE_S, WATCHED_S, hours

SPANS = st.lists(st.tuples(st.integers(0, 50_000), st.integers(0, 60)), min_size=1, max_size=12)


@given(SPANS)
def test_hours_cover_what_is_around_each_herd_once(spans: list[tuple[int, int]]) -> None:
    herds: list[Any] = [SimpleNamespace(from_us=s * 1e6, until_us=(s + length) * 1e6) for s, length in spans]
    found = hours(herds).to_pylist()
    for before, after in pairwise(found):
        assert before["until_us"] < after["since_us"]
    for herd in herds:
        first, last = herd.from_us - BEFORE_S * 1e6, herd.until_us + WATCHED_S * 1e6
        assert sum(row["since_us"] <= first and last < row["until_us"] for row in found) == 1
