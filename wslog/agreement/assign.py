"""Which candidate is the partner: one to one, with a probability for each pair.

Each attempt has at most one partner in the other log. The probabilities of pairs under that rule are marginals of a weighted
matching; belief propagation gives them closely and in linear time (the Bethe permanent: Vontobel, IEEE Trans. Inf. Theory 59 (2013)
1866-1901; Huang and Jebara, arXiv:0908.1769), exactly where the candidates form no loops.
"""

from __future__ import annotations

import numpy as np

from wslog.agreement.rows import FloatArray, IntArray

_TURNS = 40
_CLOSE = 1e-4
_LARGEST = 1e9


def marginals(left: IntArray, right: IntArray, weight: FloatArray, turns: int = _TURNS) -> FloatArray:
    """Return the probability of each pair.

    Parameters
    ----------
    left, right : (n,) int
        Rows of both sides, numbered from 0.
    weight : (n,) float
        How much likelier the pair is than that both its rows are without partner.
    turns : int
        At most so many rounds of messages.
    """
    if not len(left):
        return np.zeros(0)
    w = np.minimum(weight, _LARGEST)
    found: FloatArray = w / (1 + w)
    # most candidates stand alone; messages are for those that compete
    torn = np.flatnonzero((np.bincount(left)[left] > 1) | (np.bincount(right)[right] > 1))
    if len(torn):
        found[torn] = _propagate(_dense(left[torn]), _dense(right[torn]), w[torn], turns)
    return found


def _dense(numbers: IntArray) -> IntArray:
    return np.unique(numbers, return_inverse=True)[1].astype(np.int64).reshape(len(numbers))


def _propagate(left: IntArray, right: IntArray, w: FloatArray, turns: int) -> FloatArray:
    n_left, n_right = int(left.max()) + 1, int(right.max()) + 1
    a, b = np.ones(len(w)), np.ones(len(w))
    for _ in range(turns):
        wb = w * b
        new_a = 1 / (1 + np.maximum(np.bincount(left, wb, n_left)[left] - wb, 0.0))
        wa = w * new_a
        new_b = 1 / (1 + np.maximum(np.bincount(right, wa, n_right)[right] - wa, 0.0))
        change = max(float(np.abs(new_a / a - 1).max()), float(np.abs(new_b / b - 1).max()))
        # half steps: full ones may swing between two states on loops
        a, b = (a + new_a) / 2, (b + new_b) / 2
        if change < _CLOSE:
            break
    odds = w * a * b
    found: FloatArray = odds / (1 + odds)
    return found
