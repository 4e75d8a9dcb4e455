"""Speech to text with word times by Whisper (Radford et al. 2023), in a process of whichever Python has it."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from ..audio import Sound
from ..errors import InputError, KMTalkError
from ..leftovers import temporary_folder
from ..progress import Progress
from .guarded import foreign_environment, run
from .installed import Recogniser, find_recognisers
from .tools import Tools

_WORKER = Path(__file__).with_name("whisper_worker.py")
NOTHING_HEARD = "Whisper heard no words in the sound; give a transcript, or choose another localizer."


@dataclass(frozen=True)
class HeardWord:
    """A word with its punctuation as Whisper writes it, start and end in s, and its probability 0…1."""

    label: str
    start: float
    end: float
    probability: float


@dataclass(frozen=True)
class Transcript:
    """What Whisper heard; `model` names the model, `language` is its code ("en")."""

    words: tuple[HeardWord, ...]
    language: str
    model: str

    @property
    def text(self) -> str:
        return " ".join(word.label for word in self.words)


def transcribe(
    sound: Sound,
    model: str = "",
    language: str = "",
    tools: Tools | None = None,
    progress: Progress | None = None,
) -> Transcript:
    """Words of `sound` with times, without any if nothing is heard.

    `model`: as Tools.whisper_model, over which it wins; `language`: its code ("en"), empty for the one that is heard.
    Raises KMTalkError where Whisper or the model is missing, and what `progress` raises to cancel.
    """
    tools = tools or Tools.from_environment()
    tools = replace(tools, whisper_model=model or tools.whisper_model)
    return transcribe_all([lambda: sound], tools, language, progress)[0]


def transcribe_all(
    sounds: Sequence[Callable[[], Sound]], tools: Tools, language: str = "", progress: Progress | None = None
) -> list[Transcript]:
    """The same for many sounds, each got when its turn is, by one process that loads the model once."""
    if progress is not None:
        progress(0.0, "looking for Whisper")
    candidates = _candidates(tools)
    with temporary_folder() as folder:
        files = []
        for number, get in enumerate(sounds):
            files.append(folder / f"{number}.f32")
            get().samples.astype(np.float32).tofile(files[-1])
        failures = []
        for recogniser in candidates:
            found = _Job(recogniser, tools, language, files, folder, progress).done()
            if found.failure is None:
                return found.transcripts
            failures.append(_remedy(recogniser, tools, *found.failure))
            if found.failure[0] not in ("missing", "unknown"):  # else another installation may have the model
                break
    raise KMTalkError(failures[0])


def _candidates(tools: Tools) -> list[Recogniser]:
    """The installations that can use the model: a .pt file is openai-whisper's, a folder faster-whisper's."""
    found = find_recognisers(tools)
    model = Path(tools.whisper_model).expanduser()
    if not tools.whisper_model or not (model.exists() or model.suffix == ".pt" or len(model.parts) > 1):
        return found
    if not model.exists():
        raise InputError(f"There is no Whisper model {tools.whisper_model}; check the path.")
    engine = "faster-whisper" if model.is_dir() else "openai-whisper"
    found = [recogniser for recogniser in found if recogniser.engine == engine]
    if not found:
        raise KMTalkError(f"The model {tools.whisper_model} needs {engine}; run `pip install {engine}`.")
    return found


@dataclass
class _Outcome:
    transcripts: list[Transcript]
    failure: tuple[str, str] | None


class _Job:
    """One run of the worker over all sounds."""

    def __init__(
        self,
        recogniser: Recogniser,
        tools: Tools,
        language: str,
        sounds: list[Path],
        folder: Path,
        progress: Progress | None,
    ) -> None:
        self._recogniser, self._folder, self._progress = recogniser, folder, progress
        self._count = len(sounds)
        self._read = 0  # bytes of the answers
        self._share, self._doing = 0.0, "loading Whisper"
        self._model = ""
        self._outcome = _Outcome([], None)
        model = tools.whisper_model
        job = {
            "engine": recogniser.engine,
            "model": str(Path(model).expanduser().absolute()) if Path(model).expanduser().exists() and model else model,
            "device": tools.whisper_device,
            "language": language,
            "download": tools.allow_download,
            "sounds": [str(path) for path in sounds],
            "path": [os.path.abspath(p) for p in sys.path] if recogniser.python == Path(sys.executable) else [],
        }
        (folder / "job.json").write_text(json.dumps(job), encoding="utf-8")

    def done(self) -> _Outcome:
        python = self._recogniser.python
        environment = foreign_environment(python)
        command = [str(python), str(_WORKER), str(self._folder / "job.json")]
        try:
            status, errors = run(command, self._folder, environment, self._watch)
        except OSError as error:
            return _Outcome([], ("other", f"{python} cannot be started: {error}"))
        self._listen()
        if self._outcome.failure is None and len(self._outcome.transcripts) < self._count:
            lines = [line.strip() for line in errors.splitlines() if line.strip()]
            killed = status in (137, 3221225477)
            last = lines[-1] if lines else f"it ended with status {status}"
            self._outcome.failure = ("memory", "") if killed else ("other", last)
        return self._outcome

    def _watch(self) -> None:
        self._listen()
        if self._progress is not None:
            self._progress(self._share, self._doing)

    def _listen(self) -> None:
        with (self._folder / "said.txt").open("rb") as file:
            file.seek(self._read)
            *lines, _ = file.read().split(b"\n")  # the last one is not yet whole
        for line in lines:
            self._read += len(line) + 1
            self._hear(json.loads(line))

    def _hear(self, answer: dict[str, Any]) -> None:
        if "failure" in answer:
            self._outcome.failure = (answer["failure"], str(answer["detail"]))
        elif "ready" in answer:
            self._model = answer["ready"]
            self._doing = f"transcribing with Whisper {self._model} on {answer['device']}"
        elif "words" in answer:
            words = [HeardWord(label.strip(), *times) for label, *times in answer["words"] if label.strip()]
            self._outcome.transcripts.append(Transcript(tuple(words), answer["language"], self._model))
            self._share = (answer["sound"] + 1) / self._count
        else:
            self._share = (answer["sound"] + answer["progress"]) / self._count


def _remedy(recogniser: Recogniser, tools: Tools, kind: str, detail: str) -> str:
    """The worker's failure in one sentence."""
    python, engine = recogniser.python, recogniser.engine
    match kind:
        case "missing":
            wanted = f"the model {detail}" if detail else "a model"
            name = detail or "small.en"
            code = {
                "openai-whisper": f"import whisper; whisper.load_model('{name}')",
                "faster-whisper": f"import faster_whisper; faster_whisper.download_model('{name}')",
            }[engine]
            return (
                f'Whisper lacks {wanted}; run `{python} -c "{code}"` once, allow the download'
                " (--allow-download), or name a model's file."
            )
        case "unknown":
            return f"Whisper has no model {_one_line(detail)}, or the path of a model."
        case "damaged":
            return f"Whisper cannot read the model {_one_line(detail)}; get the file again."
        case "download":
            return f"Whisper could not download the model {_one_line(detail)}; check the connection to the internet."
        case "device":
            return f"{engine} cannot use {detail} here; choose another device (auto or cpu)."
        case "memory":
            where = "on this device" if tools.whisper_device != "cpu" else "here"
            return (
                f"This Whisper model needs more memory than there is {where}; choose a smaller one, or the device cpu."
            )
        case "engine":
            return f"{engine} does not work in {python} ({_one_line(detail)}); install it there again."
        case _:
            return f"Whisper failed ({_one_line(detail)}); try another model, or install {engine} again."


def _one_line(text: str) -> str:
    return " ".join(text.split())[:300]
