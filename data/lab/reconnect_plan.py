"""What the reconnect experiment does to whom: policies, cuts and their durations, drawn from a seed."""

from __future__ import annotations

import random
from dataclasses import dataclass

POLICIES: dict[str, dict[str, object]] = {
    "linear-3": {"waits_s": [1, 2, 3], "backoff": None},
    "aws-full-jitter": {"waits_s": [], "backoff": {"base_s": 1, "factor": 2, "cap_s": 30, "jitter": "full"}},
    "socket.io": {"waits_s": [], "backoff": {"base_s": 1, "factor": 2, "cap_s": 5, "jitter": "backo2"}},
    "fixed-5s": {"waits_s": [], "backoff": {"base_s": 5, "factor": 1, "cap_s": 5, "jitter": "none"}},
}
"""One client of every path under each: the names of wslog's presets, and what the page is told."""

STABLE_S = 6.5
"""A path is cut again when all its clients have been open for so long: a connection lost within 5 s would belong to the
outage before."""

PAUSE_S = 1.0
"""Mean of the exponential wait before that cut."""

LINK_CUT_S = (2.0, 4.0)
SERVER_DOWN_S = (3.0, 8.0)
"""Cuts of the whole link, and kills of the server: everybody at once."""


@dataclass(frozen=True)
class Cut:
    """One cut of one path.

    Parameters
    ----------
    kind : str
        ``blip`` (0.2 to 1 s), ``handover`` (2 to 4 s) or ``long`` (5 to 30 s).
    how : str
        ``unreachable`` or ``blackhole``; see `reconnect_net.py`.
    is_silent : bool
        The clients' connections are not reset at the begin: the page finds out by the server's silence. Only for cuts that
        last longer than that takes: shorter ones go unnoticed, TCP sends again.
    """

    kind: str
    how: str
    is_silent: bool
    duration_s: float


def draw(rng: random.Random) -> Cut:
    """Draw a cut."""
    kind = rng.choices(("blip", "handover", "long"), (0.35, 0.35, 0.30))[0]
    low, high = {"blip": (0.2, 1.0), "handover": (2.0, 4.0), "long": (5.0, 30.0)}[kind]
    # long ones uniform in the logarithm: most are shorter than 12 s
    duration = low * (high / low) ** rng.random() if kind == "long" else rng.uniform(low, high)
    how = "unreachable" if rng.random() < 0.65 else "blackhole"
    is_silent = kind == "long" and rng.random() < 0.25
    return Cut(kind, "blackhole" if is_silent else how, is_silent, duration)
