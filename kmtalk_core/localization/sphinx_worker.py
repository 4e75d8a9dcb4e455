"""The child process that runs PocketSphinx: jobs come in on stdin, results go out on stdout.

A script of its own, started by path, that needs the standard library and the pocketsphinx wheel alone: so it starts
in 0.1 s, runs in Blender's isolated Python too (the parent hands over its `sys.path`), and ends when its stdin closes.

A job is one line of JSON, followed by `bytes` bytes of 16-bit mono samples at 16 kHz; the answer is one line of JSON.
Times in answers are frames of 10 ms.
"""

import json
import os
import sys

PLAIN = {"lm": None, "dict": None, "bestpath": False}
# Narrow beams are a fifth faster; where they lose the only path through the words, wide ones find it.
NARROW, WIDE = ({**PLAIN, "beam": width, "wbeam": width, "pbeam": width} for width in (1e-60, 1e-200))
ANCHOR = {**NARROW, "ds": 3}  # scores every third frame only
WORDS = {"bestpath": False, "fwdflat": False, "maxhmmpf": 3000, "ds": 2}
SKIPPED_WORD = 1e-20  # probability that the transcript has a word that was not said


def main() -> None:
    sys.path[:] = json.loads(sys.argv[1])
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # whatever a library prints must not end up among the answers
    while line := sys.stdin.buffer.readline():
        job = json.loads(line)
        pcm = sys.stdin.buffer.read(job["bytes"])
        try:
            answer = {"result": JOBS[job["job"]](pcm, job)}
        except Exception as error:
            answer = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(answer), file=answers, flush=True)


def align(pcm, job):
    """Forced alignment: [[word index or None, [[phone, start, frames, score], …]], …]; None if nothing fits.

    `words` are lists of pronunciations. None stands for silence.
    """
    for settings in (NARROW, WIDE):
        decoder = _decoder(settings, job["words"])
        decoder.set_align_text(" ".join(map(str, range(len(job["words"])))))
        _decode(decoder, pcm)
        if decoder.hyp() is not None:
            break
    else:
        return None
    decoder.set_alignment()
    _decode(decoder, pcm)
    return [
        [_index(word.name), [[phone.name, phone.start, phone.duration, phone.score] for phone in word]]
        for word in decoder.get_alignment()
    ]


def anchor(pcm, job):
    """Which of the words, in order from the first, are said and when: [[word index or None, start, end], …].

    A grammar lets single words be left out, and the sound stop after any word: at no cost if `open_end`, else at that
    of one word, so that a transcript that goes on after the sound still finds its place.
    """
    decoder = _decoder(ANCHOR, job["words"])
    last = len(job["words"])
    arcs: list[tuple] = [(i, i + 1, 1.0, str(i)) for i in range(last)]
    arcs += [(i, i + 1, SKIPPED_WORD) for i in range(last)]
    arcs += [(i, last + 1, 1.0 if job["open_end"] else SKIPPED_WORD) for i in range(last)] + [(last, last + 1, 1.0)]
    decoder.add_fsg("anchor", decoder.create_fsg("anchor", 0, last + 1, arcs))
    decoder.activate_search("anchor")
    _decode(decoder, pcm)
    if decoder.hyp() is None:
        return None
    return [[_index(s.word), s.start_frame, s.end_frame + 1] for s in decoder.seg() if s.word != "(NULL)"]


def recognise(pcm, job):
    """Free recognition: the words that it seems to be, each with its pronunciations, aligned as `align` does.

    {"words": [word, …], "aligned": …}. Wrong words, but close in sound, give better phones than all-phone decoding.
    """
    from pocketsphinx import Decoder

    decoder = Decoder(samprate=16000, loglevel="FATAL", **WORDS)
    _decode(decoder, pcm)
    words = [s.word.partition("(")[0] for s in decoder.seg()] if decoder.hyp() is not None else []
    words = [word for word in words if word and word[0] not in "<[+"]
    pronunciations = [[decoder.lookup_word(word)] for word in words]
    return {"words": words, "aligned": align(pcm, {"words": pronunciations}) if words else None}


def _decoder(settings, words):
    """A decoder whose dictionary holds the job's words alone, named by their numbers, so that repeats stay apart."""
    from pocketsphinx import Decoder

    decoder = Decoder(samprate=16000, loglevel="FATAL", **settings)
    for index, variants in enumerate(words):
        for number, phones in enumerate(variants, 1):
            decoder.add_word(str(index) if number == 1 else f"{index}({number})", phones, False)
    return decoder


def _decode(decoder, pcm):
    decoder.start_utt()
    try:
        decoder.process_raw(pcm, no_search=False, full_utt=True)
    finally:
        decoder.end_utt()


def _index(name):
    """The number of a word's name, without that of its variant; None for silence and noise."""
    number = name.partition("(")[0]
    return int(number) if number.isdigit() else None


JOBS = {"align": align, "anchor": anchor, "recognise": recognise}

if __name__ == "__main__":
    main()
