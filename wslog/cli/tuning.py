"""``wslog tune``: print which reconnect policy to take and why, or write the page."""

from __future__ import annotations

import json
import math
import os
import shutil
import sys
import textwrap
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wslog.errors import EXIT_PIPE_CLOSED
from wslog.safe_text import terminal

if TYPE_CHECKING:
    from wslog.charts.tuning_words import Estimate, Group
    from wslog.policy.tuning import Tuning
    from wslog.report.tuning_decision import Decision
    from wslog.report.tuning_sections import Assumptions

_WIDEST = 100
_FIGURES = ("downtime_mean_s", "attempt_count_mean", "downtime_p95_s", "recovery_ratio", "downtime_p50_s")
"""The most telling first: a narrow terminal has room for fewer."""
_LETTERS = {"identified": "i", "assumed": "a", "bound": "b"}
_NAME, _CELL = 18, 15
_SHOWN = 5
"""Presets listed besides the policy in place, the recommended one and the caller's."""


def run(
    lake: Path,
    *,
    by: str | None = "network_type",
    policies: Sequence[str] = (),
    current: str | None = None,
    price_s: float = 1.0,
    horizon_s: float = 600.0,
    seed: int = 0,
    out: Path | None = None,
    kind: str = "table",
    **period: str | None,
) -> None:
    """Tune on a lake and print the answer.

    Parameters
    ----------
    lake : Path
    by : str, optional
        Comma-separated grouping columns; empty for none.
    policies : sequence of str
        Presets and TOML files to compare; all presets when empty.
    current : str, optional
        Preset or TOML file of the policy in place; default what the logs show.
    price_s : float
        Seconds of downtime that one attempt is worth.
    horizon_s : float
        How far an outage is followed.
    seed : int
    out : Path, optional
        Folder for the page and its charts.
    kind : str
        ``table`` (text), ``json`` (all frames), ``csv`` or ``parquet`` (the policies frame).
    **period
        ``since``, ``until``, ``week``, ``where``.

    Raises
    ------
    UsageError, LakeDamagedError, ReportWriteError
    """
    from wslog.api import open_lake

    # matplotlib keeps a list of fonts; with the lake, not in somebody's home folder
    os.environ.setdefault("MPLCONFIGDIR", str(lake / "_wslog" / "cache" / "matplotlib"))
    columns = [column.strip() for column in by.split(",") if column.strip()] if by else []
    tuning = open_lake(lake).tune(
        by=columns, policies=policies, current=current, price_s=price_s, horizon_s=horizon_s, seed=seed, **period
    )
    page = None
    if out is not None:
        from wslog.report.tuning_page import write_tuning

        page = write_tuning(tuning, out)
    try:
        _print(tuning, kind, page)
        sys.stdout.flush()
    except BrokenPipeError:
        # the reader of the pipe has left: nothing is wrong, and the flush at exit must not complain
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SystemExit(EXIT_PIPE_CLOSED) from None


def _print(tuning: Tuning, kind: str, page: Path | None) -> None:
    from wslog.cli.output import print_frame

    if kind == "json":
        sys.stdout.write(as_json(tuning, page) + "\n")
    elif kind == "table":
        columns = shutil.get_terminal_size((80, 24)).columns
        sys.stdout.write(tuning_text(tuning, page, min(max(columns, 60), _WIDEST)))
    else:
        print_frame(tuning.policies, kind, title="tune")


def as_json(tuning: Tuning, page: Path | None = None) -> str:
    """Return the whole answer as one JSON object: a list of records a frame, and the path of the page if one was written."""
    from wslog.cli.output import to_json
    from wslog.policy.tuning import FRAMES

    found: dict[str, Any] = {
        "by": list(tuning.by),
        "current": tuning.current,
        "price_s": tuning.price_s,
        "horizon_s": tuning.horizon_s,
        "page": None if page is None else str(page),
    }
    # JSON has no infinity: a time that never came is null, like a value that is only bounded (its status says which)
    frames = {name: getattr(tuning, name).replace([math.inf, -math.inf], math.nan) for name in FRAMES}
    found |= {name: json.loads(to_json(frame)) for name, frame in frames.items()}
    return json.dumps(found, indent=1)


def tuning_text(tuning: Tuning, page: Path | None = None, width: int = 80) -> str:
    """Return the answer in words and tables of at most ``width`` columns: the decisions first, then the figures of each group."""
    from wslog.charts.tuning_words import groups
    from wslog.charts.words import duration
    from wslog.report.tuning_decision import decisions
    from wslog.report.tuning_sections import Assumptions, advice_of

    if not len(tuning.policies):
        return "no outage of a client in this selection: client logs are needed to estimate what a policy does\n"
    known = Assumptions()
    lines = [line for _, words in advice_of(tuning, "summary") for line in _wrapped(words, width)]
    for one in decisions(tuning, known):
        lines += _decision_lines(one, width)
    lines += ["", *_wrapped(_LEGEND, width)]
    figures = [
        line for group in groups(tuning.policies, tuning.by) for line in _group_lines(tuning, group, known, width)
    ]
    for words, number in known.numbers.items():
        lines += _wrapped(f"A{number} {words}", width, "   ")
    seen = zip(tuning.observed["what"], tuning.observed["text"], strict=True)
    lines += ["", *_wrapped(f"The policy as actually run ({tuning.current}):", width)]
    lines += [line for what, words in seen for line in _wrapped(f"{what}: {words}", width, "    ", "  ")]
    lines += ["", *_wrapped(_HEADS.format(duration(tuning.horizon_s)), width), *figures]
    heads = {
        "caution": "caution",
        "herd": "a restart",
        "unknown": "unknown",
        "log": "log next",
        "experiment": "experiment",
        "limit": "limit",
    }
    for kind, head in heads.items():
        for title, words in advice_of(tuning, kind):
            lines += ["", *_wrapped(f"{head}: {f'{title} {words}'.strip()}", width, "   ")]
    end = (
        f"wrote {terminal(str(page))}"
        if page is not None
        else "--out DIR writes the page, with charts and configuration"
    )
    return "\n".join([*lines, "", end]) + "\n"


_LEGEND = (
    "IDENTIFIED: settled by the logs, up to the 95 % interval in brackets; ASSUMED: settled only with the assumption of that number; "
    "BOUND: the logs only say between which two values it lies."
)


_HEADS = (
    "The figures, the 95 % interval below each; i: identified, a1: assumed (A1), b: bound. mean down, p95, median: time without the "
    "WebSocket; back: outages after which it was back within {}. Presets: the cheapest, downtime plus attempts."
)


def _decision_lines(one: Decision, width: int) -> list[str]:
    """Return what to do about one group: from what to what, what it buys, what stays unknown."""
    head = terminal(f"{one.name}: {one.verdict}", width)
    lines = ["", f"{head}  {one.n}" if len(head) + len(one.n) + 2 <= width else head]
    parts = [("now", one.now), (one.then_word, one.then)]
    for figure in one.bought:
        change = figure.change
        interval = f" ({change.note})" if change.note else ""
        levels = f"{figure.levels}: " if figure.levels else "now "
        words = change.text if change.is_quiet else f"{levels}{change.text}{interval} {change.badge}"
        parts.append((figure.short, words))
    parts += [("!", f"{title} {words}") for title, words in one.warnings]
    for name, words in (*parts, ("unknown", one.unknown), ("to learn it", one.learn)):
        if words:
            lines += _wrapped(f"{name:<12} {words}", width, " " * 15, "  ")
    return lines


def _group_lines(tuning: Tuning, group: Group, known: Assumptions, width: int) -> list[str]:
    from wslog.charts.tuning_words import estimates, group_rows
    from wslog.charts.words import plural

    first = group.rows.iloc[0]
    size = f"{plural(int(first['outage_count']), 'outage')} in {plural(int(first['session_count']), 'session')}"
    lines = ["", terminal(f"{group.label}: {size}")]
    rows = estimates(group.rows, tuning.by)
    if not any(row.is_ok for row in rows):
        return [*lines, "  too little evidence for any figure"]
    gains = group_rows(tuning.gains, tuning.by, group.key)
    return [*lines, *_table(rows, [] if gains is None else estimates(gains, tuning.by), known, tuning.price_s, width)]


def _letter(row: Estimate, known: Assumptions) -> str:
    if row.is_bound:
        return "b"
    letter = _LETTERS.get(row.status, "")
    return known.name(row.assumption).replace(" A", ",").lower() if letter == "a" else letter


def _table(rows: list[Estimate], gains: list[Estimate], known: Assumptions, price_s: float, width: int) -> list[str]:
    """Return two lines a policy, the values with their letters and the intervals under them; after the recommended policy what
    it gains; of the presets those that cost least."""
    from wslog.charts.tuning_words import FIGURES, ROLE_WORDS, interval_words, signed_text, value_text
    from wslog.charts.words import NBSP
    from wslog.report.tuning_sections import in_order

    shown = _FIGURES[: max((width - _NAME) // _CELL, 1)]
    lines = [" " * _NAME + "".join(f"{FIGURES[name].short:>{_CELL}}" for name in shown)]
    ordered = in_order(rows, price_s)
    count = sum(next(iter(found.values())).role != "preset" for _, found in ordered) + _SHOWN
    for policy, found in ordered[:count]:
        role = next(iter(found.values())).role
        words = ROLE_WORDS.get(role, "")
        cells = [_cell(found.get(name), known, lambda row: (value_text(row), interval_words(row))) for name in shown]
        lines += _two_lines(terminal(policy, _NAME - 1), "" if words == policy else words, cells)
        if role == "recommended" and gains:
            mine = {row.figure: row for row in gains}
            lines += _two_lines("  difference", "", [_cell(mine.get(name), known, signed_text) for name in shown])
    if len(ordered) > count:
        lines.append(f"… {len(ordered) - count} dearer policies: --out DIR or --output csv tells all")
    return [line.replace(NBSP, " ").rstrip() for line in lines]


def _cell(row: Estimate | None, known: Assumptions, words: Callable[[Estimate], tuple[str, str]]) -> tuple[str, str]:
    if row is None or not row.is_ok:
        return ("" if row is None else "too little"), ""
    value, interval = words(row)
    letter = _letter(row, known)
    return f"{_tight(value, _CELL - 2 - len(letter))} {letter}", _tight(interval)


def _two_lines(name: str, under: str, cells: list[tuple[str, str]]) -> list[str]:
    return [
        f"{name:<{_NAME}}" + "".join(f"{value:>{_CELL}}" for value, _ in cells),
        f"  {under:<{_NAME - 2}}" + "".join(f"{interval:>{_CELL}}" for _, interval in cells),
    ]


def _tight(words: str, room: int = _CELL - 1) -> str:
    """Return an interval or a value that fits its column."""
    from wslog.charts.words import NBSP

    short = words.replace(" to ", "..").replace(f"{NBSP}points", "pt").replace(f"{NBSP}%", "%")
    short = short.replace(f"{NBSP}min", "m").replace(f"{NBSP}s", "s").replace(f">{NBSP}", ">").replace(NBSP, " ")
    first, dots, last = short.partition("..")
    unit = next((unit for unit in ("pt", "%", "s") if first.endswith(unit) and last.endswith(unit)), "")
    if dots and " " not in first:
        short = f"{first.removesuffix(unit)}..{last}"  # the unit once
    short = short if len(short) <= room else short.replace(" ", "")
    return short if len(short) <= room else short[: room - 1] + "…"


def _wrapped(words: str, width: int, later: str = "", first: str = "") -> list[str]:
    from wslog.charts.words import NBSP

    # a number stays with its unit
    inert = NBSP.join(terminal(part) for part in words.split(NBSP))
    lines = textwrap.wrap(inert, width, initial_indent=first, subsequent_indent=later or first, break_on_hyphens=False)
    return [line.replace(NBSP, " ") for line in lines] or [""]
