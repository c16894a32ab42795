"""The command line is a twin of the library: same numbers, machine-readable output and nothing else on stdout."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
import typer.main

import wslog
from wslog.cli.app import app
from wslog.errors import EXIT_DAMAGED, EXIT_NOTHING, EXIT_USAGE
from wslog.schema import COLUMNS, METRIC_COLUMNS, TABLES

ROOT = Path(__file__).parent.parent
METRICS = ("close-codes", "retries", "fallback", "reliability")


def run(*arguments: object, check: bool = True, **more: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "wslog", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=check, cwd=ROOT, **more)  # type: ignore[call-overload,no-any-return]


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("cli") / "lake"
    wslog.ingest(sorted((ROOT / "data/demo/generated").glob("*W4[67]*.gz")), path)
    return path


def test_ingest_json_is_the_account_and_nothing_else(tmp_path: Path) -> None:
    done = run(
        "ingest",
        "data/demo/generated/generated-client-2026-W47.ndjson.gz",
        "nowhere.log",
        "--lake",
        tmp_path / "lake",
        "--json",
        check=False,
    )
    assert done.returncode == 3
    report = json.loads(done.stdout)
    good, bad = report["sources"]
    assert {"path", "format", "lines_in", "event_lines", "rejected", "ignored", "status"} <= set(good)
    assert good["lines_in"] == good["event_lines"] + good["rejected"] + good["ignored"] > 1000
    assert report["totals"]["lines_in"] == good["lines_in"]
    assert (bad["status"], bad["reason"]) == ("refused", "not_found")
    assert done.stderr.splitlines() == ["nowhere.log: refused (not_found): no such file"]


def test_an_empty_file_is_said_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "empty.log").write_bytes(b"")
    done = run("ingest", tmp_path / "empty.log", "--lake", tmp_path / "lake")
    assert done.stderr == f"{tmp_path / 'empty.log'}: empty file\n"


def test_ingest_prints_the_account(tmp_path: Path) -> None:
    done = run("ingest", "data/demo/generated/generated-client-2026-W47.ndjson.gz", "--lake", tmp_path / "lake")
    for word in ("lines in", "event lines", "rejected", "ignored", "wslog_client", "ingested"):
        assert word in done.stdout
    assert done.stderr == ""  # quiet in a pipe


@pytest.mark.parametrize("verb", METRICS)
def test_metrics_equal_the_library(lake: Path, verb: str) -> None:
    twin = getattr(wslog.open_lake(lake), verb.replace("-", "_"))(by=["network_type"])
    printed = json.loads(run(verb, "--lake", lake, "--by", "network_type", "--json").stdout)
    assert len(printed) == len(twin) > 3
    assert set(METRIC_COLUMNS) | {"network_type"} <= set(printed[0])
    assert json.loads(run(verb, "--lake", lake, "--by", "network_type", "--output", "json").stdout) == printed
    for record, row in zip(printed, twin.to_dict("records"), strict=True):
        for name, value in record.items():
            if value is None:
                assert pd.isna(row[name])
            else:
                assert value == (pytest.approx(row[name], rel=1e-12) if isinstance(value, float) else row[name])
    csv = pd.read_csv(io.StringIO(run(verb, "--lake", lake, "--by", "network_type", "-o", "csv").stdout))
    assert list(csv["network_type"]) == [r["network_type"] for r in printed]
    command = [sys.executable, "-m", "wslog", verb, "--lake", str(lake), "--by", "network_type", "-o", "parquet"]
    parquet = pd.read_parquet(io.BytesIO(subprocess.run(command, capture_output=True, check=True, cwd=ROOT).stdout))
    assert list(parquet["network_type"]) == [r["network_type"] for r in printed]


def test_close_codes_records_have_the_agreed_keys(lake: Path) -> None:
    records = json.loads(run("close-codes", "--lake", lake, "--json").stdout)
    assert {"side", "close_code", "close_code_source", *METRIC_COLUMNS} <= set(records[0])
    assert sum(r["value"] for r in records) == pytest.approx(1.0)
    assert {r["close_code"] for r in records} >= {1000, 1006, 1012}


@pytest.mark.parametrize("name", TABLES)
def test_tables_print_and_export(lake: Path, name: str) -> None:
    assert isinstance(json.loads(run("table", name, "--lake", lake, "--json").stdout), list)
    assert run("table", name, "--lake", lake).stdout


def test_schema_lists_every_column() -> None:
    records = json.loads(run("schema", "--json").stdout)
    assert {(r["table"], r["column"]) for r in records} == {(t.name, c) for t in TABLES.values() for c in t.columns}
    assert all(r["meaning"] for r in records)
    assert all(COLUMNS[r["column"]].meaning == r["meaning"] for r in records)


def test_formats_lists_and_explains() -> None:
    names = {r["name"] for r in json.loads(run("formats", "--json").stdout)}
    assert names >= {"wslog_client", "nginx_access", "browser_console", "haproxy_http", "cloudflare_tail"}
    record = json.loads(
        run("formats", "data/demo/generated/generated-client-2026-W47.ndjson.gz", "--output", "json").stdout
    )
    assert (record["format"], record["compression"]) == ("wslog_client", "gzip")
    assert record["why"]
    assert run("formats", "LICENSE", check=False).returncode == 3


@pytest.mark.parametrize(
    ("arguments", "code", "word"),
    [
        (["close-codes", "--lake", "nowhere"], EXIT_USAGE, "no lake at nowhere"),
        (["close-codes", "--lake", "{lake}", "--by", "netwrok_type"], EXIT_USAGE, "network_type"),
        (["close-codes", "--lake", "{lake}", "--where", "1=1; drop table events"], EXIT_USAGE, "cannot read"),
        (["close-codes", "--lake", "{lake}", "--week", "47"], EXIT_USAGE, "2026-W47"),
        (["close-codes", "--lake", "{lake}", "-o", "xml"], EXIT_USAGE, "table, json, csv, parquet"),
        (["table", "event", "--lake", "{lake}"], EXIT_USAGE, "events, "),
        (["ingest", "x", "--lake", "{lake}", "--format", "ngnix"], EXIT_USAGE, "nginx_access"),
        (["ingest", "x", "--lake", "{lake}", "--tz", "Mars/Olympus"], EXIT_USAGE, "IANA"),
        (["ingest", "nowhere.log", "--lake", "{lake}"], EXIT_NOTHING, "no such file"),
    ],
)
def test_errors_are_one_line_that_names_the_choices(lake: Path, arguments: list[str], code: int, word: str) -> None:
    done = run(*(a.replace("{lake}", str(lake)) for a in arguments), check=False)
    assert done.returncode == code
    assert word in done.stderr
    assert done.stderr.count("\n") == 1
    assert "Traceback" not in done.stderr


def test_a_damaged_ledger_is_exit_7(tmp_path: Path) -> None:
    wslog.ingest(ROOT / "data/demo/generated/generated-client-2026-W47.ndjson.gz", tmp_path / "lake")
    entry = next((tmp_path / "lake/_wslog/ledger").glob("*.json"))
    entry.write_text(entry.read_text()[:100])
    done = run("close-codes", "--lake", tmp_path / "lake", check=False)
    assert (done.returncode, done.stderr.count("\n")) == (EXIT_DAMAGED, 1)


def test_a_closed_pipe_is_no_error(lake: Path) -> None:
    shell = f"set -o pipefail; {sys.executable} -m wslog table events --lake {lake} -o csv | head -1"
    done = subprocess.run(["bash", "-c", shell], capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode in (0, 141)
    assert "Traceback" not in done.stderr


def test_every_verb_has_help_a_readme_mention_and_a_twin() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    verbs = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    for name, command in verbs.items():
        assert command.help, name
        assert f"`wslog {name}" in readme, name
        for parameter in command.params:
            assert getattr(parameter, "help", None) or parameter.param_type_name == "argument", (name, parameter.name)
    assert set(METRICS) < set(verbs)


def test_the_demo_of_the_readme_is_read_without_a_warning(tmp_path: Path) -> None:
    # all logs at once: several formats, and text without times; a warning is an error here
    wslog.ingest(ROOT / "data/demo", tmp_path / "lake")
    demo = wslog.open_lake(tmp_path / "lake")
    frames = [
        demo.close_codes(),
        demo.retries(),
        demo.fallback(),
        demo.reliability(),
        demo.failure_definitions(),
        demo.slo(0.99),
    ]
    assert all(len(frame) for frame in frames)
    assert len(demo.diagnose().attempts) > 5000
    assert len(demo.agreement().matrix)
    assert demo.explain(1006).evidence is not None


def test_importing_the_command_line_is_light() -> None:
    code = "import sys, wslog.cli; print([m for m in ('pandas', 'pyarrow', 'duckdb', 'matplotlib', 'numpy') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.strip() == "[]"


def test_sigterm_leaves_with_143(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "wslog", "ingest", "-", "--lake", str(tmp_path / "lake")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, cwd=ROOT) as child:
        assert child.stdin is not None
        child.stdin.write(b'{"ts":1794000000000,"event":"open"}\n')
        child.stdin.flush()
        while not (tmp_path / "lake" / "_wslog" / "lake.json").exists():
            os.sched_yield()
        child.terminate()
        assert child.wait(20) == 143
    assert not list((tmp_path / "lake" / "_wslog" / "ledger").iterdir())
