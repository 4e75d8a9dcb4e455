"""Says one text with espeak-ng: a process of its own, because the library's sound depends on what it said before.

Standard input: one JSON object, `voice` (file of the voice, "+variant" allowed), `rate` (words per minute), `pitch`,
`range` (0…100), `text`. Standard output: one line of JSON, `sample_rate` and `phones`, a list of [mnemonic, first
sample]; then the samples, 16-bit. Exit status 1 with a sentence on standard error if the voice or data are missing.

Standard library only, so that it starts fast.
"""

from __future__ import annotations

import ctypes
import json
import sys


class _EventId(ctypes.Union):
    _fields_ = [("number", ctypes.c_int), ("name", ctypes.c_char_p), ("string", ctypes.c_char * 8)]


class _Event(ctypes.Structure):
    """espeak_EVENT of speak_lib.h."""

    _fields_ = [
        ("type", ctypes.c_int),
        ("unique_identifier", ctypes.c_uint),
        ("text_position", ctypes.c_int),
        ("length", ctypes.c_int),
        ("audio_position", ctypes.c_int),
        ("sample", ctypes.c_int),
        ("user_data", ctypes.c_void_p),
        ("id", _EventId),
    ]


_CALLBACK = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.POINTER(_Event))
_SYNCHRONOUS, _PHONEME_EVENTS, _UTF8, _POSITION_CHARACTER = 2, 1, 1, 1
_RATE, _PITCH, _RANGE = 1, 3, 4  # espeak_PARAMETER
_PHONEME = 7  # espeak_EVENT_TYPE


def main() -> None:
    """Read the wish, say it, write sound and phones."""
    wish = json.load(sys.stdin)
    sound = bytearray()
    phones: list[tuple[str, int]] = []

    def collect(samples: ctypes._Pointer[ctypes.c_short], length: int, events: ctypes._Pointer[_Event]) -> int:
        if samples and length > 0:
            sound.extend(ctypes.string_at(samples, 2 * length))
        index = 0
        while events[index].type:
            if events[index].type == _PHONEME:
                phones.append((events[index].id.string.decode(), events[index].sample))
            index += 1
        return 0

    library = ctypes.CDLL("libespeak-ng.so.1")
    sample_rate = library.espeak_Initialize(_SYNCHRONOUS, 0, None, _PHONEME_EVENTS)
    if sample_rate <= 0:
        sys.exit("espeak-ng finds no data; install espeak-ng-data.")
    callback = _CALLBACK(collect)
    library.espeak_SetSynthCallback(callback)
    if library.espeak_SetVoiceByName(wish["voice"].encode()):
        sys.exit(f"espeak-ng has no voice {wish['voice']}; install a complete espeak-ng-data.")
    for parameter, name in ((_RATE, "rate"), (_PITCH, "pitch"), (_RANGE, "range")):
        library.espeak_SetParameter(parameter, wish[name], 0)
    text = wish["text"].encode()
    library.espeak_Synth(text, len(text) + 1, 0, _POSITION_CHARACTER, 0, _UTF8, None, None)
    library.espeak_Synchronize()
    sys.stdout.write(json.dumps({"sample_rate": sample_rate, "phones": phones}) + "\n")
    sys.stdout.flush()
    sys.stdout.buffer.write(sound)


if __name__ == "__main__":
    main()
