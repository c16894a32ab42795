"""One input as a stream of decompressed bytes: plain, gzip, zstd or bzip2, told by magic bytes, never by name.

A stream that ends inside a compressed frame raises ``SourceError("truncated")`` only after every byte that could be
read was handed out, so that the whole lines before the cut can be kept (a streaming zstd reader that just stops
short would lose them silently).
"""

from __future__ import annotations

import bz2
import os
import stat
import sys
from pathlib import Path
from typing import Any, BinaryIO, Protocol

from wslog.errors import SourceError

_READ_BYTES = 1 << 18
_BOMB_FLOOR_BYTES = 1 << 30
_BOMB_RATIO = 2000
STDIN = "-"


class _Decompressor(Protocol):
    """The interface that bz2, zstd and igzip decompressors share."""

    @property
    def eof(self) -> bool: ...

    @property
    def needs_input(self) -> bool: ...

    @property
    def unused_data(self) -> bytes: ...

    def decompress(self, data: bytes, max_length: int) -> bytes: ...


def _gzip() -> _Decompressor:
    from isal import igzip_lib

    made: _Decompressor = igzip_lib.IgzipDecompressor(flag=igzip_lib.DECOMP_GZIP)
    return made


def _zstd() -> _Decompressor:
    if sys.version_info >= (3, 14):
        from compression import zstd
    else:
        from backports import zstd
    made: _Decompressor = zstd.ZstdDecompressor()
    return made


def _bz2() -> _Decompressor:
    return bz2.BZ2Decompressor()


_MAGIC: tuple[tuple[bytes, str, Any], ...] = (
    (b"\x1f\x8b", "gzip", _gzip),
    (b"\x28\xb5\x2f\xfd", "zstd", _zstd),
    (b"BZh", "bzip2", _bz2),
)
_SKIPPABLE_ZSTD = tuple(bytes([0x50 + i, 0x2A, 0x4D, 0x18]) for i in range(16))


class ByteStream:
    """Decompressed bytes of one input.

    Attributes
    ----------
    compression : str
        ``gzip``, ``zstd``, ``bzip2`` or ``""``.
    is_whole : bool
        The input ends where it ends (an archive or stdin): a last line without newline is a line. A plain file may
        still grow, so its half line is held back.
    raw_bytes : int
        Bytes read from the input so far; ``raw_size`` the input's size or None: what a progress bar shows.
    error : SourceError or None
        Why the data ended before its end (``truncated``, ``damaged``, ``bomb``, ``unreadable``): set once every byte
        before the break has been handed out.
    """

    def __init__(self, file: BinaryIO, raw_size: int | None, is_whole: bool) -> None:
        self._file = file
        self.raw_size = raw_size
        self.raw_bytes = 0
        self._out_bytes = 0
        self.error: SourceError | None = None
        first = self._read_raw()
        self.compression, self._make = "", None
        for magic, name, make in _MAGIC:
            if first.startswith(magic) or (name == "zstd" and first.startswith(_SKIPPABLE_ZSTD)):
                self.compression, self._make = name, make
        self.is_whole = is_whole or bool(self._make)
        self._input = first
        self._decompressor: _Decompressor | None = self._make() if self._make else None
        self._has_ended = False

    def _read_raw(self) -> bytes:
        try:
            data = self._file.read(_READ_BYTES)
        except OSError as error:
            raise SourceError("unreadable", f"cannot be read: {error.strerror or error}") from error
        self.raw_bytes += len(data)
        return data

    def readinto(self, view: memoryview) -> int:
        """Fill a writable byte view as far as the input goes; a short count means the end (see ``error``)."""
        filled = 0
        while filled < len(view) and self.error is None:
            try:
                piece = self._next(len(view) - filled)
            except SourceError as error:
                self.error = error
                break
            if not piece:
                break
            view[filled : filled + len(piece)] = piece
            filled += len(piece)
        return filled

    def _next(self, limit: int) -> bytes:
        if self._decompressor is not None:
            return self._next_decompressed(limit)
        if not self._input:
            self._input = self._read_raw()
        piece, self._input = self._input[:limit], self._input[limit:]
        return piece

    def _next_decompressed(self, limit: int) -> bytes:
        while not self._has_ended:
            decompressor = self._decompressor
            assert decompressor is not None
            if decompressor.eof:
                rest = decompressor.unused_data or self._read_raw()
                if not rest.strip(b"\0"):  # zero padding of a tape or block device is no data
                    self._has_ended = True
                    break
                if not rest.startswith(tuple(m for m, n, _ in _MAGIC if n == self.compression) + _SKIPPABLE_ZSTD):
                    self._has_ended = True
                    raise SourceError("damaged", f"trailing garbage after the {self.compression} data")
                self._input = rest
                self._decompressor = decompressor = self._make()  # type: ignore[misc]
            if decompressor.needs_input and not self._input:
                self._input = self._read_raw()
                if not self._input:
                    self._has_ended = True
                    raise SourceError(
                        "truncated", f"the {self.compression} data ends early: only its whole lines were read"
                    )
            data, self._input = self._input, b""
            try:
                piece = decompressor.decompress(data, limit)
            except Exception as error:  # each library has its own error class for bad data
                self._has_ended = True
                raise SourceError("damaged", f"the {self.compression} data is damaged: {error}") from error
            if piece:
                self._out_bytes += len(piece)
                if self._out_bytes > _BOMB_FLOOR_BYTES and self._out_bytes > _BOMB_RATIO * self.raw_bytes:
                    raise SourceError("bomb", "expands more than 2,000 times: refused")
                return piece
        return b""

    def close(self) -> None:
        self._file.close()


def open_stream(path: str) -> ByteStream:
    """Open a file, or stdin for ``-``.

    Raises
    ------
    SourceError
        ``not_found``, ``unreadable`` or ``not_regular`` (a folder, device, socket or pipe that was not named ``-``).
    """
    if path == STDIN:
        return ByteStream(sys.stdin.buffer, None, is_whole=True)
    try:
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0))
    except FileNotFoundError as error:
        raise SourceError("not_found", "no such file") from error
    except OSError as error:
        raise SourceError("unreadable", f"cannot be opened: {error.strerror}") from error
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode):
        os.close(descriptor)
        raise SourceError("not_regular", "not a regular file: pipe it in as '-' if it is a stream")
    return ByteStream(os.fdopen(descriptor, "rb", buffering=0), status.st_size, is_whole=False)


def expand(paths: list[str]) -> list[str]:
    """Turn files, folders and glob patterns into the sorted list of files to read, each once.

    A folder stands for the files below it (links to folders are not followed, hidden files are left out). A name that
    exists is taken as it is; one that does not and holds ``*``, ``?`` or ``[`` is a pattern. What matches nothing stays
    in the list, so that reading it says so.
    """
    import glob

    found: list[str] = []
    for path in paths:
        if path == STDIN or os.path.isfile(path):
            found.append(path)
        elif os.path.isdir(path):
            found.extend(_below(path))
        elif not os.path.lexists(path) and any(c in path for c in "*?["):
            matched = sorted(m for m in glob.glob(path, recursive=True) if os.path.isfile(m))
            found.extend(matched or [path])
        else:
            found.append(path)
    unique: dict[str, str] = {}
    for path in found:
        unique.setdefault(path if path == STDIN else str(Path(path).resolve()), path)
    return list(unique.values())


def _below(root: str) -> list[str]:
    """Return the files below a folder in a stable order; hidden ones and links to folders are left out."""
    found: list[str] = []
    for folder, folders, names in os.walk(root):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        found.extend(os.path.join(folder, name) for name in sorted(names) if not name.startswith("."))
    return found
