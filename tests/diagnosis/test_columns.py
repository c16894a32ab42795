"""The columns that detectors look at: texts as codes, evidence in words, what happened near a case, herds of any size."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.make_events import engine_of, opened
from wslog.diagnosis import diagnose
from wslog.diagnosis.findings import Told
from wslog.diagnosis.model import Observed, coded
from wslog.diagnosis.moments import Moments

NUMBERS = st.floats(allow_nan=True, allow_infinity=False, width=32).map(float)


@given(st.lists(st.tuples(NUMBERS, st.sampled_from(["", "a", "b_c"])), max_size=30))
def test_evidence_in_words(rows: list[tuple[float, str]]) -> None:
    numbers = np.array([number for number, _ in rows], dtype=np.float64)
    texts = np.array([text for _, text in rows], dtype=object)
    at = np.arange(len(rows), dtype=np.int64)[::-1]
    said = Told([("n", numbers), ("t", texts)], after=" end").of(at)
    for text, i in zip(said, at, strict=True):
        number, word = rows[i]
        found = dict(part.split("=", 1) for part in text.removesuffix(" end").split(" ", 1) if "=" in part)
        assert text.endswith(" end")
        assert found.get("t", "") == word
        assert ("n" in found) == (number == number)
        if number == number:
            # four digits, or the whole number to ten
            assert float(found["n"]) == pytest.approx(number, rel=5.1e-4, abs=1e-45)


@given(st.lists(st.tuples(st.sampled_from("ab"), st.sampled_from(["", "x", "y"])), min_size=1, max_size=20))
def test_rows_as_codes(rows: list[tuple[str, str]]) -> None:
    codes, names = coded([np.array(column, dtype=object) for column in zip(*rows, strict=True)])
    assert [names[code] for code in codes] == ["\t".join(row) for row in rows]
    assert list(names) == sorted(set(names))


def observed(**columns: Any) -> Observed:
    frames: dict[str, Any] = dict.fromkeys(("moves", "sessions", "totals", "clocks", "opens", "waits"))
    return Observed(cases=pa.table(columns), **frames)


def test_columns_of_cases() -> None:
    seen = observed(
        row_key=pa.array([10, 20, 30], pa.int64()),
        peer_key=pa.array([30, None, 10], pa.int64()),
        episode_key=pa.array([10, 10, 15], pa.int64()),
        host=["b", None, "b"],
        asn=pa.array([64496, None, 64496], pa.int64()),
        is_opened=pa.array([True, None, False]),
    )
    assert seen.words("host").tolist() == ["b", "", "b"] and seen.words("asn").tolist() == ["64496", "", "64496"]
    assert seen.among("host", ("b",)).tolist() == [True, False, True] == (~seen.among("host", ("",))).tolist()
    assert np.isnan(seen.numbers("asn")[1]) and seen.opened.tolist() == [True, False, False]
    assert seen.peers.tolist() == [2, -1, 0] and seen.triggers.tolist() == [0, 0, -1]
    assert seen.distinct("host", np.array([True, True, True])) == 2
    with pytest.raises(ValueError, match="read-only"):
        seen.words("host")[0] = "c"


@given(
    st.lists(st.tuples(st.integers(-1, 2), st.integers(0, 60)), min_size=1, max_size=12),
    st.lists(st.tuples(st.integers(0, 2), st.one_of(st.just(np.nan), st.integers(0, 60))), min_size=1, max_size=12),
)
def test_what_happened_near(moves: list[tuple[int, int]], cases: list[tuple[int, float]]) -> None:
    keys, at = (np.array(column, dtype=np.int64) for column in zip(*moves, strict=True))
    of, when = (
        np.array(column, dtype=kind) for column, kind in zip(zip(*cases, strict=True), (int, float), strict=True)
    )
    near = Moments(keys, at * 1e6, of)
    every = np.ones(len(of), dtype=bool)
    found = near.any_between(every, when - 5.0, when + 2.0)
    for i, (key, second) in enumerate(cases):
        assert found[i] == any(k == key and second - 5 <= s <= second + 2 for k, s in moves)
    nearest = near.nearest_s(every, when)
    for i, (key, second) in enumerate(cases):
        mine = [abs(s - second) for k, s in moves if k == key]
        assert np.isnan(nearest[i]) if np.isnan(second) or not mine else abs(nearest[i]) == min(mine)


@pytest.mark.parametrize("size", [12, 400])
def test_a_herd_is_found_whole(tmp_path: Path, size: int) -> None:
    """Its chance is 0 in every window that holds most of it; the fullest is the herd, not the shortest."""
    rows: list[dict[str, Any]] = []
    for n in range(size):
        kind = ("wifi", "cellular")[n % 2]
        rows += opened(100.0, 5000.0 + 0.8 * n / size, session_id=f"h{n}", url_host="a", network_type=kind)
    for n in range(80):
        rows += opened(50.0 * n, 50.0 * n + 3017.0, session_id=f"o{n}", url_host="a", network_type="wifi")
    with engine_of(tmp_path, rows) as engine:
        found = diagnose(engine)
    struck = found.attempts[found.attempts["session_key"].str.startswith("h")]
    assert len(struck) == size and set(struck["cause"]) == {"restart_herd"}
    assert found.herds["size_count"].tolist() == [size]
