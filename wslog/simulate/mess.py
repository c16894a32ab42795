"""Mess: what happens to lines between the moment they are written and the moment somebody reads them.

The world stays as it is, and so does its truth; only the lines change. Everything is drawn from generators of its own, seeded by
name: the same world with and without mess differs in nothing else. The sizes are invented, like the world's.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from wslog.errors import UsageError

if TYPE_CHECKING:
    from wslog.simulate.records import Entry, Life


@dataclass(frozen=True)
class Mess:
    """How much goes wrong with the lines.

    Parameters
    ----------
    lost_ratio : float
        Share of the lines of every log that never arrive, each by itself: uploads and log shippers lose some.
    doubled_ratio : float
        Share of the lines that arrive twice, byte for byte: a sender that got no answer sends again. A client's second copy
        comes some seconds later, a front end's at once.
    cut_ratio : float
        Share of the sessions whose telemetry begins late or stops early, at a line drawn at random.
    jitter_s : float
        Mean lateness (exponential) of the time on a client's line: events are stamped when the page comes to it.
    skew_s : float
        Standard deviation of what the clients' clocks are off; one client has one error.
    without_network_ratio, without_silence_ratio : float
        Share of the users whose client tells no kind of network (Firefox and Safari know none), or does not measure silences.
    """

    lost_ratio: float = 0.0
    doubled_ratio: float = 0.0
    cut_ratio: float = 0.0
    jitter_s: float = 0.0
    skew_s: float = 0.0
    without_network_ratio: float = 0.0
    without_silence_ratio: float = 0.0

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if not 0 <= value <= (3600 if name.endswith("_s") else 1):
                raise UsageError(f"mess {name}={value}: give 0 to {'3600 s' if name.endswith('_s') else 1}")


LEVELS = {
    "none": Mess(),
    "light": Mess(0.003, 0.002, 0.01, 0.005, 2.0, 0.1, 0.1),
    "heavy": Mess(0.03, 0.01, 0.08, 0.05, 60.0, 0.4, 0.3),
}
"""What ``--mess`` chooses from."""

RESENT_S = 5.0


def mess_of(mess: str | Mess) -> Mess:
    """Return a level by its name; a :class:`Mess` is returned as it is.

    Raises
    ------
    UsageError
    """
    if isinstance(mess, Mess):
        return mess
    if mess not in LEVELS:
        raise UsageError(f"no mess {mess!r}: choose of {', '.join(LEVELS)}")
    return LEVELS[mess]


class Hand:
    """What makes the mess of one world's lines, seeded by the world's seed and by what each line is of."""

    def __init__(self, mess: Mess, seed: int) -> None:
        self.mess, self.seed = mess, seed

    def rng(self, *name: object) -> random.Random:
        return random.Random("/".join(map(str, ("mess", self.seed, *name))))

    def skew_us(self, user_number: int) -> int:
        """Return by how much a user's clock is ahead."""
        return round(1e6 * self.rng("clock", user_number).gauss(0.0, self.mess.skew_s)) if self.mess.skew_s else 0

    def tells(self, user_number: int) -> tuple[bool, bool]:
        """Return whether a user's client tells the kind of network, and how long connections were silent."""
        rng = self.rng("client", user_number)
        return rng.random() >= self.mess.without_network_ratio, rng.random() >= self.mess.without_silence_ratio

    def telemetry(self, life: Life) -> Iterator[tuple[int, int, Entry]]:
        """Yield (when it arrived, how late its own time is, entry) of what arrives of a session's telemetry, times in µs."""
        if self.mess == LEVELS["none"]:
            yield from ((entry.at_us, 0, entry) for entry in life.entries)
            return
        mess, rng = self.mess, self.rng("session", life.visit.session_id)
        first, last = 0, len(life.entries)
        if last > 1 and rng.random() < mess.cut_ratio:
            cut = rng.randrange(1, last)
            first, last = (cut, last) if rng.random() < 0.5 else (0, cut)
        for number, entry in enumerate(life.entries):
            is_lost, is_doubled = rng.random() < mess.lost_ratio, rng.random() < mess.doubled_ratio
            late = round(1e6 * rng.expovariate(1 / mess.jitter_s)) if mess.jitter_s else 0
            resent = round(1e6 * rng.expovariate(1 / RESENT_S))
            if is_lost or not first <= number < last:
                continue
            yield entry.at_us, late, entry
            if is_doubled:
                yield entry.at_us + resent, late, entry

    def copies(self, name: str, connection_id: str) -> int:
        """Return how often the line of one request arrives from a front end."""
        if not (self.mess.lost_ratio or self.mess.doubled_ratio):
            return 1
        rng = self.rng(name, connection_id)
        return 0 if rng.random() < self.mess.lost_ratio else 2 if rng.random() < self.mess.doubled_ratio else 1
