"""Outages from attempts, as a frame.

Read ``sql/outages.sql`` (which attempts make an outage) and ``sql/episodes.sql`` (how it ended and how long it took);
the numbers that define them are in :mod:`wslog.outcomes`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

    from wslog.engine import Engine


def episodes(
    engine: Engine,
    since: str | None = None,
    until: str | None = None,
    week: str | None = None,
    where: str | None = None,
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
