"""nginx ``log_format``: from the text of a directive, or of a whole configuration, to a list of parts.

Source: ngx_http_log_module (nginx.org, "log_format") and ngx_conf_read_token / ngx_http_log_compile_format of nginx
1.29: strings are joined, ``$name`` and ``${name}`` are variables, everything else is printed as it stands.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from wslog.errors import UsageError
from wslog.formats.contract import Options

ESCAPES = ("default", "json", "none")

COMBINED = (
    '$remote_addr - $remote_user [$time_local] "$request" $status $body_bytes_sent "$http_referer" "$http_user_agent"'
)
BUILT_IN = {
    "combined": COMBINED,
    # Debian's and Docker's nginx.conf
    "main": COMBINED + ' "$http_x_forwarded_for"',
    # ingress-nginx, default of log-format-upstream
    "upstreaminfo": COMBINED
    + " $request_length $request_time [$proxy_upstream_name] [$proxy_alternative_upstream_name]"
    " $upstream_addr $upstream_response_length $upstream_response_time $upstream_status $req_id",
}
"""Formats read without any option, by nginx's own names."""

_VARIABLE = re.compile(r"\$(?:\{([A-Za-z0-9_]+)\}|([A-Za-z0-9_]+))")
# $uri$is_args$args is printed without separators; together they are the target
_TARGET = re.compile(
    r"\$(?:uri|document_uri|\{uri\})\$(?:is_args|\{is_args\})\$(?:args|query_string|\{args\})(?![A-Za-z0-9_])"
)
TARGET_VARIABLE = "uri_with_args"


class Part(NamedTuple):
    """A literal text, or the name of a variable."""

    text: str
    is_variable: bool


@dataclass(frozen=True)
class LogFormat:
    """A ``log_format``: its name, how nginx escapes values in it, and its parts in order."""

    name: str
    escape: str
    parts: tuple[Part, ...]

    @property
    def variables(self) -> tuple[str, ...]:
        return tuple(p.text for p in self.parts if p.is_variable)


def from_options(options: Options) -> tuple[LogFormat, ...]:
    """Return the formats the options name; empty when they name none.

    Raises
    ------
    UsageError
        If the text holds no ``log_format``, or one that is not well-formed.
    """
    if options.log_format is not None:
        return parse_argument(options.log_format)
    if options.nginx_conf is not None:
        found = parse_conf(options.nginx_conf)
        if not found:
            raise UsageError(
                "the nginx configuration holds no log_format directive; pass the file that defines it, or --log-format"
            )
        return found
    return ()


def parse_argument(text: str) -> tuple[LogFormat, ...]:
    """Read ``--log-format``: a built-in name, a format string, quoted pieces, or whole ``log_format`` directives."""
    stripped = text.strip()
    if stripped in BUILT_IN:
        return (built_in(stripped),)
    if re.match(r"log_format\s", stripped):
        return parse_conf(stripped if stripped.endswith(";") else stripped + ";")
    escape, body = "default", stripped
    if stripped.startswith("escape="):
        escape, _, body = stripped.removeprefix("escape=").partition(" ")
        body = body.strip()
    if body[:1] == "'" or (
        body[:1] == '"' and re.search(r"\"\s*;?\Z", body) and re.match(r'"[^"]*"\s*(?:"|;|\Z)', body)
    ):
        words = [word for word in _tokens(body.rstrip(";") + ";") if word != ";"]
        body = "".join(words)
    return (compile_text("--log-format", escape, body),)


def built_in(name: str) -> LogFormat:
    return compile_text(name, "default", BUILT_IN[name])


def parse_conf(text: str) -> tuple[LogFormat, ...]:
    """Return the ``log_format`` directives of a configuration, in order; a later one of the same name wins."""
    found: dict[str, LogFormat] = {}
    directive: list[str] = []
    for word in _tokens(text):
        if word not in (";", "{", "}"):
            directive.append(word)
            continue
        if word == ";" and directive[:1] == ["log_format"]:
            log_format = _directive(directive[1:])
            found[log_format.name] = log_format
        directive = []
    return tuple(found.values())


def _directive(words: list[str]) -> LogFormat:
    if len(words) < 2:
        raise UsageError(f"log_format {' '.join(words)!r} has no format string")
    name, *strings = words
    escape = "default"
    if strings[0].startswith("escape="):
        escape = strings.pop(0).removeprefix("escape=")
    return compile_text(name, escape, "".join(strings))


def compile_text(name: str, escape: str, text: str) -> LogFormat:
    """Cut a format string into literals and variables.

    Raises
    ------
    UsageError
        For an unknown escape, a lone ``$``, or a string without variables.
    """
    if escape not in ESCAPES:
        raise UsageError(f"log_format {name}: escape={escape!r} is unknown; nginx knows {', '.join(ESCAPES)}")
    text = _TARGET.sub("${" + TARGET_VARIABLE + "}", text)
    parts: list[Part] = []
    position = 0
    for match in _VARIABLE.finditer(text):
        if match.start() > position:
            parts.append(Part(text[position : match.start()], False))
        parts.append(Part(match[1] or match[2], True))
        position = match.end()
    if position < len(text):
        parts.append(Part(text[position:], False))
    if not any(p.is_variable for p in parts):
        raise UsageError(f"log_format {name}: the string holds no variable; it should look like {COMBINED!r}")
    if any("$" in p.text for p in parts if not p.is_variable):
        raise UsageError(f"log_format {name}: a '$' is not followed by a variable name")
    return LogFormat(name, escape, tuple(parts))


_ESCAPED = {"t": "\t", "r": "\r", "n": "\n", '"': '"', "'": "'", "\\": "\\"}


def _tokens(text: str) -> Iterator[str]:
    """Cut configuration text the way ngx_conf_read_token does; ``;``, ``{`` and ``}`` come as words of their own.

    A quoted word that reads ``;`` cannot be told from the sign: log_format strings never are just that.
    """
    i, n = 0, len(text)
    while i < n:
        c = text[i]
        if c.isspace():
            i += 1
        elif c == "#":
            end = text.find("\n", i)
            i = n if end < 0 else end
        elif c in ";{}":
            yield c
            i += 1
        elif c in "'\"":
            word, i = _word(text, i + 1, c)
            yield word
        else:
            word, i = _word(text, i, "")
            yield word


def _word(text: str, i: int, quote: str) -> tuple[str, int]:
    """Read one word from ``i``; ``quote`` ends it, or for a bare word a space, ``;`` or a block's brace."""
    out: list[str] = []
    start = i
    while i < len(text):
        c = text[i]
        if c == "\\" and i + 1 < len(text):
            out.append(_ESCAPED.get(text[i + 1], text[i : i + 2]))
            i += 2
            continue
        if quote and c == quote:
            return "".join(out), i + 1
        if not quote:
            opens_block = c == "{" and (i == start or text[i - 1] != "$")
            if c.isspace() or c == ";" or opens_block:
                return "".join(out), i
        out.append(c)
        i += 1
    if quote:
        raise UsageError(
            f"nginx configuration: a string that begins with {quote}{text[start : start + 30]!r} has no end"
        )
    return "".join(out), i
