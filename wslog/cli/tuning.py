"""``wslog tune``: print which reconnect policy to take and why, or write the page."""

from __future__ import annotations

import json
import math
import os
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
    from wslog.report.tuning_sections import Assumptions

_WIDTH = 100
_FIGURES = ("recovery_ratio", "downtime_p50_s", "downtime_p95_s", "downtime_mean_s", "attempt_count_mean")
_LETTERS = {"identified": "i", "assumed": "a", "bound": "b"}
_NAME, _CELL = 20, 16
_SHOWN = 16


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
        by=columns, policies=policies, price_s=price_s, horizon_s=horizon_s, seed=seed, **period
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
        sys.stdout.write(tuning_text(tuning, page))
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


def tuning_text(tuning: Tuning, page: Path | None = None) -> str:
    """Return the answer in words and tables of at most 100 columns: advice first, then the policies of each group."""
    from wslog.charts.tuning_words import groups
    from wslog.report.tuning_sections import Assumptions, advice_of

    if not len(tuning.policies):
        return "no outage of a client in this selection: client logs are needed to estimate what a policy does\n"
    known = Assumptions()
    lines = [line for _, words in advice_of(tuning, "summary") for line in _wrapped(words)]
    lines += (
        ["", *_wrapped(f"in place now: {tuning.current}")] if lines else _wrapped(f"in place now: {tuning.current}")
    )
    for what, words in zip(tuning.observed["what"], tuning.observed["text"], strict=True):
        lines += _wrapped(f"{what}: {words}", "  ")
    for group in groups(tuning.policies, tuning.by):
        lines += _group_lines(tuning, group, known)
    lines += ["", "i: identified by the logs; a: assumed; b: the logs only bound it; below a value its 95 % interval"]
    for words, number in known.numbers.items():
        lines += _wrapped(f"a{number} assumes: {words}", "   ")
    for kind, head in (("unknown", "unknown"), ("log", "log next"), ("experiment", "experiment"), ("limit", "limit")):
        for title, words in advice_of(tuning, kind):
            lines += ["", *_wrapped(f"{head}: {title} {words}", "   ")]
    lines += [
        "",
        f"wrote {terminal(str(page))}"
        if page is not None
        else "--out DIR writes the page, with charts and configuration",
    ]
    return "\n".join(lines) + "\n"


def _group_lines(tuning: Tuning, group: Group, known: Assumptions) -> list[str]:
    from wslog.charts.tuning_words import estimates, group_rows
    from wslog.charts.words import plural
    from wslog.report.tuning_sections import advice_of

    first = group.rows.iloc[0]
    size = f"{plural(int(first['outage_count']), 'outage')} in {plural(int(first['session_count']), 'session')}"
    lines = ["", terminal(f"{group.label}: {size}")]
    for kind in ("change", "warning"):
        for title, words in advice_of(tuning, kind, group.key):
            lines += _wrapped(f"{title}: {words}" if kind == "change" else f"! {title} {words}", "  ", "  ")
    rows = estimates(group.rows, tuning.by)
    if not any(row.is_ok for row in rows):
        return [*lines, "  too little evidence for any figure"]
    gains = group_rows(tuning.gains, tuning.by, group.key)
    return [*lines, "", *_table(rows, [] if gains is None else estimates(gains, tuning.by), known)]


def _letter(row: Estimate, known: Assumptions) -> str:
    if row.is_bound:
        return "b"
    letter = _LETTERS.get(row.status, "")
    return known.name(row.assumption).replace(" A", ",").lower() if letter == "a" else letter


def _table(rows: list[Estimate], gains: list[Estimate], known: Assumptions) -> list[str]:
    """Return two lines a policy, the values with their letters and the intervals under them; after the recommended policy what
    it gains."""
    from wslog.charts.tuning_words import FIGURES, ROLE_WORDS, interval_words, signed_text, value_text
    from wslog.charts.words import NBSP
    from wslog.report.tuning_sections import in_order

    lines = [" " * _NAME + "".join(f"{FIGURES[name].short:>{_CELL}}" for name in _FIGURES)]
    ordered = in_order(rows)
    for policy, found in ordered[:_SHOWN]:
        role = next(iter(found.values())).role
        words = ROLE_WORDS.get(role, "")
        cells = [_cell(found.get(name), known, lambda row: (value_text(row), interval_words(row))) for name in _FIGURES]
        lines += _two_lines(terminal(policy, _NAME - 1), "" if words == policy else words, cells)
        if role == "recommended" and gains:
            mine = {row.figure: row for row in gains}
            lines += _two_lines("  difference", "", [_cell(mine.get(name), known, signed_text) for name in _FIGURES])
    if len(ordered) > _SHOWN:
        lines.append(f"… {len(ordered) - _SHOWN} more policies: --out DIR or --output csv tells all")
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


def _wrapped(words: str, later: str = "", first: str = "") -> list[str]:
    from wslog.charts.words import NBSP

    inert = terminal(words.replace(NBSP, " "))
    return textwrap.wrap(inert, _WIDTH, initial_indent=first, subsequent_indent=later or first) or [""]
