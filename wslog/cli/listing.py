"""``wslog formats`` and ``wslog schema``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import typer

from wslog.cli.output import print_frame
from wslog.errors import SourceError, WslogError


class FileRefusedError(WslogError):
    """The file named to ``wslog formats`` is none of the formats."""

    exit_code = 3


def formats_listing(path: Path | None, log_format: str | None, kind: str) -> None:
    """Print the formats, or what one file is.

    Raises
    ------
    FileRefusedError
    """
    if path is None:
        _list(kind)
        return
    from wslog.formats.contract import Options
    from wslog.intake.blocks import read_head
    from wslog.intake.source import IngestOptions, check_is_text, choose_format
    from wslog.intake.streams import open_stream

    try:
        stream = open_stream(str(path))
        head = read_head(stream)
        stream.close()
        if not len(head):
            raise SourceError("unknown_format", "empty file")
        check_is_text(head)
        fmt, why, _ = choose_format(head, IngestOptions(reading=Options(log_format=log_format)))
    except SourceError as error:
        raise FileRefusedError(f"{path}: {error}") from error
    record = {
        "path": str(path),
        "format": fmt.name,
        "side": fmt.side,
        "why": why,
        "compression": stream.compression or None,
    }
    if kind == "json":
        typer.echo(json.dumps(record))
    else:
        typer.echo(f"{path}: {fmt.name} ({fmt.title}; {fmt.side} side): {why}")


def _list(kind: str) -> None:
    import pandas as pd

    from wslog.formats.registry import formats

    records: list[dict[str, Any]] = [
        {
            "name": fmt.name,
            "side": fmt.side,
            "title": fmt.title,
            "time_is": fmt.clock.stamp.value,
            "zone": fmt.clock.zone,
            "options": " ".join(fmt.uses),
            "source": fmt.source,
        }
        for fmt in formats()
    ]
    print_frame(pd.DataFrame(records), kind, "formats")


def schema_listing(kind: str) -> None:
    """Print the data dictionary, generated from the registry."""
    import pandas as pd

    from wslog.schema import data_dictionary

    print_frame(pd.DataFrame(data_dictionary()), kind, "schema")
