"""Ids that client and proxy logs share: taken from the query of the request target, and nothing else of it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest

import wslog
from tests.intake.test_networks import access_line
from wslog.errors import EXIT_USAGE, UsageError
from wslog.intake.shared_ids import DEFAULT_ID_PARAMS, check_id_params, ids_in


@pytest.mark.parametrize(
    ("target", "found"),
    [
        ("/ws?connection=abc123", "abc123"),
        ("/ws?v=1&rid=a.b_c~d-1&x=2", "a.b_c~d-1"),
        ("wss://h.example/ws?x=1&conn_id=abcdef#frag", "abcdef"),
        ("/ws?rid=first1&connection=second", "first1"),
        ("/ws?rid=short&connection=second", "second"),  # the first that is an id
        ("/ws?connection=" + "a" * 64, "a" * 64),
        ("/ws?connection=" + "a" * 65, None),
        ("/ws?connection=abcde", None),
        ("/ws?connection=abc%20123", None),
        ("/ws?connection=abc+123", None),
        ("/ws?connection=名前名前名前", None),
        ("/ws?myconnection=abc123", None),
        ("/ws?connectionx=abc123", None),
        ("/ws?Connection=abc123", None),
        ("/ws?token=secret123", None),
        ("/ws?redirect=/a?connection=abc123", None),  # the value of another parameter
        ("/ws&connection=abc123", None),  # a path
        ("/ws#?connection=abc123", None),  # a fragment
        ("/ws#a&connection=abc123", None),
        ("/ws?rid=203.0.113.77", None),  # an address
        ("/ws?rid=eyJhbGciOi.J9.eyJz", None),  # a token
        ("/ws?connection=", None),
        ("/ws", None),
        (None, None),
    ],
)
def test_the_id_of_a_target(target: str | None, found: str | None) -> None:
    ids = ids_in(pa.array([target, "/x?rid=others"], pa.string()), DEFAULT_ID_PARAMS)
    assert ids is not None
    assert ids.to_pylist() == [found, "others"]


def test_without_queries_or_names_there_is_nothing_to_do() -> None:
    assert ids_in(pa.array(["/ws", None, "/chat/1"]), DEFAULT_ID_PARAMS) is None
    assert ids_in(pa.array(["/ws?token=abcdef"]), DEFAULT_ID_PARAMS) is None
    assert ids_in(pa.array(["/ws?rid=abcdef"]), ()) is None
    assert ids_in(pa.array([], pa.string()), DEFAULT_ID_PARAMS) is None


def test_names_are_taken_literally() -> None:
    targets = pa.array(["/ws?a.b-c~d_e=abcdef", "/ws?axb-c~d_e=abcdef"])
    ids = ids_in(targets, check_id_params("a.b-c~d_e"))
    assert ids is not None
    assert ids.to_pylist() == ["abcdef", None]


@pytest.mark.parametrize(
    "name",
    [
        "token",
        "access_token",
        "key",
        "auth",
        "jwt",
        "sid",
        "Token",
        "id-token",
        "api_key",
        "apikey",
        "x-auth",
        "ticket",
    ],
)
def test_names_of_secrets_are_refused(name: str) -> None:
    with pytest.raises(UsageError, match="secret"):
        check_id_params(["connection", name])


def test_names_are_checked() -> None:
    assert check_id_params(None) == DEFAULT_ID_PARAMS
    assert check_id_params(["a", "b", "a"]) == ("a", "b")
    assert check_id_params([]) == check_id_params("") == ()
    for name in ("a b", "a=b", "(?i)a", "a|b", "é", "a" * 65, "a\n"):
        with pytest.raises(UsageError, match="a name is"):
            check_id_params(name)


def request_ids(lake: Path) -> list[str | None]:
    values = wslog.open_lake(lake).events().sort_values("line_number")["request_id"]
    return [None if pd.isna(value) else value for value in values]


def test_proxy_rows_get_the_id_and_nothing_else_of_the_query(tmp_path: Path) -> None:
    log, lake = tmp_path / "access.log", tmp_path / "lake"
    targets = ["/ws?token=hunter2secret&connection=c0ffee01", "/ws?token=hunter2secret", "/ws?job=abc-123", "/ws"]
    log.write_text("".join(access_line("192.0.2.7", target, n) for n, target in enumerate(targets)))

    def status(**options: Any) -> str:
        return wslog.ingest(log, lake, **options).sources[0].status

    assert status() == "ingested"
    assert request_ids(lake) == ["c0ffee01", None, None, None]
    assert set(wslog.open_lake(lake).events()["url_path"]) == {"/ws"}
    raw = b"".join(p.read_bytes() for p in lake.rglob("*") if p.is_file())
    assert b"hunter2secret" not in raw
    assert status(id_params=list(DEFAULT_ID_PARAMS)) == "already_ingested"
    assert status(id_params=["job"]) == "replaced"  # other rows: read again
    assert request_ids(lake) == [None, None, "abc-123", None]
    assert status(id_params=[]) == "replaced"
    assert request_ids(lake) == [None] * 4


def test_the_id_that_the_log_gives_stays(tmp_path: Path) -> None:
    log, lake = tmp_path / "access.log", tmp_path / "lake"
    lines = [access_line("192.0.2.7", f"/ws?rid=from-url-{n}", n).rstrip() for n in range(2)]
    log.write_text(f"{lines[0]} id=0af7651916cd43dd\n{lines[1]} id=-\n")
    form = '$remote_addr - $remote_user [$time_local] "$request" $status $body_bytes_sent "$http_referer" "$http_user_agent" id=$request_id'
    assert wslog.ingest(log, lake, log_format=form).exit_code == 0
    assert request_ids(lake) == ["0af7651916cd43dd", "from-url-1"]


def test_client_rows_stay_as_logged(tmp_path: Path) -> None:
    line = '{"ts":"2026-11-16T10:00:00Z","event":"open","session":"s","url":"wss://h/ws?connection=abc123"%s}\n'
    (tmp_path / "client").write_text(line % "" + line % ',"request_id":"r-9"')
    wslog.ingest(tmp_path / "client", tmp_path / "lake")
    assert request_ids(tmp_path / "lake") == [None, "r-9"]
    again = wslog.ingest(tmp_path / "client", tmp_path / "lake", id_params=["job"])
    assert again.sources[0].status == "already_ingested"  # the option says nothing to a client's log


def test_the_command_line_takes_names_and_refuses_secrets(tmp_path: Path) -> None:
    (tmp_path / "access.log").write_text(access_line("192.0.2.7", "/ws?job=abc-123&rid=abcdef"))
    command = [sys.executable, "-m", "wslog", "ingest", str(tmp_path / "access.log"), "--lake", str(tmp_path / "lake")]
    done = subprocess.run([*command, "--id-param", "access_token"], capture_output=True, check=False)
    assert (done.returncode, done.stderr.count(b"\n")) == (EXIT_USAGE, 1)
    for given, wanted in (
        (["--id-param", "nope", "--id-param", "job"], "abc-123"),
        (["--id-param", ""], None),
        ([], "abcdef"),
    ):
        subprocess.run([*command, *given], capture_output=True, check=True)
        assert request_ids(tmp_path / "lake") == [wanted]


def test_in_the_lab_every_proxy_row_is_a_connection_of_a_client(data: Path, tmp_path: Path) -> None:
    lab = data / "lab"
    logs = [lab / name for name in ("client.ndjson", "nginx_access.log", "haproxy.log")]
    wslog.ingest(logs, tmp_path / "lake", nginx_conf=lab / "nginx.conf", tz="UTC")
    events = wslog.open_lake(tmp_path / "lake").events()
    known = set(events.query("side == 'client'")["connection_id"].dropna())
    proxy = events.query("side == 'proxy' and transport == 'websocket'")
    assert set(proxy["format"]) == {"nginx_access", "haproxy_http"}
    assert proxy["request_id"].notna().all()
    assert set(proxy["request_id"]) <= known
    assert proxy["request_id"].is_unique
    assert set(events.query("side == 'proxy'")["request_id"].dropna()) <= known
