"""Files appear whole or not at all, whatever the output is, and killed runs leave nothing for long."""

import errno
import os
import re
import signal
import stat
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from kmtalk_core import leftovers
from kmtalk_core.errors import InputError, KMTalkError, StorageError
from kmtalk_core.files import is_stream, load_npz, save_npz, written_whole
from kmtalk_core.leftovers import process_lives, remove_leftovers, temporary_folder

ROOT = Path(__file__).parent.parent
posix = pytest.mark.skipif(os.name == "nt", reason="POSIX only")
ARRAYS = {"a": np.arange(5.0)}


def write(path, text="new"):
    with written_whole(path) as partial:
        partial.write_text(text)


@posix
def test_a_link_stays_and_its_target_is_replaced(tmp_path):
    (tmp_path / "far").mkdir()
    (tmp_path / "far" / "real.txt").write_text("old")
    (tmp_path / "link.txt").symlink_to("far/real.txt")
    (tmp_path / "new.txt").symlink_to("far/not yet.txt")
    write(tmp_path / "link.txt")
    write(tmp_path / "new.txt")
    assert (tmp_path / "link.txt").is_symlink() and (tmp_path / "new.txt").is_symlink()
    assert [(tmp_path / "far" / name).read_text() for name in ("real.txt", "not yet.txt")] == ["new", "new"]
    for name, leads in (("loop", "loop"), ("lost", "no/where")):
        (tmp_path / name).symlink_to(leads)
        with pytest.raises(KMTalkError, match=r"^[^.]*lost|loop"):
            write(tmp_path / name)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["far", "link.txt", "loop", "lost", "new.txt"]


@posix
def test_permissions_of_a_file_are_kept_and_new_files_have_the_usual(tmp_path):
    old, new, plain = tmp_path / "old", tmp_path / "new", tmp_path / "plain"
    old.write_text("old")
    old.chmod(0o640)
    plain.write_text("")
    write(old)
    write(new)
    assert stat.S_IMODE(old.stat().st_mode) == 0o640 and old.read_text() == "new"
    assert new.stat().st_mode == plain.stat().st_mode


@posix
def test_streams_get_the_bytes_and_stay(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    read = []
    reader = threading.Thread(target=lambda: read.append(pipe.read_bytes()))
    reader.start()
    save_npz(ARRAYS, pipe)
    reader.join()
    assert stat.S_ISFIFO(pipe.stat().st_mode)
    save_npz(ARRAYS, tmp_path / "file.npz")
    assert read == [(tmp_path / "file.npz").read_bytes()]
    save_npz(ARRAYS, "/dev/null")
    assert stat.S_ISCHR(os.stat("/dev/null").st_mode)
    assert is_stream(pipe) and is_stream(Path("/dev/null")) and not is_stream(tmp_path / "file.npz")


@posix
def test_standard_output_goes_on_where_it_stands(tmp_path):
    code = "from kmtalk_core.files import written_whole\nwith written_whole('/dev/stdout') as p: p.write_text('result')"
    log = tmp_path / "log"
    log.write_text("before ")
    with log.open("ab") as out:
        subprocess.run([sys.executable, "-c", code], check=True, stdout=out, cwd=ROOT)
    assert log.read_text() == "before result"
    assert subprocess.check_output([sys.executable, "-c", code], cwd=ROOT) == b"result"


@posix
def test_devices_and_sockets_are_refused(tmp_path, monkeypatch):
    import socket

    with socket.socket(socket.AF_UNIX) as server:
        monkeypatch.chdir(tmp_path)  # the address of a socket is short
        server.bind("s")
        with pytest.raises(InputError, match="is a device, not a file"):
            write(tmp_path / "s")
    _, terminal = os.openpty()
    with pytest.raises(InputError, match="is a device, not a file"):
        write(os.ttyname(terminal))


@pytest.mark.parametrize(
    ("name", "told"),
    [("x" * 300 + ".npz", "too long"), ("a\0b", "no name that files can have"), ("no/x", "does not exist")],
)
def test_names_that_no_file_can_have(tmp_path, name, told):
    with pytest.raises(InputError, match=told) as caught:
        write(f"{tmp_path}/{name}")
    assert len(str(caught.value)) < 300


def test_long_and_foreign_names_are_written(tmp_path):
    names = ["x" * 251 + ".npz", "嘴" * 80 + ".txt", "Größe 🙂.npz", "-rf", "a\nb", " ", "..."]
    for name in names:
        write(tmp_path / name)
    assert {p.name for p in tmp_path.iterdir()} == set(names)


@posix
@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EFBIG, errno.EIO])
def test_disks_that_take_nothing_are_one_sentence(tmp_path, monkeypatch, code):
    target = tmp_path / "a.npz"
    target.write_text("old")
    with pytest.raises(KMTalkError, match=r"Cannot write .*a\.npz.*; .*\.$") as caught, written_whole(target):
        raise OSError(code, os.strerror(code))
    assert isinstance(caught.value, StorageError) == (code in (errno.ENOSPC, errno.EDQUOT, errno.EROFS))
    assert target.read_text() == "old" and len(list(tmp_path.iterdir())) == 1

    def refuse(*_):
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(KMTalkError, match="Cannot write"), written_whole(target):
        pass


@posix
def test_a_limit_on_the_size_of_files(tmp_path):
    """What happens within a .zip that cannot be ended, too, is one sentence."""
    code = f"""
import resource, numpy as np
from kmtalk_core.errors import KMTalkError
from kmtalk_core.files import save_npz
resource.setrlimit(resource.RLIMIT_FSIZE, (10000, 10000))
try: save_npz({{"a": np.random.default_rng(0).random(100000)}}, {str(tmp_path / "a.npz")!r})
except KMTalkError as error: print(error)
"""
    said = subprocess.check_output([sys.executable, "-c", code], text=True, cwd=ROOT)
    assert re.fullmatch(r"Cannot write .*a\.npz: it is larger than files may be here; choose another disk\.\n", said)
    assert not list(tmp_path.iterdir())


def test_what_the_block_cannot_read_is_not_blamed_on_the_output(tmp_path):
    with pytest.raises(FileNotFoundError), written_whole(tmp_path / "a"):
        (tmp_path / "source").read_text()


@posix
@pytest.mark.skipif(not hasattr(os, "getuid") or os.getuid() == 0, reason="root may write everything")
def test_write_protected_files_stay(tmp_path):
    (tmp_path / "a").write_text("old")
    (tmp_path / "a").chmod(0o444)
    with pytest.raises(KMTalkError, match="write-protected"):
        write(tmp_path / "a")


KILLED = """
import time
from kmtalk_core.files import written_whole
from kmtalk_core.leftovers import temporary_folder
with temporary_folder() as folder, written_whole({target!r}) as partial:
    (folder / "big").write_text("x")
    partial.write_text("half")
    print(folder, flush=True)
    time.sleep(60)
"""


@posix
def test_leftovers_of_killed_runs_are_removed(tmp_path, monkeypatch):
    """Only dead ones, and only those of this program's naming."""
    monkeypatch.setenv("TMPDIR", str(tmp_path / "tmp"))
    (tmp_path / "tmp").mkdir()
    out = tmp_path / "out"
    out.mkdir()
    command = [sys.executable, "-c", KILLED.format(target=str(out / "a b.npz"))]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
        folder = Path(process.stdout.readline().strip())
        assert remove_leftovers(out) == 0  # at work
        process.send_signal(signal.SIGKILL)
    others = [out / ".a.npz.swp", out / ".a b.x1y2z3.npz", out / "kmtalk-notes-1-2", out / "a.npz"]
    for path in others:
        path.write_text("mine")
    assert len(list(out.iterdir())) == 1 + len(others) and folder.is_dir()
    assert remove_leftovers(out) == 1
    assert sorted(out.iterdir()) == sorted(others)
    monkeypatch.setattr("tempfile.tempdir", None)
    with temporary_folder() as now:
        assert now.parent == folder.parent and not folder.exists()
    assert not list((tmp_path / "tmp").iterdir())


@posix
def test_what_another_machine_works_on_stays_for_a_week(tmp_path, monkeypatch):
    monkeypatch.setattr(leftovers, "machine", lambda: "0123abcd")
    names = [leftovers.unfinished_name(tmp_path / "a.npz") for _ in range(2)]
    monkeypatch.undo()
    for name in names:
        (tmp_path / name).write_text("")
    old = time.time() - 8 * 86400
    os.utime(tmp_path / names[0], (old, old))
    (tmp_path / names[1].replace("npz", "lnk")).symlink_to(names[1])
    assert remove_leftovers(tmp_path) == 1
    assert not (tmp_path / names[0]).exists() and (tmp_path / names[1]).exists()
    assert remove_leftovers(tmp_path / "nowhere") == 0


def test_processes_live_until_they_end():
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        assert process_lives(process.pid) and process_lives(os.getpid())
        process.communicate(b"\n")
    assert not process_lives(process.pid)


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks into /proc")
def test_a_process_that_ended_is_dead_although_its_parent_looks_away(tmp_path):
    made = "import pathlib, kmtalk_core.leftovers as l; print(l.unfinished_name(pathlib.Path('a.npz')))"
    with subprocess.Popen([sys.executable, "-c", made], stdout=subprocess.PIPE, text=True) as process:
        name = process.stdout.read().strip()  # it ends at the end of this, and nobody has waited for it yet
        (tmp_path / name).write_text("")
        until = time.monotonic() + 5
        while process_lives(process.pid) and time.monotonic() < until:
            time.sleep(0.01)
        assert process.returncode is None and remove_leftovers(tmp_path) == 1


def test_the_same_arrays_are_the_same_bytes(tmp_path):
    save_npz(ARRAYS, tmp_path / "a.npz")
    save_npz(ARRAYS, tmp_path / "b.npz")
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()
    np.testing.assert_array_equal(load_npz(tmp_path / "a.npz")["a"], ARRAYS["a"])
