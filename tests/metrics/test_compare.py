"""Comparisons: closed forms, common days, and changes that were planted or not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from statsmodels.stats.proportion import confint_proportions_2indep

from tests.make_events import engine_of, failed, opened
from tests.metrics.test_metrics import pick
from wslog.errors import UsageError
from wslog.metrics.close_codes import close_codes
from wslog.metrics.compare import COLUMNS, VERDICTS, mover
from wslog.metrics.fallback import fallback
from wslog.metrics.halves import parse_halves
from wslog.metrics.reliability import reliability
from wslog.metrics.retries import retries
from wslog.selection import Period, parse_filter

DAY = 86_400.0
TABLES = ["attempts", "episodes", "sessions"]


def weeks(
    shares: tuple[float, float], per_day: int = 60, days: tuple[Any, Any] = (range(7), range(7)), **more: Any
) -> Any:
    """Two weeks of sessions of one attempt: this share of each week's failed, spread evenly over its days."""
    rows: list[dict[str, Any]] = []
    for week, (share, kept) in enumerate(zip(shares, days, strict=True)):
        for day in kept:
            at = (7 * week + day) * DAY - 10 * 3600 + 60  # START is a Monday, 10 o'clock
            for i in range(per_day):
                s = at + i * 86_000 / per_day
                row = failed(s, s + 1) if i < round(share * per_day) else opened(s, s + 60, code=1000)
                rows += [{"session_id": f"{week}.{day}.{i}", **more, **event} for event in row]
    return rows


def test_a_difference_of_shares_is_newcombes(tmp_path: Path) -> None:
    with engine_of(tmp_path, weeks((0.1, 0.2)), until=14 * DAY) as engine:
        row = pick(reliability(engine, week="2026-W48", compare="2026-W47"), metric="connect_success_rate")
    assert (row.before_numerator, row.before_denominator) == (378, 420)
    assert (row.after_numerator, row.after_denominator) == (336, 420)
    assert (row.difference, row.ratio) == pytest.approx((-0.1, 0.8 / 0.9))
    low, high = confint_proportions_2indep(336, 420, 378, 420, method="newcomb")
    # Student's t of 419 degrees of freedom and n - 1 for n: half a per cent of the width
    assert (row.ci_low, row.ci_high) == pytest.approx((low, high), abs=0.001)
    _, p = stats.chi2_contingency([[42, 378], [84, 336]], correction=False)[:2]
    # another test of the same hypothesis, far out in the tail, where Student's t counts most
    assert p < row.p_value < 3 * p
    assert (row.verdict, row.days_compared, row.days_left_out) == ("worse", 7, "")


def test_mover_is_the_wald_interval_of_symmetric_ends() -> None:
    p, q = np.array([1.0]), np.array([3.0])
    low, high = mover(p, (p - 0.3, p + 0.3), q, (q - 0.4, q + 0.4), 0.0)
    assert (low[0], high[0]) == pytest.approx((1.5, 2.5))
    low, high = mover(p, (p - 0.3, p + 0.3), q, (q - 0.4, q + 0.4), 1.0)
    assert (low[0], high[0]) == pytest.approx((1.9, 2.1)), "wholly correlated errors cancel"


def test_only_weekdays_that_both_weeks_have(tmp_path: Path) -> None:
    rows = weeks((0.1, 0.1), days=((0, 1, 2, 3, 4), (1, 2, 5)))
    # the two days that only one week has went badly
    rows += [
        e for k in range(300) for e in failed(4 * DAY + 9 * 3600 + k, 4 * DAY + 9 * 3600 + k + 0.5, session_id=f"x{k}")
    ]
    with engine_of(tmp_path, rows, until=14 * DAY) as engine:
        row = pick(reliability(engine, week="2026-W48", compare="2026-W47"), metric="connect_success_rate")
    assert (row.before_denominator, row.after_denominator, row.days_compared) == (120, 120, 2)
    assert row.days_left_out == "Mon, Thu, Fri: no data after; Sat: no data before"
    assert row.verdict == "no_evidence_of_change"


def test_days_covered_in_part_are_left_out(tmp_path: Path) -> None:
    rows = [row for row in weeks((0.1, 0.1)) if row["s"] > 5 * 3600]
    with engine_of(tmp_path, rows, until=14 * DAY) as engine:
        row = pick(reliability(engine, week="2026-W48", compare="2026-W47"), metric="connect_success_rate")
    assert row.days_compared == 6
    assert row.days_left_out == "Mon: covered in part; Mon: no data before"


def test_releases_of_one_week_on_the_same_days(tmp_path: Path) -> None:
    rows = weeks((0.05, 0.05), browser="Chrome", browser_version="130", days=(range(7), ()))
    rows += [
        {**row, "session_id": f"new{row['session_id']}"}
        for row in weeks((0.25, 0.25), browser="Chrome", browser_version="131", days=((2, 3, 4), ()))
    ]
    with engine_of(tmp_path, rows, until=14 * DAY) as engine:
        frame = reliability(
            engine, where="browser_version = '131' and side = 'client'", compare="browser_version = '130'"
        )
        row = pick(frame, metric="connect_success_rate")
    assert (row.before_denominator, row.after_denominator, row.days_compared) == (180, 180, 3)
    assert row.days_left_out.endswith(": no data after")
    assert (row.verdict, row.before) == ("worse", pytest.approx(0.95))


def test_no_change_is_no_evidence_and_too_little_is_insufficient(tmp_path: Path) -> None:
    with engine_of(tmp_path, weeks((0.1, 0.1)), until=14 * DAY) as engine:
        for metric in (reliability, retries, fallback, close_codes):
            frame = metric(engine, by=["network_type"], week="2026-W48", compare="2026-W47")
            assert set(COLUMNS) < set(frame.columns)
            assert set(frame["verdict"]) <= {"no_evidence_of_change", "insufficient"}
        assert set(VERDICTS) >= set(frame["verdict"])
        assert len(reliability(engine, week="2026-W48", compare="2026-W45")) == 0
    (tmp_path / "few").mkdir()
    with engine_of(tmp_path / "few", weeks((0.0, 0.9), per_day=1), until=14 * DAY) as engine:
        row = pick(reliability(engine, week="2026-W48", compare="2026-W47"), metric="connect_success_rate")
    assert row.verdict == "insufficient"
    assert np.isnan(row.difference) and np.isnan(row.q_value)


def test_a_small_change_is_none_however_sure(tmp_path: Path) -> None:
    """4 % more failures of 70,000 attempts: sure, but below a tenth."""
    from wslog.metrics.compare import contrast
    from wslog.metrics.frames import SUM_COLUMNS

    def sums(failed_share: float) -> pd.DataFrame:
        n = 4_000_000.0
        y = n * (1 - failed_share)
        values = [y if "y" in name else n for name in SUM_COLUMNS[:-1]]
        return pd.DataFrame([[*values, 0.0]], columns=list(SUM_COLUMNS))

    numbers = contrast("share", sums(0.100), sums(0.104))
    assert numbers["p_value"][0] < 1e-9
    from wslog.metrics.compare import _verdict

    row = {name: float(column[0]) for name, column in numbers.items()} | {
        "q_value": 1e-9, "is_share": True, "metric": "connect_success_rate",
    }  # fmt: skip
    assert _verdict(row) == "no_evidence_of_change"
    assert _verdict({**row, "difference": -0.02}) == "worse"


def test_clients_in_both_weeks_make_the_difference_surer(tmp_path: Path) -> None:
    """The same clients fail in both weeks: their difference is known better than two weeks of strangers would allow."""
    rng = np.random.default_rng(5)
    habits = rng.random(60) < 0.3

    def world(is_same: bool) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = []
        for week in (0, 1):
            for client in range(60):
                for k in range(14):
                    s = (7 * week + k / 2) * DAY - 9 * 3600 + client * 60 + 600 * k
                    is_bad = rng.random() < (0.8 if habits[client] else 0.05)
                    event = failed(s, s + 1) if is_bad else opened(s, s + 60, code=1000)
                    name = f"c{client}" if is_same else f"c{client}.{week}"
                    rows += [{"session_id": f"{week}.{client}.{k}", "client_id": name, **e} for e in event]
        return rows

    widths = []
    for name, is_same in (("same", True), ("strangers", False)):
        (tmp_path / name).mkdir()
        with engine_of(tmp_path / name, world(is_same), until=14 * DAY) as engine:
            row = pick(reliability(engine, week="2026-W48", compare="2026-W47"), metric="connect_success_rate")
        widths.append(row.ci_high - row.ci_low)
    assert widths[0] < 0.5 * widths[1]


def test_halves() -> None:
    before, after = parse_halves(["side", "os"], None, None, "2026-W47", "os = 'iOS'", "2026-W46", TABLES, ())
    assert (before.filter, after.by) == (after.filter, ("os",))
    assert before.period != after.period
    before, after = parse_halves(
        "", None, None, None, "os = 'iOS' and browser = 'Safari'", "browser = 'Chrome'", TABLES, ()
    )
    assert before.filter == parse_filter("os = 'iOS' and browser = 'Chrome'", TABLES)
    before, after = parse_halves("", None, None, "2026-W47", None, "iso_week in ('2026-W45', '2026-W46')", TABLES, ())
    assert before.period == Period()
    for bad in ("2026-W99", "", "os", "os = 1"):
        with pytest.raises(UsageError):
            parse_halves("", None, None, "2026-W47", None, bad, TABLES, ())
    with pytest.raises(UsageError, match="needs --week"):
        parse_halves("", None, None, None, None, "2026-W47", TABLES, ())
    with pytest.raises(UsageError, match="grouped by day"):
        parse_halves("day", None, None, "2026-W47", None, "2026-W46", TABLES, ())
    with pytest.raises(UsageError, match="the same"):
        parse_halves("", None, None, "2026-W47", None, "2026-W47", TABLES, ())
