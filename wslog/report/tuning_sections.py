"""The parts of the policy page: cards at the top, then tables, charts, code and limits."""

from __future__ import annotations

import base64
import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from matplotlib.figure import Figure

from wslog.charts import tuning as charts
from wslog.charts.style import png_bytes
from wslog.charts.tuning_words import (
    FIGURES,
    ROLE_WORDS,
    ROLES,
    STATUS_DEFINITIONS,
    STATUS_WORDS,
    Estimate,
    Key,
    difference_text,
    estimates,
    group_of,
    group_rows,
    groups,
    in_unit,
    interval_words,
    key_of,
    status_word,
    value_text,
)
from wslog.charts.words import duration, plural
from wslog.policy.tuning import Tuning
from wslog.report.blocks import Block, Cell, Section, note, shown, table, text

CARD_FIGURES = (
    "downtime_mean_s",
    "service_downtime_mean_s",
    "downtime_p50_s",
    "downtime_p95_s",
    "recovery_ratio",
    "attempt_count_mean",
)
MAX_CARDS = 12
MAX_OPEN = 16


@dataclass
class Assumptions:
    """The assumptions of the page, numbered in order of appearance; one figure may rest on several."""

    numbers: dict[str, int] = field(default_factory=dict)

    def name(self, words: str) -> str:
        """Return ``A1`` for an assumption, ``A1 A3`` for two that a semicolon separates, empty for none."""
        parts = [part.strip() for part in words.split(";") if part.strip()]
        numbers = sorted({self.numbers.setdefault(part, len(self.numbers) + 1) for part in parts})
        return " ".join(f"A{number}" for number in numbers)


@dataclass(frozen=True)
class Card:
    """What to do about one group, with what it gains."""

    name: str
    n: str
    verdict: str
    is_change: bool
    words: tuple[str, ...]
    warnings: tuple[tuple[str, str], ...]
    table: Block | None


def estimate_cell(found: Estimate | None, known: Assumptions, reach: tuple[float, float] | None = None) -> Cell:
    """Return a figure as a cell: value, badge, interval, and its bar on the scale ``reach`` of the column."""
    if found is None:
        return Cell("not estimated", is_quiet=True)
    if not found.is_ok:
        return Cell(value_text(found), is_quiet=True)
    word = status_word(found)
    is_assumed = word == STATUS_WORDS["assumed"]
    badge = f"{word} {known.name(found.assumption)}".strip() if is_assumed else word
    ends, dot = (None, None) if reach is None else _on_scale(found, reach)
    return Cell(
        value_text(found),
        note=interval_words(found),
        badge=badge,
        badge_kind="bound" if found.is_bound else found.status,
        reach=ends,
        dot=dot,
    )


def _scale(kind: str, value: float) -> float:
    return value if kind == "share" else math.log(max(value, 1e-3))


def _on_scale(found: Estimate, reach: tuple[float, float]) -> tuple[tuple[float, float] | None, float | None]:
    kind = FIGURES[found.figure].kind
    first, last = reach

    def place(value: float) -> float:
        return min(max((_scale(kind, value) - first) / (last - first), 0.0), 1.0) if last > first else 0.5

    dot = None if found.is_bound or found.value is None else place(found.value)
    if found.ends is None:
        return (None, None) if dot is None else ((dot, dot), dot)
    return (place(found.ends[0]), place(found.ends[1])), dot


def _reach(rows: Sequence[Estimate], figure: str) -> tuple[float, float] | None:
    """Return the scale of a column: from its least to its greatest end."""
    kind = FIGURES[figure].kind
    ends = [
        end
        for row in rows
        if row.figure == figure and row.is_ok
        for end in (*(row.ends or ()), row.value)
        if end is not None
    ]
    if not ends:
        return None
    return (0.0, 1.0) if kind == "share" else (_scale(kind, min(ends)), _scale(kind, max(ends)))


def advice_of(tuning: Tuning, kind: str, key: Key | None = None) -> list[tuple[str, str]]:
    """Return title and text of the advice of a kind: of one group, or of all, the group named in the title."""
    found = []
    for row in tuning.advice.to_dict("records"):
        if row["kind"] != kind or (key is not None and advice_key(row, tuning.by) != key):
            continue
        name = "" if key is not None or advice_key(row, tuning.by) is None else group_of(row, tuning.by)
        title = shown(row["title"], 120)
        found.append((f"{name}: {title}" if name and tuning.by else title, shown(row["text"], 2000)))
    return found


def advice_key(row: Mapping[Hashable, object], by: Sequence[str]) -> Key | None:
    """Return the group a piece of advice is about, None where it is about all of several."""
    return None if row["is_general"] else key_of([row[name] for name in by])


# --- the top ---


def cards(tuning: Tuning, known: Assumptions) -> list[Card]:
    """One card a group, the largest first: what to do, why, how sure."""
    found = []
    for group in groups(tuning.policies, tuning.by)[:MAX_CARDS]:
        rows = estimates(group.rows, tuning.by)
        change = advice_of(tuning, "change", group.key)
        gains = group_rows(tuning.gains, tuning.by, group.key)
        gain = [] if gains is None else estimates(gains, tuning.by)
        is_change = bool(change) and change[0][0].startswith("Change")
        first = group.rows.iloc[0]
        found.append(
            Card(
                group.label,
                f"{plural(int(first['outage_count']), 'outage')} in {plural(int(first['session_count']), 'session')}",
                change[0][0] if change else "No recommendation",
                is_change,
                tuple(words for _, words in change),
                tuple(advice_of(tuning, "warning", group.key)),
                _card_table(rows, gain, known) if any(row.is_ok for row in rows) else None,
            )
        )
    return found


def _card_table(rows: list[Estimate], gain: list[Estimate], known: Assumptions) -> Block:
    of_role = {(row.role, row.figure): row for row in rows}
    differences = {row.figure: row for row in gain}
    lines = []
    for figure in CARD_FIGURES:
        now, then = of_role.get(("current", figure)), of_role.get(("recommended", figure))
        if now is None and then is None:
            continue
        cells = [Cell(FIGURES[figure].title), estimate_cell(now, known)]
        if gain:
            cells += [estimate_cell(then, known), _difference_cell(differences.get(figure), known)]
        lines.append(tuple(cells))
    head = ("", "In place now", "Recommended", "Difference") if gain else ("", "In place now")
    return table(head, lines)


def _difference_cell(found: Estimate | None, known: Assumptions) -> Cell:
    if found is None or not found.is_ok:
        return Cell("")
    cell = estimate_cell(found, known)
    words, interval = difference_text(found)
    return Cell(words, note=interval, badge=cell.badge, badge_kind=cell.badge_kind)


def legend() -> tuple[tuple[str, str, str], ...]:
    """What the badges mean."""
    return tuple((STATUS_WORDS[name], name, words) for name, words in STATUS_DEFINITIONS.items())


# --- the sections ---


def policies_section(tuning: Tuning, known: Assumptions) -> Section:
    """All policies on the same outages, a table a group."""
    section = Section("policies", "The policies compared, on the same outages")
    section.blocks.append(
        text(
            f"Each policy is replayed on the outages of these logs, followed for {duration(tuning.horizon_s)}. Below a value its "
            "95\u00a0% interval; the bar shows it on the scale of the column (seconds and attempts logarithmic), hatched where only "
            "bounds are known."
        )
    )
    for place, group in enumerate(groups(tuning.policies, tuning.by)):
        name = group.label
        rows = estimates(group.rows, tuning.by)
        if tuning.by and place == 0:
            section.blocks.append(Block("heading", text=name))
        lines, head = _policy_lines(rows, known)
        if place:
            section.blocks.append(table(head, lines, summary=f"{name}, {len(lines)} policies"))
            continue
        section.blocks.append(table(head, lines[:MAX_OPEN]))
        if len(lines) > MAX_OPEN:
            section.blocks.append(table(head, lines[MAX_OPEN:], summary=f"{len(lines) - MAX_OPEN} more policies"))
    if known.numbers:
        items = tuple((f"A{number}", shown(words, 600)) for words, number in known.numbers.items())
        section.blocks += [Block("heading", text="Assumptions"), Block("terms", items=items)]
    return section


def _policy_lines(rows: list[Estimate], known: Assumptions) -> tuple[list[tuple[Cell, ...]], tuple[str, ...]]:
    figures = [name for name in FIGURES if _has_anything(rows, name)]
    scales = {name: _reach(rows, name) for name in figures}
    lines = []
    for policy, found in in_order(rows):
        role = next(iter(found.values())).role
        words = ROLE_WORDS.get(role, "")
        first = Cell(shown(policy, 60), note=words if words != policy else "")
        lines.append((first, *(estimate_cell(found.get(name), known, scales[name]) for name in figures)))
    return lines, ("Policy", *(FIGURES[name].title for name in figures))


def _has_anything(rows: list[Estimate], figure: str) -> bool:
    """Whether a column is worth its room: no policy that never falls back needs a column of zeros."""
    mine = [row for row in rows if row.figure == figure]
    if not figure.startswith("fallback"):
        return bool(mine)
    return any((row.value or row.bound_high or 0.0) > 0 for row in mine)


def in_order(rows: list[Estimate]) -> list[tuple[str, dict[str, Estimate]]]:
    """Return the policies of one group with their figures: by role, presets in the order of the frame."""
    by_policy: dict[str, dict[str, Estimate]] = {}
    for row in rows:
        by_policy.setdefault(row.policy, {})[row.figure] = row

    def rank(item: tuple[str, dict[str, Estimate]]) -> int:
        role = next(iter(item[1].values())).role
        return ROLES.index(role) if role in ROLES else len(ROLES)

    return sorted(by_policy.items(), key=rank)


@dataclass
class Gallery:
    """The charts drawn so far, as name to PNG."""

    charts: dict[str, bytes] = field(default_factory=dict)

    def draw(self, name: str, figure: Figure, alt: str, caption: str) -> Block:
        """Draw a chart and return its block."""
        png = png_bytes(figure)
        self.charts[name] = png
        uri = "data:image/png;base64," + base64.b64encode(png).decode("ascii")
        return Block("chart", text=caption, uri=uri, alt=alt)


def chart_sections(tuning: Tuning, gallery: Gallery) -> list[Section]:
    """The four charts, each under its question."""
    by = tuning.by
    outages = Section("outages", "How long outages last, and when the policies try")
    outages.blocks.append(
        gallery.draw(
            "outages",
            charts.outage_survival(tuning.outages, tuning.schedules, by),
            "Share of outages that are not over, by time, and the attempts of each policy",
            "The band is what the logs leave open: the 95 % interval, and the bounds where there was no attempt to see with. A "
            "tick below is an attempt; the bar around it is what jitter does.",
        )
    )
    balance = Section("frontier", "Downtime against attempts")
    balance.blocks.append(
        gallery.draw(
            "frontier",
            charts.frontier(tuning.frontier, tuning.policies, by),
            "Mean downtime against attempts per outage: best schedules, presets, current and recommended policy",
            f"On the line no schedule has less downtime for as few attempts. The recommended one counts an attempt as "
            f"{duration(tuning.price_s)} of downtime. Crosses are 95 % intervals; those of the presets are in the table. Part of the downtime is the outage itself: no policy "
            "can be faster than the network.",
        )
    )
    back = Section("recovery", "When the WebSocket is back")
    back.blocks.append(
        gallery.draw(
            "recovery",
            charts.recovery_by_time(tuning.recovery, by),
            "Share of outages whose WebSocket is back, by time and policy",
            "Hatched: the logs only say that the curve runs within.",
        )
    )
    return [outages, balance, back, _herd_section(tuning, gallery)]


def _herd_section(tuning: Tuning, gallery: Gallery) -> Section:
    section = Section("herd", "When everybody is dropped at once")
    if not len(tuning.herds):
        section.blocks.append(
            text("No moment in these logs at which many clients dropped together: nothing to replay.")
        )
        return section
    first = tuning.herds.iloc[0]
    section.blocks.append(
        gallery.draw(
            "herd",
            charts.herd(tuning.herds, tuning.loads),
            "Connection attempts per second after a restart, by policy, with peak and time until 95 % are back",
            f"{plural(int(first['client_count']), 'client')} dropped at the same moment, as a deploy or a restart does.",
        )
    )
    lines = [
        (Cell(shown(row["policy"], 60)), *(_herd_cell(row, column) for column in HERD_FIGURES))
        for row in tuning.herds.to_dict("records")
    ]
    section.blocks.append(table(("Policy", *HERD_FIGURES.values()), lines, summary="The herd in numbers"))
    missing = sorted({shown(words, 300) for words in tuning.herds["missing"] if isinstance(words, str) and words})
    section.blocks += [note(f"Only bounds where the log leaves something open. {words}.") for words in missing]
    return section


HERD_FIGURES = {
    "peak_per_s": "Attempts in the busiest second",
    "t95_s": "95 % back after",
    "attempts_per_client": "Attempts per client",
}


def _herd_cell(row: Mapping[Hashable, Any], column: str) -> Cell:
    status = str(row[f"{column}_status"])

    def words(value: float) -> str:
        if math.isinf(value):
            return "never"
        return duration(value) if column.endswith("_s") and column != "peak_per_s" else in_unit(value, "count")

    span = f"{words(row[f'{column}_low'])} to {words(row[f'{column}_high'])}"
    is_bound = status == "bound"
    value = span if is_bound else words(row[column])
    return Cell(value, note="" if is_bound else span, badge=STATUS_WORDS.get(status, status), badge_kind=status)
