"""The finishing stage: completed speech motion → sliders → layers → contacts → controls and keys.

Pure functions of what a result holds, without the networks, so that sliders act at once (`finish`). Keys that the
user has edited stay exactly as they are through all of it, and what completion made of them stays around them.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ..completion import between_keys, nearest, same_keys
from ..easing import smoothstep
from ..motion import ON_FRAME, Animation, Generated, KeyMotions, nearest_frames
from ..rig.controls import ALL_CONTROLS, CONTROL_INDEX, HEAD_CONTROLS, LOWEST, SPEECH_CONTROLS, UPPER_FACE_CONTROLS
from ..rig.lip_line import LipLine
from ..settings import Layers, Sliders
from ..styles import style_named
from .contact_poses import lips_apart
from .contacts import contact_ramp, contact_strength, find_rests, freedom, hold_contacts
from .emphasis import emphasised
from .expression import expression_layer, posture_of, speak_through
from .foreign import rounded_as_said
from .head import head_motion
from .manner import approaching, in_pauses, styled
from .pace import paced
from .rhythm import find_rhythm
from .smoothing import smoothed
from .upper_face import upper_face
from .vocal import MOVE, parted, vocal_layer, with_layer

# Before speech the mouth gets ready, after it the mouth comes to rest; beyond, no noise moves it. Lips part and the jaw
# sinks a little with the breath that is drawn, from BREATH on as people's do, but it opens no earlier than READY.
BREATH, READY, STILL = 0.6, 0.14, 0.3  # s
BREATH_JAW = 0.049  # jawOpen at most before READY: more looks like a mouth that opens out of time
HABIT_MM = 2.0  # of lips apart in pauses that a style has, from which on nothing closes them there
SMOOTHING = 0.08  # s, standard deviation of the Gaussian at smoothing 1

HEARD, NEUTRAL = "heard", "neutral"  # expressions: the guessed one, and none

_SPEECH = np.array([CONTROL_INDEX[name] for name in SPEECH_CONTROLS])
_UPPER = np.array([CONTROL_INDEX[name] for name in UPPER_FACE_CONTROLS])
_HEAD = np.array([CONTROL_INDEX[name] for name in HEAD_CONTROLS])
# mouthClose undoes the opening of the jaw, so it goes with it. The tongue follows neither.
_JAW = np.array([name.startswith("jaw") or name == "mouthClose" for name in SPEECH_CONTROLS])
_OPENS = SPEECH_CONTROLS.index("jawOpen")
_LIPS = ~_JAW & np.array([name.startswith(("mouth", "cheek", "nose")) for name in SPEECH_CONTROLS])


def slide(speech: np.ndarray, fps: float, sliders: Sliders) -> np.ndarray:
    """Completed speech motion (T, S) over SPEECH_CONTROLS, 0…1, → the same with the sliders applied, 0…1."""
    if sliders.offset:
        frame = np.clip(np.arange(len(speech)) - sliders.offset * fps, 0, len(speech) - 1)
        below = np.minimum(frame.astype(np.int64), max(len(speech) - 2, 0))
        part = (frame - below)[:, None].astype(np.float32)
        speech = speech[below] * (1 - part) + speech[np.minimum(below + 1, len(speech) - 1)] * part
    if sliders.smoothing:
        speech = smoothed(speech, SMOOTHING * sliders.smoothing * fps)
    return np.clip(speech * strengths(sliders), 0.0, 1.0)


def strengths(sliders: Sliders) -> np.ndarray:
    """(S,) float32: how far the sliders let each speech control move."""
    scale = np.float32(sliders.intensity) * np.where(_JAW, sliders.jaw, np.where(_LIPS, sliders.lips, 1.0))
    return scale.astype(np.float32)


def freely_moving(animation: Animation, sliders: Sliders, layers: Layers) -> np.ndarray:
    """The generated motion (T, C) in the animation's style, before contacts and without the user's edits."""
    unfinished = animation.to_finish
    lead = animation.feature_lead  # of the sound as it was heard
    times, alignment = animation.times - sliders.offset + lead, animation.alignment.later(lead)
    rhythm = find_rhythm(alignment, unfinished.prosody, animation.feature_rate)
    name, strength = worn_expression(animation, layers)
    out = np.zeros((len(times), len(ALL_CONTROLS)), np.float32)
    found = find_rests(alignment, ramp=STILL)
    rests = [replace(rest, end=max(rest.end + STILL - BREATH, rest.start), fall=BREATH) for rest in found]
    moving = freedom(times, rests, alignment).astype(np.float32)[:, None]
    late = [replace(rest, end=rest.end + STILL - READY, fall=READY) for rest in found]
    ready = freedom(times, late, alignment).astype(np.float32)[:, None]
    said = rounded_as_said(unfinished.speech, animation.times, animation.alignment)
    speech = styled(said, animation.times, animation.alignment, animation.style)
    heard = unfinished.prosody, animation.feature_rate
    speech = emphasised(speech, animation.times + lead, alignment, *heard, sliders.emphasis)
    speech = paced(slide(speech, animation.fps, sliders) * moving, animation.fps)
    ajar = np.minimum(1.0, BREATH_JAW / np.maximum(speech[:, _OPENS, None], 1e-6))
    if animation.style.approach:  # people who were seen to get ready need no limit
        ajar = np.ones_like(ajar)
    out[:, _SPEECH] = speech * np.where(_JAW, ajar + (1 - ajar) * ready, 1.0)
    if animation.style.shows_in_pauses:
        out[:, _SPEECH] += in_pauses(animation.style, times, alignment) * (1 - moving)
    if animation.style.approach:
        approach, share = approaching(animation.style, times, alignment)
        out[:, _SPEECH] += share * (approach * strengths(sliders) - out[:, _SPEECH])
    out[:, _UPPER] = upper_face(times, rhythm, layers.seed, layers.upper_face)
    out[:, _HEAD] = head_motion(times, rhythm, layers.seed, layers.head, posture_of(name, strength))
    out = speak_through(expression_layer(times, rhythm, name, strength, layers.seed), out, alignment, times)
    if layers.vocal_sounds == MOVE:
        out = with_layer(out, vocal_layer(times, alignment, unfinished.prosody, animation.feature_rate))
    return np.clip(out, np.array(LOWEST, np.float32), 1.0, out=out)


def worn_expression(animation: Animation, layers: Layers) -> tuple[str, float]:
    """The expression's name and strength; of one that is heard, as far as the guess is sure."""
    if layers.expression != HEARD:
        return layers.expression, layers.expression_strength
    guessed = animation.emotion
    if guessed is None:
        return NEUTRAL, 0.0
    return guessed.name, layers.expression_strength * guessed.confidence


def with_contacts(animation: Animation, free: np.ndarray, keys: KeyMotions, edited: np.ndarray) -> Animation:
    """The result whose motion is `free` (T, C) with its contacts held; `edited` (m,) bool marks the user's keys.

    Those stay as `keys` has them; all others are the motion at their frames.
    """
    generated = animation.to_finish.generated
    controls = hold_contacts(
        animation.times,
        free,
        animation.control_names,
        animation.alignment,
        animation.sliders.offset,
        keys.times,
        edited,
        contact_strength(animation.sliders),
        contact_ramp(animation.sliders),
        animation.lip_line,
        free if generated is None else generated.free,
        _apart_in_pauses(animation),
        animation.style.near,
    )
    frames = nearest_frames(keys.times, animation.fps)
    on_frame = (np.abs(keys.times * animation.fps - frames) < ON_FRAME) & (frames >= 0) & (frames < len(controls))
    at_keys = keys.controls.astype(np.float32)
    at_keys[~edited & on_frame] = controls[frames[~edited & on_frame]]
    return replace(
        animation,
        controls=controls,
        keys=KeyMotions(keys.times, at_keys),
        unfinished=replace(animation.to_finish, free=free, edited=edited),
        vertices=None,
        faces=None,
        targets=None,
    )


def _apart_in_pauses(animation: Animation) -> np.ndarray | None:
    """(T,) 0…1: how far the lips are left apart where nothing is said, by a habit of the style or in a laugh or breath;
    None where they never are."""
    times, alignment = animation.times - animation.sliders.offset, animation.alignment
    out = np.zeros(len(times))
    if animation.style.shows_in_pauses:
        out = smoothstep(lips_apart(in_pauses(animation.style, times, alignment), SPEECH_CONTROLS) / HABIT_MM)
    if animation.layers.vocal_sounds == MOVE:
        out = np.maximum(out, parted(times, alignment))
    return out if out.any() else None


def free_keys(animation: Animation, keys: KeyMotions) -> tuple[KeyMotions, KeyMotions, np.ndarray]:
    """The keys as generated and `keys` as completion meets them, and which of the latter are edited, (m',) bool.

    Unedited keys are those that nobody has touched since the last completion, and those that are as they were
    generated, again. They stand where the motion is before contacts are held, edited ones as they are.
    """
    unfinished, generated = animation.to_finish, animation.generated
    source = np.full(len(keys.times), -1)  # the generated key that each key is
    in_before, in_after = same_keys(animation.keys, keys)
    untouched = ~unfinished.edited[in_before]
    at = animation.keys.times[in_before[untouched]]
    source[in_after[untouched]] = nearest(generated.keys.times, at)
    if unfinished.generated is not None:
        as_generated, in_after = same_keys(generated.keys, keys)
        source[in_after] = as_generated
    edited = source < 0
    before = generated.keys.controls.copy()
    frames = nearest_frames(generated.keys.times, animation.fps)
    shown = (frames >= 0) & (frames < len(generated.free))
    if unfinished.generated is None:
        shown &= ~unfinished.edited
    before[shown] = generated.free[frames[shown]]
    times, after = keys.times.copy(), keys.controls.copy()
    times[~edited], after[~edited] = generated.keys.times[source[~edited]], before[source[~edited]]
    return KeyMotions(generated.keys.times, before), KeyMotions(times, after), edited


def finish(
    animation: Animation,
    sliders: Sliders | None = None,
    layers: Layers | None = None,
    lip_line: LipLine | None = None,
) -> Animation:
    """The same result with other sliders, layers or lips (None: as they are), without inference.

    Another style is read where the sliders name another than the result's; else the result's own is worn on.
    `lip_line` (`rig.mouth.lip_line`) fits the contacts to a head whose shapes are not the articulation rig's.
    Edited keys keep their values. Where the offset moves, all keys move with it by whole frames. Raises InputError if
    the result does not hold its speech motion.
    """
    unfinished = animation.to_finish
    sliders, layers = sliders or animation.sliders, layers or animation.layers
    style = animation.style if sliders.style == animation.sliders.style else style_named(sliders.style)
    finished = replace(animation, sliders=sliders, layers=layers, lip_line=lip_line or animation.lip_line, style=style)
    free = freely_moving(finished, sliders, layers)
    shift = _frames(sliders.offset, animation.fps) - _frames(animation.sliders.offset, animation.fps)
    keys, edited = animation.keys.later(shift, animation.fps), unfinished.edited
    if edited.any() or unfinished.generated is not None:
        generated = animation.generated.keys.later(shift, animation.fps)
        # Nothing of how it was generated with the sliders of before may count here, or a way back would not end there.
        as_generated = replace(finished, unfinished=replace(unfinished, generated=None))
        shown = with_contacts(as_generated, free, generated, np.zeros(len(generated.times), bool)).keys
        finished = replace(finished, unfinished=replace(unfinished, generated=Generated(free, shown)))
        edits = unfinished.free - animation.generated.free
        if shift:
            edits = edits[np.clip(np.arange(len(edits)) - shift, 0, len(edits) - 1)]
        low = np.minimum(unfinished.free.min(0), np.array(LOWEST, np.float32))
        free = np.clip(free + edits, low, max(unfinished.free.max(), 1.0))
        at = nearest_frames(keys.times, animation.fps)
        missing = np.where(edited[:, None], keys.controls - free[np.clip(at, 0, len(free) - 1)], 0.0)
        free += between_keys(keys.times, missing.astype(np.float32), animation.times)
        on_frame = edited & (at >= 0) & (at < len(free)) & (np.abs(keys.times * animation.fps - at) < ON_FRAME)
        free[at[on_frame]] = keys.controls[on_frame]
    return with_contacts(finished, free, keys, edited)


def _frames(offset: float, fps: float) -> int:
    return round(offset * fps)
