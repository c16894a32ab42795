"""Charts of the reconnect policy; frames of :class:`wslog.policy.tuning.Tuning` in, figures out, nothing computed.

The policy in place is always vermillion and square, the recommended one blue and round. What the logs only bound is drawn
as a bar or a band between its two ends and never as a point; where there is too little evidence there is a gap that says so.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from wslog.charts.style import (
    INK,
    PALE,
    SKY,
    finished,
    nothing,
    percent_axis,
    style,
)
from wslog.charts.tuning_frontier import frontier
from wslog.charts.tuning_herd import herd
from wslog.charts.tuning_parts import (
    CURRENT,
    FIRST_S,
    MAX_PANELS,
    RECOMMENDED,
    Look,
    floats,
    legend_of,
    looks,
    panel_groups,
    panel_title,
    panels_of,
    roles_of,
    say_more,
    time_axis,
)
from wslog.charts.tuning_words import Group, group_rows, number
from wslog.charts.words import short_count

__all__ = ["CURRENT", "RECOMMENDED", "frontier", "herd", "looks", "outage_survival", "recovery_by_time"]


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
    known, unknown = panel_groups(outages, by, "not_back_ratio", "low")
    shown_groups = known[:MAX_PANELS]
    if not shown_groups:
        return nothing("no outage to draw: too little evidence")
    shown = looks(schedules) if len(schedules) else {}
    shown = dict(list(shown.items())[:3])
    roles = roles_of(schedules)
    last = float(outages["at_s"].max())
    with style():
        figure, panels = panels_of(len(shown_groups), 2.75)
        for axes, group in zip(panels, shown_groups, strict=True):
            time_axis(axes, FIRST_S, last)
            axes.set_ylim(-0.085 * len(shown) - 0.04, 1.02)
            axes.set_yticks([0, 0.25, 0.5, 0.75, 1])
            percent_axis(axes)
            _survival(axes, group)
            _attempt_ticks(axes, group_rows(schedules, by, group.key), shown)
        panels[0].set_ylabel("outages that are not over")
        legend_of(figure, shown, roles)
        below(panels)
        say_more(figure, known, unknown)
        return finished(figure)


def _survival(axes: Axes, group: Group) -> None:
    part = group.rows
    count = number(part["outage_count"].iloc[0]) if "outage_count" in part.columns else None
    axes.set_title(
        panel_title(group) + (f"  (n = {short_count(count)} outages)" if count is not None else ""), fontsize=9
    )
    at, middle = floats(part, "at_s"), floats(part, "not_back_ratio")
    low, high = floats(part, "low"), floats(part, "high")
    axes.grid(axis="y")
    axes.set_axisbelow(True)
    axes.fill_between(at, low, high, color=SKY, alpha=0.35, linewidth=0)
    axes.plot(at, middle, color=INK, linewidth=1.6)


def below(panels: Sequence[Axes]) -> None:
    """Name the axis of time under the lowest panels."""
    for axes in panels[-2:]:
        axes.set_xlabel("time since the connection was lost")


def _attempt_ticks(axes: Axes, plan: pd.DataFrame | None, shown: dict[str, Look]) -> None:
    if shown:
        axes.axhline(0, color=PALE, linewidth=0.8)
    for row, (name, (colour, _, _)) in enumerate(shown.items()):
        place = -0.085 * (row + 0.65)
        mine = plan[plan["policy"] == name] if plan is not None else None
        if mine is None or not len(mine):
            continue
        low, high = floats(mine, "start_low_s"), floats(mine, "start_high_s")
        axes.hlines(np.full(len(low), place), np.maximum(low, 1e-3), high, color=colour, linewidth=3.2, alpha=0.3)
        axes.plot(
            floats(mine, "start_s"), np.full(len(low), place), "|", color=colour, markersize=6.5, markeredgewidth=1.3
        )


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
    known, unknown = panel_groups(recovery, by, "recovered_ratio", "low")
    shown_groups = known[:MAX_PANELS]
    if not shown_groups:
        return nothing("no policy to draw: too little evidence")
    shown = dict(list(looks(recovery).items())[:4])
    roles = roles_of(recovery)
    last = float(recovery["at_s"].max())
    with style():
        figure, panels = panels_of(len(shown_groups), 2.6)
        for axes, group in zip(panels, shown_groups, strict=True):
            part = group.rows
            axes.set_title(panel_title(group), fontsize=9)
            axes.set_ylim(0, 1.02)
            axes.set_yticks([0, 0.25, 0.5, 0.75, 1])
            percent_axis(axes)
            time_axis(axes, FIRST_S, last)
            axes.grid(axis="y")
            axes.set_axisbelow(True)
            for policy, look in shown.items():
                _recovery_line(axes, part[part["policy"] == policy], look)
        panels[0].set_ylabel("WebSocket is back")
        legend_of(figure, shown, roles)
        below(panels)
        say_more(figure, known, unknown)
        return finished(figure)


def _recovery_line(axes: Axes, mine: pd.DataFrame, look: Look) -> None:
    colour, _, line = look
    if not len(mine):
        return
    at, middle = floats(mine, "at_s"), floats(mine, "recovered_ratio")
    low, high = floats(mine, "low"), floats(mine, "high")
    is_bound = (mine["status"] == "bound").to_numpy()
    axes.fill_between(at, low, high, where=~is_bound, color=colour, alpha=0.13, linewidth=0)
    axes.fill_between(
        at, low, high, where=is_bound, facecolor="none", edgecolor=colour, hatch="////", alpha=0.45, linewidth=0.7
    )
    axes.plot(at, np.where(is_bound, np.nan, middle), color=colour, linestyle=line, linewidth=1.5)
