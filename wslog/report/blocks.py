"""What a page is made of: plain values that the template lays out."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from wslog.charts import png_bytes
from wslog.charts.words import METRICS, Row, between, rows
from wslog.report.lake import MetricLake
from wslog.report.weeks import Period
from wslog.safe_text import CELL_CHARACTERS, visible


@dataclass(frozen=True)
class Cell:
    """A table cell; ``bar`` (0 to 1) draws a bar behind a share; ``is_quiet`` greys out.

    ``note`` is a second line in small type, ``badge`` a word in a box whose look is the class ``badge_kind``; ``reach`` (0 to 1,
    0 to 1) draws an interval as a bar on a track, with a dot at ``dot`` where there is an estimate inside.
    """

    text: str
    bar: float | None = None
    is_quiet: bool = False
    note: str = ""
    badge: str = ""
    badge_kind: str = ""
    reach: tuple[float, float] | None = None
    dot: float | None = None


@dataclass(frozen=True)
class Block:
    """One piece of a section; ``kind`` (text, note, list, table, chart, terms, heading, code) says which fields the template reads."""

    kind: str
    text: str = ""
    items: tuple[tuple[str, str], ...] = ()
    head: tuple[str, ...] = ()
    lines: tuple[tuple[Cell, ...], ...] = ()
    texts: tuple[int, ...] = (0,)
    summary: str = ""
    uri: str = ""
    alt: str = ""


@dataclass
class Section:
    """A headed part of the page."""

    name: str
    title: str
    blocks: list[Block] = field(default_factory=list)


@dataclass
class Book:
    """What every section reads: the lake, the period, the leading side; and the charts drawn so far, as name to PNG."""

    lake: MetricLake
    period: Period
    lead: str
    sides: tuple[str, ...]
    reliability: pd.DataFrame
    charts: dict[str, bytes] = field(default_factory=dict)
    compared: dict[str, pd.DataFrame] = field(default_factory=dict)

    def of_week(self, name: str, by: tuple[str, ...] = (), side: str | None = None) -> pd.DataFrame:
        """Frame ``close_codes``, ``retries`` or ``fallback`` of the report's week, one side."""
        return one_side_of(getattr(self.lake, name)(by=by, week=self.period.week), side or self.lead)

    def of_weeks_before(self, name: str, by: tuple[str, ...] = (), side: str | None = None) -> pd.DataFrame:
        """The same over the weeks before; None-like empty frame when there are none."""
        frame: pd.DataFrame = getattr(self.lake, name)(by=by, since=self.period.since, until=self.period.until)
        return one_side_of(frame, side or self.lead)

    def versus_weeks_before(self, name: str) -> pd.DataFrame:
        """Comparison of ``reliability`` or ``retries`` of the report's week with the weeks before, all sides."""
        if name not in self.compared:
            weeks = ", ".join(f"'{week}'" for week in self.period.weeks_before)
            asked = getattr(self.lake, name)
            self.compared[name] = asked(week=self.period.week, compare=f"iso_week in ({weeks})")
        return self.compared[name]

    def weekly(self, side: str) -> pd.DataFrame:
        """The ``reliability`` rows of one side, the report's week and the weeks before."""
        frame = one_side_of(self.reliability, side)
        if self.period.week is None:
            return frame[frame["iso_week"].isna()]
        return frame[frame["iso_week"].isin((*self.period.weeks_before, self.period.week))]

    def draw(self, name: str, figure: Figure, alt: str, caption: str = "") -> Block:
        """Draw a chart and return its block; the file is ``<week>-<name>.png``."""
        png = png_bytes(figure)
        self.charts[name] = png
        return Block(
            "chart", text=caption, uri="data:image/png;base64," + base64.b64encode(png).decode("ascii"), alt=alt
        )


def one_side_of(frame: pd.DataFrame, side: str) -> pd.DataFrame:
    """Return the rows of one side; a frame that names no side is about client sessions."""
    if "side" not in frame.columns:
        return frame if side == "client" else frame.iloc[:0]
    return frame[frame["side"] == side]


def find(found: list[Row], **keys: Any) -> Row | None:
    """Return the first row with these keys."""
    return next((row for row in found if all(row.keys.get(name) == value for name, value in keys.items())), None)


def metric_rows(frame: pd.DataFrame, metric: str) -> list[Row]:
    """Return the rows of one metric."""
    return [row for row in rows(frame) if row.keys.get("metric") == metric]


def shown(value: object, limit: int = CELL_CHARACTERS) -> str:
    """Return log text for the page: printable and cut; the template escapes it."""
    return visible(str(value), limit)


def interval_text(row: Row, metric: str) -> str:
    """Return ``96.3 to 96.7 %``."""
    if row.low is None or row.high is None:
        return "no interval"
    return between(row.low, row.high, METRICS[metric].kind)


def text(words: str) -> Block:
    """Return a paragraph."""
    return Block("text", text=words)


def note(words: str) -> Block:
    """Return a paragraph in small type."""
    return Block("note", text=words)


def table(
    head: tuple[str, ...], lines: Sequence[tuple[Cell, ...]], summary: str = "", texts: tuple[int, ...] = (0,)
) -> Block:
    """Return a table; the columns numbered in ``texts`` are text, the others numbers; a ``summary`` folds it away."""
    return Block("table", head=head, lines=tuple(lines), summary=summary, texts=texts)
