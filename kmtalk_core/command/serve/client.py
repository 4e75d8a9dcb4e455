"""A small client of the service, which needs nothing beside Python itself.

client = Client("http://127.0.0.1:8765", token)
job = client.send(Path("line.wav"), {"transcript": "Hello.", "formats": ["csv"]})
client.fetch(client.wait(job), Path("out"))
"""

from __future__ import annotations

import json
import secrets
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ...errors import InputError, KMTalkError
from ...files import written_whole
from ...progress import Progress, silent_progress

POLL = 30.0  # s that the service may wait before it answers
PATIENCE = POLL + 60.0  # s for an answer
OVER = ("done", "failed", "cancelled")
Status = Mapping[str, Any]


class Client:
    """Talks to the service at `address` with its `token`. All raise KMTalkError, with the service's own sentence."""

    def __init__(self, address: str, token: str) -> None:
        self._address, self._token = address.rstrip("/"), token

    def send(
        self, sound: Path, settings: Mapping[str, Any], alignment: Path | None = None, mesh: Path | None = None
    ) -> str:
        """Send a sound, and files that belong to it; returns the job's name. `settings`: as a manifest's columns."""
        files = {"sound": sound, "alignment": alignment, "mesh": mesh}
        body, kind = form_of(
            {"settings": json.dumps(settings)}, {part: path for part, path in files.items() if path is not None}
        )
        return str(self._json("POST", "/v1/jobs", body, {"Content-Type": kind})["id"])

    def look(self, job: str, wait: float = 0.0, beyond: float = 1.0) -> Status:
        """How far it is; waits for so many seconds for another state, or for more progress than `beyond`, 0…1."""
        return self._json("GET", f"/v1/jobs/{job}?wait={wait:g}&beyond={beyond:g}")

    def wait(self, job: str, progress: Progress = silent_progress) -> Status:
        """Wait until it is over; raises KMTalkError if it failed or was cancelled.

        `progress` hears the share of it that is done, and what is being done, or where in the queue it waits.
        """
        seen = 0.0
        while True:
            status = self.look(job, POLL, seen)
            if status["state"] in OVER:
                break
            seen, place = float(status["progress"]), status["place"]
            waits = f"waiting, {place} before it" if place else "waiting"
            progress(seen, status["doing"] or (waits if status["state"] == "waiting" else "beginning"))
        if status["state"] == "failed":
            raise KMTalkError(f"{status['name']}: {status['error']}")
        if status["state"] == "cancelled":
            raise KMTalkError(f"{status['name']}: It was cancelled; send it again.")
        return status

    def fetch(self, status: Status, out: Path) -> list[Path]:
        """Write what a job made: its result as `out` (.npz), all else beside it; returns the files."""
        made = []
        for name in status["files"]:
            path = out.with_name(out.stem + name[len("line") :])
            answer = self._ask("GET", f"/v1/jobs/{status['id']}/files/{name}")
            with written_whole(path) as partial:
                partial.write_bytes(answer)
            made.append(path)
        return made

    def remove(self, job: str) -> None:
        """Cancel it, or delete what it made."""
        self._ask("DELETE", f"/v1/jobs/{job}")

    def _json(self, method: str, path: str, body: bytes | None = None, headers: Mapping[str, str] | None = None) -> Any:
        return json.loads(self._ask(method, path, body, headers))

    def _ask(
        self, method: str, path: str, body: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> bytes:
        given = {"Authorization": f"Bearer {self._token}", **(headers or {})}
        request = urllib.request.Request(f"{self._address}{path}", body, given, method=method)
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # this machine needs no proxy
        try:
            with opener.open(request, timeout=PATIENCE) as answer:
                read: bytes = answer.read()
                return read
        except urllib.error.HTTPError as error:
            try:
                detail = json.loads(error.read())["detail"]
            except (ValueError, KeyError, TypeError, OSError):
                detail = error.reason
            raise KMTalkError(f"The service refused it: {detail}") from None
        except (OSError, ValueError) as error:
            why = getattr(error, "reason", error)
            raise KMTalkError(
                f"No service answers at {self._address} ({why}); start it with `kmtalk serve`, or give its address."
            ) from None


def form_of(fields: Mapping[str, str], files: Mapping[str, Path]) -> tuple[bytes, str]:
    """The body of a form and its type. Raises InputError for a file that cannot be read."""
    mark = secrets.token_hex(16)
    parts = []
    for name, value in fields.items():
        parts += [
            f'--{mark}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n'.encode(),
            value.encode(),
            b"\r\n",
        ]
    for name, path in files.items():
        try:
            content = path.read_bytes()
        except OSError as error:
            raise InputError(f"{path} cannot be read ({error.strerror}); check the path.") from None
        plain = path.name.replace('"', "_").replace("\r", "_").replace("\n", "_")
        head = f'--{mark}\r\nContent-Disposition: form-data; name="{name}"; filename="{plain}"\r\n\r\n'
        parts += [head.encode(), content, b"\r\n"]
    return b"".join([*parts, f"--{mark}--\r\n".encode()]), f"multipart/form-data; boundary={mark}"
