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


def say_more(figure: Figure, frame: pd.DataFrame, by: Sequence[str]) -> None:
    left_out = len(groups(frame, by)) - MAX_PANELS
    if left_out > 0:
        figure.supxlabel(f"{plural(left_out, 'smaller group')}: in the tables", fontsize=7.5, color=QUIET)


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


def say(axes: Axes, message: str) -> None:
    axes.set_facecolor("#f3f4f6")
    axes.set_xticks([])
    axes.set_yticks([])
    axes.text(0.5, 0.5, message, transform=axes.transAxes, ha="center", va="center", fontsize=8, color=QUIET)
