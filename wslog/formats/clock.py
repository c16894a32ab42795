"""Local times without a zone become instants: one vector function for the fast and the exact path.

Twice a year a local time is no instant by itself: when clocks go back an hour occurs twice, when they go forward an
hour does not occur. Neither is hidden: the row is kept and its ``anomaly`` says so.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from wslog.errors import UsageError
from wslog.formats.contract import BoolArray, IntArray, int64_array, mask_array

UTC_NAMES = (None, "UTC", "Etc/UTC")


def check_zone(tz: str | None) -> None:
    """Raise :class:`~wslog.errors.UsageError` when ``tz`` is no time zone of the IANA database."""
    try:
        pc.assume_timezone(pa.array([0], pa.timestamp("us")), tz or "UTC")
    except pa.ArrowInvalid:
        raise UsageError(f"--tz {tz!r} is no time zone; wanted is an IANA name such as Europe/Berlin or UTC") from None


def local_to_utc(local_us: IntArray, tz: str | None) -> tuple[IntArray, BoolArray, BoolArray]:
    """Turn local times into instants.

    Parameters
    ----------
    local_us : (n,) int64 array
        Microseconds from 1970-01-01 00:00 of the local clock.
    tz : str or None
        IANA zone of the clock; None means UTC.

    Returns
    -------
    utc_us : (n,) int64 array
        Microseconds since 1970 UTC. A local time that occurs twice is taken as the earlier instant; one that does
        not occur is shifted forward to the moment when the clock jumped.
    is_ambiguous, is_nonexistent : (n,) bool arrays
        Where that was done.

    Raises
    ------
    UsageError
        If the zone is unknown.
    """
    if tz in UTC_NAMES:
        nowhere = np.zeros(len(local_us), bool)
        return local_us, nowhere, nowhere
    check_zone(tz)
    naive = int64_array(local_us).cast(pa.timestamp("us"))
    chosen = _instants(naive, tz, ambiguous="earliest", nonexistent="latest")
    other = _instants(naive, tz, ambiguous="latest", nonexistent="earliest")
    return chosen, other > chosen, other < chosen


def _instants(naive: pa.TimestampArray, tz: str | None, ambiguous: str, nonexistent: str) -> IntArray:
    zoned = pc.assume_timezone(naive, tz, ambiguous=ambiguous, nonexistent=nonexistent)
    instants: IntArray = zoned.cast(pa.int64()).to_numpy()
    return instants


def time_anomalies(is_ambiguous: BoolArray, is_nonexistent: BoolArray) -> pa.StringArray | None:
    """Return the ``anomaly`` words of :func:`local_to_utc`'s masks, or None when nothing is odd."""
    if not (is_ambiguous.any() or is_nonexistent.any()):
        return None
    word = pc.if_else(mask_array(is_ambiguous), "ambiguous_time", pa.scalar(None, pa.string()))
    return pc.if_else(mask_array(is_nonexistent), "nonexistent_time", word)
