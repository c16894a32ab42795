"""The embedded engine: DuckDB over the lake's Parquet files, running the SQL files of the package.

The SQL files are in the subset that DuckDB and Spark run verbatim, with Spark's function names; :data:`MACROS` gives
DuckDB the four it lacks. :func:`render` is all that happens to a file before an engine sees it, so another engine needs
only the tables ``events``, ``sources`` and ``gathered`` (what :func:`wslog.attempts.gather` makes of the events), and :data:`STAGES`
in order.
"""

from __future__ import annotations

import os
import re
import shutil
import tempfile
import weakref
from collections.abc import Sequence
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

import duckdb
import numpy as np
import pyarrow as pa

from wslog import outcomes
from wslog.attempts import AT_ONCE, FileEvents, gather
from wslog.errors import LakeDamagedError
from wslog.schema import COLUMNS, TABLES, arrow_schema
from wslog.selection import (
    SQL_NAMES,
    TIME_GROUPS,
    Selection,
    group_sql,
    parse_filter,
    parse_period,
    select_sql,
    time_words,
    unknown,
)

if TYPE_CHECKING:
    import pandas as pd

MACROS = (
    "CREATE MACRO unix_micros(t) AS epoch_us(t)",
    "CREATE MACRO approx_percentile(x, q) AS approx_quantile(x, q)",
    "CREATE MACRO weekday(t) AS isodow(t) - 1",
    "CREATE MACRO timestamp_micros(n) AS make_timestamptz(n)",
)

STAGES: dict[str, tuple[str, ...]] = {
    "origins": (),
    "untimed": ("origins",),
    "steps": ("origins", "untimed"),
    "verdicts": ("origins",),
    "attempt_rows": ("verdicts",),
    "attempts": ("attempt_rows",),
    "twins": ("attempts",),
    "clustered": ("attempts", "twins"),
    "sleeps": ("attempts",),
    "outage_rows": ("attempts",),
    "outages": ("origins", "outage_rows", "attempts"),
    "episode_rows": ("outage_rows", "attempts", "twins"),
    "episodes": ("episode_rows",),
    "fallbacks": ("steps", "attempts", "episodes"),
    "sessions": ("clustered", "fallbacks"),
    "links": ("attempts",),
}
"""Derived tables and what each is made from, in order."""

VIEWS = ("steps", "attempts", "clustered", "outages", "episodes", "sessions")
"""Stages that are not kept: a query over them reads the columns it needs, and no other is ever made."""

_TYPES = {
    "text": "VARCHAR",
    "word": "VARCHAR",
    "int16": "SMALLINT",
    "int32": "INTEGER",
    "int64": "BIGINT",
    "float64": "DOUBLE",
    "bool": "BOOLEAN",
    "instant": "TIMESTAMPTZ",
}


@cache
def _text(name: str) -> str:
    path = files("wslog").joinpath("sql", *f"{name}.sql".split("/"))
    if not path.is_file():
        raise FileNotFoundError(f"wslog/sql/{name}.sql")
    return path.read_text("utf-8")


def render(name: str, table: str | None = None, selection: Selection | None = None, **numbers: int | float) -> str:
    """Return the text of ``sql/<name>.sql`` with its placeholders filled.

    Parameters
    ----------
    name : str
        Like ``attempts`` or ``metrics/close_codes``.
    table : str, optional
        The table that a metric's grouping columns, period and filter speak about.
    selection : Selection, optional
    **numbers : int or float
        Numeric placeholders. Nothing else can be filled in: rules and columns come from the package's own lists.
    """
    fills: dict[str, str] = outcomes.fills()
    if table is not None:
        chosen = selection or Selection()
        fills |= group_sql(chosen.by, bool(numbers.get("by_client", 0)))
        for suffix, owner in (("", table), ("_episodes", "episodes")):
            fills[f"by_select{suffix}"] = select_sql(chosen.by, owner)
            fills[f"window{suffix}"] = chosen.period.sql(owner)
            fills[f"where{suffix}"] = chosen.filter.sql(owner)
    for key, number in numbers.items():
        if isinstance(number, bool) or not isinstance(number, (int, float)):
            raise TypeError(f"{key} must be a number")
        fills[key] = repr(number)
    return _text(name).format_map(fills)


class Engine:
    """A DuckDB connection that sees the events of a lake and derives everything else from them.

    Parameters
    ----------
    event_files : sequence of path
        Parquet files of the ``events`` table, as the ledger names them; none gives an empty table.
    sources : pyarrow.Table
        The ``sources`` table.
    memory_limit : str
        What DuckDB may use before it writes to a temporary folder, like ``3GB``. Attempts are put together and kept outside: about
        70 bytes an event meanwhile, 330 an attempt from then on.
    events_at_once : int
        Attempts are put together from about so many of their events at a time.

    Raises
    ------
    LakeDamagedError
        A file is missing or is no Parquet file of events.
    """

    def __init__(
        self,
        event_files: Sequence[str | os.PathLike[str]],
        sources: pa.Table,
        memory_limit: str = "3GB",
        events_at_once: int = AT_ONCE,
    ) -> None:
        self._events_at_once = events_at_once
        spill = tempfile.mkdtemp(prefix="wslog-")
        self._finish = weakref.finalize(self, shutil.rmtree, spill, ignore_errors=True)
        self._connection = duckdb.connect(
            config={
                "autoinstall_known_extensions": "false",
                "autoload_known_extensions": "false",
                "memory_limit": memory_limit,
                "temp_directory": spill,
                "preserve_insertion_order": "false",
            }
        )
        self._made: set[str] = set()
        run = self._connection.execute
        run("SET TimeZone = 'UTC'")
        for macro in MACROS:
            run(macro)
        self._bind_sources(sources)
        paths = [os.fspath(path) for path in event_files]
        self._paths = paths
        self._bind_events(paths)
        # from here on SQL reaches the lake's files and nothing else on this machine
        run("SET allowed_paths = $paths", {"paths": paths})
        run("SET allowed_directories = $folders", {"folders": [spill]})
        run("SET enable_external_access = false")
        run("SET lock_configuration = true")

    def close(self) -> None:
        """Close the connection and remove the temporary folder."""
        self._connection.close()
        self._finish()

    def __enter__(self) -> Engine:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # --- tables ---

    def arrow(self, name: str, selection: Selection | None = None) -> pa.Table:
        """Return a registered table (``events``, ``sources``, ``attempts``, ``episodes``, ``matches``) in its registered schema.

        Rows are in the order of the table's key. A selection's period and filter apply to attempts and episodes.
        """
        choices = ("events", "sources", "attempts", "episodes", *(["matches"] if self.has("matches") else []))
        if name not in choices:
            raise unknown("table", name, choices)
        self.make(name)
        columns = ", ".join(SQL_NAMES.get(column, column) for column in TABLES[name].columns)
        where = "TRUE"
        if selection is not None and name in ("attempts", "episodes"):
            where = f"{selection.period.sql(name)} AND {selection.filter.sql(name)}"
        order = ", ".join(TABLES[name].key)
        table = self._fetch(f"SELECT {columns} FROM {name} WHERE {where} ORDER BY {order}")
        return table.rename_columns(list(TABLES[name].columns)).cast(_nullable(arrow_schema(name)))

    def frame(
        self,
        name: str,
        since: str | None = None,
        until: str | None = None,
        week: str | None = None,
        where: str | None = None,
    ) -> pd.DataFrame:
        """Return a registered table as a pandas frame: text columns hold str or None, whole numbers are ``Int64``-like."""
        selection = None
        if any(value is not None for value in (since, until, week, where)):
            if name not in ("attempts", "episodes"):
                raise unknown("table to select from", name, ("attempts", "episodes"))
            selection = Selection((), parse_period(since, until, week), parse_filter(where, [name]))
        return to_frame(self.arrow(name, selection))

    def make(self, name: str) -> None:
        """Derive a table of :data:`STAGES`, and what it needs, unless that was done."""
        if name not in STAGES or name in self._made:
            return
        for needed in STAGES[name]:
            self.make(needed)
        if name == "attempt_rows":
            self._make_attempt_rows()
        elif name != "verdicts":  # made with the attempts, block by block
            self._execute(f"CREATE TEMP {'VIEW' if name in VIEWS else 'TABLE'} {name} AS {render(name)}")
        self._made.add(name)

    def _make_attempt_rows(self) -> None:
        pool, parts = pa.default_memory_pool(), []
        # columns held for long: the default pool asks the system for fresh memory at each read
        pa.set_memory_pool(pa.system_memory_pool())
        try:
            for gathered in gather(FileEvents(self._paths), self._fetch("SELECT * FROM origins"), self._events_at_once):
                self._connection.register("gathered", gathered)
                verdicts = self._fetch(render("verdicts"))
                self._connection.unregister("gathered")
                parts.append(_joined(gathered, verdicts))
        finally:
            pa.set_memory_pool(pool)
        # words are numbers in Arrow's dictionaries and texts in DuckDB's tables, twice as large: it stays where it is
        self._connection.register("attempt_rows", pa.concat_tables(parts))

    # --- queries ---

    def run(self, name: str, table: str, selection: Selection | None = None, **numbers: int | float) -> pd.DataFrame:
        """Run ``sql/<name>.sql`` over the derived tables and return its rows, registry names restored.

        Parameters are those of :func:`render`.
        """
        return to_frame(self.fetch(name, table, selection, **numbers))

    def fetch(self, name: str, table: str, selection: Selection | None = None, **numbers: int | float) -> pa.Table:
        """Return what :meth:`run` does, as Arrow; weeks and days as dictionaries of their words."""
        sql = render(name, table, selection, **numbers)
        for stage in re.findall(r"\b(?:FROM|JOIN) (\w+)", sql):
            self.make(stage)
        found = self._fetch(sql)
        back = {inside: outside for outside, inside in SQL_NAMES.items()}
        found = found.rename_columns([back.get(column, column) for column in found.column_names])
        for place, column in enumerate(found.column_names):
            if column in TIME_GROUPS:
                found = found.set_column(place, column, _worded(column, found.column(column)))
        return found

    def has(self, name: str) -> bool:
        """Return whether a table was made already."""
        return name in self._made

    def put(self, name: str, table: pa.Table) -> None:
        """Keep a table that Python derived, so that queries can name it."""
        self._connection.register("given_table", table)
        self._execute(f"CREATE OR REPLACE TEMP TABLE {name} AS SELECT * FROM given_table")
        self._connection.unregister("given_table")
        self._made.add(name)

    # --- inside ---

    def _fetch(self, sql: str) -> pa.Table:
        try:
            return self._connection.sql(sql).to_arrow_table()
        except (duckdb.IOException, duckdb.PermissionException) as error:
            raise _unreadable(error) from error

    def _execute(self, sql: str) -> None:
        try:
            self._connection.execute(sql)
        except (duckdb.IOException, duckdb.PermissionException) as error:
            raise _unreadable(error) from error

    def _bind_sources(self, sources: pa.Table) -> None:
        columns = TABLES["sources"].columns
        self._connection.register("given_sources", sources)
        select = ", ".join(_typed(name, sources.column_names) for name in columns)
        self._connection.execute(f"CREATE TEMP TABLE sources AS SELECT {select} FROM given_sources")
        self._connection.unregister("given_sources")

    def _bind_events(self, paths: list[str]) -> None:
        columns = TABLES["events"].columns
        if not paths:
            select = ", ".join(_typed(name, ()) for name in columns)
            self._connection.execute(f"CREATE TEMP VIEW events AS SELECT {select} WHERE FALSE")
            return
        try:
            found = self._connection.read_parquet(paths, hive_partitioning=False, union_by_name=True)
        except (duckdb.IOException, duckdb.InvalidInputException) as error:
            raise _unreadable(error) from error
        found.create_view("event_files")
        select = ", ".join(_typed(name, found.columns) for name in columns)
        self._connection.execute(f"CREATE TEMP VIEW events AS SELECT {select} FROM event_files")


def _joined(gathered: pa.Table, verdicts: pa.Table) -> pa.Table:
    """Return what ``sql/attempt_rows.sql`` says: the engine's join would copy every column."""
    order = np.empty(len(verdicts), np.int64)
    order[verdicts["place"].to_numpy()] = np.arange(len(verdicts))
    verdicts = verdicts.take(pa.array(order))
    told = {name: verdicts[name] for name in verdicts.column_names}
    told["outcome"] = told["outcome"].dictionary_encode()
    return pa.table(
        {name: told.get(name, gathered[name] if name in gathered.column_names else None) for name in _attempt_columns()}
    )


@cache
def _attempt_columns() -> tuple[str, ...]:
    return tuple(re.findall(r"\b[gv]\.(\w+)[,\n]", _text("attempt_rows").split("FROM")[0]))


def _worded(name: str, numbers: pa.ChunkedArray) -> pa.DictionaryArray:
    codes = numbers.combine_chunks().dictionary_encode()
    words = pa.array(time_words(name, codes.dictionary.to_pylist()), pa.string())
    return pa.DictionaryArray.from_arrays(codes.indices, words)


def _unreadable(error: Exception) -> LakeDamagedError:
    return LakeDamagedError(f"the events of the lake cannot be read: {str(error).splitlines()[0]}")


def _typed(name: str, present: Sequence[str]) -> str:
    value = name if name in present else "NULL"
    return f"CAST({value} AS {_TYPES[COLUMNS[name].type]}) AS {name}"


def _nullable(schema: pa.Schema) -> pa.Schema:
    return pa.schema([field.with_nullable(True) for field in schema])


def to_frame(table: pa.Table) -> pd.DataFrame:
    """Return an Arrow table as pandas with the same dtypes whatever the values.

    Text is ``object`` with None, whole numbers are ``Int16`` to ``Int64``, booleans ``boolean``, instants
    ``datetime64[us, UTC]``, the rest ``float64``.
    """
    import pandas as pd

    whole = {
        pa.int16(): pd.Int16Dtype(),
        pa.int32(): pd.Int32Dtype(),
        pa.int64(): pd.Int64Dtype(),
        pa.bool_(): pd.BooleanDtype(),
    }
    columns: dict[str, Any] = {}
    for name, values in zip(table.column_names, table.columns, strict=True):
        kind = values.type
        if pa.types.is_dictionary(kind):
            values, kind = values.cast(kind.value_type), kind.value_type
        if kind in whole:
            columns[name] = values.to_pandas(types_mapper=whole.get)
        elif pa.types.is_string(kind) or pa.types.is_large_string(kind):
            columns[name] = pd.Series(values.to_numpy(zero_copy_only=False), dtype=object)
        else:
            columns[name] = values.to_pandas()
    return pd.DataFrame(columns, columns=table.column_names)
