"""The JSON of speech recognisers: Whisper and its kin, Vosk, and the services of Amazon, AssemblyAI, Deepgram,
ElevenLabs, Google and Microsoft. All give words; their layouts are those of the makers' reference pages.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from ...errors import InputError
from .track import Interval, Track

_TICK = 1e-7  # s, Microsoft's


def recogniser_track(name: str, data: Any) -> Track:
    """The words of any of the layouts; raises InputError for one that is not known, ValueError and the like where
    damaged."""
    if isinstance(data, list) and data and all(isinstance(item, dict) and "text" in item for item in data):
        return _vosk(name, data)
    if not isinstance(data, dict):
        raise ValueError
    if isinstance(data.get("response"), dict):  # Google's long-running operations
        data = data["response"]
    results = data.get("results")
    if isinstance(results, dict) and "channels" in results:
        return _deepgram(data)
    if isinstance(results, dict) and "items" in results:
        return _amazon(results)
    if isinstance(results, list):
        return _google(name, results)
    if "NBest" in data or "recognizedPhrases" in data:
        return _microsoft(name, data)
    if isinstance(data.get("alignment"), dict) and "characters" in data["alignment"]:
        return _characters(data["alignment"])
    if "result" in data and "text" in data:
        return _vosk(name, [data])
    if "transcription" in data:
        return _whisper_cpp(name, data)
    if "words" in data and "audio_duration" in data:
        return _assembly(data)
    if "segments" in data or "words" in data or "word_segments" in data or "chunks" in data:
        return _whisper(name, data)
    raise InputError(
        f"{name} is JSON of no known tool; give the output of MFA, Gentle, Whisper, PocketSphinx, Rhubarb or Papagayo,"
        " or of a recogniser with times for its words."
    )


def _track(form: str, words: list[tuple[float, float, str]], duration: float = 0.0) -> Track:
    listed = (Interval(start, end, text.strip(), f"word {n}") for n, (start, end, text) in enumerate(words, 1))
    return Track(form, words=tuple(i for i in listed if i.label), duration=duration)


def _deepgram(data: dict[str, Any]) -> Track:
    """Of several channels, that is speakers, all words."""
    words = [
        (float(word["start"]), float(word["end"]), str(word.get("punctuated_word") or word["word"]))
        for channel in data["results"]["channels"]
        for word in channel["alternatives"][0].get("words", ())
    ]
    return _track("Deepgram", words, float((data.get("metadata") or {}).get("duration") or 0.0))


def _amazon(results: dict[str, Any]) -> Track:
    """Punctuation has no time and belongs to the word before it."""
    words: list[tuple[float, float, str]] = []
    for item in results["items"]:
        text = str(item["alternatives"][0]["content"])
        if item.get("start_time") is not None:
            words.append((float(item["start_time"]), float(item["end_time"]), text))
        elif words:
            words[-1] = (*words[-1][:2], words[-1][2] + text)
    return _track("Amazon Transcribe", words)


def _google(name: str, results: list[dict[str, Any]]) -> Track:
    """Where speakers are told apart, the last result holds all words again."""
    found = [result["alternatives"][0] for result in results if result.get("alternatives")]
    lists = [alternative.get("words") or [] for alternative in found]
    if not any(lists) and any(str(alternative.get("transcript", "")).strip() for alternative in found):
        raise _only_sentences(name)
    before = [word.get("word") for listed in lists[:-1] for word in listed]
    if before and before == [word.get("word") for word in lists[-1]]:
        lists = lists[-1:]
    words = [
        (
            _seconds(word.get("startTime", word.get("startOffset", word.get("start_time", 0)))),
            _seconds(word.get("endTime", word.get("endOffset", word.get("end_time", 0)))),
            str(word["word"]),
        )
        for listed in lists
        for word in listed
    ]
    return _track("Google", words)


def _seconds(value: Any) -> float:
    """Google's durations: "1.300s", a number, or seconds and nanos apart; 0 is left out."""
    if isinstance(value, dict):
        return float(value.get("seconds") or 0) + float(value.get("nanos") or 0) * 1e-9
    return float(value.removesuffix("s")) if isinstance(value, str) else float(value)


def _microsoft(name: str, data: dict[str, Any]) -> Track:
    if "NBest" in data:
        best = [data["NBest"][0]]
    else:
        best = [phrase["nBest"][0] for phrase in data["recognizedPhrases"] if phrase.get("nBest")]
    words: list[tuple[float, float, str]] = []
    for phrase in best:
        for word in phrase.get("Words") or phrase.get("words") or ():
            start = float(word["Offset"] if "Offset" in word else word["offsetInTicks"]) * _TICK
            length = float(word["Duration"] if "Duration" in word else word["durationInTicks"]) * _TICK
            words.append((start, start + length, str(word.get("Word", word.get("word", "")))))
    if not words and best:
        raise _only_sentences(name)
    return _track("Azure", words)


def _characters(alignment: dict[str, Any]) -> Track:
    """ElevenLabs' synthesis: a time for every character."""
    words: list[tuple[float, float, str]] = []
    open_word = False
    times = zip(
        alignment["characters"],
        alignment["character_start_times_seconds"],
        alignment["character_end_times_seconds"],
        strict=True,
    )
    for character, start, end in times:
        if not str(character).strip():
            open_word = False
        elif open_word:
            words[-1] = (words[-1][0], float(end), words[-1][2] + str(character))
        else:
            words.append((float(start), float(end), str(character)))
            open_word = True
    return _track("ElevenLabs", words)


def _vosk(name: str, results: list[dict[str, Any]]) -> Track:
    words = [
        (float(word["start"]), float(word["end"]), str(word["word"]))
        for result in results
        for word in result.get("result") or ()
    ]
    if not words and any(str(result["text"]).strip() for result in results):
        raise InputError(f"{name} has no times for its words; let Vosk write them (SetWords), or give its text.")
    return _track("Vosk", words)


def _assembly(data: dict[str, Any]) -> Track:
    """AssemblyAI counts words in ms, the sound in s."""
    words = [(float(w["start"]) / 1000, float(w["end"]) / 1000, str(w["text"])) for w in data["words"] or ()]
    return _track("AssemblyAI", words)


def _whisper(name: str, data: dict[str, Any]) -> Track:
    if "chunks" in data:  # transformers' pipeline
        listed = [{"word": c["text"], "start": c["timestamp"][0], "end": c["timestamp"][1]} for c in data["chunks"]]
        if sum(len(str(item["word"]).split()) for item in listed) > 2 * len(listed):
            raise _only_sentences(name)
    elif data.get("segments"):
        listed = [word for segment in data["segments"] for word in _segment_words(segment)]
        listed = listed or list(data.get("words") or ())
        if not listed and any(str(segment.get("text", "")).strip() for segment in data["segments"]):
            raise _only_sentences(name)
    else:
        listed = list(data.get("words") or data.get("word_segments") or ())
    listed = [word for word in listed if word.get("type", "word") == "word"]  # ElevenLabs: "spacing", "audio_event"
    words = tuple(_timed_words(listed))
    end = data.get("duration") or max((float(s.get("end") or 0.0) for s in data.get("segments") or ()), default=0.0)
    return Track("Whisper", words=words, duration=max(float(end), max((w.end for w in words), default=0.0)))


def _segment_words(segment: dict[str, Any]) -> list[dict[str, Any]]:
    # A word without time (whisperX leaves numbers out) lies within its segment.
    bounds = {"segment_start": segment.get("start"), "segment_end": segment.get("end")}
    return [{**bounds, **word} for word in segment.get("words") or ()]


def _timed_words(listed: list[dict[str, Any]]) -> Iterator[Interval]:
    """Words; those without times share the gap between their neighbours."""
    number = 0
    before = 0.0
    while number < len(listed):
        last = number
        while last < len(listed) and listed[last].get("start") is None:
            last += 1
        if last > number:
            start = max(before, float(listed[number].get("segment_start") or 0.0))
            end = listed[last]["start"] if last < len(listed) else listed[-1].get("segment_end") or start + 0.3
            step = max(float(end) - start, 0.0) / (last - number)
            for i in range(number, last):
                yield _interval(listed[i], start + (i - number) * step, start + (i - number + 1) * step, i)
            number = last
            continue
        word = listed[number]
        start = float(word["start"])
        end = float(word["end"]) if word.get("end") is not None else start + 0.3
        if _text(word):
            yield _interval(word, start, end, number)
        before = end
        number += 1


def _interval(word: dict[str, Any], start: float, end: float, index: int) -> Interval:
    return Interval(start, end, _text(word), f"word {index + 1}")


def _text(word: dict[str, Any]) -> str:
    return str(word.get("word", word.get("text", ""))).strip()


def _whisper_cpp(name: str, data: dict[str, Any]) -> Track:
    """The JSON of whisper.cpp: tokens with times in ms (-ojf), or segments of one word each (-ml 1)."""
    words: list[Interval] = []
    sentences = 0
    for segment in data["transcription"]:
        tokens = [t for t in segment.get("tokens") or () if not str(t["text"]).startswith("[_")]
        for piece in tokens or [segment]:
            start, end = (float(piece["offsets"][key]) / 1000.0 for key in ("from", "to"))
            text = str(piece["text"])
            sentences += len(text.split()) > 2
            if not text.strip():
                continue
            if words and not text.startswith(" ") and (tokens or text.strip() in ",.!?;:"):  # goes on with the word
                words[-1] = replace(words[-1], end=end, label=words[-1].label + text.strip())
            else:
                words.append(Interval(start, end, text.strip(), f"word {len(words) + 1}"))
    if sentences > len(words) // 4:
        raise _only_sentences(name)
    return Track("whisper.cpp", words=tuple(words))


def _only_sentences(name: str) -> InputError:
    return InputError(
        f"{name} has times for whole sentences only; let Whisper write word times (--word_timestamps True),"
        " or give its text as transcript."
    )
