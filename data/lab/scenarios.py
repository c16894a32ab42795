"""The scenarios: what happens to each page, and what must come out of it, reasoned from the scenario alone.

Nothing here is read from a log. `run.py` compares these expectations with what each page counted.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

Front = Literal["nginx", "haproxy", "haproxy_asap", "direct"]
Left = Literal["open", "connecting", "polling", "closed"]
End = Literal["recovered", "fell_back", "gave_up", "left", "censored"]


@dataclass(frozen=True)
class Episode:
    """One outage, as the definition gives it for a scenario.

    Parameters
    ----------
    start_cause : str
        ``drop_<close code>`` or ``first_attempt_failed``.
    end : str
        How the outage ended.
    is_flapping : bool
        Whether it holds two or more opens that were lost again within 5 s.
    """

    start_cause: str
    end: End
    is_flapping: bool = False


@dataclass(frozen=True)
class Page:
    """One page load: scenario, way to the server, when the page is left, and the expected counts.

    Parameters
    ----------
    scenario : str
        Name, also the last part of the path ``/ws/<scenario>``.
    front : str
        What stands between the page and the server.
    left : str
        What the page is doing when it is left.
    opens, failed : int
        Connections that opened; attempts that did not, pages left aside.
    closes : dict of str to int
        ``onclose`` events by code.
    retries, retries_made : int
        Retries scheduled, and attempts made as a retry.
    episodes : tuple of Episode
        The outages.
    abandoned : int
        Attempts cut by leaving the page.
    polls_failed : int
        Polls that were not answered 2xx.
    close_on_open, close_after_ms : int
        The page calls ``close(1000)`` this long after its n-th open; 0 is never.
    leave_when : str
        JavaScript over ``seen`` and ``attempt``; when it holds the page is left, after `leave_after_s`.
    leave_after_s : float
        Pause before leaving.
    leave_by : str
        ``navigate`` (to another page) or ``close`` (the tab).
    kill_backend : str
        ``never``, ``back`` (killed, and started again 2 s later) or ``for_good``.
    listener : str
        Endpoint of the front. Chromium lets one WebSocket at a time connect to an address and port, so a slow
        handshake needs a listener of its own, or it would hold up every other page.
    """

    scenario: str
    front: Front
    left: Left
    opens: int = 0
    failed: int = 0
    closes: dict[str, int] = field(default_factory=dict)
    retries: int = 0
    retries_made: int = 0
    episodes: tuple[Episode, ...] = ()
    abandoned: int = 0
    polls_failed: int = 0
    close_on_open: int = 0
    close_after_ms: int = 0
    leave_when: str = "attempt === null"
    leave_after_s: float = 0.5
    leave_by: Literal["navigate", "close"] = "navigate"
    kill_backend: Literal["never", "back", "for_good"] = "never"
    listener: Literal["main", "slow_1", "slow_2"] = "main"
    name: str = field(init=False)

    def __post_init__(self) -> None:
        """Give the page its name."""
        object.__setattr__(self, "name", f"{self.scenario}-{self.front}")

    @property
    def attempts(self) -> int:
        """Connection attempts of the page."""
        return self.opens + self.failed + self.abandoned

    @property
    def has_fallen_back(self) -> bool:
        """Whether the page ends on polling."""
        return self.left == "polling"


STAY_MS = 6000  # longer than the 5 s after which an outage counts as over
POLLING_LONG_ENOUGH = "seen.polls_ok >= 2"


def _normal_close(front: Front) -> Page:
    return Page(
        "normal_close",
        front,
        left="closed",
        opens=1,
        closes={"1000": 1},
        close_on_open=1,
        close_after_ms=1500,
        leave_when="seen.opens === 1 && attempt === null",
    )


def _server_close(code: int, front: Front) -> Page:
    # The reference client does nothing after such a close, so the outage has no end in the log.
    episodes = () if code >= 4000 else (Episode(f"drop_{code}", "censored"),)
    return Page(
        f"server_close_{code}",
        front,
        left="closed",
        opens=1,
        closes={str(code): 1},
        episodes=episodes,
        leave_when="seen.opens === 1 && attempt === null",
        leave_after_s=1.0,
    )


def _idle_timeout(front: Front) -> Page:
    # The front ends the silent first connection after 3 s; the second one carries a message each second.
    return Page(
        "idle_timeout",
        front,
        left="closed",
        opens=2,
        closes={"1006": 1, "1000": 1},
        retries=1,
        retries_made=1,
        episodes=(Episode("drop_1006", "recovered"),),
        close_on_open=2,
        close_after_ms=STAY_MS,
        leave_when="seen.closes[1000] === 1",
    )


def _backend_restart(front: Front) -> Page:
    # Killed at 0 s, back at 2 s: the retry at 1 s fails, the one 2 s after that opens.
    return Page(
        "backend_restart",
        front,
        left="closed",
        opens=2,
        failed=1,
        closes={"1006": 2, "1000": 1},
        retries=2,
        retries_made=2,
        episodes=(Episode("drop_1006", "recovered"),),
        close_on_open=2,
        close_after_ms=STAY_MS,
        leave_when="seen.closes[1000] === 1",
        kill_backend="back",
    )


def _backend_down(front: Front) -> Page:
    # HAProxy answers 503 only after it has tried again for 1 s.
    return Page(
        "backend_down",
        front,
        left="polling",
        opens=1,
        failed=3,
        closes={"1006": 4},
        retries=3,
        retries_made=3,
        episodes=(Episode("drop_1006", "fell_back"),),
        leave_when=POLLING_LONG_ENOUGH,
        kill_backend="for_good",
        listener="slow_2" if front == "haproxy" else "main",
    )


def _never_opens(scenario: str, front: Front, polls_failed: int = 0) -> Page:
    return Page(
        scenario,
        front,
        left="polling",
        failed=4,
        closes={"1006": 4},
        retries=3,
        retries_made=3,
        episodes=(Episode("first_attempt_failed", "fell_back"),),
        polls_failed=polls_failed,
        leave_when=POLLING_LONG_ENOUGH,
    )


# In order of start: the long ones first.
PAGES: tuple[Page, ...] = (
    # Six opens are reset after 0.3 s each. Behind nginx the page is left 1 s into the seventh; behind HAProxy
    # that one holds.
    Page(
        "flapping",
        "nginx",
        left="open",
        opens=7,
        closes={"1006": 6},
        retries=6,
        retries_made=6,
        episodes=(Episode("drop_1006", "left", is_flapping=True),),
        leave_when="seen.opens === 7",
        leave_after_s=1.0,
    ),
    Page(
        "flapping",
        "haproxy",
        left="closed",
        opens=7,
        closes={"1006": 6, "1000": 1},
        retries=6,
        retries_made=6,
        episodes=(Episode("drop_1006", "recovered", is_flapping=True),),
        close_on_open=7,
        close_after_ms=STAY_MS,
        leave_when="seen.closes[1000] === 1",
    ),
    _backend_restart("nginx"),
    _backend_restart("haproxy"),
    _backend_down("haproxy"),
    _backend_down("nginx"),
    _idle_timeout("nginx"),
    _idle_timeout("haproxy"),
    _never_opens("port_closed", "direct", polls_failed=2),
    _never_opens("refused_403", "nginx"),
    _never_opens("refused_403", "haproxy"),
    _never_opens("bad_gateway_502", "nginx"),
    Page(
        "left_connecting",
        "nginx",
        left="connecting",
        abandoned=1,
        leave_when="seen.attempts === 1",
        leave_after_s=1.5,
        listener="slow_1",
    ),
    Page(
        "left_connecting",
        "haproxy",
        left="connecting",
        abandoned=1,
        leave_when="seen.attempts === 1",
        leave_after_s=1.5,
        listener="slow_1",
    ),
    # Dropped after 1 s; left while the retry connects, or while waiting to retry: then no line says so.
    Page(
        "drop_left_connecting",
        "nginx",
        left="connecting",
        opens=1,
        closes={"1006": 1},
        retries=1,
        retries_made=1,
        episodes=(Episode("drop_1006", "left"),),
        abandoned=1,
        leave_when="seen.attempts === 2",
        leave_after_s=1.0,
        listener="slow_2",
    ),
    Page(
        "drop_left_waiting",
        "haproxy",
        left="closed",
        opens=1,
        closes={"1006": 1},
        retries=1,
        episodes=(Episode("drop_1006", "censored"),),
        leave_when="seen.retries === 1",
        leave_after_s=0.1,
    ),
    _server_close(1001, "nginx"),
    _server_close(1011, "haproxy"),
    _server_close(1012, "nginx"),
    _server_close(4001, "haproxy_asap"),
    _normal_close("nginx"),
    _normal_close("haproxy"),
    _normal_close("haproxy_asap"),
    Page(
        "left_open",
        "nginx",
        left="open",
        opens=1,
        leave_when="seen.opens === 1",
        leave_after_s=2.0,
    ),
    Page(
        "left_open",
        "haproxy",
        left="open",
        opens=1,
        leave_when="seen.opens === 1",
        leave_after_s=2.0,
        leave_by="close",
    ),
)
