"""Shows a study on this computer, or to those who reach its address, and keeps their answers, a file a viewer."""

from __future__ import annotations

import json
import re
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from kmtalk_core.errors import InputError
from kmtalk_core.files import save_text

from .making import Study, read_study

LARGEST = 1_000_000  # bytes of answers
RATER = re.compile(r"[a-z0-9]{1,40}")


def checked_answers(text: str, study: Study) -> dict[str, Any]:
    """Answers as a viewer's page sends them: {rater, answers: [{pair, left, right, chosen}]}. Raises InputError."""
    try:
        told = json.loads(text)
        rater, answers = str(told["rater"]), list(told["answers"])
        if not RATER.fullmatch(rater):
            raise ValueError
        for answer in answers:
            films = study.pairs[int(answer["pair"])]
            if {answer["left"], answer["right"]} != set(films) or set(answer["chosen"]) != set(study.questions):
                raise ValueError
            if not set(answer["chosen"].values()) <= set(films):
                raise ValueError
    except (ValueError, KeyError, TypeError, IndexError, AttributeError):
        raise InputError("These are no answers to this study; use the page that it serves.") from None
    return {"rater": rater, "answers": answers}


class _Handler(SimpleHTTPRequestHandler):
    """Serves STUDY/public, and takes POST /answers."""

    def __init__(self, *arguments: Any, study: Study, answers: Path, **options: Any) -> None:
        self._study, self._answers = study, answers
        super().__init__(*arguments, **options)

    def do_POST(self) -> None:
        size = int(self.headers.get("Content-Length") or 0)
        if self.path.strip("/") != "answers" or not 0 < size <= LARGEST:
            self.send_error(404)
            return
        try:
            told = checked_answers(self.rfile.read(size).decode("utf-8", "replace"), self._study)
        except InputError as error:
            self.send_error(400, str(error))
            return
        path = self._answers / f"{told['rater']}.json"
        if path.exists():  # one who answers twice counts once
            self.send_error(409)
            return
        save_text(json.dumps(told, indent=1) + "\n", path)
        self.send_response(204)
        self.end_headers()

    def log_message(self, format: str, *arguments: Any) -> None:
        """Silent: who looked at what is nobody's business."""


def server_of(folder: Path, host: str = "127.0.0.1", port: int = 8000) -> ThreadingHTTPServer:
    """A server of the study in `folder`, to be run with serve_forever. Raises InputError for a port in use."""
    study, answers = read_study(folder), folder / "answers"
    answers.mkdir(exist_ok=True)
    handler = partial(_Handler, study=study, answers=answers, directory=str(folder / "public"))
    try:
        return ThreadingHTTPServer((host, port), handler)
    except OSError as error:
        raise InputError(f"{host}:{port} cannot be used ({error.strerror}); choose another --port.") from None
