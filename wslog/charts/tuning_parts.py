"""What the policy charts share: how a policy looks, panels of groups, axes of time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from wslog.charts.style import (
    BLUE,
    GREEN,
    INK,
    ORANGE,
    PURPLE,
    QUIET,
    VERMILLION,
    new_figure,
)
from wslog.charts.tuning_words import ROLE_WORDS, ROLES, Group, groups
from wslog.charts.words import NBSP, duration, plural
from wslog.safe_text import chart_label

MAX_PANELS = 6
MAX_POLICIES = 6
POLICY_CHARACTERS = 26
FIRST_S = 0.1
TICKS_S = (0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0, 300.0, 900.0)

Look = tuple[str, str, Any]
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
    roles = roles_of(frame)
    order = sorted(roles, key=lambda name: ROLES.index(roles[name]))
    found: dict[str, Look] = {}
    rest = iter(OTHERS)
    for name in order:
        look = {"current": CURRENT, "recommended": RECOMMENDED}.get(roles[name]) or next(rest, None)
        if look is not None and len(found) < MAX_POLICIES:
            found[name] = look
    return found


def panel_title(group: Group) -> str:
    return chart_label(group.label, 40)


def panels_of(count: int, height_in: float) -> tuple[Figure, list[Axes]]:
    columns = min(2, count)
    lines = -(-count // columns)
    figure = new_figure(height_in * lines + 0.45)
    return figure, [figure.add_subplot(lines, columns, place) for place in range(1, count + 1)]


def panel_groups(frame: pd.DataFrame, by: Sequence[str], *figures: str) -> tuple[list[Group], list[Group]]:
    """Return the groups that get a panel, and those with no number in any of these columns: a line of words is enough for them."""
    found = groups(frame, by)
    known = [any(np.isfinite(floats(group.rows, name)).any() for name in figures) for group in found]
    return (
        [group for group, is_known in zip(found, known, strict=True) if is_known],
        [group for group, is_known in zip(found, known, strict=True) if not is_known],
    )


def say_more(figure: Figure, shown: Sequence[Group], unknown: Sequence[Group]) -> None:
    """Write below the panels which groups have none."""
    parts = (
        [f"too little evidence for a panel: {', '.join(chart_label(group.label, 24) for group in unknown[:4])}"]
        if unknown
        else []
    )
    parts += [f"{plural(len(shown) - MAX_PANELS, 'smaller group')}: in the tables"] if len(shown) > MAX_PANELS else []
    if parts:
        figure.supxlabel("; ".join(parts), fontsize=7.5, color=QUIET)


def time_axis(axes: Axes, first_s: float, last_s: float) -> None:
    axes.set_xscale("log")
    axes.set_xlim(first_s, last_s)
    ticks = [tick for tick in TICKS_S if first_s <= tick <= last_s]
    axes.set_xticks(ticks, [round_s(tick) for tick in ticks])
    axes.minorticks_off()


def round_s(seconds: float) -> str:
    """Return a tick of a logarithmic axis: ``0.3 s``, ``3 s``, ``5 min``."""
    return f"{seconds:g}{NBSP}s" if seconds < 120 else duration(seconds)


def roles_of(frame: pd.DataFrame) -> dict[str, str]:
    return {str(policy): str(role) for policy, role in zip(frame["policy"], frame["role"], strict=True)}


def named(policy: str, role: str) -> str:
    words = ROLE_WORDS.get(role, "")
    name = chart_label(policy, POLICY_CHARACTERS)
    return f"{name} ({words})" if words and policy != words else name


def legend_of(figure: Figure, shown: dict[str, Look], roles: dict[str, str], has_marker: bool = False) -> None:
    handles = [
        Line2D(
            [], [], color=colour, marker=marker if has_marker else "", linestyle=line, label=named(name, roles[name])
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


def floats(frame: pd.DataFrame, name: str) -> np.ndarray[Any, np.dtype[np.float64]]:
    return frame[name].to_numpy(np.float64, na_value=np.nan)
