"""The preferences: which Python works, the GPU environment that they create, and the self-check."""

import json
import sys
from dataclasses import asdict
from pathlib import Path

import bpy
import pytest

import kmtalk_addon
from kmtalk_addon import compat, environment, preferences
from kmtalk_addon.session import current, sentence
from kmtalk_core.command.doctor import Finding, format_report
from kmtalk_core.errors import KMTalkError
from kmtalk_core.service import environment as environments
from kmtalk_core.service.protocol import Examine


class Chosen:
    """Preferences as a user may have left them."""

    interpreter = "ENVIRONMENT"
    python = "/some/python"
    environment_folder = ""
    environment_python = ""
    torch_device = "cpu"
    with_whisper = False
    mirror = " https://mirror.example/simple "
    torch_index = ""


@pytest.fixture
def chosen(monkeypatch, tmp_path):
    """The preferences in use; online access is allowed."""
    settings = Chosen()
    settings.environment_folder = str(tmp_path / "env")
    monkeypatch.setattr(preferences, "own", lambda context: settings)
    monkeypatch.setattr(compat, "online_access", lambda: True)
    yield settings
    current.stop()
    current.findings, current.environment_error = (), ""


def finished(folder, device):
    """Make `folder` look like an environment that was built to its end."""
    python = environments.python_of(folder)
    python.parent.mkdir(parents=True)
    python.touch()
    test = {
        "device": device,
        "torch": "2.9",
        "times_real_time": 90.0,
        "embedded_times_real_time": 30,
        "difference": 1e-5,
    }
    note = {"kmtalk": environments.__version__, "test": test, "done": [], "plan": {}}
    (Path(folder) / environments.NOTE).write_text(json.dumps(note))
    return python


def test_the_interpreter_follows_the_choice(chosen):
    assert preferences.interpreter(None) == ("", "auto"), "an environment that is not ready does not count"
    python = finished(chosen.environment_folder, "Some Card")
    assert preferences.interpreter(None) == (str(python), "torch")
    chosen.interpreter = "PYTHON"
    assert preferences.interpreter(None) == ("/some/python", "auto")
    chosen.interpreter = "EMBEDDED"
    assert preferences.interpreter(None) == ("", "auto")


def test_torch_without_a_graphics_card_is_left_alone(chosen):
    python = finished(chosen.environment_folder, "CPU")
    assert preferences.interpreter(None) == (str(python), "auto")


def test_the_plan_is_what_the_preferences_say(chosen):
    plan = environment.plan_of(chosen)
    assert (plan.device, plan.speech, plan.index) == ("cpu", False, "https://mirror.example/simple")
    assert plan.python == sys.executable and Path(plan.core, "kmtalk_core").is_dir()
    chosen.torch_device = "auto"
    assert environment.plan_of(chosen).device == environments.suggested_device()


def test_nothing_is_downloaded_unless_blender_may_go_online(chosen, monkeypatch):
    monkeypatch.setattr(compat, "online_access", lambda: False)
    with pytest.raises(KMTalkError, match="Allow Online Access"):
        environment.begin(None)
    assert current.environment is None and not Path(chosen.environment_folder).exists()


def test_whisper_downloads_nothing_offline(chosen, monkeypatch):
    for name in preferences._TOOLS:
        setattr(chosen, name, "")
    chosen.allow_download = True
    assert preferences.tools(None) == {"allow_download": True}
    monkeypatch.setattr(compat, "online_access", lambda: False)
    assert preferences.tools(None) == {}


def test_creating_tells_how_far_it_is_and_ends(chosen, monkeypatch):
    news = [environments.News(0.25, "installing torch"), environments.News(1.0, "ready")]
    monkeypatch.setattr(environments, "build", lambda plan: (each for each in news))
    environment.begin(None)
    assert (current.environment_fraction, current.environment_message) == (0.25, "installing torch")
    assert environment.step() and current.environment_fraction == 1.0
    assert not environment.step() and current.environment is None


def test_cancelling_closes_the_work(chosen, monkeypatch):
    closed = []

    def build(plan):
        try:
            while True:
                yield environments.News(0.1, "downloading")
        finally:
            closed.append(True)

    monkeypatch.setattr(environments, "build", build)
    environment.begin(None)
    environment.end()
    assert closed and current.environment is None and not environment.step()


def test_the_self_check_tells_of_blender_and_of_the_workers_python(blender):
    steps = environment.self_check()
    assert isinstance(next(steps), Examine)
    with pytest.raises(StopIteration) as done:
        steps.send({"findings": [asdict(Finding("onnxruntime", True, "1.31.1", where="/there"))]})
    assert done.value.value.summary == "Everything that KMTalk needs works"
    found = {finding.part: finding for finding in current.findings}
    assert found["Blender"].works and found["Blender"].state.startswith(bpy.app.version_string)
    assert found["onnxruntime"].where == "/there"
    assert format_report(list(current.findings)).startswith("ok      Blender")
    current.findings = ()


def test_the_report_names_what_is_missing_and_how_to_get_it():
    findings = [
        Finding("av", False, "missing; for sounds", "pip install av"),
        Finding("numpy", True, "2.0", where="/x"),
    ]
    report = format_report(findings)
    assert "MISSING av" in report and "pip install av" in report and "2.0  [/x]" in report
    assert report.endswith("Needed and missing: av.")


def test_errors_are_sentences():
    assert sentence(KMTalkError("Choose a mesh.")) == "Choose a mesh."
    assert sentence(OSError(28, "No space left on device", "x")).startswith("The disk is full; free some space")


@pytest.mark.parametrize(
    ("version", "says"),
    [
        ((4, 1, 0), "KMTalk is for Blender 4.2 to 5.2, not 4.1"),
        ((4, 2, 3), ""),
        ((5, 2, 9), ""),
        ((5, 3, 0), "look for a"),
    ],
)
def test_blenders_outside_the_range_get_a_sentence(version, says):
    found = compat.out_of_range(version, ".".join(map(str, version)))
    assert says in found and bool(found) == bool(says)


def test_a_blender_that_is_too_old_is_told_so(monkeypatch, capsys):
    monkeypatch.setattr(compat, "TOO_OLD", True)
    monkeypatch.setattr(compat, "OUT_OF_RANGE", "KMTalk is for Blender 4.2 to 5.2, not 4.1.0; please use one of these.")
    kmtalk_addon.register()
    kmtalk_addon.unregister()
    assert "KMTalk is for Blender 4.2 to 5.2" in capsys.readouterr().out and not hasattr(bpy.types.Scene, "kmtalk")


@pytest.mark.parametrize("given", ["//python", "python3", "../python"])
def test_paths_that_depend_on_the_opened_file_are_refused(chosen, given):
    chosen.interpreter, chosen.python = "PYTHON", given
    with pytest.raises(
        KMTalkError, match=r"Python in KMTalk's preferences \(.*\) is no full path; choose it there again"
    ):
        preferences.interpreter(None)
    chosen.interpreter, chosen.environment_folder = "ENVIRONMENT", given
    with pytest.raises(KMTalkError, match=r"Folder .* is no full path"):
        preferences.interpreter(None)
    chosen.environment_python = given
    with pytest.raises(KMTalkError, match=r"is no full path"):
        environment.plan_of(chosen)
    for name in preferences._TOOLS:
        setattr(chosen, name, "")
    chosen.whisper_python = given
    with pytest.raises(KMTalkError, match=r"is no full path"):
        preferences.tools(None)


def test_a_path_chosen_beside_a_file_is_kept_in_full(blender, tmp_path):
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "shot.blend"))
    beside = Chosen()
    beside.python = "//bin/python"
    preferences._kept_full("python")(beside, None)
    assert beside.python == str(tmp_path / "bin" / "python")


def test_the_copied_report_does_not_tell_who_you_are(monkeypatch):
    monkeypatch.setattr(Path, "home", classmethod(lambda cls: cls("/home/erika")))
    monkeypatch.setattr(environment, "_user", lambda: "erika")
    monkeypatch.setattr(environment.platform, "node", lambda: "studio-7")
    text = (
        "ok  add-on  [/home/erika/.config/blender]  (/home/erika)\nffmpeg /home/other/bin/ffmpeg\n"
        "C:\\Users\\Erika M\\x C:/Users/Max/x /Users/max/y\n/media/erika/disk on studio-7; erikas /mnt/studio-70"
    )
    said = environment.without_names(text)
    assert said.splitlines()[0] == "ok  add-on  [~/.config/blender]  (~)"
    assert "other" not in said and "Max" not in said and "max" not in said and "/home/USER/bin/ffmpeg" in said
    assert said.splitlines()[-1] == "/media/USER/disk on COMPUTER; erikas /mnt/studio-70"
