"""Real Chromium clients under several reconnect policies, on a network that is really cut.

``python data/lab/reconnect_experiment.py --out DIR [--minutes 3.8] [--paths 36]`` runs as root for so long, logs what the clients
log (one telemetry file a policy) and, apart from that, what they saw (``truth.json``). See README.md in this folder.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import gzip
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from contextlib import AsyncExitStack
from dataclasses import asdict, dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from browser import Browser
from reconnect_net import Net, NetError, Router, address_of
from reconnect_plan import LINK_CUT_S, PAUSE_S, POLICIES, SERVER_DOWN_S, STABLE_S, Cut, draw
from run import LabError, read_versions, until
from servers import Process

HERE = Path(__file__).resolve().parent
PROGRAMS = {"chromium": "chromium", "ip": "iproute2"}
PORT = 9000
CLIENTS_PER_TAB = 8
"""One renderer process each: Chromium slows the connects of a renderer that has many pending or failed ones."""

TAIL_S = 100.0
"""So much of the run is left for the last outages to end, and for the two cuts of everybody."""

QUIET_S = 35.0

PROVENANCE = """# Where these files come from

One run of `data/lab/reconnect_experiment.py --paths {paths} --minutes {minutes} --seed {seed}` (see `data/lab/README.md`): real
headless Chromium, a real WebSocket server, real cuts, in network namespaces of one machine. Versions: {versions}.

- `client_<policy>.ndjson.gz`: telemetry of the clients under that policy (format `wslog_client`), in order of time
- `truth.json`: the cuts as they were made (`duration_s` wanted, `lasted_s` measured), and the outages as the pages themselves saw
  them, never read from a log line; `end` null: still lasting when the run ended

Browser, sessions and addresses are those of the run; no person was involved.
"""

FLAGS = (
    "--disable-features=BackForwardCache,LocalNetworkAccessChecks",
    "--process-per-tab",
    "--js-flags=--max-old-space-size=64",
)


@dataclass
class State:
    """What the telemetry has said so far.

    Parameters
    ----------
    lines : dict
        Telemetry lines of each policy.
    open_since : dict
        Since when each slot has been open, by the driver's clock; None while it is not.
    """

    policy_of: list[str]
    lines: dict[str, list[str]] = field(default_factory=lambda: {name: [] for name in POLICIES})
    open_since: dict[int, float | None] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def take(self, batch: list[tuple[int, str, str]]) -> None:
        """Keep a batch of lines."""
        with self.lock:
            for slot, event, line in batch:
                self.lines[self.policy_of[slot]].append(line)
                if event == "open":
                    self.open_since[slot] = time.monotonic()
                elif event in ("close", "attempt"):
                    self.open_since[slot] = None

    def stable_for(self, slots: list[int]) -> float:
        """Return how long the slot that opened last has been open; -1 when one is not."""
        now = time.monotonic()
        since = [self.open_since.get(slot) for slot in slots]
        return min((now - s if s is not None else -1.0) for s in since)


def serve_pages(state: State, tabs: list[list[dict[str, object]]]) -> ThreadingHTTPServer:
    """Start the HTTP server of pages and telemetry on loopback."""
    page = (HERE / "reconnect_client.html").read_text(encoding="utf-8")

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def answer(self, body: bytes, kind: str) -> None:
            self.send_response(200)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def do_GET(self) -> None:
            number = int(self.path.rpartition("=")[2])
            config = json.dumps({"clients": tabs[number]})
            self.answer(page.replace("/*LAB*/null", config).encode(), "text/html; charset=utf-8")

        def do_POST(self) -> None:
            state.take(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.answer(b"", "text/plain")

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


@dataclass
class Experiment:
    """A run inside the client's namespace."""

    state: State
    router: Router
    paths: int
    ends_at: float
    begin: float
    server: list[Process]
    new_server: Any
    cuts: list[dict[str, object]] = field(default_factory=list)

    def slots(self, path: int) -> list[int]:
        return list(range(4 * path, 4 * path + 4))

    def note(self, **what: object) -> None:
        self.cuts.append(what)

    async def trouble(self, path: int, seed: str) -> None:
        """Cut one path again and again."""
        rng = random.Random(seed)
        while True:
            cut = draw(rng)
            pause = rng.expovariate(1 / PAUSE_S)
            while self.state.stable_for(self.slots(path)) < STABLE_S + pause:
                await asyncio.sleep(0.05)
                if time.monotonic() > self.ends_at:
                    return
            await self.cut(path, cut)

    async def cut(self, path: int, cut: Cut) -> None:
        began = time.monotonic()
        if not cut.is_silent:
            for place in range(4):
                self.server[0].say(address_of(path, place))
            await asyncio.sleep(0.002)  # the resets have arrived before the path is gone
        self.router.cut(path, cut.how)
        await asyncio.sleep(cut.duration_s - (time.monotonic() - began))
        self.router.restore(path, cut.how)
        ended = time.monotonic()
        self.note(path=path, **asdict(cut), at_s=round(began - self.begin, 3), lasted_s=round(ended - began, 4))

    async def quiet(self, least_s: float) -> None:
        """Wait until everybody has been open for so long, or no longer than a full-jitter client may wait."""
        until = time.monotonic() + QUIET_S
        while self.state.stable_for(list(range(4 * self.paths))) < least_s and time.monotonic() < until:
            await asyncio.sleep(0.05)
        late = [slot for slot in range(4 * self.paths) if self.state.open_since.get(slot) is None]
        if late:
            print(f"not back: {', '.join(f'{slot} {self.state.policy_of[slot]}' for slot in late)}", file=sys.stderr)

    async def everybody(self, rng: random.Random) -> None:
        """Cut the whole link once, and kill the server once."""
        await self.quiet(STABLE_S)
        duration, began = rng.uniform(*LINK_CUT_S), time.monotonic()
        self.router.link("down")
        await asyncio.sleep(duration)
        self.router.link("up")
        self.note(
            kind="link",
            duration_s=duration,
            at_s=round(began - self.begin, 3),
            lasted_s=round(time.monotonic() - began, 4),
        )
        await asyncio.sleep(1.0)
        await self.quiet(STABLE_S)
        duration, began = rng.uniform(*SERVER_DOWN_S), time.monotonic()
        self.server[0].kill()
        self.server[0] = self.new_server()
        await asyncio.to_thread(self.server[0].wait_for_output, "loaded")
        await asyncio.sleep(max(0.0, duration - (time.monotonic() - began)))
        self.server[0].tell()
        self.note(
            kind="server",
            duration_s=duration,
            at_s=round(began - self.begin, 3),
            lasted_s=round(time.monotonic() - began, 4),
        )
        await asyncio.sleep(1.0)
        await self.quiet(STABLE_S)


class Server(Process):
    """The server process, which takes orders."""

    def say(self, line: str) -> None:
        """Send one line."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{line}\n".encode())
        self._process.stdin.flush()


async def inside(arguments: argparse.Namespace, folder: Path, net_names: list[str]) -> dict[str, Any]:
    """Run the clients and the cuts; the caller's process is in the client's namespace.

    Returns
    -------
    dict
        ``outages`` as the pages saw them, ``cuts`` as they were made, ``lines`` by policy, ``versions``.
    """
    router_name, server_name, client_name = net_names
    paths, seed = arguments.paths, arguments.seed
    # who sits at which of a path's addresses is drawn
    rng = random.Random(f"{seed}:places")
    policy_of = [name for _ in range(paths) for name in rng.sample(list(POLICIES), 4)]
    state = State(policy_of)
    configs: list[dict[str, object]] = [
        {"slot": slot, "policy": name, **POLICIES[name],
         "ws": f"ws://{address_of(slot // 4, slot % 4)}:{PORT}/ws", "poll": f"http://{address_of(slot // 4, slot % 4)}:{PORT}/poll"}
        for slot, name in enumerate(policy_of)
    ]  # fmt: skip
    tabs = [configs[i : i + CLIENTS_PER_TAB] for i in range(0, len(configs), CLIENTS_PER_TAB)]
    programs = {"chromium": find("chromium")}
    async with AsyncExitStack() as stack:

        def new_server(is_waiting: bool = True) -> Server:
            command = [
                "ip",
                "netns",
                "exec",
                server_name,
                sys.executable,
                str(HERE / "reconnect_server.py"),
                "--port",
                str(PORT),
            ]
            number = len(list(folder.glob("server*.out")))
            made = Server([*command, *(["--wait"] if is_waiting else [])], folder, f"server{number}")
            stack.callback(made.stop)
            return made

        server = [new_server(is_waiting=False)]
        await asyncio.to_thread(server[0].wait_for_output, "listening")
        web = serve_pages(state, tabs)
        stack.callback(web.shutdown)
        router = Router(router_name, client_name)
        stack.callback(router.close)
        browser = await stack.enter_async_context(Browser(programs["chromium"], folder, FLAGS))
        pages = []
        for number, tab in enumerate(tabs):
            pages.append((await browser.open(f"http://127.0.0.1:{web.server_address[1]}/page?tab={number}"))[1])
            await until(
                lambda tab=tab: state.stable_for([c["slot"] for c in tab]) >= 0,
                30,
                f"tab {number} did not connect within 30 s",
            )
        begin = time.monotonic()
        ends_at = begin + 60 * arguments.minutes - TAIL_S
        experiment = Experiment(state, router, paths, ends_at, begin, server, new_server)
        await asyncio.gather(*(experiment.trouble(path, f"{seed}:{path}") for path in range(paths)))
        await experiment.everybody(random.Random(f"{seed}:all"))
        outages: list[dict[str, Any]] = []
        for page in pages:
            answer = await browser.call(
                "Runtime.evaluate", page, expression="finish()", awaitPromise=True, returnByValue=True
            )
            outages += json.loads(answer["result"]["value"])
    # the browser writes the lines of its tabs as they come; in order of time they are easier to read
    lines = {name: sorted(found, key=lambda line: json.loads(line)["ts"]) for name, found in state.lines.items()}
    return {
        "outages": outages,
        "cuts": experiment.cuts,
        "lines": lines,
        "versions": read_versions({"chromium": programs["chromium"]}),
    }


def find(program: str) -> str:
    """Return the path of a program, or raise `LabError` naming its Debian package."""
    path = os.pathsep.join((os.environ.get("PATH", ""), "/usr/sbin", "/sbin"))
    found = shutil.which(program, path=path)
    if found is None:
        raise LabError(f"missing program: install the Debian package {PROGRAMS[program]}")
    return found


def check_machine() -> None:
    """Raise `LabError` when the experiment cannot run here."""
    for program in PROGRAMS:
        find(program)
    if os.geteuid() != 0:
        raise LabError("network namespaces need root")
    try:
        with Net():
            pass
    except (NetError, OSError, subprocess.SubprocessError) as error:
        raise LabError(f"no network namespaces here: {error}") from error


def write(out: Path, found: dict[str, Any], arguments: argparse.Namespace) -> dict[str, Any]:
    """Write the telemetry of each policy, the truth and where it comes from; return the totals."""
    out.mkdir(parents=True, exist_ok=True)
    for name, lines in found["lines"].items():
        text = "".join(f"{line}\n" for line in lines).encode()
        (out / f"client_{name}.ndjson.gz").write_bytes(gzip.compress(text, 9, mtime=0))
    totals = {
        "outages": dict(Counter(outage["policy"] for outage in found["outages"])),
        "cuts": dict(Counter(cut["kind"] for cut in found["cuts"])),
        "lines": {name: len(lines) for name, lines in found["lines"].items()},
    }
    truth = {
        "seed": arguments.seed, "paths": arguments.paths, "minutes": arguments.minutes, "totals": totals,
        "policies": POLICIES, "versions": found["versions"], "cuts": found["cuts"], "outages": found["outages"],
    }  # fmt: skip
    text = json.dumps(truth, separators=(",", ":")).replace('{"path"', '\n{"path"').replace('{"slot"', '\n{"slot"')
    (out / "truth.json").write_text(text + "\n", encoding="utf-8")
    versions = ", ".join(f"{name} {version}" for name, version in found["versions"].items())
    provenance = PROVENANCE.format(
        paths=arguments.paths, minutes=arguments.minutes, seed=arguments.seed, versions=versions
    )
    (out / "PROVENANCE.md").write_text(provenance, encoding="utf-8")
    return totals


def run_inside(arguments: argparse.Namespace) -> int:
    """Be the process in the client's namespace."""
    os.environ.update(TZ="UTC", LC_ALL="C.UTF-8")
    with tempfile.TemporaryDirectory(prefix="wslog-lab-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        found = asyncio.run(inside(arguments, folder, arguments.inside.split(",")))
    print(json.dumps(write(arguments.out, found, arguments)))
    return 0


def run_outside(arguments: argparse.Namespace) -> int:
    """Make the namespaces, run this program in the client's, take the namespaces away."""
    check_machine()
    with Net() as net:
        command = ["ip", "netns", "exec", net.client, sys.executable, __file__, "--inside", f"{net.router},{net.server},{net.client}",
                   "--out", str(arguments.out), "--paths", str(arguments.paths), "--minutes", str(arguments.minutes),
                   "--seed", str(arguments.seed)]  # fmt: skip
        child = subprocess.Popen(command)
        try:
            return child.wait(60 * arguments.minutes + 120)
        except subprocess.TimeoutExpired:
            raise LabError("the run took two minutes longer than it should have") from None
        finally:
            with contextlib.suppress(ProcessLookupError):
                child.terminate()
                with contextlib.suppress(subprocess.TimeoutExpired):
                    child.wait(10)
                child.kill()


def main() -> int:
    """Run the experiment.

    Returns
    -------
    int
        Exit status: 0, 1 when it cannot run or failed, 130 when it was interrupted.
    """
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder of the result")
    parser.add_argument("--minutes", type=float, default=3.8, help="how long (default 3.8)")
    parser.add_argument(
        "--paths", type=int, default=36, help="paths that are cut alone, four clients each (default 36)"
    )
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--inside", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    arguments.out = arguments.out.resolve()
    try:
        return run_inside(arguments) if arguments.inside else run_outside(arguments)
    except KeyboardInterrupt:
        return 130
    except (LabError, NetError, RuntimeError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
