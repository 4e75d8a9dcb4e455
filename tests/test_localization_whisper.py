"""Whisper in a process of its own: through stand-ins for its packages everywhere, and with the real one where it is.

The real one loads a checkpoint of random weights in the official format.
"""

import importlib.metadata
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from kmtalk_core.audio import SAMPLE_RATE, Sound
from kmtalk_core.errors import Cancelled, InputError, KMTalkError
from kmtalk_core.localization.installed import find_recognisers
from kmtalk_core.localization.tools import Tools
from kmtalk_core.localization.whisper import transcribe, transcribe_all

STAND_INS = Path(__file__).parent / "stand_ins"
SAY = {"say": [["Two,", 0.1, 0.4], ["bears.", 0.5, 0.9]], "tokens": 51864}

needs_scripts = pytest.mark.skipif(sys.platform == "win32", reason="the stand-in's Python is a script with a #! line")


class Installed:
    """An environment whose Python has stand-ins for Whisper's packages."""

    def __init__(self, folder: Path, monkeypatch, *packages: str) -> None:
        self.folder = folder
        site = folder / "env" / "lib" / "python3.11" / "site-packages"
        site.mkdir(parents=True)
        (folder / "env" / "bin").mkdir()
        self.python = folder / "env" / "bin" / "python3"
        # -S: nothing of this Python's own packages but numpy.
        self.python.write_text(f'#!/bin/sh\nPYTHONPATH="{site}" exec "{sys._base_executable}" -S "$@"\n')
        self.python.chmod(0o755)
        for package in packages:
            module = {"openai-whisper": "whisper", "faster-whisper": "faster_whisper"}[package]
            shutil.copytree(STAND_INS / module, site / module)
            noted = site / f"{package.replace('-', '_')}-9.9.dist-info"
            noted.mkdir()
            (noted / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 9.9\n")
        shutil.copy(STAND_INS / "ctranslate2.py", site)
        for part in Path(np.__file__).parent.parent.glob("numpy*"):
            (site / part.name).symlink_to(part)
        monkeypatch.setenv("XDG_CACHE_HOME", str(folder / "cache"))
        self.cache = folder / "cache" / "whisper"
        self.cache.mkdir(parents=True)

    def tools(self, **wishes) -> Tools:
        return Tools(whisper_python=str(self.python), **wishes)

    def model(self, name: str, **content) -> str:
        path = self.cache / name
        path.write_text(json.dumps({**SAY, **content}))
        return str(path)


@pytest.fixture
def openai(tmp_path, monkeypatch):
    return Installed(tmp_path, monkeypatch, "openai-whisper")


def sound_of(seconds: float) -> Sound:
    return Sound(np.sin(np.arange(round(SAMPLE_RATE * seconds)) / 5).astype(np.float32) * 0.3, "", "")


@needs_scripts
def test_words_come_with_times(openai):
    openai.model("tiny.en.pt")
    told = []
    heard = transcribe(
        sound_of(1.0), "tiny.en", tools=openai.tools(), progress=lambda share, doing: told.append((share, doing))
    )
    assert heard.text == "Two, bears." and heard.model == "tiny.en" and heard.language == "en"
    assert [(w.label, w.start, w.end, w.probability) for w in heard.words] == [
        ("Two,", 0.1, 0.4, 0.9),
        ("bears.", 0.5, 0.9, 0.9),
    ]
    assert told[0] == (0.0, "looking for Whisper") and sorted(told, key=lambda t: t[0]) == told
    assert not list(openai.folder.glob("kmtalk-*"))


@needs_scripts
def test_one_process_hears_many_sounds(openai):
    openai.model("tiny.en.pt")
    heard = transcribe_all([lambda: sound_of(1.0), lambda: sound_of(2.0)], openai.tools())
    assert [t.text for t in heard] == ["Two, bears."] * 2


@needs_scripts
def test_the_best_installed_model_is_used_and_the_language_counts(openai):
    openai.model("tiny.en.pt")
    openai.model("small.en.pt")
    openai.model("tiny.pt", tokens=51865)
    assert transcribe(sound_of(1.0), tools=openai.tools()).model == "small.en"
    german = transcribe(sound_of(1.0), language="de", tools=openai.tools())
    assert (german.model, german.language) == ("tiny", "de")
    assert transcribe(sound_of(1.0), "tiny", tools=openai.tools()).language == "de"  # what was heard


@needs_scripts
def test_a_checkpoint_may_lie_anywhere(openai, tmp_path):
    mine = Path(shutil.move(openai.model("tiny.en.pt"), tmp_path / "my own.pt"))
    assert transcribe(sound_of(1.0), str(mine), tools=openai.tools()).model == "my own"
    with pytest.raises(InputError, match=r"no Whisper model .*gone\.pt; check the path"):
        transcribe(sound_of(1.0), str(tmp_path / "gone.pt"), tools=openai.tools())
    (tmp_path / "folder").mkdir()
    with pytest.raises(KMTalkError, match=r"needs faster-whisper; run `pip install faster-whisper`"):
        transcribe(sound_of(1.0), str(tmp_path / "folder"), tools=openai.tools())


@needs_scripts
def test_nothing_is_downloaded_unless_that_is_allowed(openai, monkeypatch):
    with pytest.raises(KMTalkError, match=r"lacks a model; run .*whisper\.load_model\('small\.en'\).*--allow-download"):
        transcribe(sound_of(1.0), tools=openai.tools())
    with pytest.raises(KMTalkError, match=r"lacks the model tiny\.en; run .*load_model\('tiny\.en'\)"):
        transcribe(sound_of(1.0), "tiny.en", tools=openai.tools())
    with pytest.raises(KMTalkError, match=r"could not download the model tiny\.en .*Name or service.*internet\."):
        transcribe(sound_of(1.0), "tiny.en", tools=openai.tools(allow_download=True))
    assert not list(openai.cache.iterdir())  # half of a model would be taken for it next time
    monkeypatch.setenv("STAND_IN_ONLINE", "1")
    assert transcribe(sound_of(1.0), "tiny.en", tools=openai.tools(allow_download=True)).text == "down loaded"


@needs_scripts
@pytest.mark.parametrize(
    ("content", "wishes", "sentence"),
    [
        ({"fault": "memory"}, {}, "needs more memory than there is .*choose a smaller one"),
        ({"fault": "other"}, {}, r"Whisper failed \(ValueError: odd fault\)"),
        ({}, {"whisper_device": "cuda"}, "cannot use cuda here; choose another device"),
        ({}, {"whisper_model": "gigantic"}, "has no model gigantic; it has tiny.en, tiny, small.en"),
    ],
)
def test_failures_are_one_sentence(openai, content, wishes, sentence):
    openai.model("tiny.en.pt", **content)
    with pytest.raises(KMTalkError, match=sentence) as caught:
        transcribe(sound_of(1.0), tools=openai.tools(**wishes))
    assert "\n" not in str(caught.value) and str(caught.value).endswith(".")


@needs_scripts
def test_a_damaged_model(openai):
    (openai.cache / "tiny.en.pt").write_text("PK, but not much more")
    with pytest.raises(KMTalkError, match=r"cannot read the model .*tiny\.en\.pt .*; get the file again"):
        transcribe(sound_of(1.0), tools=openai.tools())


@needs_scripts
def test_faster_whisper_stands_in_where_it_has_the_model(tmp_path, monkeypatch):
    both = Installed(tmp_path, monkeypatch, "openai-whisper", "faster-whisper")
    assert [r.engine for r in find_recognisers(both.tools())] == ["openai-whisper", "faster-whisper"]
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "words.json").write_text(json.dumps(SAY))
    heard = transcribe(sound_of(1.0), str(folder), tools=both.tools())
    assert (heard.text, heard.model, heard.words[0].probability) == ("Two, bears.", "model", 0.8)
    with pytest.raises(KMTalkError, match=r"lacks a model; run `[^`]*whisper\.load_model"):  # the first one's remedy
        transcribe(sound_of(1.0), tools=both.tools())


@needs_scripts
def test_whisper_is_found(openai, tmp_path, monkeypatch):
    with pytest.raises(KMTalkError, match=r"no Python at /nowhere; correct KMTALK_WHISPER_PYTHON"):
        find_recognisers(Tools.from_environment({"KMTALK_WHISPER_PYTHON": "/nowhere"}))
    assert find_recognisers(Tools(whisper_python=str(openai.python.parent.parent)))[0].python == openai.python
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr("importlib.metadata.version", lambda name: (_ for _ in ()).throw(
        importlib.metadata.PackageNotFoundError(name)))  # fmt: skip
    (tmp_path / "empty").mkdir()
    monkeypatch.setenv("PATH", str(tmp_path / "empty"))
    for name in ("CONDA_PREFIX", "CONDA_EXE", "MAMBA_ROOT_PREFIX", "CONDA_ROOT"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(KMTalkError, match="not installed; run `pip install openai-whisper`"):
        find_recognisers(Tools())
    # In a conda environment:
    (openai.python.parent.parent / "conda-meta").mkdir()
    (tmp_path / ".conda").mkdir()
    (tmp_path / ".conda" / "environments.txt").write_text(f"{openai.python.parent.parent}\n")
    assert find_recognisers(Tools())[0].python == openai.python
    (tmp_path / ".conda" / "environments.txt").unlink()
    # By its command on the PATH:
    command = openai.python.with_name("whisper")
    command.write_text("#!/bin/sh\n")
    command.chmod(0o755)
    monkeypatch.setenv("PATH", str(command.parent))
    assert find_recognisers(Tools())[0].python == openai.python


@needs_scripts
def test_cancelling_ends_whisper(openai, tmp_path):
    noted = tmp_path / "process"
    openai.model("tiny.en.pt", hang=str(noted))

    def progress(share, doing):
        if noted.exists() and noted.read_text():
            raise Cancelled("Cancelled.")

    began = time.monotonic()
    with pytest.raises(Cancelled):
        transcribe(sound_of(1.0), tools=openai.tools(), progress=progress)
    assert time.monotonic() - began < 60
    assert ended(int(noted.read_text()))


def ended(process: int) -> bool:
    """Whether a killed process is gone, within the seconds that a busy machine may need for it."""
    for _ in range(200):
        state = Path(f"/proc/{process}/stat")
        try:
            if state.read_text().rpartition(")")[2].split()[0] == "Z":
                return True
        except OSError:
            return True
        time.sleep(0.05)
    return False


def real_python() -> str:
    """A Python with openai-whisper: this one, or the one that KMTALK_WHISPER_PYTHON names."""
    try:
        tools = Tools(whisper_python=os.environ.get("KMTALK_WHISPER_PYTHON", sys.executable))
        return next(str(r.python) for r in find_recognisers(tools) if r.engine == "openai-whisper")
    except (KMTalkError, StopIteration):
        pytest.skip("openai-whisper is not installed")


# As small as the format allows: 24 places for text, so that decoding ends soon although random weights never say so.
MAKE = """
import dataclasses, sys, torch, whisper
torch.manual_seed(0)
dims = whisper.model.ModelDimensions(80, 1500, 16, 1, 1, 51864, 24, 16, 1, 1)
model = whisper.model.Whisper(dims)
torch.save({"dims": dataclasses.asdict(dims), "model_state_dict": model.state_dict()}, sys.argv[1])
"""


def test_the_real_whisper_decodes_with_a_checkpoint_of_the_official_format(tmp_path):
    """Random weights hear random words; all the rest is as with the published ones."""
    python = real_python()
    checkpoint = tmp_path / "random.pt"
    subprocess.run([python, "-c", MAKE, str(checkpoint)], check=True, capture_output=True)
    tools = Tools(whisper_python=python, whisper_device="cpu", whisper_model=str(checkpoint))
    told = []
    sound = sound_of(0.6)
    heard = transcribe(sound, tools=tools, progress=lambda share, doing: told.append(doing))
    assert heard.model == "random" and heard.language == "en"
    assert told[-1] == "transcribing with Whisper random on cpu"
    assert all(0.0 <= w.start <= w.end and 0.0 <= w.probability <= 1.0 and w.label for w in heard.words)
    checkpoint.write_bytes(checkpoint.read_bytes()[:5000])
    with pytest.raises(KMTalkError, match=r"cannot read the model .*random\.pt"):
        transcribe_all([], tools)
