"""Connection attempts from events, as a frame.

Read ``sql/steps.sql`` and ``sql/attempts.sql`` to know what makes an attempt and where each of its columns comes from; the
rules that decide how it went are in :mod:`wslog.outcomes`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

    from wslog.engine import Engine


def attempts(
    engine: Engine,
    since: str | None = None,
    until: str | None = None,
    week: str | None = None,
    where: str | None = None,
) -> pd.DataFrame:
    """Return the ``attempts`` table.

    Returns
    -------
    pandas.DataFrame
        One row per connection attempt, as one side saw it; key ``attempt_id``; columns as registered
        (``wslog schema``). A period selects by ``started_at``, where that is null by ``opened_at``, then ``ended_at``.

    Raises
    ------
    UsageError
    """
    return engine.frame("attempts", since, until, week, where)
