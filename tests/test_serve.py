"""The service: jobs over HTTP with a token, limits, and nothing of this machine that can be read through it."""

import json
import signal
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from pathlib import Path

import pytest
from stand_ins import batch_work

from kmtalk_core.command.batch.report import Outcome
from kmtalk_core.command.cli import main
from kmtalk_core.command.serve import jobs as service
from kmtalk_core.command.serve.client import Client
from kmtalk_core.command.serve.command import TOKEN_FILE, token_of
from kmtalk_core.command.serve.sounds import check_sound, ending_of
from kmtalk_core.command.serve.watch import watch
from kmtalk_core.errors import InputError, KMTalkError

TOKEN = "a-token-that-nobody-guesses"
WAV = b"RIFF\x24\0\0\0WAVEfmt "


@pytest.fixture
def sound(tmp_path):
    path = tmp_path / "Größe 1.wav"
    path.write_bytes(WAV + b"sound")
    return path


@contextmanager
def served(folder, longest=10, limit=10**6, keep=3600.0):
    """The service on a free port, with a stand-in for the model; yields a client."""
    uvicorn = pytest.importorskip("uvicorn")
    pytest.importorskip("fastapi")
    pytest.importorskip("multipart")
    from kmtalk_core.command.serve.app import make_app

    jobs = service.Jobs(folder, 1, longest, keep)
    config = uvicorn.Config(make_app(jobs, TOKEN, limit), host="127.0.0.1", port=0, log_level="error")
    listening = config.bind_socket()
    listening.listen()
    server = uvicorn.Server(config)
    server.install_signal_handlers = lambda: None
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
    thread.start()
    try:
        yield Client(f"http://127.0.0.1:{listening.getsockname()[1]}", TOKEN)
    finally:
        server.should_exit = True
        thread.join(30)
        listening.close()
        jobs.close()


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setattr(service, "WORK", "stand_ins.batch_work:make_worker")
    (tmp_path / "service").mkdir()
    return tmp_path / "service"


def refused(client, path, token=TOKEN, method="GET", **headers):
    """The status with which a request is answered."""
    import urllib.error
    import urllib.request

    request = urllib.request.Request(client._address + path, headers={"Authorization": f"Bearer {token}", **headers})
    request.method = method
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        return error.code


def test_a_sound_is_sent_made_fetched_and_removed(folder, sound, tmp_path):
    with served(folder) as client:
        job = client.send(sound, {"transcript": "hello", "seed": 3})
        status = client.wait(job)
        assert (status["state"], status["name"], status["files"]) == ("done", "Größe 1.wav", ["line.npz"])
        assert status["figures"]["duration"] == 1.0
        (made,) = client.fetch(status, tmp_path / "got.npz")
        lines = [service.line_of(path, {"seed": 3}) for path in folder.glob("job-*")]
        assert made == tmp_path / "got.npz" and made.read_bytes() == batch_work.content(lines[0])
        client.remove(job)
        assert refused(client, f"/v1/jobs/{job}") == 404 and not list(folder.glob("job-*"))


def test_how_far_a_job_is_can_be_seen(folder, sound, tmp_path, capsys):
    with served(folder) as client:
        job = client.send(sound, {"transcript": "half"})
        while (status := client.look(job, 30.0, 0.3))["progress"] == 0.0:
            assert status["state"] in ("waiting", "running")
        assert (status["state"], status["progress"], status["doing"]) == ("running", 0.4, "listening")
        seen = []

        def look(share, doing):
            seen.append((share, doing))
            (folder / "go on").touch()

        threading.Thread(target=lambda: look(*(client.look(job)[name] for name in ("progress", "doing")))).start()
        done = client.wait(job, look)
        assert (0.4, "listening") in seen and (done["progress"], done["doing"]) == (1.0, "")
        (folder / "token").write_text(TOKEN)
        command = ["send", str(sound), "--out", str(tmp_path / "out.npz"), "--server", client._address]
        command += ["--token-file", str(folder / "token"), "--transcript", "half", "--progress", "json"]
        assert main(command) == 0
        told = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
        assert any(0.3 < line["progress"] < 0.5 and line["message"] == "listening" for line in told)


def test_nothing_of_this_machine_is_read_or_told(folder, sound, tmp_path):
    secret = tmp_path / "secret.txt"
    secret.write_text("secret")
    with served(folder) as client:
        for settings in (
            {"audio": str(secret)}, {"alignment": str(secret)}, {"transcript_file": str(secret)}, {"mesh": str(secret)},
            {"corrections": str(secret)}, {"out": "../x"}, {"style": "/etc/my.style"}, {"jaww": 1},
            {"target": str(secret) + ".json"}, {"jaw": "9"}, {"transcript": {}}, {"formats": "exe"},
        ):  # fmt: skip
            with pytest.raises(KMTalkError, match="The service refused it: ") as told:
                client.send(sound, settings)
            assert str(tmp_path) not in str(told.value).replace(str(secret), "")
        playlist = tmp_path / "list.wav"
        for text in ("#EXTM3U\n#EXTINF:1,\nfile:///etc/passwd\n", "ffconcat version 1.0\nfile '/etc/passwd'\n", ""):
            playlist.write_text(text)
            with pytest.raises(KMTalkError, match="no sound file that is known here"):
                client.send(playlist, {})
        status = client.wait(client.send(sound, {}))
        for name in ("..%2f..%2fsecret.txt", "sound.wav", "%2e%2e/token", "line.npz%00", "/etc/passwd"):
            assert refused(client, f"/v1/jobs/{status['id']}/files/{name}") in (404, 405)
        with pytest.raises(KMTalkError, match="ZeroDivisionError") as told:
            client.wait(client.send(sound, {"transcript": "fault"}))
        assert str(folder) not in str(told.value)
        assert len(list(folder.glob("job-*"))) == 2  # what was refused left nothing


def test_only_with_the_token_and_only_on_this_machine(folder, sound):
    with served(folder) as client:
        assert refused(client, "/v1/jobs", "wrong") == 401 and refused(client, "/v1/jobs") == 200
        assert refused(client, "/v1/jobs", Host="evil.example") == 400  # a name that was bent to this machine
        with pytest.raises(KMTalkError, match="token is missing or wrong"):
            Client(client._address, "wrong").send(sound, {})
        about = json.loads(client._ask("GET", "/openapi.json"))
        assert {"/v1/jobs", "/v1/jobs/{id}", "/v1/jobs/{id}/files/{name}"} == set(about["paths"])
        assert {"get", "delete"} == set(about["paths"]["/v1/jobs/{id}"])


def test_sizes_and_the_queue_have_limits(folder, sound, tmp_path):
    with served(folder, longest=1, limit=100_000) as client:
        large = tmp_path / "large.wav"
        large.write_bytes(WAV + bytes(200_000))
        with pytest.raises(KMTalkError, match=r"are not taken|No service answers"):  # or it hangs up while we send
            client.send(large, {})
        hanging = client.send(sound, {"transcript": "hang"})
        while client.look(hanging)["state"] == "waiting":
            time.sleep(0.02)
        waiting = client.send(sound, {})
        assert client.look(waiting)["state"] == "waiting"
        with pytest.raises(KMTalkError, match="The queue is full"):
            client.send(sound, {})
        client.remove(waiting)
        assert client.look(waiting)["state"] == "cancelled"
        client.remove(hanging)
        assert client.look(hanging, 30.0)["state"] == "cancelled"
        with pytest.raises(KMTalkError, match="It was cancelled"):
            client.wait(hanging)
        assert client.wait(client.send(sound, {}))["state"] == "done"  # with a new worker


def test_a_worker_that_dies_costs_its_job(folder, sound):
    with served(folder) as client:
        assert client.wait(client.send(sound, {"transcript": "crash once"}))["state"] == "done"
        with pytest.raises(KMTalkError, match="died twice"):
            client.wait(client.send(sound, {"transcript": "crash"}))
        assert client.wait(client.send(sound, {}))["state"] == "done"


def test_results_are_forgotten_after_a_while(folder, sound):
    left = folder / "job-left"
    left.mkdir()
    with served(folder, keep=0.0) as client:
        job = client.send(sound, {})
        until = time.monotonic() + 60
        while refused(client, f"/v1/jobs/{job}") == 200 and time.monotonic() < until:
            time.sleep(0.05)
        assert refused(client, f"/v1/jobs/{job}") == 404
        assert not list(folder.glob("job-*"))


def test_the_command_sends_and_fetches(folder, sound, tmp_path, capsys, monkeypatch):
    (tmp_path / "t").write_text(TOKEN)
    with served(folder) as client:
        send = ["send", str(sound), "--server", client._address, "--out", str(tmp_path / "x.npz")]
        assert main(send) == 2 and "There is no token" in capsys.readouterr().err
        assert main([*send, "--token-file", str(tmp_path / "t"), "--jaw", "0.5"]) == 0
        assert (tmp_path / "x.npz").is_file() and not list(folder.glob("job-*"))
    monkeypatch.setenv("KMTALK_TOKEN", TOKEN)
    assert main(send) == 1 and "No service answers at" in capsys.readouterr().err


def test_the_token_is_for_its_owner_alone_and_stays(tmp_path):
    token = token_of(tmp_path / "new")
    assert len(token) > 30 and token_of(tmp_path / "new") == token
    assert (tmp_path / "new" / TOKEN_FILE).stat().st_mode & 0o077 == 0
    (tmp_path / "new" / TOKEN_FILE).write_text("short")
    with pytest.raises(InputError, match="too short"):
        token_of(tmp_path / "new")


def test_sounds_are_known_by_their_first_bytes(tmp_path):
    from kmtalk_core.assets import SAMPLE_SPEECH

    check_sound(SAMPLE_SPEECH)
    assert (ending_of("a.WAV"), ending_of("../b.x/y"), ending_of("c.tar.gz"), ending_of("d.w v")) == (
        ".wav",
        "",
        ".gz",
        "",
    )


def test_a_folder_is_watched_and_what_is_still_written_waits(tmp_path):
    made, looks = [], []
    path = tmp_path / "a.wav"

    def animate(lines):
        made.append(list(lines))
        return Outcome((), Path("report.csv"))

    def wait(seconds):
        looks.append(seconds)
        if len(looks) <= 3:
            path.write_bytes(b"x" * len(looks))  # somebody is writing it
        if len(looks) == 8:
            (tmp_path / "bad").write_text("bad")
        return len(looks) < 12

    def lines():
        if (tmp_path / "bad").exists():
            raise InputError("bad")
        return [path.read_bytes()]

    news = list(watch(tmp_path, lines, animate, wait))
    assert made == [[b"xxx"]] and isinstance(news[0], Outcome) and isinstance(news[1], InputError) and len(news) == 2


def test_a_watched_folder_cannot_hold_its_results(tmp_path, capsys):
    assert main(["watch", str(tmp_path), "--out", str(tmp_path / "out")]) == 2
    assert "would be taken for news" in capsys.readouterr().err
    assert main(["watch", str(tmp_path / "no"), "--out", str(tmp_path / "out")]) == 2


def test_the_service_ends_when_it_is_told_to_and_tells_of_a_port_in_use(tmp_path):
    pytest.importorskip("fastapi")
    pytest.importorskip("uvicorn")
    command = [sys.executable, "-m", "kmtalk_core", "serve", "--workers", "1", "--folder", str(tmp_path)]
    running = subprocess.Popen([*command, "--port", "0"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    address = running.stdout.readline().split(",")[0]
    assert refused(Client(address, token_of(tmp_path)), "/v1/jobs", token_of(tmp_path)) == 200
    port = address.rpartition(":")[2]
    other = subprocess.run([*command, "--port", port], capture_output=True, text=True, check=False)
    assert other.returncode == 1 and f"The port {port} is in use" in other.stderr
    running.send_signal(signal.SIGTERM)
    _, said = running.communicate(timeout=60)
    assert running.returncode == 0 and not said
