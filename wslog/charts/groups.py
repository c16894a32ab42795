"""Charts of one period: a point per retry, a line per group."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from wslog.charts.style import (
    BLUE,
    INK,
    QUIET,
    SERIES,
    finished,
    gap,
    interval,
    new_figure,
    nothing,
    percent_axis,
    style,
    value_axis,
)
from wslog.charts.weekly import weekly_panels
from wslog.charts.words import (
    METRICS,
    Row,
    group_columns,
    group_name,
    in_words,
    one_side,
    percent,
    short_count,
    too_little,
)
from wslog.safe_text import chart_label

MAX_GROUPS = 24
MAX_SERIES = len(SERIES)


def retry_success(frame: pd.DataFrame) -> Figure:
    """Draw the chance that the k-th retry of an outage opens.

    Parameters
    ----------
    frame : DataFrame
        A ``retries()`` frame of one side; up to six groups are drawn, those with most outages.

    Returns
    -------
    Figure
        One point with its interval per retry number and group; n, the outages that made the attempt, below.
    """
    names = group_columns(frame)
    groups: dict[str, list[Row]] = {}
    for row in one_side(frame, "retry_success"):
        if row.keys.get("retry_number") is not None:
            groups.setdefault(group_name(row, names, 30), []).append(row)
    if not groups:
        return nothing("no outage made a retry")
    size = {name: max(row.denominator or 0.0 for row in group) for name, group in groups.items()}
    shown = sorted(groups, key=lambda name: (-size[name], name))[:MAX_SERIES]
    with style():
        figure = new_figure(2.9 + (0.16 * len(shown) if len(shown) > 1 else 0.0))
        axes = figure.add_subplot()
        for place, name in enumerate(shown):
            _retry_series(
                axes, sorted(groups[name], key=lambda row: int(row.keys["retry_number"])), place, len(shown), name
            )
        numbers = sorted({int(row.keys["retry_number"]) for name in shown for row in groups[name]})
        axes.set_xticks(numbers, [_retry_tick(number, [groups[name] for name in shown]) for number in numbers])
        axes.set_xlim(numbers[0] - 0.6, numbers[-1] + 0.6)
        axes.set_ylim(0, 1.09)
        axes.set_yticks([0, 0.25, 0.5, 0.75, 1])
        axes.grid(axis="y")
        percent_axis(axes)
        axes.set_xlabel("retry of the outage, and below it n = outages that made it")
        axes.set_title("Share of k-th retries that opened")
        if len(shown) > 1:
            axes.legend(frameon=False, fontsize=8, loc="upper left", bbox_to_anchor=(1.0, 1.0), handlelength=3)
        return finished(figure)


def _retry_tick(number: int, groups: Sequence[Sequence[Row]]) -> str:
    found = [row.denominator for group in groups for row in group if int(row.keys["retry_number"]) == number]
    return f"{number}\n" + " / ".join(short_count(value) for value in found)


def _retry_series(axes: Axes, series: Sequence[Row], place: int, total: int, name: str) -> None:
    colour, marker, line = SERIES[place]
    shift = (place - (total - 1) / 2) * 0.09
    axes.plot(
        [int(row.keys["retry_number"]) + shift for row in series],
        [row.value if row.is_ok and row.value is not None else float("nan") for row in series],
        color=colour,
        marker=marker,
        linestyle=line,
        linewidth=1.2,
        markersize=5,
        label=chart_label(name, 30),
    )
    for row in series:
        x = int(row.keys["retry_number"]) + shift
        if row.value is None or not row.is_ok:
            gap(axes, x, too_little(row), half_width=0.09 if total == 1 else 0.045)
            continue
        axes.errorbar([x], [row.value], yerr=interval(row), fmt="none", ecolor=colour, elinewidth=1.2, capsize=2.5)
        if total == 1:
            axes.annotate(
                percent(row.value),
                (x, row.value if row.high is None else row.high),
                xytext=(0, 4),
                textcoords="offset points",
                ha="center",
                va="bottom",
                fontsize=8.5,
                color=INK,
                fontweight="bold",
                parse_math=False,
            )


def _dots(series: Sequence[Row], metric: str, label: Callable[[Row], str], title: str) -> Figure:
    """Draw one line of the chart per row: dot, interval, value and counts."""
    shown = list(series)[:MAX_GROUPS]
    kind = METRICS[metric].kind
    with style():
        figure = new_figure(0.85 + 0.3 * len(shown))
        axes = figure.add_subplot()
        ends = [row.high if row.high is not None else row.value for row in shown if row.is_ok]
        end = max((value for value in ends if value is not None), default=0.0) or 1.0
        for place, row in enumerate(shown):
            if row.value is None or not row.is_ok:
                axes.text(0, place, f" {too_little(row)}", va="center", fontsize=7.5, color=QUIET)
                continue
            axes.errorbar(
                [row.value], [place], xerr=interval(row), fmt="o", color=BLUE, markersize=6, elinewidth=1.6, capsize=3
            )
            counts = f"{short_count(row.numerator)} of {short_count(row.denominator)}"
            for words, shift, align in ((in_words(row.value, kind), 48, "right"), (counts, 56, "left")):
                axes.annotate(
                    words,
                    (1, place),
                    xycoords=("axes fraction", "data"),
                    xytext=(shift, 0),
                    textcoords="offset points",
                    ha=align,
                    va="center",
                    fontsize=8,
                    color=INK if align == "right" else QUIET,
                    parse_math=False,
                    annotation_clip=False,
                )
        axes.set_yticks(range(len(shown)), [label(row) for row in shown], color=INK, fontsize=8.5)
        axes.set_ylim(len(shown) - 0.4, -0.6)
        axes.set_xlim(0, end * 1.06)
        axes.grid(axis="x")
        axes.set_axisbelow(True)
        axes.spines["left"].set_visible(False)
        value_axis(axes, kind, "x")
        if len(series) > len(shown):
            axes.set_xlabel(f"{len(series) - len(shown)} smaller groups are in the table")
        axes.set_title(title)
        return finished(figure)


def fallback_by_group(frame: pd.DataFrame, metric: str = "fallback_session_rate") -> Figure:
    """Draw the fallback rate of each group, the largest group first.

    Parameters
    ----------
    frame : DataFrame
        A ``fallback(by=...)`` frame of one side.
    metric : str
        ``fallback_session_rate`` or ``fallback_episode_rate``.
    """
    names = group_columns(frame)
    series = sorted(one_side(frame, metric), key=lambda row: (-(row.denominator or 0.0), group_name(row, names)))
    if not series:
        return nothing("no client session in these logs")
    return _dots(series, metric, lambda row: group_name(row, names), METRICS[metric].title)


def time_to_recover(frame: pd.DataFrame, week: str | None = None) -> Figure:
    """Draw the median and the 90th percentile of the time to recover.

    Parameters
    ----------
    frame : DataFrame
        A ``retries()`` frame of one side. Grouped by ``iso_week`` it becomes a panel per percentile over the weeks;
        otherwise one dot per group.
    week : str, optional
        The week that stands out; default the last.
    """
    metrics = ("time_to_recover_p50_s", "time_to_recover_p90_s")
    if "iso_week" in frame.columns:
        return weekly_panels(frame, metrics, week)
    names = group_columns(frame)
    series = [row for metric in metrics for row in one_side(frame, metric)]
    if not series:
        return nothing("no outage in these logs")
    short = {"time_to_recover_p50_s": "median", "time_to_recover_p90_s": "90th percentile"}

    def label(row: Row) -> str:
        word = short[str(row.keys["metric"])]
        return f"{group_name(row, names, 40)}, {word}" if names else word

    return _dots(series, metrics[0], label, "Time to recover")
