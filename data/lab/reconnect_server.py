"""The server of the reconnect experiment: WebSocket and polling on every address of its network, cut off when told to.

Run as a process of its own, so that it can be killed::

    python reconnect_server.py --port 9000 [--wait]

It sends every client a small message twice a second, and resets the connections of an address when a line with that address
arrives on standard input. With ``--wait`` it is loaded and listens only after a first line.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import http
import socket
import struct
import sys
from collections import defaultdict

from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

TICK_S = 0.5

connections: dict[str, set[ServerConnection]] = defaultdict(set)


def answer_poll(connection: ServerConnection, request: Request) -> Response | None:
    """Answer ``/poll`` over HTTP; everything else is a WebSocket handshake."""
    if not request.path.startswith("/poll"):
        return None
    response = connection.respond(http.HTTPStatus.OK, "ok\n")
    response.headers["Access-Control-Allow-Origin"] = "*"
    return response


async def handle(connection: ServerConnection) -> None:
    """Send ticks until the connection ends."""
    address = connection.local_address[0]
    connections[address].add(connection)
    try:
        with contextlib.suppress(ConnectionClosed):
            while True:
                await connection.send("tick")
                await asyncio.sleep(TICK_S)
    finally:
        connections[address].discard(connection)


def reset(address: str) -> None:
    """Drop the TCP connections of an address with a reset: no close frame, no FIN."""
    for connection in list(connections[address]):
        sock = connection.transport.get_extra_info("socket")
        with contextlib.suppress(OSError):  # it is closed already
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.transport.abort()


async def run(port: int, *, is_waiting: bool) -> None:
    """Serve until the process is ended."""
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    print("loaded", flush=True)
    if is_waiting:
        await reader.readline()
    options = {"ping_interval": None, "compression": None}
    async with serve(handle, "0.0.0.0", port, process_request=answer_poll, **options):
        print("listening", flush=True)
        while line := await reader.readline():
            reset(line.decode().strip())


def main() -> None:
    """Parse the command line and serve."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--wait", action="store_true", help="listen only after a line on standard input")
    arguments = parser.parse_args()
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(run(arguments.port, is_waiting=arguments.wait))


if __name__ == "__main__":
    main()
