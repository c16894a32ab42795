"""Make text from logs inert before it is shown.

Log text is written by strangers: it may hold escape sequences, bidirectional overrides, lone surrogates, formulas or
20,000 characters. Tables keep it as it is; every output passes it through here (HTML is escaped by the template engine
on top of :func:`visible`, which takes care of what escaping does not).
"""

from __future__ import annotations

import unicodedata

ELLIPSIS = "…"
LABEL_CHARACTERS = 60
CELL_CHARACTERS = 200

# A spreadsheet reads a cell that begins with one of these as a formula or splits it (OWASP, CSV Injection, which since
# 2025 lists line feed and the full-width forms as well).
_FORMULA_STARTS = tuple("=+-@\t\r\n＝＋－＠")
# Real scripts stack a few marks on a letter; a tower of hundreds paints over the lines above it.
_MARKS_IN_A_ROW = 4


def _escaped(character: str) -> str:
    if unicodedata.category(character) == "Zs":
        return " "
    code = ord(character)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def visible(text: str, limit: int | None = None) -> str:
    r"""Return ``text`` with everything that does not print shown as its escape.

    Parameters
    ----------
    text : str
        Anything, lone surrogates included.
    limit : int, optional
        Longest result, in characters; a longer one ends in an ellipsis.

    Returns
    -------
    str
        Printable characters only: controls, bidirectional and zero-width characters, surrogates, private and
        unassigned code points become ``\x1b``, ``\u202e`` and so on, odd spaces become a space, and a mark on top
        of four others is escaped. It always encodes to UTF-8.

    Examples
    --------
    >>> visible("a\x1b[31mb")
    'a\\x1b[31mb'
    >>> visible("abcdef", limit=4)
    'abc…'
    """
    if text.isascii() and text.isprintable() and (limit is None or len(text) <= limit):
        return text
    parts: list[str] = []
    length = marks = 0
    for character in text:
        marks = marks + 1 if unicodedata.category(character).startswith("M") else 0
        part = character if character.isprintable() and marks <= _MARKS_IN_A_ROW else _escaped(character)
        parts.append(part)
        length += len(part)
        if limit is not None and length > limit:
            return "".join(parts)[: max(limit - 1, 0)] + ELLIPSIS
    return "".join(parts)


def terminal(text: str, limit: int | None = None) -> str:
    r"""Return ``text`` on one line that cannot move the cursor, set a title, colour or link (see :func:`visible`)."""
    return visible(text, limit)


def chart_label(text: str, limit: int = LABEL_CHARACTERS) -> str:
    """Return ``text`` as a chart label of at most ``limit`` characters.

    Notes
    -----
    Matplotlib drops legend entries that begin with an underscore, so those get a space in front. A dollar sign stays:
    the charts draw text with mathematics off.

    Examples
    --------
    >>> chart_label("_x")
    ' _x'
    """
    label = visible(text, limit)
    return visible(f" {label}", limit) if label.startswith("_") else label


def spreadsheet_cell(value: object) -> object:
    """Return a cell value that no spreadsheet runs as a formula.

    Parameters
    ----------
    value : object
        Numbers, null and other non-text pass unchanged: a negative number is no formula.

    Returns
    -------
    object
        Text that begins with ``=``, ``+``, ``-``, ``@``, TAB, CR or LF (or a full-width form) gets ``'`` in front.

    Examples
    --------
    >>> spreadsheet_cell("=1+1"), spreadsheet_cell(-5)
    ("'=1+1", -5)
    """
    if isinstance(value, str) and value.startswith(_FORMULA_STARTS):
        return "'" + value
    return value
