"""The answer as data: what is fixed about a code, and what a lake shows about it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class ServiceMeaning:
    """What one service, library or server means by the code.

    Parameters
    ----------
    service, name, meaning : str
        ``name`` is the service's own wording, ``meaning`` ours in the language asked for.
    first, last : int
        The codes it holds for.
    retry : str
        ``yes``, ``no``, ``unknown``, ``yes_at_once``, ``yes_after_1s`` or ``yes_client_default``.
    is_local : bool
        The client makes the code up; it was never sent.
    source, verified : str
        ``verified`` is ``verified`` or names what is not.
    """

    service: str
    name: str
    meaning: str
    first: int
    last: int
    retry: str
    is_local: bool
    source: str
    verified: str


@dataclass(frozen=True)
class Cause:
    """One possible cause: in short, the sign in the logs, the commands that look for it, and what to change.

    ``diagnosed`` are the causes of ``wslog diagnose`` that it stands for.
    """

    label: str
    id: str
    group: str
    title: str
    short: str
    sign: str
    commands: tuple[str, ...]
    change: str
    source: str
    diagnosed: tuple[str, ...] = ()


@dataclass(frozen=True)
class Timeout:
    """A well-known timeout: lifetimes may match it, which proves nothing by itself."""

    seconds: int
    products: str
    kind: str
    source: str
    verified: str


@dataclass(frozen=True)
class Share:
    """How many of a group: ``count`` of ``total`` (weighted); ``value`` with its 95 % interval, None when ``state`` is insufficient."""

    key: str | None
    count: float
    total: float
    value: float | None
    low: float | None
    high: float | None
    state: str


@dataclass(frozen=True)
class Match:
    """Durations that gather at a well-known timeout.

    Parameters
    ----------
    measure : str
        ``lifetime`` or ``silence`` (the longest time without an inbound message).
    seconds : int
        The timeout.
    inside : int
        Durations in [``low_s``, ``high_s``].
    session_count : int
        Sessions they belong to: one client in a loop is no pattern of all.
    background : float
        How many the bands on both sides let expect there (the larger of the two).
    median_s : float
        Median of those inside.
    """

    measure: str
    seconds: int
    low_s: float
    high_s: float
    inside: int
    session_count: int
    background: float
    median_s: float


@dataclass(frozen=True)
class Together:
    """Sessions that ended within ten seconds: begin (ISO, UTC), how many, on how many network types and hosts."""

    at: str
    session_count: int
    network_count: int
    hosts: tuple[str, ...]


@dataclass(frozen=True)
class Evidence:
    """What a lake shows about one code, on the side that has most of it.

    Parameters
    ----------
    side : str or None
        None when the code does not occur.
    count, total : float
        Attempts with the code, and ended attempts of that side (for an HTTP status: all attempts of that side).
    shares : tuple of Share
        One per side and source of the code; empty for an HTTP status.
    opened, never_opened : float
    networks, weeks : tuple of Share
        Key is the network type or the ISO week.
    causes : tuple of Share
        Key is the cause (:data:`wslog.diagnosis.CAUSES`): its share of the abnormal ends and failed connects with the code;
        most common first, those that do not occur left out.
    duration_count : int
        Opened attempts with the code and a known lifetime.
    timeout_state : str
        ``matches``, ``none`` or ``insufficient`` (fewer than 20 durations).
    matches : tuple of Match
    together_count : int
    together : tuple of Together
        The largest ones first, five at most.
    reasons : tuple of (str, int)
        Most common close reasons: text of strangers, made inert.
    present : tuple of (str, float)
        The codes (or statuses) this lake does have, most common first.
    without_code : float
        Ended attempts whose log holds no code.
    """

    side: str | None
    count: float
    total: float
    shares: tuple[Share, ...] = ()
    opened: float = 0
    never_opened: float = 0
    networks: tuple[Share, ...] = ()
    weeks: tuple[Share, ...] = ()
    causes: tuple[Share, ...] = ()
    duration_count: int = 0
    timeout_state: str = "insufficient"
    matches: tuple[Match, ...] = ()
    together_count: int = 0
    together: tuple[Together, ...] = ()
    reasons: tuple[tuple[str, int], ...] = ()
    present: tuple[tuple[str, float], ...] = ()
    without_code: float = 0


@dataclass(frozen=True)
class Explanation:
    """The answer to ``wslog explain CODE``.

    Parameters
    ----------
    kind : str
        ``close_code`` or ``http_status``.
    code : int
    lang : str
    name : str
        The registered name, or what the range is called.
    meaning, retry_how : str
    sender : str
        ``either``, ``client``, ``server``, ``nobody``, ``application`` or ``unknown``.
    on_wire : bool
        Whether the code may stand in a close frame.
    retry : str
        ``yes``, ``no`` or ``unknown``; for an HTTP status ``none``, ``after_fix``, ``after_login``, ``retry_after``, ``backoff``.
    usually, steps : tuple of str
        What usually causes it, and what to do, in order.
    commands : tuple of str
        wslog commands that look at it.
    services : tuple of ServiceMeaning
    causes : tuple of Cause
        The tree of causes (1006 only).
    timeouts : tuple of Timeout
    snippets : dict
        Name of the product and lines of its configuration.
    source, verified : str
    lake : str or None
        Path of the lake the answer is about.
    evidence : Evidence or None
    """

    kind: str
    code: int
    lang: str
    name: str
    meaning: str
    sender: str
    on_wire: bool
    retry: str
    retry_how: str
    usually: tuple[str, ...]
    steps: tuple[str, ...]
    commands: tuple[str, ...]
    services: tuple[ServiceMeaning, ...]
    causes: tuple[Cause, ...]
    timeouts: tuple[Timeout, ...]
    snippets: dict[str, tuple[str, ...]]
    source: str
    verified: str
    lake: str | None = None
    evidence: Evidence | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return the answer as what ``json.dumps`` takes."""
        return asdict(self)
