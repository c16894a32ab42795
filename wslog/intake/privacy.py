"""What keeps people out of the lake: keyed hashing of addresses, cutting of secrets from texts.

Addresses become HMAC-SHA-256 (cut to 128 bits) under a key that lies outside the lake. A plain or salted hash would not
do: all 2^32 IPv4 addresses can be tried in about an hour. The result is pseudonymous, and still personal data.
"""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import os
import re
from functools import lru_cache
from pathlib import Path

from wslog.errors import LakeWriteError, UsageError

_KEY_BYTES = 32
KEY_VARIABLE = "WSLOG_KEY_FILE"


def key_path(lake: Path) -> Path:
    """Return where the lake's key lies: ``$WSLOG_KEY_FILE``, else ``<lake>.key`` beside the lake, never inside it."""
    named = os.environ.get(KEY_VARIABLE)
    return Path(named) if named else lake.with_name(lake.name + ".key")


def load_key(lake: Path, is_new_lake: bool) -> bytes:
    """Return the key, making one (mode 0600) only for a new lake.

    Raises
    ------
    UsageError
        The lake holds hashed addresses and its key is gone: a silent new key would split every client in two.
    LakeWriteError
        A new key cannot be written.
    """
    path = key_path(lake)
    try:
        key = path.read_bytes()
    except FileNotFoundError:
        if not is_new_lake:
            raise UsageError(
                f"the key of this lake is missing ({path}): put it back or name it in {KEY_VARIABLE}; "
                "with another key the same client would get another client_id"
            ) from None
        return _make_key(path)
    except OSError as error:
        raise UsageError(f"the key {path} cannot be read: {error.strerror}") from error
    if len(key) < 16:
        raise UsageError(f"the key {path} is too short: 16 bytes at least, made by a random generator")
    return key


def _make_key(path: Path) -> bytes:
    key = os.urandom(_KEY_BYTES)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(key)
            file.flush()
            os.fsync(file.fileno())
    except FileExistsError:
        return path.read_bytes()
    except OSError as error:
        raise LakeWriteError(f"cannot write the key {path}: {error.strerror}") from error
    return key


def key_id(key: bytes) -> str:
    """Return a short name of a key that tells nothing about it: two lakes with the same one can be compared."""
    return hmac.digest(key, b"wslog key id", "sha256").hex()[:16]


@lru_cache(maxsize=1 << 17)
def hash_address(address: str, key: bytes) -> str:
    """Return the client_id of an address: HMAC-SHA-256 cut to 128 bits, hexadecimal."""
    return hmac.digest(key, address.encode("utf-8", "surrogateescape"), hashlib.sha256).hex()[:32]


@lru_cache(maxsize=1 << 17)
def address_prefix(address: str) -> str | None:
    """Return the /24 (IPv4) or /48 (IPv6) an address is in; None for a name or a broken address."""
    if _IPV4_ONLY.fullmatch(address):  # the usual case, ten times quicker than ipaddress
        return address.rpartition(".")[0] + ".0/24"
    try:
        parsed = ipaddress.ip_address(address.strip("[]").partition("%")[0])
    except ValueError:
        return None
    mapped = getattr(parsed, "ipv4_mapped", None)
    parsed = mapped or parsed
    return str(ipaddress.ip_network((parsed, 24 if parsed.version == 4 else 48), strict=False))


_OCTET = r"(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)"
_IPV4_ONLY = re.compile(rf"(?:{_OCTET}\.){{3}}{_OCTET}", re.ASCII)
_IPV4 = re.compile(rf"(?<![\w.])(?:{_OCTET}\.){{3}}{_OCTET}(?![\w.]|\.\d)", re.ASCII)
# eight groups, or fewer around a "::"; so that 10:20:30 stays a time
_IPV6 = re.compile(
    r"(?<![\w:])(?:(?:[0-9A-Fa-f]{1,4}:){7}[0-9A-Fa-f]{1,4}|(?=:*[0-9A-Fa-f])(?=[0-9A-Fa-f:]*::)[0-9A-Fa-f:]{3,39})(?![\w:])",
    re.ASCII,
)
_QUERY = re.compile(r"\?[^\s'\"<>)\]]+")
_USERINFO = re.compile(r"(//)[^/\s@'\"]+@")
_TOKEN = re.compile(r"\beyJ[\w-]{8,}\.[\w-]+(?:\.[\w-]+)?|\b(?i:bearer)\s+[\w.~+/-]{8,}=*", re.ASCII)


def cut_secrets(text: str, keep_addresses: bool = False) -> str:
    """Cut query strings, user names in URLs, bearer tokens and addresses from a free text.

    >>> cut_secrets("failed wss://u:p@h.example/ws?token=abc from 192.0.2.7")
    'failed wss://h.example/ws?… from [address]'
    """
    text = _TOKEN.sub("[token]", _QUERY.sub("?…", _USERINFO.sub(r"\1", text)))
    if keep_addresses:
        return text
    return _IPV6.sub("[address]", _IPV4.sub("[address]", text))
