"""What detectors look at: the cases as columns, and the frames beside them."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]
TextArray = npt.NDArray[Any]
"""Texts as Python objects; empty for null."""


@dataclass(frozen=True)
class Observed:
    """The selection as tables (columns: the SQL files of the same names in ``wslog/sql/diagnosis``).

    Text of the cases is kept as codes: each distinct text once, so that comparing and counting are arithmetic.

    Parameters
    ----------
    cases : pyarrow.Table
        One row per abnormal end or failed connect, in order of ``row_key``; detectors name them by position.
    moves : pandas.DataFrame
        Changes of network.
    sessions : pandas.DataFrame
        Client sessions that tried to connect.
    totals : pandas.DataFrame
        One row per side, format and host.
    clocks : pandas.DataFrame
        Client sessions whose clock is far off.
    opens : pandas.DataFrame
        Minutes in which connects opened.
    waits : pandas.DataFrame
        Announced waits after which the next attempt came late.
    """

    cases: pa.Table
    moves: pd.DataFrame
    sessions: pd.DataFrame
    totals: pd.DataFrame
    clocks: pd.DataFrame
    opens: pd.DataFrame
    waits: pd.DataFrame
    _kept: dict[tuple[str, str], Any] = field(default_factory=dict, repr=False, init=False)

    @property
    def count(self) -> int:
        return int(self.cases.num_rows)

    # --- columns of the cases: the same array each time, not to be changed ---

    def numbers(self, name: str) -> FloatArray:
        """Return a column as floats, NaN for null."""
        key = ("numbers", name)
        if key not in self._kept:
            column = self.cases[name].combine_chunks()
            self._keep(key, column.cast(pa.float64()).to_numpy(zero_copy_only=False))
        found: FloatArray = self._kept[key]
        return found

    def codes(self, name: str) -> tuple[IntArray, TextArray]:
        """Return a column of text as places in the array of its distinct texts, whose last is empty: null."""
        key = ("codes", name)
        if key not in self._kept:
            column = self.cases[name].combine_chunks()
            coded = column.cast(pa.string()).dictionary_encode()
            names = np.append(coded.dictionary.to_numpy(zero_copy_only=False), "").astype(object)
            places = coded.indices.fill_null(len(names) - 1).to_numpy(zero_copy_only=False).astype(np.int64)
            self._keep(key, places)
            self._kept[key] = places, names
        found: tuple[IntArray, TextArray] = self._kept[key]
        return found

    def words(self, name: str) -> TextArray:
        """Return a column as text, empty for null."""
        key = ("words", name)
        if key not in self._kept:
            codes, names = self.codes(name)
            self._keep(key, names[codes])
        found: TextArray = self._kept[key]
        return found

    def flags(self, name: str) -> BoolArray:
        """Return a column as truth values, false for null."""
        key = ("flags", name)
        if key not in self._kept:
            column = self.cases[name].combine_chunks()
            self._keep(key, pc.fill_null(column, False).to_numpy(zero_copy_only=False).astype(bool))
        found: BoolArray = self._kept[key]
        return found

    def _keep(self, key: tuple[str, str], values: npt.NDArray[Any]) -> None:
        values.flags.writeable = False
        self._kept[key] = values

    # --- questions asked again and again ---

    def among(self, name: str, chosen: Collection[str]) -> BoolArray:
        """Return which cases have one of these texts in a column; the empty text stands for null."""
        codes, names = self.codes(name)
        return np.fromiter((text in chosen for text in names.tolist()), dtype=bool, count=len(names))[codes]

    def distinct(self, name: str, mask: BoolArray | IntArray) -> int:
        """Return how many different texts some cases have in a column."""
        return len(np.unique(self.codes(name)[0][mask]))

    @cached_property
    def opened(self) -> BoolArray:
        return self.flags("is_opened")

    @cached_property
    def is_client(self) -> BoolArray:
        return self.among("side", ("client",))

    @cached_property
    def places(self) -> tuple[IntArray, TextArray]:
        """What can go down together: codes and names of side, format and host (with tabs between)."""
        return coded([self.words(name) for name in ("side", "format", "url_host")])

    @cached_property
    def peers(self) -> IntArray:
        """The position of each case's other view, -1 where none is a case."""
        return self._position("peer_key")

    @cached_property
    def triggers(self) -> IntArray:
        """The position of the case that began each case's outage, -1 where there is none."""
        return self._position("episode_key")

    def _position(self, name: str) -> IntArray:
        keys = self.cases["row_key"].combine_chunks().to_numpy(zero_copy_only=False)
        wanted = pc.fill_null(self.cases[name].combine_chunks(), -1).to_numpy(zero_copy_only=False)
        at = np.minimum(np.searchsorted(keys, wanted), max(len(keys) - 1, 0))
        return np.where(keys[at] == wanted, at, -1).astype(np.int64) if len(keys) else at.astype(np.int64)


# --- columns of frames ---


def numbers(frame: pd.DataFrame, name: str) -> FloatArray:
    """Return a column as floats, NaN for null."""
    return frame[name].to_numpy(dtype=np.float64, na_value=np.nan)


def words(frame: pd.DataFrame, name: str) -> TextArray:
    """Return a column as text, empty for null."""
    values = frame[name]
    if values.dtype != object:
        # numbers: as text without a fraction when they are whole
        codes, found = values.factorize()
        texts = np.array([*(str(value) for value in found), ""], dtype=object)
        chosen: TextArray = texts[codes]
        return chosen
    plain: TextArray = values.to_numpy(dtype=object, copy=True)
    plain[values.isna().to_numpy()] = ""
    return plain


def places(frame: pd.DataFrame) -> TextArray:
    """Return side, format and host of each row, with tabs between."""
    codes, names = coded([words(frame, name) for name in ("side", "format", "url_host")])
    found: TextArray = names[codes]
    return found


def coded(parts: Sequence[TextArray]) -> tuple[IntArray, TextArray]:
    """Return the texts of each row with tabs between, as places in the sorted array of those there are."""
    number = np.zeros(len(parts[0]), dtype=np.int64)
    for values in parts:
        codes, found = pd.factorize(values)
        number = number * max(len(found), 1) + codes
    _, first, codes = np.unique(number, return_index=True, return_inverse=True)
    texts = np.array(["\t".join(values[i] for values in parts) for i in first], dtype=object)
    order = np.argsort(texts)
    rank = np.empty(len(order), dtype=np.int64)
    rank[order] = np.arange(len(order))
    return rank[codes], texts[order]
