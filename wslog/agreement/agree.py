"""What client and service each saw of the same connections. SQL: ``sql/agreement/matrix.sql``, ``sql/agreement/counts.sql``."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from wslog.agreement.says import sentences
from wslog.agreement.table import clocks, make
from wslog.metrics.frames import arrange, proportions, select

if TYPE_CHECKING:
    import pandas as pd

    from wslog.engine import Engine

KEYS = ("service_side", "client_view", "service_view")


@dataclass(frozen=True)
class Agreement:
    """The answer of :func:`agreement`.

    Attributes
    ----------
    matrix : pandas.DataFrame
        Metric frame: one row per group, ``service_side``, ``client_view`` and ``service_view``. ``client_view`` is the close code
        that the client saw, or never opened (with the HTTP status, if it was told), left while connecting, page left, end
        not seen, ended without code; ``service_view`` the code in the service's log, or idle timeout, ended by the client, the
        server or the proxy, cut, ended, not told by whom, end not seen, answered HTTP ..., no answer, client left the
        handshake, never reached, not in the log. ``value`` is the share among the group's attempts with that
        ``client_view``; ``excluded_count`` counts those whose partner is ambiguous and those that the log of the service could
        not show (outside its times, another host, still open, no key to match by).
    matches : pandas.DataFrame
        One row per ``side``, ``service_side``, ``match_status``, ``matched_by`` and ``unmatched_because``: ``attempt_count``
        and ``weighted_count`` (by ``sample_weight``) of the selection's attempts.
    clocks : pandas.DataFrame
        One row per client log and log of the service: :func:`wslog.agreement.clocks`. Of the whole lake, whatever is selected.
    says : list of str
        What the lake cannot show, how the sides were joined, what the cells mean.
    """

    matrix: pd.DataFrame
    matches: pd.DataFrame
    clocks: pd.DataFrame
    says: list[str]


def agreement(
    engine: Engine,
    by: str | Iterable[str] = (),
    since: str | None = None,
    until: str | None = None,
    week: str | None = None,
    where: str | None = None,
) -> Agreement:
    """Join client attempts with those in the service's logs and hold what both saw against each other.

    Attempts are joined over the whole lake; period, filter and groups are those of the client's attempt.

    Parameters
    ----------
    engine : Engine
    by : str or iterable of str
        Grouping columns of the frame ``matrix``.
    since, until, week, where : str, optional
        As of every metric.

    Returns
    -------
    Agreement

    Raises
    ------
    UsageError

    Notes
    -----
    How attempts are joined: :mod:`wslog.agreement.matching` and :mod:`wslog.agreement.likeness`. Shares: Wilson intervals,
    clustered by session; below 20 attempts of a ``client_view`` they are insufficient.

    Examples
    --------
    >>> agreement(engine, by=["network_type"], week="2026-W47").matrix  # doctest: +SKIP
    """
    selection = select(by, since, until, week, where, ["attempts"], KEYS)
    make(engine)
    cells = proportions(engine.run("agreement/matrix", "attempts", selection))
    matrix = arrange([cells], [*selection.by, *KEYS])
    counts = engine.run("agreement/counts", "attempts", selection)
    skews = clocks(engine)
    return Agreement(matrix, counts, skews, sentences(matrix, counts, skews))
