"""The verbs that measure: each prints a metric frame."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from wslog.cli.options import (
    ByOption,
    JsonOption,
    LakeOption,
    OutputOption,
    SinceOption,
    UntilOption,
    WeekOption,
    WhereOption,
    choose,
)
from wslog.errors import UsageError

CompareOption = Annotated[
    str | None,
    typer.Option(
        "--compare",
        metavar="WEEK|FILTER",
        help="Say what changed since this ISO week, or against this filter, like \"browser_version = '130'\".",
    ),
]


def add_to(app: typer.Typer) -> None:
    """Register the verbs of this module."""
    app.command("close-codes")(close_codes)
    app.command()(retries)
    app.command()(fallback)
    app.command()(reliability)
    app.command()(slo)


def close_codes(
    lake: LakeOption,
    by: ByOption = None,
    since: SinceOption = None,
    until: UntilOption = None,
    week: WeekOption = None,
    where: WhereOption = None,
    compare: CompareOption = None,
    output: OutputOption = "table",
    json: JsonOption = False,
) -> None:
    """Close-code distribution: share of ended attempts, by side, code and where the code comes from."""
    _print(
        "close_codes", lake, choose(output, json), by, since=since, until=until, week=week, where=where, compare=compare
    )


def retries(
    lake: LakeOption,
    by: ByOption = None,
    since: SinceOption = None,
    until: UntilOption = None,
    week: WeekOption = None,
    where: WhereOption = None,
    compare: CompareOption = None,
    output: OutputOption = "table",
    json: JsonOption = False,
) -> None:
    """Retry outcomes: P(success at retry k) and the time to recover."""
    _print("retries", lake, choose(output, json), by, since=since, until=until, week=week, where=where, compare=compare)


def fallback(
    lake: LakeOption,
    by: ByOption = None,
    since: SinceOption = None,
    until: UntilOption = None,
    week: WeekOption = None,
    where: WhereOption = None,
    compare: CompareOption = None,
    output: OutputOption = "table",
    json: JsonOption = False,
) -> None:
    """Fallback rates: sessions and outages that ended on polling or SSE, and what sent them there."""
    _print(
        "fallback", lake, choose(output, json), by, since=since, until=until, week=week, where=where, compare=compare
    )


def reliability(
    lake: LakeOption,
    by: ByOption = None,
    since: SinceOption = None,
    until: UntilOption = None,
    week: WeekOption = None,
    where: WhereOption = None,
    compare: CompareOption = None,
    definitions: Annotated[
        bool, typer.Option("--definitions", help="The failure rate under each definition, side by side.")
    ] = False,
    output: OutputOption = "table",
    json: JsonOption = False,
) -> None:
    """Weekly reliability: connect success, drops and downtime per connected hour, connected time, lifetimes, fallback."""
    kind = choose(output, json)
    if not definitions:
        return _print("reliability", lake, kind, by, since=since, until=until, week=week, where=where, compare=compare)
    if compare is not None:
        raise UsageError("give --definitions or --compare, not both")
    name = "failure_definitions"
    frame = _frame(name, lake, by, since=since, until=until, week=week, where=where)
    if kind != "table":
        return _show(frame, kind, name)
    words = ("numerator_is", "denominator_is", "sentence")
    said = frame.drop_duplicates("definition")
    _show(frame.drop(columns=list(words)), kind, name)
    return _explain(said)


def slo(
    lake: LakeOption,
    objective: Annotated[
        float, typer.Option("--objective", help="Share of good events, like 0.99.", show_default=False)
    ],
    metric: Annotated[
        str, typer.Option("--metric", help="connect_success_rate or connected_time_ratio.")
    ] = "connect_success_rate",
    by: ByOption = None,
    since: SinceOption = None,
    until: UntilOption = None,
    week: WeekOption = None,
    where: WhereOption = None,
    output: OutputOption = "table",
    json: JsonOption = False,
) -> None:
    """An objective: met or not, its error budget, and the burn rate in windows that end with the data."""
    kind = choose(output, json)
    frame = _frame(
        "slo", lake, by, objective=objective, metric=metric, since=since, until=until, week=week, where=where
    )
    if kind != "table":
        return _show(frame, kind, "slo")
    return _show_budget(frame, objective)


def _show_budget(frame: Any, objective: float) -> None:
    """Print objectives as a narrow table of words; the other outputs hold every column."""
    import sys

    import pandas as pd

    from wslog.charts.words import METRICS, between, count, in_words, percent

    own = ("side", "metric", "window")
    groups = list(frame.columns[: list(frame.columns).index("side")])
    records = []
    for row in frame.to_dict("records"):
        is_known = row["state"] == "ok"
        kind = METRICS[str(row["metric"])].kind
        spent = row["budget_spent_ratio"]
        records.append(
            {
                **{name: row[name] for name in (*groups, *own) if name != "metric"},
                "good / all": f"{count(row['numerator'])} / {count(row['denominator'])}",
                "share": percent(row["value"]) if is_known else "too little",
                "95 % interval": between(row["ci_low"], row["ci_high"], kind) if is_known else "",
                "burn": f"{in_words(row['burn_rate'], 'times')}" if is_known else "",
                "burn interval": between(row["burn_ci_low"], row["burn_ci_high"], "times") if is_known else "",
                "budget spent": percent(spent) if spent == spent else "",
                "verdict": row["verdict"],
            }
        )
    _show(pd.DataFrame(records), "table", "slo")
    if len(frame):
        start = frame.loc[frame["window"] == "period", "from_at"].min()
        sys.stdout.write(
            f"objective {percent(objective)} of {frame['metric'].iloc[0]}; period and windows end at {frame['until_at'].max()}, "
            f"where the data ends;\nthe period begins at {start}. Budget spent: by the window, of the period's budget.\n"
        )


def _explain(said: Any) -> None:
    """Print what each definition counts, one paragraph each."""
    import sys
    import textwrap

    lines = []
    for row in said.to_dict("records"):
        text = f"{row['definition']}: {row['numerator_is']} / {row['denominator_is']}. {row['sentence']}"
        lines += textwrap.wrap(text, 100, subsequent_indent="  ")
    sys.stdout.write("\n" + "\n".join(lines) + "\n")


def _frame(name: str, lake: Any, by: str | None, **asked: Any) -> Any:
    from wslog.api import open_lake

    columns = [column.strip() for column in by.split(",") if column.strip()] if by else []
    return getattr(open_lake(lake), name)(by=columns, **asked)


def _show(frame: Any, kind: str, name: str) -> None:
    from wslog.cli.output import print_frame

    print_frame(frame, kind, title=name.replace("_", " "))


def _print(name: str, lake: Any, kind: str, by: str | None, **asked: Any) -> None:
    frame = _frame(name, lake, by, **asked)
    _show(frame, kind, name)
    if kind == "table" and asked.get("compare") is not None:
        _say_days(frame)


def _say_days(frame: Any) -> None:
    """Print which days a comparison is of, and how its verdicts are to be read."""
    import sys

    if frame.empty:
        sys.stdout.write("no day with data on both sides of the comparison\n")
        return
    for days, left_out in frame[["days_compared", "days_left_out"]].drop_duplicates().itertuples(index=False):
        sys.stdout.write(f"{days} common days" + (f"; left out: {left_out}" if left_out else "") + "\n")
    sys.stdout.write(
        "Intervals are 95 % each; verdicts go by q, corrected for the number of rows. No evidence of change (of a tenth\n"
        "or more) does not mean that nothing changed.\n"
    )
