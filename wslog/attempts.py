"""Connection attempts from events: what ``sql/attempts.sql`` is filled with, and the table as a frame.

Read ``sql/steps.sql`` and ``sql/attempts.sql`` to know what makes an attempt and where each of its columns comes from.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from wslog import outcomes

if TYPE_CHECKING:
    import pandas as pd

    from wslog.engine import Engine


def fills() -> dict[str, str]:
    """Return the placeholders of ``sql/attempts.sql``: the outcome rules, as SQL."""
    return {
        "rule_id": outcomes.rule_id_sql(),
        "outcome": outcomes.outcome_sql(),
        "evidence": outcomes.evidence_sql(),
        "rules_version": str(outcomes.RULES_VERSION),
    }


def attempts(
    engine: Engine, since: str | None = None, until: str | None = None, week: str | None = None, where: str | None = None
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
