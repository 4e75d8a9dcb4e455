"""A stand-in for the package openai-whisper: what KMTalk calls, with the real names, arguments and results.

A checkpoint is a JSON file with the words to hear ("say", with times), the number of "tokens" and, for faults, "fault".
"""

import json
import os
import types

_MODELS = {
    "tiny.en": "https://example.org/main/whisper/models/0123/tiny.en.pt",
    "tiny": "https://example.org/main/whisper/models/0123/tiny.pt",
    "small.en": "https://example.org/main/whisper/models/0123/small.en.pt",
}
_ALIGNMENT_HEADS = {"tiny.en": b"en", "tiny": b"tiny", "small.en": b"small"}

torch = types.SimpleNamespace(
    cuda=types.SimpleNamespace(is_available=lambda: False),
    backends=types.SimpleNamespace(mps=types.SimpleNamespace(is_available=lambda: False)),
    manual_seed=lambda seed: None,
)


def available_models():
    return list(_MODELS)


def _download(url, root, in_memory):
    os.makedirs(root, exist_ok=True)
    target = os.path.join(root, os.path.basename(url))
    with open(target, "w", encoding="utf-8") as file:
        file.write('{"say": [["down", 0.1, 0.3]')  # half of it
    if os.environ.get("STAND_IN_ONLINE") != "1":
        raise OSError("<urlopen error [Errno -2] Name or service not known>")
    with open(target, "a", encoding="utf-8") as file:
        file.write(', ["loaded", 0.3, 0.6]], "tokens": 51864}')
    return target


def load_model(name, device=None, download_root=None, in_memory=False):
    with open(name, encoding="utf-8") as file:
        content = json.load(file)
    print("a library says something on standard output")
    return Model(content)


class Model:
    def __init__(self, content):
        self.content = content
        self.is_multilingual = content["tokens"] >= 51865
        self.heads = None

    def set_alignment_heads(self, dump):
        self.heads = dump

    def to(self, device):
        return self

    def transcribe(self, audio, **options):
        from . import transcribe as function

        return function(self, audio, **options)


from .transcribe import transcribe as transcribe  # noqa: E402  as in the real one, it hides the module of that name
