"""Batches stop and die well: nothing half written, lost or done twice, whatever ends them."""

import csv
import json
import os
import random
import re
import signal
import sqlite3
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
from stand_ins import batch_work

from kmtalk_core.command import cli, stopping
from kmtalk_core.command.batch import journal, pool, run
from kmtalk_core.command.batch.journal import Entry, Journal, check_locks, locks_hold, mount_of
from kmtalk_core.command.batch.line import Line
from kmtalk_core.command.batch.origin import Standing, origin_of, sha256_of, standing_of
from kmtalk_core.command.batch.report import Report
from kmtalk_core.command.batch.run import run_batch
from kmtalk_core.command.batch.shard import Shard
from kmtalk_core.command.cli import main
from kmtalk_core.errors import Cancelled, InputError, KMTalkError, StorageError
from kmtalk_core.files import save_npz
from kmtalk_core.leftovers import OWN

ROOT = Path(__file__).parent.parent
linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks into /proc")
MARKER = "KMTALK_TEST_BATCH"


@pytest.fixture(autouse=True)
def stand_in(monkeypatch):
    monkeypatch.setattr(run, "WORK", "stand_ins.batch_work:make_worker")


def lines_of(folder, count, **of_each):
    """`count` lines whose sounds exist; `of_each`: what transcripts say, by the line's number ("at3")."""
    found = []
    for number in range(count):
        audio = folder / f"line{number}.wav"
        audio.write_bytes(f"sound {number}".encode())
        found.append(Line(audio=audio, out=f"line{number}.npz", transcript=of_each.get(f"at{number}")))
    return found


def statuses(outcome):
    return [report.status for report in outcome.reports]


def test_what_did_not_change_is_skipped_and_what_did_is_made_again(tmp_path):
    lines = lines_of(tmp_path, 4)
    out = tmp_path / "out"
    assert statuses(run_batch(lines, out, workers=2)) == ["done"] * 4
    lines[1].audio.write_bytes(b"re-recorded")
    lines[2] = Line(audio=lines[2].audio, out=lines[2].out, seed=7)
    (out / "line3.npz").unlink()
    outcome = run_batch(lines, out, resume=True, workers=2)
    assert statuses(outcome) == ["skipped", "done", "done", "done"]
    assert outcome.reports[0].duration == 1.0  # the figures of when it was made
    assert [(out / line.out).read_bytes() for line in lines] == [batch_work.content(line) for line in lines]
    assert statuses(run_batch(lines, out, resume=True)) == ["skipped"] * 4
    assert statuses(run_batch(lines, out)) == ["done"] * 4


def test_results_edited_by_hand_are_kept_and_lines_that_left_are_listed(tmp_path):
    lines = lines_of(tmp_path, 3)
    out = tmp_path / "out"
    run_batch(lines, out, workers=1)
    (out / "line0.npz").write_bytes(b"edited")
    for resume in (True, False):
        outcome = run_batch(lines[:2], out, resume=resume, workers=1)
        assert statuses(outcome) == ["kept", "skipped" if resume else "done", "left"]
        assert "edited by hand;" in outcome.reports[0].warnings
        assert (out / "line0.npz").read_bytes() == b"edited"
    lines[0].audio.write_bytes(b"re-recorded")
    assert "its line has changed since" in run_batch(lines, out, resume=True, workers=1).reports[0].warnings
    (out / "line0.npz").unlink()
    assert statuses(run_batch(lines, out, resume=True, workers=1))[0] == "done"


def test_a_result_is_judged_by_what_is_known_of_it(tmp_path):
    """Results that nobody wrote down are made anew, unless they say that an animator edited them."""
    out = tmp_path / "a.npz"
    assert standing_of(out, "o", Entry("a.npz", "done", "o", "1234"), True) is Standing.MAKE
    save_npz({"key_edited": [False, False]}, out)
    sha = sha256_of(out)
    assert standing_of(out, "o", None, True) is Standing.MAKE
    assert standing_of(out, "o", Entry("a.npz", "done", "o", sha), True) is Standing.SKIP
    assert standing_of(out, "o", Entry("a.npz", "done", "o", sha), False) is Standing.MAKE
    assert standing_of(out, "other", Entry("a.npz", "done", "o", sha), True) is Standing.MAKE
    assert standing_of(out, "o", Entry("a.npz", "failed", "o", sha), True) is Standing.MAKE
    assert standing_of(out, "o", Entry("a.npz", "done", "o", "1234"), True) is Standing.KEEP
    assert standing_of(out, "o", Entry("a.npz", "working", "o", "1234"), True) is Standing.MAKE
    assert standing_of(out, "o", Entry("a.npz", "working", "o", sha), True) is Standing.SKIP
    save_npz({"key_edited": [False, True]}, out)
    assert standing_of(out, "o", Entry("a.npz", "working", "o", "1234"), True) is Standing.KEEP
    assert standing_of(out, "o", None, False) is Standing.KEEP
    # Edits that are ours already, as they were carried over, are not made anew either.
    for known, resume, expected in (
        (Entry("a.npz", "done", "o", sha256_of(out)), True, Standing.SKIP),
        (Entry("a.npz", "done", "o", sha256_of(out)), False, Standing.KEEP),
        (Entry("a.npz", "done", "other", sha256_of(out)), True, Standing.CARRY),
        (Entry("a.npz", "working", "other", sha256_of(out)), False, Standing.CARRY),
        (Entry("a.npz", "done", "other", "1234"), True, Standing.CARRY),
    ):
        assert standing_of(out, "o", known, resume) is expected


def test_the_origin_is_all_that_a_result_is_made_from(tmp_path):
    (line,) = lines_of(tmp_path, 1)
    text = tmp_path / "a.txt"
    text.write_text("Hello")
    first = origin_of(line, "model")
    assert (
        origin_of(Line(audio=line.audio, out="elsewhere.npz", character="Anna", own=(("note", "x"),)), "model") == first
    )
    moved = tmp_path / "moved.wav"
    moved.write_bytes(line.audio.read_bytes())
    assert origin_of(Line(audio=moved), "model") == first
    others = [
        origin_of(line, "other"),
        origin_of(Line(audio=line.audio, transcript="Hello"), "model"),
        origin_of(Line(audio=line.audio, fps=24), "model"),
        *(
            origin_of(Line(audio=line.audio, **{name: text}), "model")
            for name in ("transcript_file", "alignment", "mesh")
        ),
    ]
    assert len({first, *others}) == 1 + len(others)
    text.write_text("Hello!")
    assert origin_of(Line(audio=line.audio, transcript_file=text), "model") not in others
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(InputError, match="not a file"):
        origin_of(Line(audio=tmp_path / "pipe"), "model")


def test_a_dead_worker_costs_only_its_line(tmp_path):
    """Who dies twice is given up; who dies once, as when another took the memory, is made alone."""
    lines = lines_of(tmp_path, 12, at1="crash", at3="crash once", at4="print", at5="memory")
    outcome = run_batch(lines, tmp_path / "out", workers=2)
    expected = ["done"] * 12
    expected[1] = expected[5] = "failed"
    assert statuses(outcome) == expected
    assert "died twice" in outcome.reports[1].error
    assert [r.attempts for r in outcome.reports] == [1, 2, 1, 2, *[1] * 8]
    assert "2 begun again after their worker died" in outcome.summary
    made = (tmp_path / "log").read_text().split()
    assert sorted(made) == sorted(f"line{n}.npz" for n in range(12) if n not in (1, 5))
    assert statuses(run_batch(lines[2:5], tmp_path / "out", resume=True))[:3] == ["skipped"] * 3


def test_a_line_that_hangs_is_ended_and_marked(tmp_path):
    outcome = run_batch(lines_of(tmp_path, 4, at0="hang"), tmp_path / "out", workers=1)
    assert statuses(outcome) == ["failed", "done", "done", "done"]
    assert "took too long" in outcome.reports[0].error


def test_workers_that_cannot_start_end_the_batch(tmp_path, monkeypatch):
    lines = lines_of(tmp_path, 3)
    monkeypatch.setattr(run, "WORK", "stand_ins.batch_work:cannot_start")
    with pytest.raises(KMTalkError, match="The model is gone"):
        run_batch(lines, tmp_path / "out", workers=2)
    monkeypatch.setattr(run, "WORK", "stand_ins.batch_work:dies_at_start")
    with pytest.raises(KMTalkError, match="Segmentation fault"):
        run_batch(lines, tmp_path / "out", workers=2)


def test_a_full_disk_is_found_out_at_once(tmp_path):
    lines = lines_of(tmp_path, 40, at2="disk")
    with pytest.raises(StorageError, match="--resume to go on"):
        run_batch(lines, tmp_path / "out", workers=1)
    report = rows(tmp_path / "out")
    assert len(report) == 40 and sum(row["status"] == "waiting" for row in report) > 30


def rows(out):
    with (out / "report.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_two_batches_in_one_folder_are_one_too_many(tmp_path):
    lines = lines_of(tmp_path, 1)
    (tmp_path / "out").mkdir()
    with Journal(tmp_path / "out"), pytest.raises(KMTalkError, match="Another batch is at work"):
        run_batch(lines, tmp_path / "out")
    run_batch(lines, tmp_path / "out")


def test_journals_that_cannot_be_kept_are_one_sentence(tmp_path):
    path = tmp_path / journal.NAME
    path.write_bytes(b"no database at all" * 100)
    with pytest.raises(KMTalkError, match="damaged; delete it"):
        Journal(tmp_path)
    path.unlink()
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA user_version = 99")
    with pytest.raises(InputError, match="another version"):
        Journal(tmp_path)
    path.unlink()
    path.mkdir()
    with pytest.raises(StorageError, match="choose another folder"):
        Journal(tmp_path)


MOUNTS = """/dev/sda / ext4 rw 0 0
nas:/show /show nfs4 rw,vers=4.2 0 0
nas:/old /show/old\\040ones nfs rw,nolock 0 0
me@far: /far fuse.sshfs rw 0 0
"""


def test_shares_without_locks_are_refused(tmp_path, monkeypatch):
    assert mount_of(Path("/show/a"), MOUNTS) == ("nfs4", {"rw", "vers=4.2"})
    assert mount_of(Path("/shows"), MOUNTS)[0] == "ext4"
    assert mount_of(Path("/show/old ones/b"), MOUNTS) == ("nfs", {"rw", "nolock"})
    assert locks_hold(tmp_path) and not list(tmp_path.iterdir())
    kinds = {"nfs4": set(), "ext4": set(), "fuse.mergerfs": set()}
    for kind, options in kinds.items():
        monkeypatch.setattr(journal, "mount_of", lambda _, found=(kind, options): found)
        check_locks(tmp_path)
    refused = {"nfs": {"nolock"}, "fuse.sshfs": set(), "cifs": {"nobrl"}}
    for kind, options in refused.items():
        monkeypatch.setattr(journal, "mount_of", lambda _, found=(kind, options): found)
        with pytest.raises(KMTalkError, match=f"lies on a {kind} file system"):
            check_locks(tmp_path)


def test_stopping_is_gentle_once(tmp_path, monkeypatch):
    """What is in work ends, what waits does not begin, and the report has every line."""
    lines = lines_of(tmp_path, 40)

    def ask(fraction, message):
        if message.startswith("5 of"):
            os.kill(os.getpid(), signal.SIGTERM)

    with pytest.raises(Cancelled, match=r"Stopped by SIGTERM with \d+ done, .* waiting; .*--resume to go on"):
        run_batch(lines, tmp_path / "out", workers=2, progress=ask)
    count = sum(row["status"] == "done" for row in rows(tmp_path / "out"))
    assert 5 <= count <= 9 and len(rows(tmp_path / "out")) == 40
    outcome = run_batch(lines, tmp_path / "out", resume=True, workers=2)
    assert statuses(outcome).count("skipped") == count and statuses(outcome).count("done") == 40 - count
    made = (tmp_path / "log").read_text().split()
    assert len(made) - len(set(made)) <= 2  # those that were ended as they had just begun


def test_signals_that_were_ignored_stay_so(monkeypatch):
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    interrupt = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with stopping.stopped_by_signals() as stop:
            os.kill(os.getpid(), signal.SIGHUP)
            os.kill(os.getpid(), signal.SIGTERM)
            assert stop.by == "SIGTERM"
            with pytest.raises(KeyboardInterrupt):
                os.kill(os.getpid(), signal.SIGINT)
        assert signal.getsignal(signal.SIGTERM) != signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)
        signal.signal(signal.SIGINT, interrupt)


def start(tmp_path, *options, pieces=(), marker="x"):
    """The command line as a process of its own, which the stand-in does the work of."""
    command = [sys.executable, "-m", "stand_ins.batch_work", "batch", tmp_path / "m.json", "--out", tmp_path / "out"]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "tests")]), MARKER: marker}
    return subprocess.Popen(
        [*command, "--workers", "2", *options],
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
        **{"preexec_fn": heed_signals, **dict(pieces)},
    )


def heed_signals():
    """As a shell in the foreground has it, whatever runs the tests."""
    for kind in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM):
        signal.signal(kind, signal.SIG_DFL)


def processes(marker):
    """The numbers of living processes that were started with this marker in their environment."""
    found = []
    for folder in Path("/proc").iterdir():
        try:
            if folder.name.isdigit() and f"{MARKER}={marker}".encode() in (folder / "environ").read_bytes().split(
                b"\0"
            ):
                found.append(int(folder.name))
        except OSError:
            continue
    return found


def manifest_of(tmp_path, count):
    lines = lines_of(tmp_path, count)
    (tmp_path / "m.json").write_text(json.dumps([{"audio": line.audio.name} for line in lines]))
    return lines


@linux
def test_killed_at_any_moment_nothing_is_half_written_lost_or_done_twice(tmp_path):
    dice = random.Random(11)
    lines = manifest_of(tmp_path, 250)
    out, kills = tmp_path / "out", 0
    settled: dict[str, int] = {}  # results that the journal calls done, and when they were written
    while kills < 20:
        kind = dice.choice([signal.SIGKILL, signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
        marker = f"{tmp_path.name}-{kills}"
        with start(tmp_path, "--resume", "--progress", "json", marker=marker) as batch:
            # After so many lines, however slow the machine is; SIGKILL before the first one, too.
            for _ in range(dice.randrange(kind != signal.SIGKILL, len(settled) + 40)):
                batch.stderr.readline()
            time.sleep(dice.uniform(0.0, 0.03))
            batch.send_signal(kind)
            said = batch.stderr.read() if kind != signal.SIGKILL else ""
        kills += 1
        assert "Traceback" not in said
        until = time.monotonic() + 3
        while (left := processes(marker)) and time.monotonic() < until:
            time.sleep(0.02)
        assert not left
        settled = check_folder(lines, out, settled)
        if batch.returncode == 0:
            break
    assert kills >= 3 and len(settled) > 20
    with start(tmp_path, "--resume") as batch:
        batch.communicate()
    assert batch.returncode == 0
    assert len(check_folder(lines, out, settled)) == len(lines)
    assert {row["status"] for row in rows(out)} <= {"done", "skipped"} and len(rows(out)) == len(lines)
    assert not [path for path in out.iterdir() if OWN.fullmatch(path.name)]


def check_folder(lines, out, settled):
    """Every result is whole, and what was done is there and untouched; returns what is done now."""
    if not (out / journal.NAME).exists():
        return settled
    for line in lines:
        if (out / line.out).exists():
            assert (out / line.out).read_bytes() == batch_work.content(line)
    with Journal(out) as opened:
        known = opened.entries()
    done = {name for name, e in known.items() if e.state == "done"} | settled.keys()
    assert all(sha256_of(out / name) == known[name].sha256 for name in done)
    now = {name: (out / name).stat().st_mtime_ns for name in done}
    assert all(now[name] == at for name, at in settled.items())
    return now


@linux
def test_a_closed_terminal_stops_a_batch(tmp_path):
    """Its last words can reach nobody then."""
    manifest_of(tmp_path, 400)
    keyboard, terminal = os.openpty()
    marker = f"{tmp_path.name}-terminal"
    with start(tmp_path, marker=marker, pieces={"start_new_session": True, "stdin": terminal}.items()) as batch:
        os.close(terminal)
        batch.stderr.close()
        while not (tmp_path / "log").exists():
            time.sleep(0.02)
        time.sleep(0.2)
        os.close(keyboard)
        batch.send_signal(signal.SIGHUP)  # as the kernel does to who has it as its controlling terminal
    assert batch.returncode == 1
    assert not processes(marker)
    assert 0 < sum(row["status"] == "done" for row in rows(tmp_path / "out")) < 400


@linux
def test_the_report_is_written_while_the_lines_are_made(tmp_path, monkeypatch):
    monkeypatch.setattr(run, "REPORT_EVERY", 0.0)
    monkeypatch.setattr(run, "REPORT_SHARE", 1.0)
    seen = []

    def look(fraction, message):
        if (tmp_path / "out" / "report.csv").exists():
            seen.append(sum(row["status"] == "done" for row in rows(tmp_path / "out")))

    run_batch(lines_of(tmp_path, 30), tmp_path / "out", workers=1, progress=look)
    assert len(set(seen)) > 3 and max(seen) > 15


def test_wrong_sounds_and_pipes_cost_only_their_line(tmp_path, capsys):
    """With the real work: what cannot be read is told with the file and the remedy."""
    from kmtalk_core.command.batch.work import Job, do
    from kmtalk_core.command.batch.worker import Tell

    class Model:
        model = "m"

    os.mkfifo(tmp_path / "pipe.wav")
    (tmp_path / "noise.wav").write_bytes(os.urandom(5000))
    (tmp_path / "folder.wav").mkdir()
    for name in ("pipe.wav", "noise.wav", "folder.wav", "missing.wav", "x" * 300 + ".wav"):
        made = do(Job(Line(audio=tmp_path / name, out="a.npz"), tmp_path), Model(), Tell())
        assert made.report.status == "failed" and re.fullmatch(r".*; .*\.", made.report.error), made.report.error
        assert made.entry.state == "failed" and not made.entry.sha256


def test_cores_are_counted():
    assert 1 <= pool.cores() <= (os.cpu_count() or 1)


def test_the_command_says_how_to_go_on(tmp_path, capsys):
    lines_of(tmp_path, 3)
    (tmp_path / "m.json").write_text(json.dumps([{"audio": f"line{n}.wav"} for n in range(3)]))
    assert main(["batch", str(tmp_path / "m.json"), "--out", str(tmp_path / "out")]) == 0
    assert capsys.readouterr() == ("", "")


def test_shards_share_a_season_and_are_gathered(tmp_path, monkeypatch):
    lines = lines_of(tmp_path, 7)
    out = tmp_path / "out"
    parts = [Shard(number, 3) for number in (1, 2, 3)]
    for part in parts[:2]:
        own = [line for place, line in enumerate(lines) if part.holds(place)]
        assert statuses(run_batch(own, out, workers=1, shard=part)) == ["done"] * len(own)
        assert statuses(run_batch(own, out, workers=1, shard=part, resume=True)) == ["skipped"] * len(own)
    assert sorted(path.name for path in out.glob("report*")) == [
        f"report.{n}-of-3.{ending}" for n in (1, 2) for ending in ("csv", "html", "json")
    ]  # fmt: skip
    with Journal(out, parts[2]), pytest.raises(KMTalkError, match="Another batch is at work"):
        run_batch(lines, out, resume=True)
    with pytest.raises(KMTalkError, match="another number of shards"):
        run_batch(lines[:1], out, shard=Shard(1, 2))
    assert sorted(statuses(run_batch(lines, out, resume=True, workers=1))) == ["done"] * 2 + ["skipped"] * 5
    assert not list(out.glob(".kmtalk-batch.*-of-*")) and len(list(out.glob("report.*"))) == 3
    own = [line for place, line in enumerate(lines) if parts[0].holds(place)]
    assert statuses(run_batch(own, out, resume=True, shard=parts[0])) == ["skipped"] * 3
    for text in ("0/3", "4/3", "a/b", "3", "1/2/3"):
        with pytest.raises(InputError, match="is no shard"):
            run_command("m.csv", "--out", "out", "--shard", text)


def run_command(*arguments):
    return cli.build_parser().parse_args(["batch", *arguments])


def test_the_report_has_the_manifests_own_columns_and_the_doubt(tmp_path):
    lines = [
        replace(line, character="Anna", own=(("actor", "M"), ("status", "final"))) for line in lines_of(tmp_path, 2)
    ]
    lines[1] = replace(lines[1], transcript="memory")
    run_batch(lines, tmp_path / "out", workers=1)
    first, second = rows(tmp_path / "out")
    assert (first["character"], first["actor"], first["own_status"], first["status"]) == ("Anna", "M", "final", "done")
    assert float(first["doubt"]) == 0.0 and float(second["doubt"]) == 1.0
    told = json.loads((tmp_path / "out" / "report.json").read_text())["lines"]
    assert [line["status"] for line in told] == ["done", "failed"] and told[0]["own"]["actor"] == "M"
    shown = Report("a", "a.npz", "done", contacts=10, missed_contacts=1, confidence=0.9, warnings="x")
    assert shown.doubt == pytest.approx(0.37) and replace(shown, missed_contacts=0).doubt == 0.25
