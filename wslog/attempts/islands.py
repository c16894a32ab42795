"""Which steps of a thread make one attempt, and what else happened until the next one.

The steps of one ``connection_id`` of a session are one attempt. Where none is logged, attempts are islands: a new one begins at
an attempt; at an open not directly preceded by an attempt; at an error or close when the one before has ended (the close after an
error is the same failure). A proxy's island goes from attempt or open to its end; a connection named by a log without sessions is
one attempt, unless its name comes back after a close (a server that was restarted).
"""

from __future__ import annotations

import numpy as np

from wslog.attempts.reading import Ints
from wslog.attempts.threads import ATTEMPT, CLOSE, CONNECTION, ERROR, OPEN, Threads

# whether a step begins an attempt: [plain, proxy, nameless][the step before it, 0: none][the step]
_BEGINS = np.zeros((3, 5, 5), bool)
_BEGINS[0, :, ATTEMPT] = True
_BEGINS[0, :, OPEN] = True
_BEGINS[0, ATTEMPT, OPEN] = False
_BEGINS[0, [0, ERROR, CLOSE], ERROR] = True
_BEGINS[0, [0, CLOSE], CLOSE] = True
_BEGINS[1] = True
_BEGINS[1, ATTEMPT : OPEN + 1, OPEN:] = False
_BEGINS[2, 0] = True
_BEGINS[2, CLOSE, ATTEMPT : OPEN + 1] = True


def number_attempts(found: Threads) -> tuple[Ints, Ints]:
    """Number the attempts of all threads by their first steps.

    Returns
    -------
    steps : array
        Where the steps are among the threads' events: those of one attempt together and in order, attempt after attempt.
    attempt : array
        Number of the attempt of each of them, from 0.
    """
    at = np.flatnonzero(found.step)
    connection = found.own_connection()[at]
    label = np.empty(len(at), np.int64)
    plain = np.flatnonzero(connection < 0)
    label[plain] = _plain(found, at[plain])
    named = np.flatnonzero(connection >= 0)
    if len(named):
        label[named] = len(at) + _runs(found.thread[at[named]], connection[named])
    return _numbered(at, label)


def _plain(found: Threads, at: Ints) -> Ints:
    """Label steps that name no connection: islands, counted through all threads."""
    thread, step = found.thread[at], found.step[at]
    before = np.zeros(len(at), np.int8)
    before[1:] = np.where(np.diff(thread) == 0, step[:-1], 0)
    kind = np.where(found.is_proxy[at], 1, np.where(found.kind[at] == CONNECTION, 2, 0))
    return np.cumsum(_BEGINS[kind, before, step])


def _runs(thread: Ints, connection: Ints) -> Ints:
    """Label steps by thread and connection, whose steps mostly follow one another."""
    is_new = (np.diff(thread, prepend=-1) != 0) | (np.diff(connection, prepend=-1) != 0)
    heads = np.flatnonzero(is_new)
    pairs = thread[heads] * (int(connection.max()) + 1) + connection[heads]
    _, label = np.unique(pairs, return_inverse=True)
    found: Ints = label[np.cumsum(is_new) - 1]
    return found


def _numbered(at: Ints, label: Ints) -> tuple[Ints, Ints]:
    first = np.full(int(label.max(initial=-1)) + 1, len(at), np.int64)
    first[label[::-1]] = np.arange(len(at))[::-1]  # the last one written is the first step
    is_first = np.zeros(len(at), bool)
    is_first[first[first < len(at)]] = True
    number = (np.cumsum(is_first) - 1)[first[label]]
    if not (np.diff(number) >= 0).all():  # connections that overlap
        order = np.argsort(number, kind="stable")
        at, number = at[order], number[order]
    return at, number
