"""Who is online, where and when: everything that is drawn before the first connection is made.

All numbers are invented, in plausible sizes; nothing here was measured. Networks, addresses and AS numbers are those set
aside for documentation or private use (RFC 5737, 3849, 1918, 5398). Every user and every visit has a generator of its own,
seeded by name, and every property is drawn whatever the scenario is: two scenarios of one seed differ in nothing else.
"""

from __future__ import annotations

import ipaddress
import random
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from math import ceil, exp

from wslog.simulate.mess import Hand, Mess

CAUSES = (
    "idle_timeout",
    "restart_herd",
    "blocked_upgrade",
    "handover",
    "carrier",
    "server_refused",
    "page_left",
    "flapping_server",
    "sleep",
    "tls_or_clock",
    "browser_or_page",
    "random_drop",
    "client_bug",
)
"""Why an outage began; also the names of the ingredients of a scenario."""

EXTRAS = ("certificate_expired", "throttled_timers", "remembered_fallback")
"""Ingredients that ``all`` leaves out, so that its worlds stay as they are: the service's certificate ends (also a cause); hidden
pages whose timers the browser holds back; clients that remember a fallback and begin their next visit with it."""

SECOND = 1_000_000
DAY = 86_400 * SECOND


def us(seconds: float) -> int:
    """Return seconds as whole microseconds."""
    return round(seconds * 1e6)


# --- where: networks and their addresses ---------------------------------------------------------------------


@dataclass(frozen=True)
class Network:
    """A kind of network: its share of the users, how often it loses connections and for how long.

    ``outage_s`` and ``outage_sigma`` are the median and the log's standard deviation of a log-normal duration.
    """

    type: str
    share: float
    drops_per_hour: float
    outage_s: float
    outage_sigma: float
    effective_type: str
    rtt_ms: int


NETWORKS = {
    network.type: network
    for network in (
        Network("wifi", 0.47, 0.25, 1.4, 1.0, "4g", 50),
        Network("cellular", 0.27, 0.9, 3.0, 1.3, "4g", 100),
        Network("ethernet", 0.14, 0.08, 1.0, 0.8, "4g", 25),
        Network("vpn", 0.12, 0.2, 1.6, 1.0, "4g", 75),
    )
}


@dataclass(frozen=True)
class Block:
    """Addresses of one organisation: what a database of autonomous systems would say about them."""

    asn: int
    org: str
    network_type: str
    cidr: str
    is_upgrade_blocked: bool = False


BLOCKS = (
    Block(64496, "Example Home Net", "wifi", "10.16.0.0/14"),
    Block(64496, "Example Home Net", "wifi", "2001:db8:1000::/36"),
    Block(64497, "Example Cable", "wifi", "203.0.113.0/24"),
    Block(64498, "Example Mobile", "cellular", "10.64.0.0/12"),
    Block(64498, "Example Mobile", "cellular", "2001:db8:2000::/36"),
    Block(64499, "Example Wireless", "cellular", "198.51.100.0/24"),
    Block(64500, "Example Campus", "ethernet", "192.0.2.0/24"),
    Block(64500, "Example Campus", "ethernet", "10.128.0.0/16"),
    Block(64501, "Example Corporation", "vpn", "10.200.0.0/16"),
    Block(64502, "Example Bank", "vpn", "10.201.0.0/16", is_upgrade_blocked=True),
)


@cache
def _range(cidr: str) -> tuple[int, int, bool]:
    network = ipaddress.ip_network(cidr)
    return int(network.network_address), network.num_addresses, network.version == 4


def draw_place(network_type: str, rng: random.Random) -> tuple[Block, str]:
    """Return a block of a kind of network and an address in it."""
    block = rng.choice([b for b in BLOCKS if b.network_type == network_type])
    first, size, is_v4 = _range(block.cidr)
    number = first + rng.randrange(1, size - 1)
    return block, str(ipaddress.IPv4Address(number) if is_v4 else ipaddress.IPv6Address(number))


# --- the service ---------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class FrontEnd:
    """A proxy before the service; it ends a connection after ``idle_timeout_s`` without a byte."""

    name: str
    host: str
    idle_timeout_s: float
    refusal_status: int
    is_restart_graceful: bool


FRONT_ENDS = (
    FrontEnd("nginx", "edge-a.example.com", 60.0, 502, is_restart_graceful=True),
    FrontEnd("haproxy", "edge-b.example.com", 120.0, 503, is_restart_graceful=False),
)


@dataclass(frozen=True)
class Restart:
    """The servers behind a front end go away at ``at_us`` and answer again from ``up_us`` on."""

    at_us: int
    up_us: int
    is_graceful: bool


# --- who: users and their visits -------------------------------------------------------------------------------

AGENTS = (  # (share, user agent, is an app, is a phone)
    (0.30, "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/141.0.0.0 Safari/537.36", False, False),
    (0.14, "Mozilla/5.0 (X11; Linux x86_64; rv:143.0) Gecko/20100101 Firefox/143.0", False, False),
    (0.06, "Mozilla/5.0 (X11; Linux x86_64; rv:144.0) Gecko/20100101 Firefox/144.0", False, False),
    (0.20, "Mozilla/5.0 (iPhone; CPU iPhone OS 18_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) "
           "Version/18.6 Mobile/15E148 Safari/604.1", False, True),
    (0.30, "ExampleApp/3.1 (Android 15)", True, True),
)  # fmt: skip
BUGGY_AGENT = AGENTS[2][1]
"""With the ingredient client_bug this version sends messages that are too big, and is closed with 1009."""


@dataclass(frozen=True)
class User:
    """One user on one device.

    ``refusal`` is the HTTP status that every handshake of the user is answered with (0: none; 401: polls are refused
    too; 403: only WebSocket is). ``has_polling`` is False for an old app that gives up when its retries are used up.
    ``clock_offset_us`` is how far the device's clock is ahead (behind: negative): far enough that no certificate is valid then.
    ``page_refusal`` is why the browser itself refuses to connect: ``insecure`` (the page is told) or ``extension`` (it is not).
    ``skew_us``, ``tells_network`` and ``tells_silence`` are of the mess (:mod:`wslog.simulate.mess`): what the device's clock
    is ahead by besides, and what its client tells.
    """

    number: int
    front_end: FrontEnd
    agent: str
    is_app: bool
    is_phone: bool
    network: Network
    block: Block
    address: str
    is_quiet: bool
    sleeps: bool
    is_buggy: bool
    has_polling: bool
    is_blocked: bool
    clock_offset_us: int
    refusal: int
    page_refusal: str
    skew_us: int = 0
    tells_network: bool = True
    tells_silence: bool = True

    @property
    def is_clock_wrong(self) -> bool:
        return self.clock_offset_us != 0

    @property
    def device_offset_us(self) -> int:
        """How far the device's clock is ahead of the world's time."""
        return self.clock_offset_us + self.skew_us


@dataclass(frozen=True)
class Visit:
    """A page load or app run of a user: it would like to stay until ``leave_us``."""

    session_id: str
    user: User
    start_us: int
    leave_us: int
    rng: random.Random


def rare(rng: random.Random, rate_per_hour: float) -> int:
    """Return a time in µs until an event that comes ``rate_per_hour`` times an hour."""
    return us(rng.expovariate(rate_per_hour / 3600))


def lognormal(rng: random.Random, median: float, sigma: float) -> float:
    """Return a log-normal draw."""
    return median * exp(sigma * rng.gauss(0.0, 1.0))


class World:
    """The users, the visits and the restarts of a simulated span of time.

    Parameters
    ----------
    users : int
    start_us, end_us : int
        Span of the logs, µs since 1970 UTC.
    seed : int
    ingredients : frozenset of str
        Words of :data:`CAUSES` and :data:`EXTRAS`: what can go wrong here.
    mess : Mess
        What happens to the lines.
    """

    visits_per_day = (1.5, 0.75)
    """Of a user, on weekdays and at weekends."""

    def __init__(
        self, users: int, start_us: int, end_us: int, seed: int, ingredients: frozenset[str], mess: Mess | None = None
    ) -> None:
        self.start_us, self.end_us, self.seed, self.ingredients = start_us, end_us, seed, ingredients
        self.hand = Hand(mess or Mess(), seed)
        self.expired_us = self._expired()
        self.users = [self._user(number) for number in range(users)]
        self.restarts = {front_end.name: self._restarts(front_end) for front_end in FRONT_ENDS}

    def has(self, ingredient: str) -> bool:
        return ingredient in self.ingredients

    def _rng(self, *name: object) -> random.Random:
        return random.Random("/".join(map(str, (self.seed, *name))))

    def _user(self, number: int) -> User:
        rng = self._rng("user", number)
        _, agent, is_app, is_phone = rng.choices(AGENTS, [a[0] for a in AGENTS])[0]
        # a phone is on no cable
        kinds = [n for n in NETWORKS.values() if not (is_phone and n.type == "ethernet")]
        network = rng.choices(kinds, [n.share for n in kinds])[0]
        block, address = draw_place(network.type, rng)
        names = ("quiet", "sleeps", "polling", "clock", "refusal", "offset", "page")
        chance = {name: rng.random() for name in names}
        refusal = (
            0
            if chance["refusal"] > 0.04 or not self.has("server_refused")
            else 403
            if chance["refusal"] < 0.025
            else 401
        )
        tells_network, tells_silence = self.hand.tells(number)
        return User(
            number=number,
            front_end=FRONT_ENDS[number % len(FRONT_ENDS)],
            agent=agent,
            is_app=is_app,
            is_phone=is_phone,
            network=network,
            block=block,
            address=address,
            is_quiet=self.has("idle_timeout") and chance["quiet"] < 0.05,
            sleeps=self.has("sleep") and chance["sleeps"] < 0.25,
            is_buggy=self.has("client_bug") and agent == BUGGY_AGENT,
            has_polling=not (is_app and chance["polling"] < 0.25),
            is_blocked=self.has("blocked_upgrade") and block.is_upgrade_blocked,
            # back to the day the device was made: batteries that keep the time are empty
            clock_offset_us=-us((1 + 8 * chance["offset"]) * 365 * 86_400)
            if self.has("tls_or_clock") and chance["clock"] < 0.015
            else 0,
            refusal=refusal,
            page_refusal=self._page_refusal(is_app, chance["page"]),
            skew_us=self.hand.skew_us(number),
            tells_network=tells_network,
            tells_silence=tells_silence,
        )

    def _page_refusal(self, is_app: bool, chance: float) -> str:
        if is_app or not self.has("browser_or_page"):
            return ""
        return "insecure" if chance < 0.03 else "extension" if chance < 0.035 else ""

    def _restarts(self, front_end: FrontEnd) -> list[Restart]:
        """Draw one restart in working hours every other day (in a span below a day: one in its later half)."""
        if not self.has("restart_herd"):
            return []
        rng = self._rng("restarts", front_end.name)
        span = self.end_us - self.start_us
        found = []
        for day in range(0, ceil(span / DAY), 2):
            at = day * DAY + us(rng.uniform(10, 16) * 3600) if span >= DAY else int(span * rng.uniform(0.5, 0.9))
            down = us(lognormal(rng, 6.0, 0.5))
            found.append(Restart(self.start_us + at, self.start_us + at + down, front_end.is_restart_graceful))
        return found

    def _expired(self) -> tuple[int, int]:
        """Draw from when until when the service's certificate has ended: some hours of a working day, half a day at most."""
        if not self.has("certificate_expired"):
            return 0, 0
        rng = self._rng("certificate")
        span = self.end_us - self.start_us
        middle = span // DAY // 2 * DAY + us(rng.uniform(10, 14) * 3600)
        at = self.start_us + (middle if span >= DAY else int(span * rng.uniform(0.3, 0.6)))
        return at, at + min(us(lognormal(rng, 7200.0, 0.3)), span // 4, DAY // 2)

    def renewed_us(self, at_us: int) -> int:
        """Return when the certificate that has ended at a time is renewed, 0 when it is valid then."""
        first, until = self.expired_us
        return until if first <= at_us < until else 0

    def hidden(self, visit: Visit) -> list[tuple[int, int]]:
        """Return the spans in which a visit's page is hidden, in order; apps and worlds without throttled timers have none."""
        if visit.user.is_app or not self.has("throttled_timers"):
            return []
        rng, at, found = self._rng("hidden", visit.session_id), visit.start_us, []
        while at < visit.leave_us:
            at += us(rng.expovariate(1 / 600))
            until = at + us(rng.expovariate(1 / 900))
            found.append((at, until))
            at = until
        return found

    def next_restart(self, front_end: FrontEnd, at_us: int) -> Restart | None:
        """Return the first restart after a time."""
        return next((r for r in self.restarts[front_end.name] if r.at_us > at_us), None)

    def refused_until(self, front_end: FrontEnd, at_us: int) -> int:
        """Return until when the front end has no server, 0 when it has one."""
        return next((r.up_us for r in self.restarts[front_end.name] if r.at_us <= at_us < r.up_us), 0)

    def visits(self) -> Iterator[Visit]:
        """Yield the visits, user by user; in order of time where one visit leaves something to the next."""
        for user in self.users:
            found = self._visits(user)
            yield from sorted(found, key=lambda v: v.start_us) if self.has("remembered_fallback") else found

    def _visits(self, user: User) -> Iterator[Visit]:
        rng = self._rng("visits", user.number)
        for day in range(ceil((self.end_us - self.start_us) / DAY)):
            day_us = self.start_us + day * DAY
            # 1970-01-01 was a Thursday
            is_weekend = (day_us // DAY + 3) % 7 >= 5
            for k in range(_poisson(rng, self.visits_per_day[is_weekend])):
                visit = self._visit(user, day_us, f"{day}.{k}")
                if visit.start_us < self.end_us:
                    yield visit

    def _visit(self, user: User, day_us: int, name: str) -> Visit:
        rng = self._rng("visit", user.number, name)
        hour = min(23.99, max(0.0, rng.gauss(13.5, 3.5)))
        start = day_us + us(hour * 3600)
        stay = min(lognormal(rng, 1500.0, 0.9), 4 * 3600)
        return Visit(f"{rng.getrandbits(64):016x}", user, start, start + us(stay), rng)


def _poisson(rng: random.Random, mean: float) -> int:
    """Return a Poisson draw (Knuth's product of uniforms: fine for small means)."""
    count, product, bound = 0, rng.random(), exp(-mean)
    while product > bound:
        count, product = count + 1, product * rng.random()
    return count
