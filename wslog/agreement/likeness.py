"""How much more alike a true pair is than two attempts at random: weights of evidence, learnt from the logs themselves.

Probabilistic record linkage (Fellegi and Sunter, J. Am. Stat. Assoc. 64 (1969) 1183-1210; the weights by expectation
maximisation: Winkler, Proc. Section on Survey Research Methods (1988) 667-671), with the times of two clocks for fields. What is
compared: when the attempt opened (of attempts that did not open on both sides: began) after the clocks' offset; how long the
connection lasted, which no clock shifts; whether it opened; browser and version; path.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from wslog.agreement.assign import marginals
from wslog.agreement.candidates import Index
from wslog.agreement.density import Density, broad, fit, weighted_quantile
from wslog.agreement.rows import NO_CODE, BoolArray, FloatArray, IntArray, Rows

OPEN, BEGIN, END = 0, 1, 2
"""Which times of a pair are compared."""

SEARCH_S = 10.0
"""How far from the clocks' rough offset pairs are looked for while the likeness is learnt."""
SAMPLE_PAIRS = 300_000
RUN_ROWS = 400
ROUNDS = 8
MIN_PAIRS = 8
FAINT = 1e-4
KNOT_PAIRS = 200
MAX_KNOTS = 48
BURST_S, NEAR_S, FAR_S = 3.0, 60.0, 3600.0
"""Windows around an attempt in which other attempts of its block are counted."""


@dataclass(frozen=True)
class Side:
    """The rows of one party that take part: numbers into :class:`Rows`, their blocks, and the time to search by."""

    rows: IntArray
    block: IntArray
    time: FloatArray


@dataclass
class Likeness:
    """What a true pair of two logs looks like.

    Attributes
    ----------
    knots : pair of (k,) float
        Times, and by how much the service's clock is ahead then (seconds); between them it is interpolated.
    times : dict
        Densities of the times' residuals, by what is compared.
    life : Density
        Of the difference between the two lifetimes.
    life_sorted : (n,) float
        The service rows' lifetimes: what a row at random has.
    opened : (2, 2) float
        Log ratio by whether the client's and the service's attempt opened.
    agent_agree, path_agree : float
        Share of true pairs that agree, where both logs tell; ``agent_share``, ``path_share`` hold how common each word is.
    unmatched_client : float
        Share of client rows without a partner.
    window : pair of float
        Residuals of the search times that hold 99.9 % of true pairs, and some more.
    tolerance_s, jitter_s, pair_count
        99.9 % of the residuals are smaller; their robust standard deviation; how many pairs that rests on.
    """

    times: dict[int, Density]
    life: Density
    life_sorted: FloatArray
    opened: FloatArray
    agent_agree: float
    agent_share: FloatArray
    path_agree: float
    path_share: FloatArray
    knots: tuple[FloatArray, FloatArray]
    unmatched_client: float = 0.2
    window: tuple[float, float] = (-SEARCH_S, SEARCH_S)
    tolerance_s: float = np.nan
    jitter_s: float = np.nan
    pair_count: float = 0.0

    def offset(self, time: FloatArray) -> FloatArray:
        """Return by how much the service's clock is ahead (seconds) when the client's tells ``time``."""
        return np.interp(time, *self.knots)

    @property
    def offset_s(self) -> float:
        """The median offset."""
        return float(np.median(self.knots[1]))

    @property
    def drift_ppm(self) -> float:
        """By how many microseconds a second the service's clock gains on the client's; 0 where one stretch is all there is."""
        at, offsets = self.knots
        return 1e6 * float(np.polyfit(at - at.mean(), offsets, 1)[0]) if len(at) > 1 and np.ptp(at) > 0 else 0.0

    def log_ratio(self, rows: Rows, client: IntArray, service: IntArray, basis: int) -> tuple[FloatArray, FloatArray]:
        """Return the log likelihood ratio of pairs (with the time's density per second) and the times' residual in seconds."""
        kind, gap = gaps(rows, client, service, basis)
        residual = gap - self.offset(search_time(rows, client, basis))
        total = np.zeros(len(client))
        for word, density in self.times.items():
            mine = kind == word
            total[mine] = density.log_at(residual[mine])
        if basis != END:
            total += self._life_ratio(rows, client, service)
        total += self.opened[rows.is_opened[client].astype(int), rows.is_opened[service].astype(int)]
        total += _word_ratio(rows.agent[client], rows.agent[service], self.agent_agree, self.agent_share)
        total += _word_ratio(rows.path[client], rows.path[service], self.path_agree, self.path_share)
        return total, residual

    def _life_ratio(self, rows: Rows, client: IntArray, service: IntArray) -> FloatArray:
        mine, theirs = rows.lifetime[client], rows.lifetime[service]
        known = ~(np.isnan(mine) | np.isnan(theirs))
        found = np.zeros(len(client))
        if known.any() and len(self.life_sorted):
            # how many other connections last about as long: idle timeouts make many that last the same
            reach = np.maximum(4 * self.life.scale_s, np.abs(theirs[known] - mine[known] - self.life.centre_s))
            above = np.searchsorted(self.life_sorted, theirs[known] + reach, "right")
            below = np.searchsorted(self.life_sorted, theirs[known] - reach, "left")
            background = np.log((above - below + 1.0) / (2 * reach * (len(self.life_sorted) + 1.0)))
            found[known] = self.life.log_at(theirs[known] - mine[known]) - background
        return found


def search_time(rows: Rows, numbers: IntArray, basis: int) -> FloatArray:
    """Return the times that candidates are looked up by."""
    times: FloatArray = rows.ended[numbers] if basis == END else rows.begun[numbers]
    return times


def gaps(rows: Rows, client: IntArray, service: IntArray, basis: int) -> tuple[IntArray, FloatArray]:
    """Return which times of each pair are compared, and by how much the service's is later (seconds)."""
    if basis == END:
        return np.full(len(client), END), rows.ended[service] - rows.ended[client]
    opened = rows.opened[service] - rows.opened[client]
    both = rows.is_opened[service] & rows.is_opened[client] & ~np.isnan(opened)
    return np.where(both, OPEN, BEGIN), np.where(both, opened, rows.begun[service] - rows.begun[client])


def differ(rows: Rows, barred: BoolArray, client: IntArray, service: IntArray) -> BoolArray:
    """Return which pairs carry ids that would be equal if they were pairs, and are not."""
    same = (rows.link[client] == rows.link[service]) & (rows.link_kind[client] < 3) & (rows.link_kind[service] < 3)
    found: BoolArray = barred[client] & barred[service] & ~(same & (rows.link[client] != NO_CODE))
    return found


def _word_ratio(client: IntArray, service: IntArray, agree: float, share: FloatArray) -> FloatArray:
    if not len(share):
        return np.zeros(len(client))
    chance = share[service]
    same = np.log(agree) - np.log(chance)
    other = np.log1p(-agree) - np.log1p(-np.minimum(chance, 0.999))
    return np.where((client == NO_CODE) | (service == NO_CODE), 0.0, np.where(client == service, same, other))


def crowd(index: Index, client: Side, at: FloatArray) -> FloatArray:
    """Return how many other service rows a second a client row has to expect around it in its block.

    What is counted around it; and not less than client rows have of their own kind in their block and close by, on average:
    attempts of one client come in bursts, so that one whose partner is missing has a stranger near by more often than the
    hours around tell.
    """
    near = index.count(client.block, at - NEAR_S, at + NEAR_S) - 1
    far = np.maximum(index.count(client.block, at - FAR_S, at + FAR_S) - 1, 0) + 0.1
    own = Index.of(client.block, client.time).count(client.block, client.time - BURST_S, client.time + BURST_S) - 1
    burst = max(float(own.mean()) / (2 * BURST_S), 1e-6) if len(own) else 1e-6
    return np.maximum(np.maximum(near / (2 * NEAR_S), far / (2 * FAR_S)), burst)


def blank(rows: Rows, service: IntArray, offset_s: float) -> Likeness:
    """Return the likeness to begin with: clocks roughly known, all else vague."""
    lifetimes = rows.lifetime[service]
    return Likeness(
        times={OPEN: broad(0.0, 1.0), BEGIN: broad(0.0, 1.0), END: broad(0.0, 1.0)},
        life=broad(0.0, 0.5),
        life_sorted=np.sort(lifetimes[~np.isnan(lifetimes)]),
        opened=np.zeros((2, 2)),
        agent_agree=0.9,
        agent_share=_shares(rows.agent, service),
        path_agree=0.9,
        path_share=_shares(rows.path, service),
        knots=(np.zeros(1), np.array([offset_s])),
    )


def _shares(codes: IntArray, numbers: IntArray) -> FloatArray:
    """Return how common each word is among some rows; empty where none of them has one."""
    known = codes[numbers]
    known = known[known != NO_CODE]
    if not len(known):
        return np.zeros(0)
    counts = np.bincount(known, minlength=int(codes.max()) + 1).astype(np.float64)
    return (counts + 1) / (len(known) + 1)


# --- learning ---------------------------------------------------------------------------------------------------


def learn(rows: Rows, client: Side, service: Side, start: Likeness, basis: int, barred: BoolArray) -> Likeness | None:
    """Learn from pairs whose truth nobody knows: expectation maximisation over the candidates of a sample of client rows.

    Returns
    -------
    Likeness or None
        None: too few pairs stand out.
    """
    index = Index.of(service.block, service.time)
    at = client.time + start.offset(client.time)
    counts = index.count(client.block, at - SEARCH_S, at + SEARCH_S)
    some = _runs(client, counts)
    if not counts[some].sum():
        return None
    parts = list(index.pairs(client.block[some], at[some] - SEARCH_S, at[some] + SEARCH_S))
    window, place = (np.concatenate(column) for column in zip(*parts, strict=True))
    keep = ~differ(rows, barred, client.rows[some][window], service.rows[place])
    window, place = window[keep], place[keep]
    c, s = client.rows[some][window], service.rows[place]
    rate = np.log(crowd(index, client, at))[some][window]
    found = start
    for turn in range(ROUNDS):
        ratio, residual = found.log_ratio(rows, c, s, basis)
        missing = found.unmatched_client
        missing_service = np.clip(1 - len(client.rows) * (1 - missing) / len(service.rows), 0.005, 0.995)
        odds = np.log((1 - missing) / (missing * missing_service))
        share = marginals(window, place, np.exp(np.clip(ratio - rate + odds, -50, 50)), turns=12)
        if share.sum() < MIN_PAIRS:
            return None
        found = _refit(rows, found, c, s, share, residual, basis, has_drift=turn >= 2)
        # a client row without any candidate counts as unmatched, too
        found.unmatched_client = float(np.clip(1 - share.sum() / len(some), 0.005, 0.95))
    return found


def _runs(client: Side, counts: IntArray) -> IntArray:
    """Return client rows with about SAMPLE_PAIRS candidates: in runs of rows that follow one another, which compete for the
    same partners."""
    order = np.lexsort((client.time, client.block))
    total = int(counts.sum())
    if total <= SAMPLE_PAIRS:
        return order
    keep = max(RUN_ROWS, int(len(order) * SAMPLE_PAIRS / total))
    starts = np.linspace(0, len(order) - RUN_ROWS, keep // RUN_ROWS).astype(np.int64)
    return order[np.unique((starts[:, None] + np.arange(RUN_ROWS)).ravel())]


def learn_from(rows: Rows, client: IntArray, service: IntArray, start: Likeness, basis: int) -> Likeness:
    """Learn from pairs that are known, by their ids."""
    found = start
    ones = np.ones(len(client))
    for turn in range(4):
        _, residual = found.log_ratio(rows, client, service, basis)
        known = ~np.isnan(residual)
        found = _refit(
            rows, found, client[known], service[known], ones[known], residual[known], basis, has_drift=turn >= 1
        )
    return found


def _refit(
    rows: Rows,
    old: Likeness,
    c: IntArray,
    s: IntArray,
    share: FloatArray,
    residual: FloatArray,
    basis: int,
    has_drift: bool,
) -> Likeness:
    chance = np.bincount(rows.is_opened[s].astype(int), minlength=2).astype(np.float64) + 1
    # candidates that are almost surely none change nothing but the time it takes
    some = share > FAINT
    c, s, share, residual = c[some], s[some], share[some], residual[some]
    kind, _ = gaps(rows, c, s, basis)
    times = dict(old.times)
    for word in times:
        mine = kind == word
        if share[mine].sum() >= MIN_PAIRS:
            times[word] = fit(residual[mine], share[mine])
    main = max(times, key=lambda word: float(share[kind == word].sum()))
    shift = times[main].centre_s
    centres = np.array([times[word].centre_s for word in (OPEN, BEGIN, END)])[kind]
    found = replace(
        old,
        times={word: replace(density, centre_s=density.centre_s - shift) for word, density in times.items()},
        knots=_knots(old, search_time(rows, c, basis), share, residual - centres, shift, has_drift),
    )
    _words(rows, found, c, s, share, chance)
    _lives(rows, found, c, s, share, basis)
    _summary(rows, found, c, s, share, residual - shift, kind == main, basis)
    found.jitter_s = times[main].scale_s
    return found


def _knots(
    old: Likeness, when: FloatArray, share: FloatArray, off: FloatArray, shift: float, has_drift: bool
) -> tuple[FloatArray, FloatArray]:
    """Move the clock's offset to where the pairs are: by stretches of time, so that a drifting clock is followed."""
    at, offsets = old.knots
    likely = np.flatnonzero(share > 0.5)
    if not has_drift or len(likely) < MIN_PAIRS:
        return at, offsets + shift
    likely = likely[np.argsort(when[likely], kind="stable")]
    pieces = np.array_split(likely, int(np.clip(len(likely) // KNOT_PAIRS, 1, MAX_KNOTS)))
    middles = np.array([np.median(when[piece]) for piece in pieces])
    return middles, np.interp(middles, at, offsets) + shift + np.array([np.median(off[piece]) for piece in pieces])


def _words(rows: Rows, found: Likeness, c: IntArray, s: IntArray, share: FloatArray, chance: FloatArray) -> None:
    table = np.ones((2, 2))
    np.add.at(table, (rows.is_opened[c].astype(int), rows.is_opened[s].astype(int)), share)
    found.opened = np.log(table / table.sum(axis=1, keepdims=True)) - np.log(chance / chance.sum())
    found.agent_agree = _agreement(rows.agent[c], rows.agent[s], share)
    found.path_agree = _agreement(rows.path[c], rows.path[s], share)


def _agreement(client: IntArray, service: IntArray, share: FloatArray) -> float:
    known = (client != NO_CODE) & (service != NO_CODE)
    total = float(share[known].sum())
    same = float(share[known & (client == service)].sum())
    return float(np.clip((same + 0.9) / (total + 1.0), 0.02, 0.995))


def _lives(rows: Rows, found: Likeness, c: IntArray, s: IntArray, share: FloatArray, basis: int) -> None:
    lasted = rows.lifetime[s] - rows.lifetime[c]
    known = ~np.isnan(lasted)
    if basis != END and share[known].sum() >= MIN_PAIRS:
        found.life = fit(lasted[known], share[known])


def _summary(
    rows: Rows,
    found: Likeness,
    c: IntArray,
    s: IntArray,
    share: FloatArray,
    residual: FloatArray,
    is_main: BoolArray,
    basis: int,
) -> None:
    likely = share > 0.5
    found.pair_count = float(likely.sum())
    if likely.sum() < MIN_PAIRS:
        return
    main = likely & is_main
    if main.any():
        found.tolerance_s = weighted_quantile(np.abs(residual[main]), share[main], 0.999)
    when = search_time(rows, c[likely], basis)
    off = search_time(rows, s[likely], basis) - when - found.offset(when)
    low, high = (weighted_quantile(off, share[likely], q) for q in (0.0005, 0.9995))
    # of few pairs the largest is no bound for all
    more = max(
        0.05,
        3 * found.times[BEGIN if basis != END else END].scale_s,
        (high - low) * (0.5 if likely.sum() < 2000 else 0.1),
    )
    found.window = (low - more, high + more)
