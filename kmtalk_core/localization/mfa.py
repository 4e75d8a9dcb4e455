"""Forced alignment by the Montreal Forced Aligner (McAuliffe et al. 2017): its real command line, versions 2.2 and 3.

Every run gets a dictionary of its own with only the words that are said: those of the user's dictionary, and for words
that it lacks what a g2p model of MFA, or else our own, makes of them. So no word is left unspoken, and numbers and
abbreviations are spoken as our own aligner speaks them.
"""

from __future__ import annotations

import difflib
import re
import wave
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..audio import SAMPLE_RATE, Sound
from ..errors import InputError, KMTalkError
from ..leftovers import temporary_folder
from ..phones import SILENCE, VOWELS, Alignment, Word
from ..progress import Progress
from .g2p import pronunciations
from .guarded import foreign_environment, run
from .installed import Aligner, find_mfa, mfa_models, mfa_root
from .text import spoken_words
from .textgrid import load_alignment
from .tools import Tools

SOURCE = "mfa"
# Searched with MFA's own beams first, then with ones that it recommends where nothing fits.
BEAMS: tuple[tuple[str, ...], ...] = ((), ("--beam", "100", "--retry_beam", "400"))
OUTPUT = "long_textgrid"
NO_WORDS = "The transcript has no words; give what is said."
UNFIT = "MFA did not find the text in the sound; check that the transcript belongs to it."
EXIT = "exit status "

# How far MFA is, by what it says (in its order), for the progress.
_STAGES = (
    ("Setting up corpus", 0.1), ("Loading corpus", 0.15), ("Initializing multiprocessing", 0.2),
    ("Normalizing text", 0.25), ("Generating MFCCs", 0.3), ("Calculating CMVN", 0.4), ("Compiling training", 0.45),
    ("first-pass alignment", 0.5), ("Generating alignments", 0.55), ("Calculating fMLLR", 0.7),
    ("second-pass alignment", 0.75), ("Collecting phone", 0.85), ("Exporting", 0.95),
)  # fmt: skip

# ARPABET → the phones of MFA's own English set, likeliest first; what a dictionary does not use is passed over.
_IPA = {
    "AA": "ɑ ɑː ɒ", "AE": "æ a", "AH": "ə ɐ ʌ", "AO": "ɔ ɒː ɑ ɒ", "AW": "aw aʊ", "AY": "aj aɪ", "EH": "ɛ e",
    "ER": "ɚ ɝ ɜː ə", "EY": "ej eɪ", "IH": "ɪ", "IY": "i iː", "OW": "ow oʊ əw", "OY": "ɔj ɔɪ", "UH": "ʊ",
    "UW": "ʉ ʉː u uː",
    "B": "b", "CH": "tʃ", "D": "d", "DH": "ð", "F": "f", "G": "ɡ g", "HH": "h", "JH": "dʒ", "K": "k kʰ", "L": "l ɫ",
    "M": "m", "N": "n", "NG": "ŋ", "P": "p pʰ", "R": "ɹ r", "S": "s", "SH": "ʃ", "T": "t tʰ", "TH": "θ", "V": "v",
    "W": "w", "Y": "j", "Z": "z", "ZH": "ʒ",
}  # fmt: skip


@dataclass(frozen=True)
class Utterance:
    """What is said between two times, in s."""

    text: str
    start: float
    end: float


@dataclass(frozen=True)
class Spoken:
    """One sound for MFA: how to get it (called once) and what is said in it, as one utterance or as several."""

    sound: Callable[[], Sound]
    utterances: tuple[Utterance, ...]


@dataclass(frozen=True)
class _Token:
    """A word as MFA gets it, and the number and label of the written word that it belongs to."""

    spelling: str
    word: int
    label: str


def align(
    sound: Sound,
    utterances: Sequence[Utterance],
    language: str = "en",
    tools: Tools | None = None,
    progress: Progress | None = None,
) -> Alignment:
    """Phones and words of one sound, by `mfa align_one` where MFA has it (from version 3), else as a small corpus.

    `language`: English is read as our own aligner reads it, of others the plain words. Raises KMTalkError, with the
    remedy, where MFA or a model is missing or fails, and what `progress` raises to cancel.
    """
    tools = tools or Tools.from_environment()
    found = align_all([Spoken(lambda: sound, tuple(utterances))], tools, language, progress)[0]
    if isinstance(found, KMTalkError):
        raise found
    return found


def align_all(
    lines: Sequence[Spoken], tools: Tools, language: str = "en", progress: Progress | None = None
) -> list[Alignment | KMTalkError]:
    """The same for many sounds by one `mfa align`; what cannot be aligned has its error in the alignment's place."""
    if progress is not None:
        progress(0.0, "looking for MFA")
    run_ = _Run(find_mfa(tools), tools, language, progress)
    with temporary_folder() as folder:
        return run_.aligned(lines, folder)


class _Run:
    """MFA at work in a temporary folder: corpus/ (what it gets), aligned/ (what it makes), work/ (its own files)."""

    def __init__(self, mfa: Aligner, tools: Tools, language: str, progress: Progress | None) -> None:
        self._mfa, self._tools, self._progress = mfa, tools, progress
        self._english = language in ("", "en")
        self._share = 0.05

    def aligned(self, lines: Sequence[Spoken], folder: Path) -> list[Alignment | KMTalkError]:
        self._folder = folder
        for part in ("corpus", "aligned", "work"):
            (folder / part).mkdir()
        tokens = [[self._tokens(u) for u in line.utterances] for line in lines]
        spoken = {token.spelling: token for line in tokens for part in line for token in part}
        if not spoken:
            return [InputError(NO_WORDS) for _ in lines]
        dictionary = self._dictionary(list(spoken))
        durations = []
        for number, line in enumerate(lines):
            sound = line.sound()
            durations.append(sound.duration)
            if any(tokens[number]):
                self._put(f"{number:05}", sound, line.utterances, tokens[number])
        results: list[Alignment | None] = [None] * len(lines)
        for beams in BEAMS:
            failure = self._align(dictionary, beams)
            for number, duration in enumerate(durations):
                name = f"{number:05}"
                flat = [token for part in tokens[number] for token in part]
                if results[number] is None and (found := self._result(name, flat, duration)):
                    results[number] = found
                    for path in (folder / "corpus").glob(f"{name}.*"):
                        path.unlink()
            # A wider beam helps where the text was not found in the sound, and nowhere else.
            left = any((folder / "corpus").iterdir())
            if not left or not (failure is None or explained(failure, self._tools, self._mfa) == UNFIT):
                break
        if failure is not None and not any(results):
            return [KMTalkError(explained(failure, self._tools, self._mfa)) for _ in lines]
        return [
            result or (KMTalkError(UNFIT) if any(said) else InputError(NO_WORDS))
            for result, said in zip(results, tokens, strict=True)
        ]

    def _align(self, dictionary: str, beams: tuple[str, ...]) -> str | None:
        """Run MFA over the corpus; None, or what it said when it failed."""
        corpus, out = self._folder / "corpus", self._folder / "aligned"
        models = (dictionary, self._tools.mfa_acoustic)
        files = sorted(corpus.iterdir(), key=lambda path: path.suffix != ".wav")
        if len(files) == 2 and self._modern:
            sound, text = files
            inputs = ["align_one", str(sound), str(text), *models, str(out / f"{sound.stem}.TextGrid")]
        else:
            inputs = ["align", str(corpus), *models, str(out)]
        options = ["--output_format", OUTPUT, "--single_speaker", "--clean", "--overwrite", "--no_use_postgres", *beams]
        if self._mfa.version >= (3, 3, 5) or not any(self._mfa.version):
            options.append("--no_tokenization")  # the words are given as they are in the dictionary
        return self._call(inputs, options, "aligning with MFA")

    @property
    def _modern(self) -> bool:
        return self._mfa.version >= (3,) or not any(self._mfa.version)

    def _call(self, inputs: Sequence[str], options: Sequence[str], doing: str) -> str | None:
        program = self._mfa.program

        def watch() -> None:
            if self._progress is None:
                return
            for name in ("said.txt", "errors.txt"):  # versions differ in where they log
                with (self._folder / name).open("rb") as file:
                    said = file.read().decode("utf-8", errors="replace")
                self._share = max([self._share, *(done for stage, done in _STAGES if stage in said)])
            self._progress(self._share, doing)

        command = [str(program), *inputs, "--temporary_directory", str(self._folder / "work"), *options]
        try:
            status, errors = run(command, self._folder, foreign_environment(program), watch)
        except OSError as error:
            return f"{program} cannot be started: {error}"
        if status == 0:
            return None
        said = (self._folder / "said.txt").read_text(encoding="utf-8", errors="replace")
        return f"{said}\n{errors}\n{EXIT}{status}"

    def _tokens(self, utterance: Utterance) -> list[_Token]:
        """The utterance's words as MFA gets them: letters and apostrophes, as in a dictionary."""
        if not self._english:  # our reading of numbers and signs is English
            written = [w.strip('.,;:!?"“”„«»()[]…¿¡') for w in utterance.text.split()]
            return [_Token(word.lower(), i, word) for i, word in enumerate(w for w in written if w)]
        return [
            _Token(spoken.rstrip(".") if spoken.islower() else spoken, index, word.label)
            for index, word in enumerate(spoken_words(utterance.text))
            for spoken in word.spoken
        ]

    def _put(self, name: str, sound: Sound, utterances: Sequence[Utterance], tokens: list[list[_Token]]) -> None:
        """Write a sound and its words: a text file, or a TextGrid where the utterances' times are known."""
        corpus = self._folder / "corpus"
        with wave.open(str(corpus / f"{name}.wav"), "wb") as file:
            file.setnchannels(1)
            file.setsampwidth(2)
            file.setframerate(SAMPLE_RATE)
            file.writeframes(np.rint(np.clip(sound.samples, -1.0, 1.0) * 32767).astype("<i2").tobytes())
        texts = [" ".join(token.spelling.lower() for token in part) for part in tokens]
        if len(utterances) == 1:
            (corpus / f"{name}.txt").write_text(texts[0] + "\n", encoding="utf-8")
            return
        rows = [
            f'intervals [{i}]:\n    xmin = {u.start:.3f}\n    xmax = {u.end:.3f}\n    text = "{text}"\n'
            for i, (u, text) in enumerate(zip(utterances, texts, strict=True), 1)
        ]
        end = f"xmin = 0\nxmax = {sound.duration:.3f}\n"
        (corpus / f"{name}.TextGrid").write_text(
            f'File type = "ooTextFile"\nObject class = "TextGrid"\n\n{end}tiers? <exists>\nsize = 1\nitem []:\n'
            f'item [1]:\nclass = "IntervalTier"\nname = "speaker"\n{end}intervals: size = {len(rows)}\n{"".join(rows)}',
            encoding="utf-8",
        )

    def _dictionary(self, spellings: Sequence[str]) -> str:
        """A dictionary with these words; the user's own where it is one of several speakers (.yaml)."""
        source = self._dictionary_file()
        if source.suffix == ".yaml":
            return self._tools.mfa_dictionary
        wanted = {spelling.lower() for spelling in spellings}
        entries, inventory = _entries(source, wanted)
        lacking = sorted(wanted - {line.split(None, 1)[0].lower() for line in entries})
        if lacking and self._tools.mfa_g2p:
            entries += self._generated(lacking)
        elif self._english:
            read = [s for s in spellings if s.lower() in lacking or not s.islower()]  # capitals may be spelled
            entries += [f"{s.lower()}\t{phones}" for s in read for phones in spoken_by(s, inventory)]
        path = self._folder / "kmtalk.dict"
        path.write_text("\n".join(dict.fromkeys(entries)) + "\n", encoding="utf-8")
        return str(path)

    def _dictionary_file(self) -> Path:
        given = self._tools.mfa_dictionary
        path = Path(given).expanduser()
        if path.is_file():
            return path
        folder = mfa_root() / "pretrained_models" / "dictionary"
        found = [p for suffix in (".dict", ".txt", ".yaml") if (p := folder / f"{given}{suffix}").is_file()]
        if not found:
            raise KMTalkError(_lacking("dictionary", given, mfa_models("dictionary")))
        return found[0]

    def _generated(self, words: Sequence[str]) -> list[str]:
        """Pronunciations by MFA's own g2p model."""
        listed, out = self._folder / "unknown.txt", self._folder / "generated.dict"
        listed.write_text("\n".join(words) + "\n", encoding="utf-8")
        inputs = ("g2p", str(listed), self._tools.mfa_g2p, str(out))
        failure = self._call(inputs, ["--clean", "--overwrite", "--no_use_postgres"], "finding pronunciations with MFA")
        if failure is not None or not out.is_file():
            raise KMTalkError(explained(failure or "", self._tools, self._mfa))
        return [line for line in out.read_text(encoding="utf-8").splitlines() if len(line.split()) > 1]

    def _result(self, name: str, tokens: Sequence[_Token], duration: float) -> Alignment | None:
        grid = self._folder / "aligned" / f"{name}.TextGrid"
        if not grid.is_file():
            return None
        try:
            found = load_alignment(grid)
        except InputError as error:
            raise KMTalkError(f"MFA's output cannot be used: {error}") from None
        if not any(phone.label != SILENCE for phone in found.phones):
            return None
        words = _as_written(found.words, tokens)
        return Alignment.from_segments(found.phones, words, duration, SOURCE, found.warnings, found.guessed)


def _entries(source: Path, wanted: set[str]) -> tuple[list[str], frozenset[str]]:
    """The lines of a pronunciation dictionary for these words, and all phones that it uses."""
    lines: list[str] = []
    phones: set[str] = set()
    with source.open(encoding="utf-8-sig", errors="replace") as file:
        for line in file:
            word, _, rest = line.strip().partition("\t" if "\t" in line else " ")
            phones.update(rest.split())
            if rest and word.lower() in wanted:
                lines.append(line.strip())
    # Probabilities may stand before the phones.
    return lines, frozenset(p for p in phones if not re.fullmatch(r"[\d.]+", p))


def spoken_by(word: str, inventory: frozenset[str]) -> list[str]:
    """How our own g2p speaks a word, in the phones of a dictionary: ARPABET with or without stress, or MFA's IPA."""
    found = []
    for variant in pronunciations(word):
        phones = variant.split()
        vowels = sum(phone in VOWELS for phone in phones)
        written = [_phone_of(phone, inventory, vowels == 1) for phone in phones]
        if None not in written:
            found.append(" ".join(phone for phone in written if phone))
    return found


def _phone_of(phone: str, inventory: Iterable[str], only_vowel: bool) -> str | None:
    # Our g2p gives no stress: the neutral vowels are mostly unstressed, the others mostly stressed.
    stress = "10" if only_vowel or phone not in ("AH", "ER", "IH") else "01"
    ways = (phone, *(phone + mark for mark in stress if phone in VOWELS), *_IPA[phone].split())
    return next((way for way in ways if way in inventory), None)


def _as_written(found: Sequence[Word], tokens: Sequence[_Token]) -> list[Word]:
    """Give MFA's words the labels of the written ones; a written word may be several of them ("1960s")."""
    heard = [word.label.lower() for word in found]
    said = [token.spelling.lower() for token in tokens]
    words: list[Word] = []
    last: tuple[int, str] | None = None
    blocks = difflib.SequenceMatcher(None, heard, said, autojunk=False).get_opcodes()
    # Words that MFA does not know come as <unk>: in blocks of equal length they still stand for each other.
    pairs = {i1 + k: tokens[j1 + k] for _, i1, i2, j1, j2 in blocks if i2 - i1 == j2 - j1 for k in range(i2 - i1)}
    for index, word in enumerate(found):
        token = pairs.get(index)
        key = (token.word, token.label) if token else None
        if key is not None and key == last:
            words[-1] = Word(words[-1].label, words[-1].start, word.end)
        else:
            words.append(Word(token.label if token else word.label, word.start, word.end))
        last = key
    return words


def explained(said: str, tools: Tools, mfa: Aligner) -> str:
    """What MFA said when it failed → one sentence with the remedy. Its exceptions are named as in its source."""
    said, _, status = said.partition(EXIT)
    text = " ".join(re.sub(r"[│╭╮╰╯─┃━]+|\x1b\[[0-9;]*m", " ", said).split())
    if match := re.search(r'Could not find a model named "([^"]+)" for (\w+)\.?(?: Available: ([^.]*))?', text):
        available = [name.strip() for name in re.split(r",| and ", match[3] or "") if name.strip()]
        return _lacking(match[2], match[1], available)
    if match := re.search(r'Could not find "([^"]+)"', text):
        return f"MFA cannot find {match[1]}; check the path of the model."
    if match := re.search(r'The path "([^"]+)" does not have the correct extensions? ?(?:for (\w+))?', text):
        return f"{match[1]} is not a model of MFA; choose a .zip, or a .dict for a dictionary."
    if match := re.search(r"phones in the dictionary that do not have acoustic models: (.{1,80})", text):
        return (
            f"MFA's dictionary {tools.mfa_dictionary} and acoustic model {tools.mfa_acoustic} have different phones"
            f" ({_shortened(match[1])}); choose a pair that belongs together."
        )
    for pattern, sentence in _SENTENCES:
        if re.search(pattern, text):
            return sentence.format(version=mfa.label)
    if status.strip() in ("134", "137", "139"):  # aborted, killed (memory), segmentation fault
        return "MFA was ended by the system; free some memory, or update MFA (`conda update montreal-forced-aligner`)."
    lines = [line.strip(" │╭╮╰╯─") for line in said.splitlines()]
    last = next((line for line in reversed(lines) if line), "it said nothing")
    return f"MFA {mfa.label} failed ({_shortened(last)}); run `mfa validate` on such a file to learn more."


_SENTENCES = (
    (
        r"NoAlignmentsError|NoSuccessfulAlignments|no successful alignments|Could not align|increas\w+ the beam",
        UNFIT,
    ),
    (
        r"could not be parsed as an MFA model|ModelLoadError|BadZipFile",
        "MFA cannot read a model, its file is damaged; download it again (`mfa model download … --ignore_cache`).",
    ),
    (
        r"RootDirectoryError|Could not create a root MFA",
        "MFA cannot write to its folder; name one that can be written in the variable MFA_ROOT_DIR.",
    ),
    (
        r"No space left|disk is full|database or disk",
        "The disk is full; free some space for MFA's temporary files.",
    ),
    (r"MemoryError|bad_alloc|out of memory", "There is not enough memory for MFA; align shorter sounds."),
    (
        r"DatabaseError|initdb|psycopg2",
        "MFA could not reach its database; run `mfa configure --disable_use_postgres`, or `mfa server start`.",
    ),
    (
        r"ThirdpartyError|ModuleNotFoundError|ImportError|Could not find '(?:fst|gmm|compute)",
        "MFA {version} is not completely installed; make its environment again with `conda create -n aligner -c"
        " conda-forge montreal-forced-aligner`.",
    ),
    (
        r"There were phones in the G2P model|PyniniGenerationError|G2PError",
        "MFA's g2p model does not fit its dictionary; choose the one of the same name.",
    ),
    (r"SoundFileError|SoxError|LibsndfileError", "MFA could not read the sound; update MFA and try again."),
    (
        r"did not have a pronunciation|DictionaryError|DictionaryFileError|NoDefaultSpeakerDictionaryError",
        "MFA cannot read the dictionary; each line needs a word and its phones.",
    ),
    (
        r"No such option|no such command|No such command",
        "MFA {version} does not know this command; run `conda update -c conda-forge montreal-forced-aligner`.",
    ),
)  # fmt: skip


def _lacking(kind: str, name: str, available: Sequence[str]) -> str:
    article = "an" if kind[0] in "ai" else "a"
    others = f" (installed: {', '.join(available[:5])})" if available else ""
    return f"MFA lacks {article} {kind} model {name}{others}; run `mfa model download {kind} {name}` once.".replace(
        "dictionary model", "dictionary"
    )


def _shortened(text: str) -> str:
    text = " ".join(text.split()).rstrip(".")
    return text if len(text) <= 160 else f"{text[:160]}…"
