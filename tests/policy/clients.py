"""Clients that follow a policy, written down as the events of their log; and what is read off it for every preset:

    python -m tests.policy.clients [OUTAGES]

prints one row per preset: what the waits resemble, and the formula read off them.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tests.make_events import engine_of
from tests.policy.worlds import CELLULAR
from wslog.policy.observed import observed_policy
from wslog.policy.policies import Policy
from wslog.policy.presets import presets

PER_SESSION = 4
LONGEST = 60
"""Retries of one outage at most."""


@dataclass(frozen=True)
class Habits:
    """What the world does to the waits.

    Parameters
    ----------
    timer : callable, optional
        Turns a wait and the generator into the wait as it was.
    lateness_s : float
        Timers fire late by up to this, uniformly.
    short_share : float
        Share of the opens during an outage that die after short_s (uniform) seconds.
    short_s : (float, float)
    hang_share : float
        Share of the failed attempts that hang for 10 s or the policy's patience.
    browser : str
    took : callable, optional
        How long the k-th failed attempt took.
    online_share : float
        Share of the retries that come at once since the network changed.
    code : int
        Close code of the attempts that fail.
    """

    timer: Callable[[float, np.random.Generator], float] | None = None
    lateness_s: float = 0.004
    short_share: float = 0.0
    short_s: tuple[float, float] = (0.3, 4.5)
    hang_share: float = 0.15
    browser: str = "Chrome"
    took: Callable[[int], float] | None = None
    online_share: float = 0.0
    code: int = 1006


def events(policy: Policy, outages: int, seed: int, habits: Habits = Habits()) -> list[dict[str, Any]]:
    """Let clients lose connections and retry; every session has a few outages, minutes apart, and is left in the end.

    A world of its own, told from the other simulator: waits are taken from the policy's matrix, lives are loops over outages.
    """
    rng = np.random.default_rng(seed)
    rows: list[dict[str, Any]] = []
    ends = CELLULAR.ends(outages, rng)[1]
    session_count = -(-outages // PER_SESSION)
    drawn = iter(policy.waits(3 * outages, LONGEST, rng))
    is_once = policy.backoff is not None and policy.backoff.jitter == "once"
    # a page keeps what it drew once: one matrix row per page, drawn anew only by policies that draw each time
    for number in range(session_count):
        session, now = f"s{number}", 3600.0 * (number % 20) + rng.uniform(0, 3000)

        def note(event: str, at: float, session: str = session, **fields: Any) -> None:
            rows.append({"event": event, "s": round(at, 3), "session_id": session, "browser": habits.browser, **fields})

        network, waits = "wifi", next(drawn)
        note("attempt", now, network_type=network)
        note("open", now + 0.1)
        now += 0.1 + rng.exponential(60) + 6
        for end_s in ends[number * PER_SESSION : (number + 1) * PER_SESSION]:
            up, k, at, leaves = now + end_s, 0, now, now + rng.exponential(400)
            waits = waits if is_once else next(drawn)
            note("close", now, close_code=1006)
            is_open = False
            took, is_short_used = 0.0, False
            while k < LONGEST and waits[k] == waits[k]:
                wait = max(0.0, waits[k] - took) if policy.is_wait_from_start else waits[k]
                wait = wait if habits.timer is None else habits.timer(wait, rng)
                wait += rng.uniform(0, habits.lateness_s)
                if rng.random() < habits.online_share:
                    wait, network = rng.uniform(0, 0.02), "cellular" if network == "wifi" else "wifi"
                    note("network", at + wait / 2, network_type=network)
                if at + wait > leaves:
                    break
                at, k = at + wait, k + 1
                note("attempt", at)
                if at >= up and rng.random() > 0.06:
                    is_open = True
                    took = 0.15
                    note("open", at + took)
                    at += took
                    if rng.random() >= habits.short_share or is_short_used:
                        break
                    is_open, is_short_used = False, True
                    lifetime = rng.uniform(*habits.short_s)
                    at += lifetime
                    note("close", at, close_code=1006)
                    took = 0.0
                    if policy.reset != "after_uptime" or lifetime >= policy.reset_after_s:
                        waits, k = waits if is_once else next(drawn), 0
                    continue
                is_hanging = rng.random() < habits.hang_share
                took = min(10.0, policy.connect_timeout_s) if is_hanging else float(rng.uniform(0.005, 0.08))
                took = took if habits.took is None else habits.took(k)
                at += took
                note("close", at, close_code=habits.code, close_code_source="library_synthetic")
            now = at
            if not is_open:
                # who stopped stays on the page without a WebSocket; who left says nothing more
                if k < LONGEST and waits[k] != waits[k]:
                    if policy.fallback:
                        note("fallback", now + 0.001, transport="polling")
                    note("poll", now + 700.0, transport="polling")
                break
            now += 10 + rng.exponential(60)
        else:
            note("close", now, close_code=1000)
    return rows


def read(policy: Policy, outages: int, seed: int, folder: Path, habits: Habits = Habits()) -> dict[str, Any]:
    """Return the only row of :func:`~wslog.policy.observed.observed_policy` for such clients."""
    with engine_of(folder, events(policy, outages, seed, habits)) as engine:
        frame = observed_policy(engine)
    row: dict[str, Any] = frame.iloc[0].to_dict()
    return row


def main() -> None:
    outages = int(sys.argv[1]) if len(sys.argv) > 1 else 600
    for name, policy in presets().items():
        with tempfile.TemporaryDirectory() as folder:
            row = read(policy, outages, 1, Path(folder))
        told = {
            key: row[key]
            for key in (
                "growth",
                "formula_from_retry",
                "base_s",
                "factor",
                "step_s",
                "cap_s",
                "jitter",
                "jitter_low_ratio",
                "limit",
                "reset",
            )
        }
        shown = " ".join(
            f"{key}={value:.3g}" if isinstance(value, float) else f"{key}={value}" for key, value in told.items()
        )
        also = f" or {row['resembles_also']}" if row["resembles_also"] else ""
        print(
            f"{name:33} {row['resembles']}{also} score {row['resembles_score']:.3f} waits {row['wait_count']} {shown} flags {row['flagged']} {row['state']}",
            flush=True,
        )


if __name__ == "__main__":
    main()
