"""What happened between the begin of an attempt and the begin of the thread's next one, and what was last said before it."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from wslog.attempts.columns import Steps, optional, worded
from wslog.attempts.reading import Bools, Ints
from wslog.attempts.threads import FALLBACK, LINE, NO_TIME, OPEN, POLL_FAILED, POLL_OK, RETRY, Threads
from wslog.schema import EFFECTIVE_TYPES, NETWORK_TYPES

_UNKNOWN = NETWORK_TYPES.index("unknown") + 1
_LATE = np.iinfo(np.int64).max


def describe_spans(found: Threads, at: Ints, steps: Steps) -> dict[str, pa.Array]:
    """Return columns with a value for each attempt of a thread.

    Parameters
    ----------
    found : Threads
    at : array
        Where each step is among the events of the threads.
    steps : Steps
        The same steps by attempt.

    Returns
    -------
    dict of str to pyarrow.Array
        Those of ``sql/attempt_rows.sql`` that no single step of the attempt tells.
    """
    first = at[steps.first_at]
    is_new = np.diff(found.thread[first], prepend=-1) != 0
    heads = np.flatnonzero(is_new)
    session = np.cumsum(is_new) - 1
    beside, attempt = _beside(found, at, steps)
    after = _after(found, at, steps, beside, attempt)
    last_us = after.pop("last_us")
    return {
        "session_number": pa.array(found.row_key[found.begin[first]], mask=found.kind[first] == LINE),
        "session_order": pa.array(np.arange(len(first)) - heads[session] + 1),
        "has_later": pa.array(np.append(~is_new[1:], False)[: len(first)]),
        "session_last_us": optional(np.maximum.reduceat(last_us, heads)[session] if len(heads) else last_us, NO_TIME),
        "carried_retry": _announced(found, first, is_new),
        "max_retries": optional(steps.extreme(np.maximum, carried(found, found.said_max)[at], 0) - 1, -1, pa.int32()),
        **_networks(found, at, steps, beside, attempt),
        **{name: optional(values, NO_TIME) for name, values in after.items()},
    }


def carried(found: Threads, values: Ints) -> Ints:
    """Return, for each event, the latest value in its thread up to it; 0 where nothing was said."""
    place = np.where(values > 0, np.arange(len(values)), -1)
    np.maximum.accumulate(place, out=place)
    return np.where(place >= found.begin, values[place], 0)


def _announced(found: Threads, first: Ints, is_new: Bools) -> pa.Array:
    """Return the retry last announced between the first step of the attempt before and that of this one."""
    place = np.where(found.said_retry > 0, np.arange(len(found.said_retry)), -1)
    np.maximum.accumulate(place, out=place)
    since = np.append(first[:1], first[:-1])
    since[is_new] = found.begin[first[is_new]]
    place = place[first]
    return optional(np.where(place >= since, found.said_retry[place], 0) - 1, -1, pa.int32())


def _networks(found: Threads, at: Ints, steps: Steps, beside: Ints, attempt: Ints) -> dict[str, pa.Array]:
    network, effective = carried(found, found.network), carried(found, found.effective)[at]
    begin, own = steps.edge(network[at], 0), steps.edge(found.network[at], 0, is_last=True)
    own_effective = steps.edge(found.effective[at], 0, is_last=True)
    end = at[steps.last_at]
    last = end.copy()
    last[attempt] = beside  # in order: the last one stays
    # the network it began on: a drop by handover belongs to the network that was left
    begun = np.where((begin > 0) & (begin != _UNKNOWN), begin, np.where(own > 0, own, _UNKNOWN))
    return {
        "network_word": pa.array(begun),
        "network_type": worded(begun, NETWORK_TYPES),
        "effective_type": worded(np.where(own_effective > 0, own_effective, steps.edge(effective, 0)), EFFECTIVE_TYPES),
        "end_network": optional(network[end], 0),
        "last_network": optional(network[np.maximum(end, last)], 0),
    }


def _after(found: Threads, at: Ints, steps: Steps, beside: Ints, attempt: Ints) -> dict[str, Ints]:
    us, mark, count = found.us[beside], found.mark[beside], steps.count
    last_us = steps.extreme(np.maximum, found.us[at], NO_TIME)
    np.maximum.at(last_us, attempt, us)
    is_fallback, before = mark == FALLBACK, _service_before(found)[beside]

    def counted(chosen: Bools) -> Ints:
        return np.bincount(attempt[chosen], minlength=count)

    def outermost(function: np.ufunc, chosen: Bools) -> Ints:
        chosen = chosen & (us != NO_TIME)
        none = _LATE if function is np.minimum else NO_TIME
        values = np.full(count, none)
        function.at(values, attempt[chosen], us[chosen])
        return np.where(values == none, NO_TIME, values)

    return {
        "last_us": last_us,
        "retry_count": counted(mark == RETRY),
        "fallback_count": counted(is_fallback),
        "first_fallback_us": outermost(np.minimum, is_fallback),
        "last_fallback_us": outermost(np.maximum, is_fallback),
        # the first success after a fallback, and the failures before it
        "poll_ok_us": outermost(np.minimum, (mark == POLL_OK) & (before == FALLBACK)),
        "poll_failed_us": outermost(np.maximum, (mark == POLL_FAILED) & (before == FALLBACK)),
    }


def _beside(found: Threads, at: Ints, steps: Steps) -> tuple[Ints, Ints]:
    """Return where the events beside the steps are, and the attempt each belongs to; those before the first attempt to none."""
    attempt = np.full(len(found.step), -1, np.int64)
    attempt[at] = steps.attempt
    place = np.where(found.step > 0, np.arange(len(attempt)), -1)
    np.maximum.accumulate(place, out=place)
    beside = np.flatnonzero((found.step == 0) & (place >= found.begin))
    return beside, attempt[place[beside]]


def _service_before(found: Threads) -> Ints:
    """Return, for each event, the latest of fallback, successful poll and open strictly before it; 0 for none."""
    said = np.where(
        (found.mark == FALLBACK) | (found.mark == POLL_OK),
        found.mark,
        np.where(found.step == OPEN, np.int8(7), np.int8(0)),
    )
    place = np.where(said > 0, np.arange(len(said)), -1)
    np.maximum.accumulate(place, out=place)
    place = np.append(-1, place[:-1]) if len(place) else place
    return np.where(place >= found.begin, said[place], 0)
