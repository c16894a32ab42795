"""Run real nginx, HAProxy, WebSocket servers and Chromium on loopback; keep their logs and the truth.

``python data/lab/run.py --out DIR`` plays the scenarios of `scenarios.py`, one tab a page, and writes what
each program logged, plus ``truth.json``: what each page itself counted. See README.md in this folder.
"""

from __future__ import annotations

import argparse
import asyncio
import importlib.metadata
import json
import os
import platform
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from browser import Browser
from ground_truth import build_truth, check_page, check_telemetry, format_provenance, format_truth
from scenarios import PAGES, Front, Page
from servers import (
    Collector,
    Ports,
    Process,
    Syslog,
    start_backend,
    start_haproxy,
    start_nginx,
    wait_for_port,
)

PROGRAMS = {"nginx": "nginx", "haproxy": "haproxy", "chromium": "chromium"}  # program: Debian package
TIME_LIMIT_S = 75
START_EVERY_S = 0.3
KILL_AFTER_S = 1.5
BACK_AFTER_S = 2.0
POLL_PAGE_EVERY_S = 0.1
OUTPUTS = (
    "client.ndjson",
    "nginx_access.log",
    "nginx_access.json.log",
    "haproxy.log",
    "chromium_console.log",
    "server.log",
    "nginx.conf",
    "haproxy.cfg",
    "truth.json",
    "PROVENANCE.md",
)


class LabError(Exception):
    """The run was disturbed, or cannot start."""


@dataclass
class Lab:
    """What the pages need while they are played.

    Parameters
    ----------
    folder : Path
        Scratch folder that gets the logs.
    browser : Browser
        The running Chromium.
    collector : Collector
        Serves the page, takes telemetry and truth.
    ports : dict of str to int
        Port by name.
    backends : dict of str to Process
        The backends that get killed, by name of their port.
    replacements : dict of str to Process
        Loaded backends that take over the port of a killed one when told to.
    """

    folder: Path
    browser: Browser
    collector: Collector
    ports: dict[str, int]
    backends: dict[str, Process] = field(default_factory=dict)
    replacements: dict[str, Process] = field(default_factory=dict)


def find_programs() -> dict[str, str]:
    """Find the programs.

    Returns
    -------
    dict of str to str
        Path by name.

    Raises
    ------
    LabError
        Naming the Debian packages that are missing.
    """
    path = os.pathsep.join((os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin"))
    found = {name: shutil.which(name, path=path) for name in PROGRAMS}
    missing = [PROGRAMS[name] for name, program in found.items() if program is None]
    if missing:
        raise LabError(f"missing program: install the Debian package(s) {' '.join(missing)}")
    return {name: program for name, program in found.items() if program is not None}


def read_versions(programs: dict[str, str]) -> dict[str, str]:
    """Ask each program for its version."""
    flags = {"nginx": "-v", "haproxy": "-v", "chromium": "--version"}
    versions = {}
    for name, program in programs.items():
        command = [program, flags[name]]
        answer = subprocess.run(command, capture_output=True, text=True, check=False, timeout=20)
        match = re.search(r"(?:nginx/|HAProxy version |Chromium )(\S+)", answer.stdout + answer.stderr)
        versions[name] = match[1] if match else "unknown"
    versions["websockets"] = importlib.metadata.version("websockets")
    versions["python"] = platform.python_version()
    try:
        versions["os"] = platform.freedesktop_os_release().get("PRETTY_NAME", platform.system())
    except OSError:
        versions["os"] = platform.system()
    return versions


def page_settings(page: Page, ports: dict[str, int]) -> dict[str, object]:
    """Give what the page is told: its name, where to connect and poll, and when to close."""
    name: str = {"direct": "closed"}.get(page.front, page.front)
    if page.listener != "main":
        name += f"_{page.listener}"
    return {
        "page": page.name,
        "scenario": page.scenario,
        "ws": f"ws://127.0.0.1:{ports[name]}/ws/{page.scenario}",
        "poll": f"http://127.0.0.1:{ports['nginx']}/poll",
        "closeOnOpen": page.close_on_open,
        "closeAfterMs": page.close_after_ms,
    }


async def until(condition: Callable[[], bool], limit_s: float, message: str) -> None:
    """Wait for a condition, or raise `LabError`."""
    end = time.monotonic() + limit_s
    while not condition():
        if time.monotonic() > end:
            raise LabError(message)
        await asyncio.sleep(POLL_PAGE_EVERY_S)


async def page_holds(lab: Lab, page: Page, tab: str, condition: str) -> None:
    """Wait until a JavaScript condition holds in a page."""
    for _ in range(int(40 / POLL_PAGE_EVERY_S)):
        if await lab.browser.holds(tab, condition):
            return
        await asyncio.sleep(POLL_PAGE_EVERY_S)
    raise LabError(f"{page.name}: waited too long for {condition}")


async def kill_backend(lab: Lab, page: Page, tab: str) -> None:
    """Kill the backend of a page once it is connected, and bring it back if the scenario says so."""
    name = f"{page.scenario}_{page.front}"
    await page_holds(lab, page, tab, "seen.opens === 1")
    await asyncio.sleep(KILL_AFTER_S)
    lab.backends[name].kill()
    if page.kill_backend == "back":
        await asyncio.sleep(BACK_AFTER_S)
        lab.replacements[name].tell()


async def play(lab: Lab, page: Page, start_after_s: float) -> None:
    """Open a page, do to it what its scenario says, leave it, and wait for its last report."""
    await asyncio.sleep(start_after_s)
    url = f"http://127.0.0.1:{lab.collector.port}/page.html?page={page.name}"
    target, tab = await lab.browser.open(url)
    if page.kill_backend != "never":
        await kill_backend(lab, page, tab)
    await page_holds(lab, page, tab, page.leave_when)
    await asyncio.sleep(page.leave_after_s)
    if page.leave_by == "navigate":
        await lab.browser.call("Page.navigate", tab, url="about:blank")
    else:
        await lab.browser.call("Target.closeTarget", targetId=target)
    truth = lab.collector.truth

    def has_reported() -> bool:
        return truth.get(page.name, {}).get("page_left_while") is not None

    await until(has_reported, 5, f"{page.name}: no report on leaving")
    if page.leave_by == "navigate":
        await lab.browser.call("Target.closeTarget", targetId=target)


async def proxy_lines(lab: Lab, file: str, fronts: tuple[Front, ...]) -> None:
    """Wait until a proxy has written one line for each attempt made through it.

    Raises
    ------
    LabError
        When there are fewer after 8 s, or more.
    """

    def found() -> int:
        return sum("/ws/" in line for line in (lab.folder / file).read_text(encoding="utf-8").splitlines())

    made = sum(lab.collector.truth[page.name]["attempts"] for page in PAGES if page.front in fronts)
    await until(lambda: found() >= made, 8, f"{file}: fewer lines than the {made} attempts that were made")
    if found() != made:
        raise LabError(f"{file}: {found()} lines for {made} attempts")


async def play_all(folder: Path, programs: dict[str, str]) -> dict[str, dict[str, Any]]:
    """Start everything, play every page, stop everything.

    Parameters
    ----------
    folder : Path
        Scratch folder that gets the logs.
    programs : dict of str to str
        Path of each program.

    Returns
    -------
    dict of str to dict
        What each page counted, by name of the page.
    """
    async with AsyncExitStack() as stack:
        held = Ports()
        stack.callback(held.close)
        collector = Collector(folder)
        stack.callback(collector.stop)
        syslog = Syslog(folder)
        syslog.start()
        stack.callback(syslog.stop)
        ports = {**held.numbers, "poll": collector.poll_port}

        def keep(process: Process) -> Process:
            stack.callback(process.stop)
            return process

        nginx = keep(start_nginx(programs["nginx"], folder, ports))
        haproxy = keep(start_haproxy(programs["haproxy"], folder, ports))
        names = ["backend", *(f"{p.scenario}_{p.front}" for p in PAGES if p.kill_backend != "never")]
        backends = {name: keep(start_backend(folder, ports[name])) for name in names}
        back = [f"{p.scenario}_{p.front}" for p in PAGES if p.kill_backend == "back"]
        spare = {name: keep(start_backend(folder, ports[name], is_waiting=True)) for name in back}
        for process in backends.values():
            await asyncio.to_thread(process.wait_for_output, "listening")
        for process in spare.values():
            await asyncio.to_thread(process.wait_for_output, "loaded")
        await asyncio.to_thread(wait_for_port, ports["nginx"], nginx)
        await asyncio.to_thread(wait_for_port, ports["haproxy"], haproxy)

        browser = await stack.enter_async_context(Browser(programs["chromium"], folder))
        lab = Lab(folder, browser, collector, ports, backends, spare)
        collector.pages = {page.name: page_settings(page, ports) for page in PAGES}
        async with asyncio.TaskGroup() as group:
            for number, page in enumerate(PAGES):
                group.create_task(play(lab, page, number * START_EVERY_S))

        # A proxy writes its line at the end of a connection: stop it only after the last one.
        await proxy_lines(lab, "nginx_access.log", ("nginx",))
        await proxy_lines(lab, "nginx_access.json.log", ("nginx",))
        await proxy_lines(lab, "haproxy.log", ("haproxy", "haproxy_asap"))
    if collector.problems:
        raise LabError("; ".join(collector.problems))
    (folder / "chromium_console.log").write_bytes(browser.console_lines())
    return collector.truth


def parse_arguments() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder of the result")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="where to copy a failed run")
    return parser.parse_args()


async def run(folder: Path, out: Path) -> dict[str, Any]:
    """Play, check, and put the files into place.

    Parameters
    ----------
    folder : Path
        Scratch folder.
    out : Path
        Folder of the result; untouched when the run fails.

    Returns
    -------
    dict
        The totals of the truth.
    """
    task = asyncio.current_task()
    assert task is not None
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    programs = find_programs()
    versions = read_versions(programs)
    try:
        async with asyncio.timeout(TIME_LIMIT_S):
            seen = await play_all(folder, programs)
    except TimeoutError:
        raise LabError(f"the run took longer than {TIME_LIMIT_S} s") from None
    wrong = [difference for page in PAGES for difference in check_page(page, seen[page.name])]
    wrong += check_telemetry(folder / "client.ndjson", seen)
    if wrong:
        raise LabError("the run was disturbed:\n  " + "\n  ".join(wrong))
    truth = build_truth(seen, versions)
    (folder / "truth.json").write_text(format_truth(truth), encoding="utf-8")
    (folder / "PROVENANCE.md").write_text(format_provenance(versions, out), encoding="utf-8")
    out.mkdir(parents=True, exist_ok=True)
    for name in OUTPUTS:
        shutil.copyfile(folder / name, out / name)
    totals: dict[str, Any] = truth["totals"]
    return totals


def main() -> int:
    """Run the lab.

    Returns
    -------
    int
        Exit status: 0, 1 when the run failed, 130 when it was interrupted.
    """
    arguments = parse_arguments()
    os.environ.update(TZ="UTC", LC_ALL="C.UTF-8")
    time.tzset()
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="wslog-lab-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        try:
            totals = asyncio.run(run(folder, arguments.out.resolve()))
        except (KeyboardInterrupt, asyncio.CancelledError):
            print("interrupted", file=sys.stderr)
            return 130
        except (LabError, RuntimeError, OSError, ExceptionGroup) as error:
            parts = error.exceptions if isinstance(error, ExceptionGroup) else (error,)
            for part in parts:
                print(f"error: {part}", file=sys.stderr)
            if arguments.keep is not None:
                skip = shutil.ignore_patterns("profile", "*.sock")
                shutil.copytree(folder, arguments.keep, dirs_exist_ok=True, ignore=skip)
            return 1
    print(json.dumps(totals))
    print(f"{arguments.out}: {time.monotonic() - started:.0f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
