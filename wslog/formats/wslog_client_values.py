"""Values of JSON lines as whole columns: numbers and texts from where they lie in a buffer."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from wslog.formats.contract import BoolArray, IntArray, mask_array
from wslog.formats.wslog_client_words import POINT, Words, all_true, until, windows, words_at

Bytes = npt.NDArray[np.uint8]
FloatArray = npt.NDArray[np.float64]

MAX_DIGITS = 16
"""Longer integers are left to the exact path; so are decimals of more characters than ``MAX_DECIMAL``."""
MAX_DECIMAL = 24

_ZEROS = np.uint64(0x3030303030303030)
_HIGH = np.uint64(0xF0F0F0F0F0F0F0F0)
_SIXES = np.uint64(0x0606060606060606)
# of the eight bytes that end where a number ends, keep the last `size` and put "0" in the others
_KEEP = np.array([0] + [((1 << 64) - 1) ^ ((1 << 8 * (8 - size)) - 1) for size in range(1, 9)], np.uint64)
_FILL = ~_KEEP & _ZEROS


def integers(data: Bytes, starts: IntArray, sizes: IntArray, words: Words | None = None) -> tuple[IntArray, BoolArray]:
    """Read decimal integers without sign.

    Parameters
    ----------
    starts, sizes : (k,) int64 arrays
        Where each text lies; at least eight bytes of ``data`` come before its end.
    words : (k,) uint64 array, optional
        The texts of fewer than eight bytes, if all are (:class:`wslog.formats.json_lines.Place`).

    Returns
    -------
    values : (k,) int64 array
    good : (k,) bool array
        False where the text is no JSON integer of up to 16 digits without sign; the value then means nothing.
    """
    word = _right_aligned(data, starts, sizes, words)
    values, good = _digits_of(word)
    is_led = ((word >> _shift(sizes)) & _LAST_BYTE) == 48  # by a zero; of longer ones the first digit is elsewhere
    good &= (sizes >= 1) & (sizes <= MAX_DIGITS) & (~is_led | (sizes == 1) | (sizes > 8))
    wide = np.flatnonzero(sizes > 8)
    if len(wide):
        begin, size = starts[wide], sizes[wide]
        high, fine = _digits_of(_right_aligned(data, begin, size - 8, None))
        values[wide] += high * 100_000_000
        good[wide] = fine & good[wide] & (data[begin] != 48)
    return values, good


_LAST_BYTE = np.uint64(255)


def _shift(sizes: IntArray) -> Words:
    """Return by how many bits a word of eight digits, the last ``sizes`` of them given, is to be moved down."""
    return (64 - 8 * np.clip(sizes, 1, 8)).astype(np.uint64)


def _right_aligned(data: Bytes, starts: IntArray, sizes: IntArray, words: Words | None) -> Words:
    """Return texts of up to eight bytes at the end of a word, with "0" before them; of longer ones the last eight."""
    few = np.clip(sizes, 0, 8)
    if words is not None and int(sizes.max(initial=0)) < 8:
        return np.asarray((words << ((8 - few) * 8).astype(np.uint64)) & _KEEP[few] | _FILL[few])
    ends = starts + sizes
    word = words_at(data, np.maximum(ends - 8, 0)) & _KEEP[few] | _FILL[few]
    return np.where(ends >= 8, word, np.uint64(0))


def _digits_of(word: Words) -> tuple[IntArray, BoolArray]:
    """Read words of eight digits."""
    good = ((word & _HIGH) == _ZEROS) & (((word + _SIXES) & _HIGH) == _ZEROS)
    word = word - _ZEROS
    pairs = word * np.uint64(10) + (word >> np.uint64(8))
    mask = np.uint64(0x000000FF000000FF)
    low = (pairs & mask) * np.uint64(0x000F424000000064)
    high = ((pairs >> np.uint64(16)) & mask) * np.uint64(0x0000271000000001)
    return ((low + high) >> np.uint64(32)).astype(np.int64), good


def short_codes(
    data: Bytes, starts: IntArray, sizes: IntArray, words: Words | None = None
) -> tuple[npt.NDArray[np.int32], list[str]] | None:
    """Give equal texts of up to 16 bytes equal codes, by the 64-bit words they end with (``words`` as above).

    Returns
    -------
    codes : (k,) int32 array
        -1 where the text is empty or its size is -1.
    texts : list of str
        The distinct texts. None instead of both when a text is longer or lies in the buffer's first bytes.
    """
    longest = int(sizes.max(initial=0))
    ends = starts + sizes
    first = int(np.searchsorted(starts, 16))
    if longest > 16 or (first and (ends[:first] < 16)[sizes[:first] > 0].any()):
        return None
    if words is not None and longest < 8:
        codes, tails = _word_codes(words)
    else:
        codes, tails = _word_codes(words_at(data, np.maximum(ends - 8, 0)) & _KEEP_LAST[sizes])
    texts = [_word_text(w) for w in tails]
    if longest > 8:
        more, heads = _word_codes(words_at(data, np.maximum(ends - 16, 0)) & _KEEP_BEFORE[sizes])
        both = pa.Array.from_buffers(pa.int32(), len(codes), [None, pa.py_buffer(codes * np.int32(len(heads)) + more)])
        coded = both.dictionary_encode()
        codes = np.frombuffer(coded.indices.buffers()[1], np.int32)[: len(codes)]
        pairs = [divmod(pair, len(heads)) for pair in coded.dictionary.to_pylist()]
        texts = [_word_text(heads[b]) + texts[a] for a, b in pairs]
    if b"" in texts:
        codes = np.where(codes == texts.index(b""), np.int32(-1), codes)
    return codes, [t.decode() for t in texts]


# the same for texts of up to 16 bytes, in two words; a size of -1 takes the entry at the end, which keeps nothing
_KEEP_LAST = np.array([*_KEEP, *[_KEEP[8]] * 8, 0], np.uint64)
_KEEP_BEFORE = np.array([*[0] * 9, *_KEEP[1:], 0], np.uint64)


def _word_codes(word: Words) -> tuple[npt.NDArray[np.int32], Words]:
    """Code words; give the codes and the distinct words."""
    coded = pa.Array.from_buffers(pa.uint64(), len(word), [None, pa.py_buffer(word)]).dictionary_encode()
    codes = np.frombuffer(coded.indices.buffers()[1], np.int32)[: len(word)]
    return codes, np.frombuffer(coded.dictionary.buffers()[1], np.uint64)[: len(coded.dictionary)]


def _word_text(word: np.uint64) -> bytes:
    return int(word).to_bytes(8, "little").strip(b"\0")


def decimals(
    data: Bytes, starts: IntArray, sizes: IntArray, words: Words | None = None
) -> tuple[FloatArray, BoolArray]:
    """Read numbers without exponent, correctly rounded; all as in :func:`integers`, but a minus sign is read."""
    values, good = integers(data, starts, sizes, words)
    out = values.astype(np.float64)
    if all_true(good):
        return out, good
    rest = np.flatnonzero(~good)
    short, fine = _short_decimals(data, starts[rest], sizes[rest], None if words is None else words[rest])
    out[rest] = short
    good[rest] = fine
    rest = rest[~fine]
    if len(rest):
        is_number, text = _decimal_texts(data, starts[rest], sizes[rest])
        rest = rest[is_number]
        good[rest] = True
        if len(rest):
            out[rest] = text.filter(mask_array(is_number)).cast(pa.float64()).to_numpy()
            out += 0.0  # -0 becomes 0
    return out, good


_POWERS = 10.0 ** np.arange(8)


def _short_decimals(
    data: Bytes, starts: IntArray, sizes: IntArray, words: Words | None
) -> tuple[FloatArray, BoolArray]:
    """Read ``digits.digits`` of up to eight bytes: a whole number over a power of ten, both exact, so rounded once."""
    word = _right_aligned(data, starts, sizes, words)
    upto = until(word, POINT)  # the bytes before the point, and the point
    after = 8 - (np.bitwise_count(upto) >> 3).astype(np.int64)
    first, second = (word >> (_shift(sizes) + np.uint64(n)) & _LAST_BYTE for n in (0, 8))
    word = (word & ~upto) | ((word & (upto >> np.uint64(8))) << np.uint64(8)) | np.uint64(48)
    values, good = _digits_of(word)
    good &= (sizes <= 8) & (after >= 1) & (sizes >= after + 2) & ((first != 48) | (second == POINT))
    return values / _POWERS[after], good


def _decimal_texts(data: Bytes, starts: IntArray, sizes: IntArray) -> tuple[BoolArray, pa.StringArray]:
    """Tell which texts are JSON numbers without exponent (``-?(0|[1-9][0-9]*)(.[0-9]+)?``), and give the texts."""
    text = strings(data, starts, np.maximum(sizes, 0))
    flat = np.frombuffer(text.buffers()[2] or b"", np.uint8)
    offsets = np.frombuffer(text.buffers()[1], np.int32)[: len(sizes) + 1]
    is_digit, is_dot = (flat - np.uint8(48)) <= 9, flat == 46
    digits = np.concatenate([[0], np.cumsum(is_digit)])[offsets]
    dots = np.concatenate([[0], np.cumsum(is_dot)])[offsets]
    good = (sizes > 0) & (sizes <= MAX_DECIMAL)
    first = np.minimum(starts, len(data) - 2)
    is_negative = data[first] == 45
    first = np.minimum(first + is_negative, len(data) - 2)
    good &= np.diff(digits) + np.diff(dots) + is_negative == sizes
    good &= np.diff(dots) <= 1
    good &= ((data[first] - np.uint8(48)) <= 9) & ((data[np.maximum(starts + sizes - 1, 0)] - np.uint8(48)) <= 9)
    is_long = starts + sizes - first > 1
    good &= ~is_long | (data[first] != 48) | (data[first + 1] == 46)
    return good, text


def is_number(data: Bytes, starts: IntArray, ends: IntArray) -> BoolArray:
    """Tell which texts are JSON numbers that :func:`decimals` reads."""
    sizes = ends - starts
    good = integers(data, starts, sizes)[1]
    rest = np.flatnonzero(~good)
    if len(rest):
        good[rest] = _decimal_texts(data, starts[rest], sizes[rest])[0]
    return good


def strings(data: Bytes, starts: IntArray, sizes: IntArray) -> pa.StringArray:
    """Copy texts into an Arrow array; starts never fall, texts do not overlap, and empty ones (or size -1) become null.

    The caller answers for valid UTF-8.
    """
    count = len(starts)
    is_given = sizes > 0
    valid = None if all_true(is_given) else mask_array(is_given).buffers()[1]
    given = starts if valid is None else starts[is_given]
    size = int(sizes.max(initial=0))
    if len(given) and len(given) * size == int(np.maximum(sizes, 0).sum()):  # all of one size
        offsets = np.zeros(count + 1, np.int32)
        np.cumsum(is_given, out=offsets[1:])
        offsets *= np.int32(size)
        return pa.Array.from_buffers(
            pa.string(), count, [valid, pa.py_buffer(offsets), pa.py_buffer(windows(data, given, size))]
        )
    edges = np.empty(2 * count + 1, np.int32)
    edges[0:-1:2] = starts
    edges[1::2] = starts + np.maximum(sizes, 0)
    edges[-1] = len(data)
    parts = pa.Array.from_buffers(pa.binary(), 2 * count, [None, pa.py_buffer(edges), pa.py_buffer(data)])
    every_other = np.arange(0, 2 * count, 2, dtype=np.int64)
    taken = parts.take(pa.Array.from_buffers(pa.int64(), count, [None, pa.py_buffer(every_other)]))
    return pa.Array.from_buffers(pa.string(), count, [valid, *taken.buffers()[1:]])


def words(values: list[str]) -> pa.StringArray:
    """Make a small text array without ``pa.array`` (which imports pandas where it is installed)."""
    encoded = [v.encode() for v in values]
    offsets = np.concatenate([[0], np.cumsum([len(v) for v in encoded])]).astype(np.int32)
    return pa.Array.from_buffers(
        pa.string(), len(values), [None, pa.py_buffer(offsets), pa.py_buffer(b"".join(encoded))]
    )


def dictionary(codes: npt.NDArray[np.int32], values: list[str]) -> pa.DictionaryArray:
    """Make a dictionary array of codes; a negative code is null."""
    is_given = codes >= 0
    valid = None if all_true(is_given) else mask_array(is_given).buffers()[1]
    indices = pa.Array.from_buffers(
        pa.int32(), len(codes), [valid, pa.py_buffer(np.ascontiguousarray(np.maximum(codes, 0)))]
    )
    return pa.DictionaryArray.from_arrays(indices, words(values))


def column(values: npt.NDArray[Any], valid: BoolArray, kind: pa.DataType) -> pa.Array:
    """Wrap a numpy array as an Arrow array of the same width, null where not ``valid``."""
    bitmap = None if all_true(valid) else mask_array(valid).buffers()[1]
    return pa.Array.from_buffers(kind, len(values), [bitmap, pa.py_buffer(np.ascontiguousarray(values))])
