"""The events of a lake's files, a few columns or a few rows at a time."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from wslog.errors import LakeDamagedError
from wslog.schema import COLUMNS, arrow_type

RECENT = 6
"""Files of which the columns read last are remembered: a file has at most 262,144 rows, about 50 MB of them."""

Ints = npt.NDArray[Any]
Bools = npt.NDArray[np.bool_]


class Events(Protocol):
    """Rows of the ``events`` table, in the same order whenever they are read."""

    def count(self) -> int:
        """Return how many rows there are."""

    def batches(self, names: Sequence[str]) -> Iterator[pa.Table]:
        """Return all rows of some columns, in pieces."""

    def take(self, names: Sequence[str], rows: Ints) -> tuple[pa.Table, Ints]:
        """Return some rows, by their numbers, which ascend, maybe among others; and where each is in what is returned."""


class TableEvents:
    """Events in memory: a partition of a cluster."""

    def __init__(self, table: pa.Table) -> None:
        self._table = table

    def count(self) -> int:
        return len(self._table)

    def batches(self, names: Sequence[str]) -> Iterator[pa.Table]:
        yield _typed(self._table, names)

    def take(self, names: Sequence[str], rows: Ints) -> tuple[pa.Table, Ints]:
        return _typed(self._table, names), rows


class FileEvents:
    """Events of Parquet files, as the ledger names them. A column that an older file does not have is null.

    Raises
    ------
    LakeDamagedError
        When a file that is read is missing or is no Parquet file.
    """

    def __init__(self, paths: Sequence[str | os.PathLike[str]]) -> None:
        self._paths = [os.fspath(path) for path in paths]
        self._footers: dict[str, Any] = {}
        self._recent: dict[tuple[str, tuple[str, ...]], pa.Table] = {}

    def count(self) -> int:
        return sum(self._footer(path).num_rows for path in self._paths)

    def batches(self, names: Sequence[str]) -> Iterator[pa.Table]:
        for path in self._paths:
            yield self._read(path, names)

    def take(self, names: Sequence[str], rows: Ints) -> tuple[pa.Table, Ints]:
        found, places, begin, count = [], [], 0, 0
        for path in self._paths:
            end = begin + self._footer(path).num_rows
            inside = rows[np.searchsorted(rows, begin) : np.searchsorted(rows, end)] - begin
            if len(inside):
                table = self._remembered(path, names)
                if 2 * len(inside) < len(table):  # else a copy costs more than what it leaves out
                    table, inside = table.take(pa.array(inside)), np.arange(len(inside))
                found.append(table)
                places.append(inside + count)
                count += len(table)
            begin = end
        return (pa.concat_tables(found), np.concatenate(places)) if found else (_typed(pa.table({}), names), rows)

    def _remembered(self, path: str, names: Sequence[str]) -> pa.Table:
        """Return what :meth:`_read` does; rows that are taken block by block are often of the files read last."""
        key = (path, tuple(names))
        table = self._recent.pop(key, None)
        self._recent[key] = self._read(path, names) if table is None else table
        if len(self._recent) > RECENT:
            del self._recent[next(iter(self._recent))]
        return self._recent[key]

    def _read(self, path: str, names: Sequence[str]) -> pa.Table:
        footer = self._footer(path)
        try:
            file = pq.ParquetFile(path, metadata=footer)
            present = set(file.schema_arrow.names)
            return _typed(
                file.read([name for name in names if name in present], use_threads=False), names, footer.num_rows
            )
        except (OSError, pa.ArrowException) as error:
            raise _unreadable(error) from error

    def _footer(self, path: str) -> Any:
        if path not in self._footers:
            try:
                self._footers[path] = pq.read_metadata(path)
            except (OSError, pa.ArrowException) as error:
                raise _unreadable(error) from error
        return self._footers[path]


def _unreadable(error: Exception) -> LakeDamagedError:
    return LakeDamagedError(f"the events of the lake cannot be read: {str(error).splitlines()[0]}")


def _typed(table: pa.Table, names: Sequence[str], row_count: int | None = None) -> pa.Table:
    rows = len(table) if row_count is None else row_count
    columns = []
    for name in names:
        kind = _type(name)
        column = table[name] if name in table.column_names else pa.chunked_array([pa.nulls(rows, kind)])
        columns.append(column if column.type == kind else column.cast(kind))
    return pa.table(columns, names=list(names))


@cache
def _type(name: str) -> pa.DataType:
    return arrow_type(COLUMNS[name].type)


def numbers(column: pa.ChunkedArray, null: int) -> Ints:
    """Return whole numbers or instants (in microseconds) as numpy, ``null`` where nothing is said."""
    if pa.types.is_timestamp(column.type):
        column = column.cast(pa.int64())
    if column.null_count:
        column = column.fill_null(pa.scalar(null, column.type))
    found: Ints = column.to_numpy()
    return found


def places(column: pa.ChunkedArray, words: Sequence[str]) -> Ints:
    """Return where each value stands in a closed list, from 1; 0 for null and for any other word."""
    coded = whole(column)
    place = {word: number for number, word in enumerate(words, 1)}
    table = np.array([*(place.get(word, 0) for word in coded.dictionary.to_pylist()), 0], np.int8)
    return table[_indices(coded)]


def codes(column: pa.ChunkedArray) -> tuple[Ints, pa.Array]:
    """Return the place of each text in a list of different texts, -1 for null; and the list."""
    coded = whole(column if pa.types.is_dictionary(column.type) else column.dictionary_encode())
    return _indices(coded), coded.dictionary


def nulls(column: pa.ChunkedArray) -> Bools:
    """Return where nothing is said."""
    return column.is_null().to_numpy() if column.null_count else np.zeros(len(column), bool)


def whole(column: pa.ChunkedArray) -> Any:
    """Return a column as one array; words share one dictionary."""
    if pa.types.is_dictionary(column.type) and column.num_chunks > 1:
        column = column.unify_dictionaries()
    return column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()


def _indices(coded: pa.DictionaryArray) -> Ints:
    # a null takes the last place
    return np.asarray(coded.indices.fill_null(-1) if coded.null_count else coded.indices)
