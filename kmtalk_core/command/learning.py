"""The command `kmtalk learn-style`: from films of somebody, captured motion or corrected lines to a .style file."""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import InputError, KMTalkError
from ..settings import STYLE_ENDING
from .display import Display
from .outputs import check_output

if TYPE_CHECKING:
    from ..animator import Animator
    from ..finish.learning import Example, Learned
    from ..motion import Animation

POINTS = ".points.npz"  # what capture writes beside its results
SOUNDS = (".wav", ".flac", ".ogg")
SAYS = "capture: "  # before each sentence of the capture about what is wrong
MISSING = "No module named 'training'"
NO_CAPTURE = (
    "Learning from a video needs the capture of faces, which only a checkout of KMTalk has; run this there, as "
    "docs/capture.md says, or give results that were captured before."
)


def add_options(sub: argparse.ArgumentParser) -> None:
    """Describe the options of `learn-style`, but for those of the model."""
    sub.add_argument(
        "inputs",
        type=Path,
        nargs="+",
        metavar="VIDEO|RESULT",
        help="a minute of film of the actor, what was captured of it, or results whose key motions were edited",
    )
    sub.add_argument("--name", help="what the style is called (the file's name)")
    sub.add_argument("--out", type=Path, required=True, metavar=f"F{STYLE_ENDING}", help="file to write")


def learn_style(options: argparse.Namespace, animator: Callable[[], Animator], progress: Display) -> int:
    """Run the command; returns its exit status."""
    check_output(options.out, STYLE_ENDING)
    from ..finish.learning import learn
    from ..styles import save_style

    with tempfile.TemporaryDirectory() as folder:
        results = _results(options.inputs, Path(folder), progress.span(0.0, 0.5))
        model = animator()
        lessons = _lessons(results, model, progress.span(0.5, 0.8))
    progress(0.8, "learning")
    learned = learn(lessons, options.name or options.out.stem, "", model.model)
    made_from = f"{learned.seconds:.0f} s of speech in {', '.join(lesson.name for lesson in lessons)}"
    style = replace(learned.style, made_from=made_from if len(made_from) < 300 else f"{made_from[:299]}…")
    save_style(style, options.out)
    progress.done(options.out, f"{learned.seconds:.0f} s of speech; {_told(learned)}")
    return 0


def _results(inputs: Sequence[Path], folder: Path, progress: Callable[[float, str], None]) -> list[Path]:
    """Results to learn from: those given, those in folders that are given, and what is captured of films."""
    found: list[Path] = []
    for place, path in enumerate(inputs):
        if path.is_dir():
            within = [p for p in sorted(path.glob("*.npz")) if not p.name.endswith(POINTS)]
            if not within:
                raise InputError(f"There are no results in {path}; name films, or results (.npz).")
            found += within
        elif not path.exists():
            raise InputError(f"There is no file {path}; check the path.")
        elif path.suffix.lower() == ".npz":
            found.append(path)
        else:
            progress(place / len(inputs), f"capturing {path.name}")
            found.append(_captured_film(path, folder / str(place)))
    return found


def _captured_film(video: Path, folder: Path) -> Path:
    """What the capture of faces makes of a film: the path of its result."""
    command = [sys.executable, "-m", "training.capture", str(video), "--out", str(folder)]
    import subprocess

    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    made = [p for p in sorted(folder.glob("*.npz")) if not p.name.endswith(POINTS)]
    if done.returncode == 0 and made:
        return made[0]
    if MISSING in done.stderr:
        raise InputError(NO_CAPTURE)
    said = done.stderr.strip().splitlines() or ["it gave no result"]
    if told := [line.removeprefix(SAYS) for line in said if line.startswith(SAYS)]:
        raise InputError(told[-1]) if done.returncode == 2 else KMTalkError(told[-1])
    raise KMTalkError(f"The face in {video} could not be captured ({said[-1]:.200}); try another film.")


def _lessons(results: Sequence[Path], animator: Animator, progress: Callable[[float, str], None]) -> list[Example]:
    """What the results teach. Raises InputError where they teach nothing."""
    from ..finish.corrected_lines import corrected_line
    from ..results import load_animation

    lessons = []
    for place, path in enumerate(results):
        progress(place / len(results), f"reading {path.name}")
        result = load_animation(path)
        if result.unfinished is None:
            lessons.append(_captured(path, result, animator))
        elif (lesson := corrected_line(result, path.stem)) is not None:
            lessons.append(lesson)
    if not lessons:
        raise InputError(
            "None of these results has an edited key motion; correct some in Blender, or give a film of the actor."
        )
    return lessons


def _captured(path: Path, result: Animation, animator: Animator) -> Example:
    """The lesson of a captured person: their motion, and the model's for the same sound."""
    import numpy as np

    from ..audio import load_sound
    from ..files import load_npz
    from ..finish.learning import Example, as_seen
    from ..request import Request
    from ..rig.controls import SPEECH_CONTROLS

    sound = next((p for ending in SOUNDS if (p := path.with_suffix(ending)).is_file()), None)
    if sound is None:
        raise InputError(f"There is no sound beside {path}; keep {path.stem}.wav, which capture wrote with it.")
    if lacking := set(SPEECH_CONTROLS) - set(result.control_names):
        raise InputError(f"{path} lacks the control {min(lacking)}; capture it again.")
    ours = animator.animate(load_sound(sound), Request(alignment=result.alignment, fps=result.fps))
    speech = ours.to_finish.speech
    goal = result.controls[:, [result.control_names.index(name) for name in SPEECH_CONTROLS]]
    seen = load_npz(path, ("usable",)).get("usable", np.ones(len(goal), bool))
    count = min(len(speech), len(goal), len(seen))
    if count < 2:
        raise InputError(f"{path} has fewer than two frames; film at least some seconds.")
    weight = np.asarray(seen[:count] > 0, np.float64)
    goal = as_seen(goal[:count], speech[:count])
    return Example(path.stem, ours.times[:count], ours.alignment, speech[:count], goal, weight)


def _told(learned: Learned) -> str:
    """What was learned, on stretches that were left out."""
    before, after = learned.before, learned.after
    return (
        f"unseen, the lips' opening follows the actor's with r {after.opening:.2f} ({before.opening:.2f} without the "
        f"style), their amplitude is {after.amplitude:.2f} of the actor's ({before.amplitude:.2f}), their speed "
        f"{after.speed:.2f} ({before.speed:.2f})"
    )
