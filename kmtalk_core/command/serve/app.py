"""The service's addresses: jobs are sent, looked at, fetched and cancelled over HTTP, with a token."""

# No `from __future__ import annotations`: FastAPI reads the annotations of functions that are made here.

import json
import secrets
import time
from pathlib import Path
from typing import Annotated, Any

from fastapi import Depends, FastAPI, File, Form, Header, HTTPException, Query, UploadFile
from fastapi.responses import FileResponse, JSONResponse
from pydantic import BaseModel, Field
from starlette.concurrency import run_in_threadpool
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ... import __version__
from ...errors import InputError, KMTalkError
from .jobs import OVER, Full, Job, Jobs, part_name

HOSTS = ["127.0.0.1", "localhost", "[::1]"]
LONGEST_WAIT = 60.0  # s that a question may wait for news
RETRY = 10  # s after which somebody may ask again where the queue is full
BLOCK = 1 << 20


class Status(BaseModel):
    """What is known of a job."""

    id: str
    name: str = Field(description="of the sound, as it was sent")
    state: str = Field(description="waiting, running, done, failed or cancelled")
    place: int = Field(description="how many jobs come before it")
    progress: float = Field(description="0 to 1: how much of it is done")
    doing: str = Field(description="what is being done now")
    seconds: float = Field(description="for which it has been worked on")
    error: str = Field("", description="one sentence that says why it failed")
    warnings: str = ""
    figures: dict[str, Any] = Field(default_factory=dict, description="duration, keys, contacts, confidence, doubt, …")
    files: list[str] = Field(default_factory=list, description="what can be fetched")


class TooLarge:
    """Middleware that answers 413 to a request whose body is larger than `limit` bytes, however it says so."""

    def __init__(self, app: ASGIApp, limit: int) -> None:
        self.app, self.limit = app, limit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        told = next((value for name, value in scope["headers"] if name == b"content-length"), b"0")
        answer = JSONResponse({"detail": f"More than {self.limit // 10**6} MB are not taken."}, 413)
        if not told.isdigit() or int(told) > self.limit:
            await answer(scope, receive, send)
            return
        had, begun = 0, False

        async def counted() -> Message:
            nonlocal had
            message = await receive()
            had += len(message.get("body", b""))
            if had > self.limit:
                raise _Overflow
            return message

        async def noted(message: Message) -> None:
            nonlocal begun
            begun = True
            await send(message)

        try:
            await self.app(scope, counted, noted)
        except _Overflow:
            if not begun:
                await answer(scope, receive, send)


class _Overflow(Exception):
    pass


def make_app(jobs: Jobs, token: str, limit: int) -> FastAPI:
    """The application; `limit` bytes of a request are taken at the most."""
    app = FastAPI(
        title="KMTalk", version=__version__, docs_url=None, redoc_url=None,
        description="Lip sync as a service: send a sound, fetch the key motions and curves that speak it.",
    )  # fmt: skip
    app.add_middleware(TooLarge, limit=limit)
    app.add_middleware(TrustedHostMiddleware, allowed_hosts=HOSTS)

    def known(authorization: Annotated[str, Header(description="Bearer TOKEN")] = "") -> None:
        if not secrets.compare_digest(authorization.encode(), f"Bearer {token}".encode()):
            raise HTTPException(401, "The token is missing or wrong.", {"WWW-Authenticate": "Bearer"})

    def of(id: str) -> Job:
        job = jobs.get(id)
        if job is None:
            raise HTTPException(404, "There is no such job.")
        return job

    def status(job: Job) -> Status:
        end = job.ended or time.time()
        return Status(
            id=job.id, name=job.name, state=job.state, place=jobs.place(job),
            progress=round(job.progress, 3), doing=job.doing,
            seconds=round(end - job.began, 2) if job.began else 0.0, error=job.error, warnings=job.told,
            figures=dict(job.figures), files=list(job.files),
        )  # fmt: skip

    guarded: dict[str, Any] = {"dependencies": [Depends(known)]}

    @app.exception_handler(KMTalkError)
    async def wrong(_: Any, error: KMTalkError) -> JSONResponse:
        return JSONResponse({"detail": str(error)}, 422 if isinstance(error, InputError) else 500)

    @app.post("/v1/jobs", status_code=202, summary="Send a sound", **guarded)
    async def submit(
        sound: Annotated[UploadFile, File(description="the speech, of any usual kind")],
        settings: Annotated[str, Form(description="JSON: transcript, language, style, fps, target, formats, …")] = "{}",
        alignment: Annotated[UploadFile | None, File(description="phones or words with times")] = None,
        mesh: Annotated[UploadFile | None, File(description="the head: .obj, .ply or .npz")] = None,
    ) -> Status:
        try:
            jobs.check_room()
        except Full:
            raise HTTPException(429, "The queue is full; try again later.", {"Retry-After": str(RETRY)}) from None
        try:
            cells = json.loads(settings)
        except ValueError:
            cells = None
        if not isinstance(cells, dict):
            raise HTTPException(422, "The part settings is no JSON object.")
        id, folder = jobs.new_folder()
        try:
            for part, sent in (("sound", sound), ("alignment", alignment), ("mesh", mesh)):
                if sent is not None:
                    await _save(sent, folder / part_name(part, sent.filename or ""))
            job = await run_in_threadpool(jobs.add, id, folder, Path(sound.filename or "sound").name[:200], cells)
        except BaseException as error:
            await run_in_threadpool(_delete, folder)
            if isinstance(error, Full):
                raise HTTPException(429, "The queue is full; try again later.", {"Retry-After": str(RETRY)}) from None
            raise
        return status(job)

    @app.get("/v1/jobs", summary="All jobs", **guarded)
    def listed() -> list[Status]:
        return [status(job) for job in jobs.all()]

    @app.get("/v1/jobs/{id}", summary="How far a job is", **guarded)
    def look(
        id: str,
        wait: Annotated[float, Query(ge=0.0, le=LONGEST_WAIT, description="s to wait for another state")] = 0.0,
        beyond: Annotated[float, Query(ge=0.0, le=1.0, description="or for more progress than this")] = 1.0,
    ) -> Status:
        job = of(id)
        if job.state not in OVER:
            jobs.wait(job, job.state, wait, beyond)
        return status(job)

    @app.get("/v1/jobs/{id}/files/{name}", summary="Fetch what was made", **guarded)
    def fetch(id: str, name: str) -> FileResponse:
        job = of(id)
        if name not in job.files:
            raise HTTPException(404, "There is no such file.")
        return FileResponse(job.folder / name, media_type="application/octet-stream", filename=name)

    @app.delete("/v1/jobs/{id}", status_code=204, summary="Cancel a job, or delete what it made", **guarded)
    def remove(id: str) -> None:
        jobs.remove(of(id))

    return app


async def _save(sent: UploadFile, path: Path) -> None:
    with path.open("wb") as file:
        while block := await sent.read(BLOCK):
            await run_in_threadpool(file.write, block)


def _delete(folder: Path) -> None:
    import shutil

    shutil.rmtree(folder, ignore_errors=True)
