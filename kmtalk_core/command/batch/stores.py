"""Files that lie elsewhere: any address that fsspec knows (s3://, gs://, abfs://, sftp://, https://, …).

Sounds and what belongs to them are fetched when their line is worked on, and kept in the folder of the batch under a
name that changes with their content. Results are made in that folder too, and sent whole before the journal calls them
done; what lies in the store counts, so that any machine can go on where another one stopped.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import socket
import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from ...cache import cache_folder
from ...errors import InputError, KMTalkError, StorageError, shortened
from ...files import written_whole
from .addresses import Store
from .line import Line

INSIDE = ".kmtalk-store"  # in the folder of a batch: what was fetched, and what is known of the store
LOCK = ".kmtalk-batch{label}.lock"
JOURNALS = ".kmtalk-batch*.sqlite"
STALE = 600.0  # s without a sign of life, after which a lock is nobody's
READERS = 8  # questions at once
WHOLE = frozenset({"s3", "s3a", "gs", "gcs", "abfs", "abfss", "az", "adl", "oss", "memory"})  # objects appear whole


def names_in(store: Store, pattern: str) -> list[str]:
    """Names of files in the folder itself."""
    with told(store.address):
        system, root = _opened(store.address)
        found: list[str] = [str(path).rsplit("/", 1)[-1] for path in system.glob(f"{root.rstrip('/')}/{pattern}")]
        return found


def delete(address: str) -> None:
    """Delete a file, if it is there."""
    with told(address), suppress(FileNotFoundError):
        system, path = _opened(address)
        system.rm_file(path)


def state_of(address: str) -> str:
    """What changes with the content of a file; "" if there is none."""
    with told(address):
        system, path = _opened(address)
        system.invalidate_cache()
        try:
            about = system.info(path)
        except FileNotFoundError:
            return ""
        known = {name: str(about.get(name)) for name in ("ETag", "etag", "mtime", "LastModified", "created", "size")}
        return hashlib.sha256(json.dumps(known, sort_keys=True).encode()).hexdigest()


def fetch(address: str, path: Path) -> None:
    """Fetch a file to `path`, whole or not at all. Raises InputError if there is none."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with written_whole(path) as partial, told(address):
        system, place = _opened(address)
        try:
            system.get_file(place, str(partial))
        except FileNotFoundError:
            raise InputError(f"There is no file {address}; check the address.") from None


def send(path: Path, address: str) -> None:
    """Send a file, whole or not at all: where files grow as they are written, under another name first."""
    with told(address):
        system, place = _opened(address)
        if address.partition("://")[0].lower() in WHOLE:
            system.put_file(str(path), place)
            return
        folder, _, name = place.rpartition("/")
        system.makedirs(folder, exist_ok=True)
        partial = f"{folder}/.{name}.{secrets.token_hex(4)}"
        try:
            system.put_file(str(path), partial)
            system.mv(partial, place)
        except BaseException:
            with suppress(Exception):
                system.rm_file(partial)
            raise


@contextmanager
def told(address: str) -> Iterator[None]:
    """Turn whatever a store answers into one sentence."""
    try:
        yield
    except KMTalkError:
        raise
    except ImportError as error:
        raise InputError(f"{address} needs the package {error.name or error}; install it with pip.") from None
    except Exception as error:
        if isinstance(error, ValueError) and "rotocol not known" in str(error):
            raise InputError(f"{address}: there is no such kind of store; check the address.") from None
        raise StorageError(
            f"The store of {address} does not do it ({type(error).__name__}: {shortened(error, 120)}); check address,"
            " network and permissions."
        ) from None


def _opened(address: str) -> tuple[Any, str]:
    try:
        import fsspec
    except ImportError:
        raise InputError(f"{address} needs fsspec; install it with pip install 'kmtalk[stores]'.") from None
    system, path = fsspec.core.url_to_fs(address)
    return system, str(path)


def located(lines: Sequence[Line], folder: Path) -> tuple[list[Line], dict[int, str]]:
    """Lines whose files elsewhere have a place in `folder`, and why some cannot work, by their place.

    Nothing is fetched yet. Raises StorageError if a store does not answer.
    """
    addresses = list(dict.fromkeys(address for line in lines for _, address in line.remote))
    with ThreadPoolExecutor(READERS) as threads:
        states = dict(zip(addresses, threads.map(state_of, addresses), strict=True))
    found, unable = [], dict[int, str]()
    for place, line in enumerate(lines):
        if gone := [address for _, address in line.remote if not states[address]]:
            unable[place] = f"There is no file {gone[0]}; check the address."
        here: dict[str, Any] = {}
        for name, address in line.remote:
            key = hashlib.sha256(f"{address}\n{states[address]}".encode()).hexdigest()[:32]
            here[name] = folder / INSIDE / "inputs" / f"{key}{Path(address).suffix.lower()}"
        found.append(replace(line, **here))
    return found, unable


def bring(line: Line, tell: Callable[[float], None] = lambda seconds: None, patience: float = STALE) -> None:
    """Fetch the files of a line that are not here yet; `tell` hears how long that may take."""
    for name, address in line.remote:
        path: Path = getattr(line, name)
        if not path.is_file():
            tell(patience)
            fetch(address, path)


def take_former(store: Store, name: str, folder: Path) -> None:
    """Have the result that the store has in `folder`: the same, none, or what somebody has put there since."""
    known, state = folder / INSIDE / "states" / name, state_of(store / name)
    path = folder / name
    if not state:
        path.unlink(missing_ok=True)
    elif not path.is_file() or not known.is_file() or known.read_text() != state:
        fetch(store / name, path)
        _note(known, state)


def publish(store: Store, names: Iterable[str], folder: Path) -> None:
    """Send results, and note what the store then has of them."""
    for name in names:
        send(folder / name, store / name)
        _note(folder / INSIDE / "states" / name, state_of(store / name))


def _note(path: Path, state: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(state)


class Mirror:
    """The folder of a batch and the `store` that it is sent to; use it as a context manager around the batch.

    Raises KMTalkError if another batch works into the store.
    """

    def __init__(self, store: Store, folder: Path, label: str = "") -> None:
        self._store, self._folder = store, folder
        self._lock = LOCK.format(label=f".{label}" if label else "")
        self._own = f"{socket.gethostname()} {os.getpid()} {secrets.token_hex(8)}"

    def __enter__(self) -> Mirror:
        self._folder.mkdir(parents=True, exist_ok=True)
        other = self._holder()
        if other is not None:
            raise KMTalkError(
                f"Another batch ({other.rsplit(' ', 1)[0]}) is at work in {self._store.address}; wait for it to end, or"
                " choose another place. One that was killed is forgotten after ten minutes."
            )
        self._sign()
        time.sleep(0.2)  # who began at the same moment has signed by now, and the last signature counts
        if self._holder() is not None:
            raise KMTalkError(f"Another batch has just begun in {self._store.address}; wait for it to end.")
        here = {path.name for path in self._folder.glob(JOURNALS)}
        there = set(names_in(self._store, JOURNALS))
        for name in here - there:
            (self._folder / name).unlink()
        for name in there:
            take_former(self._store, name, self._folder)
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(KMTalkError):
            delete(self._store / self._lock)

    def send(self, journal: Path, connection: sqlite3.Connection, reports: Iterable[Path]) -> None:
        """Send the journal as it is now, and the reports; journals of shards that were gathered go."""
        copy = self._folder / INSIDE / f"{journal.name}.copy"
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.unlink(missing_ok=True)
        target = sqlite3.connect(copy)
        try:
            connection.backup(target)
        finally:
            target.close()
        for report in reports:
            if report.is_file():
                send(report, self._store / report.name)
        send(copy, self._store / journal.name)
        _note(self._folder / INSIDE / "states" / journal.name, state_of(self._store / journal.name))
        self._sign()

    def drop(self, names: Iterable[str]) -> None:
        """Delete files of the store that the batch no longer has."""
        for name in names:
            delete(self._store / name)

    def _holder(self) -> str | None:
        """Who else works into the store, None for nobody."""
        if not state_of(self._store / self._lock):
            return None
        path = self._folder / INSIDE / self._lock
        try:
            fetch(self._store / self._lock, path)
            told = json.loads(path.read_text())
            who, when = str(told["who"]), float(told["time"])
        except (InputError, ValueError, KeyError, TypeError):
            return None  # it has just gone, or is nobody's
        return None if who == self._own or abs(time.time() - when) > STALE else who

    def _sign(self) -> None:
        path = self._folder / INSIDE / f"own{self._lock}"
        _note(path, json.dumps({"who": self._own, "time": time.time()}))
        send(path, self._store / self._lock)


def work_folder(store: Store, label: str = "") -> Path:
    """Where this machine works for a store, or a shard of that label."""
    key = hashlib.sha256(store.address.rstrip("/").encode()).hexdigest()[:16]
    return cache_folder() / "stores" / (f"{key}.{label}" if label else key)
