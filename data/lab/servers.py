"""What stands around the browser: the ports, nginx, HAProxy, a syslog listener, the HTTP servers."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter, defaultdict
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from string import Template
from typing import Any, ClassVar
from urllib.parse import parse_qs, urlsplit

HERE = Path(__file__).resolve().parent
SYSLOG_HEAD = re.compile(rb"^<\d+>([A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d) (haproxy\[)")

PORTS = (
    "nginx",
    "nginx_slow_1",
    "nginx_slow_2",
    "haproxy",
    "haproxy_slow_1",
    "haproxy_slow_2",
    "haproxy_asap",
    "backend",
    "backend_restart_nginx",
    "backend_restart_haproxy",
    "backend_down_nginx",
    "backend_down_haproxy",
    "closed",
)


class Ports:
    """Free loopback ports, held for the whole run by sockets that are bound but never listen.

    A server with ``SO_REUSEADDR`` can listen on such a port; where none does, a connection is refused,
    and no other program can take the port.
    """

    def __init__(self) -> None:
        self._sockets: list[socket.socket] = []
        self.numbers: dict[str, int] = {}
        for name in PORTS:
            held = socket.socket()
            held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            held.bind(("127.0.0.1", 0))
            self._sockets.append(held)
            self.numbers[name] = held.getsockname()[1]

    def close(self) -> None:
        """Let the ports go."""
        for held in self._sockets:
            held.close()


class Process:
    """A program of the lab that is surely ended.

    Parameters
    ----------
    command : list of str
        Program and arguments.
    folder : Path
        Where its output goes.
    name : str
        Name of the output file.
    """

    def __init__(self, command: list[str], folder: Path, name: str) -> None:
        self.name = name
        self._output = folder / f"{name}.out"
        with self._output.open("ab") as output:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=output,
                cwd=folder,
                start_new_session=True,
            )

    def tell(self) -> None:
        """Send a line to its standard input."""
        assert self._process.stdin is not None
        self._process.stdin.write(b"\n")
        self._process.stdin.flush()

    def kill(self) -> None:
        """End it at once, as a crash would."""
        self._process.kill()
        self._process.wait()

    def stop(self) -> None:
        """End it in an orderly way, by force after 3 s."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(3)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        if self._process.stdin is not None:
            self._process.stdin.close()

    def check(self) -> None:
        """Raise `RuntimeError` if it has ended."""
        if self._process.poll() is not None:
            output = self._output.read_text(errors="replace")[-500:]
            raise RuntimeError(f"{self.name} ended with status {self._process.returncode}: {output}")

    def wait_for_output(self, text: str) -> None:
        """Wait until it has printed a text, for 10 s at most."""
        for _ in range(200):
            self.check()
            if text in self._output.read_text(errors="replace"):
                return
            time.sleep(0.05)
        raise RuntimeError(f"{self.name} did not print {text!r}")


def wait_for_port(port: int, process: Process) -> None:
    """Wait until a program answers on its port.

    Raises
    ------
    RuntimeError
        When it has ended, or does not answer within 10 s.
    """
    for _ in range(100):
        process.check()
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(0.1)
    raise RuntimeError(f"{process.name} does not answer on port {port}")


def fill(template: str, ports: dict[str, int], **values: object) -> str:
    """Fill a template of this folder."""
    return Template((HERE / template).read_text(encoding="utf-8")).substitute(ports, **values)


def start_nginx(program: str, folder: Path, ports: dict[str, int]) -> Process:
    """Write nginx.conf and start nginx."""
    user = "user root;" if os.geteuid() == 0 else ""
    conf = folder / "nginx.conf"
    conf.write_text(fill("nginx.conf.template", ports, folder=folder, user=user))
    command = [program, "-p", str(folder), "-c", str(conf), "-e", str(folder / "nginx_error.log")]
    return Process(command, folder, "nginx")


def start_haproxy(program: str, folder: Path, ports: dict[str, int]) -> Process:
    """Write haproxy.cfg and start HAProxy."""
    cfg = folder / "haproxy.cfg"
    cfg.write_text(fill("haproxy.cfg.template", ports, folder=folder))
    return Process([program, "-db", "-f", str(cfg)], folder, "haproxy")


def start_backend(folder: Path, port: int, *, is_waiting: bool = False) -> Process:
    """Start a WebSocket server; with `is_waiting` it listens once it is told to."""
    log = str(folder / "server.log")
    command = [sys.executable, str(HERE / "backend.py"), "--port", str(port), "--log", log]
    return Process(command + ["--wait"] * is_waiting, folder, f"backend_{port}")


class Syslog(threading.Thread):
    """A syslog daemon for HAProxy: a Unix datagram socket whose messages go to a file.

    The priority is dropped and the host is added, as a daemon does when it stores a local message;
    HAProxy's own time and tag are kept.

    Parameters
    ----------
    folder : Path
        Holds the socket ``syslog.sock`` and gets ``haproxy.log``.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__(daemon=True)
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(folder / "syslog.sock"))
        self._socket.settimeout(0.2)
        self._path = folder / "haproxy.log"
        self._path.touch()
        self._is_stopping = False

    def run(self) -> None:
        """Store messages until stopped."""
        with self._path.open("ab", buffering=0) as file:
            while True:
                try:
                    message = self._socket.recv(65536)
                except TimeoutError:
                    if self._is_stopping:
                        return
                    continue
                file.write(SYSLOG_HEAD.sub(rb"\1 localhost \2", message).rstrip(b"\n\0") + b"\n")

    def stop(self) -> None:
        """Store what has arrived, then stop."""
        self._is_stopping = True
        self.join()
        self._socket.close()


class Collector:
    """Two HTTP servers in threads: one for the page, its telemetry and its truth, one to be polled.

    Parameters
    ----------
    folder : Path
        Gets ``client.ndjson``.
    """

    FAILING_POLLS: ClassVar[dict[str, int]] = {"port_closed": 2}

    def __init__(self, folder: Path) -> None:
        self.pages: dict[str, dict[str, object]] = {}
        self.truth: dict[str, dict[str, Any]] = {}
        self.problems: list[str] = []
        self._lock = threading.Lock()
        self._file = (folder / "client.ndjson").open("w", encoding="utf-8")
        self._next: Counter[str] = Counter()
        self._early: defaultdict[str, dict[int, list[str]]] = defaultdict(dict)
        self._polls: Counter[str] = Counter()
        self._html = (HERE / "page.html").read_text(encoding="utf-8")
        self._own = self._serve()
        self._poll = self._serve()
        self.port: int = self._own.server_address[1]
        self.poll_port: int = self._poll.server_address[1]

    def _serve(self) -> ThreadingHTTPServer:
        collector = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *args: object) -> None:
                """Keep quiet."""

            def do_GET(self) -> None:
                self._send(*collector.get(self.path))

            def do_POST(self) -> None:
                text = self.rfile.read(int(self.headers.get("Content-Length", "0"))).decode()
                collector.post(self.path, text)
                self._send(HTTPStatus.NO_CONTENT, "")

            def _send(self, status: HTTPStatus, text: str) -> None:
                body = text.encode()
                self.send_response(status)
                self.send_header("Access-Control-Allow-Origin", "*")
                if status != HTTPStatus.NO_CONTENT:
                    self.send_header("Content-Type", "text/html; charset=utf-8")
                    self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

        class Server(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, request: object, client_address: object) -> None:
                """Ignore connections that the browser breaks off."""

        server = Server(("127.0.0.1", 0), Handler)
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.1}, daemon=True).start()
        return server

    def get(self, path: str) -> tuple[HTTPStatus, str]:
        """Answer a GET: the page, or a poll."""
        parts = urlsplit(path)
        query = {key: values[0] for key, values in parse_qs(parts.query).items()}
        if parts.path == "/page.html" and query.get("page") in self.pages:
            settings = json.dumps(self.pages[query["page"]])
            return HTTPStatus.OK, self._html.replace("/*LAB*/null", settings, 1)
        if parts.path == "/poll":
            with self._lock:
                self._polls[query["session"]] += 1
                is_failing = self._polls[query["session"]] <= self.FAILING_POLLS.get(query["scenario"], 0)
            return (HTTPStatus.SERVICE_UNAVAILABLE, "busy\n") if is_failing else (HTTPStatus.OK, "[]\n")
        return HTTPStatus.NOT_FOUND, "not found\n"

    def post(self, path: str, text: str) -> None:
        """Take telemetry lines or a page's count.

        A request states the number of its first line, so that the lines of a session are stored in order even
        when the last request of a page overtakes the one before.
        """
        parts = urlsplit(path)
        with self._lock:
            if parts.path == "/truth":
                report = json.loads(text)
                if report["n"] > self.truth.get(report["page"], {"n": 0})["n"]:
                    self.truth[report["page"]] = report
            elif parts.path == "/log":
                query = parse_qs(parts.query)
                session, first = query["session"][0], int(query["first"][0])
                self._early[session][first] = text.splitlines()
                while (lines := self._early[session].pop(self._next[session], None)) is not None:
                    self._file.writelines(line + "\n" for line in lines)
                    self._next[session] += len(lines)
                self._file.flush()

    def stop(self) -> None:
        """Stop both servers and close the file."""
        for server in (self._own, self._poll):
            server.shutdown()
            server.server_close()
        with self._lock:
            gaps = [session for session, kept in self._early.items() if kept]
            self.problems += [f"session {session}: telemetry lines are missing" for session in gaps]
            self._file.close()
