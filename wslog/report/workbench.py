"""Sliders for a notebook: a schedule of one's own beside the recommended one, on the outages of a tuning.

Needs ipywidgets (``pip install 'wslog[lab]'``).
"""

from __future__ import annotations

from dataclasses import replace
from html import escape
from typing import Any

import pandas as pd

from wslog.charts.style import png_bytes
from wslog.charts.tuning import frontier, outage_survival
from wslog.charts.tuning_words import (
    FIGURES,
    estimates,
    group_of,
    group_rows,
    interval_words,
    key_of,
    status_word,
    value_text,
)
from wslog.errors import UsageError
from wslog.policy.backoff import Backoff
from wslog.policy.policies import Policy
from wslog.policy.tuning import Tuning
from wslog.policy.tuning_group import Compared, GroupTuning

YOURS = "yours"
SHOWN = ("recovery_ratio", "downtime_mean_s", "downtime_p50_s", "downtime_p95_s", "attempt_count_mean")


def schedule_of(first_s: float, factor: float, cap_s: float, jitter: float, attempt_limit: int = 0) -> Policy:
    """Return the policy of the sliders: exponential waits, each multiplied by U(1 - jitter, 1 + jitter); 0 attempts: no limit."""
    backoff = Backoff(
        "exponential", first_s, factor=factor, cap_s=max(cap_s, first_s), jitter="plus_minus", jitter_ratio=jitter
    )
    return Policy(YOURS, backoff=backoff, max_attempts=attempt_limit or None)


class Workbench:
    """Sliders that move a schedule and the price of an attempt; charts and figures follow.

    Parameters
    ----------
    tuning : Tuning
        From ``lake.tune()``.

    Attributes
    ----------
    group : Dropdown
        Which outages; groups with an estimate only.
    first_s, factor, cap_s, jitter, attempt_limit : sliders
        Your schedule.
    price_s : slider
        Seconds of downtime that an attempt is worth: the recommended schedule moves along the frontier.
    view : VBox
        All of it, to be displayed.

    Raises
    ------
    UsageError
        No group has enough outages, or ipywidgets is not installed.
    """

    def __init__(self, tuning: Tuning) -> None:
        try:
            import ipywidgets as widgets
        except ImportError as error:
            raise UsageError("sliders need ipywidgets: pip install 'wslog[lab]'") from error
        if not tuning.groups:
            raise UsageError("no group has enough outages to move a schedule on")
        self.tuning = tuning
        self.tuned: dict[tuple[Any, float], GroupTuning] = {}
        self.frontiers: dict[tuple[Any, float], pd.DataFrame] = {}
        names = [(group_of(dict(group.key), tuning.by), place) for place, group in enumerate(tuning.groups.values())]
        self.groups = tuple(tuning.groups.values())
        wide: dict[str, Any] = {
            "continuous_update": False,
            "layout": widgets.Layout(width="410px"),
            "style": {"description_width": "11.5em"},
        }
        self.group = widgets.Dropdown(options=names, description="outages of", style=wide["style"])
        self.first_s = widgets.FloatLogSlider(1.0, min=-1, max=1.5, step=0.05, description="first wait, s", **wide)
        self.factor = widgets.FloatSlider(2.0, min=1.0, max=4.0, step=0.1, description="growth", **wide)
        self.cap_s = widgets.FloatLogSlider(30.0, min=0, max=2.5, step=0.05, description="longest wait, s", **wide)
        self.jitter = widgets.FloatSlider(0.5, min=0.0, max=1.0, step=0.05, description="jitter", **wide)
        self.attempt_limit = widgets.IntSlider(0, min=0, max=20, description="attempts (0: no end)", **wide)
        self.price_s = widgets.FloatLogSlider(
            tuning.price_s, min=-1.5, max=2, step=0.1, description="price of an attempt, s", **wide
        )
        self.figures = widgets.HTML()
        self.frontier = widgets.Image(format="png", layout=widgets.Layout(width="560px"))
        self.outages = widgets.Image(format="png", layout=widgets.Layout(width="560px"))
        self.sliders = (self.first_s, self.factor, self.cap_s, self.jitter, self.attempt_limit, self.price_s)
        left = widgets.VBox([self.group, *self.sliders, self.figures], layout=widgets.Layout(width="440px"))
        self.view = widgets.HBox([left, widgets.VBox([self.frontier, self.outages])])
        for slider in (self.group, *self.sliders):
            slider.observe(lambda _: self.redraw(), names="value")
        self.redraw()

    def _repr_mimebundle_(self, **more: Any) -> Any:
        return self.view._repr_mimebundle_(**more)

    @property
    def policy(self) -> Policy:
        """The schedule that the sliders stand on."""
        return schedule_of(
            self.first_s.value, self.factor.value, self.cap_s.value, self.jitter.value, self.attempt_limit.value
        )

    def redraw(self) -> None:
        """Replay the schedule and draw it."""
        group, mine, by = self._group(), Compared(self.policy, "given"), self.tuning.by
        rows = pd.DataFrame([row for one in (*group.everyone, mine) for row in group.figure_rows(one)])
        self.figures.value = _table(rows, by)
        self.frontier.value = png_bytes(frontier(self._frontier(group), rows, by))
        schedules = pd.DataFrame(group.schedule_rows([mine]))
        self.outages.value = png_bytes(outage_survival(self._outages(group), schedules, by))

    def _group(self) -> GroupTuning:
        """Return the group under the price of the slider; the policy in place is all it is compared with."""
        key = self.group.value, self.price_s.value
        if key not in self.tuned:
            group = self.groups[self.group.value]
            self.tuned[key] = replace(group, price_s=self.price_s.value, compared=group.compared[:1])
        return self.tuned[key]

    def _outages(self, group: GroupTuning) -> pd.DataFrame:
        rows = group_rows(self.tuning.outages, self.tuning.by, key_of(list(group.key.values())))
        return self.tuning.outages.iloc[:0] if rows is None else rows

    def _frontier(self, group: GroupTuning) -> pd.DataFrame:
        """Return the frontier of schedules with the jitter of the slider."""
        key = self.group.value, self.jitter.value
        if key not in self.frontiers:
            self.frontiers[key] = pd.DataFrame(group.frontier_rows(self.jitter.value))
        return self.frontiers[key]


def _table(rows: pd.DataFrame, by: tuple[str, ...]) -> str:
    """Return the figures of the policies as an HTML table; names and numbers only, escaped."""
    found: dict[str, dict[str, str]] = {}
    for row in estimates(rows, by):
        words = " ".join(
            part for part in (value_text(row), f"({interval_words(row)})" if interval_words(row) else "") if part
        )
        found.setdefault(row.policy, {})[row.figure] = f"{words} {status_word(row)}"
    head = "".join(f"<th>{escape(name)}</th>" for name in found)
    lines = [
        f"<tr><td>{escape(FIGURES[figure].title)}</td>"
        + "".join(f"<td>{escape(texts.get(figure, ''))}</td>" for texts in found.values())
        + "</tr>"
        for figure in SHOWN
    ]
    return f"<table style='font-size:12px;line-height:1.3'><tr><th></th>{head}</tr>{''.join(lines)}</table>"
