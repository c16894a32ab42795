"""Ingest beside other ways to do the job, on the same files in one run: ``python -m tests.bench``.

Every figure is of a whole process: wall and CPU seconds, peak memory (the kernel's own account of the finished child).
Contestants take turns, so that a slow minute of the machine hits all; medians and their ratios are what to quote.
Sizes: ``--lines`` (default 200,000; the figures of the README are from 2,000,000).
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from tests.bench.generate import LOG_FORMAT, write

GOACCESS_FORMAT = '%h %^[%d:%t %^] "%r" %s %b "%R" "%u" %T "%^" "%^" %^ %^ %^'


@dataclass
class Run:
    """One finished process."""

    wall_s: float
    cpu_s: float
    peak_mib: float
    output: str


def measure(command: list[str]) -> Run:
    """Run a command and return what the kernel says of it.

    Raises
    ------
    RuntimeError
        It failed: a benchmark of a failing command says nothing.
    """
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        begin = time.perf_counter()
        child = subprocess.Popen(command, stdout=out, stderr=err)
        _, status, usage = os.wait4(child.pid, 0)
        wall = time.perf_counter() - begin
        child.returncode = os.waitstatus_to_exitcode(status)
        out.seek(0)
        err.seek(0)
        text = out.read().decode("utf-8", "replace")
        if child.returncode:
            raise RuntimeError(
                f"{command} failed with {child.returncode}: {err.read().decode('utf-8', 'replace')[-2000:]}"
            )
    return Run(wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024, text)


def contestants(kind: str, source: Path, work: Path, is_slow_included: bool) -> dict[str, list[str]]:
    """Return the commands that do the job for one kind of log."""
    python = sys.executable
    extra = ["--log-format", LOG_FORMAT] if kind == "nginx" else []
    found = {
        "wslog": [python, "-m", "wslog", "ingest", str(source), "--lake", str(work / "lake"), "--json", *extra],
        "duckdb": [python, "-m", "tests.bench.peers", f"duckdb_{kind}", str(source), str(work)],
    }
    if kind == "nginx":  # with the work an access log needs before it can be asked anything
        found["duckdb+"] = [python, "-m", "tests.bench.peers", "duckdb_nginx_same", str(source), str(work)]
    if is_slow_included:
        found["python"] = [python, "-m", "tests.bench.peers", f"python_{kind}", str(source), str(work)]
        if kind == "nginx" and shutil.which("goaccess"):
            found["goaccess"] = [
                "goaccess", str(source), "--no-global-config", "--log-format", GOACCESS_FORMAT, "--date-format", "%d/%b/%Y",
                "--time-format", "%H:%M:%S", "-o", str(work / "goaccess.json"), "--no-progress",
            ]  # fmt: skip
    return found


def compare(kind: str, lines: int, runs: int, folder: Path) -> None:
    """Generate one log, let the contestants take turns on it, print figures and ratios."""
    source = folder / f"{kind}-{lines}.log"
    truth = write(kind, source, lines)
    print(
        f"\n{kind}: {lines:,} lines, {truth['bytes'] / 1e6:,.0f} MB, {truth['bad_lines']} bad lines (seed {truth['seed']})"
    )
    results: dict[str, list[Run]] = {}
    for turn in range(runs + 1):  # the first turn warms the cache and is not counted
        for name, command in contestants(kind, source, folder, is_slow_included=turn == 1).items():
            shutil.rmtree(folder / "lake", ignore_errors=True)
            run = measure(command)
            if turn:
                results.setdefault(name, []).append(run)
    print(f"{'':10}{'wall s':>9}{'CPU s':>9}{'MB/s wall':>11}{'MB/CPU s':>10}{'peak MiB':>10}   accounted")
    megabytes = truth["bytes"] / 1e6
    for name, done in results.items():
        wall, cpu = statistics.median(r.wall_s for r in done), statistics.median(r.cpu_s for r in done)
        peak = max(r.peak_mib for r in done)
        print(
            f"{name:10}{wall:9.2f}{cpu:9.2f}{megabytes / wall:11.0f}{megabytes / cpu:10.0f}{peak:10.0f}   {account(name, done[-1].output)}"
        )
    ours = results["wslog"]
    for name, done in results.items():
        if name != "wslog":
            pairs = list(zip(done, ours, strict=False))
            wall = statistics.median(theirs.wall_s / mine.wall_s for theirs, mine in pairs)
            cpu = statistics.median(theirs.cpu_s / mine.cpu_s for theirs, mine in pairs)
            print(f"wslog is {wall:.2f} times as fast as {name} (wall), {cpu:.2f} times in CPU")
    totals = json.loads(ours[-1].output)["totals"]
    if totals["lines_in"] != truth["lines"] or totals["rejected"] != truth["bad_lines"]:
        print(f"NOT EXACT: {totals} against {truth}")
    source.unlink()


def account(name: str, output: str) -> str:
    if name == "wslog":
        totals = json.loads(output)["totals"]
        return ", ".join(f"{totals[key]:,} {key}" for key in ("lines_in", "event_lines", "ignored", "rejected"))
    return output.strip()[-100:] if name != "goaccess" else "(its own report, no Parquet)"


def memory(kind: str, lines: int, folder: Path) -> None:
    """Print the peak memory of ingest for a file and for one ten times as large."""
    for count in (lines, 10 * lines):
        source = folder / f"{kind}.log"
        truth = write(kind, source, count)
        shutil.rmtree(folder / "lake", ignore_errors=True)
        run = measure(contestants(kind, source, folder, is_slow_included=False)["wslog"])
        print(f"peak memory, {kind}, {truth['bytes'] / 1e6:7,.0f} MB: {run.peak_mib:,.0f} MiB")
        source.unlink()


def derive(events: int, folder: Path) -> None:
    """Generate a lake and print what attempts, episodes and metrics of it cost, as one process."""
    made = measure([sys.executable, "-m", "tests.bench.lake", str(folder), str(events)])
    run = measure([sys.executable, "-m", "tests.bench.derive", str(folder / "lake")])
    print(f"{made.output.strip()} events\n{run.output}")
    print(f"whole process: {run.cpu_s:.1f} s of CPU, {run.wall_s:.1f} s")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("--lines", type=int, default=200_000)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--kind", choices=("nginx", "client"), action="append")
    parser.add_argument("--memory", action="store_true", help="peak memory for --lines and ten times as many")
    parser.add_argument(
        "--lake", type=int, metavar="EVENTS", help="attempts, episodes and metrics of a lake of so many events instead"
    )
    parser.add_argument("--folder", type=Path, default=None, help="where the files go (a temporary folder)")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=given.folder) as name:
        if given.lake:
            derive(given.lake, Path(name))
            return
        for kind in given.kind or ("nginx", "client"):
            if given.memory:
                memory(kind, given.lines, Path(name))
            else:
                compare(kind, given.lines, given.runs, Path(name))


if __name__ == "__main__":
    main()
