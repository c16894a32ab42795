"""Outages from attempts: the numbers that define them, and the table as a frame.

Read ``sql/outages.sql`` (which attempts make an outage) and ``sql/episodes.sql`` (how it ended and how long it took).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

    from wslog.engine import Engine

STABLE_S = 5
"""An open that is lost abnormally sooner than this never ended the outage (reconnecting-websocket's minUptime is 5 s)."""

GIVE_UP_S = 300
"""A client whose session goes on this long after a failure, without a retry, gave up: no known policy waits longer than
120 s (gRPC), background tabs up to a minute more."""

HERD_COUNT = 5
"""Sessions of one host lost within one second that can be a herd: fewer are common by chance on a busy service."""

HERD_SIGMA = 6
"""How far above the ten minutes around, in standard deviations of a Poisson count, that second must be."""


def fills() -> dict[str, str]:
    """Return the placeholders of the two files: the constants above."""
    return {
        "stable_s": str(STABLE_S),
        "give_up_s": str(GIVE_UP_S),
        "herd_count": str(HERD_COUNT),
        "herd_sigma": str(HERD_SIGMA),
    }


def episodes(
    engine: Engine, since: str | None = None, until: str | None = None, week: str | None = None, where: str | None = None
) -> pd.DataFrame:
    """Return the ``episodes`` table.

    Returns
    -------
    pandas.DataFrame
        One row per outage of one session; key ``episode_id``, which is the ``attempt_id`` of the attempt that began it;
        columns as registered (``wslog schema``). A period selects by ``started_at``.

    Raises
    ------
    UsageError
    """
    return engine.frame("episodes", since, until, week, where)
