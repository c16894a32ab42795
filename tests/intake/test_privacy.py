"""What keeps people out of the lake."""

from __future__ import annotations

import hmac
import stat
from pathlib import Path

import pytest

from wslog.errors import UsageError
from wslog.intake.privacy import address_prefix, cut_secrets, hash_address, load_key


def test_hash_is_hmac_sha256_cut_to_128_bits() -> None:
    key = b"k" * 32
    assert hash_address("192.0.2.7", key) == hmac.new(key, b"192.0.2.7", "sha256").hexdigest()[:32]
    assert hash_address("192.0.2.7", b"j" * 32) != hash_address("192.0.2.7", key)


@pytest.mark.parametrize(
    ("address", "prefix"),
    [
        ("192.0.2.77", "192.0.2.0/24"),
        ("2001:db8:1:2::3", "2001:db8:1::/48"),
        ("::ffff:192.0.2.77", "192.0.2.0/24"),
        ("fe80::1%eth0", "fe80::/48"),
        ("[2001:db8::1]", "2001:db8::/48"),
        ("host.example", None),
        ("999.1.1.1", None),
        ("unix:", None),
    ],
)
def test_prefix(address: str, prefix: str | None) -> None:
    assert address_prefix(address) == prefix


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("failed wss://u:p@h.example/ws?token=abc from 192.0.2.7", "failed wss://h.example/ws?… from [address]"),
        ("peer 2001:db8:0:0:0:0:0:1 gone", "peer [address] gone"),
        ("version 1.2.3.4.5 at 10:20:30", "version 1.2.3.4.5 at 10:20:30"),
        ("Authorization: Bearer abcdef123456", "Authorization: [token]"),
        ("jwt eyJhbGciOiJIUzI1NiJ9.eyJzdWIi.sig_x", "jwt [token]"),
        ("连接失败: 1006", "连接失败: 1006"),
    ],
)
def test_secrets_are_cut_from_texts(text: str, clean: str) -> None:
    assert cut_secrets(text) == clean


def test_key_is_private_outside_the_lake_and_never_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WSLOG_KEY_FILE", raising=False)
    lake = tmp_path / "lake"
    key = load_key(lake, is_new_lake=True)
    path = tmp_path / "lake.key"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert load_key(lake, is_new_lake=False) == key
    path.unlink()
    with pytest.raises(UsageError, match="missing"):
        load_key(lake, is_new_lake=False)
