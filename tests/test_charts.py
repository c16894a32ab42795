"""Charts draw what the frames say: intervals, counts, gaps; and no label can break them."""

from __future__ import annotations

import warnings
from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.text import Text

from tests.report import fake
from wslog import charts
from wslog.charts.style import SERIES
from wslog.charts.words import between, count, duration, in_words, percent, short_count
from wslog.errors import UsageError

NBSP = "\u00a0"


def texts(figure: Figure) -> list[str]:
    figure.draw_without_rendering()
    return [text.get_text() for text in figure.findobj(Text) if text.get_text()]


def panel(figure: Figure, title: str) -> Axes:
    return next(axes for axes in figure.axes if axes.get_title(loc="left") == title)


def intervals(axes: Axes) -> list[tuple[float, float]]:
    """Ends of the error bars of an axes, lowest first."""
    bars = [c for c in axes.collections if isinstance(c, LineCollection)]
    return sorted((float(s[0][1]), float(s[1][1])) for bar in bars for s in bar.get_segments())


def all_figures() -> dict[str, Callable[[], Figure]]:
    grouped = pd.concat([fake.retries(900, group={"os": "a"}), fake.retries(300, group={"os": None})])
    drops = pd.concat([fake.reliability(browser=name) for name in ("Firefox", "Chrome", "Safari", "Edge", "x")])
    return {
        "weekly": lambda: charts.weekly_reliability(fake.reliability()),
        "downtime": lambda: charts.downtime(fake.reliability()),
        "drops": lambda: charts.drops_per_hour(drops),
        "codes": lambda: charts.close_code_shares(fake.close_codes(9_000), fake.close_codes(80_000)),
        "retries": lambda: charts.retry_success(fake.retries()),
        "retries by os": lambda: charts.retry_success(grouped),
        "fallback": lambda: charts.fallback_by_group(fake.fallback(("network_type",))),
        "recovery": lambda: charts.time_to_recover(fake.retries(weeks=fake.WEEKS)),
        "recovery in all": lambda: charts.time_to_recover(fake.retries()),
    }


def test_a_week_below_the_floor_is_a_gap_in_words_and_never_zero() -> None:
    figure = charts.weekly_reliability(fake.reliability())
    axes = panel(figure, "Connect success")
    assert f"too little evidence (n = {short_count(11)})" in texts(figure)
    line = max(axes.get_lines(), key=lambda one: len(one.get_xdata()))
    values = np.asarray(line.get_ydata(), dtype=float)
    assert np.isnan(values[2])
    assert np.nanmin(values) > 0.9
    assert len(intervals(axes)) == len(fake.WEEKS) - 1


def test_every_week_shows_its_interval_and_its_n() -> None:
    frame = fake.reliability()
    figure = charts.weekly_reliability(frame)
    rows = frame[(frame["metric"] == "connect_success_rate") & (frame["state"] == "ok")]
    expected = sorted(zip(rows["ci_low"], rows["ci_high"], strict=True))
    assert np.allclose(intervals(panel(figure, "Connect success")), expected, rtol=1e-12)  # drawn, not computed
    assert "W47\n25.6k" in texts(figure)
    assert any("n = attempts" in text for text in texts(figure))


def test_weeks_without_a_row_leave_room_and_say_so() -> None:
    frame = fake.reliability(weeks=("2026-W40", "2026-W43"))
    figure = charts.weekly_reliability(frame, "2026-W44")
    assert texts(figure).count("no data") == 3 * len(figure.axes)  # W41, W42, and the asked week W44
    assert "W44\n0" in texts(figure)


def test_a_year_has_53_weeks_when_it_has() -> None:
    figure = charts.weekly_reliability(fake.reliability(weeks=("2026-W52", "2026-W53", "2027-W01")))
    assert "no data" not in texts(figure)
    labels = figure.axes[0].get_xticklabels()
    assert [label.get_text()[:3] for label in labels] == ["W52", "W53", "W01"]


def test_close_codes_stand_beside_the_weeks_before_and_unknown_ones_apart() -> None:
    figure = charts.close_code_shares(fake.close_codes(9_000), fake.close_codes(80_000))
    labels = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    assert labels[0] == "1000 normal"
    assert labels[2] == "1006 no close frame (inferred by the endpoint)"
    assert "1000 normal (invented by a library)" in labels
    assert "1008 policy violation (rewritten by a library)" in labels
    assert labels[-1] == "no code (the log has none)"
    bars = [patch for patch in figure.axes[0].patches if isinstance(patch, Rectangle)]
    assert len(bars) == 2 * len(labels)
    assert {bar.get_hatch() for bar in bars} == {"", "....", "////", "\\\\\\\\", "xxxx"}
    assert f"41.0{NBSP}%  (3.7k)" in texts(figure)


def test_rare_close_codes_are_counted_not_drawn() -> None:
    base = fake.close_codes(9_000).iloc[0].to_dict()
    frame = pd.DataFrame([{**base, "close_code": code, "close_code_source": "wire"} for code in range(4000, 4030)])
    figure = charts.close_code_shares(frame)
    assert len(figure.axes[0].get_yticklabels()) == 12
    assert any("18 rarer codes" in text for text in texts(figure))


def test_fallback_groups_name_their_counts_and_missing_evidence() -> None:
    found = texts(charts.fallback_by_group(fake.fallback(("network_type",))))
    assert {"31 of 4.1k", "not logged", " too little evidence (n = 6)"} <= set(found)


def test_series_differ_without_colour() -> None:
    assert len({marker for _, marker, _ in SERIES}) == len({line for *_, line in SERIES}) == len(SERIES)
    grey = sorted(sum(to_rgb(colour)) for colour in ("#0072B2", "#c3cad1"))
    assert grey[1] - grey[0] > 0.5  # this week and the weeks before, printed in grey


def test_sides_are_never_mixed() -> None:
    with pytest.raises(UsageError, match="client, proxy"):
        charts.weekly_reliability(pd.concat([fake.reliability(), fake.reliability("proxy")]))


@pytest.mark.parametrize("draw", [charts.weekly_reliability, charts.close_code_shares, charts.time_to_recover])
def test_groups_that_have_no_room_are_refused(draw: Callable[[pd.DataFrame], Figure]) -> None:
    frames = {
        "weekly_reliability": [fake.reliability(os="a"), fake.reliability(os="b")],
        "close_code_shares": [fake.close_codes(), fake.close_codes(5_000)],
        "time_to_recover": [fake.retries(weeks=fake.WEEKS, group={"os": name}) for name in "ab"],
    }
    with pytest.raises(UsageError, match="choose one group"):
        draw(pd.concat(frames[draw.__name__]))


@pytest.mark.parametrize("name", all_figures())
def test_the_same_frame_gives_the_same_bytes(name: str) -> None:
    draw = all_figures()[name]
    first = charts.png_bytes(draw())
    assert first == charts.png_bytes(draw())
    assert b"Software" not in first
    assert b"tIME" not in first


@pytest.mark.parametrize("name", all_figures())
def test_one_row_or_none_is_a_valid_chart(name: str) -> None:
    frames = {
        "weekly": (charts.weekly_reliability, fake.reliability()),
        "downtime": (charts.downtime, fake.reliability()),
        "drops": (charts.drops_per_hour, fake.reliability()),
        "codes": (charts.close_code_shares, fake.close_codes()),
        "retries": (charts.retry_success, fake.retries()),
        "retries by os": (charts.retry_success, fake.retries(group={"os": "a"})),
        "fallback": (charts.fallback_by_group, fake.fallback(("os",))),
        "recovery": (charts.time_to_recover, fake.retries(weeks=fake.WEEKS)),
        "recovery in all": (charts.time_to_recover, fake.retries()),
    }
    draw, frame = frames[name]
    for size in (0, 1):
        assert charts.png_bytes(draw(frame.iloc[:size])).startswith(b"\x89PNG")
    nothing = frame.assign(value=np.nan, ci_low=np.nan, ci_high=np.nan, state="insufficient")
    assert any(
        text.startswith("too little evidence") or text.strip().startswith("too little") for text in texts(draw(nothing))
    )


@pytest.mark.parametrize("hostile", fake.HOSTILE, ids=range(len(fake.HOSTILE)))
def test_fault_089_090_no_label_breaks_a_chart(hostile: str) -> None:
    groups = ((hostile, 3, 100), ("_y", 4, 100))
    retries = pd.concat([fake.retries(n, group={"path": p}) for n, p in ((400, hostile), (300, "_y"))])
    drops = pd.concat([fake.reliability(path=name).astype(object) for name in (hostile, "_y")])
    codes = fake.close_codes().astype(object)
    codes.loc[1, "close_code_source"] = hostile
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        figures = [
            charts.fallback_by_group(fake.fallback(("path",), groups)),
            charts.retry_success(retries),
            charts.drops_per_hour(drops),
            charts.close_code_shares(codes),
        ]
        for figure in figures:
            assert charts.png_bytes(figure).startswith(b"\x89PNG")
    for figure in figures:
        for text in figure.findobj(Text):
            assert not text.get_parse_math()
            assert len(text.get_text()) <= 130
            assert text.get_text().replace("\n", "").replace(NBSP, "").isprintable()
    assert figures[1].axes[0].get_legend_handles_labels()[1][0] not in ("", "_y")
    assert len(figures[1].axes[0].get_legend_handles_labels()[1]) == 2


def test_charts_leave_matplotlib_as_they_found_it() -> None:
    import matplotlib

    before = dict(matplotlib.rcParams)
    charts.png_bytes(charts.retry_success(fake.retries()))
    assert dict(matplotlib.rcParams) == before


@pytest.mark.parametrize(
    ("shown", "expected"),
    [
        (percent(0), f"0{NBSP}%"),
        (percent(0.00001), f"<{NBSP}0.01{NBSP}%"),
        (percent(0.999999), f">{NBSP}99.99{NBSP}%"),
        (percent(0.99321), f"99.32{NBSP}%"),
        (percent(0.5), f"50.0{NBSP}%"),
        (duration(0.4), f"0.4{NBSP}s"),
        (duration(119.4), f"119{NBSP}s"),
        (duration(200), f"3{NBSP}min{NBSP}20{NBSP}s"),
        (duration(7500), f"2{NBSP}h{NBSP}5{NBSP}min"),
        (in_words(0.31, "per_hour"), f"0.310{NBSP}/h"),
        (in_words(0.0, "per_hour"), f"0{NBSP}/h"),
        (between(0.963, 0.967, "share"), f"96.3 to 96.7{NBSP}%"),
        (between(50, 200, "seconds"), f"50{NBSP}s to 3{NBSP}min{NBSP}20{NBSP}s"),
        (count(1234.0), "1,234"),
        (count(1.25), "1.2"),
        (short_count(999_900), "1.0M"),
        (short_count(12_340), "12.3k"),
    ],
)
def test_numbers_in_words(shown: str, expected: str) -> None:
    assert shown == expected
