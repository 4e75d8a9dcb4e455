"""More or fewer key motions of a result, without inference: which frames they are on changes nothing in the motion.

Keys that the user has edited stay, and so does what they reach: the untouched keys beside them, and the deleted keys
in between. So the next completion changes the motion nowhere else, and hardly there: it looks at keys farther off, too.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from ..completion import SAME_TIME
from ..localization.keys import key_instants
from ..motion import ON_FRAME, Animation, Generated, KeyMotions, nearest_frames
from ..phones import BILABIALS, LABIODENTALS
from .compose import with_contacts
from .salience import telling_frames


@dataclass(frozen=True)
class KeyChoice:
    """Key motions on `frames` (k,), ascending; keys within the `closed` spans (s), ends included, and such beyond the
    frames stay as they are."""

    frames: np.ndarray
    closed: tuple[tuple[float, float], ...] = ()


def with_density(animation: Animation, density: float) -> Animation:
    """The same motion with the share `density`, 0…1, of the key rule's instants as key motions, on those that tell
    most. Raises InputError if the result does not hold what it needs."""
    return rekeyed(animation, choose_keys(animation, density))


def choose_keys(animation: Animation, density: float, rule: str | None = None) -> KeyChoice:
    """Which frames become key motions. `rule`: a key rule, None: that which the result was made with."""
    if rule is None:
        rule = str(animation.origin.settings.get("key_rule", "auto")) if animation.origin is not None else "auto"
    instants = key_instants(animation.alignment, "apexes" if rule == "auto" else rule, animation.fps)
    frames = nearest_frames(instants.times, animation.fps) + round(animation.sliders.offset * animation.fps)
    inside = (frames >= 0) & (frames < len(animation.times))
    closed = _edited_spans(animation)
    count = max(round(density * len(frames)), 2)
    if count >= len(frames):
        chosen = frames[inside]
    else:
        phones = animation.alignment.phones
        contact = np.array([phones[i].label in BILABIALS | LABIODENTALS for i in instants.phone_index], bool)
        edited = animation.to_finish.edited.sum()
        chosen = telling_frames(
            animation.controls,
            animation.control_names,
            animation.fps,
            frames[contact & inside],
            count - int((~inside).sum() + edited),
            [_frames_of(span, animation) for span in closed],
        )
    free = ~np.any([_within(chosen / animation.fps, span) for span in closed], axis=0) if closed else slice(None)
    return KeyChoice(chosen[free], closed)


def rekeyed(animation: Animation, choice: KeyChoice) -> Animation:
    """The same motion with other key motions. Those of the user stay."""
    unfinished, keys = animation.to_finish, animation.keys
    stays = _staying(animation, keys.times, choice) | unfinished.edited
    new, edited = _joined(animation, choice, keys, stays, unfinished.edited)
    generated = unfinished.generated
    if generated is not None:
        stays = _staying(animation, generated.keys.times, choice)
        plain = replace(animation, unfinished=replace(unfinished, generated=None))
        times, _ = _joined(animation, choice, generated.keys, stays, np.zeros(len(stays), bool))
        as_shown = with_contacts(plain, generated.free, times, np.zeros(len(times.times), bool)).keys
        generated = Generated(generated.free, as_shown)
    return replace(animation, keys=new, unfinished=replace(unfinished, edited=edited, generated=generated))


def _edited_spans(animation: Animation) -> tuple[tuple[float, float], ...]:
    """From the untouched key before an edit to the one after it (s), for all edits: changed, added, deleted keys."""
    keys, edited = animation.keys.times, animation.to_finish.edited
    generated = animation.generated.keys.times
    untouched = keys[~edited]
    gone = [t for t in generated if np.abs(keys - t).min(initial=np.inf) > SAME_TIME]
    spans = set()
    for time in (*keys[edited], *gone):
        before, after = untouched[untouched < time - SAME_TIME], untouched[untouched > time + SAME_TIME]
        spans.add((float(before[-1]) if len(before) else -np.inf, float(after[0]) if len(after) else np.inf))
    return tuple(sorted(spans))


def _frames_of(span: tuple[float, float], animation: Animation) -> tuple[int, int]:
    """The first and the last frame of a span (s)."""
    low, high = (min(max(time, -1.0), animation.times[-1] + 1.0) for time in span)
    return round(low * animation.fps), round(high * animation.fps)


def _staying(animation: Animation, times: np.ndarray, choice: KeyChoice) -> np.ndarray:
    """(m,) bool which keys at `times` no choice of frames is about."""
    frames = times * animation.fps
    stays = (np.rint(frames) < 0) | (np.rint(frames) >= len(animation.times))
    for span in choice.closed:
        stays |= _within(times, span)
    return stays


def _joined(
    animation: Animation, choice: KeyChoice, keys: KeyMotions, stays: np.ndarray, edited: np.ndarray
) -> tuple[KeyMotions, np.ndarray]:
    """The keys that stay and those on the frames of the choice, and which of them are edited."""
    free = choice.frames[~np.isin(choice.frames, _on_frames(keys.times[stays], animation.fps))]
    times = np.concatenate([keys.times[stays], free / animation.fps])
    order = np.argsort(times)
    poses = np.concatenate([keys.controls[stays], animation.controls[free]])[order]
    marks = np.concatenate([edited[stays], np.zeros(len(free), bool)])[order]
    return KeyMotions(times[order], poses), marks


def _on_frames(times: np.ndarray, fps: float) -> np.ndarray:
    """The frames that keys are on; none for one between two frames."""
    frames = nearest_frames(times, fps)
    return frames[np.abs(times * fps - frames) < ON_FRAME]


def _within(times: np.ndarray, span: tuple[float, float]) -> np.ndarray:
    return (times >= span[0] - SAME_TIME) & (times <= span[1] + SAME_TIME)
