"""Lines that fit a terminal: widths are counted in cells, an East Asian character takes two."""

from __future__ import annotations

import re
from collections.abc import Sequence

from rich.cells import cell_len

# Chinese text is broken between any two characters, except before closing and after opening marks.
_NOT_FIRST = set("，。、；：？！）》」』】”’%…,.;:?!)]}")
_NOT_LAST = set("（《「『【“‘([{")
_UNITS = {"s", "min", "h"}
_PIECES = re.compile(
    r"\s+|[\u2e80-\u9fff\uf900-\ufaff\ufe30-\ufe4f\uff00-\uffef\u3000-\u303f“”‘’]|[^\s\u2e80-\u9fff\uf900-\ufaff\ufe30-\ufe4f\uff00-\uffef\u3000-\u303f“”‘’]+"
)


def pieces(text: str) -> list[str]:
    """Return the parts between which a line may be broken; a space belongs to the part before it."""
    found: list[str] = []
    for piece in _PIECES.findall(text):
        is_unit = bool(found) and piece.strip(".,;:") in _UNITS and found[-1][-2:-1].isdigit()
        glue = found and (is_unit or piece[0] in _NOT_FIRST or piece.isspace() or found[-1][-1] in _NOT_LAST)
        if piece.isspace():
            piece = " "
        if glue:
            found[-1] += piece
        else:
            found.append(piece)
    return found


def wrap(text: str, width: int) -> list[str]:
    """Return the lines of a paragraph, none wider than ``width`` cells (a single longer word is cut)."""
    lines = [""]
    for piece in pieces(text):
        if cell_len(lines[-1] + piece.rstrip()) <= width:
            lines[-1] += piece
            continue
        lines[-1] = lines[-1].rstrip()
        lines.append("")
        for character in piece:
            if lines[-1] and cell_len(lines[-1] + character) > width and character != " ":
                lines.append("")
            lines[-1] += character
    return [line.rstrip() for line in lines if line.strip()] or [""]


def pad(text: str, width: int) -> str:
    """Return ``text`` filled with spaces up to ``width`` cells."""
    return text + " " * max(width - cell_len(text), 0)


def hang(label: str, text: str, width: int, indent: int, column: int) -> list[str]:
    """Return a labelled paragraph: the label at ``indent``, the text in a column of its own."""
    lines = wrap(text, width - column)
    first = pad(" " * indent + label, column)
    if cell_len(first) > column:
        return [first.rstrip(), *(" " * column + line for line in lines)]
    return [(first + lines[0]).rstrip(), *(" " * column + line for line in lines[1:])]


def command_lines(command: str, width: int, indent: int) -> list[str]:
    """Return a shell command, broken at spaces outside quotes with a backslash where it is too long."""
    parts = re.findall(r"(?:'[^']*'|\"[^\"]*\"|[^\s'\"])+", command)
    lines: list[str] = []
    current = " " * indent
    for part in parts:
        longer = current + ("" if current.isspace() or not current else " ") + part
        if cell_len(longer) + 2 > width and not current.isspace() and current != "":
            lines.append(current + " \\")
            current = " " * (indent + 2) + part
        else:
            current = longer
    return [*lines, current]


def columns(rows: Sequence[tuple[str, ...]], width: int, indent: int, wrapped: int) -> list[str]:
    """Return rows as aligned columns; column ``wrapped`` takes the room that is left and is broken into lines."""
    if not rows:
        return []
    sizes = [max(cell_len(row[i]) for row in rows) for i in range(len(rows[0]))]
    others = sum(size for i, size in enumerate(sizes) if i != wrapped) + 2 * (len(sizes) - 1)
    sizes[wrapped] = max(min(sizes[wrapped], width - indent - others), 10)
    lines: list[str] = []
    for row in rows:
        cells = [wrap(cell, sizes[i]) for i, cell in enumerate(row)]
        for n in range(max(map(len, cells))):
            texts = (pad(cell[n] if n < len(cell) else "", size) for cell, size in zip(cells, sizes, strict=True))
            lines.append((" " * indent + "  ".join(texts)).rstrip())
    return lines
