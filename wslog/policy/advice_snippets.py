"""A schedule as configuration of the client library in use, with what that library cannot do.

SignalR, Phoenix and plain JavaScript take any list of waits. socket.io-client and reconnecting-websocket grow a first delay by a
factor up to a cap: there the cheapest reachable setting is searched, and its extra cost is stated.

Sources (read and run): socket.io-client 4.8.4 ``manager.ts`` and ``contrib/backo2.ts``; @microsoft/signalr 10.0.11
``HubConnection.ts``; phoenix 1.8.16 ``socket.js`` and ``timer.js``; reconnecting-websocket 4.4.0 ``reconnecting-websocket.ts``.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from wslog.errors import UsageError
from wslog.policy.model import Distribution, FloatArray
from wslog.policy.schedule import LADDER_S, Schedule
from wslog.policy.schedule_dp import Evaluation, Terms, evaluate

LIBRARIES = ("javascript", "socket.io", "signalr", "phoenix", "reconnecting-websocket")
"""Client libraries that a schedule can be written for."""

SPREAD_S = 30.0
"""Window after 1012 where no better is known: 5 to 30 s was proposed with the code (A. Toppi, hybi list, May 2012)."""

CONNECT_TIMEOUT_S = 10.0
STABLE_S = 5.0
DRAWS = 96
GROWTHS = np.asarray([1.0, 1.1, 1.2, 1.3, 1.5, 1.7, 2.0, 2.5, 3.0])

LIMITS = {
    "javascript": (),
    "signalr": (
        "a start() that fails is not retried: call it again yourself",
        "the close code is read from the text of the error, which a version may change",
    ),
    "phoenix": (
        "every open starts the list anew, so a connection that dies at once is retried after the first wait for ever",
        "the close code is not known where the wait is chosen: a restart is spread by the jitter only",
        "no attempt limit, and no pause while the page is visible",
    ),
    "socket.io": (
        "the delay doubles from the first to the cap and cannot follow the list",
        "every open starts the delays anew",
        "the close code is not known where the delay is chosen: a restart is spread by the jitter only",
        '"io server disconnect" is not retried: call socket.connect() yourself',
    ),
    "reconnecting-websocket": (
        "the delay grows by one factor from the first to the cap and cannot follow the list",
        "jitter is one draw a page load, the same for every wait of that page",
        "the close code is not known where the delay is chosen: a restart is spread by that draw only",
    ),
}
"""What each library cannot do of the schedule."""


@dataclass(frozen=True)
class Snippet:
    """A schedule for one client library.

    Parameters
    ----------
    library : str
        One of :data:`LIBRARIES`.
    code : str
        JavaScript that sets it.
    settings : dict
        Numbers in it, by name, in milliseconds unless the name says otherwise.
    limits : tuple of str
        What the library cannot do of the schedule.
    evaluation : Evaluation
        Exact figures of what the library then does, under the distribution the schedule was made for.
    extra_cost_ratio : float
        How much more that costs than the schedule with its jitter, as a share; below 0 if less.
    """

    library: str
    code: str
    settings: dict[str, float]
    limits: tuple[str, ...]
    evaluation: Evaluation
    extra_cost_ratio: float


def snippet(
    library: str,
    schedule: Schedule,
    outage: Distribution,
    *,
    title: str = "",
    spread_s: float = SPREAD_S,
    connect_timeout_s: float = CONNECT_TIMEOUT_S,
    stable_s: float = STABLE_S,
    seed: int = 0,
) -> Snippet:
    """Return the configuration that comes closest to a schedule.

    Parameters
    ----------
    library : str
        One of :data:`LIBRARIES`.
    schedule : Schedule
        What to reach.
    outage : Distribution
        The (smoothed) distribution it was made for.
    title : str
        For the comment on top, such as the network type.
    spread_s : float
        Window of the first attempt after 1001, 1012 and 1013, where the library knows the code.
    connect_timeout_s, stable_s : float
        Patience with one attempt; uptime from which on an open counts as a recovery.
    seed : int
        Of the draws that jitter is averaged over.

    Raises
    ------
    UsageError
        A library that is not in :data:`LIBRARIES`, or a schedule that makes no attempt.
    """
    if library not in LIBRARIES:
        raise UsageError(f"no snippet for {library!r}; there are {', '.join(LIBRARIES)}")
    if not schedule.waits_s:
        raise UsageError("the schedule makes no attempt: there is nothing to configure")
    terms = schedule.terms
    settings: dict[str, float] = {}
    figures = schedule.jittered
    if library == "socket.io":
        settings, figures = _closest_socket_io(schedule, outage, seed)
    elif library == "reconnecting-websocket":
        settings, figures = _closest_reconnecting(schedule, outage, seed)
    values = {
        "head": _head(schedule, title),
        "waits_s": json.dumps([_plain(wait) for wait in schedule.waits_s]),
        "waits_ms": json.dumps([round(1000 * wait) for wait in schedule.waits_s]),
        "jitter": _plain(schedule.jitter),
        "attempt_limit": "Infinity" if schedule.attempt_limit is None else str(schedule.attempt_limit),
        "spread_s": _plain(spread_s),
        "spread_ms": round(1000 * spread_s),
        "connect_timeout_s": _plain(connect_timeout_s),
        "connect_timeout_ms": round(1000 * connect_timeout_s),
        "stable_s": _plain(stable_s),
        "stable_ms": round(1000 * stable_s),
        **{name: _plain(value) for name, value in settings.items()},
    }
    code = _environment().get_template(f"{library}.js.jinja").render(values)
    extra = figures.cost_s(terms.price_s) / schedule.cost_s - 1.0
    return Snippet(library, code, settings, LIMITS[library], figures, extra)


def socket_io_starts(
    base_s: float, cap_s: float, jitter: float, terms: Terms, rng: np.random.Generator, attempt_limit: int | None = None
) -> FloatArray:
    """Return (:data:`DRAWS`, k) starts of socket.io-client with a cap that is drawn once a page load.

    The sign of the jitter hangs on the same draw as its size (``floor(10 r)`` even: shorter), as in its ``backo2``.
    """
    caps = cap_s * (1 + jitter * (2 * rng.random((DRAWS, 1)) - 1))
    grown = _grown(base_s, cap_s, 2.0, 1 - jitter, terms, attempt_limit)
    count = len(grown)
    r = rng.random((DRAWS, count))
    sign = np.where(np.floor(10 * r) % 2 == 0, -1.0, 1.0)
    waits = np.minimum(grown * (1 + sign * r * jitter), caps)
    waits[:, 1:] += terms.fail_s
    return np.asarray(np.cumsum(waits, axis=1), np.float64)


def reconnecting_starts(
    base_s: float,
    cap_s: float,
    growth: float,
    jitter: float,
    terms: Terms,
    rng: np.random.Generator,
    attempt_limit: int | None = None,
) -> FloatArray:
    """Return (:data:`DRAWS`, k) starts of reconnecting-websocket with delays that are scaled once a page load."""
    scale = 1 + jitter * (2 * (np.arange(DRAWS)[:, None] + rng.random((DRAWS, 1))) / DRAWS - 1)
    waits = np.minimum(_grown(base_s, cap_s, growth, 1 - jitter, terms, attempt_limit), cap_s) * scale
    waits[:, 1:] += terms.fail_s
    return np.asarray(np.cumsum(waits, axis=1), np.float64)


def _grown(
    base_s: float, cap_s: float, growth: float, least: float, terms: Terms, attempt_limit: int | None
) -> FloatArray:
    """Return the delays before the cap, as many as reach the horizon if each is as short as ``least`` of itself."""
    most = int(terms.horizon_s / (max(least * min(base_s, cap_s), 0.05) + terms.fail_s)) + 2
    grown = base_s * growth ** np.minimum(np.arange(min(most, attempt_limit or most)), 60.0)
    passed = np.cumsum(least * np.minimum(grown, cap_s) + terms.fail_s)
    return np.asarray(grown[: int(np.searchsorted(passed, terms.horizon_s)) + 1], np.float64)


def _closest_socket_io(schedule: Schedule, outage: Distribution, seed: int) -> tuple[dict[str, float], Evaluation]:
    def figures(base_s: float, cap_s: float) -> Evaluation:
        rng = np.random.default_rng(seed)
        starts = socket_io_starts(base_s, cap_s, schedule.jitter, schedule.terms, rng, schedule.attempt_limit)
        return evaluate(starts, outage, schedule.terms)

    (base, cap), found = _search(figures, (LADDER_S, LADDER_S), schedule)
    return {"base_ms": round(1000 * base), "cap_ms": round(1000 * cap)}, found


def _closest_reconnecting(schedule: Schedule, outage: Distribution, seed: int) -> tuple[dict[str, float], Evaluation]:
    def figures(base_s: float, cap_s: float, growth: float) -> Evaluation:
        rng = np.random.default_rng(seed)
        terms, limit = schedule.terms, schedule.attempt_limit
        starts = reconnecting_starts(base_s, cap_s, growth, schedule.jitter, terms, rng, limit)
        return evaluate(starts, outage, terms)

    (base, cap, growth), found = _search(figures, (LADDER_S, LADDER_S, GROWTHS), schedule)
    return {"base_ms": round(1000 * base), "cap_ms": round(1000 * cap), "growth": growth}, found


def _search(
    figures: Callable[..., Evaluation], ladders: tuple[FloatArray, ...], schedule: Schedule
) -> tuple[tuple[float, ...], Evaluation]:
    """Return the settings of least cost: one or two rungs moved at a time, from the schedule's own first and last wait.

    ``ladders`` are those of the first delay, the cap and, if there is one, the factor.
    """
    seen: dict[tuple[int, ...], Evaluation] = {}

    def values(at: tuple[int, ...]) -> tuple[float, ...]:
        return tuple(float(ladder[k]) for ladder, k in zip(ladders, at, strict=True))

    def cost(at: tuple[int, ...]) -> float:
        if at not in seen:
            seen[at] = figures(*values(at))
        return seen[at].cost_s(schedule.price_s)

    def rung(wait_s: float) -> int:
        return int(np.abs(np.log(LADDER_S / wait_s)).argmin())

    steps = [step for step in itertools.product((-1, 0, 1), repeat=len(ladders)) if 0 < np.abs(step).sum() <= 2]
    last = rung(max(schedule.waits_s))
    middle = tuple(len(ladder) // 2 for ladder in ladders[2:])
    here = min(((min(rung(first), last), last, *middle) for first in (schedule.waits_s[0], 1.0)), key=cost)
    is_moving = True
    while is_moving:
        is_moving = False
        for step in steps:
            there = tuple(k + by for k, by in zip(here, step, strict=True))
            is_within = all(0 <= k < len(ladder) for k, ladder in zip(there, ladders, strict=True))
            if is_within and there[0] <= there[1] and cost(there) < cost(here) * (1 - 1e-6):
                here, is_moving = there, True
    return values(here), seen[here]


def _head(schedule: Schedule, title: str) -> str:
    """Return the comment on top; the title may come from a log and must not end the comment."""
    name = " ".join("".join(c if c.isalnum() or c in " ._-" else " " for c in title).split())[:60]
    of = f" for {name}" if name else ""
    return (
        f"// Reconnect schedule{of}: attempts priced at {schedule.price_s:g} s of downtime each. Expected: "
        f"{schedule.downtime_mean_s:.1f} s down and {schedule.attempts_mean:.1f} attempts an outage."
    )


def _plain(value: float) -> int | float:
    """Return a number as short as JavaScript writes it."""
    return int(value) if float(value).is_integer() else float(f"{value:.6g}")


@cache
def _environment() -> Environment:
    folder = Path(__file__).with_name("snippets")
    # JavaScript, not HTML: every value that goes in is a number or a list of numbers, and the title is reduced to letters
    return Environment(
        loader=FileSystemLoader(folder), undefined=StrictUndefined, autoescape=False, keep_trailing_newline=True
    )
