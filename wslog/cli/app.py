"""``wslog``: verbs, their options and their exit codes."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from wslog.cli import measuring, policing
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
from wslog.errors import EXIT_BUG, EXIT_INTERRUPTED, EXIT_TERMINATED, WslogError

app = typer.Typer(
    rich_markup_mode=None,  # plain help: importing what draws boxes would take half of the start-up
    name="wslog",
    help="Why do WebSocket connections fail? Reads log dumps of both sides into a Parquet lake, finds the outages, "
    "computes rates with intervals and draws the week.\n\n"
    "Exit codes: 0 done, 2 usage, 3 done but something was refused or read in part, 4 nothing ingested, "
    "5 cannot write, 6 lake busy, 7 lake damaged, 70 a bug.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(asked: bool) -> None:
    if asked:
        from wslog.version import __version__

        typer.echo(f"wslog {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None: ...


@app.command()
def ingest(
    paths: Annotated[
        list[str],
        typer.Argument(
            metavar="PATH...", help="Files, folders, glob patterns, or - for stdin; .gz .zst .bz2 are read."
        ),
    ],
    lake: LakeOption,
    format: Annotated[
        str | None, typer.Option("--format", help="Format of the logs; detected otherwise (wslog formats).")
    ] = None,
    log_format: Annotated[
        str | None, typer.Option("--log-format", help="The nginx log_format string of the logs.")
    ] = None,
    nginx_conf: Annotated[
        Path | None, typer.Option("--nginx-conf", help="nginx configuration file that holds the log_format.")
    ] = None,
    ws_path: Annotated[
        str | None, typer.Option("--ws-path", metavar="REGEX", help="Which request paths are WebSocket endpoints.")
    ] = None,
    source_label: Annotated[
        str | None, typer.Option("--source-label", help="Label kept with the source, for example the host.")
    ] = None,
    tz: Annotated[
        str | None,
        typer.Option("--tz", metavar="ZONE", help="IANA zone of times that carry none (else UTC is assumed)."),
    ] = None,
    keep_ip: Annotated[
        bool, typer.Option("--keep-ip", help="Keep raw client addresses (else only a keyed hash and the /24 or /48).")
    ] = False,
    asn_db: Annotated[
        Path | None,
        typer.Option(
            "--asn-db", metavar="FILE.mmdb", help="MaxMind-format ASN or ISP database: which network a client is on."
        ),
    ] = None,
    id_param: Annotated[
        list[str] | None,
        typer.Option(
            "--id-param",
            metavar="NAME",
            help="Query parameter that holds the id which client and proxy logs share; may be repeated. "
            "Else connection, connection_id, conn_id, request_id, rid; '' for none. Secrets are refused.",
        ),
    ] = None,
    final: Annotated[
        bool, typer.Option("--final", help="The files are complete: a last line without newline counts.")
    ] = False,
    max_reject_pct: Annotated[
        float, typer.Option("--max-reject-pct", help="Exit with 3 when a source rejects more than this.")
    ] = 50.0,
    output: Annotated[str, typer.Option("--output", "-o", help="table or json.")] = "table",
    json: JsonOption = False,
) -> None:
    """Read log dumps into a lake. The same bytes again, plain or compressed, add nothing."""
    from wslog.cli.ingesting import run

    choose(output, json, ("table", "json"))
    raise typer.Exit(
        run(
            paths,
            lake,
            as_json=json or output == "json",
            format=format,
            log_format=log_format,
            nginx_conf=nginx_conf,
            ws_path=ws_path,
            source_label=source_label,
            tz=tz,
            keep_ip=keep_ip,
            asn_db=asn_db,
            id_params=id_param or None,
            final=final,
            max_reject_pct=max_reject_pct,
        )
    )


@app.command()
def formats(
    path: Annotated[Path | None, typer.Argument(help="A log file: say what it is and why.", show_default=False)] = None,
    log_format: Annotated[
        str | None, typer.Option("--log-format", help="The nginx log_format string of the logs.")
    ] = None,
    output: Annotated[str, typer.Option("--output", "-o", help="table or json.")] = "table",
    json: JsonOption = False,
) -> None:
    """List the log formats; with a PATH, say what it is and why."""
    from wslog.cli.listing import formats_listing

    formats_listing(path, log_format, choose(output, json, ("table", "json")))


measuring.add_to(app)
policing.add_to(app)


@app.command()
def diagnose(
    lake: LakeOption,
    session: Annotated[str | None, typer.Option("--session", help="Tell the story of one session.")] = None,
    by: ByOption = None,
    since: SinceOption = None,
    until: UntilOption = None,
    week: WeekOption = None,
    where: WhereOption = None,
    output: Annotated[str, typer.Option("--output", "-o", help="table or json.")] = "table",
    json: JsonOption = False,
) -> None:
    """Why: the cause of every abnormal end and failed connect, with evidence and what to change."""
    from wslog.cli.diagnosing import run

    kind = choose(output, json, ("table", "json"))
    run(lake, by=by, session=session, since=since, until=until, week=week, where=where, kind=kind)


@app.command()
def agreement(
    lake: LakeOption,
    by: ByOption = None,
    since: SinceOption = None,
    until: UntilOption = None,
    week: WeekOption = None,
    where: WhereOption = None,
    output: OutputOption = "table",
    json: JsonOption = False,
) -> None:
    """Both sides: what servers and proxies saw of the connections that clients tell about, and how they were joined."""
    from wslog.cli.agreeing import run

    run(lake, by=by, since=since, until=until, week=week, where=where, kind=choose(output, json))


@app.command()
def table(
    name: Annotated[str, typer.Argument(help="events, attempts, episodes, matches, sources, rejects or herds.")],
    lake: LakeOption,
    output: OutputOption = "table",
    json: JsonOption = False,
) -> None:
    """Print or export a table of the lake."""
    from wslog.api import open_lake
    from wslog.cli.output import print_frame
    from wslog.errors import UsageError
    from wslog.schema import TABLES

    if name not in TABLES:
        raise UsageError(f"no table {name!r}: choose one of {', '.join(TABLES)}")
    frame = getattr(open_lake(lake), name)()
    print_frame(frame, choose(output, json), title=name)


@app.command()
def report(
    lake: LakeOption,
    out: Annotated[Path, typer.Option("--out", help="Folder for the page and its charts.", show_default=False)],
    week: WeekOption = None,
    output: Annotated[str, typer.Option("--output", "-o", help="table or json.")] = "table",
    json: JsonOption = False,
) -> None:
    """Write the weekly page: one self-contained HTML file, and its charts as PNG."""
    from wslog.api import open_lake

    # matplotlib keeps a list of fonts; with the lake, not in somebody's home folder
    os.environ.setdefault("MPLCONFIGDIR", str(lake / "_wslog" / "cache" / "matplotlib"))
    page = open_lake(lake).report(out, week)
    if choose(output, json, ("table", "json")) == "json":
        import json as json_module

        typer.echo(json_module.dumps({"page": str(page), "charts": sorted(str(p) for p in page.parent.glob("*.png"))}))
    else:
        typer.echo(f"wrote {page}")


@app.command()
def tune(
    lake: LakeOption,
    by: Annotated[
        str, typer.Option("--by", metavar="COL[,COL]", help="One recommendation for each; '' for all together.")
    ] = "network_type",
    policy: Annotated[
        list[str] | None,
        typer.Option(
            "--policy", metavar="NAME|FILE", help="Preset or TOML file to compare; may be repeated. Else all presets."
        ),
    ] = None,
    current: Annotated[
        str | None,
        typer.Option(
            "--current", metavar="NAME|FILE", help="The policy the logs were recorded under; else what they show."
        ),
    ] = None,
    price: Annotated[
        float, typer.Option("--price", metavar="S", help="Seconds of downtime that one attempt is worth.")
    ] = 1.0,
    horizon: Annotated[
        float, typer.Option("--horizon", metavar="S", help="How many seconds an outage is followed, 900 at most.")
    ] = 600.0,
    seed: Annotated[int, typer.Option("--seed", help="The same seed gives the same numbers.")] = 0,
    out: Annotated[
        Path | None, typer.Option("--out", help="Folder for the page and its charts.", show_default=False)
    ] = None,
    since: SinceOption = None,
    until: UntilOption = None,
    week: WeekOption = None,
    where: WhereOption = None,
    output: OutputOption = "table",
    json: JsonOption = False,
) -> None:
    """What the reconnect policy should be: replay others on the outages of the lake, recommend one, say how sure."""
    from wslog.cli.tuning import run

    run(
        lake,
        by=by,
        policies=policy or (),
        current=current,
        price_s=price,
        horizon_s=horizon,
        seed=seed,
        out=out,
        kind=choose(output, json),
        since=since,
        until=until,
        week=week,
        where=where,
    )


@app.command()
def explain(
    code: Annotated[
        str,
        typer.Argument(help='A close code (1006), its name ("going away") or the HTTP status of a handshake (502).'),
    ],
    lake: Annotated[
        Path | None, typer.Option("--lake", help="Say also what this lake shows about it.", show_default=False)
    ] = None,
    lang: Annotated[str | None, typer.Option("--lang", help="en or zh; else from LC_ALL, LC_MESSAGES, LANG.")] = None,
    full: Annotated[bool, typer.Option("--full", help="1006: also services, timeouts, snippets, sources.")] = False,
    output: Annotated[str, typer.Option("--output", "-o", help="table or json.")] = "table",
    json: JsonOption = False,
) -> None:
    """Say what a close code means, what causes it and what to do next."""
    from wslog.cli.explaining import explain_code

    explain_code(code, lake, lang, choose(output, json, ("table", "json")), full)


@app.command()
def simulate(
    out: Annotated[Path, typer.Option("--out", help="A new or empty folder.", show_default=False)],
    users: Annotated[int, typer.Option("--users", help="How many users.")] = 200,
    days: Annotated[float, typer.Option("--days", help="How many days.")] = 7.0,
    start: Annotated[str, typer.Option("--start", help="First day (ISO date, UTC).")] = "2026-01-05",
    seed: Annotated[int, typer.Option("--seed", help="The same seed gives the same bytes.")] = 1,
    scenario: Annotated[
        str, typer.Option("--scenario", help="Ingredients (comma list), all, everything or none.")
    ] = "all",
    formats: Annotated[
        str | None, typer.Option("--formats", help="Log formats (comma list); all when not given.")
    ] = None,
    sampling: Annotated[float, typer.Option("--sampling", help="Share of sessions that are logged.")] = 1.0,
    policy: Annotated[
        str, typer.Option("--policy", help="What the clients do: a name of 'wslog policies', or a TOML file.")
    ] = "linear-3",
    mess: Annotated[
        str, typer.Option("--mess", help="Lost, doubled and late lines, wrong clocks: none, light or heavy.")
    ] = "none",
    output: Annotated[str, typer.Option("--output", "-o", help="table or json.")] = "table",
    json: JsonOption = False,
) -> None:
    """Write logs of a made-up world with known truth (GENERATED, not real)."""
    from wslog.cli.simulating import run

    run(
        out,
        users=users,
        days=days,
        start=start,
        seed=seed,
        scenario=scenario,
        formats=formats,
        sampling=sampling,
        policy=policy,
        mess=mess,
        as_json=choose(output, json, ("table", "json")) == "json",
    )


@app.command()
def schema(
    output: OutputOption = "table",
    json: JsonOption = False,
) -> None:
    """Print the data dictionary: every table and column, with units and what null means."""
    from wslog.cli.listing import schema_listing

    schema_listing(choose(output, json))


def main() -> None:
    """Run the command line and leave with its exit code."""
    signal.signal(signal.SIGTERM, _on_sigterm)
    try:
        app()
    except WslogError as error:
        _say(f"wslog: {error}")
        _leave(error.exit_code)
    except KeyboardInterrupt:
        _leave(EXIT_INTERRUPTED)
    except Exception:
        import traceback

        traceback.print_exc()
        _say("wslog: this is a bug in wslog; nothing of the source at hand was added to the lake")
        _leave(EXIT_BUG)


def _say(text: str) -> None:
    from wslog.safe_text import terminal

    print(terminal(text), file=sys.stderr)


def _on_sigterm(signum: int, frame: Any) -> None:
    raise SystemExit(EXIT_TERMINATED)


def _leave(code: int) -> None:
    sys.exit(code)
