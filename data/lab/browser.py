"""Headless Chromium, driven over the DevTools protocol."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import os
import re
import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

CONSOLE_LINE = re.compile(rb"^\[[^\]]*\bCONSOLE\b[^\]]*\] ")
FLAGS = (
    "--headless",
    "--no-sandbox",  # the sandbox refuses to run as root, as in a container; only pages of the lab are opened
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--no-proxy-server",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-background-timer-throttling",
    "--disable-renderer-backgrounding",
    "--disable-backgrounding-occluded-windows",
    "--disable-features=BackForwardCache",  # a page that is left is gone
    "--disable-dev-shm-usage",
    "--remote-debugging-port=0",
    "--enable-logging=stderr",
    "--log-level=0",
)


class Browser:
    """A running Chromium, as an async context manager.

    Parameters
    ----------
    program : str
        Path of the executable.
    folder : Path
        Scratch folder for the profile and standard error.
    flags : sequence of str
        More flags; the last of a kind wins.
    """

    def __init__(self, program: str, folder: Path, flags: Sequence[str] = ()) -> None:
        self._program = program
        self._flags = (*FLAGS, *flags)
        self._profile = folder / "profile"
        self._stderr = folder / "chromium_stderr.log"
        self._ids = itertools.count(1)
        self._waiting: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._process: subprocess.Popen[bytes] | None = None
        self._socket: ClientConnection | None = None
        self._reader: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        """Start the browser and connect to it."""
        with self._stderr.open("wb") as stderr:
            self._process = subprocess.Popen(
                [self._program, *self._flags, f"--user-data-dir={self._profile}", "about:blank"],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=stderr,
                start_new_session=True,
            )
        try:
            url = await self._endpoint()
            self._socket = await connect(url, max_size=None, proxy=None, ping_interval=None)
        except BaseException:
            self._kill()
            raise
        self._reader = asyncio.create_task(self._read(self._socket))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the browser; end its processes if it does not go by itself."""
        try:
            assert self._process is not None
            if kind is None:
                with contextlib.suppress(ConnectionClosed, TimeoutError):
                    await asyncio.wait_for(self.call("Browser.close"), 5)
                for _ in range(50):
                    if self._process.poll() is not None:
                        break
                    await asyncio.sleep(0.1)
            if self._reader is not None:
                self._reader.cancel()
            if self._socket is not None:
                self._socket.transport.abort()
        finally:
            self._kill()

    async def _endpoint(self) -> str:
        """Wait for the file in which Chromium states where it listens."""
        assert self._process is not None
        path = self._profile / "DevToolsActivePort"
        for _ in range(300):
            if self._process.poll() is not None:
                break
            if path.exists() and len(lines := path.read_text().split()) == 2:
                return f"ws://127.0.0.1:{lines[0]}{lines[1]}"
            await asyncio.sleep(0.1)
        tail = self._stderr.read_text(errors="replace")[-500:]
        raise RuntimeError(f"Chromium did not start: {tail}")

    def _kill(self) -> None:
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()

    async def _read(self, socket: ClientConnection) -> None:
        """Hand each answer to the call that waits for it."""
        try:
            async for text in socket:
                message = json.loads(text)
                future = self._waiting.pop(message.get("id", 0), None)
                if future is not None and not future.done():
                    future.set_result(message)
        finally:
            for future in self._waiting.values():
                if not future.done():
                    future.set_exception(ConnectionError("the browser is gone"))

    async def call(self, method: str, page: str | None = None, **parameters: object) -> dict[str, Any]:
        """Call a method of the DevTools protocol.

        Parameters
        ----------
        method : str
            For example ``Page.navigate``.
        page : str, optional
            Session id of the tab; without it the browser itself is meant.
        **parameters : object
            Parameters of the method.

        Returns
        -------
        dict
            The result.

        Raises
        ------
        RuntimeError
            When the browser answers with an error.
        """
        assert self._socket is not None
        number = next(self._ids)
        message: dict[str, object] = {"id": number, "method": method, "params": parameters}
        if page is not None:
            message["sessionId"] = page
        future: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        self._waiting[number] = future
        await self._socket.send(json.dumps(message))
        answer = await future
        if "error" in answer:
            raise RuntimeError(f"{method}: {answer['error'].get('message')}")
        result: dict[str, Any] = answer.get("result", {})
        return result

    async def open(self, url: str) -> tuple[str, str]:
        """Open a tab.

        Returns
        -------
        tuple of str, str
            Target id and session id of the tab.
        """
        target: str = (await self.call("Target.createTarget", url=url))["targetId"]
        page: str = (await self.call("Target.attachToTarget", targetId=target, flatten=True))["sessionId"]
        return target, page

    async def holds(self, page: str, condition: str) -> bool:
        """Evaluate a JavaScript condition in a tab; False as long as the page has not been loaded."""
        expression = f"typeof seen === 'object' && ({condition})"
        answer = await self.call("Runtime.evaluate", page, expression=expression, returnByValue=True)
        return answer["result"].get("value") is True

    def console_lines(self) -> bytes:
        """Give the CONSOLE lines of standard error, verbatim."""
        lines = self._stderr.read_bytes().splitlines(keepends=True)
        return b"".join(line for line in lines if CONSOLE_LINE.match(line))
