"""Compressed and broken inputs: every readable byte comes out, and a cut is always noticed."""

from __future__ import annotations

import bz2
import gzip
import io
import sys
from pathlib import Path

import pytest

from wslog.errors import SourceError
from wslog.intake.streams import ByteStream, expand, open_stream

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

TEXT = b"".join(b"line %d of a log, with some text to compress\n" % i for i in range(3000))
PACK = {"": bytes, "gzip": gzip.compress, "zstd": zstd.compress, "bzip2": bz2.compress}


def drain(data: bytes, size: int = 1000) -> tuple[bytes, ByteStream]:
    stream = ByteStream(io.BytesIO(data), len(data), is_whole=False)  # type: ignore[arg-type]
    out, buffer = bytearray(), bytearray(size)
    while got := stream.readinto(memoryview(buffer)):
        out += buffer[:got]
        if got < size:
            break
    return bytes(out), stream


@pytest.mark.parametrize("name", PACK)
def test_round_trip_by_magic_bytes(name: str) -> None:
    out, stream = drain(PACK[name](TEXT))
    assert (out, stream.compression, stream.error) == (TEXT, name, None)
    assert stream.is_whole == bool(name)


@pytest.mark.parametrize("name", ["gzip", "zstd", "bzip2"])
def test_all_members_of_a_concatenated_archive_are_read(name: str) -> None:
    out, stream = drain(PACK[name](TEXT) + PACK[name](b"second\n"))
    assert out == TEXT + b"second\n"
    assert stream.error is None


@pytest.mark.parametrize("name", ["gzip", "zstd", "bzip2"])
def test_a_cut_at_any_byte_is_noticed(name: str) -> None:
    packed = PACK[name](TEXT[:2000])
    for cut in range(1, len(packed)):
        out, stream = drain(packed[:cut], 100)
        if not stream.compression:  # shorter than the magic bytes: plain bytes, as far as anyone can tell
            continue
        assert stream.error is not None, cut
        assert stream.error.reason == "truncated", cut
        assert TEXT.startswith(out)


@pytest.mark.parametrize("name", ["gzip", "zstd", "bzip2"])
def test_flipped_bytes_are_damage_or_change_nothing_silently(name: str) -> None:
    packed = bytearray(PACK[name](TEXT))
    packed[len(packed) // 2] ^= 0xFF
    out, stream = drain(bytes(packed))
    # zstd's default frame has no checksum, so a flip may also end as another, still well-formed text
    assert stream.error is not None or name == "zstd"
    assert out != TEXT or stream.error is not None


def test_a_bad_gzip_checksum_is_damage() -> None:
    _, stream = drain(gzip.compress(TEXT)[:-8] + b"\0" * 8)
    assert stream.error is not None
    assert stream.error.reason == "damaged"


@pytest.mark.parametrize("name", ["gzip", "bzip2", "zstd"])
def test_trailing_garbage_is_damage_and_zero_padding_is_not(name: str) -> None:
    out, stream = drain(PACK[name](TEXT) + b"garbage!")
    assert out == TEXT
    assert stream.error is not None
    assert "trailing garbage" in str(stream.error)
    out, stream = drain(PACK[name](TEXT) + b"\0" * 512)
    assert (out, stream.error) == (TEXT, None)


def test_output_is_bounded_however_far_the_input_expands() -> None:
    packed = zstd.compress(b"\0" * (64 << 20))
    stream = ByteStream(io.BytesIO(packed), len(packed), is_whole=False)  # type: ignore[arg-type]
    buffer = bytearray(4096)
    assert stream.readinto(memoryview(buffer)) == 4096  # 64 MiB from 2 KiB, never held at once


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda p: None, "not_found"),
        (lambda p: p.mkdir(), "not_regular"),
        (lambda p: __import__("os").mkfifo(p), "not_regular"),
    ],
)
def test_what_is_no_regular_file_is_refused(tmp_path: Path, make: object, reason: str) -> None:
    path = tmp_path / "x"
    make(path)  # type: ignore[operator]
    with pytest.raises(SourceError) as caught:
        open_stream(str(path))
    assert caught.value.reason == reason


def test_expand_folders_patterns_and_odd_names(tmp_path: Path) -> None:
    for name in ("b.log", "a.log", "x[1].log", ".hidden", "sub/c.log", "sub/.git/d.log"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("x")
    (tmp_path / "link.log").symlink_to(tmp_path / "a.log")
    (tmp_path / "loop").symlink_to(tmp_path)
    relative = [str(Path(p).relative_to(tmp_path)) for p in expand([str(tmp_path)])]
    assert relative == ["a.log", "b.log", "x[1].log", "sub/c.log"]
    assert expand([str(tmp_path / "x[1].log")]) == [str(tmp_path / "x[1].log")]
    assert [Path(p).name for p in expand([str(tmp_path / "*.log")])] == ["a.log", "b.log", "x[1].log"]
    assert expand(["no/such*.log", "-"]) == ["no/such*.log", "-"]
