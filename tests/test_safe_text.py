"""Text from logs is inert wherever it is shown (faults 90 to 93)."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wslog.safe_text import LABEL_CHARACTERS, chart_label, spreadsheet_cell, terminal, visible

ANY_TEXT = st.text(st.characters(exclude_categories=()), max_size=200)  # lone surrogates included


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        ("plain /chat?x", "plain /chat?x"),
        ("\x1b[31mred\x1b]8;;http://e\x07", "\\x1b[31mred\\x1b]8;;http://e\\x07"),
        ("a\u202egpj.exe", "a\\u202egpj.exe"),
        ("zero\u200bwidth\ufeff", "zero\\u200bwidth\\ufeff"),
        ("lone \ud800", "lone \\ud800"),
        ("nul\x00 c1\x9b del\x7f", "nul\\x00 c1\\x9b del\\x7f"),
        ("line\u2028break\nnew\rret\ttab", "line\\u2028break\\x0anew\\x0dret\\x09tab"),
        ("no-break\u00a0space\u3000wide", "no-break space wide"),
        ("公司代理 мир é", "公司代理 мир é"),
        ("\U0010ffff", "\\U0010ffff"),
    ],
)
def test_fault_091_what_does_not_print_is_shown_as_its_escape(raw: str, shown: str) -> None:
    assert visible(raw) == shown
    assert terminal(raw) == shown


@given(ANY_TEXT)
def test_fault_091_nothing_reaches_the_terminal_but_printable_text(raw: str) -> None:
    shown = terminal(raw)
    assert shown.isprintable()
    assert shown.encode("utf-8").decode("utf-8") == shown


@given(ANY_TEXT, st.integers(1, 80))
def test_fault_090_a_label_is_never_longer_than_its_limit_and_never_hidden(raw: str, limit: int) -> None:
    label = chart_label(raw, limit)
    assert len(label) <= limit
    assert not label.startswith("_")


def test_fault_090_long_text_is_cut() -> None:
    assert chart_label("A" * 20_000) == "A" * (LABEL_CHARACTERS - 1) + "…"
    assert visible("\n" * 5_000, limit=9) == "\\x0a\\x0a…"
    assert visible("exact", limit=5) == "exact"


def test_fault_090_marks_do_not_tower() -> None:
    tower = visible("e" + "\u0301" * 50)
    assert sum(unicodedata.category(character) == "Mn" for character in tower) == 4


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r", "\n"])
def test_fault_093_a_cell_is_never_a_formula(start: str) -> None:
    assert spreadsheet_cell(f"{start}cmd|' /C calc'!A0") == f"'{start}cmd|' /C calc'!A0"


@pytest.mark.parametrize("value", [-5, 1.5, None, True, "plain", "a=b", ""])
def test_fault_093_numbers_and_plain_text_pass_unchanged(value: object) -> None:
    assert spreadsheet_cell(value) is value
