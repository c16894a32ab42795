"""The top of the policy page: for each group what to change, from what to what, what it buys, and what stays unknown."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from wslog.charts.tuning_words import (
    FIGURES,
    Estimate,
    estimates,
    group_of,
    group_rows,
    groups,
    key_of,
    value_text,
)
from wslog.charts.words import NBSP, plural
from wslog.policy.tuning import Tuning
from wslog.policy.tuning_decisions import DECISIONS
from wslog.report.blocks import Cell, shown
from wslog.report.tuning_sections import Assumptions, advice_of, difference_cell, estimate_cell

BOUGHT = ("downtime_mean_s", "service_downtime_mean_s", "attempt_count_mean")
"""What a decision is about; time without service only where a fallback tells it from time without the WebSocket."""

TITLES = {
    "downtime_mean_s": ("WebSocket down, mean", "downtime"),
    "service_downtime_mean_s": ("No service at all, mean", "no service"),
    "attempt_count_mean": ("Attempts an outage", "attempts"),
}
"""Head of the column on the page, and what the terminal has room for."""


@dataclass(frozen=True)
class Bought:
    """One figure now and then: ``levels`` (``79 s → 22 s``), and the difference as a cell with badge and interval."""

    title: str
    short: str
    levels: str
    change: Cell


@dataclass(frozen=True)
class Decision:
    """One group: what to do, from what to what, what it buys, what stays unknown and what would tell it."""

    name: str
    n: str
    kind: str
    verdict: str
    now: str
    then: str
    then_word: str
    bought: tuple[Bought, ...]
    warnings: tuple[tuple[str, str], ...]
    unknown: str
    learn: str


def decisions(tuning: Tuning, known: Assumptions) -> list[Decision]:
    """Return the decision of every group, in the order of the frame."""
    figures = bought_figures(tuning)
    found = []
    for row in tuning.decisions.to_dict("records"):
        key = key_of([row[name] for name in tuning.by])
        rows, gains = (group_rows(frame, tuning.by, key) for frame in (tuning.policies, tuning.gains))
        then = "" if pd.isna(row["then"]) else _unbroken(row["then"])
        found.append(
            Decision(
                group_of(row, tuning.by),
                f"{plural(int(row['outage_count']), 'outage')} in {plural(int(row['session_count']), 'session')}",
                str(row["decision"]),
                DECISIONS[str(row["decision"])],
                _unbroken(row["now"]),
                then,
                "change to" if row["decision"] == "change" else "best found",
                _bought(figures, _estimates(rows, tuning), _estimates(gains, tuning), known),
                tuple(advice_of(tuning, "warning", key)),
                _unbroken(row["unknown"]),
                _unbroken(row["learn"]),
            )
        )
    return found


def _unbroken(words: str) -> str:
    """Return words for the page whose numbers stay with their units."""
    return re.sub(r"(?<=\d) (?=(?:s|%)(?:\W|$))", NBSP, shown(words, 600))


def bought_figures(tuning: Tuning) -> tuple[str, ...]:
    """Return the figures a decision shows: without a fallback, time without service is time without the WebSocket."""
    has_fallback = any(
        row.figure == "fallback_ratio" and (row.value or row.bound_high or 0.0) > 0
        for group in groups(tuning.policies, tuning.by)
        for row in estimates(group.rows, tuning.by)
        if row.role in ("current", "recommended")
    )
    return tuple(name for name in BOUGHT if has_fallback or name != "service_downtime_mean_s")


def _estimates(rows: pd.DataFrame | None, tuning: Tuning) -> list[Estimate]:
    return [] if rows is None else estimates(rows, tuning.by)


def _bought(
    figures: Sequence[str], rows: list[Estimate], gains: list[Estimate], known: Assumptions
) -> tuple[Bought, ...]:
    of_role = {(row.role, row.figure): row for row in rows}
    differences = {row.figure: row for row in gains}
    found = []
    for figure in figures:
        now, then, change = (
            of_role.get(("current", figure)), of_role.get(("recommended", figure)), differences.get(figure)
        )  # fmt: skip
        if change is None or not change.is_ok or now is None or then is None:
            # without a recommendation there is only what is in place
            has_now = now is not None and now.is_ok
            known_now = estimate_cell(now, known) if has_now else Cell("too little evidence", is_quiet=True)
            found.append(Bought(*TITLES[figure], "", known_now))
            continue
        levels = f"{value_text(now)} → {value_text(then)}"
        found.append(Bought(*TITLES[figure], levels, difference_cell(change, known)))
    return tuple(found)


def titles(tuning: Tuning) -> tuple[str, ...]:
    """Return the heads of the columns of figures."""
    return tuple(TITLES[name][0] for name in bought_figures(tuning) if name in FIGURES)
