"""Where blocks are parsed: threads, or forked processes for large inputs of the command line.

Forked processes parse on all cores at once, whatever part of it holds the interpreter's lock. Blocks and rows pass
through memory that is shared by the fork; a pipe carries only their measures. Only the command line asks for processes:
it is alone in its process. A host such as a notebook keeps threads.
"""

from __future__ import annotations

import ctypes
import mmap
import multiprocessing
import queue
import signal
import sys
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
import pyarrow as pa

from wslog.formats.contract import Reader
from wslog.intake.blocks import BLOCK_BYTES, Block
from wslog.intake.parse import Chunk, read_block
from wslog.intake.streams import ByteStream

WORTH_FORKING_BYTES = 24 << 20
_PR_SET_PDEATHSIG = 1
_HALF = 2 * BLOCK_BYTES + (1 << 16)  # a block holds what was carried over, too
_SLOT = 2 * _HALF  # the block, then its rows


class Waiting(Protocol):
    """A block that is being parsed."""

    def result(self) -> Chunk: ...


@dataclass
class _Shared:
    """What children inherit: the reader, and memory in slots."""

    reader: Reader
    memory: mmap.mmap


_shared: _Shared | None = None  # set just before the fork


class Workers:
    """A pool that parses blocks, and a pool that writes files.

    Parameters
    ----------
    reader : Reader
    count : int
        Threads or processes that parse.
    may_fork : bool
        Whether processes may be used; they are where the system is Linux and the input is worth it.
    stream : ByteStream
    """

    def __init__(self, reader: Reader, count: int, may_fork: bool, stream: ByteStream) -> None:
        global _shared
        self._reader = reader
        size = (stream.raw_size or 0) * (6 if stream.compression else 1)
        self.forks = may_fork and count > 1 and sys.platform == "linux" and size >= WORTH_FORKING_BYTES
        self._parsers: Executor
        self._free: queue.SimpleQueue[int] = queue.SimpleQueue()
        if self.forks:
            slots = count + 3  # as many as can be under way, see _Run._chunks
            self._memory = mmap.mmap(-1, slots * _SLOT)
            for slot in range(slots):
                self._free.put(slot)
            _shared = _Shared(reader, self._memory)
            context = multiprocessing.get_context("fork")
            self._parsers = ProcessPoolExecutor(count, mp_context=context, initializer=_begin)
            self.writers: Executor = ThreadPoolExecutor(1, thread_name_prefix="wslog-write")
        else:
            self._parsers = self.writers = ThreadPoolExecutor(max(1, count), thread_name_prefix="wslog")

    def parse(self, block: Block) -> Waiting:
        """Parse a block in the pool."""
        if not self.forks or len(block.data) > _HALF:
            return self.writers.submit(read_block, self._reader, block)
        slot = self._free.get()
        start = slot * _SLOT
        self._memory[start : start + len(block.data)] = block.data.data
        future = self._parsers.submit(_read_in_child, slot, len(block.data), block.offset)
        return _Remote(future, slot, self._memory, self._free)

    def close(self) -> None:
        """Wait for what is under way; the shared memory goes with the last reference to it."""
        self._parsers.shutdown(wait=True, cancel_futures=True)
        self.writers.shutdown(wait=True, cancel_futures=True)


@dataclass
class _Remote:
    """A block that a child parses; its rows are copied out of the slot when they are asked for."""

    future: Future[tuple[Chunk, int]]
    slot: int
    memory: mmap.mmap
    free: queue.SimpleQueue[int]

    def result(self) -> Chunk:
        try:
            chunk, size = self.future.result()
            if size:
                start = self.slot * _SLOT + _HALF
                rows = pa.ipc.open_stream(pa.py_buffer(self.memory[start : start + size])).read_all()
                chunk = replace(chunk, rows=rows)
            return chunk
        finally:
            self.free.put(self.slot)


def _begin() -> None:
    """Make a child die with its parent, and leave Ctrl-C to it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _read_in_child(slot: int, length: int, offset: int) -> tuple[Chunk, int]:
    """Parse the block in a slot; leave its rows behind it and return the rest, with their size in bytes."""
    assert _shared is not None
    start = slot * _SLOT
    chunk = read_block(_shared.reader, Block(np.frombuffer(_shared.memory, np.uint8, length, start), offset))
    if chunk.rows is None:
        return chunk, 0
    room = memoryview(_shared.memory)[start + _HALF : start + _SLOT]
    sink = pa.FixedSizeBufferWriter(pa.py_buffer(room))
    try:
        with pa.ipc.new_stream(sink, chunk.rows.schema) as writer:
            writer.write_table(chunk.rows)
        return replace(chunk, rows=None), sink.tell()
    except (pa.ArrowInvalid, OSError):  # more rows than room: through the pipe
        return chunk, 0
