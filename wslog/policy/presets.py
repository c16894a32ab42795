"""Policies by name, and from a user's file.

``presets.json`` holds the defaults of the libraries, each with its source. A user's policy is a TOML file with the same keys (those
of :class:`~wslog.policy.policies.Policy`)::

    name = "ours"
    waits_s = [0.5, [1, 3]]              # first waits; [min, max] is drawn uniformly
    max_attempts = 8                     # leave out: no limit
    terminal_codes = [1000, "4400-4499"]
    retried_http = [502, 503]            # leave out: every status
    reset = "after_uptime"               # on_open, after_uptime, on_message
    reset_after_s = 10
    connect_timeout_s = 15

    [backoff]                            # the waits after those of waits_s
    growth = "exponential"               # constant, linear (step_s), exponential (factor), power (exponent)
    base_s = 1
    factor = 2
    cap_s = 30
    jitter = "full"                      # none, full, equal, plus_minus, plus, minus (jitter_ratio), additive, once (jitter_s),
                                         # decorrelated, backo2
    [fallback]                           # leave out: it gives up
    transport = "polling"                # or "sse"
    interval_s = 2
    return_after_s = 60                  # leave out: no way back to the WebSocket
"""

from __future__ import annotations

import json
import os
import re
import tomllib
from collections.abc import Callable, Iterable
from dataclasses import MISSING, fields
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wslog.errors import UsageError
from wslog.policy.backoff import Backoff
from wslog.policy.policies import Fallback, Policy
from wslog.selection import unknown

if TYPE_CHECKING:
    import pandas as pd

REFERENCE = "linear-3"
"""The policy of the reference client."""

ALIASES = {"reference": REFERENCE}


@cache
def presets() -> dict[str, Policy]:
    """Return every preset by its name, in the order of the file."""
    text = files("wslog.policy").joinpath("presets.json").read_text("utf-8")
    found = (policy_of(record) for record in json.loads(text))
    return {policy.name: policy for policy in found}


def load_policy(name_or_path: str | os.PathLike[str]) -> Policy:
    """Return a preset by its name, or the policy of a TOML file.

    A text that ends in ``.toml`` or holds a path separator is a path.

    Raises
    ------
    UsageError
        There is no such preset or file, or the file's contents are wrong: the message names file, line, key and choices.
    """
    text = os.fspath(name_or_path)
    if text.endswith(".toml") or os.sep in text or "/" in text:
        return _load_file(Path(text))
    name = ALIASES.get(text, text)
    if name not in presets():
        raise unknown("policy", text, (*presets(), "a file.toml"))
    return presets()[name]


def policy_of(record: dict[str, Any]) -> Policy:
    """Build a policy from a record with the keys of a policy file.

    Raises
    ------
    UsageError
        The message begins with the key.
    """
    values = _typed(Policy, record, "")
    return Policy(**values)


def policies() -> pd.DataFrame:
    """List the presets.

    Returns
    -------
    pandas.DataFrame
        One row per preset: ``name``; ``first_delays_s`` (text: the waits before the first eight retries in seconds, ``min–max``
        where drawn); ``max_attempts`` (null: no limit); ``reset`` (the rule, with its seconds); ``connect_timeout_s`` (null: the
        browser's own); ``fallback`` (null: gives up); ``has_jitter``; ``is_verified``; ``version``; ``source``; ``notes``.
    """
    import pandas as pd

    frame = pd.DataFrame([describe(policy) for policy in presets().values()])
    return frame.astype({"max_attempts": "Int64", "connect_timeout_s": "float64"})


def describe(policy: Policy) -> dict[str, Any]:
    """Return one row of :func:`policies`."""
    timeout = policy.connect_timeout_s
    return {
        "name": policy.name,
        "first_delays_s": delays_text(policy, 8),
        "max_attempts": policy.max_attempts,
        "reset": f"after {policy.reset_after_s:g} s open" if policy.reset == "after_uptime" else policy.reset,
        "connect_timeout_s": timeout if timeout < float("inf") else None,
        "fallback": fallback_text(policy.fallback),
        "has_jitter": policy.has_jitter,
        "is_verified": policy.is_verified,
        "version": policy.version,
        "source": policy.source,
        "notes": policy.notes,
    }


def delays_text(policy: Policy, count: int) -> str:
    """Return the first waits as text: ``1, 2, 3 then stops`` or ``0–1, 0–2, 0–4, …``."""
    found = policy.first_delays(count)
    parts = [f"{low:.4g}" if low == high else f"{low:.4g}–{high:.4g}" for low, high in found]
    if policy.max_attempts is not None and policy.max_attempts <= count:
        return f"{', '.join(parts)} then stops" if parts else "none"
    return f"{', '.join(parts)}, …"


def fallback_text(fallback: Fallback | None) -> str | None:
    """Return what follows the last retry as text, None when the client gives up."""
    if fallback is None:
        return None
    back = f", WebSocket again after {fallback.return_after_s:g} s" if fallback.return_after_s else ""
    return f"{fallback.transport} every {fallback.interval_s:g} s{back}"


# --- from text to values ------------------------------------------------------------------------------------


def _load_file(path: Path) -> Policy:
    try:
        text = path.read_text("utf-8")
        record = tomllib.loads(text)
    except OSError as error:
        raise UsageError(f"the policy file {path} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"the policy file {path} is not UTF-8 text") from error
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"the policy file {path} is no TOML: {error}") from error
    try:
        return policy_of({"name": path.stem, **record})
    except UsageError as error:
        raise UsageError(f"{path}{_line(text, str(error))}: {error}") from error


def _line(text: str, message: str) -> str:
    """Return ``:LINE`` of the key that a message begins with, or nothing when the file does not have it."""
    section, _, key = message.split(" ", 1)[0].rpartition(".")
    current = ""
    for number, line in enumerate(text.splitlines(), 1):
        header = re.match(r"\s*\[\s*([\w.]+)\s*\]", line)
        current = header[1] if header else current
        if (current == section and re.match(rf"\s*[\"']?{re.escape(key)}[\"']?\s*[=.]", line)) or (
            header and not section and current == key
        ):
            return f":{number}"
    return ""


def _typed(kind: type[Any], record: Any, prefix: str) -> dict[str, Any]:
    """Check the keys of a table and turn its values into the types of a dataclass."""
    if not isinstance(record, dict):
        raise UsageError(f"{prefix.rstrip('.')} must be a table: [{prefix.rstrip('.')}]")
    known = {field.name: field for field in fields(kind)}
    for key in record:
        if key not in known:
            raise unknown(f"{prefix}{key} is no key:", key, tuple(known))
    for name, field in known.items():
        if field.default is MISSING and name not in record:
            raise UsageError(f"{prefix}{name} is missing")
    return {key: _convert(f"{prefix}{key}", value, str(known[key].type)) for key, value in record.items()}


def _convert(key: str, value: Any, kind: str) -> Any:
    if kind.startswith("Backoff"):
        return Backoff(**_typed(Backoff, value, "backoff."))
    if kind.startswith("Fallback"):
        return Fallback(**_typed(Fallback, value, "fallback."))
    convert, wanted = _KINDS[kind.removesuffix(" | None")]
    try:
        return convert(value)
    except (TypeError, ValueError):
        raise UsageError(f"{key} is {str(value)[:60]!r}: it must be {wanted}") from None


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError
    return value


def _flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise TypeError
    return value


def _whole(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError
    return value


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError
    return float(value)


def _pair(value: Any) -> tuple[float, float]:
    low, high = value
    return _number(low), _number(high)


def _waits(value: Any) -> tuple[float | tuple[float, float], ...]:
    return tuple(_pair(wait) if isinstance(wait, list) else _number(wait) for wait in _list(value))


def _ranges(value: Any) -> tuple[tuple[int, int], ...]:
    return tuple(_range(item) for item in _list(value))


def _range(value: Any) -> tuple[int, int]:
    if isinstance(value, str):
        low, _, high = value.partition("-")
        return int(low), int(high or low)
    return _whole(value), _whole(value)


def _list(value: Any) -> Iterable[Any]:
    if not isinstance(value, list):
        raise TypeError
    return value


_KINDS: dict[str, tuple[Callable[[Any], Any], str]] = {
    "str": (_text, "a text"),
    "bool": (_flag, "true or false"),
    "int": (_whole, "a whole number"),
    "float": (_number, "a number"),
    "tuple[float, float]": (_pair, "[min, max] in seconds"),
    "tuple[float | tuple[float, float], ...]": (_waits, "a list of seconds, or of [min, max]"),
    "Ranges": (_ranges, 'a list of codes, or of ranges like "4400-4499"'),
}
