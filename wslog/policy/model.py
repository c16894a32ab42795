"""What the modules of this package hand to one another: outages as arrays, and the distribution of their end.

An attempt to reconnect inspects a hidden instant X, the first moment after the begin of the outage at which a new attempt could
succeed. A failed attempt says that X is later than its start (or that it failed by chance), a success that X is not later.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]

FAILURES = ("none", "fast", "timeout", "http_status", "unknown")
"""How an attempt failed. ``none``: it opened. ``fast``: refused, reset, no route, TLS alert, within a second. ``timeout``: it
hung until somebody's patience ended. ``http_status``: the server answered with something other than 101."""

STATUSES = ("identified", "assumed", "bound")
"""What a figure rests on. ``identified``: the log itself. ``assumed``: the log and a named assumption. ``bound``: the log only
says between which two values it lies."""

FIRST_S = 0.01
"""End of the first cell: outages shorter than 10 ms are not told apart."""


def grid(horizon_s: float = 900.0) -> FloatArray:
    """Return the cell edges in seconds: 0, then 2.6 % steps from 10 ms to ``horizon_s``."""
    return np.append(0.0, np.geomspace(FIRST_S, horizon_s, round(float(np.log(horizon_s / FIRST_S)) / 0.0259) + 1))


@dataclass(frozen=True)
class Outages:
    """``n`` outages and their ``m`` attempts, the attempts of one outage behind one another in order of start.

    All times are seconds since the outage began; NaN where there is none.

    Parameters
    ----------
    first : (n + 1,) int array
        The attempts of outage ``i`` are ``first[i]`` to ``first[i + 1]``.
    start_s, end_s : (m,) float array
        When an attempt began, and when it opened or failed.
    is_ok : (m,) bool array
        Whether it opened. Only the last attempt of an outage can be one.
    failure : (m,) int array
        Index into :data:`FAILURES`.
    cluster : (n,) int array
        Number of the client session: outages of one session are not independent.
    weight : (n,) float array
        1 / sampling fraction.
    is_initial : (n,) bool array
        The session's first attempt failed (else an open connection was lost).
    is_left : (n,) bool array
        The page was closed while the outage lasted.
    watched_s : (n,) float array
        Until when the client is known to have been there.
    fell_back_s : (n,) float array
        When it switched to polling or SSE.
    poll_failed_s, poll_ok_s : (n,) float array
        The last poll that failed, and the first that succeeded, after the fallback.
    """

    first: IntArray
    start_s: FloatArray
    end_s: FloatArray
    is_ok: BoolArray
    failure: IntArray
    cluster: IntArray
    weight: FloatArray
    is_initial: BoolArray
    is_left: BoolArray
    watched_s: FloatArray
    fell_back_s: FloatArray
    poll_failed_s: FloatArray
    poll_ok_s: FloatArray

    def __len__(self) -> int:
        return len(self.first) - 1

    @property
    def attempt_count(self) -> IntArray:
        """Attempts of each outage, (n,)."""
        return np.diff(self.first)

    @property
    def outage(self) -> IntArray:
        """Position of the outage that each attempt belongs to, (m,)."""
        return np.repeat(np.arange(len(self), dtype=np.int64), self.attempt_count)

    @property
    def sessions(self) -> IntArray:
        """Number of the session of each outage, from 0 without holes, (n,)."""
        seen = np.bincount(self.cluster) > 0
        return np.asarray((np.cumsum(seen) - 1)[self.cluster], np.int64)

    @property
    def session_count(self) -> int:
        return int((np.bincount(self.cluster) > 0).sum()) if len(self) else 0

    def take(self, at: IntArray) -> Outages:
        """Return the outages at these positions."""
        counts = self.attempt_count[at]
        first = np.concatenate(([0], np.cumsum(counts)))
        inside = np.arange(first[-1]) - np.repeat(first[:-1], counts) + np.repeat(self.first[at], counts)
        rows = {name: getattr(self, name)[inside] for name in ("start_s", "end_s", "is_ok", "failure")}
        own = {
            name: getattr(self, name)[at]
            for name in (
                "cluster",
                "weight",
                "is_initial",
                "is_left",
                "watched_s",
                "fell_back_s",
                "poll_failed_s",
                "poll_ok_s",
            )
        }
        return Outages(first=first.astype(np.int64), **rows, **own)


@dataclass(frozen=True)
class Distribution:
    """The distribution of X, the end of an outage, in cells.

    Parameters
    ----------
    edges_s : (k + 1,) float array
        Cell ``j`` is ``(edges_s[j], edges_s[j + 1]]``; ``edges_s[0]`` is 0.
    weight : (k,) float array
        Probability of each cell.
    never : float
        Probability that no attempt before the last edge could succeed; ``weight.sum() + never`` is 1.
    """

    edges_s: FloatArray
    weight: FloatArray
    never: float

    def cdf(self, at_s: npt.ArrayLike) -> FloatArray:
        """Return P(X <= at_s); within a cell X is log-uniform (uniform in the first)."""
        at = np.asarray(at_s, np.float64)
        below = np.concatenate(([0.0], np.cumsum(self.weight)))
        return np.asarray(np.interp(_stretch(at), _stretch(self.edges_s), below), np.float64)

    def survival(self, at_s: npt.ArrayLike) -> FloatArray:
        """Return P(X > at_s)."""
        return 1.0 - self.cdf(at_s)

    def quantile(self, share: npt.ArrayLike) -> FloatArray:
        """Return the least time that X exceeds with probability 1 - share at most; inf beyond the last edge."""
        wanted = np.asarray(share, np.float64)
        below = np.concatenate(([0.0], np.cumsum(self.weight)))
        keep = np.concatenate(([True], np.diff(below) > 0))
        found = _shrink(np.interp(wanted, below[keep], _stretch(self.edges_s[keep])))
        return np.where(wanted > below[-1] + 1e-12, np.inf, found)

    def draw(self, count: int, rng: np.random.Generator) -> FloatArray:
        """Return (count,) stratified draws of X in random order; inf where the outage does not end."""
        return rng.permutation(self.quantile((np.arange(count) + rng.random()) / count))

    def smoothed(self, bandwidth: float = 0.25) -> Distribution:
        """Return the distribution smoothed by a normal kernel in the logarithm of time (``bandwidth``: its standard deviation).

        A schedule that is optimised on a raw maximum-likelihood estimate chases its spikes.
        """
        if self.weight.sum() < 1e-200:
            return self
        cuts = np.log(np.maximum(self.edges_s, FIRST_S / 3))
        middle = (cuts[1:] + cuts[:-1]) / 2
        fine = np.linspace(cuts[0] - 4 * bandwidth, cuts[-1] + 4 * bandwidth, 2048)
        step = fine[1] - fine[0]
        mass = np.bincount(
            np.clip(np.rint((middle - fine[0]) / step), 0, len(fine) - 1).astype(np.int64), self.weight, len(fine)
        )
        reach = int(np.ceil(4 * bandwidth / step))
        kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) * step / bandwidth) ** 2)
        spread = np.convolve(mass, kernel / kernel.sum(), mode="same")
        below = np.interp(cuts, fine + step / 2, np.cumsum(spread))
        weight = np.diff(below)
        # what the kernel pushed over either end goes back into the cells at that end
        weight[0] += below[0]
        weight *= self.weight.sum() / max(weight.sum(), 1e-300)
        return replace(self, weight=weight)


def _stretch(at_s: FloatArray) -> FloatArray:
    """Map seconds to a scale that is linear in the first cell and logarithmic above."""
    at = np.maximum(at_s, 0.0)
    return np.where(at < FIRST_S, at / FIRST_S, 1.0 + np.log(np.maximum(at, FIRST_S) / FIRST_S))


def _shrink(at: FloatArray) -> FloatArray:
    """Undo :func:`_stretch`."""
    return np.where(at < 1.0, at * FIRST_S, FIRST_S * np.exp(np.maximum(at, 1.0) - 1.0))
