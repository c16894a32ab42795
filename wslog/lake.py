"""The lake on disk: plain Parquet and a ledger whose entries are the commits.

::

    LAKE/events/date=YYYY-MM-DD/<name>.parquet     rows (date=__HIVE_DEFAULT_PARTITION__: text without times)
    LAKE/rejects/<name>.parquet                    spans no format could read
    LAKE/_wslog/ledger/<source_id>.json            one entry per source, written last: what is not in it does not exist
    LAKE/_wslog/staging/                           files being written; outside the data folders
    LAKE/_wslog/lake.json                          schema version and key id

A data file is named by a hash of (input digest, parser, day, part), never of its own bytes: those change with the
library that writes them, and reading a source again would double its rows. Readers take the file list from the ledger,
never from a listing of folders.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wslog.errors import LakeBusyError, LakeDamagedError, LakeWriteError, UsageError
from wslog.schema import SCHEMA_VERSION, arrow_schema

if TYPE_CHECKING:
    import pyarrow as pa

LEDGER_VERSION = 1
NO_DATE = "__HIVE_DEFAULT_PARTITION__"
"""Hive's name of the null partition, which Spark, Arrow and DuckDB all know."""
LOCK_WAIT_S = 60.0


@dataclass
class Entry:
    """One ledger entry: what is known of one source.

    Attributes
    ----------
    history : list of (bytes, digest)
        Every consumed length of the decompressed input and its BLAKE3, oldest first; the last is the current one. A
        file whose first ``bytes`` have ``digest`` is this source, grown.
    head : (bytes, digest)
        The same of the first 64 KiB (or less), to find candidates without reading a file twice.
    files, reject_files : list of {"path", "rows", "bytes"}
        Relative to the lake.
    ignored_reasons, reject_reasons : dict
        Line counts by reason.
    observed_from_us, observed_until_us : int or None
        Microseconds since 1970 UTC.
    """

    source_id: str
    source_label: str | None
    path: str
    format: str
    side: str
    parser: str
    history: list[tuple[int, str]]
    head: tuple[int, str]
    lines_in: int = 0
    event_lines: int = 0
    rejected: int = 0
    ignored: int = 0
    pending_bytes: int = 0
    event_count: int = 0
    is_partial: bool = False
    is_zone_assumed: bool = False
    observed_from_us: int | None = None
    observed_until_us: int | None = None
    ignored_reasons: dict[str, int] = field(default_factory=dict)
    reject_reasons: dict[str, int] = field(default_factory=dict)
    files: list[dict[str, Any]] = field(default_factory=list)
    reject_files: list[dict[str, Any]] = field(default_factory=list)
    ledger_version: int = LEDGER_VERSION

    @property
    def input_bytes(self) -> int:
        return self.history[-1][0]

    @property
    def input_digest(self) -> str:
        return self.history[-1][1]

    def check(self) -> None:
        """Assert the account; a mismatch is a bug, and nothing is committed."""
        if self.lines_in != self.event_lines + self.rejected + self.ignored:
            raise AssertionError(
                f"lines are lost: {self.lines_in} != {self.event_lines} + {self.rejected} + {self.ignored}"
            )
        if sum(self.reject_reasons.values()) != self.rejected or sum(self.ignored_reasons.values()) != self.ignored:
            raise AssertionError("the reasons do not add up to the account")


class LakeStore:
    """Files and ledger of one lake; knows nothing of what the rows mean.

    Parameters
    ----------
    root : str or Path
    """

    def __init__(self, root: str | os.PathLike[str]) -> None:
        self.root = Path(root)
        self.meta = self.root / "_wslog"
        self.ledger_folder = self.meta / "ledger"
        self.staging = self.meta / "staging"

    # --- making and checking ---

    @property
    def exists(self) -> bool:
        return (self.meta / "lake.json").is_file()

    def prepare(self) -> None:
        """Make the folders and prove that they can be written, before any input is read.

        Raises
        ------
        LakeWriteError
        """
        try:
            if self.root.exists() and not self.root.is_dir():
                raise LakeWriteError(f"the lake {self.root} is a file: name a folder")
            if self.root.is_dir() and not self.exists and any(p.name != "_wslog" for p in self.root.iterdir()):
                raise LakeWriteError(f"{self.root} holds other files and is no lake: name a new or an empty folder")
            for folder in (self.root / "events", self.root / "rejects", self.ledger_folder, self.staging):
                folder.mkdir(parents=True, exist_ok=True)
            probe = self.staging / f"probe-{uuid.uuid4().hex}"
            probe.write_bytes(b"")
            probe.unlink()
        except OSError as error:
            raise LakeWriteError(f"the lake {self.root} cannot be written: {error.strerror or error}") from error

    def description(self) -> dict[str, Any]:
        """Return what ``lake.json`` says.

        Raises
        ------
        UsageError
            There is no lake here.
        LakeDamagedError
            The file cannot be read, or a newer wslog wrote it.
        """
        try:
            made: dict[str, Any] = json.loads((self.meta / "lake.json").read_bytes())
        except FileNotFoundError:
            raise UsageError(
                f"no lake at {self.root}: make one with 'wslog ingest PATH... --lake {self.root}'"
            ) from None
        except (OSError, ValueError) as error:
            raise LakeDamagedError(f"{self.meta / 'lake.json'} cannot be read: {error}") from error
        if made.get("schema_version", 0) > SCHEMA_VERSION:
            raise LakeDamagedError(
                f"the lake {self.root} was written by a newer wslog (schema {made['schema_version']})"
            )
        return made

    def describe(self, key_id: str) -> None:
        """Write ``lake.json`` for a new lake, or check that the key is the lake's."""
        if self.exists:
            if self.description().get("key_id") != key_id:
                raise UsageError("this is not the key the lake was made with: clients would be counted twice")
            return
        self.write_atomically(self.meta / "lake.json", {"schema_version": SCHEMA_VERSION, "key_id": key_id})

    def write_atomically(self, path: Path, content: dict[str, Any]) -> None:
        temporary = self.staging / f"{path.name}.{uuid.uuid4().hex}"
        with open(temporary, "w", encoding="utf-8", errors="surrogateescape") as file:
            json.dump(content, file, indent=1, sort_keys=True, ensure_ascii=True)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
        _sync_folder(path.parent)

    # --- ledger ---

    def entries(self) -> list[Entry]:
        """Return all ledger entries, by source_id.

        Raises
        ------
        UsageError, LakeDamagedError
        """
        self.description()
        return [self._load(path) for path in sorted(self.ledger_folder.glob("*.json"))]

    def entry(self, source_id: str) -> Entry | None:
        path = self.ledger_folder / f"{source_id}.json"
        return self._load(path) if path.is_file() else None

    def _load(self, path: Path) -> Entry:
        try:
            content = json.loads(path.read_bytes())
            if content["ledger_version"] > LEDGER_VERSION:
                raise LakeDamagedError(f"the ledger entry {path} was written by a newer wslog")
            content["history"] = [(int(n), str(d)) for n, d in content["history"]]
            content["head"] = (int(content["head"][0]), str(content["head"][1]))
            return Entry(**content)
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise LakeDamagedError(f"the ledger entry {path} cannot be read: {error!r}") from error

    def publish(self, entry: Entry, staged: list[tuple[Path, str]]) -> None:
        """Move staged files to their names and write the entry last: the commit. Call it under :meth:`lock`."""
        entry.check()
        folders = set()
        for source, name in staged:
            target = self.root / name
            target.parent.mkdir(parents=True, exist_ok=True)
            os.replace(source, target)
            folders.add(target.parent)
        for folder in sorted(folders):
            _sync_folder(folder)
        content = asdict(entry)
        self.write_atomically(self.ledger_folder / f"{entry.source_id}.json", content)

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Hold the commit lock; the kernel frees it if the process dies.

        Raises
        ------
        LakeBusyError
            Another process held it for longer than a minute.
        """
        import fcntl

        with open(self.meta / "lock", "a") as file:
            patience_ends = time.monotonic() + LOCK_WAIT_S
            while True:
                try:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except OSError as error:
                    if error.errno not in (errno.EAGAIN, errno.EACCES):
                        raise LakeWriteError(f"the lake cannot be locked: {error.strerror}") from error
                    if time.monotonic() > patience_ends:
                        raise LakeBusyError(f"another ingest is committing to {self.root}: try again") from None
                    time.sleep(0.02)
            yield

    # --- reading ---

    def event_files(self) -> list[str]:
        """Return the paths of the committed event files.

        Raises
        ------
        LakeDamagedError
            A file of the ledger is missing or has another size.
        """
        return [str(self._checked(file)) for entry in self.entries() for file in entry.files]

    def reject_files(self) -> list[str]:
        return [str(self._checked(file)) for entry in self.entries() for file in entry.reject_files]

    def _checked(self, file: dict[str, Any]) -> Path:
        path: Path = self.root / str(file["path"])
        try:
            size = path.stat().st_size
        except OSError as error:
            raise LakeDamagedError(f"the ledger names {path}, which cannot be read: {error.strerror}") from error
        if size != file["bytes"]:
            raise LakeDamagedError(f"{path} has {size} bytes, the ledger says {file['bytes']}")
        return path

    def sources(self) -> pa.Table:
        """Return the ``sources`` table."""
        import pyarrow as pa

        records = [
            {
                **asdict(entry),
                "input_bytes": entry.input_bytes,
                "input_digest": entry.input_digest,
                "observed_from": entry.observed_from_us,
                "observed_until": entry.observed_until_us,
            }
            for entry in self.entries()
        ]
        schema = arrow_schema("sources")
        columns = []
        for column in schema:
            values = [record[column.name] for record in records]
            plain = pa.int64() if pa.types.is_timestamp(column.type) else column.type
            if pa.types.is_dictionary(plain):
                columns.append(pa.array(values, pa.string()).dictionary_encode().cast(plain))
            else:
                columns.append(pa.array(values, plain).cast(column.type))
        return pa.Table.from_arrays(columns, schema=schema)


def data_name(kind: str, digest: str, parser: str, day: str, part: int) -> str:
    """Return the name of a data file, relative to the lake: a hash of what it was made from."""
    name = hashlib.sha256("|".join((digest, parser, day, str(part))).encode()).hexdigest()[:32]
    folder = f"events/date={day}" if kind == "events" else "rejects"
    return f"{folder}/{name}.parquet"


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
