"""Which format a file is: said by the user, or claimed by exactly one."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

import wslog.formats
from wslog.errors import SourceError, UsageError
from wslog.formats import registry
from wslog.formats.contract import Batch, Format, Options


def test_every_name_is_a_module_and_its_format() -> None:
    assert [f.name for f in registry.formats()] == list(registry.FORMATS)
    assert len(set(registry.FORMATS)) == len(registry.FORMATS)


def test_every_module_with_a_format_is_registered() -> None:
    folder = Path(wslog.formats.__file__ or "").parent
    with_format = {p.stem for p in folder.glob("*.py") if "\nFORMAT = " in p.read_text("utf-8")}
    assert with_format == set(registry.FORMATS)


def test_unknown_name_lists_what_exists() -> None:
    with pytest.raises(UsageError, match="nginx_access"):
        registry.get("nginx")
    with pytest.raises(UsageError):
        registry.detect(Batch.of(b""), Options(), "nginx")


def test_the_users_word_wins() -> None:
    found, why = registry.detect(Batch.of(b"anything\n"), Options(), "haproxy_http")
    assert found.name == "haproxy_http"
    assert "--format" in why


@pytest.mark.parametrize("data", [b"", b"nothing that anybody knows\n"])
def test_nobody_claims(data: bytes) -> None:
    with pytest.raises(SourceError) as caught:
        registry.detect(Batch.of(data), Options())
    assert caught.value.reason == "unknown_format"
    assert all(name in str(caught.value) for name in registry.FORMATS)


def test_two_claim(monkeypatch: pytest.MonkeyPatch) -> None:
    def twin(name: str) -> Format:
        return replace(registry.get("haproxy_http"), name=name, needles=(), claims=lambda head, options: "it looks so")

    monkeypatch.setattr(registry, "formats", lambda: (twin("one"), twin("two")))
    with pytest.raises(SourceError) as caught:
        registry.detect(Batch.of(b"x\n"), Options())
    assert caught.value.reason == "ambiguous_format"
    assert "one (it looks so); two (it looks so)" in str(caught.value)


def test_needles_screen(monkeypatch: pytest.MonkeyPatch) -> None:
    never = replace(registry.get("haproxy_http"), needles=(b"needle",), claims=lambda head, options: 1 / 0)  # type: ignore[return-value]
    sure = replace(
        registry.get("haproxy_http"), name="sure", needles=(b"hay", b"straw"), claims=lambda head, options: "yes"
    )
    monkeypatch.setattr(registry, "formats", lambda: (never, sure))
    assert registry.detect(Batch.of(b"hay\n"), Options())[0].name == "sure"
