"""The process that works for Blender: `python -m kmtalk_core.service.worker`, requests on stdin, answers on stdout.

The model stays loaded between requests. The process ends when its standard input closes (Blender is gone), or in the
midst of work when nobody listens any more, and is simply killed to cancel: outputs are written whole or not at all. See
`protocol` for the messages.
"""

from __future__ import annotations

import contextlib
import gc
import io
import os
import platform
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from functools import cache, lru_cache
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

import numpy as np

from .. import __version__
from ..errors import InputError, KMTalkError, storage_trouble
from ..files import load_npz, save_npz
from ..progress import Progress
from ..results import load_animation, load_key_vertices, load_keys, load_vertex_animation, save_animation
from .protocol import (
    Advance,
    Alive,
    Animate,
    Answer,
    BuildRig,
    Complete,
    Correct,
    Examine,
    Failure,
    FindLandmarks,
    MeasureFace,
    Ping,
    Quit,
    Request,
    Result,
    decode_request,
    encode_answer,
)

if TYPE_CHECKING:
    from ..animator import Animator
    from ..audio import Sound
    from ..motion import Animation, VertexAnimation
    from ..request import Request as Wish
    from ..vertex_animator import VertexAnimator

_backend = "auto"  # of the networks; the process has one for good


def main(backend: str = "auto") -> None:
    """Serve standard input until it closes; `backend` runs the networks."""
    global _backend
    _backend = backend
    requests, answers = _own_streams()
    one_at_a_time = threading.Lock()

    def say(answer: Answer) -> None:
        with one_at_a_time:
            try:
                answers.write(encode_answer(answer) + "\n")
                answers.flush()
            except OSError:  # nobody is there any more; the rest of the work is for nobody
                os._exit(0)

    for line in requests:
        try:
            number, request = decode_request(line)
        except KMTalkError as error:
            say(Failure(0, str(error), wrong_input=True))
            continue
        if isinstance(request, Quit):
            say(Result(number))
            return
        with _signs_of_life(lambda: say(Alive(number))):  # noqa: B023
            answer = _answer(number, request, lambda fraction, text: say(Advance(number, fraction, text)))  # noqa: B023
        say(answer)


def _answer(number: int, request: Request, report: Progress) -> Result | Failure:
    """Do the work; whatever goes wrong becomes one sentence."""
    try:
        return Result(number, serve(request, report))
    except KMTalkError as error:
        return Failure(number, str(error), isinstance(error, InputError))
    except OSError as error:
        return Failure(number, storage_trouble(error))
    except MemoryError:
        return Failure(number, "There is not enough memory; close other programs or work on a shorter sound.")
    except ImportError as error:
        missing = isinstance(error, ModuleNotFoundError)
        fault = f"lacks the package {error.name}" if missing else f"cannot load {error.name or 'a package'} ({error})"
        where = f"Python {platform.python_version()} ({sys.executable})"
        return Failure(number, f"{where} {fault}; in the preferences choose another Python or create an environment.")
    except Exception as error:
        with contextlib.suppress(OSError):  # no room for the log
            traceback.print_exc()
        name = type(error).__name__
        return Failure(number, f"KMTalk met an error of its own ({name}: {error}); please report it with the log.")


@contextlib.contextmanager
def _signs_of_life(give: Callable[[], None], interval: float = 1.0) -> Iterator[None]:
    """Call `give` every `interval` s from another thread for as long as the block runs."""
    done = threading.Event()

    def go_on() -> None:
        while not done.wait(interval):
            give()

    thread = threading.Thread(target=go_on, daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def serve(request: Request, report: Progress) -> dict[str, Any]:
    """Do what `request` asks for; `report(fraction, message)` hears of the progress. Returns the result's details."""
    match request:
        case Animate():
            return _animate(request, report)
        case Complete():
            save_animation(_completed(request, report), request.out, compressed=False)
        case Correct():
            save_animation(_corrected(request, report), request.out, compressed=False)
        case BuildRig():
            _build_rig(request, report)
        case FindLandmarks():
            return _find_landmarks(request, report)
        case MeasureFace():
            _measure_face(request, report)
        case Examine():
            from ..command.doctor import examine

            return {"findings": [asdict(finding) for finding in examine()]}
        case Ping():
            return {"version": __version__, "python": platform.python_version()}
    return {}


def _animate(request: Animate, report: Progress) -> dict[str, Any]:
    """Write the result of either motion space, fitted to the mesh; → the details."""
    from ..audio import load_sound
    from ..rig.mesh import load_mesh
    from ..vertex_animator import VertexAnimator
    from .requests import request_of

    report(0.0, "reading the sound")
    animator = _animator(request.checkpoint)
    sound = load_sound(request.audio, request.start, request.duration, request.as_strip)
    wish, warnings = request_of(request, sound)

    def animated(wish: Wish) -> Animation | VertexAnimation:
        if isinstance(animator, VertexAnimator):
            return animator.animate(sound, wish, report, None if request.mesh is None else load_mesh(request.mesh))
        return _fitted(animator.animate(sound, wish, report), request.mesh, request.face)

    try:
        animation = animated(wish)
    except InputError:
        if not wish.corrections:
            raise
        wish, unfit = _as_far_as_they_fit(animator, sound, wish)
        warnings = (*warnings, *unfit)
        animation = animated(wish)
    save_animation(animation, request.out, compressed=False)
    told = list(dict.fromkeys((*sound.warnings, *warnings, *animation.alignment.warnings)))
    return {"warnings": told, "delay": sound.delay}


def _as_far_as_they_fit(animator: Animator | VertexAnimator, sound: Sound, wish: Wish) -> tuple[Wish, tuple[str, ...]]:
    """`wish` with only those of its corrections that still fit what is heard, and a warning for each other one."""
    alignment = animator.align(sound, replace(wish, corrections=()))
    warnings = []
    for correction in wish.corrections:
        try:
            alignment = animator.align(sound, replace(wish, alignment=alignment, corrections=(correction,)))
        except InputError as error:
            warnings.append(f"A correction no longer fits and was left out: {error}")
    return replace(wish, alignment=alignment, corrections=()), tuple(warnings)


def _completed(request: Complete, report: Progress) -> Animation | VertexAnimation:
    from ..vertex_animator import VertexAnimator

    animator = _animator(request.checkpoint)
    if isinstance(animator, VertexAnimator):
        before = load_vertex_animation(request.animation)
        return animator.complete(before, load_key_vertices(request.keys, len(before.template)), report)
    animation = load_animation(request.animation)
    return animator.complete(animation, load_keys(request.keys, animation.control_names), report)


def _corrected(request: Correct, report: Progress) -> Animation:
    from ..audio import load_sound
    from .requests import correction_of

    report(0.0, "reading the sound")
    sound = load_sound(request.audio, request.start, request.duration, request.as_strip)
    before = load_animation(request.animation)
    if before.audio_sha256 != sound.sha256:
        raise InputError("The strip plays another sound than when it was animated; generate it again.")
    return _embedded().correct(before, sound, correction_of(request, sound), report)


def _fitted(animation: Animation, mesh: str | None, face: str | None = None) -> Animation:
    """With contacts as the lips of the mesh make them, if it has shapes of its own."""
    from ..finish.compose import finish
    from ..retarget.own_lips import lips_of
    from ..retarget.solver import Face

    lips = None if mesh is None else lips_of(Path(mesh))
    if face is not None:
        lips = Face.unpacked(Path(face).read_bytes()).lip_line
    return animation if lips is None else finish(animation, lip_line=lips)


def _measure_face(request: MeasureFace, report: Progress) -> None:
    from ..files import written_whole
    from ..retarget.measure import measured
    from ..retarget.solver import Face

    report(0.0, "looking at the shape keys")
    arrays = load_npz(request.mesh)
    face = Face(tuple(str(name) for name in arrays["target_names"]), arrays["looks"].astype(np.float64))
    known = measured(face, arrays["vertices"].astype(np.float64), arrays["shapes"].astype(np.float64))
    with written_whole(request.out) as partial:
        Path(partial).write_bytes(known.packed())


def _build_rig(request: BuildRig, report: Progress) -> None:
    from ..rig.articulation import build_rig
    from ..rig.mesh import load_mesh

    report(0.0, "building shape keys")
    rig = build_rig(load_mesh(request.mesh))
    save_npz({"control_names": np.array(rig.control_names, dtype=str), "shapes": rig.shapes}, request.out)


def _find_landmarks(request: FindLandmarks, report: Progress) -> dict[str, Any]:
    from ..landmarks.finder import find_landmarks
    from ..rig.mesh import load_mesh

    report(0.0, "looking for the face")
    found = find_landmarks(load_mesh(request.mesh))
    return {"landmarks": found.vertices.tolist(), "sure": found.sure}


def _animator(checkpoint: str | None) -> Animator | VertexAnimator:
    """What moves the shipped model's controls, or the vertices of a checkpoint at paper scale."""
    if checkpoint is None:
        return _embedded()
    path = Path(checkpoint)
    if not path.is_file():
        raise InputError(f"There is no checkpoint {path}; choose one of `python -m training.train`.")
    return _opened(str(path), path.stat().st_mtime_ns)


@cache
def _embedded() -> Animator:
    from ..animator import Animator

    if _backend != "torch":
        import_module("onnxruntime")  # what is wrong with it, if anything is, `_answer` says
    animator = Animator(backend=_backend)
    gc.freeze()  # what was loaded stays: it need not be looked through for garbage again and again
    return animator


@lru_cache(maxsize=1)
def _opened(path: str, changed: int) -> VertexAnimator:
    from ..opening import open_animator
    from ..vertex_animator import VertexAnimator

    animator = open_animator(path)
    if not isinstance(animator, VertexAnimator):
        raise InputError("This checkpoint drives controls, not vertices; use Generate Lip Sync.")
    return animator


def _own_streams() -> tuple[TextIO, TextIO]:
    """The pipes to Blender, taken away from everybody else: what libraries print goes to stderr."""
    requests = os.fdopen(os.dup(0), encoding="utf-8")
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.dup2(2, 1)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(line_buffering=True)  # so that the log has all when the process is killed
    return requests, answers


if __name__ == "__main__":
    main()
