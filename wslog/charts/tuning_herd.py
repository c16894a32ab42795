"""What a service that dropped everybody sees under each policy."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from wslog.charts.style import (
    FAINT,
    INK,
    PALE,
    QUIET,
    SKY,
    finished,
    new_figure,
    nothing,
    style,
)
from wslog.charts.tuning_parts import (
    CURRENT,
    POLICY_CHARACTERS,
    RECOMMENDED,
    Look,
    floats,
    legend_of,
    looks,
    roles_of,
)
from wslog.charts.tuning_words import in_unit, number
from wslog.charts.words import duration
from wslog.safe_text import chart_label

MAX_BARS = 24


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
        legend_of(figure, shown, roles_of(loads))
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
        rate = floats(mine, "attempts_per_s")
        top = max(top, float(np.nanmax(rate, initial=1.0)))
        drawn = np.where(rate > 0, rate, np.nan)
        axes.plot(floats(mine, "at_s"), drawn, color=colour, linestyle=line, linewidth=1.2, drawstyle="steps-post")
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
