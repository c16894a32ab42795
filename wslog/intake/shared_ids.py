"""Ids that several logs share: found in the query of a request target before the query is dropped.

A browser cannot set a header on a WebSocket handshake, so an application that wants its client and proxy logs to be
joined puts the connection's id into the URL. Only the value of such a parameter is kept, nothing else of the query.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

import pyarrow as pa
import pyarrow.compute as pc

from wslog.errors import UsageError

DEFAULT_ID_PARAMS = ("connection", "connection_id", "conn_id", "request_id", "rid")
"""Query parameters whose value is taken as ``request_id`` unless ``--id-param`` names others."""

_NAME = re.compile(r"[A-Za-z0-9._~-]{1,64}", re.ASCII)
_SECRET = re.compile(
    r"(?:.*_)?(?:key|auth|authorization|jwt|sid|sig|signature|password|passwd|pwd|secret|ticket|cookie)|.*token.*|api_?key"
)
_ID = r"[A-Za-z0-9._~-]{6,64}"
# an IPv4 address or a JSON Web Token is made of an id's characters too
_NO_ID = r"^(?:\d{1,3}\.\d{1,3}\.\d{1,3}\.\d{1,3}$|eyJ)"


def check_id_params(names: str | Iterable[str] | None) -> tuple[str, ...]:
    """Return the parameters to look for, in the order given and each once.

    Parameters
    ----------
    names : str, iterable of str or None
        None: :data:`DEFAULT_ID_PARAMS`. No name at all, or only empty ones: nothing is taken from queries.

    Raises
    ------
    UsageError
        A name is no parameter name, or the name of a secret.
    """
    if names is None:
        return DEFAULT_ID_PARAMS
    wanted = tuple(dict.fromkeys(name for name in ([names] if isinstance(names, str) else names) if name))
    for name in wanted:
        if not _NAME.fullmatch(name):
            raise UsageError(f"--id-param {name!r}: a name is 1 to 64 letters, digits or . _ ~ -")
        if _SECRET.fullmatch(name.lower().replace("-", "_")):
            raise UsageError(f"--id-param {name!r}: its value is a secret, and secrets are never kept: name an id")
    return wanted


def ids_in(targets: pa.StringArray, names: tuple[str, ...]) -> pa.StringArray | None:
    """Return the id that each URL or request target carries.

    Parameters
    ----------
    targets : (n,) string array
        Distinct ones: the work is paid for each.
    names : tuple of str
        The first of them that the query holds with a value of 6 to 64 letters, digits or ``. _ ~ -``.

    Returns
    -------
    (n,) string array, null where there is none; None when no target has one.
    """
    if not names or not pc.any(pc.match_substring(targets, "?")).as_py():
        return None
    start = rf"^[^?#]*\?(?:[^#]*?&)??(?:{'|'.join(re.escape(name) for name in names)})="
    # two passes: finding without groups is four times quicker, and most queries hold no id
    has_id = pc.fill_null(pc.match_substring_regex(targets, rf"{start}{_ID}(?:[&#]|$)"), False)
    if not pc.any(has_id).as_py():
        return None
    found = pc.extract_regex(targets.filter(has_id), rf"{start}(?P<id>{_ID})(?:[&#]|$)").field("id")
    found = pc.if_else(pc.match_substring_regex(found, _NO_ID), pa.scalar(None, pa.string()), found)
    return pc.replace_with_mask(pa.nulls(len(targets), pa.string()), has_id, found)
