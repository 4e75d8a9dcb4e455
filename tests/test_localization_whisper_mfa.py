"""The paper's localizer, driven with stand-ins that behave like Whisper and the Montreal Forced Aligner."""

import sys
import time
import types

import numpy as np
import pytest

from kmtalk_core.audio import SAMPLE_RATE, Sound
from kmtalk_core.errors import Cancelled, KMTalkError
from kmtalk_core.localization import localize

# Takes the arguments of `mfa align_one`, and gives each letter of the text the same time.
STAND_IN = """#!{python}
import sys, time, wave
command, sound, text, dictionary, acoustic, out, option, value = sys.argv[1:]
assert command == "align_one" and (option, value) == ("--output_format", "long_textgrid")
assert dictionary == acoustic == "english_us_arpa"
{extra}
with wave.open(sound) as file:
    assert (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (16000, 1, 2)
    duration = file.getnframes() / 16000
words = open(text, encoding="utf-8").read().split()
step = duration / len(words)
def tier(number, name, label):
    rows = "".join(
        f'intervals [{{i + 1}}]:\\nxmin = {{i * step}}\\nxmax = {{(i + 1) * step}}\\ntext = "{{label(w)}}"\\n'
        for i, w in enumerate(words))
    return (f'item [{{number}}]:\\nclass = "IntervalTier"\\nname = "{{name}}"\\nxmin = 0\\nxmax = {{duration}}\\n'
            f'intervals: size = {{len(words)}}\\n' + rows)
with open(out, "w", encoding="utf-8") as file:
    file.write(f'File type = "ooTextFile"\\nObject class = "TextGrid"\\n\\nxmin = 0\\nxmax = {{duration}}\\n'
               'tiers? <exists>\\nsize = 2\\nitem []:\\n')
    file.write(tier(1, "words", str) + tier(2, "phones", lambda w: w[0].upper() + "AH1"[1:] if w[0] == "a" else "B"))
"""

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="the stand-in is a script with a #! line")


@pytest.fixture
def sound():
    return Sound(np.sin(np.arange(SAMPLE_RATE) / 5).astype(np.float32) * 0.3, "", "")


def install_mfa(tmp_path, monkeypatch, extra=""):
    path = tmp_path / "mfa"
    path.write_text(STAND_IN.format(python=sys.executable, extra=extra), encoding="utf-8")
    path.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))


def install_whisper(monkeypatch, text):
    class Model:
        device = types.SimpleNamespace(type="cpu")

        def transcribe(self, samples, fp16):
            assert samples.dtype == np.float32 and samples.ndim == 1 and not fp16
            return {"text": text}

    module = types.ModuleType("whisper")
    module.__spec__ = types.SimpleNamespace(origin="whisper")
    module.load_model = lambda name: Model()
    monkeypatch.setitem(sys.modules, "whisper", module)


def test_a_transcript_goes_straight_to_mfa(sound, tmp_path, monkeypatch):
    install_mfa(tmp_path, monkeypatch)
    alignment = localize(sound, "big\nblue bear's boat", "whisper-mfa")
    assert alignment.source == "whisper-mfa" and alignment.duration == 1.0
    assert [(w.label, w.start) for w in alignment.words] == [
        ("big", 0),
        ("blue", 0.25),
        ("bear's", 0.5),
        ("boat", 0.75),
    ]
    assert {p.label for p in alignment.phones} == {"B"}


def test_without_a_transcript_whisper_is_asked(sound, tmp_path, monkeypatch):
    install_mfa(tmp_path, monkeypatch)
    install_whisper(monkeypatch, " Two bears.")
    assert [w.label for w in localize(sound, None, "whisper-mfa").words] == ["Two", "bears."]
    install_whisper(monkeypatch, "")
    with pytest.raises(KMTalkError, match="heard no words"):
        localize(sound, None, "whisper-mfa")


def test_missing_tools_are_named_with_the_way_to_get_them(sound, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setitem(sys.modules, "whisper", None)
    with pytest.raises(
        KMTalkError, match=r"needs the Montreal Forced Aligner \(conda install.*and openai-whisper \(pip"
    ):
        localize(sound, None, "whisper-mfa")
    with pytest.raises(KMTalkError, match="needs the Montreal Forced Aligner") as caught:
        localize(sound, "hello", "whisper-mfa")
    assert "whisper (pip" not in str(caught.value)


def test_mfas_failure_is_one_sentence(sound, tmp_path, monkeypatch):
    install_mfa(tmp_path, monkeypatch, "print('Error: no model english_us_arpa', file=sys.stderr); sys.exit(1)")
    with pytest.raises(KMTalkError, match=r"MFA failed \(Error: no model.*mfa model download acoustic") as caught:
        localize(sound, "hello", "whisper-mfa")
    assert "\n" not in str(caught.value)


def test_output_that_is_no_textgrid(sound, tmp_path, monkeypatch):
    install_mfa(tmp_path, monkeypatch, "open(out, 'w').write('nothing'); sys.exit(0)")
    with pytest.raises(KMTalkError, match="MFA's output cannot be used"):
        localize(sound, "hello", "whisper-mfa")


def test_cancel_ends_mfa(sound, tmp_path, monkeypatch):
    install_mfa(tmp_path, monkeypatch, f"open({str(tmp_path / 'pid')!r}, 'w').close(); time.sleep(60)")

    def progress(share, doing):
        if (tmp_path / "pid").exists():
            raise Cancelled("Cancelled.")

    began = time.monotonic()
    with pytest.raises(Cancelled):
        localize(sound, "hello", "whisper-mfa", progress=progress)
    assert time.monotonic() - began < 20
