"""The commands `serve`, `send` and `watch`: their options, and what they tell."""

from __future__ import annotations

import argparse
import os
import secrets
import socket
from collections.abc import Callable
from contextlib import ExitStack, suppress
from pathlib import Path

from ...errors import InputError, KMTalkError
from ...settings import Settings, settings_of
from ..arguments import add_setting, integer
from ..display import Display

PORT = 8765
TOKEN = "KMTALK_TOKEN"  # variable of the environment
TOKEN_FILE = "token"
TOGETHER = 64  # requests at once


def add_serve_options(sub: argparse.ArgumentParser) -> None:
    """Describe the options of `serve`."""
    sub.add_argument("--folder", type=Path, required=True, metavar="DIR", help="for the token, sounds and results")
    sub.add_argument("--port", type=integer(0), default=PORT, metavar="N", help=f"on this machine alone ({PORT})")
    sub.add_argument("--workers", type=integer(1), metavar="N", help="processes side by side (all processors)")
    sub.add_argument("--max-mb", type=integer(1), default=200, metavar="N", help="largest request (200)")
    sub.add_argument("--max-queue", type=integer(1), default=100, metavar="N", help="jobs that may wait (100)")
    sub.add_argument("--keep-hours", type=integer(1), default=24, metavar="N", help="for which results are kept (24)")


def add_send_options(sub: argparse.ArgumentParser) -> None:
    """Describe the options of `send`."""
    sub.add_argument("audio", type=Path, metavar="AUDIO", help="sound or video file with speech")
    sub.add_argument("--out", type=Path, required=True, metavar="OUT.npz", help="file to write; --formats beside it")
    sub.add_argument("--server", default=f"http://127.0.0.1:{PORT}", metavar="URL", help="where `kmtalk serve` runs")
    sub.add_argument("--token-file", type=Path, metavar="F", help=f"the service's token (else the variable {TOKEN})")
    sub.add_argument("--transcript", metavar="TEXT", help="what is said")
    sub.add_argument("--alignment", type=Path, metavar="F", help="phones or words with times")
    sub.add_argument("--mesh", type=Path, metavar="MESH", help="the head")
    sub.add_argument("--target", metavar="FAMILY", help="curves for the shapes of this family, too")
    sub.add_argument("--formats", metavar="F,…", help="export these beside the result: csv, glb, …")
    for setting in settings_of(Settings):
        add_setting(sub, setting, with_default=False)


def serve(options: argparse.Namespace, progress: Display) -> int:
    """Serve until told to stop; the address and where the token lies are printed."""
    try:
        import uvicorn

        from .app import make_app
    except ImportError as error:
        raise KMTalkError(f"`serve` needs {error.name}; install it with pip install 'kmtalk[serve]'.") from None
    from ..batch.pool import cores
    from .jobs import Jobs

    token = token_of(options.folder)
    jobs = Jobs(options.folder, options.workers or cores(), options.max_queue, 3600.0 * options.keep_hours)
    try:
        config = uvicorn.Config(
            make_app(jobs, token, options.max_mb * 10**6), host="127.0.0.1", port=options.port, log_level="warning",
            server_header=False, limit_concurrency=TOGETHER,
        )  # fmt: skip
        listening = bound(config.bind_socket, options.port)
        print(f"http://127.0.0.1:{listening.getsockname()[1]}, token in {options.folder / TOKEN_FILE}", flush=True)
        with suppress(KeyboardInterrupt, SystemExit):  # it was told to end, and has
            uvicorn.Server(config).run(sockets=[listening])
    finally:
        jobs.close()
    return 0


def bound(bind: Callable[[], socket.socket], port: int) -> socket.socket:
    """A socket that listens, so that who asks before all has started waits a little."""
    try:
        listening = bind()
    except SystemExit:
        raise KMTalkError(f"The port {port} is in use; choose another one with --port.") from None
    listening.listen()
    return listening


def token_of(folder: Path) -> str:
    """The token in a folder, which is made if there is none, for its owner's eyes alone."""
    path = folder / TOKEN_FILE
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        with (
            suppress(FileExistsError),
            os.fdopen(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "w") as file,
        ):
            file.write(secrets.token_urlsafe(32))
        token = path.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise KMTalkError(f"Cannot keep a token in {folder} ({error}); choose another folder.") from None
    if len(token) < 16:
        raise InputError(f"The token in {path} is too short to be one; delete the file.")
    return token


def send(options: argparse.Namespace, progress: Display) -> int:
    """Send one sound, wait for it, and write what was made."""
    from ..outputs import check_output
    from .client import Client

    check_output(options.out, ".npz")
    if options.token_file is not None:
        try:
            token = options.token_file.read_text(encoding="ascii").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(f"The token in {options.token_file} cannot be read ({error}).") from None
    else:
        token = os.environ.get(TOKEN, "")
    if not token:
        raise InputError(f"There is no token; give --token-file, or set the variable {TOKEN}.")
    names = [*(setting.name for setting in settings_of(Settings)), "transcript", "target", "formats"]
    given = {name: value for name in names if (value := getattr(options, name)) is not None}
    client = Client(options.server, token)
    progress(0.05, "sending")
    job = client.send(options.audio, given, options.alignment, options.mesh)
    with ExitStack() as stack:
        stack.callback(_removed, client, job)  # also where somebody stops waiting
        status = client.wait(job, progress.span(0.05, 0.9))
        progress(0.9, "fetching")
        made = client.fetch(status, options.out)
    if status["warnings"]:
        progress.warning(str(status["warnings"]))
    progress.done(options.out, f"{len(made)} files, {status['figures'].get('keys', 0)} key motions")
    return 0


def _removed(client: object, job: str) -> None:
    from .client import Client

    assert isinstance(client, Client)
    with suppress(KMTalkError):
        client.remove(job)


def add_watch_options(sub: argparse.ArgumentParser) -> None:
    """Describe the options of `watch`; a setting is the default of all lines."""
    from ..batch.command import add_defaults

    sub.add_argument(
        "folder", type=Path, metavar="DIR", help="folder into which sounds are put, with texts beside them"
    )
    sub.add_argument("--out", type=Path, required=True, metavar="OUT", help="folder for the results and the reports")
    sub.add_argument("--workers", type=integer(1), metavar="N", help="processes side by side (all processors)")
    add_defaults(sub)


def watch(options: argparse.Namespace, progress: Display) -> int:
    """Watch until told to stop."""
    from ..batch.checks import lines_that_cannot_work
    from ..batch.command import defaults_of
    from ..batch.line import Line
    from ..batch.manifest import read_manifest
    from ..batch.report import Outcome
    from ..batch.run import run_batch
    from ..stopping import stopped_by_signals
    from .watch import sleeping
    from .watch import watch as watched

    if not options.folder.is_dir():
        raise InputError(f"There is no folder {options.folder}; create it first.")
    out = options.out.resolve()
    if out == options.folder.resolve() or options.folder.resolve() in out.parents:
        raise InputError("Results within the folder that is watched would be taken for news; choose another --out.")
    defaults = defaults_of(options)

    def animate(lines: list[Line]) -> Outcome:
        unable = lines_that_cannot_work(lines)
        return run_batch(lines, options.out, resume=True, workers=options.workers, progress=progress, unable=unable)

    with stopped_by_signals() as stop:
        wait = sleeping(lambda: stop.by is not None)
        for news in watched(options.folder, lambda: read_manifest(options.folder, defaults), animate, wait):
            if isinstance(news, InputError):
                progress.warning(str(news))
            else:
                print(f"{news.report.with_suffix('.html')}: {news.summary}", flush=True)
    return 0
