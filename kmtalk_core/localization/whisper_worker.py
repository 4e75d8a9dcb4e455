"""Transcribes sounds with the Whisper of the Python that runs it: `python whisper_worker.py JOB.json`.

That may be any Python from 3.8 on, so this file imports nothing of KMTalk. The job names the engine (openai-whisper or
faster-whisper), the model, the device, the language, whether a download is allowed, and the sounds: files of raw
float32 samples, mono, 16 kHz. Answers are JSON lines on standard output: {"sound", "progress"}, {"sound", "words":
[[word, start, end, probability], …], "language"}, and at last {"failure": kind, "detail"} if something is wrong.
"""

# mypy: ignore-errors
from __future__ import annotations

import contextlib
import hashlib
import json
import os
import sys
import warnings

# By accuracy; the multilingual ones and, of equal size, the English ones first where English is spoken.
MODELS = (
    "large-v3", "turbo", "large-v3-turbo", "large-v2", "large-v1", "medium.en", "medium", "small.en", "small",
    "base.en", "base", "tiny.en", "tiny",
)  # fmt: skip
TO_DOWNLOAD = {True: "small.en", False: "small"}  # by whether English is spoken, where no model is named
RATE = 16000
# Repetitions and phantom words come from the text before and from long silences.
OPTIONS = {
    "word_timestamps": True,
    "condition_on_previous_text": False,
    "hallucination_silence_threshold": 2.0,
    "beam_size": 5,
}


class Failure(Exception):
    """`kind`: missing, unknown, damaged, download, device, memory, engine or other; `detail` says which or why."""

    def __init__(self, kind, detail):
        super().__init__(detail)
        self.kind, self.detail = kind, str(detail)


def main():
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # what the engine prints is not an answer

    def say(**answer):
        answers.write(json.dumps(answer) + "\n")
        answers.flush()

    warnings.simplefilter("ignore")
    with open(sys.argv[1], encoding="utf-8") as file:
        job = json.load(file)
    # Beside this file lie modules whose names others use, too; what the parent can import may be found.
    sys.path[:] = [p for p in sys.path if os.path.abspath(p or ".") != os.path.dirname(os.path.abspath(__file__))]
    sys.path += [p for p in job["path"] if p not in sys.path]
    try:
        import numpy as np

        engine = {"openai-whisper": OpenAI, "faster-whisper": Faster}[job["engine"]](job)
        say(ready=engine.model_name, device=engine.device)
        for number, path in enumerate(job["sounds"]):
            samples = np.fromfile(path, dtype=np.float32)
            words, language = engine.transcribe(samples, lambda share, n=number: say(sound=n, progress=share))
            say(sound=number, words=words, language=language)
    except Failure as failure:
        say(failure=failure.kind, detail=failure.detail)
    except MemoryError:
        say(failure="memory", detail="")
    except ImportError as error:
        say(failure="engine", detail=error)
    except Exception as error:
        memory = "out of memory" in str(error).lower() or "can't allocate memory" in str(error).lower()
        say(failure="memory" if memory else "other", detail=f"{type(error).__name__}: {error}")


class OpenAI:
    """openai-whisper, with checkpoints in the official format."""

    def __init__(self, job):
        import whisper

        torch = whisper.torch
        self.language = job["language"] or None
        self.device = self._device(torch, job["device"])
        name = job["model"]
        heads = None
        if name and name not in whisper.available_models():
            path = name
            if not os.path.isfile(path):
                raise Failure("unknown", f"{name}; it has {', '.join(whisper.available_models())}")
            stem = os.path.splitext(os.path.basename(path))[0]
        else:
            path = self._installed(whisper, name, job)
            stem = next(n for n in [name, *MODELS] if n and self._file(whisper, n) == path)
        heads = whisper._ALIGNMENT_HEADS.get(stem)
        try:
            self.model = whisper.load_model(path, device="cpu")
            if heads is not None:
                self.model.set_alignment_heads(heads)
        except MemoryError:
            raise
        except Exception as error:
            raise Failure("damaged", f"{path} ({str(error)[:200]})") from None
        self.model_name = stem
        self._move(whisper)
        torch.manual_seed(0)  # the decoder draws where it is unsure
        if self.language is None and not self.model.is_multilingual:
            self.language = "en"

    @staticmethod
    def _device(torch, wanted):
        has = {"cpu": True, "cuda": torch.cuda.is_available()}
        has["mps"] = hasattr(torch.backends, "mps") and torch.backends.mps.is_available()
        if wanted == "auto":
            return "cuda" if has["cuda"] else "cpu"  # word times on mps are slower than on the CPU
        if not has[wanted]:
            raise Failure("device", wanted)
        return wanted

    @staticmethod
    def _file(whisper, name):
        cache = os.getenv("XDG_CACHE_HOME", os.path.join(os.path.expanduser("~"), ".cache"))
        url = whisper._MODELS.get(name, "")
        return os.path.join(cache, "whisper", os.path.basename(url)) if url else ""

    def _installed(self, whisper, name, job):
        """The file of the named model, or of the best one that is here; fetched if that is allowed."""
        english = self.language in (None, "en")
        names = [name] if name else [n for n in MODELS if english or not n.endswith(".en")]
        for candidate in names:
            path = self._file(whisper, candidate)
            if path and os.path.isfile(path):
                return path
        if not job["download"]:
            raise Failure("missing", name)
        name = name or TO_DOWNLOAD[english]
        path = self._file(whisper, name)
        try:
            whisper._download(whisper._MODELS[name], os.path.dirname(path), False)
        except Exception as error:
            # What is half there would be taken for the model next time.
            with contextlib.suppress(OSError):
                if not self._is_whole(path, whisper._MODELS[name]):
                    os.remove(path)
            raise Failure("download", f"{name} ({error})") from None
        return path

    @staticmethod
    def _is_whole(path, url):
        with open(path, "rb") as file:
            return hashlib.sha256(file.read()).hexdigest() == url.split("/")[-2]

    def _move(self, whisper):
        if self.device == "mps":
            # mps has neither sparse tensors, which mark the heads, nor the float64 of the word times.
            import whisper.timing as timing

            heads = self.model.alignment_heads
            del self.model.alignment_heads
            self.model.to("mps")
            self.model.alignment_heads = heads
            timing.dtw = lambda x: timing.dtw_cpu(x.cpu().double().numpy())
        else:
            self.model.to(self.device)

    def transcribe(self, samples, progress):
        transcriber = sys.modules["whisper.transcribe"]  # the package's attribute of that name is a function
        transcriber.tqdm = Bars(progress)
        result = self.model.transcribe(
            samples, language=self.language, fp16=self.device == "cuda", verbose=None, **OPTIONS
        )
        words = [
            [w["word"], float(w["start"]), float(w["end"]), float(w["probability"])]
            for segment in result["segments"]
            for w in segment.get("words", ())
        ]
        return words, result["language"]


class Bars:
    """Stands for the module tqdm: hears the share of the frames that are done."""

    def __init__(self, progress):
        self.progress = progress

    def tqdm(self, total, **_):
        return Bar(self.progress, total)


class Bar:
    def __init__(self, progress, total):
        self.progress, self.total, self.done = progress, max(total, 1), 0

    def __enter__(self):
        return self

    def __exit__(self, *_):
        return None

    def update(self, count):
        self.done += count
        self.progress(min(self.done / self.total, 1.0))


class Faster:
    """faster-whisper, with models in CTranslate2's format."""

    def __init__(self, job):
        import ctranslate2
        import faster_whisper

        self.language = job["language"] or None
        cuda = ctranslate2.get_cuda_device_count() > 0
        if job["device"] == "mps" or (job["device"] == "cuda" and not cuda):
            raise Failure("device", job["device"])
        self.device = "cuda" if cuda and job["device"] != "cpu" else "cpu"
        english = self.language in (None, "en")
        path, self.model_name = self._found(faster_whisper, job, english)
        ctranslate2.set_random_seed(0)
        try:
            self.model = faster_whisper.WhisperModel(
                path, device=self.device, compute_type="auto", local_files_only=True
            )
        except MemoryError:
            raise
        except Exception as error:
            raise Failure("damaged", f"{path} ({str(error)[:200]})") from None

    @staticmethod
    def _found(faster_whisper, job, english):
        name = job["model"]
        if os.path.isdir(name):
            return name, os.path.basename(os.path.normpath(name))
        known = faster_whisper.available_models()
        if name and name not in known:
            raise Failure("unknown", f"{name}; it has {', '.join(known)}")
        names = [name] if name else [n for n in MODELS if n in known and (english or not n.endswith(".en"))]
        for candidate in names:
            try:
                return faster_whisper.download_model(candidate, local_files_only=True), candidate
            except Exception:  # its class differs between versions of huggingface_hub
                continue
        if not job["download"]:
            raise Failure("missing", name)
        name = name or TO_DOWNLOAD[english]
        try:
            return faster_whisper.download_model(name), name
        except Exception as error:
            raise Failure("download", f"{name} ({error})") from None

    def transcribe(self, samples, progress):
        segments, info = self.model.transcribe(samples, language=self.language, **OPTIONS)
        words = []
        for segment in segments:
            words += [[w.word, float(w.start), float(w.end), float(w.probability)] for w in segment.words or ()]
            progress(min(segment.end * RATE / max(len(samples), 1), 1.0))
        return words, info.language


if __name__ == "__main__":
    main()
