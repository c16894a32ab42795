"""nginx access logs written as JSON: one flat object a line, its keys chosen by the operator.

The definition is strict JSON (RFC 8259, no NaN, no lone surrogates, UTF-8 only; of a repeated key the last value
counts). nginx prints every line of a ``log_format`` with the same keys in the same order, so the first lines of a file
give a template that reads almost all others at once (:func:`infer`); what deviates goes through :func:`read`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from wslog.formats.nginx_fields import KINDS, MSEC, TIME_ISO, TIME_LOCAL, TIME_VARIABLES, kind_of
from wslog.formats.nginx_log_format import LogFormat
from wslog.formats.nginx_rows import HOSTS, REQUEST_IDS
from wslog.formats.nginx_template import Item, Template, literal

Keys = Mapping[tuple[str, ...], str]

ANY_TIME = "any_time"
_OWN_NAMES = (
    *KINDS, *HOSTS, *REQUEST_IDS, "request", "request_uri", "uri", "args", "query_string", "request_method",
    "http_upgrade", "http_user_agent", "remote_addr", "request_completion", "scheme",
)  # fmt: skip
_SHORT_NAMES = {
    "rt": "request_time",
    "urt": "upstream_response_time",
    "uht": "upstream_header_time",
    "us": "upstream_status",
    "ok": "request_completion",
    "completion": "request_completion",
    "up": "http_upgrade",
    "upgrade": "http_upgrade",
    "conn": "connection",
    "bs": "body_bytes_sent",
    "ubs": "upstream_bytes_sent",
    "ua": "http_user_agent",
    "user_agent": "http_user_agent",
    "addr": "remote_addr",
    "method": "request_method",
    "x_request_id": "http_x_request_id",
    "cf_ray": "http_cf_ray",
    "time": ANY_TIME,
    "timestamp": ANY_TIME,
    "@timestamp": ANY_TIME,
}
KNOWN_KEYS: Keys = {(key,): name for key, name in ({name: name for name in _OWN_NAMES} | _SHORT_NAMES).items()}
"""Keys understood without ``--log-format``: nginx's own variable names, and short names for them."""

WHAT_WAS_ASKED = frozenset({"request", "request_uri", "uri", "http_upgrade"})
"""One of these must be there, if the format has any: else the object is another log's."""

# what other JSON logs have and nginx has not: such an object is not taken for an access line without being told
FOREIGN_KEYS = frozenset(
    {"event", "event_type", "type", "session", "session_id", "sessionId", "level", "logger", "outcome"}
)

_TIME_SHAPES = {
    name: re.compile(p) for name, p in (("time_iso8601", TIME_ISO), ("time_local", TIME_LOCAL), ("msec", MSEC))
}
_PATTERNS = {name: re.compile(kind.full_pattern("json")) for name, kind in KINDS.items()}


class UnreadableError(ValueError):
    """A line is not an access line; ``reason`` is the word for the reject."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def load(line: bytes) -> dict[str, Any]:
    """Read one strict JSON object; numbers keep their spelling (as text).

    Raises
    ------
    UnreadableError
        ``json``: it is none.
    """
    try:
        found = json.loads(line.decode(), parse_float=str, parse_int=str, parse_constant=_no_constant)
        if b"\\u" in line:  # a lone surrogate can be written, but is no text
            json.dumps(found, ensure_ascii=False).encode()
    except (ValueError, RecursionError):
        raise UnreadableError("json") from None
    if not isinstance(found, dict):
        raise UnreadableError("json")
    return found


def _no_constant(name: str) -> None:
    raise ValueError(name)


def read(line: bytes, keys: Keys) -> dict[str, str]:
    """Return the values of the known variables of a line: valid in kind, "" when absent.

    Raises
    ------
    UnreadableError
        With the word that says why not.
    """
    values: dict[str, str] = {}
    for path, value in _leaves(load(line), ()):
        name = keys.get(path)
        if name is not None:
            text = _text(value, name)
            values[_resolved(name, text)] = text
    for name, text in values.items():
        pattern = _PATTERNS.get(name)
        if pattern is not None and not pattern.fullmatch(text):
            raise UnreadableError(kind_of(name).reason)
    if not any(name in values for name in TIME_VARIABLES):
        raise UnreadableError("time")
    if "status" not in values:
        raise UnreadableError("status")
    if not WHAT_WAS_ASKED.intersection(values) and WHAT_WAS_ASKED.intersection(keys.values()):
        raise UnreadableError("fields")
    return values


def _leaves(value: Mapping[str, Any], path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Any]]:
    for key, inner in value.items():
        if isinstance(inner, dict) and inner:
            yield from _leaves(inner, (*path, key))
        else:
            yield (*path, key), inner


def _text(value: Any, name: str) -> str:
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    raise UnreadableError("time" if name == ANY_TIME else kind_of(name).reason)


def _resolved(name: str, text: str) -> str:
    if name != ANY_TIME:
        return name
    for variable, shape in _TIME_SHAPES.items():
        if shape.fullmatch(text):
            return variable
    raise UnreadableError("time")


def keys_of(log_format: LogFormat) -> Keys | None:
    """Return the keys of an escape=json format that prints an object, None for any other format."""
    if log_format.escape != "json":
        return None
    text = ""
    for part in log_format.parts:
        if not part.is_variable:
            text += part.text
        elif len(re.findall(r'(?<!\\)"', text)) % 2:
            text += f"\ue000{part.text}\ue000"
        else:
            text += f'"\ue000{part.text}\ue000"'
    try:
        found = json.loads(text)
    except ValueError:
        return None
    if not isinstance(found, dict):
        return None
    keys = {}
    for path, value in _leaves(found, ()):
        match = re.fullmatch("\ue000([A-Za-z0-9_]+)\ue000", value) if isinstance(value, str) else None
        if match:
            keys[path] = match[1]
    return keys


# --- a template from a line --------------------------------------------------------------------------------

_MEMBER = re.compile(
    r'(?P<before>[ \t]*"(?P<key>[^"\\]*)"[ \t]*:[ \t]*)'
    r'(?:"(?P<string>(?:[^"\\]|\\.)*)"|(?P<bare>[^ \t,{}\[\]"]+))(?P<after>[ \t]*[,}])'
)
_STRING = r'[^"\\\x00-\x1f]*'
_JSON_NUMBER = r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?"
_BARE = {
    "[0-9]{3}": "[1-9][0-9]{2}",
    "[0-9]{1,3}": "(?:0|[1-9][0-9]{0,2})",
    "[0-9]{1,18}": "(?:0|[1-9][0-9]{0,17})",
    r"[0-9]{1,9}(?:\.[0-9]{1,9})?": r"(?:0|[1-9][0-9]{0,8})(?:\.[0-9]{1,9})?",
    MSEC: r"(?:0|[1-9][0-9]{0,9})\.[0-9]{3}",
}
"""What may stand without quotes, by the pattern of its kind: JSON numbers have no leading zeros."""


def infer(line: bytes, keys: Keys) -> Template | None:
    """Return the template that a valid line shows: lines with the same keys in the same order match it.

    None when the line has nested values or keys that would count twice.
    """
    try:
        read(line, keys)
        text = line.decode()
    except (UnreadableError, UnicodeDecodeError):
        return None
    opening = re.match(r"[ \t]*\{", text)
    if opening is None:
        return None
    items: list[Item] = []
    between, position, seen = opening[0], opening.end(), set[str]()
    while (member := _MEMBER.match(text, position)) is not None:
        key = member["key"]
        name = keys.get((key,), "")
        value = member["string"] if member["string"] is not None else member["bare"]
        if name == ANY_TIME and not any(shape.fullmatch(value) for shape in _TIME_SHAPES.values()):
            return None  # written with escapes
        variable = _resolved(name, value) if name else ""
        if key in seen or (variable and any(i.text == variable for i in items if i.is_variable)):
            return None
        seen.add(key)
        quote = '"' if member["string"] is not None else ""
        items += [literal(between + member["before"] + quote), _item(variable, bool(quote))]
        between, position = quote + member["after"], member.end()
    if text[position:].strip(" \t") or not between.endswith("}"):
        return None
    return Template("json", (*items, literal(between + text[position:])), '"', "json")


def _item(variable: str, is_quoted: bool) -> Item:
    kind = kind_of(variable)
    if is_quoted:
        pattern = kind.full_pattern("json") if kind.pattern else _STRING
        return Item(variable, True, pattern, pattern, kind.width, is_free=not kind.pattern)
    if kind.pattern:
        pattern = _BARE.get(kind.pattern, "[^ -~]")  # a time with separators never stands bare
        return Item(variable, True, pattern, pattern, kind.width)
    pattern = f"(?:{_JSON_NUMBER})" if variable else f"(?:{_JSON_NUMBER}|true|false|null)"
    return Item(variable, True, pattern, pattern)
