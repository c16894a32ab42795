"""Downtime against attempts: the best that can be had, and policies on the same axes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from wslog.charts.style import (
    INK,
    QUIET,
    finished,
    nothing,
    seconds_axis,
    style,
)
from wslog.charts.tuning_parts import (
    CURRENT,
    MAX_PANELS,
    POLICY_CHARACTERS,
    RECOMMENDED,
    floats,
    panel_groups,
    panel_title,
    panels_of,
    round_s,
    say_more,
)
from wslog.charts.tuning_words import Estimate, estimates, group_rows
from wslog.charts.words import plural
from wslog.safe_text import chart_label

COUNT_TICKS = (0.1, 0.2, 0.5, 1, 2, 3, 5, 10, 20, 50, 100, 200, 500, 1000)
MEAN_TICKS_S = (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 30, 60, 120, 240, 480, 900)
LABEL_PLACES = (
    (7, 0, "left"),
    (-7, 0, "right"),
    (4, 9, "left"),
    (4, -9, "left"),
    (-4, 9, "right"),
    (-4, -9, "right"),
    (0, 13, "center"),
    (0, -13, "center"),
    (10, 18, "left"),
    (10, -18, "left"),
    (-10, 18, "right"),
    (-10, -18, "right"),
)
"""Where a label may stand beside its point, best first: points right and up, and which side of it is there."""

Place = tuple[float, float]
Named = tuple[Place, str, str]
"""Where a policy is, its name and its role."""
Names = tuple[list[Named], list[Place]]


def frontier(frontier: pd.DataFrame, policies: pd.DataFrame, by: Sequence[str] = ()) -> Figure:
    """Draw mean downtime against attempts per outage: the best that can be had, and the policies on the same axes.

    Parameters
    ----------
    frontier : DataFrame
        ``frontier`` of a tuning: group columns, ``price_s``, ``attempt_count_mean``, ``downtime_mean_s``.
    policies : DataFrame
        ``policies`` of a tuning.

    Returns
    -------
    Figure
        A panel per group with the frontier as a line. The policy in place and the recommended one are points with their
        95 % intervals, or, where the logs only bound them, boxes between their bounds; presets are points.
    """
    known, unknown = panel_groups(policies, by, "value", "bound_low")
    shown_groups = known[:MAX_PANELS]
    if not shown_groups:
        return nothing("no policy to draw: too little evidence")
    with style():
        figure, panels = panels_of(len(shown_groups), 3.5)
        names: list[Names] = []
        for axes, group in zip(panels, shown_groups, strict=True):
            axes.set_title(panel_title(group), fontsize=9)
            names.append(_frontier_panel(axes, group_rows(frontier, by, group.key), estimates(group.rows, by)))
        panels[0].set_ylabel("mean downtime of an outage")
        for axes in panels[-2:]:
            axes.set_xlabel("attempts per outage")
        handles: list[Any] = [
            Line2D([], [], color=INK, linewidth=1.4, label="best possible schedules"),
            Line2D([], [], color=CURRENT[0], marker="s", linestyle="", label="in place now"),
            Line2D([], [], color=RECOMMENDED[0], marker="o", linestyle="", label="recommended"),
            Line2D([], [], color=QUIET, marker="^", linestyle="", markersize=4.5, label="library presets, yours"),
            Patch(facecolor="#eef1f4", edgecolor=QUIET, hatch="////", label="only bounds are known"),
        ]
        figure.legend(handles=handles, frameon=False, ncols=3, loc="outside upper left", fontsize=8)
        say_more(figure, known, unknown)
        figure.draw_without_rendering()  # places are known only after the layout
        figure.set_layout_engine("none")  # and stay: names lie within the panels
        for axes, (placed, line) in zip(panels, names, strict=True):
            _labels(axes, figure.dpi / 72, placed, line)
        return finished(figure)


def _frontier_panel(axes: Axes, curve: pd.DataFrame | None, rows: list[Estimate]) -> Names:
    """Draw one panel and return the points that want a name, and the points of the line that names must not cover."""
    points: dict[str, dict[str, Estimate]] = {}
    for row in rows:
        if row.figure in ("attempt_count_mean", "downtime_mean_s") and row.is_ok:
            points.setdefault(row.policy, {})[row.figure] = row
    whole = {name: both for name, both in points.items() if len(both) == 2}
    if not whole:
        return [], []
    axes.grid(True)
    axes.set_axisbelow(True)
    ends: list[tuple[float, float]] = []
    if curve is not None and len(curve):
        x, y = floats(curve, "attempt_count_mean"), floats(curve, "downtime_mean_s")
        axes.plot(x, y, color=INK, linewidth=1.4, zorder=2)
        ends += [(float(a), float(b)) for a, b in zip(x, y, strict=True) if np.isfinite(a + b)]
    line_count = len(ends)
    spans = {
        name: (both, (*_sides(both["attempt_count_mean"]), *_sides(both["downtime_mean_s"])))
        for name, both in whole.items()
    }
    main = [sides for both, sides in spans.values() if both["downtime_mean_s"].role != "preset"]
    # a policy that hardly tries would squeeze all others into a corner
    far_x = 3 * max([x for x, _ in ends] + [right for _, right, _, _ in main], default=np.inf)
    far_y = 3 * max([y for _, y in ends] + [high for _, _, _, high in main], default=np.inf)
    placed: list[Named] = []
    boxed = outside = 0
    for name, (both, (left, right, low, high)) in spans.items():
        x_at, y_at = both["attempt_count_mean"], both["downtime_mean_s"]
        is_preset, is_box = x_at.role == "preset", x_at.is_bound or y_at.is_bound
        if is_preset and is_box:
            boxed += 1  # a dozen boxes on top of one another say nothing
            continue
        if is_preset and ((x_at.value or 0) > far_x or (y_at.value or 0) > far_y or not x_at.value):
            outside += 1
            continue
        if is_box:
            ends += [(left, low), (right, high)]
            _bound_box(axes, x_at.role, left, right, low, high)
            placed.append(((left, low), name, x_at.role))
        elif x_at.value is not None and y_at.value is not None:
            ends += [(x_at.value, y_at.value)] if is_preset else [(left, low), (right, high)]
            _policy_point(axes, x_at, y_at)
            placed.append(((x_at.value, y_at.value), name, x_at.role))
    _frontier_axes(axes, [x for x, _ in ends], [y for _, y in ends])
    said = [(boxed, "only bounds are known"), (outside, "beyond these axes")]
    words = "; ".join(f"{plural(count, 'preset')}: {why}" for count, why in said if count)
    axes.text(0.99, 0.98, words, transform=axes.transAxes, ha="right", va="top", fontsize=7, color=QUIET)
    return placed, ends[:line_count]


def _sides(found: Estimate) -> tuple[float, float]:
    value = found.value or 0.0
    return found.ends or (value, value)


def _bound_box(axes: Axes, role: str, left: float, right: float, low: float, high: float) -> None:
    colour = {"current": CURRENT[0], "recommended": RECOMMENDED[0]}.get(role, QUIET)
    axes.fill(
        [left, right, right, left],
        [low, low, high, high],
        facecolor="none",
        edgecolor=colour,
        hatch="////",
        linewidth=1.1,
        alpha=0.75,
        zorder=3,
    )


def _policy_point(axes: Axes, x: Estimate, y: Estimate) -> None:
    if x.value is None or y.value is None:
        return
    is_main = x.role in ("current", "recommended")
    colour, marker, _ = {"current": CURRENT, "recommended": RECOMMENDED}.get(x.role, (QUIET, "^", ""))
    if is_main:
        (left, right), (low, high) = _sides(x), _sides(y)
        axes.hlines(y.value, left, right, color=colour, linewidth=1.2, zorder=5)
        axes.vlines(x.value, low, high, color=colour, linewidth=1.2, zorder=5)
    axes.plot(
        [x.value],
        [y.value],
        marker,
        color=colour,
        markersize=7.5 if is_main else 4.5,
        zorder=6 if is_main else 4,
        markeredgecolor="white",
        markeredgewidth=0.6,
    )


def _frontier_axes(axes: Axes, xs: list[float], ys: list[float]) -> None:
    axes.set_xscale("log")
    left, right = max(min(xs) * 0.8, 0.05), max(xs) * 1.35
    axes.set_xlim(left, right)
    axes.set_xticks([tick for tick in COUNT_TICKS if left <= tick <= right])
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    low, high = max(min(ys), 1e-3), max(ys)
    if high > 3 * low:
        axes.set_yscale("log")
        axes.set_ylim(low * 0.8, high * 1.3)
        ticks = [tick for tick in MEAN_TICKS_S if low * 0.8 <= tick <= high * 1.3]
        axes.set_yticks(ticks, [round_s(tick) for tick in ticks])
    else:
        room = 0.15 * max(high - low, 0.05 * high)
        axes.set_ylim(max(0.0, low - room), high + room)
        seconds_axis(axes)
    axes.minorticks_off()


def _labels(axes: Axes, scale: float, placed: Sequence[Named], line: Sequence[Place]) -> None:
    """Write the names beside their points where they fit without touching one another; the tables hold the others."""
    important = {"current": 0, "recommended": 1, "given": 2}
    boxes = [_around(axes, centre, 4 * scale) for centre, _, _ in placed] + [
        _around(axes, at, 1.5 * scale) for at in line
    ]
    area = axes.get_window_extent()
    for centre, name, role in sorted(placed, key=lambda one: (important.get(one[2], 3), one[1])):
        is_main = role in ("current", "recommended")
        words = chart_label(name, POLICY_CHARACTERS)
        x, y = axes.transData.transform(centre)
        width, height = 4.2 * scale * len(words) * (1.3 if is_main else 1.0), 9 * scale
        for dx, dy, align in LABEL_PLACES:
            start = x + dx * scale - {"left": 0.0, "right": width, "center": width / 2}[align]
            box = (start, y + dy * scale - height / 2, start + width, y + dy * scale + height / 2)
            is_inside = box[0] >= area.x0 and box[2] <= area.x1 and box[1] >= area.y0 and box[3] <= area.y1
            if is_inside and not any(_touch(box, other) for other in boxes):
                boxes.append(box)
                axes.annotate(
                    words,
                    centre,
                    xytext=(dx, dy),
                    textcoords="offset points",
                    ha=align,
                    va="center",
                    fontsize=7.5 if is_main else 6.5,
                    fontweight="bold" if is_main else "normal",
                    color={"current": CURRENT[0], "recommended": RECOMMENDED[0]}.get(role, QUIET),
                    bbox={"boxstyle": "square,pad=0.1", "facecolor": "white", "edgecolor": "none", "alpha": 0.75},
                    parse_math=False,
                    zorder=6,
                )
                break


def _around(axes: Axes, at: tuple[float, float], reach: float) -> tuple[float, float, float, float]:
    x, y = axes.transData.transform(at)
    return (x - reach, y - reach, x + reach, y + reach)


def _touch(one: tuple[float, float, float, float], other: tuple[float, float, float, float]) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]
