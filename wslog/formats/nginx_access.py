"""nginx access log: ``combined``, ``main``, any ``log_format`` the user names, and JSON lines.

One line is one request, written when it ends: a WebSocket gives its line when the connection ends, with status 101 and
(if logged) its whole life in ``$request_time``. Nothing in it tells the close code or which peer ended it.
OpenResty, Tengine, Kong and ingress-nginx write the same log.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field, fields
from functools import lru_cache

import numpy as np
import pyarrow.compute as pc

from wslog.errors import UsageError
from wslog.formats import nginx_json
from wslog.formats.contract import (
    Batch,
    BoolArray,
    Clock,
    Format,
    IntArray,
    Line,
    LineReader,
    Options,
    Parsed,
    Stamp,
    merge,
)
from wslog.formats.nginx_columns import read_events
from wslog.formats.nginx_fields import unescape
from wslog.formats.nginx_json import FOREIGN_KEYS, KNOWN_KEYS, Keys, UnreadableError
from wslog.formats.nginx_log_format import BUILT_IN, LogFormat, built_in, from_options
from wslog.formats.nginx_rows import Roles, read_event
from wslog.formats.nginx_samples import SAMPLES
from wslog.formats.nginx_template import Template, check_variables, compile_format
from wslog.formats.nginx_view import view
from wslog.formats.web import check_ws_path

HEAD_LINES = 200
_MANY = 200  # for fewer lines it does not pay to compile a pattern
CLAIM_SHARE = 0.6

# what docker compose and syslog print before a line
_PREFIX = re.compile(
    rb"(?:[A-Za-z0-9][A-Za-z0-9_.-]{0,127} +\| "
    rb"|(?:<[0-9]{1,3}>)?(?:1 )?(?:[A-Z][a-z]{2} [ 0-9][0-9] [0-9:]{8}"
    rb"|[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:.]{8,15}(?:Z|[+-][0-9:]{4,6}))"
    rb" (?:[^ ]{1,255} )?[^ :\[]{1,64}(?:\[[0-9]{1,10}\])?: )"
)

# Apache's combined looks alike but tells the START of the request; for a 101 it prints no size, as nginx never does
_APACHE_SIZE = re.compile(rb'" [0-9]{3} - "')


@dataclass(frozen=True)
class Candidate:
    """A way to read lines: a template for text, or the keys of JSON objects."""

    name: str
    template: Template | None = None
    keys: Keys | None = None

    def reads(self, line: bytes) -> bool:
        if self.template is not None:
            return self.template.read(line) is not None
        try:
            return bool(nginx_json.read(line, self.keys or {}))
        except UnreadableError:
            return False


@dataclass(frozen=True)
class NginxReader(LineReader):
    """Reads lines by the first candidate that takes them; ``shape`` reads whole batches."""

    candidates: tuple[Candidate, ...]
    options: Options
    shape: Template | None = None
    shape_roles: Roles = field(default_factory=lambda: Roles.of(()))

    def fast(self, batch: Batch) -> tuple[Parsed, BoolArray]:
        if self.shape is None or not len(batch):
            return Parsed(), np.ones(len(batch), bool)
        parsed, doubt, mismatch = self._read_batch(self.shape, batch)
        rows, bare = _strip_prefixes(batch, np.flatnonzero(mismatch))
        if len(rows):
            more, doubt[rows], _ = self._read_batch(self.shape, bare)
            parsed = merge(parsed, more)
        return parsed, doubt

    def _read_batch(self, shape: Template, batch: Batch) -> tuple[Parsed, BoolArray, BoolArray]:
        lines, doubt, mismatch = view(shape, batch)
        parsed, left = read_events(lines, self.shape_roles, self.options)
        doubt[np.searchsorted(batch.index, left)] = True
        return parsed, doubt, mismatch

    def line(self, text: bytes) -> Line:
        found = self._read(text)
        if not found.rejected:
            return found
        prefix = _PREFIX.match(text)
        return found if prefix is None else self._read(text[prefix.end() :])

    def _read(self, text: bytes) -> Line:
        complaints, no_json = [], ""
        for candidate in self.candidates:
            if candidate.template is not None:
                raw = candidate.template.read(text)
                if raw is not None:
                    return self._event(candidate.template, raw)
                complaints.append(candidate.template.complaint(text))
            elif text.lstrip(b" \t").startswith(b"{") or len(self.candidates) == 1:
                try:
                    values = nginx_json.read(text, candidate.keys or {})
                except UnreadableError as error:
                    no_json = error.reason
                    continue
                return read_event(values, _roles(frozenset(values)), self.options, False)
        if no_json:
            return Line(rejected=no_json)
        # the word that says most: a bad value, before an unbalanced quote, before another shape
        return Line(rejected=next((c for c in complaints if c not in ("quotes", "fields")), _shape_word(complaints)))

    def _event(self, template: Template, raw: dict[str, bytes]) -> Line:
        values, is_damaged = {}, False
        roles = _roles(template.variables)
        for name in _used(roles):
            values[name], is_bad = decode(raw[name], template.escape)
            is_damaged |= is_bad
        return read_event(values, roles, self.options, is_damaged)


def _strip_prefixes(batch: Batch, rows: IntArray) -> tuple[IntArray, Batch]:
    """Return which of some lines have a prefix, and those lines without it."""
    if len(rows) < _MANY:
        found_here = [_PREFIX.match(batch.line(i)) for i in rows.tolist()]
        lengths = np.array([0 if p is None else p.end() for p in found_here], np.int64)
    else:
        prefixes = pc.extract_regex(_pick(batch, rows).text(), b"^(?P<p>" + _PREFIX.pattern + b")")
        lengths = pc.fill_null(pc.binary_length(pc.struct_field(prefixes, "p")), 0).to_numpy().astype(np.int64)
    found = rows[lengths > 0]
    starts = batch.starts[found] + lengths[lengths > 0]
    return found, Batch(batch.data, starts, batch.ends[found], batch.index[found], False)


def _pick(batch: Batch, rows: IntArray) -> Batch:
    return Batch(batch.data, batch.starts[rows], batch.ends[rows], batch.index[rows], False)


def _shape_word(complaints: list[str]) -> str:
    return "quotes" if complaints and all(c == "quotes" for c in complaints) else "fields"


@lru_cache(maxsize=64)
def _roles(variables: frozenset[str]) -> Roles:
    return Roles.of(variables)


@lru_cache(maxsize=64)
def _used(roles: Roles) -> tuple[str, ...]:
    names = ["status", *roles.ids, *(getattr(roles, f.name) for f in fields(roles) if f.name != "ids")]
    return tuple(dict.fromkeys(n for n in names if n))


def decode(raw: bytes, escape: str) -> tuple[str, bool]:
    """Undo the log's escaping once; bytes that are no UTF-8 become ``\\xNN`` text, and the second value says so."""
    if escape == "default":
        raw = unescape(raw)
    try:
        text = raw.decode()
    except UnicodeDecodeError:
        return raw.decode("utf-8", "backslashreplace"), True
    if escape == "json" and "\\" in text:
        try:
            text = str(json.loads(f'"{text}"'))
            text.encode()
        except ValueError:
            return raw.decode(), False
    return text, False


# --- choosing ----------------------------------------------------------------------------------------------


def _candidates(options: Options) -> tuple[Candidate, ...]:
    """Return the ways to read that the options name, or the built-in ones."""
    named = from_options(options)
    if not named:
        return (Candidate("json", keys=KNOWN_KEYS), *(Candidate(n, compile_format(built_in(n))) for n in BUILT_IN))
    if len(named) == 1:
        return (_candidate(named[0]),)
    found, problems = [], []
    for log_format in named:
        try:
            found.append(_candidate(log_format))
        except UsageError as error:  # one unreadable format of a configuration does not matter unless it is the one
            problems.append(str(error))
    if not found:
        raise UsageError("; ".join(problems))
    return tuple(found)


def _candidate(log_format: LogFormat) -> Candidate:
    keys = nginx_json.keys_of(log_format)
    if keys is None:
        return Candidate(log_format.name, compile_format(log_format))
    check_variables(log_format.name, keys.values())
    return Candidate(log_format.name, keys=keys)


def _head_lines(head: Batch) -> list[bytes]:
    lines = (head.line(i) for i in range(min(len(head), 4 * HEAD_LINES)))
    return [line for line in lines if line.strip()][:HEAD_LINES]


def _without_prefix(line: bytes) -> bytes:
    prefix = _PREFIX.match(line)
    return line if prefix is None else line[prefix.end() :]


def _counts(candidates: tuple[Candidate, ...], lines: list[bytes]) -> Iterator[tuple[int, Candidate]]:
    for candidate in candidates:
        yield sum(candidate.reads(line) or candidate.reads(_without_prefix(line)) for line in lines), candidate


def _choose(candidates: tuple[Candidate, ...], lines: list[bytes]) -> Candidate:
    """Return the one format of several named ones that the head's lines have."""
    counts = sorted(_counts(candidates, lines), key=lambda c: -c[0])
    names = ", ".join(c.name for c in candidates)
    if not lines:
        return counts[0][1]
    if not counts[0][0]:
        raise UsageError(f"no log_format of the configuration fits the first lines; it defines {names}")
    if counts[1][0] == counts[0][0] and _shape(counts[1][1]) != _shape(counts[0][1]):
        alike = f"{counts[0][1].name} and {counts[1][1].name}"
        raise UsageError(f"the first lines fit {alike} alike; pass one as --log-format (defined: {names})")
    return counts[0][1]


def _shape(candidate: Candidate) -> object:
    return candidate.template.items if candidate.template is not None else candidate.keys


def read_with(options: Options, head: Batch) -> NginxReader:
    """Make the reader for a file that begins with ``head``.

    Raises
    ------
    UsageError
        If the named formats cannot be read, none of several fits the head, or the path pattern is not RE2.
    """
    check_ws_path(options)
    candidates = _candidates(options)
    lines = _head_lines(head)
    if len(candidates) > 1 and from_options(options):
        candidates = (_choose(candidates, lines),)
    shape = _batch_template(candidates, lines)
    return NginxReader(candidates, options, shape, Roles.of(shape.variables if shape is not None else ()))


def _batch_template(candidates: tuple[Candidate, ...], lines: list[bytes]) -> Template | None:
    count, best = max(_counts(candidates, lines), key=lambda c: c[0])
    if best.template is not None:
        return best.template
    shown = [
        t for t in (nginx_json.infer(_without_prefix(line), best.keys or {}) for line in lines[:20]) if t is not None
    ]
    return max(shown, key=shown.count, default=None) if count else None


def claims(head: Batch, options: Options) -> str:
    """Say why the head is an nginx access log: most of its lines read as one of the formats."""
    lines = _head_lines(head)
    if not lines:
        return ""
    candidates = _candidates(options)
    if not from_options(options) and any(_APACHE_SIZE.search(line) for line in lines):
        return ""
    counts = dict.fromkeys((c.name for c in candidates), 0)
    for line in lines:
        for candidate in candidates:
            if _is_taken(candidate, line) or _is_taken(candidate, _without_prefix(line)):
                counts[candidate.name] += 1
    # without an option every built-in format is read, line by line; of named ones only one is
    count = max(counts.values()) if from_options(options) else sum(counts.values())
    if count < CLAIM_SHARE * len(lines):
        return ""
    names = ", ".join(name for name, k in counts.items() if k)
    return f"{count} of {len(lines)} lines read as nginx log_format {names}"


def _is_taken(candidate: Candidate, line: bytes) -> bool:
    """Whether a line reads as the format; of objects with keys nobody named, only one without other logs' keys."""
    return candidate.reads(line) and (
        candidate.keys is not KNOWN_KEYS or not nginx_json.load(line).keys() & FOREIGN_KEYS
    )


FORMAT = Format(
    name="nginx_access",
    version=1,
    side="proxy",
    title="nginx access log (combined, main, any log_format, JSON)",
    source="nginx.org ngx_http_log_module and ngx_http_upstream_module, nginx 1.29, read 2026-11-23",
    clock=Clock(Stamp.END, "in_line", 1.0),
    needles=(),
    claims=claims,
    reader=read_with,
    samples=SAMPLES,
    uses=("log_format", "nginx_conf", "ws_path"),
)
