"""Charts of the reconnect policy; frames of :class:`wslog.policy.tuning.Tuning` in, figures out, nothing computed.

The policy in place is always vermillion and square, the recommended one blue and round. What the logs only bound is drawn
as a bar or a band between its two ends and never as a point; where there is too little evidence there is a gap that says so.
"""

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
    BLUE,
    FAINT,
    GREEN,
    INK,
    ORANGE,
    PALE,
    PURPLE,
    QUIET,
    SKY,
    VERMILLION,
    finished,
    new_figure,
    nothing,
    percent_axis,
    seconds_axis,
    style,
)
from wslog.charts.tuning_words import ROLE_WORDS, ROLES, Estimate, Group, estimates, group_rows, groups, in_unit, number
from wslog.charts.words import NBSP, duration, plural, short_count
from wslog.safe_text import chart_label

MAX_PANELS = 6
MAX_POLICIES = 6
MAX_BARS = 24
POLICY_CHARACTERS = 26
FIRST_S = 0.1
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
TICKS_S = (0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0, 300.0, 900.0)

Look = tuple[str, str, Any]
Place = tuple[float, float]
Named = tuple[Place, str, str]
"""Where a policy is, its name and its role."""
Names = tuple[list[Named], list[Place]]
CURRENT: Look = (VERMILLION, "s", "--")
RECOMMENDED: Look = (BLUE, "o", "-")
OTHERS: tuple[Look, ...] = (
    (INK, "^", "-."),
    (GREEN, "D", ":"),
    (PURPLE, "v", (0, (5, 1))),
    (ORANGE, "P", (0, (1, 1))),
)


def looks(frame: pd.DataFrame) -> dict[str, Look]:
    """Return colour, marker and line style of the policies that are told apart in lines, at most :data:`MAX_POLICIES`."""
    roles = _roles(frame)
    order = sorted(roles, key=lambda name: ROLES.index(roles[name]))
    found: dict[str, Look] = {}
    rest = iter(OTHERS)
    for name in order:
        look = {"current": CURRENT, "recommended": RECOMMENDED}.get(roles[name]) or next(rest, None)
        if look is not None and len(found) < MAX_POLICIES:
            found[name] = look
    return found


def _title(group: Group) -> str:
    return chart_label(group.label, 40)


def _panels(count: int, height_in: float) -> tuple[Figure, list[Axes]]:
    columns = min(2, count)
    lines = -(-count // columns)
    figure = new_figure(height_in * lines + 0.45)
    return figure, [figure.add_subplot(lines, columns, place) for place in range(1, count + 1)]


def _more(figure: Figure, frame: pd.DataFrame, by: Sequence[str]) -> None:
    left_out = len(groups(frame, by)) - MAX_PANELS
    if left_out > 0:
        figure.supxlabel(f"{plural(left_out, 'smaller group')}: in the tables", fontsize=7.5, color=QUIET)


def _time_axis(axes: Axes, first_s: float, last_s: float) -> None:
    axes.set_xscale("log")
    axes.set_xlim(first_s, last_s)
    ticks = [tick for tick in TICKS_S if first_s <= tick <= last_s]
    axes.set_xticks(ticks, [_round_s(tick) for tick in ticks])
    axes.minorticks_off()


def _round_s(seconds: float) -> str:
    """Return a tick of a logarithmic axis: ``0.3 s``, ``3 s``, ``5 min``."""
    return f"{seconds:g}{NBSP}s" if seconds < 120 else duration(seconds)


def _roles(frame: pd.DataFrame) -> dict[str, str]:
    return {str(policy): str(role) for policy, role in zip(frame["policy"], frame["role"], strict=True)}


def _named(policy: str, role: str) -> str:
    words = ROLE_WORDS.get(role, "")
    name = chart_label(policy, POLICY_CHARACTERS)
    return f"{name} ({words})" if words and policy != words else name


def _legend(figure: Figure, shown: dict[str, Look], roles: dict[str, str], has_marker: bool = False) -> None:
    handles = [
        Line2D(
            [], [], color=colour, marker=marker if has_marker else "", linestyle=line, label=_named(name, roles[name])
        )
        for name, (colour, marker, line) in shown.items()
    ]
    if handles:
        figure.legend(
            handles=handles,
            frameon=False,
            ncols=min(3, len(handles)),
            loc="outside upper left",
            fontsize=8,
            handlelength=3,
        )


def _floats(frame: pd.DataFrame, name: str) -> np.ndarray[Any, np.dtype[np.float64]]:
    return frame[name].to_numpy(np.float64, na_value=np.nan)


# --- the outages, and when each policy looks ---


def outage_survival(outages: pd.DataFrame, schedules: pd.DataFrame, by: Sequence[str] = ()) -> Figure:
    """Draw how long outages last, and below it when the policies try.

    Parameters
    ----------
    outages : DataFrame
        ``outages`` of a tuning: group columns, ``at_s``, ``not_back_ratio``, ``low``, ``high``.
    schedules : DataFrame
        ``schedules`` of a tuning: group columns, ``policy``, ``role``, ``start_s``, ``start_low_s``, ``start_high_s``.

    Returns
    -------
    Figure
        A panel per group: the share of outages not over yet, on a logarithmic axis of seconds, with its band; a tick per
        attempt of the policies that stand out (a bar where jitter spreads it).
    """
    shown_groups = groups(outages, by)[:MAX_PANELS]
    if not shown_groups:
        return nothing("no outage to draw: too little evidence")
    shown = looks(schedules) if len(schedules) else {}
    shown = dict(list(shown.items())[:3])
    roles = _roles(schedules)
    last = float(outages["at_s"].max())
    with style():
        figure, panels = _panels(len(shown_groups), 2.75)
        for axes, group in zip(panels, shown_groups, strict=True):
            _time_axis(axes, FIRST_S, last)
            axes.set_ylim(-0.085 * len(shown) - 0.04, 1.02)
            axes.set_yticks([0, 0.25, 0.5, 0.75, 1])
            percent_axis(axes)
            _survival(axes, group)
            _attempt_ticks(axes, group_rows(schedules, by, group.key), shown)
        panels[0].set_ylabel("outages that are not over")
        _legend(figure, shown, roles)
        _more(figure, outages, by)
        return finished(figure)


def _survival(axes: Axes, group: Group) -> None:
    part = group.rows
    count = number(part["outage_count"].iloc[0]) if "outage_count" in part.columns else None
    axes.set_title(_title(group) + (f"  (n = {short_count(count)} outages)" if count is not None else ""), fontsize=9)
    at, middle = _floats(part, "at_s"), _floats(part, "not_back_ratio")
    low, high = _floats(part, "low"), _floats(part, "high")
    if not np.isfinite(middle).any() and not np.isfinite(low).any():
        _say(axes, f"too little evidence (n = {short_count(count)})")
        return
    axes.grid(axis="y")
    axes.set_axisbelow(True)
    axes.fill_between(at, low, high, color=SKY, alpha=0.35, linewidth=0)
    axes.plot(at, middle, color=INK, linewidth=1.6)


def _say(axes: Axes, message: str) -> None:
    axes.set_facecolor("#f3f4f6")
    axes.set_xticks([])
    axes.set_yticks([])
    axes.text(0.5, 0.5, message, transform=axes.transAxes, ha="center", va="center", fontsize=8, color=QUIET)


def _attempt_ticks(axes: Axes, plan: pd.DataFrame | None, shown: dict[str, Look]) -> None:
    if shown:
        axes.axhline(0, color=PALE, linewidth=0.8)
    for row, (name, (colour, _, _)) in enumerate(shown.items()):
        place = -0.085 * (row + 0.65)
        mine = plan[plan["policy"] == name] if plan is not None else None
        if mine is None or not len(mine):
            continue
        low, high = _floats(mine, "start_low_s"), _floats(mine, "start_high_s")
        axes.hlines(np.full(len(low), place), np.maximum(low, 1e-3), high, color=colour, linewidth=3.2, alpha=0.3)
        axes.plot(
            _floats(mine, "start_s"), np.full(len(low), place), "|", color=colour, markersize=6.5, markeredgewidth=1.3
        )


# --- downtime against attempts ---


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
    shown_groups = groups(policies, by)[:MAX_PANELS]
    if not shown_groups:
        return nothing("no policy to draw: too little evidence")
    with style():
        figure, panels = _panels(len(shown_groups), 3.5)
        names: list[Names] = []
        for axes, group in zip(panels, shown_groups, strict=True):
            axes.set_title(_title(group), fontsize=9)
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
        _more(figure, policies, by)
        figure.draw_without_rendering()  # places are known only after the layout
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
        count = max((row.outage_count for row in rows), default=0)
        _say(axes, f"too little evidence (n = {short_count(float(count))})")
        return [], []
    axes.grid(True)
    axes.set_axisbelow(True)
    ends: list[tuple[float, float]] = []
    if curve is not None and len(curve):
        x, y = _floats(curve, "attempt_count_mean"), _floats(curve, "downtime_mean_s")
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
        axes.set_yticks(ticks, [_round_s(tick) for tick in ticks])
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


# --- back by time ---


def recovery_by_time(recovery: pd.DataFrame, by: Sequence[str] = ()) -> Figure:
    """Draw the share of outages whose WebSocket is back, by time, for each policy that stands out.

    Parameters
    ----------
    recovery : DataFrame
        ``recovery`` of a tuning: group columns, ``policy``, ``role``, ``at_s``, ``recovered_ratio``, ``low``, ``high``,
        ``status``.

    Returns
    -------
    Figure
        A panel per group. A line with its band; where the logs only bound it, the band alone, hatched.
    """
    shown_groups = groups(recovery, by)[:MAX_PANELS]
    if not shown_groups:
        return nothing("no policy to draw: too little evidence")
    shown = dict(list(looks(recovery).items())[:4])
    roles = _roles(recovery)
    last = float(recovery["at_s"].max())
    with style():
        figure, panels = _panels(len(shown_groups), 2.6)
        for axes, group in zip(panels, shown_groups, strict=True):
            part = group.rows
            axes.set_title(_title(group), fontsize=9)
            axes.set_ylim(0, 1.02)
            axes.set_yticks([0, 0.25, 0.5, 0.75, 1])
            percent_axis(axes)
            _time_axis(axes, FIRST_S, last)
            if not np.isfinite(_floats(part, "low")).any() and not np.isfinite(_floats(part, "recovered_ratio")).any():
                _say(axes, "too little evidence")
                continue
            axes.grid(axis="y")
            axes.set_axisbelow(True)
            for policy, look in shown.items():
                _recovery_line(axes, part[part["policy"] == policy], look)
        panels[0].set_ylabel("WebSocket is back")
        _legend(figure, shown, roles)
        _more(figure, recovery, by)
        return finished(figure)


def _recovery_line(axes: Axes, mine: pd.DataFrame, look: Look) -> None:
    colour, _, line = look
    if not len(mine):
        return
    at, middle = _floats(mine, "at_s"), _floats(mine, "recovered_ratio")
    low, high = _floats(mine, "low"), _floats(mine, "high")
    is_bound = (mine["status"] == "bound").to_numpy()
    axes.fill_between(at, low, high, where=~is_bound, color=colour, alpha=0.13, linewidth=0)
    axes.fill_between(
        at, low, high, where=is_bound, facecolor="none", edgecolor=colour, hatch="////", alpha=0.45, linewidth=0.7
    )
    axes.plot(at, np.where(is_bound, np.nan, middle), color=colour, linestyle=line, linewidth=1.5)


# --- the herd ---


def herd(herds: pd.DataFrame, loads: pd.DataFrame) -> Figure:
    """Draw what a service that dropped everybody would see: attempts per second, the peak and the time to drain.

    Parameters
    ----------
    herds : DataFrame
        ``herds`` of a tuning, one herd: ``policy``, ``role``, ``accept_per_s``, ``peak_per_s`` and ``t95_s`` (inf: not within the
        replay), each with ``_low``, ``_high`` and ``_status``; the value is null where only bounds are known.
    loads : DataFrame
        ``loads`` of a tuning: ``policy``, ``role``, ``at_s``, ``attempts_per_s``.

    Returns
    -------
    Figure
        Load curves of the policies that stand out at the left, peaks and drain times of all at the right, the lowest peak first.
    """
    if not len(herds):
        return nothing("no herd to replay: no moment in these logs at which many clients dropped together")
    with style():
        ordered = herds.assign(order=herds["peak_per_s"].fillna(herds["peak_per_s_high"]))
        ordered = ordered.sort_values("order", kind="stable").head(MAX_BARS)
        figure = new_figure(max(2.9, 1.2 + 0.2 * len(ordered)))
        left, peaks, drains = figure.subplots(1, 3, width_ratios=[2.2, 1.3, 1.0])
        shown = looks(loads) if len(loads) else {}
        _load_curves(left, loads, number(herds["accept_per_s"].iloc[0]), shown)
        _legend(figure, shown, _roles(loads))
        _herd_bars(peaks, ordered, "peak_per_s", "Peak, attempts/s")
        _herd_bars(drains, ordered, "t95_s", "95 % back after", has_names=False)
        return finished(figure)


def _load_curves(axes: Axes, loads: pd.DataFrame, accept_per_s: float | None, shown: dict[str, Look]) -> None:
    axes.set_title("Attempts per second")
    axes.set_xlabel("seconds after everybody was dropped")
    axes.set_yscale("log")
    axes.grid(axis="y")
    axes.set_axisbelow(True)
    top = 1.0
    for name, (colour, _, line) in shown.items():
        mine = loads[loads["policy"] == name]
        rate = _floats(mine, "attempts_per_s")
        top = max(top, float(np.nanmax(rate, initial=1.0)))
        drawn = np.where(rate > 0, rate, np.nan)
        axes.plot(_floats(mine, "at_s"), drawn, color=colour, linestyle=line, linewidth=1.2, drawstyle="steps-post")
    if accept_per_s is not None:
        top = max(top, accept_per_s)
        axes.axhline(accept_per_s, color=QUIET, linewidth=1, linestyle=(0, (2, 2)))
        axes.annotate(
            f"the server accepts {in_unit(accept_per_s, 'count')}/s",
            (1, accept_per_s),
            xycoords=("axes fraction", "data"),
            xytext=(-2, 3),
            textcoords="offset points",
            ha="right",
            fontsize=7,
            color=QUIET,
        )
    axes.set_ylim(max(0.5, top / 1e4), top * 2)
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:,.6g}")
    axes.minorticks_off()


def _herd_bars(axes: Axes, rows: pd.DataFrame, column: str, title: str, has_names: bool = True) -> None:
    words = (lambda value: f"{value:,.0f}") if column == "peak_per_s" else duration
    names = []
    ends = [float(v) for name in (column, f"{column}_high") for v in rows[name] if pd.notna(v) and np.isfinite(v)]
    end = max(ends, default=1.0) * 1.45
    for place, row in enumerate(rows.to_dict("records")):
        names.append(chart_label(str(row["policy"]), POLICY_CHARACTERS))
        low, high = float(row[f"{column}_low"]), float(row[f"{column}_high"])
        is_bound = row[f"{column}_status"] == "bound"
        colour = {"current": CURRENT[0], "recommended": RECOMMENDED[0], "variant": SKY}.get(str(row["role"]), PALE)
        if is_bound:
            # a bar between the bounds, hatched and hollow: no value within is more likely than another
            last = min(high, end)
            axes.barh(
                place,
                last - low,
                left=low,
                height=0.6,
                facecolor="white",
                edgecolor=QUIET if colour == PALE else colour,
                hatch="////",
                linewidth=1,
            )
            said = f"{words(low)} to {words(high) if np.isfinite(high) else 'never'}"
            at = last
        elif not np.isfinite(row[column]):
            axes.text(0, place, " never", va="center", fontsize=7, color=QUIET)
            continue
        else:
            value = float(row[column])
            axes.barh(place, value, height=0.66, color=colour, linewidth=0)
            high = min(high, end)
            reach = [[max(value - low, 0)], [max(high - value, 0)]]
            axes.errorbar([value], [place], xerr=reach, fmt="none", ecolor=INK, elinewidth=0.9, capsize=1.8)
            said, at = words(value), max(value, high)
        inside = at > 0.7 * end
        axes.annotate(
            said,
            (at, place),
            xytext=(-4 if inside else 4, 0),
            textcoords="offset points",
            ha="right" if inside else "left",
            va="center",
            fontsize=7,
            color=INK,
            bbox={"boxstyle": "square,pad=0.1", "facecolor": "white", "edgecolor": "none", "alpha": 0.8}
            if inside
            else None,
            parse_math=False,
        )
    axes.set_yticks(range(len(names)), names if has_names else [""] * len(names), color=INK, fontsize=7)
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.set_xlim(0, end)
    axes.set_title(title)
    axes.grid(axis="x")
    axes.set_axisbelow(True)
    axes.spines["left"].set_visible(False)
    axes.locator_params(axis="x", nbins=3)
    axes.xaxis.set_major_formatter(lambda value, _: words(value))
    axes.axvline(0, color=FAINT, linewidth=0.8)
