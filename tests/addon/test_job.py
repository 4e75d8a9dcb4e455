"""The worker process: warm, cancellable, and never the cause of more than one sentence."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import kmtalk_core
from kmtalk_addon.job import Job, Worker, start_code, worker_command
from kmtalk_core.errors import InputError, KMTalkError
from kmtalk_core.service.protocol import Advance, Animate, Ping, encode_answer, encode_request

CORE = str(Path(kmtalk_core.__file__).parents[1])

# A worker that prints what libraries print, reports progress, and then acts as the first argument of the request says.
NOISY = """
import sys, time, os
from kmtalk_core.service import worker
def serve(request, report):
    print("chatter of a library"); os.system("echo chatter of a child")
    report(0.5, "half")
    if request.audio == "sleep": time.sleep(60)
    if request.audio == "busy": time.sleep(3)
    if request.audio == "full": raise OSError(28, "No space left on device", "out.npz")
    if request.audio == "hang": os.kill(os.getpid(), 19)
    if request.audio == "bug": raise ValueError("42")
    if request.audio == "die": os.abort()
    if request.audio == "package": import a_package_that_is_not_there
    return {"read": request.audio}
worker.serve = serve
worker.main()
"""


@pytest.fixture
def worker():
    started = Worker(worker_command("", CORE))
    yield started
    started.kill()


@pytest.fixture
def noisy():
    started = Worker([sys.executable, "-c", f"import sys; sys.path.append({CORE!r})\n{NOISY}"])
    yield started
    started.kill()


def asks(*requests):
    """Steps that send these requests and return the details of their results."""
    details = []
    for request in requests:
        details.append((yield request))
    return details


def ignore(fraction: float, message: str) -> None:
    pass


def test_the_worker_stays_for_the_next_job(worker):
    first = Job(asks(Ping()), worker, ignore).wait()
    assert first[0]["version"] == kmtalk_core.__version__
    pid = worker.pid
    Job(asks(Ping(), Ping()), worker, ignore).wait()
    assert worker.pid == pid and worker.alive


def test_an_error_is_the_sentence_and_the_worker_lives_on(worker):
    with pytest.raises(KMTalkError, match=r"There is no sound file nowhere\.wav"):
        Job(asks(Animate("nowhere.wav", "out.npz")), worker, ignore).wait()
    assert Job(asks(Ping()), worker, ignore).wait()


def test_progress_arrives_and_prints_of_libraries_do_no_harm(noisy):
    heard = []
    job = Job(asks(Animate("ok", "")), noisy, lambda fraction, message: heard.append((fraction, message)))
    assert job.wait() == [{"read": "ok"}]
    assert heard == [(0.5, "half")]
    assert "chatter of a library" in noisy.log() and "chatter of a child" in noisy.log()


def test_a_bug_is_one_sentence_with_the_traceback_in_the_log(noisy):
    with pytest.raises(KMTalkError, match=r"ValueError: 42"):
        Job(asks(Animate("bug", "")), noisy, ignore).wait()
    assert "Traceback" in noisy.log() and noisy.alive


def test_a_missing_package_is_named(noisy):
    with pytest.raises(KMTalkError, match="lacks the package a_package_that_is_not_there"):
        Job(asks(Animate("package", "")), noisy, ignore).wait()


@pytest.mark.parametrize("how", ["die", "killed"])
def test_a_crash_is_one_sentence(noisy, how):
    job = Job(asks(Animate("die" if how == "die" else "sleep", "")), noisy, ignore)
    if how == "killed":
        os.kill(noisy.pid, signal.SIGTERM)
    with pytest.raises(KMTalkError, match="stopped unexpectedly") as error:
        job.wait()
    assert "\n" not in str(error.value)


def test_what_fails_is_raised_where_it_was_asked_for_and_the_work_may_go_on(noisy):
    def steps():
        told = []
        for audio in ("bug", "ok", "full", "die", "ok"):
            try:
                told.append((yield Animate(audio, ""))["read"])
            except KMTalkError as error:
                told.append(type(error).__name__)
        return told

    others = []

    def another():
        others.append(Worker(noisy.command))
        return others[-1]

    try:
        assert Job(steps(), noisy, ignore, another).wait() == ["KMTalkError", "ok", "KMTalkError", "WorkerGone", "ok"]
        assert len(others) == 1 and not noisy.alive
    finally:
        others[0].kill()


@pytest.mark.skipif(not hasattr(signal, "SIGPIPE"), reason="Windows has no SIGPIPE")
def test_a_worker_that_is_gone_does_not_take_blender_with_it():
    """Blender, unlike Python, leaves SIGPIPE as it is: who writes to a closed pipe is ended by it."""
    code = """
import signal, sys, time
signal.signal(signal.SIGPIPE, signal.SIG_DFL)
from kmtalk_addon.job import Worker
from kmtalk_core.service.protocol import Ping
worker = Worker([sys.executable, "-c", ""])
while worker.alive: time.sleep(0.01)
for _ in range(3): worker.send(Ping()); time.sleep(0.1)
worker.kill()
print("still here", flush=True)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=CORE, check=False)
    assert done.stdout.strip().endswith("still here"), (done.returncode, done.stderr)


def test_cancelling_takes_effect_at_once_and_closes_the_steps(noisy):
    closed = []

    def steps():
        try:
            yield Animate("sleep", "")
        finally:
            closed.append(True)

    job = Job(steps(), noisy, ignore)
    begin = time.monotonic()
    assert not job.poll()
    job.cancel()
    assert time.monotonic() - begin < 5 and closed and not noisy.alive


@pytest.mark.skipif(os.name == "nt", reason="Windows cannot stop a process for a while")
def test_a_worker_that_hangs_is_ended(noisy):
    job = Job(asks(Animate("hang", "")), noisy, ignore)
    with pytest.raises(KMTalkError, match=r"no sign of life for 1 s and was ended"):
        while not job.poll(timeout=0.05):
            job._wait_no_longer_than(1.0)
    assert not noisy.alive


@pytest.mark.skipif(os.name == "nt", reason="Windows cannot stop a process for a while")
def test_a_stopped_worker_does_not_keep_blender_waiting(noisy):
    Job(asks(Animate("ok", "")), noisy, ignore).wait()
    os.kill(noisy.pid, signal.SIGSTOP)
    begin = time.monotonic()
    job = Job(asks(Animate("long", "", transcript="word " * 200_000)), noisy, ignore)  # a pipe holds 64 kB
    assert not job.poll()
    job.cancel()
    assert time.monotonic() - begin < 1.0 and not noisy.alive


def test_a_long_request_arrives_whole(noisy):
    path = "long " * 200_000
    assert Job(asks(Animate(path, "")), noisy, ignore).wait() == [{"read": path}]


def test_the_worker_works_in_a_folder_of_its_python(worker, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    started = Worker([sys.executable, "-c", "import os, sys; print(os.getcwd(), file=sys.stderr)"])
    started._process.wait()
    assert started.log().strip() == str(Path(sys.executable).parent)


def test_a_busy_worker_gives_signs_of_life(noisy):
    job = Job(asks(Animate("busy", "")), noisy, ignore)
    while not job.poll(timeout=0.05):
        job._wait_no_longer_than(1.9)
    assert job.result == [{"read": "busy"}]


def test_a_full_disk_is_one_sentence(noisy):
    with pytest.raises(KMTalkError, match=r"^The disk is full; free some space"):
        Job(asks(Animate("full", "")), noisy, ignore).wait()
    assert noisy.alive


def test_wrong_input_is_told_from_other_errors(worker):
    with pytest.raises(InputError):
        Job(asks(Animate("nowhere.wav", "out.npz")), worker, ignore).wait()


def test_a_worker_that_nobody_listens_to_stops_in_the_midst_of_work():
    command = [sys.executable, "-c", f"import sys; sys.path.append({CORE!r})\n{NOISY}"]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    process.stdin.write(encode_request(1, Animate("sleep", "")) + "\n")
    process.stdin.flush()
    assert process.stdout.readline()  # at work, for a minute
    process.stdout.close()
    assert process.wait(timeout=20) == 0


def test_the_users_python_settings_do_not_reach_the_worker(tmp_path, monkeypatch):
    (tmp_path / "numpy.py").write_text("raise ImportError('not this one')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setenv("PYTHONHOME", "/nowhere")
    monkeypatch.setenv("PYTHONSTARTUP", "/nowhere")
    started = Worker(worker_command("", CORE))
    try:
        assert Job(asks(Ping()), started, ignore).wait()
    finally:
        started.kill()


def test_bundled_packages_win_over_the_pythons_own_but_not_over_the_standard_library(tmp_path):
    for name in ("numpy", "json"):
        (tmp_path / f"{name}.py").write_text("bundled = True")
    code = "import json, numpy; print(hasattr(numpy, 'bundled'), hasattr(json, 'bundled'))"
    command = start_code("", ([str(tmp_path)], []), code)
    assert subprocess.check_output(command, text=True).split() == ["True", "False"]
    command = start_code("", ([], [str(tmp_path)]), code)
    assert subprocess.check_output(command, text=True).split() == ["False", "False"]


def test_workers_side_by_side_do_not_disturb_each_other():
    workers = [Worker(worker_command("", CORE)) for _ in range(3)]
    jobs = [Job(asks(Ping()), worker, ignore) for worker in workers]
    try:
        assert all(job.wait() for job in jobs) and len({worker.pid for worker in workers}) == 3
    finally:
        for worker in workers:
            worker.kill()


def test_a_python_that_is_not_there():
    with pytest.raises(KMTalkError, match=r"Cannot start the Python /nowhere/python .*preferences"):
        Worker(worker_command("/nowhere/python", CORE))


def test_a_python_without_the_packages_is_named(tmp_path):
    bare = subprocess.run(
        [sys.executable, "-m", "venv", "--without-pip", str(tmp_path / "bare")], capture_output=True, check=False
    )
    assert bare.returncode == 0
    python = tmp_path / "bare" / ("Scripts" if os.name == "nt" else "bin") / "python"
    started = Worker(worker_command(str(python), CORE))
    with pytest.raises(KMTalkError, match="numpy"):
        Job(asks(Ping()), started, ignore).wait()


def test_the_worker_ends_when_its_input_closes():
    process = subprocess.Popen(worker_command("", CORE), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    out, _ = process.communicate(encode_request(7, Ping()) + "\nnonsense\n", timeout=60)
    answers = out.splitlines()
    assert process.returncode == 0
    assert answers[0].startswith('{"event": "result", "id": 7') and '"event": "error", "id": 0' in answers[1]


def test_messages_are_single_lines_of_ascii():
    line = encode_answer(Advance(3, 0.25, "Größe\n"))
    assert "\n" not in line and line.isascii()


def test_a_worker_that_talks_nonsense_is_one_sentence():
    started = Worker([sys.executable, "-c", "import time; print('hello', flush=True); time.sleep(60)"])
    with pytest.raises(KMTalkError, match="stopped unexpectedly"):
        Job(asks(Ping()), started, ignore).wait()
