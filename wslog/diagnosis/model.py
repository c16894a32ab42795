"""What detectors look at and what they return."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from wslog.diagnosis.rules import rule

if TYPE_CHECKING:
    import pandas as pd

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Observed:
    """The selection as frames (columns: the SQL files of the same names in ``wslog/sql/diagnosis``).

    Parameters
    ----------
    cases : pandas.DataFrame
        One row per abnormal end or failed connect; detectors name them by position.
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

    cases: pd.DataFrame
    moves: pd.DataFrame
    sessions: pd.DataFrame
    totals: pd.DataFrame
    clocks: pd.DataFrame
    opens: pd.DataFrame
    waits: pd.DataFrame
    _words: dict[str, npt.NDArray[Any]] = field(default_factory=dict, repr=False, init=False)

    def numbers(self, name: str) -> FloatArray:
        """Return a column of the cases as floats, NaN for null."""
        return numbers(self.cases, name)

    def words(self, name: str) -> npt.NDArray[Any]:
        """Return a column of the cases as text, empty for null; the same array each time, not to be changed."""
        if name not in self._words:
            self._words[name] = words(self.cases, name)
            self._words[name].flags.writeable = False
        return self._words[name]

    def flags(self, name: str) -> BoolArray:
        """Return a column of the cases as truth values, false for null."""
        return self.cases[name].fillna(False).to_numpy(dtype=bool)

    @property
    def opened(self) -> BoolArray:
        return self.flags("is_opened")


def numbers(frame: pd.DataFrame, name: str) -> FloatArray:
    """Return a column as floats, NaN for null."""
    return frame[name].to_numpy(dtype=np.float64, na_value=np.nan)


def words(frame: pd.DataFrame, name: str) -> npt.NDArray[Any]:
    """Return a column as text, empty for null."""
    values = frame[name]
    if values.dtype != object:
        # numbers: as text without a fraction when they are whole
        codes, found = values.factorize()
        texts = np.array([*(str(value) for value in found), ""], dtype=object)
        chosen: npt.NDArray[Any] = texts[codes]
        return chosen
    plain: npt.NDArray[Any] = values.to_numpy(dtype=object, copy=True)
    plain[values.isna().to_numpy()] = ""
    return plain


@dataclass(frozen=True)
class Finding:
    """One thing found in the selection as a whole.

    Parameters
    ----------
    rule_id, cause, what : str
        ``what`` says it in plain words.
    size, session_count : int
        Attempts (or sessions, for networks) it is about, and how many sessions they belong to.
    statistic, p_value, q_value : float
        NaN where the rule needs no test; ``q_value`` is corrected for all that was looked at.
    confidence : str
        ``high``, ``medium`` or ``low``.
    evidence : str
    at : int array, optional
        Positions of the cases it is about, for rules about single lines: those that a rule with better evidence explains
        are taken out before it is told, and ``{size}`` in ``what`` is filled with the number of the others.
    """

    rule_id: str
    what: str
    size: int
    session_count: int
    evidence: str
    confidence: str = "high"
    cause: str = ""
    statistic: float = float("nan")
    p_value: float = float("nan")
    q_value: float = float("nan")
    at: IntArray | None = None

    def record(self) -> dict[str, Any]:
        """Return the row of the frame ``findings``."""
        told = rule(self.rule_id)
        return {
            "rule_id": self.rule_id,
            "cause": self.cause or told.cause,
            "what": self.what,
            "size": self.size,
            "session_count": self.session_count,
            "confidence": self.confidence,
            "statistic": self.statistic,
            "p_value": self.p_value,
            "q_value": self.q_value,
            "evidence": self.evidence,
            "remedy": told.remedy,
            "source": told.source,
        }


FINDING_COLUMNS = (
    "rule_id", "cause", "what", "size", "session_count", "confidence", "statistic", "p_value", "q_value", "evidence", "remedy",
    "source",
)  # fmt: skip


@dataclass(frozen=True)
class Hits:
    """A rule that fired on cases.

    Parameters
    ----------
    rule_id : str
    at : (n,) int array
        Positions in :attr:`Observed.cases`.
    confidence : str or sequence of str
        For all, or for each.
    evidence : sequence of str
        The values looked at: numbers and words of closed lists.
    causes : sequence of str, optional
        For rules that pass on a cause.
    """

    rule_id: str
    at: IntArray
    confidence: str | Sequence[str]
    evidence: Sequence[str]
    causes: Sequence[str] = ()


@dataclass(frozen=True)
class Herd:
    """Losses within [from_us, until_us] of one place (side, format and host); ``members`` are positions of cases."""

    place: str
    from_us: float
    until_us: float
    members: IntArray
    session_count: int
    usual: float
    chance: float
    is_said: bool


@dataclass
class Fired:
    """What one detector found: hits on cases, findings about the whole selection, and herds with losses."""

    hits: list[Hits] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    herds: list[Herd] = field(default_factory=list)

    def hit(self, rule_id: str, mask: BoolArray, confidence: str | Sequence[str], evidence: Sequence[str]) -> None:
        """Add a rule's hits; ``confidence`` and ``evidence`` belong to the set positions of ``mask``, in order."""
        at = np.flatnonzero(mask).astype(np.int64)
        if len(at):
            self.hits.append(Hits(rule_id, at, confidence, evidence))

    def named(self, count: int) -> BoolArray:
        """Return which of the ``count`` cases the hits are on."""
        mask = np.zeros(count, dtype=bool)
        for hit in self.hits:
            mask[hit.at] = True
        return mask


def places(frame: pd.DataFrame) -> npt.NDArray[Any]:
    """Return side, format and host of each row, with tabs between: what can go down together."""
    return tabbed([words(frame, name) for name in ("side", "format", "url_host")])


def tabbed(parts: Sequence[npt.NDArray[Any]]) -> npt.NDArray[Any]:
    """Return the texts of each row with tabs between, made once for each distinct row."""
    import pandas as pd

    number = np.zeros(len(parts[0]), dtype=np.int64)
    for values in parts:
        codes, found = pd.factorize(values)
        number = number * max(len(found), 1) + codes
    _, first, codes = np.unique(number, return_index=True, return_inverse=True)
    texts = np.array(["\t".join(values[i] for values in parts) for i in first], dtype=object)
    chosen: npt.NDArray[Any] = texts[codes]
    return chosen


def counted(values: npt.NDArray[Any]) -> tuple[list[str], IntArray]:
    """Return the distinct texts in order, and how many there are of each (``np.unique`` sorts all of them)."""
    counts = Counter(values.tolist())
    names = sorted(counts)
    return names, np.array([counts[name] for name in names], dtype=np.int64)


def among(values: npt.NDArray[Any], chosen: set[Any]) -> BoolArray:
    """Return which texts are in a set (``np.isin`` compares each with each)."""
    return np.fromiter((value in chosen for value in values), dtype=bool, count=len(values))


def named(parts: Sequence[tuple[str, npt.NDArray[Any]]], mask: BoolArray) -> list[str]:
    """Return ``name=value`` texts of the set positions; values that are null are left out."""
    columns = [_cells(name, values[mask]) for name, values in parts]
    return [" ".join(filter(None, cells)) for cells in zip(*columns, strict=True)]


def _cells(name: str, values: npt.NDArray[Any]) -> list[str]:
    if values.dtype.kind == "f":
        # each distinct number once; NaN is null
        found, places = np.unique(values, return_inverse=True)
        texts = ["" if value != value else f"{name}={_plain(value)}" for value in found.tolist()]
        return [texts[i] for i in places]
    return [f"{name}={value}" if value else "" for value in values]


def _plain(value: float) -> str:
    return f"{value:.10g}" if float(value).is_integer() else f"{value:.4g}"
