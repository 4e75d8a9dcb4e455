"""Localization from sound alone by way of text (KMTalk, Sec. 3.2), with the user's own Whisper and MFA.

`whisper-mfa` is the paper's way: Whisper transcribes, the Montreal Forced Aligner finds the phones. `whisper` needs no
MFA: our own aligner finds the phones of what Whisper heard.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import pairwise

from ..audio import Sound
from ..errors import KMTalkError
from ..phones import Alignment
from ..progress import Progress
from ..tongues import from_whisper, to_whisper
from .installed import find_mfa, find_recognisers
from .mfa import Spoken, Utterance, align_all
from .tools import Tools
from .whisper import NOTHING_HEARD, Transcript, transcribe, transcribe_all

SOURCE = "whisper-mfa"
LONGEST = 30.0  # s; what is longer goes to MFA in utterances, for its search grows with their length
PAUSE = 0.3  # s between two of Whisper's words, where an utterance may end


def localize_whisper(
    sound: Sound,
    align: Callable[[str, str, Progress | None], Alignment],
    language: str = "en",
    progress: Progress | None = None,
    tools: Tools | None = None,
) -> Alignment:
    """Phones and words of what Whisper hears, by `align`: text, its language → alignment of this sound.

    `language` is that of localize; "any" is the one that Whisper hears. Raises KMTalkError where Whisper or its model
    is missing, or nothing was heard.
    """
    heard = transcribe(sound, language=to_whisper(language), tools=tools, progress=_section(progress, 0.0, 0.8))
    if not heard.words:
        raise KMTalkError(NOTHING_HEARD)
    found = align(heard.text, from_whisper(heard.language, language), _section(progress, 0.8, 1.0))
    warnings = found.warnings
    if warnings:
        warnings = (
            f"Whisper ({heard.model}) may have misheard a part of the sound; choose a larger model, or correct its text"
            " and give it as the transcript.",
        )
    return replace(found, source=f"whisper+{found.source}", warnings=warnings)


def localize_whisper_mfa(
    sound: Sound,
    transcript: str | None,
    progress: Progress | None = None,
    language: str = "en",
    tools: Tools | None = None,
) -> Alignment:
    """Phones and words by MFA, of the transcript or else of what Whisper hears; raises KMTalkError as both do."""
    found = localize_many([(lambda: sound, transcript)], progress, language, tools)[0]
    if isinstance(found, KMTalkError):
        raise found
    return found


def localize_many(
    lines: Sequence[tuple[Callable[[], Sound], str | None]],
    progress: Progress | None = None,
    language: str = "en",
    tools: Tools | None = None,
) -> list[Alignment | KMTalkError]:
    """The same for many sounds with or without transcript: one Whisper and one MFA for all, errors one by one."""
    tools = tools or Tools.from_environment()
    silent = [index for index, (_, text) in enumerate(lines) if not (text or "").strip()]
    _check(tools, needs_whisper=bool(silent))
    heard: dict[int, Transcript] = {}
    begin = 0.0
    if silent:
        begin = 0.6
        found = transcribe_all(
            [lines[index][0] for index in silent], tools, to_whisper(language), _section(progress, 0.0, begin)
        )
        heard = dict(zip(silent, found, strict=True))
    results: dict[int, Alignment | KMTalkError] = {}
    spoken: dict[int, Spoken] = {}
    for index, (sound, text) in enumerate(lines):
        if index not in heard:
            spoken[index] = Spoken(sound, (Utterance(str(text), 0.0, 0.0),))
        elif heard[index].words:
            spoken[index] = Spoken(sound, utterances_of(heard[index]))
        else:
            results[index] = KMTalkError(NOTHING_HEARD)
    if spoken:
        aligned = align_all(list(spoken.values()), tools, language, _section(progress, begin, 1.0))
        for index, alignment in zip(spoken, aligned, strict=True):
            results[index] = replace(alignment, source=SOURCE) if isinstance(alignment, Alignment) else alignment
    return [results[index] for index in range(len(lines))]


def utterances_of(heard: Transcript) -> tuple[Utterance, ...]:
    """Whisper's words as utterances of at most LONGEST seconds (up to the next pause), with half the pause around."""
    runs = [[heard.words[0]]]
    for before, word in pairwise(heard.words):
        if word.start - before.end >= PAUSE and word.end - runs[-1][0].start > LONGEST:
            runs.append([])
        runs[-1].append(word)
    cuts = [(a[-1].end + b[0].start) / 2 for a, b in pairwise(runs)]
    if not cuts:
        return (Utterance(heard.text, 0.0, 0.0),)
    starts, ends = [0.0, *cuts], [*cuts, runs[-1][-1].end + PAUSE]
    texts = [" ".join(word.label for word in run) for run in runs]
    return tuple(Utterance(*parts) for parts in zip(texts, starts, ends, strict=True))


def _check(tools: Tools, needs_whisper: bool) -> None:
    """Name everything that is missing at once, before any work."""
    missing = []
    for find in (find_mfa, *((find_recognisers,) if needs_whisper else ())):
        try:
            find(tools)
        except KMTalkError as error:
            missing.append(str(error))
    if missing:
        raise KMTalkError(" ".join(missing))


def _section(progress: Progress | None, begin: float, end: float) -> Progress | None:
    if progress is None:
        return None
    return lambda share, doing: progress(begin + (end - begin) * share, doing)
