"""The WebSocket server of the lab: what it does to a connection follows from the scenario in the path.

Run as a process of its own, so that a scenario can kill it::

    python backend.py --port 9000 --log server.log

The query of the request carries ``connection`` (an id made by the page) and ``attempt`` (1, 2, 3 ...).
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import http
import logging
import socket
import struct
import sys
from urllib.parse import parse_qs, urlsplit

from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

SERVER_CLOSES = {1001: "going away", 1011: "internal error", 1012: "service restart", 4001: "session expired"}
SERVER_CLOSE_AFTER_S = 1.0
FLAP_COUNT = 6
FLAP_AFTER_S = 0.3
DROP_AFTER_S = 1.0
SLOW_HANDSHAKE_S = 4.0

log = logging.getLogger("lab.backend")


def read_request(path: str) -> tuple[str, str, int]:
    """Split the target of an upgrade request.

    Parameters
    ----------
    path : str
        Path and query, for example ``/ws/idle_timeout?connection=ab12&attempt=2``.

    Returns
    -------
    tuple of str, str, int
        Scenario, connection id and number of the attempt within its session.
    """
    parts = urlsplit(path)
    query = parse_qs(parts.query)
    attempt = int(query.get("attempt", ["1"])[0])
    return parts.path.rpartition("/")[2], query.get("connection", ["-"])[0], attempt


def is_slow(scenario: str, attempt: int) -> bool:
    """Tell whether the handshake of this attempt is answered late."""
    return scenario == "left_connecting" or (scenario == "drop_left_connecting" and attempt > 1)


async def screen(connection: ServerConnection, request: Request) -> Response | None:
    """Refuse with 403, or answer late, before the upgrade."""
    scenario, connection_id, attempt = read_request(request.path)
    if scenario == "refused_403":
        log.warning("refused scenario=%s connection=%s status=403", scenario, connection_id)
        return connection.respond(http.HTTPStatus.FORBIDDEN, "upgrade refused\n")
    if is_slow(scenario, attempt):
        await asyncio.sleep(SLOW_HANDSHAKE_S)
    return None


def abort(connection: ServerConnection) -> None:
    """Drop the TCP connection with a reset: no close frame, no FIN."""
    sock = connection.transport.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.transport.abort()


async def tick(connection: ServerConnection, every_s: float) -> None:
    """Send a small message at a steady pace until the connection ends."""
    while True:
        await asyncio.sleep(every_s)
        await connection.send("tick")


async def read(connection: ServerConnection) -> None:
    """Take in messages until the connection ends, so that its end is noticed."""
    async for _ in connection:
        pass


async def behave(connection: ServerConnection, scenario: str, attempt: int) -> None:
    """Do to an open connection what its scenario asks."""
    kind, _, code = scenario.rpartition("_")
    if kind == "server_close":
        await asyncio.sleep(SERVER_CLOSE_AFTER_S)
        await connection.close(int(code), SERVER_CLOSES[int(code)])
    elif scenario == "flapping" and attempt <= FLAP_COUNT:
        await asyncio.sleep(FLAP_AFTER_S)
        abort(connection)
    elif scenario.startswith("drop_left") and attempt == 1:
        await asyncio.sleep(DROP_AFTER_S)
        abort(connection)
    elif scenario == "idle_timeout":
        if attempt == 1:
            await connection.wait_closed()
        else:
            await tick(connection, 1.0)
    else:
        await tick(connection, 0.5)


async def handle(connection: ServerConnection) -> None:
    """Serve one connection and write an application log line for its open and its close."""
    assert connection.request is not None
    scenario, connection_id, attempt = read_request(connection.request.path)
    log.info("open scenario=%s connection=%s attempt=%d", scenario, connection_id, attempt)
    reader = asyncio.create_task(read(connection))
    try:
        with contextlib.suppress(ConnectionClosed):
            await connection.send("welcome")
            await behave(connection, scenario, attempt)
        await connection.wait_closed()
    finally:
        reader.cancel()
        await asyncio.gather(reader, return_exceptions=True)
        end = f"code={connection.close_code} reason={connection.close_reason or ''!r}"
        log.info("close scenario=%s connection=%s %s", scenario, connection_id, end)


async def run(port: int, *, is_waiting: bool) -> None:
    """Listen on a loopback port until the process is ended.

    Parameters
    ----------
    port : int
        Loopback port.
    is_waiting : bool
        Be loaded, but start listening only when a line arrives on standard input.
    """
    print("loaded", flush=True)
    if is_waiting:
        await asyncio.to_thread(sys.stdin.readline)
    async with serve(handle, "127.0.0.1", port, process_request=screen, ping_interval=None) as server:
        print("listening", flush=True)
        await server.serve_forever()


def main() -> None:
    """Parse the command line and serve."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--log", required=True, help="application log, appended to")
    parser.add_argument("--wait", action="store_true", help="listen only after a line on standard input")
    arguments = parser.parse_args()
    logging.basicConfig(
        filename=arguments.log, level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s"
    )
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(run(arguments.port, is_waiting=arguments.wait))


if __name__ == "__main__":
    main()
