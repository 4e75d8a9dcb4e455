"""The training corpus: voices with phone times, texts, augmentation, real speech."""

from __future__ import annotations

import dataclasses
import json
import sys
from pathlib import Path

import numpy as np
import pocketsphinx
import pytest

from kmtalk_core.phones import PHONE_INDEX, SILENCE, VOWELS
from training.corpus import SAMPLE_RATE, Label, Utterance, __main__, augment, real, revoice, stress, voices
from training.corpus.text import Writer

SPEECH = Path(__file__).parents[2] / "shared/data/speech"
TEXT = "My father took a bottle of butter to the garden party."
CONSONANTS = ["M", "F", "DH", "T", "K", "B", "T", "L", "V", "B", "T", "T", "DH", "G", "D", "N", "P", "T"]


@pytest.fixture(params=voices.ENGINES)
def engine(request: pytest.FixtureRequest) -> str:
    """A voice engine that is installed here."""
    if missing := voices.available(request.param):
        pytest.skip(missing)
    return request.param


@pytest.fixture
def clicks() -> Utterance:
    """Two clicks in silence, each in the middle of its own phone of 0.1 s."""
    samples = np.zeros(2 * SAMPLE_RATE, np.float32)
    labels = []
    for phone, at in (("T", 0.5), ("K", 1.5)):
        samples[round(at * SAMPLE_RATE) + np.arange(-16, 16)] = 0.5 * (-1.0) ** (np.arange(32) // 4)
        labels.append(Label(phone, at - 0.05, at + 0.05))
    return Utterance(samples, tuple(labels), "test", "clicks", "nobody")


def writer() -> Writer:
    return Writer(Path(pocketsphinx.get_model_path("en-us/cmudict-en-us.dict")))


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def assert_on_phones(utterance: Utterance) -> None:
    """The loudest sample of each phone lies in its middle, and the loudest of all is in a phone."""
    for label in utterance.labels:
        first, last = (round(time * SAMPLE_RATE) for time in (label.start, label.end))
        peak = (first + np.argmax(np.abs(utterance.samples[first:last]))) / SAMPLE_RATE
        assert peak == pytest.approx((label.start + label.end) / 2, abs=0.004)


def test_voice_says_the_phones_of_the_text(engine: str) -> None:
    (utterance,) = voices.speak(engine, [TEXT], [rng(3)])
    heard = [label.phone for label in utterance.labels if label.phone != SILENCE]
    assert set(heard) <= set(PHONE_INDEX)
    # Accents and dictionaries differ in vowels, and drop R.
    assert [phone for phone in heard if phone not in VOWELS and phone != "R"] == CONSONANTS
    assert utterance.labels[-1].end == pytest.approx(utterance.duration)


def test_voice_is_quiet_in_its_silences(engine: str) -> None:
    (utterance,) = voices.speak(engine, ["Stop it! Now, look at the azure sky."], [rng(1)])
    loud = np.abs(utterance.samples) > 0.1 * np.abs(utterance.samples).max()
    times = np.arange(len(loud)) / SAMPLE_RATE
    silent = [s for s in utterance.labels if s.phone == SILENCE and s.end - s.start > 0.1]
    for label in silent:
        assert loud[(times > label.start + 0.03) & (times < label.end - 0.03)].mean() < 0.02
    spoken = np.concatenate([loud[(times > x.start) & (times < x.end)] for x in utterance.labels if x not in silent])
    assert spoken.mean() > 0.1


def test_stops_begin_with_their_closure(engine: str) -> None:
    (utterance,) = voices.speak(engine, ["A copper pepper."], [rng(2)])
    level = np.sqrt(np.mean(utterance.samples**2))
    inner = [label for label in utterance.labels if label.phone == "P" and label.start > 0.3]
    assert inner
    for label in inner:
        first = utterance.samples[round((label.start + 0.015) * SAMPLE_RATE) :][: SAMPLE_RATE // 50]
        assert np.sqrt(np.mean(first**2)) < 0.5 * level


def test_unknown_engine_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    assert "flite" in voices.available("flite")


def test_texts_are_seeded_and_varied() -> None:
    assert writer().write(rng(7)) == writer().write(rng(7))
    texts = [writer_.write(rng(i)) for writer_ in [writer()] for i in range(200)]
    assert len(set(texts)) == 200
    assert not any("{" in text or "_" in text for text in texts)
    assert 8 < np.mean([len(text.split()) for text in texts]) < 24
    assert any("?" in text for text in texts) and any("!" in text for text in texts)


def test_file_covers_the_whole_sound(tmp_path: Path, clicks: Utterance) -> None:
    spoken = (dataclasses.replace(clicks.labels[0], stress=1, confidence=0.25), clicks.labels[1])
    dataclasses.replace(clicks, labels=spoken).save(tmp_path / "deep" / "x.npz")
    with np.load(tmp_path / "deep" / "x.npz") as file:
        assert file["phone_labels"].tolist() == [SILENCE, "T", SILENCE, "K", SILENCE]
        assert file["phone_starts"].tolist() == pytest.approx([0.0, 0.45, 0.55, 1.45, 1.55])
        assert file["phone_ends"].tolist() == pytest.approx([0.45, 0.55, 1.45, 1.55, 2.0])
        assert file["confidence"].tolist() == [1.0, 0.25, 1.0, 1.0, 1.0]
        assert file["stress"].tolist() == [0, 1, 0, 0, 0]
        assert file["samples"].dtype == np.int16 and len(file["samples"]) == 2 * SAMPLE_RATE


@pytest.mark.parametrize("factor", [0.85, 1.0, 1.18])
def test_resampling_takes_the_times_along(clicks: Utterance, factor: float) -> None:
    fast = augment.resample(clicks, factor)
    assert fast.duration == pytest.approx(clicks.duration / factor, abs=1e-4)
    assert fast.labels[1].start == pytest.approx(1.45 / factor, abs=1e-3)
    assert_on_phones(fast)


@pytest.mark.parametrize("seed", range(4))
def test_pauses_change_and_phones_stay_with_their_sound(clicks: Utterance, seed: int) -> None:
    gaps = [Label(SILENCE, 0.0, 0.45), Label(SILENCE, 0.55, 1.45), Label(SILENCE, 1.55, 2.0)]
    whole = dataclasses.replace(clicks, labels=(gaps[0], clicks.labels[0], gaps[1], clicks.labels[1], gaps[2]))
    varied = augment.vary_pauses(whole, rng(seed))
    assert abs(varied.duration - whole.duration) > 0.01
    assert varied.labels[-1].end == pytest.approx(varied.duration)
    phones = tuple(label for label in varied.labels if label.phone != SILENCE)
    assert all(label.end - label.start == pytest.approx(0.1, abs=1e-3) for label in phones)
    assert_on_phones(dataclasses.replace(varied, labels=phones))


def test_sound_effects_leave_the_phones_in_place(clicks: Utterance) -> None:
    quiet = np.random.default_rng(0).normal(0.0, 0.001, len(clicks.samples)).astype(np.float32)
    whole = clicks.samples + quiet
    effects = [augment.equalize(whole, rng()), augment.room(whole, rng(1)), augment.telephone(whole)]
    effects += [augment.codec(whole, *kind) for kind in augment.CODECS]
    for samples in effects:
        assert len(samples) == len(whole) and not np.array_equal(samples, whole)
        assert_on_phones(dataclasses.replace(clicks, samples=samples))


def test_noise_has_the_level_asked_for(clicks: Utterance) -> None:
    voice = np.sin(np.arange(SAMPLE_RATE) * 0.3).astype(np.float32)
    for seed in range(12):
        noise = augment.background(3 * SAMPLE_RATE, rng(seed), [voice])
        assert np.sqrt(np.mean(noise**2)) == pytest.approx(1.0, abs=1e-3)


def test_augmentation_is_seeded_and_leaves_some_clean(clicks: Utterance) -> None:
    made = [augment.augment(clicks, rng(seed), ()) for seed in range(80)]
    again = augment.augment(clicks, rng(5), ())
    assert np.array_equal(made[5].samples, again.samples) and made[5].labels == again.labels
    clean = sum(
        len(u.samples) == len(clicks.samples) and np.corrcoef(u.samples, clicks.samples)[0, 1] > 0.99999 for u in made
    )
    assert 0.15 < clean / len(made) < 0.4
    assert all(np.abs(u.samples).max() <= 1.0 for u in made)


def test_agreement_of_both_readings_makes_confidence() -> None:
    said = ("HH", "AH", "L", "OW", "M", "AY", "F", "R", "EH", "N")
    aligned = [(p, i * 0.1, i * 0.1 + 0.1, -25.0, -1.0) for i, p in enumerate(said)]
    heard = [(p, start, end) for p, start, end, *_ in aligned[:5]] + [("S", 0.5, 1.0)]
    confidence = [label.confidence for label in real.labels(real.Reading("", aligned, heard))]
    assert min(confidence[:3]) > 0.95
    assert max(confidence[7:]) < 0.35


def test_words_that_whisper_doubts_are_trusted_less() -> None:
    said = ("HH", "AH", "L", "OW", "M", "AY", "F", "R", "EH", "N")
    aligned = [(p, i * 0.1, i * 0.1 + 0.1, -25.0, 0.95 if i < 5 else 0.1) for i, p in enumerate(said)]
    heard = [(p, start, end) for p, start, end, *_ in aligned]
    confidence = [label.confidence for label in real.labels(real.Reading("hello my friend", aligned, heard))]
    assert min(confidence[:3]) > 0.95
    assert max(confidence[7:]) < 0.7


def test_stress_comes_from_the_dictionary() -> None:
    said = ["SIL", "M", "AY", "F", "AA", "DH", "ER", "SIL", "T", "UH", "K", "DH", "AH", "G", "IH", "T", "AA", "R"]
    labels = [Label(phone, 0.1 * i, 0.1 * i + 0.1) for i, phone in enumerate(said)]
    marked = stress.with_stress(labels, "My father took the guitar.")
    assert [(label.phone, label.stress) for label in marked if label.phone in VOWELS] == [
        ("AY", 0), ("AA", 1), ("ER", 0), ("UH", 1), ("AH", 0), ("IH", 0), ("AA", 1)
    ]  # fmt: skip
    assert all(label.stress == 0 for label in marked if label.phone not in VOWELS)


def test_stress_of_a_word_nobody_knows_is_unknown() -> None:
    labels = [Label(phone, 0.1 * i, 0.1 * i + 0.1) for i, phone in enumerate(["Z", "AO", "R", "B"])]
    assert [label.stress for label in stress.with_stress(labels, "Xzorbq")] == [0, stress.UNKNOWN, 0, 0]


def hummed() -> Utterance:
    """Half a second of silence, a second of a vowel at 120 Hz, half a second of silence."""
    time = np.arange(2 * SAMPLE_RATE) / SAMPLE_RATE
    samples = sum(np.sin(2 * np.pi * 120 * k * time) / k for k in range(1, 20)) * ((time > 0.5) & (time < 1.5))
    return Utterance((0.2 * samples).astype(np.float32), (Label("AA", 0.5, 1.5, 1),), "test", "hum", "nobody")


@pytest.mark.skipif(not revoice.available(), reason="pyworld is not installed.")
@pytest.mark.parametrize("manner", revoice.MANNERS)
def test_other_manners_keep_the_phones_with_their_sound(manner: str) -> None:
    spoken = revoice.revoice(hummed(), rng(1), manner)
    (vowel,) = (label for label in spoken.labels if label.phone == "AA")
    assert vowel.stress == 1 and manner in spoken.speaker
    loud = np.flatnonzero(np.abs(spoken.samples) > 0.2 * np.abs(spoken.samples).max()) / SAMPLE_RATE
    assert loud[0] == pytest.approx(vowel.start, abs=0.03)
    assert loud[-1] == pytest.approx(vowel.end, abs=0.03)
    assert spoken.labels[-1].end == pytest.approx(spoken.duration, abs=1e-3)


@pytest.mark.skipif(not revoice.available(), reason="pyworld is not installed.")
def test_a_whisper_has_no_pitch() -> None:
    def tonality(samples: np.ndarray) -> float:
        power = np.abs(np.fft.rfft(samples * np.hanning(len(samples)))) ** 2
        return float(power.max() / power.sum())

    said = hummed()
    assert tonality(revoice.revoice(said, rng(), "whispered").samples) < 0.2 * tonality(said.samples)


def test_speakers_for_judging_are_held_out(tmp_path: Path) -> None:
    for name in ("librispeech/103-1-0", "librispeech/104-1-0", "ljspeech/LJ001-0001", "ljspeech/LJ001-0009"):
        path = tmp_path / f"{name}.flac"
        path.parent.mkdir(exist_ok=True)
        path.touch()
    assert [path.stem for path, _, _ in real.recordings(tmp_path)] == ["104-1-0", "LJ001-0009"]


def test_real_speech_is_labelled(tmp_path: Path) -> None:
    clip = SPEECH / "ljspeech" / "LJ001-0029.flac"
    if not clip.exists():
        pytest.skip("No real speech in ../shared/data/speech.")
    (tmp_path / "ljspeech").mkdir()
    (tmp_path / "ljspeech" / clip.name).symlink_to(clip)
    found = list(real.utterances(tmp_path, tmp_path / "readings"))
    assert next(real.utterances(tmp_path, tmp_path / "readings"))[1].labels == found[0][1].labels
    labels = [label for _, utterance in found for label in utterance.labels]
    assert np.mean([label.confidence > 0 for label in labels]) > 0.6
    for _, utterance in found:
        times = [time for label in utterance.labels for time in (label.start, label.end)]
        assert times == sorted(times)


def test_command_makes_the_same_corpus_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if voices.available("espeak"):
        pytest.skip(voices.available("espeak"))
    monkeypatch.setattr(voices, "ENGINES", ("espeak",))
    for name in ("a", "b"):
        monkeypatch.setattr(sys, "argv", ["corpus", "--out", str(tmp_path / name), "--hours", "0.02"])
        assert __main__.main() == 0
    files = sorted(path.relative_to(tmp_path / "a") for path in (tmp_path / "a").glob("*/*.npz"))
    assert {path.parts[0] for path in files} == {"espeak", "noise"}
    for file in files:
        with np.load(tmp_path / "a" / file) as one, np.load(tmp_path / "b" / file) as other:
            assert np.array_equal(one["samples"], other["samples"])
            assert one["phone_ends"][-1] == pytest.approx(len(one["samples"]) / SAMPLE_RATE)
            assert np.array_equal(one["phone_starts"][1:], one["phone_ends"][:-1])
    # What exists stays; what is missing comes back as it was.
    before = (tmp_path / "b" / files[0]).read_bytes()
    (tmp_path / "a" / files[0]).unlink()
    (tmp_path / "a" / files[1]).write_bytes(before)
    monkeypatch.setattr(sys, "argv", ["corpus", "--out", str(tmp_path / "a"), "--hours", "0.02"])
    assert __main__.main() == 0
    assert (tmp_path / "a" / files[0]).read_bytes() == before == (tmp_path / "a" / files[1]).read_bytes()
    about = json.loads((tmp_path / "a" / "corpus.json").read_text())
    assert sum(source["utterances"] for source in about["sources"].values()) == len(files)
    assert about["minutes"] == pytest.approx(1.3, abs=0.5)


def test_command_names_a_wrong_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["corpus", "--out", str(tmp_path), "--real-speech", str(tmp_path)])
    assert __main__.main() == 1
    assert str(tmp_path) in capsys.readouterr().err


def test_a_voice_that_is_not_installed_is_named(monkeypatch) -> None:
    """festival comes without any voice; what it lacks is said before it fails."""
    monkeypatch.setattr(voices.shutil, "which", lambda engine: f"/usr/bin/{engine}")
    monkeypatch.setattr(voices, "_run", lambda command, text=b"": b"(kal_diphone)\n")
    voices._festival_lacks.cache_clear()
    try:
        assert "voice_cmu_us_slt_arctic_hts" in voices.available("festival")
        assert "festvox-us-slt-hts" in voices.available("festival")
    finally:
        voices._festival_lacks.cache_clear()
