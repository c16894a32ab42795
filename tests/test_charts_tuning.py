"""The policy charts draw what the frames say: intervals as bars, bounds as boxes, gaps in words; and no label can break them."""

from __future__ import annotations

import warnings
from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.patches import Polygon
from matplotlib.text import Text

from tests.policy import fake_tuning
from tests.report.fake import HOSTILE
from wslog.charts import tuning as charts
from wslog.charts.style import png_bytes
from wslog.charts.tuning_words import difference_text, estimates, signed_text, span
from wslog.policy.tuning import Tuning

NBSP = "\u00a0"


def drawn(tuning: Tuning) -> dict[str, Callable[[], Figure]]:
    return {
        "outages": lambda: charts.outage_survival(tuning.outages, tuning.schedules, tuning.by),
        "frontier": lambda: charts.frontier(tuning.frontier, tuning.policies, tuning.by),
        "recovery": lambda: charts.recovery_by_time(tuning.recovery, tuning.by),
        "herd": lambda: charts.herd(tuning.herds, tuning.loads),
    }


def texts(figure: Figure) -> list[str]:
    figure.draw_without_rendering()
    return [text.get_text() for text in figure.findobj(Text) if text.get_text()]


def panel(figure: Figure, start: str) -> Axes:
    return next(axes for axes in figure.axes if axes.get_title(loc="left").startswith(start))


def pick(frame: pd.DataFrame, **keys: object) -> pd.Series:
    """The one row with these keys."""
    for name, value in keys.items():
        frame = frame[frame[name] == value]
    assert len(frame) == 1
    return frame.iloc[0]


def test_the_survival_curve_is_the_frame_and_each_attempt_a_tick() -> None:
    tuning = fake_tuning.tuning()
    axes = panel(charts.outage_survival(tuning.outages, tuning.schedules, tuning.by), "cellular")
    mine = tuning.outages[tuning.outages["network_type"] == "cellular"]
    curve = max(axes.get_lines(), key=lambda line: len(line.get_xdata()))
    assert np.array_equal(curve.get_ydata(), mine["not_back_ratio"].to_numpy(float))
    ticks = [line for line in axes.get_lines() if line.get_marker() == "|"]
    current = fake_tuning.STARTS["linear-3"][1]
    assert list(ticks[0].get_xdata()) == current
    assert axes.get_title(loc="left") == "cellular  (n = 1.4k outages)"


def test_too_little_evidence_is_words_and_no_empty_panel() -> None:
    tuning = fake_tuning.tuning()
    for name in ("outages", "frontier", "recovery"):
        figure = drawn(tuning)[name]()
        assert len(figure.axes) == len(fake_tuning.GROUPS)
        assert "too little evidence for a panel: vpn" in {text.get_text() for text in figure.findobj(Text)}, name


def test_an_identified_point_has_its_interval() -> None:
    tuning = fake_tuning.tuning("L3")
    axes = panel(charts.frontier(tuning.frontier, tuning.policies, tuning.by), "ethernet")
    row = pick(tuning.policies, network_type="ethernet", policy="linear-3", figure="downtime_mean_s")
    bars = [c for c in axes.collections if isinstance(c, LineCollection)]
    ends = [(float(s[0][1]), float(s[1][1])) for bar in bars for s in bar.get_segments()]
    assert any(np.allclose(end, (row["ci_low"], row["ci_high"]), rtol=1e-12) for end in ends)  # drawn, not computed
    assert not [patch for patch in axes.patches if isinstance(patch, Polygon)]


def test_a_bound_is_a_box_between_its_ends_and_no_point() -> None:
    tuning = fake_tuning.tuning("L0")
    axes = panel(charts.frontier(tuning.frontier, tuning.policies, tuning.by), "cellular")
    rows = tuning.policies[tuning.policies["network_type"] == "cellular"]
    x = pick(rows, policy="recommended", figure="attempt_count_mean")
    y = pick(rows, policy="recommended", figure="downtime_mean_s")
    boxes = [np.asarray(patch.get_xy()) for patch in axes.patches if isinstance(patch, Polygon)]
    expected = (x["bound_low"], y["bound_low"], x["bound_high"], y["bound_high"])
    assert any(np.allclose((*box.min(axis=0), *box.max(axis=0)), expected) for box in boxes)
    assert len(boxes) == 2  # the recommended policy and the caller's own; presets are counted in words
    assert any("7 presets: only bounds are known" in text.get_text() for text in axes.texts)
    # one point is left: the policy in place, which the logs show
    assert [line.get_marker() for line in axes.get_lines() if len(line.get_xdata()) == 1] == ["s"]


def test_where_the_curve_is_only_bounded_there_is_no_line() -> None:
    tuning = fake_tuning.tuning("L0")
    axes = panel(charts.recovery_by_time(tuning.recovery, tuning.by), "wifi")
    lines = {line.get_color(): line for line in axes.get_lines()}
    bounded = lines[charts.RECOMMENDED[0]]
    late = np.asarray(bounded.get_xdata(), float) > 6.0
    assert np.isnan(np.asarray(bounded.get_ydata(), float)[late]).all()
    assert not np.isnan(np.asarray(bounded.get_ydata(), float)[~late]).any()
    assert not np.isnan(np.asarray(lines[charts.CURRENT[0]].get_ydata(), float)).any()


def test_a_policy_that_never_drains_says_so() -> None:
    tuning = fake_tuning.tuning()
    figure = charts.herd(tuning.herds, tuning.loads)
    assert " never" in texts(figure)
    assert "the server accepts 1,500/s" in texts(figure)
    assert any(text.endswith(" to never") for text in texts(figure))
    hollow = [patch for patch in figure.axes[1].patches if patch.get_hatch()]
    row = pick(tuning.herds, policy="grpc")
    assert [(p.get_x(), p.get_x() + p.get_width()) for p in hollow] == [
        (row["peak_per_s_low"], pytest.approx(row["peak_per_s_high"]))
    ]
    lines = figure.axes[0].get_lines()
    assert len({(line.get_color(), line.get_linestyle()) for line in lines}) == len(lines)


@pytest.mark.parametrize("name", ["outages", "frontier", "recovery", "herd"])
def test_no_rows_and_no_groups_are_valid_charts(name: str) -> None:
    whole = fake_tuning.tuning(small=False)
    frames = {key: getattr(whole, key) for key in ("outages", "policies", "schedules", "frontier", "recovery")}
    one = {key: frame[frame["network_type"] == "wifi"].drop(columns="network_type") for key, frame in frames.items()}
    ungrouped = Tuning(**{**vars(whole), "by": (), **one})
    assert png_bytes(drawn(ungrouped)[name]()).startswith(b"\x89PNG")
    empty = {key: frame.iloc[:0] for key, frame in frames.items()}
    nothing = Tuning(**{**vars(whole), **empty, "herds": whole.herds.iloc[:0], "loads": whole.loads.iloc[:0]})
    assert len(texts(drawn(nothing)[name]())) == 1


def test_no_label_breaks_a_chart() -> None:
    places = [*fake_tuning.STARTS, *fake_tuning.GROUPS]
    names = dict(zip(places, (*HOSTILE, "_y"), strict=True))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        figures = [draw() for draw in drawn(fake_tuning.tuning(names=names, small=False)).values()]
        for figure in figures:
            assert png_bytes(figure).startswith(b"\x89PNG")
    for figure in figures:
        for text in figure.findobj(Text):
            assert not text.get_parse_math()
            assert len(text.get_text()) <= 130
            assert text.get_text().replace("\n", "").replace(NBSP, "").isprintable()


def test_figures_in_words() -> None:
    rows = {row.figure: row for row in estimates(fake_tuning.tuning("L0").gains, ("network_type",))[:8]}
    assert rows["downtime_mean_s"].is_bound
    assert "less to" in difference_text(rows["downtime_mean_s"])[0]
    assert not rows["downtime_p50_s"].is_bound
    assert signed_text(rows["downtime_p50_s"])[0] == f"-1.2{NBSP}s"
    assert difference_text(rows["downtime_p50_s"])[0] == f"1.2{NBSP}s less"
    assert span(3.1, 3.6, "seconds") == f"3.1 to 3.6{NBSP}s"
    assert span(0.5, 0.55, "share") == f"50.0 to 55.0{NBSP}%"
    assert span(50.0, 200.0, "seconds") == f"50{NBSP}s to 3{NBSP}min{NBSP}20{NBSP}s"
    assert span(2.5, 11.6, "count") == "2.50 to 11.6"
