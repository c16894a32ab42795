"""Local times without a zone become instants: one vector function for the fast and the exact path.

Twice a year a local time is no instant by itself: when clocks go back an hour occurs twice, when they go forward an
hour does not occur. Neither is hidden: the row is kept and its ``anomaly`` says so.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from wslog.errors import UsageError
from wslog.formats.contract import BoolArray, IntArray

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
    nowhere = np.zeros(len(local_us), bool)
    if tz in UTC_NAMES or not len(local_us):
        if tz not in UTC_NAMES:
            check_zone(tz)
        return local_us, nowhere, nowhere
    check_zone(tz)
    # the zone rules are asked once per quarter hour of local time, not per line: no zone changes within one
    quarters, position = np.unique(local_us // QUARTER_US, return_inverse=True)
    naive = pa.array(quarters * QUARTER_US, pa.int64()).cast(pa.timestamp("us"))
    chosen = _instants(naive, tz, ambiguous="earliest", nonexistent="latest")
    other = _instants(naive, tz, ambiguous="latest", nonexistent="earliest")
    is_nonexistent = (other < chosen)[position]
    is_ambiguous = (other > chosen)[position]
    within = np.where(is_nonexistent, 0, local_us % QUARTER_US)
    return chosen[position] + within, is_ambiguous, is_nonexistent
