"""The network of the reconnect experiment: three network namespaces in a row, and real cuts.

    client 10.76.1.2 -- 10.76.1.1 router 10.76.2.1 -- 10.76.2.2 server, which answers on all of 10.77.0.0/16

Every client talks to an address of its own, so each path can be cut alone. A cut is a routing rule: ``unreachable`` (the client's
own system has no route, attempts fail at once) or ``blackhole`` (the router drops every packet both ways, attempts hang, as under
total radio loss). Cuts of the whole link take the router's interface down: the client loses its carrier and the browser knows that
it is offline.
"""

from __future__ import annotations

import os
import subprocess
from types import TracebackType
from typing import Self

PREFIX = "wslab"
NETWORK = "10.77.0.0/16"
FORCE = ("ip", "-force")


class NetError(Exception):
    """Namespaces cannot be made here."""


def ip(*words: str, namespace: str | None = None) -> None:
    """Run ``ip``; raise `NetError` with what it says when it fails."""
    command = ["ip", *(("-n", namespace) if namespace else ()), *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=10)
    if done.returncode:
        raise NetError(f"{' '.join(command)}: {done.stderr.strip() or done.returncode}")


def address_of(path: int, place: int) -> str:
    """Return the server's address for one client of a path (up to four of them)."""
    number = 4 * path + place
    return f"10.77.{number // 256}.{number % 256}"


def block_of(path: int) -> str:
    """Return all addresses of a path."""
    return f"{address_of(path, 0)}/30"


class Net:
    """The namespaces, as a context manager; they are gone afterwards, with all that runs in them."""

    def __init__(self) -> None:
        self.client, self.router, self.server = (f"{PREFIX}{os.getpid()}{letter}" for letter in "crs")

    def __enter__(self) -> Self:
        try:
            self._make()
        except BaseException:
            self._remove()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._remove()

    def _make(self) -> None:
        for name in (self.client, self.router, self.server):
            ip("netns", "add", name)
            ip("link", "set", "lo", "up", namespace=name)
        for end, name, near, far in (
            ("c", self.client, "10.76.1.2", "10.76.1.1"),
            ("s", self.server, "10.76.2.2", "10.76.2.1"),
        ):
            ip("link", "add", "up0", "netns", name, "type", "veth", "peer", "name", f"to{end}", "netns", self.router)
            ip("address", "add", f"{near}/30", "dev", "up0", namespace=name)
            ip("address", "add", f"{far}/30", "dev", f"to{end}", namespace=self.router)
            ip("link", "set", "up0", "up", namespace=name)
            ip("link", "set", f"to{end}", "up", namespace=self.router)
            ip("route", "add", "default", "via", far, namespace=name)
        ip("route", "add", NETWORK, "via", "10.76.2.2", namespace=self.router)
        ip("route", "add", "local", NETWORK, "dev", "lo", namespace=self.server)
        settings = {
            self.router: ("ip_forward=1",),
            # SYNs again after 1, 3, 7 s, as RFC 6298 and most systems have it; Linux 6.5 and later ask each second at first
            self.client: ("tcp_syn_linear_timeouts=0",),
        }
        for name, values in settings.items():
            for value in values:
                key, _, number = value.partition("=")
                path = f"/proc/sys/net/ipv4/{key}"
                # a kernel that lacks one of the others behaves as wanted without
                command = ["ip", "netns", "exec", name, "sh", "-c", f"test ! -e {path} || echo {number} > {path}"]
                subprocess.run(command, check=key == "ip_forward", timeout=10)

    def _remove(self) -> None:
        for name in (self.client, self.router, self.server):
            subprocess.run(["ip", "netns", "delete", name], capture_output=True, check=False, timeout=10)


class Router:
    """Cuts and restores paths; two ``ip`` processes take the orders, so that each takes effect within a millisecond.

    ``unreachable`` is a rule of the client's namespace: ICMP from the router would be rationed, one a second to an address.
    """

    def __init__(self, router: str, client: str) -> None:
        self._batches = {
            name: subprocess.Popen(
                [*FORCE, "-n", namespace, "-batch", "-"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True
            )
            for name, namespace in (("router", router), ("client", client))
        }

    def _order(self, name: str, *lines: str) -> None:
        stdin = self._batches[name].stdin
        assert stdin is not None
        stdin.write("".join(f"{line}\n" for line in lines))
        stdin.flush()

    def cut(self, path: int, how: str) -> None:
        """Cut a path: ``unreachable`` or ``blackhole``."""
        if how == "unreachable":
            self._order("client", f"rule add unreachable to {block_of(path)} priority {1000 + path}")
        else:
            self._order(
                "router",
                *(f"rule add blackhole {way} {block_of(path)} priority {1000 + path}" for way in ("to", "from")),
            )

    def restore(self, path: int, how: str) -> None:
        """Take a cut back."""
        line = f"rule delete priority {1000 + path}"
        if how == "unreachable":
            self._order("client", line)
        else:
            self._order("router", line, line)

    def link(self, state: str) -> None:
        """Take the link to the clients ``down`` or ``up``."""
        self._order("router", f"link set toc {state}")

    def close(self) -> None:
        """End the processes."""
        for batch in self._batches.values():
            assert batch.stdin is not None
            batch.stdin.close()
            batch.wait(5)
