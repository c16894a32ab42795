"""Reconnect policies: what a client does after a connection was lost or could not be made.

A policy is a small frozen value. It waits, retries, resets its counter, and in the end gives up or falls back to HTTP; what the
network does meanwhile is none of its business (that is the replay's). All randomness comes from the generator it is handed.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import inf

import numpy as np

from wslog.errors import UsageError
from wslog.policy.backoff import CAPS, GROWTHS, JITTERS, Backoff
from wslog.policy.model import FloatArray, IntArray

RESETS = ("on_open", "after_uptime", "on_message")
TRANSPORTS = ("polling", "sse")

Ranges = tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class Fallback:
    """What follows the last retry.

    Parameters
    ----------
    transport : str
        ``polling`` or ``sse``.
    interval_s : float
        Seconds between two polls (polling) or two attempts to open the stream.
    return_after_s : float or None
        After that many seconds on the fallback the WebSocket is tried again; None: never in this session.
    """

    transport: str = "polling"
    interval_s: float = 1.0
    return_after_s: float | None = None

    def __post_init__(self) -> None:
        _check_word("fallback.transport", self.transport, TRANSPORTS)
        _check_positive("fallback.interval_s", self.interval_s)
        if self.return_after_s is not None:
            _check_positive("fallback.return_after_s", self.return_after_s)


@dataclass(frozen=True)
class Policy:
    """What a client does after a failure.

    Parameters
    ----------
    name : str
    waits_s : tuple
        The first waits in seconds: a number, or (min, max) for a uniform draw.
    backoff : Backoff or None
        The formula of the waits after those; None: there are no more.
    max_attempts : int or None
        Retries of one outage; None: without end.
    is_drop_immediate : bool
        The loss of an open connection is answered by one attempt at once, before the waits above; a first connection that fails
        is not (:meth:`initial`).
    is_initial_retried : bool
        Whether a first connection that fails is retried at all.
    is_wait_from_start : bool
        A wait counts from the begin of the attempt before, not from its end (gRPC).
    connect_timeout_s : float
        Patience with one attempt; ``inf``: as long as the browser or the system waits.
    retried_codes, terminal_codes : tuple of (int, int) or None
        Ranges of close codes: the only ones that are retried (None: all), and those that never are.
    retried_http, terminal_http : tuple of (int, int) or None
        The same for the HTTP status that answered the handshake.
    reset : str
        When the counter starts anew: ``on_open``, ``after_uptime`` (open for reset_after_s), ``on_message`` (the first message
        or acknowledgement of the server).
    reset_after_s : float
    fallback : Fallback or None
        What follows the last retry; None: the client gives up.
    is_verified : bool
        Whether the numbers were read in the library's source or specification.
    source, version, notes : str
        Where the numbers come from, of which version, and what this type does not say.

    Raises
    ------
    UsageError
        A value is out of its range or no word of its list; the message names the key.

    Examples
    --------
    >>> patient = Policy("patient", waits_s=(0.5, (1.0, 2.0)), backoff=Backoff("exponential", 2.0, cap_s=60.0, jitter="equal"))
    >>> patient.first_delays(4)
    [(0.5, 0.5), (1.0, 2.0), (1.0, 2.0), (2.0, 4.0)]
    """

    name: str
    waits_s: tuple[float | tuple[float, float], ...] = ()
    backoff: Backoff | None = None
    max_attempts: int | None = None
    is_drop_immediate: bool = False
    is_initial_retried: bool = True
    is_wait_from_start: bool = False
    connect_timeout_s: float = inf
    retried_codes: Ranges | None = None
    terminal_codes: Ranges = ()
    retried_http: Ranges | None = None
    terminal_http: Ranges = ()
    reset: str = "on_open"
    reset_after_s: float = 0.0
    fallback: Fallback | None = None
    is_verified: bool = True
    source: str = ""
    version: str = ""
    notes: str = ""

    def __post_init__(self) -> None:
        _check(self)
        if self.backoff is None:
            listed = len(self.waits_s) + self.is_drop_immediate
            object.__setattr__(
                self, "max_attempts", listed if self.max_attempts is None else min(listed, self.max_attempts)
            )

    @property
    def has_jitter(self) -> bool:
        """Whether two clients that lose the connection together retry at different times."""
        ranges = (wait for wait in self.waits_s if isinstance(wait, tuple))
        return any(low < high for low, high in ranges) or (self.backoff is not None and self.backoff.has_jitter)

    def waits(self, count: int, attempts: int, rng: np.random.Generator) -> FloatArray:
        """Draw the waits of ``count`` outages.

        Returns
        -------
        (count, attempts) float array
            Seconds before retry k in column k - 1, from the end of the attempt before (from its begin when
            :attr:`is_wait_from_start`; column 0: from the drop); NaN from the first retry that is not made.
        """
        stepper, everyone = self.stepper(count, rng), np.arange(count, dtype=np.int64)
        found = np.empty((count, attempts))
        for column in range(attempts):
            found[:, column] = stepper.next(everyone)
        return found

    def stepper(self, count: int, rng: np.random.Generator) -> Stepper:
        """Return the same waits one retry at a time, in memory for one column."""
        return Stepper(self, count, rng)

    def draw_s(self, retry: int, before_s: FloatArray, once_s: FloatArray, rng: np.random.Generator) -> FloatArray:
        """Draw the waits before retry ``retry`` (from 1 on); NaN when the policy makes no such retry.

        Parameters
        ----------
        retry : int
        before_s : (n,) float array
            The waits before (jitter ``decorrelated``).
        once_s : (n,) float array
            What the page drew once (jitter ``once``).
        rng : numpy.random.Generator
        """
        if self.max_attempts is not None and retry > self.max_attempts:
            return np.full(len(before_s), np.nan)
        listed = self._listed(retry)
        if listed is not None:
            low, high = listed
            return np.full(len(before_s), low) if low == high else rng.uniform(low, high, len(before_s))
        assert self.backoff is not None
        return self.backoff.draw_s(self._step(retry), before_s, once_s, rng)

    def first_delays(self, count: int) -> list[tuple[float, float]]:
        """Return the least and the greatest wait before each of the first ``count`` retries; fewer when it stops before."""
        made = count if self.max_attempts is None else min(count, self.max_attempts)
        return [self._bounds_s(retry) for retry in range(1, made + 1)]

    def initial(self) -> Policy:
        """Return the policy as it treats a first connection that fails: see is_drop_immediate and is_initial_retried."""
        if not self.is_initial_retried:
            return replace(self, is_drop_immediate=False, is_initial_retried=True, max_attempts=0)
        return replace(self, is_drop_immediate=False) if self.is_drop_immediate else self

    def is_retried(self, close_code: int | None, http_status: int | None = None) -> bool:
        """Say whether a failure with this close code and handshake answer is retried; None: not known, so it is."""
        return _passes(close_code, self.retried_codes, self.terminal_codes) and _passes(
            None if http_status == 101 else http_status, self.retried_http, self.terminal_http
        )

    def _bounds_s(self, retry: int) -> tuple[float, float]:
        listed = self._listed(retry)
        if listed is not None:
            return listed
        assert self.backoff is not None
        return self.backoff.bounds_s(self._step(retry))

    def _listed(self, retry: int) -> tuple[float, float] | None:
        """Return the range of a wait that the formula has no part in."""
        at = retry - 1 - self.is_drop_immediate
        if at < 0:
            return (0.0, 0.0)
        if at >= len(self.waits_s):
            return None
        wait = self.waits_s[at]
        return wait if isinstance(wait, tuple) else (wait, wait)

    def _step(self, retry: int) -> int:
        return retry - 1 - self.is_drop_immediate - len(self.waits_s)


class Stepper:
    """The waits of many outages that walk through one policy side by side.

    Memory is two arrays of ``count``, and those only for a policy whose waits depend on what was drawn before.
    """

    def __init__(self, policy: Policy, count: int, rng: np.random.Generator) -> None:
        self.policy, self.rng = policy, rng
        self.retry = 0
        """Retries made so far."""
        jitter = policy.backoff.jitter if policy.backoff else "none"
        self._before_s = np.zeros(count) if jitter == "decorrelated" else None
        self._once_s = policy.backoff.draw_once_s(count, rng) if policy.backoff and jitter == "once" else None

    def next(self, active: IntArray) -> FloatArray:
        """Return the wait before the next retry.

        Parameters
        ----------
        active : (n,) int array
            Positions, below ``count``, of the outages that still retry.

        Returns
        -------
        (n,) float array
            Seconds; NaN when the policy makes no further retry.
        """
        self.retry += 1
        before = np.zeros(len(active)) if self._before_s is None else self._before_s[active]
        once = before if self._once_s is None else self._once_s[active]
        waits = self.policy.draw_s(self.retry, before, once, self.rng)
        if self._before_s is not None:
            self._before_s[active] = waits
        return waits

    def reset(self) -> None:
        """Start anew at the first retry; what is drawn once per page stays."""
        self.retry = 0


def _passes(value: int | None, only: Ranges | None, never: Ranges) -> bool:
    if value is None:
        return True
    is_never = any(low <= value <= high for low, high in never)
    return not is_never and (only is None or any(low <= value <= high for low, high in only))


# --- checks -------------------------------------------------------------------------------------------------


def _check(policy: Policy) -> None:
    if not policy.name:
        raise UsageError("name is empty: a policy needs a name")
    for wait in policy.waits_s:
        low, high = wait if isinstance(wait, tuple) else (wait, wait)
        if not 0 <= low <= high < inf:
            raise UsageError(f"waits_s holds {wait}: choose seconds >= 0, or [min, max] with min <= max")
    if policy.max_attempts is not None and policy.max_attempts < 0:
        raise UsageError(f"max_attempts is {policy.max_attempts}: choose 0 or more, or leave it out for no limit")
    _check_positive("connect_timeout_s", policy.connect_timeout_s)
    _check_word("reset", policy.reset, RESETS)
    if (policy.reset == "after_uptime") != (policy.reset_after_s > 0):
        raise UsageError("reset_after_s goes with reset = 'after_uptime', and that needs reset_after_s above 0")
    for key in ("retried_codes", "terminal_codes", "retried_http", "terminal_http"):
        if any(low > high for low, high in getattr(policy, key) or ()):
            raise UsageError(f"{key} holds a range whose end is below its begin")
    if policy.backoff is not None:
        _check_backoff(policy.backoff)


def _check_backoff(backoff: Backoff) -> None:
    _check_word("backoff.growth", backoff.growth, GROWTHS)
    _check_word("backoff.jitter", backoff.jitter, JITTERS)
    _check_word("backoff.cap_on", backoff.cap_on, CAPS)
    for key in ("base_s", "step_s", "floor_s", "offset_s", "exponent", "jitter_ratio"):
        if not 0 <= getattr(backoff, key) < inf:
            raise UsageError(f"backoff.{key} is {getattr(backoff, key)}: choose a finite number, 0 or more")
    if not 1 <= backoff.factor < inf:
        raise UsageError(f"backoff.factor is {backoff.factor}: choose 1 or more")
    if backoff.first_step < 0:
        raise UsageError(f"backoff.first_step is {backoff.first_step}: choose 0 or more")
    if not backoff.cap_s > 0:
        raise UsageError(f"backoff.cap_s is {backoff.cap_s}: choose seconds above 0")
    if backoff.jitter in ("plus_minus", "minus", "backo2") and backoff.jitter_ratio > 1:
        raise UsageError(f"backoff.jitter_ratio is {backoff.jitter_ratio}: choose 0 to 1, a share of the wait")
    if not 0 <= backoff.jitter_s[0] <= backoff.jitter_s[1] < inf:
        raise UsageError(f"backoff.jitter_s is {list(backoff.jitter_s)}: choose [min, max] in seconds with min <= max")
    if backoff.jitter == "once" and backoff.growth != "exponential":
        raise UsageError("backoff.jitter 'once' draws the base of growth 'exponential'")
    if backoff.jitter == "decorrelated" and backoff.offset_s:
        raise UsageError(
            "backoff.offset_s does not go with jitter 'decorrelated', whose waits depend on the wait before"
        )
    if backoff.jitter == "decorrelated" and backoff.base_s > backoff.cap_s:
        raise UsageError("backoff.base_s is above backoff.cap_s")


def _check_word(key: str, word: str, choices: tuple[str, ...]) -> None:
    if word not in choices:
        raise UsageError(f"{key} is {str(word)[:40]!r}: choose one of {', '.join(choices)}")


def _check_positive(key: str, value: float) -> None:
    if not value > 0:
        raise UsageError(f"{key} is {value}: choose seconds above 0")
