"""Charts over the weeks: a line per metric, the week of the report standing out."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from wslog.charts.style import BLUE, QUIET, VERMILLION, finished, gap, interval, new_figure, nothing, style, value_axis
from wslog.charts.words import (
    METRICS,
    Row,
    group_columns,
    group_name,
    in_words,
    one_side,
    refuse_groups,
    short_count,
    too_little,
)

WEEKLY = ("connect_success_rate", "drops_per_connected_hour", "downtime_s_per_connected_hour", "fallback_session_rate")
MAX_PANELS = 9


def _week_number(week: str) -> int:
    """Place of an ISO week on a time axis, so that missing weeks leave room."""
    return date.fromisocalendar(int(week[:4]), int(week[6:8]), 1).toordinal() // 7


def _week_name(number: int) -> str:
    return f"W{date.fromordinal(number * 7 + 1).isocalendar().week:02}"


def _weekly_axes(
    axes: Axes, series: Sequence[Row], metric: str, week: str | None, title: str = "", room: float = 1.4
) -> None:
    """Draw one metric over the weeks; the week of the report stands out."""
    kind = METRICS[metric].kind
    dated = sorted((row for row in series if row.keys.get("iso_week")), key=lambda row: str(row.keys["iso_week"]))
    places = [_week_number(str(row.keys["iso_week"])) for row in dated]
    first, last = places[0], max(places[-1], _week_number(week) if week else 0)
    line = dict.fromkeys(range(first, last + 1), float("nan"))
    for place, row in zip(places, dated, strict=True):
        is_focus = row.keys["iso_week"] == week
        if row.value is None or not row.is_ok:
            gap(axes, place, too_little(row))
            continue
        line[place] = row.value
        colour = BLUE if is_focus else QUIET
        axes.errorbar(
            [place],
            [row.value],
            yerr=interval(row),
            fmt="D" if is_focus else "o",
            color=colour,
            markersize=6 if is_focus else 4,
            elinewidth=1.6 if is_focus else 1.0,
            capsize=2.5,
            zorder=3,
        )
        if is_focus:
            _beside(axes, place, row.value, in_words(row.value, kind), is_last=place == last and last > first)
    axes.plot(list(line), list(line.values()), color=QUIET, linewidth=1.2, zorder=2)
    for place in sorted(set(line) - set(places)):
        gap(axes, place, "no data")
    counts = {place: short_count(row.denominator) for place, row in zip(places, dated, strict=True)}
    axes.set_xticks(list(line), [f"{_week_name(place)}\n{counts.get(place, '0')}" for place in line])
    axes.set_xlim(first - 0.6, last + (room if last > first else 0.6))
    axes.set_xlabel(f"ISO week, and below it n = {METRICS[metric].counted}", fontsize=7)
    axes.set_title(title or _axis_title(metric))
    axes.grid(axis="y")
    axes.set_axisbelow(True)
    value_axis(axes, kind)
    _limits(axes, dated, kind)


def _beside(axes: Axes, x: float, y: float, text: str, is_last: bool) -> None:
    axes.annotate(
        text,
        (x, y),
        xytext=(7, 0) if is_last else (0, 9),
        textcoords="offset points",
        ha="left" if is_last else "center",
        va="center" if is_last else "bottom",
        color=BLUE,
        fontsize=8.5,
        fontweight="bold",
        parse_math=False,
        annotation_clip=False,
    )


def _axis_title(metric: str) -> str:
    return METRICS[metric].title + {"s_per_hour": " (s/h)", "per_hour": " (1/h)"}.get(METRICS[metric].kind, "")


def _limits(axes: Axes, series: Sequence[Row], kind: str) -> None:
    """Fit the intervals; a share never leaves 0 to 1, and amounts start at 0 so that twice as high means twice as "
    "much."""
    ends = [end for row in series if row.is_ok for end in (row.value, row.low, row.high) if end is not None]
    if not ends:
        axes.set_ylim(0, 1)
        axes.set_yticks([])
        return
    low, high = min(ends), max(ends)
    room = (high - low) * 0.12 or abs(high) * 0.1 or 0.01
    if kind == "share":
        axes.set_ylim(
            max(low - room, -0.004) if low > 0.5 else -room * 0.3, high + room if high < 1 else 1 + room * 0.3
        )
        ticks = [tick for tick in axes.get_yticks() if axes.get_ylim()[0] <= tick <= min(1.0, axes.get_ylim()[1])]
        axes.set_yticks([tick for tick in ticks if tick >= 0])
    else:
        axes.set_ylim(0, high + room)


def weekly_panels(frame: pd.DataFrame, metrics: Sequence[str], week: str | None) -> Figure:
    series = {metric: one_side(frame, metric) for metric in metrics}
    drawn = [metric for metric in metrics if any(row.keys.get("iso_week") for row in series[metric])]
    if not drawn:
        return nothing("no week with data")
    weeks = sorted(
        {str(row.keys["iso_week"]) for metric in drawn for row in series[metric] if row.keys.get("iso_week")}
    )
    for metric in drawn:
        refuse_groups(frame, [row.keys.get("iso_week") for row in series[metric]])
    with style():
        columns = min(2, len(drawn))
        lines = -(-len(drawn) // columns)
        figure = new_figure(2.55 * lines)
        for place, metric in enumerate(drawn, start=1):
            _weekly_axes(figure.add_subplot(lines, columns, place), series[metric], metric, week or weeks[-1])
        return finished(figure)


def weekly_reliability(frame: pd.DataFrame, week: str | None = None) -> Figure:
    """Draw the reliability of the weeks, one panel per metric.

    Parameters
    ----------
    frame : DataFrame
        A ``reliability()`` frame of one side without groups.
    week : str, optional
        The week that stands out; default the last.

    Returns
    -------
    Figure
        A panel for each of :data:`WEEKLY` that the frame holds.
    """
    return weekly_panels(frame, WEEKLY, week)


def downtime(frame: pd.DataFrame, week: str | None = None) -> Figure:
    """Draw downtime by week from a ``reliability()`` frame: the median of an outage, and seconds per connected hour."""
    return weekly_panels(frame, ("downtime_p50_s", "downtime_s_per_connected_hour"), week)


def drops_per_hour(frame: pd.DataFrame, week: str | None = None) -> Figure:
    """Draw drops per connected hour by week, one small panel per group on a common scale.

    Parameters
    ----------
    frame : DataFrame
        A ``reliability(by=...)`` frame of one side. The groups with most connected hours are drawn, up to nine.
    week : str, optional
        The week that stands out; default the last.
    """
    return group_panels(frame, "drops_per_connected_hour", week)


def budget_burn(frame: pd.DataFrame, week: str | None = None) -> Figure:
    """Draw how fast the error budget was spent by week, one small panel per group; above the line at 1 it does not last.

    Parameters
    ----------
    frame : DataFrame
        A :func:`wslog.metrics.slo.weekly_burn` frame of one side. The groups with most attempts are drawn, up to nine.
    week : str, optional
        The week that stands out; default the last.
    """
    return group_panels(frame, "burn_rate", week, mark=1.0)


def group_panels(frame: pd.DataFrame, metric: str, week: str | None, mark: float | None = None) -> Figure:
    """Draw one metric by week, a panel per group on a common scale; a horizontal line at ``mark``."""
    names = group_columns(frame)
    groups: dict[str, list[Row]] = {}
    for row in one_side(frame, metric):
        if row.keys.get("iso_week"):
            groups.setdefault(group_name(row, names, 30), []).append(row)
    if not groups:
        return nothing("no week with data")
    size = {name: sum(row.denominator or 0.0 for row in group) for name, group in groups.items()}
    shown = sorted(groups, key=lambda name: (-size[name], name))[:MAX_PANELS]
    last = max(str(row.keys["iso_week"]) for name in shown for row in groups[name])
    with style():
        columns = len(shown) if len(shown) < 3 else 2 if len(shown) == 4 else 3
        lines = -(-len(shown) // columns)
        figure = new_figure(2.3 * lines + 0.3)
        figure.suptitle(_axis_title(metric), x=0.008, ha="left", fontsize=9.5, fontweight="bold")
        common: Axes | None = None
        for place, name in enumerate(shown, start=1):
            axes = figure.add_subplot(lines, columns, place, sharey=common)
            _weekly_axes(
                axes, groups[name], metric, week or last, name if names else "", room=2.6 if columns == 3 else 1.4
            )
            axes.tick_params(axis="x", labelsize=6.0 if columns == 3 else 7.5)
            if mark is not None:
                axes.axhline(mark, color=VERMILLION, linewidth=1.0, linestyle="--", zorder=1)
            common = common or axes
        if common is not None:
            _limits(common, [row for name in shown for row in groups[name]], METRICS[metric].kind)
        if len(groups) > len(shown):
            figure.supxlabel(f"{len(groups) - len(shown)} smaller groups are not drawn", fontsize=7.5, color=QUIET)
        return finished(figure)
