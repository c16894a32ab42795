"""How long a client waits: growth, cap and jitter as one formula.

The wait of step ``n`` (0, 1, 2, ...) is a nominal time that grows with ``n``, spread by a jitter, and capped. Libraries differ in
what the cap applies to, and that matters: a cap put on the jittered wait gives every late retry the same wait again.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import inf

import numpy as np

from wslog.policy.model import FloatArray

GROWTHS = ("constant", "linear", "exponential", "power")
JITTERS = ("none", "full", "equal", "plus_minus", "plus", "minus", "additive", "decorrelated", "backo2", "once")
CAPS = ("nominal", "wait", "both")

LONGEST_S = 1e9
"""A wait without a cap grows no further than this: no log lasts thirty years."""

_SCALED = ("full", "equal", "plus_minus", "plus", "minus")


@dataclass(frozen=True)
class Backoff:
    """The formula of a wait, in seconds; step ``n`` counts from ``first_step``.

    Parameters
    ----------
    growth : str
        The nominal wait: ``constant`` base_s; ``linear`` base_s + n * step_s; ``exponential`` base_s * factor ** n;
        ``power`` base_s * n ** exponent.
    base_s, step_s, factor, exponent : float
    first_step : int
        ``n`` of the formula's first wait.
    cap_s : float
        ``inf``: none.
    cap_on : str
        ``nominal``: the cap applies before the jitter, so jitter may exceed it; ``wait``: to the jittered wait only;
        ``both``.
    jitter : str
        * ``none``
        * ``full``: uniform from floor_s to nominal; ``equal``: uniform from nominal / 2 to nominal
        * ``plus_minus``, ``plus``, ``minus``: nominal times uniform 1 - r to 1 + r, 1 to 1 + r, 1 - r to 1 (r: jitter_ratio)
        * ``additive``: nominal plus uniform jitter_s
        * ``decorrelated``: uniform from base_s to factor times the wait before (at first base_s)
        * ``backo2``: nominal -/+ a share below r of it, in whole ms, and the sign is tied to the size of the share: minus when
          the first decimal of the random number is even (npm backo2, socket.io-client ``contrib/backo2.ts``)
        * ``once``: a base drawn once per page, uniform in jitter_s, instead of base_s
    jitter_ratio : float
    jitter_s : (float, float)
    floor_s, offset_s : float
        Lower end of ``full``; a constant added to every wait.
    """

    growth: str = "constant"
    base_s: float = 1.0
    step_s: float = 0.0
    factor: float = 2.0
    exponent: float = 1.0
    first_step: int = 0
    cap_s: float = inf
    cap_on: str = "nominal"
    jitter: str = "none"
    jitter_ratio: float = 0.0
    jitter_s: tuple[float, float] = (0.0, 0.0)
    floor_s: float = 0.0
    offset_s: float = 0.0

    @property
    def has_jitter(self) -> bool:
        """Whether two clients wait differently."""
        return self.jitter != "none"

    def nominal_s(self, step: int) -> float:
        """Return the nominal wait of a step (from 0 on), capped if the cap applies to it."""
        n = step + self.first_step
        if self.growth == "constant":
            grown = self.base_s
        elif self.growth == "linear":
            grown = self.base_s + n * self.step_s
        elif self.growth == "power":
            grown = self.base_s * float(n) ** self.exponent
        else:
            grown = self._base_s * self._power(n)
        if self.jitter != "backo2":
            grown = min(grown, LONGEST_S)
        return grown if self.cap_on == "wait" else min(grown, self.cap_s)

    @property
    def _base_s(self) -> float:
        return 1.0 if self.jitter == "once" else self.base_s

    def _power(self, n: int) -> float:
        try:
            return float(self.factor**n)
        except OverflowError:
            return inf

    def bounds_s(self, step: int) -> tuple[float, float]:
        """Return the least and the greatest wait of a step."""
        nominal = self.nominal_s(step)
        low, high = nominal, nominal
        if self.jitter in _SCALED:
            low, high = (scale * nominal for scale in self._scales())
            if self.jitter == "full":
                low, high = self.floor_s, max(self.floor_s, high)
        elif self.jitter == "additive":
            low, high = nominal + self.jitter_s[0], nominal + self.jitter_s[1]
        elif self.jitter == "decorrelated":
            low, high = self.base_s, max(self.base_s, min(self.cap_s, self.base_s * self._power(step + 1)))
        elif self.jitter == "backo2":
            # random numbers below 0.9 with an even first decimal shorten, those from 0.9 on lengthen
            low, high = nominal * (1 - 0.9 * self.jitter_ratio), nominal * (1 + self.jitter_ratio)
        elif self.jitter == "once":
            low, high = (self._once_s(base, step) for base in self.jitter_s)
        low, high = low + self.offset_s, high + self.offset_s
        return (low, high) if self.cap_on == "nominal" else (min(low, self.cap_s), min(high, self.cap_s))

    def draw_s(self, step: int, before_s: FloatArray, once_s: FloatArray, rng: np.random.Generator) -> FloatArray:
        """Draw the waits of a step.

        Parameters
        ----------
        step : int
            From 0 on.
        before_s : (n,) float array
            The waits before (``decorrelated``); at step 0 they are not read.
        once_s : (n,) float array
            The bases drawn by :meth:`draw_once_s` (``once``).

        Returns
        -------
        (n,) float array
            Seconds.
        """
        count, nominal = len(before_s), self.nominal_s(step)
        if self.jitter in _SCALED:
            low, high = self._scales()
            start = max(low * nominal, self.floor_s) if self.jitter == "full" else low * nominal
            waits = start + (max(high * nominal, start) - start) * rng.random(count)
        elif self.jitter == "additive":
            waits = nominal + rng.uniform(*self.jitter_s, count)
        elif self.jitter == "decorrelated":
            previous = np.full(count, self.base_s) if step == 0 else np.maximum(before_s, self.base_s)
            waits = self.base_s + (self.factor * previous - self.base_s) * rng.random(count)
            waits = np.minimum(waits, min(self.cap_s, LONGEST_S))
        elif self.jitter == "backo2":
            waits = self._backo2(nominal, rng.random(count))
        elif self.jitter == "once":
            waits = np.minimum(once_s * self._power(step + self.first_step), min(self.cap_s, LONGEST_S))
        else:
            waits = np.full(count, nominal)
        if self.offset_s:
            waits = waits + self.offset_s
        return waits if self.cap_on == "nominal" else np.minimum(waits, self.cap_s)

    def draw_once_s(self, count: int, rng: np.random.Generator) -> FloatArray:
        """Return (count,) bases that a page keeps; zeros, and nothing drawn, unless the jitter is ``once``."""
        return rng.uniform(*self.jitter_s, count) if self.jitter == "once" else np.zeros(count)

    def _scales(self) -> tuple[float, float]:
        ratio = self.jitter_ratio
        return {
            "full": (0.0, 1.0),
            "equal": (0.5, 1.0),
            "plus_minus": (1 - ratio, 1 + ratio),
            "plus": (1.0, 1 + ratio),
            "minus": (1 - ratio, 1.0),
        }[self.jitter]

    def _once_s(self, base: float, step: int) -> float:
        return min(base * self._power(step + self.first_step), self.cap_s, LONGEST_S)

    def _backo2(self, nominal: float, drawn: FloatArray) -> FloatArray:
        """Reproduce backo2 in its unit, ms: an infinite nominal wait minus an infinite share is NaN, which JavaScript's
        ``| 0`` turns into 0 (retry 1016 on: zero-delay retries, half of the time)."""
        ms = nominal * 1e3
        with np.errstate(invalid="ignore", over="ignore"):
            share = np.floor(drawn * self.jitter_ratio * ms)
            moved = np.where(np.floor(drawn * 10) % 2 == 0, ms - share, ms + share)
        waits: FloatArray = np.floor(np.minimum(np.nan_to_num(moved, nan=0.0, posinf=inf), self.cap_s * 1e3)) / 1e3
        return waits
