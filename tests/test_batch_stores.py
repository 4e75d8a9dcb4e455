"""Sounds and results in stores: whole there too, and any machine goes on where another one stopped."""

import json
import sqlite3
import time

import pytest
from stand_ins import batch_work

from kmtalk_core.command.batch import command, run, stores
from kmtalk_core.command.batch.addresses import Store, is_address
from kmtalk_core.command.batch.line import Line
from kmtalk_core.command.batch.run import run_batch
from kmtalk_core.command.cli import main
from kmtalk_core.errors import InputError, KMTalkError, StorageError

fsspec = pytest.importorskip("fsspec")


@pytest.fixture(autouse=True)
def stand_in(monkeypatch, tmp_path):
    monkeypatch.setattr(run, "WORK", "stand_ins.batch_work:make_worker")
    monkeypatch.setattr(stores.time, "sleep", lambda seconds: None)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "machine 1"))


@pytest.fixture
def season(tmp_path):
    """A store as a folder (file://), with three sounds and their manifest."""
    folder = tmp_path / "store"
    folder.mkdir()
    for number in range(3):
        (folder / f"line{number}.wav").write_bytes(f"sound {number}".encode())
    (folder / "m.csv").write_text("audio,character\n" + "".join(f"line{number}.wav,Anna\n" for number in range(3)))
    return folder


def statuses(folder):
    return [line["status"] for line in json.loads((folder / "report.json").read_text())["lines"]]


def batch(season, *more, out="out"):
    address = season.as_uri()
    return main(["batch", f"{address}/m.csv", "--out", f"{address}/{out}", "--workers", "1", *more])


def test_addresses_are_no_paths():
    assert is_address("s3://bucket/a.wav") and is_address("https://x/y") and not is_address("C://x")
    assert not is_address("a/b.wav") and Store("s3://b/x/") / "y" == "s3://b/x/y"


def test_a_season_lies_in_a_store_and_another_machine_goes_on(season, tmp_path, monkeypatch, capsys):
    assert batch(season) == 0
    out = season / "out"
    assert statuses(out) == ["done"] * 3
    for number in range(3):
        expected = batch_work.content(Line(audio=season / f"line{number}.wav", out=""))
        assert (out / f"line{number}.npz").read_bytes() == expected
    assert {p.name for p in out.iterdir() if not p.name.startswith("line")} == {
        "report.csv", "report.json", "report.html", ".kmtalk-batch.sqlite",
    }  # fmt: skip
    assert f"{season.as_uri()}/line0.wav" in (out / "report.csv").read_text()
    (season / "line1.wav").write_bytes(b"re-recorded")
    (out / "line2.npz").write_bytes(b"somebody has put another one here")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "machine 2"))
    assert batch(season, "--resume") == 0
    assert statuses(out) == ["skipped", "done", "kept"]
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "machine 1"))  # where other things were known
    (out / "line2.npz").unlink()
    assert batch(season, "--resume") == 0
    assert statuses(out) == ["skipped", "skipped", "done"]


def test_files_that_are_missing_fail_at_once_and_the_others_run(season, capsys):
    (season / "line1.wav").unlink()
    assert batch(season) == 1
    assert statuses(season / "out") == ["done", "failed", "done"]
    assert "There is no file file://" in capsys.readouterr().err


def test_shards_share_a_store_and_are_gathered(season):
    for number in (1, 2):
        assert batch(season, "--shard", f"{number}/2") == 0
    assert (season / "out" / ".kmtalk-batch.2-of-2.sqlite").is_file()
    assert batch(season, "--resume") == 0
    assert statuses(season / "out") == ["skipped"] * 3
    assert not list((season / "out").glob("*2-of-2*"))
    with sqlite3.connect(season / "out" / ".kmtalk-batch.sqlite") as journal:
        assert journal.execute("SELECT count(*) FROM lines WHERE state = 'done'").fetchone() == (3,)


def test_two_batches_in_one_store_are_one_too_many(season, tmp_path, capsys):
    lock = season / "out" / ".kmtalk-batch.lock"
    lock.parent.mkdir()
    lock.write_text(json.dumps({"who": "farm7 123 abc", "time": time.time()}))
    assert batch(season) == 1
    assert "Another batch (farm7 123) is at work" in capsys.readouterr().err
    lock.write_text(json.dumps({"who": "farm7 123 abc", "time": time.time() - 2 * stores.STALE}))  # it was killed
    assert batch(season) == 0 and not lock.exists()


class Broken(fsspec.get_filesystem_class("memory")):
    """A store whose network goes: what it does from then on ends as libraries end it."""

    protocol = "broken"
    down = ""

    def info(self, path, **more):
        if self.down == "info":
            raise TimeoutError("no route to host")
        return super().info(path, **more)

    def put_file(self, *paths, **more):
        if self.down == "put":
            raise PermissionError("403 Forbidden")
        return super().put_file(*paths, **more)


@pytest.fixture
def broken():
    fsspec.register_implementation("broken", Broken, clobber=True)
    Broken.down = ""
    yield Broken
    Broken.down = ""


def test_a_store_that_does_not_answer_is_one_sentence_at_once(broken, tmp_path, capsys):
    lines = ["audio"] + [f"broken://season/{number}.wav" for number in range(500)]
    (tmp_path / "m.csv").write_text("\n".join(lines))
    broken.down = "info"
    assert main(["batch", str(tmp_path / "m.csv"), "--out", str(tmp_path / "out")]) == 1
    assert (
        "The store of broken://season/0.wav does not do it (TimeoutError: no route to host)" in capsys.readouterr().err
    )
    with pytest.raises(InputError, match="no such kind of store"):
        stores.state_of("nowhere://x/y")


def test_a_store_that_takes_nothing_more_stops_the_batch(broken, tmp_path):
    (tmp_path / "a.wav").write_bytes(b"sound")
    broken.down = "put"
    with pytest.raises(StorageError, match="403 Forbidden"):
        run_batch([Line(audio=tmp_path / "a.wav", out="a.npz")], tmp_path / "w", store=Store("broken://season"))


def test_a_slow_store_has_time_told_before_each_file(broken, tmp_path, monkeypatch):
    lines, _ = stores.located(
        [Line(audio=tmp_path, out="a.npz", remote=(("audio", "broken://season/a.wav"),))], tmp_path
    )
    told = []
    monkeypatch.setattr(stores, "fetch", lambda address, path: told.append(address))
    stores.bring(lines[0], told.append)
    assert told == [stores.STALE, "broken://season/a.wav"]


def test_a_killed_transfer_leaves_nothing_that_could_be_taken_for_a_result(tmp_path, monkeypatch):
    from fsspec.implementations.local import LocalFileSystem

    source = tmp_path / "a.npz"
    source.write_bytes(b"x" * 1000)

    def half(self, here, there, **more):
        with open(there, "wb") as file:
            file.write(b"x" * 500)
        raise KeyboardInterrupt

    monkeypatch.setattr(LocalFileSystem, "put_file", half)
    with pytest.raises(KeyboardInterrupt):
        stores.send(source, f"{(tmp_path / 'store').as_uri()}/a.npz")
    assert not list((tmp_path / "store").iterdir())


def test_without_fsspec_it_is_a_sentence(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "fsspec", None)
    with pytest.raises(InputError, match="kmtalk\\[stores\\]"):
        stores.state_of("s3://bucket/x")


@pytest.fixture
def s3(monkeypatch):
    """A bucket on an S3 server of this machine; its address."""
    pytest.importorskip("s3fs")
    moto = pytest.importorskip("moto.server")
    server = moto.ThreadedMotoServer(port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    for name, value in {
        "AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "x", "AWS_DEFAULT_REGION": "us-east-1",
        "FSSPEC_S3_ENDPOINT_URL": f"http://{host}:{port}",
    }.items():  # fmt: skip
        monkeypatch.setenv(name, value)
    fsspec.config.set_conf_env(fsspec.config.conf)
    system = fsspec.filesystem("s3", skip_instance_cache=True)
    system.mkdir("season")
    yield system
    server.stop()
    fsspec.config.conf.clear()


def test_a_season_lies_on_s3(s3, tmp_path, monkeypatch):
    for number in range(3):
        s3.pipe_file(f"season/in/line{number}.wav", f"sound {number}".encode())
    s3.pipe_file("season/in/m.csv", b"audio\nline0.wav\nline1.wav\nline2.wav\n")
    command_line = ["batch", "s3://season/in/m.csv", "--out", "s3://season/out", "--workers", "2", "--resume"]
    assert main(command_line) == 0
    (tmp_path / "line0.wav").write_bytes(b"sound 0")
    expected = batch_work.content(Line(audio=tmp_path / "line0.wav", out=""))
    assert s3.cat_file("season/out/line0.npz") == expected
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "machine 2"))
    s3.pipe_file("season/in/line2.wav", b"again")
    assert main(command_line) == 0
    report = json.loads(s3.cat_file("season/out/report.json"))
    assert [line["status"] for line in report["lines"]] == ["skipped", "skipped", "done"]
    assert command.content_of(Store("s3://season/in/m.csv")) != ""
    with pytest.raises(KMTalkError, match="does not do it"):
        stores.send(tmp_path / "line0.wav", "s3://no-such-bucket/x")
