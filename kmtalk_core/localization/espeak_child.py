"""The child process that asks espeak-ng's library for words in IPA: a JSON list of words comes in, one of IPA goes out.

A script of its own, started by path with the library, its data and the names of a voice (the first that is known is
taken), that needs the standard library alone. Exit status 3: there is no such voice, or no data.
"""

import ctypes
import json
import sys

RETRIEVAL, DO_NOT_EXIT = 1, 0x8000  # espeak-ng/speak_lib.h: no sound, and errors come back
UTF_8 = 1
IPA = 0x02 | ord("_") << 8  # with a sign between sounds


def main() -> int:
    library, data, *voices = sys.argv[1:]
    words = json.loads(sys.stdin.buffer.read())
    speaker = ctypes.CDLL(library)
    speaker.espeak_TextToPhonemes.restype = ctypes.c_char_p
    speaker.espeak_TextToPhonemes.argtypes = [ctypes.POINTER(ctypes.c_void_p), ctypes.c_int, ctypes.c_int]
    if speaker.espeak_Initialize(RETRIEVAL, 0, data.encode(), DO_NOT_EXIT) < 0:
        return 3
    if all(speaker.espeak_SetVoiceByName(voice.encode()) for voice in voices):
        return 3
    sys.stdout.buffer.write(json.dumps([_ipa(speaker, word) for word in words]).encode())
    return 0


def _ipa(speaker, word):
    """All clauses of a word: a number may be several."""
    text = ctypes.create_string_buffer(word.encode("utf-8", "replace"))
    at = ctypes.c_void_p(ctypes.addressof(text))
    clauses = []
    while at.value:
        said = speaker.espeak_TextToPhonemes(ctypes.byref(at), UTF_8, IPA)
        clauses.append((said or b"").decode("utf-8", "replace").strip())
    return " ".join(filter(None, clauses))


if __name__ == "__main__":
    sys.exit(main())
