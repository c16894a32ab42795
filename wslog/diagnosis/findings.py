"""What detectors return: hits on cases, findings about the selection, herds; and how their evidence is put into words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from wslog.diagnosis.model import BoolArray, IntArray, TextArray
from wslog.diagnosis.rules import rule


@dataclass(frozen=True)
class Told:
    """Evidence as ``name=value`` texts with spaces between, put into words only for the cases that show it.

    Parameters
    ----------
    parts : sequence of (str, array)
        Name and values (numbers or texts), one for each case; what is null is left out.
    after : str
        What follows, the same for all.
    """

    parts: Sequence[tuple[str, Any]]
    after: str = ""

    def of(self, at: IntArray) -> TextArray:
        """Return the texts of some cases."""
        if not len(at):
            return np.zeros(0, dtype=object)
        cells = [_cells(name, values[at]) for name, values in self.parts]
        joined = pc.utf8_rtrim_whitespace(pc.binary_join_element_wise(*cells, ""))
        if self.after:
            joined = pc.binary_join_element_wise(joined, self.after, "")
        found: TextArray = joined.to_numpy(zero_copy_only=False)
        return found


def _cells(name: str, values: Any) -> pa.Array:
    """Return ``name=value `` of each value, nothing where it is null; each distinct value is put into words once."""
    if values.dtype.kind in "fiu":
        found, places = np.unique(_short(values), return_inverse=True)
        texts = ["" if value != value else f"{name}={_plain(value)} " for value in found.tolist()]
    else:
        coded = pa.array(values, pa.string()).dictionary_encode()
        places = coded.indices.to_numpy(zero_copy_only=False)
        texts = [f"{name}={text} " if text else "" for text in coded.dictionary.to_pylist()]
    return pa.array(texts, pa.string()).take(pa.array(places))


def _short(values: Any) -> Any:
    """Return numbers with the four digits that are shown; whole ones as they are."""
    values = values.astype(np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        scale = 10.0 ** (3 - np.floor(np.log10(np.abs(values))))
        short = np.round(values * scale) / scale
    return np.where((values == np.round(values)) | ~np.isfinite(short), values, short)


def _plain(value: float) -> str:
    return f"{value:.10g}" if float(value).is_integer() else f"{value:.4g}"


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
        Positions of the cases.
    confidence : str or (n,) array of str
    evidence : str or Told
        The values looked at: numbers and words of closed lists.
    causes : (n,) array of str, optional
        For rules that pass on a cause.
    """

    rule_id: str
    at: IntArray
    confidence: str | TextArray
    evidence: str | Told
    causes: TextArray | None = None


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

    def hit(self, rule_id: str, mask: BoolArray, confidence: str | TextArray, evidence: str | Told) -> None:
        """Add a rule's hits on the cases in ``mask``; ``confidence`` is one, or one for each case."""
        self.hit_at(rule_id, np.flatnonzero(mask).astype(np.int64), confidence, evidence)

    def hit_at(self, rule_id: str, at: IntArray, confidence: str | TextArray, evidence: str | Told) -> None:
        """Add a rule's hits by position."""
        if len(at):
            sure = confidence if isinstance(confidence, str) else confidence[at]
            self.hits.append(Hits(rule_id, at, sure, evidence))

    def named(self, count: int) -> BoolArray:
        """Return which of the ``count`` cases the hits are on."""
        mask = np.zeros(count, dtype=bool)
        for hit in self.hits:
            mask[hit.at] = True
        return mask
