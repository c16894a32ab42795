"""The log formats that exist, and which of them a file is.

Adding a format adds its name to :data:`FORMATS`; the module of that name in this package holds it as ``FORMAT``.
Modules are loaded when they are first needed.
"""

from __future__ import annotations

from functools import cache
from importlib import import_module

from wslog.errors import SourceError, UsageError
from wslog.formats.contract import Batch, Format, Options

FORMATS = ("wslog_client", "nginx_access", "browser_console", "haproxy_http", "cloudflare_tail")
"""Names of the formats; each is also the name of its module."""


@cache
def _load(name: str) -> Format:
    found: Format = import_module(f"wslog.formats.{name}").FORMAT
    return found


def formats() -> tuple[Format, ...]:
    """Return every format, in the order of :data:`FORMATS`."""
    return tuple(_load(name) for name in FORMATS)


def get(name: str) -> Format:
    """Return one format by its name.

    Raises
    ------
    UsageError
        If there is no such format; the text lists those that exist.
    """
    if name not in FORMATS:
        raise UsageError(f"unknown format {name!r}; formats: {', '.join(FORMATS)}")
    return _load(name)


def detect(head: Batch, options: Options, name: str | None = None) -> tuple[Format, str]:
    """Tell the format of a file from its first lines; never a guess.

    Parameters
    ----------
    head : Batch
        The first whole lines of the file, as the reader would get them.
    options : Options
    name : str or None
        What the user said (``--format``); it wins without a look at the head.

    Returns
    -------
    (Format, str)
        The format, and why it is this one.

    Raises
    ------
    UsageError
        If ``name`` is no format.
    SourceError
        ``unknown_format`` when no format claims the head, ``ambiguous_format`` when several do.
    """
    if name is not None:
        return get(name), "named by --format"
    data = head.data.tobytes()
    screened = [f for f in formats() if not f.needles or any(needle in data for needle in f.needles)]
    claims = [(f, why) for f in screened if (why := f.claims(head, options))]
    if len(claims) == 1:
        return claims[0]
    if not claims:
        raise SourceError(
            "unknown_format",
            "no format claims this file; name one with --format (an nginx log of its own layout needs --log-format or --nginx-conf too): "
            + ", ".join(FORMATS),
        )
    listed = "; ".join(f"{f.name} ({why})" for f, why in claims)
    raise SourceError("ambiguous_format", f"several formats claim this file, name one with --format: {listed}")
