"""Whole scenes: every sound strip on the head that says it, in one piece of work, which one bad strip does not stop.

All that takes time is done in the one worker, line by line, before anything changes; then all lines are put on their
faces at once, so that cancelling leaves the file as it was and one undo takes all of it back.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import bpy
import numpy as np

from kmtalk_core.errors import InputError, KMTalkError
from kmtalk_core.leftovers import temporary_folder
from kmtalk_core.service.protocol import Ping

from . import clips, drawings, faces, follow, key_view, lipsync, live, shape_keys, takes
from .casting import Part
from .job import Steps, WorkerGone
from .lipsync import Made, Options, Outcome
from .session import Share, current, sentence
from .strip import read_line, why_unheard
from .subject import Subject

MADE = 0.9  # share of the progress after which all is made, and only has to be put on the faces
DEATHS = 3  # workers that end one after the other, after which it is not the strips' fault
TOLD = 5  # faults that a summary tells
FAILED, DONE, SAME, LEFT_OUT = "failed", "done", "as it was", "left out"


@dataclass(frozen=True)
class LineOutcome:
    """What became of one strip on one head: `status` (failed, done, as it was, left out), and in `told` the summary, or
    why. `how` its head was found out; `strip_id` finds a strip that was renamed since."""

    strip: str
    head: str
    how: str
    status: str
    told: str
    warnings: tuple[str, ...] = ()
    strip_id: str = ""


@dataclass(frozen=True)
class SceneOutcome:
    """What became of each line of a scene, in the order of its strips."""

    lines: tuple[LineOutcome, ...]

    def of(self, *statuses: str) -> tuple[LineOutcome, ...]:
        """The lines with one of these statuses."""
        return tuple(line for line in self.lines if line.status in statuses)

    @property
    def failed(self) -> tuple[LineOutcome, ...]:
        """The lines that could not be made."""
        return self.of(FAILED)

    @property
    def summary(self) -> str:
        """In a sentence, how many lines were made, and how many not."""
        done, same, left, failed = (self.of(status) for status in (DONE, SAME, LEFT_OUT, FAILED))
        counts = {"as before": len(same), "left out": len(left), "failed": len(failed)}
        told = [f"{count} {what}" for what, count in counts.items() if count]
        if done or not told:
            told.insert(0, f"{count_of(len(done), 'line')} on {count_of(len({line.head for line in done}), 'head')}")
        return ", ".join(told)

    @property
    def warnings(self) -> tuple[str, ...]:
        """A sentence for each line that failed, of the first ones, and how many more there are."""
        told = tuple(f"{line.strip}: {line.told}" for line in self.failed)
        more = (f"{len(told) - TOLD} more strips failed; the list of the scene has them.",)
        return told if len(told) <= TOLD else (*told[:TOLD], *more)


@dataclass(frozen=True)
class _Task:
    """A part that is to be made: `about` finds it again after a wait."""

    place: int
    about: Subject
    options: Options


def generate_scene(
    scene: bpy.types.Scene,
    parts: Sequence[Part],
    options_of: Callable[[Any], Options],
    unknown: Sequence[str] = (),
    make: Callable[..., Steps[Made]] | None = None,
) -> Steps[SceneOutcome]:
    """Animate every part (`casting.cast`) with the options that its strip has. Takes that somebody has edited stay, as
    with `lipsync.generate`; where nothing would change, no new take is made. `unknown`: strips that a table names and
    that are not there; they count as failed. `make` does what `lipsync.make` does.

    Raises InputError if there is nothing to do, and KMTalkError if there is no worker that works. Lines that are made
    when `current.enough` is set are put on the faces; the others are left out.
    """
    if not parts and not unknown:
        raise InputError("There is no sound strip in the scene; add one in the sequencer.")
    make = make or lipsync.make
    outcomes, tasks = _prepared(scene, parts, options_of)
    why = f"There is no such sound strip in the scene {scene.name}; correct the table."
    outcomes += [LineOutcome(name, "", "table", FAILED, why) for name in unknown]
    yield Ping()  # where no worker starts, no strip is to blame
    made: dict[int, Made] = {}
    deaths = 0
    with temporary_folder() as faces:
        for number, task in enumerate(tasks):
            if current.enough:
                outcomes[task.place] = replace(outcomes[task.place], status=LEFT_OUT, told="It was stopped before.")
                continue
            start, end = (MADE * at / len(tasks) for at in (number, number + 1))
            current.share = Share(start, end, f"{number + 1} of {len(tasks)}")
            try:
                about = task.about
                made[task.place] = yield from make(about.scene(), about.strip(), about.head(), task.options, faces)
                deaths = 0
            except Exception as error:
                deaths = deaths + 1 if isinstance(error, WorkerGone) else 0
                if deaths == DEATHS:
                    raise
                outcomes[task.place] = replace(outcomes[task.place], told=sentence(error))
    for place, outcome in _put_on(made):
        outcomes[place] = replace(outcomes[place], **outcome)
    return SceneOutcome(tuple(outcomes))


def _prepared(
    scene: bpy.types.Scene, parts: Sequence[Part], options_of: Callable[[Any], Options]
) -> tuple[list[LineOutcome], list[_Task]]:
    """An outcome for each part, failed as yet, and what is to be done."""
    outcomes, tasks = [], []
    for place, part in enumerate(parts):
        strip, head = part.strip, part.head
        outcome = LineOutcome(
            strip.name, head.name if head is not None else "", part.how, FAILED, part.why, strip_id=strip.kmtalk.id
        )
        try:
            unheard = why_unheard(scene, strip)
            if part.left_out or unheard:
                outcome = replace(outcome, status=LEFT_OUT, told=part.why if part.left_out else unheard)
            elif head is not None:
                line = read_line(scene, strip)
                tasks.append(
                    _Task(place, Subject.of(scene, strip, shape_keys.check_mesh(head), line), options_of(strip))
                )
        except KMTalkError as error:
            outcome = replace(outcome, told=str(error))
        outcomes.append(outcome)
    return outcomes, tasks


def _put_on(made: dict[int, Made]) -> Iterator[tuple[int, dict[str, Any]]]:
    """Put all that was made on the faces, and say for each, by its place, what is new about its outcome."""
    on: dict[tuple[int, int], dict[int, Outcome]] = defaultdict(dict)  # scene and head → outcome by place
    for place, line in made.items():
        try:
            if _is_as_it_was(line):
                yield place, {"status": SAME, "told": "Nothing has changed."}
                continue
            on[line.about.scene().session_uid, line.about.head().session_uid][place] = lipsync.put_on(line, alone=False)
        except Exception as error:
            yield place, {"told": sentence(error)}
    for (scene, head), outcomes in on.items():
        try:
            told = _let_play(takes.scene_again(scene), takes.mesh_again(head), list(outcomes.values()))
        except Exception as error:
            yield from ((place, {"told": sentence(error)}) for place in outcomes)
            continue
        for (place, outcome), more in zip(outcomes.items(), told, strict=True):
            warnings, strip_id = (*outcome.warnings, *more), made[place].about.strip().kmtalk.id
            yield place, {"status": DONE, "told": outcome.summary, "warnings": warnings, "strip_id": strip_id}
    for uid in {scene for scene, _ in on}:
        live.show(takes.scene_again(uid))


def _let_play(scene: bpy.types.Scene, head: bpy.types.Object, made: Sequence[Outcome]) -> list[list[str]]:
    """Let all lines that were made on a head play; what is to be known of each."""
    actions = {action.session_uid: action for action in takes.own_actions(head.data.shape_keys)}
    lines = [takes.Clip(scene, head, actions[outcome.made.action]) for outcome in made if outcome.made is not None]
    lies = {clip.action: lie for clip in lines if (lie := clips.lie_of(clip.take)) is not None}
    follow.settle_all(scene, head, lies)
    key_view.redraw(head.data.shape_keys)
    return follow.standing_of(lines)


def _is_as_it_was(made: Made) -> bool:
    """Whether what was made lies on the face already, edits and all."""
    about = made.about
    obj, strip, new = about.head(), about.strip(), takes.loaded(made.result)
    found = [a for a in takes.lines_on(clips.keys_of(obj)) if clips.take_of(a).line_id == (strip.kmtalk.id or None)]
    if not found or found[0] not in clips.playing(clips.keys_of(obj)) or found[0].library is not None:
        return False
    clip = takes.Clip(about.scene(), obj, found[0])
    before = takes.shown(clip.take)
    if clip.line.moved_to(about.line_now().origin) != replace(
        about.line_now(), delay=made.delay, strip=clip.line.strip
    ):
        return False
    if clip.take.worn != takes.worn(new.sliders, new.layers, made.options.look(strip)):
        return False
    same = _alike(before.controls, new.controls) and _alike(before.keys.controls, new.keys.controls)
    return same and _alike(before.keys.times, new.keys.times) and not _has_new_edits(clip)


def _has_new_edits(clip: takes.Clip) -> bool:
    """Whether keyframes were edited since the line was computed last."""
    before = takes.shown(clip.take).keys
    if drawings.has_new(clip.keys, clip.action, clip.line):
        return True
    try:
        now = faces.read(clip.obj, clip.action, clip.names, clip.line, takes.shown(clip.take))
    except InputError:  # all are gone
        return True
    return not (_alike(now.times, before.times) and _alike(now.controls, before.controls, 1e-4))


def _alike(a: np.ndarray, b: np.ndarray, apart: float = 1e-6) -> bool:
    return a.shape == b.shape and bool(np.allclose(a, b, rtol=0, atol=apart))


def count_of(number: int, what: str) -> str:
    """So many of something, in words."""
    return f"{number} {what}" if number == 1 else f"{number} {what}s"
