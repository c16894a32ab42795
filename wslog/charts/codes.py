"""The close codes of a week beside those of the weeks before."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from wslog.charts.style import (
    BLUE,
    HATCHES,
    INK,
    PALE,
    QUIET,
    finished,
    interval,
    new_figure,
    nothing,
    percent_axis,
    style,
)
from wslog.charts.words import Row, code_name, one_side, percent, refuse_groups, short_count, too_little

MAX_CODES = 12
Key = tuple[int | None, str | None]


def close_code_shares(frame: pd.DataFrame, before: pd.DataFrame | None = None) -> Figure:
    """Draw the close codes of the week, with the weeks before beside them.

    Parameters
    ----------
    frame : DataFrame
        A ``close_codes()`` frame of one side and one period, without groups.
    before : DataFrame, optional
        The same for the weeks before.

    Returns
    -------
    Figure
        A pair of bars per code and source, the most common first, at most :data:`MAX_CODES`. Ends without a code in the
        log stand apart at the bottom. Codes that no close frame carried name their source and are hatched.
    """
    now, then = _by_code(frame), _by_code(before) if before is not None else {}
    names = sorted(
        {*now, *then}, key=lambda key: (key[0] is None, -_weight(now.get(key)), -_weight(then.get(key)), str(key))
    )
    if not names:
        return nothing("no attempt has ended")
    coded = [key for key in names if key[0] is not None]
    apart = [key for key in names if key[0] is None]
    left_out = len(coded) - MAX_CODES
    shown = coded[:MAX_CODES]
    with style():
        figure = new_figure(0.85 + 0.44 * (len(shown) + len(apart)) + (0.15 if apart and shown else 0.0))
        axes = figure.add_subplot()
        places = [float(k) for k in range(len(shown))] + [len(shown) + 0.35 + k for k in range(len(apart))]
        end = _code_bars(axes, list(zip(places, [*shown, *apart], strict=True)), now, then)
        axes.set_yticks(places, [code_name(*key) for key in (*shown, *apart)], color=INK, fontsize=8.5)
        axes.invert_yaxis()
        if apart and shown:
            axes.axhline(len(shown) - 0.33, color=PALE, linewidth=0.8)
        axes.set_xlim(0, min(end * 1.3, 1.3) or 1)
        axes.set_xticks([tick for tick in axes.get_xticks() if 0 <= tick <= 1])
        axes.grid(axis="x")
        axes.set_axisbelow(True)
        axes.spines["left"].set_visible(False)
        percent_axis(axes, "x")
        more = f"; {left_out} rarer codes are in the table" if left_out > 0 else ""
        axes.set_xlabel("share of ended attempts" + more)
        handles = [Patch(facecolor=colour, label=label) for colour, label in _periods(now, then)]
        figure.legend(handles=handles, frameon=False, ncols=2, loc="outside upper left", fontsize=8.5)
        return finished(figure)


def _by_code(frame: pd.DataFrame) -> dict[Key, Row]:
    found: dict[Key, Row] = {}
    for row in one_side(frame):
        code, source = row.keys["close_code"], row.keys["close_code_source"]
        found[None if code is None else int(code), None if source is None else str(source)] = row
    refuse_groups(frame, range(len(found)) if len(found) == len(frame) else (0, 0))
    return found


def _weight(row: Row | None) -> float:
    return 0.0 if row is None else row.value if row.value is not None else (row.numerator or 0.0) * 1e-12


def _periods(now: dict[Key, Row], then: dict[Key, Row]) -> list[tuple[str, str]]:
    def total(found: dict[Key, Row]) -> str:
        return short_count(max((row.denominator or 0.0 for row in found.values()), default=0.0))

    before = [(PALE, f"weeks before, n = {total(then)} ended attempts")] if then else []
    return [(BLUE, f"this week, n = {total(now)} ended attempts"), *before]


def _code_bars(
    axes: Axes,
    places: Sequence[tuple[float, Key]],
    now: dict[Key, Row],
    then: dict[Key, Row],
) -> float:
    """Draw the bars and return how far they reach."""
    end = 0.0
    for place, key in places:
        for found, shift, colour in ((now, -0.19, BLUE), (then, 0.19, PALE)):
            row = found.get(key)
            where = place + (shift if then else 0.0)
            if row is None:
                continue
            if row.value is None or not row.is_ok:
                axes.text(0, where, f" {too_little(row)}", va="center", fontsize=7, color=QUIET)
                continue
            edge = "white" if colour == BLUE else QUIET
            axes.barh(
                where,
                row.value,
                height=0.36,
                color=colour,
                hatch=HATCHES.get(key[1] or "wire", ""),
                edgecolor=edge,
                linewidth=0,
            )
            axes.errorbar([row.value], [where], xerr=interval(row), fmt="none", ecolor=INK, elinewidth=0.9, capsize=2)
            reach = row.value if row.high is None else max(row.high, row.value)
            label = f"{percent(row.value)}  ({short_count(row.numerator)})"
            axes.annotate(
                label,
                (reach, where),
                xytext=(5, 0),
                textcoords="offset points",
                va="center",
                fontsize=7.5,
                color=INK if colour == BLUE else QUIET,
                parse_math=False,
            )
            end = max(end, reach)
    return end
