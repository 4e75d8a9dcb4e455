"""The stand-in's transcription: the checkpoint's words, as the real one lays them out."""

import os
import time
import types

import numpy as np


class Silent:
    def __init__(self, total, unit, disable):
        pass

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def update(self, count):
        pass


tqdm = types.SimpleNamespace(tqdm=Silent)


def transcribe(
    model, audio, *, verbose=None, condition_on_previous_text=True, word_timestamps=False,
    hallucination_silence_threshold=None, **decode_options
):  # fmt: skip
    assert isinstance(audio, np.ndarray) and audio.dtype == np.float32 and audio.ndim == 1
    assert word_timestamps and not condition_on_previous_text and decode_options["fp16"] is False
    language = decode_options["language"] or "de"  # what the real one would hear
    content = model.content
    if "fault" in content:
        raise {
            "memory": RuntimeError("CUDA out of memory. Tried to allocate 20 GiB"),
            "other": ValueError("odd\nfault"),
        }[content["fault"]]
    if "hang" in content:
        with open(content["hang"], "w", encoding="utf-8") as file:
            file.write(str(os.getpid()))
        time.sleep(120)
    segments = []
    with tqdm.tqdm(total=len(audio) // 160, unit="frames", disable=verbose is not False) as bar:
        for word, start, end in content["say"]:
            words = [{"word": f" {word}", "start": np.float64(start), "end": np.float64(end), "probability": 0.9}]
            segments.append({"start": start, "end": end, "text": f" {word}", "words": words})
            bar.update(len(audio) // 160 // len(content["say"]))
    return {"text": "".join(s["text"] for s in segments), "segments": segments, "language": language}
