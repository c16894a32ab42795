"""The library twin of the command line: :func:`ingest` and :func:`open_lake`.

>>> import wslog                                            # doctest: +SKIP
>>> wslog.ingest(["data/demo/lab"], lake="lake").totals      # doctest: +SKIP
>>> wslog.open_lake("lake").close_codes(by=["network_type"]) # doctest: +SKIP
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from wslog.errors import UsageError
from wslog.lake import LakeStore

if TYPE_CHECKING:
    import pandas as pd

    from wslog.agreement import Agreement
    from wslog.diagnosis import Diagnosis
    from wslog.engine import Engine
    from wslog.explain.model import Explanation
    from wslog.intake.run import IngestReport
    from wslog.intake.source import IngestOptions
    from wslog.policy.policies import Policy
    from wslog.policy.tuning import Tuning


def ingest(
    paths: str | os.PathLike[str] | Iterable[str | os.PathLike[str]],
    lake: str | os.PathLike[str],
    *,
    format: str | None = None,
    log_format: str | None = None,
    nginx_conf: str | os.PathLike[str] | None = None,
    ws_path: str | None = None,
    source_label: str | None = None,
    tz: str | None = None,
    keep_ip: bool = False,
    asn_db: str | os.PathLike[str] | None = None,
    id_params: str | Iterable[str] | None = None,
    final: bool = False,
    worker_count: int | None = None,
    max_reject_pct: float = 50.0,
) -> IngestReport:
    """Read log dumps into a lake; reading the same bytes again adds nothing.

    Parameters
    ----------
    paths : path or iterable of paths
        Files, folders, glob patterns, ``-`` for stdin; gzip, zstd and bzip2 are told by their magic bytes.
    lake : path-like
        Folder of the lake; made if it does not exist.
    format : str, optional
        Name of the format (``wslog formats`` lists them); detected otherwise, never guessed.
    log_format, nginx_conf : optional
        An nginx ``log_format`` string, or the nginx configuration file that holds it.
    ws_path : str, optional
        RE2 pattern of the WebSocket endpoints' paths.
    source_label : str, optional
        Kept with every row's source; the same bytes under two labels are two sources.
    tz : str, optional
        IANA zone of times that carry none.
    keep_ip : bool
        Keep raw addresses (otherwise only their keyed hash and their /24 or /48).
    asn_db : path-like, optional
        A MaxMind-format (.mmdb) ASN, ISP, Connection-Type or Enterprise database: fills ``network_class``, ``asn`` and
        ``as_org`` of rows that have an address. With another database, or none, a source is read again.
    id_params : str or iterable of str, optional
        Parameters of the request target's query whose value becomes the ``request_id`` of server and proxy rows that have
        none: 6 to 64 letters, digits or ``. _ ~ -``. Default connection, connection_id, conn_id, request_id, rid; empty:
        none. Nothing else of a query is kept.
    final : bool
        A last line without newline is whole.
    worker_count : int, optional
        Threads that parse; as many as there are processors, 4 at most.
    max_reject_pct : float
        Above it the report's ``exit_code`` is 3.

    Returns
    -------
    IngestReport
        ``sources`` (one report each, with the line account), ``totals``, ``exit_code``.

    Raises
    ------
    UsageError, LakeWriteError, LakeBusyError, LakeDamagedError
    """
    from wslog.intake.run import ingest_paths

    options, max_reject_pct = ingest_options(
        format=format,
        log_format=log_format,
        nginx_conf=nginx_conf,
        ws_path=ws_path,
        source_label=source_label,
        tz=tz,
        keep_ip=keep_ip,
        asn_db=asn_db,
        id_params=id_params,
        final=final,
        worker_count=worker_count,
        max_reject_pct=max_reject_pct,
    )
    return ingest_paths([paths] if isinstance(paths, (str, os.PathLike)) else paths, lake, options, max_reject_pct)


def ingest_options(
    *,
    format: str | None,
    log_format: str | None,
    nginx_conf: str | os.PathLike[str] | None,
    ws_path: str | None,
    source_label: str | None,
    tz: str | None,
    keep_ip: bool,
    asn_db: str | os.PathLike[str] | None,
    id_params: str | Iterable[str] | None,
    final: bool,
    max_reject_pct: float,
    worker_count: int | None = None,
) -> tuple[IngestOptions, float]:
    """Check the arguments of :func:`ingest` and turn them into :class:`~wslog.intake.source.IngestOptions`."""
    from wslog.formats.contract import Options
    from wslog.formats.registry import get
    from wslog.intake.run import core_count
    from wslog.intake.shared_ids import check_id_params
    from wslog.intake.source import IngestOptions

    if log_format is not None and nginx_conf is not None:
        raise UsageError("give --log-format or --nginx-conf, not both")
    if tz is not None:
        _check_zone(tz)
    reading = Options(log_format, _read_conf(nginx_conf), ws_path, tz)
    name = get(format).name if format else None
    workers = worker_count or min(4, core_count())
    names = check_id_params(id_params)
    networks = None
    if asn_db is not None:
        from wslog.intake.networks import open_database

        networks = open_database(asn_db)
    return IngestOptions(
        name, reading, source_label, keep_ip, final, workers, networks=networks, id_params=names
    ), max_reject_pct


def _check_zone(tz: str) -> None:
    from zoneinfo import ZoneInfo

    try:
        ZoneInfo(tz)
    except (KeyError, ValueError, OSError) as error:
        raise UsageError(f"--tz {tz!r} is no IANA zone: try UTC, Europe/Berlin, America/New_York") from error


def _read_conf(path: str | os.PathLike[str] | None) -> str | None:
    if path is None:
        return None
    try:
        return Path(path).read_text("utf-8", errors="backslashreplace")
    except OSError as error:
        raise UsageError(f"the nginx configuration {os.fspath(path)} cannot be read: {error.strerror}") from error


def open_lake(path: str | os.PathLike[str]) -> Lake:
    """Open a lake for reading.

    Raises
    ------
    UsageError
        There is no lake at ``path``.
    LakeDamagedError
    """
    store = LakeStore(path)
    store.description()
    return Lake(store)


class Lake:
    """A lake as it was when it was first read: tables and metrics as pandas frames.

    Every metric takes ``by`` (columns to group by), ``since`` and ``until`` (ISO dates or instants, UTC, half-open),
    ``week`` (like ``2026-W47``) and ``where`` (``column op literal [and ...]``); with ``compare`` (a week or a filter) it says
    what changed.
    """

    def __init__(self, store: LakeStore) -> None:
        self._store = store

    @property
    def path(self) -> Path:
        return self._store.root

    @cached_property
    def engine(self) -> Engine:
        """The embedded engine, bound to the files the ledger names now."""
        from wslog.engine import Engine

        return Engine(self._store.event_files(), self._store.sources())

    # --- tables ---

    def events(self) -> pd.DataFrame:
        """Return the ``events`` table: one row per thing a log line says about one connection."""
        return self.engine.frame("events")

    def attempts(self) -> pd.DataFrame:
        """Return the ``attempts`` table: one row per connection attempt, as one side saw it."""
        return self.engine.frame("attempts")

    def episodes(self) -> pd.DataFrame:
        """Return the ``episodes`` table: one row per outage of one client session."""
        return self.engine.frame("episodes")

    def sources(self) -> pd.DataFrame:
        """Return the ``sources`` table: one row per ingested file, with its line account."""
        return self.engine.frame("sources")

    def rejects(self) -> pd.DataFrame:
        """Return the ``rejects`` table: one row per span of bytes that no format could read."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        from wslog.schema import arrow_schema

        schema = arrow_schema("rejects")
        tables = [pq.read_table(path, schema=schema) for path in self._store.reject_files()]
        frame: pd.DataFrame = pa.concat_tables([schema.empty_table(), *tables]).to_pandas()
        return frame

    def herds(
        self,
        since: str | None = None,
        until: str | None = None,
        week: str | None = None,
        where: str | None = None,
    ) -> pd.DataFrame:
        """Return the ``herds`` table; see :func:`wslog.diagnosis.herd_measures.measure`."""
        from wslog.diagnosis import diagnose

        return diagnose(self.engine, (), None, since, until, week, where).herds

    def matches(self) -> pd.DataFrame:
        """Return the ``matches`` table: which client attempt is which attempt in the logs of servers and proxies."""
        from wslog.agreement import matches

        return matches(self.engine)

    # --- metrics ---

    def close_codes(
        self,
        by: Sequence[str] = (),
        since: str | None = None,
        until: str | None = None,
        week: str | None = None,
        where: str | None = None,
        compare: str | None = None,
    ) -> pd.DataFrame:
        """Return the close-code distribution; see :func:`wslog.metrics.close_codes.close_codes`."""
        from wslog.metrics.close_codes import close_codes

        return close_codes(self.engine, by, since, until, week, where, compare)

    def retries(
        self,
        by: Sequence[str] = (),
        since: str | None = None,
        until: str | None = None,
        week: str | None = None,
        where: str | None = None,
        compare: str | None = None,
    ) -> pd.DataFrame:
        """Return retry outcomes; see :func:`wslog.metrics.retries.retries`."""
        from wslog.metrics.retries import retries

        return retries(self.engine, by, since, until, week, where, compare)

    def fallback(
        self,
        by: Sequence[str] = (),
        since: str | None = None,
        until: str | None = None,
        week: str | None = None,
        where: str | None = None,
        compare: str | None = None,
    ) -> pd.DataFrame:
        """Return fallback rates; see :func:`wslog.metrics.fallback.fallback`."""
        from wslog.metrics.fallback import fallback

        return fallback(self.engine, by, since, until, week, where, compare)

    def reliability(
        self,
        by: Sequence[str] = (),
        since: str | None = None,
        until: str | None = None,
        week: str | None = None,
        where: str | None = None,
        compare: str | None = None,
    ) -> pd.DataFrame:
        """Return weekly reliability; see :func:`wslog.metrics.reliability.reliability`."""
        from wslog.metrics.reliability import reliability

        return reliability(self.engine, by, since, until, week, where, compare)

    def failure_definitions(
        self,
        by: Sequence[str] = (),
        since: str | None = None,
        until: str | None = None,
        week: str | None = None,
        where: str | None = None,
    ) -> pd.DataFrame:
        """Return the failure rate under each definition; see :func:`wslog.metrics.definitions.failure_definitions`."""
        from wslog.metrics.definitions import failure_definitions

        return failure_definitions(self.engine, by, since, until, week, where)

    def agreement(
        self,
        by: Sequence[str] = (),
        since: str | None = None,
        until: str | None = None,
        week: str | None = None,
        where: str | None = None,
    ) -> Agreement:
        """Hold what clients and service saw of the same connections against each other; see :func:`wslog.agreement.agreement`."""
        from wslog.agreement import agreement

        return agreement(self.engine, by, since, until, week, where)

    def observed_policy(
        self,
        by: str | Iterable[str] = (),
        since: str | None = None,
        until: str | None = None,
        week: str | None = None,
        where: str | None = None,
    ) -> pd.DataFrame:
        """Return the reconnect policy that clients followed; see :func:`wslog.policy.observed.observed_policy`."""
        from wslog.policy.observed import observed_policy

        return observed_policy(self.engine, by, since, until, week, where)

    def slo(
        self,
        objective: float,
        metric: str = "connect_success_rate",
        by: Sequence[str] = (),
        since: str | None = None,
        until: str | None = None,
        week: str | None = None,
        where: str | None = None,
    ) -> pd.DataFrame:
        """Hold a metric against an objective, with budget and burn rates; see :func:`wslog.metrics.slo.slo`."""
        from wslog.metrics.slo import slo

        return slo(self.engine, objective, metric, by, since, until, week, where)

    def diagnose(
        self,
        by: Sequence[str] = (),
        session: str | None = None,
        since: str | None = None,
        until: str | None = None,
        week: str | None = None,
        where: str | None = None,
    ) -> Diagnosis:
        """Name the cause of every abnormal end and failed connect; see :func:`wslog.diagnosis.diagnose`."""
        from wslog.diagnosis import diagnose

        return diagnose(self.engine, by, session, since, until, week, where)

    def tune(
        self,
        by: Sequence[str] = ("network_type",),
        policies: Sequence[str | Policy] = (),
        price_s: float = 1.0,
        *,
        current: str | Policy | None = None,
        horizon_s: float = 600.0,
        seed: int = 0,
        since: str | None = None,
        until: str | None = None,
        week: str | None = None,
        where: str | None = None,
    ) -> Tuning:
        """Say what other reconnect policies would have done and which to take; see :func:`wslog.policy.tune.tune`."""
        from wslog.policy.tune import tune

        period = {"since": since, "until": until, "week": week, "where": where}
        return tune(self.engine, by, policies, price_s, current=current, horizon_s=horizon_s, seed=seed, **period)

    def explain(self, code: str | int, lang: str = "en") -> Explanation:
        """Explain a close code or HTTP status, with what this lake shows about it; see :func:`wslog.explain.explain`."""
        from wslog.explain import explain

        return explain(code, self, lang)

    def report(self, out: str | os.PathLike[str], week: str | None = None) -> Path:
        """Write the weekly page and its charts into a folder; return the page's path."""
        from wslog.report import write_report

        return write_report(self, Path(out), week)
