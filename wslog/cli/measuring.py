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


def add_to(app: typer.Typer) -> None:
    """Register the verbs of this module."""
    app.command("close-codes")(close_codes)
    app.command()(retries)
    app.command()(fallback)
    app.command()(reliability)


def close_codes(
    lake: LakeOption,
    by: ByOption = None,
    since: SinceOption = None,
    until: UntilOption = None,
    week: WeekOption = None,
    where: WhereOption = None,
    output: OutputOption = "table",
    json: JsonOption = False,
) -> None:
    """Close-code distribution: share of ended attempts, by side, code and where the code comes from."""
    _print("close_codes", lake, choose(output, json), by, since=since, until=until, week=week, where=where)


def retries(
    lake: LakeOption,
    by: ByOption = None,
    since: SinceOption = None,
    until: UntilOption = None,
    week: WeekOption = None,
    where: WhereOption = None,
    output: OutputOption = "table",
    json: JsonOption = False,
) -> None:
    """Retry outcomes: P(success at retry k) and the time to recover."""
    _print("retries", lake, choose(output, json), by, since=since, until=until, week=week, where=where)


def fallback(
    lake: LakeOption,
    by: ByOption = None,
    since: SinceOption = None,
    until: UntilOption = None,
    week: WeekOption = None,
    where: WhereOption = None,
    output: OutputOption = "table",
    json: JsonOption = False,
) -> None:
    """Fallback rates: sessions and outages that ended on polling or SSE, and what sent them there."""
    _print("fallback", lake, choose(output, json), by, since=since, until=until, week=week, where=where)


def reliability(
    lake: LakeOption,
    by: ByOption = None,
    since: SinceOption = None,
    until: UntilOption = None,
    week: WeekOption = None,
    where: WhereOption = None,
    definitions: Annotated[
        bool, typer.Option("--definitions", help="The failure rate under each definition, side by side.")
    ] = False,
    output: OutputOption = "table",
    json: JsonOption = False,
) -> None:
    """Weekly reliability: connect success, drops and downtime per connected hour, connected time, lifetimes, fallback."""
    name, kind = "failure_definitions" if definitions else "reliability", choose(output, json)
    frame = _frame(name, lake, by, since=since, until=until, week=week, where=where)
    if not definitions or kind != "table":
        return _show(frame, kind, name)
    words = ("numerator_is", "denominator_is", "sentence")
    said = frame.drop_duplicates("definition")
    _show(frame.drop(columns=list(words)), kind, name)
    return _explain(said)


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
    _show(_frame(name, lake, by, **asked), kind, name)
