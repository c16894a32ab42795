"""Frames to a terminal, to JSON, CSV or Parquet on standard output."""

from __future__ import annotations

import json
import os
import sys
from typing import TYPE_CHECKING, Any

from wslog.errors import EXIT_PIPE_CLOSED, UsageError
from wslog.safe_text import spreadsheet_cell, terminal

if TYPE_CHECKING:
    import pandas as pd

_ROWS_SHOWN = 200
_METRIC = ("value", "numerator", "denominator", "excluded_count", "ci_low", "ci_high", "state")


def print_frame(frame: pd.DataFrame, kind: str, title: str) -> None:
    """Print a frame; ``json``, ``csv`` and ``parquet`` put nothing else on standard output."""
    try:
        _print_frame(frame, kind, title)
        sys.stdout.flush()
    except BrokenPipeError:
        # the reader of the pipe has left: nothing is wrong, and the flush at exit must not complain
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SystemExit(EXIT_PIPE_CLOSED) from None


def _print_frame(frame: pd.DataFrame, kind: str, title: str) -> None:
    if kind == "json":
        sys.stdout.write(to_json(frame) + "\n")
    elif kind == "csv":
        import pandas as pd

        cells = {
            name: frame[name]
            if _is_number(frame[name])
            else [None if _is_null(v) else spreadsheet_cell(_plain(v)) for v in frame[name]]
            for name in frame.columns
        }
        pd.DataFrame(cells).to_csv(sys.stdout, index=False, lineterminator="\n")
    elif kind == "parquet":
        if sys.stdout.isatty():
            raise UsageError("--output parquet writes bytes: send it to a file with '> FILE.parquet'")
        sys.stdout.buffer.write(to_parquet(frame))
    else:
        print_table(frame, title)


def to_json(frame: pd.DataFrame) -> str:
    """Return a frame as a JSON array of records: instants in ISO 8601, null for what is missing."""
    columns = [[None if _is_null(v) else _plain(v) for v in frame[name]] for name in frame.columns]
    names = list(frame.columns)
    records = [dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True)]
    return json.dumps(records, indent=1, allow_nan=False)


def to_parquet(frame: pd.DataFrame) -> bytes:
    import io

    sink = io.BytesIO()
    frame.to_parquet(sink, index=False)
    return sink.getvalue()


def print_table(frame: pd.DataFrame, title: str) -> None:
    """Print an aligned table; metric columns become one estimate with its interval and counts."""
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console(width=None if sys.stdout.isatty() else 200, highlight=False, soft_wrap=False)
    if frame.empty:
        console.print(Text(f"{title}: no rows"))
        return
    is_metric = set(_METRIC) <= set(frame.columns)
    is_comparison = "verdict" in frame.columns and "before" in frame.columns
    keys = [c for c in frame.columns if not (is_metric and c in (*_METRIC, "from_at", "until_at"))]
    if is_comparison:
        keys = keys[: keys.index("before")]
    shown = [c for c in keys if not frame[c].isna().all()] or keys
    table = Table(box=SIMPLE_HEAD, show_edge=False, pad_edge=False, title=None)
    for name in shown:
        table.add_column(Text(name), justify="right" if _is_number(frame[name]) else "left", overflow="fold")
    if is_metric:
        for name in ("value", "95 % interval", "counts", "left out"):
            table.add_column(name, justify="right", no_wrap=True)
    if is_comparison:
        for name in ("before", "after", "difference", "95 % interval", "q", "verdict"):
            table.add_column(name, justify="left" if name == "verdict" else "right", no_wrap=True)
    head = frame.head(_ROWS_SHOWN)
    columns = [[terminal(_short(v)) for v in head[name]] for name in shown]
    extra = _estimates(head) if is_metric else _changes(head) if is_comparison else []
    for row in zip(*columns, *extra, strict=True):
        table.add_row(*(Text(cell) for cell in row))
    console.print(table)
    if len(frame) > _ROWS_SHOWN:
        console.print(Text(f"… {len(frame) - _ROWS_SHOWN} more rows: --output csv or json prints all"))


def _estimates(frame: pd.DataFrame) -> list[list[str]]:
    """Return four columns of text: the value, its interval, numerator / denominator, and what was left out."""
    names = frame["metric"] if "metric" in frame.columns else [None] * len(frame)
    values, intervals, counts, excluded = [], [], [], []
    for metric, found in zip(names, frame[list(_METRIC)].itertuples(index=False), strict=True):
        row: Any = found
        is_share = _is_share(metric)
        if row.state == "insufficient" or _is_null(row.value):
            values.append("too little")
        else:
            values.append(_number(row.value, is_share))
        ends = ["" if _is_null(end) else _number(end, is_share) for end in (row.ci_low, row.ci_high)]
        # a curve that does not come down so far has no upper end
        intervals.append(" – ".join(ends) if all(ends) else f"{ends[0]} –" if ends[0] else "")
        counts.append(f"{_count(row.numerator)} / {_count(row.denominator)}")
        excluded.append(_count(row.excluded_count) if row.excluded_count else "")
    return [values, intervals, counts, excluded]


def _changes(frame: pd.DataFrame) -> list[list[str]]:
    """Return six columns of text: both values, their difference with its interval, q-value and verdict."""
    rows = []
    for row in frame.to_dict("records"):
        is_share = _is_share(row.get("metric"))
        before, after, difference, low, high = (
            "" if _is_null(row[name]) else _number(row[name], is_share)
            for name in ("before", "after", "difference", "ci_low", "ci_high")
        )
        interval = f"{low} – {high}" if low and high else ""
        # a difference of shares is in points, not in per cent
        difference, interval = difference.replace("%", "pt"), interval.replace("%", "pt")
        q = "" if _is_null(row["q_value"]) else f"{row['q_value']:.2g}"
        verdict = str(row["verdict"]).replace("_", " ")
        rows.append((before or "too little", after or "too little", difference, interval, q, verdict))
    return [list(column) for column in zip(*rows, strict=True)]


def _is_share(metric: Any) -> bool:
    # a frame without metrics is of shares: codes, causes, definitions
    return metric is None or str(metric).endswith(("_rate", "_success", "_ratio"))


def _number(value: float, is_share: bool) -> str:
    if is_share:
        # near 0 and 100 % the digits that matter come later
        rest = min(abs(value), abs(1 - value))
        return f"{100 * value:.{1 if rest >= 0.01 or rest == 0 else 2 if rest >= 0.001 else 3}f} %"
    return f"{value:,.3g}" if abs(value) < 1000 else f"{value:,.0f}"


def _count(value: Any) -> str:
    if _is_null(value):
        return "?"
    return f"{value:,.0f}" if float(value).is_integer() else f"{value:,.1f}"


def _short(value: Any) -> str:
    if _is_null(value):
        return ""
    if isinstance(value, float):
        return f"{value:.6g}"
    text = str(_plain(value))
    return text if len(text) <= 80 else text[:79] + "…"


def _plain(value: Any) -> Any:
    """Return a value json can write: numpy scalars unwrapped, instants as ISO 8601 UTC."""
    if hasattr(value, "isoformat"):
        return value.isoformat().replace("+00:00", "Z")
    if hasattr(value, "item"):
        return value.item()
    return value


def _is_null(value: Any) -> bool:
    import pandas as pd

    return value is None or (pd.api.types.is_scalar(value) and bool(pd.isna(value)))


def _is_number(column: pd.Series[Any]) -> bool:
    import pandas as pd

    return bool(pd.api.types.is_numeric_dtype(column)) and not pd.api.types.is_bool_dtype(column)
