"""The journal of a batch: what was made from what, in one SQLite file in the output folder.

One batch at a time has it, and holds its lock until it ends, however it ends. SQLite's rollback journal is used, which
network file systems can bear where they lock; where they do not, the folder is refused.
"""

from __future__ import annotations

import json
import os
import re
import sqlite3
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from ...errors import InputError, KMTalkError, StorageError
from .shard import Shard

STEM, ENDING = ".kmtalk-batch", ".sqlite"
NAME = STEM + ENDING
FORMAT = 1
SCHEMA = """
CREATE TABLE IF NOT EXISTS lines (
    out TEXT PRIMARY KEY,      -- the result's name in the folder
    state TEXT NOT NULL,       -- working, done, failed
    origin TEXT NOT NULL,      -- digest of all that the result was made from; '' for none
    sha256 TEXT NOT NULL,      -- of the result; '' for none
    report TEXT NOT NULL       -- the row of the report, JSON
)
"""
# File systems of other machines or of programs, and those of them that lock for nobody else.
FOREIGN = {"nfs", "nfs4", "cifs", "smb3", "smbfs", "lustre", "ceph", "gpfs", "beegfs", "afs", "davfs", "9p", "virtiofs"}
WITHOUT_LOCKS = {
    "davfs",
    *(f"fuse.{name}" for name in ("sshfs", "s3fs", "rclone", "gcsfuse", "goofys", "mountpoint-s3")),
}
LOCAL_LOCKS = {"nolock", "local_lock=all", "local_lock=posix", "nobrl", "localflock", "noflock"}
PROBE = """
import sqlite3, sys
try:
    sqlite3.connect(sys.argv[1], timeout=0).execute("BEGIN IMMEDIATE")
except sqlite3.OperationalError:
    sys.exit(0)
sys.exit(1)
"""


@dataclass(frozen=True)
class Entry:
    """What the journal knows of one result; `report`: its row when it was made."""

    out: str
    state: str
    origin: str = ""
    sha256: str = ""
    report: Mapping[str, Any] | None = None


class Journal:
    """The journal in `folder`, its lock held; use it as a context manager.

    Raises KMTalkError if another batch works there, and StorageError or KMTalkError, with a remedy, where no journal
    can be kept.
    """

    def __init__(self, folder: Path, shard: Shard | None = None) -> None:
        self._path = folder / (NAME if shard is None else f"{STEM}.{shard.label}{ENDING}")
        check_locks(folder)
        try:
            self._connection = sqlite3.connect(self._path, timeout=0, isolation_level=None)
            self._set_up(folder)
        except sqlite3.Error as error:
            raise self._trouble(error) from None

    def _set_up(self, folder: Path) -> None:
        do = self._connection.execute
        do("PRAGMA locking_mode = EXCLUSIVE")
        do("PRAGMA journal_mode = TRUNCATE")
        do("PRAGMA synchronous = FULL")
        do("BEGIN EXCLUSIVE")
        (found,) = do("PRAGMA user_version").fetchone()
        if found not in (0, FORMAT):
            raise InputError(
                f"The journal in {folder} is of another version of KMTalk; use that, or choose another folder."
            )
        do(SCHEMA)
        do(f"PRAGMA user_version = {FORMAT}")
        do("COMMIT")

    def __enter__(self) -> Journal:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._connection.close()

    @property
    def path(self) -> Path:
        """The file."""
        return self._path

    @property
    def connection(self) -> sqlite3.Connection:
        """For a copy of the whole."""
        return self._connection

    def entries(self) -> dict[str, Entry]:
        """All that is known, by the result's name."""
        with self._told():
            rows = self._connection.execute("SELECT out, state, origin, sha256, report FROM lines").fetchall()
        return {out: Entry(out, state, origin, sha, json.loads(report)) for out, state, origin, sha, report in rows}

    def write(self, entries: Iterable[Entry] = (), working: Iterable[str] = ()) -> None:
        """Record `entries` as they are, and that the results `working` may change from now on; on disk on return."""
        ended = [(e.out, e.state, e.origin, e.sha256, json.dumps(e.report, ensure_ascii=False)) for e in entries]
        begun = [(out,) for out in working]
        if not ended and not begun:
            return
        with self._told():
            self._connection.execute("BEGIN IMMEDIATE")
            self._connection.executemany("INSERT OR REPLACE INTO lines VALUES (?, ?, ?, ?, ?)", ended)
            self._connection.executemany(
                "INSERT INTO lines VALUES (?, 'working', '', '', 'null') ON CONFLICT DO UPDATE SET state = 'working'",
                begun,
            )
            self._connection.execute("COMMIT")

    @contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise self._trouble(error) from None

    def _trouble(self, error: sqlite3.Error) -> KMTalkError:
        code, folder = getattr(error, "sqlite_errorcode", 0) & 0xFF, self._path.parent
        if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
            return KMTalkError(f"Another batch is at work in {folder}; wait for it to end, or choose another folder.")
        if code == sqlite3.SQLITE_FULL:
            return StorageError(
                f"Cannot write {self._path}: the disk is full; free some space or choose another folder."
            )
        if code in (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM):
            return StorageError(f"Cannot write {self._path} ({error}); choose another folder.")
        if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
            return KMTalkError(f"The journal {self._path} is damaged; delete it, and all lines are made anew.")
        return StorageError(f"The journal {self._path} cannot be kept ({error}); choose a folder on a local disk.")


def known_of_others(folder: Path, shard: Shard) -> dict[str, Entry]:
    """What the batch over all lines has written down before, for a shard; raises KMTalkError while it is at work.

    Raises it too where shards of another number have been, whose lines would be taken for nobody's.
    """
    for path in folder.glob(f"{STEM}.*-of-*{ENDING}"):
        if not path.name.endswith(f"-of-{shard.count}{ENDING}"):
            raise KMTalkError(
                f"In {folder} is the journal of another number of shards ({path.name}); gather them first by the same "
                "command with --resume and without --shard."
            )
    if not (folder / NAME).exists():
        return {}
    with Journal(folder) as journal:
        return journal.entries()


def gather(folder: Path, journal: Journal) -> list[Shard]:
    """Take what all shards have written down into the `journal` of all lines, and remove theirs; returns the shards.

    Raises KMTalkError while one of them is at work.
    """
    names = [path.name[len(STEM) + 1 : -len(ENDING)] for path in folder.glob(f"{STEM}.*-of-*{ENDING}")]
    shards = [Shard(*map(int, name.split("-of-"))) for name in names if re.fullmatch(r"[0-9]+-of-[0-9]+", name)]
    with ExitStack() as opened:
        for part in [opened.enter_context(Journal(folder, shard)) for shard in shards]:  # all of them, or none
            journal.write(part.entries().values())
    for shard in shards:
        for path in folder.glob(f"{STEM}.{shard.label}{ENDING}*"):
            path.unlink(missing_ok=True)
    return shards


def check_locks(folder: Path) -> None:
    """Raise KMTalkError where `folder` lies on a network file system that does not lock for all machines."""
    kind, options = mount_of(folder)
    if kind not in FOREIGN and not kind.startswith("fuse."):
        return
    if kind in WITHOUT_LOCKS or LOCAL_LOCKS & options or not locks_hold(folder):
        raise KMTalkError(
            f"{folder} lies on a {kind} file system without locks for all machines, where two batches would spoil each"
            " other's journal; choose a folder on a local disk, or mount it with locks."
        )


def locks_hold(folder: Path) -> bool:
    """Whether a lock of SQLite's in `folder` keeps another process out."""
    probe = folder / f"{NAME}.probe-{os.getpid()}"
    try:
        connection = sqlite3.connect(probe, timeout=0, isolation_level=None)
        try:
            connection.execute("BEGIN IMMEDIATE")
            return subprocess.run([sys.executable, "-I", "-c", PROBE, probe], timeout=60, check=False).returncode == 0
        finally:
            connection.close()
    except (sqlite3.Error, subprocess.TimeoutExpired):
        return False
    finally:
        probe.unlink(missing_ok=True)


def mount_of(folder: Path, table: str | None = None) -> tuple[str, set[str]]:
    """Type and options of the file system of `folder`, as /proc/mounts (`table`) has them; ("", …) if unknown."""
    if table is None:
        try:
            table = Path("/proc/mounts").read_text(encoding="utf-8", errors="surrogateescape")
        except OSError:
            return "", set()
    place = os.path.realpath(folder)
    best, found = "", ("", set[str]())
    for line in table.splitlines():
        _, point, kind, options, *_ = [*line.split(), "", "", "", ""]
        point = point.replace("\\040", " ").replace("\\011", "\t").replace("\\134", "\\")
        inside = place == point or place.startswith(point.rstrip("/") + "/")
        if inside and len(point) >= len(best):  # of two mounts on one point, the later one is seen
            best, found = point, (kind, set(options.split(",")))
    return found
