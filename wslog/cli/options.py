"""Options that several verbs share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

LakeOption = Annotated[Path, typer.Option("--lake", help="Folder of the lake.", show_default=False)]
JsonOption = Annotated[bool, typer.Option("--json", help="Same as --output json.")]
OutputOption = Annotated[
    str, typer.Option("--output", "-o", help="table, json, csv or parquet (parquet needs a pipe or a file).")
]
ByOption = Annotated[
    str | None, typer.Option("--by", metavar="COL[,COL]", help="Columns to group by, for example network_type.")
]
SinceOption = Annotated[str | None, typer.Option("--since", help="From this ISO date or instant on (UTC).")]
UntilOption = Annotated[str | None, typer.Option("--until", help="Before this ISO date or instant (UTC).")]
WeekOption = Annotated[str | None, typer.Option("--week", help="One ISO week, like 2026-W47 (UTC).")]
WhereOption = Annotated[
    str | None, typer.Option("--where", help='Filter: "column op literal [and ...]", like "browser = \'Chrome\'".')
]


def choose(output: str, json: bool, choices: tuple[str, ...] = ("table", "json", "csv", "parquet")) -> str:
    """Return the output kind asked for.

    Raises
    ------
    UsageError
    """
    from wslog.errors import UsageError

    kind = "json" if json else output
    if kind not in choices:
        raise UsageError(f"--output {kind!r}: choose one of {', '.join(choices)}")
    return kind
