"""`python -m benchmarks.localization [SECTION …]`: how well and how fast the localizers find phones and words.

Sections: `backends` (phone error, boundary error and processor time of each), `noise`, `tune` (what the constants of
`localization.posterior` do), `languages` (synthetic speech of espeak-ng, whose phone times are known). The speech lies
beside the repository in `../shared`, as for `benchmarks.judge`; further clips come from `--transcripts FILE`, JSON of
{sound file: what is said}, and are compared with PocketSphinx's forced alignment.
"""

from __future__ import annotations

import argparse
import difflib
import itertools
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from kmtalk_core.animator import Animator
from kmtalk_core.audio import SAMPLE_RATE, Sound, load_sound
from kmtalk_core.ears import ears_for
from kmtalk_core.localization import localize, posterior, sphinx
from kmtalk_core.localization.ipa import segments
from kmtalk_core.localization.text import spoken_text
from kmtalk_core.localization.textgrid import load_alignment
from kmtalk_core.phones import BILABIALS, LABIODENTALS, PHONES, SILENCE, Alignment, Phone, Word
from kmtalk_core.request import Request

from .clips import DEV, SHARED, JudgedClip, load_clips
from .measures import Observed, figures
from .stage import KMTalk, Take, watch

BY_HAND = "acoustic_corpus"
JUDGED = ("bilabial", "labiodental", "open_auc", "round_auc", "openness_r")  # of the figures of `measures`
TRILLS = ("r", "ɾ")
STEP = 0.01  # s at which phones are compared

VISEMES = (
    "SIL", "P B M", "F V", "TH DH", "T D N L", "S Z", "SH ZH CH JH", "K G NG HH", "R ER", "W UW UH", "OW AO OY",
    "AA AY AW AE", "AH EH", "EY IH IY Y",
)  # fmt: skip
VISEME_OF = {phone: number for number, phones in enumerate(VISEMES) for phone in phones.split()}


@dataclass(frozen=True)
class TimedClip:
    """A recording, what is said in it, and where: `words` by hand or none."""

    name: str
    sound: Sound
    text: str
    phones: tuple[Phone, ...]
    words: tuple[Word, ...]


class Listener:
    """The model's posteriors of sounds, each heard once."""

    def __init__(self) -> None:
        self._animator = Animator()
        self._heard: dict[int, tuple[Sound, np.ndarray, float]] = {}  # the sound too, so that its id stays its own

    def __call__(self, sound: Sound) -> tuple[np.ndarray, float]:
        if id(sound) not in self._heard:
            heard = self._animator._hear(sound, lambda share: None)
            self._heard[id(sound)] = sound, heard.posteriors_from_start(), heard.rate
        return self._heard[id(sound)][1:]


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.localization", description=__doc__.splitlines()[0])
    parser.add_argument("section", nargs="*", help=f"from {', '.join(SECTIONS)}; default: backends")
    parser.add_argument("--transcripts", type=Path, help="JSON of {sound file: what is said}: further clips")
    options = parser.parse_args()
    if unknown := [name for name in options.section if name not in SECTIONS]:
        parser.error(f"there is no section {unknown[0]}; choose from {', '.join(SECTIONS)}")
    if not DEV.is_file():
        print(f"The speech to measure on is not at hand ({SHARED}).")
        return 0
    sets = {"dev": list(dev_clips())}
    if options.transcripts:
        sets["further"] = list(further_clips(json.loads(options.transcripts.read_text(encoding="utf-8"))))
    for name in options.section or ["backends"]:
        print(f"\n{name}\n")
        for row in SECTIONS[name](sets):
            print(f"| {' | '.join(row)} |", flush=True)
    return 0


def dev_clips() -> Iterator[TimedClip]:
    """The clips of the judge; one has words marked by hand."""
    for clip in load_clips(DEV):
        by_hand = clip.name.startswith(BY_HAND)
        words = load_alignment(clip.path.with_suffix(".TextGrid")).words if by_hand else ()
        yield TimedClip(clip.name, load_sound(clip.path), clip.text, clip.phones, words)


def further_clips(texts: dict[str, str]) -> Iterator[TimedClip]:
    """Clips whose phones are those of PocketSphinx's forced alignment."""
    for path, text in texts.items():
        sound = load_sound(path)
        yield TimedClip(Path(path).name, sound, text, sphinx.align_transcript(sound, text).phones, ())


Localizer = Callable[[TimedClip], Alignment]


def localizers(listen: Listener) -> dict[str, Localizer]:
    """Name → what is measured; those with "forced" get the transcript."""
    return {
        "PocketSphinx, forced": lambda c: localize(c.sound, c.text, "pocketsphinx"),
        "posteriors, forced": lambda c: localize(c.sound, c.text, "posterior", listen),
        "PocketSphinx, free": lambda c: localize(c.sound, None, "pocketsphinx"),
        "PocketSphinx, all-phone": all_phone,
        "posteriors, free": lambda c: localize(c.sound, None, "posterior", listen),
        "recogniser": lambda c: localize(c.sound, None, "auto", listen, hear=ears_for(c.sound, Request())),
    }


def all_phone(clip: TimedClip) -> Alignment:
    """PocketSphinx's decoding with its phone language model, no words."""
    import pocketsphinx

    lm = pocketsphinx.get_model_path("en-us/en-us-phone.lm.bin")
    decoder = pocketsphinx.Decoder(samprate=SAMPLE_RATE, lm=None, allphone=lm, lw=2.0, loglevel="FATAL")
    decoder.start_utt()
    decoder.process_raw(sphinx._Stretches(clip.sound)(0.0, clip.sound.duration)(), full_utt=True)
    decoder.end_utt()
    phones = [
        Phone(
            s.word if s.word.isalpha() else SILENCE,
            s.start_frame / 100 - sphinx.PAD,
            (s.end_frame + 1) / 100 - sphinx.PAD,
        )
        for s in decoder.seg() or ()
    ]
    return Alignment.from_segments(phones, (), clip.sound.duration, "all-phone")


def backends(sets: dict[str, list[TimedClip]]) -> Iterator[Sequence[str]]:
    """The localizers side by side; the posteriors' time includes listening."""
    yield HEADER
    yield ["---"] * len(HEADER)
    for name, clips in sets.items():
        for label in localizers(Listener()):
            work = localizers(Listener())[label]  # that has heard nothing yet
            begin = cpu_time()
            found = [work(clip) for clip in clips]
            took = cpu_time() - begin
            figures = measured(clips, found)
            yield [name, label, *figures, f"{took / sum(c.sound.duration for c in clips):.4f}"]


def cpu_time() -> float:
    """Seconds that this process and its ended children computed: what else runs here does not count."""
    return sum(os.times()[:4])


HEADER = [
    "clips", "localizer", "phone error", "viseme error", "p b m found", "f v found", "phone boundaries, ms",
    "words wrong", "words by hand, ms", "CPU s per s",
]  # fmt: skip


def measured(clips: Sequence[TimedClip], found: Sequence[Alignment]) -> list[str]:
    """Phone error: edit distance to the reference's phones; viseme error: share of time with another one; boundaries:
    median and 90th percentile of the absolute error where phones or words agree; words wrong: edit distance to the
    transcript, both spoken out.
    """
    edits = total = word_edits = word_total = 0
    wrong, hits, phone_errors, word_errors = [], {BILABIALS: [], LABIODENTALS: []}, [], []
    for clip, alignment in zip(clips, found, strict=True):
        ours, theirs = spoken(alignment.phones), spoken(clip.phones)
        edits += edit_distance([p.label for p in ours], [p.label for p in theirs])
        total += len(theirs)
        times = np.arange(STEP / 2, clip.sound.duration, STEP)
        wrong.append(visemes(alignment.phones, times) != visemes(clip.phones, times))
        for group, found_there in hits.items():
            for phone in (p for p in theirs if p.label in group):
                near = (o for o in ours if o.start < phone.end + 1 / 30 and o.end > phone.start - 1 / 30)
                found_there.append(any(o.label in group for o in near))
        phone_errors += [a.start - b.start for a, b in matched(ours, theirs)]
        if alignment.words:
            said = spoken_out(clip.text)
            word_edits += edit_distance(spoken_out(" ".join(w.label for w in alignment.words)), said)
            word_total += len(said)
        if clip.words:
            pairs = matched(alignment.words, clip.words)
            word_errors += [e for a, b in pairs for e in (a.start - b.start, a.end - b.end)]
    return [
        f"{edits / total:.3f}",
        f"{np.concatenate(wrong).mean():.3f}",
        *(f"{np.mean(there):.3f}" for there in hits.values()),
        spread(phone_errors),
        f"{word_edits / word_total:.3f}" if word_total else "–",
        spread(word_errors),
    ]


def spoken_out(text: str) -> list[str]:
    """The words of a text in lower case, numbers and abbreviations in words."""
    return [part for word in spoken_text(text).words for part in word.spoken]


def spread(errors: Sequence[float]) -> str:
    if not len(errors):
        return "–"
    size = np.abs(errors) * 1000
    return f"{np.median(size):.0f} / {np.percentile(size, 90):.0f}"


def spoken(phones: Sequence[Phone]) -> list[Phone]:
    return [p for p in phones if p.label != SILENCE]


def visemes(phones: Sequence[Phone], times: np.ndarray) -> np.ndarray:
    index = np.searchsorted([p.start for p in phones], times, side="right") - 1
    return np.array([VISEME_OF[p.label] for p in phones])[np.maximum(index, 0)]


def matched(ours: Sequence, theirs: Sequence) -> list[tuple]:
    """Pairs of the items, in order, whose labels agree."""
    labels = [[item.label.lower() for item in items] for items in (ours, theirs)]
    blocks = difflib.SequenceMatcher(None, *labels, autojunk=False).get_matching_blocks()
    return [(ours[i + o], theirs[j + o]) for i, j, n in blocks for o in range(n)]


def edit_distance(ours: Sequence[str], theirs: Sequence[str]) -> int:
    row = list(range(len(theirs) + 1))
    for i, a in enumerate(ours, 1):
        above, row = row, [i]
        for j, b in enumerate(theirs, 1):
            row.append(min(above[j] + 1, row[-1] + 1, above[j - 1] + (a != b)))
    return row[-1]


def noise(sets: dict[str, list[TimedClip]]) -> Iterator[Sequence[str]]:
    """The words marked by hand under white noise, and with wrong words in the transcript."""
    clip = next(c for c in sets["dev"] if c.words)
    rng = np.random.default_rng(0)
    power = float(np.mean(clip.sound.samples**2))
    clips = {"clean": clip}
    for snr in (20, 10, 5, 0):
        sound = clip.sound.samples + rng.normal(0.0, np.sqrt(power / 10 ** (snr / 10)), len(clip.sound.samples))
        clips[f"{snr} dB"] = replace(clip, sound=replace(clip.sound, stored=sound.astype(np.float32)))
    words, others = clip.text.split(), sets["dev"][0].text.split()
    for share in (0.1, 0.2):
        some = [str(rng.choice(others)) if rng.random() < share else word for word in words]
        clips[f"{share:.0%} other words"] = replace(clip, text=" ".join(some))
    listen = Listener()
    yield ["condition", *(name for name in localizers(listen) if "forced" in name)]
    yield ["---"] * 3
    for name, noisy in clips.items():
        works = [work for label, work in localizers(listen).items() if "forced" in label]
        yield [name, *(measured([noisy], [work(noisy)])[-1] for work in works)]


def tune(sets: dict[str, list[TimedClip]]) -> Iterator[Sequence[str]]:
    """Free decoding with other constants; a good choice has the least viseme error at enough closures."""
    listen = Listener()
    yield ["clips", "SWITCH", "CLOSURE_BIAS", "CONTACT_BIAS", *HEADER[2:6]]
    yield ["---"] * 8
    for (name, clips), switch, closure, contact in itertools.product(
        sets.items(), (-1.0, -1.25, -1.5, -2.5), (0.0, 1.0, 1.25, 1.5), (0.0, 1.0, 2.0)
    ):
        found = []
        for clip in clips:
            log_posteriors, rate = listen(clip.sound)
            phones = posterior.free_phones(log_posteriors, rate, 0.0, clip.sound.duration, switch, closure, contact)
            found.append(Alignment.from_segments(phones, (), clip.sound.duration, "tuned"))
        yield [name, f"{switch:g}", f"{closure:g}", f"{contact:g}", *measured(clips, found)[:4]]


SENTENCES = {
    "es": "El niño come una manzana roja mientras su hermano bebe leche fría en la cocina.",
    "fr": "Le petit garçon mange une pomme rouge pendant que sa mère prépare le dîner dans la cuisine.",
    "de": "Der kleine Junge isst einen roten Apfel, während seine Mutter in der Küche kocht.",
    "it": "Il bambino mangia una mela rossa mentre sua madre prepara la cena in cucina.",
    "pt": "O menino come uma maçã vermelha enquanto a sua mãe prepara o jantar na cozinha.",
    "cs": "Malý chlapec jí červené jablko, zatímco jeho matka vaří večeři v kuchyni.",
    "pl": "Mały chłopiec je czerwone jabłko, a jego matka gotuje obiad w kuchni.",
    "ja": "ちいさな おとこのこは あかい りんごを たべます。",
    "cmn": "xiǎo nán hái chī hóng píng guǒ, mā ma zài chú fáng zuò fàn.",
    "hi": "छोटा लड़का लाल सेब खाता है और उसकी माँ रसोई में खाना बनाती है।",
    "ar": "يأكل الولد الصغير تفاحة حمراء بينما تطبخ أمه العشاء في المطبخ.",
    "nl": "De kleine jongen eet een rode appel terwijl zijn moeder in de keuken kookt.",
    "ru": "Маленький мальчик ест красное яблоко, пока его мама готовит ужин на кухне.",
    "ko": "작은 소년이 빨간 사과를 먹는 동안 어머니는 부엌에서 요리를 합니다.",
    "tr": "Küçük çocuk kırmızı elma yerken annesi mutfakta yemek pişiriyor.",
    "sv": "Den lilla pojken äter ett rött äpple medan hans mamma lagar mat i köket.",
}


def languages(sets: dict[str, list[TimedClip]]) -> Iterator[Sequence[str]]:
    """Starts of phones and words against the times that espeak-ng itself tells, and the lips against its phones."""
    listen = Listener()
    head = ["language", "phones", "aligned", "phone starts, ms", "words of which fit", "sound alone: viseme error"]
    yield [*head, *JUDGED]
    yield ["---"] * (len(head) + len(JUDGED))
    every: list[Observed] = []
    for code, text in SENTENCES.items():
        sound, truth = say(text, code)
        found = localize(sound, text, "posterior", listen, language=code)
        ours = spoken(found.phones)
        # The same IPA through the same table: labels agree where the aligner kept the phone.
        errors = [a.start - b.start for a, b in matched(ours, spoken(truth))]
        alone = localize(sound, None, "posterior", listen)
        times = np.arange(STEP / 2, sound.duration, STEP)
        wrong = float((visemes(alone.phones, times) != visemes(truth, times)).mean())
        fit = sum(w.confidence > 0.05 for w in found.words)
        count = len(spoken(truth))
        yield [
            code,
            str(count),
            f"{len(errors) / count:.2f}",
            spread(errors),
            f"{fit}/{len(found.words)}",
            f"{wrong:.2f}",
            *judged([seen := lips_in(code, text, sound, truth)]),
        ]
        every.append(seen)
    yield ["all", *[""] * (len(head) - 1), *judged(every)]


def lips_in(language: str, text: str, sound: Sound, truth: tuple[Phone, ...]) -> Observed:
    """What is seen of KMTalk's lips in a sentence that it is told, with the phones that are really said."""
    # A trill sounds most like D, but the mouth need not be narrow in it.
    said = tuple(replace(phone, label="R") if phone.sound in TRILLS else phone for phone in truth)
    clip = JudgedClip(language, Path(), text, said, sound.duration)
    return watch(Take(KMTalk(True, language=language), clip, sound.samples))


def judged(seen: Sequence[Observed]) -> list[str]:
    """The judge's figures, a stroke where there is nothing to judge."""
    of_all = figures(seen)
    return ["–" if np.isnan(of_all[name]) else f"{of_all[name]:.2f}" for name in JUDGED]


def say(text: str, language: str) -> tuple[Sound, tuple[Phone, ...]]:
    """espeak-ng's voice for a language, and its own phones, in IPA, as the nearest phones of ours."""
    from kmtalk_core.localization.ipa import nearest

    # The corpus's child, asked for names of phones in IPA.
    code = "from training.corpus import espeak_child as child; child._PHONEME_EVENTS = 3; child.main()"
    voice = {"fr": "roa/fr", "cmn": "sit/cmn-Latn-pinyin"}.get(language, language)
    wish = {"voice": voice, "rate": 150, "pitch": 50, "range": 50, "text": text}
    done = subprocess.run(
        [sys.executable, "-c", code], input=json.dumps(wish).encode(), capture_output=True, check=True
    )
    head, _, pcm = done.stdout.partition(b"\n")
    told = json.loads(head)
    samples = np.frombuffer(pcm, "<i2").astype(np.float32) / 32768
    rate = told["sample_rate"]
    at = np.arange(int(len(samples) * SAMPLE_RATE / rate)) * rate / SAMPLE_RATE
    sound = Sound(np.interp(at, np.arange(len(samples)), samples).astype(np.float32), "", "")
    phones = []
    ends = [first for _, first in told["phones"][1:]] + [len(samples)]
    for (name, first), end in zip(told["phones"], ends, strict=True):
        sounds = [(nearest(s), str(s)) for s in segments(name)] or [(SILENCE, "")]
        for number, (label, ipa) in enumerate(sounds):
            length = (end - first) / len(sounds)
            phones.append(Phone(label, (first + number * length) / rate, (first + (number + 1) * length) / rate, ipa))
    return sound, Alignment.from_segments(phones, (), sound.duration, "espeak-ng").phones


SECTIONS: dict[str, Callable[[dict[str, list[TimedClip]]], Iterator[Sequence[str]]]] = {
    "backends": backends,
    "noise": noise,
    "tune": tune,
    "languages": languages,
}
assert set(VISEME_OF) == set(PHONES)

if __name__ == "__main__":
    sys.exit(main())
