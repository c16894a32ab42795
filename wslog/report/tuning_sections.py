"""The parts of the policy page below the decision: tables, charts, code and limits."""

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
    Group,
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

SHOWN_FIGURES = (
    "downtime_mean_s",
    "service_downtime_mean_s",
    "downtime_p50_s",
    "downtime_p95_s",
    "recovery_ratio",
    "attempt_count_mean",
)
MAX_TABLES = 12
MAX_OPEN = 10


@dataclass
class Assumptions:
    """The assumptions of the page, numbered in order of appearance; one figure may rest on several."""

    numbers: dict[str, int] = field(default_factory=dict)

    def name(self, words: str) -> str:
        """Return ``A1`` for an assumption, ``A1 A3`` for two that a semicolon separates, empty for none."""
        parts = [part.strip() for part in words.split(";") if part.strip()]
        numbers = sorted({self.numbers.setdefault(part, len(self.numbers) + 1) for part in parts})
        return " ".join(f"A{number}" for number in numbers)

    def items(self) -> tuple[tuple[str, str], ...]:
        """Return number and words of each."""
        return tuple((f"A{number}", shown(words, 600)) for words, number in self.numbers.items())


def estimate_cell(found: Estimate | None, known: Assumptions, reach: tuple[float, float] | None = None) -> Cell:
    """Return a figure as a cell: value, badge, interval; with the scale of a column of many, ``reach``, a bar and a short badge."""
    if found is None:
        return Cell("not estimated", is_quiet=True)
    if not found.is_ok:
        return Cell(value_text(found), is_quiet=True)
    word = status_word(found)
    is_assumed = word == STATUS_WORDS["assumed"]
    badge = f"{word} {known.name(found.assumption)}".strip() if is_assumed else word
    if reach is not None:
        badge = known.name(found.assumption) or "A" if is_assumed else word[0]
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


def in_decided_order(tuning: Tuning) -> list[tuple[Group, str]]:
    """Return the groups of the policies with what was decided, in the order of the decisions."""
    rows = tuning.decisions.to_dict("records")
    decided = {key_of([row[name] for name in tuning.by]): str(row["decision"]) for row in rows}
    places = list(decided)
    found = [(group, decided.get(group.key, "few")) for group in groups(tuning.policies, tuning.by)]
    return sorted(found, key=lambda one: places.index(one[0].key) if one[0].key in decided else len(places))


# --- the figures ---


def figures_section(tuning: Tuning, known: Assumptions) -> Section:
    """All that a decision rests on: the policy in place beside the best schedule found, a table a group, what to change first."""
    section = Section("figures", "The figures, network by network" if tuning.by else "The figures")
    for group, _ in in_decided_order(tuning)[:MAX_TABLES]:
        rows = estimates(group.rows, tuning.by)
        gains = group_rows(tuning.gains, tuning.by, group.key)
        first = group.rows.iloc[0]
        size = f"{plural(int(first['outage_count']), 'outage')} in {plural(int(first['session_count']), 'session')}"
        change = advice_of(tuning, "change", group.key)
        section.blocks.append(
            Block("heading", text=f"{group.label}: {change[0][0] if change else 'No recommendation'}")
        )
        section.blocks.append(note(f"{size[0].upper()}{size[1:]}."))
        section.blocks += [text(words) for _, words in advice_of(tuning, "caution", group.key)]
        if any(row.is_ok for row in rows):
            section.blocks.append(_now_and_then(rows, [] if gains is None else estimates(gains, tuning.by), known))
        else:
            section.blocks += [text(words) for _, words in change]
    return section


def _now_and_then(rows: list[Estimate], gain: list[Estimate], known: Assumptions) -> Block:
    of_role = {(row.role, row.figure): row for row in rows}
    differences = {row.figure: row for row in gain}
    lines = []
    for figure in SHOWN_FIGURES:
        now, then = of_role.get(("current", figure)), of_role.get(("recommended", figure))
        if now is None and then is None:
            continue
        cells = [Cell(FIGURES[figure].title), estimate_cell(now, known)]
        if gain:
            cells += [estimate_cell(then, known), difference_cell(differences.get(figure), known)]
        lines.append(tuple(cells))
    head = ("", "In place now", "Best schedule found", "Difference") if gain else ("", "In place now")
    return table(head, lines)


def difference_cell(found: Estimate | None, known: Assumptions) -> Cell:
    """Return what one policy gains on another as a cell; empty where nothing is known."""
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
            "95\u00a0% interval; the bar shows it on the scale of the column (seconds and attempts logarithmic). I: identified; A1 and "
            "so on: assumed, with the assumption of that number; B: bound, and the bar is hatched. Presets: the cheapest first, downtime "
            f"plus {duration(tuning.price_s)} for each attempt, bounds by their middle."
        )
    )
    for place, group in enumerate(groups(tuning.policies, tuning.by)):
        name = group.label
        rows = estimates(group.rows, tuning.by)
        if tuning.by and place == 0:
            section.blocks.append(Block("heading", text=name))
        lines, head = _policy_lines(rows, known, tuning.price_s)
        if place:
            section.blocks.append(table(head, lines, summary=f"{name}, {len(lines)} policies"))
            continue
        section.blocks.append(table(head, lines[:MAX_OPEN]))
        if len(lines) > MAX_OPEN:
            section.blocks.append(table(head, lines[MAX_OPEN:], summary=f"{len(lines) - MAX_OPEN} more policies"))
    if known.numbers:
        section.blocks += [Block("heading", text="Assumptions"), Block("terms", items=known.items())]
    return section


def _policy_lines(
    rows: list[Estimate], known: Assumptions, price_s: float
) -> tuple[list[tuple[Cell, ...]], tuple[str, ...]]:
    figures = [name for name in FIGURES if _has_anything(rows, name)]
    scales = {name: _reach(rows, name) for name in figures}
    lines = []
    for policy, found in in_order(rows, price_s):
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


def in_order(rows: list[Estimate], price_s: float) -> list[tuple[str, dict[str, Estimate]]]:
    """Return the policies of one group with their figures: by role, presets by cost, bounds counted by their middle."""
    by_policy: dict[str, dict[str, Estimate]] = {}
    for row in rows:
        by_policy.setdefault(row.policy, {})[row.figure] = row

    def rank(item: tuple[str, dict[str, Estimate]]) -> tuple[int, float]:
        found = item[1]
        role = next(iter(found.values())).role
        if role != "preset":
            return (ROLES.index(role) if role in ROLES else len(ROLES), 0.0)
        middles = [_middle(found.get(name)) for name in ("downtime_mean_s", "attempt_count_mean")]
        return ROLES.index(role), math.inf if None in middles else middles[0] + price_s * middles[1]  # type: ignore[operator]

    return sorted(by_policy.items(), key=rank)


def _middle(found: Estimate | None) -> float | None:
    if found is None or not found.is_ok:
        return None
    if found.is_bound and found.bound_low is not None and found.bound_high is not None:
        return (found.bound_low + found.bound_high) / 2
    return found.value


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
    section.blocks += [text(words) for _, words in advice_of(tuning, "herd")]
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
