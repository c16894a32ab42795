"""The data files, and which code a word means."""

from __future__ import annotations

import difflib
import json
import os
import re
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Any

from wslog.errors import UsageError
from wslog.safe_text import visible

LANGUAGES = ("en", "zh")
_ALIASES = {
    "normal": 1000,
    "close normal": 1000,
    "away": 1001,
    "close going away": 1001,
    "no status": 1005,
    "abnormal": 1006,
    "close abnormal": 1006,
    "invalid payload": 1007,
    "invalid payload data": 1007,
    "policy": 1008,
    "too large": 1009,
    "too big": 1009,
    "missing extension": 1010,
    "extension required": 1010,
    "server error": 1011,
    "restart": 1012,
    "overload": 1013,
    "tls": 1015,
}


@cache
def data(name: str) -> Any:
    """Return a data file, like ``codes`` or ``zh/codes``."""
    path = files("wslog.explain").joinpath("data").joinpath(*f"{name}.json".split("/"))
    return json.loads(path.read_text("utf-8"))


def language(lang: str | None = None, environment: Mapping[str, str] | None = None) -> str:
    """Return the language to answer in.

    Parameters
    ----------
    lang : str, optional
        Asked for by name; otherwise ``LC_ALL``, ``LC_MESSAGES`` and ``LANG`` are read, the first that is set decides.
    environment : mapping, optional
        Stands for ``os.environ``.

    Raises
    ------
    UsageError
    """
    if lang is not None:
        if lang not in LANGUAGES:
            raise UsageError(f"--lang {visible(lang, 40)!r}: choose one of {', '.join(LANGUAGES)}")
        return lang
    env = os.environ if environment is None else environment
    said = next((env[name] for name in ("LC_ALL", "LC_MESSAGES", "LANG") if env.get(name)), "")
    return "zh" if said.lower().startswith("zh") else "en"


def parse_code(code: str | int) -> int:
    """Return the number that a number, a name (``going away``) or a digit string means.

    Raises
    ------
    UsageError
        Not a number from 0 to 65535 and no name of a registered code or service; the text names what exists.
    """
    text = str(code).strip()
    if re.fullmatch(r"[0-9]{1,9}", text):
        number = int(text)
        if number > 65535:
            raise UsageError(
                f"{text} is no close code: a close frame holds 0 to 65535, and codes in use are 1000 to 4999"
            )
        return number
    names = _names()
    wanted = _plain(text)
    if wanted in names:
        return _only(text, names[wanted])
    close = difflib.get_close_matches(wanted, names, n=1)
    hint = f"; did you mean {close[0]!r}?" if close else "."
    known = ", ".join(f"{number} {fact['name']}" for number, fact in data("codes").items())
    raise UsageError(f"{visible(text, 40)!r} is no close code{hint} Give a number from 0 to 65535 or a name: {known}")


def _only(text: str, numbers: tuple[int, ...]) -> int:
    if len(numbers) > 1:
        raise UsageError(
            f"{visible(text, 40)!r} is the name of several codes; give one of {', '.join(map(str, numbers))}"
        )
    return numbers[0]


def _plain(name: str) -> str:
    return re.sub(r"[\W_]+", " ", re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name)).strip().casefold()


@cache
def _names() -> dict[str, tuple[int, ...]]:
    """Return name and codes: services' names first, so that registered ones stand above them."""
    found: dict[str, tuple[int, ...]] = {}
    for entry in data("services"):
        if entry["first"] == entry["last"]:
            key = _plain(entry["name"])
            found[key] = tuple(sorted({*found.get(key, ()), entry["first"]}))
    for number, entry in data("http").items():
        key = _plain(entry["name"])
        found[key] = tuple(sorted({*found.get(key, ()), int(number)}))
    found.update({name: (number,) for name, number in _ALIASES.items()})
    for lang in LANGUAGES:
        found.update({_plain(text["name"]): (int(number),) for number, text in data(f"{lang}/codes").items()})
    found.update({_plain(fact["name"]): (int(number),) for number, fact in data("codes").items()})
    return found
