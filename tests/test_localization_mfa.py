"""The Montreal Forced Aligner's command line, driven through a stand-in that behaves as the real program."""

import json
import os
import re
import shutil
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import numpy as np
import pytest

from kmtalk_core.audio import SAMPLE_RATE, Sound
from kmtalk_core.errors import Cancelled, InputError, KMTalkError
from kmtalk_core.localization.installed import Aligner, find_mfa, mfa_models
from kmtalk_core.localization.mfa import Spoken, Utterance, align, align_all, explained, spoken_by
from kmtalk_core.localization.textgrid import load_alignment
from kmtalk_core.localization.tools import Tools
from kmtalk_core.phones import CONSONANTS, VOWELS

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="the stand-in is a script with a #! line")

STAND_IN = Path(__file__).parent / "stand_ins" / "mfa.py"
ARPABET = {*CONSONANTS, *(vowel + stress for vowel in VOWELS for stress in "012")}
WORDS = """big\t0.99\t0.2\t1.0\t1.0\tB IH1 G
blue\tB L UW1
boat\tB OW1 T
the\t0.5\tDH AH0
the\tDH IY0
sixty\tS IH1 K S T IY0
five\tF AY1 V
"""


class Installed:
    """A stand-in MFA in a conda environment, with a dictionary and an acoustic model."""

    def __init__(self, folder: Path, monkeypatch) -> None:
        self.monkeypatch = monkeypatch
        self.prefix = folder / "conda" / "envs" / "aligner"
        self.root = folder / "MFA"
        (self.prefix / "bin").mkdir(parents=True)
        (self.prefix / "conda-meta").mkdir()
        self.program = self.prefix / "bin" / "mfa"
        self.program.write_text(f"#!{sys.executable}\n{STAND_IN.read_text(encoding='utf-8')}", encoding="utf-8")
        self.program.chmod(0o755)
        self.put("dictionary", "english_us_arpa.dict", WORDS + "".join(f"x\t{p}\n" for p in sorted(ARPABET)))
        self.acoustic("english_us_arpa", ARPABET)
        monkeypatch.setenv("MFA_ROOT_DIR", str(self.root))
        monkeypatch.setenv("PATH", os.defpath)
        monkeypatch.setenv("HOME", str(folder))
        for name in ("CONDA_PREFIX", "CONDA_EXE", "MAMBA_ROOT_PREFIX", "CONDA_ROOT"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setattr(sys, "prefix", str(folder / "no-environment"))
        self.tools = Tools(mfa=str(self.program))

    def put(self, kind: str, name: str, text: str) -> Path:
        path = self.root / "pretrained_models" / kind / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return path

    def acoustic(self, name: str, phones, kind: str = "acoustic") -> None:
        path = self.put(kind, f"{name}.zip", "")
        with zipfile.ZipFile(path, "w") as file:
            file.writestr("meta.json", json.dumps({"phones": sorted(phones)}))

    def set(self, **wishes) -> None:
        self.monkeypatch.setenv("STAND_IN", json.dumps(wishes))

    def calls(self) -> list[list[str]]:
        return [json.loads(line) for line in (self.root / "calls.jsonl").read_text().splitlines()]


@pytest.fixture
def mfa(tmp_path, monkeypatch):
    return Installed(tmp_path, monkeypatch)


def sound_of(seconds: float) -> Sound:
    return Sound(np.sin(np.arange(round(SAMPLE_RATE * seconds)) / 5).astype(np.float32) * 0.3, "", "")


def said(text: str) -> tuple[Utterance, ...]:
    return (Utterance(text, 0.0, 0.0),)


def test_one_sound_is_aligned_by_align_one(mfa):
    alignment = align(sound_of(1.0), said("Big blue\nboat."), tools=mfa.tools)
    assert [w.label for w in alignment.words] == ["Big", "blue", "boat"]
    assert [p.label for p in alignment.phones] == ["SIL", "B", "IH", "G", "B", "L", "UW", "B", "OW", "T", "SIL"]
    assert alignment.words[0].start == pytest.approx(1 / 11) and alignment.duration == 1.0
    (call,) = mfa.calls()
    assert call[0] == "align_one" and "--single_speaker" in call and "--clean" in call and "--beam" not in call
    assert "--no_tokenization" not in call  # only from 3.3.5 on
    assert not Path(call[1]).parent.parent.exists()  # the temporary files are gone


def test_version_2_has_the_corpus_mode_only(mfa):
    mfa.set(version="2.2.17")
    alignment = align(sound_of(1.0), said("big boat"), tools=mfa.tools)
    assert [w.label for w in alignment.words] == ["big", "boat"]
    assert mfa.calls()[0][0] == "align"


def test_versions_are_checked(mfa):
    mfa.set(version="2.0.6")
    with pytest.raises(KMTalkError, match=r"MFA 2\.0\.6 is too old, 2\.2\.12 is needed; run `conda update"):
        find_mfa(mfa.tools)
    # What conda noted is believed without starting MFA, which takes seconds.
    (mfa.prefix / "conda-meta" / "montreal-forced-aligner-3.3.8-pyhd8ed1ab_0.json").write_text("{}")
    assert find_mfa(mfa.tools) == Aligner(mfa.program, (3, 3, 8))
    mfa.set(version="3.3.8")
    align(sound_of(1.0), said("big boat"), tools=mfa.tools)
    assert "--no_tokenization" in mfa.calls()[0]


def test_mfa_is_found_in_conda_environments_and_on_the_path(mfa, tmp_path, monkeypatch):
    with pytest.raises(KMTalkError, match="not installed; run `conda create -n aligner -c conda-forge"):
        find_mfa(Tools())
    (tmp_path / ".conda").mkdir()
    (tmp_path / ".conda" / "environments.txt").write_text(f"{tmp_path / 'gone'}\n{mfa.prefix}\n")
    assert find_mfa(Tools()).program == mfa.program
    assert find_mfa(Tools(mfa="aligner")).program == mfa.program
    assert find_mfa(Tools(mfa=str(mfa.prefix))).program == mfa.program
    assert find_mfa(Tools.from_environment({"KMTALK_MFA": "aligner"})).program == mfa.program
    with pytest.raises(KMTalkError, match="no MFA at elsewhere; name its program or its conda environment"):
        find_mfa(Tools(mfa="elsewhere"))
    (tmp_path / ".conda" / "environments.txt").unlink()
    conda = tmp_path / "conda.sh"
    conda.write_text(f'#!/bin/sh\n[ "$*" = \'env list --json\' ] && echo \'{{"envs": ["{mfa.prefix}"]}}\'\n')
    conda.chmod(0o755)
    monkeypatch.setenv("CONDA_EXE", str(conda))
    assert find_mfa(Tools()).program == mfa.program
    monkeypatch.delenv("CONDA_EXE")
    monkeypatch.setenv("PATH", f"{mfa.prefix / 'bin'}{os.pathsep}{os.defpath}")
    assert find_mfa(Tools()).program == mfa.program


def test_unknown_words_are_spoken_by_our_own_g2p(mfa):
    alignment = align(sound_of(3.0), said("The NASA kmtal costs 65"), tools=mfa.tools)
    assert [w.label for w in alignment.words] == ["The", "NASA", "kmtal", "costs", "65"]  # two words are said for 65
    labels = [p.label for p in alignment.phones]
    assert "AH" not in labels[-10:] and labels[-10:-1] == ["S", "IH", "K", "S", "T", "IY", "F", "AY", "V"]
    assert labels[3:7] == ["N", "AE", "S", "AH"]


def test_unknown_words_are_spoken_by_mfas_g2p_model(mfa):
    mfa.acoustic("english_g2p", (), "g2p")
    tools = Tools(mfa=str(mfa.program), mfa_g2p="english_g2p")
    alignment = align(sound_of(2.0), said("the kmtal"), tools=tools)
    assert [p.label for p in alignment.phones][3:-1] == ["K", "M", "T", "AA", "L"]
    assert [call[0] for call in mfa.calls()] == ["g2p", "align_one"]
    missing = Tools(mfa=str(mfa.program), mfa_g2p="other")
    with pytest.raises(KMTalkError, match=r"lacks a g2p model other \(installed: english_g2p\); run `mfa mod"):
        align(sound_of(2.0), said("the kmtal"), tools=missing)


def test_our_g2p_speaks_in_the_dictionarys_phones():
    assert spoken_by("boat", frozenset(ARPABET)) == ["B OW1 T"]
    assert spoken_by("boat", frozenset(("b", "ow", "tʰ"))) == ["b ow tʰ"]
    assert spoken_by("boat", frozenset(("B", "OW", "T"))) == ["B OW T"]
    assert spoken_by("about", frozenset(ARPABET))[0] == "AH0 B AW1 T"
    assert spoken_by("boat", frozenset("xyz")) == []


def test_a_text_that_fits_badly_is_searched_with_a_wider_beam(mfa):
    align(sound_of(0.2), said("big blue boat"), tools=mfa.tools)
    assert [("--beam" in call) for call in mfa.calls()] == [False, True]
    with pytest.raises(KMTalkError, match=r"did not find the text in the sound; check that the transcript"):
        align(sound_of(0.1), said("big blue boat big blue boat"), tools=mfa.tools)


def test_many_sounds_are_one_corpus(mfa):
    texts = ["big", "blue boat", "big blue boat big blue boat", "…"]
    lines = [Spoken(lambda s=s: sound_of(s), said(text)) for s, text in zip((0.5, 1.0, 0.1, 1.0), texts, strict=True)]
    told = []
    found = align_all(lines, mfa.tools, progress=lambda share, doing: told.append(share))
    assert [w.label for a in found[:2] for w in a.words] == ["big", "blue", "boat"]
    assert [a.duration for a in found[:2]] == [0.5, 1.0]
    assert "did not find the text" in str(found[2]) and isinstance(found[3], KMTalkError)
    assert told == sorted(told)
    # What did not fit is tried again with a wider beam, alone.
    assert [call[0] for call in mfa.calls()] == ["align", "align_one"] and "--beam" in mfa.calls()[1]


def test_long_sounds_are_given_in_utterances(mfa):
    parts = (Utterance("big boat", 0.0, 1.0), Utterance("blue boat", 3.0, 4.0))
    alignment = align(sound_of(4.0), parts, tools=mfa.tools)
    assert [w.label for w in alignment.words] == ["big", "boat", "blue", "boat"]
    assert alignment.words[1].end < 1.0 and alignment.words[2].start > 3.0


@pytest.mark.parametrize("form", ["long_textgrid", "short_textgrid", "json"])
def test_every_output_of_mfa_is_read(mfa, tmp_path, monkeypatch, form):
    monkeypatch.setattr("kmtalk_core.localization.mfa.OUTPUT", form)
    kept = tmp_path / f"kept.{form}"
    real = load_alignment
    monkeypatch.setattr("kmtalk_core.localization.mfa.load_alignment", lambda p: (shutil.copy(p, kept), real(p))[1])
    alignment = align(sound_of(1.0), said("big boat"), tools=mfa.tools)
    assert [w.label for w in alignment.words] == ["big", "boat"]
    assert kept.read_text().startswith("{" if form == "json" else 'File type = "ooTextFile"')


@pytest.mark.parametrize(
    ("tools", "sentence"),
    [
        (
            {"mfa_acoustic": "german"},
            "an acoustic model german (installed: english_us_arpa); run `mfa model download acous",
        ),
        (
            {"mfa_dictionary": "german"},
            "a dictionary german (installed: english_us_arpa); run `mfa model download dict",
        ),
        ({"mfa_acoustic": "gone.zip"}, "cannot find gone.zip; check the path"),
    ],
)
def test_missing_models_are_named_with_the_command(mfa, tools, sentence):
    with pytest.raises(KMTalkError) as caught:
        align(sound_of(1.0), said("big boat"), tools=Tools(mfa=str(mfa.program), **tools))
    assert sentence in str(caught.value) and "\n" not in str(caught.value)


def test_models_that_do_not_belong_together(mfa):
    mfa.acoustic("english_mfa", ("b", "ɪ", "ɡ"))
    tools = Tools(mfa=str(mfa.program), mfa_acoustic="english_mfa")
    with pytest.raises(KMTalkError, match=r"have different phones \(B, G, IH1\); choose a pair that belongs together"):
        align(sound_of(1.0), said("big"), tools=tools)


@pytest.mark.parametrize(
    ("told", "sentence"),
    [
        ("sqlalchemy.exc.OperationalError: (psycopg2.OperationalError) connection", "disable_use_postgres"),
        ("exceptions.RootDirectoryError: RootDirectoryError:\n\nCould not create", "MFA_ROOT_DIR"),
        ("exceptions.ModelLoadError: ModelLoadError:\n\ncould not be parsed as an MFA model.", "download it again"),
        ("ModuleNotFoundError: No module named '_kalpy'", "conda create -n aligner"),
        ("ThirdpartyError: Could not find 'fstcompile'.", "conda create -n aligner"),
        ("OSError: [Errno 28] No space left on device", "free some space"),
        ("exit status 139", "ended by the system"),
        ("│ something │\n│ nobody expected │", r"MFA 3\.2\.1 failed \(nobody expected\)"),
    ],
)
def test_what_mfa_says_becomes_a_sentence(told, sentence):
    found = explained(told, Tools(), Aligner(Path("mfa"), (3, 2, 1)))
    assert re.search(sentence, found) and "\n" not in found and found.endswith(".")


def test_faults_of_the_program_are_told(mfa):
    mfa.set(fault="database", message="There was an error connecting to the global MFA database server.")
    with pytest.raises(KMTalkError, match="could not reach its database"):
        align(sound_of(1.0), said("big boat"), tools=mfa.tools)


def test_a_transcript_without_words(mfa):
    with pytest.raises(InputError, match="no words"):
        align(sound_of(1.0), said("[laughs] …"), tools=mfa.tools)


def alive(process: int) -> bool:
    """Whether a process outlives its kill by more than a busy machine needs for it."""
    for _ in range(200):
        try:
            state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            return False
        if state == "Z":
            return False
        time.sleep(0.05)
    return True


def test_cancelling_ends_mfa_and_its_children(mfa, tmp_path):
    noted = tmp_path / "processes"
    mfa.set(hang=str(noted))

    def progress(share, doing):
        if noted.exists() and noted.read_text():
            raise Cancelled("Cancelled.")

    began = time.monotonic()
    with pytest.raises(Cancelled):
        align(sound_of(1.0), said("big boat"), tools=mfa.tools, progress=progress)
    assert time.monotonic() - began < 60  # it would sleep for two minutes
    first, second, work = noted.read_text().split(maxsplit=2)
    assert not Path(work).exists()
    if Path("/proc/self/stat").exists():
        assert not alive(int(first)) and not alive(int(second))


def test_mfa_ends_with_its_parent(mfa, tmp_path):
    """Blender cancels by killing the worker: what that started, and its temporary files, must not stay."""
    noted = tmp_path / "processes"
    mfa.set(hang=str(noted))
    code = (
        "import numpy as np\nfrom kmtalk_core.audio import Sound\nfrom kmtalk_core.localization.mfa import *\n"
        f"sound, tools = Sound(np.full(16000, 0.1, np.float32), '', ''), Tools(mfa={str(mfa.program)!r})\n"
        "align(sound, [Utterance('big', 0, 0)], tools=tools)"
    )
    parent = subprocess.Popen([sys.executable, "-c", code], cwd=Path(__file__).parent.parent)
    until = time.monotonic() + 60
    while not (noted.exists() and noted.read_text()) and time.monotonic() < until and parent.poll() is None:
        time.sleep(0.05)
    parent.kill()
    parent.wait()
    first, second, work = noted.read_text().split(maxsplit=2)
    while Path(work).parent.exists() and time.monotonic() < until:
        time.sleep(0.05)
    assert not Path(work).parent.exists()
    if Path("/proc/self/stat").exists():
        assert not alive(int(first)) and not alive(int(second))


def test_installed_models_are_listed(mfa):
    assert mfa_models("acoustic") == ["english_us_arpa"] and mfa_models("g2p") == []
