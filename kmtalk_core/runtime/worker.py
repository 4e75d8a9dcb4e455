"""The process that works for Blender: `python -m kmtalk_core.runtime.worker`, requests on stdin, answers on stdout.

The model stays loaded between requests. The process ends when its standard input closes (Blender is gone), and is
simply killed to cancel: outputs are written whole or not at all. See `protocol` for the messages.
"""

from __future__ import annotations

import os
import platform
import sys
import traceback
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

import numpy as np

from .. import __version__
from ..errors import KMTalkError
from ..motion import Animation, load_animation, load_keys, save_animation, save_npz
from .protocol import (
    Animate,
    Answer,
    BuildRig,
    Complete,
    Failure,
    Ping,
    Progress,
    Quit,
    Request,
    Result,
    decode_request,
    encode_answer,
)

if TYPE_CHECKING:
    from ..animator import Animator

Report = Callable[[float, str], None]


def main() -> None:
    """Serve standard input until it closes."""
    requests, answers = _own_streams()

    def say(answer: Answer) -> None:
        answers.write(encode_answer(answer) + "\n")
        answers.flush()

    for line in requests:
        try:
            number, request = decode_request(line)
        except KMTalkError as error:
            say(Failure(0, str(error)))
            continue
        if isinstance(request, Quit):
            say(Result(number))
            return
        try:
            say(Result(number, serve(request, lambda fraction, text: say(Progress(number, fraction, text)))))  # noqa: B023
        except KMTalkError as error:
            say(Failure(number, str(error)))
        except BrokenPipeError:
            return
        except ModuleNotFoundError as error:
            say(
                Failure(
                    number,
                    f"{sys.executable} lacks the package {error.name}; install it there or choose another Python.",
                )
            )
        except Exception as error:
            traceback.print_exc()
            name = type(error).__name__
            say(Failure(number, f"KMTalk met an error of its own ({name}: {error}); please report it with the log."))


def serve(request: Request, report: Report) -> dict[str, Any]:
    """Do what `request` asks for; `report(fraction, message)` hears of the progress. Returns the result's details."""
    match request:
        case Animate():
            animation, warnings = _animated(request, report)
            save_animation(animation, request.out)
            return {"warnings": warnings}
        case Complete():
            animation = load_animation(request.animation)
            keys = load_keys(request.keys, animation.control_names)
            save_animation(_animator().complete(animation, keys, progress=report), request.out)
        case BuildRig():
            _build_rig(request, report)
        case Ping():
            return {"version": __version__, "python": platform.python_version()}
    return {}


def _animated(request: Animate, report: Report) -> tuple[Animation, list[str]]:
    from ..animator import Request as Wish
    from ..audio import load_sound

    report(0.0, "reading the sound")
    alignment = None
    if request.alignment is not None:
        from ..localization.textgrid import load_alignment

        # Its times count from the file's beginning.
        alignment = load_alignment(Path(request.alignment)).from_time(request.start)
    sound = load_sound(request.audio, request.start, request.duration)
    wish = Wish(
        transcript=request.transcript,
        alignment=alignment,
        localizer=request.localizer,
        fps=request.fps,
        key_rule=request.key_rule,
        intensity=request.intensity,
        upper_face=request.upper_face,
        head=request.head,
        expression=request.expression,
        expression_strength=request.expression_strength,
        seed=request.seed,
    )
    animation = _animator().animate(sound, wish, progress=report)
    return animation, list(dict.fromkeys((*sound.warnings, *animation.alignment.warnings)))


def _build_rig(request: BuildRig, report: Report) -> None:
    from ..rig.articulation import build_rig
    from ..rig.mesh import load_mesh

    report(0.0, "building shape keys")
    rig = build_rig(load_mesh(request.mesh))
    save_npz({"control_names": np.array(rig.control_names, dtype=str), "shapes": rig.shapes}, request.out)


@cache
def _animator() -> Animator:
    from ..animator import Animator

    return Animator()


def _own_streams() -> tuple[TextIO, TextIO]:
    """The pipes to Blender, taken away from everybody else: what libraries print goes to stderr."""
    requests = os.fdopen(os.dup(0), encoding="utf-8")
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.dup2(2, 1)
    return requests, answers


if __name__ == "__main__":
    main()
