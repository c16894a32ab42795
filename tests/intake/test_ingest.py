"""Ingest as a whole: the account, idempotence, growth, packaging, and every kind of bad input (fault numbers of the matrix)."""

from __future__ import annotations

import bz2
import gzip
import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import wslog
from wslog.errors import (
    EXIT_CANNOT_WRITE,
    EXIT_DONE,
    EXIT_NOTHING,
    EXIT_PARTIAL,
    LakeDamagedError,
    LakeWriteError,
    UsageError,
)
from wslog.intake.run import IngestReport
from wslog.intake.workers import WORTH_FORKING_BYTES
from wslog.lake import LakeStore

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

AGENT = "Mozilla/5.0 (X11; Linux x86_64; rv:143.0) Gecko/20100101 Firefox/143.0"


def line(n: int, event: str = "open", **fields: object) -> bytes:
    ts = f"2026-11-{16 + n // 1000 % 7:02}T10:{n // 60 % 60:02}:{n % 60:02}.000Z"
    record = {"ts": ts, "event": event, "session": f"s{n // 4}", "connection": f"c{n // 2}", "ua": AGENT, **fields}
    return json.dumps(record, separators=(",", ":"), ensure_ascii=False).encode() + b"\n"


LOG = b"".join(line(n, ("attempt", "open", "close", "retry")[n % 4]) for n in range(400))
BAD = b'{"ts":"2026-11-16T10:00:00Z","event":"open"\n'


def rows(lake: Path) -> Counter[str]:
    """Return the events of a lake as a multiset, without what depends on the file they came from."""
    frame = wslog.open_lake(lake).events().drop(columns=["source_id", "client_id"])
    return Counter(frame.to_csv(index=False).splitlines()[1:])


def check_account(report: IngestReport, lake: Path) -> None:
    for source in report.sources:
        assert source.lines_in == source.event_lines + source.rejected + source.ignored
    for entry in LakeStore(lake).entries():
        assert entry.lines_in == entry.event_lines + entry.rejected + entry.ignored
        assert entry.event_count == sum(f["rows"] for f in entry.files)
    frame = wslog.open_lake(lake).rejects()
    assert frame["line_count"].sum() == sum(entry.rejected for entry in LakeStore(lake).entries())


def take(tmp_path: Path, name: str, data: bytes, **options: object) -> IngestReport:
    path = tmp_path / name
    path.write_bytes(data)
    report = wslog.ingest(path, tmp_path / "lake", **options)
    check_account(report, tmp_path / "lake")
    return report


def test_account_and_rejects_point_at_the_bytes(tmp_path: Path) -> None:
    data = LOG + b"\n" + BAD + b"   \n" + line(7) + b"\xff\xfe\n" + line(8)
    report = take(tmp_path, "a.ndjson", data)
    source = report.sources[0]
    assert (source.lines_in, source.event_lines, source.rejected, source.ignored) == (406, 402, 2, 2)
    assert report.exit_code == EXIT_DONE
    rejects = wslog.open_lake(tmp_path / "lake").rejects()
    assert list(rejects["line_number"]) == [402, 405]
    for reject in rejects.itertuples():
        assert data[reject.byte_offset : reject.byte_offset + reject.length_bytes] in (BAD[:-1], b"\xff\xfe")
    events = wslog.open_lake(tmp_path / "lake").events()
    for event in events[events["line_number"].isin([1, 2, 400, 404])].itertuples():
        assert data[event.byte_offset :].split(b"\n", 1)[0] == data.split(b"\n")[event.line_number - 1]


@pytest.mark.parametrize("pack", [bytes, gzip.compress, zstd.compress, bz2.compress])
def test_56_the_same_bytes_add_nothing_plain_or_packed(tmp_path: Path, pack: object) -> None:
    take(tmp_path, "a.ndjson", LOG)
    before = rows(tmp_path / "lake")
    report = take(tmp_path, "again", pack(LOG))  # type: ignore[operator]
    assert report.sources[0].status == "already_ingested"
    assert report.totals["event_lines"] == 0
    assert report.exit_code == EXIT_DONE
    assert rows(tmp_path / "lake") == before


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.integers(1, 4000), max_size=5))
def test_57_prefixes_in_any_cuts_give_the_same_as_the_whole(
    tmp_path_factory: pytest.TempPathFactory, cuts: list[int]
) -> None:
    folder = tmp_path_factory.mktemp("cuts")
    data = LOG[:20_000] + BAD + LOG[20_000:20_900] + b"\n"
    for cut in [*sorted(c * 5 for c in cuts), len(data)]:
        take(folder, "grows.ndjson", data[:cut])
    whole = tmp_path_factory.mktemp("whole")
    take(whole, "a.ndjson", data)
    assert rows(folder / "lake") == rows(whole / "lake")
    assert len(LakeStore(folder / "lake").entries()) == 1


def test_58_rotated_and_compressed_is_recognised(tmp_path: Path) -> None:
    take(tmp_path, "app.log", LOG[:5000])
    take(tmp_path, "app.log", LOG)
    before = rows(tmp_path / "lake")
    assert take(tmp_path, "app.log.1", LOG).sources[0].status == "already_ingested"
    assert take(tmp_path, "app.log.1.gz", gzip.compress(LOG)).sources[0].status == "already_ingested"
    assert rows(tmp_path / "lake") == before


def test_59_truncated_and_regrown_is_a_new_source(tmp_path: Path) -> None:
    take(tmp_path, "app.log", LOG)
    other = b"".join(line(n, "retry") for n in range(300, 900))
    assert take(tmp_path, "app.log", other).sources[0].status == "ingested"
    assert sum(rows(tmp_path / "lake").values()) == 400 + 600


def test_61_labels_are_part_of_identity(tmp_path: Path) -> None:
    take(tmp_path, "a", LOG, source_label="edge-1")
    assert take(tmp_path, "a", LOG, source_label="edge-2").sources[0].status == "ingested"
    assert take(tmp_path, "a", LOG, source_label="edge-1").sources[0].status == "already_ingested"


def test_67_stdin_is_known_by_its_content(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "wslog", "ingest", "-", "--lake", str(tmp_path / "lake"), "--json"]
    for status, count in (("ingested", 400), ("already_ingested", 0)):
        done = subprocess.run(command, input=LOG, capture_output=True, check=True)
        source = json.loads(done.stdout)["sources"][0]
        assert (source["path"], source["status"], source["event_lines"]) == ("-", status, count)
    done = subprocess.run(command, input=LOG + line(1), capture_output=True, check=True)
    assert json.loads(done.stdout)["sources"][0]["status"] == "grown"


def test_other_reading_options_read_the_source_again(tmp_path: Path) -> None:
    take(tmp_path, "a", LOG)
    assert take(tmp_path, "a", LOG, keep_ip=True).sources[0].status == "replaced"
    assert sum(rows(tmp_path / "lake").values()) == 400


def test_2_nul_bytes_are_one_reject(tmp_path: Path) -> None:
    report = take(tmp_path, "a", LOG + b"\0" * 5000 + line(3) + line(4))
    assert report.sources[0].reject_reasons == {"nul_bytes": 1}
    assert report.sources[0].event_lines == 401


@pytest.mark.parametrize("size", [(1 << 20) + 1, 9 << 20])
def test_10_a_line_too_long_is_one_reject(tmp_path: Path, size: int) -> None:
    report = take(tmp_path, "a", line(1) + b"x" * size + b"\n" + line(2))
    source = report.sources[0]
    assert (source.lines_in, source.event_lines, source.reject_reasons) == (3, 2, {"line_too_long": 1})
    reject = wslog.open_lake(tmp_path / "lake").rejects().iloc[0]
    assert (reject["length_bytes"], reject["line_number"]) == (size, 2)


def test_11_empty_and_blank_files(tmp_path: Path) -> None:
    assert take(tmp_path, "empty", b"").exit_code == EXIT_DONE
    report = take(tmp_path, "blank", b"\n\n  \n", format="wslog_client")
    assert report.exit_code == EXIT_DONE
    assert report.totals["ignored"] == 3


def test_12_a_half_line_is_held_back_and_found_later(tmp_path: Path) -> None:
    report = take(tmp_path, "a", LOG + line(9)[:-20])
    assert report.sources[0].pending_bytes == len(line(9)) - 20
    assert report.totals["lines_in"] == 400
    assert take(tmp_path, "a", LOG + line(9)).totals["event_lines"] == 1
    assert take(tmp_path, "b.gz", gzip.compress(LOG[:-1] + b" ")).sources[0].event_lines == 400


def test_final_reads_the_last_line(tmp_path: Path) -> None:
    report = take(tmp_path, "a", LOG[:-1], final=True)
    assert (report.totals["event_lines"], report.sources[0].pending_bytes) == (400, 0)


@pytest.mark.parametrize("pack", [gzip.compress, zstd.compress, bz2.compress])
def test_41_42_truncated_archives_are_partial_then_completed(tmp_path: Path, pack: object) -> None:
    text = LOG * 40  # more than one block of bzip2
    packed = pack(text)  # type: ignore[operator]
    report = take(tmp_path, "a.gz", packed[: len(packed) - 5])
    source = report.sources[0]
    assert (source.status, source.reason, report.exit_code) == ("partial", "truncated", EXIT_PARTIAL)
    assert take(tmp_path, "a.gz", packed).exit_code == EXIT_DONE
    take(tmp_path, "plain", text)
    assert sum(rows(tmp_path / "lake").values()) == 40 * 400


def test_43_damage_commits_nothing(tmp_path: Path) -> None:
    report = take(tmp_path, "a.gz", gzip.compress(LOG)[:-8] + b"\0" * 8)
    assert (report.sources[0].status, report.sources[0].reason, report.exit_code) == (
        "refused",
        "damaged",
        EXIT_NOTHING,
    )
    assert report.totals["lines_in"] == 0
    assert LakeStore(tmp_path / "lake").entries() == []


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (os.urandom(4096), "not_text"),
        ("text".encode("utf-16") * 100, "unknown_encoding"),
        (b"nobody knows this\nformat of a log\n", "unknown_format"),
    ],
)
def test_5_13_what_is_no_log_is_refused_and_the_others_go_on(tmp_path: Path, data: bytes, reason: str) -> None:
    (tmp_path / "bad").write_bytes(data)
    (tmp_path / "good").write_bytes(LOG)
    report = wslog.ingest([tmp_path / "bad", tmp_path / "missing", tmp_path / "good"], tmp_path / "lake")
    check_account(report, tmp_path / "lake")
    assert [s.status for s in report.sources] == ["refused", "refused", "ingested"]
    assert [s.reason for s in report.sources[:2]] == [reason, "not_found"]
    assert report.exit_code == EXIT_PARTIAL
    assert wslog.ingest([tmp_path / "bad"], tmp_path / "lake").exit_code == EXIT_NOTHING


def test_31_all_rejected_is_said(tmp_path: Path) -> None:
    report = take(tmp_path, "a", BAD * 50, format="wslog_client")
    assert (report.totals["rejected"], report.exit_code) == (50, EXIT_PARTIAL)


def test_68_odd_file_names(tmp_path: Path) -> None:
    for name in ("x[1].log", "-rf", "a'b;--.log", "new\nline", "名前.log", "http:x"):
        report = take(tmp_path, name, LOG, source_label=name)
        assert report.sources[0].status == "ingested"
    assert sum(rows(tmp_path / "lake").values()) == 6 * 400


def test_75_a_lake_that_cannot_be_written_is_told_before_reading(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    for lake in (tmp_path / "file", tmp_path / "file" / "lake"):
        with pytest.raises(LakeWriteError):
            wslog.ingest(tmp_path / "none", lake)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "precious.txt").write_text("x")
    with pytest.raises(LakeWriteError, match="no lake"):
        wslog.ingest(tmp_path / "none", tmp_path / "other")
    command = [sys.executable, "-m", "wslog", "ingest", str(tmp_path / "none"), "--lake", str(tmp_path / "file")]
    done = subprocess.run(command, capture_output=True, check=False)
    assert done.returncode == EXIT_CANNOT_WRITE
    assert done.stderr.count(b"\n") == 1


def test_80_stray_files_are_ignored_and_missing_ones_are_damage(tmp_path: Path) -> None:
    take(tmp_path, "a", LOG)
    lake = tmp_path / "lake"
    (lake / "events" / "date=2026-11-16" / "stray.parquet").write_bytes(b"")
    assert sum(rows(lake).values()) == 400
    victim = lake / LakeStore(lake).entries()[0].files[0]["path"]
    victim.write_bytes(victim.read_bytes()[:-10])
    with pytest.raises(LakeDamagedError, match=str(victim.name)):
        wslog.open_lake(lake).events()


def test_99_a_lost_key_is_no_silent_new_key(tmp_path: Path) -> None:
    take(tmp_path, "a", LOG)
    (tmp_path / "lake.key").unlink()
    with pytest.raises(UsageError, match="key"):
        wslog.ingest(tmp_path / "a", tmp_path / "lake")


def test_threads_do_not_change_the_files(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(LOG * 40)
    names = []
    for workers in (1, 3):
        wslog.ingest(tmp_path / "a", tmp_path / f"lake{workers}", worker_count=workers)
        names.append(sorted(f["path"] for e in LakeStore(tmp_path / f"lake{workers}").entries() for f in e.files))
    assert names[0] == names[1]


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the command line uses threads too")
def test_forked_processes_make_the_same_lake(tmp_path: Path) -> None:
    broken = LOG[:9000] + b"{broken\n" + LOG[9000:]
    (tmp_path / "a").write_bytes(broken * (WORTH_FORKING_BYTES // len(broken) + 10))
    command = [
        sys.executable,
        "-m",
        "wslog",
        "ingest",
        str(tmp_path / "a"),
        "--lake",
        str(tmp_path / "forked"),
        "--json",
    ]
    forked = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)
    threaded = wslog.ingest(tmp_path / "a", tmp_path / "threaded")
    assert forked["totals"] == threaded.totals
    tables = []
    for lake in ("forked", "threaded"):
        files = LakeStore(tmp_path / lake).event_files()
        tables.append(pa.concat_tables(pq.read_table(f, partitioning=None) for f in files).unify_dictionaries())
    assert [Path(f).name for f in LakeStore(tmp_path / "forked").event_files()] == [Path(f).name for f in files]
    one, two = (t.combine_chunks().sort_by([("line_number", "ascending")]) for t in tables)
    assert all(one[name].cast("string").equals(two[name].cast("string")) for name in one.column_names)
    assert (
        wslog.open_lake(tmp_path / "forked").rejects()["byte_offset"].tolist()
        == wslog.open_lake(tmp_path / "threaded").rejects()["byte_offset"].tolist()
    )


def test_nothing_private_reaches_the_lake(tmp_path: Path) -> None:
    secret, address = "hunter2secret", "203.0.113.77"
    text = (
        f'{address} - - [16/Nov/2026:10:00:00 +0000] "GET /ws?token={secret} HTTP/1.1" 101 10 "-" "{AGENT}"\n'
        f'{address} - - [16/Nov/2026:10:00:01 +0000] "GET /ws?token={secret} HTTP/1.1" 403 10 "-" "{AGENT}"\n'
        f"{address} {secret} this line is broken\n"
    ).encode()
    take(tmp_path, "access.log", text, format="nginx_access")
    take(
        tmp_path,
        "client",
        line(1, "error", error=f"failed wss://h/ws?k={secret} from {address}", url=f"wss://h/ws?k={secret}"),
    )
    lake = wslog.open_lake(tmp_path / "lake")
    everything = "".join(f.to_csv() for f in (lake.events(), lake.attempts(), lake.rejects(), lake.episodes()))
    raw = b"".join(p.read_bytes() for p in (tmp_path / "lake").rglob("*") if p.is_file())
    for word in (secret, address):
        assert word not in everything
        assert word.encode() not in raw
    assert "203.0.113.0/24" in everything
