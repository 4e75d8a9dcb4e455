"""The paper's way, and Whisper with our own aligner, through the stand-ins for Whisper's and MFA's programs."""

import sys
import wave

import numpy as np
import pytest
from test_localization_mfa import Installed as InstalledMfa
from test_localization_whisper import Installed as InstalledWhisper
from test_localization_whisper import sound_of

from kmtalk_core.errors import KMTalkError
from kmtalk_core.localization import localize
from kmtalk_core.localization.tools import Tools
from kmtalk_core.localization.whisper import HeardWord, Transcript
from kmtalk_core.localization.whisper_mfa import localize_many, localize_whisper_mfa, utterances_of

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="the stand-ins are scripts with a #! line")


@pytest.fixture
def both(tmp_path, monkeypatch):
    mfa = InstalledMfa(tmp_path / "mfa", monkeypatch)
    whisper = InstalledWhisper(tmp_path / "whisper", monkeypatch, "openai-whisper")
    whisper.model("tiny.en.pt", say=[["Big,", 0.1, 0.4], ["boat.", 0.5, 0.9]])
    return mfa, whisper, Tools(whisper_python=str(whisper.python), mfa=str(mfa.program))


def test_a_transcript_goes_straight_to_mfa(both):
    _, whisper, tools = both
    whisper.model("tiny.en.pt", fault="other")
    alignment = localize(sound_of(1.0), "big\nblue boat", "whisper-mfa", tools=tools)
    assert alignment.source == "whisper-mfa" and [w.label for w in alignment.words] == ["big", "blue", "boat"]


def test_without_a_transcript_whisper_is_asked(both):
    _, whisper, tools = both
    alignment = localize(sound_of(1.0), None, "whisper-mfa", tools=tools)
    assert [w.label for w in alignment.words] == ["Big", "boat"]
    assert [p.label for p in alignment.phones][1:4] == ["B", "IH", "G"]
    whisper.model("tiny.en.pt", say=[])
    with pytest.raises(KMTalkError, match="heard no words"):
        localize(sound_of(1.0), None, "whisper-mfa", tools=tools)


def test_many_lines_with_and_without_transcripts(both):
    mfa, _, tools = both
    sounds = [(lambda: sound_of(1.0), text) for text in ("blue boat", None, "…", "big")]
    shares = []
    found = localize_many(sounds, lambda share, doing: shares.append(share), tools=tools)
    assert [[w.label for w in a.words] for a in (found[0], found[1], found[3])] == [
        ["blue", "boat"],
        ["Big", "boat"],
        ["big"],
    ]
    assert isinstance(found[2], KMTalkError) and shares == sorted(shares)
    assert [call[0] for call in mfa.calls()] == ["align"]


def test_all_that_is_missing_is_told_at_once(both):
    tools = Tools(whisper_python="/nowhere", mfa="/nowhere")
    with pytest.raises(KMTalkError, match=r"no MFA at /nowhere.*no Python at /nowhere"):
        localize_whisper_mfa(sound_of(1.0), None, tools=tools)
    with pytest.raises(KMTalkError, match=r"no MFA at /nowhere; name its program or its conda environment\.$"):
        localize_whisper_mfa(sound_of(1.0), "big", tools=tools)


def test_whisper_with_our_own_aligner(both):
    pytest.importorskip("pocketsphinx")
    _, whisper, tools = both

    def posteriors(sound):
        log = np.full((round(sound.duration * 50), 40), np.log(1 / 40), np.float32)
        return log, 50.0

    alignment = localize(sound_of(1.0), None, "whisper", posteriors, tools=tools)
    assert alignment.source.startswith("whisper+") and alignment.duration == 1.0
    # A transcript needs no Whisper.
    whisper.model("tiny.en.pt", fault="other")
    assert not localize(sound_of(1.0), "big boat", "whisper", posteriors, tools=tools).source.startswith("whisper")


def test_long_speech_is_cut_at_pauses():
    words = [HeardWord(f"w{i}", i * 2.0, i * 2.0 + 1.0, 0.9) for i in range(20)]
    parts = utterances_of(Transcript(tuple(words), "en", "tiny"))
    assert [len(part.text.split()) for part in parts] == [15, 5]
    assert parts[0].end == parts[1].start == 29.5 and parts[0].start == 0.0
    assert len(utterances_of(Transcript(tuple(words[:5]), "en", "tiny"))) == 1


def test_a_batch_aligns_its_lines_together(both, tmp_path, monkeypatch):
    from kmtalk_core.command.batch.manifest import Line
    from kmtalk_core.command.batch.together import align_together

    mfa, whisper, _ = both
    monkeypatch.setenv("KMTALK_MFA", str(mfa.program))
    monkeypatch.setenv("KMTALK_WHISPER_PYTHON", str(whisper.python))
    for name in "abc":
        write_wav(tmp_path / f"{name}.wav", sound_of(1.0))
    lines = [
        (0, Line(audio=tmp_path / "a.wav", out="a.npz", transcript="big boat", localizer="whisper-mfa")),
        (1, Line(audio=tmp_path / "b.wav", out="b.npz", localizer="whisper-mfa")),
        (2, Line(audio=tmp_path / "c.wav", out="c.npz", localizer="auto")),
        (3, Line(audio=tmp_path / "gone.wav", out="gone.npz", localizer="whisper-mfa")),
    ]
    aligned, failed = align_together(lines, lambda share, doing: None)
    assert {i: [w.label for w in a.words] for i, a in aligned.items()} == {0: ["big", "boat"], 1: ["Big", "boat"]}
    assert list(failed) == [3] and failed[3].status == "failed" and "gone.wav" in failed[3].error
    assert [call[0] for call in mfa.calls()] == ["align"]


def test_the_doctor_tells_where_the_tools_are(both, monkeypatch):
    from kmtalk_core.command.doctor import mfa_finding, whisper_finding

    mfa, whisper, _ = both
    monkeypatch.setenv("KMTALK_MFA", str(mfa.program))
    monkeypatch.setenv("KMTALK_WHISPER_PYTHON", str(whisper.python))
    assert mfa_finding().works and "3.2.1" in mfa_finding().state
    assert whisper_finding().works and "openai-whisper 9.9" in whisper_finding().state
    monkeypatch.setenv("KMTALK_MFA_ACOUSTIC", "german_mfa")
    assert not mfa_finding().works and mfa_finding().remedy == "mfa model download acoustic german_mfa"
    monkeypatch.setenv("KMTALK_MFA", "/nowhere")
    assert "no MFA at /nowhere" in mfa_finding().remedy


def write_wav(path, sound):
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16000)
        file.writeframes((sound.samples * 32767).astype("<i2").tobytes())
