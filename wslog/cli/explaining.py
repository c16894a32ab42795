"""``wslog explain``: print what a code means."""

from __future__ import annotations

import json
import os
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from wslog.errors import EXIT_PIPE_CLOSED

if TYPE_CHECKING:
    from wslog.api import Lake

_WIDEST = 100


def explain_code(code: str, lake: Path | None, lang: str | None, kind: str, is_full: bool = False) -> None:
    """Explain a close code or an HTTP status, with what a lake shows about it when there is one.

    Parameters
    ----------
    code : str
        Number or name.
    lake : Path, optional
    lang : str, optional
        ``en`` or ``zh``; told from ``LC_ALL``, ``LC_MESSAGES`` and ``LANG`` otherwise.
    kind : str
        ``table`` (text) or ``json``.
    is_full : bool
        Print also what follows the causes of 1006.

    Raises
    ------
    UsageError, LakeDamagedError
    """
    from wslog.explain import explain, language, render

    found = explain(code, _opened(lake), language(lang))
    if kind == "json":
        text = json.dumps(found.to_dict(), indent=1, allow_nan=False) + "\n"
    else:
        width = shutil.get_terminal_size((80, 24)).columns if sys.stdout.isatty() else 80
        text = render(found, min(width, _WIDEST), is_full)
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except BrokenPipeError:
        # the reader of the pipe has left: nothing is wrong, and the flush at exit must not complain
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SystemExit(EXIT_PIPE_CLOSED) from None


def _opened(path: Path | None) -> Lake | None:
    if path is None:
        return None
    from wslog.api import open_lake

    return open_lake(path)
