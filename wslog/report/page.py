"""Put the page together and write it."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pandas as pd
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from wslog.errors import EXIT_CANNOT_WRITE, WslogError
from wslog.report import account, headline, sections
from wslog.report.blocks import Book, Section
from wslog.report.lake import MetricLake
from wslog.report.weeks import monday_of, pick
from wslog.version import __version__

_LEADING = ("client", "proxy", "server")


class ReportWriteError(WslogError):
    """The folder of the report cannot be written; the text says why."""

    exit_code = EXIT_CANNOT_WRITE


def write_report(lake: MetricLake, out_dir: str | os.PathLike[str], week: str | None = None) -> Path:
    """Write the weekly report: one page that needs nothing else, and its charts as PNG files beside it.

    Parameters
    ----------
    lake : MetricLake
        What the numbers come from.
    out_dir : path
        Folder for the files; made when missing.
    week : str, optional
        ISO week like ``2026-W47``. Default: the last week that the logs cover from its first to its last day, else the
        last week with data. The clock is never asked.

    Returns
    -------
    Path
        ``out_dir/report-<week>.html`` (``report-undated.html`` when nothing in the lake has a time). Charts are
        ``out_dir/<week>-<chart>.png``. The same lake and version give the same bytes. A week without data gives a valid
        page that says so.

    Raises
    ------
    UsageError
        ``week`` is no ISO week.
    ReportWriteError
        The folder cannot be written.
    """
    if week is not None:
        monday_of(week)
    folder = writable(Path(out_dir))
    page, charts, stem = render(lake, week)
    target = folder / f"report-{stem}.html"
    for name, png in charts.items():
        replace_file(folder / f"{stem}-{name}.png", png)
    replace_file(target, page.encode("utf-8"))
    return target


def render(lake: MetricLake, week: str | None = None) -> tuple[str, dict[str, bytes], str]:
    """Return the page, its charts as name to PNG, and the week (or ``undated``) for the file names."""
    sources = lake.sources()
    reliability = lake.reliability()
    period = pick(reliability, sources, week)
    seen = {str(side) for side in sources["side"].dropna()} | {str(side) for side in reliability["side"].dropna()}
    sides = tuple(side for side in _LEADING if side in seen)
    book = Book(lake, period, _lead(sides, reliability, period.week), sides, reliability)
    tiles = headline.tiles(book)
    body = [*_body(book), *_other_sides(book)]
    body += [account.definitions_section(book), account.limits_section(book, sources)]
    body.append(account.account_section(sources, lake.rejects()))
    # The loader's own choice of escaping goes by file name; here it is always on.
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    page = environment.get_template("page.html.jinja").render(
        title=f"WebSocket reliability, week {period.week}" if period.week else "WebSocket reliability",
        when=period.in_words if period.week else "logs without times" if len(sources) else "an empty lake",
        lead=book.lead if sides else "",
        banners=headline.banners(book, sources),
        tiles=tiles,
        summary=headline.summary(tiles) if period.has_data and sides else "",
        sections=body,
        version=__version__,
    )
    return page, book.charts, period.stem


def _body(book: Book) -> list[Section]:
    if not book.period.has_data or not book.sides:
        return [sections.weeks_section(book, book.lead)] if book.period.weeks_before else []
    connections = [
        sections.weeks_section(book, book.lead),
        sections.failure_section(book),
        sections.codes_section(book),
    ]
    if book.lead != "client":
        return [*connections, sections.no_sessions_section()]
    return [
        *connections,
        sections.retries_section(book),
        sections.network_section(book),
        sections.outages_section(book),
    ]


def _lead(sides: tuple[str, ...], reliability: pd.DataFrame, week: str | None) -> str:
    """Side that leads the page: client before proxy before server, of those that saw anything in the week."""
    rows = reliability[reliability["iso_week"] == week] if week is not None else reliability
    present = [side for side in sides if (rows["side"] == side).any()]
    return (present or list(sides) or ["client"])[0]


def _other_sides(book: Book) -> list[Section]:
    return [
        sections.other_side_section(book, side) for side in book.sides if side != book.lead and len(book.weekly(side))
    ]


def writable(folder: Path) -> Path:
    """Make the folder and try a file in it, before any number is computed."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise ReportWriteError(
            f"cannot write the report to {str(folder)!a}: {error.strerror or 'not possible'}"
        ) from error
    return folder


def replace_file(path: Path, content: bytes) -> None:
    """Write a file whole or not at all."""
    staged = path.with_name(f".{path.name}.part")
    try:
        staged.write_bytes(content)
        os.replace(staged, path)
    except OSError as error:
        staged.unlink(missing_ok=True)
        raise ReportWriteError(f"cannot write {str(path)!a}: {error.strerror or 'not possible'}") from error
